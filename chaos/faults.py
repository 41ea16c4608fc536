"""The ways to break things, besides kill -9: each begins, lasts, ends, and counts what it did."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from chaos.doses import Dose
from chaos.gateway import GatewayControl
from chaos.plan import Disturbance, What
from chaos.proxy import Weather
from chaos.stack import ChaosStack

CLOCK_JUMP_SECONDS = 600
FORGERIES = ("wrong", "none", "stale")
LOG_FILES = 8
TIME_OUTS = ("hang", "drop")
HANG_SECONDS = 5  # longer than is waited for the gateway


@dataclass(frozen=True)
class Scene:
    """What there is to break."""

    stack: ChaosStack
    gateway: GatewayControl


class Fault(ABC):
    """One kind. `dose` adds up over all times it is called on."""

    unit = "time"

    def __init__(self, what: What, scene: Scene) -> None:
        self.dose = Dose(what, self.unit)
        self._scene = scene
        self._one_at_a_time = asyncio.Lock()

    async def strike(self, planned: Disturbance) -> None:
        """Do all of it; everything is as it was when this returns."""
        self.dose.planned += self.size(planned)
        async with self._one_at_a_time:
            await self.begin(planned)
            try:
                await asyncio.sleep(self.seconds(planned))
            finally:
                await self.end(planned)

    def size(self, planned: Disturbance) -> int:
        """How many of its units were planned."""
        return 1

    def seconds(self, planned: Disturbance) -> float:
        """How long it lasts."""
        return planned.dose

    @abstractmethod
    async def begin(self, planned: Disturbance) -> None:
        """Break it."""

    @abstractmethod
    async def end(self, planned: Disturbance) -> None:
        """Mend it."""


class _AtTheGateway(Fault):
    """Ordered of the sandbox, which carries it out by itself and counts it."""

    unit = "call"

    def size(self, planned: Disturbance) -> int:
        return int(planned.dose)

    def seconds(self, planned: Disturbance) -> float:
        return 0

    async def end(self, planned: Disturbance) -> None:
        pass


class LateTimeOut(_AtTheGateway):
    """The gateway does what it was asked and does not say so. A kill makes it forget what it was
    ordered to do, so `keep_up` orders again what is missing."""

    unit = "time-out"

    async def begin(self, planned: Disturbance) -> None:
        await self._scene.gateway.fail_after_work(
            int(planned.dose), action=planned.target, seconds=HANG_SECONDS
        )

    async def keep_up(self) -> None:
        """Order what was planned up to now and neither happened nor is to come."""
        told = await self._scene.gateway.faults()
        to_come = sum(fault["times"] for fault in told["faults"] if fault["action"])
        happened = sum(met["worked"] for met in told["met"] if met["outcome"] in TIME_OUTS)
        if (missing := self.dose.planned - happened - to_come) > 0:
            await self._scene.gateway.fail_after_work(missing, action="drop")


class LateError(_AtTheGateway):
    """The gateway does what it was asked, answers 5xx, and remembers that answer for the key."""

    async def begin(self, planned: Disturbance) -> None:
        await self._scene.gateway.fail_after_work(int(planned.dose), status=int(planned.target))


class Storm(_AtTheGateway):
    """Calls are refused for a while: 5xx, or 429."""

    async def begin(self, planned: Disturbance) -> None:
        await self._scene.gateway.storm(int(planned.target), int(planned.dose))


class Forged(_AtTheGateway):
    """Somebody else says that an order was paid."""

    unit = "callback"

    async def begin(self, planned: Disturbance) -> None:
        for signed in FORGERIES:
            status = await self._scene.gateway.forge(planned.target, signed)
            self.dose.given += 1
            if status is None:
                self.dose.saw("unanswered")
            elif status < 300:
                self.dose.saw("TAKEN")
            else:
                self.dose.saw("refused" if status == 400 else f"answered {status}")


_HURT = {
    Weather.CUT: "connections reset",
    Weather.STALL: "connections stalled",
    Weather.SLOW: "messages late",
}


class Partition(Fault):
    """Two parts cannot talk, or only slowly."""

    def __init__(self, what: What, scene: Scene) -> None:
        super().__init__(what, scene)
        self._weather = {What.CUT: Weather.CUT, What.STALL: Weather.STALL}.get(what, Weather.SLOW)

    async def begin(self, planned: Disturbance) -> None:
        self.dose.given += 1
        await self._scene.stack.doors[planned.target].set_weather(self._weather)

    async def end(self, planned: Disturbance) -> None:
        door = self._scene.stack.doors[planned.target]
        await door.set_weather(Weather.FAIR)
        self.dose.saw(_HURT[self._weather], door.hurt)
        door.hurt = 0


class ClockJump(Fault):
    """The gateway's clock goes ahead for good, or is behind for a while; meanwhile its signatures
    are dated more wrongly than the five minutes that we allow."""

    async def begin(self, planned: Disturbance) -> None:
        self.dose.given += 1
        if planned.target == "ahead":
            await self._scene.gateway.order("clock", advance_seconds=CLOCK_JUMP_SECONDS)
        skew = CLOCK_JUMP_SECONDS if planned.target == "ahead" else -CLOCK_JUMP_SECONDS
        await self._scene.gateway.order("clock", skew_seconds=skew)
        self.dose.saw(planned.target)

    async def end(self, planned: Disturbance) -> None:
        await self._scene.gateway.order("clock", skew_seconds=0)


class FullDisk(Fault):
    """Not one block is left where the database keeps its files."""

    async def begin(self, planned: Disturbance) -> None:
        disk = self._scene.stack.disk
        self.dose.not_done = disk.why_not
        if disk.why_not is None:
            self.dose.given += 1
            self.dose.saw("MB filled", await asyncio.to_thread(disk.fill) // 2**20)
            with suppress(psycopg.Error):
                await self._ask_for_room()

    async def end(self, planned: Disturbance) -> None:
        self._scene.stack.disk.empty()

    async def _ask_for_room(self) -> None:
        """Have the database begin new log files, which it would do sooner or later by itself."""
        async with await psycopg.AsyncConnection.connect(
            self._scene.stack.database, connect_timeout=3, autocommit=True
        ) as database:
            for _ in range(LOG_FILES):
                await database.execute("SELECT pg_logical_emit_message(false, 'chaos', 'full')")
                await database.execute("SELECT pg_switch_wal()")


class NoConnections(Fault):
    """Somebody else holds every connection that the database gives out."""

    def __init__(self, what: What, scene: Scene) -> None:
        super().__init__(what, scene)
        self._held: list[psycopg.AsyncConnection] = []

    async def begin(self, planned: Disturbance) -> None:
        self.dose.given += 1
        await self._grab()
        # What API and worker hold already is let go, and grabbed before they ask again.
        for pair in ("api-postgres", "worker-postgres"):
            await self._scene.stack.doors[pair].hang_up()
        await self._grab()
        self.dose.saw("connections taken", len(self._held))

    async def end(self, planned: Disturbance) -> None:
        for connection in self._held:
            await connection.close()
        self._held.clear()

    async def _grab(self) -> None:
        url = self._scene.stack.database
        while True:
            try:
                self._held.append(
                    await psycopg.AsyncConnection.connect(url, connect_timeout=3, autocommit=True)
                )
            except psycopg.OperationalError:
                return


KINDS: dict[What, type[Fault]] = {
    What.LATE_TIME_OUT: LateTimeOut,
    What.LATE_5XX: LateError,
    What.STORM_5XX: Storm,
    What.STORM_429: Storm,
    What.FORGED: Forged,
    What.CUT: Partition,
    What.STALL: Partition,
    What.SLOW: Partition,
    What.CLOCK: ClockJump,
    What.DISK: FullDisk,
    What.CONNECTIONS: NoConnections,
}
