"""Reading a list of journals: what people paste and what bookkeeping programs export."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banklink.statements.journals import MAX_LINES, JournalList, JournalsError, read_journals

DATA = Path(__file__).parent / "data" / "journals"
TODAY = date(2026, 4, 2)
IBAN = "NL85DEMO0417164300"


def read(source: bytes | str) -> JournalList:
    return read_journals(source, today=TODAY)


def file(name: str) -> JournalList:
    return read((DATA / name).read_bytes())


def told(found: JournalList) -> dict[int, list[tuple[str, dict[str, object]]]]:
    return {
        line.number: [(each.code, dict(each.params)) for each in line.problems]
        for line in found.lines
        if line.problems
    }


def refused(source: bytes | str) -> tuple[str, dict[str, object]]:
    with pytest.raises(JournalsError) as raised:
        read(source)
    return raised.value.code, dict(raised.value.params)


def test_every_wrong_line_says_what_is_wrong_and_the_others_can_be_used() -> None:
    found = file("journals-nl.csv")
    assert told(found) == {
        3: [("iban_check_digits", {})],
        4: [("name_missing", {})],
        5: [("code_twice", {"line": 2})],
        6: [("iban_twice", {"line": 2})],
        7: [("not_a_date", {})],
        8: [("date_in_future", {})],
    }
    (good,) = found.good
    assert (good.code, good.name, good.iban) == ("1100", "Bank Demobank", IBAN)
    assert good.through == date(2026, 3, 31)
    assert found.heading == "code;naam;iban;verwerkt t/m"
    assert found.bad[0].source == "1120;Spaarrekening;NL52VOOR0001234568;2026-03-31"


def test_a_year_no_books_can_mean_is_said_at_its_line() -> None:
    found = read("1100;Bank;" + IBAN + ";0206-03-31\n1110;Savings;;1990-01-01")
    assert told(found) == {1: [("year_unlikely", {"first": 1990})]}


def test_english_headers_and_commas_within_quotes() -> None:
    first, second = file("journals-en.csv").lines
    assert (first.name, first.iban, first.through) == ("Bank, daily", IBAN, date(2026, 3, 31))
    assert (second.name, second.iban, second.through) == ("Cash", None, None)


def test_an_old_encoding_is_read_and_said() -> None:
    found = file("journals-1252.csv")
    assert found.guessed == "Windows-1252"
    assert found.lines[0].name == "Café Zoë €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_spreadsheet_s_encoding_makes_no_difference(encoding: str) -> None:
    found = read(f"code;naam;iban\r\n1100;Café Zoë;{IBAN}\r\n".encode(encoding))
    assert (found.lines[0].name, found.lines[0].iban, found.guessed) == ("Café Zoë", IBAN, None)


def test_without_a_header_the_columns_are_known_by_their_looks() -> None:
    bare = file("journals-bare-utf16.tsv")
    assert [(each.code, each.name, each.iban) for each in bare.lines] == [
        ("1100", "Bank", IBAN),
        ("1110", "Kas", None),
    ]
    moved = read(f"{IBAN}, 31/03/2026, 1100, Bank").lines[0]
    assert (moved.code, moved.name, moved.through) == ("1100", "Bank", date(2026, 3, 31))


@pytest.mark.parametrize(
    ("code", "name", "account", "through"),
    [
        ("Dagboeknr", "Omschrijving", "IBAN-nummer", "Bijgewerkt t/m"),
        ("DAGBOEKNUMMER", "Naam dagboek", "Ibannummer", "Bijgewerkt tot en met"),
        ("Nr.", "naam-dagboek", "Bank-rekening", "Verwerkt tot en met"),
        ("Nummer", "Dagboek", "Rekeningnummer", "Verwerkt tot"),
        ("Dagboekcode", "Náám", "Rekening", "Processed until"),
        ("Dagboek", "Omschrijving", "Bankrekeningnummer", "verwerkt  T/M"),
    ],
)
def test_columns_are_known_by_the_names_that_programs_give_them(
    code: str, name: str, account: str, through: str
) -> None:
    found = read(f"Saldo;{through};{account};{name};{code}\n9,00;31-03-2026;{IBAN};Bank;1100")
    (line,) = found.good
    assert (line.code, line.name, line.iban) == ("1100", "Bank", IBAN)
    assert line.through == date(2026, 3, 31)
    assert found.unused == ("Saldo",)
    assert not found.taken


def test_an_unknown_title_above_ibans_or_days_costs_nothing_and_is_told() -> None:
    found = read(
        f"Nr;Naam;Tegoed op;Klaar;Gewijzigd op\n1;A;{IBAN};31-03-26;01-04-2026\n2;B;;;01-04-2026"
    )
    assert [(each.iban, each.through) for each in found.lines] == [
        (IBAN, date(2026, 3, 31)),
        (None, None),
    ]
    assert found.taken == {"iban": "Tegoed op", "through": "Klaar"}
    assert found.unused == ("Gewijzigd op",), "a day, but surely another one"


@pytest.mark.parametrize(
    ("text", "unused"),
    [
        (f"nr;naam;een;twee\n1;A;{IBAN};{IBAN}", ("een", "twee")),  # which one is meant?
        ("nr;naam;een\n1;A;NL00DEMO0417164300", ("een",)),  # check digits that are not right
        ("nr;naam;een;twee\n1;A;31-03-2026;30-03-2026", ("een", "twee")),
        ("nr;naam;\n1;A;note\n2;B;", (3,)),
        (f"1;A;{IBAN};;note\n2;B;;;", (5,)),
        ("nr;naam;\n1;A;\n", ()),
    ],
)
def test_what_cannot_be_placed_is_named(text: str, unused: tuple[str | int, ...]) -> None:
    found = read(text)
    assert found.unused == unused
    assert not found.taken


def test_of_an_account_in_the_ledger_and_one_at_the_bank_the_iban_counts() -> None:
    found = read(f"Nr;Naam;Rekening;IBAN\n1;A;1100;{IBAN}")
    assert (found.good[0].iban, found.unused) == (IBAN, ("Rekening",))


@pytest.mark.parametrize("written", ["31-10-25", "31/10/25", "31.10.25"])
def test_a_year_may_have_two_digits(written: str) -> None:
    assert read(f"code;naam;verwerkt\n1;A;{written}").good[0].through == date(2025, 10, 31)


@pytest.mark.parametrize(
    "text", ["1000;Kas;;", "1000;Kas", "1000;Rekening", "KAS;Kas\nMEM;Memo", "1;A;;2026-03-31\n2;B"]
)
def test_without_a_header_and_without_ibans_the_order_of_the_hint_counts(text: str) -> None:
    found = read(text)
    assert not found.bad
    assert [(each.code, each.name) for each in found.lines] == [
        tuple(line.split(";")[:2]) for line in text.splitlines()
    ]
    assert found.lines[0].through == (date(2026, 3, 31) if "2026" in text else None)


def test_a_journal_called_dagboek_is_code_or_name_as_the_other_column_says() -> None:
    assert read(f"Dagboek;Naam;IBAN\n1100;Bank;{IBAN}").lines[0].code == "1100"
    assert read(f"Code;Dagboek;IBAN\n1100;Bank;{IBAN}").lines[0].name == "Bank"


def test_an_unclosed_quote_spoils_no_other_line() -> None:
    found = read(f'code;naam;iban\n1100;"Bank;{IBAN}\n1110;Kas;')
    assert [(each.code, each.name) for each in found.good][-1] == ("1110", "Kas")


def test_an_audit_file_gives_its_bank_journals_and_how_far_they_are_done() -> None:
    found = file("journals.xaf")
    assert found.form == "xaf"
    first, second = found.lines
    assert (first.code, first.name, first.iban) == ("1100", "Bank Demobank", IBAN)
    assert first.through == date(2026, 3, 14)  # the newest day booked, not one still to come
    assert [each.code for each in second.problems] == ["iban_wrong"]
    assert read(second.source + f"\n1;A;{IBAN};").lines[0].name == "Spaarrekening"


def test_a_pasted_audit_file_is_read_like_an_uploaded_one() -> None:
    text = (DATA / "journals.xaf").read_text(encoding="utf-8")
    assert read(text.replace("UTF-8", "UTF-16")).lines == file("journals.xaf").lines


def test_a_hostile_audit_file_is_not_even_begun() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><auditfile>&x;</auditfile>'
    for source in (
        bomb,
        bomb.encode(),
        bomb.encode("utf-16"),
        b'<?xml version="1.0"?>\n' + bomb.encode(),
    ):
        assert refused(source) == ("hostile_xml", {})


def audit_file(*journals: str) -> str:
    account = "<ledgerAccount><accID>1100</accID><accDesc>Bank Demobank</accDesc></ledgerAccount>"
    return (
        f"<auditfile><company><generalLedger>{account}</generalLedger>"
        f"<transactions>{''.join(journals)}</transactions></company></auditfile>"
    )


def test_an_audit_file_that_never_says_which_journals_are_the_bank_s_offers_them_all() -> None:
    plain = "<journal><jrnID>1</jrnID><desc>A</desc></journal>"
    other = "<journal><jrnID>2</jrnID><desc>B</desc></journal>"
    assert [line.code for line in read(audit_file(plain, other)).lines] == ["1", "2"]
    bank = other.replace("</jrnID>", "</jrnID><jrnTp>B</jrnTp>")
    (line,) = read(audit_file(plain, bank)).lines
    assert (line.code, line.number) == ("2", 1)


def test_a_journal_without_a_name_has_that_of_its_ledger_account_and_days_may_have_a_zone() -> None:
    (line,) = read(
        audit_file(
            "<journal><jrnID>1</jrnID><jrnTp>B</jrnTp><offsetAccID>1100</offsetAccID>"
            "<transaction><trDt>2026-03-31Z</trDt></transaction>"
            "<transaction><trDt>2026-03-30+01:00</trDt></transaction></journal>"
        )
    ).lines
    assert (line.name, line.through) == ("Bank Demobank", date(2026, 3, 31))


def test_marks_nobody_sees_make_no_difference() -> None:
    found = read(f"sep=;\ncode;naam;iban\n1\u200b;A;\n1;B;\u202a{IBAN}\u202c")
    assert told(found) == {4: [("code_twice", {"line": 3})]}
    assert found.lines[1].iban == IBAN


GROWTH = """
import resource, sys
from datetime import date
from pathlib import Path
from banklink.statements.journals import read_journals
booking = "<transaction><trDt>2026-01-05</trDt><trLine><desc>x</desc></trLine></transaction>"
text = Path(sys.argv[1]).read_text(encoding="utf-8")
large = text.replace("</journal>", booking * 200_000 + "</journal>", 1).encode()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(read_journals(large, today=date(2026, 4, 2)).lines) == 2
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_year_of_bookings_is_not_kept_in_memory() -> None:
    """Measured in a process of its own: the parser's memory is not Python's."""
    arguments = [sys.executable, "-c", GROWTH, str(DATA / "journals.xaf")]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    assert int(ran.stdout) < 30_000  # kilobytes; the whole tree takes 130 MB


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"", "empty"),
        ("\ufeff \r\n", "empty"),
        ("code;naam;iban\n", "empty"),
        (b"%PDF-1.7", "unknown_format"),
        (b"PK\x03\x04xl/", "unknown_format"),
        ("<html><body>Hello</body></html>", "unknown_format"),
        ("<auditfile><company>", "malformed"),
        ("<auditfile></auditfile>", "no_journals"),
        ("iban;verwerkt\nNL85DEMO0417164300;", "column_missing"),
        ("just one line of words", "columns_unknown"),
        ("a;b;c\nd;e;f", "columns_unknown"),
        ("Id;Label\n1000;Kas", "columns_unknown"),  # a header in words nobody knows
        ("1000;Kas;2026-03-31", "columns_unknown"),
        ("Dear colleague, here they are\nregards, Piet", "columns_unknown"),
        (b"a;b\n" * 6_000_000, "too_large"),
    ],
)
def test_what_cannot_be_read_says_why(source: bytes | str, code: str) -> None:
    assert refused(source)[0] == code


def test_fifty_thousand_lines_are_refused_with_both_numbers() -> None:
    many = "code;naam\n" + "".join(f"{n};Bank {n}\n" for n in range(50_000))
    assert refused(many) == ("too_many_lines", {"lines": 50_001, "most": MAX_LINES})


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300),
        st.lists(
            st.sampled_from(
                ["code", ";", ",", "\t", "\n", '"', "naam", "iban", IBAN, "31-02-2026", "<", "\x00",
                 "<auditfile>", "<company>", "</", "&x;", "<?xml version='1.0' encoding='x'?>", "\u2028",
                 "2026-03-31", "\ud800", "٣", "9" * 40, "<transactions><journal><jrnTp>B</jrnTp></journal>"]
            ),
            max_size=40,
        ).map("".join),
    )
)  # fmt: skip
def test_nothing_but_the_reader_s_own_error_ever_leaves(source: bytes | str) -> None:
    with contextlib.suppress(JournalsError):
        assert read(source).lines
