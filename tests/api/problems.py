"""How the tests read a problem."""

import httpx

from tests.walk.running import Json


def problem(answer: httpx.Response, status: int, name: str) -> Json:
    """The problem that `answer` is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: Json = answer.json()
    assert told["type"] == f"/problems/{name}"
    assert told["status"] == status
    assert told["detail"]
    return told


def places(answer: httpx.Response) -> list[str]:
    """What an invalid request is told to correct."""
    return sorted(error["location"] for error in problem(answer, 400, "invalid-request")["errors"])


def wrong_at(answer: httpx.Response, location: str) -> str:
    """The message of the one thing that an invalid request is told to correct."""
    [error] = problem(answer, 400, "invalid-request")["errors"]
    assert error["location"] == location
    message: str = error["message"]
    return message
