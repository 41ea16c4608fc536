"""What an activity brings back: facts that stand in the records already."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.facts import Fact
from app.domain.gateway import GatewayPayment
from app.domain.records import Records


@dataclass(frozen=True)
class Learnt:
    """What a step taught us. All of it is in the records already."""

    facts: list[Fact]
    seen: GatewayPayment | None = None


async def keep(
    records: Records, order_id: str, facts: Sequence[Fact], seen: GatewayPayment | None = None
) -> Learnt:
    """Put `facts` into the records."""
    await records.append(order_id, facts)
    return Learnt(list(facts), seen)


def now() -> datetime:
    """The time, for a fact."""
    return datetime.now(UTC)
