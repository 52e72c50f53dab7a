"""Forget: what Banklink knows of an account holder goes, for one administration. What has to stay
stays under a number: the transactions that came through them, because books are kept, that they
came, and of each permission what proves that reading was allowed (docs/privacy.md).

The holder's own row, with name and address, is of all administrations together: it is emptied with
the last of them. Who gives permission anew is somebody again (come_back.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, or_, select, true, update
from sqlalchemy.orm import Session

from banklink.actions import consents, revoke
from banklink.actions.give_back import give_back
from banklink.actions.revoke import close_invitations, end_grant, given, grant_of, tell_history
from banklink.actions.services import Refused, Services, Stale
from banklink.actions.settle import hold, settle
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.core.masked import PSEUDONYM
from banklink.mail.voice import Voice
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Connection,
    Event,
    Grant,
    Holder,
    Invitation,
    InvitationLink,
    Mail,
    Reminder,
    Transaction,
    User,
)
from banklink.store.vault import SealBroken


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`everywhere`: the holder's own row was emptied too. `told`: the provider confirmed that
    access ended; None where there was none to end."""

    everywhere: bool
    told: bool | None


@dataclass(frozen=True, slots=True)
class Extent:
    """What forgetting would do, before it is done. `shares`: access ends first. `elsewhere`: names
    of other administrations that keep the holder's name and address."""

    shares: bool
    elsewhere: tuple[str, ...]


def extent(session: Session, administration_id: int, holder_id: int) -> Extent:
    grant = session.scalars(
        select(Grant).where(
            Grant.administration_id == administration_id, Grant.holder_id == holder_id
        )
    ).one()
    names = session.scalars(
        select(Administration.name)
        .join(Grant, Grant.administration_id == Administration.id)
        .where(*_elsewhere(grant))
        .order_by(Administration.name)
    )
    return Extent(grant.state == GrantState.ACTIVE, tuple(names))


def _elsewhere(grant: Grant) -> tuple[Any, ...]:
    return (
        Grant.holder_id == grant.holder_id,
        Grant.administration_id != grant.administration_id,
        Grant.forgotten_at.is_(None),
    )


def forget(
    services: Services,
    administration_id: int,
    holder_id: int,
    at: Moment,
    *,
    actor: str,
    seen: str | None = None,
) -> Forgotten:
    """*Gegevens verwijderen*. Raises Missing, Refused forgotten, and Stale when access was given
    anew since the person looked (`seen`, as revoke.given)."""
    with services.store.write() as session:
        hold(session, administration_id)
        grant = grant_of(session, administration_id, holder_id)
        if grant.forgotten_at is not None:
            raise Refused("forgotten")
        if seen is not None and seen != given(grant):
            raise Stale(None)
        revocation = None
        if grant.state == GrantState.ACTIVE:
            revocation = end_grant(session, grant, at, actor=actor, reason="forgotten")
        close_invitations(session, grant, at, actor)
        grant.withdrawn_at, grant.forgotten_at = at.real, at.now
        tell_history(session, grant, "holder_forgotten", at, actor=actor)
        alone = session.scalar(select(Grant.id).where(*_elsewhere(grant)).limit(1)) is None
        _wipe(services, session, grant, at, everywhere=alone)
        settle(session, administration_id, at, actor=actor)
    told = revoke.tell(services, revocation.id, at) if revocation is not None else None
    services.store.scrub()
    return Forgotten(alone, told)


def _wipe(
    services: Services, session: Session, grant: Grant, at: Moment, *, everywhere: bool
) -> None:
    holder = session.get_one(Holder, grant.holder_id, with_for_update=True)
    invitations = _invitations(session, grant, holder, everywhere)
    words = _words(holder, invitations)
    _wipe_mails(services, session, grant, holder, invitations, words, everywhere)
    for each in invitations:
        each.name = each.email = each.message = ""
    ids = [each.id for each in invitations]
    session.execute(delete(InvitationLink).where(InvitationLink.invitation_id.in_(ids)))
    _wipe_departures(session, grant, ids, at)
    _wipe_accounts(session, grant, words)
    for record in consents.of_holder(session, grant.administration_id, holder.id):
        record.ip = record.user_agent = record.provider_consent = None
        record.text_params = {}
        record.accounts = {"count": len(record.accounts.get("accounts", ()))}
    _wipe_names(session, grant, words)
    if everywhere:
        holder.name, holder.email, holder.locale = "", None, None
        holder.reminders_off_at, holder.forgotten_at = None, at.now
    session.flush()


def _invitations(
    session: Session, grant: Grant, holder: Holder, everywhere: bool
) -> list[Invitation]:
    theirs = [Invitation.holder_id == holder.id, Invitation.accepted_by_id == holder.id]
    if holder.email is not None:
        theirs.append(Invitation.email == holder.email)
    wanted = select(Invitation).where(or_(*theirs))
    if not everywhere:
        wanted = wanted.where(Invitation.administration_id == grant.administration_id)
    return list(session.scalars(wanted))


def _words(holder: Holder, invitations: Iterable[Invitation]) -> frozenset[str]:
    """What the person is called, wherever it was written down."""
    found = {holder.name, holder.email or ""}
    for each in invitations:
        found |= {each.name, each.email}
    return frozenset(found - {""})


def _wipe_mails(
    services: Services,
    session: Session,
    grant: Grant,
    holder: Holder,
    invitations: Collection[Invitation],
    words: frozenset[str],
    everywhere: bool,
) -> None:
    """Mails to them go, sent or not. In those to others that still wait the name is replaced; of
    those that went the content goes."""
    here = Mail.administration_id == grant.administration_id
    to_them = Mail.user_id.is_(None) & or_(
        Mail.invitation_id.in_([each.id for each in invitations]),
        (Mail.holder_id == holder.id) & (true() if everywhere else here),
        (Mail.email == (holder.email or "")) & here,
    )
    ids = list(session.scalars(select(Mail.id).where(to_them)))
    session.execute(update(Reminder).where(Reminder.mail_id.in_(ids)).values(mail_id=None))
    session.execute(delete(Mail).where(Mail.id.in_(ids)))
    naming = _naming(words)
    for mail in session.scalars(select(Mail).where(Mail.sealed != "")):
        try:
            opened = services.vault.open(mail.sealed)
        except SealBroken:
            continue  # nobody can read it, nor can it be sent
        if not any(naming.search(part or "") for part in opened.values()):
            continue
        if mail.sent_at is not None or mail.refused_at is not None:
            mail.sealed = ""
            continue
        called = Voice(mail.locale).gettext(PSEUDONYM, n=holder.id)
        mail.sealed = services.vault.seal(
            {name: part and naming.sub(called, part) for name, part in opened.items()}
        )


def _naming(words: Collection[str]) -> re.Pattern[str]:
    """Finds what somebody is called as a whole word; the longest of several first."""
    longest = sorted(words, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest) or r"(?!)")


def _wipe_departures(session: Session, grant: Grant, invitations: list[int], at: Moment) -> None:
    """What was agreed to, from where, and tokens nobody took in."""
    accounts = set(session.scalars(select(Account.id).where(Account.grant_id == grant.id)))
    found = session.scalars(
        select(Attempt).where(
            or_(
                Attempt.administration_id == grant.administration_id,
                Attempt.invitation_id.in_(invitations),
            )
        )
    )
    for each in found:
        theirs = (
            each.account_id in accounts
            or each.invitation_id in invitations
            or each.params.get("holder") == grant.holder_id
        )
        if not theirs:
            continue
        if each.parked is not None:
            give_back(session, each.provider, each.parked, at, reason="unused")
        each.consent, each.parked, each.private = {}, None, None


def _wipe_accounts(session: Session, grant: Grant, words: frozenset[str]) -> None:
    """An account's name stays where its transactions are in the books, unless it names them."""
    for account in session.scalars(select(Account).where(Account.grant_id == grant.id)):
        booked = session.scalar(
            select(
                exists().where(
                    Transaction.connection_id == Connection.id,
                    Connection.administration_id == grant.administration_id,
                    Connection.iban == account.iban,
                    Connection.currency == account.currency,
                )
            )
        )
        personal = account.name is not None and _naming(words).search(account.name) is not None
        if not booked or personal:
            account.name = None


def _wipe_names(session: Session, grant: Grant, words: frozenset[str]) -> None:
    """Where somebody is named as the one who did something; not one who works here."""
    workers = set(session.scalars(select(User.name).where(User.name.in_(words))))
    names = words - workers
    books = grant.administration_id
    for table, columns in (
        (Event, ("actor",)),
        (Attempt, ("actor",)),
        (Connection, ("changed_by", "switched_by", "armed_by")),
        (Invitation, ("created_by", "withdrawn_by")),
    ):
        for column in columns:
            field = getattr(table, column)
            nobody = "" if table is Attempt else None
            session.execute(
                update(table)
                .where(table.administration_id == books, field.in_(names))
                .values({column: nobody})
            )
