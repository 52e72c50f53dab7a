"""From an empty database: the guide, the first administration, the provider that comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from banklink.simulator.bookings import with_check_digits
from banklink.store.models import Administration, Connection, Membership
from tests.support.house import TestHouse
from tests.web.conftest import Visitor, row_of, rows_of, soup, words
from tests.web.empty import empty_house

IBAN = with_check_digits("NL", "TEST0000000042")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[tuple[TestHouse, Visitor]]:
    with empty_house(tmp_path) as (house, visitor):
        visitor.speak("en")
        yield house, visitor


def begin(visitor: Visitor, **more: str) -> Any:
    form = {"name": "Bakkerij", "fiscal_year_start": "2026-01-01", "lock_date": "", **more}
    return visitor.press("/books", form)


def steps(visitor: Visitor) -> dict[str, str]:
    page = soup(visitor.get("/start"))
    return {str(each["id"]): str(each["class"][0]) for each in page.select("ol.steps > li")}


def test_the_owner_of_nothing_is_led_to_the_guide_and_nothing_looks_broken(
    empty: tuple[TestHouse, Visitor],
) -> None:
    _house, visitor = empty
    answer = visitor.get("/")
    assert answer.location == "/start"
    page = visitor.get("/start")
    assert page.status_code == 200
    assert not soup(page).select(".notice.error, .broken")
    assert soup(page).select("nav.sections a")[0].get("href") == "/books"


def test_steps_are_what_there_is_and_the_guide_goes_on_where_it_was_left(
    empty: tuple[TestHouse, Visitor],
) -> None:
    _house, visitor = empty
    begin(visitor)
    assert steps(visitor) == {
        "step-administration": "done", "step-journals": "now", "step-people": "optional",
        "step-provider": "later", "step-account": "later",
    }  # fmt: skip
    address = "/administrations/1/journals/add"
    form = {"code": "1100", "name": "Bank", "iban": IBAN, "through": "", "from": "start"}
    assert visitor.press(address, form).location.startswith("/start")
    assert steps(visitor)["step-journals"] == "done"
    assert steps(visitor)["step-provider"] == "now"
    page = soup(visitor.get("/"))
    assert page.select_one("#set-up") is not None


def test_an_account_waits_for_the_provider_and_says_so_without_alarm(
    empty: tuple[TestHouse, Visitor],
) -> None:
    _house, visitor = empty
    begin(visitor)
    form = {"code": "1100", "name": "Bank", "iban": IBAN, "through": ""}
    visitor.press("/administrations/1/journals/add", form)
    answer = visitor.get("/")
    row = rows_of(answer)[0]
    assert row["data-key"] == "r8"
    primary = row.select_one("td.act a.primary, td.act a.button")
    assert primary is not None
    assert primary["href"] == "/provider"
    assert "have to be entered" in words(row)
    refreshed = visitor.press("/administrations/1/refresh")
    page = visitor.get(refreshed.location)
    assert not soup(page).select(".notice.error")
    assert row_of(page, 1)["data-key"] == "r8"


def test_more_accounts_ask_the_database_no_more_often(
    empty: tuple[TestHouse, Visitor], counted: Callable[[TestHouse, Callable[[], object]], int]
) -> None:
    house, visitor = empty
    begin(visitor)
    asked = []
    for number in range(4):
        iban = with_check_digits("NL", f"TEST{number:010d}")
        form = {"code": str(number), "name": "Bank", "iban": iban, "through": ""}
        visitor.press("/administrations/1/journals/add", form)
        asked.append(counted(house, lambda: visitor.get("/")))
    assert len(set(asked)) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"fiscal_year_start": "soon"}, "fiscal_year_start"),
        ({"fiscal_year_start": "0001-01-01"}, "fiscal_year_start"),
        ({"fiscal_year_start": "2206-01-01"}, "fiscal_year_start"),
        ({"lock_date": "2999-12-31"}, "lock_date"),
        ({"lock_date": "0206-12-31"}, "lock_date"),
        ({"lock_date": "31-31-2025"}, "lock_date"),
    ],
)
@pytest.mark.parametrize("where", ["start", ""])
def test_a_wrong_administration_keeps_what_was_typed(
    empty: tuple[TestHouse, Visitor], wrong: dict[str, str], field: str, where: str
) -> None:
    house, visitor = empty
    form = {"name": "Bakkerij", "fiscal_year_start": "2026-01-01", "lock_date": "", **wrong}
    answer = begin(visitor, **form, **{"from": where} if where else {})
    assert answer.status_code == 422
    page = soup(answer)
    assert page.select_one(f"#page-form-field-{field}-error") is not None
    kept = {str(each["name"]): str(each.get("value", "")) for each in page.select(".fill input")}
    assert {name: kept[name] for name in form} == form
    assert words(page.h1) == ("Set up" if where else "Administrations")
    with house.services.store.read() as session:
        assert session.query(Administration).count() == 0


def test_who_makes_an_administration_administers_it(empty: tuple[TestHouse, Visitor]) -> None:
    house, visitor = empty
    begin(visitor)
    with house.services.store.read() as session:
        assert session.query(Membership).one().role == "administrator"
    assert begin(visitor).status_code == 422  # the same name twice
    assert begin(visitor, name="Second").status_code == 303
    assert "Second" in visitor.get("/books").text


def test_settings_change_and_of_two_people_the_second_hears_it(
    empty: tuple[TestHouse, Visitor],
) -> None:
    house, visitor = empty
    begin(visitor)
    address = "/administrations/1/settings"
    fields = soup(visitor.get(address)).select("form.fill input")
    form = {
        str(each["name"]): str(each.get("value", ""))
        for each in fields
        if each["name"] != "csrf_token"
    }
    assert visitor.press(address, {**form, "lock_date": "2025-12-31"}).status_code == 303
    answer = visitor.press(address, {**form, "name": "Mine"})
    assert answer.status_code == 409
    assert "Locked through is now" in words(soup(answer).select_one("[role=alert]"))
    again = {
        str(each["name"]): str(each.get("value", ""))
        for each in soup(answer).select("form.fill input")
    }
    assert again["name"] == "Mine"
    assert visitor.press(address, again).status_code == 303
    with house.services.store.read() as session:
        assert session.get_one(Administration, 1).name == "Mine"


def test_the_consequence_of_locking_stands_beside_it(empty: tuple[TestHouse, Visitor]) -> None:
    _house, visitor = empty
    begin(visitor, lock_date="2025-12-31")
    said = words(soup(visitor.get("/administrations/1/settings")).select_one(".preview"))
    assert "no link can start on or before that day" in said


def test_a_lock_date_says_which_links_it_touches_before_it_is_stored(
    empty: tuple[TestHouse, Visitor],
) -> None:
    house, visitor = empty
    begin(visitor)
    with house.services.store.write() as session:
        for number, more in enumerate(
            (
                {"switch": "on", "start_date": date(2025, 5, 2)},
                {"switch": "never", "armed": True, "armed_start": date(2025, 12, 31)},
                {"switch": "on", "start_date": date(2026, 1, 1)},
            )
        ):
            account = with_check_digits("NL", f"TEST000000005{number}")
            session.add(Connection(administration_id=1, iban=account, currency="EUR", **more))
    address = "/administrations/1/settings"
    form = {
        str(each["name"]): str(each.get("value", ""))
        for each in soup(visitor.get(address)).select("form.fill input")
        if each["name"] != "csrf_token"
    }
    form["lock_date"] = "2025-12-31"

    def named(text: str) -> None:
        assert "1 link that already started earlier goes on as it was" in text
        assert "TEST 0000 0000 50 (from 2 May 2025)" in text.replace("\xa0", " ")
        assert "1 link that waits for the bank starts on 1 Jan 2026 instead" in text
        assert "TEST 0000 0000 52" not in text.replace("\xa0", " ")

    named(visitor.get(f"{address}/consequence", query_string={"lock_date": "2025-12-31"}).text)
    answer = visitor.press(address, {**form, "name": "Typed"})
    assert answer.status_code == 200
    page = soup(answer)
    named(words(page.select_one(".preview")))
    assert 'value="Typed"' in answer.text

    def stored() -> date | None:
        with house.services.store.read() as session:
            found: date | None = session.get_one(Administration, 1).lock_date
            return found

    assert stored() is None
    confirmed = page.select_one("input[name=confirmed]")
    assert confirmed is not None
    later = {**form, "lock_date": "2026-01-31", "confirmed": str(confirmed["value"])}
    assert visitor.press(address, later).status_code == 200, "another day is another consequence"
    form["confirmed"] = str(confirmed["value"])
    assert visitor.press(address, form).status_code == 303
    assert stored() == date(2025, 12, 31)
    assert visitor.get(f"{address}/consequence?lock_date=0001-01-01").text == ""


def test_the_guide_leads_to_a_colleague_s_form_and_back(empty: tuple[TestHouse, Visitor]) -> None:
    _house, visitor = empty
    begin(visitor)
    link = soup(visitor.get("/start")).select_one("#step-people a.button")
    assert link is not None
    form = soup(visitor.get(str(link["href"]))).select_one("form.fill")
    assert form is not None, "the form is open"
    typed = {"name": "Piet", "email": "piet@bakkerij.example", "role": "reader", "from": "start"}
    back = soup(visitor.press(str(form["action"]), typed)).select_one("#back")
    assert back is not None and words(back) == "Go on setting up"
    assert str(back["href"]).startswith("/start")
