"""The demo's data: the examples, told to both sides.

The embedded world gets its banks, people and accounts as plain data; Banklink then learns of them
as it always does, over HTTP, and does what a bookkeeper would have done on the day it was done.
What no longer works today is written as the facts it left behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from banklink.actions.activate import activate, arm
from banklink.actions.check import check_expiries, fetch_due
from banklink.actions.credentials import put
from banklink.actions.digest import digest
from banklink.actions.fetch import fetch
from banklink.actions.observe import observe
from banklink.actions.remind import remind
from banklink.actions.services import Services
from banklink.actions.settle import end_known, settle, term_of
from banklink.core.calendar import Moment, end_of_validity
from banklink.core.dedup import booking
from banklink.core.reminders import last_morning, schedule
from banklink.examples import (
    BANK_IN_OUTAGE,
    BANKS,
    FIRMS,
    HOLDERS,
    REVOKED_GRANT,
    Example,
    Firm,
    Side,
)
from banklink.providers.contract import Credentials
from banklink.store.bookings import Reading, cover, look, take
from banklink.store.database import Store
from banklink.store.facts import add_event, ensure_connections
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Base,
    Connection,
    Event,
    FetchRun,
    Grant,
    Holder,
    Journal,
    Membership,
    Reminder,
    Transaction,
    User,
)
from banklink.store.plain import plain_columns, read_all

BOOKKEEPER = ("Sanne Jansen", "sanne@kantoorjansen.example")
OPENED_DAYS_AGO = 730
MAILS_DAYS = 14


def is_empty(services: Services) -> bool:
    with services.store.read() as session:
        return not session.scalar(select(func.count(Administration.id)))


def is_in_real_use(services: Services) -> bool:
    """Whether somebody other than the demo's bookkeeper has an account here."""
    with services.store.read() as session:
        return bool(session.scalar(select(func.count(User.id)).where(User.email != BOOKKEEPER[1])))


def world(client_id: str) -> dict[str, Any]:
    """What the embedded app is to contain, as plain data."""
    holders: list[dict[str, Any]] = []
    for key, (name, email) in HOLDERS.items():
        accounts = [
            _account(firm, example, side)
            for firm in FIRMS
            for example in firm.examples
            for side in _owners(firm, example)
            if side.holder == key
        ]
        holders.append({"key": key, "name": name, "email": email, "accounts": accounts})
    integrations = [
        {
            "client": client_id,
            "holder": key,
            "reference": firm.reference,
            "label": firm.name,
            "accounts": [
                example.iban
                for example in firm.examples
                for side in example.sides
                if side.holder == key and side.shared
            ],
            "revoked_days_ago": REVOKED_GRANT.get(key),
        }
        for firm in FIRMS
        for key in _granters(firm)
    ]
    banks = [
        {
            "name": name,
            "code": code,
            "outage_since_hours": 50 if name == BANK_IN_OUTAGE else None,
            "valid_days": 180,
            "history_days": 730,
        }
        for name, code in BANKS.items()
    ]
    return {"banks": banks, "holders": holders, "integrations": integrations}


def _granters(firm: Firm) -> list[str]:
    return list(dict.fromkeys(side.holder for each in firm.examples for side in each.sides))


def _owners(firm: Firm, example: Example) -> tuple[Side, ...]:
    """Who can use the account at the bank: those in the example, else the firm's owner."""
    if example.sides:
        return example.sides
    owner = {"Kapsalon Amira": "amira"}.get(firm.name, "jan")
    return (Side(owner, shared=False),)


def _account(firm: Firm, example: Example, side: Side) -> dict[str, Any]:
    signature = side.signature
    return {
        "iban": example.iban,
        "bank": example.bank,
        "currency": "EUR",
        "description": example.account,
        "holder_name": firm.name,
        "in_app": bool(example.sides),
        "opened_days_ago": OPENED_DAYS_AGO,
        "authorisation": None
        if signature is None
        else {
            "since_days_ago": signature.since,
            "valid_days": signature.valid,
            "revoked_days_ago": signature.revoked,
            "history_days": signature.history,
        },
    }


def clear(store: Store) -> bool:
    """Take away half a demo, which nobody has seen yet. False, and nothing is taken, when others
    than its bookkeeper have an account here: these are real books."""
    with store.write() as session:
        if session.scalar(select(func.count(User.id)).where(User.email != BOOKKEEPER[1])):
            return False
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
    return True


def plant(services: Services, made: Mapping[str, Any], at: Moment) -> None:
    """Fill the empty database. `made` is what the embedded app answered to `world`."""
    tokens = {(each["holder"], each["reference"]): each for each in made["integrations"]}
    for firm in FIRMS:
        with services.store.write() as session:
            administration_id = _books(session, firm, at)
            for key in _granters(firm):
                _grant(services, session, firm, administration_id, key, tokens, at)
        _learn(services, administration_id, at)
        with services.store.write() as session:
            _forget_learning(session, administration_id)
            ensure_connections(session, administration_id)
            for example in firm.examples:
                _sides(session, administration_id, example, at)
        for example in firm.examples:
            _live(services, administration_id, example, at)
        _learn(services, administration_id, at)
        fetch_due(services, at)
        with services.store.write() as session:
            for example in firm.examples:
                _finish(session, administration_id, example, at)
                if example.fetched_through is not None:
                    _set_aside(session, _connection(session, administration_id, example), at)
            settle(session, administration_id, at)
    _mails(services, at)


def _mails(services: Services, at: Moment) -> None:
    """What fell due in the last two weeks is in the outbox, dated the morning it was written, at
    whatever hour the demo begins. Of older reminders only that they were dealt with is known."""
    mornings = [last_morning(at.now - timedelta(days=ago)) for ago in range(MAILS_DAYS, -1, -1)]
    with services.store.write() as session:
        for account in session.scalars(select(Account)):
            of = term_of(account)
            if of is None:
                continue
            for threshold, fell_due in schedule(of):
                if fell_due < mornings[0]:
                    session.add(
                        Reminder(
                            account_id=account.id,
                            authorised_at=account.authorised_at,
                            valid_until=end_known(account),
                            threshold=threshold,
                            at=fell_due,
                        )
                    )
    for morning in mornings:
        remind(services, Moment(morning, at.real))
    check_expiries(services, at)
    digest(services, Moment(mornings[-1], at.real))


def _books(session: Session, firm: Firm, at: Moment) -> int:
    user = session.scalar(select(User).where(User.email == BOOKKEEPER[1]))
    if user is None:
        user = User(name=BOOKKEEPER[0], email=BOOKKEEPER[1], is_owner=True)
        session.add(user)
    administration = Administration(
        reference=firm.reference,
        name=firm.name,
        fiscal_year_start=date(at.today.year, 1, 1),
        lock_date=date(at.today.year - 1, 12, 31) if firm.locked else None,
    )
    session.add(administration)
    session.flush()
    session.add(
        Membership(user_id=user.id, administration_id=administration.id, role="administrator")
    )
    for example in firm.examples:
        if example.journal:
            session.add(_journal(administration.id, example.journal, example.iban, at))
        if example.journal_without_iban:
            session.add(_journal(administration.id, example.journal_without_iban, None, at))
    for journal in firm.journals:
        session.add(_journal(administration.id, journal, None, at))
    return administration.id


def _journal(
    administration_id: int, journal: tuple[str, str], iban: str | None, at: Moment
) -> Journal:
    month = at.today.replace(day=1)
    return Journal(
        administration_id=administration_id,
        code=journal[0],
        name=journal[1],
        iban=iban,
        currency="EUR",
        processed_through=month - timedelta(days=1),
    )


def _grant(
    services: Services,
    session: Session,
    firm: Firm,
    administration_id: int,
    key: str,
    tokens: Mapping[tuple[str, str], Mapping[str, Any]],
    at: Moment,
) -> None:
    token = tokens[key, firm.reference]
    name, email = HOLDERS[key]
    holder = session.scalar(select(Holder).where(Holder.subject == token["subject"]))
    if holder is None:
        holder = Holder(provider="ponto", subject=token["subject"], name=name, email=email)
        session.add(holder)
        session.flush()
    revoked = REVOKED_GRANT.get(key)
    grant = Grant(
        administration_id=administration_id,
        holder_id=holder.id,
        state="active" if revoked is None else "revoked",
        granted_at=_ago(at, 200).now,
        revoked_at=None if revoked is None else _ago(at, revoked).now,
        credentials_version=0,
    )
    session.add(grant)
    if revoked is None:
        put(services, grant, Credentials("", token["refresh_token"], at.real))


def _learn(services: Services, administration_id: int, at: Moment) -> None:
    with services.store.read() as session:
        active = list(
            session.scalars(
                select(Grant.id).where(
                    Grant.administration_id == administration_id, Grant.state == "active"
                )
            )
        )
    for grant_id in active:
        observe(services, grant_id, at)


def _forget_learning(session: Session, administration_id: int) -> None:
    """What was learnt just now happened long ago; the history tells it with its own days."""
    session.execute(delete(Event).where(Event.administration_id == administration_id))
    session.execute(
        update(Connection)
        .where(Connection.administration_id == administration_id)
        .values(noted=None)
    )


def _sides(session: Session, administration_id: int, example: Example, at: Moment) -> None:
    """What Banklink remembers beyond what is shown now: who once shared or was asked."""
    for side in example.sides:
        grant = _grant_of(session, administration_id, side.holder)
        row = _account_row(session, grant, example)
        if row is None:
            row = Account(grant_id=grant.id, iban=example.iban, currency="EUR", listed=False)
            session.add(row)
        if not side.shared:
            row.listed, row.unlisted_at = False, _ago(at, 5).now
        elif row.listed_at is not None:
            row.listed_at = _ago(at, 200 if example.on is None else example.on + 1).now
        row.attempted_at = None if side.attempted is None else _ago(at, side.attempted).now
        row.ended = row.ended_at = None
        if side.signature is not None and row.valid_until is not None:
            add_event(
                session,
                _connection(session, administration_id, example),
                "authorised",
                _ago(at, side.signature.since),
                holder=grant.holder_id,
                until=row.valid_until.isoformat(),
            )


def _live(services: Services, administration_id: int, example: Example, at: Moment) -> None:
    """Switch on as on that day, fetch as long as it worked, and tell the end of it."""
    with services.store.read() as session:
        connection = _connection(session, administration_id, example)
        holder = _holder_id(session, example.selected) if example.selected else None
    if example.armed:
        arm(
            services,
            connection.id,
            at,
            start=at.today.replace(day=1).isoformat(),
            version=None,
            actor=BOOKKEEPER[0],
        )
    if example.on is None or holder is None:
        return
    side = next(each for each in example.sides if each.holder == example.selected)
    began = _ago(at, example.on)
    start = began.today - timedelta(days=7)
    if example.journal is None:
        with services.store.write() as session:
            _journal_iban(session, administration_id, example, example.iban)
    worked = side.shared and side.signature is not None and example.fetched_through is None
    if worked:
        activate(
            services,
            connection.id,
            began,
            holder=str(holder),
            start=start.isoformat(),
            version=None,
            actor=BOOKKEEPER[0],
        )
        last = _last_good(side, at)
        if last is not None:
            fetch(services, connection.id, last)
            _tell_end(services, administration_id, connection.id, side, last)
    else:
        with services.store.write() as session:
            row = session.get_one(Connection, connection.id)
            row.switch, row.selected_id, row.start_date = "on", holder, start
            row.switched_at, row.switched_by = began.now, BOOKKEEPER[0]
            if example.fetched_through is not None:
                _once_fetched(session, row, start, _ago(at, example.fetched_through))
            add_event(
                session,
                row,
                "switched_on",
                began,
                actor=BOOKKEEPER[0],
                holder=holder,
                start=start.isoformat(),
            )
    if example.journal is None:
        with services.store.write() as session:
            _journal_iban(session, administration_id, example, None)


_ONCE = (
    (3, -48_750, "Meelfabriek De Kroon", "Levering tarwebloem", "NL44RABO0123456789"),
    (7, 126_400, None, "Storting weekomzet winkel", None),
    (9, -9_950, "Energie Polderland", "Termijnbedrag energie", "NL89FICT0662992808"),
    (14, 118_275, None, "Storting weekomzet winkel", None),
)
"""What came every so many days: cents, from whom, what for."""


def _once_fetched(session: Session, connection: Connection, start: date, last: Moment) -> None:
    """What was brought in from the start through that day, of which the bank gives nothing any
    more."""
    run = FetchRun(
        connection_id=connection.id,
        reason="activated",
        actor=BOOKKEEPER[0],
        holder_id=connection.selected_id,
        scope="before",
        wanted_from=start,
        since=start,
        until=last.today,
        started_at=last.now,
        finished_at=last.now + timedelta(seconds=4),
        result="ok",
        pages=1,
    )
    session.add(run)
    session.flush()
    rows = [
        booking(
            id=f"{every}-{day}",
            booked_on=day,
            value_on=day,
            amount=amount + (day.toordinal() * 37) % 900,
            currency=connection.currency,
            counterparty_name=name,
            remittance=f"{text} {day:%d-%m}",
            counterparty_iban=account,
        )
        for every, amount, name, text, account in _ONCE
        for day in _days(start, last.today, every)
    ]
    reading = Reading(connection.id, run.scope, True, run.id)
    taken = take(session, reading, look(session, reading, rows), last)
    run.seen = run.added = taken.added
    run.oldest, run.newest = start, last.today
    connection.watermark = last.today
    cover(session, connection, [(start, last.today)])


def _days(first: date, last: date, every: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(0, (last - first).days + 1, every)]


def _set_aside(session: Session, connection: Connection, at: Moment) -> None:
    """The renewal brought bookings of days that had been told of before, and one that may be there
    already: for somebody to decide."""
    hole = connection.gap_from
    run = session.scalars(
        select(FetchRun)
        .where(FetchRun.connection_id == connection.id)
        .order_by(FetchRun.id.desc())
        .limit(1)
    ).one()
    assert hole is not None
    known = session.scalars(
        select(Transaction)
        .where(
            Transaction.connection_id == connection.id,
            Transaction.booked_on < hole - timedelta(days=12),
        )
        .order_by(Transaction.booked_on.desc(), Transaction.id)
        .limit(1)
    ).one()
    came = [
        (known.booked_on, known.amount, "Molen De Hoop", "Verzamelfactuur grondstoffen"),
        (known.booked_on + timedelta(days=2), -2_150, None, "Naboeking pinkosten"),
        (known.booked_on + timedelta(days=5), -37_800, "Bouwbedrijf De Linde", "Herstel oven"),
    ]
    reading = Reading(connection.id, run.scope, True, run.id)
    rows = [
        booking(
            id=f"late-{n}", booked_on=on, value_on=on, amount=amount,
            currency=connection.currency, counterparty_name=name, remittance=text,
        )
        for n, (on, amount, name, text) in enumerate(came)
    ]  # fmt: skip
    taken = take(session, reading, look(session, reading, rows), at, late=lambda _: True)
    run.seen += len(rows)
    run.reviewed += taken.reviewed


def _journal_iban(
    session: Session, administration_id: int, example: Example, iban: str | None
) -> None:
    code = (example.journal_without_iban or ("", ""))[0]
    journal = session.scalar(
        select(Journal).where(Journal.administration_id == administration_id, Journal.code == code)
    )
    if journal is not None:
        journal.iban = iban


def _last_good(side: Side, at: Moment) -> Moment | None:
    """The last moment an authorisation that has ended still worked; None while it works."""
    signature = side.signature
    assert signature is not None
    if signature.revoked is not None:
        return _ago(at, signature.revoked + 1)
    days = signature.since - signature.valid
    return _ago(at, days) if days > 0 else None


def _tell_end(
    services: Services, administration_id: int, connection_id: int, side: Side, last: Moment
) -> None:
    assert side.signature is not None
    if side.signature.revoked is None:
        night = Moment(end_of_validity(last.now) + timedelta(minutes=5), last.real)
        with services.store.write() as session:
            settle(session, administration_id, night, only=[connection_id])


def _fetched_at(session: Session, connection: Connection, moment: datetime) -> None:
    """The last fetch was then, in the row, in the log and in the history alike."""
    connection.last_success = moment
    run = session.scalars(
        select(FetchRun)
        .where(FetchRun.connection_id == connection.id, FetchRun.result == "ok")
        .order_by(FetchRun.id.desc())
    ).first()
    if run is not None:
        run.started_at = run.finished_at = moment
    told = session.scalars(
        select(Event)
        .where(Event.connection_id == connection.id, Event.kind == "fetched")
        .order_by(Event.id.desc())
    ).first()
    if told is not None:
        told.at = moment


def _finish(session: Session, administration_id: int, example: Example, at: Moment) -> None:
    connection = _connection(session, administration_id, example)
    if example.on is not None and example.row == "r6":
        _fetched_at(session, connection, at.now - timedelta(hours=example.fetched_hours or 0))
    for side in example.sides:
        grant = _grant_of(session, administration_id, side.holder)
        row = _account_row(session, grant, example)
        if row is not None and row.outage_since and example.outage_hours:
            row.outage_since = at.now - timedelta(hours=example.outage_hours)
        if row is not None and row.ended and side.signature and side.signature.revoked:
            row.ended_at = _ago(at, side.signature.revoked).now
    if example.off is not None:
        off = _ago(at, example.off)
        connection.switch = "off"
        connection.switched_at, connection.switched_by = off.now, BOOKKEEPER[0]
        connection.next_fetch_at = None
        add_event(session, connection, "switched_off", off, actor=BOOKKEEPER[0])
    if example.departed:
        attempt = Attempt(
            administration_id=administration_id,
            connection_id=connection.id,
            provider="ponto",
            purpose="renew",
            actor=BOOKKEEPER[0],
            browser="",
            state_hash=f"demo-{connection.id}",
            created_at=at.real,
            expires_at=at.real,
            params={},
        )
        session.add(attempt)
        session.flush()
        connection.last_attempt_id = attempt.id


def _ago(at: Moment, days: int) -> Moment:
    return Moment(at.now - timedelta(days=days), at.real)


def _holder_id(session: Session, key: str | None) -> int:
    name = HOLDERS[key or ""][0]
    found = session.scalar(select(Holder.id).where(Holder.name == name))
    assert found is not None
    return found


def _grant_of(session: Session, administration_id: int, key: str) -> Grant:
    found = session.scalar(
        select(Grant).where(
            Grant.administration_id == administration_id,
            Grant.holder_id == _holder_id(session, key),
        )
    )
    assert found is not None
    return found


def _account_row(session: Session, grant: Grant, example: Example) -> Account | None:
    session.flush()
    return session.scalar(
        select(Account).where(Account.grant_id == grant.id, Account.iban == example.iban)
    )


def _connection(session: Session, administration_id: int, example: Example) -> Connection:
    found = session.scalar(
        select(Connection).where(
            Connection.administration_id == administration_id, Connection.iban == example.iban
        )
    )
    assert found is not None
    return found


def demo_user(services: Services) -> User | None:
    """The bookkeeper the demo is signed in as: its owner, and administrator everywhere."""
    with services.store.look() as database:
        found = read_all(database, _DEMO_USER, {}, User, plain=True)
    return found[0] if found else None


_DEMO_USER = select(*plain_columns(User)).where(User.email == BOOKKEEPER[1])
