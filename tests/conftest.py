"""The parts that tests stand on, all real: each starts when the first test asks for it.

One PostgreSQL, one Temporal and one sandbox gateway serve the whole run. A test gets an empty,
migrated database of its own; in Temporal and the sandbox it keeps apart by its order ids.
"""

import asyncio
import os
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from app.config import Settings
from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.db.migrate import migrate
from app.db.records import PostgresRecords
from app.domain.card_numbers import holds_card_number
from app.embedded.ports import free_port
from app.embedded.postgres import PostgresPart
from app.embedded.supervisor import Supervisor
from app.embedded.temporal import TemporalPart
from app.gateways.stripe import StripeGateway
from app.temporal.client import connect
from tests.sandbox.program import KEY, SECRET, Receiver, Sandbox

# Without a stopwatch: this machine may be slow.
hypothesis.settings.register_profile("tillflow", deadline=None, max_examples=200)
hypothesis.settings.load_profile("tillflow")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """No test's name holds a card number: pytest puts it into the environment, from where every
    program that a test starts would have it."""
    return argname if isinstance(val, str | bytes) and holds_card_number(str(val)) else None


def settings_with(**known: Any) -> Settings:
    """Settings of which only what is `known` matters."""
    needed = {
        "embedded": True,
        "encryption_keys": "tests:" + b64encode(b"encryption key of the tests: 32!").decode(),
        "database_url": "postgresql+psycopg://127.0.0.1:1/nowhere",
        "temporal_address": "127.0.0.1:1",
        "stripe_api_base": "http://127.0.0.1:1",
        "stripe_api_key": KEY,
        "stripe_webhook_secret": SECRET,
        "callback_secret": "whsec_" + b64encode(b"callback secret of the tests").decode(),
    }
    return Settings(**{**needed, **known})


# Fit for production.
FIT = {
    "embedded": False,
    "encryption_keys": "tests:" + b64encode(sha256(b"encryption").digest()).decode(),
    "temporal_address": "127.0.0.1:7233",
    "stripe_api_key": "sk_test_" + sha256(b"gateway").hexdigest(),
    "stripe_webhook_secret": "whsec_" + sha256(b"webhook").hexdigest(),
    "callback_secret": "whsec_" + b64encode(sha256(b"callback").digest()).decode(),
}


def environment_of(**known: Any) -> dict[str, str]:
    """The environment of a command for which only what is `known` matters. Fit for production."""
    settings = settings_with(**{**FIT, **known})
    given = settings.model_dump(include=settings.model_fields_set - {"embedded"})
    return {name.upper(): _written(value) for name, value in given.items()}


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(_written(part) for part in value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


KEYRING = settings_with().keyring()


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and logs of the servers of this run."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
async def supervisor(stack_folder: Path) -> AsyncIterator[Supervisor]:
    """Starts servers, and stops them all after the last test."""
    async with Supervisor(stack_folder) as running:
        yield running


@pytest.fixture(scope="session")
async def postgres_url(supervisor: Supervisor, stack_folder: Path) -> str:
    """A PostgreSQL server, by the URL of a database that holds nothing."""
    postgres = PostgresPart(stack_folder, free_port())
    await supervisor.start(postgres)
    return postgres.url


@pytest.fixture(scope="session")
async def template_url(postgres_url: str) -> str:
    """A migrated database without a row but the development key. Only to be copied."""
    url = _database(postgres_url, "template_of_tests")
    await _execute(postgres_url, "CREATE DATABASE {}", url)
    await asyncio.to_thread(migrate, url)
    engine = create_engine(url)
    await ApiKeys(engine, embedded=True).put_development_key()
    await engine.dispose()
    return url


@asynccontextmanager
async def fresh_database(template_url: str) -> AsyncIterator[str]:
    """A migrated database of one's own, dropped in the end."""
    url = _database(template_url, f"test_{uuid4().hex}")
    maintenance = _database(template_url, "postgres")
    await _execute(maintenance, "CREATE DATABASE {} TEMPLATE {}", url, template_url)
    try:
        yield url
    finally:
        await _execute(maintenance, "DROP DATABASE {} WITH (FORCE)", url)


@pytest.fixture
async def database_url(template_url: str) -> AsyncIterator[str]:
    """A migrated database for one test."""
    async with fresh_database(template_url) as url:
        yield url


@pytest.fixture
async def service_url(database_url: str) -> AsyncIterator[str]:
    """The same by a role of the service's, which `migrate` makes."""
    name, owner = f"service_{secrets.token_hex(4)}", make_url(database_url)
    url = owner.set(username=name, password=secrets.token_hex(32))
    service_url = url.render_as_string(hide_password=False)
    for _ in range(2):  # safe to repeat
        await asyncio.to_thread(migrate, database_url, service_url)
    yield service_url
    plain = owner.set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as admin:
        for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
            await admin.execute(sql.SQL(statement).format(sql.Identifier(name)))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def records(engine: AsyncEngine) -> PostgresRecords:
    return PostgresRecords(engine, "stripe", KEYRING)


@pytest.fixture(scope="session")
async def temporal_address(supervisor: Supervisor, stack_folder: Path) -> str:
    """A Temporal server on which a test can move a workflow's clock."""
    temporal = TemporalPart(stack_folder, free_port(), free_port(), time_skipping=True)
    await supervisor.start(temporal)
    return temporal.address


@pytest.fixture(scope="session")
async def temporal_client(temporal_address: str) -> Client:
    return await connect(settings_with(temporal_address=temporal_address))


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every sandbox of this run writes its exchanges: the embedded stack's, too, when the
    environment names the file (`make traffic`)."""
    named = os.environ.get("SANDBOX_RECORD")
    return Path(named) if named else tmp_path_factory.mktemp("sandbox") / "exchanges.jsonl"


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory, record: Path) -> AsyncIterator[Sandbox]:
    """A running sandbox shared by the whole run: its clock and deliveries are left alone."""
    program = Sandbox(tmp_path_factory.mktemp("shared"), record)
    await program.start()
    yield program
    await program.close()


@pytest.fixture
async def own_sandbox(tmp_path: Path, record: Path, receiver: Receiver) -> AsyncIterator[Sandbox]:
    """A running sandbox for one test, sending its events to `receiver`."""
    program = Sandbox(tmp_path, record, webhook_url=receiver.url)
    await program.start()
    yield program
    await program.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint that takes what a gateway sends."""
    endpoint = Receiver()
    yield endpoint
    endpoint.close()


@pytest.fixture(scope="session")
async def stripe_gateway(sandbox: Sandbox) -> AsyncIterator[StripeGateway]:
    """The Stripe adapter on the shared sandbox."""
    gateway = StripeGateway(
        api_key=KEY, api_base=sandbox.url, webhook_secrets=[SECRET], timeout_seconds=20
    )
    yield gateway
    await gateway.close()


def _database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def _execute(url: str, statement: str, *databases: str) -> None:
    """Run a statement on the database at `url`; `databases` are named in it by their URLs."""
    names = [sql.Identifier(make_url(database).database or "") for database in databases]
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
        await connection.execute(sql.SQL(statement).format(*names))
