"""Orders that are paid and fulfilled, whatever the gateway's answers and callbacks do."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import ReservationRow
from app.domain.facts import Event, Source
from app.domain.fulfilment import Phase, StepPlan
from app.domain.gateway import GatewayEvent
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.payment import OrderState, Payment, State
from app.fulfilment.reserve_stock import set_stock
from app.temporal import names
from app.workflows.messages import CaptureInput
from app.workflows.payment import PaymentWorkflow
from tests.sandbox.program import until
from tests.workflows import scenarios
from tests.workflows.shop import AMOUNT, EXPIRY, GRACE, HELD, NOTHING, ONCE, Placed, Shop
from tests.workflows.stand_ins import Forgetful, Refusing

_CAPTURE = r"/v1/payment_intents/pi_\w+/capture"


async def _fulfilled(placed: Placed) -> Payment:
    """The order was paid once, in full, and is done."""
    paid = await placed.result()
    assert (paid.state, paid.order_state) == (State.CAPTURED, OrderState.FULFILLED)
    assert (paid.authorized, paid.captured, paid.refunded) == (4999, 4999, 0)
    assert await placed.charged() == ONCE
    return paid


async def test_an_order_is_held_then_confirmed_then_taken_and_fulfilled(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    paid = await _fulfilled(placed)
    assert not paid.attention
    assert await placed.story() == [
        Event.INITIATED,
        Event.ATTEMPTED,
        Event.AUTHORIZED,
        Event.CONFIRMED,
        Event.STEP_DONE,
        Event.CAPTURED,
        Event.FEE_CHARGED,
        Event.STEP_DONE,
        Event.STEP_DONE,
        Event.FULFILLED,
    ]
    assert (await placed.told(Event.CONFIRMED)).source is Source.CALLBACK


async def test_the_first_answer_comes_with_the_money_held_and_not_taken(shop: Shop) -> None:
    placed = await shop.order()
    held = await placed.pay()
    assert (held.state, held.confirmed) == (State.AUTHORIZED, False)
    assert await placed.charged() == HELD
    await placed.call_back()
    await _fulfilled(placed)


async def test_after_a_decline_another_card_pays_on_the_same_workflow(shop: Shop) -> None:
    placed = await scenarios.a_decline_then_another_card(shop)
    paid = await _fulfilled(placed)
    assert [a.state for a in paid.attempts.values()] == [State.DECLINED, State.AUTHORIZED]
    assert len(await placed.intents()) == 1


async def test_the_same_attempt_asked_for_twice_is_one(shop: Shop) -> None:
    placed = await shop.order()
    first, second = await asyncio.gather(placed.ask("pm_card_visa"), placed.ask("pm_card_visa"))
    await asyncio.gather(first.result(), second.result())
    await placed.pay("pm_card_mastercard")
    await placed.call_back()
    paid = await _fulfilled(placed)
    assert list(paid.attempts) == [1]


async def test_an_attempt_after_the_one_that_brought_the_money_makes_none(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay()
    assert (await placed.pay("pm_card_mastercard", attempt=2)).state is State.AUTHORIZED
    await placed.call_back()
    paid = await _fulfilled(placed)
    assert list(paid.attempts) == [1]


async def test_a_shopper_who_approves_at_the_banks_page_pays(shop: Shop) -> None:
    placed = await shop.order()
    waiting = await placed.pay("pm_card_authenticationRequired")
    assert waiting.state is State.REQUIRES_ACTION
    assert waiting.attempt is not None
    action = waiting.attempt.next_action
    assert action is not None
    assert action.url is not None
    assert "authenticate" in await placed.details()
    assert await placed.charged() == NOTHING
    await shop.sandbox.http.post(action.url, data={"outcome": "approve"})
    await placed.call_back()
    await _fulfilled(placed)


async def test_a_shopper_who_leaves_the_banks_page_pays_another_way_once(shop: Shop) -> None:
    placed = await shop.order(amount=Money(4999, "eur"))
    left = await placed.pay("", method=Method.IDEAL)
    assert left.attempt is not None
    assert left.attempt.next_action is not None
    page = left.attempt.next_action.url
    assert page is not None
    await placed.pay("pm_card_visa", attempt=2)
    late = await shop.sandbox.http.post(page, data={"outcome": "approve"})
    assert late.status_code == 410
    await placed.call_back()
    await _fulfilled(placed)


async def test_silence_is_ended_by_asking_the_gateway(shop: Shop) -> None:
    placed = await scenarios.a_lost_callback(shop)
    await _fulfilled(placed)
    assert (await placed.told(Event.CONFIRMED)).source is Source.LOOK_UP


async def test_nobody_is_asked_before_the_grace_period_is_over(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay()
    await shop.pass_time(placed, GRACE - timedelta(seconds=5))
    assert not (await placed.payment()).confirmed
    await shop.pass_time(placed, timedelta(seconds=25))
    await _fulfilled(placed)


async def test_the_same_callback_three_times_is_taken_in_once(shop: Shop) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    event = await placed.event("payment_intent.amount_capturable_updated")
    for repeated in (event, event, replace(event, event_id=f"{event.event_id}_again")):
        await placed.signal(repeated)
    await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    await _fulfilled(placed)
    assert (await placed.story()).count(Event.CONFIRMED) == 1


async def test_a_hint_is_not_believed_but_looked_into(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay()
    await placed.signal(_hint(placed))
    await _fulfilled(placed)
    assert (await placed.told(Event.CONFIRMED)).source is Source.LOOK_UP


async def test_a_hint_of_success_pays_for_nothing(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay("pm_card_chargeDeclined")
    await placed.signal(_hint(placed))
    await shop.pass_time(placed, EXPIRY)
    ended = await placed.result()
    assert (ended.order_state, ended.captured) == (OrderState.CANCELED, 0)
    assert await placed.charged() == NOTHING


async def test_a_payment_that_was_taken_at_the_gateway_itself_goes_on_without_a_callback(
    shop: Shop,
) -> None:
    placed = await shop.order()
    held = await placed.pay()
    assert held.transaction_id is not None
    await shop.sandbox.stripe.payment_intents.capture_async(held.transaction_id)
    await shop.pass_time(placed, GRACE + timedelta(seconds=20))
    await _fulfilled(placed)


# The gateway does not answer.


async def test_a_charge_whose_answer_was_lost_is_found_and_not_made_again(shop: Shop) -> None:
    await shop.sandbox.control(
        "faults", method="POST", path="/v1/payment_intents", mode="after", action="drop", times=4
    )
    placed = await shop.order(skipping=True)
    await placed.ask("pm_card_visa")
    paid = await _fulfilled(placed)
    assert Event.OUTCOME_UNKNOWN in await placed.story()
    assert len(paid.transaction_ids) == 1


async def test_an_answer_lost_once_is_asked_for_again_with_the_same_key(shop: Shop) -> None:
    await shop.sandbox.control(
        "faults", method="POST", path="/v1/payment_intents", mode="after", action="drop"
    )
    placed = await shop.order(skipping=True)
    assert (await placed.pay()).state is State.AUTHORIZED
    await _fulfilled(placed)
    assert Event.OUTCOME_UNKNOWN not in await placed.story()


async def test_a_request_that_never_arrived_is_believed_lost_only_after_a_minute(
    shop: Shop,
) -> None:
    async with shop.another(Forgetful(shop.sandbox)) as forgetful:
        placed = await forgetful.order()
        asked = await placed.unanswered()
        await forgetful.pass_time(placed, timedelta(seconds=40))
        assert (await placed.payment()).state is State.UNKNOWN
        await forgetful.pass_time(placed, timedelta(seconds=90))
        await asked.result()
        failed = await placed.payment()
        assert failed.state is State.FAILED
        assert failed.attempt is not None
        assert failed.attempt.decline is not None
        assert failed.attempt.decline.code == "not_charged"
        assert await placed.charged() == NOTHING
        await placed.pay(attempt=2)
        await placed.call_back()
        await _fulfilled(placed)


async def test_an_old_decline_does_not_answer_for_an_attempt_that_is_not_known_to_have_arrived(
    shop: Shop,
) -> None:
    gateway = Forgetful(shop.sandbox)
    gateway.lost = 0
    async with shop.another(gateway) as forgetful:
        placed = await forgetful.order()
        await placed.pay("pm_card_chargeDeclined")
        gateway.lost = 4
        await placed.unanswered(attempt=2)
        await placed.call_back("payment_intent.payment_failed")
        await forgetful.pass_time(placed, timedelta(seconds=40))
        assert (await placed.payment()).state is State.UNKNOWN
        # Now it arrives after all.
        intent = (await placed.intents())[0]
        await forgetful.sandbox.stripe.payment_intents.confirm_async(
            intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
        )
        await placed.call_back()
        paid = await _fulfilled(placed)
        assert [a.state for a in paid.attempts.values()] == [State.DECLINED, State.AUTHORIZED]


async def test_the_news_that_an_attempt_brought_money_comes_before_the_next_attempt(
    shop: Shop,
) -> None:
    async with shop.another(Forgetful(shop.sandbox)) as forgetful:
        placed = await forgetful.order()
        await placed.unanswered()
        await forgetful.pass_time(placed, timedelta(seconds=90))
        assert (await placed.told(Event.FAILED)).attempt == 1
        # The first attempt's request reaches the gateway late, just before a second attempt.
        made = await _made_at_the_gateway(placed)
        await placed.signal(made)
        await placed.ask("pm_card_mastercard", attempt=2)
        paid = await _fulfilled(placed)
        assert len(paid.transaction_ids) == 1


@pytest.mark.parametrize("mode", ["before", "after"])
async def test_captures_that_time_out_take_the_money_once(shop: Shop, mode: str) -> None:
    await shop.sandbox.control("faults", path=_CAPTURE, mode=mode, action="drop", times=3)
    placed = await shop.order(skipping=True)
    await placed.pay()
    await _fulfilled(placed)


async def test_a_capture_that_failed_for_good_under_its_key_is_looked_up(shop: Shop) -> None:
    await shop.sandbox.control("faults", path=_CAPTURE, mode="after", status=500)
    placed = await shop.order(skipping=True)
    await placed.pay()
    await _fulfilled(placed)


async def test_a_capture_that_was_never_made_is_made_under_a_new_key(shop: Shop) -> None:
    await shop.sandbox.control("faults", path=_CAPTURE, status=500, times=7)
    placed = await shop.order(skipping=True)
    await placed.pay()
    await _fulfilled(placed)


# Fulfilment, and the storefront's own will.


async def test_stock_is_reserved_for_a_paid_order(shop: Shop) -> None:
    await set_stock(shop.engine, "mug", 3)
    placed = await shop.order(sku="mug", quantity="2")
    await placed.pay()
    await placed.call_back()
    paid = await _fulfilled(placed)
    assert paid.steps_done["reserve_stock"] == "2 x mug"
    async with AsyncSession(shop.engine) as session:
        reserved = (await session.exec(select(ReservationRow))).all()
    assert [r.quantity for r in reserved if r.order_id == placed.order.order_id] == [2]


async def test_a_receipt_that_cannot_be_sent_is_flagged_and_the_order_goes_on(shop: Shop) -> None:
    receipt = Refusing(StepPlan("send_receipt", Phase.AFTER_CAPTURE, essential=False))
    steps = [*shop.steps[:2], receipt]
    async with shop.another(steps=steps) as refusing:
        placed = await refusing.order()
        await placed.pay()
        await placed.call_back()
        paid = await _fulfilled(placed)
        assert paid.attention == {"send_receipt was refused: not possible"}


async def test_manual_capture_waits_until_the_storefront_asks(shop: Shop) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    await until(lambda: _awaits(placed, "the storefront to capture"))
    await shop.pass_time(placed, timedelta(days=2))
    assert await placed.charged() == HELD
    await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    assert (await placed.charged()).captured == 4999
    await _fulfilled(placed)


# What an operator sees.


async def test_the_temporal_ui_says_what_happened_and_what_is_awaited(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay("pm_card_chargeDeclinedInsufficientFunds")
    details = await placed.details()
    assert "attempt 1: declined" in details
    assert "insufficient_funds" in details
    assert "Waiting for: another payment method, until" in details
    described = await placed.workflow.describe()
    assert await described.static_summary() == f"Order {placed.order.order_id}: {AMOUNT}"
    attributes = described.typed_search_attributes
    assert attributes[names.ORDER_ID] == placed.order.order_id
    assert attributes[names.PAYMENT_STATUS] == "declined"
    assert attributes[names.GATEWAY] == "stripe"
    assert attributes[names.NEEDS_ATTENTION] is False
    await placed.pay(attempt=2)
    assert "Waiting for: the gateway's callback" in await placed.details()
    await placed.call_back()
    await _fulfilled(placed)
    attributes = (await placed.workflow.describe()).typed_search_attributes
    assert attributes[names.PAYMENT_STATUS] == "captured"


async def _awaits(placed: Placed, what: str) -> bool:
    return what in await placed.details()


def _hint(placed: Placed) -> GatewayEvent:
    return GatewayEvent("generic", "hint", "success", placed.order.order_id, datetime.now(UTC))


async def _made_at_the_gateway(placed: Placed) -> GatewayEvent:
    """A payment of the order that we did not hear of; the event that tells of it."""
    await placed.shop.sandbox.stripe.payment_intents.create_async(scenarios.unheard_of(placed))
    return await placed.event("payment_intent.amount_capturable_updated")
