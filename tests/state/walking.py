"""How far the machine walks: 20,000 steps on the build server, the same ones every time, half of
them at banks whose ids stay and half at banks whose ids mean nothing.

`STATE_STEPS=200000 pytest tests/state -k truth` walks further, another way each time.
"""

from __future__ import annotations

import gc
import math
import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.state.house import House
from tests.state.machine import Machine

STEPS = int(os.environ.get("STATE_STEPS", "20000"))
LENGTH = 50
_SOME_END_EARLY = 1.3
_STEADY = "STATE_STEPS" not in os.environ


def walk(
    house: House,
    steps: int,
    *,
    machine: type[Machine] = Machine,
    length: int = LENGTH,
    shrinks: bool = True,
) -> None:
    """At least so many steps, `length` in one world at most. Raises what the oracle says."""
    machine.house, machine.steps = house, 0
    gc.freeze()
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=math.ceil(steps / length * _SOME_END_EARLY),
                stateful_step_count=length,
                deadline=None,
                database=None,
                derandomize=_STEADY,
                phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        gc.unfreeze()
    if machine.steps < steps:  # no AssertionError: those are what the oracle says
        raise RuntimeError(f"only {machine.steps} of {steps} steps were made")
