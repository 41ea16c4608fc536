"""The operator's door: what is not known is decided, what needs attention is acknowledged."""

import httpx
import pytest

from tests.api.problems import places, problem, wrong_at
from tests.walk.cards import spaced
from tests.walk.running import Json, Running, by_token, eventually, new_order

CREATE = "/v1/payment_intents"
WHO: Json = {"actor": "ana", "reason": "looked at the gateway's dashboard"}


async def resolve(running: Running, order_id: str, **body: object) -> httpx.Response:
    return await running.shop.post(f"/api/payment/{order_id}/resolve", json={**WHO, **body})


async def acknowledge(running: Running, order_id: str, **body: object) -> httpx.Response:
    return await running.shop.post(f"/api/payment/{order_id}/acknowledge", json={**WHO, **body})


async def listed(running: Running, **query: str) -> dict[str, Json]:
    answer = await running.shop.get("/api/payments", params={"limit": "100", **query})
    return {row["order_id"]: row for row in answer.json()["payments"]}


async def test_what_is_unknown_is_shown_and_decided(running: Running) -> None:
    order_id = new_order("unknown")
    await running.control("faults", method="POST", path=CREATE, action="drop", times=4)
    await running.control("faults", method="GET", path=CREATE, status=500, times=1000)

    answer = await running.initiate(by_token(order_id))

    assert answer.status_code == 202, answer.text

    async def shown() -> bool:
        return bool((await running.read(order_id))["unknown"])

    await eventually(shown)
    order = await running.read(order_id)
    [unknown] = order["unknown"]
    assert (unknown["operation"], unknown["refund_id"]) == ("authorization", None)
    assert order["status"] == "unknown"
    assert order["next_check_at"] == unknown["next_check_at"] > unknown["since"]
    assert (await listed(running, unknown="true"))[order_id]["next_check_at"] is not None
    assert order_id not in await listed(running, unknown="false")

    await running.sandbox.delete("/control/faults")
    decided = await resolve(running, order_id, outcome="not_charged")

    assert decided.status_code == 200, decided.text
    order = decided.json()
    assert (order["status"], order["unknown"], order["next_check_at"]) == ("failed", [], None)
    assert order["attempts"][0]["decline_code"] == "not_charged"
    [row] = [row for row in order["timeline"] if row["event"] == "resolved"]
    assert row["source"] == "operator"
    assert row["summary"] == (
        "decided by ana (development): authorization not_charged: looked at the gateway's dashboard"
    )
    assert (await running.initiate(by_token(order_id))).status_code == 200
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_where_nothing_is_unknown_there_is_nothing_to_decide(running: Running) -> None:
    order_id = await running.paid("known")
    for body in ({}, {"refund_id": "ref_none"}):
        told = problem(
            await resolve(running, order_id, outcome="look_again", **body), 409, "nothing-unknown"
        )
        assert told["links"] == {"payment": f"/api/payment/{order_id}"}
    for door in (resolve, acknowledge):
        more = {"outcome": "look_again"} if door is resolve else {}
        problem(await door(running, new_order("nobody"), **more), 404, "not-found")


async def test_what_somebody_looked_at_needs_attention_no_more(running: Running) -> None:
    order_id = await running.paid("worry")
    intent = (await running.read(order_id))["transaction_id"]
    dispute = await running.control("disputes", payment_intent=intent)
    order = await running.worrying(order_id)
    [worry] = order["needs_attention"]

    assert "not all of these" in wrong_at(
        await acknowledge(running, order_id, worries=[worry, "the moon"]), "worries"
    )
    for _ in range(2):
        answer = await acknowledge(running, order_id, worries=[worry])
        assert answer.status_code == 200, answer.text
        assert answer.json()["needs_attention"] == []
    order = (await acknowledge(running, order_id)).json()
    told = [row["summary"] for row in order["timeline"] if row["event"] == "acknowledged"]
    assert told == ["looked at by ana (development): looked at the gateway's dashboard"]
    assert not (await listed(running))[order_id]["needs_attention"]

    await running.control(f"disputes/{dispute['id']}", verdict="won")
    await running.until(order_id, status="captured")
    await running.control("disputes", payment_intent=intent)
    [new] = (await running.worrying(order_id))["needs_attention"]
    assert new != worry


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "outcome"),
        ({"outcome": "charged"}, "outcome"),
        ({"outcome": "look_again", "actor": ""}, "actor"),
        ({"outcome": "look_again", "reason": ""}, "reason"),
        ({"outcome": "look_again", "reason": "x" * 501}, "reason"),
        ({"outcome": "look_again", "transaction_id": "../x"}, "transaction_id"),
        ({"outcome": "not_charged", "transaction_id": "pi_1"}, "body"),
        ({"outcome": "look_again", "transaction_id": "pi_1", "refund_id": "ref_1"}, "body"),
        ({"outcome": "look_again", "amount": 1}, "amount"),
    ],
)
async def test_a_decision_that_cannot_be_understood_is_refused(
    running: Running, body: Json, where: str
) -> None:
    assert places(await resolve(running, "order", **body)) == [where]


@pytest.mark.parametrize("field", ["actor", "reason"])
async def test_a_card_number_has_no_place_at_the_operators_door(
    running: Running, field: str
) -> None:
    number = {field: f"paid with {spaced('4242424242424242')}"}
    resolved = await resolve(running, "order", outcome="look_again", **number)
    for answer in (resolved, await acknowledge(running, "order", **number)):
        assert "looks like a card number" in wrong_at(answer, field)
