"""What follows from what a gateway says."""

from datetime import timedelta

import pytest

from app.domain.facts import Decline, Event, Fact, NextAction, PaymentMethod, Source
from app.domain.gateway import GatewayPayment, Status
from app.domain.learn import learn
from app.domain.money import Money
from app.domain.payment import Payment, State, fold
from tests.domain.histories import NOON

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
