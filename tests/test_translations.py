"""Dutch is complete and says what it must; no template speaks outside the catalogue."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from banklink.core.statuses import ACCOUNT_LINES, BY_KEY, AccountLine
from banklink.translations import FOLDER, catalogue
from tests.support.catalogue import (
    ROOT,
    Msgid,
    loose_words,
    msgids,
    python_msgids,
    template_msgids,
    templates,
)

ALLOWED = ("NL", "EN", "Nederlands", "English", "Banklink")

ARTICLE = {
    "r1": (
        "De koppeling is verbroken omdat Minox geen dagboek (meer-) kan vinden met het"
        " desbetreffende IBAN"
    ),
    "r2": (
        "De koppeling is verbroken omdat Minox geen toegang meer heeft tot de ondernemersapp van"
        " de geselecteerde gebruiker"
    ),
    "r3": (
        "De koppeling is niet actief omdat Minox de bankrekening niet heeft gevonden in de"
        " ondernemersapp."
    ),
    "r4": "De koppeling is verbroken omdat de autorisatie in de ondernemersapp is verlopen",
    "r5a": (
        "De koppeling is verbroken omdat de autorisatie in de ondernemersapp niet actief is/niet"
        " is afgemaakt"
    ),
    "r5b": (
        "De koppeling is verbroken omdat de autorisatie in de ondernemersapp niet actief is/niet"
        " is afgemaakt"
    ),
    "r6": "De rekening is nu actief en de verbinding ook",
    "r7": "Er is (nog) geen dagboek met dit IBAN",
    "r8": "Nog niet gekoppeld",
    "r9": (
        "De koppeling is niet actief omdat Minox de bankrekening niet heeft gevonden in de"
        " ondernemersapp."
    ),
    "r10a": "Inactieve koppeling en geen geautoriseerde IBAN in de ondernemersapp",
    "r10b": "Inactieve koppeling en geen geautoriseerde IBAN in de ondernemersapp",
    "r11": "Nieuw – rekening verbonden, nog niet geactiveerd",
    "r12": "Uitgeschakeld",
}
ARTICLE_LINES = {
    AccountLine.CONNECTED: "Verbonden met bank",
    AccountLine.NOT_CONNECTED: "Nog niet verbonden met bank",
    AccountLine.LAPSED: "Autorisatie met de bank vervallen",
}


# -- (1) complete -------------------------------------------------------------------------------


def dutch() -> Catalog:
    with (FOLDER / "nl" / "LC_MESSAGES" / "banklink.po").open("rb") as source:
        return read_po(source, locale="nl", abort_invalid=True)


def messages(catalog: Catalog) -> dict[Msgid, Message]:
    return {_id(message): message for message in catalog if message.id}


def incomplete(catalog: Catalog, wanted: Iterable[Msgid]) -> dict[str, list[Msgid]]:
    """What is wrong, by kind; empty when every sentence is there, whole and used."""
    wanted, present = set(wanted), messages(catalog)
    left_over = {*(present.keys() - wanted), *map(_id, catalog.obsolete.values())}
    found: dict[str, set[Msgid]] = {
        "missing": wanted - present.keys(),
        "unused": left_over,
        "empty": {msgid for msgid, each in present.items() if not all(_forms(each.string))},
        "fuzzy": {msgid for msgid, each in present.items() if each.fuzzy},
        "plurals": {
            msgid
            for msgid, each in present.items()
            if len(_forms(each.string)) != (catalog.num_plurals if each.pluralizable else 1)
        },
    }
    return {kind: sorted(each, key=str) for kind, each in found.items() if each}


def _id(message: Message) -> Msgid:
    return message.id if isinstance(message.id, str) else tuple(message.id)


def _forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def test_every_sentence_has_its_dutch_and_no_dutch_is_left_over() -> None:
    assert incomplete(dutch(), msgids()) == {}


def test_every_sentence_stands_in_the_catalogue_once() -> None:
    """Of two the reader of the file keeps the last, and the other is mended in vain."""
    text = (FOLDER / "nl" / "LC_MESSAGES" / "banklink.po").read_text()
    counted = Counter(re.findall(r'^((?:msgctxt .+\n)?msgid ".+")$', text, re.MULTILINE))
    assert [msgid for msgid, times in counted.items() if times > 1] == []


def test_the_sources_are_really_read() -> None:
    found = msgids()
    assert "banklink/core/statuses.py" in found["Connected to the bank"]
    assert "templates/base.html" in found["Busy…"]
    assert not [place for places in found.values() for place in places if "simulator" in place]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('_("One")', ["One"]),
        ('N_("One" " two")', ["One two"]),
        ("x = f\"{a or _('One')}\"", ["One"]),
        ('_("One" if x else "Two")', ["One", "Two"]),
        ('web.ngettext("%(n)s day", "%(n)s days", n)', [("%(n)s day", "%(n)s days")]),
        ('say = voice.gettext\nsay("One")\nother("Two")', ["One"]),
        ('_(SENTENCES["key"])\nother("One")\n_(x)', []),
    ],
)
def test_python_is_read_sentence_by_sentence(source: str, found: list[Msgid]) -> None:
    assert list(python_msgids(source)) == found


@pytest.mark.parametrize("source", ['_(f"One {x}")', '_("One " + x)', '_("One %s" % x)'])
def test_a_sentence_put_together_before_it_is_translated_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(python_msgids(source))


def test_templates_are_read_with_their_values() -> None:
    source = """
      <p title="{{ _('One %(x)s', x=y) }}">{% if a %}{{ gettext('Two') }}{% endif %}</p>
      {{ ngettext('%(num)s day', '%(num)s days', n) }}
      {% with caption = _('Three') %}{% endwith %}
    """
    assert list(template_msgids(source)) == [
        "One %(x)s",
        "Two",
        ("%(num)s day", "%(num)s days"),
        "Three",
    ]


def test_what_is_incomplete_is_seen() -> None:
    catalog = Catalog(locale="nl")
    catalog.add("kept", "bewaard")
    catalog.add("left over", "over")
    catalog.add("bare", "")
    catalog.add("doubtful", "twijfel", flags=["fuzzy"])
    catalog.add(("%(n)s day", "%(n)s days"), ("%(n)s dag", ""))
    catalog.add(("%(n)s hour", "%(n)s hours"), ("%(n)s uur",))
    day, hour = ("%(n)s day", "%(n)s days"), ("%(n)s hour", "%(n)s hours")
    catalog.obsolete["gone"] = Message("gone", "weg")
    assert incomplete(catalog, ["kept", "bare", "doubtful", day, hour, "new"]) == {
        "missing": ["new"],
        "unused": ["gone", "left over"],
        "empty": [day, "bare"],
        "fuzzy": ["doubtful"],
        "plurals": [hour],
    }


# -- (2) the same values ------------------------------------------------------------------------

_VALUE = re.compile(r"%\((\w+)\)s")


def odd_values(catalog: Catalog) -> list[Msgid]:
    """The sentences whose Dutch asks for other values, or has a `%` that is none."""
    found = []
    for msgid, message in messages(catalog).items():
        texts = (*_forms(msgid), *_forms(message.string))
        names = {frozenset(_VALUE.findall(text)) for text in texts}
        if len(names) != 1 or any("%" in _VALUE.sub("", text) for text in texts):
            found.append(msgid)
    return found


def test_english_and_dutch_ask_for_the_same_values() -> None:
    assert odd_values(dutch()) == []


@pytest.mark.parametrize(
    ("msgid", "msgstr"),
    [
        ("Until %(date)s", "Tot %(datum)s"),
        ("Until %(date)s", "Tot dan"),
        ("Until then", "Tot %(date)s"),
        ("Until %(date)s", "Tot %(date)d"),
        ("Done", "100% klaar"),
        (("%(n)s day", "%(n)s days"), ("een dag", "%(n)s dagen")),
    ],
)
def test_odd_values_are_seen(msgid: Msgid, msgstr: str | tuple[str, str]) -> None:
    catalog = Catalog(locale="nl")
    catalog.add("Until %(date)s.", "Tot %(date)s.")
    catalog.add(msgid, msgstr)
    assert odd_values(catalog) == [msgid]


# -- (3) the source article's words -------------------------------------------------------------


def said(sentence: str) -> str:
    return catalogue("nl").gettext(sentence) % {"app": "Minox"}


def test_statuses_are_said_in_the_words_of_the_article() -> None:
    assert {key: said(row.sentence) for key, row in BY_KEY.items()} == ARTICLE


def test_account_lines_are_said_in_the_words_of_the_article() -> None:
    assert {line: said(sentence) for line, sentence in ACCOUNT_LINES.items()} == ARTICLE_LINES


def test_a_sentence_without_dutch_is_not_in_the_words_of_the_article() -> None:
    assert said("Not linked yet") == ARTICLE["r8"]
    assert said("Not linked yet!") not in ARTICLE.values()


# -- (4) nothing outside gettext ----------------------------------------------------------------


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_template_speaks_outside_gettext(path: Path) -> None:
    assert loose_words(path.read_text(encoding="utf-8"), ALLOWED) == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ("<title>Links – {{ name }}</title>", ["Links – …"]),
        (
            "{% if x %}<p>{{ x }}</p>{% elif y %}{{ y }}{% else %}<p>None yet</p>{% endif %}",
            ["None yet"],
        ),
        ("{% for x in y %}{{ x }}{% else %}Nothing{% endfor %}", ["…Nothing"]),
        ("{% block content %}<p>Hello{% endblock %}", ["Hello"]),
        ("{% macro m(x) %}<b>Hello {{ x }}</b>{% endmacro %}", ["Hello …"]),
        ("{% set x %}Hello you{% endset %}", ["Hello you"]),
        ('<button aria-label="Close {{ x }}">×</button>', ["Close …"]),
        ('<input placeholder="Search">', ["Search"]),
        ('<p {% if x %}title="Hello"{% else %}title="{{ x }}"{% endif %}></p>', ["Hello"]),
        ('<img alt="A chart" src="/x.png">', ["A chart"]),
        ('<input type="submit" value="Send">', ["Send"]),
        ('<body data-busy="Busy…">', ["Busy…"]),
        ('{% macro m(b) %} aria-label="Close" required{% endmacro %}', ["Close"]),
        ("{% set s %} id='x' nonsense{% endset %}", ["nonsense"]),
        ("<p>{{ 'Yes' if x else 'No' }}</p>", ["…Yes…No…"]),
        ("<p>{{ x or 'nobody' }}</p>", ["…nobody…"]),
        ("<p>{{ x|default('nobody') }}</p>", ["…nobody…"]),
        ("<p>Caf&eacute;</p>", ["Café"]),
        ("<style>p{color:red}</style><p>Hello</p>", ["Hello"]),
    ],
)
def test_words_outside_gettext_are_seen(template: str, found: list[str]) -> None:
    assert loose_words(template, ALLOWED) == found


@pytest.mark.parametrize(
    "template",
    [
        "<p>{{ _('Hello %(x)s', x=x) }}</p>",
        '<a class="button" href="/x" hx-target="closest tbody" title="{{ _(\'Hello\') }}">×</a>',
        '<button lang="nl" aria-label="{{ code|upper }} – {{ name }}">NL</button>',
        "<p>Banklink · {{ x or '–' }}&nbsp;€ 1.234,50</p>",
        "{# Hello #}<!-- Hello --><script>hello()</script><style>p { color: red }</style>",
        "{{ icon('well') }}{{ icon({'ok': 'well'}.get(x, 'info')) }}",
        "<p class=\"{{ 'well' if x else 'broken' }}\"{% if x %} hidden{% endif %}></p>",
        '{% set s %} aria-describedby="x-hint"{% if x %} required{% endif %}{% endset %}',
        '{% set id = "connection-" ~ row.id %}',
    ],
)
def test_words_inside_gettext_and_what_nobody_reads_are_let_be(template: str) -> None:
    assert loose_words(template, ALLOWED) == []
