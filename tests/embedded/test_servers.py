"""PostgreSQL, Temporal and the mail server on their own: they start and keep what they had."""

import mailbox
import os
import signal
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from app.embedded.mail import MailPart
from app.embedded.ports import free_port
from app.embedded.postgres import PostgresPart
from app.embedded.supervisor import Supervisor
from app.embedded.temporal import TemporalPart
from tests.embedded.processes import alive, children_of, listening_addresses, until

ORDER_ID = SearchAttributeKey.for_keyword("OrderId")


@dataclass
class Servers:
    supervisor: Supervisor
    postgres: PostgresPart
    temporal: TemporalPart
    mail: MailPart
    lines: list[str]

    async def database(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            self.postgres.url.replace("+psycopg", ""), autocommit=True
        )


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    lines: list[str] = []
    async with Supervisor(folder, lines.append) as supervisor:
        postgres = PostgresPart(folder, free_port())
        temporal = TemporalPart(folder, free_port(), free_port(), time_skipping=True)
        mail = MailPart(folder, free_port())
        await supervisor.start(postgres, temporal, mail)
        yield Servers(supervisor, postgres, temporal, mail, lines)


async def test_each_start_is_reported_with_its_time(servers: Servers) -> None:
    for title in ("PostgreSQL", "Temporal", "Mail server"):
        assert any(line.startswith(f"{title} ready in ") for line in servers.lines)


async def test_postgresql_keeps_committed_rows_through_kill_9(servers: Servers) -> None:
    async with await servers.database() as connection:
        await connection.execute("CREATE TABLE kept (order_id text)")
        await connection.execute("INSERT INTO kept VALUES ('order-1')")

    await servers.supervisor.kill("postgres")
    await servers.supervisor.revive("postgres")

    async with await servers.database() as connection:
        rows = await connection.execute("SELECT order_id FROM kept")
        assert await rows.fetchall() == [("order-1",)]


async def test_temporal_keeps_started_workflows_through_kill_9(servers: Servers) -> None:
    client = await Client.connect(servers.temporal.address)
    await client.start_workflow(
        "Unattended",
        id="payment-order-1",
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(ORDER_ID, "order-1")]),
    )

    await servers.supervisor.kill("temporal")
    await servers.supervisor.revive("temporal")

    client = await Client.connect(servers.temporal.address)
    found = await client.get_workflow_handle("payment-order-1").describe()
    assert found.typed_search_attributes[ORDER_ID] == "order-1"


async def test_a_part_that_dies_is_started_again_and_said_so(servers: Servers) -> None:
    first = servers.supervisor.pid("postgres")
    servers.lines.clear()

    os.kill(first, signal.SIGKILL)

    await until(lambda: any("is back" in line for line in servers.lines))
    assert servers.lines[0] == "PostgreSQL died (killed by SIGKILL); starting it again in 0.5 s"
    assert servers.supervisor.pid("postgres") != first
    async with await servers.database() as connection:
        rows = await connection.execute("SELECT 1")
        assert await rows.fetchone() == (1,)


async def test_mail_lands_in_the_folder(servers: Servers) -> None:
    message = EmailMessage()
    message["Subject"] = "Your order"
    message["From"] = "orders@example.com"
    message["To"] = "shopper@example.com"
    message.set_content("On its way.")
    with smtplib.SMTP("127.0.0.1", servers.mail.port) as smtp:
        smtp.send_message(message)

    subjects = [mail["Subject"] for mail in mailbox.Maildir(servers.mail.maildir)]
    assert subjects == ["Your order"]


async def test_the_servers_listen_on_this_machine_only(servers: Servers) -> None:
    parts = (servers.postgres, servers.temporal, servers.mail)
    ports = {port for part in parts for port in part.doors()}
    assert listening_addresses(ports) == {"127.0.0.1"}


async def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(PostgresPart(tmp_path, free_port()), MailPart(tmp_path, free_port()))
        started = {supervisor.pid("postgres"), supervisor.pid("mail")}
        started |= set(children_of(supervisor.pid("postgres")))
        assert len(started) > 2
    assert not [pid for pid in started if alive(pid)]
