"""What help says of a status, beside what the table itself says: why, who can mend it, how.

The chapters of the help pages and of docs/statuses.md are made from the table and from this; the
button that a step names is the row's own, so that the words cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from banklink.core.statuses import (
    ACTION_LABELS,
    AT_THE_BANK,
    BY_MAIL,
    TABLE,
    Action,
    Overlay,
    Row,
    Status,
)
from banklink.core.texts import N_


class Actor(StrEnum):
    """Who can mend it."""

    NOBODY = "nobody"
    BOOKKEEPER = "bookkeeper"
    HOLDER = "holder"


ACTORS: dict[Actor, str] = {
    Actor.NOBODY: N_("Nothing to mend."),
    Actor.BOOKKEEPER: N_("You, the bookkeeper."),
    Actor.HOLDER: N_("Only the account holder, who passes the bank in person."),
}

WHY: dict[str, str] = {
    "r1": N_(
        "The link is switched on, but no bank journal of this administration carries the IBAN:"
        " it was changed, cleared or never filled in. %(app)s would not know where the"
        " transactions belong."
    ),
    "r2": N_(
        "The link is switched on, but the holder through whom it fetches withdrew the access in"
        " %(provider)s, or never gave it. Nothing of their accounts can be seen any more."
    ),
    "r3": N_(
        "The link is switched on and the holder gave access, but not to this account: it was not"
        " ticked, or it was removed in %(provider)s."
    ),
    "r4": N_(
        "A bank allows reading for 90 or 180 days at a time. That term has passed without being"
        " renewed, so the bank delivers nothing more."
    ),
    "r5a": N_(
        "The link is switched on and the account is shared, but the step at the bank was not"
        " finished: it was cancelled, took too long, or was never begun."
    ),
    "r5b": N_(
        "The link is switched on, but the authorisation was withdrawn at the bank before its date."
    ),
    "r6": N_(
        "Everything holds: a journal with this IBAN, access, the account ticked, an authorisation"
        " at the bank, and the link switched on. New transactions arrive by themselves."
    ),
    "r7": N_(
        "The account is shared with %(app)s, but no bank journal of this administration carries"
        " its IBAN. The link is not on, so nothing is missing."
    ),
    "r8": N_("Nobody gave access to this account yet. Nothing is broken; it only has to begin."),
    "r9": N_(
        "A holder gave access, but nobody shares this account: it was not ticked, or it was"
        " removed in %(provider)s. The link is not on, so nothing is missing."
    ),
    "r10a": N_(
        "The account is shared, but was never connected to the bank. The link is not on, so"
        " nothing is missing."
    ),
    "r10b": N_(
        "The account is shared, but its authorisation at the bank expired or was withdrawn. The"
        " link is not on, so nothing is missing."
    ),
    "r11": N_(
        "The account is shared and authorised at the bank. It only waits for you to say through"
        " whom and from which day."
    ),
    "r12": N_(
        "Somebody switched this link off. Everything else is in order, so switching it on works"
        " at once; what was fetched has stayed."
    ),
}
"""Row key → why it is so."""

PRESS = N_("Press “%(button)s” in the row.")
_AT_HOME = N_(
    "Is that not you? The button beside it sends the account holder a mail; they do the same at"
    " their own screen and you have nothing more to do. If the row offers to fetch via someone"
    " else, one press is enough and nobody has to go to the bank."
)
_RESUMES = N_(
    "You come back to the row. A link that was on goes on by itself and fetches the days that were"
    " missed, as far back as the bank allows."
)

_SEND = N_(
    "Send the invitation at once, or look at it first and change whom it goes to and what it says."
)
_LINK = N_("The account holder opens the link in the mail and allows it.")
_GOES_ON = N_(
    "The row goes on by itself. A link that was on fetches the days that were missed, as far back"
    " as the bank allows."
)
_MYSELF = N_(
    "Are you the account holder yourself? Then press “I am the account holder” and do it at once."
)

STEPS: dict[Action, tuple[str, ...]] = {
    Action.CHOOSE_JOURNAL: (
        N_("Choose a journal without an IBAN, or make a new one; then save."),
        N_("A link that was on goes on by itself and fetches the days that were missed."),
    ),
    Action.REPAIR: (
        _SEND,
        _LINK,
        N_("They sign in to %(provider)s and at the bank with the card of this account."),
        _GOES_ON,
        _MYSELF,
    ),
    Action.INVITE: (
        _SEND,
        _LINK,
        N_("They sign in to %(provider)s and at the bank with the card of this account."),
        _GOES_ON,
        _MYSELF,
    ),
    Action.CONNECT: (
        N_("The account holder signs in at the bank with the card of this account and confirms."),
        _RESUMES,
        _AT_HOME,
    ),
    Action.RENEW: (
        N_("The account holder signs in at the bank with the card of this account and confirms."),
        _RESUMES,
        _AT_HOME,
    ),
    Action.ACTIVATE: (
        N_(
            "Choose through whom to fetch and from which day. The day after the last one that was"
            " processed is filled in already."
        ),
        N_("Confirm. The transactions come in at once, each exactly once."),
    ),
}
"""Primary action → what happens after its button was pressed."""

OVERLAY_MEANING: dict[Overlay, str] = {
    Overlay.EXPIRING: N_(
        "The authorisation ends within 30 days. Renewing can be done now; until the new one is"
        " complete the old one stays as it is."
    ),
    Overlay.INVITED: N_("The account holder was invited and has not finished yet."),
    Overlay.RENEWAL_RUNNING: N_(
        "Somebody left for the bank a moment ago and has not come back yet."
    ),
    Overlay.PROVIDER_OUTAGE: N_(
        "%(provider)s does not answer, or refuses the details with which %(app)s makes itself"
        " known. That is not the bank's doing. %(app)s tries again by itself; renewing would not"
        " help. Refused details are corrected by the owner, under Settings."
    ),
    Overlay.BANK_OUTAGE: N_(
        "%(provider)s answers, but says that the bank behind it has an outage. %(app)s tries again"
        " by itself; renewing would not help."
    ),
    Overlay.POSSIBLE_GAP: N_(
        "The bank no longer gives some days that were missed. Upload a statement file of those days"
        " here, under the row's details; nothing comes twice."
    ),
    Overlay.UNBALANCED: N_(
        "What the bank says the account holds is not what its transactions come to. Some may be"
        " missing or stand here twice, or the bank's statement is wrong. Nothing is corrected by"
        " itself: compare those days with the bank's own statement."
    ),
    Overlay.LIMITED: N_(
        "A bank lets an account be read four times in 24 hours while nobody waits for it. %(app)s"
        " goes on by itself as soon as that is allowed. “Fetch now” works meanwhile, unless the"
        " bank itself asked for a pause."
    ),
    Overlay.STALE: N_("For 36 hours nothing could be fetched. The row's details say why."),
}


@dataclass(frozen=True, slots=True)
class Chapter:
    """Everything of one status; some have variants with a cause of their own."""

    status: Status
    rows: tuple[Row, ...]


def chapters() -> tuple[Chapter, ...]:
    """One for every status, in the order of the table."""
    statuses = dict.fromkeys(row.status for row in TABLE)
    return tuple(
        Chapter(status, tuple(row for row in TABLE if row.status is status)) for status in statuses
    )


def actor(row: Row) -> Actor:
    if row.primary is None:
        return Actor.NOBODY
    return Actor.HOLDER if row.primary in AT_THE_BANK | BY_MAIL else Actor.BOOKKEEPER


def button(row: Row) -> str | None:
    """The words on the row's one primary button."""
    return (row.label or ACTION_LABELS[row.primary]) if row.primary else None


def steps(row: Row) -> tuple[str, ...]:
    """What happens after the button was pressed."""
    return STEPS[row.primary] if row.primary else ()
