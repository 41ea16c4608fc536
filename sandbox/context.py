"""What every piece of work is given: the store, the time, and which request it is done for."""

from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.errors import missing
from sandbox.settings import Settings
from sandbox.store import Record, Store

API_VERSION = "2026-08-26.dahlia"


@dataclass(frozen=True)
class Context:
    """`request_id` and `idempotency_key` are None for what the sandbox does of its own accord."""

    store: Store
    clock: Clock
    settings: Settings
    request_id: str | None = None
    idempotency_key: str | None = None
    version: str = API_VERSION

    @property
    def now(self) -> int:
        """The sandbox's time in whole seconds since 1970."""
        return int(self.clock.now())

    def get(self, kind: str, object_id: str, param: str = "id") -> Record:
        """The object, or an ApiError: 404, or 400 when `param` names a body parameter."""
        record = self.store.find(kind, object_id)
        if record is None:
            raise missing(kind, object_id, param)
        return record
