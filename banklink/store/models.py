"""What is stored: people's intent and what was observed. No status is a column anywhere.

Times are aware UTC; money is an integer of minor units; texts shown to people are never stored,
only codes and parameters (architecture.md, house rules 1, 3, 8).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

BIG = BigInteger().with_variant(Integer(), "sqlite")


class Utc(TypeDecorator[datetime]):
    """An aware UTC instant. SQLite keeps no zone, so it is put on and taken off here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time reached the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    registry = registry(
        metadata=metadata,
        type_annotation_map={datetime: Utc, str: String, dict[str, Any]: JSON},
    )


db = SQLAlchemy(model_class=Base)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Administration(Model):
    """The books of one firm. `reference` names it to the provider and never changes."""

    __tablename__ = "administrations"

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    lock_date: Mapped[date | None]
    fiscal_year_start: Mapped[date | None]


class User(Model):
    """Someone of the bookkeeping side. `email` is stored as compared: lower case, no spaces.

    `is_owner`: owns this installation, so may create administrations and change the provider's
    settings. `password_hash` None: cannot sign in yet (or never, as in the demo).
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    is_owner: Mapped[bool] = mapped_column(default=False, server_default=false())
    locale: Mapped[str | None]
    disabled_at: Mapped[datetime | None]


class UserSession(Model):
    """One signed-in browser. The token in its cookie is stored hashed; times are machine time."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    user_agent: Mapped[str]


class OneTimeLink(Model):
    """A link that does one thing once: `setup` makes the first user, `reset` gives `user_id` a new
    password, `colleague` lets `email` into an administration, as long as `created_by_id` is an
    administrator there. Machine time."""

    __tablename__ = "one_time_links"
    __table_args__ = (
        CheckConstraint("purpose IN ('setup', 'reset', 'colleague')", name="purpose"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    purpose: Mapped[str]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    administration_id: Mapped[int | None] = mapped_column(
        ForeignKey("administrations.id"), index=True
    )
    email: Mapped[str | None]
    name: Mapped[str | None]
    role: Mapped[str | None]
    created_by: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInTry(Model):
    """One counted attempt to sign in, per e-mail address and per network address (`subject` says
    which, hashed). A success takes those of its e-mail address away."""

    __tablename__ = "sign_in_tries"
    __table_args__ = (Index("ix_sign_in_tries_subject", "subject", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    at: Mapped[datetime]


class Membership(Model):
    """What someone may do in an administration: reader, bookkeeper or administrator."""

    __tablename__ = "memberships"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    administration_id: Mapped[int] = mapped_column(
        ForeignKey("administrations.id"), primary_key=True
    )
    role: Mapped[str]


class Journal(Model):
    """A bank journal. At most one carries an IBAN and currency within an administration, else a
    transaction would not know where to go (domain.md A1). `version` counts changes by people on
    the journal's own page, so that the second of two is told of the first."""

    __tablename__ = "journals"
    __table_args__ = (
        UniqueConstraint("administration_id", "code"),
        UniqueConstraint("administration_id", "iban", "currency"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"))
    code: Mapped[str]
    name: Mapped[str]
    iban: Mapped[str | None]
    currency: Mapped[str] = mapped_column(default="EUR")
    processed_through: Mapped[date | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    changed_by: Mapped[str | None]


class ProviderSettings(Model):
    """Addresses and credentials of a provider, entered on the page. `sealed` holds all of them;
    `version` tells a running process to make its adapter anew (actions/shelf.py)."""

    __tablename__ = "provider_settings"

    provider: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str | None]


class Holder(Model):
    """An account holder as the provider knows them."""

    __tablename__ = "holders"
    __table_args__ = (UniqueConstraint("provider", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str]
    subject: Mapped[str]
    name: Mapped[str]
    email: Mapped[str | None]


class Grant(Model):
    """A holder lets Banklink read accounts for one administration. `credentials` is sealed.

    `refresh_until` leases the refresh of its tokens to one caller (machine time); the compare of
    `credentials_version` makes a slow one lose.
    """

    __tablename__ = "grants"
    __table_args__ = (UniqueConstraint("administration_id", "holder_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"))
    holder_id: Mapped[int] = mapped_column(ForeignKey("holders.id"), index=True)
    state: Mapped[str]
    granted_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    credentials: Mapped[str | None] = mapped_column(Text)
    credentials_version: Mapped[int] = mapped_column(default=0)
    access_expires_at: Mapped[datetime | None]
    refresh_until: Mapped[datetime | None]
    observed_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None] = mapped_column(index=True)
    failures: Mapped[int] = mapped_column(default=0)


class Account(Model):
    """One IBAN and currency as last seen through one grant. Matched by IBAN and currency, so that
    a renewal that changes the provider's id keeps the row (domain.md R12).

    `ended` is None, "expired" or "revoked", as the provider said; that a date has passed is
    computed on read. `expires_at` is the first instant it no longer holds.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("grant_id", "iban", "currency"),
        Index(
            "ix_accounts_expiry_due",
            "expires_at",
            sqlite_where=text("expiry_noted = 0"),
            postgresql_where=text("NOT expiry_noted"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    grant_id: Mapped[int] = mapped_column(ForeignKey("grants.id"))
    iban: Mapped[str] = mapped_column(index=True)
    currency: Mapped[str]
    ref: Mapped[str | None]
    name: Mapped[str | None]
    bank: Mapped[str | None]
    listed: Mapped[bool]
    listed_at: Mapped[datetime | None]
    unlisted_at: Mapped[datetime | None]
    attempted_at: Mapped[datetime | None]
    authorised_at: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    expiry_noted: Mapped[bool] = mapped_column(default=False)
    ended: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    available_from: Mapped[date | None]
    history_from: Mapped[date | None]
    synchronized_at: Mapped[datetime | None]
    outage_since: Mapped[datetime | None]


class Connection(Model):
    """One administration and one IBAN and currency: the bookkeeper's intent, and how far fetching
    came. `noted` is the row of the table the history last spoke of; the page never reads it.

    `outage_since`: since when our own fetches fail, and `outage_kind` what the last one met at the
    provider (core/facts.py, Trouble). What the provider says of the bank is on the account.
    """

    __tablename__ = "connections"
    __table_args__ = (
        UniqueConstraint("administration_id", "iban", "currency"),
        CheckConstraint("switch IN ('never', 'on', 'off')", name="switch"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"))
    iban: Mapped[str]
    currency: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    changed_by: Mapped[str | None]
    switch: Mapped[str] = mapped_column(default="never")
    selected_id: Mapped[int | None] = mapped_column(ForeignKey("holders.id"))
    start_date: Mapped[date | None]
    switched_at: Mapped[datetime | None]
    switched_by: Mapped[str | None]
    armed: Mapped[bool] = mapped_column(default=False)
    armed_by: Mapped[str | None]
    armed_start: Mapped[date | None]
    hidden_at: Mapped[datetime | None]
    watermark: Mapped[date | None]
    last_success: Mapped[datetime | None]
    last_new: Mapped[int] = mapped_column(default=0)
    next_fetch_at: Mapped[datetime | None] = mapped_column(index=True)
    fetch_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    outage_since: Mapped[datetime | None]
    outage_kind: Mapped[str | None]
    gap_from: Mapped[date | None]
    gap_to: Mapped[date | None]
    last_attempt_id: Mapped[int | None]
    noted: Mapped[str | None]


class Attempt(Model):
    """One departure to the provider. The state is stored hashed and redeemed once.

    `purpose`: grant, connect or renew. `outcome`: None while under way, else a code of
    domain.md A2.7. `parked` are sealed credentials that arrived in another browser than the one
    that started; `browser` is the hash that tells them apart. `finishing_until` leases taking in
    what was brought to one caller (machine time).
    """

    __tablename__ = "attempts"
    __table_args__ = (
        Index(
            "ix_attempts_open",
            "created_at",
            sqlite_where=text("outcome IS NULL"),
            postgresql_where=text("outcome IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"))
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    provider: Mapped[str]
    purpose: Mapped[str]
    actor: Mapped[str]
    browser: Mapped[str]
    state_hash: Mapped[str] = mapped_column(unique=True)
    private: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    consumed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    parked: Mapped[str | None] = mapped_column(Text)
    finishing_until: Mapped[datetime | None]


class Transaction(Model):
    """One booking. `scope` and `source_id` are the provider's account and id it came with first;
    other names of the same booking are aliases. `fingerprint` is its content (core/dedup.py)."""

    __tablename__ = "transactions"
    __table_args__ = (
        UniqueConstraint("connection_id", "scope", "source_id"),
        Index("ix_transactions_content", "connection_id", "fingerprint"),
        Index("ix_transactions_list", "connection_id", "booked_on", "id"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("fetch_runs.id"))
    scope: Mapped[str]
    source_id: Mapped[str]
    fingerprint: Mapped[str]
    booked_on: Mapped[date]
    value_on: Mapped[date | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    counterparty_name: Mapped[str | None]
    counterparty_iban: Mapped[str | None]
    remittance: Mapped[str] = mapped_column(Text)


class TransactionAlias(Model):
    """The same booking under another scope's id."""

    __tablename__ = "transaction_aliases"
    __table_args__ = (UniqueConstraint("connection_id", "scope", "source_id"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transactions.id"), index=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    scope: Mapped[str]
    source_id: Mapped[str]


class FetchRun(Model):
    """One fetch, resumable at `cursor`. `result` is None while it runs, else ok or a code."""

    __tablename__ = "fetch_runs"
    __table_args__ = (Index("ix_fetch_runs_connection", "connection_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    holder_id: Mapped[int] = mapped_column(ForeignKey("holders.id"))
    scope: Mapped[str]
    since: Mapped[date]
    until: Mapped[date]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    cursor: Mapped[str | None] = mapped_column(Text)
    seen: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    oldest: Mapped[date | None]
    newest: Mapped[date | None]
    result: Mapped[str | None]


class Event(Model):
    """What happened, append-only: a code and its parameters, in the row's history."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_connection", "connection_id", "id"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"))
    connection_id: Mapped[int | None] = mapped_column(ForeignKey("connections.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    actor: Mapped[str | None]
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
