"""What happened, as the timeline tells it."""

from dataclasses import replace

import pytest

from app.domain.facts import Decline, Event, Fact, PaymentMethod, Source
from app.domain.money import Money
from app.domain.timeline import describe
from tests.domain.histories import NOON, fact

ORDER = Money(4999, "usd")
VISA = PaymentMethod("credit_card", "visa", "4242")
DUE = replace(fact(Event.DISPUTED, 0, 4999, "dp_1", "fraudulent"), evidence_due_by=NOON)

SENTENCES = [
    (fact(Event.INITIATED, amount=4999), "checkout of 49.99 USD started"),
    (replace(fact(Event.ATTEMPTED, 2), method=VISA), "attempt 2 with visa ending 4242"),
    (
        fact(Event.OUTCOME_UNKNOWN, 1),
        "the gateway did not answer: it will be asked what became of it",
    ),
    (fact(Event.ACTION_REQUIRED, 1), "the shopper must authenticate"),
    (fact(Event.PROCESSING, 1), "the bank is processing the payment"),
    (fact(Event.FAILED, 1), "attempt 1 failed: no reason given; nothing was charged"),
    (
        replace(fact(Event.DECLINED, 1), decline=Decline("lost_card", "No.")),
        "attempt 1 declined: lost_card; nothing was charged",
    ),
    (fact(Event.EXPIRED), "the checkout ran out of time"),
    (
        replace(fact(Event.AUTHORIZED, 1, 4999), method=VISA),
        "49.99 USD is held on visa ending 4242",
    ),
    (
        replace(fact(Event.CONFIRMED), source=Source.CALLBACK),
        "confirmed by the gateway's callback",
    ),
    (replace(fact(Event.CONFIRMED), source=Source.LOOK_UP), "confirmed by asking the gateway"),
    (fact(Event.VOIDED), "closed at the gateway: nothing is held"),
    (fact(Event.CAPTURED, amount=1000), "paid: 10.00 USD was captured"),
    (fact(Event.REFUND_PENDING, amount=400), "a refund of 4.00 USD is on its way"),
    (
        fact(Event.REFUND_PENDING, amount=400, reason="damaged"),
        "a refund of 4.00 USD is on its way: damaged",
    ),
    (fact(Event.REFUNDED, amount=400), "4.00 USD was refunded"),
    (
        fact(Event.REFUND_FAILED, amount=400, reason="expired_card"),
        "the refund of 4.00 USD failed: expired_card",
    ),
    (
        DUE,
        "the shopper's bank disputes 49.99 USD: fraudulent; "
        "evidence is due by 2026-11-22 12:00 UTC",
    ),
    (
        fact(Event.DISPUTED, amount=4999),
        "the shopper's bank disputes 49.99 USD: no reason given",
    ),
    (fact(Event.DISPUTE_WON, amount=4999), "the dispute over 49.99 USD was won"),
    (
        fact(Event.DISPUTED, amount=0, reason="fraudulent"),
        "the shopper's bank inquires about the payment: fraudulent",
    ),
    (fact(Event.DISPUTE_WON, amount=0), "the bank's inquiry was closed"),
    (fact(Event.DISPUTE_LOST, amount=4999), "the dispute over 49.99 USD was lost"),
    (
        fact(Event.EVIDENCE_DUE, reference="dp_1"),
        "evidence for dispute dp_1 is due soon: answer it at the gateway",
    ),
    (
        replace(fact(Event.CAPTURE_DUE), capture_before=NOON),
        "the hold ends at 2026-11-22 12:00 UTC: capture or cancel",
    ),
    (
        replace(fact(Event.STEP_DONE, reference="2 x mug"), step="reserve_stock"),
        "reserve stock: 2 x mug",
    ),
    (
        replace(fact(Event.STEP_REFUSED, reason="sold out"), step="reserve_stock"),
        "reserve stock was refused: sold out",
    ),
    (replace(fact(Event.STEP_UNDONE), step="ship_order"), "ship order was undone"),
    (
        fact(Event.CANCEL_REQUESTED, reason="changed her mind"),
        "the storefront asked to cancel: changed her mind",
    ),
    (fact(Event.CANCELED), "order canceled: no payment came"),
    (fact(Event.FULFILLED), "order fulfilled"),
    (fact(Event.FLAGGED, reason="look here"), "needs attention: look here"),
    (fact(Event.FEE_CHARGED, amount=175, reference="txn_1"), "the gateway's fee: 1.75 USD"),
    (
        replace(fact(Event.FEE_CHARGED, amount=160, reference="txn_1"), currency="eur"),
        "the gateway's fee: 1.60 EUR",
    ),
    (
        replace(fact(Event.RESOLVED, 1, reason="the bank's letter"), actor="ada"),
        "decided by ada: the bank's letter",
    ),
    (
        replace(fact(Event.ACKNOWLEDGED, reason="it is settled"), actor="ada"),
        "looked at by ada: it is settled",
    ),
]


@pytest.mark.parametrize(("news", "sentence"), SENTENCES, ids=[s for _, s in SENTENCES])
def test_a_fact_is_told_as_a_sentence(news: Fact, sentence: str) -> None:
    assert describe(news, ORDER) == sentence


def test_every_event_has_its_sentence() -> None:
    assert {news.event for news, _ in SENTENCES} == set(Event)
