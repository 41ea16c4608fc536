"""The sandbox gateway as a part of the stack."""

import sys
from pathlib import Path

from app.embedded.credentials import Credentials
from app.embedded.part import Part, answers, inherited_environment
from app.embedded.ports import HOST


class SandboxPart(Part):
    """The Stripe stand-in with its ledger in `folder`/sandbox.db.

    It delivers its events to `webhook_url`.
    """

    name = "sandbox"
    title = "Sandbox gateway"

    def __init__(self, folder: Path, port: int, credentials: Credentials, webhook_url: str) -> None:
        self._database = folder.absolute() / "sandbox.db"
        self._credentials = credentials
        self._webhook_url = webhook_url
        self.port = port

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "sandbox"]

    def environment(self) -> dict[str, str]:
        return {
            **inherited_environment(),
            "SANDBOX_HOST": HOST,
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_PUBLIC_URL": self.url,
            "SANDBOX_DATABASE": str(self._database),
            "SANDBOX_SECRET_KEY": self._credentials.stripe_api_key,
            "SANDBOX_WEBHOOK_URL": self._webhook_url,
            "SANDBOX_WEBHOOK_SECRET": self._credentials.stripe_webhook_secret,
        }

    def doors(self) -> dict[int, str]:
        return {self.port: "the sandbox gateway"}

    async def ready(self) -> bool:
        return await answers(f"{self.url}/healthz") is not None
