"""Stripe's callbacks about money that goes back: refunds and disputes, whoever began them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.gateway import AuthorizeRequest, GatewayEvent, InvalidCallbackError
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.reversals import DisputeState, RefundState
from app.gateways.stripe import StripeGateway
from app.gateways.stripe_callbacks import EVENTS
from tests.gateways.signing import signed
from tests.sandbox.program import KEY, SECRET, Receiver, Sandbox, until

REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 1999,
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {"order_id": "order-1", "refund": "ref_1"},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
DISPUTE = {
    "id": "du_1",
    "object": "dispute",
    "amount": 4999,
    "charge": "ch_1",
    "currency": "usd",
    "evidence_details": {"due_by": 1_800_000_000, "has_evidence": False},
    "metadata": {},
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}
PAYMENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 4999,
    "amount_capturable": 0,
    "amount_received": 0,
    "currency": "usd",
    "last_payment_error": {"code": "card_declined", "payment_method": {"type": "card"}},
    "latest_charge": "ch_1",
    "metadata": {"order_id": "order-1"},
    "next_action": None,
    "payment_method": None,
    "status": "requires_payment_method",
}
REFUNDS = sorted(kind for kind in EVENTS if kind.startswith("refund."))
DISPUTES = sorted(kind for kind in EVENTS if kind.startswith("charge.dispute."))


def _read(gateway: StripeGateway, kind: str, told: object) -> GatewayEvent:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": 1_800_000_000,
        "data": {"object": told},
    }
    body = json.dumps(event).encode()
    return gateway.read_callback(signed(body), body)


# Refunds


@pytest.mark.parametrize("kind", REFUNDS)
def test_news_of_a_refund_that_we_asked_for(gateway: StripeGateway, kind: str) -> None:
    event = _read(gateway, kind, REFUND)
    assert (event.order_id, event.transaction_id) == ("order-1", "pi_1")
    assert event.refund is not None
    assert (event.refund.refund_id, event.refund.name) == ("re_1", "ref_1")
    assert (event.refund.amount, event.refund.state) == (Money(1999, "usd"), RefundState.SUCCEEDED)
    assert (event.payment, event.dispute) == (None, None)


@pytest.mark.parametrize("metadata", [{}, None])
def test_a_refund_begun_at_stripe_is_told_by_its_payment(
    gateway: StripeGateway, metadata: object
) -> None:
    event = _read(gateway, "refund.created", REFUND | {"metadata": metadata})
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
    refund = _read(gateway, "refund.updated", REFUND | told).refund
    assert refund is not None
    assert (refund.state, refund.failure) == (state, failure)


# Disputes


@pytest.mark.parametrize("kind", DISPUTES)
def test_news_of_a_dispute_is_told_by_its_payment(gateway: StripeGateway, kind: str) -> None:
    event = _read(gateway, kind, DISPUTE)
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
    dispute = _read(gateway, "charge.dispute.updated", DISPUTE | {"status": status}).dispute
    assert dispute is not None
    assert (dispute.state, dispute.amount) == (state, Money(taken, "usd"))


@pytest.mark.parametrize("details", [{"due_by": None}, {}, None], ids=str)
def test_a_dispute_may_have_no_deadline(gateway: StripeGateway, details: object) -> None:
    told = DISPUTE | {"evidence_details": details}
    dispute = _read(gateway, "charge.dispute.closed", told).dispute
    assert dispute is not None
    assert dispute.evidence_due_by is None


# What is not ours, and what is of no known shape


@pytest.mark.parametrize("also", [{"payment_intent": None}, {"currency": "xxx"}], ids=str)
@pytest.mark.parametrize(
    ("kind", "told"), [("refund.created", REFUND), ("charge.dispute.created", DISPUTE)]
)
def test_money_that_we_cannot_have_taken_is_about_no_order(
    gateway: StripeGateway, kind: str, told: dict[str, Any], also: dict[str, Any]
) -> None:
    event = _read(gateway, kind, told | {"metadata": {}} | also)
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
        ("charge.dispute.created", {"payment_intent": "pi_1"}),
    ],
    ids=str,
)
def test_a_reversal_of_another_shape_is_refused(
    gateway: StripeGateway, kind: str, told: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCallbackError):
        _read(gateway, kind, told)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=4,
)


@given(
    kind=st.sampled_from(sorted(EVENTS)),
    told=st.sampled_from([REFUND, DISPUTE, PAYMENT, {}]),
    odd=st.dictionaries(
        st.sampled_from(sorted({*REFUND, *DISPUTE, *PAYMENT})), _ANYTHING, max_size=3
    ),
)
def test_whatever_stripe_signs_is_read_or_refused_and_never_crashes(
    gateway: StripeGateway, kind: str, told: dict[str, Any], odd: dict[str, Any]
) -> None:
    try:
        event = _read(gateway, kind, told | odd)
    except InvalidCallbackError:
        return
    assert event.type == kind


# Over HTTP


async def test_refunds_and_disputes_are_told_as_they_happen(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    """A refund that does not arrive, then a dispute over the same payment that is won."""
    gateway = StripeGateway(
        api_key=KEY, api_base=own_sandbox.url, webhook_secret=SECRET, timeout_seconds=5
    )
    price = Money(4999, "usd")
    token = "pm_card_refundFail"
    request = AuthorizeRequest("order-1", price, Method.CREDIT_CARD, token)
    paid = (await gateway.authorize(request, key="1")).transaction_id
    await gateway.capture(paid, price, key="2")
    refund = await gateway.refund("order-1", paid, price.of(1999), "ref_1", key="3")
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
