"""All parts put together: who talks to whom, and in which order they start."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

from temporalio.client import Client

from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.embedded.credentials import Credentials
from app.embedded.folder import claimed
from app.embedded.mail import MailPart
from app.embedded.part import Part, inherited_environment
from app.embedded.ports import HOST, Ports, require_free
from app.embedded.postgres import PostgresPart
from app.embedded.sandbox import SandboxPart
from app.embedded.services import ApiPart, CodecPart, Migrations, SampleStock, WorkerPart
from app.embedded.supervisor import Supervisor
from app.embedded.temporal import TemporalPart
from app.keyring import Keyring
from app.temporal.codec import encrypting

LEFTOVER_SECONDS = 10.0


class Stack:
    """The whole of Tillflow in one folder. Use it as an async context manager.

    Entering it claims folder and ports, `start` starts everything, leaving it stops everything.
    """

    def __init__(self, folder: Path, ports: Ports, report: Callable[[str], None]) -> None:
        self.folder = folder.absolute()
        self.ports = ports
        self.supervisor = Supervisor(self.folder, report)
        self.api_url = f"http://{HOST}:{ports.api}"
        self.codec_url = f"http://{HOST}:{ports.codec}"
        self._exit = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as entered:
            predecessor_killed = entered.enter_context(claimed(self.folder))
            self._assemble(Credentials.kept_in(self.folder))
            await require_free(
                {port: name for part in self._parts() for port, name in part.doors().items()},
                patience=LEFTOVER_SECONDS if predecessor_killed else 0,
            )
            await entered.enter_async_context(self.supervisor)
            self._exit = entered.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def start(self) -> None:
        """Start every part; all of them serve when this returns."""
        await self.supervisor.start(self.postgres, self.temporal, self.sandbox, self.mail)
        await self.supervisor.run(self._migrations)
        await self._put_development_key()
        await self.supervisor.run(self._sample_stock)
        await self.supervisor.start(self.api, self.worker, self.codec)

    async def temporal_client(self) -> Client:
        """A client that can read what API and worker tell Temporal."""
        converter = encrypting(self.keyring())
        return await Client.connect(self.temporal.address, data_converter=converter)

    def keyring(self) -> Keyring:
        """The stack's encryption keys."""
        return Keyring.parse(Credentials.kept_in(self.folder).encryption_keys)

    async def _put_development_key(self) -> None:
        engine = create_engine(self.postgres.service_url)
        try:
            await ApiKeys(engine, embedded=True).put_development_key()
        finally:
            await engine.dispose()

    def _assemble(self, credentials: Credentials) -> None:
        callback_url = f"{self.api_url}/api/payment/callback"
        self.postgres = PostgresPart(self.folder, self.ports.postgres)
        self.temporal = TemporalPart(
            self.folder, self.ports.temporal, self.ports.temporal_ui, codec_url=self.codec_url
        )
        self.sandbox = SandboxPart(self.folder, self.ports.sandbox, credentials, callback_url)
        self.mail = MailPart(self.folder, self.ports.smtp)
        environment = self._environment(credentials)
        self.api = ApiPart(self.api_url, self.ports.api, environment)
        self.worker = WorkerPart(self.api_url, environment)
        self.codec = CodecPart(self.codec_url, self.ports.codec, environment)
        self._migrations = Migrations({**environment, "DATABASE_OWNER_URL": self.postgres.url})
        self._sample_stock = SampleStock(environment)

    def _parts(self) -> list[Part]:
        servers = [self.postgres, self.temporal, self.sandbox, self.mail]
        return [*servers, self.api, self.worker, self.codec]

    def _environment(self, credentials: Credentials) -> dict[str, str]:
        """The settings of our own programs. What the user set for tuning stays as it is."""
        return {
            # One developer, with the sandbox's few cards, is all the shoppers.
            "DECLINES_PER_CARD": "1000/day",
            "DECLINES_PER_ADDRESS": "1000/day",
            "DECLINES_PER_KEY": "1000/day",
            **inherited_environment(),
            "EMBEDDED": "true",
            "ENCRYPTION_KEYS": credentials.encryption_keys,
            "DATABASE_URL": self.postgres.service_url,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "STRIPE_API_KEY": credentials.stripe_api_key,
            "STRIPE_API_BASE": self.sandbox.url,
            "STRIPE_WEBHOOK_SECRET": credentials.stripe_webhook_secret,
            "CALLBACK_SECRET": credentials.callback_secret,
            "API_HOST": HOST,
            "API_PORT": str(self.ports.api),
            "CODEC_HOST": HOST,
            "CODEC_PORT": str(self.ports.codec),
            "CODEC_UI_ORIGIN": self.temporal.ui_url,
            # The cards reach the sandbox only.
            "ACCEPT_RAW_CARDS": "true",
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(self.ports.smtp),
        }
