"""One call to /v1, from the bytes of the request to the bytes of the answer."""

import asyncio
import base64
import binascii
import hmac
import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from sandbox import (
    balance,
    charges,
    customers,
    disputes,
    events,
    ledger,
    payment_intents,
    payment_methods,
    refunds,
    saved_methods,
    webhook_endpoints,
)
from sandbox.clock import Clock
from sandbox.connections import drop
from sandbox.context import API_VERSION, Context
from sandbox.errors import ApiError, Reply, error_fields, invalid, too_many
from sandbox.expansion import expand
from sandbox.faults import Fault, Faults
from sandbox.forms import Params, decode
from sandbox.idempotency import Answer, Keys
from sandbox.ids import new_id
from sandbox.rate_limit import RateLimit
from sandbox.recorder import Recorder
from sandbox.settings import Settings
from sandbox.store import Json, Store

log = logging.getLogger("sandbox")

_ROUTES = [
    *balance.ROUTES,
    *charges.ROUTES,
    *customers.ROUTES,
    *disputes.ROUTES,
    *events.ROUTES,
    *payment_intents.ROUTES,
    *payment_methods.ROUTES,
    *refunds.ROUTES,
    *saved_methods.ROUTES,
    *webhook_endpoints.ROUTES,
]
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    query: str
    form: str | None
    request_id: str
    key: str | None
    version: str


class Api:
    """Answers /v1. The work of a call is one transaction without an await in it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        faults: Faults,
        recorder: Recorder,
        after_commit: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._faults = faults
        self._recorder = recorder
        self._after_commit = after_commit
        self._keys = Keys(store, clock)
        self._rate = RateLimit(settings.rate_limit)

    async def answer(self, request: Request) -> Response:
        """Whatever happens, an answer in Stripe's form, unless a fault says to drop it."""
        body = await request.body()
        method = request.method
        call = _Call(
            method=method,
            path=request.url.path,
            query=request.url.query,
            form=body.decode("utf-8", "replace") if method == "POST" else None,
            request_id=new_id("req", 14),
            key=request.headers.get("idempotency-key") if method == "POST" else None,
            version=request.headers.get("stripe-version", API_VERSION),
        )
        claimed = False
        try:
            self._authenticate(request)
            if not self._rate.allows():
                return self._send(call, self._complete(call, too_many("rate_limit")))
            if body and not request.headers.get("content-type", "").startswith(_FORM):
                raise invalid(f"Send parameters as {_FORM}.")
            if call.key is not None:
                self._keys.claim(call.key)
                claimed = True
            return await self._work(request, call)
        except ApiError as error:
            return self._send(call, self._complete(call, _error_reply(error)))
        except Exception as error:
            return self._send(call, self._complete(call, _internal_error(error)))
        finally:
            if claimed and call.key is not None:
                self._keys.release(call.key)

    async def _work(self, request: Request, call: _Call) -> Response:
        fault = self._faults.take(call.method, call.path)
        if fault is not None and fault.mode == "before":
            self._faults.note(fault, call.method, call.path, moved=False)
            if fault.status is not None:
                return self._send(
                    call, self._complete(call, _fault_reply(fault.status, fault.code))
                )
            if await self._suffer(request, fault):
                return Response()
            fault = None
        instead = None
        if fault is not None and fault.status is not None:
            instead = self._complete(call, _fault_reply(fault.status, fault.code))
        before = ledger.length(self._store)
        answer = self._perform(call, instead)
        self._after_commit()
        if fault is not None:
            moved = ledger.length(self._store) > before
            self._faults.note(fault, call.method, call.path, moved=moved)
            if await self._suffer(request, fault):
                return Response()
        replayed_from = None if answer.request_id == call.request_id else answer.request_id
        return self._send(call, instead or answer.reply, replayed_from)

    async def _suffer(self, request: Request, fault: Fault) -> bool:
        """Hang or drop; True when nobody is left to answer."""
        if fault.action == "hang":
            await asyncio.sleep(fault.seconds)
        if fault.action == "drop":
            await drop(request)
        return fault.action == "drop"

    def _perform(self, call: _Call, instead: Reply | None) -> Answer:
        """Do the work once per key; `instead` is a 5xx to be remembered as the answer."""
        params = decode("&".join(part for part in (call.query, call.form) if part))
        fingerprint = self._keys.fingerprint(call.method, call.path, params)
        if call.key is not None:
            known = self._keys.find(call.key, fingerprint)
            if known is not None:
                return known
        try:
            with self._store.transaction():
                reply = self._run(call, params)
                answer = Answer(fingerprint, reply, call.request_id)
                if call.key is not None:
                    stored = instead if instead and instead.status >= 500 else reply
                    self._keys.keep(call.key, Answer(fingerprint, stored, call.request_id))
        except ApiError as error:
            answer = Answer(fingerprint, self._complete(call, _error_reply(error)), call.request_id)
            if call.key is not None and error.stored:
                with self._store.transaction():
                    self._keys.keep(call.key, answer)
        return answer

    def _run(self, call: _Call, params: Json) -> Reply:
        context = Context(
            store=self._store,
            clock=self._clock,
            settings=self._settings,
            request_id=call.request_id,
            idempotency_key=call.key,
            version=call.version,
        )
        for route in _ROUTES:
            match = route.pattern.fullmatch(call.path)
            if match is None or route.method != call.method:
                continue
            given = Params(params, route.allowed | {"expand"})
            reply = route.handler(context, given, *match.groups())
            if reply.status == 200:
                expand(context, reply.body, given.texts("expand") or [])
            return self._complete(call, reply)
        message = f"The sandbox has no {call.method} at this address."
        raise ApiError(404, error_fields("invalid_request_error", message))

    def _complete(self, call: _Call, reply: Reply) -> Reply:
        """An error names the request that met it."""
        if "error" not in reply.body:
            return reply
        url = f"https://dashboard.stripe.com/test/logs/{call.request_id}"
        error = {**reply.body["error"], "request_log_url": url}
        return Reply({"error": error}, reply.status, reply.headers)

    def _send(self, call: _Call, reply: Reply, replayed_from: str | None = None) -> Response:
        headers = {
            "Request-Id": call.request_id,
            "Stripe-Version": call.version,
            **reply.headers,
        }
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        if replayed_from is not None:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": replayed_from}
        path = f"{call.path}?{call.query}" if call.query else call.path
        self._recorder.write(call.method, path, call.form, reply.status, reply.body)
        return Response(
            json.dumps(reply.body),
            status_code=reply.status,
            headers=headers,
            media_type="application/json",
        )

    def _authenticate(self, request: Request) -> None:
        given = _api_key(request.headers.get("authorization", ""))
        expected = self._settings.secret_key.get_secret_value()
        if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
            message = "No valid API key was given: send it as Authorization: Bearer."
            raise ApiError(401, error_fields("invalid_request_error", message))


def _api_key(header: str) -> str | None:
    """The key of `Bearer key`, or the user name of `Basic`."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _error_reply(error: ApiError) -> Reply:
    return Reply({"error": error.fields}, error.status)


def _fault_reply(status: int, code: str | None) -> Reply:
    if status == 429:
        return too_many(code or "rate_limit")
    if status < 500:
        fields = error_fields("invalid_request_error", "The request was refused on demand.")
    else:
        fields = error_fields("api_error", "Something went wrong on demand.")
    return Reply({"error": fields}, status)


def _internal_error(error: Exception) -> Reply:
    """500 for a failure of the sandbox's own; the log gets the place, not the values."""
    place = "".join(traceback.format_tb(error.__traceback__)[-2:])
    log.error("%s\n%s", type(error).__name__, place)
    return Reply(
        {"error": error_fields("api_error", "The sandbox failed; its log says where.")}, 500
    )
