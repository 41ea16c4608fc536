"""The journal: the ledger's postings, append-only, each entry's sum zero in each currency."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.engine import transaction
from app.db.tables import JournalRow
from app.domain.gateway import GatewayMovement
from app.domain.ledger import Account, Balances, account_postings

Row = dict[str, Any]
_EVERY_ROW_SECONDS = 3600


def entry(order_id: str | None, name: str, at: datetime, posted: Balances) -> list[Row]:
    """The rows of one entry: a fact's by its key, or a movement's by the gateway's id."""
    return [
        {
            "order_id": order_id,
            "entry": name,
            "account": account,
            "currency": currency,
            "amount": amount,
            "at": at,
        }
        for (account, currency), amount in posted.items()
    ]


async def append(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Write whole entries, each of which must be new. In one statement: the database refuses one
    that does not balance."""
    if rows:
        await session.exec(insert(JournalRow).values(rows))


async def append_movements(session: AsyncSession, movements: Iterable[GatewayMovement]) -> None:
    """Write what movements post to no order, unless it is there."""
    rows: list[Row] = []
    for movement in movements:
        posted = account_postings(movement)
        rows += entry(None, movement.movement_id, movement.created_at, posted)
    if rows:
        await session.exec(insert(JournalRow).values(rows).on_conflict_do_nothing())


async def balances(engine: AsyncEngine) -> Balances:
    """Of every account and currency. Raises RecordsUnavailableError."""
    async with transaction(engine, seconds=_EVERY_ROW_SECONDS) as session:
        rows = await session.exec(
            select(JournalRow.account, JournalRow.currency, func.sum(JournalRow.amount)).group_by(
                col(JournalRow.account), col(JournalRow.currency)
            )
        )
        return {(Account(account), currency): int(amount) for account, currency, amount in rows}


async def balances_of(
    session: AsyncSession, order_ids: Collection[str]
) -> Mapping[str | None, Balances]:
    """The same of each order."""
    order_id = col(JournalRow.order_id)
    rows = await session.exec(
        select(order_id, JournalRow.account, JournalRow.currency, func.sum(JournalRow.amount))
        .where(order_id.in_(order_ids))
        .group_by(order_id, col(JournalRow.account), col(JournalRow.currency))
    )
    found: dict[str | None, dict[tuple[Account, str], int]] = {each: {} for each in order_ids}
    for order, account, currency, amount in rows:
        found[order][Account(account), currency] = int(amount)
    return found
