"""Failures on demand, before or after the work."""

import asyncio
import time
from typing import Any

import pytest
import stripe

from tests.sandbox.program import Sandbox, payment, until


async def _pay(sandbox: Sandbox, order: str) -> stripe.PaymentIntent:
    return await sandbox.stripe.payment_intents.create_async(
        payment(order), {"idempotency_key": order}
    )


async def _authorizations(sandbox: Sandbox, order: str) -> int:
    count: int = (await sandbox.ledger(order))["orders"].get(order, {}).get("authorizations", 0)
    return count


async def test_a_failure_before_the_work_leaves_nothing_and_passes(own_sandbox: Sandbox) -> None:
    await own_sandbox.control(
        "faults", method="POST", path="/v1/payment_intents", status=500, times=2
    )
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failure:
            await _pay(own_sandbox, "before")
        assert failure.value.http_status == 500
    assert await _authorizations(own_sandbox, "before") == 0
    assert (await _pay(own_sandbox, "before")).status == "requires_capture"
    assert await _authorizations(own_sandbox, "before") == 1


async def test_a_failure_after_the_work_is_remembered_for_ever(own_sandbox: Sandbox) -> None:
    await own_sandbox.control("faults", path="/v1/payment_intents", mode="after", status=500)
    for _ in range(3):
        with pytest.raises(stripe.APIError) as failure:
            await _pay(own_sandbox, "after")
        assert failure.value.http_status == 500
    assert await _authorizations(own_sandbox, "after") == 1
    intents = await own_sandbox.stripe.payment_intents.list_async()
    assert [found.status for found in intents.data] == ["requires_capture"]


@pytest.mark.parametrize(
    ("code", "reason"), [("rate_limit", "global-rate"), ("lock_timeout", None)]
)
async def test_too_many_requests_can_be_ordered(
    own_sandbox: Sandbox, code: str, reason: str | None
) -> None:
    capture = r"/v1/payment_intents/pi_\w+/capture"
    await own_sandbox.control("faults", path=capture, status=429, code=code)
    intent = await _pay(own_sandbox, "busy")
    with pytest.raises(stripe.RateLimitError) as refusal:
        await own_sandbox.stripe.payment_intents.capture_async(
            intent.id, None, {"idempotency_key": "capture"}
        )
    error: Any = refusal.value.error
    assert (refusal.value.http_status, error.code) == (429, code)
    assert refusal.value.headers is not None
    assert refusal.value.headers.get("stripe-rate-limited-reason") == reason
    assert error.request_log_url
    assert error.doc_url.endswith(code.replace("_", "-"))
    captured = await own_sandbox.stripe.payment_intents.capture_async(
        intent.id, None, {"idempotency_key": "capture"}
    )
    assert captured.amount_received == 1000


async def test_calls_beyond_the_rate_limit_are_refused_and_do_nothing(
    own_sandbox: Sandbox,
) -> None:
    own_sandbox.stop()
    own_sandbox.environment["SANDBOX_RATE_LIMIT"] = "3"
    await own_sandbox.start()
    answers = await asyncio.gather(
        *(_pay(own_sandbox, f"crowd-{n}") for n in range(12)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, stripe.RateLimitError)]
    paid = [answer for answer in answers if isinstance(answer, stripe.PaymentIntent)]
    assert len(paid) >= 3
    assert refused
    assert len(paid) + len(refused) == 12
    assert {refusal.error and refusal.error.code for refusal in refused} == {"rate_limit"}
    ledger = (await own_sandbox.http.get("/control/ledger")).json()
    assert len(ledger["payment_intents"]) == len(paid)

    async def passes() -> bool:
        try:
            await _pay(own_sandbox, "later")
        except stripe.RateLimitError:
            return False
        return True

    await until(passes)


@pytest.mark.parametrize(("mode", "done"), [("before", 0), ("after", 1)])
async def test_a_dropped_connection_may_or_may_not_have_charged(
    own_sandbox: Sandbox, mode: str, done: int
) -> None:
    await own_sandbox.control("faults", path="/v1/payment_intents", mode=mode, action="drop")
    with pytest.raises(stripe.APIConnectionError):
        await _pay(own_sandbox, "dropped")
    assert await _authorizations(own_sandbox, "dropped") == done
    assert (await _pay(own_sandbox, "dropped")).status == "requires_capture"
    assert await _authorizations(own_sandbox, "dropped") == 1


async def test_a_hanging_call_answers_in_the_end(own_sandbox: Sandbox) -> None:
    await own_sandbox.control("faults", mode="after", action="hang", seconds=0.3)
    started = time.monotonic()
    assert (await _pay(own_sandbox, "slow")).status == "requires_capture"
    assert time.monotonic() - started >= 0.3


async def test_faults_can_be_called_off(own_sandbox: Sandbox) -> None:
    await own_sandbox.control("faults", path="/v1/payment_intents", status=500, times=100)
    assert (await own_sandbox.http.delete("/control/faults")).json()["faults"] == []
    assert (await _pay(own_sandbox, "well")).status == "requires_capture"


async def test_what_was_suffered_is_counted_and_survives_a_kill(own_sandbox: Sandbox) -> None:
    path = "/v1/payment_intents"
    await own_sandbox.control("faults", method="POST", path=path, mode="after", action="drop")
    with pytest.raises(stripe.APIConnectionError):
        await _pay(own_sandbox, "twice")
    own_sandbox.kill()
    await own_sandbox.start()
    await own_sandbox.control("faults", method="POST", path=path, mode="after", action="drop")
    with pytest.raises(stripe.APIConnectionError):
        await _pay(own_sandbox, "twice")  # an answer that is kept: nothing was done this time
    await own_sandbox.control("faults", method="POST", path=path, status=429, times=9)
    with pytest.raises(stripe.RateLimitError):
        await _pay(own_sandbox, "once")

    met = (await own_sandbox.http.get("/control/faults")).json()["met"]
    assert met == [
        {"method": "POST", "mode": "after", "outcome": "drop", "calls": 2, "moved": 1},
        {"method": "POST", "mode": "before", "outcome": "429", "calls": 1, "moved": 0},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": 500, "action": "drop"},
        {"status": 200},
        {"status": 500, "times": 0},
        {"status": 500, "path": "("},
        {"status": 500, "code": "lock_timeout"},
        {"status": 429, "code": "too_slow"},
        {"status": 500, "sometimes": True},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(sandbox: Sandbox, wrong: Any) -> None:
    assert (await sandbox.http.post("/control/faults", json=wrong)).status_code == 422
    assert (await sandbox.http.get("/control/faults")).json()["faults"] == []
