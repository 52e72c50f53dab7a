"""The judge from outside: opens the database of a process that is gone, with nothing but sqlite3,
and holds it against what that process had claimed and against what the bank has booked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

DATABASE = "banklink.sqlite3"
Booking = tuple[str, int, str]

_ASIDE = {"alembic_version", "outbox", "user_sessions", "one_time_links"}
_RANDOM = {
    *("credentials", "private", "parked", "state_hash", "sealed", "provider_consent"),
    *("fetch_until", "refresh_until", "finishing_until"),  # by the machine's clock
}
"""Tables and columns in which two runs of the same steps rightly differ."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path, isolation_level=None, timeout=15)
    try:
        yield db
    finally:
        db.close()


# -- what is claimed ---------------------------------------------------------------------------


def claim(db: sqlite3.Connection) -> dict[str, Any]:
    """What is stored now, in few words: a digest of everything, and what must never go back."""
    db.execute("BEGIN")
    try:
        rows, last = db.execute(
            "SELECT count(*), coalesce(max(id), 0) FROM transactions"
        ).fetchone()
        return {
            "digest": digest(db),
            "rows": rows,
            "last": last,
            "runs": db.execute("SELECT id, seen, result FROM fetch_runs ORDER BY id").fetchall(),
            "watermark": db.execute("SELECT max(watermark) FROM connections").fetchone()[0],
        }
    finally:
        if db.in_transaction:
            db.execute("COMMIT")


def digest(db: sqlite3.Connection) -> str:
    found = hashlib.sha256()
    for table, columns in _shape(db).items():
        names = ", ".join(f'"{name}"' for name in columns)
        found.update(table.encode())
        for row in db.execute(f'SELECT {names} FROM "{table}" ORDER BY {names}'):
            found.update(repr(row).encode())
    return found.hexdigest()[:16]


_shapes: dict[str, dict[str, list[str]]] = {}


def _shape(db: sqlite3.Connection) -> dict[str, list[str]]:
    if "shape" not in _shapes:
        tables = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1"
            )
            if name not in _ASIDE and not name.startswith("sqlite_")
        ]
        _shapes["shape"] = {
            table: [
                row[1]
                for row in db.execute(f'PRAGMA table_info("{table}")')
                if row[1] not in _RANDOM
            ]
            for table in tables
        }
    return _shapes["shape"]


def notes(path: Path) -> list[dict[str, Any]]:
    """The claims of a run, oldest first; the last may be cut off where it was killed."""
    found = []
    if path.exists():
        for line in path.read_text().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


# -- what is wrong -----------------------------------------------------------------------------


@dataclass
class Verdict:
    """Everything that is wrong, in three kinds. `digest`: of what was found."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.half)

    def __str__(self) -> str:
        kinds = {"lost": self.lost, "doubled": self.doubled, "half": self.half}
        return "; ".join(f"{kind}: {', '.join(each[:4])}" for kind, each in kinds.items() if each)


def afterwards(
    folder: Path,
    bank: Path | None,
    *,
    claimed: list[dict[str, Any]],
    known: list[str] | None = None,
) -> Verdict:
    """Right after a fault, before anything is started again. `claimed`: what the run said was
    stored. `known`: the digests of an undisturbed run in their order; then what is found must be
    the last claimed one or the very next."""
    found = Verdict()
    path = folder / DATABASE
    try:
        with opened(path) as db:
            _sound(db, found)
            if found.half:
                return found
            found.digest = digest(db)
            if claimed:
                _kept(db, claimed[-1], found)
                if known is not None:
                    _in_order(claimed, known, found)
            _whole(db, found)
            if bank is not None:
                with opened(bank) as books:
                    _nothing_behind_the_watermark(db, books, found)
                    _nothing_twice(db, books, found)
                    _noted_before_asked(db, bank, found)
    except sqlite3.DatabaseError as error:
        found.half.append(f"the database does not open: {error}")
    return found


def in_the_end(folder: Path, bank: Path, *, connection: int, start: date) -> Verdict:
    """After everything could go on undisturbed: all there, once, and nothing under way."""
    found = Verdict()
    with opened(folder / DATABASE) as db, opened(bank) as books:
        _sound(db, found)
        found.digest = digest(db)
        _whole(db, found)
        _nothing_twice(db, books, found)
        _noted_before_asked(db, bank, found)
        switch, watermark, busy, failures = db.execute(
            "SELECT switch, watermark, fetch_until, failures FROM connections WHERE id = ?",
            (connection,),
        ).fetchone()
        if switch != "on" or watermark is None:
            found.lost.append(f"connection {connection} is {switch}, fetched until {watermark}")
            return found
        if busy is not None or failures:
            found.half.append(f"lease {busy}, {failures} failures")
        open_runs = db.execute("SELECT count(*) FROM fetch_runs WHERE result IS NULL").fetchone()[0]
        if open_runs:
            found.half.append(f"{open_runs} runs still open")
        ours, own = (
            stored(db, connection, start.isoformat(), watermark),
            booked(db, books, connection, start.isoformat(), watermark),
        )
        found.lost += [f"{each}" for each in (own - ours).elements()]
        found.doubled += [f"{each}" for each in (ours - own).elements()]
    return found


def complete(folder: Path, connection: int, day: date, *, let_go: bool = True) -> bool:
    """Whether this connection works and has been fetched through `day`. `let_go`: and nobody holds
    on to it any more, not even for a time that is over."""
    with opened(folder / DATABASE) as db:
        switch, watermark, failures, busy = db.execute(
            "SELECT switch, watermark, failures, fetch_until FROM connections WHERE id = ?",
            (connection,),
        ).fetchone()
        results = [
            result
            for (result,) in db.execute(
                "SELECT result FROM fetch_runs WHERE connection_id = ? ORDER BY id", (connection,)
            )
        ]
    done = bool(results) and None not in results and results[-1] == "ok" and not failures
    fetched = switch == "on" and watermark is not None and watermark >= day.isoformat()
    return bool(done and fetched and not (let_go and busy is not None))


def stored(db: sqlite3.Connection, connection: int, first: str, last: str) -> Counter[Booking]:
    return Counter(
        db.execute(
            "SELECT booked_on, amount, remittance FROM transactions"
            " WHERE connection_id = ? AND booked_on BETWEEN ? AND ?",
            (connection, first, last),
        ).fetchall()
    )


def booked(
    db: sqlite3.Connection,
    books: sqlite3.Connection,
    connection: int,
    first: str,
    last: str,
    *,
    before: str = "9999-12-31",
) -> Counter[Booking]:
    """The bank's own bookings of the account behind a connection; `before`: made before then."""
    iban = db.execute("SELECT iban FROM connections WHERE id = ?", (connection,)).fetchone()[0]
    return Counter(
        books.execute(
            "SELECT booked_on, b.amount, b.remittance FROM booking b JOIN bank_account a"
            " ON a.id = b.bank_account_id WHERE a.iban = ? AND booked_on BETWEEN ? AND ?"
            " AND b.created_at <= ?",
            (iban, first, last, before),
        ).fetchall()
    )


def _sound(db: sqlite3.Connection, found: Verdict) -> None:
    for (said,) in db.execute("PRAGMA integrity_check(5)"):
        if said != "ok":
            found.half.append(said)
    for table, row, other, _ in db.execute("PRAGMA foreign_key_check"):
        found.half.append(f"{table} {row} refers to nothing in {other}")


def _kept(db: sqlite3.Connection, last: dict[str, Any], found: Verdict) -> None:
    """What was claimed is there."""
    rows = db.execute(
        "SELECT count(*) FROM transactions WHERE id <= ?", (last["last"],)
    ).fetchone()[0]
    if rows < last["rows"]:
        found.lost.append(f"{last['rows'] - rows} bookings that were claimed")
    runs = {
        number: (seen, result)
        for number, seen, result in db.execute("SELECT id, seen, result FROM fetch_runs")
    }
    for number, seen, result in last["runs"]:
        if number not in runs or runs[number][0] < seen or (result and runs[number][1] != result):
            found.lost.append(f"run {number}: claimed {seen} {result}, is {runs.get(number)}")
    watermark = db.execute("SELECT max(watermark) FROM connections").fetchone()[0]
    if last["watermark"] and (watermark is None or watermark < last["watermark"]):
        found.lost.append(f"watermark {last['watermark']} was claimed, is {watermark}")


def _in_order(claimed: list[dict[str, Any]], known: list[str], found: Verdict) -> None:
    """The states of this run are those of an undisturbed one, step by step, and what is found is
    the last that was claimed or the one that was being committed."""
    seen = [each["digest"] for each in claimed]
    if seen != known[: len(seen)]:
        found.half.append("a state that an undisturbed run does not have")
        return
    if found.digest not in known[len(seen) - 1 : len(seen) + 1]:
        place = known.index(found.digest) if found.digest in known else None
        kind = found.lost if place is not None and place < len(seen) - 1 else found.half
        kind.append(f"state {place} after {len(seen) - 1} were claimed")


def _whole(db: sqlite3.Connection, found: Verdict) -> None:
    """Nothing is half: what a run counts, what days sum up to, what is told and how far."""
    for number, counted, rows in db.execute(
        "SELECT r.id, r.added + r.reviewed, count(t.id) FROM fetch_runs r"
        " LEFT JOIN transactions t ON t.run_id = r.id GROUP BY r.id"
    ):
        if counted != rows:
            found.half.append(f"run {number} counts {counted} new, {rows} are there")
    for number, watermark, until in db.execute(
        "SELECT c.id, c.watermark, max(r.until) FROM connections c LEFT JOIN fetch_runs r"
        " ON r.connection_id = c.id AND r.result = 'ok' GROUP BY c.id"
    ):
        if watermark is not None and (until is None or until < watermark):
            found.half.append(f"watermark {watermark}, completed until {until} ({number})")
    sums = (
        "SELECT connection_id, booked_on, count(*), sum(max(amount, 0)), sum(min(amount, 0))"
        " FROM transactions WHERE state = 'booked' GROUP BY 1, 2"
    )
    days = "SELECT connection_id, day, count, credit, debit FROM booked_days"
    for each in db.execute(f"SELECT * FROM ({sums} EXCEPT {days}) LIMIT 3").fetchall():
        found.half.append(f"the sums of {each} are not kept")
    for each in db.execute(f"SELECT * FROM ({days} EXCEPT {sums}) LIMIT 3").fetchall():
        found.half.append(f"sums {each} without bookings")
    for each in db.execute(
        "SELECT c.connection_id, c.first, c.last FROM coverage c WHERE NOT EXISTS (SELECT 1 FROM"
        " fetch_runs r WHERE r.connection_id = c.connection_id AND r.result = 'ok'"
        " AND r.until >= c.last)"
    ).fetchall():
        found.half.append(f"days {each} told by no run that completed")
    for (number,) in db.execute(
        "SELECT DISTINCT s.run_id FROM sightings s JOIN fetch_runs r ON r.id = s.run_id"
        " WHERE r.result IS NOT NULL"
    ).fetchall():
        found.half.append(f"sightings of run {number}, which is over")


def _nothing_behind_the_watermark(
    db: sqlite3.Connection, books: sqlite3.Connection, found: Verdict
) -> None:
    """Every day that counts as told holds what the bank had booked when the last fetch that
    completed began."""
    told = db.execute(
        "SELECT v.connection_id, v.first, min(v.last, c.watermark), max(r.started_at)"
        " FROM coverage v JOIN connections c ON c.id = v.connection_id JOIN fetch_runs r"
        " ON r.connection_id = c.id AND r.result = 'ok' GROUP BY 1, 2, 3"
    )
    for number, first, last, began in told.fetchall():
        ours = stored(db, number, first, last)
        own = booked(db, books, number, first, last, before=began)
        found.lost += [f"{each} counts as told" for each in (own - ours).elements()]


def _nothing_twice(db: sqlite3.Connection, books: sqlite3.Connection, found: Verdict) -> None:
    for (number,) in db.execute("SELECT id FROM connections").fetchall():
        ours = stored(db, number, "0000-01-01", "9999-12-31")
        own = booked(db, books, number, "0000-01-01", "9999-12-31")
        found.doubled += [f"{each}" for each in (ours - own).elements()]


def _noted_before_asked(db: sqlite3.Connection, bank: Path, found: Verdict) -> None:
    """The bank was not asked for bookings more often than the ledger of accesses knows, and no
    code was shown to it twice."""
    asked: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for method, path, first, code in requests(bank):
        if method == "GET" and path.endswith("/transactions") and first:
            asked["transactions"] += 1
        if code:
            codes[code] += 1
        if method == "GET" and path.endswith("/pending-transactions"):
            asked["pending"] += 1
    for endpoint, times in asked.items():
        noted = db.execute(
            "SELECT count(*) FROM accesses WHERE endpoint = ?", (endpoint,)
        ).fetchone()[0]
        if noted < times:
            found.half.append(f"{endpoint} asked for {times} times, {noted} in the ledger")
    for count in codes.values():
        if count > 1:
            found.doubled.append(f"a code was redeemed {count} times")


def requests(bank: Path) -> list[list[Any]]:
    log = bank.parent / "requests.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
