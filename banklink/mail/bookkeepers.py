"""What the bookkeeping side is written (domain.md B3): once a day what needs attention, and that a
holder did what they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from banklink.core.statuses import OVERLAYS, Overlay, Row, Severity
from banklink.core.texts import N_
from banklink.mail.invitations import greeting
from banklink.mail.letters import Button, Facts, Letter, Paragraph, Table
from banklink.mail.voice import Voice, tail

MOST = 100
"""Rows of a digest; beyond that nobody reads on, and the page has them all."""

NOT_MAILED = {
    "no_address": N_("none: no e-mail address"),
    "off": N_("none: wants no reminders"),
    "refused": N_("could not be delivered"),
    "waits": N_("not sent yet"),
}
"""Why a holder was not reached."""


@dataclass(frozen=True, slots=True)
class Line:
    """One connection of the digest. `row`: of the table; `silent`: why nothing comes in although
    all is well; `days`: until the permission ends, negative after it, None where that says nothing.
    `mailed_at`: when a mail to the holder about it was last sent; `unreached`: a code of
    NOT_MAILED."""

    administration: str
    account: str
    iban: str
    holder: str | None
    row: Row
    silent: Overlay | None
    days: int | None
    mailed_at: datetime | None
    unreached: str | None
    url: str


def digest(
    voice: Voice,
    *,
    name: str,
    lines: Sequence[Line],
    attention: int,
    provider: str,
    url: str,
    app: str,
) -> Letter:
    """`url`: where all of it stands; `lines`: most urgent first; `attention`: how many links the
    page says need action where these are."""
    shown = lines[:MOST]
    parts: list[Paragraph | Table | Button] = [
        Paragraph(_counted(voice, lines, attention)),
        Table(
            head=(
                voice.gettext("Account"),
                voice.gettext("Account holder"),
                voice.gettext("Status"),
                voice.gettext("Last mail"),
            ),
            rows=tuple(_cells(voice, line, provider) for line in shown),
            links=tuple(line.url for line in shown),
        ),
    ]
    if len(lines) > len(shown):
        parts.append(
            Paragraph(
                voice.ngettext(
                    "And %(n)s more; the page has all of them.",
                    "And %(n)s more; the page has all of them.",
                    len(lines) - len(shown),
                )
            )
        )
    parts.append(Button(voice.gettext("Open %(app)s", app=app), url))
    return Letter(
        locale=voice.locale,
        subject=voice.ngettext(
            "%(n)s bank link needs attention", "%(n)s bank links need attention", len(lines)
        ),
        greeting=greeting(voice, name),
        parts=tuple(parts),
        closing=app,
        small=(
            voice.gettext(
                "You get this once a day, and only when there is something new or something ends"
                " soon; on Mondays also what is still open."
            ),
        ),
    )


def _counted(voice: Voice, lines: Sequence[Line], attention: int) -> str:
    """Where the page has another number, it is said which."""
    acting = sum(line.row.severity is Severity.ERROR for line in lines)
    broken = sum(line.row.severity is Severity.ERROR or line.silent is not None for line in lines)
    ending = len(lines) - broken
    told = []
    if broken:
        told.append(
            voice.ngettext(
                "%(n)s link gets no transactions.", "%(n)s links get no transactions.", broken
            )
        )
    if ending:
        told.append(
            voice.ngettext(
                "Of %(n)s link the permission ends soon.",
                "Of %(n)s links the permission ends soon.",
                ending,
            )
        )
    if attention > acting:
        told.append(
            voice.ngettext(
                "The page says that %(n)s link needs action: it also counts what is still to be set"
                " up.",
                "The page says that %(n)s links need action: it also counts what is still to be set"
                " up.",
                attention,
            )
        )
    return " ".join(told)


def _cells(voice: Voice, line: Line, provider: str) -> tuple[str, ...]:
    broken = line.row.severity is Severity.ERROR
    overlay = line.silent or Overlay.EXPIRING
    status = voice.gettext(line.row.chip if broken else OVERLAYS[overlay], provider=provider)
    return (
        f"{line.administration} · {line.account} {tail(line.iban)}",
        line.holder or "–",
        status if line.days is None else f"{status}, {_days(voice, line.days, broken=broken)}",
        _mailed(voice, line),
    )


def _days(voice: Voice, days: int, *, broken: bool) -> str:
    if broken and days >= 0:
        return voice.gettext("since today")
    if days == 0:
        return voice.gettext("today is the last day")
    if days < 0:
        return voice.ngettext("%(n)s day ago", "%(n)s days ago", -days)
    return voice.ngettext("%(n)s day left", "%(n)s days left", days)


def _mailed(voice: Voice, line: Line) -> str:
    if line.unreached is not None:
        return voice.gettext(NOT_MAILED[line.unreached])
    return voice.day(line.mailed_at) if line.mailed_at else "–"


TO_DO = {
    "r1": N_("choose a journal with this IBAN"),
    "r2": N_("permission is still missing"),
    "r3": N_("was not shared"),
    "r5a": N_("the step at the bank is still to be done"),
    "r7": N_("choose a journal with this IBAN"),
    "r9": N_("was not shared"),
    "r10a": N_("the step at the bank is still to be done"),
    "r11": N_("not switched on yet"),
    "r12": N_("switched off"),
}
"""What keeps an account from being fetched after its holder did their part, by row of the table;
where a word of the table says enough, it does."""


@dataclass(frozen=True, slots=True)
class Gained:
    """One account that a holder renewed or gave access to. `row`: where it stands now; `fetched`:
    transactions that came in because of it."""

    account: str
    iban: str
    row: Row
    fetched: int


def done(
    voice: Voice,
    *,
    name: str,
    holder: str,
    administration: str,
    banks: Sequence[str],
    accounts: Sequence[Gained],
    until: date | None,
    renewed: bool,
    url: str,
    app: str,
) -> Letter:
    """`holder` did it: `renewed` what there was, else gave access for the first time or again. Each
    account says itself whether transactions come in, or what is still to be done for that."""
    what = _what(voice, holder, administration, until, renewed=renewed)
    fetched = sum(each.fetched for each in accounts)
    came = voice.ngettext("%(n)s transaction fetched", "%(n)s transactions fetched", fetched)
    told = f"{what}; {came}." if fetched else f"{what}."
    rows = [(voice.gettext("Bank" if len(banks) == 1 else "Banks"), voice.listed(banks))]
    rows += [(f"{each.account} {tail(each.iban)}", _stands(voice, each)) for each in accounts]
    return Letter(
        locale=voice.locale,
        subject=told,
        greeting=greeting(voice, name),
        parts=(
            Paragraph(told),
            Facts(tuple(rows)),
            Button(voice.gettext("Open the row"), url),
        ),
        closing=app,
        small=(
            voice.gettext(
                "Nothing is asked of you: transactions come in by themselves."
                if all(map(_runs, accounts))
                else "Something is still to be done here; the row says what comes next."
            ),
        ),
    )


def _runs(each: Gained) -> bool:
    return each.row.severity is Severity.OK


def _stands(voice: Voice, each: Gained) -> str:
    if not _runs(each):
        return voice.gettext(TO_DO.get(each.row.key, each.row.chip))
    active = voice.gettext(each.row.chip)
    if not each.fetched:
        return active
    came = voice.ngettext("%(n)s transaction fetched", "%(n)s transactions fetched", each.fetched)
    return f"{active}, {came}"


def _what(
    voice: Voice, holder: str, administration: str, until: date | None, *, renewed: bool
) -> str:
    values = {"name": holder, "firm": administration}
    if until is None:
        if renewed:
            return voice.gettext("%(name)s renewed the bank link of %(firm)s", **values)
        return voice.gettext("%(name)s gave access to the bank for %(firm)s", **values)
    values["day"] = voice.day(until)
    if renewed:
        return voice.gettext("%(name)s renewed the bank link of %(firm)s (until %(day)s)", **values)
    return voice.gettext("%(name)s gave access to the bank for %(firm)s (until %(day)s)", **values)
