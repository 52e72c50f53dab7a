"""Ask holders to renew: one mail per holder and bank, listing all of their accounts there, because
one step at the bank renews them all (domain.md B3, R10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import and_, func, literal, or_, select
from sqlalchemy.orm import Session

from banklink.actions import throttle
from banklink.actions.invite import (
    KINDS,
    MOST_IN_TEN_MINUTES,
    Recipient,
    arm_by_itself,
    ask_for,
    bank_of,
    can_arm,
    mail_to,
    not_too_often,
    open_invitation,
    told,
)
from banklink.actions.services import Refused, Services
from banklink.actions.settle import hold, opened
from banklink.actions.sign_in import plain_email
from banklink.core.calendar import Moment
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.store.facts import Record, Share, records
from banklink.store.models import Connection, Holder, Invitation, InvitationAccount, Mail

QUIET = timedelta(hours=24)
"""So long after a request nobody is asked again in bulk; a person may, in the row."""

_TWICE = timedelta(minutes=1)
"""So soon after the first a second press is a slip."""

_AT_A_TIME = 500
"""Databases take so many values in one statement, and many more not."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to be: who is asked, at which bank, for which connections. `also`: what else the
    mail names, because the same step renews it: what can be renewed in the same administrations,
    and what an earlier mail of the same invitation asked for. `reminders_off`: they want no
    reminders, which a person's request is not."""

    recipient: Recipient
    bank: str
    connections: tuple[int, ...]
    administrations: tuple[int, ...]
    also: tuple[int, ...] = ()
    reminders_off: bool = False

    @property
    def named(self) -> tuple[int, ...]:
        """Every connection the mail lists."""
        return self.connections + self.also


@dataclass(frozen=True, slots=True)
class Plan:
    """`skipped`: connection -> why it cannot be asked for: `not_needed` (nothing to renew),
    `no_holder`, `no_email`, `asked` (within the last day)."""

    letters: tuple[Letter, ...]
    skipped: Mapping[int, str] = field(default_factory=dict)

    @property
    def mails(self) -> int:
        return len(self.letters)

    @property
    def holders(self) -> int:
        return len({letter.recipient.holder_id for letter in self.letters})

    @property
    def accounts(self) -> int:
        return sum(len(letter.connections) for letter in self.letters)


def plan(
    services: Services,
    session: Session,
    connection_ids: Iterable[int],
    at: Moment,
    *,
    again: bool = False,
) -> Plan:
    """What asking for these would come to. `again`: also who was asked within the last day."""
    wanted = set(connection_ids)
    skipped: dict[int, str] = {}
    letters: dict[tuple[int, str], _Asked] = {}
    for found in _neighbours(session, wanted, at):
        number, share = found.connection.id, found.concerned_share
        reason = _hindrance(found, share)
        if reason is None:
            assert share is not None
            asked = letters.setdefault(
                (share.holder.id, bank_of(found, share)), _Asked(share.holder)
            )
            asked.add(found, wanted=number in wanted)
        elif number in wanted:
            skipped[number] = reason
    made = []
    for (_holder_id, bank), asked in letters.items():
        if not asked.connections:
            continue
        if not again and _asked_lately(services, session, asked.holder.id, bank, at):
            skipped |= dict.fromkeys(asked.connections, "asked")
            continue
        made.append(asked.letter(services, session, bank, at))
    return Plan(tuple(made), skipped)


@dataclass(slots=True)
class _Asked:
    """What is to be in the letter to one holder about one bank."""

    holder: Holder
    connections: list[int] = field(default_factory=list)
    siblings: dict[int, int] = field(default_factory=dict)
    administrations: dict[int, None] = field(default_factory=dict)

    def add(self, found: Record, *, wanted: bool) -> None:
        if wanted:
            self.connections.append(found.connection.id)
            self.administrations[found.connection.administration_id] = None
        else:
            self.siblings[found.connection.id] = found.connection.administration_id

    def letter(self, services: Services, session: Session, bank: str, at: Moment) -> Letter:
        assert self.holder.email is not None
        email, books = plain_email(self.holder.email), tuple(self.administrations)
        also = [number for number, place in self.siblings.items() if place in books]
        earlier = open_invitation(
            session,
            at,
            administration_id=books[0],
            purpose=Purpose.RENEW,
            email=email,
            bank=bank,
            holder_id=self.holder.id,
        )
        if earlier is not None:
            also += session.scalars(
                select(InvitationAccount.connection_id)
                .where(InvitationAccount.invitation_id == earlier.id)
                .order_by(InvitationAccount.connection_id)
            )
        return Letter(
            Recipient(
                self.holder.name,
                email,
                self.holder.locale or services.office.locale,
                self.holder.id,
            ),
            bank,
            tuple(self.connections),
            books,
            tuple(each for each in dict.fromkeys(also) if each not in self.connections),
            self.holder.reminders_off_at is not None,
        )


def _hindrance(found: Record, share: Share | None) -> str | None:
    """Why nobody can be asked to renew this one."""
    if not found.diagnosis.renewable:
        return "not_needed"
    if share is None or share.account is None:
        return "no_holder"
    return None if share.holder.email else "no_email"


def request_renewals(
    services: Services,
    connection_ids: Iterable[int],
    at: Moment,
    *,
    actor: str,
    actor_id: int,
    again: bool = False,
) -> Plan:
    """Send them; returns what was sent. Each mail is a transaction of its own: a long list is not
    one long lock, and what was done is done. What was never switched on is, once the holder is
    back."""
    with services.store.read() as session:
        wanted = plan(services, session, connection_ids, at, again=again)
    sent: list[Letter] = []
    skipped = dict(wanted.skipped)
    for letter in wanted.letters:
        with services.store.write() as session:
            for administration_id in sorted(letter.administrations):
                hold(session, administration_id)
            now = plan(services, session, letter.connections, at, again=again)
            for each in now.letters:
                _send(services, session, each, at, actor=actor, actor_id=actor_id)
            sent += now.letters
            skipped |= now.skipped
    return Plan(tuple(sent), skipped)


def request(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    version: int | None,
    actor: str,
    actor_id: int,
) -> Letter:
    """The row's own button; the mail lists what else this holder has to renew at this bank. Raises
    Missing, Stale, Refused (request_not_needed, request_no_email, just_sent, sent_enough,
    too_often)."""
    with services.store.write() as session:
        connection = opened(session, connection_id, at, version=version).connection
        throttle.count(session, at, what="invite", who=str(actor_id), most=MOST_IN_TEN_MINUTES)
        found = records(session, connection.administration_id, at)
        whole = plan(services, session, [each.connection.id for each in found], at, again=True)
    mine = [each for each in whole.letters if connection_id in each.connections]
    if not mine:
        why = whole.skipped.get(connection_id)
        raise Refused("request_no_email" if why == "no_email" else "request_not_needed")
    to = mine[0].recipient
    with services.store.read() as session:
        not_too_often(session, to.email, connection.administration_id, to.name, at)
    done = request_renewals(
        services, mine[0].connections, at, actor=actor, actor_id=actor_id, again=True
    )
    if not done.letters:
        raise Refused("request_not_needed")
    return done.letters[0]


def _send(
    services: Services,
    session: Session,
    letter: Letter,
    at: Moment,
    *,
    actor: str,
    actor_id: int,
) -> None:
    invitation, token = ask_for(
        session,
        at,
        administration_id=letter.administrations[0],
        purpose=Purpose.RENEW,
        email=letter.recipient.email,
        name=letter.recipient.name,
        locale=letter.recipient.locale,
        connections=letter.named,
        bank=letter.bank,
        holder_id=letter.recipient.holder_id,
        actor=actor,
        actor_id=actor_id,
    )
    for found in _records(session, letter.connections, at):
        if can_arm(found) and Action.ARM in found.diagnosis.actions:
            arm_by_itself(session, found, at, actor)
    mail_to(services, session, invitation, token, at, kind="request")
    told(session, invitation, "renewal_requested", at, actor)


def _books(session: Session, connection_ids: Iterable[int]) -> dict[int, list[int]]:
    """The connections by administration, each in the order of their numbers."""
    found: dict[int, list[int]] = {}
    for some in _portions(connection_ids):
        for number, administration_id in session.execute(
            select(Connection.id, Connection.administration_id).where(Connection.id.in_(some))
        ):
            found.setdefault(administration_id, []).append(number)
    return {each: sorted(found[each]) for each in sorted(found)}


def _portions(numbers: Iterable[int]) -> Iterator[list[int]]:
    every = sorted(numbers)
    return (every[first : first + _AT_A_TIME] for first in range(0, len(every), _AT_A_TIME))


def _records(session: Session, connection_ids: Iterable[int], at: Moment) -> Iterator[Record]:
    for administration_id, ids in _books(session, connection_ids).items():
        yield from records(session, administration_id, at, only=ids)


def _neighbours(session: Session, connection_ids: Iterable[int], at: Moment) -> Iterator[Record]:
    """Every row of the administrations that these are in."""
    for administration_id, ids in _books(session, connection_ids).items():
        for found in records(session, administration_id, at):
            if found.shown or found.connection.id in ids:
                yield found


def _asked_lately(
    services: Services, session: Session, holder_id: int, bank: str, at: Moment
) -> bool:
    """Whether a mail reached this holder, or is about to, within the last day. What waits
    where there is no mail server reached nobody; nor does it count to have asked for what was
    withdrawn or declined since."""
    posts = services.post is not None
    out = or_(Mail.sent_at.is_not(None), and_(literal(posts), Mail.refused_at.is_(None)))
    pressed = and_(
        Mail.kind.in_(KINDS), Mail.refused_at.is_(None), Mail.wanted_at > at.real - _TWICE
    )
    wanted = (
        select(Invitation.id)
        .join(Mail, Mail.invitation_id == Invitation.id)
        .where(
            Invitation.holder_id == holder_id,
            Invitation.bank == bank,
            Invitation.withdrawn_at.is_(None),
            Invitation.declined_at.is_(None),
            Mail.kind.in_({*KINDS, "reminder"}),
            Mail.user_id.is_(None),
            func.coalesce(Mail.sent_at, Mail.created_at) > at.now - QUIET,
            or_(out, pressed),
        )
        .limit(1)
    )
    return session.scalar(wanted) is not None
