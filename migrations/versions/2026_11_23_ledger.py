"""The ledger: a journal of every movement of money, opened with what stands in the facts.

Taken back and applied again, it opens without the payouts, which the next reconciliation brings.
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_23_ledger"
down_revision = "2026_11_23_gateway_in_full"
branch_labels = None
depends_on = None

# Where the money of the payments there are is, as the ledger's rules of this day say. What the
# projection caps, refunds and disputes beyond what was captured, is read from the facts.
_OPENING = """
    WITH told AS (
        SELECT order_id, event, fact, coalesce((fact ->> 'amount')::bigint, 0) AS amount,
            coalesce(fact ->> 'refund', fact ->> 'reference') AS name,
            array_position(
                ARRAY['refund_pending', 'disputed', 'refunded', 'dispute_won', 'refund_failed',
                    'dispute_lost'],
                event::text
            ) AS rank
        FROM payment_events
    ), latest AS (
        SELECT DISTINCT ON (order_id, name, event LIKE 'dispute%') order_id, event, amount
        FROM told WHERE rank IS NOT NULL AND name IS NOT NULL
        ORDER BY order_id, name, event LIKE 'dispute%', rank DESC, amount DESC
    ), moved (order_id, debit, credit, amount, currency) AS (
        SELECT order_id, 'holds', 'authorizations', authorized, currency
        FROM payments WHERE state = 'authorized'
        UNION ALL
        SELECT order_id, 'gateway_balance', 'sales', captured, currency FROM payments
        UNION ALL
        SELECT order_id, 'refunds', 'refunds_in_transit', latest.amount, currency
        FROM latest JOIN payments USING (order_id) WHERE event = 'refund_pending'
        UNION ALL
        SELECT order_id, 'refunds', 'gateway_balance', latest.amount, currency
        FROM latest JOIN payments USING (order_id) WHERE event = 'refunded'
        UNION ALL
        SELECT order_id, 'disputes', 'gateway_balance', latest.amount, currency
        FROM latest JOIN payments USING (order_id) WHERE event IN ('disputed', 'dispute_lost')
        UNION ALL
        SELECT order_id, 'fees', 'gateway_balance', told.amount,
            coalesce(fact ->> 'currency', currency)
        FROM told JOIN payments USING (order_id) WHERE event = 'fee_charged'
    )
    INSERT INTO journal (order_id, entry, account, currency, amount, at)
    SELECT order_id, 'opening', account, currency, sum(posted), now()
    FROM moved, LATERAL (VALUES (debit, amount), (credit, -amount)) AS side (account, posted)
    GROUP BY order_id, account, currency HAVING sum(posted) <> 0
"""


def upgrade() -> None:
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.order_id")),
        sa.Column("entry", sa.String, nullable=False),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint(
            "order_id", "entry", "account", "currency", postgresql_nulls_not_distinct=True
        ),
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    # Nothing is changed later: while every statement balances, so does the whole.
    op.execute(
        """
        CREATE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            name text;
        BEGIN
            SELECT entry INTO name FROM posted
            GROUP BY order_id, entry, currency HAVING sum(amount) <> 0 LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'entry % does not balance', name USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER balanced AFTER INSERT ON journal REFERENCING NEW TABLE AS posted
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_imbalance()
        """
    )
    op.execute(_OPENING)


def downgrade() -> None:
    op.drop_table("journal")
    op.execute("DROP FUNCTION refuse_imbalance()")
