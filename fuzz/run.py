"""A run: rounds of turns on a stack of its own, until enough was asked."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.embedded.ports import Ports
from app.embedded.services import ApiPart
from app.embedded.stack import Stack
from chaos.unlimited import UNLIMITED
from fuzz import turn
from fuzz.orders import place
from fuzz.plan import EVERY_PHASE, RANDOM_PHASES, Plan
from fuzz.signing import Signature
from fuzz.tally import Tally
from fuzz.visitors import Visitor, visitors

# How many requests are made up for each operation in a visitor's turn.
_EXAMPLES = 20
# Rounds of one run that no other seed draws.
_MOST_ROUNDS = 1000


async def run(folder: Path, requests: int, seed: int, say: Callable[[str], None]) -> Tally:
    """Ask at least `requests` of a fresh stack in `folder`. The same seed asks the same, but for
    ids, keys and times."""
    tally = Tally()
    async with Stack(folder, Ports.free(), say) as stack:
        # Else most of what it asks would soon be answered 429.
        environment = {**stack.api.environment(), **UNLIMITED}
        stack.api = ApiPart(stack.api_url, stack.ports.api, environment)
        await stack.start()
        for number in range(_MOST_ROUNDS):
            # What is not random is tried in the first round.
            phases = RANDOM_PHASES if number else EVERY_PHASE
            await run_round(stack, tally, seed * _MOST_ROUNDS + number, _EXAMPLES, phases, say=say)
            if tally.requests >= requests:
                break
    return tally


async def run_round(
    stack: Stack,
    tally: Tally,
    seed: int,
    examples: int,
    phases: Sequence[str],
    *,
    only: frozenset[str] | None = None,
    say: Callable[[str], None],
) -> None:
    """A turn of each visitor, or of those named in `only`, on orders of its own."""
    prefix = f"fuzz-{seed}"
    engine = create_engine(stack.postgres.url)
    try:
        everyone = await visitors(ApiKeys(engine, embedded=True), prefix)
    finally:
        await engine.dispose()
    orders = await _orders(stack, everyone[0], prefix)
    plan = Plan(stack.api_url, orders, seed, examples, phases, Signature.of(stack.folder))
    for visitor in everyone:
        if only is not None and visitor.name not in only:
            continue
        before = tally.requests
        await asyncio.to_thread(turn.take, visitor, plan.schema(visitor), tally)
        say(f"round {seed}, {visitor.name}: {tally.requests - before} requests")


async def _orders(stack: Stack, visitor: Visitor, prefix: str) -> list[str]:
    async with httpx.AsyncClient(
        base_url=stack.api_url, headers=visitor.headers(), timeout=60, trust_env=False
    ) as http:
        return await place(http, prefix)
