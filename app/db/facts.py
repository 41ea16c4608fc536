"""Facts as rows: append-only, in the order we learnt them.

The next action is sealed: while the shopper has not taken it, it opens the payment at the gateway.
Afterwards nobody needs it, so a key may be taken away that only facts were sealed with.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import PaymentEventRow
from app.domain.facts import Fact
from app.keyring import Keyring, TamperedError, UnknownKeyError

_FACT = TypeAdapter(Fact)
_SEALED = "sealed_next_action"
_log = structlog.get_logger()


async def append(
    session: AsyncSession, keyring: Keyring, order_id: str, facts: Sequence[Fact]
) -> None:
    """Write `facts`, each of which must be new."""
    rows = [
        {
            "order_id": order_id,
            "key": fact.key,
            "event": fact.event,
            "fact": _sealed(fact, order_id, keyring),
        }
        for fact in facts
    ]
    if rows:
        await session.exec(insert(PaymentEventRow).values(rows))


async def of_orders(
    session: AsyncSession, keyring: Keyring | None, order_ids: Collection[str]
) -> dict[str, list[Fact]]:
    """All facts of each order, the oldest first; without a next action that `keyring` cannot
    open."""
    rows = await session.exec(
        select(PaymentEventRow.order_id, PaymentEventRow.fact)
        .where(col(PaymentEventRow.order_id).in_(order_ids))
        .order_by(col(PaymentEventRow.id))
    )
    facts: dict[str, list[Fact]] = {order_id: [] for order_id in order_ids}
    for order_id, kept in rows:
        facts[order_id].append(_opened(kept, order_id, keyring))
    return facts


def _sealed(fact: Fact, order_id: str, keyring: Keyring) -> dict[str, Any]:
    kept: dict[str, Any] = _FACT.dump_python(fact, mode="json", exclude_defaults=True)
    action = kept.pop("next_action", None)
    if action is not None:
        kept[_SEALED] = keyring.seal(json.dumps(action), _purpose(order_id))
    return kept


def _opened(kept: Mapping[str, Any], order_id: str, keyring: Keyring | None) -> Fact:
    sealed = kept.get(_SEALED)
    if sealed is None or keyring is None:
        return _FACT.validate_python(kept)  # in it there may be one in clear, from before
    try:
        action = json.loads(keyring.unseal(sealed, _purpose(order_id)))
    except UnknownKeyError:
        action = None
    except TamperedError:
        _log.error("next action unreadable", order_id=order_id)
        action = None
    return _FACT.validate_python({**kept, "next_action": action})


def _purpose(order_id: str) -> str:
    return f"{_SEALED}:{order_id}"
