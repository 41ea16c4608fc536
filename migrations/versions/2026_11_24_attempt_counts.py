"""Counts of attempts to pay that came to nothing."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_attempt_counts"
down_revision = "2026_11_24_personal_data"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempt_counts",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.BigInteger, nullable=False),
        sa.Column("current", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False, index=True),
        # They may be lost, and are written with every payment.
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("attempt_counts")
