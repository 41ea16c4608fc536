"""Every way to pay: which are offered, what each needs, and that each pays an order."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.domain.methods import Method
from app.embedded.ports import free_port
from app.embedded.services import ApiPart
from tests.api.problems import places, problem
from tests.in_clear import decrypted
from tests.walk.cards import canary, found_in
from tests.walk.running import INITIATE, Json, Running, by_token, card, new_order, request

WAYS = "/api/payment-methods"
MANDATE = {"ip_address": "203.0.113.7", "user_agent": "Browser/1.0"}
RETURN_URL = "https://shop.example.com/back"
CARDS = ["credit_card", "debit_card"]
WALLETS = ["apple_pay", "google_pay"]


def order(method: str, **more: Any) -> Json:
    """What a storefront sends to have a new order of 49.99 euros paid."""
    order_id = new_order(method.replace("_", "-"))
    needed = {"order_id": order_id, "amount": "49.99", "currency": "eur"}
    return {**needed, "payment_method": method, **more}


def debit(account: str = "success", **more: Any) -> Json:
    token = f"pm_sepaDebit_{account}"
    return order("sepa_debit", payment_method_token=token, mandate=MANDATE, **more)


async def paid(running: Running, body: Json) -> Json:
    """The answer to a request that is taken on."""
    answer = await running.initiate(body)
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


async def approved(running: Running, told: Json, outcome: str = "approve") -> None:
    """The shopper answers on the page that they were sent to."""
    assert told["status"] == "requires_action"
    assert told["next_action"]["type"] == "redirect"
    page = await running.sandbox.post(told["next_action"]["url"], data={"outcome": outcome})
    assert page.headers["location"].startswith(RETURN_URL)


async def settled(running: Running, told: Json) -> None:
    """The bank's days have passed."""
    assert told["status"] == "processing"
    await running.control("settle", id=told["transaction_id"])


# What is offered.


@pytest.mark.parametrize(
    ("currency", "amount", "redirects", "debits"),
    [
        ("eur", "49.99", ["ideal", "paypal", "klarna"], ["sepa_debit"]),
        ("USD", "49.99", ["paypal", "klarna"], ["ach_debit"]),
        ("jpy", "500", [], []),
    ],
)
async def test_what_is_offered_depends_on_the_currency(
    running: Running, currency: str, amount: str, redirects: list[str], debits: list[str]
) -> None:
    answer = await running.shop.get(WAYS, params={"currency": currency, "amount": amount})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["amount"], told["currency"], told["saved"]) == (amount, currency.lower(), [])
    offered = [way["payment_method"] for way in told["methods"]]
    assert offered == [*CARDS, *WALLETS, *redirects, *debits]


async def test_the_shops_own_currency_is_offered_where_none_is_named(running: Running) -> None:
    answer = await running.shop.get(WAYS, params={"amount": "1.1"})
    assert (answer.json()["amount"], answer.json()["currency"]) == ("1.10", "usd")


async def test_an_offer_says_what_it_needs_and_can_do(running: Running) -> None:
    answer = await running.shop.get(WAYS, params={"amount": "49.99", "currency": "eur"})
    ways = {way.pop("payment_method"): way for way in answer.json()["methods"]}
    assert ways["credit_card"] == {
        "flow": "card",
        "requires": [],
        "requires_one_of": ["payment_method_token", "credit_card"],
        "separate_capture": True,
        "can_be_saved": True,
    }
    assert ways["ideal"] == {
        "flow": "redirect",
        "requires": ["return_url"],
        "requires_one_of": [],
        "separate_capture": False,
        "can_be_saved": False,
    }
    assert ways["sepa_debit"] == {
        "flow": "bank_debit",
        "requires": ["payment_method_token", "mandate"],
        "requires_one_of": [],
        "separate_capture": False,
        "can_be_saved": True,
    }
    assert {name: way["flow"] for name, way in ways.items() if name in WALLETS} == dict.fromkeys(
        WALLETS, "wallet"
    )


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({}, "amount"),
        ({"amount": "0.49", "currency": "usd"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1e2"}, "amount"),
        ({"amount": "49.999"}, "amount"),
        ({"amount": "49.99", "currency": "jpy"}, "amount"),
        ({"amount": "49.99", "currency": "xxx"}, "currency"),
        ({"amount": "49.99", "currency": "dollars"}, "currency"),
        ({"amount": "49.99", "customer_id": "a b"}, "customer_id"),
        ({"amount": "49.99", "customer_id": canary()}, "address"),
    ],
)
async def test_nothing_is_offered_for_what_cannot_be_charged(
    running: Running, query: dict[str, str], location: str
) -> None:
    answer = await running.shop.get(WAYS, params=query)
    assert places(answer) == [location]
    assert not found_in(answer.content)


async def test_strangers_are_offered_nothing(running: Running) -> None:
    async with running.storefront(running.stack.api_url, None) as stranger:
        problem(await stranger.get(WAYS, params={"amount": "49.99"}), 401, "unauthorized")


@pytest.mark.parametrize("method", ["cash", "Credit Card", "", "ideal", canary()])
async def test_what_is_not_offered_is_told_with_what_is(running: Running, method: str) -> None:
    order_id = new_order("cash")
    ways = (await running.shop.get(WAYS, params={"amount": "49.99"})).json()["methods"]

    answer = await running.initiate(by_token(order_id, payment_method=method))

    told = problem(answer, 400, "payment-method-not-offered")
    assert told["offered"] == [way["payment_method"] for way in ways]
    assert "49.99 USD" in told["detail"]
    assert not found_in(answer.content)
    assert (await running.shop.get(f"/api/payment/{order_id}")).status_code == 404


class ParticularApi(ApiPart):
    """A second API on the same stack, for a shop with few ways to pay."""

    name = "particular api"


@pytest.fixture(scope="module")
async def particular(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """It takes cards and iDEAL only, and cards only as tokens."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **running.stack.api.environment(),
        "API_PORT": str(port),
        "ACCEPT_RAW_CARDS": "false",
        "PAYMENT_METHODS": "credit_card, ideal",
    }
    await running.stack.supervisor.start(ParticularApi(url, port, environment))
    async with running.storefront(url) as client:
        yield client
    await running.kill("particular api")


async def test_a_shop_offers_what_its_account_has_activated(
    running: Running, particular: httpx.AsyncClient
) -> None:
    answer = await particular.get(WAYS, params={"amount": "49.99", "currency": "eur"})
    [by_card, ideal] = answer.json()["methods"]
    assert (by_card["payment_method"], ideal["payment_method"]) == ("credit_card", "ideal")
    assert by_card["requires"] == ["payment_method_token"]
    assert by_card["requires_one_of"] == []

    body = order("paypal", return_url=RETURN_URL)
    told = problem(await particular.post(INITIATE, json=body), 400, "payment-method-not-offered")
    assert told["offered"] == ["credit_card", "ideal"]


# What each needs.


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (order("credit_card"), ["payment_method_token"]),
        (order("apple_pay"), ["payment_method_token"]),
        (order("ideal"), ["return_url"]),
        (order("paypal"), ["return_url"]),
        (order("klarna"), ["billing_country", "customer_email", "return_url"]),
        (order("sepa_debit"), ["mandate", "payment_method_token"]),
        (order("ach_debit", currency="usd"), ["mandate", "payment_method_token"]),
        (
            order("apple_pay", credit_card=card(canary())),
            ["credit_card"],
        ),
        (
            order("ideal", return_url=RETURN_URL, credit_card=card(canary())),
            ["credit_card"],
        ),
        (order("ideal", return_url=RETURN_URL, capture="manual"), ["capture"]),
        (debit(capture="manual"), ["capture"]),
        (debit(save_payment_method=True), ["customer_id"]),
        (
            order("ideal", return_url=RETURN_URL, customer_id="c", save_payment_method=True),
            ["save_payment_method"],
        ),
        (debit(off_session=True), ["customer_id"]),
        (order("credit_card", off_session=True, customer_id="c"), ["payment_method_token"]),
        (
            order("credit_card", off_session=True, customer_id="c", credit_card=card(canary())),
            ["payment_method_token"],
        ),
        (
            order("paypal", off_session=True, customer_id="c", payment_method_token="pm_paypal"),
            ["off_session"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value["payment_method"],
)
async def test_what_a_way_to_pay_lacks_is_told_by_its_field(
    running: Running, body: Json, wrong: list[str]
) -> None:
    answer = await running.initiate(body)
    assert places(answer) == wrong
    assert not found_in(answer.content)
    assert (await running.shop.get(f"/api/payment/{body['order_id']}")).status_code == 404


async def test_an_order_to_be_captured_later_stays_so_for_every_attempt(running: Running) -> None:
    body = order("credit_card", payment_method_token="pm_card_chargeDeclined", capture="manual")
    problem(await running.initiate(body), 400, "payment-declined")
    ideal = {"payment_method": "ideal", "return_url": RETURN_URL, "payment_method_token": None}
    again = await running.initiate({**body, **ideal, "capture": "automatic"})
    assert places(again) == ["capture"]
    await running.never_charged(body["order_id"])


async def test_an_order_without_an_address_for_mail_is_not_one_for_klarna(running: Running) -> None:
    body = order("credit_card", payment_method_token="pm_card_chargeDeclined")
    problem(await running.initiate(body), 400, "payment-declined")
    klarna = {
        "order_id": body["order_id"],
        "return_url": RETURN_URL,
        "billing_country": "de",
        "customer_email": "shopper@example.com",
    }
    assert places(await running.initiate(order("klarna", **klarna))) == ["customer_email"]


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("a", None), (None, "b")])
async def test_an_order_is_one_customers(
    running: Running, first: str | None, second: str | None
) -> None:
    order_id = new_order("whose")
    declined = by_token(order_id, "pm_card_chargeDeclined", customer_id=first)
    problem(await running.initiate(declined), 400, "payment-declined")
    answer = await running.initiate(by_token(order_id, customer_id=second))
    assert order_id in problem(answer, 409, "order-mismatch")["detail"]
    same = await running.initiate(by_token(order_id, customer_id=first))
    assert same.status_code == 200, same.text


async def test_where_a_debit_was_allowed_from_is_kept_with_the_order_only(running: Running) -> None:
    body = order("credit_card", payment_method_token="pm_card_chargeDeclined")
    key = {"Idempotency-Key": "second"}
    problem(await running.initiate(body), 400, "payment-declined")
    kept = "SELECT sealed_mandate FROM orders WHERE order_id = %s"
    assert await running.query(kept, body["order_id"]) == [(None,)]

    second = debit(order_id=body["order_id"])
    answer = await running.initiate(second, headers=key)

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "processing"
    [(sealed,)] = await running.query(kept, body["order_id"])
    assert sealed is not None
    assert MANDATE["ip_address"] not in sealed
    elsewhere = "SELECT count(*) FROM payment_events WHERE fact::text LIKE %s"
    assert await running.query(elsewhere, f"%{MANDATE['ip_address']}%") == [(0,)]
    temporal = await running.temporal()
    workflow = temporal.get_workflow_handle(f"payment-{body['order_id']}")
    told = await decrypted(temporal, (await workflow.fetch_history()).events)
    assert second["payment_method_token"].encode() in told
    assert MANDATE["ip_address"].encode() not in told
    other = {**second, "mandate": {**MANDATE, "ip_address": "203.0.113.8"}}
    again = await running.initiate(other, headers=key)
    assert again.json()["transaction_id"] == answer.json()["transaction_id"]
    assert await running.query(kept, body["order_id"]) == [(sealed,)]


# Each way pays.


@pytest.mark.parametrize("method", WALLETS)
async def test_a_wallet_pays(running: Running, method: str) -> None:
    token = {"apple_pay": "pm_card_applePay", "google_pay": "pm_card_googlePay"}[method]
    body = order(method, payment_method_token=token)
    told = await paid(running, body)
    assert told["payment_method"] == {"type": method, "brand": "visa", "last4": "4242"}
    await running.until(body["order_id"])
    await running.charged_once(body["order_id"])


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("ideal", {}),
        ("paypal", {}),
        ("klarna", {"customer_email": "shopper@example.com", "billing_country": "de"}),
    ],
)
async def test_a_page_of_its_own_pays_once_the_shopper_has_approved(
    running: Running, method: str, more: Json
) -> None:
    body = order(method, return_url=RETURN_URL, **more)
    told = await paid(running, body)
    assert told["payment_method"]["type"] == method
    assert (await paid(running, body))["next_action"] == told["next_action"]

    await approved(running, told)

    done = await running.until(body["order_id"])
    assert done["payment_method"]["type"] == method
    await running.charged_once(body["order_id"])


async def test_a_page_that_the_shopper_turns_down_leaves_room_for_a_card(running: Running) -> None:
    body = order("ideal", return_url=RETURN_URL)
    await approved(running, await paid(running, body), outcome="cancel")
    await running.until(body["order_id"], status="declined")

    card_ = order("credit_card", order_id=body["order_id"], payment_method_token="pm_card_visa")
    await paid(running, card_)

    done = await running.until(body["order_id"])
    assert [attempt["status"] for attempt in done["attempts"]] == ["declined", "authorized"]
    await running.charged_once(body["order_id"])


async def test_a_shopper_who_leaves_the_page_pays_by_card_and_the_page_is_void(
    running: Running,
) -> None:
    body = order("ideal", return_url=RETURN_URL)
    left = await paid(running, body)
    assert (await paid(running, body))["next_action"] == left["next_action"]
    by_card = {**by_token(body["order_id"]), "amount": "49.99", "currency": "eur"}
    assert (await paid(running, by_card))["status"] == "authorized"
    late = await running.sandbox.post(left["next_action"]["url"], data={"outcome": "approve"})
    assert late.status_code == 410
    await running.until(body["order_id"])
    again = await running.initiate(body)
    assert (again.status_code, again.json()["status"]) == (200, "captured")
    await running.charged_once(body["order_id"])


async def test_paypal_can_be_held_until_the_storefront_asks(running: Running) -> None:
    body = order("paypal", return_url=RETURN_URL, capture="manual")
    await approved(running, await paid(running, body))
    held = await running.until(body["order_id"], status="authorized")
    assert held["captured"] == "0.00"
    taken = await running.shop.post(f"/api/payment/{body['order_id']}/capture")
    assert taken.status_code == 200, taken.text
    await running.until(body["order_id"])
    await running.charged_once(body["order_id"])


@pytest.mark.parametrize(
    ("method", "token", "currency"),
    [
        ("sepa_debit", "pm_sepaDebit_success", "eur"),
        ("ach_debit", "pm_usBankAccount_success", "usd"),
    ],
)
async def test_a_debit_ships_nothing_before_the_money_is_certain(
    running: Running, method: str, token: str, currency: str
) -> None:
    body = order(method, payment_method_token=token, mandate=MANDATE, currency=currency)
    told = await paid(running, body)
    assert told["payment_method"]["type"] == method
    await running.callbacks_delivered(body["order_id"])
    read = await running.read(body["order_id"])
    assert (read["status"], read["order_status"]) == ("processing", "open")
    assert [row["event"] for row in read["timeline"]] == ["initiated", "attempted", "processing"]
    assert (await paid(running, body))["status"] == "processing"

    await settled(running, told)

    done = await running.until(body["order_id"])
    assert done["captured"] == "49.99"
    await running.charged_once(body["order_id"])


async def test_a_debit_that_fails_days_later_leaves_room_for_a_card(running: Running) -> None:
    body = debit("failed")
    await settled(running, await paid(running, body))
    failed = await running.until(body["order_id"], status="declined")
    assert failed["order_status"] == "open"
    card_ = order("credit_card", order_id=body["order_id"], payment_method_token="pm_card_visa")
    await paid(running, card_)
    await running.until(body["order_id"])
    await running.charged_once(body["order_id"])


# Saved for later.


async def saved(running: Running, customer_id: str, currency: str = "eur") -> list[Json]:
    query = {"amount": "49.99", "currency": currency, "customer_id": customer_id}
    answer = await running.shop.get(WAYS, params=query)
    assert answer.status_code == 200, answer.text
    kept: list[Json] = answer.json()["saved"]
    return kept


async def test_a_saved_card_pays_without_the_shopper(running: Running) -> None:
    customer = new_order("customer")
    number = canary()
    first = request(
        new_order("first"),
        currency="eur",
        credit_card=card(number),
        customer_id=customer,
        save_payment_method=True,
    )
    assert await saved(running, customer) == []
    await paid(running, first)

    [kept] = await saved(running, customer)
    assert kept["payment_method"] == {
        "type": "credit_card",
        "brand": "visa",
        "last4": number[-4:],
    }
    assert kept["payment_method_token"].startswith("pm_")
    later = order(
        "credit_card",
        payment_method_token=kept["payment_method_token"],
        customer_id=customer,
        off_session=True,
    )
    told = await paid(running, later)

    assert told["payment_method"]["last4"] == number[-4:]
    for order_id in (first["order_id"], later["order_id"]):
        await running.until(order_id)
        await running.charged_once(order_id)
    read = await running.shop.get(f"/api/payment/{later['order_id']}")
    assert "fingerprint" not in read.text


async def test_a_saved_account_is_debited_without_the_shopper(running: Running) -> None:
    customer = new_order("customer")
    first = debit(customer_id=customer, save_payment_method=True)
    await settled(running, await paid(running, first))
    [kept] = await saved(running, customer)
    assert kept["payment_method"]["type"] == "sepa_debit"
    assert await saved(running, customer, currency="usd") == []

    later = order(
        "sepa_debit",
        payment_method_token=kept["payment_method_token"],
        customer_id=customer,
        off_session=True,
    )
    await settled(running, await paid(running, later))

    for order_id in (first["order_id"], later["order_id"]):
        await running.until(order_id)
        await running.charged_once(order_id)


async def test_what_one_customer_saved_does_not_pay_for_another(running: Running) -> None:
    owner, other = new_order("owner"), new_order("other")
    first = by_token(new_order("first"), customer_id=owner, save_payment_method=True)
    await paid(running, first)
    [kept] = await saved(running, owner)
    token = kept["payment_method_token"]

    stolen = by_token(new_order("stolen"), token, customer_id=other, off_session=True)
    answer = await running.initiate(stolen)

    problem(answer, 400, "payment-method-refused")
    await running.never_charged(stolen["order_id"])
    assert await saved(running, other) == []


async def test_without_the_gateway_nothing_is_said_of_saved_methods(running: Running) -> None:
    customer = new_order("customer")
    body = by_token(new_order("first"), customer_id=customer, save_payment_method=True)
    await paid(running, body)
    query = {"amount": "49.99", "customer_id": customer}
    async with running.without("sandbox"):
        away = await running.shop.get(WAYS, params=query)
        anyone = await running.shop.get(WAYS, params={"amount": "49.99"})
    problem(away, 503, "service-unavailable")
    assert int(away.headers["retry-after"]) > 0
    assert len(anyone.json()["methods"]) == len(Method) - len({"ideal", "sepa_debit"})
    [kept] = (await running.shop.get(WAYS, params=query)).json()["saved"]
    assert kept["payment_method"]["last4"] == "4242"


async def test_a_customer_whom_the_gateway_has_forgotten_has_nothing_saved(
    running: Running,
) -> None:
    customer = new_order("customer")
    body = by_token(new_order("first"), customer_id=customer, save_payment_method=True)
    await paid(running, body)
    await running.control(
        "faults", method="GET", path="/v1/customers/.+/payment_methods", status=404
    )
    assert await saved(running, customer, currency="usd") == []
    await running.until_hit()
    assert len(await saved(running, customer, currency="usd")) == 1


# The API's own examples.


async def test_the_documented_requests_are_taken_on(running: Running) -> None:
    described = await running.description()
    documented = described["paths"][INITIATE]["post"]["requestBody"]["content"]
    examples = documented["application/json"]["examples"]
    customer = new_order("customer")
    first = by_token(new_order("first"), customer_id=customer, save_payment_method=True)
    await paid(running, first)
    [kept] = await saved(running, customer, currency="usd")
    for name, example in examples.items():
        body = {**example["value"], "order_id": new_order(name)}
        if body.get("off_session"):
            body |= {
                "customer_id": customer,
                "payment_method_token": kept["payment_method_token"],
            }
        await paid(running, body)
    assert {"token", "card", "wallet", "ideal", "sepa_debit", "off_session"} <= examples.keys()
