"""One request to a webhook endpoint, signed as Stripe signs it."""

import asyncio
import hashlib
import hmac

import httpx

_TIMEOUT = 10.0


def client() -> httpx.AsyncClient:
    """What sends; the environment's proxies are for the outside world, endpoints are not there."""
    return httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)


def signature(secrets: list[str], body: bytes, timestamp: int) -> str:
    """The Stripe-Signature header for a body sent at `timestamp` (seconds since 1970).

    It carries one signature for each secret.
    """
    signed = b"%d." % timestamp + body
    parts = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={part}" for part in parts)])


async def post(
    sender: httpx.AsyncClient, url: str, body: bytes, signed: str | None
) -> httpx.Response | None:
    """The endpoint's answer; None when there was none in time."""
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Sandbox/1.0"}
    if signed is not None:
        headers["Stripe-Signature"] = signed
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await sender.post(url, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        return None
