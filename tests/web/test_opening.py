"""A form opens with its answer in it: how many come, which journal; and every page can be left."""

from __future__ import annotations

import re

import pytest

from banklink.core.statuses import Action

from .conftest import Books, Visitor, field, row_of, soup, words


def test_the_form_says_how_many_come_from_the_day_that_is_filled_in(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("new")
    for address in (
        f"/connections/{number}/row?open=activate",
        f"/?connection={number}&open=activate",
    ):
        row = row_of(visitor.get(address), number)
        said = words(row.select_one(".preview"))  # type: ignore[arg-type]
        assert re.search(r"\d+ mutaties t/m vandaag|Meer dan \d+ mutaties", said), address
        start, holder = field(row, "start"), field(row, "holder")
        asked = visitor.get(f"/connections/{number}/preview?start={start}&holder={holder}").text
        assert asked.strip() == said or said.startswith("Meer dan")
    data = {"version": field(row, "version"), "start": "2999-01-01", "holder": holder}
    again = visitor.press(f"/connections/{number}/activate", data, htmx=True)
    assert again.status_code == 422
    assert field(row_of(again, number), "start") == "2999-01-01"


@pytest.mark.usefixtures("provider_down")
def test_without_an_answer_the_form_opens_all_the_same(visitor: Visitor, books: Books) -> None:
    number = books.id("new")
    row = row_of(visitor.get(f"/connections/{number}/row?open=activate"), number)
    assert field(row, "start")
    assert words(row.select_one(".preview")) == ""  # type: ignore[arg-type]


def test_a_new_journal_is_filled_in_so_that_saving_is_enough(
    visitor: Visitor, books: Books
) -> None:
    """R1 and R7 without a free journal: open, save (domain.md A3 allows two)."""
    number = books.id("journal_lost")
    row = row_of(visitor.get(f"/connections/{number}/row?open=choose-journal"), number)
    code, name = field(row, "code"), field(row, "name")
    assert code.isdecimal() and int(code) % 10 == 0 and name
    data = {"version": field(row, "version"), "journal": "new", "code": code, "name": name}
    answer = visitor.press(f"/connections/{number}/choose-journal", data, htmx=True)
    assert row_of(answer, number)["data-key"] == "r6"
    page = soup(visitor.get("/?open=add-journal"))
    following = page.select_one(".page-form [name=code]")
    assert following is not None and int(str(following["value"])) == int(code) + 10


def test_the_language_can_be_changed_on_the_answer_to_any_form(
    visitor: Visitor, books: Books
) -> None:
    """What answers a form stands at an address that only takes forms."""
    number = books.id("switched_off")
    row = row_of(visitor.get(f"/connections/{number}/row?open=activate"), number)
    refused = [
        visitor.press(
            f"/connections/{number}/activate",
            {"version": field(row, "version"), "start": "x", "holder": field(row, "holder")},
        ),
        visitor.press("/administrations/1/journals", {"code": "", "name": "", "iban": "x"}),
        visitor.press(f"/connections/{number}/{Action.RENEW}"),
    ]
    assert [each.status_code for each in refused][:2] == [422, 422]
    for answer in refused:
        if answer.status_code == 303:
            continue
        here = soup(answer).select_one(".languages [name=next]")
        assert here is not None
        answer = visitor.press("/language", {"locale": "en", "next": str(here["value"])})
        assert answer.status_code == 303
        assert visitor.get(answer.location).status_code == 200, here["value"]
        visitor.speak("nl")
