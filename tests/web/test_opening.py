"""A form opens with its answer in it: how many come, which journal; and every page can be left."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.house import TestHouse

from .conftest import Books, Visitor, field, row_of, soup, words


class Overheard:
    """The real provider; notes every question, and how many connections to the database were in
    use while it was asked."""

    def __init__(self, provider: Any, engine: Any, after: float = 0):
        self._provider, self._engine, self._after = provider, engine, after
        self.in_use: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def transactions(self, *args: Any, **kwargs: Any) -> Any:
        self.in_use.append(self._engine.pool.checkedout())
        time.sleep(self._after)
        return self._provider.transactions(*args, **kwargs)


@pytest.fixture
def overheard(house: TestHouse, monkeypatch: pytest.MonkeyPatch) -> Overheard:
    found = Overheard(house.services.providers["ponto"], house.services.store.engine)
    monkeypatch.setitem(house.services.providers, "ponto", found)
    return found


def preview_of(answer: TestResponse, number: int) -> str:
    return words(row_of(answer, number).select_one(".preview"))  # type: ignore[arg-type]


def ways_to_open(number: int) -> tuple[str, str]:
    """With the page's script and without."""
    return f"/connections/{number}/row?open=activate", f"/?connection={number}&open=activate"


def test_the_form_says_how_many_come_from_the_day_that_is_filled_in(
    visitor: Visitor, books: Books, overheard: Overheard
) -> None:
    number = books.id("new")
    for address in ways_to_open(number):
        answer = visitor.get(address)
        row = row_of(answer, number)
        start, holder = field(row, "start"), field(row, "holder")
        asked = visitor.get(f"/connections/{number}/preview?start={start}&holder={holder}").text
        assert re.fullmatch(r"\d+ mutaties t/m vandaag", asked.strip())
        assert preview_of(answer, number) == asked.strip(), address
    assert set(overheard.in_use) == {0}, "the provider was asked while the database was held"


def test_a_refused_form_still_says_how_many(visitor: Visitor, books: Books) -> None:
    """Somebody else changed the row meanwhile; the day is as good as it was."""
    number = books.id("new")
    row = row_of(visitor.get(ways_to_open(number)[0]), number)
    data = {"version": "0", "start": field(row, "start"), "holder": field(row, "holder")}
    for htmx in (True, False):
        again = visitor.press(f"/connections/{number}/activate", data, htmx=htmx)
        assert again.status_code == 422
        assert re.search(r"^\d+ mutaties t/m vandaag$", preview_of(again, number))
    for start in ("2999-01-01", "morgen"):
        again = visitor.press(
            f"/connections/{number}/activate", {**data, "start": start}, htmx=True
        )
        assert (again.status_code, preview_of(again, number)) == (422, "")


def test_opening_asks_no_more_than_two_pages(
    visitor: Visitor, books: Books, overheard: Overheard
) -> None:
    """Years of transactions are not counted before the form is there."""
    number = books.id("new")
    row = row_of(visitor.get(ways_to_open(number)[0]), number)
    overheard.in_use.clear()
    data = {"version": "0", "start": "2000-01-01", "holder": field(row, "holder")}
    again = visitor.press(f"/connections/{number}/activate", data, htmx=True)
    assert preview_of(again, number).startswith("Meer dan ")
    assert len(overheard.in_use) == 2


def test_a_form_without_a_day_asks_nothing(
    visitor: Visitor, books: Books, overheard: Overheard
) -> None:
    """Nor does a row that is only looked at, or a row of somebody else's administration."""
    number, elsewhere = books.id("new"), books.administrations()["kapsalon-amira"]
    for address in (
        f"/connections/{number}/row",
        f"/connections/{number}/row?open=details",
        f"/connections/{books.id('never_connected')}/row?open=arm",
        f"/?administration={elsewhere}&connection={number}&open=activate",
        "/?connection=99999999999999999999&open=activate",
    ):
        assert visitor.get(address).status_code == 200, address
    assert overheard.in_use == []


def test_a_provider_that_does_not_answer_is_not_waited_for(
    visitor: Visitor, books: Books, overheard: Overheard
) -> None:
    overheard._after = 30
    number = books.id("new")
    began = time.monotonic()
    row = row_of(visitor.get(ways_to_open(number)[0]), number)
    assert time.monotonic() - began < 10
    assert field(row, "start")


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


def language_leads_to(visitor: Visitor, answer: TestResponse) -> TestResponse:
    """What one sees after pressing EN on a page."""
    here = soup(answer).select_one(".languages [name=next]")
    assert here is not None
    back = visitor.press("/language", {"locale": "en", "next": str(here["value"])})
    assert back.status_code == 303
    shown = visitor.get(back.location, follow_redirects=True)
    visitor.speak("nl")
    return shown


@pytest.mark.parametrize(
    ("name", "panel", "typed"),
    [
        ("switched_off", "activate", {"start": "x"}),
        ("gap", "choose-journal", {"journal": "new", "code": "", "name": ""}),
        ("active", "change-start", {"start": "2999-01-01"}),
    ],
)
def test_the_language_of_a_refused_form_can_be_changed(
    visitor: Visitor, books: Books, name: str, panel: str, typed: dict[str, str]
) -> None:
    """It stands at an address that only takes forms: the same row and panel open again."""
    number = books.id(name)
    row = row_of(visitor.get(f"/connections/{number}/row?open={panel}"), number)
    refused = visitor.press(
        f"/connections/{number}/{panel}", {"version": field(row, "version"), **typed}
    )
    assert refused.status_code == 422
    shown = language_leads_to(visitor, refused)
    assert shown.status_code == 200
    assert soup(shown).html["lang"] == "en"  # type: ignore[index]
    form = row_of(shown, number).select_one("form.fill")
    assert form is not None and str(form["action"]).endswith(panel)


def test_the_language_of_the_page_on_the_way_to_the_bank_can_be_changed(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("expiring")
    handover = visitor.press(f"/connections/{number}/renew", {"version": books.version("expiring")})
    assert handover.status_code == 200 and soup(handover).select_one("#go")
    row_of(language_leads_to(visitor, handover), number)


def test_no_answer_to_a_form_is_a_dead_end_in_the_other_language(
    visitor: Visitor, house: TestHouse
) -> None:
    """Every address that takes a form, refused at the door and not; and read by mistake."""
    fill = dict.fromkeys(("connection_id", "administration_id", "journal_id", "holder_id"), 1)
    numbers = (
        "user_id",
        "session_id",
        "link_id",
        "invitation_id",
        "mail_id",
        "transaction_id",
        "upload_id",
    )
    fill |= dict.fromkeys(numbers, 999)
    urls = house.parts.web.url_map.bind("localhost")
    for rule in house.parts.web.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint in ("language", "doors.sign_out"):
            continue
        values = {name: fill.get(name, "made-up") for name in rule.arguments}
        path = urls.build(rule.endpoint, values, method="POST")
        for answer in (
            visitor.post(path),  # without the token that every form carries
            visitor.press(path),
            visitor.get(path),
        ):
            if answer.status_code == 303 or answer.mimetype != "text/html":
                continue
            here = soup(answer).select_one(".languages [name=next]")
            assert here is not None, path
            there = visitor.get(str(here["value"]), follow_redirects=True).status_code
            made_up = {"made-up", 999} & set(values.values())
            assert there == 200 or (made_up and there == 404), (rule.endpoint, there)
