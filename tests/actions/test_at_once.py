"""Several at the same instant, and what a crash leaves: decided once, told once, never in a circle."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from banklink import jobs
from banklink.actions.activate import arm, disarm
from banklink.actions.administrations import as_typed, change
from banklink.actions.choose_journal import add_journal
from banklink.actions.come_back import can_finish, finish
from banklink.actions.depart import hashed
from banklink.actions.fetch import fetch
from banklink.actions.observe import observe
from banklink.actions.services import Missing, Refused
from banklink.actions.sweep import let_go
from banklink.actions.switch_off import switch_off, undo
from banklink.core.statuses import Action
from banklink.store.facts import add_event
from banklink.store.models import Administration, Attempt, Connection, Journal

from .conftest import (
    BAKERY,
    ELSEWHERE,
    HERE,
    SANNE,
    SAVINGS,
    SHOP,
    SPARE,
    Books,
    House,
    account,
    at_once,
    nothing_changes,
)

# -- several at once -----------------------------------------------------------------------------


def test_what_follows_from_a_change_is_decided_and_told_once(house: House) -> None:
    """Eight look at the same moment at an armed account that has just been connected."""
    books = house.books(
        jan=[account(BAKERY)], piet=[account(SHOP, since=10)],
        shares={"jan": [BAKERY], "piet": [SHOP]}, journals=[BAKERY, SHOP],
    )  # fmt: skip
    books.activate(iban=SHOP, via="piet")
    start = (house.at().today - timedelta(days=15)).isoformat()
    arm(books.services, books.connection().id, house.at(), start=start, version=None, actor=SANNE)
    books.visit(books.depart(Action.CONNECT))  # at the bank; nobody has come back yet
    house.later(hours=2)
    at = house.at()
    grants = [books.grant("jan").id, books.grant("piet").id]
    answers = at_once(8, lambda number: observe(house.services, grants[number % 2], at))
    assert [each for each in answers if isinstance(each, BaseException)] == []
    assert books.row() == "r6"
    assert len(books.events(kind="switched_on")) == 1
    told = Counter(books.told())
    assert told and set(told.values()) == {1}


def test_an_account_that_several_see_first_gets_one_row(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10), account(SPARE, in_app=False)],
        piet=[account(SHOP, since=10)],
        shares={"jan": [BAKERY], "piet": [SHOP]},
    )
    with house.services.store.write() as session:
        for each in session.scalars(select(Connection)):
            session.delete(each)
    at = house.at()
    ways = [
        lambda: observe(house.services, books.grant("jan").id, at),
        lambda: observe(house.services, books.grant("piet").id, at),
        lambda: add_journal(
            house.services, books.id, at, code="1100", name="Bank", iban=BAKERY, actor=SANNE
        ),
    ]
    answers = at_once(6, lambda number: ways[number % 3]())
    wrong = [each for each in answers if isinstance(each, Exception)]
    assert [each.code for each in wrong if isinstance(each, Refused)] == ["code_taken"]
    assert len(wrong) == 1, "the second *Add journal* is told, nobody else notices"
    with house.services.store.read() as session:
        ibans = sorted(session.scalars(select(Connection.iban)))
        assert len(session.scalars(select(Journal)).all()) == 1
    assert ibans == sorted([BAKERY, SHOP])


def test_people_and_jobs_at_the_same_account_never_wait_in_a_circle(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )
    books.activate()
    books.activate(iban=SAVINGS)
    first, second = books.connection().id, books.connection(SAVINGS).id

    ways = [
        lambda: jobs.run_all(house.services, house.clock),
        lambda: switch_off(house.services, first, house.at(), version=None, actor=SANNE),
        lambda: undo(house.services, first, house.at(), version=None, actor=SANNE),
        lambda: books.depart(Action.RENEW, SAVINGS),
        lambda: observe(house.services, books.grant().id, house.at()),
        lambda: fetch(house.services, second, house.at()),
    ]
    for _ in range(3):
        house.later(hours=7)
        answers = at_once(12, lambda number: ways[number % 6]())
        assert [each for each in answers if isinstance(each, BaseException)] == []


def test_locking_books_and_the_end_of_a_fetch_never_wait_in_a_circle(house: House) -> None:
    books = house.books(jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]},
                        journals=[BAKERY])  # fmt: skip
    books.activate()
    at, held = house.at(), threading.Event()

    def fetch_ends() -> None:
        """As actions/fetch.py does it: the connection first, then its history."""
        with house.services.store.write() as session:
            connection = session.get_one(Connection, books.connection().id, with_for_update=True)
            held.set()
            time.sleep(0.3)
            add_event(session, connection, "fetched", at, added=0)

    def lock() -> None:
        assert held.wait(10)
        with house.services.store.read() as session:
            seen = as_typed(session.get_one(Administration, books.id))
        day = (at.today - timedelta(days=30)).isoformat()
        typed = dataclasses.replace(seen, lock_date=day)
        change(house.services, books.id, at, typed=typed, seen=seen, user_id=0)

    answers = at_once(2, lambda number: (fetch_ends, lock)[number]())
    assert [each for each in answers if isinstance(each, BaseException)] == []


def test_a_second_worker_leaves_alone_what_the_first_has_taken_since_it_looked(
    house: House,
) -> None:
    """Both saw two due grants, and two due accounts; one does the second of each meanwhile."""
    books = house.books(
        jan=[account(BAKERY, since=40)], piet=[account(SHOP, since=40)],
        shares={"jan": [BAKERY], "piet": [SHOP]}, journals=[BAKERY, SHOP],
    )  # fmt: skip
    books.activate()
    books.activate(iban=SHOP, via="piet")
    house.later(hours=7)
    for name, job in (("accounts", "grants"), ("transactions", "fetches")):
        house.provider.calls.clear()

        def meanwhile(ask: Any, *args: Any, job: str = job, **kwargs: Any) -> Any:
            house.provider.instead.clear()
            assert jobs.run(job, dataclasses.replace(house.services), house.clock) == 1
            return ask(*args, **kwargs)

        house.provider.instead[name] = meanwhile
        assert jobs.run(job, house.services, house.clock) == 1
        assert house.provider.calls[name] == 2, f"each of the two {job} once"


# -- finishing what arrived elsewhere ------------------------------------------------------------


@pytest.fixture
def parked(house: House) -> Books:
    """Permission given in another browser; Sanne's row offers *Finish*."""
    books = house.books(jan=[account(BAKERY, in_app=False)], journals=[BAKERY])
    books.come_back(books.visit(books.depart(Action.GRANT), tick=[BAKERY]), ELSEWHERE)
    assert books.attempt().outcome == "parked"
    return books


def test_finish_pressed_ten_times_after_half_an_hour_refreshes_once(parked: Books) -> None:
    """A refresh token that is used twice ends the permission for good."""
    house = parked.house
    house.time.pushed += timedelta(minutes=45)
    house.provider.calls.clear()

    def press(_: int) -> None:
        finish(house.services, parked.connection().id, house.at(), browser=HERE)

    answers = at_once(10, press)
    assert {type(each) for each in answers} <= {type(None), Missing}
    assert house.provider.calls["refresh"] == 1
    assert (parked.row(), parked.attempt().outcome) == ("r11", "done")
    house.time.pushed += timedelta(minutes=45)
    observe(house.services, parked.grant().id, house.at())
    assert parked.grant().state == "active"


def test_a_token_that_is_refused_before_its_time_is_refreshed_once(parked: Books) -> None:
    from banklink.providers.contract import TokenRefused

    house = parked.house

    def refuse(_ask: Any, *_args: Any, **_kwargs: Any) -> Any:
        house.provider.instead.clear()
        raise TokenRefused("http_401")

    house.provider.instead["person"] = refuse
    finish(house.services, parked.connection().id, house.at(), browser=HERE)
    assert (parked.row(), parked.attempt().outcome) == ("r11", "done")


def test_a_crash_while_finishing_can_be_finished_after_a_few_minutes(parked: Books) -> None:
    house = parked.house

    def power_cut(*_args: Any, **_kwargs: Any) -> Any:
        with house.services.store.write() as session:  # as a crash leaves it
            row = session.get_one(Attempt, parked.attempt().id)
            row.outcome, row.finishing_until = None, house.at().real + timedelta(minutes=3)
        raise KeyboardInterrupt

    house.provider.instead["person"] = power_cut
    with pytest.raises(KeyboardInterrupt):
        finish(house.services, parked.connection().id, house.at(), browser=HERE)
    with house.services.store.write() as session:
        row = session.get_one(Attempt, parked.attempt().id)
        row.outcome, row.finishing_until = None, house.at().real + timedelta(minutes=3)
    house.provider.instead.clear()
    finish(house.services, parked.connection().id, house.at(), browser=HERE)
    assert parked.row() == "r8", "somebody may still be at it"
    house.time.pushed += timedelta(minutes=4)
    finish(house.services, parked.connection().id, house.at(), browser=HERE)
    assert (parked.row(), parked.attempt().outcome) == ("r11", "done")


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_who_took_too_long_to_finish_changes_nothing_any_more(parked: Books, ends: str) -> None:
    """The first caller's claim runs out; the second finishes, and its tokens move on. What the
    first still holds is spent: storing it would end the permission at the next refresh."""
    from banklink.providers.contract import Temporary

    house = parked.house

    def meanwhile(ask: Any, *args: Any, **kwargs: Any) -> Any:
        house.provider.instead.clear()
        found = ask(*args, **kwargs)
        house.time.pushed += timedelta(minutes=45)
        finish(house.services, parked.connection().id, house.at(), browser=HERE)
        assert parked.attempt().outcome == "done"
        house.time.pushed += timedelta(minutes=45)
        observe(house.services, parked.grant().id, house.at())
        if ends == "badly":
            raise Temporary("http_503")
        return found

    house.provider.instead["accounts"] = meanwhile
    finish(house.services, parked.connection().id, house.at(), browser=HERE)
    assert (parked.row(), parked.attempt().outcome) == ("r11", "done")
    house.time.pushed += timedelta(minutes=45)
    observe(house.services, parked.grant().id, house.at())
    assert parked.grant().state == "active"


def test_who_took_too_long_spends_no_refresh_token_of_another(parked: Books) -> None:
    from banklink.providers.contract import TokenRefused

    house = parked.house

    def meanwhile(_ask: Any, *_args: Any, **_kwargs: Any) -> Any:
        house.provider.instead.clear()
        house.time.pushed += timedelta(minutes=45)
        finish(house.services, parked.connection().id, house.at(), browser=HERE)
        raise TokenRefused("http_401")

    house.provider.instead["person"] = meanwhile
    house.provider.calls.clear()
    finish(house.services, parked.connection().id, house.at(), browser=HERE)
    assert house.provider.calls["refresh"] == 1
    assert (parked.row(), parked.attempt().outcome) == ("r11", "done")
    house.time.pushed += timedelta(minutes=45)
    observe(house.services, parked.grant().id, house.at())
    assert parked.grant().state == "active"


def test_a_crash_while_redeeming_says_start_again_and_offers_nothing(house: House) -> None:
    books = house.books(jan=[account(BAKERY, in_app=False)], journals=[BAKERY])
    answer = books.visit(books.depart(Action.GRANT), tick=[BAKERY])
    house.provider.instead["complete_grant"] = lambda *_a, **_k: (_ for _ in ()).throw(
        KeyboardInterrupt
    )
    with pytest.raises(KeyboardInterrupt):
        books.come_back(answer)
    house.provider.instead.clear()
    house.time.pushed += timedelta(minutes=16)
    house.jobs()
    attempt = books.attempt()
    assert attempt.outcome == "unknown"
    assert not can_finish(attempt, HERE) and attempt.browser == hashed(HERE)
    books.come_back(books.visit(books.depart(Action.GRANT), tick=[BAKERY]))
    assert books.row() == "r11"


# -- a pause does not outlast what it was for ----------------------------------------------------


def test_a_new_permission_is_fetched_at_once_whatever_pause_a_refusal_set(house: House) -> None:
    """The bank refuses at night; the holder renews in the morning, before the pause is over."""
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    house.revoke_at_the_bank()
    house.later(hours=7)
    house.jobs()
    assert books.row() == "r5b"
    assert books.connection().next_fetch_at is None
    house.later(minutes=3)
    books.come_back(books.visit(books.depart(Action.RENEW)))
    assert books.row() == "r6"
    with house.services.store.read() as session:
        done = session.get_one(Connection, books.connection().id)
        assert done.last_success == house.at().now or done.watermark == house.at().today


def test_a_journal_that_comes_back_is_fetched_for_at_once(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    with house.services.store.write() as session:
        journal = session.scalars(select(Journal)).one()
        journal.iban = None
    house.later(hours=1)
    observe(house.services, books.grant().id, house.at())
    assert (books.row(), books.connection().next_fetch_at) == ("r1", None)
    with house.services.store.write() as session:
        session.scalars(select(Journal)).one().iban = BAKERY
    house.later(hours=1)
    due = observe(house.services, books.grant().id, house.at())
    assert due == [books.connection().id]


# -- nothing done, nothing changed ---------------------------------------------------------------


def test_a_button_without_effect_does_not_make_other_pages_stale(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    number = books.connection().id
    with nothing_changes(house.services):
        switch_off(house.services, number, house.at(), version=None, actor=SANNE)
        disarm(house.services, number, house.at(), version=None, actor=SANNE)
    books.activate()
    with nothing_changes(house.services):
        undo(house.services, number, house.at(), version=None, actor=SANNE)


def test_what_a_killed_server_held_on_to_is_let_go_by_the_next(house: House) -> None:
    """Not after its ten minutes: somebody is looking at a first fetch that stands still."""
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    connection, at = books.connection().id, house.at()
    books.set(fetch_until=at.real + timedelta(minutes=9))
    assert fetch(books.services, connection, at).result == "busy"
    let_go(books.services)
    assert fetch(books.services, connection, at).result == "ok"
