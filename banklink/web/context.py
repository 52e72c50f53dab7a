"""What a request has at hand: services, settings, the moment, the person and their browser."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import abort, current_app, g, request, session
from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink import clock as clocks
from banklink.actions.services import Services
from banklink.clock import Clock
from banklink.core.calendar import Moment
from banklink.settings import Settings
from banklink.store.models import Administration, Connection, Membership
from banklink.web.rows import Reader
from banklink.web.viewmodel import Notice

_MOST = 2**31
"""Beyond any row number; databases refuse to compare larger ones."""


@dataclass(frozen=True, slots=True)
class DemoLinks:
    """Where the demo bar leads."""

    simulator_url: str
    panel_url: str


@dataclass(frozen=True)
class House:
    """Everything the web needs, put together by the composition root. `load_user` returns the id
    and name of who is signed in, or None."""

    settings: Settings
    services: Services
    clock: Clock
    demo: DemoLinks | None
    load_user: Callable[[], Person | None]


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    name: str


def house() -> House:
    found: House = current_app.extensions["banklink"]
    return found


def at() -> Moment:
    """The moment of this request, read once."""
    if "at" not in g:
        g.at = clocks.read(house().clock)
    moment: Moment = g.at
    return moment


def person() -> Person:
    found: Person | None = g.get("person")
    if found is None:
        abort(403)
    return found


def browser() -> str:
    """A secret that tells this browser from another; made at its first visit."""
    if "browser" not in session:
        session["browser"] = secrets.token_urlsafe(24)
        session.permanent = True
    secret: str = session["browser"]
    return secret


def reader() -> Reader:
    settings = house().settings
    return Reader(
        at=at(), app=settings.app_name, provider=settings.provider_name, browser=browser()
    )


def is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true"


def my_administrations(session_: Session) -> list[Administration]:
    return list(
        session_.scalars(
            select(Administration)
            .join(Membership)
            .where(Membership.user_id == person().id)
            .order_by(Administration.id)
        )
    )


def my_administration(session_: Session, administration_id: int | None) -> Administration:
    """One of the person's own, the first by default; another's does not exist for them (404)."""
    mine = my_administrations(session_)
    if administration_id is None and mine:
        return mine[0]
    found = next((each for each in mine if each.id == administration_id), None)
    if found is None:
        abort(404)
    return found


def my_connection(session_: Session, connection_id: int) -> Connection:
    """404 for an unknown connection and for another administration's alike."""
    connection = session_.get(Connection, connection_id) if connection_id < _MOST else None
    if connection is None:
        abort(404)
    my_administration(session_, connection.administration_id)
    return connection


def tell(connection_id: int, notice: Notice, *, undo: bool = False) -> None:
    """Say something in the row after the redirect (without JavaScript)."""
    waiting: dict[str, Any] = session.setdefault("told", {})
    waiting[str(connection_id)] = {"tone": notice.tone, "text": notice.text, "undo": undo}
    session.modified = True


def told() -> dict[int, dict[str, Any]]:
    """What waits to be said, by connection; said once."""
    waiting: dict[str, Any] = session.pop("told", {})
    return {int(key): value for key, value in waiting.items()}
