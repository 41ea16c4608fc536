"""Temporal keeps nothing that tells of a payment in clear, and keys change while it works."""

import asyncio
import os
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from secrets import randbelow, token_hex
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Worker
from typer.testing import CliRunner

from app import cli
from app.api.main import create_app
from app.db.audit import AuditTrail
from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.domain.facts import Event
from app.domain.gateway import (
    AuthorizeRequest,
    GatewayPayment,
    OutcomeUnknownError,
    UnavailableError,
)
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.payment import OrderState
from app.gateways.stripe import StripeGateway
from app.keyring import Keyring, TamperedError, UnknownKeyError
from app.temporal.client import connect
from app.temporal.codec import KEY_ID, EncryptionCodec
from app.temporal.schedules import ensure_schedules
from app.wiring import build
from app.workflows.messages import CancelInput
from app.workflows.payment import PaymentWorkflow
from tests.conftest import environment_of, settings_with
from tests.db.audited import ACTION
from tests.in_clear import found_in, in_clear, payloads
from tests.sandbox.program import Sandbox, until
from tests.workflows.shop import Placed, Shop, open_shop
from tests.workflows.stand_ins import StandIn
from worker import WORKFLOWS

# As ENCRYPTION_KEYS holds them, before a change of keys and after it.
_OLD, _NEW = (f"{name}:{b64encode(os.urandom(32)).decode()}" for name in ("2026-01", "2026-11"))
BEFORE, ADDED, AFTER = _OLD, f"{_OLD},{_NEW}", f"{_NEW},{_OLD}"


@pytest.fixture
async def plain(temporal_address: str) -> Client:
    """A client without a codec: it sees what Temporal has."""
    return await Client.connect(temporal_address)


class Talkative(StandIn):
    """Once out of reach and once without an answer; each time it says more than it should."""

    def __init__(self, sandbox: Sandbox, words: str) -> None:
        super().__init__(sandbox)
        self._errors: list[Exception] = [UnavailableError(words), OutcomeUnknownError(words)]

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        if self._errors:
            raise self._errors.pop(0)
        return await super().authorize(request, key)


class Unreachable(StandIn):
    """For ever."""

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        raise UnavailableError("words of the gateway's own")


async def _told_everything(shop: Shop, sandbox: Sandbox) -> tuple[dict[str, str], Placed]:
    """A payment of which Temporal is told all sorts of things: failures, a heartbeat, timers, a
    signal, an update with a storefront's own words. And what of it must not be in clear, by what it
    is: made up anew, so that nobody else has it."""
    card = await sandbox.stripe.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    address, words = f"{token_hex(6)}@example.com", f"the acquirer says {token_hex(6)}"
    amount = Money(1_000_000 + randbelow(8_000_000), "usd")
    async with shop.another(gateway=Talkative(sandbox, words)) as talkative:
        placed = await talkative.order(amount=amount, capture=Capture.MANUAL)
        await placed.pay(card.id)
        await placed.call_back()
        await placed.told(Event.STEP_DONE)
        assert str(amount) in await placed.details()
        asked = CancelInput(f"{address} does not want it")
        await placed.workflow.execute_update(PaymentWorkflow.cancel, asked)
        await placed.result()
    return {
        "token": card.id,
        "e-mail address": address,
        "message of a failure": words,
        "amount in a summary": str(amount),
        "amount in an input": f'"minor":{amount.minor}',
        "word in a stack trace": "await self._gateway.authorize(",
    }, placed


async def test_temporals_database_holds_nothing_of_a_payment_in_clear(
    shop: Shop,
    plain: Client,
    stack_folder: Path,
    shop_engine: AsyncEngine,
    sandbox: Sandbox,
    stripe_gateway: StripeGateway,
) -> None:
    database = stack_folder / "temporal.db"

    async def found(texts: dict[str, str]) -> set[str]:
        return await asyncio.to_thread(found_in, database, texts)

    secrets, placed = await _told_everything(shop, sandbox)
    assert await found({"id": placed.order.order_id, **secrets}) == {"id"}
    # Without the codec the same search finds them all.
    async with open_shop(plain, shop_engine, sandbox, stripe_gateway) as in_the_open:
        secrets, _ = await _told_everything(in_the_open, sandbox)
    assert await found(secrets) == secrets.keys()


async def test_every_payload_and_every_failure_of_a_payment_is_encrypted(
    shop: Shop, plain: Client, sandbox: Sandbox
) -> None:
    _, placed = await _told_everything(shop, sandbox)
    payment = plain.get_workflow_handle(placed.workflow.id)
    described = await payment.describe()
    told = [*(await payment.fetch_history()).events, described.raw_description]
    assert [clear for each in told for clear in in_clear(each)] == []
    found_by = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert {"OrderId", "PaymentStatus", "Gateway", "NeedsAttention"} <= found_by.keys()
    assert found_by["OrderId"] == placed.order.order_id


async def test_a_step_that_is_tried_again_tells_no_stranger_why(
    shop: Shop, plain: Client, sandbox: Sandbox
) -> None:
    async with shop.another(gateway=Unreachable(sandbox)) as unreachable:
        placed = await unreachable.order()
        await placed.ask("pm_card_visa")
        payment = plain.get_workflow_handle(placed.workflow.id)
        pending: list[Message] = []

        async def has_failed() -> bool:
            told = (await payment.describe()).raw_description.pending_activities
            pending[:] = [
                each
                for each in told
                if each.HasField("last_failure") and each.HasField("heartbeat_details")
            ]
            return bool(pending)

        await until(has_failed)
        await payment.terminate()
    assert [clear for each in pending for clear in in_clear(each)] == []


async def test_what_a_schedule_starts_is_encrypted(temporal_client: Client, plain: Client) -> None:
    await ensure_schedules(temporal_client, "nobody works here")
    names = [each.id async for each in await plain.list_schedules()]
    assert names
    for name in names:
        schedule = plain.get_schedule_handle(name)
        assert list(in_clear((await schedule.describe()).raw_description)) == []
        await schedule.delete()


@asynccontextmanager
async def _works_with(
    keys: str, address: str, shop: Shop, queue: str | None = None
) -> AsyncIterator[Shop]:
    """A shop whose worker and client have those keys."""
    client = await connect(settings_with(temporal_address=address, encryption_keys=keys))
    async with open_shop(client, shop.engine, shop.sandbox, shop.gateway, queue=queue) as opened:
        yield opened


async def _key_ids(placed: Placed) -> set[str]:
    """The keys that the payment's history is encrypted with."""
    events = (await placed.workflow.fetch_history()).events
    return {each.metadata[KEY_ID].decode() for event in events for each in payloads(event)}


def _moved(placed: Placed, shop: Shop) -> Placed:
    """The same order, at a shop that goes on with it."""
    return Placed(shop, placed.order, placed.skipping)


async def test_payments_that_began_before_a_change_of_keys_end_after_it(
    shop: Shop, temporal_address: str
) -> None:
    async with _works_with(BEFORE, temporal_address, shop) as before:
        to_confirm, to_authenticate, declined = [await before.order() for _ in range(3)]
        await to_confirm.pay()
        await to_authenticate.pay("pm_card_authenticationRequired")
        await declined.pay("pm_card_chargeDeclinedInsufficientFunds")
    # While workers are replaced, those of before and after share the work: both know both keys.
    queue = before.task_queue
    async with _works_with(AFTER, temporal_address, shop, queue) as after:
        async with _works_with(ADDED, temporal_address, shop, queue):
            ends = [_moved(each, after) for each in (to_confirm, to_authenticate, declined)]
            confirmed, authenticated, paid = ends
            await confirmed.call_back()
            await _authenticate(authenticated)
            await paid.pay(attempt=2)
            await paid.call_back()
            for placed in ends:
                assert (await placed.result()).order_state is OrderState.FULFILLED
                assert await _key_ids(placed) == {"2026-01", "2026-11"}
        new = await after.order()
        await new.captured()
    # Then the old key can go, once no history is left that needs it: this one does not.
    async with _works_with(_NEW, temporal_address, shop) as later:
        assert await _moved(new, later).workflow.result() == "captured"


async def test_what_still_needs_a_key_is_counted(shop: Shop, temporal_address: str) -> None:
    queue = f"keys-{token_hex(6)}"

    async def told(task_queue: str) -> dict[str, str]:
        settings = environment_of(
            database_url=shop.engine.url.render_as_string(hide_password=False),
            temporal_address=temporal_address,
            task_queue=task_queue,
            encryption_keys=AFTER,
        )
        # In a thread of its own: the command runs an event loop.
        done = await asyncio.to_thread(
            lambda: CliRunner().invoke(cli.app, ["data", "keys"], env=settings)
        )
        assert done.exit_code == 0, done.output
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        return {key_id: " ".join(rest.split()) for key_id, rest in lines}

    async with _works_with(BEFORE, temporal_address, shop, queue) as before:
        await (await before.order()).pay()
    async with _works_with(AFTER, temporal_address, shop, queue) as after:
        await (await after.order()).captured()

        async def both_are_listed() -> bool:
            found = await told(queue)
            # Those of this very command are under the newest key.
            newest = re.fullmatch(
                r"0 orders 1 workflows \d+ audit rows the one that encrypts", found["2026-11"]
            )
            old = "0 orders 1 workflows 0 audit rows needed"
            return newest is not None and found["2026-01"] == old

        await until(both_are_listed)
    needless = "0 orders 0 workflows 0 audit rows can be taken away"
    assert (await told("nobody works here"))["2026-01"] == needless
    await AuditTrail(shop.engine, Keyring.parse(BEFORE)).record(ACTION)
    of_rows = "0 orders 0 workflows 1 audit rows needed by audit verify alone"
    assert (await told("nobody works here"))["2026-01"] == of_rows


async def _authenticate(placed: Placed) -> None:
    """The shopper does so on the bank's page."""
    attempt = (await placed.payment()).attempt
    assert attempt is not None
    assert attempt.next_action is not None
    assert attempt.next_action.url is not None
    await placed.shop.sandbox.http.post(attempt.next_action.url, data={"outcome": "approve"})
    await placed.call_back()


async def test_without_the_key_a_workflow_waits_for_a_worker_that_has_it(
    shop: Shop, temporal_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with _works_with(BEFORE, temporal_address, shop) as before:
        placed = await before.order()
        with_new_key = await connect(
            settings_with(temporal_address=temporal_address, encryption_keys=AFTER)
        )
        payment = await with_new_key.start_workflow(
            PaymentWorkflow.run,
            before.starts.input(placed.order, None),
            # What has failed twice is tried again when this is over.
            task_timeout=timedelta(seconds=1),
            **before.starts.options(placed.order),
        )

        await until(lambda: _has(payment, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED))
        assert (await payment.describe()).status is WorkflowExecutionStatus.RUNNING
    assert "the key 2026-11 is not in ENCRYPTION_KEYS" in caplog.text
    async with _works_with(AFTER, temporal_address, shop, before.task_queue) as after:
        await until(lambda: _has(payment, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED))
        paid = _moved(placed, after)
        await paid.pay()
        await paid.call_back()
        assert (await paid.result()).order_state is OrderState.FULFILLED


async def _has(payment: WorkflowHandle[Any, Any], event: EventType.ValueType) -> bool:
    """Whether its history holds such an event."""
    return any([each.event_type == event async for each in payment.fetch_history_events()])


async def test_an_api_without_the_key_of_an_answer_goes_by_the_records(
    database_url: str, temporal_address: str, sandbox: Sandbox
) -> None:
    known = {
        "database_url": database_url,
        "temporal_address": temporal_address,
        "stripe_api_base": sandbox.url,
        "task_queue": f"keys-{token_hex(6)}",
    }
    api = await build(settings_with(encryption_keys=BEFORE, **known))
    work = await build(settings_with(encryption_keys=AFTER, **known))
    app = create_app(api)
    try:
        async with (
            app.router.lifespan_context(app),
            Worker(
                work.temporal,
                task_queue=work.settings.task_queue,
                workflows=WORKFLOWS,
                activities=work.activities(),
            ),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://tillflow",
                headers={"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"},
            ) as shop,
        ):
            order = {
                "order_id": f"order-{token_hex(6)}",
                "payment_method": "credit_card",
                "payment_method_token": "pm_card_visa",
                "amount": 49.99,
            }
            paid = await shop.post("/api/payment/initiate", json=order)
            assert (paid.status_code, paid.json()["status"]) == (200, "authorized"), paid.text
    finally:
        await api.close()
        await work.close()


async def test_what_was_not_encrypted_is_passed_on() -> None:
    [payload] = await EncryptionCodec(Keyring.parse(BEFORE)).decode([Payload(data=b"plain")])
    assert payload == Payload(data=b"plain")


async def test_what_was_altered_on_its_way_is_refused() -> None:
    codec = EncryptionCodec(Keyring.parse(BEFORE))
    [payload] = await codec.encode([Payload(metadata={"encoding": b"json/plain"}, data=b"4999")])
    assert b"4999" not in payload.SerializeToString()
    payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    with pytest.raises(TamperedError):
        await codec.decode([payload])
    payload.metadata[KEY_ID] = b"another"
    with pytest.raises(UnknownKeyError, match="another"):
        await codec.decode([payload])
