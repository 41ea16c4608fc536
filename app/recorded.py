"""What commands do stands in the audit trail, too."""

import getpass
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from app.config import Settings
from app.db.audit import AuditTrail
from app.db.engine import create_engine
from app.domain.audit import Action
from app.domain.records import RecordsUnavailableError


@dataclass
class Work:
    """The database that a command works with, and what it is about. That may become known in the
    middle."""

    engine: AsyncEngine
    object: str | None


@asynccontextmanager
async def recorded(
    settings: Settings, what: str, object_: str | None = None
) -> AsyncIterator[Work]:
    """Around what a command does with the database: the trail tells of it, whichever way it ends.

    Raises RecordsUnavailableError when it is done, and the trail cannot tell.
    """
    engine = create_engine(settings.database_url.get_secret_value())
    trail = AuditTrail(engine, settings.keyring())
    work = Work(engine, object_)
    who = settings.operator or _user()

    async def tell(result: str) -> None:
        source = f"command on {socket.gethostname()}"
        await trail.record(Action(datetime.now(UTC), who, None, source, what, work.object, result))

    try:
        try:
            yield work
        except Exception as error:
            with suppress(RecordsUnavailableError):  # it is in the log; why it failed is said
                await tell(f"failed: {type(error).__name__}")
            raise
        await tell("done")
    finally:
        await engine.dispose()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container a user may be but a number
        return str(os.getuid())
