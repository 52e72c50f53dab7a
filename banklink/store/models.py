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
    LargeBinary,
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
    settings. `password_hash` None: cannot sign in yet (or never, as in the demo). `digest_on`: the
    last day for which it was decided whether they get a digest; `digest_said`: what was open then.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    is_owner: Mapped[bool] = mapped_column(default=False, server_default=false())
    locale: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    digest_on: Mapped[date | None]
    digest_said: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


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
    """An account holder as the provider knows them.

    `locale`: the language mails to them are in, as last chosen. `reminders_off_at`: since when they
    want no reminders. `forgotten_at`: since when nothing personal of them is kept.
    """

    __tablename__ = "holders"
    __table_args__ = (UniqueConstraint("provider", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str]
    subject: Mapped[str]
    name: Mapped[str]
    email: Mapped[str | None]
    locale: Mapped[str | None]
    reminders_off_at: Mapped[datetime | None]
    forgotten_at: Mapped[datetime | None]


class Grant(Model):
    """A holder lets Banklink read accounts for one administration. `credentials` is sealed.

    `withdrawn_at`: when somebody here last withdrew it (machine time, as departures are): what left
    before that brings nothing back. `withdrawn_here`: it ended (`revoked_at`) by somebody here and
    not by the holder. `forgotten_at`: since when the holder has no name here.
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
    withdrawn_at: Mapped[datetime | None]
    withdrawn_here: Mapped[bool] = mapped_column(default=False, server_default=false())
    forgotten_at: Mapped[datetime | None]
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
    computed on read. `expires_at` is the first instant it no longer holds. `remind_at`: when its
    next reminder falls due, if any (core/reminders.py); `renewed_at`: since when the bookkeeper is
    still to be told that it was renewed. `paused_until`: the bank asked not to be read before then
    (actions/ledger.py). `balance` (minor units) and `balance_on`: what it holds and on which day,
    as last said, at `synchronized_at`.
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
        Index(
            "ix_accounts_remind_due",
            "remind_at",
            sqlite_where=text("remind_at IS NOT NULL"),
            postgresql_where=text("remind_at IS NOT NULL"),
        ),
        Index(
            "ix_accounts_renewed",
            "renewed_at",
            sqlite_where=text("renewed_at IS NOT NULL"),
            postgresql_where=text("renewed_at IS NOT NULL"),
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
    remind_at: Mapped[datetime | None]
    renewed_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    balance: Mapped[int | None] = mapped_column(BigInteger)
    balance_on: Mapped[date | None]


class Connection(Model):
    """One administration and one IBAN and currency: the bookkeeper's intent, and how far fetching
    came. `noted` is the row of the table the history last spoke of; the page never reads it.

    `outage_since`: since when our own fetches fail, and `outage_kind` what the last one met at the
    provider (core/facts.py, Trouble). What the provider says of the bank is on the account.
    `gap_from`, `gap_to`: the first and last missing day, from `Coverage`. `ids_doubted_at`: since
    when the bank's ids are not trusted, because it gave one twice. `limited_until`: the bank's
    limit lets nothing be fetched by itself before. `unbalanced_from`, `unbalanced_to`: the days
    within which bookings and balances disagree; `unbalanced_by`: by how much, where it is in one
    place (minor units, positive where the bank says more).
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
    ids_doubted_at: Mapped[datetime | None]
    limited_until: Mapped[datetime | None]
    unbalanced_from: Mapped[date | None]
    unbalanced_to: Mapped[date | None]
    unbalanced_by: Mapped[int | None] = mapped_column(BigInteger)
    last_attempt_id: Mapped[int | None]
    noted: Mapped[str | None]


class Attempt(Model):
    """One departure to the provider. The state is stored hashed and redeemed once.

    `purpose`: grant, connect or renew. `outcome`: None while under way, else a code of
    domain.md A2.7. `parked` are sealed credentials that arrived in another browser than the one
    that started; `browser` is the hash that tells them apart. `finishing_until` leases taking in
    what was brought to one caller (machine time).

    `invitation_id`: the invitation somebody followed; None when a bookkeeper left from the row.
    `consent`: the text that was agreed to (`text`, `language`, `hash`) and from where (`ip`,
    `agent`, both shortened), for the consent record.
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
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitations.id"), index=True)
    consent: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class Transaction(Model):
    """One booking; what the bank said of it never changes. `scope` and `source_id` are the
    provider's account and id it came with first (`source_id` None where the bank's id deserves no
    trust); other names of the same booking are aliases. `fingerprint` is its content and
    `occurrence` which of the equal ones it is, from 1 (core/dedup.py).

    `state`: booked; review (turned up for days that were fetched before, waits for a decision of
    `review_reason`); rejected (from review) or removed (by a person): both stay known, so that they
    never come back by themselves, and can be put back. Only booked ones count, in totals and out.
    `resembles_id`: the booking it may be, where that is in doubt. `export_id`: the export "new
    since the last" it went out with.
    """

    __tablename__ = "transactions"
    __table_args__ = (
        UniqueConstraint("connection_id", "scope", "source_id"),
        UniqueConstraint("connection_id", "fingerprint", "occurrence"),
        CheckConstraint("state IN ('booked', 'review', 'rejected', 'removed')", name="state"),
        Index("ix_transactions_list", "connection_id", "booked_on", "id"),
        Index(
            "ix_transactions_aside",
            "connection_id",
            "state",
            sqlite_where=text("state <> 'booked'"),
            postgresql_where=text("state <> 'booked'"),
        ),
        Index(
            "ix_transactions_exported",
            "export_id",
            "booked_on",
            "id",
            sqlite_where=text("export_id IS NOT NULL"),
            postgresql_where=text("export_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("fetch_runs.id"))
    scope: Mapped[str]
    source_id: Mapped[str | None]
    fingerprint: Mapped[str]
    occurrence: Mapped[int] = mapped_column(default=1, server_default="1")
    booked_on: Mapped[date]
    value_on: Mapped[date | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    counterparty_name: Mapped[str | None]
    counterparty_iban: Mapped[str | None]
    remittance: Mapped[str] = mapped_column(Text)
    end_to_end_id: Mapped[str | None]
    state: Mapped[str] = mapped_column(default="booked", server_default="booked")
    review_reason: Mapped[str | None]
    resembles_id: Mapped[int | None] = mapped_column(BIG)
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    export_id: Mapped[int | None] = mapped_column(ForeignKey("exports.id"))


class TransactionAlias(Model):
    """The same booking under another scope's id, or in other words: `fingerprint` is that of the
    content it came with, where it is not the one of the row."""

    __tablename__ = "transaction_aliases"
    __table_args__ = (
        UniqueConstraint("connection_id", "scope", "source_id"),
        Index(
            "ix_transaction_aliases_worded",
            "connection_id",
            "fingerprint",
            sqlite_where=text("fingerprint IS NOT NULL"),
            postgresql_where=text("fingerprint IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transactions.id"), index=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    scope: Mapped[str]
    source_id: Mapped[str | None]
    fingerprint: Mapped[str | None]


class PendingTransaction(Model):
    """Announced by the bank and not booked yet. Replaced as a whole by every fetch; never counted,
    never exported."""

    __tablename__ = "pending_transactions"

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"), index=True)
    expected_on: Mapped[date | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    counterparty_name: Mapped[str | None]
    counterparty_iban: Mapped[str | None]
    remittance: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[datetime]


class BookedDay(Model):
    """The booked transactions of one day, counted and summed (minor units, `debit` negative).
    Rewritten in the transaction that changes them, so that totals cost days, not bookings."""

    __tablename__ = "booked_days"

    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int]
    credit: Mapped[int] = mapped_column(BigInteger)
    debit: Mapped[int] = mapped_column(BigInteger)


class Coverage(Model):
    """Days for which a completed fetch or a file has told everything. Stretches of one connection
    neither touch nor overlap; what is missing is what lies between the start date and the
    watermark and in none of them (core/coverage.py)."""

    __tablename__ = "coverage"

    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    first: Mapped[date] = mapped_column(primary_key=True)
    last: Mapped[date]


class Remark(Model):
    """Something odd about what came in that a person should look at; nothing was changed by it.

    `kind`: `changed` (a known booking came with another content: `content` is what came,
    `transaction_id` what is kept), `id_reused` (its id belonged to another booking; or,
    with `renumbered` in `content`, so many known bookings came under other ids) or
    `unreadable` (a booking that misses its date or amount: `content` is all there was). `mark`:
    the same oddity is told once. `seen_at`: first; `settled_at`: somebody has seen to it.
    """

    __tablename__ = "remarks"
    __table_args__ = (
        UniqueConstraint("connection_id", "mark"),
        Index(
            "ix_remarks_open",
            "connection_id",
            sqlite_where=text("settled_at IS NULL"),
            postgresql_where=text("settled_at IS NULL"),
        ),
        CheckConstraint("kind IN ('changed', 'id_reused', 'unreadable')", name="kind"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("fetch_runs.id"))
    transaction_id: Mapped[int | None] = mapped_column(ForeignKey("transactions.id"), index=True)
    kind: Mapped[str]
    mark: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seen_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]


class Balance(Model):
    """What a bank or a file says an account held at the end of a day (`kind` closing) or at its
    begin (opening). `final`: that day was over when it was said; another one may still grow.
    `difference`: stated less reckoned, None where nothing could be reckoned (core/balances.py);
    anything but 0 is an alarm, and never corrected."""

    __tablename__ = "balances"
    __table_args__ = (
        UniqueConstraint("connection_id", "on", "kind", "source"),
        CheckConstraint("kind IN ('opening', 'closing')", name="kind"),
        CheckConstraint("source IN ('provider', 'file')", name="source"),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    run_id: Mapped[int] = mapped_column(ForeignKey("fetch_runs.id"))
    on: Mapped[date]
    kind: Mapped[str]
    source: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    final: Mapped[bool]
    seen_at: Mapped[datetime]
    since: Mapped[date | None]
    difference: Mapped[int | None] = mapped_column(BigInteger)


class Access(Model):
    """One call to read an account, noted before it is made: the ledger that keeps unattended ones
    to four per account, endpoint and 24 hours (RTS Art. 36(5)(b)), across crashes and retries.
    Business time, as the bank's day is."""

    __tablename__ = "accesses"
    __table_args__ = (Index("ix_accesses_budget", "account_id", "endpoint", "at"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    endpoint: Mapped[str]
    attended: Mapped[bool]
    at: Mapped[datetime] = mapped_column(index=True)


class FetchRun(Model):
    """One fetch, resumable at `cursor`, or one file taken in (`kind` file: no holder). `result` is
    None while it runs, else ok or a code. `authorised_at` tells under which authorisation.
    `waiting`: bookings of pages behind `cursor` that the next page may still explain.

    `reason`: why it was made (schedule, person, activated, renewed, gap, file). `wanted_from`: the
    first day that was wanted; `since` through `until`: what was asked for. Counts: `pages` read,
    `seen` bookings within the window, of which `added` are new, `known` there already, `changed`
    known but with another content, `reviewed` set aside for a decision, `unreadable` kept as a
    remark. `oldest` and `newest`: days of what came. `synchronized_at`: when the provider had last
    spoken to the bank, as the first page said.
    """

    __tablename__ = "fetch_runs"
    __table_args__ = (
        Index("ix_fetch_runs_connection", "connection_id", "id"),
        Index(
            "ix_fetch_runs_open",
            "connection_id",
            sqlite_where=text("result IS NULL"),
            postgresql_where=text("result IS NULL"),
        ),
        CheckConstraint("kind IN ('fetch', 'file')", name="kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    kind: Mapped[str] = mapped_column(default="fetch", server_default="fetch")
    reason: Mapped[str] = mapped_column(default="schedule", server_default="schedule")
    actor: Mapped[str | None]
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("holders.id"))
    upload_id: Mapped[int | None] = mapped_column(ForeignKey("uploads.id"), index=True)
    scope: Mapped[str]
    wanted_from: Mapped[date | None]
    since: Mapped[date]
    until: Mapped[date]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    authorised_at: Mapped[datetime | None]
    cursor: Mapped[str | None] = mapped_column(Text)
    waiting: Mapped[list[Any] | None] = mapped_column(JSON)
    pages: Mapped[int] = mapped_column(default=0, server_default="0")
    seen: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    known: Mapped[int] = mapped_column(default=0, server_default="0")
    changed: Mapped[int] = mapped_column(default=0, server_default="0")
    reviewed: Mapped[int] = mapped_column(default=0, server_default="0")
    unreadable: Mapped[int] = mapped_column(default=0, server_default="0")
    oldest: Mapped[date | None]
    newest: Mapped[date | None]
    synchronized_at: Mapped[datetime | None]
    result: Mapped[str | None]


class Sighting(Model):
    """A stored row that a run under way has met by its content: what it meets next is another one.
    Those that the run itself added are not noted. Gone with the end of the run."""

    __tablename__ = "sightings"

    run_id: Mapped[int] = mapped_column(
        ForeignKey("fetch_runs.id"), primary_key=True, autoincrement=False
    )
    transaction_id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)


class Upload(Model):
    """A statement file somebody gave for an account, kept between looking and confirming.
    `content` is emptied once it was taken in or left for a day; `digest` still tells the same file
    given twice. Business time."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"), index=True)
    name: Mapped[str]
    format: Mapped[str]
    digest: Mapped[str]
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]


class Export(Model):
    """Statements that went out together, one for each day that has something. They are numbered
    from `number` on, `statements` of them; numbers of a connection only grow and never repeat. One
    that is still being made, of very many bookings, has number 0.
    What is in them never changes, whatever happens to the bookings later (store/exports.py).

    `kind`: new (what no export of this kind held before) or period. `since` through `until`: the
    days it is about. `count` entries add up to `total`, from `opening` on (minor units). `basis`:
    where that balance comes from; stated by the bank or a file, typed by a person, or zero, because
    none was known. `floor`: the last day of the one before; what is booked up to it comes late.
    `last_id`: the last booking there was. `notes`: days that are missing (`missing`), how many
    waited for a decision (`review`), in which way its file is written (`edition`; none is the
    first). `format` and `locale`: how it was asked for first.
    """

    __tablename__ = "exports"
    __table_args__ = (
        UniqueConstraint("connection_id", "number"),
        CheckConstraint("kind IN ('new', 'period')", name="kind"),
        CheckConstraint("basis IN ('stated', 'typed', 'zero')", name="basis"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id"))
    number: Mapped[int]
    statements: Mapped[int]
    kind: Mapped[str]
    format: Mapped[str]
    locale: Mapped[str]
    since: Mapped[date]
    until: Mapped[date]
    floor: Mapped[date | None]
    last_id: Mapped[int] = mapped_column(BIG)
    count: Mapped[int]
    opening: Mapped[int] = mapped_column(BigInteger)
    basis: Mapped[str]
    total: Mapped[int] = mapped_column(BigInteger)
    notes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]


class ExportMark(Model):
    """A booking that an export treats apart. `out`: of the days of a period, and not booked when it
    was made. `back`: it went out before and was removed since, so that it is taken back. `again`:
    taken back before and booked again."""

    __tablename__ = "export_marks"
    __table_args__ = (CheckConstraint("mark IN ('out', 'back', 'again')", name="mark"),)

    export_id: Mapped[int] = mapped_column(ForeignKey("exports.id"), primary_key=True)
    transaction_id: Mapped[int] = mapped_column(
        ForeignKey("transactions.id"), primary_key=True, index=True
    )
    mark: Mapped[str]


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


class Invitation(Model):
    """One person is asked for one thing: `connect` (give permission), `repair` (give it again, or
    for one more account) or `renew` (confirm at the bank). Its state is read from the times below
    (core/invitations.py); `expires_at` and all others are business time, people read them as days.

    `holder_id` is known when the provider has shown this person before; `bank` names the one a
    renewal is for. `by_reminder`: made by the clock, not by a person. `asked_again_at`: the
    recipient wants a new one.
    """

    __tablename__ = "invitations"
    __table_args__ = (CheckConstraint("purpose IN ('connect', 'repair', 'renew')", name="purpose"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"), index=True)
    purpose: Mapped[str]
    email: Mapped[str]
    name: Mapped[str]
    locale: Mapped[str]
    message: Mapped[str] = mapped_column(Text, default="")
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("holders.id"), index=True)
    bank: Mapped[str | None]
    by_reminder: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    accepted_by_id: Mapped[int | None] = mapped_column(ForeignKey("holders.id"))
    declined_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None]
    asked_again_at: Mapped[datetime | None]


class InvitationLink(Model):
    """An address that leads to an invitation; the token in it is stored hashed. Every sending has
    one of its own, so that an older mail keeps leading to the same invitation."""

    __tablename__ = "invitation_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    invitation_id: Mapped[int] = mapped_column(ForeignKey("invitations.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class InvitationAccount(Model):
    """What an invitation asks for."""

    __tablename__ = "invitation_accounts"

    invitation_id: Mapped[int] = mapped_column(ForeignKey("invitations.id"), primary_key=True)
    connection_id: Mapped[int] = mapped_column(
        ForeignKey("connections.id"), primary_key=True, index=True
    )


class Mail(Model):
    """One mail in the outbox. `sealed` holds what is sent (subject, text, html, headers), because a
    link in it may still let somebody in. `message_id` stays the same over every try, so that a
    crash can at worst repeat one mail recognisably. `key` says what it is about, once: a second
    with the same key is not queued.

    `created_at`, `sent_at` and `refused_at` are business time; `wanted_at` (since when it is to be
    sent), `due_at` and `claimed_until` machine time. `true_until` (business time): from then on it
    would say what is not so any more. `sent_at` None and `refused_at` None: still to
    be sent. `refused_at`: given up or set aside, `error` says why; a person may send it again.
    `sent_by`: who sent it from a mail program of their own. `sealed` is empty once its content was
    wiped.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_due",
            "due_at",
            sqlite_where=text("sent_at IS NULL AND refused_at IS NULL"),
            postgresql_where=text("sent_at IS NULL AND refused_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    message_id: Mapped[str] = mapped_column(unique=True)
    key: Mapped[str | None] = mapped_column(unique=True)
    kind: Mapped[str]
    email: Mapped[str]
    name: Mapped[str]
    locale: Mapped[str]
    sealed: Mapped[str] = mapped_column(Text)
    administration_id: Mapped[int | None] = mapped_column(
        ForeignKey("administrations.id"), index=True
    )
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("holders.id"), index=True)
    invitation_id: Mapped[int | None] = mapped_column(ForeignKey("invitations.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    wanted_at: Mapped[datetime]
    due_at: Mapped[datetime]
    true_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    claimed_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    sent_by: Mapped[str | None]
    refused_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Reminder(Model):
    """That a threshold of one authorisation was dealt with: a mail, or rightly none (`mail_id`
    None). An authorisation is an account, when the bank gave it, and the day in Amsterdam on which
    it ends, whose last instant is `valid_until`; a renewal is another one."""

    __tablename__ = "reminders"
    __table_args__ = (UniqueConstraint("account_id", "authorised_at", "valid_until", "threshold"),)

    id: Mapped[int] = mapped_column(BIG, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    authorised_at: Mapped[datetime]
    valid_until: Mapped[datetime]
    threshold: Mapped[int]
    at: Mapped[datetime]
    mail_id: Mapped[int | None] = mapped_column(ForeignKey("outbox.id"), index=True)


class Consent(Model):
    """Who allowed what, when, on which text, until when, and by whom it was withdrawn: the record
    of security.md §2, one for every bank a permission or a renewal is about. `predecessor_id` is
    the one before. Afterwards only the fields of its end change; and where a renewal was seen
    before its person was back, the text they came with. No tokens, no whole IBAN.

    `accounts`: what was shared, IBANs masked, and how each was chosen. `text_params`: the names in
    the text. `retention` says why it is kept, `delete_after` from when it may go.
    """

    __tablename__ = "consents"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]
    administration_id: Mapped[int] = mapped_column(ForeignKey("administrations.id"), index=True)
    holder_id: Mapped[int | None] = mapped_column(ForeignKey("holders.id"), index=True)
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"), index=True)
    controller: Mapped[str]
    agent: Mapped[str]
    acting_role: Mapped[str]
    bank: Mapped[str | None]
    country: Mapped[str | None]
    accounts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    categories: Mapped[str]
    purpose: Mapped[str]
    text_id: Mapped[str]
    text_language: Mapped[str]
    text_hash: Mapped[str]
    text_params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    lawful_basis: Mapped[str]
    given_at: Mapped[datetime]
    sca_at: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    valid_source: Mapped[str]
    frequency: Mapped[str]
    channel: Mapped[str]
    ip: Mapped[str | None]
    user_agent: Mapped[str | None]
    provider_consent: Mapped[str | None]
    predecessor_id: Mapped[int | None] = mapped_column(ForeignKey("consents.id"), index=True)
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    withdrawn_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    retention: Mapped[str]
    delete_after: Mapped[date | None] = mapped_column(index=True)


class Revocation(Model):
    """Tokens that the provider still has to be told are over. `sealed`: they, kept for this one
    call and wiped once it is confirmed. `settings`: the provider's, sealed, where another service
    took its place since: tokens go back to the one that gave them. Machine time but for
    `created_at`.

    `reason`: withdrawn (the grant ends), superseded (given again, the newer tokens live on), or
    unused (what a departure brought that nobody took in).
    """

    __tablename__ = "revocations"
    __table_args__ = (
        CheckConstraint("reason IN ('withdrawn', 'superseded', 'unused')", name="reason"),
        Index(
            "ix_revocations_due",
            "due_at",
            sqlite_where=text("confirmed_at IS NULL"),
            postgresql_where=text("confirmed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str]
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"), index=True)
    reason: Mapped[str]
    sealed: Mapped[str | None] = mapped_column(Text)
    settings: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    claimed_until: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Summary(Model):
    """What the page over all administrations says of one: counts and the next moment at which time
    alone may change them. Rewritten in the transaction that changes a fact, or by the due job
    (architecture.md); equal to diagnosing afresh at any moment before `next_change_at`, which may
    come too early and never too late.

    `counts`: row key of the table -> shown connections; `urgencies`: urgency -> shown connections.
    `running`: those that work; `silent`: those of them that get no transactions now; `breaks`:
    those of them that end within 30 days; `lapsed`: those whose authorisation has ended;
    `renewable`: the numbers of these two. `next_expiry`: the first last day of one that works,
    `next_connection_id`: which one that is. `made_at`: when any of it changed.
    """

    __tablename__ = "summaries"

    administration_id: Mapped[int] = mapped_column(
        ForeignKey("administrations.id"), primary_key=True
    )
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    urgencies: Mapped[dict[str, Any]] = mapped_column(default=dict)
    shown: Mapped[int] = mapped_column(default=0)
    attention: Mapped[int] = mapped_column(default=0)
    running: Mapped[int] = mapped_column(default=0)
    silent: Mapped[int] = mapped_column(default=0)
    breaks: Mapped[int] = mapped_column(default=0)
    lapsed: Mapped[int] = mapped_column(default=0)
    renewable: Mapped[list[int]] = mapped_column(JSON, default=list)
    next_expiry: Mapped[date | None]
    next_connection_id: Mapped[int | None]
    next_change_at: Mapped[datetime | None] = mapped_column(index=True)
    made_at: Mapped[datetime]


class ExpiryDay(Model):
    """How many connections of an administration that work have this as the last day of their
    authorisation. Rewritten with its summary."""

    __tablename__ = "expiry_days"

    administration_id: Mapped[int] = mapped_column(
        ForeignKey("summaries.administration_id"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    count: Mapped[int]
