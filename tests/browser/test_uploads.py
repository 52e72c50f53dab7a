"""A bookkeeper fills a hole by hand: from the sentence in the row to the file and back, and takes it
back again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.people import Person, person
from tests.browser.upload_ways import gap_file, send
from tests.support.browser import open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser


@pytest.fixture(params=[True, False], ids=["with script", "without"])
def hands(
    request: pytest.FixtureRequest, browser: Browser, own_house: TestHouse
) -> Iterator[Person]:
    with open_context(browser, java_script_enabled=request.param) as watched:
        yield person(own_house, watched, administration="Bakkerij De Vries")


def test_the_hole_is_filled_and_can_be_opened_again(hands: Person) -> None:
    from banklink.examples import EXAMPLES

    account = next(each.iban for each in EXAMPLES if each.name == "gap")
    hands.home()
    row = hands.row(account)
    gap = row.locator(".overlay-possible_gap")
    content = gap_file(hands)
    with hands.counting() as clicks:
        hands.press(gap.locator("a"))
        expect(hands.page.locator("h1")).to_have_text("Afschrift uploaden")
        expect(hands.page.locator(".stretches li")).to_have_count(1)
        send(hands, "oktober.sta", content)
        expect(hands.page.locator(".comes")).to_contain_text("60 nieuwe")
        hands.page.reload()
        expect(hands.page.locator(".comes")).to_contain_text("3 twijfelachtige")
        hands.press(hands.page.get_by_label("Een nieuwe").first)
        hands.press(hands.page.locator("#confirm"))
    assert len(clicks) == 3
    expect(gap).to_have_count(0)
    notice = row.locator(".notice")
    expect(notice).to_contain_text("61 mutaties uit het bestand ingelezen. 2 wachten op je")
    hands.press(notice.locator("a"))
    hands.press(hands.page.locator("#undo"))
    expect(row.locator(".notice")).to_contain_text("Teruggenomen: 61 mutaties")
    expect(gap).to_be_visible()
