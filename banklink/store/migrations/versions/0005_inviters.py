"""whose invitation a colleague's link is"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("one_time_links", schema=None) as batch_op:
        batch_op.add_column(sa.Column("created_by_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_one_time_links_created_by_id"), "users", ["created_by_id"], ["id"]
        )


def downgrade() -> None:
    with op.batch_alter_table("one_time_links", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("fk_one_time_links_created_by_id"), type_="foreignkey")
        batch_op.drop_column("created_by_id")
