"""Everybody with an account here, for the owner: who is shut out, and who is let in again."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from banklink.actions import people as acting
from banklink.actions.people import Account
from banklink.actions.services import Missing, Refused
from banklink.core.texts import N_
from banklink.store.models import Administration
from banklink.web.context import at, house, person
from banklink.web.i18n import _, moment, ngettext
from banklink.web.said import said, say
from banklink.web.sections import settings_pages
from banklink.web.viewmodel import Button, Form

blueprint = Blueprint("everybody", __name__, url_prefix="/people")

Answer = Response | str | tuple[str, int]

REFUSALS: dict[str, str] = {
    "last_owner": N_(
        "This is the only owner of this installation; nobody could let anybody in again."
    ),
    "only_administrator": N_(
        "By now nobody else administers %(which)s. Read what would happen, and press again."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """One person in the list."""

    id: int
    name: str
    email: str
    you: bool
    owner: bool
    where: str
    out: str | None
    button: Button | None
    form: Form | None


@blueprint.get("")
def page() -> Answer:
    return _page(request.args.get("open"))


@blueprint.post("/<int:user_id>/shut-out")
def shut_out(user_id: int) -> Answer:
    try:
        name = acting.shut_out(
            house().services, user_id, at(), successor=person().id, takes_over=_seen()
        )
    except Missing:
        abort(404)
    except Refused as error:
        return _page(f"out-{user_id}", error), 422
    if user_id == person().id:
        return redirect(url_for("doors.sign_in"), 303)
    undo = Button(
        action="undo",
        label=_("Undo"),
        name=_("Undo: let %(name)s in again", name=name),
        method="post",
        url=url_for("everybody.let_in", user_id=user_id),
    )
    say("ok", _("%(name)s is shut out and signed out everywhere.", name=name), undo)
    return redirect(url_for("everybody.page", _anchor=f"person-{user_id}"), 303)


@blueprint.post("/<int:user_id>/let-in")
def let_in(user_id: int) -> Answer:
    try:
        name = acting.let_in(house().services, user_id)
    except Missing:
        abort(404)
    say("ok", _("%(name)s can sign in again, with the same roles as before.", name=name))
    return redirect(url_for("everybody.page", _anchor=f"person-{user_id}"), 303)


def _seen() -> frozenset[int]:
    """The administrations the owner was told they would take over."""
    parts = request.form.get("takes_over", "").split(",")
    return frozenset(int(each) for each in parts if each.isdecimal() and len(each) < 10)


def _page(opened: str | None, error: Refused | None = None) -> str:
    with house().services.store.read() as session:
        found = acting.everybody(session)
        alone = {
            each.user.id: acting.kept_by_nobody_else(session, each.user.id)
            for each in found
            if opened == f"out-{each.user.id}"
        }
    return render_template(
        "people/everybody.html",
        people=[_view(each, opened, alone.get(each.user.id, []), error) for each in found],
        pages=settings_pages(),
        notice=said(),
    )


def _view(
    each: Account, opened: str | None, alone: list[Administration], error: Refused | None
) -> AccountView:
    user = each.user
    out = user.disabled_at
    form = _form(each, alone, error) if opened == f"out-{user.id}" and out is None else None
    return AccountView(
        id=user.id,
        name=user.name,
        email=user.email,
        you=user.id == person().id,
        owner=user.is_owner,
        where=ngettext("%(n)s administration", "%(n)s administrations", each.administrations),
        out=_("Shut out since %(when)s", when=moment(out)) if out else None,
        button=None if form else _button(each),
        form=form,
    )


def _taking_over(books: list[Administration]) -> str:
    if not books:
        return ""
    which = ", ".join(each.name for each in books)
    return " " + _(
        "Nobody else administers %(which)s: you become administrator there.", which=which
    )


def _button(each: Account) -> Button:
    user = each.user
    out = user.disabled_at is not None
    label = _("Let in again") if out else _("Shut out")
    return Button(
        action="let-in" if out else "out",
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=user.name),
        method="post" if out else "get",
        url=url_for("everybody.let_in", user_id=user.id)
        if out
        else url_for("everybody.page", open=f"out-{user.id}", _anchor=f"person-{user.id}"),
    )


def _form(each: Account, alone: list[Administration], error: Refused | None) -> Form:
    user = each.user
    takes_over = alone if user.id != person().id else []
    return Form(
        action="shut-out",
        title=_("Shut out – %(name)s", name=user.name),
        intro=_(
            "This is you. You are signed out everywhere at once, and only another owner can let you"
            " in again."
        )
        if user.id == person().id
        else _(
            "%(name)s is signed out everywhere at once and can no longer sign in, in any"
            " administration; open invitations %(name)s made no longer work. Roles are kept, so"
            " that you can let %(name)s in again. What %(name)s did stays in the history, and"
            " permissions at banks stay as they are.",
            name=user.name,
        )
        + _taking_over(takes_over),
        hidden=(("takes_over", ",".join(str(each.id) for each in takes_over)),),
        url=url_for("everybody.shut_out", user_id=user.id),
        version=0,
        fields=(),
        submit=_("Shut out"),
        error=_(REFUSALS[error.code], **error.params) if error else None,
        cancel=Button(
            action="cancel",
            label=_("Cancel"),
            name=_("Cancel: %(title)s", title=user.name),
            method="get",
            url=url_for("everybody.page"),
        ),
    )
