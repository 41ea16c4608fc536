"""The generic callback: signed by the Standard Webhooks headers, and a hint at most."""

import json
import string
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from app.domain.gateway import InvalidCallbackError
from app.gateways.generic import GenericCallbacks

SECRET = "whsec_" + b64encode(b"the secret of the tests").decode()
OTHER_SECRET = "whsec_" + b64encode(b"the secret of somebody else").decode()
CALLBACKS = GenericCallbacks([SECRET])
BODY = json.dumps(
    {
        "order_id": "order-12345",
        "status": "success",
        "transaction_id": "txn-98765",
        "payment_method": "credit_card",
    }
).encode()


def _signed(
    body: bytes, secret: str = SECRET, age: timedelta = timedelta(), name: str = "msg_1"
) -> dict[str, str]:
    at = datetime.now(UTC) - age
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, at, body.decode()),
    }


def test_a_signed_callback_is_a_hint_about_an_order() -> None:
    event = CALLBACKS.read(_signed(BODY), BODY)
    assert (event.gateway, event.event_id) == ("generic", "msg_1")
    assert (event.order_id, event.type) == ("order-12345", "success")
    assert event.payment is None


def _spare_bits_changed(signature: str) -> str:
    """Base64 of 32 bytes: the last two bits of its last letter belong to no byte."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    return signature[:-2] + letters[letters.index(signature[-2]) ^ 1] + "="


def test_each_live_secret_may_have_signed_it() -> None:
    both = GenericCallbacks([OTHER_SECRET, SECRET])
    for secret in (SECRET, OTHER_SECRET):
        assert both.read(_signed(BODY, secret), BODY).event_id == "msg_1"
    with pytest.raises(InvalidCallbackError):
        GenericCallbacks([OTHER_SECRET]).read(_signed(BODY, SECRET), BODY)


def test_one_of_several_signatures_is_enough() -> None:
    good, other = _signed(BODY), _signed(BODY, OTHER_SECRET)
    both = f"{other['webhook-signature']} v1a,of_the_future {good['webhook-signature']}"
    assert CALLBACKS.read(good | {"webhook-signature": both}, BODY).event_id == "msg_1"


@pytest.mark.parametrize("seconds", [290, -290])
def test_clocks_may_differ_by_a_few_minutes(seconds: int) -> None:
    signed = _signed(BODY, age=timedelta(seconds=seconds))
    assert CALLBACKS.read(signed, BODY).event_id == "msg_1"


def _refused() -> dict[str, tuple[dict[str, str], bytes]]:
    """Headers and body; the time of signing is now."""
    good = _signed(BODY)
    return {
        "unsigned": ({}, BODY),
        "no signature": (good | {"webhook-signature": ""}, BODY),
        "accented": (good | {"webhook-signature": "v1,é"}, BODY),
        "another id": (good | {"webhook-id": "msg_2"}, BODY),
        "an endless id": (_signed(BODY, name="m" * 256), BODY),
        "a part of a second": (
            good | {"webhook-timestamp": good["webhook-timestamp"] + ".5"},
            BODY,
        ),
        "time written otherwise": (
            good | {"webhook-timestamp": "0" + good["webhook-timestamp"]},
            BODY,
        ),
        # What a lenient decoder takes for the same bytes.
        "signature with more": (
            good | {"webhook-signature": good["webhook-signature"] + "!"},
            BODY,
        ),
        "signature with other spare bits": (
            good | {"webhook-signature": _spare_bits_changed(good["webhook-signature"])},
            BODY,
        ),
        "no number": (good | {"webhook-timestamp": "soon"}, BODY),
        "not a number": (good | {"webhook-timestamp": "nan"}, BODY),
        "infinite": (good | {"webhook-timestamp": "1e400"}, BODY),
        "year 10000": (good | {"webhook-timestamp": "9" * 30}, BODY),
        "wrong secret": (_signed(BODY, secret=OTHER_SECRET), BODY),
        "stale": (_signed(BODY, age=timedelta(minutes=6)), BODY),
        "future": (_signed(BODY, age=timedelta(minutes=-6)), BODY),
        "longer": (good, BODY + b" "),
        "tampered": (good, BODY.replace(b"order-1", b"order-2")),
        "not utf-8": (good, b"\xff\xfe"),
        "nothing": (_signed(b""), b""),
        "not json": (_signed(b"success"), b"success"),
        "a list": (_signed(b"[]"), b"[]"),
        "null": (_signed(b"null"), b"null"),
        "empty": (_signed(b"{}"), b"{}"),
    }


@pytest.mark.parametrize("case", list(_refused()))
def test_anything_else_is_refused(case: str) -> None:
    headers, body = _refused()[case]
    with pytest.raises(InvalidCallbackError):
        CALLBACKS.read(headers, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": ""},
        {"order_id": "x" * 65},
        {"order_id": "../order"},
        {"order_id": "order-1\n"},
        {"order_id": 12345},
        {"order_id": None},
        {"status": "Success"},
        {"status": "refunded"},
        {"transaction_id": 98765},
        {"transaction_id": "x" * 256},
    ],
    ids=str,
)
def test_a_signed_callback_of_another_shape_is_refused(changes: dict[str, object]) -> None:
    body = json.dumps(json.loads(BODY) | changes).encode()
    with pytest.raises(InvalidCallbackError):
        CALLBACKS.read(_signed(body), body)


@given(
    headers=st.fixed_dictionaries(
        {name: st.text(max_size=40) for name in _signed(BODY)},
    ),
    body=st.binary(max_size=80),
)
@example(headers=_signed(BODY) | {"webhook-signature": "v1"}, body=BODY)
@example(headers=_signed(BODY) | {"webhook-signature": "v1,a"}, body=BODY)
def test_noise_is_refused_and_never_crashes(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidCallbackError):
        CALLBACKS.read(headers, body)
