"""A shop on real parts: orders are placed as the API places them, callbacks come as Stripe's do."""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
)
from temporalio.common import (
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.testing import TimeSkipper
from temporalio.worker import Worker

from app.db.reconciliation import PostgresReconciliations
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, PaymentMethod
from app.domain.fulfilment import FulfilmentStep
from app.domain.gateway import Gateway, GatewayEvent
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Capture, Mandate, Order
from app.domain.payment import Payment
from app.domain.reversals import refund_name
from app.fulfilment.reserve_stock import ReserveStock
from app.fulfilment.send_receipt import MailServer, SendReceipt
from app.fulfilment.ship_order import ShipOrder
from app.gateways.stripe import StripeGateway
from app.temporal import names
from app.temporal.delivery import CallbackDelivery
from app.wiring import activities
from app.workflows.messages import AttemptInput, RefundInput
from app.workflows.payment import PaymentWorkflow
from app.workflows.refund import RefundWorkflow
from app.workflows.starts import PaymentStarts
from tests.conftest import KEYRING
from tests.sandbox.program import SECRET, Json, Sandbox, until
from worker import WORKFLOWS

AMOUNT = Money(4999, "usd")
CARD = PaymentMethod("credit_card")
MANDATE = Mandate("203.0.113.7", "a browser")
RETURN_URL = "https://shop.example/return"
GRACE = timedelta(seconds=20)
EXPIRY = timedelta(minutes=30)
RETENTION = timedelta(days=180)

_PATIENCE_SECONDS = 30

_orders = itertools.count(1)


@dataclass(frozen=True)
class Charged:
    """What the gateway holds, took and gave back for an order, and how often."""

    held: int = 0
    captured: int = 0
    refunded: int = 0
    authorizations: int = 0
    captures: int = 0
    refunds: int = 0


NOTHING = Charged()
ONCE = Charged(captured=4999, authorizations=1, captures=1)
HELD = Charged(held=4999, authorizations=1)
RELEASED = Charged(authorizations=1)
GIVEN_BACK = Charged(captured=4999, refunded=4999, authorizations=1, captures=1, refunds=1)


@dataclass
class Placed:
    """An order, and the workflow of its payment."""

    shop: "Shop"
    order: Order
    skipping: bool
    updates: list[WorkflowUpdateHandle[None]] = field(default_factory=list)

    @property
    def workflow(self) -> WorkflowHandle[PaymentWorkflow, str]:
        return self.shop.temporal.get_workflow_handle_for(
            PaymentWorkflow.run, names.payment_workflow_id(self.order.order_id)
        )

    async def ask(
        self, token: str, attempt: int = 1, method: Method = Method.CREDIT_CARD
    ) -> WorkflowUpdateHandle[None]:
        """Ask to be paid, as the API does: start the workflow or join it. Does not wait."""
        shop, order = self.shop, self.order
        asked = AttemptInput(attempt, token, PaymentMethod(method), return_url=RETURN_URL)
        start = WithStartWorkflowOperation(
            PaymentWorkflow.run,
            shop.starts.input(order, asked),
            **shop.starts.options(order),
        )
        client = shop.skipper.client if self.skipping else shop.temporal
        update = await client.start_update_with_start_workflow(
            PaymentWorkflow.initiate,
            asked,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            id=names.initiate_update_id(attempt),
            start_workflow_operation=start,
        )
        self.updates.append(update)
        return update

    async def pay(
        self,
        token: str = "pm_card_visa",  # noqa: S107 - a test token
        attempt: int = 1,
        method: Method = Method.CREDIT_CARD,
    ) -> Payment:
        """Ask to be paid, and wait for the answer."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await (await self.ask(token, attempt, method)).result()
        return await self.payment()

    async def unanswered(
        self,
        token: str = "pm_card_visa",  # noqa: S107 - a test token
        attempt: int = 1,
    ) -> WorkflowUpdateHandle[None]:
        """Ask a gateway that does not answer: the outcome is unknown after four seconds. The clock
        is not moved meanwhile: its goal would lie close to the first look-up."""
        update = await self.ask(token, attempt)
        await self.told(Event.OUTCOME_UNKNOWN)
        return update

    async def captured(self, token: str = "pm_card_visa") -> Payment:  # noqa: S107 - a test token
        """Paid and fulfilled: the payment's workflow has ended."""
        await self.pay(token)
        await self.call_back()
        return await self.result()

    async def refund(self, key: str, minor: int) -> WorkflowHandle[RefundWorkflow, str]:
        """Ask for a refund, as the API does. Does not wait."""
        payment = await self.payment()
        name = refund_name(self.order.order_id, key)
        start = WithStartWorkflowOperation(
            RefundWorkflow.run,
            RefundInput(
                self.order.order_id,
                name,
                self.order.amount.of(minor),
                self.shop.gateway.name,
                payment.transaction_id or "",
                "the shopper asked",
                self.shop.starts.unknown_age_limit_seconds,
            ),
            id=names.refund_workflow_id(self.order.order_id, name),
            task_queue=self.shop.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        )
        client = self.shop.skipper.client if self.skipping else self.shop.temporal
        await client.start_update_with_start_workflow(
            RefundWorkflow.refund,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            id=names.REFUND_UPDATE_ID,
            start_workflow_operation=start,
        )
        return await start.workflow_handle()

    def refund_of_the_undone(self) -> WorkflowHandle[RefundWorkflow, str]:
        """The workflow of the refund of an order that was undone after its capture."""
        name = refund_name(self.order.order_id, "order undone")
        return self.shop.temporal.get_workflow_handle_for(
            RefundWorkflow.run, names.refund_workflow_id(self.order.order_id, name)
        )

    async def deliver(self, type_: str) -> GatewayEvent:
        """The gateway's own event of that type comes by the inbox, as the API delivers it."""
        event = replace(await self.event(type_), order_id=self.order.order_id)
        await self.shop.delivery.deliver(event)
        return event

    async def signal(self, event: GatewayEvent) -> None:
        await self.workflow.signal(PaymentWorkflow.gateway_event, event)

    async def call_back(self, type_: str = "payment_intent.amount_capturable_updated") -> None:
        """The gateway's own event of that type reaches the workflow."""
        await self.signal(await self.event(type_))

    async def event(self, type_: str) -> GatewayEvent:
        """The gateway's latest event of `type_` about this order, verified and translated."""
        found: list[GatewayEvent] = []

        async def arrived() -> bool:
            transactions = (await self.payment()).transaction_ids
            found.extend(await self.shop.events(self.order.order_id, type_, transactions))
            return bool(found)

        await until(arrived)
        return found[0]

    async def result(self) -> Payment:
        """Wait for the workflow's end. Nothing may be left hanging on it."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            state = await self.workflow.result()
            for update in self.updates:
                await update.result()
        payment = await self.payment()
        assert payment.state == state, "what the workflow believes is what the records say"
        return payment

    async def payment(self) -> Payment:
        payment = await self.shop.records.find_payment(self.order.order_id)
        assert payment is not None
        return payment

    async def facts(self) -> list[Fact]:
        return await self.shop.records.facts(self.order.order_id)

    async def story(self) -> list[Event]:
        return [fact.event for fact in await self.facts()]

    async def told(self, event: Event) -> Fact:
        """The latest such fact, once there is one."""
        found: list[Fact] = []

        async def there() -> bool:
            found[:] = [fact for fact in await self.facts() if fact.event is event]
            return bool(found)

        await until(there, _PATIENCE_SECONDS)
        return found[-1]

    async def charged(self) -> "Charged":
        """What was really charged: the gateway's own sums."""
        judged = await self.shop.sandbox.ledger(self.order.order_id)
        sums = [
            sum(intent[name] for intent in judged["payment_intents"])
            for name in ("authorized", "released", "captured", "refunded")
        ]
        counts = judged["orders"].get(self.order.order_id, {})
        return Charged(
            held=sums[0] - sums[1] - sums[2],
            captured=sums[2],
            refunded=sums[3],
            authorizations=counts.get("authorizations", 0),
            captures=counts.get("captures", 0),
            refunds=counts.get("refunds", 0),
        )

    async def intents(self) -> list[Any]:
        """The order's payments at the gateway, as the gateway tells them."""
        listed = await self.shop.sandbox.stripe.payment_intents.list_async({"limit": 100})
        return [
            intent
            for intent in listed.data
            if intent.to_dict()["metadata"].get("order_id") == self.order.order_id
        ]

    async def details(self) -> str:
        """What an operator reads in the Temporal UI."""
        metadata: Any = await self.workflow.query("__temporal_workflow_metadata")
        return str(metadata.current_details)


@dataclass(frozen=True)
class Shop:
    """A worker with its parts, and the client that places orders with it."""

    skipper: TimeSkipper
    task_queue: str
    gateway: Gateway
    steps: Sequence[FulfilmentStep]
    records: PostgresRecords
    engine: AsyncEngine
    sandbox: Sandbox
    delivery: CallbackDelivery
    starts: PaymentStarts
    temporal: Client

    @asynccontextmanager
    async def another(
        self,
        gateway: StripeGateway | None = None,
        steps: Sequence[FulfilmentStep] | None = None,
        age_limit: timedelta = timedelta(days=1),
    ) -> AsyncIterator["Shop"]:
        """The same shop with a stand-in for its gateway or its steps."""
        async with open_shop(
            self.temporal,
            self.engine,
            self.sandbox,
            gateway or self.gateway,
            steps or self.steps,
            age_limit,
        ) as opened:
            yield opened
        if gateway is not None:
            await gateway.close()

    async def order(
        self,
        *,
        skipping: bool = False,
        amount: Money = AMOUNT,
        capture: Capture = Capture.AUTOMATIC,
        order_id: str | None = None,
        **metadata: str,
    ) -> Placed:
        """A new order. `skipping`: whenever it waits, its clock jumps to the end of the wait."""
        order_id = order_id or f"order-{next(_orders)}-{uuid4().hex[:6]}"
        order = Order(order_id, amount, capture, metadata, mandate=MANDATE)
        await self.records.open_order(order)
        return Placed(self, order, skipping)

    async def events(
        self, order_id: str, type_: str, transactions: Collection[str] = ()
    ) -> list[GatewayEvent]:
        """The gateway's events of `type_` about the order, or about one of its `transactions`: the
        newest first."""
        listed = await self.sandbox.stripe.events.list_async({"type": type_, "limit": 100})
        told = [event.to_dict() for event in listed.data]
        return [
            self.gateway.read_callback(*signed(event))
            for event in told
            if event["data"]["object"].get("metadata", {}).get("order_id") == order_id
            or event["data"]["object"].get("payment_intent") in transactions
        ]

    async def pass_time(self, placed: Placed, by: timedelta) -> None:
        """Move the clock of one order's workflow. Its goal must lie seconds away from whatever the
        workflow does: one that goes by meanwhile leaves a timer behind that does not fire."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.skipper.fast_forward(placed.workflow, by)


def signed(event: Json) -> tuple[dict[str, str], bytes]:
    """The event as Stripe would send it now."""
    body = json.dumps(event)
    now = int(time.time())
    mac = hmac.new(SECRET.encode(), f"{now}.{body}".encode(), hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={now},v1={mac}"}, body.encode()


def real_steps(engine: AsyncEngine) -> list[FulfilmentStep]:
    """The plan as it is wired. No order here has an address, so no mail goes out."""
    return [
        ReserveStock(engine),
        ShipOrder(engine),
        SendReceipt(engine, MailServer("127.0.0.1", 1, "shop@shop.example")),
    ]


@asynccontextmanager
async def open_shop(
    client: Client,
    engine: AsyncEngine,
    sandbox: Sandbox,
    gateway: Gateway,
    steps: Sequence[FulfilmentStep] | None = None,
    age_limit: timedelta = timedelta(days=1),
    queue: str | None = None,
) -> AsyncIterator[Shop]:
    """A shop with a worker of its own. `age_limit`: how old an unknown outcome may become. `queue`:
    the task queue of a shop whose work it goes on with, or shares."""
    skipper = TimeSkipper(client)
    queue = queue or f"shop-{uuid4().hex}"
    records = PostgresRecords(engine, gateway.name, KEYRING)
    delivery = CallbackDelivery(skipper.client, records, queue)
    steps = real_steps(engine) if steps is None else steps
    starts = PaymentStarts(
        gateway.name,
        [step.plan for step in steps],
        queue,
        EXPIRY.total_seconds(),
        GRACE.total_seconds(),
        age_limit.total_seconds(),
    )
    async with Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=activities(
            gateway,
            steps,
            records,
            PostgresReconciliations(engine),
            delivery,
            starts,
            skipper.client,
            RETENTION,
        ),
    ):
        yield Shop(
            skipper, queue, gateway, steps, records, engine, sandbox, delivery, starts, client
        )
