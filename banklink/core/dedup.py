"""Identity of a booking: what makes two rows the same one.

A bank's own id is proof where it deserves trust: given, the same for as long as the provider's
account is (its *scope*), and never yet caught naming two bookings. Then equal coffees stay apart
by their ids, in every order of arrival.

Everything else is judged by content: a *fingerprint* of all a bank says, and which of the equal
ones it is. The n-th equal booking that one reading meets is the n-th that is stored, so reading
again, in another order or under new ids, adds nothing, and two coffees stay two.

Across scopes (an account renewed under another id, another holder, a file) the same booking may be
worded otherwise. Then what *resembles* it, on the same day and of the same amount, is the same; and
what has only day and amount in common is in doubt, for a person to decide. What is stored never
changes by any of this (security.md 4.1, peers.md 6).
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")
_NO_REFERENCE = frozenset({"", "notprovided", "notprov", "nonref", "none", "null"})
_SAYS_NOTHING = frozenset(
    "sepa iban bic naam name omschrijving kenmerk machtiging incassant betaling overboeking incasso"
    " euro eur ideal pas pasvolgnr transactie terminal datum tijd trtp remi eref mref marf csid"
    " cntp uit van aan voor met het een and the from for".split()
)
"""Words of forms, in bookings of everybody."""
MOST_MINOR = 10**15
"""Ten trillion euro. A database counts to some nine thousand times as much in a day."""
_ENOUGH = 0.5
"""The share of its words that the shorter text must have in common with the longer one."""


class Booking(NamedTuple):
    """One booked transaction as a bank or a file says it. `id` is the bank's, empty where it gives
    none; `amount` signed, in minor units; `fingerprint` is `fingerprint()` of the rest."""

    id: str
    fingerprint: str
    booked_on: date
    value_on: date | None
    amount: int
    currency: str
    counterparty_name: str | None
    counterparty_iban: str | None
    remittance: str
    end_to_end_id: str | None


def booking(
    booked_on: date,
    value_on: date | None,
    amount: int,
    currency: str,
    counterparty_name: str | None = None,
    counterparty_iban: str | None = None,
    remittance: str = "",
    end_to_end_id: str | None = None,
    id: str = "",
) -> Booking:
    """A Booking, with the fingerprint of its content. Raises ValueError for what cannot be stored:
    an amount with which no sum could be counted, half a character."""
    if not -MOST_MINOR <= amount <= MOST_MINOR:
        raise ValueError("amount is too large")
    return Booking(
        id,
        fingerprint(
            booked_on,
            value_on,
            amount,
            currency,
            counterparty_iban,
            counterparty_name,
            remittance,
        ),
        booked_on,
        value_on,
        amount,
        currency,
        counterparty_name,
        counterparty_iban,
        remittance,
        end_to_end_id,
    )


def fingerprint(
    booked_on: date,
    value_on: date | None,
    amount: int,
    currency: str,
    counterparty_iban: str | None,
    counterparty_name: str | None,
    remittance: str,
) -> str:
    """A hash of what the bank says of a booking; `amount` in minor units. Case and white space
    do not count: banks re-wrap texts. It begins with the day, so that those of a page lie together
    in an index. Raises ValueError for texts that cannot be stored."""
    day = _day(booked_on)
    said = (
        f"{day}\x1f{_day(value_on)}\x1f{amount}\x1f{currency}"
        f"\x1f{_often(counterparty_iban)}\x1f{_often(counterparty_name)}"
        f"\x1f{''.join(remittance.split()).casefold()}"
    )
    if "\x00" in said:
        raise ValueError("no database keeps this")
    return day + hashlib.sha256(said.encode()).hexdigest()[:22]


@lru_cache(maxsize=4_096)
def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


@lru_cache(maxsize=4_096)
def _often(text: str | None) -> str:
    """What many bookings share is made plain once."""
    return "".join((text or "").split()).casefold()


@dataclass(frozen=True, slots=True)
class Stored:
    """A row that is there already, whatever its state: one that was removed stays known.

    `fingerprint` and `occurrence` are its own; `worded` are fingerprints under which it came as
    well. `ids`: the names the scope that is judged gave it and that are still trusted.
    """

    key: int
    fingerprint: str
    occurrence: int
    booked_on: date
    amount: int
    currency: str
    counterparty_name: str | None = None
    counterparty_iban: str | None = None
    remittance: str = ""
    end_to_end_id: str | None = None
    ids: frozenset[str] = frozenset()
    worded: frozenset[str] = frozenset()


class Kind(StrEnum):
    """What a booking that came in is.

    NEW: not there yet. KNOWN: `key`, nothing to do. CHANGED: `key` by its trusted id, with the same
    day and amount but another text; what is stored stays, somebody is told. ALIAS: `key`, under a
    name or wording to remember. DOUBTFUL: to be stored as a row of its own that waits for a person;
    `key` is the one it may be. WAITS: has no equal among what is stored, but one of the same day
    and amount that the rest of this day may still account for; judge it again with the next page.
    """

    NEW = "new"
    KNOWN = "known"
    CHANGED = "changed"
    ALIAS = "alias"
    DOUBTFUL = "doubtful"
    WAITS = "waits"


class Verdict(NamedTuple):
    """On `incoming[place]`. `key`: the stored row it is about, if any (KNOWN without one repeats a
    booking of this very page). `occurrence`: its number among equal ones, for NEW and DOUBTFUL.
    `named`: it came with an id that counts as its name."""

    place: int
    kind: Kind
    key: int | None = None
    occurrence: int = 0
    named: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts, one for every incoming booking, in their order; and `met`, the keys of all stored
    rows they account for.

    `caught`: (place, key) of bookings that show the scope's ids not to be trusted: `key` has
    the id of another booking, or came under another id; -1 where both came just now. Then there are
    no verdicts: doubt the ids of the connection and judge everything again, from the first page,
    with `trusted` False.
    """

    verdicts: tuple[Verdict, ...]
    met: frozenset[int]
    caught: tuple[tuple[int, int], ...] = ()


def judge(
    incoming: Sequence[Booking],
    stored: Iterable[Stored],
    *,
    trusted: bool,
    met: Set[int] = frozenset(),
    open_through: date | None = None,
) -> Judgement:
    """Decide what a page, or a whole file, of one scope is.

    `stored`: every row of the connection that one of `incoming` may be, once each: by a name of
    this scope, by own fingerprint or wording, and of the same day, amount and currency. More does
    no harm. `trusted`: the ids of this scope prove something (provider stable, none doubted); an
    empty or blank id never does.
    `met`: keys of rows that earlier pages of this reading already accounted for, by whatever way,
    including rows that this reading itself added: they are nobody else's any more.
    `open_through`: bookings of this day and before may still follow in this reading, so that what
    is not equal to anything waits; None when everything has been read.

    Equal ones are found before resembling ones, over all of `incoming`.
    """
    page = _Page(incoming, stored, trusted, met)
    for step in (page.by_name, page.by_content, page.by_likeness):
        step(open_through)
        if page.caught:
            return Judgement((), frozenset(), tuple(page.caught))
    return Judgement(tuple(page.finished()), frozenset(page.met))


class _Page:
    """What is decided so far of one page."""

    def __init__(
        self, incoming: Sequence[Booking], stored: Iterable[Stored], trusted: bool, met: Set[int]
    ):
        self.incoming, self.trusted, self.met = incoming, trusted, set(met)
        self.named = [trusted and bool(each.id) and not each.id.isspace() for each in incoming]
        self.decided: dict[int, Verdict] = {}
        self.caught: list[tuple[int, int]] = []
        self.by_id: dict[str, Stored] = {}
        self.equal: dict[str, list[Stored]] = defaultdict(list)
        self.near: dict[tuple[date, int, str], list[Stored]] = defaultdict(list)
        self.last: dict[str, int] = defaultdict(int)
        rows = sorted(stored, key=lambda row: (row.occurrence, row.key))
        for row in rows:
            self.last[row.fingerprint] = max(self.last[row.fingerprint], row.occurrence)
            self.near[row.booked_on, row.amount, row.currency].append(row)
            self.equal[row.fingerprint].append(row)
            self.by_id.update((name, row) for name in row.ids)
        for row in rows:
            for print_ in row.worded - {row.fingerprint}:
                self.equal[print_].append(row)  # after those that are worded so themselves

    def by_name(self, open_through: date | None) -> None:
        """A trusted id is the same booking; unless it proves not to deserve that trust."""
        here: dict[str, int] = {}
        before = frozenset(self.met)
        reworded = []
        for place, each in enumerate(self.incoming):
            if not self.named[place]:
                continue
            row, twin = self.by_id.get(each.id), here.setdefault(each.id, place)
            if twin != place:
                if self.incoming[twin].fingerprint != each.fingerprint:
                    self.caught.append((place, -1 if row is None else row.key))
                else:
                    self._decide(place, Kind.KNOWN, row)
            elif row is None:
                continue
            elif _day_and_amount(each) != _day_and_amount(row):
                self.caught.append((place, row.key))
            elif each.fingerprint == row.fingerprint or each.fingerprint in row.worded:
                self._decide(place, Kind.KNOWN, row)
            elif row.key in before:
                self.caught.append((place, row.key))
            elif open_through is not None and each.booked_on <= open_through:
                self.decided[place] = Verdict(place, Kind.WAITS)
            else:
                self._decide(place, Kind.CHANGED, row)
                reworded.append((place, row))
        if not reworded:
            return
        unnamed = {each.fingerprint for _, each in self._undecided()}
        # What it was called by that id before is there as well: the id went to another one.
        self.caught += [(place, row.key) for place, row in reworded if row.fingerprint in unnamed]

    def by_content(self, _open_through: date | None) -> None:
        """The n-th equal one that is met is the n-th that is stored."""
        if not self.equal:
            return
        for place, each in self._undecided():
            row = next(self._free(self.equal.get(each.fingerprint, ())), None)
            if row is not None:
                self._decide(place, Kind.ALIAS if self.named[place] else Kind.KNOWN, row)

    def by_likeness(self, open_through: date | None) -> None:
        """What equals nothing, and is not alone on its day with its amount."""
        if not self.near:
            return
        rest = []
        for place, each in self._undecided():
            near = self.near.get(_day_and_amount(each), ())
            rivals = [row for row in near if row.key not in self.met]
            if rivals and open_through is not None and each.booked_on <= open_through:
                self.decided[place] = Verdict(place, Kind.WAITS)
            elif rivals:
                rest.append((place, each))
        for place, each in rest:
            self._suspect(place, each, alike=5)
        pairs = [
            (likeness(each, row), place, row)
            for place, each in rest
            for row in self._free(self.near[_day_and_amount(each)])
        ]
        for alike, place, row in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2].key)):
            if alike and place not in self.decided and row.key not in self.met:
                self._decide(place, Kind.ALIAS, row)
        for place, each in rest:
            if place in self.decided:
                continue
            self._suspect(place, each, alike=1)
            rival = next(self._free(self.near[_day_and_amount(each)]), None)
            if rival is not None:
                self._decide(place, Kind.DOUBTFUL, rival)

    def finished(self) -> Iterator[Verdict]:
        for place, each in enumerate(self.incoming):
            verdict = self.decided.get(place)
            kind, key = (Kind.NEW, None) if verdict is None else (verdict.kind, verdict.key)
            if verdict is None or kind is Kind.DOUBTFUL:
                occurrence = self.last[each.fingerprint] = self.last[each.fingerprint] + 1
                verdict = Verdict(place, kind, key, occurrence, self.named[place])
            yield verdict

    def _suspect(self, place: int, each: Booking, *, alike: float) -> None:
        """A booking of this scope is gone and one like it has come under another id."""
        if self.named[place]:
            for row in self.near[_day_and_amount(each)]:
                if row.ids and row.key not in self.met and likeness(each, row) >= alike:
                    self.caught.append((place, row.key))
                    return

    def _undecided(self) -> Iterator[tuple[int, Booking]]:
        return (
            (place, each) for place, each in enumerate(self.incoming) if place not in self.decided
        )

    def _free(self, rows: Iterable[Stored]) -> Iterator[Stored]:
        """Rows that nothing of this reading is yet, and that this scope has no name for."""
        return (row for row in rows if row.key not in self.met and not (self.trusted and row.ids))

    def _decide(self, place: int, kind: Kind, row: Stored | None) -> None:
        key = row.key if row else None
        self.decided[place] = Verdict(place, kind, key, named=self.named[place])
        if row is not None:
            self.met.add(row.key)


def repeated(former: Sequence[Booking], page: Sequence[Booking]) -> int:
    """How many bookings at the begin of a page are the end of the one before once more, because the
    list moved on while it was read. For ids that prove nothing later but tell the bookings of one
    reading apart; where they do not even do that on these two pages, it is 0."""
    ends, begins = ([(each.id, each.fingerprint) for each in some] for some in (former, page))
    for some in (ends, begins):
        ids = [id_ for id_, _ in some]
        if len(set(ids)) < len(ids) or not all(id_.strip() for id_ in ids):
            return 0
    if not begins or begins[0] not in ends:
        return 0
    same = len(ends) - ends.index(begins[0])
    return same if ends[-same:] == begins[:same] else 0


def _day_and_amount(each: Booking | Stored) -> tuple[date, int, str]:
    return each.booked_on, each.amount, each.currency


def likeness(one: Booking | Stored, other: Booking | Stored) -> float:
    """How much two bookings of one day and amount have in common: 5 worded the same, 4 one
    end-to-end reference, 3 one counterparty's IBAN, 1 to 2 words, 0 nothing, or something that
    tells them apart."""
    if one.fingerprint == other.fingerprint:
        return 5
    references = [_reference(each) for each in (one, other)]
    if all(references):
        return 4 if references[0] == references[1] else 0
    ibans = [_iban(each) for each in (one, other)]
    if all(ibans):
        return 3 if ibans[0] == ibans[1] else 0
    if _said(one) == _said(other):
        return 2  # also where neither says anything: only their value dates differ
    words, others = _words(one), _words(other)
    shorter = min(len(words), len(others))
    shared = len(words & others) / shorter if shorter else 0
    return 1 + shared if shared >= _ENOUGH else 0


def _said(each: Booking | Stored) -> str:
    return "".join(f"{each.counterparty_name or ''} {each.remittance}".split()).casefold()


def _reference(each: Booking | Stored) -> str:
    said = "".join((each.end_to_end_id or "").split()).casefold()
    return "" if said in _NO_REFERENCE else said


def _iban(each: Booking | Stored) -> str:
    said = "".join((each.counterparty_iban or "").split()).upper()
    return said if _IBAN.fullmatch(said) else ""


def _words(each: Booking | Stored) -> set[str]:
    """Those that tell something: no short ones, no dates and hours."""
    said = f"{each.counterparty_name or ''} {each.remittance}".casefold()
    return {
        word
        for word in _WORD.findall(said)
        if len(word) > (5 if word.isdecimal() else 2) and word not in _SAYS_NOTHING
    }
