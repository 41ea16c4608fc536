"""What has an unknown outcome, and when the gateway is asked about it next."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_next_check"
down_revision = "2026_11_23_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unknown_outcomes",
        sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.order_id"), primary_key=True),
        sa.Column("operation", sa.String, primary_key=True),
        sa.Column("refund", sa.String, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("unknown_outcomes")
