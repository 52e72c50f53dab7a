"""docs/statuses.md, made from the same table as the help pages: `banklink handbook`."""

from __future__ import annotations

from banklink.core import guide
from banklink.core.statuses import ACTION_LABELS, Row
from banklink.translations import catalogue

NAMES = {"app": "Banklink", "provider": "Ondernemersapp"}


def statuses_page() -> str:
    """The whole file, Markdown."""
    lines = [
        "# The statuses",
        "",
        "Made from the status table by `banklink handbook`; do not edit by hand. The running",
        "application shows the same under *Help*, in Dutch and English.",
        "",
        "| Status | Rule | On the page (Dutch) | Who | Button |",
        "|---|---|---|---|---|",
    ]
    for chapter in guide.chapters():
        lines += [
            f"| [`{row.status}`](#{row.status}) | {row.key} | {_dutch(row.chip)}"
            f" | {guide.actor(row)} | {_dutch(guide.button(row) or '–')} |"
            for row in chapter.rows
        ]
    for chapter in guide.chapters():
        lines += ["", f"## {chapter.status}"]
        for row in chapter.rows:
            lines += _section(row)
    lines += ["", "## Said beside a status", ""]
    lines += [
        f"- **{overlay}**: {_named(meaning)}" for overlay, meaning in guide.OVERLAY_MEANING.items()
    ]
    return "\n".join(lines) + "\n"


def _section(row: Row) -> list[str]:
    label = guide.button(row)
    lines = [
        "",
        f"**{row.key}: {row.chip}** ({row.severity})",
        "",
        f"> {_named(_dutch(row.sentence))}",
        ">",
        f"> {_named(row.sentence)}",
        "",
        _named(guide.WHY[row.key]),
        "",
        f"*Who can mend it:* {guide.ACTORS[guide.actor(row)]}",
    ]
    if label is not None:
        steps = (guide.PRESS % {"button": label}, *map(_named, guide.steps(row)))
        lines += ["", *(f"{number}. {step}" for number, step in enumerate(steps, start=1))]
    if row.also:
        lines += ["", "*Also possible:* " + " · ".join(ACTION_LABELS[each] for each in row.also)]
    return lines


def _dutch(text: str) -> str:
    return catalogue("nl").gettext(text)


def _named(text: str) -> str:
    return text % NAMES if "%(" in text else text
