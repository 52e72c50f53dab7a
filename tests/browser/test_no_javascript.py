"""Everything works without JavaScript: forms, links, and a page that says what happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from banklink.examples import EXAMPLES
from tests.browser.people import Person, complete, person
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser

IBANS = {each.name: each.iban for each in EXAMPLES}


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    with open_context(browser, java_script_enabled=False) as opened:
        yield opened


@pytest.fixture
def hands(watched: Watched, house: TestHouse) -> Person:
    hands = person(house, watched, "Bakkerij De Vries")
    hands.home()
    return hands


def test_a_lapsed_authorisation_is_renewed(hands: Person, house: TestHouse) -> None:
    account = IBANS["withdrawn_at_bank"]
    hands.shows(account, "r5b")
    hands.leave(account, "renew")
    row = hands.shows(account, "r6")
    expect(row.locator(".notice.ok")).to_contain_text("Gelukt. Geldig tot")
    complete(house, hands.administration_id, account)


def test_activating_with_a_wrong_date_offers_one_that_works_and_removing_undoes_it(
    watched: Watched, hands: Person, house: TestHouse
) -> None:
    watched.expect("status of 422")
    account = IBANS["new"]
    hands.choose(account, "activate")
    form = hands.form(account)
    form.locator('[name="start"]').fill("2020-02-02")
    form.locator(".buttons .primary").click()
    expect(form.locator("p.error")).to_contain_text("eerder levert de bank niet.")
    expect(form.locator('[name="start"]')).to_have_value("2020-02-02")
    offer = form.locator('[name="take_start"]')
    expect(offer).to_contain_text("Neem ")
    offer.click()
    row = hands.shows(account, "r6")
    expect(row.locator(".notice.ok")).to_contain_text("Ingeschakeld.")
    complete(house, hands.administration_id, account)

    hands.choose(account, "remove")
    hands.submit(account)
    row = hands.shows(account, "r11")
    expect(row.locator(".notice.ok")).to_contain_text("Koppeling verwijderd")


def test_a_journal_is_chosen(hands: Person) -> None:
    account = IBANS["journal_lost"]
    hands.shows(account, "r1")
    hands.choose(account, "choose-journal")
    form = hands.form(account)
    form.locator(".choice").filter(has_text="1127").locator("input").check()
    hands.submit(account)
    row = hands.shows(account, "r6")
    expect(row.locator(".notice.ok")).to_contain_text("Dagboek gewijzigd.")
    expect(row.locator(".title")).to_contain_text("1127")


def test_switching_off_can_be_undone(hands: Person) -> None:
    account = IBANS["active"]
    hands.choose(account, "switch-off")
    row = hands.shows(account, "r12")
    expect(row.locator(".notice")).to_contain_text("Uitgeschakeld.")
    hands.press(row.locator('[data-action="undo"]'))
    row = hands.shows(account, "r6")
    expect(row.locator(".notice")).to_contain_text("Weer ingeschakeld.")


def test_details_open_and_close(hands: Person) -> None:
    account = IBANS["expiring"]
    hands.choose(account, "details")
    row = hands.row(account)
    expect(row.locator(".ladder li")).to_have_count(5)
    expect(row).to_be_in_viewport()
    hands.press(row.locator('[data-action="close"]'))
    expect(row.locator("tr.panel")).to_have_count(0)


def test_a_journal_is_added_and_a_wrong_iban_explained(watched: Watched, hands: Person) -> None:
    watched.expect("status of 422")
    hands.press(hands.page.locator("#add-journal"))
    form = hands.page.locator(".page-form")
    form.locator('[name="code"]').fill("1999")
    form.locator('[name="name"]').fill("Bank zonder script")
    form.locator('[name="iban"]').fill("NL00 DEMO 0000 0000 01")
    form.locator(".primary").click()
    expect(form.locator("p.error")).to_contain_text("Dit IBAN klopt niet")
    expect(form.locator('[name="code"]')).to_have_value("1999")
    form.locator('[name="iban"]').fill("nl91 abna 0417 1643 00")
    form.locator(".primary").click()
    row = hands.shows("NL91ABNA0417164300", "r8")
    expect(row.locator(".notice")).to_contain_text("Dagboek toegevoegd.")


def test_the_language_is_switched_on_the_spot(hands: Person) -> None:
    hands.choose(IBANS["expiring"], "details")
    hands.page.locator('.languages [value="en"]').click()
    expect(hands.page.locator("html")).to_have_attribute("lang", "en")
    expect(hands.row(IBANS["expiring"]).locator(".ladder li")).to_have_count(5)


def test_refreshing_works(hands: Person) -> None:
    hands.refresh()
    expect(hands.page.locator("h1")).to_have_text("Bankenkoppeling")
