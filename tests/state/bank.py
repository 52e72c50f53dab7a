"""A bank in memory: it is the truth. What it shows is a view of it, as real ones give it, through
accounts that are renumbered, ids that deserve no trust, pages cut anywhere, in any order within a
day, and outages.

It knows nothing of how Banklink tells bookings apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from banklink.core.calendar import amsterdam_day
from banklink.providers.contract import (
    AccountNotFound,
    AuthorisationEnded,
    Credentials,
    CursorRefused,
    Page,
    PendingBooking,
    ProviderAccount,
    ProviderTransaction,
    StatedBalance,
    Unreadable,
)

IBAN = "NL85DEMO0417164300"
BANK = "Demobank"
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
VALID = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Text:
    """What a booking says besides its day and amount."""

    name: str | None
    iban: str | None
    remittance: str


@dataclass(slots=True)
class Booking:
    """`born`: the tick at which the bank wrote it down, which may be long after its day. `texts`:
    all it ever said, the last one now. `blank`: the bank gives this one no id."""

    number: int
    born: int
    day: date
    value: date | None
    amount: int
    end_to_end: str | None
    texts: list[Text]
    blank: bool = False
    written: list[Text] = field(default_factory=list)


@dataclass(slots=True)
class Share:
    """One holder's view: the provider's account. `holds_from`: the oldest day it has; `synced`: the
    tick and moment at which it last heard of the bank."""

    subject: str
    ref: str
    authorised_at: datetime
    valid_until: datetime
    history_from: date
    holds_from: date
    synced: int
    synced_at: datetime
    listed: bool = True
    outage: bool = False
    ended: str | None = None
    names: dict[int, str] = field(default_factory=dict)

    @property
    def until(self) -> date:
        return amsterdam_day(self.synced_at)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the bank began to show when a reading asked for the first page."""

    ref: str
    at: datetime
    numbers: frozenset[int]
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a page ended: in a frozen list, or before what comes `after` a place."""

    ref: str
    wires: list[ProviderTransaction]
    after: tuple[int, int]
    synced_at: datetime


Hook = Callable[[str], None]


@dataclass(slots=True)
class Manners:
    """How this bank behaves, for the whole of an example."""

    ids_stable: bool = True
    frozen: bool = True
    """Cursors point into the list as it was at the first page; else at a place in the living one,
    below which late bookings still turn up."""


class Bank:
    """Fulfils BankProvider. `hook` is called before (name) and after (`name done`) every call, and
    may raise, or change the world meanwhile. `reading` tells which run is asking."""

    id = "ponto"
    issuer = None
    authorize_url = "https://bank.example/"

    def __init__(self, now: datetime, manners: Manners, seed: int = 0) -> None:
        self.now = now
        self.manners = manners
        self.chance = random.Random(seed)
        self.tick = 0
        self.step = 0
        self.bookings: list[Booking] = []
        self.pending_rows: list[PendingBooking] = []
        self.opening = 100_000
        self.balance_wrong_by = 0
        self.right_through = 0
        self.first_said: int | None = None
        self.shares: dict[str, Share] = {}
        self.page_size = 4
        self.unreadable = 0
        self.shuffle = 0
        self.renumberings = 0
        self.refs = 0
        self.cursors: dict[str, Cut] = {}
        self.listings: dict[int, Listing] = {}
        self.reading: Callable[[], int] = lambda: 0
        self.accesses: list[tuple[str, str, datetime]] = []
        self.synchronised: list[tuple[str, datetime]] = []
        self.hook: Hook = lambda _name: None

    # -- what happens at the bank -------------------------------------------------------------

    @property
    def ids_stable(self) -> bool:
        return self.manners.ids_stable

    @property
    def today(self) -> date:
        return amsterdam_day(self.now)

    def book(
        self,
        day: date,
        amount: int,
        text: Text,
        *,
        value: date | None = None,
        end_to_end: str | None = None,
        copies: int = 1,
        blank: bool = False,
    ) -> list[Booking]:
        self.tick += 1
        made = [
            Booking(
                len(self.bookings) + n,
                self.tick,
                day,
                value,
                amount,
                end_to_end,
                [text],
                blank,
            )
            for n in range(copies)
        ]
        self.bookings += made
        return made

    def say(self, number: int, text: Text) -> None:
        """The bank finds other words for a booking."""
        self.tick += 1
        self.bookings[number].texts.append(text)

    def authorise(
        self, subject: str, *, history: int, renumber: bool, available: int | None = None
    ) -> Share:
        """The holder is at the bank: from now on, with so many days of history."""
        old = self.shares.get(subject)
        history_from = self.today - timedelta(days=history)
        if old is None or renumber:
            self.refs += 1
            ref, names, holds = f"account-{self.refs}", {}, history_from
            if available is not None:
                holds = min(holds, self.today - timedelta(days=available))
        else:
            ref, names = old.ref, old.names
            # What it kept of before, unless days lie between that it never heard of.
            joined = history_from <= old.until + timedelta(days=1)
            holds = min(old.holds_from, history_from) if joined else history_from
        if renumber:
            self.cursors.clear()
        share = Share(
            subject=subject,
            ref=ref,
            authorised_at=self.now,
            valid_until=self.now + VALID,
            history_from=history_from,
            holds_from=holds,
            synced=self.tick,
            synced_at=self._instant(),
            outage=False,
            names=names,
        )
        self.shares[subject] = share
        return share

    def hear(self) -> None:
        """The provider asks the bank by itself, as it does a few times a day."""
        for share in self.shares.values():
            self._synchronise(share)

    def _synchronise(self, share: Share) -> None:
        if share.outage or share.ended or self.now > share.valid_until:
            return
        share.synced, share.synced_at = self.tick, self._instant()

    def _instant(self) -> datetime:
        """Now; and another moment whenever something was booked in between."""
        return self.now + timedelta(microseconds=self.tick)

    def forget_cursors(self) -> None:
        self.cursors.clear()

    def reorder(self) -> None:
        """The order within a day means nothing; from now on it is another."""
        self.shuffle += 1
        if not self.manners.frozen:
            self.cursors.clear()

    def reissue(self, how: str) -> None:
        """Every booking gets another id: `places`, a number in today's order, which named others
        before; `fresh`, one that was never used; `turned`, the one of the next booking."""
        self.renumberings += 1
        for share in self.shares.values():
            shown = self._shown(share)
            old = [self._names(share, each) for each in shown]
            share.names.clear()
            if how != "fresh":
                turned = [*old[1:], *old[:1]]
                for place, each in enumerate(shown):
                    share.names[each.number] = (
                        turned[place] if how == "turned" else f"{share.ref}/p{len(shown) - place}"
                    )
        self.cursors.clear()

    # -- what it shows ------------------------------------------------------------------------

    def visible(self, share: Share) -> list[Booking]:
        return [
            each
            for each in self.bookings
            if each.born <= share.synced and share.holds_from <= each.day <= share.until
        ]

    def _shown(self, share: Share) -> list[Booking]:
        return sorted(self.visible(share), key=self._place)

    def _place(self, each: Booking) -> tuple[int, int]:
        mixed = (each.number * 7919 + self.shuffle * 104729) % 65537 if self.shuffle else 0
        return -each.day.toordinal(), mixed if self.shuffle else -each.number

    def _name(self, share: Share, each: Booking) -> str:
        if each.blank:
            return self.chance.choice(("", " "))
        if not self.manners.ids_stable:
            return f"session-{self.chance.randrange(10**9)}"
        return self._names(share, each)

    def _names(self, share: Share, each: Booking) -> str:
        return share.names.setdefault(each.number, f"{share.ref}/{each.number}-{self.renumberings}")

    def _wire(self, share: Share, each: Booking) -> ProviderTransaction:
        text = each.texts[-1]
        return ProviderTransaction(
            id=self._name(share, each),
            booked_on=each.day,
            value_on=each.value,
            amount=Decimal(each.amount).scaleb(-2),
            currency="EUR",
            counterparty_name=text.name,
            counterparty_iban=text.iban,
            remittance=text.remittance,
            end_to_end_id=each.end_to_end,
        )

    def balance(self, share: Share) -> int:
        return self.opening + sum(
            each.amount
            for each in self.bookings
            if each.born <= share.synced and each.day <= share.until
        )

    def _share(self, ref: str) -> Share:
        for share in self.shares.values():
            if share.ref == ref and share.listed:
                if share.ended or self.now > share.valid_until:
                    raise AuthorisationEnded(share.ended or "expired", http_status=403)
                return share
        raise AccountNotFound("accountNotFound", http_status=404)

    # -- BankProvider -------------------------------------------------------------------------

    def accounts(self, credentials: Credentials) -> Sequence[ProviderAccount]:
        self.hook("accounts")
        share = self.shares.get(credentials.access_token)
        shown = []
        if share is not None and share.listed:
            if self.first_said is None:
                self.first_said = share.synced
            shown.append(
                ProviderAccount(
                    ref=share.ref,
                    iban=IBAN,
                    currency="EUR",
                    name="Bakkerij De Vries",
                    bank=BANK,
                    authorised_at=share.authorised_at,
                    valid_until=share.valid_until,
                    ended=share.ended or ("expired" if self.now > share.valid_until else None),
                    outage=share.outage,
                    synchronized_at=share.synced_at,
                    available_from=share.holds_from,
                    history_from=share.history_from,
                    balance=StatedBalance(
                        amount=Decimal(self.balance(share) + self.balance_wrong_by).scaleb(-2),
                        currency="EUR",
                        on=share.until,
                        at=share.synced_at,
                    ),
                )
            )
        self.hook("accounts done")
        return shown

    def transactions(
        self, credentials: Credentials, *, account_ref: str, cursor: str | None
    ) -> Page:
        self.hook("transactions")
        share = self._share(account_ref)
        self.accesses.append((share.subject, "transactions", self.now))
        if cursor is None:
            rows = self._shown(share)
            self.listings.setdefault(
                self.reading(),
                Listing(
                    account_ref,
                    self.now,
                    frozenset(each.number for each in rows),
                    share.holds_from,
                    share.until,
                ),
            )
            wires = [self._wire(share, each) for each in rows]
            places = [self._place(each) for each in rows]
            start, synced_at = 0, share.synced_at
        elif cursor not in self.cursors:
            raise CursorRefused("cursor_unknown", http_status=400)
        else:
            cut = self.cursors[cursor]
            if cut.ref != account_ref:
                raise CursorRefused("cursor_unknown", http_status=400)
            wires, synced_at = cut.wires, cut.synced_at
            if self.manners.frozen:
                start, places = cut.after[0], []
            else:
                synced_at = share.synced_at
                rows = [each for each in self._shown(share) if self._place(each) > cut.after]
                wires, places, start = (
                    [self._wire(share, each) for each in rows],
                    [self._place(each) for each in rows],
                    0,
                )
        end = start + self.page_size
        page, next_cursor = wires[start:end], None
        if end < len(wires):
            next_cursor = f"cursor-{len(self.cursors)}-{self.chance.randrange(10**9)}"
            after = (end, 0) if self.manners.frozen else places[end - 1]
            self.cursors[next_cursor] = Cut(
                account_ref, wires if self.manners.frozen else [], after, synced_at
            )
        self.hook("transactions done")
        odd = (
            [Unreadable("booked_on_missing", {"id": f"odd-{n}"}) for n in range(self.unreadable)]
            if cursor is None
            else []
        )
        return Page(page, next_cursor, odd, synced_at)

    def pending(self, credentials: Credentials, *, account_ref: str) -> Sequence[PendingBooking]:
        self.hook("pending")
        share = self._share(account_ref)
        self.accesses.append((share.subject, "pending", self.now))
        rows = [replace(each) for each in self.pending_rows]
        self.hook("pending done")
        return rows

    def synchronise(
        self, credentials: Credentials, *, account_ref: str, user_ip: str | None
    ) -> None:
        self.hook("synchronise")
        self._synchronise(self._share(account_ref))
        self.hook("synchronise done")

    def refresh(self, credentials: Credentials, *, real: datetime) -> Credentials:
        raise AssertionError("tokens of this bank do not grow old")

    def close(self) -> None:
        pass
