"""The simulator's own words and dates, in the visitor's language."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from babel.dates import format_date, format_datetime
from flask import Flask, current_app, has_request_context, session

from banklink.translations import LOCALES, catalogue

from .clock import AMSTERDAM, business_day

DOMAIN = "simulator"


def locale() -> str:
    """The visitor's choice, else the configured default."""
    chosen = session.get("locale") if has_request_context() else None
    default: str = current_app.config["DEFAULT_LOCALE"]
    return chosen if chosen in LOCALES else default


def gettext(message: str, **values: Any) -> str:
    translated: str = catalogue(locale(), DOMAIN).ugettext(message)
    return translated % values if values else translated


def ngettext(singular: str, plural: str, n: int, **values: Any) -> str:
    translated: str = catalogue(locale(), DOMAIN).ungettext(singular, plural, n)
    return translated % {"num": n, **values}


_ = gettext


def day(value: date | datetime) -> str:
    """'14 november 2025'; a moment is shown as its day in Amsterdam."""
    if isinstance(value, datetime):
        value = business_day(value)
    return format_date(value, format="d MMMM y", locale=locale())


def moment(value: datetime) -> str:
    there = value.astimezone(AMSTERDAM)
    return format_datetime(there, format="d MMMM y HH:mm", locale=locale())


def grouped(iban: str) -> str:
    """In fours, with spaces that do not break over a line."""
    return "\u00a0".join(iban[i : i + 4] for i in range(0, len(iban), 4))


def install(app: Flask) -> None:
    environment = app.jinja_env
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: catalogue(locale(), DOMAIN).ugettext(message),
        lambda one, many, n: catalogue(locale(), DOMAIN).ungettext(one, many, n),
        newstyle=True,
    )
    environment.filters.update(
        day=day,
        isoday=lambda value: business_day(value).isoformat(),
        moment=moment,
        grouped=grouped,
    )
