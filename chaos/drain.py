"""The wait for everything to come to rest once nothing is broken any more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from temporalio.client import Client

from chaos.gateway import GatewayControl
from chaos.stack import ChaosStack

LOOK_SECONDS = 1.0
# Temporal lists a workflow a moment after it began, and a bank settles a refund two seconds after
# it was made: one look between two pieces of news sees nothing to do.
CALM_LOOKS = 4
# What the schedules start comes and goes.
_OURS = ("payment-", "refund-", "dispute-", "late-event-")


@dataclass(frozen=True)
class Waiting:
    """What is not done yet: callbacks that the gateway has still to send, callbacks that we have
    still to deliver, and workflows that are to end."""

    to_send: int
    to_deliver: int
    workflows: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.to_send or self.to_deliver or self.workflows)

    def __str__(self) -> str:
        return (
            f"{self.to_send} callbacks to send, {self.to_deliver} to deliver, "
            f"{len(self.workflows)} workflows to end"
        )


async def drained(
    stack: ChaosStack,
    gateway: GatewayControl,
    left_open: frozenset[str],
    say: Callable[[str], None],
    seconds: float,
) -> Waiting:
    """Wait until nothing is left to do but what `left_open` orders wait for; what still was when
    the time was up."""
    client = await stack.temporal_client()
    deadline = asyncio.get_running_loop().time() + seconds
    calm, said = 0, ""
    async with await psycopg.AsyncConnection.connect(stack.database, autocommit=True) as database:
        while True:
            waiting = await _look(database, client, gateway, left_open)
            if str(waiting) != said:
                said = str(waiting)
                say(f"coming to rest: {said}")
            calm = 0 if waiting else calm + 1
            if calm == CALM_LOOKS or asyncio.get_running_loop().time() > deadline:
                return waiting
            await asyncio.sleep(LOOK_SECONDS)


async def _look(
    database: psycopg.AsyncConnection,
    client: Client,
    gateway: GatewayControl,
    left_open: frozenset[str],
) -> Waiting:
    rows = await database.execute("SELECT count(*) FROM callbacks WHERE delivered_at IS NULL")
    (to_deliver,) = await rows.fetchone() or (0,)
    allowed = {f"payment-{order_id}" for order_id in left_open}
    running = {
        workflow.id
        async for workflow in client.list_workflows("ExecutionStatus = 'Running'")
        if workflow.id.startswith(_OURS)
    }
    to_send = (await gateway.deliveries())["pending"]
    return Waiting(to_send, to_deliver, frozenset(running - allowed))
