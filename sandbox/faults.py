"""Failures ordered by a test: the next n calls that match go wrong, before or after the work."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.clock import Clock
from sandbox.store import Json, Store


class Fault(BaseModel):
    """One order. `path` is a prefix, or a regular expression for the whole path.

    Either `status` (the call is answered with it) or `action`: `hang` waits `seconds` and goes on,
    `drop` closes the connection without an answer. `before` means that the work is not done,
    except after a hang; `after` that it is done and kept. `code` tells one 429 from the other.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    method: str | None = None
    path: str = "/v1"
    mode: Literal["before", "after"] = "before"
    status: int | None = Field(default=None, ge=400, le=599)
    code: Literal["rate_limit", "lock_timeout"] | None = None
    action: Literal["hang", "drop"] | None = None
    seconds: float = Field(default=1.0, ge=0, le=600)
    times: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        if (self.status is None) == (self.action is None):
            raise ValueError("give either status or action")
        if self.code is not None and self.status != 429:
            raise ValueError("a code is for status 429")
        try:
            re.compile(self.path)
        except re.error:
            raise ValueError("path is neither a prefix nor a regular expression") from None
        return self

    def matches(self, method: str, path: str) -> bool:
        if self.method is not None and self.method.upper() != method:
            return False
        return path.startswith(self.path) or re.fullmatch(self.path, path) is not None


class Faults:
    """The orders still to be carried out, oldest first, in memory only; and in the store what was
    carried out."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.waiting: list[Fault] = []
        self._store = store
        self._clock = clock

    def take(self, method: str, path: str) -> Fault | None:
        """The fault this call has to suffer, counted down."""
        for fault in self.waiting:
            if fault.matches(method, path):
                fault.times -= 1
                if fault.times == 0:
                    self.waiting.remove(fault)
                return fault
        return None

    def note(self, fault: Fault, method: str, path: str, *, moved: bool) -> None:
        """A call suffers it now. `moved` is whether the call has just moved money."""
        outcome = fault.action or str(fault.status)
        self._store.db.execute(
            "INSERT INTO faults_met (created, method, path, mode, outcome, moved) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (self._clock.now(), method, path, fault.mode, outcome, moved),
        )

    def met(self) -> list[Json]:
        """How many calls suffered what, and how many of them had just moved money."""
        rows = self._store.db.execute(
            "SELECT method, mode, outcome, count(*), sum(moved) FROM faults_met "
            "GROUP BY method, mode, outcome ORDER BY method, mode, outcome"
        )
        names = ("method", "mode", "outcome", "calls", "moved")
        return [dict(zip(names, row, strict=True)) for row in rows]
