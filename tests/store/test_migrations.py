"""A database of an earlier version keeps what is in it when the next version opens it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError

from banklink.core.dedup import fingerprint
from banklink.store.database import MIGRATIONS, Store, migrate, prepare
from banklink.store.models import (
    BookedDay,
    Connection,
    Coverage,
    FetchRun,
    Transaction,
    TransactionAlias,
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: Any, tmp_path: Path) -> Iterator[Engine]:
    address = f"sqlite:///{tmp_path / 'old.sqlite3'}"
    if request.param == "postgresql":
        address = request.getfixturevalue("postgres_server").create()
    made = create_engine(address)
    yield made
    made.dispose()


def at_version(engine: Engine, version: str) -> Store:
    store = prepare(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.commit()
    return store


def put(store: Store, table: str, **values: Any) -> None:
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    with store.write() as session:
        session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)


COFFEE: dict[str, Any] = {
    "booked_on": date(2026, 5, 20),
    "value_on": date(2026, 5, 20),
    "amount": -250,
    "currency": "EUR",
    "counterparty_name": "Koffiebar",
    "counterparty_iban": None,
    "remittance": "Koffie",
}


def _as_it_was(
    *, booked_on: date, value_on: date, amount: int, currency: str, counterparty_name: str,
    counterparty_iban: None, remittance: str,
) -> str:  # fmt: skip
    """The fingerprint of 0008."""
    plain = [
        "".join((each or "").split()).casefold()
        for each in (counterparty_iban, counterparty_name, remittance)
    ]
    said = "\x1f".join((booked_on.isoformat(), value_on.isoformat(), str(amount), currency, *plain))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def fill(store: Store) -> None:
    """What 0008 held: three equal coffees and a sale in one link, the first of them also known
    under another account's id; a link with a gap, one never fetched, one whose start was moved."""
    put(store, "administrations", id=1, reference="r", name="Bakkerij")
    put(store, "holders", id=1, provider="ponto", subject="s", name="Jan")
    for number, (start, mark, gap) in enumerate(
        [
            (date(2026, 5, 1), date(2026, 5, 21), (date(2026, 5, 3), date(2026, 5, 12))),
            (date(2026, 5, 1), date(2026, 5, 21), None),
            (date(2026, 5, 1), None, None),
            (date(2026, 5, 5), date(2026, 5, 21), (date(2026, 5, 1), date(2026, 5, 4))),
        ],
        start=1,
    ):
        put(
            store,
            "connections",
            id=number,
            administration_id=1,
            iban=f"NL00TEST000000000{number}",
            currency="EUR",
            version=1,
            switch="on",
            armed=False,
            last_new=0,
            failures=0,
            start_date=start,
            watermark=mark,
            gap_from=gap[0] if gap else None,
            gap_to=gap[1] if gap else None,
        )
    moment = datetime(2026, 5, 21, 8, 0)  # noqa: DTZ001 (as the old table kept it)
    put(
        store,
        "fetch_runs",
        id=1,
        connection_id=1,
        holder_id=1,
        scope="a",
        since=date(2026, 5, 1),
        until=date(2026, 5, 21),
        started_at=moment,
        finished_at=moment,
        seen=4,
        added=4,
        result="ok",
    )
    for number, more in enumerate([{}, {}, {"amount": 121_000, "remittance": "Omzet"}, {}]):
        content = {**COFFEE, **more}
        put(
            store,
            "transactions",
            id=number + 1,
            connection_id=1,
            run_id=1,
            scope="a",
            source_id=f"t{number}",
            fingerprint=_as_it_was(**content),
            **content,
        )
    put(
        store,
        "transaction_aliases",
        id=1,
        transaction_id=1,
        connection_id=1,
        scope="b",
        source_id="z",
    )


def test_transactions_of_the_version_before_are_numbered_counted_and_told(engine: Engine) -> None:
    store = at_version(engine, "0008")
    fill(store)
    migrate(engine)
    with store.read() as session:
        rows = list(session.scalars(select(Transaction).order_by(Transaction.id)))
        assert [(row.source_id, row.occurrence, row.state) for row in rows] == [
            ("t0", 1, "booked"),
            ("t1", 2, "booked"),
            ("t2", 1, "booked"),
            ("t3", 3, "booked"),
        ]
        assert all(
            row.fingerprint
            == fingerprint(
                booked_on=row.booked_on,
                value_on=row.value_on,
                amount=row.amount,
                currency=row.currency,
                counterparty_iban=row.counterparty_iban,
                counterparty_name=row.counterparty_name,
                remittance=row.remittance,
            )
            for row in rows
        ), "what was stored is recognised by its content"
        (alias,) = session.scalars(select(TransactionAlias))
        assert (alias.transaction_id, alias.scope, alias.source_id, alias.fingerprint) == (
            1, "b", "z", None,
        )  # fmt: skip
        (counted,) = session.scalars(select(BookedDay))
        assert (counted.day, counted.count, counted.credit, counted.debit) == (
            date(2026, 5, 20), 4, 121_000, -750,
        )  # fmt: skip
        covered = [
            (row.connection_id, row.first.day, row.last.day)
            for row in session.scalars(
                select(Coverage).order_by(Coverage.connection_id, Coverage.first)
            )
        ]
        assert covered == [(1, 1, 2), (1, 13, 21), (2, 1, 21), (4, 5, 21)]
        (run,) = session.scalars(select(FetchRun))
        assert (run.kind, run.reason, run.result, run.seen) == ("fetch", "schedule", "ok", 4)
        assert session.get_one(Connection, 1).ids_doubted_at is None
    with pytest.raises(IntegrityError):
        put(
            store,
            "transactions",
            connection_id=1,
            run_id=1,
            scope="a",
            source_id="t9",
            fingerprint=fingerprint(**COFFEE),
            occurrence=3,
            **COFFEE,
        )


def test_many_transactions_of_the_version_before_are_numbered_in_no_time(engine: Engine) -> None:
    """Each is counted among its equals by an index, not by a look at all others."""
    store = at_version(engine, "0008")
    fill(store)
    rows = [
        {
            "id": number + 10,
            "connection_id": 1,
            "run_id": 1,
            "scope": "a",
            "source_id": f"many{number}",
            "fingerprint": hashlib.sha256(str(number // 2).encode()).hexdigest()[:32],
            **COFFEE,
            "booked_on": "2026-05-19",
            "value_on": None,
        }
        for number in range(10_000)
    ]
    names = ", ".join(rows[0])
    marks = ", ".join(f":{name}" for name in rows[0])
    with store.write() as session:
        session.execute(text(f"INSERT INTO transactions ({names}) VALUES ({marks})"), rows)
    began = time.monotonic()
    migrate(engine)
    assert time.monotonic() - began < 10
    with store.read() as session:
        found = session.execute(
            select(Transaction.occurrence, func.count())
            .where(Transaction.booked_on == date(2026, 5, 19))
            .group_by(Transaction.occurrence)
        )
        assert {row[0]: row[1] for row in found} == {1: 5_000, 2: 5_000}


def test_a_database_that_was_migrated_already_is_left_alone(engine: Engine) -> None:
    store = at_version(engine, "0008")
    fill(store)
    migrate(engine)
    migrate(engine)
    with store.read() as session:
        assert len(session.scalars(select(Transaction)).all()) == 4
