"""What a connection's own pages show, written straight into the store: a hole, something to decide,
remarks, announced bookings, balances of which one is wrong, and the runs they came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.orm import Session

from banklink.core.calendar import Moment
from banklink.store.models import (
    Balance,
    BookedDay,
    Connection,
    Coverage,
    FetchRun,
    PendingTransaction,
    Remark,
    Transaction,
)

DAY = timedelta(days=1)


def run_of(session: Session, connection: Connection, at: Moment, **values: Any) -> FetchRun:
    made = FetchRun(
        **{
            "connection_id": connection.id,
            "holder_id": connection.selected_id,
            "scope": "told",
            "since": at.today - timedelta(days=30),
            "until": at.today,
            "started_at": at.now,
            "finished_at": at.now,
            "result": "ok",
            **values,
        }
    )
    session.add(made)
    session.flush()
    return made


@dataclass
class Hand:
    """Writes bookings of one connection, numbered as it goes."""

    session: Session
    connection: Connection
    run: FetchRun
    number: int = 0

    def book(self, on: date, amount: int, text: str = "Factuur", **values: Any) -> Transaction:
        self.number += 1
        made = Transaction(
            **{
                "connection_id": self.connection.id,
                "run_id": self.run.id,
                "scope": self.run.scope,
                "source_id": f"told-{self.run.id}-{self.number}",
                "fingerprint": f"told-{self.run.id}-{self.number}",
                "occurrence": 1,
                "booked_on": on,
                "value_on": on,
                "amount": amount,
                "currency": self.connection.currency,
                "counterparty_name": "Groothandel De Molen",
                "counterparty_iban": "NL44RABO0123456789",
                "remittance": text,
                "state": "booked",
                **values,
            }
        )
        self.session.add(made)
        self.session.flush()
        return made


def recount(session: Session, connection_id: int) -> None:
    """Sums of days, afresh."""
    amount = Transaction.amount
    session.flush()
    session.execute(delete(BookedDay).where(BookedDay.connection_id == connection_id))
    rows = session.execute(
        select(
            Transaction.connection_id,
            Transaction.booked_on.label("day"),
            func.count().label("count"),
            func.sum(case((amount > 0, amount), else_=0)).label("credit"),
            func.sum(case((amount < 0, amount), else_=0)).label("debit"),
        )
        .where(Transaction.connection_id == connection_id, Transaction.state == "booked")
        .group_by(Transaction.connection_id, Transaction.booked_on)
    ).all()
    if rows:
        session.execute(insert(BookedDay), [dict(row._mapping) for row in rows])


def cover(session: Session, connection_id: int, *stretches: tuple[date, date]) -> None:
    session.execute(delete(Coverage).where(Coverage.connection_id == connection_id))
    for first, last in stretches:
        session.add(Coverage(connection_id=connection_id, first=first, last=last))
    session.flush()


def tell(session: Session, connection: Connection, at: Moment) -> None:
    """A story that has everything in it; the connection is on and has been fetched."""
    today, start = at.today, connection.start_date
    assert start is not None
    run = run_of(session, connection, at, reason="person", actor="Sanne Jansen", pages=3, seen=120,
                 added=12, known=105, changed=1, reviewed=2, unreadable=1)  # fmt: skip
    hand = Hand(session, connection, run)
    hole = (today - timedelta(days=25), today - timedelta(days=21))
    for each in session.scalars(
        select(Transaction).where(
            Transaction.connection_id == connection.id,
            Transaction.booked_on.between(*hole),
        )
    ):
        session.delete(each)
    session.flush()
    late = today - timedelta(days=12)
    hand.book(late, -12_950, "Naboeking pinbetaling", state="review", review_reason="late")
    kept = hand.book(late - DAY, -4_500, "Incasso lease bestelbus 12-34-AB", state="booked")
    hand.book(late - DAY, -4_500, "Contributie ondernemersvereniging", state="review",
              review_reason="resembles", resembles_id=kept.id,
              counterparty_name="Winkeliers Noord")  # fmt: skip
    hand.book(late, -995, "Dubbel geboekt", state="removed", decided_at=at.now,
              decided_by="Sanne Jansen")  # fmt: skip
    cover(session, connection.id, (start, hole[0] - DAY), (hole[1] + DAY, today))
    connection.watermark = today
    connection.gap_from, connection.gap_to = hole
    recount(session, connection.id)
    for amount, name in ((-8_750, "Energie Direct"), (25_000, None)):
        session.add(
            PendingTransaction(
                connection_id=connection.id, expected_on=today + DAY, amount=amount, currency="EUR",
                counterparty_name=name, counterparty_iban=None, remittance="Termijn",
                seen_at=at.now,
            )
        )  # fmt: skip
    for number, (kind, row, content) in enumerate((
        ("changed", kept.id, {"booked_on": kept.booked_on.isoformat(), "amount": "-45.00",
                              "currency": "EUR", "remittance": "LEASE BESTELBUS"}),
        ("unreadable", None, {"remittance": "Zonder bedrag", "counterparty_name": "Onbekend"}),
    )):  # fmt: skip
        session.add(Remark(connection_id=connection.id, run_id=run.id, transaction_id=row,
                           kind=kind, mark=f"told-{number}", content=content,
                           seen_at=at.now))  # fmt: skip
    nets = dict(
        session.execute(
            select(BookedDay.day, BookedDay.credit + BookedDay.debit).where(
                BookedDay.connection_id == connection.id, BookedDay.day >= late
            )
        ).all()
    )
    session.add(_balance(connection, run, at, late - DAY, 1_250_000, 0))
    after = 1_250_000 + sum(net for day, net in nets.items() if day <= today - 3 * DAY)
    session.add(_balance(connection, run, at, today - 3 * DAY, after + 1_000, 1_000, since=late))
    connection.unbalanced_from, connection.unbalanced_to = late, today - 3 * DAY
    run_of(session, connection, at, result="refused", started_at=at.now - DAY,
           finished_at=at.now - DAY)  # fmt: skip
    run_of(session, connection, at, kind="file", reason="file", holder_id=None, seen=40, added=30,
           known=10, scope="file:1")  # fmt: skip


def _balance(
    connection: Connection,
    run: FetchRun,
    at: Moment,
    on: date,
    amount: int,
    difference: int,
    since: date | None = None,
) -> Balance:
    return Balance(
        connection_id=connection.id, run_id=run.id, on=on, kind="closing", source="provider",
        amount=amount, currency="EUR", final=True, seen_at=at.now, since=since,
        difference=difference,
    )  # fmt: skip
