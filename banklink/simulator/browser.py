"""Browsers: who is signed in where, and pages that say what went wrong.

The cookie holds a random key; the row it names decides. Signing out ends the row, so a copied
cookie is worthless afterwards. Sessions keep real time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Response, make_response, redirect, render_template, request, session, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from .i18n import gettext as _
from .model import Bank, BrowserSession, Holder, digest, new_secret

if TYPE_CHECKING:
    from . import Simulator

LIFETIME = timedelta(hours=12)
DEMO_CODE = "1234"


def sign_in(db: Session, simulator: Simulator, holder: Holder, bank: Bank | None = None) -> None:
    """Open a session at the app, or at `bank`. What the browser held before is left behind."""
    key = new_secret()
    name = _key(bank)
    if bank is None:  # against fixation: only the language survives a sign-in
        for stale in [k for k in session if k != "locale"]:
            session.pop(stale)
    session[name] = key
    db.add(
        BrowserSession(
            hash=digest(key),
            holder_id=holder.id,
            bank_id=bank.id if bank else None,
            started_at=simulator.clock.real(),
        )
    )


def signed_in(db: Session, simulator: Simulator, bank: Bank | None = None) -> Holder | None:
    key = session.get(_key(bank))
    if not isinstance(key, str):
        return None
    row = db.scalar(
        select(BrowserSession).where(
            BrowserSession.hash == digest(key),
            BrowserSession.ended_at.is_(None),
            BrowserSession.started_at > simulator.clock.real() - LIFETIME,
        )
    )
    if row is None or row.bank_id != (bank.id if bank else None):
        return None
    return db.get(Holder, row.holder_id)


def sign_out(db: Session, simulator: Simulator, bank: Bank | None = None) -> None:
    key = session.pop(_key(bank), None)
    if isinstance(key, str):
        row = db.scalar(select(BrowserSession).where(BrowserSession.hash == digest(key)))
        if row is not None:
            row.ended_at = simulator.clock.real()


def _key(bank: Bank | None) -> str:
    return f"bank_{bank.id}" if bank else "holder"


def go(endpoint: str, **values: str | int) -> Response:
    """After a POST: 303, so that reloading the next page repeats nothing."""
    return leave(url_for(endpoint, **values))  # type: ignore[arg-type]


def leave(url: str) -> Response:
    return make_response(redirect(url, code=303))


def local(url: str | None, fallback: str) -> str:
    """`url` when it is a path on this origin, else `fallback`: no open redirector."""
    if not url or not url.startswith("/") or "\\" in url or any(ord(c) < 32 for c in url):
        return fallback
    parts = urlsplit(url)
    return fallback if parts.netloc or parts.scheme or url.startswith("//") else url


def here() -> str:
    """This page as a path with its query, to come back to."""
    return request.full_path.rstrip("?") if request.query_string else request.path


def sign_in_first() -> Response:
    return go("app.sign_in", next=here())


def problem(
    status: int, title: str, sentence: str, *, back: str | None = None, label: str | None = None
) -> Response:
    """A page with a sentence and a way back."""
    page = render_template(
        "simulator/problem.html",
        title=title,
        sentence=sentence,
        back=back or url_for("app.home"),
        label=label or _("To the start page"),
    )
    response = make_response(page, status)
    return response


def page(template: str, status: int = 200, **values: object) -> Response:
    return make_response(render_template(f"simulator/{template}", **values), status)


def flash_once(message: str, kind: str = "good") -> None:
    session["notice"] = {"text": message, "kind": kind}


def take_notice() -> Mapping[str, str] | None:
    """Shown once: reading it takes it out of the cookie."""
    return session.pop("notice", None)
