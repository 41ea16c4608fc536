"""The program itself: it survives kill -9, and stops when asked."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import stripe

from app.embedded.ports import free_port
from tests.sandbox.program import REPO, Receiver, Sandbox, payment, until


async def test_an_acknowledged_charge_survives_a_kill(own_sandbox: Sandbox) -> None:
    create = own_sandbox.stripe.payment_intents.create_async
    intent = await create(payment("kept"), {"idempotency_key": "kept"})
    own_sandbox.kill()
    await own_sandbox.start()
    kept = await own_sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert kept.to_dict() == intent.to_dict()
    assert (await create(payment("kept"), {"idempotency_key": "kept"})).id == intent.id
    assert (await own_sandbox.ledger("kept"))["orders"]["kept"]["authorizations"] == 1


async def test_a_pending_delivery_is_delivered_after_a_kill(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 500
    intent = await own_sandbox.stripe.payment_intents.create_async(payment("pending"))
    await until(lambda: len(receiver.received) >= 3)
    own_sandbox.kill()
    receiver.received.clear()
    receiver.status = 200
    await own_sandbox.start()
    await until(lambda: len(receiver.types(intent.id)) >= 3)
    assert len({received.event["id"] for received in receiver.received}) == 3


async def test_held_events_and_the_moved_clock_survive_a_kill(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="hold")
    await own_sandbox.control("clock", advance_seconds=86400)
    intent = await own_sandbox.stripe.payment_intents.create_async(payment("held"))
    own_sandbox.kill()
    await own_sandbox.start()
    assert receiver.received == []
    assert intent.created > time.time() + 86000
    later = await own_sandbox.stripe.payment_intents.create_async(payment("later"))
    assert later.created >= intent.created
    await own_sandbox.control("deliveries", mode="deliver")
    await until(lambda: len(receiver.types(intent.id)) == 3)


async def test_a_kill_in_the_middle_leaves_everything_or_nothing(own_sandbox: Sandbox) -> None:
    create = own_sandbox.stripe.payment_intents.create_async

    async def pay(n: int) -> str | None:
        params = payment(f"order-{n}", capture_method="automatic")
        try:
            return (await create(params, {"idempotency_key": f"key-{n}"})).id
        except stripe.APIConnectionError:
            return None

    for start in (0, 40):
        calls = [asyncio.create_task(pay(start + n)) for n in range(40)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        own_sandbox.kill()
        acknowledged = {start + n: await call for n, call in enumerate(calls)}
        await own_sandbox.start()
        events = [
            event.type
            async for event in (
                await own_sandbox.stripe.events.list_async({"limit": 100})
            ).auto_paging_iter()
        ]
        ledger = (await own_sandbox.http.get("/control/ledger")).json()
        paid = len(ledger["payment_intents"])
        assert {kind: events.count(kind) for kind in set(events)} == {
            "payment_intent.created": paid,
            "charge.succeeded": paid,
            "payment_intent.succeeded": paid,
        }
        assert all(
            intent["status"] == "succeeded" and intent["captured"] == 1000
            for intent in ledger["payment_intents"]
        )
        for n, intent_id in acknowledged.items():
            replayed = await pay(n)
            assert intent_id in (None, replayed)
    ledger = (await own_sandbox.http.get("/control/ledger")).json()
    assert len(ledger["orders"]) == 80
    assert all(tally["captures"] == 1 for tally in ledger["orders"].values())


async def test_it_stops_at_once_and_cleanly_when_asked(own_sandbox: Sandbox) -> None:
    await own_sandbox.stripe.payment_intents.create_async(payment("last"))
    started = time.monotonic()
    assert own_sandbox.stop() == 0
    assert time.monotonic() - started < 2
    assert "Traceback" not in own_sandbox.log.read_text()
    assert "ERROR" not in own_sandbox.log.read_text()


@pytest.mark.parametrize("authorization", [None, "Bearer sk_test_other", "Basic ***", "Bearer"])
async def test_nobody_is_answered_without_the_key(
    sandbox: Sandbox, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await sandbox.http.get("/v1/payment_intents", headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")
    assert answer.headers["request-id"].startswith("req_")


async def test_each_answer_names_its_request_and_its_version(sandbox: Sandbox) -> None:
    intents = sandbox.stripe_client("2026-10-28.endive").payment_intents
    intent: Any = await intents.create_async({"amount": 1000, "currency": "usd"})
    headers = intent.last_response.headers
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert headers["request-id"].startswith("req_")


async def test_an_unknown_address_is_a_stripe_error(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.setup_intents.create_async()
    assert refusal.value.http_status == 404


async def test_a_body_that_is_not_a_form_is_refused(sandbox: Sandbox) -> None:
    answer = await sandbox.http.post(
        "/v1/payment_intents", json={"amount": 1}, auth=("sk_test_sandbox", "")
    )
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_an_endpoint_without_its_secret_is_refused_at_start(tmp_path: Path) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "sandbox"],
        cwd=REPO,
        env={
            "SANDBOX_DATABASE": str(tmp_path / "sandbox.db"),
            "SANDBOX_PORT": str(free_port()),
            "SANDBOX_WEBHOOK_URL": "http://127.0.0.1:1/hooks",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert started.returncode == 1
    assert "webhook_url and webhook_secret" in started.stderr
