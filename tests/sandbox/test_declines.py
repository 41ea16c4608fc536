"""Declined cards: who says no, and what is left behind."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import Sandbox, payment

_NUMBERS = [
    ("4000000000000002", "card_declined", "generic_decline"),
    ("4000000000009995", "card_declined", "insufficient_funds"),
    ("4000000000009987", "card_declined", "lost_card"),
    ("4000000000009979", "card_declined", "stolen_card"),
    ("4000000000006975", "card_declined", "card_velocity_exceeded"),
    ("4000000000000069", "expired_card", "expired_card"),
    ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    ("4000000000000119", "processing_error", "processing_error"),
    ("4000000000000341", "card_declined", "generic_decline"),
    ("4000009912345678", "card_declined", "generic_decline"),
]


@pytest.mark.parametrize(("number", "code", "decline_code"), _NUMBERS)
async def test_a_declined_card_says_why(
    sandbox: Sandbox, order: str, number: str, code: str, decline_code: str
) -> None:
    card: Any = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = await sandbox.stripe.payment_methods.create_async({"type": "card", "card": card})
    with pytest.raises(stripe.CardError) as refusal:
        await sandbox.stripe.payment_intents.create_async(payment(order, method.id))
    error: Any = refusal.value.error
    assert (refusal.value.http_status, error.code, error.decline_code) == (402, code, decline_code)
    assert error.payment_intent.status == "requires_payment_method"
    assert error.payment_method.id == method.id
    assert error.charge == error.payment_intent.latest_charge
    assert error.doc_url.endswith(code.replace("_", "-"))
    assert error.advice_code
    assert error.network_decline_code
    assert error.request_log_url


async def test_a_decline_leaves_an_intent_that_another_card_can_pay(
    sandbox: Sandbox, order: str
) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, "pm_card_visa_chargeDeclinedInsufficientFunds")
        )
    error: Any = refusal.value.error
    intent = await sandbox.stripe.payment_intents.retrieve_async(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == "insufficient_funds"
    charge: Any = await sandbox.stripe.charges.retrieve_async(error.charge)
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, "card_declined")
    assert charge.outcome.network_status == "declined_by_network"
    intent = await sandbox.stripe.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
    )
    assert (intent.status, intent.last_payment_error) == ("requires_capture", None)
    assert await sandbox.events_of(intent.id) == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    ]
    assert (await sandbox.ledger(order))["orders"][order]["authorizations"] == 1


async def test_a_card_that_has_expired_since_is_declined(own_sandbox: Sandbox) -> None:
    method = await own_sandbox.stripe.payment_methods.retrieve_async("pm_card_visa")
    await own_sandbox.control("clock", advance_seconds=3 * 365 * 86400)
    with pytest.raises(stripe.CardError) as refusal:
        await own_sandbox.stripe.payment_intents.create_async(payment("late", method.id))
    assert refusal.value.code == "expired_card"
