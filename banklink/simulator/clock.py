"""The demo clock: business time that can be moved forward.

Two kinds of time live in the simulator. *Business time* (bookings, validity of an authorisation,
synchronisations) follows `now()`, so that an expiry in half a year can be shown in one sitting.
*Real time* (authorisation codes, tokens, links, browser sessions) follows `real()`: moving the
demo clock must never sign anybody out or age a code.

Everything below the edges (routes, `Simulator`) takes `now` as an argument.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .model import Setting, Store

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
log = logging.getLogger(__name__)


def business_day(moment: datetime) -> date:
    """The calendar day in Amsterdam of an aware moment."""
    return moment.astimezone(AMSTERDAM).date()


def end_of_day(day: date) -> datetime:
    """The last millisecond of an Amsterdam day, as aware UTC.

    An authorisation is valid *through* its last day, which is how people read the date
    (domain A2.6, "valid through the end of `valid_until`").
    """
    last = datetime.combine(day, time(23, 59, 59, 999000), tzinfo=AMSTERDAM)
    return last.astimezone(UTC)


def real_time() -> datetime:
    return datetime.now(UTC)


class DemoClock:
    """Business time = real time + an offset kept in the simulator's database."""

    KEY = "clock_offset_seconds"

    def __init__(self, store: Store, source: Callable[[], datetime] = real_time) -> None:
        self.source = source
        self.listeners: list[Callable[[], object]] = []
        self._store = store
        self._lock = threading.Lock()
        with store.transaction() as session:
            row = session.get(Setting, self.KEY)
            self._offset = timedelta(seconds=float(row.value)) if row else timedelta()

    def real(self) -> datetime:
        return self.source()

    def now(self) -> datetime:
        return self.source() + self._offset

    def advance(self, step: timedelta) -> None:
        """Move business time forward by `step`, store it, then wake the listeners.

        Raises ValueError when `step` is not positive: what has been booked, fetched or expired
        cannot be undone, so a clock that runs back would show a world that never was.
        A listener that fails is logged and does not keep the others asleep.
        """
        if step <= timedelta():
            raise ValueError("the demo clock only moves forward")
        with self._lock:
            offset = self._offset + step
            with self._store.transaction() as session:
                session.merge(Setting(key=self.KEY, value=str(offset.total_seconds())))
            self._offset = offset
        for listener in list(self.listeners):
            try:
                listener()
            except Exception:
                log.exception("a listener of the demo clock failed")
