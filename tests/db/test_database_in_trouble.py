"""The database is there, and cannot do what it is asked. Whoever asked is told to try again, and
finds everything in order when the trouble is over."""

import asyncio
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.engine import create_engine, transaction
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.money import Money
from app.domain.order import Order
from app.domain.records import RecordsUnavailableError
from tests.conftest import KEYRING
from tests.db.conftest import NOON
from tests.db.test_inbox import EVENTS

Admin = psycopg.AsyncConnection[Any]


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[Admin]:
    """Whoever runs the server."""
    plain = make_url(database_url).set(drivername="postgresql")
    url = plain.render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def database(database_url: str) -> str:
    """Its name."""
    return make_url(database_url).database or ""


@contextmanager
def unavailable(cause: type[Exception]) -> Iterator[None]:
    """It must be told, and be the cause that the test is about."""
    with pytest.raises(RecordsUnavailableError) as failure:
        yield
    reason = failure.value.__cause__
    assert isinstance(getattr(reason, "orig", reason), cause)


async def test_a_server_that_takes_no_writes_is_left_for_one_that_does(
    records: PostgresRecords, order: Order, admin: Admin, database: str, engine: AsyncEngine
) -> None:
    read_only = f'ALTER DATABASE "{database}" SET default_transaction_read_only = on'
    await admin.execute(read_only.encode())
    for _ in range(2):
        with unavailable(errors.ReadOnlySqlTransaction):
            await records.open_order(order)
    assert await records.find_order("order-1") is None
    writable = f'ALTER DATABASE "{database}" RESET default_transaction_read_only'
    await admin.execute(writable.encode())
    with unavailable(errors.ReadOnlySqlTransaction):  # a connection of before
        await records.open_order(order)
    await records.open_order(order)
    assert await records.find_order("order-1") == order


async def test_too_many_connections_at_the_server(
    database_url: str, records: PostgresRecords, order: Order, admin: Admin
) -> None:
    role = f"storefront_{secrets.token_hex(4)}"
    await admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0".encode())
    await admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}".encode())
    url = make_url(database_url).set(username=role).render_as_string(hide_password=False)
    limited = create_engine(url)
    theirs = PostgresRecords(limited, "stripe", KEYRING)
    with pytest.raises(RecordsUnavailableError) as failure:
        await theirs.find_order("order-1")
    assert "too many connections" in str(failure.value.__cause__)
    await records.open_order(order)
    await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 10".encode())
    assert await theirs.find_order("order-1") == order
    await limited.dispose()
    await admin.execute(f"DROP OWNED BY {role}".encode())
    await admin.execute(f"DROP ROLE {role}".encode())


async def test_every_connection_of_ours_is_in_use(
    engine: AsyncEngine, records: PostgresRecords, order: Order
) -> None:
    held = [await engine.connect() for _ in range(20)]
    answers = await asyncio.gather(
        *(records.open_order(order) for _ in range(30)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {RecordsUnavailableError}
    for connection in held:
        await connection.close()
    await records.open_order(order)


async def test_two_who_wait_for_each_other(engine: AsyncEngine, records: PostgresRecords) -> None:
    for name in ("a", "b"):
        await records.open_order(Order(name, Money(100, "usd")))
    lock = text("SELECT 1 FROM orders WHERE order_id = :it FOR UPDATE")
    has_first = asyncio.Barrier(2)

    async def take(first: str, second: str) -> None:
        async with transaction(engine) as session:
            connection = await session.connection()
            await connection.execute(lock, {"it": first})
            await has_first.wait()
            await connection.execute(lock, {"it": second})

    ends = await asyncio.gather(take("a", "b"), take("b", "a"), return_exceptions=True)
    [victim] = [end for end in ends if end is not None]
    with unavailable(errors.DeadlockDetected):
        raise victim


async def test_writers_that_cannot_be_put_in_a_row(
    records: PostgresRecords, order: Order, admin: Admin, database: str, engine: AsyncEngine
) -> None:
    await records.open_order(order)
    await engine.dispose()
    strict = f"ALTER DATABASE \"{database}\" SET default_transaction_isolation = 'serializable'"
    await admin.execute(strict.encode())
    has_read = asyncio.Barrier(2)

    async def rewrite() -> None:
        async with transaction(engine) as session:
            connection = await session.connection()
            await connection.execute(text("SELECT count(*) FROM orders WHERE state = 'open'"))
            await has_read.wait()
            await connection.execute(text("UPDATE orders SET state = 'paid'"))

    ends = await asyncio.gather(rewrite(), rewrite(), return_exceptions=True)
    [victim] = [end for end in ends if end is not None]
    with unavailable(errors.SerializationFailure):
        raise victim


async def test_a_client_that_hangs_holds_its_locks_no_longer_than_a_transaction_may_last(
    connection: AsyncConnection,
) -> None:
    limits = [
        (await connection.execute(text(f"SHOW {name}"))).scalar_one()
        for name in ("statement_timeout", "idle_in_transaction_session_timeout")
    ]
    assert limits == ["5s", "8s"]


async def test_what_reads_much_may_take_longer_than_what_somebody_waits_for(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()

    async def a_minute_passes() -> None:
        real = loop.time
        with monkeypatch.context() as clock:
            clock.setattr(loop, "time", lambda: real() + 60)
            await asyncio.sleep(0.01)

    async with transaction(engine, seconds=300) as session:
        shown = await (await session.connection()).execute(text("SHOW statement_timeout"))
        assert shown.scalar_one() == "5min"
        await a_minute_passes()
    with unavailable(TimeoutError):
        async with transaction(engine) as session:
            await session.connection()
            await a_minute_passes()


async def test_a_server_that_does_not_answer_is_not_waited_for(
    engine: AsyncEngine, paid: PostgresRecords
) -> None:
    async with engine.connect() as connection:
        process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    os.kill(process, signal.SIGSTOP)  # the one that the pool hands out next
    try:
        with unavailable(TimeoutError):
            await paid.facts("order-1")
    finally:
        os.kill(process, signal.SIGCONT)
    assert len(await paid.facts("order-1")) == 2


async def test_a_full_disk(records: PostgresRecords, order: Order, admin: Admin) -> None:
    await records.open_order(order)
    shown = await (await admin.execute("SHOW data_directory")).fetchone()
    assert shown is not None
    with _tiny_disk(Path(shown[0])) as folder:
        space = f"tiny_{secrets.token_hex(4)}"
        await admin.execute(f"CREATE TABLESPACE {space} LOCATION '{folder}'".encode())
        await admin.execute(f"ALTER TABLE callbacks SET TABLESPACE {space}".encode())
        stored = []
        with unavailable(errors.DiskFull):
            for number in range(200):
                event = replace(EVENTS[0], event_id=f"evt_{number}", type=secrets.token_hex(50_000))
                assert (await records.take_callback(event)).new
                stored.append(event)
        assert stored
        with unavailable(errors.DiskFull):
            await records.take_callback(event)
        await records.append("order-1", [Fact(Event.EXPIRED, NOON, Source.WORKFLOW)])  # elsewhere
        await admin.execute(b"ALTER TABLE callbacks SET TABLESPACE pg_default")
        await admin.execute(f"DROP TABLESPACE {space}".encode())
    assert (await records.take_callback(event)).new
    assert await records.callbacks_to_deliver("order-1", 200) == [*stored, event]


@contextmanager
def _tiny_disk(of_the_server: Path) -> Iterator[Path]:
    """A megabyte, for the user of the server whose data are in that folder."""
    owner = of_the_server.stat().st_uid
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size=1m,uid={owner},mode=0700", "tmpfs", name],  # noqa: S607
            check=False,
            capture_output=True,
        )
        if mounted.returncode:
            pytest.skip("only root may mount a disk that can be filled")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)  # noqa: S607
