"""What follows when somebody came back from the provider or the bank with what they were sent for,
in the transaction that stores it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.store.facts import add_event
from banklink.store.models import Attempt, Connection, Grant, Invitation, InvitationAccount


def taken_in(
    services: Services, session: Session, attempt: Attempt, grant: Grant, at: Moment
) -> None:
    """`attempt` has its outcome; `grant` is whose accounts were read."""
    consents.note(services, session, attempt, grant, at)
    if attempt.outcome == "done" and attempt.invitation_id is not None:
        invitation = session.get_one(Invitation, attempt.invitation_id, with_for_update=True)
        if invitation.accepted_at is not None:
            return
        invitation.accepted_at, invitation.accepted_by_id = at.now, grant.holder_id
        for connection in session.scalars(
            select(Connection)
            .join(InvitationAccount, InvitationAccount.connection_id == Connection.id)
            .where(InvitationAccount.invitation_id == invitation.id)
            .order_by(Connection.id)
        ):
            add_event(session, connection, "invitation_accepted", at, invitation=invitation.id)
