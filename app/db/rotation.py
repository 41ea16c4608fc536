"""Sealing personal data again with the newest key, so that an old one can be taken away."""

from collections.abc import AsyncIterator

from sqlalchemy import func, or_, tuple_, union
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select

from app.db.engine import transaction
from app.db.personal import PersonalData
from app.db.tables import OrderRow, has_personal_data
from app.keyring import Keyring

_ORDERS_AT_A_TIME = 200


async def rotate(
    engine: AsyncEngine, keyring: Keyring, at_a_time: int = _ORDERS_AT_A_TIME
) -> AsyncIterator[int]:
    """How many orders of each page were sealed with the newest key, which were not before: those in
    clear as well. Beside a running service. Raises RecordsUnavailableError, for a missing key
    too."""
    place = tuple_(col(OrderRow.created_at), col(OrderRow.order_id))
    personal = PersonalData(keyring)
    stale = select(OrderRow).where(
        has_personal_data,
        or_(
            col(OrderRow.customer_email).is_not(None),
            col(OrderRow.mandate).is_not(None),
            *(
                func.split_part(sealed, ":", 1) != keyring.newest
                for sealed in (col(OrderRow.sealed_email), col(OrderRow.sealed_mandate))
            ),
        ),
    )
    page = stale
    while True:
        async with transaction(engine) as session:
            rows = (
                await session.exec(
                    page.order_by(col(OrderRow.created_at), col(OrderRow.order_id))
                    .limit(at_a_time)
                    .with_for_update(key_share=True)
                )
            ).all()
            for row in rows:
                personal.put(row, *personal.open(row))
        if not rows:
            return
        yield len(rows)
        page = stale.where(place > (rows[-1].created_at, rows[-1].order_id))


async def key_ids(engine: AsyncEngine) -> dict[str, int]:
    """How many orders need each key, by its id. Raises RecordsUnavailableError."""
    needed = union(
        *(
            select(OrderRow.order_id, func.split_part(sealed, ":", 1).label("key_id")).where(
                sealed.is_not(None)
            )
            for sealed in (col(OrderRow.sealed_email), col(OrderRow.sealed_mandate))
        )
    ).subquery()
    async with transaction(engine) as session:
        counted = await session.exec(
            select(needed.c.key_id, func.count()).group_by(needed.c.key_id)
        )
        return dict(counted.all())
