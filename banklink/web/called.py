"""What an account holder is called on a page, and the ways from there to what they allow."""

from __future__ import annotations

from banklink.core.masked import PSEUDONYM
from banklink.web.addresses import path_to
from banklink.web.i18n import _
from banklink.web.viewmodel import Button


def called(name: str | None, holder_id: int | str | None) -> str:
    """Their name; of whom none is kept any more a number, the same everywhere. Who was invited and
    never came has none."""
    if name or holder_id is None:
        return name or _("Removed name")
    return _(PSEUDONYM, n=holder_id)


def withdraw_button(administration_id: int, holder_id: int | str, name: str) -> Button:
    """The first of two clicks: it asks, and says what stops and what stays."""
    label = _("Withdraw access")
    return Button(
        action="withdraw",
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=name),
        method="get",
        url=path_to("consents.page", administration_id=administration_id, holder_id=int(holder_id))
        + "?open=withdraw#confirm",
    )
