"""identity, coverage, review, balances, the ledger of accesses, files in and out"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NUMBERED = """
UPDATE transactions SET occurrence = (
    SELECT count(*) FROM transactions AS same
    WHERE same.connection_id = transactions.connection_id
    AND same.fingerprint = transactions.fingerprint AND same.id <= transactions.id)
"""
_BY_DAY = """
UPDATE transactions SET fingerprint = CAST(booked_on AS TEXT) || substr(fingerprint, 1, 22)
"""
_DAYS = """
INSERT INTO booked_days (connection_id, day, count, credit, debit)
SELECT connection_id, booked_on, count(*),
    sum(CASE WHEN amount > 0 THEN amount ELSE 0 END),
    sum(CASE WHEN amount < 0 THEN amount ELSE 0 END)
FROM transactions GROUP BY connection_id, booked_on
"""


def _covered() -> None:
    """A gap was one stretch; what lies on both sides of it was fetched."""
    connections = sa.table(
        "connections",
        sa.column("id", sa.Integer),
        *(sa.column(name, sa.Date) for name in ("start_date", "watermark", "gap_from", "gap_to")),
    )
    coverage = sa.table(
        "coverage",
        sa.column("connection_id", sa.Integer),
        sa.column("first", sa.Date),
        sa.column("last", sa.Date),
    )
    day = timedelta(days=1)
    rows = []
    for each in op.get_bind().execute(sa.select(connections)).all():
        if each.start_date is None or each.watermark is None:
            continue
        stretches = [(each.start_date, each.watermark)]
        if each.gap_from is not None and each.gap_to is not None:
            stretches = [
                (each.start_date, min(each.gap_from - day, each.watermark)),
                (max(each.gap_to + day, each.start_date), each.watermark),
            ]
        rows += [
            {"connection_id": each.id, "first": first, "last": last}
            for first, last in stretches
            if first <= last
        ]
    if rows:
        op.bulk_insert(coverage, rows)


def upgrade() -> None:
    op.create_table(
        "booked_days",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_booked_days_connection_id")
        ),
        sa.PrimaryKeyConstraint("connection_id", "day", name=op.f("pk_booked_days")),
    )
    op.create_table(
        "coverage",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_coverage_connection_id")
        ),
        sa.PrimaryKeyConstraint("connection_id", "first", name=op.f("pk_coverage")),
    )
    op.create_table(
        "exports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("statements", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("floor", sa.Date(), nullable=True),
        sa.Column("last_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("opening", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.CheckConstraint("kind IN ('new', 'period')", name=op.f("ck_exports_kind")),
        sa.CheckConstraint("basis IN ('stated', 'typed', 'zero')", name=op.f("ck_exports_basis")),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_exports_connection_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
        sa.UniqueConstraint(
            "connection_id", "number", name=op.f("uq_exports_connection_id_number")
        ),
    )
    op.create_table(
        "pending_transactions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("counterparty_name", sa.String(), nullable=True),
        sa.Column("counterparty_iban", sa.String(), nullable=True),
        sa.Column("remittance", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_pending_transactions_connection_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_transactions")),
    )
    with op.batch_alter_table("pending_transactions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_pending_transactions_connection_id"), ["connection_id"], unique=False
        )

    op.create_table(
        "uploads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("choices", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_uploads_connection_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_uploads_connection_id"), ["connection_id"], unique=False
        )

    op.create_table(
        "accesses",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("attended", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_accesses_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accesses")),
    )
    with op.batch_alter_table("accesses", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_accesses_at"), ["at"], unique=False)
        batch_op.create_index("ix_accesses_budget", ["account_id", "endpoint", "at"], unique=False)

    op.create_table(
        "balances",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("difference", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('opening', 'closing')", name=op.f("ck_balances_kind")),
        sa.CheckConstraint("source IN ('provider', 'file')", name=op.f("ck_balances_source")),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_balances_connection_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["fetch_runs.id"], name=op.f("fk_balances_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balances")),
        sa.UniqueConstraint(
            "connection_id",
            "on",
            "kind",
            "source",
            name=op.f("uq_balances_connection_id_on_kind_source"),
        ),
    )
    op.create_table(
        "sightings",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column(
            "transaction_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.ForeignKeyConstraint(["run_id"], ["fetch_runs.id"], name=op.f("fk_sightings_run_id")),
        sa.PrimaryKeyConstraint("run_id", "transaction_id", name=op.f("pk_sightings")),
    )
    op.create_table(
        "remarks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column(
            "transaction_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("mark", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('changed', 'id_reused', 'unreadable')", name=op.f("ck_remarks_kind")
        ),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_remarks_connection_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["fetch_runs.id"], name=op.f("fk_remarks_run_id")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["transactions.id"], name=op.f("fk_remarks_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remarks")),
        sa.UniqueConstraint("connection_id", "mark", name=op.f("uq_remarks_connection_id_mark")),
    )
    with op.batch_alter_table("remarks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_remarks_open",
            ["connection_id"],
            unique=False,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_remarks_transaction_id"), ["transaction_id"], unique=False
        )

    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ids_doubted_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("limited_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("unbalanced_from", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("unbalanced_to", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("unbalanced_by", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("balance", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("balance_on", sa.Date(), nullable=True))

    with op.batch_alter_table("fetch_runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(), server_default="fetch", nullable=False))
        batch_op.add_column(
            sa.Column("reason", sa.String(), server_default="schedule", nullable=False)
        )
        batch_op.add_column(sa.Column("actor", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("upload_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("wanted_from", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("authorised_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("waiting", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("synchronized_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("pages", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("known", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("changed", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("reviewed", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(
            sa.Column("unreadable", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.alter_column("holder_id", existing_type=sa.INTEGER(), nullable=True)
        batch_op.create_index(
            "ix_fetch_runs_open",
            ["connection_id"],
            unique=False,
            sqlite_where=sa.text("result IS NULL"),
            postgresql_where=sa.text("result IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_fetch_runs_upload_id"), ["upload_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_fetch_runs_upload_id"), "uploads", ["upload_id"], ["id"]
        )

    with op.batch_alter_table("transaction_aliases", schema=None) as batch_op:
        batch_op.alter_column("source_id", existing_type=sa.VARCHAR(), nullable=True)
        batch_op.add_column(sa.Column("fingerprint", sa.String(), nullable=True))
        batch_op.create_index(
            "ix_transaction_aliases_worded",
            ["connection_id", "fingerprint"],
            unique=False,
            sqlite_where=sa.text("fingerprint IS NOT NULL"),
            postgresql_where=sa.text("fingerprint IS NOT NULL"),
        )

    with op.batch_alter_table("transactions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("occurrence", sa.Integer(), server_default="1", nullable=False)
        )
        batch_op.add_column(sa.Column("end_to_end_id", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column("state", sa.String(), server_default="booked", nullable=False)
        )
        batch_op.add_column(sa.Column("review_reason", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column(
                "resembles_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
            )
        )
        batch_op.add_column(sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("decided_by", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("export_id", sa.Integer(), nullable=True))
        batch_op.alter_column("source_id", existing_type=sa.VARCHAR(), nullable=True)
        batch_op.create_index(
            "ix_transactions_aside",
            ["connection_id", "state"],
            unique=False,
            sqlite_where=sa.text("state <> 'booked'"),
            postgresql_where=sa.text("state <> 'booked'"),
        )
        batch_op.create_index(
            "ix_transactions_exported",
            ["export_id", "booked_on", "id"],
            unique=False,
            sqlite_where=sa.text("export_id IS NOT NULL"),
            postgresql_where=sa.text("export_id IS NOT NULL"),
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_transactions_export_id"), "exports", ["export_id"], ["id"]
        )
    op.create_table(
        "export_marks",
        sa.Column("export_id", sa.Integer(), nullable=False),
        sa.Column(
            "transaction_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
        ),
        sa.Column("mark", sa.String(), nullable=False),
        sa.CheckConstraint("mark IN ('out', 'back', 'again')", name=op.f("ck_export_marks_mark")),
        sa.ForeignKeyConstraint(
            ["export_id"], ["exports.id"], name=op.f("fk_export_marks_export_id")
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["transactions.id"], name=op.f("fk_export_marks_transaction_id")
        ),
        sa.PrimaryKeyConstraint("export_id", "transaction_id", name=op.f("pk_export_marks")),
    )
    with op.batch_alter_table("export_marks", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_export_marks_transaction_id"), ["transaction_id"], unique=False
        )

    op.execute(_BY_DAY)
    op.execute(_NUMBERED)  # by the index that goes now, or each row would look at all others
    with op.batch_alter_table("transactions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_transactions_content"))
        batch_op.create_unique_constraint(
            batch_op.f("uq_transactions_connection_id_fingerprint_occurrence"),
            ["connection_id", "fingerprint", "occurrence"],
        )
        batch_op.create_check_constraint(
            op.f("ck_transactions_state"), "state IN ('booked', 'review', 'rejected', 'removed')"
        )
    with op.batch_alter_table("fetch_runs", schema=None) as batch_op:
        batch_op.create_check_constraint(op.f("ck_fetch_runs_kind"), "kind IN ('fetch', 'file')")
    op.execute(_DAYS)
    _covered()
