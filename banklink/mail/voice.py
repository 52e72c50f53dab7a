"""The language of one reader: sentences, days and lists, for texts that no request asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_decimal

from banklink.core.calendar import amsterdam_day
from banklink.translations import catalogue


@dataclass(frozen=True, slots=True)
class Voice:
    """`locale`: nl or en."""

    locale: str

    def gettext(self, message: str, **params: object) -> str:
        text = catalogue(self.locale).gettext(message)
        return text % params if params else text

    def ngettext(self, singular: str, plural: str, n: int, **params: object) -> str:
        text = catalogue(self.locale).ngettext(singular, plural, n)
        return text % {"n": format_decimal(n, locale=self.locale), **params}

    def day(self, value: date | datetime) -> str:
        """2 mei 2025; of an instant the day in Amsterdam."""
        found = amsterdam_day(value) if isinstance(value, datetime) else value
        return format_date(found, "d MMMM y", locale=self.locale)

    def listed(self, items: Sequence[str]) -> str:
        """a, b en c."""
        return format_list(list(items), locale=self.locale)


def tail(iban: str) -> str:
    """The last four digits, as much of an IBAN as a mail may carry (domain.md B3): …4300."""
    return f"…{iban[-4:]}"
