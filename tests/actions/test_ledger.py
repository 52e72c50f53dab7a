"""How often an account may be read: four times in 24 hours while nobody waits, counted before the
call, and not at all while the bank asked for a pause."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from banklink.actions import ledger
from banklink.actions.ledger import PENDING, TRANSACTIONS, Spent
from banklink.actions.retention import delete_old
from banklink.providers.contract import RateLimited
from banklink.store.models import Access, Account, Connection

from .conftest import BAKERY, SAVINGS, Books, House, account, at_once


@pytest.fixture
def books(house: House) -> Books:
    return house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )


def read(
    books: Books, endpoint: str = TRANSACTIONS, *, iban: str = BAKERY, attended: bool = False
) -> None:
    at = books.house.at()
    ledger.note(books.services, books.account(iban).id, endpoint, at, attended=attended)


def noted(books: Books) -> list[tuple[str, bool]]:
    with books.services.store.read() as session:
        rows = session.scalars(select(Access).order_by(Access.id))
        return [(row.endpoint, row.attended) for row in rows]


def test_the_fifth_time_in_24_hours_waits_until_the_first_is_a_day_ago(
    house: House, books: Books
) -> None:
    first = house.at().now
    for _ in range(4):
        read(books)
        house.later(hours=2)
    with pytest.raises(Spent) as spent:
        read(books)
    assert (spent.value.by_bank, len(noted(books))) == (False, 4)
    assert timedelta() <= spent.value.until - (first + timedelta(hours=24)) < timedelta(seconds=5)
    house.clock.advance(spent.value.until - house.at().now)
    read(books)
    with pytest.raises(Spent) as again:
        read(books)
    assert again.value.until > spent.value.until + timedelta(hours=1)


def test_each_account_and_each_endpoint_has_its_own_four(books: Books) -> None:
    for _ in range(4):
        read(books)
    read(books, PENDING)
    read(books, iban=SAVINGS)
    with pytest.raises(Spent):
        read(books)


def test_a_person_who_waits_is_served_and_uses_none_of_them(books: Books) -> None:
    for _ in range(6):
        read(books, attended=True)
    for _ in range(4):
        read(books)
    read(books, attended=True)
    assert noted(books).count((TRANSACTIONS, False)) == 4


def test_two_workers_at_once_do_not_share_the_last_one(books: Books) -> None:
    for _ in range(3):
        read(books)
    answers = at_once(8, lambda _number: read(books))
    assert answers.count(None) == 1, answers
    assert sum(isinstance(each, Spent) for each in answers) == 7
    assert len(noted(books)) == 4


@pytest.mark.parametrize(
    ("said", "failures", "wait"),
    [
        (timedelta(seconds=90), 0, timedelta(seconds=90)),
        (timedelta(days=1), 3, timedelta(days=1)),
        (None, 0, timedelta(hours=1)),
        (None, 4, timedelta(hours=6)),
    ],
)
def test_a_pause_the_bank_asks_for_holds_for_everybody(
    house: House, books: Books, said: timedelta | None, failures: int, wait: timedelta
) -> None:
    at = house.at()
    with books.services.store.write() as session:
        connection = session.get_one(Connection, books.connection().id)
        connection.failures = failures
        until = ledger.pause(
            session, connection, books.account().id, RateLimited("x", retry_after=said), at
        )
        assert until == connection.limited_until == connection.next_fetch_at == at.now + wait
    for attended in (False, True):
        with pytest.raises(Spent) as spent:
            read(books, attended=attended)
        assert (spent.value.until, spent.value.by_bank) == (at.now + wait, True)
    read(books, iban=SAVINGS)
    house.clock.advance(wait)
    read(books)


def test_a_shorter_pause_never_takes_a_longer_one_back(house: House, books: Books) -> None:
    at = house.at()
    with books.services.store.write() as session:
        connection = session.get_one(Connection, books.connection().id)
        for hours in (5, 1):
            error = RateLimited("x", retry_after=timedelta(hours=hours))
            until = ledger.pause(session, connection, books.account().id, error, at)
        assert until == session.get_one(Account, books.account().id).paused_until
        assert until == at.now + timedelta(hours=5)


def test_the_row_says_until_when_and_the_words_go_with_the_moment(
    house: House, books: Books
) -> None:
    books.activate()
    until = house.at().now + timedelta(hours=5)
    books.set(limited_until=until, next_fetch_at=until)
    assert "limited" in books.overlays()
    house.later(hours=5, seconds=1)
    assert "limited" not in books.overlays()


def test_an_old_ledger_goes_by_itself_and_a_young_one_stays(house: House, books: Books) -> None:
    read(books)
    house.later(days=91)
    read(books)
    delete_old(books.services, house.at())
    assert len(noted(books)) == 1


moves = st.lists(
    st.tuples(st.integers(1, 14 * 60), st.sampled_from([TRANSACTIONS, PENDING]), st.booleans()),
    max_size=40,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(moves)
def test_never_more_than_four_unattended_in_any_24_hours_and_never_fewer_than_possible(
    built_house: House, steps: Iterable[tuple[int, str, bool]]
) -> None:
    built_house.empty()
    books = built_house.books(
        jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    made: dict[str, list[float]] = {TRANSACTIONS: [], PENDING: []}
    began = built_house.at().now
    for minutes, endpoint, attended in steps:
        built_house.later(minutes=minutes)
        now = (built_house.at().now - began).total_seconds()
        recent = [each for each in made[endpoint] if each > now - 86_400]
        try:
            read(books, endpoint, attended=attended)
        except Spent:
            assert not attended and len(recent) >= 4
        else:
            assert attended or len(recent) < 4
            if not attended:
                made[endpoint].append(now)
