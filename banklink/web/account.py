"""One's own account: name and language, password, where one is signed in, where one works."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, g, redirect, render_template, request, session, url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from banklink.actions import people as acting
from banklink.actions import sign_in as signing_in
from banklink.actions.services import Missing, Refused
from banklink.store.models import Administration, Membership, UserSession
from banklink.translations import LOCALES
from banklink.web import signing
from banklink.web.context import Person, at, house, person
from banklink.web.i18n import _, moment, speak, when
from banklink.web.people_words import ROLE_NAMES, errors_by_field, new_password_field, too_many
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Choice, Field, Form, Link

blueprint = Blueprint("account", __name__, url_prefix="/account")

Answer = Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]

_LANGUAGES = {"nl": "Nederlands", "en": "English"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    id: int
    what: str
    since: str
    seen: str
    here: bool
    end: Button


@dataclass(frozen=True, slots=True, kw_only=True)
class MineView:
    """One administration and what the person is there."""

    name: str
    role: str
    people: Link


@blueprint.get("")
def page() -> Answer:
    return _account_page()


def _account_page(
    status: int = 200, typed: dict[str, str] | None = None, error: Refused | None = None
) -> tuple[str, int]:
    me = person()
    with house().services.store.read() as session_:
        sessions = signing_in.own_sessions(session_, me.id, at()) if me.session_id else []
        mine = session_.execute(
            select(Administration, Membership.role)
            .join(Membership)
            .where(Membership.user_id == me.id)
            .order_by(func.lower(Administration.name), Administration.id)
        ).all()
    page = render_template(
        "people/account.html",
        notice=said() if error is None else None,
        email=me.email,
        owner=me.is_owner,
        about=_about_form(me, typed or {}, error),
        password=_own_password_form(error) if me.session_id else None,
        sessions=[_session_view(each, me) for each in sessions],
        mine=[
            MineView(
                name=administration.name,
                role=_(ROLE_NAMES[role]),
                people=Link(
                    label=_("People"),
                    url=url_for("people.members", administration_id=administration.id),
                ),
            )
            for administration, role in mine
        ],
    )
    return page, status


def _about_form(me: Person, typed: dict[str, str], error: Refused | None) -> Form:
    chosen = typed.get("locale") or me.locale or g.locale
    return Form(
        action="account",
        title=_("About you"),
        url=url_for("account.save"),
        version=0,
        fields=(
            Field(
                name="name",
                label=_("Your name"),
                type="text",
                value=typed.get("name", me.name),
                width="long",
                hint=_("Colleagues see it in the history of what you do."),
                error=errors_by_field(error).get("name"),
                autocomplete="name",
                required=True,
            ),
            Field(
                name="locale",
                label=_("Language"),
                type="radio",
                choices=tuple(
                    Choice(value=code, label=_LANGUAGES[code], checked=code == chosen)
                    for code in LOCALES
                ),
            ),
        ),
        submit=_("Save"),
    )


def _own_password_form(error: Refused | None) -> Form:
    return Form(
        action="password",
        title=_("Password"),
        intro=_("Everywhere else you are signed in, you are signed out."),
        url=url_for("account.save_password"),
        version=0,
        fields=(
            Field(
                name="current",
                label=_("Present password"),
                type="password",
                width="long",
                error=errors_by_field(error).get("current"),
                autocomplete="current-password",
                required=True,
            ),
            new_password_field(error, _("New password")),
        ),
        submit=_("Change password"),
    )


def _session_view(each: UserSession, me: Person) -> SessionView:
    what = _browser_name(each.user_agent)
    since = moment(each.created_at)
    return SessionView(
        id=each.id,
        what=what,
        since=since,
        seen=when(each.last_seen_at, at().today),
        here=each.id == me.session_id,
        end=Button(
            action="end",
            label=_("End"),
            name=_("End: %(what)s, since %(since)s", what=what, since=since),
            method="post",
            url=url_for("account.end_session", session_id=each.id),
        ),
    )


def _browser_name(agent: str) -> str:
    """What the browser calls itself, as people call it: Firefox, Windows."""
    browser = next(
        (
            name
            for mark, name in (
                ("Edg", "Edge"),
                ("OPR/", "Opera"),
                ("Firefox", "Firefox"),
                ("FxiOS", "Firefox"),
                ("Chrom", "Chrome"),
                ("CriOS", "Chrome"),
                ("Safari", "Safari"),
            )
            if mark in agent
        ),
        None,
    )
    machine = next(
        (
            name
            for mark, name in (
                ("iPhone", "iPhone"),
                ("iPad", "iPad"),
                ("Android", "Android"),
                ("Windows", "Windows"),
                ("Mac OS", "macOS"),
                ("Linux", "Linux"),
            )
            if mark in agent
        ),
        None,
    )
    return ", ".join(filter(None, (browser, machine))) or _("A browser")


@blueprint.post("")
def save() -> Answer:
    typed = {name: request.form.get(name, "") for name in ("name", "locale")}
    if typed["locale"] not in LOCALES:
        abort(400)
    try:
        acting.change_account(house().services, person().id, **typed)
    except Refused as error:
        return _account_page(422, typed, error)
    session["locale"] = typed["locale"]
    speak(typed["locale"])
    session.permanent = True
    say("ok", _("Saved."))
    return redirect(url_for("account.page"), 303)


@blueprint.post("/password")
def save_password() -> Answer:
    me = person()
    if me.session_id is None:
        abort(404)
    try:
        new = acting.change_password(
            house().services,
            me.id,
            at(),
            current=request.form.get("current", ""),
            password=request.form.get("password", ""),
            address=signing.address(),
            app_name=house().settings.app_name,
            agent=signing.agent(),
        )
    except Refused as error:
        if error.code == "too_many":
            return too_many(error, _own_password_form(None))
        return _account_page(422, error=error)
    answer = signing.bring(redirect(url_for("account.page"), 303), new, me.id)
    say("ok", _("Password changed. You are signed out everywhere else."))
    return answer


@blueprint.post("/sessions/<int:session_id>/end")
def end_session(session_id: int) -> Answer:
    try:
        signing_in.end_session(house().services, person().id, session_id, at())
    except Missing:
        abort(404)
    say("ok", _("Signed out there."))
    return redirect(url_for("account.page"), 303)
