"""What opens in a row: the drawer, and the forms with the answer already filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from flask import url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from banklink.actions import ledger
from banklink.actions.activate import Preview, Terms, terms, twice
from banklink.actions.services import Refused, Stale
from banklink.core.calendar import FIRST_DAY
from banklink.core.diagnose import Step, ladder
from banklink.core.facts import HolderFacts, Switch
from banklink.core.statuses import Action
from banklink.core.texts import N_
from banklink.store.facts import Record, holder_names
from banklink.store.models import Account, Event, FetchRun, Invitation, Journal, Transaction
from banklink.web.addresses import help_address
from banklink.web.called import called
from banklink.web.history import event_view
from banklink.web.i18n import _, day, day_of, iban, moment, ngettext, number, soon, when
from banklink.web.rows import Reader, row_url, row_view, spoken_title, upload_address
from banklink.web.strip import strip
from banklink.web.viewmodel import Button, Choice, Details, Field, Form, RungView

Typed = Mapping[str, str]

_HISTORY = 8

REFUSALS: dict[str, str] = {
    "not_a_date": N_("That is not a date. Write it as year-month-day, for instance 2025-04-01."),
    "year_unlikely": N_(
        "%(year)s is surely not the year you mean. Choose a day in the years %(first)s through"
        " %(last)s."
    ),
    "start_future": N_("Choose today or an earlier day; tomorrow's transactions are not there."),
    "start_locked": N_("The books are locked through %(locked)s. Choose a day after that."),
    "start_too_early": N_(
        "Choose a day from %(earliest)s; the bank does not deliver anything earlier."
    ),
    "already_on": N_("This link is already switched on."),
    "not_on": N_("This link is not switched on; activate it first."),
    "never_on": N_("This link was never switched on; activate it instead."),
    "was_on_before": N_("This link was switched on before; switch it on yourself after the bank."),
    "no_journal": N_("There is no journal with this IBAN. Choose a journal first."),
    "holder_not_usable": N_(
        "Fetching via this person does not work now. Choose someone else, or renew first."
    ),
    "journal_unknown": N_("Choose one of the journals in the list."),
    "journal_has_iban": N_("Journal %(code)s %(name)s already carries another IBAN."),
    "iban_missing": N_("Fill in the IBAN of the journal."),
    "iban_wrong": N_("This IBAN is not right; check the digits, for instance on a statement."),
    "iban_taken": N_("This IBAN is already on journal %(code)s %(name)s."),
    "code_missing": N_("Fill in a code for the journal, for instance 1100."),
    "name_missing": N_("Fill in a name for the journal, for instance Bank."),
    "too_long": N_("This is too long; at most 20 characters for a code and 100 for a name."),
    "code_taken": N_("This code is already in use for %(name)s. Choose another one."),
    "provider_unavailable": N_(
        "%(provider)s does not answer right now; nothing was changed. Try again in a few minutes."
    ),
    "access_gone": N_("The access was withdrawn meanwhile; nothing was changed."),
    "nothing_shared": N_("This account is no longer shared, so the bank cannot be asked for it."),
    "belongs_here": N_(
        "A journal has this IBAN or it is switched on, so it cannot be hidden."
        " Take the IBAN off the journal first."
    ),
    "nothing_to_finish": N_("There is nothing left to finish; the row shows how things stand."),
    "already_invited": N_(
        "%(name)s has been asked for this already, by a link that is good until %(until)s. Send it"
        " again from the row, or withdraw it first."
    ),
    "too_often": N_(
        "You sent very many invitations in a short time. Wait a few minutes; what you typed is"
        " still here."
    ),
    "just_sent": N_("This was sent to %(name)s less than a minute ago."),
    "sent_enough": N_(
        "%(name)s was sent this five times in a day. Call them, or hand over the link yourself."
    ),
    "invitation_over": N_("This invitation is over; the row shows how things stand now."),
    "invitation_shared": N_(
        "This invitation is also for books you do not work in. Ask a colleague who does both."
    ),
    "accounts_missing": N_("Choose at least one account."),
    "language_unknown": N_("Choose one of the languages."),
    "message_long": N_("That is too long for a mail; keep it under %(most)s letters."),
    "message_odd": N_("There is a sign in it that a mail cannot carry. Type the text anew."),
    "own_name_missing": N_("Fill in a name."),
    "own_name_long": N_("A name has at most 100 letters, on one line. Choose a shorter one."),
    "email_missing": N_("Fill in an e-mail address."),
    "email_wrong": N_("This is no e-mail address. Write it like name@example.nl."),
    "request_no_email": N_(
        "No e-mail address of this account holder is known; hand over a link instead."
    ),
    "request_not_needed": N_("There is nothing to renew here any more; the row shows how it is."),
    "stale": N_("Meanwhile changed by %(by)s. Check what stands here now and confirm again."),
}

_STEPS: dict[Step, str] = {
    Step.JOURNAL: N_("Journal with this IBAN"),
    Step.ACCESS: N_("Access to the entrepreneur app"),
    Step.LISTED: N_("Account ticked"),
    Step.AUTHORISATION: N_("Authorisation at the bank"),
    Step.SWITCH: N_("Switched on"),
}


def refusal(error: Refused, reader: Reader) -> str:
    """The sentence for a refusal, with its days and names in the reader's language."""
    params = {"provider": reader.provider}
    for name, value in error.params.items():
        text = str(value) if value is not None else ""
        is_day = name in ("earliest", "locked", "latest", "until") and text
        params[name] = day(date.fromisoformat(text)) if is_day else text
    return _(REFUSALS[error.code], **params)


def stale(error: Stale) -> str:
    return _(REFUSALS["stale"], by=error.by or _("the program"))


def cancel(record: Record, title: str) -> Button:
    return Button(
        action="cancel",
        label=_("Cancel"),
        name=_("Cancel: %(title)s", title=title),
        method="get",
        url=row_url(record),
        fragment=url_for("connections.row", connection_id=record.connection.id),
    )


# -- the drawer ---------------------------------------------------------------------------------


def details(session: Session, record: Record, reader: Reader, *, everything: bool) -> Details:
    connection = record.connection
    view, spoken = row_view(record, reader), spoken_title(record)
    events = session.scalars(
        select(Event)
        .where(Event.connection_id == connection.id)
        .order_by(Event.at.desc(), Event.id.desc())
        .limit(None if everything else _HISTORY + 1)
    ).all()
    told_of = [event.params["holder"] for event in events if "holder" in event.params]
    known = holder_names(session, connection.administration_id, told_of)
    names = {number: called(name, number) for number, name in known.items()}
    invited = _invited(session, events)
    close = cancel(record, spoken)
    more = len(events) > _HISTORY and not everything
    return Details(
        close=Button(
            action="close",
            label=_("Close"),
            name=_("Close details of %(title)s", title=spoken),
            method="get",
            url=close.url,
            fragment=close.fragment,
        ),
        ladder=_ladder(record, reader),
        holders=view.holders,
        history=tuple(
            event_view(event, names, invited, reader.at.now)
            for event in (events[:_HISTORY] if more else events)
        ),
        more_history=Button(
            action="history",
            label=_("Show everything"),
            name=_("Show everything of %(title)s", title=spoken),
            method="get",
            url=row_url(record, "history"),
            fragment=url_for("connections.row", connection_id=connection.id, open="history"),
        )
        if more
        else None,
        facts=_fetched(session, record, reader),
        transactions=Button(
            action="transactions",
            label=_("Show transactions"),
            name=_("Show transactions of %(title)s", title=spoken),
            method="get",
            url=url_for("transactions.page", connection_id=connection.id),
        ),
        statements=Button(
            action="statements",
            label=_("Statements"),
            name=_("Statements of %(title)s", title=spoken),
            method="get",
            url=url_for("exports.page", connection_id=connection.id),
        ),
        technical=_technical(record),
        help=_what_it_means(record, view.chip, spoken),
        strip=strip(session, record, reader),
        upload=_upload(record, spoken) if reader.may_change and connection.start_date else None,
    )


def _upload(record: Record, title: str) -> Button:
    return Button(
        action="upload",
        label=_("Upload a statement"),
        name=_("Upload a statement of %(title)s", title=title),
        method="get",
        url=upload_address(record.connection.id),
    )


def _invited(session: Session, events: Sequence[Event]) -> dict[int, str]:
    """What those are called whom these events are about."""
    numbers = {each.params["invitation"] for each in events if "invitation" in each.params}
    found = session.scalars(select(Invitation).where(Invitation.id.in_(numbers)))
    return {
        each.id: each.name or (called(None, each.holder_id) if each.holder_id else "")
        for each in (found if numbers else ())
    }


def _what_it_means(record: Record, chip: str, title: str) -> Button:
    label = _("What does “%(chip)s” mean?", chip=chip)
    return Button(
        action="help",
        label=label,
        name=f"{label} – {title}",
        method="get",
        url=help_address(record.diagnosis.status.value),
    )


def _ladder(record: Record, reader: Reader) -> tuple[RungView, ...]:
    holder = record.facts.holders.get(record.diagnosis.concerns or "")
    rungs = []
    for index, rung in enumerate(ladder(record.facts, record.diagnosis), start=1):
        off = rung.step is Step.SWITCH and rung.holds is False
        state = {True: "ok", False: "broken", None: "unknown"}[rung.holds]
        text = {True: _("in order"), False: _("not in order"), None: _("not known yet")}[rung.holds]
        rungs.append(
            RungView(
                number=index,
                label=_(_STEPS[rung.step]),
                state="off" if off else state,
                state_text=_("off") if off else text,
                detail=_rung_detail(rung.step, record, holder),
                here=rung.here,
            )
        )
    return tuple(rungs)


def _rung_detail(step: Step, record: Record, holder: HolderFacts | None) -> str:
    connection, journal = record.connection, record.journal
    if step is Step.JOURNAL:
        return f"{journal.code} {journal.name}" if journal else _("none")
    if step is Step.SWITCH:
        if record.facts.switch is Switch.ON and connection.start_date:
            return _("from %(date)s", date=day(connection.start_date))
        return _("never") if record.facts.switch is Switch.NEVER else _("switched off")
    if holder is None:
        return _("no account holder known") if step is Step.ACCESS else ""
    name = called(holder.name, record.diagnosis.concerns)
    if step is Step.ACCESS:
        if holder.grant == "active" and holder.granted_at:
            return _("%(name)s, since %(date)s", name=name, date=day_of(holder.granted_at))
        if holder.revoked_at:
            if holder.withdrawn_here:
                word = N_("%(name)s, withdrawn here %(date)s")
            else:
                word = N_("%(name)s, withdrawn %(date)s")
            return _(word, name=name, date=day_of(holder.revoked_at))
        return name
    if step is Step.LISTED:
        if holder.visible and holder.listed_at:
            return _("since %(date)s", date=day_of(holder.listed_at))
        return _("not ticked, or removed") if holder.grant == "active" else ""
    if not holder.visible:
        return ""
    if holder.authorisation == "revoked" and holder.ended_at:
        return _("withdrawn at the bank, seen on %(date)s", date=day_of(holder.ended_at))
    if holder.valid_until:
        word = N_("valid until %(date)s") if holder.usable else N_("expired on %(date)s")
        return _(word, date=day_of(holder.valid_until))
    return _("not connected yet")


def _fetched(session: Session, record: Record, reader: Reader) -> tuple[tuple[str, str], ...]:
    connection = record.connection
    count, oldest, newest = session.execute(
        select(
            func.count(Transaction.id),
            func.min(Transaction.booked_on),
            func.max(Transaction.booked_on),
        ).where(Transaction.connection_id == connection.id)
    ).one()
    run = session.scalar(
        select(FetchRun)
        .where(FetchRun.connection_id == connection.id, FetchRun.kind == "fetch")
        .order_by(FetchRun.id.desc())
        .limit(1)
    )
    share = record.concerned_share or record.selected_share
    visible = record.facts.holders.get(str(share.holder.id)) if share else None
    account = share.account if share and visible and visible.visible else None
    facts = [(_("Fetched"), ngettext("%(n)s transaction", "%(n)s transactions", count))]
    if oldest and newest:
        facts.append(
            (
                _("Booked"),
                _("%(first)s up to and including %(last)s", first=day(oldest), last=day(newest)),
            )
        )
    if connection.gap_from and connection.gap_to:
        facts.append(
            (
                _("Missing"),
                _(
                    "%(first)s up to and including %(last)s",
                    first=day(connection.gap_from),
                    last=day(connection.gap_to),
                ),
            )
        )
    elif connection.watermark and connection.start_date:
        facts.append(
            (
                _("Complete"),
                _(
                    "%(first)s up to and including %(last)s",
                    first=day(connection.start_date),
                    last=day(connection.watermark),
                ),
            )
        )
    if connection.start_date:
        facts.append((_("Start date"), day(connection.start_date)))
    if account and account.available_from:
        facts.append((_("First available"), day(account.available_from)))
    if run:
        facts.append((_("Last attempt"), _run_text(run, reader)))
    if account and connection.switch == "on":
        facts.append((_("The bank's limit"), _limit(session, account, reader)))
    if connection.switch == "on" and connection.next_fetch_at:
        facts.append((_("Next check"), when(connection.next_fetch_at, reader.at.today)))
    return tuple(facts)


def _limit(session: Session, account: Account, reader: Reader) -> str:
    """How often it may still be read by itself; where the bank itself asked for a pause nothing is
    left, whatever the count says."""
    if account.paused_until is not None and ledger.is_paused(account, reader.at):
        until = soon(account.paused_until, reader.at.now)
        return _("the bank asked to wait until %(when)s", when=until)
    left = ledger.left(session, account.id, ledger.TRANSACTIONS, reader.at)
    return _("%(n)s of %(all)s fetches left in 24 hours", n=left, all=ledger.BUDGET)


_RESULTS: dict[str | None, str] = {
    "ok": N_("%(when)s: done"),
    "refused": N_("%(when)s: no access"),
    "unreadable": N_("%(when)s: the answer could not be read"),
    "abandoned": N_("%(when)s: broken off"),
    None: N_("%(when)s: not finished, is resumed"),
}


def _run_text(run: FetchRun, reader: Reader) -> str:
    sentence = _RESULTS.get(run.result, _RESULTS["refused"])
    return _(sentence, when=when(run.started_at, reader.at.today))


def _technical(record: Record) -> tuple[tuple[str, str], ...]:
    share = record.concerned_share
    rows = [
        (_("Rule"), record.diagnosis.row.key),
        (_("Status"), record.diagnosis.status.value),
        (_("Row version"), str(record.connection.version)),
    ]
    holder = record.facts.holders.get(record.diagnosis.concerns or "")
    if share and share.account and share.account.ref and holder and holder.visible:
        rows.append((_("Account at the provider"), share.account.ref))
        if share.account.synchronized_at:
            rows.append((_("Bank last asked"), moment(share.account.synchronized_at)))
    if record.attempt:
        rows.append(
            (
                _("Last attempt at the bank"),
                f"#{record.attempt.id} {record.attempt.outcome or _('under way')}",
            )
        )
    return tuple(rows)


# -- forms --------------------------------------------------------------------------------------


def form(
    session: Session,
    record: Record,
    action: Action,
    reader: Reader,
    *,
    typed: Typed | None = None,
    error: Refused | None = None,
    stale_by: Stale | None = None,
    preview: Preview | None = None,
) -> Form:
    """The inline form of an action, with what was typed kept and the error at its field."""
    build = {
        Action.ACTIVATE: _activate,
        Action.ARM: _arm,
        Action.CHANGE_START: _change_start,
        Action.CHOOSE_JOURNAL: _choose_journal,
        Action.REMOVE: _remove,
    }[action]
    typed = typed or {}
    title = row_view(record, reader).title
    made = build(session, record, reader, title, typed)
    at_field = {error.field: refusal(error, reader)} if error and error.field else {}
    fields = tuple(
        Field(
            **{
                **{name: getattr(field, name) for name in Field.__dataclass_fields__},
                "error": at_field.get(field.name),
                "offer": _way_out(field, error) if field.name in at_field else None,
            }
        )
        for field in made["fields"]
    )
    known = {field.name for field in fields}
    general = None
    if error and error.field not in known:
        general = refusal(error, reader)
    if stale_by is not None:
        general = stale(stale_by)
    return Form(
        action=action.value,
        url=url_for(
            f"connections.{action.value.replace('-', '_')}", connection_id=record.connection.id
        ),
        version=record.connection.version,
        cancel=cancel(record, spoken_title(record)),
        error=general,
        title=made["title"],
        intro=made.get("intro"),
        fields=fields,
        submit=made["submit"],
        preview=made.get("preview"),
        preview_text=said_before(preview, made.get("twice"), reader),
    )


def _way_out(field: Field, error: Refused | None) -> tuple[str, str] | None:
    if error is None or error.offer is None or field.type != "date":
        return None
    return _("Take %(date)s", date=day(date.fromisoformat(error.offer))), error.offer


def preview_text(preview: Preview, reader: Reader) -> str:
    if preview.more:
        return _("More than %(n)s transactions up to today", n=number(preview.count))
    return ngettext(
        "%(n)s transaction up to today", "%(n)s transactions up to today", preview.count
    )


def twice_text(session: Session, record: Record, start: date, reader: Reader) -> str | None:
    """A warning, where the day brings transactions that may be in the books already."""
    found = twice(record, start)
    if found is None:
        return None
    processed, safe = found
    warning = _(
        "These days were processed already, through %(date)s: transactions that are in your books"
        " may come twice.",
        date=day(processed),
    )
    latest = terms(session, record, None, reader.at).latest
    if safe > latest:
        return warning
    return f"{warning} {_('Take %(date)s to prevent that.', date=day(safe))}"


def _twice_as_typed(session: Session, record: Record, field: Field, reader: Reader) -> str | None:
    """The same for the day that stands in the form as it opens."""
    try:
        start = date.fromisoformat(field.value.strip())
    except ValueError:
        return None
    if not FIRST_DAY <= start <= reader.at.today:
        return None
    return twice_text(session, record, start, reader)


def said_before(preview: Preview | None, twice: str | None, reader: Reader) -> str | None:
    """What is said of a start day before it is sent."""
    if preview is None:
        return twice
    count = preview_text(preview, reader)
    return f"{count}. {twice}" if twice else count


def chosen_holder(record: Record, typed: Typed) -> str | None:
    """The holder the form stands on: what was chosen, else the selected or first usable one."""
    wish = typed.get("holder")
    if wish in record.facts.holders:
        return wish
    usable = [key for key, facts in record.facts.holders.items() if facts.usable]
    if record.facts.selected in usable:
        return record.facts.selected
    return usable[0] if usable else record.diagnosis.concerns


def first_wish(
    session: Session, record: Record, reader: Reader, typed: Typed
) -> tuple[str, date] | None:
    """The holder and the day an activation form stands on; None when that is no day."""
    holder = chosen_holder(record, typed)
    facts = record.facts.holders.get(holder or "")
    if holder is None or facts is None or not facts.usable:
        return None
    offered = terms(session, record, holder, reader.at)
    try:
        start = date.fromisoformat(typed.get("start", offered.proposed.isoformat()).strip())
    except ValueError:
        return None
    return (holder, start) if FIRST_DAY <= start <= reader.at.today else None


def _start_field(offered: Terms, typed: Typed, *, value: str | None = None) -> Field:
    hints = []
    if offered.processed_through:
        hints.append(_("Processed through %(date)s.", date=day(offered.processed_through)))
    if offered.available_from:
        hints.append(_("Available from %(date)s.", date=day(offered.available_from)))
    if offered.locked_through:
        hints.append(_("Locked through %(date)s.", date=day(offered.locked_through)))
    return Field(
        name="start",
        label=_("Transactions from"),
        type="date",
        value=typed.get("start", value or offered.proposed.isoformat()),
        hint=" ".join(hints) or None,
        minimum=max(offered.earliest or FIRST_DAY, FIRST_DAY).isoformat(),
        maximum=offered.latest.isoformat(),
        width="short",
        required=True,
    )


def _activate(session: Session, record: Record, reader: Reader, title: str, typed: Typed) -> dict:  # type: ignore[type-arg]
    holder = chosen_holder(record, typed)
    offered = terms(session, record, holder, reader.at)
    view = row_view(record, reader)
    choices = tuple(
        Choice(
            value=each.id,
            label=each.name,
            detail=_holder_reason(each.line_text, each.detail, each.usable),
            checked=each.id == holder,
            disabled=not each.usable,
        )
        for each in view.holders
        if each.line is not None
    )
    start = _start_field(offered, typed)
    return {
        "title": _("Activate – %(title)s", title=title),
        "fields": [
            Field(name="holder", label=_("Fetch via"), type="radio", choices=choices),
            start,
        ],
        "submit": _("Switch on"),
        "twice": _twice_as_typed(session, record, start, reader),
        "preview": url_for("connections.preview", connection_id=record.connection.id),
    }


def _holder_reason(line: str | None, detail: str | None, usable: bool) -> str:
    parts = [part for part in (line, detail) if part]
    if not usable:
        parts.append(_("renew first"))
    return " · ".join(parts)


def _arm(session: Session, record: Record, reader: Reader, title: str, typed: Typed) -> dict:  # type: ignore[type-arg]
    offered = terms(session, record, None, reader.at)
    armed = record.connection.armed_start
    start = _start_field(offered, typed, value=armed.isoformat() if armed else None)
    return {
        "title": _("Switch on by itself – %(title)s", title=title),
        "intro": _(
            "As soon as the bank is connected, %(app)s switches this link on by itself"
            " and fetches from this day.",
            app=reader.app,
        ),
        "fields": [start],
        "submit": _("Switch on after the bank step"),
        "twice": _twice_as_typed(session, record, start, reader),
        "preview": url_for("connections.preview", connection_id=record.connection.id),
    }


def _change_start(
    session: Session, record: Record, reader: Reader, title: str, typed: Typed
) -> dict:  # type: ignore[type-arg]
    offered = terms(session, record, record.facts.selected, reader.at)
    current = record.connection.start_date
    start = _start_field(offered, typed, value=current.isoformat() if current else None)
    return {
        "title": _("Change start date – %(title)s", title=title),
        "intro": _(
            "A later date deletes nothing. An earlier date fetches what is missing; nothing"
            " comes twice."
        ),
        "fields": [start],
        "submit": _("Change start date"),
        "twice": _twice_as_typed(session, record, start, reader),
        "preview": url_for("connections.preview", connection_id=record.connection.id),
    }


def _choose_journal(
    session: Session, record: Record, reader: Reader, title: str, typed: Typed
) -> dict:  # type: ignore[type-arg]
    current = record.journal
    free = session.scalars(
        select(Journal)
        .where(
            Journal.administration_id == record.connection.administration_id,
            Journal.iban.is_(None),
        )
        .order_by(Journal.code)
    ).all()
    options = [current, *free] if current else list(free)
    default = str(options[0].id) if options else "new"
    share = record.concerned_share or record.selected_share
    visible = record.facts.holders.get(str(share.holder.id)) if share else None
    account = share.account if share and visible and visible.visible else None
    wish = typed.get("journal", default)
    choices = [
        Choice(
            value=str(journal.id),
            label=f"{journal.code} {journal.name}",
            detail=_("carries this IBAN now") if journal is current else None,
            checked=wish == str(journal.id),
        )
        for journal in options
    ]
    choices.append(Choice(value="new", label=_("A new journal"), checked=wish == "new"))
    if current is not None:
        choices.append(
            Choice(
                value="",
                label=_("No journal: take the IBAN off %(code)s", code=current.code),
                detail=_("fetching stops until a journal carries this IBAN again")
                if record.facts.switch is Switch.ON
                else None,
                checked=wish == "",
            )
        )
    return {
        "title": _("Journal for %(iban)s", iban=iban(record.connection.iban)),
        "fields": [
            Field(name="journal", label=_("Journal"), type="radio", choices=tuple(choices)),
            Field(
                name="code",
                label=_("Code of the new journal"),
                type="text",
                value=typed.get("code", next_code(session, record.connection.administration_id)),
                width="short",
            ),
            Field(
                name="name",
                label=_("Name of the new journal"),
                type="text",
                value=typed.get("name", (account and (account.name or account.bank)) or _("Bank")),
            ),
        ],
        "submit": _("Save"),
    }


def next_code(session: Session, administration_id: int) -> str:
    """A code for the next bank journal: ten after the highest, so that it is one press."""
    codes = session.scalars(
        select(Journal.code).where(Journal.administration_id == administration_id)
    )
    numbers = [int(code) for code in codes if code.isdecimal() and len(code) <= 9]
    return str(max(numbers) + 10) if numbers else "1100"


def _remove(session: Session, record: Record, reader: Reader, title: str, typed: Typed) -> dict:  # type: ignore[type-arg]
    count = session.scalar(
        select(func.count(Transaction.id)).where(Transaction.connection_id == record.connection.id)
    )
    kept = ngettext(
        "%(n)s fetched transaction and the history stay.",
        "%(n)s fetched transactions and the history stay.",
        count or 0,
    )
    return {
        "title": _("Remove link – %(title)s", title=title),
        "intro": _(
            "Fetching and warnings stop; the holder and the start date are forgotten."
            " The permission at the bank stays until the holder withdraws it."
        )
        + " "
        + kept,
        "fields": [],
        "submit": _("Remove link"),
    }


def add_journal_form(
    session: Session,
    administration_id: int,
    reader: Reader,
    *,
    typed: Typed | None = None,
    error: Refused | None = None,
) -> Form:
    """The page's own form: a bank journal with an IBAN."""
    typed = typed or {"code": next_code(session, administration_id)}
    at_field = {error.field: refusal(error, reader)} if error and error.field else {}

    def text(name: str, label: str, width: str) -> Field:
        return Field(
            name=name,
            label=label,
            type="text",
            value=typed.get(name, ""),
            width=width,
            error=at_field.get(name),
            required=True,
        )

    return Form(
        action="add-journal",
        title=_("Add a bank journal"),
        intro=_("The account appears in the list; then ask the account holder for permission."),
        url=url_for("maintenance.add_journal", administration_id=administration_id),
        version=0,
        fields=(
            text("code", _("Code"), "short"),
            text("name", _("Name"), "medium"),
            text("iban", _("IBAN"), "long"),
        ),
        submit=_("Add journal"),
        cancel=Button(
            action="cancel",
            label=_("Cancel"),
            name=_("Cancel adding a journal"),
            method="get",
            url=url_for("maintenance.page", administration=administration_id),
        ),
    )
