"""Deliberately broken builds: each harness has to catch the ones it can see, or its zero means
nothing. They exist only here, and break the order of things from outside, at the call to the
provider or at the connection, so that they stay broken however the fetch is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, text

from banklink.actions.services import Services
from tests.faults.world import without_ids

Saboteur = Callable[[Services], Services]


class Between:
    """The provider, with something done in the books around a call."""

    def __init__(self, inner: Any, calls: dict[str, Callable[..., Any]]):
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._calls:
            return found
        return lambda *args, **kwargs: self._calls[name](found, *args, **kwargs)


def _around(services: Services, **calls: Callable[..., Any]) -> Services:
    provider = Between(services.provider, calls)
    return dataclasses.replace(services, providers={services.default_provider: provider})


def nameless(services: Services) -> Services:
    """No sabotage: a bank that gives its bookings no ids."""
    found = _around(services, transactions=without_ids)
    found.provider.ids_stable = False
    return found


def cursor_first(services: Services) -> Services:
    """The cursor of a page is committed before its rows."""

    def transactions(ask: Any, *args: Any, **kwargs: Any) -> Any:
        page = ask(*args, **kwargs)
        if page.cursor is not None:
            _commit(
                services, "UPDATE fetch_runs SET cursor = :c WHERE result IS NULL", c=page.cursor
            )
        return page

    return _around(services, transactions=transactions)


def watermark_first(services: Services) -> Services:
    """The watermark moves when a fetch starts."""

    def transactions(ask: Any, *args: Any, **kwargs: Any) -> Any:
        _commit(
            services,
            "UPDATE connections SET watermark = (SELECT max(until) FROM fetch_runs AS run"
            " WHERE run.connection_id = connections.id) WHERE id IN"
            " (SELECT connection_id FROM fetch_runs WHERE result IS NULL)",
        )
        return ask(*args, **kwargs)

    return _around(services, transactions=transactions)


def ledger_last(services: Services) -> Services:
    """An access is noted once the provider has answered."""

    def transactions(ask: Any, *args: Any, **kwargs: Any) -> Any:
        with services.store.write() as session:
            rows = session.execute(
                text("SELECT account_id, endpoint, attended, at FROM accesses ORDER BY id")
            ).all()
            if kwargs.get("cursor") is None and rows:
                session.execute(
                    text("DELETE FROM accesses WHERE id = (SELECT max(id) FROM accesses)")
                )
        answer = ask(*args, **kwargs)
        if kwargs.get("cursor") is None and rows:
            _something_else(services)
            _commit(
                services,
                "INSERT INTO accesses (account_id, endpoint, attended, at) VALUES (:a, :e, :t, :m)",
                **dict(zip("aetm", rows[-1], strict=True)),
            )
        return answer

    return _around(services, transactions=transactions)


def without_sightings(services: Services) -> Services:
    """Equal bookings are numbered anew on every page."""

    def transactions(ask: Any, *args: Any, **kwargs: Any) -> Any:
        _commit(services, "DELETE FROM sightings")
        return ask(*args, **kwargs)

    return _around(services, transactions=transactions)


def redeemed_later(services: Services) -> Services:
    """That a code was redeemed is stored after the call."""

    def complete_grant(ask: Any, *args: Any, **kwargs: Any) -> Any:
        with services.store.write() as session:
            taken = session.scalar(text("SELECT max(consumed_at) FROM attempts"))
            session.execute(text("UPDATE attempts SET consumed_at = NULL"))
        answer = ask(*args, **kwargs)
        _something_else(services)
        _commit(services, "UPDATE attempts SET consumed_at = :t", t=taken)
        return answer

    return _around(services, complete_grant=complete_grant)


def _synchronous(mode: str) -> Saboteur:
    def saboteur(services: Services) -> Services:
        event.listen(
            services.store.engine,
            "connect",
            lambda dbapi, _record: dbapi.execute(f"PRAGMA synchronous={mode}"),
        )
        return services

    return saboteur


def _something_else(services: Services) -> None:
    """A commit between the answer and what should have come before the question."""
    _commit(services, "UPDATE administrations SET name = name || '.'")


def _commit(services: Services, statement: str, **values: Any) -> None:
    with services.store.write() as session:
        session.execute(text(statement), values)


SABOTAGES: dict[str, Saboteur] = {
    "cursor_first": cursor_first,
    "watermark_first": watermark_first,
    "ledger_last": ledger_last,
    "without_sightings": without_sightings,
    "redeemed_later": redeemed_later,
    "synchronous_normal": _synchronous("NORMAL"),
    "synchronous_off": _synchronous("OFF"),
}
