"""What follows when somebody came back from the provider or the bank with what they were sent for,
in the transaction that stores it."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.core.statuses import Action
from banklink.store.facts import add_event
from banklink.store.models import (
    Account,
    Attempt,
    Connection,
    Grant,
    Invitation,
    InvitationAccount,
)


def taken_in(
    services: Services, session: Session, attempt: Attempt, grant: Grant, at: Moment
) -> None:
    """`attempt` has its outcome; `grant` is whose accounts were read."""
    consents.note(services, session, attempt, grant, at)
    if attempt.outcome == "done" and attempt.invitation_id is not None:
        _to_be_told(session, attempt, grant, at)
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


def _to_be_told(session: Session, attempt: Attempt, grant: Grant, at: Moment) -> None:
    """Who asked is told once what was missed has been fetched (actions/tell_done.py). Should that
    never come, because the machine stops, it is still known here of what. A renewal was noted
    already, where it was seen."""
    session.flush()
    brought = [Account.id == attempt.account_id]
    if attempt.purpose == Action.GRANT.value:
        brought.append(Account.listed_at == at.now)
        brought.append(Account.iban.in_(attempt.params.get("chosen", ())))
    everything = attempt.purpose == Action.GRANT.value and grant.granted_at == at.now
    for account in session.scalars(
        select(Account).where(
            Account.grant_id == grant.id,
            Account.listed,
            Account.authorised_at.is_not(None),
            *(() if everything else (or_(*brought),)),
        )
    ):
        account.renewed_at = account.renewed_at or at.now
