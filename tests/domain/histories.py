"""Any history that a payment could have, likely or not."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from app.domain.facts import (
    ATTEMPT_EVENTS,
    Decline,
    Event,
    Fact,
    NextAction,
    PaymentMethod,
    Source,
)
from app.domain.money import Money
from app.domain.payment import Payment

AMOUNT = 1000
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

_TRANSACTIONS = st.sampled_from(["pi_1", "pi_2"])
_REFERENCES = {
    Event.ACTION_REQUIRED: _TRANSACTIONS,
    Event.PROCESSING: _TRANSACTIONS,
    Event.DECLINED: _TRANSACTIONS,
    Event.AUTHORIZED: _TRANSACTIONS,
    Event.CAPTURED: _TRANSACTIONS,
    Event.VOIDED: _TRANSACTIONS,
    Event.REFUNDED: st.sampled_from(["re_1", "re_2", "re_3"]),
    Event.STEP_DONE: st.sampled_from(["2 x mug", "shipment order-1"]),
}
_STEPS = {Event.STEP_DONE, Event.STEP_REFUSED, Event.STEP_UNDONE}
_MONEY = {Event.AUTHORIZED, Event.CAPTURED, Event.REFUNDED}
_TIMES = st.integers(0, 10_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
_METHODS = st.builds(
    PaymentMethod,
    st.sampled_from(["credit_card", "debit_card"]),
    st.sampled_from([None, "visa", "amex"]),
    st.sampled_from([None, "4242", "0002"]),
)
_DECLINES = st.builds(Decline, st.sampled_from(["lost_card", "expired_card"]), st.just("No."))
_ACTIONS = st.builds(NextAction, st.just("redirect"), st.sampled_from(["/a", "/b"]))
_WORDS = st.sampled_from(["stock", "mail", "the shopper asked"])


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """One fact about an order of 10.00 USD."""
    event = draw(st.sampled_from(Event))
    return Fact(
        event,
        at=draw(_TIMES),
        source=draw(st.sampled_from(Source)),
        attempt=draw(st.integers(1 if event in ATTEMPT_EVENTS else 0, 3)),
        amount=draw(st.integers(1, AMOUNT + 200)) if event in _MONEY else None,
        reference=draw(_REFERENCES.get(event, st.none())),
        method=draw(st.none() | _METHODS),
        next_action=draw(_ACTIONS) if event is Event.ACTION_REQUIRED else None,
        decline=draw(_DECLINES) if event in {Event.FAILED, Event.DECLINED} else None,
        capture_before=draw(st.none() | _TIMES) if event is Event.AUTHORIZED else None,
        idempotency_key=draw(st.none() | _WORDS) if event is Event.ATTEMPTED else None,
        step=draw(st.sampled_from(["reserve_stock", "ship_order"])) if event in _STEPS else None,
        reason=draw(_WORDS) if event in {Event.CANCELED, Event.FLAGGED} else None,
    )


# What the records hold: each key once.
histories = st.lists(facts(), unique_by=lambda fact: fact.key, max_size=20)


def payment() -> Payment:
    """The payment of an order of 10.00 USD of which nothing is known yet."""
    return Payment("order-1", Money(AMOUNT, "usd"))


def fact(
    event: Event,
    attempt: int = 0,
    amount: int | None = None,
    reference: str | None = None,
    reason: str | None = None,
) -> Fact:
    return Fact(
        event,
        NOON,
        Source.GATEWAY,
        attempt=attempt,
        amount=amount,
        reference=reference,
        reason=reason,
    )
