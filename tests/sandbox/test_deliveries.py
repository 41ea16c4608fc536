"""Events reach their endpoints: signed, repeated until accepted, held or shuffled on demand."""

from collections import Counter
from typing import Any

import pytest
import stripe

from tests.sandbox.program import SECRET, Receiver, Sandbox, payment, until

_AUTHORIZED = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.amount_capturable_updated",
]


async def _pay(sandbox: Sandbox, order: str = "one") -> str:
    return (await sandbox.stripe.payment_intents.create_async(payment(order))).id


async def test_events_arrive_signed_as_the_sdk_expects(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    intent_id = await _pay(own_sandbox)
    await until(lambda: len(receiver.received) == 3)
    assert sorted(receiver.types(intent_id)) == sorted(_AUTHORIZED)
    for received in receiver.received:
        event = stripe.Webhook.construct_event(received.body, received.signature, SECRET)
        assert event.api_version == "2026-08-26.dahlia"
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(received.body + b" ", received.signature, SECRET)


async def test_an_event_that_is_not_accepted_comes_again_signed_anew(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 500
    await _pay(own_sandbox)
    await until(lambda: len(receiver.received) >= 6)
    receiver.status = 200
    await own_sandbox.control("deliveries", mode="deliver")
    await until(lambda: len({r.event["id"] for r in receiver.received[6:]}) == 3)
    times = Counter(received.event["id"] for received in receiver.received)
    assert all(count >= 3 for count in times.values())
    signatures = [received.signature for received in receiver.received]
    assert len(set(signatures)) > len(times)
    event_id = receiver.received[0].event["id"]

    async def accepted() -> bool:
        event = await own_sandbox.stripe.events.retrieve_async(event_id)
        return event.pending_webhooks == 0

    await until(accepted)


async def test_an_event_waits_longer_for_each_try_and_is_given_up_after_three_days(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 503
    await _pay(own_sandbox)
    await until(lambda: len(receiver.received) == 3)
    await own_sandbox.control("clock", advance_seconds=2 * 86400)
    await until(lambda: len(receiver.received) == 6)
    await own_sandbox.control("clock", advance_seconds=2 * 86400)
    await until(lambda: len(receiver.received) == 9)

    async def given_up() -> bool:
        counts = (await own_sandbox.http.get("/control/deliveries")).json()
        return (counts["pending"], counts["given_up"]) == (0, 3)

    await until(given_up)


async def test_held_events_are_released_together(own_sandbox: Sandbox, receiver: Receiver) -> None:
    await own_sandbox.control("deliveries", mode="hold")
    intent_id = await _pay(own_sandbox)
    counts = (await own_sandbox.http.get("/control/deliveries")).json()
    assert (counts["pending"], receiver.received) == (3, [])
    event = (await own_sandbox.stripe.events.list_async({"limit": 1})).data[0]
    assert event.pending_webhooks == 1
    await own_sandbox.control("deliveries", mode="deliver")
    await until(lambda: len(receiver.types(intent_id)) == 3)


async def test_dropped_events_never_arrive_but_are_listed(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="drop")
    lost = await _pay(own_sandbox, "lost")
    await own_sandbox.control("deliveries", mode="deliver")
    found = await _pay(own_sandbox, "found")
    await until(lambda: len(receiver.types(found)) == 3)
    assert receiver.types(lost) == []
    assert await own_sandbox.events_of(lost) == _AUTHORIZED


async def test_events_can_arrive_more_than_once(own_sandbox: Sandbox, receiver: Receiver) -> None:
    await own_sandbox.control("deliveries", mode="repeat", times=3)
    await _pay(own_sandbox)
    await until(lambda: len(receiver.received) == 9)
    assert set(Counter(r.event["id"] for r in receiver.received).values()) == {3}


async def test_events_can_arrive_out_of_order(own_sandbox: Sandbox, receiver: Receiver) -> None:
    await own_sandbox.control("deliveries", mode="shuffle", seconds=0.3)
    payments = [await _pay(own_sandbox, f"order-{n}") for n in range(4)]
    await until(lambda: len(receiver.received) == 12)
    created: Any = await own_sandbox.stripe.events.list_async({"limit": 12})
    in_order = [event.id for event in reversed(created.data)]
    arrived = [received.event["id"] for received in receiver.received]
    assert sorted(arrived) == sorted(in_order)
    assert arrived != in_order
    assert all(len(receiver.types(intent_id)) == 3 for intent_id in payments)


async def test_an_endpoint_gets_the_events_it_asked_for(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    endpoints = own_sandbox.stripe.webhook_endpoints
    chosen = Receiver()
    try:
        endpoint = await endpoints.create_async(
            {"url": chosen.url, "enabled_events": ["charge.succeeded"]}
        )
        intent_id = await _pay(own_sandbox)
        await until(lambda: len(chosen.received) == 1 and len(receiver.received) == 3)
        assert chosen.types(intent_id) == ["charge.succeeded"]
        received = chosen.received[0]
        assert endpoint.secret is not None
        stripe.Webhook.construct_event(received.body, received.signature, endpoint.secret)
        await endpoints.update_async(endpoint.id, {"disabled": True})
        again = await _pay(own_sandbox, "two")
        await until(lambda: len(receiver.types(again)) == 3)
        assert len(chosen.received) == 1
    finally:
        chosen.close()


async def test_an_endpoints_secret_is_shown_once(sandbox: Sandbox) -> None:
    endpoints = sandbox.stripe.webhook_endpoints
    created = await endpoints.create_async(
        {"url": "https://shop.example/hooks", "enabled_events": ["*"], "description": "Mine"}
    )
    assert created.secret is not None
    assert created.secret.startswith("whsec_")
    assert "secret" not in await endpoints.retrieve_async(created.id)
    listed = await endpoints.list_async()
    assert [("secret" in endpoint, endpoint.id) for endpoint in listed.data] == [
        (False, created.id)
    ]
    updated = await endpoints.update_async(created.id, {"enabled_events": ["charge.refunded"]})
    assert updated.enabled_events == ["charge.refunded"]
    assert (await endpoints.delete_async(created.id)).deleted
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await endpoints.retrieve_async(created.id)
    assert refusal.value.code == "resource_missing"
