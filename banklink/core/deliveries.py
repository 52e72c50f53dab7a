"""How far a mail is on its way. Only what happened to it is stored; the rest is read off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

PAUSES = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
)
"""Between two tries while a server cannot take a mail; the last one over and over."""

PERSISTENCE = timedelta(days=3)
"""So long it is tried. Whoever was to be reached has to be reached another way by then."""

STALE = timedelta(days=2)
"""A mail that nobody tried to send for so long (no mail server was set, or nothing ran) does not
go out by itself any more: what it says may long be otherwise."""

GIVEN_UP = PERSISTENCE + 2 * PAUSES[-1]
"""Nor does one that was tried, once its last try is long overdue: nothing ran meanwhile."""

KEPT = timedelta(days=30)
"""So long a mail can still be read after it was sent or set aside; then its content, which may hold
a link that lets somebody in, is wiped."""


OVERTAKEN = frozenset({"withdrawn", "answered", "expired", "renewed", "newer", "late", "forgotten"})
"""Why a mail was set aside that was no longer to be sent; that is no trouble."""


class Stage(StrEnum):
    """`FAILING`: tried without success, and it will be tried again. `REFUSED`: it will not."""

    WAITING = "waiting"
    SENT = "sent"
    FAILING = "failing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known about one mail. `sent_at` is business time, `next_try` machine time; `error`
    a code: a word, and the numbers the mail server gave. `sent_by`: who sent it themselves, from
    another program."""

    mail_id: int
    stage: Stage
    email: str
    created_at: datetime
    sent_at: datetime | None
    tries: int
    next_try: datetime | None
    error: str | None
    sent_by: str | None = None


def stage_of(*, error: str | None, sent_at: datetime | None, refused_at: datetime | None) -> Stage:
    if sent_at is not None:
        return Stage.SENT
    if refused_at is not None:
        return Stage.REFUSED
    return Stage.FAILING if error else Stage.WAITING


def next_pause(tries: int) -> timedelta:
    """How long to wait after so many tries, at least one."""
    return PAUSES[min(tries, len(PAUSES)) - 1]
