"""Named moments at which a worker dies on purpose: armed for one order, each fired once.

A point is `activity:moment`, and `activity:moment:2` where the activity reaches that moment again:

    before_call, during_call, after_call   its call to the outside: the gateway, the mail server,
                                           the warehouse's tables, a signal to a workflow. During:
                                           it was done there, and its answer never arrives; or our
                                           own tables are written and not yet committed
    before_write, after_write              its write to the records
    before_answer                          all is done, and Temporal has not been told

`record_facts` stands for each thing that a workflow tells, so it is named with it:
`record_facts.fulfilled`.
"""

import asyncio
import os
import signal
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

_HOLDING_LOOK_SECONDS = 0.05


class CrashPoints:
    """What is armed, held and fired, as files: they outlive the processes that die of them."""

    def __init__(self, folder: Path) -> None:
        self._armed, self._fired, self._held = (folder / n for n in ("armed", "fired", "held"))
        for made in (self._armed, self._fired, self._held):
            made.mkdir(parents=True, exist_ok=True)

    def arm(self, order_id: str, point: str) -> None:
        """The next worker to reach `point` for that order dies there."""
        (self._armed / f"{order_id} {point}").touch()

    def is_armed(self, order_id: str, activity: str) -> bool:
        """Whether somebody is still to die in that activity."""
        return any(self._armed.glob(f"{order_id} {activity}:*"))

    def has_fired(self, order_id: str, point: str) -> bool:
        """Whether a worker died there."""
        return (self._fired / f"{order_id} {point}").exists()

    def die_if_armed(self, order_id: str, point: str) -> None:
        """kill -9 to this process, if it is the one to take the order: a file is renamed once."""
        name = f"{order_id} {point}"
        try:
            (self._armed / name).rename(self._fired / name)
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def hold(self, order_id: str, point: str) -> None:
        """Whoever reaches `point` for that order waits there until it is let go."""
        (self._held / f"{order_id} {point}").touch()

    def let_go(self, order_id: str, point: str) -> None:
        """Let them go on."""
        (self._held / f"{order_id} {point}").unlink()

    async def wait_if_held(self, order_id: str, point: str) -> None:
        """Wait while `point` is held."""
        while (self._held / f"{order_id} {point}").exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(_HOLDING_LOOK_SECONDS)


@dataclass
class _Doing:
    """What an activity is doing for one order. One that has many orders to see to does so in
    `parts`, of which it knows no order itself."""

    activity: str
    order_id: str | None
    reached: Counter[str] = field(default_factory=Counter)
    parts: list["_Doing"] = field(default_factory=list)

    def point(self, moment: str) -> str:
        self.reached[moment] += 1
        times = self.reached[moment]
        return f"{self.activity}:{moment}" + (f":{times}" if times > 1 else "")


_doing: ContextVar[_Doing | None] = ContextVar("doing", default=None)
_whole: ContextVar[_Doing | None] = ContextVar("whole", default=None)


class Boundaries(Interceptor, ClientInterceptor):
    """Follows the activities of one worker from moment to moment."""

    def __init__(self, points: CrashPoints) -> None:
        self.points = points
        self._calling: tuple[_Doing, str] | None = None

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """For Temporal."""
        return _Activity(next, self)

    def reached(self, moment: str) -> None:
        """The activity that is under way here has come to `moment`."""
        doing = _doing.get()
        for each in [doing, *doing.parts] if doing is not None else []:
            if each.order_id is not None:
                self.points.die_if_armed(each.order_id, each.point(moment))

    def is_about(self, order_id: str | None) -> None:
        """The task of the activity that is under way here turns to this order."""
        whole = _whole.get()
        if whole is not None:
            part = _Doing(whole.activity, order_id)
            whole.parts.append(part)
            _doing.set(part)

    def calls_gateway(self, method: str | None) -> None:
        """The activity begins a call to the gateway; with None it has ended. A worker of this kind
        does one activity at a time, so it is known whose answer comes."""
        doing = _doing.get()
        self._calling = (doing, method) if doing is not None and method is not None else None

    def gateway_answers(self, http_method: str) -> None:
        """The gateway has done something, and says so. A look before the deed is not the deed."""
        if self._calling is None:
            return
        doing, method = self._calling
        if doing.order_id is None or (http_method != "POST" and not method.startswith("look_up")):
            return
        self._calling = None
        self.points.die_if_armed(doing.order_id, doing.point("during_call"))


class _Activity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, boundaries: Boundaries) -> None:  # noqa: A002 - the SDK's name
        super().__init__(next)
        self._boundaries = boundaries

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        """Do it, and die before the answer if that is wanted."""
        doing = _Doing(*_named(input))
        _doing.set(doing)
        _whole.set(doing)
        answer = await super().execute_activity(input)
        self._boundaries.reached("before_answer")
        if doing.order_id is not None:
            point = f"{doing.activity}:before_answer"
            await self._boundaries.points.wait_if_held(doing.order_id, point)
        return answer


def _named(begun: ExecuteActivityInput) -> tuple[str, str | None]:
    name = activity.info().activity_type
    ask = begun.args[0] if begun.args else None
    if name == "record_facts" and ask is not None and ask.facts:
        name = f"{name}.{ask.facts[-1].event}"
    return name, getattr(ask, "order_id", None)
