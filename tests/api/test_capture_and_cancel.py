"""Held money: taken in whole or in part, or let go."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.domain.card_numbers import blotted
from tests.api.problems import problem, wrong_at
from tests.walk.cards import canary, found_in, spaced
from tests.walk.running import Json, Running, by_token, new_order

CAPTURE = "/v1/payment_intents/.+/capture"
VOID = "/v1/payment_intents/.+/cancel"


async def held(running: Running, name: str, **more: str) -> str:
    """An order whose money is held until the storefront says."""
    order_id = new_order(name)
    answer = await running.initiate(by_token(order_id, capture="manual", **more))
    assert answer.status_code == 200, answer.text
    await running.until(order_id, status="authorized")
    return order_id


async def capture(running: Running, order_id: str, body: Json | None = None) -> httpx.Response:
    return await running.shop.post(f"/api/payment/{order_id}/capture", json=body)


async def cancel(running: Running, order_id: str, body: Json | None = None) -> httpx.Response:
    return await running.shop.post(f"/api/payment/{order_id}/cancel", json=body)


async def test_a_part_is_taken_once_and_the_rest_let_go(running: Running) -> None:
    order_id = await held(running, "part")

    taken = await capture(running, order_id, {"amount": "10.00"})

    assert (taken.status_code, taken.json()["status"]) == (200, "captured")
    for again in ({"amount": 10.0}, {"amount": "10"}):
        answer = await capture(running, order_id, again)
        assert (answer.status_code, answer.json()["status"]) == (200, "captured")
    for other in (None, {}, {"amount": "10.01"}, {"amount": "49.99"}, {"amount": "60"}):
        told = problem(await capture(running, order_id, other), 409, "not-capturable")
        assert "10.00 USD was captured" in told["detail"]
        assert told["captured"] == "10.00"
        assert told["links"] == {"refunds": f"/api/payment/{order_id}/refunds"}
    order = await running.until(order_id)
    assert (order["authorized"], order["captured"]) == ("49.99", "10.00")
    assert order["refundable"] == "10.00"
    [intent] = (await running.ledger(order_id))["payment_intents"]
    assert (intent["captured"], intent["released"]) == (1000, 3999)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("50.00", "no more than 49.99 USD is held"),
        ("10.005", "2 decimal places"),
        ("0", "more than zero"),
        ("-1", "not an amount"),
        ('"ten"', "not an amount"),
        ("true", "not an amount"),
    ],
)
async def test_an_amount_that_cannot_be_taken_is_refused_and_nothing_is(
    running: Running, written: str, told: str
) -> None:
    order_id = await held(running, "amount")
    answer = await running.shop.post(
        f"/api/payment/{order_id}/capture",
        content=f'{{"amount": {written}}}',
        headers={"Content-Type": "application/json"},
    )
    assert told in wrong_at(answer, "amount")
    order = await running.read(order_id)
    assert (order["status"], order["captured"]) == ("authorized", "0.00")


@pytest.mark.parametrize(("currency", "amount"), [("mga", "1000.50"), ("kwd", "10.005")])
async def test_a_part_that_cannot_be_charged_leaves_the_money_held(
    running: Running, currency: str, amount: str
) -> None:
    order_id = await held(running, "step", currency=currency, amount="20000")

    refused = problem(await capture(running, order_id, {"amount": amount}), 400, "invalid-request")

    assert [error["location"] for error in refused["errors"]] == ["amount"]
    assert (await running.read(order_id))["status"] == "authorized"
    assert (await capture(running, order_id)).json()["status"] == "captured"
    part = await running.shop.post(
        f"/api/payment/{order_id}/refunds",
        json={"amount": amount},
        headers={"Idempotency-Key": "part"},
    )
    problem(part, 400, "invalid-request")
    assert (await running.read(order_id))["refunds"] == []


async def test_a_second_amount_is_refused_while_the_first_is_being_taken(
    running: Running,
) -> None:
    order_id = await held(running, "two")
    await running.control(
        "faults", method="POST", path=r"^/v1/payment_intents/[^/]+/capture$", mode="after",
        action="hang", seconds=3,
    )  # fmt: skip
    first = asyncio.create_task(capture(running, order_id, {"amount": "10.00"}))
    await running.until_hit()

    problem(await capture(running, order_id, {"amount": "20.00"}), 409, "not-capturable")

    assert (await first).json()["status"] == "captured"
    order = await running.until(order_id)
    assert order["captured"] == "10.00"


async def test_an_order_whose_money_is_captured_stays_so_for_every_attempt(
    running: Running,
) -> None:
    order_id = new_order("mode")
    declined = by_token(order_id, "pm_card_chargeDeclined")
    assert (await running.initiate(declined)).status_code == 400

    manual = await running.initiate(by_token(order_id, capture="manual"))

    problem(manual, 409, "order-mismatch")
    assert (await running.initiate(by_token(order_id))).status_code == 200


async def test_canceling_again_is_safe_while_the_bank_takes_its_time(running: Running) -> None:
    order_id = new_order("slow-bank")
    mandate = {"ip_address": "203.0.113.7", "user_agent": "Browser/1.0"}
    asked = await running.initiate(
        by_token(
            order_id,
            "pm_sepaDebit_success",
            payment_method="sepa_debit",
            currency="eur",
            mandate=mandate,
        )
    )
    assert asked.json()["status"] == "processing"
    assert (await cancel(running, order_id)).status_code == 202
    waiting = await running.read(order_id)
    assert waiting["timeline"][-1]["event"] == "cancel_requested"

    await running.control("settle", id=asked.json()["transaction_id"])
    await running.until(order_id, order_status="canceled")

    assert (await cancel(running, order_id)).status_code == 200
    order = await running.read(order_id)
    assert (order["refundable"], order["needs_attention"]) == ("0.00", [])
    [refund] = order["refunds"]
    assert refund["amount"] == "49.99"


async def test_two_captures_at_once_take_the_money_once(running: Running) -> None:
    order_id = await held(running, "twice")
    answers = await asyncio.gather(
        capture(running, order_id, {"amount": "10.00"}),
        capture(running, order_id, {"amount": "20.00"}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    ledger = await running.ledger(order_id)
    assert ledger["orders"][order_id]["captures"] == 1
    assert ledger["payment_intents"][0]["captured"] in (1000, 2000)


async def test_until_when_held_money_can_be_taken_is_told(running: Running) -> None:
    order_id = await held(running, "window")
    ends = datetime.fromisoformat((await running.read(order_id))["capture_before"])
    assert ends > datetime.now(UTC) + timedelta(days=1)
    await capture(running, order_id)
    assert (await running.until(order_id))["capture_before"] is None


async def test_a_canceled_order_holds_and_takes_nothing(running: Running) -> None:
    order_id = await held(running, "canceled")

    answer = await cancel(running, order_id, {"reason": "the shopper changed their mind"})

    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["order_status"]) == ("voided", "canceled")
    again = await cancel(running, order_id, {"reason": "something else"})
    assert (again.status_code, again.json()) == (200, answer.json())
    problem(await capture(running, order_id), 409, "not-capturable")
    problem(await running.initiate(by_token(order_id)), 409, "order-closed")
    order = await running.read(order_id)
    assert "the shopper changed their mind" in order["timeline"][-1]["summary"]
    await running.never_charged(order_id)


async def test_an_order_can_be_canceled_after_a_decline(running: Running) -> None:
    order_id = new_order("declined")
    await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))
    answer = await cancel(running, order_id)
    assert (answer.status_code, answer.json()["order_status"]) == (200, "canceled")
    problem(await running.initiate(by_token(order_id)), 409, "order-closed")
    await running.never_charged(order_id)


async def test_a_cancellation_that_takes_long_is_said_to_be_under_way(running: Running) -> None:
    order_id = await held(running, "slow")
    await running.control("faults", method="POST", path=VOID, action="hang", seconds=9)

    answer = await cancel(running, order_id)

    assert answer.status_code == 202, answer.text
    assert answer.json()["links"]["self"] == f"/api/payment/{order_id}"
    await running.until(order_id, order_status="canceled")
    await running.never_charged(order_id)


async def test_a_captured_order_is_refunded_and_not_canceled(running: Running) -> None:
    order_id = new_order("paid")
    await running.initiate(by_token(order_id))
    await running.until(order_id)
    told = problem(await cancel(running, order_id), 409, "not-cancelable")
    assert "49.99 USD was captured already: refund it" in told["detail"]
    assert told["links"] == {"refunds": f"/api/payment/{order_id}/refunds"}
    await running.charged_once(order_id)


async def test_an_order_is_not_canceled_while_its_money_is_taken(running: Running) -> None:
    order_id = await held(running, "taking")
    await running.control("faults", method="POST", path=CAPTURE, action="hang", seconds=3)
    taking = asyncio.create_task(capture(running, order_id))
    await running.until_hit()

    told = problem(await cancel(running, order_id), 409, "not-cancelable")

    assert "being captured: refund it" in told["detail"]
    assert (await taking).status_code == 200
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_without_temporal_money_is_neither_taken_nor_let_go(running: Running) -> None:
    taken, dropped, unstarted = (
        await held(running, "taken"),
        await held(running, "dropped"),
        new_order("unstarted"),
    )
    await running.place_only(unstarted)
    async with running.without("temporal"):
        answers = (
            await running.initiate(by_token(new_order("refused"))),
            await capture(running, taken),
            await cancel(running, dropped),
        )
    for answer in answers:
        assert "changed nothing" in problem(answer, 503, "service-unavailable")["detail"]
        assert answer.headers["Retry-After"].isdigit()
    for order_id in (taken, dropped):
        assert (await running.read(order_id))["status"] == "authorized"

    await running.until_ready()
    # Its order is written, its payment was never started.
    told = problem(await cancel(running, unstarted), 409, "not-cancelable")
    assert "nothing is held" in told["detail"]
    assert (await capture(running, taken)).status_code == 200
    assert (await cancel(running, dropped)).status_code == 200
    await running.charged_once(taken)
    await running.never_charged(dropped)


@pytest.mark.parametrize(
    ("what", "body", "location"),
    [
        ("capture", {"amounts": "10.00"}, "amounts"),
        ("cancel", {"amount": "10.00"}, "amount"),
        ("cancel", {"reason": ""}, "reason"),
        ("cancel", {"reason": "x" * 501}, "reason"),
        ("cancel", {"reason": "\x00"}, "reason"),
        ("cancel", {"reason": f"paid with {spaced(canary())}"}, "reason"),
        ("cancel", {canary(): "reason"}, "…"),
        ("cancel", [], "body"),
    ],
    ids=lambda value: blotted(str(value))[:40],
)
async def test_a_wrong_request_is_told_by_its_field_and_never_repeated(
    running: Running, what: str, body: Json, location: str
) -> None:
    order_id = new_order("wrong")
    answer = await running.shop.post(f"/api/payment/{order_id}/{what}", json=body)
    wrong_at(answer, location)
    assert not found_in(answer.content)


@pytest.mark.parametrize("what", ["capture", "cancel"])
async def test_only_the_storefronts_own_orders_are_there(running: Running, what: str) -> None:
    path = f"/api/payment/{new_order('nobodys')}/{what}"
    problem(await running.shop.post(path), 404, "not-found")
    async with running.storefront(running.stack.api_url, key=None) as stranger:
        problem(await stranger.post(path), 401, "unauthorized")
