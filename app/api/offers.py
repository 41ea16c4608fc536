"""Which ways to pay are offered for an amount, and what a request lacks for the one it names."""

from collections.abc import Iterable
from decimal import Decimal

from app.api.problems import FieldError, Kind, ProblemError, invalid
from app.api.schemas import InitiateRequest
from app.domain.methods import Flow, Offer
from app.domain.money import InvalidAmountError, Money, exponent
from app.domain.order import Capture, Order
from app.wiring import Parts

# The shopper's own doing: with a saved payment method it was done when that was saved.
_WITH_SHOPPER = frozenset({"mandate", "return_url"})


def money(parts: Parts, amount: Decimal, currency: str | None) -> Money:
    """The amount, in the shop's own currency where none is named. Raises problems for what cannot
    be."""
    currency = currency or parts.settings.default_currency
    try:
        exponent(currency)
    except InvalidAmountError as error:
        raise invalid(FieldError(location="currency", message=str(error))) from None
    return Money.from_decimal(amount, currency)


def find_offer(parts: Parts, name: str, amount: Money) -> Offer:
    """The way to pay of that name. Raises a problem that tells the others where there is none."""
    offers = parts.gateway.offers(amount)
    for offer in offers:
        if offer.method == name:
            return offer
    names = [offer.method.value for offer in offers]
    raise ProblemError(
        Kind.METHOD_NOT_OFFERED,
        f"Choose one that is offered for {amount}: {', '.join(names) or 'none'}. Nothing was done.",
        [FieldError(location="payment_method", message=f"this is not offered for {amount}")],
        {"offered": names},
    )


def check_fit(body: InitiateRequest, offer: Offer, order: Order) -> None:
    """Raises a problem that names all that `offer` does not go with. `order` is as first written:
    what it says holds for every attempt."""
    errors = {error.location: error for error in _misfits(body, offer, order)}
    if errors:
        raise invalid(*errors.values())


def _misfits(body: InitiateRequest, offer: Offer, order: Order) -> Iterable[FieldError]:
    def wrong(location: str, message: str) -> FieldError:
        return FieldError(location=location, message=message)

    method = offer.method
    for name in offer.requires:
        if name == "customer_email" and body.customer_email and order.customer_email is None:
            yield wrong(name, "the order was started without one: use a new order_id")
        elif not _given(body, order, name):
            yield wrong(name, f"{method} needs this")
    if body.credit_card is not None and offer.flow is not Flow.CARD:
        yield wrong("credit_card", f"{method} is not paid with a card number")
    if body.customer_id is None and (body.save_payment_method or body.off_session):
        yield wrong("customer_id", "say whose the saved payment method is")
    if body.save_payment_method and not offer.can_be_saved:
        yield wrong("save_payment_method", f"{method} cannot be saved")
    if body.off_session and body.payment_method_token is None:
        yield wrong("payment_method_token", "off_session needs the token of a saved payment method")
    if body.off_session and offer.flow is Flow.REDIRECT:
        yield wrong("off_session", f"{method} needs the shopper's approval on a page of its own")
    if order.capture is Capture.MANUAL and not offer.separate_capture:
        yield wrong("capture", f"{method} takes the money at once: it cannot be held until you ask")


def _given(body: InitiateRequest, order: Order, name: str) -> bool:
    if name == "customer_email":
        return order.customer_email is not None
    if name == "payment_method_token" and body.credit_card is not None:
        return True
    if body.off_session and name in _WITH_SHOPPER:
        return True
    return getattr(body, name) is not None
