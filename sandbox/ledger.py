"""What was really charged: an append-only list of movements of money, and the sums of it.

It is written in the same transaction as the objects and read apart from them, so it judges both
the service under test and the sandbox's own objects.
"""

from sandbox.context import Context
from sandbox.store import Json, Store


def move(context: Context, kind: str, intent: Json, amount: int) -> None:
    """Append one movement, in minor units of the intent's currency.

    `kind` is authorized, captured, released, refunded, refund_returned (a refund that the payer's
    bank sent back), disputed, or dispute_returned (a dispute that was won).
    """
    context.store.db.execute(
        "INSERT INTO movements (created, payment_intent, kind, amount, currency) "
        "VALUES (?, ?, ?, ?, ?)",
        (context.now, intent["id"], kind, amount, intent["currency"]),
    )


def length(store: Store) -> int:
    """How many movements there have been."""
    (last,) = store.db.execute("SELECT coalesce(max(seq), 0) FROM movements").fetchone()
    return int(last)


_BY_INTENT = """
SELECT o.id,
       json_extract(o.body, '$.metadata.order_id'),
       json_extract(o.body, '$.currency'),
       json_extract(o.body, '$.status'),
       coalesce(sum(m.amount) FILTER (WHERE m.kind = 'authorized'), 0),
       coalesce(sum(m.amount) FILTER (WHERE m.kind = 'captured'), 0),
       coalesce(sum(m.amount) FILTER (WHERE m.kind = 'released'), 0),
       coalesce(sum(m.amount) FILTER (WHERE m.kind = 'refunded'), 0)
           - coalesce(sum(m.amount) FILTER (WHERE m.kind = 'refund_returned'), 0),
       coalesce(sum(m.amount) FILTER (WHERE m.kind = 'disputed'), 0)
           - coalesce(sum(m.amount) FILTER (WHERE m.kind = 'dispute_returned'), 0),
       count(m.seq) FILTER (WHERE m.kind = 'authorized'),
       count(m.seq) FILTER (WHERE m.kind = 'captured'),
       count(m.seq) FILTER (WHERE m.kind = 'refunded')
FROM objects o LEFT JOIN movements m ON m.payment_intent = o.id
WHERE o.kind = 'payment_intent'
  AND (? IS NULL OR json_extract(o.body, '$.metadata.order_id') = ?)
GROUP BY o.id ORDER BY o.seq
"""
_SUMS = ("authorized", "captured", "released", "refunded", "disputed")
_COUNTS = ("authorizations", "captures", "refunds")


def read(store: Store, order_id: str | None = None) -> Json:
    """Sums per payment intent, per currency and per order, of one order or of all.

    `authorized` is what was ever held; what is held now is authorized - captured - released.
    """
    intents: list[Json] = []
    totals: dict[str, Json] = {}
    orders: dict[str, Json] = {}
    for row in store.db.execute(_BY_INTENT, (order_id, order_id)):
        currency, order = row[2], row[1]
        sums = dict(zip(_SUMS, row[4:9], strict=True))
        counts = dict(zip(_COUNTS, row[9:12], strict=True))
        intents.append(
            {"id": row[0], "order_id": order, "currency": currency, "status": row[3], **sums}
        )
        total = totals.setdefault(currency, dict.fromkeys(_SUMS, 0))
        for name, amount in sums.items():
            total[name] += amount
        if order is not None:
            tally = orders.setdefault(order, {"payment_intents": 0} | dict.fromkeys(_COUNTS, 0))
            tally["payment_intents"] += 1
            for name, count in counts.items():
                tally[name] += count
    return {"payment_intents": intents, "totals": totals, "orders": orders}
