"""Banklink itself: the real actions on a real SQLite file, one bank account in one administration
of two holders. Emptied between examples by one copy of a prepared database.

Durability is not what is tried here (tests/faults does that), so the disk is not waited for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from banklink.actions.credentials import put
from banklink.actions.services import Office, Services
from banklink.core.calendar import Moment
from banklink.providers.contract import Credentials
from banklink.store.database import Store, migrate, prepare
from banklink.store.facts import ensure_connections
from banklink.store.models import Administration, Base, Grant, Holder, Journal
from banklink.store.vault import Vault
from tests.state.bank import FOREVER, IBAN, Bank

BEGIN = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SUBJECTS = ("jan", "piet")
BOOKS = CONNECTION = 1


class Killed(BaseException):
    """The process ends here, as kill -9 ends it: nothing after this is done, no lease given back."""


class Luck:
    """Where the process dies, and what else happens meanwhile. Points are counted from 0, in the
    order in which one action passes them."""

    def __init__(self) -> None:
        self.live()

    def live(
        self,
        *,
        die_at: int | None = None,
        events: dict[int, Callable[[], None]] | None = None,
    ) -> None:
        self.passed = self.called = 0
        self.die_at, self.dead = die_at, False
        self.events = dict(events or {})

    def point(self) -> None:
        if self.dead:
            raise Killed
        if self.passed == self.die_at:
            self.dead = True
            raise Killed
        self.passed += 1

    def call(self, name: str) -> None:
        """A call to the bank begins or is answered; nothing of ours is open now."""
        self.point()
        happens = self.events.pop(self.called, None)
        self.called += 1
        if happens is not None:
            happens()


class Mortal(Store):
    """The real store, in a process that may die before a transaction, before its commit, or right
    after it."""

    def __init__(self, store: Store, luck: Luck):
        super().__init__(store.engine)
        self._luck = luck

    @contextmanager
    def write(self) -> Iterator[Session]:
        self._luck.point()
        with super().write() as session:
            yield session
            self._luck.point()
        self._luck.point()

    @contextmanager
    def read(self) -> Iterator[Session]:
        if self._luck.dead:
            raise Killed
        with super().read() as session:
            yield session


class House:
    def __init__(self, folder: Path):
        self.luck = Luck()
        path = folder / "banklink.db"
        engine = create_engine(f"sqlite:///{path}")
        store = prepare(engine)
        event.listen(engine, "connect", _do_not_wait)
        migrate(engine)
        self._providers: dict[str, Any] = {}
        self.services = Services(
            store=Mortal(store, self.luck),
            providers=self._providers,
            vault=Vault([Fernet.generate_key().decode()]),
            redirect_uri="http://localhost/return",
            office=Office(origin="http://localhost"),
        )
        self._prepare()
        self.raw = sqlite3.connect(path, isolation_level=None)
        for pragma in ("synchronous=OFF", "foreign_keys=OFF", "busy_timeout=5000"):
            self.raw.execute(f"PRAGMA {pragma}")
        fresh = folder / "prepared.db"
        self.raw.execute(f"VACUUM INTO '{fresh}'")
        self.raw.execute(f"ATTACH '{fresh}' AS prepared")
        names = [table.name for table in Base.metadata.sorted_tables]
        kept = [
            name
            for name in names
            if self.raw.execute(f"SELECT EXISTS (SELECT 1 FROM prepared.{name})").fetchone()[0]
        ]
        self._empty = "".join(
            [
                "BEGIN IMMEDIATE;",
                *(f"DELETE FROM main.{name};" for name in names),
                *(f"INSERT INTO main.{name} SELECT * FROM prepared.{name};" for name in kept),
                "COMMIT;",
            ]
        )

    def _prepare(self) -> None:
        """Books with a journal, and two people who let Banklink read their accounts."""
        with self.services.store.write() as session:
            books = Administration(
                reference="books", name="Bakkerij De Vries", fiscal_year_start=date(2026, 1, 1)
            )
            session.add(books)
            session.flush()
            session.add(
                Journal(
                    administration_id=books.id,
                    code="1100",
                    name="Bank",
                    iban=IBAN,
                    currency="EUR",
                )
            )
            for subject in SUBJECTS:
                holder = Holder(provider="ponto", subject=subject, name=subject, email=None)
                session.add(holder)
                session.flush()
                grant = Grant(
                    administration_id=books.id,
                    holder_id=holder.id,
                    state="active",
                    granted_at=BEGIN,
                    credentials_version=0,
                )
                session.add(grant)
                put(self.services, grant, Credentials(subject, None, FOREVER))
            session.flush()
            ensure_connections(session, books.id)

    def begin(self, bank: Bank) -> None:
        """An empty house, at this bank."""
        self.luck.live()
        self.raw.executescript(self._empty)
        self.now = self.real = BEGIN
        self.bank = bank
        self._providers["ponto"] = bank
        bank.hook, bank.reading = self.luck.call, self._reading

    def _reading(self) -> int:
        """The run that is under way, 0 when there is none."""
        found = self.rows("SELECT max(id) FROM fetch_runs WHERE kind = 'fetch' AND result IS NULL")
        return found[0][0] or 0

    def close(self) -> None:
        self.raw.close()
        self.services.store.engine.dispose()

    # -- time ---------------------------------------------------------------------------------

    def at(self) -> Moment:
        return Moment(self.now, self.real)

    def pass_time(self, step: timedelta) -> None:
        self.now += step
        self.real += step
        self.bank.now = self.now

    # -- what is stored, read past everything ------------------------------------------------

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.raw.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.raw.execute(statement, values).fetchone()
        return found


def _do_not_wait(dbapi: Any, _record: Any) -> None:
    dbapi.execute("PRAGMA synchronous=OFF")
