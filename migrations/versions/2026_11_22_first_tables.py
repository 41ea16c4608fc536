"""Orders, payments and their facts, the callback inbox, and the fulfilment tables."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "2026_11_22_first"
down_revision = None
branch_labels = None
depends_on = None


def _time(name: str, *, now: bool = False) -> "sa.Column[datetime]":
    default = sa.func.now() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not now)


def _order_id(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "order_id",
        sa.String(64),
        sa.ForeignKey("orders.order_id"),
        primary_key=primary_key,
        nullable=False,
    )


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(64), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("capture", sa.String, nullable=False),
        sa.Column("metadata", JSONB, nullable=False),
        sa.Column("customer_email", sa.String),
        sa.Column("state", sa.String, nullable=False),
        _time("created_at", now=True),
    )
    op.create_table(
        "payments",
        _order_id(primary_key=True),
        sa.Column("payment_id", sa.String, nullable=False, unique=True),
        sa.Column("gateway", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("authorized", sa.BigInteger, nullable=False),
        sa.Column("captured", sa.BigInteger, nullable=False),
        sa.Column("refunded", sa.BigInteger, nullable=False),
        sa.Column("transaction_id", sa.String, index=True),
        sa.Column("method", sa.String),
        sa.Column("needs_attention", sa.Boolean, nullable=False, index=True),
        _time("created_at", now=True),
        _time("updated_at", now=True),
        sa.CheckConstraint("authorized >= captured AND captured >= refunded AND refunded >= 0"),
    )
    op.create_table(
        "payment_events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _order_id(),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("fact", JSONB, nullable=False),
        _time("recorded_at", now=True),
        sa.UniqueConstraint("order_id", "key"),
    )
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    op.create_table(
        "callbacks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("gateway", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column(
            "order_id",
            sa.String(64),
            sa.ForeignKey("orders.order_id"),
            nullable=False,
            index=True,
        ),
        sa.Column("event", JSONB, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _time("received_at", now=True),
        _time("delivered_at"),
        sa.Column("outcome", sa.String),
        sa.UniqueConstraint("gateway", "event_id"),
    )
    op.create_index(
        "ix_callbacks_waiting",
        "callbacks",
        ["created_at"],
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "stock",
        sa.Column("sku", sa.String, primary_key=True),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.CheckConstraint("available >= 0"),
    )
    op.create_table(
        "reservations",
        _order_id(primary_key=True),
        sa.Column("sku", sa.String, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        _time("reserved_at", now=True),
        _time("released_at"),
    )
    op.create_table(
        "shipments",
        _order_id(primary_key=True),
        _time("shipped_at", now=True),
        _time("canceled_at"),
    )
    op.create_table(
        "receipts",
        _order_id(primary_key=True),
        sa.Column("message_id", sa.String, nullable=False),
        _time("sent_at", now=True),
        _time("withdrawn_at"),
    )


def downgrade() -> None:
    for table in (
        "receipts",
        "shipments",
        "reservations",
        "stock",
        "callbacks",
        "payment_events",
        "payments",
        "orders",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")
