"""People who do not exist, with accounts nobody authorised yet: for the app that runs alone."""

from __future__ import annotations

from typing import Any

from .bookings import with_check_digits


def _account(number: int, bank: tuple[str, str], description: str, owner: str) -> dict[str, Any]:
    name, code = bank
    return {
        "iban": with_check_digits("NL", f"{code}{number:010d}"),
        "bank": name,
        "description": description,
        "holder_name": owner,
        "in_app": False,
        "opened_days_ago": 400,
    }


_DEMO, _EXAMPLE = ("Demobank", "DEMO"), ("Voorbeeldbank", "VOOR")

WORLD: dict[str, Any] = {
    "banks": [{"name": name, "code": code} for name, code in (_DEMO, _EXAMPLE)],
    "holders": [
        {
            "key": "noor",
            "name": "Noor Visser",
            "email": "noor@fietsenmakerij.example",
            "accounts": [
                _account(31415926, _DEMO, "Zakelijke rekening", "Fietsenmakerij Visser"),
                _account(27182818, _EXAMPLE, "Spaarrekening", "Fietsenmakerij Visser"),
            ],
        },
        {
            "key": "bram",
            "name": "Bram Smit",
            "email": "bram@smithout.example",
            "accounts": [_account(16180339, _DEMO, "Zakelijke rekening", "Smit Hout")],
        },
    ],
}
