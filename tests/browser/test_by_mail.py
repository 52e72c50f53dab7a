"""What the account holder has to do is asked for by mail and done in another browser.

Two people: the bookkeeper looks at the maintenance page, the holder has a mailbox and a browser of
their own, signed in at the entrepreneur app. Mail goes over SMTP to a real server. Clicks are
counted as in test_statuses_and_clicks; opening the link in the mail is the holder's first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

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


def _write(hands: Person, holder: Holder) -> None:
    """Nobody is known yet: the address and the name have to be filled in."""
    row = hands.row(holder.iban)
    hands.press(row.locator('[id$="-primary"]'))
    hands.press(row.locator('[id$="-onward"]'))
    form = hands.form(holder.iban)
    hands.fill(form.locator('[name="email"]'), holder.email)
    hands.fill(form.locator('[name="name"]'), holder.name)
    hands.press(form.locator(".buttons .primary"))


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
    # Nobody is known to the books: what cannot be known beforehand is typed, once.
    "r8": Case(_r8, _write, bookkeeper=5),
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
