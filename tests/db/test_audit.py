"""The audit trail: every change of what was written is found, and its first row is named."""

import asyncio
import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.audit import AuditTrail
from app.db.audit_check import AlteredError, entries, verify
from app.db.engine import create_engine
from app.domain.records import RecordsUnavailableError
from app.embedded.part import ROOT
from app.embedded.ports import free_port
from app.keyring import Keyring
from tests.db.alter import alter, found, lift_triggers
from tests.db.audited import ACTION, KEYRING, NEW_KEY, NOON, OLD_KEY, actions

ROWS = 15


@pytest.fixture
async def trail(engine: AsyncEngine) -> AuditTrail:
    """Of `ROWS` rows, written in several batches."""
    trail = AuditTrail(engine, KEYRING)
    for first in range(0, ROWS, 5):
        await asyncio.gather(*(trail.record(a) for a in actions(ROWS)[first : first + 5]))
    return trail


@pytest.fixture
async def owner(trail: AuditTrail, connection: AsyncConnection) -> AsyncConnection:
    """Somebody to whom the database forbids nothing."""
    await lift_triggers(connection)
    return connection


async def after(connection: AsyncConnection, *changes: str) -> str | None:
    """What is said after these changes, which are taken back."""
    point = await connection.begin_nested()
    for change in changes:
        await connection.execute(text(change))
    said = await found(connection)
    await point.rollback()
    return said


FIELDS = ["number", "at", "who", "key_id", "source", "what", "object", "result", "mac_key", "mac"]


async def test_every_change_of_one_byte_is_found(owner: AsyncConnection) -> None:
    figures = await alter(owner, count=120, seed=1)
    assert figures.missed == []
    audit_columns = {f"audit.{column}" for column in FIELDS}
    assert figures.changed.keys() == audit_columns | {"audit_end.number", "audit_end.seal"}
    assert await found(owner) is None


@pytest.mark.parametrize("time", ["infinity", "0044-03-15 BC", "20000-01-01"])
async def test_a_time_that_no_clock_shows_is_found(owner: AsyncConnection, time: str) -> None:
    change = f"UPDATE audit SET at = '{time}' WHERE number = 3"  # noqa: S608
    assert await after(owner, change) == "row 3 was altered"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["DELETE FROM audit WHERE number = 1"], "row 1 is missing"),
        (["DELETE FROM audit WHERE number = 7"], "row 7 is missing"),
        (
            [
                "DELETE FROM audit WHERE number = 7",
                "UPDATE audit SET number = number - 1 WHERE number > 7",
                "UPDATE audit_end SET number = number - 1",
            ],
            "row 7 was altered",
        ),
        (
            [
                "UPDATE audit SET number = 0 WHERE number = 4",
                "UPDATE audit SET number = 4 WHERE number = 11",
                "UPDATE audit SET number = 11 WHERE number = 0",
            ],
            "row 4 was altered",
        ),
        (["INSERT INTO audit SELECT 16, {rest} FROM audit WHERE number = 15"], "row 16 was"),
        (["INSERT INTO audit SELECT 0, {rest} FROM audit WHERE number = 1"], "row 1 is missing"),
        (["DELETE FROM audit WHERE number > 10"], "row 11 is missing"),
        (
            [
                "DELETE FROM audit WHERE number > 10",
                "UPDATE audit_end SET number = 10,"
                " seal = (SELECT mac FROM audit WHERE number = 10)",
            ],
            "where the trail ends was altered",
        ),
        (["DELETE FROM audit"], "row 1 is missing"),
        (
            ["DELETE FROM audit", "UPDATE audit_end SET number = 0, seal = ''"],
            "row 1 is missing",
        ),
        (["DELETE FROM audit_end"], "where the trail ends is not known any more"),
        (["UPDATE audit_end SET seal = 'nobodys'"], "where the trail ends was altered"),
        (["UPDATE audit_end SET number = 14"], "row 15 stands behind the end of the trail"),
        (["UPDATE audit SET mac_key = 'nobodys' WHERE number = 5"], "row 5 cannot be verified"),
    ],
)
async def test_what_is_taken_out_moved_or_put_in_is_found(
    owner: AsyncConnection, changes: list[str], said: str
) -> None:
    rest = ", ".join(FIELDS[1:])
    told = await after(owner, *(change.replace("{rest}", rest) for change in changes))
    assert told is not None
    assert told.startswith(said)
    assert await found(owner) is None


async def test_a_trail_does_not_go_on_from_an_earlier_end(
    owner: AsyncConnection, engine: AsyncEngine
) -> None:
    await owner.execute(text("DELETE FROM audit WHERE number > 10"))
    await owner.execute(
        text("UPDATE audit_end SET number = 10, seal = (SELECT mac FROM audit WHERE number = 10)")
    )
    await owner.commit()
    await AuditTrail(engine, KEYRING).record(ACTION)
    with pytest.raises(AlteredError, match="row 11 was altered"):
        await verify(engine, KEYRING)


async def test_a_trail_set_back_as_a_whole_is_found_by_an_end_that_was_kept(
    owner: AsyncConnection, engine: AsyncEngine
) -> None:
    await owner.commit()
    trail = AuditTrail(engine, KEYRING)
    [then] = (await owner.execute(text("SELECT * FROM audit_end"))).mappings()
    await owner.commit()
    early = await verify(engine, KEYRING)
    await trail.record(ACTION)
    late = await verify(engine, KEYRING, known=early)
    assert (early.number, late.number) == (ROWS, ROWS + 1)
    assert type(late).read(str(late)) == late

    await owner.execute(text("DELETE FROM audit WHERE number > :last"), {"last": ROWS})
    await owner.execute(text("UPDATE audit_end SET number = :number, seal = :seal"), dict(then))
    await owner.commit()
    assert await verify(engine, KEYRING) == early  # nothing in the database tells
    with pytest.raises(AlteredError, match=f"row {ROWS + 1} is missing"):
        await verify(engine, KEYRING, known=late)

    await trail.record(replace(ACTION, object="order-2"))
    assert (await verify(engine, KEYRING)).number == late.number
    with pytest.raises(AlteredError, match=f"row {ROWS + 1} is another one"):
        await verify(engine, KEYRING, known=late)


async def test_who_does_not_have_the_key_cannot_mend_the_chain(trail: AuditTrail) -> None:
    stranger = Keyring.parse(f"2026-01:{b64encode(b'what somebody else takes for it!').decode()}")
    with pytest.raises(AlteredError, match="row 1 was altered"):
        await verify(trail._engine, stranger)


async def test_an_old_trail_is_put_away_whole_as_the_guide_says(
    trail: AuditTrail, engine: AsyncEngine, database_url: str
) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    put_away, put_back = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    old = await verify(engine, KEYRING)
    url = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        await owner.execute(put_away.encode())
        await trail.record(ACTION)
        new = await verify(engine, KEYRING)
        assert (old.number, new.number) == (ROWS, 1)
        with pytest.raises(DBAPIError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(text("DELETE FROM audit"))
        await owner.execute(put_back.encode())
        assert await verify(engine, KEYRING, old) == old


async def test_rows_of_an_old_key_are_verified_as_long_as_it_is_there(
    trail: AuditTrail, engine: AsyncEngine
) -> None:
    both = Keyring.parse(f"{NEW_KEY},{OLD_KEY}")
    await AuditTrail(engine, both).record(ACTION)
    assert (await verify(engine, both)).number == ROWS + 1
    with pytest.raises(AlteredError, match="row 1 cannot be verified: the key 2026-01 is not in"):
        await verify(engine, Keyring.parse(NEW_KEY))


async def test_writers_at_once_make_one_chain(engine: AsyncEngine, database_url: str) -> None:
    another = create_engine(database_url)
    trails = [AuditTrail(each, KEYRING) for each in (engine, another)]
    await asyncio.gather(*(trail.record(a) for trail in trails for a in actions(100)))
    assert (await verify(engine, KEYRING)).number == 200
    await another.dispose()


async def test_a_trail_longer_than_a_page_is_verified_and_listed_whole(
    engine: AsyncEngine,
) -> None:
    trail = AuditTrail(engine, KEYRING)
    for action in actions(1200):
        trail.note(action)
    await trail.close()
    assert (await verify(engine, KEYRING)).number == 1200
    everything = [entry async for page in entries(engine, None, None, None) for entry in page]
    assert [entry.action for entry in everything] == actions(1200)
    late = NOON + timedelta(seconds=1100)
    some = [entry async for page in entries(engine, None, "shop", late) for entry in page]
    assert [e.action for e in some] == [a for a in actions(1200)[1099:] if a.at >= late and a.who]
    [one] = [entry async for page in entries(engine, "order-77", None, None) for entry in page]
    assert one.number == 78


@pytest.mark.parametrize("number", [500, 999, 1000, 1200])
async def test_a_second_row_of_a_number_is_found_wherever_it_stands(
    engine: AsyncEngine, connection: AsyncConnection, number: int
) -> None:
    """Not in the table itself, whose key would not have it."""
    trail = AuditTrail(engine, KEYRING)
    for action in actions(1200):
        trail.note(action)
    await trail.close()
    await connection.execute(text("CREATE TABLE forged () INHERITS (audit)"))
    forge = "INSERT INTO forged SELECT * FROM ONLY audit WHERE number = :number"
    await connection.execute(text(forge), {"number": number})
    await connection.commit()
    with pytest.raises(AlteredError, match=f"row {number + 1} is missing|behind the end"):
        await verify(engine, KEYRING)


@pytest.mark.parametrize(
    "change", ["UPDATE audit SET result = '200'", "DELETE FROM audit", "TRUNCATE audit"]
)
async def test_the_database_itself_refuses_a_change(
    trail: AuditTrail, connection: AsyncConnection, change: str
) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        await connection.execute(text(change))


async def test_what_cannot_be_written_is_said_and_stands_in_the_log() -> None:
    nowhere = create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing")
    trail = AuditTrail(nowhere, KEYRING)
    with structlog.testing.capture_logs() as log:
        with pytest.raises(RecordsUnavailableError):
            await trail.record(ACTION)
        trail.note(replace(ACTION, result="401"))
        await trail.close()
    assert [(line["event"], line["object"], line["result"]) for line in log] == [
        ("not in the audit trail", "order-1", "200"),
        ("not in the audit trail", "order-1", "401"),
    ]
    await nowhere.dispose()


async def test_who_gave_up_waiting_is_in_the_trail_all_the_same(engine: AsyncEngine) -> None:
    trail = AuditTrail(engine, KEYRING)
    impatient = asyncio.create_task(trail.record(ACTION))
    await asyncio.sleep(0)
    impatient.cancel()
    await trail.close()
    assert (await verify(engine, KEYRING)).number == 1


async def test_where_nobody_else_wrote_a_row_is_one_statement(
    trail: AuditTrail, engine: AsyncEngine, database_url: str
) -> None:
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement.split()[0])

    listen(engine.sync_engine, "before_cursor_execute", note)
    await trail.record(ACTION)
    assert statements == ["WITH"]
    other = create_engine(database_url)
    await AuditTrail(other, KEYRING).record(ACTION)
    await other.dispose()
    statements.clear()
    await trail.record(ACTION)
    assert statements == ["WITH", "SELECT", "WITH"]
    assert (await verify(engine, KEYRING)).number == ROWS + 3
