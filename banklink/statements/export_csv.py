"""Writes entries as a sheet: a line for each, with the statement it is in and the balance after it.
Amounts are numbers; a text that a spreadsheet would take for a formula, or for a number of which it
keeps the first fifteen digits, is told to be a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from banklink.statements.outgoing import Outgoing, decimals, plain
from banklink.statements.sheet import Cell, Figure, sheet

_BATCH = 400
_LONG = re.compile(r"[0-9]{12,}")


def pieces(outgoing: Outgoing) -> Iterator[str]:
    """The columns: account, currency, statement, booking day, value day, amount, balance after it,
    counterparty, their account, description, their reference, our number."""
    return sheet(outgoing.head, _blocks(outgoing))


def _blocks(outgoing: Outgoing) -> Iterator[list[tuple[Cell, ...]]]:
    amount = decimals(outgoing.currency, outgoing.mark)

    def figure(minor: int) -> Figure:
        return Figure(amount(minor) if minor >= 0 else f"-{amount(-minor)}")

    block: list[tuple[Cell, ...]] = []
    for part in outgoing.parts:
        balance = part.opening
        for entry in part.entries:
            reference, booked_on, value_on, minor, name, account, text, end_to_end, _back = entry
            balance += minor
            block.append(
                (
                    outgoing.account,
                    outgoing.currency,
                    part.number,
                    booked_on,
                    value_on,
                    figure(minor),
                    figure(balance) if outgoing.known else None,
                    _whole(name),
                    _whole(account),
                    _whole(text),
                    _whole(end_to_end),
                    reference,
                )
            )
            if len(block) >= _BATCH:
                yield block
                block = []
    if block:
        yield block


def _whole(text: str | None) -> str:
    """Of a long number a spreadsheet keeps what fits into a figure, and a payment's reference is
    then another one."""
    said = plain(text)
    return f"'{said}" if _LONG.fullmatch(said) else said
