"""Money given back on purpose: by the storefront, and at the gateway itself."""

import asyncio

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from app.domain.facts import Event
from app.domain.fulfilment import FulfilmentStep, Phase, StepPlan
from app.domain.order import Order
from app.domain.payment import OrderState, State
from app.domain.reversals import RefundState, refund_name
from app.temporal import names
from app.workflows.refund import RefundWorkflow
from tests.sandbox.program import Json, until
from tests.workflows import scenarios
from tests.workflows.shop import AMOUNT, GIVEN_BACK, ONCE, Placed, Shop
from tests.workflows.stand_ins import Meanwhile, Refusing, Secretive

_SHIP = StepPlan("ship_order", Phase.AFTER_CAPTURE, essential=True)


async def _ended(refund: WorkflowHandle[RefundWorkflow, str]) -> str:
    async with asyncio.timeout(30):
        return await refund.result()


async def test_a_part_is_given_back_and_then_the_rest(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    assert await _ended(await placed.refund("one", 1000)) == "succeeded"
    partly = await placed.payment()
    assert (partly.state, partly.refunded, partly.refundable) == (
        State.PARTIALLY_REFUNDED,
        1000,
        3999,
    )
    assert await _ended(await placed.refund("two", 3999)) == "succeeded"
    wholly = await placed.payment()
    assert (wholly.state, wholly.refundable, wholly.attention) == (State.REFUNDED, 0, frozenset())
    charged = await placed.charged()
    assert (charged.captured, charged.refunded, charged.refunds) == (4999, 4999, 2)


async def test_the_same_refund_asked_three_times_at_once_is_made_once(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    asked = await asyncio.gather(*(placed.refund("one", 1000) for _ in range(3)))
    assert {await _ended(refund) for refund in asked} == {"succeeded"}
    assert (await placed.payment()).refunded == 1000
    assert (await placed.charged()).refunds == 1


async def test_two_refunds_at_once_never_give_back_more_than_was_taken(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    asked = [await placed.refund(key, 3000) for key in ("one", "two")]
    ends = await asyncio.gather(*(_ended(refund) for refund in asked), return_exceptions=True)
    assert sorted(isinstance(end, WorkflowFailureError) for end in ends) == [False, True]
    assert (await placed.payment()).refunded == 3000
    assert (await placed.charged()).refunded == 3000


async def test_more_than_was_taken_is_refused_and_noted_nowhere(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    with pytest.raises(WorkflowFailureError):
        await _ended(await placed.refund("one", 5000))
    assert (await placed.payment()).refunds == {}
    assert await placed.charged() == ONCE


@pytest.mark.parametrize("answer", [{"action": "drop"}, {"status": 500}], ids=["lost", "a 500"])
async def test_a_refund_whose_answer_is_lost_is_made_once(shop: Shop, answer: Json) -> None:
    placed = await scenarios.a_happy_path(shop)
    await shop.sandbox.control("faults", method="POST", path="/v1/refunds", mode="after", **answer)
    assert await _ended(await placed.refund("one", 4999)) == "succeeded"
    assert await placed.charged() == GIVEN_BACK


async def test_a_refund_waits_for_a_gateway_that_is_away(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    placed.skipping = True
    await shop.sandbox.control("faults", method="GET", path="/v1/refunds", status=500, times=8)
    assert await _ended(await placed.refund("one", 4999)) == "succeeded"
    assert await placed.charged() == GIVEN_BACK


async def test_a_refund_that_the_bank_takes_its_time_over_is_pending_until_it_is_not(
    shop: Shop,
) -> None:
    placed = await shop.order()
    await placed.captured("pm_card_pendingRefund")
    refund = await placed.refund("one", 4999)
    await placed.told(Event.REFUND_PENDING)
    await placed.deliver("refund.updated")
    assert await _ended(refund) == "succeeded"
    payment = await placed.payment()
    assert (payment.state, payment.refunds_pending, payment.refunded) == (State.REFUNDED, 0, 4999)


async def test_a_pending_refund_that_nobody_reports_is_asked_for(shop: Shop) -> None:
    placed = await shop.order()
    await placed.captured("pm_card_pendingRefund")
    placed.skipping = True
    assert await _ended(await placed.refund("one", 4999)) == "succeeded"
    assert (await placed.payment()).state is State.REFUNDED


async def test_a_refund_of_which_the_gateway_refuses_to_tell_needs_attention_once(
    shop: Shop,
) -> None:
    async with shop.another(Secretive(shop.sandbox, times=2)) as secretive:
        placed = await secretive.order()
        await placed.captured("pm_card_pendingRefund")
        placed.skipping = True
        assert await _ended(await placed.refund("one", 4999)) == "succeeded"
    payment = await placed.payment()
    assert payment.state is State.REFUNDED
    [reason] = payment.attention
    [name] = payment.refunds
    assert reason.startswith(f"the gateway tells nothing of refund {name}: ")
    assert (await placed.story()).count(Event.FLAGGED) == 1


async def test_a_refund_that_fails_days_later_puts_the_money_back(shop: Shop) -> None:
    placed = await shop.order()
    await placed.captured("pm_card_refundFail")
    assert await _ended(await placed.refund("one", 4999)) == "succeeded"
    assert (await placed.payment()).refundable == 0
    await placed.deliver("refund.failed")
    await placed.told(Event.REFUND_FAILED)
    payment = await placed.payment()
    assert (payment.state, payment.refunded, payment.refundable) == (State.CAPTURED, 0, 4999)
    assert [r.state for r in payment.refunds.values()] == [RefundState.FAILED]
    assert any("of 49.99 USD failed" in reason for reason in payment.attention)


async def test_a_refund_begun_at_the_gateway_ends_in_the_same_figures(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    await _refund_at_the_gateway(placed, 1500)
    await placed.deliver("refund.created")
    await placed.told(Event.REFUNDED)
    payment = await placed.payment()
    assert (payment.state, payment.refunded) == (State.PARTIALLY_REFUNDED, 1500)
    assert not payment.attention
    with pytest.raises(WorkflowFailureError):
        await _ended(await placed.refund("one", 4000))
    assert await _ended(await placed.refund("two", 3499)) == "succeeded"
    assert (await placed.payment()).state is State.REFUNDED


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_pendingRefund"])
@pytest.mark.parametrize("by", ["the gateway", "the storefront"])
async def test_what_goes_back_before_it_was_shipped_is_not_shipped(
    shop: Shop, card: str, by: str
) -> None:
    async def refund(order_id: str) -> None:
        placed = Placed(shop, Order(order_id, AMOUNT), skipping=False)
        if by == "the gateway":
            await _refund_at_the_gateway(placed, 4999)
            await placed.deliver("refund.created")
        else:
            await placed.refund("one", 4999)
            await placed.told(Event.REFUND_PENDING)

    steps = [shop.steps[0], Meanwhile(refund), shop.steps[1]]
    async with shop.another(steps=steps) as busy:
        placed = await busy.order()
        ended = await placed.captured(card)
    assert ended.order_state is OrderState.CANCELED
    assert ended.refundable == 0
    assert "ship_order" not in ended.steps_done
    assert "reserve_stock" in ended.steps_undone
    assert (await placed.charged()).refunded == 4999


async def test_a_failure_that_comes_with_the_answer_is_not_overlooked(shop: Shop) -> None:
    placed = await shop.order()
    await placed.captured("pm_card_refundFail")
    # The answer to the refund is on its way while its failure is reported already.
    await shop.sandbox.control(
        "faults", method="POST", path="/v1/refunds", mode="after", action="hang", seconds=1.5
    )
    refund = await placed.refund("one", 4999)
    await placed.deliver("refund.failed")
    assert await _ended(refund) == "failed"
    assert (await placed.payment()).refundable == 4999


async def test_an_order_that_cannot_be_shipped_is_canceled_before_the_banks_are_done(
    shop: Shop,
) -> None:
    async with shop.another(steps=[Refusing(_SHIP)]) as refusing:
        placed = await refusing.order()
        await placed.pay("pm_card_pendingRefund")
        await placed.call_back()
        ended = await placed.result()
        assert ended.order_state is OrderState.CANCELED
        assert (ended.refundable, ended.attention) == (0, frozenset())
        assert await _ended(placed.refund_of_the_undone()) == "succeeded"
    assert (await placed.payment()).state is State.REFUNDED
    assert await placed.charged() == GIVEN_BACK


async def test_an_order_that_is_undone_gives_back_what_somebody_else_left(shop: Shop) -> None:
    async def refund(order_id: str) -> None:
        placed = Placed(shop, Order(order_id, AMOUNT), skipping=False)
        await _ended(await placed.refund("one", 1000))

    steps: list[FulfilmentStep] = [Meanwhile(refund), Refusing(_SHIP)]
    async with shop.another(steps=steps) as refusing:
        placed = await refusing.order()
        ended = await placed.captured()
        assert (ended.order_state, ended.state) == (OrderState.CANCELED, State.REFUNDED)
    charged = await placed.charged()
    assert (charged.refunded, charged.refunds) == (4999, 2)


async def test_an_operator_reads_what_a_refund_waits_for(shop: Shop) -> None:
    placed = await shop.order()
    await placed.captured("pm_card_pendingRefund")
    await shop.sandbox.control("faults", method="GET", path="/v1/refunds", status=500, times=6)
    refund = await placed.refund("one", 4999)

    async def waits() -> bool:
        metadata = await refund.query("__temporal_workflow_metadata")
        return "Waiting for: the gateway" in str(metadata.current_details)

    await until(waits)
    assert refund.id == names.refund_workflow_id(
        placed.order.order_id, refund_name(placed.order.order_id, "one")
    )
    await refund.terminate()


async def _refund_at_the_gateway(placed: Placed, minor: int) -> None:
    """As somebody at the gateway's dashboard would."""
    payment = await placed.payment()
    assert payment.transaction_id is not None
    await placed.shop.sandbox.stripe.refunds.create_async(
        {"payment_intent": payment.transaction_id, "amount": minor}
    )
