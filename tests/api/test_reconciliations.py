"""What comparing our books with the gateway's found, for operators."""

from datetime import UTC, datetime, timedelta

from app.db.engine import create_engine
from app.db.reconciliation import PostgresReconciliations
from app.domain.gateway import Period
from app.domain.reconciliation import Amount, Figure, Finding, Kind, Verdict
from tests.api.problems import problem
from tests.walk.running import Running, new_order


async def test_the_latest_comparison_is_shown_to_the_cent(running: Running) -> None:
    run, order_id = new_order("run"), new_order("differs")
    now = datetime.now(UTC)
    finding = Finding(
        Kind.PAYMENT,
        "pi_1",
        Verdict.DIFFERS,
        order_id,
        "pi_1",
        ours=(Amount(Figure.CAPTURED, "usd", 5000), Amount(Figure.CAPTURED, "jpy", 7)),
        theirs=(Amount(Figure.CAPTURED, "usd", 4999), Amount(Figure.CAPTURED, "jpy", 7)),
    )
    engine = create_engine(running.stack.postgres.url)
    reconciliations = PostgresReconciliations(engine)
    await reconciliations.begin(run, Period(now - timedelta(hours=1), now))
    await reconciliations.keep(run, [finding])
    await reconciliations.finish(run)
    await engine.dispose()

    answer = await running.shop.get("/api/reconciliations")
    assert answer.status_code == 200
    [told] = [r for r in answer.json()["reconciliations"] if r["reconciliation_id"] == run]
    assert told["counts"] == [{"kind": "payment", "verdict": "differs", "count": 1}]
    assert told["sums"] == [
        {
            "figure": "captured",
            "currency": currency,
            "here": here,
            "at_the_gateway": there,
            "difference": difference,
        }
        for currency, here, there, difference in (
            ("jpy", "7", "7", "0"),
            ("usd", "50.00", "49.99", "-0.01"),
        )
    ]
    assert told["differences"] == [
        {
            "kind": "payment",
            "reference": "pi_1",
            "order_id": order_id,
            "verdict": "differs",
            "what": "payment pi_1: captured 50.00 USD here, 49.99 USD at the gateway",
        }
    ]
    assert told["finished_at"] is not None


async def test_only_operators_see_it(running: Running) -> None:
    async with running.storefront(running.stack.api_url, key=None) as stranger:
        problem(await stranger.get("/api/reconciliations"), 401, "unauthorized")
