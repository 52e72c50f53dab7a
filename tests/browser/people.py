"""A person at a browser, for tests: what they press is counted, and the words are the users' own.

`Person` drives Banklink, the entrepreneur app, the bank and the demo panel, and writes no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect
from sqlalchemy import func, select

from banklink.simulator.bookings import with_check_digits
from banklink.simulator.model import BankAccount, BankBooking
from banklink.store.models import Connection, Transaction
from tests.support.browser import Watched
from tests.support.house import TestHouse

OPENED_DAYS_AGO = 40


def iban(number: int, bank: str = "TEST") -> str:
    return with_check_digits("NL", f"{bank}{number:010d}")


@dataclass(frozen=True)
class Holder:
    """Somebody with two accounts at a bank nobody else uses."""

    key: str
    name: str
    email: str
    bank: str
    code: str
    iban: str
    other: str


def new_holder(house: TestHouse, key: str, number: int, name: str | None = None) -> Holder:
    """The bank opens two accounts for them; neither the app nor Banklink knows of it yet."""
    made = Holder(
        key,
        name or f"Houder {key}",
        f"{key}@houders.example",
        f"Bank {key}",
        f"B{key.upper()}",
        iban(2 * number + 1),
        iban(2 * number),
    )
    accounts = [
        {
            "iban": each,
            "bank": made.bank,
            "description": text,
            "in_app": False,
            "opened_days_ago": OPENED_DAYS_AGO,
        }
        for each, text in ((made.iban, "Zakelijke rekening"), (made.other, "Spaarrekening"))
    ]
    house.simulator.seed(
        {
            "banks": [{"name": made.bank, "code": made.code}],
            "holders": [{"key": key, "name": made.name, "email": made.email, "accounts": accounts}],
        }
    )
    return made


@dataclass
class Person:
    """`page` is theirs; `clicks` what they did by hand outside the bank and the demo panel."""

    house: TestHouse
    page: Page
    clicks: list[str] = field(default_factory=list)
    administration: str = "Kapsalon Amira"
    signed_in: str = ""

    # -- hands ---------------------------------------------------------------------------------

    def _note(self, what: str) -> None:
        here = urlsplit(self.page.url)
        bank = f"{here.scheme}://{here.netloc}" == self.house.bank_origin
        if not (bank and here.path.startswith(("/bank/", "/panel"))):
            self.clicks.append(what)

    def press(self, target: Locator) -> None:
        self._note(f"press {target}")
        target.click()

    def fill(self, target: Locator, text: str) -> None:
        self._note(f"fill {target}")
        target.fill(text)

    def tick(self, target: Locator, on: bool = True) -> None:
        if target.is_checked() != on:
            self._note(f"tick {target}")
            target.set_checked(on)

    def go(self, url: str) -> None:
        self._note(f"go {url}")
        self.page.goto(url)

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """The clicks made inside."""
        before = len(self.clicks)
        made: list[str] = []
        yield made
        made += self.clicks[before:]

    # -- Banklink ------------------------------------------------------------------------------

    def home(self, query: str = "") -> None:
        self.go(f"{self.house.origin}/?administration={self.administration_id}{query}")

    @property
    def administration_id(self) -> int:
        from banklink.store.models import Administration

        with self.house.services.store.read() as session:
            found = session.scalar(
                select(Administration.id).where(Administration.name == self.administration)
            )
        assert found is not None
        return int(found)

    def row(self, account: str) -> Locator:
        return self.page.locator(f'tbody[data-iban="{account}"]')

    def choose(self, account: str, action: str) -> None:
        """Press a row's button, through its menu when that is where it is."""
        button = self.row(account).locator(f'[data-action="{action}"]').first
        if not button.is_visible():
            self.press(self.row(account).locator('summary[id$="-menu"]'))
        self.press(button)

    def form(self, account: str) -> Locator:
        """The open form, once it listens: a person is not faster than that either."""
        found = self.row(account).locator("tr.panel form.fill")
        expect(found).to_be_visible()
        expect(self.page.locator(".htmx-added, .htmx-settling")).to_have_count(0)
        return found

    def submit(self, account: str) -> None:
        form = self.form(account)
        self.press(form.locator(".buttons .primary"))
        expect(form).to_have_count(0)

    def shows(self, account: str, key: str) -> Locator:
        row = self.row(account)
        expect(row).to_have_attribute("data-key", key)
        return row

    def refresh(self) -> None:
        with self.page.expect_response(re.compile("/refresh$")):
            self.press(self.page.locator("#refresh"))

    def add_journal(self, code: str, name: str, account: str) -> None:
        self.home("&open=add-journal")
        form = self.page.locator(".page-form")
        self.fill(form.locator('[name="code"]'), code)
        self.fill(form.locator('[name="name"]'), name)
        self.fill(form.locator('[name="iban"]'), account)
        self.press(form.locator(".primary"))
        expect(self.row(account)).to_be_visible()

    def activate(self, account: str) -> None:
        self.choose(account, "activate")
        self.submit(account)
        self.shows(account, "r6")

    def arm(self, account: str) -> None:
        self.choose(account, "arm")
        self.submit(account)
        expect(self.row(account).locator(".overlay-armed")).to_be_visible()

    def grant(self, account: str, *ticks: str, how: str = "allow", **bank: Any) -> None:
        """Give permission from the row, for `ticks` beside what the app ticked by itself: what is
        shared already, and the row's own account, which is unticked where `ticks` leaves it out.
        Ends on the row again."""
        self.choose(account, "grant")
        self.page.wait_for_url(re.compile("/oauth2/consent"))
        wanted = ticks or (account,)
        for each in dict.fromkeys((*wanted, account)):
            self.tick(self.page.locator(f'#consent [data-iban="{each}"]'), each in wanted)
        self.press(self.page.locator(f'[data-action="{how}"]'))
        self.at_bank(**bank)

    def leave(self, account: str, action: str, **bank: Any) -> None:
        self.choose(account, action)
        self.page.wait_for_url(re.compile("/bank/"))
        self.at_bank(**bank)

    def leave_and_cancel(self, account: str, action: str) -> None:
        self.choose(account, action)
        self.page.wait_for_url(re.compile("/bank/"))
        self.page.locator('[data-action="cancel"]').click()
        self.back()

    # -- the bank ------------------------------------------------------------------------------

    def at_bank(self, *, valid_days: int | None = None, history_days: int | None = None) -> None:
        """Sign in and confirm at every bank on the way, until back in Banklink."""
        page = self.page
        while "/bank/" in page.url:
            if valid_days is not None or history_days is not None:
                page.locator("#test-panel summary").click()
            if valid_days is not None:
                page.locator('[name="valid_days"]').fill(str(valid_days))
            if history_days is not None:
                page.locator('[name="history_days"]').fill(str(history_days))
            page.locator('[data-action="bank-sign-in"]').click()
            page.locator('[data-action="confirm"]').click()
        self.back()

    def back(self) -> None:
        self.page.wait_for_url(re.compile(rf"^{self.house.origin}/(\?|returned/)"))

    def revoke_at_bank(self, holder: Holder) -> None:
        page = self.page
        page.goto(f"{self.house.bank_origin}/bank/{holder.code}/sign-in")
        page.locator(f'[data-email="{holder.email}"]').check()
        page.locator('[data-action="bank-sign-in"]').click()
        given = page.locator('.given[data-state="active"]')
        expect(given.first).to_be_visible()
        for left in reversed(range(given.count())):
            given.first.locator('[data-action="revoke-consent"]').click()
            expect(given).to_have_count(left)

    # -- the entrepreneur app ------------------------------------------------------------------

    def sign_in_as(self, email: str) -> None:
        page = self.page
        if self.signed_in == email:
            return
        self.signed_in = email
        page.goto(f"{self.house.bank_origin}/sign-in")
        page.locator(f'#sign-in [data-email="{email}"]').check()
        page.locator('[data-action="sign-in"]').click()
        expect(page.locator('[data-action="sign-out"]')).to_be_visible()

    def _service(self) -> Locator:
        self.go(f"{self.house.bank_origin}/settings/services")
        return self.page.locator(".service").first

    def revoke_access(self) -> None:
        self.press(self._service().locator('[data-action="revoke"]'))
        self.press(self.page.locator('[data-action="revoke-confirm"]'))

    def change_ticks(self, account: str, on: bool) -> None:
        self.press(self._service().locator('[data-action="change"]'))
        self.tick(self.page.locator(f'#ticks [data-iban="{account}"]'), on)
        self.press(self.page.locator('[data-action="save"]'))

    def remove_and_add_again(self, account: str) -> None:
        """The account leaves the app and comes back without the bank."""
        self.go(f"{self.house.bank_origin}/settings/accounts")
        self.press(self.page.locator(f'#account-{account} [data-action="remove"]'))
        self.press(self.page.locator('[data-action="remove-confirm"]'))
        self.press(self.page.locator('[data-action="add"]'))
        self.tick(self.page.locator(f'#add [data-iban="{account}"]'))
        self.press(self.page.locator('[data-action="later"]'))

    # -- the demo panel ------------------------------------------------------------------------

    def days_pass(self, days: int) -> None:
        page = self.page
        page.goto(f"{self.house.bank_origin}/panel")
        before = page.locator("#business-date").get_attribute("data-date")
        page.locator("#days").fill(str(days))
        page.locator('[data-action="advance"]').click()
        expect(page.locator("#business-date")).not_to_have_attribute("data-date", before or "")


def person(house: TestHouse, watched: Watched, administration: str = "Kapsalon Amira") -> Person:
    return Person(house, watched.new_page(), administration=administration)


# -- what is true behind the screens ------------------------------------------------------------


def at_the_bank(
    house: TestHouse, account: str, since: date, until: date
) -> list[tuple[date, int, str]]:
    """The bank's own bookings of these days: day, minor units, text."""
    with house.simulator.store.transaction() as db:
        return sorted(
            (row.booked_on, row.amount, row.remittance)
            for row in db.scalars(
                select(BankBooking)
                .join(BankAccount)
                .where(
                    BankAccount.iban == account,
                    BankBooking.booked_on >= since,
                    BankBooking.booked_on <= until,
                )
            )
        )


def in_the_books(
    house: TestHouse, administration_id: int, account: str
) -> tuple[date | None, list[tuple[date, int, str]]]:
    """The start date and what was fetched."""
    with house.services.store.read() as session:
        connection = session.scalars(
            select(Connection).where(
                Connection.administration_id == administration_id, Connection.iban == account
            )
        ).one()
        rows = session.execute(
            select(Transaction.booked_on, Transaction.amount, Transaction.remittance).where(
                Transaction.connection_id == connection.id
            )
        )
        return connection.start_date, sorted((a, b, c) for a, b, c in rows)


def complete(
    house: TestHouse, administration_id: int, account: str, since: date | None = None
) -> None:
    """Everything the bank booked from the start date (or `since`) through today is in the books,
    once."""
    start, books = in_the_books(house, administration_id, account)
    since = since or start
    assert since is not None
    assert books == at_the_bank(house, account, since, house.at().today)
    assert books


def gap_of(house: TestHouse, administration_id: int, account: str) -> tuple[Any, Any]:
    with house.services.store.read() as session:
        found = session.execute(
            select(Connection.gap_from, Connection.gap_to).where(
                Connection.administration_id == administration_id, Connection.iban == account
            )
        ).one()
        return found[0], found[1]


def count_transactions(house: TestHouse) -> int:
    with house.services.store.read() as session:
        return int(session.scalar(select(func.count(Transaction.id))) or 0)
