"""What a reminder says (domain.md B3): when it ends, one button, and what happens otherwise. Days
are counted from the day it is written on, so that one that comes late is still true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from banklink.mail.invitations import greeting
from banklink.mail.letters import Button, Facts, Letter, Paragraph, Part
from banklink.mail.voice import Voice, tail


@dataclass(frozen=True, slots=True)
class Ending:
    """One account of the reader at this bank. `name`: what the books call it. `last_day`: the last
    one of the permission, None when the bank named none; `days`: until then, negative after it.
    `over_since`: the first day without, None while it holds."""

    administration: str
    name: str
    iban: str
    last_day: date | None
    days: int
    over_since: date | None


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a reminder is about. `accounts`: every one of the reader at this bank that is in use,
    the one the reminder is for first. `helper`: who answers a reply. `unsubscribe`: where the
    reader stops these mails.

    The sentences speak of what ends on the same day as the first, and name it; the list below has
    them all and says which these are.
    """

    today: date
    name: str
    bank: str
    accounts: Sequence[Ending]
    office: str
    helper: str
    url: str
    unsubscribe: str


def reminder(threshold: int, voice: Voice, about: Occasion) -> Letter:
    """The mail for one of core.reminders.THRESHOLDS."""
    first = about.accounts[0]
    along = [
        each
        for each in about.accounts
        if (each.last_day, each.over_since) == (first.last_day, first.over_since)
    ]
    others = [each for each in about.accounts if each not in along]
    values = {
        "firms": _firms(voice, along),
        "bank": about.bank,
        "accounts": voice.listed([tail(iban) for iban in _ibans(along)]),
        "account": tail(first.iban),
        "day": voice.day(first.last_day) if first.last_day else "",
        "days": abs(first.days),
        "since": voice.day(first.over_since) if first.over_since else "",
        "office": about.office,
        "helper": about.helper,
    }
    if threshold == 0:
        subject, before, after = _words_at_the_end(voice, first, about.today, values)
    else:
        subject, before, after = _words(threshold, voice, values)
    if threshold == -30 and not others:
        # With another account here it would not be true: later mails list this one too.
        after += " " + voice.gettext("This is the last reminder.")
    parts: list[Part] = [
        Paragraph(before),
        Button(voice.gettext("Renew at %(bank)s", bank=about.bank), about.url),
        Paragraph(after),
    ]
    if len(about.accounts) > 1 or threshold != 30:
        parts.append(Facts(tuple(_facts(voice, along, others))))
    return Letter(
        locale=voice.locale,
        subject=subject,
        greeting=greeting(voice, about.name),
        parts=tuple(parts),
        closing="\n".join((voice.gettext("Kind regards,"), about.office)),
        small=(
            voice.gettext(
                "You get this mail because you gave permission to read these accounts. The link"
                " alone lets nobody in: you confirm it yourself at your bank."
            ),
        ),
        unsubscribe=about.unsubscribe,
    )


def _words(threshold: int, voice: Voice, values: dict[str, object]) -> tuple[str, str, str]:
    """Subject, and what stands before and after the button."""

    def say(message: str) -> str:
        return voice.gettext(message, **values)

    _ = say
    if threshold == 30:
        return (
            _("Bank link for %(firms)s: permission runs until %(day)s"),
            _(
                "Your permission to read the transactions of %(bank)s (%(accounts)s) for %(firms)s"
                " runs until %(day)s (in %(days)s days). You can renew now, it takes about"
                " 2 minutes:"
            ),
            _(
                "If you do nothing, %(office)s will receive no transactions after %(day)s. You sign"
                " in at your own bank with the card of this account; we never ask for your codes."
            ),
        )
    if threshold == 14:
        return (
            _("%(days)s days left: renew the bank link of %(firms)s"),
            _(
                "Your permission at %(bank)s (%(accounts)s) ends in %(days)s days (%(day)s). One"
                " renewal covers all your accounts at this bank."
            ),
            _("Already renewed? Please ignore this message."),
        )
    if threshold == 7:
        return (
            _("%(days)s days left: transactions stop on %(day)s unless you renew"),
            _(
                "On %(day)s we stop receiving transactions of %(bank)s (%(accounts)s) for"
                " %(firms)s. Renew (about 2 minutes, keep the card of account %(account)s at hand):"
            ),
            _("Trouble? Reply to this mail, %(helper)s will help."),
        )
    if threshold == 1:
        return (
            _("The bank link of %(firms)s expires tomorrow"),
            _("Your permission at %(bank)s (%(accounts)s) ends tomorrow. Renew today:"),
            _(
                "If you cannot, nothing you already have is lost: after renewing we fetch the"
                " missed days as far back as %(bank)s allows."
            ),
        )
    if threshold == -7:
        return (
            _("The bank link of %(firms)s expired %(days)s days ago"),
            _(
                "Since %(since)s no transactions of %(bank)s (%(accounts)s) arrive for %(firms)s."
                " Renewing takes about 2 minutes:"
            ),
            _(
                "After renewing we fetch the missed days as far back as %(bank)s allows. Is this"
                " account no longer in use? Reply to this mail, then %(helper)s switches the link"
                " off and you hear no more of it."
            ),
        )
    return (
        _("Renew or no longer in use? The bank link of %(firms)s"),
        _(
            "Your permission at %(bank)s (%(accounts)s) ended on %(day)s, %(days)s days ago. Is the"
            " account still in use? Renewing takes about 2 minutes:"
        ),
        _("Is it no longer in use? Reply to this mail, then %(helper)s switches the link off."),
    )


def _words_at_the_end(
    voice: Voice, first: Ending, today: date, values: dict[str, object]
) -> tuple[str, str, str]:
    """The permission holds through the end of its last day: on that morning it is not over yet."""

    def say(message: str) -> str:
        return voice.gettext(message, **values)

    _ = say
    if first.over_since is None:
        return (
            _("The bank link of %(firms)s expires today"),
            _(
                "Today is the last day on which transactions of %(bank)s (%(accounts)s) arrive."
                " Renew today and nothing is interrupted:"
            ),
            _("Later too, the link becomes active again by itself once you have renewed."),
        )
    return (
        _("The bank link of %(firms)s has expired"),
        _("Since today no transactions arrive from %(bank)s (%(accounts)s). Repair:")
        if first.over_since == today
        else _("Since %(since)s no transactions arrive from %(bank)s (%(accounts)s). Repair:"),
        _("The link becomes active again by itself."),
    )


def _firms(voice: Voice, accounts: Sequence[Ending]) -> str:
    """Whose books, the one concerned first; three names at most."""
    names = list(dict.fromkeys(each.administration for each in accounts))
    if len(names) <= 3:
        return voice.listed(names)
    return voice.ngettext(
        "%(firm)s and %(n)s other",
        "%(firm)s and %(n)s others",
        len(names) - 2,
        firm=", ".join(names[:2]),
    )


def _ibans(accounts: Sequence[Ending]) -> list[str]:
    return list(dict.fromkeys(each.iban for each in accounts))


def _facts(
    voice: Voice, along: Sequence[Ending], others: Sequence[Ending]
) -> list[tuple[str, str]]:
    several = len({each.administration for each in (*along, *others)}) > 1
    found = []
    for number, each in enumerate((*along, *others)):
        what = f"{each.name} {tail(each.iban)}"
        if several:
            what = f"{each.administration}: {what}"
        if each.last_day is None:
            until = voice.gettext("for as long as your bank allows")
        elif each.over_since is not None:
            until = voice.gettext("expired on %(date)s", date=voice.day(each.last_day))
        else:
            until = voice.gettext("valid until %(date)s", date=voice.day(each.last_day))
        if others and number < len(along):
            until = voice.gettext("%(until)s – this mail is about it", until=until)
        found.append((what, until))
    return found
