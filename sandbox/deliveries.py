"""Sending events to webhook endpoints: signed, repeated until accepted, never on the request path.

What is still to be sent is in the store, so it is sent after a crash and a restart too.
"""

import asyncio
import contextlib
import json
import random
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.clock import Clock
from sandbox.context import Context
from sandbox.events import current
from sandbox.signing_secrets import live_secrets
from sandbox.store import Json
from sandbox.webhooks import client, post, signature

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_PATIENCE = 3 * 24 * 3600.0
_IDLE = 60.0
_RULES = "delivery_rules"
_random = random.SystemRandom()


class Mode(BaseModel):
    """How events leave: at once, not at all for now, never, each several times, late, or shuffled.

    `times` is for repeat: how often each event is sent. `seconds` is for delay: how long after its
    creation an event leaves; and for shuffle: how long events are gathered before one of them is
    picked at random. `types` are the event types it is about, and `orders` the orders, as a pattern
    of their ids (`*` any text, `?` any letter); None means all.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Literal["deliver", "hold", "drop", "repeat", "shuffle", "delay"] = "deliver"
    times: int = Field(default=2, ge=2, le=20)
    seconds: float = Field(default=0.5, ge=0, le=3600)
    types: list[str] | None = Field(default=None, min_length=1)
    orders: str | None = None


class Rules(BaseModel):
    """How events leave: by the first of `rules` that is about them, at once where none is.

    One rule may be given as it is.
    """

    model_config = ConfigDict(extra="forbid")

    rules: list[Mode]

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return value if isinstance(value, dict) and "rules" in value else {"rules": [value]}


class _Lane:
    """Deliveries that leave by the same rule: which, when, in what order, how many at a time."""

    def __init__(self, rules: list[Mode], number: int) -> None:
        self.rule = rules[number]
        self.at_once = 1 if self.rule.mode == "shuffle" else 8
        self.given: Json = {"seconds": self.rule.seconds}
        for each, rule in enumerate(rules[: number + 1]):
            self.given[f"types{each}"] = None if rule.types is None else json.dumps(rule.types)
            self.given[f"orders{each}"] = rule.orders
        earlier = [f"NOT {_is_about(each)}" for each in range(number)]
        self._which = " AND ".join(["state = 'pending'", *earlier, _is_about(number)])
        self._when, self._order = _LEAVING.get(self.rule.mode, ("next_at", "id"))

    # Every part of these is written in this file.
    @property
    def due(self) -> str:
        return f"""
            SELECT id, event, endpoint FROM deliveries
            WHERE {self._which} AND {self._when} <= :now
            ORDER BY {self._order} LIMIT :room"""  # noqa: S608 - all of it is ours  # nosec B608

    @property
    def soonest(self) -> str:
        return f"""
            SELECT min({self._when}) FROM deliveries
            WHERE {self._which} AND {self._when} > :now"""  # noqa: S608 - all of it is ours  # nosec B608

    @property
    def drop(self) -> str:
        return f"UPDATE deliveries SET state = 'dropped' WHERE {self._which}"  # noqa: S608 - all of it is ours  # nosec B608


def _is_about(number: int) -> str:
    """Whether the rule of this number is about a delivery."""
    return f"""((:types{number} IS NULL OR (SELECT type FROM objects WHERE objects.id = event)
            IN (SELECT value FROM json_each(:types{number})))
        AND (:orders{number} IS NULL OR coalesce(order_id, '') GLOB :orders{number}))"""  # noqa: S608 - all of it is ours  # nosec B608


# When, and in what order.
_LEAVING = {
    "delay": ("max(next_at, created + :seconds)", "id"),
    "shuffle": ("next_at + :seconds", "random()"),
}


class Deliveries:
    """The background sender. It and the request handlers share one thread and one connection."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._db = context.store.db
        self._clock: Clock = context.clock
        self._sending: dict[int, tuple[_Lane, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        kept = context.store.meta(_RULES)
        self.rules = Rules.model_validate_json(kept).rules if kept is not None else []
        self._lanes = self._ordered()

    def wake(self) -> None:
        """Look for something to send now."""
        self._wake.set()

    def set_rules(self, rules: list[Mode]) -> None:
        """Change how events leave, until changed again, restarts included. Retries are due now."""
        self.rules = rules
        self._lanes = self._ordered()
        self._context.store.set_meta(_RULES, Rules(rules=rules).model_dump_json())
        self.retry_now()
        self.wake()

    def _ordered(self) -> list[_Lane]:
        """A lane for each rule, the last for what no rule is about."""
        rules = [*self.rules, Mode()]
        return [_Lane(rules, number) for number in range(len(rules))]

    def retry_now(self) -> None:
        """Cut every pause short."""
        self._db.execute(
            "UPDATE deliveries SET next_at = ? WHERE state = 'pending' AND next_at > ?",
            (self._clock.now(), self._clock.now()),
        )

    def counts(self) -> Json:
        """How many deliveries are pending, delivered, dropped or given up; how many the receiver
        took by each mode, and how many of those it had had already; and of how many orders it was
        told nothing at all, although there was something to tell."""
        states: Json = dict.fromkeys(("pending", "delivered", "dropped", "given_up"), 0)
        states |= dict(
            self._db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall()
        )
        accepted = dict(
            self._db.execute(
                "SELECT mode, sum(accepted) FROM deliveries WHERE accepted > 0 GROUP BY mode"
            ).fetchall()
        )
        (repeated,) = self._db.execute(
            "SELECT coalesce(sum(accepted - 1), 0) FROM deliveries WHERE accepted > 0"
        ).fetchone()
        (silent,) = self._db.execute(
            "SELECT count(*) FROM (SELECT order_id FROM deliveries WHERE order_id IS NOT NULL "
            "GROUP BY order_id HAVING sum(accepted) = 0 AND sum(state = 'dropped') = count(*))"
        ).fetchone()
        return {**states, "accepted": accepted, "repeated": repeated, "silent_orders": silent}

    async def run(self) -> None:
        """Send for ever; cancelling it cancels what is under way, which is then sent again."""
        async with client() as sender:
            try:
                while True:
                    self._wake.clear()
                    pause = self._start_due(sender)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
            finally:
                tasks = [task for _, task in self._sending.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self, sender: httpx.AsyncClient) -> float:
        """Start what is due and may start; the seconds until something else may be due."""
        pauses = [_IDLE]
        for lane in self._lanes:
            if lane.rule.mode == "drop":
                self._db.execute(lane.drop, lane.given)
            elif lane.rule.mode != "hold":
                pauses.append(self._start_lane(sender, lane))
        return min(pauses)

    def _start_lane(self, sender: httpx.AsyncClient, lane: _Lane) -> float:
        now = self._clock.now()
        busy = sum(taken is lane for taken, _ in self._sending.values())
        if busy >= lane.at_once:
            return _IDLE
        given = {**lane.given, "now": now}
        room = lane.at_once - busy
        # What is under way is still pending in the store, so as many more rows are looked at.
        rows = self._db.execute(lane.due, given | {"room": room + len(self._sending)}).fetchall()
        free = [row for row in rows if row[0] not in self._sending]
        for delivery_id, event_id, endpoint_id in free[:room]:
            task = asyncio.create_task(self._send(sender, lane, delivery_id, event_id, endpoint_id))
            self._sending[delivery_id] = (lane, task)
        (soonest,) = self._db.execute(lane.soonest, given).fetchone()
        return _IDLE if soonest is None else min(_IDLE, max(0.0, soonest - now))

    async def _send(
        self,
        sender: httpx.AsyncClient,
        lane: _Lane,
        delivery_id: int,
        event_id: str,
        endpoint_id: str,
    ) -> None:
        try:
            endpoint = self._context.store.find("webhook_endpoint", endpoint_id)
            if endpoint is None or endpoint.body["status"] != "enabled":
                self._finish(delivery_id, "dropped")
                return
            event = current(self._context, self._context.get("event", event_id).body)
            event["api_version"] = endpoint.body["api_version"] or event["api_version"]
            body = json.dumps(event).encode()
            for _ in range(lane.rule.times if lane.rule.mode == "repeat" else 1):
                # A receiver judges the time by its own clock, which skipped nothing.
                secrets = live_secrets(endpoint.private, self._context.now)
                signed = signature(secrets, body, self._clock.wall())
                answer = await post(sender, endpoint.body["url"], body, signed)
                if answer is not None and answer.is_success:
                    self._accepted(delivery_id, lane.rule.mode)
            if answer is not None and answer.is_success:
                self._finish(delivery_id, "delivered")
            else:
                self._postpone(delivery_id)
        finally:
            del self._sending[delivery_id]
            self.wake()

    def _accepted(self, delivery_id: int, mode: str) -> None:
        self._db.execute(
            "UPDATE deliveries SET mode = ?, accepted = accepted + 1 WHERE id = ?",
            (mode, delivery_id),
        )

    def _finish(self, delivery_id: int, state: str) -> None:
        self._db.execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1 WHERE id = ?",
            (state, delivery_id),
        )

    def _postpone(self, delivery_id: int) -> None:
        """Try again later: pauses double from a second to a minute, for three days."""
        attempts, created = self._db.execute(
            "SELECT attempts, created FROM deliveries WHERE id = ?", (delivery_id,)
        ).fetchone()
        now = self._clock.now()
        if now - created > _PATIENCE:
            self._finish(delivery_id, "given_up")
            return
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempts, 10))
        self._db.execute(
            "UPDATE deliveries SET attempts = attempts + 1, next_at = ? WHERE id = ?",
            (now + pause * _random.uniform(0.8, 1.2), delivery_id),
        )
