"""Stripe's form encoding (`a[b][]=c`) turned into nested values, and the typed reading of them."""

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.errors import ApiError, invalid, shown
from sandbox.store import Json

_BRACKETS = re.compile(r"\[([^\]]*)\]")
_INTEGER = re.compile(r"-?\d{1,18}")
_DEPTH = 6


def decode(encoded: str) -> Json:
    """Nested values of an URL-encoded form. Raises ApiError (400) when a name makes no sense."""
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:
        raise invalid("The request is not a readable form.") from None
    root: Json = {}
    for name, value in pairs:
        path = [name.split("[", 1)[0], *_BRACKETS.findall(name)]
        if len(path) > _DEPTH:
            raise invalid("A parameter is nested too deeply.")
        node = root
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise invalid("A parameter is given both as a value and as a group.")
        last = path[-1] or str(len(node))
        if isinstance(node.get(last), dict):
            raise invalid("A parameter is given both as a value and as a group.")
        node[last] = value
    return root


class Params:
    """The parameters of one call, or of one group inside it, read by type.

    Messages name the parameter and never repeat its value, which may be a card number.
    """

    def __init__(self, values: Json, allowed: frozenset[str], prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix
        for name in values:
            if name not in allowed:
                param = shown(self.name(name))
                raise invalid(f"Unknown parameter: {param}.", "parameter_unknown", param)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def name(self, name: str) -> str:
        """The parameter's full name as the caller wrote it, e.g. `card[number]`."""
        return f"{self._prefix}[{name}]" if self._prefix else name

    def text(self, name: str, limit: int = 5000) -> str | None:
        """None when absent or empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise invalid(f"{self.name(name)} must be a string.", param=self.name(name))
        if len(value) > limit:
            raise invalid(
                f"{self.name(name)} is longer than {limit} characters.", param=self.name(name)
            )
        return value

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise self.absent(name)
        return value

    def choice(self, name: str, options: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in options:
            expected = ", ".join(options)
            raise invalid(f"{self.name(name)} must be one of {expected}.", param=self.name(name))
        return value

    def integer(self, name: str) -> int | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not _INTEGER.fullmatch(value):
            raise invalid(
                f"{self.name(name)} must be an integer.",
                "parameter_invalid_integer",
                self.name(name),
            )
        return int(value)

    def boolean(self, name: str) -> bool | None:
        value = self._values.get(name)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise invalid(f"{self.name(name)} must be true or false.", param=self.name(name))
        return bool(value == "true")

    def texts(self, name: str) -> list[str] | None:
        """A list of strings, written `name[]=` or `name[0]=`."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise invalid(f"{self.name(name)} must be a list.", param=self.name(name))
        return list(value.values())

    def is_group(self, name: str) -> bool:
        """Whether the caller wrote `name[…]=` rather than `name=`."""
        return isinstance(self._values.get(name), dict)

    def group(self, name: str, allowed: frozenset[str]) -> "Params | None":
        """The parameters inside `name[…]`; None when absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(f"{self.name(name)} must be a group.", param=self.name(name))
        return Params(value, allowed, self.name(name))

    def metadata(self, current: dict[str, str]) -> dict[str, str]:
        """`current` with the given entries set; an empty value removes one, `metadata=` all."""
        value: Any = self._values.get("metadata")
        if value is None:
            return current
        if value == "":
            return {}
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise invalid("metadata must be a group of strings.", param="metadata")
        merged = {k: v for k, v in {**current, **value}.items() if v != ""}
        if len(merged) > 50 or any(len(k) > 40 or len(v) > 500 for k, v in merged.items()):
            raise invalid(
                "metadata holds at most 50 entries, names of 40 and values of 500 characters.",
                param="metadata",
            )
        return merged

    def absent(self, name: str) -> ApiError:
        """The error that says a required parameter was left out."""
        param = self.name(name)
        return invalid(f"Missing required parameter: {param}.", "parameter_missing", param)
