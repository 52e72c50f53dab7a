"""Bytes become text, whatever program wrote them, and a person is told where that was a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TWICE = re.compile(
    # The two letters that a UTF-8 letter with an accent, a quote or a euro becomes when a program
    # takes its bytes for Windows-1252.
    "[\u00c3\u00c4\u00c5][\u0080-\u00bf\u20ac\u201a-\u203a\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2122]"
    "|\u00e2\u20ac|\u00e2\u201a\u00ac|\u00c2[\u00a0-\u00bf]"
)
_LOST = "\ufffd"


def text_of(data: bytes) -> tuple[str, str | None]:
    """The text, and the encoding when it had to be guessed."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return data[2:].decode(encoding, "replace"), None
    if unmarked := unmarked_utf16(data):
        return data.decode(unmarked, "replace"), None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        return data.decode("windows-1252", "replace"), "Windows-1252"


def unmarked_utf16(data: bytes) -> str | None:
    """Latin text in UTF-16 has a zero in every other byte."""
    head = data[:400]
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[start::2]
        if len(half) > 1 and half.count(0) * 10 > len(half) * 8:
            return encoding
    return None


def garbled(texts: Iterable[str]) -> str | None:
    """A word whose letters an earlier program spoiled, to show to a person: nobody can put it right
    here, but the bank's own file has it right."""
    for text in texts:
        if (_LOST in text or _TWICE.search(text)) and (
            word := next((w for w in text.split() if _LOST in w or _TWICE.search(w)), None)
        ):
            return word[:40]
    return None
