"""What stands in the audit trails of the tests."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.domain.audit import Action
from app.keyring import Keyring

OLD_KEY = f"2026-01:{b64encode(b'an old key of the tests: 32 byte').decode()}"
NEW_KEY = f"2026-11:{b64encode(b'a newer key of the tests: 32 byt').decode()}"
KEYRING = Keyring.parse(OLD_KEY)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACTION = Action(
    NOON, "shop", "abcdefghijkl", "192.0.2.7", "POST /api/payment/initiate", "order-1", "200"
)


def actions(count: int) -> list[Action]:
    """Different ones; of some of them not everything is known."""
    stranger = replace(ACTION, who=None, key_id=None, result="401")
    return [
        replace(
            stranger if number % 7 == 0 else ACTION,
            at=NOON + timedelta(seconds=number, microseconds=number * 1001),
            object=f"order-{number}" if number % 5 else None,
        )
        for number in range(count)
    ]
