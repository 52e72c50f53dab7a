"""What goes out is what came in: valid for the official schema, and the same for other readers."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.money import to_decimal
from banklink.statements import read_statements
from banklink.statements.export import FORMATS, DoesNotFit, write
from banklink.statements.export_mt940 import fitted
from banklink.statements.outgoing import Entry, plain
from tests.statements import DATA
from tests.support.outgoing import CAMT, by_strangers, entry, of_statement, outgoing, read, written

FILES = sorted(each for each in DATA.iterdir() if each.is_file())
HEAD = [str(number) for number in range(12)]
SWIFT = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]*")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("name", [*CAMT, "mt940"])
def test_a_statement_of_a_bank_comes_out_as_it_went_in(path: Path, name: str) -> None:
    for before in read_statements(path):
        after = read(written(name, of_statement(before)))
        found = [each for statement in after for each in statement.bookings]
        wanted = sorted(before.bookings, key=lambda each: each.booked_on)
        assert {each.account_reference for each in after} == {before.account_reference}
        assert {each.currency for each in after} == {before.currency}
        assert len(found) == len(wanted)
        for was, now in zip(wanted, found, strict=True):
            assert (now.booked_on, now.amount) == (was.booked_on, was.amount)
            assert now.value_on == (was.value_on or was.booked_on)
            fit = fitted if name == "mt940" else plain
            assert now.counterparty_name == (fit(was.counterparty_name) or None)
            if name != "mt940":
                assert now.counterparty_account == was.counterparty_account
                assert now.remittance == fit(was.remittance)
                assert (now.end_to_end_id or "") == fit(was.end_to_end_id)[:35]
        stated = {b.kind.removeprefix("intermediate_"): b.amount for b in before.balances}
        if "opening" in stated and "closing" in stated:
            total = sum((each.amount for each in before.bookings), Decimal(0))
            if stated["opening"] + total == stated["closing"]:
                assert after[-1].balances[-1].amount == stated["closing"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_mt940_says_the_same_to_another_reader(path: Path) -> None:
    for before in read_statements(path):
        data = written("mt940", of_statement(before))
        own = read(data)
        assert by_strangers(data) == [
            (
                statement.balances[0].amount,
                [each.amount for each in statement.bookings],
                statement.balances[-1].amount,
            )
            for statement in own
        ]


# -- whatever is in it --------------------------------------------------------------------------

ODD = st.one_of(
    st.text(max_size=400),
    st.text("\x00\t\r\n -:/?é€ß&<>]\"'{}=+@ABEFIMNORV\u2028\ufffe\U0001f600", max_size=400),
    st.lists(st.sampled_from(["/REMI/", "/NAME/", "/EREF/x", ":86:", ":61:", "-", "-}", "USTD//"]))
    .map(" ".join),
)  # fmt: skip
ENTRIES = st.lists(
    st.builds(
        Entry,
        reference=st.integers(1, 10**18).map(str),
        booked_on=st.dates(date(2026, 1, 1), date(2026, 1, 4)),
        value_on=st.none() | st.dates(date(2024, 1, 1), date(2028, 1, 1)),
        amount=st.integers(-(10**13), 10**13),
        name=st.none() | ODD,
        account=st.none() | ODD | st.just("NL85DEMO0417164300"),
        text=ODD,
        end_to_end_id=st.none() | ODD,
        reversal=st.booleans(),
    ),
    max_size=6,
).map(lambda entries: sorted(entries, key=lambda each: each.booked_on))
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])
OPENINGS = st.integers(-(10**13), 10**13)


def expected(entries: list[Entry], currency: str) -> list[tuple[date, Decimal]]:
    return [(each.booked_on, to_decimal(each.amount, currency)) for each in entries]


@pytest.mark.parametrize("name", CAMT)
@settings(deadline=None)
@given(entries=ENTRIES, currency=CURRENCIES, opening=OPENINGS, remark=ODD)
def test_camt_is_valid_and_complete_whatever_is_in_it(
    name: str, entries: list[Entry], currency: str, opening: int, remark: str
) -> None:
    data = written(
        name, outgoing(entries, opening=opening, currency=currency, remarks=[remark, remark])
    )
    statements = read(data)
    found = [each for statement in statements for each in statement.bookings]
    assert [(each.booked_on, each.amount) for each in found] == expected(entries, currency)
    assert [each.counterparty_name or "" for each in found] == [
        plain(each.name)[:140].rstrip() for each in entries
    ]
    bare = [each.remittance.replace(" ", "") for each in found]
    assert bare == [plain(each.text).replace(" ", "") for each in entries]


@settings(deadline=None)
@given(entries=ENTRIES, currency=CURRENCIES, opening=OPENINGS, remark=ODD)
def test_mt940_fits_swift_and_is_complete_whatever_is_in_it(
    entries: list[Entry], currency: str, opening: int, remark: str
) -> None:
    data = written("mt940", outgoing(entries, opening=opening, currency=currency, remarks=[remark]))
    found = [each for statement in read(data) for each in statement.bookings]
    assert [(each.booked_on, each.amount) for each in found] == expected(entries, currency)
    assert [amount for _o, amounts, _c in by_strangers(data) for amount in amounts] == [
        to_decimal(each.amount, currency) for each in entries
    ]
    for line in data.decode("ascii").split("\r\n"):
        tag, text = re.fullmatch(r"(:\d\d[A-Z]?:)?(.*)", line).groups()  # type: ignore[union-attr]
        assert len(text) <= 65 and SWIFT.fullmatch(text), line
        assert tag or line in ("-", "") or not line.startswith((":", "-")), line
    for details in re.findall(r":86:(?:[^:\r]|\r\n(?![:-])|(?<!\n):)*", data.decode("ascii")):
        assert details.rstrip().count("\r\n") < 6


WORDS = st.lists(st.text("abXY09-:.,'+", min_size=1, max_size=14), min_size=1, max_size=40)


@settings(deadline=None, max_examples=300)
@given(words=WORDS, name=st.none() | st.just("Koffiebar De Hoek"))
def test_a_text_that_fits_in_mt940_loses_no_letter_at_the_end_of_a_line(
    words: list[str], name: str | None
) -> None:
    text = re.sub("([-:])[-:]+", r"\1", " ".join(words))[:300].strip()
    data = written("mt940", outgoing([entry(-1, name=name, text=text)]))
    ((only,),) = (each.bookings for each in read(data))
    assert (only.remittance, only.counterparty_name) == (text, name)


@settings(deadline=None)
@given(entries=ENTRIES, opening=OPENINGS)
def test_a_sheet_holds_numbers_and_texts_and_nothing_that_runs(
    entries: list[Entry], opening: int
) -> None:
    data = written("csv", outgoing(entries, opening=opening, head=HEAD))
    lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert lines.pop(0) == HEAD and len(lines) == len(entries)
    balance = opening
    for line, each in zip(lines, entries, strict=True):
        balance += each.amount
        assert Decimal(line[5].replace(",", ".")) * 100 == each.amount
        assert Decimal(line[6].replace(",", ".")) * 100 == balance
        for place in (0, 1, 7, 8, 9, 10):
            assert not line[place].startswith(tuple("=+-@\t\r\n\0"))
        assert line[9] in (plain(each.text), "'" + plain(each.text))


@pytest.mark.parametrize(
    "text", ["=1+1", "+31612345678", "-2+3", "@SUM(A1)", "\t=1", "\0=1", "＝1"]
)
def test_a_formula_in_a_name_is_a_text(text: str) -> None:
    data = written("csv", outgoing([entry(-1250, name=text, text=text)], head=HEAD)).decode()
    assert ";-12,50;" in data
    assert f";'{plain(text)};" in data


# -- what a format cannot carry -----------------------------------------------------------------


@pytest.mark.parametrize("name", [*CAMT, "mt940"])
def test_an_amount_that_is_too_long_is_refused_before_anything_is_written(name: str) -> None:
    most = FORMATS[name].most
    assert most is not None
    read(written(name, outgoing([entry(most)], largest=most)))
    with pytest.raises(DoesNotFit):
        write(name, outgoing([entry(most + 1)], largest=most + 1))
    written("csv", outgoing([entry(most + 1)], largest=most + 1))


def test_a_statement_without_entries_says_that_nothing_moved() -> None:
    for name in (*CAMT, "mt940"):
        (only,) = read(written(name, outgoing([], opening=-1999)))
        assert [each.amount for each in only.balances] == [Decimal("-19.99")] * 2
    assert written("csv", outgoing([], head=["a", "b"])).decode("utf-8-sig") == "a;b\r\n"


@pytest.mark.parametrize(
    ("currency", "said", "shown"), [("JPY", b"C1250,", "1250"), ("KWD", b"C1,250", "1.250")]
)
def test_currencies_with_no_or_three_decimals(currency: str, said: bytes, shown: str) -> None:
    for name in CAMT:
        assert f">{shown}</Amt>".encode() in written(
            name, outgoing([entry(1250)], currency=currency)
        )
    assert said + b"NMSC" in written("mt940", outgoing([entry(1250)], currency=currency))


def test_numbers_go_on_and_the_words_about_the_whole_stand_in_the_last() -> None:
    day = date(2026, 10, 30)
    entries = [entry(n, number=n, booked_on=day + timedelta(days=n)) for n in range(1, 4)]
    for name in CAMT:
        text = written(name, outgoing(entries, first=22, remarks=["Ontbreekt: 3 okt."])).decode()
        assert re.findall("<ElctrncSeqNb>(.*?)</", text) == ["22", "23", "24"]
        assert text.rindex("<AddtlStmtInf>") > text.rindex("<ElctrncSeqNb>")
        assert text.count("Ontbreekt") == 1
    text = written("mt940", outgoing(entries, first=22, remarks=["Ontbreekt: 3 okt."])).decode()
    assert re.findall(r":28C:(.*)/1\r", text) == ["22", "23", "24"]
    assert re.search(r":62F:\S+\r\n:86:Ontbreekt: 3 okt\.\r\n-\r\n\Z", text)


def test_a_day_of_booking_is_kept_when_the_value_day_is_of_another_year() -> None:
    booked = date(2026, 12, 10)
    for value in (date(2025, 1, 1), date(2026, 12, 31), date(2027, 1, 2), date(2028, 2, 29)):
        data = written("mt940", outgoing([entry(1, booked_on=booked, value_on=value)]))
        assert read(data)[0].bookings[0].booked_on == booked


def test_what_is_taken_back_goes_the_other_way_and_names_the_same_people() -> None:
    back = entry(1250, name="Koffiebar", text="Teruggenomen: Koffie", reversal=True)
    for name in (*CAMT, "mt940"):
        data = written(name, outgoing([back]))
        ((only,),) = (each.bookings for each in read(data))
        assert (only.amount, only.counterparty_name) == (Decimal("12.50"), "Koffiebar")
        role = b"/BENM//NAME/Koffiebar" if name == "mt940" else b"<Cdtr>"
        assert role in data
