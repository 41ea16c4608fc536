"""What a comparison of books found is kept, added up, and read again."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.reconciliation import PostgresReconciliations
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import Period
from app.domain.order import Order
from app.domain.reconciliation import (
    Amount,
    Count,
    Figure,
    Figures,
    Finding,
    Kind,
    Line,
    Ours,
    Verdict,
    figures,
)

RUN = "run-1"
PERIOD = Period(datetime.now(UTC) - timedelta(hours=12), datetime.now(UTC) + timedelta(hours=12))


def taken(minor: int, currency: str = "usd") -> Figures:
    return figures(Amount(Figure.CAPTURED, currency, minor))


def finding(reference: str, verdict: Verdict, ours: Figures = (), theirs: Figures = ()) -> Finding:
    return Finding(Kind.PAYMENT, reference, verdict, "order-1", reference, ours, theirs)


@pytest.fixture
async def kept(engine: AsyncEngine) -> PostgresReconciliations:
    """A reconciliation of today that has begun."""
    reconciliations = PostgresReconciliations(engine)
    await reconciliations.begin(RUN, PERIOD)
    await reconciliations.begin(RUN, PERIOD)
    return reconciliations


async def test_what_matches_is_counted_and_forgotten_and_the_rest_is_kept(
    kept: PostgresReconciliations, connection: AsyncConnection
) -> None:
    differs = finding("pi_2", Verdict.DIFFERS, taken(100), taken(98))
    missing = finding("pi_3", Verdict.MISSING_HERE, (), taken(7, "jpy"))
    foreign = finding("pi_4", Verdict.FOREIGN, (), taken(5000))
    await kept.keep(RUN, [finding("pi_1", Verdict.MATCHES, taken(4999), taken(4999)), differs])
    await kept.keep(RUN, [missing, foreign])
    for _ in range(2):
        await kept.finish(RUN)
        report = await kept.find(RUN)
        assert report is not None
        assert report.finished_at is not None
        assert report.differences == [differs, missing]
        assert report.difference_count == 2
        assert report.counts == [
            Count(Kind.PAYMENT, verdict, 1)
            for verdict in sorted(
                (Verdict.DIFFERS, Verdict.FOREIGN, Verdict.MATCHES, Verdict.MISSING_HERE)
            )
        ]
        assert report.sums == [
            Line(Figure.CAPTURED, "jpy", 0, 7),
            Line(Figure.CAPTURED, "usd", 5099, 5097),
        ]
    rows = await connection.execute(text("SELECT reference FROM reconciliation_findings"))
    assert sorted(rows.scalars()) == ["pi_2", "pi_3"]
    assert await kept.latest(5) == [report]


async def test_the_same_thing_found_again_counts_once_and_what_matches_by_then_is_mended(
    kept: PostgresReconciliations,
) -> None:
    differs = finding("pi_1", Verdict.DIFFERS, taken(100), taken(98))
    matches = finding("pi_1", Verdict.MATCHES, taken(98), taken(98))
    for each in (differs, differs, matches, matches):
        await kept.keep(RUN, [each])
    await kept.keep(RUN, [finding("pi_2", Verdict.MATCHES)] * 2)
    await kept.finish(RUN)
    report = await kept.find(RUN)
    assert report is not None
    assert report.sums == [Line(Figure.CAPTURED, "usd", 98, 98)]
    assert (report.counted(Verdict.MENDED), report.counted(Verdict.MATCHES)) == (1, 1)
    assert report.differences == []


async def test_only_what_differed_was_mended(kept: PostgresReconciliations) -> None:
    for before in (Verdict.OPEN, Verdict.FOREIGN, Verdict.UNREADABLE, Verdict.MISSING_THERE):
        await kept.keep(RUN, [finding(f"pi_{before}", before)])
        await kept.keep(RUN, [finding(f"pi_{before}", Verdict.MATCHES)])
    await kept.finish(RUN)
    report = await kept.find(RUN)
    assert report is not None
    assert (report.counted(Verdict.MENDED), report.counted(Verdict.MATCHES)) == (1, 3)


async def test_what_a_run_that_died_has_found_is_forgotten(
    kept: PostgresReconciliations, engine: AsyncEngine
) -> None:
    for run in ("died", "done", "under way"):
        await kept.begin(run, PERIOD)
        await kept.keep(run, [finding("pi_1", Verdict.DIFFERS)])
    await kept.finish("done")
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE reconciliations SET started_at = now() - interval '49 hours'"
                " WHERE reconciliation_id IN ('died', 'done')"
            )
        )
    await kept.begin("next", PERIOD)
    left = {run: len(await kept.differences(run, 0, 10)) for run in ("died", "done", "under way")}
    assert left == {"died": 0, "done": 1, "under way": 1}


async def test_what_may_yet_change_is_read_page_by_page(kept: PostgresReconciliations) -> None:
    some = [finding(f"pi_{number}", Verdict.MISSING_HERE) for number in range(3)]
    still = [finding("pi_8", Verdict.OPEN), finding("pi_9", Verdict.MATCHES)]
    await kept.keep(RUN, [*some, *still])
    first = await kept.unsettled(RUN, 0, 2)
    rest = await kept.unsettled(RUN, first[-1][0], 10)
    assert [found for _, found in [*first, *rest]] == [*some, still[0]]
    assert [found for _, found in await kept.differences(RUN, 0, 10)] == some


async def test_what_we_learnt_in_the_period_and_did_not_compare_is_found(
    kept: PostgresReconciliations, records: PostgresRecords, order: Order, engine: AsyncEngine
) -> None:
    await records.open_order(order)
    moment = datetime.now(UTC)
    facts = [
        Fact(Event.AUTHORIZED, moment, Source.GATEWAY, amount=4999, reference="pi_1"),
        Fact(Event.CAPTURED, moment, Source.GATEWAY, amount=4999, reference="pi_1"),
        Fact(Event.CAPTURED, moment, Source.GATEWAY, amount=4999, reference="pi_2"),
        Fact(Event.REFUND_PENDING, moment, Source.API, amount=5, refund="ref_asked"),
        Fact(Event.REFUND_PENDING, moment, Source.API, amount=9, refund="ref_made"),
        Fact(Event.REFUNDED, moment, Source.GATEWAY, amount=9, reference="re_1", refund="ref_made"),
        Fact(Event.DISPUTED, moment, Source.CALLBACK, amount=7, reference="du_1"),
        Fact(Event.FLAGGED, moment, Source.WORKFLOW, reason="look"),
    ]
    await records.append(order.order_id, facts)
    await kept.keep(RUN, [finding("pi_2", Verdict.MATCHES)])
    wanted = [
        Ours(Kind.DISPUTE, "du_1", order.order_id),
        Ours(Kind.PAYMENT, "pi_1", order.order_id),
        Ours(Kind.REFUND, "re_1", order.order_id),
        Ours(Kind.REFUND, "ref_asked", order.order_id),
    ]
    assert await kept.unseen(RUN, "", 10) == wanted
    assert await kept.unseen(RUN, wanted[0].place, 2) == wanted[1:3]
    tomorrow = Period(moment + timedelta(hours=1), moment + timedelta(hours=2))
    await kept.begin("another", tomorrow)
    assert await kept.unseen("another", "", 10) == []


async def test_a_reconciliation_that_never_began_has_no_report(
    kept: PostgresReconciliations,
) -> None:
    assert await kept.find("never") is None
