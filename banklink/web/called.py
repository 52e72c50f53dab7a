"""What an account holder is called on a page."""

from __future__ import annotations

from banklink.core.masked import PSEUDONYM
from banklink.web.i18n import _


def called(name: str | None, holder_id: int | str | None) -> str:
    """Their name; of whom none is kept any more a number, the same everywhere."""
    return name or _(PSEUDONYM, n=holder_id)
