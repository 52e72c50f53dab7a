"""The ledger of accesses: how often an account may be read, and until when it may not.

A bank lets itself be read four times in 24 hours per account and endpoint while nobody is waiting
(RTS Art. 36(5)(b)). So every access is noted before it is made, in a transaction of its own: one
that a crash, a retry or a second worker made is counted like any other. A person who is waiting is
not held to the four; a pause that the bank itself asked for (429) holds for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, false, select
from sqlalchemy.orm import Session

from banklink.actions.observe import back_off
from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.providers.contract import RateLimited
from banklink.store.models import Access, Account, Connection

TRANSACTIONS = "transactions"
PENDING = "pending"

BUDGET = 4
WITHIN = timedelta(hours=24)
_UNSAID = timedelta(hours=1)
"""The shortest pause where the bank asks for one and does not say how long."""
_KEPT = timedelta(days=90)


class Spent(Exception):
    """Nothing may be read before `until`. `by_bank`: it said so itself, so it holds for a person
    who is waiting too."""

    def __init__(self, until: datetime, *, by_bank: bool):
        super().__init__(until.isoformat())
        self.until = until
        self.by_bank = by_bank


def note(services: Services, account_id: int, endpoint: str, at: Moment, *, attended: bool) -> None:
    """Before the first call of a reading, and of one that goes on after a break. `attended`: a
    person is waiting for it. Raises Spent, and then nothing is noted."""
    with services.store.write() as session:
        # Where a database locks rows, two workers count one after the other.
        account = session.get_one(Account, account_id, with_for_update=True)
        if is_paused(account, at):
            assert account.paused_until is not None
            raise Spent(account.paused_until, by_bank=True)
        if not attended:
            used = _unattended(session, account_id, endpoint, at)
            if len(used) >= BUDGET:
                raise Spent(used[BUDGET - 1] + WITHIN, by_bank=False)
        session.add(Access(account_id=account_id, endpoint=endpoint, attended=attended, at=at.now))


def is_paused(account: Account, at: Moment) -> bool:
    """Whether the bank asked not to be asked now."""
    return account.paused_until is not None and account.paused_until > at.now


def left(session: Session, account_id: int, endpoint: str, at: Moment) -> int:
    """How many unattended accesses may still be made now."""
    return max(0, BUDGET - len(_unattended(session, account_id, endpoint, at)))


def wait(connection: Connection, until: datetime) -> None:
    """Out of accesses: the row says until when, and nothing is tried before."""
    connection.limited_until = connection.next_fetch_at = until


def pause(
    session: Session,
    connection: Connection,
    account_id: int,
    error: RateLimited,
    at: Moment,
) -> datetime:
    """The bank asked for a pause: nobody reads the account before its end, which is returned.
    Where the bank does not say how long, the pauses grow."""
    until = at.now + (error.retry_after or max(_UNSAID, back_off(max(1, connection.failures))))
    until = _stop(session, account_id, until)
    wait(connection, until)
    return until


def pause_after(services: Services, account_id: int, error: RateLimited, at: Moment) -> None:
    """The same, asked for by something that the fetch can do without: it goes on, and the next one
    waits."""
    with services.store.write() as session:
        _stop(session, account_id, at.now + (error.retry_after or _UNSAID))


def _stop(session: Session, account_id: int, until: datetime) -> datetime:
    account = session.get_one(Account, account_id, with_for_update=True)
    account.paused_until = max(until, account.paused_until or until)
    return account.paused_until


def delete_old(session: Session, at: Moment) -> int:
    """The ledger is for counting, and for a while to see what was read."""
    gone = session.execute(delete(Access).where(Access.at < at.now - _KEPT))
    return int(getattr(gone, "rowcount", 0))


def _unattended(session: Session, account_id: int, endpoint: str, at: Moment) -> Sequence[datetime]:
    """When, newest first, no more than tell whether there is one left."""
    return session.scalars(
        select(Access.at)
        .where(
            Access.account_id == account_id,
            Access.endpoint == endpoint,
            Access.attended == false(),
            Access.at > at.now - WITHIN,
        )
        .order_by(Access.at.desc())
        .limit(BUDGET)
    ).all()
