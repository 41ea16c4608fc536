"""The ways by which a card gets to the API, and what may happen to it there."""

import asyncio
import gzip
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import httpx
import psycopg

from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.domain.api_keys import Scope
from tests.doors.wire import Wire
from tests.sweep import wrong
from tests.sweep.canaries import Canary
from tests.walk.cards import spaced
from tests.walk.running import (
    CALLBACK,
    INITIATE,
    Json,
    Running,
    by_token,
    eventually,
    new_order,
    request,
)

Path = Callable[[Running, Canary], Awaitable[None]]
_CHARGE, _TOKEN = "/v1/payment_intents", "/v1/payment_methods"


def paying(canary: Canary, **more: Any) -> Json:
    """A request to pay with the card."""
    return request(new_order("sweep"), credit_card=canary.card(), **more)


async def answered(running: Running, canary: Canary, *statuses: int) -> httpx.Response:
    """What a request to pay is answered, with one of those."""
    answer = await running.initiate(paying(canary))
    assert answer.status_code in statuses, answer.text
    return answer


# Where all is well


async def pays(running: Running, canary: Canary) -> None:
    body = paying(canary, customer_email="shopper@example.com")
    await running.taken_on(body)
    await running.until(body["order_id"])


async def pays_in_groups(running: Running, canary: Canary) -> None:
    card = {**canary.card(), "number": spaced(canary.number)}
    await running.taken_on({**paying(canary), "credit_card": card})


async def pays_twice_by_one_key(running: Running, canary: Canary) -> None:
    body, headers = paying(canary), {"Idempotency-Key": new_order("key")}
    for amount, status in ((49.99, 200), (49.99, 200), (59.99, 409)):
        answer = await running.initiate({**body, "amount": amount}, headers=headers)
        assert answer.status_code == status, answer.text


async def pays_by_many_requests_at_once(running: Running, canary: Canary) -> None:
    body = paying(canary)
    answers = await asyncio.gather(*(running.initiate(body) for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 202}


async def pays_and_gets_it_back(running: Running, canary: Canary) -> None:
    body = paying(canary)
    await running.taken_on(body)
    await running.until(body["order_id"])
    answer = await running.ask(body["order_id"], "refunds", new_order("key"), amount=49.99)
    assert answer.status_code == 201, answer.text


# Where the bank or the gateway says no, or nothing


@asynccontextmanager
async def _faulty(running: Running, path: str, **fault: Any) -> AsyncIterator[None]:
    """While the gateway fails so."""
    await running.control("faults", method="POST", path=path, **fault)
    try:
        yield
    finally:
        (await running.sandbox.delete("/control/faults")).raise_for_status()


def _at_the_gateway(path: str, *statuses: int, **fault: Any) -> Path:
    async def pay(running: Running, canary: Canary) -> None:
        async with _faulty(running, path, **fault):
            await answered(running, canary, *statuses)

    return pay


# Where the request is wrong


async def _wrong_request(changes: Callable[[Canary], Json], running: Running, c: Canary) -> None:
    answer = await running.initiate(wrong.different(paying(c), changes(c)))
    assert answer.status_code == 400, answer.text


async def _wrong_body(
    body: Callable[[Canary], tuple[str, str]], running: Running, canary: Canary
) -> None:
    content, kind = body(canary)
    headers = {"Content-Type": kind}
    answer = await running.shop.post(INITIATE, content=content, headers=headers)
    assert answer.status_code in (400, 413, 415), answer.text


async def in_packed_json(running: Running, canary: Canary) -> None:
    answer = await running.shop.post(
        INITIATE,
        content=gzip.compress(json.dumps(paying(canary)).encode()),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert answer.status_code in (400, 415), answer.text


async def in_an_address(running: Running, canary: Canary) -> None:
    for address in wrong.ADDRESSES:
        answer = await running.shop.get(address.format(canary.number))
        assert answer.status_code == 400, answer.text


async def in_an_address_in_groups(running: Running, canary: Canary) -> None:
    for by in ("-", "%20", "+", "."):
        answer = await running.shop.get(f"/api/payment/order-1?card={spaced(canary.number, by)}")
        assert answer.status_code == 400, answer.text


async def in_headers(running: Running, canary: Canary) -> None:
    for name in wrong.HEADERS:
        await running.shop.get("/api/payment/order-1", headers={name: canary.number})


async def in_the_idempotency_key(running: Running, canary: Canary) -> None:
    headers = {"Idempotency-Key": canary.number}
    answer = await running.initiate(paying(canary), headers=headers)
    assert answer.status_code == 400, answer.text


async def in_an_orders_life(running: Running, canary: Canary) -> None:
    """Wherever a later request takes words."""
    order_id = new_order("sweep")
    await running.taken_on(by_token(order_id, capture="manual"))
    for what in ("capture", "cancel", "refunds", "resolve", "acknowledge"):
        asked = {"reason": f"card {canary.number}", "amount": canary.number, "actor": canary.number}
        answer = await running.ask(order_id, what, key=canary.number, **asked)
        assert answer.status_code == 400, answer.text
        answer = await running.ask(order_id, what, reason=spaced(canary.number))
        assert answer.status_code == 400, answer.text


async def in_what_is_not_http(running: Running, canary: Canary) -> None:
    async with Wire(running.stack.api_url) as wire:
        answer = await wire.send(f"PAY {canary.number} {canary.code}\r\n\r\n".encode())
    running.answers += answer.body
    assert answer.status == 400


# Where somebody may not


async def _keyless(key: str | None, running: Running, canary: Canary) -> None:
    async with running.storefront(running.stack.api_url, key) as stranger:
        answer = await stranger.post(INITIATE, json=paying(canary))
    assert answer.status_code == 401, answer.text


async def with_the_number_as_key(running: Running, canary: Canary) -> None:
    await _keyless(canary.number, running, canary)


async def with_a_key_for_something_else(running: Running, canary: Canary) -> None:
    engine = create_engine(running.stack.postgres.url)
    try:
        keys = ApiKeys(engine, embedded=True)
        reads = await keys.create(new_order("reader"), frozenset({Scope.PAYMENTS_READ}), None)
    finally:
        await engine.dispose()
    async with running.storefront(running.stack.api_url, reads.text()) as reader:
        answer = await reader.post(INITIATE, json=paying(canary))
    assert answer.status_code == 403, answer.text


# In callbacks


def _generic(canary: Canary) -> Json:
    return {
        "order_id": canary.number,
        "status": "success",
        "transaction_id": f"txn-{canary.number}",
        "payment_method": canary.number,
    }


def _refund(canary: Canary) -> Json:
    refund = {
        "id": f"re_{secrets.token_hex(12)}",
        "object": "refund",
        "amount": 4999,
        "currency": "usd",
        "status": "succeeded",
        "payment_intent": f"pi_{secrets.token_hex(12)}",
        "metadata": {"order_id": canary.number, "refund_id": canary.number},
    }
    return {**_stripe(canary), "type": "refund.updated", "data": {"object": refund}}


def _stripe(canary: Canary, **more: Any) -> Json:
    payment = {
        "id": f"pi_{secrets.token_hex(12)}",
        "object": "payment_intent",
        "amount": 4999,
        "amount_capturable": 0,
        "amount_received": 4999,
        "currency": "usd",
        "status": "succeeded",
        "latest_charge": None,
        "last_payment_error": None,
        "description": f"paid by {canary.number}",
        "metadata": {"order_id": canary.number, "card": canary.number, canary.number: "card"},
    }
    return {
        "id": f"evt_{secrets.token_hex(12)}",
        "object": "event",
        "livemode": False,
        "created": int(time.time()),
        "type": "payment_intent.succeeded",
        "data": {"object": {**payment, **more}},
    }


async def in_a_callback(running: Running, canary: Canary) -> None:
    content, headers = running.signed(_generic(canary))
    answer = await running.shop.post(CALLBACK, content=content, headers=headers)
    assert answer.status_code == 400, answer.text


async def in_a_callback_of_nobodys(running: Running, canary: Canary) -> None:
    forged = {"webhook-id": canary.number, "webhook-timestamp": canary.number}
    for headers in ({}, forged, {**forged, "webhook-signature": f"v1,{canary.number}"}):
        answer = await running.shop.post(CALLBACK, json=_generic(canary), headers=headers)
        assert answer.status_code == 400, answer.text


async def in_the_gateways_event(running: Running, canary: Canary) -> None:
    for event in (_stripe(canary), _refund(canary)):
        answer = await running.stripe_event(event)
        assert answer.status_code == 200, answer.text


async def in_the_names_of_the_gateways_event(running: Running, canary: Canary) -> None:
    named = {**_stripe(canary), "id": f"evt_{canary.number}"}
    of_a_payment = _stripe(canary, id=f"pi_{canary.number}")
    for event in (named, of_a_payment):
        answer = await running.stripe_event(event)
        assert answer.status_code == 400, answer.text


async def in_an_event_of_nobodys(running: Running, canary: Canary) -> None:
    answer = await running.stripe_event(_stripe(canary), secret="whsec_of_nobody")
    assert answer.status_code == 400, answer.text


QUIET: dict[str, Path] = {
    "paid": pays,
    "paid, the number in groups": pays_in_groups,
    "paid twice by one key": pays_twice_by_one_key,
    "paid by many requests at once": pays_by_many_requests_at_once,
    "paid and given back": pays_and_gets_it_back,
    "the bank declines": _at_the_gateway(_CHARGE, 400, status=402),
    "the gateway refuses the card": _at_the_gateway(_TOKEN, 400, status=402),
    "the gateway answers the card with 400": _at_the_gateway(_TOKEN, 400, status=400),
    "the gateway drops the card": _at_the_gateway(
        _TOKEN, 200, 503, action="drop", mode="after", times=9
    ),
    "the gateway answers the card with 500": _at_the_gateway(_TOKEN, 503, status=500, times=9),
    "the gateway charges and answers 500": _at_the_gateway(
        _CHARGE, 200, 202, status=500, mode="after"
    ),
    "the gateway charges and says nothing": _at_the_gateway(
        _CHARGE, 200, 202, action="drop", mode="after"
    ),
    **{
        f"a wrong request: {name}": partial(_wrong_request, changes)
        for name, changes in wrong.REQUESTS.items()
    },
    **{f"a wrong body: {name}": partial(_wrong_body, body) for name, body in wrong.BODIES.items()},
    "packed JSON": in_packed_json,
    "in an address": in_an_address,
    "in an address, in groups": in_an_address_in_groups,
    "in headers": in_headers,
    "in the Idempotency-Key": in_the_idempotency_key,
    "in an order's life": in_an_orders_life,
    "in what is not HTTP": in_what_is_not_http,
    "without a key": partial(_keyless, None),
    "with the number as the key": with_the_number_as_key,
    "with a key for something else": with_a_key_for_something_else,
    "in a callback": in_a_callback,
    "in a callback of nobody's": in_a_callback_of_nobodys,
    "in the gateway's event": in_the_gateways_event,
    "in the names of the gateway's event": in_the_names_of_the_gateways_event,
    "in an event of nobody's": in_an_event_of_nobodys,
}
"""Those that break nothing, and are soon over."""


# Where something breaks, or another API is needed


@asynccontextmanager
async def _in_the_middle(
    running: Running, canary: Canary, path: str = _TOKEN
) -> AsyncIterator["asyncio.Task[httpx.Response]"]:
    """While the gateway has the card and keeps us waiting."""
    async with _faulty(running, path, action="hang", seconds=2):
        asking = asyncio.create_task(running.initiate(paying(canary)))
        await running.until_hit()
        yield asking
        with suppress(httpx.TransportError, asyncio.CancelledError):
            await asking


def _killed(*parts: str, path: str = _CHARGE) -> Path:
    async def pay(running: Running, canary: Canary) -> None:
        async with _in_the_middle(running, canary, path), running.without(*parts):
            pass

    return pay


def _signalled(number: signal.Signals) -> Path:
    """The API ends by that signal, and is started again."""

    async def pay(running: Running, canary: Canary) -> None:
        async with _in_the_middle(running, canary):
            os.kill(running.stack.supervisor.pid("api"), number)
        await eventually(partial(_serves, running))

    return pay


async def _serves(running: Running) -> bool:
    with suppress(httpx.TransportError):
        return (await running.shop.get("/readyz")).is_success
    return False


def _away(*parts: str) -> Path:
    async def pay(running: Running, canary: Canary) -> None:
        async with running.without(*parts):
            await answered(running, canary, 503)

    return pay


async def when_the_shopper_leaves(running: Running, canary: Canary) -> None:
    async with _in_the_middle(running, canary) as asking:
        asking.cancel()


async def when_the_gateway_says_nothing_for_too_long(running: Running, canary: Canary) -> None:
    async with _faulty(running, _TOKEN, action="hang", seconds=30, times=9):
        await answered(running, canary, 503)


async def when_a_charge_takes_too_long(running: Running, canary: Canary) -> None:
    async with _faulty(running, _CHARGE, action="hang", seconds=6):
        await answered(running, canary, 200, 202)


async def when_the_database_is_locked(running: Running, canary: Canary) -> None:
    url = running.stack.postgres.url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        await answered(running, canary, 503)


async def when_the_database_is_not_as_it_should_be(running: Running, canary: Canary) -> None:
    """A defect of ours: 500."""
    url = running.stack.postgres.url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("ALTER TABLE orders RENAME TO orders_away")
        try:
            # The connection is closed behind such an answer.
            async with running.storefront(running.stack.api_url) as shop:
                answer = await shop.post(INITIATE, json=paying(canary))
            assert answer.status_code == 500, answer.text
        finally:
            await connection.execute("ALTER TABLE orders_away RENAME TO orders")


async def where_no_cards_are_taken(running: Running, canary: Canary) -> None:
    async with running.another_api(ACCEPT_RAW_CARDS="false") as shop:
        answer = await shop.post(INITIATE, json=paying(canary))
    assert answer.status_code == 400, answer.text


async def where_all_is_logged(running: Running, canary: Canary) -> None:
    async with running.another_api(LOG_LEVEL="DEBUG", PYTHONASYNCIODEBUG="1") as shop:
        for body in (paying(canary), paying(canary, amount="much")):
            assert (await shop.post(INITIATE, json=body)).status_code in (200, 400)


async def when_the_request_ends_too_early(running: Running, canary: Canary) -> None:
    body = json.dumps(paying(canary)).encode()
    head = f"POST {INITIATE} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    async with Wire(running.stack.api_url) as wire:
        answer = await wire.send(head.encode() + body)
    running.answers += answer.body
    assert answer.status == 408


EVERY: dict[str, Path] = {
    **QUIET,
    "no cards are taken": where_no_cards_are_taken,
    "all is logged": where_all_is_logged,
    "the request ends too early": when_the_request_ends_too_early,
    "the shopper leaves": when_the_shopper_leaves,
    "the gateway says nothing for too long": when_the_gateway_says_nothing_for_too_long,
    "a charge takes too long": when_a_charge_takes_too_long,
    "the database is locked": when_the_database_is_locked,
    "the database is not as it should be": when_the_database_is_not_as_it_should_be,
    "the database is away": _away("postgres"),
    "the database goes in the middle": _killed("postgres"),
    "Temporal is away": _away("temporal"),
    "Temporal goes in the middle": _killed("temporal"),
    "the gateway is away": _away("sandbox"),
    "the worker is killed in the middle": _killed("worker"),
    "the API is killed in the middle": _killed("api", path=_TOKEN),
    "the API aborts in the middle": _signalled(signal.SIGABRT),
    "the API is ended in the middle": _signalled(signal.SIGTERM),
}


@asynccontextmanager
async def every_statement_logged(running: Running) -> AsyncIterator[None]:
    """While PostgreSQL logs every statement and its parameters, as an operator may have it do."""
    url = running.stack.postgres.url.replace("+psycopg", "")

    async def alter(*settings: str) -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            for setting in settings:
                await connection.execute(f"ALTER SYSTEM {setting}".encode())
            await connection.execute("SELECT pg_reload_conf()")

    await alter("SET log_statement = 'all'", "SET log_min_duration_statement = 0")
    try:
        yield
    finally:
        await alter("RESET log_statement", "RESET log_min_duration_statement")


async def send(
    running: Running,
    paths: dict[str, Path],
    cards: Sequence[Canary],
    say: Callable[[str], None] = lambda _line: None,
) -> list[str]:
    """Send a card along each of the paths, and the cards that are left along the first one; what
    went another way than its path's name says."""
    astray = []
    ways = [*paths.items(), *[next(iter(paths.items()))] * (len(cards) - len(paths))]
    for (name, path), card in zip(ways, cards, strict=True):
        say(name)
        try:
            await path(running, card)
        except Exception as error:
            astray.append(f"{name}: {type(error).__name__} {error}")
    return astray
