"""Stripe's signature, as its documentation describes it."""

import hashlib
import hmac
import time

from tests.sandbox.program import SECRET


def signature(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


def signed(body: bytes, secret: str = SECRET, age: float = 0) -> dict[str, str]:
    """The headers of a callback that was signed `age` seconds ago."""
    at = int(time.time() - age)
    return {"stripe-signature": f"t={at},v1={signature(body, secret, at)}"}
