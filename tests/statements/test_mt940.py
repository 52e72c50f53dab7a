"""MT940 as Dutch banks write it."""

from datetime import date
from decimal import Decimal

import pytest

from banklink.statements import Balance, Booking, StatementError, read_statements
from tests.statements import DATA

MINIMAL = """\
:20:REF
:25:NL91ABNA0417164300
:28C:1
:60F:C261120EUR0,
:61:{line}
:86:{details}
:62F:C261120EUR0,
-
"""


def booking(line: str = "261120C1,00NTRFNONREF", details: str = "x") -> Booking:
    (statement,) = read_statements(MINIMAL.format(line=line, details=details).encode())
    (found,) = statement.bookings
    return found


def amounts(*values: str) -> list[Decimal]:
    return [Decimal(value) for value in values]


def test_a_file_of_abn_amro_with_two_statements_and_empty_lines() -> None:
    first, second = read_statements(DATA / "abn.sta")
    assert first.account_reference == second.account_reference == "417164300"
    assert first.currency == "EUR"
    assert [b.amount for b in first.bookings] == amounts("-45.5", "120", "10", "-4.5")
    assert [b.amount for b in second.bookings] == amounts("-80.01")
    assert [b.kind for b in first.balances] == ["opening", "closing"]
    assert second.balances == (
        Balance("intermediate_opening", Decimal("1080"), "EUR", date(2027, 1, 2)),
        Balance("intermediate_closing", Decimal("999.99"), "EUR", date(2027, 1, 4)),
    )


def test_the_coded_text_of_abn_amro_gives_the_counterparty_across_wrapped_lines() -> None:
    first = read_statements(DATA / "abn.sta")[0].bookings[0]
    assert first.counterparty_name == "WATERBEDRIJF DE BRON"
    assert first.counterparty_account == "NL91ABNA0417164300"
    assert first.end_to_end_id == "T-2044-12"
    assert first.remittance.startswith("TERMIJN DECEMBER")
    assert "/MARF/M-2044" in first.remittance  # what has no place of its own is not lost


def test_the_columns_of_abn_amro_give_the_counterparty() -> None:
    second = read_statements(DATA / "abn.sta")[0].bookings[1]
    assert second.counterparty_name == "SLAGERIJ DE HAAN"
    assert second.counterparty_account == "NL39RABO0300065264"
    assert second.remittance == "SEPA OVERBOEKING BIC: RABONL2U FACTUUR 2026-118"
    assert second.end_to_end_id == "F118"


def test_the_booking_day_is_the_entry_date_and_takes_its_year_from_the_value_date() -> None:
    late, early, *_ = read_statements(DATA / "abn.sta")[0].bookings
    assert (late.value_on, late.booked_on) == (date(2026, 12, 31), date(2027, 1, 2))
    assert (early.value_on, early.booked_on) == (date(2027, 1, 2), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("line", "booked_on"),
    [
        ("261120C1,NTRFNONREF", date(2026, 11, 20)),
        ("261120    C1,NTRFNONREF", date(2026, 11, 20)),
        ("2611201121C1,NTRFNONREF", date(2026, 11, 21)),
        ("2402290301C1,NTRFNONREF", date(2024, 3, 1)),
        ("2403010229C1,NTRFNONREF", date(2024, 2, 29)),
        ("991231C1,NTRFNONREF", date(1999, 12, 31)),
    ],
)
def test_booking_days(line: str, booked_on: date) -> None:
    assert booking(line).booked_on == booked_on


@pytest.mark.parametrize(
    ("mark", "amount"), [("C", "12.5"), ("D", "-12.5"), ("RC", "-12.5"), ("RD", "12.5")]
)
def test_a_reversed_credit_goes_out_and_a_reversed_debit_comes_in(mark: str, amount: str) -> None:
    assert booking(f"261120{mark}12,5NTRFNONREF").amount == Decimal(amount)


def test_an_amount_may_lack_its_comma_and_may_be_followed_by_a_funds_code() -> None:
    assert booking("261120C500NTRFNONREF").amount == 500
    assert booking("261120CR500,01NTRFNONREF").amount == Decimal("500.01")


def test_swift_blocks_windows_line_ends_and_latin_1_are_read() -> None:
    first, second = read_statements(DATA / "knab-swift-latin1.sta")
    (only,) = first.bookings
    assert only.counterparty_name == "J. DE VRIËS"
    assert only.counterparty_account == "NL91ABNA0417164300"
    assert only.remittance == "BESTELLING 4711 CAFÉ"
    assert only.bank_reference == "B6L31XM00J000001"
    assert only.end_to_end_id == "31-12-2026 23:59"
    assert second.bookings == ()
    assert [b.kind for b in second.balances] == ["opening", "closing", "available", "forward"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_any_usual_encoding_gives_the_same_text(encoding: str) -> None:
    text = (DATA / "knab-swift-latin1.sta").read_bytes().decode("latin-1")
    assert read_statements(text.encode(encoding)) == read_statements(text.encode("utf-8"))


def test_a_file_of_rabobank_has_no_end_marks_and_names_the_account_under_the_line() -> None:
    first, second = read_statements(DATA / "rabo.swi")
    assert first.account_reference == "NL39RABO0300065264"
    debit, credit = first.bookings
    assert (debit.amount, credit.amount) == (Decimal("-25.00"), Decimal("10.00"))
    assert debit.counterparty_name == "GARAGE VAN DEN BERG"
    assert debit.counterparty_account == "NL91ABNA0417164300"
    assert debit.end_to_end_id == "02-11-2026 12:00 0030000123456789"
    assert debit.remittance == "Kenteken 12-ABC-3 en 50/50 verdeeld /ISDT/2026-11-02"
    assert credit.counterparty_name == "M. BAKKER"
    assert credit.counterparty_account == "P001234567"
    assert "KIND BAKKER" in credit.remittance
    assert second.bookings == ()


def test_a_file_of_ing_has_the_currency_behind_the_account_and_the_counterparty_in_one_code() -> (
    None
):
    (statement,) = read_statements(DATA / "ing.940")
    (only,) = statement.bookings
    assert statement.account_reference == "NL20INGB0001234567"
    assert only.counterparty_name == "ING BANK NV INZAKE WEB"
    assert only.counterparty_account == "NL32INGB0000012345"
    assert only.end_to_end_id == "EV12341REP1231456T1234"
    assert only.remittance == "EV10001REP1000000T1000 /CNTP/INGBNL2A"


def test_asn_puts_the_account_into_the_reference_and_the_name_below() -> None:
    found = booking("2611201120D65,00NOVBNL47INGB0009999999\nhr g bakker", "Sieraden")
    assert found.counterparty_account == "NL47INGB0009999999"
    assert found.counterparty_name == "hr g bakker"
    assert found.remittance == "Sieraden"
    assert found.end_to_end_id is None


def test_free_text_stays_as_it_is_and_a_booking_needs_no_text() -> None:
    assert booking(details="Huur: januari/februari, REK 12\n- gewoon een streepje").remittance == (
        "Huur: januari/februari, REK 12 - gewoon een streepje"
    )
    text = MINIMAL.format(line="261120C1,NTRFNONREF", details="x").replace(":86:x\n", "")
    assert read_statements(text.encode())[0].bookings[0].remittance == ""


def test_a_space_in_front_of_the_currency_of_the_account_and_inside_it_is_dropped() -> None:
    text = MINIMAL.format(line="261120C1,NTRFNONREF", details="x")
    text = text.replace("NL91ABNA0417164300", "NL91 ABNA 0417 1643 00 EUR")
    assert read_statements(text.encode())[0].account_reference == "NL91ABNA0417164300"


def test_the_currency_of_a_balance_is_kept_as_stated() -> None:
    text = MINIMAL.format(line="261120C1,NTRFNONREF", details="x")
    (statement,) = read_statements(text.replace(":62F:C261120EUR0", ":62F:D261120USD5").encode())
    assert statement.balances[1] == Balance("closing", Decimal(-5), "USD", date(2026, 11, 20))


@pytest.mark.parametrize(
    ("old", "new", "field", "line"),
    [
        (":61:261120", ":61:261320", ":61:", 5),
        (":61:261120C1", ":61:261120X1", ":61:", 5),
        ("C1,00N", "C1,0,0N", ":61:", 5),
        (":60F:C26", ":60F:Q26", ":60F:", 4),
        (":62F:C261120EUR0,", ":62F:C261120EU0,", ":62F:", 7),
        ("C1,00N", "C1.012,50N", ":61:", 5),
        ("C1,00N", "C12.50N", ":61:", 5),
        ("C1,00N", "C1 012,50N", ":61:", 5),
        ("C1,00N", "C1'012,50N", ":61:", 5),
        ("C1,00N", "C00000000000012,50N", ":61:", 5),
        (":62F:C261120EUR0,", ":62F:C261120EUR1.987,50", ":62F:", 7),
        (":62F:C261120EUR0,", ":62F:C261120EUR987.50", ":62F:", 7),
        (":60F:C261120EUR0,", ":60F:C261120EUR1 987,50", ":60F:", 4),
        (":25:NL91ABNA0417164300\n", "", ":25:", 1),
        (":60F:C261120EUR0,\n", "", ":60F:", 1),
    ],
)
def test_a_field_that_breaks_the_format_is_named_with_its_line(
    old: str, new: str, field: str, line: int
) -> None:
    text = MINIMAL.format(line="261120C1,00NTRFNONREF", details="x")
    assert old in text
    with pytest.raises(StatementError) as caught:
        read_statements(text.replace(old, new).encode())
    assert caught.value.code == "malformed"
    assert caught.value.params["field"] == field
    assert caught.value.params["line"] == line


def test_the_parser_writes_no_payment_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StatementError):
        booking("261120X1,00NTRFGEHEIM")
    assert caplog.text == ""


def test_control_characters_do_not_reach_the_text() -> None:
    assert booking(details="a\x00b\x07c").remittance == "abc"
