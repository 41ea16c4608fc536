"""The service's role in PostgreSQL uses every table, and changes nothing that is append-only."""

import asyncio
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

from app.db.audit import AuditTrail
from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.db.roles import APPEND_ONLY, RoleError, let_use, require_lesser
from app.domain.order import Order
from app.embedded.part import ROOT
from app.wiring import build
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
    with pytest.raises(RoleError):
        await build(known.model_copy(update={"embedded": False}), lazy_temporal=True)
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


async def test_an_owner_who_may_make_no_roles_says_so(service_url: str, database_url: str) -> None:
    other = make_url(database_url).set(username=f"nobody_{secrets.token_hex(4)}")
    with pytest.raises(RoleError, match="may not let"):
        await asyncio.to_thread(let_use, service_url, other.render_as_string())
