"""Settings, all from the environment. Built by a call, never at import."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.methods import Method
from app.domain.money import exponent
from app.keyring import Keyring


class Settings(BaseSettings):
    """What one Tillflow process needs to know. Each field is an environment variable of that name.

    Raises `pydantic.ValidationError` (without the values) when a required one is missing.
    An empty variable is a missing one.
    """

    model_config = SettingsConfigDict(hide_input_in_errors=True, frozen=True, env_ignore_empty=True)

    # The embedded stack says so itself. Everywhere else the rules of production hold.
    embedded: bool = False

    # id:base64 of 32 bytes, the newest first: what encrypts personal data and what enters Temporal.
    encryption_keys: SecretStr

    # Where our data lives: postgresql+psycopg://user:password@host:port/database
    database_url: SecretStr

    # The Temporal cluster. An API key or a client certificate switches TLS on.
    temporal_address: str
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls: bool = False
    temporal_tls_client_cert_path: str | None = None
    temporal_tls_client_key_path: str | None = None
    temporal_tls_server_ca_cert_path: str | None = None
    temporal_tls_server_name: str | None = None
    task_queue: str = "tillflow"

    # The gateway.
    stripe_api_key: SecretStr
    stripe_api_base: str = "https://api.stripe.com"
    stripe_webhook_secret: SecretStr
    gateway_timeout_seconds: float = Field(default=20, gt=0)
    # Those that are activated in the account at the gateway.
    payment_methods: Annotated[tuple[Method, ...], NoDecode] = Field(tuple(Method), min_length=1)

    # The doors.
    api_host: str = "127.0.0.1"
    api_port: int = 8700
    callback_secret: SecretStr  # Standard Webhooks: whsec_ + base64
    # Raw card numbers put the whole API in PCI DSS scope (SAQ D), so they are off unless asked for.
    accept_raw_cards: bool = False

    # The shop.
    default_currency: str = "usd"
    initiate_wait_seconds: float = Field(default=8, gt=0)
    checkout_expiry_seconds: float = Field(default=30 * 60, gt=0)
    callback_grace_seconds: float = Field(default=10, gt=0)
    # As long as Stripe surely keeps an idempotency key: then an operator is called for.
    unknown_age_limit_seconds: float = Field(default=24 * 3600, gt=0)

    # Mail.
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: bool = False
    mail_from: str = "orders@example.com"

    log_level: str = "INFO"

    @field_validator("payment_methods", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr) -> SecretStr:
        Keyring.parse(value.get_secret_value())  # raises where they are none
        return value

    def keyring(self) -> Keyring:
        """The encryption keys."""
        return Keyring.parse(self.encryption_keys.get_secret_value())

    @field_validator("default_currency")
    @classmethod
    def _known(cls, value: str) -> str:
        currency = value.strip().lower()
        exponent(currency)  # raises where it is none
        return currency
