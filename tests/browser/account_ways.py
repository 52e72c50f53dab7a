"""Ways to what is seen of one account, for the catalogue of screens: its list, what waits, its days
and balance, its fetches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import expect
from sqlalchemy import select, update

from banklink.examples import EXAMPLES
from banklink.store.models import Connection, FetchRun, Remark, Transaction
from tests.browser.people import Person
from tests.support import story
from tests.support.house import TestHouse

_IBANS = {each.name: each.iban for each in EXAMPLES}
TOLD = "withdrawn_at_bank"
"""The example that gets a story with everything in it."""


def connection(house: TestHouse, example: str = TOLD) -> int:
    with house.services.store.read() as session:
        found = session.scalars(select(Connection.id).where(Connection.iban == _IBANS[example]))
        return int(found.one())


def told(house: TestHouse) -> int:
    """Made at the first call; later ones make undone what was decided."""
    number = connection(house)
    with house.services.store.write() as session:
        known = select(Remark.id).where(Remark.connection_id == number)
        if session.scalars(known).first() is None:
            story.tell(session, session.get_one(Connection, number), house.at())
        mine = Transaction.connection_id == number
        undecided = update(Transaction).where(mine, Transaction.review_reason.is_not(None))
        session.execute(undecided.values(state="review", decided_at=None, decided_by=None))
        unseen = update(Remark).where(Remark.connection_id == number)
        session.execute(unseen.values(settled_at=None, settled_by=None))
        story.recount(session, number)
    return number


def at(path: str, example: str = TOLD) -> Callable[[Person], None]:
    """`path` below the account's own address."""

    def go(hands: Person) -> None:
        number = told(hands.house) if example == TOLD else connection(hands.house, example)
        hands.page.goto(f"{hands.house.origin}/connections/{number}/{path}")
        expect(hands.page.locator("main h1")).to_be_visible()

    return go


def one(hands: Person) -> None:
    at("transactions?q=incasso")(hands)
    hands.page.locator("#bookings a.name").first.click()
    expect(hands.page.locator("#change")).to_be_visible()


def removed(hands: Person) -> None:
    one(hands)
    hands.page.locator("#change").click()
    expect(hands.page.locator("article .line.off")).to_be_visible()


def put_back(hands: Person) -> None:
    """From there."""
    hands.page.locator("#change").click()
    expect(hands.page.locator("article .line")).to_have_count(0)


def left_out(hands: Person) -> None:
    """And everything that was remarked is seen to."""
    at("review")(hands)
    hands.page.locator("#tray [data-action=reject]").first.click()
    expect(hands.page.locator("#said .notice")).to_be_visible()
    hands.page.locator("#tray [data-action=accept]").first.click()
    expect(hands.page.locator("#tray .empty-line")).to_be_visible()
    hands.page.locator("#seen-all").click()
    expect(hands.page.locator("#remarks")).to_have_count(0)


def under_way(hands: Person) -> None:
    """A fetch of which twelve pages are in; the line asks for itself."""
    house, number = hands.house, connection(hands.house, "switched_off")
    with house.services.store.write() as session:
        row = session.get_one(Connection, number)
        row.fetch_until = house.at().real + timedelta(hours=2)
        story.run_of(session, row, house.at(), result=None, finished_at=None, pages=12, seen=1100,
                     oldest=house.at().today - timedelta(days=260))  # fmt: skip
    with hands.page.expect_response(lambda answer: "/fetches/progress" in answer.url):
        at("fetches", "switched_off")(hands)
    expect(hands.page.locator("#progress")).to_be_visible()


def fetched(hands: Person) -> None:
    """The end of it, told in the same place."""
    house, number = hands.house, connection(hands.house, "switched_off")
    with house.services.store.write() as session:
        row = session.get_one(Connection, number)
        row.fetch_until = None
        for run in session.scalars(
            select(FetchRun).where(FetchRun.connection_id == number, FetchRun.result.is_(None))
        ):
            run.result, run.finished_at, run.added = "ok", house.at().now, 1100
    expect(hands.page.locator("#progress[role=status]")).to_be_visible()
