"""expand[]: ids in an answer replaced by the objects they name."""

from sandbox.context import Context
from sandbox.errors import invalid, shown
from sandbox.paging import Where, page_of
from sandbox.store import Json

_DEEPEST = 4
_EXPANDABLE = {
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
    },
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "payment_method": "payment_method",
    },
    "payment_method": {"customer": "customer"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
}


def expand(context: Context, body: Json, wanted: list[str]) -> None:
    """Expand paths such as `latest_charge` or `data.customer` in place; ApiError (400) if wrong."""
    for path in wanted:
        steps = path.split(".")
        if len(steps) > _DEEPEST:
            raise _wrong(path)
        kind, nodes = str(body.get("object")), [body]
        if kind == "list" and steps[0] == "data" and len(steps) > 1:
            # By its address, because an empty list too says no to what its kind lacks.
            kind, nodes = body["url"].rpartition("/")[2].removesuffix("s"), body["data"]
            steps = steps[1:]
        _expand(context, kind, nodes, steps, path)


def _expand(context: Context, kind: str, nodes: list[Json], steps: list[str], path: str) -> None:
    name, rest = steps[0], steps[1:]
    if kind == "charge" and name == "refunds" and not rest:
        for node in nodes:
            node["refunds"] = _refunds(context, node["id"])
        return
    if kind == "balance_transaction" and name == "source" and not rest:
        for node in nodes:
            node["source"] = _source(context, node["source"])
        return
    inner = _EXPANDABLE.get(kind, {}).get(name)
    if inner is None:
        raise _wrong(path)
    for node in nodes:
        if isinstance(node[name], str):
            node[name] = context.get(inner, node[name]).body
    if rest:
        _expand(context, inner, [node[name] for node in nodes if node[name]], rest, path)


def _refunds(context: Context, charge_id: str) -> Json:
    where = Where()
    where.add("charge = ?", charge_id)
    return page_of(context, "refund", f"/v1/charges/{charge_id}/refunds", where)


def _source(context: Context, source_id: str) -> Json | str:
    """The charge, refund or dispute; a payout is known by its name only."""
    kind = context.store.kind(source_id)
    return context.get(kind, source_id).body if kind is not None else source_id


def _wrong(path: str) -> Exception:
    return invalid(f"This cannot be expanded: {shown(path)}.", param="expand")
