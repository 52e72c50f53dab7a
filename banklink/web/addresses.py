"""Addresses that several pages lead to."""

from __future__ import annotations

from flask import url_for


def help_address(status: str) -> str:
    """The help chapter of a status (the word in a row's data-status)."""
    return url_for("help.page", _anchor=status)
