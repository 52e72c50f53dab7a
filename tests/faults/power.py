"""Power loss. What one real run writes and syncs is taken down by strace; then the disk is put
together as it may look when the power goes at any moment: what was synced is there, of what was
not, any 512 bytes may be there or not, in any order. No kill can show this: a killed process's
writes are all still there, in the system's memory.

The model is harsher than common file systems in one thing: the name of a new file, or that one is
gone, lasts only once its folder was synced. It is kinder in one: what was synced is never damaged.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import judge
from tests.faults.judge import Verdict
from tests.faults.rig import Rig

TRACE = ("openat", "pwrite64", "write", "ftruncate", "fsync", "fdatasync", "unlink", "writev")
DATABASE = judge.DATABASE
SECTOR = 512
LONGEST = 1 << 17

_LINE = re.compile(rb"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?")
_HEX = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass(frozen=True)
class Event:
    """`kind`: create, write, truncate, sync, unlink, folder (synced) or note (a claim)."""

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""


def options() -> list[str]:
    """Every byte of every string, in hexadecimal, and which file a descriptor is."""
    return ["-e", "trace=" + ",".join(TRACE), "-y", "-xx", "-s", str(LONGEST)]


def events(trace: Path, folder: Path) -> list[Event]:
    """What happened to the database and its log, in order."""
    return [found for line in trace.read_bytes().splitlines() for found in _event(line, folder)]


def _event(line: bytes, folder: Path) -> Iterator[Event]:
    met = _LINE.match(line)
    if met is None or met[3].startswith(b"-"):
        return
    call, arguments = met[1].decode(), met[2]
    if call == "writev":
        yield Event("note")
        return
    if call in ("openat", "unlink"):
        name = _ours(_bytes(arguments), folder)
        if name and call == "unlink":
            yield Event("unlink", name)
        elif name and b"O_CREAT" in arguments:
            yield Event("create", name)
        return
    path = _path(arguments)
    if path == str(folder).encode() and call in ("fsync", "fdatasync"):
        yield Event("folder")
    name = _ours(path, folder)
    if not name:
        return
    if call in ("fsync", "fdatasync"):
        yield Event("sync", name)
    elif call == "ftruncate":
        yield Event("truncate", name, int(arguments.rsplit(b",", 1)[1]))
    elif call == "pwrite64":
        data = _bytes(arguments[arguments.index(b">") :])
        size, offset = (int(each) for each in arguments.rsplit(b",", 2)[1:])
        if size != int(met[3]) or len(data) != size:
            raise AssertionError(f"a write of {size} is not whole: {line[:100]!r}")
        yield Event("write", name, offset, data)
    else:
        raise AssertionError(f"{call} on {name} is not understood")


def _path(arguments: bytes) -> bytes:
    """Of a descriptor, `7</folder/file>`; strace may write that in hexadecimal too."""
    start, end = arguments.find(b"<"), arguments.find(b">")
    text = arguments[start + 1 : end] if 0 <= start < end else b""
    return bytes.fromhex(text.replace(b"\\x", b"").decode()) if text.startswith(b"\\x") else text


def _bytes(arguments: bytes) -> bytes:
    met = _HEX.search(arguments)
    if met is None:
        return b""
    if met[2]:
        raise AssertionError("strace cut a string off")
    return bytes.fromhex(met[1].replace(b"\\x", b"").decode())


def _ours(path: bytes, folder: Path) -> str:
    """The name of the database or its log; its index in shared memory is made anew after a loss."""
    name = Path(path.decode(errors="replace")).name
    inside = path.startswith(str(folder).encode() + b"/")
    return name if inside and name in (DATABASE, f"{DATABASE}-wal") else ""


# -- the disk ----------------------------------------------------------------------------------


@dataclass
class Inode:
    """A file: what is surely on disk, and what was done to it since."""

    lasting: bytearray = field(default_factory=bytearray)
    waiting: list[Event] = field(default_factory=list)

    def sync(self) -> None:
        for each in self.waiting:
            _apply(self.lasting, each)
        self.waiting.clear()

    def may_look(self, dice: random.Random, mood: str) -> bytes:
        """`mood`: none, all or some of what waits has reached the disk."""
        content = bytearray(self.lasting)
        for each in self.waiting:
            if mood == "all" or (
                mood == "some" and each.kind == "truncate" and dice.random() < 0.5
            ):
                _apply(content, each)
            elif mood == "some" and each.kind == "write":
                _tear(content, each, dice)
        return bytes(content)


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.offset :]
        content.extend(bytes(event.offset - len(content)))
        return
    content.extend(bytes(max(0, event.offset - len(content))))
    content[event.offset : event.offset + len(event.data)] = event.data


def _tear(content: bytearray, event: Event, dice: random.Random) -> None:
    """Whole, not at all, or some of its sectors."""
    fate = dice.random()
    if fate < 0.35:
        _apply(content, event)
    elif fate > 0.65:
        end = event.offset + len(event.data)
        place = event.offset
        while place < end:
            stop = min(end, (place // SECTOR + 1) * SECTOR)
            if dice.random() < 0.5:
                part = event.data[place - event.offset : stop - event.offset]
                _apply(content, Event("write", event.name, place, part))
            place = stop


class Disk:
    """A folder with the database: names on disk, names since, and the files behind them."""

    def __init__(self, prepared: Path):
        self.names = {DATABASE: Inode(bytearray((prepared / DATABASE).read_bytes()))}
        self.surely = dict(self.names)
        self._waiting: list[tuple[str, Inode | None]] = []
        self.notes = 0

    def take(self, event: Event) -> None:
        if event.kind == "note":
            self.notes += 1
        elif event.kind == "folder":
            self.surely, self._waiting = dict(self.names), []
        elif event.kind == "create":
            if event.name not in self.names:
                self._name(event.name, Inode())
        elif event.kind == "unlink":
            self._name(event.name, None)
        elif event.kind == "sync":
            self.names[event.name].sync()
        else:
            self.names[event.name].waiting.append(event)

    def _name(self, name: str, inode: Inode | None) -> None:
        if inode is None:
            self.names.pop(name, None)
        else:
            self.names[name] = inode
        self._waiting.append((name, inode))

    def image(self, target: Path, dice: random.Random) -> None:
        """One way it may look now, written into `target`."""
        mood = dice.choice(("none", "some", "some", "some", "all"))
        names = dict(self.surely)
        for name, inode in self._waiting[: dice.randint(0, len(self._waiting))]:
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        for path in target.iterdir():
            path.unlink()
        for name, inode in names.items():
            (target / name).write_bytes(inode.may_look(dice, mood))


# -- the harness -------------------------------------------------------------------------------


@dataclass
class Losses:
    """`images` looked at: how many of them had lost what was claimed, or were damaged."""

    name: str
    images: int = 0
    lost: int = 0
    damaged: int = 0
    resumed: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.damaged or self.wrong)

    def __str__(self) -> str:
        return (
            f"{self.name:<34}{self.images:>6} images    lost {self.lost}, damaged {self.damaged},"
            f" resumed {self.resumed}; {self.seconds:.0f} s"
        )


def recorded(
    rig: Rig, *, sabotage: str | None = None, checkpoint: int | None = None
) -> tuple[list[Event], list[dict[str, Any]]]:
    """One undisturbed run, taken down: its events, and its claims."""
    trace = rig.root / f"{rig.world.name}-power"
    rig.reset()
    status, said = rig.run(
        rig.world.act, options=options(), trace=trace, sabotage=sabotage, checkpoint=checkpoint
    )
    if status != 0 or said is None:
        raise AssertionError(f"{rig.world.name}: {status} {rig.log()}")
    found = events(trace, rig.folder)
    trace.unlink()
    claims = rig.claimed()
    # The last note is the run's result, written when the files were closed.
    if sum(each.kind == "note" for each in found) != len(claims) + 1:
        raise AssertionError("the trace and the notes do not fit")
    return found, claims


def losses(
    rig: Rig,
    count: int,
    *,
    seed: int = 1,
    sabotage: str | None = None,
    checkpoint: int | None = None,
    resume: int = 0,
) -> Losses:
    """`count` images, evenly spread over the run. `resume`: that many of them are gone on with."""
    happened, claims = recorded(rig, sabotage=sabotage, checkpoint=checkpoint)
    known = [each["digest"] for each in claims]
    target = rig.root / "image"
    target.mkdir(exist_ok=True)
    report = Losses(rig.world.name)
    disk, done = Disk(rig.world.folder), 0
    moments = [int(number * len(happened) / count) for number in range(count)]
    goes_on = {(2 * number + 1) * count // (2 * resume) for number in range(resume)}
    for number, moment in enumerate(moments):
        while done < moment:
            disk.take(happened[done])
            done += 1
        if not disk.notes:
            continue  # nothing was claimed: the log is not even open
        disk.image(target, random.Random(seed * 1_000_003 + number))
        report.images += 1
        verdict = _after(target, known, min(disk.notes, len(known)))
        report.lost += bool(verdict.lost)
        report.damaged += bool(verdict.half)
        if not verdict.clean:
            report.wrong.append(f"after {moment} events: {verdict}")
        elif number in goes_on:
            report.resumed += 1
            disk.image(target, random.Random(seed * 1_000_003 + number))  # the judge repaired it
            _go_on(rig, target, report, moment)
    return report


def _after(target: Path, known: list[str], claimed: int) -> Verdict:
    found = Verdict()
    try:
        with judge.opened(target / DATABASE) as db:
            judge._sound(db, found)
            if found.half:
                return found
            found.digest = judge.digest(db)
    except sqlite3.DatabaseError as error:
        found.half.append(str(error))
        return found
    if found.digest not in known[claimed - 1 : claimed + 1]:
        place = known.index(found.digest) if found.digest in known else None
        kind = found.half if place is None else found.lost
        kind.append(f"state {place} after {claimed - 1} were claimed")
    return found


def _go_on(rig: Rig, target: Path, report: Losses, moment: int) -> None:
    """The bank kept its power: it is where the run brought it."""
    rig.reset()
    rig.run(rig.world.act)
    rig.forget_requests()
    (rig.folder / DATABASE).write_bytes((target / DATABASE).read_bytes())
    log = target / f"{DATABASE}-wal"
    if log.exists():
        (rig.folder / log.name).write_bytes(log.read_bytes())
    verdict = rig.make_good()
    if not verdict.clean:
        report.wrong.append(f"gone on after {moment} events: {verdict}")
