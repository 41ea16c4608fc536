"""The list of payments: each once, the newest first, and only those that were asked for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain.card_numbers import blotted
from tests.api.problems import problem, wrong_at
from tests.walk.cards import canary, found_in, spaced
from tests.walk.running import Json, Running, by_token, new_order


async def page(running: Running, **query: Any) -> Json:
    answer = await running.shop.get("/api/payments", params=query)
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


async def ids(running: Running, **query: Any) -> list[str]:
    told = await page(running, **query)
    assert told["next_cursor"] is None
    return [row["order_id"] for row in told["payments"]]


async def pages(running: Running, path: str | None) -> AsyncIterator[Json]:
    """From `path` on, as far as the links go."""
    while path is not None:
        answer = await running.shop.get(path)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        path = answer.json()["links"]["next"]


async def ordered(running: Running, customer: str, count: int = 1, **more: Any) -> list[str]:
    """Orders of a customer, the newest first."""
    placed = [new_order("listed") for _ in range(count)]
    for order_id in reversed(placed):
        await running.initiate(by_token(order_id, customer_id=customer, **more))
    return placed


async def test_every_payment_is_listed_once_and_the_newest_first(running: Running) -> None:
    customer = new_order("customer")
    placed = await ordered(running, customer, 5)

    seen: list[str] = []
    sizes: list[int] = []
    async for told in pages(running, f"/api/payments?customer_id={customer}&limit=2"):
        seen += [row["order_id"] for row in told["payments"]]
        sizes.append(len(told["payments"]))
        assert (told["next_cursor"] is None) == (told["links"]["next"] is None)
        # A payment that starts meanwhile moves no other.
        await ordered(running, customer)

    assert seen == placed
    assert sizes == [2, 2, 1]
    newer = await ids(running, customer_id=customer)
    assert len(newer) == 8
    assert newer[3:] == placed
    assert await ids(running, customer_id=customer, limit=8) == newer


async def test_a_line_tells_what_the_payment_tells(running: Running) -> None:
    customer = new_order("customer")
    [order_id] = await ordered(running, customer)
    order = await running.until(order_id)
    [row] = (await page(running, customer_id=customer))["payments"]
    for same in ("order_id", "payment_id", "status", "order_status", "amount", "currency"):
        assert row[same] == order[same]
    for same in ("authorized", "captured", "refunded", "disputed", "links"):
        assert row[same] == order[same]
    assert (row["payment_method"], row["paid_with"]) == ("credit_card", "visa ending 4242")
    assert row["needs_attention"] is False
    created, initiated = row["created_at"], order["timeline"][0]["at"]
    late = datetime.fromisoformat(created) - datetime.fromisoformat(initiated)
    assert abs(late) < timedelta(minutes=1)


async def test_only_what_was_asked_for_is_listed(running: Running) -> None:
    customer = new_order("customer")
    begun = datetime.now(UTC).isoformat()
    [declined] = await ordered(running, customer, payment_method_token="pm_card_chargeDeclined")
    [held] = await ordered(running, customer, capture="manual")
    between = datetime.now(UTC).isoformat()
    [returned] = await ordered(running, customer, payment_method_token="pm_card_refundFail")
    await running.until(returned)
    await running.shop.post(
        f"/api/payment/{returned}/refunds", headers={"Idempotency-Key": "returned"}
    )
    await running.until(returned, refunded="0.00")
    await running.until(held, status="authorized")

    async def found(**query: Any) -> list[str]:
        return await ids(running, customer_id=customer, **query)

    assert await found() == [returned, held, declined]
    assert await found(status="declined") == [declined]
    assert await found(status=["authorized", "declined"]) == [held, declined]
    assert await found(payment_method="credit_card") == [returned, held, declined]
    assert await found(payment_method=["ideal", "sepa_debit"]) == []
    assert await found(needs_attention="true") == [returned]
    assert await found(needs_attention="false") == [held, declined]
    assert await found(created_from=between) == [returned]
    assert await found(created_until=between) == [held, declined]
    assert await found(created_from=begun, created_until=begun) == []
    assert await found(status="authorized", created_from=between) == []
    assert await ids(running, customer_id=new_order("nobody")) == []


async def test_the_links_ask_for_what_was_asked_for(running: Running) -> None:
    customer = new_order("customer")
    await ordered(running, customer, 2, payment_method_token="pm_card_chargeDeclined")
    asked = {
        "status": ["declined", "failed"],
        "payment_method": "credit_card",
        "created_from": "2026-01-01T01:00:00+01:00",
        "created_until": "2126-01-01T00:00:00Z",
        "needs_attention": "false",
        "customer_id": customer,
        "limit": "1",
    }
    first = await page(running, **asked)
    query = httpx.QueryParams(httpx.URL(first["links"]["next"]).query)
    assert query.get_list("status") == asked["status"]
    assert query["created_from"] == "2026-01-01T01:00:00+01:00"
    assert query["needs_attention"] == "false"
    assert query["cursor"] == first["next_cursor"]
    [again] = [told async for told in pages(running, first["links"]["self"])][:1]
    assert again["payments"] == first["payments"]
    second = await page(running, **asked, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    assert first["payments"] != second["payments"]


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({"state": "captured"}, "state"),
        ({canary(): "1"}, "address"),
        ({"status": "paid"}, "status"),
        ({"status": ["captured", canary()]}, "address"),
        ({"status": ""}, "status"),
        ({"payment_method": "cash"}, "payment_method"),
        ({"created_from": "yesterday"}, "created_from"),
        ({"created_from": "2026-11-22"}, "created_from"),
        ({"created_from": "2026-11-22T10:00:00"}, "created_from"),
        ({"created_until": "20301122"}, "created_until"),
        ({"needs_attention": "maybe"}, "needs_attention"),
        ({"customer_id": "a b"}, "customer_id"),
        ({"customer_id": spaced(canary(), "-")}, "address"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "all"}, "limit"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "ключ"}, "cursor"),
        ({"cursor": canary()}, "address"),
    ],
    ids=lambda value: blotted(str(value))[:40],
)
async def test_what_cannot_be_asked_is_named_and_not_repeated(
    running: Running, query: Json, location: str
) -> None:
    answer = await running.shop.get("/api/payments", params=query)
    wrong_at(answer, location)
    assert not found_in(answer.content)


async def test_a_damaged_cursor_is_refused_wherever_it_is_damaged(running: Running) -> None:
    customer = new_order("customer")
    await ordered(running, customer, 2, payment_method_token="pm_card_chargeDeclined")
    cursor = (await page(running, customer_id=customer, limit=1))["next_cursor"]
    for at, written in enumerate(cursor):
        other = "A" if written != "A" else "B"
        damaged = cursor[:at] + other + cursor[at + 1 :]
        answer = await running.shop.get("/api/payments", params={"cursor": damaged})
        assert "start again" in wrong_at(answer, "cursor")
    for damaged in (cursor[:-1], cursor + "A", cursor + "=", cursor + " "):
        answer = await running.shop.get("/api/payments", params={"cursor": damaged})
        wrong_at(answer, "cursor")


async def test_strangers_see_no_list(running: Running) -> None:
    async with running.storefront(running.stack.api_url, key=None) as stranger:
        problem(await stranger.get("/api/payments"), 401, "unauthorized")
