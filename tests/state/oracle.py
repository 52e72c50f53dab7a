"""What must be so, whatever happened: the bank's truth and the rules of the issue, held against
what is stored. Written from those alone; it does not know how core/dedup.py works.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from tests.state.bank import Booking, Listing, Share, Text
from tests.state.house import CONNECTION, House

DAY = timedelta(days=1)


class Row(NamedTuple):
    id: int
    run: int
    day: str
    value: str | None
    amount: int
    currency: str
    name: str | None
    iban: str | None
    remittance: str
    end_to_end: str | None
    state: str
    reason: str | None
    resembles: int | None
    export: int | None

    @property
    def content(self) -> tuple[object, ...]:
        return self[2:10]

    @property
    def text(self) -> Text:
        return Text(self.name, self.iban, self.remittance)

    @property
    def doubtful(self) -> bool:
        """Set aside because it may be a row that is stored already."""
        return self.resembles is not None and self.state in ("review", "rejected")


_ROWS = """
    SELECT id, run_id, booked_on, value_on, amount, currency, counterparty_name,
           counterparty_iban, remittance, end_to_end_id, state, review_reason, resembles_id,
           export_id
    FROM transactions WHERE connection_id = ? ORDER BY id
"""


class Link(NamedTuple):
    """The connection's columns that say how far it came."""

    switch: str
    start: str | None
    watermark: str | None
    gap_from: str | None
    gap_to: str | None
    selected: int | None
    doubted: str | None
    unbalanced: str | None


_LINK = """
    SELECT switch, start_date, watermark, gap_from, gap_to, selected_id, ids_doubted_at,
           unbalanced_from
    FROM connections WHERE id = ?
"""


class Run(NamedTuple):
    id: int
    kind: str
    scope: str
    since: str
    until: str
    result: str | None
    seen: int
    added: int
    known: int
    changed: int
    reviewed: int


_RUNS = """
    SELECT id, kind, scope, since, until, result, seen, added, known, changed, reviewed
    FROM fetch_runs WHERE connection_id = ? AND id > ? ORDER BY id
"""


@dataclass(slots=True)
class Stored:
    """All there is to see on our side at one moment."""

    rows: dict[int, Row]
    link: Link
    covered: set[date]
    locked: date | None

    @property
    def watermark(self) -> date | None:
        return day(self.link.watermark)


@dataclass(frozen=True, slots=True)
class File:
    """What a file that is being taken in tells: these bookings, and everything of these days. Its
    balances are of all that the bank has written down (`made`: the tick of the bank)."""

    numbers: frozenset[int]
    first: date
    last: date
    made: int


@dataclass(slots=True)
class Begun:
    """A fetch as the bank knows it: under which authorisation, and what was known then."""

    renewal: bool
    covered: set[date]
    watermark: date | None
    authorisation: tuple[str, datetime] | None


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def days(first: date, last: date) -> Iterable[date]:
    return (first + n * DAY for n in range((last - first).days + 1))


class Oracle:
    """Holds what was proved so far in one example. `look` after everything that may have changed
    anything."""

    def __init__(self, house: House):
        self.house, self.bank = house, house.bank
        self.begun: dict[int, Begun] = {}
        self.judged: set[int] = set()
        self.undone: set[int] = set()
        self.out: set[int] = set()
        self.exported: set[int] = set()
        self.closed_at = 0
        self.start_moved = False
        self.served: set[date] = set()
        self.owed: set[int] = set()
        self.last_authorisation: tuple[str, datetime] | None = None
        self.unattended: list[tuple[tuple[str, str], datetime]] = []
        self.file: File | None = None
        self.over: set[date] = set()
        """Days that a file told of when they were over."""
        self.before_file: tuple[int, set[date], set[int], set[date]] | None = None
        self.before = self.stored()

    # -- what is stored -----------------------------------------------------------------------

    def stored(self) -> Stored:
        house = self.house
        covered: set[date] = set()
        spans = [
            (date.fromisoformat(first), date.fromisoformat(last))
            for first, last in house.rows(
                "SELECT first, last FROM coverage WHERE connection_id = ? ORDER BY first",
                CONNECTION,
            )
        ]
        for first, last in spans:
            assert first <= last, f"a stretch that ends before it begins: {first} {last}"
            covered.update(days(first, last))
        for (_, last), (first, _) in itertools.pairwise(spans):
            assert first > last + DAY, f"stretches touch or overlap: {spans}"
        return Stored(
            {row[0]: Row(*row) for row in house.rows(_ROWS, CONNECTION)},
            Link(*house.one(_LINK, CONNECTION)),
            covered,
            day(house.one("SELECT lock_date FROM administrations")[0]),
        )

    def _runs(self) -> list[Run]:
        oldest = min((each for each in self.begun if each not in self.judged), default=None)
        newest = max(self.begun, default=0)
        after = newest if oldest is None else oldest - 1
        return [Run(*row) for row in self.house.rows(_RUNS, CONNECTION, after)]

    # -- looking ------------------------------------------------------------------------------

    def look(self, *, decided: Mapping[int, str] | None = None) -> Stored:
        """Hold everything against the truth. `decided`: rows whose state a person changed just
        now, and into what."""
        now = self.stored()
        self._runs_are_honest(now)
        self._files_taken_back()
        self._nothing_changes_by_itself(now, decided or {})
        self._truth(now)
        self._holes_are_known(now)
        self._days_add_up(now)
        self._no_false_alarm(now)
        self._budget()
        self.before = now
        return now

    def _runs_are_honest(self, now: Stored) -> None:
        """What completed since the last look was served by the bank; from then on it is owed."""
        known, through = set(self.before.covered), self.before.watermark
        new_rows = [row for key, row in now.rows.items() if key not in self.before.rows]
        for run in self._runs():
            if run.id in self.judged:
                continue
            if run.id not in self.begun:
                self.begun[run.id] = self._begin(run, known, through)
            begun = self.begun[run.id]
            self._right_tray(run, begun, [row for row in new_rows if row.run == run.id], now)
            if run.result is None:
                continue
            self.judged.add(run.id)
            if run.result != "ok":
                continue
            if run.kind == "file":
                self._file_is_in(run, now)
                continue
            assert run.seen == run.added + run.known + run.changed + run.reviewed, (
                f"counts differ: {run}"
            )
            listing = self._listing(run)
            first = max(date.fromisoformat(run.since), listing.first)
            last = min(date.fromisoformat(run.until), listing.last)
            if begun.watermark is not None and begun.watermark < first <= last:
                # That day was going on when it was served, and is not served again.
                self.served -= {begun.watermark} - self.over
            self.served.update(days(first, last))
            # What a second one knew that began in the same step.
            known, through = known | set(days(first, last)), max(through or last, last)
            self.owed.update(
                number
                for number in listing.numbers
                if first <= self.bank.bookings[number].day <= last
            )
            self.last_authorisation = begun.authorisation

    def left_behind(self, share: Share) -> str:
        """What nobody came for, after quiet days on which everything works; else empty."""
        now = self.before
        if now.watermark != share.until:
            return f"stuck: {now.link}, while the bank told of {share.until}"
        start = day(now.link.start)
        assert start is not None
        first = max(start, share.holds_from, share.until - 7 * DAY)
        if now.locked is not None:
            first = max(first, now.locked + DAY)
        if set(days(first, share.until)) - now.covered:
            return f"days that could be had are missing: {now.link}"
        left = [
            each
            for each in self.bank.visible(share)
            if each.day >= first and each.number not in self.owed
        ]
        return f"nobody came for {left}" if left else ""

    def _authorisation(self, run: Run) -> tuple[str, datetime] | None:
        share = next((each for each in self.bank.shares.values() if each.ref == run.scope), None)
        return (share.ref, share.authorised_at) if share else None

    def _begin(self, run: Run, covered: set[date], watermark: date | None) -> Begun:
        authorisation = self._authorisation(run)
        return Begun(
            self.last_authorisation is not None and authorisation != self.last_authorisation,
            covered,
            watermark,
            authorisation,
        )

    def _file_is_in(self, run: Run, now: Stored) -> None:
        """Days that are over, from the start on and not locked, were told by this file."""
        self.before_file = run.id, set(self.served), set(self.owed), set(self.over)
        start = day(now.link.start)
        assert self.file is not None and start is not None
        first = start if now.locked is None else max(start, now.locked + DAY)
        last = min(self.file.last, self.bank.today - DAY)
        told = set(days(max(first, self.file.first), last))
        self.served |= told
        self.over |= told
        self.owed.update(
            number for number in self.file.numbers if self.bank.bookings[number].day >= first
        )

    def of_state(self, *states: str) -> list[Row]:
        return [row for row in self.before.rows.values() if row.state in states]

    def may_stand(self, row: Row) -> bool:
        """Whether a row set aside is a booking that no other row stands for: what a careful
        person finds out before accepting it."""
        rows = [
            other
            for other in self.before.rows.values()
            if (other.day, other.amount) == (row.day, row.amount)
            and (other.id == row.id or not other.doubtful)
        ]
        bookings = [
            each
            for each in self.bank.bookings
            if (each.day.isoformat(), each.amount) == (row.day, row.amount)
        ]
        return Fit(bookings).all_paired(rows, bookings)

    def _listing(self, run: Run) -> Listing:
        """The first page the bank gave this run: nothing written down later is owed for it."""
        listing = self.bank.listings.get(run.id)
        assert listing is not None, f"a fetch completed that never asked the bank: {run}"
        assert listing.ref == run.scope
        return listing

    def _right_tray(self, run: Run, begun: Begun, new: Sequence[Row], now: Stored) -> None:
        """At a renewal, what turns up for days that were fetched before waits for a decision;
        everything else goes straight in, unless it may be there already."""
        for row in new:
            booked_on = date.fromisoformat(row.day)
            if now.locked is not None:
                assert booked_on > now.locked, f"brought into the locked period: {row}"
            if row.doubtful:
                assert any(
                    other.id != row.id and (other.day, other.amount) == (row.day, row.amount)
                    for other in now.rows.values()
                ), f"in doubt, and resembles nothing: {row}"
                continue
            assert row.state in ("booked", "review"), f"came in as {row.state}: {row}"
            if run.kind == "file":
                late = booked_on in begun.covered
            elif begun.watermark is None:
                continue
            elif booked_on == begun.watermark:
                continue  # that day was not over when it was told
            elif begun.authorisation != self._authorisation(run):
                continue  # renewed while it was broken off: some came before, some after
            else:
                late = begun.renewal and booked_on in begun.covered and booked_on < begun.watermark
            assert late == (row.state == "review"), (
                f"{'belongs in' if late else 'does not belong in'} review: {row}"
            )

    def goes_out(self, export: Any, lines: Sequence[Sequence[Any]], sums: Sequence[Any]) -> None:
        """Of all exports of what is new: what went out and was not taken back is what is booked,
        each row once; and each begins at the balance the one before ended with."""
        for line in lines:
            key, amount, mark = line[0], line[3], line[-1]
            row = self.before.rows[key]
            assert amount == row.amount, f"went out otherwise than it is stored: {line} {row}"
            assert (mark == "back") == (key in self.out), f"{mark or 'out'} and before: {row}"
            (self.out.discard if mark == "back" else self.out.add)(key)
        total = sum(-line[3] if line[-1] == "back" else line[3] for line in lines)
        assert (export.count, export.total) == (len(lines), total)
        assert sum(each.credit + each.debit for each in sums) == total
        booked = {row.id for row in self.of_state("booked")}
        assert self.out == booked, f"out, not booked, or the other way: {self.out ^ booked}"
        if self.exported:
            assert export.opening == self.closed_at, f"the balances do not chain: {export}"
        self.closed_at = export.opening + export.total
        self.exported.add(export.id)

    def _files_taken_back(self) -> None:
        """Nothing came in since, so all is as it was before it."""
        for (run,) in self.house.rows("SELECT id FROM fetch_runs WHERE result = 'undone'"):
            if run not in self.undone:
                self.undone.add(run)
                assert self.before_file is not None and self.before_file[0] == run
                _, self.served, self.owed, self.over = self.before_file

    def _nothing_changes_by_itself(self, now: Stored, decided: Mapping[int, str]) -> None:
        for key, old in self.before.rows.items():
            new = now.rows.get(key)
            if new is None and old.run in self.undone:
                continue
            assert new is not None, f"a stored row is gone: {old}"
            assert new.content == old.content, f"a stored row was changed: {old} {new}"
            wanted = decided.get(key, old.state)
            assert new.state == wanted, f"the state of a row changed by itself: {old} {new}"

    def _truth(self, now: Stored) -> None:
        """Every booking that is owed is stored, and none twice: each row that counts, or would
        count if it were put back, stands for a booking of its own."""
        groups: dict[tuple[str, int], tuple[list[Row], list[Booking]]]
        groups = defaultdict(lambda: ([], []))
        for row in now.rows.values():
            groups[row.day, row.amount][0].append(row)
        for booking in self.bank.bookings:
            key = (booking.day.isoformat(), booking.amount)
            if key in groups or booking.number in self.owed:
                groups[key][1].append(booking)
        for key, (rows, bookings) in groups.items():
            owed = [each for each in bookings if each.number in self.owed]
            standing = [row for row in rows if not row.doubtful]
            if len(standing) == len(rows) == len(bookings) == len(owed) and _plainly_equal(
                rows, bookings
            ):
                continue
            fit = Fit(bookings)
            assert fit.all_paired(standing, bookings), f"twice, or invented, on {key}:\n" + _told(
                standing, bookings
            )
            assert fit.all_owed(owed, rows), f"lost on {key}:\n" + _told(rows, owed)

    def _holes_are_known(self, now: Stored) -> None:
        over = now.covered - self.served
        assert not over, f"covered, and never served by a fetch that completed: {sorted(over)}"
        start, watermark = day(now.link.start), now.watermark
        missing = []
        if start is not None and now.locked is not None:
            start = max(start, now.locked + DAY)
        if start is not None and watermark is not None:
            missing = [each for each in days(start, watermark) if each not in now.covered]
        gap = (day(now.link.gap_from), day(now.link.gap_to))
        wanted = (missing[0], missing[-1]) if missing else (None, None)
        assert gap == wanted, f"missing are {wanted}, told are {gap}; {now.link}"

    def _days_add_up(self, now: Stored) -> None:
        count: Counter[str] = Counter()
        credit: Counter[str] = Counter()
        debit: Counter[str] = Counter()
        for row in now.rows.values():
            if row.state == "booked":
                count[row.day] += 1
                (credit if row.amount > 0 else debit)[row.day] += row.amount
        told = {
            row[0]: row[1:]
            for row in self.house.rows(
                "SELECT day, count, credit, debit FROM booked_days WHERE connection_id = ?",
                CONNECTION,
            )
        }
        assert told == {each: (n, credit[each], debit[each]) for each, n in count.items()}

    def _no_false_alarm(self, now: Stored) -> None:
        """Where the bank is right about what the account holds, and all it ever told of is booked,
        nothing is said to be wrong. What an earlier start day brings may have been booked before
        or after a balance was said, which nobody can know any more."""
        if now.link.unbalanced is None or self.bank.balance_wrong_by or self.start_moved:
            return
        if any(row.state != "booked" for row in now.rows.values()):
            return
        first_said = self.bank.first_said or 0
        heard = max(share.synced for share in self.bank.shares.values())
        if self.file is not None:
            heard = max(heard, self.file.made)
        booked = Counter((row.day, row.amount) for row in now.rows.values())
        wanted = Counter(
            (each.day.isoformat(), each.amount)
            for each in self.bank.bookings
            if first_said < each.born <= heard or (each.day.isoformat(), each.amount) in booked
        )
        assert booked != wanted, f"a false alarm about balances from {now.link.unbalanced}"

    def unnoticed(self) -> str:
        """That the bank says another balance than its bookings come to, and the row is silent:
        where an earlier balance is kept, all days since are known, and nobody has to decide."""
        now, right = self.before, self.bank.right_through
        if not self.bank.balance_wrong_by or now.link.unbalanced or self.of_state("review"):
            return ""
        said = self.house.rows('SELECT run_id, "on" FROM balances')
        before = [date.fromisoformat(on) for run, on in said if run <= right]
        after = [date.fromisoformat(on) for run, on in said if run > right]
        if not before or not after or not set(days(max(before), max(after))) <= now.covered:
            return ""
        return f"nobody says that the balance is off by {self.bank.balance_wrong_by}: {said}"

    def _budget(self) -> None:
        """At most four unattended readings of an account within any 24 hours."""
        for reading, at in self.unattended[-2:]:
            recent = [
                other
                for which, other in self.unattended
                if which == reading and at - timedelta(hours=24) < other <= at
            ]
            assert len(recent) <= 4, f"{reading} too often without a person: {recent}"


# -- pairs ----------------------------------------------------------------------------------------


class Fit:
    """Which row can be which booking, of those of one day and amount: by everything the bank says
    of it. Once it took back its words for one of them nobody can tell which is which, and any text
    it ever used will do. Which of two that are otherwise equal carries a reference is not asked: a
    file may leave it out."""

    def __init__(self, bookings: Sequence[Booking]):
        self.loose = any(len(each.texts) > 1 or each.written for each in bookings)
        self.said = {text for each in bookings for text in (*each.texts, *each.written)}
        self.references = {None, *(each.end_to_end for each in bookings)}

    def __call__(self, row: Row, booking: Booking) -> bool:
        if row.currency != "EUR" or row.end_to_end not in self.references:
            return False
        if self.loose:
            return row.text in self.said
        return row.text == booking.texts[0] and row.value == (
            booking.value.isoformat() if booking.value else None
        )

    def all_paired(self, rows: Sequence[Row], bookings: Sequence[Booking]) -> bool:
        return pairs([[self(row, each) for each in bookings] for row in rows]) == len(rows)

    def all_owed(self, owed: Sequence[Booking], rows: Sequence[Row]) -> bool:
        return pairs([[self(row, each) for row in rows] for each in owed]) == len(owed)


def _plainly_equal(rows: Sequence[Row], bookings: Sequence[Booking]) -> bool:
    if any(len(each.texts) > 1 or each.written for each in bookings):
        return False
    return Counter((row.value, row.end_to_end, row.text) for row in rows) == Counter(
        (each.value.isoformat() if each.value else None, each.end_to_end, each.texts[0])
        for each in bookings
    )


def pairs(fits: Sequence[Sequence[bool]]) -> int:
    """The most pairs of left and right that fit, each used once (Kuhn)."""
    taken: dict[int, int] = {}

    def place(left: int, tried: set[int]) -> bool:
        for right, fitting in enumerate(fits[left]):
            if fitting and right not in tried:
                tried.add(right)
                if right not in taken or place(taken[right], tried):
                    taken[right] = left
                    return True
        return False

    return sum(place(left, set()) for left in range(len(fits)))


def _told(rows: Sequence[Row], bookings: Sequence[Booking]) -> str:
    return "\n".join([*map(str, rows), *map(str, bookings)])
