"""A bank, a victim and one prepared world, put together: one fault, judged, and made good."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.actions.conftest import BAKERY, HERE, visit
from tests.faults import judge, strace
from tests.faults.judge import Verdict
from tests.faults.world import CLIENT_ID, Step, World, prepare, scratch

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
STEPS = (timedelta(minutes=11), timedelta(minutes=65), timedelta(hours=7), timedelta(hours=25))
"""How long people and the scheduler wait between one try and the next after a fault."""


def environment(world: World, folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BANKLINK")}
    return {**kept, "BANKLINK_DATA": str(folder), **world.ports.settings(), **more}


def ponto(world: World) -> dict[str, str]:
    """The embedded app, reached as a real service is."""
    origin = world.ports.bank_origin
    return {
        "BANKLINK_DEMO": "0",
        "BANKLINK_PONTO_AUTHORIZE_URL": f"{origin}/oauth2/auth",
        "BANKLINK_PONTO_TOKEN_URL": f"{origin}/oauth2/token",
        "BANKLINK_PONTO_API_URL": f"{origin}/ponto-connect",
        "BANKLINK_PONTO_CLIENT_ID": CLIENT_ID,
        "BANKLINK_PONTO_CLIENT_SECRET": (world.folder / "simulator-client.key").read_text().strip(),
        "BANKLINK_PONTO_ISSUER": origin,
    }


class Told:
    """A process that is told things in lines of JSON, and answers every one."""

    def __init__(self, module: str, environment: dict[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"{self._process.args} does not answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Rig:
    """`folder`: the victim's books. `bank`: the bank's database, in a folder of its own."""

    def __init__(self, world: World, root: Path, folder: Path | None = None):
        self.world, self.root = world, root
        self.folder = folder or root / f"{world.name}-books"
        bank_folder = root / f"{world.name}-bank"
        world.copy(self.folder)
        world.copy(bank_folder)
        self.bank = bank_folder / "simulator.sqlite3"
        self._notes, self._result = root / f"{world.name}-notes", root / f"{world.name}-result"
        self._gate, self._log = root / f"{world.name}-gate", root / f"{world.name}-log"
        self.pauses = [root / f"{world.name}-pause-{number}" for number in (1, 2)]
        for each in (self._gate, *self.pauses):
            os.mkfifo(each)
        self._bank = Told("tests.faults.bank", environment(world, bank_folder))
        self._bank.hear()
        self._victim = Told("tests.faults.victim", environment(world, self.folder, **ponto(world)))
        self.real = self.now = world.real
        self.reset()
        self._victim.tell(warm={"steps": [*world.act, *world.again], **self._times()})

    def _times(self) -> dict[str, str]:
        return {"real": self.real.isoformat(), "now": self.now.isoformat()}

    def become(self, world: World) -> None:
        """Go on with other books, made like the first (prepare)."""
        self.world = world

    def close(self) -> None:
        self._victim.close()
        self._bank.close()

    # -- one run --------------------------------------------------------------------------------

    def reset(self) -> None:
        """Both sides as they were prepared."""
        for path in self.world.folder.glob("banklink.sqlite3*"):
            shutil.copy(path, self.folder / path.name)
        for ending in ("-wal", "-shm"):
            (self.folder / f"banklink.sqlite3{ending}").unlink(missing_ok=True)
        self.real, self.now = self.world.real, self.world.now
        self._bank.tell(reset=self.real.isoformat(), **{"from": str(self.world.folder)})

    def forget_requests(self) -> None:
        """Who asked the bank for what: not of these books."""
        os.truncate(self.bank.parent / "requests.log", 0)

    def later(self, step: timedelta) -> None:
        self.real += step
        self.now = datetime.fromisoformat(self._bank.tell(time=self.real.isoformat())["now"])

    def run(
        self,
        steps: Sequence[Step],
        *,
        options: Sequence[str] | None = None,
        sabotage: str | None = None,
        trace: Path | None = None,
        checkpoint: int | None = None,
    ) -> tuple[int, list[Any] | None]:
        """How it ended (negative: by which signal), and what it said, if it came to an end.
        `options`: of the strace that holds it. `checkpoint`: SQLite empties its log after so many
        pages (its own choice is 1000)."""
        pid = self.begin(steps, sabotage=sabotage, checkpoint=checkpoint)
        held = None
        try:
            if options is not None:
                held = strace.Attached(pid, options, trace or "/dev/null")
            self.pass_through(self._gate)
            ended = self.end(pid)
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise
        if held is not None:
            held.wait()
        return ended

    def begin(
        self, steps: Sequence[Step], *, sabotage: str | None = None, checkpoint: int | None = None
    ) -> int:
        """A run that waits at its gate; its process."""
        for path in (self._notes, self._result):
            path.unlink(missing_ok=True)
        answer = self._victim.tell(
            run={
                "steps": list(steps),
                **self._times(),
                "sabotage": sabotage,
                "checkpoint": checkpoint,
                "nameless": bool(self.world.extra.get("nameless")),
                "gate": str(self._gate),
                "notes": str(self._notes),
                "result": str(self._result),
                "log": str(self._log),
            }
        )
        return int(answer["pid"])

    def pass_through(self, gate: Path) -> None:
        """Whoever waits there goes on."""
        os.close(self.reached(gate))

    def reached(self, gate: Path) -> int:
        """Wait until somebody stands at this gate. They go when what is returned is closed."""
        began = time.monotonic()
        while True:
            try:
                return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO or time.monotonic() - began > PATIENCE:
                    raise
                time.sleep(0.001)

    def end(self, pid: int) -> tuple[int, list[Any] | None]:
        status = self._wait(pid)
        said = judge.notes(self._result)
        return status, said[0]["said"] if said else None

    def start(self, steps: Sequence[Step], *, sabotage: str | None = None) -> int:
        """A run that has begun, to be met at its pauses."""
        pid = self.begin(steps, sabotage=sabotage)
        self.pass_through(self._gate)
        return pid

    def _wait(self, pid: int) -> int:
        try:
            return int(self._victim.tell(wait=pid)["status"])
        except RuntimeError:
            raise RuntimeError(f"run {pid} does not end: {self.log()}") from None

    def claimed(self) -> list[dict[str, Any]]:
        return judge.notes(self._notes)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def reference(self, *, sabotage: str | None = None) -> tuple[list[str], Counter[str]]:
        """An undisturbed run: the digests of what is stored after every commit, and how often each
        system call is made."""
        trace = self.root / f"{self.world.name}-trace"
        self.reset()
        status, said = self.run(
            self.world.act,
            options=["-e", strace.traced(strace.POINTS), "-s", "0"],
            trace=trace,
            sabotage=sabotage,
        )
        if status != 0 or said is None:
            raise AssertionError(f"{self.world.name}: {status} {self.log()}")
        return [each["digest"] for each in self.claimed()], strace.count(trace)

    # -- making good ----------------------------------------------------------------------------

    def judge(self, known: list[str] | None = None) -> Verdict:
        return judge.afterwards(self.folder, self.bank, claimed=self.claimed(), known=known)

    def make_good(self) -> Verdict:
        """Go on without faults, as people and the scheduler would, until everything is there."""
        day = self.world.now.date()
        for step in STEPS:
            self.later(step)
            self.run(self.world.again)
            if judge.complete(self.folder, self.world.connection, day):
                break
            if self.world.name == "grant" and self._unlinked():
                self._permit_again()
        return judge.in_the_end(
            self.folder, self.bank, connection=self.world.connection, start=self.world.start
        )

    def _unlinked(self) -> bool:
        with judge.opened(self.folder / "banklink.sqlite3") as db:
            return not db.execute("SELECT 1 FROM grants WHERE state = 'active'").fetchone()

    def _permit_again(self) -> None:
        """The code went down with the process: the person starts over."""
        _, said = self.run([["depart", {"connection": self.world.connection, "browser": HERE}]])
        assert said is not None
        person: Any = _Person(self.world.ports.bank_origin, self.world.ports.redirect_uri)
        answer = visit(person, said[0], tick=[BAKERY])
        come_back: Step = [
            "come_back",
            {"connection": self.world.connection, "answer": answer, "browser": HERE},
        ]
        self.run([come_back, *self.world.again[1:]])


class _Person:
    def __init__(self, bank_origin: str, redirect_uri: str):
        self.bank_origin, self.redirect_uri = bank_origin, redirect_uri


@contextmanager
def rigged(name: str) -> Iterator[Rig]:
    """The world called `name`, prepared for the occasion."""
    root = scratch()
    try:
        rig = Rig(prepare(name, root), root)
        try:
            yield rig
        finally:
            rig.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
