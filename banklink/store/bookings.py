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
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from banklink.core.calendar import Moment
from banklink.core.coverage import Span, joined, missing, without
from banklink.core.dedup import Booking, Judgement, Kind, Stored, Verdict, judge
from banklink.store.models import (
    Administration,
    BookedDay,
    Connection,
    Coverage,
    FetchRun,
    Model,
    Remark,
    Sighting,
    Transaction,
    TransactionAlias,
    Upload,
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
    rest, known, names = _surely_known(session, reading, incoming)
    if not rest:
        return Look((), (), len(incoming), (), known, frozenset())
    around = _around(session, reading, rest, names)
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


_NAMES = """
SELECT source_id, fingerprint, id FROM transactions
WHERE connection_id = ? AND scope = ? AND source_id {texts}
UNION ALL
SELECT other.source_id, coalesce(other.fingerprint, own.fingerprint), own.id
FROM transaction_aliases AS other JOIN transactions AS own ON own.id = other.transaction_id
WHERE other.connection_id = ? AND other.scope = ? AND other.source_id {texts}
"""


def _surely_known(
    session: Session, reading: Reading, incoming: Sequence[Booking]
) -> tuple[Sequence[Booking], dict[int, date], Set[str]]:
    """What came under a known id with the very content that is stored, is known: what is left to
    be judged, the rows and days of the others, and the ids of these that are known at all."""
    names: dict[str, tuple[str, int]] = {}
    for some in _chunks([each.id for each in incoming] if reading.trusted else ()):
        who = (reading.connection_id, reading.scope, some)
        for id_, print_, key in _rows(session, _NAMES, *who, *who):
            names[id_] = print_, key
    if not names:
        return incoming, {}, set()
    rest, known = [], {}
    for each in incoming:
        print_, key = names.get(each.id, _NOBODY)
        if print_ == each.fingerprint:
            known[key] = each.booked_on
        else:
            rest.append(each)
    return rest, known, names.keys()


_NOBODY = "", 0


class _Row(NamedTuple):
    """A stored row, with what only the database knows of it."""

    stored: Stored
    scope: str
    run_id: int


_DAYS = """
SELECT DISTINCT booked_on FROM transactions WHERE connection_id = ? AND booked_on BETWEEN ? AND ?
"""
_AROUND = """
SELECT id FROM transactions WHERE connection_id = ? AND fingerprint {texts}
UNION
SELECT transaction_id FROM transaction_aliases WHERE connection_id = ? AND fingerprint {texts}
UNION
SELECT id FROM transactions
WHERE connection_id = ? AND booked_on {days} AND amount {numbers} AND run_id <> ?
"""
_NAMED = """
SELECT id FROM transactions WHERE connection_id = ? AND scope = ? AND source_id {texts}
UNION
SELECT transaction_id FROM transaction_aliases
WHERE connection_id = ? AND scope = ? AND source_id {texts}
"""


def _around(
    session: Session, reading: Reading, rest: Sequence[Booking], names: Set[str]
) -> list[_Row]:
    """Every row that one of these may be: equal to it, of that name (one of `names`), or alike in
    day and amount."""
    own = reading.connection_id
    keys: set[int] = set()
    days_here = _days_of(session, own, rest)
    for some in _chunks(each for each in rest if each.booked_on in days_here or each.id in names):
        prints = [each.fingerprint for each in some]
        days = list({each.booked_on for each in some})
        amounts = list({each.amount for each in some})
        about = (own, prints, own, prints, own, days, amounts, reading.run_id)
        keys.update(key for (key,) in _rows(session, _AROUND, *about))
        if ids := [each.id for each in some if each.id in names]:
            who = (own, reading.scope, ids)
            keys.update(key for (key,) in _rows(session, _NAMED, *who, *who))
    found = {
        row.id: row
        for some_keys in _chunks(keys)
        for row in session.execute(select(*_CONTENT).where(Transaction.id.in_(some_keys)))
    }
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


def _days_of(session: Session, connection_id: int, rest: Sequence[Booking]) -> Set[date]:
    """Days of these on which there is a row at all: hardly any in a first fetch. A row's wordings
    and names are of its own day (core/dedup.py)."""
    kept = _same if _is_postgres(session) else _iso
    came = {each.booked_on for each in rest}
    ends = kept(min(came)), kept(max(came))
    there = {day for (day,) in _rows(session, _DAYS, connection_id, *ends)}
    return {day for day in came if kept(day) in there}


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
    rows: list[tuple[Any, ...]] = []
    days: dict[date, Day] = {}
    aliases, reworded = [], []
    kept = _same if _is_postgres(session) else _iso
    for verdict in found.verdicts:
        place, kind, key, occurrence, named = verdict
        each = found.bookings[place]
        if kind is Kind.NEW or kind is Kind.DOUBTFUL:
            state, why = "booked", None
            if kind is Kind.DOUBTFUL:
                state = doubtful(verdict) if doubtful else "review"
                why = "resembles" if state == "review" else None
            elif late is not None and late(each.booked_on):
                state, why = "review", "late"
            if state == "booked":
                taken.added += 1
                _count(days, each.booked_on, each.amount)
            elif state == "review":
                taken.reviewed += 1
            rows.append(
                (
                    reading.connection_id,
                    reading.run_id,
                    reading.scope,
                    each.id if named else None,
                    occurrence,
                    state,
                    why,
                    key,
                    each.fingerprint,
                    kept(each.booked_on),
                    kept(each.value_on),
                    *each[4:],
                )
            )
        elif kind is Kind.WAITS:
            taken.waiting.append(each)
        elif kind is Kind.CHANGED:
            reworded.append((verdict, each))
        elif kind is Kind.ALIAS:
            aliases.append((verdict, each))
        else:
            taken.known += 1
    _add(session, rows)
    shift_days(session, reading.connection_id, days)
    own = _own_prints(session, [verdict.key for verdict, _ in aliases])
    other = [(verdict, each) for verdict, each in aliases if own[verdict.key] != each.fingerprint]
    reworded += [(verdict, each) for verdict, each in other if verdict.key in found.ours]
    taken.changed = len(reworded)
    taken.known += len(aliases) - sum(verdict.kind is Kind.ALIAS for verdict, _ in reworded)
    _put(
        session,
        TransactionAlias,
        [
            {
                "transaction_id": verdict.key,
                "connection_id": reading.connection_id,
                "scope": reading.scope,
                "source_id": each.id if verdict.named else None,
                "fingerprint": each.fingerprint if own[verdict.key] != each.fingerprint else None,
            }
            for verdict, each in aliases
        ],
    )
    _sighted(session, reading, found)
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


_ADD = """
INSERT INTO transactions (connection_id, run_id, scope, source_id, occurrence, state, review_reason,
resembles_id, fingerprint, booked_on, value_on, amount, currency, counterparty_name,
counterparty_iban, remittance, end_to_end_id)
VALUES """
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ROWS = 100
"""So many in one statement are a third less work than one by one."""


def _add(session: Session, rows: list[tuple[Any, ...]]) -> None:
    """In the columns' order of `_ADD`, straight to the driver."""
    whole = len(rows) - len(rows) % _ROWS
    for at in range(0, whole, _ROWS):
        some = chain.from_iterable(rows[at : at + _ROWS])
        _do(session, _ADD + ", ".join([_ROW] * _ROWS), *some)
    if whole < len(rows):
        _many(session, _ADD + _ROW, rows[whole:])


def _same(day: date | None) -> date | None:
    return day


@lru_cache(maxsize=4_096)
def _iso(day: date | None) -> str | None:
    """As SQLite keeps a day."""
    return day.isoformat() if day else None


def _own_prints(session: Session, keys: Collection[int | None]) -> dict[int | None, str]:
    found: dict[int | None, str] = {}
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


_RENUMBERED = "renumbered:"


def remark_caught(session: Session, reading: Reading, found: Look, at: Moment) -> None:
    """Why the bank's ids are doubted from now on. An id that named two bookings is told with the
    one that is kept; that known ones came under other ids is one event, told once with how many."""
    kept = {
        row.id: row
        for keys in _chunks({key for _, key in found.caught})
        for row in session.execute(
            select(
                Transaction.id, Transaction.source_id, Transaction.booked_on, Transaction.amount
            ).where(Transaction.id.in_(keys))
        )
    }
    renumbered = 0
    for place, key in found.caught:
        each, row = found.bookings[place], kept.get(key)
        if (
            row is not None
            and each.id != row.source_id
            and (each.booked_on, each.amount) == (row.booked_on, row.amount)
        ):
            renumbered += 1
            continue
        remark(
            session,
            reading,
            "id_reused",
            f"id_reused:{reading.scope}:{each.id}",
            content_of(each),
            at,
            transaction_id=key if row is not None else None,
        )
    if renumbered:
        mark = f"{_RENUMBERED}{reading.run_id}"
        remark(session, reading, "id_reused", mark, {"renumbered": renumbered}, at)


def were_reused(session: Session, connection_id: int) -> bool:
    """Whether an id of this connection was caught naming two bookings, and not merely changing."""
    caught = select(Remark.id).where(
        Remark.connection_id == connection_id,
        Remark.kind == "id_reused",
        Remark.mark.not_like(f"{_RENUMBERED}%"),
    )
    return session.scalar(caught.limit(1)) is not None


# -- one row at a time --------------------------------------------------------------------------

MAY_BECOME = {
    "booked": frozenset({"removed"}),
    "removed": frozenset({"booked"}),
    "review": frozenset({"booked", "rejected"}),
    "rejected": frozenset({"booked"}),
}


def in_state(
    session: Session, connection_id: int, keys: Iterable[int] | None, states: Collection[str]
) -> dict[int, date]:
    """The day of each of these rows of a connection (None: of all) that is in such a state. They
    stay so for the rest of the transaction."""
    wanted = (
        select(Transaction.id, Transaction.booked_on)
        .where(Transaction.connection_id == connection_id, Transaction.state.in_(states))
        .with_for_update()
    )
    parts = [wanted]
    if keys is not None:
        parts = [wanted.where(Transaction.id.in_(some)) for some in _chunks(keys)]
    return {key: day for part in parts for key, day in session.execute(part)}


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
        days: dict[date, Day] = {}
        for row in rows:
            _count(days, row.booked_on, row.amount, sign)
        shift_days(session, connection_id, days)
    return sorted(row.booked_on for row in rows)


# -- days ---------------------------------------------------------------------------------------

Day = tuple[int, int, int]
"""Count, credit and debit of a day."""


def _count(days: dict[date, Day], day: date, amount: int, sign: int = 1) -> None:
    count, credit, debit = days.get(day, (0, 0, 0))
    if amount > 0:
        days[day] = count + sign, credit + sign * amount, debit
    else:
        days[day] = count + sign, credit, debit + sign * amount


_SHIFT = """
INSERT INTO booked_days (connection_id, day, count, credit, debit) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (connection_id, day) DO UPDATE SET count = booked_days.count + excluded.count,
credit = booked_days.credit + excluded.credit, debit = booked_days.debit + excluded.debit
"""


def shift_days(session: Session, connection_id: int, days: dict[date, Day]) -> None:
    """Add to what these days count."""
    if not days:
        return
    kept = _same if _is_postgres(session) else _iso
    _many(
        session,
        _SHIFT,
        [
            (connection_id, kept(day), count, plus, minus)
            for day, (count, plus, minus) in days.items()
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


def half_told(session: Session, connection: Connection) -> list[Span]:
    """The last fetched day, as a stretch, if nobody told of it once it was over: the fetch read it
    while it was still going on. Empty when a file did tell (core/coverage.py)."""
    last = connection.watermark
    if last is None:
        return []
    files = (
        select(Upload.choices)
        .join(FetchRun, FetchRun.upload_id == Upload.id)
        .where(
            Upload.connection_id == connection.id,
            FetchRun.result == "ok",
            FetchRun.since <= last,
            FetchRun.until >= last,
        )
    )
    told = [
        (date.fromisoformat(first), date.fromisoformat(end))
        for choices in session.scalars(files)
        for first, end in choices.get("told", ())
    ]
    return without([(last, last)], told)


def cover(
    session: Session,
    connection: Connection,
    spans: Iterable[Span],
    *,
    lapsed: Iterable[Span] = (),
) -> list[Span]:
    """These days were told as well; `lapsed` ones count no longer, unless they are among them.
    Returns the stretches that are missing now."""
    before = covered(session, connection.id)
    after = joined([*without(before, lapsed), *spans])
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


def _rows(session: Session, statement: str, *values: Any) -> Sequence[Any]:
    """What a statement finds (_do)."""
    found: Sequence[Any] = _do(session, statement, *values).fetchall()
    return found


def _do(session: Session, statement: str, *values: Any) -> Any:
    """A statement with `?` for values and `{texts}`, `{numbers}` or `{days}` for *is one of* a
    list; straight to the driver: what is asked of every page has to cost little."""
    postgres = _is_postgres(session)
    given: tuple[Any, ...] = values
    if not postgres:
        given = tuple(
            json.dumps(each, default=date.isoformat) if type(each) is list else each
            for each in values
        )
    driver = session.connection().connection.driver_connection
    assert driver is not None
    return driver.execute(_sql(statement, postgres), given)


def _many(session: Session, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """A statement for every row, straight to the driver."""
    driver = session.connection().connection.driver_connection
    assert driver is not None
    driver.cursor().executemany(_sql(statement, _is_postgres(session)), rows)


@lru_cache
def _sql(statement: str, postgres: bool) -> str:
    if not postgres:
        among = "IN (SELECT value FROM json_each(?))"
        return statement.format(texts=among, numbers=among, days=among)
    kinds = {"texts": "text", "numbers": "bigint", "days": "date"}
    among_of = {name: f"= ANY(?::{kind}[])" for name, kind in kinds.items()}
    return statement.format(**among_of).replace("?", "%s")


def _is_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _put(session: Session, model: type[Model], rows: list[dict[str, Any]]) -> None:
    if rows:
        session.connection().execute(insert(_table(model)).inline(), rows)


def _insert(session: Session, model: type[Model]) -> Any:
    return (postgresql.insert if _is_postgres(session) else sqlite.insert)(_table(model))


def _table(model: type[Model]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


def _chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    """Databases take so many values at once."""
    every = list(keys)
    for at in range(0, len(every), _AT_ONCE):
        yield every[at : at + _AT_ONCE]
