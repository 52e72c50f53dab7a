"""People: sign in and out, the links that work once, one's own account, who works where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, abort, g, redirect, render_template, request, session, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from banklink.actions import people as acting
from banklink.actions import sign_in as signing_in
from banklink.actions.people import Invitation, Member
from banklink.actions.services import Missing, Refused, Stale
from banklink.core.texts import N_
from banklink.store.models import Administration, Membership, OneTimeLink, User, UserSession
from banklink.translations import LOCALES
from banklink.web import kept, signing
from banklink.web.access import local
from banklink.web.context import Person, at, house, my_administration, person
from banklink.web.i18n import _, clock_time, moment, ngettext, when
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Choice, Field, Form, Link, Notice

blueprint = Blueprint("people", __name__)

Answer = Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]

ROLE_NAMES: dict[str, str] = {
    "reader": N_("Reader"),
    "bookkeeper": N_("Bookkeeper"),
    "administrator": N_("Administrator"),
}
_ROLE_DETAILS: dict[str, str] = {
    "reader": N_("Sees everything and changes nothing."),
    "bookkeeper": N_("Connects, renews, switches on and off, and looks after the journals."),
    "administrator": N_("Does all that, and decides who works here."),
}
_LANGUAGES = {"nl": "Nederlands", "en": "English"}

REFUSALS: dict[str, str] = {
    "wrong_credentials": N_(
        "That e-mail address and password do not belong together. Check both, or ask who runs"
        " %(app)s for a link to choose a new password."
    ),
    "wrong_credentials_spaces": N_(
        "That e-mail address and password do not belong together. The password begins or ends"
        " with a space, perhaps pasted along: try it without."
    ),
    "password_missing": N_("Fill in a password."),
    "password_spaces": N_(
        "The password begins or ends with a space, perhaps pasted along. Take that off; spaces"
        " in between may stay."
    ),
    "password_short": N_(
        "A password has at least %(least)s characters; this one has %(n)s. A few words in a row"
        " are long and easy to keep in mind."
    ),
    "password_long": N_(
        "A password has at most %(most)s characters; this one has %(n)s. Choose a shorter one."
    ),
    "password_one_character": N_(
        "This is one character over and over, which is guessed at once. Choose a few words in"
        " a row."
    ),
    "password_sequence": N_(
        "These keys follow each other on the keyboard or in the alphabet, which is guessed at"
        " once. Choose a few words in a row."
    ),
    "password_own_words": N_(
        "This is your own name or address or that of %(app)s, which is guessed at once. Choose"
        " words that do not belong to you."
    ),
    "password_common": N_(
        "Many people use this password, so it is guessed at once. Choose a few words that do not"
        " usually stand together."
    ),
    "password_wrong": N_("This is not your present password. Nothing was changed."),
    "own_name_missing": N_("Fill in a name, as colleagues know it."),
    "own_name_long": N_("A name has at most 100 letters, on one line. Choose a shorter one."),
    "email_missing": N_("Fill in an e-mail address."),
    "email_wrong": N_("This is no e-mail address. Write it like name@example.nl."),
    "role_unknown": N_("Choose one of the roles."),
    "already_member": N_("%(name)s works here already, with this e-mail address."),
    "last_administrator": N_(
        "This is the only administrator here. Make somebody else administrator first."
    ),
    "link_for_other": N_(
        "This link is for %(email)s, and you are signed in with another address. Sign out and"
        " open the link again."
    ),
    "account_exists": N_(
        "There is an account with this e-mail address already. Sign in with it and open the link"
        " again."
    ),
}
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


def refusal(error: Refused) -> str:
    params = {"app": house().settings.app_name, **error.params}
    return _(REFUSALS[error.code], **params)


def _errors(error: Refused | None) -> dict[str, str]:
    return {error.field: refusal(error)} if error is not None and error.field else {}


def _form_page(form: Form, status: int = 200, notice: Notice | None = None) -> tuple[str, int]:
    return render_template("people/form.html", form=form, notice=notice), status


def _dead(error: Refused) -> tuple[str, int]:
    title, text = _DEAD_LINKS.get(error.code, _DEAD_LINKS["link_unknown"])
    page = render_template(
        "pages/message.html",
        tone="todo",
        title=_(title),
        text=_(text),
        back=Link(label=_("Sign in"), url=url_for("people.sign_in")),
        incident=None,
    )
    return page, 410 if error.code != "link_unknown" else 404


# -- in and out ---------------------------------------------------------------------------------


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Answer:
    back = local(request.values.get("next", "")) or url_for("maintenance.page")
    if request.method != "POST":
        if g.get("person") is not None:
            return redirect(back, 303)
        return _form_page(_sign_in_form(back), notice=_why_sign_in())
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
            return _too_many(error, _sign_in_form(back, email))
        return _form_page(_sign_in_form(back, email, refusal(error)), 422)
    return signing.bring(redirect(back, 303), token, user.id, user.locale)


def _sign_in_form(back: str, email: str = "", error: str | None = None) -> Form:
    return Form(
        action="sign-in",
        title=_("Sign in"),
        url=url_for("people.sign_in", next=back),
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


def _too_many(error: Refused, form: Form) -> tuple[str, int, dict[str, str]]:
    """429 with a sentence that says when."""
    until = error.params["until"]
    assert isinstance(until, datetime)
    left = max(1, -int((at().real - until).total_seconds() // 1))
    wait = (
        ngettext("Try again in %(n)s second.", "Try again in %(n)s seconds.", left)
        if left < 120
        else _("Try again at %(time)s.", time=clock_time(until + timedelta(seconds=59)))
    )
    text = _("Too many attempts in a short time.") + " " + wait
    page = render_template("people/form.html", form=form, notice=Notice(tone="error", text=text))
    return page, 429, {"Retry-After": str(left)}


@blueprint.post("/sign-out")
def sign_out() -> Answer:
    return signing.take(redirect(url_for("people.sign_in"), 303))


# -- links that work once -----------------------------------------------------------------------


def _new_password_field(error: Refused | None, label: str) -> Field:
    return Field(
        name="password",
        label=label,
        type="password",
        width="long",
        hint=_("At least 12 characters. A few words in a row, with spaces, are fine."),
        error=_errors(error).get("password"),
        autocomplete="new-password",
        required=True,
    )


@blueprint.route("/set-up/<token>", methods=["GET", "POST"])
def set_up(token: str) -> Answer:
    """The first person: owner of this installation."""
    typed = {name: request.form.get(name, "") for name in ("name", "email", "password")}
    try:
        if request.method != "POST":
            acting.can_set_up(house().services, token, at())
            return _form_page(_set_up_form(token, typed))
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
        return _form_page(_set_up_form(token, typed, error), 422)
    return _in_by_link(new, url_for("maintenance.page"))


def _in_by_link(new: str, to: str) -> Response:
    found = signing_in.signed_in(house().services, new, at(), attended=False)
    assert found is not None
    old = signing.token()
    if old:
        signing_in.sign_out(house().services, old, at())
    return signing.bring(redirect(to, 303), new, found.user.id, found.user.locale)


def _set_up_form(token: str, typed: dict[str, str], error: Refused | None = None) -> Form:
    errors = _errors(error)
    app = house().settings.app_name
    return Form(
        action="set-up",
        title=_("Set up %(app)s", app=app),
        intro=_(
            "You are the first. You become the owner: you create administrations, connect the"
            " service that reaches the banks, and invite colleagues."
        ),
        url=url_for("people.set_up", token=token),
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
            _new_password_field(error, _("Password")),
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
            return _form_page(_password_form(token, about))
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
            return redirect(url_for("people.password", token=token), 303)
        if error.field is None:
            return _dead(error)
        return _form_page(_password_form(token, about, error), 422)
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
        url=url_for("people.password", token=token),
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
            _new_password_field(error, _("New password")),
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
                url=url_for("people.sign_in", next=url_for("people.password", token=token)),
            ),
            incident=None,
        )
        return page, status
    error = None
    if who.email != about.link.email:
        error = refusal(Refused("link_for_other", email=about.link.email))
    return _form_page(
        Form(
            action="join",
            title=title,
            intro=_invited(about),
            url=url_for("people.join", token=token),
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


# -- one's own account --------------------------------------------------------------------------


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


@blueprint.get("/account")
def account() -> Answer:
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
        url=url_for("people.save_account"),
        version=0,
        fields=(
            Field(
                name="name",
                label=_("Your name"),
                type="text",
                value=typed.get("name", me.name),
                width="long",
                hint=_("Colleagues see it in the history of what you do."),
                error=_errors(error).get("name"),
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
        url=url_for("people.save_password"),
        version=0,
        fields=(
            Field(
                name="current",
                label=_("Present password"),
                type="password",
                width="long",
                error=_errors(error).get("current"),
                autocomplete="current-password",
                required=True,
            ),
            _new_password_field(error, _("New password")),
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
            url=url_for("people.end_session", session_id=each.id),
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


@blueprint.post("/account")
def save_account() -> Answer:
    typed = {name: request.form.get(name, "") for name in ("name", "locale")}
    if typed["locale"] not in LOCALES:
        abort(400)
    try:
        acting.change_account(house().services, person().id, **typed)
    except Refused as error:
        return _account_page(422, typed, error)
    session["locale"] = g.locale = typed["locale"]
    session.permanent = True
    say("ok", _("Saved."))
    return redirect(url_for("people.account"), 303)


@blueprint.post("/account/password")
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
            return _too_many(error, _own_password_form(None))
        return _account_page(422, error=error)
    answer = signing.bring(redirect(url_for("people.account"), 303), new, me.id)
    say("ok", _("Password changed. You are signed out everywhere else."))
    return answer


@blueprint.post("/account/sessions/<int:session_id>/end")
def end_session(session_id: int) -> Answer:
    try:
        signing_in.end_session(house().services, person().id, session_id, at())
    except Missing:
        abort(404)
    say("ok", _("Signed out there."))
    return redirect(url_for("people.account"), 303)


# -- who works in an administration -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    id: int
    name: str
    email: str
    role: str
    you: bool
    out: bool = False  # shut out of everything by the owner; the role is kept
    buttons: tuple[Button, ...] = ()
    form: Form | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationView:
    id: int
    name: str
    email: str
    role: str
    until: str
    withdraw: Button


@blueprint.get("/administrations/<int:administration_id>/people")
def members(administration_id: int) -> Answer:
    return _members_page(administration_id, request.args.get("open"))


def _people_url(administration_id: int, **more: object) -> str:
    return url_for(
        "people.members",
        administration_id=administration_id,
        **more,  # type: ignore[arg-type]
    )


def _members_page(
    administration_id: int,
    opened: str | None = None,
    *,
    typed: dict[str, str] | None = None,
    error: Refused | None = None,
    fresh: tuple[OneTimeLink, str] | None = None,
    status: int = 200,
) -> tuple[str, int]:
    """`opened`: invite, role-7 or remove-7, whose form is open. `fresh`: a link just made, shown
    this once."""
    may = g.get("role") == "administrator"
    if opened and not may:
        abort(403)
    with house().services.store.read() as session_:
        administration = my_administration(session_, administration_id)
        found = acting.members(session_, administration_id)
        open_links = acting.invitations(session_, administration_id, at()) if may else []
    views = tuple(_member_view(administration, each, may, opened, error) for each in found)
    page = render_template(
        "people/members.html",
        administration=administration.name,
        back=Link(
            label=_("Back to the list"),
            url=url_for("maintenance.page", administration=administration_id),
        ),
        notice=said(),
        members=views,
        may=may,
        invite=_invite_form(administration_id, typed or {}, error)
        if may and opened == "invite"
        else None,
        invite_link=Button(
            action="invite",
            label=_("Invite a colleague"),
            name=_("Invite a colleague"),
            method="get",
            url=_people_url(administration_id, open="invite"),
        )
        if may
        else None,
        invitations=[_invitation_view(administration_id, each) for each in open_links],
        fresh=None
        if fresh is None
        else {
            "name": fresh[0].name,
            "url": house().settings.origin + url_for("people.password", token=fresh[1]),
            "until": moment(fresh[0].expires_at),
        },
    )
    return page, status


def _member_view(
    administration: Administration,
    member: Member,
    may: bool,
    opened: str | None,
    error: Refused | None,
) -> MemberView:
    user = member.user
    form = None
    if opened == f"role-{user.id}":
        form = _role_form(administration, member, error)
    elif opened == f"remove-{user.id}":
        form = _remove_form(administration, member, error)

    def button(action: str, label: str) -> Button:
        return Button(
            action=action,
            label=label,
            name=_("%(action)s: %(title)s", action=label, title=user.name),
            method="get",
            url=_people_url(
                administration.id, open=f"{action}-{user.id}", _anchor=f"person-{user.id}"
            ),
        )

    return MemberView(
        id=user.id,
        name=user.name,
        email=user.email,
        role=_(ROLE_NAMES[member.role]),
        out=user.disabled_at is not None,
        you=user.id == person().id,
        buttons=(button("role", _("Change role")), button("remove", _("Remove"))) if may else (),
        form=form,
    )


def _cancel(administration_id: int, name: str) -> Button:
    return Button(
        action="cancel",
        label=_("Cancel"),
        name=name,
        method="get",
        url=_people_url(administration_id),
    )


def _role_field(chosen: str, error: str | None = None) -> Field:
    return Field(
        name="role",
        label=_("Role"),
        type="radio",
        error=error,
        choices=tuple(
            Choice(value=code, label=_(name), detail=_(_ROLE_DETAILS[code]), checked=code == chosen)
            for code, name in ROLE_NAMES.items()
        ),
    )


def _role_form(administration: Administration, member: Member, error: Refused | None) -> Form:
    you = member.user.id == person().id
    return Form(
        action="role",
        title=_("Change role – %(title)s", title=member.user.name),
        intro=_(
            "This is you. Once you are no longer administrator you cannot change that back"
            " yourself."
        )
        if you
        else None,
        url=url_for(
            "people.change_role", administration_id=administration.id, user_id=member.user.id
        ),
        version=0,
        fields=(_role_field(member.role, _errors(error).get("role")),),
        hidden=(("seen", member.role),),
        submit=_("Change role"),
        error=refusal(error) if error and error.field is None else None,
        cancel=_cancel(administration.id, _("Cancel: %(title)s", title=member.user.name)),
    )


def _remove_form(administration: Administration, member: Member, error: Refused | None) -> Form:
    you = member.user.id == person().id
    names = {"name": member.user.name, "administration": administration.name}
    return Form(
        action="remove",
        title=_("Remove – %(title)s", title=member.user.name),
        intro=_(
            "This is you. You no longer see %(administration)s and cannot let yourself back in."
            " What you did stays in the history.",
            administration=administration.name,
        )
        if you
        else _(
            "%(name)s no longer sees %(administration)s, from the next click on. What %(name)s did"
            " stays in the history, and permissions at banks stay as they are.",
            **names,
        ),
        url=url_for("people.remove", administration_id=administration.id, user_id=member.user.id),
        version=0,
        fields=(),
        submit=_("Remove"),
        error=refusal(error) if error else None,
        cancel=_cancel(administration.id, _("Cancel: %(title)s", title=member.user.name)),
    )


def _invite_form(administration_id: int, typed: dict[str, str], error: Refused | None) -> Form:
    errors = _errors(error)
    return Form(
        action="invite",
        title=_("Invite a colleague"),
        intro=_(
            "%(app)s sends no mail yet. You get a link that works once, and hand it over yourself.",
            app=house().settings.app_name,
        ),
        url=url_for("people.invite", administration_id=administration_id),
        version=0,
        fields=(
            Field(
                name="name",
                label=_("Name"),
                type="text",
                value=typed.get("name", ""),
                width="long",
                error=errors.get("name"),
                required=True,
            ),
            Field(
                name="email",
                label=_("E-mail address"),
                type="email",
                value=typed.get("email", ""),
                width="long",
                error=errors.get("email"),
                required=True,
            ),
            _role_field(typed.get("role") or "bookkeeper", errors.get("role")),
        ),
        submit=_("Make a link"),
        cancel=_cancel(administration_id, _("Cancel: %(title)s", title=_("Invite a colleague"))),
    )


def _invitation_view(administration_id: int, link: OneTimeLink) -> InvitationView:
    return InvitationView(
        id=link.id,
        name=link.name or "",
        email=link.email or "",
        role=_(ROLE_NAMES[link.role or "reader"]),
        until=moment(link.expires_at),
        withdraw=Button(
            action="withdraw",
            label=_("Withdraw"),
            name=_("%(action)s: %(title)s", action=_("Withdraw"), title=link.name),
            method="post",
            url=url_for("people.withdraw", administration_id=administration_id, link_id=link.id),
        ),
    )


@blueprint.post("/administrations/<int:administration_id>/people")
def invite(administration_id: int) -> Answer:
    """Answers with the link itself: it is kept hashed, so it can be read this once."""
    typed = {name: request.form.get(name, "") for name in ("name", "email", "role")}
    try:
        token = acting.invite(
            house().services,
            administration_id,
            at(),
            **typed,
            actor=person().name,
            actor_id=person().id,
        )
    except Refused as error:
        return _members_page(administration_id, "invite", typed=typed, error=error, status=422)
    with house().services.store.read() as session_:
        made = _link_of(session_, token)
    return _members_page(administration_id, fresh=(made, token))


def _link_of(session_: Session, token: str) -> OneTimeLink:
    return session_.scalars(
        select(OneTimeLink).where(OneTimeLink.token_hash == signing_in.digest(token))
    ).one()


@blueprint.post(
    "/administrations/<int:administration_id>/people/invitations/<int:link_id>/withdraw"
)
def withdraw(administration_id: int, link_id: int) -> Answer:
    try:
        acting.withdraw(house().services, administration_id, link_id)
    except Missing:
        abort(404)
    say("ok", _("Withdrawn; the link no longer works."))
    return redirect(_people_url(administration_id), 303)


@blueprint.post("/administrations/<int:administration_id>/people/<int:user_id>/role")
def change_role(administration_id: int, user_id: int) -> Answer:
    """`seen` is the role the person saw, `undo` that this takes a change back."""
    role = request.form.get("role", "")
    try:
        was = acting.change_role(
            house().services, administration_id, user_id, role=role, seen=request.form.get("seen")
        )
    except Missing:
        abort(404)
    except Stale:
        say("error", _("The role has been changed meanwhile, so it was left as it is."))
    except Refused as error:
        return _members_page(administration_id, f"role-{user_id}", error=error, status=422)
    else:
        if request.form.get("undo"):
            say("ok", _("The role is as it was."))
        else:
            say("ok", _("Role changed."), _undo_role(administration_id, user_id, was, role))
    return redirect(_people_url(administration_id), 303)


def _undo_role(administration_id: int, user_id: int, was: str, role: str) -> Button | None:
    """None where nothing changed, and for who could no longer press it."""
    if was == role or user_id == person().id:
        return None
    with house().services.store.read() as session_:
        name = session_.get_one(User, user_id).name
    return Button(
        action="undo",
        label=_("Undo"),
        name=_("Undo: make %(name)s %(role)s again", name=name, role=_(ROLE_NAMES[was]).lower()),
        method="post",
        url=url_for("people.change_role", administration_id=administration_id, user_id=user_id),
        fields=(("role", was), ("seen", role), ("undo", "1")),
    )


@blueprint.post("/administrations/<int:administration_id>/people/<int:user_id>/remove")
def remove(administration_id: int, user_id: int) -> Answer:
    try:
        acting.remove_member(house().services, administration_id, user_id)
    except Missing:
        abort(404)
    except Refused as error:
        return _members_page(administration_id, f"remove-{user_id}", error=error, status=422)
    if user_id == person().id:
        return redirect(url_for("maintenance.page"), 303)
    say("ok", _("Removed."))
    return redirect(_people_url(administration_id), 303)
