"""The reader's language: which one, its sentences, its dates and amounts."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal
from flask import g

from banklink.core.calendar import AMSTERDAM, amsterdam_day
from banklink.core.money import to_decimal
from banklink.translations import DEFAULT_LOCALE, catalogue

_LOCALE: ContextVar[str] = ContextVar("locale", default=DEFAULT_LOCALE)


def locale() -> str:
    return _LOCALE.get()


def speak(where: str) -> None:
    """From here on in this request; the next one begins anew. A page asks hundreds of times."""
    g.locale = where
    _LOCALE.set(where)


def fall_silent(_error: BaseException | None = None) -> None:
    _LOCALE.set(DEFAULT_LOCALE)


def gettext(message: str, **params: object) -> str:
    """`message` in the reader's language; `%(name)s` is filled in when params are given."""
    text = _sentence(message, locale())
    return text % params if params else text


@lru_cache(maxsize=8192)
def _sentence(message: str, where: str) -> str:
    return catalogue(where).gettext(message)


def ngettext(singular: str, plural: str, n: int, **params: object) -> str:
    text = catalogue(locale()).ngettext(singular, plural, n)
    return text % {"n": number(n), **params}


_ = gettext


def number(value: int) -> str:
    return _number(value, locale())


@lru_cache(maxsize=4096)
def _number(value: int, where: str) -> str:
    return format_decimal(value, locale=where)


def money(minor: int, currency: str) -> str:
    return _money(minor, currency, locale())


@lru_cache(maxsize=4096)
def _money(minor: int, currency: str, where: str) -> str:
    return format_currency(to_decimal(minor, currency), currency, locale=where)


def amount(value: Decimal, currency: str) -> str:
    return format_currency(value, currency, locale=locale())


def day(value: date) -> str:
    """2 mei 2025."""
    return _day(value, locale())


@lru_cache(maxsize=4096)
def _day(value: date, where: str) -> str:
    return format_date(value, "d MMM y", locale=where)


def day_of(instant: datetime) -> str:
    return day(amsterdam_day(instant))


def clock_time(instant: datetime) -> str:
    """14:03, in Amsterdam."""
    return _clock_time(instant.astimezone(AMSTERDAM).time(), locale())


@lru_cache(maxsize=4096)
def _clock_time(value: time, where: str) -> str:
    return format_time(value, "HH:mm", locale=where)


def moment(instant: datetime) -> str:
    """2 mei 2025 14:03, in Amsterdam."""
    return f"{day_of(instant)} {clock_time(instant)}"


def when(instant: datetime, today: date) -> str:
    """The time alone today, else the day with the time: by its name as long as that is clear."""
    days, hour = (today - amsterdam_day(instant)).days, clock_time(instant)
    if days == 0:
        return hour
    if days == 1:
        return _("yesterday %(time)s", time=hour)
    if 1 < days < 7:
        weekday = format_date(amsterdam_day(instant), "EEEE", locale=locale())
        return f"{weekday} {hour}"
    return moment(instant)


def soon(instant: datetime, now: datetime) -> str:
    """A moment to come: the time alone today and tonight, tomorrow by that name, else the day."""
    days = (amsterdam_day(instant) - amsterdam_day(now)).days
    if days <= 0 or instant - now < timedelta(hours=12):
        return clock_time(instant)
    if days == 1:
        return _("tomorrow %(time)s", time=clock_time(instant))
    return moment(instant)


def ago(instant: datetime, now: datetime) -> str:
    """How long ago in one unit, from a day on by days in Amsterdam; to come: the moment itself."""
    if instant > now:
        return moment(instant)
    days = (amsterdam_day(now) - amsterdam_day(instant)).days
    if days == 1:
        return _("yesterday")
    passed = timedelta(days=days) if days else now - instant
    if passed < timedelta(minutes=1):
        return _("just now")
    return format_timedelta(
        -passed, add_direction=True, threshold=2 if days else 1, locale=locale()
    )


@lru_cache(maxsize=4096)
def iban(value: str) -> str:
    """Groups of four, held together by no-break spaces."""
    return "\u00a0".join(value[i : i + 4] for i in range(0, len(value), 4))
