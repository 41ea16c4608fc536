"""Stripe: one PaymentIntent an order, captured by us where the way to pay allows it.

A PaymentIntent can be confirmed successfully once, so an order cannot be charged twice by it.
Sources: Stripe's API reference and OpenAPI description, version 2026-08-26.dahlia.
"""

import logging
import os
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import stripe
from stripe import RequestOptions

from app.domain.gateway import (
    AuthorizeRequest,
    Card,
    GatewayDispute,
    GatewayEvent,
    GatewayMovement,
    GatewayPayment,
    GatewayRefund,
    Page,
    Period,
    RefusedError,
    Token,
    UnreadableError,
)
from app.domain.methods import Method, Offer
from app.domain.money import InvalidAmountError, Money
from app.gateways import stripe_lists, stripe_methods, stripe_money
from app.gateways.stripe_callbacks import translated, verified_event
from app.gateways.stripe_calls import answer, every, payment_intent
from app.gateways.stripe_read import read_dispute, read_payment, read_refund, read_token
from app.gateways.stripe_requests import EXPAND, confirmation, creation
from app.gateways.stripe_values import NOT_AS_DOCUMENTED

API_VERSION = "2026-08-26.dahlia"
_CLOCK_SKEW = timedelta(minutes=5)
_LIVE_KEYS = ("sk_live_", "rk_live_")
_CAN_BE_KEPT = frozenset(
    way.stripe_type for way in stripe_methods.WAYS.values() if way.can_be_saved
)


class StripeGateway:
    """The `Gateway` port on Stripe's API. It offers those of `methods` that suit an amount.

    Each of `webhook_secrets` may have signed a callback. `api_key` decides the mode, live or test.
    `authority`: the file of the certificate authority that it trusts in place of the public ones.
    """

    name = "stripe"

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str,
        webhook_secrets: Sequence[str],
        timeout_seconds: float,
        methods: Collection[Method] = tuple(Method),
        authority: str | None = None,
    ) -> None:
        _keep_cards_out_of_the_log()
        if authority is not None:
            stripe.ca_bundle_path = authority  # the SDK takes it from there, and nowhere else
        self._webhook_secrets = webhook_secrets
        self._live = api_key.startswith(_LIVE_KEYS)
        self._methods = frozenset(methods)
        self._http = stripe.HTTPXClient(timeout=timeout_seconds)
        self._api = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base},
            http_client=self._http,
            max_network_retries=0,  # Temporal retries, with the same key
        ).v1

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def check_amount(self, amount: Money) -> None:
        stripe_money.check(amount)

    def check_part(self, amount: Money) -> None:
        stripe_money.check_part(amount)

    def offers(self, amount: Money) -> list[Offer]:
        self.check_amount(amount)
        return stripe_methods.offers(amount, self._methods)

    async def create_token(self, card: Card) -> Token:
        details: Any = {
            "number": card.number,
            "exp_month": card.expiry_month,
            "exp_year": card.expiry_year,
        }
        if card.security_code is not None:
            details["cvc"] = card.security_code
        created = await answer(
            self._api.payment_methods.create_async(
                params={"type": "card", "card": details},
                # No money moves, and a key derived from a card would be a hash of it.
                options={"idempotency_key": str(uuid4())},
            )
        )
        return read_token(created)

    async def read_token(self, token: str) -> Token:
        return read_token(await answer(self._api.payment_methods.retrieve_async(token)))

    async def create_customer(self, customer_id: str, key: str) -> str:
        created = await answer(
            self._api.customers.create_async(
                params={"metadata": {"customer_id": customer_id}},
                options={"idempotency_key": key},
            )
        )
        return str(created["id"])

    async def saved_methods(self, customer: str) -> list[Token]:
        kept = self._api.customers.payment_methods
        return [
            read_token(method)
            async for method in every(lambda params: kept.list_async(customer, params))
            if method["type"] in _CAN_BE_KEPT
        ]

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        seen = await self._try(request, key)
        declined = seen.decline.code if seen.decline is not None else None
        if request.off_session and declined == "authentication_required":
            # The bank wants to see the shopper: not the end, the next thing for them to do.
            present = replace(request, off_session=False, transaction_id=seen.transaction_id)
            seen = await self._try(present, f"{key}:on-session")
        return seen

    async def _try(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        intents, options = self._api.payment_intents, RequestOptions(idempotency_key=key)
        if request.transaction_id is None:
            return await _payment(intents.create_async(creation(request), options))
        params = confirmation(request)
        return await _payment(intents.confirm_async(request.transaction_id, params, options))

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        intents = self._api.payment_intents
        if transaction_id is not None:
            with _understood():
                return await _payment(intents.retrieve_async(transaction_id, {"expand": EXPAND}))
        # The list is consistent at once; Stripe's search is not.
        listed = every(
            lambda params: intents.list_async(params),
            created={"gte": int((since - _CLOCK_SKEW).timestamp())},
            expand=[f"data.{name}" for name in EXPAND],
        )
        with _understood():
            found = [
                read_payment(intent)
                async for intent in listed
                if intent["metadata"].get("order_id") == order_id
            ]
        return max(found, key=lambda p: (p.captured, p.authorized), default=None)

    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        return await _payment(
            self._api.payment_intents.capture_async(
                transaction_id,
                params={"amount_to_capture": _units(amount), "expand": EXPAND},
                options={"idempotency_key": key},
            )
        )

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        return await _payment(
            self._api.payment_intents.cancel_async(
                transaction_id, params={"expand": EXPAND}, options={"idempotency_key": key}
            )
        )

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        # Looked for first: Stripe replays a stored 500 for ever, then forgets the key, and a second
        # part of the money could go back.
        made = await self.look_up_refund(transaction_id, name)
        if made is not None:
            return made
        created = await answer(
            self._api.refunds.create_async(
                params={
                    "payment_intent": transaction_id,
                    "amount": _units(amount),
                    "metadata": {"order_id": order_id, "refund": name},
                },
                options={"idempotency_key": key},
            )
        )
        return read_refund(created)

    async def look_up_refund(self, transaction_id: str, name: str) -> GatewayRefund | None:
        refunds = self._api.refunds
        async for listed in every(
            lambda params: refunds.list_async(params), payment_intent=transaction_id
        ):
            with _understood():
                refund = read_refund(listed)
            if name in (refund.name, refund.refund_id):
                return refund
        return None

    async def look_up_dispute(self, dispute_id: str) -> GatewayDispute:
        told = await answer(self._api.disputes.retrieve_async(dispute_id))
        with _understood():
            return read_dispute(told)

    async def list_payments(self, period: Period, after: str | None) -> Page[GatewayPayment]:
        return await stripe_lists.payments(self._api, period, after)

    async def list_refunds(self, period: Period, after: str | None) -> Page[GatewayRefund]:
        return await stripe_lists.refunds(self._api, period, after)

    async def list_disputes(self, period: Period, after: str | None) -> Page[GatewayDispute]:
        return await stripe_lists.disputes(self._api, period, after)

    async def list_movements(self, period: Period, after: str | None) -> Page[GatewayMovement]:
        return await stripe_lists.movements(self._api, period, after)

    async def list_events(self, period: Period, after: str | None) -> Page[GatewayEvent]:
        return await stripe_lists.events(self._api, period, after)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> GatewayEvent:
        return translated(verified_event(headers, body, self._webhook_secrets, live=self._live))


def _keep_cards_out_of_the_log() -> None:
    """At debug level the SDK writes card numbers and codes into the log, and to stderr."""
    logging.getLogger("stripe").setLevel(logging.WARNING)
    if os.environ.get("STRIPE_LOG") == "debug":
        stripe.log = "info"


async def _payment(call: Awaitable[Any]) -> GatewayPayment:
    return read_payment(await payment_intent(call))


@contextmanager
def _understood() -> Iterator[None]:
    """Around the reading of what was looked up."""
    try:
        yield
    except NOT_AS_DOCUMENTED as error:
        raise UnreadableError("Stripe's answer is not as documented") from error


def _units(amount: Money) -> int:
    """In Stripe's units, of a part of the money. Raises RefusedError where Stripe knows no such."""
    try:
        return stripe_money.to_stripe(amount)
    except InvalidAmountError as error:
        raise RefusedError("amount_invalid", str(error), "amount") from None
