"""The rules of the simulated world: authorisations, synchronisations, what the app holds.

`now` is business time, handed down by the caller. Every function works inside the caller's
transaction and never commits.

Two truths are kept apart on purpose. What the *bank* knows (`authorisation`) changes the moment a
holder revokes at the bank; what the *app* knows (`as_the_app_sees_it`) changes at the next
synchronisation, as with a real provider.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from babel.numbers import get_currency_precision
from sqlalchemy import ColumnElement, false, func, insert, or_, select
from sqlalchemy.orm import Session

from . import bookings
from .clock import business_day, end_of_day
from .habits import SESSION, habits_of
from .model import (
    BOOKINGS,
    AppAccount,
    Bank,
    BankAccount,
    BankBooking,
    BankConsent,
    BankHabits,
    ConsentAccount,
    Holder,
    Integration,
    Owner,
    StatedBalance,
    Synchronization,
    SyncRange,
    Tick,
)

SYNC_EVERY = timedelta(hours=6)


class State(StrEnum):
    NONE = "none"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Authorisation:
    state: State
    consent: BankConsent | None = None
    history_from: date | None = None


@dataclass(frozen=True)
class OwnedAccount:
    """An account a holder owns, with what is true of it at the bank and in the app."""

    account: BankAccount
    bank: Bank
    app: AppAccount | None
    at_bank: State
    in_app: State
    valid_until: datetime | None

    @property
    def needs_bank(self) -> bool:
        return self.at_bank is not State.ACTIVE


def new_uuid() -> str:
    return str(uuid.uuid4())


def minor_units(amount: Decimal, currency: str) -> int:
    """Raises ValueError when the amount has more decimals than the currency knows."""
    scaled = amount.scaleb(get_currency_precision(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has too many decimals for {currency}")
    return int(scaled)


def as_decimal(amount: int, currency: str) -> Decimal:
    return Decimal(amount).scaleb(-get_currency_precision(currency))


# ── authorisations ───────────────────────────────────────────────────────────────────────────


def authorisation(session: Session, app_account: AppAccount, now: datetime) -> Authorisation:
    """What the bank would say of this account now: its last completed consent decides."""
    row = session.execute(
        select(BankConsent, ConsentAccount.history_from)
        .join(ConsentAccount, ConsentAccount.consent_id == BankConsent.id)
        .where(ConsentAccount.app_account_id == app_account.id)
        .order_by(BankConsent.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return Authorisation(State.NONE)
    consent, history_from = row
    if now > consent.valid_until:
        state = State.EXPIRED
    elif consent.revoked_at is not None and consent.revoked_at <= now:
        state = State.REVOKED
    else:
        state = State.ACTIVE
    return Authorisation(state, consent, history_from)


def as_the_app_sees_it(session: Session, account: AppAccount, truth: Authorisation) -> State:
    """A revocation at the bank is news to the app until a synchronisation has failed on it."""
    if truth.state is State.REVOKED and truth.consent is not None:
        latest = latest_synchronization(session, account)
        told = latest is not None and any(
            error["code"] == "authorizationInvalid" for error in latest.errors
        )
        if not told or latest is None or latest.created_at < truth.consent.authorized_at:
            return State.ACTIVE
    return truth.state


def owned_accounts(session: Session, holder_id: int, now: datetime) -> list[OwnedAccount]:
    """Every account the holder owns at a bank, whether in the app or not; by bank and IBAN."""
    rows = session.execute(
        select(BankAccount, Bank, AppAccount)
        .join(Owner, Owner.bank_account_id == BankAccount.id)
        .join(Bank, Bank.id == BankAccount.bank_id)
        .outerjoin(
            AppAccount,
            (AppAccount.bank_account_id == BankAccount.id) & (AppAccount.holder_id == holder_id),
        )
        .where(Owner.holder_id == holder_id)
        .order_by(Bank.name, BankAccount.id)
    ).all()
    found = []
    for account, bank, app in rows:
        truth = authorisation(session, app, now) if app else Authorisation(State.NONE)
        found.append(
            OwnedAccount(
                account=account,
                bank=bank,
                app=app,
                at_bank=truth.state,
                in_app=as_the_app_sees_it(session, app, truth) if app else State.NONE,
                valid_until=truth.consent.valid_until if truth.consent else None,
            )
        )
    return found


def add_to_app(session: Session, holder_id: int, account_id: int, now: datetime) -> AppAccount:
    """The holder's account in the app, made when it is not there. It starts unauthorised."""
    found = session.scalar(
        select(AppAccount).where(
            AppAccount.holder_id == holder_id, AppAccount.bank_account_id == account_id
        )
    )
    if found is None:
        found = AppAccount(
            uuid=new_uuid(), holder_id=holder_id, bank_account_id=account_id, added_at=now
        )
        session.add(found)
        session.flush()
    return found


def end_of_validity(authorized_at: datetime, valid_days: int) -> datetime:
    """An authorisation runs through the last of its days, in Amsterdam."""
    return end_of_day(business_day(authorized_at) + timedelta(days=valid_days))


def complete_consent(
    session: Session,
    *,
    holder_id: int,
    bank: Bank,
    account_ids: Iterable[int],
    valid_days: int,
    history_days: int | None,
    started_at: datetime,
    authorized_at: datetime,
    synchronise_at: datetime,
) -> BankConsent:
    """The holder said yes at the bank: one consent for all these accounts, then a first fetch.

    `history_days` None = as far as the bank goes, and everything for accounts filled from a file.
    """
    day = business_day(authorized_at)
    consent = BankConsent(
        holder_id=holder_id,
        bank_id=bank.id,
        started_at=started_at,
        authorized_at=authorized_at,
        valid_until=end_of_validity(authorized_at, valid_days),
    )
    session.add(consent)
    session.flush()
    renumber = habits_of(session, bank.id).new_refs
    for account_id in account_ids:
        account = session.get_one(BankAccount, account_id)
        app_account = add_to_app(session, holder_id, account_id, authorized_at)
        if renumber:
            app_account.uuid = new_uuid()
        oldest = account.opened_on
        if history_days is not None:
            oldest = max(oldest, day - timedelta(days=history_days))
        elif not account.from_file:
            oldest = max(oldest, day - timedelta(days=bank.history_days))
        oldest = min(oldest, day)
        session.add(
            ConsentAccount(
                consent_id=consent.id, app_account_id=app_account.id, history_from=oldest
            )
        )
        session.add(
            SyncRange(app_account_id=app_account.id, consent_id=consent.id, first=oldest, last=day)
        )
        session.flush()
        synchronise(session, app_account, synchronise_at)
    return consent


# ── synchronisations ─────────────────────────────────────────────────────────────────────────

DETAILS = {
    "authorizationInvalid": "The authorization is invalid, you should ask the customer to "
    "reauthorize the account",
    "authorizationExpired": "The authorization has expired, you should ask the customer to "
    "reauthorize the account",
    "financialInstitutionUnavailable": "The financial institution is temporarily unavailable",
}


def latest_synchronization(session: Session, account: AppAccount) -> Synchronization | None:
    return session.scalar(
        select(Synchronization)
        .where(Synchronization.app_account_id == account.id)
        .order_by(Synchronization.id.desc())
        .limit(1)
    )


def synchronise(
    session: Session, account: AppAccount, now: datetime, subtype: str = "accountTransactions"
) -> Synchronization:
    """Fetch what is new from the bank, at once, and note how that went.

    The app synchronises several times a day by itself, so when this finds the door closed, what
    was booked until it closed has been received: the range grows to that day, not further.
    """
    truth = authorisation(session, account, now)
    bank = session.scalars(
        select(Bank).join(BankAccount).where(BankAccount.id == account.bank_account_id)
    ).one()
    received_until, error = now, None
    if truth.consent is None:
        error = "authorizationInvalid"
    else:
        closings = [(truth.consent.valid_until, "authorizationExpired")]
        if truth.consent.revoked_at is not None:
            closings.append((truth.consent.revoked_at, "authorizationInvalid"))
        if bank.outage_since is not None:
            closings.append((bank.outage_since, "financialInstitutionUnavailable"))
        closed = [closing for closing in closings if closing[0] <= now]
        if closed:
            received_until = min(closed)[0]
            # An outage hides everything else; a passed date says more than a revocation.
            codes = {code for _, code in closed}
            error = next(
                code
                for code in (
                    "financialInstitutionUnavailable",
                    "authorizationExpired",
                    "authorizationInvalid",
                )
                if code in codes
            )
        _grow_range(session, account, truth.consent, business_day(received_until))
        if received_until >= truth.consent.authorized_at:
            account.synchronized_at = max(account.synchronized_at or received_until, received_until)
    record = Synchronization(
        uuid=new_uuid(),
        app_account_id=account.id,
        subtype=subtype,
        status="error" if error else "success",
        errors=[{"code": error, "detail": DETAILS[error]}] if error else [],
        created_at=now,
        updated_at=now,
    )
    session.add(record)
    session.flush()
    return record


def synchronise_when_old(session: Session, account: AppAccount, now: datetime) -> None:
    """What a real app does by itself about four times a day; here on the first look after 6 h."""
    if authorisation(session, account, now).state is State.NONE:
        return
    latest = latest_synchronization(session, account)
    if latest is None or now - latest.created_at > SYNC_EVERY:
        synchronise(session, account, now)


def _grow_range(session: Session, account: AppAccount, consent: BankConsent, until: date) -> None:
    current = session.scalar(
        select(SyncRange).where(
            SyncRange.app_account_id == account.id, SyncRange.consent_id == consent.id
        )
    )
    if current is not None and until > current.last:
        current.last = until


# ── bookings and balances ────────────────────────────────────────────────────────────────────


def generate_until(session: Session, account: BankAccount, now: datetime) -> None:
    """Make the bank's own bookings through today; they are the same whenever they are made."""
    today = business_day(now)
    if today <= account.generated_through:
        return
    first = account.generated_through + timedelta(days=1)
    habits = habits_of(session, account.bank_id)
    # Of the days before, what was late may be there already.
    before = 0
    if not account.from_file and session.get(BankHabits, account.bank_id) is not None:
        before = max(0, min(bookings.MOST_LATE, (first - account.opened_on).days))
    there = set(
        session.scalars(
            select(BankBooking.identity).where(
                BankBooking.bank_account_id == account.id,
                BankBooking.booked_on.between(first - timedelta(days=before), first),
            )
        )
    )
    rows = [
        {
            "uuid": made.uuid,
            "bank_account_id": account.id,
            "booked_on": made.booked_on,
            "value_on": made.booked_on,
            "amount": made.amount,
            "currency": account.currency,
            "counterparty": made.counterparty,
            "counterparty_iban": made.counterparty_iban,
            "remittance": made.remittance,
            "end_to_end_id": made.end_to_end_id,
            "bank_reference": None,
            "source": "generated",
            "identity": made.identity,
            "created_at": now,
        }
        for made in bookings.generate(
            account.iban + _suffix(account),
            first,
            today,
            twins=habits.twins,
            late_days=habits.late_days,
            before=before,
        )
        if made.identity not in there
    ]
    if rows:
        session.execute(insert(BOOKINGS), rows)
    account.generated_through = today


def _suffix(account: BankAccount) -> str:
    """Two currencies under one IBAN must not share ids."""
    return "" if account.currency == "EUR" else account.currency


def announced(session: Session, account: BankAccount, app: AppAccount) -> list[bookings.Generated]:
    """What the bank said is to come, at the app's last look; accounts from a file know nothing."""
    if account.from_file or app.synchronized_at is None:
        return []
    if not habits_of(session, account.bank_id).announces:
        return []
    day = business_day(app.synchronized_at)
    return bookings.announced(account.iban + _suffix(account), day)


def given_from(session: Session, app: AppAccount, bank: Bank, now: datetime) -> date | None:
    """The oldest day of which bookings are given now; None: all there are."""
    days = habits_of(session, bank.id).recent_days
    consent = authorisation(session, app, now).consent
    if days is None or consent is None or now - consent.authorized_at < SESSION:
        return None
    return business_day(now) - timedelta(days=days)


def ranges(session: Session, account: AppAccount) -> list[tuple[date, date]]:
    return [
        (row.first, row.last)
        for row in session.scalars(select(SyncRange).where(SyncRange.app_account_id == account.id))
    ]


def received(held: Sequence[tuple[date, date]]) -> ColumnElement[bool]:
    """The condition "the app has received this booking", for a query on BankBooking."""
    return or_(false(), *(BankBooking.booked_on.between(first, last) for first, last in held))


def balance(session: Session, account: BankAccount, day: date) -> int:
    """The balance at the end of `day`: the last stated one before it, and what came after.

    Without a stated balance: the account's opening balance (a generated account) or nothing.
    """
    stated = session.scalars(
        select(StatedBalance)
        .where(
            StatedBalance.bank_account_id == account.id,
            StatedBalance.on <= day,
            StatedBalance.kind.in_(("closing", "intermediate_closing")),
            StatedBalance.currency == account.currency,
        )
        .order_by(StatedBalance.on.desc(), StatedBalance.id.desc())
        .limit(1)
    ).first()
    total = func.coalesce(func.sum(BankBooking.amount), 0)
    query = select(total).where(
        BankBooking.bank_account_id == account.id,
        BankBooking.currency == account.currency,
        BankBooking.booked_on <= day,
    )
    if stated is not None:
        return stated.amount + (session.scalar(query.where(BankBooking.booked_on > stated.on)) or 0)
    start = 0 if account.from_file else bookings.opening_balance(account.iban)
    return start + (session.scalar(query) or 0)


# ── integrations ─────────────────────────────────────────────────────────────────────────────


def upsert_integration(
    session: Session,
    *,
    client_id: str,
    holder_id: int,
    reference: str,
    label: str,
    app_account_ids: Iterable[int],
    now: datetime,
) -> Integration:
    """The holder's grant to a client for one purpose; consenting again replaces its ticks."""
    found = session.scalar(
        select(Integration).where(
            Integration.client_id == client_id,
            Integration.holder_id == holder_id,
            Integration.reference == reference,
        )
    )
    if found is None:
        found = Integration(
            uuid=new_uuid(),
            client_id=client_id,
            holder_id=holder_id,
            reference=reference,
            label=label,
            created_at=now,
        )
        session.add(found)
    found.label = label
    found.revoked_at = None
    session.flush()
    replace_ticks(session, found, app_account_ids)
    return found


def replace_ticks(session: Session, integration: Integration, app_ids: Iterable[int]) -> None:
    wanted = set(app_ids)
    for tick in session.scalars(select(Tick).where(Tick.integration_id == integration.id)).all():
        if tick.app_account_id in wanted:
            wanted.discard(tick.app_account_id)
        else:
            session.delete(tick)
    session.add_all(Tick(integration_id=integration.id, app_account_id=n) for n in wanted)
    session.flush()


def ticked_accounts(
    session: Session, integration_id: int
) -> list[tuple[AppAccount, BankAccount, Bank]]:
    rows = session.execute(
        select(AppAccount, BankAccount, Bank)
        .join(Tick, Tick.app_account_id == AppAccount.id)
        .join(BankAccount, BankAccount.id == AppAccount.bank_account_id)
        .join(Bank, Bank.id == BankAccount.bank_id)
        .where(Tick.integration_id == integration_id)
        .order_by(AppAccount.id)
    ).all()
    return [(a, b, c) for a, b, c in rows]


def holder_by_email(session: Session, email: str) -> Holder | None:
    return session.scalar(select(Holder).where(Holder.email == email))
