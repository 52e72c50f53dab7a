"""The language of one reader: sentences, days and lists, for texts that no request asked for."""

from __future__ import annotations

import re
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


_SHORTEST, _LONGEST = 15, 34
_PERHAPS = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[ .-]?[A-Z0-9]){11,30}", re.IGNORECASE)


def masked(text: str) -> str:
    """A text that somebody may have put an IBAN into, as the name of an account or in a message,
    with no more of it than `tail` shows."""
    return _PERHAPS.sub(lambda found: _mask(found[0]), text)


def _mask(text: str) -> str:
    """`text` begins like an IBAN; words behind one may be in it too."""
    signs = [place for place, sign in enumerate(text) if sign.isalnum()]
    for length in range(min(len(signs), _LONGEST), _SHORTEST - 1, -1):
        end = signs[length - 1] + 1
        iban = "".join(sign for sign in text[:end] if sign.isalnum()).upper()
        if _checks(iban) and not text[end : end + 1].isalnum():
            return tail(iban) + text[end:]
    return text


def _checks(iban: str) -> bool:
    """ISO 7064 MOD 97-10."""
    return int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1
