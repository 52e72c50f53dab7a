"""Each reminder is queued once or rightly never, whoever looks and however often (domain.md B3).

What the bank and the entrepreneur app show is written down as facts; nobody is asked over HTTP.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic
from time import sleep as wait
from typing import Any

import pytest
from sqlalchemy import select

import app as composition
from banklink import jobs
from banklink.actions import digest as digesting
from banklink.actions import remind as reminding
from banklink.actions import tell_done as telling
from banklink.actions import unsubscribe
from banklink.actions.digest import digest
from banklink.actions.invite import ask_for
from banklink.actions.observe import store_accounts
from banklink.actions.outbox import deliver, queue
from banklink.actions.remind import remind
from banklink.actions.services import Missing, Services
from banklink.actions.settle import hold, settle
from banklink.actions.switch_off import switch_off
from banklink.actions.tell_done import tell_renewals
from banklink.core.calendar import AMSTERDAM, Moment
from banklink.core.invitations import Purpose
from banklink.core.reminders import urgency
from banklink.mail.letters import Letter
from banklink.providers.contract import ProviderAccount
from banklink.store.models import (
    Account,
    Administration,
    Base,
    Connection,
    FetchRun,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
    Journal,
    Mail,
    Membership,
    Reminder,
    User,
)
from tests.support.house import settings_for

BAKERY, SHOP = "Bakkerij De Vries", "Winkel Zuid"
DEMO, VOOR, MERI = "Demobank", "Voorbeeldbank", "Meridiaanbank"
CODES = {DEMO: "DEMO", VOOR: "VOOR", MERI: "MERI"}
SANNE, BOB = "Sanne Jansen", "Bob de Boer"


def local(text: str) -> datetime:
    """An instant by the clock in Amsterdam: 2026-11-01 10:00."""
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM).astimezone(UTC)


def shown(instant: datetime) -> str:
    return instant.astimezone(AMSTERDAM).strftime("%Y-%m-%d %H:%M")


@dataclass
class Time:
    """One clock on everybody's wall. A real one: business and machine agree."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def real(self) -> datetime:
        return self.at

    def moment(self) -> Moment:
        return Moment(self.at, self.at)


@dataclass
class Desk:
    """Books, people and accounts, by their names. `services`: one for every worker."""

    services: Services
    time: Time
    holders: dict[str, int] = field(default_factory=dict)
    books: dict[str, int] = field(default_factory=dict)
    shows: dict[int, dict[str, ProviderAccount]] = field(default_factory=dict)

    def at(self, text: str) -> Desk:
        self.time.at = local(text)
        return self

    def administration(self, name: str, *people: tuple[str, str]) -> None:
        with self.services.store.write() as session:
            made = Administration(reference=name.lower(), name=name)
            session.add(made)
            session.flush()
            self.books[name] = made.id
            for who, role in people:
                email = f"{who.partition(' ')[0].lower()}@kantoor.nl"
                user = session.scalar(select(User).where(User.email == email))
                if user is None:
                    user = User(name=who, email=email, password_hash="x", locale="nl")
                    session.add(user)
                    session.flush()
                session.add(Membership(user_id=user.id, administration_id=made.id, role=role))

    def holder(self, name: str, **more: Any) -> None:
        with self.services.store.write() as session:
            email = f"{name.lower()}@firma.nl"
            row = Holder(
                **{"provider": "ponto", "subject": name, "name": name, "email": email, **more}
            )
            session.add(row)
            session.flush()
            self.holders[name] = row.id

    def account(
        self,
        holder: str,
        number: int,
        until: str,
        *,
        bank: str = DEMO,
        books: str = BAKERY,
        since: str | None = None,
        on: bool = True,
    ) -> str:
        """One account this holder shares; returns its IBAN."""
        if holder not in self.holders:
            self.holder(holder)
        last = date.fromisoformat(until)
        began = date.fromisoformat(since) if since else last - timedelta(days=180)
        iban = f"NL00{CODES[bank]}{number:010d}"
        grant_id = self.grant(holder, books)
        self.shows.setdefault(grant_id, {})[iban] = shows(iban, bank, began, last)
        with self.services.store.write() as session:
            session.add(
                Journal(
                    administration_id=self.books[books],
                    code=str(number),
                    name=f"Bank {number}",
                    iban=iban,
                    currency="EUR",
                )
            )
        self.look(grant_id)
        if on:
            self.set(iban, switch="on", selected_id=self.holders[holder], switched_by=SANNE)
        return iban

    def grant(self, holder: str, books: str) -> int:
        with self.services.store.write() as session:
            where = {"administration_id": self.books[books], "holder_id": self.holders[holder]}
            found = session.scalar(select(Grant).filter_by(**where))
            if found is None:
                found = Grant(**where, state="active", granted_at=self.time.at)
                session.add(found)
                session.flush()
            return found.id

    def look(self, grant_id: int) -> None:
        """What the provider shows is taken in, as actions/observe.py does."""
        at = self.time.moment()
        with self.services.store.write() as session:
            grant = session.get_one(Grant, grant_id)
            hold(session, grant.administration_id)
            store_accounts(session, grant, list(self.shows[grant_id].values()), at)
            grant.next_check_at = None  # nobody is asked over HTTP
            settle(session, grant.administration_id, at)

    def change(self, holder: str, books: str = BAKERY, **values: Any) -> None:
        """Every account of this holder in these books is shown otherwise from now on."""
        grant_id = self.grant(holder, books)
        mine = self.shows[grant_id]
        for iban, each in mine.items():
            mine[iban] = ProviderAccount(
                **{name: getattr(each, name) for name in each.__slots__} | values
            )
        self.look(grant_id)

    def renew(self, holder: str, books: str = BAKERY, *, days: int = 180) -> None:
        until = self.time.at + timedelta(days=days)
        self.change(holder, books, authorised_at=self.time.at, valid_until=until, ended=None)

    def set(self, iban: str, books: str | None = None, **values: Any) -> None:
        with self.services.store.write() as session:
            wanted = select(Connection).where(Connection.iban == iban)
            if books:
                wanted = wanted.where(Connection.administration_id == self.books[books])
            for row in session.scalars(wanted):
                for name, value in values.items():
                    setattr(row, name, value)
                settle(session, row.administration_id, self.time.moment(), only=[row.id])

    def person(self, name: str, **values: Any) -> None:
        with self.services.store.write() as session:
            row = session.get_one(Holder, self.holders[name])
            for key, value in values.items():
                setattr(row, key, value)

    def connection(self, iban: str) -> Connection:
        with self.services.store.read() as session:
            return session.scalars(select(Connection).where(Connection.iban == iban)).one()

    def ask(self, holder: str, iban: str, *, bank: str = DEMO) -> None:
        """Sanne sends a request in person."""
        at, connection = self.time.moment(), self.connection(iban)
        with self.services.store.write() as session:
            row = session.get_one(Holder, self.holders[holder])
            assert row.email is not None
            invitation, _token = ask_for(
                session,
                at,
                administration_id=connection.administration_id,
                purpose=Purpose.RENEW,
                email=row.email,
                name=row.name,
                locale="nl",
                connections=[connection.id],
                bank=bank,
                holder_id=row.id,
                message="Hoi, zou je dit willen vernieuwen?",
                actor=SANNE,
            )
            queue(
                session,
                self.services,
                Letter("nl", "Verzoek", "Hoi", (), "Groet"),
                at,
                kind="request",
                email=row.email,
                name=row.name,
                holder_id=row.id,
                invitation_id=invitation.id,
            )

    # -- what came of it ------------------------------------------------------------------------

    def mails(self, kind: str = "reminder") -> list[Mail]:
        with self.services.store.read() as session:
            return list(session.scalars(select(Mail).where(Mail.kind == kind).order_by(Mail.id)))

    def letter(self, mail: Mail) -> dict[str, str]:
        return {name: text or "" for name, text in self.services.vault.open(mail.sealed).items()}

    def told(self) -> list[str]:
        """Every reminder: when, to whom, at which bank, for which threshold."""
        with self.services.store.read() as session:
            found: dict[int, tuple[datetime, str, str, list[int]]] = {}
            for mail, threshold, name, bank in session.execute(
                select(Mail, Reminder.threshold, Holder.name, Account.bank)
                .join(Reminder, Reminder.mail_id == Mail.id)
                .join(Account, Account.id == Reminder.account_id)
                .join(Holder, Holder.id == Mail.holder_id)
            ):
                found.setdefault(mail.id, (mail.created_at, name, bank, []))[3].append(threshold)
        assert set(found) == {mail.id for mail in self.mails()}, "a mail that nothing asked for"
        return sorted(
            f"{shown(at)} {name} {bank} {max(thresholds, key=urgency)}"
            for at, name, bank, thresholds in found.values()
        )

    def without_mail(self, holder: str) -> list[int]:
        """Thresholds of this holder that rightly got none."""
        with self.services.store.read() as session:
            return list(
                session.scalars(
                    select(Reminder.threshold)
                    .join(Account, Account.id == Reminder.account_id)
                    .join(Grant, Grant.id == Account.grant_id)
                    .where(
                        Grant.holder_id == self.holders[holder],
                        Reminder.mail_id.is_(None),
                    )
                    .order_by(Reminder.id)
                )
            )


def shows(iban: str, bank: str, began: date, last: date) -> ProviderAccount:
    return ProviderAccount(
        ref=iban,
        iban=iban,
        currency="EUR",
        name="Rekening",
        bank=bank,
        authorised_at=datetime.combine(began, time(9), UTC),
        valid_until=datetime.combine(last, time(9), UTC),
        ended=None,
        outage=False,
        synchronized_at=None,
        available_from=None,
        history_from=None,
    )


def services_for(folder: Path, url: str | None = None) -> Services:
    environment = {"BANKLINK_DATABASE_URL": url} if url else {}
    return composition.open_services(
        settings_for(folder, BANKLINK_DEMO="0", BANKLINK_OFFICE="Kantoor Jansen", **environment)
    )


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def one_database(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").migrated()
    services = services_for(tmp_path_factory.mktemp("reminders"), url)
    yield services
    services.store.engine.dispose()


@pytest.fixture
def desk(one_database: Services) -> Desk:
    with one_database.store.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
    made = Desk(one_database, Time(local("2026-09-15 12:00")))
    made.administration(BAKERY, (SANNE, "administrator"))
    made.administration(SHOP, (BOB, "bookkeeper"))
    return made


# -- 200 days, two workers ----------------------------------------------------------------------

FIRST, DAYS = date(2026, 9, 15), 200
DOWN = (local("2026-10-20 22:00"), local("2026-10-23 22:00"))
HOURS = (8, 9, 21)
"""Turns of a day, in UTC: both hours that are ten in Amsterdam, and one at night."""

EXPECTED = """
2026-09-22 10:00 Kees Demobank 30
2026-09-28 10:00 Piet Voorbeeldbank 30
2026-10-08 10:00 Kees Demobank 14
2026-10-14 10:00 Piet Voorbeeldbank 14
2026-10-15 10:00 Kees Demobank 7
2026-10-16 10:00 Els Demobank 30
2026-10-24 10:00 Kees Demobank 0
2026-10-24 10:00 Piet Voorbeeldbank 7
2026-10-27 10:00 Piet Voorbeeldbank 1
2026-10-28 10:00 Piet Voorbeeldbank 0
2026-10-29 10:00 Kees Demobank -7
2026-11-01 10:00 Els Demobank 14
2026-11-01 10:00 Jan Demobank 30
2026-11-04 10:00 Piet Voorbeeldbank -7
2026-11-10 10:00 Jan Demobank 30
2026-11-17 10:00 Jan Demobank 14
2026-11-20 10:00 Fred Demobank 30
2026-11-21 10:00 Kees Demobank -30
2026-11-24 10:00 Jan Demobank 7
2026-11-27 10:00 Hugo Demobank 14
2026-11-27 10:00 Piet Voorbeeldbank -30
2026-12-04 10:00 Hugo Demobank 7
2026-12-06 10:00 Fred Demobank 14
2027-01-01 10:00 Ivan Demobank 30
2027-01-24 10:00 Ivan Demobank 7
2027-01-30 10:00 Ivan Demobank 1
2027-01-31 10:00 Ivan Demobank 0
2027-02-07 10:00 Ivan Demobank -7
2027-02-27 10:00 Piet Meridiaanbank 30
2027-03-02 10:00 Ivan Demobank -30
2027-03-15 10:00 Piet Meridiaanbank 14
2027-03-22 10:00 Piet Meridiaanbank 7
2027-03-28 10:00 Piet Meridiaanbank 1
2027-03-29 10:00 Piet Meridiaanbank 0
"""


@pytest.mark.postgres
def test_two_workers_over_200_days_write_each_reminder_once_or_rightly_never(
    request: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both clock changes, three days of nobody, a renewal, a revocation, a withdrawn grant, an
    account that is switched off and one that never was on, two administrations that share a
    holder, and a request in person the day before."""
    url = request.getfixturevalue("postgres_server").migrated()
    wall = Time(local("2026-09-15 00:00"))
    desk = Desk(services_for(tmp_path, url), wall)
    request.addfinalizer(desk.services.store.engine.dispose)
    desk.administration(BAKERY, (SANNE, "administrator"))
    desk.administration(SHOP, (BOB, "bookkeeper"))
    jan = desk.account("Jan", 4300, "2026-12-01")
    desk.account("Jan", 4444, "2026-12-01", books=SHOP)
    desk.account("Jan", 4466, "2026-12-10")
    desk.account("Piet", 1, "2026-10-28", bank=VOOR)
    desk.account("Piet", 2, "2027-03-29", bank=MERI, books=SHOP)
    desk.account("Kees", 3, "2026-10-22")
    desk.account("Els", 4, "2026-11-15")
    desk.account("Fred", 5, "2026-12-20")
    desk.account("Gina", 6, "2026-12-24", on=False)
    ivan = desk.account("Ivan", 7, "2027-01-31")
    desk.holder("Noor", email=None)
    desk.account("Noor", 8, "2026-10-30")
    desk.holder("Omar", reminders_off_at=wall.at)
    desk.account("Omar", 9, "2026-10-30", books=SHOP)

    def hugo() -> None:
        desk.account("Hugo", 10, "2026-12-11", since="2026-11-01")

    def hugo_leaves() -> None:
        number = desk.connection("NL00DEMO0000000010").id
        switch_off(desk.services, number, wall.moment(), version=None, actor=SANNE)

    def fred_withdraws() -> None:
        with desk.services.store.write() as session:
            session.get_one(Grant, desk.grant("Fred", BAKERY)).state = "revoked"

    happens: list[tuple[str, Callable[[], Any]]] = [
        ("2026-11-01 16:00", hugo),
        ("2026-11-03 16:00", lambda: desk.change("Els", ended="revoked")),
        ("2026-11-27 12:00", lambda: desk.renew("Jan")),
        ("2026-11-27 12:01", lambda: desk.renew("Jan", SHOP)),
        ("2026-12-05 12:00", hugo_leaves),
        ("2026-12-08 16:00", fred_withdraws),
        ("2027-01-16 15:30", lambda: desk.ask("Ivan", ivan)),
    ]
    turns = [
        datetime.combine(FIRST + timedelta(days=day), time(hour), UTC)
        for day in range(DAYS)
        for hour in HOURS
    ]
    names = ("expiries", "reminders", "renewals")
    with two_workers(tmp_path, url, wall, names) as turn, caplog.at_level(logging.ERROR):
        for at in turns:
            while happens and local(happens[0][0]) <= at:
                wall.at = local(happens[0][0])
                happens.pop(0)[1]()
            wall.at = at
            if not DOWN[0] <= at < DOWN[1]:
                turn()
    assert caplog.messages == []
    assert desk.told() == sorted(EXPECTED.split("\n")[1:-1])

    with desk.services.store.read() as session:
        rows = [(each.account_id, each.authorised_at, each.valid_until, each.threshold)
                for each in session.scalars(select(Reminder))]  # fmt: skip
    assert set(Counter(rows).values()) == {1}
    assert desk.without_mail("Jan") == [14], "two days before, the mail for the other named it"
    assert desk.without_mail("Kees") == [1]
    assert desk.without_mail("Els") == [7, 1, 0, -7, -30]
    assert desk.without_mail("Fred") == [7, 1, 0, -7, -30]
    assert desk.without_mail("Hugo") == [1, 0, -7, -30]
    assert desk.without_mail("Ivan") == [14]
    for nobody in ("Gina", "Noor", "Omar"):
        assert desk.without_mail(nobody) == [30, 14, 7, 1, 0, -7, -30], nobody
    assert jan in {each.iban for each in accounts_of(desk, "2026-11-01 10:00", "Jan")}
    renewed = [mail.name for mail in desk.mails("done")]
    assert sorted(renewed) == [BOB, SANNE], "each bookkeeper hears once of Jan's renewal"


@contextmanager
def two_workers(
    folder: Path, url: str, wall: Time, names: Sequence[str]
) -> Iterator[Callable[[], None]]:
    """Two schedulers on one database, each with its own connections; one call is one turn of these
    jobs of both, at the same moment."""
    gate, done = threading.Barrier(3), threading.Barrier(3)
    over = threading.Event()
    both = [services_for(folder, url) for _ in range(2)]

    def work(services: Services) -> None:
        while True:
            gate.wait()
            if over.is_set():
                return
            for name in names:
                jobs.run(name, services, wall)
            done.wait()

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in both]
    for each in threads:
        each.start()

    def turn() -> None:
        gate.wait(60)
        done.wait(60)

    try:
        yield turn
    finally:
        over.set()
        gate.wait(60)
        for services in both:
            services.store.engine.dispose()


def accounts_of(desk: Desk, at: str, holder: str) -> Sequence[Connection]:
    """What the mail of that moment asks this holder for."""
    with desk.services.store.read() as session:
        return session.scalars(
            select(Connection)
            .join(InvitationAccount, InvitationAccount.connection_id == Connection.id)
            .join(Mail, Mail.invitation_id == InvitationAccount.invitation_id)
            .where(Mail.created_at == local(at), Mail.holder_id == desk.holders[holder])
        ).all()


@pytest.mark.postgres
def test_while_one_worker_writes_a_mail_the_other_waits_and_then_has_nothing_to_do(
    request: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each letter takes a while, so that both are at it at the same moment for certain."""
    for module, name in ((reminding, "reminder"), (digesting, "letter_of"), (telling, "done")):
        monkeypatch.setattr(module, name, slowly(getattr(module, name)))
    url = request.getfixturevalue("postgres_server").migrated()
    desk = Desk(services_for(tmp_path, url), Time(local("2026-09-15 12:00")))
    request.addfinalizer(desk.services.store.engine.dispose)
    desk.administration(BAKERY, (SANNE, "administrator"), (BOB, "bookkeeper"))
    desk.account("Jan", 4300, "2026-10-08")
    desk.account("Piet", 4301, "2026-10-20")
    desk.at("2026-09-24 09:00").renew("Piet")
    names = ("reminders", "renewals", "digests")
    with two_workers(tmp_path, url, desk.time, names) as turn, caplog.at_level(logging.ERROR):
        for at in ("2026-09-24 10:00", "2026-09-24 10:01", "2026-10-01 10:00"):
            desk.at(at)
            turn()
    assert caplog.messages == []
    assert desk.told() == ["2026-09-24 10:00 Jan Demobank 14", "2026-10-01 10:00 Jan Demobank 7"]
    for kind, mornings in (("done", ["09-24"]), ("digest", ["09-24", "10-01"])):
        assert sorted((mail.name, shown(mail.created_at)) for mail in desk.mails(kind)) == [
            (name, f"2026-{day} 10:00") for name in (BOB, SANNE) for day in mornings
        ]


def slowly(act: Callable[..., Any]) -> Callable[..., Any]:
    def slow(*args: Any, **kwargs: Any) -> Any:
        wait(0.2)
        return act(*args, **kwargs)

    return slow


# -- what a reminder says, and to whom ----------------------------------------------------------


def test_one_mail_lists_every_account_at_that_bank_across_administrations(desk: Desk) -> None:
    first = desk.account("Jan", 4300, "2026-10-15")
    second = desk.account("Jan", 4444, "2026-10-15", books=SHOP)
    third = desk.account("Jan", 4777, "2026-11-20", books=SHOP)
    desk.account("Jan", 4555, "2026-10-15", on=False)
    desk.account("Jan", 4666, "2026-10-15", bank=VOOR)
    assert remind(desk.services, desk.at("2026-09-15 10:00").time.moment()) == 2
    mail, other = desk.mails()
    letter = desk.letter(mail)
    assert letter["subject"] == (
        "Bankkoppeling Bakkerij De Vries en Winkel Zuid: toestemming loopt tot 15 oktober 2026"
    )
    text = " ".join(letter["text"].split())
    for said in (
        "Beste Jan,",
        "Je toestemming om de mutaties van Demobank (…4300 en …4444) op te halen voor Bakkerij De"
        " Vries en Winkel Zuid loopt tot 15 oktober 2026 (over 30 dagen). Vernieuwen kan nu al en"
        " duurt ongeveer 2 minuten:",
        "Vernieuw bij Demobank",
        "Doe je niets, dan ontvangt Kantoor Jansen na 15 oktober 2026 geen mutaties meer. Je logt in"
        " bij je eigen bank met de pas van deze rekening; wij vragen nooit om je codes.",
        "Bakkerij De Vries: Bank 4300 …4300: geldig tot 15 oktober 2026",
        "Winkel Zuid: Bank 4444 …4444: geldig tot 15 oktober 2026",
        "Winkel Zuid: Bank 4777 …4777: geldig tot 20 november 2026",
    ):
        assert said in text, text
    for hidden in (first, second, third, first[4:], "4555", "4666"):
        assert hidden not in letter["html"] + letter["text"]
    assert letter["reply_to"] == "sanne@kantoor.nl"
    assert {each.iban for each in accounts_of(desk, "2026-09-15 10:00", "Jan")} >= {
        first,
        second,
        third,
    }
    assert "Voorbeeldbank" in desk.letter(other)["text"]


SAID = {
    "2026-09-15 10:00": (
        "Bankkoppeling Bakkerij De Vries: toestemming loopt tot 15 oktober 2026",
        "Bank link for Bakkerij De Vries: permission runs until 15 October 2026",
    ),
    "2026-10-01 10:00": (
        "Nog 14 dagen: vernieuw de bankkoppeling van Bakkerij De Vries",
        "14 days left: renew the bank link of Bakkerij De Vries",
    ),
    "2026-10-04 10:00": (
        "Nog 11 dagen: vernieuw de bankkoppeling van Bakkerij De Vries",
        "11 days left: renew the bank link of Bakkerij De Vries",
    ),
    "2026-10-08 10:00": (
        "Nog 7 dagen: zonder vernieuwing stoppen de mutaties op 15 oktober 2026",
        "7 days left: transactions stop on 15 October 2026 unless you renew",
    ),
    "2026-10-14 10:00": (
        "Morgen verloopt de bankkoppeling van Bakkerij De Vries",
        "The bank link of Bakkerij De Vries expires tomorrow",
    ),
    "2026-10-15 10:00": (
        "Vandaag verloopt de bankkoppeling van Bakkerij De Vries",
        "The bank link of Bakkerij De Vries expires today",
    ),
    "2026-10-16 10:00": (
        "De bankkoppeling van Bakkerij De Vries is verlopen",
        "The bank link of Bakkerij De Vries has expired",
    ),
    "2026-10-22 10:00": (
        "De bankkoppeling van Bakkerij De Vries is al 7 dagen verlopen",
        "The bank link of Bakkerij De Vries expired 7 days ago",
    ),
    "2026-11-14 10:00": (
        "Vernieuwen of niet meer gebruiken? De bankkoppeling van Bakkerij De Vries",
        "Renew or no longer in use? The bank link of Bakkerij De Vries",
    ),
}


@pytest.mark.parametrize("at", SAID)
def test_a_reminder_is_true_on_the_day_it_is_written_in_the_readers_language(
    desk: Desk, at: str
) -> None:
    desk.holder("Piet", locale="en")
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Piet", 4301, "2026-10-15")
    remind(desk.services, desk.at(at).time.moment())
    letters = [desk.letter(mail) for mail in sorted(desk.mails(), key=lambda mail: mail.name)]
    assert tuple(each["subject"] for each in letters) == SAID[at]
    dutch, english = (" ".join(each["text"].split()) for each in letters)
    assert ("Beste Jan," in dutch, "Dear Piet," in english) == (True, True)
    assert ("Sinds vandaag" in dutch) == (at == "2026-10-16 10:00")


def test_a_reminder_names_what_it_is_about_and_lists_the_others_as_they_are(desk: Desk) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Jan", 4301, "2026-10-15")
    desk.account("Jan", 4777, "2026-12-20")
    wanted = {
        "2026-10-15 10:00": "Vandaag is de laatste dag waarop er mutaties van Demobank (…4300 en"
        " …4301) binnenkomen.",
        "2026-10-22 10:00": "Sinds 16 oktober 2026 komen er geen mutaties van Demobank (…4300 en"
        " …4301) meer binnen",
        "2026-11-14 10:00": "Je toestemming bij Demobank (…4300 en …4301) is op 15 oktober 2026"
        " verlopen",
    }
    for at, sentence in wanted.items():
        remind(desk.services, desk.at(at).time.moment())
        text = " ".join(desk.letter(desk.mails()[-1])["text"].split())
        assert sentence in text, text
        assert "Bank 4777 …4777: geldig tot 20 december 2026 " in f"{text} "
        assert text.count("hierover gaat deze mail") == 2
        assert "laatste herinnering" not in text, "the next one, for …4777, lists these too"
    desk.account("Piet", 4302, "2026-10-15")
    remind(desk.services, desk.at("2026-11-14 10:01").time.moment())
    text = desk.letter(desk.mails()[-1])["text"]
    assert "Dit is de laatste herinnering." in " ".join(text.split())
    assert "hierover" not in text


def test_what_yesterdays_mail_said_of_another_account_is_not_mailed_again_but_for_the_end(
    desk: Desk,
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Jan", 4301, "2026-10-17")
    for day in range(31):
        remind(
            desk.services, desk.at(f"{date(2026, 10, 1) + timedelta(days=day)} 10:00").time.moment()
        )
    assert desk.told() == [
        "2026-10-01 10:00 Jan Demobank 14",
        "2026-10-08 10:00 Jan Demobank 7",
        "2026-10-14 10:00 Jan Demobank 1",
        "2026-10-15 10:00 Jan Demobank 0",
        "2026-10-16 10:00 Jan Demobank 1",
        "2026-10-17 10:00 Jan Demobank 0",
        "2026-10-22 10:00 Jan Demobank -7",
    ]
    assert desk.without_mail("Jan") == [30, 14, 7, -7]


def test_a_mail_that_was_set_aside_covers_nothing_nor_one_from_before_the_date_moved(
    desk: Desk,
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Jan", 4301, "2026-10-16")
    remind(desk.services, desk.at("2026-10-01 10:00").time.moment())
    with desk.services.store.write() as session:
        session.scalars(select(Mail)).one().refused_at = desk.time.at
    assert remind(desk.services, desk.at("2026-10-02 10:00").time.moment()) == 1
    desk.change("Jan", valid_until=local("2026-10-17 12:00"))
    assert remind(desk.services, desk.at("2026-10-03 10:00").time.moment()) == 1


def test_who_refused_to_renew_is_left_alone_until_the_last_week(desk: Desk) -> None:
    iban = desk.account("Jan", 4300, "2026-10-15")
    desk.at("2026-09-14 12:00").ask("Jan", iban)
    with desk.services.store.write() as session:
        session.scalars(select(Invitation)).one().declined_at = local("2026-09-20 12:00")
    for at in ("2026-09-15", "2026-10-01", "2026-10-08"):
        remind(desk.services, desk.at(f"{at} 10:00").time.moment())
    assert desk.told() == ["2026-10-08 10:00 Jan Demobank 7"]


def test_a_provider_whose_instants_wander_by_seconds_does_not_make_us_repeat_ourselves(
    desk: Desk,
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    for second, at in enumerate(("09:59", "10:00", "10:59", "11:59", "12:59")):
        desk.at(f"2026-10-08 {at}")
        desk.change("Jan", valid_until=local("2026-10-15 12:00") + timedelta(seconds=second))
        remind(desk.services, desk.time.moment())
    deliver(desk.services, desk.time.moment())
    assert [(mail.error, shown(mail.created_at)) for mail in desk.mails()] == [
        (None, "2026-10-08 10:00")
    ]


def test_a_bank_whose_name_cannot_be_had_for_once_keeps_it(desk: Desk) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Jan", 4301, "2026-10-15")
    desk.change("Jan", bank=None)
    desk.account("Piet", 4302, "2026-10-15")
    with desk.services.store.write() as session:
        for account in session.scalars(select(Account).join(Grant)):
            if account.iban.endswith("4302"):
                account.bank = None
    assert remind(desk.services, desk.at("2026-10-08 10:00").time.moment()) == 2
    jan, piet = (desk.letter(mail)["text"] for mail in desk.mails())
    assert "Demobank (…4300 en …4301)" in " ".join(jan.split())
    assert "van DEMO (…4302)" in " ".join(piet.split())


def test_two_holders_with_one_address_are_reminded_each_of_their_own(desk: Desk) -> None:
    for name in ("Jan", "Mia"):
        desk.holder(name, email="info@firma.nl")
        desk.account(name, 4300 + len(desk.holders), "2026-10-15")
    assert remind(desk.services, desk.at("2026-10-08 10:00").time.moment()) == 2
    with desk.services.store.read() as session:
        found = session.scalars(select(Invitation).order_by(Invitation.id)).all()
    assert [(each.name, each.holder_id) for each in found] == [
        (name, desk.holders[name]) for name in ("Jan", "Mia")
    ]
    assert len({mail.invitation_id for mail in desk.mails()}) == 2


def test_a_bank_that_ended_it_early_is_told_at_once_but_not_at_night(desk: Desk) -> None:
    desk.account("Jan", 4300, "2026-12-20")
    desk.at("2026-09-20 21:00").change("Jan", ended="expired")
    assert remind(desk.services, desk.time.moment()) == 0
    remind(desk.services, desk.at("2026-09-21 10:00").time.moment())
    (mail,) = desk.mails()
    letter = desk.letter(mail)
    assert letter["subject"] == "De bankkoppeling van Bakkerij De Vries is verlopen"
    assert "Sinds 20 september 2026 komen er geen mutaties" in " ".join(letter["text"].split())


@pytest.mark.parametrize(
    ("why", "what"),
    [
        ("an address nobody can have", {"email": "jan@\r\nBcc: all@x.nl"}),
        ("no address", {"email": None}),
        ("wants none", {"reminders_off_at": datetime(2026, 9, 1, tzinfo=UTC)}),
        ("forgotten", {"forgotten_at": datetime(2026, 9, 1, tzinfo=UTC)}),
    ],
)
def test_who_cannot_or_will_not_be_written_to_is_not(
    desk: Desk, why: str, what: dict[str, Any]
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.person("Jan", **what)
    assert remind(desk.services, desk.at("2026-09-15 10:00").time.moment()) == 0, why
    assert (desk.mails(), desk.without_mail("Jan")) == ([], [30])


def test_a_request_in_person_counts_for_a_day_and_its_message_stays(desk: Desk) -> None:
    iban = desk.account("Jan", 4300, "2026-10-15")
    desk.at("2026-09-30 10:01").ask("Jan", iban)
    assert remind(desk.services, desk.at("2026-10-01 10:00").time.moment()) == 0
    assert remind(desk.services, desk.at("2026-10-08 10:00").time.moment()) == 1
    with desk.services.store.read() as session:
        own, clocks = session.scalars(select(Invitation).order_by(Invitation.id))
    assert own.message == "Hoi, zou je dit willen vernieuwen?"
    assert (own.by_reminder, own.created_by) == (False, SANNE)
    assert (clocks.by_reminder, clocks.message) == (True, "")


def test_after_a_pause_what_the_provider_shows_is_read_before_anybody_is_written_to(
    desk: Desk,
) -> None:
    """Jan renewed while nobody looked. Until noon his mail, and Sanne's, wait for that to be seen;
    a provider that does not answer is no reason to wait for ever."""
    for name in ("Jan", "Piet"):
        desk.account(name, 4300 + len(name), "2026-10-15")
    grants = [desk.grant(name, BAKERY) for name in ("Jan", "Piet")]
    with desk.services.store.write() as session:
        for number in grants:
            session.get_one(Grant, number).next_check_at = local("2026-10-05 10:00")
    desk.at("2026-10-08 10:00")
    assert (
        remind(desk.services, desk.time.moment()),
        digest(desk.services, desk.time.moment()),
    ) == (
        0,
        0,
    )
    desk.at("2026-10-08 10:01").renew("Jan")
    assert remind(desk.services, desk.time.moment()) == 0
    assert digest(desk.services, desk.at("2026-10-08 11:59").time.moment()) == 0
    assert remind(desk.services, desk.at("2026-10-08 12:00").time.moment()) == 1
    assert digest(desk.services, desk.at("2026-10-08 12:00").time.moment()) == 1
    assert desk.told() == ["2026-10-08 12:00 Piet Demobank 7"]


def test_a_reminder_that_still_waits_when_it_is_overtaken_does_not_go(desk: Desk) -> None:
    """The mail server is down for a week; in between one of two has renewed."""
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Piet", 4301, "2026-10-15")
    remind(desk.services, desk.at("2026-10-01 10:00").time.moment())
    with desk.services.store.write() as session:
        for mail in session.scalars(select(Mail)):
            mail.tries, mail.error = 3, "no_connection"
    deliver(desk.services, desk.time.moment())
    assert [mail.refused_at for mail in desk.mails()] == [None, None]
    desk.at("2026-10-02 10:00").renew("Jan")
    deliver(desk.services, desk.time.moment())
    assert {mail.name: mail.error for mail in desk.mails()} == {
        "Jan": "renewed",
        "Piet": "no_connection",
    }
    remind(desk.services, desk.at("2026-10-08 10:00").time.moment())
    deliver(desk.services, desk.time.moment())
    assert [(mail.name, mail.error) for mail in desk.mails() if mail.name == "Piet"] == [
        ("Piet", "newer"),
        ("Piet", None),
    ]


def test_today_is_not_mailed_tomorrow(desk: Desk) -> None:
    """The machine, or its mail server, stands still over the weekend."""
    desk.account("Jan", 4300, "2026-10-15")
    remind(desk.services, desk.at("2026-10-15 10:00").time.moment())
    deliver(desk.services, desk.at("2026-10-15 23:59").time.moment())
    assert [mail.error for mail in desk.mails()] == [None]
    deliver(desk.services, desk.at("2026-10-16 00:00").time.moment())
    assert [mail.error for mail in desk.mails()] == ["late"]


def test_who_asks_every_bank_for_long_keeps_no_mail_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, mailed = threading.Event(), threading.Event()
    for name in jobs.JOBS:
        slow = name in ("grants", "fetches")

        def act(_services: Any, _at: Any, slow: bool = slow, name: str = name) -> int:
            if slow:
                gate.wait(20)
            elif name == "mails":
                mailed.set()
            return 0

        monkeypatch.setitem(jobs.JOBS, name, (60, act))
    scheduler = jobs.start(desk.services, desk.time)
    try:
        assert mailed.wait(5)
    finally:
        gate.set()
        scheduler.shutdown(wait=True)


def test_a_fault_with_one_holder_does_not_keep_the_others_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Piet", 4301, "2026-10-15")
    real = reminding.reminder

    def broken(threshold: int, voice: Any, about: Any) -> Letter:
        if about.name == "Jan":
            raise RuntimeError
        return real(threshold, voice, about)

    monkeypatch.setattr(reminding, "reminder", broken)
    assert remind(desk.services, desk.at("2026-09-15 10:00").time.moment()) == 1
    assert "could not be reminded" in caplog.text
    monkeypatch.undo()
    assert remind(desk.services, desk.at("2026-09-15 10:01").time.moment()) == 1
    assert [mail.name for mail in desk.mails()] == ["Piet", "Jan"]


def test_the_demo_whose_clock_is_moved_at_night_has_the_mails_of_the_last_morning(
    desk: Desk,
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    real = local("2026-09-01 03:00")
    at = Moment(local("2026-10-09 03:00"), real)
    assert remind(desk.services, at) == 1
    assert desk.told() == ["2026-10-08 10:00 Jan Demobank 7"]
    assert remind(desk.services, Moment(local("2026-10-09 10:00"), real)) == 0


def test_moving_the_demo_clock_rings_at_once(desk: Desk) -> None:
    """Not at the next turn of the timer, which would be a quarter of a minute away."""
    desk.account("Jan", 4300, "2026-10-15")
    scheduler = jobs.start(desk.services, desk.at("2026-10-01 10:00").time)
    try:
        began = monotonic()
        while not desk.mails() and monotonic() - began < 10:
            wait(0.05)
        desk.at("2026-10-08 10:00")
        jobs.wake(scheduler)
        while len(desk.mails()) < 2 and monotonic() - began < 10:
            wait(0.05)
        assert desk.told() == [
            "2026-10-01 10:00 Jan Demobank 14",
            "2026-10-08 10:00 Jan Demobank 7",
        ]
    finally:
        scheduler.shutdown(wait=True)


# -- no more reminders --------------------------------------------------------------------------


def test_the_address_of_no_more_reminders_outlives_a_restart_and_cannot_be_made_up(
    desk: Desk, tmp_path: Path
) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    remind(desk.services, desk.at("2026-09-15 10:00").time.moment())
    address = desk.letter(desk.mails()[0])["unsubscribe"]
    assert address.startswith(desk.services.office.origin + "/reminders/")
    token = address.rpartition("/")[2]
    elsewhere = services_for(tmp_path)
    stranger = unsubscribe.address(elsewhere, desk.holders["Jan"]).rpartition("/")[2]
    elsewhere.store.engine.dispose()
    for made_up in (stranger, token[:-1], token + "x", str(desk.holders["Jan"]), "", "é"):
        with pytest.raises(Missing):
            unsubscribe.stop(desk.services, made_up, desk.time.moment())
    unsubscribe.stop(desk.services, token, desk.time.moment())
    unsubscribe.stop(desk.services, token, desk.at("2026-09-20 10:00").time.moment())
    assert remind(desk.services, desk.at("2026-10-01 10:00").time.moment()) == 0
    unsubscribe.resume(desk.services, token)
    assert remind(desk.services, desk.at("2026-10-08 10:00").time.moment()) == 1
    assert desk.without_mail("Jan") == [14]


# -- the daily digest ---------------------------------------------------------------------------


def digests(desk: Desk, first: str, days: int) -> list[tuple[str, str, int]]:
    """Day, who, and how many rows each digest of these mornings has."""
    begin = date.fromisoformat(first)
    for day in range(days):
        for hour in ("09:00", "10:00", "10:01", "16:00"):
            desk.at(f"{begin + timedelta(days=day)} {hour}")
            jobs.run("expiries", desk.services, desk.time)
            digest(desk.services, desk.time.moment())
    return [
        (shown(mail.created_at), mail.name, desk.letter(mail)["text"].count("/?administration="))
        for mail in desk.mails("digest")
    ]


def test_a_digest_comes_at_ten_when_there_is_something_to_say_and_does_not_nag(
    desk: Desk,
) -> None:
    """2026-10-15 is a Thursday. Sanne has two accounts that end that day."""
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Piet", 4301, "2026-10-15")
    desk.account("Piet", 4302, "2026-10-15", on=False)
    desk.account("Piet", 4303, "2026-10-20", books=SHOP)
    assert digests(desk, "2026-09-30", 23) == [
        ("2026-10-01 10:00", SANNE, 2),  # 14 days
        ("2026-10-06 10:00", BOB, 1),
        ("2026-10-08 10:00", SANNE, 2),
        ("2026-10-13 10:00", BOB, 1),
        ("2026-10-14 10:00", SANNE, 2),
        ("2026-10-15 10:00", SANNE, 2),
        ("2026-10-16 10:00", SANNE, 2),  # they have ended: new
        ("2026-10-19 10:00", SANNE, 2),  # Monday: what is still open
        ("2026-10-19 10:00", BOB, 1),
        ("2026-10-20 10:00", BOB, 1),
        ("2026-10-21 10:00", BOB, 1),
    ]


def test_a_digest_says_what_was_mailed_and_why_nothing_could_be(desk: Desk) -> None:
    desk.account("Jan", 4300, "2026-09-10")
    desk.account("Piet", 4301, "2026-09-12")
    desk.account("Noor", 4302, "2026-09-13")
    desk.account("Omar", 4303, "2026-09-14")
    desk.account("Kees", 4304, "2026-09-22")
    desk.person("Noor", email=None)
    desk.person("Omar", reminders_off_at=desk.time.at)
    remind(desk.services, desk.at("2026-09-15 10:00").time.moment())
    with desk.services.store.write() as session:
        session.scalars(select(Mail).where(Mail.name == "Piet")).one().refused_at = desk.time.at
        session.scalars(select(Mail).where(Mail.name == "Jan")).one().sent_at = desk.time.at
    assert digest(desk.services, desk.at("2026-09-15 10:05").time.moment()) == 0, "still unread"
    jobs.run("expiries", desk.services, desk.time)
    assert digest(desk.services, desk.time.moment()) == 1
    (mail,) = desk.mails("digest")
    letter = desk.letter(mail)
    assert (mail.email, letter["subject"]) == (
        "sanne@kantoor.nl",
        "5 bankkoppelingen vragen aandacht",
    )
    text = " ".join(letter["text"].split())
    assert "Bij 4 koppelingen komen geen mutaties binnen." in text
    assert "Van 1 koppeling loopt de toestemming binnenkort af." in text
    lines = [
        f"- Bakkerij De Vries · Bank {each} …{each} Rekeninghouder: {who} Status: {what}"
        f" Laatste mail: {mailed}"
        for each, who, what, mailed in (
            (4300, "Jan", "Verlopen, 5 dagen geleden", "15 september 2026"),
            (4301, "Piet", "Verlopen, 3 dagen geleden", "kon niet worden bezorgd"),
            (4302, "Noor", "Verlopen, 2 dagen geleden", "geen: geen e-mailadres"),
            (4303, "Omar", "Verlopen, 1 dag geleden", "geen: wil geen herinneringen"),
            (4304, "Kees", "Verloopt binnenkort, nog 7 dagen", "nog niet verstuurd"),
        )
    ]
    places = [text.find(line) for line in lines]
    assert -1 not in places and places == sorted(places), text
    jan = desk.connection("NL00DEMO0000004300")
    assert (
        f"/?administration={jan.administration_id}&connection={jan.id}#connection-{jan.id}" in text
    )


def test_a_digest_tells_what_is_silent_and_counts_as_the_page_does(desk: Desk) -> None:
    """On the last day an account still runs; what the bank ended this morning does not."""
    desk.account("Jan", 4300, "2026-09-15")
    desk.account("Piet", 4301, "2026-12-12")
    desk.account("Kees", 4302, "2026-12-12")
    stale = desk.account("Noor", 4303, "2026-12-12")
    desk.account("Omar", 4304, "2026-12-12", on=False)
    desk.at("2026-09-15 09:00").change("Piet", ended="expired")
    desk.change("Kees", outage=True)
    desk.set(stale, last_success=local("2026-09-13 12:00"))
    jobs.run("expiries", desk.services, desk.at("2026-09-15 10:00").time)
    assert digest(desk.services, desk.time.moment()) == 1
    (mail,) = desk.mails("digest")
    text = " ".join(desk.letter(mail)["text"].split())
    for said in (
        "Bij 3 koppelingen komen geen mutaties binnen. Van 1 koppeling loopt de toestemming"
        " binnenkort af. Op de pagina staat dat 2 koppelingen actie vragen: die telt ook mee wat nog"
        " ingericht moet worden.",
        "Piet Status: Verlopen, sinds vandaag",
        "Kees Status: Storing bij de bank",
        "Noor Status: Al een tijd niets opgehaald",
        "Jan Status: Verloopt binnenkort, vandaag de laatste dag",
    ):
        assert said in text, text
    assert "4304" not in text
    desk.at("2026-09-16 09:00").change("Kees", outage=False)
    jobs.run("expiries", desk.services, desk.time)
    assert digest(desk.services, desk.at("2026-09-16 10:00").time.moment()) == 1, "Jan has ended"
    digest(desk.services, desk.at("2026-09-17 10:00").time.moment())
    desk.change("Kees", outage=True)
    digest(desk.services, desk.at("2026-09-18 10:00").time.moment())
    assert len(desk.mails("digest")) == 2, "an outage that is short is no news of its own"


def test_only_who_works_here_and_keeps_books_gets_a_digest(desk: Desk) -> None:
    desk.account("Jan", 4300, "2026-09-10")
    with desk.services.store.write() as session:
        for name, more in (
            ("Reader", {"password_hash": "x"}),
            ("Gone", {"password_hash": "x", "disabled_at": desk.time.at}),
            ("New", {}),
            ("Demo", {"is_owner": True}),
        ):
            user = User(name=name, email=f"{name.lower()}@kantoor.nl", **more)
            session.add(user)
            session.flush()
            session.add(
                Membership(
                    user_id=user.id,
                    administration_id=desk.books[BAKERY],
                    role="reader" if name == "Reader" else "bookkeeper",
                )
            )
    jobs.run("expiries", desk.services, desk.at("2026-09-15 10:00").time)
    digest(desk.services, desk.time.moment())
    assert [mail.name for mail in desk.mails("digest")] == [SANNE, "Demo"]


def test_what_broke_mended_and_broke_again_is_new_again(desk: Desk) -> None:
    iban = desk.account("Jan", 4300, "2026-12-15")
    desk.at("2026-09-22 12:00").change("Jan", ended="revoked")
    assert len(digests(desk, "2026-09-23", 2)) == 1
    desk.at("2026-09-24 18:00").renew("Jan")
    assert len(digests(desk, "2026-09-25", 1)) == 1
    desk.at("2026-09-25 18:00").change("Jan", ended="revoked")
    assert [at for at, _, _ in digests(desk, "2026-09-26", 2)] == [
        "2026-09-23 10:00",
        "2026-09-26 10:00",
    ]
    assert desk.connection(iban).noted == "r5b"


# -- done ---------------------------------------------------------------------------------------


def test_a_renewal_that_was_only_noticed_is_told_once_with_what_came_in(desk: Desk) -> None:
    iban = desk.account("Jan", 4300, "2026-10-15")
    desk.account("Jan", 4301, "2026-10-15")
    desk.account("Jan", 4302, "2026-10-15", on=False)
    desk.at("2026-10-12 12:00").renew("Jan")
    with desk.services.store.write() as session:
        for minutes, added in ((-60, 100), (2, 12), (9, 2)):
            session.add(
                FetchRun(
                    connection_id=desk.connection(iban).id,
                    holder_id=desk.holders["Jan"],
                    scope=iban,
                    since=date(2026, 10, 1),
                    until=date(2026, 10, 12),
                    started_at=desk.time.at + timedelta(minutes=minutes),
                    finished_at=desk.time.at + timedelta(minutes=minutes),
                    added=added,
                    result="ok",
                )
            )
    assert tell_renewals(desk.services, desk.at("2026-10-12 12:14").time.moment()) == 0
    assert tell_renewals(desk.services, desk.at("2026-10-12 12:15").time.moment()) == 3
    assert tell_renewals(desk.services, desk.at("2026-10-12 12:16").time.moment()) == 0
    (mail,) = desk.mails("done")
    letter = desk.letter(mail)
    assert (mail.email, letter["subject"]) == (
        "sanne@kantoor.nl",
        "Jan heeft de bankkoppeling van Bakkerij De Vries vernieuwd (tot 10 april 2027);"
        " 14 mutaties alsnog opgehaald.",
    )
    for said in (
        "Bank 4300 …4300: Actief, 14 mutaties alsnog opgehaald",
        "Bank 4301 …4301: Actief\n",
        "Je hoeft niets te doen",
    ):
        assert said in letter["text"], letter["text"]
    assert "4302" not in letter["text"]


def test_who_asked_for_it_hears_of_it_and_nobody_else(desk: Desk) -> None:
    desk.administration("Derde", ("Anna Appel", "administrator"), (SANNE, "bookkeeper"))
    iban = desk.account("Jan", 4300, "2026-10-15", books="Derde")
    desk.at("2026-10-11 12:00").renew("Jan", "Derde")
    tell_renewals(desk.services, desk.at("2026-10-11 13:00").time.moment())
    assert [mail.name for mail in desk.mails("done")] == [SANNE, "Anna Appel"]
    with desk.services.store.read() as session:
        sanne = session.scalars(select(User).where(User.name == SANNE)).one().id
    desk.ask("Jan", iban)
    with desk.services.store.write() as session:
        session.scalars(select(Invitation)).one().created_by_id = sanne
    desk.at("2026-10-12 12:00").renew("Jan", "Derde")
    tell_renewals(desk.services, desk.at("2026-10-12 13:00").time.moment())
    assert [mail.name for mail in desk.mails("done")][2:] == [SANNE]


def test_a_first_authorisation_and_one_that_nobody_uses_are_no_renewals(desk: Desk) -> None:
    desk.account("Jan", 4300, "2026-10-15")
    desk.account("Piet", 4301, "2026-10-15", on=False)
    desk.at("2026-10-12 12:00").renew("Piet")
    tell_renewals(desk.services, desk.at("2026-10-12 13:00").time.moment())
    assert desk.mails("done") == []
