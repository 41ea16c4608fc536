"""Amounts as Stripe writes them, where its decimals are not those of ISO 4217."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.money import InvalidAmountError, Money
from app.gateways.stripe_money import check, from_stripe, to_stripe

# currency, our minor units (ISO 4217), Stripe's units
_ROWS = [
    ("usd", 4999, 4999),
    ("eur", 50, 50),
    ("gbp", 30, 30),
    ("huf", 17500, 17500),
    ("twd", 80000, 80000),
    ("bif", 500, 500),
    ("clp", 500, 500),
    ("djf", 500, 500),
    ("gnf", 500, 500),
    ("jpy", 500, 500),
    ("kmf", 500, 500),
    ("krw", 500, 500),
    ("pyg", 500, 500),
    ("rwf", 500, 500),
    ("vnd", 500, 500),
    ("vuv", 500, 500),
    ("xaf", 500, 500),
    ("xof", 500, 500),
    ("xpf", 500, 500),
    ("isk", 500, 50000),
    ("ugx", 500, 50000),
    ("mga", 50000, 500),
    ("bhd", 1230, 1230),
    ("jod", 1230, 1230),
    ("kwd", 1230, 1230),
    ("omr", 1230, 1230),
    ("tnd", 1230, 1230),
]


@pytest.mark.parametrize(("currency", "ours", "stripes"), _ROWS, ids=[row[0] for row in _ROWS])
def test_each_currency_in_stripes_units(currency: str, ours: int, stripes: int) -> None:
    money = Money(ours, currency)
    assert to_stripe(money) == stripes
    assert from_stripe(stripes, currency) == money
    check(money)


@given(st.integers(0, 10**12), st.sampled_from([row[0] for row in _ROWS]))
def test_there_and_back_is_the_same_money(minor: int, currency: str) -> None:
    money = Money(minor * 100 if currency == "mga" else minor, currency)
    assert from_stripe(to_stripe(money), currency) == money


def test_what_stripe_cannot_write_is_refused_and_never_rounded() -> None:
    with pytest.raises(InvalidAmountError, match="more decimals"):
        to_stripe(Money(50001, "mga"))
    with pytest.raises(InvalidAmountError, match="more decimals"):
        check(Money(50001, "mga"))


@pytest.mark.parametrize("currency", ["bhd", "jod", "kwd", "omr", "tnd"])
def test_the_last_of_three_decimals_must_be_zero(currency: str) -> None:
    with pytest.raises(InvalidAmountError, match="last digit"):
        check(Money(1234, currency))


@pytest.mark.parametrize(
    ("currency", "minimum", "shown"),
    [
        ("usd", 50, "0.50 USD"),
        ("gbp", 30, "0.30 GBP"),
        ("jpy", 50, "50 JPY"),
        ("huf", 17500, "175.00 HUF"),
    ],
)
def test_the_smallest_charge(currency: str, minimum: int, shown: str) -> None:
    check(Money(minimum, currency))
    with pytest.raises(InvalidAmountError, match=f"smallest charge is {shown}"):
        check(Money(minimum - 1, currency))


@pytest.mark.parametrize("currency", [row[0] for row in _ROWS])
def test_nothing_cannot_be_charged(currency: str) -> None:
    with pytest.raises(InvalidAmountError, match="more than 0"):
        check(Money(0, currency))


@pytest.mark.parametrize(
    ("currency", "maximum"),
    [("usd", 99_999_999), ("jpy", 99_999_999), ("isk", 999_999), ("bhd", 99_999_990)],
)
def test_the_largest_charge(currency: str, maximum: int) -> None:
    check(Money(maximum, currency))
    with pytest.raises(InvalidAmountError, match="largest charge"):
        check(Money(maximum + 10, currency))
