"""Take in a file: look at what a statement file would bring, and bring it, each booking once.

Looking writes nothing. Confirming judges again, against what is stored by then, in the transaction
that stores rows, days and balances; pressed twice, or with the same file again, it changes nothing.
As long as nothing else came in after it, all of it can be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session

from banklink.actions import balances
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import hold, settle
from banklink.actions.uploads import TABLE, merged, of_connection, usable
from banklink.core import dedup
from banklink.core.calendar import Moment
from banklink.core.coverage import Span, first_wanted, without
from banklink.core.dedup import Kind, Verdict
from banklink.core.money import to_minor
from banklink.statements import Booking, Statement
from banklink.statements.ours import Part
from banklink.statements.reading import File, balance, days_told, difference, read_file
from banklink.store import bookings as shelf
from banklink.store.asides import ASIDE
from banklink.store.facts import add_event, taking_place
from banklink.store.models import (
    Administration,
    Balance,
    Connection,
    Coverage,
    Export,
    ExportMark,
    FetchRun,
    Remark,
    Transaction,
    TransactionAlias,
    Upload,
)

_DAY = timedelta(days=1)

SAME, NEW, OUT, LATER = "same", "new", "out", "later"
"""What a person may say of a booking in doubt: it is the one that is there ("same:17" of row 17,
and of no other one); it is one of its own; leave it out; or: it goes to the review tray, to be
decided there."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A booking that may be there already (`like` is the one it may be), or that is new on a day of
    which everything seemed to be known. `number` is its place in the file, from 0."""

    number: int
    booking: dedup.Booking
    like: Transaction | None
    choice: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a file is and would do. `whole`: from where to where it tells everything, by itself or
    because a person said so; `takes`: the days of it that count here. `missing` and `left`: days
    without transactions before and after. `early` and `locked`: bookings before the start date and
    in the locked period, which stay out; `removed`: known ones that somebody took out of the books.
    `lacks`: the days of transactions that are in the books and not in the file, though it tells
    everything of `takes`; a day for each, in order.
    `off`: statements that do not add up: name, what they come to, and what they say."""

    file: File
    part: Part
    whole: Span | None
    takes: tuple[Span, ...]
    missing: tuple[Span, ...]
    left: tuple[Span, ...]
    bookings: int
    new: tuple[dedup.Booking, ...]
    known: int
    removed: int
    lacks: tuple[date, ...]
    doubts: tuple[Doubt, ...]
    early: int
    locked: int
    off: tuple[tuple[str, Decimal, Decimal], ...]
    opening: tuple[Decimal, date] | None
    closing: tuple[Decimal, date] | None


@dataclass(frozen=True, slots=True)
class TakenIn:
    """`result`: ok, or before (it had been taken in already, nothing was changed)."""

    result: str
    added: int = 0
    known: int = 0
    reviewed: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A file, with what of it is this account's and within its days."""

    file: File
    part: Part
    start: date
    inside: tuple[dedup.Booking, ...]
    early: int
    locked: int


# -- looking --------------------------------------------------------------------------------------


def days_missing(
    session: Session, connection_id: int, at: Moment
) -> tuple[list[Span], Span | None]:
    """Stretches that nobody told of; and what comes after the last fetched day, where that is more
    than one fetch brings."""
    connection = session.get_one(Connection, connection_id)
    frame = _frame(connection, _lock_date(session, connection), at)
    left = without([frame], shelf.covered(session, connection_id))
    watermark = connection.watermark
    if watermark is None:
        return [], (left[0][0], left[-1][1]) if left else None
    after = _within(left, (watermark + _DAY, date.max))
    return _within(left, (date.min, watermark)), (after[0][0], after[-1][1]) if after else None


def look(
    services: Services,
    connection_id: int,
    upload_id: int,
    at: Moment,
    *,
    typed: Mapping[str, Any] | None = None,
) -> Look:
    """Raises Missing; Refused `gone` when the content is no longer there and `columns` when nobody
    said yet which column is what; and whatever `uploads.usable` does, where the books changed."""
    with services.store.read() as session:
        upload = of_connection(session, connection_id, upload_id)
        connection = session.get_one(Connection, connection_id)
        lock_date = _lock_date(session, connection)
    read = _read(services, connection, upload, lock_date, at)
    choices = merged(upload.choices, typed or {})
    own, frame = read.part.own, _frame(connection, lock_date, at)
    told, whole = _told(own, choices, at)
    takes = _within(told, frame)
    with services.store.read() as session:
        covered = shelf.covered(session, connection_id)
        reading = shelf.Reading(connection_id, _scope(upload), trusted=False)
        found = shelf.look(session, reading, read.inside)
        keys = {each.key for each in found.verdicts if each.key is not None}
        there = {
            each.id: each
            for some in _chunks(sorted(keys))
            for each in session.scalars(select(Transaction).where(Transaction.id.in_(some)))
        }
        lacks = _lacks(session, connection_id, takes, found.met)
    missing = without([frame], covered)
    new, doubts = [], []
    for verdict in found.verdicts:
        each = read.inside[verdict.place]
        if _in_doubt(verdict, each, covered):
            choice = choices["rows"].get(str(verdict.place), LATER)
            doubts.append(Doubt(verdict.place, each, there.get(verdict.key or 0), choice))
        elif verdict.kind is Kind.NEW:
            new.append(each)
    known = [each for each in found.verdicts if each.kind not in (Kind.NEW, Kind.DOUBTFUL)]
    return Look(
        file=read.file,
        part=read.part,
        whole=whole,
        takes=tuple(takes),
        missing=tuple(missing),
        left=tuple(without(missing, takes)),
        bookings=len(read.inside) + read.early + read.locked,
        new=tuple(sorted(new, key=lambda each: each.booked_on, reverse=True)),
        known=len(known),
        removed=sum(there[each.key or 0].state in ("removed", "rejected") for each in known),
        lacks=tuple(lacks),
        doubts=tuple(doubts),
        early=read.early,
        locked=read.locked,
        off=tuple(
            (each.name, stated - off, stated)
            for each in own
            if (off := difference(each)) and (stated := balance(each, "closing")) is not None
        ),
        opening=_end(own, "opening"),
        closing=_end(own, "closing"),
    )


def _in_doubt(verdict: Verdict, each: dedup.Booking, covered: Iterable[Span]) -> bool:
    """A booking that is new on a day of which everything was told is so as well: a file may date
    differently from the bank, or somebody said too much of an earlier file."""
    if verdict.kind is Kind.NEW:
        return any(first <= each.booked_on <= last for first, last in covered)
    return verdict.kind is Kind.DOUBTFUL


def _lacks(
    session: Session, connection_id: int, takes: Iterable[Span], met: Mapping[int, date]
) -> list[date]:
    """The days of booked rows in `takes` that no booking of the file is, or may be."""
    return [
        row.booked_on
        for span in takes
        for row in session.execute(
            select(Transaction.id, Transaction.booked_on)
            .where(
                Transaction.connection_id == connection_id,
                Transaction.state == "booked",
                Transaction.booked_on.between(*span),
            )
            .order_by(Transaction.booked_on)
        )
        if row.id not in met
    ]


def _scope(upload: Upload) -> str:
    return f"file:{upload.digest}"


def _lock_date(session: Session, connection: Connection) -> date | None:
    return session.get_one(Administration, connection.administration_id).lock_date


def _read(
    services: Services,
    connection: Connection,
    upload: Upload,
    lock_date: date | None,
    at: Moment,
) -> _Read:
    if upload.content is None:
        raise Refused("gone")
    if upload.format == TABLE:
        raise Refused("columns")
    if connection.start_date is None:
        raise Refused("not_started")
    file = read_file(
        upload.content, currency=connection.currency, columns=upload.choices.get("columns")
    )
    part = usable(services, connection, file, at)
    inside, early, locked = [], 0, 0
    for each in (booking for statement in part.own for booking in statement.bookings):
        if each.booked_on < connection.start_date:
            early += 1
        elif lock_date is not None and each.booked_on <= lock_date:
            locked += 1
        else:
            inside.append(_booking(each))
    return _Read(file, part, connection.start_date, tuple(inside), early, locked)


def _booking(each: Booking) -> dedup.Booking:
    return dedup.booking(
        booked_on=each.booked_on,
        value_on=each.value_on,
        amount=to_minor(each.amount, each.currency),
        currency=each.currency,
        counterparty_name=each.counterparty_name,
        counterparty_iban=each.counterparty_account,
        remittance=each.remittance,
        end_to_end_id=each.end_to_end_id,
    )


def _told(
    own: Sequence[Statement], choices: Mapping[str, Any], at: Moment
) -> tuple[list[Span], Span | None]:
    """The days of which the file tells everything, and from where to where that is. What a person
    said goes before it: more days, that it is everything of all of them; fewer, that it is not. A
    day that is not over is nobody's to tell."""
    told = days_told(own)
    if not told:
        return [], None
    whole = told[0][0], min(told[-1][1], at.today)
    said = _day(choices.get("first")) or whole[0], _day(choices.get("last")) or whole[1]
    if said[0] < whole[0] or said[1] > whole[1]:
        told = [said]
    return _within(told, (said[0], min(said[1], at.today - _DAY))), said


def _day(text: object) -> date | None:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        return None


def _frame(connection: Connection, lock_date: date | None, at: Moment) -> Span:
    """The days that count here: from the start date, outside the locked period, that are over."""
    return first_wanted(connection.start_date or at.today, lock_date), at.today - _DAY


def _within(spans: Iterable[Span], frame: Span) -> list[Span]:
    cut = ((max(span[0], frame[0]), min(span[1], frame[1])) for span in spans)
    return [span for span in cut if span[0] <= span[1]]


def _written(spans: Iterable[Span]) -> list[list[str]]:
    """As JSON."""
    return [[first.isoformat(), last.isoformat()] for first, last in spans]


def _end(own: Sequence[Statement], side: str) -> tuple[Decimal, date] | None:
    """The first opening or the last closing balance, with its day."""
    ends = [
        (item.on, number, item.amount)
        for number, each in enumerate(own)
        for item in each.balances
        if item.kind.endswith(side) and item.amount == balance(each, side)
    ]
    if not ends:
        return None
    on, _number, amount = min(ends) if side == "opening" else max(ends)
    return amount, on


def _chunks(keys: Sequence[int]) -> Iterable[Sequence[int]]:
    return (keys[start : start + 1000] for start in range(0, len(keys), 1000))


# -- taking in ------------------------------------------------------------------------------------


def take_in(
    services: Services,
    connection_id: int,
    upload_id: int,
    at: Moment,
    *,
    typed: Mapping[str, Any],
    actor: str,
) -> TakenIn:
    """Raises what `look` does, and Refused `days_wrong` or `days_ahead` for days that a person said
    and that cannot be."""
    with services.store.read() as session:
        upload = of_connection(session, connection_id, upload_id)
        if upload.confirmed_at is not None:
            return TakenIn("before")
        connection = session.get_one(Connection, connection_id)
        lock_date = _lock_date(session, connection)
    _refuse_days(merged(upload.choices, typed), at)
    read = _read(services, connection, upload, lock_date, at)
    with services.store.write() as session:
        taking_place(session, at)
        hold(session, connection.administration_id)
        connection = session.get_one(Connection, connection_id, with_for_update=True)
        upload = of_connection(session, connection_id, upload_id, with_for_update=True)
        if upload.confirmed_at is not None:
            return TakenIn("before")
        if upload.content is None:
            raise Refused("gone")
        if (read.start, lock_date) != (connection.start_date, _lock_date(session, connection)):
            raise Refused("books_changed")
        done = _store(session, connection, upload, read, merged(upload.choices, typed), at, actor)
        settle(session, connection.administration_id, at, actor=actor, only=[connection_id])
    services.store.scrub()
    return done


def _refuse_days(choices: Mapping[str, Any], at: Moment) -> None:
    first, last = _day(choices.get("first")), _day(choices.get("last"))
    for field, day in (("first", first), ("last", last)):
        if day is not None and day > at.today:
            raise Refused("days_ahead", field=field)
    if first is not None and last is not None and first > last:
        raise Refused("days_wrong", field="last")


def _store(
    session: Session,
    connection: Connection,
    upload: Upload,
    read: _Read,
    choices: Mapping[str, Any],
    at: Moment,
    actor: str,
) -> TakenIn:
    covered = shelf.covered(session, connection.id)
    frame = _frame(connection, _lock_date(session, connection), at)
    told, whole = _told(read.part.own, choices, at)
    days = [each.booked_on for each in read.inside]
    beside = session.scalar(
        select(func.count(FetchRun.id)).where(
            FetchRun.connection_id == connection.id, FetchRun.result.is_(None)
        )
    )
    run = FetchRun(
        connection_id=connection.id,
        kind="file",
        reason="file",
        actor=actor,
        upload_id=upload.id,
        scope=_scope(upload),
        since=whole[0] if whole else min(days, default=at.today),
        until=whole[1] if whole else max(days, default=at.today),
        started_at=at.now,
        finished_at=at.now,
        oldest=min(days, default=None),
        newest=max(days, default=None),
        result="ok",
    )
    session.add(run)
    session.flush()
    reading = shelf.Reading(connection.id, run.scope, trusted=False, run_id=run.id)
    found = shelf.look(session, reading, read.inside)
    chosen = _chosen(found, covered, choices["rows"])
    taken = shelf.take(session, reading, chosen.look, at, doubtful=chosen.state)
    session.execute(
        update(Transaction)
        .where(
            Transaction.connection_id == connection.id,
            Transaction.run_id == run.id,
            Transaction.state == "review",
            ASIDE,
            Transaction.resembles_id.is_(None),
        )
        .values(review_reason="late")
        .execution_options(synchronize_session=False)
    )
    shelf.forget_sightings(session, run.id)
    takes = _within(told, frame)
    shelf.cover(session, connection, takes)
    replaced = _take_balances(session, connection, run, read.part.own, at)
    run.seen, run.added = len(read.inside), taken.added
    run.known, run.changed, run.reviewed = taken.known, taken.changed, taken.reviewed
    upload.content, upload.confirmed_at = None, at.now
    upload.choices = {
        "days": _written(without(takes, covered)),
        "told": _written(takes),
        "alone": not beside,
        "balances": replaced,
    }
    add_event(
        session,
        connection,
        "file_taken_in",
        at,
        actor=actor,
        added=taken.added,
        file=upload.name,
    )
    return TakenIn("ok", taken.added, taken.known + taken.changed, taken.reviewed)


@dataclass(frozen=True, slots=True)
class _Chosen:
    look: shelf.Look
    states: Mapping[int, str]

    def state(self, verdict: Verdict) -> str:
        """Of a booking in doubt, by its place."""
        return self.states[verdict.place]


def _chosen(found: shelf.Look, covered: Sequence[Span], rows: Mapping[str, str]) -> _Chosen:
    """What a person said of those in doubt, put over the judgement."""
    verdicts, states = [], {}
    for verdict in found.verdicts:
        choice = rows.get(str(verdict.place), LATER)
        if _in_doubt(verdict, found.bookings[verdict.place], covered):
            if choice == f"{SAME}:{verdict.key}":
                verdict = verdict._replace(kind=Kind.ALIAS, occurrence=0)
            else:
                verdict = verdict._replace(kind=Kind.DOUBTFUL)
                states[verdict.place] = {NEW: "booked", OUT: "rejected"}.get(choice, "review")
        verdicts.append(verdict)
    return _Chosen(replace(found, verdicts=verdicts), states)


def _take_balances(
    session: Session, connection: Connection, run: FetchRun, own: Sequence[Statement], at: Moment
) -> list[dict[str, Any]]:
    """What the file says the account held, and whether the bookings come to that. The day that is
    not over may still change it. Returns what files before it had said in that place."""
    said = [
        replace(each, final=each.on < at.today)
        for statement in own
        for each in balances.said_by_file(statement)
        if each.on <= at.today
    ]
    before = {row.id: _kept(row) for row in session.scalars(_from_files(connection.id))}
    balances.take(session, connection, run, said, at, source=balances.FILE)
    balances.check(session, connection)
    mine = session.scalars(_from_files(connection.id).where(Balance.run_id == run.id))
    return [before[row.id] for row in mine if row.id in before]


def _from_files(connection_id: int) -> Select[Balance]:
    return select(Balance).where(
        Balance.connection_id == connection_id, Balance.source == balances.FILE
    )


def _kept(row: Balance) -> dict[str, Any]:
    """A balance as JSON, to be put back."""
    return {
        "run_id": row.run_id,
        "on": row.on.isoformat(),
        "kind": row.kind,
        "amount": row.amount,
        "final": row.final,
        "seen_at": row.seen_at.isoformat(),
    }


# -- taking back ----------------------------------------------------------------------------------


def run_of(session: Session, upload_id: int) -> FetchRun | None:
    return session.scalar(select(FetchRun).where(FetchRun.upload_id == upload_id))


def why_not_back(session: Session, upload: Upload) -> str | None:
    """`undo_late` once something came in beside it or since, or went out: a fetch that met its rows
    took them for granted, and would not bring them again. `undo_locked` where it brought days of
    books that were locked since. None: it can be taken back."""
    run = run_of(session, upload.id)
    if run is None or run.result != "ok" or not upload.choices.get("alone"):
        return "undo_late"
    since = select(FetchRun.id).where(
        FetchRun.connection_id == run.connection_id, FetchRun.id > run.id
    )
    if session.scalar(since.limit(1)) is not None or _went_out(session, run):
        return "undo_late"
    locked = _lock_date(session, session.get_one(Connection, run.connection_id))
    told = (date.fromisoformat(first) for first, _last in upload.choices["days"])
    first = min(filter(None, (run.oldest, *told)), default=None)
    return "undo_locked" if locked and first and first <= locked else None


def _brought(run: FetchRun) -> tuple[ColumnElement[bool], ...]:
    return (
        Transaction.connection_id == run.connection_id,
        Transaction.booked_on.between(run.oldest or run.since, run.newest or run.until),
        Transaction.run_id == run.id,
    )


def _went_out(session: Session, run: FetchRun) -> bool:
    """Whether a row of the file is in an export, by the rows themselves: an export that began
    earlier may have taken them all the same."""
    rows = select(Transaction.id).where(*_brought(run))
    marked = select(ExportMark.transaction_id).where(ExportMark.transaction_id.in_(rows))
    first = session.scalar(select(func.min(Transaction.id)).where(*_brought(run)))
    period = select(Export.id).where(
        Export.connection_id == run.connection_id,
        Export.kind == "period",
        Export.last_id >= (first or 0),
        Export.since <= (run.newest or run.until),
        Export.until >= (run.oldest or run.since),
    )
    asked = [rows.where(Transaction.export_id.is_not(None)), marked]
    if first is not None:
        asked.append(period)
    return any(session.scalar(each.limit(1)) is not None for each in asked)


def take_back(
    services: Services, connection_id: int, upload_id: int, at: Moment, *, actor: str
) -> int:
    """Everything the file brought goes out of the books again, as if it had never come; returns how
    many booked transactions. Raises Missing, and Refused as
    `why_not_back` says."""
    with services.store.write() as session:
        taking_place(session, at)
        of_connection(session, connection_id, upload_id)
        hold(session, session.get_one(Connection, connection_id).administration_id)
        session.expire_all()  # what was read before it was held may have changed
        connection = session.get_one(Connection, connection_id, with_for_update=True)
        upload = of_connection(session, connection_id, upload_id, with_for_update=True)
        run = run_of(session, upload_id)
        if run is None:
            raise Missing
        if why_not := why_not_back(session, upload):
            raise Refused(why_not)
        brought = _brought(run)
        booked = list(
            session.scalars(select(Transaction.id).where(*brought, Transaction.state == "booked"))
        )
        # Out of the days' sums first, by the one place that keeps them.
        shelf.change_state(session, connection_id, booked, "removed", at, actor=actor)
        for gone in (
            delete(Remark).where(Remark.run_id == run.id),
            delete(Balance).where(Balance.run_id == run.id),
            delete(TransactionAlias).where(
                TransactionAlias.connection_id == connection_id,
                TransactionAlias.scope == run.scope,
            ),
            delete(Transaction).where(*brought),
        ):
            session.execute(gone.execution_options(synchronize_session=False))
        session.add_all(_said_before(connection, each) for each in upload.choices["balances"])
        session.flush()
        told = [(date.fromisoformat(a), date.fromisoformat(b)) for a, b in upload.choices["days"]]
        kept = without(shelf.covered(session, connection_id), told)
        session.execute(delete(Coverage).where(Coverage.connection_id == connection_id))
        shelf.cover(session, connection, kept)
        balances.check(session, connection)
        run.result = "undone"
        add_event(
            session, connection, "file_taken_back", at, actor=actor, added=len(booked),
            file=upload.name,
        )  # fmt: skip
        settle(session, connection.administration_id, at, actor=actor, only=[connection_id])
        return len(booked)


def _said_before(connection: Connection, kept: Mapping[str, Any]) -> Balance:
    return Balance(
        connection_id=connection.id,
        source=balances.FILE,
        currency=connection.currency,
        **{
            **kept,
            "on": date.fromisoformat(kept["on"]),
            "seen_at": datetime.fromisoformat(kept["seen_at"]),
        },
    )
