"""Outside the embedded stack, weak settings start nothing: each is named, and none is shown."""

import os
import random
import secrets
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config import Settings, faults
from app.embedded.part import ROOT
from app.strength import require_random, require_random_bytes

DATABASE = "postgresql+psycopg://tillflow:{}@db.example.net/tillflow?sslmode=verify-full"
# Seeded: every process that collects the tests gives them the same names.
CHANCE = random.Random("tillflow")  # noqa: S311
PASSWORD = CHANCE.randbytes(32).hex()

REDIS = f"rediss://tillflow:{CHANCE.randbytes(32).hex()}@redis.example.net/0"


def random_key() -> str:
    return b64encode(CHANCE.randbytes(32)).decode()


FIT: dict[str, Any] = {
    "encryption_keys": f"2026-11:{random_key()}",
    "database_url": DATABASE.format(PASSWORD),
    "temporal_address": "shop.tmprl.cloud:7233",
    "temporal_api_key": CHANCE.randbytes(32).hex(),
    "stripe_api_key": f"sk_live_{CHANCE.randbytes(24).hex()}",
    "stripe_webhook_secret": f"whsec_{CHANCE.randbytes(16).hex()}",
    "callback_secret": f"whsec_{random_key()}",
}
MTLS = {"temporal_tls_client_cert_path": __file__, "temporal_tls_client_key_path": __file__}
TEXT_KEY = b64encode(b"this is thirty-two bytes of text").decode()
STEPS = b64encode(bytes(range(32))).decode()
TWICE = b64encode(CHANCE.randbytes(16) * 2).decode()


def told(**weak: Any) -> list[str]:
    """What is said of settings that are fit but for these."""
    try:
        Settings(**{**FIT, **weak})
    except ValidationError as error:
        return list(faults(error))
    return []


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("encryption_keys", "k:" + b64encode(bytes(32)).decode(), "pattern"),
        ("encryption_keys", f"k:{STEPS}", "pattern"),
        ("encryption_keys", f"k:{TWICE}", "pattern"),
        ("encryption_keys", f"k:{TEXT_KEY}", "text"),
        ("encryption_keys", f"new:{random_key()},old:{TEXT_KEY}", "text"),
        ("encryption_keys", "a:{0},b:{0}".format(random_key()), "twice"),
        ("encryption_keys", f"k:{random_key()[:20]}", "32 bytes"),
        ("callback_secret", "whsec_" + b64encode(CHANCE.randbytes(24)).decode(), "32"),
        ("callback_secret", random_key(), "whsec_"),
        ("callback_secret", "whsec_" + "?" * 44, "base64"),
        ("callback_secret", f"whsec_{TEXT_KEY}", "text"),
        ("stripe_webhook_secret", "whsec_short", "32"),
        ("stripe_webhook_secret", CHANCE.randbytes(32).hex(), "whsec_"),
        ("stripe_webhook_secret", "whsec_" + "ab" * 16, "pattern"),
        ("stripe_api_key", f"pk_live_{CHANCE.randbytes(24).hex()}", "secret key"),
        ("stripe_api_key", "sk_test_sandbox", "24"),
        ("stripe_api_key", "sk_test_" + "4eC39HqLyjWDarjtT1zdp7dc", "example"),
        ("stripe_api_key", "sk_live_" + "0" * 24, "pattern"),
        ("database_url", DATABASE.format("hunter2"), "20"),
        ("database_url", DATABASE.format("postgres-Password-2026"), "words"),
        ("database_url", DATABASE.format("tillflowtillflowtillflow"), "words"),
        ("database_url", DATABASE.format("abcabcabcabcabcabcabcabc"), "pattern"),
        ("database_url", "a word", "no URL"),
        ("database_password", "a" * 64, "pattern"),
        ("stripe_api_base", "http://api.stripe.com", "https"),
        ("stripe_api_base", "http://localhost@example.net", "https"),
        ("redis_url", f"redis://tillflow:{CHANCE.randbytes(32).hex()}@redis.example.net/0", "TLS"),
        ("redis_url", "rediss://redis.example.net/0", "openssl"),
        ("redis_url", "rediss://tillflow:hunter2@redis.example.net/0", "20"),
        ("redis_url", f"{REDIS}?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis_url", f"{REDIS}?ssl_cert_reqs=optional", "ssl_cert_reqs"),
        ("redis_url", f"{REDIS}?ssl%5Fcert_reqs=required&ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis_url", f"{REDIS}?ssl_check_hostname=False", "ssl_check_hostname"),
        ("temporal_api_key", "changeme", "32"),
        ("temporal_api_key", "change-me-to-the-key-that-temporal-made", "words"),
        ("smtp_password", "password", "16"),
        ("smtp_password", "mail-password-of-the-shop", "words"),
        ("codec_ui_origin", "http://temporal.example.net", "https"),
        ("codec_ui_origin", "https://temporal.example.net/", "pattern"),
    ],
    ids=lambda value: None,
)
def test_a_weak_secret_is_refused_and_not_shown(name: str, value: str, word: str) -> None:
    [line] = told(**{name: value})
    assert line.startswith(f"{name.upper()}: ")
    assert word in line
    secret = value.partition(":")[2] if name == "encryption_keys" else value
    for part in (secret, secret.partition("_")[2], value.rpartition(":")[2].partition("@")[0]):
        assert len(part) < 6 or part not in line


@pytest.mark.parametrize(
    "fit",
    [
        {},
        {"redis_url": REDIS},
        {"redis_url": f"{REDIS}?ssl_cert_reqs=required&ssl_ca_certs=/certificates/ca.crt"},
        {"redis_url": "redis://127.0.0.1:6379/0"},
        {"stripe_api_key": f"sk_test_{CHANCE.randbytes(24).hex()}"},
        {"stripe_api_key": f"rk_live_{CHANCE.randbytes(24).hex()}"},
        {"encryption_keys": f"new:{random_key()},old:{random_key()}"},
        {
            "database_url": "postgresql+psycopg://tillflow@db.example.net/tillflow?sslmode=verify-full"
        },
    ],
)
def test_what_is_fit_is_taken(fit: dict[str, str]) -> None:
    assert told(**fit) == []


def test_chance_is_never_taken_for_a_pattern() -> None:
    for _ in range(5000):
        require_random_bytes(secrets.token_bytes(32), 32)
        require_random(secrets.token_hex(10), 20)
        require_random(secrets.token_urlsafe(24), 32)


def test_no_two_secrets_are_the_same() -> None:
    shared = f"whsec_{random_key()}"
    [line] = told(callback_secret=shared, stripe_webhook_secret=shared)
    assert line.startswith("CALLBACK_SECRET: it is the same as STRIPE_WEBHOOK_SECRET")
    [line] = told(
        stripe_webhook_secret=f"whsec_{PASSWORD}", database_url=DATABASE.format(f"whsec_{PASSWORD}")
    )
    assert line.startswith("STRIPE_WEBHOOK_SECRET: it is the same as DATABASE_URL")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://tillflow@db.example.net/tillflow",
        "postgresql+psycopg://tillflow@db.example.net/tillflow?sslmode=require",
        "postgresql+psycopg://tillflow@db.example.net/tillflow?sslmode=verify-ca",
        "postgresql+psycopg://tillflow@db/tillflow?sslmode=verify-full&sslmode=disable",
        "postgresql+psycopg:///tillflow",
        "postgresql+psycopg://127.0.0.1/tillflow?host=db.example.net",
        "postgresql+psycopg:///tillflow?host=/run/postgresql&host=db.example.net",
        "postgresql+psycopg:///tillflow?host=/run/postgresql&hostaddr=203.0.113.7",
        "postgresql+psycopg:///tillflow?host=/run/postgresql,db.example.net",
        "postgresql+psycopg://127.0.0.1,db.example.net/tillflow",
    ],
)
def test_a_database_elsewhere_is_reached_by_tls_alone(url: str) -> None:
    [line] = told(database_url=url)
    assert line.startswith("DATABASE_URL: the connection leaves this machine")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg:///tillflow?host=/run/postgresql",
        "postgresql+psycopg://tillflow@127.0.0.1:6432/tillflow",
        "postgresql+psycopg://tillflow@[::1]/tillflow",
        "postgresql+psycopg://tillflow@localhost/tillflow",
    ],
)
def test_a_database_on_this_machine_needs_none(url: str) -> None:
    assert told(database_url=url) == []


@pytest.mark.parametrize("variable", ["PGHOSTADDR", "PGSERVICE", "PGPASSWORD"])
def test_nothing_but_the_url_says_where_the_database_is_and_as_whom(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "203.0.113.7")
    [line] = told(database_url="postgresql+psycopg://tillflow@localhost/tillflow")
    assert line.startswith(f"DATABASE_URL: {variable} would change where it leads")


def test_a_password_stands_where_it_is_looked_at() -> None:
    [line] = told(database_url="postgresql+psycopg://tillflow@localhost/tillflow?password=weak")
    assert line.startswith("DATABASE_URL: the password stands behind the ?")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_is_given_cards_in_clear(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://proxy.example.net:3128")
    [line] = told(stripe_api_base="http://127.0.0.1:8701")
    assert line.startswith("STRIPE_API_BASE: HTTP_PROXY would be given cards and keys")
    assert told() == []


@pytest.mark.parametrize(
    "weak",
    [
        {},
        {"temporal_tls_client_cert_path": __file__},
        {"temporal_tls_client_key_path": __file__},
        {"temporal_tls_server_ca_cert_path": __file__, "temporal_tls_server_name": "temporal"},
        {"temporal_address": "localhost@example.net:7233"},
    ],
)
def test_temporal_elsewhere_is_told_who_we_are_over_tls(weak: dict[str, str]) -> None:
    [line] = told(temporal_api_key=None, **weak)
    assert line.startswith("TEMPORAL_ADDRESS: the connection leaves this machine without TLS")


@pytest.mark.parametrize(
    "fit",
    [
        MTLS,
        {"temporal_address": "127.0.0.1:7233"},
        {"temporal_address": "[::1]:7233"},
        {"temporal_address": "localhost:7233"},
    ],
)
def test_temporal_by_mtls_or_on_this_machine(fit: dict[str, str]) -> None:
    assert told(temporal_api_key=None, **fit) == []


def test_no_mail_is_sent_in_clear() -> None:
    mail = {"smtp_host": "mail.example.net"}
    [line] = told(**mail)
    assert line.startswith("SMTP_TLS: shoppers' addresses would be sent in clear")
    assert told(**mail, smtp_tls=True) == []
    assert told(**{**mail, "smtp_host": "127.0.0.1"}) == []


HERE = {
    "database_url": "postgresql+psycopg://tillflow@127.0.0.1/tillflow",
    "temporal_address": "127.0.0.1:7233",
    "stripe_api_base": "http://127.0.0.1:8701",
}


def test_the_embedded_stack_alone_may_be_weak() -> None:
    weak = {**HERE, "stripe_api_key": "sk_test_sandbox", "callback_secret": "letmein"}
    assert told(**weak, embedded=True) == []
    assert len(told(**weak)) == 2


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [
        ("api_host", "0.0.0.0"),  # noqa: S104
        ("api_host", "::"),
        ("codec_host", "192.0.2.7"),
        ("smtp_host", "mail.example.net"),
        ("database_url", "postgresql+psycopg://tillflow@db.example.net/tillflow"),
        ("database_url", FIT["database_url"]),
        ("database_owner_url", "postgresql+psycopg://postgres@127.0.0.1/x?hostaddr=203.0.113.7"),
        ("temporal_address", "temporal:7233"),
        ("stripe_api_base", "https://api.stripe.com"),
        ("redis_url", REDIS),
    ],
)
def test_the_embedded_stack_keeps_to_this_machine(name: str, elsewhere: str) -> None:
    [line] = told(**{**HERE, "embedded": True, name: elsewhere})
    assert line.startswith(f"{name.upper()}: it is not an address of this machine alone")


def test_without_an_address_the_embedded_stack_has_none_elsewhere() -> None:
    known = {name: value for name, value in HERE.items() if name != "stripe_api_base"}
    [line] = told(**known, embedded=True)  # its default is Stripe's own
    assert line.startswith("STRIPE_API_BASE: it is not an address of this machine alone")


@pytest.mark.parametrize(
    "name",
    [
        "temporal_tls_client_cert_path",
        "temporal_tls_client_key_path",
        "temporal_tls_server_ca_cert_path",
        "stripe_ca_cert_path",
    ],
)
def test_a_certificate_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    [line] = told(**{"temporal_api_key": None, **MTLS, name: str(tmp_path / "nowhere.crt")})
    assert (
        line == f"{name.upper()}: {tmp_path}/nowhere.crt cannot be read: No such file or directory"
    )


def test_every_process_ends_with_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    weak = {
        "DATABASE_URL": "postgresql+psycopg://tillflow:hunter2@db.example.net/tillflow",
        "TEMPORAL_ADDRESS": "temporal:7233",
        "STRIPE_API_KEY": "sk_test_sandbox",
        "STRIPE_API_BASE": "http://sandbox:8701",
        "STRIPE_WEBHOOK_SECRET": "whsec_letmein",
        "CALLBACK_SECRET_FILE": str(tmp_path / "nowhere"),
        "ENCRYPTION_KEYS": FIT["encryption_keys"],
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "app.cli", process],
            cwd=ROOT,
            env={"PATH": os.defpath, **weak},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in ("api", "worker", "migrate")
    ]
    everything = [
        "DATABASE_URL",
        "TEMPORAL_ADDRESS",
        "STRIPE_API_KEY",
        "STRIPE_API_BASE",
        "STRIPE_WEBHOOK_SECRET",
        "CALLBACK_SECRET",
    ]
    # The last one reads no more than where the data is.
    for process, wrong in zip(processes, [everything, everything, everything[:1]], strict=True):
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 1
        first, *lines = errors.splitlines()
        assert first == "tillflow: these settings are missing or not fit:"
        assert [line.split(":")[0].strip() for line in lines] == wrong
        for secret in ("hunter2", "sk_test_sandbox", "letmein", FIT["encryption_keys"][8:]):
            assert secret not in output + errors


def test_a_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text(f"{FIT['stripe_api_key']}\n")
    monkeypatch.setenv("STRIPE_API_KEY_FILE", str(file))
    known = {name: value for name, value in FIT.items() if name != "stripe_api_key"}
    assert Settings(**known).stripe_api_key.get_secret_value() == FIT["stripe_api_key"]

    monkeypatch.setenv("STRIPE_API_KEY", FIT["stripe_api_key"])
    with pytest.raises(ValidationError, match="and its file as well"):
        Settings(**known)


@pytest.mark.parametrize(("content", "word"), [(None, "No such file"), (b"\xff\xfe", "not text")])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, word: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("CALLBACK_SECRET_FILE", str(file))
    known = {name: value for name, value in FIT.items() if name != "callback_secret"}
    with pytest.raises(ValidationError) as refused:
        Settings(**known)
    [line] = faults(refused.value)
    assert line.startswith(f"CALLBACK_SECRET: its file {file} ")
    assert word in line


def test_only_a_secret_has_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "address").write_text("temporal.example.net:7233")
    monkeypatch.setenv("TEMPORAL_ADDRESS_FILE", str(tmp_path / "address"))
    assert Settings(**FIT).temporal_address == FIT["temporal_address"]


def test_the_database_password_goes_into_the_url() -> None:
    url = "postgresql+psycopg://tillflow@db.example.net/tillflow?sslmode=verify-full"
    settings = Settings(**{**FIT, "database_url": url, "database_password": "p@ss/" + PASSWORD})
    assert f":p%40ss%2F{PASSWORD}@" in settings.database_url.get_secret_value()
    [line] = told(database_password=CHANCE.randbytes(32).hex())
    assert line.startswith("DATABASE_URL: it holds a password, and DATABASE_PASSWORD as well")
