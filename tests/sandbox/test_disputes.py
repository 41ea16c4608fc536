"""Disputes: money that the payer's bank takes back."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import Receiver, Sandbox, payment, until


async def _paid(sandbox: Sandbox, order: str, method: str = "pm_card_visa") -> str:
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order, method, capture_method="automatic")
    )
    return intent.id


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


async def test_evidence_is_laid_ready_and_then_handed_in(sandbox: Sandbox, order: str) -> None:
    disputes = sandbox.stripe.disputes
    intent_id = await _paid(sandbox, order)
    raised = await sandbox.control("disputes", payment_intent=intent_id)
    laid = await disputes.update_async(
        raised["id"],
        {"evidence": {"customer_name": "A. Payer"}, "submit": False, "metadata": {"case": "7"}},
    )
    details: Any = laid.evidence_details
    assert (laid.status, details.has_evidence, details.submission_count) == (
        "needs_response",
        True,
        0,
    )
    assert laid.metadata.to_dict() == {"case": "7"}
    handed: Any = await disputes.update_async(raised["id"], {"submit": True})
    assert (handed.status, handed.evidence_details.submission_count) == ("under_review", 1)
    assert handed.evidence.customer_name == "A. Payer"
    noted: Any = await disputes.update_async(raised["id"], {"metadata": {"case": "8"}})
    assert (noted.status, noted.evidence_details.submission_count) == ("under_review", 1)
    changed = await _changes(sandbox, raised["id"])
    assert changed == [
        {
            "evidence": {"customer_name": None},
            "evidence_details": {"has_evidence": False},
            "metadata": {"case": None},
        },
        {"evidence_details": {"submission_count": 0}, "status": "needs_response"},
        {"metadata": {"case": "7"}},
    ]
    decided = await sandbox.control(f"disputes/{raised['id']}", verdict="lost")
    assert decided["status"] == "lost"


async def test_an_answered_dispute_does_not_run_out(own_sandbox: Sandbox) -> None:
    intent_id = await _paid(own_sandbox, "answered")
    raised = await own_sandbox.control("disputes", payment_intent=intent_id)
    disputes = own_sandbox.stripe.disputes
    await disputes.update_async(raised["id"], {"evidence": {"receipt": "file_1"}})
    await own_sandbox.control("clock", advance_seconds=30 * 86400)
    assert (await disputes.retrieve_async(raised["id"])).status == "under_review"


async def test_losing_evidence_loses_and_a_closed_dispute_stays_closed(
    sandbox: Sandbox, order: str
) -> None:
    disputes = sandbox.stripe.disputes
    intent_id = await _paid(sandbox, order)
    raised = await sandbox.control("disputes", payment_intent=intent_id)
    lost = await disputes.update_async(
        raised["id"], {"evidence": {"uncategorized_text": "losing_evidence"}}
    )
    assert lost.status == "lost"
    for again in (
        disputes.close_async(raised["id"]),
        disputes.update_async(raised["id"], {"metadata": {"a": "b"}}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await again
        assert refusal.value.http_status == 400
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sandbox.stripe.refunds.create_async({"payment_intent": intent_id})
    assert refused.value.code == "charge_disputed"


async def test_disputes_are_found_by_charge_payment_and_time(own_sandbox: Sandbox) -> None:
    disputes = own_sandbox.stripe.disputes
    raised = []
    for order in ("first", "second"):
        intent_id = await _paid(own_sandbox, order)
        raised.append(await own_sandbox.control("disputes", payment_intent=intent_id))
        await own_sandbox.control("clock", advance_seconds=60)
    first, second = raised
    queries: list[tuple[Any, list[str]]] = [
        ({}, [second["id"], first["id"]]),
        ({"charge": first["charge"]}, [first["id"]]),
        ({"payment_intent": second["payment_intent"]}, [second["id"]]),
        ({"created": {"lt": second["created"]}}, [first["id"]]),
        ({"limit": 1, "starting_after": second["id"]}, [first["id"]]),
    ]
    for query, expected in queries:
        listed = await disputes.list_async(query)
        assert [found.id for found in listed.data] == expected, query
    expanded: Any = await disputes.retrieve_async(
        first["id"], {"expand": ["charge", "payment_intent"]}
    )
    assert (expanded.charge.disputed, expanded.payment_intent.id) == (True, first["payment_intent"])


async def _changes(sandbox: Sandbox, dispute_id: str) -> list[Any]:
    """What the updates of a dispute changed, oldest first."""
    listed = await sandbox.stripe.events.list_async({"type": "charge.dispute.updated"})
    events: list[Any] = [event.to_dict() for event in reversed(listed.data)]
    return [
        event["data"]["previous_attributes"]
        for event in events
        if event["data"]["object"]["id"] == dispute_id
    ]
