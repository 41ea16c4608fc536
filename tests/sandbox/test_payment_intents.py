"""What a payment intent may go through."""

import time
from typing import Any

import pytest
import stripe

from tests.sandbox.program import VERSION, Sandbox, payment


async def test_a_payment_walks_from_creation_to_confirmation(sandbox: Sandbox) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async({"amount": 1000, "currency": "USD"})
    assert (intent.status, intent.currency) == ("requires_payment_method", "usd")
    assert intent.capture_method == "automatic_async"
    intent = await intents.update_async(intent.id, {"payment_method": "pm_card_visa"})
    assert intent.status == "requires_confirmation"
    intent = await intents.confirm_async(intent.id, {"return_url": "https://shop.example/"})
    assert (intent.status, intent.amount_received) == ("succeeded", 1000)


async def test_confirming_can_bring_the_method_along(sandbox: Sandbox) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(
        {"amount": 1000, "currency": "eur", "allowed_payment_method_types": ["card"]}
    )
    intent = await intents.confirm_async(intent.id, {"payment_method": "pm_card_mastercard"})
    assert intent.status == "succeeded"


async def test_a_manual_payment_is_held_until_it_is_captured(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    held = await intents.create_async(payment(order, expand=["latest_charge"]))
    assert (held.status, held.amount_capturable, held.amount_received) == (
        "requires_capture",
        1000,
        0,
    )
    charge: Any = held.latest_charge
    assert (charge.captured, charge.paid, charge.status) == (False, True, "succeeded")
    window = charge.payment_method_details.card.capture_before - time.time()
    assert 6.9 * 86400 < window <= 7 * 86400
    taken = await intents.capture_async(held.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 1000)
    charge = await sandbox.stripe.charges.retrieve_async(charge.id)
    assert (charge.captured, charge.amount_captured) == (True, 1000)
    assert "capture_before" not in charge.payment_method_details.card


async def test_a_partial_capture_releases_the_rest_for_good(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order))
    intent = await intents.capture_async(intent.id, {"amount_to_capture": 700})
    assert (intent.status, intent.amount_received, intent.amount_capturable) == (
        "succeeded",
        700,
        0,
    )
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await intents.capture_async(intent.id, {"amount_to_capture": 300})
    assert refusal.value.code == "payment_intent_unexpected_state"
    assert refusal.value.error is not None
    assert refusal.value.error.payment_intent is not None
    assert refusal.value.error.payment_intent.status == "succeeded"
    totals = (await sandbox.ledger(order))["payment_intents"][0]
    assert (totals["captured"], totals["released"]) == (700, 300)


async def test_no_more_is_captured_than_was_authorised(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order))
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await intents.capture_async(intent.id, {"amount_to_capture": 1001})
    assert refusal.value.code == "amount_too_large"
    assert (await sandbox.ledger(order))["payment_intents"][0]["captured"] == 0


async def test_cancelling_releases_what_was_held(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order))
    intent = await intents.cancel_async(intent.id, {"cancellation_reason": "duplicate"})
    assert (intent.status, intent.cancellation_reason) == ("canceled", "duplicate")
    assert intent.amount_capturable == 0
    assert (await sandbox.ledger(order))["payment_intents"][0]["released"] == 1000
    for act in (intents.cancel_async, intents.capture_async, intents.confirm_async):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await act(intent.id)
        assert refusal.value.code == "payment_intent_unexpected_state"


async def test_a_succeeded_payment_cannot_be_cancelled(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order, capture_method="automatic"))
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await intents.cancel_async(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"


async def test_an_authorisation_not_captured_in_seven_days_is_cancelled(
    own_sandbox: Sandbox,
) -> None:
    intents = own_sandbox.stripe.payment_intents
    intent = await intents.create_async(payment("late"))
    await own_sandbox.control("clock", advance_seconds=7 * 86400 - 60)
    assert (await intents.retrieve_async(intent.id)).status == "requires_capture"
    await own_sandbox.control("clock", advance_seconds=61)
    expired = await intents.retrieve_async(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert (await own_sandbox.ledger("late"))["payment_intents"][0]["released"] == 1000
    events = await own_sandbox.events_of(intent.id)
    assert events[-2:] == ["charge.expired", "payment_intent.canceled"]


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
        (0, "usd", "parameter_invalid_integer"),
        (1000, "xxx", None),
    ],
)
async def test_amounts_outside_the_currency_are_refused(
    sandbox: Sandbox, amount: int, currency: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async({"amount": amount, "currency": currency})
    assert (refusal.value.http_status, refusal.value.code) == (400, code)


async def test_the_least_and_the_most_are_accepted(sandbox: Sandbox) -> None:
    for amount, currency in ((50, "usd"), (30, "gbp"), (99_999_999, "usd"), (1010, "kwd")):
        intent = await sandbox.stripe.payment_intents.create_async(
            {"amount": amount, "currency": currency}
        )
        assert intent.amount == amount


@pytest.mark.parametrize(
    ("wrong", "param"),
    [({"colour": "red"}, "colour"), ({"automatic_payment_methods": {"on": "true"}}, None)],
)
async def test_unknown_parameters_are_refused(
    sandbox: Sandbox, wrong: Any, param: str | None
) -> None:
    params: Any = {"amount": 1000, "currency": "usd", **wrong}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(params)
    assert refusal.value.code == "parameter_unknown"
    assert refusal.value.param == (param or "automatic_payment_methods[on]")


async def test_payment_method_types_are_refused_from_endive_on(sandbox: Sandbox) -> None:
    params: Any = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"]}
    intent = await sandbox.stripe_client(VERSION).payment_intents.create_async(params)
    assert intent.payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe_client("2026-10-28.endive").payment_intents.create_async(params)
    assert refusal.value.code == "payment_method_types_no_longer_supported"


async def test_methods_that_may_redirect_need_somewhere_to_return_to(sandbox: Sandbox) -> None:
    params: Any = {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
    }
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(params)
    assert refusal.value.param == "return_url"
    params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    intent = await sandbox.stripe.payment_intents.create_async(params)
    assert intent.status == "succeeded"


async def test_a_confirmation_without_any_method_is_refused(sandbox: Sandbox) -> None:
    intent = await sandbox.stripe.payment_intents.create_async({"amount": 1000, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.confirm_async(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"


async def test_what_describes_a_payment_can_be_changed_and_cleared(sandbox: Sandbox) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "description": "Two chairs",
            "receipt_email": "payer@shop.example",
            "statement_descriptor_suffix": "CHAIRS",
            "setup_future_usage": "off_session",
            "metadata": {"order_id": "1", "colour": "red"},
            "shipping": {"name": "A. Payer", "address": {"city": "Rome", "country": "IT"}},
        }
    )
    changed = await intents.update_async(
        intent.id,
        {"amount": 1200, "receipt_email": "", "metadata": {"colour": "", "size": "L"}},
    )
    assert changed.amount == 1200
    assert changed.receipt_email is None
    assert changed.description == "Two chairs"
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"order_id": "1", "size": "L"}
    assert changed.shipping is not None
    assert changed.shipping.address is not None
    assert (changed.shipping.address.city, changed.shipping.address.line1) == ("Rome", None)


async def test_expanding_replaces_ids_by_objects(sandbox: Sandbox, order: str) -> None:
    intent: Any = await sandbox.stripe.payment_intents.create_async(
        payment(order, expand=["latest_charge.payment_intent", "payment_method"])
    )
    assert intent.latest_charge.payment_intent.id == intent.id
    assert intent.payment_method.card.last4 == "4242"
    with pytest.raises(stripe.InvalidRequestError):
        await sandbox.stripe.payment_intents.retrieve_async(intent.id, {"expand": ["amount"]})


async def test_an_unknown_intent_is_missing(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.retrieve_async("pi_nothing")
    assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")
