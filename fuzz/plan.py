"""What schemathesis is told: what to vary, and what there is in the shop. Every check is on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from fuzz import checks
from fuzz.signing import CALLBACK, Signature
from fuzz.visitors import GATEWAY, Visitor

EVERY_PHASE = ("examples", "coverage", "fuzzing", "stateful")
RANDOM_PHASES = ("fuzzing", "stateful")

# A request that takes longer hangs; the machine may be busy.
PATIENCE_SECONDS = 120.0

DECLINED = "pm_card_chargeDeclined"
_DOCUMENTED = "order-12345"
_TOKENS = (
    "pm_card_visa",
    DECLINED,
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_authenticationRequired",
    "pm_card_applePay",
    "pm_sepaDebit_success",
)
_CARDS = ["4242 4242 4242 4242", "4000-0000-0000-0002", "4000000000003220", "4000000000000000"]
_AMOUNTS = [49.99, "49.99", 10, "10.00", 0.5, 1.001, "99999999999999"]
_CURRENCIES = ["usd", "EUR", "jpy", "kwd"]


@dataclass(frozen=True)
class Plan:
    """One turn of a visitor. `orders` are there to be found; `examples`: how many requests are made
    up for each operation, and how many stories of several requests. `tokens`: what to pay with."""

    api_url: str
    orders: Sequence[str]
    seed: int
    examples: int
    phases: Sequence[str]
    signature: Signature
    tokens: Sequence[str] = _TOKENS

    def schema(self, visitor: Visitor) -> BaseSchema:
        """The API by its own description, to be asked by `visitor`. The gateway comes to one door
        only, and signs there: nobody else does."""
        config = SchemathesisConfig.from_dict(self._settings(visitor))
        description = httpx.get(f"{self.api_url}/openapi.json", trust_env=False).raise_for_status()
        # Others on this stack may have paid the documented order.
        told = description.text.replace(_DOCUMENTED, f"fuzz-{self.seed}-documented")
        schema: BaseSchema = schemathesis.openapi.from_dict(json.loads(told), config=config)
        schema.hook("filter_failure")(checks.is_defect)
        if visitor.name == GATEWAY:
            schema = schema.include(path=CALLBACK)
            schema.auth.set_from_requests(self.signature)
        return schema

    def _settings(self, visitor: Visitor) -> dict[str, Any]:
        phases: dict[str, Any] = {"enabled": False}
        for phase in self.phases:
            phases[phase] = {"enabled": True}
        phases.setdefault("coverage", {})["generate-duplicate-query-parameters"] = True
        return {
            "base-url": self.api_url,
            "seed": self.seed,
            "cache": {"enabled": False},
            "headers": visitor.headers(),
            "continue-on-failure": True,
            "request-timeout": PATIENCE_SECONDS,
            # What is found is told as it was sent: the keys open nothing but this stack.
            "output": {"sanitization": {"enabled": False}},
            "generation": {"database": "none", "no-shrink": True, "max-examples": self.examples},
            "phases": phases,
            "dictionaries": {
                "orders": {"values": list(self.orders)},
                "tokens": {"values": list(self.tokens)},
                "cards": {"values": _CARDS},
                "amounts": {"values": _AMOUNTS},
                "currencies": {"values": _CURRENCIES},
            },
            # Else every order would be unknown, and every token refused.
            "parameters": {
                "path.order_id": {"dictionary": "orders", "probability": 0.6},
                "body.order_id": {"dictionary": "orders", "probability": 0.3},
                "body.payment_method_token": {"dictionary": "tokens", "probability": 0.8},
                "body.credit_card.number": {"dictionary": "cards", "probability": 0.8},
                "body.amount": {"dictionary": "amounts", "probability": 0.5},
                "body.currency": {"dictionary": "currencies", "probability": 0.7},
            },
        }
