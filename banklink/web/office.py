"""All administrations at once: what needs action where and what ends when, for an office that keeps
hundreds of them. Reads summary rows only (store/office.py)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import urlencode

from flask import (
    Blueprint,
    Response,
    make_response,
    render_template,
    request,
    stream_with_context,
    url_for,
)

from banklink.actions.summarise import rewrite_due
from banklink.core.calendar import EXPIRING_DAYS
from banklink.core.texts import N_
from banklink.store import office
from banklink.store.office import OFF, SILENT, SOON, TODO, WELL, Choice, Line, Totals
from banklink.web.context import at, house, person
from banklink.web.i18n import _, day, locale, ngettext, number
from banklink.web.office_calendar import CalendarView, calendar, week_of
from banklink.web.office_sheet import pieces
from banklink.web.said import said
from banklink.web.viewmodel import Link, Tab

blueprint = Blueprint("office", __name__)

PAGE_SIZE = 50
_TABS = {
    "all": N_("All"),
    TODO: N_("Needs action"),
    SOON: N_("Expires within 30 days"),
    SILENT: N_("Gets nothing now"),
    WELL: N_("All well"),
    OFF: N_("Not everything on"),
}
_RARE = frozenset({SILENT, OFF})
"""Tabs that are there only with something under them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountView:
    """So many connections of one kind, in words."""

    urgency: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One administration in the list. `ends`: how long until the first connection that works stops,
    in the tone of that; `what`: which one. `besides`: what the counts do not say, in the tone of
    `besides_tone`."""

    id: int
    name: str
    url: str
    urgency: str
    counts: tuple[CountView, ...]
    may_ask: bool
    ends: str | None = None
    tone: str = "well"
    date: str = ""
    iso: str = ""
    what: str | None = None
    besides: str | None = None
    besides_tone: str = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeView:
    """`asking`: the step before sending renewal requests, None for who may send nowhere;
    `asking_all`: the whole list has something to ask for; the step before counts it. `only`: what
    part is shown, with the way back to the whole in `whole_url`. `kept`: fields that keep the part
    that is shown."""

    morning: str
    morning_tone: str
    attention: int
    icon_url: str
    tabs: tuple[Tab, ...]
    query: str
    kept: tuple[tuple[str, str], ...]
    only: str | None
    whole_url: str
    rows: tuple[LineView, ...]
    shown: str
    previous: Link | None
    next: Link | None
    empty: str | None
    calendar: CalendarView
    base_url: str
    found_url: str
    download_url: str
    asking: str | None
    asking_all: bool


@blueprint.get("/administrations")
def page() -> str:
    return render_template("office/page.html", page=_view(), notice=said())


@blueprint.get("/administrations/found")
def found() -> Response:
    """The list alone, while somebody types a name; the address bar follows."""
    answer = make_response(render_template("office/_found.html", page=_view()))
    answer.headers["HX-Replace-Url"] = address(asked())
    return answer


@blueprint.get("/administrations.csv")
def download() -> Response:
    """The connections behind the list, one per line."""
    rewrite_due(house().services, at(), of=person().id)
    name = f"{_('administrations')}-{at().today.isoformat()}.csv"
    return Response(
        stream_with_context(pieces(asked())),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def asked() -> Choice:
    """The part of the list that the address names."""
    wanted = request.args.get("filter")
    return Choice(
        user_id=person().id,
        query=" ".join(request.args.get("q", "").split())[:100],
        filter=wanted if wanted in office.FILTERS else None,
        week=week_of(request.args.get("week", "")),
    )


def kept(choice: Choice) -> dict[str, str]:
    """The same as values of an address."""
    values = {
        "filter": choice.filter,
        "q": choice.query,
        "week": choice.week.isoformat() if choice.week else None,
    }
    return {name: value for name, value in values.items() if value}


def address(choice: Choice, **changes: str | int | None) -> str:
    values = {**kept(choice), **changes}
    query = urlencode({name: value for name, value in values.items() if value is not None})
    return url_for("office.page") + (f"?{query}" if query else "")


def _view() -> OfficeView:
    choice = asked()
    rewrite_due(house().services, at(), of=person().id)
    with house().services.store.read() as session:
        whole = office.totals(session, person().id)
        count, renewable = office.found(session, choice, whole)
        last = max(1, -(-count // PAGE_SIZE))
        number_ = min(max(1, request.args.get("page", 1, type=int)), last)
        first = (number_ - 1) * PAGE_SIZE
        lines = office.lines(session, choice, first=first, count=PAGE_SIZE)
        picture = calendar(session, choice.week)
    morning, tone = _morning(whole)
    maintenance = url_for("maintenance.page")
    return OfficeView(
        morning=morning,
        morning_tone=tone,
        attention=whole.attention,
        icon_url=url_for("badge", number=whole.attention)
        if whole.attention
        else url_for("static", filename="favicon.svg"),
        tabs=tuple(
            Tab(
                key=key,
                label=_(label),
                count=whole.filters.get(key, whole.administrations),
                url=address(choice, filter=key if key in office.FILTERS else None),
                current=key == (choice.filter or "all"),
            )
            for key, label in _TABS.items()
            if key not in _RARE or whole.filters[key] or key == choice.filter
        ),
        query=choice.query,
        kept=tuple((name, value) for name, value in kept(choice).items() if name != "q"),
        only=_("Only where something expires in the week of %(date)s", date=day(choice.week))
        if choice.week
        else None,
        whole_url=address(choice, week=None),
        rows=tuple(_line(each, at().today, maintenance) for each in lines),
        shown=_range(first, len(lines), count),
        previous=Link(label=_("Previous"), url=address(choice, page=number_ - 1))
        if number_ > 1
        else None,
        next=Link(label=_("Next"), url=address(choice, page=number_ + 1))
        if number_ < last
        else None,
        empty=_empty(choice, whole) if not lines else None,
        calendar=picture,
        base_url=url_for("office.page"),
        found_url=url_for("office.found"),
        download_url=url_for("office.download", **kept(choice)),  # type: ignore[arg-type]
        asking=url_for("office_requests.confirm") if whole.changing else None,
        asking_all=renewable > 0,
    )


def _morning(whole: Totals) -> tuple[str, str]:
    """How it stands everywhere, and its tone."""
    if not whole.administrations:
        return _("You work in no administration yet."), "info"
    parts = []
    if whole.attention:
        links = ngettext("%(n)s link needs action", "%(n)s links need action", whole.attention)
        where = ngettext("%(n)s administration", "%(n)s administrations", whole.filters[TODO])
        parts.append(_("%(links)s in %(administrations)s", links=links, administrations=where))
    else:
        parts.append(_("Nothing needs action"))
    if whole.breaks:
        parts.append(
            ngettext("%(n)s expires within 30 days", "%(n)s expire within 30 days", whole.breaks)
        )
    if whole.silent:
        parts.append(
            ngettext(
                "%(n)s gets no transactions now", "%(n)s get no transactions now", whole.silent
            )
        )
    if not whole.running and not whole.attention:
        return " · ".join([*parts, _("no link is switched on")]), "info"
    parts.append(ngettext("%(n)s runs", "%(n)s run", whole.running - whole.silent))
    troubles = whole.breaks or whole.silent
    return " · ".join(parts), "todo" if whole.attention else "soon" if troubles else "well"


def _line(line: Line, today: date, page: str) -> LineView:
    """`page`: the address of the maintenance page, asked for once and not fifty times."""
    where = locale()
    urgencies = [each for each in _COUNTED if each in line.urgencies]
    filtered = TODO if line.attention else SOON if line.breaks else None
    end = line.next_expiry
    left = (end - today).days if end else 0
    besides = None
    if line.silent:
        besides = ngettext(
            "%(n)s gets no transactions now", "%(n)s get no transactions now", line.silent
        )
    elif urgencies and not line.running and not line.attention:
        besides = _("No link is switched on")
    return LineView(
        id=line.id,
        name=line.name,
        url=f"{page}?administration={line.id}" + (f"&filter={filtered}" if filtered else ""),
        urgency=urgencies[0] if urgencies else "off",
        counts=tuple(_count(each, line.urgencies[each], where) for each in urgencies),
        may_ask=line.may_change,
        ends=_in_days(left, where) if end else None,
        tone="soon" if left <= EXPIRING_DAYS else "well",
        date=day(end) if end else "",
        iso=end.isoformat() if end else "",
        what=line.next_what if end else None,
        besides=besides,
        besides_tone="outage" if line.silent else "off",
    )


_COUNTED = {
    "broken": N_("%(n)s broken"),
    "todo": N_("%(n)s to do"),
    "soon": N_("%(n)s soon to expire"),
    "well": N_("%(n)s active"),
    "off": N_("%(n)s off"),
}


@lru_cache(maxsize=1024)
def _count(urgency: str, count: int, _where: str) -> CountView:
    return CountView(urgency=urgency, text=_(_COUNTED[urgency], n=number(count)))


@lru_cache(maxsize=1024)
def _in_days(days: int, _where: str) -> str:
    if days <= 0:
        return _("today")
    return ngettext("in %(n)s day", "in %(n)s days", days)


def _range(first: int, count: int, total: int) -> str:
    if total <= count:
        return ngettext("%(n)s administration", "%(n)s administrations", total)
    return _(
        "%(first)s–%(last)s of %(total)s administrations",
        first=first + 1,
        last=first + count,
        total=number(total),
    )


def _empty(choice: Choice, whole: Totals) -> str:
    if not whole.administrations:
        return _("You work in no administration yet. Ask an administrator for an invitation.")
    if choice.query:
        return _("Nothing found for “%(query)s”.", query=choice.query)
    if choice.week:
        return _("Nothing expires in that week.")
    tab = _(_TABS[choice.filter or "all"])
    if choice.filter in (TODO, SOON):
        return _("Nothing under %(tab)s. Good.", tab=tab)
    return _("Nothing under %(tab)s.", tab=tab)
