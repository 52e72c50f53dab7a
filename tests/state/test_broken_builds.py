"""The machine finds out a build that breaks one of the rules; else its silence would say nothing."""

from __future__ import annotations

import pytest

from tests.state.house import House
from tests.state.sabotage import SABOTAGES
from tests.state.walking import walk


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_build_that_breaks_a_rule_is_found_out(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, machine = SABOTAGES[name]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        walk(house, 4000, machine=machine, length=15, shrinks=False)
