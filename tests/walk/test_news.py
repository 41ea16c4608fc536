"""What the gateway reports late, wrongly, or of somebody else's money."""

import re
from typing import Any

import pytest

from tests.api.problems import problem
from tests.walk.running import RETURN_URL, Json, Running, by_token, eventually, new_order

INTENTS = "/v1/payment_intents"
CANCEL = f"{INTENTS}/.+/cancel"
CARD: Json = {"payment_method_token": "pm_card_threeDSecure2Required"}
IDEAL: Json = {"payment_method": "ideal", "payment_method_token": None, "currency": "eur"}


async def paid_at_the_gateway(running: Running, order_id: str, capture: str) -> str:
    """A payment that reaches the gateway past us, in the order's name."""
    form: dict[str, Any] = {
        "amount": 4999,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types[]": "card",
        "capture_method": capture,
        "confirm": "true",
        "metadata[order_id]": order_id,
    }
    return str((await running.at_the_gateway("POST", INTENTS, **form))["id"])


async def event_of(running: Running, transaction_id: str, kind: str) -> Json:
    """The gateway's own event of that kind about a payment."""
    listed = await running.at_the_gateway("GET", "/v1/events", type=kind)
    [event] = [e for e in listed["data"] if e["data"]["object"]["id"] == transaction_id]
    told: Json = event
    return told


async def counted(running: Running, outcome: str) -> float:
    metrics = (await running.shop.get("/metrics")).text
    found = re.search(rf'^tillflow_callbacks_total{{outcome="{outcome}"}} (\S+)$', metrics, re.M)
    return float(found[1]) if found else 0.0


async def nothing_is_left(running: Running, order_id: str, currency: str = "usd") -> None:
    """Whatever the gateway held of the order or took for it went back."""
    money = await running.money(order_id, currency)
    assert money["authorized"] > 0
    assert money["authorized"] == money["captured"] + money["released"]
    assert money["captured"] == money["refunded"]


# Too late.


@pytest.mark.parametrize(
    ("method", "currency", "status"),
    [(CARD, "usd", "voided"), (IDEAL, "eur", "refunded")],
    ids=["held", "taken"],
)
async def test_a_yes_in_the_very_moment_in_which_the_checkout_ends_costs_nothing(
    running: Running, method: Json, currency: str, status: str
) -> None:
    order_id = new_order("last-moment")
    body = by_token(order_id, return_url=RETURN_URL) | method
    await running.control("faults", method="POST", path=CANCEL, action="hang", seconds=4)
    async with running.another_api(CHECKOUT_EXPIRY_SECONDS="4") as shop:
        told = await running.taken_on(body, shop)
        await running.until_hit()
        await running.shopper_answers(told)
        order = await running.until(order_id, order_status="canceled", status=status)

    events = [row["event"] for row in order["timeline"]]
    assert "expired" in events
    assert "fulfilled" not in events
    assert not await running.shipped(order_id)
    await nothing_is_left(running, order_id, currency)


@pytest.mark.parametrize(
    ("capture", "event"), [("manual", "voided"), ("automatic", "refunded")], ids=["held", "taken"]
)
async def test_money_that_comes_when_the_checkout_is_over_goes_back_at_once(
    running: Running, capture: str, event: str
) -> None:
    order_id = new_order("too-late")
    async with running.another_api(CHECKOUT_EXPIRY_SECONDS="3") as shop:
        declined = by_token(order_id, "pm_card_chargeDeclined")
        problem(await shop.post("/api/payment/initiate", json=declined), 400, "payment-declined")
        await running.until(order_id, order_status="canceled")

    late = await paid_at_the_gateway(running, order_id, capture)

    order = await running.worrying(order_id)

    assert f"{late} came too late or twice: {event}" in order["needs_attention"]
    assert order["order_status"] == "canceled"
    await nothing_is_left(running, order_id)


async def test_a_second_payment_for_an_order_that_is_paid_goes_back(running: Running) -> None:
    order_id = await running.paid("twice")
    second = await paid_at_the_gateway(running, order_id, "automatic")

    order = await running.worrying(order_id)

    assert order["needs_attention"] == [f"{second} came too late or twice: refunded"]
    assert (order["status"], order["captured"], order["refunded"]) == ("captured", "49.99", "0.00")
    money = await running.money(order_id)
    assert (money["captured"], money["refunded"]) == (2 * 4999, 4999)


async def test_a_word_about_an_order_that_was_called_off_alarms_nobody(running: Running) -> None:
    order_id = new_order("called-off")
    await running.taken_on(by_token(order_id, capture="manual"))
    assert (await running.ask(order_id, "cancel")).status_code == 200
    await running.callbacks_delivered(order_id)

    assert (await running.hint(order_id, message_id=f"msg_{order_id}")).status_code == 200

    await running.callbacks_delivered(order_id)
    late = (await running.temporal()).get_workflow_handle(f"late-event-generic-msg_{order_id}")
    await late.result()
    order = await running.read(order_id)
    assert (order["status"], order["needs_attention"]) == ("voided", [])


# Out of order.


@pytest.mark.parametrize(
    "how",
    [{"mode": "repeat", "times": 3}, {"mode": "shuffle", "seconds": 0.5}],
    ids=["thrice", "shuffled"],
)
async def test_however_news_comes_the_figures_are_the_same(running: Running, how: Json) -> None:
    await running.control("deliveries", **how)
    try:
        order_id = await running.paid("figures")
        answer = await running.ask(order_id, "refunds", "ours", amount="10.00")
        assert answer.status_code == 201, answer.text
        intent = (await running.read(order_id))["transaction_id"]
        await running.at_the_gateway("POST", "/v1/refunds", payment_intent=intent, amount=500)
        dispute = await running.control("disputes", payment_intent=intent, amount=1000)
        await running.control(f"disputes/{dispute['id']}", verdict="won")

        async def it_is_decided() -> bool:
            # Where this comes first, that it was disputed is no news any more.
            timeline = (await running.read(order_id))["timeline"]
            return "dispute_won" in {row["event"] for row in timeline}

        await running.until(order_id, refunded="15.00")
        await eventually(it_is_decided)
    finally:
        await running.control("deliveries", mode="deliver")

    await running.callbacks_delivered(order_id)
    order = await running.read(order_id)
    assert (order["status"], order["order_status"]) == ("partially_refunded", "fulfilled")
    assert (order["captured"], order["refunded"], order["disputed"]) == ("49.99", "15.00", "0.00")
    assert (order["refundable"], order["needs_attention"]) == ("34.99", [])
    money = await running.money(order_id)
    assert (money["captured"], money["refunded"], money["disputed"]) == (4999, 1500, 0)


# Of nobody's order.


async def test_another_programs_payment_is_kept_for_operators(running: Running) -> None:
    before, nobody = await counted(running, "foreign"), new_order("nobodys")
    intent = await paid_at_the_gateway(running, nobody, "automatic")
    event = await event_of(running, intent, "payment_intent.succeeded")
    shown: list[Json] = []

    async def kept() -> bool:
        listed = (await running.shop.get("/api/callbacks/foreign")).json()["callbacks"]
        shown[:] = [each for each in listed if each["event_id"] == event["id"]]
        return shown != []

    await eventually(kept)
    [told] = shown
    assert (told["order_id"], told["transaction_id"]) == (nobody, intent)
    assert (told["type"], told["amount"], told["currency"]) == (event["type"], "49.99", "usd")
    assert await counted(running, "foreign") > before
    assert (await running.shop.get(f"/api/payment/{nobody}")).status_code == 404
    # It is not ours to give back either.
    assert (await running.money(nobody))["refunded"] == 0


# Not true.


@pytest.mark.parametrize("signed", ["wrong", "none", "stale"])
async def test_an_event_that_the_gateway_did_not_sign_just_now_is_nothing(
    running: Running, signed: str
) -> None:
    order_id = new_order("forged")
    told = await running.taken_on(
        by_token(order_id, "pm_card_threeDSecure2Required", return_url=RETURN_URL)
    )
    refused = await counted(running, "refused")
    asks = await event_of(running, told["transaction_id"], "payment_intent.requires_action")

    forged = await running.control(
        "forge",
        from_event=asks["id"],
        type="payment_intent.amount_capturable_updated",
        changes={"status": "requires_capture", "amount_capturable": 4999},
        signed=signed,
    )

    assert forged["statuses"] == [400]
    assert await counted(running, "refused") == refused + 1
    kept = await running.query("SELECT 1 FROM callbacks WHERE event_id = %s", forged["event"])
    assert kept == []
    assert (await running.read(order_id))["status"] == "requires_action"
    await running.never_charged(order_id)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"amount": 9999, "amount_capturable": 9999}, "99.99 USD"),
        ({"amount": 100, "amount_capturable": 100}, "1.00 USD"),
        ({"amount_capturable": 100}, "1.00 USD"),
        ({"currency": "eur"}, "49.99 EUR"),
    ],
    ids=["more", "less", "a part", "another currency"],
)
async def test_what_is_not_the_orders_own_amount_is_not_taken(
    running: Running, changes: Json, seen: str
) -> None:
    order_id = new_order("other-amount")
    async with running.deliveries_held():
        told = await running.taken_on(by_token(order_id, metadata={"sku": "sample-mug"}))
        event = await event_of(
            running, told["transaction_id"], "payment_intent.amount_capturable_updated"
        )
        forged = await running.control("forge", from_event=event["id"], changes=changes)
        assert forged["statuses"] == [200]
        order = await running.until(order_id, order_status="canceled")

    assert f"the gateway's payment is for {seen}" in order["needs_attention"]
    assert (order["status"], order["captured"]) == ("voided", "0.00")
    assert not await running.shipped(order_id)
    await running.callbacks_delivered(order_id)
    await running.never_charged(order_id)
