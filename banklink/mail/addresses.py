"""Addresses and names as mail servers and headers take them, whatever was typed."""

from __future__ import annotations

import re
import unicodedata

_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\\\]]+")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_JOINER = "\u200d"
"""Holds some emoji together; every other invisible sign only serves to deceive."""


def wire_address(address: str) -> str:
    """An e-mail address as it goes over the wire: an internationalised domain in its ASCII form. A
    name before the @ beyond ASCII stays as it is; not every server takes one. Raises ValueError."""
    local, at, domain = address.rpartition("@")
    if (
        not at
        or not address.isprintable()
        or len(local.encode()) > 64
        or not _LOCAL.fullmatch(local)
        or not all(local.split("."))
    ):
        raise ValueError("no e-mail address")
    ascii_domain = domain.encode("idna").decode("ascii")  # its error is a ValueError
    if len(ascii_domain) > 253 or not all(map(_LABEL.fullmatch, ascii_domain.split("."))):
        raise ValueError("no e-mail address")
    return f"{local}@{ascii_domain}"


def can_be_posted(address: str) -> bool:
    """Whether a mail server could be asked to deliver there."""
    try:
        wire_address(address)
    except ValueError:
        return False
    return True


def one_line(text: str, most: int) -> str:
    """The visible part of a text on one line of at most `most` characters: a break of any kind is a
    space, what steers the direction of reading or is no character at all is left out."""
    kept = []
    for sign in text:
        kind = unicodedata.category(sign)
        if kind in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif kind[0] != "C" or sign == _JOINER:
            kept.append(sign)
    line = " ".join("".join(kept).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
