"""Fill a simulated bank with real statement files.

The bank then has exactly the file's bookings: number and sum equal the file's until the clock
moves on. Loading a file again, or a longer export that overlaps it, adds only what is new: a
booking is recognised by its content, and equal bookings of one day by their place among equals
within the file, so that two coffees on one day stay two.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schwifty import IBAN
from schwifty.exceptions import SchwiftyException
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from . import world
from .bookings import NAMESPACE, with_check_digits
from .clock import business_day
from .model import BOOKINGS, Bank, BankAccount, BankBooking, Holder, Owner, StatedBalance
from .seed import bank_uuid

if TYPE_CHECKING:
    from banklink.statements import Statement

    from . import Simulator

FICTITIOUS_CODE = "FICT"
FICTITIOUS_BANK = "Bestandsbank"

Note = tuple[str, dict[str, Any]]


@dataclass
class LoadReport:
    """What became of one account of one file. `notes` are codes with their parameters:

    iban_replaced (reference, iban) · iban_given (reference, iban) · already_loaded (count) ·
    every_holder (holders) · holder_created (name, email) · joined_generated ()
    """

    path: Path
    iban: str
    currency: str
    bank: str
    count: int
    total: Decimal
    first: date | None
    last: date | None
    notes: list[Note] = field(default_factory=list)


def load(
    simulator: Simulator,
    paths: Iterable[Path],
    *,
    iban: str | None = None,
    bank: str | None = None,
    holder: str | None = None,
) -> list[LoadReport]:
    """Load statement files; all of them or, when one cannot be read, none.

    `iban` replaces the account reference of every statement; `bank` names the bank; `holder` is
    the e-mail address of the owner. Raises StatementError for a file that cannot be read and
    ValueError for an IBAN that is not valid, an unknown holder, or an amount with too many
    decimals.
    """
    from banklink.statements import read_statements  # only now: it brings parsers along

    if iban is not None:
        try:
            iban = str(IBAN(iban))
        except SchwiftyException as wrong:
            raise ValueError(f"not a valid IBAN: {iban}") from wrong
    read = [(Path(path), read_statements(Path(path))) for path in paths]
    now = simulator.clock.now()
    reports = []
    with simulator.store.transaction() as db:
        for path, statements in read:
            accounts: dict[tuple[str, str], list[Statement]] = {}
            for statement in statements:
                key = statement.account_reference, statement.currency
                accounts.setdefault(key, []).append(statement)
            for (reference, currency), parts in accounts.items():
                reports.append(
                    _load_account(db, path, reference, currency, parts, iban, bank, holder, now)
                )
    return reports


def _load_account(
    db: Session, path: Path, reference: str, currency: str, parts: Sequence[Statement],
    iban: str | None, bank_name: str | None, holder: str | None, now: datetime,
) -> LoadReport:  # fmt: skip
    notes: list[Note] = []
    number = iban or usable_iban(reference)
    if number != reference.replace(" ", ""):
        code = "iban_given" if iban else "iban_replaced"
        notes.append((code, {"reference": reference, "iban": number}))
    bookings = [booking for part in parts for booking in part.bookings]
    balances = [balance for part in parts for balance in part.balances]
    days = [b.booked_on for b in bookings] + [b.on for b in balances]
    account = db.scalar(
        select(BankAccount).where(BankAccount.iban == number, BankAccount.currency == currency)
    )
    if account is None:
        name = bank_name or next((p.bank_name for p in parts if p.bank_name), None)
        bank = _bank(db, name or FICTITIOUS_BANK, number)
        first_day = min((b.booked_on for b in bookings), default=min(days, default=None))
        holder_name = next((p.holder_name for p in parts if p.holder_name), None)
        account = BankAccount(
            iban=number,
            currency=currency,
            bank_id=bank.id,
            description="Zakelijke rekening",
            holder_name=holder_name or "",
            opened_on=first_day or business_day(now),
            from_file=True,
            # Nothing is invented up to today: the file is the truth until the clock moves.
            generated_through=max([business_day(now), *days]),
        )
        db.add(account)
        db.flush()
    else:
        if not account.from_file:
            notes.append(("joined_generated", {}))
        if bookings:
            account.opened_on = min(account.opened_on, min(b.booked_on for b in bookings))
    bank = db.get_one(Bank, account.bank_id)
    _own(db, account, holder, notes)
    known = _store_bookings(db, account, bookings, path.name, now)
    if known:
        notes.append(("already_loaded", {"count": known}))
    _store_balances(db, account, balances)
    return LoadReport(
        path=path,
        iban=number,
        currency=currency,
        bank=bank.name,
        count=len(bookings),
        total=sum((b.amount for b in bookings), Decimal(0)),
        first=min((b.booked_on for b in bookings), default=None),
        last=max((b.booked_on for b in bookings), default=None),
        notes=notes,
    )


def usable_iban(reference: str) -> str:
    """A valid IBAN for any account reference: itself when it is one, else one with the same bank
    code and account digits where there are any, a fictitious bank otherwise, always the same."""
    text = re.sub(r"[^A-Z0-9]", "", reference.upper())
    try:
        return str(IBAN(text))
    except SchwiftyException:
        pass
    looks_dutch = re.fullmatch(r"NL\d{2}([A-Z]{4})(\d{1,10})", text)
    if looks_dutch:
        return with_check_digits("NL", looks_dutch[1] + looks_dutch[2].zfill(10))
    foreign = re.fullmatch(r"([A-Z]{2})\d{2}([A-Z0-9]{11,30})", text)
    if foreign:
        try:
            return str(IBAN(with_check_digits(foreign[1], foreign[2])))
        except SchwiftyException:
            pass
    digits = "".join(c for c in text if c.isdigit())[-10:]
    if not digits:
        digits = str(int(hashlib.sha256(reference.encode()).hexdigest(), 16) % 10**9)
    return with_check_digits("NL", FICTITIOUS_CODE + digits.zfill(10))


def _bank(db: Session, name: str, iban: str) -> Bank:
    """The bank of this name, made when there is none. Its code comes from the IBAN if it can."""
    found = db.scalar(select(Bank).where(Bank.name == name))
    if found is not None:
        return found
    base = re.sub(r"[^A-Z]", "", name.upper())[:4].ljust(4, "X")
    if re.fullmatch(r"NL\d{2}[A-Z]{4}\d{10}", iban):
        base = iban[4:8]
    taken = set(db.scalars(select(Bank.code)))
    code = next(c for n in range(1000) if (c := f"{base}{n or ''}") not in taken)
    bank = Bank(uuid=bank_uuid(code), code=code, name=name, valid_days=180, history_days=730)
    db.add(bank)
    db.flush()
    return bank


def _own(db: Session, account: BankAccount, holder: str | None, notes: list[Note]) -> None:
    """Give the account to the holder with this e-mail address, or to everybody in the demo."""
    if holder is not None:
        found = db.scalar(select(Holder).where(Holder.email == holder))
        if found is None:
            raise ValueError(f"no holder has the e-mail address {holder}")
        owners = [found]
    else:
        owners = list(db.scalars(select(Holder).order_by(Holder.id)))
        if owners:
            notes.append(("every_holder", {"holders": [h.name for h in owners]}))
        else:
            name = account.holder_name or "Demo Ondernemer"
            made = Holder(uuid=world.new_uuid(), name=name, email="ondernemer@demo.example")
            db.add(made)
            db.flush()
            owners = [made]
            notes.append(("holder_created", {"name": made.name, "email": made.email}))
    for owner in owners:
        db.merge(Owner(bank_account_id=account.id, holder_id=owner.id))
    account.holder_name = account.holder_name or owners[0].name
    db.flush()


def _store_bookings(
    db: Session, account: BankAccount, bookings: Sequence[Any], source: str, now: datetime
) -> int:
    """Store the bookings that are not there yet; returns how many were."""
    known = set(
        db.scalars(select(BankBooking.identity).where(BankBooking.bank_account_id == account.id))
    )
    seen: Counter[str] = Counter()
    rows, skipped = [], 0
    for booking in bookings:
        amount = world.minor_units(booking.amount, booking.currency)
        content = hashlib.sha256(
            repr(
                (
                    booking.booked_on.isoformat(),
                    amount,
                    booking.currency,
                    booking.counterparty_account or "",
                    booking.remittance,
                    booking.bank_reference or "",
                    booking.end_to_end_id or "",
                )
            ).encode()
        ).hexdigest()
        identity = f"file {content} {seen[content]}"
        seen[content] += 1
        if identity in known:
            skipped += 1
            continue
        rows.append(
            {
                "uuid": str(uuid.uuid5(NAMESPACE, f"{account.iban} {account.currency} {identity}")),
                "bank_account_id": account.id,
                "booked_on": booking.booked_on,
                "value_on": booking.value_on,
                "amount": amount,
                "currency": booking.currency,
                "counterparty": booking.counterparty_name,
                "counterparty_iban": booking.counterparty_account,
                "remittance": booking.remittance,
                "end_to_end_id": booking.end_to_end_id,
                "bank_reference": booking.bank_reference,
                "source": source,
                "identity": identity,
                "created_at": now,
            }
        )
    if rows:
        db.execute(insert(BOOKINGS), rows)
    return skipped


def _store_balances(db: Session, account: BankAccount, balances: Sequence[Any]) -> None:
    known = {
        (row.kind, row.on, row.amount, row.currency)
        for row in db.scalars(
            select(StatedBalance).where(StatedBalance.bank_account_id == account.id)
        )
    }
    for balance in balances:
        amount = world.minor_units(balance.amount, balance.currency)
        key = (balance.kind, balance.on, amount, balance.currency)
        if key not in known:
            known.add(key)
            db.add(
                StatedBalance(
                    bank_account_id=account.id,
                    kind=balance.kind,
                    on=balance.on,
                    amount=amount,
                    currency=balance.currency,
                )
            )
    db.flush()
