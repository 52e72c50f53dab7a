"""A full disk: a small one in memory where this machine lets us make one, else a limit on how large
a file may grow. While it is full the page is still read; once there is room everything goes on, in
the same process."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import judge
from tests.faults.rig import Rig
from tests.faults.world import Step, prepare, scratch

PLENTY = 64 * 1024 * 1024


@dataclass
class Filled:
    """What was seen. `stored`: bookings, while it was full. `pages`: the worst HTTP status of the pages,
    while it was full and with room again."""

    name: str
    rooms: int = 0
    stored: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        return (
            f"{self.name:<34}{self.rooms:>6} sizes     {min(self.stored)} to {max(self.stored)}"
            f" bookings kept, {len(self.wrong)} wrong; {self.seconds:.0f} s"
        )


class Mounted:
    """A disk of its own in memory, which can be made larger."""

    name = "a full disk (tmpfs)"

    def __init__(self, root: Path):
        self.folder = root / "disk"
        self.folder.mkdir()
        self._mount("mount", "-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs", str(self.folder))

    def leave(self, room: int, pid: int) -> None:
        used = PLENTY - shutil.disk_usage(self.folder).free
        self._resize(used + room)

    def make_room(self, pid: int) -> None:
        self._resize(PLENTY)

    def close(self) -> None:
        self._mount("umount", "--lazy", str(self.folder))

    def _resize(self, size: int) -> None:
        size = -(-size // 4096) * 4096
        self._mount("mount", "-o", f"remount,size={size}", str(self.folder))

    def _mount(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)


class Limited:
    """No file may grow beyond a size, for the one process."""

    name = "a full disk (largest file)"

    def __init__(self, root: Path):
        self.folder = root

    def leave(self, room: int, pid: int) -> None:
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, most))

    def make_room(self, pid: int) -> None:
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

    def close(self) -> None:
        pass


Disk = Mounted | Limited


@contextmanager
def disk(root: Path, kind: type[Disk] | None = None) -> Iterator[Disk]:
    """The best this machine allows, or the given one."""
    found: Disk
    if kind is not None:
        found = kind(root)
    else:
        try:
            found = Mounted(root)
        except (OSError, subprocess.CalledProcessError):
            found = Limited(root)
    try:
        yield found
    finally:
        found.close()


def fill(
    rooms: list[int], kind: type[Disk] | None = None, *, sabotage: str | None = None
) -> Filled:
    """A first fetch on disks with so many bytes left; pages are opened while it is full, and
    after."""
    root = scratch()
    try:
        with disk(root, kind) as place:
            world = prepare("due", root)
            report = Filled(place.name)
            rig = Rig(world, root, folder=place.folder / "books")
            try:
                for room in rooms:
                    _one(rig, place, room, report, sabotage)
            finally:
                rig.close()
            return report
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _one(rig: Rig, place: Disk, room: int, report: Filled, sabotage: str | None) -> None:
    rig.reset()
    with judge.opened(rig.folder / judge.DATABASE) as db:  # whoever looks first counts again
        db.execute("UPDATE summaries SET next_change_at = '2000-01-01 00:00:00.000000'")
    report.rooms += 1
    here = {"connection": rig.world.connection}
    look: Step = ["page", {**here, "token": rig.world.extra["token"]}]
    work: Step = ["jobs", {**here, "names": ["fetches"]}]
    later: Step = ["later", {**here, "minutes": 11}]
    full, room_again = (["pause", {**here, "gate": str(gate)}] for gate in rig.pauses)
    pid = rig.start([full, work, later, look, room_again, later, work, look], sabotage=sabotage)
    gate = rig.reached(rig.pauses[0])
    place.leave(room, pid)
    os.close(gate)
    gate = rig.reached(rig.pauses[1])
    with judge.opened(rig.folder / judge.DATABASE) as db:
        report.stored.append(db.execute("SELECT count(*) FROM transactions").fetchone()[0])
    place.make_room(pid)
    os.close(gate)
    status, said = rig.end(pid)
    if status != 0 or said is None:
        report.wrong.append(f"{room} bytes: ended with {status}: {rig.log()[-300:]}")
        return
    pages = [each for each in said if isinstance(each, int)]
    report.pages += pages
    if pages != [200, 200]:
        report.wrong.append(f"{room} bytes: the page answered {pages}: {rig.log()[-600:]}")
    day = rig.world.now.date()
    if not judge.complete(rig.folder, rig.world.connection, day, let_go=False):
        report.wrong.append(f"{room} bytes: it did not go on by itself: {said}")
    verdict = rig.judge()
    if verdict.clean:
        verdict = rig.make_good()
    if not verdict.clean:
        report.wrong.append(f"{room} bytes: {verdict}")
