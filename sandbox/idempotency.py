"""Idempotency keys: for a day, the first answer to a key is the only one it gets."""

import hashlib
import hmac
import json
from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.errors import ApiError, Reply, error_fields, invalid
from sandbox.store import Json, Store

_LONGEST_KEY = 255
_KEPT_FOR = 24 * 3600


@dataclass(frozen=True)
class Answer:
    """A kept answer, what was asked, and which request it answered."""

    fingerprint: str
    reply: Reply
    request_id: str


class Keys:
    """Kept answers are in the store; the keys being worked on right now are in memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._running: set[str] = set()

    def claim(self, key: str) -> None:
        """Mark the key as being worked on. Raises ApiError: 400 too long, 409 already claimed."""
        if len(key) > _LONGEST_KEY:
            raise invalid(f"An idempotency key has at most {_LONGEST_KEY} characters.")
        if key in self._running:
            message = "Another request with this idempotency key is still running."
            fields = error_fields("invalid_request_error", message, "idempotency_key_in_use")
            raise ApiError(409, fields)
        self._running.add(key)

    def release(self, key: str) -> None:
        self._running.discard(key)

    def fingerprint(self, method: str, path: str, params: Json) -> str:
        """What was asked, as a hash; keyed, because a card number may be part of it."""
        asked = json.dumps([method, path, params], sort_keys=True).encode()
        return hmac.new(self._store.hash_key(), asked, hashlib.sha256).hexdigest()

    def find(self, key: str, fingerprint: str) -> Answer | None:
        """The kept answer. Raises ApiError (400) when the key was used for something else."""
        row = self._store.db.execute(
            "SELECT fingerprint, status, body, request_id FROM kept_answers "
            "WHERE key = ? AND created > ?",
            (key, self._clock.now() - _KEPT_FOR),
        ).fetchone()
        if row is None:
            return None
        if row[0] != fingerprint:
            message = "This idempotency key was first used with other parameters."
            raise ApiError(400, error_fields("idempotency_error", message))
        return Answer(row[0], Reply(json.loads(row[2]), row[1]), row[3])

    def keep(self, key: str, answer: Answer) -> None:
        """Remember the answer for a day, and forget those that are older, in the current
        transaction."""
        now = self._clock.now()
        self._store.db.execute("DELETE FROM kept_answers WHERE created <= ?", (now - _KEPT_FOR,))
        self._store.db.execute(
            "INSERT INTO kept_answers (key, created, fingerprint, status, body, request_id) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                key,
                now,
                answer.fingerprint,
                answer.reply.status,
                json.dumps(answer.reply.body),
                answer.request_id,
            ),
        )
