"""The consent record: who allowed what, when, on which text, until when, and by whom it was
withdrawn (security.md §2). Written in the transaction of the permission or the renewal it is about,
one record for every step at a bank, each pointing to the one before. Codes only; web/consents.py
has the words.

How a record ends (`ended_reason`): renewed, expired, withdrawn_here, withdrawn_at_provider,
withdrawn_at_bank, forgotten. One that is not the last of its chain stays as it ended.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence, Set
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from banklink.actions.services import Services
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.facts import Authorisation
from banklink.core.masked import masked
from banklink.core.statuses import Action
from banklink.store.facts import authorisation_of
from banklink.store.models import (
    Account,
    Attempt,
    Connection,
    Consent,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
)

VERSION = 1
"""Of what a record holds."""
YEARS = 5
"""So long after its end a record can still be asked for: as long as somebody can claim that there
was no permission (art. 3:310 BW). The seven years of bookkeeping law are about the transactions."""
CATEGORIES = "accounts balances transactions"
BASIS = "psd2_67_2a"
"""The holder's explicit consent to read (PSD2 art. 67(2)(a)); docs/privacy.md."""
FREQUENCY = "4_a_day"
"""Unattended (RTS art. 36(5)(b)); more when somebody waits."""
RETENTION = "proof_5_years"
ZONE = "Europe/Amsterdam"
SEEN = "provider"
"""The channel of what nobody came here for."""

_BY_THE_BANK = ("expired", "withdrawn_at_bank")
"""Ends of an authorisation; the permission to read at the provider goes on."""
_LAPSED = frozenset({Authorisation.EXPIRED, Authorisation.REVOKED})


# -- a permission, a renewal ----------------------------------------------------------------------


def permitted(
    services: Services, session: Session, grant: Grant, attempt: Attempt, at: Moment
) -> None:
    """Somebody came back with a permission; what they share is stored. The record is of what this
    step was for and of what came along with it: an account that was shared before and did not
    change keeps its own, on the text that was shown for it. Also where that is nothing of what was
    asked for: it is a permission all the same."""
    listed = session.scalars(
        select(Account).where(Account.grant_id == grant.id, Account.listed).order_by(Account.id)
    ).all()
    asked = _asked_for(session, attempt)
    spoken = _latest(session, grant.id)
    given = [
        each
        for each in listed
        if _meant(each, attempt, asked) or _came_along(each, grant, spoken.get(_key(each)), at)
    ]
    invitation = (
        session.get_one(Invitation, attempt.invitation_id)
        if attempt.invitation_id is not None
        else None
    )
    for accounts in _by_authorisation(given) or [[]]:
        record = _write(services, session, grant, accounts, at.now, asked)
        record.purpose = invitation.purpose if invitation is not None else "connect"
        _came_with(record, attempt)
    _end_followed(session, grant.id, shared={_key(each) for each in listed}, at=at)


def _meant(account: Account, attempt: Attempt, asked: frozenset[tuple[str, str]]) -> bool:
    """Of several that were asked for, who came may have chosen some."""
    chosen = attempt.params.get("chosen")
    return (account.iban, account.currency) in asked and (not chosen or account.iban in chosen)


def _came_along(account: Account, grant: Grant, spoken: Consent | None, at: Moment) -> bool:
    """Whether an account nobody asked for is given by this step: shared for the first time, or
    again after it had ended, or confirmed anew at the bank."""
    if at.now in (grant.granted_at, account.listed_at, account.renewed_at):
        return True
    if spoken is None:
        return False
    if spoken.ended_reason is not None and spoken.ended_reason not in _BY_THE_BANK:
        return True
    return account.authorised_at is not None and account.authorised_at != spoken.sca_at


def renewed(
    services: Services, session: Session, grant: Grant, accounts: Sequence[Account]
) -> None:
    """The bank authorised these accounts anew, as seen at the provider. Who comes back from there
    for it is noted by `came_back_for`."""
    for anew in _by_authorisation(accounts):
        given = max(each.authorised_at for each in anew if each.authorised_at is not None)
        _write(services, session, grant, anew, given, frozenset()).purpose = "renew"
    if accounts:
        _end_followed(session, grant.id)


def came_back_for(session: Session, grant: Grant, attempt: Attempt) -> None:
    """The person whose renewal was seen is back: what they were told, and where, goes with it. Also
    where it was another account than they left for."""
    renewed_now = Account.id == attempt.account_id
    if attempt.outcome != "done":
        renewed_now = Account.iban.in_(attempt.params.get("others", ()))
    spoken = _latest(session, grant.id)
    for account in session.scalars(
        select(Account).where(Account.grant_id == grant.id, renewed_now)
    ):
        record = spoken.get(_key(account))
        if record is not None and record.channel == SEEN:
            _came_with(record, attempt)


def _write(
    services: Services,
    session: Session,
    grant: Grant,
    accounts: Sequence[Account],
    given_at: datetime,
    asked: frozenset[tuple[str, str]],
) -> Consent:
    before = _before(session, grant.id, accounts)
    first = accounts[0] if accounts else None
    holder = session.get_one(Holder, grant.holder_id)
    record = Consent(
        version=VERSION,
        administration_id=grant.administration_id,
        holder_id=grant.holder_id,
        grant_id=grant.id,
        controller=services.office.name,
        agent=holder.provider,
        acting_role="holder",
        bank=first.bank if first else None,
        country=first.iban[:2] if first else None,
        accounts={"accounts": [_account(each, asked) for each in accounts]},
        categories=CATEGORIES,
        purpose="renew",
        text_id="",
        text_language="",
        text_hash="",
        text_params={},
        lawful_basis=BASIS,
        given_at=given_at,
        sca_at=first.authorised_at if first else None,
        valid_until=first.valid_until if first else None,
        valid_source="bank" if first and first.valid_until else "unknown",
        frequency=FREQUENCY,
        channel=SEEN,
        provider_consent=holder.subject,
        predecessor_id=before.id if before is not None else None,
        retention=RETENTION,
    )
    session.add(record)
    session.flush()
    return record


def _came_with(record: Consent, attempt: Attempt) -> None:
    """What the attempt knows of its person: through an invitation the holder came, from a row
    somebody who works here and holds the account."""
    told: dict[str, Any] = attempt.consent or {}
    invited = attempt.invitation_id is not None
    record.channel = "invitation" if invited else "row"
    record.acting_role = "holder" if invited else "bookkeeper"
    record.text_id = told.get("text", "")
    record.text_language = told.get("language", "")
    record.text_hash = told.get("hash", "")
    record.text_params = told.get("params", {})
    record.ip, record.user_agent = told.get("ip"), told.get("agent")


def _account(account: Account, asked: frozenset[tuple[str, str]]) -> dict[str, str]:
    chosen = "asked" if (account.iban, account.currency) in asked else "ticked"
    return {"iban": masked(account.iban), "currency": account.currency, "chosen": chosen}


def _asked_for(session: Session, attempt: Attempt) -> frozenset[tuple[str, str]]:
    wanted = [attempt.connection_id]
    if attempt.invitation_id is not None:
        wanted += session.scalars(
            select(InvitationAccount.connection_id).where(
                InvitationAccount.invitation_id == attempt.invitation_id
            )
        )
    rows = session.execute(
        select(Connection.iban, Connection.currency).where(Connection.id.in_(wanted))
    )
    return frozenset((iban, currency) for iban, currency in rows)


def _by_authorisation(accounts: Iterable[Account]) -> list[list[Account]]:
    """One step at one bank may be for several accounts; it has one day and one end."""
    found: dict[tuple[Any, ...], list[Account]] = {}
    for each in accounts:
        found.setdefault((each.bank, each.authorised_at, each.valid_until), []).append(each)
    return list(found.values())


# -- the chain ------------------------------------------------------------------------------------

Key = tuple[str, str]


def _key(account: Account) -> Key:
    return masked(account.iban), account.currency


def _keys(record: Consent) -> list[Key]:
    return [(each["iban"], each["currency"]) for each in record.accounts.get("accounts", ())]


def _of_grant(session: Session, grant_id: int) -> Sequence[Consent]:
    session.flush()
    return session.scalars(
        select(Consent).where(Consent.grant_id == grant_id).order_by(Consent.id)
    ).all()


def _latest(session: Session, grant_id: int) -> dict[Key, Consent]:
    """The record that speaks of an account now."""
    return {key: record for record in _of_grant(session, grant_id) for key in _keys(record)}


def _before(session: Session, grant_id: int, accounts: Sequence[Account]) -> Consent | None:
    """What a new record follows: the last that spoke of one of these accounts, else the last that
    spoke of none."""
    spoken = _latest(session, grant_id)
    same = [spoken[_key(each)] for each in accounts if _key(each) in spoken]
    bare = [each for each in _of_grant(session, grant_id) if not _keys(each)]
    return max(same or bare, key=lambda each: each.id, default=None)


def _end_followed(
    session: Session,
    grant_id: int,
    *,
    shared: Container[Key] | None = None,
    at: Moment | None = None,
) -> None:
    """A record of which every account is spoken of by a later one is over. With `shared`, the
    accounts of a new permission, also one whose other accounts are no longer among them."""
    spoken = _latest(session, grant_id)
    records = _of_grant(session, grant_id)
    for record in records:
        if record.ended_at is not None:
            continue
        keys = [key for key in _keys(record) if shared is None or key in shared]
        if keys or not _keys(record):
            later = [spoken[key] for key in keys] or list(records[-1:])
            if all(each.id > record.id for each in later):
                _end(record, max(each.given_at for each in later), "renewed")
        elif at is not None:
            _end(record, at.now, "renewed")


# -- the end of it --------------------------------------------------------------------------------


def end(session: Session, grant_id: int, at: Moment, *, reason: str, by: str | None = None) -> None:
    """The permission is over as a whole, also where an authorisation had lapsed already."""
    speaking = {each.id for each in _latest(session, grant_id).values()}
    for record in _of_grant(session, grant_id):
        lapsed = record.ended_reason in _BY_THE_BANK
        if record.ended_at is None or (lapsed and record.id in speaking):
            _end(record, at.now, reason, by)


def open_among(session: Session, grant_ids: Set[int]) -> list[int]:
    """Which of these grants have a record that has not ended, in order."""
    return list(
        session.scalars(
            select(Consent.grant_id)
            .where(Consent.grant_id.in_(grant_ids), Consent.ended_at.is_(None))
            .distinct()
            .order_by(Consent.grant_id)
        )
    )


def close_lapsed(session: Session, grant_id: int, at: Moment) -> None:
    """A record ends with the last authorisation it is about, when its day has passed or the bank
    was told to stop. The permission to read at the provider may go on."""
    spoken = _latest(session, grant_id)
    about: dict[int, list[Account]] = {}
    for account in session.scalars(select(Account).where(Account.grant_id == grant_id)):
        record = spoken.get(_key(account))
        if record is not None and record.ended_at is None and account.authorised_at is not None:
            about.setdefault(record.id, []).append(account)
    for number, accounts in about.items():
        states = [authorisation_of(each, at.now) for each in accounts]
        if set(states) - _LAPSED:
            continue
        record = session.get_one(Consent, number)
        if Authorisation.REVOKED in states:
            told = [each.ended_at for each in accounts if each.ended_at is not None]
            _end(record, max(told, default=at.now), "withdrawn_at_bank")
        else:
            past = [each.expires_at for each in accounts if each.expires_at is not None]
            _end(record, min(max(past, default=at.now), at.now), "expired")


def confirm(session: Session, grant_id: int, at: Moment, *, withdrawn_by: datetime) -> None:
    """The provider confirmed what was withdrawn here up to `withdrawn_by`."""
    session.execute(
        update(Consent)
        .where(
            Consent.grant_id == grant_id,
            Consent.ended_reason.in_(("withdrawn_here", "forgotten")),
            Consent.ended_at <= withdrawn_by,
            Consent.confirmed_at.is_(None),
        )
        .values(confirmed_at=at.now)
    )


def _end(record: Consent, when: datetime, reason: str, by: str | None = None) -> None:
    record.ended_at, record.ended_reason, record.withdrawn_by = when, reason, by
    record.delete_after = _years_after(amsterdam_day(when), YEARS)


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # the 29th of February
        return date(day.year + years, 3, 1)


def of_holder(session: Session, administration_id: int, holder_id: int) -> list[Consent]:
    """All records of one holder in one administration, newest first."""
    return list(
        session.scalars(
            select(Consent)
            .where(Consent.administration_id == administration_id, Consent.holder_id == holder_id)
            .order_by(Consent.given_at.desc(), Consent.id.desc())
        )
    )


def note(services: Services, session: Session, attempt: Attempt, grant: Grant, at: Moment) -> None:
    """What a return that was taken in leaves in the record; also whose it was."""
    attempt.params = {**attempt.params, "holder": grant.holder_id}
    if attempt.purpose == Action.GRANT:
        permitted(services, session, grant, attempt, at)
    else:
        came_back_for(session, grant, attempt)
    attempt.consent = {}  # it stands in the record now, and goes with that
