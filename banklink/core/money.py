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


def exponent(currency: str) -> int:
    """Decimals of an ISO 4217 currency: 2, but 0 or 3 for the listed ones."""
    return 0 if currency in _NO_MINOR else 3 if currency in _THREE else 2


def to_minor(amount: Decimal, currency: str) -> int:
    """An exact amount in minor units. ValueError when it is finer than the currency has, or is
    not a number: money is never rounded silently."""
    if not amount.is_finite():
        raise ValueError("amount is not a number")
    scaled = amount.scaleb(exponent(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError("amount is finer than the currency's minor unit")
    return int(scaled)


def to_decimal(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-exponent(currency))
