"""What is in an export, read in batches: each of them short, by day and number, so that a slow line
keeps nothing open and a file of any length costs no memory.

What is in it never changes, whatever happens to the bookings afterwards: bookings themselves never
do, and which ones they are is fixed. `new`: those that carry its number, and those it takes back
or gives again (ExportMark). `period`: those of its days up to the last one there was when it was
made, but for the ones that were not booked then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    case,
    exists,
    func,
    null,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from banklink.core.coverage import without
from banklink.store.bookings import covered
from banklink.store.database import Store
from banklink.store.models import (
    Balance,
    BookedDay,
    Connection,
    Export,
    ExportMark,
    Transaction,
)

BATCH = 4000
AT_ONCE = 20_000
"""So many bookings are taken in one transaction."""

Key = tuple[date, int]
START: Key = (date.min, 0)
_DAY = timedelta(days=1)
ASIDE = text("transactions.state <> 'booked'")
"""As the index for it says it: SQLite uses one for the very same words only."""

_COLUMNS = (
    Transaction.id,
    Transaction.booked_on,
    Transaction.value_on,
    Transaction.amount,
    Transaction.counterparty_name,
    Transaction.counterparty_iban,
    Transaction.remittance,
    Transaction.end_to_end_id,
)
"""Of a line; behind them comes its mark. In the order in which an entry is written (statements/
outgoing.py, Entry), because nearly all go from the database into the file as they are: rows of the
driver, days as it gives them. Anything made of them in between would be a third of all the work."""
_UNMARKED = null().label("mark")

Line = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class DaySum:
    """The entries of one day: how many, their sums (debit negative), the largest of them."""

    day: date
    count: int
    credit: int
    debit: int
    largest: int


# -- what is in it ------------------------------------------------------------------------------


def _own(session: Session, export: Export) -> list[ColumnElement[bool]]:
    """Without what is taken back or given again, and from the first day there is."""
    if export.kind == "new":
        return [Transaction.export_id == export.id]
    own = [
        Transaction.connection_id == export.connection_id,
        Transaction.booked_on <= export.until,
        Transaction.id <= export.last_id,
    ]
    marks = select(ExportMark.mark).where(ExportMark.export_id == export.id).limit(1)
    if session.scalar(marks) is not None:  # asking it of each row costs, and mostly there is none
        left_out = exists().where(
            ExportMark.export_id == export.id, ExportMark.transaction_id == Transaction.id
        )
        own.append(~left_out)
    return own


def day_sums(session: Session, export: Export) -> list[DaySum]:
    """Every day that has entries, in order."""
    found: dict[date, DaySum] = {}
    own = _summed().where(*_own(session, export), *_from(export))
    for row in session.execute(own.group_by(Transaction.booked_on)):
        found[row[0]] = DaySum(row[0], *map(int, row[1:5]))
    if export.kind == "new":
        marked = (
            _summed()
            .add_columns(ExportMark.mark)
            .join(ExportMark, ExportMark.transaction_id == Transaction.id)
        )
        marked = marked.where(ExportMark.export_id == export.id)
        for row in session.execute(marked.group_by(Transaction.booked_on, ExportMark.mark)):
            day, count, credit, debit, largest = row[0], *map(int, row[1:5])
            if row[5] == "back":
                credit, debit = -debit, -credit
            was = found.get(day, DaySum(day, 0, 0, 0, 0))
            found[day] = DaySum(
                day,
                was.count + count,
                was.credit + credit,
                was.debit + debit,
                max(was.largest, largest),
            )
    return sorted(found.values(), key=lambda each: each.day)


def _summed() -> Any:
    amount = Transaction.amount
    return select(
        Transaction.booked_on,
        func.count(Transaction.id),
        func.sum(case((amount > 0, amount), else_=0)),
        func.sum(case((amount < 0, amount), else_=0)),
        func.max(func.abs(amount)),
    )


def lines(store: Store, export: Export, *, batch: int = BATCH) -> Iterator[Line]:
    """Its entries by day and number, but for the marked ones. No transaction stays open between two
    batches."""
    with store.read() as session:
        own = _own(session, export)
    return _keyset(store, select(*_COLUMNS, _UNMARKED).where(*own), batch, _from(export))


def marked_lines(store: Store, export: Export, *, batch: int = BATCH) -> Iterator[Line]:
    """What it takes back or gives again, in the same way; the mark comes last."""
    marked = (
        select(*_COLUMNS, ExportMark.mark)
        .join(ExportMark, ExportMark.transaction_id == Transaction.id)
        .where(ExportMark.export_id == export.id, ExportMark.mark != "out")
    )
    return _keyset(store, marked, batch)


def _from(export: Export) -> list[ColumnElement[bool]]:
    return [Transaction.booked_on >= export.since] if export.kind == "period" else []


def _keyset(
    store: Store, wanted: Any, batch: int, begin: Sequence[ColumnElement[bool]] = ()
) -> Iterator[Line]:
    """After a batch come the rest of its last day and the days after that: two questions, each of
    which an index answers where it stands. Asked as one, SQLite reads the day, or all days from
    `begin` on, again for every batch."""
    wanted = wanted.order_by(Transaction.booked_on, Transaction.id).limit(batch)
    rows = _rows(store, wanted.where(*begin))
    while rows:
        yield from rows
        number, day = rows[-1][0], date.fromisoformat(str(rows[-1][1]))
        rows = _rows(store, wanted.where(Transaction.booked_on == day, Transaction.id > number))
        if len(rows) < batch:
            rows += _rows(store, wanted.where(Transaction.booked_on > day))


def _rows(store: Store, wanted: Any) -> list[Line]:
    with store.read() as session:
        cursor = session.connection().execute(wanted).cursor
        assert cursor is not None
        return list(cursor.fetchall())


# -- what is to go out --------------------------------------------------------------------------


def last_new(session: Session, connection_id: int) -> Export | None:
    return session.scalar(
        select(Export)
        .where(Export.connection_id == connection_id, Export.kind == "new", Export.number > 0)
        .order_by(Export.number.desc())
        .limit(1)
    )


def unfinished(session: Session, connection_id: int) -> Export | None:
    """The one that is being made of very many bookings, or was when the machine stopped."""
    return session.scalar(
        select(Export).where(Export.connection_id == connection_id, Export.number == 0)
    )


def claim_some(session: Session, connection_id: int, export_id: int, after: Key) -> Key | None:
    """Take the next bookings that are to go out, by day and number. Returns the last one's; None
    when there are none left."""
    key = tuple_(Transaction.booked_on, Transaction.id)
    open_ones = (
        Transaction.connection_id == connection_id,
        Transaction.state == "booked",
        Transaction.export_id.is_(None),
        key > after,
    )
    last = session.execute(
        select(Transaction.booked_on, Transaction.id)
        .where(*open_ones)
        .order_by(Transaction.booked_on, Transaction.id)
        .offset(AT_ONCE - 1)
        .limit(1)
    ).one_or_none()
    until = [] if last is None else [key <= (last[0], last[1])]
    session.execute(
        update(Transaction).where(*open_ones, *until).values(export_id=export_id),
        execution_options={"synchronize_session": False},
    )
    return None if last is None else (last[0], last[1])


def next_number(session: Session, connection_id: int) -> int:
    """The number after the last one that was given out. Needs the connection's lock."""
    last = session.execute(
        select(Export.number, Export.statements)
        .where(Export.connection_id == connection_id)
        .order_by(Export.number.desc())
        .limit(1)
    ).one_or_none()
    return 1 if last is None else last[0] + last[1]


def _flips() -> ColumnElement[int]:
    """-1 of a booking that was taken back, 0 of one that was not or came again."""
    return (
        select(func.coalesce(func.sum(case((ExportMark.mark == "back", -1), else_=1)), 0))
        .where(ExportMark.transaction_id == Transaction.id, ExportMark.mark.in_(("back", "again")))
        .scalar_subquery()
    )


def to_take_back(session: Session, connection_id: int) -> list[int]:
    """Bookings that are out and no longer booked."""
    return list(
        session.scalars(
            select(Transaction.id).where(
                Transaction.connection_id == connection_id,
                Transaction.state.in_(("review", "rejected", "removed")),
                ASIDE,
                Transaction.export_id.is_not(None),
                _flips() == 0,
            )
        )
    )


def to_give_again(session: Session, connection_id: int) -> list[int]:
    """Bookings that were taken back and are booked again."""
    marked = (
        select(ExportMark.transaction_id)
        .join(Export, Export.id == ExportMark.export_id)
        .where(Export.connection_id == connection_id, ExportMark.mark == "back")
    )
    return list(
        session.scalars(
            select(Transaction.id).where(
                Transaction.id.in_(marked),
                Transaction.state == "booked",
                _flips() == -1,
            )
        )
    )


def waiting(session: Session, connection_id: int) -> tuple[int, int]:
    """How many entries the next `new` export will have, and how many of them take something back.
    From what is summed per day already: it costs days, not bookings."""
    booked = session.scalar(
        select(func.coalesce(func.sum(BookedDay.count), 0)).where(
            BookedDay.connection_id == connection_id
        )
    )
    out = session.scalar(
        select(func.coalesce(func.sum(Export.count), 0)).where(
            Export.connection_id == connection_id, Export.kind == "new"
        )
    )
    taken = session.scalar(
        select(func.count())
        .select_from(ExportMark)
        .join(Export, Export.id == ExportMark.export_id)
        .where(Export.connection_id == connection_id, ExportMark.mark == "back")
    )
    back = len(to_take_back(session, connection_id))
    net = int(out or 0) - 2 * int(taken or 0)
    return int(booked or 0) - (net - back) + back, back


def still_so(session: Session, exports: list[Export]) -> dict[int, tuple[int, int]]:
    """Of exports of a period: how many are booked on their days now, and their sum."""
    if not exports:
        return {}
    rows = session.execute(
        select(
            Export.id,
            func.coalesce(func.sum(BookedDay.count), 0),
            func.coalesce(func.sum(BookedDay.credit + BookedDay.debit), 0),
        )
        .outerjoin(
            BookedDay,
            (BookedDay.connection_id == Export.connection_id)
            & BookedDay.day.between(Export.since, Export.until),
        )
        .where(Export.id.in_([each.id for each in exports]), Export.kind == "period")
        .group_by(Export.id)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


# -- balances -----------------------------------------------------------------------------------


def booked_between(session: Session, connection_id: int, since: date, until: date) -> int:
    """The sum of what is booked on these days."""
    found = session.scalar(
        select(func.sum(BookedDay.credit + BookedDay.debit)).where(
            BookedDay.connection_id == connection_id, BookedDay.day.between(since, until)
        )
    )
    return int(found or 0)


def opening_of(session: Session, connection: Connection, day: date) -> tuple[int, str] | None:
    """The balance with which a day begins, and where it comes from; None when no balance is known.

    A period that follows on an earlier one, or overlaps it, is reckoned from where that one opened,
    so that they fit together; else from the nearest balance that the bank or a file stated, with no
    missing days in between where there is such a one; else from what somebody typed once.
    """
    near = before(session, connection.id, day)
    if near is not None and near.basis != "zero":
        return near.opening + _moved(session, connection.id, near.since, day), near.basis
    stated = _stated(session, connection, day)
    if stated is not None:
        start, amount = stated
        return amount + _moved(session, connection.id, start, day), "stated"
    return _counted(session, connection.id, day, "typed")


def counted_from_zero(session: Session, connection: Connection, day: date) -> int:
    """Where none is known: from where the first export counted, so that all of them fit."""
    found = _counted(session, connection.id, day, "zero")
    return 0 if found is None else found[0]


def _counted(session: Session, connection_id: int, day: date, basis: str) -> tuple[int, str] | None:
    counts = Export.count > 0 if basis == "zero" else true()  # one that is being made has none yet
    first = session.scalar(
        select(Export)
        .where(Export.connection_id == connection_id, Export.basis == basis, counts)
        .order_by(Export.number)
        .limit(1)
    )
    if first is None:
        return None
    return first.opening + _moved(session, connection_id, first.since, day), basis


def before(session: Session, connection_id: int, day: date) -> Export | None:
    """The last export of a period that this day follows on or is in; one that begins with it too,
    where there is no other."""
    return session.scalar(
        select(Export)
        .where(
            Export.connection_id == connection_id,
            Export.kind == "period",
            Export.since <= day,
            Export.until >= day - _DAY,
        )
        .order_by(case((Export.since < day, 0), else_=1), Export.number.desc())
        .limit(1)
    )


def _moved(session: Session, connection_id: int, start: date, day: date) -> int:
    """What was booked from the begin of one day to that of another, which may lie before it."""
    if start <= day:
        return booked_between(session, connection_id, start, day - _DAY)
    return -booked_between(session, connection_id, day, start - _DAY)


def _stated(session: Session, connection: Connection, day: date) -> tuple[date, int] | None:
    """The nearest stated balance, as one with which a day begins."""
    rows = session.scalars(
        select(Balance).where(
            Balance.connection_id == connection.id, Balance.currency == connection.currency
        )
    ).all()
    starts = sorted(_as_begin(session, row) for row in [r for r in rows if r.final] or rows)
    earlier = max((each for each in starts if each[0] <= day), default=None)
    later = min((each for each in starts if each[0] > day), default=None)
    both = sorted(filter(None, (earlier, later)), key=lambda each: abs(each[0] - day))
    for start, amount in both:
        first, last = min(start, day), max(start, day) - _DAY
        if not missing(session, connection.id, first, last):
            return start, amount
    return both[0] if both else None


def _as_begin(session: Session, balance: Balance) -> tuple[date, int]:
    """The day that begins with it. One that was said during its day does not know what of that day
    came later (core/balances.py)."""
    if balance.kind == "opening":
        return balance.on, balance.amount
    later: int | None = 0
    if not balance.final:
        later = session.scalar(
            select(func.coalesce(func.sum(Transaction.amount), 0)).where(
                Transaction.connection_id == balance.connection_id,
                Transaction.booked_on == balance.on,
                Transaction.state == "booked",
                Transaction.run_id > balance.run_id,
            )
        )
    return balance.on + _DAY, balance.amount + int(later or 0)


def knows_a_balance(session: Session, connection: Connection) -> bool:
    stated = select(Balance.id).where(Balance.connection_id == connection.id)
    told = select(Export.id).where(Export.connection_id == connection.id, Export.basis != "zero")
    return any(session.scalar(each.limit(1)) is not None for each in (stated, told))


def missing(
    session: Session, connection_id: int, since: date, until: date
) -> list[tuple[date, date]]:
    """Days of a period that no fetch and no file has told of, as stretches; also those before the
    start and after the last fetch."""
    return without([(since, until)], covered(session, connection_id))
