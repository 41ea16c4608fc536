"""Signatures of the gateway and of the shop's own callbacks, over whatever is sent."""

import hashlib
import hmac
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from zlib import crc32

from requests import PreparedRequest
from requests.auth import AuthBase
from standardwebhooks import Webhook

from app.embedded.credentials import Credentials

CALLBACK = "/api/payment/callback"


class Signature(AuthBase):
    """Signs a request as it goes out: some as Stripe does, the others by Standard Webhooks."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """With the secrets of the stack in `folder`."""
        return cls(Credentials.kept_in(folder))

    def __init__(self, credentials: Credentials) -> None:
        self._stripe = credentials.stripe_webhook_secret.encode()
        self._shop = Webhook(credentials.callback_secret)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        if not isinstance(body, bytes):
            body = str(body).encode()
        request.headers.update(self.headers(body))
        return request

    def headers(self, body: bytes) -> dict[str, str]:
        """Those that sign `body` now; which of the two it is depends on the body alone."""
        return self._as_stripe(body) if crc32(body) % 2 else self._as_shop(body)

    def _as_stripe(self, body: bytes) -> dict[str, str]:
        """As Stripe signs (docs.stripe.com/webhooks, "Verify webhook signatures manually")."""
        at = int(time.time())
        digest = hmac.new(self._stripe, b"%d." % at + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={at},v1={digest}"}

    def _as_shop(self, body: bytes) -> dict[str, str]:
        at, name = datetime.now(UTC), f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
        # It signs text, and encodes it as UTF-8 again.
        signed = self._shop.sign(name, at, body.decode("utf-8", "replace"))
        return {
            "webhook-id": name,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signed,
        }
