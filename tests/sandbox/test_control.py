"""The bank's and the clock's moves, made by a test when it wants them."""

import time
from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE
from tests.sandbox.program import Sandbox, payment


async def _paid(sandbox: Sandbox, order: str, method: str = "pm_card_visa") -> Any:
    return await sandbox.stripe.payment_intents.create_async(
        payment(order, method, capture_method="automatic")
    )


async def _refused(sandbox: Sandbox, what: str, **order: Any) -> tuple[int, str]:
    answer = await sandbox.http.post(f"/control/{what}", json=order)
    return answer.status_code, answer.json()["error"]


async def test_a_refund_settles_on_demand_and_only_once(slow_sandbox: Sandbox) -> None:
    intent = await _paid(slow_sandbox, "refunded", "pm_card_pendingRefund")
    refund = await slow_sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "pending"
    assert await slow_sandbox.control("settle", id=refund.id) == {
        "id": refund.id,
        "done": ["settle_refund"],
    }
    settled = await slow_sandbox.stripe.refunds.retrieve_async(refund.id)
    assert settled.status == "succeeded"
    assert (await slow_sandbox.events_of(intent.id))[-1] == "refund.updated"
    assert (await _refused(slow_sandbox, "settle", id=refund.id))[0] == 422


async def test_a_capture_window_ends_on_demand(own_sandbox: Sandbox) -> None:
    intents = own_sandbox.stripe.payment_intents
    held = await intents.create_async(payment("held"))
    taken = await intents.create_async(payment("taken"))
    await intents.capture_async(taken.id)
    await own_sandbox.control("settle", id=held.id)
    assert (await intents.retrieve_async(held.id)).status == "canceled"
    for over in (held, taken):
        status, words = await _refused(own_sandbox, "settle", id=over.id)
        assert (status, words) == (422, "Nothing is pending for this object.")


@pytest.mark.parametrize("by", ["intent", "charge"])
async def test_a_dispute_comes_on_demand(slow_sandbox: Sandbox, by: str) -> None:
    intent = await _paid(slow_sandbox, "disputed", "pm_card_createDispute")
    await slow_sandbox.control("settle", id=intent.id if by == "intent" else intent.latest_charge)
    disputes = await slow_sandbox.stripe.disputes.list_async({"payment_intent": intent.id})
    assert [found.status for found in disputes.data] == ["needs_response"]


async def test_a_bank_debit_settles_on_demand(slow_sandbox: Sandbox) -> None:
    intents = slow_sandbox.stripe.payment_intents
    intent = await intents.create_async(
        payment(
            "debited",
            "pm_sepaDebit_success",
            capture_method="automatic",
            currency="eur",
            mandate_data=MANDATE,
        )
    )
    assert intent.status == "processing"
    await slow_sandbox.control("settle", id=intent.id)
    assert (await intents.retrieve_async(intent.id)).status == "succeeded"
    status, words = await _refused(slow_sandbox, "disputes", payment_intent=intent.id)
    assert (status, bool(words)) == (422, True)


async def test_what_does_not_exist_cannot_settle(sandbox: Sandbox) -> None:
    assert (await _refused(sandbox, "settle", id="pi_nothing"))[0] == 404


async def test_the_capture_window_can_be_chosen_for_what_comes(own_sandbox: Sandbox) -> None:
    intents = own_sandbox.stripe.payment_intents

    async def window(order: str) -> tuple[str, int]:
        intent: Any = await intents.create_async(payment(order, expand=["latest_charge"]))
        charge = intent.latest_charge
        return intent.id, charge.payment_method_details.card.capture_before - charge.created

    earlier, seconds = await window("earlier")
    assert seconds == 7 * 86400
    assert await own_sandbox.control("capture-window", seconds=120) == {"seconds": 120}
    own_sandbox.kill()
    await own_sandbox.start()
    short, seconds = await window("short")
    assert seconds == 120
    await own_sandbox.control("clock", advance_seconds=121)
    assert (await intents.retrieve_async(short)).status == "canceled"
    assert (await intents.retrieve_async(earlier)).status == "requires_capture"
    assert await own_sandbox.control("capture-window") == {"seconds": 7 * 86400}
    assert (await window("later"))[1] == 7 * 86400


async def test_any_captured_card_payment_can_be_disputed(sandbox: Sandbox, order: str) -> None:
    intent = await _paid(sandbox, order)
    dispute = await sandbox.control(
        "disputes", payment_intent=intent.id, reason="product_unacceptable", amount=400
    )
    found = await sandbox.stripe.disputes.retrieve_async(dispute["id"])
    assert found.to_dict() == dispute
    assert (found.amount, found.reason, found.status) == (
        400,
        "product_unacceptable",
        "needs_response",
    )
    charge = await sandbox.stripe.charges.retrieve_async(str(found.charge))
    assert charge.disputed
    assert (await sandbox.ledger(order))["payment_intents"][0]["disputed"] == 400
    rest = await sandbox.control("disputes", payment_intent=intent.id)
    assert (rest["amount"], rest["reason"]) == (600, "fraudulent")
    assert (await sandbox.ledger(order))["payment_intents"][0]["disputed"] == 1000
    assert (await _refused(sandbox, "disputes", payment_intent=intent.id))[0] == 422


async def test_what_did_not_come_in_cannot_be_disputed(sandbox: Sandbox, order: str) -> None:
    intents, refunds = sandbox.stripe.payment_intents, sandbox.stripe.refunds
    bare = await intents.create_async({"amount": 1000, "currency": "usd"})
    held = await intents.create_async(payment(order))
    back = await _paid(sandbox, order)
    await refunds.create_async({"payment_intent": back.id})
    for intent in (bare, held, back):
        status, words = await _refused(sandbox, "disputes", payment_intent=intent.id)
        assert (status, bool(words)) == (422, True)
    assert (await _refused(sandbox, "disputes", payment_intent="pi_nothing"))[0] == 404
    paid = await _paid(sandbox, order)
    for wrong in (
        {"amount": 1001},
        {"amount": 0},
        {"reason": "a whim"},
        {"answer_within": 0},
        {"answer_within": 10**30},
    ):
        assert (await _refused(sandbox, "disputes", payment_intent=paid.id, **wrong))[0] == 422


@pytest.mark.parametrize(
    ("verdict", "disputed", "events"),
    [
        ("won", 0, ["charge.dispute.funds_reinstated", "charge.dispute.closed"]),
        ("lost", 1000, ["charge.dispute.closed"]),
    ],
)
async def test_the_bank_decides_a_dispute_on_demand(
    sandbox: Sandbox, order: str, verdict: str, disputed: int, events: list[str]
) -> None:
    intent = await _paid(sandbox, order)
    dispute = await sandbox.control("disputes", payment_intent=intent.id)
    decided = await sandbox.control(f"disputes/{dispute['id']}", verdict=verdict)
    assert (decided["id"], decided["status"]) == (dispute["id"], verdict)
    assert decided["is_charge_refundable"] is (verdict == "won")
    assert (await sandbox.events_of(intent.id))[-2 - len(events) :] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        *events,
    ]
    assert (await sandbox.ledger(order))["payment_intents"][0]["disputed"] == disputed
    assert (await _refused(sandbox, f"disputes/{dispute['id']}", verdict="won"))[0] == 400
    assert (await _refused(sandbox, "disputes/du_nothing", verdict="won"))[0] == 404


async def test_a_dispute_that_nobody_answers_is_lost(own_sandbox: Sandbox) -> None:
    intent = await _paid(own_sandbox, "silent")
    dispute = await own_sandbox.control("disputes", payment_intent=intent.id)
    left = dispute["evidence_details"]["due_by"] - time.time()
    await own_sandbox.control("clock", advance_seconds=left - 60)
    disputes = own_sandbox.stripe.disputes
    assert (await disputes.retrieve_async(dispute["id"])).status == "needs_response"
    await own_sandbox.control("clock", advance_seconds=61)
    lost = await disputes.retrieve_async(dispute["id"])
    assert (lost.status, lost.evidence_details.past_due) == ("lost", True)
    assert (await own_sandbox.events_of(intent.id))[-1] == "charge.dispute.closed"


async def test_the_time_to_answer_a_dispute_can_be_chosen(own_sandbox: Sandbox) -> None:
    intent = await _paid(own_sandbox, "hurried")
    dispute = await own_sandbox.control("disputes", payment_intent=intent.id, answer_within=3600)
    assert dispute["evidence_details"]["due_by"] == dispute["created"] + 3600
    disputes = own_sandbox.stripe.disputes
    await own_sandbox.control("clock", advance_seconds=3000)
    assert (await disputes.retrieve_async(dispute["id"])).status == "needs_response"
    await own_sandbox.control("clock", advance_seconds=601)
    assert (await disputes.retrieve_async(dispute["id"])).status == "lost"


async def test_a_refund_in_full_leaves_nothing_for_a_dispute_that_was_to_come(
    slow_sandbox: Sandbox,
) -> None:
    intent = await _paid(slow_sandbox, "given back", "pm_card_createDispute")
    await slow_sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    await slow_sandbox.control("settle", id=intent.id)
    assert (await slow_sandbox.stripe.disputes.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await slow_sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    assert refusal.value.code == "charge_already_refunded"
