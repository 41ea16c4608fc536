"""`tillflow reconcile`, as far as it can be told without a running stack."""

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.commands import reconcile
from app.domain.gateway import Period
from app.domain.reconciliation import (
    Amount,
    Count,
    Figure,
    Finding,
    Kind,
    Line,
    Report,
    Verdict,
)
from app.embedded.ports import free_port
from tests.conftest import settings_with

PERIOD = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC))


def test_the_report_is_printed_to_the_cent() -> None:
    differs = Finding(
        Kind.PAYMENT,
        "pi_1",
        Verdict.DIFFERS,
        "order-1",
        "pi_1",
        (Amount(Figure.CAPTURED, "usd", 5000),),
        (Amount(Figure.CAPTURED, "usd", 4999),),
    )
    report = Report(
        "run-1",
        PERIOD,
        PERIOD.until,
        PERIOD.until,
        counts=[
            Count(Kind.PAYMENT, Verdict.DIFFERS, 2),
            Count(Kind.PAYMENT, Verdict.MATCHES, 120),
            Count(Kind.EVENT, Verdict.MENDED, 3),
        ],
        sums=[Line(Figure.CAPTURED, "usd", 599881, 599880)],
        differences=[differs],
    )
    assert reconcile.lines(report) == [
        "Reconciliation of 2026-11-01 00:00:00 to 2026-11-02 00:00:00 UTC",
        "",
        "events          3 mended",
        "payments        2 differ, 120 match",
        "refunds         none",
        "disputes        none",
        "fees            none",
        "",
        "                              here    at the gateway        difference",
        "captured               5998.81 USD       5998.80 USD         -0.01 USD",
        "",
        "order order-1: payment pi_1: captured 50.00 USD here, 49.99 USD at the gateway",
        "and 1 more",
        "",
        "2 differences",
    ]


async def test_a_temporal_that_is_away_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(reconcile.NoTemporalError, match=address):
        await reconcile.reconcile(settings_with(temporal_address=address), PERIOD, lambda _: None)


@pytest.mark.parametrize("since", ["2026-11-02", "2026-11-02T12:00"])
def test_a_period_that_ends_before_it_begins_is_refused(since: str) -> None:
    asked = ["reconcile", "--since", since, "--until", "2026-11-02"]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2
    assert "not before the end of the period" in refused.output
