"""The tests' own door, apart from /v1: failures, deliveries, time, the bank's moves, the ledger.

It needs no key, so it answers callers on the loopback interface and nobody else.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox import balance, delivery_list, ledger
from sandbox.capture_window import capture_window, set_capture_window
from sandbox.context import Context
from sandbox.currencies import checked_currency
from sandbox.deliveries import Deliveries, Rules
from sandbox.disputes import REASONS, decide, raise_dispute
from sandbox.errors import ApiError, unfit
from sandbox.faults import Fault, Faults
from sandbox.forgery import Forgery, send_forged
from sandbox.signing_secrets import renew_secret
from sandbox.store import Json
from sandbox.timers import Timers

CLOCK_OFFSET = "clock_offset"
_YEAR = 365 * 24 * 3600
_Model = TypeVar("_Model", bound=BaseModel)


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Advance(_Order):
    """How far to move the sandbox's clock, in seconds; never back. `skew_seconds` is how wrong the
    clock is from now on that dates signatures, until told otherwise or restarted."""

    advance_seconds: float = Field(default=0, ge=0)
    skew_seconds: float | None = None


class Settle(_Order):
    """The object whose pending business is to be done now."""

    id: str


class Window(_Order):
    """How long cards authorized from now on stay capturable; None is the usual window."""

    seconds: int | None = Field(default=None, ge=1)


class Dispute(_Order):
    """What the payer's bank takes back: `amount`, or all that is left. `answer_within` is how many
    seconds the merchant has for evidence; None is the usual time."""

    payment_intent: str
    reason: str = Field(default="fraudulent", pattern=f"^({'|'.join(REASONS)})$")
    amount: int | None = Field(default=None, ge=1)
    answer_within: int | None = Field(default=None, ge=1, le=_YEAR)


class NewSecret(_Order):
    """Whose secret is replaced, and how long the one before is still signed with."""

    endpoint: str
    seconds: int = Field(default=0, ge=0)


class Verdict(_Order):
    """How the bank decides a dispute, from the merchant's point of view."""

    verdict: Literal["won", "lost"]


class Payout(_Order):
    """What the merchant's bank gets of the balance in one currency: `amount`, or all of it."""

    currency: str = "usd"
    amount: int | None = Field(default=None, ge=1)


class Control:
    def __init__(
        self,
        context: Context,
        faults: Faults,
        deliveries: Deliveries,
        timers: Timers,
        after_commit: Callable[[], None],
    ) -> None:
        self._context = context
        self._store = context.store
        self._clock = context.clock
        self._faults = faults
        self._deliveries = deliveries
        self._timers = timers
        self._after_commit = after_commit

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/control/faults", _local(self._add_fault), methods=["POST"]),
            Route("/control/faults", _local(self._list_faults), methods=["GET"]),
            Route("/control/faults", _local(self._clear_faults), methods=["DELETE"]),
            Route("/control/deliveries", _local(self._set_mode), methods=["POST"]),
            Route("/control/deliveries", _local(self._read_deliveries), methods=["GET"]),
            Route("/control/deliveries/list", _local(self._list_deliveries), methods=["GET"]),
            Route("/control/forge", _local(self._forge), methods=["POST"]),
            Route("/control/secret", _local(self._renew_secret), methods=["POST"]),
            Route("/control/clock", _local(self._advance), methods=["POST"]),
            Route("/control/settle", _local(self._settle), methods=["POST"]),
            Route("/control/capture-window", _local(self._set_window), methods=["POST"]),
            Route("/control/disputes", _local(self._dispute), methods=["POST"]),
            Route("/control/disputes/{id}", _local(self._decide), methods=["POST"]),
            Route("/control/payouts", _local(self._pay_out), methods=["POST"]),
            Route("/control/ledger", _local(self._ledger), methods=["GET"]),
        ]

    async def _add_fault(self, request: Request) -> Json:
        self._faults.waiting.append(await _read(request, Fault))
        return await self._list_faults(request)

    async def _list_faults(self, request: Request) -> Json:
        waiting = [fault.model_dump() for fault in self._faults.waiting]
        return {"faults": waiting, "met": self._faults.met()}

    async def _clear_faults(self, request: Request) -> Json:
        self._faults.waiting.clear()
        return await self._list_faults(request)

    async def _set_mode(self, request: Request) -> Json:
        self._deliveries.set_rules((await _read(request, Rules)).rules)
        return await self._read_deliveries(request)

    async def _read_deliveries(self, request: Request) -> Json:
        rules = [rule.model_dump() for rule in self._deliveries.rules]
        return {"rules": rules, **self._deliveries.counts()}

    async def _list_deliveries(self, request: Request) -> Json:
        return delivery_list.read(self._store, request.query_params.get("state"))

    async def _forge(self, request: Request) -> Json:
        return await send_forged(self._context, await _read(request, Forgery))

    async def _renew_secret(self, request: Request) -> Json:
        order = await _read(request, NewSecret)
        return {"secret": renew_secret(self._context, order.endpoint, order.seconds)}

    async def _advance(self, request: Request) -> Json:
        order = await _read(request, Advance)
        self._clock.offset += order.advance_seconds
        if order.skew_seconds is not None:
            self._clock.skew = order.skew_seconds
        self._store.set_meta(CLOCK_OFFSET, repr(self._clock.offset))
        self._timers.run_due()
        self._after_commit()
        return {"now": int(self._clock.now()), "offset_seconds": self._clock.offset}

    async def _settle(self, request: Request) -> Json:
        order = await _read(request, Settle)
        done = self._timers.settle(order.id)
        self._after_commit()
        return {"id": order.id, "done": done}

    async def _set_window(self, request: Request) -> Json:
        set_capture_window(self._store, (await _read(request, Window)).seconds)
        return {"seconds": capture_window(self._store)}

    async def _dispute(self, request: Request) -> Json:
        order = await _read(request, Dispute)
        with self._store.transaction():
            intent = self._context.get("payment_intent", order.payment_intent).body
            if intent["latest_charge"] is None:
                raise unfit("This PaymentIntent has no charge to dispute.")
            charge = self._context.get("charge", intent["latest_charge"]).body
            dispute = raise_dispute(
                self._context, charge, order.reason, order.amount, order.answer_within
            )
        self._after_commit()
        return dispute

    async def _decide(self, request: Request) -> Json:
        verdict = (await _read(request, Verdict)).verdict
        with self._store.transaction():
            dispute = decide(self._context, request.path_params["id"], verdict)
        self._after_commit()
        return dispute

    async def _pay_out(self, request: Request) -> Json:
        order = await _read(request, Payout)
        with self._store.transaction():
            return balance.pay_out(self._context, checked_currency(order.currency), order.amount)

    async def _ledger(self, request: Request) -> Json:
        return ledger.read(self._store, request.query_params.get("order_id"))


async def _read(request: Request, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(json.loads(await request.body() or b"{}"))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise unfit("; ".join(problems)) from None
    except ValueError:
        raise unfit("The body is not JSON.") from None


def _local(
    handler: Callable[[Request], Awaitable[Json]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        host = "" if request.client is None else request.client.host
        if not ipaddress.ip_address(host).is_loopback:
            return JSONResponse({"error": "Only from this machine."}, status_code=403)
        try:
            return JSONResponse(await handler(request))
        except ApiError as error:
            return JSONResponse({"error": error.fields["message"]}, status_code=error.status)

    return endpoint
