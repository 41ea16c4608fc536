"""A part is away for a while: what is said is true, and nothing is charged twice."""

import asyncio

from tests.walk.running import INITIATE, Running, by_token, new_order, request

CREATE = "/v1/payment_intents"


async def test_thirty_identical_requests_at_once_are_one_payment(running: Running) -> None:
    order_id = new_order("thirty")
    body = request(order_id)

    answers = await asyncio.gather(*(running.initiate(body) for _ in range(30)))

    assert {answer.status_code for answer in answers} <= {200, 202}
    payments = {(a.json()["payment_id"], a.json()["transaction_id"]) for a in answers}
    assert len({payment_id for payment_id, _ in payments}) == 1
    order = await running.until(order_id)
    assert payments <= {(order["payment_id"], order["transaction_id"]), (order["payment_id"], None)}
    assert [attempt["number"] for attempt in order["attempts"]] == [1]
    await running.charged_once(order_id)


async def test_temporal_down_refuses_payments_and_keeps_callbacks(running: Running) -> None:
    paid, refused = new_order("kept"), new_order("refused")
    async with running.deliveries_held():
        assert (await running.initiate(by_token(paid))).status_code == 200
        async with running.without("temporal"):
            kept = await running.hint(paid)
            answer = await running.initiate(request(refused))
            by_its_token = await running.initiate(by_token(refused))
            ready = await running.shop.get("/readyz")
            async with running.without("api"):
                pass
            kept_by_a_new_api = await running.hint(paid)
            from_a_new_api = await running.initiate(by_token(refused))
            never_opened = await running.shop.get(f"/api/payment/{refused}")

    assert (kept.status_code, kept_by_a_new_api.status_code) == (200, 200)
    for said in (answer, by_its_token, from_a_new_api):
        assert said.status_code == 503, said.text
        assert said.headers["Retry-After"].isdigit()
        assert said.json()["type"] == "/problems/service-unavailable"
    # An order is written once its card has become a token: the gateway got none.
    assert never_opened.status_code == 404
    assert ready.status_code == 503
    assert ready.json()["parts"]["temporal"] != "ok"
    assert ready.json()["parts"]["database"] == "ok"
    await running.never_charged(refused)
    await running.until(paid)
    await running.callbacks_delivered(paid)
    await running.charged_once(paid)
    assert (await running.initiate(by_token(refused))).status_code == 200
    await running.until(refused)
    await running.charged_once(refused)


async def test_temporal_gone_in_the_middle_is_not_called_nothing_charged(running: Running) -> None:
    order_id = new_order("middle")
    await running.control("faults", method="POST", path=CREATE, action="hang", seconds=3)
    asking = asyncio.create_task(running.initiate(by_token(order_id)))
    await running.until_hit()
    async with running.without("temporal"):
        answer = await asking

    assert answer.status_code in (200, 202), answer.text
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_another_attempt_that_was_taken_on_survives_temporal(running: Running) -> None:
    order_id = new_order("kept")
    assert (await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))).status_code == 400
    async with running.without("worker"):
        answer = await running.initiate(by_token(order_id))
        async with running.without("temporal"):
            again = await running.initiate(by_token(order_id))

    for said in (answer, again):
        assert said.status_code == 202, said.text
        assert said.json()["status"] == "initiated"
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_a_canceled_order_takes_no_more_money(running: Running) -> None:
    order_id = new_order("canceled")
    assert (await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))).status_code == 400
    workflow = (await running.temporal()).get_workflow_handle(f"payment-{order_id}")
    await workflow.cancel()
    await running.until(order_id, order_status="canceled")

    answer = await running.initiate(by_token(order_id))
    assert answer.status_code == 409, answer.text
    assert answer.json()["type"] == "/problems/order-closed"
    assert (await running.shop.post(f"/api/payment/{order_id}/capture")).status_code == 409
    await running.never_charged(order_id)


async def test_the_database_down_refuses_payments(running: Running) -> None:
    order_id = new_order("database")
    async with running.without("postgres"):
        answer = await running.initiate(request(order_id))
        status = await running.shop.get(f"/api/payment/{order_id}")
        callback = await running.hint(order_id)
        ready = await running.shop.get("/readyz")

    for said in (answer, status, callback):
        assert said.status_code == 503, said.text
        assert said.headers["Retry-After"].isdigit()
    assert ready.json()["parts"]["database"] != "ok"
    await running.never_charged(order_id)
    assert (await running.initiate(request(order_id))).status_code == 200
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_the_database_gone_in_the_middle_is_not_called_nothing_charged(
    running: Running,
) -> None:
    order_id = new_order("middle")
    await running.control("faults", method="POST", path=CREATE, action="hang", seconds=2)
    asking = asyncio.create_task(running.initiate(by_token(order_id)))
    await running.until_hit()
    async with running.without("postgres"):
        answer = await asking

    assert answer.status_code == 503, answer.text
    assert "What you asked for may have been done." in answer.json()["detail"]
    assert answer.headers["Retry-After"].isdigit()
    again = await running.initiate(by_token(order_id))
    assert again.status_code in (200, 202), again.text
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_the_gateway_down_charges_nothing_and_works_when_it_is_back(
    running: Running,
) -> None:
    card, token, keyed = new_order("card"), new_order("token"), new_order("keyed")
    key = {"Idempotency-Key": keyed}
    # Giving up takes four seconds, as long as the storefront on this stack waits.
    async with (
        running.another_api(INITIATE_WAIT_SECONDS="20") as patient,
        running.without("sandbox"),
    ):
        answers = await asyncio.gather(
            patient.post(INITIATE, json=request(card)),
            patient.post(INITIATE, json=by_token(token)),
            patient.post(INITIATE, json=by_token(keyed), headers=key),
        )

    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.headers["Retry-After"].isdigit()
    for order_id in (card, token, keyed):
        await running.never_charged(order_id)
    # Word for word the same requests, as the answers ask for.
    again = await asyncio.gather(
        running.initiate(request(card)),
        running.initiate(by_token(token)),
        running.initiate(by_token(keyed), headers=key),
    )
    assert [answer.status_code for answer in again] == [200, 200, 200]
    for order_id in (card, token, keyed):
        await running.until(order_id)
        await running.charged_once(order_id)


async def test_a_gateway_that_hangs_on_a_card_is_not_waited_for(running: Running) -> None:
    order_id = new_order("hangs")
    await running.control(
        "faults", method="POST", path="/v1/payment_methods", action="hang", seconds=30
    )
    async with asyncio.timeout(18):  # less than the gateway is given for one call
        answer = await running.initiate(request(order_id))
    assert answer.status_code == 503, answer.text
    await running.never_charged(order_id)


async def test_without_a_worker_payments_are_taken_on_and_finish_when_it_is_back(
    running: Running,
) -> None:
    order_id = new_order("worker")
    async with running.without("worker"):
        answers = await asyncio.gather(*(running.initiate(request(order_id)) for _ in range(2)))

    for answer in answers:
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "initiated"
        assert answer.json()["links"]["self"] == f"/api/payment/{order_id}"
    await running.until(order_id)
    await running.charged_once(order_id)


async def test_without_a_worker_another_card_is_not_answered_with_the_last_ones_decline(
    running: Running,
) -> None:
    order_id = new_order("again")
    assert (await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))).status_code == 400
    async with running.without("worker"):
        answer = await running.initiate(by_token(order_id))
        told = (await running.shop.get(f"/api/payment/{order_id}")).json()

    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == told["status"] == "initiated"
    assert [attempt["status"] for attempt in told["attempts"]] == ["declined", "initiated"]
    order = await running.until(order_id)
    assert [attempt["status"] for attempt in order["attempts"]] == ["declined", "authorized"]
    await running.charged_once(order_id)
