"""A card number is known in whatever spelling, and other numbers are left alone."""

import random
import uuid
from collections.abc import Callable
from urllib.parse import quote

import pytest

from app.api.schemas import InitiateRequest
from app.domain.card_numbers import holds_card_number
from tests.walk.cards import ISSUE_CARD, spaced
from tests.walk.running import by_token

FULL_WIDTH = "".join(chr(0xFF10 + int(digit)) for digit in ISSUE_CARD)
ARABIC = "".join(chr(0x0660 + int(digit)) for digit in ISSUE_CARD)


@pytest.mark.parametrize(
    "by",
    [
        "",
        " ",
        "  ",
        "-",
        "--",
        "_",
        ".",
        "/",
        "\t",
        "\n",
        " - ",
        "\u00a0",
        "\u200b",
        "\u2013",
        ":",
        ", ",
        "\u20e3",
    ],
)
@pytest.mark.parametrize("around", ["{}", "order-{}", "my card {}!", "2030-{}", "{}/12/30", "x{}y"])
def test_a_card_number_is_found_however_it_is_written(by: str, around: str) -> None:
    assert holds_card_number(around.format(spaced(ISSUE_CARD, by)))


@pytest.mark.parametrize("digits", [FULL_WIDTH, ARABIC, spaced(FULL_WIDTH, "　")])
def test_a_card_number_is_found_in_other_digits(digits: str) -> None:
    assert holds_card_number(f"order {digits}")


@pytest.mark.parametrize(
    "number",
    [
        "4222222222222",
        "378282246310005",
        "30569309025904",
        "5555555555554444",
        "2223003122003222",
        "6011111111111117",
        "3566002020360505",
        "6200000000000005",
        "6200000000000000000",
        "8112345678901239",  # UnionPay and RuPay
        "8112345678901234569",
        "8212345678901238",
        "5081234567890120",
        "9792123456789018",  # Troy
        "3612345678901235",  # Diners Club, longer than usual
        "3612345678901234563",
        "180012345678905",  # JCB, the old ones
        "213112345678904",
        "2204123456789012343",  # Mir
    ],
)
def test_every_brand_is_known(number: str) -> None:
    assert holds_card_number(number)
    assert holds_card_number("--".join(number))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-12345",
        "2030-01-02T03:04:05.678901",
        "20300102030405",
        "1893553445678",
        "4111a1111a1111a1111",
        "4111-1111-1111-1112",
        "0123456789012345",
        "501801234565",  # Maestro, shorter than usual: order ids look so
        "8f14e45f-ceea-467f-9575-1c2e3d4f5a6b",
        "+49 30 1234567",
        "²³½ ٤٩",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    "field", [{"order_id": spaced(ISSUE_CARD, "--")}, {"metadata": {"note": FULL_WIDTH}}]
)
def test_a_request_with_a_card_number_in_the_wrong_place_is_refused(field: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="looks like a card number"):
        InitiateRequest.model_validate({**by_token("order-1"), **_amount, **field})


def test_an_international_domain_becomes_what_mail_servers_know() -> None:
    body = {**by_token("order-1"), **_amount, "customer_email": "käufer@bücher.example.com"}
    taken = InitiateRequest.model_validate(body)
    assert taken.customer_email == "käufer@xn--bcher-kva.example.com"


_amount = {"amount": "49.99"}


_random = random.Random(20261123)  # noqa: S311 - the same identifiers in every run


@pytest.mark.parametrize(
    "made",
    [
        lambda: str(uuid.UUID(int=_random.getrandbits(128), version=4)),
        lambda: f"order-{uuid.UUID(int=_random.getrandbits(128), version=4).hex}",
        lambda: _random.randbytes(12).hex().upper(),
        lambda: _random.randbytes(32).hex(),
        lambda: f"order_{uuid.UUID(int=_random.getrandbits(128), version=4)}_1",
    ],
    ids=["uuid", "uuid-hex", "12-bytes", "32-bytes", "named"],
)
def test_no_random_identifier_is_taken_for_a_card_number(made: Callable[[], str]) -> None:
    assert [text for text in (made() for _ in range(10_000)) if holds_card_number(text)] == []


def test_a_name_before_a_random_identifier_changes_nothing() -> None:
    assert not holds_card_number("evt_bf4612116649227fa2c52ef8")


@pytest.mark.parametrize(
    "text",
    [
        quote(spaced(ISSUE_CARD)),
        quote(quote(f"https://shop.example/?card={spaced(ISSUE_CARD)}&code=123")),
        f";{ISSUE_CARD}=3012101000000000?",
        f"{ISSUE_CARD}D30121010000000",
    ],
    ids=["percent-encoded", "twice", "track-2", "track-2-hexadecimal"],
)
def test_a_card_number_is_found_as_machines_write_it(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{ISSUE_CARD}-0c5a9f6e-3f2b-4a55-9c1d-2f6f0a7f4f11",
        f"0c5a9f6e-3f2b-4a55-9c1d-2f6f0a7f4f11 {ISSUE_CARD}",
        "42424242-4242-4242-0000-000000000000",
        f"{ISSUE_CARD}abcdef",
        f"dead{ISSUE_CARD}",
        f"msg_2f6f0a7f4f112f6f0a7f4f11_{ISSUE_CARD}",
        f"{ISSUE_CARD}_2f6f0a7f4f112f6f0a7f4f11",
    ],
)
def test_beside_a_random_identifier_a_card_number_is_found(text: str) -> None:
    assert holds_card_number(text)
