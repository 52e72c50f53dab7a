"""The page under a person's hands: focus, busy, errors, what others change meanwhile, finding a
row among many, and who may see what."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect
from sqlalchemy import select

from banklink.actions.choose_journal import add_journal
from banklink.examples import EXAMPLES, FIRMS
from banklink.store.models import Administration, Connection, Event
from tests.browser.people import Person, iban, new_holder, person
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser

IBANS = {each.name: each.iban for each in EXAMPLES}
ADMINISTRATION = "Bakkerij De Vries"
ROWS = "tbody.connection"


@pytest.fixture(scope="module")
def desk(browser: Browser, house: TestHouse) -> Iterator[tuple[Person, Watched]]:
    with open_context(browser) as opened:
        yield person(house, opened, ADMINISTRATION), opened


@pytest.fixture
def watched(desk: tuple[Person, Watched]) -> Watched:
    return desk[1]


@pytest.fixture
def hands(desk: tuple[Person, Watched]) -> Iterator[Person]:
    """One browser for all, at the list; each test looks after its own complaints."""
    hands, watched = desk
    hands.administration = ADMINISTRATION
    hands.home()
    yield hands
    watched.check()


@pytest.fixture
def colleague(browser: Browser, house: TestHouse) -> Iterator[Person]:
    """Another browser of the same office."""
    with open_context(browser) as opened:
        other = person(house, opened, ADMINISTRATION)
        other.home()
        yield other


def active(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def connection_of(house: TestHouse, account: str) -> int:
    with house.services.store.read() as session:
        found = session.scalar(
            select(Connection.id)
            .join(Administration, Administration.id == Connection.administration_id)
            .where(Connection.iban == account, Administration.name == ADMINISTRATION)
        )
    assert found is not None
    return int(found)


# -- focus --------------------------------------------------------------------------------------


def test_a_form_opens_with_the_focus_in_its_first_field(hands: Person) -> None:
    account = IBANS["new"]
    hands.choose(account, "activate")
    form = hands.form(account)
    first = form.locator("input:not([type=hidden]):not(:disabled):visible").first
    expect(first).to_be_focused()


def test_escape_closes_a_form_and_the_focus_goes_back(hands: Person) -> None:
    account = IBANS["new"]
    opener = hands.row(account).locator('[data-action="activate"]')
    opener.click()
    expect(hands.form(account)).to_be_visible()
    hands.page.keyboard.press("Escape")
    expect(hands.row(account).locator("tr.panel")).to_have_count(0)
    expect(opener).to_be_focused()


def test_cancel_of_a_form_from_the_menu_brings_the_focus_back_to_the_menu(hands: Person) -> None:
    account = IBANS["active"]
    hands.choose(account, "change-start")
    expect(hands.form(account).locator('[name="start"]')).to_be_focused()
    hands.form(account).locator("[data-close]").click()
    expect(hands.row(account).locator('summary[id$="-menu"]')).to_be_focused()


def test_after_success_the_focus_stays_in_the_row_and_it_is_said(hands: Person) -> None:
    account = IBANS["switched_off"]
    hands.choose(account, "activate")
    hands.submit(account)
    row = hands.shows(account, "r6")
    expect(row.locator(".heading")).to_be_focused()
    expect(hands.page.locator("#live")).to_contain_text("Ingeschakeld.")
    hands.choose(account, "switch-off")
    hands.shows(account, "r12")
    expect(hands.page.locator("#live")).to_contain_text("Uitgeschakeld.")
    assert active(hands.page).startswith(str(row.get_attribute("id")))


def test_a_link_that_is_removed_is_said_and_the_hand_goes_to_the_next_row(
    hands: Person, house: TestHouse
) -> None:
    """Switched on, then no journal and no access any more: removing it leaves nothing to show."""
    holder = new_holder(house, "weg", 95)
    hands.sign_in_as(holder.email)
    hands.add_journal("1001", "Bank weg", holder.iban)
    hands.grant(holder.iban)
    hands.activate(holder.iban)
    hands.choose(holder.iban, "choose-journal")
    hands.tick(hands.form(holder.iban).locator('[name="journal"][value=""]'))
    hands.submit(holder.iban)
    hands.revoke_access()
    hands.home()
    hands.refresh()
    hands.shows(holder.iban, "r1")
    tab, before = hands.page.locator("#tab-all .count"), hands.page.locator(ROWS).count()
    row = hands.row(holder.iban)
    hands.choose(holder.iban, "remove")
    button = hands.form(holder.iban).locator(".buttons .primary")
    following = row.evaluate(
        "row => (row.nextElementSibling || row.previousElementSibling).querySelector('.heading').id"
    )
    button.click()
    expect(row).to_have_count(0)
    expect(hands.page.locator("#live")).to_contain_text("Koppeling verwijderd")
    expect(hands.page.locator(f"#{following}")).to_be_focused()
    expect(tab).to_have_text(str(before - 1))
    expect(hands.page.locator("#shown")).to_have_text(f"{before - 1} rekeningen")


def test_the_last_row_that_leaves_leads_the_hand_to_the_head_of_the_page(hands: Person) -> None:
    account = iban(9871)
    hands.add_journal("1002", "Bank weg", account)
    hands.home(f"&q={account}")
    hands.choose(account, "choose-journal")
    hands.form(account).locator('[name="journal"][value=""]').check()
    hands.form(account).locator(".buttons .primary").click()
    expect(hands.row(account)).to_have_count(0)
    expect(hands.page.locator("#live")).to_have_text("Dagboek gewijzigd.")
    expect(hands.page.locator("h1")).to_be_focused()
    expect(hands.page.locator(".empty")).to_contain_text("Niets gevonden")


def test_what_the_whole_list_says_follows_every_press(hands: Person) -> None:
    """Under a tab: the counts, the morning line and the browser's tab are renewed, the tab stays."""
    account, page = IBANS["switched_off"], hands.page
    hands.home("&filter=off")
    off, active = page.locator("#tab-off"), page.locator("#tab-active .count")
    before = int(active.inner_text())
    hands.choose(account, "activate")
    hands.submit(account)
    expect(active).to_have_text(str(before + 1))
    expect(off).to_have_attribute("aria-current", "page")
    hands.refresh()
    expect(off).to_have_attribute("aria-current", "page")
    hands.choose(account, "switch-off")
    expect(active).to_have_text(str(before))


def test_code_and_name_are_asked_for_a_new_journal_only(hands: Person) -> None:
    account = IBANS["no_journal_yet"]
    hands.choose(account, "choose-journal")
    form = hands.form(account)
    code, name = form.locator('[name="code"]'), form.locator('[name="name"]')
    expect(code).to_be_hidden()
    expect(name).to_be_hidden()
    form.locator('[name="journal"][value="new"]').check()
    expect(code).to_be_visible()
    expect(code).not_to_have_value("")
    expect(name).to_have_value("Deposito")


def test_details_take_the_focus_and_give_it_back(hands: Person) -> None:
    row = hands.row(IBANS["expiring"])
    opener = row.locator('.act [data-action="details"]')
    opener.click()
    expect(row.locator("tr.panel h2")).to_be_focused()
    row.locator('[data-action="close"]').click()
    expect(opener).to_be_focused()


# -- the quiet poll -----------------------------------------------------------------------------


def _poll(page: Page) -> None:
    with page.expect_response(re.compile(r"/administrations/\d+/rows")):
        page.clock.fast_forward(15_500)


@pytest.fixture
def patient(browser: Browser, house: TestHouse) -> Iterator[Person]:
    """A page left open, whose clock the test can hurry."""
    with open_context(browser) as opened:
        hands = person(house, opened, ADMINISTRATION)
        hands.page.clock.install()
        hands.home()
        hands.page.evaluate(
            "document.querySelectorAll('tbody.connection').forEach(row => { row.untouched = true })"
        )
        yield hands


def _untouched(page: Page) -> set[str]:
    return set(
        page.evaluate(
            "[...document.querySelectorAll('tbody.connection')]"
            ".filter(row => row.untouched).map(row => row.dataset.iban)"
        )
    )


def test_the_poll_brings_a_colleagues_change_and_touches_no_other_row(
    patient: Person, colleague: Person
) -> None:
    account = IBANS["gap"]
    before = _untouched(patient.page)
    colleague.choose(account, "switch-off")
    colleague.shows(account, "r12")
    _poll(patient.page)
    patient.shows(account, "r12")
    assert before - _untouched(patient.page) == {account}
    assert patient.page.locator("#live").inner_text() == ""
    colleague.press(colleague.row(account).locator('[data-action="undo"]'))
    colleague.shows(account, "r6")


def test_the_poll_leaves_an_open_form_alone_and_says_that_the_row_changed(
    patient: Person, colleague: Person
) -> None:
    account = IBANS["outage"]
    patient.choose(account, "change-start")
    start = patient.form(account).locator('[name="start"]')
    start.fill("2026-05-05")
    colleague.choose(account, "switch-off")
    colleague.shows(account, "r12")
    _poll(patient.page)
    row = patient.row(account)
    expect(row.locator('[id$="-changed"]')).to_contain_text(
        "Deze regel is intussen gewijzigd: Uit."
    )
    expect(start).to_have_value("2026-05-05")
    expect(start).to_be_focused()
    row.locator('[data-action="show"]').click()
    patient.shows(account, "r12")
    expect(row.locator("tr.panel")).to_have_count(0)
    colleague.press(colleague.row(account).locator('[data-action="undo"]'))
    colleague.shows(account, "r6")


# -- pressing twice, pressing late, pressing without a network -----------------------------------


def _press_twice(page: Page, button: Locator, address: str, *, leaves: bool = False) -> None:
    """The second press comes while the first is still on its way; it must not leave the page."""
    sent: list[Route] = []
    page.route(re.compile(address), lambda route: sent.append(route))
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    for _ in range(2):
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(400)
    if not leaves:
        expect(button).to_have_attribute("aria-busy", "true")
        expect(button).to_have_text("Bezig…")
    assert len(sent) == 1
    sent[0].continue_()
    page.unroute(re.compile(address))


def test_a_second_press_while_switching_on_changes_nothing(hands: Person, house: TestHouse) -> None:
    account = IBANS["active"]
    hands.choose(account, "switch-off")
    hands.shows(account, "r12")
    hands.choose(account, "activate")
    _press_twice(hands.page, hands.form(account).locator(".buttons .primary"), "/activate$")
    row = hands.shows(account, "r6")
    expect(row.locator(".notice.ok")).to_contain_text("Ingeschakeld.")
    with house.services.store.read() as session:
        latest = session.scalars(
            select(Event.kind)
            .where(Event.connection_id == connection_of(house, account))
            .order_by(Event.id.desc())
            .limit(3)
        ).all()
    assert list(latest).count("switched_on") == 1


def test_a_second_press_on_the_way_to_the_bank_leaves_once(hands: Person) -> None:
    row = hands.row(IBANS["not_completed"])
    _press_twice(hands.page, row.locator('[id$="-primary"]'), "/connect$", leaves=True)
    hands.page.wait_for_url(re.compile("/bank/"))
    hands.page.locator('[data-action="cancel"]').click()
    hands.back()
    expect(row.locator(".notice")).to_contain_text("Afgebroken; er is niets gewijzigd.")


def test_a_stale_form_keeps_what_was_typed_and_says_who_was_first(
    watched: Watched, hands: Person, colleague: Person
) -> None:
    watched.expect("status of 422")
    account = IBANS["expiring"]
    hands.choose(account, "change-start")
    start = hands.form(account).locator('[name="start"]')
    start.fill("2026-07-07")
    colleague.choose(account, "change-start")
    colleague.form(account).locator('[name="start"]').fill("2026-08-08")
    colleague.submit(account)
    hands.form(account).locator(".buttons .primary").click()
    expect(hands.form(account).locator('[role="alert"]')).to_contain_text(
        "Intussen gewijzigd door Sanne Jansen."
    )
    expect(start).to_have_value("2026-07-07")
    hands.submit(account)
    expect(hands.row(account).locator(".notice.ok")).to_contain_text("Startdatum gewijzigd.")


def test_without_a_network_the_row_stays_and_offers_to_try_again(
    browser: Browser, house: TestHouse
) -> None:
    with open_context(browser) as watched:
        watched.expect("ERR_INTERNET_DISCONNECTED|^htmx:")
        hands = person(house, watched, ADMINISTRATION)
        hands.home()
        row = hands.row(IBANS["expiring"])
        before = row.locator(".sentence").inner_text()
        watched.context.set_offline(True)
        row.locator('.act [data-action="details"]').click()
        alert = row.locator('.slot [role="alert"]')
        expect(alert).to_contain_text("Er kwam geen antwoord.")
        expect(row.locator(".sentence")).to_have_text(before)
        watched.context.set_offline(False)
        alert.get_by_role("button", name="Opnieuw").click()
        expect(row.locator("tr.panel")).to_be_visible()
        expect(row.locator(".slot [role=alert]")).to_have_count(0)


def test_a_bad_date_is_explained_at_its_field(watched: Watched, hands: Person) -> None:
    watched.expect("status of 422")
    account = IBANS["new"]
    hands.choose(account, "activate")
    for typed, message in (
        ("2099-01-01", "Kies vandaag of een eerdere dag"),
        ("", "Dat is geen datum."),
        ("1999-12-31", "eerder levert de bank niet."),
    ):
        field = hands.form(account).locator('[name="start"]')
        field.fill(typed)
        hands.form(account).locator(".buttons .primary").click()
        error = hands.form(account).locator("p.error")
        expect(error).to_contain_text(message)
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_value(typed)
        assert str(error.get_attribute("id")) in str(field.get_attribute("aria-describedby"))
        hands.shows(account, "r11")


def test_closed_books_are_named_and_the_first_open_day_is_offered(
    watched: Watched, hands: Person, house: TestHouse
) -> None:
    watched.expect("status of 422")
    hands.administration = next(firm.name for firm in FIRMS if firm.locked)
    hands.home()
    account = str(_rows(hands.page).first.get_attribute("data-iban"))
    hands.choose(account, "change-start")
    year = house.at().today.year
    hands.form(account).locator('[name="start"]').fill(f"{year - 1}-12-31")
    hands.form(account).locator(".buttons .primary").click()
    error = hands.form(account).locator("p.error")
    expect(error).to_contain_text(f"De boeken zijn afgesloten t/m 31 dec {year - 1}.")
    expect(hands.form(account).locator('[name="take_start"]')).to_contain_text(f"1 jan {year}")


# -- who may see what ---------------------------------------------------------------------------


def test_what_is_not_there_and_what_is_not_mine_look_the_same(
    watched: Watched, hands: Person, house: TestHouse
) -> None:
    watched.expect("status of 404")
    with house.services.store.write() as session:
        stranger = Administration(
            reference="van-een-ander",
            name="Van een ander",
            fiscal_year_start=house.at().today.replace(month=1, day=1),
        )
        session.add(stranger)
        session.flush()
        theirs = Connection(administration_id=stranger.id, iban=iban(777), currency="EUR")
        session.add(theirs)
        session.flush()
        paths = [
            "/connections/999999/row",
            f"/connections/{theirs.id}/row",
            f"/connections/{theirs.id}/transactions",
            f"/?administration={stranger.id}",
            "/?administration=999999",
            "/nergens",
        ]
    seen = set()
    for path in paths:
        answer = hands.page.goto(house.origin + path)
        assert answer is not None
        assert answer.status == 404, path
        seen.add(hands.page.locator("main").inner_text())
        expect(hands.page.locator("h1")).to_have_text("Niet gevonden")
    assert len(seen) == 1


@pytest.mark.parametrize("clipboard", ["lent", "refused", "unknown"])
def test_the_address_to_register_is_copied_with_one_press(
    hands: Person, house: TestHouse, clipboard: str
) -> None:
    page = hands.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=house.origin)
    page.goto(f"{house.origin}/provider")
    page.evaluate("() => { window.lent = navigator.clipboard; return lent.writeText('other'); }")
    if clipboard == "refused":
        page.evaluate("() => { lent.writeText = () => Promise.reject(new Error('no')); }")
    if clipboard == "unknown":
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    address = page.locator("#redirect-uri").input_value()
    button = page.locator("#redirect-uri-copy")
    assert button.inner_text() == "Kopieer"
    button.click()
    expect(button).to_have_text("Gekopieerd")
    assert page.locator("#live").inner_text() == "Gekopieerd"
    assert page.evaluate("() => lent.readText()") == address
    expect(button).to_have_text("Kopieer", timeout=3000)
    page.context.clear_permissions()


def test_another_host_name_is_turned_away(browser: Browser, house: TestHouse) -> None:
    port = house.origin.rsplit(":", 1)[1]
    with open_context(browser) as watched:
        watched.expect("status of 403|Cross-Origin-Opener-Policy header has been ignored")
        page = watched.new_page()
        for url in (f"http://bank.test:{port}/", f"http://127.0.0.1:{port}/"):
            answer = page.goto(url)
            assert answer is not None
            assert answer.status == 403
            expect(page.locator("h1")).to_have_text("Alleen op deze computer")
            expect(page.locator("tbody.connection")).to_have_count(0)
            expect(page.locator("body")).not_to_contain_text("Sanne")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_proxy_in_between_is_turned_away(browser: Browser, house: TestHouse, header: str) -> None:
    """Such a proxy asks for "localhost" itself, and lets the whole world in."""
    with open_context(browser, extra_http_headers={header: "203.0.113.9"}) as watched:
        watched.expect("status of 403")
        answer = watched.new_page().goto(house.origin)
        assert answer is not None
        assert answer.status == 403


# -- two languages ------------------------------------------------------------------------------

ENGLISH = re.compile(
    r"\b(renew|details of|since|account|accounts|valid until|switch(ed)? (on|off)|fetch(ed)?|"
    r"transactions?|days? left|journal|refresh|search|through|action|needs|expired|expires|"
    r"bank connections|history|close|show|cancel|withdrawn|not|the|and)\b",
    re.IGNORECASE,
)


def _dutch(text: str) -> list[str]:
    return sorted({found.group(0) for found in ENGLISH.finditer(text)})


def _names(page: Page) -> str:
    """What is seen and what is only heard."""
    heard = page.evaluate(
        "[...document.querySelectorAll('[aria-label],[placeholder],[title]')].map(e =>"
        " [e.getAttribute('aria-label'), e.getAttribute('placeholder'), e.title].join(' '))"
    )
    return page.locator("body").inner_text() + " " + page.title() + " ".join(heard)


def test_the_page_is_dutch_until_it_is_english(hands: Person) -> None:
    page = hands.page
    for key in ("expiring", "not_completed", "unticked"):
        row = hands.row(IBANS[key])
        row.locator('.act [data-action="details"]').click()
        expect(row.locator("tr.panel")).to_be_visible()
    assert _dutch(_names(page)) == []
    expect(page.locator("html")).to_have_attribute("lang", "nl")
    page.locator('.languages [value="en"]').click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("h1")).to_have_text("Bank connections")
    assert "verlopen" not in _names(page).lower()
    page.locator('.languages [value="nl"]').click()
    expect(page.locator("h1")).to_have_text("Bankenkoppeling")


# -- finding a row ------------------------------------------------------------------------------


def _rows(page: Page) -> Locator:
    return page.locator("tbody.connection")


def test_tabs_count_what_they_show(hands: Person) -> None:
    page = hands.page
    tabs = page.locator("#tabs a")
    names = [tabs.nth(i).inner_text() for i in range(tabs.count())]
    assert [re.sub(r"\s*\d+", "", name).strip() for name in names] == [
        "Alles", "Actie nodig", "Verloopt binnenkort", "Actief", "Uit",
    ]  # fmt: skip
    for index, name in enumerate(names):
        tabs.nth(index).click()
        expect(tabs.nth(index)).to_have_attribute("aria-current", re.compile("page|true"))
        count = int(re.findall(r"\d+", name)[0])
        expect(_rows(page)).to_have_count(count)
    assert sum(int(re.findall(r"\d+", name)[0]) for name in names[1:]) == int(
        re.findall(r"\d+", names[0])[0]
    )


def test_search_finds_an_account(hands: Person) -> None:
    account = IBANS["gap"]
    spaced = " ".join(account[i : i + 4] for i in range(0, 18, 4))
    for query in (spaced, account.lower(), "verkoop"):
        hands.page.locator("#q").fill(query)
        hands.page.locator("#search").click()
        expect(hands.page.locator("#q")).to_have_value(query)
        expect(_rows(hands.page)).to_have_count(1)
        expect(_rows(hands.page)).to_have_attribute("data-iban", account)


def test_search_finds_a_holder_and_says_when_nothing_is_found(hands: Person) -> None:
    page = hands.page
    page.locator("#q").fill("Piet")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=Piet"))
    names = page.locator("tbody.connection .via")
    expect(names.nth(4)).to_be_visible()
    page.locator("#q").fill("<b>niemand</b>")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("Niets gevonden voor “<b>niemand</b>”.")
    page.locator(".empty .button").click()
    expect(_rows(page).nth(15)).to_be_visible()


def test_sixty_journals_make_pages_and_a_link_leads_to_the_right_one(
    hands: Person, house: TestHouse
) -> None:
    hands.administration = "Fietsatelier Noord"
    administration = hands.administration_id
    for number in range(60):
        last = add_journal(
            house.services, administration, house.at(), code=f"4{number:03d}",
            name=f"Bank {number}", iban=iban(5000 + number), actor="Sanne Jansen",
        )  # fmt: skip
    page = hands.page
    hands.home()
    expect(_rows(page)).to_have_count(50)
    expect(page.locator(".pager")).to_contain_text("1–50 van 62 rekeningen")
    page.locator("#next").click()
    expect(_rows(page)).to_have_count(12)
    page.locator("#previous").click()
    expect(_rows(page)).to_have_count(50)

    page.goto(
        f"{house.origin}/?administration={administration}&connection={last}#connection-{last}"
    )
    row = page.locator(f"#connection-{last}")
    expect(row).to_be_in_viewport()
    expect(row).to_have_attribute("data-iban", iban(5059))
