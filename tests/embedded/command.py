"""`tillflow run` as a user has it: a process of its own, with what it prints."""

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.embedded.ports import HOST
from tests.embedded.processes import until


class Run:
    """A running `tillflow run`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.output = ""
        self.errors = ""

    async def listen(self) -> None:
        """Collect what it prints, until it ends."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        while line := await self._process.stdout.readline():
            self.output += line.decode()
        self.errors = (await self._process.stderr.read()).decode()

    async def prints(self, text: str, seconds: float = 60) -> None:
        """Wait until it has printed something."""
        await until(lambda: text in self.output or self.ended, seconds)
        assert text in self.output, self.output + self.errors

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def exit_code(self, seconds: float = 120) -> int:
        async with asyncio.timeout(seconds):
            return await self._process.wait()


@asynccontextmanager
async def tillflow_run(
    folder: Path, base: int, *arguments: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Run]:
    """Start `tillflow run`; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "run", *arguments,
        env={
            **os.environ,
            "TILLFLOW_HOME": str(folder),
            "PORT_BASE": str(base),
            **(environment or {}),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    run = Run(process)
    listening = asyncio.create_task(run.listen())
    try:
        yield run
    finally:
        if not run.ended:
            process.send_signal(signal.SIGTERM)
        await run.exit_code()
        await listening


async def refused(folder: Path, base: int, environment: dict[str, str] | None = None) -> str:
    """The one line on stderr with which `tillflow run` ends at once."""
    async with tillflow_run(folder, base, environment=environment) as run:
        assert await run.exit_code() == 1
    assert run.errors.startswith("tillflow: ")
    assert run.errors.count("\n") == 1, run.errors
    return run.errors


# Below the range from which the system hands out ports; another process starts elsewhere.
_BASES = itertools.count(10_000 + os.getpid() % 500 * 40, 10)


def free_base() -> int:
    """A base whose seven ports are free; another one each time."""
    return next(base for base in _BASES if _is_free(base))


def _is_free(base: int) -> bool:
    for port in range(base, base + 7):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True
