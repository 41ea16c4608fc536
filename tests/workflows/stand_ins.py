"""Stand-ins for what the sandbox cannot be told to do. Injected where the real part would be."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import activity

from app.domain.fulfilment import Phase, StepPlan, StepRefusedError
from app.domain.gateway import (
    AuthorizeRequest,
    GatewayPayment,
    GatewayRefund,
    OutcomeUnknownError,
    RefusedError,
)
from app.domain.money import Money
from app.domain.order import Order
from app.gateways.stripe import StripeGateway
from tests.sandbox.program import KEY, SECRET, Sandbox


class StandIn(StripeGateway):
    """The real adapter; a subclass says where it goes wrong."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(
            api_key=KEY, api_base=sandbox.url, webhook_secrets=[SECRET], timeout_seconds=20
        )


class Forgetful(StandIn):
    """Nothing sent to authorize ever arrives, and nobody knows: `lost` says for how many calls."""

    lost = 4

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        if self.lost:
            self.lost -= 1
            raise OutcomeUnknownError("no answer")
        return await super().authorize(request, key)


class Seeing(StandIn):
    """Shows every payment through `lens`, an authorization and a look-up alike."""

    def __init__(self, sandbox: Sandbox, lens: Callable[[GatewayPayment], GatewayPayment]) -> None:
        super().__init__(sandbox)
        self._lens = lens

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        return self._lens(await super().authorize(request, key))

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        seen = await super().look_up(order_id, transaction_id, since)
        return self._lens(seen) if seen is not None else None


def partly_approved(seen: GatewayPayment) -> GatewayPayment:
    """The bank held less than was asked."""
    return replace(seen, authorized=min(seen.authorized, 3000))


def of_another_amount(seen: GatewayPayment) -> GatewayPayment:
    return replace(seen, amount=Money(1, "usd"))


class Refusing:
    """A fulfilment step that cannot be done, or not be taken back."""

    def __init__(self, plan: StepPlan, *, run: bool = True, undo: bool = False) -> None:
        self.plan = plan
        self._run = run
        self._undo = undo

    async def run(self, order: Order) -> str:
        if self._run:
            raise StepRefusedError("not possible")
        return "done"

    async def undo(self, order: Order) -> None:
        if self._undo:
            raise StepRefusedError("it is gone")


class Meanwhile:
    """A step after the capture, during which something else happens."""

    plan = StepPlan("count_to_ten", Phase.AFTER_CAPTURE, essential=True)

    def __init__(self, happens: Callable[[str], Awaitable[None]]) -> None:
        self._happens = happens

    async def run(self, order: Order) -> str:
        await self._happens(order.order_id)
        return "ten"

    async def undo(self, order: Order) -> None:
        pass


class Storming(StandIn):
    """From the first time that it is asked to do `phase` on it answers nothing but `error`, for a
    minute of the workflow's clock. `asked` tells when it was."""

    def __init__(self, sandbox: Sandbox, phase: str, error: Exception) -> None:
        super().__init__(sandbox)
        self._phase = phase
        self._error = error
        self.asked: list[datetime] = []

    def _weather(self, phase: str) -> None:
        if not self.asked and phase != self._phase:
            return
        self.asked.append(activity.info().current_attempt_scheduled_time)
        if self.asked[-1] - self.asked[0] < timedelta(minutes=1):
            raise self._error

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        self._weather("authorize")
        return await super().authorize(request, key)

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        self._weather("look up")
        return await super().look_up(order_id, transaction_id, since)

    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        self._weather("capture")
        return await super().capture(transaction_id, amount, key)

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        self._weather("void")
        return await super().void(transaction_id, key)

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        self._weather("refund")
        return await super().refund(order_id, transaction_id, amount, name, key)


class Secretive(StandIn):
    """Refuses so many times to tell what became of a refund that it made."""

    def __init__(self, sandbox: Sandbox, times: int) -> None:
        super().__init__(sandbox)
        self._times = times
        self._has_made = False

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        made = await super().refund(order_id, transaction_id, amount, name, key)
        self._has_made = True
        return made

    async def look_up_refund(self, transaction_id: str, name: str) -> GatewayRefund | None:
        if self._has_made and self._times > 0:
            self._times -= 1
            raise RefusedError("permission", "this key may not read refunds")
        return await super().look_up_refund(transaction_id, name)


class Silent(StandIn):
    """Answers none of the calls, or keys, that are `silent`. `keys` tells under which ones it was
    asked to move money, and when."""

    def __init__(self, sandbox: Sandbox, *calls: str) -> None:
        super().__init__(sandbox)
        self.silent = set(calls)
        self.keys: list[tuple[str, datetime]] = []

    def _asked(self, call: str, key: str | None = None) -> None:
        if key is not None:
            self.keys.append((key, activity.info().current_attempt_scheduled_time))
        if call in self.silent or (key or "").partition(":")[2] in self.silent:
            raise OutcomeUnknownError("no answer")

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        self._asked("authorize", key)
        return await super().authorize(request, key)

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        self._asked("look up")
        return await super().look_up(order_id, transaction_id, since)

    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        self._asked("capture", key)
        return await super().capture(transaction_id, amount, key)

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        self._asked("refund", key)
        return await super().refund(order_id, transaction_id, amount, name, key)
