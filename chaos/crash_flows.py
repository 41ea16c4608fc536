"""The stories in which workers die, and every point of them at which one may."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from temporalio.client import WorkflowHandle

from app.domain.gateway import GatewayEvent
from app.domain.money import Money
from app.domain.order import Order
from app.domain.reversals import refund_name
from app.fulfilment.ship_order import ShipOrder
from app.temporal import names
from app.workflows.deliver_callbacks import DeliverCallbacksWorkflow
from app.workflows.giving_back import WHY
from chaos.crash_scene import Scene, eventually

AMOUNT = Money(4999, "usd")
_UNTIL_A_LOOK = timedelta(days=1)
_TO_BEGIN_SECONDS = 15.0
_WRITE = ("before_write", "after_write", "before_answer")
_CALL = ("before_call", "during_call", "after_call", *_WRITE)
# It notes what it is about to do, does it, and notes what came of it.
_NOTED = (
    "before_write", "after_write", "before_call", "during_call", "after_call",
    "before_write:2", "after_write:2", "before_answer",
)  # fmt: skip
# It looks before it acts.
_LOOKED = (
    "before_call", "during_call", "after_call", "before_call:2", "during_call:2", "after_call:2",
    *_WRITE,
)  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """One story. `play` tells it for an order, to its end; `points` is where workers die in it.
    `unheard`: the gateway's callbacks do not come meanwhile."""

    name: str
    play: Callable[[Scene, str], Awaitable[None]]
    points: tuple[str, ...]
    unheard: bool = False


async def _paid(scene: Scene, order_id: str) -> None:
    await scene.pay(order_id)
    await scene.ended(names.payment_workflow_id(order_id))


async def _hinted(scene: Scene, order_id: str) -> None:
    """The API takes a hint in and dies before it can deliver it. Once more where a worker that is
    to die of it was killed beside it, by another order of the same inbox."""
    await scene.pay(order_id)
    for number in count(1):
        hint = GatewayEvent(
            "generic", f"msg_{order_id}_{number}", "success", order_id, datetime.now(UTC)
        )
        await scene.records.take_callback(hint)
        await scene.temporal.execute_workflow(
            DeliverCallbacksWorkflow.run,
            id=f"deliver-callbacks-{order_id}-{number}",
            task_queue="tillflow",
        )
        if not scene.points.is_armed(order_id, "deliver_callbacks"):
            break
    await scene.ended(names.payment_workflow_id(order_id))


async def _declined(scene: Scene, order_id: str) -> None:
    """The shopper leaves after their bank has said no."""
    await scene.pay(order_id, payment_method_token="pm_card_chargeDeclined")  # noqa: S106 - no secret
    await scene.until(order_id, status="declined")
    await scene.cancel(order_id)
    await scene.ended(names.payment_workflow_id(order_id))


async def _out_of_stock(scene: Scene, order_id: str) -> None:
    await scene.pay(order_id, metadata={"sku": "crash-nothing"})
    await scene.ended(names.payment_workflow_id(order_id))


async def _not_shippable(scene: Scene, order_id: str) -> None:
    await scene.pay(order_id, capture="manual")
    await scene.until(order_id, status="authorized")
    await ShipOrder(scene.engine).undo(Order(order_id, AMOUNT))  # the warehouse will not
    await scene.capture(order_id)
    await scene.ended(names.payment_workflow_id(order_id))
    await scene.ended(_refund_workflow_id(order_id, WHY))


async def _refunded(scene: Scene, order_id: str) -> None:
    await _paid(scene, order_id)
    await scene.refund(order_id, "all")
    await scene.ended(_refund_workflow_id(order_id, "all"))


async def _refunded_in_silence(scene: Scene, order_id: str) -> None:
    await scene.pay(order_id, payment_method_token="pm_card_pendingRefund")  # noqa: S106 - no secret
    await scene.ended(names.payment_workflow_id(order_id))
    await scene.refund(order_id, "all")
    await scene.ended(_refund_workflow_id(order_id, "all"))


async def _refunded_while_shipped(scene: Scene, order_id: str) -> None:
    point = "ship_order:before_answer"
    scene.points.hold(order_id, point)
    await scene.pay(order_id)

    async def shipped() -> bool:
        return bool(await scene.rows("SELECT 1 FROM shipments WHERE order_id = :id", order_id))

    await eventually(shipped)
    await scene.refund(order_id, "all")
    await scene.until(order_id, refunded="49.99")
    scene.points.let_go(order_id, point)
    await scene.ended(names.payment_workflow_id(order_id))
    await scene.ended(_refund_workflow_id(order_id, "all"))


def _late(capture_method: str) -> Callable[[Scene, str], Awaitable[None]]:
    async def late(scene: Scene, order_id: str) -> None:
        """The order is over when a payment of it turns up."""
        await _out_of_stock(scene, order_id)
        form = {
            "amount": AMOUNT.minor,
            "currency": AMOUNT.currency,
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types[]": "card",
            "capture_method": capture_method,
            "confirm": "true",
            "metadata[order_id]": order_id,
        }
        await scene.at_the_gateway("/v1/payment_intents", **form)

        async def noticed() -> bool:
            return "came too late" in str((await scene.order(order_id))["needs_attention"])

        await eventually(noticed)
        await scene.nothing_runs(order_id)

    return late


async def _disputed(scene: Scene, order_id: str) -> None:
    await _paid(scene, order_id)
    intent = (await scene.order(order_id))["transaction_id"]
    dispute = (await scene.control("disputes", payment_intent=intent))["id"]
    await scene.until(order_id, status="disputed")
    workflow = scene.workflow(names.dispute_workflow_id(order_id, dispute))
    await _looked_at(scene, workflow)
    await scene.control(f"disputes/{dispute}", verdict="won")
    await workflow.result()


async def _looked_at(scene: Scene, dispute: WorkflowHandle[Any, Any]) -> None:
    """Move the clock until the workflow looks. Once more where a callback of the gateway came in
    with the timer: the wait for news begins anew with it."""

    async def looks() -> bool:
        return await scene.has_begun(dispute, "look_up_dispute")

    while not await looks():
        await scene.skipper.fast_forward(dispute, _UNTIL_A_LOOK)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TO_BEGIN_SECONDS):
                await eventually(looks)


def _refund_workflow_id(order_id: str, key: str) -> str:
    return names.refund_workflow_id(order_id, refund_name(order_id, key))


def _at(activity: str, moments: Iterable[str]) -> list[str]:
    return [f"{activity}:{moment}" for moment in moments]


FLOWS = (
    Flow(
        "paid",
        _paid,
        (
            *_at("authorize_payment", _NOTED),
            *_at("record_facts.confirmed", _WRITE),
            *_at("reserve_stock", _CALL),
            *_at("capture_payment", _CALL),
            *_at("ship_order", _CALL),
            *_at("send_receipt", _CALL),
            *_at("record_facts.fulfilled", _WRITE),
        ),
    ),
    Flow("declined", _declined, tuple(_at("authorize_payment", _NOTED))),
    Flow(
        "out of stock",
        _out_of_stock,
        (
            *_at("reserve_stock", ("before_call", "during_call", *_WRITE)),
            *_at("void_payment", _CALL),
            *_at("record_facts.canceled", _WRITE),
        ),
    ),
    Flow(
        "not shippable",
        _not_shippable,
        (
            *_at("ship_order", ("before_call", *_WRITE)),
            *_at("undo_reserve_stock", _CALL),
            *_at("note_refund", _WRITE),
            *_at("make_refund", _NOTED),
            *_at("record_facts.canceled", _WRITE),
        ),
    ),
    Flow(
        "refunded while shipped",
        _refunded_while_shipped,
        (*_at("undo_ship_order", _CALL), *_at("undo_reserve_stock", _CALL)),
    ),
    Flow(
        "refunded",
        _refunded,
        (*_at("note_refund", _WRITE), *_at("make_refund", _NOTED)),
    ),
    Flow("late, held", _late("manual"), tuple(_at("release_payment", _LOOKED))),
    Flow("late, taken", _late("automatic"), tuple(_at("release_payment", _LOOKED))),
    Flow("disputed", _disputed, tuple(_at("look_up_dispute", _CALL))),
    Flow(
        "hinted",
        _hinted,
        (
            *_at("deliver_callbacks", ("before_call", "before_write", "after_write", "after_call")),
            *_at("deliver_callbacks", ("before_answer",)),
            *_at("look_up_payment", _CALL),
        ),
        unheard=True,
    ),
    Flow(
        "refunded in silence",
        _refunded_in_silence,
        tuple(_at("look_up_refund", _CALL)),
        unheard=True,
    ),
)
