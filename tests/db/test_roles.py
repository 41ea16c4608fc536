"""The service's role in PostgreSQL uses every table, and changes nothing that is append-only."""

import asyncio
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel
from structlog.testing import capture_logs

from app.codec_server.main import create_app as codec_server
from app.db.audit import AuditTrail
from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.db.roles import APPEND_ONLY, RoleError, let_use, require_lesser
from app.domain.order import Order
from app.domain.records import RecordsUnavailableError
from app.embedded.part import ROOT
from app.wiring import Parts, build
from tests.conftest import environment_of, settings_with
from tests.db.audited import ACTION, KEYRING


@pytest.fixture
async def service(service_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(service_url)
    yield engine
    await engine.dispose()


async def test_the_service_can_neither_change_nor_delete_what_is_append_only(
    service: AsyncEngine, order: Order
) -> None:
    await PostgresRecords(service, "stripe", KEYRING).open_order(order)
    await AuditTrail(service, KEYRING).record(ACTION)
    for table, column in (("payment_events", "event"), ("journal", "entry"), ("audit", "result")):
        for forbidden in (
            f"UPDATE {table} SET {column} = 'something else'",  # noqa: S608
            f"DELETE FROM {table}",  # noqa: S608
            f"TRUNCATE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER append_only",
            f"DROP TABLE {table}",
        ):
            async with service.connect() as connection:
                with pytest.raises(DBAPIError, match=r"permission denied|must be owner") as refused:
                    await connection.execute(text(forbidden))
            assert refused.value.orig.sqlstate == "42501"  # type: ignore[union-attr]
    for forbidden in ("DELETE FROM audit_end", "UPDATE alembic_version SET version_num = 'none'"):
        async with service.connect() as connection:
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(forbidden))


async def test_the_service_can_do_everything_else(service: AsyncEngine) -> None:
    ordinary = SQLModel.metadata.tables.keys() - {*APPEND_ONLY, "audit_end"}
    async with service.connect() as connection:
        for table in ordinary:
            may = await connection.scalars(
                text(
                    "SELECT has_table_privilege(:table, right_) FROM"
                    " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_"
                ),
                {"table": table},
            )
            assert may.all() == [True] * 4, table


async def test_what_refuses_changes_is_what_the_service_may_not_change(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        guarded = await connection.scalars(
            text(
                "SELECT tgrelid::regclass::text FROM pg_trigger"
                " WHERE tgname = 'append_only' AND tgtype & 16 = 16"  # of updates
            )
        )
        assert sorted(guarded) == sorted(APPEND_ONLY)


async def test_a_service_that_could_change_history_does_not_start(
    service: AsyncEngine, engine: AsyncEngine, database_url: str
) -> None:
    await require_lesser(service)
    with pytest.raises(RoleError, match="DATABASE_OWNER_URL"):
        await require_lesser(engine)
    known = settings_with(database_url=database_url)
    known = known.model_copy(update={"embedded": False})
    with pytest.raises(RoleError):
        await build(known, lazy_temporal=True)
    codec = codec_server(known)
    with pytest.raises(RoleError):
        async with codec.router.lifespan_context(codec):
            pass
    async with engine.begin() as owner:
        role = service.url.username
        await owner.execute(text(f"GRANT DELETE ON journal TO {role}"))
    with pytest.raises(RoleError):
        await require_lesser(service)


async def test_a_worker_that_could_change_history_ends_with_a_line(database_url: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "worker.py"),
        cwd=ROOT,
        env={"PATH": os.defpath, **environment_of(database_url=database_url)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(worker.communicate(), 60)
    assert worker.returncode == 1
    assert re.fullmatch(rb"tillflow: the role in DATABASE_URL .*\n", told)


async def test_a_service_that_started_without_the_database_is_held_to_it_later(
    database_url: str, service_url: str, order: Order
) -> None:
    url = make_url(database_url)
    elsewhere = url.set(drivername="postgresql", database="postgres").render_as_string(False)
    connections = f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS '
    async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as admin:
        await admin.execute(f"{connections} false".encode())
        owner, service = [await _started(each) for each in (database_url, service_url)]
        await admin.execute(f"{connections} true".encode())
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(RoleError, match="DATABASE_OWNER_URL"):
                await owner.records.open_order(order)
        with pytest.raises(RecordsUnavailableError):
            await owner.audit.record(ACTION)
    assert "DATABASE_OWNER_URL" in str(logs)
    await service.audit.record(ACTION)
    assert await service.records.find_order(order.order_id) is None
    for parts in (owner, service):
        await parts.close()


async def test_an_owner_who_may_make_no_roles_says_so(service_url: str, database_url: str) -> None:
    other = make_url(database_url).set(username=f"nobody_{secrets.token_hex(4)}")
    with pytest.raises(RoleError, match="may not let"):
        await asyncio.to_thread(let_use, service_url, other.render_as_string())


async def _started(database_url: str) -> Parts:
    settings = settings_with(database_url=database_url).model_copy(update={"embedded": False})
    return await build(settings, lazy_temporal=True)
