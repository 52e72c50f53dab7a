"""Twenty thousand steps of everything at once: what is stored is the bank's truth.

`STATE_STEPS=200000 pytest tests/state -k truth` walks further, another way each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.state.house import House
from tests.state.machine import Machine, only
from tests.state.sabotage import SABOTAGES

STEPS = int(os.environ.get("STATE_STEPS", "20000"))
LENGTH = 50


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(Path(tmp_path_factory.mktemp("state")))
    yield made
    made.close()


def walk(
    house: House, steps: int, *, machine: type[Machine] = Machine, thorough: bool = True
) -> int:
    machine.house, machine.steps = house, 0
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=-(-steps // LENGTH),
            stateful_step_count=LENGTH,
            deadline=None,
            database=None,
            derandomize="STATE_STEPS" not in os.environ,
            phases=[Phase.generate, Phase.shrink] if thorough else [Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return machine.steps


def test_what_is_stored_is_the_banks_truth_whatever_happens(house: House) -> None:
    assert walk(house, STEPS) >= STEPS * 0.9


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_build_that_breaks_a_rule_is_found_out(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, rules = SABOTAGES[name]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        walk(house, 3000, machine=only(*rules), thorough=False)
