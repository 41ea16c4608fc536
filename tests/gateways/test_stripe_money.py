"""Amounts as Stripe writes them, where its decimals are not those of ISO 4217."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.money import InvalidAmountError, Money
from app.gateways.stripe_money import RULES, check, from_stripe, to_stripe

# currency, our minor units (ISO 4217), Stripe's units, the smallest charge in ours
_ROWS = [
    ("bif", 500, 500, 1),
    ("clp", 500, 500, 1),
    ("djf", 500, 500, 1),
    ("gnf", 500, 500, 1),
    ("jpy", 500, 500, 50),
    ("kmf", 500, 500, 1),
    ("krw", 500, 500, 1),
    ("mga", 50000, 500, 100),
    ("pyg", 500, 500, 1),
    ("rwf", 500, 500, 1),
    ("vnd", 500, 500, 1),
    ("vuv", 500, 500, 1),
    ("xaf", 500, 500, 1),
    ("xof", 500, 500, 1),
    ("xpf", 500, 500, 1),
    ("isk", 500, 50000, 1),
    ("ugx", 500, 50000, 1),
    ("bhd", 1230, 1230, 10),
    ("jod", 1230, 1230, 10),
    ("kwd", 1230, 1230, 10),
    ("omr", 1230, 1230, 10),
    ("tnd", 1230, 1230, 10),
    ("huf", 80055, 80055, 17500),
    ("twd", 80055, 80055, 1),
    ("aed", 4999, 4999, 200),
    ("aud", 4999, 4999, 50),
    ("bgn", 4999, 4999, 100),
    ("brl", 4999, 4999, 50),
    ("cad", 4999, 4999, 50),
    ("chf", 4999, 4999, 50),
    ("czk", 4999, 4999, 1500),
    ("dkk", 4999, 4999, 250),
    ("eur", 4999, 4999, 50),
    ("gbp", 4999, 4999, 30),
    ("hkd", 4999, 4999, 400),
    ("inr", 4999, 4999, 50),
    ("mxn", 4999, 4999, 1000),
    ("myr", 4999, 4999, 200),
    ("nok", 4999, 4999, 300),
    ("nzd", 4999, 4999, 50),
    ("pln", 4999, 4999, 200),
    ("ron", 4999, 4999, 200),
    ("sek", 4999, 4999, 300),
    ("sgd", 4999, 4999, 50),
    ("thb", 4999, 4999, 1000),
    ("usd", 4999, 4999, 50),
    ("zar", 4999, 4999, 1),  # has no row at Stripe's side: two decimals, no minimum
]
_CURRENCIES = [row[0] for row in _ROWS]


def test_every_special_currency_is_tested_here() -> None:
    assert set(_CURRENCIES) == {*RULES, "zar"}
    assert len(_CURRENCIES) == len(RULES) + 1


@pytest.mark.parametrize(("currency", "ours", "stripes", "smallest"), _ROWS, ids=_CURRENCIES)
def test_each_currency_in_stripes_units(
    currency: str, ours: int, stripes: int, smallest: int
) -> None:
    money = Money(ours, currency)
    assert to_stripe(money) == stripes
    assert from_stripe(stripes, currency) == money
    check(money)
    check(Money(smallest, currency))
    with pytest.raises(InvalidAmountError):
        check(Money(smallest - 1, currency))


@given(st.integers(0, 10**12), st.sampled_from(_CURRENCIES))
def test_there_and_back_is_the_same_money(minor: int, currency: str) -> None:
    money = Money(minor * 100 if currency == "mga" else minor, currency)
    assert from_stripe(to_stripe(money), currency) == money


def test_what_stripe_cannot_write_is_refused_and_never_rounded() -> None:
    with pytest.raises(InvalidAmountError, match="more decimals"):
        to_stripe(Money(50001, "mga"))
    with pytest.raises(InvalidAmountError, match="more decimals"):
        check(Money(50001, "mga"))


@pytest.mark.parametrize("currency", ["isk", "ugx"])
def test_decimals_that_must_be_zero_are_never_cut_off(currency: str) -> None:
    with pytest.raises(InvalidAmountError, match="0 decimal places"):
        from_stripe(50050, currency)


@pytest.mark.parametrize("currency", ["bhd", "jod", "kwd", "omr", "tnd"])
def test_the_last_of_three_decimals_must_be_zero(currency: str) -> None:
    with pytest.raises(InvalidAmountError, match="last digit"):
        check(Money(1234, currency))


@pytest.mark.parametrize(
    ("currency", "minimum", "shown"),
    [("usd", 50, "0.50 USD"), ("jpy", 50, "50 JPY"), ("huf", 17500, "175.00 HUF")],
)
def test_a_charge_that_is_too_small_is_told_the_smallest(
    currency: str, minimum: int, shown: str
) -> None:
    with pytest.raises(InvalidAmountError, match=f"smallest charge is {shown}"):
        check(Money(minimum - 1, currency))


@pytest.mark.parametrize("currency", _CURRENCIES)
def test_nothing_cannot_be_charged(currency: str) -> None:
    with pytest.raises(InvalidAmountError, match="more than 0"):
        check(Money(0, currency))


@pytest.mark.parametrize(
    ("currency", "maximum"),
    [
        ("usd", 99_999_999),
        ("jpy", 99_999_999),
        ("isk", 999_999),
        ("mga", 9_999_999_900),
        ("bhd", 99_999_990),
    ],
)
def test_the_largest_charge_has_eight_digits(currency: str, maximum: int) -> None:
    largest = Money(maximum, currency)
    check(largest)
    with pytest.raises(InvalidAmountError, match=f"largest charge is {largest};"):
        check(Money(maximum + 100, currency))
