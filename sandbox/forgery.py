"""Made-up events, sent once to every enabled endpoint: what a receiver must not believe blindly.

They are nowhere in the store, so no list of events knows them and nothing is tried again.
"""

import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.context import API_VERSION, Context
from sandbox.ids import new_id
from sandbox.signing_secrets import live_secrets, new_secret
from sandbox.store import Json
from sandbox.webhooks import client, post, signature

_TOO_OLD = 3600


class Forgery(BaseModel):
    """An event of `type` about `object`, or a copy of `from_event`; `changes` go into the object.

    `signed` with the endpoint's secret, with another, not at all, or an hour ago. Each endpoint
    gets it `times` times.
    """

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(default=None, min_length=1)
    object: Json | None = None
    from_event: str | None = None
    changes: Json = Field(default_factory=dict)
    signed: Literal["right", "wrong", "none", "stale"] = "right"
    times: int = Field(default=1, ge=1, le=20)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.object is None) == (self.from_event is None):
            raise ValueError("give either object or from_event")
        if self.object is not None and self.type is None:
            raise ValueError("an object needs a type of event")
        return self


async def send_forged(context: Context, forgery: Forgery) -> Json:
    """Send it; the event's id, and the HTTP statuses received, null where nobody answered."""
    event = _event(context, forgery)
    body = json.dumps(event).encode()
    statuses: list[int | None] = []
    async with client() as sender:
        for endpoint in context.store.all("webhook_endpoint"):
            if endpoint.body["status"] != "enabled":
                continue
            for _ in range(forgery.times):
                signed = _signed(context, forgery.signed, endpoint.private, body)
                answer = await post(sender, endpoint.body["url"], body, signed)
                statuses.append(None if answer is None else answer.status_code)
    return {"event": event["id"], "statuses": statuses}


def _event(context: Context, forgery: Forgery) -> Json:
    if forgery.from_event is not None:
        event = context.get("event", forgery.from_event).body
    else:
        event = {
            "object": "event",
            "api_version": API_VERSION,
            "created": context.now,
            "data": {"object": forgery.object},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
        }
    event.update(id=new_id("evt"), type=forgery.type or event["type"])
    event["data"]["object"] = _merged(event["data"]["object"], forgery.changes)
    return event


def _merged(about: Any, changes: Any) -> Any:
    if not (isinstance(about, dict) and isinstance(changes, dict)):
        return changes
    return about | {name: _merged(about.get(name), value) for name, value in changes.items()}


def _signed(context: Context, how: str, endpoint: Json, body: bytes) -> str | None:
    now = context.clock.wall()
    secrets = live_secrets(endpoint, context.now)
    match how:
        case "none":
            return None
        case "wrong":
            return signature([new_secret()], body, now)
        case "stale":
            return signature(secrets, body, now - _TOO_OLD)
        case _:
            return signature(secrets, body, now)
