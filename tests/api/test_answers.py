"""What a storefront is told of its order: paid, declined, mismatched, over."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.embedded.ports import free_port
from app.embedded.services import ApiPart
from tests.api.problems import problem
from tests.walk.cards import AUTHENTICATE, DEBIT, DECLINED, DECLINED_FOR_FUNDS, LOST, canary
from tests.walk.running import INITIATE, Json, Running, by_token, card, new_order, request


def with_card(order_id: str, number: str) -> Json:
    return request(order_id, credit_card=card(number))


@pytest.mark.parametrize(
    ("number", "code", "retryable"),
    [
        (DECLINED, "generic_decline", True),
        (DECLINED_FOR_FUNDS, "insufficient_funds", True),
        (LOST, "lost_card", False),
    ],
)
async def test_a_decline_says_why_and_whether_to_try_again(
    running: Running, number: str, code: str, retryable: bool
) -> None:
    order_id = new_order("declined")
    told = problem(await running.initiate(with_card(order_id, number)), 400, "payment-declined")
    assert (told["code"], told["retryable"]) == (code, retryable)
    assert told["another_method_may_be_tried"] is True
    assert "card" in told["detail"]
    await running.never_charged(order_id)


async def test_after_a_decline_another_card_pays_in_the_same_workflow(running: Running) -> None:
    order_id = new_order("second")
    workflow = (await running.temporal()).get_workflow_handle(f"payment-{order_id}")
    await running.initiate(with_card(order_id, DECLINED))
    first = await workflow.describe()

    answer = await running.initiate(with_card(order_id, DEBIT))

    assert answer.status_code == 200, answer.text
    assert answer.json()["payment_method"]["last4"] == DEBIT[-4:]
    order = await running.until(order_id)
    assert [attempt["status"] for attempt in order["attempts"]] == ["declined", "authorized"]
    assert order["attempts"][0]["decline_code"] == "generic_decline"
    second = await workflow.describe()
    assert (second.id, second.run_id) == (first.id, first.run_id)
    await running.charged_once(order_id)


async def test_an_idempotency_key_gets_the_same_answer(running: Running) -> None:
    order_id = new_order("keyed")
    first, second = {"Idempotency-Key": "first"}, {"Idempotency-Key": "second"}
    declined = with_card(order_id, DECLINED)
    paying = with_card(order_id, canary())

    decline = await running.initiate(declined, headers=first)
    assert (await running.initiate(declined, headers=first)).json() == decline.json()
    reused = await running.initiate(paying, headers=first)
    problem(reused, 409, "idempotency-key-reused")
    paid = await running.initiate(paying, headers=second)
    assert paid.status_code == 200, paid.text
    await running.until(order_id)

    replayed = (await running.initiate(declined, headers=first)).json()
    same = {"type", "code", "attempt", "retryable"}
    assert {n: replayed[n] for n in same} == {n: decline.json()[n] for n in same}
    assert not replayed["another_method_may_be_tried"]
    assert "Another attempt was made since" in replayed["detail"]
    again = await running.initiate(paying, headers=second)
    assert again.status_code == 200
    assert again.json()["payment_id"] == paid.json()["payment_id"]
    other = await running.initiate({**paying, "metadata": {"a": "b"}}, headers=second)
    problem(other, 409, "idempotency-key-reused")
    order = await running.read(order_id)
    assert [attempt["number"] for attempt in order["attempts"]] == [1, 2]
    await running.charged_once(order_id)


async def test_a_paid_order_answers_with_its_payment(running: Running) -> None:
    order_id = new_order("paid")
    paid = await running.initiate(request(order_id))
    await running.until(order_id)
    for body in (request(order_id), with_card(order_id, DECLINED), by_token(order_id)):
        again = await running.initiate(body)
        assert again.status_code == 200, again.text
        assert again.json()["payment_id"] == paid.json()["payment_id"]
        assert again.json()["payment_method"] == paid.json()["payment_method"]
        assert (again.json()["status"], again.json()["order_status"]) == ("captured", "fulfilled")
    await running.charged_once(order_id)


async def test_another_amount_or_currency_on_the_same_order_is_refused(running: Running) -> None:
    order_id = new_order("other")
    assert (await running.initiate(by_token(order_id))).status_code == 200
    for changed in ({"amount": 59.99}, {"amount": "49.98"}, {"currency": "eur"}):
        answer = await running.initiate(by_token(order_id, **changed))
        assert order_id in problem(answer, 409, "order-mismatch")["detail"]
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_an_order_can_be_tried_five_times(running: Running) -> None:
    order_id = new_order("often")
    for _ in range(5):
        declined = await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))
        problem(declined, 400, "payment-declined")
    problem(await running.initiate(by_token(order_id)), 409, "too-many-attempts")
    await running.never_charged(order_id)


async def test_a_token_that_the_gateway_does_not_know_is_refused(running: Running) -> None:
    order_id = new_order("token")
    answer = await running.initiate(by_token(order_id, "pm_nobody_knows"))
    problem(answer, 400, "payment-method-refused")
    assert (await running.initiate(by_token(order_id))).status_code == 200


async def test_a_card_that_the_gateway_cannot_use_leaves_no_order(running: Running) -> None:
    order_id = new_order("unusable")
    await running.control("faults", path="/v1/payment_methods", method="POST", status=400)
    answer = await running.initiate(request(order_id))
    problem(answer, 400, "payment-method-refused")
    assert await running.query("SELECT 1 FROM orders WHERE order_id = %s", order_id) == []


async def test_a_shopper_who_must_authenticate_is_sent_to_the_bank(running: Running) -> None:
    order_id = new_order("bank")
    body = request(
        order_id, credit_card=card(AUTHENTICATE), return_url="https://shop.example.com/back"
    )
    answer = await running.initiate(body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "requires_action"
    action = answer.json()["next_action"]
    assert action["type"] == "redirect"
    assert (await running.initiate(body)).json()["next_action"] == action

    bank = await running.sandbox.post(action["url"], data={"outcome": "approve"})

    assert bank.headers["location"].startswith("https://shop.example.com/back?")
    order = await running.until(order_id)
    assert order["next_action"] is None
    await running.charged_once(order_id)


async def test_held_money_is_taken_when_the_storefront_asks(running: Running) -> None:
    order_id = new_order("manual")
    answer = await running.initiate(by_token(order_id, capture="manual"))
    assert answer.status_code == 200, answer.text
    confirmed = await running.until(order_id, status="authorized")
    assert (confirmed["captured"], confirmed["order_status"]) == ("0.00", "open")

    taken = await running.shop.post(f"/api/payment/{order_id}/capture")

    assert taken.status_code == 200, taken.text
    assert taken.json()["status"] == "captured"
    again = await running.shop.post(f"/api/payment/{order_id}/capture")
    assert (again.status_code, again.json()["status"]) == (200, "captured")
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_a_capture_that_takes_long_is_said_to_be_under_way(running: Running) -> None:
    order_id = new_order("slow")
    await running.initiate(by_token(order_id, capture="manual"))
    await running.control(
        "faults",
        method="POST",
        path="/v1/payment_intents/.+/capture",
        action="hang",
        seconds=9,
    )

    answer = await running.shop.post(f"/api/payment/{order_id}/capture")

    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "authorized"
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_nothing_is_captured_where_nothing_is_held(running: Running) -> None:
    order_id = new_order("declined")
    await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))
    problem(await running.shop.post(f"/api/payment/{order_id}/capture"), 409, "not-capturable")
    unknown = new_order("unknown")
    problem(await running.shop.post(f"/api/payment/{unknown}/capture"), 404, "not-found")


async def test_reading_an_order_shows_all_that_happened(running: Running) -> None:
    order_id = new_order("read")
    await running.initiate(with_card(order_id, DECLINED))
    await running.initiate(request(order_id))
    order = await running.until(order_id)
    assert (order["authorized"], order["captured"]) == ("49.99", "49.99")
    assert [attempt["number"] for attempt in order["attempts"]] == [1, 2]
    assert order["timeline"][0]["event"] == "initiated"
    assert order["timeline"][-1]["event"] == "fulfilled"
    assert all(row["summary"] and row["source"] and row["at"] for row in order["timeline"])


async def test_what_is_not_there_is_a_problem_too(running: Running) -> None:
    problem(await running.shop.get(f"/api/payment/{new_order('unknown')}"), 404, "not-found")
    problem(await running.shop.get("/nowhere"), 404, "not-found")
    problem(await running.shop.get("/api/payment/a%20b"), 400, "invalid-request")
    for method, path, allowed in (
        ("PUT", INITIATE, "POST"),
        ("TRACE", "/healthz", "GET"),
        ("PATCH", f"/api/payment/{new_order()}/refunds", "GET, POST"),
    ):
        wrong_method = await running.shop.request(method, path)
        problem(wrong_method, 405, "method-not-allowed")
        assert wrong_method.headers["allow"] == allowed


async def test_nobody_is_sent_on_to_another_address(running: Running) -> None:
    """Least of all with a card in hand, to one without TLS."""
    body = request(new_order("slash"))
    problem(await running.shop.post(f"{INITIATE}/", json=body), 404, "not-found")
    for path in ("/api/payments/", "/healthz/", "/docs/", "//elsewhere.example.com/healthz/"):
        problem(await running.shop.get(running.stack.api_url + path), 404, "not-found")


@pytest.mark.parametrize("key", [None, "wrong", "tillflow", "ключ"])
async def test_without_a_key_nothing_is_said_or_done(running: Running, key: str | None) -> None:
    order_id = new_order("stranger")
    stranger = running.storefront(running.stack.api_url, None)
    headers = {} if key is None else {b"Authorization": f"Bearer {key}".encode()}
    async with stranger:
        for answer in (
            await stranger.post(INITIATE, json=request(order_id), headers=headers),
            await stranger.post(INITIATE, content=b"{", headers=headers),
            await stranger.get(f"/api/payment/{order_id}", headers=headers),
            await stranger.post(f"/api/payment/{order_id}/capture", headers=headers),
        ):
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (await running.shop.get(f"/api/payment/{order_id}")).status_code == 404


class ImpatientApi(ApiPart):
    """A second API on the same stack, with settings of its own."""

    name = "impatient api"


@pytest.fixture(scope="module")
async def impatient(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """It takes no raw cards, waits a second, lets checkouts expire after two."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **running.stack.api.environment(),
        "API_PORT": str(port),
        "ACCEPT_RAW_CARDS": "false",
        "INITIATE_WAIT_SECONDS": "1",
        "CHECKOUT_EXPIRY_SECONDS": "2",
    }
    await running.stack.supervisor.start(ImpatientApi(url, port, environment))
    async with running.storefront(url) as client:
        yield client
    await running.kill("impatient api")


async def test_an_expired_order_is_over(running: Running, impatient: httpx.AsyncClient) -> None:
    order_id = new_order("expired")
    await impatient.post(INITIATE, json=by_token(order_id, "pm_card_chargeDeclined"))
    order = await running.until(order_id, order_status="canceled")
    assert "expired" in [row["event"] for row in order["timeline"]]
    told = problem(await running.initiate(by_token(order_id)), 409, "order-closed")
    assert told["payment"]["order_status"] == "canceled"
    await running.never_charged(order_id)


async def test_a_gateway_that_takes_long_is_answered_with_202(
    running: Running, impatient: httpx.AsyncClient
) -> None:
    order_id = new_order("slow")
    await running.control(
        "faults", method="POST", path="/v1/payment_intents", action="hang", seconds=3
    )
    answers = await asyncio.gather(
        *(impatient.post(INITIATE, json=by_token(order_id)) for _ in range(2))
    )
    for answer in answers:
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "initiated"
        assert answer.json()["links"]["self"] == f"/api/payment/{order_id}"
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_raw_cards_are_taken_only_where_they_are_switched_on(
    running: Running, impatient: httpx.AsyncClient
) -> None:
    order_id = new_order("raw")
    answer = await impatient.post(INITIATE, json=request(order_id))
    assert "token" in problem(answer, 400, "raw-cards-not-accepted")["detail"]
    assert (await running.shop.get(f"/api/payment/{order_id}")).status_code == 404
