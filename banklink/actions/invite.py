"""Invite: ask one person, by mail or by a link that is handed over, for permission or for a step
at their bank. The link alone grants nothing: it starts a step that the entrepreneur app's sign-in
or the bank has to confirm (domain.md B2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from banklink.actions import throttle
from banklink.actions.activate import terms
from banklink.actions.give_back import give_back
from banklink.actions.outbox import queue
from banklink.actions.people import checked_email, checked_name
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import WAITING, changed, hold, hold_all, opened
from banklink.actions.sign_in import digest, new_token
from banklink.core.calendar import Moment, amsterdam_day, start_of_day
from banklink.core.facts import Grant as GrantState
from banklink.core.facts import Switch
from banklink.core.invitations import LASTS, OPEN, Purpose
from banklink.mail.invitations import invitation_letter
from banklink.mail.voice import Voice
from banklink.store.facts import Record, Share, add_event, records, state_of_invitation
from banklink.store.models import (
    Administration,
    Attempt,
    Connection,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
    InvitationLink,
    Mail,
    User,
)
from banklink.translations import LOCALES

KINDS = frozenset({"invitation", "request"})
"""Mails that bring an invitation because a person wants it."""

_DAY = timedelta(days=1)
_MOST_LETTERS = 2000
MOST_IN_TEN_MINUTES = 60
_MOST_A_DAY = 5
_JUST_NOW = timedelta(minutes=1)


def open_invitation(
    session: Session,
    at: Moment,
    *,
    administration_id: int,
    purpose: Purpose,
    email: str,
    bank: str | None = None,
    holder_id: int | None = None,
    by_reminder: bool = False,
) -> Invitation | None:
    """The one that lets this person in for this purpose now: of those written by people there is
    never a second (domain.md A1), nor of those by the clock. Several people may share one address;
    who is known (`holder_id`) is told apart by that."""
    unknown = Invitation.holder_id.is_(None)
    same = unknown if holder_id is None else or_(unknown, Invitation.holder_id == holder_id)
    return session.scalar(
        select(Invitation)
        .where(
            Invitation.administration_id == administration_id,
            Invitation.purpose == purpose.value,
            Invitation.email == email,
            Invitation.by_reminder.is_(by_reminder),
            same,
            Invitation.bank.is_(None) if bank is None else Invitation.bank == bank,
            *still_open(at),
        )
        .order_by(Invitation.id.desc())
        .limit(1)
    )


def still_open(at: Moment) -> tuple[ColumnElement[bool], ...]:
    """The condition of a query for invitations that still let somebody in."""
    return (
        Invitation.accepted_at.is_(None),
        Invitation.withdrawn_at.is_(None),
        Invitation.declined_at.is_(None),
        Invitation.expires_at > at.now,
    )


def ask_for(
    session: Session,
    at: Moment,
    *,
    administration_id: int,
    purpose: Purpose,
    email: str,
    name: str,
    locale: str,
    connections: Iterable[int],
    bank: str | None = None,
    holder_id: int | None = None,
    message: str = "",
    actor: str | None = None,
    actor_id: int | None = None,
    by_reminder: bool = False,
) -> tuple[Invitation, str]:
    """The open invitation of this person for this purpose (and bank), asking for these connections
    too and good for the full time from now on, or a new one; with the token of a new link to it.
    `email` and `name` are checked already; the caller has taken hold of the administration.
    `actor` None: the clock asks."""
    found = open_invitation(
        session,
        at,
        administration_id=administration_id,
        purpose=purpose,
        email=email,
        bank=bank,
        holder_id=holder_id,
        by_reminder=by_reminder,
    )
    if found is None:
        found = Invitation(
            administration_id=administration_id,
            purpose=purpose.value,
            email=email,
            bank=bank,
            created_at=at.now,
            created_by=actor,
            created_by_id=actor_id,
            by_reminder=by_reminder,
        )
        session.add(found)
    found.name, found.locale, found.message = name, locale, message or found.message or ""
    found.holder_id = holder_id or found.holder_id
    found.expires_at, found.asked_again_at = start_of_day(at.today + LASTS + _DAY), None
    if actor is not None:
        found.created_by, found.created_by_id = actor, actor_id
    session.flush()
    there = set(
        session.scalars(
            select(InvitationAccount.connection_id).where(
                InvitationAccount.invitation_id == found.id
            )
        )
    )
    for connection_id in dict.fromkeys(connections):
        if connection_id not in there:
            session.add(InvitationAccount(invitation_id=found.id, connection_id=connection_id))
    return found, new_link(session, found, at)


def new_link(session: Session, invitation: Invitation, at: Moment) -> str:
    """The token of one more address that leads to this invitation."""
    token = new_token()
    session.add(
        InvitationLink(invitation_id=invitation.id, token_hash=digest(token), created_at=at.now)
    )
    session.flush()
    return token


def address(services: Services, token: str) -> str:
    return f"{services.office.origin}/invitation/{token}"


def is_open(invitation: Invitation, at: Moment) -> bool:
    return state_of_invitation(invitation, at.now) in OPEN


# -- what a person does -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who can be asked: known from the provider, or only by an address."""

    name: str
    email: str
    locale: str
    holder_id: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the wizard starts from. `recipients`: most likely first, none where nobody is known;
    `others`: accounts of the administration that miss permission too; `arms`: whether it can be
    switched on by itself afterwards."""

    purpose: Purpose
    recipients: tuple[Recipient, ...]
    others: tuple[Record, ...]
    arms: bool


def propose(services: Services, session: Session, found: Record, at: Moment) -> Proposal:
    """For one row. Whom the row is about comes first, then who else gave access to these books; a
    renewal can be asked of the holder alone."""
    everything = records(session, found.connection.administration_id, at)
    purpose = purpose_of(found)
    if purpose is Purpose.RENEW:
        return Proposal(purpose, _the_holder(services, found), (), can_arm(found))
    return Proposal(
        purpose=purpose,
        recipients=_recipients(services, session, found),
        others=tuple(
            each
            for each in everything
            if each.shown
            and each.connection.id != found.connection.id
            and each.diagnosis.row.key in MISSING
        ),
        arms=can_arm(found),
    )


MISSING = frozenset({"r2", "r3", "r8", "r9"})
"""Rows of the table that lack permission."""


def bank_of(found: Record, share: Share) -> str:
    """As the provider calls it, else as the IBAN does."""
    named = share.account.bank if share.account is not None else None
    return named or found.connection.iban[4:8]


def _the_holder(services: Services, found: Record) -> tuple[Recipient, ...]:
    share = found.concerned_share
    if share is None or share.name is None:
        return ()
    holder = share.holder
    locale = holder.locale or services.office.locale
    return (Recipient(holder.name, holder.email or "", locale, holder.id),)


def purpose_of(found: Record) -> Purpose:
    if found.diagnosis.renewable:
        return Purpose.RENEW
    known = any(each.grant is not GrantState.NONE for each in found.facts.holders.values())
    return Purpose.REPAIR if known else Purpose.CONNECT


def _recipients(services: Services, session: Session, found: Record) -> tuple[Recipient, ...]:
    concerned = found.concerned_share or found.selected_share
    first = concerned.holder if concerned and concerned.name is not None else None
    others = session.scalars(
        select(Holder)
        .join(Grant, Grant.holder_id == Holder.id)
        .where(
            Grant.administration_id == found.connection.administration_id,
            Grant.state == GrantState.ACTIVE.value,
        )
        .order_by(Holder.name, Holder.id)
    )
    known_well = {int(key) for key, each in found.facts.holders.items() if each.usable}
    people = {
        each.id: each
        for each in (*((first,) if first else ()), *others)
        if each.id not in known_well  # nothing is missing of theirs
    }
    known = [
        Recipient(each.name, each.email, each.locale or services.office.locale, each.id)
        for each in people.values()
        if each.email
    ]
    if not known and found.asked is not None:
        asked = found.asked.invitation
        known = [Recipient(asked.name, asked.email, asked.locale, asked.holder_id)]
    return tuple(known)


def can_arm(found: Record) -> bool:
    return found.facts.switch is Switch.NEVER and found.journal is not None


@dataclass(frozen=True, slots=True)
class Sent:
    """`url` is the link, told once to who made it. `mailed`: it is in the outbox."""

    invitation: Invitation
    url: str
    mailed: bool


def send(
    services: Services,
    administration_id: int,
    at: Moment,
    *,
    purpose: Purpose,
    email: str,
    name: str,
    locale: str,
    connections: Sequence[int],
    actor: str,
    actor_id: int,
    message: str = "",
    by_mail: bool = True,
    arm: bool = True,
    row: tuple[int, int | None] | None = None,
    bank: str | None = None,
    holder_id: int | None = None,
) -> Sent:
    """Ask somebody. `row`: the connection whose row this was done in and the version that was seen.
    A renewal is at a `bank` and of a holder (`holder_id`), wherever the mail goes. `arm`: what was
    never on is switched on by itself afterwards.

    Raises Refused (what was typed; already_invited; too_often), Stale, Missing; nothing is sent
    then and nothing changed.
    """
    name, email = checked_name(name), checked_email(email)
    message = _message(message)
    if locale not in LOCALES:
        raise Refused("language_unknown", field="locale")
    with services.store.write() as session:
        if row is not None:
            opened(session, row[0], at, version=row[1])
        else:
            hold(session, administration_id)
        found = _mine(session, administration_id, connections, at)
        throttle.count(session, at, what="invite", who=str(actor_id), most=MOST_IN_TEN_MINUTES)
        holder_id = holder_id or session.scalar(
            select(Holder.id)
            .join(Grant, Grant.holder_id == Holder.id)
            .where(Grant.administration_id == administration_id, func.lower(Holder.email) == email)
        )
        if holder_id is None and purpose is Purpose.REPAIR:
            purpose = Purpose.CONNECT  # who never gave permission is not asked for it again
        before = open_invitation(
            session,
            at,
            administration_id=administration_id,
            purpose=purpose,
            email=email,
            bank=bank,
            holder_id=holder_id,
        )
        if before is not None and by_mail and set(connections) <= _accounts(session, before):
            until = amsterdam_day(before.expires_at - _DAY)
            raise Refused("already_invited", field="email", name=before.name, until=until)
        invitation, token = ask_for(
            session,
            at,
            administration_id=administration_id,
            purpose=purpose,
            email=email,
            name=name,
            locale=locale,
            connections=connections,
            bank=bank,
            holder_id=holder_id,
            message=message,
            actor=actor,
            actor_id=actor_id,
        )
        for each in found:
            if arm and can_arm(each):
                arm_by_itself(session, each, at, actor)
        if by_mail:
            mail_to(services, session, invitation, token, at, kind="invitation")
        told(session, invitation, "invited" if by_mail else "link_made", at, actor)
        return Sent(invitation, address(services, token), by_mail)


def send_again(
    services: Services, invitation_id: int, at: Moment, *, actor: str, actor_id: int
) -> Sent:
    """The same once more, good for the full time again; one that was declined is asked anew. Raises
    Missing, Refused (just_sent, sent_enough, invitation_over)."""
    with services.store.write() as session:
        old = _opened(session, invitation_id)
        if old.accepted_at is not None or old.withdrawn_at is not None or not old.email:
            raise Refused("invitation_over")
        not_too_often(session, old.email, old.administration_id, old.name, at)
        newer = open_invitation(
            session,
            at,
            administration_id=old.administration_id,
            purpose=Purpose(old.purpose),
            email=old.email,
            bank=old.bank,
            holder_id=old.holder_id,
        )
        if newer is None and old.declined_at is None and not old.by_reminder:
            old.expires_at = at.now + _DAY  # so that it is this one that lives on
            session.flush()
        invitation, token = ask_for(
            session,
            at,
            administration_id=old.administration_id,
            purpose=Purpose(old.purpose),
            email=old.email,
            name=old.name,
            locale=old.locale,
            connections=_accounts(session, old),
            bank=old.bank,
            holder_id=old.holder_id,
            message=old.message,
            actor=actor,
            actor_id=actor_id,
        )
        mail_to(services, session, invitation, token, at, kind="invitation")
        told(session, invitation, "invited_again", at, actor)
        return Sent(invitation, address(services, token), True)


def link_to(services: Services, invitation_id: int, at: Moment, *, actor: str) -> str:
    """One more address of an open invitation, to be handed over by a person. Raises Missing,
    Refused invitation_over."""
    with services.store.write() as session:
        invitation = _opened(session, invitation_id)
        if not is_open(invitation, at):
            raise Refused("invitation_over")
        token = new_link(session, invitation, at)
        told(session, invitation, "link_made", at, actor)
        return address(services, token)


def withdraw(services: Services, invitation_id: int, at: Moment, *, actor: str) -> None:
    """Its links let nobody in any more, and what waits in the outbox stays there. Raises Missing,
    Refused invitation_over."""
    with services.store.write() as session:
        invitation = _opened(session, invitation_id)
        if invitation.accepted_at is not None or invitation.withdrawn_at is not None:
            raise Refused("invitation_over")
        invitation.withdrawn_at, invitation.withdrawn_by = at.now, actor
        end_departures(session, invitation, at)
        told(session, invitation, "invitation_withdrawn", at, actor)


def books_of(session: Session, invitation_id: int) -> set[int]:
    """The administrations whose accounts it asks for."""
    return set(
        session.scalars(
            select(Connection.administration_id)
            .join(InvitationAccount, InvitationAccount.connection_id == Connection.id)
            .where(InvitationAccount.invitation_id == invitation_id)
        )
    )


def end_departures(session: Session, invitation: Invitation, at: Moment) -> None:
    """Who left by it and is not back yet changes nothing any more, and what they brought and was
    not taken in yet goes back to the provider."""
    for attempt in session.scalars(
        select(Attempt)
        .where(
            Attempt.invitation_id == invitation.id,
            Attempt.outcome.is_(None) | Attempt.outcome.in_(WAITING),
        )
        .with_for_update()
    ):
        if attempt.parked is not None:
            give_back(session, attempt.provider, attempt.parked, at, reason="unused")
        attempt.parked = attempt.finishing_until = None
        attempt.outcome, attempt.ended_at = "withdrawn", at.real
        attempt.consumed_at = attempt.consumed_at or at.real


def _opened(session: Session, invitation_id: int) -> Invitation:
    books = books_of(session, invitation_id)
    if not books:
        raise Missing
    hold_all(session, books)
    return session.get_one(Invitation, invitation_id, with_for_update=True)


def _mine(
    session: Session, administration_id: int, connections: Sequence[int], at: Moment
) -> list[Record]:
    if not connections:
        raise Refused("accounts_missing", field="accounts")
    found = records(session, administration_id, at, only=connections)
    if len(found) != len(set(connections)):
        raise Missing
    return found


def _accounts(session: Session, invitation: Invitation) -> set[int]:
    return set(
        session.scalars(
            select(InvitationAccount.connection_id).where(
                InvitationAccount.invitation_id == invitation.id
            )
        )
    )


def not_too_often(
    session: Session, email: str, administration_id: int, name: str, at: Moment
) -> None:
    """Nobody is mailed by the minute, whoever presses. Raises Refused (just_sent, sent_enough)."""
    today, last = session.execute(
        select(func.count(Mail.id), func.max(Mail.wanted_at)).where(
            Mail.email == email,
            Mail.kind.in_(KINDS),
            Mail.administration_id == administration_id,
            Mail.wanted_at > at.real - _DAY,
        )
    ).one()
    if last is not None and at.real - last < _JUST_NOW:
        raise Refused("just_sent", name=name)
    if today >= _MOST_A_DAY:
        raise Refused("sent_enough", name=name)


def arm_by_itself(session: Session, found: Record, at: Moment, actor: str) -> None:
    """Switch on once the holder is done, from the day the form would propose."""
    connection = found.connection
    if connection.armed:
        return
    day = terms(session, found, None, at).proposed
    connection.armed, connection.armed_by, connection.armed_start = True, actor, day
    add_event(session, connection, "armed", at, actor=actor, start=day.isoformat())


def told(session: Session, invitation: Invitation, kind: str, at: Moment, actor: str) -> None:
    """In the history of every row it asks for; the name is looked up there when it is read."""
    session.flush()
    for connection in session.scalars(
        select(Connection)
        .join(InvitationAccount, InvitationAccount.connection_id == Connection.id)
        .where(InvitationAccount.invitation_id == invitation.id)
        .order_by(Connection.id)
        .with_for_update(of=Connection)
    ):
        changed(connection, actor)
        add_event(session, connection, kind, at, actor=actor, invitation=invitation.id)


def mail_to(
    services: Services,
    session: Session,
    invitation: Invitation,
    token: str,
    at: Moment,
    *,
    kind: str,
) -> None:
    office = services.office
    sender = session.get(User, invitation.created_by_id) if invitation.created_by_id else None
    queue(
        session,
        services,
        invitation_letter(
            Purpose(invitation.purpose),
            Voice(invitation.locale),
            name=invitation.name,
            office=office.name,
            sender=invitation.created_by,
            administrations=administrations(session, invitation),
            accounts=named_accounts(session, invitation, at),
            bank=invitation.bank,
            url=address(services, token),
            until=amsterdam_day(invitation.expires_at - _DAY),
            provider=office.provider,
            app=office.app,
            message=invitation.message,
            phone=office.phone,
        ),
        at,
        kind=kind,
        email=invitation.email,
        name=invitation.name,
        reply_to=sender.email if sender else None,
        administration_id=invitation.administration_id,
        holder_id=invitation.holder_id,
        invitation_id=invitation.id,
    )


def administrations(session: Session, invitation: Invitation) -> list[str]:
    """The names of the books it is for."""
    return list(
        session.scalars(
            select(Administration.name)
            .join(Connection, Connection.administration_id == Administration.id)
            .join(InvitationAccount, InvitationAccount.connection_id == Connection.id)
            .where(InvitationAccount.invitation_id == invitation.id)
            .group_by(Administration.id, Administration.name)
            .order_by(Administration.id)
        )
    )


def asked_for(session: Session, invitation: Invitation, at: Moment) -> list[Record]:
    """The rows it asks for, those of its own administration first."""
    ids = _accounts(session, invitation)
    books = session.execute(
        select(Connection.administration_id, Connection.id)
        .where(Connection.id.in_(ids))
        .order_by(Connection.administration_id, Connection.id)
    ).all()
    by_books: dict[int, list[int]] = {}
    for administration_id, connection_id in books:
        by_books.setdefault(administration_id, []).append(connection_id)
    return [
        each
        for administration_id in sorted(by_books, key=lambda i: i != invitation.administration_id)
        for each in records(session, administration_id, at, only=by_books[administration_id])
    ]


def named_accounts(session: Session, invitation: Invitation, at: Moment) -> list[tuple[str, str]]:
    """Name and IBAN, each IBAN once. What an account is called comes from the books, not from
    anybody's bank: the recipient has not shown yet who they are."""
    found: dict[str, str] = {}
    for each in asked_for(session, invitation, at):
        name = each.journal.name if each.journal is not None else ""
        found.setdefault(each.connection.iban, name)
    return [
        (name or Voice(invitation.locale).gettext("Account"), iban) for iban, name in found.items()
    ]


def _message(text: str) -> str:
    """A few paragraphs of plain text. Raises Refused on field `message`."""
    message = "\n".join(line.rstrip() for line in text.strip().splitlines())
    if len(message) > _MOST_LETTERS:
        raise Refused("message_long", field="message", most=_MOST_LETTERS)
    if not all(char == "\n" or char.isprintable() for char in message):
        raise Refused("message_odd", field="message")
    return message
