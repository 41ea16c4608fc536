"""The connection pool, and what a database fault looks like to the rest of the house."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.domain.records import RecordsUnavailableError

# The server ends a statement, or a transaction whose client says nothing more: a client that hangs
# must not keep an order locked. The last bound is our own, for a server that does not answer; the
# driver then takes up to five seconds more to cancel the statement, and five to wait for its end.
_CONNECT_SECONDS = 3
_STATEMENT_MILLISECONDS = 5_000
_TRANSACTION_SECONDS = 8

# A connection that is left behind by a failover: its server takes no more writes.
_READ_ONLY = "25006"


def create_engine(url: str) -> AsyncEngine:
    """A pool on `url` (postgresql+psycopg://…). Connects at first use."""
    engine = create_async_engine(
        url,
        hide_parameters=True,  # parameters hold personal data, error texts go to logs
        pool_size=10,
        max_overflow=10,
        pool_timeout=_CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS} "
            f"-c idle_in_transaction_session_timeout={_TRANSACTION_SECONDS}s -c timezone=UTC",
        },
    )
    listen(engine.sync_engine, "handle_error", _leave_read_only_server)
    return engine


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, seconds: int | None = None
) -> AsyncIterator[AsyncSession]:
    """One transaction, committed at the end. Raises RecordsUnavailableError when it cannot be: the
    server is away, full, overloaded or read-only, or somebody else has held a lock for too long.

    `seconds`: how long it may take where nobody waits for it, and it reads what grows.
    """
    try:
        async with (
            asyncio.timeout(seconds or _TRANSACTION_SECONDS),
            AsyncSession(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            if seconds is not None:
                connection = await session.connection()
                await connection.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
            yield session
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
        raise RecordsUnavailableError("the database cannot be reached") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise RecordsUnavailableError("the database connection was lost") from error
        raise


def _leave_read_only_server(fault: ExceptionContext) -> None:
    """Have the pool forget its connections, and look for the server that takes writes."""
    if getattr(fault.original_exception, "sqlstate", None) == _READ_ONLY:
        fault.is_disconnect = True
