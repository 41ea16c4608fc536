"""A card that was declined for good (lost, stolen) is not tried again for the same order."""

import pytest

from tests.api.problems import problem
from tests.walk.cards import DECLINED, LOST, canary
from tests.walk.running import Json, Running, by_token, card, new_order, request

LOST_TOKEN = "pm_card_chargeDeclinedLostCard"


def by_card(order_id: str, number: str) -> Json:
    return request(order_id, credit_card=card(number))


async def declined(running: Running, body: Json, *, retryable: bool) -> None:
    told = problem(await running.initiate(body), 400, "payment-declined")
    assert told["retryable"] is retryable


async def attempts(running: Running, order_id: str) -> list[str]:
    return [attempt["status"] for attempt in (await running.read(order_id))["attempts"]]


@pytest.mark.parametrize("first", ["card", "token"])
@pytest.mark.parametrize("second", ["card", "token"])
async def test_a_lost_card_is_tried_once_and_another_card_pays(
    running: Running, first: str, second: str
) -> None:
    order_id = new_order("lost")
    lost = {"card": by_card(order_id, LOST), "token": by_token(order_id, LOST_TOKEN)}
    await declined(running, lost[first], retryable=False)

    for _ in range(2):
        told = problem(await running.initiate(lost[second]), 409, "card-not-accepted")
        assert "another" in told["detail"]

    assert await attempts(running, order_id) == ["declined"]
    paid = await running.initiate(by_card(order_id, canary()))
    assert paid.status_code == 200, paid.text
    await running.until(order_id)
    assert await attempts(running, order_id) == ["declined", "authorized"]
    await running.charged_once(order_id)


async def test_a_lost_card_stays_lost_after_other_declines(running: Running) -> None:
    order_id = new_order("lost")
    await declined(running, by_token(order_id, LOST_TOKEN), retryable=False)
    await declined(running, by_token(order_id, "pm_card_chargeDeclined"), retryable=True)
    again = await running.initiate(by_card(order_id, LOST))
    problem(again, 409, "card-not-accepted")
    assert await attempts(running, order_id) == ["declined", "declined"]


async def test_the_declined_request_itself_gets_its_answer_again(running: Running) -> None:
    order_id, key = new_order("lost"), {"Idempotency-Key": "only"}
    first = await running.initiate(by_card(order_id, LOST), headers=key)
    again = await running.initiate(by_card(order_id, LOST), headers=key)
    assert problem(again, 400, "payment-declined") == first.json()


async def test_a_card_with_an_ordinary_decline_may_be_tried_again(running: Running) -> None:
    order_id = new_order("funds")
    for _ in range(2):
        await declined(running, by_card(order_id, DECLINED), retryable=True)
    assert await attempts(running, order_id) == ["declined", "declined"]


async def test_a_card_lost_on_one_order_is_asked_about_on_another(running: Running) -> None:
    for _ in range(2):
        await declined(running, by_card(new_order("lost"), LOST), retryable=False)


async def test_a_token_is_only_looked_at_where_a_card_was_declined_for_good(
    running: Running,
) -> None:
    order_id, lost_id = new_order("funds"), new_order("lost")
    await running.control("faults", method="GET", path="/v1/payment_methods/.+", status=500)

    await declined(running, by_token(order_id, "pm_card_chargeDeclined"), retryable=True)
    paid = await running.initiate(by_token(order_id))
    assert paid.status_code == 200, paid.text
    await declined(running, by_token(lost_id, LOST_TOKEN), retryable=False)
    unread = await running.initiate(by_token(lost_id))

    problem(unread, 503, "service-unavailable")
    assert int(unread.headers["retry-after"]) > 0
    await running.until_hit()
    assert await attempts(running, lost_id) == ["declined"]
    again = await running.initiate(by_token(lost_id))
    assert again.status_code == 200, again.text
    await running.until(lost_id)
    await running.charged_once(lost_id)
