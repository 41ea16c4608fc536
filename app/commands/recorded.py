"""What commands do stands in the audit trail, too."""

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import DataSettings
from app.db.audit import AuditTrail
from app.db.engine import create_engine
from app.domain.audit import Action
from app.domain.records import RecordsUnavailableError


@dataclass
class Work:
    """The database that a command works with, and what it is about. That may become known in the
    middle, and so may what takes it back if it does not end well."""

    engine: AsyncEngine
    object: str | None
    undo: Callable[[], Awaitable[Any]] | None = None


@asynccontextmanager
async def recorded(
    settings: DataSettings,
    what: str,
    object_: str | None = None,
    *,
    changes: bool = False,
    database_url: SecretStr | None = None,
) -> AsyncIterator[Work]:
    """Around what a command does with the database: the trail tells of it, whichever way it ends.

    `changes`: the trail tells before, too, that it begins, since it may be killed in the middle.
    `database_url`: where it is not that of the settings.
    Raises RecordsUnavailableError when the trail cannot tell: before, or when it is done.
    """
    engine = create_engine((database_url or settings.database_url).get_secret_value())
    trail = AuditTrail(engine, settings.keyring())
    work = Work(engine, object_)
    who = settings.operator or _user()

    async def tell(result: str) -> None:
        source = f"command on {socket.gethostname()}"
        await trail.record(Action(datetime.now(UTC), who, None, source, what, work.object, result))

    try:
        if changes:
            await tell("begun")
        try:
            yield work
            await tell("done")
        except BaseException as error:
            if work.undo is not None:
                with suppress(RecordsUnavailableError):
                    await work.undo()
            with suppress(RecordsUnavailableError):  # it is in the log; why it failed is said
                await tell(_failed(error))
            raise
    finally:
        await engine.dispose()


def _failed(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return "interrupted"
    return f"failed: {type(error).__name__}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container a user may be but a number
        return str(os.getuid())
