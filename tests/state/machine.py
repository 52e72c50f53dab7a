"""Every order of everything that can happen to one account, one step at a time.

The rules of this machine are what people, banks, time and bad luck do. After each step that may
have changed anything of ours the oracle looks (tests/state/oracle.py).
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RULE_MARKER, RuleBasedStateMachine, initialize, precondition, rule

from banklink.actions import administrations, review
from banklink.actions.activate import activate
from banklink.actions.change_start import change_start
from banklink.actions.check import check_expiries, check_grants, fetch_due
from banklink.actions.export import export_new
from banklink.actions.fetch import fetch
from banklink.actions.observe import observe
from banklink.actions.services import Refused
from banklink.actions.switch_off import switch_off, undo
from banklink.actions.take_in_file import take_back, take_in
from banklink.actions.uploads import keep
from banklink.actions.use_holder import use_holder
from banklink.providers.contract import (
    ContractViolation,
    ProviderError,
    RateLimited,
    Temporary,
)
from banklink.store.exports import day_sums, lines, marked_lines
from banklink.store.models import Export
from tests.state.bank import Bank, Manners, Text
from tests.state.files import camt053, said_in_file
from tests.state.house import BEGIN, BOOKS, CONNECTION, SUBJECTS, House, Killed
from tests.state.oracle import File, Oracle, Row

fetching = sys.modules[fetch.__module__]
_KEPT = {name: vars(fetching)[name] for name in ("_AT_ONCE", "_NOT_LONGER")}

SANNE = "Sanne"
HERE = "192.0.2.7"
LEASE = timedelta(minutes=11)

TEXTS = (
    Text("Koffiebar", None, "Koffie"),
    Text("Bakkerij Smit", "NL52VOOR0001234567", "Factuur 1201 bakmeel"),
    Text("Bakkerij Smit", "NL52VOOR0001234567", "Factuur 1202 bakmeel"),
    Text("Verhuur Noord", None, "Huur kantoor april"),
    Text(None, None, ""),
)
AMOUNTS = (-350, -350, -1250, 1250, 99_999)

texts = st.sampled_from(TEXTS)
amounts = st.sampled_from(AMOUNTS)
few_days = st.integers(0, 3)
places = st.integers(0, 40)
holders = st.integers(0, len(SUBJECTS) - 1)
faults = st.sampled_from(("silent", "limited", "limited a day", "unreadable", "refused"))


def other_words(text: Text, how: str) -> Text:
    """What a bank may make of a text later on."""
    if how == "wrapped":
        return Text(text.name, text.iban, " ".join(text.remittance).upper())
    if how == "longer":
        return Text(text.name, text.iban, f"{text.remittance} betaald".strip())
    return Text("Onbekend", None, "Overboeking")


class Errors(logging.Handler):
    """What the log calls an error is a bug: nothing a bank does may cause one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


class Machine(RuleBasedStateMachine):
    house: ClassVar[House]
    steps: ClassVar[int] = 0
    world: ClassVar[dict[str, Any]] = {}
    """What `begin` is to take for given in every world of a walk, instead of drawing it."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = Errors()
        logging.getLogger("banklink").addHandler(self.errors)

    def teardown(self) -> None:
        vars(fetching).update(_KEPT)
        logging.getLogger("banklink").removeHandler(self.errors)

    # -- one step -----------------------------------------------------------------------------

    @initialize(
        stable=st.booleans(),
        frozen=st.booleans(),
        page=st.integers(1, 6),
        at_once=st.sampled_from((1, 1, 4, 1000)),
        history=st.sampled_from((20, 60)),
        back=st.integers(0, 30),
        first=st.lists(
            st.tuples(st.integers(0, 30), amounts, texts, st.integers(1, 2)), max_size=8
        ),
    )
    def begin(self, **drawn: Any) -> None:
        self._begin(**{**drawn, **self.world})

    def _begin(
        self,
        *,
        stable: bool,
        frozen: bool,
        page: int,
        at_once: int,
        history: int,
        back: int,
        first: list[tuple[int, int, Text, int]],
    ) -> None:
        bank = self.bank = Bank(BEGIN, Manners(stable, frozen))
        bank.page_size = page
        # How many bookings are stored at once; never how long that took, which nobody can repeat.
        vars(fetching).update(_AT_ONCE=at_once, _NOT_LONGER=float("inf"))
        for ago, amount, text, copies in first:
            bank.book(bank.today - timedelta(days=ago), amount, text, copies=copies)
        self.house.begin(bank)
        self.oracle = Oracle(self.house)
        bank.authorise(SUBJECTS[0], history=history, renumber=True)
        self.act(lambda: observe(self.services, 1, self.at))
        start = bank.today - timedelta(days=min(back, history))
        self.act(
            lambda: activate(
                self.services,
                CONNECTION,
                self.at,
                holder="1",
                start=start.isoformat(),
                version=None,
                actor=SANNE,
            ),
            attended=True,
        )

    @property
    def services(self) -> Any:
        return self.house.services

    @property
    def at(self) -> Any:
        return self.house.at()

    def count(self) -> None:
        type(self).steps += 1

    def act(
        self,
        action: Callable[[], Any],
        *,
        attended: bool = False,
        die_at: int | None = None,
        events: dict[int, Callable[[], None]] | None = None,
        decided: dict[int, str] | None = None,
    ) -> Any:
        """Do something of ours, perhaps only until the process dies, and look."""
        self.bank.step += 1
        asked = len(self.bank.accesses)
        self.house.luck.live(die_at=die_at, events=events)
        answer = None
        try:
            answer = action()
        except Killed:
            pass
        except Refused as refused:
            answer = refused
        except ProviderError as error:
            answer = error
        finally:
            self.house.luck.live()
        if not attended:
            readings = {(who, what) for who, what, _ in self.bank.accesses[asked:]}
            self.oracle.unattended += [(each, self.house.now) for each in sorted(readings)]
        assert not self.errors.seen, self.errors.format(self.errors.seen[0])
        self.oracle.look(decided=decided)
        return answer

    def fetch(self, *, attended: bool) -> Any:
        return fetch(
            self.services,
            CONNECTION,
            self.at,
            actor=SANNE if attended else None,
            user_ip=HERE if attended else None,
            due_only=not attended,
        )

    def turn_comes(self, *, attended: bool, hours: int = 7) -> None:
        """Unless a person asks, nothing is fetched before it is due; after a failure that is soon."""
        if not attended:
            self.house.pass_time(timedelta(hours=hours))
            self.bank.hear()

    def jobs(self) -> None:
        """What the scheduler does when it wakes."""
        check_expiries(self.services, self.at)
        check_grants(self.services, self.at)
        fetch_due(self.services, self.at)

    # -- the bank -----------------------------------------------------------------------------

    @rule(
        ago=few_days,
        amount=amounts,
        text=texts,
        copies=st.sampled_from((1, 1, 1, 2, 3)),
        ref=st.booleans(),
        blank=st.sampled_from((False, False, True)),
    )
    def book(self, ago: int, amount: int, text: Text, copies: int, ref: bool, blank: bool) -> None:
        self.count()
        self._book(ago, amount, text, copies, ref, blank)

    @rule(amount=amounts, text=texts, ref=st.booleans())
    def book_today(self, amount: int, text: Text, ref: bool) -> None:
        self.count()
        self._book(0, amount, text, ref=ref)

    @rule(amount=amounts, text=texts, copies=st.integers(1, 4))
    def book_yesterday(self, amount: int, text: Text, copies: int) -> None:
        self.count()
        self._book(1, amount, text, copies)

    @rule()
    def hear(self) -> None:
        """The provider asks the bank by itself."""
        self.count()
        self.bank.hear()

    @rule(ago=st.integers(4, 45), amount=amounts, text=texts)
    def book_late(self, ago: int, amount: int, text: Text) -> None:
        self.count()
        self._book(ago, amount, text)

    def _book(
        self,
        ago: int,
        amount: int,
        text: Text,
        copies: int = 1,
        ref: bool = False,
        blank: bool = False,
    ) -> None:
        day = self.bank.today - timedelta(days=ago)
        end_to_end = f"E2E-{len(self.bank.bookings)}" if ref else None
        self.bank.book(day, amount, text, end_to_end=end_to_end, copies=copies, blank=blank)

    @rule(place=places, copies=st.integers(1, 2))
    @precondition(lambda self: self.bank.bookings)
    def book_the_same_again(self, place: int, copies: int) -> None:
        """One more that nobody can tell from one of before."""
        self.count()
        like = self.bank.bookings[-1 - place % len(self.bank.bookings)]
        self.bank.book(
            like.day,
            like.amount,
            like.texts[-1],
            value=like.value,
            end_to_end=like.end_to_end,
            copies=copies,
        )

    @rule(place=places, how=st.sampled_from(("wrapped", "longer", "other")))
    @precondition(lambda self: self.bank.bookings)
    def say_otherwise(self, place: int, how: str) -> None:
        self.count()
        booking = self.bank.bookings[-1 - place % len(self.bank.bookings)]
        if len(booking.texts) < 3:
            self.bank.say(booking.number, other_words(booking.texts[-1], how))

    @rule(how=st.sampled_from(("places", "fresh", "turned")))
    def reissue_ids(self, how: str) -> None:
        """A bank that promised its ids would stay."""
        self.count()
        self.bank.reissue(how)

    @rule()
    def reorder(self) -> None:
        self.count()
        self.bank.reorder()

    @rule(size=st.integers(1, 6))
    def cut_pages(self, size: int) -> None:
        self.count()
        self.bank.page_size = size

    @rule()
    def forget_cursors(self) -> None:
        self.count()
        self.bank.forget_cursors()

    @rule(on=st.booleans(), who=holders)
    def outage(self, on: bool, who: int) -> None:
        self.count()
        share = self.bank.shares.get(SUBJECTS[who])
        if share is not None:
            share.outage = on

    @rule()
    @precondition(lambda self: not self.bank.balance_wrong_by)
    def lose_a_cent(self) -> None:
        """From now on the bank says another balance than its bookings come to."""
        self.count()
        self.bank.right_through = self.house.one("SELECT max(id) FROM fetch_runs")[0] or 0
        self.bank.balance_wrong_by = 1

    @rule(count=st.integers(0, 2))
    def odd_rows(self, count: int) -> None:
        self.count()
        self.bank.unreadable = count

    # -- time ---------------------------------------------------------------------------------

    @rule(hours=st.sampled_from((1, 3, 6, 13, 25, 49)), hears=st.sampled_from((True, True, False)))
    def wait(self, hours: int, hears: bool) -> None:
        """Time passes, and nobody of ours is awake."""
        self.count()
        self.house.pass_time(timedelta(hours=hours))
        if hears:
            self.bank.hear()

    @rule(days=st.sampled_from((8, 8, 33, 70)))
    def wait_long(self, days: int) -> None:
        self.count()
        self.house.pass_time(timedelta(days=days))
        self.bank.hear()

    # -- fetching -----------------------------------------------------------------------------

    @rule(hours=st.sampled_from((0, 1, 1, 7)))
    def scheduler(self, hours: int) -> None:
        self.count()
        self.house.pass_time(timedelta(hours=hours))
        self.bank.hear()
        self.act(self.jobs)

    @rule()
    def press_refresh(self) -> None:
        self.count()
        self.act(lambda: self.fetch(attended=True), attended=True)

    @rule(attended=st.booleans(), die_at=st.integers(0, 45), more=st.booleans())
    def crash(self, attended: bool, die_at: int, more: bool) -> None:
        """The process dies somewhere in a fetch; later another one goes on, maybe to die too."""
        self.count()
        self.turn_comes(attended=attended)
        self.act(lambda: self.fetch(attended=attended), attended=attended, die_at=die_at)
        self.house.pass_time(LEASE)
        if more:
            self.act(lambda: self.fetch(attended=True), attended=True)

    @rule(
        call=st.integers(0, 5),
        what=faults,
        attended=st.booleans(),
        hours=st.sampled_from((1, 1, 7)),
    )
    def fault(self, call: int, what: str, attended: bool, hours: int) -> None:
        self.count()

        def fails() -> None:
            if what == "silent":
                raise Temporary("timeout")
            if what.startswith("limited"):
                raise RateLimited(
                    "rateLimited",
                    http_status=429,
                    retry_after=timedelta(days=1) if "day" in what else timedelta(minutes=9),
                )
            if what == "unreadable":
                raise ContractViolation("not_json")
            raise Temporary("maintenance", http_status=503)

        self.turn_comes(attended=attended, hours=hours)
        self.act(lambda: self.fetch(attended=attended), attended=attended, events={call: fails})

    @rule(
        call=st.integers(0, 8),
        what=st.sampled_from(
            ("book", "late", "again", "forget", "outage", "fetch", "holder", "start", "job")
        ),
        ago=st.integers(0, 12),
        amount=amounts,
        text=texts,
    )
    def meanwhile(self, call: int, what: str, ago: int, amount: int, text: Text) -> None:
        """Something happens between two calls of a fetch."""
        self.count()

        def happens() -> None:
            if what in ("book", "late"):
                self._book(ago if what == "late" else 0, amount, text)
                self.bank.hear()
            elif what == "again" and self.bank.bookings:
                like = self.bank.bookings[-1]
                self.bank.book(like.day, like.amount, like.texts[-1], value=like.value)
                self.bank.hear()
            elif what == "forget":
                self.bank.forget_cursors()
            elif what == "outage":
                for share in self.bank.shares.values():
                    share.outage = True
            elif what in ("fetch", "job"):  # the first one is stuck for longer than its lease
                self.house.real += LEASE
                self.fetch(attended=True) if what == "fetch" else self.jobs()
            elif what == "holder":
                self._use_holder(1)
            elif what == "start":
                self._move_start(-ago)

        self.act(lambda: self.fetch(attended=True), attended=True, events={call: happens})

    @rule()
    def calm(self) -> None:
        """Days on which everything works and nobody does anything."""
        self.count()
        for share in self.bank.shares.values():
            share.outage = False
        link = self.oracle.before.link
        assert link.selected is not None
        share = self.bank.shares[SUBJECTS[link.selected - 1]]
        for _ in range(3):
            self.house.pass_time(timedelta(hours=25))
            self.bank.hear()
            self.act(self.jobs)
            if not self.oracle.left_behind(share):
                assert not self.oracle.unnoticed(), self.oracle.unnoticed()
                return
        if self.oracle.before.link.switch == "on" and share.valid_until > self.house.now:
            raise AssertionError(self.oracle.left_behind(share))

    @rule()
    def fetch_twice(self) -> None:
        """What was just fetched in full brings nothing new."""
        self.count()
        first = self.act(lambda: self.fetch(attended=True), attended=True)
        rows = len(self.oracle.before.rows)
        again = self.act(lambda: self.fetch(attended=True), attended=True)
        if getattr(first, "result", None) == getattr(again, "result", None) == "ok":
            runs = self.house.rows("SELECT since FROM fetch_runs ORDER BY id DESC LIMIT 2")
            if runs[1][0] <= runs[0][0]:
                assert len(self.oracle.before.rows) == rows, "the same again brought rows"

    # -- people -------------------------------------------------------------------------------

    @rule(
        who=holders,
        history=st.sampled_from((5, 20, 60)),
        renumber=st.booleans(),
        fetches=st.booleans(),
    )
    def renew(self, who: int, history: int, renumber: bool, fetches: bool) -> None:
        """A holder is at the bank again, and comes back with the same account or another id."""
        self.count()
        self.bank.authorise(SUBJECTS[who], history=history, renumber=renumber)

        def comes_back() -> None:
            due = observe(self.services, who + 1, self.at)
            for each in due if fetches else ():
                fetch(self.services, each, self.at)

        self.act(comes_back, attended=True)

    # -- files --------------------------------------------------------------------------------

    @rule(
        ago=st.integers(-1, 30),
        length=st.integers(0, 30),
        wordy=st.booleans(),
        die_at=st.none() | st.none() | st.integers(0, 12),
    )
    def take_in_file(self, ago: int, length: int, wordy: bool, die_at: int | None) -> None:
        """The bank's own statement of some days, given by hand."""
        self.count()
        last = self.bank.today - timedelta(days=ago)
        first = last - timedelta(days=length)
        told = [each for each in self.bank.bookings if first <= each.day <= last]
        for each in told:
            text = said_in_file(each.texts[-1], wordy)
            if text not in each.texts:
                each.written.append(text)
        opening = self.bank.opening + sum(
            each.amount for each in self.bank.bookings if each.day < first
        )
        data = camt053(first, last, told, opening=opening, wordy=wordy)
        numbers = frozenset(each.number for each in told)
        self.oracle.file = File(numbers, first, last, self.bank.tick)

        def give() -> None:
            number = keep(
                self.services, CONNECTION, self.at, name="statement.xml", data=data, actor=SANNE
            )
            take_in(self.services, CONNECTION, number, self.at, typed={}, actor=SANNE)

        self.act(give, die_at=die_at)

    @rule()
    @precondition(lambda self: self.oracle.file is not None)
    def take_back_file(self) -> None:
        """Everything the last file brought goes out again, where nothing came in since."""
        self.count()
        last = self.house.rows("SELECT max(upload_id) FROM fetch_runs")[0][0]
        if last is not None:
            self.act(lambda: take_back(self.services, CONNECTION, last, self.at, actor=SANNE))

    def _use_holder(self, who: int) -> None:
        with contextlib.suppress(Refused):
            use_holder(
                self.services, CONNECTION, self.at, holder=str(who + 1), version=None, actor=SANNE
            )

    @rule(who=holders)
    @precondition(lambda self: len(self.bank.shares) > 1)
    def switch_holder(self, who: int) -> None:
        self.count()
        self.act(lambda: self._use_holder(who), attended=True)

    @rule()
    def off_and_on(self) -> None:
        self.count()
        link = self.oracle.before.link
        if link.switch == "on":
            self.act(
                lambda: switch_off(self.services, CONNECTION, self.at, version=None, actor=SANNE)
            )
        else:
            self.act(
                lambda: undo(self.services, CONNECTION, self.at, version=None, actor=SANNE),
                attended=True,
            )

    def _move_start(self, by: int) -> None:
        start = self.oracle.before.link.start
        assert start is not None
        wanted = date.fromisoformat(start) + timedelta(days=by)
        self.oracle.start_moved = True
        with contextlib.suppress(Refused):
            change_start(
                self.services,
                CONNECTION,
                self.at,
                start=wanted.isoformat(),
                version=None,
                actor=SANNE,
            )

    @rule(ago=st.integers(-1, 50))
    def lock(self, ago: int) -> None:
        """The books of a period are closed, or opened again."""
        self.count()
        locked = "" if ago < 0 else (self.bank.today - timedelta(days=ago)).isoformat()
        name, begins, now = self.house.one(
            "SELECT name, fiscal_year_start, lock_date FROM administrations"
        )
        seen = administrations.Typed(name, begins, now or "")
        self.act(
            lambda: administrations.change(
                self.services,
                BOOKS,
                self.at,
                typed=administrations.Typed(name, begins, locked),
                seen=seen,
                user_id=0,
            )
        )

    # -- out ----------------------------------------------------------------------------------

    @rule(die_at=st.none() | st.none() | st.integers(0, 3))
    def export_new(self, die_at: int | None) -> None:
        """What was booked since the last time goes to the accounting package."""
        self.count()

        def goes_out() -> int:
            return export_new(self.services, CONNECTION, self.at, format="csv", locale="nl")

        self.act(goes_out, die_at=die_at)
        for (number,) in self.house.rows("SELECT id FROM exports ORDER BY id"):
            if number not in self.oracle.exported:
                store = self.services.store
                with store.read() as session:
                    export = session.get_one(Export, number)
                    sums = day_sums(session, export)
                self.oracle.goes_out(
                    export, [*lines(store, export), *marked_lines(store, export)], sums
                )

    # -- decisions ----------------------------------------------------------------------------

    def _decide(self, verb: Callable[..., Any], row: Row, becomes: str) -> None:
        """In closed books nothing is taken in, removed or put back."""
        locked = self.oracle.before.locked
        closed = locked is not None and date.fromisoformat(row.day) <= locked
        stays = closed and becomes != "rejected"
        self.act(
            lambda: verb(self.services, CONNECTION, [row.id], self.at, actor=SANNE),
            decided={} if stays else {row.id: becomes},
        )

    @rule(place=places, takes=st.sampled_from((True, True, False)))
    @precondition(lambda self: self.oracle.of_state("review"))
    def decide(self, place: int, takes: bool) -> None:
        """Somebody looks into what waits, and takes in only what is not there yet."""
        self.count()
        rows = self.oracle.of_state("review")
        row = rows[place % len(rows)]
        if takes and self.oracle.may_stand(row):
            self._decide(review.accept, row, "booked")
        else:
            self._decide(review.reject, row, "rejected")

    @rule()
    @precondition(lambda self: self.oracle.of_state("review"))
    def reject_all(self) -> None:
        self.count()
        rows = self.oracle.of_state("review")
        self.act(
            lambda: review.reject(self.services, CONNECTION, None, self.at, actor=SANNE),
            decided={row.id: "rejected" for row in rows},
        )

    @rule(place=places)
    @precondition(lambda self: self.oracle.of_state("booked"))
    def remove(self, place: int) -> None:
        self.count()
        rows = self.oracle.of_state("booked")
        self._decide(review.remove, rows[-1 - place % len(rows)], "removed")

    @rule(place=places)
    @precondition(lambda self: self.oracle.of_state("removed", "rejected"))
    def restore(self, place: int) -> None:
        self.count()
        rows = self.oracle.of_state("removed", "rejected")
        row = rows[place % len(rows)]
        if self.oracle.may_stand(row):
            self._decide(review.restore, row, "booked")

    @rule(by=st.integers(-25, 25))
    def move_start(self, by: int) -> None:
        self.count()
        self.act(lambda: self._move_start(by), attended=True)


def only(*names: str, **world: Any) -> type[Machine]:
    """The same machine with these rules alone, in such worlds, to come to a rare thing soon."""
    others = {
        name
        for name, member in vars(Machine).items()
        if hasattr(member, RULE_MARKER) and name not in names
    }
    return type("Few", (Machine,), {**dict.fromkeys(others), "world": world})
