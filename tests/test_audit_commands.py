"""`tillflow audit …`, as an operator sees it, and what commands leave in the trail."""

import asyncio
import getpass
import socket
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from secrets import token_hex

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.main import get_command
from typer.testing import CliRunner, Result

from app.cli import app
from app.commands.recorded import recorded
from app.db.audit import AuditTrail
from app.domain.api_keys import Offered
from app.embedded.ports import free_port
from app.keyring import Keyring
from tests.conftest import environment_of, settings_with
from tests.db.audited import ACTION, actions
from tests.walk.cards import canary

COUNT = 12
# The trail takes no row of a command that is done.
NOTHING_IS_DONE = [
    """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no'; END $$""",
    """CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW
    WHEN (NEW.result = 'done') EXECUTE FUNCTION refuse()""",
]
# They work with the database all the time; what they are asked to do is told, call by call.
SERVERS = {"run", "api", "worker", "codec"}
ALONE = {"migrate", "reconcile"}
# Told before, too: they could be killed in the middle.
CHANGING = {"keys create", "stock set", "reconcile", "data rotate"}


def commands() -> Iterator[str]:
    """All that there are."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        yield from (f"{name} {each}" for each in below) if below is not None else [name]


async def tillflow(database_url: str, *arguments: str) -> Result:
    nobody = f"127.0.0.1:{free_port()}"
    settings = environment_of(database_url=database_url, temporal_address=nobody)
    # In a thread of its own: the command runs an event loop.
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, arguments, env=settings))


@pytest.fixture
async def trail(engine: AsyncEngine, database_url: str) -> AuditTrail:
    environment = environment_of(database_url=database_url)
    trail = AuditTrail(engine, Keyring.parse(environment["ENCRYPTION_KEYS"]))
    await asyncio.gather(*(trail.record(action) for action in actions(COUNT)))
    return trail


async def test_a_trail_that_nobody_altered_is_said_to_be_whole(
    trail: AuditTrail, database_url: str
) -> None:
    whole = await tillflow(database_url, "audit", "verify")
    assert whole.exit_code == 0, whole.output
    said, _, end = whole.stdout.strip().rpartition(" ")
    assert said == f"{COUNT} rows, as they were written; the end is"
    await trail.record(ACTION)
    assert (await tillflow(database_url, "audit", "verify", "--known", end)).exit_code == 0
    wrong = end.replace(f"{COUNT}:", f"{COUNT + 1}:")
    assert (await tillflow(database_url, "audit", "verify", "--known", wrong)).exit_code == 1
    number, _, mac = end.partition(":")
    for nothing in (
        "nonsense",
        f"-1:{mac}",
        f"0:{mac}",
        "0:",
        f"{number}:",
        f"{number}:{mac[:-2]}",
    ):
        refused = await tillflow(database_url, "audit", "verify", f"--known={nothing}")
        assert refused.exit_code == 2, nothing


async def test_the_first_altered_row_is_named_and_the_exit_code_says_so(
    trail: AuditTrail, database_url: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit DISABLE TRIGGER append_only"))
        await connection.execute(text("UPDATE audit SET result = '403' WHERE number IN (8, 5)"))
    altered = await tillflow(database_url, "audit", "verify")
    assert altered.exit_code == 1
    assert altered.stdout == "the audit trail was altered: row 5 was altered\n"


async def test_what_was_done_is_listed_by_object_client_and_time(
    trail: AuditTrail, database_url: str
) -> None:
    everything = (await tillflow(database_url, "audit", "list")).stdout.splitlines()
    assert len(everything) == COUNT
    [one] = (
        await tillflow(database_url, "audit", "list", "--object", "order-3")
    ).stdout.splitlines()
    assert one.split() == [
        *("4", "2026-11-23T12:00:03.003003Z", "192.0.2.7", "shop", "abcdefghijkl"),
        *("order-3", "200", "POST", "/api/payment/initiate"),
    ]
    by_client = await tillflow(database_url, "audit", "list", "--client", "shop")
    assert by_client.stdout.splitlines() == [line for line in everything if " shop " in line]
    late = await tillflow(database_url, "audit", "list", "--since", "2026-11-23T12:00:10")
    assert late.stdout.splitlines()[: COUNT - 10] == everything[10:]
    await trail.record(replace(ACTION, who="a\nna (shop)", object="order-99"))
    [*_, last] = (await tillflow(database_url, "audit", "list", "--client", "shop")).stdout.split(
        "\n"
    )[:-1]
    assert "a\N{REPLACEMENT CHARACTER}na (shop)" in last


async def test_what_commands_do_stands_there(database_url: str, engine: AsyncEngine) -> None:
    create = ("keys", "create", "--client", "shop", "--scope", "operator")
    made = await tillflow(database_url, *create)
    key_id = made.stdout.removeprefix("tillflow_").partition(".")[0]
    await tillflow(database_url, *create)
    told: dict[tuple[str, ...], tuple[str | None, str]] = {
        create: ("shop", "failed: TooManyKeysError"),
        ("keys", "list"): (None, "done"),
        ("keys", "revoke", key_id): (key_id, "done"),
        ("keys", "revoke", "a" * 12): ("a" * 12, "failed: NoSuchKeyError"),
        ("stock", "set", "mug", "7"): ("mug", "done"),
        ("reconcile", "--since", "2026-11-01"): (None, "failed: NoTemporalError"),
        ("data", "rotate"): (None, "done"),
        ("data", "keys"): (None, "failed: ConnectionError"),
        ("ledger", "balances"): (None, "done"),
        ("ledger", "check"): (None, "done"),
        ("audit", "list"): (None, "done"),
        ("audit", "verify"): (None, "done"),
        ("migrate",): (None, "done"),
    }
    for command in told:
        await tillflow(database_url, *command)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT who, source, what, object, result FROM audit ORDER BY number")
        )
    first, second, _, _, *others = [tuple(row) for row in rows]
    assert first[2:] == ("keys create", "shop", "begun")
    assert second[2:] == ("keys create", key_id, "done")
    us = (getpass.getuser(), f"command on {socket.gethostname()}")
    names = [" ".join(command[: 1 if command[0] in ALONE else 2]) for command in told]
    assert others == [
        (*us, name, about, result)
        for name, (about, ended) in zip(names, told.values(), strict=True)
        for result in (["begun", ended] if name in CHANGING else [ended])
    ]
    assert {what for _, _, what, *_ in others} == set(commands()) - SERVERS
    assert (await tillflow(database_url, "audit", "verify")).exit_code == 0


async def test_a_command_in_a_container_names_its_operator(
    database_url: str, engine: AsyncEngine
) -> None:
    command = partial(CliRunner().invoke, app, ["stock", "set", "mug", "7"])
    settings = environment_of(database_url=database_url, operator="grace")
    assert (await asyncio.to_thread(command, env=settings)).exit_code == 0
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT who FROM audit")) == "grace"


async def test_what_is_no_name_of_anything_is_neither_kept_nor_repeated(
    database_url: str, engine: AsyncEngine
) -> None:
    key, number = Offered.new(), canary()
    for command in (
        ("keys", "revoke", key.text()),
        ("keys", "create", "--client", number, "--scope", "operator"),
        ("stock", "set", number, "7"),
    ):
        refused = await tillflow(database_url, *command)
        assert refused.exit_code == 2
        assert key.secret not in refused.output
        assert number not in refused.output
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM audit")) == 0


async def test_a_key_that_the_trail_does_not_tell_of_is_not_shown(
    database_url: str, engine: AsyncEngine
) -> None:
    create = ("keys", "create", "--client", "a", "--scope", "operator")
    async with engine.begin() as connection:
        for statement in NOTHING_IS_DONE:
            await connection.execute(text(statement))
    for _ in range(2):
        made = await tillflow(database_url, *create)
        assert made.exit_code == 1
        assert "tillflow_" not in made.output
        async with engine.begin() as connection:
            keys = await connection.scalars(
                text("SELECT revoked_at IS NULL FROM api_keys WHERE client = 'a'")
            )
            assert keys.all() == [False]  # at first it was made and revoked, then not made
            await connection.execute(text("DROP TABLE IF EXISTS audit_end"))


async def test_what_is_interrupted_or_killed_in_the_middle_stands_there(
    database_url: str, engine: AsyncEngine
) -> None:
    async def told() -> list[str]:
        async with engine.connect() as connection:
            return list(await connection.scalars(text("SELECT result FROM audit ORDER BY number")))

    begun = asyncio.Event()

    async def command() -> None:
        settings = settings_with(database_url=database_url)
        async with recorded(settings, "data rotate", changes=True):
            begun.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(command())
    await begun.wait()
    assert await told() == ["begun"]
    running.cancel()  # what Ctrl-C does
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await told() == ["begun", "interrupted"]


async def test_a_migration_that_was_made_and_whose_role_could_not_be_is_told_of(
    database_url: str, engine: AsyncEngine
) -> None:
    owner = make_url(database_url)
    name = f"lesser_{token_hex(4)}"
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        for table in ("audit", "audit_end", "alembic_version"):
            await connection.execute(text(f"ALTER TABLE {table} OWNER TO {name}"))
    lesser = owner.set(username=name).render_as_string(hide_password=False)
    service = owner.set(username="nobody_yet").render_as_string(hide_password=False)
    settings = environment_of(database_url=service, database_owner_url=lesser)
    run = await asyncio.to_thread(lambda: CliRunner().invoke(app, ["migrate"], env=settings))
    assert run.exit_code == 1
    async with engine.begin() as connection:
        rows = await connection.execute(text("SELECT what, result FROM audit"))
        assert [tuple(row) for row in rows] == [("migrate", "failed: RoleError")]
        await connection.execute(text(f"REASSIGN OWNED BY {name} TO {owner.username}"))
        await connection.execute(text(f"DROP ROLE {name}"))
