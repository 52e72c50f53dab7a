"""All administrations at once, with the keyboard alone, while typing, and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import func, select

from banklink.store.models import Mail
from tests.support.browser import open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, own_house: TestHouse) -> Iterator[Page]:
    with open_context(browser) as watched:
        page = watched.new_page()
        page.goto(f"{own_house.origin}/administrations")
        yield page


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.parametrize("width", [390, 1010, 1121, 1280])
def test_counts_do_not_lie_over_each_other_however_large(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    over = page.evaluate(
        """() => {
          const row = document.querySelector('.office tbody tr'), found = [];
          row.querySelector('th a').textContent = 'Vereniging van Bakkersondernemingen '.repeat(3);
          for (const text of row.querySelectorAll('.kinds span'))
            text.textContent = text.textContent.replace(/^\\d+/, '1.234');
          const kinds = [...row.querySelectorAll('.kinds li')].map((each) => [
            each.querySelector('svg').getBoundingClientRect(),
            each.querySelector('span').getBoundingClientRect()]);
          kinds.slice(1).forEach(([icon], before) => {
            const said = kinds[before][1];
            if (icon.top < said.bottom && said.top < icon.bottom && icon.left < said.right)
              found.push(before);
          });
          return [kinds.length, found, document.documentElement.scrollWidth];
        }"""
    )
    assert over[0] == 5 and over[1:] == [[], width]


def stroke(page: Page) -> str:
    """The edge of the week that has the focus."""
    return str(
        page.evaluate("getComputedStyle(document.activeElement.querySelector('.hit')).stroke")
    )


def test_the_calendar_is_walked_and_opened_by_keyboard(page: Page) -> None:
    past = page.locator(".weeks .past")
    past.focus()
    expect(past).to_be_in_viewport()
    weeks = page.locator(".weeks svg a")
    for number in range(weeks.count()):
        page.keyboard.press("Tab")
        expect(weeks.nth(number)).to_be_focused()
        assert stroke(page) not in ("none", "rgba(0, 0, 0, 0)"), "one sees where one is"
    page.keyboard.press("Shift+Tab")
    week = weeks.nth(weeks.count() - 2)
    expect(week).to_be_focused()
    address, label = str(week.get_attribute("href")), str(week.get_attribute("aria-label"))
    page.keyboard.press("Enter")
    expect(page.locator("#whole")).to_be_visible()
    assert urlsplit(page.url).path + "?" + urlsplit(page.url).query == address
    expect(page.locator(".weeks a[aria-current]")).to_have_attribute("aria-label", label)
    expect(page.locator(".office tbody tr").first).to_be_visible()
    page.wait_for_load_state()
    page.locator(".weeks .past").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#"))  # a hand is slower than the browser
    page.keyboard.press("Tab")
    expect(page.locator("#tab-all")).to_be_focused()


def test_what_a_screen_reader_hears_of_the_calendar_is_what_stands_in_the_table(
    page: Page,
) -> None:
    heard = [
        str(each.get_attribute("aria-label")).split()[0]
        for each in page.get_by_role("link").and_(page.locator(".weeks svg a")).all()
    ]
    page.locator("#weeks-table").focus()
    page.keyboard.press("Enter")
    said = page.locator(".weeks tbody .amount").all_inner_texts()
    assert heard == said and heard, "each week with something is a link with a name"


def test_typing_a_name_keeps_focus_address_and_tabs_together(page: Page) -> None:
    whole = page.locator(".office tbody tr").count()
    page.locator("#q").focus()
    page.keyboard.type("amira")
    expect(page.locator(".office tbody tr")).to_have_count(1)
    assert whole > 1
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#live")).to_have_text("1 administratie")
    page.wait_for_url("**/administrations?q=amira")
    page.locator("#tab-todo").click()
    assert asked(page) == {"q": ["amira"], "filter": ["todo"]}


def test_with_the_keyboard_one_administration_is_asked(own_house: TestHouse, page: Page) -> None:
    with own_house.services.store.read() as session:
        before = session.scalar(select(func.count(Mail.id))) or 0
    page.locator(".office tbody tr", has_text="Bakkerij De Vries").locator("input").focus()
    page.keyboard.press("Space")
    page.locator("#ask-chosen").focus()
    page.keyboard.press("Enter")
    said = page.locator(".comes-to")
    expect(said).to_contain_text("rekeninghouder")
    mails = int(said.inner_text().split()[0])
    page.locator("#send").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main > .notice.ok")).to_contain_text("klaargezet")
    with own_house.services.store.read() as session:
        assert (session.scalar(select(func.count(Mail.id))) or 0) - before == mails > 0


def test_without_javascript_nothing_is_missing(browser: Browser, own_house: TestHouse) -> None:
    with open_context(browser, java_script_enabled=False) as watched:
        page = watched.new_page()
        page.goto(f"{own_house.origin}/administrations")
        page.locator("#q").fill("amira")
        page.locator("#search").click()
        expect(page.locator(".office tbody tr")).to_have_count(1)
        page.locator("#tab-all").click()
        assert asked(page) == {"q": ["amira"]}
        page.locator(".office input[type=checkbox]").check()
        page.locator("#ask-chosen").click()
        expect(page.locator(".comes-to")).to_be_visible()
        page.locator("#back").click()
        assert asked(page) == {"q": ["amira"]}
        with page.expect_download() as download:
            page.locator("#download").click()
        assert download.value.suggested_filename.endswith(".csv")
        assert "Kapsalon Amira" in download.value.path().read_text("utf-8-sig")
