"""The session's cookie: what it is called, who it says is there, how it comes and goes."""

from __future__ import annotations

from flask import g, request, session
from werkzeug.wrappers import Response

from banklink.actions.sign_in import sign_out, signed_in
from banklink.web.access import UNATTENDED
from banklink.web.context import Person, at, house, person_from


def cookie_name() -> str:
    """With https the browser itself promises: of this host alone, for every path, encrypted."""
    return "__Host-banklink-session" if _https() else "banklink-session"


def _https() -> bool:
    return house().settings.origin.startswith("https:")


def token() -> str | None:
    return request.cookies.get(cookie_name())


def load_person() -> Person | None:
    """Who this browser is signed in as."""
    found = token()
    if not found:
        return None
    known = signed_in(house().services, found, at(), attended=request.endpoint not in UNATTENDED)
    return person_from(known.user, known.session.id) if known else None


def address() -> str:
    """The network address attempts are counted for; a trusted proxy's word is in it already."""
    return request.remote_addr or "unknown"


def agent() -> str:
    return request.user_agent.string


def bring(answer: Response, new: str, person_id: int, locale: str | None = None) -> Response:
    """Give the browser its new token. What it kept for somebody else is forgotten, the forgery
    token too; for the same person it stays, so that a page left open still works."""
    if session.get("person") != person_id:
        chosen = session.get("locale")
        session.clear()
        session["locale"] = locale or chosen or g.locale
        session["person"] = person_id
        session.permanent = True
    elif locale:
        session["locale"] = locale
    answer.set_cookie(cookie_name(), new, httponly=True, samesite="Lax", secure=_https(), path="/")
    return answer


def take(answer: Response) -> Response:
    """Sign out: the session ends in the database, the browser forgets what it kept."""
    found = token()
    if found:
        sign_out(house().services, found, at())
    chosen = session.get("locale")
    session.clear()
    if chosen:
        session["locale"] = chosen
        session.permanent = True
    answer.delete_cookie(cookie_name(), httponly=True, samesite="Lax", secure=_https(), path="/")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer
