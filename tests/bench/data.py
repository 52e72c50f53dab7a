"""Books to measure with: so many administrations with so many connections, one holder apiece, as an
office has them; one bookkeeper who is signed in and works in the first 200."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

import app as composition
from banklink import clock as clocks
from banklink.actions.sign_in import digest
from banklink.core.calendar import end_of_validity
from banklink.settings import Settings
from banklink.store.database import Store
from banklink.store.models import (
    Administration,
    Grant,
    Holder,
    Membership,
    User,
    UserSession,
)
from tests.support.house import settings_for

TOKEN = "a-token-that-is-only-used-to-measure"
"""Of the bookkeeper's session."""
OWN = 200
"""Administrations the bookkeeper works in."""
_SERVICE = "http://127.0.0.1:9"
"""Nobody answers there; nothing that is measured asks."""


def size(name: str, usual: int) -> int:
    """Smaller where somebody only wants to see whether it runs: BENCH_CONNECTIONS=1000."""
    return int(os.environ.get(f"BENCH_{name}", str(usual)))


def settings_in(folder: Path) -> Settings:
    """As a real installation has them: people sign in, the service is set up, nothing pretends."""
    return settings_for(
        folder,
        BANKLINK_DEMO="0",
        BANKLINK_PONTO_AUTHORIZE_URL=f"{_SERVICE}/auth",
        BANKLINK_PONTO_TOKEN_URL=f"{_SERVICE}/token",
        BANKLINK_PONTO_API_URL=f"{_SERVICE}/api",
        BANKLINK_PONTO_CLIENT_ID="bench",
        BANKLINK_PONTO_CLIENT_SECRET="bench",
    )


@contextmanager
def house() -> Iterator[composition.Banklink]:
    """Everything put together over an empty database, serving nobody."""
    with tempfile.TemporaryDirectory() as folder:
        parts = composition.build(settings_in(Path(folder)))
        try:
            yield parts
        finally:
            parts.services.store.engine.dispose()


@contextmanager
def books(administrations: int, rows: int, own: int = OWN) -> Iterator[Path]:
    """The folder of a filled database that nobody has open."""
    with tempfile.TemporaryDirectory() as folder:
        parts = composition.build(settings_in(Path(folder)))
        fill(parts, administrations, rows, own)
        parts.services.store.engine.dispose()
        yield Path(folder)


def fill(parts: composition.Banklink, administrations: int, rows: int, own: int = OWN) -> None:
    """Of four accounts in a row one has expired, one ends soon, one later and one much later."""
    at = clocks.read(parts.clock)
    ids = range(1, administrations + 1)
    until = [at.now + timedelta(days=days) for days in (-9, 9, 40, 120)]

    def put(model: Any, values: list[dict[str, Any]]) -> None:
        with parts.services.store.engine.begin() as connection:
            connection.execute(insert(model), values)

    put(User, [{"id": 1, "name": "Sanne Jansen", "email": "sanne@example.com", "is_owner": True}])
    put(
        UserSession,
        [
            {
                "token_hash": digest(TOKEN),
                "user_id": 1,
                "created_at": at.real,
                "last_seen_at": at.real + timedelta(hours=1),
                "expires_at": at.real + timedelta(days=1),
                "user_agent": "bench",
            }
        ],
    )
    put(Administration, [{"id": n, "reference": f"a{n}", "name": f"Firma {n}"} for n in ids])
    put(
        Membership,
        [{"user_id": 1, "administration_id": n, "role": "administrator"} for n in ids[:own]],
    )
    put(
        Holder,
        [
            {
                "id": n,
                "provider": "ponto",
                "subject": f"s{n}",
                "name": f"Houder {n}",
                "email": f"houder{n}@example.com",
            }
            for n in ids
        ],
    )
    put(
        Grant,
        [
            {
                "id": n,
                "administration_id": n,
                "holder_id": n,
                "state": "active",
                "granted_at": at.now,
                "credentials_version": 0,
                "failures": 0,
            }
            for n in ids
        ],
    )
    for statement in _ROWS:
        with parts.services.store.engine.begin() as connection:
            connection.exec_driver_sql(
                statement,
                {
                    "administrations": administrations,
                    "rows": rows,
                    "now": _text(at.now),
                    "start": (at.today - timedelta(days=30)).isoformat(),
                    "since": _text(at.now - timedelta(days=90)),
                    **{f"until_{n}": _text(each) for n, each in enumerate(until)},
                    **{f"ends_{n}": _text(end_of_validity(each)) for n, each in enumerate(until)},
                },
            )
    with parts.services.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA optimize=0x10002")


def _text(instant: datetime) -> str:
    """As SQLite keeps it."""
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f")


_SPOTS = """
    WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < :administrations),
      r(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM r WHERE k + 1 < :rows),
      spots AS (SELECT n, k, printf('NL%02dBANK%05d%05d', n % 90 + 10, n, k) AS iban FROM a, r)
"""
_ROWS = (
    _SPOTS
    + """
    INSERT INTO journals (administration_id, code, name, iban, currency)
    SELECT n, 1000 + k, 'Bank ' || k, iban, 'EUR' FROM spots ORDER BY n, k
    """,
    _SPOTS
    + """
    INSERT INTO accounts (grant_id, iban, currency, ref, name, bank, listed, listed_at,
      authorised_at, valid_until, expires_at, expiry_noted)
    SELECT n, iban, 'EUR', iban, 'Zakelijke rekening', 'Demobank', 1, :now, :since,
      CASE k % 4 WHEN 0 THEN :until_0 WHEN 1 THEN :until_1 WHEN 2 THEN :until_2 ELSE :until_3 END,
      CASE k % 4 WHEN 0 THEN :ends_0 WHEN 1 THEN :ends_1 WHEN 2 THEN :ends_2 ELSE :ends_3 END,
      k % 4 = 0
    FROM spots ORDER BY n, k
    """,
    _SPOTS
    + """
    INSERT INTO connections (administration_id, iban, currency, version, switch, selected_id,
      start_date, switched_at, switched_by, armed, last_success, last_new, failures, noted)
    SELECT n, iban, 'EUR', 1, 'on', n, :start, :now, 'Sanne Jansen', 0, :now, 3, 0,
      CASE k % 4 WHEN 0 THEN 'r4' ELSE 'r6' END
    FROM spots ORDER BY n, k
    """,
)


def pour(
    store: Store, connection_id: int, count: int, newest: date, *, first: int = 0, a_day: int = 100
) -> None:
    """So many stored bookings of one connection, so many a day back from `newest`, without fetching
    them. `first`: how many were poured before."""
    place = {"connection": connection_id, "newest": newest.isoformat(), "a_day": a_day}
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT OR IGNORE INTO fetch_runs (id, connection_id, holder_id, scope, since, until,"
            " started_at, finished_at, seen, added, result)"
            " VALUES (:connection + 900000, :connection, 1, 'poured', '1990-01-01', :newest,"
            " '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000', 0, 0, 'ok')",
            place,
        )
        connection.exec_driver_sql(
            """
            WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last)
            INSERT INTO transactions (connection_id, run_id, scope, source_id, fingerprint,
              occurrence, booked_on, value_on, amount, currency, counterparty_name,
              counterparty_iban, remittance, state)
            SELECT :connection, :connection + 900000, 'poured', 'p-' || i,
              lower(hex(randomblob(32))), 1, date(:newest, '-' || (i / :a_day) || ' days'),
              date(:newest, '-' || (i / :a_day) || ' days'), (i % 200000) - 99999, 'EUR',
              'Groothandel ' || (i % 50), 'NL44RABO0123456789', 'Factuur ' || i, 'booked'
            FROM n
            """,
            {**place, "first": first, "last": first + count},
        )
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO booked_days (connection_id, day, count, credit, debit)"
            " SELECT connection_id, booked_on, count(*), sum(max(amount, 0)), sum(min(amount, 0))"
            " FROM transactions WHERE connection_id = :connection GROUP BY booked_on",
            place,
        )
