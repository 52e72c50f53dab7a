"""What the account holder has to do is asked for by mail and done in another browser.

Two people: the bookkeeper looks at the maintenance page, the holder has a mailbox and a browser of
their own, signed in at the entrepreneur app. Mail goes over SMTP to a real server. Clicks are
counted as in test_statuses_and_clicks; opening the link in the mail is the holder's first.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from banklink.store.models import Administration, Membership, User
from tests.browser.people import Holder, Person, complete, in_the_books, new_holder, person
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse, running
from tests.support.mailbox import Letter, Mailbox, mailbox

pytestmark = pytest.mark.browser

BOOKKEEPER, HOLDER = 2, 2
"""The most clicks of each that domain A3 allows where the holder is asked by mail."""


@dataclass
class Office:
    house: TestHouse
    box: Mailbox

    def letter_to(self, email: str) -> Letter:
        """The newest mail, once the job that sends has had its turn."""
        self.house.jobs()
        return self.box.to(email)[-1]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with (
        mailbox() as box,
        running(
            tmp_path_factory.mktemp("mail"),
            BANKLINK_OFFICE="Kantoor Jansen",
            BANKLINK_OFFICE_PHONE="050-1234567",
            **box.settings,
        ) as house,
    ):
        yield Office(house, box)


@pytest.fixture(scope="module")
def desk(browser: Browser, office: Office) -> Iterator[tuple[Person, Watched]]:
    with open_context(browser) as watched:
        hands = person(office.house, watched)
        hands.page.clock.install()
        yield hands, watched


@pytest.fixture
def hands(desk: tuple[Person, Watched]) -> Iterator[Person]:
    hands, watched = desk
    yield hands
    watched.check()


@pytest.fixture
def elsewhere(browser: Browser, office: Office) -> Iterator[Person]:
    """The holder's own browser."""
    with open_context(browser) as watched:
        watched.expect(r"410 \(GONE\)")
        yield person(office.house, watched)


def link_in(letter: Letter) -> str:
    """The address of the button; the plain text has the same."""
    in_text = re.findall(r"https?://\S+/invitation/\S+", letter.text)
    in_html = re.findall(r'href="([^"]+/invitation/[^"]+)"', letter.html)
    assert in_text, letter.text
    assert set(in_text) == set(in_html)
    return str(in_text[0])


def open_link(holder: Person, letter: Letter) -> None:
    holder.go(link_in(letter))
    expect(holder.page.locator("#allow-button")).to_be_visible()


def says_yes(holder: Person, letter: Letter) -> None:
    """Follow the link, press the one button, pass whatever bank comes; ends with thanks."""
    open_link(holder, letter)
    holder.press(holder.page.locator("#allow-button"))
    holder.page.wait_for_url(re.compile("/bank/|/returned/thanks"))
    holder.at_bank()
    expect(holder.page.locator(".message.ok h1")).to_be_visible()


def poll(page: Page) -> None:
    """What the open page does by itself every quarter of a minute, now."""
    with page.expect_response(re.compile(r"/administrations/\d+/rows")):
        page.clock.fast_forward(15_500)


# -- reaching -----------------------------------------------------------------------------------


def _journal(hands: Person, holder: Holder) -> None:
    hands.add_journal(f"3{holder.key}", f"Bank {holder.key}", holder.iban)


def _active(hands: Person, holder: Holder, **bank: int) -> None:
    _journal(hands, holder)
    hands.grant(holder.iban, **bank)
    hands.activate(holder.iban)


def _r2(hands: Person, holder: Holder) -> None:
    _active(hands, holder)
    hands.revoke_access()
    hands.home()
    hands.refresh()


def _r3(hands: Person, holder: Holder) -> None:
    _active(hands, holder)
    hands.change_ticks(holder.iban, on=False)
    hands.home()
    hands.refresh()


def _r4(hands: Person, holder: Holder) -> None:
    _active(hands, holder, valid_days=1)
    hands.days_pass(5)
    hands.home()


def _r5a(hands: Person, holder: Holder) -> None:
    _active(hands, holder)
    hands.remove_and_add_again(holder.iban)
    hands.change_ticks(holder.iban, on=True)
    hands.home()
    hands.refresh()


def _r5b(hands: Person, holder: Holder) -> None:
    _active(hands, holder)
    hands.revoke_at_bank(holder)
    hands.home()
    hands.choose(holder.iban, "fetch")


def _r8(hands: Person, holder: Holder) -> None:
    """A second account of somebody who gave access to their first."""
    hands.add_journal(f"4{holder.key}", f"Spaar {holder.key}", holder.other)
    hands.grant(holder.other)
    _journal(hands, holder)


def _r9(hands: Person, holder: Holder) -> None:
    _journal(hands, holder)
    hands.grant(holder.iban, holder.other)


def _r10a(hands: Person, holder: Holder) -> None:
    _journal(hands, holder)
    hands.grant(holder.iban, how="allow_later")


def _r10b(hands: Person, holder: Holder) -> None:
    _journal(hands, holder)
    hands.grant(holder.iban, valid_days=1)
    hands.shows(holder.iban, "r11")
    hands.days_pass(3)
    hands.home()


# -- asking -------------------------------------------------------------------------------------


def _direct(hands: Person, holder: Holder) -> None:
    """Herstellen, Direct versturen."""
    row = hands.row(holder.iban)
    hands.press(row.locator('[id$="-primary"]'))
    hands.press(row.locator(f'.wizard button:has-text("{holder.email}")'))


def _request(hands: Person, holder: Holder) -> None:
    hands.press(hands.row(holder.iban).locator('[id$="-second"]'))


@dataclass(frozen=True)
class Case:
    reach: Callable[[Person, Holder], None]
    ask: Callable[[Person, Holder], None]
    bookkeeper: int = BOOKKEEPER
    holder: int = HOLDER


CASES = {
    "r2": Case(_r2, _direct),
    "r3": Case(_r3, _direct),
    "r4": Case(_r4, _request, bookkeeper=1),
    "r5a": Case(_r5a, _request, bookkeeper=1),
    "r5b": Case(_r5b, _request, bookkeeper=1),
    "r8": Case(_r8, _direct),
    "r9": Case(_r9, _direct),
    "r10a": Case(_r10a, _request, bookkeeper=1),
    "r10b": Case(_r10b, _request, bookkeeper=1),
}


@pytest.mark.parametrize("key", CASES)
def test_what_the_holder_has_to_do_is_asked_by_mail_and_the_row_goes_on_by_itself(
    office: Office, hands: Person, elsewhere: Person, key: str
) -> None:
    case = CASES[key]
    holder = new_holder(office.house, f"m{key}", 200 + list(CASES).index(key), f"Houder {key}")
    hands.sign_in_as(holder.email)
    hands.home()
    case.reach(hands, holder)
    row = hands.shows(holder.iban, key)
    since, _ = in_the_books(office.house, hands.administration_id, holder.iban)
    elsewhere.sign_in_as(holder.email)

    with hands.counting() as clicks:
        case.ask(hands, holder)
        expect(row.locator(".overlay-invited")).to_be_visible()
        letter = office.letter_to(holder.email)
        with elsewhere.counting() as theirs:
            says_yes(elsewhere, letter)
        poll(hands.page)
        hands.shows(holder.iban, "r6")
    assert len(clicks) <= case.bookkeeper, clicks
    assert len(theirs) <= case.holder, theirs

    expect(row.locator(".overlay-invited")).to_have_count(0)
    complete(office.house, hands.administration_id, holder.iban, since)
    assert holder.iban not in letter.text + letter.html
    assert link_in(letter) not in hands.page.content()
    elsewhere.page.goto(link_in(letter))
    expect(elsewhere.page.locator("h1")).to_have_text("Dit is al gebeurd")


def test_where_nobody_is_known_an_address_is_all_that_has_to_be_typed(
    office: Office, hands: Person, elsewhere: Person
) -> None:
    """R8 in books in which nobody gave access yet: one press more than where somebody is known."""
    hands.administration = "Kapsalon Leeg"
    with office.house.services.store.write() as session:
        books = Administration(reference="leeg", name="Kapsalon Leeg")
        session.add(books)
        session.flush()
        sanne = session.scalars(select(User.id)).first()
        session.add(Membership(user_id=sanne, administration_id=books.id, role="administrator"))
    holder = new_holder(office.house, "mleeg", 237, "Houder leeg")
    elsewhere.sign_in_as(holder.email)
    _journal(hands, holder)
    row = hands.shows(holder.iban, "r8")
    with hands.counting() as clicks:
        hands.press(row.locator('[id$="-primary"]'))
        hands.fill(row.locator('.quick [name="email"]'), holder.email)
        hands.press(row.locator('[id$="-quick-send"]'))
        expect(row.locator(".overlay-invited")).to_be_visible()
    assert len(clicks) <= 3, clicks
    says_yes(elsewhere, office.letter_to(holder.email))
    poll(hands.page)
    hands.shows(holder.iban, "r6")
    hands.administration = "Kapsalon Amira"


def test_a_letter_of_ones_own_goes_as_it_was_written(
    office: Office, hands: Person, elsewhere: Person
) -> None:
    holder = new_holder(office.house, "mbrief", 238, "Houder brief")
    hands.sign_in_as(holder.email)
    hands.home()
    _r9(hands, holder)
    row = hands.shows(holder.iban, "r9")
    hands.press(row.locator('[id$="-primary"]'))
    hands.press(row.locator('[id$="-onward"]'))
    form = hands.form(holder.iban)
    form.locator('[name="locale"][value="en"]').check()
    form.locator('[name="message"]').fill("Hi,\n\nwould you do this before Friday?")
    hands.press(form.locator(".buttons .primary"))
    expect(row.locator(".overlay-invited")).to_be_visible()
    letter = office.letter_to(holder.email)
    assert "would you do this before Friday?" in letter.text
    open_link(elsewhere, letter)
    expect(elsewhere.page.locator("html")).to_have_attribute("lang", "en")
    expect(elsewhere.page.locator("blockquote")).to_contain_text("before Friday")


# -- who answers, and where ---------------------------------------------------------------------


def _asked(office: Office, hands: Person, holder: Holder, reach: str = "r3") -> Letter:
    """A row that needs this holder, and the mail that asks them."""
    hands.sign_in_as(holder.email)
    hands.home()
    CASES[reach].reach(hands, holder)
    hands.shows(holder.iban, reach)
    CASES[reach].ask(hands, holder)
    expect(hands.row(holder.iban).locator(".overlay-invited")).to_be_visible()
    return office.letter_to(holder.email)


def _where_it_goes(holder: Person, letter: Letter) -> str:
    """Say yes without going on, and read off where the page would lead."""
    open_link(holder, letter)
    token = holder.page.locator('#allow [name="csrf_token"]').get_attribute("value")
    answer = holder.page.request.post(
        f"{link_in(letter)}/allow",
        form={"csrf_token": token or ""},
        headers={"Referer": link_in(letter)},
    )
    assert answer.ok
    target = re.search(r'id="go"[^>]* href="([^"]+)"', answer.text())
    assert target is not None
    return html.unescape(target[1])


def test_a_forwarded_link_alone_grants_nothing_even_if_the_holder_is_led_to_the_app(
    office: Office, hands: Person, elsewhere: Person, browser: Browser
) -> None:
    """Somebody else says yes on our page and has the holder, who is signed in at the app, follow
    the address it leads to. No bank has to confirm, so nothing shows that the yes is theirs."""
    holder = new_holder(office.house, "mforw", 230, "Houder forward")
    letter = _asked(office, hands, holder)
    with open_context(browser) as watched:
        other = person(office.house, watched)
        target = _where_it_goes(other, letter)
        elsewhere.sign_in_as(holder.email)
        elsewhere.page.goto(target)
        expect(elsewhere.page.locator("h1")).to_contain_text("Bijna klaar")
        other.page.goto(link_in(letter))
        other.page.locator("#only").click()
        expect(other.page.locator("h1")).to_have_text("Graag nog eens, in één browser")
    hands.home()
    hands.shows(holder.iban, "r3")


def test_the_banks_answer_may_arrive_in_another_browser(
    office: Office, hands: Person, elsewhere: Person, browser: Browser
) -> None:
    """Banking apps open the browser they like. The bank has confirmed, so it counts; it is taken in
    where it began."""
    holder = new_holder(office.house, "mapp", 231, "Houder app")
    letter = _asked(office, hands, holder, "r4")
    open_link(elsewhere, letter)
    elsewhere.page.locator("#allow-button").click()
    elsewhere.page.wait_for_url(re.compile("/bank/"))
    with open_context(browser) as watched:
        phone = person(office.house, watched)
        phone.page.goto(elsewhere.page.url)
        phone.at_bank()
        expect(phone.page.locator("h1")).to_contain_text("Bijna klaar")
    elsewhere.page.goto(link_in(letter))
    elsewhere.page.locator("#only").click()
    expect(elsewhere.page.locator(".message.ok h1")).to_be_visible()
    poll(hands.page)
    hands.shows(holder.iban, "r6")
    complete(office.house, hands.administration_id, holder.iban)


def test_whoever_backs_out_of_renewing_a_healthy_link_leaves_it_as_it_was(
    office: Office, hands: Person, elsewhere: Person
) -> None:
    holder = new_holder(office.house, "mback", 232, "Houder terug")
    hands.sign_in_as(holder.email)
    hands.home()
    _active(hands, holder, valid_days=20)
    row = hands.shows(holder.iban, "r6")
    before = row.locator(".until").inner_text()
    _request(hands, holder)
    expect(row.locator(".overlay-invited")).to_be_visible()
    letter = office.letter_to(holder.email)
    open_link(elsewhere, letter)
    elsewhere.page.locator("#allow-button").click()
    elsewhere.page.wait_for_url(re.compile("/bank/"))
    elsewhere.page.locator('[data-action="cancel"]').click()
    expect(elsewhere.page.locator("h1")).to_have_text("Afgebroken; er is niets gewijzigd")
    hands.home()
    hands.shows(holder.iban, "r6")
    assert row.locator(".until").inner_text() == before

    elsewhere.page.locator("#back").click()
    elsewhere.page.locator("#allow-button").click()
    elsewhere.page.wait_for_url(re.compile("/bank/"))
    elsewhere.at_bank()
    expect(elsewhere.page.locator(".message.ok h1")).to_be_visible()
    poll(hands.page)
    expect(row.locator(".until")).to_contain_text("180")


def test_somebody_elses_yes_shares_nothing(
    office: Office, hands: Person, elsewhere: Person
) -> None:
    """The mail was forwarded to a holder who has another account: the row stays as it is, and
    nothing of theirs is kept."""
    holder = new_holder(office.house, "mwrong", 233, "Houder gevraagd")
    other = new_holder(office.house, "mother", 234, "Houder ander")
    letter = _asked(office, hands, holder)
    elsewhere.sign_in_as(other.email)
    open_link(elsewhere, letter)
    elsewhere.page.locator("#allow-button").click()
    elsewhere.page.wait_for_url(re.compile("/oauth2/consent"))
    elsewhere.page.locator(f'#consent [data-iban="{other.iban}"]').check()
    elsewhere.page.locator('[data-action="allow"]').click()
    elsewhere.at_bank()
    expect(elsewhere.page.locator("h1")).to_have_text("Dat is niet jouw rekening")
    assert holder.iban not in elsewhere.page.content()
    hands.home()
    hands.shows(holder.iban, "r3")
    expect(hands.row(other.iban)).to_have_count(0)
    elsewhere.page.goto(link_in(letter))
    expect(elsewhere.page.locator("#allow-button")).to_be_visible()


def test_two_holders_of_one_account_are_one_link_and_a_standby(
    office: Office, hands: Person, elsewhere: Person
) -> None:
    first = new_holder(office.house, "mjoint", 235, "Houder een")
    hands.sign_in_as(first.email)
    hands.home()
    _active(hands, first)
    office.house.simulator.seed(
        {
            "banks": [{"name": first.bank, "code": first.code}],
            "holders": [
                {
                    "key": "mjoint2",
                    "name": "Houder twee",
                    "email": "mjoint2@houders.example",
                    "accounts": [
                        {
                            "iban": first.iban,
                            "bank": first.bank,
                            "description": "Zakelijke rekening",
                        }
                    ],
                }
            ],
        }
    )
    page = hands.page
    page.goto(f"{office.house.origin}/holders?administration={hands.administration_id}&open=invite")
    page.locator('[name="email"]').fill("mjoint2@houders.example")
    page.locator('[name="name"]').fill("Houder twee")
    page.get_by_label(first.iban[:4] + "\u00a0" + first.iban[4:8]).check()
    page.locator(".page-form .primary").click()
    expect(page.locator("#notice, .notice.ok").first).to_be_visible()

    elsewhere.sign_in_as("mjoint2@houders.example")
    says_yes(elsewhere, office.letter_to("mjoint2@houders.example"))
    hands.home()
    row = hands.shows(first.iban, "r6")
    expect(row).to_have_count(1)
    row.locator('summary[id$="-via"]').click()
    expect(row.locator(".via .sheet")).to_contain_text("Ophalen via Houder twee")
    complete(office.house, hands.administration_id, first.iban)


def test_the_whole_way_works_without_javascript(office: Office, browser: Browser) -> None:
    holder = new_holder(office.house, "mplain", 236, "Houder kaal")
    with open_context(browser, java_script_enabled=False) as watched:
        hands = person(office.house, watched)
        hands.sign_in_as(holder.email)
        _active(hands, holder)
        hands.change_ticks(holder.iban, on=False)
        hands.home()
        hands.refresh()
        hands.shows(holder.iban, "r3")
        _direct(hands, holder)
        letter = office.letter_to(holder.email)
        with open_context(browser, java_script_enabled=False) as other:
            theirs = person(office.house, other)
            theirs.sign_in_as(holder.email)
            says_yes(theirs, letter)
        hands.home()
        hands.shows(holder.iban, "r6")
