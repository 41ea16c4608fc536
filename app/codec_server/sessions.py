"""Log-ins of operators' browsers: who they are stands sealed in a cookie, and nowhere else."""

import json
import time

from app.db.api_keys import ApiKeys
from app.domain.api_keys import Client, NotAuthenticatedError, Scope
from app.keyring import Keyring, TamperedError, UnknownKeyError

SECONDS = 3600
_PURPOSE = "codec session"


class Sessions:
    """Each is good for `SECONDS`, and only as long as the API key it was begun with."""

    def __init__(self, keyring: Keyring, api_keys: ApiKeys) -> None:
        self._keyring = keyring
        self._api_keys = api_keys

    def begin(self, client: Client) -> str:
        """What the cookie holds. The API key itself is not in it."""
        until = time.time() + SECONDS
        return self._keyring.seal(json.dumps([client.key_id, until]), _PURPOSE)

    async def client(self, cookie: str) -> Client:
        """Whose session it is. Raises NotAuthenticatedError, ScopeMissingError and
        RecordsUnavailableError."""
        try:
            key_id, until = json.loads(self._keyring.unseal(cookie, _PURPOSE))
        except (UnknownKeyError, TamperedError):
            raise NotAuthenticatedError("This log-in is not known") from None
        if until <= time.time():
            raise NotAuthenticatedError("This log-in is over")
        return await self._api_keys.holder(key_id, Scope.OPERATOR)
