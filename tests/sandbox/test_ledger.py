"""The ledger: what was really charged; and what the receiver has taken."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import Receiver, Sandbox, payment, until


async def test_the_ledger_sums_by_payment_currency_and_order(own_sandbox: Sandbox) -> None:
    intents = own_sandbox.stripe.payment_intents
    captured = await intents.create_async(payment("a"))
    await intents.capture_async(captured.id, {"amount_to_capture": 700})
    await own_sandbox.stripe.refunds.create_async({"payment_intent": captured.id, "amount": 200})
    twice = await intents.create_async(payment("a", currency="eur"))
    await intents.cancel_async(twice.id)
    with pytest.raises(stripe.CardError):
        await intents.create_async(payment("b", "pm_card_chargeDeclined"))
    await intents.create_async(payment("c", amount=5000, capture_method="automatic"))

    ledger = (await own_sandbox.http.get("/control/ledger")).json()
    assert ledger["totals"] == {
        "usd": {
            "authorized": 6000,
            "captured": 5700,
            "released": 300,
            "refunded": 200,
            "disputed": 0,
        },
        "eur": {
            "authorized": 1000,
            "captured": 0,
            "released": 1000,
            "refunded": 0,
            "disputed": 0,
        },
    }
    assert ledger["orders"] == {
        "a": {"payment_intents": 2, "authorizations": 2, "captures": 1, "refunds": 1},
        "b": {"payment_intents": 1, "authorizations": 0, "captures": 0, "refunds": 0},
        "c": {"payment_intents": 1, "authorizations": 1, "captures": 1, "refunds": 0},
    }
    assert ledger["payment_intents"][0] == {
        "id": captured.id,
        "order_id": "a",
        "currency": "usd",
        "status": "succeeded",
        "authorized": 1000,
        "captured": 700,
        "released": 300,
        "refunded": 200,
        "disputed": 0,
    }


async def test_every_delivery_is_told_with_what_it_was_about(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="hold", types=["refund.created"])
    intent = await own_sandbox.stripe.payment_intents.create_async(
        payment("a", capture_method="automatic")
    )
    refund = await own_sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    await until(lambda: "charge.refunded" in receiver.types(intent.id))

    async def told(**wanted: str) -> list[dict[str, Any]]:
        answer = await own_sandbox.http.get("/control/deliveries/list", params=wanted)
        deliveries: list[dict[str, Any]] = answer.json()["deliveries"]
        return [each for each in deliveries if each.pop("event").startswith("evt_")]

    async def one_is_left() -> bool:
        return len(await told(state="pending")) == 1

    await until(one_is_left)
    about = {"payment_intent": intent.id, "order_id": "a"}
    assert await told(state="pending") == [
        {
            "type": "refund.created",
            "object": refund.id,
            "status": "succeeded",
            "state": "pending",
            "attempts": 0,
            **about,
        }
    ]
    every = await told()
    assert {each["type"] for each in every} >= {"payment_intent.succeeded", "charge.refunded"}
    assert all(each.items() >= about.items() for each in every)
    assert [each["object"] for each in every if each["type"].startswith("payment_intent.")] == [
        intent.id
    ] * 2
