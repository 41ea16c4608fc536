"""A shopper's bank takes the money back: what is shown meanwhile, and who has it in the end."""

from datetime import UTC, datetime

import pytest

from tests.api.problems import problem
from tests.walk.running import Json, Running, by_token, eventually, new_order

CAPTURE = "/v1/payment_intents/.+/capture"


async def disputed(running: Running, order_id: str, **terms: int) -> str:
    """The shopper's bank takes all of it back. The dispute's id."""
    intent = (await running.read(order_id))["transaction_id"]
    dispute = await running.control("disputes", payment_intent=intent, **terms)
    return str(dispute["id"])


async def with_the_bank(running: Running, order_id: str) -> int:
    """How much of the order's money its shopper's bank has."""
    return int((await running.money(order_id))["disputed"])


async def test_a_dispute_is_shown_with_its_deadline_until_it_is_won(running: Running) -> None:
    order_id = await running.paid("won")
    dispute = await disputed(running, order_id)

    order = await running.until(order_id, status="disputed")

    assert (order["order_status"], order["disputed"]) == ("fulfilled", "49.99")
    assert order["refundable"] == "0.00"
    [shown] = order["disputes"]
    assert (shown["dispute_id"], shown["status"]) == (dispute, "open")
    due = datetime.fromisoformat(shown["evidence_due_by"])
    assert due > datetime.now(UTC)
    [worry] = order["needs_attention"]
    assert worry == f"dispute {dispute} is open: evidence is due by {due:%Y-%m-%d %H:%M} UTC"
    problem(await running.ask(order_id, "refunds", "one"), 409, "not-refundable")

    await running.control(f"disputes/{dispute}", verdict="won")

    order = await running.until(order_id, status="captured")
    assert (order["disputed"], order["refundable"]) == ("0.00", "49.99")
    assert order["needs_attention"] == []
    assert await with_the_bank(running, order_id) == 0


async def test_after_a_dispute_was_won_another_may_be_lost(running: Running) -> None:
    order_id = await running.paid("another")
    first = await disputed(running, order_id)
    await running.until(order_id, status="disputed")
    await running.control(f"disputes/{first}", verdict="won")
    await running.until(order_id, status="captured")

    second = await disputed(running, order_id)
    await running.until(order_id, status="disputed")
    await running.control(f"disputes/{second}", verdict="lost")

    order = await running.until(order_id, status="charged_back")
    assert (order["order_status"], order["disputed"]) == ("fulfilled", "49.99")
    ends = {each["dispute_id"]: each["status"] for each in order["disputes"]}
    assert ends == {first: "won", second: "lost"}
    assert order["needs_attention"] == [f"dispute {second} is lost"]
    problem(await running.ask(order_id, "refunds", "one"), 409, "not-refundable")
    assert await with_the_bank(running, order_id) == 4999


async def test_the_evidence_is_asked_for_while_there_is_time_to_give_it(running: Running) -> None:
    order_id = await running.paid("evidence")
    dispute = await disputed(running, order_id, answer_within=12)
    order = await running.until(order_id, status="disputed")
    due = datetime.fromisoformat(order["disputes"][0]["evidence_due_by"])

    async def asked_for() -> bool:
        nonlocal order
        order = await running.read(order_id)
        return "evidence_due" in [row["event"] for row in order["timeline"]]

    await eventually(asked_for)

    [warned] = [row for row in order["timeline"] if row["event"] == "evidence_due"]
    assert dispute in warned["summary"]
    assert datetime.fromisoformat(warned["at"]) < due
    assert order["status"] == "disputed"
    assert order["needs_attention"] == [
        f"dispute {dispute} is open: evidence is due by {due:%Y-%m-%d %H:%M} UTC"
    ]

    await running.control(f"disputes/{dispute}", verdict="won")

    order = await running.until(order_id, status="captured")
    assert order["needs_attention"] == []
    assert await with_the_bank(running, order_id) == 0


async def disputed_before_it_is_shipped(running: Running, name: str) -> tuple[Json, str]:
    """An order whose money was taken and is disputed before anybody knew. And the dispute."""
    order_id = new_order(name)
    await running.control(
        "faults", method="POST", path=CAPTURE, mode="after", action="hang", seconds=8
    )
    await running.taken_on(by_token(order_id, metadata={"sku": "sample-mug"}))
    await running.until_hit()
    async with running.without("worker"):
        dispute = await disputed(running, order_id)

        async def delivered() -> bool:
            inbox = "SELECT delivered_at FROM callbacks WHERE order_id = %s AND type = %s"
            rows = await running.query(inbox, order_id, "charge.dispute.created")
            return any(when is not None for (when,) in rows)

        await eventually(delivered)

    async def captured() -> bool:
        # The dispute alone would prove it, too: the capture's own answer is waited for.
        return "captured" in [row["event"] for row in (await running.read(order_id))["timeline"]]

    await eventually(captured)
    await running.at_rest(order_id)
    return await running.until(order_id, status="disputed"), dispute


async def test_what_is_disputed_is_shipped_only_when_the_dispute_is_won(running: Running) -> None:
    order, dispute = await disputed_before_it_is_shipped(running, "held-up")
    order_id = order["order_id"]
    assert order["order_status"] == "paid"
    assert not await running.shipped(order_id)

    await running.control(f"disputes/{dispute}", verdict="won")

    order = await running.until(order_id)
    assert (order["status"], order["needs_attention"]) == ("captured", [])
    events = [row["event"] for row in order["timeline"]]
    assert events.index("dispute_won") < events.index("fulfilled")
    assert await running.shipped(order_id)
    await running.charged_once(order_id)


async def test_what_was_lost_to_the_bank_is_never_shipped(running: Running) -> None:
    before = await running.on_the_shelf()
    order, dispute = await disputed_before_it_is_shipped(running, "lost")
    order_id = order["order_id"]
    assert await running.on_the_shelf() == before - 1

    await running.control(f"disputes/{dispute}", verdict="lost")

    order = await running.until(order_id, order_status="canceled")
    assert (order["status"], order["refunded"]) == ("charged_back", "0.00")
    assert "the money went back" in order["timeline"][-1]["summary"]
    assert "ship order" not in " ".join(row["summary"] for row in order["timeline"])
    assert not await running.shipped(order_id)
    assert await running.on_the_shelf() == before
    assert await with_the_bank(running, order_id) == 4999


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("pm_card_createDispute", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "product_not_received"),
    ],
)
async def test_why_the_shopper_disputes_is_told(running: Running, token: str, reason: str) -> None:
    order_id = new_order("reason")
    await running.taken_on(by_token(order_id, token))
    order = await running.until(order_id, status="disputed")
    [shown] = order["disputes"]
    assert (shown["reason"], shown["amount"]) == (reason, "49.99")
    [told] = [row for row in order["timeline"] if row["event"] == "disputed"]
    assert f"disputes 49.99 USD: {reason}" in told["summary"]
