"""Ways to break things: each begins, lasts, ends, and counts what it did. Here those that are
between the parts and in the database."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from chaos.doses import Dose
from chaos.gateway import GatewayControl
from chaos.plan import Disturbance, What
from chaos.proxy import Weather
from chaos.stack import ChaosStack

LOG_FILES = 8


@dataclass(frozen=True)
class Scene:
    """What there is to break, and whom to tell what must not come of it."""

    stack: ChaosStack
    gateway: GatewayControl
    surprised: Callable[[str], None]


class Fault(ABC):
    """One kind. `dose` adds up over all times it is called on."""

    unit = "time"

    def __init__(self, what: What, scene: Scene) -> None:
        self.dose = Dose(what, self.unit)
        self._scene = scene
        self._turn = asyncio.Lock()

    async def strike(self, planned: Disturbance) -> None:
        """Do all of it; everything is as it was when this returns."""
        async with self.turn(planned):
            self.dose.planned += self.size(planned)
            await self.begin(planned)
            try:
                await asyncio.sleep(self.seconds(planned))
            finally:
                await self.end(planned)

    def size(self, planned: Disturbance) -> int:
        """How many of its units were planned."""
        return 1

    def turn(self, planned: Disturbance) -> asyncio.Lock:
        """What must not be broken twice at once."""
        return self._turn

    def seconds(self, planned: Disturbance) -> float:
        """How long it lasts."""
        return planned.dose

    @abstractmethod
    async def begin(self, planned: Disturbance) -> None:
        """Break it."""

    @abstractmethod
    async def end(self, planned: Disturbance) -> None:
        """Mend it."""


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

    def turn(self, planned: Disturbance) -> asyncio.Lock:
        return self._scene.stack.doors[planned.target].turn

    async def begin(self, planned: Disturbance) -> None:
        self.dose.given += 1
        await self._scene.stack.doors[planned.target].set_weather(self._weather)

    async def end(self, planned: Disturbance) -> None:
        door = self._scene.stack.doors[planned.target]
        await door.set_weather(Weather.FAIR)
        self.dose.saw(_HURT[self._weather], door.hurt)
        door.hurt = 0


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
