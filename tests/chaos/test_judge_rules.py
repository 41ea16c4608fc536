"""What the judge makes of rarer ways for a run to end, or to go wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from app.domain.facts import Event, Fact, Source
from chaos.evidence import Acknowledged, Kind
from chaos.judge_charges import charged_once, nothing_lost
from chaos.judge_ends import applied_once, every_payment_ended, no_workflow_stuck, refused_refunds
from chaos.judge_gateway import Charge, Gateway, Told
from chaos.judge_goods import goods_agree
from chaos.judge_records import Callback, Order, Records, Reservation
from chaos.judge_workflows import Run

NOW = datetime.now(UTC)
HELD = Charge("pi_1", "a", "usd", 4999, 0, 0, 0, 0)
RELEASED = replace(HELD, released=4999)
TAKEN = replace(HELD, captured=4999)


def _order(*facts: Fact, order_state: str = "open", state: str = "authorized") -> Order:
    tried = Fact(Event.ATTEMPTED, NOW, Source.WORKFLOW, attempt=1)
    return Order("a", 4999, "usd", order_state, {}, False, state, 0, 0, facts=[tried, *facts])


def _fact(event: Event, **more: Any) -> Fact:
    return Fact(event, NOW, Source.GATEWAY, **more)


def _records(order: Order, **more: Any) -> Records:
    nothing: dict[str, Any] = {
        "reserved": {},
        "shipped": set(),
        "receipted": set(),
        "stock": {},
        "callbacks": {},
        "next_check": {},
        "totals": [],
        "unbalanced": [],
    }
    return Records(orders={order.order_id: order}, **(nothing | more))


def _gateway(*charges: Charge, told: tuple[Told, ...] = ()) -> Gateway:
    captures = {"a": sum(charge.captured > 0 for charge in charges)}
    return Gateway({"a": list(charges)}, captures, list(told), frozenset(e.event_id for e in told))


def _answer(kind: Kind, code: int = 200, **answer: str) -> Acknowledged:
    told = {"status": "authorized", "order_status": "open", **answer}
    return Acknowledged("a", kind, 4999, "usd", code, told)


def _lost(
    each: Acknowledged, order: Order, *charges: Charge, refused: frozenset[str] = frozenset()
) -> list[str]:
    return nothing_lost([each], _gateway(*charges), _records(order), refused)[0].breaches


def test_more_than_the_order_s_amount_is_charged_twice() -> None:
    more = replace(TAKEN, authorized=5000, captured=5000)
    once, count = charged_once(_gateway(more), _records(_order()))
    assert (once.breaches, count) == (["a: 5000 captured of 4999"], 1)


def test_two_payments_of_which_one_was_released_are_no_double_charge() -> None:
    other = replace(RELEASED, transaction_id="pi_2")
    assert charged_once(_gateway(TAKEN, other), _records(_order()))[1] == 0


@pytest.mark.parametrize(
    ("order", "charges", "missing"),
    [
        (_order(), [HELD], []),
        (_order(), [TAKEN], []),
        (_order(_fact(Event.VOIDED)), [RELEASED], []),
        (_order(), [RELEASED], ["what was held for it is gone, and no fact says why"]),
        (_order(), [], ["it was called authorized, and nothing was held"]),
        (replace(_order(), facts=[]), [HELD], ["no attempt was made"]),
    ],
)
def test_what_was_called_authorized_was_held_and_is_accounted_for(
    order: Order, charges: list[Charge], missing: list[str]
) -> None:
    lost = _lost(_answer(Kind.INITIATE), order, *charges)
    assert lost == [f"a: {what}" for what in missing]


@pytest.mark.parametrize(
    ("code", "facts", "charge", "is_lost"),
    [
        (200, [], TAKEN, False),
        (200, [], replace(TAKEN, captured=4998), True),
        (200, [_fact(Event.VOIDED)], RELEASED, True),
        (202, [_fact(Event.VOIDED)], RELEASED, False),
        (202, [], HELD, True),
    ],
)
def test_a_capture_that_was_under_way_may_find_the_hold_gone_and_no_other(
    code: int, facts: list[Fact], charge: Charge, is_lost: bool
) -> None:
    assert bool(_lost(_answer(Kind.CAPTURE, code), _order(*facts), charge)) is is_lost


@pytest.mark.parametrize(
    ("code", "facts", "refunded", "refused", "is_lost"),
    [
        (201, [_fact(Event.REFUNDED, refund="ref_1")], 4999, [], False),
        (201, [_fact(Event.REFUNDED, refund="ref_1")], 4998, [], True),
        (201, [_fact(Event.REFUND_FAILED, refund="ref_1")], 0, [], False),
        (201, [], 0, ["ref_1"], True),
        (202, [], 0, ["ref_1"], False),
        (202, [], 0, [], True),
    ],
)
def test_a_refund_that_was_acknowledged_is_made_or_failed_or_was_only_under_way(
    code: int, facts: list[Fact], refunded: int, refused: list[str], is_lost: bool
) -> None:
    asked = _answer(Kind.REFUND, code, refund_id="ref_1")
    charge = replace(TAKEN, refunded=refunded)
    lost = _lost(asked, _order(*facts), charge, refused=frozenset(refused))
    assert bool(lost) is is_lost


def test_a_sale_is_not_given_back_unless_somebody_asked_for_it() -> None:
    begun = _fact(Event.REFUND_PENDING, refund="ref_1", amount=4999)
    sold = _order(begun, order_state="fulfilled", state="refunded")
    charge = replace(TAKEN, refunded=4999)
    paid, asked = _answer(Kind.INITIATE), _answer(Kind.REFUND, refund_id="ref_1")
    unasked = ["a: refund ref_1 was made, and nobody asked for it"]
    assert _lost(paid, sold, charge) == unasked
    assert _lost(asked, sold, charge) == []
    assert _lost(paid, replace(sold, order_state="canceled"), charge) == []
    by_hand = replace(begun, refund="re_1", reference="re_1")
    assert _lost(paid, replace(sold, facts=[sold.facts[0], by_hand]), charge) == []


@pytest.mark.parametrize(
    "because", [Event.CANCEL_REQUESTED, Event.STEP_REFUSED, Event.EXPIRED, None]
)
def test_an_order_whose_money_was_there_is_canceled_for_a_reason(because: Event | None) -> None:
    facts = [_fact(because)] if because is not None else []
    order = _order(*facts, order_state="canceled", state="voided")
    found = every_payment_ended(_gateway(RELEASED), _records(order), frozenset())
    assert (not found.breaches) is (because is not None)


@pytest.mark.parametrize(
    ("order_state", "state", "ended"),
    [
        ("fulfilled", "captured", True),
        ("fulfilled", "refunded", True),
        ("fulfilled", "authorized", False),
        ("canceled", "expired", True),
        ("canceled", "captured", False),
        ("canceled", "partially_refunded", False),
        ("paid", "captured", False),
        ("open", "declined", False),
        ("open", "unknown", False),
        ("open", None, False),
    ],
)
def test_an_order_and_its_payment_end_together(
    order_state: str, state: str | None, ended: bool
) -> None:
    order = replace(_order(), order_state=order_state, state=state)
    found = every_payment_ended(_gateway(), _records(order), frozenset())
    assert (not found.breaches) is ended


def _applied(told: Told, *facts: Fact) -> bool:
    kept = {told.event_id: Callback("a", NOW, "signaled")}
    records = _records(_order(*facts), callbacks=kept)
    return not applied_once(_gateway(TAKEN, told=(told,)), records).breaches


@pytest.mark.parametrize(
    ("type_", "about", "status", "fact"),
    [
        ("payment_intent.succeeded", "pi_1", "succeeded", _fact(Event.CAPTURED, reference="pi_1")),
        ("refund.created", "re_1", "pending", _fact(Event.REFUND_PENDING, reference="re_1")),
        ("refund.updated", "re_1", "failed", _fact(Event.REFUND_FAILED, reference="re_1")),
        ("refund.failed", "re_1", "failed", _fact(Event.REFUND_FAILED, reference="re_1")),
        (
            "charge.dispute.created",
            "dp_1",
            "needs_response",
            _fact(Event.DISPUTED, reference="dp_1"),
        ),
        ("charge.dispute.closed", "dp_1", "won", _fact(Event.DISPUTE_WON, reference="dp_1")),
        ("charge.dispute.closed", "dp_1", "lost", _fact(Event.DISPUTE_LOST, reference="dp_1")),
    ],
)
def test_news_is_applied_once_its_own_fact_is_there(
    type_: str, about: str, status: str, fact: Fact
) -> None:
    told = Told("evt_1", type_, about, status, "pi_1", "a")
    assert _applied(told, fact)
    assert not _applied(told)
    assert not _applied(told, replace(fact, reference="another"))


def test_money_that_the_order_had_no_use_for_is_accounted_for_by_a_flag() -> None:
    told = Told("evt_1", "payment_intent.succeeded", "pi_2", "succeeded", "pi_2", "a")
    assert _applied(told, _fact(Event.FLAGGED, reason="pi_2 came too late or twice: refunded"))
    assert not _applied(told, _fact(Event.FLAGGED, reason="pi_3 came too late or twice: refunded"))


def test_a_shopper_who_approved_before_we_asked_leaves_no_trace_of_having_been_asked() -> None:
    told = Told("evt_1", "payment_intent.requires_action", "pi_1", "requires_action", "pi_1", "a")
    assert _applied(told)


def _run(id_: str, **more: Any) -> Run:
    run = Run(id_, "PaymentWorkflow", WorkflowExecutionStatus.RUNNING, NOW, False, None, [])
    return replace(run, **more)


_REFUSAL = _run(
    "refund-a-ref_1",
    type="RefundWorkflow",
    status=WorkflowExecutionStatus.FAILED,
    failure="refused",
)


@pytest.mark.parametrize(
    ("run", "is_stuck"),
    [
        (_run("payment-a"), False),
        (_run("dispute-a-dp_1"), False),
        (_run("payment-b"), True),
        (_run("payment-b", status=WorkflowExecutionStatus.COMPLETED), False),
        (_run("payment-b", status=WorkflowExecutionStatus.TIMED_OUT), True),
        (_run("payment-b", status=WorkflowExecutionStatus.FAILED, failure="refused"), True),
        (_run("payment-a", problems=["a workflow task failed"]), True),
        (_REFUSAL, False),
        (replace(_REFUSAL, failure="TypeError"), True),
        (_run("deliver-callbacks", scheduled=True), False),
        (_run("deliver-callbacks", scheduled=True, started_at=NOW - timedelta(hours=1)), True),
    ],
)
def test_only_what_may_be_open_is_open_and_only_a_refusal_may_fail(
    run: Run, is_stuck: bool
) -> None:
    found = no_workflow_stuck([run], _records(_order()), frozenset({"a"}), NOW)
    assert bool(found.breaches) is is_stuck


def test_what_is_unknown_keeps_its_workflow_open_until_its_next_check() -> None:
    records = _records(_order(), next_check={"a": NOW + timedelta(hours=1)})
    assert no_workflow_stuck([_run("refund-a-ref_1")], records, frozenset(), NOW).breaches == []


def test_the_refunds_that_were_refused_are_known_by_name() -> None:
    assert refused_refunds([_REFUSAL, _run("payment-a")]) == {"ref_1"}


def test_goods_that_were_not_paid_for_and_goods_that_were_not_ordered_are_caught() -> None:
    mug = Reservation("mug", 1)
    order = replace(_order(), order_state="fulfilled", metadata={"sku": "mug"})
    agreed = _records(order, shipped={"a"}, reserved={"a": mug}, stock={"mug": 9})
    assert goods_agree(_gateway(TAKEN), agreed, {"mug": 10}).breaches == []
    assert goods_agree(_gateway(RELEASED), agreed, {"mug": 10}).breaches == [
        "a: shipped, and nothing was captured"
    ]
    for reserved in ({}, {"a": Reservation("mug", 2)}, {"a": Reservation("cup", 1)}):
        found = goods_agree(_gateway(TAKEN), replace(agreed, reserved=reserved), {})
        assert len(found.breaches) == 1


def test_a_receipt_that_the_mail_server_refused_is_no_breach() -> None:
    order = replace(_order(), order_state="fulfilled", has_address=True)
    records = _records(order, shipped={"a"})
    assert goods_agree(_gateway(TAKEN), records, {}).breaches == [
        "a: fulfilled, and no receipt was mailed"
    ]
    order.facts.append(_fact(Event.STEP_REFUSED, step="send_receipt"))
    assert goods_agree(_gateway(TAKEN), records, {}).breaches == []
