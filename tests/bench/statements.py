"""camt.053 of a long account: entries per second against f-strings straight to a file, and how much
memory it takes beyond what was in use before."""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

import app as composition
from banklink.actions.export import file_of
from banklink.store.models import Export, Transaction
from tests.support.house import settings_for
from tests.support.ledger import WORDS, Ledger, ledger

ENTRIES = int(os.environ.get("BENCH_ENTRIES", "100000"))
LONG = int(os.environ.get("BENCH_ENTRIES_LONG", "400000"))
_BEGIN = date(2024, 1, 1)
_DAYS = 700
Row = tuple[int, date, date, int, str, str, str, str]


def camt() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        parts = composition.build(settings_for(Path(folder)))
        try:
            return _measured(parts.services, Path(folder))
        finally:
            parts.services.store.engine.dispose()
            parts.simulator.extensions["simulator"].close()  # type: ignore[union-attr]


def _measured(services: Any, folder: Path) -> list[dict[str, Any]]:
    books = ledger(services)
    _fill(books, range(ENTRIES))
    export = books.new()
    rows = list(_rows(range(ENTRIES)))
    ours, floor = [], []
    for _ in range(5):
        floor.append(_seconds(lambda: _floor(rows, folder / "floor.xml")))
        ours.append(_seconds(lambda: _ours(services, export, folder / "ours.xml")))
    rate = [ENTRIES / statistics.median(each) for each in (ours, floor)]
    found = [_result("camt.053", *rate, "entries/s", rate[0] / rate[1], ">= 0.3", low=0.3)]
    rows.clear()
    for length in (ENTRIES, LONG):
        if length > ENTRIES:
            _fill(books, range(ENTRIES, length))
            export = books.period(_BEGIN, _BEGIN + timedelta(days=_DAYS), "csv")
        idle, peak = _memory(services, export)
        found.append(
            _result(
                f"camt.053 memory {length}", peak, idle, "MB PSS", peak - idle, "<= +30", high=30
            )
        )
    return found


def _result(
    name: str,
    ours: float,
    floor: float,
    unit: str,
    ratio: float,
    target: str,
    *,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, Any]:
    met = (low is None or ratio >= low) and (high is None or ratio <= high)
    return {
        "name": name,
        "ours": round(ours, 1),
        "floor": round(floor, 1),
        "unit": unit,
        "ratio": round(ratio, 2),
        "target": target,
        "met": met,
    }


def _rows(numbers: range) -> Iterator[Row]:
    for n in numbers:
        day = _BEGIN + timedelta(days=n * _DAYS // LONG if n >= ENTRIES else n * 600 // ENTRIES)
        yield (
            n + 1,
            day,
            day,
            n % 2000 - 1000,
            f"Klant {n % 5000} & Zoon",
            f"NL{n % 90 + 10}BANK{n % 10**6:010d}",
            f"Factuur {n} van de levering aan de klant in oktober",
            f"E2E-{n}",
        )


def _fill(books: Ledger, numbers: range) -> None:
    names = ("booked_on", "value_on", "amount", "counterparty_name", "counterparty_iban")
    names += ("remittance", "end_to_end_id")
    with books.services.store.write() as session:
        rows: list[dict[str, Any]] = []
        for n, *values in _rows(numbers):
            rows.append(
                dict(zip(names, values, strict=True))
                | {
                    "connection_id": books.connection,
                    "run_id": books.run,
                    "scope": "bench",
                    "source_id": str(n),
                    "fingerprint": str(n),
                    "currency": "EUR",
                }
            )
            if len(rows) == 10_000:
                session.execute(insert(Transaction), rows)
                rows.clear()
        if rows:
            session.execute(insert(Transaction), rows)
        books._days(session)


def _seconds(work: Callable[[], None]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ours(services: Any, export: Export, path: Path) -> None:
    with path.open("wb") as file:
        for piece in file_of(services.store, export, "camt.053.001.02", WORDS):
            file.write(piece)


def _floor(rows: list[Row], path: Path) -> None:
    """The same elements of rows that lie ready, nothing looked at and nothing escaped."""
    with path.open("w", encoding="utf-8") as file:
        for n, booked, value, minor, name, iban, text, reference in rows:
            file.write(
                f'<Ntry><NtryRef>{n}</NtryRef><Amt Ccy="EUR">{abs(minor) / 100:.2f}</Amt>'
                f"<CdtDbtInd>{'CRDT' if minor >= 0 else 'DBIT'}</CdtDbtInd><Sts>BOOK</Sts>"
                f"<BookgDt><Dt>{booked}</Dt></BookgDt><ValDt><Dt>{value}</Dt></ValDt>"
                f"<AcctSvcrRef>{n}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>NTAV</Cd>"
                "<SubFmlyCd>NTAV</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls><TxDtls><Refs>"
                f"<EndToEndId>{reference}</EndToEndId></Refs><RltdPties><Dbtr><Nm>{name}</Nm></Dbtr>"
                f"<DbtrAcct><Id><IBAN>{iban}</IBAN></Id></DbtrAcct></RltdPties><RmtInf><Ustrd>{text}"
                "</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n"
            )


def _memory(services: Any, export: Export) -> tuple[float, float]:
    gc.collect()
    idle = peak = _pss()
    pieces = file_of(services.store, export, "camt.053.001.02", WORDS)
    for number, _piece in enumerate(pieces):
        if number % 20 == 0:
            peak = max(peak, _pss())
    return idle, peak


def _pss() -> float:
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no PSS in smaps_rollup")
