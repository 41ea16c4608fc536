"""One child process: started apart from our terminal, logged to a file, stopped for certain."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from app.embedded.errors import StackError
from app.embedded.part import ROOT, Program

LOG_LIMIT_BYTES = 10 * 1024 * 1024
_PR_SET_PDEATHSIG = 1


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A function that ties the calling process's life to its parent's (on Linux).

    It has to run after any change of user, since that clears the tie. The kernel watches the
    parent's *thread*: only the main thread may start children.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up now: little may run after a fork

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, death_signal)

    return tie


def rotate(log: Path) -> None:
    """Put a log that has grown too long aside, in place of the one put aside before."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-count:])


def describe(exit_code: int) -> str:
    """How a process ended, for people."""
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


class Child:
    """A running process of a program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self._program = program
        self._process = process

    @classmethod
    async def start(cls, program: Program, log: Path) -> "Child":
        supervisor = os.getpid()
        tie = die_with_parent(program.orphan_signal)

        def before_exec() -> None:
            tie()
            if os.getppid() != supervisor:  # it died before the tie was made
                os._exit(1)

        command = program.command()
        try:
            with log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env=program.environment(),
                    cwd=ROOT,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Its own session: Ctrl-C reaches the supervisor only, which decides the order.
                    start_new_session=True,
                    umask=0o077,
                    preexec_fn=before_exec,
                )
        except OSError as error:
            raise StackError(f"{program.title} cannot be started: {error}") from error
        return cls(program, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def wait(self) -> int:
        """Wait until it has ended; its exit code, or minus the signal that ended it."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and make it end when it takes too long."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self._program.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._program.stop_seconds):
                    await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it, and whatever it started in its session, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
