"""The shopper's bank takes the money back until it is decided whose it is."""

import asyncio
from datetime import timedelta

from temporalio.client import WorkflowHandle

from app.domain.facts import Event, Source
from app.domain.fulfilment import FulfilmentStep
from app.domain.order import Order
from app.domain.payment import OrderState, Payment, State
from app.temporal import names
from app.workflows.dispute import DisputeWorkflow
from tests.sandbox.program import Json, until
from tests.workflows import scenarios
from tests.workflows.shop import AMOUNT, Placed, Shop
from tests.workflows.stand_ins import Meanwhile

_UNTIL_DUE = timedelta(days=30)


async def test_a_dispute_is_flagged_with_its_deadline_and_a_won_one_is_over(shop: Shop) -> None:
    placed, dispute = await _disputed(shop)
    payment = await placed.payment()
    assert (payment.state, payment.disputed, payment.refundable) == (State.DISPUTED, 4999, 0)
    (reason,) = payment.attention
    assert reason.startswith(f"dispute {dispute['id']} is open: evidence is due by ")
    workflow = _workflow(placed, dispute)
    attributes = (await workflow.describe()).typed_search_attributes
    assert attributes[names.ORDER_ID] == placed.order.order_id
    await until(lambda: _needs_attention(workflow))
    await _decide(shop, dispute, "won")
    await placed.deliver("charge.dispute.closed")
    assert await _ended(workflow) == "won"
    payment = await placed.payment()
    assert (payment.state, payment.disputed, payment.attention) == (
        State.CAPTURED,
        0,
        frozenset(),
    )
    attributes = (await workflow.describe()).typed_search_attributes
    assert attributes[names.NEEDS_ATTENTION] is False


async def test_a_lost_dispute_is_a_loss_in_our_figures(shop: Shop) -> None:
    placed, dispute = await _disputed(shop)
    await _decide(shop, dispute, "lost")
    await placed.deliver("charge.dispute.closed")
    assert await _ended(_workflow(placed, dispute)) == "lost"
    payment = await placed.payment()
    assert (payment.state, payment.disputed) == (State.CHARGED_BACK, 4999)
    assert payment.attention == {f"dispute {dispute['id']} is lost"}
    assert sorted(fee.minor for fee in payment.fees.values()) == [175, 1500]


async def test_the_operator_is_told_before_the_evidence_is_due(shop: Shop) -> None:
    placed, dispute = await _disputed(shop)
    workflow = _workflow(placed, dispute)
    due = timedelta(seconds=dispute["evidence_details"]["due_by"] - dispute["created"])
    await _pass_time(shop, workflow, due - timedelta(days=3))
    assert Event.EVIDENCE_DUE not in await placed.story()
    await _pass_time(shop, workflow, timedelta(days=1, hours=1))
    told = await placed.told(Event.EVIDENCE_DUE)
    assert told.reference == dispute["id"]
    await _decide(shop, dispute, "won")
    await _pass_time(shop, workflow, timedelta(hours=15))
    assert await _ended(workflow) == "won"
    assert (await placed.told(Event.DISPUTE_WON)).source is Source.LOOK_UP


async def test_the_events_of_a_dispute_in_any_order_and_twice_end_the_same(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    dispute = await _raise(placed)
    await _decide(shop, dispute, "won")
    for type_ in ("closed", "created", "closed", "funds_reinstated", "funds_withdrawn"):
        await placed.deliver(f"charge.dispute.{type_}")
    assert await _ended(_workflow(placed, dispute)) == "won"
    await until(lambda: _is(placed, State.CAPTURED))
    assert (await placed.payment()).disputed == 0


async def test_what_is_disputed_before_it_was_shipped_is_shipped_only_once_won(shop: Shop) -> None:
    disputes: list[Json] = []

    async with shop.another(steps=_steps_with_a_dispute(shop, disputes)) as busy:
        placed = await busy.order()
        await placed.pay()
        await placed.call_back()
        await until(lambda: _is(placed, State.DISPUTED))
        await until(lambda: _awaits(placed, "the end of the dispute"))
        assert "ship_order" not in (await placed.payment()).steps_done
        await _decide(shop, disputes[0], "won")
        await placed.deliver("charge.dispute.closed")
        ended = await placed.result()
        await _ended(_workflow(placed, disputes[0]))
    assert (ended.order_state, ended.state) == (OrderState.FULFILLED, State.CAPTURED)


async def test_what_is_disputed_and_lost_before_it_was_shipped_is_never_shipped(
    shop: Shop,
) -> None:
    disputes: list[Json] = []
    async with shop.another(steps=_steps_with_a_dispute(shop, disputes)) as busy:
        placed = await busy.order()
        await placed.pay()
        await placed.call_back()
        await until(lambda: _is(placed, State.DISPUTED))
        await _decide(shop, disputes[0], "lost")
        await placed.deliver("charge.dispute.closed")
        ended = await placed.result()
        await _ended(_workflow(placed, disputes[0]))
    assert ended.state is State.CHARGED_BACK
    assert "ship_order" not in ended.steps_done
    assert (await placed.charged()).refunded == 0


def _steps_with_a_dispute(shop: Shop, disputes: list[Json]) -> list[FulfilmentStep]:
    async def dispute(order_id: str) -> None:
        placed = Placed(shop, Order(order_id, AMOUNT), skipping=False)
        disputes.append(await _raise(placed))
        await placed.deliver("charge.dispute.created")

    return [shop.steps[0], Meanwhile(dispute), shop.steps[1]]


async def _disputed(shop: Shop) -> tuple[Placed, Json]:
    """A fulfilled order that its shopper's bank disputes, as far as we have heard."""
    placed = await scenarios.a_happy_path(shop)
    dispute = await _raise(placed)
    await placed.deliver("charge.dispute.created")
    await placed.told(Event.DISPUTED)
    return placed, dispute


async def _needs_attention(workflow: WorkflowHandle[DisputeWorkflow, str]) -> bool:
    attributes = (await workflow.describe()).typed_search_attributes
    return attributes.get(names.NEEDS_ATTENTION) is True


async def _raise(placed: Placed) -> Json:
    payment: Payment = await placed.payment()
    return await placed.shop.sandbox.control(
        "disputes", payment_intent=payment.transaction_id, reason="fraudulent"
    )


async def _decide(shop: Shop, dispute: Json, verdict: str) -> None:
    await shop.sandbox.control(f"disputes/{dispute['id']}", verdict=verdict)


def _workflow(placed: Placed, dispute: Json) -> WorkflowHandle[DisputeWorkflow, str]:
    return placed.shop.temporal.get_workflow_handle_for(
        DisputeWorkflow.run, names.dispute_workflow_id(placed.order.order_id, dispute["id"])
    )


async def _ended(workflow: WorkflowHandle[DisputeWorkflow, str]) -> str:
    async with asyncio.timeout(30):
        return await workflow.result()


async def _pass_time(
    shop: Shop, workflow: WorkflowHandle[DisputeWorkflow, str], by: timedelta
) -> None:
    async with asyncio.timeout(30):
        await shop.skipper.fast_forward(workflow, by)


async def _is(placed: Placed, state: State) -> bool:
    return (await placed.payment()).state is state


async def _awaits(placed: Placed, what: str) -> bool:
    return what in await placed.details()
