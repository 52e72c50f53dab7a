"""Fixtures for all tests. A room's own fixtures stand in its own conftest.py."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.support import in_ci
from tests.support.browser import browser, page, watched
from tests.support.postgres import postgres_server

__all__ = ["browser", "page", "postgres_server", "watched"]

# A slow or busy machine is no failure. The build server tries the same examples every time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if in_ci() else os.environ.get("HYPOTHESIS_PROFILE", "here"))

_MARKED_BY_FIXTURE = {"browser": "browser", "postgres_server": "postgres"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture, marker in _MARKED_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
    # Where two processes share the files, what takes long is not left for the end of one of them.
    items.sort(key=lambda item: not item.path.name.startswith(("test_screens", "test_ids_that")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On the build server nothing that needs a browser or a server is quietly left out."""
    report = yield
    wanted = any(item.get_closest_marker(name) for name in _MARKED_BY_FIXTURE.values())
    if in_ci() and wanted and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which the build server does not accept: {report.longrepr}"
    return report
