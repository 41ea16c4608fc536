"""What storefronts send and what they are told."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from email_validator import validate_email
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    StrictBool,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from app.domain.card_numbers import passes_luhn, without_card_number
from app.domain.gateway import Card
from app.domain.methods import Method
from app.domain.order import ORDER_ID, Capture, Mandate
from app.domain.reversals import DisputeState, RefundState
from app.domain.unknown import Operation, Resolution

_AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_SECURITY_CODE = re.compile(r"[0-9]{3,4}")
_MONTH = re.compile(r"0?[1-9]|1[0-2]")
_YEAR = re.compile(r"(20)?[0-9]{2}")
_LONGEST_URL = 2000

IDEMPOTENCY_KEY = r"^[\x21-\x7e]{1,255}$"


def _described(*alternatives: dict[str, Any]) -> WithJsonSchema:
    """What our own validators take, in words of JSON Schema."""
    [*others, last] = alternatives
    return WithJsonSchema({"anyOf": [*others, last]} if others else last)


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({pattern})$"}


def _secret(pattern: str) -> dict[str, Any]:
    return {**_text(pattern), "format": "password", "writeOnly": True}


def _addressable(name: str) -> str:
    if not name.strip("."):  # in an address, "." and ".." are somewhere else
        raise ValueError("this is nothing but dots")
    return name


_Yours = Annotated[
    str,
    Field(
        pattern=f"^{ORDER_ID.pattern}$",
        description="Yours: 1 to 64 letters, digits, `.`, `_` or `-`; nothing that could be taken "
        "for a card number.",
    ),
    AfterValidator(without_card_number),
    AfterValidator(_addressable),
]
OrderId = Annotated[_Yours, Field(examples=["order-12345"])]
CustomerId = Annotated[_Yours, Field(examples=["customer-678"])]


def _keepable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("this is not text")
    return without_card_number(text)


def _usable_url(url: AnyHttpUrl) -> AnyHttpUrl:
    if len(str(url)) > _LONGEST_URL:
        raise ValueError(f"this is longer than {_LONGEST_URL} characters")
    without_card_number(unquote(str(url)))
    return url


class _Kept:
    """Text that is kept and shown."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(_keepable, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": r"^[^\x00]*$"}


_Keepable = _Kept()


def _mailable(address: str) -> str:
    """With an international domain as mail servers know it (bücher.de: xn--bcher-kva.de)."""
    parts = validate_email(address, check_deliverability=False)
    return f"{parts.local_part}@{parts.ascii_domain}"


def _ip_address(text: str) -> str:
    """As addresses are usually written; without a zone, which could be any text."""
    try:
        return str(ip_address(text.replace("%", "no zone")))
    except ValueError:
        raise ValueError("this is not an IP address") from None


_IpAddress = Annotated[
    str,
    AfterValidator(_ip_address),
    _described({"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}),
]


def _exact_amount(value: object) -> object:
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= 0:
        return Decimal(value)
    raise ValueError("this is not an amount such as 49.99")


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("the amount must be more than zero")
    return value


def _no_card(value: Decimal) -> Decimal:
    without_card_number(str(value))  # an amount that is refused is told back
    return value


Amount = Annotated[
    Decimal,
    Field(description="In major units, number or string.", examples=[49.99]),
    BeforeValidator(_exact_amount),
    AfterValidator(_positive),
    AfterValidator(_no_card),
    _described({"type": "number", "exclusiveMinimum": 0}, _text(_AMOUNT.pattern)),
]
# In a query everything is text.
AmountText = Annotated[Amount, _described(_text(_AMOUNT.pattern))]
Currency = Annotated[
    str,
    Field(pattern=r"^[A-Za-z]{3}$", description="ISO 4217.", examples=["usd"]),
    AfterValidator(str.lower),
]


def _card_number(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("send the card number as a string")
    digits = re.sub(r"[ -]", "", value)
    if not re.fullmatch(r"[0-9]{12,19}", digits) or not passes_luhn(digits):
        raise ValueError("this is not a valid card number")
    return digits


def _security_code(value: object) -> object:
    if not isinstance(value, str) or not _SECURITY_CODE.fullmatch(value):
        raise ValueError("this is not a security code of three or four digits")
    return value


def _digits(value: object) -> str:
    """Of a whole number or a text. JSON knows one kind of number: 9.0 is 9."""
    if isinstance(value, Decimal) and 0 <= value < 10_000 and value == int(value):
        return str(int(value))
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _month(value: object) -> object:
    digits = _digits(value)
    if not _MONTH.fullmatch(digits):
        raise ValueError("this is not a month such as 9 or 09")
    return int(digits)


def _full_year(value: object) -> object:
    digits = _digits(value)
    if not _YEAR.fullmatch(digits):
        raise ValueError("this is not a year such as 30 or 2030")
    return 2000 + int(digits) % 100


class CreditCard(BaseModel):
    """A raw card. It is exchanged for a token at once and kept nowhere."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    number: Annotated[
        SecretStr,
        BeforeValidator(_card_number),
        _described(_secret(r"[ -]*([0-9][ -]*){12,19}")),
    ] = Field(examples=["4111 1111 1111 1111"], description="With or without spaces and dashes.")
    expiry_month: Annotated[
        int,
        BeforeValidator(_month),
        _described(_text(_MONTH.pattern), {"type": "integer", "minimum": 1, "maximum": 12}),
    ] = Field(examples=["12"])
    expiry_year: Annotated[
        int,
        BeforeValidator(_full_year),
        _described(
            _text(_YEAR.pattern),
            {"type": "integer", "minimum": 10, "maximum": 99},
            {"type": "integer", "minimum": 2000, "maximum": 2099},
        ),
    ] = Field(examples=["30"], description="Two or four digits.")
    cvv: (
        Annotated[
            SecretStr, BeforeValidator(_security_code), _described(_secret(_SECURITY_CODE.pattern))
        ]
        | None
    ) = Field(default=None, examples=["123"])

    @model_validator(mode="after")
    def _not_expired(self) -> "CreditCard":
        now = datetime.now(UTC)
        if (self.expiry_year, self.expiry_month) < (now.year, now.month):
            raise ValueError("the card has expired: ask for another one")
        return self

    def to_card(self) -> Card:
        """As the gateway takes it."""
        return Card(
            number=self.number.get_secret_value(),
            expiry_month=self.expiry_month,
            expiry_year=self.expiry_year,
            security_code=self.cvv.get_secret_value() if self.cvv is not None else None,
        )


class MandateRequest(BaseModel):
    """From where the shopper allowed their account to be debited."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    ip_address: _IpAddress = Field(description="IPv4 or IPv6.", examples=["203.0.113.7"])
    user_agent: Annotated[str, Field(min_length=1, max_length=400), _Keepable] = Field(
        description="The browser's.", examples=["Mozilla/5.0 (X11; Linux x86_64)"]
    )

    def to_mandate(self) -> Mandate:
        """As the records keep it."""
        return Mandate(self.ip_address, self.user_agent)


_Token = Annotated[
    str, Field(pattern=r"^[A-Za-z]{2,}_[A-Za-z0-9_]{3,200}$"), AfterValidator(without_card_number)
]
_ReturnUrl = Annotated[
    AnyHttpUrl,
    AfterValidator(_usable_url),
    _described(
        {
            "type": "string",
            "format": "uri",
            "pattern": "^https?://",
            "maxLength": _LONGEST_URL,
        }
    ),
]


class InitiateRequest(BaseModel):
    """Start a checkout, or try again after a decline. `GET /api/payment-methods` says which ways to
    pay there are, and what each needs. For a card send `payment_method_token` (the gateway's own
    field or page made it) or, where it is switched on, `credit_card`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    order_id: OrderId
    # Any text: what is not offered is told together with what is.
    payment_method: Annotated[str, WithJsonSchema({"type": "string", "enum": list(Method)})] = (
        Field(description="One that `GET /api/payment-methods` offers.", examples=["credit_card"])
    )
    amount: Amount
    currency: Currency | None = Field(
        default=None, description="ISO 4217; the shop's own if missing.", examples=["usd"]
    )
    credit_card: CreditCard | None = Field(
        default=None, validation_alias=AliasChoices("credit_card", "debit_card")
    )
    payment_method_token: _Token | None = Field(default=None, examples=["pm_card_visa"])
    return_url: _ReturnUrl | None = Field(
        default=None, description="Where the shopper comes back to after authenticating."
    )
    customer_id: CustomerId | None = Field(
        default=None, description="Whose order it is, by your own id.", examples=["customer-678"]
    )
    save_payment_method: StrictBool = Field(
        default=False, description="Keep the payment method for this customer's later orders."
    )
    off_session: StrictBool = Field(
        default=False,
        description="The shopper is not there: pay with a saved `payment_method_token` of theirs.",
    )
    billing_country: (
        Annotated[str, Field(pattern=r"^[A-Za-z]{2}$"), AfterValidator(str.upper)] | None
    ) = Field(default=None, description="ISO 3166, two letters.", examples=["NL"])
    mandate: MandateRequest | None = None
    customer_ip_address: _IpAddress | None = Field(
        default=None,
        description="From where the shopper pays, IPv4 or IPv6: who tests stolen cards is told "
        "apart by it.",
        examples=["203.0.113.7"],
    )
    capture: Capture = Field(
        default=Capture.AUTOMATIC, description="`manual`: held until you ask to capture."
    )
    metadata: dict[
        Annotated[str, Field(min_length=1, max_length=40), _Keepable],
        Annotated[str, Field(max_length=500), _Keepable],
    ] = Field(
        default_factory=dict,
        max_length=50,
        json_schema_extra={"additionalProperties": False},
        description="`sku` and `quantity` name the article to reserve.",
    )
    customer_email: Annotated[EmailStr, _Keepable, AfterValidator(_mailable)] | None = Field(
        default=None, description="For the receipt."
    )

    @model_validator(mode="after")
    def _one_way_to_pay(self) -> "InitiateRequest":
        if self.credit_card is not None and self.payment_method_token is not None:
            raise ValueError("send either payment_method_token or credit_card")
        return self


_Reason = Annotated[str, Field(min_length=1, max_length=500), _Keepable]


class CaptureRequest(BaseModel):
    """How much of the held money to take. What is not taken is released."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    amount: Amount | None = Field(
        default=None, description="In major units; all that is held if missing.", examples=[10.00]
    )


class CancelRequest(BaseModel):
    """Why the order is called off."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: _Reason | None = Field(default=None, examples=["the shopper changed their mind"])


class RefundRequest(BaseModel):
    """How much of the captured money to give back, and why."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    amount: Amount | None = Field(
        default=None, description="In major units; all that is left if missing.", examples=[10.00]
    )
    reason: _Reason | None = Field(default=None, examples=["one mug arrived broken"])


_Actor = Annotated[str, Field(min_length=1, max_length=100), _Keepable]
_GatewaysId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$"), AfterValidator(without_card_number)
]


class ResolveRequest(BaseModel):
    """An operator's decision about an outcome that is not known."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    outcome: Resolution = Field(
        description="`not_charged`: you saw at the gateway that nothing was done. `look_again`: "
        "the gateway is asked now."
    )
    transaction_id: _GatewaysId | None = Field(
        default=None,
        description="With `look_again`: the gateway's payment that you found for this order.",
        examples=["pi_3QJ8"],
    )
    refund_id: _GatewaysId | None = Field(
        default=None, description="Where more than one refund is unknown: which one."
    )
    actor: _Actor | None = Field(
        default=None, description="Who decides, for the client.", examples=["ana"]
    )
    reason: _Reason = Field(examples=["no such payment in the gateway's dashboard"])

    @model_validator(mode="after")
    def _found_to_be_looked_up(self) -> "ResolveRequest":
        wanted = self.outcome is Resolution.LOOK_AGAIN and self.refund_id is None
        if self.transaction_id is not None and not wanted:
            raise ValueError("transaction_id goes with look_again, and not with refund_id")
        return self


class AcknowledgeRequest(BaseModel):
    """Who has looked at what needs attention, and what came of it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    actor: _Actor | None = Field(
        default=None, description="Who has looked, for the client.", examples=["ana"]
    )
    reason: _Reason = Field(examples=["refunded by hand"])
    worries: list[Annotated[str, Field(min_length=1, max_length=1000)]] | None = Field(
        default=None, description="As `needs_attention` tells them; all of them if missing."
    )


class MethodView(BaseModel):
    """How the shopper pays, as far as it may be shown."""

    type: str = Field(examples=["credit_card"])
    brand: str | None = Field(default=None, examples=["visa"])
    last4: str | None = Field(default=None, examples=["1111"])


class NextActionView(BaseModel):
    """What the shopper must do: be sent to `url`, or be shown the gateway's own dialog with
    `client_secret`."""

    type: str = Field(examples=["redirect"])
    url: str | None = None
    client_secret: str | None = None


class Links(BaseModel):
    """Where to look next."""

    self: str = Field(examples=["/api/payment/order-12345"])


_PAYMENT: dict[str, Any] = {
    "order_id": "order-12345",
    "payment_id": "pay_5f0c3b0e9a7d4c1b8e6f2a13",
    "status": "authorized",
    "order_status": "open",
    "amount": "49.99",
    "currency": "usd",
    "transaction_id": "pi_3QJ8",
    "payment_method": {"type": "credit_card", "brand": "visa", "last4": "4242"},
    "next_action": None,
    "links": {"self": "/api/payment/order-12345"},
}
_REFUND: dict[str, Any] = {
    "refund_id": "ref_9b1d5c0f4e2a7d8b6c3f1a05",
    "order_id": "order-12345",
    "amount": "10.00",
    "currency": "usd",
    "status": "succeeded",
    "reason": "one mug arrived broken",
    "failure": None,
    "gateway_refund_id": "re_3QJ8",
    "requested_at": "2030-01-03T03:04:05.678901Z",
    "links": {
        "self": "/api/payment/order-12345/refunds/ref_9b1d5c0f4e2a7d8b6c3f1a05",
        "payment": "/api/payment/order-12345",
    },
}
_STATUS: dict[str, Any] = {
    **_PAYMENT,
    "status": "partially_refunded",
    "order_status": "fulfilled",
    "authorized": "49.99",
    "captured": "49.99",
    "refunded": "10.00",
    "refunds_pending": "0.00",
    "disputed": "0.00",
    "refundable": "39.99",
    "fees": [{"amount": "1.75", "currency": "usd"}],
    "capture_before": None,
    "needs_attention": [],
    "next_check_at": None,
    "unknown": [],
    "refunds": [_REFUND],
    "disputes": [],
    "attempts": [
        {
            "number": 1,
            "status": "authorized",
            "payment_method": {"type": "credit_card", "brand": "visa", "last4": "4242"},
            "transaction_id": "pi_3QJ8",
            "decline_code": None,
        }
    ],
    "timeline": [
        {
            "at": "2030-01-02T03:04:05.678901Z",
            "event": "authorized",
            "source": "gateway",
            "summary": "49.99 USD is held on visa ending 4242",
        }
    ],
}


class PaymentView(BaseModel):
    """Payment confirmation details. Amounts are decimal strings in major units."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PAYMENT]})

    order_id: str = Field(examples=["order-12345"])
    payment_id: str = Field(examples=["pay_5f0c3b0e9a7d4c1b8e6f2a13"])
    status: str = Field(examples=["authorized"])
    order_status: str = Field(examples=["open"])
    amount: str = Field(examples=["49.99"])
    currency: str = Field(examples=["usd"])
    transaction_id: str | None = Field(examples=["pi_3QJ8"])
    payment_method: MethodView | None
    next_action: NextActionView | None
    links: Links


class AttemptView(BaseModel):
    """One try at the payment."""

    number: int
    status: str
    payment_method: MethodView | None
    transaction_id: str | None
    decline_code: str | None


class TimelineRow(BaseModel):
    """One thing that happened."""

    at: datetime
    event: str = Field(examples=["authorized"])
    source: str = Field(examples=["gateway"])
    summary: str = Field(examples=["49.99 USD is held on visa ending 1111"])


class RefundLinks(BaseModel):
    """Where to look next."""

    self: str
    payment: str


class RefundView(BaseModel):
    """One refund, asked for here or begun at the gateway. Its `refund_id` is then the gateway's."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REFUND]})

    refund_id: str
    order_id: str
    amount: str = Field(examples=["10.00"])
    currency: str = Field(examples=["usd"])
    status: RefundState = Field(
        description="`pending`: on its way. `failed`: it did not arrive, and the money is yours "
        "again; ask for another one with a new Idempotency-Key."
    )
    reason: str | None
    failure: str | None = Field(description="Why it failed.")
    gateway_refund_id: str | None
    requested_at: datetime
    links: RefundLinks


class RefundList(BaseModel):
    """Every refund of an order, the oldest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"refunds": [_REFUND]}]})

    refunds: list[RefundView]


class FeeView(BaseModel):
    """What the gateway took for its work."""

    amount: str = Field(examples=["1.75"])
    currency: str = Field(description="Of your account at the gateway.", examples=["usd"])


class DisputeView(BaseModel):
    """One dispute with the shopper's bank, by the gateway's id."""

    dispute_id: str = Field(examples=["dp_3QJ8"])
    amount: str = Field(description="What the bank has taken back.", examples=["49.99"])
    status: DisputeState
    reason: str | None = Field(examples=["fraudulent"])
    evidence_due_by: datetime | None = Field(description="Until when to answer it at the gateway.")


class UnknownView(BaseModel):
    """Something that was asked of the gateway, without an answer: it may have been done."""

    operation: Operation
    refund_id: str | None
    since: datetime
    next_check_at: datetime | None = Field(description="When the gateway is asked next.")


class PaymentStatus(PaymentView):
    """All there is to know of an order's payment."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STATUS]})

    authorized: str = Field(examples=["49.99"])
    captured: str = Field(examples=["49.99"])
    refunded: str = Field(examples=["10.00"])
    refunds_pending: str = Field(description="On its way back.", examples=["0.00"])
    disputed: str = Field(description="Taken back by banks, for now or for good.")
    refundable: str = Field(description="What can still be refunded.", examples=["39.99"])
    fees: list[FeeView]
    capture_before: datetime | None = Field(description="When a hold that is not captured ends.")
    needs_attention: list[str]
    next_check_at: datetime | None = Field(description="The first one in `unknown`.")
    unknown: list[UnknownView]
    refunds: list[RefundView]
    disputes: list[DisputeView]
    attempts: list[AttemptView]
    timeline: list[TimelineRow]


class Received(BaseModel):
    """The callback is stored for good, or is none of our business."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": True}]})

    received: Literal[True] = True


# A shopper may ask again from another network. Of few possible values a hash tells which one it is.
_WHO = ("customer_email", "customer_ip_address", "mandate")


def secret_free(model: InitiateRequest) -> dict[str, Any]:
    """For a fingerprint: what the request asks, with no more of the card than may be shown."""
    told = model.model_dump(mode="json", exclude={"credit_card", *_WHO})
    card = model.credit_card
    return {**told, "card": card.number.get_secret_value()[-4:] if card is not None else None}
