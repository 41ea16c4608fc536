"""The database goes away, and comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import create_engine
from app.db.migrate import migrate
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.order import Mandate, Order
from app.domain.records import Filter, RecordsUnavailableError
from app.embedded.ports import free_port
from app.embedded.postgres import PostgresPart
from app.embedded.supervisor import Supervisor
from tests.conftest import KEYRING
from tests.db.conftest import NOON
from tests.db.test_inbox import EVENTS

EXPIRED = Fact(Event.EXPIRED, NOON, Source.WORKFLOW)
MANDATE = Mandate("192.0.2.7", "a browser")


@pytest.fixture
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture
async def own_server(own_folder: Path) -> AsyncIterator[Supervisor]:
    async with Supervisor(own_folder) as supervisor:
        yield supervisor


async def test_nothing_is_lost_and_every_call_says_so(
    own_server: Supervisor, own_folder: Path, order: Order
) -> None:
    postgres = PostgresPart(own_folder, free_port())
    await own_server.start(postgres)
    await asyncio.to_thread(migrate, postgres.url)
    engine = create_engine(postgres.url)
    records = PostgresRecords(engine, "stripe", KEYRING)
    await records.open_order(order)

    await own_server.kill("postgres")
    for call in (
        lambda: records.open_order(order),
        lambda: records.find_order("order-1"),
        lambda: records.find_payment("order-1"),
        lambda: records.find_order_paid_by("pi_1"),
        lambda: records.list_payments(Filter(), None, 10),
        lambda: records.facts("order-1"),
        lambda: records.append("order-1", [EXPIRED]),
        lambda: records.open_refund("order-1", "ref_1", 4999, "shopper@example.com sent it back"),
        lambda: records.accept_mandate("order-1", MANDATE),
        lambda: records.find_customer("customer-1"),
        lambda: records.keep_customer("customer-1", "cus_1"),
        lambda: records.take_callback(EVENTS[0]),
        lambda: records.keep_foreign_callback(EVENTS[1]),
        lambda: records.foreign_callbacks(10),
        lambda: records.orders_called_back("", 10),
        lambda: records.callbacks_to_deliver("order-1", 10),
        lambda: records.waiting_callbacks(10),
        lambda: records.callback_delivered(EVENTS[0], "signalled"),
        lambda: records.callback_refused(EVENTS[0], "too long a history"),
        lambda: records.stranded_orders(NOON, "", 10),
    ):
        with pytest.raises(RecordsUnavailableError) as failure:
            await call()
        told = f"{failure.value!r} {failure.value.__cause__!r} {failure.value.__cause__}"
        assert "order-1" not in told
        assert "shopper@example.com" not in told
        assert MANDATE.ip_address not in told

    await own_server.revive("postgres")
    assert await records.find_order("order-1") == order
    assert len(await records.facts("order-1")) == 1
    assert await records.find_customer("customer-1") is None
    assert await records.foreign_callbacks(10) == []
    await engine.dispose()


async def test_who_waits_too_long_for_another_writer_is_told_to_try_again(
    paid: PostgresRecords, connection: AsyncConnection
) -> None:
    await connection.execute(text("SELECT 1 FROM orders FOR UPDATE"))
    told = await asyncio.gather(
        paid.append("order-1", [EXPIRED]),
        paid.open_refund("order-1", "ref_1", 4999, None),
        paid.accept_mandate("order-1", MANDATE),
        return_exceptions=True,
    )
    assert [type(error) for error in told] == 3 * [RecordsUnavailableError]
    await connection.rollback()
    assert len(await paid.facts("order-1")) == 2
