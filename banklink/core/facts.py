"""What is known about one connection. Observed facts and people's intent, nothing derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Grant(StrEnum):
    """A holder lets Banklink read the accounts they ticked."""

    NONE = "none"
    ACTIVE = "active"
    REVOKED = "revoked"


class Authorisation(StrEnum):
    """A bank lets the provider read one account of one holder, until a date."""

    NONE = "none"
    NEVER_COMPLETED = "never_completed"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Switch(StrEnum):
    """The bookkeeper's intent: fetch this account or not."""

    NEVER = "never"
    ON = "on"
    OFF = "off"


class Trouble(StrEnum):
    """Why our own fetches fail: always between us and the provider, never the bank behind it."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFacts:
    """One holder's side of one IBAN.

    `withdrawn_here`: the grant was ended by somebody here, not by the holder. `listed`: the
    provider shows us the account through this holder's grant (ticked and present in
    the entrepreneur app; Banklink cannot tell the two apart). `days_left`: whole Dutch days until
    the last valid day, None when no date is known.
    """

    grant: Grant
    listed: bool
    authorisation: Authorisation
    name: str | None = None
    days_left: int | None = None
    valid_until: datetime | None = None
    granted_at: datetime | None = None
    revoked_at: datetime | None = None
    withdrawn_here: bool = False
    listed_at: datetime | None = None
    unlisted_at: datetime | None = None
    authorised_at: datetime | None = None
    ended_at: datetime | None = None
    attempted_at: datetime | None = None

    @property
    def visible(self) -> bool:
        """Nothing of an account may be known or shown that is not visible (domain.md A2)."""
        return self.grant is Grant.ACTIVE and self.listed

    @property
    def usable(self) -> bool:
        return self.visible and self.authorisation is Authorisation.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """One administration and one IBAN. `selected` is a key of `holders`.

    `holders` are those who have to do with this IBAN: who shared it now or before, who was asked
    for it, and who is selected. A holder who shares only other accounts of the firm is not among
    them, so a journal nobody ever shared reads "not linked yet" and not "not found".

    `invited`: somebody was asked and can still answer; `requested`: for a renewal, in person.

    `now` is there for the diagnosis alone: two that differ in nothing else are the same facts.

    `outage_since` is the bank's, as the provider tells it; `trouble_since` our own with the
    provider, of the kind `trouble`. `limited_until`: until then the bank's limit lets nothing be
    fetched by itself. `unbalanced`: the first and last day within which bookings and balances
    disagree, `unbalanced_by` by how much (minor units, more at the bank is positive) where it is in
    one place.
    """

    journal: bool
    switch: Switch
    selected: str | None
    holders: Mapping[str, HolderFacts] = field(default_factory=dict)
    now: datetime | None = field(default=None, compare=False)
    switched_at: datetime | None = None
    last_success: datetime | None = None
    outage_since: datetime | None = None
    trouble_since: datetime | None = None
    trouble: Trouble = Trouble.OTHER
    gap: tuple[date, date] | None = None
    limited_until: datetime | None = None
    unbalanced: tuple[date, date] | None = None
    unbalanced_by: int | None = None
    invited: bool = False
    requested: bool = False
    renewal_running: bool = False
