"""The generic callback: an order's id and a status, signed by the Standard Webhooks headers.

It is a hint and no more: the workflow asks the gateway before it believes it.
Source: the Standard Webhooks specification (webhook-id, webhook-timestamp, webhook-signature).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from standardwebhooks import Webhook

from app.domain.gateway import GatewayEvent, InvalidCallbackError
from app.gateways.signatures import one_is_right, signed_at

_LONGEST_ID = 255


class GenericCallback(BaseModel):
    """The body of a generic callback."""

    model_config = ConfigDict(hide_input_in_errors=True, extra="ignore")

    order_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", examples=["order-12345"])
    status: Literal["success", "failed", "pending", "canceled"] = Field(examples=["success"])
    transaction_id: str | None = Field(default=None, max_length=255, examples=["txn-98765"])
    payment_method: str | None = Field(default=None, max_length=64, examples=["credit_card"])


class GenericCallbacks:
    """Verifies and reads generic callbacks. Each of `secrets` may have signed them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]

    def read(self, headers: Mapping[str, str], body: bytes) -> GatewayEvent:
        """Raises InvalidCallbackError for anything not signed with our secret in five minutes."""
        message_id = headers.get("webhook-id", "")
        if not 0 < len(message_id) <= _LONGEST_ID:
            raise InvalidCallbackError("the callback has no webhook-id, or a very long one")
        at = datetime.fromtimestamp(signed_at(headers.get("webhook-timestamp", "")), UTC)
        if not self._signed(message_id, at, body, headers.get("webhook-signature", "")):
            raise InvalidCallbackError("the webhook-signature does not match this body")
        try:
            callback = GenericCallback.model_validate_json(body)
        except ValidationError:
            raise InvalidCallbackError(
                "the body is not a callback: order_id and status are required"
            ) from None
        return GatewayEvent(
            gateway="generic",
            event_id=message_id,
            type=callback.status,
            order_id=callback.order_id,
            created_at=datetime.now(UTC),
        )

    def _signed(self, message_id: str, at: datetime, body: bytes, signatures: str) -> bool:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return False
        right = [webhook.sign(message_id, at, text) for webhook in self._webhooks]
        return one_is_right(signatures.split(" "), right)
