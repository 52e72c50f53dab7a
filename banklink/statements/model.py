"""The values a statement file yields, and the one error it can raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Booking:
    """One booked entry. `amount` is signed: money in is positive, money out negative. `line` is
    where it stands in the file, from 1; it says nothing of the booking."""

    booked_on: date
    value_on: date | None
    amount: Decimal
    currency: str
    counterparty_name: str | None
    counterparty_account: str | None
    remittance: str
    bank_reference: str | None
    end_to_end_id: str | None
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance as the bank states it, even where the bookings do not add up to it.

    `kind` is opening, closing, intermediate_opening, intermediate_closing, available or forward.
    """

    kind: str
    amount: Decimal
    currency: str
    on: date


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of one account; a file may hold several, also of several accounts.

    `account_reference` is an IBAN or whatever older number the bank writes, without spaces; empty
    where the file does not say whose it is. `period`: the first and last day it is about, where it
    says so. `name`: what the bank calls this statement, a number mostly.
    """

    account_reference: str
    currency: str
    holder_name: str | None
    bank_name: str | None
    bookings: tuple[Booking, ...]
    balances: tuple[Balance, ...]
    period: tuple[date, date] | None = None
    name: str = ""


class StatementError(ValueError):
    """A file that cannot be read as bank statements, as a code and parameters.

    The sentence for people is made elsewhere. Text of the file or of a parser's exception is
    never carried along, except the name of a field and the number of a line.

    | code             | params                        | meaning                                 |
    |------------------|-------------------------------|-----------------------------------------|
    | `unreadable`     |                               | no such file, or no permission          |
    | `empty`          |                               | nothing in it                           |
    | `too_large`      | `max_bytes`                   | more than the caller allows             |
    | `unknown_format` | `looks_like` (see `sniff.py`) | neither MT940 nor camt.053              |
    | `truncated`      | `statement`, counted from 1   | the end is missing                      |
    | `malformed`      | `field`, `line`, maybe        | a field that is missing or does not     |
    |                  | `statement`                   | follow the format                       |
    | `hostile_xml`    |                               | XML with a document type declaration    |
    | `no_statement`   |                               | a camt.053 without statements           |
    | `no_bookings`    |                               | a table without lines under its titles  |
    | `columns_unknown`|                               | a table, and no telling which column is |
    |                  |                               | what: a person has to say it            |
    | `column_wrong`   | `column`, `line`, `text`      | a cell that is no date or no amount     |
    | `cut_line`       | `line`                        | a table whose last line breaks off      |
    | `quote_open`     | `line`                        | a quote in a table that swallows lines  |
    | `cells_many`     | `line`                        | a row with more cells than columns      |
    """

    def __init__(self, code: str, **params: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.params: dict[str, str | int] = params

    def __str__(self) -> str:
        return " ".join([self.code, *(f"{key}={value}" for key, value in self.params.items())])
