"""Fetch: bring in what is new since the watermark, each booking exactly once.

A page, its cursor and the counts are stored in one transaction; the watermark moves only with a
fetch that completed, and only to the day the provider itself had last spoken to the bank, so an
outage can delay days but never lose them (peers.md 1.2). Identity is core/dedup.py.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.credentials import ask
from banklink.actions.observe import back_off, observe
from banklink.actions.services import Missing, Services
from banklink.actions.settle import hold, plan_reminders, settle, trouble_over
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.coverage import fetch_window, merge_gaps
from banklink.core.dedup import fingerprint
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Trouble
from banklink.core.money import to_minor
from banklink.core.statuses import Status
from banklink.providers.contract import (
    AccountNotFound,
    AuthorisationEnded,
    ConfigurationError,
    ContractViolation,
    GrantRevoked,
    Page,
    ProviderError,
    ProviderTransaction,
    Temporary,
)
from banklink.store.facts import Record, add_event, record, taking_place
from banklink.store.models import (
    Account,
    Connection,
    FetchRun,
    Grant,
    Transaction,
    TransactionAlias,
)

log = logging.getLogger(__name__)

FETCH_EVERY = timedelta(hours=6)
"""Four unattended fetches a day, no more (RTS Art. 36(5)(b))."""

_LEASE = timedelta(minutes=10)
_RESUME_WITHIN = timedelta(hours=24)
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a fetch ended: ok, busy (another one runs), not_active, or the word of a failure."""

    result: str
    added: int = 0


@dataclass(frozen=True, slots=True)
class _Job:
    administration_id: int
    connection_id: int
    grant_id: int
    scope: str
    run_id: int
    since: date
    cursor: str | None
    fresh: bool


def fetch(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    actor: str | None = None,
    user_ip: str | None = None,
    due_only: bool = False,
) -> Fetched:
    """Fetch one connection now. `user_ip`: a person is waiting, so the provider may ask the bank
    first. `due_only`: do nothing unless it is due (two workers, one fetch). Raises Missing."""
    if not _claim(services, connection_id, at, due_only=due_only):
        return Fetched("busy")
    try:
        if user_ip is not None:
            _ask_bank(services, connection_id, at, user_ip)
        return _fetch(services, connection_id, at, actor)
    except Exception:
        # A fault of ours with one account must not keep the others waiting.
        log.exception("connection %s could not be fetched", connection_id)
        return _set_back(services, connection_id, at)
    finally:
        with services.store.write() as session:
            connection = session.get_one(Connection, connection_id, with_for_update=True)
            connection.fetch_until = None


def _set_back(services: Services, connection_id: int, at: Moment) -> Fetched:
    """Try later, with growing pauses, and let the row say so."""
    with services.store.write() as session:
        connection = session.get_one(Connection, connection_id, with_for_update=True)
        _note_trouble(session, connection, Trouble.OTHER, at)
        connection.next_fetch_at = at.now + back_off(connection.failures)
    return Fetched("outage")


def _note_trouble(session: Session, connection: Connection, kind: Trouble, at: Moment) -> None:
    taking_place(session, at)
    connection.failures += 1
    connection.outage_since = connection.outage_since or at.now
    connection.outage_kind = kind.value


def _trouble(error: ProviderError) -> Trouble:
    """What a failure says of the provider. An answer that means *not now* or *not you* is one."""
    if isinstance(error, ConfigurationError):
        return Trouble.REFUSED
    silent = error.http_status is None or error.http_status >= 500
    return Trouble.UNREACHABLE if isinstance(error, Temporary) and silent else Trouble.OTHER


def fetch_all(
    services: Services, connection_ids: Sequence[int], at: Moment, *, actor: str | None = None
) -> dict[int, Fetched]:
    return {each: fetch(services, each, at, actor=actor) for each in connection_ids}


def _claim(services: Services, connection_id: int, at: Moment, *, due_only: bool) -> bool:
    wanted = update(Connection).where(
        Connection.id == connection_id,
        Connection.fetch_until.is_(None) | (Connection.fetch_until < at.real),
    )
    if due_only:
        wanted = wanted.where(Connection.switch == "on", Connection.next_fetch_at <= at.now)
    with services.store.write() as session:
        taken = cast(
            CursorResult[object], session.execute(wanted.values(fetch_until=at.real + _LEASE))
        )
        if taken.rowcount == 1:
            return True
        if session.get(Connection, connection_id) is None:
            raise Missing
        return False


def _ask_bank(services: Services, connection_id: int, at: Moment, user_ip: str) -> None:
    """Let the provider ask the bank, then look at what it now says of the account."""
    with services.store.read() as session:
        found = record(session, connection_id, at)
        share = found.selected_share if found else None
        if share is None or share.account is None or share.account.ref is None:
            return
        grant_id, ref = share.grant.id, share.account.ref
    try:
        ask(
            services,
            grant_id,
            at,
            lambda provider, token: provider.synchronise(token, account_ref=ref, user_ip=user_ip),
        )
        observe(services, grant_id, at)
    except ProviderError as error:
        log.info("connection %s: bank not asked: %s", connection_id, error.code)


def _fetch(services: Services, connection_id: int, at: Moment, actor: str | None) -> Fetched:
    with services.store.write() as session:
        found = record(session, connection_id, at)
        assert found is not None
        if found.diagnosis.status is not Status.ACTIVE:
            found.connection.next_fetch_at = None
            return Fetched("not_active")
        job = _begin(session, found, at)
    try:
        added = _pages(services, job, at)
    except ProviderError as error:
        return _failed(services, job, at, error)
    with services.store.write() as session:
        return _complete(session, job, at, actor, added)


def _begin(session: Session, found: Record, at: Moment) -> _Job:
    """A new run, or the one a crash left behind, at its cursor."""
    connection, share = found.connection, found.selected_share
    assert share is not None and share.account is not None
    account = share.account
    assert account.ref is not None and connection.start_date is not None
    until = min(at.today, amsterdam_day(account.synchronized_at or at.now))
    run = session.scalar(
        select(FetchRun)
        .where(FetchRun.connection_id == connection.id)
        .order_by(FetchRun.id.desc())
        .limit(1)
    )
    window = fetch_window(
        start=connection.start_date,
        watermark=connection.watermark,
        history_from=account.history_from,
        available_from=account.available_from,
        today=max(until, connection.start_date),
    )
    resumable = (
        run is not None
        and run.result is None
        and run.scope == account.ref
        and run.since <= window.since
        and at.now - run.started_at < _RESUME_WITHIN
    )
    if run is None or not resumable:
        if run is not None and run.result is None:
            run.result, run.finished_at = "abandoned", at.now
        run = FetchRun(
            connection_id=connection.id,
            holder_id=share.holder.id,
            scope=account.ref,
            since=window.since,
            until=window.until,
            started_at=at.now,
        )
        session.add(run)
        session.flush()
    return _Job(
        connection.administration_id,
        connection.id,
        share.grant.id,
        run.scope,
        run.id,
        run.since,
        run.cursor,
        not resumable,
    )


def _pages(services: Services, job: _Job, at: Moment) -> int:
    """Newest first until the window's first day is behind us. Returns how many were new."""
    added, cursor = 0, job.cursor
    seen = {cursor}
    for _ in range(_MOST_PAGES):
        page = page_of(services, job.grant_id, job.scope, cursor, at)
        if page.cursor is not None and page.cursor in seen:
            raise ContractViolation("cursor_does_not_move")
        with services.store.write() as session:
            # Access withdrawn while the page was under way: it comes too late.
            # One that is being withdrawn waits until the page is stored.
            state = session.scalar(
                select(Grant.state).where(Grant.id == job.grant_id).with_for_update(read=True)
            )
            if state != GrantState.ACTIVE:
                raise GrantRevoked("grant_not_active")
            added += _store_page(session, job, page)
        cursor = page.cursor
        seen.add(cursor)
        if cursor is None or (page.transactions and page.transactions[-1].booked_on < job.since):
            return added
    raise ContractViolation("too_many_pages")


def page_of(
    services: Services, grant_id: int, account_ref: str, cursor: str | None, at: Moment
) -> Page:
    """One page of an account's transactions, newest first. Raises ProviderError."""
    return ask(
        services,
        grant_id,
        at,
        lambda provider, token: provider.transactions(
            token, account_ref=account_ref, cursor=cursor
        ),
    )


def _store_page(session: Session, job: _Job, page: Page) -> int:
    """One page, its cursor and its counts, in one transaction."""
    run = session.get_one(FetchRun, job.run_id, with_for_update=True)
    wanted = [each for each in page.transactions if each.booked_on >= job.since]
    prints = [(each.id, _fingerprint(each)) for each in wanted]
    known = _known_rows(session, job, {print_ for _, print_ in prints})
    verdicts = _judge(
        prints,
        scope=job.scope,
        known_ids=_known_ids(session, job, [source_id for source_id, _ in prints]),
        known_rows=known,
    )
    equal = Counter(row.fingerprint for row in known)
    rows = []
    for verdict in verdicts:
        if verdict.key is None:
            print_ = prints[verdict.index][1]
            equal[print_] += 1
            rows.append(_row(job, wanted[verdict.index], print_) | {"occurrence": equal[print_]})
    aliases = [
        {
            "transaction_id": verdict.key,
            "connection_id": job.connection_id,
            "scope": job.scope,
            "source_id": prints[verdict.index][0],
        }
        for verdict in verdicts
        if verdict.key is not None
    ]
    if rows:
        session.execute(insert(Transaction), rows)
    if aliases:
        session.execute(insert(TransactionAlias), aliases)
    run.cursor = page.cursor
    run.seen += len(wanted)
    run.added += len(rows)
    days = [each.booked_on for each in wanted]
    if days:
        run.oldest = min(filter(None, (run.oldest, *days)))
        run.newest = max(filter(None, (run.newest, *days)))
    return len(rows)


def _known_ids(session: Session, job: _Job, ids: list[str]) -> set[str]:
    known: set[str] = set()
    for table in (Transaction, TransactionAlias):
        known |= set(
            session.scalars(
                select(table.source_id).where(
                    table.connection_id == job.connection_id,
                    table.scope == job.scope,
                    table.source_id.in_(ids),
                )
            )
        )
    return known


def _known_rows(session: Session, job: _Job, prints: set[str]) -> list[_Known]:
    rows = session.execute(
        select(Transaction.id, Transaction.fingerprint, Transaction.scope, TransactionAlias.scope)
        .outerjoin(TransactionAlias, TransactionAlias.transaction_id == Transaction.id)
        .where(Transaction.connection_id == job.connection_id, Transaction.fingerprint.in_(prints))
    )
    scopes: dict[tuple[int, str], set[str]] = {}
    for key, print_, scope, alias in rows:
        scopes.setdefault((key, print_), set()).update(filter(None, (scope, alias)))
    return [_Known(key, print_, frozenset(each)) for (key, print_), each in scopes.items()]


def _fingerprint(each: ProviderTransaction) -> str:
    return fingerprint(
        booked_on=each.booked_on,
        value_on=each.value_on,
        amount=_minor(each),
        currency=each.currency,
        counterparty_iban=each.counterparty_iban,
        counterparty_name=each.counterparty_name,
        remittance=each.remittance,
    )


def _minor(each: ProviderTransaction) -> int:
    try:
        minor = to_minor(each.amount, each.currency)
    except ValueError:
        raise ContractViolation("amount_not_exact") from None
    if abs(minor) >= 2**63:
        raise ContractViolation("amount_too_large")
    return minor


def _row(job: _Job, each: ProviderTransaction, print_: str) -> dict[str, object]:
    return {
        "connection_id": job.connection_id,
        "run_id": job.run_id,
        "scope": job.scope,
        "source_id": each.id,
        "fingerprint": print_,
        "booked_on": each.booked_on,
        "value_on": each.value_on,
        "amount": _minor(each),
        "currency": each.currency,
        "counterparty_name": each.counterparty_name,
        "counterparty_iban": each.counterparty_iban,
        "remittance": each.remittance,
    }


def _complete(session: Session, job: _Job, at: Moment, actor: str | None, added: int) -> Fetched:
    taking_place(session, at)
    connection = session.get_one(Connection, job.connection_id, with_for_update=True)
    run = session.get_one(FetchRun, job.run_id)
    account = session.scalar(
        select(Account).where(Account.grant_id == job.grant_id, Account.ref == job.scope)
    )
    run.result, run.finished_at, run.cursor = "ok", at.now, None
    window = fetch_window(
        start=connection.start_date or run.since,
        watermark=connection.watermark,
        history_from=account.history_from if account else None,
        available_from=account.available_from if account else None,
        today=run.until,
    )
    gap = merge_gaps(
        (connection.gap_from, connection.gap_to)
        if connection.gap_from and connection.gap_to
        else None,
        window.gap,
    )
    if gap is not None:
        connection.gap_from, connection.gap_to = gap
    if window.gap is not None:
        add_event(
            session,
            connection,
            "gap",
            at,
            since=window.gap[0].isoformat(),
            until=window.gap[1].isoformat(),
        )
    covers = run.since <= window.since  # unless an earlier start was chosen while it ran
    if covers:
        connection.watermark = max(filter(None, (connection.watermark, run.until)))
    silent = account is not None and account.outage_since is not None
    if not silent:
        connection.last_success = at.now
        connection.last_new = added
    trouble_over(connection)
    again = not job.fresh or not covers
    connection.next_fetch_at = at.now if again else at.now + FETCH_EVERY
    if added or actor is not None:
        add_event(session, connection, "fetched", at, actor=actor, added=added)
    return Fetched("ok", added)


def _failed(services: Services, job: _Job, at: Moment, error: ProviderError) -> Fetched:
    """A refusal becomes a fact; anything else is an outage, retried with growing pauses."""
    log.info("connection %s not fetched: %s", job.connection_id, error.code)
    if isinstance(error, AccountNotFound | AuthorisationEnded):
        try:  # one account's refusal proves little: read the account list before believing it
            observe(services, job.grant_id, at)
        except ProviderError as again:
            error = again
    with services.store.write() as session:
        hold(session, job.administration_id)
        connection = session.get_one(Connection, job.connection_id, with_for_update=True)
        run = session.get_one(FetchRun, job.run_id)
        if isinstance(error, AuthorisationEnded):
            _end_authorisation(session, job, error.code, at)
        if isinstance(error, GrantRevoked | AuthorisationEnded | AccountNotFound):
            run.result, run.finished_at = "refused", at.now
            connection.next_fetch_at = None
            if settle(session, connection.administration_id, at, only=[connection.id]):
                # Refused, and yet nothing we can see is wrong: ask again, but not at once.
                _note_trouble(session, connection, Trouble.OTHER, at)
                connection.next_fetch_at = at.now + back_off(max(3, connection.failures))
            return Fetched("refused")
        if isinstance(error, ContractViolation):
            run.result, run.finished_at = "unreadable", at.now
        _note_trouble(session, connection, _trouble(error), at)
        connection.next_fetch_at = at.now + (error.retry_after or back_off(connection.failures))
        return Fetched("outage")


def _end_authorisation(session: Session, job: _Job, reason: str, at: Moment) -> None:
    account = session.scalar(
        select(Account).join(Grant).where(Grant.id == job.grant_id, Account.ref == job.scope)
    )
    if account is not None and account.ended is None:
        account.ended, account.ended_at = reason, at.now
        plan_reminders(account)
        consents.close_lapsed(session, account.grant_id, at)


@dataclass(frozen=True, slots=True)
class _Known:
    """A stored row of the same fingerprint: its key, and the scopes that have numbered it."""

    key: int
    fingerprint: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What to do with incoming row number `index`: a new row, or another name of row `key`."""

    index: int
    key: int | None


def _judge(
    incoming: Sequence[tuple[str, str]],
    *,
    scope: str,
    known_ids: Iterable[str],
    known_rows: Iterable[_Known],
) -> list[_Verdict]:
    """Decide on one page of (source id, fingerprint) pairs from one scope.

    `known_ids`: source ids of this scope that are stored already; they are left alone.
    `known_rows`: stored rows of the connection with any of these fingerprints.
    Returns verdicts for the others, in order; an id repeated within the page counts once.
    """
    seen = set(known_ids)
    free: dict[str, list[int]] = defaultdict(list)
    for row in known_rows:
        if scope not in row.scopes:
            free[row.fingerprint].append(row.key)
    for keys in free.values():
        keys.sort(reverse=True)
    verdicts = []
    for index, (source_id, print_) in enumerate(incoming):
        if source_id in seen:
            continue
        seen.add(source_id)
        verdicts.append(_Verdict(index, free[print_].pop() if free[print_] else None))
    return verdicts
