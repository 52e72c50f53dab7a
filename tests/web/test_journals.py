"""Keeping journals: typed, pasted, uploaded, changed by two people, and what a change breaks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import stream_encode_multipart

from banklink.simulator.bookings import with_check_digits
from banklink.store.models import Event, Journal
from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, soup, words
from tests.web.empty import empty_house

DATA = Path(__file__).parents[1] / "statements" / "data" / "journals"


def iban(number: int) -> str:
    return with_check_digits("NL", f"TEST{number:010d}")


class Desk:
    """The journals of one administration, seen through its pages."""

    def __init__(self, house: TestHouse, visitor: Visitor, administration: int):
        self.house, self.visitor = house, visitor
        self.url = f"/administrations/{administration}/journals"
        self.administration = administration

    def journal(self, code: str) -> Journal | None:
        with self.house.services.store.read() as session:
            found: Journal | None = (
                session.query(Journal)
                .filter_by(administration_id=self.administration, code=code)
                .one_or_none()
            )
            return found

    def there(self, code: str) -> Journal:
        found = self.journal(code)
        assert found is not None
        return found

    def form(self, code: str) -> dict[str, str]:
        """What the journal's page would send back unchanged."""
        page = soup(self.visitor.get(f"{self.url}/{self.there(code).id}"))
        fields = page.select("form.fill input")
        return {
            str(each["name"]): str(each.get("value", ""))
            for each in fields
            if each["name"] != "csrf_token"
        }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with empty_house(tmp_path) as (house, visitor):
        visitor.press("/books", {"name": "Bakkerij", "fiscal_year_start": "2026-01-01"})
        yield Desk(house, visitor, 1)


def typed(**more: str) -> dict[str, str]:
    return {"code": "1100", "name": "Bank", "iban": iban(1), "through": "", **more}


def error_at(answer: Any, name: str) -> str:
    found = soup(answer).select_one(f"#page-form-field-{name}-error")
    assert found is not None, f"no error at {name}"
    return words(found)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"code": " "}, "code"),
        ({"name": ""}, "name"),
        ({"iban": "NL00TEST0000000001"}, "iban"),
        ({"iban": "1234"}, "iban"),
        ({"through": "31-02-2026"}, "through"),
        ({"through": "2999-01-01"}, "through"),
        ({"through": "0206-03-31"}, "through"),
        ({"code": "x" * 21}, "code"),
    ],
)
def test_a_wrong_field_keeps_all_that_was_typed(
    desk: Desk, wrong: dict[str, str], field: str
) -> None:
    form = typed(**wrong)
    answer = desk.visitor.press(f"{desk.url}/add", form)
    assert answer.status_code == 422
    assert error_at(answer, field)
    kept = {each["name"]: each.get("value") for each in soup(answer).select("form.fill input")}
    kept["iban"] = "".join(str(kept["iban"]).split())
    assert {name: kept[name] for name in form} == form
    assert desk.journal(form["code"]) is None


def test_code_and_iban_are_each_used_once(desk: Desk) -> None:
    desk.visitor.press(f"{desk.url}/add", typed())
    assert "Bank" in error_at(desk.visitor.press(f"{desk.url}/add", typed(iban=iban(2))), "code")
    assert "1100" in error_at(desk.visitor.press(f"{desk.url}/add", typed(code="1110")), "iban")


def test_of_two_people_the_second_hears_what_the_first_changed_and_loses_nothing(
    desk: Desk,
) -> None:
    desk.visitor.press(f"{desk.url}/add", typed())
    address = f"{desk.url}/{desk.there('1100').id}"
    first, second = desk.form("1100"), desk.form("1100")
    desk.visitor.press(address, {**first, "name": "Bank new"})
    answer = desk.visitor.press(address, {**second, "iban": iban(7), "name": "Mine"})
    assert answer.status_code == 409
    alert = words(soup(answer).select_one(".fill [role=alert]"))
    assert "Olga Owner" in alert
    assert "Bank new" in alert
    assert "IBAN" not in alert  # that was not changed by the other
    assert desk.there("1100").name == "Bank new"
    again = {
        str(each["name"]): str(each.get("value", ""))
        for each in soup(answer).select("form.fill input")
    }
    assert again["name"] == "Mine"
    assert desk.visitor.press(address, again).status_code == 303
    assert (desk.there("1100").name, desk.there("1100").iban) == ("Mine", iban(7))


def test_an_iban_goes_and_comes_back(desk: Desk) -> None:
    desk.visitor.press(f"{desk.url}/add", typed())
    journal = desk.there("1100")
    answer = desk.visitor.press(f"{desk.url}/{journal.id}/clear", {"version": str(journal.version)})
    page = soup(desk.visitor.get(answer.location))
    assert desk.there("1100").iban is None
    undo = page.select_one('form[action$="/undo"]')
    assert undo is not None
    sent = {str(each["name"]): str(each["value"]) for each in undo.select("input")}
    desk.visitor.press(str(undo["action"]), sent)
    assert desk.there("1100").iban == iban(1)
    desk.visitor.press(str(undo["action"]), sent)  # twice: said, and nothing more
    assert desk.there("1100").iban == iban(1)


def test_only_a_journal_without_an_iban_can_be_deleted(desk: Desk) -> None:
    desk.visitor.press(f"{desk.url}/add", typed())
    journal = desk.there("1100")
    address = f"{desk.url}/{journal.id}/delete"
    version = {"version": str(journal.version)}
    assert desk.visitor.press(address, version).status_code == 409
    assert desk.journal("1100") is not None
    desk.visitor.press(f"{desk.url}/{journal.id}/clear", {"version": str(journal.version)})
    assert desk.visitor.press(address, version).status_code == 409  # seen before
    desk.visitor.press(address, {"version": str(desk.there("1100").version)})
    assert desk.journal("1100") is None
    assert desk.visitor.get(f"{desk.url}/{journal.id}").status_code == 404


def test_a_new_iban_that_breaks_a_link_asks_first_and_says_what(
    visitor: Visitor, house: TestHouse, books: Books
) -> None:
    """In the demo, where links run."""
    visitor.speak("en")
    connection = books.connection("renewing")
    desk = Desk(house, visitor, connection.administration_id)
    with house.services.store.read() as session:
        code = session.query(Journal).filter_by(iban=connection.iban).one().code
    journal = desk.there(code)
    address = f"{desk.url}/{journal.id}"
    live = visitor.get(f"{address}/consequence", query_string={"iban": iban(90)})
    assert "nothing more is fetched" in live.text
    form = {**desk.form(code), "iban": iban(90)}
    answer = visitor.press(address, form)
    assert answer.status_code == 200
    assert "nothing more is fetched" in words(soup(answer).select_one(".preview"))
    assert desk.there(code).iban == connection.iban
    confirmed = soup(answer).select_one("input[name=confirmed]")
    assert confirmed is not None
    assert visitor.press(address, {**form, "confirmed": str(confirmed["value"])}).status_code == 303
    assert desk.there(code).iban == iban(90)
    row = soup(visitor.get(f"/connections/{connection.id}/row")).select_one("tbody")
    assert row is not None
    assert row["data-key"] == "r1"
    back = visitor.get(f"{address}/consequence", query_string={"iban": connection.iban})
    assert "fetching goes on" in back.text
    assert visitor.press(address, {**desk.form(code), "iban": connection.iban}).status_code == 303
    row = soup(visitor.get(f"/connections/{connection.id}/row")).select_one("tbody")
    assert row is not None
    assert row["data-key"] == "r6"
    with house.services.store.read() as session:
        told = session.query(Event).filter_by(connection_id=connection.id).all()
    assert {"journal_released", "journal_chosen"} <= {each.kind for each in told}


# -- many at once -------------------------------------------------------------------------------


def look(desk: Desk, text: str = "", file: bytes | None = None, **more: str) -> Any:
    data: dict[str, Any] = {"csrf_token": desk.visitor.token(), "text": text, **more}
    if file is not None:
        data["file"] = FileStorage(io.BytesIO(file), filename="journals.csv")
    body, _length, boundary = stream_encode_multipart(data, use_tempfile=False)
    return desk.visitor.post(
        f"{desk.url}/import",
        data=body.read(),
        content_type=f'multipart/form-data; boundary="{boundary}"',
    )


def seen(answer: Any) -> dict[str, str]:
    page = soup(answer)
    box, mark = page.select_one("textarea[name=text]"), page.select_one("input[name=seen]")
    assert box is not None
    assert mark is not None
    return {"text": box.get_text().removeprefix("\n"), "seen": str(mark["value"])}


def test_good_lines_are_added_and_the_others_stay_in_the_box(desk: Desk) -> None:
    desk.visitor.speak("en")
    text = f"code;naam;iban\n1;A;{iban(1)}\n2;;{iban(2)}\n3;C;NL00TEST0000000001\n"
    first = look(desk, text)
    assert desk.journal("1") is None  # only looked at
    said = [words(each) for each in soup(first).select(".verdict")]
    assert sum("can be added" in each for each in said) == 1
    assert any("There is no name" in each for each in said)
    second = look(desk, **seen(first))
    assert desk.there("1").iban == iban(1)
    box = soup(second).select_one("textarea")
    assert box is not None
    assert box.get_text().strip().splitlines() == [
        "code;naam;iban", f"2;;{iban(2)}", "3;C;NL00TEST0000000001",
    ]  # fmt: skip


def test_what_was_not_looked_at_is_not_added(desk: Desk) -> None:
    first = look(desk, f"code;naam;iban\n1;A;{iban(1)}\n")
    more = look(desk, text=seen(first)["text"] + f"\n2;B;{iban(2)}", seen=seen(first)["seen"])
    assert desk.journal("1") is None
    look(desk, **seen(more))
    assert desk.there("2").iban == iban(2)


def test_what_the_books_have_already_is_said_by_line(desk: Desk) -> None:
    desk.visitor.speak("en")
    desk.visitor.press(f"{desk.url}/add", typed())
    answer = look(desk, f"code;naam;iban\n1100;Again;\n1200;Other;{iban(1)}\n")
    said = " ".join(words(each) for each in soup(answer).select(".verdict"))
    assert "already a journal 1100 Bank" in said
    assert "already on journal 1100 Bank" in said
    assert not soup(answer).select("input[name=seen]")


def test_an_uploaded_file_and_typed_lines_go_together(desk: Desk) -> None:
    first = look(desk, f"9;Typed;{iban(9)}", (DATA / "journals.xaf").read_bytes())
    assert first.status_code == 200, words(soup(first))
    look(desk, **seen(first))
    assert desk.there("9").iban == iban(9)
    assert str(desk.there("1100").processed_through) == "2026-03-14"
    assert desk.journal("1120") is None  # its account number is no IBAN


@pytest.mark.parametrize(
    "text",
    [
        f"1;Bank;{iban(1)}\n;Nameless",  # the good line told which column is what
        f"1;Bank;{iban(1)}\n;;;;note",
        f"code;naam;iban\n1;Bank;{iban(1)}\n2,Cash\n3,Till",  # cut by another sign when alone
    ],
)
def test_what_is_left_can_be_mended_even_when_it_cannot_be_read_alone(
    desk: Desk, text: str
) -> None:
    desk.visitor.speak("en")
    answer = look(desk, **seen(look(desk, text)))
    assert answer.status_code == 200, words(soup(answer))
    assert desk.there("1").iban == iban(1)
    box = soup(answer).select_one("textarea")
    assert box is not None
    for word in ("Nameless", "note", "Cash", "Till"):
        assert (word in box.get_text()) == (word in text)


def test_codes_that_look_the_same_are_the_same(desk: Desk) -> None:
    desk.visitor.speak("en")
    answer = look(desk, **seen(look(desk, "code;naam;iban\n1\u200b;A;\n1;B;")))
    assert answer.status_code == 200, words(soup(answer))
    assert desk.there("1").name == "A"


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"code;naam\n" + b"1;A\n" * 50_000, "50,001"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><auditfile/>", "document type"),
        (b"%PDF-1.4", "no list of journals"),
        (b"code;naam\n1;" + b"A" * (20 * 1024 * 1024), "20 MB"),
    ],
)
def test_a_file_that_is_none_is_refused_and_the_box_keeps_its_text(
    desk: Desk, file: bytes, says: str
) -> None:
    desk.visitor.speak("en")
    answer = look(desk, "typed before", file)
    assert answer.status_code == 422
    assert says in error_at(answer, "text")
    box = soup(answer).select_one("textarea")
    assert box is not None
    assert box.get_text().strip() == "typed before"


def test_fifty_thousand_pasted_lines_are_answered(desk: Desk) -> None:
    text = "code;naam\n" + "".join(f"{n};Bank {n}\n" for n in range(50_000))
    answer = look(desk, text)
    assert answer.status_code == 422
    assert "Bank 49999" in answer.text


def test_old_letters_are_read_and_the_reader_is_told_to_look(desk: Desk) -> None:
    answer = look(desk, "", (DATA / "journals-1252.csv").read_bytes())
    assert "Windows-1252" in words(soup(answer).select_one(".looked"))
    assert "Café Zoë €" in answer.text


def test_columns_that_are_not_used_are_named_above_what_was_read(desk: Desk) -> None:
    text = f"Dagboeknr;Naam;Rekening bij;Saldo\n1;A;{iban(1)};9,00\n2;B;NL00TEST0000000001;\n"
    good = text.replace("NL00TEST0000000001", "")
    for answer in (look(desk, good), look(desk, "", good.encode())):
        above = words(soup(answer).select_one(".looked"))
        assert "alle regels kloppen" in above
        assert "Niet gebruikt: kolom “Saldo”." in above
        assert "Gelezen als “IBAN”: kolom “Rekening bij”." in above
    left = soup(look(desk, **seen(look(desk, text + f"3;C;{iban(3)};\n")))).select_one("textarea")
    assert desk.there("1").iban == iban(1)
    assert left is not None
    assert "NL00TEST0000000001" in left.get_text(), "the wrong number is there to be mended"
    again = look(desk, left.get_text())
    assert "NL00 TEST" in words(soup(again).select_one(".looked"))


def test_another_s_journal_is_not_there(desk: Desk) -> None:
    assert desk.visitor.get("/administrations/99/journals").status_code == 404
    assert desk.visitor.get(f"{desk.url}/999999999999").status_code == 404
    desk.visitor.press(f"{desk.url}/add", typed())
    desk.visitor.press("/books", {"name": "Second", "fiscal_year_start": "2026-01-01"})
    there = f"/administrations/2/journals/{desk.there('1100').id}"
    assert desk.visitor.get(there).status_code == 404
    assert desk.visitor.get(f"{there}/consequence").status_code == 404
    for verb in ("", "/clear", "/delete", "/undo"):
        assert desk.visitor.press(there + verb, typed(version="2")).status_code == 404
    assert desk.there("1100").iban == iban(1)
