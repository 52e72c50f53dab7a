"""Every status is reached and mended through the screens alone, in few clicks.

The house starts with the demo's data; the statuses tested are brought about here, in the books of
"Kapsalon Amira", each with a holder and a bank of their own. What begins with a working link
begins with the same one, as long as the case before left it whole. Clicks are those of a holder
who is signed in at the entrepreneur app: every press, filled-in field and address typed outside
the bank's screens and the demo panel. Most clicks and wording: domain A3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.people import (
    Holder,
    Person,
    complete,
    iban,
    in_the_books,
    new_holder,
    person,
)
from tests.support.browser import Watched, open_context
from tests.support.house import TestHouse

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Case:
    """`most`: clicks domain A3 allows to mend; `ends`: where mending leads."""

    status: str
    chip: str
    sentence: str
    most: int
    ends: str


NOT_FOUND = (
    "De koppeling is niet actief omdat Banklink de bankrekening niet heeft gevonden in de"
    " ondernemersapp."
)
NOT_AUTHORISED = "Inactieve koppeling en geen geautoriseerde IBAN in de ondernemersapp"
NOT_COMPLETED = (
    "De koppeling is verbroken omdat de autorisatie in de ondernemersapp niet actief is/niet is"
    " afgemaakt"
)

CASES = {
    "r1": Case(
        "journal_missing",
        "Geen dagboek",
        "De koppeling is verbroken omdat Banklink geen dagboek (meer-) kan vinden met het"
        " desbetreffende IBAN",
        2,
        "r6",
    ),
    "r2": Case(
        "access_lost",
        "Geen toegang",
        "De koppeling is verbroken omdat Banklink geen toegang meer heeft tot de ondernemersapp"
        " van de geselecteerde gebruiker",
        4,
        "r6",
    ),
    "r3": Case("account_not_found", "Niet gevonden", NOT_FOUND, 4, "r6"),
    "r4": Case(
        "authorisation_expired",
        "Verlopen",
        "De koppeling is verbroken omdat de autorisatie in de ondernemersapp is verlopen",
        1,
        "r6",
    ),
    "r5a": Case("authorisation_incomplete", "Niet afgemaakt", NOT_COMPLETED, 1, "r6"),
    "r5b": Case("authorisation_incomplete", "Ingetrokken", NOT_COMPLETED, 1, "r6"),
    "r6": Case("active", "Actief", "De rekening is nu actief en de verbinding ook", 0, "r6"),
    "r7": Case("journal_needed", "Geen dagboek", "Er is (nog) geen dagboek met dit IBAN", 2, "r11"),
    "r8": Case("not_linked", "Niet gekoppeld", "Nog niet gekoppeld", 4, "r11"),
    "r9": Case("account_not_found", "Niet gevonden", NOT_FOUND, 4, "r11"),
    "r10a": Case("no_authorised_account", "Niet verbonden", NOT_AUTHORISED, 1, "r6"),
    "r10b": Case("no_authorised_account", "Vervallen", NOT_AUTHORISED, 1, "r6"),
    "r11": Case("new", "Nieuw", "Nieuw – rekening verbonden, nog niet geactiveerd", 2, "r6"),
    "r12": Case("switched_off", "Uit", "Uitgeschakeld", 2, "r6"),
}

_NUMBERS = {key: number for number, key in enumerate(CASES, start=1)}


@pytest.fixture(scope="module")
def house(own_house: TestHouse) -> TestHouse:
    return own_house


@pytest.fixture(scope="module")
def somebody(browser: Browser, house: TestHouse) -> Iterator[tuple[Person, Watched]]:
    with open_context(browser) as watched:
        yield person(house, watched), watched


@pytest.fixture
def hands(somebody: tuple[Person, Watched]) -> Iterator[Person]:
    """One browser for all cases; each looks after its own complaints."""
    hands, watched = somebody
    hands.administration = "Kapsalon Amira"
    yield hands
    watched.check()


# -- reaching -----------------------------------------------------------------------------------


def _journal(hands: Person, holder: Holder) -> None:
    hands.add_journal(f"2{holder.key}", f"Bank {holder.key}", holder.iban)


def _granted(hands: Person, holder: Holder) -> None:
    _journal(hands, holder)
    hands.grant(holder.iban)
    hands.shows(holder.iban, "r11")


_working: list[Holder] = []


def _active(hands: Person, holder: Holder) -> Holder:
    """A link that works: the one of the case before, if that left it so, else a new one."""
    hands.home()
    for known in _working:
        if hands.row(known.iban).get_attribute("data-key") == "r6":
            hands.sign_in_as(known.email)
            hands.home()
            return known
    hands.sign_in_as(holder.email)
    _granted(hands, holder)
    hands.activate(holder.iban)
    _working[:] = [holder]
    return holder


def _r1(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    hands.choose(holder.iban, "choose-journal")
    hands.tick(hands.form(holder.iban).locator('[name="journal"][value=""]'))
    hands.submit(holder.iban)
    return holder.iban


def _r2(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    hands.revoke_access()
    hands.home()
    hands.refresh()
    return holder.iban


def _r3(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    hands.change_ticks(holder.iban, on=False)
    hands.home()
    hands.refresh()
    return holder.iban


def _r4(hands: Person, holder: Holder) -> str:
    _journal(hands, holder)
    hands.grant(holder.iban, valid_days=1)
    hands.activate(holder.iban)
    hands.days_pass(5)
    hands.home()
    return holder.iban


def _r5a(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    hands.remove_and_add_again(holder.iban)
    hands.change_ticks(holder.iban, on=True)
    hands.home()
    hands.refresh()
    return holder.iban


def _r5b(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    hands.revoke_at_bank(holder)
    hands.home()
    hands.choose(holder.iban, "fetch")
    return holder.iban


def _r6(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    return holder.iban


def _r7(hands: Person, holder: Holder) -> str:
    """The holder shares an account no journal knows. A journal without IBAN is there to take."""
    spare = iban(9999)
    hands.add_journal("2vrij", "Bank vrij", spare)
    hands.choose(spare, "choose-journal")
    hands.tick(hands.form(spare).locator('[name="journal"][value=""]'))
    hands.press(hands.form(spare).locator(".buttons .primary"))
    expect(hands.row(spare)).to_have_count(0)
    _journal(hands, holder)
    hands.grant(holder.iban, holder.iban, holder.other)
    return holder.other


def _r8(hands: Person, holder: Holder) -> str:
    _journal(hands, holder)
    return holder.iban


def _r9(hands: Person, holder: Holder) -> str:
    """Permission is given, but for the holder's other account."""
    _journal(hands, holder)
    hands.grant(holder.iban, holder.other)
    return holder.iban


def _r10a(hands: Person, holder: Holder) -> str:
    _journal(hands, holder)
    hands.arm(holder.iban)
    hands.grant(holder.iban, how="allow_later")
    return holder.iban


def _r10b(hands: Person, holder: Holder) -> str:
    _journal(hands, holder)
    hands.grant(holder.iban, valid_days=1)
    hands.shows(holder.iban, "r11")
    hands.days_pass(3)
    hands.home()
    hands.arm(holder.iban)
    return holder.iban


def _r11(hands: Person, holder: Holder) -> str:
    _granted(hands, holder)
    return holder.iban


def _r12(hands: Person, holder: Holder) -> str:
    holder = _active(hands, holder)
    hands.choose(holder.iban, "switch-off")
    return holder.iban


REACH: dict[str, Callable[[Person, Holder], str]] = {
    "r1": _r1,
    "r2": _r2,
    "r3": _r3,
    "r4": _r4,
    "r5a": _r5a,
    "r5b": _r5b,
    "r6": _r6,
    "r7": _r7,
    "r8": _r8,
    "r9": _r9,
    "r10a": _r10a,
    "r10b": _r10b,
    "r11": _r11,
    "r12": _r12,
}


FROM_A_WORKING_LINK = ("r1", "r2", "r3", "r5a", "r5b", "r6", "r12")


# -- mending ------------------------------------------------------------------------------------


def _open_and_confirm(hands: Person, account: str) -> None:
    hands.press(hands.row(account).locator('[id$="-primary"]'))
    hands.submit(account)


def _permit(hands: Person, account: str) -> None:
    hands.grant(account)


def _at_the_bank(hands: Person, account: str) -> None:
    hands.press(hands.row(account).locator('[id$="-primary"]'))
    hands.page.wait_for_url(lambda url: "/bank/" in url)
    hands.at_bank()


MEND: dict[str, Callable[[Person, str], None]] = {
    "r1": _open_and_confirm,
    "r2": _permit,
    "r3": _permit,
    "r4": _at_the_bank,
    "r5a": _at_the_bank,
    "r5b": _at_the_bank,
    "r6": lambda hands, account: None,
    "r7": _open_and_confirm,
    "r8": _permit,
    "r9": _permit,
    "r10a": _at_the_bank,
    "r10b": _at_the_bank,
    "r11": _open_and_confirm,
    "r12": _open_and_confirm,
}


def test_no_status_is_forgotten() -> None:
    from banklink.core.statuses import TABLE

    assert set(CASES) == set(REACH) == set(MEND) == {row.key for row in TABLE}


@pytest.mark.parametrize("key", CASES)
def test_a_status_is_reached_and_mended_through_the_screens(
    hands: Person, house: TestHouse, key: str
) -> None:
    case = CASES[key]
    holder = new_holder(house, key, _NUMBERS[key])
    if key not in FROM_A_WORKING_LINK:
        hands.sign_in_as(holder.email)

    account = REACH[key](hands, holder)
    row = hands.shows(account, key)
    expect(row).to_have_attribute("data-status", case.status)
    expect(row.locator(".chip")).to_have_text(case.chip)
    expect(row.locator(".sentence")).to_have_text(case.sentence)

    since, _ = in_the_books(house, hands.administration_id, account)
    with hands.counting() as clicks:
        MEND[key](hands, account)
        hands.shows(account, case.ends)
    assert len(clicks) <= case.most, clicks

    end = CASES[case.ends]
    expect(row.locator(".chip")).to_have_text(end.chip)
    expect(row.locator(".sentence")).to_have_text(end.sentence)
    if case.ends == "r6":
        expect(row.locator(".helper")).to_contain_text("Laatst opgehaald")
        complete(house, hands.administration_id, account, since)


def _only_a_new_journal(hands: Person, account: str) -> None:
    """Open, see that nothing is there to choose from, and save what is filled in."""
    hands.press(hands.row(account).locator('[id$="-primary"]'))
    expect(hands.form(account).locator('[name="journal"]')).to_have_count(1)
    hands.submit(account)


def test_where_no_journal_is_free_a_new_one_is_still_two_clicks(
    hands: Person, house: TestHouse
) -> None:
    """R7 and R1 in books of which every journal has an IBAN: the code follows the highest one, the
    name is the account's."""
    hands.administration = "Fietsatelier Noord"
    holder = new_holder(house, "nieuw", 41)
    hands.sign_in_as(holder.email)
    hands.add_journal("1040", "Bank nieuw", holder.iban)
    hands.grant(holder.iban, holder.iban, holder.other)
    hands.activate(holder.iban)

    row = hands.shows(holder.other, "r7")
    with hands.counting() as clicks:
        _only_a_new_journal(hands, holder.other)
        hands.shows(holder.other, "r11")
    assert len(clicks) <= CASES["r7"].most, clicks
    expect(row.locator(".title")).to_have_text("1050 Spaarrekening")

    page = hands.page
    page.goto(f"{house.origin}/administrations/{hands.administration_id}/journals")
    page.locator("tr", has_text="1040 Bank nieuw").locator("a.button").click()
    for what in ("clear", "delete"):
        page.locator(f'[data-action="{what}"]').click()
        if what == "clear":
            page.locator("tr", has_text="1040 Bank nieuw").locator("a.button").click()
    hands.home()
    row = hands.shows(holder.iban, "r1")
    with hands.counting() as clicks:
        _only_a_new_journal(hands, holder.iban)
        hands.shows(holder.iban, "r6")
    assert len(clicks) <= CASES["r1"].most, clicks
    expect(row.locator(".title")).to_have_text("1060 Zakelijke rekening")
    complete(house, hands.administration_id, holder.iban)


def test_permission_can_end_in_a_working_link_without_another_look(
    hands: Person, house: TestHouse
) -> None:
    """R8 with "Vanzelf inschakelen": the holder's steps are the last ones."""
    holder = new_holder(house, "r8arm", 40)
    hands.sign_in_as(holder.email)
    _journal(hands, holder)
    hands.arm(holder.iban)
    with hands.counting() as clicks:
        hands.grant(holder.iban)
        hands.shows(holder.iban, "r6")
    assert len(clicks) <= 4, clicks
    complete(house, hands.administration_id, holder.iban)


def test_another_holder_takes_over_in_one_click(hands: Person, house: TestHouse) -> None:
    """R4 with somebody else whose authorisation holds: no bank, no waiting."""
    hands.administration = "Bakkerij De Vries"
    hands.home()
    row = hands.page.locator('tbody[data-key="r4"]').first
    account = row.get_attribute("data-iban") or ""
    with hands.counting() as clicks:
        hands.press(row.locator('[id*="-rescue-"]').first)
        hands.shows(account, "r6")
    assert clicks[1:] == []
    expect(hands.row(account).locator(".notice.ok")).to_contain_text("Rekeninghouder gewijzigd.")
    complete(house, hands.administration_id, account)


def test_access_is_withdrawn_in_two_clicks(hands: Person, house: TestHouse) -> None:
    """From the list of account holders: one asks and says what stops, the second does it."""
    holder = new_holder(house, "intrek", 42)
    hands.sign_in_as(holder.email)
    _granted(hands, holder)
    hands.activate(holder.iban)
    page = hands.page
    page.goto(f"{house.origin}/holders?administration={hands.administration_id}")
    mine = page.locator(".holders > li", has_text=holder.email)
    with hands.counting() as clicks:
        hands.press(mine.locator('[data-action="withdraw"]'))
        expect(page.locator("#confirm")).to_contain_text("Deze koppelingen stoppen")
        expect(page.locator("#confirm")).to_contain_text("Bank intrek (Actief)")
        hands.press(page.locator("#confirm-yes"))
        expect(page.locator(".now .notice")).to_contain_text("bevestigde op")
    assert len(clicks) == 2, clicks
    hands.home()
    hands.shows(holder.iban, "r2")
    complete(house, hands.administration_id, holder.iban)
