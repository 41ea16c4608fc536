"""Giving captured money back, and asking what became of it."""

from dataclasses import dataclass

from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import Learnt, keep, now
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import Gateway, RefusedError
from app.domain.learn import learn_refund
from app.domain.money import Money
from app.domain.records import Records


@dataclass(frozen=True)
class MakeRefundInput:
    """Give `amount` back. `name` is ours: asked again, it is the same refund. `number` counts the
    keys: a new one only after an operator saw that nothing was done."""

    order_id: str
    transaction_id: str
    amount: Money
    name: str
    reason: str | None = None
    number: int = 1


@dataclass(frozen=True)
class LookUpRefundInput:
    """Which refund to ask for."""

    order_id: str
    transaction_id: str
    name: str


def refund_key(order_id: str, name: str, number: int = 1) -> str:
    """The idempotency key of a refund, for ever: another one could refund twice."""
    return f"{order_id}:refund:{name}" + (f":{number}" if number > 1 else "")


class RefundActivities:
    """Refunds, as Temporal asks for them."""

    def __init__(self, gateway: Gateway, records: Records) -> None:
        self._gateway = gateway
        self._records = records

    @activity.defn
    async def note_refund(self, ask: MakeRefundInput) -> Learnt:
        """Note that the refund is wanted. Its money counts as gone from now on, so that two refunds
        at once cannot give back more than was captured. Refused where there is not so much."""
        async with reported():
            return Learnt([await self._noted(ask)])

    @activity.defn
    async def make_refund(self, ask: MakeRefundInput) -> Learnt:
        """Ask the gateway for a refund that is noted. Its refusal is an answer: a refund that
        failed."""
        async with reported():
            amount = ask.amount.of((await self._noted(ask)).amount or 0)
            try:
                seen = await self._gateway.refund(
                    ask.order_id,
                    ask.transaction_id,
                    amount,
                    ask.name,
                    refund_key(ask.order_id, ask.name, ask.number),
                )
            except RefusedError as refusal:
                told = Fact(
                    Event.REFUND_FAILED,
                    now(),
                    Source.GATEWAY,
                    amount=amount.minor,
                    refund=ask.name,
                    reason=f"{refusal.code}: {refusal.message}",
                )
            else:
                told = learn_refund(seen, source=Source.GATEWAY, at=now())
            return await keep(self._records, ask.order_id, [told])

    @activity.defn
    async def look_up_refund(self, ask: LookUpRefundInput) -> Learnt:
        """Ask the gateway what became of a refund."""
        async with reported():
            seen = await self._gateway.look_up_refund(ask.transaction_id, ask.name)
            if seen is None:
                return Learnt([])
            fact = learn_refund(seen, source=Source.LOOK_UP, at=now())
            return await keep(self._records, ask.order_id, [fact])

    async def _noted(self, ask: MakeRefundInput) -> Fact:
        return await self._records.open_refund(ask.order_id, ask.name, ask.amount.minor, ask.reason)
