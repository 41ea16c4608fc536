"""docker-compose.yml and .env.example: sound by the schema, complete by our settings."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from app import cli
from app.config import ApiSettings, DataSettings, Settings
from app.secret_files import holds_secret
from sandbox.settings import Settings as SandboxSettings
from tests.production.compose import COMPOSE, compose, example, services, variables

TILLFLOW = ("api", "worker", "codec", "migrate")
JOBS = ("certificates", "temporal-schema", "temporal-namespace", "migrate")
# The image sets it: a container that listens on its own loopback interface is of no use.
SET_BY_IMAGE = {"API_HOST", "CODEC_HOST"}
# The embedded stack alone sets it; what is deployed is production.
NEVER_SET = {"EMBEDDED"}
# The services have these from the compose file itself.
PROVIDED = {"DATABASE_URL", "DATABASE_OWNER_URL", "TEMPORAL_ADDRESS"} | {
    f"TEMPORAL_TLS_{name}_PATH" for name in ("CLIENT_CERT", "CLIENT_KEY", "SERVER_CA_CERT")
}

# What each process reads when it starts.
READS: dict[str, type[DataSettings]] = {
    "api": ApiSettings,
    "worker": Settings,
    "codec": DataSettings,
    "migrate": DataSettings,
}
FIELDS = {name.upper(): field for name, field in ApiSettings.model_fields.items()}
# A URL is no secret here: the password is in a file of its own.
URLS = {"DATABASE_URL", "DATABASE_OWNER_URL"}
SECRETS = {name for name, field in FIELDS.items() if holds_secret(field)} - URLS
SANDBOX_FIELDS = {f"SANDBOX_{name.upper()}" for name in SandboxSettings.model_fields}
# Who has the owner's password can change what is append-only; who has the gateway's key, its money.
GIVEN = {
    "api": {
        *("DATABASE_PASSWORD", "ENCRYPTION_KEYS", "TEMPORAL_API_KEY", "STRIPE_API_KEY"),
        *("STRIPE_WEBHOOK_SECRET", "CALLBACK_SECRET", "REDIS_URL"),
    },
    "worker": {
        *("DATABASE_PASSWORD", "ENCRYPTION_KEYS", "TEMPORAL_API_KEY", "STRIPE_API_KEY"),
        "SMTP_PASSWORD",
    },
    "codec": {"DATABASE_PASSWORD", "ENCRYPTION_KEYS"},
    "migrate": {"DATABASE_PASSWORD", "ENCRYPTION_KEYS", "DATABASE_OWNER_PASSWORD"},
}
DEFAULTS = example()

OnThisMachine = Callable[..., dict[str, str]]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any of our variables."""
    for name in (*FIELDS, *SANDBOX_FIELDS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    return monkeypatch


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    Draft202012Validator(schema).validate(compose({}))


def test_every_variable_is_a_setting_and_no_secret() -> None:
    assert variables() <= FIELDS.keys() - SECRETS


@pytest.mark.parametrize("name", TILLFLOW)
def test_each_process_is_handed_every_setting_and_nothing_else(name: str) -> None:
    handed = compose({})["services"][name]["environment"]
    files = {f"{secret}_FILE" for secret in GIVEN[name]}
    withheld = {"DATABASE_OWNER_URL"} if name != "migrate" else set()
    known = {field.upper() for field in READS[name].model_fields}
    assert handed.keys() == known - SECRETS - SET_BY_IMAGE - NEVER_SET - withheld | files


def test_the_sandbox_is_handed_sandbox_settings() -> None:
    handed = compose({})["services"]["sandbox"]["environment"]
    assert handed.keys() <= SANDBOX_FIELDS


def test_the_example_explains_every_variable_and_no_other() -> None:
    assert sorted(DEFAULTS) == sorted(FIELDS.keys() - SECRETS - SET_BY_IMAGE - NEVER_SET)


def test_no_service_is_handed_a_secret_but_in_a_file() -> None:
    """What is in an environment, `docker inspect` shows."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert name not in SECRETS
            if re.search(r"(PASSWORD|PWD|SECRET|KEY)S?$", name):
                assert value.startswith("/certificates/")


@pytest.mark.parametrize("name", TILLFLOW)
def test_each_process_is_given_its_own_secrets_and_no_other(name: str) -> None:
    handed = SERVICES[name]["environment"]
    assert {secret for secret in SECRETS if f"{secret}_FILE" in handed} == GIVEN[name]
    assert GIVEN[name] <= {field.upper() for field in READS[name].model_fields}


def test_each_service_is_given_only_the_secrets_that_it_is_told_of() -> None:
    for service in SERVICES.values():
        told = json.dumps([service.get("environment"), service.get("command")])
        read = set(re.findall(r"/run/secrets/(\w+)", told))
        assert read == set(service.get("secrets", [])), service


def test_every_secret_is_a_file_that_the_guide_makes(secrets_folder: Path) -> None:
    files = {secret["file"] for secret in compose({})["secrets"].values()}
    assert files == {f"secrets/{file.name}" for file in secrets_folder.iterdir()}
    assert stat.S_IMODE(secrets_folder.stat().st_mode) == 0o700
    for file in secrets_folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", sorted(name for name in SECRETS if FIELDS[name].is_required()))
def test_without_a_needed_secret_nothing_starts(
    name: str, on_this_machine: OnThisMachine, clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    for variable, value in (on_this_machine("api") | {f"{name}_FILE": f"{tmp_path}/empty"}).items():
        clean.setenv(variable, value)
    with pytest.raises(ValidationError) as refused:
        ApiSettings()
    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


def test_the_defaults_that_the_example_shows_are_true() -> None:
    known = compose({})["services"]
    provided = known["migrate"]["environment"] | known["api"]["environment"]
    for name, shown in DEFAULTS.items():
        assert shown == (provided[name] if name in PROVIDED else _text(FIELDS[name].default)), name


def test_the_defaults_in_the_compose_file_are_the_settings_own() -> None:
    for name, default in re.findall(r"\$\{(\w+):?-([^${}]*)\}", COMPOSE.read_text()):
        if name not in PROVIDED:
            assert default == _text(FIELDS[name].default), name


@pytest.mark.parametrize("name", TILLFLOW)
def test_what_the_guide_and_the_file_make_is_fit_for_production(
    name: str, on_this_machine: OnThisMachine, secrets_folder: Path, clean: pytest.MonkeyPatch
) -> None:
    for variable, value in on_this_machine(name).items():
        clean.setenv(variable, value)
    settings = READS[name]()
    assert settings.embedded is False
    password = (secrets_folder / "tillflow_service_db_password").read_text().strip()
    where = "@tillflow-db:5432/tillflow?sslmode=verify-full&"
    assert settings.database_url.get_secret_value().startswith(
        f"postgresql+psycopg://tillflow_service:{password}{where}"
    )
    owner = settings.database_owner_url
    assert (owner is not None) == (name == "migrate")
    if owner is not None:
        password = (secrets_folder / "tillflow_db_password").read_text().strip()
        assert owner.get_secret_value().startswith(
            f"postgresql+psycopg://tillflow:{password}{where}"
        )
    if isinstance(settings, Settings):
        assert settings.temporal_address == "temporal:7233"
        assert settings.smtp_username is None
        assert settings.temporal_api_key is None


def test_a_setting_of_ones_own_is_handed_on(
    on_this_machine: OnThisMachine, clean: pytest.MonkeyPatch
) -> None:
    own = {"TEMPORAL_ADDRESS": "eu.example.com:7233", "LOG_LEVEL": "WARNING"}
    nothing = {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": ""}
    for variable, value in on_this_machine("worker", **own, **nothing).items():
        clean.setenv(variable, value)
    settings = Settings()
    assert (settings.temporal_address, settings.log_level) == ("eu.example.com:7233", "WARNING")
    assert settings.temporal_tls_server_ca_cert_path is None


def test_the_sandbox_and_tillflow_share_their_secrets(clean: pytest.MonkeyPatch) -> None:
    service = SERVICES["sandbox"]
    for variable, value in service["environment"].items():
        clean.setenv(variable, value)
    reads = r'export (\w+)="\$\((?:cat|cut -d, -f1) (\S+)\)"'
    exported = dict(re.findall(reads, service["command"][0]))
    handed = SERVICES["api"]["environment"]
    assert exported == {
        "SANDBOX_SECRET_KEY": handed["STRIPE_API_KEY_FILE"],
        "SANDBOX_WEBHOOK_SECRET": handed["STRIPE_WEBHOOK_SECRET_FILE"],
    }
    clean.setenv("SANDBOX_WEBHOOK_SECRET", "made up")
    assert SandboxSettings().webhook_url == "http://api:8700/api/payment/callback"


SERVICES = services({})


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


def test_only_three_doors_are_published_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "api": ["127.0.0.1:8700:8700"],
        "codec": ["127.0.0.1:8706:8706"],
        "temporal-ui": ["127.0.0.1:8080:8080"],
    }


def test_the_temporal_ui_asks_the_codec_server_with_its_cookie() -> None:
    told = SERVICES["temporal-ui"]["environment"]
    assert told["TEMPORAL_CODEC_ENDPOINT"] == f"http://127.0.0.1:{FIELDS['CODEC_PORT'].default}"
    assert told["TEMPORAL_CODEC_INCLUDE_CREDENTIALS"] == "true"
    assert FIELDS["CODEC_UI_ORIGIN"].default == "http://127.0.0.1:8080"


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
