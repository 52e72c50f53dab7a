"""The address people come back to from the provider."""

from __future__ import annotations

from dataclasses import astuple

from flask import Blueprint, abort, g, redirect, render_template, request, session, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from banklink.actions.come_back import Issuers, come_back
from banklink.core.texts import N_
from banklink.store.models import User
from banklink.web.context import at, house
from banklink.web.i18n import _
from banklink.web.landing import elsewhere, not_used
from banklink.web.rows import row_address
from banklink.web.viewmodel import Link

blueprint = Blueprint("returned", __name__)

_MOST = 200
"""Characters of an issuer that are shown; a cookie keeps them while somebody reads."""

_SAID: dict[str, tuple[int, str, str, str]] = {
    "ended": (
        200,
        "info",
        N_("Nothing to finish here"),
        N_(
            "You may close this window. The row in the browser in which you started"
            " says how it ended."
        ),
    ),
    "elsewhere": (
        200,
        "ok",
        N_("Almost done"),
        N_(
            "You may close this window. Go back to the browser in which you started"
            " and press Finish in the row."
        ),
    ),
    "unknown": (
        400,
        "error",
        N_("This link is not ours"),
        N_(
            "It does not belong to a step that was started here. Nothing was changed."
            " Start again from the list."
        ),
    ),
    "used": (
        400,
        "error",
        N_("This link was already used"),
        N_("It works once, and that has happened. Look in the list how things stand now."),
    ),
    "expired": (
        400,
        "error",
        N_("This link has expired"),
        N_("It was valid for an hour. Nothing was changed. Start again from the list."),
    ),
    "issuer": (
        400,
        "error",
        N_("This answer comes from elsewhere"),
        N_(
            "It does not come from the service you were sent to, as far as can be seen, so it was"
            " not used. Nothing was changed."
        ),
    ),
    "incomplete": (
        400,
        "error",
        N_("This answer is incomplete"),
        N_("A part of it got lost on the way. Nothing was changed. Start again from the list."),
    ),
}


@blueprint.get("/returned/ponto")
def ponto() -> Response | tuple[str, int]:
    """A GET that writes, as OAuth wants it; safe to repeat (come_back.py). Answers 303 to an
    address without code and state."""
    outcome = come_back(
        house().services, request.args.to_dict(), at(), browser=session.get("browser")
    )
    if outcome.invited is not None and outcome.kind == "row":
        session["returned"] = outcome.invited
        return redirect(url_for("landing.thanks"), 303)
    if outcome.invited is not None and outcome.kind == "refused":
        return not_used(outcome.reason or "")
    if outcome.invited is not None and outcome.kind in ("elsewhere", "ended"):
        return elsewhere(outcome.kind)
    if outcome.kind == "row":
        assert outcome.administration_id is not None and outcome.connection_id is not None
        return redirect(row_address(outcome.administration_id, outcome.connection_id), 303)
    what = outcome.kind if outcome.kind in _SAID else outcome.reason or "unknown"
    # This address works once: whoever changes the language is told the same at another one.
    g.stay = url_for("returned.said", what=what)
    if outcome.issuers is not None:
        session["issuers"] = [each[:_MOST] if each else each for each in astuple(outcome.issuers)]
    return _page(what)


@blueprint.get("/returned/said/<what>")
def said(what: str) -> tuple[str, int]:
    """What a return was answered with, to be read again; says nothing of anybody else."""
    if what not in _SAID:
        abort(404)
    return _page(what)


def _why(issuers: Issuers) -> str:
    """What the service called itself and what is set, so that the difference can be seen."""
    if issuers.named is None:
        return _(
            "The service did not say who it is, while “%(expected)s” is set as its issuer. For a"
            " service that names none, that setting stays empty.",
            expected=issuers.expected or "",
        )
    if issuers.expected is None:
        return _(
            "The service calls itself “%(named)s”. No issuer is set, and this is another server"
            " than the one people are sent to: “%(address)s”.",
            named=issuers.named,
            address=issuers.address,
        )
    said = _(
        "The service calls itself “%(named)s”, while “%(expected)s” is set as its issuer. They must"
        " be the same to the letter.",
        named=issuers.named,
        expected=issuers.expected,
    )
    if issuers.named.rstrip("/") == issuers.expected.rstrip("/"):
        said += " " + _("The difference is the slash at the end.")
    return said


def _what_to_do() -> tuple[str, ...]:
    person = g.get("person")
    if person is None:
        return (_("Tell this to the one who sent you here."),)
    if person.is_owner:
        whom = _(
            "Look up in the service's documentation what it calls itself. Is that the name above,"
            " then put it under Issuer; if not, leave everything as it is."
        )
    else:
        with house().services.store.read() as session_:
            owners = session_.scalars(
                select(User.name)
                .where(User.is_owner, User.disabled_at.is_(None))
                .order_by(User.name)
            ).all()
        whom = _(
            "Only the owner of this installation can look at that setting: %(names)s.",
            names=", ".join(owners),
        )
    return whom, _(
        "The row may go on saying for a quarter of an hour that a step is under way; you can start"
        " again from the list at once."
    )


def _page(what: str) -> tuple[str, int]:
    status, tone, title, text = _SAID[what]
    more: tuple[str, ...] = ()
    settings = None
    if what == "issuer":
        kept = session.get("issuers")
        more = (*((_why(Issuers(*kept)),) if kept else ()), *_what_to_do())
        if g.get("person") is not None and g.person.is_owner:
            label = _("Settings of %(provider)s", provider=house().settings.provider_name)
            settings = Link(label=label, url=url_for("provider.page"))
    page = render_template(
        "pages/message.html",
        tone=tone,
        title=_(title),
        text=_(text),
        more=more,
        settings=settings,
        back=Link(label=_("To the list"), url=url_for("maintenance.page"))
        if status >= 400
        else None,
        incident=None,
    )
    return page, status
