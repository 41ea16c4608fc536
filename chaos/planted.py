"""Defects put in on purpose once a run is at rest: a judge that never found any proves nothing."""

from dataclasses import replace
from enum import StrEnum

import httpx

from chaos.evidence import Acknowledged, Evidence, Kind
from chaos.judge_gateway import Charge, read_gateway


class Defect(StrEnum):
    """What to put in."""

    DOUBLE_CHARGE = "double-charge"
    LOST_PAYMENT = "lost-payment"
    DIFFERENCE = "difference"


async def plant(defect: Defect, evidence: Evidence, api_key: str) -> Evidence:
    """Put `defect` in; the evidence with it. `api_key` is the gateway's.

    Raises LookupError where no order was paid: there is nothing to plant it in.
    """
    if defect is Defect.LOST_PAYMENT:
        return replace(evidence, acknowledged=[*evidence.acknowledged, _never_written_down()])
    paid = await _paid(evidence)
    # trust_env=False: a proxy set for the outside world is not for 127.0.0.1.
    async with httpx.AsyncClient(
        base_url=evidence.sandbox_url,
        headers={"Authorization": f"Bearer {api_key}"},
        trust_env=False,
    ) as gateway:
        # What is planted is not to be mended by what the gateway tells of it.
        held = await gateway.post("/control/deliveries", json={"mode": "hold"})
        held.raise_for_status()
        path, form = _charged_again(paid) if defect is Defect.DOUBLE_CHARGE else _given_back(paid)
        (await gateway.post(path, data=form)).raise_for_status()
    return evidence


def _never_written_down() -> Acknowledged:
    """As from an API that answers before the order is durable."""
    told = {"status": "captured", "order_status": "fulfilled", "transaction_id": None}
    return Acknowledged("planted-and-lost", Kind.INITIATE, 4999, "usd", 200, told)


def _charged_again(paid: Charge) -> tuple[str, dict[str, str]]:
    """As by a request that was sent again under another key."""
    return "/v1/payment_intents", {
        "amount": str(paid.captured),
        "currency": paid.currency,
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types[]": "card",
        "metadata[order_id]": paid.order_id or "",
    }


def _given_back(paid: Charge) -> tuple[str, dict[str, str]]:
    """As by a refund that we never heard of: one minor unit."""
    return "/v1/refunds", {"payment_intent": paid.transaction_id, "amount": "1"}


async def _paid(evidence: Evidence) -> Charge:
    """A payment all of which is still there."""
    gateway = await read_gateway(evidence.sandbox_url)
    for charges in gateway.charges.values():
        for charge in charges:
            if charge.order_id and charge.currency == "usd" and charge.net == charge.captured > 0:
                return charge
    raise LookupError("no order was paid in usd")
