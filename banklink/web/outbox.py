"""The outbox: which mails went out, which did not and why; read one, copy it, send it again. Links
in mails let people in, so a mail is shown only to who could have written it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from banklink.actions import outbox as acting
from banklink.actions.services import Missing, Refused
from banklink.core.deliveries import Stage
from banklink.store.deliveries import delivery
from banklink.store.models import Administration, Connection, InvitationAccount, Mail, Membership
from banklink.store.vault import SealBroken
from banklink.web.context import MOST, at, house, person
from banklink.web.i18n import _, locale, moment
from banklink.web.mail_words import State, state_of, why
from banklink.web.said import said, say
from banklink.web.sections import settings_pages
from banklink.web.viewmodel import Button, Link, Notice

blueprint = Blueprint("outbox", __name__, url_prefix="/outbox")

Answer = Response | str | tuple[str, int]

_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MailView:
    """One mail in the list. `subject` None: its content was wiped. `name` tells its link from those
    of other mails about the same."""

    id: int
    subject: str | None
    name: str
    url: str
    to: str
    administration: str | None
    state: State
    button: Button | None


def outbox_link() -> Link:
    """For pages from which one goes to look whether a mail went out."""
    return Link(label=_("Outbox"), url=url_for("outbox.page"))


@blueprint.get("")
def page() -> Answer:
    return _page()


@blueprint.post("/test")
def test() -> Answer:
    """A mail to oneself, at once, with what the mail server said."""
    try:
        code = acting.try_out(
            house().services, at(), email=person().email, name=person().name, locale=locale()
        )
    except Refused:
        return _page(), 409
    if code is None:
        text = _(
            "The mail server took the test mail to %(email)s. Look whether it arrives.",
            email=person().email,
        )
        return _page(Notice(tone="ok", text=text))
    text = _("The test mail did not go out: %(why)s.", why=why(code))
    return _page(Notice(tone="error", text=text))


@blueprint.get("/<int:mail_id>")
def mail(mail_id: int) -> Answer:
    return _mail_page(mail_id)


@blueprint.get("/<int:mail_id>/html")
def html(mail_id: int) -> Response:
    """The mail itself, for the frame on its page: it may style itself inline and nothing else."""
    with house().services.store.read() as session:
        content = _content(_mine(session, mail_id))
    if content is None:
        abort(404)
    # Links have nowhere to open from within the frame, so that looking at a mail follows none.
    inert = (content["html"] or "").replace("<head>", '<head><base target="_blank">', 1)
    answer = make_response(inert)
    answer.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'self'; sandbox"
    )
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer


@blueprint.post("/<int:mail_id>/send")
def send(mail_id: int) -> Answer:
    with house().services.store.read() as session:
        _mine(session, mail_id)
    copies = request.form.get("copies", "0")
    try:
        going = acting.send_again(
            house().services,
            mail_id,
            at(),
            copies=int(copies) if copies.isascii() and copies.isdecimal() else 0,
        )
    except Missing:
        abort(404)
    except Refused as error:
        return _mail_page(mail_id, error), 409
    say("ok", _("It goes out within a minute."))
    return redirect(url_for("outbox.mail", mail_id=going), 303)


@blueprint.post("/<int:mail_id>/sent")
def sent(mail_id: int) -> Answer:
    """Somebody sent it from their own mail program."""
    with house().services.store.read() as session:
        _mine(session, mail_id)
    try:
        acting.sent_by_hand(house().services, mail_id, at(), actor=person().name)
    except Missing:
        abort(404)
    except Refused as error:
        return _mail_page(
            mail_id, error, _("Nothing was noted: %(why)s.", why=why(error.code))
        ), 409
    say("ok", _("Noted: you sent it yourself. It does not go out from here any more."))
    return redirect(url_for("outbox.mail", mail_id=mail_id), 303)


# -- what is shown -------------------------------------------------------------------------------


def _visible() -> ColumnElement[bool]:
    """Mails of administrations where the person does the work, those to the person alone, and for
    an owner those of no administration."""
    works = select(Membership.administration_id).where(
        Membership.user_id == person().id, Membership.role.in_(("bookkeeper", "administrator"))
    )
    own = [Mail.administration_id.in_(works)]
    if person().is_owner:
        own.append(Mail.administration_id.is_(None))
    # A renewal may be one mail for several administrations: it names them all.
    elsewhere = exists().where(
        InvitationAccount.invitation_id == Mail.invitation_id,
        Connection.id == InvitationAccount.connection_id,
        Connection.administration_id.not_in(works),
    )
    return or_(Mail.user_id == person().id, and_(Mail.user_id.is_(None), or_(*own), ~elsewhere))


def _mine(session: Session, mail_id: int) -> Mail:
    found = session.scalar(select(Mail).where(Mail.id == mail_id, _visible()))
    if found is None:
        abort(404)
    return found


def _content(mail: Mail) -> Mapping[str, str | None] | None:
    """What was sealed; None when it was wiped or the keys are gone."""
    if not mail.sealed:
        return None
    try:
        return house().services.vault.open(mail.sealed)
    except SealBroken:
        return None


def _names(session: Session, mails: list[Mail]) -> dict[int, str]:
    wanted = {each.administration_id for each in mails}
    found = session.scalars(select(Administration).where(Administration.id.in_(wanted)))
    return {each.id: each.name for each in found}


def _posts() -> bool:
    return house().services.post is not None


def _page(notice: Notice | None = None) -> str:
    before = request.args.get("before", type=int)
    wanted = select(Mail).where(_visible()).order_by(Mail.id.desc()).limit(_LISTED + 1)
    if before is not None and 0 < before < MOST:
        wanted = wanted.where(Mail.id < before)
    with house().services.store.read() as session:
        mails = list(session.scalars(wanted))
        names = _names(session, mails)
    shown = mails[:_LISTED]
    return render_template(
        "outbox/list.html",
        mails=_views(shown, names),
        server=_server(),
        test=_test_button(),
        pages=settings_pages(),
        notice=notice or said(),
        previous=Link(label=_("Newest"), url=url_for("outbox.page")) if before else None,
        next=Link(label=_("Older"), url=url_for("outbox.page", before=shown[-1].id))
        if len(mails) > _LISTED
        else None,
    )


def _server() -> Notice:
    """Whether anything is sent, and where that is set."""
    smtp = house().settings.smtp
    if smtp is not None:
        text = _(
            "Mails go out through %(server)s, from %(sender)s.",
            server=smtp.host,
            sender=smtp.sender,
        )
        return Notice(tone="info", text=text)
    text = _("No mail server is set up, so nothing is sent. Open a mail to read and copy it.")
    if person().is_owner:
        text += " " + _(
            "To have mails sent, set BANKLINK_SMTP_HOST and what belongs to it; docs/running.md"
            " says how."
        )
    return Notice(tone="info", text=text)


def _test_button() -> Button | None:
    if not (_posts() and person().is_owner and person().email):
        return None
    label = _("Send a test mail")
    return Button(
        action="test",
        label=label,
        name=_("Send a test mail to %(email)s", email=person().email),
        method="post",
        url=url_for("outbox.test"),
    )


def _views(mails: Sequence[Mail], names: Mapping[int, str]) -> list[MailView]:
    found, seen = [], Counter[str]()
    for each in mails:
        content = _content(each)
        subject = content["subject"] if content else None
        name = f"{subject or _('content wiped')} – {each.email}, {moment(each.created_at)}"
        seen[name] += 1
        if seen[name] > 1:
            name += f" ({seen[name]})"
        found.append(_view(each, subject, name, names))
    return found


def _view(mail: Mail, subject: str | None, name: str, names: Mapping[int, str]) -> MailView:
    found = delivery(mail)
    stuck = found.stage is Stage.REFUSED and found.error == "stale"
    return MailView(
        id=mail.id,
        subject=subject,
        name=name,
        url=url_for("outbox.mail", mail_id=mail.id),
        to=_to(mail),
        administration=names.get(mail.administration_id or 0),
        state=state_of(found, at(), posts=_posts()),
        button=_send_button(mail, name) if stuck and subject and _posts() else None,
    )


def _to(mail: Mail) -> str:
    return f"{mail.name} <{mail.email}>" if mail.name else mail.email


def _send_button(mail: Mail, title: str, copies: int = 0) -> Button:
    label = _("Send again") if mail.sent_at else _("Send")
    return Button(
        action="send",
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=title),
        method="post",
        url=url_for("outbox.send", mail_id=mail.id),
        fields=(("copies", str(copies)),),
    )


def _sent_button(mail: Mail, title: str) -> Button | None:
    """For who copied it; a mail that goes by itself needs no such word."""
    if _posts() and mail.refused_at is None:
        return None
    label = _("I have sent it myself")
    return Button(
        action="sent",
        label=label,
        name=_("%(action)s: %(title)s", action=label, title=title),
        method="post",
        url=url_for("outbox.sent", mail_id=mail.id),
    )


def _mail_page(mail_id: int, error: Refused | None = None, text: str | None = None) -> str:
    services = house().services
    with services.store.read() as session:
        found = _mine(session, mail_id)
        names = _names(session, [found])
        hindered = acting.hindrance(session, services, found, at())
        copies = acting.copies_of(session, mail_id)
    content = _content(found)
    waits = found.sent_at is None and found.refused_at is None and found.error is None
    g.frames = True
    notice = said()
    if error is not None:
        text = text or _("It was not sent: %(why)s.", why=why(error.code))
        notice = Notice(tone="error", text=text)
    return render_template(
        "outbox/mail.html",
        subject=content["subject"] if content else None,
        state=state_of(delivery(found), at(), posts=_posts()),
        facts=_facts(found, content, names),
        technical=((_("Message-ID"), found.message_id),),
        email=found.email,
        content=content,
        wiped=not found.sealed,
        frame=url_for("outbox.html", mail_id=mail_id),
        press=None
        if hindered or waits
        else _send_button(found, (content or {}).get("subject") or "", copies),
        by_hand=not _posts() and content is not None and found.sent_at is None,
        sent=_sent_button(found, content["subject"] or "")
        if content and found.sent_at is None
        else None,
        notice=notice,
        back=Link(label=_("To the outbox"), url=url_for("outbox.page")),
    )


def _facts(
    mail: Mail, content: Mapping[str, str | None] | None, names: Mapping[int, str]
) -> list[tuple[str, str]]:
    found = [(_("To"), _to(mail))]
    sender = house().services.office.sender
    if sender:
        found.append((_("From"), sender))
    if content and content["reply_to"]:
        found.append((_("Answers go to"), content["reply_to"]))
    if (firm := names.get(mail.administration_id or 0)) is not None:
        found.append((_("Administration"), firm))
    found.append((_("Written"), moment(mail.created_at)))
    if mail.sent_at:
        found.append((_("Sent"), moment(mail.sent_at)))
    if mail.sent_by:
        found.append((_("Sent by hand by"), mail.sent_by))
    return found
