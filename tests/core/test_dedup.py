"""Each booking exactly once, whatever way it comes in (domain.md C, R12; security.md 4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.dedup import Booking, Kind, Stored, booking, fingerprint, judge

COFFEE: dict[str, Any] = {
    "booked_on": date(2026, 5, 20),
    "value_on": date(2026, 5, 21),
    "amount": -350,
    "currency": "EUR",
    "counterparty_iban": "NL04VOOR0123456789",
    "counterparty_name": "Café De Hoek",
    "remittance": "Pas 004 koffie 08:14",
}
BARE: dict[str, Any] = {"counterparty_iban": None, "counterparty_name": None}


def text(**changes: Any) -> str:
    return fingerprint(**{**COFFEE, **changes})


def said(id: str = "", **changes: Any) -> Booking:
    return booking(id=id, **{**COFFEE, **changes})


@dataclass
class Row:
    """A row as it is stored, with its names: (scope, id), and its other wordings."""

    first: Booking
    occurrence: int
    names: set[tuple[str, str]] = field(default_factory=set)
    worded: set[str] = field(default_factory=set)
    state: str = "booked"


class Books:
    """Keeps rows as store/bookings.py does. `doubted`: the ids of the bank prove nothing (any
    more), so that every reading is judged by content."""

    def __init__(self, *, doubted: bool = False) -> None:
        self.rows: list[Row] = []
        self.doubted = doubted
        self.changed: list[Booking] = []

    def read(self, scope: str, *pages: Sequence[Booking]) -> int:
        """One reading, page after page, newest first. Returns how many rows it added. When ids are
        caught it begins again, as a fetch does."""
        trusted = not self.doubted and not scope.startswith("file:")
        before, met, waiting = len(self.rows), set[int](), list[Booking]()
        for number, page in enumerate(pages, start=1):
            found = judge(
                [*waiting, *page],
                [self._stored(key, row, scope, trusted) for key, row in enumerate(self.rows)],
                trusted=trusted,
                met=met,
                open_through=page[-1].booked_on if page and number < len(pages) else None,
            )
            if found.caught:
                assert not self.doubted
                self.doubted = True
                return len(self.rows) - before + self.read(scope, *pages)
            came = [*waiting, *page]
            met, waiting = set(found.met), []
            for verdict in found.verdicts:
                each = came[verdict.place]
                key = verdict.key
                if verdict.kind is Kind.WAITS:
                    waiting.append(each)
                    continue
                if verdict.kind in (Kind.NEW, Kind.DOUBTFUL):
                    twins = [row.occurrence for row in self.rows if row.first[1] == each[1]]
                    assert verdict.occurrence == max(twins, default=0) + 1
                    key = len(self.rows)
                    self.rows.append(Row(each, verdict.occurrence))
                    met.add(key)
                    if verdict.kind is Kind.DOUBTFUL:
                        self.rows[key].state = "review"
                if verdict.kind is Kind.CHANGED:
                    self.changed.append(each)
                if verdict.kind is Kind.ALIAS:
                    assert key is not None
                    self.rows[key].worded.add(each.fingerprint)
                if verdict.named and key is not None:
                    self.rows[key].names.add((scope, each.id))
            assert not (waiting and number == len(pages)), "nothing waits for what never comes"
        return len(self.rows) - before

    def prints(self) -> Counter[str]:
        return Counter(row.first.fingerprint for row in self.rows)

    def booked(self) -> list[Booking]:
        return [row.first for row in self.rows if row.state == "booked"]

    @staticmethod
    def _stored(key: int, row: Row, scope: str, trusted: bool) -> Stored:
        _, print_, booked_on, _, amount, currency, name, iban, remittance, end_to_end = row.first
        ids = {id_ for of, id_ in row.names if of == scope} if trusted else set()
        return Stored(
            key, print_, row.occurrence, booked_on, amount, currency, name, iban, remittance,
            end_to_end, frozenset(ids), frozenset(row.worded),
        )  # fmt: skip


# -- whatever the order ------------------------------------------------------------------------

CONTENTS: list[dict[str, Any]] = [
    {},
    {"amount": -250},
    {"remittance": "Huur mei", "counterparty_iban": "NL85DEMO0417164300"},
    {"value_on": None},
    {"booked_on": date(2026, 5, 19)},
]


@st.composite
def readings(draw: st.DrawFn) -> Any:
    """What was booked, in the order in which it was; and readings of all there was by then, each by
    some scope, in any order within a day, in pages of some size, with the ids that scope has for
    it. Scopes number the same bookings each their own way, from the same numbers, so that one
    scope's 3 is another's 1; some keep no ids, give all the same one, or none."""
    truth = draw(st.lists(st.sampled_from(CONTENTS), min_size=1, max_size=8))
    numbers = {scope: draw(st.permutations(range(len(truth)))) for scope in ("jan", "piet", "new")}
    found = []
    for count in sorted(draw(st.lists(st.integers(1, len(truth)), min_size=1, max_size=5))):
        scope = draw(st.sampled_from(["jan", "piet", "new", "blank", "9998", "shuffled", "file:x"]))
        ids = {"blank": [" "] * count, "9998": ["9998"] * count, "file:x": [""] * count}.get(scope)
        ids = ids or numbers.get(scope) or draw(st.permutations(range(100, 100 + count)))
        rows = [
            said(str(ids[index]), **truth[index]) for index in draw(st.permutations(range(count)))
        ]
        rows.sort(key=lambda row: row.booked_on, reverse=True)
        size = count if scope == "file:x" else draw(st.integers(1, 8))
        found.append((scope, [rows[at : at + size] for at in range(0, count, size)]))
    return truth, found


@settings(max_examples=400, deadline=None)
@given(readings())
def test_whatever_the_order_the_pages_the_ids_and_the_holder_each_booking_is_there_once(
    case: Any,
) -> None:
    _truth, found = case
    books = Books()
    for scope, pages in found:
        books.read(scope, *pages)
        rows = [row for page in pages for row in page]
        if scope != "9998" or books.doubted:
            assert books.prints() == Counter(row.fingerprint for row in rows), scope
    for scope, pages in found[-1:]:
        assert books.read(scope, *pages) == 0, "nothing new the second time"
