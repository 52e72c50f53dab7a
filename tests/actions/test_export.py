"""Statements that go out: each booking once, balances that chain, and the same file for ever."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from banklink.actions.export import file_of
from banklink.actions.services import Missing, Refused
from banklink.core.money import to_minor
from banklink.statements import read_statements
from banklink.store import exports
from banklink.store.exports import waiting
from tests.statements import DATA
from tests.support.house import running
from tests.support.ledger import WORDS, Ledger, ledger
from tests.support.outgoing import CAMT, by_strangers

FORMATS = [*CAMT, "mt940", "csv"]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("pg", marks=pytest.mark.postgres)])
def services(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    environment = {}
    if request.param == "pg":
        environment["BANKLINK_DATABASE_URL"] = request.getfixturevalue("postgres_server").migrated()
    folder = tmp_path_factory.mktemp("books")
    with running(folder, demo_data=False, web=False, **environment) as house:
        yield house.services


_MADE = iter(range(10**6))


@pytest.fixture
def books(services: Any) -> Ledger:
    return ledger(services, iban=f"NL00TEST{next(_MADE):010d}")


def october(day: int) -> date:
    return date(2026, 10, day)


def november(day: int) -> date:
    return date(2026, 11, day)


# -- new since the last -------------------------------------------------------------------------


def test_what_is_new_goes_out_once_and_opens_where_the_last_closed(books: Ledger) -> None:
    books.states(october(1), 10_000, kind="opening")
    books.book(october(1), 500, -200)
    books.book(october(3), -50)
    first = books.new()
    assert (first.number, first.statements, first.count) == (1, 2, 3)
    assert (first.opening, first.total, first.basis) == (10_000, 250, "stated")
    books.book(october(5), 7)
    second = books.new("mt940")
    assert (second.number, second.opening, second.total) == (3, 10_250, 7)
    assert books.amounts(first) == [500, -200, -50] and books.amounts(second) == [7]
    numbers = [s.balances[0].amount for e in (first, second) for s in books.statements(e)]
    assert numbers == [Decimal(100), Decimal(103), Decimal("102.50")]


def test_nothing_new_makes_no_statement_and_takes_no_number(books: Ledger) -> None:
    books.book(october(1), 5)
    books.new()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            books.new()
        assert refused.value.code == "nothing_new"
    books.book(october(2), 5)
    assert books.new().number == 2


def test_only_what_is_booked_goes_out(books: Ledger) -> None:
    books.book(october(1), 5)
    for state in ("review", "rejected", "removed"):
        books.book(october(1), 1000, state=state)
    assert books.amounts(books.period(october(1), october(31))) == [5]
    assert books.amounts(books.new()) == [5]


def test_a_late_booking_goes_out_with_the_next_and_no_balance_is_untrue(books: Ledger) -> None:
    books.states(october(31), 100_000)
    books.book(october(10), 100)
    books.book(october(20), 200)
    first = books.new()
    books.book(october(12), 33)
    books.book(october(22), 44)
    books.book(october(24), 55)
    second = books.new()
    opened, closed = books.statements(second)
    assert [each.booked_on for each in opened.bookings] == [october(12), october(22)]
    assert [each.balances[1].on for each in (opened, closed)] == [october(22), october(24)]
    assert second.opening == first.opening + first.total
    late = books.book(october(2), 9)
    third = books.new()
    (only,) = books.statements(third)
    assert only.balances[1].on == october(24) and len(only.bookings) == len(late)


def test_accepted_from_review_it_goes_out(books: Ledger) -> None:
    books.book(october(1), 5)
    (number,) = books.book(october(1), 77, state="review")
    assert books.amounts(books.new()) == [5]
    books.decide("booked", number)
    assert books.amounts(books.new()) == [77]


def test_what_was_removed_after_it_went_out_is_taken_back_and_comes_again(books: Ledger) -> None:
    one, two = books.book(october(1), 500, -200)
    first = books.new()
    data = books.file(first)
    books.decide("removed", one)
    books.book(october(2), 1)
    second = books.new()
    assert books.amounts(second) == [-500, 1]
    text = books.statements(second)[0].bookings[0]
    assert text.remittance.startswith("Terug: Koffie") and text.counterparty_name == "Koffiebar"
    with pytest.raises(Refused):
        books.new()
    books.decide("booked", one)
    third = books.new()
    assert books.amounts(third) == [500]
    books.decide("removed", one)
    books.decide("rejected", two)
    fourth = books.new()
    assert sorted(books.amounts(fourth)) == [-500, 200]
    assert fourth.opening + fourth.total == first.opening + books.booked()
    references = [
        each.bank_reference
        for export in (first, second, third, fourth)
        for statement in books.statements(export)
        for each in statement.bookings
    ]
    assert len(set(references)) == len(references)
    assert books.file(first) == data


def test_a_sheet_takes_no_reference_for_a_day_or_a_figure(books: Ledger) -> None:
    long, short = "1234567890123456", "12345678901"
    (number,) = books.book(october(1), 500, end_to_end_id=long, remittance=short)
    first = books.new()
    books.decide("removed", number)
    second = books.new()
    line = books.file(first, "csv").decode().splitlines()[1]
    assert line.endswith(f";{short};'{long};{number}")
    reference = f"C{number}-{second.number}"
    assert books.file(second, "csv").decode().splitlines()[1].endswith(f";{reference}")
    for format in (*CAMT, "mt940"):
        text = books.file(second, format).decode()
        assert reference in text and f"'{long}" not in text


def test_removed_and_put_back_in_between_nothing_goes_out(books: Ledger) -> None:
    (number,) = books.book(october(1), 5)
    books.new()
    books.decide("removed", number)
    books.decide("booked", number)
    with pytest.raises(Refused):
        books.new()


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_all_that_went_out_adds_up_to_what_is_booked(
    books: Ledger, seed: int
) -> None:
    chance = random.Random(seed)
    rows: list[int] = []
    books.covered((october(1), october(31)))
    made: list[tuple[Any, dict[str, bytes]]] = []
    base: int | None = None
    if chance.random() < 0.5:
        books.states(october(chance.randint(1, 31)), chance.randint(-10_000, 10_000))
    for _ in range(25):
        step = chance.choice(["book", "book", "decide", "decide", "new", "period"])
        if step == "book":
            state = chance.choice(["booked", "booked", "review"])
            amounts = [chance.randint(-999, 999) for _ in range(chance.randint(1, 4))]
            rows += books.book(october(chance.randint(1, 31)), *amounts, state=state)
        elif step == "decide" and rows:
            books.decide(
                chance.choice(["booked", "removed", "rejected", "review"]),
                *chance.sample(rows, min(3, len(rows))),
            )
        elif step == "new":
            with books.services.store.read() as session:
                count, _back = waiting(session, books.connection)
            if count == 0:
                with pytest.raises(Refused):
                    books.new()
                continue
            export = books.new(chance.choice(FORMATS))
            assert export.count == count
            base = export.opening if base is None else base
            assert export.opening + export.total == base + books.booked()
            before = [each for each, _ in made if each.kind == "new"]
            assert not before or export.opening == before[-1].opening + before[-1].total
            made.append((export, {each: books.file(export, each) for each in FORMATS}))
        elif step == "period":
            first, last = sorted(chance.randint(1, 31) for _ in range(2))
            export = books.period(october(first), october(last))
            made.append((export, {each: books.file(export, each) for each in FORMATS}))
    for export, files in made:
        assert {each: books.file(export, each) for each in FORMATS} == files
        books.statements(export)
    spans = sorted({(each.number, each.number + each.statements) for each, _ in made})
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


# -- a period -----------------------------------------------------------------------------------


def test_a_month_follows_on_the_one_before_it(books: Ledger) -> None:
    books.states(date(2026, 9, 30), 1_000)
    books.book(october(5), 100)
    books.book(november(5), -30)
    first = books.period(october(1), october(31))
    second = books.period(november(1), november(23))
    assert (first.opening, first.total, second.opening) == (1_000, 100, 1_100)
    assert "apart" not in second.notes
    books.book(october(6), 7)
    third = books.period(november(1), november(20))
    assert third.opening == 1_107 and third.notes["apart"] == [first.number, 7]
    with books.services.store.read() as session:
        now = exports.still_so(session, [first, second])
    assert now[first.id] == (2, 107) and now[second.id] == (1, -30)


def test_where_a_late_booking_breaks_the_chain_the_statement_says_so(books: Ledger) -> None:
    books.states(date(2026, 9, 30), 1_000)
    books.book(october(5), 100)
    books.covered((october(1), november(20)))
    first = books.period(october(1), october(31))
    books.book(october(6), 7)
    second = books.period(november(1), november(20))
    assert second.notes["apart"] == [first.number, 7]


def test_the_same_period_asked_twice_is_made_once(books: Ledger) -> None:
    books.book(october(5), 100)
    first = books.period(october(1), october(31))
    assert books.period(october(1), october(31)).number == first.number
    assert books.period(october(1), october(31), "csv").number == first.number + first.statements
    books.book(october(5), 1)
    assert books.period(october(1), october(31), "csv").number > first.number + first.statements


def test_a_period_stays_what_it_was_whatever_happens_to_its_bookings(books: Ledger) -> None:
    one, two = books.book(october(5), 100, 200)
    (three,) = books.book(october(6), 300, state="review")
    export = books.period(october(1), october(31))
    files = {each: books.file(export, each) for each in FORMATS}
    books.decide("removed", one)
    books.decide("booked", three)
    books.book(october(7), 400)
    assert {each: books.file(export, each) for each in FORMATS} == files
    assert books.amounts(export) == [100, 200] and two
    assert sorted(books.amounts(books.period(october(1), october(31)))) == [200, 300, 400]


def test_a_period_in_which_nothing_moved_is_one_statement_that_says_so(books: Ledger) -> None:
    books.states(date(2026, 9, 30), 1_000)
    books.covered((date(2026, 9, 1), november(1)))
    export = books.period(october(1), october(31))
    assert (export.count, export.statements) == (0, 1)
    (only,) = books.statements(export)
    assert [(each.amount, each.on) for each in only.balances] == [
        (Decimal(10), october(1)),
        (Decimal(10), october(31)),
    ]


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        (november(1), october(1), "period_backwards"),
        (november(1), date(2026, 11, 24), "period_future"),
        (date(1900, 1, 1), november(1), "period_early"),
        (date(2020, 1, 1), date(2020, 2, 1), "nothing_fetched"),
    ],
)
def test_a_period_that_cannot_be_is_refused(
    books: Ledger, since: date, until: date, code: str
) -> None:
    books.book(october(1), 5)
    with pytest.raises(Refused) as refused:
        books.period(since, until)
    assert refused.value.code == code
    if code == "nothing_fetched":  # the days may have been chosen by their name: shown there
        assert refused.value.field == "period"


def test_missing_days_and_waiting_bookings_are_noted(books: Ledger) -> None:
    books.covered((october(3), october(10)), (october(15), november(20)))
    books.book(october(5), 5)
    books.book(october(6), 5, state="review")
    export = books.period(october(1), november(23))
    assert export.notes == {
        "missing": [
            ["2026-10-01", "2026-10-02"],
            ["2026-10-11", "2026-10-14"],
            ["2026-11-21", "2026-11-23"],
        ],
        "review": 1,
    }


# -- balances -----------------------------------------------------------------------------------


def test_the_opening_balance_is_reckoned_from_the_nearest_one_that_is_known(books: Ledger) -> None:
    books.covered((october(1), november(20)))
    books.book(october(2), 10)
    books.book(october(10), 100)
    books.book(october(20), 1_000)
    books.states(october(1), 5, kind="opening")
    books.states(october(20), 9_999)
    assert books.period(october(3), october(4)).opening == 15
    assert books.period(october(15), october(16)).opening == 9_999 - 1_000


def test_a_balance_beyond_missing_days_is_the_last_resort(books: Ledger) -> None:
    books.covered((october(1), october(9)), (october(12), november(20)))
    books.book(october(9), 100)
    books.book(october(14), 1_000)
    books.states(october(8), 5)
    books.states(october(31), 9_999)
    assert books.period(october(13), october(30)).opening == 8_999


def test_a_balance_said_during_the_day_counts_where_there_is_no_other(books: Ledger) -> None:
    books.book(october(2), 10)
    books.states(october(2), 500, final=False)
    assert books.period(october(2), october(4)).opening == 490
    books.book(october(20), 1)
    books.states(october(1), 7)
    assert books.period(october(20), october(20)).opening == 17


def test_without_any_balance_it_counts_from_zero_and_all_of_it_fits(books: Ledger) -> None:
    books.book(october(2), 10)
    books.book(november(2), 100)
    first = books.period(october(1), october(31))
    second = books.period(november(1), november(20))
    assert [(each.opening, each.basis) for each in (first, second)] == [(0, "zero"), (10, "zero")]
    sheet = books.file(second, "csv").decode()
    assert ";1,00;;" in sheet  # no balance is better than an untrue one


@pytest.mark.parametrize(
    ("typed", "cents"),
    [
        ("1234,56", 123_456),
        ("-1.234,56", -123_456),
        ("1,234.50", 123_450),
        ("12", 1_200),
        ("12,50-", -1_250),
    ],
)
def test_an_opening_balance_that_was_typed_is_kept(books: Ledger, typed: str, cents: int) -> None:
    books.book(october(2), 10)
    books.book(november(2), 100)
    first = books.period(october(1), october(31), opening=typed)
    assert (first.opening, first.basis) == (cents, "typed")
    second = books.period(november(1), november(20), opening="99")
    assert (second.opening, second.basis) == (cents + 10, "typed")
    assert books.new().opening == cents


@pytest.mark.parametrize("typed", ["abc", "1,2345", "1e5", "1 000,123", "9" * 15])
def test_what_is_no_amount_is_refused(books: Ledger, typed: str) -> None:
    books.book(october(2), 10)
    with pytest.raises(Refused) as refused:
        books.new(opening=typed)
    assert (refused.value.code, refused.value.field) == ("opening_wrong", "opening")


def test_an_amount_that_does_not_fit_is_said_before_a_number_is_taken(books: Ledger) -> None:
    books.book(october(2), 10**15)
    with pytest.raises(Refused) as refused:
        books.new("mt940")
    assert refused.value.code == "does_not_fit"
    assert books.new("csv").number == 1


# -- at once, and of any length -----------------------------------------------------------------


def test_two_workers_at_once_take_different_numbers(books: Ledger) -> None:
    for day in range(1, 21):
        books.book(october(day), day)
    made: list[Any] = []
    start = threading.Barrier(8)

    def work(n: int) -> None:
        start.wait()
        with suppress(Refused):  # nothing is new any more
            if n % 2:
                made.append(books.new())
            else:
                made.append(books.period(october(1), october(10 + n), "csv"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    news = [each for each in made if each.kind == "new"]
    assert len(news) == 1 and len(made) == 5
    taken = [n for each in made for n in range(each.number, each.number + each.statements)]
    assert sorted(taken) == list(range(1, len(taken) + 1))


def test_what_happens_while_a_slow_line_takes_the_file_changes_nothing(books: Ledger) -> None:
    rows = books.take({"booked_on": october(1 + n % 20), "amount": n} for n in range(1, 6_001))
    for export in (books.period(october(1), october(31)), books.new()):
        store = books.services.store
        pieces = file_of(store, export, "camt.053.001.02", WORDS)
        data = next(pieces)
        assert store.engine.pool.checkedout() == 0
        books.decide("removed", *rows[100:103], rows[-1])
        books.book(october(2), 5)
        books.decide("review", rows[50])
        data += b"".join(pieces)
        books.decide("booked", *rows)
        assert data == books.file(export, "camt.053.001.02")
        assert len(books.amounts(export)) in (6_000, 6_001)


def test_a_file_of_any_length_costs_no_memory(books: Ledger) -> None:
    peaks = {}
    for length in (6_000, 15_000):
        books.take({"booked_on": october(1 + n % 28), "amount": n} for n in range(length))
        export = books.new()
        for format in ("camt.053.001.02", "mt940"):
            tracemalloc.start()
            for _piece in file_of(books.services.store, export, format, WORDS):
                pass
            peaks[format, length] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    for (format, length), peak in peaks.items():
        assert peak < 8 * 1024 * 1024
        assert peak < peaks[format, 6_000] * 1.5 + 500_000, f"grows with {length}"


def test_very_many_are_taken_some_at_a_time_and_a_crash_in_between_loses_none(
    books: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 10)
    rows = books.take({"booked_on": october(1 + n % 7), "amount": n} for n in range(1, 96))
    claim, calls = exports.claim_some, iter(range(4))

    def crashes(*given: Any) -> Any:
        next(calls)
        return claim(*given)

    monkeypatch.setattr(exports, "claim_some", crashes)
    with pytest.raises(StopIteration):
        books.new()
    with pytest.raises(Missing):
        books.export(0)
    books.decide("removed", rows[0])
    books.book(october(3), 1000)
    monkeypatch.setattr(exports, "claim_some", claim)
    with books.services.store.read() as session:
        assert exports.last_new(session, books.connection) is None
    only = books.new()
    assert only.number == 1 and only.total == books.booked()
    assert len(books.amounts(only)) == only.count
    with pytest.raises(Refused):
        books.new()


def test_who_presses_while_very_many_are_taken_gets_what_is_left(
    books: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one to end makes the statements; nothing is put into them afterwards."""
    monkeypatch.setattr(exports, "AT_ONCE", 10)
    books.take({"booked_on": october(1 + n % 7), "amount": n} for n in range(1, 46))
    store, pieces, made = books.services.store, iter(range(100)), []
    write = store.write

    @contextmanager
    def interrupted() -> Iterator[Any]:
        with write() as session:
            yield session
        if next(pieces) == 1:
            monkeypatch.setattr(store, "write", write)
            made.append(books.new())
            books.book(october(9), 500)

    monkeypatch.setattr(store, "write", interrupted)
    late = books.new()
    assert sorted(books.amounts(made[0])) == list(range(1, 46))
    assert books.amounts(late) == [500] and late.number == made[0].number + made[0].statements


# -- real statements ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(each for each in DATA.iterdir() if each.is_file()), ids=lambda path: path.name
)
def test_real_statements_come_out_with_the_same_sums_and_balances(
    services: Any, path: Path
) -> None:
    for statement in read_statements(path):
        books = ledger(services, iban=f"NL00TEST{next(_MADE):010d}", currency=statement.currency)
        books.now += timedelta(days=365)
        amounts = [to_minor(each.amount, statement.currency) for each in statement.bookings]
        if not amounts:
            continue
        books.take(
            {
                "booked_on": each.booked_on,
                "value_on": each.value_on,
                "amount": amount,
                "currency": each.currency,
                "counterparty_name": each.counterparty_name,
                "counterparty_iban": each.counterparty_account,
                "remittance": each.remittance,
                "end_to_end_id": each.end_to_end_id,
            }
            for each, amount in zip(statement.bookings, amounts, strict=True)
        )
        opened = next((b for b in statement.balances if b.kind.endswith("opening")), None)
        first = min(each.booked_on for each in statement.bookings)
        if opened is not None:
            books.states(first, to_minor(opened.amount, statement.currency), kind="opening")
        export = books.new()
        for format in (*CAMT, "mt940"):
            found = books.statements(export, format)
            bookings = [each for part in found for each in part.bookings]
            assert len(bookings) == len(amounts)
            assert sum(each.amount for each in bookings) == sum(
                each.amount for each in statement.bookings
            )
            if opened is not None:
                assert found[0].balances[0].amount == opened.amount
        strangers = by_strangers(books.file(export, "mt940"))
        assert sum(len(each[1]) for each in strangers) == len(amounts)


def test_nothing_is_lost_on_the_way_from_day_to_day(books: Ledger) -> None:
    day = october(1)
    while day < november(1):
        books.book(day, 1, -1)
        day += timedelta(days=1)
    export = books.period(october(1), october(31))
    assert (export.count, export.statements) == (62, 31)
    assert [len(each.bookings) for each in books.statements(export, "mt940")] == [2] * 31
