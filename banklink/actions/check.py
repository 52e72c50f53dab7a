"""Check: what time alone changes, and what is due. Called by the scheduler; all due times are in
the database, the timer is only an alarm clock."""

from __future__ import annotations

import logging
from datetime import timedelta
from time import monotonic
from typing import cast

from sqlalchemy import CursorResult, false, select, update

from banklink.actions import consents
from banklink.actions.fetch import fetch
from banklink.actions.observe import CHECK_EVERY, observe
from banklink.actions.services import Services
from banklink.actions.settle import hold, settle
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.providers.contract import ProviderError
from banklink.store.models import Account, Connection, Grant

log = logging.getLogger(__name__)


def check_expiries(services: Services, at: Moment) -> int:
    """Tell the history of authorisations whose last day has passed. Returns how many ended."""
    ended = Account.expiry_noted == false(), Account.expires_at <= at.now
    with services.store.read() as session:
        administrations = list(
            session.scalars(
                select(Grant.administration_id)
                .join(Account, Account.grant_id == Grant.id)
                .where(*ended)
                .distinct()
            )
        )
    told = 0
    for administration_id in administrations:
        with services.store.write() as session:
            hold(session, administration_id)
            rows = session.execute(
                select(Account.id, Account.iban, Account.currency, Account.grant_id)
                .join(Grant)
                .where(Grant.administration_id == administration_id, *ended)
            ).all()
            keys = {(iban, currency) for _, iban, currency, _ in rows}
            only = [
                row.id
                for row in session.scalars(
                    select(Connection).where(
                        Connection.administration_id == administration_id,
                        Connection.iban.in_({iban for iban, _ in keys}),
                    )
                )
                if (row.iban, row.currency) in keys
            ]
            settle(session, administration_id, at, only=only)
            for grant_id in {row.grant_id for row in rows}:
                consents.close_lapsed(session, grant_id, at)
            session.execute(
                update(Account)
                .where(Account.id.in_([row[0] for row in rows]))
                .values(expiry_noted=True)
            )
            told += len(rows)
    return told


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
