"""Checks beside those that come with schemathesis, and what of theirs is no defect."""

import json
from collections.abc import Mapping
from typing import Any

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext
from schemathesis.openapi.checks import RejectedPositiveData

from app.api.problems import MEDIA_TYPE
from fuzz.beyond import no_schema_says

# Of the whole API, not of one operation: an address that there is not, and another method.
_ANYWHERE = {404: "not-found", 405: "method-not-allowed"}
_CALLED_FOR = {401: "www-authenticate", 405: "allow", 429: "retry-after", 503: "retry-after"}


@schemathesis.check
def problem_conformance(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """A refusal is a problem of a kind that the operation's description names under its status, and
    has the header that its status calls for (RFC 9110, 15.5.2, 15.5.6)."""
    status = response.status_code
    if status < 400:
        return
    told = problem_of(response)
    kind = str(told.get("type")).removeprefix("/problems/")
    if kind not in _kinds(case, status) and kind != _ANYWHERE.get(status):
        raise AssertionError(f"{kind} is not described as an answer with {status}")
    if told.get("status") != status or not told.get("title") or not told.get("detail"):
        raise AssertionError("a problem tells its status, a title and a detail")
    header = _CALLED_FOR.get(status)
    if header is not None and header not in response.headers:
        raise AssertionError(f"{status} calls for the header {header}")


def is_defect(_: HookContext, failure: Failure, __: Case[Any], response: Response) -> bool:
    """Whether what a check found is to be mended."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    try:
        return not no_schema_says(problem_of(response))
    except AssertionError:
        return True


def problem_of(response: Response) -> Mapping[str, Any]:
    """The problem that an answer is. Raises AssertionError where it is none."""
    if response.headers.get("content-type") != [MEDIA_TYPE]:
        raise AssertionError(f"{response.status_code} is no {MEDIA_TYPE}")
    try:
        told = json.loads(response.content)
    except ValueError:
        raise AssertionError(f"{response.status_code} is no JSON") from None
    if not isinstance(told, dict):
        raise AssertionError(f"{response.status_code} is no JSON object")
    return told


def _kinds(case: Case[Any], status: int) -> set[str]:
    described = case.operation.definition.raw["responses"].get(str(status), {})
    return set(described.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}))
