"""Each booking exactly once, whatever way it comes in (domain.md C, R12; security.md 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.dedup import Known, fingerprint, judge

COFFEE: dict[str, Any] = {
    "booked_on": date(2026, 5, 20),
    "value_on": date(2026, 5, 21),
    "amount": -350,
    "currency": "EUR",
    "counterparty_iban": "NL04VOOR0123456789",
    "counterparty_name": "Café De Hoek",
    "remittance": "Pas 004 koffie 08:14",
}


def text(**changes: Any) -> str:
    return fingerprint(**{**COFFEE, **changes})


class Books:
    """Keeps rows as actions/fetch.py does: a first name each, later ones are aliases."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.names: dict[tuple[str, str], int] = {}

    def deliver(self, scope: str, page: Sequence[tuple[str, str]]) -> int:
        """One page of (source id, fingerprint). Returns how many rows it added."""
        prints = {print_ for _, print_ in page}
        verdicts = judge(
            page,
            scope=scope,
            known_ids={id_ for id_, _ in page if (scope, id_) in self.names},
            known_rows=[
                Known(
                    key,
                    print_,
                    frozenset(of for (of, _), row in self.names.items() if row == key),
                )
                for key, print_ in enumerate(self.rows)
                if print_ in prints
            ],
        )
        before = len(self.rows)
        for verdict in verdicts:
            id_, print_ = page[verdict.index]
            key = verdict.key
            if key is None:
                key = len(self.rows)
                self.rows.append(print_)
            assert self.rows[key] == print_
            assert (scope, id_) not in self.names, "an id names one row"
            self.names[scope, id_] = key
        return len(self.rows) - before


KINDS = [text(), text(amount=-250), text(remittance="Huur mei"), text(value_on=None)]


Delivery = tuple[str, list[tuple[str, str]]]
"""A scope, and a page of source ids and fingerprints."""


@st.composite
def deliveries(
    draw: st.DrawFn,
) -> tuple[list[str], list[Delivery], list[Delivery]]:
    """What was booked; pages that bring some of it, in any order and again; pages of one scope
    that bring all of it. Scopes number the same bookings each their own way, from the same
    numbers, so that one scope's 3 is another's 1."""
    truth = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8))
    indices = list(range(len(truth)))
    numbers = {scope: draw(st.permutations(indices)) for scope in ("jan", "piet", "jan, renewed")}

    def page(scope: str, chosen: Sequence[int]) -> list[tuple[str, str]]:
        return [(str(numbers[scope][index]), truth[index]) for index in chosen]

    scopes = st.sampled_from(list(numbers))
    partial = [
        (scope, page(scope, draw(st.lists(st.sampled_from(indices), max_size=6))))
        for scope in draw(st.lists(scopes, max_size=8))
    ]
    scope, size = draw(scopes), draw(st.integers(1, 8))
    everything = draw(st.permutations(indices))
    whole = [(scope, page(scope, everything[at : at + size])) for at in range(0, len(truth), size)]
    return truth, partial, whole


@settings(max_examples=150, deadline=None)
@given(deliveries())
def test_whatever_the_order_the_pages_and_the_holder_each_booking_is_there_once(
    case: tuple[list[str], list[Delivery], list[Delivery]],
) -> None:
    truth, partial, whole = case
    books = Books()
    for scope, page in partial:
        books.deliver(scope, page)
        assert Counter(books.rows) <= Counter(truth), "never more than was booked"
    for scope, page in whole:
        books.deliver(scope, page)
    assert Counter(books.rows) == Counter(truth)
    for scope, page in [*partial, *whole]:
        assert books.deliver(scope, page) == 0, "nothing new the second time"


def test_two_equal_coffees_on_one_day_stay_two() -> None:
    books = Books()
    assert books.deliver("jan", [("a", text()), ("b", text())]) == 2
    assert books.deliver("jan", [("b", text())]) == 0
    assert books.deliver("piet", [("x", text()), ("y", text())]) == 0
    assert books.deliver("jan", [("c", text())]) == 1


def test_two_equal_coffees_stay_two_when_they_come_on_two_pages() -> None:
    books = Books()
    assert [books.deliver("jan", [(id_, text())]) for id_ in "ab"] == [1, 1]


def test_an_id_repeated_within_a_page_counts_once() -> None:
    assert Books().deliver("jan", [("a", text()), ("a", text())]) == 1


def test_after_renewal_all_ids_are_new_and_nothing_is_added() -> None:
    books = Books()
    page = [("1", text()), ("2", text()), ("3", text(amount=1))]
    assert books.deliver("old account id", page) == 3
    assert books.deliver("new account id", [(f"r{id_}", print_) for id_, print_ in page]) == 0
    assert books.deliver("new account id", [("r4", text())]) == 1, "a third coffee is a third"


def test_one_holder_sees_the_second_coffee_before_the_other_does() -> None:
    books = Books()
    assert books.deliver("jan", [("a1", text())]) == 1
    assert books.deliver("piet", [("b2", text()), ("b1", text())]) == 1
    assert books.deliver("jan", [("a2", text())]) == 0


def test_the_same_id_from_another_holder_is_no_proof_of_the_same_booking() -> None:
    books = Books()
    assert books.deliver("jan", [("7", text())]) == 1
    assert books.deliver("piet", [("7", text(amount=-999))]) == 1


def test_a_text_in_other_capitals_and_wrapped_elsewhere_is_the_same() -> None:
    assert text() == text(remittance="  PAS 004\r\nKOFFIE\t 08:14 ")
    assert text() == text(counterparty_name="CAFÉ  DE\u00a0HOEK")
    assert text() == text(counterparty_iban="nl04 voor 0123 4567 89")
    assert text(counterparty_name=None) == text(counterparty_name="")
    assert text(counterparty_iban=None) == text(counterparty_iban=" ")


@pytest.mark.parametrize(
    "changes",
    [
        {"booked_on": date(2026, 5, 21)},
        {"value_on": date(2026, 5, 20)},
        {"value_on": None},
        {"amount": 350},
        {"amount": -351},
        {"currency": "USD"},
        {"counterparty_iban": "NL85DEMO0417164300"},
        {"counterparty_name": "Café De Brug"},
        {"remittance": "Pas 004 koffie 08:15"},
        {"counterparty_name": "Café De Hoek Pas", "remittance": "004 koffie 08:14"},
        {"counterparty_name": "Café De Hoek\x1fPas", "remittance": "004 koffie 08:14"},
    ],
    ids=lambda changes: ", ".join(f"{key}={value}" for key, value in changes.items()),
)
def test_anything_else_that_differs_makes_another_booking(changes: dict[str, Any]) -> None:
    assert text(**changes) != text()


def test_words_do_not_slip_from_the_name_into_the_description() -> None:
    def said(name: str, remittance: str) -> str:
        return text(counterparty_name=name, remittance=remittance)

    assert said("ab", "c") != said("a", "bc")
    assert said("a\x1fb", "c") != said("a", "b\x1fc")
