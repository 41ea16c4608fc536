"""Who the shopper is, sealed: each value is encrypted for its column and its order, so that it can
be read in no other place.
"""

import json
from dataclasses import asdict
from typing import TypedDict

import structlog

from app.db.tables import OrderRow
from app.domain.order import Mandate
from app.domain.records import RecordsUnavailableError
from app.keyring import Keyring, TamperedError, UnknownKeyError

_log = structlog.get_logger()


class Sealed(TypedDict):
    """The sealed columns of an order."""

    sealed_email: str | None
    sealed_mandate: str | None


class PersonalData:
    """Seals and opens what orders tell of shoppers."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def sealed(self, order_id: str, email: str | None, mandate: Mandate | None) -> Sealed:
        """The order's columns, by the newest key."""
        told = json.dumps(asdict(mandate)) if mandate is not None else None
        return {
            "sealed_email": self._seal(email, "sealed_email", order_id),
            "sealed_mandate": self._seal(told, "sealed_mandate", order_id),
        }

    def put(self, row: OrderRow, email: str | None, mandate: Mandate | None) -> None:
        """Have the order's row hold these, and nothing in clear."""
        columns = self.sealed(row.order_id, email, mandate)
        row.sealed_email, row.sealed_mandate = columns["sealed_email"], columns["sealed_mandate"]
        row.customer_email, row.mandate = None, None

    def open(self, row: OrderRow) -> tuple[str | None, Mandate | None]:
        """The order's e-mail address and mandate, those among them that there are. Raises
        RecordsUnavailableError where this process has not the key, or a value was altered."""
        try:
            email = self._open(row.sealed_email, "sealed_email", row.order_id)
            mandate = self._open(row.sealed_mandate, "sealed_mandate", row.order_id)
        except (UnknownKeyError, TamperedError) as error:
            _log.error("personal data unreadable", order_id=row.order_id, error=str(error))
            raise RecordsUnavailableError(f"order {row.order_id}: {error}") from error
        # From before there were sealed columns.
        kept = json.loads(mandate) if mandate is not None else row.mandate
        return email or row.customer_email, Mandate(**kept) if kept is not None else None

    def _seal(self, plain: str | None, column: str, order_id: str) -> str | None:
        if plain is None:
            return None
        return self._keyring.seal(plain, f"{column}:{order_id}")

    def _open(self, sealed: str | None, column: str, order_id: str) -> str | None:
        if sealed is None:
            return None
        return self._keyring.unseal(sealed, f"{column}:{order_id}")
