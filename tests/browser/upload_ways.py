"""Ways to what is seen around an uploaded statement, for the catalogue of screens."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import expect
from sqlalchemy import select

from banklink.examples import EXAMPLES
from banklink.store.models import Connection, Transaction
from tests.browser.people import Person
from tests.support.house import TestHouse
from tests.support.statements import Line, mt940

_IBANS = {each.name: each.iban for each in EXAMPLES}
_OWN_TABLE = (
    "Wanneer;Omschrijving van de mutatie;Hoeveel;Wie\n"
    "{0:%d/%m/%Y};Koffie en een broodje, met de pas betaald bij de balie;-2,50;Bar\n"
    "{0:%d/%m/%Y};Factuur 2026-014;1.002,50;Stichting Dorpshuis Noord\n"
)


def _connection(house: TestHouse, example: str) -> Connection:
    with house.services.store.read() as session:
        found: Connection = session.scalars(
            select(Connection).where(Connection.iban == _IBANS[example])
        ).one()
        return found


def opened(hands: Person, example: str) -> str:
    connection = _connection(hands.house, example)
    hands.page.goto(f"{hands.house.origin}/connections/{connection.id}/upload")
    expect(hands.page.locator("main h1")).to_be_visible()
    return connection.iban


def send(hands: Person, name: str, content: bytes) -> None:
    page = hands.page
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    page.locator("#page-form-submit").click()


def page(hands: Person) -> None:
    opened(hands, "gap")


def refused(hands: Person) -> None:
    opened(hands, "gap")
    send(hands, "afschrift.pdf", b"%PDF-1.7")
    expect(hands.page.locator("p.error")).to_be_visible()


def elsewhere(hands: Person) -> None:
    """Of another account in these books: with the way there."""
    opened(hands, "gap")
    other = _connection(hands.house, "active").iban
    send(hands, "ander.sta", mt940(other, [], opening=(hands.house.at().today, "1.00")))
    expect(hands.page.locator(".ways-on a")).to_be_visible()


def gap_file(hands: Person) -> bytes:
    """The missing days, what is there already in other words, and what is new on a known day; and
    it does not add up."""
    house = hands.house
    connection = _connection(house, "gap")
    first = connection.gap_from or house.at().today - timedelta(days=200)
    last = connection.gap_to or first + timedelta(days=30)
    lines: list[Line] = [
        (first + timedelta(days=n % 9), "-12.50" if n % 3 else "1250.00", who, f"Factuur {n}")
        for n in range(60)
        for who in ("Bouwbedrijf Van den Heuvel-Oosterbaan & Zonen",)
    ]
    with house.services.store.read() as session:
        known = session.execute(
            select(Transaction.booked_on, Transaction.amount)
            .where(Transaction.connection_id == connection.id, Transaction.booked_on > last)
            .order_by(Transaction.booked_on)
            .limit(2)
        ).all()
    lines += [(day, f"{amount / 100:.2f}", "Tankstation", "Diesel") for day, amount in known]
    lines.append((known[0][0], "-77.77", "Nieuwe leverancier", "Nog nooit gezien"))
    return mt940(
        connection.iban, lines, opening=(first - timedelta(days=1), "100.00"),
        closing=(last, "99.00"), number="00042",
    )  # fmt: skip


def looked(hands: Person) -> None:
    opened(hands, "gap")
    send(hands, "oktober.sta", gap_file(hands))
    expect(hands.page.locator("table.doubtful")).to_be_visible()


def days_wrong(hands: Person) -> None:
    looked(hands)
    hands.page.locator("#first").fill(hands.house.at().today.isoformat())
    hands.page.locator("#confirm").click()
    expect(hands.page.locator("#days-error")).to_be_visible()


def columns(hands: Person) -> None:
    opened(hands, "gap")
    day = hands.house.at().today - timedelta(days=3)
    send(hands, "eigen.csv", _OWN_TABLE.format(day).encode())
    if hands.page.locator("#page-form-field-column_booked").count() == 0:
        raise AssertionError("the columns of this table are not known")


def columns_again(hands: Person) -> None:
    """From what a file would bring, to put a column right. It waits there when it was given before,
    so it is another one than that of `columns`."""
    opened(hands, "gap")
    day = hands.house.at().today - timedelta(days=4)
    send(hands, "eigen-2.csv", _OWN_TABLE.format(day).encode())
    for name, place in (("booked", "0"), ("amount", "2"), ("description", "1")):
        hands.page.locator(f"#page-form-field-column_{name}").select_option(place)
    hands.page.locator("#page-form-submit").click()
    hands.page.locator("#columns").click()
    expect(hands.page.locator("#page-form-field-column_amount")).to_have_value("2")


def columns_wrong(hands: Person) -> None:
    columns(hands)
    hands.page.locator("#page-form-field-column_amount").select_option("1")
    hands.page.locator("#page-form-submit").click()
    expect(hands.page.locator("p.error")).to_be_visible()


def done(hands: Person) -> None:
    """A file of one booking, taken in."""
    account = opened(hands, "active")
    day = hands.house.at().today - timedelta(days=2)
    lines: list[Line] = [(day, "-1.00", "Bar", "Koffie")]
    send(hands, "november.sta", mt940(account, lines, opening=(day - timedelta(days=1), "5.00")))
    address = hands.page.url
    hands.page.locator("#confirm").click()
    expect(hands.page.locator("main h1")).to_be_visible()
    hands.page.goto(address)
    expect(hands.page.locator("#undo")).to_be_visible()
