"""The generic callback: an order's id and a status, signed by the Standard Webhooks headers.

It is a hint and no more: the workflow asks the gateway before it believes it.
Source: the Standard Webhooks specification (webhook-id, webhook-timestamp, webhook-signature).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from app.domain.gateway import GatewayEvent, InvalidCallbackError


class GenericCallback(BaseModel):
    """The body of a generic callback."""

    model_config = ConfigDict(hide_input_in_errors=True, extra="ignore")

    order_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", examples=["order-12345"])
    status: Literal["success", "failed", "pending", "canceled"] = Field(examples=["success"])
    transaction_id: str | None = Field(default=None, max_length=255, examples=["txn-98765"])
    payment_method: str | None = Field(default=None, max_length=64, examples=["credit_card"])


class GenericCallbacks:
    """Verifies and reads generic callbacks."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)

    def read(self, headers: Mapping[str, str], body: bytes) -> GatewayEvent:
        """Raises InvalidCallbackError for anything not signed with our secret in five minutes."""
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
            callback = GenericCallback.model_validate_json(body)
        except ValidationError:
            raise InvalidCallbackError(
                "the body is not a callback: order_id and status are required"
            ) from None
        except (WebhookVerificationError, ValueError) as error:
            raise InvalidCallbackError("the webhook-signature does not match this body") from error
        return GatewayEvent(
            gateway="generic",
            event_id=headers["webhook-id"],
            type=callback.status,
            order_id=callback.order_id,
            created_at=datetime.now(UTC),
        )
