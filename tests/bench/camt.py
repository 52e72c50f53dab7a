"""camt.053 of a hundred thousand entries, against the same query and f-strings straight to a file; and
what it takes of memory, which must not grow with the length.

`python -m tests.bench.camt FOLDER COUNT FILE ROUNDS` does it and says how long it took (processor time), in
a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import app as composition
from banklink import clock as clocks
from banklink.actions.export import Words, export_period, file_of, find
from tests.bench.data import books, pour, settings_in, size
from tests.bench.results import Result, at_least, at_most, by_turns, within
from tests.bench.visit import ROOT
from tests.support.outgoing import schema

FORMAT = "camt.053.001.02"
WORDS = Words(head=[], remarks=[], correction="", mark=",")


def measure() -> list[Result]:
    count = size("ENTRIES", 100_000)
    with books(1, 1) as folder:
        pour_into(folder, count)
        found = _written(folder, count, folder / "ours.xml", 3)
        valid = _is_valid(folder / "ours.xml", count)
    with books(1, 1) as folder:
        pour_into(folder, count * 5)
        long = _written(folder, count * 5, folder / "long.xml", 0)
    rates = (count / found[each] for each in ("ours", "floor"))
    return [
        at_least(f"camt.053 of {count:,}", *rates, unit="entries/s", target=0.3),
        within("camt.053, memory beyond idle", found["memory"], 30, "MB"),
        within(f"camt.053 of {count * 5:,}, memory beyond idle", long["memory"], 30, "MB"),
        at_most("camt.053, faults by the XSD (and 1)", 1 if valid else 2, 1, "faults", 1),
    ]


def pour_into(folder: Path, count: int) -> None:
    parts = composition.build(settings_in(folder))
    today = clocks.read(parts.clock).today
    pour(parts.services.store, 1, count, today, a_day=max(100, count // 1000))
    parts.services.store.engine.dispose()


def _written(folder: Path, count: int, file: Path, rounds: int) -> dict[str, float]:
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench.camt", str(folder), str(count), str(file), str(rounds)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(told.stdout)
    return found


def _is_valid(file: Path, count: int) -> bool:
    """By the official schema, and with every entry."""
    from lxml import etree

    document = etree.parse(file)
    entries = document.getroot().iter("{*}Ntry")
    return schema(FORMAT).validate(document) and sum(1 for _ in entries) == count


def _straight(database: Path, file: Path) -> None:
    """The entries by day, from the database as its driver hands them out, into f-strings."""
    with closing(sqlite3.connect(database)) as rows, file.open("w", encoding="utf-8") as out:
        for n, day, value, amount, name, iban, text, reference in rows.execute(
            "SELECT id, booked_on, value_on, amount, counterparty_name, counterparty_iban,"
            " remittance, end_to_end_id FROM transactions WHERE connection_id = 1"
            " AND state = 'booked' ORDER BY booked_on, id"
        ):
            way, who = ("CRDT", "Dbtr") if amount >= 0 else ("DBIT", "Cdtr")
            out.write(
                f'<Ntry><NtryRef>{n}</NtryRef><Amt Ccy="EUR">{abs(amount) / 100:.2f}</Amt>'
                f"<CdtDbtInd>{way}</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>{day}</Dt></BookgDt>"
                f"<ValDt><Dt>{value}</Dt></ValDt><AcctSvcrRef>{n}</AcctSvcrRef><BkTxCd><Domn>"
                "<Cd>PMNT</Cd><Fmly><Cd>NTAV</Cd><SubFmlyCd>NTAV</SubFmlyCd></Fmly></Domn></BkTxCd>"
                f"<NtryDtls><TxDtls><Refs><EndToEndId>{reference or 'NOTPROVIDED'}</EndToEndId>"
                f"</Refs><RltdPties><{who}><Nm>{name}</Nm></{who}><{who}Acct><Id><IBAN>{iban}"
                f"</IBAN></Id></{who}Acct></RltdPties><RmtInf><Ustrd>{text}</Ustrd></RmtInf>"
                "</TxDtls></NtryDtls></Ntry>\n"
            )


def _status(field: str) -> float:
    """Of this process, in megabytes: VmRSS, or VmHWM, its highest since the last reset."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def main() -> None:
    folder, file = Path(sys.argv[1]), Path(sys.argv[3])
    count, rounds = int(sys.argv[2]), int(sys.argv[4])
    parts = composition.build(settings_in(folder))
    at, store = clocks.read(parts.clock), parts.services.store
    number = export_period(
        parts.services,
        1,
        at,
        format=FORMAT,
        locale="nl",
        since=at.today - timedelta(days=1100),
        until=at.today,
        opening="0",
    )
    with store.read() as session:
        export = find(session, 1, number)
    assert export.count == count

    def ours() -> None:
        with file.open("wb") as out:
            out.writelines(file_of(store, export, FORMAT, WORDS))

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest is the present
    idle = _status("VmRSS")
    ours()
    memory = max(0.1, _status("VmHWM") - idle)
    if not rounds:
        print(json.dumps({"memory": memory}))
        return
    database, other = folder / "banklink.sqlite3", file.with_suffix(".floor")
    found = by_turns(
        ours, lambda: _straight(database, other), rounds=rounds, clock=time.process_time
    )
    print(json.dumps({"ours": min(found[0]), "floor": min(found[1]), "memory": memory}))


if __name__ == "__main__":
    main()
