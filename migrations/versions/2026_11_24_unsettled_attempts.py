"""Attempts to pay whose end is not known."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_unsettled_attempts"
down_revision = "2026_11_24_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unsettled_attempts",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("names", postgresql.ARRAY(sa.String), nullable=False),
        # As the counts that they belong to.
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("unsettled_attempts")
