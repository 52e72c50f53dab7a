"""What follows when somebody came back from the provider or the bank with what they were sent for,
in the transaction that stores it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.store.facts import add_event
from banklink.store.models import Attempt, Connection, Grant, Invitation


def taken_in(
    services: Services, session: Session, attempt: Attempt, grant: Grant, at: Moment
) -> None:
    """`attempt` has its outcome; `grant` is whose accounts were read."""
    consents.note(services, session, attempt, grant, at)
    if attempt.outcome == "done" and attempt.invitation_id is not None:
        invitation = session.get_one(Invitation, attempt.invitation_id)
        invitation.accepted_at = invitation.accepted_at or at.now
        invitation.accepted_by_id = invitation.accepted_by_id or grant.holder_id
        connection = session.get_one(Connection, attempt.connection_id)
        add_event(session, connection, "invitation_accepted", at, invitation=invitation.id)
