"""What the sandbox reads from its environment; every name carries the prefix SANDBOX_."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Built by a call, never at import."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8701, ge=1, le=65535)
    tls_cert_path: Path | None = None
    tls_key_path: Path | None = None
    database: Path = Path("sandbox.db")
    secret_key: SecretStr = SecretStr("sk_test_sandbox")
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    public_url: str | None = None
    record: Path | None = None
    rate_limit: int = Field(default=0, ge=0)
    """How many calls to /v1 are answered in a second; 0 means any number."""
    settle_seconds: float = Field(default=2.0, ge=0)
    """How long the bank takes to settle a refund or to raise a dispute, in sandbox seconds."""
    debit_seconds: float = Field(default=3 * 24 * 3600, ge=0)
    """How long the bank takes to answer a debit of an account, in sandbox seconds."""

    @model_validator(mode="after")
    def _webhook_needs_both(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_secret is None):
            raise ValueError("webhook_url and webhook_secret are given together or not at all")
        return self

    @property
    def base_url(self) -> str:
        """Where a browser reaches the sandbox's own pages, without a trailing slash."""
        scheme = "https" if self.tls_cert_path is not None else "http"
        return (self.public_url or f"{scheme}://{self.host}:{self.port}").rstrip("/")
