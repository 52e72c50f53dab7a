"""The promises that hold however things fall together: one token call, one valid pair, every due
item once, every booking once, nothing switched on from elsewhere."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import update

from banklink import jobs
from banklink.actions import fetch as fetching
from banklink.actions.activate import arm
from banklink.actions.come_back import finish
from banklink.actions.credentials import ask
from banklink.actions.fetch import fetch
from banklink.actions.services import Missing, Refused, Stale
from banklink.core.statuses import Action
from banklink.providers.contract import GrantRevoked, Temporary
from banklink.store.models import Grant
from tests.actions.conftest import (
    BAKERY,
    ELSEWHERE,
    SAVINGS,
    TODAY,
    Books,
    House,
    account,
    at_once,
    dump,
    fails,
    nothing_changes,
)


@pytest.fixture
def new(house: House) -> Books:
    """A journal nobody has shared an account for; Jan owns the account at the bank."""
    return house.books(jan=[account(BAKERY, in_app=False)], journals=[BAKERY])


@pytest.fixture
def working(house: House) -> Books:
    """An account that is shared and authorised, switched on twenty days ago."""
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate(20)
    return books


# -- coming back --------------------------------------------------------------------------------


def test_from_nothing_to_transactions_in_one_round_trip(house: House, new: Books) -> None:
    assert new.row() == "r8"
    answer = new.visit(new.depart(Action.GRANT), tick=[BAKERY])
    assert new.come_back(answer).kind == "row"
    assert new.row() == "r11"
    new.activate(20)
    assert new.row() == "r6"
    assert new.transactions() == house.booked(BAKERY, TODAY - timedelta(days=20), TODAY)


def test_twenty_callbacks_of_one_departure_make_one_token_call(house: House, new: Books) -> None:
    answer = new.visit(new.depart(Action.GRANT), tick=[BAKERY])
    outcomes = at_once(20, lambda _: new.come_back(answer))
    assert {outcome.kind for outcome in outcomes} == {"row"}
    assert house.provider.calls["complete_grant"] == 1
    assert new.row() == "r11"


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        ("denied", "cancelled"),
        ("wrong_code", "login_failed"),
        ("timeout", "timed_out"),
        ("outage", "bank_outage"),
    ],
)
def test_a_renewal_that_fails_at_the_bank_leaves_everything_as_it_was(
    house: House, working: Books, outcome: str, word: str
) -> None:
    before = dump(house.services, without=("attempts", "events", "connections", "accounts"))
    answer = working.visit(working.depart(Action.RENEW), outcome=outcome)
    assert working.come_back(answer).kind == "row"
    assert working.attempt().outcome == word
    assert working.row() == "r6"
    after = dump(house.services, without=("attempts", "events", "connections", "accounts"))
    assert after == before


def test_who_cancels_may_still_go_back_and_confirm(house: House, new: Books) -> None:
    answer = new.visit(new.depart(Action.GRANT), tick=[BAKERY])
    cancelled = {"state": answer["state"], "error": "access_denied", "iss": answer["iss"]}
    new.come_back(cancelled)
    assert new.attempt().outcome == "cancelled"
    new.come_back(answer)
    assert new.attempt().outcome == "done"
    assert new.row() == "r11"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": "somebody else's"}, "unknown"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"code": None}, "incomplete"),
        ({"state": "somebody else's", "code": None, "error": "access_denied"}, "unknown"),
    ],
)
def test_an_answer_that_is_not_ours_changes_nothing(
    house: House, new: Books, change: dict[str, str | None], reason: str
) -> None:
    answer = new.visit(new.depart(Action.GRANT), tick=[BAKERY])
    forged = {key: value for key, value in {**answer, **change}.items() if value is not None}
    with nothing_changes(house.services):
        outcome = new.come_back(forged)
    assert (outcome.kind, outcome.reason) == ("refused", reason)
    assert house.provider.calls["complete_grant"] == 0


def test_an_answer_after_an_hour_is_too_late(house: House, new: Books) -> None:
    answer = new.visit(new.depart(Action.GRANT), tick=[BAKERY])
    house.time.pushed += timedelta(minutes=61)
    assert new.come_back(answer).reason == "expired"


def test_what_arrives_in_another_browser_waits_for_the_one_that_started(
    house: House, new: Books
) -> None:
    arm(
        house.services,
        new.connection().id,
        house.at(),
        start=(TODAY - timedelta(days=20)).isoformat(),
        version=None,
        actor="Sanne",
    )
    answer = new.visit(new.depart(Action.GRANT), tick=[BAKERY])
    assert new.come_back(answer, ELSEWHERE).kind == "elsewhere"
    house.jobs()
    assert new.row() == "r8"
    assert new.attempt().parked is not None
    with pytest.raises(Missing):
        finish(house.services, new.connection().id, house.at(), browser=ELSEWHERE)
    finish(house.services, new.connection().id, house.at(), browser="the browser that started")
    assert new.row() == "r6"
    assert new.transactions() == house.booked(BAKERY, TODAY - timedelta(days=20), TODAY)


def test_a_renewal_that_returns_elsewhere_does_not_switch_on_by_itself(house: House) -> None:
    books = house.books(jan=[account(BAKERY)], shares={"jan": [BAKERY]}, journals=[BAKERY])
    start = (TODAY - timedelta(days=20)).isoformat()
    arm(house.services, books.connection().id, house.at(), start=start, version=None, actor="S")
    answer = books.visit(books.depart(Action.CONNECT))
    assert books.come_back(answer, ELSEWHERE).kind == "elsewhere"
    house.later(hours=2)
    house.jobs()
    assert books.row() == "r11"
    finish(house.services, books.connection().id, house.at(), browser="the browser that started")
    assert books.row() == "r6"


def test_the_wrong_account_is_named_and_nothing_else_changes(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY), account(SAVINGS)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )
    answer = books.visit(books.depart(Action.CONNECT), card=SAVINGS)
    books.come_back(answer)
    attempt = books.attempt()
    assert attempt.outcome == "other_account"
    assert attempt.params["others"] == [SAVINGS]
    assert (books.row(), books.row(SAVINGS)) == ("r10a", "r11")


# -- tokens -------------------------------------------------------------------------------------


def test_twenty_refreshes_at_once_leave_one_valid_pair(house: House, working: Books) -> None:
    grant = working.grant()
    with house.services.store.write() as session:
        session.execute(update(Grant).values(access_expires_at=house.at().real))
    house.provider.calls.clear()
    at = house.at()
    answers = at_once(20, lambda _: ask(house.services, grant.id, at, lambda p, t: p.person(t)))
    assert {answer.name for answer in answers} == {"Jan de Vries"}
    assert house.provider.calls["refresh"] == 1
    with house.services.store.write() as session:
        session.execute(update(Grant).values(access_expires_at=house.at().real))
    assert ask(house.services, grant.id, house.at(), lambda p, t: p.person(t)).name


def test_only_a_refused_refresh_counts_as_withdrawn(house: House, working: Books) -> None:
    with house.services.store.write() as session:
        session.execute(update(Grant).values(access_expires_at=house.at().real))
    house.provider.instead["refresh"] = fails(Temporary("http_503"))
    house.later(hours=7)
    house.jobs()
    assert working.row() == "r6"
    assert "provider_outage" in working.overlays()
    house.provider.instead.clear()
    house.withdraw_access()
    house.later(hours=7)
    house.jobs()
    assert working.row() == "r2"
    assert working.told()[-1:] == ["r2"]
    with pytest.raises(GrantRevoked):
        ask(house.services, working.grant().id, house.at(), lambda p, t: p.person(t))


def test_tokens_are_sealed_in_the_database(house: House, working: Books) -> None:
    sealed = working.grant().credentials
    assert sealed is not None
    opened = house.services.vault.open(sealed)
    everything = repr(dump(house.services, without=()))
    for secret in (opened["access_token"], opened["refresh_token"]):
        assert secret and secret not in everything


# -- each due item once -------------------------------------------------------------------------


def test_two_workers_do_each_due_item_once(house: House, working: Books) -> None:
    house.later(hours=7)
    house.provider.calls.clear()
    second = dataclasses.replace(house.services)
    workers = [house.services, second]
    at_once(2, lambda number: jobs.run("grants", workers[number], house.clock))
    assert house.provider.calls["accounts"] == 1
    added = at_once(2, lambda number: jobs.run("fetches", workers[number], house.clock))
    assert sorted(added) == [0, 1]
    house.later(days=181)
    ended = at_once(2, lambda number: jobs.run("expiries", workers[number], house.clock))
    assert sorted(ended) == [0, 1]
    assert working.told().count("r4") == 1


def test_what_was_missed_while_off_is_caught_up_in_one_go(house: House, working: Books) -> None:
    house.later(days=30)
    house.jobs()
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )
    house.later(days=200)
    house.jobs()
    house.jobs()
    assert working.row() == "r4"
    assert working.told().count("r4") == 1


def test_nobody_who_comes_back_is_swept_after_a_quarter(house: House, working: Books) -> None:
    working.depart(Action.RENEW)
    house.jobs()
    assert working.attempt().outcome is None
    assert "renewal_running" in working.overlays()
    house.time.pushed += timedelta(minutes=16)
    house.jobs()
    assert working.attempt().outcome == "abandoned"
    assert working.row() == "r6"


# -- every booking once -------------------------------------------------------------------------


def test_fetching_again_adds_nothing(house: House, working: Books) -> None:
    before = working.transactions()
    assert before == house.booked(BAKERY, TODAY - timedelta(days=20), TODAY)
    for _ in range(3):
        assert fetch(house.services, working.connection().id, house.at()).added == 0
    assert working.transactions() == before


def test_two_equal_coffees_on_one_day_stay_two(house: House, working: Books) -> None:
    house.later(days=1)
    house.book(BAKERY, house.at().today, -250, -250)
    house.later(hours=7)
    house.jobs()
    house.later(days=1)
    house.jobs()
    coffees = [row for row in working.transactions() if row[1:] == (-250, "Koffie")]
    assert len(coffees) == 2


def test_a_crash_between_two_pages_loses_and_doubles_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_AT_ONCE", 1)  # so that the first page is stored by itself
    books = house.books(
        jan=[account(BAKERY, since=40)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )

    def crash_on_the_second(real: object, *args: object, **kwargs: object) -> object:
        assert callable(real)
        if kwargs["cursor"] is not None:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    house.provider.instead["transactions"] = crash_on_the_second
    with pytest.raises(KeyboardInterrupt):
        books.activate(99)
    assert 0 < len(books.transactions()) <= 100
    assert books.connection().watermark is None
    house.provider.instead.clear()
    fetch(house.services, books.connection().id, house.at())
    house.later(minutes=1)
    house.jobs()
    assert books.transactions() == house.booked(BAKERY, TODAY - timedelta(days=99), TODAY)
    assert books.connection().watermark == TODAY


def test_an_outage_delays_days_and_loses_none(house: House, working: Books) -> None:
    house.outage()
    house.days(5)
    assert "bank_outage" in working.overlays()
    assert "stale" in working.overlays()
    assert working.row() == "r6"
    assert working.connection().watermark < house.at().today - timedelta(days=3)
    house.outage(on=False)
    house.later(hours=7)
    house.jobs()
    assert working.overlays() == set()
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )


def test_after_a_lapse_of_forty_days_all_of_them_arrive(house: House, working: Books) -> None:
    house.later(days=180)
    house.jobs()
    assert working.row() == "r4"
    answer = working.visit(working.depart(Action.RENEW))
    working.come_back(answer)
    assert working.row() == "r6"
    assert "possible_gap" not in working.overlays()
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )


def test_days_the_bank_no_longer_gives_are_named(house: House, working: Books) -> None:
    house.later(days=200)
    house.jobs()
    answer = working.visit(working.depart(Action.RENEW), history_days="30")
    working.come_back(answer)
    watermark_then = TODAY + timedelta(days=140)  # its last day of validity: day 180 since day -40
    facts = working.record().facts
    assert facts.gap is not None
    assert facts.gap[1] == house.at().today - timedelta(days=31)
    assert facts.gap[0] > watermark_then - timedelta(days=141)
    assert [event.kind for event in working.events(kind="gap")] == ["gap"]


def test_another_holder_of_the_same_account_brings_nothing_twice(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)],
        piet=[account(BAKERY, since=30)],
        shares={"jan": [BAKERY], "piet": [BAKERY]},
        journals=[BAKERY],
    )
    from banklink.actions.use_holder import use_holder

    books.activate(20)
    before = books.transactions()
    use_holder(
        house.services,
        books.connection().id,
        house.at(),
        holder=books.holder("piet"),
        version=None,
        actor="Sanne",
    )
    assert books.connection().selected_id == int(books.holder("piet"))
    assert books.transactions() == before


def test_an_account_that_is_renumbered_stays_the_same_account(house: House, working: Books) -> None:
    before = working.account().id
    rows = working.transactions()
    house.renumber(BAKERY)
    house.later(hours=7)
    house.jobs()
    assert working.account().id == before
    assert working.row() == "r6"
    assert working.transactions() == rows


def test_a_renewal_that_gives_the_account_another_id_makes_no_new_link_and_brings_nothing_twice(
    house: House, working: Books
) -> None:
    rows, account_id = working.transactions(), working.account().id
    links = working.links()
    house.later(days=30)
    house.jobs()
    visited = working.visit(working.depart(Action.RENEW))
    house.renumber(BAKERY)
    working.come_back(visited)
    house.jobs()
    assert working.links() == links
    assert working.account().id == account_id
    assert working.row() == "r6"
    assert working.transactions() == house.booked(
        BAKERY, TODAY - timedelta(days=20), house.at().today
    )
    assert set(rows) <= set(working.transactions())


# -- intent -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("2026-11-24", "start_future"),
        ("2020-01-01", "start_too_early"),
        ("2026-09-30", "start_locked"),
        ("9999-12-31", "start_future"),
        ("gisteren", "not_a_date"),
        ("", "not_a_date"),
        ("2026-02-30", "not_a_date"),
    ],
)
def test_a_start_date_that_cannot_be_changes_nothing(house: House, start: str, code: str) -> None:
    books = house.books(
        jan=[account(BAKERY, since=40)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
        lock_date=TODAY - timedelta(days=50) if code == "start_locked" else None,
    )
    with nothing_changes(house.services), pytest.raises(Refused) as refused:
        books.activate(start)
    assert refused.value.code == code
    assert refused.value.offer is not None


def test_a_year_nobody_means_starts_nothing_where_no_bank_says_how_far_it_goes(
    house: House,
) -> None:
    from banklink.actions.activate import arm

    books = house.books(journals=[BAKERY])
    waiting = books.connection()
    for start in ("0001-01-01", "0202-06-01", "1989-12-31"):
        with nothing_changes(house.services), pytest.raises(Refused) as refused:
            arm(
                house.services,
                waiting.id,
                house.at(),
                start=start,
                version=waiting.version,
                actor="Sanne",
            )
        assert (refused.value.code, refused.value.field) == ("year_unlikely", "start")
        assert refused.value.offer is not None


def test_who_saw_an_older_row_is_told_who_changed_it(house: House, working: Books) -> None:
    from banklink.actions.switch_off import switch_off

    seen = working.connection().version
    switch_off(house.services, working.connection().id, house.at(), version=seen, actor="Joost")
    with nothing_changes(house.services), pytest.raises(Stale) as stale:
        switch_off(house.services, working.connection().id, house.at(), version=seen, actor="Sanne")
    assert stale.value.by == "Joost"


def test_switching_off_and_undoing_keeps_holder_date_and_transactions(
    house: House, working: Books
) -> None:
    from banklink.actions.remove import remove
    from banklink.actions.switch_off import switch_off, undo

    number, at = working.connection().id, house.at()
    rows, intent = working.transactions(), working.connection()
    switch_off(house.services, number, at, version=None, actor="Sanne")
    assert working.row() == "r12"
    undo(house.services, number, at, version=None, actor="Sanne")
    again = working.connection()
    assert working.row() == "r6"
    assert (again.selected_id, again.start_date) == (intent.selected_id, intent.start_date)
    remove(house.services, number, at, version=None, actor="Sanne")
    assert working.row() == "r11"
    assert working.transactions() == rows
    working.activate(20)
    assert working.transactions() == rows


def test_an_earlier_start_adds_and_a_later_one_deletes_nothing(
    house: House, working: Books
) -> None:
    from banklink.actions.change_start import change_start

    def change(days: int) -> None:
        change_start(
            house.services,
            working.connection().id,
            house.at(),
            start=(TODAY - timedelta(days=days)).isoformat(),
            version=None,
            actor="Sanne",
        )

    rows = working.transactions()
    change(5)
    assert working.transactions() == rows
    change(60)
    assert working.transactions() == house.booked(BAKERY, TODAY - timedelta(days=60), TODAY)


def test_a_journal_that_loses_its_iban_breaks_the_link_and_getting_it_back_mends_it(
    house: House, working: Books
) -> None:
    from banklink.actions.choose_journal import add_journal, choose_journal

    number = working.connection().id

    def choose(journal: str, **new: str) -> None:
        choose_journal(
            house.services, number, house.at(), journal=journal, version=None, actor="S", **new
        )

    choose("")
    assert working.row() == "r1"
    with nothing_changes(house.services), pytest.raises(Refused) as refused:
        choose("new", code="1100", name="Alweer")
    assert refused.value.code == "code_taken"
    choose("new", code="1200", name="Nieuwe bank")
    assert working.row() == "r6"
    for iban, code in ((BAKERY, "iban_taken"), ("NL00DEMO0417164300", "iban_wrong")):
        with nothing_changes(house.services), pytest.raises(Refused) as refused:
            add_journal(
                house.services, working.id, house.at(), code="1300", name="X", iban=iban, actor="S"
            )
        assert refused.value.code == code
        assert refused.value.field == "iban"
