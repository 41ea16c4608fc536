"""What reconciliation found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_23_reconciliation"
down_revision = "2026_11_23_inbox"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("reconciliation_id", sa.String, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("counts", JSONB, server_default="[]", nullable=False),
        sa.Column("sums", JSONB, server_default="[]", nullable=False),
    )
    op.create_table(
        "reconciliation_findings",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "reconciliation_id",
            sa.String,
            sa.ForeignKey("reconciliations.reconciliation_id"),
            nullable=False,
        ),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("reference", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("order_id", sa.String(64)),
        sa.Column("transaction_id", sa.String),
        sa.Column("ours", JSONB, nullable=False),
        sa.Column("theirs", JSONB, nullable=False),
        sa.UniqueConstraint("reconciliation_id", "kind", "reference"),
    )
    op.create_index("ix_reconciliation_findings_order_id", "reconciliation_findings", ["order_id"])
    op.create_index(
        "ix_reconciliation_findings_verdict",
        "reconciliation_findings",
        ["reconciliation_id", "verdict", "id"],
    )
    op.create_index(
        "ix_payment_events_recorded_at",
        "payment_events",
        ["recorded_at"],
        postgresql_using="brin",
    )


def downgrade() -> None:
    op.drop_index("ix_payment_events_recorded_at", "payment_events")
    op.drop_table("reconciliation_findings")
    op.drop_table("reconciliations")
