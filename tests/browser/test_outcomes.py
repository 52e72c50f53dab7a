"""Every way a visit to the bank can end (domain A2.7), and answers that arrive twice, elsewhere or
not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from banklink.actions.sweep import sweep
from banklink.core.calendar import Moment
from tests.browser.people import Holder, Person, complete, new_holder, person
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser

CALLBACK = re.compile(r"/returned/ponto")


@pytest.fixture(scope="module")
def opened(browser: Browser, house: TestHouse) -> Iterator[tuple[Person, Watched, Holder]]:
    """Two accounts shared, one of them in the books and active: what every visit is about."""
    holder = new_holder(house, "uit", 60)
    with open_context(browser) as watched:
        hands = person(house, watched)
        hands.sign_in_as(holder.email)
        hands.add_journal("300", "Bank uitkomsten", holder.iban)
        hands.grant(holder.iban, holder.iban, holder.other, valid_days=150)
        hands.activate(holder.iban)
        yield hands, watched, holder


@pytest.fixture
def hands(opened: tuple[Person, Watched, Holder], house: TestHouse) -> Iterator[Person]:
    hands, watched, _ = opened
    if not hands.page.url.startswith(f"{house.origin}/?"):
        hands.home()
    yield hands
    watched.check()


@pytest.fixture
def holder(opened: tuple[Person, Watched, Holder]) -> Holder:
    return opened[2]


def _choose(outcome: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.locator("#test-panel summary").click()
        page.locator('[name="outcome"]').select_option(outcome)
        page.locator('[data-action="bank-sign-in"]').click()

    return act


def _other_account(page: Page) -> None:
    _choose("other_account")(page)
    page.locator('[data-action="confirm"]').click()


def _cancel_at_sign_in(page: Page) -> None:
    page.locator('[data-action="cancel"]').click()


def _cancel_at_consent(page: Page) -> None:
    page.locator('[data-action="bank-sign-in"]').click()
    expect(page.locator("#bank-consent")).to_be_visible()
    page.locator('[data-action="cancel"]').click()


def _refuse(page: Page) -> None:
    page.locator('[data-action="bank-sign-in"]').click()
    page.locator('[data-action="refuse"]').click()


def _wrong_code(page: Page) -> None:
    for left in (2, 1, 0):
        page.locator('[name="code"]').fill("0000")
        page.locator('[data-action="bank-sign-in"]').click()
        if left:
            expect(page.locator("#error")).to_contain_text(str(left))


CANCELLED = "Afgebroken; er is niets gewijzigd."
LOGIN_FAILED = "Inloggen bij de bank lukte niet; er is niets gewijzigd. Probeer het opnieuw."
TOO_LONG = "Het duurde de bank te lang; er is niets gewijzigd. Begin opnieuw."
OUTAGE = "Storing bij de bank; er is niets gewijzigd. Probeer het later opnieuw."

NOTHING_CHANGED: dict[str, tuple[Callable[[Page], None], str]] = {
    "cancelled at the sign-in": (_cancel_at_sign_in, CANCELLED),
    "cancelled at the consent": (_cancel_at_consent, CANCELLED),
    "refused": (_refuse, CANCELLED),
    "denied": (_choose("denied"), CANCELLED),
    "a wrong code three times": (_wrong_code, LOGIN_FAILED),
    "wrong code by the panel": (_choose("wrong_code"), LOGIN_FAILED),
    "too slow": (_choose("timeout"), TOO_LONG),
    "outage": (_choose("outage"), OUTAGE),
}


@pytest.mark.parametrize("ending", NOTHING_CHANGED)
def test_a_visit_that_fails_says_how_and_changes_nothing(
    hands: Person, holder: Holder, opened: tuple[Person, Watched, Holder], ending: str
) -> None:
    act, message = NOTHING_CHANGED[ending]
    opened[1].expect("status of 422")
    row = hands.shows(holder.iban, "r6")
    until = row.locator(".until time").inner_text()
    hands.choose(holder.iban, "renew")
    hands.page.wait_for_url(re.compile("/bank/"))
    act(hands.page)
    hands.back()
    row = hands.shows(holder.iban, "r6")
    expect(row.locator(".notice")).to_contain_text(message)
    expect(row.locator(".until time")).to_have_text(until)
    expect(hands.page.locator("tbody .notice")).to_have_count(1)


def test_another_account_is_connected_and_named(hands: Person, holder: Holder) -> None:
    row = hands.shows(holder.iban, "r6")
    until = row.locator(".until time").inner_text()
    hands.choose(holder.iban, "renew")
    hands.page.wait_for_url(re.compile("/bank/"))
    _other_account(hands.page)
    hands.back()
    row = hands.shows(holder.iban, "r6")
    said = row.locator(".notice").inner_text().replace("\u00a0", "")
    assert f"Gekoppeld: {holder.other}. Gezocht was {holder.iban}." in said
    expect(row.locator(".until time")).to_have_text(until)
    expect(hands.row(holder.other).locator(".until time")).not_to_have_text(until)


def test_whoever_never_comes_back_is_told_so_after_a_while(
    hands: Person, holder: Holder, house: TestHouse
) -> None:
    hands.choose(holder.iban, "renew")
    hands.page.wait_for_url(re.compile("/bank/"))
    _choose("no_return")(hands.page)
    hands.home()
    row = hands.shows(holder.iban, "r6")
    expect(row.locator(".overlay-renewal_running")).to_contain_text("Stap bij de bank loopt")
    at = house.at()
    sweep(house.services, Moment(at.now, at.real + timedelta(minutes=61)))
    hands.home()
    expect(row.locator(".notice")).to_contain_text(
        "Niemand kwam terug van de bank; er is niets gewijzigd. Begin opnieuw."
    )
    expect(row.locator(".overlay-renewal_running")).to_have_count(0)
    hands.shows(holder.iban, "r6")


def test_an_outage_at_the_bank_is_told_and_the_link_stays(
    hands: Person, holder: Holder, house: TestHouse
) -> None:
    page = hands.page
    page.goto(f"{house.bank_origin}/panel")
    page.locator(f'#outage-{holder.code} [data-action="outage-on"]').click()
    hands.home()
    hands.choose(holder.iban, "renew")
    page.wait_for_url(re.compile("/bank/"))
    page.locator('[data-action="cancel"]').click()
    hands.back()
    row = hands.shows(holder.iban, "r6")
    expect(row.locator(".notice")).to_contain_text(OUTAGE)
    page.goto(f"{house.bank_origin}/panel")
    page.locator(f'#outage-{holder.code} [data-action="outage-off"]').click()
    expect(page.locator(f"#outage-{holder.code}")).to_have_attribute("data-outage", "off")


def test_a_healthy_link_survives_a_cancelled_early_renewal(
    hands: Person, holder: Holder, house: TestHouse
) -> None:
    hands.leave_and_cancel(holder.iban, "renew")
    hands.shows(holder.iban, "r6")
    hands.choose(holder.iban, "fetch")
    expect(hands.row(holder.iban).locator(".notice.ok")).to_contain_text("Opgehaald.")
    complete(house, hands.administration_id, holder.iban)


def test_approved_tells_until_when_and_the_answer_opened_again_does_no_harm(
    hands: Person, holder: Holder, house: TestHouse, browser: Browser
) -> None:
    answers: list[str] = []
    hands.page.on(
        "request", lambda asked: answers.append(asked.url) if CALLBACK.search(asked.url) else None
    )
    hands.leave(holder.iban, "renew", valid_days=120)
    row = hands.shows(holder.iban, "r6")
    said = row.locator(".notice.ok")
    until = row.locator(".until time").inner_text()
    expect(said).to_contain_text(f"Gelukt. Geldig tot {until}; 1 andere rekening is mee vernieuwd.")
    assert len(answers) == 1
    assert "state=" not in hands.page.url
    assert "code=" not in hands.page.url

    hands.page.goto(answers[0])
    row = hands.shows(holder.iban, "r6")
    expect(row.locator(".until time")).to_have_text(until)
    complete(house, hands.administration_id, holder.iban)
    with open_context(browser) as elsewhere:
        elsewhere.expect("status of 400")
        page = elsewhere.new_page()
        page.goto(answers[0])
        expect(page.locator("h1")).to_have_text("Deze link is al gebruikt")
        page.locator("#back").click()
        expect(page.locator("h1")).to_have_text("Bankenkoppeling")


@pytest.mark.parametrize("query", ["", "?state=niet-van-ons&code=x", "?error=access_denied"])
def test_an_answer_nobody_asked_for_is_turned_away(
    browser: Browser, house: TestHouse, query: str
) -> None:
    with open_context(browser) as watched:
        watched.expect("status of 400")
        page = watched.new_page()
        answer = page.goto(f"{house.origin}/returned/ponto{query}")
        assert answer is not None
        assert answer.status == 400
        expect(page.locator("h1")).to_have_text("Deze link is niet van ons")
        page.locator("#back").click()
        expect(page.locator("h1")).to_have_text("Bankenkoppeling")


@pytest.mark.parametrize("purpose", ["renew", "grant"])
def test_an_answer_in_another_browser_waits_for_the_one_that_asked(
    browser: Browser, house: TestHouse, opened: tuple[Person, Watched, Holder], purpose: str
) -> None:
    """A banking app opens the answer in its own browser: there it says "almost done", here the row
    offers to finish, and only then something happens."""
    _, _, shared = opened
    holder = shared if purpose == "renew" else new_holder(house, "elders", 61)
    with open_context(browser) as here, open_context(browser) as there:
        hands = person(house, here)
        caught: list[str] = []

        def catch(route: Route) -> None:
            """The bank's redirect never reaches this browser."""
            answer = route.fetch(max_redirects=0)
            caught.append(answer.headers["location"])
            route.fulfill(status=204)

        if purpose == "grant":
            hands.sign_in_as(holder.email)
            hands.add_journal("310", "Bank elders", holder.iban)
        else:
            hands.home()
        hands.choose(holder.iban, purpose)
        if purpose == "grant":
            hands.page.wait_for_url(re.compile("/oauth2/consent"))
            hands.tick(hands.page.locator(f'#consent [data-iban="{holder.iban}"]'))
            hands.press(hands.page.locator('[data-action="allow"]'))
        hands.page.wait_for_url(re.compile("/bank/"))
        hands.page.locator('[data-action="bank-sign-in"]').click()
        expect(hands.page.locator("#bank-consent")).to_be_visible()
        here.context.route(re.compile(r"/bank/[^/]+/authorise/[^/]+/consent$"), catch)
        with hands.page.expect_response(lambda answer: answer.status == 204):
            hands.page.locator('[data-action="confirm"]').click()
        assert len(caught) == 1
        assert CALLBACK.search(caught[0])

        page = there.new_page()
        page.goto(caught[0])
        expect(page.locator("h1")).to_have_text("Bijna klaar")
        expect(page.locator(".message")).to_contain_text("druk in de regel op Afronden")
        stranger = Person(house, page)
        stranger.home()
        expect(stranger.row(holder.iban).locator('[data-action="finish"]')).to_have_count(0)

        hands.home()
        row = hands.shows(holder.iban, "r8" if purpose == "grant" else "r6")
        expect(row.locator(".notice")).to_contain_text("kwam binnen in een andere browser")
        finish = row.locator('[data-action="finish"]')
        expect(finish).to_have_text("Afronden")
        hands.press(finish)
        row = hands.shows(holder.iban, "r11" if purpose == "grant" else "r6")
        expect(row.locator(".notice.ok")).to_contain_text("Gelukt. Geldig tot")
        expect(finish).to_have_count(0)


def test_a_first_connection_that_is_cancelled_can_be_tried_again(
    hands: Person, house: TestHouse
) -> None:
    """Nothing was authorised before, so the row stays what it was and keeps its button."""
    holder = new_holder(house, "eerst", 62)
    hands.sign_in_as(holder.email)
    hands.add_journal("320", "Bank eerst", holder.iban)
    hands.grant(holder.iban, how="allow_later")
    row = hands.shows(holder.iban, "r10a")
    expect(row.locator(".notice")).to_contain_text("De stap bij de bank komt nog.")
    hands.leave_and_cancel(holder.iban, "connect")
    row = hands.shows(holder.iban, "r10a")
    expect(row.locator(".notice")).to_contain_text(CANCELLED)
    hands.leave(holder.iban, "connect")
    hands.shows(holder.iban, "r11")
