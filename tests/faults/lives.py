"""Random kills of the real server: `python app.py`, started, killed at any moment, started again,
until everything is there; then from the beginning.

`office`: for real, without the demo; the bank is another process and lives on. `demo`: both sides in
the one process, and a browser that reads the page all the while. Between two lives time passes: the
ledger of accesses forgets a day, and everything is due. Nothing else is touched.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

from banklink.examples import FIRMS
from tests.faults import judge
from tests.faults.judge import Verdict
from tests.faults.points import Report
from tests.faults.rig import PATIENCE, ROOT, Told, environment, ponto
from tests.faults.world import Ports, World, prepare, scratch
from tests.support.house import free_ports, running

FRESH = 900.0
"""Seconds after which the books are prepared anew: tokens live for half an hour."""
UNDISTURBED = 90.0

_TIME_PASSES = (
    "UPDATE connections SET next_fetch_at = '2020-01-01 00:00:00.000000'"
    " WHERE next_fetch_at IS NOT NULL",
    "UPDATE connections SET limited_until = NULL",
    "UPDATE grants SET next_check_at = '2020-01-01 00:00:00.000000' WHERE next_check_at IS NOT NULL",
    "UPDATE accesses SET at = strftime('%Y-%m-%d %H:%M:%f000', at, '-25 hours')",
)

Truth = dict[int, Counter[judge.Booking]]


@dataclass
class Office:
    """Both sides of one kind of life. `connections`: which have to be complete in the end."""

    world: World
    root: Path
    bank: Told | None
    made: float = field(default_factory=time.monotonic)
    truth: Truth = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "books"

    @property
    def bank_database(self) -> Path | None:
        """None for the demo, which says more than its banks know: there is `truth` for that."""
        return self.root / "bank" / "simulator.sqlite3" if self.bank else None

    def begin(self) -> None:
        self.world.copy(self.folder)
        if self.bank is not None:
            now = datetime.now(UTC).isoformat()
            self.bank.tell(reset=now, **{"from": str(self.world.folder)})

    def time_passes(self) -> None:
        with judge.opened(self.folder / judge.DATABASE) as db:
            for statement in _TIME_PASSES:
                db.execute(statement)

    def command(self, sabotage: str | None) -> list[str]:
        return [
            sys.executable,
            *(["-m", "tests.faults.server", sabotage] if sabotage else ["app.py"]),
        ]

    def start(self, sabotage: str | None = None) -> subprocess.Popen[bytes]:
        if self.bank is not None:
            self.bank.tell(time=datetime.now(UTC).isoformat())
        more = ponto(self.world) if self.bank is not None else {}
        with (self.root / "server.log").open("ab") as log:
            return subprocess.Popen(
                self.command(sabotage),
                cwd=ROOT,
                env=environment(self.world, self.folder, **more),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def said(self) -> str:
        path = self.root / "server.log"
        return path.read_text(errors="replace")[-600:] if path.exists() else ""

    def complete(self) -> bool:
        """Every connection fetched through, none under way. One that is still held on to is: the
        next start lets it go."""
        with judge.opened(self.folder / judge.DATABASE) as db:
            waiting = db.execute(
                "SELECT count(*) FROM connections WHERE switch = 'on' AND watermark IS NULL"
            ).fetchone()[0]
            under_way = db.execute(
                "SELECT (SELECT count(*) FROM fetch_runs WHERE result IS NULL)"
                " + (SELECT count(*) FROM connections WHERE fetch_until IS NOT NULL)"
            ).fetchone()[0]
            if not self.truth:
                return not waiting and not under_way
            return all(
                db.execute(
                    "SELECT last_success FROM connections WHERE id = ?", (number,)
                ).fetchone()[0]
                and _all(db, number).total() >= rows.total()
                for number, rows in self.truth.items()
            )

    def left(self) -> list[Any]:
        """What keeps it from being complete, for whoever has to find out why."""
        with judge.opened(self.folder / judge.DATABASE) as db:
            rows = db.execute(
                "SELECT id, watermark, last_success, next_fetch_at, fetch_until, limited_until,"
                " failures, (SELECT group_concat(coalesce(result, 'open')) FROM fetch_runs r"
                " WHERE r.connection_id = c.id) FROM connections c WHERE switch = 'on'"
            ).fetchall()
            return [
                (row, _all(db, row[0]).total(), self.truth.get(row[0], Counter()).total())
                for row in rows
            ]

    def too_many(self) -> list[str]:
        """What an undisturbed server does not have, as far as that is known."""
        with judge.opened(self.folder / judge.DATABASE) as db:
            return [
                f"{each}"
                for number, rows in self.truth.items()
                for each in (_all(db, number) - rows).elements()
            ]

    def judged(self) -> Verdict:
        """Complete, and as it has to be."""
        found = Verdict(doubled=self.too_many())
        with judge.opened(self.folder / judge.DATABASE) as db:
            numbers = [
                row[0]
                for row in db.execute("SELECT id FROM connections WHERE switch = 'on' ORDER BY 1")
            ]
            for number, rows in self.truth.items():
                found.lost += [f"{each}" for each in (rows - _all(db, number)).elements()]
        if self.bank_database is None:
            return found
        for number in numbers:
            one = judge.in_the_end(
                self.folder, self.bank_database, connection=number, start=self.world.start
            )
            found.lost += one.lost
            found.doubled += one.doubled
            found.half += one.half
        return found


def _counted(found: Office) -> list[int]:
    with judge.opened(found.folder / judge.DATABASE) as db:
        return [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("transactions", "fetch_runs", "accesses", "events")
        ]


def _all(db: sqlite3.Connection, number: int) -> Counter[judge.Booking]:
    return judge.stored(db, number, "0000-01-01", "9999-12-31")


@contextmanager
def office() -> Iterator[Office]:
    root = scratch()
    try:
        world = prepare("office", root)
        world.copy(root / "bank")
        bank = Told("tests.faults.bank", environment(world, root / "bank"))
        bank.hear()
        try:
            yield Office(world, root, bank)
        finally:
            bank.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def demo() -> Iterator[Office]:
    """The demo, four days on: everything in it is due. What an undisturbed start makes of it is
    what every other has to come to."""
    root = scratch()
    try:
        ports = Ports(*free_ports())
        folder = root / "demo-prepared"
        with running(folder, web=False, **ports.settings()) as house:
            house.jobs()
        with judge.opened(folder / "simulator.sqlite3") as db:
            db.execute(
                "INSERT INTO setting (key, value) VALUES ('clock_offset_seconds', ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (str(timedelta(days=4).total_seconds()),),
            )
        now = datetime.now(UTC)
        world = World("demo", folder, ports, 0, now.date(), now, now, [], [])
        found = Office(world, root, None)
        found.truth = _truth(found)
        yield found
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _truth(found: Office) -> Truth:
    """What an undisturbed server comes to: it is waited for until nothing more changes. Of a link
    whose turn had not come by then nothing is known."""
    found.begin()
    before = _counted(found)
    server = found.start()
    try:
        seen, same = before, 0
        while same < 8:
            time.sleep(2)
            now = _counted(found)
            same = same + 1 if now == seen != before else 0
            seen = now
            if server.poll() is not None:
                raise RuntimeError(f"the demo does not run: {found.said()}")
    finally:
        _kill(server)
    with judge.opened(found.folder / judge.DATABASE) as db:
        active = db.execute(
            "SELECT c.id FROM connections c WHERE c.switch = 'on' AND c.last_success IS NOT NULL"
            " AND (SELECT result FROM fetch_runs r WHERE r.connection_id = c.id ORDER BY r.id DESC"
            " LIMIT 1) = 'ok' AND c.watermark = (SELECT max(watermark) FROM connections)"
        ).fetchall()
        return {number: _all(db, number) for (number,) in active}


_MAKING = threading.Lock()


@contextmanager
def _in_turn(make: Any) -> Iterator[Any]:
    """Books are made one after another: what brings a schema up to date is one to a process."""
    with ExitStack() as stack:
        with _MAKING:
            found = stack.enter_context(make())
        yield found


def kills(
    make: Any, count: int, *, seed: int, sabotage: str | None = None, enough: int | None = None
) -> Iterator[Report]:
    """So many lives; one report for each, and one for the last, which nobody disturbs."""
    dice = random.Random(seed)
    done, wrong, window = 0, 0, 2.0
    while done < count:
        with _in_turn(make) as found:
            found.begin()
            while done < count and time.monotonic() - found.made < FRESH:
                report = _life(found, dice, window, sabotage)
                # About every third life is to be long enough, on a fast machine and on a slow one.
                window *= 0.8 if report.calls["completed"] else 1.1
                window = min(max(window, 0.2), 30.0)
                done += 1
                yield report
                wrong += not report.clean
                if enough is not None and wrong >= enough:
                    return
            yield _undisturbed(found, sabotage)


def newborn(count: int, *, seed: int) -> Iterator[Report]:
    """The very first start of a demo, killed while it is being made; the next has to make it."""
    dice = random.Random(seed)
    for _ in range(count):
        root = scratch()
        report = Report("newborn", tried=1)
        try:
            now, ports = datetime.now(UTC), Ports(*free_ports())
            (root / "books").mkdir()
            world = World("newborn", root / "books", ports, 0, now.date(), now, now, [], [])
            found = Office(world, root, None)
            server = found.start()
            while not (root / "books" / "simulator.sqlite3").exists() and server.poll() is None:
                time.sleep(0.005)
            time.sleep(dice.random() * 3)
            _kill(server)
            report.met = 1
            report.take("newborn", _grown(found))
        finally:
            shutil.rmtree(root, ignore_errors=True)
        yield report


def _grown(found: Office) -> Verdict:
    """The server runs, and what its page is about is whole."""
    server = found.start()
    try:
        address = f"http://localhost:{found.world.ports.web}/"
        began = time.monotonic()
        while time.monotonic() - began < UNDISTURBED and server.poll() is None:
            with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    break
            time.sleep(0.1)
        else:
            return Verdict(lost=[f"it does not start again: {found.said()}"])
    finally:
        _kill(server)
    verdict = judge.afterwards(found.folder, found.bank_database, claimed=[])
    with judge.opened(found.folder / judge.DATABASE) as db:
        rows = db.execute("SELECT count(*) FROM connections").fetchone()[0]
    examples = sum(len(firm.examples) for firm in FIRMS)
    if rows < examples:
        verdict.half.append(f"{rows} of {examples} connections of the demo")
    return verdict


def _life(found: Office, dice: random.Random, window: float, sabotage: str | None) -> Report:
    report = Report("life", tried=1)
    database = found.folder / judge.DATABASE
    found.time_passes()
    server = found.start(sabotage)
    with _reader(found):
        began = time.monotonic()
        if dice.random() > 0.1:  # mostly not while Python is still reading its modules
            while not (found.folder / "banklink.sqlite3-wal").exists():
                if server.poll() is not None or time.monotonic() - began > PATIENCE:
                    break
                time.sleep(0.005)
        time.sleep(dice.random() * window)
        claimed: list[dict[str, Any]] = []
        with suppress(sqlite3.Error), judge.opened(database) as db:
            claimed = [judge.claim(db)]
        ended = server.poll()
        _kill(server)
    if ended is not None:
        report.take("life", Verdict(half=[f"the server ended by itself, {ended}: {found.said()}"]))
        return report
    report.met = 1
    verdict = judge.afterwards(found.folder, found.bank_database, claimed=claimed)
    verdict.doubled += found.too_many()
    report.take("life", verdict)
    if verdict.clean and found.complete():
        report.calls["completed"] += 1
        report.take("complete", found.judged())
        found.begin()
    elif not verdict.clean:
        found.begin()
    return report


def _undisturbed(found: Office, sabotage: str | None) -> Report:
    """The last life of these books: it may take its time."""
    report = Report("undisturbed")
    began = time.monotonic()
    while not found.complete():
        if time.monotonic() - began > UNDISTURBED:
            report.take("undisturbed", Verdict(lost=[f"never completes: {found.left()}"]))
            return report
        found.time_passes()
        server = found.start(sabotage)
        for _ in range(30):
            time.sleep(0.5)
            if found.complete():
                break
        _kill(server)
    report.calls["completed"] += 1
    report.take("undisturbed", found.judged())
    return report


def _kill(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGKILL)
    server.wait()


@contextmanager
def _reader(found: Office) -> Iterator[None]:
    """Somebody who opens the page again and again."""
    over = threading.Event()
    page = "" if found.bank is None else "sign-in"
    address = f"http://localhost:{found.world.ports.web}/{page}"

    def read() -> None:
        while not over.wait(0.05):
            with (
                suppress(OSError, HTTPException),
                urllib.request.urlopen(address, timeout=2) as answer,
            ):
                answer.read()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
