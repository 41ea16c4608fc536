"""One key, one answer, one charge."""

import asyncio
from typing import Any

import pytest
import stripe

from tests.sandbox.program import KEY, Sandbox, payment, until


async def _authorizations(sandbox: Sandbox, order: str) -> int:
    count: int = (await sandbox.ledger(order))["orders"].get(order, {}).get("authorizations", 0)
    return count


async def test_the_same_key_gets_the_same_answer_and_charges_once(
    sandbox: Sandbox, order: str
) -> None:
    create = sandbox.stripe.payment_intents.create_async
    first = await create(payment(order), {"idempotency_key": order})
    await sandbox.stripe.payment_intents.capture_async(first.id)
    again = await create(payment(order), {"idempotency_key": order})
    assert (again.id, again.status) == (first.id, "requires_capture")
    assert again.last_response is not None
    headers = again.last_response.headers
    assert headers is not None
    assert headers["idempotent-replayed"] == "true"
    assert headers["request-id"] != headers["original-request"]
    assert await _authorizations(sandbox, order) == 1


async def test_a_decline_is_replayed_too(sandbox: Sandbox, order: str) -> None:
    declined = payment(order, "pm_card_chargeDeclined")
    charges = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refusal:
            await sandbox.stripe.payment_intents.create_async(declined, {"idempotency_key": order})
        error: Any = refusal.value.error
        charges.add(error.charge)
    assert len(charges) == 1


async def test_a_key_is_bound_to_its_parameters(sandbox: Sandbox, order: str) -> None:
    create = sandbox.stripe.payment_intents.create_async
    await create(payment(order), {"idempotency_key": order})
    with pytest.raises(stripe.IdempotencyError) as refusal:
        await create(payment(order, amount=2000), {"idempotency_key": order})
    assert refusal.value.http_status == 400
    assert await _authorizations(sandbox, order) == 1


async def test_a_request_that_fails_validation_does_not_use_up_its_key(
    sandbox: Sandbox, order: str
) -> None:
    create = sandbox.stripe.payment_intents.create_async
    with pytest.raises(stripe.InvalidRequestError):
        await create(payment(order, amount=1), {"idempotency_key": order})
    intent = await create(payment(order), {"idempotency_key": order})
    assert intent.status == "requires_capture"


async def test_a_refusal_for_the_state_is_replayed_even_when_the_state_has_changed(
    sandbox: Sandbox, order: str
) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(
        {"amount": 1000, "currency": "usd", "capture_method": "manual"}
    )
    for attempt in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await intents.capture_async(intent.id, None, {"idempotency_key": order})
        assert refusal.value.code == "payment_intent_unexpected_state"
        if attempt == 0:
            await intents.confirm_async(
                intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
            )
    assert (await intents.capture_async(intent.id)).status == "succeeded"


async def test_two_at_once_charge_once_and_one_is_told_to_wait(
    own_sandbox: Sandbox,
) -> None:
    await own_sandbox.control("faults", path="/v1/payment_intents", action="hang", seconds=0.5)
    create = own_sandbox.stripe.payment_intents.create_async
    first = asyncio.create_task(create(payment("twice"), {"idempotency_key": "twice"}))

    async def under_way() -> bool:
        waiting = await own_sandbox.http.get("/control/faults")
        return bool(waiting.json()["faults"] == [])

    await until(under_way)
    with pytest.raises(stripe.APIError) as refusal:
        await create(payment("twice"), {"idempotency_key": "twice"})
    assert refusal.value.http_status == 409
    assert refusal.value.error is not None
    assert refusal.value.error.code == "idempotency_key_in_use"
    intent = await first
    again = await create(payment("twice"), {"idempotency_key": "twice"})
    assert again.id == intent.id
    assert await _authorizations(own_sandbox, "twice") == 1


async def test_a_crowd_with_one_key_charges_once(sandbox: Sandbox, order: str) -> None:
    create = sandbox.stripe.payment_intents.create_async
    answers = await asyncio.gather(
        *(create(payment(order), {"idempotency_key": order}) for _ in range(10)),
        return_exceptions=True,
    )
    ids = {answer.id for answer in answers if isinstance(answer, stripe.PaymentIntent)}
    assert len(ids) == 1
    assert await _authorizations(sandbox, order) == 1


async def test_a_key_has_at_most_255_characters(sandbox: Sandbox, order: str) -> None:
    create = sandbox.stripe.payment_intents.create_async
    with pytest.raises(stripe.InvalidRequestError):
        await create(payment(order), {"idempotency_key": "k" * 256})
    key = order.ljust(255, "k")
    assert (await create(payment(order), {"idempotency_key": key})).id


async def test_reading_has_no_keys(sandbox: Sandbox, order: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": order}
    for path in ("/v1/payment_intents", "/v1/charges"):
        answer = await sandbox.http.get(path, headers=headers)
        assert answer.status_code == 200
        assert "idempotent-replayed" not in answer.headers


async def test_a_key_is_forgotten_after_a_day(own_sandbox: Sandbox) -> None:
    create = own_sandbox.stripe.payment_intents.create_async
    first = await create(payment("daily"), {"idempotency_key": "daily"})
    await own_sandbox.control("clock", advance_seconds=24 * 3600 - 60)
    assert (await create(payment("daily"), {"idempotency_key": "daily"})).id == first.id
    await own_sandbox.control("clock", advance_seconds=61)
    another = await create(payment("daily", amount=2000), {"idempotency_key": "daily"})
    assert another.id != first.id
    assert await _authorizations(own_sandbox, "daily") == 2
    again = await create(payment("daily", amount=2000), {"idempotency_key": "daily"})
    assert again.id == another.id


async def test_a_failure_that_is_replayed_says_so(own_sandbox: Sandbox) -> None:
    await own_sandbox.control("faults", path="/v1/payment_intents", mode="after", status=500)
    create = own_sandbox.stripe.payment_intents.create_async
    replayed = []
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            await create(payment("broken"), {"idempotency_key": "broken"})
        assert failure.value.headers is not None
        replayed.append(failure.value.headers.get("idempotent-replayed"))
    assert replayed == [None, "true"]


async def test_a_key_is_bound_to_its_address_too(sandbox: Sandbox, order: str) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order), {"idempotency_key": order})
    with pytest.raises(stripe.IdempotencyError):
        await intents.capture_async(intent.id, None, {"idempotency_key": order})
    assert (await intents.retrieve_async(intent.id)).status == "requires_capture"
