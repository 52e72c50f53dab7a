"""Observe: read a grant's accounts from the provider and store what is seen as facts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.credentials import ask, hold_of
from banklink.actions.services import Services
from banklink.actions.settle import plan_reminders, settle
from banklink.core.calendar import Moment, end_of_validity
from banklink.core.facts import Grant as GrantState
from banklink.core.money import to_minor
from banklink.providers.contract import GrantRevoked, ProviderAccount, ProviderError
from banklink.store.facts import add_event
from banklink.store.models import Account, Connection, Grant

log = logging.getLogger(__name__)

CHECK_EVERY = timedelta(hours=1)
"""How often the provider is asked which accounts it shows; that never touches the bank."""

BACK_OFF = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6))


def back_off(failures: int) -> timedelta:
    """The pause after so many failures in a row (1, 2, …)."""
    return BACK_OFF[min(failures, len(BACK_OFF)) - 1]


def observe(services: Services, grant_id: int, at: Moment) -> list[int]:
    """Returns the connections that are to be fetched now. Raises ProviderError; a refusal is
    stored before it is raised, so the row already shows it."""
    try:
        accounts = ask(services, grant_id, at, lambda provider, token: provider.accounts(token))
    except GrantRevoked:
        raise
    except ProviderError as error:
        with services.store.write() as session:
            grant = session.get_one(Grant, grant_id, with_for_update=True)
            grant.failures += 1
            grant.next_check_at = at.now + (error.retry_after or back_off(grant.failures))
        raise
    with services.store.write() as session:
        hold_of(session, grant_id)
        grant = session.get_one(Grant, grant_id, with_for_update=True)
        if grant.state != GrantState.ACTIVE:
            return []
        anew = store_accounts(session, grant, accounts, at)
        consents.renewed(services, session, grant, anew)
        consents.close_lapsed(session, grant.id, at)
        return settle(session, grant.administration_id, at)


def observe_administration(
    services: Services, administration_id: int, at: Moment
) -> tuple[list[int], bool]:
    """Every active grant of an administration; one that fails does not stop the others. Returns
    the connections to fetch now, and whether every grant could be read (a withdrawn one could:
    that is an answer)."""
    with services.store.read() as session:
        grant_ids = list(
            session.scalars(
                select(Grant.id).where(
                    Grant.administration_id == administration_id,
                    Grant.state == GrantState.ACTIVE.value,
                )
            )
        )
    due: list[int] = []
    complete = True
    for grant_id in grant_ids:
        try:
            due += observe(services, grant_id, at)
        except GrantRevoked:
            continue
        except ProviderError as error:
            log.info("accounts of grant %s not read: %s", grant_id, error.code)
            complete = False
    return due, complete


def store_accounts(
    session: Session, grant: Grant, accounts: Sequence[ProviderAccount], at: Moment
) -> list[Account]:
    """Write what was seen. An account is the same when IBAN and currency are (domain.md R12).
    Returns those that the bank authorised anew."""
    known = {
        (row.iban, row.currency): row
        for row in session.scalars(select(Account).where(Account.grant_id == grant.id))
    }
    seen, anew = set(), []
    for shown in sorted(accounts, key=lambda each: each.authorised_at is None):
        key = (shown.iban, shown.currency)
        if key in seen:
            continue
        seen.add(key)
        row = known.get(key)
        if row is None:
            row = Account(grant_id=grant.id, iban=shown.iban, currency=shown.currency, listed=False)
            session.add(row)
        if _update(session, grant, row, shown, at):
            anew.append(row)
    for key, row in known.items():
        if key not in seen and row.listed:
            row.listed = False
            row.unlisted_at = at.now
            row.outage_since = None
    grant.observed_at = at.now
    grant.failures = 0
    grant.next_check_at = at.now + CHECK_EVERY
    return anew


def _update(
    session: Session, grant: Grant, row: Account, shown: ProviderAccount, at: Moment
) -> bool:
    """Whether the bank authorised it anew."""
    if not row.listed:
        row.listed, row.listed_at, row.unlisted_at = True, at.now, None
    authorised_anew = shown.authorised_at is not None and shown.authorised_at != row.authorised_at
    if authorised_anew and row.authorised_at is not None:
        row.renewed_at = at.now
    ending = row.authorised_at, row.expires_at, row.ended
    expires_at = end_of_validity(shown.valid_until) if shown.valid_until else None
    # A provider may shift the instant by seconds at every look; the day is what counts.
    if authorised_anew or expires_at != row.expires_at:
        row.expiry_noted = False
    # The name of a bank is asked for apart, and not always to be had.
    row.ref, row.name, row.bank = shown.ref, shown.name, shown.bank or row.bank
    row.authorised_at, row.valid_until = shown.authorised_at, shown.valid_until
    row.expires_at = expires_at
    if shown.ended != row.ended:
        row.ended = shown.ended
        row.ended_at = at.now if shown.ended else None
    if ending != (row.authorised_at, row.expires_at, row.ended):
        plan_reminders(row)
    row.synchronized_at = shown.synchronized_at
    row.balance, row.balance_on = _balance(shown)
    row.available_from, row.history_from = shown.available_from, shown.history_from
    row.outage_since = (row.outage_since or at.now) if shown.outage else None
    if authorised_anew:
        row.paused_until = None  # the pause was the former authorisation's; now it gives the most
        connection = session.scalar(
            select(Connection).where(
                Connection.administration_id == grant.administration_id,
                Connection.iban == row.iban,
                Connection.currency == row.currency,
            )
        )
        if connection is not None:
            connection.next_fetch_at = None  # due at once: now the bank gives the most
            add_event(
                session,
                connection,
                "authorised",
                at,
                holder=grant.holder_id,
                until=shown.valid_until.isoformat() if shown.valid_until else None,
            )
    return authorised_anew


def _balance(shown: ProviderAccount) -> tuple[int | None, date | None]:
    stated = shown.balance
    if stated is None or stated.currency != shown.currency:
        return None, None
    return to_minor(stated.amount, stated.currency), stated.on
