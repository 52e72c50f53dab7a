"""The machine finds out a build that breaks one of the rules; else its silence would say nothing."""

from __future__ import annotations

import sqlite3

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
    # The oracle says so, or the store's own rule that nothing stands in it twice.
    with pytest.raises((AssertionError, sqlite3.IntegrityError)):
        walk(house, 4000, machine=machine, length=25, shrinks=False)
