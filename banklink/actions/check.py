"""Check: what time alone changes, and what is due. Called by the scheduler; all due times are in
the database, the timer is only an alarm clock."""

from __future__ import annotations

import logging
from datetime import timedelta
from time import monotonic
from typing import cast

from sqlalchemy import CursorResult, bindparam, false, select, update
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.fetch import fetch
from banklink.actions.observe import CHECK_EVERY, observe
from banklink.actions.services import Services
from banklink.actions.settle import hold_all, settle_in_time
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.providers.contract import ProviderError
from banklink.store.models import Account, Connection, Grant

log = logging.getLogger(__name__)


_AT_ONCE = 500
"""Ended authorisations in one transaction: people write in between."""

_ENDED = Account.expiry_noted == false(), Account.expires_at <= bindparam("now")
_WHERE = (
    select(Grant.administration_id)
    .join(Account, Account.grant_id == Grant.id)
    .where(*_ENDED)
    .order_by(Account.expires_at, Account.id)
    .limit(_AT_ONCE)
)
_WHAT = (
    select(Account.id, Account.grant_id, Connection.id)
    .join(Grant, Grant.id == Account.grant_id)
    .outerjoin(
        Connection,
        (Connection.administration_id == Grant.administration_id)
        & (Connection.iban == Account.iban)
        & (Connection.currency == Account.currency),
    )
    .where(*_ENDED, Grant.administration_id.in_(bindparam("administrations", expanding=True)))
    .order_by(Account.expires_at, Account.id)
    .limit(_AT_ONCE)
)


def check_expiries(services: Services, at: Moment) -> int:
    """Tell the history of authorisations whose last day has passed. Returns how many ended."""
    told = 0
    while True:
        with services.store.read() as session:
            administrations = set(session.connection().scalars(_WHERE, {"now": at.now}))
        if not administrations:
            return told
        with services.store.write() as session:
            hold_all(session, administrations)
            told += _tell_ended(session, administrations, at)


def _tell_ended(session: Session, administrations: set[int], at: Moment) -> int:
    given = {"now": at.now, "administrations": administrations}
    rows = session.connection().execute(_WHAT, given).all()
    accounts, grants = {row[0] for row in rows}, {row[1] for row in rows}
    settle_in_time(session, {row[2] for row in rows if row[2] is not None}, at)
    for grant_id in consents.open_among(session, grants):
        consents.close_lapsed(session, grant_id, at)
    session.connection().execute(
        update(Account).where(Account.id.in_(accounts)).values(expiry_noted=True)
    )
    return len(accounts)


def check_grants(services: Services, at: Moment) -> int:
    """Read the accounts of every grant that is due; each claimed by one conditional UPDATE."""
    with services.store.read() as session:
        due = list(
            session.scalars(
                select(Grant.id)
                .where(Grant.state == GrantState.ACTIVE.value, Grant.next_check_at <= at.now)
                .order_by(Grant.next_check_at)
            )
        )
    done = 0
    for grant_id in due:
        with services.store.write() as session:
            claimed = cast(
                CursorResult[object],
                session.execute(
                    update(Grant)
                    .where(Grant.id == grant_id, Grant.next_check_at <= at.now)
                    .values(next_check_at=at.now + CHECK_EVERY)
                ),
            ).rowcount
        if not claimed:
            continue
        done += 1
        try:
            observe(services, grant_id, at)
        except ProviderError as error:
            log.info("grant %s not checked: %s", grant_id, error.code)
        except Exception:
            # A fault of ours with one grant must not keep the others waiting.
            log.exception("grant %s could not be checked", grant_id)
    return done


def fetch_due(services: Services, at: Moment) -> int:
    """Fetch every connection that is due. Returns how many this process did. Each at its own
    moment: of a long list the last comes so late that its lease, reckoned from when the first one
    came, would be over as it begins."""
    began = monotonic()
    with services.store.read() as session:
        due = list(
            session.scalars(
                select(Connection.id)
                .where(Connection.switch == "on", Connection.next_fetch_at <= at.now)
                .order_by(Connection.next_fetch_at)
            )
        )
    done = 0
    for each in due:
        passed = timedelta(seconds=monotonic() - began)
        now = Moment(at.now + passed, at.real + passed)
        done += fetch(services, each, now, due_only=True).result != "busy"
    return done
