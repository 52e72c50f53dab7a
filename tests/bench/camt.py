"""camt.053 of a hundred thousand entries."""

from __future__ import annotations

from tests.bench.results import Result


def measure() -> list[Result]:
    return []
