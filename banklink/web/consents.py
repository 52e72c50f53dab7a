"""The consent record of one holder in one administration: what they allow now, what was before, and
the two ways to end it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, abort, g, redirect, render_template, request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import consents as records
from banklink.actions.forget import Extent, extent, forget
from banklink.actions.revoke import given, withdraw
from banklink.actions.services import Missing, Refused, Stale
from banklink.core.diagnose import account_line
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Switch
from banklink.core.masked import masked
from banklink.core.statuses import ACCOUNT_LINES
from banklink.core.texts import N_
from banklink.store.facts import Record, Share, holder_facts
from banklink.store.facts import records as connections_of
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Consent,
    FetchRun,
    Grant,
    Holder,
    Revocation,
    Transaction,
)
from banklink.web.called import called
from banklink.web.consent_words import TEXTS, rendered
from banklink.web.context import at, house, may_change, my_administration, person, reader
from banklink.web.i18n import _, day, day_of, moment, ngettext
from banklink.web.rows import row_view, spoken_title
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Link, Notice

blueprint = Blueprint(
    "consents",
    __name__,
    url_prefix="/administrations/<int:administration_id>/holders/<int:holder_id>",
)

Answer = BaseResponse | str | tuple[str, int]

PURPOSES = {
    "connect": N_("Permission given"),
    "repair": N_("Permission given again"),
    "renew": N_("Confirmed at the bank"),
}
CHANNELS = {
    "invitation": N_("By an invitation"),
    "row": N_("From the list, by somebody who works here and holds the account"),
    "provider": N_("Seen at %(provider)s"),
}
ENDINGS = {
    "renewed": N_("Followed by a newer one on %(date)s"),
    "expired": N_("Ended by itself on %(date)s"),
    "withdrawn_here": N_("Withdrawn here on %(date)s by %(who)s"),
    "withdrawn_at_provider": N_("Withdrawn at %(provider)s, seen on %(date)s"),
    "withdrawn_at_bank": N_("Withdrawn at the bank, seen on %(date)s"),
    "forgotten": N_("Ended on %(date)s by %(who)s, with the data of the account holder"),
}
CHOSEN = {"asked": N_("asked for"), "ticked": N_("ticked by the account holder")}
LANGUAGES = {"nl": N_("Dutch"), "en": N_("English")}
_OURS = ("withdrawn_here", "forgotten")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """One permission. `facts` is what matters, `rest` everything else that is kept; `text` what was
    shown, None where it can no longer be."""

    id: int
    title: str
    current: bool
    when: str
    facts: tuple[tuple[str, str], ...]
    rest: tuple[tuple[str, str], ...]
    text: Any
    text_of: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """What is asked before something ends: what it does and what it leaves alone, and two answers
    of equal weight."""

    action: str
    title: str
    intro: str
    lists: tuple[tuple[str, tuple[str, ...]], ...]
    url: str
    fields: tuple[tuple[str, str], ...]
    yes: str
    no: Link


@blueprint.get("")
def page(administration_id: int, holder_id: int) -> Answer:
    return _page(administration_id, holder_id, request.args.get("open"))


def _page(
    administration_id: int, holder_id: int, opened: str | None = None, status: int = 200
) -> Answer:
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        grant, holder = _found(session, administration_id, holder_id)
        name = called(None if grant.forgotten_at else holder.name, holder.id)
        shares = grant.state == GrantState.ACTIVE
        kept = records.of_holder(session, administration_id, holder_id)
        may_forget = g.role == "administrator" and grant.forgotten_at is None
        if (opened == "withdraw" and not may_change()) or (
            opened == "forget" and g.role != "administrator"
        ):
            abort(403)
        confirm = None
        if opened == "withdraw" and shares:
            confirm = _withdrawing(session, administration, grant, name)
        elif opened == "forget" and may_forget:
            confirm = _forgetting(session, administration, grant, name)
        current = _shown_first(kept)
        earlier = [each for each in kept if each not in current]
        url = _url(administration_id, holder_id)
        full = may_change()
        view = render_template(
            "consents/page.html",
            name=name,
            administration=administration.name,
            email=holder.email if full and not grant.forgotten_at else None,
            back=_back(administration_id),
            notice=said(),
            state=_state(session, grant, kept, name),
            accounts=_accounts(session, grant, holder) if shares else (),
            current=[_record(each, full) for each in current],
            earlier=[_record(each, full) for each in earlier],
            earlier_title=ngettext(
                "%(n)s earlier permission", "%(n)s earlier permissions", len(earlier)
            ),
            none_kept=_none_kept(grant),
            confirm=confirm,
            withdraw=_opener("withdraw", _("Withdraw access"), name, url)
            if shares and may_change() and confirm is None
            else None,
            forget=_opener("forget", _("Delete data"), name, url)
            if may_forget and confirm is None
            else None,
            download=Link(label=_("Download the record"), url=f"{url}/consents.json")
            if kept and full
            else None,
        )
    return view, status


def _found(session: Session, administration_id: int, holder_id: int) -> tuple[Grant, Holder]:
    row = session.execute(
        select(Grant, Holder)
        .join(Holder, Holder.id == Grant.holder_id)
        .where(Grant.administration_id == administration_id, Holder.id == holder_id)
    ).one_or_none()
    if row is None:
        abort(404)
    return row[0], row[1]


def _url(administration_id: int, holder_id: int, **more: Any) -> str:
    return url_for(
        "consents.page", administration_id=administration_id, holder_id=holder_id, **more
    )


def _back(administration_id: int) -> Link:
    return Link(
        label=_("All account holders"),
        url=url_for("holders.page", administration=administration_id),
    )


def _opener(action: str, label: str, name: str, url: str) -> Button:
    return Button(
        action=action,
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=name),
        method="get",
        url=f"{url}?open={action}#confirm",
    )


def _shown_first(kept: Sequence[Consent]) -> list[Consent]:
    """Those that hold; the last one where none does."""
    return [each for each in kept if each.ended_at is None] or list(kept[:1])


def _none_kept(grant: Grant) -> str:
    if grant.forgotten_at is not None:
        return _(
            "This permission was of %(date)s, from before records were kept.",
            date=day_of(grant.granted_at),
        )
    return _(
        "This permission is of %(date)s, from before records were kept. The next one has its own.",
        date=day_of(grant.granted_at),
    )


# -- how it stands --------------------------------------------------------------------------------


def _state(session: Session, grant: Grant, kept: Sequence[Consent], name: str) -> Notice:
    provider = house().settings.provider_name
    if grant.state == GrantState.ACTIVE:
        text = _("%(name)s allows reading, since %(date)s.", name=name, date=_day(grant.granted_at))
        return Notice(tone="ok", text=text)
    ended = next((each for each in kept if each.ended_reason in _OURS), None)
    words = {"provider": provider, "date": _day(grant.revoked_at), "name": name}
    if not grant.withdrawn_here:
        text = _("%(name)s no longer allows reading; seen on %(date)s.", **words)
        return Notice(tone="info", text=text)
    if _waits(session, grant):
        return Notice(
            tone="todo",
            text=_(
                "Access was withdrawn on %(date)s; nothing is read any more. It is being ended at"
                " %(provider)s too, which has not confirmed that yet. We keep telling it.",
                **words,
            ),
        )
    if ended is not None and ended.confirmed_at is not None:
        words["confirmed"] = moment(ended.confirmed_at)
        return Notice(
            tone="info",
            text=_(
                "Access was withdrawn on %(date)s. %(provider)s confirmed on %(confirmed)s that it"
                " has ended there too.",
                **words,
            ),
        )
    text = _("Access was withdrawn on %(date)s; nothing is read any more.", **words)
    return Notice(tone="info", text=text)


def _day(instant: datetime | None) -> str:
    return day_of(instant) if instant is not None else ""


def _waits(session: Session, grant: Grant) -> bool:
    return (
        session.scalar(
            select(Revocation.id)
            .where(
                Revocation.grant_id == grant.id,
                Revocation.reason == "withdrawn",
                Revocation.confirmed_at.is_(None),
            )
            .limit(1)
        )
        is not None
    )


def _accounts(session: Session, grant: Grant, holder: Holder) -> tuple[tuple[str, str], ...]:
    """What is shared now: which, and what the bank says of it."""
    found = []
    rows = session.scalars(
        select(Account).where(Account.grant_id == grant.id, Account.listed).order_by(Account.iban)
    )
    for each in rows:
        facts = holder_facts(Share(holder, grant, each), at().now)
        line = account_line(facts)
        until = (
            _("valid until %(date)s", date=day_of(each.valid_until))
            if each.valid_until and facts.usable
            else None
        )
        says = [each.bank, _(ACCOUNT_LINES[line]) if line else None, until]
        found.append((masked(each.iban), " · ".join(filter(None, says))))
    return tuple(found)


# -- one record -----------------------------------------------------------------------------------


def _record(each: Consent, full: bool) -> RecordView:
    """`full`: also on which text, from where and how it was chosen; not for who only reads."""
    provider = house().settings.provider_name
    text = None
    if full and each.text_params and each.text_id in TEXTS:
        text = rendered(each.text_id, each.text_language, each.text_params)
        if text.hash != each.text_hash:
            text = None
    return RecordView(
        id=each.id,
        title=_(PURPOSES[each.purpose]),
        current=each.ended_at is None,
        when=moment(each.given_at),
        facts=_facts(each, provider),
        rest=_rest(each, provider, full),
        text=text,
        text_of=_text_of(each, provider) if full else None,
    )


def _facts(each: Consent, provider: str) -> tuple[tuple[str, str], ...]:
    shared = each.accounts.get("accounts", ())
    accounts = ", ".join(account["iban"] for account in shared)
    if not shared and each.accounts.get("count"):
        accounts = ngettext("%(n)s account", "%(n)s accounts", each.accounts["count"])
    bank = f" · {each.bank}" if each.bank else ""
    found = [
        (_("Accounts"), f"{accounts or _('none')}{bank}"),
        (_("Valid until"), _until(each)),
        (_("How"), _(CHANNELS[each.channel], provider=provider)),
    ]
    if each.ended_at is not None:
        found.append((_("How it ended"), _ending(each, provider)))
    return tuple(found)


def _chosen(each: Consent) -> str:
    """Which accounts were asked for, and which the holder added."""
    shared = each.accounts.get("accounts", ())
    found = []
    for code, words in CHOSEN.items():
        numbers = [account["iban"] for account in shared if account["chosen"] == code]
        if numbers:
            found.append(f"{_(words)}: {', '.join(numbers)}")
    return " · ".join(found) or "–"


def _until(each: Consent) -> str:
    if each.valid_until is None:
        return _("until it is withdrawn; the bank named no day")
    return _("%(date)s, as the bank says; or until it is withdrawn", date=day_of(each.valid_until))


def _ending(each: Consent, provider: str) -> str:
    sentence = _(
        ENDINGS[each.ended_reason or "expired"],
        date=_day(each.ended_at),
        who=each.withdrawn_by or _("the program"),
        provider=provider,
    )
    if each.ended_reason not in _OURS:
        return sentence
    if each.confirmed_at is None:
        return f"{sentence} · {_('not confirmed by %(provider)s yet', provider=provider)}"
    words = {"provider": provider, "date": moment(each.confirmed_at)}
    return f"{sentence} · {_('confirmed by %(provider)s on %(date)s', **words)}"


def _rest(each: Consent, provider: str, full: bool) -> tuple[tuple[str, str], ...]:
    since = [each.ip or "", each.user_agent or ""]
    how: tuple[tuple[str, str], ...] = ()
    if full:
        how = (
            (_("How chosen"), _chosen(each)),
            (_("From where"), " · ".join(filter(None, since)) or _("not kept")),
            (_("Text"), _technical_text(each)),
            (_("Number"), _number(each)),
        )
    return (
        (_("What may be read"), _("Accounts, balances and transactions; paying is not possible")),
        (_("By whom"), f"{each.controller} · {provider}"),
        (_("Confirmed at the bank"), moment(each.sca_at) if each.sca_at else _("not yet")),
        (_("Why it may"), _("Explicit consent of the account holder (PSD2, art. 67)")),
        (_("How often"), _("At most 4 times a day by itself, and when somebody asks for it")),
        *how,
        (
            _("Kept until"),
            _("%(date)s, to be able to show that reading was allowed", date=day(each.delete_after))
            if each.delete_after
            else _("five years after its end, to be able to show that reading was allowed"),
        ),
    )


def _technical_text(each: Consent) -> str:
    if not each.text_id:
        return "–"
    return f"{each.text_id} · {each.text_language} · {each.text_hash[:16]}"


def _number(each: Consent) -> str:
    if each.predecessor_id is None:
        return str(each.id)
    return _("%(number)s, follows %(before)s", number=each.id, before=each.predecessor_id)


def _text_of(each: Consent, provider: str) -> str | None:
    if not each.text_id:
        return _("%(provider)s and the bank showed their own text.", provider=provider)
    language = _(LANGUAGES.get(each.text_language, "English"))
    return _("Text shown (%(language)s)", language=language)


# -- withdrawing ----------------------------------------------------------------------------------


def _withdrawing(
    session: Session, administration: Administration, grant: Grant, name: str
) -> Confirm:
    words = {"name": name, "app": house().settings.app_name}
    return Confirm(
        action="withdraw",
        title=_("Withdraw the access of %(name)s?", **words),
        intro=_(
            "From then on %(app)s reads nothing of the accounts of %(name)s for"
            " %(administration)s. %(provider)s is told at once. Afterwards only %(name)s can give"
            " permission again.",
            administration=administration.name,
            provider=house().settings.provider_name,
            **words,
        ),
        lists=(
            (_("These links stop"), _stopping(session, administration.id, grant)),
            (
                _("This stays"),
                (_fetched(session, administration.id), _("History, and the record on this page")),
            ),
        ),
        url=f"{_url(administration.id, grant.holder_id)}/withdraw",
        fields=(("seen", given(session, grant)),),
        yes=_("Withdraw access"),
        no=Link(label=_("Do not withdraw"), url=_url(administration.id, grant.holder_id)),
    )


def _stopping(session: Session, administration_id: int, grant: Grant) -> tuple[str, ...]:
    """The rows that are on through this holder, and who could take over."""
    found = []
    for each in connections_of(session, administration_id, at()):
        if each.facts.switch is Switch.ON and each.connection.selected_id == grant.holder_id:
            found.append(_row_line(each, str(grant.holder_id)))
    return tuple(found) or (_("None: nothing is fetched through this account holder now"),)


def _row_line(each: Record, holder: str) -> str:
    title = f"{spoken_title(each)} ({row_view(each, reader()).chip})"
    others = [
        called(facts.name, key)
        for key, facts in each.facts.holders.items()
        if key != holder and facts.usable
    ]
    if not others:
        return title
    return _("%(title)s; %(other)s can take over in one click", title=title, other=others[0])


def _fetched(session: Session, administration_id: int) -> str:
    count = session.scalar(
        select(func.count(Transaction.id))
        .join(Connection, Connection.id == Transaction.connection_id)
        .where(Connection.administration_id == administration_id)
    )
    return ngettext(
        "The %(n)s transaction that was fetched for this administration",
        "All %(n)s transactions that were fetched for this administration",
        count or 0,
    )


def _fetched_through(session: Session, grant: Grant) -> str:
    """What came through this one person; others may have brought the rest."""
    count = session.scalar(
        select(func.count(Transaction.id))
        .join(FetchRun, FetchRun.id == Transaction.run_id)
        .join(Connection, Connection.id == Transaction.connection_id)
        .where(
            Connection.administration_id == grant.administration_id,
            FetchRun.holder_id == grant.holder_id,
        )
    )
    return ngettext(
        "The %(n)s transaction that came through this person",
        "The %(n)s transactions that came through this person",
        count or 0,
    )


@blueprint.post("/withdraw")
def do_withdraw(administration_id: int, holder_id: int) -> Answer:
    provider = house().settings.provider_name
    try:
        told = withdraw(
            house().services,
            administration_id,
            holder_id,
            at(),
            actor=person().name,
            seen=request.form.get("seen", ""),  # without it nothing was seen
        )
    except Missing:
        abort(404)
    except Refused:
        say("info", _("There was no access any more, so there was nothing to withdraw."))
    except Stale:
        say("error", _("Permission was given anew meanwhile, so nothing was withdrawn."))
    else:
        if told:
            say(
                "ok",
                _("Access withdrawn. %(provider)s confirmed it.", provider=provider),
            )
        else:
            say(
                "ok",
                _(
                    "Access withdrawn: nothing is read any more. %(provider)s has not confirmed it"
                    " yet; it is told again until it does.",
                    provider=provider,
                ),
            )
    return redirect(_url(administration_id, holder_id), 303)


# -- deleting -------------------------------------------------------------------------------------


def _forgetting(
    session: Session, administration: Administration, grant: Grant, name: str
) -> Confirm:
    reach = extent(session, administration.id, grant.holder_id, at())
    pseudonym = called(None, grant.holder_id)
    return Confirm(
        action="forget",
        title=_("Delete the data of %(name)s?", name=name),
        intro=_deleting_intro(reach, administration.name, pseudonym),
        lists=(
            (_("This goes"), _going(reach)),
            (
                _("This stays, and why"),
                (
                    _(
                        "%(what)s: books have to be kept for seven years. Through whom they came"
                        " reads “%(pseudonym)s”.",
                        what=_fetched_through(session, grant),
                        pseudonym=pseudonym,
                    ),
                    _(
                        "Accounts of which transactions are in the books, with IBAN, and what"
                        " happened and when, under the same number: it belongs to the books."
                    ),
                    _(
                        "Of every permission when it was given, until when, on which text and how"
                        " it ended, for five years: to be able to show that reading was allowed."
                    ),
                ),
            ),
        ),
        url=f"{_url(administration.id, grant.holder_id)}/forget",
        fields=(("seen", given(session, grant)),),
        yes=_("Delete data"),
        no=Link(label=_("Do not delete"), url=_url(administration.id, grant.holder_id)),
    )


def _deleting_intro(reach: Extent, administration: str, pseudonym: str) -> str:
    parts = []
    if reach.shares:
        parts.append(_("Access is withdrawn first: from then on nothing is read any more."))
    parts.append(
        _(
            "Everywhere in %(administration)s they are called “%(pseudonym)s” from then on. This"
            " cannot be taken back.",
            administration=administration,
            pseudonym=pseudonym,
        )
    )
    return " ".join(parts)


def _going(reach: Extent) -> tuple[str, ...]:
    who = _("Name and e-mail address")
    if reach.elsewhere:
        who = _(
            "Name and e-mail address in this administration. They stay in %(elsewhere)s, where"
            " this person is known too.",
            elsewhere=", ".join(reach.elsewhere),
        )
    return (
        who,
        _("Invitations to them, with what was written in them, and mails that were sent or wait"),
        _("Of the permissions: from where, with what browser, and which accounts"),
        _("Mails to colleagues that name them: what was in them"),
        _("The keys with which their accounts are read, and the provider's number for this person")
        if not reach.elsewhere
        else _("The keys with which their accounts are read"),
        _("Accounts of theirs of which nothing was fetched"),
    )


@blueprint.post("/forget")
def do_forget(administration_id: int, holder_id: int) -> Answer:
    try:
        done = forget(
            house().services,
            administration_id,
            holder_id,
            at(),
            actor=person().name,
            seen=request.form.get("seen", ""),  # without it nothing was seen
        )
    except Missing:
        abort(404)
    except Refused:
        say("info", _("The data were deleted before, so there was nothing to do."))
    except Stale:
        say("error", _("Permission was given anew meanwhile, so nothing was deleted."))
    else:
        say(
            "ok",
            _("Data deleted.")
            if done.told is not False
            else _(
                "Data deleted. %(provider)s has not confirmed yet that access ended; it is told"
                " again until it does.",
                provider=house().settings.provider_name,
            ),
        )
    return redirect(_url(administration_id, holder_id), 303)


# -- for who asks for it --------------------------------------------------------------------------


@blueprint.get("/consents.json")
def download(administration_id: int, holder_id: int) -> Response:
    """What is kept of a holder's permissions, for the holder who asks for it (GDPR art. 15, 20)."""
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        grant, holder = _found(session, administration_id, holder_id)
        kept = records.of_holder(session, administration_id, holder_id)
        content = {
            "administration": administration.name,
            "holder": {
                "number": holder.id,
                "name": None if grant.forgotten_at else holder.name,
                "email": None if grant.forgotten_at else holder.email,
            },
            "made_at": at().now.isoformat(),
            "consents": [_whole(each) for each in kept],
        }
    answer = Response(
        json.dumps(content, ensure_ascii=False, indent=2) + "\n", mimetype="application/json"
    )
    answer.headers["Content-Disposition"] = (
        f'attachment; filename="banklink-consents-{administration_id}-{holder_id}.json"'
    )
    return answer


def _whole(each: Consent) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in Consent.__table__.columns:
        value = getattr(each, column.key)
        found[column.key] = value.isoformat() if hasattr(value, "isoformat") else value
    found["time_zone"] = records.ZONE
    if each.text_params and each.text_id in TEXTS:
        text = rendered(each.text_id, each.text_language, each.text_params)
        if text.hash == each.text_hash:
            found["text_shown"] = [text.lead, *(f"{word}: {what}" for word, what in text.facts)]
    return found
