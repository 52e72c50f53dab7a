"""The short form of `make faults`: the same harnesses on a few points of every kind, spread evenly,
and every broken build. README.md says what each can and cannot see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults import full, lives, points, power
from tests.faults.points import Report
from tests.faults.rig import Rig, rigged
from tests.faults.strace import strace

pytestmark = pytest.mark.usefixtures("tracer")

FEW = {
    "pwrite64": 3,
    "ftruncate": 1,
    "unlink": 1,
    "fdatasync": 2,
    "writev": 1,
    "connect": 1,
    "sendto": 2,
    "recvfrom": 1,
}


@pytest.fixture(scope="module")
def tracer() -> str:
    return strace()


@pytest.fixture(scope="module")
def rig() -> Iterator[Callable[[str], Rig]]:
    """One for each world, made when it is first asked for."""
    made: dict[str, Rig] = {}
    with ExitStack() as stack:

        def find(name: str) -> Rig:
            if name not in made:
                made[name] = stack.enter_context(rigged(name))
            return made[name]

        yield find


def killed(
    rig: Rig, most: dict[str, int], sabotage: str | None = None, enough: int | None = None
) -> Report:
    known, calls = rig.reference(sabotage=sabotage)
    total = Report(rig.world.name)
    for each in points.work(
        rig,
        points.kills(calls, most),
        known=known,
        sabotage=sabotage,
        make_good=sabotage is not None,
        enough=enough,
    ):
        total.add(each)
    return total


@pytest.mark.parametrize("world", ["first", "overlap", "renewal", "grant", "nameless"])
def test_a_process_killed_at_any_system_call_loses_and_doubles_nothing(
    rig: Callable[[str], Rig], world: str
) -> None:
    total = killed(rig(world), FEW)
    assert total.clean, total.wrong
    assert total.met >= 10 and total.calls.keys() >= {"pwrite64", "fdatasync", "sendto", "recvfrom"}


@pytest.mark.parametrize(
    ("sabotage", "world", "where"),
    [
        ("cursor_first", "first", {"fdatasync": 6}),
        ("watermark_first", "first", {"fdatasync": 4}),
        ("ledger_last", "overlap", {"fdatasync": 99}),
        ("without_sightings", "nameless", {"fdatasync": 99}),
        ("redeemed_later", "grant", {"fdatasync": 99}),
    ],
)
def test_kills_show_a_build_that_does_things_in_the_wrong_order(
    rig: Callable[[str], Rig], sabotage: str, world: str, where: dict[str, int]
) -> None:
    assert not killed(rig(world), where, sabotage, enough=1).clean


def test_a_disk_that_refuses_a_write_costs_nothing(rig: Callable[[str], Rig]) -> None:
    world = rig("first")
    _, calls = world.reference()
    total = Report("refused")
    for each in points.work(
        world, points.refusals(calls, {"pwrite64": 4, "fdatasync": 4}), known=None, make_good=False
    ):
        total.add(each)
    assert total.clean, total.wrong
    assert total.met >= 7


@pytest.mark.parametrize(
    ("world", "checkpoint"), [("first", 60), ("overlap", None), ("renewal", 40)]
)
def test_a_power_loss_at_any_moment_takes_nothing_that_was_claimed(
    rig: Callable[[str], Rig], world: str, checkpoint: int | None
) -> None:
    found = power.losses(rig(world), 60, checkpoint=checkpoint, resume=1)
    assert found.clean, found.wrong
    assert found.images >= 50 and found.resumed


@pytest.mark.parametrize("mode", ["synchronous_normal", "synchronous_off"])
def test_power_losses_show_a_build_that_does_not_wait_for_the_disk(
    rig: Callable[[str], Rig], mode: str
) -> None:
    found = power.losses(rig("first"), 40, sabotage=mode, checkpoint=60)
    assert found.lost, "what was claimed is gone"
    assert found.damaged or mode == "synchronous_normal", "and without any waiting it is damaged"


def test_on_a_full_disk_the_pages_are_read_and_with_room_it_goes_on() -> None:
    found = full.fill([0, 400_000])
    assert found.clean, found.wrong
    assert found.stored[0] < found.stored[-1], "what was stored before it was full is kept"


def test_the_server_killed_at_random_comes_to_the_same_books() -> None:
    total = Report("lives")
    for each in lives.kills(lives.office, 3, seed=7):
        total.add(each)
    assert total.clean, total.wrong
    assert total.met == 3 and total.calls["completed"]
