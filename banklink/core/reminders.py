"""When somebody is reminded that an authorisation ends (domain.md B3).

A threshold is a number of days before the last valid day, negative after it; each falls due at ten
in the morning in Amsterdam. Of what was missed only the most urgent is still said.

Every threshold of an authorisation is dealt with once: with a mail, or rightly with none. None
where a mail of the last days already told that holder of this account and its date (`covered`), and
none for a while after they said no (`paused`); the last two days are an exception to the one, the
last week to the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from banklink.core.calendar import (
    Moment,
    amsterdam_day,
    amsterdam_hour,
    start_of_day,
    time_of_day,
)

THRESHOLDS = (30, 14, 7, 1, 0, -7, -30)
"""From early to late, which is from least to most urgent."""

TOLD_TO_BOOKKEEPER = frozenset({14, 7, 1, 0})
"""Days left on which the daily digest names an account (domain.md B3)."""

SHORT_TERM = 60
"""An authorisation for fewer days has no use for a reminder 30 days ahead."""

ASKED_FOR = 60
"""So many days after the end nobody is asked any more: whoever looks again after months, or begins
to use this program late, does not write to people about what they have long forgotten."""

COVERS = 3
"""So many days after a mail to a holder about a bank, what falls due for another account that stood
in it needs no mail of its own."""

ALWAYS = frozenset({1, 0})
"""Thresholds that are mailed however short ago the last mail was."""

AFTER_A_NO = timedelta(days=14)
"""So long after a holder refused to renew they are left alone."""

DESPITE_A_NO = frozenset({7, 1, 0})
"""Thresholds at which they are asked again all the same."""

MORNING, EVENING = 10, 20
"""Between these hours in Amsterdam mails may be written that nobody waits for."""

NOON = 12
"""Until then mails wait for what is overdue to be looked at: after a pause somebody may have
renewed long ago. From then on they no longer do."""

OVERDUE = timedelta(minutes=5)
"""What was to be looked at so long ago is overdue; less is the daily round."""

_MOVED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Term:
    """An authorisation: from when, and the last day on which it holds. `early`: the bank ended it
    in the course of that day, before its date."""

    began: datetime
    last_day: date
    early: bool = False

    @property
    def days(self) -> int:
        return (self.last_day - amsterdam_day(self.began)).days

    @property
    def without_from(self) -> date:
        """The first day that brings nothing, or not everything, any more."""
        return self.last_day if self.early else self.last_day + timedelta(days=1)


def term(
    authorised_at: datetime | None,
    valid_until: datetime | None,
    *,
    ended: str | None = None,
    ended_at: datetime | None = None,
) -> Term | None:
    """None when there is nothing that ends: never authorised, or without an end. A bank that lets
    it expire before its date has moved the last day (domain.md R11)."""
    if authorised_at is None:
        return None
    last = None if valid_until is None else amsterdam_day(valid_until)
    if ended == "expired" and ended_at is not None:
        day = amsterdam_day(ended_at)
        if last is None or day <= last:
            return Term(authorised_at, day, early=True)
    return None if last is None else Term(authorised_at, last)


def schedule(of: Term) -> tuple[tuple[int, datetime], ...]:
    """Every threshold of an authorisation with the instant it falls due, in order. Left out is what
    lay before it began."""
    return tuple(
        (threshold, at)
        for threshold in THRESHOLDS
        if not (threshold == THRESHOLDS[0] and of.days < SHORT_TERM)
        for at in [time_of_day(of.last_day - timedelta(days=threshold), MORNING)]
        if at > of.began
    )


@dataclass(frozen=True, slots=True)
class Due:
    """`mail`: the threshold to be mailed now, None when nothing is; `passed`: those that are noted
    without a mail, because a more urgent one has come or it is too late for any."""

    mail: int | None
    passed: tuple[int, ...]


def due(of: Term, now: datetime, noted: Collection[int]) -> Due:
    """What is to be done at `now`. `noted`: thresholds of this authorisation dealt with before."""
    crossed = [threshold for threshold, at in schedule(of) if at <= now]
    new = [threshold for threshold in crossed if threshold not in noted]
    if not new or new[-1] != crossed[-1] or days_to(of, now) < -ASKED_FOR:
        return Due(None, tuple(new))
    return Due(new[-1], tuple(new[:-1]))


def next_look(of: Term | None, after: datetime | None = None) -> datetime | None:
    """When the next threshold falls due after `after` (None: the first one at all); None when there
    is none any more."""
    if of is None:
        return None
    return next((at for _, at in schedule(of) if after is None or at > after), None)


def days_to(of: Term, now: datetime) -> int:
    """Whole Dutch days until the last valid day; 0 on it, negative after it."""
    return (of.last_day - amsterdam_day(now)).days


def true_until(of: Term, now: datetime) -> datetime | None:
    """Until when a reminder written now may still go: what says *today* or *tomorrow* until the end
    of the day, everything else until the next one says it better; None after the last."""
    if days_to(of, now) in (0, 1) or amsterdam_day(now) == of.without_from:
        return start_of_day(amsterdam_day(now) + timedelta(days=1))
    return next_look(of, now)


def covered(threshold: int, last_mail: datetime | None, now: datetime) -> bool:
    """Whether a mail says it already. `last_mail`: when this holder was last reminded of this
    account, with the date on which it ends now, be it in a mail for another one at the bank."""
    if last_mail is None or threshold in ALWAYS:
        return False
    return (amsterdam_day(now) - amsterdam_day(last_mail)).days <= COVERS


def paused(threshold: int, declined_at: datetime | None, now: datetime) -> bool:
    """Whether it is too soon to ask again. `declined_at`: when this holder last refused to renew at
    this bank."""
    if declined_at is None or threshold in DESPITE_A_NO:
        return False
    return now - declined_at < AFTER_A_NO


def urgency(threshold: int) -> int:
    """The higher, the more urgent."""
    return THRESHOLDS.index(threshold)


def last_morning(now: datetime) -> datetime:
    """The last time it was ten in the morning."""
    today = time_of_day(amsterdam_day(now), MORNING)
    if today <= now:
        return today
    return time_of_day(amsterdam_day(now) - timedelta(days=1), MORNING)


def writing_hours(at: Moment) -> Moment | None:
    """The moment as of which mails are written now, None at night: what was missed then waits for
    the next morning. Where the clock was moved (the demo) no night is disturbed, and days that were
    skipped had their mornings: there it is the last one."""
    if MORNING <= amsterdam_hour(at.now) < EVENING:
        return at
    if at.now - at.real >= _MOVED:
        return Moment(last_morning(at.now), at.real)
    return None


def waits_for_facts(at: Moment) -> bool:
    return amsterdam_hour(at.now) < NOON
