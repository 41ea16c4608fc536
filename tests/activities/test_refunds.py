"""Refunds, on a real database and the real sandbox."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from app.activities.learnt import Learnt
from app.activities.payment import AuthorizeInput, MoneyInput, PaymentActivities
from app.activities.refunds import LookUpRefundInput, MakeRefundInput, RefundActivities
from app.db.records import PostgresRecords
from app.domain.facts import Event, PaymentMethod
from app.domain.money import Money
from app.domain.order import Order
from app.domain.payment import Payment, State
from app.domain.reversals import refund_name
from app.gateways.stripe import StripeGateway
from tests.sandbox.program import Sandbox

_AMOUNT = Money(4999, "usd")
FIRST, SECOND = (refund_name("order", key) for key in ("first", "second"))


@dataclass
class Drawer:
    """An order that is held, or taken, and the activities on it."""

    order_id: str
    payments: PaymentActivities
    refunds: RefundActivities
    records: PostgresRecords
    sandbox: Sandbox

    async def hold(self) -> None:
        await ActivityEnvironment().run(
            self.payments.authorize_payment,
            AuthorizeInput(self.order_id, _AMOUNT, 1, "pm_card_visa", PaymentMethod("credit_card")),
        )

    async def take(self) -> None:
        await self.hold()
        payment = await self.payment()
        await ActivityEnvironment().run(
            self.payments.capture_payment,
            MoneyInput(self.order_id, payment.transaction_id or "", _AMOUNT, 1, 1),
        )

    async def refund(self, minor: int = 4999, name: str = FIRST) -> Learnt:
        payment = await self.payment()
        return await ActivityEnvironment().run(
            self.refunds.make_refund,
            MakeRefundInput(
                self.order_id, payment.transaction_id or "", _AMOUNT.of(minor), name, "broken"
            ),
        )

    async def payment(self) -> Payment:
        payment = await self.records.find_payment(self.order_id)
        assert payment is not None
        return payment

    async def given_back(self) -> tuple[int, int]:
        """How often, and how much in all, by the gateway's own ledger."""
        judged = await self.sandbox.ledger(self.order_id)
        sums = [intent["refunded"] for intent in judged["payment_intents"]]
        return judged["orders"][self.order_id]["refunds"], sum(sums)


@pytest.fixture
async def drawer(
    records: PostgresRecords, sandbox: Sandbox, stripe_gateway: StripeGateway
) -> AsyncIterator[Drawer]:
    order_id = f"drawer-{uuid4().hex[:12]}"
    await records.open_order(Order(order_id, _AMOUNT))
    payments = PaymentActivities(stripe_gateway, records)
    refunds = RefundActivities(stripe_gateway, records)
    yield Drawer(order_id, payments, refunds, records, sandbox)
    await sandbox.http.delete("/control/faults")


async def test_run_twice_it_gives_back_once(drawer: Drawer) -> None:
    await drawer.take()
    for _ in range(2):
        learnt = await drawer.refund()
        assert [fact.event for fact in learnt.facts] == [Event.REFUNDED]
    assert await drawer.given_back() == (1, 4999)
    assert (await drawer.payment()).state is State.REFUNDED


async def test_it_is_noted_before_it_is_made(drawer: Drawer) -> None:
    await drawer.take()
    await drawer.sandbox.control("faults", method="GET", path="/v1/refunds", status=500)
    with pytest.raises(ApplicationError) as failure:
        await drawer.refund(1000)
    assert (failure.value.type, failure.value.non_retryable) == ("outcome_unknown", False)
    noted = await drawer.payment()
    assert (noted.refunds_pending, noted.refundable) == (1000, 3999)
    await drawer.refund(1000)
    assert ((await drawer.payment()).refunded, await drawer.given_back()) == (1000, (1, 1000))


async def test_more_than_is_left_is_refused_before_the_gateway_hears_of_it(drawer: Drawer) -> None:
    await drawer.take()
    await drawer.refund(3000)
    with pytest.raises(ApplicationError) as failure:
        await drawer.refund(2000, name=SECOND)
    assert (failure.value.type, failure.value.non_retryable) == ("refused", True)
    assert await drawer.given_back() == (1, 3000)


async def test_what_was_not_taken_is_not_given_back(drawer: Drawer) -> None:
    await drawer.hold()
    with pytest.raises(ApplicationError) as failure:
        await drawer.refund()
    assert failure.value.type == "refused"
    assert (await drawer.payment()).refunds == {}


async def test_a_refusal_of_the_gateways_is_a_refund_that_failed(drawer: Drawer) -> None:
    await drawer.take()
    payment = await drawer.payment()
    await drawer.sandbox.control("disputes", payment_intent=payment.transaction_id)
    learnt = await drawer.refund()
    assert [fact.event for fact in learnt.facts] == [Event.REFUND_FAILED]
    assert (learnt.facts[0].reason or "").startswith("charge_disputed")
    assert (await drawer.payment()).refundable == 4999


async def test_a_look_up_tells_what_became_of_it(drawer: Drawer) -> None:
    await drawer.take()
    await drawer.refund()
    payment = await drawer.payment()
    ask = LookUpRefundInput(drawer.order_id, payment.transaction_id or "", FIRST)
    learnt = await ActivityEnvironment().run(drawer.refunds.look_up_refund, ask)
    assert [fact.event for fact in learnt.facts] == [Event.REFUNDED]
    unknown = LookUpRefundInput(drawer.order_id, payment.transaction_id or "", SECOND)
    assert await ActivityEnvironment().run(drawer.refunds.look_up_refund, unknown) == Learnt([])
