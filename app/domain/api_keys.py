"""API keys: who may call, and what for."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

# For rotation: the one in use, and the next.
MOST_LIVE_KEYS = 2
CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

# So that a scanner of source code finds a key that got there: the name of the issuer, an id of 60
# random bits in base32, and a secret of 256 in base64.
KEY_ID = re.compile(r"[a-z2-7]{12}", re.ASCII)
_FORM = re.compile(
    rf"tillflow_(?P<key_id>{KEY_ID.pattern})\.(?P<secret>[A-Za-z0-9_-]{{43}})", re.ASCII
)
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"

# Known to everyone: it opens embedded stacks, which listen on 127.0.0.1 only, and nothing else.
DEVELOPMENT_API_KEY = "tillflow-development-key-not-for-production"
# No id has this length, so that no other text can name it.
DEVELOPMENT_KEY_ID = "development"


class Scope(StrEnum):
    """What a key may be used for. None includes another."""

    PAYMENTS_WRITE = "payments:write"
    PAYMENTS_READ = "payments:read"
    REFUNDS_WRITE = "refunds:write"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Client:
    """Who is calling: the holder of an API key."""

    key_id: str
    name: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class ApiKey:
    """An API key as it is kept: without its secret."""

    client: Client
    secret_hash: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_on: date | None = None

    def ended(self, now: datetime) -> str | None:
        """How it ended, or None while it opens anything."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else None


class NotAuthenticatedError(Exception):
    """Nobody may come in with this. `client` is whose it was, where that is proven; `key_id` is the
    key that it is, or pretends to be."""

    def __init__(
        self, why: str, client: Client | None = None, *, key_id: str | None = None
    ) -> None:
        super().__init__(why)
        self.client = client
        self.key_id = client.key_id if client is not None else key_id


class ScopeMissingError(Exception):
    """The client's key is not for this."""

    def __init__(self, needed: Scope, client: Client) -> None:
        super().__init__(f"This needs an API key with the scope {needed}")
        self.needed = needed
        self.client = client


class TooManyKeysError(Exception):
    """The client has its keys already: `key_ids`."""

    def __init__(self, key_ids: list[str]) -> None:
        super().__init__("no more live keys")
        self.key_ids = key_ids


class NoSuchKeyError(Exception):
    """There is no key of that id."""


@dataclass(frozen=True)
class Offered:
    """What somebody wants to come in with: the id of a key, and its secret."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> "Offered":
        """A key that nobody has yet."""
        key_id = "".join(secrets.choice(_BASE32) for _ in range(12))
        return cls(key_id, secrets.token_urlsafe(32))

    @classmethod
    def read(cls, text: str, *, embedded: bool) -> "Offered | None":
        """From what was sent; None where it is no key. The development key is one in the embedded
        stack only."""
        if embedded and text == DEVELOPMENT_API_KEY:
            return cls(DEVELOPMENT_KEY_ID, text)
        form = _FORM.fullmatch(text)
        return cls(form["key_id"], form["secret"]) if form is not None else None

    def text(self) -> str:
        """The whole key, to be shown once."""
        return f"tillflow_{self.key_id}.{self.secret}"

    def secret_hash(self) -> bytes:
        """What is kept of the secret. A plain, fast hash: 256 random bits are not found by trying,
        so that a slow one would make nothing slow but every request."""
        return hashlib.sha256(self.secret.encode()).digest()

    def opens(self, key: ApiKey) -> bool:
        """Whether this is `key`. How long it takes does not tell how much of it is right."""
        return hmac.compare_digest(self.secret_hash(), key.secret_hash)
