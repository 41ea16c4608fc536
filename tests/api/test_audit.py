"""The audit trail tells of every call that may change something, of operators, and of who was
refused."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.api.access import DOORS
from app.db.api_keys import ApiKeys
from app.db.audit_check import verify
from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.domain.api_keys import DEVELOPMENT_KEY_ID, Offered, Scope
from app.domain.facts import Event, Fact, Source
from app.domain.money import Money
from app.domain.order import Order
from app.embedded.ports import HOST
from app.keyring import Keyring
from tests.api.alone import api
from tests.api.problems import problem
from tests.api.test_out_of_reach import NOW, signed
from tests.conftest import settings_with
from tests.walk.cards import canary, found_in
from tests.walk.running import (
    CALLBACK,
    INITIATE,
    Running,
    by_token,
    card,
    eventually,
    new_order,
    request,
)

Row = tuple[str | None, ...]
INITIATED = f"POST {INITIATE}"


async def told(running: Running, object_: str) -> list[Row]:
    """Who, with which key, what and how it ended: all about the object."""
    rows = await running.query(
        "SELECT who, key_id, what, result FROM audit WHERE object = %s ORDER BY number", object_
    )
    return [tuple(row) for row in rows]


def by_us(what: str, result: int) -> Row:
    return (DEVELOPMENT_KEY_ID, DEVELOPMENT_KEY_ID, what, str(result))


@pytest.fixture(scope="module")
async def service(running: Running) -> AsyncIterator[AsyncEngine]:
    """The stack's database, as API and worker see it."""
    engine = create_engine(running.stack.postgres.service_url)
    yield engine
    await engine.dispose()


async def test_what_was_done_stands_there_when_it_is_answered(running: Running) -> None:
    order_id = new_order("audited")
    home = f"/api/payment/{order_id}"
    await running.taken_on(by_token(order_id, capture="manual"))
    assert by_us(INITIATED, 200) in await told(running, order_id)
    await running.until(order_id, status="authorized")
    assert (await running.ask(order_id, "capture")).status_code == 200
    assert (await told(running, order_id))[-1] == by_us("POST /api/payment/{order_id}/capture", 200)
    await running.until(order_id)
    assert (await running.ask(order_id, "refunds", key="1", amount=1)).status_code == 201
    assert by_us("POST /api/payment/{order_id}/refunds", 201) in await told(running, order_id)
    problem(await running.ask(order_id, "cancel"), 409, "not-cancelable")
    assert by_us("POST /api/payment/{order_id}/cancel", 409) in await told(running, order_id)
    assert ("stripe", None, f"POST {CALLBACK}", "200") in await told(running, order_id)

    before = await told(running, order_id)
    assert (await running.shop.get(home)).status_code == 200
    seen = {"reason": "seen", "actor": "ana"}
    assert (await running.shop.post(f"{home}/acknowledge", json=seen)).status_code == 200
    unknown = {"outcome": "look_again", "reason": "asked", "actor": "grace"}
    problem(await running.shop.post(f"{home}/resolve", json=unknown), 409, "nothing-unknown")
    after = await told(running, order_id)
    callbacks = [row for row in after if row[0] == "stripe"]
    added = [row for row in after[len(before) :] if row not in callbacks]
    assert added == [
        (f"{actor} ({DEVELOPMENT_KEY_ID})", DEVELOPMENT_KEY_ID, f"POST {door}", result)
        for actor, door, result in (
            ("ana", "/api/payment/{order_id}/acknowledge", "200"),
            ("grace", "/api/payment/{order_id}/resolve", "409"),
        )
    ]

    [(source, at_most)] = await running.query(
        "SELECT DISTINCT source, now() >= max(at) OVER () FROM audit WHERE object = %s", order_id
    )
    assert (source, at_most) == (HOST, True)


async def test_who_was_refused_stands_there_with_what_is_known_of_them(
    running: Running, service: AsyncEngine
) -> None:
    api_keys = ApiKeys(service, embedded=True)
    reader = await api_keys.create(new_order("reader"), frozenset({Scope.PAYMENTS_READ}), None)
    name = (await api_keys.authenticate(reader.text(), Scope.PAYMENTS_READ)).name
    unknown = Offered(reader.key_id, Offered.new().secret)
    order_id, door = new_order("refused"), "POST /api/payment/{order_id}/cancel"
    stranger = running.storefront(running.stack.api_url, None)
    async with stranger:
        for key in (None, "nonsense", unknown.text(), reader.text()):
            headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
            for path in (f"/api/payment/{order_id}/cancel", INITIATE):
                await stranger.post(path, headers=headers, json=by_token(order_id))
        assert (await stranger.get(f"/api/payment/{order_id}")).status_code == 401

    async def all_told() -> bool:
        return len(await told(running, order_id)) == 5

    await eventually(all_told)
    assert sorted(await told(running, order_id), key=str) == sorted(
        [
            (None, None, door, "401"),
            (None, None, door, "401"),
            (None, reader.key_id, door, "401"),
            (name, reader.key_id, door, "403"),
            (None, None, "GET /api/payment/{order_id}", "401"),
        ],
        key=str,
    )


async def test_what_could_not_be_done_stands_there(running: Running) -> None:
    order_id = new_order("wrong")
    problem(await running.initiate(by_token(order_id, amount=0)), 400, "invalid-request")
    problem(await running.ask(order_id, "cancel"), 404, "not-found")
    declined = await running.initiate(by_token(order_id, "pm_card_chargeDeclined"))
    problem(declined, 400, "payment-declined")
    async with running.without("temporal"):
        answer = await running.initiate(by_token(order_id))
        problem(answer, 503, "service-unavailable")
    ours = [row for row in await told(running, order_id) if row[0] == DEVELOPMENT_KEY_ID]
    expected = [by_us("POST /api/payment/{order_id}/cancel", 404), by_us(INITIATED, 400)]
    assert ours[:2] == expected

    async def unavailable_told() -> bool:
        return by_us(INITIATED, 503) in await told(running, order_id)

    await eventually(unavailable_told)


async def test_forged_callbacks_stand_there_without_a_name(running: Running) -> None:
    [(last,)] = await running.query("SELECT max(number) FROM audit")
    order_id = new_order("forged")
    problem(
        await running.hint(order_id, secret="whsec_bm90IHRoZSBzZWNyZXQ="), 400, "invalid-callback"
    )
    rows = await running.query(
        "SELECT who, object, what FROM audit WHERE number > %s AND result = '400'", last
    )
    assert (None, None, f"POST {CALLBACK}") in rows


async def test_what_operators_look_at_stands_there_and_what_storefronts_read_does_not(
    running: Running,
) -> None:
    [(last,)] = await running.query("SELECT max(number) FROM audit")
    for door, scope in DOORS.items():
        if door.startswith("GET /api") and "{" not in door:
            query = {"amount": "1"} if "methods" in door else {}
            answer = await running.shop.get(door.split()[1], params=query)
            assert answer.status_code == 200, (door, scope)
    rows = await running.query(
        "SELECT what FROM audit WHERE number > %s AND what LIKE 'GET%%'", last
    )
    assert sorted(what for (what,) in rows) == sorted(
        door for door, scope in DOORS.items() if door.startswith("GET") and scope is Scope.OPERATOR
    )


async def test_nothing_of_a_card_a_secret_or_a_shopper_stands_there(running: Running) -> None:
    number, order_id = canary(), new_order("secret")
    key = {"Authorization": f"Bearer tillflow_{'a' * 12}.{'s' * 43}"}
    body = request(order_id, credit_card=card(number), customer_email="shopper@example.com")
    await running.taken_on(body)
    await running.shop.post(f"/api/payment/{number}/cancel")
    await running.shop.post(f"/api/payment/{order_id}/cancel", headers=key)
    await running.shop.post(INITIATE, json={**body, "order_id": number})
    await running.shop.post(f"/api/payment/shopper@example.com/cancel?number={number}")

    async def refused_told() -> bool:
        return bool(await running.query("SELECT 1 FROM audit WHERE key_id = %s", "a" * 12))

    await eventually(refused_told)
    rows = await running.query("SELECT audit::text FROM audit")
    everything = "\n".join(row for (row,) in rows)
    assert order_id in everything
    assert not found_in(everything.encode())
    assert number not in everything
    assert "shopper@example.com" not in everything
    assert "s" * 43 not in everything


async def test_the_trail_of_all_that_is_whole(running: Running, service: AsyncEngine) -> None:
    keyring = Keyring.parse(running.credentials.encryption_keys)
    assert (await verify(service, keyring)).number > 0
    [(first,)] = await running.query("SELECT what FROM audit WHERE number = 1")
    assert first == "migrate"


async def test_what_the_trail_cannot_tell_of_is_not_said_to_be_done(
    database_url: str, records: PostgresRecords, engine: AsyncEngine
) -> None:
    await records.open_order(Order("order-1", Money(4999, "usd")))
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit_end RENAME TO audit_end_away"))
    async with api(database_url) as storefront:
        sent = signed({"order_id": "order-1", "status": "success", "transaction_id": "1"})
        answer = await storefront.post(CALLBACK, **sent)
        told = problem(answer, 503, "service-unavailable")
        assert "audit trail" in told["detail"]
        assert answer.headers["retry-after"]
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE audit_end_away RENAME TO audit_end"))
        assert (await storefront.post(CALLBACK, **sent)).status_code == 200
    assert (await verify(engine, settings_with().keyring())).number == 1


async def test_a_decline_that_the_trail_cannot_tell_of_is_told_when_it_can(
    running: Running,
) -> None:
    body, key = by_token(new_order("untold"), "pm_card_chargeDeclined"), {"Idempotency-Key": "1"}
    order_id = body["order_id"]
    url = running.stack.postgres.url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as owner:
        await owner.execute("ALTER TABLE audit_end RENAME TO audit_end_away")
        try:
            untold = await running.initiate(body, headers=key)
        finally:
            await owner.execute("ALTER TABLE audit_end_away RENAME TO audit_end")
    assert "audit trail" in problem(untold, 503, "service-unavailable")["detail"]
    problem(await running.initiate(body, headers=key), 400, "payment-declined")
    assert by_us(INITIATED, 400) in await told(running, order_id)
    attempts = "SELECT count(*) FROM payment_events WHERE order_id = %s AND event = 'attempted'"
    assert await running.query(attempts, order_id) == [(1,)]


async def test_who_is_told_503_and_may_have_changed_something_stands_there_before(
    database_url: str, records: PostgresRecords, engine: AsyncEngine
) -> None:
    await records.open_order(Order("order-1", Money(4999, "usd")))
    await records.append("order-1", [Fact(Event.FLAGGED, NOW, Source.GATEWAY, reason="look")])
    door, seen = "/api/payment/order-1/acknowledge", {"reason": "seen"}
    async with api(database_url) as storefront:  # with Temporal away
        async with engine.begin() as other:
            await other.execute(text("SELECT FROM audit_end FOR UPDATE"))
            asked = asyncio.create_task(storefront.post(door, json=seen))

            await somebody_waits(other)
            assert not asked.done()
        told = problem(await asked, 503, "service-unavailable")
        assert "What you sent is recorded." in told["detail"]
        async with engine.connect() as connection:
            rows = await connection.execute(text("SELECT object, result FROM audit"))
            assert [tuple(row) for row in rows] == [("order-1", "503")]


async def test_who_was_not_answered_because_the_process_had_to_end_stands_there(
    database_url: str, records: PostgresRecords, engine: AsyncEngine
) -> None:
    await records.open_order(Order("order-1", Money(4999, "usd")))
    sent = signed({"order_id": "order-1", "status": "success", "transaction_id": "1"})
    async with api(database_url) as storefront:
        async with engine.begin() as other:
            await other.execute(text("LOCK TABLE callbacks"))
            asked = asyncio.create_task(storefront.post(CALLBACK, **sent))
            await somebody_waits(other)
            asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT who, object, result FROM audit"))
        assert [tuple(row) for row in rows] == [("generic", "order-1", "interrupted")]


async def somebody_waits(for_us: AsyncConnection) -> None:
    """Until somebody wants what this transaction has locked."""

    async def waits() -> bool:
        blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(await for_us.scalar(blocked))

    await eventually(waits)


async def test_a_flood_of_strangers_is_told_of_in_few_transactions(
    database_url: str, engine: AsyncEngine
) -> None:
    async with api(database_url) as storefront:
        answers = await asyncio.gather(
            *(
                storefront.post(INITIATE, headers={"Authorization": "Bearer nonsense"})
                for _ in range(200)
            )
        )
        assert {answer.status_code for answer in answers} == {401}
    async with engine.connect() as connection:
        counted = await connection.execute(
            text("SELECT count(*), count(DISTINCT xmin::text) FROM audit")
        )
        [(rows, transactions)] = counted
    assert rows == 200
    assert transactions < 100
