"""Holding money for the storefront: all or a part is taken, in time or not, or it is called off."""

from datetime import timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage

from app.domain.facts import Event
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Capture, Order
from app.domain.payment import OrderState, State
from app.workflows.messages import CancelInput, CaptureInput
from app.workflows.payment import PaymentWorkflow
from tests.sandbox.program import until
from tests.workflows.shop import AMOUNT, EXPIRY, HELD, NOTHING, RELEASED, Placed, Shop
from tests.workflows.stand_ins import Meanwhile

_CAPTURE = r"/v1/payment_intents/pi_\w+/capture"
_ACCEPTED = WorkflowUpdateStage.ACCEPTED
_EUROS = Money(4999, "eur")


async def test_a_part_is_taken_and_the_rest_is_released(shop: Shop) -> None:
    placed = await _held(shop)
    part = CaptureInput(placed.order.amount.of(1999))
    await placed.workflow.execute_update(PaymentWorkflow.capture, part)
    ended = await placed.result()
    assert (ended.order_state, ended.state, ended.captured) == (
        OrderState.FULFILLED,
        State.CAPTURED,
        1999,
    )
    assert not ended.attention
    charged = await placed.charged()
    assert (charged.held, charged.captured, charged.refunded) == (0, 1999, 0)
    assert ended.refundable == 1999


async def test_the_first_of_two_captures_counts_and_the_other_is_told(shop: Shop) -> None:
    placed = await _held(shop)
    await shop.sandbox.control("faults", method="POST", path=_CAPTURE, action="hang", seconds=1)
    first = await placed.workflow.start_update(
        PaymentWorkflow.capture, CaptureInput(AMOUNT.of(1999)), wait_for_stage=_ACCEPTED
    )
    with pytest.raises(WorkflowUpdateFailedError):
        await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    await first.result()
    assert (await placed.result()).captured == 1999


async def test_the_storefront_is_warned_a_day_before_the_hold_ends(shop: Shop) -> None:
    placed = await _held(shop)
    window = timedelta(days=7)
    await shop.pass_time(placed, window - timedelta(days=1, minutes=10))
    assert Event.CAPTURE_DUE not in await placed.story()
    await shop.pass_time(placed, timedelta(minutes=20))
    await placed.told(Event.CAPTURE_DUE)
    assert "the hold ends soon: capture or cancel" in (await placed.payment()).attention
    assert await placed.charged() == HELD
    await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    assert not (await placed.result()).attention


async def test_the_end_of_a_hold_is_known_although_only_a_callback_told_of_the_hold(
    shop: Shop,
) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    challenged = await placed.pay("pm_card_authenticationRequired")
    assert challenged.attempt is not None
    assert challenged.attempt.next_action is not None
    page = challenged.attempt.next_action.url
    assert page is not None
    await shop.sandbox.http.post(page, data={"outcome": "approve"})
    await placed.call_back()

    async def known() -> bool:
        return (await placed.payment()).capture_before is not None

    await until(known)
    await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    assert (await placed.result()).captured == 4999


async def test_a_hold_that_ended_is_the_end_of_the_order(shop: Shop) -> None:
    placed = await _held(shop)
    held = await placed.payment()
    assert held.transaction_id is not None
    await shop.sandbox.control("settle", id=held.transaction_id)
    await shop.pass_time(placed, timedelta(days=7, minutes=1))
    ended = await placed.result()
    assert (ended.order_state, ended.state) == (OrderState.CANCELED, State.VOIDED)
    assert (await placed.told(Event.CANCELED)).reason == "the hold ended uncaptured"
    assert await placed.charged() == RELEASED


async def test_called_off_while_the_money_is_held_it_is_released(shop: Shop) -> None:
    placed = await _held(shop)
    await placed.workflow.execute_update(PaymentWorkflow.cancel, CancelInput("changed her mind"))
    ended = await placed.result()
    assert (ended.order_state, ended.state) == (OrderState.CANCELED, State.VOIDED)
    assert (await placed.told(Event.CANCELED)).reason == (
        "the storefront canceled it: changed her mind"
    )
    assert await placed.charged() == RELEASED


@pytest.mark.parametrize("card", ["pm_card_authenticationRequired", "pm_card_chargeDeclined"])
async def test_called_off_before_any_money_is_held_it_cannot_be_paid_any_more(
    shop: Shop, card: str
) -> None:
    placed = await shop.order()
    await placed.pay(card)
    await placed.workflow.execute_update(PaymentWorkflow.cancel, CancelInput())
    ended = await placed.result()
    assert (ended.order_state, ended.state) == (OrderState.CANCELED, State.VOIDED)
    assert await placed.charged() == NOTHING
    assert [intent.status for intent in await placed.intents()] == ["canceled"]


async def test_once_the_money_is_taken_it_cannot_be_called_off(shop: Shop) -> None:
    refusals: list[Exception] = []

    async def cancel(order_id: str) -> None:
        placed = Placed(shop, Order(order_id, AMOUNT), skipping=False)
        try:
            await placed.workflow.execute_update(PaymentWorkflow.cancel, CancelInput())
        except WorkflowUpdateFailedError as refusal:
            refusals.append(refusal)

    async with shop.another(steps=[shop.steps[0], Meanwhile(cancel), shop.steps[1]]) as asking:
        placed = await asking.order()
        ended = await placed.captured()
    assert len(refusals) == 1
    assert ended.order_state is OrderState.FULFILLED


async def test_called_off_while_the_bank_decides_nothing_is_shipped_and_the_money_goes_back(
    shop: Shop,
) -> None:
    placed = await shop.order(skipping=True, amount=_EUROS)
    processing = await placed.pay("pm_sepaDebit_success", method=Method.SEPA_DEBIT)
    assert processing.state is State.PROCESSING
    await placed.workflow.start_update(
        PaymentWorkflow.cancel, CancelInput(), wait_for_stage=_ACCEPTED
    )
    assert processing.transaction_id is not None
    await shop.sandbox.control("settle", id=processing.transaction_id)
    ended = await placed.result()
    assert (ended.order_state, ended.refundable) == (OrderState.CANCELED, 0)
    assert not ended.steps_done
    await placed.refund_of_the_undone().result()
    assert (await placed.payment()).state is State.REFUNDED
    charged = await placed.charged()
    assert (charged.captured, charged.refunded) == (4999, 4999)


async def test_nothing_is_shipped_before_a_debit_is_certain(shop: Shop) -> None:
    placed = await shop.order(amount=_EUROS)
    processing = await placed.pay("pm_sepaDebit_success", method=Method.SEPA_DEBIT)
    await placed.call_back("payment_intent.processing")
    await shop.pass_time(placed, EXPIRY + timedelta(days=1))
    waiting = await placed.payment()
    assert (waiting.state, waiting.order_state) == (State.PROCESSING, OrderState.OPEN)
    assert not waiting.steps_done
    assert processing.transaction_id is not None
    await shop.sandbox.control("settle", id=processing.transaction_id)
    await placed.call_back("payment_intent.succeeded")
    ended = await placed.result()
    assert (ended.order_state, ended.state) == (OrderState.FULFILLED, State.CAPTURED)


async def test_a_debit_that_fails_leaves_the_order_open_for_another_way(shop: Shop) -> None:
    placed = await shop.order(amount=_EUROS)
    processing = await placed.pay("pm_sepaDebit_failed", method=Method.SEPA_DEBIT)
    assert processing.transaction_id is not None
    await shop.sandbox.control("settle", id=processing.transaction_id)
    await placed.call_back("payment_intent.payment_failed")
    await placed.told(Event.DECLINED)
    await placed.pay("pm_card_visa", attempt=2)
    await placed.call_back()
    ended = await placed.result()
    assert (ended.order_state, ended.captured) == (OrderState.FULFILLED, 4999)


async def _held(shop: Shop) -> Placed:
    """An order whose money is held until the storefront asks for it."""
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    return placed
