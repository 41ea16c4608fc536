"""What the contract needs to know of a gateway under test."""

from dataclasses import dataclass

from app.domain.gateway import Gateway
from tests.sandbox.program import Sandbox


@dataclass(frozen=True)
class Charges:
    """What the gateway's own ledger says of an order. `held` is what is held now."""

    payments: int = 0
    authorizations: int = 0
    captures: int = 0
    refunds: int = 0
    held: int = 0
    captured: int = 0
    refunded: int = 0


@dataclass(frozen=True)
class Subject:
    """A gateway on its sandbox, with the numbers of the test cards.

    `impatient` is the same gateway with a short timeout, `unreachable` one that nobody answers.
    """

    gateway: Gateway
    impatient: Gateway
    unreachable: Gateway
    sandbox: Sandbox
    authorize_path: str
    token_path: str
    good_card: str = "4242424242424242"
    debit_card: str = "4000056655665556"
    poor_card: str = "4000000000009995"
    lost_card: str = "4000000000009987"
    challenged_card: str = "4000002760003184"
    misspelt_card: str = "4242424242424241"

    async def fault(self, path: str, **order: object) -> None:
        """Have the next call to `path` go wrong."""
        await self.sandbox.control("faults", method="POST", path=path, **order)

    async def charges(self, order_id: str) -> Charges:
        ledger = await self.sandbox.ledger(order_id)
        counts = ledger["orders"].get(order_id)
        if counts is None:
            return Charges()
        sums = {
            name: sum(payment[name] for payment in ledger["payment_intents"])
            for name in ("authorized", "captured", "released", "refunded")
        }
        return Charges(
            payments=counts["payment_intents"],
            authorizations=counts["authorizations"],
            captures=counts["captures"],
            refunds=counts["refunds"],
            held=sums["authorized"] - sums["captured"] - sums["released"],
            captured=sums["captured"],
            refunded=sums["refunded"],
        )
