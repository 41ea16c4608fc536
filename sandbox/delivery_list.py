"""Every delivery of an event and how it stands: what the receiver has taken must be with it."""

from sandbox.store import Json, Store

_ALL = """
SELECT d.event,
       e.type,
       json_extract(e.body, '$.data.object.id'),
       json_extract(e.body, '$.data.object.status'),
       i.id,
       json_extract(i.body, '$.metadata.order_id'),
       d.state,
       d.attempts
FROM deliveries d
JOIN objects e ON e.id = d.event
LEFT JOIN objects i ON i.kind = 'payment_intent' AND i.id = coalesce(
    json_extract(e.body, '$.data.object.payment_intent'), json_extract(e.body, '$.data.object.id'))
WHERE ? IS NULL OR d.state = ?
ORDER BY d.id
"""
_NAMES = ("event", "type", "object", "status", "payment_intent", "order_id", "state", "attempts")


def read(store: Store, state: str | None = None) -> Json:
    """One for each event and endpoint, oldest first, of all states or of one.

    `object` is what the event is about and `status` what that was then; `order_id` is the one that
    the payment intent names.
    """
    rows = store.db.execute(_ALL, (state, state))
    return {"deliveries": [dict(zip(_NAMES, row, strict=True)) for row in rows]}
