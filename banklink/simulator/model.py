"""What the simulated world remembers: banks, the entrepreneur app, and who may read what.

Three parties share one file but not their rows:
  the banks   bank, bank_habits, bank_account, owner, booking, stated_balance, bank_consent,
              bank_reading
  the app     holder, app_account, sync_range, synchronization, browser_session, journey
  its API     integration, tick, onboarding, authorisation_code, token_family, token

Secrets (codes, tokens, links, sessions) are stored as SHA-256 only: whoever reads the file cannot
act with what it holds. Money is an integer of minor units.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Date,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    String,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


def digest(secret: str) -> str:
    """What is stored of a secret with at least 128 bits of entropy (no salt needed)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in code, UTC in the file. A naive moment is a bug and is refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    type_annotation_map = {
        datetime: UtcDateTime,
        date: Date,
        str: String,
        list[int]: JSON,
        dict[str, Any]: JSON,
        list[dict[str, str]]: JSON,
    }


class Setting(Base):
    __tablename__ = "setting"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


# ── the banks ────────────────────────────────────────────────────────────────────────────────


class Bank(Base):
    __tablename__ = "bank"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    outage_since: Mapped[datetime | None]
    valid_days: Mapped[int] = mapped_column(default=180)
    history_days: Mapped[int] = mapped_column(default=730)


class BankHabits(Base):
    """What makes this bank hard to read (habits.py); no row: nothing."""

    __tablename__ = "bank_habits"
    bank_id: Mapped[int] = mapped_column(
        ForeignKey("bank.id", ondelete="CASCADE"), primary_key=True
    )
    values: Mapped[dict[str, Any]]


class BankAccount(Base):
    """An account at a bank. Whoever owns it; whether the app knows it is another matter."""

    __tablename__ = "bank_account"
    __table_args__ = (UniqueConstraint("iban", "currency"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    iban: Mapped[str]
    currency: Mapped[str]
    bank_id: Mapped[int] = mapped_column(ForeignKey("bank.id"))
    description: Mapped[str]
    holder_name: Mapped[str]
    opened_on: Mapped[date]
    from_file: Mapped[bool] = mapped_column(default=False)
    # The day through which bookings of our own exist; they are added as the clock moves.
    generated_through: Mapped[date]


class Owner(Base):
    __tablename__ = "owner"
    bank_account_id: Mapped[int] = mapped_column(
        ForeignKey("bank_account.id", ondelete="CASCADE"), primary_key=True
    )
    holder_id: Mapped[int] = mapped_column(
        ForeignKey("holder.id", ondelete="CASCADE"), primary_key=True
    )


class BankBooking(Base):
    __tablename__ = "booking"
    __table_args__ = (
        UniqueConstraint("bank_account_id", "identity"),
        Index("booking_newest_first", "bank_account_id", "booked_on", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    bank_account_id: Mapped[int] = mapped_column(ForeignKey("bank_account.id"))
    booked_on: Mapped[date]
    value_on: Mapped[date | None]
    amount: Mapped[int]
    currency: Mapped[str]  # the account's, unless a file says otherwise
    counterparty: Mapped[str | None]
    counterparty_iban: Mapped[str | None]
    remittance: Mapped[str]
    end_to_end_id: Mapped[str | None]
    bank_reference: Mapped[str | None]
    source: Mapped[str]  # the file's name, or "generated"
    identity: Mapped[str]
    created_at: Mapped[datetime]


class BankReading(Base):
    """That an account was read without its holder, for a bank that counts it."""

    __tablename__ = "bank_reading"
    id: Mapped[int] = mapped_column(primary_key=True)
    bank_account_id: Mapped[int] = mapped_column(
        ForeignKey("bank_account.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]


# For many rows at once: the ORM would split them by which of their values are None.
BOOKINGS = Base.metadata.tables[BankBooking.__tablename__]


class StatedBalance(Base):
    """A balance exactly as a statement states it; never computed, never corrected."""

    __tablename__ = "stated_balance"
    __table_args__ = (UniqueConstraint("bank_account_id", "kind", "on", "amount", "currency"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    bank_account_id: Mapped[int] = mapped_column(ForeignKey("bank_account.id"))
    kind: Mapped[str]
    on: Mapped[date]
    amount: Mapped[int]
    currency: Mapped[str]


# ── the entrepreneur app ─────────────────────────────────────────────────────────────────────


class Holder(Base):
    __tablename__ = "holder"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)  # the OAuth subject
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)


class AppAccount(Base):
    """One holder's account in the app. Removing deletes it; adding again starts from nothing."""

    __tablename__ = "app_account"
    __table_args__ = (UniqueConstraint("holder_id", "bank_account_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    holder_id: Mapped[int] = mapped_column(ForeignKey("holder.id"))
    bank_account_id: Mapped[int] = mapped_column(ForeignKey("bank_account.id"))
    added_at: Mapped[datetime]
    synchronized_at: Mapped[datetime | None]  # the last time that succeeded


class BankConsent(Base):
    """What the bank has noted: this app may read these accounts until then. One per bank visit.

    Written when the visit is completed, never before: a visit that is abandoned leaves the
    former consent as it was (domain R13).
    """

    __tablename__ = "bank_consent"
    id: Mapped[int] = mapped_column(primary_key=True)
    holder_id: Mapped[int] = mapped_column(ForeignKey("holder.id"))
    bank_id: Mapped[int] = mapped_column(ForeignKey("bank.id"))
    started_at: Mapped[datetime]
    authorized_at: Mapped[datetime]
    valid_until: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ConsentAccount(Base):
    __tablename__ = "consent_account"
    consent_id: Mapped[int] = mapped_column(
        ForeignKey("bank_consent.id", ondelete="CASCADE"), primary_key=True
    )
    app_account_id: Mapped[int] = mapped_column(
        ForeignKey("app_account.id", ondelete="CASCADE"), primary_key=True
    )
    history_from: Mapped[date]  # the oldest day the bank delivers under this consent


class SyncRange(Base):
    """Booking days the app has received of an account; one range per consent, grown by syncs."""

    __tablename__ = "sync_range"
    id: Mapped[int] = mapped_column(primary_key=True)
    app_account_id: Mapped[int] = mapped_column(ForeignKey("app_account.id", ondelete="CASCADE"))
    consent_id: Mapped[int] = mapped_column(ForeignKey("bank_consent.id", ondelete="CASCADE"))
    first: Mapped[date]
    last: Mapped[date]


class Synchronization(Base):
    __tablename__ = "synchronization"
    __table_args__ = (Index("latest_synchronization", "app_account_id", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    app_account_id: Mapped[int] = mapped_column(ForeignKey("app_account.id", ondelete="CASCADE"))
    subtype: Mapped[str]
    status: Mapped[str]
    errors: Mapped[list[dict[str, str]]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class BrowserSession(Base):
    """A signed-in browser, at the app or at a bank; ending it here ends it for every copy."""

    __tablename__ = "browser_session"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    holder_id: Mapped[int] = mapped_column(ForeignKey("holder.id"))
    bank_id: Mapped[int | None] = mapped_column(ForeignKey("bank.id"))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Journey(Base):
    """A visit to one or more banks under way. What it collects is applied when it completes."""

    __tablename__ = "journey"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]  # grant | settings | reauthorization
    holder_id: Mapped[int] = mapped_column(ForeignKey("holder.id"))
    client_id: Mapped[str | None]
    return_uri: Mapped[str]
    request: Mapped[dict[str, Any]]  # of a grant: state, scope, code_challenge, reference, label
    ticks: Mapped[list[int]]  # of a grant: bank accounts
    browser_hash: Mapped[str | None]  # the browser that passed the current bank's sign-in
    failures: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime]  # business time
    created_at: Mapped[datetime]  # real time; the link lives an hour
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class JourneyStep(Base):
    """One bank of a journey: what is asked there, and what came of it."""

    __tablename__ = "journey_step"
    id: Mapped[int] = mapped_column(primary_key=True)
    journey_id: Mapped[int] = mapped_column(ForeignKey("journey.id", ondelete="CASCADE"))
    position: Mapped[int]
    bank_id: Mapped[int] = mapped_column(ForeignKey("bank.id"))
    focus_id: Mapped[int] = mapped_column(ForeignKey("bank_account.id"))
    requested: Mapped[list[int]]
    offered: Mapped[list[int]]  # what the card that was used can share
    card: Mapped[str | None]
    valid_days: Mapped[int | None]
    history_days: Mapped[int | None]
    authorised: Mapped[list[int]]
    done_at: Mapped[datetime | None]


# ── its API ──────────────────────────────────────────────────────────────────────────────────


class Integration(Base):
    """A service's access to the accounts one holder ticked, for one purpose (`reference`)."""

    __tablename__ = "integration"
    __table_args__ = (UniqueConstraint("client_id", "holder_id", "reference"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    client_id: Mapped[str]
    holder_id: Mapped[int] = mapped_column(ForeignKey("holder.id"))
    reference: Mapped[str]
    label: Mapped[str]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_read_at: Mapped[datetime | None]


class Tick(Base):
    __tablename__ = "tick"
    integration_id: Mapped[int] = mapped_column(
        ForeignKey("integration.id", ondelete="CASCADE"), primary_key=True
    )
    app_account_id: Mapped[int] = mapped_column(
        ForeignKey("app_account.id", ondelete="CASCADE"), primary_key=True
    )


class Onboarding(Base):
    """What a client tells us before it sends the holder: for whom it asks. Usable 5 minutes."""

    __tablename__ = "onboarding"
    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(unique=True)
    client_id: Mapped[str]
    attributes: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class TokenFamily(Base):
    """All tokens that descend from one consent. Reuse of any of them ends them all."""

    __tablename__ = "token_family"
    id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    integration_id: Mapped[int | None] = mapped_column(
        ForeignKey("integration.id", ondelete="CASCADE")
    )
    scope: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # absolute: rotation does not extend it
    revoked_at: Mapped[datetime | None]


class AuthorisationCode(Base):
    """Single use; the row stays after use, as the evidence that makes reuse visible."""

    __tablename__ = "authorisation_code"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    client_id: Mapped[str]
    integration_id: Mapped[int] = mapped_column(ForeignKey("integration.id", ondelete="CASCADE"))
    redirect_uri: Mapped[str]
    scope: Mapped[str]
    code_challenge: Mapped[str | None]
    code_challenge_method: Mapped[str | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    family_id: Mapped[int | None] = mapped_column(ForeignKey("token_family.id"))

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class Token(Base):
    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]  # access | refresh
    family_id: Mapped[int] = mapped_column(ForeignKey("token_family.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Store:
    """The simulator's own SQLite file.

    Every transaction takes the write lock first: SQLite's default (BEGIN DEFERRED) loses updates
    of concurrent read-modify-write without an error.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.engine: Engine = create_engine(
            f"sqlite:///{path}", pool_size=10, max_overflow=40, pool_timeout=30
        )
        event.listen(self.engine, "connect", _on_connect)
        event.listen(self.engine, "begin", _on_begin)
        Base.metadata.create_all(self.engine)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction; committed at the end, rolled back by any exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _on_connect(dbapi: Any, record: Any) -> None:
    dbapi.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
        dbapi.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
