"""Asking how a dispute stands."""

from dataclasses import dataclass

from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import Learnt, keep, now
from app.domain.facts import Source
from app.domain.gateway import Gateway
from app.domain.learn import learn_dispute
from app.domain.records import Records


@dataclass(frozen=True)
class LookUpDisputeInput:
    """Which dispute to ask for, by the gateway's id. `currency` is the order's."""

    order_id: str
    dispute_id: str
    currency: str


class DisputeActivities:
    """Disputes, as Temporal asks for them."""

    def __init__(self, gateway: Gateway, records: Records) -> None:
        self._gateway = gateway
        self._records = records

    @activity.defn
    async def look_up_dispute(self, ask: LookUpDisputeInput) -> Learnt:
        """Ask the gateway how the dispute stands: it is the truth."""
        async with reported():
            seen = await self._gateway.look_up_dispute(ask.dispute_id)
            facts = learn_dispute(seen, source=Source.LOOK_UP, at=now(), currency=ask.currency)
            return await keep(self._records, ask.order_id, facts)
