"""Events reach their endpoints: signed, repeated until accepted, held or shuffled on demand."""

import sqlite3
import time
from collections import Counter
from contextlib import closing
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


async def _captured(sandbox: Sandbox, intent_id: str) -> str:
    return (await sandbox.stripe.payment_intents.capture_async(intent_id)).id


def _deliveries(sandbox: Sandbox, column: str) -> list[Any]:
    """What the sandbox has written down of its deliveries, which no answer of its tells."""
    with closing(sqlite3.connect(sandbox.database)) as database:
        return database.execute(f"SELECT {column} FROM deliveries ORDER BY id").fetchall()  # noqa: S608


async def _tried(sandbox: Sandbox, *times: int) -> None:
    """Wait until each event was sent so often and the answers are in."""
    await until(lambda: _deliveries(sandbox, "attempts") == [(each,) for each in times])


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
    for tries in range(1, 3):
        await _tried(own_sandbox, tries, tries, tries)
        await own_sandbox.control("clock", advance_seconds=2 * 86400)

    async def given_up() -> bool:
        counts = (await own_sandbox.http.get("/control/deliveries")).json()
        return (counts["pending"], counts["given_up"]) == (0, 3)

    await until(given_up)
    assert len(receiver.received) == 9


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


async def test_events_can_leave_late_and_their_retries_when_they_are_due(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="delay", seconds=600)
    intent_id = await _pay(own_sandbox)
    await own_sandbox.control("clock", advance_seconds=590)
    counts = (await own_sandbox.http.get("/control/deliveries")).json()
    assert (counts["pending"], receiver.received) == (3, [])
    receiver.status = 500
    await own_sandbox.control("clock", advance_seconds=11)
    await _tried(own_sandbox, 1, 1, 1)
    receiver.status = 200
    await own_sandbox.control("clock", advance_seconds=10)
    await until(lambda: len(receiver.types(intent_id)) == 6)


async def test_one_kind_of_event_alone_can_be_dropped_or_held(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="drop", types=["charge.succeeded"])
    first = await _pay(own_sandbox, "first")
    await until(lambda: len(receiver.types(first)) == 2)
    await own_sandbox.control("deliveries", mode="hold", types=["payment_intent.created"])
    second = await _pay(own_sandbox, "second")
    await until(lambda: len(receiver.types(second)) == 2)

    async def one_is_held_and_one_is_gone() -> bool:  # the others' answers are noted by then
        counts = (await own_sandbox.http.get("/control/deliveries")).json()
        return (counts["pending"], counts["dropped"]) == (1, 1)

    await until(one_is_held_and_one_is_gone)
    await own_sandbox.control("deliveries", mode="deliver")
    await until(lambda: len(receiver.types(second)) == 3)
    assert receiver.types(second)[-1] == "payment_intent.created"
    assert "charge.succeeded" not in receiver.types(first)


async def test_one_kind_of_event_alone_can_be_repeated(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="repeat", times=4, types=["charge.succeeded"])
    intent_id = await _pay(own_sandbox)
    await until(lambda: len(receiver.types(intent_id)) == 6)
    assert receiver.types(intent_id).count("charge.succeeded") == 4


async def test_each_order_has_its_own_rule_and_what_came_of_it_is_counted(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    rules = [
        {"mode": "drop", "orders": "*-silent"},
        {"mode": "repeat", "times": 5, "orders": "*-loud"},
        {"mode": "drop", "types": ["charge.succeeded"]},
    ]
    await own_sandbox.control("deliveries", rules=rules)
    own_sandbox.kill()
    await own_sandbox.start()
    silent = await _pay(own_sandbox, "one-silent")
    loud = await _pay(own_sandbox, "two-loud")
    plain = await _pay(own_sandbox, "three")
    await until(lambda: (len(receiver.types(loud)), len(receiver.types(plain))) == (15, 2))
    await own_sandbox.stripe.refunds.create_async(
        {"payment_intent": await _captured(own_sandbox, silent)}
    )
    await _captured(own_sandbox, plain)
    await until(lambda: ("pending",) not in _deliveries(own_sandbox, "state"))

    assert receiver.types(silent) == []
    counts = (await own_sandbox.http.get("/control/deliveries")).json()
    assert counts["accepted"] == {"repeat": 15, "deliver": 4}
    assert (counts["repeated"], counts["silent_orders"]) == (12, 1)


@pytest.mark.parametrize("skew", [-400, 400])
async def test_a_clock_that_is_wrong_dates_signatures_wrongly(
    own_sandbox: Sandbox, receiver: Receiver, skew: int
) -> None:
    await own_sandbox.control("clock", skew_seconds=skew)
    await _pay(own_sandbox)
    await until(lambda: len(receiver.received) == 3)
    dated = int(receiver.received[0].signature.removeprefix("t=").split(",")[0])
    assert abs(dated - skew - time.time()) < 60


@pytest.mark.parametrize("mode", ["delay", "shuffle"])
async def test_one_kind_of_event_alone_can_be_late(
    own_sandbox: Sandbox, receiver: Receiver, mode: str
) -> None:
    late = "payment_intent.succeeded"
    await own_sandbox.control("deliveries", mode=mode, seconds=600, types=[late])
    intent_id = await _pay(own_sandbox)
    await own_sandbox.stripe.payment_intents.capture_async(intent_id)
    await until(lambda: len(receiver.types(intent_id)) == 4)
    assert late not in receiver.types(intent_id)
    await own_sandbox.control("clock", advance_seconds=601)
    await until(lambda: late in receiver.types(intent_id))


async def test_the_pauses_between_tries_grow(own_sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    endpoints = own_sandbox.stripe.webhook_endpoints
    registered = (await endpoints.list_async()).data[0]
    await endpoints.update_async(registered.id, {"enabled_events": ["charge.succeeded"]})
    await _pay(own_sandbox)
    now, pauses = 0.0, []
    for tries in range(1, 10):
        await _tried(own_sandbox, tries)
        ((moment,),) = _deliveries(own_sandbox, "next_at - created")
        pauses.append(moment - now)
        now = moment
        await own_sandbox.control("clock", advance_seconds=pauses[-1])
    assert pauses[0] < pauses[3] < pauses[5]
    assert max(pauses) < 90


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


async def test_events_are_signed_with_every_secret_that_is_live(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    def fits(signature: str, body: bytes, secret: str) -> bool:
        try:
            stripe.Webhook.construct_event(body, signature, secret)
        except stripe.SignatureVerificationError:
            return False
        return True

    async def fitting() -> tuple[bool, bool]:
        receiver.received.clear()
        await _pay(own_sandbox)
        await until(lambda: len(receiver.received) == 3)
        signature, body = receiver.received[0].signature, receiver.received[0].body
        return fits(signature, body, SECRET), fits(signature, body, new)

    endpoint = (await own_sandbox.stripe.webhook_endpoints.list_async()).data[0]
    new = "whsec_of_nobody"
    assert await fitting() == (True, False)
    new = (await own_sandbox.control("secret", endpoint=endpoint.id, seconds=3600))["secret"]
    assert await fitting() == (True, True)
    await own_sandbox.control("clock", advance_seconds=3601)
    assert await fitting() == (False, True)


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
