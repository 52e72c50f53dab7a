"""Answer: what the recipient of an invitation does. Nobody is known here yet: the link says what is
asked, and the entrepreneur app's sign-in or the bank says who answers (domain.md B2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions import come_back, throttle
from banklink.actions.colleagues import language, row_address, who_asked
from banklink.actions.depart import depart
from banklink.actions.invite import administrations, asked_for, books_of, end_departures, is_open
from banklink.actions.outbox import queue
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import hold_all
from banklink.actions.sign_in import digest, plain_email
from banklink.core.calendar import EXPIRING_DAYS, Moment
from banklink.core.facts import Authorisation
from banklink.core.invitations import Purpose, State
from banklink.core.statuses import Action
from banklink.mail.voice import Voice
from banklink.mail.wanted import asked_again_letter
from banklink.store.facts import Record, add_event, state_of_invitation
from banklink.store.models import Attempt, Invitation, InvitationLink

_MOST = 20
"""Departures by one invitation from one network address in ten minutes: the provider is not to be
rung like a bell."""


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


def look(services: Services, token: str, at: Moment, *, browser: str | None = None) -> Request:
    """Changes nothing: whatever opens links in mails may do so (domain.md R17). The attempt is the
    last of this browser, best one that waits to be finished here. Raises Missing for a token that
    leads nowhere."""
    with services.store.read() as session:
        invitation = session.get_one(Invitation, _number(session, token))
        rows = tuple(asked_for(session, invitation, at))
        mine = [
            each
            for each in session.scalars(
                select(Attempt)
                .where(Attempt.invitation_id == invitation.id)
                .order_by(Attempt.id.desc())
            )
            if come_back.started_in(each, browser)
        ]
        attempt = next(
            (each for each in mine if come_back.can_finish(each, browser)), next(iter(mine), None)
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
        return all(_lasts(row, str(invitation.holder_id)) for row in rows)
    return all(any(_came(invitation, row, key) for key in row.shares) for row in rows)


def _lasts(row: Record, key: str) -> bool:
    """Whether this holder's authorisation holds for so long that nobody would ask."""
    facts = row.facts.holders.get(key)
    if facts is None or not facts.usable:
        return False
    return facts.days_left is None or facts.days_left > EXPIRING_DAYS


def _came(invitation: Invitation, row: Record, key: str) -> bool:
    """Whether this holder's permission is what was asked for: of the very person, or given since.
    That somebody else's works already is no reason to send a second holder away."""
    facts, share = row.facts.holders[key], row.shares[key]
    since = facts.listed_at is not None and facts.listed_at >= invitation.created_at
    same = share.holder.id == invitation.holder_id or (
        plain_email(share.holder.email or "") == invitation.email
    )
    # A link that is on and fetches through somebody else is not mended by what this one shares
    # already.
    same = same and (row.facts.switch != "on" or key == row.facts.selected)
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
    hold_all(session, books_of(session, number))
    return session.get_one(Invitation, number, with_for_update=True, populate_existing=True)


def allow(
    services: Services,
    token: str,
    at: Moment,
    *,
    browser: str,
    address: str,
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
        throttle.count(session, at, what="answer", who=f"{invitation.id} {address}", most=_MOST)
        invitation.opened_at = invitation.opened_at or at.now
        attempts = [
            each
            for each in session.scalars(
                select(Attempt).where(Attempt.invitation_id == invitation.id).order_by(Attempt.id)
            )
            if come_back.started_in(each, browser)
        ]
    if invitation.purpose == Purpose.RENEW:
        holder = str(invitation.holder_id) if invitation.holder_id else None
        first = next((row for row in rows if not _lasts(row, holder or "")), rows[0])
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
    ibans = {row.connection.iban for row in rows if row.connection.id in (accounts or ())}
    chosen = [row for row in rows if accounts is None or row.connection.iban in ibans]
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
        wanted=list(dict.fromkeys(row.connection.iban for row in chosen)),
        chosen=[row.connection.id for row in chosen],
        email=invitation.email,
    )


def _bank_left(row: Record, attempts: list[Attempt]) -> str | None:
    """Who gave permission for this account by this invitation, in this browser, and has not been to
    the bank for it."""
    given = [each.params.get("holder") for each in attempts if each.outcome == "granted"]
    key = str(given[-1]) if given else ""
    facts = row.facts.holders.get(key)
    return key if facts is not None and facts.visible and not facts.usable else None


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
        end_departures(session, invitation, at)
        for row in asked_for(session, invitation, at):
            add_event(session, row.connection, "invitation_declined", at, invitation=invitation.id)


def reopen(services: Services, token: str, at: Moment) -> None:
    """Whoever said no may still say yes. Raises Missing, Refused closed."""
    with services.store.write() as session:
        invitation = _opened(session, token)
        if invitation.declined_at is None or at.now >= invitation.expires_at:
            raise Refused("closed")
        invitation.declined_at = None


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
        own = [
            row for row in rows if row.connection.administration_id == invitation.administration_id
        ]
        for user in who_asked(session, invitation.administration_id, invitation):
            queue(
                session,
                services,
                asked_again_letter(
                    Voice(language(user, services.office)),
                    to=user.name,
                    name=invitation.name,
                    administrations=administrations(session, invitation),
                    url=row_address(services, (own or rows)[0].connection),
                    app=services.office.app,
                ),
                at,
                kind="asked_again",
                email=user.email,
                name=user.name,
                administration_id=invitation.administration_id,
                holder_id=invitation.holder_id,
                invitation_id=invitation.id,
                user_id=user.id,
            )


def finish(services: Services, token: str, at: Moment, *, browser: str) -> Attempt:
    """What arrived in another browser is taken in here, where it began. Raises Missing."""
    found = look(services, token, at, browser=browser)
    if found.attempt is None or not come_back.can_finish(found.attempt, browser):
        raise Missing
    if not is_open(found.invitation, at):
        raise Missing
    come_back.finish_attempt(services, found.attempt.id, at)
    return found.attempt
