"""Summarise: rewrite the counts that time has changed, and those that are not there yet, as in a
database from before there were any."""

from __future__ import annotations

from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.store.summaries import due, rewrite

_AT_A_TIME = 20


def rewrite_due(services: Services, at: Moment, *, of: int | None = None) -> int:
    """`of`: only the administrations of this user. Returns how many."""
    with services.store.read() as session:
        found = due(session, at, of=of)
    for first in range(0, len(found), _AT_A_TIME):
        with services.store.write() as session:
            rewrite(session, found[first : first + _AT_A_TIME], at)
    return len(found)
