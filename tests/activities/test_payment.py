"""The steps of a payment that touch the gateway, on a real database and the real sandbox."""

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from app.activities.learnt import Learnt
from app.activities.payment import (
    AuthorizeInput,
    LookUpInput,
    MoneyInput,
    PaymentActivities,
    ReleaseInput,
)
from app.db.records import PostgresRecords
from app.domain.facts import Event, PaymentMethod
from app.domain.money import Money
from app.domain.order import Order
from app.domain.payment import State
from app.embedded.ports import free_port
from app.gateways.stripe import StripeGateway
from tests.sandbox.program import KEY, RETURN_URL, SECRET, Sandbox
from tests.sandbox.program import payment as stripe_payment

_AMOUNT = Money(4999, "usd")


@dataclass
class Till:
    """One order, and the activities on it."""

    order_id: str
    activities: PaymentActivities
    records: PostgresRecords
    sandbox: Sandbox

    async def run(
        self,
        activity: Callable[[Any], Coroutine[Any, Any, Learnt]],
        ask: object,
        attempt: int = 1,
        heartbeat: tuple[object, ...] = (),
    ) -> Learnt:
        """As Temporal would at its `attempt`-th try."""
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info, attempt=attempt, heartbeat_details=list(heartbeat)
        )
        self.beats: list[tuple[object, ...]] = []
        environment.on_heartbeat = lambda *details: self.beats.append(details)
        return await environment.run(activity, ask)

    async def hold(self, card: str = "pm_card_visa", **more: Any) -> Learnt:
        return await self.run(self.activities.authorize_payment, self.try_(card), **more)

    def try_(self, card: str = "pm_card_visa") -> AuthorizeInput:
        return AuthorizeInput(
            self.order_id, _AMOUNT, 1, card, PaymentMethod("credit_card"), return_url=RETURN_URL
        )

    async def money(self, amount: Money = _AMOUNT, number: int = 1) -> MoneyInput:
        payment = await self.records.find_payment(self.order_id)
        assert payment is not None
        return MoneyInput(self.order_id, payment.transaction_id or "", amount, number, 1)

    async def story(self) -> list[Event]:
        return [fact.event for fact in await self.records.facts(self.order_id)][1:]

    async def state(self) -> State:
        payment = await self.records.find_payment(self.order_id)
        assert payment is not None
        return payment.state

    async def charged(self) -> tuple[int, int, int, int]:
        """Authorizations, then what is held, captured and refunded."""
        judged = await self.sandbox.ledger(self.order_id)
        sums = [
            sum(i[name] for i in judged["payment_intents"])
            for name in ("authorized", "released", "captured", "refunded")
        ]
        count = judged["orders"].get(self.order_id, {}).get("authorizations", 0)
        return count, sums[0] - sums[1] - sums[2], sums[2], sums[3]


@pytest.fixture
async def till(
    records: PostgresRecords, sandbox: Sandbox, stripe_gateway: StripeGateway
) -> AsyncIterator[Till]:
    order_id = f"till-{uuid4().hex[:12]}"
    await records.open_order(Order(order_id, _AMOUNT))
    yield Till(order_id, PaymentActivities(stripe_gateway, records), records, sandbox)
    await sandbox.http.delete("/control/faults")


@pytest.fixture
async def cut_off(till: Till) -> AsyncIterator[Till]:
    """The same till with a gateway that nobody answers for."""
    gateway = StripeGateway(
        api_key=KEY,
        api_base=f"http://127.0.0.1:{free_port()}",
        webhook_secrets=[SECRET],
        timeout_seconds=2,
    )
    yield replace(till, activities=PaymentActivities(gateway, till.records))
    await gateway.close()


# Authorize.


async def test_an_attempt_is_in_the_records_before_its_outcome(till: Till) -> None:
    await till.sandbox.control("faults", method="POST", path="/v1/payment_intents", action="drop")
    with pytest.raises(ApplicationError) as failure:
        await till.hold()
    assert (failure.value.type, failure.value.non_retryable) == ("outcome_unknown", False)
    assert await till.story() == [Event.ATTEMPTED]
    await till.hold(attempt=2)
    assert await till.story() == [Event.ATTEMPTED, Event.AUTHORIZED]


async def test_run_twice_it_holds_once_and_tells_the_same_facts(till: Till) -> None:
    first, second = await till.hold(), await till.hold(attempt=2)
    assert [f.key for f in first.facts] == [f.key for f in second.facts]
    assert await till.story() == [Event.ATTEMPTED, Event.AUTHORIZED]
    assert await till.charged() == (1, 4999, 0, 0)


async def test_a_decline_is_an_answer(till: Till) -> None:
    learnt = await till.hold("pm_card_chargeDeclinedInsufficientFunds")
    assert [fact.event for fact in learnt.facts] == [Event.DECLINED]
    assert learnt.facts[0].decline is not None
    assert learnt.facts[0].decline.code == "insufficient_funds"
    assert (await till.state(), await till.charged()) == (State.DECLINED, (0, 0, 0, 0))


async def test_a_token_that_the_gateway_refuses_is_a_failed_attempt(till: Till) -> None:
    learnt = await till.hold("pm_no_such_thing")
    assert [fact.event for fact in learnt.facts] == [Event.FAILED]
    assert learnt.facts[0].decline is not None
    assert learnt.facts[0].decline.code == "resource_missing"
    assert await till.state() is State.FAILED


async def test_a_refusal_after_an_unknown_try_proves_nothing(till: Till) -> None:
    with pytest.raises(ApplicationError) as failure:
        await till.hold("pm_no_such_thing", attempt=2)
    assert failure.value.type == "outcome_unknown"
    assert Event.FAILED not in await till.story()


@pytest.mark.parametrize(
    ("attempt", "heartbeat", "type_"),
    [
        (1, (), "unavailable"),
        (2, ("unsent", 1), "unavailable"),
        (2, (), "outcome_unknown"),
        (3, ("unsent", 1), "outcome_unknown"),
    ],
)
async def test_only_tries_that_are_all_known_to_be_unsent_leave_nothing_behind(
    cut_off: Till, attempt: int, heartbeat: tuple[object, ...], type_: str
) -> None:
    with pytest.raises(ApplicationError) as failure:
        await cut_off.hold(attempt=attempt, heartbeat=heartbeat)
    assert (failure.value.type, failure.value.non_retryable) == (type_, False)
    assert cut_off.beats == ([("unsent", attempt)] if type_ == "unavailable" else [])
    assert await cut_off.story() == [Event.ATTEMPTED]


# Look up.


async def test_a_look_up_finds_a_charge_whose_answer_was_lost(till: Till) -> None:
    await till.sandbox.control(
        "faults", method="POST", path="/v1/payment_intents", mode="after", action="drop"
    )
    with pytest.raises(ApplicationError):
        await till.hold()
    learnt = await till.run(
        till.activities.look_up_payment, LookUpInput(till.order_id, 1, datetime.now(UTC))
    )
    assert [fact.event for fact in learnt.facts] == [Event.AUTHORIZED]
    assert await till.state() is State.AUTHORIZED


async def test_a_look_up_of_nothing_tells_nothing(till: Till) -> None:
    ask = LookUpInput(till.order_id, 1, datetime.now(UTC))
    assert await till.run(till.activities.look_up_payment, ask) == Learnt([])
    assert await till.story() == []


# Capture, void.


async def test_held_money_is_captured_once_however_often_it_is_asked(till: Till) -> None:
    await till.hold()
    for number in (1, 1, 2):
        await till.run(till.activities.capture_payment, await till.money(number=number))
    assert await till.charged() == (1, 0, 4999, 0)
    assert await till.story() == [
        Event.ATTEMPTED,
        Event.AUTHORIZED,
        Event.CAPTURED,
        Event.FEE_CHARGED,
    ]


async def test_held_money_is_released(till: Till) -> None:
    await till.hold()
    for number in (1, 2):
        await till.run(till.activities.void_payment, await till.money(number=number))
    assert await till.charged() == (1, 0, 0, 0)
    assert await till.state() is State.VOIDED


# Release.


def _release(till: Till, transaction_id: str | None = None) -> ReleaseInput:
    return ReleaseInput(till.order_id, datetime.now(UTC) - timedelta(minutes=1), 1, transaction_id)


@pytest.mark.parametrize(
    ("how", "given_back"), [("manual", (2, 4999, 0, 0)), ("automatic", (2, 4999, 4999, 4999))]
)
async def test_a_stray_is_given_back_and_flagged_and_our_own_hold_stays(
    till: Till, how: str, given_back: tuple[int, int, int, int]
) -> None:
    await till.hold()
    stray = await till.sandbox.stripe.payment_intents.create_async(
        stripe_payment(till.order_id, amount=4999, capture_method=how)
    )
    for _ in range(2):
        await till.run(till.activities.release_payment, _release(till, stray.id))
    assert await till.charged() == given_back
    payment = await till.records.find_payment(till.order_id)
    assert payment is not None
    assert (payment.state, payment.refunded) == (State.AUTHORIZED, 0)
    assert any(stray.id in reason for reason in payment.attention)


async def test_the_orders_own_late_money_is_given_back_and_told(till: Till) -> None:
    await till.hold()
    await till.run(till.activities.capture_payment, await till.money())
    for _ in range(2):
        await till.run(till.activities.release_payment, _release(till))
    assert await till.charged() == (1, 0, 4999, 4999)
    assert await till.state() is State.REFUNDED


async def test_nothing_held_is_nothing_to_give_back(till: Till) -> None:
    assert await till.run(till.activities.release_payment, _release(till)) == Learnt([])


async def test_what_the_gateway_will_not_give_back_is_flagged(till: Till) -> None:
    learnt = await till.run(till.activities.release_payment, _release(till, "pi_unknown"))
    assert [fact.event for fact in learnt.facts] == [Event.FLAGGED]
    payment = await till.records.find_payment(till.order_id)
    assert payment is not None
    assert payment.attention
