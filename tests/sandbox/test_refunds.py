"""Refunds: money that goes back."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE, answer
from tests.sandbox.program import Receiver, Sandbox, payment, until


async def _paid(sandbox: Sandbox, order: str, method: str = "pm_card_visa") -> str:
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order, method, capture_method="automatic")
    )
    return intent.id


async def test_a_payment_is_refunded_in_parts_up_to_what_was_captured(
    sandbox: Sandbox, order: str
) -> None:
    refunds = sandbox.stripe.refunds
    intent = await sandbox.stripe.payment_intents.create_async(payment(order))
    await sandbox.stripe.payment_intents.capture_async(intent.id, {"amount_to_capture": 700})
    first = await refunds.create_async(
        {
            "payment_intent": intent.id,
            "amount": 200,
            "reason": "requested_by_customer",
            "metadata": {"why": "broken"},
        }
    )
    assert (first.status, first.amount, first.reason) == (
        "succeeded",
        200,
        "requested_by_customer",
    )
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await refunds.create_async({"payment_intent": intent.id, "amount": 501})
    assert refusal.value.param == "amount"
    rest = await refunds.create_async({"charge": str(first.charge)})
    assert rest.amount == 500
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await refunds.create_async({"payment_intent": intent.id})
    assert refusal.value.code == "charge_already_refunded"
    charge = await sandbox.stripe.charges.retrieve_async(str(first.charge), {"expand": ["refunds"]})
    assert (charge.refunded, charge.amount_refunded) == (True, 700)
    assert charge.refunds is not None
    assert [refund.id for refund in charge.refunds.data] == [rest.id, first.id]
    assert (await sandbox.ledger(order))["payment_intents"][0]["refunded"] == 700


async def test_what_is_not_captured_is_not_refunded(sandbox: Sandbox, order: str) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(payment(order))
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    assert refusal.value.code == "payment_intent_unexpected_state"


async def test_refunds_are_found_by_payment_and_by_charge(sandbox: Sandbox, order: str) -> None:
    intent_id = await _paid(sandbox, order)
    refund = await sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert (await sandbox.stripe.refunds.retrieve_async(refund.id)).id == refund.id
    by_intent = await sandbox.stripe.refunds.list_async({"payment_intent": intent_id})
    by_charge = await sandbox.stripe.refunds.list_async({"charge": str(refund.charge)})
    assert [found.id for found in by_intent.data] == [refund.id]
    assert [found.id for found in by_charge.data] == [refund.id]


async def test_a_refund_settles_and_names_the_banks_reference(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    intent_id = await _paid(own_sandbox, "settled")
    refund = await own_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    await until(lambda: "refund.updated" in receiver.types(intent_id))
    settled: Any = await own_sandbox.stripe.refunds.retrieve_async(refund.id)
    assert settled.destination_details.card.reference
    assert (await own_sandbox.events_of(intent_id))[-3:] == [
        "refund.created",
        "charge.refunded",
        "refund.updated",
    ]


async def test_a_refund_may_be_pending_first(own_sandbox: Sandbox, receiver: Receiver) -> None:
    intent_id = await _paid(own_sandbox, "pending", "pm_card_pendingRefund")
    refund = await own_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert refund.status == "pending"
    await until(lambda: "refund.updated" in receiver.types(intent_id))
    refund = await own_sandbox.stripe.refunds.retrieve_async(refund.id)
    assert refund.status == "succeeded"


async def test_a_refund_may_fail_later_and_the_money_stays(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    intent_id = await _paid(own_sandbox, "failing", "pm_card_refundFail")
    refund = await own_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert refund.status == "succeeded"
    await until(lambda: "refund.failed" in receiver.types(intent_id))
    refund = await own_sandbox.stripe.refunds.retrieve_async(refund.id)
    assert (refund.status, refund.failure_reason) == ("failed", "expired_or_canceled_card")
    charge = await own_sandbox.stripe.charges.retrieve_async(str(refund.charge))
    assert (charge.refunded, charge.amount_refunded) == (False, 0)
    assert (await own_sandbox.ledger("failing"))["payment_intents"][0]["refunded"] == 0


async def test_each_step_of_a_refund_is_told_with_what_changed(slow_sandbox: Sandbox) -> None:
    intent_id = await _paid(slow_sandbox, "told", "pm_card_pendingRefund")
    refund = await slow_sandbox.stripe.refunds.create_async(
        {"payment_intent": intent_id, "amount": 300}
    )
    await slow_sandbox.control("settle", id=refund.id)
    created, refunded, updated = await _last_events(slow_sandbox, 3)
    assert [event["type"] for event in (created, refunded, updated)] == [
        "refund.created",
        "charge.refunded",
        "refund.updated",
    ]
    assert created["data"]["object"] == refund.to_dict()
    assert refunded["data"]["object"]["amount_refunded"] == 300
    assert refunded["data"]["previous_attributes"] == {"amount_refunded": 0}
    about = updated["data"]["object"]
    assert (about["status"], "pending_reason" in about) == ("succeeded", False)
    assert updated["data"]["previous_attributes"] == {
        "destination_details": {"card": {"reference": None, "reference_status": "pending"}},
        "pending_reason": "processing",
        "status": "pending",
    }


async def test_a_refund_that_fails_says_why(slow_sandbox: Sandbox) -> None:
    intent_id = await _paid(slow_sandbox, "returned", "pm_card_refundFail")
    refund = await slow_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    await slow_sandbox.control("settle", id=refund.id)
    _, refunded, updated, failed = await _last_events(slow_sandbox, 4)
    assert refunded["data"]["previous_attributes"] == {"amount_refunded": 0, "refunded": False}
    assert [updated["type"], failed["type"]] == ["refund.updated", "refund.failed"]
    assert updated["data"]["previous_attributes"]["status"] == "succeeded"
    assert updated["data"]["object"] == failed["data"]["object"]
    assert failed["data"]["object"]["failure_reason"] == "expired_or_canceled_card"
    again = await slow_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert again.amount == 1000


@pytest.mark.parametrize(
    ("method", "currency"),
    [
        ({"payment_method": "pm_sepaDebit_success", "mandate_data": MANDATE}, "eur"),
        ({"payment_method": "pm_usBankAccount_success", "mandate_data": MANDATE}, "usd"),
        ({"payment_method_data": {"type": "ideal"}}, "eur"),
        ({"payment_method_data": {"type": "paypal"}}, "eur"),
    ],
)
async def test_a_refund_by_any_way_but_a_card_takes_its_time(
    slow_sandbox: Sandbox, method: Any, currency: str
) -> None:
    params = payment("slowly", capture_method="automatic", currency=currency)
    del params["payment_method"]
    params |= method
    intent = await slow_sandbox.stripe.payment_intents.create_async(params)
    if intent.status == "requires_action":
        await answer(slow_sandbox, intent, "approve")
    else:
        await slow_sandbox.control("settle", id=intent.id)
    refunds = slow_sandbox.stripe.refunds
    refund = await refunds.create_async({"payment_intent": intent.id, "amount": 400})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    await slow_sandbox.control("settle", id=refund.id)
    settled: Any = await refunds.retrieve_async(refund.id)
    assert (settled.status, "pending_reason" in settled) == ("succeeded", False)
    assert (await slow_sandbox.events_of(intent.id))[-3:] == [
        "refund.created",
        "charge.refunded",
        "refund.updated",
    ]
    assert (await slow_sandbox.ledger("slowly"))["payment_intents"][0]["refunded"] == 400


async def test_a_refund_can_be_described_later(sandbox: Sandbox, order: str) -> None:
    refunds = sandbox.stripe.refunds
    intent_id = await _paid(sandbox, order)
    refund = await refunds.create_async(
        {"payment_intent": intent_id, "metadata": {"why": "broken", "by": "A"}}
    )
    updated = await refunds.update_async(refund.id, {"metadata": {"by": "", "note": "seen"}})
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"why": "broken", "note": "seen"}
    (event,) = await _last_events(sandbox, 1, intent_id)
    assert event["type"] == "refund.updated"
    assert event["data"]["previous_attributes"] == {"metadata": {"by": "A", "note": None}}


async def test_a_refund_on_its_way_cannot_be_canceled(sandbox: Sandbox, order: str) -> None:
    intent_id = await _paid(sandbox, order, "pm_card_pendingRefund")
    refund = await sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.refunds.cancel_async(refund.id)
    assert refusal.value.http_status == 400


async def test_a_refund_has_no_fraction_that_its_currency_lacks(
    sandbox: Sandbox, order: str
) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order, capture_method="automatic", currency="isk", amount=10000)
    )
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.refunds.create_async({"payment_intent": intent.id, "amount": 150})
    assert refusal.value.code == "invalid_charge_amount_no_decimal_compatible"
    refund = await sandbox.stripe.refunds.create_async({"payment_intent": intent.id, "amount": 200})
    assert refund.amount == 200


async def _last_events(sandbox: Sandbox, count: int, intent_id: str | None = None) -> list[Any]:
    """The latest events, oldest first, only one payment's if one is named."""
    listed = await sandbox.stripe.events.list_async({"limit": 100})
    events: list[Any] = [event.to_dict() for event in listed.data]
    if intent_id is not None:
        events = [e for e in events if e["data"]["object"].get("payment_intent") == intent_id]
    return events[:count][::-1]
