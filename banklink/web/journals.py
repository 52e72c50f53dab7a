"""Journals: the list, adding one or many, changing one, and what a change breaks or mends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import change_journal as actions
from banklink.actions.change_journal import Effect, Typed
from banklink.actions.choose_journal import check_iban
from banklink.actions.import_journals import against, import_journals
from banklink.actions.services import Missing, Refused, Stale
from banklink.core.calendar import FIRST_DAY
from banklink.core.statuses import Status
from banklink.core.texts import N_
from banklink.statements.journals import (
    JournalLine,
    JournalList,
    JournalsError,
    Problem,
    as_text,
    read_journals,
)
from banklink.store.facts import records
from banklink.store.models import Journal
from banklink.web.context import at, house, may_change, my_administration, person
from banklink.web.i18n import _, day, iban, ngettext, number
from banklink.web.panels import REFUSALS as ROW_REFUSALS
from banklink.web.rows import row_address
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Field, Form, Link, Notice

blueprint = Blueprint(
    "journals", __name__, url_prefix="/administrations/<int:administration_id>/journals"
)

Answer = BaseResponse | str | tuple[str, int]
UPLOAD = "journals.take_in"
"""The one endpoint that may be sent a large file."""

_SHOWN = 200
_NAMES = tuple(Typed.__dataclass_fields__)

REFUSALS: dict[str, str] = {
    **ROW_REFUSALS,
    "through_future": N_("Choose today or an earlier day; later days cannot be processed yet."),
    "has_iban": N_("Clear the IBAN first; then the journal can be deleted."),
}

PROBLEMS: dict[str, str] = {
    "code_missing": N_("There is no code."),
    "name_missing": N_("There is no name."),
    "code_too_long": N_("The code is longer than %(most)s characters."),
    "name_too_long": N_("The name is longer than %(most)s characters."),
    "iban_wrong": N_("This is no IBAN: %(iban)s."),
    "iban_check_digits": N_("The check digits of %(iban)s are not right; a digit is mistyped."),
    "code_twice": N_("Code %(code)s also stands in line %(line)s."),
    "iban_twice": N_("This IBAN also stands in line %(line)s."),
    "not_a_date": N_("“%(through)s” is no date. Write it like 2026-03-31 or 31-03-2026."),
    "year_unlikely": N_(
        "%(through)s is surely not the year that is meant; it has to be %(first)s or later."
    ),
    "date_in_future": N_("%(through)s has not been yet."),
    "code_exists": N_("There is already a journal %(code)s %(name)s."),
    "iban_exists": N_("This IBAN is already on journal %(code)s %(name)s."),
}

UNREADABLE: dict[str, str] = {
    "empty": N_("There is nothing to read yet. Paste lines, or choose a file."),
    "too_large": N_("The file is larger than %(megabytes)s MB. Export only the journals."),
    "too_many_lines": N_(
        "There are %(lines)s lines; at most %(most)s journals can be added at once. Is this the"
        " list of journals?"
    ),
    "unknown_format": N_(
        "This is no list of journals. Use a CSV file, an audit file (XAF 3.2), or paste the lines"
        " from a spreadsheet."
    ),
    "column_missing": N_(
        "The first line names the columns, but none is called “%(column)s”. Add that column."
    ),
    "columns_unknown": N_(
        "It is not clear which column is what. Put a first line above it: code;name;iban;processed"
        " through."
    ),
    "malformed": N_("The audit file cannot be read from line %(line)s on. Export it again."),
    "hostile_xml": N_(
        "The file holds a document type declaration, which no audit file has. It was not read."
    ),
    "no_journals": N_("There is no bank journal in this audit file."),
}


@dataclass(frozen=True, slots=True)
class JournalView:
    """One journal in the list; `state` is the diagnosis of its account."""

    id: int
    title: str
    iban: str | None
    through: str | None
    state: str | None
    urgency: str
    row: str | None
    change: Link | None  # for who may


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of a list to import; `problems` are sentences."""

    number: str
    code: str
    name: str
    iban: str
    through: str
    problems: tuple[str, ...]


# -- the list -----------------------------------------------------------------------------------


@blueprint.get("")
def page(administration_id: int) -> Answer:
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        found = {
            (each.connection.iban, each.connection.currency): each
            for each in records(session, administration_id, at())
        }
        views = []
        for journal in session.scalars(
            select(Journal)
            .where(Journal.administration_id == administration_id)
            .order_by(Journal.code, Journal.id)
        ):
            record = found.get((journal.iban or "", journal.currency))
            title = f"{journal.code} {journal.name}"
            views.append(
                JournalView(
                    id=journal.id,
                    title=title,
                    iban=iban(journal.iban) if journal.iban else None,
                    through=day(journal.processed_through) if journal.processed_through else None,
                    state=_(record.diagnosis.row.chip) if record else None,
                    urgency=record.diagnosis.urgency.name.lower() if record else "off",
                    row=row_address(administration_id, record.connection.id) if record else None,
                    change=Link(
                        label=_("Change"),
                        url=url_for(
                            "journals.journal",
                            administration_id=administration_id,
                            journal_id=journal.id,
                        ),
                    )
                    if may_change()
                    else None,
                )
            )
    return render_template(
        "books/journals.html",
        administration=administration.name,
        journals=views,
        may=may_change(),
        add=_link("add", _("Add journal"), "journals.new", administration_id),
        many=_link("add-many", _("Add several"), "journals.list_form", administration_id),
        notice=said(),
    )


def _link(action: str, label: str, endpoint: str, administration_id: int) -> Button:
    return Button(
        action=action,
        label=label,
        name=label,
        method="get",
        url=url_for(endpoint, administration_id=administration_id),
    )


def _onward(administration_id: int) -> BaseResponse:
    """Back to the guide for who came from there, else to the list."""
    if request.values.get("from") == "start":
        return redirect(url_for("start.page", administration=administration_id), 303)
    return redirect(url_for("journals.page", administration_id=administration_id), 303)


# -- one journal --------------------------------------------------------------------------------


@blueprint.get("/add")
def new(administration_id: int) -> Answer:
    return _new_page(administration_id, Typed("", "", "", ""))


@blueprint.post("/add")
def add(administration_id: int) -> Answer:
    typed = _typed()
    try:
        actions.add(house().services, administration_id, at(), typed=typed, actor=person().name)
    except Refused as error:
        return _new_page(administration_id, typed, error), 422
    say("ok", _("Journal %(code)s has been added.", code=typed.code.strip()))
    return _onward(administration_id)


def _new_page(administration_id: int, typed: Typed, error: Refused | None = None) -> str:
    with house().services.store.read() as session:
        name = my_administration(session, administration_id).name
    form = Form(
        action="add",
        title=_("Add journal"),
        url=url_for("journals.add", administration_id=administration_id),
        version=0,
        fields=_fields(typed, error),
        submit=_("Add journal"),
        cancel=_cancel(administration_id),
        hidden=_from(),
    )
    return render_template("books/journal.html", administration=name, form=form)


@blueprint.get("/<int:journal_id>")
def journal(administration_id: int, journal_id: int) -> Answer:
    return _journal_page(administration_id, journal_id)


@blueprint.post("/<int:journal_id>")
def change(administration_id: int, journal_id: int) -> Answer:
    typed = _typed()
    try:
        unseen = _unconfirmed(administration_id, journal_id, typed.iban)
        if unseen is not None:
            return _journal_page(administration_id, journal_id, typed=typed, confirm=unseen)
        actions.change(
            house().services,
            administration_id,
            journal_id,
            at(),
            typed=typed,
            version=_version(),
            actor=person().name,
        )
    except Refused as error:
        return _journal_page(administration_id, journal_id, typed=typed, error=error), 422
    except Stale as error:
        return _journal_page(administration_id, journal_id, typed=typed, stale=error), 409
    except Missing:
        return _gone(administration_id)
    say("ok", _("Journal %(code)s has been saved.", code=typed.code.strip()))
    return _onward(administration_id)


def _unconfirmed(administration_id: int, journal_id: int, typed: str) -> str | None:
    """The IBAN when giving it to the journal breaks something the person has not been told of."""
    with house().services.store.read() as session:
        found = actions.my_journal(session, administration_id, journal_id)
        wanted = check_iban(typed) if typed.strip() else None
        told = request.form.getlist("confirmed")
        if found.version != _version() or (wanted or "none") in told:
            return None
        breaks = any(each.breaks for each in actions.effects(session, found, wanted, at()))
        return (wanted or "none") if breaks else None


@blueprint.get("/<int:journal_id>/consequence")
def consequence(administration_id: int, journal_id: int) -> Answer:
    """What the IBAN typed so far would do, while it is being typed."""
    typed = request.args.get("iban", "")
    with house().services.store.read() as session:
        found = _my_journal(session, administration_id, journal_id)
        try:
            wanted = check_iban(typed) if typed.strip() else None
        except Refused:
            return ""
        found_effects = actions.effects(session, found, wanted, at())
    return render_template(
        "books/_consequence.html",
        said=[_effect(each) for each in found_effects],
        confirmed=(wanted or "none") if found_effects else None,
    )


def _effect(effect: Effect) -> str:
    account = iban(effect.iban)
    before = _(effect.before.chip) if effect.before else ""
    after = _(effect.after.chip) if effect.after else ""
    if effect.after is None:
        return _("%(iban)s no longer has a row here; what was fetched is kept.", iban=account)
    if effect.before is None:
        return _("%(iban)s gets a row here: “%(after)s”.", iban=account, after=after)
    if effect.before.status is effect.after.status:
        return _("%(iban)s stays “%(after)s”.", iban=account, after=after)
    if effect.breaks and effect.before.status is Status.ACTIVE:
        return _(
            "%(iban)s goes from “%(before)s” to “%(after)s”: nothing more is fetched until a"
            " journal carries this IBAN again. What was fetched is kept.",
            iban=account,
            before=before,
            after=after,
        )
    if effect.after.status is Status.ACTIVE:
        return _(
            "%(iban)s goes from “%(before)s” to “%(after)s”: fetching goes on, and what was missed"
            " is fetched.",
            iban=account,
            before=before,
            after=after,
        )
    return _(
        "%(iban)s goes from “%(before)s” to “%(after)s”.",
        iban=account,
        before=before,
        after=after,
    )


def _journal_page(
    administration_id: int,
    journal_id: int,
    *,
    typed: Typed | None = None,
    error: Refused | None = None,
    stale: Stale | None = None,
    confirm: str | None = None,
) -> str:
    """`confirm` is the IBAN whose consequence is to be confirmed."""
    with house().services.store.read() as session:
        name = my_administration(session, administration_id).name
        found = _my_journal(session, administration_id, journal_id)
        asked = (
            actions.effects(session, found, None if confirm == "none" else confirm, at())
            if confirm
            else []
        )
        clearing = actions.effects(session, found, None, at())
    now = _as_typed(found)
    title = f"{found.code} {found.name}"
    where = {"administration_id": administration_id, "journal_id": journal_id}
    general = REFUSALS.get(error.code) if error and error.field not in _NAMES else None
    form = Form(
        action="save",
        title=_("Journal %(title)s", title=title),
        url=url_for("journals.change", **where),  # type: ignore[arg-type]
        version=found.version,
        fields=_fields(typed or now, error),
        submit=_("Save all the same") if asked else _("Save"),
        cancel=_cancel(administration_id),
        error=_changed_meanwhile(stale, now) if stale else (_(general) if general else None),
        preview=url_for("journals.consequence", **where),  # type: ignore[arg-type]
        preview_text=" ".join(_effect(each) for each in asked) or None,
        hidden=(
            *_from(),
            *((f"was_{key}", getattr(now, key)) for key in _NAMES),
            *((("confirmed", confirm),) if confirm else ()),
        ),
    )
    version = (("version", str(found.version)),)
    last = Button(
        action="clear" if found.iban else "delete",
        label=_("Clear IBAN") if found.iban else _("Delete journal"),
        name=_("Clear IBAN") if found.iban else _("Delete journal"),
        method="post",
        url=url_for(
            "journals.clear" if found.iban else "journals.delete",
            **where,  # type: ignore[arg-type]
        ),
        fields=version,
    )
    return render_template(
        "books/journal.html",
        administration=name,
        form=form,
        last=last,
        consequence=[_effect(each) for each in clearing]
        or [_("It has no IBAN, so nothing is fetched for it and it can go. There is no way back.")],
    )


def _changed_meanwhile(stale: Stale, now: Typed) -> str:
    """What the other person changed, against what this one had before them."""
    words = {
        "code": _("Code"),
        "name": _("Name"),
        "iban": _("IBAN"),
        "through": _("Processed through"),
    }
    parts = [
        _("%(field)s is now “%(value)s”", field=words[key], value=_shown(key, getattr(now, key)))
        for key in _NAMES
        if request.form.get(f"was_{key}", "") != getattr(now, key)
    ]
    return _(
        "%(by)s was first: %(what)s. What you typed is still here; save again to put it in its"
        " place.",
        by=stale.by or _("Someone else"),
        what="; ".join(parts) or _("something was changed and changed back"),
    )


def _shown(key: str, value: str) -> str:
    if not value:
        return "–"
    if key == "through":
        return day(date.fromisoformat(value))
    return iban(value) if key == "iban" else value


def _as_typed(found: Journal) -> Typed:
    through = found.processed_through
    return Typed(found.code, found.name, found.iban or "", through.isoformat() if through else "")


@blueprint.post("/<int:journal_id>/clear")
def clear(administration_id: int, journal_id: int) -> Answer:
    try:
        was = actions.clear_iban(
            house().services,
            administration_id,
            journal_id,
            at(),
            version=_version(),
            actor=person().name,
        )
    except Stale as error:
        return _journal_page(administration_id, journal_id, stale=error), 409
    except Missing:
        return _gone(administration_id)
    with house().services.store.read() as session:
        found = _my_journal(session, administration_id, journal_id)
    undo = Button(
        action="undo",
        label=_("Undo"),
        name=_("Undo: put the IBAN back on %(code)s", code=found.code),
        method="post",
        url=url_for("journals.undo", administration_id=administration_id, journal_id=journal_id),
        fields=(("iban", was or ""), ("version", str(found.version))),
    )
    title = f"{found.code} {found.name}"
    say("ok", _("The IBAN was taken off %(title)s.", title=title), undo if was else None)
    return _onward(administration_id)


@blueprint.post("/<int:journal_id>/undo")
def undo(administration_id: int, journal_id: int) -> Answer:
    try:
        actions.put_back(
            house().services,
            administration_id,
            journal_id,
            at(),
            iban=request.form.get("iban", ""),
            version=_version(),
            actor=person().name,
        )
    except Refused as error:
        say("error", _refusal(error))
    except Stale:
        say("error", _("The journal has been changed meanwhile, so it was left as it is."))
    except Missing:
        return _gone(administration_id)
    else:
        say("ok", _("The IBAN is back on the journal."))
    return _onward(administration_id)


@blueprint.post("/<int:journal_id>/delete")
def delete(administration_id: int, journal_id: int) -> Answer:
    try:
        actions.delete(house().services, administration_id, journal_id, version=_version())
    except Refused as error:
        return _journal_page(administration_id, journal_id, error=error), 409
    except Stale as error:
        return _journal_page(administration_id, journal_id, stale=error), 409
    except Missing:
        return _gone(administration_id)
    say("ok", _("The journal has been deleted."))
    return _onward(administration_id)


def _gone(administration_id: int) -> Answer:
    """Somebody deleted it, or it never was: the list shows what there is."""
    with house().services.store.read() as session:
        my_administration(session, administration_id)
    abort(404)


def _my_journal(session: Session, administration_id: int, journal_id: int) -> Journal:
    try:
        return actions.my_journal(session, administration_id, journal_id)
    except Missing:
        abort(404)


def _typed() -> Typed:
    return Typed(*(request.form.get(name, "") for name in _NAMES))


def _version() -> int:
    text = request.form.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _from() -> tuple[tuple[str, str], ...]:
    return (("from", "start"),) if request.values.get("from") == "start" else ()


def _cancel(administration_id: int) -> Button:
    guide = request.values.get("from") == "start"
    return Button(
        action="cancel",
        label=_("Cancel"),
        name=_("Cancel"),
        method="get",
        url=url_for("start.page", administration=administration_id)
        if guide
        else url_for("journals.page", administration_id=administration_id),
    )


def _refusal(error: Refused) -> str:
    return _(REFUSALS[error.code], **{key: str(value) for key, value in error.params.items()})


def _fields(typed: Typed, error: Refused | None) -> tuple[Field, ...]:
    said_of = {error.field: _refusal(error)} if error else {}
    return (
        Field(
            name="code",
            label=_("Code"),
            type="text",
            value=typed.code,
            width="short",
            required=True,
            error=said_of.get("code"),
        ),
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
            name="iban",
            label=_("IBAN"),
            type="text",
            value=iban(typed.iban) if typed.iban.isalnum() else typed.iban,
            width="long",
            hint=_("The account whose transactions belong in this journal; may be empty."),
            error=said_of.get("iban"),
        ),
        Field(
            name="through",
            label=_("Processed through"),
            type="date",
            value=typed.through,
            minimum=FIRST_DAY.isoformat(),
            maximum=at().today.isoformat(),
            hint=_("The last day you have already entered; fetching is proposed from the next."),
            error=said_of.get("through"),
        ),
    )


# -- many at once -------------------------------------------------------------------------------


@blueprint.get("/import")
def list_form(administration_id: int) -> Answer:
    return _list_page(administration_id, "")


@blueprint.post("/import")
def take_in(administration_id: int) -> Answer:
    """Look first, add then: what is added is what was looked at. A file goes into the box, so
    that nothing has to be chosen twice."""
    typed = request.form.get("text", "")
    file = request.files.get("file")
    data = b""
    if file is not None:
        data = file.read()
        file.close()
    try:
        if data:
            found = read_journals(data, today=at().today)
            before = read_journals(typed, today=at().today).lines if typed.strip() else ()
            text = as_text((*before, *found.lines))
            found = replace(
                read_journals(text, today=at().today),
                guessed=found.guessed,
                unused=found.unused,
                taken=found.taken,
            )
        else:
            text, found = typed, read_journals(typed, today=at().today)
    except JournalsError as error:
        return _list_page(administration_id, typed, error=error), 422
    if request.form.get("seen") != _fingerprint(text) or request.form.get("do") == "look":
        with house().services.store.read() as session:
            found = replace(found, lines=against(session, administration_id, found.lines))
        return _list_page(administration_id, text, found=found)
    added, left = import_journals(
        house().services, administration_id, found.lines, at(), actor=person().name
    )
    done = ngettext("%(n)s journal added.", "%(n)s journals added.", added)
    if not left:
        say("ok", done)
        return _onward(administration_id)
    again, text = _left_over(found, left)
    with house().services.store.read() as session:
        again = replace(again, lines=against(session, administration_id, again.lines))
    rest = ngettext(
        "%(n)s line is still in the box: mend it and look again.",
        "%(n)s lines are still in the box: mend them and look again.",
        len(left),
    )
    notice = Notice(tone="ok" if added else "error", text=f"{done} {rest}")
    return _list_page(administration_id, text, found=again, notice=notice)


def _left_over(found: JournalList, left: tuple[JournalLine, ...]) -> tuple[JournalList, str]:
    """What stays in the box. The good lines are in the books by now, and it was perhaps from them
    that the reader knew which column was what; then the rest gets a header of its own."""

    def read(lines: tuple[JournalLine, ...]) -> list[tuple[object, ...]]:
        return [(line.code, line.name, line.written) for line in lines]

    text = "\n".join((found.heading or "", *(line.source for line in left)))
    today = at().today
    for each in (text, as_text(left)) if found.heading else (as_text(left),):
        try:
            again = read_journals(each, today=today)
        except JournalsError:
            continue
        if read(again.lines) == read(left):
            return again, each
    return replace(found, lines=left), text


def _fingerprint(text: str) -> str:
    """Browsers send line ends of their own."""
    return hashlib.sha256("\n".join(text.splitlines()).strip().encode()).hexdigest()[:16]


def _list_page(
    administration_id: int,
    text: str,
    *,
    found: JournalList | None = None,
    error: JournalsError | None = None,
    notice: Notice | None = None,
) -> str:
    with house().services.store.read() as session:
        name = my_administration(session, administration_id).name
    good = len(found.good) if found else 0
    sentence = _(UNREADABLE[error.code], **_readable(error.params)) if error else None
    look = Button(
        action="look",
        label=_("Look again") if good else _("Look first"),
        name=_("Look first"),
        method="post",
        url="",
        fields=(("do", "look"),),
    )
    form = Form(
        action="import" if good else "look",
        title=_("Add several journals"),
        intro=_(
            "Paste the lines from a spreadsheet or your bookkeeping program, or choose a CSV file"
            " or an audit file (XAF 3.2). Nothing is added before you have seen it."
        ),
        url=url_for("journals.take_in", administration_id=administration_id),
        version=0,
        upload=True,
        fields=(
            Field(
                name="text",
                label=_("Lines"),
                type="textarea",
                value=text,
                width="long",
                hint=_("One journal per line: code, name, IBAN, processed through. For example:")
                + " 1100;Bank;NL85DEMO0417164300;2026-03-31",
                error=sentence,
            ),
            Field(name="file", label=_("Or a file"), type="file"),
        ),
        submit=ngettext("Add %(n)s journal", "Add %(n)s journals", good)
        if good
        else _("Look first"),
        also=look if good else None,
        cancel=_cancel(administration_id),
        hidden=(*_from(), *((("seen", _fingerprint(text)),) if good else ())),
    )
    shown = sorted(found.lines, key=lambda line: not line.problems)[:_SHOWN] if found else []
    return render_template(
        "books/import.html",
        administration=name,
        form=form,
        lines=[_line(each) for each in shown],
        summary=_summary(found) if found else None,
        columns=_columns(found) if found else (),
        guessed=found.guessed if found else None,
        notice=notice,
    )


def _columns(found: JournalList) -> tuple[str, ...]:
    """What a title did not say: what was taken by its looks, and of what nothing was taken."""
    fields = {"iban": _("IBAN"), "through": _("Processed through")}
    said = [
        _("Read as “%(field)s”: %(column)s.", column=_column(title), field=fields[name])
        for name, title in found.taken.items()
    ]
    if found.unused:
        which = ", ".join(_column(title) for title in found.unused)
        said.append(_("Not used: %(which)s.", which=which))
    return tuple(said)


def _column(title: str | int) -> str:
    if isinstance(title, int):
        return _("column %(n)s", n=number(title))
    return _("column “%(title)s”", title=title)


def _readable(params: dict[str, str | int]) -> dict[str, str]:
    columns = {"code": _("code"), "name": _("name")}
    return {
        key: number(value) if isinstance(value, int) else columns.get(value, value)
        for key, value in params.items()
    }


def _summary(found: JournalList) -> str:
    good, bad = len(found.good), len(found.bad)
    parts = [
        ngettext("%(n)s journal can be added", "%(n)s journals can be added", good),
        ngettext("%(n)s line has a problem", "%(n)s lines have a problem", bad)
        if bad
        else _("all lines are right"),
    ]
    if len(found.lines) > _SHOWN:
        parts.append(_("the first %(n)s are shown", n=number(_SHOWN)))
    return " · ".join(parts)


def _line(line: JournalLine) -> LineView:
    return LineView(
        number=number(line.number),
        code=line.code,
        name=line.name,
        iban=iban(line.iban) if line.iban else "",
        through=day(line.through) if line.through else line.written[1],
        problems=tuple(_problem(each, line) for each in line.problems),
    )


def _problem(problem: Problem, line: JournalLine) -> str:
    values = {"code": line.code, "iban": line.iban or "", "through": line.written[1]}
    return _(PROBLEMS[problem.code], **{**values, **problem.params})
