"""Request bodies: JSON with exact numbers (49.99 is never a float), and nothing that two readers
could understand differently."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from fastapi import HTTPException, Request, Response

from app.api.access import KeyedRoute
from app.api.problems import Kind, documented

# Ours have three levels. Whoever goes through a value should not have to go far.
MAX_DEPTH = 20


class _ExactRequest(Request):
    async def body(self) -> bytes:
        content = await super().body()
        if content and not _is_json(self.headers.get("content-type", "")):
            raise HTTPException(415)
        return content

    async def json(self) -> Any:
        if not hasattr(self, "_exact"):
            self._exact = _exact(await self.body())
        return self._exact


class _UnfitError(ValueError):
    """JSON, but not such as we take."""


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _exact(body: bytes) -> Any:
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_refuse,
            object_pairs_hook=_each_once,
        )
    except UnicodeDecodeError:
        raise _wrong("this is not UTF-8") from None
    except _UnfitError as unfit:
        raise _wrong(str(unfit)) from None
    except RecursionError:
        raise _wrong(_TOO_DEEP) from None
    except (ValueError, ArithmeticError):
        # Not JSON, or a number beyond all bounds.
        raise _wrong("this is not JSON") from None
    if _is_deeper(value, MAX_DEPTH):
        raise _wrong(_TOO_DEEP)
    if not isinstance(value, dict | None):
        # Pydantic would look for our fields among a Decimal's attributes, and find none of them: a
        # refund of `10.00` would be one of all there is.
        raise _wrong("this is not a JSON object")
    return value


_TOO_DEEP = f"this is nested in more than {MAX_DEPTH} levels"


def _refuse(name: str) -> None:
    raise _UnfitError(f"{name} is not JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        # Which one is not told: anything may stand in a name.
        raise _UnfitError("a name stands in an object twice")
    return members


def _is_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [inner for each in layer for inner in _within(each)]
    return any(isinstance(each, dict | list) for each in layer)


def _within(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()


def _wrong(message: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(message, "", 0)


class ExactRoute(KeyedRoute):
    """A keyed route whose JSON body keeps numbers as they were written."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in options["methods"]:
            refusals = documented(Kind.CONTENT_TOO_LARGE, Kind.UNSUPPORTED_MEDIA_TYPE)
            options["responses"] = {**refusals, **(options.get("responses") or {})}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exact
