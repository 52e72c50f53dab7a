"""One running Banklink per module; tests in it use different rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.house import TestHouse, running


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    with running(tmp_path_factory.mktemp("house")) as made:
        yield made
