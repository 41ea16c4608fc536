"""Who may read what Temporal keeps, and who may not. What the UI's browser does with it is in
`tests/walk/test_codec_server.py`."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from google.protobuf import json_format
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import Payload, Payloads

from app.codec_server.main import create_app
from app.db.api_keys import ApiKeys
from app.domain.api_keys import DEVELOPMENT_API_KEY, Scope
from app.keyring import Keyring
from app.temporal.codec import KEY_ID, EncryptionCodec
from tests.conftest import KEYRING, settings_with

UI = "https://temporal.example.com"
COOKIE = "__Host-tillflow-codec"
SECRET = "49.99 usd for order-1"
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=SECRET.encode())


@dataclass
class Codec:
    """A browser, or a program, at a codec server."""

    http: httpx.AsyncClient

    async def decode(self, *payloads: Payload, **headers: str) -> httpx.Response:
        """As the Temporal UI asks."""
        return await self.http.post(
            "/decode?preserveStorageRefs=true",
            content=json_format.MessageToJson(Payloads(payloads=payloads)),
            headers={"Content-Type": "application/json", "X-Namespace": "default", **headers},
        )

    async def log_in(self, key: str, **headers: str) -> httpx.Response:
        return await self.http.post("/login", data={"key": key}, headers=headers)


@pytest.fixture
async def codec(database_url: str) -> AsyncIterator[Codec]:
    app = create_app(settings_with(database_url=database_url, codec_ui_origin=UI))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="https://codec.example.com"
        ) as client,
    ):
        yield Codec(client)


async def encrypted(keyring: Keyring = KEYRING) -> Payload:
    [payload] = await EncryptionCodec(keyring).encode([CLEAR])
    return payload


def told(answer: httpx.Response) -> list[Payload]:
    return list(json_format.Parse(answer.content, Payloads()).payloads)


async def key_of(engine: AsyncEngine, client: str, *scopes: Scope) -> str:
    new = await ApiKeys(engine, embedded=False).create(client, frozenset(scopes), None)
    return new.text()


async def test_an_operators_program_reads_and_leaves_what_it_cannot(
    codec: Codec, engine: AsyncEngine
) -> None:
    key = await key_of(engine, "back-office", Scope.OPERATOR)
    altered, foreign = await encrypted(), await encrypted()
    altered.data = altered.data[:-1] + bytes([altered.data[-1] ^ 1])
    foreign.metadata[KEY_ID] = b"of-another-shop"
    answer = await codec.decode(
        await encrypted(), CLEAR, altered, foreign, Authorization=f"Bearer {key}"
    )
    assert answer.status_code == 200, answer.text
    assert told(answer) == [CLEAR, CLEAR, altered, foreign]


async def test_an_operators_browser_reads_once_it_is_logged_in(
    codec: Codec, engine: AsyncEngine
) -> None:
    assert (await codec.decode(await encrypted(), Origin=UI)).status_code == 401
    # Or the browser would send the form with `Origin: null`.
    assert (await codec.http.get("/")).headers["Referrer-Policy"] == "same-origin"
    key = await key_of(engine, "back-office", Scope.OPERATOR)
    logged_in = await codec.log_in(key, Origin="https://codec.example.com")
    assert (logged_in.status_code, logged_in.headers["Location"]) == (303, "./")
    cookie = logged_in.headers["Set-Cookie"]
    named, *attributes = cookie.split("; ")
    assert named.startswith(f"{COOKIE}=")
    assert set(attributes) == {"HttpOnly", "Secure", "SameSite=strict", "Max-Age=3600", "Path=/"}
    assert key.partition(".")[2] not in cookie
    assert "Logged in as back-office" in (await codec.http.get("/")).text

    answer = await codec.decode(await encrypted(), Origin=UI)
    assert told(answer) == [CLEAR]
    assert answer.headers["Access-Control-Allow-Origin"] == UI
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"

    await codec.http.post("/logout")
    assert (await codec.decode(await encrypted(), Origin=UI)).status_code == 401
    assert "API key with the scope operator" in (await codec.http.get("/")).text


async def test_a_log_in_ends_with_its_key(codec: Codec, engine: AsyncEngine) -> None:
    key = await key_of(engine, "back-office", Scope.OPERATOR)
    await codec.log_in(key)
    assert told(await codec.decode(await encrypted(), Origin=UI)) == [CLEAR]
    await ApiKeys(engine, embedded=False).revoke(key.removeprefix("tillflow_").partition(".")[0])
    refused = await codec.decode(await encrypted(), Origin=UI)
    assert refused.status_code == 401
    assert "revoked" in refused.json()["detail"]


def _until(seconds: float) -> str:
    """A session of the development key that is good for so long."""
    return KEYRING.seal(json.dumps(["development", time.time() + seconds]), "codec session")


def _altered(session: str) -> str:
    return session[:-3] + ("AA=" if session[-3:] != "AA=" else "BB=")


@pytest.mark.parametrize(
    ("cookie", "status"),
    [
        pytest.param(lambda: _until(60), 200, id="good"),
        pytest.param(lambda: _until(-1), 401, id="over"),
        pytest.param(lambda: _altered(_until(60)), 401, id="altered"),
        pytest.param(lambda: "codec:é", 401, id="no text"),
        pytest.param(lambda: KEYRING.seal('["development", 9e9]', "mail"), 401, id="not a session"),
        pytest.param(lambda: DEVELOPMENT_API_KEY, 401, id="the key itself"),
    ],
)
async def test_only_a_session_of_ours_counts(
    codec: Codec, cookie: Callable[[], str], status: int
) -> None:
    sent = {b"Origin": UI.encode(), b"Cookie": f"{COOKIE}={cookie()}".encode()}
    answer = await codec.http.post("/decode", json={}, headers=sent)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{UI}.evil.com", "null", None])
async def test_a_cookie_counts_from_the_temporal_ui_only(codec: Codec, origin: str | None) -> None:
    await codec.log_in(DEVELOPMENT_API_KEY)
    headers = {"Origin": origin} if origin is not None else {}
    answer = await codec.decode(await encrypted(), **headers)
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://evil.example.com"}
    assert (await codec.http.options("/decode", headers=asked)).status_code == 400


async def test_there_is_no_other_door(codec: Codec) -> None:
    for method, path, status in (("POST", "/encode", 404), ("GET", "/decode", 405)):
        answer = await codec.http.request(method, path)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_temporal_ui_may_ask(codec: Codec) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-namespace",
        "Origin": UI,
    }
    answer = await codec.http.options("/decode", headers=asked)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, UI)


async def test_what_is_no_operators_key_reads_nothing(codec: Codec, engine: AsyncEngine) -> None:
    others = await key_of(engine, "shop", *set(Scope) - {Scope.OPERATOR})
    for key, status in ((others, 403), (others[:-1] + "~", 401), ("", 401)):
        refused = await codec.log_in(key)
        assert (refused.status_code, refused.headers.get("Set-Cookie")) == (status, None)
        answer = await codec.decode(await encrypted(), Authorization=f"Bearer {key}")
        assert answer.status_code == status
        assert answer.json()["type"] in ("/problems/unauthorized", "/problems/forbidden")


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://[", UI])
async def test_no_other_site_logs_anybody_in_or_out(codec: Codec, origin: str) -> None:
    refused = await codec.log_in(DEVELOPMENT_API_KEY, Origin=origin)
    assert (refused.status_code, refused.headers.get("Set-Cookie")) == (403, None)
    out = await codec.http.post("/logout", headers={"Origin": origin})
    assert (out.status_code, out.headers.get("Set-Cookie")) == (403, None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"not JSON", id="not JSON"),
        pytest.param(b'{"payloads": "49.99"}', id="no payloads"),
        pytest.param(b'{"payloads": [{"data": 4999}]}', id="no data"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"payloads": "\xff"}', id="not text"),
    ],
)
async def test_what_are_no_payloads_is_refused(codec: Codec, body: bytes) -> None:
    bearer = {"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"}
    answer = await codec.http.post("/decode", content=body, headers=bearer)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["location"] == "body"


async def test_what_is_too_long_is_refused(codec: Codec) -> None:
    assert (await codec.log_in("x" * 2000)).status_code == 413
    body = b" " * (16 * 1024 * 1024 + 1)
    bearer = {"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"}
    assert (await codec.http.post("/decode", content=body, headers=bearer)).status_code == 413
    assert (await codec.http.post("/decode", content=body)).status_code == 401


async def told_of(engine: AsyncEngine) -> list[tuple[str | None, ...]]:
    """What stands in the audit trail."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT who, key_id, source, what, result FROM audit ORDER BY number")
        )
        return [tuple(row) for row in rows]


async def test_who_reads_stands_in_the_audit_trail_and_not_what(
    codec: Codec, engine: AsyncEngine
) -> None:
    key = await key_of(engine, "back-office", Scope.OPERATOR)
    key_id = key.removeprefix("tillflow_").partition(".")[0]
    await codec.decode(await encrypted())
    await codec.log_in(key[:-1] + "~")
    await codec.log_in(key, Origin="https://evil.example.com")
    await codec.log_in(key)
    await codec.decode(await encrypted(), Origin=UI)
    await codec.http.post("/logout")
    us, stranger = ("back-office", key_id, "127.0.0.1"), (None, None, "127.0.0.1")
    expected = [
        (*stranger, "POST /decode", "401"),
        (*stranger, "POST /login", "401"),
        (*stranger, "POST /login", "403"),
        (*us, "POST /login", "303"),
        (*us, "POST /decode", "200"),
        (*us, "POST /logout", "303"),
    ]
    assert await told_of(engine) == expected
    async with engine.connect() as connection:
        everything = await connection.scalar(text("SELECT string_agg(audit::text, '') FROM audit"))
    assert SECRET not in everything
    assert key.partition(".")[2] not in everything


async def test_who_reads_a_whole_page_is_one_row_a_minute(
    codec: Codec, engine: AsyncEngine
) -> None:
    payload = await encrypted()
    for bearer in (f"Bearer {DEVELOPMENT_API_KEY}", "Bearer nonsense"):
        await asyncio.gather(*(codec.decode(payload, Authorization=bearer) for _ in range(50)))
    other = await key_of(engine, "back-office", Scope.OPERATOR)
    await codec.decode(payload, Authorization=f"Bearer {other}")
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT who, count(*) = count(DISTINCT date_trunc('minute', at)) FROM audit"
                " GROUP BY who, result"
            )
        )
        assert dict(rows.all()) == {
            "development": True,
            None: True,
            "back-office": True,
        }


async def test_nothing_is_shown_that_the_trail_cannot_tell_of(
    codec: Codec, engine: AsyncEngine
) -> None:
    bearer = {"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"}
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit_end RENAME TO audit_end_away"))
    answer = await codec.decode(await encrypted(), Origin=UI, **bearer)
    assert (answer.status_code, SECRET in answer.text) == (503, False)
    assert answer.headers["Access-Control-Allow-Origin"] == UI
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    logged_in = await codec.log_in(DEVELOPMENT_API_KEY)
    assert (logged_in.status_code, logged_in.headers.get("Set-Cookie")) == (503, None)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit_end_away RENAME TO audit_end"))
    assert told(await codec.decode(await encrypted(), **bearer)) == [CLEAR]


async def test_a_log_in_is_good_for_an_hour(codec: Codec) -> None:
    began = time.time()
    session = (await codec.log_in(DEVELOPMENT_API_KEY)).cookies[COOKIE].strip('"')
    _, until = json.loads(KEYRING.unseal(session, "codec session"))
    assert began + 3600 <= until <= time.time() + 3600


def _sealed(key_id: bytes, data: bytes, **more: bytes) -> dict[str, Any]:
    """A payload that says of itself that it is encrypted."""
    metadata = {"encoding": b"binary/encrypted", KEY_ID: key_id, **more}
    written = {name: b64encode(value).decode() for name, value in metadata.items()}
    return {"metadata": written, "data": b64encode(data).decode()}


OURS = KEYRING.newest.encode()
NUL, NO_TEXT = "\x00", "\ud800"
HOSTILE: dict[str, tuple[str, str, Any]] = {
    "nothing encrypted": ("POST", "/decode", {"payloads": [_sealed(OURS, b"")]}),
    "less than a nonce": ("POST", "/decode", {"payloads": [_sealed(OURS, b"short")]}),
    "noise": ("POST", "/decode", {"payloads": [_sealed(OURS, bytes(range(256)))]}),
    "a key's id that is no text": ("POST", "/decode", {"payloads": [_sealed(b"\xff\xfe", b"x")]}),
    "a key's id without end": ("POST", "/decode", {"payloads": [_sealed(b"k" * 100_000, b"x")]}),
    "no key's id": (
        "POST",
        "/decode",
        {"payloads": [{"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}, "data": "eA=="}]},
    ),
    "an encoding that is no text": (
        "POST",
        "/decode",
        {"payloads": [{"metadata": {"encoding": "//79"}, "data": "eA=="}]},
    ),
    "half a character": ("POST", "/decode", {"payloads": [{"metadata": {NO_TEXT: "eA=="}}]}),
    "what is no base64": ("POST", "/decode", {"payloads": [{"data": "!"}]}),
    "null": ("POST", "/decode", None),
    "a null payload": ("POST", "/decode", {"payloads": [None]}),
    "ten thousand payloads": ("POST", "/decode", {"payloads": [{}] * 10_000}),
    "a form with NUL": ("POST", "/login", f"key=tillflow_{NUL}.{NUL}"),
    "a form with no text": ("POST", "/login", "key=%ff%fe&key=%00"),
    "a form without a key": ("POST", "/login", "&&;=%"),
    "SQL": ("POST", "/login", "key=tillflow_%27%20OR%20%271%27=%271.x"),
    "another method": ("DELETE", "/decode", None),
    "a path outside": ("GET", "/../../etc/passwd%00", None),
}


async def test_nothing_hostile_breaks_it_or_is_changed_by_it(codec: Codec) -> None:
    # The worst of it comes with an operator's key; the rest with none that could be one.
    for key in (DEVELOPMENT_API_KEY.encode(), b"\xff\x00"):
        for what, (method, path, body) in HOSTILE.items():
            content = body if isinstance(body, str) else json.dumps(body)
            headers = {b"Authorization": b"Bearer " + key}
            answer = await codec.http.request(method, path, content=content, headers=headers)
            assert answer.status_code < 500, (what, answer.text)
            assert "Set-Cookie" not in answer.headers, what
            if answer.status_code == 200:
                assert told(answer) == list(json_format.ParseDict(body, Payloads()).payloads), what
