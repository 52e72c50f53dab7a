"""Where *No more reminders* in a mail leads. The address is signed and is all that is needed: who
reads that mail has no account here."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, session, url_for
from werkzeug.wrappers import Response

from banklink.actions import unsubscribe
from banklink.actions.services import Missing
from banklink.translations import LOCALES
from banklink.web.context import at, house
from banklink.web.i18n import _, speak
from banklink.web.people_words import form_page
from banklink.web.viewmodel import Form, Notice

blueprint = Blueprint("reminders", __name__)

Answer = Response | str | tuple[str, int]


@blueprint.before_request
def _stranger() -> None:
    """Whoever is signed in here as well: this page is about who got the mail."""
    g.person, g.bare = None, True


@blueprint.get("/reminders/<token>")
def page(token: str) -> Answer:
    """Changes nothing: mail scanners open links."""
    try:
        reader = unsubscribe.reader(house().services, token)
    except Missing:
        return _unknown()
    _in_their_language(reader)
    return form_page(_resume_form(token) if reader.stopped else _stop_form(token))


@blueprint.post("/reminders/<token>")
def stop(token: str) -> Answer:
    """Also pressed by mail programs (RFC 8058), which bring no cookie and no CSRF token, and do not
    follow a redirect. That check guards a browser's session against other sites; here no session
    counts, only the signed address, and whoever has that may do this anyway (factory.py)."""
    try:
        unsubscribe.stop(house().services, token, at())
        reader = unsubscribe.reader(house().services, token)
    except Missing:
        return _unknown()
    _in_their_language(reader)
    return form_page(
        _resume_form(token),
        notice=Notice(tone="ok", text=_("Done. You get no more reminders.")),
    )


@blueprint.post("/reminders/<token>/on")
def resume(token: str) -> Answer:
    try:
        unsubscribe.resume(house().services, token)
    except Missing:
        return _unknown()
    return redirect(url_for("reminders.page", token=token), 303)


def _in_their_language(reader: unsubscribe.Reader) -> None:
    if reader.locale in LOCALES and "locale" not in session:
        speak(reader.locale)


def _stop_form(token: str) -> Form:
    office = house().services.office
    return Form(
        action="stop-reminders",
        title=_("No more reminders?"),
        intro=_(
            "%(office)s then no longer mails you when your permission at the bank is about to end."
            " Once it ends, no transactions arrive any more. Your bookkeeper sees that, and that"
            " you want no reminders, and can still write to you in person. Your permission itself"
            " stays as it is.",
            office=office.name,
        ),
        url=url_for("reminders.stop", token=token),
        version=0,
        fields=(),
        submit=_("Stop the reminders"),
    )


def _resume_form(token: str) -> Form:
    return Form(
        action="resume-reminders",
        title=_("Reminders are off"),
        intro=_(
            "You get no mail any more when a permission at your bank is about to end. Your"
            " bookkeeper sees that, and can still write to you in person. Your permission itself"
            " is as it was. Changed your mind?"
        ),
        url=url_for("reminders.resume", token=token),
        version=0,
        fields=(),
        submit=_("Switch reminders on again"),
    )


def _unknown() -> tuple[str, int]:
    page_ = render_template(
        "pages/message.html",
        tone="todo",
        title=_("This link does not work"),
        text=_(
            "Perhaps a part of it got lost. Open it once more from the mail, or reply to that mail:"
            " then a person stops the reminders."
        ),
        back=None,
        incident=None,
    )
    return page_, 404
