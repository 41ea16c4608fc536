"""What the contract needs to know of a gateway under test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.gateway import Gateway, GatewayPayment
from app.domain.methods import Method
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
    """A gateway on its sandbox, with the numbers of the test cards and the ready-made tokens.

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
    once_challenged_card: str = "4000002500003155"
    misspelt_card: str = "4242424242424241"
    slow_refund_card: str = "4000000000007726"
    lost_refund_card: str = "4000000000005126"
    wallets: Mapping[Method, str] = field(
        default_factory=lambda: {
            Method.APPLE_PAY: "pm_card_applePay",
            Method.GOOGLE_PAY: "pm_card_googlePay",
        }
    )
    good_accounts: Mapping[Method, str] = field(
        default_factory=lambda: {
            Method.SEPA_DEBIT: "pm_sepaDebit_success",
            Method.ACH_DEBIT: "pm_usBankAccount_success",
        }
    )
    poor_accounts: Mapping[Method, str] = field(
        default_factory=lambda: {
            Method.SEPA_DEBIT: "pm_sepaDebit_failed",
            Method.ACH_DEBIT: "pm_usBankAccount_insufficientFunds",
        }
    )

    async def fault(self, path: str, **order: object) -> None:
        """Have the next call to `path` go wrong."""
        await self.sandbox.control("faults", **{"method": "POST", "path": path, **order})

    async def settle(self, transaction_id: str) -> None:
        """The bank decides now what would take it days."""
        await self.sandbox.control("settle", id=transaction_id)

    async def shopper(self, seen: GatewayPayment, outcome: str) -> None:
        """The shopper goes where they were sent, and says `approve`, `fail` or `cancel`."""
        assert seen.next_action is not None
        assert seen.next_action.url is not None
        answer = await self.sandbox.http.post(seen.next_action.url, data={"outcome": outcome})
        assert answer.status_code == 303

    async def dispute(self, transaction_id: str, amount: int) -> str:
        """The shopper's bank takes money back: the dispute's id."""
        raised = await self.sandbox.control(
            "disputes", payment_intent=transaction_id, amount=amount, reason="product_not_received"
        )
        return str(raised["id"])

    async def decide(self, dispute_id: str, verdict: str) -> None:
        """The bank decides: `won` or `lost`, as the shop sees it."""
        await self.sandbox.control(f"disputes/{dispute_id}", verdict=verdict)

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
