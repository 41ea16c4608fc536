"""What the supervisor needs to know about a part of the stack."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import httpx

ROOT = Path(__file__).resolve().parents[2]

# Not handed down: the stack decides these itself, and nothing in it talks beyond this machine.
_WITHHELD_PREFIXES = (
    "ACCEPT_RAW_CARDS",
    "ALL_PROXY",
    "API_",
    "CALLBACK_SECRET",
    "CODEC_",
    "DATABASE_",
    "EMBEDDED",
    "ENCRYPTION_KEYS",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "PG",
    "SMTP_",
    "STRIPE_",
    "TASK_QUEUE",
    "TEMPORAL_",
)


def inherited_environment() -> dict[str, str]:
    """The user's environment, tuning settings included, without what the stack decides itself."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_WITHHELD_PREFIXES)
    }
    return {**kept, "PYTHONUNBUFFERED": "1"}


class Program(ABC):
    """How to run one process."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    # What the kernel sends when the supervisor itself was killed.
    orphan_signal: ClassVar[signal.Signals] = signal.SIGKILL
    start_seconds: ClassVar[float] = 60
    stop_seconds: ClassVar[float] = 10

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments. Raises StackError when the program is missing."""

    def environment(self) -> Mapping[str, str]:
        return inherited_environment()


class Part(Program):
    """A process that stays: how to tell that it serves, and where."""

    def doors(self) -> dict[int, str]:
        """The ports it listens on, each with a name for people."""
        return {}

    @abstractmethod
    async def ready(self) -> bool:
        """Whether it serves."""


async def answers(url: str) -> httpx.Response | None:
    """The successful answer to a GET, or None while there is none."""
    # A proxy set for the outside world is not for 127.0.0.1, and there is no certificate to check:
    # loading the trusted ones would cost more than the question.
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501 - this machine only  # nosec B501
        try:
            response = await client.get(url)
        except httpx.TransportError:
            return None
    return response if response.is_success else None
