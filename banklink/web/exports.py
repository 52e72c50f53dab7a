"""Statements for an accounting package: what went out of one account, and making the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, Response, abort, g, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import export as exporting
from banklink.actions.export import DoesNotFit, Words
from banklink.actions.services import Missing, Refused
from banklink.core.texts import N_
from banklink.statements.export import FORMATS
from banklink.store import exports
from banklink.store.facts import Record, record
from banklink.store.models import Export
from banklink.web.context import MOST, at, house, may_change, person, reader
from banklink.web.i18n import _, day, locale, moment, money, ngettext, number, speak
from banklink.web.rows import row_address, row_view
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Choice, Field, Form, Link

blueprint = Blueprint("exports", __name__, url_prefix="/connections/<int:connection_id>/exports")

Answer = BaseResponse | str | tuple[str, int]

_SHOWN = 25
_DAY = timedelta(days=1)

NAMES = {
    "camt.053.001.02": "camt.053.001.02",
    "camt.053.001.08": "camt.053.001.08",
    "mt940": "MT940",
    "csv": "CSV",
}
WHAT_FOR = {
    "camt.053.001.02": N_("what most accounting packages read"),
    "camt.053.001.08": N_("the newer version, where a package asks for it"),
    "mt940": N_("for older packages; texts are shortened"),
    "csv": N_("for a spreadsheet"),
}
PERIODS = {
    "last_month": N_("Last month"),
    "this_month": N_("This month"),
    "this_quarter": N_("This quarter"),
    "last_quarter": N_("Last quarter"),
    "between": N_("From one day to another"),
}
REFUSALS = {
    "nothing_new": N_("Nothing is new since the last statement, so none was made."),
    "nothing_fetched": N_(
        "Nothing was fetched for any of these days, so there is nothing to put in a statement."
    ),
    "period_unknown": N_("Choose a period."),
    "day_missing": N_("Fill in a day, like 2026-03-31."),
    "period_backwards": N_("The last day lies before the first. Turn them round."),
    "period_early": N_("Choose a day from %(earliest)s on."),
    "period_future": N_("Choose today or an earlier day; later days have not been yet."),
    "opening_wrong": N_("This is no amount. Write it like 1234,56, with a minus where it is owed."),
    "format_unknown": N_("Choose one of the formats."),
    "does_not_fit": N_(
        "An amount here has more digits than this format has room for. Choose CSV, or camt.053."
    ),
}
HEAD = (
    N_("Account"),
    N_("Currency"),
    N_("Statement"),
    N_("Booking date"),
    N_("Value date"),
    N_("Amount"),
    N_("Balance after"),
    N_("Counterparty"),
    N_("Account of the counterparty"),
    N_("Description"),
    N_("Reference of the payment"),
    N_("Number"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportView:
    """One line: what went out. `remarks` are sentences, `files` the other formats."""

    number: int
    numbers: str
    kind: str
    days: str
    count: str
    opening: str
    closing: str
    made: str
    remarks: tuple[str, ...]
    file: Link
    files: tuple[Link, ...]


# -- the page -----------------------------------------------------------------------------------


@blueprint.get("")
def page(connection_id: int) -> Answer:
    return _page(connection_id)


def _page(
    connection_id: int,
    *,
    typed: Mapping[str, str] | None = None,
    which: str = "",
    error: Refused | None = None,
) -> Answer:
    """`which` form was sent, what was `typed` in it, and what is wrong with it."""
    below = request.args.get("below", type=int)
    if below is not None and not 0 < below < MOST:
        below = None
    with house().services.store.read() as session:
        found = _record(session, connection_id)
        connection = found.connection
        wanted = select(Export).where(Export.connection_id == connection_id, Export.number > 0)
        if below is not None:
            wanted = wanted.where(Export.number < below)
        listed = list(session.scalars(wanted.order_by(Export.number.desc()).limit(_SHOWN + 1)))
        shown = listed[:_SHOWN]
        now = exports.still_so(session, shown)
        former = exports.last_new(session, connection_id)
        count, back = exports.waiting(session, connection_id)
        last = session.scalar(
            select(Export)
            .where(Export.connection_id == connection_id, Export.number > 0)
            .order_by(Export.number.desc())
            .limit(1)
        )
        unknown = not exports.knows_a_balance(session, connection)
        row = row_view(found, reader())
    chosen = last.format if last else "camt.053.001.02"
    forms: tuple[tuple[str, Form], ...] = ()
    if may_change() and below is None:
        ask = unknown and former is None
        if count:
            form = _new_form(connection_id, former, count, back, chosen, ask, typed, which, error)
            forms = (("new", form),)
        form = _period_form(connection_id, chosen, unknown, typed, which, error)
        forms += (("period", form),)
    said_above = error is not None and (not which or (which == "new" and not count))
    view = render_template(
        "exports/page.html",
        row=row,
        forms=forms,
        exports=[_view(each, connection.currency, now.get(each.id)) for each in shown],
        unbalanced=connection.unbalanced_from is not None,
        notice=said(),
        problem=_sentence(error) if error is not None and said_above else None,
        nothing=None if count else _nothing(former),
        back=Link(
            label=_("Back to the list"),
            url=row_address(connection.administration_id, connection_id),
        ),
        transactions=Link(
            label=_("Transactions"), url=url_for("transactions.page", connection_id=connection_id)
        ),
        newest=Link(label=_("Newest"), url=url_for(".page", connection_id=connection_id))
        if below is not None
        else None,
        older=Link(
            label=_("Older"),
            url=url_for(".page", connection_id=connection_id, below=shown[-1].number),
        )
        if len(listed) > _SHOWN
        else None,
    )
    return (view, 422) if error else view


def _nothing(former: Export | None) -> str:
    if former is None:
        return _("Nothing has been booked here yet that could go out.")
    return _(
        "Nothing is new since statement %(number)s of %(date)s.",
        number=number(former.number + former.statements - 1),
        date=moment(former.created_at),
    )


def _record(session: Session, connection_id: int) -> Record:
    found = record(session, connection_id, at())
    if found is None:
        abort(404)
    return found


def _view(each: Export, currency: str, now: tuple[int, int] | None) -> ExportView:
    def link(format: str) -> Link:
        url = url_for(
            ".download", connection_id=each.connection_id, number=each.number, format=format
        )
        return Link(label=NAMES[format], url=url)

    return ExportView(
        number=each.number,
        numbers=_numbers(each),
        kind=_("New since the last") if each.kind == "new" else _("A period"),
        days=_days(each.since, each.until),
        count=_bookings(each.count),
        opening=money(each.opening, currency),
        closing=money(each.opening + each.total, currency),
        made=_("%(when)s by %(who)s", when=moment(each.created_at), who=each.created_by or "–"),
        remarks=_remarks(each, currency, now),
        file=link(each.format),
        files=tuple(link(format) for format in FORMATS if format != each.format),
    )


def _numbers(each: Export) -> str:
    if each.statements == 1:
        return number(each.number)
    return f"{number(each.number)}–{number(each.number + each.statements - 1)}"


def _days(first: date, last: date) -> str:
    if first == last:
        return day(first)
    return _("%(first)s up to and including %(last)s", first=day(first), last=day(last))


def _bookings(count: int) -> str:
    return ngettext("%(n)s transaction", "%(n)s transactions", count)


def _remarks(each: Export, currency: str, now: tuple[int, int] | None = None) -> tuple[str, ...]:
    """What whoever reads these statements should know; the same stands in the file, but for what
    happened since."""
    found = []
    if now is not None and now != (each.count, each.total):
        found.append(
            ngettext(
                "Changed since: on these days there is now %(n)s transaction, together %(total)s."
                " Make them anew to get that.",
                "Changed since: on these days there are now %(n)s transactions, together %(total)s."
                " Make them anew to get that.",
                now[0],
                total=money(now[1], currency),
            )
        )
    if each.basis == "zero":
        found.append(
            _("No balance of this account is known: balances are counted from zero, not real.")
        )
    if each.basis == "typed":
        found.append(_("Balances are reckoned from an opening balance that was typed in."))
    missing = [(date.fromisoformat(a), date.fromisoformat(b)) for a, b in each.notes["missing"]]
    if missing:
        days = ", ".join(_days(first, last) for first, last in missing[:6])
        more = "…" if len(missing) > 6 else ""
        found.append(
            _("Days that were not fetched and so are not in it: %(days)s.", days=days + more)
        )
    if each.notes["review"]:
        found.append(
            ngettext(
                "%(n)s transaction waited for a decision and is not in it.",
                "%(n)s transactions waited for a decision and are not in it.",
                each.notes["review"],
            )
        )
    if "apart" in each.notes:
        last, apart = each.notes["apart"]
        found.append(
            _(
                "Opens %(amount)s apart from where statement %(number)s closed: transactions of"
                " those days came or went since.",
                amount=money(apart, currency),
                number=number(last),
            )
        )
    return tuple(found)


# -- the forms ----------------------------------------------------------------------------------


def _new_form(
    connection_id: int,
    former: Export | None,
    count: int,
    back: int,
    chosen: str,
    ask: bool,
    typed: Mapping[str, str] | None,
    which: str,
    error: Refused | None,
) -> Form:
    mine = which == "new"
    values = typed if mine and typed else {}
    wrong = error if mine else None
    if former is None:
        intro = ngettext(
            "%(n)s transaction has not gone out this way yet. What is in a statement once is never"
            " in the next; it opens where the one before closed.",
            "%(n)s transactions have not gone out this way yet. What is in a statement once is"
            " never in the next; it opens where the one before closed.",
            count,
        )
    else:
        intro = _(
            "%(bookings)s since statement %(number)s of %(date)s, late ones included.",
            bookings=_bookings(count - back),
            number=number(former.number + former.statements - 1),
            date=moment(former.created_at),
        )
    if back:
        taken = ngettext(
            "%(n)s transaction went out before and was removed since; it is taken back.",
            "%(n)s transactions went out before and were removed since; they are taken back.",
            back,
        )
        intro = f"{intro} {taken}" if count > back else taken
    fields = [_format_field(values, chosen, wrong)]
    if ask:
        fields.append(_opening_field(values, wrong))
    return Form(
        action="export-new",
        title=_("What is new since the last time"),
        intro=intro,
        url=url_for(".new", connection_id=connection_id),
        version=0,
        fields=tuple(fields),
        submit=_("Make statements of what is new"),
        error=_sentence(wrong) if wrong and wrong.field is None else None,
    )


def _period_form(
    connection_id: int,
    chosen: str,
    ask: bool,
    typed: Mapping[str, str] | None,
    which: str,
    error: Refused | None,
) -> Form:
    mine = which == "period"
    values = typed if mine and typed else {}
    wrong = error if mine else None
    picked = values.get("period", "last_month")
    choices = []
    for code, words in PERIODS.items():
        days = period(code, at().today)
        choices.append(
            Choice(
                value=code,
                label=_(words),
                detail=_days(*days) if days else None,
                checked=code == picked,
            )
        )
    fields = [
        Field(
            name="period",
            label=_("Which days"),
            type="radio",
            choices=tuple(choices),
            error=_error(wrong, "period"),
        ),
        Field(
            name="since",
            label=_("From"),
            type="date",
            value=values.get("since", ""),
            error=_error(wrong, "since"),
            maximum=at().today.isoformat(),
        ),
        Field(
            name="until",
            label=_("Up to and including"),
            type="date",
            value=values.get("until", ""),
            error=_error(wrong, "until"),
            offer=(_("Take %(date)s", date=day(date.fromisoformat(wrong.offer))), wrong.offer)
            if wrong and wrong.offer
            else None,
            maximum=at().today.isoformat(),
        ),
        _format_field(values, chosen, wrong),
    ]
    if ask:
        fields.append(_opening_field(values, wrong))
    return Form(
        action="export-period",
        title=_("A period"),
        intro=_("All that is booked on these days, whether it went out before or not."),
        url=url_for(".of_period", connection_id=connection_id),
        version=0,
        fields=tuple(fields),
        submit=_("Make statements of the period"),
        error=_sentence(wrong) if wrong and wrong.field is None else None,
    )


def _format_field(values: Mapping[str, str], chosen: str, wrong: Refused | None) -> Field:
    picked = values.get("format", chosen)
    return Field(
        name="format",
        label=_("Format"),
        type="select",
        width="long",
        value=picked if picked in NAMES else chosen,
        error=_error(wrong, "format"),
        choices=tuple(
            Choice(value=code, label=name, detail=_(WHAT_FOR[code])) for code, name in NAMES.items()
        ),
    )


def _opening_field(values: Mapping[str, str], wrong: Refused | None) -> Field:
    return Field(
        name="opening",
        label=_("Balance before the first day"),
        type="text",
        width="short",
        value=values.get("opening", ""),
        hint=_(
            "The bank has not said what is on this account. Take it from a statement or from the"
            " books. Left empty, balances are counted from zero, and the file says so."
        ),
        error=_error(wrong, "opening"),
    )


def _error(wrong: Refused | None, field: str) -> str | None:
    return _sentence(wrong) if wrong is not None and wrong.field == field else None


def _sentence(wrong: Refused) -> str:
    params = {
        name: day(value) if isinstance(value, date) else value
        for name, value in wrong.params.items()
    }
    return _(REFUSALS[wrong.code], **params)


def period(code: str, today: date) -> tuple[date, date] | None:
    """The days that are meant; of what is still running up to today."""
    month = today.replace(day=1)
    quarter = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    if code == "last_month":
        last = month - _DAY
        return last.replace(day=1), last
    if code == "this_month":
        return month, today
    if code == "this_quarter":
        return quarter, today
    if code == "last_quarter":
        last = quarter - _DAY
        return date(last.year, 3 * ((last.month - 1) // 3) + 1, 1), last
    return None


# -- making -------------------------------------------------------------------------------------


@blueprint.post("/new")
def new(connection_id: int) -> Answer:
    typed = _typed("format", "opening")
    try:
        made = exporting.export_new(
            house().services,
            connection_id,
            at(),
            format=typed["format"],
            opening=typed["opening"],
            locale=locale(),
            actor=person().name,
        )
    except Refused as error:
        return _again(connection_id, "new", typed, error)
    return _made(connection_id, made)


@blueprint.post("/period")
def of_period(connection_id: int) -> Answer:
    typed = _typed("period", "since", "until", "format", "opening")
    try:
        since, until = _chosen(typed)
        made = exporting.export_period(
            house().services,
            connection_id,
            at(),
            format=typed["format"],
            since=since,
            until=until,
            opening=typed["opening"],
            locale=locale(),
            actor=person().name,
        )
    except Refused as error:
        return _again(connection_id, "period", typed, error)
    return _made(connection_id, made)


def _typed(*names: str) -> dict[str, str]:
    """A `take_…` button carries the offered value."""
    return {
        name: (request.form.get(f"take_{name}") or request.form.get(name, "")).strip()[:100]
        for name in names
    }


def _chosen(typed: Mapping[str, str]) -> tuple[date, date]:
    if typed["period"] not in PERIODS:
        raise Refused("period_unknown", field="period")
    named = period(typed["period"], at().today)
    if named is not None:
        return named
    days = []
    for name in ("since", "until"):
        try:
            days.append(date.fromisoformat(typed[name]))
        except ValueError:
            raise Refused("day_missing", field=name) from None
    return days[0], days[1]


def _again(connection_id: int, which: str, typed: Mapping[str, str], error: Refused) -> Answer:
    g.stay = url_for(".page", connection_id=connection_id)
    return _page(connection_id, typed=typed, which=which, error=error)


def _made(connection_id: int, made: int) -> Answer:
    with house().services.store.read() as session:
        export = exporting.find(session, connection_id, made)
    label = _("Download %(format)s", format=NAMES[export.format])
    say(
        "ok",
        ngettext(
            "Ready: statement %(numbers)s, %(bookings)s.",
            "Ready: statements %(numbers)s, %(bookings)s.",
            export.statements,
            numbers=_numbers(export),
            bookings=_bookings(export.count),
        ),
        Button(
            action="download",
            label=label,
            name=label,
            method="get",
            url=url_for(
                ".download", connection_id=connection_id, number=made, format=export.format
            ),
        ),
    )
    return redirect(url_for(".page", connection_id=connection_id), 303)


# -- the file -----------------------------------------------------------------------------------


@blueprint.get("/<int:number>/<format>")
def download(connection_id: int, number: int, format: str) -> Answer:
    """The same as ever, and in the language it was made in."""
    if format not in FORMATS:
        abort(404)
    store = house().services.store
    with store.read() as session:
        found = _record(session, connection_id)
        try:
            export = exporting.find(session, connection_id, number)
        except Missing:
            abort(404)
    mine = locale()
    speak(export.locale)
    words = Words(
        head=[_(each) for each in HEAD],
        remarks=_remarks(export, found.connection.currency),
        correction=_("Taken back:"),
        mark="," if export.locale == "nl" else ".",
    )
    try:
        pieces = exporting.file_of(store, export, format, words)
    except DoesNotFit:
        speak(mine)
        return _again(connection_id, "", {}, Refused("does_not_fit"))
    return Response(
        pieces,
        mimetype=FORMATS[format].mimetype,
        headers={
            "Content-Disposition": f'attachment; filename="{_name(found, export, format)}"',
        },
    )


def _name(found: Record, export: Export, format: str) -> str:
    """Account, days and numbers: so that files sort, and nobody takes in the same one twice."""
    account = "".join(each for each in found.connection.iban if each.isascii() and each.isalnum())
    last = export.number + export.statements - 1
    suffix = FORMATS[format].suffix
    kind = format.replace("camt.053.001.", "camt053-") if format.startswith("camt") else format
    return (
        f"{account}-{found.connection.currency}_{export.since}_{export.until}"
        f"_{export.number}-{last}{'' if kind == suffix else f'_{kind}'}.{suffix}"
    )
