"""One piece of a run: a fresh stack, its share of orders and faults, and the verdict."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TextIO

from app.db.engine import create_engine
from app.embedded.credentials import Credentials
from app.fulfilment.reserve_stock import set_stock
from chaos.breaker import Breaker
from chaos.drain import drained
from chaos.evidence import Acknowledgements, Evidence
from chaos.faults import Scene
from chaos.gateway import GatewayControl
from chaos.judge import judge
from chaos.load import Load
from chaos.outcome import Outcome
from chaos.plan import UNDISTURBED, Plan, Story
from chaos.shopping import ARTICLE, SOLD_OUT_ARTICLE
from chaos.stack import ChaosStack
from chaos.storefront import Storefront

AT_ONCE = 32
DRAIN_SECONDS = 240.0
SAY_SECONDS = 5.0
Plant = Callable[[Evidence, str], Awaitable[Evidence]]


async def run_piece(
    plan: Plan,
    folder: Path,
    minutes: float,
    say: Callable[[str], None],
    plant: Plant | None = None,
) -> Outcome:
    """Run it in `folder`, a new one. `plant` may put a defect in before the judge looks. What was
    kept in the folder stays there."""
    outcome = None
    with _log(folder, plan) as log:
        async with ChaosStack(folder, lambda line: print(line, file=log, flush=True)) as stack:
            try:
                say("starting")
                await stack.start()
                outcome = await _Piece(plan, stack, say).run(minutes * 60, plant)
            finally:
                if outcome is None or not outcome.clean:
                    await stack.supervisor.stop()
                    await asyncio.to_thread(stack.disk.keep, folder / "disk-as-it-was")
    return outcome


def _log(folder: Path, plan: Plan) -> TextIO:
    """A new folder with the plan in it, and the file for what the parts report."""
    folder.mkdir(parents=True)
    (folder / "plan.txt").write_text(f"{plan}\n")
    return (folder / "chaos.log").open("w")


class _Piece:
    def __init__(self, plan: Plan, stack: ChaosStack, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._stack = stack
        self._say = say
        self._credentials = Credentials.kept_in(stack.folder)
        self._gateway = GatewayControl(stack.sandbox.url, self._credentials)
        self._acknowledgements = Acknowledgements(stack.folder / "acknowledged.jsonl")
        self._shop = Storefront(stack.api_url, self._acknowledgements)
        self._load = Load(plan, self._shop, AT_ONCE)
        self._breaker = Breaker(plan, Scene(stack, self._gateway, self._shop.surprised))
        self._left_open = frozenset(
            order.order_id for order in plan.orders if order.story is Story.LEFT_HELD
        )
        self._stock = {ARTICLE: 10 * len(plan.orders), SOLD_OUT_ARTICLE: 0}

    async def run(self, seconds: float, plant: Plant | None) -> Outcome:
        try:
            return await self._run(seconds, plant)
        finally:
            await self._gateway.close()
            await self._shop.close()

    async def _run(self, seconds: float, plant: Plant | None) -> Outcome:
        now = asyncio.get_running_loop().time
        await self._stock_up()
        await self._gateway.raise_voices()
        began = now()
        rate = await self._under_fire(seconds)
        loaded = now()
        await self._gateway.calm()
        await drained(self._stack, self._gateway, self._left_open, self._say, DRAIN_SECONDS)
        rested = now()
        evidence = Evidence(
            self._acknowledgements.read(),
            self._stack.postgres.url,
            await self._stack.temporal_client(),
            self._stack.sandbox.url,
            self._stock,
            self._left_open,
        )
        if plant is not None:
            evidence = await plant(evidence, self._credentials.stripe_api_key)
        self._say("judging")
        return Outcome(
            payments=self._load.placed,
            kills=self._breaker.kills,
            doses=await self._breaker.doses(self._load),
            verdict=await judge(evidence),
            surprises=self._shop.surprises,
            answers=dict(self._shop.answers),
            rate=rate,
            load_seconds=loaded - began,
            rest_seconds=rested - loaded,
        )

    async def _stock_up(self) -> None:
        engine = create_engine(self._stack.postgres.url)
        for sku, count in self._stock.items():
            await set_stock(engine, sku, count)
        await engine.dispose()

    async def _under_fire(self, seconds: float) -> float:
        """Load and faults together; payments a second before the first fault."""
        now = asyncio.get_running_loop().time
        progress = asyncio.create_task(self._tell())
        peaceful = max(1, int(len(self._plan.orders) * UNDISTURBED))
        began = now()
        rate = 0.0
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as everything:
                everything.create_task(self._load.run())
                everything.create_task(self._breaker.run(self._load))
                await self._load.until_placed(peaceful)
                rate = peaceful / (now() - began)
        except TimeoutError:
            self._shop.surprised(
                f"not over after {seconds:g} s: {self._load.done} of {len(self._plan.orders)}"
            )
            await self._stack.mend()
        finally:
            progress.cancel()
        return rate

    async def _tell(self) -> None:
        began = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(SAY_SECONDS)
            self._say(
                f"{asyncio.get_running_loop().time() - began:4.0f} s: {self._load.placed} orders "
                f"placed, {self._load.done} done, {self._breaker.kills} kills"
            )
