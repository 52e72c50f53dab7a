"""The process that is broken: the real services on a data folder, doing what they are told.

Started as `python -m tests.faults.victim`, with the settings in the environment; it imports and
builds everything once and then forks for every run, which takes milliseconds instead of a second.
Lines of JSON on standard input, each answered by a line:

    {"run": {steps, real, now, sabotage, gate, notes, result}}  -> {"pid": …}, waiting at its gate
    {"wait": pid}                                               -> {"status": …}

A run waits until somebody writes into the pipe `gate` (by then strace holds it). After every commit
it writes into `notes` what it claims to be stored, and in the end into `result` what came of it.
Both are written with `writev`, which nothing else here uses, so that a trace tells them apart.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import logging
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import event

import app as composition
from banklink import jobs
from banklink.actions import check, fetch
from banklink.actions.activate import activate
from banklink.actions.come_back import can_finish, come_back, finish
from banklink.actions.depart import depart
from banklink.actions.services import Missing, Refused, Services
from banklink.core.calendar import Moment
from banklink.core.statuses import Action
from banklink.providers import ponto
from banklink.settings import load
from banklink.store.models import Account, Attempt, Connection, Grant
from tests.faults import judge
from tests.faults.sabotage import SABOTAGES, nameless

SET = (
    (ponto, "_PAGE", 30),
    (fetch, "_AT_ONCE", 31),
    (fetch, "time", SimpleNamespace(monotonic=lambda: 0.0)),
    (check, "monotonic", lambda: 0.0),
)
"""Small pages, and two of them in a transaction, so that a first fetch has many of both; and no time
goes by, however slow the machine is, so that every run is the same."""

_PR_SET_PTRACER, _ANY = 0x59616D61, ctypes.c_ulong(-1)


class Told:
    """A clock that says what it was told."""

    def __init__(self, real: str, now: str):
        self._real, self._now = datetime.fromisoformat(real), datetime.fromisoformat(now)

    def real(self) -> datetime:
        return self._real

    def now(self) -> datetime:
        return self._now

    def later(self, step: timedelta) -> None:
        self._real, self._now = self._real + step, self._now + step


class Hand:
    """The people and the scheduler of one run."""

    def __init__(self, parts: composition.Banklink, services: Services, clock: Told):
        self.web, self.services, self.clock = parts.web, services, clock
        self.web.extensions["banklink"] = dataclasses.replace(
            self.web.extensions["banklink"], services=services, clock=clock
        )

    @property
    def at(self) -> Moment:
        return Moment(self.clock.now(), self.clock.real())

    def do(self, verb: str, arguments: dict[str, Any]) -> Any:
        return getattr(self, f"do_{verb}")(**arguments)

    def do_activate(self, connection: int, holder: str | None, start: str) -> str:
        if holder is None:
            holder = self._sharer()
        with suppress(Refused):  # already on, or nobody shares it yet
            return activate(
                self.services, connection, self.at,
                holder=holder, start=start, version=None, actor="Sanne",
            ).result  # fmt: skip
        return "refused"

    def _sharer(self) -> str | None:
        with self.services.store.read() as session:
            found = session.query(Grant).join(Account, Account.grant_id == Grant.id).first()
            return str(found.holder_id) if found else None

    def do_jobs(self, connection: int, names: list[str] | None = None) -> str:
        for name in names or jobs.JOBS:
            jobs.run(name, self.services, self.clock)
        return "done"

    def do_come_back(self, connection: int, answer: dict[str, str], browser: str) -> str:
        return come_back(self.services, answer, self.at, browser=browser).kind

    def do_finish(self, connection: int, browser: str) -> str:
        with self.services.store.read() as session:
            row = session.get_one(Connection, connection)
            attempt = session.get(Attempt, row.last_attempt_id) if row.last_attempt_id else None
        if attempt is not None and can_finish(attempt, browser):
            with suppress(Missing):
                finish(self.services, connection, self.at, browser=browser)
        return "done"

    def do_page(self, connection: int, token: str) -> int:
        """Somebody who is signed in opens the pages; the worst answer."""
        client = self.web.test_client()
        client.set_cookie("banklink-session", token)
        pages = ("/", "/administrations", f"/connections/{connection}/transactions")
        return max(client.get(each, base_url="http://localhost").status_code for each in pages)

    def do_later(self, connection: int, minutes: int) -> str:
        self.clock.later(timedelta(minutes=minutes))
        return "done"

    def do_pause(self, connection: int, gate: str) -> str:
        with Path(gate).open("rb") as waiting:
            waiting.read()
        return "done"

    def do_depart(self, connection: int, browser: str) -> str:
        return depart(
            self.services, connection, Action.GRANT, self.at, actor="Sanne", browser=browser
        )


def main() -> None:
    """Build once, then fork. No connection may be open by then: SQLite's do not survive a fork."""
    settings = load()
    logging.getLogger().addHandler(logging.NullHandler())
    parts = composition.build(settings)
    parts.services.store.engine.dispose()
    _import_the_rest()
    for line in sys.stdin:
        told = json.loads(line)
        if "run" in told:
            pid = os.fork()
            if pid == 0:
                _live(parts, settings.data, told["run"])
            _say({"pid": pid})
        else:
            _, status = os.waitpid(told["wait"], 0)
            _say({"status": os.waitstatus_to_exitcode(status)})


def _import_the_rest() -> None:
    """What is imported when it is first needed would be read from disk in the middle of a run."""
    import authlib.common.security
    import authlib.integrations.base_client
    import authlib.integrations.httpx_client  # type: ignore[import-untyped]  # noqa: F401

    for module, name, value in SET:
        assert hasattr(module, name)
        setattr(module, name, value)


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _live(parts: composition.Banklink, data: Path, run: dict[str, Any]) -> None:
    """One run, and no way back into what forked it."""
    code = 0
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        log = os.open(run["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, replacement in ((0, quiet), (1, quiet), (2, log)):
            os.dup2(replacement, number)
        logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)  # whoever comes with strace
        notes = os.open(run["notes"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with Path(run["gate"]).open("rb") as gate:
            gate.read()
        _act(parts, data, run, notes)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _act(parts: composition.Banklink, data: Path, run: dict[str, Any], notes: int) -> None:
    services = parts.services
    clock = Told(run["real"], run["now"])
    services = nameless(services) if run["nameless"] else services
    services = SABOTAGES[run["sabotage"]](services) if run["sabotage"] else services
    if run["checkpoint"]:
        pragma = f"PRAGMA wal_autocheckpoint={run['checkpoint']}"
        event.listen(services.store.engine, "connect", lambda db, _: db.execute(pragma))
    said: list[Any] = []
    with judge.opened(data / judge.DATABASE) as looking:
        _note(notes, looking)
        services.store.write = _claiming(  # type: ignore[method-assign]
            services.store.write, lambda: _note(notes, looking)
        )
        hand = Hand(parts, services, clock)
        for verb, arguments in run["steps"]:
            try:
                said.append(hand.do(verb, arguments))
            except Exception as error:  # the server lives on, and so does this
                traceback.print_exc()
                said.append(f"{type(error).__name__}")
    for provider in services.providers.values():
        provider.close()
    services.store.engine.dispose()
    result = os.open(run["result"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    _write(result, {"said": said})


def _claiming(write: Callable[[], Any], claim: Callable[[], None]) -> Callable[[], Any]:
    """Like `write`, and once it has committed it says what is stored."""

    @contextmanager
    def claiming() -> Iterator[Any]:
        with write() as session:
            yield session
        claim()

    return claiming


def _note(descriptor: int, looking: sqlite3.Connection) -> None:
    """A fault that hits this: one claim less is held against the books."""
    with suppress(sqlite3.Error):
        _write(descriptor, judge.claim(looking))


def _write(descriptor: int, what: dict[str, Any]) -> None:
    with suppress(OSError):
        os.writev(descriptor, [json.dumps(what).encode() + b"\n"])


if __name__ == "__main__":
    main()
