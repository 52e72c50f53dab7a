"""Choose a journal: give an IBAN its place in the books, or take it away."""

from __future__ import annotations

from schwifty import IBAN
from schwifty.exceptions import SchwiftyException
from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions.fetch import Fetched, fetch_all
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import changed, hold, opened, settle
from banklink.core.calendar import Moment
from banklink.store.facts import add_event
from banklink.store.models import Connection, Journal


def check_iban(text: str) -> str:
    """An IBAN as typed, in capitals without spaces. Raises Refused on field `iban`."""
    plain = "".join(text.split()).upper()
    if not plain:
        raise Refused("iban_missing", field="iban")
    try:
        return str(IBAN(plain))
    except SchwiftyException:
        raise Refused("iban_wrong", field="iban") from None


def put_iban(
    session: Session,
    journal: Journal,
    iban: str | None,
    currency: str | None = None,
    *,
    actor: str | None = None,
) -> None:
    """Set or clear a journal's IBAN, and number the journal on. Raises Refused when another journal
    carries it: a transaction would not know where to go (domain.md A1)."""
    if iban is not None:
        other = session.scalar(
            select(Journal).where(
                Journal.administration_id == journal.administration_id,
                Journal.iban == iban,
                Journal.currency == (currency or journal.currency),
                Journal.id != journal.id,
            )
        )
        if other is not None:
            raise Refused("iban_taken", field="iban", code=other.code, name=other.name)
        journal.currency = currency or journal.currency
    if journal.iban != iban:
        journal.version += 1
        journal.changed_by = actor
    journal.iban = iban
    session.flush()


def choose_journal(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    journal: str,
    code: str = "",
    name: str = "",
    version: int | None,
    actor: str,
) -> Fetched | None:
    """Put the connection's IBAN on a journal. `journal`: the id of one without an IBAN, "new" to
    make one from `code` and `name`, or "" to take the IBAN off the one that has it. Returns the
    fetch of a link that thereby runs again, else None.

    Raises Refused, Stale, Missing.
    """
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        connection, current = found.connection, found.journal
        changed(connection, actor)
        target: Journal | None = None
        if journal == "new":
            target = create(session, connection.administration_id, code, name)
        elif journal:
            number = int(journal) if journal.isdecimal() and len(journal) < 10 else 0
            target = session.get(Journal, number)
            if target is None or target.administration_id != connection.administration_id:
                raise Refused("journal_unknown", field="journal")
            if target.iban is not None and target is not current:
                raise Refused(
                    "journal_has_iban", field="journal", code=target.code, name=target.name
                )
        if current is not None and current is not target:
            put_iban(session, current, None, actor=actor)
        if target is not None:
            put_iban(session, target, connection.iban, connection.currency, actor=actor)
            add_event(
                session,
                connection,
                "journal_chosen",
                at,
                actor=actor,
                code=target.code,
                name=target.name,
            )
        elif current is not None:
            add_event(
                session,
                connection,
                "journal_released",
                at,
                actor=actor,
                code=current.code,
                name=current.name,
            )
        due = settle(session, connection.administration_id, at, actor=actor)
    return fetch_all(services, due, at).get(connection_id)


def add_journal(
    services: Services,
    administration_id: int,
    at: Moment,
    *,
    code: str,
    name: str,
    iban: str,
    actor: str,
) -> int:
    """A new bank journal with an IBAN; returns its connection. Raises Refused."""
    with services.store.write() as session:
        plain = check_iban(iban)
        hold(session, administration_id)
        journal = create(session, administration_id, code, name)
        put_iban(session, journal, plain)
        due = settle(session, administration_id, at, actor=actor)
        connection_id = session.scalar(
            select(Connection.id).where(
                Connection.administration_id == administration_id,
                Connection.iban == plain,
                Connection.currency == journal.currency,
            )
        )
    fetch_all(services, due, at)
    if connection_id is None:
        raise Missing
    return connection_id


def printable(text: str) -> str:
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def check_names(
    session: Session, administration_id: int, code: str, name: str, *, but: int | None = None
) -> tuple[str, str]:
    """Code and name as they may be stored; `but` is the journal they are for. Raises Refused."""
    code, name = printable(code), printable(name)
    if not code:
        raise Refused("code_missing", field="code")
    if not name:
        raise Refused("name_missing", field="name")
    if len(code) > 20 or len(name) > 100:
        raise Refused("too_long", field="code" if len(code) > 20 else "name")
    taken = session.scalar(
        select(Journal).where(
            Journal.administration_id == administration_id,
            Journal.code == code,
            Journal.id != (but or 0),
        )
    )
    if taken is not None:
        raise Refused("code_taken", field="code", name=taken.name)
    return code, name


def create(session: Session, administration_id: int, code: str, name: str) -> Journal:
    """A journal without an IBAN. Raises Refused."""
    code, name = check_names(session, administration_id, code, name)
    journal = Journal(
        administration_id=administration_id, code=code, name=name, iban=None, currency="EUR"
    )
    session.add(journal)
    session.flush()
    return journal
