"""Fulfilment steps and callbacks as activities, and the translation of the domain's errors."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from app.activities.failures import translated
from app.activities.fulfilment import StepInput, fulfilment_activities
from app.activities.learnt import Learnt
from app.db.records import PostgresRecords
from app.domain.facts import Event
from app.domain.fulfilment import StepRefusedError, StepUnavailableError
from app.domain.gateway import (
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
)
from app.domain.money import Money
from app.domain.order import Order
from app.domain.records import RecordsUnavailableError
from app.fulfilment.reserve_stock import ReserveStock, set_stock


@pytest.mark.parametrize(
    ("error", "type_", "final", "delay"),
    [
        (RefusedError("code", "no"), "refused", True, None),
        (StepRefusedError("no"), "refused", True, None),
        (UnavailableError("later"), "unavailable", False, None),
        (UnavailableError("later", retry_after=7), "unavailable", False, timedelta(seconds=7)),
        (UnavailableError("later", retry_after=2), "unavailable", False, None),
        (UnavailableError("later", retry_after=9999), "unavailable", False, timedelta(seconds=30)),
        (OutcomeUnknownError("who knows"), "outcome_unknown", False, None),
        (RecordsUnavailableError("down"), "records_unavailable", False, None),
    ],
)
def test_each_error_of_the_domain_is_one_retry_decision(
    error: Exception, type_: str, final: bool, delay: timedelta | None
) -> None:
    decision = translated(error, usual_pause=timedelta(seconds=5))
    assert decision is not None
    assert (decision.type, decision.non_retryable) == (type_, final)
    assert decision.next_retry_delay == delay


@pytest.mark.parametrize("error", [StepUnavailableError("later"), KeyError("a defect")])
def test_anything_else_is_left_to_temporals_own_retries(error: Exception) -> None:
    assert translated(error) is None


async def test_a_step_that_is_refused_is_an_answer_and_changes_nothing(
    engine: AsyncEngine, records: PostgresRecords
) -> None:
    await set_stock(engine, "mug", 1)
    run, undo = fulfilment_activities([ReserveStock(engine)], records)
    environment = ActivityEnvironment()
    for order_id, expected in (("first", Event.STEP_DONE), ("second", Event.STEP_REFUSED)):
        await records.open_order(Order(order_id, Money(100, "usd"), metadata={"sku": "mug"}))
        learnt: Learnt = await environment.run(run, StepInput(order_id))
        assert [fact.event for fact in learnt.facts] == [expected]
        assert [fact.event for fact in await records.facts(order_id)][1:] == [expected]
    learnt = await environment.run(undo, StepInput("first", "ship_order was refused"))
    assert [fact.event for fact in learnt.facts] == [Event.STEP_UNDONE]
    learnt = await environment.run(run, StepInput("first"))
    assert learnt.facts[0].reason == "the reservation was already released"


async def test_a_step_for_an_order_that_is_not_there_is_final(
    engine: AsyncEngine, records: PostgresRecords
) -> None:
    run, _ = fulfilment_activities([ReserveStock(engine)], records)
    with pytest.raises(ApplicationError) as failure:
        await ActivityEnvironment().run(run, StepInput("unheard-of"))
    assert failure.value.non_retryable
