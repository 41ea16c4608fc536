"""The doors of the codec server.

It speaks Temporal's remote codec protocol (docs.temporal.io/codec-server), of which decoding is
enough: nobody starts or signals a workflow of ours by hand. A browser logs in with an API key and
has a cookie from then on; a program sends its key as `Authorization: Bearer …`. The audit trail
tells who had something decoded, without a word of it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import RedirectResponse
from fastapi.security.utils import get_authorization_scheme_param
from google.protobuf import json_format
from starlette.exceptions import HTTPException
from temporalio.api.common.v1 import Payload, Payloads

from app.api import problems
from app.api.audit import Audited
from app.api.headers import SecurityHeaders
from app.api.problems import FieldError, Kind, ProblemError
from app.api.trace import trace_of
from app.codec_server import page
from app.codec_server.reading import DECODE, ReadingByMinute
from app.codec_server.sessions import SECONDS, Sessions
from app.config import DataSettings
from app.db.api_keys import ApiKeys
from app.db.audit import AuditTrail
from app.db.engine import create_engine
from app.db.roles import require_lesser
from app.domain.api_keys import Client, NotAuthenticatedError, Scope, ScopeMissingError
from app.keyring import TamperedError, UnknownKeyError
from app.logs import configure
from app.memory import keep_out_of_dumps
from app.temporal.codec import EncryptionCodec

_MOST_LOG_IN_BYTES = 1024
# A page of histories: Temporal itself takes no payload of more than two megabytes.
_MOST_PAYLOADS_BYTES = 16 * 1024 * 1024
# What the audit trail tells of: nobody is shown anything at the others.
_DOORS = {"POST /login": Scope.OPERATOR, "POST /logout": None, DECODE: Scope.OPERATOR}
_HOW = "Log in at this server's address, or send `Authorization: Bearer <API key>`."
_log = structlog.get_logger()


class CodecServer:
    """What the doors of the codec server do."""

    def __init__(self, settings: DataSettings, api_keys: ApiKeys) -> None:
        keyring = settings.keyring()
        self._api_keys = api_keys
        self._sessions = Sessions(keyring, api_keys)
        self._codec = EncryptionCodec(keyring)
        self._ui = settings.codec_ui_origin
        # A cookie is sent to the UI's site only: where that is https, so is this.
        self._secure = self._ui.startswith("https:")
        # With that prefix browsers hold it to this one host (RFC 6265bis, 4.1.3.2).
        self._cookie = "__Host-tillflow-codec" if self._secure else "tillflow-codec"

    async def home(self, request: Request) -> Response:
        """The page: for who is logged in, and for who is not."""
        try:
            client = await self._sessions.client(request.cookies.get(self._cookie, ""))
        except (NotAuthenticatedError, ScopeMissingError):
            return page.logged_out()
        return page.logged_in(client.name, str(request.base_url).rstrip("/"), self._ui)

    async def log_in(self, request: Request) -> Response:
        """Begin a session with the API key in the form."""
        _require_own_page(request)
        form = parse_qs((await _body(request, _MOST_LOG_IN_BYTES)).decode(errors="replace"))
        [offered] = form.get("key", [""])[:1]
        try:
            client = await self._api_keys.authenticate(offered.strip(), Scope.OPERATOR)
        except (NotAuthenticatedError, ScopeMissingError) as error:
            trace_of(request).refused(error)
            return page.logged_out(f"{error}.", _status(error))
        trace_of(request).admitted(client)
        answer = RedirectResponse("./", 303)
        answer.set_cookie(
            self._cookie,
            self._sessions.begin(client),
            max_age=SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return answer

    async def log_out(self, request: Request) -> Response:
        """Have the browser forget its session."""
        _require_own_page(request)
        with suppress(NotAuthenticatedError, ScopeMissingError):
            client = await self._sessions.client(request.cookies.get(self._cookie, ""))
            trace_of(request).admitted(client)
        answer = RedirectResponse("./", 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict", secure=self._secure)
        return answer

    async def decode(self, request: Request) -> Response:
        """The payloads of the body, in clear. One that cannot be read stays as it is: its key's id
        stands beside it."""
        trace_of(request).admitted(await self._operator(request))
        asked = await _payloads(request)
        told = Payloads(payloads=[await self._readable(each) for each in asked.payloads])
        return Response(json_format.MessageToJson(told), media_type="application/json")

    async def _operator(self, request: Request) -> Client:
        """Who asks. A cookie counts only where the Temporal UI sends it."""
        scheme, offered = get_authorization_scheme_param(request.headers.get("authorization"))
        try:
            if scheme.lower() == "bearer":
                return await self._api_keys.authenticate(offered, Scope.OPERATOR)
            if request.headers.get("origin") != self._ui:
                raise NotAuthenticatedError("An API key is needed")
            return await self._sessions.client(request.cookies.get(self._cookie, ""))
        except (NotAuthenticatedError, ScopeMissingError) as error:
            trace_of(request).refused(error)
            kind = Kind.UNAUTHORIZED if _status(error) == 401 else Kind.FORBIDDEN
            raise ProblemError(kind, f"{error}. {_HOW}") from None

    async def _readable(self, payload: Payload) -> Payload:
        try:
            return (await self._codec.decode([payload]))[0]
        except (UnknownKeyError, TamperedError) as error:
            _log.warning("payload unreadable", error=str(error))
            return payload


def create_app(settings: DataSettings | None = None) -> FastAPI:
    """The codec server as `settings` say, or the environment."""
    if settings is None:
        keep_out_of_dumps()
        settings = DataSettings()
        configure(settings.log_level)
    engine = create_engine(settings.database_url.get_secret_value())
    trail = AuditTrail(engine, settings.keyring())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not settings.embedded:
            await require_lesser(engine)
        app.state.audit = ReadingByMinute(trail)
        yield
        await trail.close()
        await engine.dispose()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    problems.install(app)
    app.add_exception_handler(HTTPException, _no_door)
    app.add_middleware(Audited, doors=_DOORS)
    # The UI is at another port or name: browsers ask whether it may read our answers.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[settings.codec_ui_origin],
        allow_credentials=True,
        allow_methods=["POST"],
        allow_headers=["Content-Type", "X-Namespace"],
    )
    app.add_middleware(SecurityHeaders)
    server = CodecServer(settings, ApiKeys(engine, embedded=settings.embedded))
    app.add_api_route("/", server.home, methods=["GET"])
    app.add_api_route("/login", server.log_in, methods=["POST"])
    app.add_api_route("/logout", server.log_out, methods=["POST"])
    app.add_api_route("/decode", server.decode, methods=["POST"])
    app.add_api_route("/healthz", _healthz, methods=["GET"])
    return app


async def _no_door(_: Request, error: Exception) -> Response:
    wrong_method = isinstance(error, HTTPException) and error.status_code == 405
    kind = Kind.METHOD_NOT_ALLOWED if wrong_method else Kind.NOT_FOUND
    return problems.answer(ProblemError(kind, "GET / and POST /decode are what there is."))


async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


def _require_own_page(request: Request) -> None:
    """Raises ProblemError where the form was sent by another site's page."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise ProblemError(Kind.FORBIDDEN, "Send the form from this server's own page.")


async def _body(request: Request, most: int) -> bytes:
    """Raises ProblemError where it is longer than `most` bytes."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise ProblemError(Kind.CONTENT_TOO_LARGE, f"Send at most {most} bytes.")
    return bytes(body)


async def _payloads(request: Request) -> Payloads:
    try:
        return json_format.Parse(
            await _body(request, _MOST_PAYLOADS_BYTES), Payloads(), ignore_unknown_fields=True
        )
    except (json_format.ParseError, UnicodeDecodeError):
        # Not what is wrong with it: that would show what it is.
        raise problems.invalid(FieldError(location="body", message="no payloads")) from None


def _status(error: NotAuthenticatedError | ScopeMissingError) -> int:
    return 401 if isinstance(error, NotAuthenticatedError) else 403
