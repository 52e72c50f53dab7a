"""Money as an integer of minor units, exact in every currency."""

from __future__ import annotations

from decimal import Decimal

_NO_MINOR = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])

_MOST_DIGITS = 40


def exponent(currency: str) -> int:
    """Decimals of an ISO 4217 currency: 2, but 0 or 3 for the listed ones."""
    return 0 if currency in _NO_MINOR else 3 if currency in _THREE else 2


def to_minor(amount: Decimal, currency: str) -> int:
    """An exact amount in minor units. ValueError when it is finer than the currency has, is not a
    number, or is absurdly large: money is never rounded silently, whatever the precision of
    the decimal context."""
    if not amount.is_finite():
        raise ValueError("amount is not a number")
    sign, digits, power = amount.as_tuple()
    whole = int("".join(map(str, digits)))
    if whole == 0:
        return 0
    assert isinstance(power, int)
    shift = power + exponent(currency)
    if amount.adjusted() + exponent(currency) >= _MOST_DIGITS:
        raise ValueError("amount is too large")
    if -shift > len(digits):
        raise ValueError("amount is finer than the currency's minor unit")
    if shift < 0:
        whole, rest = divmod(whole, 10**-shift)
        if rest:
            raise ValueError("amount is finer than the currency's minor unit")
        shift = 0
    minor: int = whole * 10**shift
    return -minor if sign else minor


def to_decimal(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-exponent(currency))
