"""Identity of a transaction: what makes two rows the same booking.

A bank's own id is trusted within its scope, the provider's account it came from. Another scope
(another holder of the same account, or an account id that changed at renewal) numbers the same
bookings anew, so across scopes the content decides: the same fingerprint is the same booking,
unless this scope already gave that one another id. Two equal coffees on one day have two ids in
one scope, hence stay two rows in every order of arrival (security.md 4.1).
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

_SPACE = re.compile(r"\s+")


def fingerprint(
    *,
    booked_on: date,
    value_on: date | None,
    amount: int,
    currency: str,
    counterparty_iban: str | None,
    counterparty_name: str | None,
    remittance: str,
) -> str:
    """A hash of what the bank says of a booking; `amount` in minor units. Case and white space
    do not count: banks re-wrap texts."""
    parts = (
        booked_on.isoformat(),
        value_on.isoformat() if value_on else "",
        str(amount),
        currency,
        _plain(counterparty_iban or ""),
        _plain(counterparty_name or ""),
        _plain(remittance),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def _plain(text: str) -> str:
    return _SPACE.sub("", text).casefold()


@dataclass(frozen=True, slots=True)
class Known:
    """A stored row of the same fingerprint: its key, and the scopes that have numbered it."""

    key: int
    fingerprint: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with incoming row number `index`: a new row, or another name of row `key`."""

    index: int
    key: int | None


def judge(
    incoming: Sequence[tuple[str, str]],
    *,
    scope: str,
    known_ids: Iterable[str],
    known_rows: Iterable[Known],
) -> list[Verdict]:
    """Decide on one page of (source id, fingerprint) pairs from one scope.

    `known_ids`: source ids of this scope that are stored already; they are left alone.
    `known_rows`: stored rows of the connection with any of these fingerprints.
    Returns verdicts for the others, in order; an id repeated within the page counts once.
    """
    seen = set(known_ids)
    free: dict[str, list[int]] = defaultdict(list)
    for row in known_rows:
        if scope not in row.scopes:
            free[row.fingerprint].append(row.key)
    for keys in free.values():
        keys.sort(reverse=True)
    verdicts = []
    for index, (source_id, print_) in enumerate(incoming):
        if source_id in seen:
            continue
        seen.add(source_id)
        verdicts.append(Verdict(index, free[print_].pop() if free[print_] else None))
    return verdicts
