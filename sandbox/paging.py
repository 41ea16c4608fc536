"""Lists, newest first: limit, starting_after, ending_before, created[…]."""

import json
from typing import Any

from sandbox.context import Context
from sandbox.errors import invalid, missing
from sandbox.forms import Params
from sandbox.store import Json

LIST_PARAMS = frozenset({"limit", "starting_after", "ending_before", "created"})
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Where:
    """Conditions that all hold, with their values."""

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.values: list[Any] = []

    def add(self, clause: str, *values: Any) -> None:
        """`clause` is written in the code, never taken from a caller."""
        self.clauses.append(f"({clause})")
        self.values.extend(values)


def page(context: Context, params: Params, kind: str, url: str, where: Where) -> Json:
    """Stripe's list object. Raises ApiError (400) for a limit or cursor that is wrong."""
    limit = params.integer("limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise invalid("limit must be from 1 to 100.", "parameter_invalid_integer", "limit")
    _created(params, where)
    after, before = params.text("starting_after"), params.text("ending_before")
    if after is not None and before is not None:
        raise invalid("Give starting_after or ending_before, not both.", param="ending_before")
    if after is not None:
        where.add("seq < ?", _position(context, kind, after, "starting_after"))
    if before is not None:
        where.add("seq > ?", _position(context, kind, before, "ending_before"))
    return page_of(context, kind, url, where, limit, reverse=before is not None)


def page_of(
    context: Context, kind: str, url: str, where: Where, limit: int = 10, *, reverse: bool = False
) -> Json:
    """The newest that fit `where`, or with `reverse` the oldest, newest first either way."""
    where.add("kind = ?", kind)
    order = "ASC" if reverse else "DESC"
    # Clauses and order are written in this code; what callers wrote is only ever a value.
    query = f"SELECT body FROM objects WHERE {' AND '.join(where.clauses)} ORDER BY seq {order}"  # noqa: S608 - see above  # nosec B608
    rows = context.store.db.execute(f"{query} LIMIT ?", (*where.values, limit + 1)).fetchall()
    data = [json.loads(body) for (body,) in rows[:limit]]
    if reverse:
        data.reverse()
    return {"object": "list", "data": data, "has_more": len(rows) > limit, "url": url}


def _position(context: Context, kind: str, object_id: str, param: str) -> int:
    row = context.store.db.execute(
        "SELECT seq FROM objects WHERE id = ? AND kind = ?", (object_id, kind)
    ).fetchone()
    if row is None:
        raise missing(kind, object_id, param)
    return int(row[0])


def _created(params: Params, where: Where) -> None:
    if params.is_group("created"):
        bounds = params.group("created", frozenset(_COMPARISONS))
        for name, comparison in _COMPARISONS.items():
            bound = None if bounds is None else bounds.integer(name)
            if bound is not None:
                where.add(f"created {comparison} ?", bound)
    elif (moment := params.integer("created")) is not None:
        where.add("created = ?", moment)
