"""What the pages about people have in common: the words for roles and refusals, the field for a new
password, and the answer to too many attempts."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import render_template

from banklink.actions.services import Refused
from banklink.core.texts import N_
from banklink.web.context import at, house
from banklink.web.i18n import _, clock_time, ngettext
from banklink.web.viewmodel import Field, Form, Notice

ROLE_NAMES: dict[str, str] = {
    "reader": N_("Reader"),
    "bookkeeper": N_("Bookkeeper"),
    "administrator": N_("Administrator"),
}
ROLE_DETAILS: dict[str, str] = {
    "reader": N_("Sees everything and changes nothing."),
    "bookkeeper": N_("Connects, renews, switches on and off, and looks after the journals."),
    "administrator": N_("Does all that, and decides who works here."),
}

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


def refusal(error: Refused) -> str:
    params = {"app": house().settings.app_name, **error.params}
    return _(REFUSALS[error.code], **params)


def errors_by_field(error: Refused | None) -> dict[str, str]:
    return {error.field: refusal(error)} if error is not None and error.field else {}


def form_page(form: Form, status: int = 200, notice: Notice | None = None) -> tuple[str, int]:
    return render_template("people/form.html", form=form, notice=notice), status


def new_password_field(error: Refused | None, label: str) -> Field:
    return Field(
        name="password",
        label=label,
        type="password",
        width="long",
        hint=_("At least 12 characters. A few words in a row, with spaces, are fine."),
        error=errors_by_field(error).get("password"),
        autocomplete="new-password",
        required=True,
    )


def too_many(error: Refused, form: Form) -> tuple[str, int, dict[str, str]]:
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
