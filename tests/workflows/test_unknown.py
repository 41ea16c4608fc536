"""Outcomes that the gateway does not tell: looked up, shown, and decided by an operator at last."""

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from app.domain.facts import Event, Fact, Source
from app.domain.gateway import GatewayPayment, GatewayRefund, OutcomeUnknownError
from app.domain.money import Money
from app.domain.payment import OrderState, Payment, State
from app.domain.records import Filter
from app.domain.unknown import Operation, Resolution, UnknownOutcome
from app.keyring import Keyring
from app.temporal import names
from app.workflows.messages import CancelInput, ResolveInput
from app.workflows.payment import PaymentWorkflow
from app.workflows.refund import RefundWorkflow
from tests.conftest import KEYRING
from tests.sandbox.program import until
from tests.workflows import scenarios
from tests.workflows.scenarios import AGE_LIMIT as LIMIT
from tests.workflows.scenarios import LOOK_AGAIN, NOT_CHARGED
from tests.workflows.shop import EXPIRY, NOTHING, ONCE, RELEASED, Placed, Shop
from tests.workflows.stand_ins import Forgetful, Silent

MINUTE = timedelta(minutes=1)


async def _next_check_is_after(placed: Placed, age: timedelta) -> bool:
    """Whether the next check comes when it has been unknown for longer than `age`."""
    shown = await _unknown(placed)
    return shown.next_check_at is not None and shown.next_check_at - shown.since > age


async def _unknown(placed: Placed) -> UnknownOutcome:
    """The one thing that is not known of the order, once it is shown."""
    found: list[UnknownOutcome] = []

    async def shown() -> bool:
        found[:] = await placed.shop.records.unknown_outcomes(placed.order.order_id)
        return bool(found)

    await until(shown)
    assert len(found) == 1
    return found[0]


async def _known(placed: Placed) -> bool:
    return not await placed.shop.records.unknown_outcomes(placed.order.order_id)


async def _is_listed(placed: Placed, *, unknown: bool) -> bool:
    listed = await placed.shop.records.list_payments(Filter(unknown=unknown), None, 1000)
    return placed.order.order_id in {line.place.order_id for line in listed}


async def _unanswered(shop: Shop) -> Placed:
    """An order whose first attempt got no answer."""
    placed = await shop.order()
    await placed.unanswered()
    return placed


async def _fulfilled(placed: Placed) -> Payment:
    await placed.call_back()
    paid = await placed.result()
    assert paid.order_state is OrderState.FULFILLED
    assert await placed.charged() == ONCE
    return paid


async def _ended(refund: WorkflowHandle[RefundWorkflow, str]) -> str:
    async with asyncio.timeout(30):
        return await refund.result()


async def _needs_attention(placed: Placed) -> bool:
    attributes = (await placed.workflow.describe()).typed_search_attributes
    return attributes[names.NEEDS_ATTENTION] is True


# Authorizations.


async def test_an_unknown_outcome_is_shown_with_its_next_check_until_it_is_known(
    shop: Shop,
) -> None:
    async with shop.another(Forgetful(shop.sandbox)) as forgetful:
        placed = await _unanswered(forgetful)
        shown = await _unknown(placed)
        assert (shown.operation, shown.refund) == (Operation.AUTHORIZATION, "")
        assert shown.next_check_at is not None
        assert shown.next_check_at > shown.since
        assert "the outcome of the authorization, unknown since" in await placed.details()
        assert await _is_listed(placed, unknown=True)
        assert not await _is_listed(placed, unknown=False)
        before = await placed.facts()
        await forgetful.pass_time(placed, timedelta(seconds=13))
        later = await _unknown(placed)
        assert later.since == shown.since
        assert later.next_check_at is not None
        assert later.next_check_at > shown.next_check_at
        assert await placed.facts() == before, "a check is no fact"
        await forgetful.pass_time(placed, 2 * MINUTE)
        await placed.told(Event.FAILED)
        await until(lambda: _known(placed))
        assert await _is_listed(placed, unknown=False)


async def test_another_attempt_waits_until_the_one_before_is_known_to_have_made_nothing(
    shop: Shop,
) -> None:
    gateway = Silent(shop.sandbox, "authorize")
    async with shop.another(gateway) as silent:
        placed = await _unanswered(silent)
        gateway.silent.clear()
        await placed.ask("pm_card_visa", attempt=2)
        await silent.pass_time(placed, timedelta(seconds=40))
        assert (await placed.payment()).state is State.UNKNOWN
        await silent.pass_time(placed, 3 * MINUTE)
        paid = await placed.result()
        assert await placed.charged() == ONCE
        *_, last, first = (at for key, at in gateway.keys if ":authorize:" in key)
        assert first - last >= MINUTE
        assert [a.state for a in paid.attempts.values()] == [State.FAILED, State.AUTHORIZED]


async def test_past_its_age_limit_it_waits_for_an_operator_and_is_looked_up_hourly(
    shop: Shop,
) -> None:
    gateway = Silent(shop.sandbox, "authorize", "look up")
    async with shop.another(gateway, age_limit=LIMIT) as silent:
        placed = await _unanswered(silent)
        assert not await _needs_attention(placed)
        await silent.pass_time(placed, LIMIT + MINUTE)
        worry = (await placed.told(Event.FLAGGED)).reason or ""
        assert worry.startswith("the outcome of the authorization is unknown since ")
        await until(lambda: _needs_attention(placed))
        # The gateway does not know the payment: after so long that proves nothing any more.
        gateway.silent.clear()
        await silent.pass_time(placed, timedelta(hours=3))
        waiting = await placed.payment()
        assert (waiting.state, waiting.attention) == (State.UNKNOWN, frozenset({worry}))
        await until(lambda: _next_check_is_after(placed, timedelta(hours=3)))
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)
        failed = await placed.payment()
        assert failed.attempt is not None
        assert failed.attempt.decline is not None
        assert (failed.attempt.state, failed.attempt.decline.code) == (State.FAILED, "not_charged")
        assert not failed.attention
        assert not await _needs_attention(placed)
        decided = await placed.told(Event.RESOLVED)
        assert (decided.source, decided.actor, decided.attempt) == (Source.OPERATOR, "ana", 1)
        assert decided.reason == "authorization not_charged: nothing in the dashboard"
        ended = await placed.result()
        assert (ended.state, ended.order_state) == (State.EXPIRED, OrderState.CANCELED)
        assert await _known(placed)
        assert (await placed.story()).count(Event.FLAGGED) == 1
        assert await placed.charged() == NOTHING


async def test_a_decision_never_overrules_what_the_gateway_tells(shop: Shop) -> None:
    gateway = Silent(shop.sandbox, "look up")
    await shop.sandbox.control(
        "faults", method="POST", path="/v1/payment_intents", mode="after", action="drop", times=4
    )
    async with shop.another(gateway) as silent:
        placed = await _unanswered(silent)
        await _unknown(placed)
        gateway.silent.clear()
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)
        assert (await placed.payment()).state is State.AUTHORIZED
        paid = await _fulfilled(placed)
        assert paid.attempt is not None
        assert paid.attempt.decline is None


async def test_a_decision_stands_until_the_gateway_could_be_asked(shop: Shop) -> None:
    gateway = Silent(shop.sandbox, "authorize", "look up")
    async with shop.another(gateway, age_limit=MINUTE) as silent:
        placed = await _unanswered(silent)
        await silent.pass_time(placed, 2 * MINUTE)
        first = (await placed.told(Event.FLAGGED)).reason
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)
        waiting = await placed.payment()
        assert (waiting.state, waiting.attention) == (State.UNKNOWN, frozenset())
        await silent.pass_time(placed, timedelta(minutes=10))
        [again] = (await placed.payment()).attention
        assert again != first, "a decision that cannot be acted upon is not forgotten"
        gateway.silent.clear()
        await silent.pass_time(placed, timedelta(minutes=8))
        assert (await placed.told(Event.FAILED)).decline is not None
        await silent.pass_time(placed, EXPIRY)
        assert (await placed.result()).order_state is OrderState.CANCELED
        assert await placed.charged() == NOTHING


@pytest.mark.parametrize(
    "other",
    [
        (Resolution.LOOK_AGAIN, None, None, "ana", "it is not there"),
        (Resolution.NOT_CHARGED, "ref_1", None, "ana", "it is not there"),
        (Resolution.NOT_CHARGED, None, "pi_1", "ana", "it is not there"),
        (Resolution.NOT_CHARGED, None, None, "ben", "it is not there"),
        (Resolution.NOT_CHARGED, None, None, "ana", "it is"),
    ],
)
def test_another_decision_is_another_update(other: tuple[str | None, ...]) -> None:
    one = (Resolution.NOT_CHARGED, None, None, "ana", "it is not there")
    ours = names.resolve_update_id(KEYRING, 1, *one)
    assert ours == names.resolve_update_id(KEYRING, 1, *one)
    assert ours != names.resolve_update_id(KEYRING, 1, *other)
    # Temporal has the id in clear: who does not have the key cannot try names and reasons by it.
    another = Keyring.parse("another:" + b64encode(bytes(32)).decode())
    assert ours != names.resolve_update_id(another, 1, *one)


class _Hiding(Silent):
    """Shows a payment only to those who know its id."""

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        found = await super().look_up(order_id, transaction_id, since)
        return found if transaction_id is not None else None


async def test_a_payment_that_an_operator_found_is_looked_up_and_believed(shop: Shop) -> None:
    gateway = _Hiding(shop.sandbox, "authorize")
    async with shop.another(gateway, age_limit=timedelta(seconds=30)) as hiding:
        placed = await _unanswered(hiding)
        made = await hiding.sandbox.stripe.payment_intents.create_async(
            scenarios.unheard_of(placed)
        )
        found = ResolveInput(Resolution.LOOK_AGAIN, "ana", "in the dashboard", made.id)
        await placed.workflow.execute_update(PaymentWorkflow.resolve, found)
        held = await placed.payment()
        assert (held.state, held.transaction_id) == (State.AUTHORIZED, made.id)
        assert (await placed.told(Event.RESOLVED)).reference == made.id
        await _fulfilled(placed)


async def test_the_payment_of_another_order_is_not_believed(shop: Shop) -> None:
    other = await scenarios.a_happy_path(shop)
    others_id = (await other.payment()).transaction_id
    async with shop.another(Silent(shop.sandbox, "authorize")) as silent:
        placed = await _unanswered(silent)
        found = ResolveInput(Resolution.LOOK_AGAIN, "ana", "this must be it", others_id)
        await placed.workflow.execute_update(PaymentWorkflow.resolve, found)
        unmoved = await placed.payment()
        assert (unmoved.state, unmoved.transaction_ids) == (State.UNKNOWN, frozenset())
        assert any("was not made for this order" in worry for worry in unmoved.attention)
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)
        await silent.pass_time(placed, EXPIRY)
        await placed.result()


async def test_where_nothing_is_unknown_there_is_nothing_to_decide(shop: Shop) -> None:
    placed = await shop.order()
    await placed.pay()
    with pytest.raises(WorkflowUpdateFailedError):
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)
    await _fulfilled(placed)
    assert Event.RESOLVED not in await placed.story()


async def test_what_was_looked_at_needs_attention_no_more_and_what_is_new_does(
    shop: Shop,
) -> None:
    async with shop.another(Silent(shop.sandbox, "authorize", "look up"), age_limit=MINUTE) as it:
        placed = await _unanswered(it)
        await it.pass_time(placed, 2 * MINUTE)
        await placed.told(Event.FLAGGED)
        worries = tuple((await placed.payment()).attention)
        looked_at = Fact(
            Event.ACKNOWLEDGED,
            datetime.now(UTC),
            Source.OPERATOR,
            actor="ana",
            acknowledged=worries,
        )
        await it.records.append(placed.order.order_id, [looked_at])
        await placed.workflow.signal(PaymentWorkflow.facts_learnt, [looked_at])
        await placed.details()
        assert not await _needs_attention(placed)
        another = Fact(Event.FLAGGED, datetime.now(UTC), Source.WORKFLOW, reason="something new")
        await placed.workflow.signal(PaymentWorkflow.facts_learnt, [another])
        await placed.details()
        await until(lambda: _needs_attention(placed))
        await placed.workflow.execute_update(PaymentWorkflow.resolve, NOT_CHARGED)


async def test_an_order_without_an_attempt_can_be_called_off(shop: Shop) -> None:
    placed = await shop.order()
    await shop.starts.start_unattempted(shop.temporal, placed.order)
    await placed.workflow.execute_update(PaymentWorkflow.cancel, CancelInput("no"))
    ended = await placed.result()
    assert (ended.order_state, ended.attempts) == (OrderState.CANCELED, {})


async def test_what_came_late_and_unheard_is_released_beside_the_attempt_after_it(
    shop: Shop,
) -> None:
    async with shop.another(Forgetful(shop.sandbox)) as forgetful:
        placed = await _unanswered(forgetful)
        await forgetful.pass_time(placed, timedelta(seconds=90))
        await placed.told(Event.FAILED)
        await placed.pay("pm_card_chargeDeclined", attempt=2)
        await forgetful.sandbox.stripe.payment_intents.create_async(scenarios.unheard_of(placed))
        await forgetful.pass_time(placed, EXPIRY)
        ended = await placed.result()
        assert ended.order_state is OrderState.CANCELED
        assert await placed.charged() == RELEASED


# Captures.


async def test_a_capture_is_asked_for_under_a_new_key_only_once_it_surely_was_not_made(
    shop: Shop,
) -> None:
    gateway = Silent(shop.sandbox, "capture:1")
    async with shop.another(gateway) as silent:
        placed = await silent.order(skipping=True)
        await placed.pay()
        await placed.result()
        assert await placed.charged() == ONCE
        asked = [(key.rpartition(":")[2], at) for key, at in gateway.keys if ":capture:" in key]
        assert [number for number, _ in asked] == ["1"] * 5 + ["2"]
        assert asked[-1][1] - asked[-2][1] >= MINUTE
        assert await _known(placed)


async def test_while_nothing_is_proven_a_capture_gets_no_new_key_until_an_operator_decides(
    shop: Shop,
) -> None:
    gateway = Silent(shop.sandbox)
    placed = await scenarios.a_capture_that_an_operator_decides(shop, gateway)
    paid = await placed.payment()
    assert (paid.order_state, paid.attention) == (OrderState.FULFILLED, frozenset())
    assert await placed.charged() == ONCE
    worry = (await placed.told(Event.FLAGGED)).reason or ""
    assert worry.startswith("the outcome of the capture is unknown since ")
    decided = await placed.told(Event.RESOLVED)
    assert decided.reason == "capture not_charged: nothing in the dashboard"
    *others, last = (at for key, at in gateway.keys if key.endswith(":capture:1"))
    [first] = (at for key, at in gateway.keys if key.endswith(":capture:2"))
    assert len(others) == 4
    assert last < decided.at < first
    assert await _known(placed)


# Refunds.


async def test_a_refund_keeps_its_key_until_an_operator_saw_that_it_was_not_made(
    shop: Shop,
) -> None:
    gateway = Silent(shop.sandbox)
    refund = await scenarios.a_refund_that_an_operator_decides(shop, gateway)
    assert await _ended(refund) == "succeeded"
    order_id, _, name = refund.id.removeprefix("refund-").rpartition("-")
    payment = await shop.records.find_payment(order_id)
    assert payment is not None
    assert (payment.refunded, payment.attention) == (1000, frozenset())
    order = await shop.records.find_order(order_id)
    assert order is not None
    assert (await Placed(shop, order, skipping=False).charged()).refunds == 1
    facts = await shop.records.facts(order_id)
    [worry] = (fact.reason or "" for fact in facts if fact.event is Event.FLAGGED)
    assert worry.startswith(f"the outcome of refund {name} is unknown since ")
    looked, decided = (fact.at for fact in facts if fact.event is Event.RESOLVED)
    asked = [(key, at) for key, at in gateway.keys if ":refund:" in key]
    assert {key for key, _ in asked[:-1]} == {f"{order_id}:refund:{name}"}
    assert asked[-1][0] == f"{order_id}:refund:{name}:2"
    # Past its age limit it is only looked for, until the operator decides.
    assert asked[-2][1] - asked[0][1] <= LIMIT
    assert asked[-2][1] < looked < decided < asked[-1][1]
    assert not await shop.records.unknown_outcomes(order_id)


async def test_a_refund_that_was_made_without_an_answer_is_found_past_its_age_limit(
    shop: Shop,
) -> None:
    gateway = _Swallowing(shop.sandbox)
    async with shop.another(gateway, age_limit=MINUTE) as swallowing:
        placed = await swallowing.order()
        await placed.captured()
        refund = await placed.refund("one", 1000)
        await swallowing.skipper.fast_forward(refund, timedelta(seconds=27))
        await _unknown(placed)
        await swallowing.skipper.fast_forward(refund, timedelta(hours=2))
        gateway.swallows = False
        await refund.execute_update(RefundWorkflow.resolve, LOOK_AGAIN)
        assert await _ended(refund) == "succeeded"
        assert (await placed.charged()).refunds == 1


async def test_signed_news_of_a_refund_end_its_being_unknown(shop: Shop) -> None:
    gateway = _Swallowing(shop.sandbox)
    async with shop.another(gateway) as swallowing:
        placed = await swallowing.order()
        await placed.captured()
        refund = await placed.refund("one", 1000)
        await swallowing.skipper.fast_forward(refund, timedelta(seconds=27))
        await _unknown(placed)
        await placed.deliver("refund.updated")
        assert await _ended(refund) == "succeeded"
        assert await _known(placed)
        assert (await placed.payment()).refunded == 1000


async def test_a_refunds_new_key_does_not_overtake_a_request_on_its_way(shop: Shop) -> None:
    gateway = Silent(shop.sandbox, "refund")
    async with shop.another(gateway) as silent:
        placed = await silent.order()
        await placed.captured()
        refund = await placed.refund("one", 1000)
        await silent.skipper.fast_forward(refund, timedelta(seconds=27))
        await _unknown(placed)
        gateway.silent.clear()
        await refund.execute_update(RefundWorkflow.resolve, NOT_CHARGED)
        assert await _unknown(placed)
        await silent.skipper.fast_forward(refund, 2 * MINUTE)
        assert await _ended(refund) == "succeeded"
        *_, (one, last), (two, first) = (asked for asked in gateway.keys if ":refund:" in asked[0])
        assert two == f"{one}:2"
        assert first - last >= MINUTE
        assert (await placed.charged()).refunds == 1


async def test_a_refund_that_gets_no_answer_under_its_new_key_is_unknown_anew(shop: Shop) -> None:
    gateway = Silent(shop.sandbox)
    async with shop.another(gateway, age_limit=LIMIT) as silent:
        placed = await silent.order()
        await placed.captured()
        gateway.silent = {"refund"}
        refund = await placed.refund("one", 1000)
        await silent.skipper.fast_forward(refund, timedelta(hours=1))
        first = (await placed.told(Event.FLAGGED)).reason
        await refund.execute_update(RefundWorkflow.resolve, NOT_CHARGED)
        await silent.skipper.fast_forward(refund, timedelta(seconds=130))
        asked = [at for key, at in gateway.keys if key.endswith(":2")]
        assert asked[-1] - asked[0] >= MINUTE, "it is asked again while its key is surely known"
        assert (await placed.payment()).attention == frozenset()
        await silent.skipper.fast_forward(refund, timedelta(hours=1))
        [worry] = (await placed.payment()).attention
        assert worry != first
        gateway.silent.clear()
        await refund.execute_update(RefundWorkflow.resolve, NOT_CHARGED)
        assert await _ended(refund) == "succeeded"
        assert (await placed.payment()).attention == frozenset()
        assert (await placed.charged()).refunds == 1


class _Swallowing(Silent):
    """Makes refunds and neither says so nor shows them."""

    swallows = True

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        swallows, self.swallows = self.swallows, False
        made = await super().refund(order_id, transaction_id, amount, name, key)
        self.swallows = swallows
        if swallows:
            raise OutcomeUnknownError("no answer")
        return made

    async def look_up_refund(self, transaction_id: str, name: str) -> GatewayRefund | None:
        if self.swallows:
            raise OutcomeUnknownError("no answer")
        return await super().look_up_refund(transaction_id, name)
