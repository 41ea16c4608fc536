"""Ways in which the gateway fails. The sandbox carries them out, and its own count is believed."""

import asyncio
from abc import abstractmethod

from chaos.faults import Fault
from chaos.gateway import Json
from chaos.plan import Disturbance

CLOCK_JUMP_SECONDS = 600
FORGERIES = ("wrong", "none", "stale")
HANG_SECONDS = 5  # longer than is waited for the gateway
_AGAIN_SECONDS = 0.5


class Ordered(Fault):
    """A number of calls that are to go wrong. A kill makes the sandbox forget what it was ordered
    to do, so what is missing has to be ordered again."""

    unit = "call"
    mode = "before"
    outcomes: tuple[str, ...] = ()
    counted = "calls"

    def size(self, planned: Disturbance) -> int:
        return int(planned.dose)

    def seconds(self, planned: Disturbance) -> float:
        return 0

    async def begin(self, planned: Disturbance) -> None:
        await self.order(planned.target, int(planned.dose))

    async def end(self, planned: Disturbance) -> None:
        pass

    @abstractmethod
    async def order(self, how: str, calls: int) -> None:
        """Have so many calls go wrong, one of `outcomes` being how."""

    async def keep_up(self) -> None:
        """Order what was planned up to now and neither happened nor is to come."""
        async with self._turn:
            told = await self._scene.gateway.faults()
            if (missing := self.dose.planned - self._happened_or_to_come(told)) > 0:
                await self.order(self.outcomes[0], missing)

    def count(self, told: Json) -> None:
        """Believe the sandbox."""
        for met in self._mine(told):
            self.dose.given += met[self.counted]
            self.dose.saw(f"{met['method']} {met['outcome']}", met[self.counted])
            self.dose.saw("where no money moved", met["calls"] - met[self.counted])

    def _happened_or_to_come(self, told: Json) -> int:
        to_come: int = sum(
            fault["times"]
            for fault in told["faults"]
            if self._is_mine(fault["mode"], str(fault["action"] or fault["status"]))
        )
        happened: int = sum(met[self.counted] for met in self._mine(told))
        return happened + to_come

    def _mine(self, told: Json) -> list[Json]:
        return [met for met in told["met"] if self._is_mine(met["mode"], met["outcome"])]

    def _is_mine(self, mode: str, outcome: str) -> bool:
        return mode == self.mode and outcome in self.outcomes


class LateTimeOut(Ordered):
    """The gateway does what it was asked and does not say so. A call counts where it had just moved
    money."""

    unit = "time-out"
    mode = "after"
    outcomes = ("drop", "hang")
    counted = "moved"

    async def order(self, how: str, calls: int) -> None:
        await self._scene.gateway.fail_after_work(calls, action=how, seconds=HANG_SECONDS)


class LateError(Ordered):
    """The gateway does what it was asked, answers 500, and remembers that answer for the key."""

    mode = "after"
    outcomes = ("500",)
    counted = "moved"

    async def order(self, how: str, calls: int) -> None:
        await self._scene.gateway.fail_after_work(calls, status=int(how))


class Storm5xx(Ordered):
    """The gateway does nothing for a while, and says so with 5xx."""

    outcomes: tuple[str, ...] = ("503", "500")

    async def order(self, how: str, calls: int) -> None:
        await self._scene.gateway.storm(int(how), calls)


class Storm429(Storm5xx):
    """The gateway has had enough of us for a while."""

    outcomes = ("429",)


class Forged(Fault):
    """Somebody else says that an order was paid."""

    unit = "callback"

    def size(self, planned: Disturbance) -> int:
        return len(FORGERIES)

    def seconds(self, planned: Disturbance) -> float:
        return 0

    async def begin(self, planned: Disturbance) -> None:
        for signed in FORGERIES:
            status = await self._forge(planned.target, signed)
            self.dose.given += 1
            self.dose.saw("refused" if status == 400 else f"answered {status}")
            if status < 300:
                self._scene.surprised(f"a callback about {planned.target}, signed {signed}, taken")

    async def end(self, planned: Disturbance) -> None:
        pass

    async def _forge(self, order_id: str, signed: str) -> int:
        """What was answered, once somebody was there to answer."""
        while True:
            status = await self._scene.gateway.forge(order_id, signed)
            if status is not None:
                return status
            await asyncio.sleep(_AGAIN_SECONDS)


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
