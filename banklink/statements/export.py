"""Writes statement files, piece by piece: camt.053.001.02 and .08, MT940, and a sheet (CSV).

    for piece in write("mt940", outgoing): ...

Texts are made to fit each format; what a format cannot carry at all (an amount longer than it has
room for) raises `DoesNotFit` before the first piece. Nothing is held but the piece being made, so
a file may be of any length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from banklink.statements import export_camt053, export_csv, export_mt940
from banklink.statements.outgoing import Outgoing


class DoesNotFit(ValueError):
    """An amount, a balance or a sum has more digits than the format has room for."""


@dataclass(frozen=True, slots=True)
class Format:
    """`most`: the largest number of minor units that can be written; None: any."""

    suffix: str
    mimetype: str
    charset: str
    most: int | None
    write: Callable[[Outgoing], Iterator[str]]


def write(name: str, outgoing: Outgoing) -> Iterator[bytes]:
    """The file in this format. Raises DoesNotFit, at once."""
    found = FORMATS[name]
    if found.most is not None and outgoing.largest > found.most:
        raise DoesNotFit(name)
    return (piece.encode(found.charset) for piece in found.write(outgoing))


FORMATS: dict[str, Format] = {
    "camt.053.001.02": Format("xml", "application/xml", "utf-8", 10**18 - 1, export_camt053.v02),
    "camt.053.001.08": Format("xml", "application/xml", "utf-8", 10**18 - 1, export_camt053.v08),
    "mt940": Format("sta", "text/plain", "ascii", 10**14 - 1, export_mt940.pieces),
    "csv": Format("csv", "text/csv", "utf-8", None, export_csv.pieces),
}
