"""Remind: write to holders whose authorisation ends, or has ended (domain.md B3).

One mail per holder and bank, because one step at the bank renews all of their accounts there. Each
threshold of each authorisation is dealt with once: with a mail, or rightly with none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, defer

from banklink.actions import unsubscribe
from banklink.actions.colleagues import bookkeepers, who_helps
from banklink.actions.invite import KINDS, address, ask_for
from banklink.actions.outbox import queue
from banklink.actions.people import checked_email
from banklink.actions.services import Refused, Services
from banklink.actions.settle import end_known, hold_all, same_bank, term_of
from banklink.core import reminders
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Switch
from banklink.core.invitations import Purpose
from banklink.core.reminders import Term
from banklink.mail.reminders import Ending, Occasion, reminder
from banklink.mail.voice import Voice
from banklink.store.facts import add_event
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Event,
    Grant,
    Holder,
    Invitation,
    Journal,
    Mail,
    Reminder,
)

log = logging.getLogger(__name__)

_BANK = func.coalesce(Account.bank, func.substr(Account.iban, 5, 4))
"""As settle.bank_of has it."""

QUIET = timedelta(hours=24)
"""So long after a person asked for it, the clock does not ask for the same."""


def remind(services: Services, at: Moment) -> int:
    """Deal with everything that has fallen due; returns how many mails were queued. At night
    nothing is: the next morning looks again."""
    moment = reminders.writing_hours(at)
    if moment is None:
        return 0
    with services.store.read() as session:
        due = session.execute(
            select(Grant.holder_id, _BANK, func.min(Account.remind_at))
            .join(Account, Account.grant_id == Grant.id)
            .where(Account.remind_at <= moment.now)
            .group_by(Grant.holder_id, _BANK)
            .order_by(func.min(Account.remind_at), Grant.holder_id)
        ).all()
    queued = 0
    for holder_id, bank, _ in due:
        try:
            with services.store.write() as session:
                queued += _remind(services, session, holder_id, bank, moment)
        except Exception:
            # A fault of ours with one holder must not keep the others waiting.
            log.exception("holder %s could not be reminded", holder_id)
    return queued


@dataclass(frozen=True, slots=True)
class _Own:
    """One account of the holder at this bank. `connection`: the one that fetches it through this
    holder; None when none that is on does."""

    account: Account
    administration: Administration
    term: Term | None
    connection: Connection | None
    journal: str | None

    @property
    def wanted(self) -> bool:
        """Whether renewing is what anybody wants: it is fetched, and was not ended on purpose."""
        return (
            self.connection is not None
            and self.account.listed
            and self.account.ended != "revoked"
            and self.term is not None
        )


def _remind(services: Services, session: Session, holder_id: int, bank: str, at: Moment) -> int:
    hold_all(
        session,
        session.scalars(select(Grant.administration_id).where(Grant.holder_id == holder_id)),
    )
    holder = session.get_one(Holder, holder_id)
    if reminders.waits_for_facts(at) and _unseen(session, holder_id, at):
        return 0
    everything = _own(session, holder_id, bank)
    declined_at = _declined_at(session, holder, bank)
    mailable: list[tuple[int, _Own]] = []
    for own in everything:
        account = own.account
        if account.remind_at is None or account.remind_at > at.now:
            continue
        account.remind_at = reminders.next_look(own.term, at.now)
        if own.term is None:
            continue
        due = reminders.due(own.term, at.now, _noted(session, account))
        _note(session, own, due.passed, at)
        if due.mail is None:
            continue
        needless = reminders.paused(due.mail, declined_at, at.now) or reminders.covered(
            due.mail, _last_told(session, own), at.now
        )
        if own.wanted and not needless:
            mailable.append((due.mail, own))
        else:
            _note(session, own, (due.mail,), at)
    if not mailable:
        return 0
    mailable.sort(key=lambda each: (-reminders.urgency(each[0]), each[1].account.id))
    mail = None
    if _may_be_mailed(session, holder, bank, at):
        mail = _mail(services, session, holder, bank, mailable, everything, at)
    for threshold, own in mailable:
        _note(session, own, (threshold,), at, mail)
    return int(mail is not None)


def _unseen(session: Session, holder_id: int, at: Moment) -> bool:
    """Whether it is not known yet what the provider shows of them now (actions/check.py looks)."""
    return bool(
        session.scalar(select(Grant.id).where(Grant.holder_id == holder_id, *overdue(at)).limit(1))
    )


def overdue(at: Moment) -> tuple[ColumnElement[bool], ...]:
    """The condition of a query for grants that should have been looked at some time ago."""
    return (
        Grant.state == GrantState.ACTIVE.value,
        Grant.next_check_at < at.now - reminders.OVERDUE,
    )


def _declined_at(session: Session, holder: Holder, bank: str) -> datetime | None:
    """When this holder last said no to renewing here."""
    return session.scalar(
        select(func.max(Invitation.declined_at)).where(
            Invitation.holder_id == holder.id,
            Invitation.purpose == Purpose.RENEW.value,
            Invitation.bank == bank,
        )
    )


def _last_told(session: Session, own: _Own) -> datetime | None:
    """When a mail that was not set aside last named this account with the day it ends now."""
    if own.connection is None or own.term is None:
        return None
    last = session.scalar(
        select(Event)
        .where(Event.connection_id == own.connection.id, Event.kind == "reminded")
        .order_by(Event.id.desc())
        .limit(1)
    )
    if last is None or last.params.get("until") != own.term.last_day.isoformat():
        return None
    if last.params.get("holder") != own.connection.selected_id:
        return None
    mail = session.get(Mail, last.params.get("mail", 0), options=[defer(Mail.sealed)])
    return last.at if mail is not None and mail.refused_at is None else None


def _own(session: Session, holder_id: int, bank: str) -> list[_Own]:
    rows = session.execute(
        select(Account, Grant.state, Administration, Connection, Journal.name)
        .join(Grant, Grant.id == Account.grant_id)
        .join(Administration, Administration.id == Grant.administration_id)
        .outerjoin(
            Connection,
            (Connection.administration_id == Grant.administration_id)
            & (Connection.iban == Account.iban)
            & (Connection.currency == Account.currency)
            & (Connection.selected_id == Grant.holder_id)
            & (Connection.switch == Switch.ON.value),
        )
        .outerjoin(
            Journal,
            (Journal.administration_id == Grant.administration_id)
            & (Journal.iban == Account.iban)
            & (Journal.currency == Account.currency),
        )
        .where(Grant.holder_id == holder_id, same_bank(bank))
        .order_by(Account.id)
    )
    return [
        _Own(
            account,
            administration,
            term_of(account),
            connection if state == GrantState.ACTIVE.value else None,
            journal,
        )
        for account, state, administration, connection, journal in rows
    ]


def _noted(session: Session, account: Account) -> set[int]:
    return set(
        session.scalars(
            select(Reminder.threshold).where(
                Reminder.account_id == account.id,
                Reminder.authorised_at == account.authorised_at,
                Reminder.valid_until == end_known(account),
            )
        )
    )


def _note(
    session: Session, own: _Own, thresholds: Iterable[int], at: Moment, mail: Mail | None = None
) -> None:
    for threshold in thresholds:
        session.add(
            Reminder(
                account_id=own.account.id,
                authorised_at=own.account.authorised_at,
                valid_until=end_known(own.account),
                threshold=threshold,
                at=at.now,
                mail_id=mail.id if mail else None,
            )
        )


def _may_be_mailed(session: Session, holder: Holder, bank: str, at: Moment) -> bool:
    if holder.reminders_off_at is not None or holder.forgotten_at is not None:
        return False
    if not holder.email or not _sound(holder.email):
        return False
    asked = session.scalar(
        select(func.max(Mail.created_at))
        .join(Invitation, Invitation.id == Mail.invitation_id)
        .where(
            Invitation.holder_id == holder.id,
            Invitation.purpose == Purpose.RENEW.value,
            Invitation.bank == bank,
            Mail.kind.in_(KINDS),
            Mail.refused_at.is_(None),
        )
    )
    return asked is None or at.now - asked >= QUIET


def _sound(email: str) -> bool:
    """The address came from the provider; nobody here has checked it."""
    try:
        checked_email(email)
    except Refused:
        return False
    return True


def _mail(
    services: Services,
    session: Session,
    holder: Holder,
    bank: str,
    mailable: Sequence[tuple[int, _Own]],
    everything: Sequence[_Own],
    at: Moment,
) -> Mail | None:
    threshold, first = mailable[0]
    assert holder.email is not None
    office, locale = services.office, holder.locale or services.office.locale
    used = [own for _, own in mailable]
    used += [own for own in everything if own.wanted and own not in used]
    connections = [own.connection for own in used if own.connection is not None]
    people = bookkeepers(session, [first.administration.id])[first.administration.id]
    helper = who_helps(people, first.connection.switched_by if first.connection else None)
    name, email = " ".join(holder.name.split()), checked_email(holder.email)
    invitation, token = ask_for(
        session,
        at,
        administration_id=first.administration.id,
        purpose=Purpose.RENEW,
        email=email,
        name=name,
        locale=locale,
        connections=[each.id for each in connections],
        bank=bank,
        holder_id=holder.id,
        by_reminder=True,
    )
    voice = Voice(locale)
    letter = reminder(
        threshold,
        voice,
        Occasion(
            today=at.today,
            name=name,
            bank=bank,
            accounts=[_ending(own, voice, at) for own in used],
            office=office.name,
            helper=helper.name if helper else office.name,
            url=address(services, token),
            unsubscribe=unsubscribe.address(services, holder.id),
        ),
    )
    mail = queue(
        session,
        services,
        letter,
        at,
        kind="reminder",
        email=email,
        name=name,
        key=_key(first.account, threshold),
        reply_to=helper.email if helper else None,
        administration_id=first.administration.id,
        holder_id=holder.id,
        invitation_id=invitation.id,
        true_until=reminders.true_until(first.term, at.now) if first.term else None,
    )
    if mail is not None:
        for own in used:
            if own.connection is None or own.term is None:
                continue
            add_event(
                session,
                own.connection,
                "reminded",
                at,
                holder=holder.id,
                threshold=threshold,
                until=own.term.last_day.isoformat(),
                mail=mail.id,
            )
    return mail


def _key(account: Account, threshold: int) -> str:
    began, end = account.authorised_at, end_known(account)
    assert began is not None and end is not None
    return f"reminder:{account.id}:{began.isoformat()}:{end.isoformat()}:{threshold}"


def _ending(own: _Own, voice: Voice, at: Moment) -> Ending:
    assert own.term is not None
    over = at.today >= own.term.without_from
    return Ending(
        administration=own.administration.name,
        name=own.journal or voice.gettext("Account"),
        iban=own.account.iban,
        last_day=own.term.last_day,
        days=reminders.days_to(own.term, at.now),
        over_since=own.term.without_from if over else None,
    )
