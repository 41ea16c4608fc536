"""Breaks things as the plan says, and counts what was really done."""

import asyncio
import re
from pathlib import Path
from typing import cast

from chaos.doses import Dose
from chaos.faults import KINDS, TIME_OUTS, LateTimeOut, Scene
from chaos.gateway import Json
from chaos.load import Load
from chaos.plan import Disturbance, Kill, Plan, Story, What
from chaos.shopping import CROWD
from chaos.stack import PARTS

KEEP_UP_SECONDS = 2.0


class Breaker:
    """Follows the load: each thing breaks after so many orders."""

    def __init__(self, plan: Plan, scene: Scene) -> None:
        self._plan = plan
        self._scene = scene
        self._faults = {what: kind(what, scene) for what, kind in KINDS.items()}
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

    async def doses(self) -> list[Dose]:
        """Everything that was done. Ask once all is at rest."""
        gateway = self._scene.gateway
        met, told = (await gateway.faults())["met"], await gateway.deliveries()
        for row in met:
            self._note_gateway(row)
        self._read_logs()
        return [
            *self._kills.values(),
            *(fault.dose for fault in self._faults.values()),
            Dose("callbacks repeated", "delivery", given=told["repeated"]),
            Dose("callbacks shuffled", "delivery", given=told["accepted"].get("shuffle", 0)),
            Dose("callbacks delayed", "delivery", given=told["accepted"].get("delay", 0)),
            Dose("callbacks dropped", "delivery", given=told["dropped"]),
            Dose("payments with every callback lost", "payment", given=told["silent_orders"]),
            self._crowds(),
        ]

    def _note_gateway(self, row: Json) -> None:
        """Calls that suffered the same, by the gateway's own count. A call that was answered late
        counts where it had just moved money."""
        outcome, calls = row["outcome"], row["calls"]
        if row["mode"] == "after":
            late = What.LATE_TIME_OUT if outcome in TIME_OUTS else What.LATE_5XX
            dose = self._faults[late].dose
            dose.given += row["worked"]
            dose.saw(f"{outcome} after the work", row["worked"])
            dose.saw(f"{outcome} where nothing was done", calls - row["worked"])
        else:
            storm = What.STORM_429 if outcome == "429" else What.STORM_5XX
            self._faults[storm].dose.given += calls
            self._faults[storm].dose.saw(f"{row['method']} answered {outcome}", calls)

    async def _kill(self, kill: Kill, load: Load) -> None:
        await load.until_placed(kill.after)
        dose = self._kills[kill.part]
        dose.planned += 1
        began = asyncio.get_running_loop().time()
        await self._scene.stack.strike(kill.part, kill.seconds)
        dose.given += 1
        dose.saw("ms down", round(1000 * (asyncio.get_running_loop().time() - began)))

    async def _disturb(self, disturbance: Disturbance, load: Load) -> None:
        await load.until_placed(disturbance.after)
        await self._faults[disturbance.what].strike(disturbance)

    async def _keep_up(self) -> None:
        late = cast("LateTimeOut", self._faults[What.LATE_TIME_OUT])
        while True:
            await asyncio.sleep(KEEP_UP_SECONDS)
            await late.keep_up()

    def _crowds(self) -> Dose:
        crowds = sum(order.story is Story.CROWD for order in self._plan.orders)
        dose = Dose(Story.CROWD, "payment", crowds, crowds)
        dose.saw("requests", crowds * CROWD)
        return dose

    def _read_logs(self) -> None:
        """What the parts themselves said of it."""
        logs = self._scene.stack.supervisor.logs
        said = {
            What.CLOCK: ("api", "Stripe-Signature"),
            What.DISK: ("postgres", "No space left on device"),
            What.CONNECTIONS: ("postgres", "too many clients"),
        }
        for what, (part, words) in said.items():
            dose = self._faults[what].dose
            dose.saw(f"{words!r} in the log", _count(logs / f"{part}.log", words))


def _count(log: Path, words: str) -> int:
    return len(re.findall(re.escape(words), log.read_text(errors="replace")))
