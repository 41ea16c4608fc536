"""The judge: eight invariants, by the gateway's own ledger and never by our word alone."""

import asyncio
from datetime import UTC, datetime

from chaos.evidence import Evidence
from chaos.judge_balance import figures_agree, ledger_is_balanced
from chaos.judge_charges import charged_once, nothing_lost
from chaos.judge_ends import (
    applied_once,
    every_payment_ended,
    no_workflow_stuck,
    refused_refunds,
)
from chaos.judge_gateway import read_gateway
from chaos.judge_goods import goods_agree
from chaos.judge_records import read_records
from chaos.judge_verdict import Verdict
from chaos.judge_workflows import read_workflows


async def judge(evidence: Evidence) -> Verdict:
    """Look at everything once it is at rest. Whatever does not answer raises its own error: what
    could not be looked at is never clean."""
    gateway, records, runs = await asyncio.gather(
        read_gateway(evidence.sandbox_url),
        read_records(evidence.database_url),
        read_workflows(evidence.temporal, evidence.task_queue),
    )
    once, charged_twice = charged_once(gateway, records)
    kept, lost = nothing_lost(evidence.acknowledged, gateway, records, refused_refunds(runs))
    agreed, difference = figures_agree(gateway, records)
    others = [
        every_payment_ended(gateway, records, evidence.left_open),
        applied_once(gateway, records),
        no_workflow_stuck(runs, records, evidence.left_open, datetime.now(UTC)),
        goods_agree(gateway, records, evidence.stock),
        ledger_is_balanced(records),
    ]
    return Verdict(
        [once, kept, agreed, *others],
        charged_twice,
        lost,
        sum(len(invariant.breaches) for invariant in others),
        difference,
    )
