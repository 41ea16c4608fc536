"""Where crashes are staged: the stack with crashing workers, and the hands of everybody outside."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper

from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.embedded.credentials import Credentials
from app.embedded.services import WorkerPart
from app.embedded.stack import Stack
from app.fulfilment.reserve_stock import set_stock
from app.temporal.schedules import ensure_schedules
from chaos.crash_points import CrashPoints

Json = dict[str, Any]
SKU = "crash-mug"
ON_THE_SHELF = 1_000_000
_ASK_AGAIN = 503
_DECLINED = "/problems/payment-declined"
_LOOK_EVERY_SECONDS = 1.0
_MESSAGE_ID = re.compile(r"^Message-ID: (<\S+>)$", re.MULTILINE)


class CrashingWorkers(WorkerPart):
    """Takes the place of the stack's worker."""

    def __init__(
        self, folder: Path, count: int, api_url: str, environment: Mapping[str, str]
    ) -> None:
        super().__init__(api_url, environment)
        self._arguments = [str(folder), str(count)]

    def command(self) -> list[str]:
        python, _ = super().command()
        return [python, "-m", "chaos.crashing_worker", *self._arguments]


class Scene:
    """A stack whose worker is `CrashingWorkers`, and what can be done and seen around it."""

    def __init__(self, stack: Stack, points: CrashPoints, temporal: Client) -> None:
        self.points = points
        self.temporal = temporal
        self.skipper = TimeSkipper(temporal)
        self.engine: AsyncEngine = create_engine(stack.postgres.url)
        self.records = PostgresRecords(self.engine, "stripe", stack.keyring())
        # trust_env=False: a proxy set for the outside world is not for 127.0.0.1.
        self._shop = httpx.AsyncClient(
            base_url=stack.api_url,
            headers={"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"},
            trust_env=False,
            timeout=60,
        )
        self._gateway = httpx.AsyncClient(
            base_url=stack.sandbox.url,
            headers={"Authorization": f"Bearer {Credentials.kept_in(stack.folder).stripe_api_key}"},
            trust_env=False,
            timeout=60,
        )
        self._maildir = stack.mail.maildir / "new"
        self._mails: dict[str, str] = {}

    async def close(self) -> None:
        """Let go of every connection."""
        await self._shop.aclose()
        await self._gateway.aclose()
        await self.engine.dispose()

    # The storefront.

    async def pay(self, order_id: str, **more: Any) -> None:
        """Ask for 49.99 of a good card. It may be declined at once or answered too late: what
        became of it is seen later."""
        await self._asked(
            "/api/payment/initiate",
            {
                "order_id": order_id,
                "payment_method": "credit_card",
                "payment_method_token": "pm_card_visa",
                "amount": 49.99,
                "customer_email": "shopper@example.com",
                "metadata": {"sku": SKU},
                **more,
            },
            key=order_id,
        )

    async def cancel(self, order_id: str) -> None:
        """Call the order off."""
        await self._asked(f"/api/payment/{order_id}/cancel", {})

    async def capture(self, order_id: str) -> None:
        """Have the held money taken."""
        await self._asked(f"/api/payment/{order_id}/capture", {})

    async def refund(self, order_id: str, key: str) -> None:
        """Have all of it given back."""
        await self._asked(f"/api/payment/{order_id}/refunds", {}, key)

    async def order(self, order_id: str) -> Json:
        """As the API tells it."""
        told: Json = {}

        async def answered() -> bool:
            answer = await self._shop.get(f"/api/payment/{order_id}")
            if answer.status_code == _ASK_AGAIN:
                return False
            answer.raise_for_status()
            told.update(answer.json())
            return True

        await eventually(answered)
        return told

    async def until(self, order_id: str, **wanted: str) -> None:
        """Wait until the API tells all of `wanted`."""

        async def told() -> bool:
            return wanted.items() <= (await self.order(order_id)).items()

        await eventually(told)

    async def _asked(self, path: str, body: Json, key: str | None = None) -> None:
        """Ask, and while there is no answer ask again, as storefronts are told to do."""
        headers = {"Idempotency-Key": key} if key is not None else {}

        async def answered() -> bool:
            answer = await self._shop.post(path, json=body, headers=headers)
            if answer.status_code == _ASK_AGAIN:
                return False
            if not answer.is_success and answer.json().get("type") != _DECLINED:
                raise RuntimeError(f"{path} was told {answer.status_code}: {answer.text}")
            return True

        await eventually(answered)

    # The gateway.

    async def at_the_gateway(self, path: str, **form: Any) -> Json:
        """What another program with our key does there."""
        answer = await self._gateway.post(path, data=form)
        answer.raise_for_status()
        said: Json = answer.json()
        return said

    async def control(self, what: str, **order: Any) -> Json:
        """What only a sandbox can be told."""
        answer = await self._gateway.post(f"/control/{what}", json=order)
        answer.raise_for_status()
        said: Json = answer.json()
        return said

    async def ledger(self, order_id: str) -> Json:
        """What was really charged for the order."""
        answer = await self._gateway.get("/control/ledger", params={"order_id": order_id})
        answer.raise_for_status()
        said: Json = answer.json()
        return said

    # Temporal.

    def workflow(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        """By its id."""
        return self.temporal.get_workflow_handle(workflow_id)

    async def ended(self, workflow_id: str) -> None:
        """Wait until it has."""
        await self.workflow(workflow_id).result()

    async def has_begun(self, workflow: WorkflowHandle[Any, Any], activity: str) -> bool:
        """Whether the workflow has asked for the activity."""
        async for event in workflow.fetch_history_events():
            asked = event.activity_task_scheduled_event_attributes
            if asked.activity_type.name == activity:
                return True
        return False

    async def nothing_runs(self, order_id: str) -> None:
        """Wait until no workflow of the order is left."""

        async def at_rest() -> bool:
            running = f'OrderId = "{order_id}" AND ExecutionStatus = "Running"'
            return (await self.temporal.count_workflows(running)).count == 0

        await eventually(at_rest)

    # The shop's own floor.

    async def rows(self, sql: str, order_id: str) -> list[tuple[Any, ...]]:
        """What our database holds of an order, which `sql` calls :id."""
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(sql), {"id": order_id})]

    async def stock_is_right(self) -> bool:
        """Whether exactly what is reserved is gone from the shelf."""
        async with self.engine.connect() as connection:
            gone = await connection.scalar(
                text("SELECT :all - available FROM stock WHERE sku = :sku"),
                {"all": ON_THE_SHELF, "sku": SKU},
            )
            reserved = await connection.scalar(
                text(
                    "SELECT coalesce(sum(quantity), 0) FROM reservations "
                    "WHERE sku = :sku AND released_at IS NULL"
                ),
                {"sku": SKU},
            )
        return bool(gone == reserved)

    def mails(self, order_id: str) -> list[str]:
        """The Message-IDs of all mails about the order."""
        for file in self._maildir.iterdir():
            if file.name not in self._mails:
                found = _MESSAGE_ID.search(file.read_text())
                self._mails[file.name] = found[1] if found is not None else ""
        return sorted(mail for mail in self._mails.values() if f".{order_id}@" in mail)


@asynccontextmanager
async def staged(stack: Stack, folder: Path) -> AsyncIterator[Scene]:
    """On a running stack whose worker is `CrashingWorkers(folder, …)`."""
    scene = Scene(stack, CrashPoints(folder), await stack.temporal_client())
    try:
        await ensure_schedules(scene.temporal, "tillflow")
        await set_stock(scene.engine, SKU, ON_THE_SHELF)
        yield scene
    finally:
        await scene.close()


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until it is true."""
    while not await true():  # noqa: ASYNC110 - nobody outside sets an event for us
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
