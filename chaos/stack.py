"""Tillflow's real processes, with doors between them, and a database whose disk can be full."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from app.embedded.credentials import Credentials
from app.embedded.errors import StackError
from app.embedded.part import answers
from app.embedded.ports import HOST, Ports, free_ports
from app.embedded.postgres import PostgresPart
from app.embedded.sandbox import SandboxPart
from app.embedded.services import ApiPart, WorkerPart
from app.embedded.stack import Stack
from chaos.disk import SmallDisk
from chaos.proxy import Proxy, Weather
from chaos.unlimited import UNLIMITED

PARTS = ("api", "worker", "temporal", "postgres", "sandbox")
PAIRS = (
    "api-postgres",
    "api-temporal",
    "api-sandbox",
    "worker-postgres",
    "worker-temporal",
    "worker-sandbox",
    "sandbox-api",
)
READY_SECONDS = 60.0

# Waits that are minutes in a shop and would only make a run long; what is waited for stays.
TUNING = {
    "CALLBACK_GRACE_SECONDS": "2",
    "CHECKOUT_EXPIRY_SECONDS": "60",
    "GATEWAY_TIMEOUT_SECONDS": "3",
    "INITIATE_WAIT_SECONDS": "4",
    **UNLIMITED,
}


class _Worker(WorkerPart):
    async def ready(self) -> bool:
        """It has no door, and who could tell of it may be down itself: its work tells."""
        return True


class ChaosStack(Stack):
    """A stack whose API, worker and sandbox reach the others through `doors`, by name."""

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        ports = free_ports(7 + len(PAIRS))
        super().__init__(folder, Ports(*ports[:7]), report)
        self.doors = {
            pair: Proxy(port, self._port(pair.split("-")[1]))
            for pair, port in zip(PAIRS, ports[7:], strict=True)
        }
        self.disk = SmallDisk(self.folder / "disk")
        self._striking = {part: asyncio.Lock() for part in PARTS}

    async def start(self) -> None:
        """Start every part and every door; all of them serve when this returns."""
        self._exit.push_async_callback(self._shut_doors)
        for door in self.doors.values():
            await door.open()
        await super().start()
        async with asyncio.timeout(READY_SECONDS):
            while await answers(f"{self.api_url}/readyz") is None:  # noqa: ASYNC110 - it cannot tell
                await asyncio.sleep(0.1)

    async def __aenter__(self) -> Self:
        self.disk.mount()
        return await super().__aenter__()

    async def __aexit__(self, *about: object) -> None:
        await super().__aexit__(*about)
        self.disk.unmount()

    async def strike(self, part: str, seconds: float) -> None:
        """kill -9; `seconds` later it is started again, until it serves."""
        async with self._striking[part]:
            doors = [door for pair, door in self.doors.items() if pair.endswith(f"-{part}")]
            await asyncio.gather(*(door.close() for door in doors))
            await self.supervisor.kill(part)
            await asyncio.sleep(seconds)
            while True:
                with contextlib.suppress(StackError):
                    await self.supervisor.revive(part)
                    break
                await asyncio.sleep(0.5)
            await asyncio.gather(*(door.open() for door in doors))

    @property
    def database(self) -> str:
        """The database's address as its own clients take it, past every door."""
        return self.postgres.url.replace("+psycopg", "")

    async def mend(self) -> None:
        """Have every part run and every door open, however they were left."""
        self.disk.empty()
        for door in self.doors.values():
            await door.set_weather(Weather.FAIR)
        for part in PARTS:
            await self.strike(part, 0)

    def _assemble(self, credentials: Credentials) -> None:
        super()._assemble(credentials)
        self.postgres = PostgresPart(self.disk.folder, self.ports.postgres)
        self.sandbox = SandboxPart(
            self.folder,
            self.ports.sandbox,
            credentials,
            f"http://{HOST}:{self.doors['sandbox-api'].port}/api/payment/callback",
        )
        for part in ("api", "worker"):
            environment = {
                **self._environment(credentials),
                **TUNING,
                "DATABASE_URL": self.postgres.service_url.replace(
                    f":{self.ports.postgres}/", f":{self.doors[f'{part}-postgres'].port}/"
                ),
                "TEMPORAL_ADDRESS": f"{HOST}:{self.doors[f'{part}-temporal'].port}",
                "STRIPE_API_BASE": f"http://{HOST}:{self.doors[f'{part}-sandbox'].port}",
            }
            if part == "api":
                self.api = ApiPart(self.api_url, self.ports.api, environment)
            else:
                self.worker = _Worker(self.api_url, environment)

    def _port(self, part: str) -> int:
        port: int = getattr(self.ports, part)
        return port

    async def _shut_doors(self) -> None:
        for door in self.doors.values():
            await door.close()
