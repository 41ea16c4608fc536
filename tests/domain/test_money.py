"""Money is exact or it is refused."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.money import InvalidAmountError, Money, exponent, shown

CURRENCIES = st.sampled_from(["usd", "jpy", "bhd", "isk", "mga", "clp", "tnd"])


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("49.99", "usd", 4999),
        ("49.990", "usd", 4999),
        ("49.9", "usd", 4990),
        ("5E+1", "usd", 5000),
        ("0", "usd", 0),
        ("-0.00", "usd", 0),
        ("0.07", "eur", 7),
        ("1999", "jpy", 1999),
        ("1999.0", "jpy", 1999),
        ("1.234", "bhd", 1234),
        ("999999999999999.999", "kwd", 999_999_999_999_999_999),
    ],
)
def test_an_amount_is_read_exactly(amount: str, currency: str, minor: int) -> None:
    assert Money.from_decimal(Decimal(amount), currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("49.999", "usd"),
        ("0.5", "jpy"),
        ("1.2345", "bhd"),
        ("1.00000000000000000000000000000000000001", "usd"),
        ("-0.01", "usd"),
        ("NaN", "usd"),
        ("sNaN", "usd"),
        ("Infinity", "usd"),
        ("-Infinity", "usd"),
        ("1E+15", "usd"),
        ("1E+999999", "usd"),
        ("1E-999999", "usd"),
        ("1", "USD"),
        ("1", "xyz"),
        ("1", ""),
    ],
)
def test_what_is_not_an_amount_is_refused_and_never_rounded(amount: str, currency: str) -> None:
    with pytest.raises(InvalidAmountError):
        Money.from_decimal(Decimal(amount), currency)


@pytest.mark.parametrize("minor", [49.99, 1.0, True, "1", Decimal(1), None])
def test_minor_units_are_an_int_and_nothing_like_it(minor: Any) -> None:
    with pytest.raises(TypeError):
        Money(minor, "usd")


def test_money_is_never_negative() -> None:
    with pytest.raises(InvalidAmountError):
        Money(-1, "usd")


@pytest.mark.parametrize(
    ("currency", "places"),
    [
        *[(currency, 0) for currency in "jpy isk ugx clp xpf krw vnd".split()],
        *[(currency, 2) for currency in "usd eur gbp mga huf twd mru".split()],
        *[(currency, 3) for currency in "bhd iqd jod kwd lyd omr tnd".split()],
    ],
)
def test_decimal_places_are_those_of_iso_4217(currency: str, places: int) -> None:
    assert exponent(currency) == places


@given(st.integers(0, 10**15 - 1), CURRENCIES)
def test_there_and_back_changes_nothing(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    written = str(money.to_decimal())
    assert len(written.partition(".")[2]) == exponent(currency)
    assert Money.from_decimal(Decimal(written), currency) == money


@given(st.decimals(allow_nan=False, allow_infinity=False), CURRENCIES)
def test_what_is_accepted_is_worth_exactly_what_was_written(amount: Decimal, currency: str) -> None:
    try:
        money = Money.from_decimal(amount, currency)
    except InvalidAmountError:
        return
    assert money.to_decimal() == amount


@given(st.integers(min_value=0), CURRENCIES)
def test_even_a_huge_amount_is_shown_to_the_last_digit(minor: int, currency: str) -> None:
    assert str(Money(minor, currency)).split()[0].replace(".", "").lstrip("0") == (
        str(minor).lstrip("0")
    )


def test_money_is_shown_for_people() -> None:
    assert str(Money(4999, "usd")) == "49.99 USD"
    assert str(Money(5, "usd")) == "0.05 USD"
    assert str(Money(1999, "jpy")) == "1999 JPY"
    assert str(Money(10**9, "bhd")) == "1000000.000 BHD"
    assert shown(-30, "usd") == "-0.30 USD"
