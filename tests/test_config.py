"""Settings: what is wrong is said at the start."""

import pytest
from pydantic import ValidationError

from app.config import ApiSettings
from app.domain.methods import Method
from tests.conftest import settings_with


@pytest.mark.parametrize(
    "name",
    [
        "temporal_api_key",
        "temporal_tls_client_cert_path",
        "temporal_tls_client_key_path",
        "temporal_tls_server_ca_cert_path",
        "temporal_tls_server_name",
        "smtp_username",
        "smtp_password",
    ],
)
def test_an_empty_variable_is_a_missing_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name.upper(), "")
    assert getattr(settings_with(), name) is None


def test_an_empty_secret_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "")
    with pytest.raises(ValidationError) as wrong:
        ApiSettings()
    assert ("stripe_webhook_secret",) in [error["loc"] for error in wrong.value.errors()]


@pytest.mark.parametrize(("written", "meant"), [("EUR", "eur"), (" jpy ", "jpy"), ("", "usd")])
def test_the_default_currency_is_taken_as_it_is_meant(
    written: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_CURRENCY", written)
    assert settings_with().default_currency == meant


def test_an_unknown_default_currency_is_refused_at_the_start() -> None:
    with pytest.raises(ValidationError, match="'dollars' is not an ISO 4217 currency code"):
        settings_with(default_currency="dollars")


@pytest.mark.parametrize(
    ("written", "offered"),
    [
        ("ideal", (Method.IDEAL,)),
        (" credit_card, paypal,", (Method.CREDIT_CARD, Method.PAYPAL)),
        ("", tuple(Method)),
    ],
)
def test_the_ways_to_pay_are_those_that_are_named_or_all(
    written: str, offered: tuple[Method, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENT_METHODS", written)
    assert settings_with().payment_methods == offered


@pytest.mark.parametrize("written", ["cash", "credit_card;ideal", ","])
def test_a_way_to_pay_that_does_not_exist_is_refused_at_the_start(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYMENT_METHODS", written)
    with pytest.raises(ValidationError, match="payment_methods"):
        settings_with()


@pytest.mark.parametrize("written", ["forty", "40", "40/lifetime", "40/day; 3/hour", "-1/day"])
def test_a_limit_is_a_number_and_a_time(written: str) -> None:
    with pytest.raises(ValidationError, match="such as 40/day"):
        settings_with(declines_per_key=written)


@pytest.mark.parametrize("written", ["nonsense", "info", "5"])
def test_a_level_that_is_none_is_refused_at_the_start(written: str) -> None:
    with pytest.raises(ValidationError, match="'DEBUG', 'INFO', 'WARNING' or 'ERROR'"):
        settings_with(log_level=written)


def test_the_address_of_redis_is_one() -> None:
    with pytest.raises(ValidationError, match="rediss://") as wrong:
        settings_with(redis_url="http://user:secret-word@127.0.0.1")
    assert "secret-word" not in str(wrong.value)
