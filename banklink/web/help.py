"""Help: a chapter for every status, made from the table that also makes the rows."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for

from banklink.core import guide
from banklink.core.statuses import ACTION_LABELS, OVERLAYS, Row, Severity
from banklink.web.context import house
from banklink.web.i18n import _, ngettext

blueprint = Blueprint("help", __name__)

_TONES = {
    Severity.ERROR: "broken",
    Severity.TODO: "todo",
    Severity.OK: "well",
    Severity.MUTED: "off",
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the table in the reader's words. `also` are the other buttons a row may offer."""

    key: str
    tone: str
    chip: str
    sentence: str
    why: str
    who: str
    steps: tuple[str, ...]
    also: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join((self.chip, self.sentence, self.why, self.who, *self.steps, *self.also))


@dataclass(frozen=True, slots=True)
class ChapterView:
    """`anchor` is the word in a row's data-status."""

    anchor: str
    heading: str
    variants: tuple[Variant, ...]


@blueprint.get("/help")
def page() -> str:
    query = " ".join(request.args.get("q", "").split())[:100]
    chapters = [each for each in _chapters() if _matches(each, query)]
    return render_template(
        "pages/help.html",
        chapters=chapters,
        overlays=[] if query else _overlays(),
        query=query,
        base_url=url_for("help.page"),
        found=ngettext("%(n)s chapter found", "%(n)s chapters found", len(chapters)),
    )


def _chapters() -> list[ChapterView]:
    return [
        ChapterView(chapter.status.value, _heading(chapter), tuple(map(_variant, chapter.rows)))
        for chapter in guide.chapters()
    ]


def _heading(chapter: guide.Chapter) -> str:
    """The chips; two statuses with the same chip are told apart by how bad they are."""
    chips = list(dict.fromkeys(row.chip for row in chapter.rows))
    elsewhere = {row.chip for other in guide.chapters() if other != chapter for row in other.rows}
    heading = " / ".join(_(chip) for chip in chips)
    if elsewhere.isdisjoint(chips):
        return heading
    broken = chapter.rows[0].severity is Severity.ERROR
    return f"{heading} ({(_('Broken') if broken else _('To do')).lower()})"


def _variant(row: Row) -> Variant:
    label = guide.button(row)
    steps = [_say(each) for each in guide.steps(row)]
    if label is not None:
        steps.insert(0, _(guide.PRESS, button=_(label)))
    return Variant(
        key=row.key,
        tone=_TONES[row.severity],
        chip=_(row.chip),
        sentence=_say(row.sentence),
        why=_say(guide.WHY[row.key]),
        who=_(guide.ACTORS[guide.actor(row)]),
        steps=tuple(steps),
        also=tuple(_(ACTION_LABELS[each]) for each in row.also),
    )


def _overlays() -> list[tuple[str, str, str]]:
    return [
        (each.value, _say(OVERLAYS[each]), _say(meaning))
        for each, meaning in guide.OVERLAY_MEANING.items()
    ]


def _say(sentence: str) -> str:
    settings = house().settings
    return _(sentence, app=settings.app_name, provider=settings.provider_name)


def _matches(chapter: ChapterView, query: str) -> bool:
    """Every word of the query is somewhere in the chapter, whatever its case or accents."""
    text = _plain(" ".join([chapter.heading, *(each.text for each in chapter.variants)]))
    return all(word in text for word in _plain(query).split())


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in bare if not unicodedata.combining(each))
