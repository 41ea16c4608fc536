"""A small shop that is really run, for the judge to judge: every way an order ends, and one that is
left open. API and worker run here, the sandbox in a process of its own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.worker import Worker

from app.api.main import create_app
from app.config import Settings
from app.db.engine import create_engine
from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.domain.payment import OrderState
from app.embedded.ports import HOST, free_port
from app.fulfilment.reserve_stock import set_stock
from app.wiring import Parts, build
from chaos.evidence import Acknowledged, Evidence, Kind
from chaos.unlimited import UNLIMITED
from tests.conftest import settings_with
from tests.sandbox.program import Json, Sandbox, until
from worker import WORKFLOWS

MUGS = 5
_AMOUNT = 4999
_PATIENCE = 90.0
_INBOX = text(
    "SELECT count(*) FILTER (WHERE delivered_at IS NULL), count(*) FILTER (WHERE outcome = 'late')"
    " FROM callbacks"
)


@dataclass
class SmallShop:
    """Its API, and what it has acknowledged."""

    http: httpx.AsyncClient
    parts: Parts
    engine: AsyncEngine
    acknowledged: list[Acknowledged]

    async def initiate(self, order_id: str, **more: Any) -> Json:
        body = {
            "order_id": order_id,
            "payment_method": "credit_card",
            "amount": "49.99",
            "payment_method_token": "pm_card_visa",
            **more,
        }
        return await self._ask(order_id, Kind.INITIATE, "/api/payment/initiate", body)

    async def ask(
        self, order_id: str, kind: Kind, what: str, minor: int = _AMOUNT, **body: Any
    ) -> Json:
        return await self._ask(order_id, kind, f"/api/payment/{order_id}/{what}", body, minor)

    async def _ask(
        self, order_id: str, kind: Kind, path: str, body: Json, minor: int = _AMOUNT
    ) -> Json:
        headers = {"Idempotency-Key": f"{kind}-of-{order_id}"} if kind is Kind.REFUND else {}
        answer = await self.http.post(path, json=body, headers=headers)
        while answer.status_code == 503:  # a part is slow today
            answer = await self.http.post(path, json=body, headers=headers)
        told: Json = answer.json()
        if kind is Kind.INITIATE and answer.status_code != 400:  # declined
            assert answer.is_success, answer.text
        if answer.is_success:
            self.acknowledged.append(
                Acknowledged(order_id, kind, minor, "usd", answer.status_code, told)
            )
        return told

    async def ends(self, order_id: str, state: OrderState) -> None:
        async def ended() -> bool:
            payment = await self.parts.records.find_payment(order_id)
            return payment is not None and payment.order_state is state

        await until(ended, _PATIENCE)


async def sell(shop: SmallShop) -> None:
    """One order of each kind, all at once."""

    async def fulfilled() -> None:
        await shop.initiate("fulfilled", metadata={"sku": "mug", "quantity": "2"})
        await shop.ends("fulfilled", OrderState.FULFILLED)

    async def refunded() -> None:
        await shop.initiate("refunded")
        await shop.ends("refunded", OrderState.FULFILLED)
        await shop.ask("refunded", Kind.REFUND, "refunds", 1000, amount="10.00")

    async def second_card() -> None:
        await shop.initiate("second-card", payment_method_token="pm_card_chargeDeclined")
        await shop.initiate("second-card")
        await shop.ends("second-card", OrderState.FULFILLED)

    async def captured() -> None:
        await shop.initiate("captured", capture="manual", metadata={"sku": "mug"})
        await shop.ask("captured", Kind.CAPTURE, "capture")
        await shop.ends("captured", OrderState.FULFILLED)

    async def canceled() -> None:
        await shop.initiate("canceled", capture="manual", metadata={"sku": "mug"})
        await shop.ask("canceled", Kind.CANCEL, "cancel")
        await shop.ends("canceled", OrderState.CANCELED)

    async def out_of_stock() -> None:
        await shop.initiate("out-of-stock", metadata={"sku": "mug", "quantity": "99"})
        await shop.ends("out-of-stock", OrderState.CANCELED)

    async def held() -> None:
        await shop.initiate("held", capture="manual")

    await asyncio.gather(
        *(way() for way in (fulfilled, refunded, second_card, captured, canceled, out_of_stock)),
        held(),
    )


async def come_to_rest(shop: SmallShop, sandbox: Sandbox, task_queue: str) -> None:
    """Every callback delivered, and no workflow open but that of the order that is held. Temporal
    lists a workflow a moment after it began: so all that there must be are waited for."""
    asked = {each.order_id for each in shop.acknowledged}
    refunds = sum(each.kind is Kind.REFUND for each in shop.acknowledged)

    async def counted(more: str = "") -> int:
        query = f"TaskQueue = '{task_queue}'{more}"
        return (await shop.parts.temporal.count_workflows(query)).count

    async def at_rest() -> bool:
        told = (await sandbox.http.get("/control/deliveries/list")).json()["deliveries"]
        settled = sum(each["type"] == "refund.updated" for each in told)
        if settled < refunds or any(each["state"] == "pending" for each in told):
            return False
        async with shop.engine.connect() as records:
            waiting, late = (await records.execute(_INBOX)).one()
        begun = len(asked) + refunds + late
        return (
            not waiting
            and begun == await counted()
            and (await counted(" AND ExecutionStatus = 'Running'") == 1)
        )

    await until(at_rest, _PATIENCE)


@asynccontextmanager
async def open_small_shop(settings: Settings) -> AsyncIterator[SmallShop]:
    """API and worker, while it is open."""
    parts, engine = await build(settings), create_engine(settings.database_url.get_secret_value())
    await set_stock(engine, "mug", MUGS)
    server = uvicorn.Server(
        uvicorn.Config(create_app(parts), HOST, settings.api_port, log_config=None)
    )
    serving = asyncio.create_task(server.serve())
    try:
        async with (
            Worker(
                parts.temporal,
                task_queue=settings.task_queue,
                workflows=WORKFLOWS,
                activities=parts.activities(),
            ),
            httpx.AsyncClient(
                base_url=f"http://{HOST}:{settings.api_port}",
                headers={"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"},
                trust_env=False,
                timeout=_PATIENCE,
            ) as http,
        ):
            await until(lambda: server.started)
            yield SmallShop(http, parts, engine, [])
    finally:
        server.should_exit = True
        await serving
        await parts.close()
        await engine.dispose()


async def run_small_shop(
    folder: Path, record: Path, database_url: str, temporal_address: str
) -> tuple[Evidence, Sandbox]:
    """Run it to its end; the evidence, and the sandbox that still serves."""
    port, task_queue = free_port(), f"small-shop-{uuid4().hex}"
    sandbox = Sandbox(folder, record, webhook_url=f"http://{HOST}:{port}/api/payment/callback")
    await sandbox.start()
    settings = settings_with(
        database_url=database_url,
        temporal_address=temporal_address,
        task_queue=task_queue,
        stripe_api_base=sandbox.url,
        api_port=port,
        **{name.lower(): limit for name, limit in UNLIMITED.items()},
    )
    async with open_small_shop(settings) as shop:
        await sell(shop)
        await come_to_rest(shop, sandbox, task_queue)
    evidence = Evidence(
        shop.acknowledged,
        database_url,
        shop.parts.temporal,
        sandbox.url,
        stock={"mug": MUGS},
        left_open=frozenset({"held"}),
        task_queue=task_queue,
    )
    return evidence, sandbox


@asynccontextmanager
async def copied(sandbox: Sandbox, folder: Path, *changes: str) -> AsyncIterator[Sandbox]:
    """Another sandbox with the same past, but for `changes` (SQL) made to it."""
    copy = Sandbox(folder, sandbox.record)
    with (
        closing(sqlite3.connect(sandbox.database)) as original,
        closing(sqlite3.connect(copy.database)) as changed,
    ):
        original.backup(changed)
        for change in changes:
            changed.execute(change)
        changed.commit()
    await copy.start()
    try:
        yield copy
    finally:
        await copy.close()


def judged_by(evidence: Evidence, sandbox: Sandbox) -> Evidence:
    """The same, with another gateway to ask."""
    return replace(evidence, sandbox_url=sandbox.url)
