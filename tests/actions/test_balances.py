"""What the bank says an account holds is held against what was fetched, day after day: nothing is
alleged of a faithful bank, and what is missing or stands twice is told with its days and amount."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions import balances, review
from banklink.core.statuses import Action
from banklink.providers.contract import Page, ProviderTransaction
from banklink.statements.model import Balance as FileBalance
from banklink.statements.model import Booking, Statement
from banklink.store.models import Balance, Transaction

from .conftest import BAKERY, SANNE, TODAY, Books, House, account

Change = Callable[[ProviderTransaction], list[ProviderTransaction]]


@pytest.fixture
def books(house: House) -> Books:
    return house.books(jan=[account(BAKERY, since=20)], shares={"jan": [BAKERY]}, journals=[BAKERY])


def judged(books: Books) -> list[tuple[date, int | None]]:
    with books.services.store.read() as session:
        rows = session.scalars(select(Balance).order_by(Balance.on))
        return [(row.on, row.difference) for row in rows]


def alarm(books: Books) -> tuple[date | None, date | None, int | None]:
    row = books.connection()
    return row.unbalanced_from, row.unbalanced_to, row.unbalanced_by


QUIET = (None, None, None)


def on_the_way(house: House, change: Change) -> None:
    """What happens to bookings between the bank and us."""

    def instead(found: Callable[..., Page], *args: Any, **kwargs: Any) -> Page:
        page = found(*args, **kwargs)
        rows = [made for each in page.transactions for made in change(each)]
        return dataclasses.replace(page, transactions=rows)

    house.provider.instead["transactions"] = instead


@pytest.mark.parametrize("of", ["yesterday", "today"])
@pytest.mark.parametrize("late", [0, 3])
def test_a_faithful_bank_is_never_accused(house: House, books: Books, of: str, late: int) -> None:
    house.simulator.accustom("DEMO", balance=of, late_days=late, twins=True)
    books.activate()
    for _ in range(12):
        house.later(hours=13)
        house.jobs()
        assert alarm(books) == QUIET
        assert "unbalanced" not in books.overlays()
    found = judged(books)
    assert len(found) >= 6
    assert {difference for _on, difference in found} == {None, 0}
    assert sum(difference == 0 for _on, difference in found) >= 5


@pytest.mark.parametrize("of", ["yesterday", "today"])
@pytest.mark.parametrize("times", [0, 2])
def test_a_booking_that_is_missing_or_stands_twice_is_named(
    house: House, books: Books, of: str, times: int
) -> None:
    house.simulator.accustom("DEMO", balance=of)
    books.activate()
    house.days(3)
    day = house.at().today + timedelta(days=1)

    def change(each: ProviderTransaction) -> list[ProviderTransaction]:
        again = dataclasses.replace(each, id="again", remittance="the same once more")
        return [each] if each.remittance != "Bloemen" else [each, again][:times]

    on_the_way(house, change)
    house.later(days=1)
    house.book(BAKERY, day, -1250, text="Bloemen")
    house.jobs()
    house.days(4)
    since, until, by = alarm(books)
    assert by == (-1250 if times == 0 else 1250)
    assert since is not None and until is not None and since <= day <= until
    assert until - since <= timedelta(days=1)
    assert "unbalanced" in books.overlays()
    assert books.row() == "r6"


def test_what_a_person_takes_out_is_told_and_put_back_is_well_again(
    house: House, books: Books
) -> None:
    books.activate()
    house.days(4)
    with books.services.store.read() as session:
        gone = session.scalars(
            select(Transaction).where(Transaction.booked_on == TODAY + timedelta(days=2))
        ).first()
        assert gone is not None
    review.remove(books.services, books.connection().id, [gone.id], house.at(), actor=SANNE)
    assert alarm(books) == (gone.booked_on, gone.booked_on, gone.amount)
    review.restore(books.services, books.connection().id, [gone.id], house.at(), actor=SANNE)
    assert alarm(books) == QUIET


def test_days_the_bank_never_gave_are_no_difference(house: House, books: Books) -> None:
    books.activate()
    house.days(3)
    house.revoke_at_the_bank()
    house.days(40)
    house.simulator.accustom("DEMO", recent_days=10)
    books.come_back(books.visit(books.depart(Action.RENEW), history_days="10"))
    house.days(3)
    assert "possible_gap" in books.overlays()
    assert alarm(books) == QUIET
    assert [difference for _on, difference in judged(books)][-2:] == [0, 0]


def test_a_balance_of_another_moment_than_the_bookings_is_not_used(
    house: House, books: Books
) -> None:
    books.activate()
    before = judged(books)

    def synchronised_meanwhile(found: Callable[..., Page], *args: Any, **kwargs: Any) -> Page:
        page = found(*args, **kwargs)
        assert page.synchronized_at is not None
        return dataclasses.replace(
            page, synchronized_at=page.synchronized_at + timedelta(minutes=1)
        )

    house.provider.instead["transactions"] = synchronised_meanwhile
    house.days(2)
    assert judged(books) == before


# -- files ----------------------------------------------------------------------------------------


def booking(day: int) -> Booking:
    return Booking(date(2026, 5, day), None, Decimal(1), "EUR", None, None, "", None, None)


@pytest.mark.parametrize(
    ("opening", "bookings", "held_at_the_begin_of"),
    [(3, [3, 5], 3), (2, [3, 5], 3), (3, [], 4), (2, [5], 3), (5, [3, 5], 3)],
)
def test_an_opening_balance_holds_before_the_first_booking_however_it_is_dated(
    opening: int, bookings: list[int], held_at_the_begin_of: int
) -> None:
    stated = (
        FileBalance("opening", Decimal(10), "EUR", date(2026, 5, opening)),
        FileBalance("closing", Decimal(12), "EUR", date(2026, 5, 6)),
        FileBalance("available", Decimal(99), "EUR", date(2026, 5, 6)),
        FileBalance("closing", Decimal(12), "USD", date(2026, 5, 6)),
    )
    statement = Statement("NL", "EUR", None, None, tuple(map(booking, bookings)), stated)
    found = balances.said_by_file(statement)
    assert [(each.kind, each.on.day) for each in found] == [
        ("opening", held_at_the_begin_of),
        ("closing", 6),
    ]
