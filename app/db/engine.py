"""The connection pool, and what a database fault looks like to the rest of the house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.domain.records import RecordsUnavailableError

_CONNECT_SECONDS = 3
_STATEMENT_MILLISECONDS = 5_000


def create_engine(url: str) -> AsyncEngine:
    """A pool on `url` (postgresql+psycopg://…). Connects at first use."""
    return create_async_engine(
        url,
        hide_parameters=True,  # parameters hold personal data, error texts go to logs
        pool_size=10,
        max_overflow=10,
        pool_timeout=_CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS} -c timezone=UTC",
        },
    )


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """One transaction, committed at the end. Raises RecordsUnavailableError when it cannot be."""
    try:
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
        raise RecordsUnavailableError("the database cannot be reached") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise RecordsUnavailableError("the database connection was lost") from error
        raise
