"""iDEAL, PayPal and Klarna: the payer is sent to a page, says yes or no, and comes back."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import answer, way_back
from tests.sandbox.program import Sandbox, payment

_DATA: dict[str, Any] = {
    "ideal": {"type": "ideal", "ideal": {"bank": "asn_bank"}},
    "paypal": {"type": "paypal"},
    "klarna": {
        "type": "klarna",
        "billing_details": {"email": "payer@shop.example", "address": {"country": "DE"}},
    },
}


async def _sent(sandbox: Sandbox, order: str, kind: str, **more: Any) -> stripe.PaymentIntent:
    params = payment(order, currency="eur", **{"capture_method": "automatic", **more})
    del params["payment_method"]
    params["payment_method_data"] = _DATA[kind]
    intent = await sandbox.stripe.payment_intents.create_async(params)
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.type == "redirect_to_url"
    return intent


@pytest.mark.parametrize(
    ("kind", "brand", "source"),
    [
        ("ideal", "Pay with iDEAL", "asn bank"),
        ("paypal", "Pay with PayPal", "Any account"),
        ("klarna", "Pay with Klarna", "payer@shop.example"),
    ],
)
async def test_the_page_names_the_brand_and_says_that_it_is_a_sandbox(
    sandbox: Sandbox, order: str, kind: str, brand: str, source: str
) -> None:
    intent = await _sent(sandbox, order, kind)
    action: Any = intent.next_action
    page = await sandbox.http.get(action.redirect_to_url.url)
    for expected in ("Sandbox", brand, source, "10.00 EUR", "Approve", "Cancel", "Close"):
        assert expected in page.text


@pytest.mark.parametrize("kind", ["ideal", "paypal", "klarna"])
async def test_an_approved_payment_is_taken_at_once(
    sandbox: Sandbox, order: str, kind: str
) -> None:
    intent = await _sent(sandbox, order, kind)
    assert way_back(await answer(sandbox, intent, "approve"), intent) == "succeeded"
    paid: Any = await sandbox.stripe.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge", "payment_method"]}
    )
    assert (paid.status, paid.amount_received, paid.next_action) == ("succeeded", 1000, None)
    details = paid.latest_charge.payment_method_details
    assert (details.type, paid.payment_method.type) == (kind, kind)
    assert details[kind] is not None
    assert await sandbox.events_of(intent.id) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    assert (await sandbox.ledger(order))["payment_intents"][0]["captured"] == 1000


@pytest.mark.parametrize("kind", ["paypal", "klarna"])
async def test_an_approved_payment_can_be_held_and_captured_in_part(
    sandbox: Sandbox, order: str, kind: str
) -> None:
    intent = await _sent(sandbox, order, kind, capture_method="manual")
    await answer(sandbox, intent, "approve")
    held = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
    taken = await sandbox.stripe.payment_intents.capture_async(
        intent.id, {"amount_to_capture": 600}
    )
    assert (taken.status, taken.amount_received) == ("succeeded", 600)
    assert (await sandbox.ledger(order))["payment_intents"][0]["released"] == 400


@pytest.mark.parametrize(("kind", "days"), [("paypal", 10), ("klarna", 28)])
async def test_a_held_payment_expires_by_its_own_window(
    own_sandbox: Sandbox, kind: str, days: int
) -> None:
    intent = await _sent(own_sandbox, "late", kind, capture_method="manual")
    await answer(own_sandbox, intent, "approve")
    await own_sandbox.control("clock", advance_seconds=days * 86400 - 60)
    held = await own_sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert held.status == "requires_capture"
    await own_sandbox.control("clock", advance_seconds=61)
    expired = await own_sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")


@pytest.mark.parametrize("kind", ["ideal", "paypal", "klarna"])
async def test_a_payer_who_cancels_leaves_a_failed_payment_that_can_be_tried_again(
    sandbox: Sandbox, order: str, kind: str
) -> None:
    intent = await _sent(sandbox, order, kind)
    assert way_back(await answer(sandbox, intent, "cancel"), intent) == "failed"
    failed = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    error: Any = failed.last_payment_error
    assert error.code == "payment_method_customer_decline"
    assert (error.payment_method.type, error.payment_method_type) == (kind, kind)
    assert await sandbox.events_of(intent.id) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
    ]
    assert (await answer(sandbox, intent, "approve")).status_code == 410
    paid = await sandbox.stripe.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.example/return"}
    )
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


async def test_a_payer_who_walks_away_may_come_back(sandbox: Sandbox, order: str) -> None:
    intent = await _sent(sandbox, order, "ideal")
    assert way_back(await answer(sandbox, intent, "close"), intent) == "pending"
    waiting = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert waiting.status == "requires_action"
    assert way_back(await answer(sandbox, intent, "approve"), intent) == "succeeded"


async def test_a_payer_who_is_not_there_cannot_be_sent(sandbox: Sandbox, order: str) -> None:
    method = await sandbox.stripe.payment_methods.create_async({"type": "paypal"})
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, method.id, off_session=True)
        )
    assert refusal.value.code == "payment_intent_incompatible_payment_method"


@pytest.mark.parametrize(
    ("kind", "way"),
    [("ideal", "eu_bank_transfer"), ("paypal", "paypal"), ("klarna", "klarna")],
)
async def test_a_refund_goes_back_the_way_the_money_came(
    sandbox: Sandbox, order: str, kind: str, way: str
) -> None:
    intent = await _sent(sandbox, order, kind)
    await answer(sandbox, intent, "approve")
    refund: Any = await sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    assert refund.destination_details.type == way
    assert refund.destination_details[way] is not None
