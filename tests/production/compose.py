"""Reads docker-compose.yml and .env.example as docker compose does."""

import base64
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"

# ${NAME}, ${NAME:-default} and ${NAME:?message}, innermost first.
_VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?::(?P<rule>[-?])(?P<rest>[^${}]*))?\}")


class MissingVariableError(Exception):
    """A variable that the file insists on is not set."""


def variables() -> dict[str, set[str]]:
    """Every variable that the compose file names, with the ways it does: "", ":-", ":?"."""
    found: dict[str, set[str]] = {}
    for name, rule in re.findall(r"(?<!\$)\$\{(\w+)(:[-?])?", COMPOSE.read_text()):
        found.setdefault(name, set()).add(rule)
    return found


def compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with its variables filled in from `environment`."""
    parsed: dict[str, Any] = _filled(yaml.safe_load(COMPOSE.read_text()), environment)
    return parsed


def services(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services; a key without a value is handed on if `environment` has it, else dropped."""
    found: dict[str, dict[str, Any]] = compose(environment)["services"]
    for service in found.values():
        handed = service.get("environment", {})
        service["environment"] = {
            name: environment.get(name) if value is None else value
            for name, value in handed.items()
            if value is not None or name in environment
        }
    return found


def example() -> tuple[list[str], dict[str, str]]:
    """What .env.example asks for, and the defaults that it shows."""
    lines = re.findall(r"^(# )?([A-Z][A-Z_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    needed = [name for comment, name, _ in lines if not comment]
    return needed, {name: value for comment, name, value in lines if comment}


def filled_in() -> dict[str, str]:
    """What .env.example asks for, with secrets made up."""
    keys = {"ENCRYPTION_KEYS": f"2026-11:{base64.b64encode(secrets.token_bytes(32)).decode()}"}
    return {name: secrets.token_hex(16) for name in example()[0]} | keys


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        given = environment.get(match["name"], "")
        if not given and match["rule"] == "?":
            raise MissingVariableError(f"{match['name']}: {match['rest']}")
        return given or (match["rest"] if match["rule"] == "-" else "")

    while (filled := _VARIABLE.sub(replaced, value)) != value:
        value = filled
    return value.replace("$$", "$")
