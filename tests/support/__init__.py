"""What tests of several rooms share. Heavy imports happen when a fixture is first asked for."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"true", "1"}


def absent(what: str) -> NoReturn:
    """Skip the test for want of `what`; on the build server that is a failure."""
    if in_ci():
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
