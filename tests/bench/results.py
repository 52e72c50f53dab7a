"""What a measurement comes to: ours against a floor, both timed in the same run."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
Times = list[float]


def at_least(name: str, ours: float, floor: float, unit: str, target: float) -> Result:
    """More is better."""
    return _result(name, ours, floor, unit, f">= {target}", ours / floor >= target)


def at_most(name: str, ours: float, floor: float, unit: str, target: float) -> Result:
    """Less is better."""
    return _result(name, ours, floor, unit, f"<= {target}", ours / floor <= target)


def within(name: str, ours: float, limit: float, unit: str) -> Result:
    """An absolute limit counts as its own floor."""
    return at_most(name, ours, limit, unit, 1)


def _result(name: str, ours: float, floor: float, unit: str, target: str, met: bool) -> Result:
    return {
        "name": name,
        "ours": round(ours, 2),
        "floor": round(floor, 2),
        "unit": unit,
        "ratio": round(ours / floor, 3),
        "target": target,
        "met": met,
    }


Clock = Callable[[], float]


def timed(work: Callable[[], Any], clock: Clock = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began


def by_turns(
    *works: Callable[[], Any], rounds: int, clock: Clock = time.perf_counter
) -> tuple[Times, ...]:
    """The same number of times each, by turns: what else the machine does falls on all of them."""
    for work in works:
        work()
    found: tuple[Times, ...] = tuple([] for _ in works)
    for _ in range(rounds):
        for work, times in zip(works, found, strict=True):
            times.append(timed(work, clock))
    return found


def median(times: Sequence[float]) -> float:
    return statistics.median(times)


def percentile(times: Sequence[float], share: float) -> float:
    """The time that so large a share of them stays under."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def show(results: Sequence[Result]) -> None:
    line = "{name:<46}{ours:>12}{floor:>12} {unit:<12}{ratio:>8} {target:>8}  {met}"
    print(line.format(name="", ours="ours", floor="floor", unit="", ratio="ratio",
                      target="target", met="met"))  # fmt: skip
    for each in results:
        print(line.format(**{**each, "met": "yes" if each["met"] else "no"}), flush=True)


def write(results: Sequence[Result]) -> None:
    out = Path(os.environ.get("BENCH_OUT", "build/bench.json"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1))
