"""Error objects: whatever went wrong, told in Stripe's form."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import KEY, Sandbox, payment


async def _error(
    sandbox: Sandbox, method: str, path: str, key: str = KEY, **form: Any
) -> tuple[int, Any, str]:
    answer = await sandbox.http.request(method, path, data=form, auth=(key, ""))
    return answer.status_code, answer.json()["error"], answer.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/payment_intents/pi_nothing", 404, "resource_missing"),
        ("GET", "/v1/nothing", 404, None),
        ("POST", "/v1/payment_intents", 400, "parameter_missing"),
        ("POST", "/v1/refunds", 400, "parameter_missing"),
    ],
)
async def test_an_error_names_its_request_and_where_to_read_about_it(
    sandbox: Sandbox, method: str, path: str, status: int, code: str | None
) -> None:
    given, error, request_id = await _error(sandbox, method, path)
    assert (given, error["type"], error.get("code")) == (status, "invalid_request_error", code)
    assert error["message"]
    assert error["request_log_url"].endswith(request_id)
    assert ("doc_url" in error) is (code is not None)


async def test_a_refused_key_is_an_error_of_the_same_form(sandbox: Sandbox) -> None:
    status, error, request_id = await _error(sandbox, "GET", "/v1/charges", key="sk_test_other")
    assert (status, error["type"]) == (401, "invalid_request_error")
    assert error["request_log_url"].endswith(request_id)


async def test_a_failure_on_demand_is_an_error_of_the_same_form(own_sandbox: Sandbox) -> None:
    for mode in ("before", "after"):
        await own_sandbox.control("faults", path="/v1/payment_intents", mode=mode, status=503)
        status, error, request_id = await _error(
            own_sandbox, "POST", "/v1/payment_intents", amount=1000, currency="usd"
        )
        assert (status, error["type"]) == (503, "api_error")
        assert error["request_log_url"].endswith(request_id)


async def test_a_decline_says_all_that_the_bank_said(sandbox: Sandbox, order: str) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, "pm_card_chargeDeclinedLostCard")
        )
    error: Any = refusal.value.error
    assert (error.type, error.code, error.decline_code) == (
        "card_error",
        "card_declined",
        "lost_card",
    )
    assert (error.advice_code, error.network_decline_code) == ("do_not_try_again", "41")
    assert error.payment_intent.latest_charge == error.charge
    assert error.payment_intent.last_payment_error.charge == error.charge
    assert error.payment_method.object == "payment_method"
    charge: Any = await sandbox.stripe.charges.retrieve_async(error.charge)
    assert charge.outcome.advice_code == error.advice_code
    assert charge.outcome.network_decline_code == error.network_decline_code


async def test_a_wrong_state_comes_with_the_intent(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order))
    await intents.cancel_async(intent.id)
    calls: list[Any] = [
        lambda: intents.capture_async(intent.id),
        lambda: intents.confirm_async(intent.id),
        lambda: intents.cancel_async(intent.id),
        lambda: sandbox.stripe.refunds.create_async({"payment_intent": intent.id}),
    ]
    for call in calls:
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await call()
        error: Any = refusal.value.error
        assert error.code == "payment_intent_unexpected_state"
        assert (error.payment_intent.id, error.payment_intent.status) == (intent.id, "canceled")
        assert error.doc_url


async def test_a_refused_refund_names_its_charge(sandbox: Sandbox, order: str) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order, capture_method="automatic")
    )
    await sandbox.control("disputes", payment_intent=intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    error: Any = refusal.value.error
    assert (error.code, error.charge) == ("charge_disputed", intent.latest_charge)
