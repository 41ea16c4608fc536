"""One line of the API: a method, an address, the work, and the parameters it takes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.errors import Reply

Handler = Callable[..., Reply]
"""`(context, params, *ids_in_the_address) -> Reply`; it never awaits."""


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    handler: Handler
    allowed: frozenset[str] = frozenset()
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        expression = re.sub(r"\{[a-z_]+\}", "([^/]+)", self.template)
        object.__setattr__(self, "pattern", re.compile(expression))
