"""An endpoint's signing secrets: one, and for a while after it was replaced the one before."""

from sandbox.context import Context
from sandbox.ids import new_id
from sandbox.store import Json


def new_secret() -> str:
    return new_id("whsec", 32)


def live_secrets(endpoint: Json, now: int) -> list[str]:
    """What is signed with now; `endpoint` is what only the sandbox knows of it."""
    secrets = [str(endpoint["secret"])]
    if endpoint.get("former_until", 0) > now:
        secrets.append(endpoint["former_secret"])
    return secrets


def renew_secret(context: Context, endpoint_id: str, seconds: int) -> str:
    """A new secret; the one before lives `seconds` longer. Raises ApiError (404)."""
    endpoint = context.get("webhook_endpoint", endpoint_id)
    known = endpoint.private
    secret = new_secret()
    former = {"former_secret": known["secret"], "former_until": context.now + seconds}
    context.store.save(endpoint.body, {**known, "secret": secret, **former})
    return secret
