"""One account's own pages in the hand: found, decided with the keyboard alone, watched while it is
fetched, at both widths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from banklink.store.models import Connection
from tests.browser.account_ways import connection, fetched, under_way
from tests.browser.people import Person, person
from tests.support import story
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def told(own_house: TestHouse) -> int:
    number = connection(own_house, "expiring")
    with own_house.services.store.write() as session:
        story.tell(session, session.get_one(Connection, number), own_house.at())
    return number


@pytest.fixture(params=[1280, 390])
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    with open_context(browser, viewport={"width": request.param, "height": 844}) as opened:
        yield opened


@pytest.fixture
def hands(watched: Watched, own_house: TestHouse) -> Person:
    return person(own_house, watched, "Bakkerij De Vries")


def test_from_the_row_to_one_transaction_and_back(
    hands: Person, own_house: TestHouse, told: int
) -> None:
    page = hands.page
    hands.home()
    page.locator(f"#connection-{told}-details").click()
    page.locator(f"#connection-{told}-transactions").click()
    expect(page.locator("#tab-transactions")).to_have_attribute("aria-current", "page")
    expect(page.locator("section.pending")).to_contain_text("Energie Direct")
    page.locator("#q").fill("€ 45,00")
    page.locator("#q").press("Enter")
    expect(page.locator("#bookings tbody tr")).to_have_count(1)
    page.locator("#bookings a.name").click()
    page.locator("#change").click()
    expect(page.locator("article .line.off")).to_contain_text("Verwijderd door")
    page.locator("#change").click()
    expect(page.locator("article .line.off")).to_have_count(0)
    page.locator("#back").click()
    expect(page.locator(f"#connection-{told}")).to_be_visible()


def test_the_keyboard_goes_from_case_to_case(
    hands: Person, own_house: TestHouse, told: int
) -> None:
    """Each time something waits again: one press each, and the hand stays in the tray."""
    page = hands.page
    with own_house.services.store.write() as session:
        row = session.get_one(Connection, told)
        hand = story.Hand(session, row, story.run_of(session, row, own_house.at()))
        new = [
            hand.book(own_house.at().today, -100 - n, f"Te laat {n}", state="review",
                      review_reason="late").id
            for n in range(3)
        ]  # fmt: skip
    page.goto(f"{own_house.origin}/connections/{told}/review")
    page.locator(f"#case-{new[0]}-reject").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#aside-{new[0]}")).to_be_visible()
    expect(page.locator(f"#case-{new[1]}-reject")).to_be_focused()
    expect(page.locator("#live")).to_contain_text("1 mutatie weggelaten")
    page.keyboard.press("Enter")
    expect(page.locator(f"#aside-{new[1]}")).to_be_visible()
    expect(page.locator(f"#case-{new[2]}-reject")).to_be_focused()
    page.locator(f"#case-{new[2]}-accept").click()
    expect(page.locator(f"#case-{new[2]}")).to_have_count(0)
    assert page.url.endswith("/review"), "the page stayed where it was"
    count = page.locator("#tab-review .count")
    expect(count).to_have_text("4")


def test_a_fetch_is_watched_to_its_end(hands: Person) -> None:
    under_way(hands)
    line = hands.page.locator("#progress")
    expect(line).to_contain_text("12 pagina’s, 1.100 mutaties")
    fetched(hands)
    expect(line).to_contain_text("Klaar: 1.100 nieuwe mutaties.")
    line.locator("a").click()
    expect(hands.page.locator("#progress")).to_have_count(0)
