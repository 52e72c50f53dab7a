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

from sqlalchemy import Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from banklink.actions import consents, revoke
from banklink.actions.give_back import give_back
from banklink.actions.invite import still_open
from banklink.actions.revoke import (
    asks_of,
    close_invitations,
    end_grant,
    given,
    grant_of,
    hide_subject,
    leave_to_others,
    tell_history,
    to_holder,
)
from banklink.actions.services import Refused, Services, Stale
from banklink.actions.settle import hold_all, settle
from banklink.actions.sign_in import plain_email
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.store.models import (
    Access,
    Account,
    Administration,
    Attempt,
    Connection,
    Event,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
    InvitationLink,
    Mail,
    Membership,
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


def extent(session: Session, administration_id: int, holder_id: int, at: Moment) -> Extent:
    grant = session.scalars(
        select(Grant).where(
            Grant.administration_id == administration_id, Grant.holder_id == holder_id
        )
    ).one()
    holder = session.get_one(Holder, holder_id)
    elsewhere = _elsewhere(session, grant, holder, at)
    names = session.scalars(
        select(Administration.name)
        .where(Administration.id.in_(elsewhere))
        .order_by(Administration.name)
    )
    return Extent(grant.state == GrantState.ACTIVE, tuple(names))


def _elsewhere(session: Session, grant: Grant, holder: Holder, at: Moment) -> set[int]:
    """Other administrations that know this person: they gave access there, or were asked for it
    and can still answer."""
    gave = session.scalars(
        select(Grant.administration_id).where(
            Grant.holder_id == holder.id,
            Grant.administration_id != grant.administration_id,
            Grant.forgotten_at.is_(None),
        )
    )
    asked = _books(select(Invitation.id).where(to_holder(holder), *still_open(at)))
    return {*gave, *session.scalars(asked)} - {grant.administration_id}


def _books(invitations: Select[int]) -> Select[int]:
    """The administrations whose accounts these invitations ask for."""
    return (
        select(Connection.administration_id)
        .join(InvitationAccount, InvitationAccount.connection_id == Connection.id)
        .where(InvitationAccount.invitation_id.in_(invitations))
        .distinct()
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
    read = _read_digests(services, administration_id)
    with services.store.write() as session:
        hold_all(session, {administration_id, *_all_books(session, holder_id)})
        grant = grant_of(session, administration_id, holder_id)
        if grant.forgotten_at is not None:
            raise Refused("forgotten")
        if seen is not None and seen != given(session, grant):
            raise Stale(None)
        # Locked before it is decided whether this is the last of their administrations: who gives
        # access in another one meanwhile waits for it (come_back.py).
        holder = session.get_one(Holder, holder_id, with_for_update=True)
        revocation = None
        if grant.state == GrantState.ACTIVE:
            revocation = end_grant(session, grant, at, actor=actor, reason="forgotten")
        close_invitations(session, grant, at, actor)
        grant.withdrawn_at, grant.forgotten_at = at.real, at.now
        tell_history(session, grant, "holder_forgotten", at, actor=actor)
        alone = not _elsewhere(session, grant, holder, at)
        _wipe(services, session, grant, holder, at, read, everywhere=alone)
        settle(session, administration_id, at, actor=actor)
    told = revoke.tell(services, revocation.id, at) if revocation is not None else None
    services.store.scrub()
    return Forgotten(alone, told)


def _all_books(session: Session, holder_id: int) -> set[int]:
    """Every administration that may know them."""
    holder = session.get(Holder, holder_id)
    if holder is None:
        return set()
    gave = select(Grant.administration_id).where(Grant.holder_id == holder_id)
    asked = _books(select(Invitation.id).where(to_holder(holder)))
    return {*session.scalars(gave), *session.scalars(asked)}


def _wipe(
    services: Services,
    session: Session,
    grant: Grant,
    holder: Holder,
    at: Moment,
    read: _Digests,
    *,
    everywhere: bool,
) -> None:
    invitations = _invitations(session, grant, holder)
    words = _words(holder, invitations)
    ids = [each.id for each in invitations]
    _wipe_mails(session, grant, holder, ids)
    _wipe_digests(services, session, grant, words, read)
    for each in invitations:
        each.name = each.email = each.message = ""
    session.execute(delete(InvitationLink).where(InvitationLink.invitation_id.in_(ids)))
    _wipe_departures(session, grant, ids, at)
    _wipe_accounts(session, grant, words)
    for record in consents.of_holder(session, grant.administration_id, holder.id):
        record.ip = record.user_agent = record.provider_consent = None
        record.text_params = {}
        record.accounts = {"count": len(record.accounts.get("accounts", ()))}
    _wipe_names(session, grant, words)
    if everywhere:
        _empty(session, holder, at)
    session.flush()


def _empty(session: Session, holder: Holder, at: Moment) -> None:
    holder.name, holder.email, holder.locale = "", None, None
    holder.reminders_off_at, holder.forgotten_at = None, at.now
    hide_subject(session, holder)


def empty_left_over(session: Session, at: Moment) -> int:
    """Who was forgotten wherever they gave access, and only asked for it elsewhere, which came to
    nothing meanwhile. Returns how many."""
    found = session.scalars(
        select(Holder)
        .where(
            Holder.forgotten_at.is_(None),
            exists().where(Grant.holder_id == Holder.id),
            ~exists().where(Grant.holder_id == Holder.id, Grant.forgotten_at.is_(None)),
        )
        .with_for_update()
    ).all()
    alone = [
        each
        for each in found
        if session.scalar(select(Invitation.id).where(to_holder(each), *still_open(at)).limit(1))
        is None
    ]
    for each in alone:
        _empty(session, each, at)
    return len(alone)


def _invitations(session: Session, grant: Grant, holder: Holder) -> list[Invitation]:
    """Those of this administration. One that asks for accounts of others too stays theirs."""
    found = session.scalars(
        select(Invitation)
        .where(to_holder(holder), asks_of(grant.administration_id))
        .order_by(Invitation.id)
        .with_for_update()
    ).all()
    return [each for each in found if not leave_to_others(session, each, grant.administration_id)]


def _words(holder: Holder, invitations: Iterable[Invitation]) -> frozenset[str]:
    """What the person is called, wherever it was written down."""
    found = {holder.name, holder.email or ""}
    for each in invitations:
        found |= {each.name, each.email}
    return frozenset(found - {""})


def _wipe_mails(
    session: Session, grant: Grant, holder: Holder, invitations: Collection[int]
) -> None:
    """Mails to them go, sent or not. Of those to colleagues about them the content goes, and those
    that still wait go as a whole: what they tell is on the page too."""
    here = Mail.administration_id == grant.administration_id
    about = (Mail.holder_id == holder.id) | Mail.invitation_id.in_(invitations)
    address = func.lower(Mail.email) == plain_email(holder.email or "")
    to_them = Mail.user_id.is_(None) & or_(about, address)
    waits = Mail.sent_at.is_(None) & Mail.refused_at.is_(None)
    _delete_mails(session, select(Mail.id).where(here, or_(to_them, about & waits)))
    session.execute(update(Mail).where(here, about).values(sealed=""))


def _delete_mails(session: Session, which: Select[int]) -> None:
    ids = list(session.scalars(which))
    session.execute(update(Reminder).where(Reminder.mail_id.in_(ids)).values(mail_id=None))
    session.execute(delete(Mail).where(Mail.id.in_(ids)))


# -- digests --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Digests:
    """What colleagues' digests say, by the number of the mail. Read before anything is locked,
    because opening seals takes a while."""

    text: dict[int, str]


def _digests(administration_id: int) -> Select[Mail]:
    """Mails that name many people, of many administrations, to who works in this one."""
    return select(Mail).where(
        Mail.kind == "digest",
        Mail.sealed != "",
        Mail.user_id.in_(
            select(Membership.user_id).where(Membership.administration_id == administration_id)
        ),
    )


def _read_digests(services: Services, administration_id: int) -> _Digests:
    with services.store.read() as session:
        found = list(session.scalars(_digests(administration_id)))
    return _Digests({each.id: _text(services, each) for each in found})


def _text(services: Services, mail: Mail) -> str:
    """What it says to its reader; the greeting is the reader's own."""
    try:
        opened = services.vault.open(mail.sealed)
    except SealBroken:
        return ""  # nobody can read it, nor can it be sent
    said = f"{opened.get('subject') or ''} {opened.get('text') or ''}"
    return said.replace(mail.name, "") if mail.name else said


def _wipe_digests(
    services: Services, session: Session, grant: Grant, words: Collection[str], read: _Digests
) -> None:
    """Of a digest that names them the content goes; the next one says what is so without it."""
    naming = _naming(words)
    wanted = _digests(grant.administration_id)
    later = session.scalars(wanted.where(Mail.id.not_in(read.text)))
    text = read.text | {each.id: _text(services, each) for each in later}
    ids = [number for number, said in text.items() if naming.search(said)]
    waits = and_(Mail.sent_at.is_(None), Mail.refused_at.is_(None))
    _delete_mails(session, select(Mail.id).where(Mail.id.in_(ids), waits))
    session.execute(update(Mail).where(Mail.id.in_(ids)).values(sealed=""))


def _naming(words: Collection[str]) -> re.Pattern[str]:
    """Finds what somebody is called as a whole word; the longest of several first."""
    longest = sorted(words, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest) or r"(?!)")


_ACCOUNTS = frozenset({"others", "chosen", "wanted", "missing"})
"""Of a departure: whole IBANs, also of accounts that are in no books."""


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
        each.params = {name: value for name, value in each.params.items() if name not in _ACCOUNTS}


def _wipe_accounts(session: Session, grant: Grant, words: frozenset[str]) -> None:
    """An account stays, with its name, where transactions of it are in the books, unless the name
    is theirs. Of others nothing stays; that the books have such an IBAN is on their own row."""
    session.flush()
    gone: list[int] = []
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
        account.ref = None
        if not booked:
            gone.append(account.id)
        elif account.name is not None and _naming(words).search(account.name):
            account.name = None
    session.flush()
    session.execute(update(Attempt).where(Attempt.account_id.in_(gone)).values(account_id=None))
    session.execute(delete(Reminder).where(Reminder.account_id.in_(gone)))
    session.execute(delete(Access).where(Access.account_id.in_(gone)))
    session.execute(delete(Account).where(Account.id.in_(gone)))


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
