"""Which days are there and whether the balance is right: the strip, the line, and a row for every
month that says the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from babel.dates import format_date
from flask import Blueprint, abort, render_template, request, url_for

from banklink.core.balance_line import Picture, Point, Stated, day_ends, picture
from banklink.core.timeline import Kind, Month, months
from banklink.store import days as stored
from banklink.store.facts import record
from banklink.store.models import Connection
from banklink.web.account_head import head, upload_address
from banklink.web.context import at, house, may_change, reader
from banklink.web.i18n import _, day, locale, money, ngettext
from banklink.web.said import said
from banklink.web.strip import in_words, strip_of
from banklink.web.viewmodel import Button, Link

blueprint = Blueprint("coverage", __name__, url_prefix="/connections/<int:connection_id>/coverage")

PAGE = 12
_DAY = timedelta(days=1)


@blueprint.get("")
def page(connection_id: int) -> str:
    """`until`: a month, as 2025-04; it and the eleven before it are told."""
    with house().services.store.read() as session:
        found = record(session, connection_id, at())
        if found is None:
            abort(404)
        connection = found.connection
        days = stored.days(session, connection, at().today)
        view: dict[str, Any] = {"strip": None, "months": (), "line": None, "alarms": ()}
        if days is not None:
            said_of = stored.stated(session, connection_id)
            view = _view(connection, days, said_of, _until(at().today))
            view["strip"] = strip_of(session, found, days)
        return render_template(
            "transactions/coverage.html",
            head=head(session, connection, "coverage"),
            notice=said(),
            fetch=_fetch(connection),
            **view,
        )


def _until(today: date) -> date:
    try:
        return min(date.fromisoformat(f"{request.args.get('until', '')}-01"), today)
    except ValueError:
        return today


def _fetch(connection: Connection) -> Button | None:
    """Asks the bank anew for what is missing; it gives what it can."""
    if connection.switch != "on" or not may_change() or not reader().voice.provider_ready:
        return None
    label = _("Fetch now")
    return Button(
        action="fetch",
        label=label,
        name=label,
        method="post",
        url=url_for("connections.fetch", connection_id=connection.id),
    )


def _view(
    connection: Connection, days: stored.Days, said_of: list[Stated], until: date
) -> dict[str, Any]:
    shown = months(days.known, until=until, most=PAGE)
    nets = {day: each.credit + each.debit for day, each in days.booked.items()}
    lines = day_ends(days.known.covered, nets, said_of)
    ends = dict(point for line in lines for point in line)
    alarms = [each for each in said_of if each.difference]
    drawn = None
    if shown:
        told = {*ends, *(each.on for each in said_of)}
        within = [each for each in told if shown[-1].first <= each <= shown[0].last]
        if within:
            drawn = picture(lines, said_of, first=min(within), last=max(within))
    return {
        "months": [_month(connection, each, days, ends, alarms) for each in shown],
        "pages": _pages(connection, days, shown),
        "line": _line(drawn, connection, ends) if drawn else None,
        "alarms": [_alarm(each, connection) for each in alarms],
        "missing": _missing(connection, shown, days),
    }


# -- months -------------------------------------------------------------------------------------


def _month(
    connection: Connection,
    month: Month,
    days: stored.Days,
    ends: dict[date, int],
    alarms: list[Stated],
) -> dict[str, Any]:
    booked = [days.booked[each.day] for each in month.cells if each.day in days.booked]
    count = sum(each.count for each in booked)
    last = min(month.last, days.known.today)
    end = max((each for each in ends if month.first <= each <= last), default=None)
    missing = month.missing
    currency = connection.currency
    told = bool(booked) or month.count(Kind.FETCHED, Kind.NOTHING) > 0
    return {
        "key": f"{month.first:%Y-%m}",
        "name": format_date(month.first, "LLLL y", locale=locale()),
        "cells": [(each.kind.value, each.waits, n) for n, each in enumerate(month.cells)],
        "says": _says(month, days),
        "missing": in_words(missing) if missing else None,
        "upload": upload_address(
            connection.id, missing[0][0].isoformat(), missing[-1][1].isoformat()
        )
        if missing
        else None,
        "count": ngettext("%(n)s transaction", "%(n)s transactions", count) if told else None,
        "url": _list_of(connection, month.first, month.last),
        "in": money(sum(each.credit for each in booked), currency) if told else "–",
        "out": money(sum(each.debit for each in booked), currency) if told else "–",
        "end": money(ends[end], currency) if end is not None else None,
        "end_day": day(end) if end is not None and end != month.last else None,
        "alarm": any(month.first <= each.on <= month.last for each in alarms),
    }


def _says(month: Month, days: stored.Days) -> list[tuple[str, str]]:
    """Each kind of day that the month has, counted."""
    counted = (
        ("fetched", month.count(Kind.FETCHED), _fetched),
        ("nothing", month.count(Kind.NOTHING), _empty),
        ("missing", month.count(Kind.MISSING), _lost),
        ("waiting", sum(days.waiting.get(each.day, 0) for each in month.cells), _waits),
        ("ahead", month.count(Kind.AHEAD), _ahead),
    )
    return [(kind, words(count)) for kind, count, words in counted if count]


def _fetched(n: int) -> str:
    return ngettext("%(n)s day with transactions", "%(n)s days with transactions", n)


def _empty(n: int) -> str:
    return ngettext("%(n)s day without", "%(n)s days without", n)


def _lost(n: int) -> str:
    return ngettext("%(n)s day missing", "%(n)s days missing", n)


def _waits(n: int) -> str:
    return ngettext("%(n)s transaction to decide", "%(n)s transactions to decide", n)


def _ahead(n: int) -> str:
    return ngettext("%(n)s day still to fetch", "%(n)s days still to fetch", n)


def _pages(connection: Connection, days: stored.Days, shown: Sequence[Month]) -> dict[str, Link]:
    if not shown:
        return {}

    def link(label: str, until: date) -> Link:
        month = f"{until:%Y-%m}"
        return Link(label=label, url=url_for(".page", connection_id=connection.id, until=month))

    pages = {}
    if shown[0].last < days.known.today:
        later = shown[0].first + timedelta(days=31 * PAGE)
        pages["previous"] = link(_("Later"), min(later, days.known.today))
    if shown[-1].first > days.known.start:
        pages["next"] = link(_("Earlier"), shown[-1].first - _DAY)
    return pages


def _missing(
    connection: Connection, shown: Sequence[Month], days: stored.Days
) -> dict[str, Any] | None:
    """All that is missing, whatever month is looked at."""
    known = days.known
    lost = [
        each for kind, each in known.stretches(known.start, known.today) if kind is Kind.MISSING
    ]
    if not lost:
        return None
    return {
        "text": _("Missing: %(periods)s", periods=in_words(lost)),
        "upload": upload_address(connection.id, lost[0][0].isoformat(), lost[-1][1].isoformat()),
    }


# -- the balance --------------------------------------------------------------------------------


def _now(newest: date, amount: str) -> str:
    if newest == at().today:
        return _("On %(date)s so far: %(amount)s", date=day(newest), amount=amount)
    return _("At the end of %(date)s: %(amount)s", date=day(newest), amount=amount)


def _line(drawn: Picture, connection: Connection, ends: dict[date, int]) -> dict[str, Any]:
    currency = connection.currency
    newest = max(ends) if ends else None

    def point(of: Point) -> str:
        return _("%(amount)s on %(date)s", amount=money(of[1], currency), date=day(of[0]))

    return {
        "width": drawn.width,
        "height": drawn.height,
        "paths": [" ".join(f"{x:g},{y:g}" for x, y in path) for path in drawn.paths],
        "marks": drawn.marks,
        "zero": drawn.zero,
        "top": money(drawn.highest[1], currency),
        "bottom": money(drawn.lowest[1], currency),
        "first": day(drawn.first),
        "last": day(drawn.last),
        "now": _now(newest, money(ends[newest], currency)) if newest is not None else None,
        "says": [
            _("Highest: %(what)s", what=point(drawn.highest)),
            _("Lowest: %(what)s", what=point(drawn.lowest)),
        ],
    }


def _alarm(each: Stated, connection: Connection) -> dict[str, str]:
    currency, difference = connection.currency, each.difference or 0
    names = {
        "date": day(each.on),
        "stated": money(each.amount, currency),
        "reckoned": money(each.amount - difference, currency),
        "difference": money(abs(difference), currency),
    }
    said = _(
        "At the end of %(date)s the bank says %(stated)s; with what was fetched it comes to"
        " %(reckoned)s, a difference of %(difference)s.",
        **names,
    )
    since = each.since
    where = (
        _(
            "Somewhere from %(first)s up to and including %(last)s.",
            first=day(since),
            last=day(each.on),
        )
        if since is not None and since < each.on
        else ""
    )
    return {
        "text": f"{said} {where}".strip(),
        "url": _list_of(connection, since or each.on, each.on),
    }


def _list_of(connection: Connection, first: date, last: date) -> str:
    """The transactions of these days."""
    days: dict[str, Any] = {"from": first.isoformat(), "to": last.isoformat()}
    return url_for("transactions.page", connection_id=connection.id, **days)
