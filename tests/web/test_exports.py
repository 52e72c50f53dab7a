"""Statements on a page: made with a press, taken along as a file, the same every time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.ledger import Ledger, run_for
from tests.support.office import Guest, Office, opened
from tests.support.outgoing import read, valid
from tests.web.conftest import soup, words

IBAN = "NL91ABNA0417164300"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with opened(tmp_path) as found:
        own, connection = found.administration("Bakkerij")
        for role in ("reader", "bookkeeper"):
            found.user(f"{role}@own.nl", {own: role})
        found.connection = connection  # type: ignore[attr-defined]
        yield found


@pytest.fixture
def books(office: Office) -> Ledger:
    return Ledger(
        office.services,
        office.connection,  # type: ignore[attr-defined]
        run_for(office.services, office.connection),  # type: ignore[attr-defined]
        now=office.at().now,
    )


@pytest.fixture
def guest(office: Office) -> Guest:
    return office.signed_in("bookkeeper@own.nl")


def today(office: Office) -> date:
    return office.at().today


def page(books: Ledger) -> str:
    return f"/connections/{books.connection}/exports"


def pressed(guest: Guest, books: Ledger, which: str, **typed: str) -> str:
    """The page after a press that worked."""
    answer = guest.press(f"{page(books)}/{which}", {"format": "camt.053.001.02", **typed})
    assert answer.status_code == 303, words(soup(answer).main)
    return str(guest.get(answer.location).text)


def files(text: str) -> list[str]:
    """The addresses in the list, the first of a line first."""
    return re.findall(r'href="(/connections/\d+/exports/\d+/[^"]+)" download', text)


def test_what_is_new_is_made_with_a_press_and_downloaded_with_another(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.states(today(office) - timedelta(days=3), 10_000)
    books.book(today(office) - timedelta(days=1), 1250, -250)
    assert "2 mutaties zijn nog niet op deze manier" in guest.get(page(books)).text
    text = pressed(guest, books, "new")
    assert "Klaar: afschrift 1, 2 mutaties." in text
    assert "€ 100,00" in text.replace("\xa0", " ") and "€ 110,00" in text.replace("\xa0", " ")
    answer = guest.get(files(text)[0])
    assert answer.mimetype == "application/xml"
    day = today(office) - timedelta(days=1)
    name = f"{IBAN}-EUR_{day}_{day}_1-1_camt053-02.xml"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    valid("camt.053.001.02", answer.data)
    assert len(read(answer.data)[0].bookings) == 2
    assert guest.get(files(text)[0]).data == answer.data
    again = guest.press(f"{page(books)}/new", {"format": "mt940"})
    assert again.status_code == 422 and "Er is niets nieuws sinds" in again.text


def test_every_format_of_the_same_statements_can_be_had(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.book(today(office), 1250, counterparty_name="=1+1", remittance="é")
    found = files(pressed(guest, books, "new", format="csv", opening="1.000,00"))
    assert [each.rpartition("/")[2] for each in found] == [
        "csv",
        "camt.053.001.02",
        "camt.053.001.08",
        "mt940",
    ]
    lines = list(
        csv.reader(io.StringIO(guest.get(found[0]).data.decode("utf-8-sig")), delimiter=";")
    )
    assert lines[0][:8] == [
        "Rekening",
        "Valuta",
        "Afschrift",
        "Boekdatum",
        "Valutadatum",
        "Bedrag",
        "Saldo erna",
        "Tegenpartij",
    ]
    assert lines[1][5:10] == ["12,50", "1012,50", "'=1+1", "NL52VOOR0001234567", "é"]
    for name in ("camt.053.001.02", "camt.053.001.08"):
        valid(name, guest.get(found[1 if name.endswith("2") else 2]).data)
    assert b":60F:C" in guest.get(found[3]).data


def test_looking_and_downloading_change_nothing(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.book(today(office), 1250)
    text = pressed(guest, books, "new")
    before = guest.get(page(books)).text
    for each in files(text):
        guest.get(each)
    assert files(guest.get(page(books)).text) == files(before)
    assert guest.get(f"{page(books)}/new").status_code == 405
    assert guest.get(f"{page(books)}/2/csv").status_code == 404
    assert guest.get(f"{page(books)}/1/pdf").status_code == 404


def test_who_only_reads_takes_along_what_was_made_and_makes_nothing(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.book(today(office), 1250)
    (first, *_rest) = files(pressed(guest, books, "new"))
    reader = office.signed_in("reader@own.nl")
    shown = reader.get(page(books))
    assert first in shown.text and not soup(shown).select("main form")
    assert reader.get(first).status_code == 200
    assert reader.press(f"{page(books)}/new", {"format": "csv"}).status_code == 403


def test_a_period_is_last_month_unless_something_else_is_chosen(
    office: Office, books: Ledger, guest: Guest
) -> None:
    month = today(office).replace(day=1)
    last = month - timedelta(days=1)
    books.covered((last.replace(day=1), today(office)))
    books.book(last, 5)
    shown = soup(guest.get(page(books)))
    checked = shown.select_one('input[name="period"][checked]')
    assert checked is not None and checked["value"] == "last_month"
    text = pressed(guest, books, "period", period="last_month")
    address = files(text)[0]
    name = guest.get(address).headers["Content-Disposition"]
    assert f"{last.replace(day=1)}_{last}" in name
    text = pressed(
        guest, books, "period", period="between", since=str(last), until=str(today(office))
    )
    assert f"{last}_{today(office)}" in guest.get(files(text)[0]).headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"period": "between"}, "since", "Vul een dag in"),
        ({"period": "between", "since": "2026-01-02", "until": "x"}, "until", "Vul een dag in"),
        ({"period": "between", "since": "2026-01-02", "until": "2026-01-01"}, "until", "Draai ze om"),
        ({"period": "between", "since": "2026-01-02", "until": "2199-01-01"}, "until", "Kies vandaag"),
        ({"period": "between", "since": "1800-01-02", "until": "2026-01-01"}, "since", "1 jan 1990"),
        ({"period": "never"}, "period", "Kies een periode"),
        ({"period": "last_month"}, "period", "Voor geen van deze dagen"),
        ({"period": "this_month", "format": "pdf"}, "format", "Kies een van de formaten"),
        ({"period": "this_month", "opening": "veel"}, "opening", "geen bedrag"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_at_the_field_and_what_was_typed_stays(
    office: Office, books: Ledger, guest: Guest, typed: dict[str, str], field: str, said: str
) -> None:
    books.book(today(office), 5)
    answer = guest.press(f"{page(books)}/period", {"format": "csv", **typed})
    assert answer.status_code == 422
    error = soup(answer).select_one(f"#period-field-{field}-error")
    assert error is not None and said in words(error)
    for name in ("since", "until", "opening"):
        if name in typed:
            found = soup(answer).select_one(f"#period-field-{name}")
            assert found is not None and found["value"] == typed[name]


def test_what_is_not_whole_is_said_on_the_page_and_in_the_file(
    office: Office, books: Ledger, guest: Guest
) -> None:
    last = today(office)
    first = last - timedelta(days=20)
    books.covered((first, first + timedelta(days=5)), (first + timedelta(days=8), last))
    books.book(first, 500)
    books.book(first, 7, state="review")
    text = pressed(guest, books, "period", period="between", since=str(first), until=str(last))
    camt, _other, mt940, _csv = (guest.get(each).data.decode() for each in files(text))
    for said in (
        "Van deze rekening is geen saldo bekend: de saldi tellen vanaf nul",
        "Niet opgehaald en dus niet in dit afschrift",
        "1 mutatie wachtte op een besluit en staat er niet in.",
    ):
        assert said in words(soup(guest.get(page(books))).main)
        assert said in re.findall("<AddtlStmtInf>(.*?)</AddtlStmtInf>", camt)[-1]
    assert ":86:Van deze rekening is geen saldo bekend" in mt940.replace("\r\n", "")


def test_a_period_that_changed_since_says_so(office: Office, books: Ledger, guest: Guest) -> None:
    books.book(today(office), 5)
    text = pressed(guest, books, "period", period="this_month")
    assert "Sindsdien veranderd" not in text
    books.book(today(office), 7)
    text = guest.get(page(books)).text.replace("\xa0", " ")
    assert "Sindsdien veranderd: op deze dagen staan nu 2 mutaties, samen € 0,12." in text
    assert "veranderd" not in guest.get(files(text)[0]).text


def test_one_is_one(office: Office, books: Ledger, guest: Guest) -> None:
    (first,) = books.book(today(office), 5)
    assert "1 mutatie is nog niet op deze manier" in guest.get(page(books)).text
    books.book(today(office), 7)
    assert "Klaar: afschrift 1, 2 mutaties." in pressed(guest, books, "period", period="this_month")
    books.decide("removed", first)
    assert "op deze dagen staat nu 1 mutatie, samen" in guest.get(page(books)).text


def test_what_goes_back_is_told_before_it_is_made(
    office: Office, books: Ledger, guest: Guest
) -> None:
    one, _two = books.book(today(office), 5, 7)
    pressed(guest, books, "new")
    books.decide("removed", one)
    assert (
        "1 mutatie ging eerder naar buiten en is sindsdien verwijderd"
        in guest.get(page(books)).text
    )
    address = files(pressed(guest, books, "new"))[0]
    assert "<Ustrd>Teruggenomen: Koffie 1</Ustrd>" in guest.get(address).text


def test_a_file_speaks_the_language_it_was_made_in(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.book(today(office), 1250)
    address = files(pressed(guest, books, "new", format="csv"))[0]
    data = guest.get(address).data
    guest.press("/language", {"locale": "en", "next": "/"})
    assert guest.get(address).data == data and b"Boekdatum" in data
    assert "Statements" in words(soup(guest.get(page(books))).h1)


def test_the_row_leads_to_the_statements_and_its_history_tells_who_made_them(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.book(today(office), 1250)
    pressed(guest, books, "new")
    details = guest.get(f"/connections/{books.connection}/row?open=details")
    assert soup(details).select_one(f'a[href="{page(books)}"]')
    assert "Bookkeeper maakte afschriften van" in words(soup(details))


def test_an_amount_that_does_not_fit_is_said_and_the_other_formats_work(
    office: Office, books: Ledger, guest: Guest
) -> None:
    books.book(today(office), 10**15)
    found = files(pressed(guest, books, "new", format="csv"))
    answer = guest.get(found[3])
    assert answer.status_code == 422 and "meer cijfers dan in dit formaat passen" in answer.text
    assert guest.get(found[0]).status_code == 200


def test_many_exports_are_paged(office: Office, books: Ledger, guest: Guest) -> None:
    for number in range(27):
        books.book(today(office), number + 1)
        books.new()
    first = guest.get(page(books))
    assert len(soup(first).select("tbody tr")) == 25
    older = soup(first).select_one("#next")
    assert older is not None
    assert len(soup(guest.get(str(older["href"]))).select("tbody tr")) == 2
