"""What the gateway reports: taken when it is signed and ours, and believed when it is true."""

import json
import re
import secrets
import time
from datetime import UTC, datetime

import httpx
import pytest

from tests.api.problems import problem
from tests.walk.cards import canary, found_in, spaced
from tests.walk.running import CALLBACK, Json, Running, by_token, new_order

ELSEWHERE = "whsec_" + "c29tZWJvZHkgZWxzZSdzIHNlY3JldA=="


def hint_body(order_id: str, **more: object) -> Json:
    return {"order_id": order_id, "status": "success", "transaction_id": "txn-98765", **more}


def event_id() -> str:
    """A new one."""
    return f"evt_{secrets.token_hex(8)}"


def event_about(order_id: str | None, id_: str = "evt_test") -> Json:
    """An event of Stripe's about a payment that it does not hold."""
    return {
        "id": id_,
        "object": "event",
        "livemode": False,
        "type": "payment_intent.canceled",
        "created": int(time.time()),
        "data": {
            "object": {
                "id": "pi_of_nobody",
                "object": "payment_intent",
                "amount": 4999,
                "amount_capturable": 0,
                "amount_received": 0,
                "currency": "usd",
                "status": "canceled",
                "latest_charge": None,
                "last_payment_error": None,
                "metadata": {"order_id": order_id} if order_id is not None else {},
            }
        },
    }


async def counted(running: Running, outcome: str) -> float:
    metrics = (await running.shop.get("/metrics")).text
    found = re.search(rf'^tillflow_callbacks_total{{outcome="{outcome}"}} (\S+)$', metrics, re.M)
    return float(found[1]) if found else 0.0


async def stored(running: Running) -> int:
    """Without the sandbox's own, which come when they come."""
    [(count,)] = await running.query(
        "SELECT count(*) FROM callbacks WHERE event_id !~ '^evt_[0-9A-Za-z]{24}$'"
    )
    assert isinstance(count, int)
    return count


async def test_stripes_own_callbacks_confirm_a_payment(running: Running) -> None:
    order_id = new_order("confirmed")
    before = await counted(running, "stored")
    await running.initiate(by_token(order_id))
    order = await running.until(order_id)
    confirmed = next(row for row in order["timeline"] if row["event"] == "confirmed")
    assert confirmed["source"] == "callback"
    await running.callbacks_delivered(order_id)
    assert await running.inbox(order_id)
    assert await counted(running, "stored") > before


async def test_a_signed_callback_of_a_known_order_is_taken_once(running: Running) -> None:
    order_id = new_order("generic")
    async with running.deliveries_held():
        await running.initiate(by_token(order_id))
        repeated = await counted(running, "repeated")
        content, headers = running.signed(hint_body(order_id, payment_method="credit_card"))
        for _ in range(3):
            answer = await running.shop.post(CALLBACK, content=content, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
        await running.until(order_id)
        assert [event for event, *_ in await running.inbox(order_id)] == [headers["webhook-id"]]
        assert await counted(running, "repeated") == repeated + 2
    await running.charged_once(order_id)


@pytest.mark.parametrize("status", ["success", "failed", "canceled", "pending"])
async def test_what_a_generic_callback_says_is_only_a_hint(running: Running, status: str) -> None:
    declined, held = new_order("hint"), new_order("hint")
    await running.initiate(by_token(declined, "pm_card_chargeDeclined"))
    async with running.deliveries_held():
        await running.initiate(by_token(held))
        for order_id in (declined, held):
            content, headers = running.signed({"order_id": order_id, "status": status})
            answer = await running.shop.post(CALLBACK, content=content, headers=headers)
            assert answer.status_code == 200, answer.text
            await running.callbacks_delivered(order_id)
        # The gateway holds the money of one and not of the other, whatever anybody says.
        await running.until(held)
    assert (await running.read(declined))["status"] == "declined"
    assert (await running.read(declined))["order_status"] == "open"
    await running.never_charged(declined)
    await running.charged_once(held)


async def test_a_hint_before_the_first_attempt_does_no_harm(running: Running) -> None:
    order_id = new_order("early")
    await running.place_only(order_id)
    assert (await running.hint(order_id)).status_code == 200
    await running.callbacks_delivered(order_id)
    assert (await running.read(order_id))["status"] == "initiated"
    assert (await running.initiate(by_token(order_id))).status_code == 200
    await running.until(order_id)
    await running.charged_once(order_id)


async def refused(running: Running, answer: httpx.Response, before: tuple[int, float]) -> None:
    """400, one more is counted, and nothing is stored."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/invalid-callback"
    assert "Nothing was stored" in answer.json()["detail"]
    assert not found_in(answer.content)
    assert (await stored(running), await counted(running, "refused")) == (before[0], before[1] + 1)


@pytest.fixture
async def before(running: Running) -> tuple[int, float]:
    """How many callbacks are stored and how many were refused."""
    return await stored(running), await counted(running, "refused")


async def test_a_callback_without_a_signature_is_refused(
    running: Running, before: tuple[int, float]
) -> None:
    await refused(running, await running.shop.post(CALLBACK, json=hint_body("any")), before)


@pytest.mark.parametrize(
    "how",
    [
        "wrong secret",
        "stale",
        "early",
        "tampered",
        "no id",
        "no time",
        "no number",
        "other version",
    ],
)
async def test_a_generic_callback_not_signed_by_us_just_now_is_refused(
    running: Running, before: tuple[int, float], how: str
) -> None:
    order_id = new_order("forged")
    await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))
    at = time.time() + {"stale": -400, "early": 400}.get(how, 0)
    secret = ELSEWHERE if how == "wrong secret" else None
    content, headers = running.signed(hint_body(order_id), at=at, secret=secret)
    if how == "tampered":
        content = content.replace(b"txn-98765", b"txn-98766")
    if how in ("no id", "no time"):
        del headers[{"no id": "webhook-id", "no time": "webhook-timestamp"}[how]]
    if how == "no number":
        headers["webhook-timestamp"] = "inf"
    if how == "other version":
        headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    answer = await running.shop.post(CALLBACK, content=content, headers=headers)
    await refused(running, answer, before)


@pytest.mark.parametrize("how", ["wrong secret", "stale", "early", "tampered", "garbage"])
async def test_an_event_not_signed_by_stripe_just_now_is_refused(
    running: Running, before: tuple[int, float], how: str
) -> None:
    content = json.dumps(event_about("any")).encode()
    if how in ("tampered", "garbage"):
        header = {"tampered": f"t={int(time.time())},v1={'0' * 64}", "garbage": "t=x,,=,v1"}[how]
        answer = await running.shop.post(
            CALLBACK, content=content, headers={"Stripe-Signature": header}
        )
    else:
        at = time.time() + {"stale": -400, "early": 400}.get(how, 0)
        secret = ELSEWHERE if how == "wrong secret" else None
        answer = await running.stripe_event(content, at=at, secret=secret)
    await refused(running, answer, before)


async def test_a_generic_callback_of_an_unknown_order_is_refused(
    running: Running, before: tuple[int, float]
) -> None:
    await refused(running, await running.hint(new_order("unknown")), before)
    await refused(running, await running.hint(canary()), (before[0], before[1] + 1))


UNREADABLE = {
    "empty": b"",
    "not JSON": b"success",
    "not an object": b"[]",
    "no order": b'{"status": "success"}',
    "another status": b'{"order_id": "a", "status": "paid"}',
    "a number for the order": b'{"order_id": 1, "status": "success"}',
    "deep": b"[" * 60_000,
    "a card number": b'{"order_id": "'
    + canary().encode()
    + b'", "status": "'
    + canary().encode()
    + b'"}',
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_signed_callback_that_makes_no_sense_is_refused(
    running: Running, before: tuple[int, float], content: bytes
) -> None:
    signed, headers = running.signed(content)
    answer = await running.shop.post(CALLBACK, content=signed, headers=headers)
    await refused(running, answer, before)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": 1}', b"\xff\xfe", b"[" * 60_000])
async def test_a_signed_event_that_makes_no_sense_is_refused(
    running: Running, before: tuple[int, float], content: bytes
) -> None:
    await refused(running, await running.stripe_event(content), before)


@pytest.mark.parametrize("header", ["Stripe-Signature", "webhook-signature", "webhook-id"])
async def test_bytes_that_are_no_text_are_refused(
    running: Running, before: tuple[int, float], header: str
) -> None:
    _, headers = running.signed(hint_body("any"))
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    raw[header.encode()] = "v1,ключ".encode()
    contents = (b'{"order_id": "any", "status": "success"}', b"\xff\xfe\x00")
    for refusals, content in enumerate(contents):
        answer = await running.shop.post(CALLBACK, content=content, headers=raw)
        await refused(running, answer, (before[0], before[1] + refusals))


def refund_of(transaction_id: str | None, **metadata: str) -> Json:
    """An event of Stripe's about a refund."""
    event = event_about(None, event_id())
    refund = {
        "id": f"re_{event['id']}",
        "object": "refund",
        "amount": 1000,
        "currency": "usd",
        "status": "succeeded",
        "payment_intent": transaction_id,
        "metadata": metadata,
    }
    return {**event, "type": "refund.created", "data": {"object": refund}}


def dispute_of(transaction_id: str) -> Json:
    """An event of Stripe's about a dispute."""
    event = event_about(None, event_id())
    dispute = {
        "id": f"dp_{event['id']}",
        "object": "dispute",
        "amount": 4999,
        "currency": "usd",
        "status": "needs_response",
        "reason": "fraudulent",
        "payment_intent": transaction_id,
        "balance_transactions": [],
        "evidence_details": {"due_by": None},
        "metadata": {},
    }
    return {**event, "type": "charge.dispute.created", "data": {"object": dispute}}


async def foreign(running: Running, about: str) -> list[Json]:
    """What operators are shown of an event."""
    answer = await running.shop.get("/api/callbacks/foreign")
    assert answer.status_code == 200, answer.text
    return [told for told in answer.json()["callbacks"] if told["event_id"] == about]


async def test_a_signed_event_about_nobodys_order_is_kept_for_operators(running: Running) -> None:
    kept, waiting = await counted(running, "foreign"), await running.inbox("order-of-nobody")
    event = event_about("order-of-nobody", event_id())
    for _ in range(2):
        assert (await running.stripe_event(event)).status_code == 200
    [told] = await foreign(running, event["id"])
    assert told["type"] == "payment_intent.canceled"
    assert (told["order_id"], told["transaction_id"]) == ("order-of-nobody", "pi_of_nobody")
    assert (told["amount"], told["currency"]) == ("49.99", "usd")
    assert datetime.fromisoformat(told["received_at"]) <= datetime.now(UTC)
    assert await counted(running, "foreign") == kept + 1
    assert await running.inbox("order-of-nobody") == waiting


@pytest.mark.parametrize(
    "order_id", ["", "\x00", "x" * 500, "a b", canary(), spaced(canary(), "-")]
)
async def test_a_name_that_no_order_can_have_is_not_kept(running: Running, order_id: str) -> None:
    event = event_about(order_id, event_id())
    assert (await running.stripe_event(event)).status_code == 200
    [told] = await foreign(running, event["id"])
    assert (told["order_id"], told["transaction_id"]) == (None, "pi_of_nobody")
    [(kept,)] = await running.query(
        "SELECT event::text FROM callbacks WHERE event_id = %s", event["id"]
    )
    assert not found_in(kept.encode())
    assert not order_id or order_id not in kept


@pytest.mark.parametrize(
    ("event", "amount"),
    [
        (refund_of("pi_of_nobody"), "10.00"),
        (refund_of("pi_of_nobody", order_id="order-of-nobody", refund=canary()), "10.00"),
        (dispute_of("pi_of_nobody"), "49.99"),
    ],
    ids=["refund", "named refund", "dispute"],
)
async def test_money_that_goes_back_for_nobodys_payment_is_kept_for_operators(
    running: Running, event: Json, amount: str
) -> None:
    assert (await running.stripe_event(event)).status_code == 200
    [told] = await foreign(running, event["id"])
    assert told["transaction_id"] == "pi_of_nobody"
    assert (told["amount"], told["currency"]) == (amount, "usd")
    [(kept,)] = await running.query(
        "SELECT event::text FROM callbacks WHERE event_id = %s", event["id"]
    )
    assert not found_in(kept.encode())


async def test_a_refund_that_names_only_the_payment_finds_its_order(running: Running) -> None:
    order_id = new_order("paid")
    await running.initiate(by_token(order_id))
    order = await running.until(order_id)
    event = refund_of(order["transaction_id"])
    assert (await running.stripe_event(event)).status_code == 200
    await running.callbacks_delivered(order_id)
    assert event["id"] in [named for named, *_ in await running.inbox(order_id)]
    assert await foreign(running, event["id"]) == []


async def test_only_operators_see_foreign_callbacks(running: Running) -> None:
    async with running.storefront(running.stack.api_url, key=None) as stranger:
        problem(await stranger.get("/api/callbacks/foreign"), 401, "unauthorized")


@pytest.mark.parametrize("kind", ["payment_intent.canceled", "payment_method.attached"])
async def test_a_signed_event_about_no_order_is_taken_and_counted_apart(
    running: Running, before: tuple[int, float], kind: str
) -> None:
    # Other tests' payments have such events too, so that more may be counted meanwhile.
    not_used = await counted(running, "not used")
    answer = await running.stripe_event({**event_about(None), "type": kind})
    assert answer.status_code == 200, answer.text
    assert await stored(running) == before[0]
    assert await counted(running, "not used") > not_used


async def test_a_huge_callback_is_refused(running: Running) -> None:
    answer = await running.shop.post(CALLBACK, content=b" " * 2_000_000)
    problem(answer, 413, "content-too-large")
