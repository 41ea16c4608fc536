"""The audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_audit"
down_revision = "2026_11_24_attempt_counts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String),
        sa.Column("key_id", sa.String),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("object", sa.String, index=True),
        sa.Column("result", sa.String, nullable=False),
        sa.Column("mac_key", sa.String, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_end",
        sa.Column("one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.execute("INSERT INTO audit_end VALUES (true, 0, '')")
    for table, changes in (("audit", "UPDATE OR DELETE OR TRUNCATE"), ("audit_end", "TRUNCATE")):
        op.execute(
            f"""
            CREATE TRIGGER append_only BEFORE {changes} ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
            """
        )


def downgrade() -> None:
    op.drop_table("audit_end")
    op.drop_table("audit")
