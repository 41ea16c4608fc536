"""The payer: answers the sandbox's page, and gives a mandate for debits."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import stripe

from tests.sandbox.program import RETURN_URL, Sandbox

MANDATE = {
    "customer_acceptance": {
        "type": "online",
        "online": {"ip_address": "203.0.113.7", "user_agent": "Browser/1.0"},
    }
}


async def answer(sandbox: Sandbox, intent: stripe.PaymentIntent, outcome: str) -> httpx.Response:
    """Press a button on the page that the payment sends its payer to."""
    action: Any = intent.next_action
    return await sandbox.http.post(action.redirect_to_url.url, data={"outcome": outcome})


def way_back(answered: httpx.Response, intent: stripe.PaymentIntent) -> str:
    """The redirect_status of the way back to the shop."""
    assert answered.status_code == 303
    assert answered.headers["location"].startswith(RETURN_URL + "?")
    query = parse_qs(urlsplit(answered.headers["location"]).query)
    assert query["payment_intent"] == [intent.id]
    return query["redirect_status"][0]
