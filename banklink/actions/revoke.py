"""Withdraw access: here at once, and at the provider as soon as it confirms (security.md §2).

One transaction ends the grant: its tokens move to a row of `revocations`, so that no call can be
made with them any more, the rows of the page say what is so, the record ends. Then the provider is
told, with no transaction open; by the job again and again until it confirms. A crash anywhere in
between leaves a row that is due.

What is told is the refresh token, which names one permission for one administration: a permission
given again meanwhile, or for another administration, has tokens of its own and lives on. Only where
the token is lost is the whole integration ended, and only as long as nothing else hangs on it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import ColumnElement, CursorResult, delete, exists, func, select, update
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.credentials import unseal
from banklink.actions.depart import hashed
from banklink.actions.give_back import give_back
from banklink.actions.invite import books_of, still_open
from banklink.actions.provider_settings import from_sealed
from banklink.actions.services import Missing, Refused, Services, Stale
from banklink.actions.settle import WAITING, hold, settle
from banklink.actions.sign_in import plain_email
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.core.statuses import Action
from banklink.providers.contract import BankProvider, Credentials, Person, ProviderError
from banklink.store.facts import add_event
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Connection,
    Consent,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
    Mail,
    Revocation,
)
from banklink.store.vault import SealBroken

log = logging.getLogger(__name__)

PAUSES = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""Between one try and the next; the last again and again."""
_LEASE = timedelta(minutes=5)
"""Longer than telling the provider takes; then a crash is assumed."""
_MAY_COME_BACK = timedelta(hours=2)
"""Longer than a departure can still be answered."""


# -- here -----------------------------------------------------------------------------------------


def withdraw(
    services: Services,
    administration_id: int,
    holder_id: int,
    at: Moment,
    *,
    actor: str,
    seen: str | None = None,
) -> bool:
    """*Toegang intrekken*. Returns whether the provider has confirmed it already. `seen`: which
    permission the person saw (`given`).

    Raises Missing, Refused not_shared when there is nothing (any more) to withdraw, and Stale when
    access was given anew since.
    """
    with services.store.write() as session:
        hold(session, administration_id)
        grant = grant_of(session, administration_id, holder_id)
        if grant.state != GrantState.ACTIVE:
            raise Refused("not_shared")
        if seen is not None and seen != given(session, grant):
            raise Stale(None)
        revocation = end_grant(session, grant, at, actor=actor, reason="withdrawn_here")
        settle(session, administration_id, at, actor=actor)
    return tell(services, revocation.id, at)


def given(session: Session, grant: Grant) -> str:
    """Tells one permission of a holder from the next, also one given while there was another: each
    has its record."""
    last = session.scalar(
        select(func.max(Consent.id)).where(
            Consent.grant_id == grant.id, Consent.channel != consents.SEEN
        )
    )
    return f"{grant.granted_at.isoformat()} {last or 0}"


def grant_of(session: Session, administration_id: int, holder_id: int) -> Grant:
    """Locked. Raises Missing."""
    found = session.scalar(
        select(Grant)
        .where(Grant.administration_id == administration_id, Grant.holder_id == holder_id)
        .with_for_update()
    )
    if found is None:
        raise Missing
    return found


def end_grant(
    session: Session, grant: Grant, at: Moment, *, actor: str | None, reason: str
) -> Revocation:
    """In the caller's transaction, which settles afterwards. Whoever holds the tokens in memory
    loses: the version has moved on."""
    provider = session.get_one(Holder, grant.holder_id).provider
    revocation = give_back(
        session, provider, grant.credentials, at, reason="withdrawn", grant_id=grant.id
    )
    grant.state, grant.revoked_at = GrantState.REVOKED.value, at.now
    grant.withdrawn_at, grant.withdrawn_here = at.real, True
    grant.credentials = grant.access_expires_at = grant.refresh_until = None
    grant.credentials_version += 1
    grant.next_check_at = None
    _end_departures(session, grant, at)
    close_invitations(session, grant, at, actor)
    consents.end(session, grant.id, at, reason=reason, by=actor)
    tell_history(session, grant, "access_withdrawn", at, actor=actor)
    return revocation


def _end_departures(session: Session, grant: Grant, at: Moment) -> None:
    """Steps at the bank that are under way change nothing any more. What left for a permission is
    not known by its person yet; `too_late` knows it when it is back."""
    session.execute(
        update(Attempt)
        .where(
            Attempt.account_id.in_(select(Account.id).where(Account.grant_id == grant.id)),
            Attempt.purpose != Action.GRANT.value,
            Attempt.outcome.is_(None) | Attempt.outcome.in_(WAITING),
        )
        .values(outcome="withdrawn", ended_at=at.real, consumed_at=at.real, finishing_until=None)
    )


def close_invitations(session: Session, grant: Grant, at: Moment, actor: str | None) -> None:
    """Asking on for what was just ended would be against what somebody wants. What is asked for
    other books goes on."""
    holder = session.get_one(Holder, grant.holder_id)
    for each in session.scalars(
        select(Invitation)
        .where(to_holder(holder), asks_of(grant.administration_id), *still_open(at))
        .order_by(Invitation.id)
        .with_for_update()
    ):
        if not leave_to_others(session, each, grant.administration_id):
            each.withdrawn_at, each.withdrawn_by = at.now, actor
    session.flush()


def to_holder(holder: Holder) -> ColumnElement[bool]:
    """Invitations to this person: known by number, or only by address."""
    theirs = (Invitation.holder_id == holder.id) | (Invitation.accepted_by_id == holder.id)
    if holder.email:
        theirs |= func.lower(Invitation.email) == plain_email(holder.email)
    return theirs


def asks_of(administration_id: int) -> ColumnElement[bool]:
    """Invitations that were made here, or ask for accounts of these books."""
    return (Invitation.administration_id == administration_id) | exists().where(
        InvitationAccount.invitation_id == Invitation.id,
        InvitationAccount.connection_id == Connection.id,
        Connection.administration_id == administration_id,
    )


def leave_to_others(session: Session, invitation: Invitation, administration_id: int) -> bool:
    """An invitation that asks for accounts of several books asks for those of these no more, and is
    of one of the others from now on, with its mails. False, and nothing done, where there is no
    other."""
    others = books_of(session, invitation.id) - {administration_id}
    if not others:
        return False
    session.execute(
        delete(InvitationAccount).where(
            InvitationAccount.invitation_id == invitation.id,
            InvitationAccount.connection_id.in_(
                select(Connection.id).where(Connection.administration_id == administration_id)
            ),
        )
    )
    if invitation.administration_id == administration_id:
        invitation.administration_id = min(others)
        session.execute(
            update(Mail)
            .where(Mail.invitation_id == invitation.id, Mail.administration_id == administration_id)
            .values(administration_id=invitation.administration_id)
        )
    return True


def tell_history(
    session: Session, grant: Grant, kind: str, at: Moment, *, actor: str | None = None
) -> None:
    """In the history of every row the holder had to do with."""
    rows = session.scalars(
        select(Connection)
        .join(
            Account,
            (Account.iban == Connection.iban) & (Account.currency == Connection.currency),
        )
        .where(
            Account.grant_id == grant.id, Connection.administration_id == grant.administration_id
        )
        .order_by(Connection.id)
    )
    for each in rows:
        add_event(session, each, kind, at, actor=actor, holder=grant.holder_id)


def too_late(session: Session, attempt: Attempt, person: Person) -> bool:
    """Whether access of this person was withdrawn here since the attempt left: then what it brings
    is not what anybody wants any more."""
    withdrawn = session.scalar(
        select(Grant.withdrawn_at)
        .join(Holder, Holder.id == Grant.holder_id)
        .where(
            Grant.administration_id == attempt.administration_id,
            Holder.provider == attempt.provider,
            Holder.subject.in_(subjects(person.subject)),
        )
    )
    return withdrawn is not None and attempt.created_at <= withdrawn


# -- at the provider ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """What the provider is told, and up to when this caller may."""

    id: int
    until: datetime
    credentials: Credentials | None
    subject: str
    reference: str
    tries: int


class _NotNow(Exception):
    """Something else hangs on what would be ended."""


class _Nothing(Exception):
    """The tokens cannot be read any more, and there is no grant they were of."""


def revoke_due(services: Services, at: Moment) -> int:
    """Tell the provider of everything that is due. Returns how much it confirmed."""
    with services.store.read() as session:
        due = list(
            session.scalars(
                select(Revocation.id)
                .where(Revocation.confirmed_at.is_(None), Revocation.due_at <= at.real)
                .order_by(Revocation.due_at)
            )
        )
    return sum(tell(services, each, at) for each in due)


def tell(services: Services, revocation_id: int, at: Moment) -> bool:
    """Tell the provider of one, as long as it is due and nobody else does. Returns whether it
    confirmed."""
    with services.store.read() as session:
        row = session.get_one(Revocation, revocation_id)
    own = None
    try:
        # Before the claim, which holds only as long as nothing else was set since the row was
        # read: settings changed meanwhile must not carry tokens to another server.
        provider: BankProvider = services.providers[row.provider]
        if row.settings is not None:
            provider = own = from_sealed(services, row.settings)
        job = _claim(services, row, at)
        if job is None:
            return False
        provider.revoke(job.credentials, subject=job.subject, reference=job.reference)
    except ProviderError as error:
        log.info("revocation %s not confirmed: %s", revocation_id, error.code)
        _later(services, revocation_id, at, error.code, error.retry_after)
        return False
    except _NotNow:
        _later(services, revocation_id, at, "others_depend", None)
        return False
    except _Nothing:
        _confirmed(services, revocation_id, at, "lost")
        return False
    except Exception:
        log.exception("revocation %s could not be told", revocation_id)
        _later(services, revocation_id, at, "fault", None)
        return False
    finally:
        if own is not None:
            with suppress(Exception):
                own.close()
    _confirmed(services, revocation_id, at, None)
    return True


def _claim(services: Services, seen: Revocation, at: Moment) -> _Job | None:
    """By one conditional UPDATE: two workers tell it once, and to the service it was `seen` to be
    for. Raises _NotNow and _Nothing."""
    until = at.real + _LEASE
    with services.store.write() as session:
        taken = cast(
            CursorResult[object],
            session.execute(
                update(Revocation)
                .where(
                    Revocation.id == seen.id,
                    Revocation.settings.is_not_distinct_from(seen.settings),
                    Revocation.confirmed_at.is_(None),
                    Revocation.due_at <= at.real,
                    Revocation.claimed_until.is_(None) | (Revocation.claimed_until < at.real),
                )
                .values(claimed_until=until, tries=Revocation.tries + 1)
            ),
        )
        if taken.rowcount != 1:
            return None
    with services.store.read() as session:
        row = session.get_one(Revocation, seen.id)
        grant = session.get(Grant, row.grant_id) if row.grant_id is not None else None
        credentials = _opened(services, row.sealed)
        if credentials is None or credentials.refresh_token is None:
            if grant is None or row.reason != "withdrawn":
                raise _Nothing
            if _something_else_hangs_on_it(session, grant, at):
                raise _NotNow
        holder = session.get_one(Holder, grant.holder_id) if grant else None
        books = session.get_one(Administration, grant.administration_id) if grant else None
        return _Job(
            row.id,
            until,
            credentials,
            holder.subject if holder else "",
            books.reference if books else "",
            row.tries,
        )


def _opened(services: Services, sealed: str | None) -> Credentials | None:
    try:
        return unseal(services, sealed) if sealed is not None else None
    except SealBroken:
        return None


def _something_else_hangs_on_it(session: Session, grant: Grant, at: Moment) -> bool:
    """Ending an integration ends it for all administrations and for good, where the service knows
    only one of each holder. So not while the holder shares anything, nor while somebody is on the
    way to give permission: it could be this holder."""
    shared = select(Grant.id).where(
        Grant.holder_id == grant.holder_id, Grant.state == GrantState.ACTIVE.value
    )
    under_way = select(Attempt.id).where(
        Attempt.purpose == Action.GRANT.value,
        Attempt.parked.is_not(None)
        | (
            # Not back yet, or back and what it brought is being taken in.
            (Attempt.consumed_at.is_(None) | Attempt.outcome.is_(None))
            & (Attempt.created_at > at.real - _MAY_COME_BACK)
        ),
    )
    return bool(session.scalar(select(exists(shared) | exists(under_way))))


def _later(
    services: Services, revocation_id: int, at: Moment, why: str, pause: timedelta | None
) -> None:
    with services.store.write() as session:
        row = session.get_one(Revocation, revocation_id, with_for_update=True)
        if row.confirmed_at is not None:
            return
        step = PAUSES[min(max(row.tries, 1), len(PAUSES)) - 1]
        row.due_at = at.real + max(step, pause or step)
        row.claimed_until, row.error = None, why


def _confirmed(services: Services, revocation_id: int, at: Moment, error: str | None) -> None:
    """Confirmed, or nothing left to be told. The tokens go."""
    with services.store.write() as session:
        found = session.get_one(Revocation, revocation_id)
        grant = session.get(Grant, found.grant_id) if found.grant_id is not None else None
        if grant is not None:
            hold(session, grant.administration_id)
        row = session.get_one(Revocation, revocation_id, with_for_update=True)
        if row.confirmed_at is not None:
            return
        row.confirmed_at, row.error = at.real, error
        row.sealed = row.settings = row.claimed_until = None
        if grant is not None and row.reason == "withdrawn":
            consents.confirm(session, grant.id, at, withdrawn_by=row.created_at)
            tell_history(session, grant, "access_end_confirmed", at)
        if grant is not None:
            holder = session.get_one(Holder, grant.holder_id, with_for_update=True)
            if holder.forgotten_at is not None:
                hide_subject(session, holder)


# -- the number of who is forgotten ---------------------------------------------------------------

_HIDDEN = "forgotten:"


def hide_subject(session: Session, holder: Holder) -> None:
    """The provider's number for somebody who is forgotten goes as soon as nothing has to be told
    about them any more. What takes its place recognises them when they bring the number again, and
    does not tell it."""
    untold = select(Revocation.id).where(
        Revocation.confirmed_at.is_(None),
        Revocation.grant_id.in_(select(Grant.id).where(Grant.holder_id == holder.id)),
    )
    session.flush()
    if not session.scalar(select(exists(untold))) and not holder.subject.startswith(_HIDDEN):
        holder.subject = subjects(holder.subject)[1]


def subjects(subject: str) -> tuple[str, str]:
    """What a holder with this number is known by: it, or what took its place."""
    return subject, _HIDDEN + hashed(subject)
