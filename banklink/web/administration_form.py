"""The form of an administration: a new one, on its own page or in the guide, and its settings."""

from __future__ import annotations

from datetime import date

from flask import url_for

from banklink.actions.administrations import Typed
from banklink.actions.services import Refused
from banklink.core.calendar import FIRST_DAY
from banklink.core.texts import N_
from banklink.web.context import at
from banklink.web.i18n import _
from banklink.web.viewmodel import Field, Form

REFUSALS: dict[str, str] = {
    "administration_name_missing": N_("Fill in the name of the firm or foundation."),
    "administration_name_long": N_("This name is too long; at most 100 characters."),
    "administration_name_taken": N_("You already have an administration with this name."),
    "not_a_date": N_("That is not a date. Write it as year-month-day, for instance 2025-04-01."),
    "year_unlikely": N_(
        "%(year)s is surely not the year you mean. Choose a day in the years %(first)s through"
        " %(last)s."
    ),
    "lock_future": N_("Choose today or an earlier day; days still to come cannot be locked."),
}


def new_form(typed: Typed | None, error: Refused | None, *, start: bool = False) -> Form:
    typed = typed or Typed("", date(at().today.year, 1, 1).isoformat(), "")
    return Form(
        action="create",
        title=_("Your administration") if start else _("New administration"),
        intro=_("The books of one firm. Everything here can be changed later."),
        url=url_for("books.create"),
        version=0,
        fields=fields(typed, error),
        submit=_("Make administration"),
        hidden=(("from", "start"),) if start else (),
    )


def fields(typed: Typed, error: Refused | None) -> tuple[Field, ...]:
    said_of = {error.field: _(REFUSALS[error.code], **error.params)} if error else {}
    return (
        Field(
            name="name",
            label=_("Name"),
            type="text",
            value=typed.name,
            width="long",
            required=True,
            error=said_of.get("name"),
        ),
        Field(
            name="fiscal_year_start",
            label=_("Fiscal year start"),
            type="date",
            value=typed.fiscal_year_start,
            minimum=FIRST_DAY.isoformat(),
            required=True,
            hint=_("From here transactions are proposed when a journal says nothing else."),
            error=said_of.get("fiscal_year_start"),
        ),
        Field(
            name="lock_date",
            label=_("Locked through (optional)"),
            type="date",
            value=typed.lock_date,
            minimum=FIRST_DAY.isoformat(),
            maximum=at().today.isoformat(),
            hint=_("The last day of which nothing in your books may change any more."),
            error=said_of.get("lock_date"),
        ),
    )
