"""Whatever the callbacks did not say, a comparison with the gateway's books finds out."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from app.config import Settings
from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import Period
from app.temporal import names
from app.workflows.messages import ReconcileInput
from app.workflows.reconcile import ReconcileWorkflow
from tests.walk.running import Running
from tests.walk.test_news import paid_at_the_gateway


async def reconcile(running: Running, since: datetime) -> tuple[int | None, str, str]:
    """`tillflow reconcile`, as an operator has it: how it ended, and what it said. It joins a run
    that is less patient than its own."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    period = Period(since.replace(microsecond=0), until)
    await (await running.temporal()).start_workflow(
        ReconcileWorkflow.run,
        ReconcileInput(period, patience_seconds=8),
        id=names.reconcile_workflow_id(period.since, period.until),
        task_queue=Settings.model_fields["task_queue"].default,
    )
    times = [
        f"--{name}={at:%Y-%m-%dT%H:%M:%S}"
        for name, at in (("since", period.since), ("until", period.until))
    ]
    command = [sys.executable, "-m", "app.cli", "reconcile", *times]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(running.stack.api.environment()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, progress = await process.communicate()
    return process.returncode, said.decode(), progress.decode()


async def transaction_of(running: Running, order_id: str) -> str:
    [(transaction_id,)] = await running.query(
        "SELECT transaction_id FROM payments WHERE order_id = %s", order_id
    )
    return str(transaction_id)


async def claim_captured(running: Running, order_id: str, transaction_id: str, minor: int) -> None:
    """Have our records say what is not so."""
    engine = create_engine(running.stack.postgres.url)
    claim = Fact(
        Event.CAPTURED, datetime.now(UTC), Source.OPERATOR, amount=minor, reference=transaction_id
    )
    await PostgresRecords(engine, "stripe", running.stack.keyring()).append(order_id, [claim])
    await engine.dispose()


async def test_what_went_by_us_is_found_named_to_the_cent_and_flagged(running: Running) -> None:
    since = datetime.now(UTC)
    usual, refunded, disputed, doubled, wrong = await asyncio.gather(
        *map(running.paid, ("usual", "refunded", "disputed", "doubled", "wrong-capture"))
    )
    await running.control("deliveries", mode="drop")
    try:
        await running.at_the_gateway(
            "POST",
            "/v1/refunds",
            payment_intent=await transaction_of(running, refunded),
            amount=1234,
        )
        await running.control(
            "disputes", payment_intent=await transaction_of(running, disputed), amount=2345
        )
        planted = await paid_at_the_gateway(running, doubled, "automatic")
        captured = await transaction_of(running, wrong)
        await claim_captured(running, wrong, captured, 5000)

        code, said, progress = await reconcile(running, since)
    finally:
        await running.control("deliveries", mode="deliver")

    assert code == 1, progress
    assert "what differed, again" in progress
    lines = said.splitlines()
    assert (
        f"order {doubled}: payment {planted} is not known here: "
        + ("captured 0.00 USD here, 49.99 USD at the gateway")
        in lines
    )
    differs = f"payment {captured}: captured 50.00 USD here, 49.99 USD at the gateway"
    assert f"order {wrong}: {differs}" in lines
    worries = (await running.worrying(wrong))["needs_attention"]
    assert any(w.startswith("reconciliation up to") and w.endswith(differs) for w in worries)
    assert await running.worrying(doubled)

    assert (await running.until(refunded, status="partially_refunded"))["refunded"] == "12.34"
    assert (await running.until(disputed, status="disputed"))["disputed"] == "23.45"
    for order_id in (usual, refunded, disputed):
        assert not [line for line in lines if order_id in line]
