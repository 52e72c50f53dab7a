"""A real Chromium that reaches this machine only, and tells what went wrong in its console.

def test_something(page):            # a page in a watched context, nothing may go wrong
    page.goto(address)

with open_context(browser, java_script_enabled=False) as watched:
    page = watched.new_page()
"""

from __future__ import annotations

import importlib.resources
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

from tests.support import in_ci

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route

HTMX_URL = "https://cdn.jsdelivr.net/npm/htmx.org@2.0.10/dist/htmx.min.js"
SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
VIEWPORT = {"width": 1280, "height": 900}
_ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    # Other names for this machine, for what must not be the same site: http://bank.test:PORT
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
Cdn = Literal["served", "refused", "tampered", "silent"]


@cache
def htmx() -> bytes:
    """The local copy of htmx, byte for byte what the CDN serves."""
    return (
        importlib.resources.files("django_htmx") / "static/django_htmx/htmx-2.min.js"
    ).read_bytes()


@dataclass
class Watched:
    """A browser context with what its pages complained about.

    `errors`: console errors (a violated CSP is one) and uncaught exceptions. `refused`: requests
    to other machines, which are never sent. `expect(pattern)` allows the errors a test provokes.
    """

    context: BrowserContext
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _expected: list[re.Pattern[str]] = field(default_factory=list)

    def new_page(self) -> Page:
        return self.context.new_page()

    def expect(self, pattern: str) -> None:
        self._expected.append(re.compile(pattern))

    def check(self) -> None:
        """Fail if there was an error nobody expected."""
        told = [*self.errors, *(f"request to another machine: {url}" for url in self.refused)]
        left = [text for text in told if not any(p.search(text) for p in self._expected)]
        assert not left, "the browser complained:\n" + "\n".join(left)


@contextmanager
def open_context(browser: Browser, *, cdn: Cdn = "served", **kwargs: Any) -> Iterator[Watched]:
    """A fresh context; keywords go to Playwright's `new_context`.

    `cdn` says how htmx's CDN behaves. The browser checks the integrity of what is served in its
    place, because the answer carries the CORS header it asks for. At the end of a test without
    failure every unexpected error is one.
    """
    kwargs.setdefault("viewport", VIEWPORT)
    context = browser.new_context(**kwargs)
    context.set_default_timeout(15_000)
    watched = Watched(context)

    def decide(route: Route) -> None:
        url = route.request.url
        if url == HTMX_URL:
            _answer_as_cdn(route, cdn)
        elif is_local(url):
            route.continue_()
        else:
            watched.refused.append(url)
            route.abort()

    context.route("**/*", decide)
    context.on(
        "console",
        lambda message: (
            watched.errors.append(f"{message.text} ({message.location.get('url', '')})")
            if message.type == "error"
            else None
        ),
    )
    context.on("weberror", lambda error: watched.errors.append(str(error.error)))
    try:
        yield watched
    finally:
        context.close()
    watched.check()


def is_local(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme in {"about", "blob", "data"}:
        return True
    host = parts.hostname or ""
    return host in {"localhost", "127.0.0.1", "::1"} or host.endswith((".test", ".localhost"))


def _answer_as_cdn(route: Route, behaviour: Cdn) -> None:
    if behaviour == "silent":
        return  # never answered: the request hangs until the context is closed
    if behaviour == "refused":
        route.abort()
        return
    route.fulfill(
        status=200,
        body=htmx() + (b"\n;" if behaviour == "tampered" else b""),
        headers={
            "Content-Type": "application/javascript; charset=utf-8",
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": "public, max-age=31536000, immutable",
        },
    )


def shot(page: Page, name: str) -> Path:
    """Save the whole page as build/screenshots/NAME.png."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path


def _system_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def _launch(playwright: Playwright, executable: str | None) -> Browser:
    arguments = list(_ARGUMENTS)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    return playwright.chromium.launch(executable_path=executable, args=arguments)


def _find_and_launch(playwright: Playwright) -> Browser:
    """A system's Chromium, Playwright's own, or one that is installed now."""
    if found := _system_chromium():
        return _launch(playwright, found)
    if not Path(playwright.chromium.executable_path).exists():
        _run([sys.executable, "-m", "playwright", "install", "chromium"])
    if Path(playwright.chromium.executable_path).exists():
        return _launch(playwright, None)
    if shutil.which("apt-get") and os.geteuid() == 0:
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
        if found := _system_chromium():
            return _launch(playwright, found)
    sentence = (
        "The browser tests need Chromium. Install it (Debian: apt install chromium; elsewhere:"
        " .venv/bin/python -m playwright install chromium) and run the tests again."
    )
    if in_ci():
        pytest.fail(sentence, pytrace=False)
    pytest.exit(sentence, returncode=1)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(
            command, check=False, timeout=600, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return  # the caller looks whether the program is there now


@contextmanager
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = _find_and_launch(playwright)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    with open_context(browser) as opened:
        yield opened


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.new_page()
