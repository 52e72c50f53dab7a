"""Renewal requests for many administrations at once: what it would come to, then the mails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions.ask_renewal import Plan, plan, request_renewals
from banklink.actions.summarise import rewrite_due
from banklink.core.texts import N_
from banklink.store import office
from banklink.store.models import Administration, Connection, Journal
from banklink.web.context import at, house, person
from banklink.web.i18n import _, iban, ngettext, number
from banklink.web.office import address, asked
from banklink.web.said import say
from banklink.web.viewmodel import Button

blueprint = Blueprint("office_requests", __name__)

_NAMED = 50
_AT_A_TIME = 500
_NAMES = (
    select(
        Connection.id,
        Administration.name.label("firm"),
        Journal.code,
        Journal.name.label("journal"),
        Connection.iban,
    )
    .select_from(Connection)
    .join(Administration, Administration.id == Connection.administration_id)
    .outerjoin(
        Journal,
        (Journal.administration_id == Connection.administration_id)
        & (Journal.iban == Connection.iban)
        & (Journal.currency == Connection.currency),
    )
    .where(Connection.id.in_(bindparam("ids", expanding=True)))
)
_REASONS: dict[str, str] = {
    "no_email": N_("No e-mail address of the account holder is known"),
    "no_holder": N_("Nobody is known who could renew it"),
    "asked": N_("Was asked already within the last 24 hours"),
    "not_needed": N_("Does not have to be renewed any more"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterView:
    """`accounts`: what is asked for; `also`: what else the mail names. `note`: what to know of the
    recipient."""

    name: str
    email: str
    bank: str
    accounts: tuple[str, ...]
    also: tuple[str, ...]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedView:
    """Accounts that are not asked for, with one reason."""

    reason: str
    accounts: tuple[str, ...]
    more: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingView:
    """`submit` None: there is nothing to send."""

    said: str
    submit: str | None
    url: str
    administrations: str
    letters: tuple[LetterView, ...]
    more: str | None
    skipped: tuple[SkippedView, ...]
    back: str


@blueprint.get("/administrations/renewal-requests")
def confirm() -> str:
    """How many mails to whom, for what, and what cannot be asked for."""
    rewrite_due(house().services, at(), of=person().id)
    everything = request.args.get("for") == "all"
    with house().services.store.read() as session:
        if everything:
            whole = office.chosen(session, replace(asked(), changing=True))
            wanted = [each for each, _name in whole]
        else:
            wanted = _mine(session, request.args.getlist("administration"))
        connections = office.renewable(session, wanted)
        made = plan(house().services, session, connections, at())
        view = _view(session, made, wanted)
    return render_template("office/asking.html", page=view)


@blueprint.post("/administrations/renewal-requests")
def send() -> BaseResponse:
    rewrite_due(house().services, at(), of=person().id)
    with house().services.store.read() as session:
        wanted = _mine(session, request.form.get("administrations", "").split(","))
        connections = office.renewable(session, wanted)
    done = request_renewals(
        house().services, connections, at(), actor=person().name, actor_id=person().id
    )
    say("ok" if done.letters else "info", _done(done), _onward() if done.letters else None)
    return redirect(address(asked()), 303)


def _mine(session: Session, numbers: Iterable[str]) -> list[int]:
    """Administrations in which the person may ask. Somebody else's is not there (404); where they
    may only read, they are told so (403)."""
    roles = office.roles(session, person().id)
    wanted = sorted({int(each) for each in numbers if each.isdecimal() and len(each) < 10})
    if any(each not in roles for each in wanted):
        abort(404)
    if any(roles[each] == "reader" for each in wanted):
        abort(403)
    return wanted


def _view(session: Session, made: Plan, wanted: list[int]) -> AskingView:
    here = {name: value for name, value in request.args.items() if name in ("filter", "q", "week")}
    shown = made.letters[:_NAMED]
    names = _account_names(session, [each for letter in shown for each in letter.named])
    more = made.mails - _NAMED
    return AskingView(
        said=_come_to(made, wanted),
        submit=ngettext("Send %(n)s mail", "Send %(n)s mails", made.mails) if made.mails else None,
        url=url_for("office_requests.send", **here),  # type: ignore[arg-type]
        administrations=",".join(map(str, wanted)),
        letters=tuple(
            LetterView(
                name=letter.recipient.name,
                email=letter.recipient.email,
                bank=letter.bank,
                accounts=_in_order(names, letter.connections),
                also=_in_order(names, letter.also),
                note=_("Wants no reminders. A request from you does go out.")
                if letter.reminders_off
                else None,
            )
            for letter in shown
        ),
        more=_("and %(n)s more", n=number(more)) if more > 0 else None,
        skipped=_skipped(session, made.skipped),
        back=url_for("office.page", **here),  # type: ignore[arg-type]
    )


def _come_to(made: Plan, wanted: list[int]) -> str:
    if not wanted:
        return _("You chose no administration. Go back and tick some.")
    if not made.mails:
        return _("There is nobody to be asked.")
    return _(
        "%(mails)s to %(holders)s, for %(accounts)s.",
        mails=ngettext("%(n)s mail", "%(n)s mails", made.mails),
        holders=ngettext("%(n)s account holder", "%(n)s account holders", made.holders),
        accounts=ngettext("%(n)s account", "%(n)s accounts", made.accounts),
    )


def _done(done: Plan) -> str:
    if not done.letters:
        return _("No mail was sent: nobody had to be asked any more.")
    mails = ngettext("%(n)s mail is", "%(n)s mails are", done.mails)
    accounts = ngettext("%(n)s account", "%(n)s accounts", done.accounts)
    if house().services.post is not None:
        text = _("%(mails)s on the way, for %(accounts)s.", mails=mails, accounts=accounts)
    else:
        text = _(
            "%(mails)s ready in the outbox, for %(accounts)s. There is no mail server to send"
            " them by.",
            mails=mails,
            accounts=accounts,
        )
    if done.skipped:
        text += " " + ngettext(
            "%(n)s account was passed over.", "%(n)s accounts were passed over.", len(done.skipped)
        )
    return text


def _onward() -> Button | None:
    """To where the mails wait, as long as nothing sends them."""
    if house().services.post is not None:
        return None
    label = _("To the outbox")
    return Button(
        action="outbox", label=label, name=label, method="get", url=url_for("outbox.page")
    )


def _in_order(names: Mapping[int, str], ids: Iterable[int]) -> tuple[str, ...]:
    """In the order of the names' list: by administration."""
    wanted = set(ids)
    return tuple(name for number, name in names.items() if number in wanted)


def _skipped(session: Session, skipped: Mapping[int, str]) -> tuple[SkippedView, ...]:
    views = []
    for reason, words in _REASONS.items():
        ids = [each for each, why in skipped.items() if why == reason]
        if not ids:
            continue
        more = len(ids) - _NAMED
        views.append(
            SkippedView(
                reason=_("%(reason)s: %(n)s", reason=_(words), n=number(len(ids))),
                accounts=tuple(_account_names(session, ids[:_NAMED]).values()),
                more=_("and %(n)s more", n=number(more)) if more > 0 else None,
            )
        )
    return tuple(views)


def _account_names(session: Session, ids: list[int]) -> dict[int, str]:
    """Administration, journal and IBAN, by administration."""
    rows = [
        row
        for first in range(0, len(ids), _AT_A_TIME)
        for row in session.execute(_NAMES, {"ids": ids[first : first + _AT_A_TIME]})
    ]
    return {
        row.id: " · ".join(
            filter(
                None,
                (row.firm, f"{row.code} {row.journal}" if row.code else None, iban(row.iban)),
            )
        )
        for row in sorted(rows, key=lambda row: (row.firm, row.iban))
    }
