"""Lists are newest first, filtered and paged."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import Sandbox, payment


async def _intents(sandbox: Sandbox, count: int, **more: Any) -> list[str]:
    """New payment intents, newest first."""
    params: list[Any] = [{"amount": 1000 + n, "currency": "usd", **more} for n in range(count)]
    created = [await sandbox.stripe.payment_intents.create_async(each) for each in params]
    return [intent.id for intent in reversed(created)]


async def test_pages_follow_each_other_in_both_directions(sandbox: Sandbox) -> None:
    intents = sandbox.stripe.payment_intents
    a, b, c, d, e = await _intents(sandbox, 5)
    first = await intents.list_async({"limit": 2})
    assert ([found.id for found in first.data], first.has_more) == ([a, b], True)
    second = await intents.list_async({"limit": 2, "starting_after": b})
    assert [found.id for found in second.data] == [c, d]
    before = await intents.list_async({"limit": 2, "ending_before": e})
    assert [found.id for found in before.data] == [c, d]
    newest = await intents.list_async({"limit": 10, "ending_before": c})
    assert ([found.id for found in newest.data], newest.has_more) == ([a, b], False)


async def test_the_sdk_pages_by_itself_to_the_end_of_one_customer(sandbox: Sandbox) -> None:
    customer = await sandbox.stripe.customers.create_async({"name": "A. Payer"})
    mine = await _intents(sandbox, 5, customer=customer.id)
    await _intents(sandbox, 1)
    listed = await sandbox.stripe.payment_intents.list_async({"customer": customer.id, "limit": 2})
    assert [intent.id async for intent in listed.auto_paging_iter()] == mine


async def test_lists_are_bounded_by_the_time_of_creation(own_sandbox: Sandbox) -> None:
    intents = own_sandbox.stripe.payment_intents
    (old,) = await _intents(own_sandbox, 1)
    await own_sandbox.control("clock", advance_seconds=3600)
    (new,) = await _intents(own_sandbox, 1)
    moment = (await intents.retrieve_async(new)).created
    bounds: list[tuple[Any, list[str]]] = [
        ({"gte": moment}, [new]),
        ({"gt": moment}, []),
        ({"lt": moment}, [old]),
        ({"lte": moment}, [new, old]),
        (moment, [new]),
    ]
    for bound, expected in bounds:
        listed = await intents.list_async({"created": bound})
        assert [found.id for found in listed.data] == expected, bound


async def test_charges_are_found_by_their_payment(sandbox: Sandbox, order: str) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(payment(order))
    charges = await sandbox.stripe.charges.list_async(
        {"payment_intent": intent.id, "expand": ["data.payment_intent"]}
    )
    found: Any = charges.data
    assert [(charge.id, charge.payment_intent.id) for charge in found] == [
        (intent.latest_charge, intent.id)
    ]


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 101}, {"starting_after": "pi_nothing"}, {"created": "soon"}]
)
async def test_a_list_that_makes_no_sense_is_refused(sandbox: Sandbox, wrong: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await sandbox.stripe.payment_intents.list_async(wrong)


async def test_events_are_listed_by_type_and_retrieved(sandbox: Sandbox, order: str) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order), {"idempotency_key": f"{order}:authorize"}
    )
    one = await sandbox.stripe.events.list_async({"type": "charge.succeeded", "limit": 1})
    event: Any = one.data[0]
    assert event.data.object["payment_intent"] == intent.id
    assert event.request.idempotency_key == f"{order}:authorize"
    assert event.request.id.startswith("req_")
    assert (await sandbox.stripe.events.retrieve_async(event.id)).id == event.id
    several = await sandbox.stripe.events.list_async(
        {"types": ["charge.succeeded", "payment_intent.created"], "limit": 2}
    )
    assert {found.type for found in several.data} == {"charge.succeeded", "payment_intent.created"}
    group = await sandbox.stripe.events.list_async({"type": "payment_intent.*", "limit": 2})
    assert [found.type for found in group.data] == [
        "payment_intent.amount_capturable_updated",
        "payment_intent.created",
    ]


async def test_an_event_shows_its_object_as_it_was_then(sandbox: Sandbox, order: str) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(payment(order))
    await sandbox.stripe.payment_intents.capture_async(intent.id)
    events = await sandbox.stripe.events.list_async({"limit": 5})
    seen: Any = [(event.type, event.data.object) for event in reversed(events.data)]
    assert [kind for kind, _ in seen] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    assert [about["captured"] for kind, about in seen if kind.startswith("charge.")] == [
        False,
        True,
    ]
    assert seen[2][1]["amount_capturable"] == 1000
