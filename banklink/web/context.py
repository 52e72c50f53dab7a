"""What a request has at hand: services, settings, the moment, the person and their browser."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, current_app, g, session
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from banklink import clock as clocks
from banklink.actions.invite import books_of
from banklink.actions.services import Services
from banklink.actions.shelf import configured
from banklink.clock import Clock
from banklink.core.calendar import Moment
from banklink.settings import Settings
from banklink.store.models import Administration, Membership, User
from banklink.store.plain import plain_columns, read_all
from banklink.web.addresses import listing, path_to
from banklink.web.i18n import locale
from banklink.web.rows import Reader, Voice
from banklink.web.viewmodel import Notice

MOST = 2**31
"""Beyond any row number; databases refuse to compare larger ones."""


@dataclass(frozen=True, slots=True)
class DemoLinks:
    """Where the demo bar leads."""

    simulator_url: str
    panel_url: str


@dataclass(frozen=True)
class House:
    """Everything the web needs, put together by the composition root. `load_user` says who is
    signed in by itself (the demo); without it people sign in (web/signing.py)."""

    settings: Settings
    services: Services
    clock: Clock
    demo: DemoLinks | None
    load_user: Callable[[], Person | None] | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in. `session_id` is the row of this browser's session, None in the demo."""

    id: int
    name: str
    email: str = ""
    is_owner: bool = False
    locale: str | None = None
    session_id: int | None = None


def person_from(user: User, session_id: int | None = None) -> Person:
    return Person(user.id, user.name, user.email, user.is_owner, user.locale, session_id)


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
        at=at(),
        browser=browser(),
        voice=Voice(
            today=at().today,
            locale=locale(),
            listing=listing(),
            app=settings.app_name,
            provider=settings.provider_name,
            may_change=may_change(),
            provider_ready=provider_ready(),
            provider_page=path_to("provider.page") if person().is_owner else None,
        ),
        posts=house().services.office.sender is not None,
    )


def provider_ready() -> bool:
    """Whether the provider was ever set up; asked once per request, not once per row."""
    if "provider_ready" not in g:
        g.provider_ready = configured(house().services.providers)
    ready: bool = g.provider_ready
    return ready


def may_change() -> bool:
    """Whether the person may change something in the administration this request is about."""
    return g.get("role") != "reader"


_MINE = (
    select(*plain_columns(Administration), *plain_columns(Membership))
    .join(Membership, Membership.administration_id == Administration.id)
    .where(Membership.user_id == bindparam("user"))
    .order_by(Administration.id)
)


def my_administrations(session_: Session) -> list[Administration]:
    """To be looked at. Read once in a reading."""
    return [administration for administration, _ in _mine(session_)]


def _mine(session_: Session) -> list[tuple[Administration, Membership]]:
    if "mine" not in session_.info:
        given = {"user": person().id}
        session_.info["mine"] = read_all(
            session_, _MINE, given, Administration, Membership, plain=True
        )
        g.several = len(session_.info["mine"]) > 1
    mine: list[tuple[Administration, Membership]] = session_.info["mine"]
    return mine


def my_administration(session_: Session, administration_id: int | None) -> Administration:
    """One of the person's own, by default the one they were in last; another's does not exist for
    them (404)."""
    mine = _mine(session_)
    if administration_id is None:
        administration_id = the_default([each.id for each, _ in mine])
    found = next((each for each in mine if each[0].id == administration_id), None)
    if found is None:
        abort(404)
    administration, membership = found
    g.role, g.administration_id = membership.role, administration.id
    return administration


def keeps_all(invitation_id: int) -> bool:
    """Whether the person does the work in every administration an invitation asks for: a renewal
    may be one for several."""
    works = select(Membership.administration_id).where(
        Membership.user_id == person().id, Membership.role.in_(("bookkeeper", "administrator"))
    )
    with house().services.store.read() as session_:
        return books_of(session_, invitation_id) <= set(session_.scalars(works))


def the_default(mine: Sequence[int]) -> int | None:
    """The administration a page is about that names none: the one this browser was in last, as long
    as it is one of the person's own, else the first."""
    last = session.get("administration")
    return last if last in mine else next(iter(mine), None)


def remember(administration_id: int) -> None:
    """A page of this administration is shown (a poll in the background is no page)."""
    if session.get("administration") != administration_id:
        session["administration"] = administration_id


def tell(connection_id: int, notice: Notice, *, undo: bool = False) -> None:
    """Say something in the row after the redirect (without JavaScript)."""
    waiting: dict[str, Any] = session.setdefault("told", {})
    waiting[str(connection_id)] = {
        "tone": notice.tone,
        "text": notice.text,
        "undo": undo,
        "copy": notice.copy,
        "way": [notice.button.label, notice.button.url] if notice.button else None,
    }
    session.modified = True


def told() -> dict[int, dict[str, Any]]:
    """What waits to be said, by connection; said once."""
    waiting: dict[str, Any] = session.pop("told", {})
    return {int(key): value for key, value in waiting.items()}
