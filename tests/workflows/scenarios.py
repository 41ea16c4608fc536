"""Whole lives of payments, each up to its workflow's end. Tests judge them, and their histories are
saved to be replayed (see save_histories.py)."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from app.activities.reconciliation import Reconciled
from app.domain.facts import Event
from app.domain.fulfilment import Phase, StepPlan
from app.domain.gateway import Period
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.reversals import refund_name
from app.domain.unknown import Resolution
from app.fulfilment.reserve_stock import set_stock
from app.temporal import names
from app.workflows.dispute import DisputeWorkflow
from app.workflows.messages import CancelInput, CaptureInput, ReconcileInput, ResolveInput
from app.workflows.payment import PaymentWorkflow
from app.workflows.reconcile import ReconcileWorkflow
from app.workflows.refund import RefundWorkflow
from tests.sandbox.program import payment
from tests.workflows.shop import EXPIRY, Placed, Shop
from tests.workflows.stand_ins import Forgetful, Refusing, Silent

AGE_LIMIT = timedelta(minutes=5)
NOT_CHARGED = ResolveInput(Resolution.NOT_CHARGED, "ana", "nothing in the dashboard")
LOOK_AGAIN = ResolveInput(Resolution.LOOK_AGAIN, "ana", "it is back")


async def a_happy_path(shop: Shop) -> Placed:
    """Held, confirmed by callback, captured, fulfilled."""
    placed = await shop.order()
    await placed.pay()
    await placed.call_back()
    await placed.result()
    return placed


async def a_decline_then_another_card(shop: Shop) -> Placed:
    """The second card pays."""
    placed = await shop.order()
    await placed.pay("pm_card_chargeDeclinedInsufficientFunds")
    await placed.pay("pm_card_visa", attempt=2)
    await placed.call_back()
    await placed.result()
    return placed


async def a_lost_callback(shop: Shop) -> Placed:
    """No callback ever comes: the gateway is asked."""
    placed = await shop.order(skipping=True)
    await placed.pay()
    await placed.result()
    return placed


async def an_expiry(shop: Shop) -> Placed:
    """The shopper never authenticates: the payment is voided when the checkout is over."""
    placed = await shop.order()
    await placed.pay("pm_card_authenticationRequired")
    await shop.pass_time(placed, EXPIRY)
    await placed.result()
    return placed


async def out_of_stock(shop: Shop) -> Placed:
    """The money is held, but there is nothing to sell."""
    await set_stock(shop.engine, "sold out", 0)
    placed = await shop.order(sku="sold out")
    await placed.pay()
    await placed.call_back()
    await placed.result()
    return placed


async def a_capture_of_a_part(shop: Shop) -> Placed:
    """Held until the storefront takes some of it."""
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    ask = CaptureInput(placed.order.amount.of(1999))
    await placed.workflow.execute_update(PaymentWorkflow.capture, ask)
    await placed.result()
    return placed


async def a_cancellation(shop: Shop) -> Placed:
    """Held, and called off."""
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    await placed.workflow.execute_update(PaymentWorkflow.cancel, CancelInput("no"))
    await placed.result()
    return placed


async def a_bank_debit(shop: Shop) -> Placed:
    """Days of waiting, then the money."""
    placed = await shop.order(amount=Money(4999, "eur"))
    processing = await placed.pay("pm_sepaDebit_success", method=Method.SEPA_DEBIT)
    await shop.sandbox.control("settle", id=processing.transaction_id)
    await placed.call_back("payment_intent.succeeded")
    await placed.result()
    return placed


async def what_cannot_be_shipped(shop: Shop) -> Placed:
    """Captured, and then given back by a refund with a workflow of its own."""
    ship = StepPlan("ship_order", Phase.AFTER_CAPTURE, essential=True)
    async with shop.another(steps=[shop.steps[0], Refusing(ship)]) as refusing:
        placed = await refusing.order()
        await placed.pay()
        await placed.call_back()
        await placed.result()
        await placed.refund_of_the_undone().result()
    return placed


async def a_refund(shop: Shop) -> WorkflowHandle[RefundWorkflow, str]:
    """Pending at the bank until the gateway reports it."""
    placed = await shop.order()
    await placed.captured("pm_card_pendingRefund")
    refund = await placed.refund("one", 1000)
    await placed.told(Event.REFUND_PENDING)
    await placed.deliver("refund.updated")
    await refund.result()
    return refund


async def an_attempt_that_never_arrived(shop: Shop) -> Placed:
    """Its absence is proven; another one pays."""
    async with shop.another(Forgetful(shop.sandbox)) as forgetful:
        placed = await forgetful.order()
        await placed.unanswered()
        await forgetful.pass_time(placed, timedelta(seconds=90))
        await placed.pay(attempt=2)
        await placed.call_back()
        await placed.result()
    return placed


async def a_capture_that_an_operator_decides(shop: Shop, gateway: Silent | None = None) -> Placed:
    """The gateway tells nothing for two hours; then an operator saw that nothing was taken."""
    gateway = gateway or Silent(shop.sandbox)
    async with shop.another(gateway, age_limit=AGE_LIMIT) as silent:
        placed = await silent.order()
        await placed.pay()
        gateway.silent = {"capture", "look up"}
        await placed.call_back()
        await silent.pass_time(placed, timedelta(hours=2))
        await placed.told(Event.FLAGGED)
        gateway.silent.clear()
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)
        await placed.result()
    return placed


async def a_refund_that_an_operator_decides(
    shop: Shop, gateway: Silent | None = None
) -> WorkflowHandle[RefundWorkflow, str]:
    """The gateway fails under its key for good; then an operator saw that it was not made."""
    gateway = gateway or Silent(shop.sandbox)
    async with shop.another(gateway, age_limit=AGE_LIMIT) as silent:
        placed = await silent.order()
        await placed.captured()
        gateway.silent = {f"refund:{refund_name(placed.order.order_id, 'one')}"}
        refund = await placed.refund("one", 1000)
        await silent.skipper.fast_forward(refund, timedelta(hours=2))
        await placed.told(Event.FLAGGED)
        await refund.execute_update(RefundWorkflow.resolve, LOOK_AGAIN)
        await refund.execute_update(RefundWorkflow.resolve, NOT_CHARGED)
        await refund.result()
    return refund


async def a_dispute(shop: Shop) -> WorkflowHandle[DisputeWorkflow, str]:
    """Opened, and won."""
    placed = await a_happy_path(shop)
    transaction_id = (await placed.payment()).transaction_id
    dispute = await shop.sandbox.control("disputes", payment_intent=transaction_id)
    await placed.deliver("charge.dispute.created")
    await placed.told(Event.DISPUTED)
    await shop.sandbox.control(f"disputes/{dispute['id']}", verdict="won")
    await placed.deliver("charge.dispute.closed")
    workflow = shop.temporal.get_workflow_handle(
        names.dispute_workflow_id(placed.order.order_id, dispute["id"])
    )
    await workflow.result()
    return workflow


async def money_after_the_end(shop: Shop) -> WorkflowHandle[Any, Any]:
    """A payment behind our back for an order that is over: given back."""
    placed = await an_expiry(shop)
    await shop.sandbox.stripe.payment_intents.create_async(unheard_of(placed))
    event = await placed.event("payment_intent.amount_capturable_updated")
    await shop.delivery.deliver(event)
    late = names.late_event_workflow_id(event.gateway, event.event_id)
    workflow = shop.temporal.get_workflow_handle(late)
    await workflow.result()
    return workflow


async def a_reconciliation(shop: Shop) -> WorkflowHandle[ReconcileWorkflow, Reconciled]:
    """Of a paid order: page by page, and nothing differs."""
    since = datetime.now(UTC).replace(microsecond=0)
    placed = await a_happy_path(shop)
    workflow = await shop.skipper.client.start_workflow(
        ReconcileWorkflow.run,
        ReconcileInput(Period(since, datetime.now(UTC) + timedelta(seconds=1))),
        id=f"reconcile-{placed.order.order_id}",
        task_queue=shop.task_queue,
    )
    await workflow.result()
    return workflow


SAVED: list[Callable[[Shop], Awaitable[Placed | WorkflowHandle[Any, Any]]]] = [
    a_happy_path,
    a_decline_then_another_card,
    a_lost_callback,
    an_expiry,
    out_of_stock,
    a_capture_of_a_part,
    a_cancellation,
    a_bank_debit,
    what_cannot_be_shipped,
    a_refund,
    an_attempt_that_never_arrived,
    a_capture_that_an_operator_decides,
    a_refund_that_an_operator_decides,
    a_dispute,
    money_after_the_end,
    a_reconciliation,
]


def unheard_of(placed: Placed) -> Any:
    """The parameters of a payment of the order, for making it behind our back."""
    amount = placed.order.amount.minor
    return payment(placed.order.order_id, amount=amount)
