"""Who gave access to an administration's accounts, and who was asked to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from banklink.store.deliveries import deliveries
from banklink.store.facts import Asked
from banklink.store.models import (
    Account,
    Connection,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
)

MOST = 200
"""Invitations that are listed; older ones stay in the rows' histories."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A holder with their grant, and the accounts they share now, by IBAN."""

    holder: Holder
    grant: Grant
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation with its last mail and the connections of this administration it asks for."""

    asked: Asked
    connections: tuple[Connection, ...]

    @property
    def invitation(self) -> Invitation:
        return self.asked.invitation


def holders_of(session: Session, administration_id: int) -> list[Shared]:
    """Everybody who gave access once, those who do now first; by name. Two queries."""
    people = session.execute(
        select(Holder, Grant)
        .join(Grant, Grant.holder_id == Holder.id)
        .where(Grant.administration_id == administration_id)
        .order_by(Grant.state != "active", Holder.name, Holder.id)
    ).all()
    shared: dict[int, list[Account]] = defaultdict(list)
    for account in session.scalars(
        select(Account)
        .join(Grant, Grant.id == Account.grant_id)
        .where(
            Grant.administration_id == administration_id,
            Grant.state == "active",
            Account.listed.is_(True),
        )
        .order_by(Account.iban)
    ):
        shared[account.grant_id].append(account)
    return [Shared(holder, grant, tuple(shared[grant.id])) for holder, grant in people]


def invited_to(session: Session, administration_id: int) -> list[Invited]:
    """Newest first. Three queries."""
    concerns = exists().where(
        InvitationAccount.invitation_id == Invitation.id,
        Connection.id == InvitationAccount.connection_id,
        Connection.administration_id == administration_id,
    )
    invitations = session.scalars(
        select(Invitation).where(concerns).order_by(Invitation.id.desc()).limit(MOST)
    ).all()
    numbers = [each.id for each in invitations]
    connections: dict[int, list[Connection]] = defaultdict(list)
    for row in session.execute(
        select(InvitationAccount.invitation_id, Connection)
        .join(Connection, Connection.id == InvitationAccount.connection_id)
        .where(
            InvitationAccount.invitation_id.in_(numbers),
            Connection.administration_id == administration_id,
        )
        .order_by(Connection.iban)
    ):
        connections[row.invitation_id].append(row.Connection)
    mails = deliveries(session, numbers)
    return [
        Invited(Asked(each, mails.get(each.id)), tuple(connections[each.id]))
        for each in invitations
    ]


def invitation_here(session: Session, administration_id: int, invitation_id: int) -> bool:
    """Whether an invitation asks for an account of this administration."""
    return bool(
        session.scalar(
            select(InvitationAccount.invitation_id)
            .join(Connection, Connection.id == InvitationAccount.connection_id)
            .where(
                InvitationAccount.invitation_id == invitation_id,
                Connection.administration_id == administration_id,
            )
            .limit(1)
        )
    )
