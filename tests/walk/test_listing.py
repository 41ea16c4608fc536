"""The list of payments, as the back office reads it while the shop goes on."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.walk.running import MANDATE, RETURN_URL, Running, by_token, new_order

DECLINED = "pm_card_chargeDeclined"


async def ids(running: Running, **query: Any) -> list[str]:
    answer = await running.shop.get("/api/payments", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["next_cursor"] is None
    return [row["order_id"] for row in answer.json()["payments"]]


async def test_every_kind_of_payment_is_found_by_what_became_of_it(running: Running) -> None:
    customer = new_order("customer")
    whose = {"customer_id": customer}
    began = datetime.now(UTC).isoformat()
    fulfilled = await running.paid("fulfilled", **whose)
    declined, asked, debited = new_order("declined"), new_order("asked"), new_order("debited")
    await running.initiate(by_token(declined, DECLINED, **whose))
    between = datetime.now(UTC).isoformat()
    ideal = {"payment_method": "ideal", "currency": "eur", "return_url": RETURN_URL}
    await running.taken_on(by_token(asked, **whose) | ideal | {"payment_method_token": None})
    sepa = {"payment_method": "sepa_debit", "currency": "eur", "mandate": MANDATE}
    await running.taken_on(by_token(debited, "pm_sepaDebit_success", **whose) | sepa)
    disputed = await running.paid("disputed", **whose)
    intent = (await running.read(disputed))["transaction_id"]
    await running.control("disputes", payment_intent=intent)
    await running.until(disputed, status="disputed")

    async def found(**query: Any) -> list[str]:
        return await ids(running, **whose, **query)

    everything = [disputed, debited, asked, declined, fulfilled]
    assert await found() == everything
    assert await found(status="captured") == [fulfilled]
    assert await found(status="declined") == [declined]
    assert await found(status=["requires_action", "processing"]) == [debited, asked]
    assert await found(payment_method="credit_card") == [disputed, declined, fulfilled]
    assert await found(payment_method=["ideal", "sepa_debit"]) == [debited, asked]
    assert await found(needs_attention="true") == [disputed]
    assert await found(needs_attention="false") == everything[1:]
    assert await found(created_from=between) == [disputed, debited, asked]
    assert await found(created_from=began, created_until=between) == [declined, fulfilled]
    assert await found(created_from=between, payment_method="credit_card") == [disputed]
    assert await ids(running, customer_id=new_order("nobody")) == []


async def test_every_payment_is_seen_once_while_new_ones_arrive(running: Running) -> None:
    customer, over = new_order("customer"), asyncio.Event()

    async def order() -> str:
        order_id = new_order("paged")
        await running.initiate(by_token(order_id, DECLINED, customer_id=customer))
        return order_id

    async def keep_ordering() -> int:
        count = 0
        while not over.is_set():
            await order()
            count += 1
        return count

    placed = [await order() for _ in range(9)]
    ordering = asyncio.create_task(keep_ordering())
    seen: list[str] = []
    pages = 0
    path: str | None = f"/api/payments?customer_id={customer}&limit=2"
    while path is not None:
        page = (await running.shop.get(path)).json()
        seen += [row["order_id"] for row in page["payments"]]
        path = page["links"]["next"]
        pages += 1
        # Each page is read of a longer list.
        await order()
    over.set()
    arrived = await ordering + pages

    assert len(seen) == len(set(seen))
    assert [order_id for order_id in seen if order_id in placed] == placed[::-1]
    assert len(await ids(running, customer_id=customer, limit=100)) == len(placed) + arrived
