"""Who works in an administration: invitations, roles, leaving."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from banklink.actions import people as acting
from banklink.actions import sign_in as signing_in
from banklink.actions.people import Member
from banklink.actions.services import Missing, Refused, Stale
from banklink.store.models import Administration, OneTimeLink, User
from banklink.web.context import at, house, my_administration, person
from banklink.web.i18n import _, moment
from banklink.web.people_words import ROLE_DETAILS, ROLE_NAMES, errors_by_field, refusal
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Choice, Field, Form, Link

blueprint = Blueprint(
    "people", __name__, url_prefix="/administrations/<int:administration_id>/people"
)

Answer = Response | str | tuple[str, int]


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


@blueprint.get("")
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
        back=_back(administration_id),
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
            "url": house().settings.origin + url_for("doors.password", token=fresh[1]),
            "until": moment(fresh[0].expires_at),
            "here_only": house().settings.here_only,
        },
    )
    return page, status


def _back(administration_id: int) -> Link:
    """To the guide for who came from there, else to the list."""
    if request.values.get("from") == "start":
        url = url_for("start.page", administration=administration_id)
        return Link(label=_("Go on setting up"), url=url)
    url = url_for("maintenance.page", administration=administration_id)
    return Link(label=_("Back to the list"), url=url)


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
            Choice(value=code, label=_(name), detail=_(ROLE_DETAILS[code]), checked=code == chosen)
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
        fields=(_role_field(member.role, errors_by_field(error).get("role")),),
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
    errors = errors_by_field(error)
    return Form(
        action="invite",
        title=_("Invite a colleague"),
        intro=_(
            "You get a link that works once, and hand it over yourself; %(app)s does not mail it.",
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
        hidden=(("from", "start"),) if request.values.get("from") == "start" else (),
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


@blueprint.post("")
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


@blueprint.post("/invitations/<int:link_id>/withdraw")
def withdraw(administration_id: int, link_id: int) -> Answer:
    try:
        acting.withdraw(house().services, administration_id, link_id)
    except Missing:
        abort(404)
    say("ok", _("Withdrawn; the link no longer works."))
    return redirect(_people_url(administration_id), 303)


@blueprint.post("/<int:user_id>/role")
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


@blueprint.post("/<int:user_id>/remove")
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
