"""The transactions of one account: searched, filtered, added up, a page at a time, and each with
all that is known of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from banklink.actions import review as reviewing
from banklink.actions.services import Missing, Refused
from banklink.core.money import to_minor, typed_amount
from banklink.store.facts import holder_names
from banklink.store.listing import (
    STATES,
    Found,
    Position,
    Totals,
    Wanted,
    look,
)
from banklink.store.models import (
    Account,
    Connection,
    Export,
    FetchRun,
    Grant,
    Holder,
    PendingTransaction,
    Remark,
    Transaction,
    TransactionAlias,
    Upload,
    Utc,
)
from banklink.store.plain import plain_columns, read_all
from banklink.web.account_head import connection_here, head, why
from banklink.web.addresses import path_to
from banklink.web.called import called
from banklink.web.context import MOST, at, house, may_change, person
from banklink.web.i18n import _, day, iban, moment, money, ngettext, when
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Choice, Field, Link

blueprint = Blueprint("transactions", __name__, url_prefix="/connections/<int:connection_id>")

_PENDING_SHOWN = 100
_ANNOUNCED_FOR = timedelta(days=2)
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{6,30}", re.IGNORECASE)
_FILTERS = ("q", "from", "to", "way", "least", "most", "via", "run", "state")
_STATES = {
    "booked": ("booked",),
    "review": ("review",),
    "aside": ("rejected", "removed"),
    "all": STATES,
}


@dataclass(slots=True)
class Row:
    """One transaction as the list shows it; finished words. Not frozen: that takes thrice as long
    to make."""

    id: int
    url: str
    label: str  # the link's name, another one for each
    booked: str
    booked_iso: str
    value: str | None
    amount: str
    into: bool
    name: str | None
    iban: str | None
    text: str
    via: str
    state: str
    state_text: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands in the address: as typed, what it means, and what could not be read."""

    typed: dict[str, str]
    wanted: Wanted
    wrong: dict[str, str]

    @property
    def narrowed(self) -> bool:
        """Beyond the search box."""
        return any(self.typed.get(each) for each in _FILTERS if each != "q")

    def address(self, connection_id: int, **position: object) -> str:
        kept = {key: text for key, text in self.typed.items() if text}
        return url_for(".page", connection_id=connection_id, **{**kept, **position})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class OneRun:
    """The list is of one fetch or file only: which, that in a sentence, and the list of all."""

    number: int
    text: str
    drop: Link


# -- what is asked for --------------------------------------------------------------------------


def asked_for(args: MultiDict[str, str], connection: Connection) -> Asked:
    typed = {key: args.get(key, "").strip()[:100] for key in _FILTERS}
    numbers = {key: _number(typed[key]) for key in ("via", "run")}
    typed |= {key: "" if n is None else str(n) for key, n in numbers.items()}
    wrong: dict[str, str] = {}
    currency = connection.currency
    first, last = (_day(typed, key, wrong) for key in ("from", "to"))
    if first and last and first > last:
        wrong["to"] = _("The last day lies before the first.")
        last = None
    amounts = typed_amount(typed["q"])
    words = _words(typed["q"])
    state = typed["state"] if typed["state"] in _STATES else "booked"
    least, most = (_size(typed, key, wrong, currency) for key in ("least", "most"))
    if least is not None and most is not None and least > most:
        least, most = most, least  # -300 to -100 is 100 to 300
    return Asked(
        typed,
        Wanted(
            connection_id=connection.id,
            words=words,
            amounts=_either_way(amounts, currency) if amounts else (),
            first=first,
            last=last,
            sign={"in": 1, "out": -1}.get(typed["way"], 0),
            least=least,
            most=most,
            holder=numbers["via"],
            run=numbers["run"],
            states=_STATES[state],
        ),
        wrong,
    )


def _words(text: str) -> tuple[str, ...]:
    """Every word has to occur. An IBAN may be typed in groups."""
    compact = re.sub(r"\s", "", text)
    if _IBAN.fullmatch(compact) and any(each.isdigit() for each in compact[2:4]):
        return (compact,)
    return tuple(text.split()[:8])


def _either_way(found: tuple[Any, bool], currency: str) -> tuple[int, ...]:
    try:
        minor = to_minor(found[0], currency)
    except ValueError:
        return ()
    if abs(minor) >= 2**63:
        return ()
    return (minor,) if found[1] else (minor, -minor)


def _day(typed: dict[str, str], key: str, wrong: dict[str, str]) -> date | None:
    if not typed[key]:
        return None
    try:
        return date.fromisoformat(typed[key])
    except ValueError:
        wrong[key] = _("This is no day, so it was not looked at. Write it like 2025-04-01.")
        return None


def _size(typed: dict[str, str], key: str, wrong: dict[str, str], currency: str) -> int | None:
    if not typed[key]:
        return None
    found = typed_amount(typed[key])
    sizes = _either_way(found, currency) if found else ()
    if not sizes:
        wrong[key] = _("This is no amount, so it was not looked at. Write it like 1.234,56.")
        return None
    return abs(sizes[0])


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 and int(text) < MOST else None


def _position(args: MultiDict[str, str]) -> Position:
    """`before` and `after` name a booking by its day and number: 2025-04-01.17."""
    if args.get("at") == "end":
        return Position(end=True)
    for name in ("before", "after"):
        day_text, _dot, key = args.get(name, "").partition(".")
        try:
            return Position(date.fromisoformat(day_text), int(key[:18]), newer=name == "after")
        except ValueError:
            continue
    return Position()


# -- the list -----------------------------------------------------------------------------------


@blueprint.get("/transactions")
def page(connection_id: int) -> str:
    """Newest first. A page is found by the booking it begins at, so that it costs the same
    everywhere and loses none while others come in."""
    with house().services.store.read() as session:
        connection = connection_here(session, connection_id)
        asked = asked_for(request.args, connection)
        position = _position(request.args)
        sums, found = look(session, asked.wanted, position)
        plain = asked.wanted == Wanted(connection_id=connection_id)
        pending = _pending(session, connection) if plain and not found.newer else []
        named = {each.holder_id for each in found.rows} | _asked_via(session, asked.wanted)
        holders = _holders(session, connection, named)
        return render_template(
            "transactions/list.html",
            head=head(session, connection, "transactions"),
            notice=said(),
            rows=_rows(found, connection, holders),
            pending=pending,
            summary=_summary(sums, connection.currency, plain),
            filtered=not plain,
            search=asked.typed["q"],
            fields=_fields(asked, holders),
            open=asked.narrowed,
            one_run=_one_run(session, asked),
            address=path_to("transactions.page", connection_id=connection_id),
            pages=_pages(asked, found, connection_id),
            empty=_nothing(plain, connection),
            wider=_wider(asked, connection_id),
        )


def _rows(found: Found, connection: Connection, holders: dict[int, str]) -> list[Row]:
    base = path_to("transactions.page", connection_id=connection.id)
    files = _("file")
    unnamed, met = _("Not named"), Counter[str]()

    def label(*parts: str) -> str:
        """Of equal ones the second is called so."""
        said = ", ".join(parts)
        met[said] += 1
        return f"{said} ({met[said]})" if met[said] > 1 else said

    states = {"review": _("to decide"), "rejected": _("left out"), "removed": _("removed")}
    return [
        Row(
            id=number,
            url=f"{base}/{number}",
            label=label(name or unnamed, on := day(booked), much := money(amount, currency)),
            booked=on,
            booked_iso=booked.isoformat(),
            value=day(value) if value is not None and value != booked else None,
            amount=much,
            into=amount > 0,
            name=name,
            iban=iban(account) if account else None,
            text=text,
            via=files if kind == "file" else holders.get(holder) or called(None, holder),
            state=state,
            state_text=states.get(state),
        )
        for (
            number, booked, value, amount, currency, name, account, text, state, kind, holder,
        ) in found.rows
    ]  # fmt: skip


def _summary(sums: Totals, currency: str, plain: bool) -> list[tuple[str, str, str]]:
    """Finished words as key, label and value."""
    count = (
        ngettext("%(n)s transaction", "%(n)s transactions", sums.count)
        if plain
        else ngettext("%(n)s transaction found", "%(n)s transactions found", sums.count)
    )
    return [
        ("count", "", count),
        ("in", _("In"), money(sums.credit, currency)),
        ("out", _("Out"), money(sums.debit, currency)),
        ("net", _("Together"), money(sums.net, currency)),
    ]


_PENDING = (
    select(*plain_columns(PendingTransaction))
    .where(
        PendingTransaction.connection_id == bindparam("connection"),
        PendingTransaction.seen_at > bindparam("since", type_=Utc()),
    )
    .order_by(PendingTransaction.expected_on.desc(), PendingTransaction.id)
    .limit(_PENDING_SHOWN)
)


def _pending(session: Session, connection: Connection) -> list[dict[str, Any]]:
    """What the bank announced lately. Where nothing is read any more, it may have come since."""
    if connection.switch != "on":
        return []
    given = {"connection": connection.id, "since": at().now - _ANNOUNCED_FOR}
    rows = read_all(session, _PENDING, given, PendingTransaction, plain=True)
    return [
        {
            "expected": day(each.expected_on) if each.expected_on else None,
            "expected_iso": each.expected_on.isoformat() if each.expected_on else None,
            "name": each.counterparty_name,
            "iban": iban(each.counterparty_iban) if each.counterparty_iban else None,
            "text": each.remittance,
            "amount": money(each.amount, each.currency),
            "into": each.amount > 0,
        }
        for each in rows
    ]


_SHARE = (
    select(Holder.id, Holder.name, Grant.forgotten_at)
    .join(Grant, Grant.holder_id == Holder.id)
    .join(Account, Account.grant_id == Grant.id)
    .where(
        Grant.administration_id == bindparam("books"),
        Account.iban == bindparam("iban"),
        Account.currency == bindparam("currency"),
    )
    .order_by(Holder.id)
)


def _holders(
    session: Session, connection: Connection, named: Collection[int | None]
) -> dict[int, str]:
    """What those are called who share the account or brought one of these rows."""
    books = connection.administration_id
    given = {"books": books, "iban": connection.iban, "currency": connection.currency}
    names = {
        number: None if gone else name or None
        for number, name, gone in session.connection().execute(_SHARE, given)
    }
    others = {each for each in named if each is not None} - names.keys()
    if others:
        names |= holder_names(session, books, others)
    return {number: called(names[number], number) for number in sorted(names)}


def _asked_via(session: Session, wanted: Wanted) -> set[int | None]:
    """Whom is asked for, where they ever brought something here: they stay a choice when none of
    theirs is found. Of anybody else a number in the address must not tell the name."""
    if not wanted.holder:
        return set()
    brought = FetchRun.connection_id == wanted.connection_id, FetchRun.holder_id == wanted.holder
    return {*session.scalars(select(FetchRun.holder_id).where(*brought).limit(1))}


def _one_run(session: Session, asked: Asked) -> OneRun | None:
    """What the list is narrowed to when somebody comes from a fetch or a file: no field shows it,
    and totals that are not of the whole account must not look as if they were."""
    number = asked.wanted.run
    if number is None:
        return None
    run = session.get(FetchRun, number)
    if run is None or run.connection_id != asked.wanted.connection_id:
        text = _(
            "You see only what came in at one fetch or with one file, which is not known here."
        )
    elif run.kind == "file":
        upload = session.get(Upload, run.upload_id) if run.upload_id else None
        text = _(
            "You see only what came in with the file %(name)s on %(date)s.",
            name=upload.name if upload else "–",
            date=moment(run.started_at),
        )
    else:
        text = _("You see only what came in at the fetch of %(date)s.", date=moment(run.started_at))
    everything = asked.address(asked.wanted.connection_id, run=None)
    drop = Link(label=_("Show the rest too"), url=everything)
    return OneRun(number, text, drop)


def _fields(asked: Asked, holders: dict[int, str]) -> tuple[Field, ...]:
    typed, wrong = asked.typed, asked.wrong

    def choices(key: str, *wanted: tuple[str, str]) -> tuple[Choice, ...]:
        return tuple(
            Choice(value=value, label=label, checked=typed[key] == value) for value, label in wanted
        )

    via = asked.wanted.holder
    unknown = [(str(via), called(None, via))] if via and via not in holders else []
    fields = [
        Field(
            name="from", label=_("From"), type="date", value=typed["from"],
            error=wrong.get("from"),
        ),
        Field(name="to", label=_("Up to and including"), type="date", value=typed["to"],
            error=wrong.get("to"),
        ),
        Field(
            name="way",
            label=_("In or out"),
            type="select",
            choices=choices("way", ("", _("Both")), ("in", _("In")), ("out", _("Out"))),
        ),
        Field(
            name="least", label=_("Amount from"), type="text", value=typed["least"],
            error=wrong.get("least"), width="short",
        ),
        Field(
            name="most", label=_("Amount up to"), type="text", value=typed["most"],
            error=wrong.get("most"), width="short",
        ),
        Field(
            name="via",
            label=_("Came through"),
            type="select",
            choices=choices(
                "via",
                ("", _("Any way")),
                *((str(number), name) for number, name in holders.items()),
                *unknown,
                ("0", _("Files only")),
            ),
        ),
        Field(
            name="state",
            label=_("Which"),
            type="select",
            choices=choices(
                "state",
                ("", _("Booked")),
                ("review", _("To decide")),
                ("aside", _("Left out or removed")),
                ("all", _("All of them")),
            ),
        ),
    ]  # fmt: skip
    return tuple(fields)


def _pages(asked: Asked, found: Found, connection_id: int) -> dict[str, Link]:
    if not found.rows:
        return {}
    newest, oldest = found.rows[0], found.rows[-1]
    pages = {}
    if found.newer:
        here = f"{newest.booked_on.isoformat()}.{newest.id}"
        pages["first"] = Link(label=_("Newest"), url=asked.address(connection_id))
        pages["previous"] = Link(label=_("Newer"), url=asked.address(connection_id, after=here))
    if found.older:
        here = f"{oldest.booked_on.isoformat()}.{oldest.id}"
        pages["next"] = Link(label=_("Older"), url=asked.address(connection_id, before=here))
        pages["last"] = Link(label=_("Oldest"), url=asked.address(connection_id, at="end"))
    return pages


def _nothing(plain: bool, connection: Connection) -> str:
    if not plain:
        return _("Nothing found. Search for less, or for another period.")
    if connection.watermark is not None:
        return _("Fetched, and the bank has no transactions in these days.")
    return _("No transactions have been fetched yet.")


def _wider(asked: Asked, connection_id: int) -> Link | None:
    """What waits or was removed is not looked through unless asked for."""
    if asked.wanted.states != _STATES["booked"] or asked.wanted == Wanted(
        connection_id=connection_id
    ):
        return None
    return Link(
        label=_("Search what waits, was left out or removed too"),
        url=asked.address(connection_id, state="all"),
    )


# -- one of them --------------------------------------------------------------------------------


@blueprint.get("/transactions/<int:transaction_id>")
def one(connection_id: int, transaction_id: int) -> str:
    """All the bank said of it, where it came from and what became of it."""
    with house().services.store.read() as session:
        connection = connection_here(session, connection_id)
        found = _here(session, connection_id, transaction_id)
        run = session.get_one(FetchRun, found.run_id)
        holders = _holders(session, connection, {run.holder_id})
        resembles = session.get(Transaction, found.resembles_id) if found.resembles_id else None
        return render_template(
            "transactions/one.html",
            head=head(session, connection, "transactions"),
            notice=said(),
            back=Link(
                label=_("All transactions"), url=url_for(".page", connection_id=connection_id)
            ),
            title=found.counterparty_name
            or _("Transaction of %(date)s", date=day(found.booked_on)),
            amount=money(found.amount, found.currency),
            into=found.amount > 0,
            state=_state(found),
            facts=_facts(found),
            origin=_origin(session, found, run, holders),
            resembles=_resembled(resembles, connection_id),
            remarks=session.scalars(
                select(Remark).where(Remark.transaction_id == found.id).limit(1)
            ).first()
            is not None,
            review_url=url_for("review.page", connection_id=connection_id),
            button=_change(found) if may_change() else None,
        )


def _here(session: Session, connection_id: int, transaction_id: int) -> Transaction:
    found = session.get(Transaction, transaction_id)
    if found is None or found.connection_id != connection_id:
        abort(404)
    return found


def _facts(each: Transaction) -> list[tuple[str, str]]:
    facts = [(_("Booked on"), day(each.booked_on))]
    if each.value_on:
        facts.append((_("Value date"), day(each.value_on)))
    facts += [
        (_("Counterparty"), each.counterparty_name or _("not said")),
        (
            _("Account of the counterparty"),
            iban(each.counterparty_iban) if each.counterparty_iban else _("not said"),
        ),
        (_("Description"), each.remittance or _("not said")),
    ]
    if each.end_to_end_id:
        facts.append((_("Reference of the payment"), each.end_to_end_id))
    return facts


def _origin(
    session: Session, each: Transaction, run: FetchRun, holders: dict[int, str]
) -> list[tuple[str, str]]:
    came = when(run.started_at, at().today)
    facts = [(_("Came in"), f"{came}, {why(run)}")]
    if run.kind == "file":
        upload = session.get(Upload, run.upload_id) if run.upload_id else None
        if upload is not None:
            facts.append((_("From the file"), upload.name))
    elif run.holder_id is not None:
        facts.append((_("Through"), holders.get(run.holder_id) or called(None, run.holder_id)))
    if run.actor:
        facts.append((_("Asked by"), run.actor))
    aliases = session.scalars(
        select(TransactionAlias)
        .where(TransactionAlias.transaction_id == each.id)
        .order_by(TransactionAlias.id)
        .limit(20)
    ).all()
    facts.append((_("The bank's number"), each.source_id or _("none that can be trusted")))
    others = [alias.source_id or _("without a number") for alias in aliases]
    if others:
        facts.append((_("Also came as"), ", ".join(others)))
    if each.occurrence > 1:
        facts.append((_("Among equal ones"), _("number %(n)s of that day", n=each.occurrence)))
    if each.export_id is not None:
        export = session.get_one(Export, each.export_id)
        facts.append(
            (
                _("Went out"),
                _("in statement %(n)s, %(date)s", n=export.number, date=moment(export.created_at)),
            )
        )
    return facts


def _state(each: Transaction) -> tuple[str, str] | None:
    """Tone and sentence, where there is something to say."""
    if each.state == "review":
        return "todo", _("Waits for a decision, and does not count until then.")
    names = {
        "who": each.decided_by or _("the program"),
        "date": moment(each.decided_at) if each.decided_at else "–",
    }
    if each.state == "removed":
        return "off", _(
            "Removed by %(who)s on %(date)s. It does not count and stays away.", **names
        )
    if each.state == "rejected":
        return "off", _(
            "Left out by %(who)s on %(date)s. It does not count and stays away.", **names
        )
    if each.review_reason and each.decided_at:
        return "well", _("Taken in by %(who)s on %(date)s.", **names)
    return None


def _resembled(each: Transaction | None, connection_id: int) -> dict[str, str] | None:
    if each is None or each.connection_id != connection_id:
        return None
    return {
        "url": url_for(".one", connection_id=connection_id, transaction_id=each.id),
        "text": " · ".join(
            filter(
                None,
                (
                    day(each.booked_on),
                    each.counterparty_name,
                    each.remittance[:80],
                    money(each.amount, each.currency),
                ),
            )
        ),
    }


def _change(each: Transaction) -> Button | None:
    if each.state == "booked":
        return _press("remove", _("Remove"), each)
    if each.state in ("removed", "rejected"):
        return _press("restore", _("Put back"), each)
    return None


def _press(action: str, label: str, each: Transaction) -> Button:
    return Button(
        action=action,
        label=label,
        name=label,
        method="post",
        url=url_for(f".{action}", connection_id=each.connection_id, transaction_id=each.id),
    )


@blueprint.post("/transactions/<int:transaction_id>/remove")
def remove(connection_id: int, transaction_id: int) -> Response:
    """Never asks: it can be put back, from what is said about it and from its own page."""
    return _do(reviewing.remove, connection_id, transaction_id)


@blueprint.post("/transactions/<int:transaction_id>/restore")
def restore(connection_id: int, transaction_id: int) -> Response:
    return _do(reviewing.restore, connection_id, transaction_id)


def _do(action: Any, connection_id: int, transaction_id: int) -> Response:
    try:
        n = action(house().services, connection_id, [transaction_id], at(), actor=person().name)
        if n and action is reviewing.restore:
            say("ok", _("Put back; the transaction counts again."))
    except Missing:
        abort(404)
    except Refused as refused:
        say(
            "error",
            _(
                "The books are locked through %(locked)s.",
                locked=day(cast(date, refused.params["locked"])),
            ),
        )
    back = request.form.get("back", "")
    if back == "review":
        return redirect(url_for("review.page", connection_id=connection_id, _anchor="aside"), 303)
    return redirect(
        url_for(".one", connection_id=connection_id, transaction_id=transaction_id), 303
    )
