"""The list of payments, for operators and back offices."""

import base64
import hashlib
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from app.api.access import KeyedRoute, WithParts
from app.api.problems import FieldError, Kind, documented, invalid
from app.api.schemas import CustomerId, Links
from app.domain.methods import Method
from app.domain.order import ORDER_ID
from app.domain.payment import State
from app.domain.records import Filter, Place, Summary

_CHECK_BYTES = 6

router = APIRouter(prefix="/api", tags=["payments"], route_class=KeyedRoute)


def _written_out(value: object) -> datetime:
    """Not a number of seconds, as which 20300102 would otherwise be read."""
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("this is not a time such as 2030-01-02T03:04:05Z") from None


_Time = Annotated[
    AwareDatetime, BeforeValidator(_written_out), Field(examples=["2030-01-02T03:04:05Z"])
]


class ListRequest(BaseModel):
    """Which payments to list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    status: list[State] = Field(default=[], description="Any of these.")
    payment_method: list[Method] = Field(default=[], description="Any of these.")
    created_from: _Time | None = None
    created_until: _Time | None = Field(default=None, description="Not included.")
    needs_attention: bool | None = None
    customer_id: CustomerId | None = None
    unknown: bool | None = Field(default=None, description="Some outcome is not known.")
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, description="`next_cursor` of the page before.")

    def to_filter(self) -> Filter:
        """As the records take it."""
        return Filter(
            states=self.status,
            methods=self.payment_method,
            since=self.created_from,
            until=self.created_until,
            needs_attention=self.needs_attention,
            customer_id=self.customer_id,
            unknown=self.unknown,
        )


_ROW: dict[str, Any] = {
    "order_id": "order-12345",
    "payment_id": "pay_5f0c3b0e9a7d4c1b8e6f2a13",
    "status": "captured",
    "order_status": "fulfilled",
    "amount": "49.99",
    "currency": "usd",
    "authorized": "49.99",
    "captured": "49.99",
    "refunded": "0.00",
    "disputed": "0.00",
    "payment_method": "credit_card",
    "paid_with": "visa ending 4242",
    "needs_attention": False,
    "next_check_at": None,
    "created_at": "2030-01-02T03:04:05.678901Z",
    "links": {"self": "/api/payment/order-12345"},
}
_PAGE: dict[str, Any] = {
    "payments": [_ROW],
    "next_cursor": None,
    "links": {"self": "/api/payments?status=captured", "next": None},
}


class PaymentRow(BaseModel):
    """A payment in short. Amounts are decimal strings in major units."""

    order_id: str
    payment_id: str
    status: State
    order_status: str
    amount: str
    currency: str
    authorized: str
    captured: str
    refunded: str
    disputed: str
    payment_method: str | None = Field(description="Of the latest attempt.")
    paid_with: str | None = Field(description="The same in words, as it may be shown.")
    needs_attention: bool
    next_check_at: datetime | None = Field(description="Of an outcome that is not known.")
    created_at: datetime
    links: Links


class PageLinks(BaseModel):
    """This page and the next one."""

    self: str
    next: str | None


class PaymentList(BaseModel):
    """A page of payments, the newest first. `next_cursor` is null on the last one."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PAGE]})

    payments: list[PaymentRow]
    next_cursor: str | None
    links: PageLinks


@router.get(
    "/payments",
    summary="Payments, the newest first",
    responses=documented(Kind.INVALID_REQUEST),
)
async def list_payments(asked: Annotated[ListRequest, Query()], parts: WithParts) -> PaymentList:
    """Follow `links.next` to its end: a payment that starts meanwhile moves no other to a page that
    was read, or was not."""
    after = _place(asked.cursor) if asked.cursor is not None else None
    # One more than is shown tells whether there are more.
    found = await parts.records.list_payments(asked.to_filter(), after, asked.limit + 1)
    shown = found[: asked.limit]
    next_cursor = _cursor(shown[-1].place) if len(found) > len(shown) else None
    return PaymentList(
        payments=[_row(summary) for summary in shown],
        next_cursor=next_cursor,
        links=PageLinks(
            self=_address(asked, asked.cursor),
            next=_address(asked, next_cursor) if next_cursor is not None else None,
        ),
    )


def _row(summary: Summary) -> PaymentRow:
    def decimal(minor: int) -> str:
        return f"{summary.amount.of(minor).to_decimal():f}"

    return PaymentRow(
        order_id=summary.place.order_id,
        payment_id=summary.payment_id,
        status=summary.state,
        order_status=summary.order_state,
        amount=decimal(summary.amount.minor),
        currency=summary.amount.currency,
        authorized=decimal(summary.authorized),
        captured=decimal(summary.captured),
        refunded=decimal(summary.refunded),
        disputed=decimal(summary.disputed),
        payment_method=summary.method,
        paid_with=summary.method_shown,
        needs_attention=summary.needs_attention,
        next_check_at=summary.next_check_at,
        created_at=summary.place.created_at,
        links=Links(self=f"/api/payment/{summary.place.order_id}"),
    )


def _address(asked: ListRequest, cursor: str | None) -> str:
    """From what was understood, not from what was written: that may be anything."""
    query = {
        **asked.model_dump(mode="json", exclude_defaults=True, exclude={"cursor"}),
        **({"cursor": cursor} if cursor is not None else {}),
    }
    for name in ("needs_attention", "unknown"):
        if name in query:
            query[name] = str(query[name]).lower()
    return "/api/payments" + (f"?{urlencode(query, doseq=True)}" if query else "")


def _cursor(place: Place) -> str:
    """The checksum tells a damaged cursor from one of ours; there is nothing in it to protect."""
    text = f"{place.created_at.isoformat()} {place.order_id}".encode()
    return base64.urlsafe_b64encode(_checksum(text) + text).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        created_at, order_id = base64.urlsafe_b64decode(padded)[_CHECK_BYTES:].decode().split(" ")
        place = Place(datetime.fromisoformat(created_at), order_id)
        ours = place.created_at.tzinfo is not None and ORDER_ID.fullmatch(order_id) is not None
        if not ours or _cursor(place) != cursor:
            raise ValueError("damaged")
    except ValueError:
        message = "this is not a cursor of ours: start again without one"
        raise invalid(FieldError(location="cursor", message=message)) from None
    return place


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_CHECK_BYTES]
