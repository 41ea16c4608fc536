"""A crash at every boundary of the activities of eleven stories: the end is the same.

    python -m chaos.crashes --times 20

A worker of a test build dies at a named point, once for each order that is armed for it; see
`crash_points`. An order is armed for one point of each of its activities. It must end as one that
nobody disturbed: the same figures, the same facts, the same goods, and the same movements of money
at the gateway. Of mails there is one more where the worker died between sending and noting: a
receipt is sent at least once, always under the same Message-ID.
"""

import argparse
import asyncio
import os
import random
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from pathlib import Path

from app.embedded.ports import Ports
from app.embedded.services import ApiPart
from app.embedded.stack import Stack
from app.embedded.temporal import TemporalPart
from chaos.crash_ends import End, end_of
from chaos.crash_flows import FLOWS, Flow
from chaos.crash_scene import CrashingWorkers, Scene, staged
from chaos.unlimited import UNLIMITED

# Kept until the next run: its logs tell what happened.
FOLDER = Path(".tillflow/crashes").absolute()
WORKERS = 20
AT_ONCE = 80
PATIENCE_SECONDS = 900.0
UNDISTURBED = 3
MAILED_AGAIN = "send_receipt:during_call"  # between sending and noting


@dataclass(frozen=True)
class Plan:
    """One order: its story, and where workers are to die in it."""

    flow: Flow
    points: tuple[str, ...]


@dataclass(frozen=True)
class Played:
    """What became of it. `differences` are from the end that nobody disturbed."""

    plan: Plan
    order_id: str
    fired: tuple[str, ...]
    differences: list[str]
    charged_twice: bool


def every_point(times: int) -> list[Plan]:
    """Orders for all flows, so that each point is armed `times` times. Which points of different
    activities meet in one order is left to chance, but the same in every run."""
    chance = random.Random(4)  # noqa: S311 - nothing is secret here
    plans = []
    for flow in FLOWS:
        activities = [list(points) for _, points in groupby(flow.points, _activity)]
        for _ in range(times):
            for points in activities:
                chance.shuffle(points)
            plans += [Plan(flow, tuple(filter(None, row))) for row in zip_longest(*activities)]
    chance.shuffle(plans)
    return plans


async def play(scene: Scene, plans: Iterable[Plan]) -> list[Played]:
    """Play every flow undisturbed, then all `plans`."""
    played: list[Played] = []
    for unheard in (False, True):
        chosen = [plan for plan in plans if plan.flow.unheard is unheard]
        await scene.control("deliveries", mode="hold" if unheard else "deliver")
        try:
            played += await _play_together(scene, chosen)
        finally:
            await scene.control("deliveries", mode="deliver")
    return played


async def _play_together(scene: Scene, plans: Sequence[Plan]) -> list[Played]:
    room = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        flows = {plan.flow for plan in plans}
        ends = {flow: group.create_task(_undisturbed(scene, flow)) for flow in flows}
        played = [group.create_task(_crashed(scene, plan, ends[plan.flow], room)) for plan in plans]
    return [each.result() for each in played]


async def _undisturbed(scene: Scene, flow: Flow) -> End:
    """The end of a flow in which nobody dies. Raises RuntimeError where there are several."""

    async def once() -> End:
        order_id = _new_order()
        await flow.play(scene, order_id)
        return await end_of(scene, order_id)

    async with asyncio.timeout(PATIENCE_SECONDS):
        first, *others = await asyncio.gather(*(once() for _ in range(UNDISTURBED)))
    for end in others:
        if differences := end.differs_from(first):
            raise RuntimeError(f"{flow.name} ends differently by itself: {differences}")
    return first


async def _crashed(
    scene: Scene, plan: Plan, undisturbed: asyncio.Task[End], room: asyncio.Semaphore
) -> Played:
    order_id, end, differences = _new_order(), None, []
    async with room:
        for point in plan.points:
            scene.points.arm(order_id, point)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await plan.flow.play(scene, order_id)
                end = await end_of(scene, order_id)
        except Exception as error:
            differences.append(f"no end: {error!r}")
    expected = await undisturbed
    if MAILED_AGAIN in plan.points:
        expected = replace(expected, mails=expected.mails * 2)
    if end is not None:
        differences += end.differs_from(expected)
    fired = tuple(point for point in plan.points if scene.points.has_fired(order_id, point))
    differences += [f"nobody died at {point}" for point in plan.points if point not in fired]
    charged_twice = end is not None and end.captures > expected.captures
    return Played(plan, order_id, fired, differences, charged_twice)


def _activity(point: str) -> str:
    return point.partition(":")[0]


def _new_order() -> str:
    return f"crash-{secrets.token_hex(6)}"


@asynccontextmanager
async def stage(folder: Path, workers: int = WORKERS) -> AsyncIterator[Scene]:
    """A stack of its own in `folder`, with `workers` that crash, on a Temporal whose clock can be
    moved: a dispute is looked up after half a day."""
    async with Stack(folder / "stack", Ports.free(), _say) as stack:
        ports, worker = stack.ports, stack.worker
        stack.api = ApiPart(stack.api_url, ports.api, {**stack.api.environment(), **UNLIMITED})
        stack.temporal = TemporalPart(
            stack.folder, ports.temporal, ports.temporal_ui, time_skipping=True
        )
        stack.worker = CrashingWorkers(
            folder / "points", workers, stack.api_url, worker.environment()
        )
        await stack.start()
        async with staged(stack, folder / "points") as scene:
            yield scene


async def main(times: int) -> int:
    """Set the stack up, run it all, and print a table. The exit code."""
    began = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    async with stage(FOLDER) as scene:
        played = await play(scene, every_point(times))
        stock_is_right = await scene.stock_is_right()
    _say(f"it took {time.monotonic() - began:.0f} s")
    return _report(played, times, stock_is_right)


def _report(played: list[Played], times: int, stock_is_right: bool) -> int:
    missed = 0
    _say(f"{'story':<24} {'point':<36} crashes  same end")
    for flow in FLOWS:
        for point in flow.points:
            died = [each for each in played if each.plan.flow is flow and point in each.fired]
            same = sum(not each.differences for each in died)
            missed += len(died) < times
            _say(f"{flow.name:<24} {point:<36} {len(died):>7} {same:>9}")
    others = [each for each in played if each.differences]
    for each in others:
        _say(f"{each.order_id} ({each.plan.flow.name}; {', '.join(each.plan.points)})")
        for difference in each.differences:
            _say(f"    {difference}")
    if not stock_is_right:
        _say("the stock is not what was there less what is reserved")
    charged_twice = sum(each.charged_twice for each in played)
    _say(
        f"crashes: {sum(len(flow.points) for flow in FLOWS)} points, "
        f"{sum(len(each.fired) for each in played)} crashes: "
        f"{len(others)} other ends, {charged_twice} charged twice"
    )
    return 1 if missed or others or charged_twice or not stock_is_right else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="crashes at each point")
    code = asyncio.run(main(parser.parse_args().times))
    # Everything is closed. Temporal's own threads may still be about, and would keep us waiting.
    sys.stdout.flush()
    os._exit(code)
