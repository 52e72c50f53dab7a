"""Fault by fault at the system calls of one run: killed there (SIGKILL before it is made), or
refused there (EIO, ENOSPC; once, or from then on for good)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults import judge, strace
from tests.faults.judge import Verdict
from tests.faults.rig import Rig

KILLED = -9


@dataclass(frozen=True)
class Point:
    """The `number`-th call of one kind, and what happens there. `error`: None for a kill."""

    call: str
    number: int
    error: str | None = None
    for_good: bool = False

    def __str__(self) -> str:
        what = "killed" if self.error is None else self.error + (" for good" * self.for_good)
        return f"{what} at {self.call} {self.number}"

    def options(self) -> list[str]:
        if self.error is None:
            return strace.kill_at(self.call, self.number)
        return strace.fail_at(self.call, self.number, self.error, for_good=self.for_good)


@dataclass
class Report:
    """`tried` faults, of which `met` the run: a call that was not made this time is no fault."""

    name: str
    tried: int = 0
    met: int = 0
    lost: int = 0
    doubled: int = 0
    half: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.half)

    def take(self, where: str, verdict: Verdict) -> None:
        self.lost += bool(verdict.lost)
        self.doubled += bool(verdict.doubled)
        self.half += bool(verdict.half)
        if not verdict.clean:
            self.wrong.append(f"{where}: {verdict}")

    def add(self, other: Report) -> None:
        for name in ("tried", "met", "lost", "doubled", "half"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.calls += other.calls
        self.wrong += other.wrong
        self.seconds = max(self.seconds, other.seconds)

    def __str__(self) -> str:
        return (
            f"{self.name:<34}{self.met:>6} of {self.tried:<6} lost {self.lost}, doubled"
            f" {self.doubled}, half {self.half}; {self.seconds:.0f} s"
        )


def kills(calls: Counter[str], most: Mapping[str, int] | None = None) -> list[Point]:
    """Every call; or of each kind that is named so many at `most`, evenly spread, the first and the
    last among them."""
    return [Point(name, number) for name in strace.POINTS for number in _some(calls, name, most)]


def refusals(calls: Counter[str], most: Mapping[str, int] | None = None) -> list[Point]:
    """Writes and syncs that fail: each in four ways, or those chosen in one way by turns."""
    found = []
    ways = [("EIO", False), ("ENOSPC", True), ("ENOSPC", False), ("EIO", True)]
    for name in (*strace.WRITES, *strace.SYNCS):
        for place, number in enumerate(_some(calls, name, most)):
            chosen = ways if most is None else [ways[place % len(ways)]]
            found += [Point(name, number, *way) for way in chosen]
    return found


def _some(calls: Counter[str], name: str, most: Mapping[str, int] | None) -> list[int]:
    count = calls[name]
    few = count if most is None else most.get(name, 0)
    if few >= count:
        return list(range(1, count + 1))
    if few < 2:
        return [(count + 1) // 2] * few
    return sorted({1 + round(step * (count - 1) / (few - 1)) for step in range(few)})


def work(
    rig: Rig,
    points: Sequence[Point],
    *,
    known: list[str] | None,
    sabotage: str | None = None,
    make_good: bool = True,
    enough: int | None = None,
) -> Iterator[Report]:
    """One report a point. `make_good` False: only the first time a state is found,
    here and at the bank. `enough`: stop
    after so many things were wrong."""
    done: set[tuple[str, int]] = set()
    wrong = 0
    for point in points:
        report = Report(str(point), tried=1)
        rig.reset()
        status, said = rig.run(rig.world.act, options=point.options(), sabotage=sabotage)
        if point.error is None and status != KILLED:
            if status != 0 or said is None:
                report.take(str(point), Verdict(half=[f"ended with {status}: {rig.log()[-400:]}"]))
            yield report
            continue
        if status not in (KILLED, 0):
            report.take(str(point), Verdict(half=[f"ended with {status}: {rig.log()[-400:]}"]))
        report.met, report.calls = 1, Counter({point.call: 1})
        verdict = rig.judge(known if point.error is None else None)
        report.take(str(point), verdict)
        found = verdict.digest, len(judge.requests(rig.bank))
        if verdict.clean and (make_good or found not in done):
            done.add(found)
            report.take(f"{point}, in the end", rig.make_good())
        yield report
        wrong += not report.clean
        if enough is not None and wrong >= enough:
            return
