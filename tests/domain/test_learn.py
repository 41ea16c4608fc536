"""What follows from what a gateway says."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.facts import Decline, Event, Fact, NextAction, PaymentMethod, Source
from app.domain.gateway import (
    Fee,
    GatewayDispute,
    GatewayEvent,
    GatewayPayment,
    GatewayRefund,
    Status,
)
from app.domain.learn import learn, learn_dispute, learn_event, learn_refund
from app.domain.money import Money
from app.domain.payment import Payment, State, fold
from app.domain.reversals import DisputeState, RefundState
from tests.domain.histories import NOON, payment

USD_4 = Money(400, "usd")
VISA = PaymentMethod("credit_card", "visa", "4242")


def _seen(status: Status, authorized: int = 0, captured: int = 0) -> GatewayPayment:
    return GatewayPayment(
        "pi_1",
        "order-1",
        status,
        Money(1000, "usd"),
        authorized,
        captured,
        VISA,
        Decline("lost_card", "No.") if status is Status.DECLINED else None,
        NextAction("redirect", "https://bank.example/")
        if status is Status.REQUIRES_ACTION
        else None,
        NOON + timedelta(days=7) if authorized else None,
    )


def _learnt(seen: GatewayPayment, attempt: int = 1) -> list[Fact]:
    return learn(seen, source=Source.LOOK_UP, at=NOON, attempt=attempt)


@pytest.mark.parametrize(
    ("seen", "events", "state"),
    [
        (_seen(Status.NOTHING), [], State.INITIATED),
        (_seen(Status.REQUIRES_ACTION), [Event.ACTION_REQUIRED], State.REQUIRES_ACTION),
        (_seen(Status.PROCESSING), [Event.PROCESSING], State.PROCESSING),
        (_seen(Status.DECLINED), [Event.DECLINED], State.DECLINED),
        (_seen(Status.AUTHORIZED, 1000), [Event.AUTHORIZED], State.AUTHORIZED),
        (_seen(Status.CAPTURED, 1000, 1000), [Event.AUTHORIZED, Event.CAPTURED], State.CAPTURED),
        (_seen(Status.CAPTURED, 600, 600), [Event.AUTHORIZED, Event.CAPTURED], State.CAPTURED),
        (_seen(Status.VOIDED), [Event.VOIDED], State.VOIDED),
    ],
    ids=lambda value: value.status if isinstance(value, GatewayPayment) else None,
)
def test_what_is_seen_becomes_the_facts_that_lead_there(
    seen: GatewayPayment, events: list[Event], state: State
) -> None:
    facts = _learnt(seen)
    assert [fact.event for fact in facts] == events
    assert {fact.reference for fact in facts} <= {"pi_1"}
    told = fold(Payment("order-1", seen.amount), facts)
    assert (told.state, told.authorized, told.captured) == (state, seen.authorized, seen.captured)
    assert told.transaction_id == ("pi_1" if facts else None)


def test_the_details_of_an_attempt_come_along() -> None:
    [declined] = _learnt(_seen(Status.DECLINED), attempt=3)
    assert (declined.attempt, declined.method) == (3, VISA)
    assert declined.decline == Decline("lost_card", "No.")
    [challenged] = _learnt(_seen(Status.REQUIRES_ACTION))
    assert challenged.next_action == NextAction("redirect", "https://bank.example/")
    [held] = _learnt(_seen(Status.AUTHORIZED, 1000))
    assert (held.amount, held.capture_before) == (1000, NOON + timedelta(days=7))


@pytest.mark.parametrize("status", Status)
def test_the_same_news_from_another_source_is_the_same_fact(status: Status) -> None:
    money = 1000 if status in (Status.AUTHORIZED, Status.CAPTURED) else 0
    seen = _seen(status, money, money if status is Status.CAPTURED else 0)
    later = learn(seen, source=Source.CALLBACK, at=NOON + timedelta(hours=1), attempt=1)
    assert [fact.key for fact in _learnt(seen)] == [fact.key for fact in later]


@pytest.mark.parametrize("state", RefundState)
def test_a_refund_is_learnt_as_it_stands_under_our_name_for_it(state: RefundState) -> None:
    seen = GatewayRefund("re_1", "pi_1", USD_4, state, name="ref_1", failure="expired_card")
    learnt = learn_refund(seen, source=Source.LOOK_UP, at=NOON)
    assert (learnt.reference, learnt.refund, learnt.source) == ("re_1", "ref_1", Source.LOOK_UP)
    [refund] = fold(payment(), [learnt]).refunds.values()
    assert (refund.name, refund.reference, refund.amount) == ("ref_1", "re_1", 400)
    assert (refund.state, refund.requested_at) == (state, NOON)


def test_why_a_refund_did_not_arrive_is_learnt() -> None:
    seen = GatewayRefund("re_1", "pi_1", USD_4, RefundState.FAILED, "ref_1", "expired_card")
    [refund] = fold(
        payment(), [learn_refund(seen, source=Source.LOOK_UP, at=NOON)]
    ).refunds.values()
    assert (refund.failure, refund.reason) == ("expired_card", None)


def test_a_refund_made_at_the_gateway_goes_by_the_gateways_id() -> None:
    seen = GatewayRefund("re_9", "pi_1", USD_4, RefundState.SUCCEEDED)
    assert learn_refund(seen, source=Source.CALLBACK, at=NOON).refund == "re_9"


@pytest.mark.parametrize("state", DisputeState)
@pytest.mark.parametrize("taken", [0, 400])
def test_a_dispute_is_learnt_as_it_stands(state: DisputeState, taken: int) -> None:
    due = NOON + timedelta(days=7)
    seen = GatewayDispute("dp_1", "pi_1", USD_4.of(taken), state, "fraudulent", due)
    told = fold(payment(), learn_dispute(seen, source=Source.LOOK_UP, at=NOON, currency="usd"))
    [dispute] = told.disputes.values()
    assert (dispute.dispute_id, dispute.amount, dispute.state) == ("dp_1", taken, state)
    assert (dispute.reason, dispute.evidence_due_by) == ("fraudulent", due)
    assert told.disputed == (0 if state is DisputeState.WON else taken)
    assert told.transaction_ids == frozenset()  # it names a dispute, not a payment


def test_what_the_gateway_takes_for_its_work_is_learnt_once_in_its_own_currency() -> None:
    seen = replace(_seen(Status.CAPTURED, 1000, 1000), fee=Fee("txn_1", Money(160, "eur")))
    dispute = GatewayDispute(
        "dp_1", "pi_1", USD_4, DisputeState.OPEN, fees=(Fee("txn_2", Money(1500, "usd")),)
    )
    facts = [
        *_learnt(seen),
        *_learnt(seen),
        *learn_dispute(dispute, source=Source.CALLBACK, at=NOON, currency="usd"),
    ]
    assert fold(payment(), facts).fees == {
        "txn_1": Money(160, "eur"),
        "txn_2": Money(1500, "usd"),
    }
    keys = [fact.key for fact in facts if fact.event is Event.FEE_CHARGED]
    assert keys == ["fee_charged:txn_1", "fee_charged:txn_1", "fee_charged:txn_2"]


def test_a_dispute_in_another_currency_counts_for_no_money() -> None:
    seen = GatewayDispute("dp_1", "pi_1", Money(5200, "jpy"), DisputeState.OPEN, "fraudulent")
    [learnt] = learn_dispute(seen, source=Source.CALLBACK, at=NOON, currency="usd")
    assert (learnt.amount, learnt.reason) == (0, "fraudulent, over 5200 JPY")


def _callback(
    seen: GatewayPayment | None = None,
    refund: GatewayRefund | None = None,
    dispute: GatewayDispute | None = None,
) -> GatewayEvent:
    return GatewayEvent(
        "stripe", "evt_1", "news", "order-1", NOON, payment=seen, refund=refund, dispute=dispute
    )


def test_a_callback_tells_what_it_is_about_and_a_hint_tells_nothing() -> None:
    refund = GatewayRefund("re_1", "pi_1", USD_4, RefundState.SUCCEEDED)
    dispute = GatewayDispute("dp_1", "pi_1", USD_4, DisputeState.LOST)
    for told, event in (
        (_callback(_seen(Status.DECLINED)), Event.DECLINED),
        (_callback(refund=refund), Event.REFUNDED),
        (_callback(dispute=dispute), Event.DISPUTE_LOST),
    ):
        [learnt] = learn_event(told, at=NOON, attempt=2, currency="usd")
        assert (learnt.event, learnt.source, learnt.at) == (event, Source.CALLBACK, NOON)
        assert learnt.attempt == (2 if event is Event.DECLINED else 0)
        assert told.transaction_id == "pi_1"
    assert learn_event(_callback(), at=NOON, attempt=2, currency="usd") == []
    assert _callback().transaction_id is None
