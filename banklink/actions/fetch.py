"""Fetch: bring in what is new since the watermark, each booking exactly once.

A page, its cursor and the counts are stored in one transaction, the last one together with what
follows from having read all; so a crash, a fault or a restart at any point goes on where it was.
The watermark moves only with a fetch that completed, and only to the day the provider itself had
last spoken to the bank, so an outage can delay days but never lose them (peers.md 1.2). Identity is
core/dedup.py, which days are asked for core/coverage.py.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    CursorResult,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from banklink.actions import balances, consents, ledger
from banklink.actions.credentials import ask
from banklink.actions.observe import back_off, observe
from banklink.actions.pace import Pace
from banklink.actions.services import Missing, Services
from banklink.actions.settle import hold, plan_reminders, settle, trouble_over
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.coverage import OVERLAP, Span, Window, fetch_window, first_wanted, without
from banklink.core.dedup import Booking, booking, repeated
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Trouble
from banklink.core.money import to_minor
from banklink.core.statuses import Status
from banklink.providers.contract import (
    AccountNotFound,
    AuthorisationEnded,
    ConfigurationError,
    ContractViolation,
    CursorRefused,
    GrantRevoked,
    Page,
    PendingBooking,
    ProviderError,
    ProviderTransaction,
    RateLimited,
    Temporary,
    Unreadable,
)
from banklink.store import bookings
from banklink.store.bookings import Reading, Taken
from banklink.store.facts import Record, add_event, record, taking_place
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    FetchRun,
    Grant,
    PendingTransaction,
    Utc,
)

log = logging.getLogger(__name__)

FETCH_EVERY = timedelta(hours=6)
"""Four unattended fetches a day, no more (RTS Art. 36(5)(b))."""

PATIENCE = timedelta(seconds=10)
"""So long somebody who waits is kept waiting; then the job goes on."""

_A_MOMENT = 0.02
"""Seconds that the next piece of work at most waits while people are being answered."""

_LEASE = timedelta(minutes=10)
_RESUME_WITHIN = timedelta(hours=24)
_MOST_PAGES = 100_000
_SURELY = 5
"""So many at the end of a page, or all of it, lie before the first day that is wanted, before
nothing behind it is looked at: a single old one may have strayed among new ones."""
_AT_ONCE, _AT_ONCE_BESIDE_PEOPLE = 1_000, 250
"""Bookings that are stored in one transaction: few enough that nobody waits long for it."""
_NOT_LONGER = 1.0
"""Seconds after which what has come is stored, and can be seen."""
_MOST_BEGINNINGS = 3
"""Of one fetch: then whatever makes it begin anew is a failure like any other."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a fetch ended: ok, busy (another one runs), going_on (in the job), limited (by the bank,
    it waits), not_active, or the word of a failure. `added`: transactions that are new, also those
    set aside."""

    result: str
    added: int = 0


@dataclass(slots=True)
class _Job:
    """One reading of one account. `start`: as it was when the reading began. `late_before`: what is
    new on days before this one goes to the review tray, if it is in `told`. `resumed_at`: the day
    on which the run was interrupted. `met`, `open_day`: rows of the day that the last page ended
    in, which the next one goes on with. `former`: the bookings of that page, where ids prove
    nothing but were never caught naming two bookings; else None. `before`: how many were new in a
    reading that had to begin again.
    """

    administration_id: int
    connection_id: int
    account_id: int
    grant_id: int
    run_id: int
    start: date
    since: date
    cursor: str | None
    fresh: bool
    reading: Reading
    window: Window
    late_before: date | None
    told: Sequence[Span]
    resumed_at: date | None
    met: dict[int, date] = field(default_factory=dict)
    open_day: date | None = None
    former: Sequence[Booking] | None = None
    before: int = 0

    def is_late(self, day: date) -> bool:
        return (
            self.late_before is not None
            and day < self.late_before
            and any(first <= day <= last for first, last in self.told)
        )


class _Turn:
    """The right to fetch one connection, for a while; renewed with every page (machine time).
    `patience`: how long, in seconds, somebody waits for it; None: nobody does."""

    def __init__(self, connection_id: int, at: Moment, patience: float | None):
        self.connection_id, self._at, self._began = connection_id, at, time.monotonic()
        self._patience = patience
        self.until = self._next()
        self._before = self.until

    @property
    def is_attended(self) -> bool:
        return self._patience is not None

    @property
    def is_over(self) -> bool:
        return self._patience is not None and time.monotonic() - self._began > self._patience

    def renew(self, session: Session) -> None:
        """Raises _Lost when another one took over meanwhile."""
        until = self._next()
        if not self._put(session, until):
            raise _Lost
        self._before, self.until = self.until, until

    def end(self, session: Session) -> None:
        self._put(session, None)

    def _next(self) -> datetime:
        return self._at.real + timedelta(seconds=time.monotonic() - self._began) + _LEASE

    def _put(self, session: Session, until: datetime | None) -> bool:
        """Whether it was ours still. The last renewal may not have been stored."""
        done = session.connection().execute(
            _TURN,
            {
                "key": self.connection_id,
                "mine": self.until,
                "before": self._before,
                "fetch_until": until,
            },
        )
        return done.rowcount == 1


_TURN = (
    update(cast(Table, Connection.__table__))
    .where(
        Connection.__table__.c.id == bindparam("key"),
        Connection.__table__.c.fetch_until.in_(
            [bindparam("mine", type_=Utc()), bindparam("before", type_=Utc())]
        ),
    )
    .values(fetch_until=bindparam("fetch_until"))
)


class _Lost(Exception):
    """Another one fetches this connection now: this one was away for too long."""


def fetch(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    actor: str | None = None,
    user_ip: str | None = None,
    due_only: bool = False,
    reason: str | None = None,
    patience: timedelta | None = None,
) -> Fetched:
    """Fetch one connection now. `user_ip`: a person is waiting, so the provider may ask the bank
    first. `due_only`: it is the clock that asks: do nothing unless it is due (two workers, one
    fetch), and take all the time it needs; else it goes on in the job after `patience` (PATIENCE).
    `reason` for the log, where it does not show from what is known. Raises Missing."""
    waits = PATIENCE if patience is None else patience
    turn = _Turn(connection_id, at, None if due_only else waits.total_seconds())
    if not _claim(services, turn, at, due_only=due_only):
        return Fetched("busy")
    try:
        if user_ip is not None:
            _ask_bank(services, connection_id, at, user_ip)
        return _fetch(services, turn, at, actor, reason)
    except _Lost:
        return Fetched("busy")
    except Exception:
        # A fault of ours with one account must not keep the others waiting.
        log.exception("connection %s could not be fetched", connection_id)
        return _set_back(services, connection_id, at)
    finally:
        with services.store.write() as session:
            turn.end(session)


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
    """One after the other, within the patience of one person; what it does not reach is due, and
    the job comes to it."""
    began, found = time.monotonic(), {}
    for each in connection_ids:
        left = PATIENCE - timedelta(seconds=time.monotonic() - began)
        if left > timedelta(0):
            found[each] = fetch(services, each, at, actor=actor, patience=left)
        else:
            found[each] = Fetched("going_on")
    return found


def _claim(services: Services, turn: _Turn, at: Moment, *, due_only: bool) -> bool:
    wanted = update(Connection).where(
        Connection.id == turn.connection_id,
        Connection.fetch_until.is_(None) | (Connection.fetch_until < at.real),
    )
    if due_only:
        wanted = wanted.where(Connection.switch == "on", Connection.next_fetch_at <= at.now)
    with services.store.write() as session:
        taken = cast(CursorResult[object], session.execute(wanted.values(fetch_until=turn.until)))
        if taken.rowcount == 1:
            return True
        if session.get(Connection, turn.connection_id) is None:
            raise Missing
        return False


def _ask_bank(services: Services, connection_id: int, at: Moment, user_ip: str) -> None:
    """Let the provider ask the bank, then look at what it now says of the account."""
    with services.store.read() as session:
        found = record(session, connection_id, at)
        share = found.selected_share if found else None
        if share is None or share.account is None or share.account.ref is None:
            return
        if ledger.is_paused(share.account, at):
            return
        grant_id, ref, account_id = share.grant.id, share.account.ref, share.account.id
    for look in (
        lambda: ask(
            services,
            grant_id,
            at,
            lambda provider, token: provider.synchronise(token, account_ref=ref, user_ip=user_ip),
        ),
        lambda: observe(services, grant_id, at),
    ):
        try:
            look()
        except RateLimited as error:
            ledger.pause_after(services, account_id, error, at)
            return
        except ProviderError as error:
            log.info("connection %s: bank not asked: %s", connection_id, error.code)


def _fetch(
    services: Services, turn: _Turn, at: Moment, actor: str | None, reason: str | None
) -> Fetched:
    added = 0
    job: _Job | None = None
    for _ in range(_MOST_BEGINNINGS):
        try:
            _note_access(services, turn, ledger.TRANSACTIONS, at)
        except ledger.Spent as spent:
            with services.store.write() as session:
                taking_place(session, at)
                connection = session.get_one(Connection, turn.connection_id, with_for_update=True)
                ledger.wait(connection, spent.until)
            return Fetched("limited")
        with services.store.write() as session:
            found = record(session, turn.connection_id, at)
            assert found is not None
            if found.diagnosis.status is not Status.ACTIVE:
                found.connection.next_fetch_at = None
                return Fetched("not_active")
            job = _begin(services, session, found, at, actor, reason)
            if job is None:
                return Fetched("ok")
        job.before = added
        try:
            return _pages(services, turn, job, at, actor)
        except CursorRefused as error:
            added += _begin_again(services, job, at, error.code)
        except ProviderError as error:
            return _failed(services, job, at, error)
    assert job is not None
    return _failed(services, job, at, Temporary("begins_again_and_again"))


def _note_access(services: Services, turn: _Turn, endpoint: str, at: Moment) -> None:
    """In the ledger, before the provider is asked. Raises ledger.Spent. What cannot be fetched at
    all is noted by nobody."""
    with services.store.read() as session:
        found = record(session, turn.connection_id, at)
        if found is None or found.diagnosis.status is not Status.ACTIVE:
            return
        share = found.selected_share
        assert share is not None and share.account is not None
        account_id = share.account.id
    ledger.note(services, account_id, endpoint, at, attended=turn.is_attended)


def _begin(
    services: Services,
    session: Session,
    found: Record,
    at: Moment,
    actor: str | None,
    reason: str | None,
) -> _Job | None:
    """A new run, or the one a crash left behind, at its cursor. None when no day that is wanted
    has come yet, as far as the provider knows the bank."""
    connection, share = found.connection, found.selected_share
    assert share is not None and share.account is not None
    account = share.account
    assert account.ref is not None and connection.start_date is not None
    told = bookings.covered(session, connection.id)
    half_told = bookings.half_told(session, connection)
    locked_through = session.scalar(
        select(Administration.lock_date).where(Administration.id == connection.administration_id)
    )
    window = fetch_window(
        start=connection.start_date,
        watermark=connection.watermark,
        covered=without(told, half_told),
        history_from=account.history_from,
        available_from=account.available_from,
        asked_from=_asked_from(session, connection.id),
        locked_through=locked_through,
        until=min(at.today, amsterdam_day(account.synchronized_at or at.now)),
    )
    if window is None:
        taking_place(session, at)
        connection.next_fetch_at, connection.last_success = at.now + FETCH_EVERY, at.now
        return None
    last, before = _runs(session, connection.id)
    renewed = before is not None and (
        before.scope != account.ref or before.authorised_at not in (None, account.authorised_at)
    )
    run = last
    resumed = (
        run is not None
        and run.result is None
        and run.scope == account.ref
        and first_wanted(connection.start_date, locked_through) <= run.since <= window.since
        and at.now - run.started_at < _RESUME_WITHIN
        and (run.cursor is not None or run.pages == 0)
    )
    if run is None or not resumed:
        if run is not None and run.result is None:
            _close(session, run, at, "abandoned")
        run = FetchRun(
            connection_id=connection.id,
            reason=reason or _reason(connection, window, before, renewed, actor),
            actor=actor,
            holder_id=share.holder.id,
            scope=account.ref,
            authorised_at=account.authorised_at,
            wanted_from=window.wanted,
            since=window.since,
            until=window.until,
            started_at=at.now,
        )
        session.add(run)
        session.flush()
    trusted = services.provider.ids_stable and connection.ids_doubted_at is None
    return _Job(
        administration_id=connection.administration_id,
        connection_id=connection.id,
        account_id=account.id,
        grant_id=share.grant.id,
        run_id=run.id,
        start=connection.start_date,
        since=run.since,
        cursor=run.cursor,
        fresh=not resumed,
        reading=Reading(connection.id, run.scope, trusted, run.id),
        window=window,
        late_before=connection.watermark if renewed else None,
        told=told,
        resumed_at=run.oldest if resumed else None,
        former=None if trusted or bookings.were_reused(session, connection.id) else (),
    )


def _runs(session: Session, connection_id: int) -> tuple[FetchRun | None, FetchRun | None]:
    """The last fetch, and the last one that completed."""
    last = (
        select(FetchRun)
        .where(FetchRun.connection_id == connection_id, FetchRun.kind == "fetch")
        .order_by(FetchRun.id.desc())
        .limit(1)
    )
    return session.scalar(last), session.scalar(last.where(FetchRun.result == "ok"))


def _asked_from(session: Session, connection_id: int) -> date | None:
    """The first day that a completed fetch asked for."""
    return session.scalar(
        select(func.min(FetchRun.since)).where(
            FetchRun.connection_id == connection_id,
            FetchRun.kind == "fetch",
            FetchRun.result == "ok",
        )
    )


def _reason(
    connection: Connection,
    window: Window,
    before: FetchRun | None,
    renewed: bool,
    actor: str | None,
) -> str:
    switched = connection.switched_at
    if before is None or (switched is not None and before.started_at < switched):
        return "activated"
    if renewed:
        return "renewed"
    if actor is not None:
        return "person"
    overlap = connection.watermark - OVERLAP if connection.watermark else window.since
    return "gap" if window.since < overlap else "schedule"


# -- pages ----------------------------------------------------------------------------------------


def _pages(services: Services, turn: _Turn, job: _Job, at: Moment, actor: str | None) -> Fetched:
    """Newest first until the window's first day is behind us. Small pages that come fast are stored
    several at a time. Raises ProviderError; CursorRefused when the reading has to begin again from
    its first page."""
    cursor = job.cursor
    seen = {cursor}
    batch = _Batch()
    for _ in range(_MOST_PAGES):
        _give_way(services, turn)
        try:
            page = page_of(services, job.grant_id, job.reading.scope, cursor, at)
            if page.cursor is not None and page.cursor in seen:
                raise ContractViolation("cursor_does_not_move")
        except ProviderError:
            if batch.pages:  # what came before it stays
                _store(services, turn, job, batch, at, actor)
            raise
        batch.add(page, job)
        if batch.is_last or batch.is_full(services.pace) or turn.is_over:
            _give_way(services, turn)
            done = _store(services, turn, job, batch, at, actor)
            if done is not None:
                if batch.is_last:
                    _take_pending(services, turn, job, at)
                return done
            batch = _Batch()
        cursor = page.cursor
        seen.add(cursor)
    raise ContractViolation("too_many_pages")


def _give_way(services: Services, turn: _Turn) -> None:
    """To people, unless one of them waits for this."""
    if not turn.is_attended:
        services.pace.give_way(_A_MOMENT)


class _Batch:
    """Pages that are stored together, and what is read of them before anybody waits for it."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.pages = 0
        self.came: list[Booking] = []
        self.odd: list[Unreadable] = []
        self.cursor: str | None = None
        self.last_day: date | None = None
        self.synchronized_at: datetime | None = None
        self.is_last = False
        self.again = 0

    def add(self, page: Page, job: _Job) -> None:
        self.pages += 1
        self.cursor = page.cursor
        self.synchronized_at = self.synchronized_at or page.synchronized_at
        days = [each.booked_on for each in page.transactions]
        if days:
            self.last_day = days[-1]
        self.is_last = page.cursor is None or (bool(days) and max(days[-_SURELY:]) < job.since)
        came, odd = _readable(page, job.since)
        if job.former is not None:
            again = repeated(job.former, came)
            self.again += again
            job.former, came = came or job.former, came[again:]
        self.came += came
        self.odd += odd

    def is_full(self, pace: Pace) -> bool:
        most = min(_AT_ONCE, _AT_ONCE_BESIDE_PEOPLE) if pace.is_busy else _AT_ONCE
        return len(self.came) >= most or time.monotonic() - self._began > _NOT_LONGER


def _store(
    services: Services, turn: _Turn, job: _Job, batch: _Batch, at: Moment, actor: str | None
) -> Fetched | None:
    """In one transaction. Returns what the fetch came to, if it is over."""
    done = None
    with services.store.write() as session:
        if not _is_granted(session, job):
            raise GrantRevoked("grant_not_active")
        turn.renew(session)
        _refuse_closed(session, job)
        run = session.get_one(FetchRun, job.run_id, with_for_update=True)
        going_well = _store_batch(session, job, run, batch, at)
        if going_well and batch.is_last:
            done = _complete(session, job, run, at, actor)
        elif going_well and turn.is_over:
            connection = session.get_one(Connection, job.connection_id)
            connection.next_fetch_at = at.now
            done = Fetched("going_on", run.added + run.reviewed + job.before)
    if not going_well:
        raise CursorRefused("ids_prove_nothing")
    return done


def _is_granted(session: Session, job: _Job) -> bool:
    """False where access was withdrawn while something was under way: it comes too late. One that
    is being withdrawn waits until that is stored."""
    state = session.scalar(
        select(Grant.state).where(Grant.id == job.grant_id).with_for_update(read=True)
    )
    return state == GrantState.ACTIVE


def _refuse_closed(session: Session, job: _Job) -> None:
    """Days that were locked, or left out by a later start, while the pages were under way stay out:
    the reading begins again without them. Raises CursorRefused."""
    books = session.execute(
        select(Connection.start_date, Administration.lock_date)
        .join(Administration, Administration.id == Connection.administration_id)
        .where(Connection.id == job.connection_id)
    ).one()
    if first_wanted(books.start_date or job.start, books.lock_date) > job.since:
        raise CursorRefused("days_closed")


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


def _store_batch(session: Session, job: _Job, run: FetchRun, batch: _Batch, at: Moment) -> bool:
    """Bookings, cursor and counts. False when they show that the bank's ids prove nothing: then
    that is stored, and the reading is to begin again without them."""
    came = batch.came
    job.open_day = batch.last_day or job.open_day
    open_through = None if batch.is_last else job.open_day or date.max
    found = bookings.look(
        session,
        job.reading,
        [*_opened(run.waiting), *came],
        met=job.met.keys(),
        open_through=open_through,
        resumed_at=job.resumed_at,
    )
    if found.caught:
        connection = session.get_one(Connection, job.connection_id, with_for_update=True)
        connection.ids_doubted_at = connection.ids_doubted_at or at.now
        bookings.remark_caught(session, job.reading, found, at)
        _close(session, run, at, "restarted")
        return False
    taken: Taken = bookings.take(session, job.reading, found, at, late=job.is_late)
    for one in batch.odd:
        bookings.remark_unreadable(session, job.reading, one.code, dict(one.content), at)
    if open_through is not None:
        met = {**job.met, **found.met}
        job.met = {key: day for key, day in met.items() if day <= open_through}
    run.cursor, run.waiting = batch.cursor, _sealed(taken.waiting)
    run.synchronized_at = run.synchronized_at or batch.synchronized_at
    run.pages += batch.pages
    run.seen += len(came) + batch.again
    run.added += taken.added
    run.known += taken.known + batch.again
    run.changed += taken.changed
    run.reviewed += taken.reviewed
    run.unreadable += len(batch.odd)
    if came:
        days = {each.booked_on for each in came}
        run.oldest = min(filter(None, (run.oldest, *days)))
        run.newest = max(filter(None, (run.newest, *days)))
    return True


def _readable(page: Page, since: date) -> tuple[list[Booking], list[Unreadable]]:
    """What can be stored of the days that are wanted; and what cannot, or was not understood."""
    came, odd = [], list(page.unreadable)
    for each in page.transactions:
        if each.booked_on < since:
            continue
        try:
            came.append(_booking(each))
        except ValueError as error:
            odd.append(Unreadable(str(error)[:80], {"id": each.id, "amount": str(each.amount)}))
    return came, odd


def _booking(each: ProviderTransaction) -> Booking:
    """Raises ValueError for what cannot be stored."""
    return booking(
        each.booked_on,
        each.value_on,
        to_minor(each.amount, each.currency) if each.minor is None else each.minor,
        each.currency,
        each.counterparty_name,
        each.counterparty_iban,
        each.remittance,
        each.end_to_end_id,
        each.id,
    )


def _sealed(waiting: Sequence[Booking]) -> list[Any] | None:
    """Bookings as JSON."""
    return json.loads(json.dumps(waiting, default=date.isoformat)) if waiting else None


def _opened(waiting: list[Any] | None) -> list[Booking]:
    found = []
    for id_, print_, booked_on, value_on, *rest in waiting or ():
        value = date.fromisoformat(value_on) if value_on else None
        found.append(Booking(id_, print_, date.fromisoformat(booked_on), value, *rest))
    return found


# -- the end --------------------------------------------------------------------------------------


def _complete(session: Session, job: _Job, run: FetchRun, at: Moment, actor: str | None) -> Fetched:
    """All was read: the days count as told, in the transaction that stores the last of it."""
    taking_place(session, at)
    connection = session.get_one(
        Connection, job.connection_id, with_for_update=True, populate_existing=True
    )
    account = session.get_one(Account, job.account_id)
    added = run.added + run.reviewed + job.before
    _close(session, run, at, "ok")
    holes = bookings.missing_days(session, connection)
    until = run.until
    if run.synchronized_at is not None:  # the bookings may be older than the account they are of
        until = min(until, amsterdam_day(run.synchronized_at))
    served = without([(run.since, until)], job.window.unserved)
    lapsed: list[Span] = []
    if connection.start_date is not None and run.since <= until:
        if connection.watermark is not None and connection.watermark <= until:
            lapsed = bookings.half_told(session, connection)
        connection.watermark = max(filter(None, (connection.watermark, until)))
    missing = bookings.cover(session, connection, served, lapsed=lapsed)
    for first, last in without(missing, holes):
        add_event(session, connection, "gap", at, since=first.isoformat(), until=last.isoformat())
    if account.outage_since is None:
        connection.last_success = at.now
        connection.last_new = added
    trouble_over(connection)
    balances.told_by_provider(session, connection, account, run, at)
    earlier = connection.start_date is not None and connection.start_date < job.start
    again = not job.fresh or earlier  # what came, or was wanted, while it ran
    connection.next_fetch_at = at.now if again else at.now + FETCH_EVERY
    if added or actor is not None:
        add_event(session, connection, "fetched", at, actor=actor, added=added)
    return Fetched("ok", added)


def _close(session: Session, run: FetchRun, at: Moment, result: str) -> None:
    run.result, run.finished_at, run.cursor, run.waiting = result, at.now, None, None
    bookings.forget_sightings(session, run.id)


def _begin_again(services: Services, job: _Job, at: Moment, code: str) -> int:
    """The run is over, what it stored stays. Returns how many of that were new."""
    log.info("connection %s is read anew: %s", job.connection_id, code)
    with services.store.write() as session:
        run = session.get_one(FetchRun, job.run_id, with_for_update=True)
        if run.result is None:
            _close(session, run, at, "restarted")
        return run.added + run.reviewed


def _take_pending(services: Services, turn: _Turn, job: _Job, at: Moment) -> None:
    """What is announced takes the place of what was; a failure costs nothing of what is booked."""
    if not hasattr(services.provider, "pending"):
        return
    try:
        ledger.note(services, job.account_id, ledger.PENDING, at, attended=turn.is_attended)
        came = ask(
            services,
            job.grant_id,
            at,
            lambda provider, token: provider.pending(token, account_ref=job.reading.scope),
        )
        rows = [_pending_row(job, each, at) for each in came]
    except (ledger.Spent, ProviderError, ValueError) as error:
        if isinstance(error, RateLimited):
            ledger.pause_after(services, job.account_id, error, at)
        log.info("connection %s: pending not read: %s", job.connection_id, type(error).__name__)
        return
    with services.store.write() as session:
        session.execute(
            delete(PendingTransaction).where(PendingTransaction.connection_id == job.connection_id)
        )
        if rows and _is_granted(session, job):
            session.execute(insert(PendingTransaction), rows)


def _pending_row(job: _Job, each: PendingBooking, at: Moment) -> dict[str, object]:
    return {
        "connection_id": job.connection_id,
        "expected_on": each.expected_on,
        "amount": to_minor(each.amount, each.currency),
        "currency": each.currency,
        "counterparty_name": each.counterparty_name,
        "counterparty_iban": each.counterparty_iban,
        "remittance": each.remittance,
        "seen_at": at.now,
    }


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
            _close(session, run, at, "refused")
            connection.next_fetch_at = None
            if settle(session, connection.administration_id, at, only=[connection.id]):
                # Refused, and yet nothing we can see is wrong: ask again, but not at once.
                _note_trouble(session, connection, Trouble.OTHER, at)
                connection.next_fetch_at = at.now + back_off(max(3, connection.failures))
            return Fetched("refused")
        if isinstance(error, ContractViolation):
            _close(session, run, at, "unreadable")
        if isinstance(error, RateLimited):
            taking_place(session, at)
            connection.failures += 1
            ledger.pause(session, connection, job.account_id, error, at)
            return Fetched("limited")
        _note_trouble(session, connection, _trouble(error), at)
        connection.next_fetch_at = at.now + (error.retry_after or back_off(connection.failures))
        return Fetched("outage")


def _end_authorisation(session: Session, job: _Job, reason: str, at: Moment) -> None:
    account = session.scalar(select(Account).where(Account.id == job.account_id))
    if account is not None and account.ended is None:
        account.ended, account.ended_at = reason, at.now
        plan_reminders(account)
        consents.close_lapsed(session, account.grant_id, at)
