"""The one clock. Read at the edges (web, jobs, cli) only; everything below is handed a Moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from banklink.core.calendar import Moment


class Clock(Protocol):
    """Business time (`now`, moved by the demo clock) and machine time (`real`), aware UTC."""

    def now(self) -> datetime: ...

    def real(self) -> datetime: ...


class SystemClock:
    """Business time is machine time: what a real installation uses."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def real(self) -> datetime:
        return datetime.now(UTC)


def read(clock: Clock) -> Moment:
    """One reading, to be passed down."""
    return Moment(now=clock.now(), real=clock.real())
