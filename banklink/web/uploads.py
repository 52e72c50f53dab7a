"""Upload a statement: the file, what it would bring, and taking it in or leaving it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import take_in_file as taking
from banklink.actions import uploads as actions
from banklink.actions.services import Missing, Refused
from banklink.actions.take_in_file import LATER, NEW, OUT, SAME, Doubt, Look
from banklink.core.dedup import Booking
from banklink.core.money import to_minor
from banklink.core.texts import N_
from banklink.statements import MAX_BYTES, StatementError
from banklink.statements.statement_csv import FIELDS, Table, guess, read_table
from banklink.store.models import Connection, Transaction, Upload
from banklink.web.connections import one_record
from banklink.web.context import at, house, person, reader, tell
from banklink.web.i18n import _, amount, day, iban, money, moment, ngettext, number
from banklink.web.rows import row_address, row_view
from banklink.web.viewmodel import Button, Choice, Field, Form, Notice, RowView

blueprint = Blueprint("uploads", __name__, url_prefix="/connections/<int:connection_id>")

Answer = BaseResponse | str | tuple[str, int]
UPLOAD = "uploads.give"
"""The endpoint that may be sent a large file."""

_MEGABYTES = MAX_BYTES // (1024 * 1024)
_CHOICE = re.compile(rf"{NEW}|{OUT}|{LATER}|{SAME}:\d{{1,18}}", re.ASCII)
_SHOWN = 50
_ROWS = 8
_DOUBTS = 100

UNREADABLE: dict[str, str] = {
    "empty": N_("The file is empty. Download it from your bank again."),
    "too_large": N_(
        "The file is larger than %(megabytes)s MB. Download a shorter period from your bank, and"
        " upload the files one after another."
    ),
    "truncated": N_(
        "The file breaks off in statement %(statement)s. Download it from your bank again."
    ),
    "cut_line": N_("The file breaks off in line %(line)s. Download it from your bank again."),
    "malformed": N_(
        "%(field)s in line %(line)s cannot be read. Download the file again, or choose another"
        " format at your bank."
    ),
    "hostile_xml": N_(
        "The file has a document type declaration, which no bank statement has. It was not read."
        " Download it from your bank again."
    ),
    "no_statement": N_("There is no statement in this file. Choose a longer period at your bank."),
    "no_bookings": N_("There is no transaction in this file. Choose a longer period at your bank."),
    "column_wrong": N_(
        "Line %(line)s: “%(text)s” is no %(column)s. Choose another column, or mend the file."
    ),
    "gone": N_(
        "A file is kept for one day until it is confirmed; this one is no longer there. Upload it"
        " again."
    ),
    "not_started": N_(
        "This link has no start date yet. Activate it first; then it is clear from which day"
        " transactions belong in the books."
    ),
    "other_account": N_("This file is about %(accounts)s, not about %(iban)s."),
    "other_currency": N_(
        "This file holds %(iban)s in %(currencies)s; this link is for %(currency)s."
    ),
    "booking_currency": N_("Line %(line)s is in %(found)s; this link is for %(currency)s."),
    "amount_too_fine": N_("The amount in line %(line)s is no amount in %(currency)s."),
    "year_unlikely": N_(
        "Line %(line)s is dated %(day)s. Surely another year is meant; nothing was taken in."
        " Download the file again, or mend that line."
    ),
    "day_ahead": N_(
        "Line %(line)s is dated %(day)s, which is still to come; nothing was taken in. Download the"
        " file again, or mend that line."
    ),
    "statement_year_unlikely": N_(
        "Statement %(statement)s is dated %(day)s. Surely another year is meant; nothing was taken"
        " in. Download the file again."
    ),
    "statement_day_ahead": N_(
        "Statement %(statement)s is dated %(day)s, which is still to come; nothing was taken in."
        " Download the file again."
    ),
    "column_missing": N_("Choose a column here; without it nothing can be taken in."),
    "columns_twice": N_("This column was chosen twice."),
    "days_wrong": N_("The last day lies before the first."),
    "days_ahead": N_("Choose today or an earlier day."),
    "no_file": N_("Choose a file first."),
    "books_changed": N_(
        "Meanwhile the start date or the locked period was changed. Look at what the file would"
        " bring now, and confirm again."
    ),
    "undo_late": N_(
        "Something came in after this file, so it can no longer be taken back as a whole. Single"
        " transactions can be removed in the list."
    ),
}

_OTHERS: dict[str, str] = {
    "pdf": N_("This is a PDF: for people, not for programs."),
    "zip": N_("This is an archive. Unpack it and choose the file in it."),
    "spreadsheet": N_("This is a spreadsheet. Choose CSV at your bank, or save it as CSV."),
    "image": N_("This is a picture."),
    "document": N_("This is a text document."),
    "ofx": N_("This is OFX."),
    "json": N_("This is JSON."),
    "html": N_("This is a web page: perhaps your bank had signed you out before the download."),
    "mt942": N_("This is MT942, which tells a part of a day; those bookings come again."),
    "camt.052": N_("This is camt.052, which tells a part of a day; those bookings come again."),
    "camt.054": N_("This is camt.054: single payments, not a statement."),
    "pain.001": N_("This is a file with payments to make, not a statement."),
    "pain.002": N_("This is a report on payments, not a statement."),
    "pain.008": N_("This is a file with direct debits, not a statement."),
    "xml": N_("This is XML, but no bank statement."),
    "csv": N_("This table cannot be read as a statement."),
    "unknown": N_("This is no bank statement."),
}

COLUMNS: dict[str, str] = {
    "booked": N_("date"),
    "amount": N_("amount"),
    "out": N_("amount out, where it has a column of its own"),
    "direction": N_("in or out"),
    "description": N_("description"),
    "name": N_("name of the counterparty"),
    "counterparty": N_("account of the counterparty"),
    "value": N_("value date"),
    "account": N_("own account"),
    "currency": N_("currency"),
    "balance": N_("balance after the transaction"),
    "reference": N_("reference of the payment"),
}
_FORMATS = {"mt940": "MT940", "camt053": "camt.053", "csv": "CSV", "table": "CSV"}


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
        return _give_page(connection_id, error=_(UNREADABLE["no_file"])), 422
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
        said, links = sentence(error, _connection(connection_id)), _links(error)
        return _give_page(connection_id, error=said, links=links), 422
    return redirect(_address(connection_id, upload_id), 303)


def too_large(connection_id: int) -> str:
    """The page again, for a file that was refused before it was read."""
    error = StatementError("too_large", max_bytes=MAX_BYTES)
    return _give_page(connection_id, error=sentence(error, _connection(connection_id)))


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
                    megabytes=number(_MEGABYTES),
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
        unstarted=_(UNREADABLE["not_started"]),
        back=_back(row, found.connection),
        missing=[_stretch(each) for each in missing],
        unfetched=_stretch(unfetched) if unfetched else None,
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


def _stretch(days: tuple[date, date]) -> str:
    first, last = days
    if first == last:
        return day(first)
    return _("%(first)s up to and including %(last)s", first=day(first), last=day(last))


def sentence(error: StatementError | Refused, connection: Connection) -> str:
    """What is wrong with the file, where, and what to do."""
    params: dict[str, object] = {
        "iban": iban(connection.iban),
        "currency": connection.currency,
        "megabytes": number(_MEGABYTES),
        **error.params,
    }
    code = error.code
    if code == "unknown_format":
        known = _OTHERS.get(str(params["looks_like"]), _OTHERS["unknown"])
        return f"{_(known)} {_('Choose MT940, camt.053 or CSV in your bank’s download.')}"
    if code in ("year_unlikely", "day_ahead"):
        params["day"] = day(error.params["day"])  # type: ignore[arg-type]
        if not params.get("line"):
            code = f"statement_{code}"
    if code == "other_account":
        accounts = error.params["accounts"]
        params["accounts"] = _listed(iban(name) for name, _key in accounts)  # type: ignore
    if code == "other_currency":
        params["currencies"] = _listed(error.params["currencies"])  # type: ignore[arg-type]
    if code == "column_wrong":
        params["column"] = _(COLUMNS[str(params["column"])])
    for name in ("line", "statement"):
        if isinstance(params.get(name), int):
            params[name] = number(params[name])  # type: ignore[arg-type]
    return _(UNREADABLE[code], **params)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _links(error: StatementError | Refused) -> list[tuple[str, str]]:
    """Ways on: the pages of the accounts of the file that have a link here."""
    accounts = error.params.get("accounts", ()) if error.code == "other_account" else ()
    return [
        (
            _("Upload it for %(iban)s", iban=iban(name)),
            url_for("uploads.page", connection_id=key),
        )
        for name, key in accounts  # type: ignore[union-attr,misc]
        if key is not None
    ]


# -- what it would bring --------------------------------------------------------------------------


@blueprint.get("/uploads/<int:upload_id>")
def look(connection_id: int, upload_id: int) -> Answer:
    upload = _upload(connection_id, upload_id)
    if upload.confirmed_at is not None:
        return _done_page(connection_id, upload)
    if upload.content is None:
        return _gone(connection_id, _(UNREADABLE["gone"]))
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
    try:
        found = taking.look(house().services, connection_id, upload.id, at(), typed=typed)
    except (StatementError, Refused) as refused:
        # The books changed under it: another start, another lock date.
        return _gone(connection_id, sentence(refused, _connection(connection_id)))
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
            facts=_facts(found, connection),
            counts=_counts(found),
            notes=_notes(found, connection),
            days=_days(found),
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
            error=_(UNREADABLE[error.code]) if error else None,
            wrong=error.field if error else None,
            submit=_submit(found),
            urls={
                name: url_for(f"uploads.{name}", connection_id=connection_id, upload_id=upload.id)
                for name in ("confirm", "cancel")
            },
            back=_back(row, connection),
        ),
        422 if error else 200,
    )


def _submit(found: Look) -> str:
    if found.new:
        return ngettext("Take in %(n)s transaction", "Take in %(n)s transactions", len(found.new))
    return _("Confirm")


def _facts(found: Look, connection: Connection) -> list[tuple[str, str]]:
    kind = _FORMATS[found.file.format]
    facts = [
        (_("Format"), f"{kind}, {found.file.bank}" if found.file.bank else kind),
        (_("Account"), iban(connection.iban)),
        (_("Transactions"), number(found.bookings)),
    ]
    if found.whole:
        facts.append((_("Days"), _stretch(found.whole)))
    for label, end in (
        (_("Opening balance"), found.opening),
        (_("Closing balance"), found.closing),
    ):
        if end is not None:
            held = amount(end[0], connection.currency)
            facts.append((label, _("%(amount)s on %(day)s", amount=held, day=day(end[1]))))
    return facts


def _counts(found: Look) -> list[tuple[str, str]]:
    """Tone and words."""
    said = [("well" if found.new else "off", _n(found.new, "%(n)s new", "%(n)s new"))]
    if found.known:
        said.append(("off", ngettext("%(n)s known already", "%(n)s known already", found.known)))
    if found.doubts:
        said.append(("todo", _n(found.doubts, "%(n)s in doubt", "%(n)s in doubt")))
    if found.early:
        said.append(
            (
                "off",
                ngettext(
                    "%(n)s before the start date, left out",
                    "%(n)s before the start date, left out",
                    found.early,
                ),
            )
        )
    if found.locked:
        said.append(
            (
                "off",
                ngettext(
                    "%(n)s in the locked period, left out",
                    "%(n)s in the locked period, left out",
                    found.locked,
                ),
            )
        )
    return said


def _n(items: Sequence[object], one: str, many: str) -> str:
    return ngettext(one, many, len(items))


def _notes(found: Look, connection: Connection) -> list[Notice]:
    """What a person should know before they confirm."""
    notes = []
    for name, off in found.off:
        by = amount(off, connection.currency)
        notes.append(
            (
                "todo",
                _("Statement %(name)s does not add up: %(by)s is left over.", name=name, by=by),
            )
            if name
            else ("todo", _("The balances in this file do not add up: %(by)s is left over.", by=by))
        )
    if found.off:
        notes.append(
            (
                "info",
                _(
                    "You can take it in all the same; the row then says that balances and"
                    " transactions disagree, until the missing ones are there."
                ),
            )
        )
    if found.part.others:
        which = _listed(iban(each) for each in found.part.others)
        notes.append(("info", _("The file also holds %(which)s; that stays out.", which=which)))
    if found.part.currencies:
        which = _listed(found.part.currencies)
        notes.append(
            (
                "info",
                _("The file also holds this account in %(which)s; that stays out.", which=which),
            )
        )
    if found.part.unsaid:
        notes.append(
            (
                "todo",
                _(
                    "The file does not say which account it is of. Check that it is %(iban)s.",
                    iban=iban(connection.iban),
                ),
            )
        )
    if found.part.older:
        notes.append(
            ("info", _("In the file this account is called %(name)s.", name=found.part.older))
        )
    if found.removed:
        notes.append(
            (
                "info",
                ngettext(
                    "%(n)s of the known ones was removed here earlier and stays so.",
                    "%(n)s of the known ones were removed here earlier and stay so.",
                    found.removed,
                ),
            )
        )
    if found.file.guessed:
        notes.append(
            (
                "info",
                _(
                    "Are the letters with accents right? The file was read as %(encoding)s.",
                    encoding=found.file.guessed,
                ),
            )
        )
    if found.file.garbled:
        notes.append(
            (
                "todo",
                _(
                    "Letters in this file were spoiled before it came here, as in “%(word)s”."
                    " Better upload the file as it comes from your bank, not opened and saved again.",
                    word=found.file.garbled,
                ),
            )
        )
    if found.file.loose:
        notes.append(
            (
                "info",
                _(
                    "The last line is not ended. Check that the file is complete: its last"
                    " transaction should be the last one of the period."
                ),
            )
        )
    return [Notice(tone=tone, text=text) for tone, text in notes]


def _days(found: Look) -> tuple[str, list[str]]:
    """Whether the file closes what is missing; and what it leaves."""
    left = [_stretch(each) for each in found.left]
    if not found.missing:
        return _("No days are missing here; the file changes nothing about that."), []
    if not left:
        return _("With this file no day is missing any more."), []
    if found.left == found.missing:
        return _("The missing days are not in this file. Still missing:"), left
    return _("This file closes a part of what is missing. Still missing afterwards:"), left


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
    picked = guess(table) if chosen is None else chosen
    with house().services.store.read() as session:
        record = one_record(session, connection_id)
        row = row_view(record, reader())
    said = sentence(error, record.connection) if error else None
    field = error.field if isinstance(error, Refused) else None
    if isinstance(error, StatementError):
        field = str(error.params.get("column", ""))
    form = Form(
        action="columns",
        title=_("Which column is what?"),
        intro=_(
            "This is a table of a kind that is not known here. Say which column holds what; what"
            " stands below is a guess."
        ),
        url=url_for("uploads.columns", connection_id=connection_id, upload_id=upload.id),
        version=0,
        error=said if said and field not in FIELDS else None,
        fields=tuple(
            Field(
                name=f"column_{name}",
                label=_(COLUMNS[name]).capitalize(),
                type="select",
                width="long",
                choices=_offered(table, picked.get(name)),
                error=said if name == field else None,
            )
            for name in FIELDS
        ),
        submit=_("Look first"),
        cancel=_back(row, record.connection),
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
    if request.form.get("do") == "keep":
        actions.choose(house().services, connection_id, upload_id, typed)
        return redirect(_address(connection_id, upload_id), 303)
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
                "%(n)s waits for your decision in the review tray.",
                "%(n)s wait for your decision in the review tray.",
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
        return _to_row(connection_id, Notice(tone="error", text=_(UNREADABLE[error.code])))
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
        late = not taking.can_take_back(session, upload)
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
            (_("In the review tray"), number(run.reviewed)),
        ]
        if run
        else [],
        back_again=run is not None and run.result == "undone",
        late=_(UNREADABLE["undo_late"]) if late else None,
        undo_url=url_for("uploads.undo", connection_id=connection_id, upload_id=upload.id),
        transactions=url_for("connections.transactions", connection_id=connection_id),
        back=_back(row, record.connection),
    )
