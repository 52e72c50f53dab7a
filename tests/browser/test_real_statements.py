"""Statement files of a bank, loaded into the embedded app, come out as they went in: same number,
same sum; and half a year later, after a lapse, nothing is missing and nothing is there twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.people import (
    Person,
    at_the_bank,
    complete,
    gap_of,
    iban,
    in_the_books,
    person,
)
from tests.support.browser import open_context
from tests.support.house import TestHouse

HOLDER = "amira@kapsalonamira.example"

Line = tuple[int, str, str, str]
LINES: tuple[Line, ...] = (
    (0, "1250.00", "Bouwbedrijf De Linde", "Factuur 2026-014"),
    (1, "-17.50", "Kantoorboekhandel Inkt", "Pasbetaling 08:12"),
    (1, "-17.50", "Kantoorboekhandel Inkt", "Pasbetaling 08:12"),
    (3, "-0.01", "Verrekening", "Afronding"),
    (9, "4312.77", "Stichting Dorpshuis Noord", "Fact. 2026-015 / 2026-016"),
    (17, "-863.99", "Belastingdienst", "Omzetbelasting"),
    (30, "99.95", "Hotel Havenzicht", "Bestelling 7781 café"),
)
"""Days after the first; amount; who; what. Two equal card payments on one day are two."""


def _total(lines: tuple[Line, ...]) -> Decimal:
    return sum((Decimal(amount) for _, amount, _, _ in lines), Decimal(0))


def mt940(account: str, first: date, lines: tuple[Line, ...] = LINES) -> bytes:
    opening, running = Decimal("1000.00"), Decimal("1000.00")

    def comma(amount: Decimal) -> str:
        return f"{abs(amount):.2f}".replace(".", ",")

    out = [":20:STARTUMSE", f":25:{account} EUR", ":28C:00001/001"]
    out.append(f":60F:C{first:%y%m%d}EUR{comma(opening)}")
    for days, amount, who, what in lines:
        day, value = first + timedelta(days=days), Decimal(amount)
        running += value
        mark = "C" if value > 0 else "D"
        out.append(f":61:{day:%y%m%d}{day:%m%d}{mark}{comma(value)}NTRFNONREF")
        out.append(f":86:/TRTP/SEPA OVERBOEKING/NAME/{who}/REMI/{what}/EREF/NOTPROVIDED")
    last = first + timedelta(days=lines[-1][0])
    mark = "C" if running >= 0 else "D"
    out.append(f":62F:{mark}{last:%y%m%d}EUR{comma(running)}")
    return ("\r\n".join(out) + "\r\n-\r\n").encode("ascii", "replace")


def camt053(account: str, first: date, lines: tuple[Line, ...] = LINES) -> bytes:
    entries = []
    for number, (days, amount, who, what) in enumerate(lines):
        day, value = first + timedelta(days=days), Decimal(amount)
        party = "Dbtr" if value > 0 else "Cdtr"
        entries.append(
            f'<Ntry><Amt Ccy="EUR">{abs(value):.2f}</Amt>'
            f"<CdtDbtInd>{'CRDT' if value > 0 else 'DBIT'}</CdtDbtInd><Sts>BOOK</Sts>"
            f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"
            f"<AcctSvcrRef>REF{number}</AcctSvcrRef><BkTxCd><Prtry><Cd>541</Cd></Prtry></BkTxCd>"
            f"<NtryDtls><TxDtls><RltdPties><{party}><Nm>{who}</Nm></{party}></RltdPties>"
            f"<RmtInf><Ustrd>{what}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )
    last = first + timedelta(days=lines[-1][0])

    def balance(kind: str, amount: Decimal, day: date) -> str:
        return (
            f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
            f'<Amt Ccy="EUR">{amount:.2f}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
            f"<Dt><Dt>{day}</Dt></Dt></Bal>"
        )

    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>'
        "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-01T00:00:00</CreDtTm></GrpHdr><Stmt><Id>S1</Id>"
        "<CreDtTm>2026-11-01T00:00:00</CreDtTm>"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>EUR</Ccy><Ownr><Nm>Kapsalon Amira</Nm></Ownr>"
        "<Svcr><FinInstnId><BIC>XMLBNL2A</BIC><Nm>Xmlbank</Nm></FinInstnId></Svcr></Acct>"
        + balance("OPBD", Decimal("1000.00"), first)
        + balance("CLBD", Decimal("1000.00") + _total(lines), last)
        + "".join(entries)
        + "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


WRITERS = {"mt940": mt940, "camt053": camt053}
ACCOUNTS = {"mt940": iban(940001, "SWFT"), "camt053": iban(53001, "XMLB")}


@pytest.fixture(scope="module")
def house(own_house: TestHouse) -> TestHouse:
    return own_house


@pytest.fixture(scope="module")
def hands(browser: Browser, house: TestHouse) -> Iterator[Person]:
    with open_context(browser) as watched:
        hands = person(house, watched)
        hands.sign_in_as(HOLDER)
        yield hands


def _summary(hands: Person, account: str) -> str:
    hands.home()
    hands.choose(account, "details")
    hands.press(hands.row(account).locator('tr.panel [data-action="transactions"]'))
    count, total = (
        hands.page.locator(f".sums .{each} b").inner_text() for each in ("count", "net")
    )
    hands.home()
    return f"{count}, samen {total}".replace("\u00a0", " ")


@pytest.mark.parametrize("kind", WRITERS)
def test_what_the_file_says_is_what_the_books_get(
    hands: Person, house: TestHouse, tmp_path: Path, kind: str
) -> None:
    account = ACCOUNTS[kind]
    first = house.at().today - timedelta(days=60)
    file = tmp_path / f"afschrift.{kind}"
    file.write_bytes(WRITERS[kind](account, first))
    (report,) = house.simulator.load([file], holder=HOLDER)
    assert (report.iban, report.count, report.total) == (account, 7, _total(LINES))

    hands.add_journal(f"5{kind}", f"Bank {kind}", account)
    hands.grant(account, account)
    hands.choose(account, "activate")
    start = hands.form(account).locator('[name="start"]')
    start.fill(first.isoformat())
    expect(hands.form(account).locator(".preview")).to_contain_text("7 mutaties t/m vandaag")
    hands.submit(account)
    hands.shows(account, "r6")

    assert _summary(hands, account) == "7 mutaties, samen € 4.763,72"
    complete(house, hands.administration_id, account)
    assert len(in_the_books(house, hands.administration_id, account)[1]) == len(LINES)


def test_half_a_year_later_a_renewal_brings_every_day_between_and_none_twice(
    hands: Person, house: TestHouse
) -> None:
    accounts = list(ACCOUNTS.values())
    lapsed_at = house.at().today
    hands.days_pass(181)
    hands.home()
    for account in accounts:
        row = hands.shows(account, "r4")
        expect(row.locator(".chip")).to_have_text("Verlopen")
    for account in accounts:
        if hands.row(account).get_attribute("data-key") == "r4":
            hands.leave(account, "renew")
        hands.shows(account, "r6")
        complete(house, hands.administration_id, account)
        _, books = in_the_books(house, hands.administration_id, account)
        between = [row for row in books if row[0] > lapsed_at]
        assert between == at_the_bank(
            house, account, lapsed_at + timedelta(days=1), house.at().today
        )
        assert len(between) > 50
        assert len({row[0] for row in between}) > 50, "days all over the half year"
        assert gap_of(house, hands.administration_id, account) == (None, None)
        expect(hands.row(account).locator(".overlay-possible_gap")).to_have_count(0)
        count = len(books)
        assert re.match(rf"{count} mutaties, samen ", _summary(hands, account))


def test_the_command_fills_a_bank_while_the_house_is_open(
    hands: Person, house: TestHouse, tmp_path: Path
) -> None:
    """`banklink simulator load`: then the page alone is enough to see the same number and sum."""
    account = iban(940002, "SWFT")
    first = house.at().today - timedelta(days=50)
    file = tmp_path / "export.sta"
    file.write_bytes(mt940(account, first))
    done = _load(house.parts.settings.data, file, "--holder", HOLDER)
    assert done.returncode == 0, done.stderr
    said = done.stdout.replace("\u00a0", " ")
    assert f"export.sta: 7 mutaties, samen € 4.763,72, op {account}" in said
    again = _load(house.parts.settings.data, file, "--holder", HOLDER)
    assert "Stonden er al en zijn niet opnieuw toegevoegd: 7." in again.stdout

    hands.add_journal("600", "Bank opdracht", account)
    hands.grant(account, account)
    hands.choose(account, "activate")
    hands.form(account).locator('[name="start"]').fill(first.isoformat())
    hands.submit(account)
    hands.shows(account, "r6")
    assert _summary(hands, account) == "7 mutaties, samen € 4.763,72"
    complete(house, hands.administration_id, account)


def _load(data: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "banklink.cli", "simulator", "load", str(file), *options],
        env={**os.environ, "BANKLINK_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_file_that_breaks_off_loads_nothing_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "half.sta"
    file.write_bytes(mt940(iban(940003, "SWFT"), date(2026, 9, 1))[:180])
    done = _load(tmp_path / "data", file)
    assert done.returncode != 0
    assert str(file) in done.stderr
    assert "niets geladen" in done.stderr or "niet te lezen" in done.stderr
    assert "Traceback" not in done.stderr
