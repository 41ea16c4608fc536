"""What production demands of the settings: strong secrets, each its own, and TLS for whatever
leaves this machine. And what the embedded stack, which may be weak, demands: that nothing does.

What stays on the machine, on a Unix socket or a loopback address, may be plain: who could listen
there is root, who reads the process's memory as well; and there stand the proxies that speak TLS
for a program.
"""

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import getproxies

from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.strength import require_random, require_random_bytes

_KEY_BYTES = 32
_KEY_CHARACTERS = 32
_PASSWORD_CHARACTERS = 20
_MAIL_PASSWORD_CHARACTERS = 16  # those that mail services make
_STRIPE_KEY = re.compile(r"[sr]k_(live|test)_([A-Za-z0-9]*)", re.ASCII)
_STRIPE_KEY_CHARACTERS = 24
# libpq reads these besides the URL.
_LIBPQ = ("PGHOSTADDR", "PGSERVICE", "PGPASSWORD")
# With one of these a Unix socket's name is not where the connection goes.
_ELSEWHERE = frozenset({"hostaddr", "service"})
# With another value Redis need not prove who it is.
_VERIFIED = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}


def require_fit(name: str, value: Any, above: Mapping[str, Any]) -> None:
    """Raises ValueError, with what is wrong and what to do but without the value, unless production
    may run with it. `above`: the settings that were read before."""
    if name in _CONNECTIONS and value is not None:
        _CONNECTIONS[name](value, above)
    own = _secrets(name, value)
    if name in _SECRETS:
        rule, advice = _SECRETS[name]
        for secret in own:
            _advised(rule, secret, advice)
    if len(set(own)) < len(own):
        raise ValueError("it holds the same one twice. Make each anew")
    for other, known in above.items():
        if not set(own).isdisjoint(_secrets(other, known)):
            raise ValueError(f"it is the same as {other.upper()}. Make one of its own")


def require_here(name: str, value: Any) -> None:
    """Raises ValueError unless a setting of the embedded stack keeps it on this machine: what may
    be weak there is reached by nobody else, and reaches nobody."""
    is_here = _PLACES.get(name)
    if is_here is not None and value is not None and not is_here(value):
        raise ValueError(
            "it is not an address of this machine alone, and with EMBEDDED no rule of production "
            "holds. Change it, or take EMBEDDED out: only `tillflow run` sets it"
        )


def read_url(url: SecretStr) -> URL:
    """A database's URL in its parts. Raises ValueError, without the URL, where it is none."""
    try:
        return make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError(
            "it is no URL such as postgresql+psycopg://user@host:5432/database"
        ) from None


def _secrets(name: str, value: Any) -> list[str]:
    """Each secret that a setting holds."""
    if isinstance(value, tuple):
        return [each for part in value for each in _secrets(name, part)]
    if not isinstance(value, SecretStr):
        return []
    if name in ("database_url", "database_owner_url"):
        password = read_url(value).password
        return [] if password is None else [password]
    parts = [part.strip() for part in value.get_secret_value().split(",") if part.strip()]
    return [part.partition(":")[2] for part in parts] if name == "encryption_keys" else parts


def _advised(rule: Callable[[str], None], secret: str, advice: str) -> None:
    try:
        rule(secret)
    except ValueError as fault:
        raise ValueError(f"{fault}. {advice}") from None


def _encryption_key(text: str) -> None:
    require_random_bytes(base64.b64decode(text), _KEY_BYTES)


def _callback_secret(text: str) -> None:
    if not text.startswith("whsec_"):
        raise ValueError("it does not begin with whsec_")
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None
    require_random_bytes(key, _KEY_BYTES)


def _webhook_secret(text: str) -> None:
    if not text.startswith("whsec_"):
        raise ValueError("it does not begin with whsec_")
    require_random(text.removeprefix("whsec_"), _KEY_CHARACTERS)


def _stripe_key(text: str) -> None:
    # Test keys are keys too: a shop tries things out with them, and they move no money.
    key = _STRIPE_KEY.fullmatch(text)
    if key is None:
        raise ValueError("it is no secret key (sk_…) and no restricted one (rk_…)")
    require_random(key[2], _STRIPE_KEY_CHARACTERS)


def _password(text: str) -> None:
    require_random(text, _PASSWORD_CHARACTERS)


def _mail_password(text: str) -> None:
    require_random(text, _MAIL_PASSWORD_CHARACTERS)


def _temporal_key(text: str) -> None:
    require_random(text, _KEY_CHARACTERS)


def _database(value: SecretStr, _: Mapping[str, Any]) -> None:
    url = read_url(value)
    if "password" in url.query:
        raise ValueError("the password stands behind the ?. Write it as user:password@host")
    for variable in _LIBPQ:
        if variable in os.environ:
            raise ValueError(f"{variable} would change where it leads, or as whom. Take it out")
    if url.password is not None:
        _advised(_password, url.password, "Give the user another password: openssl rand -hex 32")
    if url.query.get("sslmode") != "verify-full" and not _is_local(url):
        raise ValueError(
            "the connection leaves this machine and need not be encrypted, or to the right server. "
            "Add ?sslmode=verify-full, and with an authority of your own &sslrootcert=FILE"
        )


def _is_local(url: URL) -> bool:
    named = url.query.get("host", ())
    hosts = [url.host or "", *([named] if isinstance(named, str) else named)]
    known = [host for each in hosts for host in each.split(",") if host]
    return (
        bool(known)
        and _ELSEWHERE.isdisjoint(url.query)
        and all(host.startswith("/") or _is_loopback(host) for host in known)
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _temporal(address: str, above: Mapping[str, Any]) -> None:
    certificate = ("temporal_tls_client_cert_path", "temporal_tls_client_key_path")
    if not above.keys() >= {"temporal_api_key", *certificate}:
        return  # one of them was given, and what is wrong with it is told
    if above["temporal_api_key"] is None and not all(above[name] for name in certificate):
        if _is_loopback(urlsplit(f"//{address}").hostname):
            return
        raise ValueError(
            "the connection leaves this machine without TLS and without saying who we are. Give "
            "TEMPORAL_API_KEY, or TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
        )


def _gateway(address: str, _: Mapping[str, Any]) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not _is_loopback(parts.hostname):
        raise ValueError("it does not begin with https://. Cards and keys are sent there")
    # In https a proxy is passed through, and reads nothing.
    if parts.scheme != "https" and getproxies().keys() & {"http", "all"}:
        raise ValueError("HTTP_PROXY would be given cards and keys. Take HTTP_PROXY out")


def _ui(origin: str, _: Mapping[str, Any]) -> None:
    parts = urlsplit(origin)
    if parts.scheme != "https" and not _is_loopback(parts.hostname):
        raise ValueError("it does not begin with https://. Log-ins and payloads are sent there")


def _redis(url: SecretStr | None, _: Mapping[str, Any]) -> None:
    if url is None:
        return
    parts = urlsplit(url.get_secret_value())
    if _is_loopback(parts.hostname):
        return
    if parts.scheme != "rediss":
        raise ValueError("the connection leaves this machine without TLS. Begin with rediss://")
    for option, told in parse_qsl(parts.query):
        if told.lower() != _VERIFIED.get(option, told.lower()):
            raise ValueError(f"{option} lets any server be this one. Take it out")
    _advised(_password, parts.password or "", "Give the user another one: openssl rand -hex 32")


def _mail(tls: bool, above: Mapping[str, Any]) -> None:
    if not tls and not _is_loopback(above.get("smtp_host")):
        raise ValueError("shoppers' addresses would be sent in clear. Set it to true")


_SECRETS: dict[str, tuple[Callable[[str], None], str]] = {
    "encryption_keys": (
        _encryption_key,
        'Make it with: echo "$(date +%Y-%m):$(openssl rand -base64 32)"',
    ),
    "database_password": (_password, "Make it with: openssl rand -hex 32"),
    "database_owner_password": (_password, "Make it with: openssl rand -hex 32"),
    "temporal_api_key": (_temporal_key, "Copy it whole from where Temporal made it"),
    "stripe_api_key": (_stripe_key, "Copy it whole from Stripe's dashboard, Developers, API keys"),
    "stripe_webhook_secret": (
        _webhook_secret,
        "Copy it whole from the webhook endpoint in Stripe's dashboard",
    ),
    "callback_secret": (
        _callback_secret,
        'Make it with: echo "whsec_$(openssl rand -base64 32)"',
    ),
    "smtp_password": (_mail_password, "Give the user another one: openssl rand -hex 32"),
}
_CONNECTIONS: dict[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "database_url": _database,
    "database_owner_url": _database,
    "temporal_address": _temporal,
    "stripe_api_base": _gateway,
    "codec_ui_origin": _ui,
    "redis_url": _redis,
    "smtp_tls": _mail,
}
_PLACES: dict[str, Callable[[Any], bool]] = {
    "api_host": _is_loopback,
    "codec_host": _is_loopback,
    "smtp_host": _is_loopback,
    "database_url": lambda url: _is_local(read_url(url)),
    "database_owner_url": lambda url: _is_local(read_url(url)),
    "temporal_address": lambda address: _is_loopback(urlsplit(f"//{address}").hostname),
    "stripe_api_base": lambda url: _is_loopback(urlsplit(url).hostname),
    "redis_url": lambda url: _is_loopback(urlsplit(url.get_secret_value()).hostname),
}
