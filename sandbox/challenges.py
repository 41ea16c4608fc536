"""Sending the payer to a page of the sandbox, which plays their bank or wallet."""

from typing import Any

from sandbox.attempts import Terms
from sandbox.context import Context
from sandbox.errors import Reply
from sandbox.events import emit
from sandbox.ids import random_text
from sandbox.store import Json


def challenge(context: Context, intent: Json, terms: Terms) -> Reply:
    """Wait for the payer; without a return_url it is left to Stripe's own script to send them."""
    secret = random_text(32)
    page = f"{context.settings.base_url}/challenge/{intent['id']}/{secret}"
    action: dict[str, Any]
    if terms.return_url is not None:
        action = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": terms.return_url, "url": page},
        }
    else:
        action = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page},
        }
    intent.update(status="requires_action", next_action=action)
    context.store.save(intent, {"challenge": secret, "return_url": terms.return_url})
    emit(context, "payment_intent.requires_action", intent)
    return Reply(intent)
