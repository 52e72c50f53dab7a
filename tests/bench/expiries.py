"""The expiry check over a million authorisations of which one in a hundred is due, one in a thousand,
and none."""

from __future__ import annotations

from datetime import timedelta

import app as composition
from banklink import clock as clocks
from banklink.actions.check import check_expiries
from tests.bench.data import _text, fill, house, size
from tests.bench.results import Result, at_most, median, timed, within

A_HOUSE = 100
"""Authorisations per administration."""


def measure() -> list[Result]:
    count = size("AUTHORISATIONS", 1_000_000)
    with house() as parts:
        fill(parts, count // A_HOUSE, A_HOUSE, own=1)
        at = clocks.read(parts.clock)
        _end(parts, 0)
        nothing = median([timed(lambda: check_expiries(parts.services, at)) for _ in range(20)])
        times, floors = {}, {}
        for share in (1000, 100):
            _end(parts, share)
            told: list[int] = []
            times[share] = timed(lambda told=told: told.append(check_expiries(parts.services, at)))  # type: ignore[misc]
            assert told == [count // share], told
            _end(parts, share)
            floors[share] = timed(lambda: _floor(parts))
    return [
        at_most("expiry check, 1 % due", times[100] * 1000, floors[100] * 1000, "ms", 1.5),
        within("expiry check, nothing due", nothing * 1000, 3, "ms"),
        at_most("expiry check, 10 × as many due", times[100] * 1000, times[1000] * 1000, "ms", 12),
    ]


def _end(parts: composition.Banklink, share: int) -> None:
    """One authorisation in `share` ended yesterday and nobody noticed, all others hold."""
    at = clocks.read(parts.clock)
    later, before = at.now + timedelta(days=40), at.now - timedelta(days=1)
    with parts.services.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE accounts SET valid_until = :later, expires_at = :later, expiry_noted = 0"
            " WHERE valid_until <> :later OR expiry_noted",
            {"later": _text(later)},
        )
        connection.exec_driver_sql("UPDATE connections SET noted = 'r6' WHERE noted <> 'r6'")
        if share:
            connection.exec_driver_sql(
                "UPDATE accounts SET valid_until = :before, expires_at = :before"
                " WHERE id % :share = 1",
                {"before": _text(before), "share": share},
            )


def _floor(parts: composition.Banklink) -> None:
    """One indexed UPDATE in raw SQL, with the event rows."""
    now = _text(clocks.read(parts.clock).now)
    with parts.services.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO events (administration_id, connection_id, at, kind, params)"
            " SELECT c.administration_id, c.id, :now, 'status', :said FROM accounts a"
            " JOIN grants g ON g.id = a.grant_id JOIN connections c"
            " ON c.administration_id = g.administration_id AND c.iban = a.iban"
            " AND c.currency = a.currency WHERE NOT a.expiry_noted AND a.expires_at <= :now",
            {"now": now, "said": '{"to": "r4"}'},
        )
        connection.exec_driver_sql(
            "UPDATE accounts SET expiry_noted = 1 WHERE expiry_noted = 0 AND expires_at <= :now",
            {"now": now, "said": '{"to": "r4"}'},
        )
