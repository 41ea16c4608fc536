"""Stripe's callbacks about money that goes back: refunds and disputes, whoever began them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.gateway import AuthorizeRequest, Fee, InvalidCallbackError
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.reversals import DisputeState, RefundState, refund_name
from app.gateways.stripe import StripeGateway
from app.gateways.stripe_callbacks import EVENTS
from tests.gateways.events import DISPUTE, REFUND, read
from tests.sandbox.program import KEY, SECRET, Receiver, Sandbox, until

OURS = refund_name("order-1", "first")
REFUNDS = sorted(kind for kind in EVENTS if kind.startswith("refund."))
DISPUTES = sorted(kind for kind in EVENTS if kind.startswith("charge.dispute."))


# Refunds


@pytest.mark.parametrize("kind", REFUNDS)
def test_news_of_a_refund_that_we_asked_for(gateway: StripeGateway, kind: str) -> None:
    event = read(gateway, kind, REFUND)
    assert (event.order_id, event.transaction_id) == ("order-1", "pi_1")
    assert event.refund is not None
    assert (event.refund.refund_id, event.refund.name) == ("re_1", OURS)
    assert (event.refund.amount, event.refund.state) == (Money(1999, "usd"), RefundState.SUCCEEDED)
    assert (event.payment, event.dispute) == (None, None)


@pytest.mark.parametrize("metadata", [{}, None])
def test_a_refund_begun_at_stripe_is_told_by_its_payment(
    gateway: StripeGateway, metadata: object
) -> None:
    event = read(gateway, "refund.created", REFUND | {"metadata": metadata})
    assert (event.order_id, event.transaction_id) == (None, "pi_1")
    assert event.refund is not None
    assert (event.refund.refund_id, event.refund.name) == ("re_1", None)


@pytest.mark.parametrize(
    ("told", "state", "failure"),
    [
        ({"status": "pending"}, RefundState.PENDING, None),
        ({"status": "requires_action"}, RefundState.PENDING, None),
        ({"status": None}, RefundState.PENDING, None),
        ({"status": "succeeded"}, RefundState.SUCCEEDED, None),
        ({"status": "failed", "failure_reason": "declined"}, RefundState.FAILED, "declined"),
        ({"status": "failed"}, RefundState.FAILED, "failed"),
        ({"status": "canceled"}, RefundState.FAILED, "canceled"),
    ],
    ids=str,
)
def test_where_a_refund_stands(
    gateway: StripeGateway, told: dict[str, Any], state: RefundState, failure: str | None
) -> None:
    refund = read(gateway, "refund.updated", REFUND | told).refund
    assert refund is not None
    assert (refund.state, refund.failure) == (state, failure)


# Disputes


@pytest.mark.parametrize("kind", DISPUTES)
def test_news_of_a_dispute_is_told_by_its_payment(gateway: StripeGateway, kind: str) -> None:
    event = read(gateway, kind, DISPUTE)
    assert (event.order_id, event.transaction_id) == (None, "pi_1")
    assert event.dispute is not None
    assert (event.dispute.dispute_id, event.dispute.reason) == ("du_1", "fraudulent")
    assert event.dispute.evidence_due_by == datetime.fromtimestamp(1_800_000_000, UTC)
    assert (event.payment, event.refund) == (None, None)


@pytest.mark.parametrize(
    ("status", "state", "taken"),
    [
        ("needs_response", DisputeState.OPEN, 4999),
        ("under_review", DisputeState.OPEN, 4999),
        ("warning_needs_response", DisputeState.OPEN, 0),
        ("warning_under_review", DisputeState.OPEN, 0),
        ("warning_closed", DisputeState.WON, 0),
        ("prevented", DisputeState.WON, 0),
        ("won", DisputeState.WON, 4999),
        ("lost", DisputeState.LOST, 4999),
    ],
)
def test_where_a_dispute_stands_and_what_the_bank_has_taken(
    gateway: StripeGateway, status: str, state: DisputeState, taken: int
) -> None:
    dispute = read(gateway, "charge.dispute.updated", DISPUTE | {"status": status}).dispute
    assert dispute is not None
    assert (dispute.state, dispute.amount) == (state, Money(taken, "usd"))


@pytest.mark.parametrize("details", [{"due_by": None}, {}, None], ids=str)
def test_a_dispute_may_have_no_deadline(gateway: StripeGateway, details: object) -> None:
    told = DISPUTE | {"evidence_details": details}
    dispute = read(gateway, "charge.dispute.closed", told).dispute
    assert dispute is not None
    assert dispute.evidence_due_by is None


def test_what_a_dispute_costs_is_told_and_what_came_back_is_not(gateway: StripeGateway) -> None:
    movements = [
        {"id": "txn_1", "amount": -4999, "fee": 1500, "currency": "eur"},
        {"id": "txn_2", "amount": 4999, "fee": 0, "currency": "eur"},
        {"id": "txn_3", "amount": 0, "fee": -1500, "currency": "eur"},
    ]
    told = DISPUTE | {"balance_transactions": movements}
    dispute = read(gateway, "charge.dispute.funds_withdrawn", told).dispute
    assert dispute is not None
    assert dispute.fees == (Fee("txn_1", Money(1500, "eur")),)


# What is not ours, and what is of no known shape


@pytest.mark.parametrize("also", [{"payment_intent": None}, {"currency": "xxx"}], ids=str)
@pytest.mark.parametrize(
    ("kind", "told"), [("refund.created", REFUND), ("charge.dispute.created", DISPUTE)]
)
def test_money_that_we_cannot_have_taken_is_about_no_order(
    gateway: StripeGateway, kind: str, told: dict[str, Any], also: dict[str, Any]
) -> None:
    event = read(gateway, kind, told | {"metadata": {}} | also)
    assert (event.order_id, event.refund, event.dispute) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("refund.created", REFUND | {"currency": "xxx"}),
        ("refund.created", REFUND | {"amount": None}),
        ("refund.created", REFUND | {"amount": 19.99}),
        ("refund.created", {"payment_intent": "pi_1"}),
        ("charge.dispute.created", DISPUTE | {"amount": "4999"}),
        ("charge.dispute.created", DISPUTE | {"status": "of_the_future"}),
        ("charge.dispute.created", DISPUTE | {"evidence_details": {"due_by": 10**20}}),
        ("charge.dispute.created", DISPUTE | {"balance_transactions": ["txn_1"]}),
        ("charge.dispute.created", {"payment_intent": "pi_1"}),
    ],
    ids=str,
)
def test_a_reversal_of_another_shape_is_refused(
    gateway: StripeGateway, kind: str, told: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCallbackError):
        read(gateway, kind, told)


# Over HTTP


async def test_refunds_and_disputes_are_told_as_they_happen(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    """A refund that does not arrive, then a dispute over the same payment that is won."""
    gateway = StripeGateway(
        api_key=KEY, api_base=own_sandbox.url, webhook_secrets=[SECRET], timeout_seconds=20
    )
    price = Money(4999, "usd")
    token = "pm_card_refundFail"
    request = AuthorizeRequest("order-1", price, Method.CREDIT_CARD, token)
    paid = (await gateway.authorize(request, key="1")).transaction_id
    await gateway.capture(paid, price, key="2")
    refund = await gateway.refund("order-1", paid, price.of(1999), OURS, key="3")
    await until(lambda: {*REFUNDS} <= {*receiver.types(paid)})
    dispute = await own_sandbox.control("disputes", payment_intent=paid)
    await own_sandbox.control(f"disputes/{dispute['id']}", verdict="won")
    await until(lambda: {*DISPUTES} - {"charge.dispute.updated"} <= {*receiver.types(paid)})
    events = [
        gateway.read_callback({"stripe-signature": received.signature}, received.body)
        for received in receiver.received
    ]
    refunds = {event.type: event for event in events if event.refund is not None}
    assert {kind: event.refund.state for kind, event in refunds.items() if event.refund} == {
        "refund.created": RefundState.SUCCEEDED,
        "refund.updated": RefundState.FAILED,
        "refund.failed": RefundState.FAILED,
    }
    assert {event.refund.refund_id for event in refunds.values() if event.refund} == {
        refund.refund_id
    }
    assert {event.order_id for event in refunds.values()} == {"order-1"}
    disputes = {event.type: event.dispute for event in events if event.dispute is not None}
    assert {kind: (told.state, told.amount) for kind, told in disputes.items()} == {
        "charge.dispute.created": (DisputeState.OPEN, price),
        "charge.dispute.funds_withdrawn": (DisputeState.OPEN, price),
        "charge.dispute.funds_reinstated": (DisputeState.WON, price),
        "charge.dispute.closed": (DisputeState.WON, price),
    }
    assert {event.transaction_id for event in events if event.refund or event.dispute} == {paid}
    await gateway.close()
