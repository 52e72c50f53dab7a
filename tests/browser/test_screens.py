"""Every page and state of the catalogue, here in Dutch and in test_screens_in_english.py in the
other language (two files, so that two processes can share them): nothing sticks out at 390 and 1280
pixels, axe finds nothing in light and dark, no two controls are called the same, and the Nu HTML
checker finds nothing in what the server answered.

Each state is visited once per language; scheme and width change in place. The languages share what
axe asks, because what it asks takes most of the time: every rule but colours at 390 pixels in Dutch
and at 1280 in English; colours in Dutch, light at 390 and dark at 1280; and at 390 in English what
a longer word could push too close together.
With EVERY_LOOK=1 in the environment axe asks everything of everything, and with SCREENSHOTS=1 each
state is also drawn to build/screenshots, to be looked at.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request, request_finished
from playwright.sync_api import Browser, Page, expect

from tests.browser import looks
from tests.browser.office_screens import OFFICE, Desk
from tests.browser.people import person
from tests.browser.screens import BANKLINK, STRANGER, Screen, settled
from tests.support import nu
from tests.support.browser import open_context, shot
from tests.support.house import TestHouse, running_demo
from tests.support.office import serving

pytestmark = pytest.mark.browser

DRAW = bool(os.environ.get("SCREENSHOTS"))
EVERY = bool(os.environ.get("EVERY_LOOK"))
WIDTHS = {"390": {"width": 390, "height": 844}, "1280": {"width": 1280, "height": 900}}
NO_PAGES = frozenset(
    {"static", "htmx", "healthz", "oauth.metadata", "office.download", "consents.download"}
    | {"exports.download"}
)
"""GET routes without words for people; the stranger's API is left out by its name."""


@dataclass(frozen=True)
class Answer:
    endpoint: str
    status: int
    html: str


@dataclass
class Seen:
    """What a walk through the catalogue brought home: what is wrong, by kind, and the answers to
    each screen."""

    fits: list[str] = field(default_factory=list)
    axe: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    @property
    def routes(self) -> set[str]:
        """Those that answered well at least once."""
        heard = [each for answers in self.answers.values() for each in answers]
        return {each.endpoint for each in heard if each.status < 400}


@contextmanager
def overheard(into: list[Answer], *apps: Flask) -> Iterator[None]:
    """Keeps every HTML answer as the server gave it, with the route it came from."""

    def note(_app: Flask, response: Response, **_more: Any) -> None:
        words = response.mimetype == "text/html" and response.status_code // 100 != 3
        # A mail is written for mail programs, which want what pages must not have.
        words = words and request.endpoint != "outbox.html"
        html = response.get_data(as_text=True) if words else ""
        into.append(Answer(request.endpoint or "", response.status_code, html))

    for app in apps:
        request_finished.connect(note, app)
    try:
        yield
    finally:
        for app in apps:
            request_finished.disconnect(note, app)


class Walk:
    """One browser, one language, from screen to screen."""

    def __init__(self, seen: Seen, language: str, page: Page, *apps: Flask):
        self.seen, self.language, self.page, self.apps = seen, language, page, apps

    def through(self, screens: tuple[Screen[Any], ...], who: Any, *, strange: bool = False) -> None:
        """`strange`: the other side's, whose pages are light only and whose contrast is that of
        WCAG AA, where Banklink's own is AAA (7:1)."""
        for screen in screens:
            name = f"{self.language}-{screen.name}"
            with overheard(self.seen.answers[name], *self.apps):
                try:
                    screen.go(who)
                    settled(self.page)
                except Exception:
                    print(f"no way to {name}, see {shot(self.page, f'lost-{name}')}")
                    raise
            self._look(name, screen.part, strange)

    def _look(self, name: str, part: str, strange: bool) -> None:
        page, seen = self.page, self.seen
        looks.bring_axe(page)
        contrast = looks.CONTRAST if strange else looks.STRONG_CONTRAST
        for label, size in WIDTHS.items():
            page.set_viewport_size(size)  # type: ignore[arg-type]
            wrong = looks.sticks_out(page)
            seen.fits += [f"{label}-{name}: {each}" for each in wrong]
            rules: list[str] = []  # all in one run: axe looks at the whole page for each
            dutch, narrow = self.language == "nl", label == "390"
            if dutch == narrow or EVERY:
                rules += looks.all_but_colours(page)
            elif narrow:
                rules.append(looks.TARGET_SIZE)
            if (dutch and (narrow or strange)) or EVERY:
                rules.append(contrast)
            found = looks.violations(page, rules, part)
            seen.axe += [f"{label}-{name}: {each}" for each in found]
            if wrong or DRAW:
                shot(page, f"{label}-{name}")
            if (dutch and not narrow and not strange) or DRAW or EVERY:
                page.emulate_media(color_scheme="dark")
                rules = [contrast, *(looks.all_but_colours(page) if EVERY else [])]
                found = looks.violations(page, rules, part)
                seen.axe += [f"{label}-{name}, dark: {each}" for each in found]
                if DRAW:
                    shot(page, f"{label}-{name}-dark")
                page.emulate_media(color_scheme="light")
        seen.names += [f"{name}: {each}" for each in looks.shared_names(page)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHouse]:
    with running_demo(tmp_path_factory.mktemp("demo")) as made:
        yield made


@pytest.fixture(scope="module")
def language() -> str:
    return "nl"


@pytest.fixture(scope="module")
def seen(
    browser: Browser, demo: TestHouse, language: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    found = Seen()
    _walk_office(found, language, browser, demo, tmp_path_factory.mktemp("office"))
    _walk_demo(found, language, browser, demo)
    yield found


def _walk_office(
    seen: Seen, language: str, browser: Browser, service: TestHouse, folder: Path
) -> None:
    with (
        serving(folder, BANKLINK_LOCALE=language) as office,
        open_context(browser, reduced_motion="reduce") as watched,
    ):
        watched.expect("status of 4")
        desk = Desk(office, watched.new_page(), service)
        Walk(seen, language, desk.page, office.parts.web).through(OFFICE, desk)


def _walk_demo(seen: Seen, language: str, browser: Browser, demo: TestHouse) -> None:
    with open_context(browser, reduced_motion="reduce") as watched:
        watched.expect("status of [45]")
        hands = person(demo, watched, "Bakkerij De Vries")
        hands.page.goto(demo.bank_origin)
        hands.page.locator(f'[data-action="language-{language}"]').click()
        hands.home()
        hands.page.locator(f'.languages [value="{language}"]').click()
        expect(hands.page.locator("html")).to_have_attribute("lang", language)
        assert demo.parts.simulator is not None
        walk = Walk(seen, language, hands.page, demo.parts.web, demo.parts.simulator)
        walk.through(BANKLINK, hands)
        walk.through(STRANGER, hands, strange=True)


def test_every_page_stands_in_the_catalogue(seen: Seen, demo: TestHouse) -> None:
    wanted = {
        rule.endpoint
        for app in (demo.parts.web, demo.parts.simulator)
        if app is not None
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.endpoint.startswith("api.")
    }
    assert wanted - NO_PAGES - seen.routes == set(), "give it a line in tests/browser/screens.py"


def test_nothing_sticks_out(seen: Seen) -> None:
    assert seen.fits == []


def test_axe_finds_nothing(seen: Seen) -> None:
    assert seen.axe == []


def test_no_two_controls_are_called_the_same(seen: Seen) -> None:
    assert seen.names == []


def test_the_nu_checker_finds_nothing(seen: Seen, tmp_path: Path) -> None:
    """All answers in one run: pages, and the fragments that htmx fetched meanwhile."""
    files: dict[str, Path] = {}
    for name, answers in seen.answers.items():
        for number, answer in enumerate(each for each in answers if each.html):
            path = tmp_path / f"{name}-{number}.html"
            files.setdefault(_without_numbers(answer.html), path)
    for html, path in files.items():
        path.write_text(_whole(html), encoding="utf-8")
    assert len(files) > len(OFFICE)
    assert [str(each) for each in nu.check(files.values())] == []


def _without_numbers(html: str) -> str:
    """Pages that differ in a token alone are one."""
    return re.sub(r'(?<=name="csrf_token" value=")[^"]+', "x", html)


def _whole(html: str) -> str:
    """A fragment as the page that it goes into holds it: htmx takes its <title> out, and a row
    stands in a table."""
    if html.lstrip()[:9].lower() == "<!doctype":
        return html
    html = re.sub(r"<title>.*?</title>", "", html, flags=re.DOTALL)
    html = re.sub(r"^\s*(<tbody.*?</tbody>)", r"<table>\1</table>", html, flags=re.DOTALL)
    return (
        '<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>Deel</title></head>'
        f"<body><h1>Deel</h1>{html}</body></html>"
    )


PLANTED = """<!doctype html><html lang="nl"><head><title>Fout</title></head><body><main><h1>Fout</h1>
<p style="color: #888; background: #999">Grijs op grijs</p><img src="data:,">
<ul><li class="row" id="r1"><button>Weg</button> <a href="/a">Weg</a></li></ul>
<a href="/b">Verder</a> <a href="/c">Verder</a>
<p class="title" style="width: 2000px">Breed</p><a class="button" href="/d"></a></main></body></html>"""


def test_what_is_wrong_is_found(page: Page, tmp_path: Path) -> None:
    page.set_content(PLANTED)
    looks.bring_axe(page)
    rules = [*looks.all_but_colours(page), looks.CONTRAST]
    wrong = " ".join(looks.violations(page, rules))
    assert "color-contrast: p" in wrong and "image-alt: img" in wrong and "link-name" in wrong
    assert looks.violations(page, rules, "ul") == []
    names = " ".join(looks.shared_names(page))
    assert "in r1: “weg”" in names and "“verder” is" in names and "no name" in names
    assert any("outside: P.title" in each for each in looks.sticks_out(page))
    (tmp_path / "planted.html").write_text(PLANTED)
    assert any("alt" in str(each) for each in nu.check([tmp_path / "planted.html"]))
