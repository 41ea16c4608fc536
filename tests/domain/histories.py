"""Any history that a payment could have, likely or not."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from app.domain.facts import Decline, Event, Fact, NextAction, PaymentMethod, Source
from app.domain.money import Money
from app.domain.payment import NAMES_TRANSACTION, Payment

AMOUNT = 1000
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

REFUND_EVENTS = (Event.REFUND_PENDING, Event.REFUNDED, Event.REFUND_FAILED)
DISPUTE_EVENTS = (Event.DISPUTED, Event.DISPUTE_WON, Event.DISPUTE_LOST)

# Ours before the gateway has answered and after, and one that somebody made at the gateway.
_REFUNDS = st.sampled_from(
    [("ref_1", None), ("ref_1", "re_1"), ("ref_2", "re_2"), ("re_3", "re_3"), (None, "re_3")]
)
_REFERENCES = {
    **dict.fromkeys(NAMES_TRANSACTION, st.sampled_from(["pi_1", "pi_2"])),
    **dict.fromkeys(DISPUTE_EVENTS, st.sampled_from(["dp_1", "dp_2"])),
    Event.STEP_DONE: st.sampled_from(["2 x mug", "shipment order-1"]),
    Event.FEE_CHARGED: st.sampled_from(["txn_1", "txn_2"]),
}
_SUMS = st.sampled_from([1, 400, 600, AMOUNT]) | st.integers(1, AMOUNT + 200)
_AMOUNTS = {
    **dict.fromkeys((Event.AUTHORIZED, Event.CAPTURED, *REFUND_EVENTS), _SUMS),
    **dict.fromkeys(DISPUTE_EVENTS, st.just(0) | _SUMS),  # nothing, while a bank only inquires
    Event.FEE_CHARGED: st.integers(1, 100),
}
_STEPS = {Event.STEP_DONE, Event.STEP_REFUSED, Event.STEP_UNDONE}
_TIMES = st.integers(0, 10_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
_METHODS = st.builds(
    PaymentMethod,
    st.sampled_from(["credit_card", "sepa_debit"]),
    st.sampled_from([None, "visa", "amex"]),
    st.sampled_from([None, "4242", "0002"]),
    st.sampled_from([None, "fingerprint_1"]),
)
_DECLINES = st.builds(Decline, st.sampled_from(["lost_card", "expired_card"]), st.just("No."))
_ACTIONS = st.builds(NextAction, st.just("redirect"), st.sampled_from(["/a", "/b"]))
_WORDS = st.sampled_from(["stock", "mail", "the shopper asked"])
# What there may be to look at, and the operators who look.
_WORRIES = st.lists(
    st.sampled_from(["stock", "more than one gateway payment for this order: pi_1, pi_2"]),
    max_size=2,
).map(tuple)
_DECIDED = (Event.RESOLVED, Event.ACKNOWLEDGED)


@st.composite
def facts(draw: st.DrawFn, events: tuple[Event, ...] = tuple(Event)) -> Fact:
    """One fact about an order of 10.00 USD."""
    event = draw(st.sampled_from(events))
    refund, reference = None, draw(_REFERENCES.get(event, st.none()))
    if event in REFUND_EVENTS:
        refund, reference = draw(_REFUNDS)
    return Fact(
        event,
        at=draw(_TIMES),
        source=draw(st.sampled_from(Source)),
        attempt=draw(st.integers(0, 3)),
        amount=draw(_AMOUNTS.get(event, st.none())),
        reference=reference,
        method=draw(st.none() | _METHODS),
        next_action=draw(_ACTIONS) if event is Event.ACTION_REQUIRED else None,
        decline=draw(_DECLINES) if event in {Event.FAILED, Event.DECLINED} else None,
        capture_before=draw(st.none() | _TIMES) if event is Event.AUTHORIZED else None,
        idempotency_key=draw(st.none() | _WORDS) if event is Event.ATTEMPTED else None,
        step=draw(st.sampled_from(["reserve_stock", "ship_order"])) if event in _STEPS else None,
        reason=draw(_WORDS if event is Event.FLAGGED else st.none() | _WORDS),
        refund=refund,
        evidence_due_by=draw(st.none() | _TIMES) if event in DISPUTE_EVENTS else None,
        currency=draw(st.sampled_from([None, "eur"])) if event is Event.FEE_CHARGED else None,
        actor=draw(st.sampled_from(["ada", "ben"])) if event in _DECIDED else None,
        acknowledged=draw(_WORRIES) if event is Event.ACKNOWLEDGED else (),
    )


# All of a payment's life, or only how the money came and went.
histories = st.lists(facts(), max_size=20) | st.lists(
    facts((Event.CAPTURED, Event.FEE_CHARGED, *REFUND_EVENTS, *DISPUTE_EVENTS)), max_size=10
)


def payment() -> Payment:
    """The payment of an order of 10.00 USD of which nothing is known yet."""
    return Payment("order-1", Money(AMOUNT, "usd"))


def fact(
    event: Event,
    attempt: int = 0,
    amount: int | None = None,
    reference: str | None = None,
    reason: str | None = None,
    refund: str | None = None,
) -> Fact:
    return Fact(
        event,
        NOON,
        Source.GATEWAY,
        attempt=attempt,
        amount=amount,
        reference=reference,
        reason=reason,
        refund=refund,
    )
