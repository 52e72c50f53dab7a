"""Digest: once a day, every bookkeeper is told which of their links ended or are about to, over all
of their administrations, and only when there is something to say (domain.md B3)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select, update
from sqlalchemy.orm import Session, defer

from banklink.actions.colleagues import ROLES, can_read_mail, language, row_address
from banklink.actions.outbox import queue
from banklink.actions.remind import overdue
from banklink.actions.services import Services
from banklink.actions.settle import term_of
from banklink.core.calendar import STALE_AFTER, Moment, start_of_day
from banklink.core.deliveries import OVERTAKEN
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Switch
from banklink.core.reminders import (
    TOLD_TO_BOOKKEEPER,
    days_to,
    waits_for_facts,
    writing_hours,
)
from banklink.core.statuses import BY_KEY, Overlay, Severity, Status
from banklink.mail.bookkeepers import Line
from banklink.mail.bookkeepers import digest as letter_of
from banklink.mail.voice import Voice
from banklink.store.facts import Record, records
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Grant,
    InvitationAccount,
    Mail,
    Membership,
    Reminder,
    Summary,
    User,
)

log = logging.getLogger(__name__)

_BROKEN = [row.key for row in BY_KEY.values() if row.severity is Severity.ERROR]
_SILENT = (Overlay.PROVIDER_OUTAGE, Overlay.BANK_OUTAGE, Overlay.STALE)
_STALE = "stale"
_MONDAY = 0
_HOLDERS_TURN = frozenset(
    {
        Status.ACCESS_LOST,
        Status.ACCOUNT_NOT_FOUND,
        Status.AUTHORISATION_EXPIRED,
        Status.AUTHORISATION_INCOMPLETE,
        Status.ACTIVE,
    }
)
"""Where a mail to the holder is what helps."""


def digest(services: Services, at: Moment) -> int:
    """Decide for everybody whose turn it still is today; returns how many mails were queued. At
    night it is nobody's."""
    moment = writing_hours(at)
    if moment is None:
        return 0
    with services.store.read() as session:
        people = list(
            session.scalars(
                select(User.id)
                .where(
                    _not_today(moment),
                    *can_read_mail(),
                    User.id.in_(select(Membership.user_id).where(Membership.role.in_(ROLES))),
                )
                .order_by(User.id)
            )
        )
    queued = 0
    for user_id in people:
        try:
            queued += _digest(services, user_id, moment)
        except Exception:
            # A fault of ours with one person must not keep the others waiting.
            log.exception("user %s got no digest", user_id)
    return queued


def _not_today(at: Moment) -> ColumnElement[bool]:
    return or_(User.digest_on.is_(None), User.digest_on < at.today)


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is to say. `attention`: how many links the page says need action where these are;
    `ending`: whether a threshold of an authorisation is today; `open`: what is broken or brought
    nothing for long, as remembered for the next day."""

    lines: list[Line]
    attention: int
    ending: bool
    open: dict[str, str]


def _digest(services: Services, user_id: int, at: Moment) -> int:
    """What is said is read without a lock; that it is said is one conditional UPDATE."""
    with services.store.read() as session:
        user = session.get_one(User, user_id)
        if waits_for_facts(at) and _unseen(session, user_id, at):
            return 0
        found = _found(services, session, user, at)
    new = any(user.digest_said.get(key) != row for key, row in found.open.items())
    monday = at.today.weekday() == _MONDAY and bool(found.open)
    with services.store.write() as session:
        claimed = session.scalar(
            update(User)
            .where(User.id == user_id, _not_today(at))
            .values(digest_on=at.today, digest_said=found.open)
            .returning(User.id)
        )
        if claimed is None or not (new or monday or found.ending):
            return 0
        voice, office = Voice(language(user, services.office)), services.office
        mail = queue(
            session,
            services,
            letter_of(
                voice,
                name=user.name,
                lines=found.lines,
                attention=found.attention,
                provider=office.provider,
                url=f"{office.origin}/",
                app=office.app,
            ),
            at,
            kind="digest",
            email=user.email,
            name=user.name,
            key=f"digest:{user_id}:{at.today}",
            user_id=user_id,
        )
        return int(mail is not None)


def _unseen(session: Session, user_id: int, at: Moment) -> bool:
    """Whether something in their books is still to be looked at, or to be told of as ended."""
    mine = select(Membership.administration_id).where(
        Membership.user_id == user_id, Membership.role.in_(ROLES)
    )
    ended = Account.expiry_noted == false(), Account.expires_at <= at.now
    return any(
        session.scalar(select(Grant.id).where(Grant.administration_id.in_(mine), one).limit(1))
        for one in (
            and_(*overdue(at)),
            exists().where(Account.grant_id == Grant.id, *ended),
        )
    )


def _found(services: Services, session: Session, user: User, at: Moment) -> _Found:
    mine = session.scalars(
        select(Administration)
        .join(Membership, Membership.administration_id == Administration.id)
        .where(Membership.user_id == user.id, Membership.role.in_(ROLES))
    )
    names = {each.id: each.name for each in mine}
    ending = _ending(session, names, at)
    wanted: dict[int, set[int]] = defaultdict(set)
    for administration_id, connection_id in (*_troubled(session, names, at), *ending):
        wanted[administration_id].add(connection_id)
    today = {connection_id for _, connection_id in ending}
    told: list[tuple[str, Record]] = []
    for administration_id, ids in wanted.items():
        for each in records(session, administration_id, at, only=ids):
            if each.shown and (_is_broken(each) or _silent(each) or each.connection.id in today):
                told.append((names[administration_id], each))
    told.sort(key=lambda one: _order(*one))
    last = _last_mails(session, [each for _, each in told])
    return _Found(
        lines=[_line(services, name, each, last) for name, each in told],
        attention=_attention(session, {each.connection.administration_id for _, each in told}),
        ending=any(each.connection.id in today for _, each in told),
        open={
            str(each.connection.id): _STALE if not _is_broken(each) else each.diagnosis.row.key
            for _, each in told
            if _is_broken(each) or _silent(each) is Overlay.STALE
        },
    )


def _is_broken(each: Record) -> bool:
    return each.diagnosis.row.severity is Severity.ERROR


def _silent(each: Record) -> Overlay | None:
    """Why nothing comes in although all is well; the gravest."""
    if each.diagnosis.status is not Status.ACTIVE:
        return None
    return next((one for one in _SILENT if one in each.diagnosis.overlays), None)


def _attention(session: Session, administration_ids: Collection[int]) -> int:
    """How many links of these the page says need action."""
    wanted = Summary.administration_id.in_(administration_ids)
    return int(session.scalar(select(func.sum(Summary.attention)).where(wanted)) or 0)


def _ending(session: Session, names: dict[int, str], at: Moment) -> list[tuple[int, int]]:
    """Connections whose authorisation has one of the numbers of days left that a digest names."""
    instants = [start_of_day(at.today + timedelta(days=n + 1)) for n in TOLD_TO_BOOKKEEPER]
    return [
        (administration_id, connection_id)
        for administration_id, connection_id in session.execute(
            select(Connection.administration_id, Connection.id)
            .join(Grant, Grant.administration_id == Connection.administration_id)
            .join(
                Account,
                (Account.grant_id == Grant.id)
                & (Account.iban == Connection.iban)
                & (Account.currency == Connection.currency),
            )
            .where(
                Account.expires_at.in_(instants),
                Account.ended.is_(None),
                Account.listed,
                Grant.state == GrantState.ACTIVE.value,
                Connection.switch == Switch.ON.value,
                Connection.selected_id == Grant.holder_id,
                Connection.administration_id.in_(names),
            )
        )
    ]


def _troubled(session: Session, names: dict[int, str], at: Moment) -> list[tuple[int, int]]:
    """What the history last said is broken, what an outage keeps from coming in, and what brought
    nothing for long; whether it is so, is diagnosed."""
    long_ago = at.now - STALE_AFTER
    outage = exists().where(
        Account.grant_id == Grant.id,
        Grant.administration_id == Connection.administration_id,
        Grant.holder_id == Connection.selected_id,
        Account.iban == Connection.iban,
        Account.currency == Connection.currency,
        Account.outage_since.is_not(None),
    )
    stale = and_(
        or_(Connection.last_success.is_not(None), Connection.switched_at.is_not(None)),
        or_(Connection.last_success.is_(None), Connection.last_success < long_ago),
        or_(Connection.switched_at.is_(None), Connection.switched_at < long_ago),
    )
    return [
        (administration_id, connection_id)
        for administration_id, connection_id in session.execute(
            select(Connection.administration_id, Connection.id).where(
                Connection.administration_id.in_(names),
                Connection.switch == Switch.ON.value,
                or_(
                    Connection.noted.in_(_BROKEN),
                    Connection.outage_since.is_not(None),
                    outage,
                    stale,
                ),
            )
        )
    ]


def _order(name: str, each: Record) -> tuple[bool, bool, int, str, int]:
    return (
        not _is_broken(each),
        _silent(each) is None,
        _days(each) or 0,
        name,
        each.connection.id,
    )


def _days(each: Record) -> int | None:
    """Until the last valid day, negative after it. What the bank ended before its date has had its
    last day, whatever the date says."""
    share = each.selected_share
    if share is None or share.account is None or (of := term_of(share.account)) is None:
        return None
    if each.diagnosis.status not in (Status.AUTHORISATION_EXPIRED, Status.ACTIVE):
        return None
    return days_to(of, each.facts.now) if each.facts.now is not None else None


def _line(services: Services, administration: str, each: Record, last: Mapping[int, _Last]) -> Line:
    connection, share = each.connection, each.selected_share
    mail = last.get(connection.id, _Last(None, None))
    unreached = None
    if share is not None and each.diagnosis.status in _HOLDERS_TURN:
        if not share.holder.email:
            unreached = "no_address"
        elif share.holder.reminders_off_at is not None:
            unreached = "off"
        elif mail.bounced:
            unreached = "refused"
        elif mail.waits:
            unreached = "waits"
    silent = _silent(each)
    name = each.journal.name if each.journal is not None else ""
    return Line(
        administration=administration,
        account=name or (share.account.name or "" if share and share.account else ""),
        iban=connection.iban,
        holder=share.name if share else None,
        row=each.diagnosis.row,
        silent=silent,
        days=None if silent and not _ends_soon(each) else _days(each),
        mailed_at=mail.sent_at,
        unreached=unreached,
        url=row_address(services, connection),
    )


def _ends_soon(each: Record) -> bool:
    return _days(each) in TOLD_TO_BOOKKEEPER


@dataclass(frozen=True, slots=True)
class _Last:
    """What was last written to the holder about a connection. `any`: also what is not sent."""

    any: Mail | None
    sent_at: datetime | None

    @property
    def bounced(self) -> bool:
        mail = self.any
        return mail is not None and mail.refused_at is not None and mail.error not in OVERTAKEN

    @property
    def waits(self) -> bool:
        mail = self.any
        if mail is None or self.sent_at is not None:
            return False
        return mail.sent_at is None and mail.refused_at is None


def _last_mails(session: Session, found: list[Record]) -> dict[int, _Last]:
    """By connection: the last mail that asked the holder for it, by a person or by the clock, and
    the last that was sent."""
    by_account = {
        share.account.id: each.connection.id
        for each in found
        if (share := each.selected_share) is not None and share.account is not None
    }
    newest: dict[int, int] = {}
    newest_sent: dict[int, int] = {}
    ours = InvitationAccount.connection_id.in_([each.connection.id for each in found])
    asked = (
        select(InvitationAccount.connection_id, func.max(Mail.id))
        .join(Mail, Mail.invitation_id == InvitationAccount.invitation_id)
        .where(ours, Mail.user_id.is_(None))
        .group_by(InvitationAccount.connection_id)
    )
    reminded = (
        select(Reminder.account_id, func.max(Mail.id))
        .join(Mail, Mail.id == Reminder.mail_id)
        .where(Reminder.account_id.in_(by_account))
        .group_by(Reminder.account_id)
    )
    for into, only in ((newest, ()), (newest_sent, (Mail.sent_at.is_not(None),))):
        for connection_id, mail_id in session.execute(asked.where(*only)):
            into[connection_id] = mail_id
        for account_id, mail_id in session.execute(reminded.where(*only)):
            connection_id = by_account[account_id]
            into[connection_id] = max(mail_id, into.get(connection_id, 0))
    wanted = Mail.id.in_({*newest.values(), *newest_sent.values()})
    mails = {
        mail.id: mail
        for mail in session.scalars(select(Mail).where(wanted).options(defer(Mail.sealed)))
    }
    return {
        connection_id: _Last(
            mails[mail_id],
            mails[sent].sent_at if (sent := newest_sent.get(connection_id)) else None,
        )
        for connection_id, mail_id in newest.items()
    }
