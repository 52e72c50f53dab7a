"""Onderhoud | Ondernemersapp: who gives access, what each shares, and who was asked to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from banklink.actions import invite as inviting
from banklink.actions.invite import MISSING, Recipient
from banklink.actions.services import Missing, Refused
from banklink.core.calendar import amsterdam_day
from banklink.core.diagnose import account_line
from banklink.core.invitations import OPEN, Purpose, State
from banklink.core.statuses import ACCOUNT_LINES, Urgency
from banklink.store.facts import Record, authorisation_of, holder_facts, records
from banklink.store.facts import Share as StoredShare
from banklink.store.holders import Invited, Shared, holders_of, invitation_here, invited_to
from banklink.store.models import Account, Administration, Invitation
from banklink.web.asked import PURPOSES, short, words
from banklink.web.asking import FIELDS, addressed
from banklink.web.called import called, withdraw_button
from banklink.web.context import (
    at,
    house,
    keeps_all,
    may_change,
    my_administration,
    my_administrations,
    person,
    reader,
)
from banklink.web.i18n import _, day, day_of, iban, ngettext, when
from banklink.web.outbox import outbox_link
from banklink.web.panels import refusal
from banklink.web.rows import row_address
from banklink.web.said import said, say
from banklink.web.viewmodel import Button, Choice, Field, Form, Link, Notice

blueprint = Blueprint("holders", __name__)

Answer = Response | str | tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    iban: str
    name: str
    line: str | None
    line_text: str
    until: str | None
    url: str | None  # the row


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderCard:
    id: int
    name: str
    email: str | None
    active: bool
    since: str
    accounts: tuple[AccountView, ...]
    reminders_off: str | None
    record_url: str
    withdraw: Button | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationCard:
    id: int
    name: str
    email: str
    state: str
    state_text: str
    tone: str
    purpose: str
    accounts: str
    made: str
    detail: str | None
    buttons: tuple[Button, ...]


@blueprint.get("/holders")
def page() -> Answer:
    """Of the administration in the address, else of the last one."""
    with house().services.store.read() as session:
        if not my_administrations(session):
            return redirect(url_for("maintenance.page"), 303)  # says why there is nothing
    return _page(request.args.get("administration", type=int), request.args.get("open"))


def _page(
    administration_id: int | None,
    opened: str | None = None,
    *,
    typed: dict[str, str] | None = None,
    accounts: list[int] | None = None,
    error: Refused | None = None,
    notice: Notice | None = None,
    status: int = 200,
) -> tuple[str, int]:
    with house().services.store.read() as session:
        administration = my_administration(session, administration_id)
        if opened == "invite" and not may_change():
            abort(403)
        found = [each for each in records(session, administration.id, at()) if each.shown]
        people = holders_of(session, administration.id)
        invited = invited_to(session, administration.id)
        form = (
            _form(administration.id, found, typed, accounts, error) if opened == "invite" else None
        )
    attention = sum(each.diagnosis.urgency in (Urgency.BROKEN, Urgency.TODO) for each in found)
    rows = {(each.connection.iban, each.connection.currency): each for each in found}
    label = _("Invite somebody")
    page = render_template(
        "holders/page.html",
        administration=administration.name,
        title=_("Maintenance | %(provider)s", provider=house().settings.provider_name),
        badge=Link(
            label=ngettext("%(n)s needs action", "%(n)s need action", attention),
            url=url_for("maintenance.page", administration=administration.id, filter="todo"),
        )
        if attention
        else None,
        invite=Button(
            action="invite",
            label=label,
            name=label,
            method="get",
            url=_url(administration.id, open="invite"),
        )
        if may_change() and form is None
        else None,
        form=form,
        notice=notice or said(),
        holders=[_card(administration, each, rows) for each in people],
        invitations=[_invitation(administration, each) for each in invited],
        outbox=_outbox(),
    )
    return page, status


def _url(administration_id: int, **more: object) -> str:
    return url_for("holders.page", administration=administration_id, **more)  # type: ignore[arg-type]


def _outbox() -> Link | None:
    """Mails hold links that let somebody in: not for who may only look."""
    if not may_change():
        return None
    return outbox_link()


def _card(
    administration: Administration, each: Shared, rows: dict[tuple[str, str], Record]
) -> HolderCard:
    holder, grant = each.holder, each.grant
    name = called(None if grant.forgotten_at else holder.name, holder.id)
    active = grant.state == "active"
    return HolderCard(
        id=holder.id,
        name=name,
        email=None if grant.forgotten_at else holder.email,
        active=active,
        since=_("gives access since %(date)s", date=day_of(grant.granted_at))
        if active
        else _("withdrawn on %(date)s", date=day_of(grant.revoked_at))
        if grant.revoked_at
        else _("withdrawn"),
        accounts=tuple(
            _account(administration.id, each, account, rows) for account in each.accounts
        ),
        reminders_off=_("Wants no reminders since %(date)s", date=day_of(holder.reminders_off_at))
        if holder.reminders_off_at
        else None,
        record_url=_record_url(administration.id, holder.id),
        withdraw=withdraw_button(administration.id, holder.id, name)
        if active and may_change()
        else None,
    )


def _record_url(administration_id: int, holder_id: int) -> str:
    return url_for("consents.page", administration_id=administration_id, holder_id=holder_id)


def _account(
    administration_id: int,
    shared: Shared,
    account: Account,
    rows: dict[tuple[str, str], Record],
) -> AccountView:
    facts = holder_facts(StoredShare(shared.holder, shared.grant, account), at().now)
    line = account_line(facts)
    row = rows.get((account.iban, account.currency))
    return AccountView(
        iban=iban(account.iban),
        name=" · ".join(filter(None, (account.name, account.bank))),
        line=line.value if line else None,
        line_text=_(ACCOUNT_LINES[line]) if line else "",
        until=_("until %(date)s", date=day_of(account.valid_until))
        if account.valid_until and authorisation_of(account, at().now) == "active"
        else None,
        url=row_address(administration_id, row.connection.id) if row else None,
    )


def _invitation(administration: Administration, each: Invited) -> InvitationCard:
    invitation = each.invitation
    state = each.asked.state(at().now)
    posts = house().services.office.sender is not None
    told = words(each.asked, at(), posts=posts)
    undelivered = state is State.SENT and bool(told.tone)
    until = day(amsterdam_day(invitation.expires_at - timedelta(seconds=1)))
    made = when(invitation.created_at, at().today)
    detail = {
        State.SENT: told.text if undelivered else _("good until %(date)s", date=until),
        State.OPENED: _("good until %(date)s", date=until),
        State.ACCEPTED: _on(invitation.accepted_at),
        State.DECLINED: _on(invitation.declined_at),
        State.WITHDRAWN: _on(invitation.withdrawn_at),
        State.EXPIRED: _("on %(date)s", date=day_of(invitation.expires_at)),
    }[state]
    if invitation.asked_again_at and state is State.EXPIRED:
        detail = told.text
    return InvitationCard(
        id=invitation.id,
        name=invitation.name or called(None, invitation.holder_id or invitation.accepted_by_id),
        email=invitation.email,
        state=state.value,
        state_text=short(each.asked, at(), posts=posts),
        tone="todo" if undelivered or invitation.asked_again_at else "",
        purpose=_(PURPOSES[Purpose(invitation.purpose)]),
        accounts=", ".join(iban(each.iban) for each in each.connections),
        made=_("by %(who)s, %(when)s", who=invitation.created_by, when=made)
        if invitation.created_by
        else _("by itself, %(when)s", when=made),
        detail=detail,
        buttons=_buttons(administration.id, each, state) if may_change() else (),
    )


def _on(moment: datetime | None) -> str | None:
    return when(moment, at().today) if moment else None


def _buttons(administration_id: int, each: Invited, state: State) -> tuple[Button, ...]:
    if state in (State.ACCEPTED, State.WITHDRAWN) or not each.invitation.email:
        return ()

    def button(action: str, label: str) -> Button:
        return Button(
            action=action,
            label=label,
            name=_("%(action)s: %(title)s", action=label, title=each.invitation.name)
            + f" ({each.invitation.id})",
            method="post",
            url=url_for(
                f"holders.{action}",
                administration_id=administration_id,
                invitation_id=each.invitation.id,
            ),
        )

    buttons = [button("again", _("Send again"))]
    if state in OPEN:
        buttons += [button("withdraw", _("Withdraw")), button("link", _("Copy link"))]
    return tuple(buttons)


# -- asking somebody ----------------------------------------------------------------------------


def _form(
    administration_id: int,
    found: list[Record],
    typed: dict[str, str] | None,
    accounts: list[int] | None,
    error: Refused | None,
) -> Form:
    given = typed or {}
    at_field = {error.field: refusal(error, reader())} if error and error.field else {}
    missing = [each for each in found if each.diagnosis.row.key in MISSING]
    others = [each for each in found if each not in missing]
    ticked = {each.connection.id for each in missing} if len(missing) == 1 else set()
    chosen = ticked if accounts is None else set(accounts)
    cancel = _("Cancel")
    which = Field(
        name="accounts",
        label=_("Accounts"),
        type="checkbox",
        error=at_field.get("accounts"),
        hint=_("The account holder sees only these, and their numbers only in part.")
        if found
        else _("There is no account to ask for yet: first put an IBAN on a journal."),
        choices=tuple(
            Choice(
                value=str(each.connection.id),
                label=iban(each.connection.iban),
                detail=_account_detail(each, each in missing),
                checked=each.connection.id in chosen,
            )
            for each in (*missing, *others)
        ),
    )
    nobody = Recipient("", "", house().settings.locale)
    fields = [
        *addressed(given, nobody, at_field, [which]),
        Field(
            name="arm",
            label=_("Switch on by itself afterwards, what was never switched on"),
            type="checkbox",
            value="1" if typed is None or given.get("arm") else "",
        ),
    ]
    general = refusal(error, reader()) if error and error.field not in at_field else None
    if error and error.field is None:
        general = refusal(error, reader())
    link = _("Make a link only")
    return Form(
        action="invite",
        title=_("Invite an account holder"),
        intro=_(
            "They get a link that is good for 14 days. It only starts a step that they confirm in"
            " %(provider)s or at the bank.",
            provider=house().settings.provider_name,
        ),
        url=url_for("holders.invite", administration_id=administration_id),
        version=0,
        fields=tuple(fields),
        submit=_("Send invitation"),
        error=general,
        cancel=Button(
            action="cancel",
            label=cancel,
            name=cancel,
            method="get",
            url=_url(administration_id),
        ),
        also=Button(
            action="link", label=link, name=link, method="post", url="", fields=(("how", "link"),)
        ),
    )


def _account_detail(each: Record, missing: bool) -> str:
    title = f"{each.journal.code} {each.journal.name}" if each.journal else _("without journal")
    return title if missing else _("%(title)s – shared already", title=title)


@blueprint.post("/administrations/<int:administration_id>/holders/invite")
def invite(administration_id: int) -> Answer:
    typed = {name: request.form.get(name, "") for name in FIELDS}
    chosen = [
        int(each)
        for each in request.form.getlist("accounts")
        if each.isdecimal() and len(each) < 10
    ]
    try:
        sent = inviting.send(
            house().services,
            administration_id,
            at(),
            purpose=_purpose(administration_id, chosen),
            email=typed["email"],
            name=typed["name"],
            locale=typed["locale"] or house().settings.locale,
            connections=chosen,
            actor=person().name,
            actor_id=person().id,
            message=typed["message"],
            by_mail=typed["how"] != "link",
            arm=bool(typed["arm"]),
        )
    except Refused as error:
        g.stay = _url(administration_id, open="invite")
        return _page(
            administration_id, "invite", typed=typed, accounts=chosen, error=error, status=422
        )
    except Missing:
        abort(404)
    if not sent.mailed:
        return _handed(administration_id, sent.url, sent.invitation.name)
    say("ok", _posted(sent.invitation.email))
    return redirect(_url(administration_id), 303)


def _purpose(administration_id: int, chosen: list[int]) -> Purpose:
    """Permission again, where one of the accounts is known to somebody already."""
    with house().services.store.read() as session:
        known = any(
            each.facts.holders for each in records(session, administration_id, at(), only=chosen)
        )
    return Purpose.REPAIR if known else Purpose.CONNECT


def _posted(email: str) -> str:
    if house().services.office.sender is not None:
        return _("The mail to %(email)s is on its way.", email=email)
    return _("The mail to %(email)s waits in the outbox: no mail server is set up.", email=email)


def _handed(administration_id: int, url: str, name: str) -> Answer:
    """The link, shown this once in the answer itself."""
    g.stay = _url(administration_id)
    return _page(
        administration_id,
        notice=Notice(
            tone="ok",
            text=_(
                "Hand this link to %(name)s. It is shown only now; a new one can be made any time.",
                name=name,
            ),
            copy=url,
        ),
    )


# -- invitations that are out -------------------------------------------------------------------

_ONE = "/administrations/<int:administration_id>/invitations/<int:invitation_id>"


def _here(session: Session, administration_id: int, invitation_id: int) -> None:
    if not invitation_here(session, administration_id, invitation_id):
        abort(404)


def _press(administration_id: int, invitation_id: int, do: object) -> Answer:
    assert callable(do)
    with house().services.store.read() as session:
        _here(session, administration_id, invitation_id)
    try:
        if not keeps_all(invitation_id):
            raise Refused("invitation_shared")
        answer: Answer | None = do()
    except (Refused, Missing) as error:
        code = error if isinstance(error, Refused) else Refused("invitation_over")
        say("error", refusal(code, reader()))
        answer = None
    return answer or redirect(_url(administration_id, _anchor=f"invitation-{invitation_id}"), 303)


@blueprint.post(f"{_ONE}/again")
def again(administration_id: int, invitation_id: int) -> Answer:
    def do() -> None:
        sent = inviting.send_again(
            house().services, invitation_id, at(), actor=person().name, actor_id=person().id
        )
        say("ok", _posted(sent.invitation.email))

    return _press(administration_id, invitation_id, do)


@blueprint.post(f"{_ONE}/withdraw")
def withdraw(administration_id: int, invitation_id: int) -> Answer:
    def do() -> None:
        inviting.withdraw(house().services, invitation_id, at(), actor=person().name)
        say("ok", _("Withdrawn; its links let nobody in any more."))

    return _press(administration_id, invitation_id, do)


@blueprint.post(f"{_ONE}/link")
def link(administration_id: int, invitation_id: int) -> Answer:
    def do() -> Answer:
        url = inviting.link_to(house().services, invitation_id, at(), actor=person().name)
        with house().services.store.read() as session:
            name = session.get_one(Invitation, invitation_id).name
        return _handed(administration_id, url, name)

    return _press(administration_id, invitation_id, do)
