"""What enters Temporal is encrypted before it leaves the process, and decrypted when it comes back.

That is every payload (inputs, results, signals, updates, queries, memos, summaries, details,
heartbeats) and the messages and stack traces of failures. In clear stay names, types, times, ids
and search attributes: nothing personal may be in them.
"""

from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from app.keyring import Keyring

# What Temporal's own samples call it; the UI shows it.
ENCODING = b"binary/encrypted"
KEY_ID = "encryption-key-id"
_PURPOSE = "temporal"


class EncryptionCodec(PayloadCodec):
    """Encrypts whole payloads, their metadata too. What is not encrypted passes through `decode`:
    workflows that began before it was go on."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises UnknownKeyError, TamperedError."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        return Payload(
            metadata={"encoding": ENCODING, KEY_ID: self._keyring.newest.encode()},
            data=self._keyring.encrypt(payload.SerializeToString(), _PURPOSE),
        )

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        return Payload.FromString(self._keyring.decrypt(payload.data, _PURPOSE, key_id))


def encrypting(keyring: Keyring) -> DataConverter:
    """How values become what Temporal keeps. Every client and every worker uses it."""
    return DataConverter(
        payload_codec=EncryptionCodec(keyring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
