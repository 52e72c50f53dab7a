"""What goes out: a file, its statements and their entries, and what every format needs for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from banklink.core.money import exponent

PIECE = 400
"""Entries in a piece: few enough to cost no memory, many enough to cost no time."""


class Entry(NamedTuple):
    """One entry. `amount` in minor units, signed as the money goes; `reference` is ours, the same
    in every file. `reversal`: it takes a booking back, whose parties keep their roles."""

    reference: str
    booked_on: date
    value_on: date | None
    amount: int
    name: str | None
    account: str | None
    text: str
    end_to_end_id: str | None
    reversal: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One statement: it opens at the begin of the day `opens_on` and closes at the end of `on`.
    `since`: the first day of its entries, earlier where some come late. `credit` and `debit` are
    their sums, debit negative. `entries` can be read once."""

    number: int
    since: date
    opens_on: date
    on: date
    opening: int
    count: int
    credit: int
    debit: int
    entries: Iterable[Entry]

    @property
    def closing(self) -> int:
        return self.opening + self.credit + self.debit


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file. `key` names it among all of ours; `remarks` are sentences about the whole of it.
    `known`: whether the balances are the account's, or counted from 0. `head`: the titles of the
    columns, `mark` the decimal sign of a sheet. `largest`: the largest of all amounts, balances and
    sums in it, without their sign."""

    key: str
    account: str
    currency: str
    made_at: datetime
    parts: Iterable[Part]
    largest: int = 0
    known: bool = True
    remarks: Sequence[str] = ()
    head: Sequence[str] = field(default=())
    mark: str = ","


def in_pieces(lines: Iterable[str], size: int = PIECE) -> Iterator[str]:
    """Joined, so many at a time: a network likes larger pieces than one entry."""
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) >= size:
            yield "".join(held)
            held.clear()
    if held:
        yield "".join(held)


def decimals(currency: str, mark: str, *, bare: str = "") -> Callable[[int], str]:
    """Writes amounts of minor units without sign. `bare`: behind one that has no decimals."""
    digits = exponent(currency)
    if digits == 2:
        return lambda minor: f"{minor // 100}{mark}{minor % 100:02d}"
    if digits == 0:
        return lambda minor: f"{minor}{bare}"
    unit = 10**digits
    return lambda minor: f"{minor // unit}{mark}{minor % unit:0{digits}d}"


_UNPRINTABLE = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str | None) -> str:
    """Without what no file may carry (control characters, halves of characters), and with single
    spaces: banks wrap texts as they like."""
    if not text:
        return ""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())
