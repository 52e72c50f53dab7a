"""What goes out: a file, its statements and their entries, and what every format needs for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import NamedTuple

from banklink.core.money import exponent

EDITION = 2
"""The way files are written now. What was made in an earlier one stays the same file for ever. In
the first, the reference of a correction began with a digit, as a day does, and long numbers stood
bare in a sheet."""

_PIECE = 32 * 1024
_BATCH = 500


class Entry(NamedTuple):
    """One entry. `amount` in minor units, signed as the money goes; `reference` is ours, the same
    in every file. `reversal`: it takes a booking back, whose parties keep their roles. Writers take
    it apart by place, so that a row with the same columns will do; and days in ISO's way."""

    reference: str | int
    booked_on: date | str
    value_on: date | str | None
    amount: int
    name: str | None
    account: str | None
    text: str
    end_to_end_id: str | None
    reversal: bool | None = False


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
    sums in it, without their sign. `edition`: the way of writing it was made in."""

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
    edition: int = EDITION


def in_pieces(texts: Iterable[str]) -> Iterator[str]:
    """Joined until a piece is worth sending."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _PIECE:
            yield "".join(held)
            held.clear()
            size = 0
    if held:
        yield "".join(held)


def written(write: Callable[[Entry], str], entries: Iterable[Entry]) -> Iterator[str]:
    """Entries, some hundreds in one text."""
    lines = map(write, entries)
    while text := "".join(islice(lines, _BATCH)):
        yield text


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
    if text.isprintable() and "  " not in text and text[0] != " " and text[-1] != " ":
        return text  # nearly all of them
    return " ".join(_UNPRINTABLE.sub(" ", text).split())
