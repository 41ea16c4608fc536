"""Stripe's callbacks: believed when Stripe signed them just now, and refused in any other case."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.gateway import AuthorizeRequest, GatewayEvent, InvalidCallbackError, Status
from app.domain.methods import Method
from app.domain.money import Money
from app.gateways.stripe import StripeGateway
from tests.gateways.signing import signature, signed
from tests.sandbox.program import KEY, SECRET, Receiver, Sandbox, until

BODY = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "livemode": False,
        "type": "payment_intent.succeeded",
        "created": 1_800_000_000,
        "data": {
            "object": {
                "id": "pi_1",
                "amount": 4999,
                "amount_capturable": 0,
                "amount_received": 4999,
                "currency": "usd",
                "metadata": {"order_id": "order-1"},
                "status": "succeeded",
            }
        },
    }
).encode()


def _changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(BODY) | changes).encode()


def test_a_signed_callback_is_read(gateway: StripeGateway) -> None:
    event = gateway.read_callback(signed(BODY), BODY)
    assert (event.gateway, event.event_id, event.order_id) == ("stripe", "evt_1", "order-1")
    assert event.created_at == datetime.fromtimestamp(1_800_000_000, UTC)
    assert event.payment is not None
    assert event.payment.status is Status.CAPTURED
    assert (event.payment.amount, event.payment.captured) == (Money(4999, "usd"), 4999)


def test_one_of_several_signatures_is_enough(gateway: StripeGateway) -> None:
    at = int(time.time())
    header = f"t={at},v1={'0' * 64},v1={signature(BODY, SECRET, at)},v0=old"
    assert gateway.read_callback({"stripe-signature": header}, BODY).event_id == "evt_1"


@pytest.mark.parametrize("age", [290, -290])
def test_clocks_may_differ_by_a_few_minutes(gateway: StripeGateway, age: float) -> None:
    assert gateway.read_callback(signed(BODY, age=age), BODY).event_id == "evt_1"


OTHER_SECRET = "whsec_after_a_rotation"


def _adapter(api_key: str = KEY, secrets: Sequence[str] = (SECRET,)) -> StripeGateway:
    return StripeGateway(
        api_key=api_key, api_base="http://127.0.0.1:1", webhook_secrets=secrets, timeout_seconds=20
    )


def test_each_live_secret_may_have_signed_it() -> None:
    both = _adapter(secrets=[OTHER_SECRET, SECRET])
    for secret in (SECRET, OTHER_SECRET):
        assert both.read_callback(signed(BODY, secret), BODY).event_id == "evt_1"
    for others in ([OTHER_SECRET], []):  # who takes no callbacks knows no secret
        with pytest.raises(InvalidCallbackError):
            _adapter(secrets=others).read_callback(signed(BODY, SECRET), BODY)


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1", "sk_test_1", "rk_test_1"])
@pytest.mark.parametrize("live", [True, False])
def test_an_event_of_the_other_mode_is_refused(key: str, live: bool) -> None:
    body = _changed(livemode=live)
    if live == ("_live_" in key):
        assert _adapter(key).read_callback(signed(body), body).event_id == "evt_1"
    else:
        with pytest.raises(InvalidCallbackError, match="mode"):
            _adapter(key).read_callback(signed(body), body)


def _refused() -> dict[str, tuple[dict[str, str], bytes]]:
    """Headers and body; the time of signing is now."""
    good = signed(BODY)["stripe-signature"]
    return {
        "unsigned": ({}, BODY),
        "empty": ({"stripe-signature": ""}, BODY),
        "nonsense": ({"stripe-signature": "nonsense"}, BODY),
        "no number": ({"stripe-signature": "t=soon,v1=no"}, BODY),
        "time twice": ({"stripe-signature": f"t=1,{good}"}, BODY),
        "time written otherwise": ({"stripe-signature": good.replace("t=", "t=0")}, BODY),
        "more behind the time": ({"stripe-signature": good.replace(",", "=1,")}, BODY),
        "more behind it": ({"stripe-signature": good + "=1"}, BODY),
        "in capitals": ({"stripe-signature": "t" + good[1:].upper().replace("V1", "v1")}, BODY),
        "another scheme": ({"stripe-signature": good.replace("v1", "v0")}, BODY),
        "live": (signed(_changed(livemode=True)), _changed(livemode=True)),
        "of no mode": (signed(_changed(livemode=None)), _changed(livemode=None)),
        "no signature": ({"stripe-signature": good.partition(",")[0]}, BODY),
        "accented": ({"stripe-signature": good + ",v1=é"}, BODY),
        "arabic digits": ({"stripe-signature": "t=\u0661,v1=\u0661"}, BODY),
        "wrong secret": (signed(BODY, secret="whsec_of_somebody_else"), BODY),
        "no secret": (signed(BODY, secret=""), BODY),
        "stale": (signed(BODY, age=400), BODY),
        "future": (signed(BODY, age=-400), BODY),
        "tomorrow": (signed(BODY, age=-86400), BODY),
        "longer": (signed(BODY), BODY + b" "),
        "tampered": (signed(BODY), BODY.replace(b"order-1", b"order-2")),
        "cut off": (signed(BODY), b""),
        "not utf-8": (signed(b"\xff\xfe"), b"\xff\xfe"),
        "nothing": (signed(b""), b""),
        "not json": (signed(b"success"), b"success"),
        "a list": (signed(b"[]"), b"[]"),
        "null": (signed(b"null"), b"null"),
        "no event": (signed(b"{}"), b"{}"),
    }


@pytest.mark.parametrize("case", list(_refused()))
def test_anything_else_is_refused(gateway: StripeGateway, case: str) -> None:
    headers, body = _refused()[case]
    with pytest.raises(InvalidCallbackError):
        gateway.read_callback(headers, body)


@given(header=st.text(max_size=80), body=st.binary(max_size=80))
@example(header="t=1,v1", body=b"{}")
@example(header="t,v1=1", body=b"{}")
def test_noise_is_refused_and_never_crashes(
    gateway: StripeGateway, header: str, body: bytes
) -> None:
    with pytest.raises(InvalidCallbackError):
        gateway.read_callback({"stripe-signature": header}, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {}},
        {"data": {"object": {"id": "pi_1", "metadata": {"order_id": "order-1"}}}},
        {"data": {"object": []}},
        {"data": None},
        {"created": "yesterday"},
        {"created": 10**20},
        {"type": None, "data": None, "created": None},
        {"type": []},
        {"id": 1},
    ],
    ids=str,
)
def test_a_signed_event_of_another_shape_is_refused(
    gateway: StripeGateway, changes: dict[str, Any]
) -> None:
    body = _changed(**changes)
    with pytest.raises(InvalidCallbackError):
        gateway.read_callback(signed(body), body)


@pytest.mark.parametrize("kind", ["charge.succeeded", "customer.created", "of.the.future"])
def test_an_event_that_tells_no_payments_fate_is_about_no_order(
    gateway: StripeGateway, kind: str
) -> None:
    body = _changed(type=kind)
    event = gateway.read_callback(signed(body), body)
    assert (event.type, event.order_id, event.payment) == (kind, None, None)


@pytest.mark.parametrize("also", [{}, {"currency": "xxx"}, {"amount": None}], ids=str)
def test_a_payment_that_is_not_ours_is_about_no_order_whatever_its_shape(
    gateway: StripeGateway, also: dict[str, Any]
) -> None:
    payment = json.loads(BODY)["data"]["object"] | {"metadata": {}} | also
    body = _changed(data={"object": payment})
    event = gateway.read_callback(signed(body), body)
    assert (event.order_id, event.payment) == (None, None)


async def test_what_is_delivered_over_http_is_believed(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    """A payment declined, paid by another card and captured, as its callbacks tell it."""
    gateway = StripeGateway(
        api_key=KEY, api_base=own_sandbox.url, webhook_secrets=[SECRET], timeout_seconds=20
    )
    price = Money(4999, "usd")
    declined = await gateway.authorize(
        AuthorizeRequest("order-1", price, Method.CREDIT_CARD, "pm_card_visa_chargeDeclined"),
        key="1",
    )
    await gateway.authorize(
        AuthorizeRequest(
            "order-1", price, Method.CREDIT_CARD, "pm_card_visa", declined.transaction_id
        ),
        key="2",
    )
    await gateway.capture(declined.transaction_id, price, key="3")
    await until(
        lambda: (
            "payment_intent.succeeded" in receiver.types(declined.transaction_id)
            and len(receiver.received) == 7
        )
    )
    events: list[GatewayEvent] = [
        gateway.read_callback({"stripe-signature": received.signature}, received.body)
        for received in receiver.received
    ]
    told = {
        event.type: (event.order_id, event.payment.status, event.payment.captured)
        for event in events
        if event.payment is not None
    }
    assert told == {
        "payment_intent.payment_failed": ("order-1", Status.DECLINED, 0),
        "payment_intent.amount_capturable_updated": ("order-1", Status.AUTHORIZED, 0),
        "payment_intent.succeeded": ("order-1", Status.CAPTURED, 4999),
    }
    assert {event.order_id for event in events if event.payment is None} == {None}
    await gateway.close()
