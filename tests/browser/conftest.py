"""Running Banklinks. Tests that share one use rows of their own, or leave a row as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.house import TestHouse, running_demo


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    """For tests that leave the demo clock alone."""
    with running_demo(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    """For a module that moves the clock."""
    with running_demo(tmp_path_factory.mktemp("house")) as made:
        yield made
