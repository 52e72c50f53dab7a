from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.state.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(Path(tmp_path_factory.mktemp("state")))
    yield made
    made.close()
