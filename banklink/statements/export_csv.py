"""Writes entries as a sheet: a line for each, with the statement it is in and the balance after it.
Amounts are numbers; a text that a spreadsheet would take for a formula is told to be a text."""

from __future__ import annotations

from collections.abc import Iterator

from banklink.statements.outgoing import PIECE, Outgoing, decimals, plain
from banklink.statements.sheet import Cell, Figure, sheet


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
        for each in part.entries:
            balance += each.amount
            block.append(
                (
                    outgoing.account,
                    outgoing.currency,
                    part.number,
                    each.booked_on,
                    each.value_on,
                    figure(each.amount),
                    figure(balance) if outgoing.known else None,
                    plain(each.name),
                    each.account,
                    plain(each.text),
                    plain(each.end_to_end_id),
                    each.reference,
                )
            )
            if len(block) >= PIECE:
                yield block
                block = []
    if block:
        yield block
