"""In what state an invitation is. Only what happened to it is stored; the rest is read off."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

LASTS = timedelta(days=14)
"""So long an invitation can be accepted (domain.md A2.6)."""


class Purpose(StrEnum):
    """What somebody is asked for: permission, permission (again) for this account too, or a step at
    the bank."""

    CONNECT = "connect"
    REPAIR = "repair"
    RENEW = "renew"


class State(StrEnum):
    SENT = "sent"
    OPENED = "opened"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


OPEN = frozenset({State.SENT, State.OPENED})
"""States in which it still lets somebody in."""


def state_of(
    *,
    now: datetime,
    expires_at: datetime,
    opened_at: datetime | None = None,
    accepted_at: datetime | None = None,
    declined_at: datetime | None = None,
    withdrawn_at: datetime | None = None,
) -> State:
    """What was done outlasts what time does: an accepted invitation never reads as expired. Of two
    things done the one that ends the matter counts: accepted, withdrawn, declined."""
    if accepted_at is not None:
        return State.ACCEPTED
    if withdrawn_at is not None:
        return State.WITHDRAWN
    if declined_at is not None:
        return State.DECLINED
    if now >= expires_at:
        return State.EXPIRED
    return State.SENT if opened_at is None else State.OPENED
