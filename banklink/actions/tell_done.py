"""Tell: a holder renewed, or gave access at their bank; who asked for it hears so, and how many
transactions came in because of it (domain.md B3). Who did it from the row saw it happen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from banklink.actions.colleagues import language, row_address, who_asked
from banklink.actions.outbox import queue
from banklink.actions.services import Services
from banklink.actions.settle import hold
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.facts import Switch
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.mail.bookkeepers import done
from banklink.mail.voice import Voice
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Connection,
    FetchRun,
    Grant,
    Holder,
    Invitation,
    Journal,
)

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=15)
"""A renewal that was noticed is told so much later: by then who did it is back, and what was missed
has been fetched."""

_ASKED_WITHIN = timedelta(days=30)


def tell_return(services: Services, attempt_id: int, at: Moment) -> None:
    """After somebody's return was taken in and the backlog fetched. A fault of ours here must not
    stand between them and the page."""
    try:
        _tell_return(services, attempt_id, at)
    except Exception:
        log.exception("the return of attempt %s was not told", attempt_id)


def _tell_return(services: Services, attempt_id: int, at: Moment) -> None:
    with services.store.write() as session:
        attempt = session.get_one(Attempt, attempt_id)
        hold(session, attempt.administration_id)
        if attempt.outcome != "done":
            return
        connection = session.get_one(Connection, attempt.connection_id)
        account = _account_of(session, attempt, connection)
        if account is None:
            return
        told = _siblings(session, account)
        for each in told:
            each.renewed_at = None
        if attempt.invitation_id is None:
            return
        invitation = session.get_one(Invitation, attempt.invitation_id)
        _tell(
            services,
            session,
            account,
            told or [account],
            at,
            since=at.now,
            asked_for=connection,
            invitation=invitation,
            renewed=attempt.purpose == Action.RENEW.value,
            key=f"attempt:{attempt.id}" if attempt.purpose == Action.GRANT.value else None,
        )


def tell_renewals(services: Services, at: Moment) -> int:
    """What was noticed without anybody coming back here: renewed in the entrepreneur app, or along
    with an account of another administration. Returns how many accounts were dealt with."""
    with services.store.read() as session:
        due = session.execute(
            select(Account.grant_id, Account.bank)
            .where(Account.renewed_at <= at.now - PATIENCE)
            .distinct()
        ).all()
    dealt_with = 0
    for grant_id, bank in due:
        try:
            with services.store.write() as session:
                dealt_with += _tell_renewal(services, session, grant_id, bank, at)
        except Exception:
            # A fault of ours with one renewal must not keep the others waiting.
            log.exception("a renewal of grant %s was not told", grant_id)
    return dealt_with


def _tell_renewal(
    services: Services, session: Session, grant_id: int, bank: str | None, at: Moment
) -> int:
    grant = session.get_one(Grant, grant_id)
    hold(session, grant.administration_id)
    renewed = list(
        session.scalars(
            select(Account)
            .where(
                Account.grant_id == grant_id,
                Account.bank.is_(None) if bank is None else Account.bank == bank,
                Account.renewed_at <= at.now - PATIENCE,
            )
            .order_by(Account.id)
        )
    )
    if not renewed:
        return 0
    since = min(each.renewed_at for each in renewed if each.renewed_at is not None)
    for each in renewed:
        each.renewed_at = None
    asked = session.scalar(
        select(Invitation)
        .where(
            Invitation.administration_id == grant.administration_id,
            Invitation.purpose == Purpose.RENEW.value,
            Invitation.holder_id == grant.holder_id,
            Invitation.bank == (bank or renewed[0].iban[4:8]),
            Invitation.created_at > since - _ASKED_WITHIN,
        )
        .order_by(Invitation.id.desc())
        .limit(1)
    )
    _tell(
        services,
        session,
        renewed[0],
        renewed,
        at,
        since=since,
        invitation=asked,
        renewed=True,
    )
    return len(renewed)


def _account_of(session: Session, attempt: Attempt, connection: Connection) -> Account | None:
    if attempt.account_id is not None:
        return session.get(Account, attempt.account_id)
    return session.scalar(
        select(Account)
        .join(Grant)
        .where(
            Grant.administration_id == attempt.administration_id,
            Account.iban == connection.iban,
            Account.currency == connection.currency,
            Account.listed,
            Account.authorised_at.is_not(None),
        )
        .order_by((Grant.holder_id == connection.selected_id).desc(), Grant.granted_at.desc())
        .limit(1)
    )


def _siblings(session: Session, account: Account) -> list[Account]:
    """What was renewed along with it and not told yet."""
    return list(
        session.scalars(
            select(Account)
            .where(
                Account.grant_id == account.grant_id,
                Account.bank.is_(None) if account.bank is None else Account.bank == account.bank,
                Account.renewed_at.is_not(None),
            )
            .order_by(Account.id)
        )
    )


def _tell(
    services: Services,
    session: Session,
    account: Account,
    accounts: Sequence[Account],
    at: Moment,
    *,
    since: datetime,
    invitation: Invitation | None,
    renewed: bool,
    asked_for: Connection | None = None,
    key: str | None = None,
) -> None:
    """`asked_for`: is told of even where nothing is fetched of it yet. `key`: where the date of the
    authorisation does not tell one time from another."""
    grant = session.get_one(Grant, account.grant_id)
    administration = session.get_one(Administration, grant.administration_id)
    holder = session.get_one(Holder, grant.holder_id)
    used = _used(session, grant, accounts)
    runs = bool(used)
    if not used and asked_for is not None:
        used = [asked_for]
    people = who_asked(session, administration.id, invitation)
    if not used or not people:
        return
    first = used[0]
    authorised = max(
        (each.authorised_at for each in accounts if each.authorised_at), default=at.now
    )
    for user in people:
        voice, office = Voice(language(user, services.office)), services.office
        queue(
            session,
            services,
            done(
                voice,
                name=user.name,
                holder=holder.name,
                administration=administration.name,
                bank=account.bank or account.iban[4:8],
                accounts=[
                    (_called(session, each) or voice.gettext("Account"), each.iban) for each in used
                ],
                until=amsterdam_day(account.valid_until) if account.valid_until else None,
                fetched=_fetched(session, [each.id for each in used], since),
                renewed=renewed,
                runs=runs,
                url=row_address(services, first),
                app=office.app,
            ),
            at,
            kind="done",
            email=user.email,
            name=user.name,
            key=f"done:{key or _renewal(grant, account, authorised)}:{user.id}",
            administration_id=administration.id,
            holder_id=holder.id,
            user_id=user.id,
        )


def _renewal(grant: Grant, account: Account, authorised: datetime) -> str:
    """One renewal, however many notice it."""
    return f"{grant.id}:{account.bank}:{authorised.isoformat()}"


def _used(session: Session, grant: Grant, accounts: Sequence[Account]) -> list[Connection]:
    """Connections that are on, for these accounts and through this holder."""
    keys = [(each.iban, each.currency) for each in accounts]
    found = session.scalars(
        select(Connection)
        .where(
            Connection.administration_id == grant.administration_id,
            Connection.selected_id == grant.holder_id,
            Connection.switch == Switch.ON.value,
            Connection.iban.in_([iban for iban, _ in keys]),
        )
        .order_by(Connection.id)
    )
    return [each for each in found if (each.iban, each.currency) in keys]


def _called(session: Session, connection: Connection) -> str | None:
    return session.scalar(
        select(Journal.name).where(
            Journal.administration_id == connection.administration_id,
            Journal.iban == connection.iban,
            Journal.currency == connection.currency,
        )
    )


def _fetched(session: Session, connection_ids: list[int], since: datetime) -> int:
    return (
        session.scalar(
            select(func.sum(FetchRun.added)).where(
                FetchRun.connection_id.in_(connection_ids), FetchRun.finished_at >= since
            )
        )
        or 0
    )
