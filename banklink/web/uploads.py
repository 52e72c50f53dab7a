"""Upload a statement: the file, what it would bring, and taking it in or leaving it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import take_in_file as taking
from banklink.actions import uploads as actions
from banklink.actions.services import Missing, Refused
from banklink.actions.take_in_file import LATER, NEW, OUT, SAME, Doubt, Look
from banklink.core.dedup import Booking
from banklink.statements import MAX_BYTES, StatementError
from banklink.statements.statement_csv import FIELDS, Table, guess, read_table
from banklink.store.models import Connection, Transaction, Upload
from banklink.web import upload_words as words
from banklink.web.connections import one_record
from banklink.web.context import at, house, person, reader, tell
from banklink.web.i18n import _, day, iban, moment, money, ngettext, number
from banklink.web.rows import row_address, row_view
from banklink.web.viewmodel import Button, Choice, Field, Form, Link, Notice, RowView

blueprint = Blueprint("uploads", __name__, url_prefix="/connections/<int:connection_id>")

Answer = BaseResponse | str | tuple[str, int]
UPLOAD = "uploads.give"
"""The endpoint that may be sent a large file."""

_CHOICE = re.compile(rf"{NEW}|{OUT}|{LATER}|{SAME}:\d{{1,18}}", re.ASCII)
_SHOWN = 50
_ROWS = 8
_DOUBTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One booking of the file; for one in doubt with what is there already and the choices."""

    booked: str
    booked_iso: str
    counterparty: str | None
    counterparty_iban: str | None
    remittance: str
    amount: str
    negative: bool
    name: str = ""
    number: str = ""
    like: LineView | None = None
    choices: tuple[Choice, ...] = ()


# -- the file -------------------------------------------------------------------------------------


@blueprint.get("/upload")
def page(connection_id: int) -> str:
    return _give_page(connection_id)


@blueprint.post("/upload")
def give(connection_id: int) -> Answer:
    """A file goes in here and is answered at an address of its own, so that a reload shows it
    again and sends nothing."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _give_page(connection_id, error=_(words.UNREADABLE["no_file"])), 422
    data = file.read(MAX_BYTES + 1)
    name = file.filename
    file.close()
    try:
        upload_id = actions.keep(
            house().services, connection_id, at(), name=name, data=data, actor=person().name
        )
    except Missing:
        abort(404)
    except (StatementError, Refused) as error:
        said, links = words.sentence(error, _connection(connection_id)), _links(error)
        return _give_page(connection_id, error=said, links=links), 422
    return redirect(_address(connection_id, upload_id), 303)


def too_large(connection_id: int) -> str:
    """The page again, for a file that was refused before it was read."""
    error = StatementError("too_large", max_bytes=MAX_BYTES)
    return _give_page(connection_id, error=words.sentence(error, _connection(connection_id)))


def _give_page(
    connection_id: int, *, error: str | None = None, links: Sequence[tuple[str, str]] = ()
) -> str:
    with house().services.store.read() as session:
        found = one_record(session, connection_id)
        row = row_view(found, reader())
        missing, unfetched = taking.days_missing(session, connection_id, at())
        waiting = session.scalars(
            select(Upload)
            .where(Upload.connection_id == connection_id, Upload.content.is_not(None))
            .order_by(Upload.id.desc())
        ).all()
    form = Form(
        action="upload",
        title=_("Upload a statement"),
        url=url_for("uploads.give", connection_id=connection_id),
        version=0,
        upload=True,
        fields=(
            Field(
                name="file",
                label=_("File"),
                type="file",
                hint=_(
                    "MT940, camt.053 or CSV, as your bank offers it under downloads; at most"
                    " %(megabytes)s MB. MT940 and camt.053 also tell the balances.",
                    megabytes=number(words.MEGABYTES),
                ),
                error=error,
            ),
        ),
        submit=_("Look first"),
        cancel=_back(row, found.connection),
    )
    return render_template(
        "uploads/give.html",
        row=row,
        form=form if found.connection.start_date else None,
        unstarted=_(words.UNREADABLE["not_started"]),
        back=_back(row, found.connection),
        missing=[words.stretch(each) for each in missing],
        unfetched=words.stretch(unfetched) if unfetched else None,
        links=links,
        waiting=[
            (each.name, moment(each.created_at), _address(connection_id, each.id))
            for each in waiting
        ],
    )


def _address(connection_id: int, upload_id: int) -> str:
    return url_for("uploads.look", connection_id=connection_id, upload_id=upload_id)


def _connection(connection_id: int) -> Connection:
    with house().services.store.read() as session:
        return session.get_one(Connection, connection_id)


def _back(row: RowView, connection: Connection) -> Button:
    return Button(
        action="cancel",
        label=_("Back to the list"),
        name=_("Back to the list"),
        method="get",
        url=row_address(connection.administration_id, connection.id),
    )


def _links(error: StatementError | Refused) -> list[tuple[str, str]]:
    """Ways on: the pages of the accounts of the file that have a link here."""
    params: dict[str, Any] = {**error.params}
    return [
        (_("Upload it for %(iban)s", iban=iban(name)), url_for("uploads.page", connection_id=key))
        for name, key in params.get("accounts", ())
        if key is not None
    ]


# -- what it would bring --------------------------------------------------------------------------


@blueprint.get("/uploads/<int:upload_id>")
def look(connection_id: int, upload_id: int) -> Answer:
    upload = _upload(connection_id, upload_id)
    if upload.confirmed_at is not None:
        return _done_page(connection_id, upload)
    if upload.content is None:
        return _gone(connection_id, _(words.UNREADABLE["gone"]))
    if upload.format == actions.TABLE:
        return _columns_page(connection_id, upload)
    return _look_page(connection_id, upload)


def _upload(connection_id: int, upload_id: int) -> Upload:
    with house().services.store.read() as session:
        try:
            return actions.of_connection(session, connection_id, upload_id)
        except Missing:
            abort(404)


def _gone(connection_id: int, said: str) -> Answer:
    return _give_page(connection_id, error=said), 422


def _look_page(
    connection_id: int,
    upload: Upload,
    *,
    typed: Mapping[str, object] | None = None,
    error: Refused | None = None,
) -> Answer:
    sound = {} if error else typed or {}
    sound = {**sound, "rows": (typed or {}).get("rows", {})}
    try:
        found = taking.look(house().services, connection_id, upload.id, at(), typed=sound)
    except (StatementError, Refused) as refused:
        # The books changed under it: another start, another lock date.
        return _gone(connection_id, words.sentence(refused, _connection(connection_id)))
    with house().services.store.read() as session:
        record = one_record(session, connection_id)
        row = row_view(record, reader())
    connection = record.connection
    spans = found.whole
    chosen = {**upload.choices, **(typed or {})}
    return (
        render_template(
            "uploads/look.html",
            row=row,
            name=upload.name,
            facts=words.facts(found, connection),
            counts=words.counts(found),
            notes=words.notes(found, connection),
            days=words.days(found),
            lacking=_lacking(found, connection_id),
            doubts=[_doubt(each) for each in found.doubts[:_DOUBTS]],
            more_doubts=len(found.doubts) - _DOUBTS,
            new=[_line(each) for each in found.new[:_SHOWN]],
            new_shown=_(
                "The first %(n)s of %(all)s are shown.",
                n=number(_SHOWN),
                all=number(len(found.new)),
            )
            if len(found.new) > _SHOWN
            else None,
            first=chosen.get("first") or (spans[0].isoformat() if spans else None),
            last=chosen.get("last") or (spans[1].isoformat() if spans else None),
            latest=at().today.isoformat(),
            error=_(words.UNREADABLE[error.code]) if error else None,
            wrong=error.field if error else None,
            submit=_submit(found),
            urls={
                name: url_for(f"uploads.{name}", connection_id=connection_id, upload_id=upload.id)
                for name in ("confirm", "cancel")
            },
            columns="columns" in upload.choices,
            back=_back(row, connection),
        ),
        422 if error else 200,
    )


def _lacking(found: Look, connection_id: int) -> tuple[str, Link] | None:
    """What the books have more than the file, and where to see it."""
    if not found.lacks:
        return None
    first, last = found.lacks[0], found.lacks[-1]
    days: dict[str, Any] = {"from": first.isoformat(), "to": last.isoformat()}
    return words.lacking(found), Link(
        label=_("Show the transactions of %(days)s", days=words.stretch((first, last))),
        url=url_for("transactions.page", connection_id=connection_id, **days),
    )


def _submit(found: Look) -> str | None:
    """None: there is nothing to confirm, all of the file is of days that do not count here."""
    if found.new:
        return ngettext("Take in %(n)s transaction", "Take in %(n)s transactions", len(found.new))
    return None if words.is_for_nothing(found) else _("Confirm")


def _line(each: Booking | Transaction, **more: object) -> LineView:
    return LineView(
        booked=day(each.booked_on),
        booked_iso=each.booked_on.isoformat(),
        counterparty=each.counterparty_name,
        counterparty_iban=iban(each.counterparty_iban) if each.counterparty_iban else None,
        remittance=each.remittance,
        amount=money(each.amount, each.currency),
        negative=each.amount < 0,
        **more,  # type: ignore[arg-type]
    )


def _doubt(each: Doubt) -> LineView:
    offered = (
        [(f"{SAME}:{each.like.id}", _("The same")), (NEW, _("A new one"))]
        if each.like is not None
        else [(NEW, _("Take it in")), (OUT, _("Leave it out"))]
    )
    choices = tuple(
        Choice(value=value, label=label, checked=value == each.choice)
        for value, label in (*offered, (LATER, _("Decide later")))
    )
    return _line(
        each.booking,
        name=f"row_{each.number}",
        number=number(each.number + 1),
        like=_line(each.like) if each.like is not None else None,
        choices=choices,
    )


# -- which column is what -------------------------------------------------------------------------


@blueprint.get("/uploads/<int:upload_id>/columns")
def which_columns(connection_id: int, upload_id: int) -> Answer:
    """Once more, for a choice that turned out wrong when its bookings were there to see."""
    upload = _upload(connection_id, upload_id)
    if upload.content is None or "columns" not in upload.choices:
        return redirect(_address(connection_id, upload_id), 303)
    return _columns_page(connection_id, upload)


@blueprint.post("/uploads/<int:upload_id>/columns")
def columns(connection_id: int, upload_id: int) -> Answer:
    upload = _upload(connection_id, upload_id)
    chosen: dict[str, int] = {}
    for name in FIELDS:
        text = request.form.get(f"column_{name}", "")
        if text.isdecimal() and len(text) < 4:
            chosen[name] = int(text)
    try:
        actions.name_columns(house().services, connection_id, upload_id, at(), chosen)
    except (StatementError, Refused) as error:
        if error.code == "gone":
            return redirect(_address(connection_id, upload_id), 303)
        return _columns_page(connection_id, upload, chosen=chosen, error=error)
    return redirect(_address(connection_id, upload_id), 303)


def _columns_page(
    connection_id: int,
    upload: Upload,
    *,
    chosen: Mapping[str, int] | None = None,
    error: StatementError | Refused | None = None,
) -> Answer:
    assert upload.content is not None
    table = read_table(upload.content)
    former = upload.choices.get("columns")
    picked = chosen if chosen is not None else former or guess(table)
    with house().services.store.read() as session:
        record = one_record(session, connection_id)
        row = row_view(record, reader())
    said = words.sentence(error, record.connection, chosen=True) if error else None
    field = error.field if isinstance(error, Refused) else None
    if isinstance(error, StatementError):
        field = str(error.params.get("column", ""))
    form = Form(
        action="columns",
        title=_("Which column is what?"),
        intro=_(
            "This is a table of a kind that is not known here. Say which column holds what; what"
            " stands below is a guess."
        )
        if former is None
        else _(
            "This is what was chosen before. Other columns make other transactions of the file, so"
            " what you said about those has to be said again then."
        ),
        url=url_for("uploads.columns", connection_id=connection_id, upload_id=upload.id),
        version=0,
        error=said if said and field not in FIELDS else None,
        fields=tuple(
            Field(
                name=f"column_{name}",
                label=_(words.COLUMNS[name]).capitalize(),
                type="select",
                width="long",
                choices=_offered(table, picked.get(name)),
                error=said if name == field else None,
            )
            for name in FIELDS
        ),
        submit=_("Look first"),
        cancel=_back(row, record.connection) if former is None else _unchanged(upload),
    )
    page = render_template(
        "uploads/columns.html",
        row=row,
        name=upload.name,
        form=form,
        titles=[
            (number(n + 1), table.titles[n] if n < len(table.titles) else "")
            for n in range(table.width)
        ],
        lines=[
            (number(each.line), [*each.cells, *[""] * (table.width - len(each.cells))])
            for each in table.rows[:_ROWS]
        ],
    )
    return (page, 422) if error else page


def _unchanged(upload: Upload) -> Button:
    label = _("Back to what it would bring")
    url = _address(upload.connection_id, upload.id)
    return Button(action="cancel", label=label, name=label, method="get", url=url)


def _offered(table: Table, picked: int | None) -> tuple[Choice, ...]:
    offered = [Choice(value="", label="–", checked=picked is None)]
    for n in range(table.width):
        title = table.titles[n] if n < len(table.titles) else ""
        sample = next(iter(table.samples(n)), "")
        words = " · ".join(filter(None, (number(n + 1), title[:40], sample[:30])))
        offered.append(Choice(value=str(n), label=words, checked=n == picked))
    return tuple(offered)


# -- taking it in ---------------------------------------------------------------------------------


@blueprint.post("/uploads/<int:upload_id>/confirm")
def confirm(connection_id: int, upload_id: int) -> Answer:
    upload = _upload(connection_id, upload_id)
    typed = _typed()
    if (do := request.form.get("do")) in ("keep", "columns"):
        actions.choose(house().services, connection_id, upload_id, typed)
        endpoint = "uploads.look" if do == "keep" else "uploads.which_columns"
        return redirect(url_for(endpoint, connection_id=connection_id, upload_id=upload_id), 303)
    try:
        done = taking.take_in(
            house().services, connection_id, upload_id, at(), typed=typed, actor=person().name
        )
    except Missing:
        abort(404)
    except Refused as error:
        if error.code in ("days_wrong", "days_ahead", "books_changed"):
            return _look_page(connection_id, upload, typed=typed, error=error)
        return redirect(_address(connection_id, upload_id), 303)
    if done.result == "before":
        text = _("This file had been taken in already; nothing was changed.")
        return _to_row(connection_id, Notice(tone="info", text=text))
    said = [_taken(done.added)]
    if done.reviewed:
        said.append(
            ngettext(
                "%(n)s waits for your decision.",
                "%(n)s wait for your decision.",
                done.reviewed,
            )
        )
    button = _undo_button(connection_id, upload_id)
    return _to_row(connection_id, Notice(tone="ok", text=" ".join(said), button=button))


def _taken(count: int) -> str:
    if not count:
        return _("File taken in; it brought no new transactions.")
    return ngettext(
        "%(n)s transaction taken in from the file.", "%(n)s transactions taken in from the file.",
        count,
    )  # fmt: skip


def _typed() -> dict[str, object]:
    chosen = {
        name.removeprefix("row_"): value
        for name, value in request.form.items()
        if name.startswith("row_") and _CHOICE.fullmatch(value)
    }
    days = {name: request.form[name] for name in ("first", "last") if request.form.get(name)}
    return {"rows": chosen, **days}


def _undo_button(connection_id: int, upload_id: int) -> Button:
    return Button(
        action="undo-file",
        label=_("Take back"),
        name=_("Take back"),
        method="get",
        url=_address(connection_id, upload_id),
    )


def _to_row(connection_id: int, notice: Notice) -> Answer:
    connection = _connection(connection_id)
    tell(connection_id, notice)
    return redirect(row_address(connection.administration_id, connection_id), 303)


@blueprint.post("/uploads/<int:upload_id>/cancel")
def cancel(connection_id: int, upload_id: int) -> Answer:
    try:
        left = actions.cancel(house().services, connection_id, upload_id)
    except Missing:
        abort(404)
    text = (
        _("The file was deleted; nothing was taken in.")
        if left
        else _("This file had been taken in already; nothing was changed.")
    )
    return _to_row(connection_id, Notice(tone="info", text=text))


@blueprint.post("/uploads/<int:upload_id>/undo")
def undo(connection_id: int, upload_id: int) -> Answer:
    try:
        gone = taking.take_back(
            house().services, connection_id, upload_id, at(), actor=person().name
        )
    except Missing:
        abort(404)
    except Refused as error:
        return _to_row(connection_id, Notice(tone="error", text=_(words.UNREADABLE[error.code])))
    text = ngettext(
        "Taken back: %(n)s transaction of the file is out of the books again.",
        "Taken back: %(n)s transactions of the file are out of the books again.",
        gone,
    )
    return _to_row(connection_id, Notice(tone="ok", text=text))


def _done_page(connection_id: int, upload: Upload) -> str:
    with house().services.store.read() as session:
        record = one_record(session, connection_id)
        row = row_view(record, reader())
        run = taking.run_of(session, upload.id)
        late = taking.why_not_back(session, upload)
    assert upload.confirmed_at is not None
    by = (run.actor if run else None) or _("the program")
    return render_template(
        "uploads/done.html",
        row=row,
        name=upload.name,
        said=_("Taken in by %(who)s on %(when)s.", who=by, when=moment(upload.confirmed_at)),
        facts=[
            (_("New"), number(run.added)),
            (_("Known already"), number(run.known)),
            (_("Waiting for your decision"), number(run.reviewed)),
        ]
        if run
        else [],
        back_again=run is not None and run.result == "undone",
        late=_(words.UNREADABLE[late]) if late else None,
        undo_url=url_for("uploads.undo", connection_id=connection_id, upload_id=upload.id),
        transactions=url_for(
            "transactions.page", connection_id=connection_id, run=run.id, state="all"
        )
        if run
        else None,
        review=url_for("review.page", connection_id=connection_id)
        if run and run.reviewed and run.result == "ok"
        else None,
        back=_back(row, record.connection),
    )
