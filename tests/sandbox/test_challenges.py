"""3-D Secure: the payer is asked by a page and sent back."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import answer, way_back
from tests.sandbox.program import Sandbox, payment


async def _challenged(
    sandbox: Sandbox, order: str, method: str = "pm_card_authenticationRequired", **more: Any
) -> stripe.PaymentIntent:
    intent = await sandbox.stripe.payment_intents.create_async(payment(order, method, **more))
    assert intent.status == "requires_action"
    return intent


async def test_the_page_says_that_it_is_a_sandbox_and_names_the_payment(
    sandbox: Sandbox, order: str
) -> None:
    intent = await _challenged(sandbox, order)
    action: Any = intent.next_action
    assert action.type == "redirect_to_url"
    assert "/v1/" not in action.redirect_to_url.url
    page = await sandbox.http.get(action.redirect_to_url.url)
    assert page.status_code == 200
    for expected in ("Sandbox", "Your bank", "10.00 USD", "3184", "Approve", "Fail", "Close"):
        assert expected in page.text


@pytest.mark.parametrize(
    ("capture_method", "status"), [("manual", "requires_capture"), ("automatic", "succeeded")]
)
async def test_an_approved_challenge_goes_on_with_the_payment(
    sandbox: Sandbox, order: str, capture_method: str, status: str
) -> None:
    intent = await _challenged(sandbox, order, capture_method=capture_method)
    assert way_back(await answer(sandbox, intent, "approve"), intent) == "succeeded"
    paid = await sandbox.stripe.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert (paid.status, paid.next_action) == (status, None)
    charge: Any = paid.latest_charge
    assert charge.payment_method_details.card.three_d_secure.result == "authenticated"
    assert (await sandbox.events_of(intent.id))[:3] == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
    ]


async def test_a_failed_challenge_fails_the_payment(sandbox: Sandbox, order: str) -> None:
    intent = await _challenged(sandbox, order)
    assert way_back(await answer(sandbox, intent, "fail"), intent) == "failed"
    failed = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert await sandbox.events_of(intent.id) == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
    ]


async def test_a_closed_challenge_decides_nothing(sandbox: Sandbox, order: str) -> None:
    intent = await _challenged(sandbox, order)
    assert way_back(await answer(sandbox, intent, "close"), intent) == "pending"
    waiting = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert waiting.status == "requires_action"
    assert way_back(await answer(sandbox, intent, "approve"), intent) == "succeeded"


async def test_a_card_may_be_declined_after_an_approved_challenge(
    sandbox: Sandbox, order: str
) -> None:
    intent = await _challenged(sandbox, order, "pm_card_threeDSecureRequiredChargeDeclined")
    assert way_back(await answer(sandbox, intent, "approve"), intent) == "failed"
    failed = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "card_declined"


async def test_a_challenge_is_answered_once(sandbox: Sandbox, order: str) -> None:
    intent = await _challenged(sandbox, order)
    await answer(sandbox, intent, "approve")
    assert (await answer(sandbox, intent, "approve")).status_code == 410
    assert (await sandbox.ledger(order))["orders"][order]["authorizations"] == 1


async def test_a_cancelled_payment_can_no_longer_be_approved(sandbox: Sandbox, order: str) -> None:
    intent = await _challenged(sandbox, order)
    await sandbox.stripe.payment_intents.cancel_async(intent.id)
    assert (await answer(sandbox, intent, "approve")).status_code == 410
    assert (await sandbox.ledger(order))["orders"][order]["authorizations"] == 0


async def test_without_a_return_url_the_challenge_is_left_to_the_sdk(
    sandbox: Sandbox, order: str
) -> None:
    params = payment(order, "pm_card_authenticationRequired")
    del params["return_url"]
    params["allowed_payment_method_types"] = ["card"]
    intent = await sandbox.stripe.payment_intents.create_async(params)
    assert intent.next_action is not None
    assert intent.next_action.type == "use_stripe_sdk"


@pytest.mark.parametrize("absence", [{"off_session": True}, {"error_on_requires_action": True}])
async def test_a_payer_who_cannot_be_asked_is_declined(
    sandbox: Sandbox, order: str, absence: dict[str, bool]
) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, "pm_card_authenticationRequired", **absence)
        )
    assert refusal.value.code == "authentication_required"
