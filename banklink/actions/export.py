"""Export: statements for an accounting package, of a period or of what is new since the last ones.

Making one fixes what is in it, its numbers and its balances; the file is written when it is asked
for, as often as somebody wants and in every format, and says the same each time (store/exports.py).

A `new` export opens at the balance at which the one before closed and holds what was booked since,
late days included. What went out and was removed since is taken back by an entry that goes the
other way; what is put back goes out again. So all that went out always adds up to what is booked.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from banklink.actions.services import Missing, Refused, Services
from banklink.core.calendar import FIRST_DAY, Moment
from banklink.core.money import to_minor, typed_amount
from banklink.statements.export import FORMATS, DoesNotFit, write
from banklink.statements.outgoing import Entry, Outgoing, Part
from banklink.store import exports
from banklink.store.database import Store
from banklink.store.exports import DaySum, Line
from banklink.store.facts import add_event
from banklink.store.models import Connection, Export, ExportMark, Transaction

_DAY = timedelta(days=1)
_MOST = 10**15
"""No balance is as large, in minor units."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a file says in words. `head`: titles of columns; `correction`: before the text of what
    is taken back; `mark`: the decimal sign of a sheet."""

    head: Sequence[str]
    remarks: Sequence[str]
    correction: str
    mark: str


# -- making -------------------------------------------------------------------------------------


def export_new(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    format: str,
    locale: str,
    opening: str = "",
    actor: str | None = None,
) -> int:
    """What no export of this kind held. Returns its number. `opening`: what a person says the
    balance was before, asked for the first one where none is known. Raises Refused, Missing."""
    _claim_many(services, connection_id, at)
    with services.store.write() as session:
        connection = _held(session, connection_id)
        former = exports.last_new(session, connection_id)
        export = _begun(session, connection, at, "new", format, locale, actor)
        _claim(session, export)
        days = exports.day_sums(session, export)
        if not days:
            raise Refused("nothing_new")
        first, last = days[0].day, days[-1].day
        known = connection.watermark or last
        if former is None:
            export.since = min(first, connection.start_date or first)
            export.until = max(last, known)
            export.opening, export.basis = _opening(session, connection, export.since, opening)
        else:
            export.floor = former.until
            export.since = min(first, former.until + _DAY)
            export.until = max(last, known, former.until)
            export.opening, export.basis = former.opening + former.total, former.basis
        _finish(session, connection, export, days, at)
        _told(session, connection, export, at, actor)
        return export.number


def export_period(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    format: str,
    locale: str,
    since: date,
    until: date,
    opening: str = "",
    actor: str | None = None,
) -> int:
    """What is booked on these days. Returns its number; the last one's, where asking for it again
    would give the same. Raises Refused, Missing."""
    if since > until:
        raise Refused("period_backwards", field="until")
    if since < FIRST_DAY:
        raise Refused("period_early", field="since", earliest=FIRST_DAY)
    if until > at.today:
        raise Refused("period_future", field="until", offer=at.today.isoformat())
    with services.store.write() as session:
        connection = _held(session, connection_id)
        near = exports.before(session, connection_id, since)
        begins, basis = _opening(session, connection, since, opening)
        export = _begun(session, connection, at, "period", format, locale, actor)
        export.since, export.until, export.opening, export.basis = since, until, begins, basis
        aside = session.scalars(
            select(Transaction.id).where(
                Transaction.connection_id == connection_id,
                exports.ASIDE,
                Transaction.booked_on.between(since, until),
            )
        ).all()
        _mark(session, export, {"out": aside})
        days = exports.day_sums(session, export)
        lost = exports.missing(session, connection_id, since, until)
        if not days and lost == [(since, until)]:
            raise Refused("nothing_fetched", field="period")
        _finish(session, connection, export, days, at)
        if near is not None and near.until + _DAY == since and near.basis == basis:
            apart = export.opening - near.opening - near.total
            if apart:
                last = near.number + near.statements - 1
                export.notes = {**export.notes, "apart": [last, apart]}
        same = _same(session, export, set(aside))
        if same is not None:
            session.execute(delete(ExportMark).where(ExportMark.export_id == export.id))
            session.delete(export)
            return same
        _told(session, connection, export, at, actor)
        return export.number


def _held(session: Session, connection_id: int) -> Connection:
    """The connection, so that nobody else takes its next number or adds to it meanwhile: who writes
    a booking holds its connection too, by the foreign key."""
    connection = session.get(Connection, connection_id, with_for_update=True)
    if connection is None:
        raise Missing
    return connection


def _begun(
    session: Session,
    connection: Connection,
    at: Moment,
    kind: str,
    format: str,
    locale: str,
    actor: str | None,
) -> Export:
    if format not in FORMATS:
        raise Refused("format_unknown", field="format")
    export = exports.unfinished(session, connection.id) if kind == "new" else None
    if export is None:
        export = _empty(session, connection.id, at, kind)
    export.number = exports.next_number(session, connection.id)
    export.format, export.locale = format, locale
    export.created_at, export.created_by = at.now, actor
    session.add(export)
    session.flush()
    return export


def _empty(session: Session, connection_id: int, at: Moment, kind: str) -> Export:
    return Export(
        connection_id=connection_id,
        number=0,
        statements=1,
        kind=kind,
        format="",
        locale="",
        since=at.today,
        until=at.today,
        last_id=session.scalar(select(func.max(Transaction.id))) or 0,
        count=0,
        opening=0,
        basis="zero",
        total=0,
        created_at=at.now,
    )


def _claim_many(services: Services, connection_id: int, at: Moment) -> None:
    """Where very many bookings go out, as the first time of a busy account, they are taken some
    thousands at a time, so that nobody waits long for the database. What was taken stays taken when
    this breaks off: under number 0, of which there is one, and the next try goes on with it."""
    with services.store.write() as session:
        _held(session, connection_id)
        export = exports.unfinished(session, connection_id)
        if export is None:
            if exports.waiting(session, connection_id)[0] <= exports.AT_ONCE:
                return
            export = _empty(session, connection_id, at, "new")
            session.add(export)
            session.flush()
        number = export.id
    after: exports.Key | None = exports.START
    while after is not None:
        with services.store.write() as session:
            _held(session, connection_id)
            mine = exports.unfinished(session, connection_id)
            if mine is None or mine.id != number:  # who pressed too has finished it meanwhile
                return
            after = exports.claim_some(session, connection_id, number, after)


def _claim(session: Session, export: Export) -> None:
    """All that is booked and not out yet, and the corrections of what is."""
    back = exports.to_take_back(session, export.connection_id)
    again = exports.to_give_again(session, export.connection_id)
    session.execute(
        update(Transaction)
        .where(
            Transaction.connection_id == export.connection_id,
            Transaction.state == "booked",
            Transaction.export_id.is_(None),
        )
        .values(export_id=export.id),
        execution_options={"synchronize_session": False},
    )
    _mark(session, export, {"back": back, "again": again})


def _mark(session: Session, export: Export, marks: dict[str, Sequence[int]]) -> None:
    rows = [
        {"export_id": export.id, "transaction_id": each, "mark": mark}
        for mark, found in marks.items()
        for each in found
    ]
    if rows:
        session.execute(insert(ExportMark), rows)


def _opening(session: Session, connection: Connection, day: date, typed: str) -> tuple[int, str]:
    known = exports.opening_of(session, connection, day)
    if known is not None:
        return known
    if not typed.strip():
        return exports.counted_from_zero(session, connection, day), "zero"
    return _typed(typed, connection.currency), "typed"


def _typed(text: str, currency: str) -> int:
    found = typed_amount(text)
    try:
        minor = to_minor(found[0], currency) if found is not None else _MOST
    except ValueError:
        minor = _MOST
    if abs(minor) >= _MOST:
        raise Refused("opening_wrong", field="opening")
    return minor


def _finish(
    session: Session,
    connection: Connection,
    export: Export,
    days: Sequence[DaySum],
    at: Moment,
) -> None:
    export.count = sum(each.count for each in days)
    export.total = sum(each.credit + each.debit for each in days)
    export.statements = len(_statements(export, days))
    until = min(export.until, at.today)
    since = export.since if export.floor is None else export.floor + _DAY
    lost = exports.missing(session, connection.id, since, until) if since <= until else []
    review = session.scalar(
        select(func.count())
        .select_from(Transaction)
        .where(
            Transaction.connection_id == connection.id,
            exports.ASIDE,
            Transaction.state == "review",
            Transaction.booked_on <= export.until,
            Transaction.booked_on >= (export.since if export.kind == "period" else FIRST_DAY),
        )
    )
    export.notes = {
        "missing": [[first.isoformat(), last.isoformat()] for first, last in lost],
        "review": review or 0,
    }
    if (most := FORMATS[export.format].most) is not None and _largest(export, days) > most:
        raise Refused("does_not_fit", field="format")
    session.flush()


def _told(
    session: Session, connection: Connection, export: Export, at: Moment, actor: str | None
) -> None:
    """In the row's history: who took what out of the house."""
    add_event(
        session,
        connection,
        "exported",
        at,
        actor=actor,
        number=export.number,
        count=export.count,
        since=export.since.isoformat(),
        until=export.until.isoformat(),
    )


def _same(session: Session, export: Export, aside: set[int]) -> int | None:
    """The number of the last export, when it is this one: pressed twice, made once."""
    last = session.scalar(
        select(Export)
        .where(Export.connection_id == export.connection_id, Export.id != export.id)
        .order_by(Export.number.desc())
        .limit(1)
    )
    # As many, and the same ones left out: bookings are only added, so they are the same.
    names = ("kind", "format", "locale", "since", "until", "count", "opening", "basis", "notes")
    if last is None or any(getattr(last, each) != getattr(export, each) for each in names):
        return None
    before = session.scalars(
        select(ExportMark.transaction_id).where(ExportMark.export_id == last.id)
    )
    return last.number if set(before) == aside else None


# -- the file -----------------------------------------------------------------------------------


def find(session: Session, connection_id: int, number: int) -> Export:
    """Raises Missing."""
    found = session.scalar(
        select(Export).where(Export.connection_id == connection_id, Export.number == number)
    )
    if found is None or not found.number:
        raise Missing
    return found


def file_of(store: Store, export: Export, format: str, words: Words) -> Iterator[bytes]:
    """The file, piece by piece. Raises DoesNotFit at once, before any of it."""
    with store.read() as session:
        connection = session.get_one(Connection, export.connection_id)
        days = exports.day_sums(session, export)
    total = sum(each.credit + each.debit for each in days), sum(each.count for each in days)
    if total != (export.total, export.count):
        raise AssertionError(f"export {export.id} is no longer what went out")
    outgoing = Outgoing(
        key=f"BL-{connection.id}-{export.number}",
        account=connection.iban,
        currency=connection.currency,
        made_at=export.created_at,
        parts=_parts(export, days, _entries(store, export, words)),
        largest=_largest(export, days),
        known=export.basis != "zero",
        remarks=words.remarks,
        head=words.head,
        mark=words.mark,
    )
    return write(format, outgoing)


def _entries(store: Store, export: Export, words: Words) -> Iterator[Any]:
    """By day; what is taken back or given again comes last of its day. A line without a mark is an
    entry as it stands."""
    own = exports.lines(store, export)
    marked = exports.marked_lines(store, export)
    first = next(marked, None)
    if first is None:
        return own
    apart = (_apart(line, export, words) for line in chain((first,), marked))
    return heapq.merge(own, apart, key=itemgetter(1))


def _apart(line: Line, export: Export, words: Words) -> Entry:
    number, booked_on, value_on, amount, name, account, text, end_to_end, mark = line
    back = mark == "back"
    # A booking that comes a second time needs a reference of its own: packages tell by it what they
    # have already. The letter keeps a spreadsheet from reading 5-3 as a day of March.
    return Entry(
        f"C{number}-{export.number}",
        booked_on,
        value_on,
        -amount if back else amount,
        name,
        account,
        f"{words.correction} {text}" if back else text,
        end_to_end,
        back,
    )


def _statements(export: Export, days: Sequence[DaySum]) -> list[tuple[date, list[DaySum]]]:
    """One for each day that has something; what comes late is in the first, whose balance is the
    one that is true then. A period without any has one that says so."""
    found: list[tuple[date, list[DaySum]]] = []
    for each in days:
        on = max(each.day, export.floor) if export.floor else each.day
        late = export.floor is not None and bool(found) and found[-1][0] == export.floor
        if found and (found[-1][0] == on or late):
            found[-1] = (on, [*found[-1][1], each])
        else:
            found.append((on, [each]))
    return found or [(export.until, [])]


def _parts(export: Export, days: Sequence[DaySum], entries: Iterator[Entry]) -> Iterator[Part]:
    balance, number = export.opening, export.number
    for on, held in _statements(export, days):
        count = sum(each.count for each in held)
        credit = sum(each.credit for each in held)
        debit = sum(each.debit for each in held)
        since = held[0].day if held else export.since
        yield Part(
            number=number,
            since=since,
            opens_on=on if held else since,
            on=on,
            opening=balance,
            count=count,
            credit=credit,
            debit=debit,
            entries=islice(entries, count),
        )
        balance += credit + debit
        number += 1


def _largest(export: Export, days: Sequence[DaySum]) -> int:
    balance, largest = export.opening, abs(export.opening)
    for each in days:
        balance += each.credit + each.debit
        largest = max(largest, abs(balance), each.credit - each.debit, each.largest)
    return largest


__all__ = [
    "DoesNotFit",
    "Words",
    "export_new",
    "export_period",
    "file_of",
    "find",
]
