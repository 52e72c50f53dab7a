"""Reads bank statement files: MT940 and camt.053, as Dutch banks export them.

    for statement in read_statements(Path("juli.sta")):
        for booking in statement.bookings: ...

Knows no database and no other room of Banklink. What a file states is what comes out: balances
that do not add up and mixed currencies stay as they are. Whatever cannot be read raises
`StatementError`, and nothing else does; a file that was cut off is refused, because half a
statement imported silently is worse than none.
"""

from __future__ import annotations

from pathlib import Path

from banklink.statements import camt053, mt940, sniff
from banklink.statements.model import Balance, Booking, Statement, StatementError

__all__ = ["Balance", "Booking", "Statement", "StatementError", "read_statements"]

MAX_BYTES = 20 * 1024 * 1024


def read_statements(source: Path | bytes, *, max_bytes: int = MAX_BYTES) -> list[Statement]:
    """All statements in a file or in its bytes, in the file's order; at least one.

    Raises StatementError, see there for the codes. A file of more than `max_bytes` bytes is
    refused before it is read.
    """
    data = source if isinstance(source, bytes) else _load(source, max_bytes)
    if len(data) > max_bytes:
        raise StatementError("too_large", max_bytes=max_bytes)
    if not data.strip(b"\xef\xbb\xbf\xff\xfe\x00\x1a \t\r\n"):
        raise StatementError("empty")
    if looks_like := sniff.signature(data):
        raise StatementError("unknown_format", looks_like=looks_like)
    if sniff.is_xml(data):
        return camt053.read(data)
    text = mt940.decode(data)
    if sniff.is_mt940(text):
        return mt940.read(text)
    raise StatementError("unknown_format", looks_like=sniff.text_format(text))


def _load(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, ValueError):  # ValueError: a name with a NUL in it
        raise StatementError("unreadable") from None
