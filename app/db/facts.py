"""Facts as rows: append-only, in the order we learnt them."""

from collections.abc import Collection, Sequence

from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import PaymentEventRow
from app.domain.facts import Fact

_FACT = TypeAdapter(Fact)


async def append(session: AsyncSession, order_id: str, facts: Sequence[Fact]) -> None:
    """Write `facts`, each of which must be new."""
    rows = [
        {
            "order_id": order_id,
            "key": fact.key,
            "event": fact.event,
            "fact": _FACT.dump_python(fact, mode="json", exclude_defaults=True),
        }
        for fact in facts
    ]
    if rows:
        await session.exec(insert(PaymentEventRow).values(rows))


async def of_orders(session: AsyncSession, order_ids: Collection[str]) -> dict[str, list[Fact]]:
    """All facts of each order, the oldest first."""
    rows = await session.exec(
        select(PaymentEventRow.order_id, PaymentEventRow.fact)
        .where(col(PaymentEventRow.order_id).in_(order_ids))
        .order_by(col(PaymentEventRow.id))
    )
    facts: dict[str, list[Fact]] = {order_id: [] for order_id in order_ids}
    for order_id, fact in rows:
        facts[order_id].append(_FACT.validate_python(fact))
    return facts
