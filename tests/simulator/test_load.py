"""A bank filled with real statement files holds exactly what the files say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from schwifty import IBAN

from banklink.simulator.load import usable_iban
from banklink.statements import StatementError

from .conftest import BAKERY, CALLBACK, House, account, authorise_url, new_pkce

DATA = Path(__file__).parent / "data"
RABO = "NL44RABO0123456789"


def notes(report: Any) -> dict[str, Any]:
    return dict(report.notes)


def read_all(house: House, iban: str, email: str) -> list[dict[str, Any]]:
    """Consent, authorise and read every transaction, as a service would."""
    pkce = new_pkce()
    browser = house.browser().get(authorise_url(pkce)).sign_in(email)
    browser.press("allow", account=[browser.value("account", iban)])
    browser.press("bank-sign-in").press("confirm")
    pair = house.api().token(
        grant_type="authorization_code",
        code=browser.answer()["code"],
        redirect_uri=CALLBACK,
        code_verifier=pkce.verifier,
    )
    api = house.api(pair.body["access_token"])
    row = api.accounts()[iban]
    body = api.get(f"/accounts/{row['id']}/transactions?page[limit]=100").body
    return [row, *body["data"]]


def amounts(rows: list[dict[str, Any]]) -> list[Decimal]:
    return [Decimal(row["attributes"]["amount"]) for row in rows]


def test_number_and_sum_equal_the_files(make_house: Any) -> None:
    house = make_house()
    (report,) = house.simulator.load([DATA / "two-statements.sta"])
    assert (report.iban, report.currency, report.count) == (RABO, "EUR", 3)
    assert report.total == Decimal("65.05")
    assert (str(report.first), str(report.last)) == ("2026-01-02", "2026-01-09")
    assert notes(report)["holder_created"]["email"] == "ondernemer@demo.example"
    row, *found = read_all(house, RABO, "ondernemer@demo.example")
    assert amounts(found) == [Decimal("100.05"), Decimal("-17.50"), Decimal("-17.50")]
    # All of it, although it is ten months old and the bank's usual history is not unlimited.
    assert row["meta"]["availableFrom"] == row["meta"]["historyFrom"] == "2026-01-02"
    assert row["attributes"]["currentBalance"] == Decimal("1065.05")  # as stated


def test_bookings_of_our_own_come_only_after_the_day_of_loading(make_house: Any) -> None:
    house = make_house()
    house.simulator.load([DATA / "two-statements.sta"])
    house.later(days=14)
    _row, *found = read_all(house, RABO, "ondernemer@demo.example")
    assert amounts(found)[-3:] == [Decimal("100.05"), Decimal("-17.50"), Decimal("-17.50")]
    new = [row["attributes"]["executionDate"][:10] for row in found[:-3]]
    assert len(new) > 5
    assert min(new) > "2026-11-23"


def test_the_same_file_twice_adds_nothing_and_an_overlap_only_what_is_new(make_house: Any) -> None:
    house = make_house()
    house.simulator.load([DATA / "two-statements.sta"])
    (again,) = house.simulator.load([DATA / "two-statements.sta"])
    assert (again.count, notes(again)["already_loaded"]) == (3, {"count": 3})
    (overlap,) = house.simulator.load([DATA / "overlap.sta"])
    assert notes(overlap)["already_loaded"] == {"count": 1}
    row, *found = read_all(house, RABO, "ondernemer@demo.example")
    assert sum(amounts(found)) == Decimal("65.04")
    assert len(found) == 4
    assert row["attributes"]["currentBalance"] == Decimal("1065.04")


def test_old_account_number_becomes_a_valid_iban(make_house: Any) -> None:
    house = make_house()
    (report,) = house.simulator.load([DATA / "old-number.sta"])
    assert report.iban[4:] == "FICT0123456789"
    assert IBAN(report.iban)
    assert notes(report)["iban_replaced"]["iban"] == report.iban
    assert (report.count, report.total) == (1, Decimal("500"))
    row, *found = read_all(house, report.iban, "ondernemer@demo.example")
    assert row["meta"]["historyFrom"] == "2014-05-08"  # a file has no limit to its history
    assert amounts(found) == [Decimal("500.00")]


def test_iban_bank_and_holder_can_be_given(make_house: Any) -> None:
    house = make_house([account(BAKERY, "Demobank")])
    (report,) = house.simulator.load(
        [DATA / "old-number.sta"], iban=RABO, bank="Huisbank", holder="piet@bakker.example"
    )
    assert (report.iban, report.bank) == (RABO, "Huisbank")
    assert "iban_given" in notes(report)
    assert "every_holder" not in notes(report)
    offered = house.browser().get(authorise_url()).sign_in("piet@bakker.example").offered()
    assert offered == {RABO}
    assert house.browser().get(authorise_url()).sign_in().offered() == {BAKERY}


def test_wrong_check_digits_are_repaired_and_everybody_may_use_it(make_house: Any) -> None:
    house = make_house([account(BAKERY, "Demobank")])
    (report,) = house.simulator.load([DATA / "wrong-check-digits.xml"])
    assert report.iban[4:] == "TEST0123456789" and IBAN(report.iban)
    assert report.bank == "Testbank"
    assert notes(report)["every_holder"]["holders"] == ["Jan de Vries", "Piet Bakker"]
    row, *found = read_all(house, report.iban, "jan@devries.example")
    assert row["attributes"]["holderName"] == "Fietsen Van Vliet"
    assert row["attributes"]["currentBalance"] == Decimal("22.34")
    (one,) = found
    assert one["attributes"]["amount"] == Decimal("12.34")
    assert one["attributes"]["counterpartName"] == "Klant"
    assert one["attributes"]["endToEndId"] == "E2E1"


def test_several_files_at_once_all_or_none(make_house: Any, tmp_path: Path) -> None:
    house = make_house()
    broken = tmp_path / "broken.txt"
    broken.write_text("nothing to see")
    with pytest.raises(StatementError):
        house.simulator.load([DATA / "two-statements.sta", broken])
    assert house.simulator.is_empty()
    reports = house.simulator.load([DATA / "two-statements.sta", DATA / "overlap.sta"])
    assert [r.count for r in reports] == [3, 2]


@pytest.mark.parametrize(
    "options", [{"iban": "NL00RABO0123456789"}, {"holder": "nobody@nowhere.example"}]
)
def test_impossible_options(make_house: Any, options: dict[str, str]) -> None:
    house = make_house([])
    with pytest.raises(ValueError, match=r"IBAN|holder"):
        house.simulator.load([DATA / "two-statements.sta"], **options)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (RABO, RABO),
        ("NL44 RABO 0123 4567 89", RABO),
        ("NL00RABO0123456789", RABO),
        ("123456789", None),
        ("P 1234", None),
        ("BE00539007547034", "BE68539007547034"),
        ("no digits", None),
        ("12345678901234567890", None),
    ],
)
def test_every_reference_gets_a_valid_iban(reference: str, expected: str | None) -> None:
    found = usable_iban(reference)
    assert IBAN(found)
    assert found == usable_iban(reference)
    if expected:
        assert found == expected
