"""What banks' websites offer as a table, and what people make of it, becomes bookings or a sentence
with the line; never other money."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banklink.statements import Statement, StatementError
from banklink.statements.reading import File, days_told, difference, read_file
from banklink.statements.statement_csv import guess, read_table

OWN = "NL20INGB0001234567"

ING = (
    '"Datum";"Naam / Omschrijving";"Rekening";"Tegenrekening";"Code";"Af Bij";"Bedrag (EUR)";'
    '"Mutatiesoort";"Mededelingen";"Saldo na mutatie";"Tag"\r\n'
    f'"20261104";"Bakkerij Smit";"{OWN}";"";"BA";"Af";"12,50";"Betaalautomaat";'
    '"Pasvolgnr: 001 04-11-2026 08:12";"1.087,50";""\r\n'
    f'"20261103";"J. de Vries";"{OWN}";"NL44RABO0123456789";"OV";"Bij";"1.100,00";"Overschrijving";'
    '"Naam: J. de Vries Omschrijving: Factuur 2026-014; café";"1.100,00";""\r\n'
)
RABO = (
    '"IBAN/BBAN","Munt","BIC","Volgnr","Datum","Rentedatum","Bedrag","Saldo na trn",'
    '"Tegenrekening IBAN/BBAN","Naam tegenpartij","Naam uiteindelijke partij",'
    '"Naam initiërende partij","BIC tegenpartij","Code","Batch ID","Transactiereferentie",'
    '"Machtigingskenmerk","Incassant ID","Betalingskenmerk","Omschrijving-1","Omschrijving-2",'
    '"Omschrijving-3","Reden retour","Oorspr bedrag","Oorspr munt","Koers"\r\n'
    '"NL44RABO0123456789","EUR","RABONL2U","000000000000000001","2026-11-03","2026-11-02",'
    '"-17,50","+982,50","NL20INGB0001234567","Café ’t Hoekje","","","INGBNL2A","bc","","","","","",'
    '"Lunch, drie","personen","","","","",""\r\n'
    '"NL44RABO0123456789","EUR","RABONL2U","000000000000000002","2026-11-04","2026-11-04",'
    '"+1.250,00","+2.232,50","","Dorpshuis","","","","cb","","","","","","Factuur 15","","","","","",'
    '""\r\n'
)
KNAB = (
    "KNAB EXPORT;;;;;;;;;;;;;;;\n"
    "Rekeningnummer;Transactiedatum;Valutacode;CreditDebet;Bedrag;Tegenrekeningnummer;"
    "Tegenrekeninghouder;Valutadatum;Betaalwijze;Omschrijving;Type betaling;Machtigingsnummer;"
    "Incassant ID;Adres;Referentie;Boekdatum;\n"
    '"NL33KNAB0728000004";"03-11-2026";"EUR";"D";"99,95";"NL44RABO0123456789";"Hotel";'
    '"03-11-2026";"Betaling";"Bestelling 7781";"";"";"";"";"C6K03PGJWN0A0W";"03-11-2026";\n'
)
ABN = (
    "417164300\tEUR\t20261103\t1000,00\t982,50\t20261102\t-17,50\tBEA   NR:XX1 03.11.26/12.54 SLAGER\n"
    "417164300\tEUR\t20261105\t982,50\t1082,50\t20261105\t100,00\tSEPA Overboeking  Factuur 3\n"
)
BUNQ = (
    '"Date";"Interest Date";"Amount";"Account";"Counterparty";"Name";"Description"\n'
    '"2026-11-03";"2026-11-03";"-1.017,50";"NL04BUNQ2025000000";"NL44RABO0123456789";"Hotel";"x"\n'
)
TRIODOS = (
    '"03-11-2026","NL98TRIO0254999999","1.025,00","Debet","Energie BV","NL44RABO0123456789","IC",'
    '"Termijn november"\n'
    '"04-11-2026","NL98TRIO0254999999","25,00","Credit","Lid","","ET","Contributie"\n'
)


def read(text: str | bytes, **more: object) -> File:
    data = text if isinstance(text, bytes) else text.encode()
    return read_file(data, currency="EUR", **more)  # type: ignore[arg-type]


def one(file: File) -> Statement:
    (only,) = file.statements
    return only


def money(statement: Statement) -> list[tuple[str, str]]:
    return [(each.booked_on.isoformat(), str(each.amount)) for each in statement.bookings]


def code(text: str | bytes, **more: object) -> StatementError:
    with pytest.raises(StatementError) as caught:
        read(text, **more)
    return caught.value


def test_ing_newest_first_with_words_for_in_and_out_and_a_balance_after_each() -> None:
    file = read(ING)
    statement = one(file)
    assert (file.format, file.bank, statement.account_reference) == ("csv", "ING", OWN)
    assert money(statement) == [("2026-11-03", "1100.00"), ("2026-11-04", "-12.50")]
    first = statement.bookings[0]
    assert first.counterparty_name == "J. de Vries"
    assert first.counterparty_account == "NL44RABO0123456789"
    assert "Factuur 2026-014; café" in first.remittance
    assert first.line == 3
    assert [(b.kind, str(b.amount), b.on.day) for b in statement.balances] == [
        ("opening", "0.00", 3),
        ("closing", "1087.50", 4),
    ]
    assert difference(statement) == 0
    assert days_told(file.statements) == [(date(2026, 11, 3), date(2026, 11, 4))]


def test_rabobank_in_windows_1252_with_signs_and_commas_within_quotes() -> None:
    file = read(RABO.encode("windows-1252"))
    statement = one(file)
    assert (file.bank, file.guessed) == ("Rabobank", "Windows-1252")
    assert money(statement) == [("2026-11-03", "-17.50"), ("2026-11-04", "1250.00")]
    first = statement.bookings[0]
    assert (first.counterparty_name, first.remittance) == ("Café ’t Hoekje", "Lunch, drie personen")
    assert first.value_on == date(2026, 11, 2)
    assert difference(statement) == 0


def test_knab_has_a_line_above_its_titles() -> None:
    file = read(KNAB)
    assert file.bank == "Knab"
    (booking,) = one(file).bookings
    assert (booking.amount, booking.line, booking.remittance) == (
        Decimal("-99.95"), 3, "Bestelling 7781",
    )  # fmt: skip


def test_abn_amro_s_tab_file_has_no_titles_and_the_account_s_older_number() -> None:
    file = read(ABN)
    assert (file.bank, one(file).account_reference) == ("ABN AMRO", "417164300")
    assert money(one(file)) == [("2026-11-03", "-17.50"), ("2026-11-05", "100.00")]
    assert difference(one(file)) == 0


def test_bunq_and_triodos() -> None:
    assert money(one(read(BUNQ))) == [("2026-11-03", "-1017.50")]
    file = read(TRIODOS)
    assert file.bank == "Triodos"
    assert money(one(file)) == [("2026-11-03", "-1025.00"), ("2026-11-04", "25.00")]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252"]
)
def test_the_encoding_makes_no_difference(encoding: str) -> None:
    assert read(ING.encode(encoding)).statements == read(ING).statements


def test_letters_that_were_spoiled_before_are_shown() -> None:
    spoiled = ING.replace("café", "café".encode().decode("windows-1252"))
    assert read(spoiled).garbled == "cafÃ©"
    assert read(ING).garbled is None


def test_a_missing_line_shows_in_the_balances() -> None:
    without = "".join(ABN.splitlines(keepends=True)[:1]) + ABN.splitlines()[1].replace(
        "1082,50", "1090,00"
    )
    assert difference(one(read(without + "\n"))) == Decimal("7.50")


OTHER = "Wanneer;Wat;Hoeveel;Wie\n03/11/2026;Koffie;-2,50;Bar\n04/11/2026;Thee;1.002,50;Bar\n"


def test_columns_nobody_knows_are_asked_for_and_a_guess_is_only_proposed() -> None:
    assert code(OTHER).code == "columns_unknown"
    table = read_table(OTHER.encode())
    assert table.titles == ("Wanneer", "Wat", "Hoeveel", "Wie")
    assert guess(table) == {"booked": 0, "amount": 2, "description": 1}
    file = read(OTHER, columns={"booked": 0, "amount": 2, "description": 1, "name": 3})
    assert money(one(file)) == [("2026-11-03", "-2.50"), ("2026-11-04", "1002.50")]
    assert (file.bank, one(file).account_reference) == (None, "")


def test_money_out_may_have_a_column_of_its_own() -> None:
    text = "Datum;Omschrijving;Af;Bij\n03-11-2026;Koffie;2,50;\n04-11-2026;Rente;;1,05\n"
    table = read_table(text.encode())
    columns = guess(table)
    assert columns == {"booked": 0, "out": 2, "amount": 3, "description": 1}
    assert money(one(read(text, columns=columns))) == [
        ("2026-11-03", "-2.50"),
        ("2026-11-04", "1.05"),
    ]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.234,56", "-2,00"], ["1234.56", "-2.00"]),
        (["1,234.56", "2.00-"], ["1234.56", "-2.00"]),
        (["1.234", "2.000.000"], ["1234", "2000000"]),
        (["1,234", "17"], ["1234", "17"]),
        (["€ 12,5", "+3"], ["12.5", "3"]),
        (["12.50", "1'000.00"], ["12.50", "1000.00"]),
        (["\u22125,00", "0,00"], ["-5.00", "0.00"]),
    ],
)
def test_amounts_as_people_write_them(cells: list[str], expected: list[str]) -> None:
    text = "d;a;t\n" + "".join(f"2026-11-03;{cell};x\n" for cell in cells)
    found = one(read(text, columns={"booked": 0, "amount": 1})).bookings
    assert [each.amount for each in found] == [Decimal(each) for each in expected]


def test_a_month_may_stand_before_the_day_where_some_line_proves_it() -> None:
    text = "d;a;t\n03/04/2026;1,00;x\n03/31/2026;1,00;x\n"
    found = one(read(text, columns={"booked": 0, "amount": 1})).bookings
    assert [each.booked_on.isoformat() for each in found] == ["2026-03-04", "2026-03-31"]


@pytest.mark.parametrize(
    ("old", "new", "column", "line"),
    [
        ("20261103", "20261303", "booked", 3),
        ("20261103", "gisteren", "booked", 3),
        ("1.100,00", "1.1.0", "amount", 3),
        ('"12,50"', '"12.50"', "amount", 2),
        ('"Bij"', '"Misschien"', "direction", 3),
        ('"1.087,50"', '"veel"', "balance", 2),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_with_its_line(
    old: str, new: str, column: str, line: int
) -> None:
    error = code(ING.replace(old, new, 1))
    assert (error.code, error.params["column"], error.params["line"]) == (
        "column_wrong", column, line,
    )  # fmt: skip


def test_a_text_over_two_lines_counts_as_it_stands_in_the_file() -> None:
    text = ING.replace("Pasvolgnr: 001", "Pasvolgnr:\r\n001")
    assert read(text).statements == read(ING).statements
    assert code(text.replace('"Bij"', '"?"')).params["line"] == 4


@pytest.mark.parametrize("text", [ING, RABO, KNAB, TRIODOS])
def test_a_table_that_breaks_off_is_refused_or_whole(text: str) -> None:
    """Cut at every place: refused, or the lines before the cut as they are."""
    whole = read(text)
    bookings = one(whole).bookings
    for end in range(len(text) - 3):
        try:
            found = read(text[:end])
        except StatementError:
            continue
        assert found.loose or text[:end].endswith(("\r", "\n"))
        assert all(each in bookings for each in one(found).bookings), end


def test_only_titles_is_a_file_without_transactions() -> None:
    assert code(ING.partition("\r\n")[0] + "\r\n").code == "no_bookings"


def test_several_accounts_in_a_table_are_several_statements() -> None:
    both = RABO + RABO.splitlines()[1].replace("NL44RABO0123456789", "NL39RABO0300065264") + "\n"
    found = read(both.replace("\r\n", "\n")).statements
    assert [each.account_reference for each in found] == [
        "NL44RABO0123456789",
        "NL39RABO0300065264",
    ]


# -- what must not be read wrongly ----------------------------------------------------------------

ING_TITLES = ING.partition("\r\n")[0].replace(';"Saldo na mutatie";"Tag"', "") + "\n"


def ing(*texts: str) -> str:
    return ING_TITLES + "".join(
        f'"2026110{day}";"Bar";"{OWN}";"";"BA";"Af";"1{day},00";"Betaalautomaat";"{text}"\n'
        for day, text in enumerate(texts, start=1)
    )


def abn(*texts: str) -> str:
    row = "417164300\tEUR\t2026110{0}\t9,00\t8,00\t20261101\t-1{0},00\t{1}\n"
    return "".join(row.format(day, text) for day, text in enumerate(texts, start=1))


@pytest.mark.parametrize(
    "text",
    [
        'monitor 27"',
        'monitor 27""',
        '27" monitor',
        'Café "De Kroeg" en meer',
        'Café "De Kroeg"',
        '"De Kroeg" en meer',
        '"t Hoekje',
    ],
)
def test_quotes_in_a_text_cost_no_line_and_stay_in_it(text: str) -> None:
    days = [("2026-11-01", "-11.00"), ("2026-11-02", "-12.00"), ("2026-11-03", "-13.00")]
    for made in (ing(text, "y", "z"), abn(text, "y", "z"), abn(text, '"x', "z")):
        found = one(read(made))
        assert money(found) == days, made
        assert found.bookings[0].remittance.replace('""', '"') == text.replace('""', '"')


TITLES = "Datum;Bedrag;Omschrijving\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            TITLES + '01-11-2026;1,00;x\n02-11-2026;2,00;"De Kroeg\n'
            '03-11-2026;3,00;x\n04-11-2026;4,00;Kroeg De"\n',
            3,
        ),
        (TITLES + '01-11-2026;1,00;"De Kroeg\n02-11-2026;2,00;Kroeg De"\n', 2),
        (TITLES + '01-11-2026;"De Kroeg;1,00\n02-11-2026;Kroeg De";2,00\n', 2),
        (TITLES + '01-11-2026;1,00;"De Kroeg\n02-11-2026;2,00;x\n', 2),
    ],
)
def test_a_quote_that_swallows_lines_is_refused_with_the_first(text: str, line: int) -> None:
    error = code(text, columns={"booked": 0, "amount": 1, "description": 2})
    assert (error.code, error.params["line"]) == ("quote_open", line)


@pytest.mark.parametrize(
    "text",
    [
        "Datum,Bedrag,Omschrijving\n2026-11-01,1,50,x\n",
        ING_TITLES.replace('"', "").replace(";", ",")
        + f"20261101,Bar,{OWN},,GT,Bij,12,50,Online,x\n",
        # The last column is empty, so that nothing stands beyond it.
        "Datum,Bedrag,Omschrijving,Tag\n2026-11-01,1,50,x,\n",
        RABO.replace('"-17,50"', "-17,50"),
        ing("a;b").replace('"', ""),
        ing('a";"b'),
        abn("x", "a\tb"),
        "2026-11-01,1,Foo\n2026-11-02,7,25,Bar\n",
    ],
)
def test_a_row_with_more_cells_than_columns_is_refused(text: str) -> None:
    error = code(text, columns={"booked": 0, "amount": 1, "description": 2})
    assert (error.code, error.params["line"]) == ("cells_many", 2)


def test_a_separator_at_the_end_of_each_row_is_harmless() -> None:
    assert money(one(read(ing("x").replace('"x"\n', '"x";\n')))) == [("2026-11-01", "-11.00")]


ASN = (
    "01-11-2026,NL57ASNB0123456789,NL44RABO0123456789,jansen j,,,,EUR,1000.00,EUR,-12.50,"
    "02-11-2026,03-11-2026,8810,BEA,90043054,,'boek 123',42\n"
    "02-11-2026,NL57ASNB0123456789,,,,,,EUR,987.50,EUR,1250.00,"
    "02-11-2026,02-11-2026,8810,OVB,90043055,'factuur 7','appels, peren',42\n"
)


@pytest.mark.parametrize("text", [ASN, "".join(ASN.splitlines(keepends=True)[::-1])])
def test_asn_has_the_balance_before_the_amount_and_commas_in_its_texts(text: str) -> None:
    file = read(text)
    assert (file.bank, one(file).account_reference, file.day) == ("ASN", "NL57ASNB0123456789", None)
    assert money(one(file)) == [("2026-11-01", "-12.50"), ("2026-11-02", "1250.00")]
    first, second = one(file).bookings
    assert (first.counterparty_name, first.counterparty_account, first.value_on) == (
        "jansen j", "NL44RABO0123456789", date(2026, 11, 3),
    )  # fmt: skip
    assert second.remittance == "'factuur 7' 'appels, peren'"


def test_of_several_columns_that_fit_none_is_proposed() -> None:
    text = "a;b;c;d;e\n" + "2026-11-01;NL57ASNB0123456789;NL44RABO0123456789;9,00;1,00\n"
    assert guess(read_table(text.encode())).keys() == {"booked", "description"}


@pytest.mark.parametrize(
    ("cell", "currency"),
    [("usd", "USD"), ("€", "EUR"), ("", "EUR"), ("US$", None), ("Dollar", None)],
)
def test_a_currency_that_is_none_is_refused(cell: str, currency: str | None) -> None:
    text = f"d;a;c\n2026-11-01;1,00;{cell}\n"
    columns = {"booked": 0, "amount": 1, "currency": 2}
    if currency:
        assert one(read(text, columns=columns)).bookings[0].currency == currency
    else:
        error = code(text, columns=columns)
        assert (error.code, error.params["column"]) == ("column_wrong", "currency")


@pytest.mark.parametrize(
    ("currency", "cells", "expected", "doubt"),
    [
        ("KWD", ["12.500", "-1.250"], ["12.500", "-1.250"], None),
        ("KWD", ["12,500"], ["12.500"], None),
        ("KWD", ["1.012,500", "7,250"], ["1012.500", "7.250"], None),
        ("JPY", ["12.500"], ["12500"], None),
        ("EUR", ["12.500", "-1.250"], ["12500", "-1250"], "12.500"),
        ("EUR", ["17", "1,250"], ["17", "1250"], "1,250"),
        ("EUR", ["12.500", "1.250.000"], ["12500", "1250000"], None),
        ("EUR", ["12.500", "0.750"], ["12.5", "0.75"], None),
        ("EUR", ["12.500", "3,50"], ["12500", "3.5"], None),
    ],
)
def test_three_digits_are_decimals_or_thousands_and_where_that_is_open_it_is_told(
    currency: str, cells: list[str], expected: list[str], doubt: str | None
) -> None:
    text = "d;a;t\n" + "".join(f"2026-11-03;{cell};x\n" for cell in cells)
    file = read_file(text.encode(), currency=currency, columns={"booked": 0, "amount": 1})
    assert [each.amount for each in one(file).bookings] == [Decimal(each) for each in expected]
    assert (file.amount[0] if file.amount else None) == doubt


@pytest.mark.parametrize(
    ("cells", "doubt"),
    [
        (["24-03-15", "24-03-16"], ("24-03-15", date(2015, 3, 24))),
        (["05/05/2026", "03/04/2026"], ("03/04/2026", date(2026, 4, 3))),
        (["03-04-2026"], ("03-04-2026", date(2026, 4, 3))),
        (["03/04/2026", "31/03/2026"], None),
        (["03/04/2026", "03/31/2026"], None),
        (["05/05/2026"], None),
        (["2026-04-03"], None),
    ],
)
def test_dates_that_may_be_read_in_two_ways_are_told(
    cells: list[str], doubt: tuple[str, date] | None
) -> None:
    text = "d;a;t\n" + "".join(f"{cell};1,00;x\n" for cell in cells)
    assert read(text, columns={"booked": 0, "amount": 1}).day == doubt


def test_the_bank_s_own_dates_are_in_no_doubt_but_what_a_spreadsheet_made_of_them_is() -> None:
    early = KNAB.replace("03-11-2026", "03-04-2026")
    assert read(early).day is None
    assert read(early.replace("03-04-2026", "4/3/2026")).day == ("4/3/2026", date(2026, 3, 4))


def test_what_stands_above_the_titles_of_an_unknown_table_is_dropped() -> None:
    above = "Rekening;NL91ABNA0417164300;\nPeriode;01-11-2026;30-11-2026\n"
    text = above + TITLES + "01-11-2026;12,50;a\n"
    table = read_table(text.encode())
    assert table.titles == ("Datum", "Bedrag", "Omschrijving")
    assert [row.line for row in table.rows] == [4]
    assert guess(table) == {"booked": 0, "amount": 1, "description": 2}
    plain = read_table(("Mijn bank;;\n" + TITLES + "01-11-2026;12,50;a\n").encode())
    assert plain.titles == table.titles


@pytest.mark.parametrize(
    "text",
    [
        TITLES + "01-11-2026;1,00;a\n" + TITLES + "02-11-2026;2,00;b\n",
        "01-11-2026;1,00;a\n" + TITLES + "02-11-2026;2,00;b\n",
        TITLES + "1 mrt 2026;(1,00);a\n02-11-2026;2,00;b\n",
    ],
)
def test_no_row_that_may_be_a_booking_is_dropped_with_what_stands_above(text: str) -> None:
    error = code(text, columns={"booked": 0, "amount": 1, "description": 2})
    assert error.code == "column_wrong"


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([*'";,\t\n\r', "12,50", "20261103", "Af", "x", "é"])).map(
            lambda parts: "".join(parts).encode()
        ),
    )
)
def test_whatever_is_given_is_read_or_refused(data: bytes) -> None:
    for columns in (None, {"booked": 0, "amount": 1, "description": 2}):
        for each in (data, ING.encode()[:200] + data, ABN.encode() + data):
            with suppress(StatementError):
                assert read(each, columns=columns).statements
