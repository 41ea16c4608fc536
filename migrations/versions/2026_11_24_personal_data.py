"""Sealed columns for what orders tell of shoppers.

What stands there in clear stays until `tillflow data rotate` seals it, so that processes of before
go on. Taken back, what is sealed is lost: nothing here has the keys.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_personal_data"
down_revision = "2026_11_23_api_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("sealed_email", sa.String))
    op.add_column("orders", sa.Column("sealed_mandate", sa.String))
    op.create_index(
        "ix_orders_personal",
        "orders",
        ["created_at", "order_id"],
        postgresql_where=sa.text(
            "coalesce(sealed_email, sealed_mandate, customer_email, mandate::text) IS NOT NULL"
        ),
    )


def downgrade() -> None:
    op.drop_index("ix_orders_personal", "orders")
    op.drop_column("orders", "sealed_mandate")
    op.drop_column("orders", "sealed_email")
