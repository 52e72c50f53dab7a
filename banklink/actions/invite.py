"""Invite: ask one person, by mail or by a link that is handed over, for permission or for a step
at their bank. The link alone grants nothing: it starts a step that the entrepreneur app's sign-in
or the bank has to confirm (domain.md B2.6)."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from banklink.actions.services import Services
from banklink.actions.sign_in import digest, new_token
from banklink.core.calendar import Moment
from banklink.core.invitations import LASTS, OPEN, Purpose, State, state_of
from banklink.store.models import Invitation, InvitationAccount, InvitationLink


def state(invitation: Invitation, at: Moment) -> State:
    return state_of(
        now=at.now,
        expires_at=invitation.expires_at,
        opened_at=invitation.opened_at,
        accepted_at=invitation.accepted_at,
        declined_at=invitation.declined_at,
        withdrawn_at=invitation.withdrawn_at,
    )


def open_invitation(
    session: Session,
    at: Moment,
    *,
    administration_id: int,
    purpose: Purpose,
    email: str,
    bank: str | None = None,
) -> Invitation | None:
    """The one that lets this person in for this purpose now: there is never a second
    (domain.md A1)."""
    return session.scalar(
        select(Invitation)
        .where(
            Invitation.administration_id == administration_id,
            Invitation.purpose == purpose.value,
            Invitation.email == email,
            Invitation.bank.is_(None) if bank is None else Invitation.bank == bank,
            *still_open(at),
        )
        .order_by(Invitation.id.desc())
        .limit(1)
    )


def still_open(at: Moment) -> tuple[ColumnElement[bool], ...]:
    """The condition of a query for invitations that still let somebody in."""
    return (
        Invitation.accepted_at.is_(None),
        Invitation.withdrawn_at.is_(None),
        Invitation.declined_at.is_(None),
        Invitation.expires_at > at.now,
    )


def ask_for(
    session: Session,
    at: Moment,
    *,
    administration_id: int,
    purpose: Purpose,
    email: str,
    name: str,
    locale: str,
    connections: Iterable[int],
    bank: str | None = None,
    holder_id: int | None = None,
    message: str = "",
    actor: str | None = None,
    actor_id: int | None = None,
    by_reminder: bool = False,
) -> tuple[Invitation, str]:
    """The open invitation of this person for this purpose (and bank), asking for these connections
    too and good for the full time from now on, or a new one; with the token of a new link to it.
    `email` and `name` are checked already; the caller has taken hold of the administration.
    `actor` None: the clock asks."""
    found = open_invitation(
        session,
        at,
        administration_id=administration_id,
        purpose=purpose,
        email=email,
        bank=bank,
    )
    if found is None:
        found = Invitation(
            administration_id=administration_id,
            purpose=purpose.value,
            email=email,
            bank=bank,
            created_at=at.now,
            created_by=actor,
            created_by_id=actor_id,
            by_reminder=by_reminder,
        )
        session.add(found)
    found.name, found.locale, found.message = name, locale, message
    found.holder_id = holder_id or found.holder_id
    found.expires_at, found.asked_again_at = at.now + LASTS, None
    if actor is not None:
        found.created_by, found.created_by_id, found.by_reminder = actor, actor_id, False
    session.flush()
    there = set(
        session.scalars(
            select(InvitationAccount.connection_id).where(
                InvitationAccount.invitation_id == found.id
            )
        )
    )
    for connection_id in dict.fromkeys(connections):
        if connection_id not in there:
            session.add(InvitationAccount(invitation_id=found.id, connection_id=connection_id))
    return found, new_link(session, found, at)


def new_link(session: Session, invitation: Invitation, at: Moment) -> str:
    """The token of one more address that leads to this invitation."""
    token = new_token()
    session.add(
        InvitationLink(invitation_id=invitation.id, token_hash=digest(token), created_at=at.now)
    )
    session.flush()
    return token


def address(services: Services, token: str) -> str:
    return f"{services.office.origin}/invitation/{token}"


def is_open(invitation: Invitation, at: Moment) -> bool:
    return state(invitation, at) in OPEN
