"""Reads docker-compose.yml and .env.example as docker compose does."""

import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()

# ${NAME:-default}, and ${NAME-default} for one that may be set to nothing.
_VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<colon>:?)-(?P<default>[^${}]*)\}")


def variables() -> set[str]:
    """Every variable that the compose file names."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text()))


def compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """The compose file with its variables filled in from `environment`."""
    filled: dict[str, Any] = _filled(_parsed(), environment)
    return filled


@cache
def _parsed() -> Any:
    return yaml.safe_load(COMPOSE.read_text())


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


def example() -> dict[str, str]:
    """The defaults that .env.example shows."""
    lines = re.findall(r"^# ([A-Z][A-Z_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    return dict(lines)


def commands(*told: str) -> str:
    """The guide's commands that hold each of `told`."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", DEPLOY, re.DOTALL)
    [found] = [block for block in blocks if all(each in block for each in told)]
    return found


def make_secrets(folder: Path) -> Path:
    """The folder of secrets that the guide's commands make in `folder`, Stripe's made up."""
    for told in ("mkdir -m 700 secrets", "sk_test_$("):
        subprocess.run(["/bin/sh", "-euc", commands(told)], cwd=folder, check=True)
    return folder / "secrets"


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        given = environment.get(match["name"])
        return match["default"] if given is None or (match["colon"] and not given) else given

    filled = _VARIABLE.sub(replaced, value)
    assert not re.search(r"(?<!\$)\$\{", filled), "a variable without a default"
    return filled.replace("$$", "$")
