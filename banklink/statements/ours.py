"""Which statements of a file are of one account, and which days in it cannot be.

A file may hold several accounts, and banks name them in several ways: by IBAN, by an IBAN whose
check digits a program got wrong, or by the number from before there were IBANs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from banklink.core.calendar import FIRST_DAY
from banklink.statements.model import Booking, Statement

_AHEAD = timedelta(days=62)
"""A bank may name a day to come as the end of the statement it is making, but no later one."""


@dataclass(frozen=True, slots=True)
class Part:
    """`own`: of the account. `others`: references of other accounts in the file. `currencies`: in
    which others the same account is there. `unsaid`: the file does not say whose it is. `older`:
    how it writes the account, where that is not the IBAN. `copies`: how many statements with
    bookings were left out because the very same one is there already."""

    own: tuple[Statement, ...]
    others: tuple[str, ...]
    currencies: tuple[str, ...]
    unsaid: bool
    older: str | None
    copies: int = 0


def part_of(statements: Iterable[Statement], iban: str, currency: str) -> Part:
    """A statement that is there twice, as when two downloads were put into one file, counts once:
    two real ones differ in their number, their balances or a booking."""
    others, currencies = [], []
    own: dict[Statement, None] = {}
    written: set[str] = set()
    copies = 0
    for each in statements:
        if each.account_reference and not same_account(each.account_reference, iban):
            others.append(each.account_reference)
        elif each.currency != currency:
            currencies.append(each.currency)
        elif each in own:
            copies += bool(each.bookings)
        else:
            own[each] = None
            written.add(each.account_reference)
    older = next((name for name in sorted(written) if name and name != iban), None)
    return Part(
        tuple(own),
        tuple(dict.fromkeys(others)),
        tuple(dict.fromkeys(currencies)),
        "" in written,
        older,
        copies,
    )


def same_account(reference: str, iban: str) -> bool:
    """Whether a statement's account is this one. Check digits follow from the rest of an IBAN, so
    two with the same rest are one account, mistyped or not."""
    reference = re.sub(r"[^A-Z0-9]", "", reference.upper())
    if reference[:2] == iban[:2] and reference[4:] == iban[4:]:
        return True
    digits = reference.removeprefix("P")
    if not re.fullmatch(r"\d{5,12}", digits, re.ASCII):
        return False
    own = re.sub(r"\D", "", iban[4:]).lstrip("0")
    return digits.lstrip("0") == own


@dataclass(frozen=True, slots=True)
class Impossible:
    """A day that cannot be: `why` is year_unlikely or day_ahead. `line` is None for a balance or a
    period, which `statement` tells."""

    why: str
    day: date
    line: int | None
    statement: str


def impossible_day(statements: Sequence[Statement], today: date) -> Impossible | None:
    """The first booking before any books or after today, the first balance or period far off."""
    for each in statements:
        for booking in each.bookings:
            if why := _why(booking, today):
                return Impossible(why, booking.booked_on, booking.line, each.name)
        days = [item.on for item in each.balances] + list(each.period or ())
        for day in days:
            if day < FIRST_DAY:
                return Impossible("year_unlikely", day, None, each.name)
            if day > today + _AHEAD:
                return Impossible("day_ahead", day, None, each.name)
    return None


def _why(booking: Booking, today: date) -> str | None:
    if booking.booked_on < FIRST_DAY:
        return "year_unlikely"
    return "day_ahead" if booking.booked_on > today else None
