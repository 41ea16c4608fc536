"""Signing secrets change while callbacks flow, and nothing valid is refused."""

import asyncio
import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import httpx

from app.db.records import PostgresRecords
from app.domain.money import Money
from app.domain.order import Order
from tests.api.alone import api
from tests.doors.forms import Form, GenericForm, StripeForm
from tests.sandbox.program import SECRET
from tests.walk.running import CALLBACK, eventually

OLD_GENERIC = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
_SENDERS = 4


@dataclass
class Flow:
    """Callbacks without a pause: each to the next of `doors`, signed by the next of `forms`."""

    doors: Sequence[httpx.AsyncClient]
    forms: Sequence[Form]
    answers: list[int] = field(default_factory=list)

    async def send(self) -> None:
        for turn in count():
            door, form = self.doors[turn % len(self.doors)], self.forms[turn % len(self.forms)]
            made = form.callback(form.body())
            self.answers.append(await _answered(door, made.body, made.headers))

    async def goes_on(self) -> None:
        """Wait until each sender has been through all doors and forms, more than once."""
        wanted = len(self.answers) + 10 * _SENDERS

        async def answered() -> bool:
            return len(self.answers) >= wanted

        await eventually(answered)


async def _answered(
    door: httpx.AsyncClient, body: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> int:
    answer = await door.post(CALLBACK, content=body, headers=list(headers))
    return answer.status_code


async def test_a_rotation_refuses_nothing_that_is_valid(
    database_url: str, records: PostgresRecords
) -> None:
    await records.open_order(Order("order-1", Money(4999, "usd")))
    new_generic = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
    old = StripeForm(SECRET, "order-1", "pi_1"), GenericForm(OLD_GENERIC, "order-1")
    new = StripeForm("whsec_new", "order-1", "pi_1"), GenericForm(new_generic, "order-1")
    async with (
        api(database_url, callback_secret=OLD_GENERIC) as before,
        api(
            database_url,
            stripe_webhook_secret=f"whsec_new,{SECRET}",
            callback_secret=f"{new_generic},{OLD_GENERIC}",
        ) as between,
        api(database_url, stripe_webhook_secret="whsec_new", callback_secret=new_generic) as after,
    ):
        flow = Flow(doors=[before], forms=old)
        senders = [asyncio.create_task(flow.send()) for _ in range(_SENDERS)]
        stages: list[tuple[list[httpx.AsyncClient], Sequence[Form]]] = [
            ([before], old),
            ([before, between, between], old),
            ([between], old),
            ([between], [*old, *new]),  # the senders change over, one after the other
            ([between], new),
            ([between, after, after], new),
            ([after], new),
        ]
        for doors, forms in stages:
            flow.doors, flow.forms = doors, forms
            await flow.goes_on()
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

        assert Counter(flow.answers) == {200: len(flow.answers)}
        assert len(await records.waiting_callbacks(10_000)) >= len(flow.answers)
        for form in old:
            made = form.callback(form.body())
            assert await _answered(after, made.body, made.headers) == 400
