"""How bookings were lost or doubled elsewhere, each as it was reported (security.md 4.1, peers.md 6).

Where a bank behaves as the embedded one can be made to, everything goes over HTTP; what no such
bank does is put in the place of its answer (`Shows`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions import fetch as fetching
from banklink.actions import review
from banklink.actions.fetch import Fetched, fetch
from banklink.actions.observe import observe
from banklink.actions.services import Refused
from banklink.actions.take_in_file import take_back
from banklink.actions.use_holder import use_holder
from banklink.core.statuses import Action
from banklink.providers.contract import (
    AccountNotFound,
    CursorRefused,
    Page,
    PendingBooking,
    ProviderTransaction,
    Temporary,
    Unreadable,
)
from banklink.simulator import world as rules
from banklink.simulator.model import BankAccount, BankBooking
from banklink.store.models import (
    Account,
    Administration,
    BookedDay,
    Connection,
    Coverage,
    FetchRun,
    PendingTransaction,
    Remark,
    Sighting,
    Transaction,
)
from tests.support.statements import mt940

from .conftest import (
    BAKERY,
    HERE,
    SANNE,
    SAVINGS,
    SHOP,
    TODAY,
    Books,
    House,
    account,
    fails,
)
from .test_take_in_file import confirm, give

DAY = timedelta(days=1)
YESTERDAY = TODAY - DAY


@pytest.fixture(autouse=True)
def page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is stored by itself, however small: what lies between two of them is tried."""
    monkeypatch.setattr(fetching, "_AT_ONCE", 1)


@pytest.fixture
def working(house: House) -> Books:
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    return books


@pytest.fixture
def empty(house: House) -> Books:
    """Nothing of the bank's own between: a test shows what it shows."""
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    house.provider.instead["transactions"] = Shows()
    books.activate(10)
    return books


class Shows:
    """A provider that shows these bookings, newest first, so many to a page."""

    def __init__(self, *rows: dict[str, Any], size: int = 100):
        self.size = size
        self.rows = [
            ProviderTransaction(
                **{
                    "id": f"t{number}",
                    "booked_on": YESTERDAY,
                    "value_on": YESTERDAY,
                    "amount": Decimal("-2.50"),
                    "currency": "EUR",
                    "counterparty_name": "Koffiebar",
                    "counterparty_iban": None,
                    "remittance": "Koffie",
                    **each,
                }
            )
            for number, each in enumerate(rows)
        ]

    def __call__(self, _ask: Any, *_args: Any, cursor: str | None, **_more: Any) -> Page:
        rows = sorted(self.rows, key=lambda row: row.booked_on, reverse=True)
        at = int(cursor or 0)
        more = at + self.size < len(rows)
        return Page(rows[at : at + self.size], str(at + self.size) if more else None)


def show(books: Books, *rows: dict[str, Any], size: int = 100) -> Fetched:
    """The provider shows these, and they are fetched."""
    books.house.provider.instead["transactions"] = Shows(*rows, size=size)
    return refetch(books)


def refetch(books: Books, iban: str = BAKERY) -> Fetched:
    found = fetch(books.services, books.connection(iban).id, books.house.at())
    assert_whole(books)
    return found


def stored(books: Books, *states: str, iban: str = BAKERY) -> list[Transaction]:
    with books.services.store.read() as session:
        return list(
            session.scalars(
                select(Transaction)
                .where(
                    Transaction.connection_id == books.connection(iban).id,
                    Transaction.state.in_(states or ("booked",)),
                )
                .order_by(Transaction.booked_on, Transaction.id)
            )
        )


def remarks(books: Books) -> list[Remark]:
    with books.services.store.read() as session:
        return list(session.scalars(select(Remark).order_by(Remark.id)))


def run_of(books: Books, iban: str = BAKERY) -> FetchRun:
    """The last fetch."""
    with books.services.store.read() as session:
        return session.scalars(
            select(FetchRun)
            .where(FetchRun.connection_id == books.connection(iban).id)
            .order_by(FetchRun.id.desc())
        ).first()  # type: ignore[return-value]


def spans(books: Books, iban: str = BAKERY) -> list[tuple[date, date]]:
    with books.services.store.read() as session:
        return [
            (row.first, row.last)
            for row in session.scalars(
                select(Coverage)
                .where(Coverage.connection_id == books.connection(iban).id)
                .order_by(Coverage.first)
            )
        ]


def assert_whole(books: Books) -> None:
    """What holds after whatever happened: days count what is booked, a finished run leaves nothing
    behind, the watermark stands on a told day, and a run's counts come to what it saw."""
    with books.services.store.read() as session:
        days: Counter[tuple[int, date]] = Counter()
        sums: Counter[tuple[int, date]] = Counter()
        for row in session.scalars(select(Transaction).where(Transaction.state == "booked")):
            days[row.connection_id, row.booked_on] += 1
            sums[row.connection_id, row.booked_on] += row.amount
        kept = list(session.scalars(select(BookedDay)))
        assert {(row.connection_id, row.day): row.count for row in kept} == dict(days)
        assert {(row.connection_id, row.day): row.credit + row.debit for row in kept} == dict(sums)
        open_runs = set(session.scalars(select(FetchRun.id).where(FetchRun.result.is_(None))))
        assert set(session.scalars(select(Sighting.run_id))) <= open_runs
        for run in session.scalars(select(FetchRun)):
            parts = run.added + run.known + run.changed + run.reviewed
            assert parts == run.seen or run.result != "ok", run.id
        for connection in session.scalars(select(Connection)):
            if connection.watermark is not None:
                covered = session.scalar(
                    select(Coverage.last).where(
                        Coverage.connection_id == connection.id,
                        Coverage.first <= connection.watermark,
                        Coverage.last >= connection.watermark,
                    )
                )
                assert covered is not None, "a watermark beyond what was told"


def at_the_bank(house: House, change: Callable[[BankBooking], None], iban: str = BAKERY) -> None:
    """The bank changes its bookings."""
    with house.simulator.store.transaction() as db:
        found = db.scalars(select(BankAccount).where(BankAccount.iban == iban)).one()
        for row in db.scalars(select(BankBooking).where(BankBooking.bank_account_id == found.id)):
            change(row)


def reissue(row: BankBooking) -> None:
    row.uuid = rules.new_uuid()


# -- the 13 field cases ----------------------------------------------------------------------------


def test_1_the_same_id_on_two_accounts_is_two_bookings(house: House) -> None:
    books = house.books(
        jan=[account(iban, since=40) for iban in (BAKERY, SAVINGS)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )
    house.provider.instead["transactions"] = Shows({"id": "7"})
    for iban in (BAKERY, SAVINGS):
        books.activate(10, iban)
    assert [len(stored(books, iban=iban)) for iban in (BAKERY, SAVINGS)] == [1, 1]


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("ids", [("a", "b", "c"), ("", "", ""), (" ", "a", " "), ("9", "9", "8")])
def test_2_truly_equal_bookings_stay_apart_in_one_fetch_and_in_the_next(
    empty: Books, size: int, ids: tuple[str, ...]
) -> None:
    """Where the bank's ids cannot tell them apart (9, 9) they count when another one proves it."""
    rows = [{"id": id_} for id_ in ids]
    rows.append({"id": ids[0] or "z", "amount": Decimal("-9.99")} if ids[0] == "9" else {"id": "z"})
    first = show(empty, *rows, size=size)
    assert (first.result, first.added, len(stored(empty))) == ("ok", 4, 4)
    for again in (rows, rows[::-1], rows[1:] + rows[:1]):
        assert (show(empty, *again, size=size).added, len(stored(empty))) == (0, 4)


@pytest.mark.parametrize("size", [2, 100])
def test_3_a_bank_that_reuses_its_ids_loses_nothing(empty: Books, size: int) -> None:
    days = [{"id": "9998", "booked_on": TODAY - timedelta(days=n)} for n in range(4)]
    assert show(empty, *days, size=size).added == 4
    assert empty.connection().ids_doubted_at is not None
    assert {each.kind for each in remarks(empty)} == {"id_reused"}
    more = [*days, {"id": "9998", "booked_on": TODAY, "amount": Decimal("77.00")}]
    assert show(empty, *more, size=size).added == 1
    assert show(empty, *more, size=size).added == 0
    assert len(stored(empty)) == 5
    assert len({each.source_id for each in stored(empty)}) <= 2, "no id of theirs is kept as a name"


def test_3_an_id_that_comes_back_for_another_booking_overwrites_nothing(empty: Books) -> None:
    show(empty, {"id": "1", "amount": Decimal("1200.00"), "remittance": "Omzet"})
    show(empty, {"id": "1", "amount": Decimal("-15.00"), "remittance": "Pinbetaling"})
    assert [(each.amount, each.remittance) for each in stored(empty)] == [
        (120_000, "Omzet"),
        (-1500, "Pinbetaling"),
    ]
    (told,) = remarks(empty)
    assert (told.kind, told.content["amount"]) == ("id_reused", -1500)
    assert told.transaction_id == stored(empty)[0].id


def test_4_a_blank_id_is_no_id(empty: Books) -> None:
    rows = [{"id": " ", "remittance": f"Factuur {number}"} for number in range(3)]
    assert show(empty, *rows).added == 3
    assert show(empty, *rows[::-1]).added == 0
    assert [each.source_id for each in stored(empty)] == [None] * 3


def test_5_and_6_pending_becomes_booked_with_another_id_text_and_day_once(working: Books) -> None:
    house = working.house
    far = TODAY + timedelta(days=12)
    announced = [
        PendingBooking(far, Decimal("-80.00"), "EUR", "Webwinkel", None, "reservering"),
        PendingBooking(None, Decimal("-3.00"), "EUR", None, None, ""),
    ]
    house.provider.instead["pending"] = lambda *_a, **_k: announced
    before = working.transactions()
    refetch(working)
    assert working.transactions() == before, "announced is not booked"
    with house.services.store.read() as session:
        kept = [
            (row.amount, row.expected_on) for row in session.scalars(select(PendingTransaction))
        ]
    assert kept == [(-8000, far), (-300, None)]
    house.provider.instead["pending"] = lambda *_a, **_k: []
    house.later(days=3)
    house.book(BAKERY, house.at().today, -8000, text="Webwinkel bestelling 12")
    house.jobs()
    house.later(hours=7)
    house.jobs()
    with house.services.store.read() as session:
        assert session.scalars(select(PendingTransaction)).all() == []
    assert [row[1] for row in working.transactions()].count(-8000) == 1


@pytest.mark.parametrize("error", [Temporary("x"), AccountNotFound("x"), ValueError("x")])
def test_5_that_pending_cannot_be_read_costs_no_booking(working: Books, error: Exception) -> None:
    house = working.house
    house.provider.instead["pending"] = fails(error)
    house.later(days=1)
    observe(house.services, working.grant().id, house.at())
    assert refetch(working).result == "ok"
    assert working.overlays() == set()
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )


def test_7_and_9_reissued_ids_double_nothing(working: Books) -> None:
    house = working.house
    house.book(BAKERY, TODAY, -250, -250)
    refetch(working)
    before = working.transactions()
    at_the_bank(house, reissue)
    assert refetch(working).added == 0
    assert working.transactions() == before
    assert working.connection().ids_doubted_at is not None
    (told,) = remarks(working)  # one event, however many bookings
    assert (told.kind, told.transaction_id) == ("id_reused", None)
    assert told.content["renumbered"] > 1
    at_the_bank(house, reissue)
    house.book(BAKERY, TODAY, -250)
    assert refetch(working).added == 1
    assert refetch(working).added == 0


def test_7_a_text_that_changes_later_is_flagged_and_overwrites_nothing(working: Books) -> None:
    house = working.house
    house.book(BAKERY, TODAY, -4321, text="Bestelling 77 Groothandel")
    refetch(working)

    def reword(row: BankBooking) -> None:
        if row.amount == -4321:
            row.remittance = "GROOTHANDEL BESTELLING 77 PASNR 004"

    at_the_bank(house, reword)
    assert refetch(working).added == 0
    assert run_of(working).changed == 1
    assert "Bestelling 77 Groothandel" in {each.remittance for each in stored(working)}
    assert refetch(working).added == 0
    (told,) = remarks(working)
    assert (told.kind, told.content["remittance"]) == (
        "changed",
        "GROOTHANDEL BESTELLING 77 PASNR 004",
    )
    at_the_bank(house, reissue)  # and now under another id as well
    assert refetch(working).added == 0
    assert refetch(working).added == 0
    assert [each.amount for each in stored(working)].count(-4321) == 1


def test_8_one_id_twice_with_two_days_is_two_bookings(empty: Books) -> None:
    rows = [{"id": "x"}, {"id": "x", "booked_on": TODAY, "value_on": TODAY}]
    assert show(empty, *rows).added == 2
    assert show(empty, *rows[::-1]).added == 0


def test_10_an_overlap_is_recognised_every_time(working: Books) -> None:
    house = working.house
    for _ in range(4):
        house.later(days=2)
        house.jobs()
    assert_whole(working)
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )
    assert run_of(working).known > 0 and run_of(working).changed == 0


def test_11_a_transfer_between_own_accounts_is_in_both(house: House) -> None:
    books = house.books(
        jan=[account(iban, since=40) for iban in (BAKERY, SAVINGS)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )
    transfer = {"booked_on": YESTERDAY, "remittance": "Naar spaar", "end_to_end_id": "OWN-1"}
    house.provider.instead["transactions"] = Shows({**transfer, "amount": Decimal("-500.00")})
    books.activate(10)
    house.provider.instead["transactions"] = Shows({**transfer, "amount": Decimal("500.00")})
    books.activate(10, SAVINGS)
    assert [[each.amount for each in stored(books, iban=iban)] for iban in (BAKERY, SAVINGS)] == [
        [-50_000],
        [50_000],
    ]


@pytest.mark.parametrize("trusted", [True, False])
def test_12_data_that_changes_while_paging_is_read_again_from_the_first_page(
    house: House, trusted: bool
) -> None:
    """The bank gives new ids between two pages: it no longer knows where the second one begins."""
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=250)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    if not trusted:
        books.set(ids_doubted_at=house.at().now)
    asked: list[str | None] = []

    def meanwhile(ask: Any, *args: Any, **kwargs: Any) -> Page:
        asked.append(kwargs["cursor"])
        if kwargs["cursor"] is not None and len(asked) == 2:
            at_the_bank(house, reissue)
            house.book(BAKERY, TODAY, -333, text="Tussendoor")
        return ask(*args, **kwargs)  # type: ignore[no-any-return]

    house.provider.instead["transactions"] = meanwhile
    assert books.activate(240).result == "ok"
    assert_whole(books)
    assert asked[0] is None and asked[2] is None
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=240), TODAY)
    assert books.connection().failures == 0


@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize("at_once", [1, 1000])
def test_12_a_page_that_begins_with_the_end_of_the_former_one_doubles_nothing(
    empty: Books, size: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where ids were doubted because a bank gave other ones: within one list they tell."""
    monkeypatch.setattr(fetching, "_AT_ONCE", at_once)
    rows = [
        {"remittance": f"Koffie {n // 2}", "booked_on": TODAY - DAY * (n // 4)} for n in range(9)
    ]
    assert show(empty, *rows).added == 9
    assert show(empty, *({**each, "id": f"n{n}"} for n, each in enumerate(rows))).added == 0
    assert empty.connection().ids_doubted_at is not None
    more = [{"remittance": "Nieuw", "booked_on": TODAY, "id": f"m{n}"} for n in range(5)]
    shown = Shows(*more, *({**each, "id": f"n{n}"} for n, each in enumerate(rows)), size=size)

    def shifting(_ask: Any, *_args: Any, cursor: str | None, **_more: Any) -> Page:
        """Each page begins one earlier than where the former ended; the third is the second anew."""
        page, again = (int(each) for each in (cursor or "0/0").split("/"))
        rows = sorted(shown.rows, key=lambda row: row.booked_on, reverse=True)
        begin = max(page * size - (1 if size > 1 else 0), 0)
        follows = f"{page}/1" if page == 1 and not again else f"{page + 1}/0"
        return Page(rows[begin : page * size + size], follows if begin + size < len(rows) else None)

    empty.house.provider.instead["transactions"] = shifting
    done = refetch(empty)
    assert (done.result, done.added, len(stored(empty))) == ("ok", 5, 14)


def test_12_equal_bookings_whose_ids_were_reused_are_counted_on_every_page(empty: Books) -> None:
    """There nobody can tell a page that overlaps from one more coffee: none is lost."""
    show(empty, {"id": "9"}, {"id": "9", "amount": Decimal("-9.99")})
    assert empty.connection().ids_doubted_at is not None
    assert (
        show(empty, *[{"id": "9"}] * 4, {"id": "9", "amount": Decimal("-9.99")}, size=1).added == 3
    )


def test_an_old_booking_at_the_end_of_a_page_hides_none_behind_it(empty: Books) -> None:
    old = {"id": "old", "booked_on": TODAY - 400 * DAY, "remittance": "Verdwaald"}
    shown = Shows({"id": "a", "booked_on": TODAY}, old, {"id": "b", "remittance": "Gisteren"})

    def as_they_came(_ask: Any, *_args: Any, cursor: str | None, **_more: Any) -> Page:
        at = int(cursor or 0)
        return Page(shown.rows[at : at + 2], str(at + 2) if at + 2 < 3 else None)

    empty.house.provider.instead["transactions"] = as_they_came
    assert (refetch(empty).result, len(stored(empty))) == ("ok", 2)


def test_12_a_provider_that_never_gets_further_is_an_outage_and_not_a_loop(working: Books) -> None:
    house = working.house
    house.later(hours=7)
    asked = []

    def never(_ask: Any, *_args: Any, **kwargs: Any) -> Page:
        asked.append(kwargs["cursor"])
        raise CursorRefused("mutation")

    house.provider.instead["transactions"] = never
    assert refetch(working).result == "outage"
    assert len(asked) < 6
    house.provider.instead.clear()
    house.later(hours=1)
    assert refetch(working).result == "ok"


@pytest.mark.parametrize("days", [0, 40])
def test_13_consent_given_anew_brings_another_account_id_and_no_second_booking(
    house: House, days: int
) -> None:
    """peers.md 6.1 and 6.2: nothing twice, and of a gap of 40 days all is asked for."""
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    house.book(BAKERY, TODAY, -250, -250)
    books.activate()
    house.days(2)
    mark = books.connection().watermark
    house.days(days)
    assert books.connection().watermark == mark, "it does not move while nothing comes"
    accounts = len(books.links())
    renewed(books)
    house.later(hours=7)
    house.jobs()
    assert_whole(books)
    today = house.at().today
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=20), today)
    assert (len(books.links()), books.connection().watermark) == (accounts, today)
    assert spans(books) == [(TODAY - timedelta(days=20), today)]
    assert stored(books, "review") == []


# -- peers.md 6 --------------------------------------------------------------------------------


def renewed(books: Books) -> None:
    """The holder confirms at the bank again, and the provider gives the account another id."""
    answer = books.visit(books.depart(Action.RENEW))
    books.house.renumber(BAKERY)
    books.come_back(answer, HERE)


def test_p3_what_turns_up_before_the_watermark_at_a_renewal_waits_for_a_person(
    working: Books,
) -> None:
    house = working.house
    house.days(2)
    mark = working.connection().watermark
    assert mark is not None
    late, on_the_day = mark - timedelta(days=3), mark
    house.book(BAKERY, late, -111, text="Oude boeking")
    house.book(BAKERY, on_the_day, -222, text="Later die dag")
    before = {each.id for each in stored(working)}
    house.later(days=1)
    renewed(working)
    assert_whole(working)
    assert [(e.booked_on, e.amount, e.review_reason) for e in stored(working, "review")] == [
        (late, -111, "late")
    ]
    assert run_of(working).reason == "renewed"
    new = [each for each in stored(working) if each.id not in before]
    assert (-222, on_the_day) in {(each.amount, each.booked_on) for each in new}
    number = working.connection().id
    (waits,) = stored(working, "review")
    assert review.accept(house.services, number, [waits.id], house.at(), actor=SANNE).taken == 1
    assert review.accept(house.services, number, [waits.id], house.at(), actor=SANNE).taken == 0
    assert_whole(working)
    assert -111 in {each.amount for each in stored(working)}
    (told,) = working.events(kind="accepted")
    assert (told.actor, told.params["count"], told.params["since"]) == (SANNE, 1, late.isoformat())


def test_what_lies_in_locked_books_neither_comes_nor_goes(working: Books) -> None:
    house = working.house
    house.days(2)
    services, number = house.services, working.connection().id
    locked = TODAY - timedelta(days=3)
    house.book(BAKERY, locked, -111, text="Oude boeking")
    house.book(BAKERY, locked, -112, text="Nog een")
    house.book(BAKERY, locked + timedelta(days=1), -113, text="Daarna")
    house.later(days=1)
    renewed(working)
    kept = next(each for each in stored(working) if each.booked_on <= locked)
    gone = next(each for each in stored(working) if each.booked_on <= locked and each.id != kept.id)
    review.remove(services, number, [gone.id], house.at(), actor=SANNE)
    with services.store.write() as session:
        session.get_one(Administration, working.id).lock_date = locked

    done = review.accept(services, number, None, house.at(), actor=SANNE)
    assert done == review.Accepted(1, 2, locked)
    assert {each.amount for each in stored(working, "review")} == {-111, -112}
    for refused, row in ((review.remove, kept), (review.restore, gone)):
        with pytest.raises(Refused, match="locked"):
            refused(services, number, [row.id], house.at(), actor=SANNE)
    assert kept.id in {each.id for each in stored(working)}
    assert gone.id in {each.id for each in stored(working, "removed")}
    assert_whole(working)
    assert review.reject(services, number, None, house.at(), actor=SANNE) == 2
    (left, _) = stored(working, "rejected")
    with pytest.raises(Refused, match="locked"):
        review.restore(services, number, [left.id], house.at(), actor=SANNE)
    assert_whole(working)


def test_p3_what_is_left_out_never_comes_back_by_itself(working: Books) -> None:
    house = working.house
    house.days(1)
    late = TODAY - timedelta(days=4)
    house.book(BAKERY, late, -1, -2, text="Oude boeking")
    house.later(days=1)
    renewed(working)
    number = working.connection().id
    assert review.reject(house.services, number, None, house.at(), actor=SANNE) == 2
    house.later(days=1)
    renewed(working)
    house.days(1)
    assert_whole(working)
    assert {each.amount for each in stored(working, "rejected")} == {-1, -2}
    assert stored(working, "review") == []
    assert not {-1, -2} & {each.amount for each in stored(working) if each.booked_on == late}


def test_p4_two_holders_of_one_account_and_a_switch_between_them(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)],
        piet=[account(BAKERY, since=30)],
        shares={"jan": [BAKERY], "piet": [BAKERY]},
        journals=[BAKERY],
    )
    books.activate()
    mark = books.connection().watermark
    use_holder(
        books.services, books.connection().id, house.at(),
        holder=books.holder("piet"), version=None, actor=SANNE,
    )  # fmt: skip
    assert_whole(books)
    assert books.connection().watermark == mark
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=20), TODAY)
    assert len(books.links()) == 1


def test_p9_what_is_stored_stays_when_something_fails_after_it(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=250)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    calls = []

    def second_fails(ask: Any, *args: Any, **kwargs: Any) -> Page:
        calls.append(kwargs["cursor"])
        if len(calls) == 2:
            raise Temporary("http_503", http_status=503)
        return ask(*args, **kwargs)  # type: ignore[no-any-return]

    house.provider.instead["transactions"] = second_fails
    assert books.activate(240).result == "outage"
    held = len(stored(books))
    assert held > 0 and books.connection().watermark is None
    assert (run_of(books).pages, run_of(books).seen) == (1, held), "how far it came can be seen"
    house.later(minutes=6)
    house.jobs()
    assert_whole(books)
    assert calls[2] == calls[1], "it goes on where it was"
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=240), TODAY)


def test_p10_one_of_three_accounts_refuses_and_the_others_go_on(house: House) -> None:
    books = house.books(
        jan=[account(iban, since=40) for iban in (BAKERY, SAVINGS, SHOP)],
        shares={"jan": [BAKERY, SAVINGS, SHOP]},
        journals=[BAKERY, SAVINGS, SHOP],
    )
    for iban in (BAKERY, SAVINGS, SHOP):
        books.activate(iban=iban)
    house.later(days=1)
    sick = books.account().ref

    def ask(inner: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs["account_ref"] == sick:
            raise AccountNotFound("x")
        return inner(*args, **kwargs)

    house.provider.instead["transactions"] = ask
    house.jobs()
    today = house.at().today
    assert [books.connection(iban).watermark for iban in (BAKERY, SAVINGS, SHOP)] == [
        TODAY,
        today,
        today,
    ]
    assert [books.overlays(iban) for iban in (SAVINGS, SHOP)] == [set(), set()]
    assert "provider_outage" in books.overlays(BAKERY)


def test_p11_a_refused_token_is_no_ended_authorisation(working: Books) -> None:
    from banklink.providers.contract import TokenRefused

    house = working.house
    refused = []

    def once(ask: Any, *args: Any, **kwargs: Any) -> Any:
        if not refused:
            refused.append(1)
            raise TokenRefused("http_401", http_status=401)
        return ask(*args, **kwargs)

    house.later(hours=7)
    house.provider.instead["transactions"] = once
    assert refetch(working).result == "ok"
    assert (working.row(), working.overlays()) == ("r6", set())


def test_p12_a_renumbered_batch_overwrites_nothing(working: Books) -> None:
    """All of a day move up one place in the bank's numbering: every id is now another booking's."""
    house = working.house
    house.book(BAKERY, TODAY, 1200, -15, -15, -80)
    refetch(working)
    before = working.transactions()
    with house.simulator.store.transaction() as db:
        rows = list(db.scalars(select(BankBooking).where(BankBooking.booked_on == TODAY)))
        ids = [row.uuid for row in rows]
        for row in rows:
            row.uuid = rules.new_uuid()
        db.flush()
        for row, id_ in zip(rows, ids[1:] + ids[:1], strict=True):
            row.uuid = id_
    assert refetch(working).added == 0
    assert working.transactions() == before
    assert run_of(working).result == "ok"
    told = remarks(working)
    assert {each.kind for each in told} == {"id_reused"}
    assert all(each.transaction_id and "amount" in each.content for each in told)


def test_p13_a_row_that_misses_something_is_told_and_the_rest_comes(empty: Books) -> None:
    house = empty.house
    good = Shows({"id": ""}, {"id": "2", "counterparty_name": None, "remittance": ""})
    odd = Unreadable("transaction_without_date", {"id": "3", "amount": "12.00"})

    def page(*_args: Any, **_kwargs: Any) -> Page:
        return Page(good.rows, None, [odd])

    house.provider.instead["transactions"] = page
    assert (refetch(empty).result, refetch(empty).added) == ("ok", 0)
    assert len(stored(empty)) == 2
    (told,) = remarks(empty)
    assert (told.kind, told.content) == (
        "unreadable",
        {"code": "transaction_without_date", "sent": {"id": "3", "amount": "12.00"}},
    )
    assert (run_of(empty).unreadable, run_of(empty).seen) == (1, 2)
    assert empty.overlays() == set()


def test_p14_midnight_in_amsterdam_is_the_banks_day_in_summer_and_winter(empty: Books) -> None:
    from banklink.providers.ponto import _transaction

    def wire(text: str) -> date:
        attributes = {"amount": Decimal(1), "currency": "EUR", "executionDate": text}
        return _transaction({"id": "x", "attributes": attributes}).booked_on

    assert wire("2026-07-14T22:30:00.000Z") == date(2026, 7, 15)
    assert wire("2026-11-22T23:30:00.000Z") == date(2026, 11, 23)
    assert wire("2026-10-24T22:00:00.000Z") == date(2026, 10, 25)
    assert wire("2026-10-25T22:30:00.000Z") == date(2026, 10, 25)
    assert wire("2026-11-23") == date(2026, 11, 23)


def test_p15_what_was_removed_stays_removed_until_somebody_puts_it_back(working: Books) -> None:
    house = working.house
    house.book(BAKERY, TODAY, -250, -250)
    refetch(working)
    number = working.connection().id
    twin = next(each for each in stored(working) if each.amount == -250)
    before = working.transactions()
    assert review.remove(house.services, number, [twin.id], house.at(), actor=SANNE) == 1
    assert_whole(working)
    for _ in range(2):
        assert refetch(working).added == 0
    house.later(days=1)
    at_the_bank(house, reissue)
    renewed(working)
    assert_whole(working)
    assert [each.id for each in stored(working, "removed")] == [twin.id]
    assert [each.amount for each in stored(working)].count(-250) == 1
    assert review.restore(house.services, number, [twin.id], house.at(), actor=SANNE) == 1
    assert_whole(working)
    assert [row for row in working.transactions() if row[0] <= TODAY] == before
    assert [each.kind for each in working.events() if each.kind in ("taken_out", "put_back")] == [
        "taken_out",
        "put_back",
    ]


# -- worded otherwise ------------------------------------------------------------------------------


def test_another_holders_bank_words_it_otherwise_and_it_is_the_same_booking(empty: Books) -> None:
    first = [
        {"id": "1", "end_to_end_id": "E2E-1", "remittance": "Factuur 2026-81"},
        {"id": "2", "counterparty_iban": "NL52VOOR0001234567", "counterparty_name": "Molen BV"},
        {"id": "3", "remittance": "Pinbetaling Bouwmarkt Zwolle 14:03"},
        {"id": "4", "remittance": "Zomaar iets"},
    ]
    second = [
        {
            "id": "91",
            "end_to_end_id": "E2E-1",
            "remittance": "/REMI/USTD//2026-81",
            "counterparty_name": "",
        },
        {
            "id": "92",
            "counterparty_iban": "NL52VOOR0001234567",
            "counterparty_name": "",
            "remittance": "x",
        },
        {"id": "93", "remittance": "BEA BOUWMARKT ZWOLLE PAS004", "counterparty_name": None},
        {"id": "94", "remittance": "Heel wat anders", "counterparty_name": "Iemand"},
    ]
    assert show(empty, *first).added == 4
    with empty.services.store.write() as session:
        account_ = session.scalars(select(Account)).one()
        account_.ref = "another id"
    assert show(empty, *second).result == "ok"
    assert [each.source_id for each in stored(empty)] == ["1", "2", "3", "4"]
    (doubt,) = stored(empty, "review")
    assert (doubt.source_id, doubt.review_reason) == ("94", "resembles")
    assert doubt.resembles_id == stored(empty)[3].id
    assert show(empty, *second[::-1], size=1).added == 0
    tulips = {"id": "95", "amount": Decimal("-9.95"), "remittance": "Tulpen"}
    assert show(empty, *second, tulips).added == 1
    assert remarks(empty) == []


@pytest.mark.parametrize("size", [1, 2, 3])
def test_likeness_waits_for_what_the_next_page_says(empty: Books, size: int) -> None:
    """The new booking comes before the one it looks like, on an earlier page."""
    old = {"id": "1", "remittance": "Tikkie lunch Anna"}
    show(empty, old)
    with empty.services.store.write() as session:
        session.scalars(select(Account)).one().ref = "another id"
    new = {"id": "51", "remittance": "Tikkie lunch Bert", "booked_on": YESTERDAY}
    assert (
        show(
            empty,
            new,
            {**old, "id": "52"},
            {"id": "53", "booked_on": TODAY - timedelta(5)},
            size=size,
        ).result
        == "ok"
    )
    texts = sorted(each.remittance for each in stored(empty, "booked", "review"))
    assert texts == ["Koffie", "Tikkie lunch Anna", "Tikkie lunch Bert"]


def test_equal_bookings_without_ids_are_counted_on_after_a_fault_between_them(
    empty: Books,
) -> None:
    """Two are known, a third is new; after the first of them the provider is silent for a while."""
    coffee = {"id": ""}
    assert show(empty, coffee, coffee).added == 2
    shows = Shows(coffee, coffee, coffee, size=1)
    asked: list[str | None] = []

    def once_silent(*args: Any, **kwargs: Any) -> Page:
        asked.append(kwargs["cursor"])
        if len(asked) == 2:
            raise Temporary("http_503", http_status=503)
        return shows(*args, **kwargs)

    empty.house.provider.instead["transactions"] = once_silent
    assert refetch(empty).result == "outage"
    assert refetch(empty).added == 1
    assert asked == [None, "1", "1", "2"], "it went on where it was"
    assert len(stored(empty)) == 3


# -- what is told ----------------------------------------------------------------------------------


def test_the_log_tells_why_what_was_asked_and_what_came(working: Books) -> None:
    house = working.house
    first = run_of(working)
    start = TODAY - timedelta(days=20)
    assert (first.reason, first.wanted_from, first.since, first.until) == (
        "activated", start, start, TODAY,
    )  # fmt: skip
    assert (first.seen, first.added, first.known, first.pages) == (
        len(working.transactions()), len(working.transactions()), 0, 1,
    )  # fmt: skip
    house.later(hours=7)
    house.jobs()
    again = run_of(working)
    assert (again.reason, again.since, again.added) == ("schedule", TODAY - timedelta(days=7), 0)
    assert again.known == again.seen > 0
    house.later(hours=1)
    fetch(house.services, working.connection().id, house.at(), actor=SANNE, user_ip="192.0.2.1")
    assert (run_of(working).reason, run_of(working).actor) == ("person", SANNE)


def test_a_gap_is_asked_for_again_when_the_bank_gives_more(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    house.days(40)
    books.come_back(books.visit(books.depart(Action.RENEW), history_days="10"), HERE)
    hole = books.record().facts.gap
    assert hole is not None
    start, today = TODAY - timedelta(days=20), house.at().today
    day = timedelta(days=1)
    assert spans(books) == [(start, hole[0] - day), (hole[1] + day, today)]
    books.come_back(books.visit(books.depart(Action.RENEW), history_days="60"), HERE)
    assert_whole(books)
    assert books.record().facts.gap is None
    assert spans(books) == [(start, today)]
    assert books.transactions() == house.booked(BAKERY, start, today)
    assert stored(books, "review") == [], "days that were missing go straight in"


def spread(books: Books) -> set[date]:
    """The days that count as covered."""
    return {
        first + timedelta(days=n)
        for first, last in spans(books)
        for n in range((last - first).days + 1)
    }


def the_bank_forgets(books: Books, days: int) -> None:
    """From now on it gives nothing older than so many days."""
    house = books.house
    observe(house.services, books.grant().id, house.at())
    with house.services.store.write() as session:
        account = session.scalars(select(Account).where(Account.iban == BAKERY)).one()
        account.history_from = house.at().today - timedelta(days=days)


def test_p5_the_rest_of_a_day_that_was_read_while_it_went_on_is_missing(working: Books) -> None:
    house = working.house
    mark = working.connection().watermark
    assert mark is not None
    house.book(BAKERY, mark, -4321, text="Later die dag")
    house.later(days=20)
    the_bank_forgets(working, 10)
    assert fetch(house.services, working.connection().id, house.at()).result == "ok"
    assert -4321 not in {each.amount for each in stored(working)}
    connection = working.connection()
    assert (connection.gap_from, connection.gap_to) == (
        mark, house.at().today - timedelta(days=11)
    )  # fmt: skip
    assert mark not in spread(working) and mark - timedelta(days=1) in spread(working)
    (told,) = working.events(kind="gap")
    assert told.params["since"] == mark.isoformat()
    house.later(days=1)
    the_bank_forgets(working, 60)
    assert fetch(house.services, working.connection().id, house.at()).result == "ok"
    assert (mark, -4321) in {(each.booked_on, each.amount) for each in stored(working)}
    assert working.connection().gap_from is None and stored(working, "review") == []


@pytest.mark.parametrize("kept", [True, False])
def test_p5_a_file_that_tells_of_that_day_when_it_is_over_will_do(
    working: Books, kept: bool
) -> None:
    house = working.house
    number, mark = working.connection().id, working.connection().watermark
    assert mark is not None
    house.later(days=20)
    upload = give(working, mt940(
        BAKERY, [(mark, "-43.21", "Bar", "Later die dag")],
        opening=(mark - timedelta(days=1), "50.00"), closing=(mark, "6.79"),
    ))  # fmt: skip
    confirm(working, upload)
    if not kept:
        take_back(house.services, number, upload, house.at(), actor=SANNE)
    the_bank_forgets(working, 10)
    assert fetch(house.services, number, house.at()).result == "ok"
    assert (mark in spread(working)) == kept
    assert working.connection().gap_from == (mark + timedelta(days=1) if kept else mark)


def test_days_of_a_locked_period_are_never_asked_for(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
        lock_date=TODAY - timedelta(days=15),
    )
    books.activate(14)
    house.days(1)
    with house.services.store.write() as session:
        from banklink.store.models import Administration

        session.get_one(Administration, books.id).lock_date = TODAY - timedelta(days=2)
    house.book(BAKERY, TODAY - timedelta(days=3), -777)
    house.book(BAKERY, TODAY - timedelta(days=1), -888)
    house.days(1)
    amounts = {each.amount for each in stored(books)}
    assert (-777 in amounts, -888 in amounts) == (False, True)
    assert run_of(books).since == TODAY - timedelta(days=1)


def test_who_waits_is_let_go_and_the_job_goes_on(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=250)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    books.activate(1)
    number = books.connection().id
    from banklink.actions.change_start import change_start

    change_start(
        house.services, number, house.at(),
        start=(TODAY - timedelta(days=240)).isoformat(), version=None, actor=SANNE,
    )  # fmt: skip
    with house.services.store.write() as session:
        for row in session.scalars(select(Coverage)):
            session.delete(row)
    found = fetch(house.services, number, house.at(), patience=timedelta(0))
    assert found.result == "going_on"
    run = run_of(books)
    assert (run.result, run.pages) == (None, 1) and run.cursor is not None
    assert books.connection().next_fetch_at == house.at().now or books.connection().next_fetch_at
    house.later(minutes=1)
    house.jobs()
    house.jobs()
    assert_whole(books)
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=240), TODAY)


def test_a_slow_one_that_lost_its_turn_stores_nothing_more(working: Books) -> None:
    """The machine slept for an hour between two pages, and another worker took over."""
    house = working.house
    house.later(days=1)
    observe(house.services, working.grant().id, house.at())
    others: list[Fetched] = []

    def slow(ask: Any, *args: Any, **kwargs: Any) -> Page:
        house.provider.instead.clear()
        page: Page = ask(*args, **kwargs)
        house.time.pushed += timedelta(hours=1)
        others.append(refetch(working))
        return page

    house.provider.instead["transactions"] = slow
    assert refetch(working).result == "busy"
    assert [each.result for each in others] == ["ok"]
    assert_whole(working)
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )


def test_the_first_day_is_not_fetched_before_the_provider_knows_it(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    with house.services.store.write() as session:
        session.scalars(select(Account)).one().synchronized_at = datetime(
            2026, 11, 22, 20, tzinfo=UTC
        )
    assert books.activate(0).result == "ok"
    assert (books.connection().watermark, spans(books)) == (None, [])
    house.days(1)
    assert books.connection().watermark == house.at().today
    assert books.transactions() == house.booked(BAKERY, TODAY, house.at().today)
