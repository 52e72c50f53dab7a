"""Every page and panel, on a desk and on a phone, in both languages: nothing sticks out.

With SCREENSHOTS=1 in the environment each is also drawn to build/screenshots, to be looked at;
without, only what is wrong is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from banklink.examples import EXAMPLES
from tests.browser.people import Holder, Person, new_holder, person
from tests.support.browser import Watched, open_context, shot
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser

DRAW = bool(os.environ.get("SCREENSHOTS"))
BRIEF = ("page", "panels", "undo", "gallery")
"""What is looked at in English too: there the words differ, not the shapes."""
IBANS = {each.name: each.iban for each in EXAMPLES}

STICKS_OUT = """() => {
  const wide = document.documentElement.scrollWidth, room = window.innerWidth, found = [];
  if (wide > room) found.push(`the page is ${wide} wide in ${room}`);
  const seen = e => {
    const r = e.getBoundingClientRect();
    return r.width > 1 && r.height > 1 && !e.closest('.unseen')
      && e.checkVisibility({ visibilityProperty: true });
  };
  const slides = e => {
    for (let p = e.parentElement; p; p = p.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX)) return true;
    return false;
  };
  for (const e of document.querySelectorAll('button, a.button, summary, .chip, .label, .title, '
      + '.iban, h1, h2, h3, p, dd, dt, li, label, select, input:not([type=hidden]), td, th')) {
    if (!seen(e)) continue;
    const r = e.getBoundingClientRect(), what = `${e.tagName}.${e.className} "${(e.innerText
      || e.value || '').slice(0, 40)}"`;
    if ((r.right > room + 1 || r.left < -1) && !slides(e)) found.push(`outside: ${what}`);
    else if (e.matches('button, a.button, summary, .chip')
        && (e.scrollWidth > e.clientWidth + 1 && e.clientWidth)) found.push(`cut: ${what}`);
  }
  for (const e of document.querySelectorAll('main *, header *')) {
    const style = getComputedStyle(e);
    if (seen(e) && ['auto', 'scroll'].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1
        && !e.matches('textarea') && style.backgroundImage === 'none')
      found.push(`slides and nothing shows it: ${e.tagName}.${e.className} in ${
        e.parentElement.className}`);
  }
  return found;
}"""

SMALL_TARGETS = """() => [...document.querySelectorAll('main button, main a.button, main summary')]
  .filter(e => e.checkVisibility() && !e.closest('.unseen'))
  .filter(e => {
    const r = e.getBoundingClientRect();
    return r.width && (r.height < 24 || r.width < 24);
  })
  .map(e => `${e.id} "${e.innerText}" ${Math.round(e.getBoundingClientRect().width)}x`
    + `${Math.round(e.getBoundingClientRect().height)}`)"""


def _page(query: str) -> Callable[[Person], None]:
    return lambda hands: hands.home(query)


def _row(name: str, panel: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        hands.home()
        hands.choose(IBANS[name], panel)
        expect(hands.row(IBANS[name]).locator("tr.panel")).to_be_visible()

    return go


def _menu(hands: Person) -> None:
    hands.home()
    hands.row(IBANS["active"]).locator('summary[id$="-menu"]').click()


def _via(hands: Person) -> None:
    hands.home()
    hands.row(IBANS["expired_with_rescue"]).locator('summary[id$="-via"]').click()


def _administrations(hands: Person) -> None:
    hands.home()
    hands.page.locator("#administration").click()


def _error(hands: Person) -> None:
    _row("new", "activate")(hands)
    form = hands.form(IBANS["new"])
    form.locator('[name="start"]').fill("1999-09-09")
    form.locator(".buttons .primary").click()
    expect(form.locator("p.error")).to_be_visible()


def _transactions(hands: Person) -> None:
    _row("active", "details")(hands)
    hands.row(IBANS["active"]).locator('[data-action="transactions"]').click()
    expect(hands.page.locator(".bookings")).to_be_visible()


PANELS = {
    "expired_with_rescue": "details",
    "unticked": "details",
    "new": "activate",
    "never_connected": "arm",
    "active": "change-start",
    "no_journal_yet": "choose-journal",
    "gap": "remove",
}


def _panels(hands: Person) -> None:
    hands.home()
    for name, panel in PANELS.items():
        hands.choose(IBANS[name], panel)
        expect(hands.row(IBANS[name]).locator("tr.panel")).to_be_visible()


def _undo(hands: Person) -> None:
    hands.home()
    hands.choose(IBANS["switched_off"], "activate")
    hands.submit(IBANS["switched_off"])
    hands.choose(IBANS["switched_off"], "switch-off")
    expect(hands.row(IBANS["switched_off"]).locator('[data-action="undo"]')).to_be_visible()


def _at(path: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        hands.page.goto(hands.house.origin + path)

    return go


def _app(path: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        hands.page.goto(hands.house.bank_origin + path)

    return go


BANKLINK: dict[str, Callable[[Person], None]] = {
    "page": _page(""),
    "page-todo": _page("&filter=todo"),
    "page-nothing-found": _page("&q=niemand"),
    "add-journal": _page("&open=add-journal"),
    "administrations": _administrations,
    "menu": _menu,
    "via": _via,
    "panels": _panels,
    "activate-error": _error,
    "undo": _undo,
    "transactions": _transactions,
    "gallery": _at("/gallery"),
    "not-found": _at("/nergens"),
    "returned": _at("/returned/ponto?state=x"),
}


@pytest.fixture(scope="module")
def holder(house: TestHouse) -> Holder:
    return new_holder(house, "beeld", 90, "Wilhelmina van Oudenallen-de Ridder")


@pytest.fixture(scope="module", params=["nl", "en"])
def seat(
    request: Any, browser: Browser, house: TestHouse, holder: Holder
) -> Iterator[tuple[Person, Watched, str]]:
    language = request.param
    with open_context(browser) as watched:
        watched.expect("status of 4")
        hands = person(house, watched, "Bakkerij De Vries")
        hands.sign_in_as("jan@devries.example")
        hands.page.locator(f'[data-action="language-{language}"]').click()
        hands.home()
        hands.page.locator(f'.languages [value="{language}"]').click()
        expect(hands.page.locator("html")).to_have_attribute("lang", language)
        yield hands, watched, language


def _look(page: Page, name: str) -> list[str]:
    """The same page on a desk and on a phone."""
    found = []
    page.wait_for_load_state()
    for width, height in ((390, 844), (1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        wrong = page.evaluate(STICKS_OUT)
        wrong += [f"small: {each}" for each in page.evaluate(SMALL_TARGETS)]
        if wrong or DRAW:
            shot(page, f"{width}-{name}")
        found += [f"{width}-{name}: {each}" for each in wrong]
    return found


def test_nothing_sticks_out_of_banklink(seat: tuple[Person, Watched, str]) -> None:
    hands, watched, suffix = seat
    found = []
    for name, go in BANKLINK.items():
        if suffix == "en" and name not in BRIEF and not DRAW:
            continue
        go(hands)
        found += _look(hands.page, f"{suffix}-{name}")
    watched.check()
    assert found == []


def test_nothing_sticks_out_of_the_app_and_the_bank(
    seat: tuple[Person, Watched, str], holder: Holder
) -> None:
    hands, watched, suffix = seat
    page = hands.page
    found: list[str] = []
    for name, path in {
        "app-home": "/",
        "app-sign-in": "/sign-in",
        "app-accounts": "/settings/accounts",
        "app-add": "/settings/accounts/add",
        "app-services": "/settings/services",
        "panel": "/panel",
        "bank-holder": "/bank/DEMO/sign-in",
        "app-not-found": "/nergens",
    }.items():
        _app(path)(hands)
        found += _look(page, f"{suffix}-{name}")
    for name, action in {"app-ticks": "change", "app-revoke": "revoke"}.items():
        _app("/settings/services")(hands)
        page.locator(f'.service [data-action="{action}"]').first.click()
        found += _look(page, f"{suffix}-{name}")
    _app("/settings/accounts")(hands)
    page.locator('[data-action="remove"]').first.click()
    found += _look(page, f"{suffix}-app-remove")
    _app("/bank/DEMO/sign-in")(hands)
    page.locator('[data-email="jan@devries.example"]').check()
    page.locator('[data-action="bank-sign-in"]').click()
    found += _look(page, f"{suffix}-bank-consents")

    hands.home()
    hands.choose(IBANS["expiring"], "renew")
    page.wait_for_url(re.compile("/bank/"))
    page.locator("#test-panel summary").click()
    found += _look(page, f"{suffix}-bank-sign-in")
    page.locator('[data-action="bank-sign-in"]').click()
    expect(page.locator("#bank-consent")).to_be_visible()
    found += _look(page, f"{suffix}-bank-consent")
    page.locator('[data-action="cancel"]').click()
    hands.back()
    found += _look(page, f"{suffix}-page-cancelled")

    hands.choose(IBANS["not_ticked"], "grant")
    page.wait_for_url(re.compile("/oauth2/consent"))
    found += _look(page, f"{suffix}-app-consent")
    page.locator('[data-action="deny"]').click()
    hands.back()
    watched.check()
    assert found == []


def test_the_step_in_between_says_where_you_go(browser: Browser, house: TestHouse) -> None:
    """Seen for a moment only; held still here."""
    with open_context(browser) as watched:
        hands = person(house, watched, "Bakkerij De Vries")
        hands.home()
        page = hands.page
        watched.context.route(
            re.compile("/connections/.*/renew$"),
            lambda route: route.fulfill(
                response=(answer := route.fetch()),
                body=re.sub(r'<meta http-equiv="refresh"[^>]*>', "", answer.text()),
            ),
        )
        hands.choose(IBANS["expiring"], "renew")
        expect(page.locator("#go")).to_have_text("Verder naar je bank")
        assert _look(page, "nl-handover") == []
