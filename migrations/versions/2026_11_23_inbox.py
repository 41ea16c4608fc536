"""The callback inbox is delivered order by order, and what is refused is tried again later."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_inbox"
down_revision = "2026_11_23_next_check"
branch_labels = None
depends_on = None

_WAITING = sa.text("delivered_at IS NULL")


def upgrade() -> None:
    op.add_column(
        "callbacks", sa.Column("failures", sa.Integer, server_default="0", nullable=False)
    )
    op.add_column("callbacks", sa.Column("last_error", sa.String))
    op.add_column("callbacks", sa.Column("next_try_at", sa.DateTime(timezone=True)))
    op.drop_index("ix_callbacks_waiting", "callbacks")
    op.create_index(
        "ix_callbacks_waiting",
        "callbacks",
        ["order_id", "created_at", "id"],
        postgresql_where=_WAITING,
    )


def downgrade() -> None:
    op.drop_index("ix_callbacks_waiting", "callbacks")
    op.create_index("ix_callbacks_waiting", "callbacks", ["created_at"], postgresql_where=_WAITING)
    for name in ("next_try_at", "last_error", "failures"):
        op.drop_column("callbacks", name)
