"""docker-compose.yml and .env.example: sound by the schema, complete by our settings."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from jsonschema import Draft202012Validator

from app import cli
from app.config import Settings
from sandbox.settings import Settings as SandboxSettings
from tests.production.compose import (
    COMPOSE,
    MissingVariableError,
    compose,
    example,
    filled_in,
    services,
    variables,
)

TILLFLOW = ("api", "worker", "migrate")
JOBS = ("temporal-schema", "temporal-namespace", "migrate")
DATABASE_PASSWORDS = {"TEMPORAL_DB_PASSWORD", "TILLFLOW_DB_PASSWORD"}
# The image sets it: a container that listens on its own loopback interface is of no use.
SET_BY_IMAGE = {"API_HOST"}
# The embedded stack alone sets it; what is deployed is production.
NEVER_SET = {"EMBEDDED"}
# The services have these from the compose file itself.
PROVIDED = {"DATABASE_URL", "TEMPORAL_ADDRESS"}

FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
SANDBOX_FIELDS = {f"SANDBOX_{name.upper()}" for name in SandboxSettings.model_fields}
NEEDED, DEFAULTS = example()
FILLED_IN = filled_in()


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of our variables."""
    for name in (*FIELDS, *SANDBOX_FIELDS):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    Draft202012Validator(schema).validate(compose(FILLED_IN))


def test_every_variable_is_a_setting_or_a_database_password() -> None:
    assert variables().keys() <= FIELDS.keys() | DATABASE_PASSWORDS


@pytest.mark.parametrize("name", TILLFLOW)
def test_each_process_is_handed_every_setting_and_nothing_else(name: str) -> None:
    handed = compose(FILLED_IN)["services"][name]["environment"]
    assert handed.keys() == FIELDS.keys() - SET_BY_IMAGE - NEVER_SET


def test_the_sandbox_is_handed_sandbox_settings() -> None:
    handed = compose(FILLED_IN)["services"]["sandbox"]["environment"]
    assert handed.keys() <= SANDBOX_FIELDS


def test_the_example_explains_every_variable_and_no_other() -> None:
    used = variables().keys() | (FIELDS.keys() - SET_BY_IMAGE - NEVER_SET)
    assert sorted([*NEEDED, *DEFAULTS]) == sorted(used)


def test_what_the_example_asks_for_is_what_has_no_default() -> None:
    required = {name for name, field in FIELDS.items() if field.is_required()}
    assert set(NEEDED) == required - PROVIDED | DATABASE_PASSWORDS


@pytest.mark.parametrize("name", NEEDED)
def test_without_a_needed_variable_nothing_starts(name: str) -> None:
    with pytest.raises(MissingVariableError, match=name):
        compose(FILLED_IN | {name: ""})


def test_no_secret_has_a_default() -> None:
    # Plain within DATABASE_URL: by then the database's own service has insisted on it.
    rules = {name: variables()[name] - {""} for name in NEEDED}
    assert rules == {name: {":?"} for name in NEEDED}


def test_the_defaults_that_the_example_shows_are_true() -> None:
    provided = compose(FILLED_IN)["services"]["api"]["environment"]
    password = FILLED_IN["TILLFLOW_DB_PASSWORD"]
    for name, shown in DEFAULTS.items():
        true = provided[name] if name in PROVIDED else _text(FIELDS[name].default)
        assert shown.replace("${TILLFLOW_DB_PASSWORD}", password) == true, name


def test_the_defaults_in_the_compose_file_are_the_settings_own() -> None:
    for name, default in re.findall(r"\$\{(\w+):-([^${}]+)\}", COMPOSE.read_text()):
        if name not in PROVIDED:
            assert default == _text(FIELDS[name].default), name


@pytest.mark.parametrize("name", TILLFLOW)
def test_the_filled_in_example_makes_settings(name: str, clean: pytest.MonkeyPatch) -> None:
    for variable, value in services(FILLED_IN)[name]["environment"].items():
        clean.setenv(variable, value)
    settings = Settings()
    assert settings.database_url.get_secret_value() == (
        f"postgresql+psycopg://tillflow:{FILLED_IN['TILLFLOW_DB_PASSWORD']}@tillflow-db:5432/tillflow"
    )
    assert settings.temporal_address == "temporal:7233"
    assert settings.smtp_username is None


def test_a_setting_of_ones_own_is_handed_on(clean: pytest.MonkeyPatch) -> None:
    own = FILLED_IN | {"TEMPORAL_ADDRESS": "eu.example.com:7233", "LOG_LEVEL": "WARNING"}
    for variable, value in services(own)["worker"]["environment"].items():
        clean.setenv(variable, value)
    settings = Settings()
    assert (settings.temporal_address, settings.log_level) == ("eu.example.com:7233", "WARNING")


def test_the_sandbox_and_tillflow_share_their_secrets(clean: pytest.MonkeyPatch) -> None:
    for variable, value in services(FILLED_IN)["sandbox"]["environment"].items():
        clean.setenv(variable, value)
    settings = SandboxSettings()
    assert settings.secret_key.get_secret_value() == FILLED_IN["STRIPE_API_KEY"]
    assert settings.webhook_secret is not None
    assert settings.webhook_secret.get_secret_value() == FILLED_IN["STRIPE_WEBHOOK_SECRET"]
    assert settings.webhook_url == "http://api:8700/api/payment/callback"


SERVICES = services(FILLED_IN)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]  # noqa: S108
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_restarts_and_is_watched_and_every_job_ends(name: str) -> None:
    service = SERVICES[name]
    if name in JOBS:
        assert service["restart"].startswith("on-failure")
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert "test" in service.get("healthcheck", {}) or name == "api"  # the image's own


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_waits_for_what_it_needs(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] == (
            "service_completed_successfully" if needed in JOBS else "service_healthy"
        )


def test_only_the_api_and_the_ui_are_published_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "api": ["127.0.0.1:8700:8700"],
        "temporal-ui": ["127.0.0.1:8080:8080"],
    }


def test_only_the_sandbox_is_optional() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["sandbox"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_ours_or_pinned(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[a-z/-]+:\d+\.\d+[\w.-]*", service["image"])


@pytest.mark.parametrize("name", TILLFLOW)
def test_each_process_is_a_command_of_the_program(name: str) -> None:
    commands: Any = typer.main.get_command(cli.app)
    assert SERVICES[name]["command"][0] in commands.commands


def _text(default: object) -> str:
    """A default as one would write it into the environment."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)
