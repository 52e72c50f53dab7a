"""Bookings put into the store as a fetch or a person would leave them, for what only reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from banklink.actions.export import Words, export_new, export_period, file_of, find
from banklink.core.calendar import Moment
from banklink.statements import Statement
from banklink.store.facts import ensure_connections
from banklink.store.models import (
    Administration,
    Balance,
    BookedDay,
    Connection,
    Coverage,
    Export,
    FetchRun,
    Journal,
    Transaction,
)
from tests.support.outgoing import CAMT, read, valid

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
WORDS = Words(head=[f"kolom {n}" for n in range(12)], remarks=(), correction="Terug:", mark=",")


@dataclass
class Ledger:
    """One connection with its bookings. Amounts are cents."""

    services: Any
    connection: int
    run: int
    now: datetime = NOW
    made: int = field(default=0)

    def at(self) -> Moment:
        return Moment(self.now, self.now)

    # -- what comes in ------------------------------------------------------------------------

    def book(self, day: date, *amounts: int, state: str = "booked", **more: Any) -> list[int]:
        return self.take([{"booked_on": day, "amount": each, **more} for each in amounts], state)

    def take(self, rows: Iterable[dict[str, Any]], state: str = "booked") -> list[int]:
        values = []
        for row in rows:
            self.made += 1
            values.append(
                {
                    "connection_id": self.connection,
                    "run_id": self.run,
                    "scope": "test",
                    "source_id": f"id-{self.made}",
                    "fingerprint": f"print-{self.made}",
                    "value_on": None,
                    "currency": "EUR",
                    "counterparty_name": "Koffiebar",
                    "counterparty_iban": "NL52VOOR0001234567",
                    "remittance": f"Koffie {self.made}",
                    "end_to_end_id": None,
                    "state": state,
                    **row,
                }
            )
        with self.services.store.write() as session:
            session.execute(insert(Transaction), values)
            self._days(session)
            last = session.scalar(select(func.max(Transaction.id))) or 0
        return list(range(last - len(values) + 1, last + 1))

    def decide(self, state: str, *numbers: int) -> None:
        """A person accepts, rejects, removes or puts back."""
        with self.services.store.write() as session:
            session.execute(
                update(Transaction)
                .where(Transaction.id.in_(numbers))
                .values(state=state, decided_at=self.now)
            )
            self._days(session)

    def _days(self, session: Session) -> None:
        amount = Transaction.amount
        session.execute(delete(BookedDay).where(BookedDay.connection_id == self.connection))
        session.execute(
            insert(BookedDay).from_select(
                ["connection_id", "day", "count", "credit", "debit"],
                select(
                    Transaction.connection_id,
                    Transaction.booked_on,
                    func.count(),
                    func.sum(case((amount > 0, amount), else_=0)),
                    func.sum(case((amount < 0, amount), else_=0)),
                )
                .where(Transaction.connection_id == self.connection, Transaction.state == "booked")
                .group_by(Transaction.connection_id, Transaction.booked_on),
            )
        )

    def covered(self, *stretches: tuple[date, date]) -> None:
        with self.services.store.write() as session:
            session.execute(delete(Coverage).where(Coverage.connection_id == self.connection))
            for first, last in stretches:
                session.add(Coverage(connection_id=self.connection, first=first, last=last))
            connection = session.get_one(Connection, self.connection)
            connection.start_date = stretches[0][0]
            connection.watermark = stretches[-1][1]

    def states(self, on: date, amount: int, *, kind: str = "closing", final: bool = True) -> None:
        with self.services.store.write() as session:
            session.add(
                Balance(
                    connection_id=self.connection,
                    run_id=self.run,
                    on=on,
                    kind=kind,
                    source="provider",
                    amount=amount,
                    currency="EUR",
                    final=final,
                    seen_at=self.now,
                )
            )

    # -- what goes out ------------------------------------------------------------------------

    def new(self, format: str = "camt.053.001.02", **more: Any) -> Export:
        number = export_new(
            self.services, self.connection, self.at(), format=format, locale="nl", **more
        )
        return self.export(number)

    def period(self, since: date, until: date, format: str = "mt940", **more: Any) -> Export:
        number = export_period(
            self.services,
            self.connection,
            self.at(),
            format=format,
            locale="nl",
            since=since,
            until=until,
            **more,
        )
        return self.export(number)

    def export(self, number: int) -> Export:
        with self.services.store.read() as session:
            return find(session, self.connection, number)

    def file(self, export: Export, format: str | None = None) -> bytes:
        format = format or export.format
        data = b"".join(file_of(self.services.store, export, format, WORDS))
        if format in CAMT:
            valid(format, data)
        return data

    def statements(self, export: Export, format: str = "camt.053.001.08") -> list[Statement]:
        return read(self.file(export, format))

    def amounts(self, export: Export) -> list[int]:
        return [
            int(each.amount * 100)
            for statement in self.statements(export)
            for each in statement.bookings
        ]

    def booked(self) -> int:
        """The sum of all that is booked."""
        with self.services.store.read() as session:
            return int(
                session.scalar(
                    select(func.coalesce(func.sum(Transaction.amount), 0)).where(
                        Transaction.connection_id == self.connection, Transaction.state == "booked"
                    )
                )
                or 0
            )


def ledger(services: Any, *, iban: str = "NL85DEMO0417164300", currency: str = "EUR") -> Ledger:
    """A new administration with one account."""
    with services.store.write() as session:
        made = Administration(reference=f"books of {iban}", name="Bakkerij De Vries")
        session.add(made)
        session.flush()
        session.add(
            Journal(
                administration_id=made.id, code="1100", name="Bank", iban=iban, currency=currency
            )
        )
        session.flush()
        ensure_connections(session, made.id)
        session.flush()
        connection = session.scalars(
            select(Connection).where(Connection.administration_id == made.id)
        ).one()
        number = connection.id
    return Ledger(services, number, run_for(services, number))


def run_for(services: Any, connection: int) -> int:
    """The number of a run that brings in what is booked here."""
    with services.store.write() as session:
        run = FetchRun(
            connection_id=connection,
            scope="test",
            since=NOW.date(),
            until=NOW.date(),
            started_at=NOW,
        )
        session.add(run)
        session.flush()
        return int(run.id)


__all__: Sequence[str] = ["NOW", "WORDS", "Ledger", "ledger", "run_for"]
