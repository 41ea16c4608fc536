"""Captured money on its way back: each refund once, and never more than was taken."""

import asyncio
from typing import Any

import httpx
import pytest

from app.domain.card_numbers import blotted
from tests.api.problems import problem, wrong_at
from tests.walk.cards import canary, found_in, spaced
from tests.walk.running import Json, Running, by_token, new_order

MAKE = "/v1/refunds"


async def paid(running: Running, name: str, method: str = "pm_card_visa") -> str:
    """An order of 49.99, paid and fulfilled."""
    order_id = new_order(name)
    answer = await running.initiate(by_token(order_id, method))
    assert answer.status_code == 200, answer.text
    await running.until(order_id)
    return order_id


async def refund(
    running: Running, order_id: str, key: str = "one", **body: object
) -> httpx.Response:
    return await running.shop.post(
        f"/api/payment/{order_id}/refunds", json=body, headers={"Idempotency-Key": key}
    )


async def listed(running: Running, order_id: str) -> list[Json]:
    answer = await running.shop.get(f"/api/payment/{order_id}/refunds")
    assert answer.status_code == 200, answer.text
    refunds: list[Json] = answer.json()["refunds"]
    return refunds


async def at_the_gateway(running: Running, path: str, **form: Any) -> Json:
    """What somebody does in the gateway's dashboard."""
    key = running.credentials.stripe_api_key
    answer = await running.sandbox.post(path, data=form, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    made: Json = answer.json()
    return made


async def given_back(running: Running, order_id: str) -> tuple[int, int]:
    """How many refunds the gateway has made, and of how much altogether."""
    ledger = await running.ledger(order_id)
    refunded = sum(intent["refunded"] for intent in ledger["payment_intents"])
    return ledger["orders"][order_id]["refunds"], refunded


async def test_a_part_is_given_back_and_then_the_rest(running: Running) -> None:
    order_id = await paid(running, "part")

    part = await refund(running, order_id, "part", amount="10.00", reason="one mug arrived broken")

    assert part.status_code == 201, part.text
    told = part.json()
    assert (told["amount"], told["currency"], told["status"]) == ("10.00", "usd", "succeeded")
    assert (told["reason"], told["failure"]) == ("one mug arrived broken", None)
    assert told["gateway_refund_id"].startswith("re_")
    assert part.headers["location"] == told["links"]["self"]
    assert (await running.shop.get(part.headers["location"])).json() == told
    order = await running.until(order_id, status="partially_refunded")
    assert (order["captured"], order["refunded"]) == ("49.99", "10.00")
    assert order["refundable"] == "39.99"

    rest = await refund(running, order_id, "rest")

    assert (rest.status_code, rest.json()["amount"]) == (201, "39.99")
    order = await running.until(order_id, status="refunded")
    assert (order["refunded"], order["refundable"]) == ("49.99", "0.00")
    assert order["refunds"] == await listed(running, order_id) == [told, rest.json()]
    assert await given_back(running, order_id) == (2, 4999)


async def test_a_key_makes_one_refund_however_often_it_is_sent(running: Running) -> None:
    order_id = await paid(running, "repeated")

    answers = await asyncio.gather(
        *(refund(running, order_id, amount="10.00", reason="broken") for _ in range(10))
    )

    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["refund_id"] for answer in answers}) == 1
    again = await refund(running, order_id, amount=10, reason="broken")
    assert (again.status_code, again.json()["amount"]) == (200, "10.00")
    for other in ({"amount": "10.01", "reason": "broken"}, {"amount": "10.00", "reason": "late"}):
        problem(await refund(running, order_id, **other), 409, "idempotency-key-reused")
    assert await given_back(running, order_id) == (1, 1000)


async def test_a_key_without_an_amount_means_what_was_left_the_first_time(running: Running) -> None:
    order_id = await paid(running, "left")
    first = await refund(running, order_id)
    again = await refund(running, order_id)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["amount"] == again.json()["amount"] == "49.99"
    assert await given_back(running, order_id) == (1, 4999)


async def test_two_refunds_at_once_never_give_back_more_than_was_taken(running: Running) -> None:
    order_id = await paid(running, "two")
    answers = await asyncio.gather(
        *(refund(running, order_id, key, amount="30.00") for key in ("one", "two"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    told = problem(refused, 409, "not-refundable")
    assert told["refundable"] == "19.99"
    assert "19.99 USD can be refunded" in told["detail"]
    assert await given_back(running, order_id) == (1, 3000)
    # Nothing was made by the key that was refused: it may ask for what there is.
    key = ("one", "two")[answers.index(refused)]
    assert (await refund(running, order_id, key, amount="19.99")).status_code == 201
    assert await given_back(running, order_id) == (2, 4999)


async def test_more_than_is_left_is_refused_with_what_is(running: Running) -> None:
    order_id = await paid(running, "more")
    told = problem(await refund(running, order_id, amount="50.00"), 409, "not-refundable")
    assert told["refundable"] == "49.99"
    assert (await refund(running, order_id, "all")).status_code == 201
    for body in ({}, {"amount": "0.01"}):
        told = problem(await refund(running, order_id, "none", **body), 409, "not-refundable")
        assert told["refundable"] == "0.00"
        assert "Nothing is left" in told["detail"]
    assert await given_back(running, order_id) == (1, 4999)


async def test_money_that_was_not_taken_is_let_go_instead(running: Running) -> None:
    order_id = new_order("held")
    await running.initiate(by_token(order_id, capture="manual"))
    told = problem(await refund(running, order_id), 409, "not-refundable")
    assert "cancel the order" in told["detail"]
    assert (await running.shop.post(told["links"]["cancel"])).status_code == 200
    told = problem(await refund(running, order_id), 409, "not-refundable")
    assert "cancel" not in told["links"]
    assert await listed(running, order_id) == []


async def test_a_refund_on_its_way_is_not_money_to_give_back_again(running: Running) -> None:
    order_id = await paid(running, "pending", "pm_card_pendingRefund")

    answer = await refund(running, order_id, amount="30.00")

    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    order = await running.read(order_id)
    assert (order["refunded"], order["refunds_pending"]) == ("0.00", "30.00")
    assert (order["status"], order["refundable"]) == ("captured", "19.99")
    problem(await refund(running, order_id, "two", amount="20.00"), 409, "not-refundable")
    order = await running.until(order_id, status="partially_refunded")
    assert (order["refunded"], order["refunds_pending"]) == ("30.00", "0.00")
    assert [each["status"] for each in order["refunds"]] == ["succeeded"]
    assert (await refund(running, order_id, amount="30.00")).json()["status"] == "succeeded"


async def test_a_refund_that_comes_back_is_ours_again_and_says_why(running: Running) -> None:
    order_id = await paid(running, "returned", "pm_card_refundFail")
    assert (await refund(running, order_id)).json()["status"] == "succeeded"

    order = await running.until(order_id, refunded="0.00")

    assert (order["status"], order["refundable"]) == ("captured", "49.99")
    [failed] = order["refunds"]
    assert failed["status"] == "failed"
    assert "expired_or_canceled_card" in failed["failure"]
    assert any("of 49.99 USD failed" in reason for reason in order["needs_attention"])
    assert (await refund(running, order_id)).json() == failed
    assert (await refund(running, order_id, "another")).status_code == 201


async def test_a_disputed_payment_cannot_be_refunded(running: Running) -> None:
    order_id = await paid(running, "disputed")
    intent = (await running.read(order_id))["transaction_id"]
    dispute = await running.control("disputes", payment_intent=intent, amount=1000)

    order = await running.until(order_id, status="disputed")

    assert (order["disputed"], order["refundable"]) == ("10.00", "0.00")
    [told] = order["disputes"]
    assert (told["dispute_id"], told["amount"], told["status"]) == (dispute["id"], "10.00", "open")
    assert told["reason"] == "fraudulent"
    assert told["evidence_due_by"] is not None
    refused = problem(await refund(running, order_id, amount="5.00"), 409, "not-refundable")
    assert "disputes the payment" in refused["detail"]
    assert await given_back(running, order_id) == (0, 0)


async def test_a_refund_begun_at_the_gateway_is_told_too(running: Running) -> None:
    order_id = await paid(running, "dashboard")
    intent = (await running.read(order_id))["transaction_id"]

    made = await at_the_gateway(running, MAKE, payment_intent=intent, amount=1000)

    order = await running.until(order_id, status="partially_refunded")
    assert order["refundable"] == "39.99"
    [told] = await listed(running, order_id)
    assert told["refund_id"] == told["gateway_refund_id"] == made["id"]
    assert (await running.shop.get(told["links"]["self"])).json() == told
    assert (await refund(running, order_id, "rest")).json()["amount"] == "39.99"
    assert [each["amount"] for each in await listed(running, order_id)] == ["10.00", "39.99"]


@pytest.mark.parametrize("metadata", ["#1001", "of-nobody", "another"])
async def test_what_somebody_typed_at_the_gateway_does_not_hide_a_refund(
    running: Running, metadata: str
) -> None:
    order_id, other = await paid(running, "typed"), await paid(running, "other")
    intent = (await running.read(order_id))["transaction_id"]
    named = other if metadata == "another" else metadata
    typed = {"metadata[order_id]": named, "metadata[refund]": "customer unhappy"}

    for _ in range(2):
        await at_the_gateway(running, MAKE, payment_intent=intent, amount=1000, **typed)

    order = await running.until(order_id, refunded="20.00")
    assert order["refundable"] == "29.99"
    assert (await running.read(other))["refunded"] == "0.00"


async def test_a_failure_told_while_the_answer_is_on_its_way_is_heard(running: Running) -> None:
    order_id = await paid(running, "race", "pm_card_refundFail")
    await running.control(
        "faults", method="POST", path="/v1/refunds", mode="after", action="hang", seconds=3
    )

    answer = await refund(running, order_id)

    assert answer.status_code == 201
    order = await running.until(order_id, refundable="49.99")
    assert (order["refunded"], order["refunds_pending"]) == ("0.00", "0.00")
    assert [told["status"] for told in order["refunds"]] == ["failed"]


async def test_a_gateway_that_takes_long_leaves_the_refund_pending(running: Running) -> None:
    order_id = await paid(running, "slow")
    await running.control("faults", method="POST", path=MAKE, action="hang", seconds=9)

    answer = await refund(running, order_id, amount="10.00")

    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    order = await running.until(order_id, status="partially_refunded")
    assert [each["refund_id"] for each in order["refunds"]] == [answer.json()["refund_id"]]
    assert await given_back(running, order_id) == (1, 1000)


async def test_without_a_worker_a_refund_is_taken_on_and_made_when_it_is_back(
    running: Running,
) -> None:
    order_id = await paid(running, "worker")
    async with running.without("worker"):
        answer = await refund(running, order_id, amount="10.00", reason="broken")
        again = await refund(running, order_id, amount="10.00", reason="broken")

    for taken_on in (answer, again):
        assert taken_on.status_code == 202, taken_on.text
        assert taken_on.json()["status"] == "pending"
        assert taken_on.headers["location"] == taken_on.json()["links"]["self"]
    order = await running.until(order_id, status="partially_refunded")
    assert [each["refund_id"] for each in order["refunds"]] == [answer.json()["refund_id"]]
    other = await refund(running, order_id, amount="10.00")
    problem(other, 409, "idempotency-key-reused")
    assert await given_back(running, order_id) == (1, 1000)


@pytest.mark.parametrize("part", ["temporal", "postgres"])
async def test_with_a_part_away_nothing_is_refunded(running: Running, part: str) -> None:
    order_id = await paid(running, "away")
    async with running.without(part):
        answer = await refund(running, order_id)
    assert "changed nothing" in problem(answer, 503, "service-unavailable")["detail"]
    assert answer.headers["Retry-After"].isdigit()
    assert await given_back(running, order_id) == (0, 0)
    assert (await running.read(order_id))["refundable"] == "49.99"
    # Word for word the same request, as the answer asks for.
    assert (await refund(running, order_id)).status_code == 201
    assert await given_back(running, order_id) == (1, 4999)


async def test_the_database_gone_in_the_middle_is_not_called_nothing_refunded(
    running: Running,
) -> None:
    order_id = await paid(running, "middle")
    await running.control("faults", method="POST", path=MAKE, action="hang", seconds=2)
    asking = asyncio.create_task(refund(running, order_id, amount="10.00"))
    await running.until_hit()
    async with running.without("postgres"):
        told = problem(await asking, 503, "service-unavailable")
    assert "may have been done" in told["detail"]

    answer = await refund(running, order_id, amount="10.00")
    order = await running.until(order_id, status="partially_refunded")
    assert [each["refund_id"] for each in order["refunds"]] == [answer.json()["refund_id"]]
    assert await given_back(running, order_id) == (1, 1000)


async def test_a_refund_needs_a_key(running: Running) -> None:
    order_id = await paid(running, "keyless")
    path = f"/api/payment/{order_id}/refunds"
    wrong_at(await running.shop.post(path), "Idempotency-Key")
    for unfit in (b"", b"a b", b"x" * 256, "ключ".encode(), spaced(canary(), "-").encode()):
        answer = await running.shop.post(path, headers={b"Idempotency-Key": unfit})
        wrong_at(answer, "Idempotency-Key")
        assert not found_in(answer.content)
    assert await given_back(running, order_id) == (0, 0)


@pytest.mark.parametrize(
    ("body", "location"),
    [
        ({"amount": "10.005"}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": canary()[:-4] + "x"}, "amount"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": f"to {canary()}"}, "reason"),
        ({"currency": "usd"}, "currency"),
    ],
    ids=lambda value: blotted(str(value))[:40],
)
async def test_a_wrong_refund_is_told_by_its_field_and_does_nothing(
    running: Running, body: Json, location: str
) -> None:
    order_id = await paid(running, "wrong")
    answer = await refund(running, order_id, **body)
    wrong_at(answer, location)
    assert not found_in(answer.content)
    assert await given_back(running, order_id) == (0, 0)


async def test_a_bare_amount_is_not_a_refund_of_all_there_is(running: Running) -> None:
    order_id = await paid(running, "bare")
    path, headers = f"/api/payment/{order_id}/refunds", {"Idempotency-Key": "bare"}
    for body in (b"10.00", b"-1e9", b"0.0", b'"10.00"', b"10", b"[]"):
        answer = await running.shop.post(
            path, content=body, headers={**headers, "Content-Type": "application/json"}
        )
        wrong_at(answer, "body")
    assert await given_back(running, order_id) == (0, 0)


async def test_what_is_not_there_cannot_be_read_or_refunded(running: Running) -> None:
    unknown, order_id = new_order("unknown"), await paid(running, "known")
    problem(await refund(running, unknown), 404, "not-found")
    for path in (f"{unknown}/refunds", f"{unknown}/refunds/re_1", f"{order_id}/refunds/re_1"):
        problem(await running.shop.get(f"/api/payment/{path}"), 404, "not-found")
    numbered = await running.shop.get(f"/api/payment/{order_id}/refunds/{canary()}")
    wrong_at(numbered, "address")
    assert not found_in(numbered.content)


async def test_strangers_neither_refund_nor_read(running: Running) -> None:
    order_id = await paid(running, "stranger")
    path = f"/api/payment/{order_id}/refunds"
    async with running.storefront(running.stack.api_url, key=None) as stranger:
        for answer in (
            await stranger.post(path, headers={"Idempotency-Key": "one"}),
            await stranger.get(path),
            await stranger.get(f"{path}/re_1"),
        ):
            problem(answer, 401, "unauthorized")
    assert await given_back(running, order_id) == (0, 0)
