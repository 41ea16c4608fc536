"""Every way to pay, walked with the shopper: what they are asked, what they say, who is charged."""

import pytest

from tests.api.problems import problem
from tests.walk.cards import AUTHENTICATE, AUTHENTICATED_AND_DECLINED, LOST, STOLEN, canary
from tests.walk.running import (
    MANDATE,
    RETURN_URL,
    Json,
    Running,
    by_token,
    card,
    new_order,
    request,
)

WAYS = "/api/payment-methods"
ARTICLE = {"sku": "sample-mug"}
REDIRECTS: dict[str, Json] = {
    "ideal": {},
    "paypal": {},
    "klarna": {"customer_email": "shopper@example.com", "billing_country": "de"},
}
DEBITS = [("sepa_debit", "pm_sepaDebit", "eur"), ("ach_debit", "pm_usBankAccount", "usd")]


def secure(order_id: str, number: str = AUTHENTICATE, **more: object) -> Json:
    """A card that its bank wants authenticated."""
    return request(order_id, credit_card=card(number), return_url=RETURN_URL, **more)


def redirect(order_id: str, method: str) -> Json:
    needed = {"payment_method": method, "amount": "49.99", "currency": "eur"}
    return {"order_id": order_id, "return_url": RETURN_URL, **needed, **REDIRECTS[method]}


def debit(order_id: str, method: str, token: str, currency: str) -> Json:
    body = by_token(order_id, token, mandate=MANDATE, metadata=ARTICLE)
    return {**body, "payment_method": method, "currency": currency}


async def attempts(running: Running, order_id: str) -> list[str]:
    return [attempt["status"] for attempt in (await running.read(order_id))["attempts"]]


async def offered(running: Running, currency: str) -> list[str]:
    answer = await running.shop.get(WAYS, params={"amount": "49.99", "currency": currency})
    assert answer.status_code == 200, answer.text
    return [way["payment_method"] for way in answer.json()["methods"]]


async def saved(running: Running, customer_id: str) -> list[Json]:
    query = {"amount": "49.99", "customer_id": customer_id}
    kept: list[Json] = (await running.shop.get(WAYS, params=query)).json()["saved"]
    return kept


# Cards, and the bank that wants to see the shopper.


@pytest.mark.parametrize("method", ["credit_card", "debit_card"])
async def test_a_card_is_charged_once_its_bank_has_seen_the_shopper(
    running: Running, method: str
) -> None:
    order_id = new_order("secure")
    told = await running.taken_on(secure(order_id, payment_method=method))
    assert told["next_action"]["type"] == "redirect"
    page = await running.sandbox.get(told["next_action"]["url"])
    assert page.status_code == 200
    assert "Sandbox: no real bank, no real money" in page.text
    assert "49.99" in page.text
    await running.never_charged(order_id)

    back = await running.shopper_answers(told)

    assert back.headers["location"].startswith(f"{RETURN_URL}?")
    order = await running.until(order_id)
    assert order["next_action"] is None
    events = [row["event"] for row in order["timeline"]]
    assert events.index("action_required") < events.index("authorized")
    await running.charged_once(order_id)


async def test_without_a_way_back_the_gateways_own_script_asks_the_shopper(
    running: Running,
) -> None:
    order_id = new_order("script")
    told = await running.taken_on(by_token(order_id, "pm_card_threeDSecure2Required"))
    action = told["next_action"]
    assert (action["type"], action["url"]) == ("use_gateway_sdk", None)

    intent = await running.at_the_gateway("GET", f"/v1/payment_intents/{told['transaction_id']}")
    assert action["client_secret"] == intent["client_secret"]
    page = intent["next_action"]["use_stripe_sdk"]["stripe_js"]
    await running.sandbox.post(page, data={"outcome": "approve"})

    await running.until(order_id)
    await running.charged_once(order_id)


async def test_a_shopper_whom_the_bank_does_not_know_pays_with_another_card(
    running: Running,
) -> None:
    order_id = new_order("unknown")
    await running.shopper_answers(await running.taken_on(secure(order_id)), "fail")
    failed = await running.until(order_id, status="declined")
    assert failed["order_status"] == "open"
    assert failed["attempts"][0]["decline_code"] == "payment_intent_authentication_failure"
    await running.never_charged(order_id)

    await running.taken_on(by_token(order_id))

    await running.until(order_id)
    assert await attempts(running, order_id) == ["declined", "authorized"]
    await running.charged_once(order_id)


async def test_a_page_that_was_only_closed_can_be_opened_again(running: Running) -> None:
    order_id = new_order("closed")
    told = await running.taken_on(secure(order_id))
    back = await running.shopper_answers(told, "close")
    assert "redirect_status=pending" in back.headers["location"]
    assert (await running.read(order_id))["status"] == "requires_action"
    assert (await running.taken_on(secure(order_id)))["next_action"] == told["next_action"]

    await running.shopper_answers(told)

    await running.until(order_id)
    assert await attempts(running, order_id) == ["authorized"]
    await running.charged_once(order_id)


async def test_a_page_left_alone_is_closed_when_the_checkout_is_over(running: Running) -> None:
    order_id = new_order("abandoned")
    async with running.another_api(CHECKOUT_EXPIRY_SECONDS="5") as shop:
        told = await running.taken_on(secure(order_id), shop)
        assert told["status"] == "requires_action"
        order = await running.until(order_id, order_status="canceled")

    assert "expired" in [row["event"] for row in order["timeline"]]
    [intent] = (await running.ledger(order_id))["payment_intents"]
    assert intent["status"] == "canceled"
    assert (await running.shopper_answers(told)).status_code == 410
    problem(await running.initiate(by_token(order_id)), 409, "order-closed")
    await running.never_charged(order_id)


async def test_a_card_may_be_declined_although_its_bank_knows_the_shopper(
    running: Running,
) -> None:
    order_id = new_order("known")
    told = await running.taken_on(secure(order_id, AUTHENTICATED_AND_DECLINED))
    await running.shopper_answers(told)
    declined = await running.until(order_id, status="declined")
    assert declined["attempts"][0]["decline_code"] == "generic_decline"
    await running.never_charged(order_id)

    await running.shopper_answers(await running.taken_on(secure(order_id)))

    await running.until(order_id)
    await running.charged_once(order_id)


@pytest.mark.parametrize("number", [LOST, STOLEN])
async def test_a_card_declined_for_good_is_not_tried_again_in_any_form(
    running: Running, number: str
) -> None:
    order_id = new_order("for-good")
    by_card = request(order_id, credit_card=card(number))
    named = {LOST: "pm_card_chargeDeclinedLostCard", STOLEN: "pm_card_chargeDeclinedStolenCard"}
    told = problem(await running.initiate(by_card), 400, "payment-declined")
    assert (told["retryable"], told["another_method_may_be_tried"]) == (False, True)

    for again in (by_card, by_token(order_id, named[number])):
        problem(await running.initiate(again), 409, "card-not-accepted")

    await running.taken_on(request(order_id))
    await running.until(order_id)
    assert await attempts(running, order_id) == ["declined", "authorized"]
    await running.charged_once(order_id)


async def test_five_attempts_are_made_and_kept_and_no_sixth(running: Running) -> None:
    order_id = new_order("often")
    declined = by_token(order_id, "pm_card_chargeDeclinedInsufficientFunds")
    more = [
        problem(await running.initiate(declined), 400, "payment-declined")[
            "another_method_may_be_tried"
        ]
        for _ in range(5)
    ]
    assert more == [True, True, True, True, False]
    problem(await running.initiate(by_token(order_id)), 409, "too-many-attempts")

    order = await running.read(order_id)

    assert [attempt["number"] for attempt in order["attempts"]] == [1, 2, 3, 4, 5]
    assert {attempt["decline_code"] for attempt in order["attempts"]} == {"insufficient_funds"}
    assert (await running.ledger(order_id))["orders"][order_id]["payment_intents"] == 1
    await running.never_charged(order_id)


async def test_a_debit_card_pays_and_is_shown_as_one(running: Running) -> None:
    order_id = new_order("debit-card")
    paid = {**by_token(order_id, "pm_card_visa_debit"), "payment_method": "debit_card"}
    await running.taken_on(paid)
    order = await running.until(order_id)
    assert order["payment_method"] == {"type": "debit_card", "brand": "visa", "last4": "5556"}
    await running.charged_once(order_id)


# Wallets, and pages of the method's own.


@pytest.mark.parametrize(
    ("method", "token"),
    [("apple_pay", "pm_card_applePay"), ("google_pay", "pm_card_googlePay")],
)
async def test_a_wallets_token_pays_and_shows_which_wallet(
    running: Running, method: str, token: str
) -> None:
    order_id = new_order("wallet")
    await running.taken_on({**by_token(order_id, token), "payment_method": method})
    order = await running.until(order_id)
    assert order["payment_method"] == {"type": method, "brand": "visa", "last4": "4242"}
    await running.charged_once(order_id)


@pytest.mark.parametrize("method", REDIRECTS)
async def test_what_the_shopper_approves_elsewhere_is_paid_and_fulfilled(
    running: Running, method: str
) -> None:
    order_id = new_order(method)
    told = await running.taken_on(redirect(order_id, method))
    assert "no real money" in (await running.sandbox.get(told["next_action"]["url"])).text
    await running.never_charged(order_id)

    back = await running.shopper_answers(told)

    assert back.headers["location"].startswith(f"{RETURN_URL}?")
    order = await running.until(order_id)
    assert order["payment_method"]["type"] == method
    await running.charged_once(order_id)


@pytest.mark.parametrize(
    ("first", "second"), [("ideal", "paypal"), ("paypal", "klarna"), ("klarna", "ideal")]
)
async def test_who_turns_back_elsewhere_pays_another_way(
    running: Running, first: str, second: str
) -> None:
    order_id = new_order("turned-back")
    email = {"customer_email": "shopper@example.com"}
    told = await running.taken_on({**redirect(order_id, first), **email})
    await running.shopper_answers(told, "cancel")
    declined = await running.until(order_id, status="declined")
    assert declined["attempts"][0]["decline_code"] == "payment_method_customer_decline"
    await running.never_charged(order_id)

    told = await running.taken_on({**redirect(order_id, second), **email})
    assert told["payment_method"]["type"] == second
    await running.shopper_answers(told)

    await running.until(order_id)
    await running.charged_once(order_id)


async def test_who_leaves_the_page_and_pays_by_card_is_charged_once(running: Running) -> None:
    order_id = new_order("left")
    left = await running.taken_on(redirect(order_id, "ideal"))

    await running.taken_on(by_token(order_id, currency="eur"))

    assert (await running.shopper_answers(left)).status_code == 410
    order = await running.until(order_id)
    assert order["payment_method"]["type"] == "credit_card"
    await running.charged_once(order_id)


async def test_who_approved_unheard_and_then_pays_by_card_is_charged_once(
    running: Running,
) -> None:
    order_id = new_order("unheard")
    async with running.deliveries_held():
        await running.shopper_answers(await running.taken_on(redirect(order_id, "ideal")))
        assert (await running.read(order_id))["status"] == "requires_action"
        await running.taken_on(by_token(order_id, currency="eur"))
    await running.until(order_id)
    await running.charged_once(order_id)


# Bank debits: certain only days later.


@pytest.mark.parametrize(("method", "account", "currency"), DEBITS)
async def test_a_debit_ships_once_the_bank_has_paid(
    running: Running, method: str, account: str, currency: str
) -> None:
    order_id, before = new_order("debit"), await running.on_the_shelf()
    told = await running.taken_on(debit(order_id, method, f"{account}_success", currency))
    assert told["status"] == "processing"
    await running.callbacks_delivered(order_id)
    await running.at_rest(order_id)
    order = await running.read(order_id)
    assert [row["event"] for row in order["timeline"]] == ["initiated", "attempted", "processing"]
    assert (order["order_status"], order["captured"]) == ("open", "0.00")
    assert not await running.shipped(order_id)
    assert await running.on_the_shelf() == before

    await running.control("settle", id=told["transaction_id"])

    order = await running.until(order_id)
    assert (order["status"], order["captured"]) == ("captured", "49.99")
    assert await running.shipped(order_id)
    assert await running.on_the_shelf() == before - 1
    await running.charged_once(order_id)


@pytest.mark.parametrize(
    ("method", "token", "currency", "reason"),
    [
        ("sepa_debit", "pm_sepaDebit_failed", "eur", "generic_could_not_process"),
        ("ach_debit", "pm_usBankAccount_insufficientFunds", "usd", "insufficient_funds"),
    ],
)
async def test_a_debit_that_the_bank_sends_back_ships_and_costs_nothing(
    running: Running, method: str, token: str, currency: str, reason: str
) -> None:
    order_id, before = new_order("bounced"), await running.on_the_shelf()
    told = await running.taken_on(debit(order_id, method, token, currency))

    await running.control("settle", id=told["transaction_id"])

    order = await running.until(order_id, status="declined")
    assert order["attempts"][0]["decline_code"] == reason
    assert "step_done" not in [row["event"] for row in order["timeline"]]
    assert not await running.shipped(order_id)
    assert await running.on_the_shelf() == before
    assert set((await running.money(order_id, currency)).values()) == {0}


# Saved for later.


async def test_a_saved_card_is_listed_and_pays_a_later_order_by_itself(running: Running) -> None:
    customer, number = new_order("customer"), canary()
    first, later = new_order("first"), new_order("later")
    whose = {"customer_id": customer}
    await running.taken_on(
        request(first, credit_card=card(number), save_payment_method=True, **whose)
    )

    [kept] = await saved(running, customer)

    last4 = number[-4:]
    assert kept["payment_method"] == {"type": "credit_card", "brand": "visa", "last4": last4}
    token = kept["payment_method_token"]
    told = await running.taken_on(by_token(later, token, off_session=True, **whose))
    assert told["payment_method"]["last4"] == last4
    for order_id in (first, later):
        await running.until(order_id)
        await running.charged_once(order_id)


async def test_a_saved_card_whose_bank_wants_the_shopper_waits_for_them(running: Running) -> None:
    customer = new_order("customer")
    first, later = new_order("first"), new_order("later")
    asked = {"customer_id": customer, "return_url": RETURN_URL}
    always = by_token(first, "pm_card_authenticationRequired", save_payment_method=True, **asked)
    await running.shopper_answers(await running.taken_on(always))
    await running.until(first)
    [kept] = await saved(running, customer)

    alone = by_token(later, kept["payment_method_token"], off_session=True, **asked)
    told = await running.taken_on(alone)

    assert told["status"] == "requires_action"
    assert told["next_action"]["type"] == "redirect"
    await running.never_charged(later)
    await running.shopper_answers(told)
    await running.until(later)
    assert await attempts(running, later) == ["authorized"]
    await running.charged_once(later)


# What is offered.


async def test_dollars_and_euros_are_paid_in_different_ways(running: Running) -> None:
    anywhere = ["credit_card", "debit_card", "apple_pay", "google_pay"]
    assert await offered(running, "usd") == [*anywhere, "paypal", "klarna", "ach_debit"]
    assert await offered(running, "eur") == [*anywhere, "ideal", "paypal", "klarna", "sepa_debit"]


async def test_a_way_that_is_not_offered_is_answered_with_those_that_are(running: Running) -> None:
    order_id = new_order("ideal")
    dollars = {**redirect(order_id, "ideal"), "currency": "usd"}
    told = problem(await running.initiate(dollars), 400, "payment-method-not-offered")
    assert told["offered"] == await offered(running, "usd")
    assert "49.99 USD" in told["detail"]
    assert (await running.shop.get(f"/api/payment/{order_id}")).status_code == 404
