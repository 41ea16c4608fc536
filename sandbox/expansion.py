"""expand[]: ids in an answer replaced by the objects they name."""

from sandbox.context import Context
from sandbox.errors import invalid, shown
from sandbox.paging import Where, page_of
from sandbox.store import Json

_EXPANDABLE = {
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
    },
    "charge": {"customer": "customer", "payment_intent": "payment_intent"},
    "refund": {
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
        _expand(context, body, path.split("."), path)


def _expand(context: Context, node: Json, steps: list[str], path: str) -> None:
    name, rest = steps[0], steps[1:]
    if node.get("object") == "list" and name == "data" and rest:
        for item in node["data"]:
            _expand(context, item, rest, path)
        return
    if node.get("object") == "charge" and name == "refunds" and not rest:
        where = Where()
        where.add("charge = ?", node["id"])
        node["refunds"] = page_of(context, "refund", f"/v1/charges/{node['id']}/refunds", where)
        return
    kind = _EXPANDABLE.get(str(node.get("object")), {}).get(name)
    if kind is None:
        raise invalid(f"This cannot be expanded: {shown(path)}.", param="expand")
    value = node[name]
    if isinstance(value, str):
        value = node[name] = context.get(kind, value).body
    if rest and value is not None:
        _expand(context, value, rest, path)
