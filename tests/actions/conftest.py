"""A house that both sides live in, emptied for every test, and the holder's browser.

Nothing is faked between Banklink and the embedded app: they speak HTTP. One house per database
serves the whole run; building one costs more than most tests.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest
from bs4 import BeautifulSoup, Tag
from sqlalchemy import event, select

from banklink import jobs
from banklink.actions import fetch as fetching
from banklink.actions.activate import activate
from banklink.actions.come_back import Return, come_back
from banklink.actions.credentials import put
from banklink.actions.depart import depart, hashed
from banklink.actions.observe import observe
from banklink.actions.services import Services
from banklink.actions.settle import settle
from banklink.core.calendar import Moment
from banklink.core.statuses import Action
from banklink.providers.contract import Credentials
from banklink.simulator import world as rules
from banklink.simulator.model import (
    AppAccount,
    Bank,
    BankAccount,
    BankBooking,
    BankConsent,
    Integration,
    TokenFamily,
)
from banklink.simulator.model import Base as SimulatorBase
from banklink.store.facts import Record, ensure_connections, record
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Base,
    Connection,
    Event,
    Grant,
    Holder,
    Journal,
    Transaction,
)
from tests.support.house import TestHouse, running

BAKERY = "NL85DEMO0417164300"
SAVINGS = "NL77DEMO0417164444"
SHOP = "NL52VOOR0001234567"
SPARE = "NL04VOOR0123456789"
BANKS = {"DEMO": "Demobank", "VOOR": "Voorbeeldbank"}
PEOPLE = {
    "jan": ("Jan de Vries", "jan@devries.example"),
    "piet": ("Piet Bakker", "piet@bakker.example"),
}
SANNE = "Sanne"
HERE, ELSEWHERE = "the browser that started", "another browser"
BEGIN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)


def account(
    iban: str, *, since: int | None = None, valid: int = 180, **more: Any
) -> dict[str, Any]:
    """One account at the bank; `since`: authorised so many days ago."""
    signature = None
    if since is not None:
        signature = {
            "since_days_ago": since,
            "valid_days": valid,
            "history_days": more.pop("history", None),
            "revoked_days_ago": more.pop("revoked", None),
        }
    return {
        "iban": iban,
        "bank": BANKS[iban[4:8]],
        "opened_days_ago": 100,
        "authorisation": signature,
        **more,
    }


class Time:
    """Machine time: a fixed day on which it goes on as always, and can be pushed."""

    def __init__(self) -> None:
        self.began, self.pushed = time.monotonic(), timedelta()

    def __call__(self) -> datetime:
        return BEGIN + timedelta(seconds=time.monotonic() - self.began) + self.pushed


class Watched:
    """The real provider, counted; a test can put something before or in place of a call."""

    def __init__(self, inner: Any):
        self._inner = inner
        self.calls: Counter[str] = Counter()
        self.instead: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls[name] += 1
            replacement = self.instead.get(name)
            return replacement(found, *args, **kwargs) if replacement else found(*args, **kwargs)

        return call


def fails(error: BaseException) -> Callable[..., Any]:
    def instead(*_args: Any, **_kwargs: Any) -> Any:
        raise error

    return instead


class House:
    """Both sides of one test, on one database."""

    def __init__(self, parts: TestHouse):
        self._house = parts
        self.clock = parts.simulator.clock
        self.simulator = parts.simulator
        self.bank_origin = parts.bank_origin
        self.redirect_uri = parts.services.redirect_uri

    def empty(self) -> None:
        with self._house.services.store.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        with self.simulator.store.transaction() as db:
            for table in reversed(SimulatorBase.metadata.sorted_tables):
                db.execute(table.delete())
        self.time = self.clock.source = Time()
        self.clock._offset = timedelta()
        self.clock.listeners[:] = []
        self.provider = Watched(self._house.services.providers["ponto"])
        self.services: Services = dataclasses.replace(
            self._house.services, providers={"ponto": self.provider}
        )

    @property
    def on_sqlite(self) -> bool:
        return bool(self.services.store.is_sqlite)

    # -- time ---------------------------------------------------------------------------------

    def at(self) -> Moment:
        return Moment(self.clock.now(), self.clock.real())

    def later(self, **step: float) -> None:
        """Time passes and nobody looks; `jobs()` is the scheduler waking up."""
        self.clock.advance(timedelta(**step))

    def jobs(self) -> None:
        jobs.run_all(self.services, self.clock)

    def days(self, count: int) -> None:
        """Days on which the scheduler is awake."""
        for _ in range(count):
            self.later(days=1)
            self.jobs()

    # -- the world ----------------------------------------------------------------------------

    def books(
        self,
        *,
        jan: Sequence[dict[str, Any]] = (),
        piet: Sequence[dict[str, Any]] = (),
        shares: Mapping[str, Sequence[str]] | None = None,
        journals: Sequence[str] = (),
        lock_date: date | None = None,
        name: str = "Bakkerij De Vries",
    ) -> Books:
        """People with accounts, an administration with journals 1100, 1110, …, and the grants
        of those who share accounts already."""
        with self.simulator.store.transaction() as db:
            first = db.scalar(select(Bank.id).limit(1)) is None
        reference = f"books of {name}"
        made = self.simulator.seed(
            {
                "banks": [{"name": name, "code": code} for code, name in BANKS.items()]
                if first
                else [],
                "holders": [
                    {"key": key, "name": PEOPLE[key][0], "email": PEOPLE[key][1], "accounts": own}
                    for key, own in (("jan", list(jan)), ("piet", list(piet)))
                    if own
                ],
                "integrations": [
                    {
                        "client": "banklink",
                        "holder": key,
                        "reference": reference,
                        "label": name,
                        "accounts": list(ibans),
                    }
                    for key, ibans in (shares or {}).items()
                ],
            }
        )
        at = self.at()
        with self.services.store.write() as session:
            administration = Administration(
                reference=reference,
                name=name,
                lock_date=lock_date,
                fiscal_year_start=date(2026, 1, 1),
            )
            session.add(administration)
            session.flush()
            for number, iban in enumerate(journals):
                session.add(
                    Journal(
                        administration_id=administration.id,
                        code=str(1100 + 10 * number),
                        name=f"Bank {number + 1}",
                        iban=iban,
                        currency="EUR",
                    )
                )
            grants = []
            for each in made["integrations"]:
                holder = session.scalar(select(Holder).where(Holder.subject == each["subject"]))
                if holder is None:
                    name_, email = PEOPLE[each["holder"]]
                    holder = Holder(
                        provider="ponto", subject=each["subject"], name=name_, email=email
                    )
                    session.add(holder)
                    session.flush()
                grant = Grant(
                    administration_id=administration.id,
                    holder_id=holder.id,
                    state="active",
                    granted_at=at.now,
                    credentials_version=0,
                )
                session.add(grant)
                put(self.services, grant, Credentials("", each["refresh_token"], at.real))
                session.flush()
                grants.append(grant.id)
            ensure_connections(session, administration.id)
        for grant_id in grants:
            observe(self.services, grant_id, at)
        with self.services.store.write() as session:
            settle(session, administration.id, at)
        return Books(self, administration.id)

    # -- the bank's side ----------------------------------------------------------------------

    def outage(self, code: str = "DEMO", *, on: bool = True) -> None:
        with self.simulator.store.transaction() as db:
            bank = db.scalars(select(Bank).where(Bank.code == code)).one()
            bank.outage_since = self.clock.now() if on else None

    def revoke_at_the_bank(self) -> None:
        with self.simulator.store.transaction() as db:
            for consent in db.scalars(select(BankConsent)):
                consent.revoked_at = self.clock.now()

    def withdraw_access(self) -> None:
        """What a holder does under *Gekoppelde diensten*: every grant to Banklink ends."""
        with self.simulator.store.transaction() as db:
            for integration in db.scalars(select(Integration)):
                integration.revoked_at = self.clock.now()
            for family in db.scalars(select(TokenFamily)):
                family.revoked_at = self.clock.real()

    def renumber(self, iban: str) -> None:
        """The provider gives the account another id (domain.md R12)."""
        with self.simulator.store.transaction() as db:
            for row in db.scalars(
                select(AppAccount).join(BankAccount).where(BankAccount.iban == iban)
            ):
                row.uuid = rules.new_uuid()

    def book(self, iban: str, day: date, *amounts: int, text: str = "Koffie") -> None:
        """Bookings at the bank, each an own one, all alike but for the amount (cents)."""
        with self.simulator.store.transaction() as db:
            found = db.scalars(select(BankAccount).where(BankAccount.iban == iban)).one()
            for amount in amounts:
                number = rules.new_uuid()
                db.add(
                    BankBooking(
                        uuid=number,
                        bank_account_id=found.id,
                        booked_on=day,
                        value_on=day,
                        amount=amount,
                        currency="EUR",
                        counterparty="Koffiebar",
                        counterparty_iban=None,
                        remittance=text,
                        source="test",
                        identity=number,
                        created_at=self.clock.now(),
                    )
                )

    def booked(self, iban: str, first: date, last: date) -> list[tuple[date, int, str]]:
        """The bank's own list of what was booked on these days."""
        with self.simulator.store.transaction() as db:
            found = db.scalars(select(BankAccount).where(BankAccount.iban == iban)).one()
            rules.generate_until(db, found, self.clock.now())
            rows = db.scalars(
                select(BankBooking).where(
                    BankBooking.bank_account_id == found.id,
                    BankBooking.booked_on.between(first, last),
                )
            )
            return sorted((row.booked_on, row.amount, row.remittance) for row in rows)


@dataclasses.dataclass
class Books:
    """One administration, with the words of the page: accounts are named by their IBAN."""

    house: House
    id: int

    @property
    def services(self) -> Services:
        return self.house.services

    def links(self) -> list[tuple[int, str]]:
        """Every connection, also of other accounts."""
        with self.services.store.read() as session:
            return [
                (row.id, row.iban)
                for row in session.scalars(select(Connection).order_by(Connection.id))
            ]

    def connection(self, iban: str = BAKERY) -> Connection:
        with self.services.store.read() as session:
            return session.scalars(
                select(Connection).where(
                    Connection.administration_id == self.id, Connection.iban == iban
                )
            ).one()

    def record(self, iban: str = BAKERY) -> Record:
        with self.services.store.read() as session:
            found = record(session, self.connection(iban).id, self.house.at())
            assert found is not None
            return found

    def row(self, iban: str = BAKERY) -> str:
        """The key of the row of the table that the page shows."""
        return self.record(iban).diagnosis.row.key

    def overlays(self, iban: str = BAKERY) -> set[str]:
        return {str(each) for each in self.record(iban).diagnosis.overlays}

    def holder(self, name: str = "jan") -> str:
        with self.services.store.read() as session:
            found = session.scalars(select(Holder).where(Holder.name == PEOPLE[name][0])).one()
            return str(found.id)

    def grant(self, name: str = "jan") -> Grant:
        with self.services.store.read() as session:
            return session.scalars(
                select(Grant).where(
                    Grant.administration_id == self.id, Grant.holder_id == int(self.holder(name))
                )
            ).one()

    def account(self, iban: str = BAKERY, name: str = "jan") -> Account:
        with self.services.store.read() as session:
            return session.scalars(
                select(Account).where(Account.grant_id == self.grant(name).id, Account.iban == iban)
            ).one()

    def attempt(self, iban: str = BAKERY) -> Attempt:
        """The last departure for this account."""
        with self.services.store.read() as session:
            return session.get_one(Attempt, self.connection(iban).last_attempt_id)

    def events(self, iban: str = BAKERY, kind: str | None = None) -> list[Event]:
        with self.services.store.read() as session:
            found = session.scalars(
                select(Event)
                .where(Event.connection_id == self.connection(iban).id)
                .order_by(Event.id)
            ).all()
            return [each for each in found if kind in (None, each.kind)]

    def told(self, iban: str = BAKERY) -> list[str]:
        """The rows the history spoke of, in order."""
        return [each.params["to"] for each in self.events(iban, "status")]

    def transactions(self, iban: str = BAKERY) -> list[tuple[date, int, str]]:
        with self.services.store.read() as session:
            rows = session.scalars(
                select(Transaction).where(Transaction.connection_id == self.connection(iban).id)
            )
            return sorted((row.booked_on, row.amount, row.remittance) for row in rows)

    def set(self, iban: str = BAKERY, **values: Any) -> None:
        with self.services.store.write() as session:
            row = session.get_one(Connection, self.connection(iban).id)
            for name, value in values.items():
                setattr(row, name, value)

    def activate(
        self, start: str | int = 20, iban: str = BAKERY, *, via: str = "jan", **more: Any
    ) -> Any:
        """`start`: a date as typed, or so many days ago."""
        if isinstance(start, int):
            start = (self.house.at().today - timedelta(days=start)).isoformat()
        return activate(
            self.services,
            self.connection(iban).id,
            self.house.at(),
            **{
                "holder": self.holder(via) if via in PEOPLE else via,
                "start": start,
                "version": None,
                "actor": SANNE,
                **more,
            },
        )

    def depart(
        self,
        purpose: Action,
        iban: str = BAKERY,
        *,
        browser: str = HERE,
        via: str | None = None,
    ) -> str:
        return depart(
            self.services,
            self.connection(iban).id,
            purpose,
            self.house.at(),
            actor=SANNE,
            browser=browser,
            holder=self.holder(via) if via else None,
        )

    def come_back(self, answer: Mapping[str, str], browser: str | None = HERE) -> Return:
        return come_back(self.services, answer, self.house.at(), browser=browser)

    def visit(self, url: str, **choices: Any) -> dict[str, str]:
        return visit(self.house, url, **choices)

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        return dump(self.services)


# -- what is stored ---------------------------------------------------------------------------

_TOKENS = {
    "grants": {"credentials", "credentials_version", "access_expires_at", "refresh_until"},
    "connections": {"fetch_until"},
}
_OBSERVED = {"grants": {"observed_at", "next_check_at"}}


def dump(
    services: Services, *, without: Sequence[str] = ("attempts", "events"), looked: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, without attempts, events and tokens. `looked`: also without the
    times at which somebody looked."""
    found: dict[str, list[dict[str, Any]]] = {}
    with services.store.read() as session:
        for table in Base.metadata.sorted_tables:
            if table.name in without:
                continue
            hidden = _TOKENS.get(table.name, set()) | (
                _OBSERVED.get(table.name, set()) if looked else set()
            )
            found[table.name] = [
                {name: value for name, value in row.items() if name not in hidden}
                for row in session.execute(
                    select(table).order_by(*table.primary_key.columns)
                ).mappings()
            ]
    return found


@contextmanager
def nothing_changes(services: Services) -> Iterator[None]:
    """Not a row, not a version, not an event."""
    before = dump(services, without=())
    yield
    assert dump(services, without=()) == before


def attempt_of(house: House, answer: Mapping[str, str]) -> Attempt:
    with house.services.store.read() as session:
        return session.scalars(
            select(Attempt).where(Attempt.state_hash == hashed(answer["state"]))
        ).one()


# -- the holder -------------------------------------------------------------------------------


class Browser:
    """The holder's browser at the embedded app and its banks; no JavaScript."""

    def __init__(self, origin: str):
        self._origin = origin
        self._client = httpx2.Client(follow_redirects=False, timeout=20)
        self.left: str | None = None
        self.soup = BeautifulSoup("", "html.parser")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, url: str) -> Browser:
        return self._send("GET", url, None)

    def _send(self, method: str, url: str, data: Any) -> Browser:
        for _ in range(10):
            if not url.startswith(self._origin + "/"):
                self.left = url
                return self
            response = self._client.request(method, url, data=data)
            if response.status_code != 303:
                break
            method, data, url = "GET", None, urljoin(url, response.headers["location"])
        self.url = url
        self.soup = BeautifulSoup(response.text, "html.parser")
        return self

    def press(self, action: str, within: str = "body", **fields: Any) -> Browser:
        button = self.soup.select_one(f'{within} [data-action="{action}"]')
        assert button is not None, f"no {action}: {self.soup.get_text(' ', strip=True)[:300]}"
        form = button.find_parent("form")
        assert isinstance(form, Tag)
        data: dict[str, Any] = {}
        for item in form.select("input, select"):
            name, kind = str(item.get("name") or ""), item.get("type")
            if kind in ("radio", "checkbox"):
                if item.has_attr("checked"):
                    data.setdefault(name, []).append(item["value"])
            elif item.name == "select":
                chosen = item.select_one("option[selected]") or item.select_one("option")
                data[name] = chosen["value"] if chosen else ""
            elif name:
                data[name] = item.get("value", "")
        if button.get("name"):
            data[str(button["name"])] = button["value"]
        data.update(fields)
        return self._send("POST", urljoin(self.url, str(form["action"])), data)

    def value(self, name: str, **where: str) -> str:
        (key, wanted), *_ = where.items()
        found = self.soup.select_one(f'input[name="{name}"][data-{key}="{wanted}"]')
        assert found is not None, f"{wanted} is not offered"
        return str(found["value"])

    def answer(self) -> dict[str, str]:
        assert self.left is not None
        return {name: each[0] for name, each in parse_qs(urlsplit(self.left).query).items()}


class NeverReturned(Exception):
    """The bank does not send the holder back."""


def visit(
    house: House,
    url: str,
    *,
    who: str = "jan",
    tick: Sequence[str] | None = None,
    decision: str = "allow",
    confirm: str = "confirm",
    card: str | None = None,
    **panel: str,
) -> dict[str, str]:
    """Play the holder from `url` to the address they are sent back to; returns its query.

    `decision`: allow, allow_later, deny. `confirm`: confirm, refuse, or cancel at the second
    screen of the bank. `card`: the IBAN of the card used, or private. `panel`: fields of the
    bank's test panel and sign-in (outcome, valid_days, history_days, code).
    """
    with Browser(house.bank_origin) as browser:
        return _play(house, browser.get(url), who, tick, decision, confirm, card, panel)


def _play(
    house: House,
    browser: Browser,
    who: str,
    tick: Sequence[str] | None,
    decision: str,
    confirm: str,
    card: str | None,
    panel: Mapping[str, str],
) -> dict[str, str]:
    for _ in range(12):
        if browser.left is not None:
            assert browser.left.startswith(house.redirect_uri + "?")
            return browser.answer()
        if browser.soup.select_one("#sign-in"):
            person = browser.value("holder", email=PEOPLE[who][1])
            browser.press("sign-in", "#sign-in", holder=person)
        elif browser.soup.select_one("#consent"):
            chosen = {}
            if tick is not None:
                chosen["account"] = [browser.value("account", iban=iban) for iban in tick]
            browser.press(decision, **chosen)
        elif browser.soup.select_one("#bank-sign-in"):
            fields: dict[str, Any] = dict(panel)
            if card is not None:
                fields["card"] = card if card == "private" else browser.value("card", iban=card)
            browser.press("bank-sign-in", **fields)
        elif browser.soup.select_one("#bank-consent"):
            browser.press(confirm)
        elif browser.soup.select_one('[data-action="cancel"]'):
            browser.press("cancel")
        else:
            raise NeverReturned(browser.soup.get_text(" ", strip=True))
    raise NeverReturned(browser.soup.get_text(" ", strip=True))


# -- many at once -----------------------------------------------------------------------------


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """The same act by so many at the same instant; an exception is an answer too."""
    gate, answers = threading.Barrier(count), [None] * count

    def one(number: int) -> None:
        gate.wait()
        try:
            answers[number] = act(number)
        except Exception as error:
            answers[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert not any(each.is_alive() for each in threads)
    return answers


# -- fixtures ---------------------------------------------------------------------------------


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def built_house(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment = {}
    if request.param == "postgresql":
        environment["BANKLINK_DATABASE_URL"] = request.getfixturevalue("postgres_server").migrated()
    folder = tmp_path_factory.mktemp(request.param)
    with running(folder, demo_data=False, web=False, **environment) as parts:
        for engine in (parts.simulator.store.engine, parts.services.store.engine):
            if engine.dialect.name == "sqlite":
                engine.dispose()
                event.listen(engine, "connect", _hurry)
        yield House(parts)


def _hurry(dbapi: Any, _record: Any) -> None:
    """No power fails here: waiting for the disk would be most of the run."""
    dbapi.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def house(built_house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(fetching, "PATIENCE", timedelta(minutes=5))  # on a busy machine as well
    built_house.empty()
    return built_house
