"""The sentences of a row's history: event codes and parameters in, words out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from banklink.core.statuses import BY_KEY
from banklink.core.texts import N_
from banklink.store.models import Event
from banklink.web.i18n import _, ago, day, day_of, moment, ngettext
from banklink.web.viewmodel import EventView

_KINDS: dict[str, str] = {
    "status": N_("Now: %(status)s"),
    "authorised": N_("%(holder)s connected at the bank, valid until %(until)s"),
    "authorised_open": N_("%(holder)s connected at the bank"),
    "switched_on": N_("Switched on by %(actor)s via %(holder)s, from %(start)s"),
    "switched_off": N_("Switched off by %(actor)s"),
    "switch_off_undone": N_("Switched on again by %(actor)s"),
    "armed": N_("%(actor)s: switch on by itself after the bank step, from %(start)s"),
    "disarmed": N_("%(actor)s: no longer switch on by itself"),
    "start_changed": N_("Start date set to %(start)s by %(actor)s"),
    "holder_chosen": N_("Fetch via %(holder)s, chosen by %(actor)s"),
    "journal_chosen": N_("IBAN put on journal %(code)s %(name)s by %(actor)s"),
    "journal_released": N_("IBAN taken off journal %(code)s %(name)s by %(actor)s"),
    "reminded": N_("Reminder mailed to %(holder)s"),
    "gap": N_("The bank no longer gives %(since)s up to %(until)s"),
    "file_taken_back": N_("%(actor)s took the file %(file)s back"),
    "hidden": N_("%(actor)s: does not belong here, hidden"),
    "shown_again": N_("%(actor)s: shown again"),
    "invited": N_("%(actor)s invited %(invited)s by mail"),
    "invited_again": N_("%(actor)s sent the invitation to %(invited)s again"),
    "renewal_requested": N_("%(actor)s asked %(invited)s by mail to renew"),
    "link_made": N_("%(actor)s made a link for %(invited)s"),
    "invitation_withdrawn": N_("%(actor)s withdrew the invitation to %(invited)s"),
    "invitation_declined": N_("%(invited)s did not allow it"),
    "invitation_wanted": N_("%(invited)s asked for a new link"),
    "invitation_accepted": N_("%(invited)s followed the invitation"),
    "access_withdrawn": N_("%(actor)s withdrew the access of %(holder)s"),
    "access_end_confirmed": N_("The end of the access of %(holder)s was confirmed"),
    "holder_forgotten": N_("%(actor)s deleted the data of %(holder)s"),
    "exported": N_("%(actor)s made statements of %(since)s to %(until)s: %(bookings)s"),
    "removed": N_("Link removed by %(actor)s; transactions kept"),
    "accepted": N_("%(actor)s took in what waited, of %(since)s up to %(until)s: %(count)s"),
    "rejected": N_("%(actor)s left out what waited, of %(since)s up to %(until)s: %(count)s"),
    "taken_out": N_(
        "%(actor)s removed transactions of %(since)s up to %(until)s: %(count)s; they stay known"
    ),
    "put_back": N_("%(actor)s put back transactions of %(since)s up to %(until)s: %(count)s"),
}


def event_view(
    event: Event, holders: Mapping[int, str], invited: Mapping[int, str], now: datetime
) -> EventView:
    """One line of history. `holders` and `invited`: names by number, of holders and of who was
    invited. An unknown kind (of a newer version) shows its code."""
    return EventView(
        when=moment(event.at),
        about=ago(event.at, now),
        iso=event.at.isoformat(timespec="seconds"),
        text=_text(event, holders, invited),
    )


def _text(event: Event, holders: Mapping[int, str], invited: Mapping[int, str]) -> str:
    params: dict[str, Any] = dict(event.params)
    params["actor"] = event.actor or _("the program")
    if event.kind == "fetched":
        return ngettext(
            "%(n)s new transaction fetched", "%(n)s new transactions fetched", params["added"]
        )
    if event.kind == "file_taken_in":
        return ngettext(
            "%(n)s new transaction from the file %(file)s, taken in by %(actor)s",
            "%(n)s new transactions from the file %(file)s, taken in by %(actor)s",
            params["added"],
            file=params["file"],
            actor=params["actor"],
        )
    if event.kind == "exported":
        params["bookings"] = ngettext("%(n)s transaction", "%(n)s transactions", params["count"])
    if event.kind == "status":
        row = BY_KEY.get(params["to"])
        params["status"] = _(row.chip) if row else params["to"]
    if "holder" in params:
        params["holder"] = holders.get(params["holder"], _("the account holder"))
    if "invitation" in params:
        params["invited"] = invited.get(params["invitation"]) or _("the account holder")
    for name, shown in _DAYS.items():
        if params.get(name):
            params[name] = shown(str(params[name]))
    kind = event.kind
    if kind == "authorised" and not event.params.get("until"):
        kind = "authorised_open"
    sentence = _KINDS.get(kind)
    return _(sentence, **params) if sentence else kind


def _iso_day(text: str) -> str:
    return (
        day(date.fromisoformat(text)) if len(text) == 10 else day_of(datetime.fromisoformat(text))
    )


_DAYS: dict[str, Callable[[str], str]] = {
    "start": _iso_day,
    "since": _iso_day,
    "until": _iso_day,
}
