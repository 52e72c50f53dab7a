"""The database keeps what it is told, in a schema that is the models', whatever its kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from cryptography.fernet import Fernet
from sqlalchemy import event, text
from sqlalchemy.exc import StatementError

from banklink.core.calendar import Moment
from banklink.store.database import MIGRATIONS, migrate, newest_version, version_of
from banklink.store.facts import ensure_connections, records
from banklink.store.models import Administration, Base, Event, Journal
from banklink.store.vault import SealBroken, Vault
from tests.support.house import TestHouse, running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(request: Any, tmp_path: Path) -> Iterator[TestHouse]:
    environment = {}
    if request.param == "postgresql":
        environment["BANKLINK_DATABASE_URL"] = request.getfixturevalue("postgres_server").create()
    with running(tmp_path, demo_data=False, web=False, **environment) as house:
        yield house


def test_the_migrations_make_exactly_the_tables_of_the_models(house: TestHouse) -> None:
    with house.services.store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_sqlite_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    with (
        running(tmp_path, demo_data=False, web=False) as house,
        house.services.store.write() as session,
    ):
        settings = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "busy_timeout",
                "secure_delete",
            )
        }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "busy_timeout": 15000,
        "secure_delete": 1,
    }


def _books(house: TestHouse, journals: int) -> int:
    with house.services.store.write() as session:
        administration = Administration(reference=f"r{journals}", name="Firma")
        session.add(administration)
        session.flush()
        for number in range(journals):
            session.add(
                Journal(
                    administration_id=administration.id,
                    code=str(number),
                    name="Bank",
                    iban=f"NL00TEST{number:010d}",
                    currency="EUR",
                )
            )
        ensure_connections(session, administration.id)
        return administration.id


def test_a_page_costs_the_same_number_of_statements_however_many_rows(house: TestHouse) -> None:
    counts = {}
    for journals in (1, 20, 200):
        administration_id = _books(house, journals)
        statements: list[str] = []

        def count(_c: object, _cur: object, statement: str, *_: object) -> None:
            statements.append(statement)  # noqa: B023 (used within the round only)

        engine = house.services.store.engine
        event.listen(engine, "before_cursor_execute", count)
        with house.services.store.read() as session:
            assert len(records(session, administration_id, house.at())) == journals
        event.remove(engine, "before_cursor_execute", count)
        counts[journals] = len([each for each in statements if each.startswith("SELECT")])
    assert counts[1] == counts[20] == counts[200] <= 6


def test_a_time_without_a_zone_does_not_get_in(house: TestHouse) -> None:
    administration_id = _books(house, 1)
    naive = datetime(2026, 11, 23, 10, 0)  # noqa: DTZ001 (the fault under test)
    with pytest.raises(StatementError), house.services.store.write() as session:
        session.add(Event(administration_id=administration_id, at=naive, kind="status", params={}))
    aware = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
    with house.services.store.write() as session:
        session.add(Event(administration_id=administration_id, at=aware, kind="status", params={}))
    with house.services.store.read() as session:
        assert [each.at for each in session.query(Event)] == [aware]


def test_a_reader_does_not_wait_for_a_writer(house: TestHouse) -> None:
    administration_id = _books(house, 1)
    at = Moment(datetime.now(UTC), datetime.now(UTC))
    began = datetime.now(UTC)
    with house.services.store.write() as writer:
        writer.add(Event(administration_id=administration_id, at=at.now, kind="x", params={}))
        writer.flush()
        with house.services.store.read() as reader:
            assert reader.query(Event).count() == 0
    assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_an_older_key_still_opens_and_a_foreign_one_does_not() -> None:
    old, new, foreign = (Fernet.generate_key().decode() for _ in range(3))
    sealed = Vault([old]).seal({"token": "secret"})
    assert "secret" not in sealed
    assert Vault([new, old]).open(sealed) == {"token": "secret"}
    with pytest.raises(SealBroken):
        Vault([foreign]).open(sealed)


def test_a_schema_that_is_the_newest_is_known_without_what_changes_schemas(
    house: TestHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = house.services.store.engine
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert version_of(engine) == newest_version() == scripts.get_current_head()
    monkeypatch.setitem(sys.modules, "alembic", None)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(ImportError):
        migrate(engine)
