"""What waits for a person: transactions to decide about, remarks to look at, and what was left out
or removed, to be put back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from banklink.actions import remarks as remarking
from banklink.actions import review as reviewing
from banklink.actions.services import Missing
from banklink.core.money import to_minor
from banklink.store.asides import ASIDE
from banklink.store.models import Connection, Remark, Transaction
from banklink.web.account_head import connection_here, head
from banklink.web.context import MOST, at, house, may_change, person
from banklink.web.i18n import _, day, iban, moment, money, ngettext, when
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Link

blueprint = Blueprint("review", __name__, url_prefix="/connections/<int:connection_id>/review")

PAGE = 30


@blueprint.get("")
def page(connection_id: int) -> str:
    with house().services.store.read() as session:
        connection = connection_here(session, connection_id)
        rows, count, newest = _waiting(session, connection_id)
        remarks, remarked = _remarks(session, connection)
        aside, more = _aside(session, connection_id)
        resembled = {
            each.id: each
            for each in session.scalars(
                select(Transaction).where(
                    Transaction.connection_id == connection_id,
                    Transaction.id.in_([row.resembles_id for row in rows if row.resembles_id]),
                )
            )
        }
        return render_template(
            "transactions/review.html",
            head=head(session, connection, "review"),
            notice=said(),
            waiting=[
                _case(row, resembled.get(row.resembles_id or 0), connection_id) for row in rows
            ],
            count=ngettext("%(n)s transaction waits", "%(n)s transactions wait", count),
            total=count,
            shown=len(rows),
            all=_all(connection_id, count, newest) if count > 1 and may_change() else (),
            remarks=remarks,
            remarked=remarked,
            seen_all=_seen(connection_id, None) if remarked > 1 and may_change() else None,
            aside=[_set_aside(each, connection_id) for each in aside],
            more_aside=Link(
                label=_("All that was left out or removed"),
                url=url_for("transactions.page", connection_id=connection_id, state="aside"),
            )
            if more
            else None,
        )


# -- to decide ----------------------------------------------------------------------------------


def _waiting(session: Session, connection_id: int) -> tuple[list[Transaction], int, int]:
    """The oldest days first, how many there are, and the newest number among them: who decides
    about all of them decides about those that were counted."""
    mine = (Transaction.connection_id == connection_id, Transaction.state == "review", ASIDE)
    count, newest = session.execute(
        select(func.count(), func.max(Transaction.id)).where(*mine)
    ).one()
    rows = session.scalars(
        select(Transaction).where(*mine).order_by(Transaction.booked_on, Transaction.id).limit(PAGE)
    )
    return list(rows), int(count), int(newest or 0)


def _case(each: Transaction, other: Transaction | None, connection_id: int) -> dict[str, Any]:
    """One to decide about, beside the one it may be."""
    if each.review_reason == "resembles":
        why = _("Same day and amount as a transaction that is there already, but with other words.")
        labels = _("Another one: take in"), _("The same: leave out")
    else:
        why = _(
            "Came for a day that had been fetched before; perhaps your books of that day are done."
        )
        labels = _("Take in"), _("Leave out")
    return {
        "id": each.id,
        "why": why,
        "row": line(each),
        "other": line(other) if other is not None else None,
        "buttons": tuple(
            _press(connection_id, action, label, each)
            for action, label in zip(("accept", "reject"), labels, strict=True)
        )
        if may_change()
        else (),
    }


def line(each: Transaction) -> dict[str, Any]:
    return {
        "url": url_for(
            "transactions.one", connection_id=each.connection_id, transaction_id=each.id
        ),
        "label": f"{each.counterparty_name or _('Not named')}, {day(each.booked_on)},"
        f" {money(each.amount, each.currency)}, {each.id}",
        "booked": day(each.booked_on),
        "booked_iso": each.booked_on.isoformat(),
        "value": day(each.value_on) if each.value_on and each.value_on != each.booked_on else None,
        "name": each.counterparty_name,
        "iban": iban(each.counterparty_iban) if each.counterparty_iban else None,
        "text": each.remittance,
        "amount": money(each.amount, each.currency),
        "into": each.amount > 0,
    }


def _press(connection_id: int, action: str, label: str, each: Transaction) -> Button:
    of = f"{day(each.booked_on)}, {money(each.amount, each.currency)}, {each.id}"
    return Button(
        action=action,
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=of),
        method="post",
        url=url_for(f".{action}", connection_id=connection_id),
        fields=(("id", str(each.id)),),
    )


def _all(connection_id: int, count: int, newest: int) -> tuple[Button, ...]:
    labels = {
        "accept": ngettext("Take all %(n)s in", "Take all %(n)s in", count),
        "reject": ngettext("Leave all %(n)s out", "Leave all %(n)s out", count),
    }
    return tuple(
        Button(
            action=f"{action}-all",
            label=label,
            name=label,
            method="post",
            url=url_for(f".{action}", connection_id=connection_id),
            fields=(("through", str(newest)),),
        )
        for action, label in labels.items()
    )


@blueprint.post("/accept")
def accept(connection_id: int) -> Response:
    try:
        done = reviewing.accept(
            house().services, connection_id, _numbers(connection_id), at(), actor=person().name
        )
    except Missing:
        abort(404)
    left = ""
    if done.left and done.locked:
        left = ngettext(
            "The books are locked through %(locked)s, so %(n)s transaction was left waiting.",
            "The books are locked through %(locked)s, so %(n)s transactions were left waiting.",
            done.left,
            locked=day(done.locked),
        )
    if done.taken:
        n = done.taken
        taken = ngettext("%(n)s transaction taken in.", "%(n)s transactions taken in.", n)
        say("ok", " ".join(filter(None, (taken, left))))
    else:
        say("error", left or _decided_already())
    return redirect(url_for(".page", connection_id=connection_id), 303)


@blueprint.post("/reject")
def reject(connection_id: int) -> Response:
    try:
        n = reviewing.reject(
            house().services, connection_id, _numbers(connection_id), at(), actor=person().name
        )
    except Missing:
        abort(404)
    if n:
        say(
            "ok",
            ngettext(
                "%(n)s transaction left out; it can be put back below.",
                "%(n)s transactions left out; they can be put back below.",
                n,
            ),
        )
    else:
        say("error", _decided_already())
    return redirect(url_for(".page", connection_id=connection_id), 303)


def _decided_already() -> str:
    return _("Somebody else decided about it meanwhile; this is how it stands now.")


def _numbers(connection_id: int) -> list[int]:
    """One (`id`), or all that had been counted (`through`)."""
    numbers = [number for number in request.form.getlist("id", type=int) if 0 < number < 2**62]
    through = request.form.get("through", type=int)
    if through is not None and 0 < through < 2**62:
        with house().services.store.read() as session:
            numbers = list(
                session.scalars(
                    select(Transaction.id).where(
                        Transaction.connection_id == connection_id,
                        Transaction.state == "review",
                        ASIDE,
                        Transaction.id <= through,
                    )
                )
            )
    return numbers


# -- left out or removed ------------------------------------------------------------------------


def _aside(session: Session, connection_id: int) -> tuple[list[Transaction], bool]:
    """Those decided about last."""
    rows = session.scalars(
        select(Transaction)
        .where(
            Transaction.connection_id == connection_id,
            Transaction.state.in_(("rejected", "removed")),
            ASIDE,
        )
        .order_by(Transaction.decided_at.desc(), Transaction.id.desc())
        .limit(PAGE + 1)
    ).all()
    return list(rows[:PAGE]), len(rows) > PAGE


def _set_aside(each: Transaction, connection_id: int) -> dict[str, Any]:
    names = {
        "who": each.decided_by or _("the program"),
        "when": when(each.decided_at, at().today) if each.decided_at else "–",
    }
    label = _("Put back")
    of = f"{day(each.booked_on)}, {money(each.amount, each.currency)}, {each.id}"
    return {
        "id": each.id,
        "row": line(each),
        "what": _("removed by %(who)s, %(when)s", **names)
        if each.state == "removed"
        else _("left out by %(who)s, %(when)s", **names),
        "button": Button(
            action="restore",
            label=label,
            name=_("%(action)s: %(title)s", action=label, title=of),
            method="post",
            url=url_for(
                "transactions.restore", connection_id=connection_id, transaction_id=each.id
            ),
            fields=(("back", "review"),),
        )
        if may_change()
        else None,
    }


# -- remarks ------------------------------------------------------------------------------------


def _remarks(session: Session, connection: Connection) -> tuple[list[dict[str, Any]], int]:
    """Those that nobody has seen to, newest first, and how many there are."""
    open_ = (Remark.connection_id == connection.id, Remark.settled_at.is_(None))
    count = session.scalar(select(func.count()).where(*open_)) or 0
    rows = session.execute(
        select(Remark, Transaction)
        .outerjoin(Transaction, Transaction.id == Remark.transaction_id)
        .where(*open_)
        .order_by(Remark.id.desc())
        .limit(PAGE)
    ).all()
    return [_remark(remark, kept, connection) for remark, kept in rows], int(count)


def _remark(remark: Remark, kept: Transaction | None, connection: Connection) -> dict[str, Any]:
    says = {
        "changed": (
            _("Came again with other words"),
            _("The bank now describes it otherwise. What you have is kept as it was."),
        ),
        "id_reused": (
            _("Its number was used before"),
            _(
                "The bank gave the number of one transaction to another. Both are kept; from now on"
                " transactions of this account are told apart by what stands in them."
            ),
        ),
        "unreadable": (
            _("Could not be taken in"),
            _(
                "It lacks its day or its amount, so it is not among the transactions. Look it up at"
                " the bank."
            ),
        ),
    }
    title, text = says.get(remark.kind, (remark.kind, ""))
    renumbered = remark.kind == "id_reused" and _is_renumbered(remark, kept)
    if renumbered:
        title = _("Came again under another number")
        text = _(
            "The bank numbers its transactions anew. Nothing came twice; from now on transactions"
            " of this account are told apart by what stands in them."
        )
        if many := remark.content.get("renumbered"):
            counted = ngettext(
                "%(n)s known transaction came with a new number.",
                "%(n)s known transactions came with a new number.",
                many,
            )
            text = f"{counted} {text}"
    came = _content(remark.content, connection.currency)
    stored = _stored(kept) if kept is not None else {}
    names = list(dict.fromkeys([*stored, *came]))
    if renumbered:
        names = []
    elif kept is not None and remark.kind == "changed":
        names = [name for name in names if stored.get(name) != came.get(name)] or names
    return {
        "id": remark.id,
        "title": title,
        "text": text,
        "seen": moment(remark.seen_at),
        "of": line(kept) if kept is not None else None,
        "rows": [(name, stored.get(name, "–"), came.get(name, "–")) for name in names],
        "two": bool(stored),
        "button": _seen(connection.id, remark) if may_change() else None,
    }


def _is_renumbered(remark: Remark, kept: Transaction | None) -> bool:
    """The same booking with a number of its own, instead of another with its number."""
    if "renumbered" in remark.content:
        return True
    if kept is None or remark.content.get("id") == kept.source_id:
        return False
    told = remark.content.get("booked_on"), remark.content.get("amount")
    return told == (kept.booked_on.isoformat(), kept.amount)


def _stored(each: Transaction) -> dict[str, str]:
    found = {
        _("Booked on"): day(each.booked_on),
        _("Value date"): day(each.value_on) if each.value_on else "",
        _("Amount"): money(each.amount, each.currency),
        _("Counterparty"): each.counterparty_name or "",
        _("Account of the counterparty"): iban(each.counterparty_iban)
        if each.counterparty_iban
        else "",
        _("Description"): each.remittance,
        _("Reference of the payment"): each.end_to_end_id or "",
    }
    return {name: text for name, text in found.items() if text}


def _content(content: dict[str, Any], currency: str) -> dict[str, str]:
    """What came, under the names people know; what the service calls otherwise under its own."""
    names = {
        "booked_on": _("Booked on"),
        "value_on": _("Value date"),
        "amount": _("Amount"),
        "counterparty_name": _("Counterparty"),
        "counterparty_iban": _("Account of the counterparty"),
        "remittance": _("Description"),
        "end_to_end_id": _("Reference of the payment"),
    }
    found: dict[str, str] = {}
    for sent, value in _flat(content.get("sent", content)):
        key = _SENT.get(sent, sent)
        text = "" if value is None else str(value).strip()
        if not text or key in ("currency", "id", "type"):
            continue
        if key in ("booked_on", "value_on"):
            text = _as_day(text)
        elif key == "amount":
            text = _as_money(value, str(content.get("currency") or currency))
        elif key == "counterparty_iban":
            text = iban(text)
        found[names.get(key, key)] = text[:500]
    return found


_SENT = {
    "executionDate": "booked_on",
    "valueDate": "value_on",
    "counterpartName": "counterparty_name",
    "counterpartReference": "counterparty_iban",
    "remittanceInformation": "remittance",
    "endToEndId": "end_to_end_id",
}
"""The service's own names of these."""


def _flat(content: Any) -> list[tuple[str, Any]]:
    """At most some forty values, whatever it was."""
    if not isinstance(content, dict):
        return [(_("Sent"), content)]
    found: list[tuple[str, Any]] = []
    for key, value in list(content.items())[:40]:
        if isinstance(value, dict):
            found += _flat(value)
        elif not isinstance(value, list):
            found.append((str(key), value))
    return found[:40]


def _as_day(text: str) -> str:
    try:
        return day(date.fromisoformat(text))
    except ValueError:
        return text


def _as_money(value: Any, currency: str) -> str:
    """An integer is minor units; what the bank said itself is a decimal."""
    if isinstance(value, int) and not isinstance(value, bool):
        return money(value, currency)
    try:
        return money(to_minor(Decimal(str(value)), currency), currency)
    except (InvalidOperation, ValueError):
        return str(value)


def _seen(connection_id: int, remark: Remark | None) -> Button:
    label = _("Seen") if remark is not None else _("All seen")
    return Button(
        action="seen" if remark is not None else "seen-all",
        label=label,
        name=label
        if remark is None
        else _(
            "%(action)s: %(title)s", action=label, title=f"{moment(remark.seen_at)}, {remark.id}"
        ),
        method="post",
        url=url_for(".seen", connection_id=connection_id),
        fields=(("remark", str(remark.id)),) if remark is not None else (),
    )


@blueprint.post("/seen")
def seen(connection_id: int) -> Response:
    """One remark, or all that there are."""
    number = request.form.get("remark", type=int)
    if number is not None and not 0 < number < MOST:
        abort(404)
    remarking.seen(house().services, connection_id, at(), only=number, actor=person().name)
    return redirect(url_for(".page", connection_id=connection_id, _anchor="remarks"), 303)
