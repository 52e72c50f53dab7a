"""Money is exact in every currency, or refused; never rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.money import to_decimal, to_minor


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.01", "EUR", 1),
        ("-0.01", "EUR", -1),
        ("0.29", "EUR", 29),
        ("1234567.89", "EUR", 123456789),
        ("7", "EUR", 700),
        ("7.500", "EUR", 750),
        ("1E+3", "EUR", 100000),
        ("-0.00", "EUR", 0),
        ("500", "JPY", 500),
        ("500.0", "JPY", 500),
        ("1.234", "BHD", 1234),
        ("1", "KWD", 1000),
        ("92233720368547758.07", "EUR", 9223372036854775807),
        ("99999999999999999999999999.99", "EUR", 9999999999999999999999999999),
    ],
)
def test_an_amount_becomes_whole_cents_and_back(amount: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(amount), currency) == minor
    assert to_decimal(minor, currency) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("1.005", "EUR"), ("0.001", "EUR"), ("0.5", "JPY"), ("1.2345", "BHD"), ("1E-9", "EUR")],
)
def test_an_amount_finer_than_its_currency_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match="finer"):
        to_minor(Decimal(amount), currency)


@pytest.mark.parametrize("amount", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        to_minor(Decimal(amount), "EUR")


@pytest.mark.parametrize(
    "amount", ["1.000000000000000000000000000001", "0.1" + "0" * 40 + "1", "0.1" + "0" * 90 + "1"]
)
def test_an_amount_with_very_many_decimals_is_refused_and_not_rounded(amount: str) -> None:
    with pytest.raises(ValueError, match="finer"):
        to_minor(Decimal(amount), "EUR")


@pytest.mark.parametrize(
    "amount", ["12345678901234567890123456789.01", "1E+999999"], ids=["31 digits", "a million"]
)
def test_an_absurdly_large_amount_is_exact_or_refused_and_never_another_amount(amount: str) -> None:
    try:
        minor = to_minor(Decimal(amount), "EUR")
    except ValueError:
        return
    assert str(minor) == "1234567890123456789012345678901"


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(("EUR", "USD", "JPY", "BHD")))
def test_every_amount_the_database_holds_survives_the_round_trip(minor: int, currency: str) -> None:
    assert to_minor(to_decimal(minor, currency), currency) == minor


def test_currencies_without_cents_and_with_three_decimals_are_known() -> None:
    """ISO 4217, table A.1."""
    ones = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()
    thousands = "BHD IQD JOD KWD LYD OMR TND".split()
    hundreds = "EUR USD GBP CHF DKK NOK SEK PLN CZK HUF RON BGN TRY AED MGA MRU CNY".split()
    assert {to_minor(Decimal(1), currency) for currency in ones} == {1}
    assert {to_minor(Decimal(1), currency) for currency in thousands} == {1000}
    assert {to_minor(Decimal(1), currency) for currency in hundreds} == {100}
