"""Which types of method a PaymentIntent takes, and whether a given method is one for it."""

from sandbox import saved_methods
from sandbox.context import Context
from sandbox.errors import ApiError, error_fields, invalid
from sandbox.forms import Params
from sandbox.method_types import TYPES
from sandbox.store import Json, Record

_FROM_THIS_VERSION = "2026-09-30"


def choose_types(context: Context, params: Params, intent: Json) -> None:
    """Note what the caller names, if anything; `offer` makes it the intent's."""
    if "payment_method_types" in params and context.version >= _FROM_THIS_VERSION:
        raise invalid(
            "From 2026-09-30.endive on, allowed_payment_method_types takes the place of "
            "payment_method_types.",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        )
    allowed = params.texts("allowed_payment_method_types")
    chosen = params.texts("payment_method_types") or allowed
    if chosen is None:
        return
    if "automatic_payment_methods" in params:
        raise invalid(
            "Choose the payment method types or automatic_payment_methods, not both.",
            param="automatic_payment_methods",
        )
    for kind in chosen:
        if kind not in TYPES:
            message = f"The sandbox knows {', '.join(TYPES)}."
            raise invalid(message, param="allowed_payment_method_types")
    intent.update(
        allowed_payment_method_types=allowed,
        automatic_payment_methods=None,
        payment_method_types=chosen,
    )


def automatic(params: Params) -> Json | None:
    """What the caller leaves to Stripe; None when they name the types."""
    if "payment_method_types" in params or "allowed_payment_method_types" in params:
        return None
    given = params.group("automatic_payment_methods", frozenset({"enabled", "allow_redirects"}))
    if given is None:
        return {"allow_redirects": "always", "enabled": True}
    enabled = given.boolean("enabled")
    if enabled is None:
        raise given.absent("enabled")
    redirects = given.choice("allow_redirects", ("always", "never")) or "always"
    return {"allow_redirects": redirects, "enabled": enabled}


def offer(intent: Json) -> None:
    """Settle the intent's types, now that its currency and its way of capture are known.

    Raises ApiError (400) for a type that the caller named and that does not take the currency.
    """
    left_to_stripe = intent["automatic_payment_methods"]
    if left_to_stripe is not None:
        intent["payment_method_types"] = _fitting(intent, left_to_stripe)
    for kind in intent["payment_method_types"]:
        if not TYPES[kind].takes(intent["currency"]):
            raise _wrong_currency(kind, intent)
    intent["payment_method_options"] = {
        kind: TYPES[kind].options for kind in intent["payment_method_types"]
    }


def check_fit(intent: Json, method: Record) -> None:
    """Raises ApiError (400) when this intent cannot be paid with this method."""
    kind = method.body["type"]
    if not TYPES[kind].takes(intent["currency"]):
        raise _wrong_currency(kind, intent)
    if intent["capture_method"] == "manual" and not TYPES[kind].captured_later:
        raise invalid(
            f"A payment by {kind} cannot be captured later: confirm it with another "
            "capture_method.",
            "payment_intent_invalid_parameter",
            "capture_method",
        )
    if kind not in intent["payment_method_types"]:
        allowed = ", ".join(intent["payment_method_types"])
        raise _refusal(
            kind,
            f"This PaymentIntent does not take {kind}, only {allowed}.",
            "payment_intent_incompatible_payment_method",
        )
    saved_methods.check_owner(intent, method)


def _fitting(intent: Json, left_to_stripe: Json) -> list[str]:
    if not left_to_stripe["enabled"]:
        return ["card"]
    return [
        kind
        for kind, known in TYPES.items()
        if known.takes(intent["currency"])
        and (known.captured_later or intent["capture_method"] != "manual")
        and (known.family != "redirect" or left_to_stripe["allow_redirects"] == "always")
    ]


def _wrong_currency(kind: str, intent: Json) -> ApiError:
    taken = ", ".join(sorted(TYPES[kind].currencies or ()))
    message = f"A payment by {kind} is made in {taken}, not in {intent['currency']}."
    return _refusal(kind, message, "payment_method_currency_mismatch")


def _refusal(kind: str, message: str, code: str) -> ApiError:
    fields = error_fields(
        "invalid_request_error", message, code, param="payment_method", payment_method_type=kind
    )
    return ApiError(400, fields)
