"""The same walk as test_screens.py, in English."""

from __future__ import annotations

import pytest

from tests.browser.test_screens import (
    demo,
    seen,
    test_axe_finds_nothing,
    test_every_page_stands_in_the_catalogue,
    test_no_two_controls_are_called_the_same,
    test_nothing_sticks_out,
    test_the_nu_checker_finds_nothing,
)

__all__ = [
    "demo",
    "seen",
    "test_axe_finds_nothing",
    "test_every_page_stands_in_the_catalogue",
    "test_no_two_controls_are_called_the_same",
    "test_nothing_sticks_out",
    "test_the_nu_checker_finds_nothing",
]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def language() -> str:
    return "en"
