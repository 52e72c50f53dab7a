"""Fill an empty world from plain data. Days are relative to the clock's business time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import oauth, world
from .bookings import NAMESPACE
from .clock import business_day
from .habits import set_habits
from .model import Bank, BankAccount, Holder, Owner, new_secret


def bank_uuid(code: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"bank {code}"))


def seed(db: Session, data: Mapping[str, Any], now: datetime, real: datetime) -> dict[str, Any]:
    """Create what `data` describes; see `Simulator.seed` for its shape."""
    banks = {row["name"]: _bank(db, row, now) for row in data.get("banks", ())}
    holders: dict[str, Holder] = {}
    apps: dict[tuple[str, str], int] = {}
    for row in data.get("holders", ()):
        holder = Holder(
            uuid=str(uuid.uuid5(NAMESPACE, f"holder {row['email']}")),
            name=row["name"],
            email=row["email"],
        )
        db.add(holder)
        db.flush()
        holders[row["key"]] = holder
        for account in row.get("accounts", ()):
            app_id = _account(db, account, holder, banks[account["bank"]], now)
            if app_id is not None:
                apps[row["key"], account["iban"]] = app_id
    _share_loaded(db, list(holders.values()))
    return {
        "integrations": [
            _integration(db, row, holders[row["holder"]], apps, now, real)
            for row in data.get("integrations", ())
        ]
    }


def _share_loaded(db: Session, holders: list[Holder]) -> None:
    """Accounts loaded from files before there was anybody belong to everybody, as later ones do."""
    for account in db.scalars(select(BankAccount).where(BankAccount.from_file)):
        for holder in holders:
            db.merge(Owner(bank_account_id=account.id, holder_id=holder.id))
    db.flush()


def _ago(now: datetime, days: float | None) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


def _bank(db: Session, row: Mapping[str, Any], now: datetime) -> Bank:
    hours = row.get("outage_since_hours")
    loaded = db.scalar(select(Bank).where((Bank.code == row["code"]) | (Bank.name == row["name"])))
    if loaded is not None:
        return loaded
    bank = Bank(
        uuid=bank_uuid(row["code"]),
        code=row["code"],
        name=row["name"],
        outage_since=None if hours is None else now - timedelta(hours=hours),
        valid_days=row.get("valid_days", 180),
        history_days=row.get("history_days", 730),
    )
    db.add(bank)
    db.flush()
    if row.get("habits"):
        set_habits(db, bank.id, row["habits"])
    return bank


def _account(
    db: Session, row: Mapping[str, Any], holder: Holder, bank: Bank, now: datetime
) -> int | None:
    """The account at the bank (once, also when it has several owners) and in the holder's app;
    returns the latter's id, None when it is not in the app."""
    currency = row.get("currency", "EUR")
    account = db.scalar(
        select(BankAccount).where(BankAccount.iban == row["iban"], BankAccount.currency == currency)
    )
    if account is None:
        opened_on = business_day(now - timedelta(days=row.get("opened_days_ago", 900)))
        account = BankAccount(
            iban=row["iban"],
            currency=currency,
            bank_id=bank.id,
            description=row.get("description", ""),
            holder_name=row.get("holder_name", holder.name),
            opened_on=opened_on,
            generated_through=opened_on - timedelta(days=1),
        )
        db.add(account)
        db.flush()
    elif account.bank_id != bank.id:
        raise ValueError(f"{row['iban']} is at two banks")
    db.add(Owner(bank_account_id=account.id, holder_id=holder.id))
    db.flush()
    authorised = row.get("authorisation")
    if not row.get("in_app", True):
        if authorised:
            raise ValueError(f"{row['iban']} is authorised but not in the app")
        return None
    app_account = world.add_to_app(db, holder.id, account.id, now)
    if authorised:
        since = now - timedelta(days=authorised["since_days_ago"])
        app_account.added_at = since
        consent = world.complete_consent(
            db,
            holder_id=holder.id,
            bank=bank,
            account_ids=[account.id],
            valid_days=authorised.get("valid_days", bank.valid_days),
            history_days=authorised.get("history_days"),
            started_at=since,
            authorized_at=since,
            synchronise_at=since,
        )
        consent.revoked_at = _ago(now, authorised.get("revoked_days_ago"))
        db.flush()
        world.synchronise(db, app_account, now)
    return app_account.id


def _integration(
    db: Session,
    row: Mapping[str, Any],
    holder: Holder,
    apps: Mapping[tuple[str, str], int],
    now: datetime,
    real: datetime,
) -> dict[str, Any]:
    integration = world.upsert_integration(
        db,
        client_id=row["client"],
        holder_id=holder.id,
        reference=row["reference"],
        label=row["label"],
        app_account_ids=[apps[row["holder"], iban] for iban in row.get("accounts", ())],
        now=now,
    )
    integration.revoked_at = _ago(now, row.get("revoked_days_ago"))
    refresh = None
    if integration.revoked_at is None:
        refresh = new_secret()
        scope = " ".join(oauth.SCOPES)
        family = oauth.new_family(db, row["client"], integration.id, scope, real)
        oauth.store_tokens(db, family, None, refresh, real)
    return {
        "holder": row["holder"],
        "reference": row["reference"],
        "subject": holder.uuid,
        "refresh_token": refresh,
    }
