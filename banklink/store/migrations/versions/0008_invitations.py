"""invitations, the outbox, reminders, consent records, revocations, summaries"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("administration_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("holder_id", sa.Integer(), nullable=True),
        sa.Column("bank", sa.String(), nullable=True),
        sa.Column("by_reminder", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by_id", sa.Integer(), nullable=True),
        sa.Column("declined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.String(), nullable=True),
        sa.Column("asked_again_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "purpose IN ('connect', 'repair', 'renew')", name=op.f("ck_invitations_purpose")
        ),
        sa.ForeignKeyConstraint(
            ["accepted_by_id"], ["holders.id"], name=op.f("fk_invitations_accepted_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["administration_id"],
            ["administrations.id"],
            name=op.f("fk_invitations_administration_id"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["users.id"], name=op.f("fk_invitations_created_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["holders.id"], name=op.f("fk_invitations_holder_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
    )
    with op.batch_alter_table("invitations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_invitations_administration_id"), ["administration_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_invitations_holder_id"), ["holder_id"], unique=False)

    op.create_table(
        "summaries",
        sa.Column("administration_id", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("urgencies", sa.JSON(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("attention", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("silent", sa.Integer(), nullable=False),
        sa.Column("breaks", sa.Integer(), nullable=False),
        sa.Column("lapsed", sa.Integer(), nullable=False),
        sa.Column("renewable", sa.JSON(), nullable=False),
        sa.Column("next_expiry", sa.Date(), nullable=True),
        sa.Column("next_connection_id", sa.Integer(), nullable=True),
        sa.Column("next_change_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["administration_id"],
            ["administrations.id"],
            name=op.f("fk_summaries_administration_id"),
        ),
        sa.PrimaryKeyConstraint("administration_id", name=op.f("pk_summaries")),
    )
    with op.batch_alter_table("summaries", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_summaries_next_change_at"), ["next_change_at"], unique=False
        )

    op.create_table(
        "expiry_days",
        sa.Column("administration_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["administration_id"],
            ["summaries.administration_id"],
            name=op.f("fk_expiry_days_administration_id"),
        ),
        sa.PrimaryKeyConstraint("administration_id", "day", name=op.f("pk_expiry_days")),
    )
    with op.batch_alter_table("expiry_days", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_expiry_days_day"), ["day"], unique=False)

    op.create_table(
        "consents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("administration_id", sa.Integer(), nullable=False),
        sa.Column("holder_id", sa.Integer(), nullable=True),
        sa.Column("grant_id", sa.Integer(), nullable=True),
        sa.Column("controller", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("acting_role", sa.String(), nullable=False),
        sa.Column("bank", sa.String(), nullable=True),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("accounts", sa.JSON(), nullable=False),
        sa.Column("categories", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("text_id", sa.String(), nullable=False),
        sa.Column("text_language", sa.String(), nullable=False),
        sa.Column("text_hash", sa.String(), nullable=False),
        sa.Column("text_params", sa.JSON(), nullable=False),
        sa.Column("lawful_basis", sa.String(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sca_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_source", sa.String(), nullable=False),
        sa.Column("frequency", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("ip", sa.String(), nullable=True),
        sa.Column("user_agent", sa.String(), nullable=True),
        sa.Column("provider_consent", sa.String(), nullable=True),
        sa.Column("predecessor_id", sa.Integer(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.String(), nullable=True),
        sa.Column("withdrawn_by", sa.String(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retention", sa.String(), nullable=False),
        sa.Column("delete_after", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["administration_id"],
            ["administrations.id"],
            name=op.f("fk_consents_administration_id"),
        ),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_consents_grant_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["holders.id"], name=op.f("fk_consents_holder_id")),
        sa.ForeignKeyConstraint(
            ["predecessor_id"], ["consents.id"], name=op.f("fk_consents_predecessor_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_consents_administration_id"), ["administration_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consents_delete_after"), ["delete_after"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_consents_grant_id"), ["grant_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_consents_holder_id"), ["holder_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_consents_predecessor_id"), ["predecessor_id"], unique=False
        )

    op.create_table(
        "invitation_accounts",
        sa.Column("invitation_id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_invitation_accounts_connection_id")
        ),
        sa.ForeignKeyConstraint(
            ["invitation_id"], ["invitations.id"], name=op.f("fk_invitation_accounts_invitation_id")
        ),
        sa.PrimaryKeyConstraint(
            "invitation_id", "connection_id", name=op.f("pk_invitation_accounts")
        ),
    )
    with op.batch_alter_table("invitation_accounts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_invitation_accounts_connection_id"), ["connection_id"], unique=False
        )

    op.create_table(
        "invitation_links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("invitation_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["invitation_id"], ["invitations.id"], name=op.f("fk_invitation_links_invitation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitation_links_token_hash")),
    )
    with op.batch_alter_table("invitation_links", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_invitation_links_invitation_id"), ["invitation_id"], unique=False
        )

    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("administration_id", sa.Integer(), nullable=True),
        sa.Column("holder_id", sa.Integer(), nullable=True),
        sa.Column("invitation_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("true_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_by", sa.String(), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["administration_id"], ["administrations.id"], name=op.f("fk_outbox_administration_id")
        ),
        sa.ForeignKeyConstraint(["holder_id"], ["holders.id"], name=op.f("fk_outbox_holder_id")),
        sa.ForeignKeyConstraint(
            ["invitation_id"], ["invitations.id"], name=op.f("fk_outbox_invitation_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_outbox_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_outbox_administration_id"), ["administration_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_outbox_holder_id"), ["holder_id"], unique=False)
        batch_op.create_index(
            "ix_outbox_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("sent_at IS NULL AND refused_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL AND refused_at IS NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_invitation_id"), ["invitation_id"], unique=False
        )

    op.create_table(
        "revocations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("grant_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.CheckConstraint(
            "reason IN ('withdrawn', 'superseded', 'unused')", name=op.f("ck_revocations_reason")
        ),
        sa.ForeignKeyConstraint(["grant_id"], ["grants.id"], name=op.f("fk_revocations_grant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocations")),
    )
    with op.batch_alter_table("revocations", schema=None) as batch_op:
        batch_op.create_index(
            "ix_revocations_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("confirmed_at IS NULL"),
            postgresql_where=sa.text("confirmed_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_revocations_grant_id"), ["grant_id"], unique=False)

    op.create_table(
        "reminders",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("authorised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mail_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_reminders_account_id")
        ),
        sa.ForeignKeyConstraint(["mail_id"], ["outbox.id"], name=op.f("fk_reminders_mail_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
        sa.UniqueConstraint(
            "account_id",
            "authorised_at",
            "valid_until",
            "threshold",
            name=op.f("uq_reminders_account_id_authorised_at_valid_until_threshold"),
        ),
    )
    with op.batch_alter_table("reminders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reminders_mail_id"), ["mail_id"], unique=False)

    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("invitation_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("consent", sa.JSON(), server_default="{}", nullable=False))
        batch_op.create_index(
            batch_op.f("ix_attempts_invitation_id"), ["invitation_id"], unique=False
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_attempts_invitation_id"), "invitations", ["invitation_id"], ["id"]
        )

    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=True))
        for name, column in (
            ("ix_accounts_remind_due", "remind_at"),
            ("ix_accounts_renewed", "renewed_at"),
        ):
            batch_op.create_index(
                name,
                [column],
                unique=False,
                sqlite_where=sa.text(f"{column} IS NOT NULL"),
                postgresql_where=sa.text(f"{column} IS NOT NULL"),
            )
    # What is known already is looked at once, by the first reminders; that sets its own next time.
    op.execute(
        "UPDATE accounts SET remind_at = authorised_at"
        " WHERE authorised_at IS NOT NULL AND valid_until IS NOT NULL"
    )

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("digest_on", sa.Date(), nullable=True))
        batch_op.add_column(
            sa.Column("digest_said", sa.JSON(), server_default="{}", nullable=False)
        )

    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.add_column(sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("withdrawn_here", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch_op.add_column(sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("holders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("locale", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column("reminders_off_at", sa.DateTime(timezone=True), nullable=True)
        )
        batch_op.add_column(sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_column("digest_said")
        batch_op.drop_column("digest_on")

    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.drop_index("ix_accounts_renewed")
        batch_op.drop_index("ix_accounts_remind_due")
        batch_op.drop_column("renewed_at")
        batch_op.drop_column("remind_at")

    with op.batch_alter_table("holders", schema=None) as batch_op:
        batch_op.drop_column("forgotten_at")
        batch_op.drop_column("reminders_off_at")
        batch_op.drop_column("locale")

    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.drop_column("forgotten_at")
        batch_op.drop_column("withdrawn_here")
        batch_op.drop_column("withdrawn_at")

    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_attempts_invitation_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_attempts_invitation_id"))
        batch_op.drop_column("consent")
        batch_op.drop_column("invitation_id")

    with op.batch_alter_table("reminders", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reminders_mail_id"))

    op.drop_table("reminders")
    with op.batch_alter_table("revocations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_revocations_grant_id"))
        batch_op.drop_index("ix_revocations_due")

    op.drop_table("revocations")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_outbox_invitation_id"))
        batch_op.drop_index(
            "ix_outbox_due",
            sqlite_where=sa.text("sent_at IS NULL AND refused_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL AND refused_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_outbox_administration_id"))

    op.drop_table("outbox")
    with op.batch_alter_table("invitation_links", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitation_links_invitation_id"))

    op.drop_table("invitation_links")
    with op.batch_alter_table("invitation_accounts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitation_accounts_connection_id"))

    op.drop_table("invitation_accounts")
    with op.batch_alter_table("consents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_consents_predecessor_id"))
        batch_op.drop_index(batch_op.f("ix_consents_holder_id"))
        batch_op.drop_index(batch_op.f("ix_consents_grant_id"))
        batch_op.drop_index(batch_op.f("ix_consents_delete_after"))
        batch_op.drop_index(batch_op.f("ix_consents_administration_id"))

    op.drop_table("consents")
    with op.batch_alter_table("expiry_days", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_expiry_days_day"))

    op.drop_table("expiry_days")
    with op.batch_alter_table("summaries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_summaries_next_change_at"))

    op.drop_table("summaries")
    with op.batch_alter_table("invitations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitations_holder_id"))
        batch_op.drop_index(batch_op.f("ix_invitations_administration_id"))

    op.drop_table("invitations")
