"""Bookings into the database: what they are to what is there (core/dedup.py), rows, other names,
days, remarks and coverage, each in the transaction that changes them.

`look` reads and decides, `take` writes what was decided; a fetch does both for every page, a file
looks first and takes when somebody has confirmed. Both want the connection locked by the caller, so
that nobody else adds rows to it in between. Many rows at once go through Core: objects for each
would cost six times as much (performance.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from banklink.core.calendar import Moment
from banklink.core.coverage import Span, joined, missing
from banklink.core.dedup import Booking, Judgement, Kind, Stored, Verdict, judge
from banklink.store.models import (
    Administration,
    BookedDay,
    Connection,
    Coverage,
    Model,
    Remark,
    Sighting,
    Transaction,
    TransactionAlias,
)

_AT_ONCE = 1000
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads: one run through one scope. `trusted`: the ids of this scope prove something. A
    `run_id` of 0 is for looking only."""

    connection_id: int
    scope: str
    trusted: bool
    run_id: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What bookings are. `verdicts` are on `bookings`, place by place; `known`: how many more came
    under a trusted id with nothing changed, which are not among them. `caught`: see Judgement; then
    nothing may be taken. `met`: the rows these are, and their days. `ours`: those of them that this
    very scope brought first."""

    bookings: Sequence[Booking]
    verdicts: Sequence[Verdict]
    known: int
    caught: Sequence[tuple[int, int]]
    met: Mapping[int, date]
    ours: Set[int]


@dataclass(slots=True)
class Taken:
    """What became of them: `added` are booked now, `reviewed` wait for a person, `known` were there
    and so were `changed`, worded otherwise. `waiting` are to be looked at again with what follows.
    """

    added: int = 0
    known: int = 0
    changed: int = 0
    reviewed: int = 0
    waiting: list[Booking] = field(default_factory=list)


# -- looking ------------------------------------------------------------------------------------


def look(
    session: Session,
    reading: Reading,
    incoming: Sequence[Booking],
    *,
    met: Set[int] = frozenset(),
    open_through: date | None = None,
    resumed_at: date | None = None,
) -> Look:
    """Decide what these are; writes nothing. `met` and `open_through` as in `judge`; what the run
    itself added, or noted as sighted, is met without being named. `resumed_at`: the day on which
    this reading was interrupted; what it has named on that day, or later, it may have met before.
    """
    rest, known = _surely_known(session, reading, incoming)
    if not rest:
        return Look((), (), len(incoming), (), known, frozenset())
    around = _around(session, reading, rest)
    seen = set(met) | known.keys() | _met_before(session, reading, around, rest, resumed_at)
    found: Judgement = judge(
        rest,
        [each.stored for each in around],
        trusted=reading.trusted,
        met=seen,
        open_through=open_through,
    )
    for verdict in found.verdicts:
        if verdict.key is not None and verdict.kind is not Kind.WAITS:
            known[verdict.key] = rest[verdict.place].booked_on
    ours = {each.stored.key for each in around if each.scope == reading.scope}
    return Look(rest, found.verdicts, len(incoming) - len(rest), found.caught, known, ours)


def _surely_known(
    session: Session, reading: Reading, incoming: Sequence[Booking]
) -> tuple[Sequence[Booking], dict[int, date]]:
    """What came under a known id with the very content that is stored, is known: what is left to
    be judged, and the rows and days of the others."""
    ids = {each.id for each in incoming} if reading.trusted else set()
    names: dict[tuple[str | None, str], int] = {}
    for some in _chunks(ids):
        own = select(Transaction.source_id, Transaction.fingerprint, Transaction.id).where(
            Transaction.connection_id == reading.connection_id,
            Transaction.scope == reading.scope,
            Transaction.source_id.in_(some),
        )
        other = (
            select(
                TransactionAlias.source_id,
                func.coalesce(TransactionAlias.fingerprint, Transaction.fingerprint),
                Transaction.id,
            )
            .join(Transaction, Transaction.id == TransactionAlias.transaction_id)
            .where(
                TransactionAlias.connection_id == reading.connection_id,
                TransactionAlias.scope == reading.scope,
                TransactionAlias.source_id.in_(some),
            )
        )
        for query in (own, other):
            names.update(((id_, print_), key) for id_, print_, key in session.execute(query))
    if not names:
        return incoming, {}
    rest, known = [], {}
    for each in incoming:
        key = names.get((each.id, each.fingerprint)) if each.id.strip() else None
        if key is None:
            rest.append(each)
        else:
            known[key] = each.booked_on
    return rest, known


class _Row(NamedTuple):
    """A stored row, with what only the database knows of it."""

    stored: Stored
    scope: str
    run_id: int


_CONTENT = (
    Transaction.id,
    Transaction.fingerprint,
    Transaction.occurrence,
    Transaction.booked_on,
    Transaction.amount,
    Transaction.currency,
    Transaction.counterparty_name,
    Transaction.counterparty_iban,
    Transaction.remittance,
    Transaction.end_to_end_id,
    Transaction.scope,
    Transaction.source_id,
    Transaction.run_id,
)


def _around(session: Session, reading: Reading, rest: Sequence[Booking]) -> list[_Row]:
    """Every row that one of these may be."""
    mine = Transaction.connection_id == reading.connection_id
    named = TransactionAlias.connection_id == reading.connection_id
    found: dict[int, Any] = {}

    def add(*conditions: Any) -> None:
        for row in session.execute(select(*_CONTENT).where(mine, *conditions)):
            found[row.id] = row

    def add_named(*conditions: Any) -> None:
        keys = session.scalars(select(TransactionAlias.transaction_id).where(named, *conditions))
        if some := list(keys):
            add(Transaction.id.in_(some))

    for prints in _chunks({each.fingerprint for each in rest}):
        add(Transaction.fingerprint.in_(prints))
        add_named(TransactionAlias.fingerprint.in_(prints))
    for ids in _chunks({each.id for each in rest} if reading.trusted else ()):
        add(Transaction.scope == reading.scope, Transaction.source_id.in_(ids))
        add_named(TransactionAlias.scope == reading.scope, TransactionAlias.source_id.in_(ids))
    amounts = {(each.booked_on, each.amount) for each in rest}
    for days in _chunks({each.booked_on for each in rest}):
        near = Transaction.booked_on.in_(days), Transaction.run_id != reading.run_id
        for row in session.execute(select(*_CONTENT).where(mine, *near)):
            if (row.booked_on, row.amount) in amounts:
                found[row.id] = row
    ids_of, worded = _other_names(session, reading, found)
    return [
        _Row(
            Stored(
                key=key,
                fingerprint=row.fingerprint,
                occurrence=row.occurrence,
                booked_on=row.booked_on,
                amount=row.amount,
                currency=row.currency,
                counterparty_name=row.counterparty_name,
                counterparty_iban=row.counterparty_iban,
                remittance=row.remittance,
                end_to_end_id=row.end_to_end_id,
                ids=frozenset(ids_of.get(key, ())),
                worded=frozenset(worded.get(key, ())),
            ),
            row.scope,
            row.run_id,
        )
        for key, row in found.items()
    ]


def _met_before(
    session: Session,
    reading: Reading,
    around: Sequence[_Row],
    rest: Sequence[Booking],
    resumed_at: date | None,
) -> set[int]:
    """Which of these rows earlier pages of this run have accounted for."""
    met = {each.stored.key for each in around if each.run_id == reading.run_id}
    for keys in _chunks(each.stored.key for each in around):
        met |= set(
            session.scalars(
                select(Sighting.transaction_id).where(
                    Sighting.run_id == reading.run_id, Sighting.transaction_id.in_(keys)
                )
            )
        )
    if resumed_at is not None:
        here = {each.id for each in rest}
        met |= {
            each.stored.key
            for each in around
            if each.stored.ids - here and each.stored.booked_on >= resumed_at
        }
    return met


def _other_names(
    session: Session, reading: Reading, found: dict[int, Any]
) -> tuple[dict[int, set[str]], dict[int, set[str]]]:
    """Of these rows: the ids this scope gave them, where they prove something, and wordings."""
    ids: dict[int, set[str]] = {}
    worded: dict[int, set[str]] = {}
    if reading.trusted:
        for key, row in found.items():
            if row.scope == reading.scope and row.source_id is not None:
                ids.setdefault(key, set()).add(row.source_id)
    for keys in _chunks(found):
        for alias in session.execute(
            select(
                TransactionAlias.transaction_id,
                TransactionAlias.scope,
                TransactionAlias.source_id,
                TransactionAlias.fingerprint,
            ).where(TransactionAlias.transaction_id.in_(keys))
        ):
            if alias.fingerprint is not None:
                worded.setdefault(alias.transaction_id, set()).add(alias.fingerprint)
            if reading.trusted and alias.scope == reading.scope and alias.source_id is not None:
                ids.setdefault(alias.transaction_id, set()).add(alias.source_id)
    return ids, worded


# -- writing ------------------------------------------------------------------------------------


def take(
    session: Session,
    reading: Reading,
    found: Look,
    at: Moment,
    *,
    late: Callable[[date], bool] | None = None,
    doubtful: Callable[[Verdict], str] | None = None,
) -> Taken:
    """Write what was decided. `late`: whether a day was told of before, so that what is new on it
    goes to the review tray (`late`). `doubtful`: the state a doubtful one gets, where somebody has
    decided already ("booked" or "rejected"); else it waits in the tray (`resembles`)."""
    assert not found.caught
    taken = Taken(known=found.known)
    rows, aliases, reworded = [], [], []
    for verdict in found.verdicts:
        each, kind = found.bookings[verdict.place], verdict.kind
        if kind is Kind.WAITS:
            taken.waiting.append(each)
        elif kind is Kind.NEW or kind is Kind.DOUBTFUL:
            row = _row(reading, each, verdict)
            if kind is Kind.DOUBTFUL:
                row["resembles_id"] = verdict.key
                row["state"] = doubtful(verdict) if doubtful else "review"
                row["review_reason"] = "resembles" if row["state"] == "review" else None
            elif late is not None and late(each.booked_on):
                row["state"], row["review_reason"] = "review", "late"
            rows.append(row)
        elif kind is Kind.ALIAS:
            assert verdict.key is not None
            aliases.append((verdict, each))
            if verdict.key in found.ours:
                reworded.append((verdict, each))
            taken.known += 1
        elif kind is Kind.CHANGED:
            reworded.append((verdict, each))
            taken.known += 1
        else:
            taken.known += 1
    own = _own_prints(session, [verdict.key for verdict, _ in aliases])
    reworded = [
        (verdict, each)
        for verdict, each in reworded
        if verdict.kind is Kind.CHANGED or own[verdict.key or 0] != each.fingerprint
    ]
    taken.changed = len(reworded)
    taken.known -= len(reworded)
    taken.added = sum(row["state"] == "booked" for row in rows)
    taken.reviewed = sum(row["state"] == "review" for row in rows)
    _put(session, Transaction, rows)
    _put(
        session,
        TransactionAlias,
        [
            {
                "transaction_id": verdict.key,
                "connection_id": reading.connection_id,
                "scope": reading.scope,
                "source_id": each.id if verdict.named else None,
                "fingerprint": each.fingerprint
                if own[verdict.key or 0] != each.fingerprint
                else None,
            }
            for verdict, each in aliases
        ],
    )
    _sighted(session, reading, found)
    shift_days(session, reading.connection_id, _days(rows))
    for verdict, each in reworded:
        remark(
            session,
            reading,
            "changed",
            f"changed:{verdict.key}:{each.fingerprint}",
            content_of(each),
            at,
            transaction_id=verdict.key,
        )
    return taken


def _row(reading: Reading, each: Booking, verdict: Verdict) -> dict[str, Any]:
    return {
        "connection_id": reading.connection_id,
        "run_id": reading.run_id,
        "scope": reading.scope,
        "source_id": each.id if verdict.named else None,
        "fingerprint": each.fingerprint,
        "occurrence": verdict.occurrence,
        "booked_on": each.booked_on,
        "value_on": each.value_on,
        "amount": each.amount,
        "currency": each.currency,
        "counterparty_name": each.counterparty_name,
        "counterparty_iban": each.counterparty_iban,
        "remittance": each.remittance,
        "end_to_end_id": each.end_to_end_id,
        "state": "booked",
        "review_reason": None,
        "resembles_id": None,
    }


def _own_prints(session: Session, keys: Collection[int | None]) -> dict[int, str]:
    found: dict[int, str] = {}
    for some in _chunks(keys):
        found.update(
            (row.id, row.fingerprint)
            for row in session.execute(
                select(Transaction.id, Transaction.fingerprint).where(Transaction.id.in_(some))
            )
        )
    return found


def _sighted(session: Session, reading: Reading, found: Look) -> None:
    """Rows that were met by content, for the pages to come. What was met by a name needs no note:
    the name says so."""
    keys = {
        verdict.key
        for verdict in found.verdicts
        if verdict.key is not None
        and not verdict.named
        and verdict.kind in (Kind.KNOWN, Kind.ALIAS, Kind.DOUBTFUL)
    }
    if keys and reading.run_id:
        rows = [{"run_id": reading.run_id, "transaction_id": key} for key in keys]
        session.connection().execute(_insert(session, Sighting).on_conflict_do_nothing(), rows)


def forget_sightings(session: Session, run_id: int) -> None:
    """The run is over."""
    session.execute(delete(Sighting).where(Sighting.run_id == run_id))


def content_of(each: Booking) -> dict[str, Any]:
    """What came, as a remark keeps it."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in each._asdict().items()
        if name != "fingerprint" and value is not None
    }


def remark(
    session: Session,
    reading: Reading,
    kind: str,
    mark: str,
    content: dict[str, Any],
    at: Moment,
    *,
    transaction_id: int | None = None,
) -> bool:
    """Whether this is the first time it is told."""
    done = session.connection().execute(
        _insert(session, Remark)
        .values(
            connection_id=reading.connection_id,
            run_id=reading.run_id,
            transaction_id=transaction_id,
            kind=kind,
            mark=mark if len(mark) <= 200 else hashlib.sha256(mark.encode()).hexdigest(),
            content=content,
            seen_at=at.now,
        )
        .on_conflict_do_nothing(index_elements=["connection_id", "mark"])
    )
    return done.rowcount == 1


def remark_unreadable(
    session: Session, reading: Reading, code: str, content: dict[str, Any], at: Moment
) -> bool:
    """A booking that misses what a booking needs; `content` is all there was."""
    text = json.dumps(content, sort_keys=True, default=str)
    mark = f"unreadable:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"
    return remark(
        session, reading, "unreadable", mark, {"code": code, "sent": json.loads(text)}, at
    )


# -- one row at a time --------------------------------------------------------------------------

MAY_BECOME = {
    "booked": frozenset({"removed"}),
    "removed": frozenset({"booked"}),
    "review": frozenset({"booked", "rejected"}),
    "rejected": frozenset({"booked"}),
}


def change_state(
    session: Session,
    connection_id: int,
    keys: Iterable[int] | None,
    to: str,
    at: Moment,
    *,
    actor: str | None,
    of: Collection[str] | None = None,
) -> list[date]:
    """Let these rows of a connection (None: all that `of` names) be `to` from now on, as far as
    they may; `of`: only those in such a state. Returns their days, one for each row, in order."""
    origins = [
        state for state, ends in MAY_BECOME.items() if to in ends and (not of or state in of)
    ]
    wanted = select(Transaction.id, Transaction.booked_on, Transaction.amount).where(
        Transaction.connection_id == connection_id, Transaction.state.in_(origins)
    )
    parts = [wanted]
    if keys is not None:
        parts = [wanted.where(Transaction.id.in_(some)) for some in _chunks(keys)]
    rows = [row for part in parts for row in session.execute(part.with_for_update())]
    if not rows:
        return []
    for some in _chunks([row.id for row in rows]):
        session.execute(
            update(Transaction)
            .where(Transaction.id.in_(some))
            .values(state=to, decided_at=at.now, decided_by=actor)
            .execution_options(synchronize_session=False)
        )
    sign = {"booked": 1, "removed": -1}.get(to, 0)
    if sign:
        shift_days(session, connection_id, _days([row._asdict() for row in rows], sign))
    return sorted(row.booked_on for row in rows)


# -- days ---------------------------------------------------------------------------------------

Day = tuple[int, int, int]
"""Count, credit and debit of a day."""


def _days(rows: Iterable[dict[str, Any]], sign: int = 1) -> dict[date, Day]:
    days: dict[date, Day] = {}
    for row in rows:
        if row.get("state", "booked") == "booked":
            amount, day = row["amount"], row["booked_on"]
            count, credit, debit = days.get(day, (0, 0, 0))
            if amount > 0:
                days[day] = count + sign, credit + sign * amount, debit
            else:
                days[day] = count + sign, credit, debit + sign * amount
    return days


def shift_days(session: Session, connection_id: int, days: dict[date, Day]) -> None:
    """Add to what these days count."""
    if not days:
        return
    table = _insert(session, BookedDay)
    session.connection().execute(
        table.on_conflict_do_update(
            index_elements=["connection_id", "day"],
            set_={
                name: getattr(BookedDay, name) + getattr(table.excluded, name)
                for name in ("count", "credit", "debit")
            },
        ),
        [
            {"connection_id": connection_id, "day": day, "count": n, "credit": plus, "debit": minus}
            for day, (n, plus, minus) in days.items()
        ],
    )
    if any(count < 0 for count, _, _ in days.values()):
        session.execute(
            delete(BookedDay).where(
                BookedDay.connection_id == connection_id,
                BookedDay.day.in_(days),
                BookedDay.count == 0,
            )
        )


# -- coverage -----------------------------------------------------------------------------------


def covered(session: Session, connection_id: int) -> list[Span]:
    """The stretches of days of which everything was told, in order."""
    return [
        (row.first, row.last)
        for row in session.execute(
            select(Coverage.first, Coverage.last)
            .where(Coverage.connection_id == connection_id)
            .order_by(Coverage.first)
        )
    ]


def cover(session: Session, connection: Connection, spans: Iterable[Span]) -> list[Span]:
    """These days were told as well. Returns the stretches that are missing now."""
    before = covered(session, connection.id)
    after = joined([*before, *spans])
    if after != before:
        session.execute(delete(Coverage).where(Coverage.connection_id == connection.id))
        _put(
            session,
            Coverage,
            [
                {"connection_id": connection.id, "first": first, "last": last}
                for first, last in after
            ],
        )
    return note_missing(session, connection)


def missing_days(session: Session, connection: Connection) -> list[Span]:
    """Stretches between the start date and the last fetched day that nobody told of."""
    return missing(
        covered(session, connection.id),
        start=connection.start_date,
        watermark=connection.watermark,
        locked_through=session.scalar(
            select(Administration.lock_date).where(
                Administration.id == connection.administration_id
            )
        ),
    )


def note_missing(session: Session, connection: Connection) -> list[Span]:
    """After start date, watermark, coverage or lock date changed: the row knows of a gap. Returns
    the missing stretches."""
    holes = missing_days(session, connection)
    connection.gap_from = holes[0][0] if holes else None
    connection.gap_to = holes[-1][1] if holes else None
    return holes


# -- in bulk ------------------------------------------------------------------------------------


def _put(session: Session, model: type[Model], rows: list[dict[str, Any]]) -> None:
    if rows:
        session.connection().execute(insert(_table(model)).inline(), rows)


def _insert(session: Session, model: type[Model]) -> Any:
    postgres = session.get_bind().dialect.name == "postgresql"
    return (postgresql.insert if postgres else sqlite.insert)(_table(model))


def _table(model: type[Model]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


def _chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    """Databases take so many values at once."""
    every = list(keys)
    for at in range(0, len(every), _AT_ONCE):
        yield every[at : at + _AT_ONCE]
