"""Every way back for money, walked: held and let go, taken in part, refunded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.api.problems import places, problem
from tests.walk.running import (
    MANDATE,
    RETURN_URL,
    Json,
    Running,
    by_token,
    new_order,
)

REFUND = "/v1/refunds"


async def held(running: Running, name: str, **more: Any) -> str:
    """An order whose money is held until the storefront says."""
    order_id = new_order(name)
    await running.taken_on(by_token(order_id, capture="manual", **more))
    await running.until(order_id, status="authorized")
    return order_id


async def refunds(running: Running, order_id: str) -> list[Json]:
    answer = await running.shop.get(f"/api/payment/{order_id}/refunds")
    assert answer.status_code == 200, answer.text
    listed: list[Json] = answer.json()["refunds"]
    return listed


async def refunded_once(running: Running, order_id: str, amount: int) -> None:
    """The gateway made one refund, of `amount`."""
    ledger = await running.ledger(order_id)
    assert ledger["orders"][order_id]["refunds"] == 1
    assert (await running.money(order_id))["refunded"] == amount


# Held, and taken when the storefront asks.


async def test_held_money_is_taken_whole_when_the_storefront_asks(running: Running) -> None:
    order_id = await held(running, "whole")
    assert (await running.money(order_id))["captured"] == 0
    taken = await running.ask(order_id, "capture")
    assert (taken.status_code, taken.json()["status"]) == (200, "captured")
    order = await running.until(order_id)
    assert order["captured"] == "49.99"
    await running.charged_once(order_id)


async def test_a_part_is_taken_and_the_rest_let_go_once_and_for_all(running: Running) -> None:
    order_id = await held(running, "part")
    for _ in range(3):
        taken = await running.ask(order_id, "capture", amount="10.00")
        assert taken.status_code == 200, taken.text
    told = problem(await running.ask(order_id, "capture", amount="20.00"), 409, "not-capturable")
    assert told["captured"] == "10.00"
    order = await running.until(order_id)
    assert (order["authorized"], order["captured"]) == ("49.99", "10.00")
    money = await running.money(order_id)
    assert (money["captured"], money["released"]) == (1000, 3999)
    await running.charged_once(order_id, 1000)


@pytest.fixture
async def short_window(running: Running) -> AsyncIterator[None]:
    """The gateway holds cards for seconds only."""
    await running.control("capture-window", seconds=12)
    yield
    await running.control("capture-window", seconds=None)


@pytest.mark.usefixtures("short_window")
async def test_a_hold_about_to_end_is_warned_of_and_its_end_is_told(running: Running) -> None:
    before = await running.on_the_shelf()
    order_id = await held(running, "window", metadata={"sku": "sample-mug"})
    order = await running.read(order_id)
    ends = datetime.fromisoformat(order["capture_before"])
    assert ends > datetime.now(UTC)
    assert order["needs_attention"] == []

    order = await running.worrying(order_id)

    assert order["needs_attention"] == ["the hold ends soon: capture or cancel"]
    assert order["status"] == "authorized"
    assert await running.on_the_shelf() == before - 1
    [due] = [row for row in order["timeline"] if row["event"] == "capture_due"]
    assert f"{ends:%Y-%m-%d %H:%M} UTC" in due["summary"]
    assert datetime.fromisoformat(due["at"]) < ends

    order = await running.until(order_id, order_status="canceled")
    assert (order["status"], order["captured"]) == ("voided", "0.00")
    assert order["timeline"][-1]["summary"] == "order canceled: the hold ended uncaptured"
    problem(await running.ask(order_id, "capture"), 409, "not-capturable")
    assert not await running.shipped(order_id)
    assert await running.on_the_shelf() == before
    await running.never_charged(order_id)


# Called off before the money is taken.


async def test_an_order_is_called_off_while_the_shopper_is_at_their_bank(running: Running) -> None:
    order_id = new_order("at-the-bank")
    told = await running.taken_on(
        by_token(order_id, "pm_card_threeDSecure2Required", return_url=RETURN_URL)
    )
    canceled = await running.ask(order_id, "cancel", reason="the shopper called")
    assert canceled.status_code == 200, canceled.text
    assert canceled.json()["order_status"] == "canceled"
    assert (await running.shopper_answers(told)).status_code == 410
    problem(await running.initiate(by_token(order_id)), 409, "order-closed")
    assert set((await running.money(order_id)).values()) == {0}


async def test_a_hold_is_let_go_once_however_often_the_order_is_called_off(
    running: Running,
) -> None:
    before = await running.on_the_shelf()
    order_id = await held(running, "let-go", metadata={"sku": "sample-mug"})
    answers = await asyncio.gather(*(running.ask(order_id, "cancel") for _ in range(5)))
    answers.append(await running.ask(order_id, "cancel", reason="again"))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["status"], told["order_status"]) == ("voided", "canceled")
    money = await running.money(order_id)
    assert (money["authorized"], money["released"], money["captured"]) == (4999, 4999, 0)
    assert await running.on_the_shelf() == before


async def test_an_order_is_called_off_while_it_is_being_paid(running: Running) -> None:
    order_id = new_order("being-paid")
    await running.control(
        "faults", method="POST", path="/v1/payment_intents", action="hang", seconds=3
    )
    paying = asyncio.create_task(running.initiate(by_token(order_id)))
    await running.until_hit()

    canceled = await running.ask(order_id, "cancel")

    assert canceled.status_code in (200, 202), canceled.text
    await paying
    await running.until(order_id, order_status="canceled", status="voided")
    money = await running.money(order_id)
    assert (money["authorized"], money["released"], money["captured"]) == (4999, 4999, 0)


@pytest.mark.parametrize(
    ("account", "status", "back"), [("success", "refunded", 4999), ("failed", "voided", 0)]
)
async def test_a_debit_called_off_while_the_bank_decides_leaves_nothing_taken(
    running: Running, account: str, status: str, back: int
) -> None:
    order_id = new_order("debit")
    sepa = {"payment_method": "sepa_debit", "currency": "eur", "mandate": MANDATE}
    told = await running.taken_on(by_token(order_id, f"pm_sepaDebit_{account}") | sepa)
    canceled = await running.ask(order_id, "cancel", reason="the shopper called")
    assert (canceled.status_code, canceled.json()["order_status"]) == (202, "open")

    await running.control("settle", id=told["transaction_id"])

    order = await running.until(order_id, order_status="canceled", status=status)
    assert "the shopper called" in " ".join(row["summary"] for row in order["timeline"])
    await running.callbacks_delivered(order_id)
    assert (await running.read(order_id))["needs_attention"] == []
    assert not await running.shipped(order_id)
    money = await running.money(order_id, "eur")
    assert (money["captured"], money["refunded"]) == (back, back)


async def test_what_was_taken_is_refunded_and_not_called_off(running: Running) -> None:
    order_id = await running.paid("taken")
    told = problem(await running.ask(order_id, "cancel"), 409, "not-cancelable")
    assert "refund it" in told["detail"]
    back = await running.shop.post(
        told["links"]["refunds"], json={}, headers={"Idempotency-Key": "all"}
    )
    assert back.status_code == 201, back.text
    await running.until(order_id, status="refunded")
    await refunded_once(running, order_id, 4999)


# Refunded.


async def test_money_goes_back_in_parts_and_never_more_than_was_taken(running: Running) -> None:
    order_id = await running.paid("parts")
    for key, amount in (("one", "10.00"), ("two", "15.00")):
        answer = await running.ask(order_id, "refunds", key, amount=amount)
        assert (answer.status_code, answer.json()["status"]) == (201, "succeeded")
    told = problem(
        await running.ask(order_id, "refunds", "more", amount="25.00"), 409, "not-refundable"
    )
    assert told["refundable"] == "24.99"
    assert (await running.ask(order_id, "refunds", "rest")).json()["amount"] == "24.99"
    for body in ({}, {"amount": "0.01"}):
        problem(await running.ask(order_id, "refunds", "none", **body), 409, "not-refundable")

    order = await running.until(order_id, status="refunded")

    assert (order["captured"], order["refunded"]) == ("49.99", "49.99")
    assert [each["amount"] for each in await refunds(running, order_id)] == [
        "10.00",
        "15.00",
        "24.99",
    ]
    assert (await running.money(order_id))["refunded"] == 4999


async def test_one_key_is_one_refund_however_often_and_at_once(running: Running) -> None:
    order_id = await running.paid("key")
    answers = await asyncio.gather(
        *(running.ask(order_id, "refunds", "one", amount="10.00") for _ in range(20))
    )
    answers.append(await running.ask(order_id, "refunds", "one", amount="10.00"))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["refund_id"] for answer in answers}) == 1
    other = await running.ask(order_id, "refunds", "one", amount="11.00")
    problem(other, 409, "idempotency-key-reused")
    assert places(await running.ask(order_id, "refunds", amount="10.00")) == ["Idempotency-Key"]
    await refunded_once(running, order_id, 1000)


async def test_a_refund_on_its_way_is_told_and_then_its_arrival(running: Running) -> None:
    order_id = await running.paid("on-its-way", "pm_card_pendingRefund")
    answer = await running.ask(order_id, "refunds", "one", amount="10.00")
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    order = await running.until(order_id, refunded="10.00")
    assert (order["status"], order["refunds_pending"]) == ("partially_refunded", "0.00")
    told = [row["event"] for row in order["timeline"] if "refund" in row["event"]]
    assert told == ["refund_pending", "refund_pending", "refunded"]
    await refunded_once(running, order_id, 1000)


async def test_a_refund_that_comes_back_is_ours_again_and_somebody_is_told(
    running: Running,
) -> None:
    order_id = await running.paid("comes-back", "pm_card_refundFail")
    assert (await running.ask(order_id, "refunds", "one")).json()["status"] == "succeeded"

    order = await running.until(order_id, refunded="0.00")

    assert (order["status"], order["refundable"]) == ("captured", "49.99")
    [failed] = await refunds(running, order_id)
    assert (failed["status"], failed["failure"]) == ("failed", "expired_or_canceled_card")
    [worry] = order["needs_attention"]
    assert worry == (f"refund {failed['refund_id']} of 49.99 USD failed: expired_or_canceled_card")
    assert (await running.money(order_id))["refunded"] == 0


async def test_a_refund_begun_in_the_dashboard_ends_in_the_same_figures(running: Running) -> None:
    order_id = await running.paid("dashboard")
    intent = (await running.read(order_id))["transaction_id"]
    made = await running.at_the_gateway("POST", REFUND, payment_intent=intent, amount=1000)

    order = await running.until(order_id, status="partially_refunded")

    assert (order["refunded"], order["refundable"]) == ("10.00", "39.99")
    [listed] = await refunds(running, order_id)
    assert listed["gateway_refund_id"] == made["id"]
    assert (listed["amount"], listed["status"]) == ("10.00", "succeeded")
    [told] = [row for row in order["timeline"] if row["event"] == "refunded"]
    assert (told["source"], told["summary"]) == ("callback", "10.00 USD was refunded")
    problem(await running.ask(order_id, "refunds", "more", amount="40.00"), 409, "not-refundable")
    await refunded_once(running, order_id, 1000)


async def test_a_refund_survives_its_worker_and_is_made_once(running: Running) -> None:
    order_id = await running.paid("worker")
    # Longer than a dead worker goes unnoticed: the next try meets the first one at the gateway.
    hang = {"action": "hang", "seconds": 9}
    await running.control("faults", method="POST", path=REFUND, **hang)
    asking = asyncio.create_task(running.ask(order_id, "refunds", "one", amount="10.00"))
    await running.until_hit()
    # What begins to hang later and as long ends later.
    await running.control("faults", method="GET", path="/v1/events", **hang)
    first_try_over = asyncio.create_task(running.at_the_gateway("GET", "/v1/events"))
    await running.kill("worker")
    await running.revive("worker")

    answer = await asking

    assert answer.status_code in (201, 202), answer.text
    await first_try_over
    order = await running.until(order_id, refunded="10.00")
    assert [each["refund_id"] for each in order["refunds"]] == [answer.json()["refund_id"]]
    await refunded_once(running, order_id, 1000)


async def test_a_refund_whose_answer_was_lost_is_asked_for_again_and_made_once(
    running: Running,
) -> None:
    order_id = await running.paid("answer")
    await running.control("faults", method="POST", path=REFUND, action="hang", seconds=3)
    asking = asyncio.create_task(running.ask(order_id, "refunds", "one", amount="10.00"))
    await running.until_hit()
    async with running.without("api"):
        with pytest.raises(httpx.TransportError):
            await asking

    again = await running.ask(order_id, "refunds", "one", amount="10.00")

    assert again.status_code in (200, 201), again.text
    await running.until(order_id, refunded="10.00")
    assert len(await refunds(running, order_id)) == 1
    await refunded_once(running, order_id, 1000)
