"""How the story of an order ended, without what differs from order to order."""

import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from app.domain.facts import Fact
from app.domain.reversals import refund_name
from chaos.crash_scene import Scene

_FACT = TypeAdapter(Fact)
# What the API tells of an order that must not depend on who died when.
_FIGURES = (
    "status", "order_status", "authorized", "captured", "refunded", "refunds_pending", "disputed",
    "refundable", "needs_attention",
)  # fmt: skip
# When it was learnt and from whom, how far the bank's clock was, a fingerprint of the request.
_CHANCE = {"at", "source", "evidence_due_by", "capture_before", "idempotency_key"}
_GATEWAY_ID = re.compile(r"\b(pi|ch|re|pyr|du|dp|txn|cus|evt)_\w+")


@dataclass(frozen=True)
class End:
    """What the API tells, what the gateway charged, what is known, and what went out."""

    order: str
    charged: str
    facts: frozenset[str]
    goods: str
    mails: tuple[str, ...]
    captures: int

    def differs_from(self, other: "End") -> list[str]:
        """In which respects, for people."""
        told = [
            f"{name}: {getattr(other, name)} became {getattr(self, name)}"
            for name in ("order", "charged", "goods", "mails")
            if getattr(self, name) != getattr(other, name)
        ]
        told += [f"missing fact {fact}" for fact in sorted(other.facts - self.facts)]
        return told + [f"another fact {fact}" for fact in sorted(self.facts - other.facts)]


async def end_of(scene: Scene, order_id: str) -> End:
    """How it stands now."""

    def plain(told: Any) -> str:
        text = json.dumps(told, sort_keys=True, default=str)
        for key in ("all", "order undone"):
            text = text.replace(refund_name(order_id, key), "REFUND")
        return _GATEWAY_ID.sub(r"\1", text.replace(order_id, "ORDER"))

    order = await scene.order(order_id)
    ledger = await scene.ledger(order_id)
    intents = [{**intent, "id": ""} for intent in ledger["payment_intents"]]
    counts = ledger["orders"].get(order_id, {})
    facts = await scene.records.facts(order_id)
    goods = await scene.rows(
        """
        SELECT 'reserved', sku, released_at IS NULL FROM reservations WHERE order_id = :id
        UNION ALL SELECT 'shipped', '', canceled_at IS NULL FROM shipments WHERE order_id = :id
        UNION ALL SELECT 'receipt', '', withdrawn_at IS NULL FROM receipts WHERE order_id = :id
        ORDER BY 1""",
        order_id,
    )
    return End(
        order=plain({name: order[name] for name in _FIGURES}),
        charged=plain([sorted(map(plain, intents)), counts]),
        facts=frozenset(
            plain(_FACT.dump_python(fact, mode="json", exclude_none=True, exclude=_CHANCE))
            for fact in facts
        ),
        goods=plain(goods),
        mails=tuple(plain(mail) for mail in scene.mails(order_id)),
        captures=counts.get("captures", 0),
    )
