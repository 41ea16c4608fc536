"""Orders that come to nothing: what was held is released, what was taken is given back."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowExecutionStatus

from app.db.tables import StockRow
from app.domain.facts import Event
from app.domain.fulfilment import Phase, StepPlan
from app.domain.gateway import (
    AuthorizeRequest,
    GatewayEvent,
    GatewayPayment,
    GatewayRefund,
    RefusedError,
)
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.payment import OrderState, Payment, State
from app.embedded.ports import free_port
from app.fulfilment.reserve_stock import set_stock
from app.gateways.stripe import StripeGateway
from app.temporal import names
from app.workflows.messages import CaptureInput
from app.workflows.payment import PaymentWorkflow
from tests.sandbox.program import KEY, SECRET, Json
from tests.workflows import scenarios
from tests.workflows.shop import (
    AMOUNT,
    EXPIRY,
    GIVEN_BACK,
    GRACE,
    NOTHING,
    ONCE,
    RELEASED,
    Charged,
    Placed,
    Shop,
)
from tests.workflows.stand_ins import (
    Forgetful,
    Refusing,
    Seeing,
    StandIn,
    of_another_amount,
    partly_approved,
)

_SHIP = StepPlan("ship_order", Phase.AFTER_CAPTURE, essential=True)
_RESERVE = StepPlan("reserve_stock", Phase.BEFORE_CAPTURE, essential=True)


async def _canceled(placed: Placed, charged: Charged) -> Payment:
    ended = await placed.result()
    assert ended.order_state is OrderState.CANCELED
    assert await placed.charged() == charged
    assert charged.held == 0
    return ended


# Nobody pays.


async def test_a_checkout_that_nobody_pays_expires(shop: Shop) -> None:
    gateway = StripeGateway(
        api_key=KEY,
        api_base=f"http://127.0.0.1:{free_port()}",
        webhook_secrets=[SECRET],
        timeout_seconds=20,
    )
    async with shop.another(gateway) as cut_off:
        placed = await cut_off.order(skipping=True)
        failed = await placed.pay()
        assert failed.attempt is not None
        assert failed.attempt.decline is not None
        assert failed.attempt.decline.code == "gateway_unavailable"
        ended = await _canceled(placed, NOTHING)
        assert ended.state is State.EXPIRED
        assert Event.OUTCOME_UNKNOWN not in await placed.story()


async def test_a_declined_payment_is_closed_at_the_gateway_when_the_checkout_is_over(
    shop: Shop,
) -> None:
    placed = await shop.order(skipping=True)
    await placed.pay("pm_card_chargeDeclined")
    ended = await _canceled(placed, NOTHING)
    assert Event.EXPIRED in await placed.story()
    assert ended.state is State.VOIDED
    assert [intent.status for intent in await placed.intents()] == ["canceled"]


async def test_a_shopper_who_does_not_authenticate_in_time_cannot_be_charged_later(
    shop: Shop,
) -> None:
    placed = await scenarios.an_expiry(shop)
    await _canceled(placed, NOTHING)
    assert Event.EXPIRED in await placed.story()
    assert [intent.status for intent in await placed.intents()] == ["canceled"]


async def test_an_attempt_on_the_last_second_is_still_made(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay("pm_card_chargeDeclined")
    await shop.pass_time(placed, EXPIRY - timedelta(seconds=20))
    await placed.pay(attempt=2)
    await placed.call_back()
    assert (await placed.result()).order_state is OrderState.FULFILLED
    assert await placed.charged() == ONCE


async def test_an_attempt_after_the_end_charges_nothing_and_gets_an_answer(shop: Shop) -> None:
    async with shop.another(_Rebuffing(shop.sandbox)) as rebuffing:
        placed = await rebuffing.order()
        await placed.pay("pm_card_chargeDeclined")
        await rebuffing.pass_time(placed, EXPIRY + timedelta(seconds=1))
        await placed.told(Event.EXPIRED)
        late = await placed.ask("pm_card_visa", attempt=2)
        await late.result()
        await rebuffing.pass_time(placed, timedelta(hours=1))
        ended = await _canceled(placed, NOTHING)
        assert list(ended.attempts) == [1]


class _Rebuffing(StandIn):
    """Does not answer the first requests to void."""

    rebuffs = 8

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        if self.rebuffs:
            self.rebuffs -= 1
            raise TimeoutError
        return await super().void(transaction_id, key)


# The order cannot be fulfilled.


async def test_out_of_stock_the_money_is_released_and_the_stock_is_as_it_was(shop: Shop) -> None:
    placed = await scenarios.out_of_stock(shop)
    ended = await _canceled(placed, RELEASED)
    assert ended.state is State.VOIDED
    assert (await placed.told(Event.CANCELED)).reason == (
        "reserve_stock was refused: out of stock: 1 x sold out"
    )
    assert await _stock(shop, "sold out") == 0


async def test_what_cannot_be_shipped_is_refunded_and_goes_back_on_the_shelf(shop: Shop) -> None:
    await set_stock(shop.engine, "vase", 5)
    async with shop.another(steps=[shop.steps[0], Refusing(_SHIP), shop.steps[2]]) as refusing:
        placed = await refusing.order(sku="vase")
        await placed.pay()
        await placed.call_back()
        ended = await _canceled(placed, GIVEN_BACK)
        assert (ended.state, ended.refunded) == (State.REFUNDED, 4999)
        assert ended.steps_undone == {"reserve_stock"}
        assert await _stock(shop, "vase") == 5


async def test_a_step_that_cannot_be_undone_does_not_keep_the_money(shop: Shop) -> None:
    steps = [Refusing(_RESERVE, run=False, undo=True), Refusing(_SHIP)]
    async with shop.another(steps=steps) as refusing:
        placed = await refusing.order()
        await placed.pay()
        await placed.call_back()
        ended = await _canceled(placed, GIVEN_BACK)
        assert ended.attention == {"reserve stock was not undone: refused: it is gone"}


@pytest.mark.parametrize("answer", [{"action": "drop"}, {"status": 500}], ids=["lost", "a 500"])
async def test_a_refund_is_made_once_although_its_answer_is(shop: Shop, answer: Json) -> None:
    async with shop.another(steps=[Refusing(_SHIP)]) as refusing:
        await shop.sandbox.control(
            "faults", method="POST", path="/v1/refunds", mode="after", **answer
        )
        placed = await refusing.order(skipping=True)
        await placed.pay()
        ended = await _canceled(placed, GIVEN_BACK)
        assert (ended.state, ended.refunded) == (State.REFUNDED, 4999)
        assert not ended.attention


async def test_held_money_is_released_although_the_gateway_refuses_once(shop: Shop) -> None:
    placed = await shop.order(skipping=True, sku="never in stock")
    await shop.sandbox.control(
        "faults", method="POST", path=r"^/v1/payment_intents/[^/]+/cancel$", status=400
    )
    await placed.pay()
    ended = await _canceled(placed, RELEASED)
    assert any("Release 49.99 USD" in reason for reason in ended.attention)


async def test_a_hold_that_came_after_we_gave_it_up_is_released_at_the_end(shop: Shop) -> None:
    gateway = Forgetful(shop.sandbox)
    async with shop.another(gateway) as forgetful:
        placed = await forgetful.order()
        asked = await placed.unanswered()
        await forgetful.pass_time(placed, timedelta(seconds=90))
        await asked.result()
        # It arrives after all, and its callback is lost.
        await gateway.authorize(
            AuthorizeRequest(
                placed.order.order_id, placed.order.amount, Method.CREDIT_CARD, "pm_card_visa"
            ),
            "late",
        )
        await forgetful.pass_time(placed, EXPIRY)
        await _canceled(placed, RELEASED)


async def test_a_refund_that_the_gateway_refuses_is_for_a_human_and_ends(shop: Shop) -> None:
    async with shop.another(_Keeping(shop.sandbox), [Refusing(_SHIP)]) as keeping:
        placed = await keeping.order(skipping=True)
        await placed.pay()
        ended = await _canceled(placed, ONCE)
        [name] = ended.refunds
        assert ended.attention == {
            f"refund {name} of 49.99 USD failed: charge_disputed: The charge is disputed.",
            f"canceled, and 49.99 USD of its money is still here, even after {name}",
        }
        attributes = (await placed.workflow.describe()).typed_search_attributes
        assert attributes[names.NEEDS_ATTENTION] is True


class _Keeping(StandIn):
    """Captures what it gets and gives nothing back."""

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        raise RefusedError("charge_disputed", "The charge is disputed.")


# The hold is not what it should be, or not there any more.


async def test_a_payment_voided_at_the_gateway_while_we_wait_ends_the_order(shop: Shop) -> None:
    placed = await shop.order()
    held = await placed.pay()
    await _void_at_the_gateway(shop, held)
    await placed.call_back("payment_intent.canceled")
    ended = await _canceled(placed, RELEASED)
    assert ended.state is State.VOIDED
    assert (await placed.told(Event.CANCELED)).reason == "the hold was released at the gateway"


async def test_a_hold_voided_between_confirmation_and_capture_frees_the_stock(shop: Shop) -> None:
    await set_stock(shop.engine, "lamp", 1)
    voiding = _Voiding(shop)
    async with shop.another(steps=[shop.steps[0], voiding]) as racing:
        placed = await racing.order(sku="lamp")
        await placed.pay()
        await placed.call_back()
        ended = await _canceled(placed, RELEASED)
        assert ended.state is State.VOIDED
        assert ended.captured == 0
        assert await _stock(shop, "lamp") == 1


class _Voiding:
    """A step during which somebody voids the payment at the gateway."""

    plan = StepPlan("look_for_fraud", Phase.BEFORE_CAPTURE, essential=True)

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def run(self, order: object) -> str:
        payment = await self._shop.records.find_payment(order.order_id)  # type: ignore[attr-defined]
        assert payment is not None
        await _void_at_the_gateway(self._shop, payment)
        return "checked"

    async def undo(self, order: object) -> None:
        pass


@pytest.mark.parametrize("lens", [of_another_amount, partly_approved])
async def test_an_amount_that_is_not_the_orders_is_never_taken(
    shop: Shop, lens: Callable[[GatewayPayment], GatewayPayment]
) -> None:
    async with shop.another(Seeing(shop.sandbox, lens)) as seeing:
        placed = await seeing.order(skipping=True)
        await placed.ask("pm_card_visa")
        ended = await _canceled(placed, RELEASED)
        assert any("the gateway's payment is for" in reason for reason in ended.attention)


async def test_a_part_of_the_amount_taken_at_the_gateway_is_given_back(shop: Shop) -> None:
    placed = await shop.order()
    held = await placed.pay()
    assert held.transaction_id is not None
    await shop.sandbox.stripe.payment_intents.capture_async(
        held.transaction_id, {"amount_to_capture": 1000}
    )
    await placed.call_back("payment_intent.succeeded")
    ended = await placed.result()
    assert (ended.order_state, ended.state) == (OrderState.CANCELED, State.REFUNDED)
    charged = await placed.charged()
    assert (charged.held, charged.captured, charged.refunded) == (0, 1000, 1000)


async def test_a_hold_released_during_the_wait_for_a_manual_capture_ends_the_order(
    shop: Shop,
) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    held = await placed.pay()
    await placed.call_back()
    await _void_at_the_gateway(shop, held)
    await placed.call_back("payment_intent.canceled")
    await _canceled(placed, RELEASED)


async def test_a_hold_that_ran_out_is_noticed_although_its_callback_was_lost(shop: Shop) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    held = await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    await _void_at_the_gateway(shop, held)
    await shop.pass_time(placed, timedelta(days=8))
    await _canceled(placed, RELEASED)


async def test_a_capture_asked_for_after_the_hold_is_gone_answers(shop: Shop) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    held = await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    await _void_at_the_gateway(shop, held)
    await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    ended = await _canceled(placed, RELEASED)
    assert ended.captured == 0


async def test_a_capture_that_the_gateway_refuses_releases_the_hold(shop: Shop) -> None:
    async with shop.another(_Uncapturable(shop.sandbox)) as uncapturable:
        placed = await uncapturable.order()
        await placed.pay()
        await placed.call_back()
        ended = await _canceled(placed, RELEASED)
        assert any("Take 49.99 USD" in reason for reason in ended.attention)
        assert (await placed.told(Event.CANCELED)).reason == "the money could not be taken"


class _Uncapturable(StandIn):
    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        raise RefusedError("capture_unsupported", "This payment cannot be captured.")


# Money that comes twice, or too late.


async def test_another_payment_for_the_same_order_is_released(shop: Shop) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    held = await placed.pay()
    stray = await shop.sandbox.stripe.payment_intents.create_async(scenarios.unheard_of(placed))
    await placed.call_back()
    assert stray.id in ((await placed.told(Event.FLAGGED)).reason or "")
    await shop.pass_time(placed, GRACE + timedelta(seconds=20))
    await placed.told(Event.CONFIRMED)
    await placed.workflow.execute_update(PaymentWorkflow.capture, CaptureInput(AMOUNT))
    paid = await placed.result()
    assert (paid.order_state, paid.transaction_id) == (OrderState.FULFILLED, held.transaction_id)
    assert await placed.charged() == Charged(captured=4999, authorizations=2, captures=1)


async def test_money_that_comes_after_the_end_is_given_back(shop: Shop) -> None:
    placed = await _expired_with_nothing(shop)
    await shop.sandbox.stripe.payment_intents.create_async(scenarios.unheard_of(placed))
    assert (await placed.charged()).held == 4999
    event = await placed.event("payment_intent.amount_capturable_updated")
    await shop.delivery.deliver(event)
    await _late(shop, event)
    assert await placed.charged() == RELEASED
    assert (await placed.payment()).state is State.VOIDED


async def test_a_late_hint_finds_the_money_and_gives_it_back(shop: Shop) -> None:
    placed = await _expired_with_nothing(shop)
    await shop.sandbox.stripe.payment_intents.create_async(scenarios.unheard_of(placed))
    hint = GatewayEvent(
        "generic",
        f"hint-{placed.order.order_id}",
        "success",
        placed.order.order_id,
        datetime.now(UTC) + timedelta(days=1),
    )
    await shop.delivery.deliver(hint)
    await _late(shop, hint)
    assert await placed.charged() == RELEASED


async def test_money_that_comes_while_the_workflow_ends_is_given_back(shop: Shop) -> None:
    """The news of an unheard-of payment arrives while the undoing is under way."""
    gateway = _Late(shop)
    async with shop.another(gateway, [Refusing(_RESERVE)]) as ending:
        placed = await ending.order()
        gateway.placed = placed
        await placed.pay()
        await placed.call_back()
        ended = await placed.result()
        assert ended.order_state is OrderState.CANCELED
        assert await placed.charged() == Charged(authorizations=2)


class _Late(StandIn):
    """While it voids, another payment for the same order comes in."""

    placed: Placed | None = None

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.sandbox)
        self._shop = shop

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        if self.placed is not None:
            placed, self.placed = self.placed, None
            await self._shop.sandbox.stripe.payment_intents.create_async(
                scenarios.unheard_of(placed)
            )
            await placed.call_back()
        return await super().void(transaction_id, key)


@pytest.mark.parametrize(
    "type_", ["payment_intent.amount_capturable_updated", "payment_intent.succeeded"]
)
async def test_news_repeated_after_the_end_starts_nothing(shop: Shop, type_: str) -> None:
    placed = await scenarios.a_happy_path(shop)
    event = replace(await placed.event(type_), event_id=f"again-{placed.order.order_id}")
    await shop.delivery.deliver(event)
    late = shop.temporal.get_workflow_handle(
        names.late_event_workflow_id(event.gateway, event.event_id)
    )
    with pytest.raises(Exception, match="not found"):
        await late.describe()
    assert await placed.charged() == ONCE


async def test_the_news_of_our_own_capture_does_not_refund_a_refunded_order_again(
    shop: Shop,
) -> None:
    async with shop.another(steps=[Refusing(_SHIP)]) as refusing:
        placed = await refusing.order()
        await placed.pay()
        await placed.call_back()
        await _canceled(placed, GIVEN_BACK)
        event = await placed.event("payment_intent.succeeded")
        await refusing.delivery.deliver(event)
        assert await placed.charged() == GIVEN_BACK
        assert not (await placed.payment()).attention


async def _expired_with_nothing(shop: Shop) -> Placed:
    gateway = StripeGateway(
        api_key=KEY,
        api_base=f"http://127.0.0.1:{free_port()}",
        webhook_secrets=[SECRET],
        timeout_seconds=20,
    )
    async with shop.another(gateway) as cut_off:
        placed = await cut_off.order(skipping=True)
        await placed.ask("pm_card_visa")
        await _canceled(placed, NOTHING)
    return Placed(shop, placed.order, placed.skipping)


async def _late(shop: Shop, event: GatewayEvent) -> None:
    """The workflow of a late event, to its end."""
    workflow = shop.temporal.get_workflow_handle(
        names.late_event_workflow_id(event.gateway, event.event_id)
    )
    async with asyncio.timeout(30):
        await workflow.result()
    assert (await workflow.describe()).status is WorkflowExecutionStatus.COMPLETED


async def _void_at_the_gateway(shop: Shop, payment: Payment) -> None:
    assert payment.transaction_id is not None
    await shop.sandbox.stripe.payment_intents.cancel_async(payment.transaction_id)


async def _stock(shop: Shop, sku: str) -> int:
    async with AsyncSession(shop.engine) as session:
        return (await session.get_one(StockRow, sku)).available


# An operator cancels the run in Temporal.


async def test_canceling_a_run_that_waits_for_the_shopper_leaves_nothing_to_charge(
    shop: Shop,
) -> None:
    placed = await shop.order()
    await placed.pay("pm_card_authenticationRequired")
    await placed.workflow.cancel()
    ended = await _canceled(placed, NOTHING)
    assert ended.state is State.VOIDED


async def test_canceling_a_run_that_holds_money_releases_it(shop: Shop) -> None:
    placed = await shop.order(capture=Capture.MANUAL)
    await placed.pay()
    await placed.call_back()
    await placed.told(Event.STEP_DONE)
    await placed.workflow.cancel()
    await _canceled(placed, RELEASED)
    assert (await placed.told(Event.CANCELED)).reason == "the run was canceled in Temporal"


async def test_canceling_a_run_that_does_not_know_its_outcome_waits_until_it_does(
    shop: Shop,
) -> None:
    await shop.sandbox.control(
        "faults", path="/v1/payment_intents", method="POST", mode="after", action="drop", times=4
    )
    await shop.sandbox.control("faults", path="/v1/payment_intents", method="GET", status=500)
    placed = await shop.order(skipping=True)
    update = await placed.ask("pm_card_visa")
    await placed.told(Event.OUTCOME_UNKNOWN)
    await placed.workflow.cancel()
    await update.result()
    await _canceled(placed, RELEASED)
