"""How an invitation stands, in words; a leaf, for rows and for the list of holders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.deliveries import Stage
from banklink.core.invitations import OPEN, Purpose, State
from banklink.core.texts import N_
from banklink.store.facts import Asked
from banklink.web.i18n import _, day, day_of, when
from banklink.web.mail_words import why

STATES: dict[State, str] = {
    State.SENT: N_("Sent"),
    State.OPENED: N_("Opened"),
    State.ACCEPTED: N_("Accepted"),
    State.DECLINED: N_("Declined"),
    State.EXPIRED: N_("Expired"),
    State.WITHDRAWN: N_("Withdrawn"),
}

PURPOSES: dict[Purpose, str] = {
    Purpose.CONNECT: N_("Permission"),
    Purpose.REPAIR: N_("Permission again"),
    Purpose.RENEW: N_("Renewal"),
}

_WHAT: dict[str, str] = {
    "connect": N_("Invitation"),
    "repair": N_("Invitation"),
    "renew": N_("Renewal request"),
}

_UNSENT: dict[str, str] = {
    "refused": N_("The mail to %(email)s was not accepted"),
    "failing": N_("The mail to %(email)s could not be sent yet"),
    "waiting": N_("%(what)s to %(email)s is ready to be sent"),
    "handed": N_("%(what)s for %(name)s: hand over the link"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """`tone` is "" while one only has to wait, todo where the reader can do something, broken where
    it did not arrive."""

    text: str
    detail: str | None
    tone: str = ""


def words(asked: Asked, at: Moment, *, posts: bool) -> Words:
    """`posts`: whether a mail server is set up."""
    invitation, state = asked.invitation, asked.state(at.now)
    names = {
        "what": _(_WHAT[invitation.purpose]),
        "email": invitation.email,
        "name": invitation.name,
    }
    until = "· " + _(
        "good until %(date)s", date=day(amsterdam_day(invitation.expires_at - timedelta(seconds=1)))
    )
    if invitation.asked_again_at is not None and state not in OPEN:
        text = _("%(name)s asks for a new link", **names)
        return Words(text, when(invitation.asked_again_at, at.today), "todo")
    if state is State.DECLINED and invitation.declined_at:
        text = _("%(name)s did not allow it", **names)
        return Words(text, when(invitation.declined_at, at.today), "todo")
    if state is State.EXPIRED:
        text = _("%(what)s to %(email)s has expired", **names)
        return Words(text, _("on %(date)s", date=day_of(invitation.expires_at)), "todo")
    if state is State.OPENED:
        return Words(_("%(name)s opened it and has not finished yet", **names), until)
    delivery = _delivery(asked, posts)
    if delivery is not None:
        tone = "broken" if delivery == "refused" else "todo"
        error = asked.delivery.error if asked.delivery is not None else None
        detail = why(error) if error and delivery in ("refused", "failing") else until
        return Words(_(_UNSENT[delivery], **names), detail, tone)
    return Words(_("%(what)s sent to %(email)s", **names), until)


_SHORT: dict[str, str] = {
    "refused": N_("Not accepted"),
    "failing": N_("Not sent yet"),
    "waiting": N_("Waits to be sent"),
    "handed": N_("Link made"),
}


def short(asked: Asked, at: Moment, *, posts: bool) -> str:
    """The state in a word or two; sent only where it was."""
    state = asked.state(at.now)
    delivery = _delivery(asked, posts) if state is State.SENT else None
    return _(_SHORT[delivery] if delivery else STATES[state])


def _delivery(asked: Asked, posts: bool) -> str | None:
    """What keeps it from being there; None when it was sent, or is about to be."""
    delivery = asked.delivery
    if delivery is None:
        return "handed"
    if delivery.stage is Stage.SENT:
        return None
    if delivery.stage is Stage.REFUSED:
        return "waiting" if delivery.error == "stale" else "refused"
    if not posts:
        return "waiting"
    return "failing" if delivery.stage is Stage.FAILING else None
