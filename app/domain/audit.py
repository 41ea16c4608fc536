"""The audit trail: who did what, when, from where, on which object, and how it ended.

PCI DSS v4.0.1, 10.2.2, says what an entry tells. Nothing of a card, of a secret or of a shopper
ever stands in one.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Action:
    """What somebody did, or was refused."""

    at: datetime
    who: str | None  # a client of the API, a gateway, a user of this machine; None: a stranger
    key_id: str | None  # the API key that was shown, if one can be named
    source: str  # the network address of a caller, or the machine of a command
    what: str
    object: str | None  # the order, key or article that it was about
    result: str  # the HTTP status; of a command, how it ended


@dataclass(frozen=True)
class Entry:
    """An action in its place in the trail. `mac` binds it to the seal of the one before."""

    number: int
    action: Action
    mac_key: str
    mac: bytes

    def told(self, previous: bytes) -> bytes:
        """What `mac` is the keyed hash of."""
        return canonical(self.number, self.action, self.mac_key, previous)


def canonical(number: int, action: Action, mac_key: str, previous: bytes) -> bytes:
    """One text for one entry, and no other entry with the same text: its number, every field, and
    the seal of the entry before."""
    fields = [
        number,
        action.at.astimezone(UTC).isoformat(),
        action.who,
        action.key_id,
        action.source,
        action.what,
        action.object,
        action.result,
        mac_key,
        previous.hex(),
    ]
    return json.dumps(fields).encode()
