"""The address people come back to from the provider."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from banklink.actions.come_back import come_back
from banklink.core.texts import N_
from banklink.web.context import at, house
from banklink.web.i18n import _
from banklink.web.rows import row_address
from banklink.web.viewmodel import Link

blueprint = Blueprint("returned", __name__)

_REASONS: dict[str, tuple[int, str, str]] = {
    "unknown": (
        400,
        N_("This link is not ours"),
        N_(
            "It does not belong to a step that was started here. Nothing was changed."
            " Start again from the list."
        ),
    ),
    "used": (
        400,
        N_("This link was already used"),
        N_("It works once, and that has happened. Look in the list how things stand now."),
    ),
    "expired": (
        400,
        N_("This link has expired"),
        N_("It was valid for an hour. Nothing was changed. Start again from the list."),
    ),
    "issuer": (
        400,
        N_("This answer comes from elsewhere"),
        N_(
            "It does not come from the service you were sent to, so it was not used."
            " Nothing was changed. Start again from the list."
        ),
    ),
    "incomplete": (
        400,
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
    if outcome.kind == "ended":
        page = render_template(
            "pages/message.html",
            tone="info",
            title=_("Nothing to finish here"),
            text=_(
                "You may close this window. The row in the browser in which you started"
                " says how it ended."
            ),
            back=None,
            incident=None,
        )
        return page, 200
    if outcome.kind == "elsewhere":
        page = render_template(
            "pages/message.html",
            tone="ok",
            title=_("Almost done"),
            text=_(
                "You may close this window. Go back to the browser in which you started"
                " and press Finish in the row."
            ),
            back=None,
            incident=None,
        )
        return page, 200
    status, title, text = _REASONS[outcome.reason or "unknown"]
    page = render_template(
        "pages/message.html",
        tone="error",
        title=_(title),
        text=_(text),
        back=Link(label=_("To the list"), url=url_for("maintenance.page")),
        incident=None,
    )
    return page, status
