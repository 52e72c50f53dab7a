"""Renewal requests for many administrations at once: what it would come to, then the mails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import select
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

blueprint = Blueprint("office_requests", __name__)

_NAMED = 50
_REASONS: dict[str, str] = {
    "no_email": N_("No e-mail address of the account holder is known"),
    "no_holder": N_("Nobody is known who could renew it"),
    "asked": N_("Was asked already within the last 24 hours"),
    "not_needed": N_("Does not have to be renewed any more"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterView:
    name: str
    email: str
    bank: str
    accounts: str
    where: str


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
    with house().services.store.read() as session:
        wanted = _mine(session, request.form.get("administrations", "").split(","))
        connections = office.renewable(session, wanted)
    done = request_renewals(
        house().services, connections, at(), actor=person().name, actor_id=person().id
    )
    say("ok" if done.letters else "info", _done(done))
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
    names = _administration_names(session, made)
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
                accounts=ngettext("%(n)s account", "%(n)s accounts", len(letter.connections)),
                where=", ".join(names[each] for each in letter.administrations),
            )
            for letter in made.letters[:_NAMED]
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
    text = _(
        "%(mails)s on the way, for %(accounts)s.",
        mails=ngettext("%(n)s mail is", "%(n)s mails are", done.mails),
        accounts=ngettext("%(n)s account", "%(n)s accounts", done.accounts),
    )
    if done.skipped:
        text += " " + ngettext(
            "%(n)s account was passed over.", "%(n)s accounts were passed over.", len(done.skipped)
        )
    return text


def _administration_names(session: Session, made: Plan) -> dict[int, str]:
    ids = {each for letter in made.letters[:_NAMED] for each in letter.administrations}
    rows = session.execute(
        select(Administration.id, Administration.name).where(Administration.id.in_(ids))
    )
    return {row.id: row.name for row in rows}


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
                accounts=_account_names(session, ids[:_NAMED]),
                more=_("and %(n)s more", n=number(more)) if more > 0 else None,
            )
        )
    return tuple(views)


def _account_names(session: Session, ids: list[int]) -> tuple[str, ...]:
    rows = session.execute(
        select(Administration.name, Journal.code, Journal.name, Connection.iban)
        .select_from(Connection)
        .join(Administration, Administration.id == Connection.administration_id)
        .outerjoin(
            Journal,
            (Journal.administration_id == Connection.administration_id)
            & (Journal.iban == Connection.iban)
            & (Journal.currency == Connection.currency),
        )
        .where(Connection.id.in_(ids))
        .order_by(Administration.name, Connection.iban)
    )
    return tuple(
        " · ".join(filter(None, (firm, f"{code} {name}" if code else None, iban(number_))))
        for firm, code, name, number_ in rows
    )
