"""The ledger: what was really charged."""

import pytest
import stripe

from tests.sandbox.program import Sandbox, payment


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
