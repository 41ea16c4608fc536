"""The ways to pay an amount, for the storefront to show."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.api.access import KeyedRoute, WithParts
from app.api.offers import money
from app.api.problems import Kind, documented
from app.api.schemas import AmountText, Currency, CustomerId, MethodView
from app.api.tokens import saved_tokens
from app.domain.methods import Flow, Method, Offer

router = APIRouter(prefix="/api", tags=["payments"], route_class=KeyedRoute)

_CARDS = ["payment_method_token", "credit_card"]
_SAMPLE: dict[str, Any] = {
    "amount": "49.99",
    "currency": "eur",
    "methods": [
        {
            "payment_method": "credit_card",
            "flow": "card",
            "requires": [],
            "requires_one_of": _CARDS,
            "separate_capture": True,
            "can_be_saved": True,
        },
        {
            "payment_method": "ideal",
            "flow": "redirect",
            "requires": ["return_url"],
            "requires_one_of": [],
            "separate_capture": False,
            "can_be_saved": False,
        },
    ],
    "saved": [
        {
            "payment_method_token": "pm_1Q2w3E4r5T6y7U8i9O0p",  # no secret  # nosec B105
            "payment_method": {"type": "credit_card", "brand": "visa", "last4": "4242"},
        }
    ],
}


class OfferView(BaseModel):
    """A way to pay, and the fields of the request to pay that it needs: all of `requires`, and one
    of `requires_one_of` where that names any."""

    payment_method: Method
    flow: Flow = Field(
        description="What the shopper goes through: `card` and `wallet` may ask to authenticate, "
        "`redirect` is approved on a page of its own, `bank_debit` is certain only days later."
    )
    requires: list[str]
    requires_one_of: list[str]
    separate_capture: bool = Field(description="Whether `capture` may be `manual`.")
    can_be_saved: bool = Field(description="Whether `save_payment_method` may be true.")


class SavedMethod(BaseModel):
    """A payment method that the customer has saved."""

    payment_method_token: str
    payment_method: MethodView


class WaysToPay(BaseModel):
    """How an amount can be paid. `saved` holds what this customer can pay with at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SAMPLE]})

    amount: str
    currency: str
    methods: list[OfferView]
    saved: list[SavedMethod]


@router.get(
    "/payment-methods",
    summary="The ways to pay an amount",
    responses=documented(Kind.INVALID_REQUEST),
)
async def ways_to_pay(
    parts: WithParts,
    amount: Annotated[AmountText, Query(description="In major units.")],
    currency: Annotated[
        Currency | None, Query(description="ISO 4217; the shop's own if missing.")
    ] = None,
    customer_id: Annotated[
        CustomerId | None, Query(description="Whose saved payment methods to show.")
    ] = None,
) -> WaysToPay:
    """What is offered depends on amount, currency and the account at the gateway."""
    wanted = money(parts, amount, currency)
    offers = parts.gateway.offers(wanted)
    saved = await saved_tokens(parts, customer_id) if customer_id is not None else []
    offered = {offer.method for offer in offers}
    return WaysToPay(
        amount=f"{wanted.to_decimal():f}",
        currency=wanted.currency,
        methods=[_view(offer, raw_cards=parts.settings.accept_raw_cards) for offer in offers],
        saved=[
            SavedMethod(
                payment_method_token=token.id,
                payment_method=MethodView(
                    type=token.method.type, brand=token.method.brand, last4=token.method.last4
                ),
            )
            for token in saved
            if token.method.type in offered
        ],
    )


def _view(offer: Offer, *, raw_cards: bool) -> OfferView:
    either = _CARDS if offer.flow is Flow.CARD and raw_cards else []
    return OfferView(
        payment_method=offer.method,
        flow=offer.flow,
        requires=[name for name in offer.requires if name not in either],
        requires_one_of=either,
        separate_capture=offer.separate_capture,
        can_be_saved=offer.can_be_saved,
    )
