"""Starts parts, waits until they serve, starts again what dies, stops all in reverse order."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from app.embedded.errors import StackError
from app.embedded.part import Part, Program
from app.embedded.process import Child, describe, last_lines, rotate

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
PROBE_SECONDS = 2.0


def _say_nothing(_line: str) -> None:
    pass


class Supervised:
    """A part, its current process, and the task that starts it again."""

    def __init__(self, part: Part, child: Child) -> None:
        self.part = part
        self.child = child
        self.watch: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps parts running. Use it as an async context manager: leaving it stops every part."""

    def __init__(self, folder: Path, report: Callable[[str], None] = _say_nothing) -> None:
        self.logs = folder / "logs"
        self._report = report
        self._running: dict[str, Supervised] = {}

    async def __aenter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> int:
        """The current process of a part."""
        return self._running[name].child.pid

    async def start(self, *parts: Part) -> None:
        """Start parts together and wait until each serves; from then on keep it running."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._start(part))
        except* StackError as errors:
            raise _first(errors) from None

    async def run(self, program: Program) -> None:
        """Run a program to its end. Raises StackError when it fails or takes too long."""
        log = self.log(program.name)
        rotate(log)
        began = asyncio.get_running_loop().time()
        child = await Child.start(program, log)
        try:
            async with asyncio.timeout(program.start_seconds):
                code = await child.wait()
        except TimeoutError:
            code = None
        finally:
            await child.kill()
        if code != 0:
            how = "took too long" if code is None else f"failed ({describe(code)})"
            raise StackError(f"{program.title} {how}; the end of {log}:", last_lines(log))
        self._report_ready(program, began)

    async def kill(self, name: str) -> None:
        """Kill a part the hard way and leave it down."""
        supervised = self._running[name]
        await _cancel(supervised.watch)
        await supervised.child.kill()

    async def end(self, name: str) -> int:
        """Ask a part to end and leave it down; its exit code, or minus the signal that killed
        it."""
        supervised = self._running[name]
        await _cancel(supervised.watch)
        await supervised.child.stop()
        return await supervised.child.wait()

    async def revive(self, name: str) -> None:
        """Start a killed part again."""
        await self._start(self._running[name].part)

    async def stop(self) -> None:
        """Stop every part, the last one started first."""
        while self._running:
            _, supervised = self._running.popitem()
            await _cancel(supervised.watch)
            await supervised.child.stop()

    async def _start(self, part: Part) -> None:
        log = self.log(part.name)
        rotate(log)
        began = asyncio.get_running_loop().time()
        supervised = Supervised(part, await Child.start(part, log))
        self._running[part.name] = supervised
        if not await self._becomes_ready(supervised):
            await supervised.child.stop()  # or it would stand in the way of the next one
            raise StackError(
                f"{part.title} did not become ready; the end of {log}:", last_lines(log)
            )
        self._report_ready(part, began)
        supervised.watch = asyncio.create_task(self._keep_running(supervised))

    def _report_ready(self, program: Program, began: float) -> None:
        took = asyncio.get_running_loop().time() - began
        self._report(f"{program.title} ready in {took:.1f} s")

    async def _becomes_ready(self, supervised: Supervised) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(supervised.part.start_seconds):
                while not supervised.child.ended:
                    if await _serves(supervised.part):
                        return True
                    await asyncio.sleep(0.05)
        return False

    async def _keep_running(self, supervised: Supervised) -> None:
        part = supervised.part
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY_SECONDS
        healthy_since = loop.time()
        while True:
            how = describe(await supervised.child.wait())
            if loop.time() - healthy_since >= HEALTHY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            self._report(f"{part.title} died ({how}); starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            try:
                supervised.child = await Child.start(part, self.log(part.name))
            except StackError as error:
                self._report(str(error))
                continue
            if await self._becomes_ready(supervised):
                self._report(f"{part.title} is back (process {supervised.child.pid})")
            elif not supervised.child.ended:
                self._report(f"{part.title} runs again but does not serve; see its log")
            healthy_since = loop.time()


async def _serves(part: Part) -> bool:
    """Ask once; a program that takes the question and says nothing does not serve."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await part.ready()
    except TimeoutError:
        return False


def _first(group: BaseExceptionGroup[StackError]) -> StackError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
