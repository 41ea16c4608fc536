"""Who asks: with which key, if any."""

from dataclasses import dataclass, field

from app.db.api_keys import ApiKeys
from app.domain.api_keys import Offered, Scope

GATEWAY = "the gateway"


@dataclass(frozen=True)
class Visitor:
    """Somebody at the doors. `key` is what they offer as their API key; `live`, whether it is one
    that opens anything."""

    name: str
    key: str | None = field(repr=False)
    live: bool

    def headers(self) -> dict[str, str]:
        """Those that every request of theirs has."""
        return {"Authorization": f"Bearer {self.key}"} if self.key is not None else {}


async def visitors(api_keys: ApiKeys, prefix: str) -> list[Visitor]:
    """One with every scope, who is the first; one with each; the gateway, which signs; and those
    whom no door may open to. Their keys are made for clients whose names begin with `prefix`."""

    async def key(client: str, *scopes: Scope) -> Offered:
        return await api_keys.create(f"{prefix}-{client}", frozenset(scopes), None)

    revoked = await key("revoked", *Scope)
    await api_keys.revoke(revoked.key_id)
    every = await key("every-scope", *Scope)
    each = [(scope, await key(scope.replace(":", "-"), scope)) for scope in Scope]
    return [
        Visitor("every scope", every.text(), live=True),
        *[Visitor(scope, one.text(), live=True) for scope, one in each],
        Visitor(GATEWAY, None, live=False),
        Visitor("a revoked key", revoked.text(), live=False),
        Visitor("an unknown key", Offered.new().text(), live=False),
        Visitor("no key", None, live=False),
    ]
