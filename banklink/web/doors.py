"""The ways in and out: signing in, and the links that work once (set-up, new password, joining)."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request, url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from banklink.actions import people as acting
from banklink.actions import sign_in as signing_in
from banklink.actions.people import Invitation
from banklink.actions.services import Refused
from banklink.core.texts import N_
from banklink.store.models import User
from banklink.web import kept, signing
from banklink.web.access import local
from banklink.web.context import Person, at, house, person
from banklink.web.i18n import _
from banklink.web.people_words import (
    ROLE_NAMES,
    errors_by_field,
    form_page,
    new_password_field,
    refusal,
    too_many,
)
from banklink.web.viewmodel import Field, Form, Link, Notice

blueprint = Blueprint("doors", __name__)

Answer = Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]

_DEAD_LINKS: dict[str, tuple[str, str]] = {
    "link_unknown": (
        N_("This link does not work"),
        N_("Perhaps a part of it got lost, or a newer one was made. Copy it again, whole."),
    ),
    "link_used": (
        N_("This link was already used"),
        N_("It works once, and that has happened. Sign in with the password chosen then."),
    ),
    "link_expired": (
        N_("This link has expired"),
        N_("It was only good for a while. Ask for a new one; nothing was changed."),
    ),
}


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Answer:
    back = local(request.values.get("next", "")) or url_for("maintenance.page")
    if request.method != "POST":
        if g.get("person") is not None:
            return redirect(back, 303)
        return form_page(_sign_in_form(back), notice=_why_sign_in())
    email = request.form.get("email", "")
    try:
        token, user = signing_in.sign_in(
            house().services,
            at(),
            email=email,
            password=request.form.get("password", ""),
            address=signing.address(),
            agent=signing.agent(),
            replaces=signing.token(),
        )
    except Refused as error:
        if error.code == "too_many":
            return too_many(error, _sign_in_form(back, email))
        return form_page(_sign_in_form(back, email, refusal(error)), 422)
    return signing.bring(redirect(back, 303), token, user.id, user.locale)


def _sign_in_form(back: str, email: str = "", error: str | None = None) -> Form:
    return Form(
        action="sign-in",
        title=_("Sign in"),
        url=url_for("doors.sign_in", next=back),
        version=0,
        fields=(
            Field(
                name="email",
                label=_("E-mail address"),
                type="email",
                value=email,
                width="long",
                autocomplete="username",
                required=True,
            ),
            Field(
                name="password",
                label=_("Password"),
                type="password",
                width="long",
                autocomplete="current-password",
                required=True,
            ),
        ),
        submit=_("Sign in"),
        error=error,
    )


def _why_sign_in() -> Notice | None:
    with house().services.store.read() as session_:
        if not session_.scalar(select(func.count(User.id))):
            return Notice(
                tone="info",
                text=_(
                    "Nobody can sign in yet. Open the set-up link that was printed when %(app)s"
                    " started.",
                    app=house().settings.app_name,
                ),
            )
    if request.args.get("ended") and kept.is_kept():
        return Notice(
            tone="info",
            text=_(
                "You were no longer signed in, so what you did last was not done. Sign in: what you"
                " typed is filled in again, except for secrets."
            ),
        )
    if request.args.get("ended"):
        return Notice(
            tone="info",
            text=_(
                "You were no longer signed in, so what you did last was not done. Sign in and do"
                " it again."
            ),
        )
    return None


@blueprint.post("/sign-out")
def sign_out() -> Answer:
    return signing.take(redirect(url_for("doors.sign_in"), 303))


# -- links that work once -----------------------------------------------------------------------


def _dead(error: Refused) -> tuple[str, int]:
    title, text = _DEAD_LINKS.get(error.code, _DEAD_LINKS["link_unknown"])
    page = render_template(
        "pages/message.html",
        tone="todo",
        title=_(title),
        text=_(text),
        back=Link(label=_("Sign in"), url=url_for("doors.sign_in")),
        incident=None,
    )
    return page, 410 if error.code != "link_unknown" else 404


@blueprint.route("/set-up/<token>", methods=["GET", "POST"])
def set_up(token: str) -> Answer:
    """The first person: owner of this installation."""
    typed = {name: request.form.get(name, "") for name in ("name", "email", "password")}
    try:
        if request.method != "POST":
            acting.can_set_up(house().services, token, at())
            return form_page(_set_up_form(token, typed))
        new = acting.set_up(
            house().services,
            token,
            at(),
            **typed,
            locale=g.locale,
            app_name=house().settings.app_name,
            agent=signing.agent(),
        )
    except Refused as error:
        if error.field is None:
            return _dead(error)
        return form_page(_set_up_form(token, typed, error), 422)
    return _in_by_link(new, url_for("maintenance.page"))


def _in_by_link(new: str, to: str) -> Response:
    found = signing_in.signed_in(house().services, new, at(), attended=False)
    assert found is not None
    old = signing.token()
    if old:
        signing_in.sign_out(house().services, old, at())
    return signing.bring(redirect(to, 303), new, found.user.id, found.user.locale)


def _set_up_form(token: str, typed: dict[str, str], error: Refused | None = None) -> Form:
    errors = errors_by_field(error)
    app = house().settings.app_name
    return Form(
        action="set-up",
        title=_("Set up %(app)s", app=app),
        intro=_(
            "You are the first. You become the owner: you create administrations, connect the"
            " service that reaches the banks, and invite colleagues."
        ),
        url=url_for("doors.set_up", token=token),
        version=0,
        fields=(
            Field(
                name="name",
                label=_("Your name"),
                type="text",
                value=typed["name"],
                width="long",
                error=errors.get("name"),
                autocomplete="name",
                required=True,
            ),
            Field(
                name="email",
                label=_("E-mail address"),
                type="email",
                value=typed["email"],
                width="long",
                hint=_("You sign in with it."),
                error=errors.get("email"),
                autocomplete="username",
                required=True,
            ),
            new_password_field(error, _("Password")),
        ),
        submit=_("Set up and sign in"),
    )


@blueprint.route("/password/<token>", methods=["GET", "POST"])
def password(token: str) -> Answer:
    """A new password by an operator's link, or a colleague's first one."""
    try:
        about = acting.for_whom(house().services, token, at())
        if isinstance(about, Invitation) and about.known:
            return _join_page(token, about)
        if request.method != "POST":
            return form_page(_password_form(token, about))
        new, _who = acting.choose_password(
            house().services,
            token,
            at(),
            password=request.form.get("password", ""),
            app_name=house().settings.app_name,
            agent=signing.agent(),
        )
    except Refused as error:
        if error.code == "account_exists":
            return redirect(url_for("doors.password", token=token), 303)
        if error.field is None:
            return _dead(error)
        return form_page(_password_form(token, about, error), 422)
    return _in_by_link(new, url_for("maintenance.page"))


def _password_form(token: str, about: User | Invitation, error: Refused | None = None) -> Form:
    if isinstance(about, Invitation):
        title = _("Join %(administration)s", administration=about.administration)
        intro = _invited(about) + " " + _("Choose a password; with it you sign in from now on.")
        email, submit = about.link.email or "", _("Join and sign in")
    else:
        title = _("Choose a new password")
        intro = _("Wherever you are signed in now, you are signed out.")
        email, submit = about.email, _("Save and sign in")
    return Form(
        action="password",
        title=title,
        intro=intro,
        url=url_for("doors.password", token=token),
        version=0,
        fields=(
            Field(
                name="email",
                label=_("E-mail address"),
                type="email",
                value=email,
                width="long",
                autocomplete="username",
                readonly=True,
            ),
            new_password_field(error, _("New password")),
        ),
        submit=submit,
    )


def _invited(about: Invitation) -> str:
    return _(
        "%(who)s invites you to work in the books of %(administration)s. Your role: %(role)s.",
        who=about.link.created_by or house().settings.app_name,
        administration=about.administration,
        role=_(ROLE_NAMES[about.link.role or "reader"]).lower(),
    )


def _join_page(token: str, about: Invitation, status: int = 200) -> tuple[str, int]:
    """Somebody who has an account joins with it: the link alone is not enough."""
    who: Person | None = g.get("person")
    title = _("Join %(administration)s", administration=about.administration)
    if who is None:
        page = render_template(
            "pages/message.html",
            tone="info",
            title=title,
            text=_invited(about) + " " + _("Sign in first; then you come back here."),
            back=Link(
                label=_("Sign in"),
                url=url_for("doors.sign_in", next=url_for("doors.password", token=token)),
            ),
            incident=None,
        )
        return page, status
    error = None
    if who.email != about.link.email:
        error = refusal(Refused("link_for_other", email=about.link.email))
    return form_page(
        Form(
            action="join",
            title=title,
            intro=_invited(about),
            url=url_for("doors.join", token=token),
            version=0,
            fields=(),
            submit=_("Join"),
            error=error,
        ),
        status,
    )


@blueprint.post("/password/<token>/join")
def join(token: str) -> Answer:
    try:
        administration_id = acting.join(house().services, token, at(), user_id=person().id)
    except Refused as error:
        if error.code != "link_for_other":
            return _dead(error)
        about = acting.for_whom(house().services, token, at())
        assert isinstance(about, Invitation)
        return _join_page(token, about, 422)
    return redirect(url_for("maintenance.page", administration=administration_id), 303)
