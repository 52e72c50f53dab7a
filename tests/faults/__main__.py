"""The long form: `make faults`, or one part of it with ONLY=kills, refusals, power, full or lives.

Every system call of every world, both errors, thousands of images and lives; then the broken builds,
each of which has to be caught. Prints as it goes, writes build/faults.json, and ends with 1 when
anything was lost, doubled or half, or a broken build went through.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.faults import full, lives, points, power
from tests.faults.points import Point, Report
from tests.faults.rig import Rig, rigged
from tests.faults.strace import strace

AT_ONCE = int(os.environ.get("FAULTS_AT_ONCE", "2"))
LIVES = int(os.environ.get("FAULTS_LIVES", "1000"))
IMAGES = int(os.environ.get("FAULTS_IMAGES", "2000"))
WORLDS = ("first", "overlap", "renewal", "grant", "nameless")
SOME = {"pwrite64": 40, "fdatasync": 40, "sendto": 40, "recvfrom": 40}

CONTROLS = {
    "cursor_first": "first",
    "watermark_first": "first",
    "ledger_last": "overlap",
    "without_sightings": "nameless",
    "redeemed_later": "grant",
}
"""Broken builds that kills can see, and the world they show in."""

Result = dict[str, Any]


def main() -> int:
    only = os.environ.get("ONLY")
    strace()
    results: list[Result] = []
    for part in (kills, refusals, power_losses, full_disks, random_kills):
        name = part.__name__
        if only and only not in (SHORT.get(name), name):
            continue
        for found in part():
            results.append(found)
            print(f"{'ok ' if found['ok'] else 'BAD'} {found['said']}", flush=True)
            for each in found["wrong"][:5]:
                print(f"    {each[:400]}", flush=True)
    out = Path(os.environ.get("FAULTS_OUT", "build/faults.json"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1))
    return 0 if all(each["ok"] for each in results) else 1


SHORT = {"power_losses": "power", "full_disks": "full", "random_kills": "lives"}


def kills() -> Iterator[Result]:
    for name in WORLDS:
        yield _points(f"SIGKILL, {name}", name, lambda calls: points.kills(calls))
    for sabotage, name in CONTROLS.items():
        yield _control(sabotage, name, lambda calls: points.kills(calls, SOME))


def refusals() -> Iterator[Result]:
    for name in WORLDS:
        yield _points(f"EIO and ENOSPC, {name}", name, lambda calls: points.refusals(calls))
    yield _control("cursor_first", "first", lambda calls: points.refusals(calls, SOME))


def _points(said: str, name: str, choose: Callable[[Any], Sequence[Point]]) -> Result:
    began, total = time.monotonic(), Report(said)
    with ExitStack() as stack:
        rigs = [stack.enter_context(rigged(name)) for _ in range(AT_ONCE)]
        # Each has books of its own, whose states are like no other's.
        known, calls = zip(*(rig.reference() for rig in rigs), strict=True)
        chosen = choose(calls[0])

        def work(place: int) -> Report:
            mine = Report(said)
            for number, each in enumerate(
                points.work(rigs[place], chosen[place::AT_ONCE], known=known[place])
            ):
                mine.add(each)
                if number % 100 == 99:
                    print(f"    {mine}", flush=True)
            return mine

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for each in pool.map(work, range(AT_ONCE)):
                total.add(each)
    total.seconds = time.monotonic() - began
    result = _result(total, total.clean, total.wrong)
    return result | {"calls": dict(total.calls), "points": total.met}


def _control(sabotage: str, name: str, choose: Callable[[Any], Sequence[Point]]) -> Result:
    """A broken build: at least one fault has to show it."""
    began = time.monotonic()
    with rigged(name) as rig:
        known, calls = rig.reference(sabotage=sabotage)
        total = Report(f"broken build {sabotage}, {name}")
        for each in points.work(rig, choose(calls), known=known, sabotage=sabotage):
            total.add(each)
    total.seconds = time.monotonic() - began
    return _result(total, not total.clean, [] if not total.clean else ["it was not caught"])


def power_losses() -> Iterator[Result]:
    """Half of the images with a log that is emptied often, which a short run would not do."""
    plan = [("first", None, 4), ("first", 60, 4), ("overlap", None, 2), ("renewal", 40, 2)]
    plan += [("grant", None, 2), ("nameless", 40, 2)]
    parts = sum(share for _, _, share in plan)
    for name, checkpoint, share in plan:
        with rigged(name) as rig:
            yield _losses(rig, IMAGES * share // parts + 8, checkpoint=checkpoint, resume=40)
    for mode in ("synchronous_normal", "synchronous_off"):
        with rigged("first") as rig:
            yield _losses(rig, IMAGES // 4, sabotage=mode, checkpoint=60)


def _losses(rig: Rig, count: int, *, sabotage: str | None = None, **more: Any) -> Result:
    began = time.monotonic()
    found = power.losses(rig, count, sabotage=sabotage, **more)
    found.seconds = time.monotonic() - began
    if sabotage is None:
        return _result(found, found.clean, found.wrong) | {"images": found.images}
    found.name = f"broken build {sabotage}"
    caught = bool(found.lost or found.damaged)
    return _result(found, caught, [] if caught else ["it was not caught"])


def full_disks() -> Iterator[Result]:
    rooms = [0, 4096, *range(16_384, 1_400_000, 28_672)]
    for kind in (None, full.Limited):
        began = time.monotonic()
        found = full.fill(rooms if kind is None else [each + 65_536 for each in rooms], kind)
        found.seconds = time.monotonic() - began
        yield _result(found, found.clean, found.wrong)
    found = full.fill(rooms[:30], sabotage="cursor_first")
    found.name = "broken build cursor_first"
    yield _result(found, not found.clean, [] if not found.clean else ["it was not caught"])


def random_kills() -> Iterator[Result]:
    for name, make, count in (
        ("office", lives.office, LIVES * 7 // 10),
        ("demo", lives.demo, LIVES * 3 // 10),
    ):
        yield _lives(f"random kills, {name}", make, count)
    yield _born(LIVES // 25)
    yield _lives("broken build cursor_first", lives.office, 60, sabotage="cursor_first")


def _born(count: int) -> Result:
    began, total = time.monotonic(), Report("first start of a demo, killed")
    for each in lives.newborn(count, seed=1):
        total.add(each)
    total.seconds = time.monotonic() - began
    return _result(total, total.clean, total.wrong) | {"lives": total.met}


def _lives(said: str, make: Any, count: int, *, sabotage: str | None = None) -> Result:
    began = time.monotonic()

    def work(place: int) -> Report:
        mine = Report(said)
        share = count // AT_ONCE + (place < count % AT_ONCE)
        enough = 1 if sabotage else None
        for each in lives.kills(make, share, seed=place + 1, sabotage=sabotage, enough=enough):
            mine.add(each)
            if mine.tried % 25 == 0:
                print(f"    {mine} {dict(mine.calls)}", flush=True)
        return mine

    total = Report(said)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for each in pool.map(work, range(AT_ONCE)):
            total.add(each)
    total.seconds = time.monotonic() - began
    ok = not total.clean if sabotage else total.clean
    result = _result(total, ok, total.wrong if not sabotage else [])
    return result | {"lives": total.met, "completed": total.calls["completed"]}


def _result(found: Any, ok: bool, wrong: Sequence[str]) -> Result:
    return {"ok": ok, "said": str(found), "wrong": list(wrong), "seconds": round(found.seconds)}


if __name__ == "__main__":
    sys.exit(main())
