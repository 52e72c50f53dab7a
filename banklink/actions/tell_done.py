"""Tell: a holder renewed, or gave access at their bank; who asked for it hears so, and how many
transactions came in because of it (domain.md B3). Who did it from the row saw it happen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from banklink.actions.colleagues import language, row_address, who_asked
from banklink.actions.outbox import queue
from banklink.actions.services import Services
from banklink.actions.settle import bank_of, hold, same_bank
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Switch
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.mail.bookkeepers import Gained, done
from banklink.mail.voice import Voice
from banklink.store.facts import Record, records
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Connection,
    FetchRun,
    Grant,
    Holder,
    Invitation,
)

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=15)
"""A renewal that was noticed is told so much later: by then who did it is back, and what was missed
has been fetched."""

_ASKED_WITHIN = timedelta(days=30)
_NEVER = datetime.min.replace(tzinfo=UTC)


def tell_return(services: Services, attempt_id: int, at: Moment) -> None:
    """After somebody's return was taken in and the backlog fetched. A fault of ours here must not
    stand between them and the page."""
    try:
        _tell_return(services, attempt_id, at)
    except Exception:
        log.exception("the return of attempt %s was not told", attempt_id)


def _tell_return(services: Services, attempt_id: int, at: Moment) -> None:
    with services.store.write() as session:
        attempt = session.get_one(Attempt, attempt_id)
        hold(session, attempt.administration_id)
        if attempt.outcome != "done":
            return
        grant = _grant_of(session, attempt)
        if grant is None:
            return
        given = attempt.purpose == Action.GRANT.value
        accounts = _to_tell(session, grant, None if given else _bank_of(session, attempt))
        since = _told(accounts)
        # None are left where the clock was quicker, because fetching took long.
        if attempt.invitation_id is not None and accounts:
            _tell(services, session, grant, accounts, at, since=since, attempt=attempt)


def tell_renewals(services: Services, at: Moment) -> int:
    """What was noticed without anybody coming back here: renewed in the entrepreneur app, or along
    with an account of another administration; and what a return brought that nobody told of
    because the machine stopped. Returns how many accounts were dealt with."""
    with services.store.read() as session:
        due = session.scalars(
            select(Account.grant_id).where(Account.renewed_at <= at.now - PATIENCE).distinct()
        ).all()
    dealt_with = 0
    for grant_id in due:
        try:
            with services.store.write() as session:
                dealt_with += _tell_renewal(services, session, grant_id, at)
        except Exception:
            # A fault of ours with one renewal must not keep the others waiting.
            log.exception("a renewal of grant %s was not told", grant_id)
    return dealt_with


def _tell_renewal(services: Services, session: Session, grant_id: int, at: Moment) -> int:
    """A mail for each bank, because each was one step there; of a permission one for all."""
    grant = session.get_one(Grant, grant_id)
    hold(session, grant.administration_id)
    groups: dict[tuple[int | None, str], list[Account]] = {}
    attempts: dict[int, Attempt] = {}
    for account in _to_tell(session, grant, None, at.now - PATIENCE):
        attempt = _brought(session, grant, account)
        if attempt is not None:
            attempts[attempt.id] = attempt
        given = attempt is not None and attempt.purpose == Action.GRANT.value
        key = attempt.id if attempt else None, "" if given else bank_of(account)
        groups.setdefault(key, []).append(account)
    for (attempt_id, _bank), accounts in groups.items():
        attempt = attempts.get(attempt_id or 0)
        _tell(services, session, grant, accounts, at, since=_told(accounts), attempt=attempt)
    return sum(map(len, groups.values()))


def _brought(session: Session, grant: Grant, account: Account) -> Attempt | None:
    """The departure by invitation that this came back with, if any."""
    return session.scalar(
        select(Attempt)
        .join(Invitation, Invitation.id == Attempt.invitation_id)
        .where(
            Attempt.administration_id == grant.administration_id,
            Attempt.outcome == "done",
            Invitation.accepted_by_id == grant.holder_id,
            Invitation.accepted_at == account.renewed_at,
        )
        .order_by(Attempt.id.desc())
        .limit(1)
    )


def _grant_of(session: Session, attempt: Attempt) -> Grant | None:
    if attempt.account_id is not None:
        account = session.get(Account, attempt.account_id)
        return None if account is None else session.get_one(Grant, account.grant_id)
    connection = session.get_one(Connection, attempt.connection_id)
    return session.scalar(
        select(Grant)
        .join(Account, Account.grant_id == Grant.id)
        .where(
            Grant.administration_id == attempt.administration_id,
            Account.iban == connection.iban,
            Account.currency == connection.currency,
            Account.listed,
            Account.authorised_at.is_not(None),
        )
        .order_by(
            (Account.renewed_at.is_not(None)).desc(),
            (Grant.holder_id == connection.selected_id).desc(),
            Grant.granted_at.desc(),
        )
        .limit(1)
    )


def _bank_of(session: Session, attempt: Attempt) -> str | None:
    account = session.get(Account, attempt.account_id) if attempt.account_id else None
    return None if account is None else bank_of(account)


def _to_tell(
    session: Session, grant: Grant, bank: str | None, until: datetime | None = None
) -> list[Account]:
    """What was noted of this grant and not told yet."""
    wanted = select(Account).where(Account.grant_id == grant.id, Account.renewed_at.is_not(None))
    if bank is not None:
        wanted = wanted.where(same_bank(bank))
    if until is not None:
        wanted = wanted.where(Account.renewed_at <= until)
    return list(session.scalars(wanted.order_by(Account.id)))


def _told(accounts: Sequence[Account]) -> datetime:
    """Whoever clears the note tells, and nobody else. Returns since when."""
    since = min((each.renewed_at for each in accounts if each.renewed_at), default=_NEVER)
    for each in accounts:
        each.renewed_at = None
    return since


def _tell(
    services: Services,
    session: Session,
    grant: Grant,
    accounts: Sequence[Account],
    at: Moment,
    *,
    since: datetime,
    attempt: Attempt | None,
) -> None:
    """`attempt`: the departure by invitation that brought it; None where it was merely noticed.
    What somebody took back meanwhile is not told any more."""
    holder = session.get_one(Holder, grant.holder_id)
    gone = holder.forgotten_at is not None or grant.forgotten_at is not None
    if gone or grant.state != GrantState.ACTIVE.value:
        return
    administration = session.get_one(Administration, grant.administration_id)
    renewed = attempt is None or attempt.purpose == Action.RENEW.value
    told = _concerned(session, grant, accounts, at, attempt, renewed=renewed)
    if attempt is not None and attempt.invitation_id is not None:
        invitation = session.get(Invitation, attempt.invitation_id)
    else:
        invitation = _asked(session, grant, accounts[0], since)
    people = who_asked(session, administration.id, invitation)
    if not told or not people:
        return
    fetched = _fetched(session, [each.connection.id for each in told], since)
    ends = [each.valid_until for each in accounts if each.valid_until is not None]
    authorised = max(
        (each.authorised_at for each in accounts if each.authorised_at), default=at.now
    )
    key = f"{grant.id}:{bank_of(accounts[0])}:{authorised.isoformat()}"
    if attempt is not None and attempt.purpose == Action.GRANT.value:
        key = f"attempt:{attempt.id}"  # a date of the bank does not tell it from an earlier one
    for user in people:
        voice, office = Voice(language(user, services.office)), services.office
        queue(
            session,
            services,
            done(
                voice,
                name=user.name,
                holder=holder.name,
                administration=administration.name,
                banks=list(dict.fromkeys(map(bank_of, accounts))),
                accounts=[
                    Gained(
                        each.journal.name if each.journal else voice.gettext("Account"),
                        each.connection.iban,
                        each.diagnosis.row,
                        fetched.get(each.connection.id, 0),
                    )
                    for each in told
                ],
                until=amsterdam_day(min(ends)) if ends else None,
                renewed=renewed,
                url=row_address(services, told[0].connection),
                app=office.app,
            ),
            at,
            kind="done",
            email=user.email,
            name=user.name,
            key=f"done:{key}:{user.id}",
            administration_id=administration.id,
            holder_id=holder.id,
            user_id=user.id,
        )


def _asked(session: Session, grant: Grant, account: Account, since: datetime) -> Invitation | None:
    """The request that a renewal somewhere else answers."""
    return session.scalar(
        select(Invitation)
        .where(
            Invitation.administration_id == grant.administration_id,
            Invitation.purpose == Purpose.RENEW.value,
            Invitation.holder_id == grant.holder_id,
            Invitation.bank == bank_of(account),
            Invitation.created_at > since - _ASKED_WITHIN,
        )
        .order_by(Invitation.id.desc())
        .limit(1)
    )


def _concerned(
    session: Session,
    grant: Grant,
    accounts: Sequence[Account],
    at: Moment,
    attempt: Attempt | None,
    *,
    renewed: bool,
) -> list[Record]:
    """The rows there is something to say of. What was renewed along with another account and is
    not fetched through this holder concerns nobody, unless it was asked for."""
    keys = {(each.iban, each.currency) for each in accounts}
    ids = session.scalars(
        select(Connection.id).where(
            Connection.administration_id == grant.administration_id,
            Connection.iban.in_({iban for iban, _ in keys}),
        )
    ).all()
    session.flush()
    asked_for = attempt.connection_id if attempt is not None else None
    found = []
    for each in records(session, grant.administration_id, at, only=ids):
        connection = each.connection
        on = connection.switch == Switch.ON.value
        through = on and connection.selected_id == grant.holder_id
        wanted = connection.id == asked_for or through or not (renewed or on)
        if (connection.iban, connection.currency) in keys and each.shown and wanted:
            found.append(each)
    return sorted(found, key=lambda each: (each.connection.id != asked_for, each.connection.id))


def _fetched(session: Session, connection_ids: list[int], since: datetime) -> dict[int, int]:
    return {
        connection_id: int(added or 0)
        for connection_id, added in session.execute(
            select(FetchRun.connection_id, func.sum(FetchRun.added))
            .where(FetchRun.connection_id.in_(connection_ids), FetchRun.finished_at >= since)
            .group_by(FetchRun.connection_id)
        )
    }
