"""What our own database says: read as rows, without the code that wrote them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row
from pydantic import TypeAdapter

from app.domain.facts import Fact
from app.domain.ledger import Account
from app.domain.money import Money
from app.domain.payment import Payment, fold

_FACT = TypeAdapter(Fact)

_ORDERS = """
SELECT o.order_id, o.amount, o.currency, o.state AS order_state, o.metadata,
       o.sealed_email IS NOT NULL AS has_address,
       p.state, p.captured - p.refunded - p.refunds_pending - p.disputed AS net,
       p.refunds_pending
FROM orders o LEFT JOIN payments p USING (order_id)
"""
_FACTS = "SELECT order_id, fact FROM payment_events ORDER BY id"
_RESERVED = "SELECT order_id, sku, quantity FROM reservations WHERE released_at IS NULL"
_SHIPPED = "SELECT order_id FROM shipments WHERE canceled_at IS NULL"
_RECEIPTS = "SELECT order_id FROM receipts WHERE withdrawn_at IS NULL"
_STOCK = "SELECT sku, available FROM stock"
_UNKNOWN = "SELECT order_id, min(next_check_at) AS at FROM unknown_outcomes GROUP BY order_id"
_BALANCES = """
SELECT order_id, account, currency, sum(amount)::bigint AS amount
FROM journal WHERE order_id IS NOT NULL GROUP BY order_id, account, currency
"""
_UNBALANCED = """
SELECT coalesce(order_id, entry) AS name, currency, sum(amount)::bigint AS amount
FROM journal GROUP BY order_id, coalesce(order_id, entry), currency HAVING sum(amount) <> 0
"""
_TOTALS = """
SELECT currency, count(*) AS rows, sum(amount)::bigint AS amount
FROM journal GROUP BY currency ORDER BY currency
"""
_CALLBACKS = """
SELECT event_id, order_id, delivered_at, outcome FROM callbacks WHERE gateway = 'stripe'
"""


class Reservation(NamedTuple):
    """Articles that are set aside."""

    sku: str
    quantity: int


class Total(NamedTuple):
    """Postings in a currency, and their sum, which must be zero."""

    currency: str
    rows: int
    amount: int


class Unbalanced(NamedTuple):
    """Postings of an order, or of a payout, that do not sum to zero."""

    name: str
    currency: str
    amount: int


class Callback(NamedTuple):
    """What the inbox keeps of a gateway's event."""

    order_id: str | None
    delivered_at: datetime | None
    outcome: str | None


@dataclass(frozen=True)
class Order:
    """An order, its payment's row, and what was done for it. Amounts are in minor units of
    `currency`; `state` and `net` (what is still ours of what was taken) are None without a row."""

    order_id: str
    amount: int
    currency: str
    order_state: str
    metadata: dict[str, str]
    has_address: bool
    state: str | None
    net: int | None
    refunds_pending: int | None
    facts: list[Fact] = field(default_factory=list)
    balances: dict[tuple[Account, str], int] = field(default_factory=dict)
    """What the journal says: debit less credit, by account and currency."""

    @property
    def folded(self) -> Payment:
        """The payment as its facts tell it."""
        return fold(Payment(self.order_id, Money(self.amount, self.currency)), self.facts)


@dataclass(frozen=True)
class Records:
    """Everything that the database holds of orders. The sets name orders. `next_check` is the
    earliest of an order that has something unknown."""

    orders: dict[str, Order]
    reserved: dict[str, Reservation]
    shipped: set[str]
    receipted: set[str]
    stock: dict[str, int]
    callbacks: dict[str, Callback]
    next_check: dict[str, datetime]
    totals: list[Total]
    unbalanced: list[Unbalanced]


async def read_records(url: str) -> Records:
    """Everything at one moment, in a query a table."""
    async with await psycopg.AsyncConnection.connect(
        url.replace("+psycopg", ""), row_factory=dict_row
    ) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)

        async def rows(query: Any) -> list[dict[str, Any]]:
            return await (await connection.execute(query)).fetchall()

        orders = {row["order_id"]: Order(**row) for row in await rows(_ORDERS)}
        for row in await rows(_FACTS):
            orders[row["order_id"]].facts.append(_FACT.validate_python(row["fact"]))
        for row in await rows(_BALANCES):
            balances = orders[row["order_id"]].balances
            balances[Account(row["account"]), row["currency"]] = row["amount"]
        return Records(
            orders,
            {r["order_id"]: Reservation(r["sku"], r["quantity"]) for r in await rows(_RESERVED)},
            {row["order_id"] for row in await rows(_SHIPPED)},
            {row["order_id"] for row in await rows(_RECEIPTS)},
            {row["sku"]: row["available"] for row in await rows(_STOCK)},
            {row.pop("event_id"): Callback(**row) for row in await rows(_CALLBACKS)},
            {row["order_id"]: row["at"] for row in await rows(_UNKNOWN)},
            [Total(**row) for row in await rows(_TOTALS)],
            [Unbalanced(**row) for row in await rows(_UNBALANCED)],
        )
