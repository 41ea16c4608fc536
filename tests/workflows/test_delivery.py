"""From the inbox to the workflows: in order, once, and none waits for another."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from app.activities.callbacks import CallbackActivities
from app.db.records import PostgresRecords
from app.domain.delivery import DeliveryUnavailableError
from app.domain.facts import Event
from app.domain.gateway import GatewayDispute, GatewayEvent
from app.domain.order import Capture
from app.domain.payment import OrderState
from app.domain.records import RecordsUnavailableError, WaitingCallback
from app.domain.reversals import DisputeState
from app.embedded.ports import free_port
from app.temporal import names
from app.temporal.delivery import CallbackDelivery
from tests.conftest import KEYRING
from tests.db.conftest import NOON
from tests.sandbox.program import until
from tests.workflows import scenarios
from tests.workflows.shop import AMOUNT, HELD, ONCE, Placed, Shop

_HELD = "payment_intent.amount_capturable_updated"


class ForgetfulRecords(PostgresRecords):
    """The process dies after it told the workflow, before it noted that it did: `deaths` times."""

    deaths = 1

    async def callback_delivered(self, event: GatewayEvent, outcome: str) -> None:
        if self.deaths:
            self.deaths -= 1
            raise RecordsUnavailableError("gone")
        await super().callback_delivered(event, outcome)


async def test_all_that_waits_for_an_order_is_told_in_the_gateways_order(shop: Shop) -> None:
    placed = await _held(shop)
    first = await placed.event(_HELD)
    events = [
        replace(
            first,
            event_id=f"{first.event_id}-{age}",
            created_at=first.created_at - timedelta(seconds=age),
        )
        for age in range(5)
    ]
    for number in (3, 0, 4, 1, 2):
        await shop.records.take_callback(events[number])
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 5
    oldest_first = [event.event_id for event in reversed(events)]
    await _was_told(placed, oldest_first)
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 0


async def test_what_was_told_and_not_noted_is_told_again_and_applied_once(shop: Shop) -> None:
    placed = await _held(shop)
    event = await placed.event(_HELD)
    await shop.records.take_callback(event)
    dying = _delivery(shop, ForgetfulRecords(shop.engine, shop.gateway.name, KEYRING))
    with pytest.raises(RecordsUnavailableError):
        await dying.deliver_waiting(placed.order.order_id)
    await placed.told(Event.CONFIRMED)
    assert await dying.deliver_waiting(placed.order.order_id) == 1
    await _was_told(placed, 2 * [event.event_id])
    assert (await placed.story()).count(Event.CONFIRMED) == 1
    assert await placed.charged() == HELD


async def test_what_was_told_before_its_workflow_ended_is_no_news_after_it(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay()
    event = await placed.event(_HELD)
    await shop.records.take_callback(event)
    dying = _delivery(shop, ForgetfulRecords(shop.engine, shop.gateway.name, KEYRING))
    with pytest.raises(RecordsUnavailableError):
        await dying.deliver_waiting(placed.order.order_id)
    await placed.result()
    story = await placed.story()
    assert await dying.deliver_waiting(placed.order.order_id) == 1
    assert await placed.story() == story
    assert await placed.charged() == ONCE


async def test_a_dispute_that_is_told_twice_is_noted_once(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    await shop.sandbox.control(
        "disputes",
        payment_intent=(await placed.payment()).transaction_id,
        reason="fraudulent",
    )
    event = await placed.event("charge.dispute.created")
    taken = await shop.records.take_callback(event)
    assert taken.order_id == placed.order.order_id
    dying = _delivery(shop, ForgetfulRecords(shop.engine, shop.gateway.name, KEYRING))
    with pytest.raises(RecordsUnavailableError):
        await dying.deliver_waiting(placed.order.order_id)
    assert await dying.deliver_waiting(placed.order.order_id) == 1
    await placed.told(Event.DISPUTED)
    assert (await placed.story()).count(Event.DISPUTED) == 1


async def test_a_dispute_over_a_payment_that_is_not_the_orders_has_no_workflow(
    shop: Shop,
) -> None:
    placed = await scenarios.a_happy_path(shop)
    before = await placed.payment()
    dispute = GatewayDispute("du_other", "pi_other", AMOUNT, DisputeState.OPEN)
    event = GatewayEvent(
        "stripe", "evt_other", "dispute", placed.order.order_id, NOON, dispute=dispute
    )
    await shop.records.take_callback(event)
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 1
    name = names.dispute_workflow_id(placed.order.order_id, "du_other")
    await _never_began(shop, name, names.late_event_workflow_id("stripe", "evt_other"))
    assert await placed.payment() == before


async def test_a_refund_that_is_told_by_a_slower_clock_is_no_news(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    await (await placed.refund("first", 1000)).result()
    event = await placed.event("refund.updated")
    slower = replace(event, created_at=_before(event), order_id=placed.order.order_id)
    await shop.records.take_callback(slower)
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 1
    await _never_began(shop, names.late_event_workflow_id(event.gateway, event.event_id))


async def test_what_temporal_refuses_is_set_aside_and_holds_up_nothing(shop: Shop) -> None:
    placed = await _held(shop)
    event = await placed.event(_HELD)
    huge = replace(
        event, event_id=f"{event.event_id}-huge", type="x" * 2_200_000, created_at=_before(event)
    )
    for each in (event, huge):
        await shop.records.take_callback(each)
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 1
    await _was_told(placed, [event.event_id])
    [refused] = await _waiting(shop, [huge])
    assert (refused.failures, refused.order_id) == (1, placed.order.order_id)
    assert (refused.last_error or "").startswith("RPCError: ")
    assert refused.next_try_at is not None
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 0
    await shop.records.callback_delivered(huge, "given up by the test")


async def test_while_temporal_is_away_everything_waits_and_nothing_is_blamed(shop: Shop) -> None:
    placed = await _held(shop)
    event = await placed.event(_HELD)
    await shop.records.take_callback(event)
    nowhere = await Client.connect(f"127.0.0.1:{free_port()}", lazy=True)
    away = CallbackDelivery(nowhere, shop.records, shop.task_queue)
    for _ in range(2):
        with pytest.raises(DeliveryUnavailableError):
            await away.deliver_waiting(placed.order.order_id)
    [waiting] = await _waiting(shop, [event])
    assert (waiting.failures, waiting.last_error, waiting.next_try_at) == (0, None, None)

    passed = CallbackActivities(shop.records, away.deliver_waiting).deliver_callbacks
    assert (await ActivityEnvironment().run(passed, "")).count == 0
    assert await shop.delivery.deliver_waiting(placed.order.order_id) == 1
    await _was_told(placed, [event.event_id])


async def test_the_scheduled_pass_delivers_to_every_order(shop: Shop) -> None:
    placed = [await shop.order(capture=Capture.MANUAL) for _ in range(3)]
    await asyncio.gather(*(order.pay() for order in placed))
    for order in placed:
        await shop.records.take_callback(await order.event(_HELD))
    delivered = await shop.temporal.execute_workflow(
        "DeliverCallbacksWorkflow",
        id=f"deliver-callbacks-{placed[0].order.order_id}",
        task_queue=shop.task_queue,
        result_type=int,
    )
    assert delivered >= len(placed)
    for order in placed:
        await order.told(Event.CONFIRMED)
        assert (await order.payment()).order_state is OrderState.OPEN


async def _held(shop: Shop) -> Placed:
    """An order whose money is held until the storefront captures it: its workflow waits."""
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    return placed


def _before(event: GatewayEvent) -> datetime:
    return event.created_at - timedelta(seconds=1)


def _delivery(shop: Shop, records: PostgresRecords) -> CallbackDelivery:
    return CallbackDelivery(shop.temporal, records, shop.task_queue)


async def _was_told(placed: Placed, wanted: list[str]) -> None:
    """The payment's workflow was signaled these events, in this order."""

    async def all_are_there() -> bool:  # a signal may have to wait for the end of a task
        return len(await _told(placed)) >= len(wanted)

    await until(all_are_there)
    assert await _told(placed) == wanted


async def _told(placed: Placed) -> list[str]:
    history = await placed.workflow.fetch_history()
    converter = placed.shop.temporal.data_converter
    told: list[str] = []
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            payloads = event.workflow_execution_signaled_event_attributes.input.payloads
            [signaled] = await converter.decode(payloads, [GatewayEvent])
            told.append(signaled.event_id)
    return told


async def _never_began(shop: Shop, *workflow_ids: str) -> None:
    for workflow_id in workflow_ids:
        with pytest.raises(RPCError, match="not found"):
            await shop.temporal.get_workflow_handle(workflow_id).describe()


async def _waiting(shop: Shop, events: Sequence[GatewayEvent]) -> list[WaitingCallback]:
    names = {event.event_id for event in events}
    return [told for told in await shop.records.waiting_callbacks(100) if told.event_id in names]
