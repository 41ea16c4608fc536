"""The two forms of a callback, signed by hand: rightly, or wrongly in any way that is asked for."""

import hmac
import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_GENERIC = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Callback:
    """What goes over the wire."""

    headers: Pairs
    body: bytes

    @property
    def names(self) -> list[bytes]:
        """Of the headers, in order."""
        return [name for name, _ in self.headers]

    def of(self, name: bytes) -> list[bytes]:
        """The values of the headers of that name."""
        return [value for each, value in self.headers if each == name]


@dataclass(frozen=True)
class Signing:
    """How to sign. The defaults are what the form's specification says."""

    secret: bytes | None = None
    age: int = 0
    scheme: bytes = b"v1"
    digest: str = "sha256"
    encode: Callable[[bytes], bytes] | None = None
    signed: Callable[[list[bytes]], bytes] = b".".join
    """What is signed, of the parts that the form lays down."""


RIGHT = Signing()


class Form(Protocol):
    """One form of callback about one order."""

    name: str

    def body(self) -> bytes:
        """News that would be stored."""

    def callback(self, body: bytes, how: Signing = RIGHT) -> Callback:
        """`body`, signed."""

    def is_signed(self, changed: Callback, good: Callback) -> bool:
        """Whether what `good` has signed, and a right signature of it, are still in `changed`."""


class StripeForm:
    """An event of Stripe's. Source: Stripe's documentation, verifying signatures manually."""

    name = "stripe"

    def __init__(self, secret: str, order_id: str, transaction_id: str) -> None:
        self._secret = secret.encode()
        self._order_id = order_id
        self._transaction_id = transaction_id

    def body(self) -> bytes:
        return json.dumps(
            {
                "id": f"evt_{secrets.token_hex(12)}",
                "object": "event",
                "livemode": False,
                "type": "payment_intent.canceled",
                "created": int(time.time()),
                "data": {
                    "object": {
                        "id": self._transaction_id,
                        "object": "payment_intent",
                        "amount": 4999,
                        "amount_capturable": 0,
                        "amount_received": 0,
                        "currency": "usd",
                        "status": "canceled",
                        "latest_charge": None,
                        "last_payment_error": None,
                        "metadata": {"order_id": self._order_id},
                    }
                },
            }
        ).encode()

    def callback(self, body: bytes, how: Signing = RIGHT) -> Callback:
        at = b"%d" % (time.time() - how.age)
        key = self._secret if how.secret is None else how.secret
        mac = hmac.digest(key, how.signed([at, body]), how.digest)
        signature = (how.encode or _hex)(mac)
        return Callback(((b"stripe-signature", b"t=%s,%s=%s" % (at, how.scheme, signature)),), body)

    def is_signed(self, changed: Callback, good: Callback) -> bool:
        if changed.body != good.body or changed.names != good.names:
            return False
        fields = changed.of(b"stripe-signature")[0].strip(b" \t").split(b",")
        right = good.of(b"stripe-signature")[0].split(b",")
        times = [field for field in fields if field.startswith(b"t=")]
        return set(right) <= set(fields) and times == right[:1]


class GenericForm:
    """Our own callback. Source: the Standard Webhooks specification."""

    name = "generic"

    def __init__(self, secret: str, order_id: str) -> None:
        self._key = b64decode(secret.removeprefix("whsec_"))
        self._order_id = order_id

    def body(self) -> bytes:
        return json.dumps(
            {"order_id": self._order_id, "status": "success", "transaction_id": "txn-1"}
        ).encode()

    def callback(self, body: bytes, how: Signing = RIGHT) -> Callback:
        name = b"msg_" + secrets.token_hex(12).encode()
        at = b"%d" % (time.time() - how.age)
        key = self._key if how.secret is None else how.secret
        mac = hmac.digest(key, how.signed([name, at, body]), how.digest)
        signature = how.scheme + b"," + (how.encode or b64encode)(mac)
        return Callback(tuple(zip(_GENERIC, (name, at, signature), strict=True)), body)

    def is_signed(self, changed: Callback, good: Callback) -> bool:
        if changed.body != good.body or changed.names != good.names:
            return False
        (name, at, signatures), (right_name, right_at, right) = (
            [each.of(header)[0].strip(b" \t") for header in _GENERIC] for each in (changed, good)
        )
        return (name, at) == (right_name, right_at) and right in signatures.split(b" ")


def _hex(mac: bytes) -> bytes:
    return mac.hex().encode()
