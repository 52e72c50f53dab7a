"""Help says what the page says: made from the same table, reachable from every row."""

from __future__ import annotations

from pathlib import Path

import pytest

from banklink.core import guide
from banklink.core.diagnose import diagnose
from banklink.core.statuses import TABLE, Action, Overlay, Status
from banklink.handbook import statuses_page

from .conftest import Visitor, rows_of, soup, words

ROOT = Path(__file__).resolve().parents[2]

# By hand, so that a slip in the table is a slip in help too, and seen.
WHO = {
    "r1": "bookkeeper", "r2": "holder", "r3": "holder", "r4": "holder", "r5a": "holder",
    "r5b": "holder", "r6": "nobody", "r7": "bookkeeper", "r8": "holder", "r9": "holder",
    "r10a": "holder", "r10b": "holder", "r11": "bookkeeper", "r12": "bookkeeper",
}  # fmt: skip


def test_every_row_of_the_table_has_its_why_its_who_and_its_steps() -> None:
    assert set(guide.WHY) == {row.key for row in TABLE}
    assert {row.key: str(guide.actor(row)) for row in TABLE} == WHO
    assert set(guide.OVERLAY_MEANING) == set(Overlay)
    assert set(guide.STEPS) == {row.primary for row in TABLE if row.primary}
    assert [each.status for each in guide.chapters()] == list(
        dict.fromkeys(r.status for r in TABLE)
    )
    assert {each.status for each in guide.chapters()} == set(Status)


@pytest.mark.parametrize("locale", ["nl", "en"])
def test_every_row_leads_to_the_chapter_that_shows_its_own_words(
    reader: Visitor, locale: str
) -> None:
    reader.speak(locale)
    chapters = soup(reader.get("/help"))
    rows = rows_of(reader.get("/"))
    assert {row["data-status"] for row in rows} == set(Status)
    for row in rows:
        address = row.select_one('[data-action="help"]')["href"]  # type: ignore[index]
        path, _, anchor = str(address).partition("#")
        assert (path, anchor) == ("/help", row["data-status"])
        variant = chapters.select_one(f'#{anchor} [data-key="{row["data-key"]}"]')
        assert variant is not None
        for part in (".chip", ".sentence"):
            assert words(row.select_one(part)) in words(variant)  # type: ignore[arg-type]
        button = row.select_one(".act [id$=-primary] .label")
        if button is not None and row["data-urgency"] != "soon":
            assert f"“{words(button)}”" in words(variant), "the step names the button"


def test_what_help_says_of_the_button_is_what_the_row_does() -> None:
    """The steps belong to the action that the diagnosis offers first."""
    from banklink.core.facts import ConnectionFacts, Switch

    facts = ConnectionFacts(journal=False, switch=Switch.ON, selected=None)
    found = diagnose(facts)
    assert found.primary is not None and found.primary.action is Action.CHOOSE_JOURNAL
    assert guide.steps(found.row) == guide.STEPS[Action.CHOOSE_JOURNAL]


def test_search_finds_words_whatever_their_case_and_says_how_many(reader: Visitor) -> None:
    reader.speak("nl")
    page = soup(reader.get("/help?q=VERLOPEN%20lezen"))
    assert [each["id"] for each in page.select("section.chapter")] == ["authorisation_expired"]
    assert "1 hoofdstuk gevonden" in words(page.select_one(".found"))  # type: ignore[arg-type]
    nothing = soup(reader.get("/help?q=zeppelin<b>"))
    assert "Niets gevonden voor “zeppelin<b>”" in words(nothing.body)  # type: ignore[arg-type]
    assert nothing.select_one("b") is None
    field = nothing.select_one("#q")
    assert field is not None and field["value"] == "zeppelin<b>", "what was typed stays"


def test_the_documents_are_made_from_the_same_table() -> None:
    written = (ROOT / "docs" / "statuses.md").read_text(encoding="utf-8")
    assert written == statuses_page(), "run: .venv/bin/banklink handbook > docs/statuses.md"
