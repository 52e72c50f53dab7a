"""Writes MT940 as Dutch banks offer it for download: without SWIFT's envelope, one statement for a
day, each ended by a line with "-", and the details of a booking under the code words that Dutch
banks agreed on (`/EREF/…/BENM//NAME/…/IBAN/…/REMI/…`).

Characters are those SWIFT knows (its set x); others are written with what comes nearest. Details
have six lines of 65: what SEPA allows always fits, a longer text is cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache

from banklink.statements.outgoing import Entry, Outgoing, decimals, in_pieces, plain, written

_WIDTH, _LINES = 65, 6
_NO_YEAR = timedelta(days=150)
"""The day of booking has no year: readers take the one nearest to the value day."""

_NEAREST = str.maketrans(
    {
        "&": "+", "@": "(at)", "_": "-", '"': "'", ";": ",", "!": ".", "%": "pct", "*": ".",
        "#": "nr", "=": "-", "<": "(", ">": ")", "[": "(", "]": ")", "{": "(", "}": ")", "|": "/",
        "\\": "/", "~": "-", "^": ".", "`": "'", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY",
        "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l",
        "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i",
        "–": "-", "—": "-", "‘": "'", "’": "'", "‚": ",", "“": "'", "”": "'", "„": "'", "…": "...",
        "•": "-", "·": "-", "×": "x",
    }
)  # fmt: skip
_FOREIGN = re.compile(r"[^A-Za-z0-9/\-?:().,'+ ]")
# A code word in somebody's text would be taken for ours.
_CODE_WORD = re.compile(r"/(?=[A-Z]{2,5}/)")


def pieces(outgoing: Outgoing) -> Iterator[str]:
    return in_pieces(_lines(outgoing))


def _lines(outgoing: Outgoing) -> Iterator[str]:
    amount = decimals(outgoing.currency, ",", bare=",")
    account = _FOREIGN.sub("", outgoing.account)[:35]
    entry = _writer(amount)
    ended = False
    for part in outgoing.parts:
        if ended:
            yield "-\r\n"
        yield (
            f":20:BL{part.number % 10**14}\r\n:25:{account}\r\n:28C:{part.number % 100_000}/1\r\n"
            f":60F:{_balance(part.opening, part.opens_on, outgoing.currency, amount)}"
        )
        yield from written(entry, part.entries)
        yield f":62F:{_balance(part.closing, part.on, outgoing.currency, amount)}"
        ended = True
    if ended:
        remarks = fitted(" ".join(outgoing.remarks))
        yield f":86:{_folded(remarks)}\r\n-\r\n" if remarks else "-\r\n"


def _balance(minor: int, on: date, currency: str, amount: Callable[[int], str]) -> str:
    return f"{'C' if minor >= 0 else 'D'}{on:%y%m%d}{currency}{amount(abs(minor))}\r\n"


def _writer(amount: Callable[[int], str]) -> Callable[[Entry], str]:
    def write(entry: Entry) -> str:
        reference, booked_on, value_on, minor, name, account, text, end_to_end, reversal = entry
        number = _account(account) if account else ""
        shown, told, theirs = fitted(name), fitted(text), fitted(end_to_end)
        details = f"/EREF/{theirs}" if theirs else ""
        if shown or number:
            # Who paid, or was paid; that stays so where the money comes back.
            details += "/ORDP//NAME/" if (minor >= 0) != bool(reversal) else "/BENM//NAME/"
            details += f"{shown}/IBAN/{number}" if number else shown
        if told:
            details += f"/REMI/{told}"
        below = f"{number}\r\n" if number else ""
        if details:
            below += f":86:{_folded(details)}\r\n"
        return (
            f":61:{_days(booked_on, value_on)}{'C' if minor >= 0 else 'D'}{amount(abs(minor))}"
            f"NMSC{'EREF' if theirs else 'NONREF'}//{str(reference)[:16]}\r\n"
            f"{below}"
        )

    return write


@lru_cache(maxsize=512)
def _days(booked_on: date | str, value_on: date | str | None) -> str:
    booked = date.fromisoformat(str(booked_on))
    value = booked if value_on is None else date.fromisoformat(str(value_on))
    if abs(value - booked) > _NO_YEAR:
        value = booked
    return f"{value:%y%m%d}{booked:%m%d}"


@lru_cache(maxsize=4096)
def _account(text: str) -> str:
    return "".join(_FOREIGN.sub("", plain(text)).split())[:34].strip("/:-")


def fitted(text: str | None) -> str:
    """In the characters that SWIFT knows, and without code words."""
    text = plain(text)
    if not text:
        return ""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(_NEAREST))
        text = "".join(each for each in text if not unicodedata.combining(each))
    if _FOREIGN.search(text):
        text = _FOREIGN.sub(".", text.translate(_NEAREST))
    if "/" in text:
        text = _CODE_WORD.sub(" ", text).strip("/ ")
    return " ".join(text.split())


def _folded(text: str) -> str:
    """In lines that are full, so that a reader knows they go on within a word. No line starts like
    a field or the end of a statement, none ends in a space, which would be lost."""
    if len(text) <= _WIDTH:
        return text
    lines: list[str] = []
    while text and len(lines) < _LINES:
        cut = min(_WIDTH, len(text))
        if cut < len(text) and (text[cut] in ":-" or text[cut - 1] == " "):
            cut -= 1
        if cut < len(text) and text[cut] in ":-":
            text = f"{text[:cut]}.{text[cut + 1 :]}"
        lines.append(text[:cut])
        text = text[cut:]
    return "\r\n".join(lines)
