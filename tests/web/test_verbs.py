"""What a bookkeeper does in a row, with and without JavaScript: each test uses rows of its own."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import Tag
from werkzeug.test import TestResponse

from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, field, row_of, rows_of, soup, visitor_of, words


def seen_page(visitor: Visitor, answer: TestResponse, books: Books, name: str) -> TestResponse:
    """A form without JavaScript leads with 303 to the page with the row; this reads that page."""
    number, firm = books.id(name), books.connection(name).administration_id
    assert answer.status_code == 303
    target = urlsplit(answer.location)
    assert (target.path, target.fragment) == ("/", f"connection-{number}")
    query = parse_qs(target.query)
    assert query == {"administration": [str(firm)], "connection": [str(number)]}
    return visitor.get(answer.location)


def notices(page: TestResponse, number: int) -> list[str]:
    return [words(each) for each in row_of(page, number).select("td.state .notice p")]


def test_switching_off_says_so_once_and_can_be_undone_without_javascript(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("active")
    answer = visitor.press(
        f"/connections/{number}/switch-off", {"version": books.version("active")}
    )
    page = seen_page(visitor, answer, books, "active")
    assert row_of(page, number)["data-key"] == "r12"
    assert notices(page, number) == ["Uitgeschakeld."]
    undo = row_of(page, number).select_one("td.state .notice form")
    assert undo is not None
    assert notices(visitor.get("/"), number) == [], "a message is said once"
    values = {str(each["name"]): str(each["value"]) for each in undo.select("input")}
    answer = visitor.press(str(undo["action"]), {"version": values["version"]})
    page = seen_page(visitor, answer, books, "active")
    assert row_of(page, number)["data-key"] == "r6"


def test_switching_off_with_javascript_answers_with_the_row_alone(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("gap")
    address, data = f"/connections/{number}/switch-off", {"version": books.version("gap")}
    answer = visitor.press(address, data, htmx=True)
    assert answer.status_code == 200
    assert "<html" not in answer.text
    row = row_of(answer, number)
    assert row["data-key"] == "r12"
    assert row.select_one("td.state .notice form") is not None, "undo stands in the row"
    assert "Uitgeschakeld." in str(row["data-announce"])
    assert notices(visitor.get("/"), number) == []


def test_what_somebody_else_changed_meanwhile_is_said_with_their_name(
    visitor: Visitor, books: Books
) -> None:
    number, old = books.id("expiring"), books.version("expiring")
    visitor.press(f"/connections/{number}/switch-off", {"version": old})
    visitor.press(f"/connections/{number}/undo", {"version": books.version("expiring")})
    answer = visitor.press(f"/connections/{number}/switch-off", {"version": old}, htmx=True)
    assert answer.status_code == 409
    row = row_of(answer, number)
    assert row["data-key"] == "r6", "nothing was changed"
    assert "Sanne Jansen" in words(row.select_one(".notice.error"))
    answer = visitor.press(f"/connections/{number}/switch-off", {"version": old})
    page = seen_page(visitor, answer, books, "expiring")
    assert "Sanne Jansen" in notices(page, number)[0]


@pytest.mark.parametrize("version", ["", "x", "0", "-1", "9" * 30, "²", None])
def test_a_button_without_a_row_version_changes_nothing(
    visitor: Visitor, books: Books, version: str | None
) -> None:
    number = books.id("renewing")
    data = {} if version is None else {"version": version}
    answer = visitor.press(f"/connections/{number}/switch-off", data, htmx=True)
    assert answer.status_code == 409
    assert row_of(answer, number)["data-key"] == "r6"


def test_an_old_form_keeps_what_was_typed_and_can_be_sent_again(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("fiets_zakelijk")
    form = row_of(visitor.get(f"/connections/{number}/row?open=change-start"), number)
    typed = field(form, "start")
    old = field(form, "version")
    visitor.press(f"/connections/{number}/switch-off", {"version": old})
    visitor.press(f"/connections/{number}/undo", {"version": books.version("fiets_zakelijk")})
    for htmx in (True, False):
        answer = visitor.press(
            f"/connections/{number}/change-start", {"version": old, "start": typed}, htmx=htmx
        )
        assert answer.status_code == 422
        row = row_of(answer, number)
        assert field(row, "start") == typed
        assert field(row, "version") == books.version("fiets_zakelijk")
        assert "Sanne Jansen" in words(row.select_one("[role=alert]"))
    answer = visitor.press(
        f"/connections/{number}/change-start",
        {"version": field(row, "version"), "start": typed},
    )
    page = seen_page(visitor, answer, books, "fiets_zakelijk")
    assert notices(page, number)


def test_a_wrong_date_keeps_the_form_and_offers_a_day_that_will_do(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("new")
    shown = row_of(visitor.get(f"/connections/{number}/row?open=activate"), number)
    data = {"version": field(shown, "version"), "holder": field(shown, "holder")}
    address = f"/connections/{number}/activate"
    tomorrow = (books.house.at().today + timedelta(days=1)).isoformat()
    for typed in ("2001-01-01", tomorrow, "31 april"):
        for htmx in (True, False):
            answer = visitor.press(address, {**data, "start": typed}, htmx=htmx)
            assert answer.status_code == 422, typed
            row = row_of(answer, number)
            entry = row.select_one("input[name=start]")
            assert entry is not None
            assert (entry["value"], entry["aria-invalid"]) == (typed, "true")
            assert field(row, "holder") == data["holder"]
            assert words(row.select_one("p.error"))
            take = row.select_one("button[name=take_start]")
            assert take is not None, typed
            assert row["data-key"] == "r11"
    answer = visitor.press(address, {**data, "start": typed, "take_start": str(take["value"])})
    page = seen_page(visitor, answer, books, "new")
    assert row_of(page, number)["data-key"] == "r6"
    assert any(char.isdigit() for char in notices(page, number)[0]), "how many came in"


@pytest.mark.parametrize("holder", ["", "999", "x", "-1", "\x00", "9" * 40])
def test_activating_through_nobody_is_refused_at_the_field(
    visitor: Visitor, books: Books, holder: str
) -> None:
    number = books.id("switched_off")
    shown = row_of(visitor.get(f"/connections/{number}/row?open=activate"), number)
    data = {"version": field(shown, "version"), "start": field(shown, "start"), "holder": holder}
    answer = visitor.press(f"/connections/{number}/activate", data, htmx=True)
    assert answer.status_code == 422
    row = row_of(answer, number)
    assert row.select_one(".field.wrong input[name=holder]") is not None
    assert row["data-key"] == "r12"


def test_pressing_activate_twice_switches_on_once(visitor: Visitor, books: Books) -> None:
    number = books.id("switched_off")
    shown = row_of(visitor.get(f"/connections/{number}/row?open=activate"), number)
    data = {name: field(shown, name) for name in ("version", "start", "holder")}
    first = visitor.press(f"/connections/{number}/activate", data)
    second = visitor.press(f"/connections/{number}/activate", data, htmx=True)
    assert (first.status_code, second.status_code) == (303, 422)
    assert row_of(visitor.get("/"), number)["data-key"] == "r6"


def test_fetching_through_the_other_holder_takes_one_press(visitor: Visitor, books: Books) -> None:
    number = books.id("expired_with_rescue")
    button = row_of(visitor.get("/"), number).select_one("form[action$=use-holder]")
    assert button is not None
    data = {str(each["name"]): str(each["value"]) for each in button.select("input")}
    data.pop("csrf_token")
    for wrong in ("", "x", "999", "9" * 40):
        answer = visitor.press(str(button["action"]), {**data, "holder": wrong}, htmx=True)
        assert answer.status_code == 409
        assert row_of(answer, number)["data-key"] == "r4"
    page = seen_page(
        visitor, visitor.press(str(button["action"]), data), books, "expired_with_rescue"
    )
    assert row_of(page, number)["data-key"] == "r6"


def test_giving_the_iban_a_journal_mends_the_row(visitor: Visitor, books: Books) -> None:
    number = books.id("journal_lost")
    address = f"/connections/{number}/choose-journal"
    shown = row_of(visitor.get(f"/connections/{number}/row?open=choose-journal"), number)
    version = field(shown, "version")
    for data, at_field in (
        ({"journal": "new", "code": "", "name": "Bank"}, "code"),
        ({"journal": "new", "code": "1999", "name": ""}, "name"),
        ({"journal": "new", "code": "1100", "name": "Bank"}, "code"),
        ({"journal": "new", "code": "1" * 21, "name": "Bank"}, "code"),
        ({"journal": "new", "code": "1999", "name": "x" * 101}, "name"),
        ({"journal": "999999"}, "journal"),
        ({"journal": "nonsense"}, "journal"),
    ):
        answer = visitor.press(address, {"version": version, **data}, htmx=True)
        assert answer.status_code == 422, data
        row = row_of(answer, number)
        assert row.select_one(f'.field.wrong [name="{at_field}"]') is not None, data
        for name in ("code", "name"):
            assert field(row, name) == data.get(name, ""), data
        version = field(row, "version")
    answer = visitor.press(
        address, {"version": version, "journal": "new", "code": "1999", "name": "Bank <b>kas</b>"}
    )
    page = seen_page(visitor, answer, books, "journal_lost")
    assert row_of(page, number)["data-key"] == "r6"
    assert notices(page, number)[0].startswith("Dagboek gewijzigd. De koppeling loopt weer. ")
    assert "Bank <b>kas</b>" in words(row_of(page, number))


def test_arming_is_said_in_the_row_and_can_be_taken_back(visitor: Visitor, books: Books) -> None:
    number = books.id("never_connected")
    shown = row_of(visitor.get(f"/connections/{number}/row?open=arm"), number)
    data = {"version": field(shown, "version"), "start": field(shown, "start")}
    page = seen_page(
        visitor, visitor.press(f"/connections/{number}/arm", data), books, "never_connected"
    )
    assert row_of(page, number).select_one(".overlay-armed") is not None
    back = row_of(page, number).select_one("form[action$=disarm]")
    assert back is not None
    answer = visitor.press(
        str(back["action"]), {"version": books.version("never_connected")}, htmx=True
    )
    assert row_of(answer, number).select_one(".overlay-armed") is None


@pytest.mark.parametrize("verb", ["grant", "connect", "renew"])
def test_going_to_the_bank_is_a_page_with_a_link_never_a_swap(
    visitor: Visitor, books: Books, house: TestHouse, verb: str
) -> None:
    name = {"grant": "not_linked", "connect": "never_connected", "renew": "withdrawn_at_bank"}[verb]
    number = books.id(name)
    answer = visitor.press(f"/connections/{number}/{verb}")
    assert answer.status_code == 200
    link = soup(answer).select_one("a#go")
    assert link is not None
    assert str(link["href"]).startswith(house.bank_origin + "/")
    refresh = soup(answer).select_one("meta[http-equiv=refresh]")
    assert str(refresh["content"]).endswith(str(link["href"]))
    assert not soup(answer).select("[hx-get], [hx-post]")


def test_asking_the_bank_for_an_account_nobody_shares_is_refused(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("not_ticked")
    for verb in ("connect", "renew"):
        for holder in ("", "999", "x", "\x00"):
            answer = visitor.press(f"/connections/{number}/{verb}", {"holder": holder}, htmx=True)
            assert answer.status_code == 409
            assert words(row_of(answer, number).select_one(".notice.error"))


def test_finishing_what_was_never_begun_is_refused(visitor: Visitor, books: Books) -> None:
    answer = visitor.press(f"/connections/{books.id('active')}/finish", htmx=True)
    assert answer.status_code == 409


def test_without_a_provider_every_press_says_so_and_none_fails(
    visitor: Visitor, books: Books, provider_down: None
) -> None:
    number = books.id("stale")
    answer = visitor.press(f"/connections/{number}/fetch", htmx=True)
    assert answer.status_code == 200
    assert row_of(answer, number).select_one(".notice.error") is not None
    answer = visitor.press(f"/connections/{number}/renew", htmx=True)
    assert answer.status_code == 409
    assert "Ondernemersapp" in words(row_of(answer, number).select_one(".notice.error"))
    page = seen_page(visitor, visitor.press(f"/connections/{number}/renew"), books, "stale")
    assert "Ondernemersapp" in notices(page, number)[0]


# -- a new journal ------------------------------------------------------------------------------


def kapsalon(books: Books) -> int:
    return books.administrations()["kapsalon-amira"]


@pytest.mark.parametrize(
    ("typed", "at_field"),
    [
        ({"code": "", "name": "Bank", "iban": "NL91ABNA0417164300"}, "code"),
        ({"code": "200", "name": " ", "iban": "NL91ABNA0417164300"}, "name"),
        ({"code": "200", "name": "Bank", "iban": ""}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "NL91ABNA0417164301"}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "NL91"}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "\x00"}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "ＮＬ９１ＡＢＮＡ０４１７１６４３００"}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "NL٩١ABNA٠٤١٧١٦٤٣٠٠"}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "A" * 100_000}, "iban"),
        ({"code": "200", "name": "Bank", "iban": "9" * 5000}, "iban"),
        ({"code": "2" * 21, "name": "Bank", "iban": "NL91ABNA0417164300"}, "code"),
        ({"code": "200", "name": "x" * 101, "iban": "NL91ABNA0417164300"}, "name"),
        ({"code": "100", "name": "Bank", "iban": "NL91ABNA0417164300"}, "code"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_journal_that_cannot_be_keeps_what_was_typed(
    visitor: Visitor, books: Books, typed: dict[str, str], at_field: str
) -> None:
    answer = visitor.press(f"/administrations/{kapsalon(books)}/journals", typed)
    assert answer.status_code == 422
    form = soup(answer).select_one("div.page-form form")
    assert form is not None
    assert [str(each["name"]) for each in form.select("[aria-invalid]")] == [at_field]
    for name, value in typed.items():
        if "\x00" not in value:
            assert field(form, name) == value


def test_a_new_journal_appears_with_its_account(visitor: Visitor, books: Books) -> None:
    firm = kapsalon(books)
    page = visitor.get(f"/?administration={firm}&open=add-journal")
    form = soup(page).select_one("div.page-form form")
    typed = {"code": "210", "name": "Bank nieuw", "iban": "nl91 abna 0417 1643 00"}
    answer = visitor.press(str(form["action"]), typed)
    assert answer.status_code == 303
    page = visitor.get(answer.location)
    assert len(rows_of(page)) == 2
    row = soup(page).select_one("tbody[data-iban=NL91ABNA0417164300]")
    assert "210 Bank nieuw" in words(row)
    assert "Dagboek toegevoegd" in words(row)
    again = visitor.press(str(form["action"]), {**typed, "code": "211"})
    assert again.status_code == 422
    assert "210" in words(soup(again).select_one("div.page-form p.error"))


# -- coming back from the bank ------------------------------------------------------------------


def state_of(answer: TestResponse) -> str:
    return parse_qs(urlsplit(str(soup(answer).select_one("a#go")["href"])).query)["state"][0]


@pytest.mark.parametrize(
    "query",
    ["", "state=", "state=unknown", "state=unknown&code=1", "code=1", "error=access_denied",
     "state=%00", "state=" + "x" * 9000, "state=%ff%fe", "state[]=1", "state=a&state=b"],
)  # fmt: skip
def test_a_return_that_is_not_ours_is_a_clear_page(visitor: Visitor, query: str) -> None:
    answer = visitor.get(f"/returned/ponto?{query}")
    assert answer.status_code == 400
    assert soup(answer).select_one("a#back") is not None
    assert words(soup(answer).select_one("div.message p"))


def test_a_return_is_believed_only_from_the_issuer_and_once(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    number = books.id("not_linked")
    state = state_of(visitor.press(f"/connections/{number}/grant"))
    issuer = house.bank_origin
    for query in (
        f"state={state}&code=1&iss=https://evil.example",
        f"state={state}&error=access_denied&iss=https://evil.example",
        f"state={state}&code=1",
        f"state={state}&iss={issuer}",
    ):
        assert visitor.get(f"/returned/ponto?{query}").status_code == 400, query
    answer = visitor.get(f"/returned/ponto?state={state}&error=access_denied&iss={issuer}")
    page = seen_page(visitor, answer, books, "not_linked")
    assert notices(page, number), "cancelling is said in the row"
    answer = visitor.get(f"/returned/ponto?state={state}&code=wrong&iss={issuer}")
    page = seen_page(visitor, answer, books, "not_linked")
    assert row_of(page, number)["data-key"] == "r8", "a wrong code links nothing"


def test_a_refused_issuer_is_told_with_both_names_and_where_it_is_set(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    visitor.speak("en")
    state = state_of(visitor.press(f"/connections/{books.id('not_linked')}/grant"))
    issuer = house.bank_origin

    def told(query: str) -> Tag:
        answer = visitor.get(f"/returned/ponto?state={state}{query}")
        assert answer.status_code == 400
        found = soup(answer).select_one("main")
        assert found is not None
        return found

    page = told(f"&code=1&iss={issuer}/")
    assert f"calls itself “{issuer}/”, while “{issuer}” is set" in words(page)
    assert "The difference is the slash at the end" in words(page)
    assert "start again from the list at once" in words(page)
    settings = page.select_one("a#settings")
    assert settings is not None and settings["href"] == "/provider"
    page = told("&code=1&iss=https://evil.example/%3Cb%3E" + "x" * 900)
    assert "“https://evil.example/<b>xx" in words(page)
    assert "slash" not in words(page)
    assert "x" * 300 not in words(page)
    assert "did not say who it is" in words(told("&code=1"))


def test_a_return_in_another_browser_changes_nothing_and_says_where_to_go(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    number = books.id("kapsalon")
    state = state_of(visitor.press(f"/connections/{number}/grant"))
    other = visitor_of(house)
    answer = other.get(f"/returned/ponto?state={state}&code=1&iss={house.bank_origin}")
    assert answer.status_code == 200
    assert soup(answer).select_one("a#back") is None
    again = other.get(f"/returned/ponto?state={state}&code=1&iss={house.bank_origin}")
    assert again.status_code == 400


def test_the_language_of_an_answer_to_a_return_changes_what_it_is_said_in_only(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    """The return itself works once; asking for it again would say that it was used."""
    state = state_of(visitor.press(f"/connections/{books.id('kapsalon')}/grant"))
    other = visitor_of(house)
    query = f"state={state}&code=1&iss={house.bank_origin}"
    for status in (200, 400):  # kept for the first browser; then used
        told = other.get(f"/returned/ponto?{query}")
        here = str(soup(told).select_one(".languages [name=next]")["value"])
        assert state not in here
        again = other.get(here)
        assert (told.status_code, again.status_code) == (status, status)
        assert words(soup(again).select_one("main")) == words(soup(told).select_one("main"))
    state = state_of(visitor.press(f"/connections/{books.id('kapsalon')}/grant"))
    told = other.get(f"/returned/ponto?state={state}&code=1&iss={house.bank_origin}/")
    assert "schuine streep" in words(soup(told).select_one("main"))
    again = other.get("/returned/said/issuer")
    assert words(soup(again).select_one("main")) == words(soup(told).select_one("main"))
    assert other.get("/returned/said/nonsense").status_code == 404
