"""A whole Banklink for a test: its own folder, its own embedded app on a real port, a clock that
can be moved. Nothing is faked between the two: they speak HTTP."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import app as composition
from banklink.core.calendar import Moment
from banklink.settings import Settings, load
from tests.support import ready_made


def free_ports(count: int = 2) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def settings_for(folder: Path, **environment: str) -> Settings:
    port, simulator_port = free_ports()
    return load(
        {
            "PORT": str(port),
            "BANKLINK_SIMULATOR_PORT": str(simulator_port),
            "BANKLINK_DATA": str(folder),
            **environment,
        }
    )


@dataclass
class TestHouse:
    """`parts` as the composition root made them; both servers listen."""

    __test__ = False
    parts: composition.Banklink

    @property
    def services(self) -> Any:
        return self.parts.services

    @property
    def simulator(self) -> Any:
        assert self.parts.simulator is not None
        return self.parts.simulator.extensions["simulator"]

    @property
    def origin(self) -> str:
        return self.parts.settings.origin

    @property
    def bank_origin(self) -> str:
        return self.parts.settings.simulator_origin

    def at(self) -> Moment:
        """The moment now, as a request would read it."""
        return Moment(self.parts.clock.now(), self.parts.clock.real())

    def jobs(self) -> None:
        """What the scheduler would do now, at once and in order."""
        from banklink import jobs

        jobs.run_all(self.services, self.parts.clock)


@contextmanager
def running(
    folder: Path,
    *,
    demo_data: bool = True,
    web: bool = True,
    starts: datetime | None = None,
    **environment: str,
) -> Iterator[TestHouse]:
    """Both sides serving; without the scheduler, whose work tests call for with `jobs()`.
    Moving the demo clock does that work too. `starts`: the moment it is when it begins, else now."""
    settings = settings_for(folder, **environment)
    parts = ready_made.build(settings)
    if starts is not None and parts.simulator is not None:
        later = starts - datetime.now(UTC)
        parts.simulator.extensions["simulator"].clock.source = lambda: datetime.now(UTC) + later
    servers = [
        composition.serve_in_thread(
            parts.simulator, "127.0.0.1", settings.simulator_port, threads=8
        )
    ]
    house = TestHouse(parts)
    try:
        if demo_data:
            composition.plant_demo(parts)
        house.simulator.clock.listeners.append(house.jobs)
        if web:
            servers.append(
                composition.serve_in_thread(parts.web, "127.0.0.1", settings.port, threads=8)
            )
        yield house
    finally:
        for server in servers:
            server.close()
        for provider in house.services.providers.values():
            provider.close()
        house.services.store.engine.dispose()
        house.simulator.close()


@contextmanager
def running_demo(folder: Path, *, web: bool = True) -> Iterator[TestHouse]:
    """The same with the demo, as a start finds it that an earlier one made a moment ago; making it
    takes longer than most tests. What is of the first start itself is the matter of test_demo.py."""
    now = datetime.now(UTC)
    few_minutes = int(now.timestamp()) // 300  # of what the demo holds some is over after fifteen
    shutil.copytree(_planted(Moment(now, now).today, few_minutes), folder, dirs_exist_ok=True)
    with running(folder, web=web) as house:
        yield house


@cache
def _planted(_day: date, _few_minutes: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="banklink-demo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with running(folder, web=False):
        return folder
