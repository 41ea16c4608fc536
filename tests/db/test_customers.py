"""Customers: who a storefront's customer is at the gateway."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.records import PostgresRecords
from tests.conftest import KEYRING


async def test_a_customer_is_somebody_at_the_gateway_once_kept(records: PostgresRecords) -> None:
    assert await records.find_customer("customer-1") is None
    assert await records.keep_customer("customer-1", "cus_1") == "cus_1"
    assert await records.find_customer("customer-1") == "cus_1"
    assert await records.find_customer("customer-2") is None


async def test_a_customer_stays_who_they_first_were(records: PostgresRecords) -> None:
    await records.keep_customer("customer-1", "cus_1")
    assert await records.keep_customer("customer-1", "cus_2") == "cus_1"
    assert await records.find_customer("customer-1") == "cus_1"


async def test_of_twenty_at_once_the_first_one_wins(records: PostgresRecords) -> None:
    kept = await asyncio.gather(
        *(records.keep_customer("customer-1", f"cus_{n}") for n in range(20))
    )
    assert set(kept) == {await records.find_customer("customer-1")}


async def test_another_gateway_knows_the_customer_by_another_name(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    other = PostgresRecords(engine, "another", KEYRING)
    await records.keep_customer("customer-1", "cus_1")
    assert await other.find_customer("customer-1") is None
    assert await other.keep_customer("customer-1", "buyer-1") == "buyer-1"
    assert await records.find_customer("customer-1") == "cus_1"
