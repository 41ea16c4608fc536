"""Events: a snapshot of what changed, and one pending delivery for each endpoint that wants it."""

import re
from typing import Any

from sandbox.context import API_VERSION, Context
from sandbox.errors import Reply, invalid, missing
from sandbox.forms import Params
from sandbox.ids import new_id
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json

_TYPE_PATTERN = re.compile(r"[a-z0-9_.*]+")
_REACH = 30 * 24 * 3600
_MOST_TYPES = 20

_DELIVERED = """NOT EXISTS
    (SELECT 1 FROM deliveries WHERE event = objects.id AND state != 'delivered')"""


def emit(context: Context, kind: str, about: Json, previous: Json | None = None) -> None:
    """Write an event about an object as it is now, in the current transaction.

    `previous` holds the earlier values of what changed, where Stripe tells them.
    """
    data: Json = {"object": about}
    if previous is not None:
        data["previous_attributes"] = previous
    event = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": context.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": context.request_id, "idempotency_key": context.idempotency_key},
        "type": kind,
    }
    context.store.insert("event", event)
    now, order_id = context.clock.now(), _order_id(context, about)
    for endpoint in context.store.all("webhook_endpoint"):
        wanted = endpoint.body["enabled_events"]
        if endpoint.body["status"] == "enabled" and ("*" in wanted or kind in wanted):
            context.store.db.execute(
                "INSERT INTO deliveries (event, endpoint, created, next_at, order_id) "
                "VALUES (?, ?, ?, ?, ?)",
                (event["id"], endpoint.body["id"], now, now, order_id),
            )


def _order_id(context: Context, about: Json) -> str | None:
    """The order that the payment behind it names."""
    intent = about
    if about["object"] != "payment_intent":
        found = context.store.find("payment_intent", about.get("payment_intent") or "")
        intent = found.body if found is not None else {}
    order_id: str | None = intent.get("metadata", {}).get("order_id")
    return order_id


def changes(before: Json, after: Json) -> Json:
    """The earlier values of what differs, level by level: an event's `previous_attributes`."""
    differing: Json = {}
    for name in [*before, *(name for name in after if name not in before)]:
        was, now = before.get(name), after.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            if inner := changes(was, now):
                differing[name] = inner
        elif was != now:
            differing[name] = was
    return differing


def current(context: Context, event: Json) -> Json:
    """The event with the number of endpoints that have still to accept it."""
    row = context.store.db.execute(
        "SELECT count(*) FROM deliveries WHERE event = ? AND state = 'pending'", (event["id"],)
    ).fetchone()
    return {**event, "pending_webhooks": row[0]}


def _retrieve(context: Context, params: Params, event_id: str) -> Reply:
    event = context.get("event", event_id).body
    if event["created"] <= context.now - _REACH:
        raise missing("event", event_id)
    return Reply(current(context, event))


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    where.add("created > ?", context.now - _REACH)
    if "type" in params and "types" in params:
        raise invalid("Give type or types, not both.", param="types")
    wanted = [params.text("type")] if "type" in params else params.texts("types") or []
    if len(wanted) > _MOST_TYPES:
        raise invalid(f"types holds at most {_MOST_TYPES} event types.", param="types")
    patterns: list[Any] = [kind for kind in wanted if kind is not None]
    if patterns:
        if not all(_TYPE_PATTERN.fullmatch(pattern) for pattern in patterns):
            raise invalid("type is not an event type.", param="type")
        where.add(" OR ".join(["type GLOB ?"] * len(patterns)), *patterns)
    delivered = params.boolean("delivery_success")
    if delivered is not None:
        where.add(_DELIVERED if delivered else f"NOT {_DELIVERED}")
    listed = page(context, params, "event", "/v1/events", where)
    return Reply({**listed, "data": [current(context, event) for event in listed["data"]]})


ROUTES = [
    Route("GET", "/v1/events", _list, LIST_PARAMS | {"delivery_success", "type", "types"}),
    Route("GET", "/v1/events/{id}", _retrieve),
]
