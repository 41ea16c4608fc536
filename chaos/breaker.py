"""Breaks things as the plan says, and counts what was really done."""

import asyncio
import re
from pathlib import Path

from chaos.doses import Dose
from chaos.faults import Fault, FullDisk, NoConnections, Partition, Scene
from chaos.gateway_faults import (
    ClockJump,
    Forged,
    LateError,
    LateTimeOut,
    Ordered,
    Storm5xx,
    Storm429,
)
from chaos.load import Load
from chaos.plan import Disturbance, Kill, Plan, Story, What
from chaos.shopping import CROWD
from chaos.stack import PARTS

KEEP_UP_SECONDS = 2.0
KINDS: dict[What, type[Fault]] = {
    What.LATE_TIME_OUT: LateTimeOut,
    What.LATE_5XX: LateError,
    What.STORM_5XX: Storm5xx,
    What.STORM_429: Storm429,
    What.FORGED: Forged,
    What.CUT: Partition,
    What.STALL: Partition,
    What.SLOW: Partition,
    What.CLOCK: ClockJump,
    What.DISK: FullDisk,
    What.CONNECTIONS: NoConnections,
}
# What the parts themselves say of it: whose log, and which words.
_SAID = {
    What.CLOCK: ("api", "Stripe-Signature"),
    What.DISK: ("postgres", "No space left on device"),
    What.CONNECTIONS: ("postgres", "too many clients"),
}


class Breaker:
    """Follows the load: each thing breaks after so many orders."""

    def __init__(self, plan: Plan, scene: Scene) -> None:
        self._plan = plan
        self._scene = scene
        self._faults = {what: kind(what, scene) for what, kind in KINDS.items()}
        self._ordered = [each for each in self._faults.values() if isinstance(each, Ordered)]
        self._kills = {part: Dose(f"kill -9: {part}", "kill") for part in PARTS}

    async def run(self, load: Load) -> None:
        """Returns once everything planned was done and is mended again."""
        keeping_up = asyncio.create_task(self._keep_up())
        try:
            async with asyncio.TaskGroup() as blows:
                for kill in self._plan.kills:
                    blows.create_task(self._kill(kill, load))
                for disturbance in self._plan.disturbances:
                    blows.create_task(self._disturb(disturbance, load))
        finally:
            keeping_up.cancel()

    @property
    def kills(self) -> int:
        """How many there were."""
        return sum(dose.given for dose in self._kills.values())

    async def doses(self, load: Load) -> list[Dose]:
        """Everything that was done. Ask once, when all is at rest."""
        suffered = await self._scene.gateway.faults()
        for fault in self._ordered:
            fault.count(suffered)
        self._read_logs()
        told = await self._scene.gateway.deliveries()
        return [
            *self._kills.values(),
            *(fault.dose for fault in self._faults.values()),
            Dose("callbacks repeated", "delivery", given=told["repeated"]),
            Dose("callbacks shuffled", "delivery", given=told["accepted"].get("shuffle", 0)),
            Dose("callbacks delayed", "delivery", given=told["accepted"].get("delay", 0)),
            Dose("callbacks dropped", "delivery", given=told["dropped"]),
            Dose("payments with every callback lost", "payment", given=told["silent_orders"]),
            self._crowds(load),
        ]

    async def _kill(self, kill: Kill, load: Load) -> None:
        await load.until_placed(kill.after)
        now = asyncio.get_running_loop().time
        dose = self._kills[kill.part]
        dose.planned += 1
        began = now()
        await self._scene.stack.strike(kill.part, kill.seconds)
        dose.given += 1
        dose.saw("ms down", round(1000 * (now() - began)))

    async def _disturb(self, disturbance: Disturbance, load: Load) -> None:
        await load.until_placed(disturbance.after)
        await self._faults[disturbance.what].strike(disturbance)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(KEEP_UP_SECONDS)
            for fault in self._ordered:
                await fault.keep_up()

    def _crowds(self, load: Load) -> Dose:
        crowds = [order for order in self._plan.orders if order.story is Story.CROWD]
        came = sum(load.was_placed(order) for order in crowds)
        return Dose(Story.CROWD, "payment", len(crowds), came, {"requests": came * CROWD})

    def _read_logs(self) -> None:
        for what, (part, words) in _SAID.items():
            log = self._scene.stack.supervisor.log(part)
            self._faults[what].dose.saw(f"{words!r} in the log", _count(log, words))


def _count(log: Path, words: str) -> int:
    return len(re.findall(re.escape(words), log.read_text(errors="replace")))
