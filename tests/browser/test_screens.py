"""Every page and state of the catalogue, in both languages: nothing sticks out at 1280 and 390
pixels, axe finds nothing in light and dark, no two controls are called the same, and the Nu HTML
checker finds no error in what the server answered.

Each state is visited once per language; scheme and width change in place. With SCREENSHOTS=1 in the
environment each is also drawn to build/screenshots, to be looked at.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from flask import Flask, Response, request, request_finished
from playwright.sync_api import Browser, Page, expect

from tests.browser import looks
from tests.browser.office_screens import OFFICE, Desk
from tests.browser.people import person
from tests.browser.screens import BANKLINK, STRANGER, Screen, settled
from tests.support import nu
from tests.support.browser import open_context, shot
from tests.support.house import TestHouse, running
from tests.support.office import serving

pytestmark = pytest.mark.browser

T = TypeVar("T")
DRAW = bool(os.environ.get("SCREENSHOTS"))
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
NO_PAGE = {"static", "htmx", "healthz", "oauth.metadata"}
"""What a GET answers without words for people; the stranger's API is left out by its name."""


@dataclass(frozen=True)
class Answer:
    endpoint: str
    status: int
    html: str


@dataclass
class Seen:
    """What a walk through the catalogue brought home: what is wrong, by kind, and the answers."""

    fits: list[str] = field(default_factory=list)
    axe: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))


@contextmanager
def overheard(into: list[Answer], *apps: Flask) -> Iterator[None]:
    """Keeps every HTML answer, as the server gave it, with the route it came from."""

    def note(app: Flask, response: Response, **_more: Any) -> None:
        html = response.get_data(as_text=True) if response.mimetype == "text/html" else ""
        into.append(Answer(request.endpoint or "", response.status_code, html))

    for app in apps:
        request_finished.connect(note, app)
    try:
        yield
    finally:
        for app in apps:
            request_finished.disconnect(note, app)


def walk(
    screens: tuple[Screen[T], ...], who: T, page_of: Callable[[T], Page], language: str, seen: Seen,
    *apps: Flask,
) -> None:  # fmt: skip
    for screen in screens:
        name = f"{language}-{screen.name}"
        began = time.monotonic()
        heard: list[Answer] = []
        with overheard(heard, *apps):
            try:
                screen.go(who)
                settled(page_of(who))
            except Exception as error:
                shot(page_of(who), f"lost-{name}")
                raise AssertionError(f"no way to {name}: {error}") from error
        seen.seconds["visiting"] += time.monotonic() - began
        if time.monotonic()-began > 1.5: print("slow", name, round(time.monotonic() - began,1))
        seen.answers[name] = heard
        look(page_of(who), name, screen.part, language, seen)


def look(page: Page, name: str, part: str, language: str, seen: Seen) -> None:
    """Colours do not depend on the language, and what axe asks beside them not on the colours."""
    looks.bring_axe(page)
    for width in (PHONE, DESK):
        page.set_viewport_size(width)  # type: ignore[arg-type]
        size = f"{width['width']}-{name}"
        began = time.monotonic()
        wrong = looks.sticks_out(page)
        seen.fits += [f"{size}: {each}" for each in wrong]
        if wrong or DRAW:
            shot(page, size)
        seen.seconds["fits"] += time.monotonic() - began
        for scheme in ("light", "dark"):
            began = time.monotonic()
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            rules = looks.COLOURS if scheme == "dark" else ()
            seen.axe += [f"{size} {scheme}: {each}" for each in looks.violations(page, part, rules=rules)]
            if DRAW and scheme == "dark":
                shot(page, f"dark-{size}")
            seen.seconds[f"axe {scheme} {width['width']}"] += time.monotonic() - began
        page.emulate_media(color_scheme="light")
    began = time.monotonic()
    seen.names += [f"{name}: {each}" for each in looks.shared_names(page)]
    seen.seconds["names"] += time.monotonic() - began


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    with running(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module", params=["nl", "en"])
def seen(
    request: Any, browser: Browser, demo: TestHouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    language, found = request.param, Seen()
    with (
        serving(tmp_path_factory.mktemp("office"), BANKLINK_LOCALE=language) as office,
        open_context(browser, reduced_motion="reduce") as watched,
    ):
        watched.expect("status of 4")
        desk = Desk(office, watched.new_page(), demo)
        walk(OFFICE, desk, lambda d: d.page, language, found, office.parts.web)
    print({k: round(v, 1) for k, v in found.seconds.items()})
    assert demo.parts.simulator is not None
    with open_context(browser, reduced_motion="reduce") as watched:
        watched.expect("status of [45]")
        hands = person(demo, watched, "Bakkerij De Vries")
        hands.sign_in_as("jan@devries.example")
        hands.page.locator(f'[data-action="language-{language}"]').click()
        hands.home()
        hands.page.locator(f'.languages [value="{language}"]').click()
        expect(hands.page.locator("html")).to_have_attribute("lang", language)
        apps = (demo.parts.web, demo.parts.simulator)
        #walk(BANKLINK, hands, lambda h: h.page, language, found, *apps)
        #walk(STRANGER, hands, lambda h: h.page, language, found, *apps)
    print({k: round(v, 1) for k, v in found.seconds.items()})
    Path(f"/tmp/found-{language}.txt").write_text("\n".join([*found.fits, *found.axe, *found.names]))
    yield found


def test_nothing_sticks_out(seen: Seen) -> None:
    assert seen.fits == []


def test_axe_finds_nothing(seen: Seen) -> None:
    assert seen.axe == []


def test_no_two_controls_have_the_same_name(seen: Seen) -> None:
    assert seen.names == []


def test_the_nu_checker_finds_no_error(seen: Seen, tmp_path: Path) -> None:
    files = []
    for name, answers in seen.answers.items():
        for number, answer in enumerate(each for each in answers if each.html):
            files.append(tmp_path / f"{name}.{number}.html")
            files[-1].write_text(whole(answer.html), encoding="utf-8")
    began = time.monotonic()
    remarks = nu.check(files)
    Path("/tmp/nu.txt").write_text("\n".join(f"{e.kind} {e}" for e in remarks))
    print(len(files), "files", round(time.monotonic() - began, 1))
    print("\n".join(sorted({each.kind + " " + str(each) for each in remarks if each.kind != "error"})[:30]))
    assert [str(each) for each in remarks if each.kind == "error"] == []


def whole(html: str) -> str:
    """A fragment as the page it goes into would hold it: htmx takes its <title> out, and a row
    stands in a table."""
    if html.lstrip()[:9].lower() == "<!doctype":
        return html
    html = re.sub(r"<title>.*?</title>", "", html, flags=re.DOTALL)
    html = re.sub(r"^\s*(<tbody.*?</tbody>)", r"<table>\1</table>", html, flags=re.DOTALL)
    return (
        '<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>Deel</title></head>'
        f"<body>{html}</body></html>"
    )
