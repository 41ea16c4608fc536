"""What is known of a payment method before it is written down."""

from dataclasses import dataclass

from sandbox.store import Json


@dataclass(frozen=True)
class Draft:
    """`details` is the hash that the API shows under the type's name.

    `behaviour` is a word for what charging the method does, see cards.py and bank_accounts.py.
    `billing` is what a ready-made method brings along of its payer.
    """

    type: str
    details: Json
    behaviour: str = "ok"
    billing: Json | None = None
