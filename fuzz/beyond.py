"""What a request may be refused for although it is as its schema says: what no schema can say.

Everything else that a schema allows must be accepted.
"""

import re
from collections.abc import Mapping
from typing import Any

# Kinds of problems, and who decides.
_KINDS = {
    "payment-declined": "the bank",
    "payment-method-refused": "the gateway",
    "payment-method-not-offered": "the gateway's account, by amount and currency",
    "too-many-requests": "how many attempts came to nothing",
    "invalid-callback": "the signature, and whether there is such an order",
}
# What is told of a field, and what it depends on.
_FIELDS = {
    "this is not a valid card number": "its check digit",
    "this looks like a card number, which may stand in credit_card only": "check digits again",
    "the card has expired: ask for another one": "the day",
    "'...' is not an ISO 4217 currency code": "a list of 160, in any case of letters",
    "... has ... decimal places at most": "the currency",
    "... has more decimals than the gateway can charge": "the currency",
    "the last digit of an amount in ... must be 0": "the currency",
    "the smallest charge is ...; ... was asked": "the currency",
    "the largest charge is ...; ... was asked": "the currency",
    "the amount is out of range": "the currency",
    "the amount must be more than zero": "the figures in a string",
    "the amount must be more than 0": "the figures in a string",
    "no more than ... is held": "the payment",
    "... needs this": "the payment method",
    "... is not paid with a card number": "the payment method",
    "... cannot be saved": "the payment method",
    "... needs the shopper's approval on a page of its own": "the payment method",
    "... takes the money at once: it cannot be held until you ask": "the payment method",
    "say whose the saved payment method is": "another field",
    "off_session needs the token of a saved payment method": "another field",
    "send either payment_method_token or credit_card": "another field",
    "transaction_id goes with look_again, and not with refund_id": "another field",
    "the order was started without one: use a new order_id": "the order",
    "not all of these stand in needs_attention": "the payment",
    "this is not a cursor of ours: start again without one": "its checksum",
    "this is not an email address": "what mail servers take, which is less than the format",
    "this is nothing but dots": "a name that is no step in a path",
}
_WORDS = [
    re.compile(re.escape(told).replace(re.escape("..."), ".+"), re.DOTALL) for told in _FIELDS
]


def no_schema_says(problem: Mapping[str, Any]) -> bool:
    """Whether all that `problem` tells is of that sort."""
    if str(problem.get("type")).removeprefix("/problems/") in _KINDS:
        return True
    errors = problem.get("errors", [])
    return bool(errors) and all(
        any(words.fullmatch(error["message"]) for words in _WORDS) for error in errors
    )
