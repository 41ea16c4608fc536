"""Every order's ledger balances, recomputed from its facts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select

from app.db import facts, journal
from app.db.engine import transaction
from app.db.tables import OrderRow
from app.domain.ledger import Account, difference, positions
from app.domain.money import Money
from app.domain.payment import Payment, fold

_ORDERS_AT_A_TIME = 500


@dataclass(frozen=True)
class Difference:
    """A balance of an order that is not what its facts say, in minor units of `currency`."""

    order_id: str
    account: Account
    currency: str
    by_the_facts: int
    in_the_journal: int


@dataclass(frozen=True)
class Page:
    """What checking so many orders more has found."""

    orders: int
    differences: list[Difference]


async def check(engine: AsyncEngine, at_a_time: int = _ORDERS_AT_A_TIME) -> AsyncIterator[Page]:
    """All orders, a page at a time: what is written meanwhile is on a later page, or whole."""
    after = ""
    while True:
        async with transaction(engine) as session:
            # Facts and journal are to be of the same moment.
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            orders = (
                await session.exec(
                    select(OrderRow)
                    .where(col(OrderRow.order_id) > after)
                    .order_by(col(OrderRow.order_id))
                    .limit(at_a_time)
                )
            ).all()
            names = [order.order_id for order in orders]
            known = await facts.of_orders(session, None, names)
            kept = await journal.balances_of(session, names)
        if not orders:
            return
        differences: list[Difference] = []
        for order in orders:
            blank = Payment(order.order_id, Money(order.amount, order.currency))
            wanted, found = positions(fold(blank, known[order.order_id])), kept[order.order_id]
            differences += [
                Difference(order.order_id, *place, wanted.get(place, 0), found.get(place, 0))
                for place in sorted(difference(wanted, found))
            ]
        yield Page(len(orders), differences)
        after = names[-1]
