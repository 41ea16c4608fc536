"""Webhook endpoints: where events are sent, and the secret that signs them."""

import re
from urllib.parse import urlsplit

from sandbox.context import Context
from sandbox.errors import Reply, invalid
from sandbox.forms import Params
from sandbox.ids import new_id
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.signing_secrets import new_secret
from sandbox.store import Json

_URL = "/v1/webhook_endpoints"
_EVENT_NAME = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)+")
_UPDATE = frozenset({"url", "enabled_events", "description", "metadata", "disabled"})
_CREATE = frozenset({"url", "enabled_events", "description", "metadata", "api_version"})


def register_from_settings(context: Context) -> None:
    """Make the endpoint named in the settings exist, with its secret, for every event."""
    settings = context.settings
    if settings.webhook_url is None or settings.webhook_secret is None:
        return
    private = {"secret": settings.webhook_secret.get_secret_value(), "from_settings": True}
    for endpoint in context.store.all("webhook_endpoint"):
        if endpoint.private.get("from_settings"):
            context.store.save({**endpoint.body, "url": settings.webhook_url}, private)
            return
    endpoint_body = _endpoint(context, settings.webhook_url, ["*"])
    context.store.insert("webhook_endpoint", endpoint_body, private)


def _endpoint(context: Context, url: str, enabled_events: list[str]) -> Json:
    return {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": context.now,
        "description": None,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def _create(context: Context, params: Params) -> Reply:
    url, enabled_events = _read_url(params), _read_events(params)
    if url is None:
        raise params.absent("url")
    if enabled_events is None:
        raise params.absent("enabled_events")
    endpoint = _endpoint(context, url, enabled_events)
    endpoint["api_version"] = params.text("api_version")
    endpoint["description"] = params.text("description")
    endpoint["metadata"] = params.metadata({})
    secret = new_secret()
    context.store.insert("webhook_endpoint", endpoint, {"secret": secret})
    return Reply({**endpoint, "secret": secret})


def _update(context: Context, params: Params, endpoint_id: str) -> Reply:
    endpoint = context.get("webhook_endpoint", endpoint_id).body
    endpoint["url"] = _read_url(params) or endpoint["url"]
    endpoint["enabled_events"] = _read_events(params) or endpoint["enabled_events"]
    if "description" in params:
        endpoint["description"] = params.text("description")
    endpoint["metadata"] = params.metadata(endpoint["metadata"])
    disabled = params.boolean("disabled")
    if disabled is not None:
        endpoint["status"] = "disabled" if disabled else "enabled"
    context.store.save(endpoint)
    return Reply(endpoint)


def _retrieve(context: Context, params: Params, endpoint_id: str) -> Reply:
    return Reply(context.get("webhook_endpoint", endpoint_id).body)


def _list(context: Context, params: Params) -> Reply:
    return Reply(page(context, params, "webhook_endpoint", _URL, Where()))


def _delete(context: Context, params: Params, endpoint_id: str) -> Reply:
    context.get("webhook_endpoint", endpoint_id)
    context.store.delete(endpoint_id)
    return Reply({"id": endpoint_id, "object": "webhook_endpoint", "deleted": True})


def _read_url(params: Params) -> str | None:
    url = params.text("url")
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or " " in url):
        raise invalid("url must be an http or https address.", "url_invalid", "url")
    return url


def _read_events(params: Params) -> list[str] | None:
    names = params.texts("enabled_events")
    if names is not None and not all(_EVENT_NAME.fullmatch(name) for name in names):
        raise invalid("enabled_events holds event types or '*'.", param="enabled_events")
    return names


ROUTES = [
    Route("POST", _URL, _create, _CREATE),
    Route("GET", _URL, _list, LIST_PARAMS - {"created"}),
    Route("GET", _URL + "/{id}", _retrieve),
    Route("POST", _URL + "/{id}", _update, _UPDATE),
    Route("DELETE", _URL + "/{id}", _delete),
]
