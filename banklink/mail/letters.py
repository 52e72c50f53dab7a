"""A letter is made of parts, once; HTML and plain text are two drawings of the same parts, so that
neither can say something the other does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from banklink.mail.voice import Voice
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
    """Draw a letter. The subject is one line whatever went into it: a line break in a name must not
    become a header."""
    subject = " ".join(letter.subject.split())
    kinds = {type(part).__name__.lower() for part in letter.parts}
    values = {
        "letter": letter,
        "subject": subject,
        "parts": [(type(part).__name__.lower(), part) for part in letter.parts],
        "kinds": kinds,
        "_": Voice(letter.locale).gettext,
    }
    return Written(
        subject,
        _templates().get_template("letter.txt").render(values).strip() + "\n",
        _templates().get_template("letter.html").render(values),
        letter.unsubscribe,
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES / "mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
