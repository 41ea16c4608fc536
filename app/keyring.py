"""The encryption keys of one installation: the newest encrypts, every one still decrypts.

AES-256-GCM with random nonces (NIST SP 800-38D, 8.2.2): change the key before 2^32 encryptions.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


class UnknownKeyError(Exception):
    """Encrypted with a key that is not in the ring."""


class TamperedError(Exception):
    """The text was altered, or belongs to another purpose."""


class Keyring:
    """Keys by their ids, the one that encrypts first. `purpose` is bound to what is encrypted: a
    text cannot be moved to where another was."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self.ids = tuple(keys)
        self.newest = self.ids[0]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `id:base64,id:base64`, the newest first. Raises ValueError, without the keys."""
        keys: dict[str, bytes] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            name, _, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not _ID.fullmatch(name) or len(key) != _KEY_BYTES:
                raise ValueError("each key is an id, a colon and 32 bytes in base64")
            if name in keys:
                raise ValueError(f"the key id {name} is there twice")
            keys[name] = key
        if not keys:
            raise ValueError("there is no key")
        return cls(keys)

    def encrypt(self, plain: bytes, purpose: str) -> bytes:
        """Nonce and cipher text, by the newest key."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._keys[self.newest]).encrypt(nonce, plain, purpose.encode())

    def decrypt(self, text: bytes, purpose: str, key_id: str) -> bytes:
        """What that key encrypted for that purpose. Raises UnknownKeyError, TamperedError."""
        key = self._key(key_id)
        try:
            return AESGCM(key).decrypt(text[:_NONCE_BYTES], text[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            raise TamperedError("the text was altered, or is not what it is taken for") from None

    def seal(self, plain: str, purpose: str) -> str:
        """A text to be kept: the id of its key, a colon, and what `encrypt` makes, in base64."""
        text = self.encrypt(plain.encode(), purpose)
        return f"{self.newest}:{base64.b64encode(text).decode()}"

    def unseal(self, sealed: str, purpose: str) -> str:
        """What was sealed for that purpose. Raises UnknownKeyError, TamperedError."""
        key_id, _, encoded = sealed.partition(":")
        try:
            text = base64.b64decode(encoded, validate=True)
        except ValueError:
            text = b""  # which nothing was ever encrypted to
        return self.decrypt(text, purpose, key_id).decode()

    def mac(self, message: bytes, purpose: str, key_id: str) -> bytes:
        """A keyed hash, which nobody without that key can make. Raises UnknownKeyError."""
        key = hmac.digest(self._key(key_id), b"mac:" + purpose.encode(), "sha256")
        return hmac.digest(key, message, "sha256")

    def fingerprint(self, value: str, purpose: str) -> str:
        """A keyed hash: the same for the same value, of no use without the key.

        It changes with the newest key. A hash of a card number must be keyed: PCI DSS 3.5.1.1.
        """
        key = hmac.digest(self._keys[self.newest], b"fingerprint:" + purpose.encode(), "sha256")
        return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()

    def _key(self, key_id: str) -> bytes:
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKeyError(f"the key {key_id} is not in ENCRYPTION_KEYS")
        return key
