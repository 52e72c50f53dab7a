"""Answer: what the recipient of an invitation does. Nobody is known here yet: the link says what is
asked, and the entrepreneur app's sign-in or the bank says who answers (domain.md B2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions import come_back, throttle
from banklink.actions.depart import depart
from banklink.actions.invite import administrations, asked_for, is_open
from banklink.actions.outbox import queue
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import hold
from banklink.actions.sign_in import digest, plain_email
from banklink.core.calendar import Moment
from banklink.core.facts import Authorisation
from banklink.core.invitations import Purpose, State
from banklink.core.statuses import Action
from banklink.mail.voice import Voice
from banklink.mail.wanted import asked_again_letter
from banklink.store.facts import Record, add_event, state_of_invitation
from banklink.store.models import Attempt, Invitation, InvitationLink, User

_MOST = 20
"""Departures by one invitation in ten minutes: the provider is not to be rung like a bell."""


@dataclass(frozen=True, slots=True)
class Request:
    """An invitation as its reader sees it. `rows` are the accounts it asks for, `administrations`
    the names of the books; `mended`: nothing of it is needed any more."""

    invitation: Invitation
    state: State
    rows: tuple[Record, ...]
    administrations: tuple[str, ...]
    attempt: Attempt | None
    mended: bool

    @property
    def purpose(self) -> Purpose:
        return Purpose(self.invitation.purpose)


def look(services: Services, token: str, at: Moment) -> Request:
    """Changes nothing: whatever opens links in mails may do so (domain.md R17). Raises Missing for
    a token that leads nowhere."""
    with services.store.read() as session:
        invitation = session.get_one(Invitation, _number(session, token))
        rows = tuple(asked_for(session, invitation, at))
        attempt = session.scalar(
            select(Attempt)
            .where(Attempt.invitation_id == invitation.id)
            .order_by(Attempt.id.desc())
            .limit(1)
        )
        return Request(
            invitation,
            state_of_invitation(invitation, at.now),
            rows,
            tuple(administrations(session, invitation)),
            attempt,
            mended(invitation, rows),
        )


def mended(invitation: Invitation, rows: tuple[Record, ...]) -> bool:
    """Whether everything it asks for has come about, this way or another."""
    if not rows:
        return True
    if invitation.purpose == Purpose.RENEW:
        return not any(row.diagnosis.renewable for row in rows)
    return all(any(_came(invitation, row, key) for key in row.shares) for row in rows)


def _came(invitation: Invitation, row: Record, key: str) -> bool:
    """Whether this holder's permission is what was asked for: of the very person, or given since.
    That somebody else's works already is no reason to send a second holder away."""
    facts, share = row.facts.holders[key], row.shares[key]
    since = facts.listed_at is not None and facts.listed_at >= invitation.created_at
    same = share.holder.id == invitation.holder_id or (
        plain_email(share.holder.email or "") == invitation.email
    )
    return facts.usable and (since or same)


def _number(session: Session, token: str) -> int:
    found = session.scalar(
        select(InvitationLink.invitation_id).where(InvitationLink.token_hash == digest(token))
    )
    if found is None:
        raise Missing
    return found


def _opened(session: Session, token: str) -> Invitation:
    """Locked for a change. Raises Missing."""
    number = _number(session, token)
    hold(session, session.get_one(Invitation, number).administration_id)
    return session.get_one(Invitation, number, with_for_update=True, populate_existing=True)


def allow(
    services: Services,
    token: str,
    at: Moment,
    *,
    browser: str,
    accounts: list[int] | None,
    consent: Mapping[str, Any],
) -> str:
    """Returns where the person goes now: the entrepreneur app, or the bank. `accounts`: what they
    chose of several, numbers of connections. `consent`: the text they said yes to. Raises Missing,
    Refused (closed; nothing_chosen; and what departing refuses)."""
    with services.store.write() as session:
        invitation = _opened(session, token)
        if not is_open(invitation, at):
            raise Refused("closed")
        rows = asked_for(session, invitation, at)
        throttle.count(session, at, what="answer", who=str(invitation.id), most=_MOST)
        invitation.opened_at = invitation.opened_at or at.now
        attempts = [
            each
            for each in session.scalars(
                select(Attempt).where(Attempt.invitation_id == invitation.id).order_by(Attempt.id)
            )
            if come_back.started_in(each, browser)
        ]
    if invitation.purpose == Purpose.RENEW:
        first = next((row for row in rows if row.diagnosis.renewable), rows[0])
        holder = str(invitation.holder_id) if invitation.holder_id else None
        return depart(
            services,
            first.connection.id,
            _step(first, holder),
            at,
            actor="",
            browser=browser,
            holder=holder,
            invitation_id=invitation.id,
            consent=consent,
        )
    chosen = [row for row in rows if accounts is None or row.connection.id in accounts]
    if not chosen:
        raise Refused("nothing_chosen", field="accounts")
    for row in chosen:
        left = _bank_left(row, attempts)
        if left is not None:  # permission is there, only the bank has not confirmed yet
            return depart(
                services,
                row.connection.id,
                _step(row, left),
                at,
                actor="",
                browser=browser,
                holder=left,
                invitation_id=invitation.id,
                consent=consent,
            )
    return depart(
        services,
        chosen[0].connection.id,
        Action.GRANT,
        at,
        actor="",
        browser=browser,
        invitation_id=invitation.id,
        consent=consent,
        wanted=[row.connection.iban for row in chosen],
        email=invitation.email,
    )


def _bank_left(row: Record, attempts: list[Attempt]) -> str | None:
    """Who gave permission for this account by this invitation, in this browser, and has not been to
    the bank for it."""
    if not attempts or attempts[-1].outcome != "granted":
        return None
    for key, facts in row.facts.holders.items():
        if facts.visible and not facts.usable:
            return key
    return None


def _step(row: Record, holder: str | None) -> Action:
    facts = row.facts.holders.get(holder or row.diagnosis.concerns or "")
    first = facts is not None and facts.authorisation in (
        Authorisation.NONE,
        Authorisation.NEVER_COMPLETED,
    )
    return Action.CONNECT if first else Action.RENEW


def decline(services: Services, token: str, at: Moment) -> None:
    """Not allowed. Raises Missing, Refused closed."""
    with services.store.write() as session:
        invitation = _opened(session, token)
        if not is_open(invitation, at):
            raise Refused("closed")
        invitation.opened_at = invitation.opened_at or at.now
        invitation.declined_at = at.now
        for row in asked_for(session, invitation, at):
            add_event(session, row.connection, "invitation_declined", at, invitation=invitation.id)


def ask_again(services: Services, token: str, at: Moment) -> None:
    """The link is too old: who asked is told that a new one is wanted, once. Raises Missing,
    Refused closed where a new one would be against somebody's will."""
    with services.store.write() as session:
        invitation = _opened(session, token)
        if state_of_invitation(invitation, at.now) is not State.EXPIRED:
            raise Refused("closed")
        if invitation.asked_again_at is not None:
            return
        invitation.asked_again_at = at.now
        rows = asked_for(session, invitation, at)
        for row in rows:
            add_event(session, row.connection, "invitation_wanted", at, invitation=invitation.id)
        sender = session.get(User, invitation.created_by_id) if invitation.created_by_id else None
        if sender is None:
            return
        locale = sender.locale or services.office.locale
        queue(
            session,
            services,
            asked_again_letter(
                Voice(locale),
                to=sender.name,
                name=invitation.name,
                administrations=administrations(session, invitation),
                url=f"{services.office.origin}/?administration={invitation.administration_id}"
                f"&connection={rows[0].connection.id}#connection-{rows[0].connection.id}",
                app=services.office.app,
            ),
            at,
            kind="asked_again",
            email=sender.email,
            name=sender.name,
            administration_id=invitation.administration_id,
            user_id=sender.id,
        )


def finish(services: Services, token: str, at: Moment, *, browser: str) -> Attempt:
    """What arrived in another browser is taken in here, where it began. Raises Missing."""
    found = look(services, token, at)
    if found.attempt is None or not come_back.can_finish(found.attempt, browser):
        raise Missing
    come_back.finish_attempt(services, found.attempt.id, at)
    return found.attempt
