"""A file and a fetch of the same days give no duplicates, in both orders, for every real statement
and for texts that differ; and what several do at once is done once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions.export import export_new, export_period
from banklink.actions.fetch import fetch
from banklink.actions.observe import observe
from banklink.actions.services import Refused
from banklink.actions.take_in_file import TakenIn, look, take_back, take_in
from banklink.actions.uploads import keep
from banklink.core.money import to_minor
from banklink.core.statuses import Action
from banklink.simulator.load import usable_iban
from banklink.simulator.model import BankBooking
from banklink.statements import read_statements
from banklink.store import bookings as shelf
from banklink.store.models import (
    Balance,
    BookedDay,
    Connection,
    FetchRun,
    Transaction,
    TransactionAlias,
    Upload,
)
from tests.support.statements import Line, camt053, mt940, table

from .conftest import BAKERY, SANNE, Books, House, account, at_once

REAL = Path(__file__).parents[1] / "statements" / "data"
FILES = sorted(each.name for each in REAL.iterdir() if each.is_file())


def give(books: Books, data: bytes, iban: str = BAKERY, name: str = "file.sta") -> int:
    return keep(
        books.services, books.connection(iban).id, books.house.at(), name=name, data=data,
        actor=SANNE,
    )  # fmt: skip


def confirm(books: Books, upload: int, iban: str = BAKERY, **typed: Any) -> TakenIn:
    return take_in(
        books.services, books.connection(iban).id, upload, books.house.at(), typed=typed,
        actor=SANNE,
    )  # fmt: skip


def upload(books: Books, data: bytes, iban: str = BAKERY, name: str = "file.sta") -> TakenIn:
    return confirm(books, give(books, data, iban, name), iban)


def seen(books: Books, upload_id: int, iban: str = BAKERY) -> Any:
    return look(books.services, books.connection(iban).id, upload_id, books.house.at())


def rows(books: Books, iban: str = BAKERY, state: str = "booked") -> list[tuple[date, int]]:
    with books.services.store.read() as session:
        found = session.execute(
            select(Transaction.booked_on, Transaction.amount).where(
                Transaction.connection_id == books.connection(iban).id, Transaction.state == state
            )
        )
        return sorted((day, amount) for day, amount in found)


def whole(books: Books, iban: str = BAKERY) -> None:
    """The sums of the days are those of the rows."""
    with books.services.store.read() as session:
        days = {
            row.day: (row.count, row.credit + row.debit)
            for row in session.scalars(
                select(BookedDay).where(BookedDay.connection_id == books.connection(iban).id)
            )
        }
    found: dict[date, tuple[int, int]] = {}
    for day, amount in rows(books, iban):
        count, total = found.get(day, (0, 0))
        found[day] = count + 1, total + amount
    assert days == found


# -- the same days twice --------------------------------------------------------------------------


@pytest.fixture
def books(house: House) -> Books:
    """On since thirty days ago; nothing fetched yet beyond what activating brought."""
    books = house.books(jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]},
                        journals=[BAKERY])  # fmt: skip
    books.activate(start=30)
    return books


def bank_s_own(books: Books, first: date, last: date) -> list[Line]:
    """What the bank booked, as it would write it into a file."""
    house = books.house
    house.booked(BAKERY, first, last)
    with house.simulator.store.transaction() as db:
        found = db.scalars(select(BankBooking).where(BankBooking.booked_on.between(first, last)))
        return [
            (row.booked_on, f"{row.amount / 100:.2f}", row.counterparty or "", row.remittance)
            for row in sorted(found, key=lambda row: (row.booked_on, row.id))
        ]


WRITERS: dict[str, Callable[[list[Line], date, date], bytes]] = {
    "mt940": lambda lines, first, last: mt940(
        BAKERY, lines, opening=(first, "0.00"), closing=(last, "0.00")
    ),
    "camt053": lambda lines, first, last: camt053(BAKERY, lines, period=(first, last)),
    "table": lambda lines, first, last: table(lines, BAKERY),
}


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_of_fetched_days_brings_nothing(books: Books, form: str) -> None:
    today = books.house.at().today
    first, last = today - timedelta(days=20), today - timedelta(days=1)
    lines = bank_s_own(books, first, last)
    assert len(lines) > 5
    before = rows(books)
    done = upload(books, WRITERS[form](lines, first, last))
    assert (done.added, done.reviewed, done.known) == (0, 0, len(lines))
    assert rows(books) == before
    whole(books)


@pytest.mark.parametrize("form", WRITERS)
def test_a_fetch_after_a_file_brings_nothing_of_its_days(house: House, form: str) -> None:
    """The bank is down for ten days; a file fills them; then the bank answers again."""
    books = house.books(jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]},
                        journals=[BAKERY])  # fmt: skip
    books.activate(start=10)
    house.outage()
    first = house.at().today + timedelta(days=1)
    house.later(days=10)
    last = house.at().today - timedelta(days=1)
    lines = bank_s_own(books, first, last)
    assert len(lines) > 3
    done = upload(books, WRITERS[form](lines, first, last))
    assert (done.added, done.reviewed) == (len(lines), 0)
    taken = rows(books)
    house.outage(on=False)
    house.later(hours=7)
    house.jobs()
    assert books.connection().watermark == house.at().today
    assert [row for row in rows(books) if first <= row[0] <= last] == [
        row for row in taken if first <= row[0] <= last
    ]
    assert rows(books, state="review") == []
    assert [(day, amount) for day, amount, _ in house.booked(BAKERY, first, last)] == [
        row for row in rows(books) if first <= row[0] <= last
    ]
    whole(books)


def test_two_equal_coffees_in_a_file_and_at_the_bank_stay_two(books: Books) -> None:
    day = books.house.at().today - timedelta(days=3)
    books.house.book(BAKERY, day, -250, -250)
    books.house.later(hours=7)
    books.house.jobs()
    assert rows(books).count((day, -250)) == 2
    coffees = [(day, "-2.50", "Koffiebar", "Koffie")] * 3
    done = upload(books, mt940(BAKERY, coffees, opening=(day - timedelta(days=1), "10.00")))
    assert (done.known, done.reviewed) == (2, 1), "the third is new on a day that was complete"
    assert rows(books).count((day, -250)) == 2


# -- real statements ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["file", "fetch"])
@pytest.mark.parametrize("name", FILES)
def test_real_statements_by_upload_and_by_the_bank_are_the_same_bookings(
    house: House, name: str, first: str
) -> None:
    """By upload everything the file says goes in; what the simulated bank was filled with from the
    same file then adds nothing; nor the other way round."""
    path = REAL / name
    statement = read_statements(path)[0]
    today = house.at().today
    own = [
        (each.booked_on, to_minor(each.amount, each.currency))
        for part in read_statements(path)
        if (part.account_reference, part.currency)
        == (statement.account_reference, statement.currency)
        for each in part.bookings
    ]
    if max(day for day, _ in own) > today:
        house.later(days=(max(day for day, _ in own) - today).days + 1)
    iban = usable_iban(statement.account_reference)
    start = min(day for day, _ in own)
    books = house.books(jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[iban])
    with house.services.store.write() as session:
        connection = session.scalars(select(Connection).where(Connection.iban == iban)).one()
        connection.start_date = start

    def by_bank() -> None:
        (report, *_) = house.simulator.load([path], holder="jan@devries.example")
        assert report.iban == iban
        books.come_back(books.visit(books.depart(Action.GRANT, iban), tick=[BAKERY, iban]))
        books.activate(iban=iban, start=start.isoformat())
        house.jobs()

    data = path.read_bytes()
    if first == "file":
        done = upload(books, data, iban)
        assert (done.added, done.reviewed, done.known) == (len(own), 0, 0)
        assert rows(books, iban) == sorted(own)
        by_bank()
    else:
        by_bank()
        assert [row for row in rows(books, iban) if row in own] == sorted(own)
        done = upload(books, data, iban)
        assert (done.added, done.reviewed, done.known) == (0, 0, len(own))
    assert sorted(row for row in rows(books, iban) if row in own) == sorted(own)
    assert rows(books, iban, "review") == []
    whole(books, iban)


# -- several at once ------------------------------------------------------------------------------


def missing(books: Books) -> bytes:
    """A file of days that nobody fetched: the bank was down."""
    house = books.house
    house.outage()
    house.later(days=10)
    today = house.at().today
    lines = [(today - timedelta(days=n), "-1.00", "Bar", f"Bon {n}") for n in (8, 7, 7, 5)]
    lines += lines[1:2]
    return mt940(BAKERY, sorted(lines), opening=(today - timedelta(days=9), "10.00"),
                 closing=(today - timedelta(days=2), "5.00"))  # fmt: skip


def test_eight_presses_at_once_take_it_in_once(books: Books) -> None:
    before = len(rows(books))
    number = give(books, missing(books))
    answers = at_once(8, lambda _: confirm(books, number))
    assert sorted(each.result for each in answers) == ["before"] * 7 + ["ok"]
    assert len(rows(books)) == before + 5
    whole(books)


def test_the_same_file_twice_and_a_fetch_at_once_bring_each_booking_once(books: Books) -> None:
    house = books.house
    before = len(rows(books))
    data = missing(books)
    numbers = [give(books, data), give(books, data.replace(b"STARTUMSE", b"ANDERS"))]
    house.outage(on=False)
    house.later(hours=7)
    observe(house.services, books.grant().id, house.at())
    first = house.at().today - timedelta(days=9)
    own = house.booked(BAKERY, first, house.at().today)
    ways: list[Callable[[], object]] = [
        lambda: confirm(books, numbers[0]),
        lambda: confirm(books, numbers[1]),
        lambda: fetch(house.services, books.connection().id, house.at()),
    ]
    answers = at_once(6, lambda number: ways[number % 3]())
    assert [each for each in answers if isinstance(each, BaseException)] == []
    there = [row for row in rows(books) if row[0] >= first]
    waiting = rows(books, state="review")
    assert len(there) + len(waiting) == len(own) + 5
    assert len(rows(books)) >= before
    whole(books)


def test_taking_back_leaves_no_trace_in_rows_days_and_sums(books: Books) -> None:
    house = books.house
    data = missing(books)
    before = rows(books)
    with house.services.store.read() as session:
        covered = shelf.covered(session, books.connection().id)
    number = give(books, data)
    confirm(books, number)
    assert len(rows(books)) == len(before) + 5
    gone = take_back(house.services, books.connection().id, number, house.at(), actor=SANNE)
    assert gone == 5
    assert rows(books) == before
    whole(books)
    with house.services.store.read() as session:
        assert shelf.covered(session, books.connection().id) == covered
        assert session.scalars(select(TransactionAlias)).all() == []
        run = session.scalars(select(FetchRun).where(FetchRun.upload_id == number)).one()
        assert run.result == "undone"
    assert upload(books, data).added == 5


def test_taking_back_leaves_what_an_earlier_file_said_the_account_held(books: Books) -> None:
    day = books.house.at().today - timedelta(days=5)
    same = {"opening": (day - timedelta(days=3), "100.00"), "closing": (day, "100.00")}

    def stated() -> list[tuple[Any, ...]]:
        with books.services.store.read() as session:
            rows = session.scalars(select(Balance).where(Balance.source == "file"))
            return sorted(
                (row.on, row.kind, row.amount, row.final, row.run_id, row.seen_at, row.difference)
                for row in rows
            )

    upload(books, mt940(BAKERY, [], **same))  # type: ignore[arg-type]
    before = stated()
    assert before
    again = give(books, mt940(BAKERY, [], number="00002/001", **same))  # type: ignore[arg-type]
    confirm(books, again)
    take_back(books.services, books.connection().id, again, books.house.at(), actor=SANNE)
    assert stated() == before


@pytest.mark.parametrize("amount", ["10000000000000.01", "-50000000000000.00"])
def test_an_amount_that_cannot_be_stored_is_refused_with_its_line(
    books: Books, amount: str
) -> None:
    day = books.house.at().today - timedelta(days=3)
    with pytest.raises(Refused, match="amount_too_fine") as refused:
        give(books, table([(day, amount, "Bouw", "Termijn")], BAKERY))
    assert refused.value.params["line"] == 2


def test_a_fetch_under_way_keeps_a_file_from_being_taken_back(books: Books) -> None:
    """It may have met the file's rows and taken them for granted."""
    house = books.house
    data = missing(books)
    connection_id = books.connection().id
    with house.services.store.write() as session:
        session.add(
            FetchRun(
                connection_id=connection_id,
                scope="x",
                since=house.at().today,
                until=house.at().today,
                started_at=house.at().now,
            )
        )
    number = give(books, data)
    confirm(books, number)
    with pytest.raises(Refused, match="undo_late"):
        take_back(house.services, connection_id, number, house.at(), actor=SANNE)


@pytest.mark.parametrize("goes_out", ["new", "period"])
def test_a_file_that_an_export_took_along_stays_whenever_that_began(
    books: Books, goes_out: str
) -> None:
    """The export was asked for before the file came, and got to the rows after it."""
    house, connection = books.house, books.connection().id
    data = missing(books)
    asked = house.at()
    house.later(hours=1)
    number = give(books, data)
    confirm(books, number)
    first = min(day for day, _ in rows(books))
    how: dict[str, Any] = {"format": "csv", "locale": "nl"}
    if goes_out == "new":
        export_new(house.services, connection, asked, **how)
    else:
        export_period(house.services, connection, asked, since=first, until=asked.today, **how)
    with pytest.raises(Refused, match="undo_late"):
        take_back(house.services, connection, number, house.at(), actor=SANNE)


def test_a_period_that_went_out_before_keeps_no_file_in(books: Books) -> None:
    house, connection = books.house, books.connection().id
    data, today = missing(books), house.at().today
    export_period(
        house.services, connection, house.at(), format="csv", locale="nl",
        since=today - timedelta(days=30), until=today,
    )  # fmt: skip
    number = give(books, data)
    confirm(books, number)
    assert take_back(house.services, connection, number, house.at(), actor=SANNE) == 5


def test_what_changed_between_looking_and_confirming_counts(books: Books) -> None:
    """A first file brings what the second one showed as new."""
    data = missing(books)
    second = give(books, data.replace(b"STARTUMSE", b"ANDERS"))
    assert len(seen(books, second).new) == 5
    upload(books, data)
    done = confirm(books, second)
    assert (done.added, done.known) == (0, 5)
    with books.services.store.read() as session:
        assert {each.content for each in session.scalars(select(Upload))} == {None}
