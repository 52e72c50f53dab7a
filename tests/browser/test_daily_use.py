"""A page that is good to live with: by keyboard, with Back, left open all day, on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from banklink.actions.choose_journal import add_journal, choose_journal
from banklink.examples import EXAMPLES
from tests.browser.people import Person, iban, new_holder, person
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser

IBANS = {each.name: each.iban for each in EXAMPLES}
FIRM = "Bakkerij De Vries"


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    with open_context(browser) as opened:
        yield opened


@pytest.fixture
def hands(watched: Watched, house: TestHouse) -> Person:
    hands = person(house, watched, FIRM)
    hands.home()
    return hands


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def tab_to(page: Page, selector: str) -> None:
    for _press in range(150):
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key never reaches {selector}; it stands at {focused(page)}")


def walk_to(page: Page, account: str) -> None:
    """Down the list, row by row; and up again, for a row that came to need somebody meanwhile stands
    first now."""
    for key in "j" * 60 + "k" * 60:
        here = page.evaluate(
            "(document.activeElement.closest('tbody.connection') || document.body).dataset.iban"
        )
        if here == account:
            return
        page.keyboard.press(key)
    raise AssertionError(f"the keys never reach {account}; they stand at {focused(page)}")


def at_the_bank(hands: Person) -> None:
    page = hands.page
    page.wait_for_url(re.compile("/bank/"))
    for wanted in ("bank-sign-in", "confirm"):
        page.wait_for_selector(f'[data-action="{wanted}"]')
        tab_to(page, f'[data-action="{wanted}"]')
        page.keyboard.press("Enter")
    hands.back()


# -- by keyboard --------------------------------------------------------------------------------


def test_the_keyboard_alone_connects_activates_renews_and_repairs(
    hands: Person, house: TestHouse
) -> None:
    holder, page = new_holder(house, "toets", 96), hands.page
    hands.sign_in_as(holder.email)
    hands.add_journal("1003", "Bank toetsen", holder.iban)
    hands.home()

    walk_to(page, holder.iban)
    page.keyboard.press("a")
    expect(hands.row(holder.iban).locator(".wizard")).to_be_visible()
    tab_to(page, f'tbody[data-iban="{holder.iban}"] [id$="-myself"]')
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/oauth2/consent"))
    tab_to(page, f'#consent [data-iban="{holder.iban}"]')
    if not page.locator(":focus").is_checked():
        page.keyboard.press("Space")
    tab_to(page, '[data-action="allow"]')
    page.keyboard.press("Enter")
    at_the_bank(hands)
    hands.shows(holder.iban, "r11")

    walk_to(page, holder.iban)
    page.keyboard.press("a")
    hands.form(holder.iban)
    tab_to(page, ".fill .buttons .primary")
    page.keyboard.press("Enter")
    row = hands.shows(holder.iban, "r6")
    expect(row.locator(".heading")).to_be_focused()

    page.keyboard.press("m")
    tab_to(page, f'tbody[data-iban="{holder.iban}"] [data-action="renew"]')
    page.keyboard.press("Enter")
    at_the_bank(hands)
    expect(hands.shows(holder.iban, "r6").locator(".notice.ok")).to_contain_text("Gelukt.")

    hands.revoke_at_bank(holder)
    hands.home()
    walk_to(page, holder.iban)
    page.keyboard.press("m")
    tab_to(page, f'tbody[data-iban="{holder.iban}"] [data-action="fetch"]')
    page.keyboard.press("Enter")
    hands.shows(holder.iban, "r5b")
    walk_to(page, holder.iban)
    page.keyboard.press("a")
    at_the_bank(hands)
    hands.shows(holder.iban, "r6")


def test_rows_are_walked_opened_and_closed_by_key(hands: Person) -> None:
    page = hands.page
    rows = page.locator("tbody.connection")
    first, second = (str(rows.nth(n).get_attribute("id")) for n in (0, 1))
    page.keyboard.press("j")
    assert focused(page) == f"{first}-heading"
    page.keyboard.press("ArrowDown")
    assert focused(page) == f"{second}-heading"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    panel = page.locator(f"#{second} tr.panel")
    expect(panel.locator("h2")).to_be_focused()
    page.keyboard.press("o")
    expect(panel).to_have_count(0)
    expect(page.locator(f"#{second}-details")).to_be_focused()
    page.keyboard.press("ArrowUp")  # on a link the arrows scroll, as everywhere
    assert focused(page) == f"{second}-details"
    page.keyboard.press("m")
    assert focused(page).startswith(f"{second}-menu-")
    page.keyboard.press("Escape")
    assert focused(page) == f"{second}-menu"


def test_letters_are_text_in_a_field_and_can_be_switched_off(hands: Person) -> None:
    page, box = hands.page, hands.page.locator("#keys")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("jo?")
    expect(page.locator("#q")).to_have_value("jo?")
    expect(box).to_be_hidden()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(box).to_be_visible()
    page.keyboard.press("j")
    expect(box).to_be_visible()
    page.locator("#letters").uncheck()
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    for _again in range(2):  # remembered by this browser
        page.keyboard.press("j")
        page.keyboard.press("?")
        expect(box).to_be_hidden()
        assert not focused(page).endswith("-heading")
        hands.home()
    page.locator("#show-keys").click()
    page.locator("#letters").check()
    page.locator("#keys-close").click()
    page.keyboard.press("j")
    assert focused(page).endswith("-heading")


# -- the address --------------------------------------------------------------------------------


def test_the_drawer_and_the_tab_stand_in_the_address(hands: Person, browser: Browser) -> None:
    page = hands.page
    hands.home("&filter=todo")
    account = str(page.locator("tbody.connection").last.get_attribute("data-iban"))
    row, panel = hands.row(account), hands.row(account).locator("tr.panel")
    rows = page.locator("tbody.connection").count()
    before = page.url
    hands.choose(account, "details")
    expect(panel).to_be_visible()
    opened = page.url
    assert "filter=todo" in opened and "open=details" in opened

    with page.expect_event("load"):
        page.go_back()
    expect(panel).to_have_count(0)
    assert page.url == before
    with page.expect_event("load"):
        page.go_forward()
    expect(panel).to_be_visible()
    assert page.url == opened
    expect(page.locator("#tab-todo")).to_have_attribute("aria-current", "page")
    expect(page.locator("tbody.connection")).to_have_count(rows)

    with open_context(browser, java_script_enabled=False) as elsewhere:
        shared = elsewhere.new_page()
        shared.goto(opened)
        expect(shared.locator(f'tbody[data-iban="{account}"] tr.panel')).to_be_visible()
        expect(shared.locator("tbody.connection")).to_have_count(rows)

    row.locator('[data-action="close"]').click()
    expect(panel).to_have_count(0)
    assert "open=" not in page.url and "filter=todo" in page.url


def test_a_form_leaves_the_address_once_it_is_done(hands: Person) -> None:
    account, page = IBANS["switched_off"], hands.page
    hands.choose(account, "activate")
    hands.form(account)
    assert "open=activate" in page.url
    page.reload()
    expect(hands.form(account)).to_be_visible()
    hands.submit(account)
    hands.shows(account, "r6")
    assert "open=" not in page.url
    hands.choose(account, "switch-off")
    hands.shows(account, "r12")


def test_a_row_under_another_tab_is_shown_under_all(hands: Person) -> None:
    number = str(hands.row(IBANS["active"]).get_attribute("id")).removeprefix("connection-")
    hands.home(f"&filter=todo&connection={number}&open=details")
    expect(hands.row(IBANS["active"]).locator("tr.panel")).to_be_visible()
    expect(hands.page.locator("#tab-all")).to_have_attribute("aria-current", "page")


# -- left open all day --------------------------------------------------------------------------


@pytest.fixture
def patient(browser: Browser, house: TestHouse) -> Iterator[Person]:
    """A page left open, whose clock the test can hurry."""
    with open_context(browser) as opened:
        hands = person(house, opened, FIRM)
        hands.page.clock.install()
        yield hands


def poll(page: Page) -> int:
    with page.expect_response(re.compile(r"/administrations/\d+/rows")) as told:
        page.clock.fast_forward(15_500)
    return int(told.value.status)


def journal_without_ado(house: TestHouse, hands: Person, code: str, account: str) -> int:
    """A colleague adds a journal meanwhile."""
    return add_journal(
        house.services,
        hands.administration_id,
        house.at(),
        code=code,
        name="Bank intussen",
        iban=account,
        actor="Piet",
    )


def taken_away(house: TestHouse, connection: int) -> None:
    choose_journal(
        house.services, connection, house.at(),
        journal="", code="", name="", version=None, actor="Piet",
    )  # fmt: skip


def test_a_row_that_comes_or_goes_elsewhere_comes_and_goes_here(
    patient: Person, house: TestHouse
) -> None:
    page, account = patient.page, iban(9874)
    patient.home()
    rows = page.locator("tbody.connection")
    before = rows.count()
    assert poll(page) == 204
    connection = journal_without_ado(house, patient, "1004", account)
    assert poll(page) == 200
    expect(rows).to_have_count(before + 1)
    expect(page.locator("#tab-all .count")).to_have_text(str(before + 1))
    expect(page.locator("#shown")).to_have_text(f"{before + 1} rekeningen")
    order = [str(each.get_attribute("id")) for each in rows.all()]
    page.reload()
    assert [str(each.get_attribute("id")) for each in rows.all()] == order
    taken_away(house, connection)
    assert poll(page) == 200
    expect(patient.row(account)).to_have_count(0)
    expect(page.locator("#shown")).to_have_text(f"{before} rekeningen")
    assert poll(page) == 204


def test_the_first_and_the_last_row_of_a_list_come_and_go_too(
    patient: Person, house: TestHouse
) -> None:
    page, account = patient.page, iban(9875)
    patient.home(f"&q={account}")
    expect(page.locator("#connections .empty")).to_be_visible()
    connection = journal_without_ado(house, patient, "1005", account)
    patient.refresh()
    expect(patient.row(account)).to_be_visible()
    expect(page.locator("#shown")).to_have_text("1 rekening")
    patient.choose(account, "details")
    expect(patient.row(account).locator("tr.panel")).to_be_visible()
    patient.row(account).locator('[data-action="close"]').click()
    expect(patient.row(account).locator("tr.panel")).to_have_count(0)
    taken_away(house, connection)
    assert poll(page) == 200
    expect(page.locator("#connections .empty")).to_be_visible()


def test_what_changes_under_another_tab_is_counted_here_too(
    patient: Person, house: TestHouse
) -> None:
    page, account = patient.page, iban(9876)
    patient.home("&filter=active")
    count = int(page.locator("#tab-all .count").inner_text())
    connection = journal_without_ado(house, patient, "1006", account)
    assert poll(page) == 200
    expect(page.locator("#tab-all .count")).to_have_text(str(count + 1))
    expect(patient.row(account)).to_have_count(0)
    taken_away(house, connection)


def test_the_number_of_things_to_do_stands_in_the_browsers_tab(
    patient: Person, house: TestHouse
) -> None:
    page = patient.page
    patient.home()
    count = int(page.locator("#tab-todo .count").inner_text())
    icon = page.locator("#icon")
    expect(icon).to_have_attribute("href", f"/badge/{count}.svg")
    assert page.title().startswith(f"({count}) ")
    drawn = page.request.get(house.origin + f"/badge/{count}.svg")
    assert drawn.ok and f">{count}</text>" in drawn.text()
    patient.choose(IBANS["new"], "activate")
    patient.submit(IBANS["new"])
    expect(icon).to_have_attribute("href", f"/badge/{count - 1}.svg")
    assert page.title().startswith(f"({count - 1}) ")
    patient.choose(IBANS["new"], "remove")
    patient.submit(IBANS["new"])
    expect(icon).to_have_attribute("href", f"/badge/{count}.svg")


def test_nothing_jumps_while_the_page_refreshes(hands: Person) -> None:
    page = hands.page
    boxes = """() => ['#refresh', '#add-journal', '#updated', '#morning', 'tbody.connection']
      .map(each => document.querySelector(each).getBoundingClientRect().toJSON())"""
    before = page.evaluate(boxes)
    during: list[object] = []

    def slowly(route: object) -> None:
        page.wait_for_selector("#refresh[aria-busy]")
        during.append(page.evaluate(boxes))
        route.continue_()  # type: ignore[attr-defined]

    page.route(re.compile("/refresh$"), slowly)
    hands.refresh()
    expect(page.locator("#refresh")).not_to_have_attribute("aria-busy", "true")
    assert during == [before]
    assert page.evaluate(boxes) == before


def test_times_are_said_plainly_and_exactly_on_demand(hands: Person) -> None:
    hands.choose(IBANS["expired_with_rescue"], "details")
    panel = hands.row(IBANS["expired_with_rescue"]).locator("tr.panel")
    time = panel.locator(".history time").last
    expect(time).to_have_text(re.compile(r"^(.* geleden|gisteren|zojuist)$"), use_inner_text=True)
    panel.get_by_label("Exacte tijden").check()
    expect(time).to_have_text(re.compile(r"\d{1,2} \w+ \d{4} \d\d:\d\d$"), use_inner_text=True)


# -- on a phone ---------------------------------------------------------------------------------


def test_the_tabs_one_is_on_are_in_sight_on_a_phone(browser: Browser, house: TestHouse) -> None:
    with open_context(browser, viewport={"width": 390, "height": 844}) as watched:
        hands = person(house, watched, FIRM)
        page = hands.page
        for path, count in (("/provider", 2), (f"/?administration={hands.administration_id}", 2)):
            page.goto(house.origin + path + ("&filter=off" if "?" in path else ""))
            tabs = page.locator(":is(.tabs, .sections) [aria-current]")
            expect(tabs).to_have_count(count)
            for tab in tabs.all():
                expect(tab).to_be_in_viewport(ratio=0.95)
        hands.refresh()  # renews the tabs
        expect(page.locator("#tab-off")).to_be_in_viewport(ratio=0.95)


# -- on paper -----------------------------------------------------------------------------------


def test_paper_is_white_dated_and_without_buttons(hands: Person, house: TestHouse) -> None:
    page = hands.page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("main .chip.broken").first.evaluate(
        "chip => getComputedStyle(chip).color"
    ) == ("rgb(156, 28, 28)")
    shown = [each for each in page.locator("button, a.button").all() if each.is_visible()]
    assert shown == []
    dated = page.evaluate(
        "getComputedStyle(document.getElementById('updated'), '::before').content"
    )
    assert str(house.at().today.year) in dated


# -- what does not belong here ------------------------------------------------------------------


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_an_account_that_does_not_belong_here_stops_asking(
    browser: Browser, house: TestHouse, script: bool
) -> None:
    account = IBANS["no_journal_yet"]
    with open_context(browser, java_script_enabled=script) as watched:
        hands = person(house, watched, FIRM)
        hands.home()
        page, count = hands.page, int(hands.page.locator("#tab-todo .count").inner_text())
        expect(page.locator("#tab-hidden")).to_have_count(0)
        hands.choose(account, "hide")
        expect(page.locator("#tab-todo .count")).to_have_text(str(count - 1))
        expect(page.locator("#tab-hidden .count")).to_have_text("1")
        said = page.locator("main .notice.ok")
        expect(said).to_contain_text("Verborgen")
        said.locator('[data-action="undo"]').click()
        expect(hands.row(account)).to_be_visible()
        expect(page.locator("#tab-todo .count")).to_have_text(str(count))

        hands.choose(account, "hide")
        expect(page.locator("#tab-hidden .count")).to_have_text("1")
        hands.home("&filter=hidden")
        expect(page.locator("tbody.connection")).to_have_count(1)
        hands.choose(account, "show")
        expect(page.locator("main .notice.ok")).to_contain_text("Staat weer in de lijst.")
        hands.home()
        expect(hands.row(account)).to_be_visible()
        expect(page.locator("#tab-hidden")).to_have_count(0)


def test_a_hidden_account_comes_back_with_its_journal(hands: Person, house: TestHouse) -> None:
    holder = new_holder(house, "vreemd", 97)
    hands.sign_in_as(holder.email)
    hands.add_journal("1007", "Bank vreemd", holder.iban)
    hands.grant(holder.iban)
    hands.choose(holder.iban, "choose-journal")
    hands.tick(hands.form(holder.iban).locator('[name="journal"][value=""]'))
    hands.submit(holder.iban)
    hands.choose(holder.iban, "hide")
    expect(hands.row(holder.iban)).to_have_count(0)
    hands.add_journal("1008", "Toch van ons", holder.iban)
    hands.shows(holder.iban, "r11")
