"""Made-up events: what a receiver is sent that Stripe never said."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import SECRET, Received, Receiver, Sandbox, payment


def _is_genuine(received: Received) -> bool:
    try:
        stripe.Webhook.construct_event(received.body, received.signature, SECRET)
    except stripe.SignatureVerificationError:
        return False
    return True


@pytest.mark.parametrize(
    ("signed", "genuine"), [("right", True), ("wrong", False), ("stale", False)]
)
async def test_a_made_up_event_is_signed_as_ordered(
    own_sandbox: Sandbox, receiver: Receiver, signed: str, genuine: bool
) -> None:
    receiver.status = 204
    made_up = {"id": "pi_made_up", "object": "payment_intent"}
    sent = await own_sandbox.control(
        "forge", type="payment_intent.succeeded", object=made_up, signed=signed, times=2
    )
    assert sent["statuses"] == [204, 204]
    assert [_is_genuine(received) for received in receiver.received] == [genuine, genuine]
    for received in receiver.received:
        assert received.event["id"] == sent["event"]
        assert received.event["type"] == "payment_intent.succeeded"
        assert received.event["data"]["object"] == made_up


async def test_an_event_can_come_without_a_signature(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 400
    sent = await own_sandbox.control("forge", type="charge.refunded", object={}, signed="none")
    assert sent["statuses"] == [400]
    assert receiver.received[0].signature is None


async def test_a_real_event_can_be_copied_with_changes(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="drop")
    intent = await own_sandbox.stripe.payment_intents.create_async(payment("copied"))
    listed = await own_sandbox.stripe.events.list_async({"type": "payment_intent.created"})
    real: Any = listed.data[0]
    sent = await own_sandbox.control(
        "forge",
        type="payment_intent.succeeded",
        from_event=real.id,
        changes={"amount_received": 1, "metadata": {"order_id": "another"}},
    )
    event = receiver.received[0].event
    assert event["id"] == sent["event"] != real.id
    about = event["data"]["object"]
    assert (about["id"], about["amount"], about["amount_received"]) == (intent.id, 1000, 1)
    assert about["metadata"] == {"order_id": "another"}


async def test_a_made_up_event_is_in_no_list_and_comes_once(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.status = 500
    sent = await own_sandbox.control("forge", type="charge.succeeded", object={"id": "ch_1"})
    assert sent["statuses"] == [500]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await own_sandbox.stripe.events.retrieve_async(sent["event"])
    assert refusal.value.http_status == 404
    assert (await own_sandbox.http.get("/control/deliveries")).json()["pending"] == 0


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"type": "charge.succeeded"}, 422),
        ({"object": {}}, 422),
        ({"type": "", "object": {}}, 422),
        ({"type": "", "from_event": "evt_1"}, 422),
        ({"object": {}, "from_event": "evt_1", "type": "charge.succeeded"}, 422),
        ({"from_event": "evt_nothing"}, 404),
        ({"type": "charge.succeeded", "object": {}, "signed": "badly"}, 422),
    ],
)
async def test_a_forgery_that_makes_no_sense_is_refused(
    sandbox: Sandbox, wrong: Any, status: int
) -> None:
    answer = await sandbox.http.post("/control/forge", json=wrong)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)
