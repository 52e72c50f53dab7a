"""Money as an integer of minor units, exact in every currency."""

from __future__ import annotations

import re
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

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

_PLACES = dict.fromkeys(_NO_MINOR, 0) | dict.fromkeys(_THREE, 3)
_MOST_DIGITS = 40
_EXACT = Context(prec=_MOST_DIGITS, traps=[Inexact, InvalidOperation, Overflow])


def exponent(currency: str) -> int:
    """Decimals of an ISO 4217 currency: 2, but 0 or 3 for the listed ones."""
    return _PLACES.get(currency, 2)


def to_minor(amount: Decimal, currency: str) -> int:
    """An exact amount in minor units. ValueError when it is finer than the currency has, is not a
    number, or is absurdly large: money is never rounded silently, whatever the precision of
    the decimal context."""
    try:  # nearly always; what is odd in any way is looked at below
        if amount.adjusted() < 20:
            scaled = _EXACT.scaleb(amount, _PLACES.get(currency, 2))
            if scaled == (minor := int(scaled)):
                return minor
    except (DecimalException, ValueError, OverflowError):
        pass
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
    whole = int(whole * 10**shift)
    return -whole if sign else whole


def to_decimal(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-exponent(currency))


_SIGNS = {"-": -1, "\u2212": -1, "\u2013": -1, "+": 1}
_GROUPED = re.compile(r"\d{1,3}([.,'])\d{3}(\1\d{3})*")


def typed_amount(text: str) -> tuple[Decimal, bool] | None:
    """An amount as people write it, and whether it has a sign: 1.234,56, 1,234.56, € 12,5, -12.50
    or 12,50-. A single point or comma before three digits sets thousands apart. None when it is no
    amount."""
    plain = re.sub(r"\s|[€$£]|EUR|USD|GBP", "", text, flags=re.IGNORECASE)
    plain = re.sub(r"[.,][-=\u2013\u2014]{1,2}$", "", plain)  # 100,- has no cents, and no sign
    sign = next((_SIGNS[end] for end in (plain[:1], plain[-1:]) if end in _SIGNS), 0)
    plain = plain.strip("".join(_SIGNS)).removesuffix(",").removesuffix(".")
    whole, mark, rest = plain, "", ""
    if not _GROUPED.fullmatch(plain) or plain.startswith("0"):
        at = max(plain.rfind("."), plain.rfind(","))
        if at >= 0:
            whole, mark, rest = plain[:at], plain[at], plain[at + 1 :]
    grouped = _GROUPED.fullmatch(whole)
    if grouped:
        if grouped[1] == mark:
            return None
        whole = whole.replace(grouped[1], "")
    digits = whole + rest
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        return None
    return Decimal(f"{whole or 0}.{rest or 0}") * (sign or 1), bool(sign)
