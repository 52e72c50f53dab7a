"""Thirty ways in which a provider fails, at each of the seven places where it is called: the row
says what is so, nothing is lost or doubled, a pause that was asked for is kept, and the next fetch
that nothing disturbs brings everything (security.md 4.5, 6 R8)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, event, func, select

from banklink.actions.credentials import put
from banklink.actions.fetch import Fetched, fetch
from banklink.actions.observe import observe
from banklink.actions.services import Office, Services
from banklink.actions.settle import settle
from banklink.core.calendar import Moment
from banklink.providers import ponto
from banklink.providers.contract import Credentials, ProviderError
from banklink.providers.ponto import Ponto
from banklink.settings import PontoSettings
from banklink.store.database import prepare
from banklink.store.facts import Record, record
from banklink.store.models import (
    Account,
    Administration,
    Base,
    BookedDay,
    Connection,
    Grant,
    Holder,
    Journal,
    PendingTransaction,
    Transaction,
)
from banklink.store.vault import Vault
from tests.support.house import free_ports

from .unwilling import KINDS, POINTS, AtTheBank, Kind, Unwilling

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ADDRESS = "192.0.2.1"
_numbers = itertools.count(1)

# What costs nothing at all, wherever it happens; and what is worth as much as nothing.
HARMLESS = {
    "extra field", "a page twice", "an empty page with a next one", "token expired on the way",
    "a clock an hour ahead", "a balance later than the bookings",
}  # fmt: skip
ONE_ROW = {"no number or a huge one", "missing field"}


def adapter_at(origin: str) -> Ponto:
    return Ponto(
        PontoSettings(
            authorize_url=f"{origin}/oauth2/auth",
            token_url=f"{origin}/oauth2/token",
            api_url=f"{origin}/api",
            client_id="banklink",
            client_secret="secret",
        )
    )


class Diverted:
    """The real adapter; while a fault says so, calls of one place end up at another address."""

    def __init__(self, service: Unwilling):
        self._service, self._here = service, adapter_at(service.origin)
        (closed,) = free_ports(1)
        self._others = {
            "closed": (f"http://127.0.0.1:{closed}", None),
            "nowhere": ("http://bank.invalid", None),
            "tls": (f"https://127.0.0.1:{service.port}", None),
        }
        self._made: dict[str, Ponto] = {}

    def close(self) -> None:
        for each in (self._here, *self._made.values()):
            each.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._here, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            kind, cursor = self._service.kind, kwargs.get("cursor")
            places = {"refresh": "token", "transactions": "later" if cursor else "first"}
            point = places.get(name, name)
            if point == "accounts" and self._service.point == "balances":
                point = "balances"
            if kind is None or kind.elsewhere is None or point != self._service.point:
                return found(*args, **kwargs)
            origin, _ = self._others[kind.elsewhere]
            made = self._made.setdefault(kind.elsewhere, adapter_at(origin))
            if cursor:
                kwargs["cursor"] = cursor.replace(self._service.origin, origin)
            return getattr(made, name)(*args, **kwargs)

        return call


@pytest.fixture(scope="module")
def service() -> Iterator[Unwilling]:
    found = Unwilling()
    yield found
    found.close()


@pytest.fixture(scope="module")
def services(service: Unwilling, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder: Path = tmp_path_factory.mktemp("faults")
    engine = create_engine(f"sqlite:///{folder / 'banklink.sqlite3'}")
    store = prepare(engine)
    event.listen(engine, "connect", lambda dbapi, _r: dbapi.execute("PRAGMA synchronous=OFF"))
    Base.metadata.create_all(engine)
    provider = Diverted(service)
    yield Services(
        store=store,
        providers={"ponto": provider},  # type: ignore[dict-item]
        vault=Vault([Fernet.generate_key().decode()]),
        redirect_uri="http://localhost/callback",
        office=Office("http://localhost"),
    )
    provider.close()
    engine.dispose()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, service: Unwilling) -> Iterator[None]:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setattr(ponto, "_TIMEOUT", httpx2.Timeout(0.25))
    monkeypatch.setattr(ponto, "_MOST_SECONDS", 0.2)
    yield
    service.kind, service.point = None, ""


@dataclass
class Case:
    """One link that has been fetched before, and a bank that has booked more since."""

    services: Services
    service: Unwilling
    bank: AtTheBank
    connection_id: int
    grant_id: int
    at: Moment

    def later(self, step: timedelta) -> None:
        self.at = Moment(self.at.now + step, self.at.real + step)
        self.bank.synchronized_at = self.at.now - timedelta(minutes=30)

    def book(self, *amounts: int, days_ago: int = 0) -> None:
        day = self.at.today - timedelta(days=days_ago)
        for amount in amounts:
            row = f"t{len(self.bank.rows)}", day, amount, "Koffie"
            self.bank.rows.insert(0, row)

    def pressed(self) -> Fetched:
        return fetch(self.services, self.connection_id, self.at, actor="Sanne", user_ip=ADDRESS)

    def by_itself(self) -> Fetched:
        """The account list as every hour, then what is due."""
        with suppress(ProviderError):
            observe(self.services, self.grant_id, self.at)
        return self.when_due()

    def when_due(self) -> Fetched:
        return fetch(self.services, self.connection_id, self.at, due_only=True)

    def record(self) -> Record:
        with self.services.store.read() as session:
            found = record(session, self.connection_id, self.at)
            assert found is not None
            return found

    def stored(self) -> Counter[tuple[date, int]]:
        with self.services.store.read() as session:
            rows = session.execute(
                select(Transaction.booked_on, Transaction.amount).where(
                    Transaction.connection_id == self.connection_id
                )
            ).all()
            total = session.scalar(
                select(func.sum(BookedDay.count)).where(
                    BookedDay.connection_id == self.connection_id
                )
            )
            assert (total or 0) == len(rows)
            return Counter((day, amount) for day, amount in rows)

    def truth(self) -> Counter[tuple[date, int]]:
        return Counter((day, amount) for _id, day, amount, _text in self.bank.rows)

    def announced(self) -> list[int]:
        with self.services.store.read() as session:
            return list(
                session.scalars(
                    select(PendingTransaction.amount)
                    .where(PendingTransaction.connection_id == self.connection_id)
                    .order_by(PendingTransaction.id)
                )
            )

    def account(self) -> Account:
        with self.services.store.read() as session:
            return session.scalars(select(Account).where(Account.grant_id == self.grant_id)).one()

    def grant(self) -> Grant:
        with self.services.store.read() as session:
            return session.get_one(Grant, self.grant_id)

    def given_again(self) -> None:
        """The holder gives permission once more."""
        with self.services.store.write() as session:
            grant = session.get_one(Grant, self.grant_id)
            grant.state, grant.revoked_at = "active", None
            put(self.services, grant, Credentials("", "refresh", self.at.real))
            settle(session, grant.administration_id, self.at)


@pytest.fixture
def case(services: Services, service: Unwilling) -> Case:
    number = next(_numbers)
    bank = AtTheBank(f"a{number}", f"NL00DEMO{number:010}", NOW - timedelta(minutes=30), [])
    service.account, service.accepted, service.ended = bank, "", False
    at = Moment(NOW, NOW)
    with services.store.write() as session:
        administration = Administration(reference=f"books {number}", name=f"Bakkerij {number}")
        holder = Holder(provider="ponto", subject=f"jan {number}", name="Jan de Vries")
        session.add_all([administration, holder])
        session.flush()
        grant = Grant(
            administration_id=administration.id,
            holder_id=holder.id,
            state="active",
            granted_at=NOW,
            credentials_version=0,
        )
        session.add(grant)
        put(services, grant, Credentials("", "refresh", NOW))
        connection = Connection(
            administration_id=administration.id,
            iban=bank.iban,
            currency="EUR",
            switch="on",
            selected_id=holder.id,
            start_date=at.today - timedelta(days=20),
        )
        session.add_all(
            [
                connection,
                Journal(administration_id=administration.id, code="1100", name="Bank",
                        iban=bank.iban, currency="EUR"),
            ]
        )  # fmt: skip
        session.flush()
        made = Case(services, service, bank, connection.id, grant.id, at)
    made.book(-1000, 250, days_ago=3)
    made.book(-300, days_ago=2)
    made.bank.coming = [-75]
    observe(services, made.grant_id, at)
    assert made.by_itself() == Fetched("ok", 3)
    assert (made.stored(), made.announced()) == (made.truth(), [-7500 // 100])
    made.later(timedelta(days=1))
    made.book(-350, -350, 1200, days_ago=1)
    made.book(-80, 45)
    made.bank.coming = [-60, -61]
    return made


def outcome(kind: Kind, point: str) -> str:
    """How the disturbed fetch ends. What is asked beforehand, so that the bank brings news, and
    what the fetch can do without, costs it nothing; but a pause asked for is kept."""
    name = kind.name
    if kind.pause is not None:
        return "limited" if point not in ("pending", "balances") else "ok"
    if point in ("accounts", "synchronise", "pending", "balances") or name in HARMLESS:
        return "ok"
    if point == "token":
        if name == "a cursor that goes round":
            return "ok"
        return "refused" if name == "403 consent revoked" else "outage"
    if name in ONE_ROW:
        return "ok"
    if name == "403 consent revoked" or (name == "404 account gone" and point == "first"):
        return "refused"
    return "outage"


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whatever_the_provider_does_nothing_is_lost_and_nothing_comes_twice(
    case: Case, kind: Kind, point: str
) -> None:
    before, watermark = case.stored(), case.record().connection.watermark
    if point == "token":
        case.service.accepted = ""
        with case.services.store.write() as session:
            session.get_one(Grant, case.grant_id).access_expires_at = case.at.real
    case.service.kind, case.service.point = kind, point
    result = case.by_itself() if point == "balances" else case.pressed()

    # What is so.
    expected = outcome(kind, point)
    assert result.result == expected or (result.result, point) == ("not_active", "token")
    row = case.record()
    assert row.connection.fetch_until is None
    assert row.diagnosis.row.key == (
        "r6" if expected != "refused" or "404" in kind.name
        else "r2" if point == "token" else "r5b"
    )  # fmt: skip
    said = {str(each) for each in row.diagnosis.overlays}
    assert said <= {"provider_outage", "limited"} | (
        {"unbalanced"} if kind.name in ONE_ROW else set()
    )
    unsure = expected == "refused" and "404" in kind.name
    assert ("provider_outage" in said) == (expected == "outage" or unsure)

    # Nothing lost, nothing twice, and no day passed over.
    stored = case.stored()
    assert before <= stored <= case.truth()
    if expected == "ok":
        lost = {"first": 1, "later": 2}  # of every page one that cannot be read, and two are news
        missing = lost.get(point, 0) if kind.name in ONE_ROW else 0
        assert sum((case.truth() - stored).values()) == missing
        # No day counts of which it is not known that the provider had asked the bank about it.
        unheard = point in ("accounts", "balances") and kind.name not in HARMLESS
        assert row.connection.watermark == (watermark if unheard else case.at.today)
    else:
        assert row.connection.watermark == watermark
    assert case.announced() in ([-75], [-60, -61], [-61])

    # A pause is kept, by the clock and by whoever presses.
    if kind.pause is not None:
        pause = kind.pause or timedelta(hours=1)
        if point == "balances":
            wait = case.grant().next_check_at
            assert wait is not None and wait >= case.at.now + (kind.pause or timedelta(minutes=5))
        else:
            assert case.account().paused_until == case.at.now + pause
            assert expected == "ok" or row.connection.next_fetch_at == case.at.now + pause
            asked, then = len(case.service.asked), case.at
            case.at = Moment(then.now + pause - timedelta(minutes=1), then.real)
            assert case.when_due().result in ("busy", "limited")
            assert case.pressed().result == "limited"
            assert len(case.service.asked) == asked
            case.at = then
    elif kind.name in ("500, 502, 503", "maintenance") and expected == "outage":
        wait = row.connection.next_fetch_at
        assert wait is not None and wait >= case.at.now + timedelta(minutes=30)

    # And when nothing disturbs any more, everything comes.
    case.service.kind, case.service.point = None, ""
    case.later(timedelta(hours=25))
    case.book(-5)
    if point == "token" and expected == "refused":
        case.given_again()
    assert case.by_itself().result == "ok"
    row = case.record()
    assert case.stored() == case.truth()
    assert case.announced() == [-60, -61]
    assert (row.diagnosis.row.key, row.diagnosis.overlays) == ("r6", ())
    assert row.connection.watermark == case.at.today


def test_the_list_is_that_of_the_design() -> None:
    assert (len(KINDS), len(POINTS)) == (30, 7)
    assert len({kind.name for kind in KINDS}) == 30
