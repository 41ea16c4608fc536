"""Callbacks that Stripe signed and that make no sense: refused, or read without the senseless part.

Nothing of them may reach a workflow or the database that these could not keep.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.domain.gateway import GatewayEvent, InvalidCallbackError
from app.domain.reversals import refund_name
from app.gateways.stripe import StripeGateway
from app.gateways.stripe_callbacks import EVENTS
from tests.gateways.events import (
    CHALLENGED,
    DECLINED,
    DISPUTE,
    HELD,
    REFUND,
    Json,
    event,
    read,
    read_event,
)

Place = tuple[str, ...]

KINDS = sorted(EVENTS)
NO_TEXT = [5, True, ["x"], {}, 1.5, "half \ud800", "nul \0", "x" * 256]
NO_ID = [*NO_TEXT, "", "re-1", "re_1\n", "ré_1"]
NO_AMOUNT = [10**25, 10**12, -1, True, False, 19.99, "4999", None, [], {}]
NO_TIME = [10**18, 10**10, -1, True, 1.5, "soon", [], {}]
NO_NAME = [*NO_ID, "first", "ref_1", "re_3QJ8", "ref_" + "0" * 25, "ref_" + "A" * 24]
_EVENT = TypeAdapter(GatewayEvent)
_REVERSALS = [("refund.created", REFUND), ("charge.dispute.created", DISPUTE)]


def about(kind: str) -> Json:
    """What an event of that type may be about."""
    if kind.startswith("refund."):
        return REFUND
    return DISPUTE if kind.startswith("charge.dispute.") else HELD


def having(told: Json, path: Place, value: object) -> Json:
    """A copy with `value` at `path`, as far as the path leads."""
    changed = deepcopy(told)
    inner: Any = changed
    for name in path[:-1]:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner[path[-1]] = value
    return changed


def is_refused(gateway: StripeGateway, whole: Json) -> None:
    with pytest.raises(InvalidCallbackError):
        read_event(gateway, whole)


@pytest.mark.parametrize("odd", NO_TEXT, ids=ascii)
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_an_orders_id_names_no_order(
    gateway: StripeGateway, kind: str, odd: object
) -> None:
    told = read(gateway, kind, having(about(kind), ("metadata", "order_id"), odd))
    assert (told.order_id, told.transaction_id) == (None, "pi_1")


@pytest.mark.parametrize("odd", NO_NAME, ids=ascii)
def test_a_refund_has_no_name_but_one_that_we_gave(gateway: StripeGateway, odd: object) -> None:
    refund = read(gateway, "refund.updated", having(REFUND, ("metadata", "refund"), odd)).refund
    assert refund is not None
    assert (refund.refund_id, refund.name) == ("re_1", None)


@pytest.mark.parametrize("odd", NO_ID, ids=ascii)
@pytest.mark.parametrize("kind", KINDS)
def test_an_event_about_what_has_no_id_is_refused(
    gateway: StripeGateway, kind: str, odd: object
) -> None:
    is_refused(gateway, event(kind, about(kind) | {"id": odd}))
    if not kind.startswith("payment_intent."):
        is_refused(gateway, event(kind, about(kind) | {"payment_intent": odd}))


@pytest.mark.parametrize("odd", NO_AMOUNT, ids=ascii)
@pytest.mark.parametrize("kind", KINDS)
def test_no_amount_that_cannot_be_money_is_taken_from_any_event(
    gateway: StripeGateway, kind: str, odd: object
) -> None:
    told = about(kind)
    for name in {"amount", "amount_capturable", "amount_received"} & {*told}:
        is_refused(gateway, event(kind, told | {name: odd}))


@pytest.mark.parametrize("odd", NO_AMOUNT, ids=ascii)
@pytest.mark.parametrize(("kind", "told"), _REVERSALS)
def test_nor_is_it_kept_as_somebody_elses(
    gateway: StripeGateway, kind: str, told: Json, odd: object
) -> None:
    is_refused(gateway, event(kind, told | {"metadata": {}, "amount": odd}))


@pytest.mark.parametrize("odd", NO_TIME, ids=ascii)
def test_a_time_that_no_clock_shows_is_refused(gateway: StripeGateway, odd: object) -> None:
    ends = ("latest_charge", "payment_method_details", "card", "capture_before")
    late = having(DISPUTE, ("evidence_details", "due_by"), odd)
    for whole in (
        event("charge.dispute.created", late),
        event("payment_intent.amount_capturable_updated", having(HELD, ends, odd)),
        *(event(kind, about(kind)) | {"created": odd} for kind in KINDS),
    ):
        is_refused(gateway, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_has_an_id_and_a_type(gateway: StripeGateway, kind: str) -> None:
    whole = event(kind, about(kind))
    for odd in (*NO_ID, None):
        is_refused(gateway, whole | {"id": odd})
    for odd in (*NO_TEXT, None):
        is_refused(gateway, whole | {"type": odd})


@pytest.mark.parametrize("odd", NO_TEXT, ids=ascii)
def test_words_that_cannot_be_kept_are_refused(gateway: StripeGateway, odd: object) -> None:
    failed = REFUND | {"status": "failed", "failure_reason": odd or [odd]}
    of_card = ("last_payment_error", "payment_method", "card", "brand")
    for kind, told in (
        ("charge.dispute.updated", DISPUTE | {"reason": odd}),
        ("refund.failed", failed),
        ("payment_intent.payment_failed", having(DECLINED, of_card, odd)),
    ):
        is_refused(gateway, event(kind, told))


@pytest.mark.parametrize("odd", [*NO_TEXT[:-1], "x" * 5001], ids=lambda odd: ascii(odd)[:20])
def test_messages_and_addresses_that_cannot_be_kept_are_refused(
    gateway: StripeGateway, odd: object
) -> None:
    message = having(DECLINED, ("last_payment_error", "message"), odd or [odd])
    is_refused(gateway, event("payment_intent.payment_failed", message))
    page = having(CHALLENGED, ("next_action", "redirect_to_url", "url"), odd)
    is_refused(gateway, event("payment_intent.requires_action", page))


def test_no_whole_card_number_is_taken_for_its_last_four_digits(gateway: StripeGateway) -> None:
    last4 = ("last_payment_error", "payment_method", "card", "last4")
    whole_number = having(DECLINED, last4, "4242424242424242")
    is_refused(gateway, event("payment_intent.payment_failed", whole_number))


def test_the_largest_that_makes_sense_is_read(gateway: StripeGateway) -> None:
    told = REFUND | {"id": "re_" + "1" * 252, "amount": 10**12 - 1}
    whole = event("refund.created", having(told, ("metadata", "order_id"), "x" * 255))
    seen = read_event(gateway, whole | {"id": "evt_" + "1" * 251, "created": 10**10 - 1})
    assert seen.refund is not None
    assert (seen.refund.refund_id, seen.refund.amount.minor) == (told["id"], 10**12 - 1)
    assert (seen.order_id, len(seen.event_id)) == ("x" * 255, 255)
    assert seen.created_at.year == 2286


# Whatever else


def places(inner: object, path: Place = ()) -> Iterator[Place]:
    """Every path in an event."""
    if path:
        yield path
    if isinstance(inner, dict):
        for name, value in inner.items():
            yield from places(value, (*path, name))


_TOLD = [REFUND, DISPUTE, DECLINED, HELD, CHALLENGED, {}]
_PLACES = sorted({path for told in _TOLD for path in places(event("", told))})
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from([*NO_NAME, *NO_AMOUNT, *NO_TIME]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=4,
)


@given(
    kind=st.sampled_from(KINDS),
    told=st.sampled_from(_TOLD),
    odd=st.lists(st.tuples(st.sampled_from(_PLACES), _ANYTHING), max_size=3),
)
def test_whatever_stripe_signs_can_be_kept_or_is_refused_and_never_crashes(
    gateway: StripeGateway, kind: str, told: Json, odd: list[tuple[Place, object]]
) -> None:
    whole = event(kind, told)
    for path, value in odd:
        whole = having(whole, path, value)
    try:
        seen = read_event(gateway, whole)
    except InvalidCallbackError:
        return
    kept = _EVENT.dump_json(seen)
    assert _EVENT.validate_json(kept) == seen
    assert rb"\u0000" not in kept
    for number in values(json.loads(kept)):
        assert type(number) is not float
        assert not isinstance(number, int) or 0 <= number < 2**63
    for name in (seen.event_id, seen.transaction_id or "pi_1"):
        assert re.fullmatch("[A-Za-z0-9_]{1,255}", name)
    if seen.refund is not None:
        assert seen.refund.name in {None, refund_name("order-1", "first")}


def values(inner: object) -> Iterator[object]:
    """Everything in it that holds nothing else."""
    if isinstance(inner, dict | list):
        for value in inner.values() if isinstance(inner, dict) else inner:
            yield from values(value)
    else:
        yield inner
