"""The address people come back to from the provider."""

from __future__ import annotations

from flask import Blueprint, abort, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from banklink.actions.come_back import come_back
from banklink.core.texts import N_
from banklink.web.context import at, house
from banklink.web.i18n import _
from banklink.web.rows import row_address
from banklink.web.viewmodel import Link

blueprint = Blueprint("returned", __name__)

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
            "It does not come from the service you were sent to, so it was not used."
            " Nothing was changed. Start again from the list."
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
    if outcome.kind == "row":
        assert outcome.administration_id is not None and outcome.connection_id is not None
        return redirect(row_address(outcome.administration_id, outcome.connection_id), 303)
    what = outcome.kind if outcome.kind in _SAID else outcome.reason or "unknown"
    # This address works once: whoever changes the language is told the same at another one.
    g.stay = url_for("returned.said", what=what)
    return _page(what)


@blueprint.get("/returned/said/<what>")
def said(what: str) -> tuple[str, int]:
    """What a return was answered with, to be read again; says nothing of anybody."""
    if what not in _SAID:
        abort(404)
    return _page(what)


def _page(what: str) -> tuple[str, int]:
    status, tone, title, text = _SAID[what]
    page = render_template(
        "pages/message.html",
        tone=tone,
        title=_(title),
        text=_(text),
        back=Link(label=_("To the list"), url=url_for("maintenance.page"))
        if status >= 400
        else None,
        incident=None,
    )
    return page, status
