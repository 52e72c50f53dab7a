"""Administrations: the list, a new one, and the settings of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import administrations
from banklink.actions.administrations import Concerned, Typed
from banklink.actions.services import Refused, Stale
from banklink.store.models import Administration, Connection, Journal, Membership
from banklink.web.administration_form import fields, new_form
from banklink.web.context import at, house, my_administration, my_administrations, person
from banklink.web.i18n import _, day, iban, ngettext, number
from banklink.web.said import said, say
from banklink.web.sections import settings_pages
from banklink.web.start import guide
from banklink.web.viewmodel import Button, Form

blueprint = Blueprint("books", __name__)

Answer = BaseResponse | str | tuple[str, int]
_NAMED = 5


@dataclass(frozen=True, slots=True)
class BookView:
    """One administration in the list."""

    name: str
    detail: str
    open: str
    settings: str | None


@blueprint.get("/books")
def page() -> Answer:
    return _page(None, None)


def _page(typed: Typed | None, error: Refused | None) -> str:
    with house().services.store.read() as session:
        mine = tuple(_book(session, each) for each in my_administrations(session))
    owner = person().is_owner
    return render_template(
        "books/list.html",
        books=mine,
        form=new_form(typed, error) if owner else None,
        pages=settings_pages(),
        notice=said(),
    )


def _book(session: Session, administration: Administration) -> BookView:
    number = administration.id
    administers = (
        session.scalar(
            select(Membership.role).where(
                Membership.user_id == person().id, Membership.administration_id == number
            )
        )
        == "administrator"
    )
    journals = session.scalar(
        select(func.count(Journal.id)).where(Journal.administration_id == number)
    )
    on = session.scalar(
        select(func.count(Connection.id)).where(
            Connection.administration_id == number, Connection.switch == "on"
        )
    )
    parts = [
        ngettext("%(n)s journal", "%(n)s journals", journals or 0),
        ngettext("%(n)s link switched on", "%(n)s links switched on", on or 0),
    ]
    return BookView(
        name=administration.name,
        detail=" · ".join(parts),
        open=url_for("maintenance.page", administration=number),
        settings=url_for("books.settings", administration_id=number) if administers else None,
    )


@blueprint.post("/books")
def create() -> Answer:
    typed = _typed()
    try:
        number = administrations.begin(house().services, at(), typed=typed, user_id=person().id)
    except Refused as error:
        if request.form.get("from") == "start":
            return guide(new_form(typed, error, start=True)), 422
        return _page(typed, error), 422
    say("ok", _("%(name)s has been made.", name=typed.name.strip()))
    return redirect(url_for("start.page", administration=number), 303)


@blueprint.get("/administrations/<int:administration_id>/settings")
def settings(administration_id: int) -> Answer:
    return _settings(administration_id)


@blueprint.post("/administrations/<int:administration_id>/settings")
def change(administration_id: int) -> Answer:
    typed = _typed()
    seen = Typed(*(request.form.get(f"was_{name}", "") for name in Typed.__dataclass_fields__))
    try:
        unseen = _unconfirmed(administration_id, typed, seen)
        if unseen is not None:
            return _settings(administration_id, typed=typed, confirm=unseen)
        administrations.change(
            house().services, administration_id, at(), typed=typed, seen=seen, user_id=person().id
        )
    except Refused as error:
        return _settings(administration_id, typed=typed, error=error), 422
    except Stale:
        return _settings(administration_id, typed=typed, seen=seen), 409
    say("ok", _("Saved."))
    return redirect(url_for("books.settings", administration_id=administration_id), 303)


def _unconfirmed(administration_id: int, typed: Typed, seen: Typed) -> date | None:
    """The lock date, when it touches links the person has not been told of. Raises Refused."""
    lock = administrations.checked_lock(typed.lock_date, at())
    if lock is None or lock.isoformat() in request.form.getlist("confirmed"):
        return None
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        if lock == administration.lock_date or administrations.as_typed(administration) != seen:
            return None
        return lock if administrations.concerned(session, administration_id, lock) else None


@blueprint.get("/administrations/<int:administration_id>/settings/consequence")
def consequence(administration_id: int) -> Answer:
    """What the lock date typed so far would do, while it is being typed."""
    try:
        lock = administrations.checked_lock(request.args.get("lock_date", ""), at())
    except Refused:
        return ""
    with house().services.store.read() as session:
        return render_template(
            "books/_consequence.html",
            said=_lock_consequence(session, administration_id, lock),
            confirmed=lock.isoformat() if lock else None,
        )


def _settings(
    administration_id: int,
    *,
    typed: Typed | None = None,
    error: Refused | None = None,
    seen: Typed | None = None,
    confirm: date | None = None,
) -> str:
    """`seen`: what the person had before them when someone else was first. `confirm`: the lock date
    whose consequence is to be confirmed."""
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        now = administrations.as_typed(administration)
        lock = confirm or administration.lock_date
        told = " ".join(_lock_consequence(session, administration_id, lock))
    if confirm:
        told = _("Nothing is saved yet.") + " " + told
    form = Form(
        action="settings",
        title=_("Settings of this administration"),
        url=url_for("books.change", administration_id=administration_id),
        version=0,
        fields=fields(typed or now, error),
        submit=_("Save all the same") if confirm else _("Save"),
        error=_changed_meanwhile(seen, now) if seen else None,
        preview=url_for("books.consequence", administration_id=administration_id),
        preview_text=told,
        hidden=(
            *((f"was_{name}", getattr(now, name)) for name in Typed.__dataclass_fields__),
            *((("confirmed", confirm.isoformat()),) if confirm else ()),
        ),
        cancel=Button(
            action="cancel",
            label=_("Cancel"),
            name=_("Cancel"),
            method="get",
            url=url_for("maintenance.page", administration=administration_id),
        ),
    )
    return render_template(
        "books/settings.html",
        administration=administration.name,
        form=form,
        pages=settings_pages(),
        notice=said(),
    )


def _lock_consequence(session: Session, administration_id: int, lock: date | None) -> list[str]:
    """What locking does, in sentences that are true for these books."""
    if lock is None:
        return [
            _(
                "With a lock date no link can start before the day after it. What has been fetched"
                " stays, and links that already run go on."
            )
        ]
    told = [
        _(
            "Locked through %(date)s: no link can start on or before that day. What has been"
            " fetched stays.",
            date=day(lock),
        )
    ]
    found = administrations.concerned(session, administration_id, lock)
    running = [each for each in found if not each.waits]
    waiting = [each for each in found if each.waits]
    if running:
        told.append(
            ngettext(
                "%(n)s link that already started earlier goes on as it was: %(which)s.",
                "%(n)s links that already started earlier go on as they were: %(which)s.",
                len(running),
                which=_which(running),
            )
        )
    if waiting:
        told.append(
            ngettext(
                "%(n)s link that waits for the bank starts on %(first)s instead: %(which)s.",
                "%(n)s links that wait for the bank start on %(first)s instead: %(which)s.",
                len(waiting),
                first=day(lock + timedelta(days=1)),
                which=_which(waiting),
            )
        )
    return told


def _which(found: list[Concerned]) -> str:
    """The first few by name; a firm may have hundreds."""
    names = [
        _("%(iban)s (from %(date)s)", iban=iban(each.iban), date=day(each.start))
        for each in found[:_NAMED]
    ]
    more = len(found) - _NAMED
    if more > 0:
        names.append(_("and %(n)s more", n=number(more)))
    return ", ".join(names)


def _changed_meanwhile(seen: Typed, now: Typed) -> str:
    words = {
        "name": _("Name"),
        "fiscal_year_start": _("Fiscal year start"),
        "lock_date": _("Locked through"),
    }
    parts = [
        _("%(field)s is now “%(value)s”", field=words[name], value=_shown(getattr(now, name)))
        for name in words
        if getattr(seen, name) != getattr(now, name)
    ]
    return _(
        "Someone else was first: %(what)s. What you typed is still here; save again to put it in"
        " its place.",
        what="; ".join(parts),
    )


def _shown(value: str) -> str:
    try:
        return day(date.fromisoformat(value))
    except ValueError:
        return value or "–"


def _typed() -> Typed:
    return Typed(*(request.form.get(name, "") for name in Typed.__dataclass_fields__))
