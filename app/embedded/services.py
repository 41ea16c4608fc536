"""Tillflow's own programs as parts of the stack."""

import sys
from collections.abc import Mapping

from app.embedded.part import ROOT, Part, Program, answers


def tillflow(*arguments: str) -> list[str]:
    """The command line of `tillflow …` in this Python."""
    return [sys.executable, "-m", "app.cli", *arguments]


class ApiPart(Part):
    """The HTTP API."""

    name = "api"
    title = "API"
    stop_seconds = 30  # longer than it lets running requests finish

    def __init__(self, url: str, port: int, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.url = url
        self.port = port

    def command(self) -> list[str]:
        return tillflow("api")

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def doors(self) -> dict[int, str]:
        return {self.port: "the API"}

    async def ready(self) -> bool:
        return await answers(f"{self.url}/healthz") is not None


class WorkerPart(Part):
    """The Temporal worker. It has no door: the API tells when the whole stack is ready."""

    name = "worker"
    title = "Worker"
    stop_seconds = 30  # longer than it lets running activities finish

    def __init__(self, api_url: str, environment: Mapping[str, str]) -> None:
        self._api_url = api_url
        self._environment = environment

    def command(self) -> list[str]:
        return [sys.executable, str(ROOT / "worker.py")]

    def environment(self) -> Mapping[str, str]:
        return self._environment

    async def ready(self) -> bool:
        return await answers(f"{self._api_url}/readyz") is not None


class CodecPart(Part):
    """The codec server."""

    name = "codec"
    title = "Codec server"

    def __init__(self, url: str, port: int, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.url = url
        self.port = port

    def command(self) -> list[str]:
        return tillflow("codec")

    def environment(self) -> Mapping[str, str]:
        return self._environment

    def doors(self) -> dict[int, str]:
        return {self.port: "the codec server"}

    async def ready(self) -> bool:
        return await answers(f"{self.url}/healthz") is not None


class Migrations(Program):
    """Brings the database schema up to date."""

    name = "migrate"
    title = "Database schema"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def command(self) -> list[str]:
        return tillflow("migrate")

    def environment(self) -> Mapping[str, str]:
        return self._environment


class SampleStock(Program):
    """Puts what the sample order buys on the shelf."""

    name = "stock"
    title = "Sample stock"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def command(self) -> list[str]:
        return tillflow("stock", "set", "sample-mug", "1000")

    def environment(self) -> Mapping[str, str]:
        return self._environment
