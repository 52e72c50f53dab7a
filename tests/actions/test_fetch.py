"""Each booking exactly once, whatever happens while fetching; and no day lost."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from banklink import jobs
from banklink.actions import check
from banklink.actions.administrations import as_typed, change
from banklink.actions.change_start import change_start
from banklink.actions.fetch import FETCH_EVERY, fetch
from banklink.actions.observe import observe
from banklink.actions.remove import remove
from banklink.actions.services import Missing
from banklink.actions.switch_off import switch_off
from banklink.actions.use_holder import use_holder
from banklink.core.statuses import Action
from banklink.providers.contract import (
    AccountNotFound,
    ConfigurationError,
    ContractViolation,
    Page,
    ProviderError,
    ProviderTransaction,
    RateLimited,
    Temporary,
)
from banklink.store.models import Administration, FetchRun, Transaction

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
    at_once,
    dump,
    fails,
)


@pytest.fixture
def working(house: House) -> Books:
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    return books


def refetch(books: Books, iban: str = BAKERY) -> Any:
    return fetch(books.services, books.connection(iban).id, books.house.at())


def bookings(*more: dict[str, Any], currency: str = "EUR") -> Any:
    """A provider that shows exactly these bookings."""
    rows = [
        ProviderTransaction(
            **{
                "id": f"t{number}",
                "booked_on": TODAY,
                "value_on": TODAY,
                "amount": Decimal("12.50"),
                "currency": currency,
                "counterparty_name": "Molen",
                "counterparty_iban": None,
                "remittance": "Factuur",
                **each,
            }
        )
        for number, each in enumerate(more)
    ]
    return lambda *_args, **_kwargs: Page(rows, None)


# -- exactly once --------------------------------------------------------------------------------


def test_count_and_sum_are_the_banks_own(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=400)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    assert books.activate(380).result == "ok"
    own = house.booked(BAKERY, TODAY - timedelta(days=380), TODAY)
    ours = books.transactions()
    assert len(own) > 300, "several pages"
    assert ours == own
    assert sum(each[1] for each in ours) == sum(each[1] for each in own)
    for _ in range(3):
        assert refetch(books).added == 0
    house.days(3)
    assert books.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=380), house.at().today
    )


def test_what_is_booked_late_within_the_overlap_still_comes(working: Books) -> None:
    house = working.house
    house.days(2)
    late = house.at().today - timedelta(days=6)
    house.book(BAKERY, late, -495, text="Naboeking")
    house.days(1)
    assert (late, -495, "Naboeking") in working.transactions()


def test_equal_bookings_stay_apart_through_another_holder_and_another_number(
    house: House,
) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)],
        piet=[account(BAKERY, since=30)],
        shares={"jan": [BAKERY], "piet": [BAKERY]},
        journals=[BAKERY],
    )
    house.book(BAKERY, TODAY, -250, -250, -250)
    books.activate()
    own = house.booked(BAKERY, TODAY - timedelta(days=20), TODAY)
    assert books.transactions() == own and own.count((TODAY, -250, "Koffie")) == 3
    watermark = books.connection().watermark
    for name in ("piet", "jan", "piet"):
        house.renumber(BAKERY)
        house.later(hours=2)
        house.jobs()
        use_holder(
            books.services,
            books.connection().id,
            house.at(),
            holder=books.holder(name),
            version=None,
            actor=SANNE,
        )
        assert books.transactions() == own, name
    assert books.connection().watermark == watermark
    assert books.connection().start_date == TODAY - timedelta(days=20)


def test_ten_fetches_at_once_bring_everything_once(working: Books) -> None:
    house = working.house
    house.later(days=3)
    at = house.at()
    observe(house.services, working.grant().id, at)  # the provider has spoken to the bank today
    results = at_once(10, lambda _: fetch(house.services, working.connection().id, at).result)
    assert set(results) <= {"ok", "busy"} and "ok" in results
    refetch(working)
    assert working.transactions() == house.booked(BAKERY, TODAY - timedelta(days=20), at.today)


class PowerCut(BaseException):
    """Nothing after it runs."""


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_crash_after_any_page_is_made_good(house: House, page: int) -> None:
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=250)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    seen: list[object] = []

    def crash(ask: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["cursor"])
        if len(seen) > page:
            raise PowerCut
        return ask(*args, **kwargs)

    house.provider.instead["transactions"] = crash
    with pytest.raises(PowerCut):
        books.activate(240)
    assert books.connection().watermark is None, "only a completed fetch moves it"
    house.provider.instead.clear()
    house.book(BAKERY, TODAY, -111, text="Intussen")
    house.later(hours=1)
    house.jobs()
    house.jobs()
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=240), TODAY)
    assert books.connection().fetch_until is None


def test_what_moves_while_paging_is_not_lost(house: House) -> None:
    """A booking of today arrives between two pages: newest first, so it is behind the cursor."""
    books = house.books(
        jan=[account(BAKERY, since=400, valid=500, opened_days_ago=250)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )

    def arrive(ask: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs["cursor"] is not None:
            house.provider.instead.clear()
            house.book(BAKERY, TODAY, -333, text="Tussendoor")
        return ask(*args, **kwargs)

    house.provider.instead["transactions"] = arrive
    books.activate(240)
    refetch(books)
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=240), TODAY)


# -- intent that changes meanwhile ---------------------------------------------------------------


def test_an_earlier_start_chosen_while_a_fetch_runs_is_honoured(working: Books) -> None:
    house = working.house
    house.later(hours=7)
    earlier = TODAY - timedelta(days=35)

    def meanwhile(ask: Any, *args: Any, **kwargs: Any) -> Any:
        house.provider.instead.clear()
        change_start(
            house.services,
            working.connection().id,
            house.at(),
            start=earlier.isoformat(),
            version=None,
            actor=SANNE,
        )
        return ask(*args, **kwargs)

    house.provider.instead["transactions"] = meanwhile
    house.jobs()
    house.days(1)
    assert working.connection().start_date == earlier
    assert working.transactions() == house.booked(BAKERY, earlier, house.at().today)


def test_days_locked_while_a_fetch_runs_stay_out(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=90)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    locked = TODAY - timedelta(days=15)

    def lock_first(real: Any, *args: Any, **kwargs: Any) -> Any:
        page = real(*args, **kwargs)
        house.provider.instead.clear()
        with books.services.store.read() as session:
            seen = as_typed(session.get_one(Administration, books.id))
        typed = dataclasses.replace(seen, lock_date=locked.isoformat())
        change(books.services, books.id, house.at(), typed=typed, seen=seen, user_id=0)
        return page

    house.provider.instead["transactions"] = lock_first
    books.activate()
    first = books.connection().start_date
    assert first is not None and first <= locked
    days = [day for day, _, _ in books.transactions()]
    assert days and min(days) > locked
    assert books.connection().watermark == TODAY


def test_the_watermark_stays_where_the_bookings_end_though_the_account_is_newer(
    working: Books,
) -> None:
    """The provider asks a bank for an account and for its bookings apart: one may fail."""
    house = working.house
    told, known = working.connection().watermark, len(working.transactions())
    house.later(days=2)
    house.book(BAKERY, TODAY + timedelta(days=1), -777)
    observe(working.services, working.grant().id, house.at())

    def stale(real: Any, *args: Any, **kwargs: Any) -> Any:
        page = real(*args, **kwargs)
        old = [each for each in page.transactions if each.booked_on <= TODAY]
        seen = page.synchronized_at - timedelta(days=2)
        return dataclasses.replace(page, transactions=old, synchronized_at=seen)

    house.provider.instead["transactions"] = stale
    assert refetch(working).result == "ok"
    assert working.connection().watermark == told
    house.provider.instead.clear()
    assert refetch(working).result == "ok"
    assert working.connection().watermark == TODAY + timedelta(days=2)
    assert len(working.transactions()) > known


def test_switching_off_while_a_fetch_runs_stays_off(working: Books) -> None:
    house = working.house
    house.later(hours=7)

    def meanwhile(ask: Any, *args: Any, **kwargs: Any) -> Any:
        house.provider.instead.clear()
        switch_off(house.services, working.connection().id, house.at(), version=None, actor=SANNE)
        return ask(*args, **kwargs)

    house.provider.instead["transactions"] = meanwhile
    house.jobs()
    house.provider.calls.clear()
    house.days(2)
    assert working.row() == "r12"
    assert house.provider.calls["transactions"] == 0, "nothing is read after switching off"


def test_what_was_removed_and_switched_on_again_comes_once(working: Books) -> None:
    house = working.house
    before = working.transactions()
    remove(house.services, working.connection().id, house.at(), version=None, actor=SANNE)
    assert (working.row(), working.transactions()) == ("r11", before)
    connection = working.connection()
    assert (connection.selected_id, connection.start_date, connection.next_fetch_at) == (
        None,
        None,
        None,
    )
    house.jobs()
    assert working.transactions() == before
    working.activate(30)
    assert working.transactions() == house.booked(BAKERY, TODAY - timedelta(days=30), TODAY)


# -- failure -------------------------------------------------------------------------------------


def test_an_outage_of_the_provider_is_shown_retried_slower_and_ends_by_itself(
    working: Books,
) -> None:
    house = working.house
    house.later(hours=7)
    mark = working.connection().watermark
    house.provider.instead["transactions"] = fails(Temporary("http_503", http_status=503))
    pauses = []
    for _ in range(6):
        house.jobs()
        due = working.connection().next_fetch_at
        assert due is not None
        pauses.append(due - house.at().now)
        house.clock.advance(pauses[-1] + timedelta(seconds=1))
    # Each try is an access of the account: the fifth waits until the first is a day ago.
    minutes = [round(pause / timedelta(minutes=1)) for pause in pauses]
    assert minutes == [5, 15, 60, 360, 24 * 60 - 440, 360]
    assert (working.row(), "provider_outage" in working.overlays()) == ("r6", True)
    assert working.connection().watermark == mark
    house.provider.instead.clear()
    house.jobs()
    assert working.overlays() == set()
    assert working.connection().failures == 0
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Temporary("ConnectError"), "unreachable"),
        (Temporary("ReadTimeout"), "unreachable"),
        (Temporary("http_503", http_status=503), "unreachable"),
        (ConfigurationError("invalid_client"), "refused"),
        (Temporary("http_403", http_status=403), "other"),
        (ContractViolation("answer_not_json"), "other"),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_what_fails_at_the_provider_is_not_laid_at_the_banks_door(
    working: Books, error: ProviderError, said: str
) -> None:
    house = working.house
    house.later(hours=7)
    house.provider.instead["transactions"] = fails(error)
    house.jobs()
    assert working.overlays() == {"provider_outage"}
    assert working.record().facts.trouble == said
    house.provider.instead.clear()
    house.later(hours=10)
    house.jobs()
    assert (working.overlays(), working.connection().outage_kind) == (set(), None)


def test_an_outage_of_the_bank_is_the_banks_and_goes_beside_one_of_the_provider(
    working: Books,
) -> None:
    house = working.house
    house.outage()
    house.later(hours=7)
    house.jobs()
    assert working.overlays() == {"bank_outage"}
    house.provider.instead["transactions"] = fails(Temporary("ConnectError"))
    house.later(hours=7)
    house.jobs()
    assert working.overlays() == {"bank_outage", "provider_outage"}


def test_the_provider_says_how_long_to_wait(working: Books) -> None:
    house = working.house
    house.later(hours=7)
    pause = RateLimited("x", http_status=429, retry_after=timedelta(hours=9))
    house.provider.instead["transactions"] = fails(pause)
    house.jobs()
    due = working.connection().next_fetch_at
    assert due is not None
    assert abs(due - house.at().now - timedelta(hours=9)) < timedelta(minutes=1)
    assert (working.overlays(), working.connection().limited_until) == ({"limited"}, due)
    house.provider.calls.clear()
    house.later(hours=8)
    house.jobs()
    assert house.provider.calls["transactions"] == 0


def three(house: House) -> Books:
    books = house.books(
        jan=[account(iban, since=40) for iban in (BAKERY, SAVINGS, SHOP)],
        shares={"jan": [BAKERY, SAVINGS, SHOP]},
        journals=[BAKERY, SAVINGS, SHOP],
    )
    for iban in (BAKERY, SAVINGS, SHOP):
        books.activate(iban=iban)
    house.later(days=1)
    return books


@pytest.mark.parametrize(
    "error", [AccountNotFound("x"), Temporary("x"), KeyError("a bug"), ValueError("a bug")]
)
def test_one_account_in_trouble_does_not_keep_the_others_waiting(
    house: House, error: Exception
) -> None:
    books = three(house)
    sick = books.account().ref

    def ask(inner: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs["account_ref"] == sick:
            raise error
        return inner(*args, **kwargs)

    house.provider.instead["transactions"] = ask
    house.jobs()
    today = house.at().today
    for iban in (SAVINGS, SHOP):
        assert books.connection(iban).watermark == today, iban
        assert books.row(iban) == "r6"
    assert books.connection().watermark == TODAY


@pytest.mark.parametrize("error", [Temporary("x"), KeyError("a bug")])
def test_one_grant_in_trouble_does_not_keep_the_others_waiting(
    house: House, error: Exception
) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)],
        piet=[account(SHOP, since=40)],
        shares={"jan": [BAKERY], "piet": [SHOP]},
        journals=[BAKERY, SHOP],
    )
    house.later(hours=2)

    def ask(inner: Any, credentials: Any) -> Any:
        house.provider.instead.clear()  # the first one asked
        raise error

    house.provider.instead["accounts"] = ask
    house.jobs()
    checked = [books.grant(name).observed_at for name in ("jan", "piet")]
    hour = timedelta(hours=1)
    assert sum(house.at().now - each < hour for each in checked if each) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": Decimal("1E+30")},
        {"amount": Decimal("1E+999999")},
        {"amount": Decimal("1234567890123456789.00")},
        {"amount": Decimal("0.001")},
        {"remittance": "met een \x00 erin"},
        {"counterparty_name": "half \ud83d teken"},
        {"booked_on": date(9999, 12, 31)},
        {"id": "x" * 10_000},
    ],
)
def test_a_booking_that_cannot_be_stored_is_a_failure_that_is_seen(
    working: Books, wrong: dict[str, Any]
) -> None:
    """Stored as it came, or an outage in the row; never a crash that returns every minute."""
    house = working.house
    house.later(hours=7)
    house.provider.instead["transactions"] = bookings(wrong)
    result = refetch(working)
    assert result.result in ("ok", "outage")
    assert working.connection().fetch_until is None
    house.provider.instead.clear()
    house.later(hours=7)
    house.jobs()
    assert working.row() == "r6"
    assert working.overlays() <= {"unbalanced"}  # the bank never had this booking


def test_amounts_keep_their_minor_units_in_every_currency(working: Books) -> None:
    rows = [
        {"amount": Decimal("12.50"), "currency": "EUR"},
        {"amount": Decimal("1250"), "currency": "JPY"},
        {"amount": Decimal("-1.255"), "currency": "KWD"},
        {"amount": Decimal("9223372036854.07"), "currency": "EUR"},
    ]
    working.house.provider.instead["transactions"] = bookings(*rows)
    refetch(working)
    stored = [each[1] for each in working.transactions()]
    assert {1250, -1255, 922337203685407} <= set(stored) and stored.count(1250) == 2


def test_pages_that_go_round_end(working: Books) -> None:
    """a → b → a: noticed at once, not after ten thousand questions to the bank."""
    asked = []

    def loop(_ask: Any, *_args: Any, **kwargs: Any) -> Page:
        asked.append(kwargs["cursor"])
        if len(asked) > 40:
            raise Temporary("the test has seen enough")
        rows = bookings({})().transactions
        return Page(rows, "b" if kwargs["cursor"] == "a" else "a")

    working.house.provider.instead["transactions"] = loop
    assert refetch(working).result == "outage"
    assert len(asked) < 10


def test_empty_pages_are_passed(working: Books) -> None:
    house = working.house
    house.later(days=1)
    observe(house.services, working.grant().id, house.at())

    def thin(ask: Any, *args: Any, **kwargs: Any) -> Page:
        if kwargs["cursor"] is None:
            return Page([], "the second page")
        house.provider.instead.clear()
        return ask(*args, **{**kwargs, "cursor": None})  # type: ignore[no-any-return]

    house.provider.instead["transactions"] = thin
    assert refetch(working).result == "ok"
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )


# -- how far back --------------------------------------------------------------------------------


def test_a_gap_has_the_right_days_and_is_told_once(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    house.days(2)  # the last day of validity
    assert books.connection().watermark == TODAY + timedelta(days=2)
    house.days(38)
    assert books.row() == "r4"
    books.come_back(books.visit(books.depart(Action.RENEW), history_days="10"), HERE)
    today = house.at().today
    gap = (TODAY + timedelta(days=2), today - timedelta(days=11))  # that day was not over yet
    assert books.record().facts.gap == gap
    assert [each.params for each in books.events(kind="gap")] == [
        {"since": gap[0].isoformat(), "until": gap[1].isoformat()}
    ]
    assert "possible_gap" in books.overlays()
    have = {each[0] for each in books.transactions()}
    assert not any(gap[0] < day <= gap[1] for day in have)
    assert books.transactions() == sorted(
        house.booked(BAKERY, TODAY - timedelta(days=20), TODAY + timedelta(days=2))
        + house.booked(BAKERY, gap[1] + timedelta(days=1), today)
    )
    house.days(2)
    assert books.record().facts.gap == gap and len(books.events(kind="gap")) == 1


def test_a_start_that_was_allowed_is_fetched_from(house: House) -> None:
    """What the provider kept of an earlier authorisation counts as available: then it is had."""
    books = house.books(
        jan=[account(BAKERY, since=60, valid=90)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.come_back(books.visit(books.depart(Action.RENEW), history_days="5"), HERE)
    books.activate(50)
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=50), TODAY)
    assert books.record().facts.gap is None


# -- who and when --------------------------------------------------------------------------------


def test_four_unattended_fetches_a_day_and_no_more(working: Books) -> None:
    house = working.house
    house.provider.calls.clear()
    for _ in range(24):
        house.later(hours=1)
        house.jobs()
    assert house.provider.calls["transactions"] == 24 * 60 / (FETCH_EVERY.seconds / 60)


def test_a_person_who_waits_lets_the_bank_be_asked(working: Books) -> None:
    house = working.house
    house.later(hours=1)
    house.book(BAKERY, house.at().today, -123, text="Net geboekt")
    number = working.connection().id
    result = fetch(house.services, number, house.at(), actor=SANNE, user_ip="192.0.2.1")
    assert (result.result, result.added) == ("ok", 1)
    assert house.provider.calls["synchronise"] == 1
    assert [each.params["added"] for each in working.events(kind="fetched")][-1] == 1


def test_nothing_is_fetched_that_is_not_active(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    assert refetch(books).result == "not_active"
    assert house.provider.calls["transactions"] == 0
    with pytest.raises(Missing):
        fetch(house.services, 999_999, house.at())


def test_two_workers_share_the_work_of_thirty_accounts(house: House) -> None:
    """Every due connection and grant once, whoever comes first."""
    books = three(house)
    house.provider.calls.clear()
    workers = [dataclasses.replace(house.services) for _ in range(2)]
    at_once(2, lambda number: jobs.run_all(workers[number], house.clock))
    assert house.provider.calls["transactions"] == 3
    assert house.provider.calls["accounts"] == 1
    with house.services.store.read() as session:
        runs = session.execute(
            select(FetchRun.connection_id, func.count()).group_by(FetchRun.connection_id)
        ).all()
        doubles = session.scalar(
            select(func.count()).select_from(
                select(Transaction.connection_id, Transaction.source_id)
                .group_by(Transaction.connection_id, Transaction.source_id)
                .having(func.count() > 1)
                .subquery()
            )
        )
    assert sorted(count for _, count in runs) == [2, 2, 2]
    assert doubles == 0
    for iban in (BAKERY, SAVINGS, SHOP):
        watermark = books.connection(iban).watermark
        assert watermark in (TODAY, house.at().today), "as far as the provider had asked the bank"
    later_on(books)
    for iban in (BAKERY, SAVINGS, SHOP):
        assert books.connection(iban).watermark == house.at().today


def later_on(books: Books) -> None:
    """The next regular turn."""
    books.house.later(hours=7)
    books.house.jobs()


def test_the_last_of_a_long_list_is_fetched_by_one_worker_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first account takes eleven minutes, longer than a lease."""
    both = (BAKERY, SAVINGS)
    books = house.books(
        jan=[account(each, since=40) for each in both], shares={"jan": both}, journals=both
    )
    for each in both:
        books.activate(iban=each)
    house.later(hours=7)
    monkeypatch.setattr(check, "monotonic", lambda: house.clock.real().timestamp())
    numbers = {books.account(each).ref: books.connection(each).id for each in both}
    other_worker = []

    def slow(real: Any, *args: Any, account_ref: str, **kwargs: Any) -> Any:
        if house.provider.calls["transactions"] > begun + 1:
            house.provider.instead.clear()
            found = fetch(books.services, numbers[account_ref], house.at(), due_only=True)
            other_worker.append(found.result)
        house.time.pushed += timedelta(minutes=11)
        return real(*args, account_ref=account_ref, **kwargs)

    begun = house.provider.calls["transactions"]
    house.provider.instead["transactions"] = slow
    assert check.fetch_due(books.services, house.at()) == 2
    assert other_worker == ["busy"]


def test_the_lease_of_a_worker_that_died_runs_out(working: Books) -> None:
    house = working.house
    house.later(hours=7)
    working.set(fetch_until=house.at().real + timedelta(minutes=10))
    before = dump(house.services)
    assert refetch(working).result == "busy"
    assert dump(house.services) == before
    house.time.pushed += timedelta(minutes=11)
    assert refetch(working).result == "ok"
