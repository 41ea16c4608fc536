"""An attempt to pay counts until it is known what became of it, and then once."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.limits import Admission
from app.api.settler import Settler, outcome_of
from app.attempt_limits import AttemptLimits, Outcome
from app.db.attempt_counts import PostgresCounts
from app.db.records import PostgresRecords
from app.db.unsettled import UnsettledAttempts
from app.domain.facts import Decline, Event, Fact, PaymentMethod, Source
from app.domain.money import Money
from app.domain.order import Order
from app.domain.payment import GATEWAY_UNAVAILABLE, Payment, fold
from app.embedded.ports import free_port
from app.wiring import build
from tests.conftest import settings_with

PRICE = Money(4999, "usd")


def fact(event: Event, attempt: int = 1, method: str = "credit_card") -> Fact:
    decline = Decline("declined", "No.") if event is Event.DECLINED else None
    return Fact(
        event,
        datetime.now(UTC),
        Source.WORKFLOW,
        attempt=attempt,
        amount=PRICE.minor,
        method=PaymentMethod(method),
        decline=decline,
    )


ATTEMPTED, CHALLENGED = fact(Event.ATTEMPTED), fact(Event.ACTION_REQUIRED)
NEVER_SENT = Fact(
    Event.FAILED,
    datetime.now(UTC),
    Source.WORKFLOW,
    attempt=1,
    decline=Decline(GATEWAY_UNAVAILABLE, "The payment could not be started."),
)


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ([], None),
        ([ATTEMPTED], None),
        ([ATTEMPTED, fact(Event.OUTCOME_UNKNOWN)], None),
        ([ATTEMPTED, NEVER_SENT], Outcome.OPEN),
        ([ATTEMPTED, fact(Event.DECLINED)], Outcome.DECLINED),
        ([ATTEMPTED, fact(Event.AUTHORIZED)], Outcome.PAID),
        ([fact(Event.EXPIRED, attempt=0)], Outcome.OPEN),
        # A bank that wants the shopper to authenticate
        ([ATTEMPTED, CHALLENGED], None),
        ([ATTEMPTED, CHALLENGED, fact(Event.AUTHORIZED)], Outcome.PAID),
        ([ATTEMPTED, CHALLENGED, fact(Event.DECLINED)], Outcome.DECLINED),
        ([ATTEMPTED, CHALLENGED, fact(Event.EXPIRED, attempt=0)], Outcome.DECLINED),
        ([ATTEMPTED, CHALLENGED, fact(Event.CANCELED, attempt=0)], Outcome.DECLINED),
        ([ATTEMPTED, CHALLENGED, fact(Event.ATTEMPTED, 2, "ideal")], Outcome.DECLINED),
        # Nobody tests cards by other ways to pay
        (
            [fact(Event.ATTEMPTED, 1, "ideal"), fact(Event.ACTION_REQUIRED, 1, "ideal")],
            Outcome.OPEN,
        ),
        ([fact(Event.ATTEMPTED, 1, "sepa_debit"), fact(Event.PROCESSING)], Outcome.OPEN),
    ],
)
def test_what_becomes_of_an_attempt(facts: list[Fact], outcome: Outcome | None) -> None:
    assert outcome_of(fold(Payment("order-1", PRICE), facts), 1) is outcome


@pytest.fixture
def limits(engine: AsyncEngine) -> AttemptLimits:
    return AttemptLimits(
        {"key": "40/day"}, settings_with().keyring(), PostgresCounts(engine), redis=None
    )


async def _places(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        count = await connection.execute(text("SELECT current FROM attempt_counts"))
        [(taken,)] = count.all()
    assert isinstance(taken, int)
    return taken


async def test_a_challenge_keeps_its_place_until_it_is_paid_whoever_sees_that(
    engine: AsyncEngine, records: PostgresRecords, limits: AttemptLimits
) -> None:
    names = limits.names({"key": "shop"})
    assert await limits.begin(names)
    unsettled = UnsettledAttempts(engine)
    await records.open_order(Order("order-1", PRICE))
    assert await unsettled.add("order-1", 1, names)
    await records.append("order-1", [ATTEMPTED, CHALLENGED])

    first = Settler(records, unsettled, limits)
    assert await first.settle()
    await first.close()  # its process has ended
    assert await _places(engine) == Outcome.BEGUN

    await records.append("order-1", [fact(Event.AUTHORIZED)])
    others = [Settler(records, UnsettledAttempts(engine), limits) for _ in range(3)]
    await asyncio.gather(*(other.settle() for other in others))
    for other in others:
        assert not await other.settle()
        await other.close()
    assert await _places(engine) == Outcome.BEGUN + Outcome.PAID


async def test_of_several_requests_that_make_one_attempt_one_is_counted(
    engine: AsyncEngine, records: PostgresRecords
) -> None:
    unsettled = UnsettledAttempts(engine)
    await records.open_order(Order("order-1", PRICE))
    added = await asyncio.gather(*(unsettled.add("order-1", 1, ["key:shop"]) for _ in range(5)))
    assert sum(added) == 1
    await records.append("order-1", [ATTEMPTED])
    assert await unsettled.take("order-1", 1)
    assert not await unsettled.take("order-1", 1)
    assert not await unsettled.add("order-1", 1, ["key:shop"])  # one that comes too late
    assert await unsettled.add("order-1", 2, ["key:shop"])


async def test_another_card_beside_the_one_that_is_counted_keeps_its_place(
    engine: AsyncEngine, records: PostgresRecords, database_url: str
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    known = settings_with(database_url=database_url, temporal_address=nobody)
    parts = await build(known, lazy_temporal=True)
    settler = Settler(parts.records, parts.unsettled_attempts, parts.attempt_limits)
    await records.open_order(Order("order-1", PRICE))
    for number in ("4000000000000002", "4000000000000002", "4242424242424242"):
        names = parts.attempt_limits.names({"card": number, "key": "shop"})
        admission = Admission(parts, "order-1", names, settler)
        await admission.begin()
        await admission.make(1)
        await admission.end()
    async with engine.connect() as connection:
        count = text("SELECT current FROM attempt_counts WHERE name LIKE 'key:%'")
        assert list((await connection.execute(count)).scalars()) == [2 * Outcome.BEGUN]
    await settler.close()
    await parts.close()
