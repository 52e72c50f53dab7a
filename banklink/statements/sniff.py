"""Which format is this? And if it is not ours, which one is it, so that people can be told."""

from __future__ import annotations

import re

_SIGNATURES = (
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),  # also XLSX and ODS, told apart below
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0", "spreadsheet"),  # the old binary XLS
    (b"\x1f\x8b", "zip"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"7z\xbc\xaf\x27\x1c", "zip"),
    (b"Rar!", "zip"),
    (b"{\\rtf", "document"),
    (b"OFXHEADER", "ofx"),
)
_MT940 = re.compile(r"^(?:\{[^\n]*\{4:[ \t]*)?:(?:20|25|60[FM]):", re.MULTILINE)
_MT942 = re.compile(r"^:(?:34F|13D):", re.MULTILINE)
_BALANCE = re.compile(r"^:6[02][FM]?:", re.MULTILINE)


def signature(data: bytes) -> str | None:
    """The name of a well-known format that is certainly not a statement, by its first bytes."""
    for magic, name in _SIGNATURES:
        if data.startswith(magic):
            if name == "zip" and re.search(rb"xl/|content\.xml|\[Content_Types\]", data[:4096]):
                return "spreadsheet"
            return name
    if (data[:4] == b"RIFF" and data[8:12] == b"WEBP") or data[4:8] == b"ftyp":
        return "image"  # a photograph, as telephones make them
    return None


def is_xml(data: bytes) -> bool:
    """Whether the first visible character is a `<`, in any encoding XML is written in."""
    return data[:64].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def is_mt940(text: str) -> bool:
    return bool(_MT940.search(text)) and not is_mt942(text)


def is_mt942(text: str) -> bool:
    """MT942 reports a part of a day and has no balances; its bookings may come again."""
    return bool(_MT942.search(text)) and not _BALANCE.search(text)


def text_format(text: str) -> str:
    """The best guess for text that is not MT940."""
    if is_mt942(text):
        return "mt942"
    first = next((line for line in text.splitlines() if line.strip()), "")
    if any(first.count(separator) >= 2 for separator in ",;\t"):
        return "csv"
    if first.lstrip().startswith(("{", "[")):
        return "json"
    return "unknown"
