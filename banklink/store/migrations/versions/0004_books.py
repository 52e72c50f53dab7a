"""the books' upkeep: who changed a journal, and the provider's settings entered on the page"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("journals", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("changed_by", sa.String(), nullable=True))
    op.create_table(
        "provider_settings",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_provider_settings")),
    )


def downgrade() -> None:
    op.drop_table("provider_settings")
    with op.batch_alter_table("journals", schema=None) as batch_op:
        batch_op.drop_column("changed_by")
        batch_op.drop_column("version")
