"""Summarise: rewrite the counts that time has changed, and those that are not there yet, as in a
database from before there were any."""

from __future__ import annotations

import logging

from sqlalchemy.exc import OperationalError

from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.store.summaries import due, rewrite

log = logging.getLogger(__name__)

_AT_A_TIME = 20


def rewrite_due(services: Services, at: Moment, *, of: int | None = None) -> int:
    """`of`: only the administrations of this user, who is opening the page. Returns how many."""
    with services.store.read() as session:
        found = due(session, at, of=of)
    for first in range(0, len(found), _AT_A_TIME):
        try:
            with services.store.write() as session:
                rewrite(session, found[first : first + _AT_A_TIME], at)
        except OperationalError as error:
            if of is None:
                raise
            # Who only reads must be able to while the disk is full: the counts before are shown.
            log.warning("counts not rewritten: %s", error.orig)
            return first
    return len(found)
