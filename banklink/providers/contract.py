"""What Banklink asks of a provider, in values that know no wire format.

Exceptions, all ProviderError:

    ProviderError
    ├── ConfigurationError     our key, certificate or address is wrong: never a client's state
    ├── CallbackInvalid        a code was refused: expired, used, or not ours
    ├── GrantRevoked           the holder's grant no longer yields tokens
    ├── TokenRefused           the access token is stale; refresh once, then try again
    ├── AccountNotFound        the provider does not show the account (any more)
    ├── AuthorisationEnded     the bank refuses this account (reason expired or revoked)
    ├── CursorRefused          a cursor says nothing to the provider (any more): read from the start
    ├── RateLimited            ask again after `retry_after`
    ├── Temporary              provider or bank is down; nothing is known to have changed
    └── ContractViolation      an answer we cannot understand
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol


class ProviderError(Exception):
    """`code` is the provider's own word, for the log and *Technical*; never shown as a sentence."""

    def __init__(
        self,
        code: str,
        *,
        http_status: int | None = None,
        request_id: str | None = None,
        retry_after: timedelta | None = None,
    ):
        super().__init__(code)
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.retry_after = retry_after


class ConfigurationError(ProviderError):
    pass


class CallbackInvalid(ProviderError):
    pass


class GrantRevoked(ProviderError):
    pass


class TokenRefused(ProviderError):
    """A 401: the access token is not accepted. Only a refresh tells whether the grant lives."""


class AccountNotFound(ProviderError):
    pass


class AuthorisationEnded(ProviderError):
    pass


class CursorRefused(ProviderError):
    """It ran out, or what it stood in changed meanwhile."""


class RateLimited(ProviderError):
    pass


class Temporary(ProviderError):
    pass


class ContractViolation(ProviderError):
    pass


@dataclass(frozen=True, slots=True)
class Credentials:
    """Tokens of one grant. `access_expires_at` in machine time. Never logged: no repr of values."""

    access_token: str
    refresh_token: str | None
    access_expires_at: datetime

    def __repr__(self) -> str:
        return f"Credentials(expires {self.access_expires_at:%H:%M:%S})"


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send the holder, and what must be remembered until they return (sealed)."""

    url: str
    private: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """Whose grant it is. `subject` is the provider's stable id."""

    subject: str
    name: str
    email: str | None


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """One account as the provider shows it now.

    `ended`: None, "expired" or "revoked", where the provider says the bank refuses; a date in the
    past alone is not repeated here. `authorised_at` None: never authorised. `history_from`: oldest
    day the bank gave under the current authorisation; `available_from`: oldest day there is.
    """

    ref: str
    iban: str
    currency: str
    name: str | None
    bank: str | None
    authorised_at: datetime | None
    valid_until: datetime | None
    ended: str | None
    outage: bool
    synchronized_at: datetime | None
    available_from: date | None
    history_from: date | None
    balance: StatedBalance | None = None


@dataclass(frozen=True, slots=True)
class StatedBalance:
    """What the account holds, as the bank says: `on` is the Dutch day it is about, `at` when the
    bank was asked. `amount` exact."""

    amount: Decimal
    currency: str
    on: date
    at: datetime | None


@dataclass(slots=True)
class ProviderTransaction:
    """One booked transaction. `amount` signed and exact; dates are Dutch calendar days. `id` is
    the bank's own, empty where it gives none that could tell bookings apart. Not frozen: making a
    frozen one takes a third of the time of reading a page. `minor`: the amount in minor units,
    where the adapter has reckoned them already."""

    id: str
    booked_on: date
    value_on: date | None
    amount: Decimal
    currency: str
    counterparty_name: str | None
    counterparty_iban: str | None
    remittance: str
    end_to_end_id: str | None = None
    minor: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PendingBooking:
    """Announced and not booked yet: it may change, or never come."""

    expected_on: date | None
    amount: Decimal
    currency: str
    counterparty_name: str | None
    counterparty_iban: str | None
    remittance: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One booking of a page that misses what a booking needs. `code` says what; `content` is what
    the service sent, as JSON, for a person to look at."""

    code: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `cursor` asks for the next, older page, None at the end. One booking that
    cannot be read does not cost the others. `synchronized_at`: when the provider had last spoken
    to the bank as it wrote the page."""

    transactions: Sequence[ProviderTransaction]
    cursor: str | None
    unreadable: Sequence[Unreadable] = ()
    synchronized_at: datetime | None = None


class BankProvider(Protocol):
    """`real` is machine time (aware UTC). Every method may raise Temporary, ConfigurationError or
    ContractViolation; those that use a grant's token may raise GrantRevoked."""

    id: str
    issuer: str | None
    authorize_url: str
    ids_stable: bool
    """Whether the id of a booking stays the same as long as the account's id does."""

    def begin_grant(
        self,
        *,
        redirect_uri: str,
        state: str,
        label: str,
        reference: str,
        wanted: Sequence[str] = (),
        email: str | None = None,
        agreed: bool = False,
    ) -> Departure: ...

    def complete_grant(
        self, *, code: str, private: Mapping[str, str], redirect_uri: str, real: datetime
    ) -> Credentials: ...

    def refresh(self, credentials: Credentials, *, real: datetime) -> Credentials: ...

    def person(self, credentials: Credentials) -> Person: ...

    def accounts(self, credentials: Credentials) -> Sequence[ProviderAccount]: ...

    def begin_authorisation(
        self, credentials: Credentials, *, account_ref: str, redirect_uri: str, state: str
    ) -> str: ...

    def synchronise(
        self, credentials: Credentials, *, account_ref: str, user_ip: str | None
    ) -> None: ...

    def transactions(
        self, credentials: Credentials, *, account_ref: str, cursor: str | None
    ) -> Page: ...

    def pending(
        self, credentials: Credentials, *, account_ref: str
    ) -> Sequence[PendingBooking]: ...

    def revoke(self, credentials: Credentials | None, *, subject: str, reference: str) -> None: ...

    def close(self) -> None: ...
