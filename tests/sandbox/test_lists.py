"""Lists are newest first, filtered and paged."""

from typing import Any

import pytest
import stripe

from tests.sandbox.program import Receiver, Sandbox, payment, until


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


async def _one_of_each(sandbox: Sandbox, order: str) -> dict[str, str]:
    """A customer with a payment that was refunded in part and disputed: the ids by list."""
    customer = await sandbox.stripe.customers.create_async({"name": "A. Payer"})
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order, capture_method="automatic", customer=customer.id)
    )
    refund = await sandbox.stripe.refunds.create_async({"payment_intent": intent.id, "amount": 100})
    dispute = await sandbox.control("disputes", payment_intent=intent.id)
    events = await sandbox.stripe.events.list_async({"limit": 1})
    return {
        "customers": customer.id,
        "payment_intents": intent.id,
        "charges": str(intent.latest_charge),
        "refunds": refund.id,
        "disputes": dispute["id"],
        "balance_transactions": dispute["balance_transactions"][0]["id"],
        "events": events.data[0].id,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "customers",
        "payment_intents",
        "charges",
        "refunds",
        "disputes",
        "balance_transactions",
        "events",
    ],
)
async def test_every_list_is_paged_and_bounded_alike(slow_sandbox: Sandbox, kind: str) -> None:
    service: Any = getattr(slow_sandbox.stripe, kind)
    old = (await _one_of_each(slow_sandbox, "old"))[kind]
    await slow_sandbox.control("clock", advance_seconds=3600)
    new = (await _one_of_each(slow_sandbox, "new"))[kind]
    everything = [each.id for each in (await service.list_async({"limit": 100})).data]
    assert everything[0] == new
    place = everything.index(old)
    moment = (await service.retrieve_async(new)).created

    async def ids(**params: Any) -> list[str]:
        return [each.id for each in (await service.list_async({"limit": 100, **params})).data]

    assert await ids(created={"lt": moment - 1800}) == everything[place:]
    assert await ids(created={"gte": moment - 1800}) == everything[:place]
    assert await ids(created={"gt": moment - 3700, "lte": moment}) == everything
    assert await ids(starting_after=old) == everything[place + 1 :]
    assert await ids(ending_before=old) == everything[:place]
    page = await service.list_async({"limit": 1})
    assert ([each.id for each in page.data], page.has_more) == ([new], True)
    assert [each.id async for each in page.auto_paging_iter()] == everything
    for wrong in (
        {"limit": 0},
        {"limit": 101},
        {"starting_after": "nothing_1"},
        {"ending_before": "nothing_1"},
        {"starting_after": new, "ending_before": old},
        {"created": "soon"},
        {"created": {"since": 1}},
        {"colour": "red"},
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await service.list_async(wrong)
        assert refusal.value.http_status == 400, wrong


async def test_an_expansion_reaches_into_lists_and_through_objects(
    sandbox: Sandbox, order: str
) -> None:
    ids = await _one_of_each(sandbox, order)
    refunds: Any = await sandbox.stripe.refunds.list_async(
        {
            "payment_intent": ids["payment_intents"],
            "expand": ["data.payment_intent.latest_charge", "data.payment_intent.customer"],
        }
    )
    intent = refunds.data[0].payment_intent
    assert (intent.latest_charge.id, intent.customer.id) == (ids["charges"], ids["customers"])
    charge: Any = await sandbox.stripe.charges.retrieve_async(
        ids["charges"], {"expand": ["balance_transaction", "refunds"]}
    )
    assert charge.balance_transaction.source == charge.id
    assert [refund.id for refund in charge.refunds.data] == [ids["refunds"]]


@pytest.mark.parametrize(
    "path",
    [
        "data",
        "data.colour",
        "data.latest_charge.colour",
        "latest_charge",
        "data.latest_charge.payment_intent.customer.address",
    ],
)
async def test_what_cannot_be_expanded_is_refused_even_in_an_empty_list(
    sandbox: Sandbox, path: str
) -> None:
    intents = sandbox.stripe.payment_intents
    customer = await sandbox.stripe.customers.create_async({})
    params: Any
    for params in ({"customer": customer.id}, {"limit": 1}):
        params["expand"] = [path]
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await intents.list_async(params)
        assert (refusal.value.http_status, refusal.value.param) == (400, "expand")


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
    events = await sandbox.stripe.events.list_async({"limit": 100})
    listed: Any = [(event.type, event.data.object) for event in reversed(events.data)]
    seen = [
        (kind, about)
        for kind, about in listed
        if intent.id in (about["id"], about.to_dict().get("payment_intent"))
    ]
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


async def test_events_reach_back_thirty_days(own_sandbox: Sandbox) -> None:
    events = own_sandbox.stripe.events
    await own_sandbox.stripe.payment_intents.create_async(payment("long ago"))
    old = (await events.list_async({"limit": 1})).data[0]
    await own_sandbox.control("clock", advance_seconds=30 * 86400 - 60)
    await own_sandbox.stripe.payment_intents.create_async(payment("lately"))
    assert old.id in [event.id for event in (await events.list_async({"limit": 100})).data]
    await own_sandbox.control("clock", advance_seconds=61)
    listed = await events.list_async({"limit": 100})
    assert listed.data
    assert all(event.created > old.created for event in listed.data)
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await events.retrieve_async(old.id)
    assert refusal.value.http_status == 404


async def test_events_are_listed_by_whether_they_arrived(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    await own_sandbox.control("deliveries", mode="hold", types=["charge.succeeded"])
    await own_sandbox.stripe.payment_intents.create_async(payment("half"))

    async def types(*, arrived: bool) -> set[str]:
        listed = await own_sandbox.stripe.events.list_async({"delivery_success": arrived})
        return {event.type for event in listed.data}

    async def the_others_arrived() -> bool:
        return len(await types(arrived=True)) == 2

    await until(the_others_arrived)
    assert await types(arrived=False) == {"charge.succeeded"}
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "charge.succeeded", "types": ["charge.failed"]},
        {"types": ["charge.failed"] * 21},
        {"type": "Charge!"},
    ],
)
async def test_event_types_that_make_no_sense_are_refused(sandbox: Sandbox, wrong: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await sandbox.stripe.events.list_async(wrong)
