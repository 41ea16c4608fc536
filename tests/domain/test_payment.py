"""What a payment becomes by what happens to it."""

import pytest

from app.domain.facts import ATTEMPT_EVENTS, Event, Fact, PaymentMethod, Source
from app.domain.payment import OrderState, Payment, State, apply, fold
from tests.domain.histories import AMOUNT, NOON, fact, payment

VOIDED_BUT_TAKEN = "captured at the gateway although it was voided"


def _told(*facts: Fact) -> Payment:
    return fold(payment(), facts)


def test_a_payment_that_goes_well_ends_paid_and_fulfilled() -> None:
    told = _told(
        fact(Event.INITIATED, amount=AMOUNT),
        fact(Event.ATTEMPTED, 1),
        fact(Event.AUTHORIZED, 1, AMOUNT, "pi_1"),
        fact(Event.CONFIRMED, reference="evt_1"),
        fact(Event.CAPTURED, 0, AMOUNT, "pi_1"),
        fact(Event.FULFILLED),
    )
    assert (told.state, told.order_state) == (State.CAPTURED, OrderState.FULFILLED)
    assert (told.authorized, told.captured, told.refunded) == (AMOUNT, AMOUNT, 0)
    assert (told.transaction_id, told.confirmed, told.attention) == ("pi_1", True, frozenset())


def test_a_decline_leaves_the_order_open_for_a_second_attempt() -> None:
    declined = _told(fact(Event.ATTEMPTED, 1), fact(Event.DECLINED, 1, reference="pi_1"))
    assert (declined.state, declined.order_state) == (State.DECLINED, OrderState.OPEN)
    assert declined.attempt_number("credit_card") == 2
    again = apply(declined, fact(Event.ATTEMPTED, 2))
    assert (again.state, again.attempt_number("credit_card")) == (State.INITIATED, 2)
    assert apply(again, fact(Event.AUTHORIZED, 2, AMOUNT, "pi_1")).state is State.AUTHORIZED


@pytest.mark.parametrize("event", sorted(ATTEMPT_EVENTS))
def test_news_of_an_old_attempt_does_not_change_the_state(event: Event) -> None:
    second = _told(fact(Event.FAILED, 1), fact(Event.ACTION_REQUIRED, 2, reference="pi_1"))
    told = apply(second, fact(event, 1, reference="pi_1"))
    assert told.state is State.REQUIRES_ACTION
    assert told.attempt == second.attempt


def test_money_from_an_old_attempt_is_money_all_the_same() -> None:
    told = _told(
        fact(Event.OUTCOME_UNKNOWN, 1),
        fact(Event.FAILED, 1),
        fact(Event.DECLINED, 2, reference="pi_2"),
        fact(Event.AUTHORIZED, 1, AMOUNT, "pi_1"),
    )
    assert (told.state, told.transaction_id) == (State.AUTHORIZED, "pi_1")
    assert told.attention == {"more than one gateway payment for this order: pi_1, pi_2"}


@pytest.mark.parametrize(
    "event", [e for e in Event if e not in {Event.FAILED, Event.DECLINED}], ids=str
)
def test_the_attempt_number_grows_only_after_the_last_attempt_has_ended(event: Event) -> None:
    told = _told(fact(Event.ATTEMPTED, 4), fact(event, 4, AMOUNT, "id_1"))
    assert told.attempt_number("credit_card") == 4


@pytest.mark.parametrize(
    ("event", "ended"), [(Event.FAILED, State.FAILED), (Event.DECLINED, State.DECLINED)]
)
def test_an_ended_attempt_makes_way_for_the_next(event: Event, ended: State) -> None:
    told = _told(fact(Event.ATTEMPTED, 4), fact(event, 4))
    assert (told.state, told.attempt_number("credit_card")) == (ended, 5)


def test_a_shopper_who_left_the_banks_page_may_pay_another_way() -> None:
    ideal = Fact(Event.ATTEMPTED, NOON, Source.API, attempt=1, method=PaymentMethod("ideal"))
    left = _told(ideal, fact(Event.ACTION_REQUIRED, 1, reference="pi_1"))
    assert left.attempt_number("ideal") == 1
    assert left.attempt_number("credit_card") == 2
    debit = Fact(Event.ATTEMPTED, NOON, Source.API, attempt=2, method=PaymentMethod("debit_card"))
    challenged = fold(left, [debit, fact(Event.ACTION_REQUIRED, 2, reference="pi_1")])
    assert challenged.attempt_number("credit_card") == 2


def test_the_first_attempt_has_number_one() -> None:
    assert payment().attempt_number("credit_card") == 1
    assert payment().attempt is None


@pytest.mark.parametrize("taken", [Event.CAPTURED, Event.REFUNDED])
@pytest.mark.parametrize("voided_first", [True, False])
def test_money_taken_after_a_void_is_flagged(taken: Event, voided_first: bool) -> None:
    news = [fact(Event.VOIDED, 1, reference="pi_1"), fact(taken, 0, AMOUNT, "pi_1")]
    told = _told(*(news if voided_first else reversed(news)))
    assert told.attention == {VOIDED_BUT_TAKEN}
    assert told.captured == AMOUNT
    assert told.state is (State.CAPTURED if taken is Event.CAPTURED else State.REFUNDED)


@pytest.mark.parametrize("canceled", [Event.CANCELED, Event.EXPIRED])
@pytest.mark.parametrize("canceled_first", [True, False])
def test_an_order_fulfilled_after_it_was_canceled_is_flagged(
    canceled: Event, canceled_first: bool
) -> None:
    news = [fact(canceled), fact(Event.FULFILLED)]
    told = _told(*(news if canceled_first else reversed(news)))
    assert told.attention == {"fulfilled although it was canceled"}
    assert told.order_state is OrderState.FULFILLED


def test_two_gateway_payments_for_one_order_are_flagged() -> None:
    told = _told(
        fact(Event.AUTHORIZED, 1, AMOUNT, "pi_1"), fact(Event.AUTHORIZED, 2, AMOUNT, "pi_2")
    )
    assert told.attention == {"more than one gateway payment for this order: pi_1, pi_2"}
    assert told.transaction_ids == {"pi_1", "pi_2"}


@pytest.mark.parametrize("event", [Event.AUTHORIZED, Event.CAPTURED, Event.REFUNDED])
def test_more_money_than_the_order_is_worth_is_flagged(event: Event) -> None:
    told = _told(fact(event, 0, AMOUNT + 1, "id_1"))
    assert told.attention == {"the gateway holds or took 10.01 USD, more than the order's amount"}


def test_a_hold_that_ends_soon_wants_attention_until_it_is_taken() -> None:
    held = _told(fact(Event.AUTHORIZED, 1, AMOUNT, "pi_1"), fact(Event.CAPTURE_DUE))
    assert held.attention == {"the hold ends soon: capture or cancel"}
    assert apply(held, fact(Event.CAPTURED, 0, AMOUNT, "pi_1")).attention == frozenset()


def test_every_flag_raised_is_kept() -> None:
    raised = [fact(Event.FLAGGED, reference="pi_1", reason=reason) for reason in ("one", "two")]
    assert len({flag.key for flag in raised}) == 2
    assert _told(*raised).attention == {"one", "two"}


def test_a_capture_alone_proves_the_hold() -> None:
    told = _told(fact(Event.CAPTURED, 0, AMOUNT, "pi_1"))
    assert (told.state, told.authorized, told.order_state) == (
        State.CAPTURED,
        AMOUNT,
        OrderState.PAID,
    )


def test_a_late_success_after_the_checkout_expired_is_not_overlooked() -> None:
    told = _told(fact(Event.EXPIRED), fact(Event.AUTHORIZED, 1, AMOUNT, "pi_1"))
    assert (told.state, told.order_state) == (State.AUTHORIZED, OrderState.CANCELED)
    assert apply(told, fact(Event.VOIDED, 1, reference="pi_1")).state is State.VOIDED


def test_what_a_step_brought_is_not_taken_for_a_gateway_payment() -> None:
    shipped = Fact(
        Event.STEP_DONE, NOON, Source.FULFILMENT, attempt=1, reference="a shipment", step="ship"
    )
    told = _told(fact(Event.DECLINED, 1, reference="pi_1"), shipped)
    assert told.transaction_id == "pi_1"
    assert told.steps_done == {"ship": "a shipment"}


def test_the_fuller_description_of_a_card_wins() -> None:
    vague, full = PaymentMethod("credit_card"), PaymentMethod("credit_card", "visa", "4242")
    for first, second in ((vague, full), (full, vague)):
        told = _told(
            Fact(Event.ATTEMPTED, NOON, Source.API, attempt=1, method=first),
            Fact(Event.AUTHORIZED, NOON, Source.GATEWAY, attempt=1, amount=1, method=second),
        )
        assert told.attempts[1].method == full


def test_a_payments_id_follows_from_its_order_alone() -> None:
    assert payment().payment_id == _told(fact(Event.CAPTURED, 0, 1, "pi_1")).payment_id
    assert payment().payment_id != Payment("order-2", payment().amount).payment_id
    assert payment().payment_id.startswith("pay_")
