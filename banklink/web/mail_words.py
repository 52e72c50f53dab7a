"""How a mail fares, in words."""

from __future__ import annotations

from dataclasses import dataclass

from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.deliveries import OVERTAKEN, Delivery, Stage
from banklink.core.texts import N_
from banklink.web.i18n import _, when

WHY: dict[str, str] = {
    "recipient": N_("the mail server refuses this address"),
    "relay": N_("the mail server does not take mails from us"),
    "recipient_later": N_("the mail server takes nothing for this address just now"),
    "content": N_("the mail server refuses this mail"),
    "content_later": N_("the mail server does not take this mail just now"),
    "address_wrong": N_("this is no e-mail address"),
    "address_letters": N_("the mail server takes no letters like é in an address"),
    "sender": N_("the mail server does not accept the address it comes from"),
    "login": N_("the mail server does not accept our name and password"),
    "login_missing": N_("the mail server offers no way to sign in that we know"),
    "starttls_missing": N_("the mail server offers no encryption"),
    "certificate": N_("the mail server cannot prove who it is: its certificate is not trusted"),
    "tls": N_("no encrypted connection with the mail server can be made"),
    "timeout": N_("the mail server does not answer"),
    "name_not_found": N_("the name of the mail server is not found"),
    "no_connection": N_("the mail server cannot be reached"),
    "hung_up": N_("the mail server broke off"),
    "busy": N_("the mail server takes no mails just now"),
    "fault": N_("a fault on our side, the log has more"),
    "unreadable": N_("it does not open with the keys that are set"),
    "stale": N_("it could not be sent for days"),
    "withdrawn": N_("the invitation was withdrawn"),
    "answered": N_("the invitation was answered by then"),
    "expired": N_("the invitation had expired by then"),
    "renewed": N_("the permission was renewed by then"),
    "late": N_("what it says is no longer so by now"),
    "newer": N_("a newer reminder goes instead"),
    "forgotten": N_("nothing is kept of this person any more"),
    "wiped": N_("its content was wiped after 30 days"),
    "sent": N_("it was sent already"),
    "being_sent": N_("it is being sent just now"),
    "no_mail_server": N_("no mail server is set up"),
}
"""What a code of a delivery means, as the rest of a sentence."""


def why(code: str) -> str:
    """The reason, with the numbers of the mail server. A code of a newer version shows itself."""
    word, _space, numbers = code.partition(" ")
    later = f"{word}_later" if numbers.startswith("4") else word
    sentence = WHY.get(later) or WHY.get(word)
    if sentence is None:
        return code
    return f"{_(sentence)} ({numbers})" if numbers else _(sentence)


@dataclass(frozen=True, slots=True)
class State:
    """`tone` is well, off, todo or broken, and the icon's name too."""

    tone: str
    label: str
    detail: str


def state_of(delivery: Delivery, at: Moment, *, posts: bool) -> State:
    """`posts`: whether a mail server is set up."""
    if delivery.stage is Stage.SENT and delivery.sent_at is not None:
        sent = when(delivery.sent_at, at.today)
        if delivery.sent_by is not None:
            detail = _("by %(who)s, %(when)s", who=delivery.sent_by, when=sent)
            return State("well", _("Sent by hand"), detail)
        return State("well", _("Sent"), sent)
    written = when(delivery.created_at, at.today)
    reason = why(delivery.error) if delivery.error else ""
    if delivery.stage is Stage.REFUSED:
        if delivery.error in OVERTAKEN:
            return State("off", _("Not sent"), reason)
        label = _("Not sent") if delivery.error == "stale" else _("Refused")
        return State("todo" if delivery.error == "stale" else "broken", label, reason)
    if delivery.stage is Stage.FAILING and posts and delivery.next_try is not None:
        # Machine time: where the demo clock was moved it is another day than on the page.
        at_time = when(delivery.next_try, amsterdam_day(at.real))
        detail = _("%(why)s; next try %(when)s", why=reason, when=at_time)
        return State("todo", _("Not sent yet"), detail)
    return State("off", _("To be sent") if posts else _("Ready to copy"), written)
