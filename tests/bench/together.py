"""People at work while a fetch runs flat out in the same process: how much later their answers come,
and how much of its rate the fetch keeps."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import app as composition
from banklink import clock as clocks
from banklink.actions.fetch import fetch
from tests.bench.data import books, size
from tests.bench.page import ROWS
from tests.bench.results import Result, at_least, percentile, timed, within
from tests.bench.shelf import A_DAY, Shelf, bodies, ready, services_with
from tests.bench.visit import Served, served

_ROWS = 50_000
_BREATH = 0.03
"""Seconds between two things that people ask for: still more than twenty of them a second."""
_LIMITS = {"page": 10, "fragment": 8, "write": 20}
"""Milliseconds that the slowest in a hundred may come later."""


class Ingest:
    """The server's side: fetches one connection after the other, until it is told to stop."""

    def __init__(self, parts: composition.Banklink):
        self._parts = parts
        self._thread: threading.Thread | None = None

    def obey(self, order: str) -> dict[str, Any]:
        if order == "start":
            at = clocks.read(self._parts.clock)
            self._shelf = Shelf(self._parts.settings.ponto, bodies(_ROWS, at.today))
            self._services = services_with(self._parts, self._shelf)
            self._thread = threading.Thread(target=self._fetch, daemon=True)
            self._began = time.perf_counter()
            self._thread.start()
        elif order == "stop" and self._thread is not None:
            self._shelf.stopped = True
            self._thread.join()
        elif order == "again":
            self._shelf.served, self._began = 0, time.perf_counter()
        return {"rows": self._shelf.served, "seconds": time.perf_counter() - self._began}

    def _fetch(self) -> None:
        at = clocks.read(self._parts.clock)
        days = _ROWS // A_DAY + 1
        number = 0
        while not self._shelf.stopped:
            number += 1
            if number % 4 != 1:  # its authorisation holds
                ready(self._services, ROWS + number, at, days)
                fetch(self._services, ROWS + number, at, due_only=True)


def measure() -> list[Result]:
    rounds = size("ROUNDS", 150)
    with (
        books(size("CONNECTIONS", 10_000) // ROWS, ROWS) as folder,
        served(folder, "/?administration=1") as there,
    ):
        work = {"page": there.ours(), "fragment": _fragment(there), "write": _write(there)}
        _round(work, 10)
        quiet = _round(work, rounds)
        there.tell("start")
        time.sleep(2)
        there.tell("again")
        time.sleep(8)
        alone = _rate(there.tell("rate"))
        there.tell("again")
        busy = _round(work, rounds)
        kept = _rate(there.tell("rate"))
        there.tell("stop")
    results = []
    for name, limit in _LIMITS.items():
        later = (percentile(busy[name], 0.99) - percentile(quiet[name], 0.99)) * 1000
        results.append(within(f"{name} beside a fetch, p99 later by", later, limit, "ms"))
    results.append(at_least("fetch beside people, rate kept", kept, alone, "rows/s", 0.4))
    return results


def _round(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, each in work.items():
            times[name].append(timed(each))
            time.sleep(_BREATH)
    return times


def _rate(told: dict[str, float]) -> float:
    return told["rows"] / told["seconds"]


def _fragment(there: Served) -> Callable[[], object]:
    return lambda: there.browser.get("/connections/2/row")


def _write(there: Served) -> Callable[[], None]:
    """A form that stores what was typed, and nothing more: one's own name."""
    page = there.browser.get("/account").decode()
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    names = itertools.cycle(("Sanne", "Sanne Jansen"))

    def write() -> None:
        typed = {"csrf_token": token, "name": next(names), "locale": "nl"}
        status, _ = there.browser.ask("POST", "/account", typed)
        assert status == 303, status

    return write
