"""Ask holders to renew: one mail per holder and bank, listing all of their accounts there, because
one step at the bank renews them all (domain.md B3, R10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select
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
    told,
)
from banklink.actions.services import Refused, Services
from banklink.actions.settle import hold, opened
from banklink.actions.sign_in import plain_email
from banklink.core.calendar import Moment
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.store.facts import Record, Share, records
from banklink.store.models import Connection, Invitation, Mail

QUIET = timedelta(hours=24)
"""So long after a request nobody is asked again in bulk; a person may, in the row."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to be: who is asked, at which bank, for which connections."""

    recipient: Recipient
    bank: str
    connections: tuple[int, ...]
    administrations: tuple[int, ...]


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
    skipped: dict[int, str] = {}
    letters: dict[tuple[int, str], list[tuple[Record, Share]]] = {}
    for found in _records(session, connection_ids, at):
        share = found.shares.get(found.diagnosis.concerns or "")
        if not found.diagnosis.renewable:
            skipped[found.connection.id] = "not_needed"
        elif share is None or share.account is None:
            skipped[found.connection.id] = "no_holder"
        elif not share.holder.email:
            skipped[found.connection.id] = "no_email"
        else:
            key = share.holder.id, bank_of(found, share)
            letters.setdefault(key, []).append((found, share))
    made = []
    for (_holder_id, bank), asked in letters.items():
        holder = asked[0][1].holder
        assert holder.email is not None
        ids = tuple(found.connection.id for found, _ in asked)
        if not again and _asked_lately(session, holder.id, bank, at):
            skipped |= dict.fromkeys(ids, "asked")
            continue
        made.append(
            Letter(
                Recipient(
                    holder.name,
                    plain_email(holder.email),
                    holder.locale or services.office.locale,
                    holder.id,
                ),
                bank,
                ids,
                tuple(dict.fromkeys(found.connection.administration_id for found, _ in asked)),
            )
        )
    return Plan(tuple(made), skipped)


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
        connections=letter.connections,
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


def _records(session: Session, connection_ids: Iterable[int], at: Moment) -> list[Record]:
    by_books: dict[int, list[int]] = {}
    for connection_id, administration_id in session.execute(
        select(Connection.id, Connection.administration_id)
        .where(Connection.id.in_(list(connection_ids)))
        .order_by(Connection.administration_id, Connection.id)
    ):
        by_books.setdefault(administration_id, []).append(connection_id)
    return [
        found
        for administration_id, ids in by_books.items()
        for found in records(session, administration_id, at, only=ids)
    ]


def _asked_lately(session: Session, holder_id: int, bank: str, at: Moment) -> bool:
    last = session.scalar(
        select(func.max(Mail.created_at))
        .join(Invitation, Invitation.id == Mail.invitation_id)
        .where(
            Invitation.holder_id == holder_id,
            Invitation.bank == bank,
            Mail.kind.in_({*KINDS, "reminder"}),
            Mail.refused_at.is_(None),
        )
    )
    return last is not None and at.now - last < QUIET
