"""Our books beside the gateway's: what was missed is fetched, what differs is named and flagged."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.client import Client

from app.db import journal
from app.db.reconciliation import PostgresReconciliations
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import (
    GatewayEvent,
    GatewayMovement,
    GatewayPayment,
    GatewayRefund,
    MovementKind,
    Page,
    Period,
    UnreadableError,
)
from app.domain.ledger import Account
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.payment import State
from app.domain.reconciliation import Figure, Kind, Line, Report, Verdict
from app.domain.reversals import RefundState, refund_name
from app.gateways.stripe import StripeGateway
from app.workflows.messages import ReconcileInput
from app.workflows.reconcile import ReconcileWorkflow
from tests.sandbox.program import Sandbox, payment
from tests.workflows.shop import AMOUNT, Placed, Shop, open_shop
from tests.workflows.stand_ins import StandIn

FEE = 175  # of 49.99 USD, at the sandbox's rates


@dataclass(frozen=True)
class Books:
    """A shop with records of its own, and when they began."""

    shop: Shop
    since: datetime

    async def reconcile(
        self, shop: Shop | None = None, until: datetime | None = None, **more: Any
    ) -> Report:
        """Of all there is. No time is spent on waiting."""
        shop = shop or self.shop
        until = until or datetime.now(UTC) + timedelta(seconds=1)
        ask = ReconcileInput(Period(self.since, until), **more)
        async with asyncio.timeout(30):
            done = await shop.skipper.client.execute_workflow(
                ReconcileWorkflow.run, ask, id=f"reconcile-{uuid4()}", task_queue=shop.task_queue
            )
        report = await PostgresReconciliations(shop.engine).find(done.reconciliation_id)
        assert report is not None
        assert done.differences == len(report.differences)
        return report

    async def at_the_gateway(self, placed: Placed, **more: Any) -> str:
        """A payment of 10.00 USD in the order's name that nobody here asked for."""
        asked = payment(placed.order.order_id, **more)
        made = await self.shop.sandbox.stripe.payment_intents.create_async(asked)
        return made.id

    async def refunded_in_the_dashboard(self, placed: Placed, minor: int) -> None:
        intent = (await placed.payment()).transaction_id
        asked: Any = {"payment_intent": intent, "amount": minor}
        await self.shop.sandbox.stripe.refunds.create_async(asked)

    async def disputed_at_the_bank(self, placed: Placed, minor: int) -> None:
        intent = (await placed.payment()).transaction_id
        await self.shop.sandbox.control("disputes", payment_intent=intent, amount=minor)


@pytest.fixture
async def books(
    temporal_client: Client, engine: AsyncEngine, sandbox: Sandbox, stripe_gateway: StripeGateway
) -> AsyncIterator[Books]:
    since = datetime.now(UTC).replace(microsecond=0)
    async with open_shop(temporal_client, engine, sandbox, stripe_gateway) as shop:
        yield Books(shop, since)


class WithoutEvents(StandIn):
    """The gateway keeps its events no longer."""

    async def list_events(self, period: Period, after: str | None) -> Page[GatewayEvent]:
        return Page([])


class OneByOne(StandIn):
    """A payment a page."""

    async def list_payments(self, period: Period, after: str | None) -> Page[GatewayPayment]:
        whole = await super().list_payments(period, None)
        here = int(after or 0)
        more = str(here + 1) if here + 1 < len(whole.items) else None
        return Page(whole.items[here : here + 1], more)


class HalfRead(StandIn):
    """One of its payments makes no sense."""

    async def list_payments(self, period: Period, after: str | None) -> Page[GatewayPayment]:
        return Page([], None, ["pi_odd"])


class Unclear(StandIn):
    """A payment that is asked for by its id makes no sense."""

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        raise UnreadableError("not as documented")


class Slow(StandIn):
    """Knows nothing of a refund for three minutes of the reconciliation's clock."""

    def __init__(self, sandbox: Sandbox, refund: GatewayRefund) -> None:
        super().__init__(sandbox)
        self._refund = refund
        self._asked: list[datetime] = []

    async def look_up_refund(self, transaction_id: str, name: str) -> GatewayRefund | None:
        self._asked.append(activity.info().current_attempt_scheduled_time)
        waited = self._asked[-1] - self._asked[0]
        return self._refund if waited > timedelta(minutes=3) else None


class Moving(StandIn):
    """Its balance moved as they say, and not otherwise."""

    def __init__(self, sandbox: Sandbox, *movements: GatewayMovement) -> None:
        super().__init__(sandbox)
        self._movements = [*movements]

    async def list_movements(self, period: Period, after: str | None) -> Page[GatewayMovement]:
        return Page(self._movements)


async def flags(placed: Placed) -> list[str | None]:
    return [fact.reason for fact in await placed.facts() if fact.event is Event.FLAGGED]


async def test_what_both_sides_have_matches_to_the_cent(books: Books) -> None:
    placed = await books.shop.order()
    await placed.captured()
    await (await placed.refund("first", 1999)).result()
    report = await books.reconcile()
    assert report.differences == []
    assert report.sums == [
        Line(Figure.CAPTURED, "usd", 4999, 4999),
        Line(Figure.FEES, "usd", FEE, FEE),
        Line(Figure.REFUNDED, "usd", 1999, 1999),
    ]
    for kind in (Kind.PAYMENT, Kind.REFUND):
        assert report.counted(Verdict.MATCHES, kind=kind) == 1
    assert await flags(placed) == []


async def test_missed_events_are_fetched_and_go_the_way_of_all_callbacks(books: Books) -> None:
    placed = await books.shop.order()
    await placed.captured()
    await books.refunded_in_the_dashboard(placed, 1000)
    await placed.event("refund.updated")  # its last
    report = await books.reconcile()
    refunded = await placed.told(Event.REFUNDED)
    assert (refunded.amount, refunded.source) == (1000, Source.CALLBACK)
    assert report.differences == []
    assert report.counted(Verdict.MENDED, kind=Kind.EVENT) > 0
    again = await books.reconcile()
    assert again.counted(Verdict.MENDED) == 0
    assert again.counted(Verdict.MATCHES, kind=Kind.EVENT) > 0


async def test_what_no_event_told_is_passed_on_and_mended(books: Books) -> None:
    refunded, disputed = await books.shop.order(), await books.shop.order()
    await refunded.captured()
    await disputed.captured()
    await books.refunded_in_the_dashboard(refunded, 1000)
    await books.disputed_at_the_bank(disputed, 2000)
    async with books.shop.another(gateway=WithoutEvents(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop)
    fact = await refunded.told(Event.REFUNDED)
    assert (fact.amount, fact.source) == (1000, Source.RECONCILIATION)
    fact = await disputed.told(Event.DISPUTED)
    assert (fact.amount, fact.source) == (2000, Source.RECONCILIATION)
    assert report.differences == []
    assert report.counted(Verdict.MENDED, kind=Kind.REFUND) == 1
    assert report.counted(Verdict.MENDED, kind=Kind.DISPUTE) == 1
    assert Line(Figure.DISPUTED, "usd", 2000, 2000) in report.sums
    assert Line(Figure.REFUNDED, "usd", 1000, 1000) in report.sums


async def test_money_that_was_taken_past_us_is_learnt_by_asking(books: Books) -> None:
    placed = await books.shop.order(capture=Capture.MANUAL)
    seen = await placed.pay()
    await books.shop.sandbox.stripe.payment_intents.capture_async(
        seen.transaction_id or "", {"amount_to_capture": 3000}
    )
    async with books.shop.another(gateway=WithoutEvents(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop)
    assert (await placed.payment()).captured == 3000
    assert report.differences == []
    assert report.counted(Verdict.MENDED, kind=Kind.PAYMENT) == 1


async def test_a_payment_that_we_never_made_is_named_to_the_cent_and_flagged(
    books: Books,
) -> None:
    placed = await books.shop.order()
    await placed.captured()
    foreign = await books.at_the_gateway(placed, capture_method="automatic")
    report = await books.reconcile()
    words = [str(finding) for finding in report.differences]
    assert words[0] == (
        f"payment {foreign} is not known here: captured 0.00 USD here, 10.00 USD at the gateway"
    )
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert f"reconciliation up to {today}: {words[0]}" in await flags(placed)
    assert Line(Figure.CAPTURED, "usd", 4999, 5999) in report.sums
    assert (await placed.charged()).refunded == 1000, "the order has no use for it"


async def test_a_difference_is_flagged_once_a_day_however_often_it_is_found(books: Books) -> None:
    placed = await books.shop.order()
    paid = await placed.captured()
    wrong = Fact(
        Event.CAPTURED,
        datetime.now(UTC),
        Source.OPERATOR,
        amount=5002,
        reference=paid.transaction_id,
    )
    await books.shop.records.append(placed.order.order_id, [wrong])
    for _ in range(2):
        report = await books.reconcile()
        [difference] = report.differences
        assert str(difference) == (
            f"payment {paid.transaction_id}: captured 50.02 USD here, 49.99 USD at the gateway"
        )
        assert (difference.order_id, difference.verdict) == (
            placed.order.order_id,
            Verdict.DIFFERS,
        )
    [today] = await flags(placed)
    assert (today or "").endswith(f": {difference}")
    assert (await placed.payment()).attention
    await books.reconcile(until=datetime.now(UTC) + timedelta(days=1))
    assert len(set(await flags(placed))) == 2, "what was looked at today may be there tomorrow"


async def test_what_the_gateway_does_not_know_is_missing_there(books: Books) -> None:
    placed = await books.shop.order()
    moment = datetime.now(UTC)
    told = [
        Fact(Event.CAPTURED, moment, Source.GATEWAY, amount=4999, reference="pi_lost"),
        Fact(
            Event.REFUNDED, moment, Source.GATEWAY, amount=1, reference="re_lost", refund="re_lost"
        ),
        Fact(Event.DISPUTED, moment, Source.GATEWAY, amount=2, reference="du_lost"),
    ]
    await books.shop.records.append(placed.order.order_id, told)
    report = await books.reconcile()
    assert {str(finding) for finding in report.differences} == {
        "payment pi_lost is not known at the gateway: "
        "captured 49.99 USD here, 0.00 USD at the gateway",
        "refund re_lost is not known at the gateway: "
        "refunded 0.01 USD here, 0.00 USD at the gateway",
        "dispute du_lost is not known at the gateway: "
        "disputed 0.02 USD here, 0.00 USD at the gateway",
    }
    assert len(await flags(placed)) == 3


async def test_a_refund_that_was_made_twice_is_found_by_the_one_too_many(books: Books) -> None:
    placed = await books.shop.order()
    await placed.captured()
    await (await placed.refund("first", 1000)).result()
    [made] = (await placed.payment()).refunds.values()
    intent = (await placed.payment()).transaction_id
    again: Any = {"payment_intent": intent, "amount": 1000, "metadata": {"refund": made.name}}
    twin = await books.shop.sandbox.stripe.refunds.create_async(again)
    report = await books.reconcile()
    assert [str(finding) for finding in report.differences] == [
        f"refund {twin.id} is not known here: refunded 0.00 USD here, 10.00 USD at the gateway"
    ]
    assert Line(Figure.REFUNDED, "usd", 1000, 2000) in report.sums


async def test_a_refund_that_is_asked_for_and_not_made_yet_is_under_way(books: Books) -> None:
    placed = await books.shop.order()
    await placed.captured()
    name = refund_name(placed.order.order_id, "first")
    await books.shop.records.open_refund(placed.order.order_id, name, 1000, None)
    report = await books.reconcile()
    assert report.differences == []
    assert report.counted(Verdict.OPEN, kind=Kind.REFUND) == 1
    assert Line(Figure.ON_ITS_WAY_BACK, "usd", 1000, 0) in report.sums


async def test_a_checkout_under_way_is_no_difference(books: Books) -> None:
    placed = await books.shop.order()
    await books.at_the_gateway(placed)
    async with books.shop.another(gateway=WithoutEvents(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop)
    assert report.differences == []
    assert report.counted(Verdict.OPEN, kind=Kind.PAYMENT) == 1
    assert await flags(placed) == []


async def test_money_of_no_order_of_ours_is_counted_and_left_alone(books: Books) -> None:
    asked = payment("an-order-of-somebody-else", capture_method="automatic")
    made = await books.shop.sandbox.stripe.payment_intents.create_async(asked)
    refund: Any = {"payment_intent": made.id}
    await books.shop.sandbox.stripe.refunds.create_async(refund)
    report = await books.reconcile()
    assert report.differences == []
    assert report.sums == []
    for kind in (Kind.EVENT, Kind.PAYMENT, Kind.REFUND, Kind.FEE):
        assert report.counted(Verdict.FOREIGN, kind=kind) > 0


async def test_what_cannot_be_read_is_reported_and_stops_nothing(books: Books) -> None:
    async with books.shop.another(gateway=HalfRead(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop)
    assert [str(finding) for finding in report.differences] == ["payment pi_odd cannot be read"]


async def test_a_long_reconciliation_goes_on_in_a_new_run(books: Books) -> None:
    for _ in range(3):
        placed = await books.shop.order(capture=Capture.MANUAL, amount=Money(1000, "usd"))
        await placed.pay()
    assert (await placed.payment()).state is State.AUTHORIZED
    async with books.shop.another(gateway=OneByOne(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop, pages=1)
    assert report.counted(Verdict.MATCHES, kind=Kind.PAYMENT) == 3
    assert report.sums == [Line(Figure.HELD, "usd", 3000, 3000)]


async def test_a_dispute_over_a_payment_that_is_not_the_orders_stays_a_difference(
    books: Books,
) -> None:
    placed = await books.shop.order()
    before = await placed.captured()
    foreign = await books.at_the_gateway(placed, capture_method="automatic")
    await books.shop.sandbox.control("disputes", payment_intent=foreign, amount=1000)
    async with books.shop.another(gateway=WithoutEvents(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop)
    [dispute] = [found for found in report.differences if found.kind is Kind.DISPUTE]
    assert (dispute.verdict, dispute.order_id) == (Verdict.MISSING_HERE, placed.order.order_id)
    assert [flag for flag in await flags(placed) if flag and flag.endswith(str(dispute))]
    after = await placed.payment()
    assert (after.state, after.disputes) == (before.state, {})
    assert after.left == before.left


async def test_what_is_the_same_again_within_minutes_is_not_flagged(books: Books) -> None:
    placed = await books.shop.order()
    paid = await placed.captured()
    refund = GatewayRefund(
        "re_late", paid.transaction_id or "", AMOUNT.of(1000), RefundState.SUCCEEDED
    )
    told = Fact(
        Event.REFUNDED,
        datetime.now(UTC),
        Source.CALLBACK,
        amount=1000,
        reference=refund.refund_id,
        refund=refund.refund_id,
    )
    await books.shop.records.append(placed.order.order_id, [told])
    async with books.shop.another(gateway=Slow(books.shop.sandbox, refund)) as shop:
        report = await books.reconcile(shop)
    assert report.differences == []
    assert report.counted(Verdict.MENDED, kind=Kind.REFUND) == 1
    assert await flags(placed) == []


async def test_what_is_looked_up_and_cannot_be_read_is_reported_and_stops_nothing(
    books: Books,
) -> None:
    placed = await books.shop.order()
    told = Fact(Event.CAPTURED, datetime.now(UTC), Source.GATEWAY, amount=4999, reference="pi_odd")
    await books.shop.records.append(placed.order.order_id, [told])
    async with books.shop.another(gateway=Unclear(books.shop.sandbox)) as shop:
        report = await books.reconcile(shop)
    assert [str(finding) for finding in report.differences] == ["payment pi_odd cannot be read"]
    [flag] = await flags(placed)
    assert (flag or "").endswith("payment pi_odd cannot be read")


async def test_all_that_moved_our_balance_is_in_the_ledger(books: Books) -> None:
    placed = await books.shop.order()
    paid = (await placed.captured()).transaction_id

    def moved(name: str, kind: MovementKind, amount: int, fee: int) -> GatewayMovement:
        movement_id = f"txn_{name}_{placed.order.order_id}"
        whose = paid if kind is MovementKind.DISPUTE else None
        return GatewayMovement(movement_id, kind, amount, fee, "usd", books.since, whose)

    before = await journal.balances(books.shop.engine)
    gateway = Moving(
        books.shop.sandbox,
        moved("late", MovementKind.DISPUTE, 0, 1500),
        moved("back", MovementKind.DISPUTE, 0, -500),
        moved("month", MovementKind.FEE, -200, 0),
        moved("odd", MovementKind.OTHER, -30, 0),
        moved("out", MovementKind.PAYOUT, -1000, 0),
    )
    async with books.shop.another(gateway=gateway) as shop:
        for _ in range(2):
            report = await books.reconcile(shop)
            assert report.counted(Verdict.MATCHES, kind=Kind.FEE) == 2
            assert report.difference_count == 0
    after = await journal.balances(books.shop.engine)
    assert {place: after[place] - before.get(place, 0) for place in after} == {
        (Account.GATEWAY_BALANCE, "usd"): -1500 + 500 - 200 - 30 - 1000,
        (Account.FEES, "usd"): 1500 - 500 + 200,
        (Account.ADJUSTMENTS, "usd"): 30,
        (Account.BANK, "usd"): 1000,
        (Account.SALES, "usd"): 0,
        (Account.HOLDS, "usd"): 0,
        (Account.AUTHORIZATIONS, "usd"): 0,
    }
