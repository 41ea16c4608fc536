"""Names that Temporal knows our things by. Ids are derived from business ids, never random."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

if TYPE_CHECKING:  # workflows import this, and need no cryptography
    from app.keyring import Keyring

ORDER_ID = SearchAttributeKey.for_keyword("OrderId")
PAYMENT_STATUS = SearchAttributeKey.for_keyword("PaymentStatus")
GATEWAY = SearchAttributeKey.for_keyword("Gateway")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")
SEARCH_ATTRIBUTES = (ORDER_ID, PAYMENT_STATUS, GATEWAY, NEEDS_ATTENTION)
UNTROUBLED = SearchAttributePair(NEEDS_ATTENTION, False)


def search_attributes(
    order_id: str, gateway: str, *more: SearchAttributePair[Any]
) -> TypedSearchAttributes:
    """What every workflow of an order is found by."""
    return TypedSearchAttributes(
        [SearchAttributePair(ORDER_ID, order_id), SearchAttributePair(GATEWAY, gateway), *more]
    )


def payment_workflow_id(order_id: str) -> str:
    """The one workflow of an order's payment."""
    return f"payment-{order_id}"


def refund_workflow_id(order_id: str, name: str) -> str:
    """The workflow of one refund. `name` is `refund_name(…)`."""
    return f"refund-{order_id}-{name}"


def dispute_workflow_id(order_id: str, dispute_id: str) -> str:
    """The workflow of one dispute, by the gateway's id."""
    return f"dispute-{order_id}-{dispute_id}"


def late_event_workflow_id(gateway: str, event_id: str) -> str:
    """The workflow of a callback that came after its payment's workflow had ended."""
    return f"late-event-{gateway}-{event_id}"


def reconcile_workflow_id(since: datetime, until: datetime) -> str:
    """The comparison of a period with the gateway's books."""
    return f"reconcile-{since:%Y-%m-%dT%H:%M:%S}-{until:%Y-%m-%dT%H:%M:%S}"


def initiate_update_id(attempt: int) -> str:
    """One update for an attempt, however often the storefront asks for it."""
    return f"initiate-{attempt}"


def capture_update_id(minor: int) -> str:
    """One update for a capture of that amount. The workflow refuses a second amount."""
    return f"capture-{minor}"


def resolve_update_id(keyring: "Keyring", known_facts: int, *decision: str | None) -> str:
    """One update for a decision, however often it is sent, until anything new is known. `decision`:
    all that tells it from another one; of who decided and why, the id tells nobody anything."""
    digest = keyring.fingerprint(json.dumps(decision), "decision")
    return f"resolve-{known_facts}-{digest[:24]}"


# However often the storefront asks, there is one cancellation, and one refund of a name.
CANCEL_UPDATE_ID = "cancel"
REFUND_UPDATE_ID = "refund"
