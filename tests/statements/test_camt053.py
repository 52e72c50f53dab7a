"""camt.053, the versions .02 to .14."""

from datetime import date
from decimal import Decimal

import pytest

from banklink.statements import Balance, StatementError, read_statements
from tests.statements import DATA

V02 = (DATA / "camt053-v02.xml").read_text(encoding="utf-8")
V08 = (DATA / "camt053-v08-prefixed.xml").read_text(encoding="utf-8")


def error(text: str | bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        read_statements(text.encode() if isinstance(text, str) else text)
    return caught.value


def test_two_statements_of_different_accounts_and_currencies() -> None:
    first, second = read_statements(DATA / "camt053-v02.xml")
    assert (first.account_reference, first.currency) == ("NL91ABNA0417164300", "EUR")
    assert (first.holder_name, first.bank_name) == ("Bakkerij de Vries", "ABN AMRO")
    assert (second.account_reference, second.currency) == ("123456", "USD")
    assert [b.amount for b in first.bookings] == [Decimal("-150.50"), Decimal("35.00")]
    assert [b.amount for b in second.bookings] == [Decimal("-1.25")]


def test_a_batch_is_one_booking_with_all_its_texts_and_no_single_counterparty() -> None:
    batch = read_statements(DATA / "camt053-v02.xml")[0].bookings[0]
    assert batch.amount == Decimal("-150.50")
    assert batch.remittance == "Meel week 46; Gist en zout; 2026-9 RF18539007547034 dozen"
    assert batch.counterparty_name is None
    assert batch.counterparty_account is None
    assert batch.end_to_end_id is None
    assert batch.bank_reference == "BATCH-7"
    assert batch.value_on == date(2026, 11, 22)


def test_a_reversal_keeps_the_direction_that_is_stated_and_names_the_other_party() -> None:
    reversal = read_statements(DATA / "camt053-v02.xml")[0].bookings[1]
    assert reversal.amount == Decimal("35.00")
    assert reversal.counterparty_name == "Energie Oost"
    assert reversal.end_to_end_id is None
    assert reversal.remittance == "Storno"


def test_pending_and_informational_entries_are_left_out() -> None:
    amounts = {abs(b.amount) for s in read_statements(DATA / "camt053-v02.xml") for b in s.bookings}
    assert not amounts & {Decimal(98), Decimal(99)}


def test_balances_are_given_as_stated() -> None:
    first, _ = read_statements(DATA / "camt053-v02.xml")
    assert first.balances == (
        Balance("opening", Decimal("100.00"), "EUR", date(2026, 11, 20)),
        Balance("closing", Decimal("-15.50"), "EUR", date(2026, 11, 23)),
        Balance("available", Decimal("984.50"), "EUR", date(2026, 11, 23)),
        Balance("forward", Decimal("20"), "EUR", date(2026, 11, 25)),
    )


def test_an_entry_without_booking_date_takes_its_value_date() -> None:
    assert read_statements(DATA / "camt053-v02.xml")[1].bookings[0].booked_on == date(2026, 11, 23)


def test_a_time_is_booked_on_the_dutch_calendar_day() -> None:
    (statement,) = read_statements(DATA / "camt053-v08-prefixed.xml")
    summer_night, winter_night, local = statement.bookings
    assert summer_night.booked_on == date(2026, 7, 2)
    assert winter_night.booked_on == date(2026, 2, 1)
    assert local.booked_on == date(2026, 7, 1)


def test_the_newer_shape_of_parties_and_prefixed_names_are_read() -> None:
    (statement,) = read_statements(DATA / "camt053-v08-prefixed.xml")
    assert statement.currency == "EUR"
    assert [b.kind for b in statement.balances] == ["intermediate_opening", "intermediate_closing"]
    last = statement.bookings[-1]
    assert last.counterparty_name == "Zoë Müller"
    assert last.counterparty_account == "NL91ABNA0417164300"
    assert (last.end_to_end_id, last.remittance) == ("E-3", "Geld")


@pytest.mark.parametrize("version", [f"{number:02}" for number in range(2, 15)])
def test_every_version_is_read_by_its_names(version: str) -> None:
    text = V08.replace("camt.053.001.08", f"camt.053.001.{version}")
    assert read_statements(text.encode()) == read_statements(V08.encode())


def test_a_latin_1_file_that_claims_to_be_utf_8_is_still_read() -> None:
    (statement,) = read_statements(V08.encode("latin-1"))
    assert statement.bookings[-1].counterparty_name == "Zoë Müller"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(encoding: str) -> None:
    text = V08.replace('encoding="UTF-8"', f'encoding="{encoding.upper().removesuffix("-SIG")}"')
    assert read_statements(text.encode(encoding)) == read_statements(V08.encode())


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE n [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE n [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE n SYSTEM "http://localhost:9/x.dtd">',
        "<!DOCTYPE n>",
    ],
)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_a_document_type_declaration_is_refused(doctype: str, encoding: str) -> None:
    text = V08.replace("?>\n", f"?>\n{doctype}\n", 1).replace("UTF-8", encoding)
    assert error(text.encode(encoding)).code == "hostile_xml"
    cut = text.encode(encoding)[:-40]
    assert error(cut).code == "hostile_xml"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('<Amt Ccy="EUR">150.50</Amt>', "", "Amt"),
        ("150.50", "150,50", "Amt"),
        ("150.50", "-150.50", "Amt"),
        ("150.50", "NaN", "Amt"),
        ('Ccy="EUR">150', 'Ccy="euro">150', "Amt"),
        ("<CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts>", "<Sts>BOOK</Sts>", "CdtDbtInd"),
        ("<Sts>BOOK</Sts>", "", "Sts"),
        ("<Dt>2026-11-21</Dt>", "<Dt>2026-13-21</Dt>", "BookgDt"),
        ("<Dt>2026-11-21</Dt>", "<DtTm>0001-01-01T00:00:00+10:00</DtTm>", "BookgDt"),
        ("<Id><IBAN>NL91ABNA0417164300</IBAN></Id>", "", "Acct/Id"),
    ],
)
def test_a_field_that_breaks_the_format_is_named(old: str, new: str, field: str) -> None:
    assert old in V02
    caught = error(V02.replace(old, new, 1))
    assert (caught.code, caught.params["field"]) == ("malformed", field)
    assert caught.params["line"]


def test_xml_that_is_not_well_formed_is_malformed_with_its_line() -> None:
    caught = error(V02.replace("<Id>S-1</Id>", "<Id>S & 1</Id>"))
    assert (caught.code, caught.params) == ("malformed", {"field": "XML", "line": 6})


@pytest.mark.parametrize(
    ("element", "name"),
    [
        ("BkToCstmrAcctRpt", "camt.052"),
        ("BkToCstmrDbtCdtNtfctn", "camt.054"),
        ("CstmrCdtTrfInitn", "pain.001"),
        ("Something", "xml"),
    ],
)
def test_another_message_is_named(element: str, name: str) -> None:
    caught = error(V02.replace("BkToCstmrStmt", element))
    assert (caught.code, caught.params) == ("unknown_format", {"looks_like": name})


def test_a_message_without_statements_says_so() -> None:
    assert error("<Document><BkToCstmrStmt/></Document>").code == "no_statement"
