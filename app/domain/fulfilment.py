"""What we ask of a fulfilment step: do it, and undo it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.domain.order import Order


class Phase(StrEnum):
    """When a step runs."""

    BEFORE_CAPTURE = "before_capture"
    AFTER_CAPTURE = "after_capture"


@dataclass(frozen=True)
class StepPlan:
    """One step of a plan. If an essential step is refused, the order is undone and the money goes
    back; a refusal of any other is flagged and the order goes on."""

    name: str
    phase: Phase
    essential: bool


class StepRefusedError(Exception):
    """The step cannot be done, however often it is tried. The text is for the operator."""


class StepUnavailableError(Exception):
    """The step could not be done now. Try again. The text is for the operator."""


class FulfilmentStep(Protocol):
    """One step. `run` and `undo` may be called again after a crash and must then change nothing."""

    plan: StepPlan

    async def run(self, order: Order) -> str:
        """Do it, and answer with a reference for the timeline.

        Raises StepRefusedError, and StepUnavailableError when only time can help.
        """

    async def undo(self, order: Order) -> None:
        """Take it back, whether or not it was done: a late `run` is then refused.

        Raises StepRefusedError where it cannot be taken back, however often it is tried.
        """
