"""Sending events to webhook endpoints: signed, repeated until accepted, never on the request path.

What is still to be sent is in the store, so it is sent after a crash and a restart too.
"""

import asyncio
import contextlib
import json
import random
from dataclasses import dataclass
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

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
_MODE = "delivery_mode"
_random = random.SystemRandom()


class Mode(BaseModel):
    """How events leave: at once, not at all for now, never, each several times, late, or shuffled.

    `times` is for repeat: how often each event is sent. `seconds` is for delay: how long after its
    creation an event leaves; and for shuffle: how long events are gathered before one of them is
    picked at random. `types` are the event types it is about, every other leaves at once; None
    means all.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Literal["deliver", "hold", "drop", "repeat", "shuffle", "delay"] = "deliver"
    times: int = Field(default=2, ge=2, le=20)
    seconds: float = Field(default=0.5, ge=0, le=3600)
    types: list[str] | None = Field(default=None, min_length=1)

    @property
    def affected(self) -> str:
        """The types it is about as JSON: null for all, [] for none."""
        return "[]" if self.mode == "deliver" else json.dumps(self.types)


@dataclass(frozen=True)
class _Lane:
    """Deliveries that leave by the same rule: which, when, in what order, how many at a time."""

    which: str
    when: str
    order: str
    at_once: int

    @property
    def due(self) -> str:
        # Every part is written in this file.
        return f"""
            SELECT id, event, endpoint FROM deliveries
            WHERE state = 'pending' AND {self.which} AND {self.when} <= :now
            ORDER BY {self.order} LIMIT :room"""  # noqa: S608

    @property
    def soonest(self) -> str:
        return f"""
            SELECT min({self.when}) FROM deliveries
            WHERE state = 'pending' AND {self.which} AND {self.when} > :now"""  # noqa: S608


_AFFECTED = """(:types = 'null' OR
    (SELECT type FROM objects WHERE objects.id = event) IN (SELECT value FROM json_each(:types)))"""
_DROP = f"UPDATE deliveries SET state = 'dropped' WHERE state = 'pending' AND {_AFFECTED}"  # noqa: S608
_OTHERS = _Lane(f"NOT {_AFFECTED}", "next_at", "id", at_once=8)
_LANES = {
    "repeat": _Lane(_AFFECTED, "next_at", "id", at_once=8),
    "delay": _Lane(_AFFECTED, "max(next_at, created + :seconds)", "id", at_once=8),
    "shuffle": _Lane(_AFFECTED, "next_at + :seconds", "random()", at_once=1),
}


class Deliveries:
    """The background sender. It and the request handlers share one thread and one connection."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._db = context.store.db
        self._clock: Clock = context.clock
        self._sending: dict[int, tuple[_Lane, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self.mode = Mode.model_validate_json(context.store.meta(_MODE) or "{}")

    def wake(self) -> None:
        """Look for something to send now."""
        self._wake.set()

    def set_mode(self, mode: Mode) -> None:
        """Change how events leave, until changed again, restarts included."""
        self.mode = mode
        self._context.store.set_meta(_MODE, mode.model_dump_json())
        if mode.mode == "deliver":
            self.retry_now()
        self.wake()

    def retry_now(self) -> None:
        """Cut every pause short."""
        self._db.execute(
            "UPDATE deliveries SET next_at = ? WHERE state = 'pending' AND next_at > ?",
            (self._clock.now(), self._clock.now()),
        )

    def counts(self) -> Json:
        """How many deliveries are pending, delivered, dropped or given up."""
        states: Json = dict.fromkeys(("pending", "delivered", "dropped", "given_up"), 0)
        rows = self._db.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
        return states | dict(rows.fetchall())

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
        if self.mode.mode == "drop":
            self._db.execute(_DROP, {"types": self.mode.affected})
        lanes = [_OTHERS]
        if (lane := _LANES.get(self.mode.mode)) is not None:
            lanes.append(lane)
        return min(self._start_lane(sender, lane) for lane in lanes)

    def _start_lane(self, sender: httpx.AsyncClient, lane: _Lane) -> float:
        now = self._clock.now()
        busy = sum(taken is lane for taken, _ in self._sending.values())
        if busy >= lane.at_once:
            return _IDLE
        given = {"types": self.mode.affected, "seconds": self.mode.seconds, "now": now}
        room = lane.at_once - busy
        # What is under way is still pending in the store, so as many more rows are looked at.
        rows = self._db.execute(lane.due, given | {"room": room + len(self._sending)}).fetchall()
        free = [row for row in rows if row[0] not in self._sending]
        for delivery_id, event_id, endpoint_id in free[:room]:
            task = asyncio.create_task(self._send(sender, delivery_id, event_id, endpoint_id))
            self._sending[delivery_id] = (lane, task)
        (soonest,) = self._db.execute(lane.soonest, given).fetchone()
        return _IDLE if soonest is None else min(_IDLE, max(0.0, soonest - now))

    async def _send(
        self, sender: httpx.AsyncClient, delivery_id: int, event_id: str, endpoint_id: str
    ) -> None:
        try:
            endpoint = self._context.store.find("webhook_endpoint", endpoint_id)
            if endpoint is None or endpoint.body["status"] != "enabled":
                self._finish(delivery_id, "dropped")
                return
            event = current(self._context, self._context.get("event", event_id).body)
            event["api_version"] = endpoint.body["api_version"] or event["api_version"]
            body = json.dumps(event).encode()
            times = self.mode.times if self._repeats(event["type"]) else 1
            for _ in range(times):
                # A receiver judges the time by its own clock, which skipped nothing.
                secrets = live_secrets(endpoint.private, self._context.now)
                signed = signature(secrets, body, self._clock.wall())
                answer = await post(sender, endpoint.body["url"], body, signed)
            if answer is not None and answer.is_success:
                self._finish(delivery_id, "delivered")
            else:
                self._postpone(delivery_id)
        finally:
            del self._sending[delivery_id]
            self.wake()

    def _repeats(self, kind: str) -> bool:
        return self.mode.mode == "repeat" and (self.mode.types is None or kind in self.mode.types)

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
