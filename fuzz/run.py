"""A run: rounds of turns on a stack of its own, until enough was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from app.config import Settings
from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.domain.api_keys import Scope
from app.embedded.ports import HOST, Ports, free_port
from app.embedded.services import ApiPart
from app.embedded.stack import Stack
from chaos.unlimited import UNLIMITED
from fuzz import turn
from fuzz.orders import decline_too_often, place
from fuzz.plan import DECLINED, EVERY_PHASE, RANDOM_PHASES, Plan
from fuzz.signing import Signature
from fuzz.tally import Tally
from fuzz.visitors import Visitor, visitors

# How many requests are made up for each operation in a visitor's turn.
_EXAMPLES = 20
# The same for the one door that has limits, where they hold.
_LIMITED_EXAMPLES = 300
_MOST_LIMITED_TURNS = 10
# The door that has limits, and what they answer.
LIMITED, TOO_MANY = "/api/payment/initiate", 429
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
        async with _with_limits(stack) as api_url:
            await run_limited(stack, api_url, tally, seed, _LIMITED_EXAMPLES, say=say)
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


async def run_limited(
    stack: Stack,
    api_url: str,
    tally: Tally,
    seed: int,
    examples: int,
    *,
    say: Callable[[str], None],
) -> None:
    """A storefront's turns at the door that has limits, on an API of the stack where they hold,
    with a token that was declined too often, until it has met them. Raises RuntimeError where it
    did not: what was not tried is not clean."""
    prefix = f"fuzz-{seed}-limited"
    engine = create_engine(stack.postgres.url)
    try:
        key = await ApiKeys(engine, embedded=True).create(prefix, frozenset(Scope), None)
    finally:
        await engine.dispose()
    storefront = Visitor("a storefront with limits", key.text(), live=True)
    async with _storefront(api_url, storefront) as http:
        await decline_too_often(http, prefix)
    signature = Signature.of(stack.folder)
    before = tally.requests
    for number in range(seed, seed + _MOST_LIMITED_TURNS):
        plan = Plan(api_url, [prefix], number, examples, ("fuzzing",), signature, [DECLINED])
        schema = plan.schema(storefront).include(path=LIMITED, method="POST")
        await asyncio.to_thread(turn.take, storefront, schema, tally)
        if tally.statuses[TOO_MANY]:
            break
    else:
        raise RuntimeError("no limit was met")
    asked, refused = tally.requests - before, tally.statuses[TOO_MANY]
    say(f"with limits: {asked} requests, {refused} of them one too many")


@asynccontextmanager
async def _with_limits(stack: Stack) -> AsyncIterator[str]:
    """The address of one more API on the stack, with the limits that production has by default."""
    fields = Settings.model_fields
    limits = {name.upper(): str(fields[name.lower()].default) for name in UNLIMITED}
    port = free_port()
    environment = {**stack.api.environment(), **limits, "API_PORT": str(port)}
    part = _LimitedApi(f"http://{HOST}:{port}", port, environment)
    await stack.supervisor.start(part)
    try:
        yield part.url
    finally:
        await stack.supervisor.kill(part.name)


class _LimitedApi(ApiPart):
    name = "limited api"


async def _orders(stack: Stack, visitor: Visitor, prefix: str) -> list[str]:
    async with _storefront(stack.api_url, visitor) as http:
        return await place(http, prefix)


def _storefront(api_url: str, visitor: Visitor) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=api_url, headers=visitor.headers(), timeout=60, trust_env=False
    )
