"""A letter is made of parts, once; HTML and plain text are two drawings of the same parts, so that
neither can say something the other does not."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from banklink.mail.addresses import one_line
from banklink.mail.voice import Voice, masked
from banklink.paths import TEMPLATES


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What somebody wrote themselves; line breaks are kept."""

    text: str
    by: str


@dataclass(frozen=True, slots=True)
class Button:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Pairs of a word and what it is."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`links`: for each row where it leads, or None."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    links: tuple[str | None, ...] = ()


Part = Paragraph | Quote | Button | Facts | Table


@dataclass(frozen=True, slots=True)
class Letter:
    """`closing`: who greets. `small`: what stands below, in small print. `unsubscribe`: address of
    a page where the reader stops this kind of mail."""

    locale: str
    subject: str
    greeting: str
    parts: tuple[Part, ...]
    closing: str
    small: tuple[str, ...] = field(default=())
    unsubscribe: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A letter as it is sent."""

    subject: str
    text: str
    html: str
    unsubscribe: str | None = None


def write(letter: Letter) -> Written:
    """Draw a letter. Whatever went into it, the subject and each sentence is one line, nothing
    steers the direction of reading, and of an IBAN the last four digits are left."""
    letter = _tidied(letter)
    said = [part.text for part in letter.parts if isinstance(part, Paragraph)]
    values = {
        "letter": letter,
        "subject": letter.subject,
        "sender": letter.closing.splitlines()[-1] if letter.closing else "",
        "preview": said[0] if said else letter.subject,
        "parts": [(type(part).__name__.lower(), part) for part in letter.parts],
        "_": Voice(letter.locale).gettext,
    }
    return Written(
        letter.subject,
        _templates().get_template("letter.txt").render(values).strip() + "\n",
        _templates().get_template("letter.html").render(values),
        letter.unsubscribe,
    )


_LONG = 20_000
"""More than anybody writes in one sentence; what is longer was not written by hand."""


def _tidied(letter: Letter) -> Letter:
    return replace(
        letter,
        subject=_line(letter.subject),
        greeting=_line(letter.greeting),
        parts=tuple(_tidy_part(part) for part in letter.parts),
        closing=_lines(letter.closing.split("\n")),
        small=tuple(map(_line, letter.small)),
    )


def _tidy_part(part: Part) -> Part:
    if isinstance(part, Paragraph):
        return Paragraph(_line(part.text))
    if isinstance(part, Quote):
        return Quote(_lines(part.text.splitlines()), _line(part.by))
    if isinstance(part, Button):
        return Button(_line(part.label), part.url)
    if isinstance(part, Facts):
        return Facts(tuple((_line(word), _line(what)) for word, what in part.rows))
    return Table(
        tuple(map(_line, part.head)),
        tuple(tuple(map(_line, row)) for row in part.rows),
        part.links,
    )


def _line(text: str) -> str:
    return masked(one_line(text, _LONG))


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(map(_line, lines))


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    """In lines that can be read; an address is never broken."""
    lines = textwrap.wrap(
        text,
        72,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) or first.rstrip()


_TOGETHER = Markup('<span style="white-space:nowrap">{}</span>')


def _told(text: str) -> Markup:
    """For HTML: the end of an IBAN stays on one line with its dots."""
    pieces = re.split(r"(\(?…\d{4}\)?[,.;:]?)", text)
    return Markup("").join(
        _TOGETHER.format(piece) if number % 2 else piece for number, piece in enumerate(pieces)
    )


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(wrapped=_wrapped, told=_told)
    return environment
