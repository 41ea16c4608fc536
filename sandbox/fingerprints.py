"""Telling that two numbers are the same without keeping either."""

import hashlib
import hmac


def fingerprint(key: bytes, number: str) -> str:
    """Keyed, because card and account numbers are few enough for a plain hash to be tried out."""
    return hmac.new(key, number.encode(), hashlib.sha256).hexdigest()[:16]
