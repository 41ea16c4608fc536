"""What a storefront may send to have an order paid, and what it is told of a wrong request."""

import json
from typing import Any

import httpx
import pytest

from app.api.schemas import InitiateRequest, secret_free
from app.domain.card_numbers import blotted
from tests.api.problems import problem
from tests.walk.cards import canary, check_digit, found_in, spaced
from tests.walk.running import INITIATE, Json, Running, by_token, card, new_order, request

JSON = {"Content-Type": "application/json"}
NUMBER = canary()
MANDATE = {"ip_address": "203.0.113.7", "user_agent": "Browser/1.0"}


class _Missing:
    """Stands for a field that is left out."""

    def __repr__(self) -> str:  # test names must be the same in every process
        return "missing"


MISSING: Any = _Missing()


async def send(running: Running, content: str | bytes, **headers: str) -> httpx.Response:
    return await running.shop.post(INITIATE, content=content, headers={**JSON, **headers})


def refused(answer: httpx.Response, location: str) -> None:
    """A problem that says where, and nothing of the card."""
    told = without_the_card(answer, 400, "invalid-request")
    assert location in [error["location"] for error in told["errors"]], told


def without_the_card(answer: httpx.Response, status: int, name: str) -> Json:
    """The problem that `answer` is."""
    told = problem(answer, status, name)
    assert told["title"]
    assert not found_in(answer.content)
    assert "123" not in answer.text
    return told


@pytest.mark.parametrize(
    ("written", "currency", "told"),
    [
        ("49.99", "usd", "49.99"),
        ('"49.99"', "usd", "49.99"),
        ("19.99", "usd", "19.99"),
        ("1.1", "usd", "1.10"),
        ("100", "usd", "100.00"),
        ("1e2", "usd", "100.00"),
        ("0.10e1", "usd", "1.00"),
        ('"100"', "USD", "100.00"),
        ("1.500", "usd", "1.50"),
        ("500", "jpy", "500"),
        ("1.230", "kwd", "1.230"),
        ("999999.99", "usd", "999999.99"),
    ],
)
async def test_an_amount_is_taken_exactly_as_it_is_written(
    running: Running, written: str, currency: str, told: str
) -> None:
    order_id = new_order("amount")
    answer = await send(
        running,
        f'{{"order_id": "{order_id}", "payment_method": "credit_card", "amount": {written}, '
        f'"currency": "{currency}", "payment_method_token": "pm_card_visa"}}',
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["amount"], answer.json()["currency"]) == (told, currency.lower())


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("90071992547409.93", "90071992547409.93 USD"),
        ('"90071992547409.93"', "90071992547409.93 USD"),
        ("0.1", "0.10 USD"),
        ("0.4999999999999999999", "2 decimal places"),
        ("0.500000000000000000001", "2 decimal places"),
        ("49.990000000000000001", "2 decimal places"),
        ("49.999", "2 decimal places"),
        ("0", "more than zero"),
        ("0.00", "more than zero"),
        ("-1", "not an amount"),
        ("-0.0", "more than zero"),
        ('"-1"', "not an amount"),
        ('"1e2"', "not an amount"),
        ('"1,000.00"', "not an amount"),
        ('" 49.99"', "not an amount"),
        ('"٤٩"', "not an amount"),
        ('""', "not an amount"),
        ("true", "not an amount"),
        ("null", "not an amount"),
        ("[49.99]", "not an amount"),
        ("{}", "not an amount"),
        ("1e999999", "out of range"),
        ("1e-999999", "out of range"),
    ],
)
async def test_an_amount_that_cannot_be_charged_exactly_is_refused(
    running: Running, written: str, told: str
) -> None:
    answer = await send(
        running,
        f'{{"order_id": "{new_order("amount")}", "payment_method": "credit_card", '
        f'"amount": {written}, "payment_method_token": "pm_card_visa"}}',
    )
    refused(answer, "amount")
    assert told in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("amount", "currency", "location"),
    [
        ("10.5", "jpy", "amount"),
        ("1.234", "kwd", "amount"),
        ("0.49", "usd", "amount"),
        ("1.00", "xxx", "currency"),
        ("1.00", "us", "currency"),
        ("1.00", "dollars", "currency"),
    ],
)
async def test_currencies_have_their_own_decimals_and_smallest_charge(
    running: Running, amount: str, currency: str, location: str
) -> None:
    body = by_token(new_order("currency"), amount=amount, currency=currency)
    refused(await running.initiate(body), location)


@pytest.mark.parametrize(
    "changed",
    [
        {"number": spaced(canary())},
        {"number": spaced(canary(), "-")},
        {"expiry_year": "2030"},
        {"expiry_year": 30},
        {"expiry_year": 2030},
        {"expiry_month": "1"},
        {"expiry_month": "01"},
        {"expiry_month": 1},
        {"expiry_month": 1.0, "expiry_year": 30.0},
        {"cvv": None},
    ],
    ids=lambda value: blotted(str(value))[:60],
)
async def test_a_card_may_be_written_as_people_write_it(running: Running, changed: Json) -> None:
    body = request(new_order("card"), credit_card={**card(canary()), **changed})
    answer = await running.initiate(body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("method", ["credit_card", "debit_card"])
async def test_a_debit_card_is_a_card(running: Running, method: str) -> None:
    body = request(new_order("debit"), payment_method="debit_card")
    body[method] = body.pop("credit_card")
    answer = await running.initiate(body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment_method"]["last4"] == body[method]["number"][-4:]


def wrong_digit(number: str) -> str:
    return number[:-1] + str((int(number[-1]) + 1) % 10)


@pytest.mark.parametrize(
    ("changed", "location"),
    [
        ({"number": wrong_digit(NUMBER)}, "credit_card.number"),
        ({"number": NUMBER[:11]}, "credit_card.number"),
        ({"number": NUMBER * 2}, "credit_card.number"),
        ({"number": f"{NUMBER} x"}, "credit_card.number"),
        ({"number": int(NUMBER)}, "credit_card.number"),
        ({"number": [NUMBER]}, "credit_card.number"),
        ({"number": {NUMBER: NUMBER}}, "credit_card.number"),
        ({"number": None}, "credit_card.number"),
        ({"number": MISSING}, "credit_card.number"),
        ({"expiry_month": "0"}, "credit_card.expiry_month"),
        ({"expiry_month": "13"}, "credit_card.expiry_month"),
        ({"expiry_month": "1.5"}, "credit_card.expiry_month"),
        ({"expiry_month": True}, "credit_card.expiry_month"),
        ({"expiry_month": 1.5}, "credit_card.expiry_month"),
        ({"expiry_month": 1e30}, "credit_card.expiry_month"),
        ({"expiry_month": NUMBER}, "credit_card.expiry_month"),
        ({"expiry_month": MISSING}, "credit_card.expiry_month"),
        ({"expiry_year": "1999"}, "credit_card.expiry_year"),
        ({"expiry_year": "x"}, "credit_card.expiry_year"),
        ({"expiry_year": MISSING}, "credit_card.expiry_year"),
        ({"expiry_month": "1", "expiry_year": "20"}, "credit_card"),
        ({"cvv": "12"}, "credit_card.cvv"),
        ({"cvv": 1234}, "credit_card.cvv"),
        ({"cvv": NUMBER}, "credit_card.cvv"),
        ({"cvv": "١٢٣"}, "credit_card.cvv"),
        ({"pin": "1234"}, "credit_card.pin"),
        ({NUMBER: "1234"}, "credit_card.…"),
        ({spaced(NUMBER): "1234"}, "credit_card.…"),
    ],
    ids=lambda value: blotted(str(value))[:60],
)
async def test_a_wrong_card_is_told_by_its_field_and_never_repeated(
    running: Running, changed: Json, location: str
) -> None:
    changes = {**card(NUMBER), **changed}
    body = request(new_order("wrong"), credit_card=_present(changes))
    refused(await running.initiate(body), location)


def _present(fields: Json) -> Json:
    """`fields` and those within, without the missing ones."""
    return {
        name: _present(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not MISSING
    }


@pytest.mark.parametrize(
    ("changed", "location"),
    [
        ({"order_id": MISSING}, "order_id"),
        ({"order_id": ""}, "order_id"),
        ({"order_id": "x" * 65}, "order_id"),
        ({"order_id": "a b"}, "order_id"),
        ({"order_id": "a/b"}, "order_id"),
        ({"order_id": "order\n"}, "order_id"),
        ({"order_id": "ordér"}, "order_id"),
        ({"order_id": 12345}, "order_id"),
        ({"order_id": None}, "order_id"),
        ({"order_id": NUMBER}, "order_id"),
        ({"order_id": spaced(NUMBER, "-")}, "order_id"),
        ({"order_id": f"order_{NUMBER}"}, "order_id"),
        ({"payment_method": MISSING}, "payment_method"),
        ({"payment_method": ["credit_card"]}, "payment_method"),
        ({"payment_method": None}, "payment_method"),
        ({"amount": MISSING}, "amount"),
        ({"amount": NUMBER}, "amount"),
        ({"currency": 840}, "currency"),
        ({"currency": NUMBER}, "currency"),
        ({"credit_card": NUMBER}, "credit_card"),
        ({"credit_card": [card(NUMBER)]}, "credit_card"),
        ({"credit_card": {}}, "credit_card.number"),
        ({"credit_card": MISSING}, "payment_method_token"),
        ({"credit_card": None}, "payment_method_token"),
        ({"payment_method_token": "pm_card_visa"}, "body"),
        ({"payment_method_token": NUMBER}, "payment_method_token"),
        ({"payment_method_token": f"pm_{NUMBER}"}, "payment_method_token"),
        ({"payment_method_token": ""}, "payment_method_token"),
        ({"debit_card": card(NUMBER)}, "debit_card"),
        ({"capture": "later"}, "capture"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": f"https://shop.example.com/{NUMBER}"}, "return_url"),
        ({"return_url": "https://shop.example.com/" + "x" * 3000}, "return_url"),
        ({"metadata": "sku"}, "metadata"),
        ({"metadata": {"sku": 1}}, "metadata.sku"),
        ({"metadata": {"sku": "x" * 501}}, "metadata.sku"),
        ({"metadata": {"sku": "\x00"}}, "metadata.sku"),
        ({"metadata": {"sku": "\ud800"}}, "metadata.sku"),
        ({"metadata": {"card": spaced(NUMBER)}}, "metadata.card"),
        ({"metadata": {NUMBER: "x"}}, "metadata.…"),
        ({"metadata": {str(n): "x" for n in range(51)}}, "metadata"),
        ({"customer_email": "shopper"}, "customer_email"),
        ({"customer_email": "a@example.com\nBcc: b@example.com"}, "customer_email"),
        ({"customer_email": f"{NUMBER}@example.com"}, "customer_email"),
        ({"customer_email": f"{spaced(NUMBER)}"}, "customer_email"),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": "x" * 65}, "customer_id"),
        ({"customer_id": "a b"}, "customer_id"),
        ({"customer_id": 678}, "customer_id"),
        ({"customer_id": NUMBER}, "customer_id"),
        ({"save_payment_method": "yes"}, "save_payment_method"),
        ({"save_payment_method": 1}, "save_payment_method"),
        ({"off_session": "true"}, "off_session"),
        ({"billing_country": "NLD"}, "billing_country"),
        ({"billing_country": "N1"}, "billing_country"),
        ({"billing_country": "ß"}, "billing_country"),
        ({"billing_country": 31}, "billing_country"),
        ({"mandate": NUMBER}, "mandate"),
        ({"mandate": {**MANDATE, "ip_address": MISSING}}, "mandate.ip_address"),
        ({"mandate": {**MANDATE, "ip_address": NUMBER}}, "mandate.ip_address"),
        ({"mandate": {**MANDATE, "ip_address": 3405803783}}, "mandate.ip_address"),
        ({"mandate": {**MANDATE, "ip_address": "203.0.113.300"}}, "mandate.ip_address"),
        ({"mandate": {**MANDATE, "ip_address": f"fe80::1%{NUMBER}"}}, "mandate.ip_address"),
        ({"mandate": {**MANDATE, "user_agent": MISSING}}, "mandate.user_agent"),
        ({"mandate": {**MANDATE, "user_agent": ""}}, "mandate.user_agent"),
        ({"mandate": {**MANDATE, "user_agent": "x" * 401}}, "mandate.user_agent"),
        ({"mandate": {**MANDATE, "user_agent": f"Browser {NUMBER}"}}, "mandate.user_agent"),
        ({"mandate": {**MANDATE, "country": "NL"}}, "mandate.country"),
        ({"unknown": NUMBER}, "unknown"),
        ({NUMBER: NUMBER}, "…"),
        ({spaced(NUMBER, "-"): NUMBER}, "…"),
    ],
    ids=lambda value: blotted(str(value))[:60],
)
async def test_a_wrong_request_is_told_by_its_field_and_does_nothing(
    running: Running, changed: Json, location: str
) -> None:
    order_id = new_order("wrong")
    changes = {**request(order_id, credit_card=card(NUMBER)), **changed}
    refused(await send(running, json.dumps(_present(changes))), location)
    assert (await running.shop.get(f"/api/payment/{order_id}")).status_code == 404


async def test_text_that_is_sql_is_text(running: Running) -> None:
    sku = "mug'; DROP TABLE stock; --"
    order_id = new_order("sql")
    metadata = {"sku": sku, "quantity": "1", "' OR '1'='1": '"; DELETE FROM orders; --'}
    answer = await running.initiate(by_token(order_id, metadata=metadata))
    assert answer.status_code == 200, answer.text
    # It is looked for on the shelf, in that name.
    order = await running.until(order_id, order_status="canceled")
    assert order["status"] == "voided"
    assert await running.on_the_shelf() > 0
    kept = await running.query("SELECT metadata FROM orders WHERE order_id = %s", order_id)
    assert kept == [(metadata,)]


DEEP = 10_000
BROKEN: dict[str, bytes] = {
    "empty": b"",
    "not JSON": NUMBER.encode() + b" is my card",
    "cut off": json.dumps(request("cut", credit_card=card(NUMBER))).encode()[:-1],
    "two documents": b"{}{}",
    "NaN": b'{"order_id": "nan", "amount": NaN}',
    "Infinity": b'{"order_id": "nan", "amount": -Infinity}',
    "a number without end": b'{"amount": ' + b"9" * 5000 + b"}",
    "an exponent without end": b'{"amount": 1e-' + b"9" * 50 + b"}",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "one level too deep": b'{"a":' * 21 + b"1" + b"}" * 21,
    "a name twice": b'{"order_id": "one", "order_id": "another"}',
    "a name twice within": b'{"metadata": {"sku": "mug", "sku": "ring"}}',
    "not UTF-8": b'{"order_id": "\xff"}',
    "a list": b"[]",
    "a string": json.dumps(NUMBER).encode(),
    "null": b"null",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
async def test_a_body_that_is_no_request_is_refused(running: Running, content: bytes) -> None:
    refused(await send(running, content), "body")


async def test_what_is_not_too_deep_is_read(running: Running) -> None:
    answer = await send(running, b'{"a":' * 20 + b"1" + b"}" * 20)
    refused(answer, "a")
    assert "body" not in [error["location"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "garbage"],
)
async def test_a_body_that_is_not_sent_as_json_is_refused(
    running: Running, kind: str | None
) -> None:
    content = json.dumps(request("typed", credit_card=card(NUMBER))).encode()
    headers = {"Content-Type": kind} if kind is not None else {}
    answer = await running.shop.post(INITIATE, content=content, headers=headers)
    without_the_card(answer, 415, "unsupported-media-type")


async def test_a_huge_body_is_refused_and_the_api_lives_on(running: Running) -> None:
    async def endless() -> Any:
        for _ in range(500):
            yield NUMBER.encode() * 1000

    for content in (b'{"a": "' + NUMBER.encode() * 500_000 + b'"}', endless()):
        answer = await running.shop.post(INITIATE, content=content, headers=JSON)
        without_the_card(answer, 413, "content-too-large")
    assert (await running.shop.get("/healthz")).status_code == 200


async def test_a_card_number_in_a_header_or_the_query_is_not_repeated(running: Running) -> None:
    body = by_token(new_order("header"))
    for value in (NUMBER, spaced(NUMBER), spaced(NUMBER, "-")):
        answer = await running.initiate(body, headers={"Idempotency-Key": value})
        refused(answer, "Idempotency-Key")
    for unfit in (b"", b"x" * 256, "ключ".encode()):
        answer = await running.initiate(body, headers={b"Idempotency-Key": unfit})
        refused(answer, "Idempotency-Key")
    answer = await running.initiate(body, params={"card": NUMBER})
    refused(answer, "address")
    answer = await running.initiate(body, headers={"X-Card": NUMBER})
    assert answer.status_code == 200
    assert not found_in(answer.content)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", [f"/api/payment/{NUMBER}", f"/{NUMBER}", f"/api/payment/{NUMBER}/capture"]
)
async def test_a_card_number_in_a_path_is_not_repeated(
    running: Running, method: str, path: str
) -> None:
    answer = await running.shop.request(method, path)
    assert answer.status_code in (400, 404, 405)
    assert not found_in(answer.content)


@pytest.mark.parametrize("address", ["/healthz?x=" + "5-6-3-" * 1000, "/" + "5-6-3-" * 1000])
async def test_a_long_address_is_refused_before_it_is_read(running: Running, address: str) -> None:
    answer = await running.shop.get(address)
    refused(answer, "address")
    assert "An address may have 4096 bytes" in answer.json()["detail"]


def test_the_canaries_are_card_numbers() -> None:
    assert check_digit("411111111111111") == "1"


def test_what_tells_requests_apart_tells_nothing_of_the_shopper() -> None:
    body = {**by_token("order-1"), "amount": "49.99"}
    who = {
        "customer_email": "shopper@example.com",
        "customer_ip_address": "203.0.113.7",
        "mandate": MANDATE,
    }
    told = secret_free(InitiateRequest.model_validate({**body, **who}))
    assert "203.0.113.7" not in str(told)
    assert not told.keys() & who.keys()
    other = {**who, "mandate": {**MANDATE, "ip_address": "203.0.113.8"}}
    assert secret_free(InitiateRequest.model_validate({**body, **other})) == told
    assert secret_free(InitiateRequest.model_validate({**body, "amount": "50"})) != told
