"""Where htmx comes from is no reason for a page to stop working."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from banklink.examples import EXAMPLES
from tests.browser.people import person
from tests.support.browser import Cdn, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser

IBANS = {each.name: each.iban for each in EXAMPLES}


@pytest.mark.parametrize("cdn", ["served", "refused", "tampered"])
def test_a_row_is_swapped_without_reloading_whatever_the_cdn_does(
    browser: Browser, house: TestHouse, cdn: Cdn
) -> None:
    with open_context(browser, cdn=cdn) as watched:
        if cdn != "served":
            watched.expect(r"htmx\.min\.js|integrity")
        hands = person(house, watched, "Bakkerij De Vries")
        hands.home()
        for _ in range(100):
            if hands.page.evaluate("!!window.htmx"):
                break
            hands.page.wait_for_timeout(50)
        hands.page.evaluate("window.same = true")
        account = IBANS["expiring"]
        hands.choose(account, "details")
        expect(hands.row(account).locator(".ladder")).to_be_visible()
        hands.choose(account, "change-start")
        hands.form(account).locator("[data-close]").click()
        expect(hands.row(account).locator("tr.panel")).to_have_count(0)
        assert hands.page.evaluate("window.same") is True


def test_a_cdn_that_never_answers_leaves_links_and_forms_working(
    browser: Browser, house: TestHouse
) -> None:
    with open_context(browser, cdn="silent") as watched:
        page = watched.new_page()
        page.goto(house.origin, wait_until="commit")
        row = page.locator(f'tbody[data-iban="{IBANS["expiring"]}"]')
        row.locator('.act [data-action="details"]').click(no_wait_after=True)
        expect(row.locator(".ladder")).to_be_visible()


def test_the_policy_allows_no_code_in_the_page(browser: Browser, house: TestHouse) -> None:
    with open_context(browser) as watched:
        page = watched.new_page()
        answer = page.goto(house.origin)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert page.locator("script:not([src])").count() == 0
        assert (
            page.evaluate(
                "[...document.querySelectorAll('*')].filter(e => e.style && e.getAttribute('style')"
                " || [...e.attributes].some(a => a.name.startsWith('on'))).length"
            )
            == 0
        )
