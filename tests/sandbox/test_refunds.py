"""Refunds and disputes: money that goes back."""

from typing import Any

import pytest
import stripe

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


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pm_card_createDispute", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received"),
    ],
)
async def test_a_disputed_payment_cannot_be_refunded(
    own_sandbox: Sandbox, receiver: Receiver, method: str, reason: str
) -> None:
    intent_id = await _paid(own_sandbox, "disputed", method)
    await until(lambda: "charge.dispute.funds_withdrawn" in receiver.types(intent_id))
    disputes = await own_sandbox.stripe.disputes.list_async({"payment_intent": intent_id})
    assert [(found.reason, found.status) for found in disputes.data] == [(reason, "needs_response")]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await own_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert refusal.value.code == "charge_disputed"
    assert (await own_sandbox.ledger("disputed"))["payment_intents"][0]["disputed"] == 1000
    closed = await own_sandbox.stripe.disputes.close_async(disputes.data[0].id)
    assert closed.status == "lost"
    assert (await own_sandbox.events_of(intent_id))[-3:] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


async def test_a_dispute_that_is_won_brings_the_money_back(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    intent_id = await _paid(own_sandbox, "won", "pm_card_createDispute")
    await until(lambda: "charge.dispute.funds_withdrawn" in receiver.types(intent_id))
    dispute = (await own_sandbox.stripe.disputes.list_async({"payment_intent": intent_id})).data[0]
    won = await own_sandbox.stripe.disputes.update_async(
        dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}}
    )
    assert won.status == "won"
    assert (await own_sandbox.events_of(intent_id))[-3:] == [
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]
    assert (await own_sandbox.ledger("won"))["payment_intents"][0]["disputed"] == 0
    refund = await own_sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert refund.amount == 1000
