"""A gateway that is away for a minute is asked seldom, and all is done soon after its return."""

from datetime import datetime, timedelta

import pytest
from temporalio.common import RetryPolicy

from app.domain.fulfilment import Phase, StepPlan
from app.domain.gateway import OutcomeUnknownError, UnavailableError
from app.domain.payment import State
from app.temporal import policies
from tests.workflows.shop import GIVEN_BACK, HELD, NOTHING, ONCE, RELEASED, Charged, Shop
from tests.workflows.stand_ins import Refusing, Storming

MINUTE = timedelta(minutes=1)
SECONDS_LATE = timedelta(seconds=5)  # by the machine's clock, which goes on meanwhile
STORMS = {
    "500": OutcomeUnknownError("HTTP 500"),
    "429": UnavailableError("HTTP 429"),
    "429, again in a second": UnavailableError("HTTP 429", retry_after=1),
    "429, again in an hour": UnavailableError("HTTP 429", retry_after=3600),
}
OUT_OF_STOCK = StepPlan("reserve_stock", Phase.BEFORE_CAPTURE, essential=True)
NOT_SHIPPED = StepPlan("ship_order", Phase.AFTER_CAPTURE, essential=True)


def most_in_a_minute(asked: list[datetime]) -> int:
    return max(sum(first <= at < first + MINUTE for at in asked) for first in asked)


@pytest.mark.parametrize("error", STORMS.values(), ids=STORMS)
@pytest.mark.parametrize(
    ("phase", "refused", "charged"),
    [
        ("look up", None, ONCE),
        ("capture", None, ONCE),
        ("void", OUT_OF_STOCK, RELEASED),
        ("refund", NOT_SHIPPED, GIVEN_BACK),
    ],
)
async def test_in_a_minutes_storm_it_is_asked_eight_times_at_most_and_soon_after(
    shop: Shop, error: Exception, phase: str, refused: StepPlan | None, charged: Charged
) -> None:
    gateway = Storming(shop.sandbox, phase, error)
    steps = [Refusing(refused)] if refused is not None else None
    async with shop.another(gateway, steps) as stormy:
        placed = await stormy.order(skipping=True)
        await placed.pay()
        await placed.result()
        if phase == "refund":
            await placed.refund_of_the_undone().result()
        assert await placed.charged() == charged
    during = [at for at in gateway.asked if at < gateway.asked[0] + MINUTE]
    assert 1 < len(during) <= 8
    assert most_in_a_minute(during) <= 8
    after = [at - gateway.asked[0] for at in gateway.asked[len(during) :]]
    assert after[0] <= 2 * MINUTE
    assert after[-1] <= 2 * MINUTE + SECONDS_LATE


@pytest.mark.parametrize("error", STORMS.values(), ids=STORMS)
async def test_an_attempt_in_a_minutes_storm_has_its_outcome_soon_after(
    shop: Shop, error: Exception
) -> None:
    gateway = Storming(shop.sandbox, "authorize", error)
    async with shop.another(gateway) as stormy:
        placed = await stormy.order(skipping=True)
        answered = await placed.pay()
        assert await placed.charged() == (HELD if answered.state is State.AUTHORIZED else NOTHING)
        assert answered.state in (State.FAILED, State.EXPIRED, State.AUTHORIZED)
        in_time = [at - gateway.asked[0] <= 2 * MINUTE for at in gateway.asked]
    assert in_time == [True] * len(gateway.asked)
    assert most_in_a_minute(gateway.asked) <= 8


async def test_a_storefront_that_asks_again_and_again_does_not_have_the_gateway_asked_as_often(
    shop: Shop,
) -> None:
    gateway = Storming(shop.sandbox, "authorize", UnavailableError("HTTP 429"))
    async with shop.another(gateway) as stormy:
        placed = await stormy.order()
        for attempt in range(1, 13):
            # Answered before the clock is moved: one whose goal goes by under an activity jumps on.
            failed = (await placed.pay(attempt=attempt)).attempts[attempt]
            await stormy.pass_time(placed, timedelta(seconds=3))
            assert failed.state is State.FAILED
            assert failed.decline is not None
            assert failed.decline.code == "gateway_unavailable"
        assert len(gateway.asked) == 8
        await stormy.pass_time(placed, timedelta(seconds=30))
        await placed.pay(attempt=13)
        assert await placed.charged() == HELD
        await placed.call_back()
        await placed.result()


@pytest.mark.parametrize(
    ("policy", "requests"),  # that one try may take
    [
        (policies.authorize(), 2),  # of a shopper who is not there, the bank may want to see them
        (policies.MOVE_MONEY, 1),
        (policies.REFUND, 2),  # it is looked for first
        (policies.LOOK_UP, 2),  # what came late is looked up, then released
        (policies.LOOK_ONCE, 1),
    ],
)
def test_no_policy_makes_more_than_eight_requests_a_minute(
    policy: dict[str, RetryPolicy], requests: int
) -> None:
    retries = policy["retry_policy"]
    longest = retries.maximum_interval or MINUTE
    tries, at = 0, timedelta()
    while at < MINUTE and tries != retries.maximum_attempts:
        at += min(retries.initial_interval * retries.backoff_coefficient**tries, longest)
        tries += 1
    assert tries * requests <= 8
    assert longest <= MINUTE, "the next try comes within a minute of the gateway's return"
