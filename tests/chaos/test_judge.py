"""The judge: a clean run passes, and a planted defect is caught by its invariant and no other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from chaos.evidence import Acknowledged, Acknowledgements, Evidence, Kind
from chaos.judge import judge
from chaos.judge_verdict import Verdict
from chaos.outcome import Outcome
from chaos.planted import Defect, plant
from chaos.report import last_line
from tests.chaos.small_shop import copied, judged_by, run_small_shop
from tests.conftest import fresh_database
from tests.sandbox.program import KEY, Sandbox, payment, until


@dataclass(frozen=True)
class Clean:
    """A run in which nothing went wrong, to plant defects in copies of."""

    evidence: Evidence
    sandbox: Sandbox


@pytest.fixture(scope="module")
async def clean(
    tmp_path_factory: pytest.TempPathFactory, record: Path, template_url: str, temporal_address: str
) -> AsyncIterator[Clean]:
    async with fresh_database(template_url) as url:
        folder = tmp_path_factory.mktemp("small-shop")
        evidence, sandbox = await run_small_shop(folder, record, url, temporal_address)
        yield Clean(evidence, sandbox)
        await sandbox.close()


async def _judged(clean: Clean, *changes: str) -> Verdict:
    """The verdict after `changes` (SQL) were made to a copy of our records, behind the triggers'
    back."""
    async with fresh_database(clean.evidence.database_url) as url:
        async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as records:
            await records.execute("SET session_replication_role = replica")
            for change in changes:
                changed = await records.execute(change.encode())
                assert changed.rowcount > 0, change
        return await judge(replace(clean.evidence, database_url=url))


def _breached(verdict: Verdict) -> dict[int, list[str]]:
    return {each.number: each.breaches for each in verdict.invariants if each.breaches}


async def test_a_clean_run_passes(clean: Clean) -> None:
    verdict = await judge(clean.evidence)
    assert _breached(verdict) == {}
    assert verdict.clean
    assert [each.number for each in verdict.invariants] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (verdict.charged_twice, verdict.lost, verdict.unexplained) == (0, 0, 0)
    assert verdict.difference == {"usd": 0}
    looked_at = {each.number: each.figures for each in verdict.invariants}
    assert looked_at[1] == {"orders at the gateway": 7, "captures": 4}
    assert looked_at[2] == {"answers of 2xx": 10, "orders they are about": 7}
    assert looked_at[3] == {"usd at the gateway": 18996, "usd off": 0}
    assert looked_at[7] == {"shipped": 4, "reservations": 2, "pieces reserved": 3, "receipts": 0}
    assert looked_at[8]["usd postings"] > 0
    assert looked_at[8]["usd sum"] == 0


def _promise(order_id: str, kind: Kind = Kind.INITIATE, **answer: str) -> Acknowledged:
    told = {"status": "captured", "order_status": "fulfilled", **answer}
    return Acknowledged(order_id, kind, 4999, "usd", 200, told)


_LOST = {
    "an order that is not in the records": _promise("unheard-of"),
    "a payment that was given back and called paid": _promise("canceled"),
    "a payment that the gateway does not know": _promise("held", transaction_id="pi_unknown"),
    "an order over another amount": replace(_promise("fulfilled"), amount_minor=5000),
    "a capture that was not made": _promise("held", Kind.CAPTURE),
    "a cancellation that was not made": _promise("held", Kind.CANCEL),
    "a refund that is not in the records": _promise("fulfilled", Kind.REFUND, refund_id="ref_0"),
}


@pytest.mark.parametrize("promise", _LOST.values(), ids=_LOST.keys())
async def test_what_was_acknowledged_and_is_missing_is_lost(
    clean: Clean, promise: Acknowledged
) -> None:
    acknowledged = [*clean.evidence.acknowledged, promise]
    verdict = await judge(replace(clean.evidence, acknowledged=acknowledged))
    assert list(_breached(verdict)) == [2]
    assert (verdict.charged_twice, verdict.lost, verdict.unexplained) == (0, 1, 0)
    assert not verdict.clean


_AT_THE_GATEWAY = {
    "captured": {1: "captured: captured 2 times"},
    "second-card": {
        1: "second-card: captured 2 times",
        3: "second-card: 5999 usd is at the gateway, 4999 by our facts, 4999 by our payments, 4999"
        " by our ledger",
    },
    "held": {1: "held: 2 payments hold or took money"},
    "out-of-stock": {4: "out-of-stock: it is over, and the gateway holds 1000 still"},
    "fulfilled": {
        3: "fulfilled: 4998 usd is at the gateway, 4999 by our facts, 4999 by our payments, 4999"
        " by our ledger",
    },
    "unheard-of": {3: "unheard-of: 1000 eur is at the gateway, 0 by our records"},
    "canceled": {2: "canceled: the gateway does not know its payment pi_"},
    "refunded": {
        2: "refunded: refunds of 1000 were acknowledged, 0 was refunded",
        3: "refunded: 4999 usd is at the gateway, 3999 by our facts, 3999 by our payments, 3999"
        " by our ledger",
    },
}


async def test_what_only_the_gateway_knows_is_caught(clean: Clean, tmp_path: Path) -> None:
    """A double charge, given back or kept; a second hold; a hold for an order that is over; a
    refund of the smallest unit; money of an order that is not ours; a payment and a refund that
    are gone."""
    lost_payment = (
        "DELETE FROM objects WHERE kind = 'payment_intent'"
        " AND json_extract(body, '$.metadata.order_id') = 'canceled'"
    )
    lost_refund = "DELETE FROM movements WHERE kind = 'refunded'"
    async with copied(clean.sandbox, tmp_path, lost_payment, lost_refund) as gateway:
        stripe = gateway.stripe
        taken = {"capture_method": "automatic"}
        again = await stripe.payment_intents.create_async(payment("captured", **taken))
        await stripe.refunds.create_async({"payment_intent": again.id})
        await stripe.payment_intents.create_async(payment("second-card", **taken))
        await stripe.payment_intents.create_async(payment("held"))
        await stripe.payment_intents.create_async(payment("out-of-stock"))
        [intent] = (await gateway.ledger("fulfilled"))["payment_intents"]
        await stripe.refunds.create_async({"payment_intent": intent["id"], "amount": 1})
        strange = payment("unheard-of", currency="eur", **taken)
        await stripe.payment_intents.create_async(strange)
        verdict = await judge(judged_by(clean.evidence, gateway))
    found = [(n, breach) for n, each in _breached(verdict).items() for breach in each]
    for order_id, caught in _AT_THE_GATEWAY.items():
        said = {n: breach for n, breach in found if breach.startswith(f"{order_id}: ")}
        assert said.keys() == caught.keys(), order_id
        assert all(said[n].startswith(words) for n, words in caught.items()), said
    assert len(found) == sum(map(len, _AT_THE_GATEWAY.values()))
    assert (verdict.charged_twice, verdict.lost, verdict.unexplained) == (3, 2, 1)
    assert verdict.difference == {"usd": 1000 + 1 + 1000, "eur": 1000}


async def test_errors_of_two_orders_do_not_cancel_each_other_out(clean: Clean) -> None:
    verdict = await _judged(
        clean,
        "UPDATE payments SET refunded = refunded + 1 WHERE order_id = 'fulfilled'",
        "UPDATE payments SET refunded = refunded - 1 WHERE order_id = 'refunded'",
    )
    assert list(_breached(verdict)) == [3]
    assert verdict.difference == {"usd": 2}


_UNEXPLAINED = {
    "a payment that did not end": (
        4,
        "UPDATE payments SET state = 'processing' WHERE order_id = 'fulfilled'",
    ),
    "a refund that is on its way for ever": (
        4,
        "UPDATE payments SET refunded = 0, refunds_pending = 1000 WHERE order_id = 'refunded'",
    ),
    "an unknown outcome that nobody will look up": (
        4,
        "INSERT INTO unknown_outcomes VALUES ('held', 'capture', '', now(), now())",
    ),
    "a callback that is not in the inbox": (
        5,
        "DELETE FROM callbacks WHERE order_id = 'fulfilled' AND type = 'payment_intent.succeeded'",
    ),
    "a callback that somebody forged": (
        5,
        "INSERT INTO callbacks (gateway, event_id, type, order_id, event, created_at,"
        " delivered_at, outcome) VALUES ('stripe', 'evt_forged', 'refund.created', 'fulfilled',"
        " '{}', now(), now(), 'signaled')",
    ),
    "a callback that was not delivered": (
        5,
        "UPDATE callbacks SET delivered_at = NULL, outcome = NULL"
        " WHERE order_id = 'canceled' AND type = 'payment_intent.canceled'",
    ),
    "a callback that was taken for a stranger's": (
        5,
        "UPDATE callbacks SET order_id = NULL, outcome = 'foreign'"
        " WHERE order_id = 'fulfilled' AND type = 'payment_intent.succeeded'",
    ),
    "a callback whose news is in no fact": (
        5,
        "DELETE FROM payment_events WHERE order_id = 'fulfilled' AND event = 'authorized'",
    ),
    "a capture that is counted twice": (
        5,
        "INSERT INTO payment_events (order_id, key, event, fact)"
        " SELECT order_id, key || ':again', event, fact FROM payment_events"
        " WHERE order_id = 'fulfilled' AND event = 'captured'",
    ),
    "a shipment of a canceled order": (
        7,
        "INSERT INTO shipments (order_id) VALUES ('canceled')",
    ),
    "a paid order that is not shipped": (
        7,
        "DELETE FROM shipments WHERE order_id = 'fulfilled'",
    ),
    "a piece that is missing on the shelf": (
        7,
        "UPDATE stock SET available = available - 1",
    ),
    "a receipt for a canceled order": (
        7,
        "INSERT INTO receipts (order_id, message_id) VALUES ('canceled', '<1@shop.example>')",
    ),
    "a receipt that was not mailed": (
        7,
        "UPDATE orders SET sealed_email = 'an address' WHERE order_id = 'fulfilled'",
    ),
    "a posting without its other side": (
        8,
        "INSERT INTO journal (entry, account, currency, amount, at)"
        " VALUES ('po_1', 'bank', 'usd', 1, now())",
    ),
    "a hold that the ledger has not let go": (
        8,
        "DELETE FROM journal WHERE order_id = 'canceled' AND amount < 0 AND account = 'holds'",
    ),
}


@pytest.mark.parametrize(("number", "change"), _UNEXPLAINED.values(), ids=_UNEXPLAINED.keys())
async def test_a_state_that_no_fact_explains_is_caught(
    clean: Clean, number: int, change: str
) -> None:
    verdict = await _judged(clean, change)
    assert list(_breached(verdict)) == [number]
    assert (verdict.charged_twice, verdict.lost) == (0, 0)
    assert verdict.unexplained == len(_breached(verdict)[number])


async def test_what_is_unknown_and_will_be_looked_up_is_no_breach(clean: Clean) -> None:
    verdict = await _judged(
        clean,
        "INSERT INTO unknown_outcomes"
        " VALUES ('fulfilled', 'capture', '', now(), now() + interval '1 hour')",
        "UPDATE payments SET state = 'unknown' WHERE order_id = 'fulfilled'",
    )
    assert _breached(verdict) == {}


async def test_a_balanced_entry_that_the_facts_do_not_tell_of_is_a_difference(
    clean: Clean,
) -> None:
    """To the smallest unit, and although the ledger sums to zero."""
    verdict = await _judged(
        clean,
        "INSERT INTO journal (order_id, entry, account, currency, amount, at)"
        " VALUES ('fulfilled', 'more', 'gateway_balance', 'usd', 1, now())",
        "INSERT INTO journal (order_id, entry, account, currency, amount, at)"
        " VALUES ('fulfilled', 'more', 'sales', 'usd', -1, now())",
    )
    assert _breached(verdict) == {
        3: [
            "fulfilled: 4999 usd is at the gateway, 4999 by our facts, 4999 by our payments,"
            " 5000 by our ledger"
        ],
        8: [
            "fulfilled: gateway_balance is 4825 usd in the ledger, and -1 by its facts",
            "fulfilled: sales is -5000 usd in the ledger, and +1 by its facts",
        ],
    }
    assert verdict.difference == {"usd": 1}


async def test_a_hold_that_the_plan_does_not_leave_open_is_caught(clean: Clean) -> None:
    verdict = await judge(replace(clean.evidence, left_open=frozenset()))
    assert _breached(verdict) == {
        4: ["held: open, its payment authorized"],
        6: ["payment-held (PaymentWorkflow): open, and nothing is left to do"],
    }


_PLANTED = {
    Defect.DOUBLE_CHARGE: ([1, 3], "1 charged twice, 0 lost, 0 unexplained, difference usd 4999"),
    Defect.LOST_PAYMENT: ([2], "0 charged twice, 1 lost, 0 unexplained, difference 0"),
    Defect.DIFFERENCE: ([3], "0 charged twice, 0 lost, 0 unexplained, difference usd 1"),
}


@pytest.mark.parametrize("defect", Defect)
async def test_what_the_harness_plants_is_caught(
    clean: Clean, tmp_path: Path, defect: Defect
) -> None:
    async with copied(clean.sandbox, tmp_path) as gateway:
        verdict = await judge(await plant(defect, judged_by(clean.evidence, gateway), KEY))
    numbers, told = _PLANTED[defect]
    assert list(_breached(verdict)) == numbers
    outcome = Outcome(7, 0, [], verdict, [], {}, 0, 0, 0)
    assert not outcome.clean
    assert last_line([outcome]) == f"chaos: 7 payments, 0 kills, 0 faults: {told}"


@workflow.defn(name="Stuck", sandboxed=False)
class StuckWorkflow:
    """Never gets through its first task."""

    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a defect")


async def test_a_workflow_that_is_stuck_is_caught(clean: Clean, temporal_client: Client) -> None:
    queue = f"stuck-{uuid4().hex}"
    started = await temporal_client.start_workflow(StuckWorkflow.run, id=queue, task_queue=queue)

    async def failed() -> bool:
        events = [event async for event in started.fetch_history_events()]
        return any(e.HasField("workflow_task_failed_event_attributes") for e in events)

    async with Worker(temporal_client, task_queue=queue, workflows=[StuckWorkflow]):
        await until(failed)
    verdict = await judge(replace(clean.evidence, task_queue=queue))
    await started.terminate()
    [breach] = _breached(verdict)[6]
    assert "a defect" in breach
    assert list(_breached(verdict)) == [6]


async def test_a_workflow_that_nobody_works_on_and_one_that_was_terminated_are_caught(
    clean: Clean, temporal_client: Client
) -> None:
    queue = f"stuck-{uuid4().hex}"
    for end in (False, True):
        started = await temporal_client.start_workflow(
            StuckWorkflow.run, id=f"{queue}-{end}", task_queue=queue
        )
        if end:
            await started.terminate()

    async def listed() -> bool:
        query = f"TaskQueue = '{queue}'"
        return (await temporal_client.count_workflows(query)).count == 2

    await until(listed)
    verdict = await judge(replace(clean.evidence, task_queue=queue))
    assert sorted(_breached(verdict)[6]) == [
        f"{queue}-False (Stuck): open, and nothing is left to do",
        f"{queue}-True (Stuck): terminated: None",
    ]
    await temporal_client.get_workflow_handle(f"{queue}-False").terminate()


def test_what_was_acknowledged_is_read_back_up_to_where_a_crash_cut_it_off(tmp_path: Path) -> None:
    written = Acknowledgements(tmp_path / "acknowledged.jsonl")
    assert written.read() == []
    promises = [_promise("one"), _promise("two", Kind.CANCEL)]
    for promise in promises:
        written.append(promise)
    with written.path.open("a") as file:
        file.write('{"order_id": "thr')
    assert written.read() == promises
