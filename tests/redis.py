"""A real Redis, where there is one on this machine."""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from typing import Self

from app.embedded.ports import HOST, free_port


class Redis:
    """A server in `folder`, from the beginning to the end of a block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: Process | None = None
        self.url = f"redis://{HOST}:{self._port}/0"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Have it running; it remembers nothing."""
        options = {
            "port": self._port,
            "bind": HOST,
            "dir": self._folder,
            "save": "",
            "daemonize": "no",
        }
        told = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = await asyncio.create_subprocess_exec("redis-server", *told, stdout=DEVNULL)
        async with asyncio.timeout(30):
            while not await self._answers():  # noqa: ASYNC110 - it sets no event for us
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, self._port)
            writer.close()
            return True
        return False
