"""Every fulfilment step as two activities: `reserve_stock` and `undo_reserve_stock`, and so on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import Learnt, keep, now
from app.domain.facts import Event, Fact, Source
from app.domain.fulfilment import FulfilmentStep, StepRefusedError
from app.domain.order import Order
from app.domain.records import Records


@dataclass(frozen=True)
class StepInput:
    """The order to run or undo a step for. `reason` says why it is undone."""

    order_id: str
    reason: str | None = None


def undo_name(step: str) -> str:
    """The activity that undoes `step`."""
    return f"undo_{step}"


def fulfilment_activities(
    steps: Sequence[FulfilmentStep], records: Records
) -> list[Callable[..., Any]]:
    """The activities of all `steps`."""
    return [made for step in steps for made in (_run(step, records), _undo(step, records))]


def _run(step: FulfilmentStep, records: Records) -> Callable[..., Any]:
    name = step.plan.name

    @activity.defn(name=name)
    async def run(ask: StepInput) -> Learnt:
        async with reported():
            order = await _order(ask, records)
            fact = Fact(Event.STEP_DONE, now(), Source.FULFILMENT, step=name)
            try:
                fact = replace(fact, reference=await step.run(order))
            except StepRefusedError as refusal:
                fact = replace(fact, event=Event.STEP_REFUSED, reason=str(refusal))
            return await keep(records, order.order_id, [fact])

    return run


def _undo(step: FulfilmentStep, records: Records) -> Callable[..., Any]:
    name = step.plan.name

    @activity.defn(name=undo_name(name))
    async def undo(ask: StepInput) -> Learnt:
        async with reported():
            order = await _order(ask, records)
            await step.undo(order)
            fact = Fact(Event.STEP_UNDONE, now(), Source.FULFILMENT, step=name, reason=ask.reason)
            return await keep(records, order.order_id, [fact])

    return undo


async def _order(ask: StepInput, records: Records) -> Order:
    order = await records.find_order(ask.order_id)
    if order is None:
        raise StepRefusedError(f"order {ask.order_id} is not in the records")
    return order
