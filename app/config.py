"""Settings, all from the environment. Built by a call, never at import."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import limits
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.domain.methods import Method
from app.domain.money import exponent
from app.keyring import Keyring
from app.production import read_url, require_fit, require_here
from app.secret_files import SecretFile, SecretFiles

_REDIS = re.compile(r"rediss?://")


class DataSettings(BaseSettings):
    """What a process needs to know that works with the database alone: `codec` and `migrate`. What
    a process does not need it need not be given. Each field is an environment variable of that
    name; a secret one may be in a file, whose path is then in the variable NAME_FILE.

    Raises `pydantic.ValidationError` (without the values) with all that is missing, wrong, or not
    fit for production. An empty variable is a missing one.
    """

    model_config = SettingsConfigDict(
        hide_input_in_errors=True, frozen=True, env_ignore_empty=True, validate_default=True
    )

    # The embedded stack says so itself, and keeps to this machine. Everywhere else the rules of
    # production hold.
    embedded: bool = False

    # id:base64 of 32 bytes, the newest first: what encrypts personal data and what enters Temporal.
    encryption_keys: SecretStr

    # Where our data lives: postgresql+psycopg://user:password@host:port/database
    database_password: SecretStr | None = None  # if it is not in the URL
    database_url: SecretStr
    # The same by the role that owns the tables. Only `tillflow migrate` needs it.
    database_owner_password: SecretStr | None = None
    database_owner_url: SecretStr | None = None

    # Addresses and networks, with commas between them: whose X-Forwarded-For is believed.
    trusted_proxies: str | None = Field(default=None, pattern=r"^[0-9A-Fa-f:./, ]+$")
    # The codec server's, and where the Temporal UI is that may ask it.
    codec_host: str = "127.0.0.1"
    codec_port: int = 8706
    codec_ui_origin: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[^/\s]+$")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # Who the audit trail says runs a command, where it is not the user of this machine.
    operator: str | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, SecretFiles(settings_cls), env_settings

    @field_validator(
        *("payment_methods", "stripe_webhook_secret", "callback_secret"),  # of the classes below
        mode="before",
        check_fields=False,
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    # Below the other that runs before: of these the last one is the first to run.
    @field_validator("*", mode="before")
    @classmethod
    def _from_file(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, SecretFile):
            return value
        field = cls.model_fields[str(info.field_name)]
        secret = value.read()
        if not secret and field.is_required():
            raise ValueError(f"its file {value.path} is empty")
        return secret or field.default

    # The order of these two matters: an encryption key has to be one before it can be a weak one.
    @field_validator("encryption_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr) -> SecretStr:
        Keyring.parse(value.get_secret_value())  # raises where they are none
        return value

    @field_validator("*")
    @classmethod
    def _fit_for_its_place(cls, value: Any, info: ValidationInfo) -> Any:
        # A rule sees the fields that stand above its own.
        name = str(info.field_name)
        if info.data.get("embedded"):
            require_here(name, value)
        else:
            require_fit(name, value, info.data)
        return value

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _with_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        name = str(info.field_name).replace("_url", "_password")
        password = info.data.get(name)
        if value is None or password is None:
            return value
        url = read_url(value)
        if url.password is not None:
            raise ValueError(f"it holds a password, and {name.upper()} as well. Take one out")
        whole = url.set(password=password.get_secret_value())
        return SecretStr(whole.render_as_string(hide_password=False))

    def keyring(self) -> Keyring:
        """The encryption keys."""
        return Keyring.parse(self.encryption_keys.get_secret_value())


class Settings(DataSettings):
    """What the worker, and a command that asks Temporal, need to know besides."""

    # The Temporal cluster. An API key or a certificate's path switches TLS on.
    temporal_api_key: SecretStr | None = None
    temporal_tls_client_cert_path: str | None = None
    temporal_tls_client_key_path: str | None = None
    temporal_tls_server_ca_cert_path: str | None = None
    temporal_tls_server_name: str | None = None
    temporal_address: str
    temporal_namespace: str = "default"
    task_queue: str = "tillflow"

    # The gateway.
    stripe_api_key: SecretStr
    stripe_api_base: str = "https://api.stripe.com"
    stripe_ca_cert_path: str | None = None  # if its authority is not a public one
    # The API's alone. Several, with commas, as long as callbacks may be signed with any of them.
    stripe_webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    gateway_timeout_seconds: float = Field(default=20, gt=0)
    # Those that are activated in the account at the gateway.
    payment_methods: Annotated[tuple[Method, ...], NoDecode] = Field(tuple(Method), min_length=1)

    # The doors.
    api_host: str = "127.0.0.1"
    api_port: int = 8700
    # The API's alone, too. Standard Webhooks: whsec_ + base64; several as above.
    callback_secret: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    # How many attempts to pay may come to nothing, for whoever tests stolen cards; each that is
    # paid allows one more. A number and a time: 40/day, 100 per 12 hours.
    declines_per_key: str = "40/day"
    declines_per_address: str = "10/day"
    declines_per_order: str = "10/day"
    declines_per_card: str = "5/day"
    # They are counted in Redis, if there is one (rediss://user:password@host:port/0), or else in
    # the database.
    redis_url: SecretStr | None = None
    # Raw card numbers put the whole API in PCI DSS scope (SAQ D), so they are off unless asked for.
    accept_raw_cards: bool = False

    # The shop.
    default_currency: str = "usd"
    initiate_wait_seconds: float = Field(default=8, gt=0)
    checkout_expiry_seconds: float = Field(default=30 * 60, gt=0)
    callback_grace_seconds: float = Field(default=10, gt=0)
    # As long as Stripe surely keeps an idempotency key: then an operator is called for.
    unknown_age_limit_seconds: float = Field(default=24 * 3600, gt=0)

    # Who shopped is erased when an order is over and has had no news for so long: chargebacks come
    # within about 120 days, and are disputed for weeks.
    personal_data_retention_days: int = Field(default=180, ge=1)

    # Mail.
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: bool = False
    mail_from: str = "orders@example.com"

    @field_validator(
        "temporal_tls_client_cert_path",
        "temporal_tls_client_key_path",
        "temporal_tls_server_ca_cert_path",
        "stripe_ca_cert_path",
    )
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                Path(value).open("rb").close()
            except OSError as error:
                raise ValueError(f"{value} cannot be read: {error.strerror}") from None
        return value

    @field_validator(
        "declines_per_key", "declines_per_address", "declines_per_order", "declines_per_card"
    )
    @classmethod
    def _limit(cls, value: str) -> str:
        try:
            [_] = limits.parse_many(value)
        except ValueError:
            raise ValueError("this is not a number and a time, such as 40/day") from None
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _REDIS.match(value.get_secret_value()):
            raise ValueError("it begins with neither redis:// nor rediss://")
        return value

    @field_validator("default_currency")
    @classmethod
    def _known(cls, value: str) -> str:
        currency = value.strip().lower()
        exponent(currency)  # raises where it is none
        return currency


class ApiSettings(Settings):
    """The API's: who may sign callbacks is no longer left open."""

    stripe_webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(min_length=1)
    callback_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(min_length=1)


def faults(error: ValidationError) -> Sequence[str]:
    """What is missing, wrong or not fit, a line for each, without the values."""
    return [
        f"{str(each['loc'][0]).upper()}: {each['msg'].removeprefix('Value error, ')}"
        for each in error.errors(include_input=False, include_url=False, include_context=False)
    ]
