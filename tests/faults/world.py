"""The books that are broken again and again: made once through the real actions, kept as a folder
and copied for every fault. Time stands still in them, so that what is stored at every step can be
compared between one run and the next."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from banklink.actions.sign_in import begin
from banklink.core.statuses import Action
from banklink.providers.contract import Temporary
from banklink.store.models import Access, FetchRun, Membership, User
from tests.actions.conftest import (
    BAKERY,
    BEGIN,
    HERE,
    SAVINGS,
    SHOP,
    TODAY,
    Books,
    House,
    account,
    fails,
)
from tests.support.house import free_ports, running

CLIENT_ID = "banklink"
ROOM = 256 * 1024 * 1024
Step = list[Any]


@dataclass(frozen=True)
class Ports:
    """Where both sides are reached: the same for every run, as the addresses stand in the books."""

    web: int
    bank: int

    @property
    def bank_origin(self) -> str:
        return f"http://127.0.0.1:{self.bank}"

    @property
    def redirect_uri(self) -> str:
        return f"http://localhost:{self.web}/returned/ponto"

    def settings(self) -> dict[str, str]:
        return {"PORT": str(self.web), "BANKLINK_SIMULATOR_PORT": str(self.bank)}


@dataclass(frozen=True)
class World:
    """One prepared folder and what is done to it. `act`: the steps that are to be disturbed;
    `again`: what people and the scheduler do afterwards, until everything is there. `real` and
    `now`: machine and business time, standing still. `start`: from which day bookings are wanted."""

    name: str
    folder: Path
    ports: Ports
    connection: int
    start: date
    real: datetime
    now: datetime
    act: list[Step]
    again: list[Step]
    extra: dict[str, Any] = field(default_factory=dict)

    def copy(self, target: Path) -> None:
        """As it was: whatever was there goes."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder, target)


def scratch() -> Path:
    """A folder in memory where there is room, else on disk: thousands of databases are made."""
    memory = Path("/dev/shm")
    fits = memory.is_dir() and os.access(memory, os.W_OK)
    if fits and shutil.disk_usage(memory).free > ROOM:
        return Path(tempfile.mkdtemp(prefix="banklink-faults-", dir=memory))
    return Path(tempfile.mkdtemp(prefix="banklink-faults-"))


class Still:
    """Machine time that only goes on when it is told to."""

    def __init__(self, real: datetime = BEGIN):
        self.real = real

    def __call__(self) -> datetime:
        return self.real


@contextmanager
def _house(folder: Path, ports: Ports) -> Iterator[House]:
    with running(folder, demo_data=False, web=False, **ports.settings()) as parts:
        house = House(parts)
        house.empty()
        house.clock.source = Still()
        yield house


def prepare(name: str, root: Path, like: World | None = None) -> World:
    """Make the books called `name` in a folder below `root`. `like`: with the ports and the keys of
    this one, so that the same processes can go on with them."""
    ports = like.ports if like else Ports(*free_ports())
    folder = root / f"{name}-prepared"
    folder.mkdir()
    for key in like.folder.glob("*.key") if like else ():
        shutil.copy(key, folder)
    with _house(folder, ports) as house:
        books, start, act, again, extra = MAKERS[name](house)
        connection = books.connection().id
        at = house.at()
        with house.services.store.write() as session:  # the bank's own count begins with the run
            session.execute(delete(Access))
    for each in folder.glob("*-[ws][ah][lm]"):
        raise AssertionError(f"{each.name} was left behind: the books are not at rest")
    steps = _named(connection, act), _named(connection, again)
    return World(name, folder, ports, connection, start, at.real, at.now, *steps, extra)


def _named(connection: int, steps: list[Step]) -> list[Step]:
    return [[verb, {"connection": connection, **arguments}] for verb, arguments in steps]


Made = tuple[Books, date, list[Step], list[Step], dict[str, Any]]


def _first(house: House) -> Made:
    """Shared and authorised, not yet switched on: that is done now, and 250 days come in."""
    books = house.books(
        jan=[account(BAKERY, since=270, valid=400, opened_days_ago=270)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    _equal(house, TODAY - timedelta(days=3), 30)
    _equal(house, TODAY - timedelta(days=200), 5)
    start = TODAY - timedelta(days=250)
    act = [["activate", {"holder": books.holder(), "start": start.isoformat()}]]
    return books, start, act, [*act, ["jobs", {}]], {}


def _overlap(house: House) -> Made:
    """Fetched three days ago; since then new bookings, late ones, and ones equal to known ones."""
    books = house.books(
        jan=[account(BAKERY, since=100, valid=180)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    _equal(house, TODAY - timedelta(days=2), 3)
    books.activate(60)
    house.later(days=3)
    _equal(house, TODAY - timedelta(days=2), 2)
    _equal(house, house.at().today, 12)
    house.book(BAKERY, TODAY - timedelta(days=3), -495, text="Naboeking")
    act: list[Step] = [["jobs", {"names": ["grants", "fetches"]}]]
    return books, TODAY - timedelta(days=60), act, [["jobs", {}]], {}


def _renewal(house: House) -> Made:
    """The authorisation ended weeks ago; it was renewed at the bank, which gives the account
    another id, and the person is on the way back."""
    books = house.books(
        jan=[account(BAKERY, since=170, valid=180)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate(60)
    house.days(12)
    house.later(days=30)
    house.jobs()
    _equal(house, house.at().today - timedelta(days=20), 8)
    answer = books.visit(books.depart(Action.RENEW))
    house.renumber(BAKERY)
    act: list[Step] = [["come_back", {"answer": answer, "browser": HERE}]]
    again = [*act, ["finish", {"browser": HERE}], ["jobs", {}]]
    return books, TODAY - timedelta(days=60), act, again, {}


def _grant(house: House) -> Made:
    """Nothing shared yet; permission was given, and the person is on the way back with a code."""
    books = house.books(jan=[account(BAKERY, since=40)], journals=[BAKERY])
    _equal(house, TODAY - timedelta(days=3), 5)
    answer = books.visit(books.depart(Action.GRANT), tick=[BAKERY])
    start = TODAY - timedelta(days=20)
    switch_on: Step = ["activate", {"holder": None, "start": start.isoformat()}]
    act: list[Step] = [["come_back", {"answer": answer, "browser": HERE}], switch_on]
    again = [act[0], ["finish", {"browser": HERE}], switch_on, ["jobs", {}]]
    return books, start, act, again, {}


def _nameless(house: House) -> Made:
    """A bank whose bookings have no id, and many that are equal: more of one day than go on a page,
    most of them known, some new."""
    house.provider.ids_stable = False
    house.provider.instead["transactions"] = without_ids
    books = house.books(
        jan=[account(BAKERY, since=100, valid=180)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    _equal(house, TODAY, 100)
    books.activate(20)
    house.later(days=1)
    _equal(house, TODAY, 6)
    _equal(house, house.at().today, 10)
    act: list[Step] = [["jobs", {"names": ["grants", "fetches"]}]]
    return books, TODAY - timedelta(days=20), act, [["jobs", {}]], {"nameless": True}


def without_ids(ask: Any, *args: Any, **kwargs: Any) -> Any:
    """In place of a provider's `transactions`."""
    page = ask(*args, **kwargs)
    rows = [replace(each, id="") for each in page.transactions]
    return replace(page, transactions=rows)


def _equal(house: House, day: date, count: int) -> None:
    house.book(BAKERY, day, *[-250] * count)


def _due(house: House) -> Made:
    """Switched on and due, nothing fetched yet: what a server finds when it starts."""
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=400)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    start = TODAY - timedelta(days=380)
    _switch_on(house, books, BAKERY, start)
    with house.services.store.write() as session:
        user = User(name="Sanne", email="sanne@kantoor.example", is_owner=True)
        session.add(user)
        session.flush()
        session.add(Membership(user_id=user.id, administration_id=books.id, role="administrator"))
        token = begin(session, user.id, house.at(), "a browser")
    act: list[Step] = [["jobs", {"names": ["fetches"]}]]
    return books, start, act, [["jobs", {}]], {"token": token}


def _office(house: House) -> Made:
    """Three accounts that are due, at the hour it is: for a server with the machine's clock."""
    house.clock.source = Still(datetime.now(UTC))
    ibans = (BAKERY, SAVINGS, SHOP)
    books = house.books(
        jan=[account(each, since=700, valid=800, opened_days_ago=720) for each in ibans],
        shares={"jan": ibans},
        journals=ibans,
    )
    start = house.at().today - timedelta(days=690)
    for iban in ibans:
        _switch_on(house, books, iban, start)
    return books, start, [], [], {}


def _switch_on(house: House, books: Books, iban: str, start: date) -> None:
    """Without what comes in at once when a person does it."""
    house.provider.instead["transactions"] = fails(Temporary("asleep"))
    books.activate(start.isoformat(), iban)
    house.provider.instead.clear()
    books.set(iban, failures=0, outage_since=None, outage_kind=None, next_fetch_at=house.at().now)
    with house.services.store.write() as session:
        session.execute(delete(FetchRun))


MAKERS = {
    "first": _first,
    "overlap": _overlap,
    "renewal": _renewal,
    "grant": _grant,
    "nameless": _nameless,
    "due": _due,
    "office": _office,
}
