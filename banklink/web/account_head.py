"""What stands above everything that is to be seen of one account: which one, where else one can
look, and what is under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import abort, current_app, g
from sqlalchemy import bindparam, select, true
from sqlalchemy.orm import Session

from banklink.store.asides import waiting_for
from banklink.store.models import Account, Connection, FetchRun, Grant, Journal, Membership
from banklink.store.plain import plain_columns, read_all
from banklink.web.addresses import path_to
from banklink.web.context import at, may_change, person
from banklink.web.i18n import _, iban
from banklink.web.progress import progress
from banklink.web.rows import row_address
from banklink.web.viewmodel import Link, OverlayView


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTab:
    key: str
    label: str
    url: str
    current: bool
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """`currency` only where it is not the euro. `progress_url` is asked as long as something is
    under way."""

    id: int
    title: str
    iban_grouped: str
    currency: str | None
    tabs: tuple[AccountTab, ...]
    back: Link
    actions: tuple[Link, ...]
    progress: OverlayView | None
    progress_url: str | None


_TABS = ("transactions", "review", "coverage", "fetches")


_CONNECTION = select(*plain_columns(Connection)).where(Connection.id == bindparam("id"))
_JOURNAL = select(Journal.code, Journal.name).where(
    Journal.administration_id == bindparam("books"),
    Journal.iban == bindparam("iban"),
    Journal.currency == bindparam("currency"),
)
_ACCOUNT = (
    select(Account.name, Account.bank)
    .join(Grant, Grant.id == Account.grant_id)
    .where(
        Grant.administration_id == bindparam("books"),
        Grant.state == "active",
        Account.iban == bindparam("iban"),
        Account.currency == bindparam("currency"),
        Account.listed == true(),
    )
    .order_by(Account.id)
)
_MINE = select(Membership.administration_id).where(Membership.user_id == bindparam("user")).limit(2)
# Made once: making a statement costs more than running it.


def connection_here(session: Session, connection_id: int) -> Connection:
    """To be looked at, not changed (store/plain.py)."""
    found = read_all(session, _CONNECTION, {"id": connection_id}, Connection, plain=True)
    if not found:
        abort(404)
    g.administration_id = found[0].administration_id
    # What the masthead asks next, while the database is at hand.
    g.several = len(session.connection().execute(_MINE, {"user": person().id}).all()) > 1
    connection: Connection = found[0]
    return connection


def head(session: Session, connection: Connection, current: str) -> Head:
    """`current`: the tab. Costs the same few statements however much there is."""
    number = connection.id
    waits = waiting_for(session, number)
    under_way = progress(connection, waits.run, at().real)
    counts = {"review": waits.review + waits.remarks}
    labels = {
        "transactions": _("Transactions"),
        "review": _("To decide"),
        "coverage": _("Days and balance"),
        "fetches": _("Fetches"),
    }
    return Head(
        id=number,
        title=_title(session, connection),
        iban_grouped=iban(connection.iban),
        currency=connection.currency if connection.currency != "EUR" else None,
        tabs=tuple(
            AccountTab(
                key=key,
                label=labels[key],
                url=path_to(f"{key}.page", connection_id=number),
                current=key == current,
                count=counts.get(key),
            )
            for key in _TABS
        ),
        back=Link(
            label=_("Back to the list"), url=row_address(connection.administration_id, number)
        ),
        actions=_elsewhere(number),
        progress=under_way[0] if under_way else None,
        progress_url=path_to("fetches.progress", connection_id=number)
        if under_way and under_way[1]
        else None,
    )


def _title(session: Session, connection: Connection) -> str:
    this = {
        "books": connection.administration_id,
        "iban": connection.iban,
        "currency": connection.currency,
    }
    journal = session.connection().execute(_JOURNAL, this).first()
    if journal is not None:
        return f"{journal.code} {journal.name}"
    account = session.connection().execute(_ACCOUNT, this).first()
    name = " · ".join(filter(None, account)) if account else ""
    return name or _("Account without journal")


def _elsewhere(number: int) -> tuple[Link, ...]:
    """Ways to put in and take out files."""
    found = []
    if may_change() and "uploads.page" in current_app.view_functions:
        found.append(
            Link(label=_("Upload a statement"), url=path_to("uploads.page", connection_id=number))
        )
    if "exports.page" in current_app.view_functions:
        found.append(Link(label=_("Statements"), url=path_to("exports.page", connection_id=number)))
    return tuple(found)


def upload_address(number: int, first: str, last: str) -> str | None:
    """Where a file for these days is uploaded, for who may."""
    if not may_change() or "uploads.page" not in current_app.view_functions:
        return None
    days: dict[str, Any] = {"from": first, "to": last}
    return path_to("uploads.page", connection_id=number, **days)


def why(run: FetchRun) -> str:
    """Why a run was made, in words."""
    words = {
        "schedule": _("on schedule"),
        "person": _("asked for"),
        "activated": _("switched on"),
        "renewed": _("after renewing"),
        "gap": _("for missing days"),
        "file": _("from a file"),
    }
    return words.get(run.reason, run.reason)
