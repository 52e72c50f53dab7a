"""The holder leaves for the app or the bank and comes back: every way that can end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from banklink.actions.activate import arm
from banklink.actions.come_back import can_finish, finish
from banklink.actions.services import Missing, Refused
from banklink.core.statuses import Action
from banklink.providers.contract import CallbackInvalid, GrantRevoked, Temporary
from banklink.store.models import Attempt, Transaction

from .conftest import (
    BAKERY,
    ELSEWHERE,
    HERE,
    SANNE,
    SAVINGS,
    SHOP,
    Books,
    House,
    NeverReturned,
    account,
    at_once,
    attempt_of,
    dump,
    fails,
    nothing_changes,
)


@pytest.fixture
def linked(house: House) -> Books:
    """Jan shares a healthy account; the connection is on and fetched today."""
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, in_app=False)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    books.activate()
    assert books.row() == "r6"
    return books


@pytest.fixture
def unlinked(house: House) -> Books:
    """A journal with an IBAN; the holder of the account was never asked."""
    books = house.books(
        jan=[account(BAKERY, in_app=False), account(SAVINGS, in_app=False)], journals=[BAKERY]
    )
    assert books.row() == "r8"
    return books


@pytest.fixture
def expired(house: House) -> Books:
    """On and fetched until the authorisation ended, forty days ago; nobody was awake."""
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12), account(SAVINGS)],
        shares={"jan": [BAKERY]},
        journals=[BAKERY],
    )
    books.activate()
    house.later(days=42)
    house.jobs()
    assert books.row() == "r4"
    return books


# -- permission --------------------------------------------------------------------------------


def test_permission_and_bank_step_in_one_go_make_a_new_row(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    assert set(answer) == {"code", "state", "iss"}
    back = unlinked.come_back(answer)
    assert (back.kind, back.connection_id) == ("row", unlinked.connection().id)
    assert unlinked.row() == "r11"
    assert unlinked.attempt().outcome == "done"
    assert unlinked.record().facts.holders[unlinked.holder()].name == "Jan de Vries"
    unlinked.activate(20)
    assert unlinked.row() == "r6"


def test_permission_without_the_bank_step_asks_for_that_step(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY], decision="allow_later")
    unlinked.come_back(answer)
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r10a", "granted")
    unlinked.come_back(unlinked.visit(unlinked.depart(Action.CONNECT)))
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r11", "done")


def test_permission_for_another_account_says_which(unlinked: Books) -> None:
    unlinked.come_back(unlinked.visit(unlinked.depart(Action.GRANT), tick=[SAVINGS]))
    assert unlinked.row() == "r9"
    assert unlinked.attempt().outcome == "other_account"
    assert unlinked.attempt().params["others"] == [SAVINGS]
    assert unlinked.row(SAVINGS) == "r7", "the account that was shared has a row of its own"


def test_no_permission_leaves_everything_as_it_was(unlinked: Books) -> None:
    url = unlinked.depart(Action.GRANT)
    before = unlinked.dump()
    answer = unlinked.visit(url, decision="deny")
    assert answer["error"] == "access_denied"
    unlinked.come_back(answer)
    assert unlinked.dump() == before
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r8", "cancelled")


def test_permission_given_again_for_a_lapsed_account_is_no_success(house: House) -> None:
    """The holder allowed reading but has not been at the bank: nothing is valid "until …"."""
    books = house.books(
        jan=[account(BAKERY, since=100, valid=90)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    assert books.row() == "r10b"
    url = books.depart(Action.GRANT)
    books.come_back(books.visit(url, tick=[BAKERY], decision="allow_later"))
    assert books.row() == "r10b"
    assert books.attempt().outcome == "granted"


def test_access_given_back_resumes_and_fetches_at_once(linked: Books) -> None:
    house = linked.house
    house.later(days=3)
    house.withdraw_access()
    house.jobs()
    assert linked.row() == "r2"
    house.later(minutes=10)
    url = linked.depart(Action.GRANT)
    linked.come_back(linked.visit(url, tick=[BAKERY]))
    assert linked.row() == "r6"
    day = house.at().today
    assert linked.transactions() == house.booked(BAKERY, day - timedelta(days=23), day)


# -- the bank step -----------------------------------------------------------------------------


def test_connecting_for_the_first_time(house: House) -> None:
    books = house.books(jan=[account(BAKERY)], shares={"jan": [BAKERY]}, journals=[BAKERY])
    assert books.row() == "r10a"
    answer = books.visit(books.depart(Action.CONNECT), valid_days="90")
    books.come_back(answer)
    assert (books.row(), books.attempt().outcome) == ("r11", "done")
    valid_until = books.account().valid_until
    assert valid_until is not None and (valid_until - house.at().now).days == 90


def test_renewing_before_the_scheduler_noticed_the_end_fetches_at_once_too(house: House) -> None:
    """The back-log must be had in the callback, while the bank still gives it (domain.md C)."""
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    books.activate()
    house.later(days=42)
    assert books.row() == "r4"
    books.come_back(books.visit(books.depart(Action.RENEW)))
    day = house.at().today
    assert books.transactions() == house.booked(BAKERY, day - timedelta(days=62), day)


def test_renewing_in_time_fetches_at_once_too(linked: Books) -> None:
    house = linked.house
    house.later(hours=5)
    house.book(BAKERY, house.at().today, -250)
    linked.come_back(linked.visit(linked.depart(Action.RENEW)))
    assert linked.attempt().outcome == "done"
    assert (house.at().today, -250, "Koffie") in linked.transactions()


def test_renewing_in_time_keeps_the_old_authorisation_until_the_new_one(linked: Books) -> None:
    old = linked.account().valid_until
    url = linked.depart(Action.RENEW)
    assert linked.row() == "r6" and linked.account().valid_until == old
    answer = linked.visit(url)
    assert linked.row() == "r6"
    linked.come_back(answer)
    assert linked.row() == "r6"
    new = linked.account().valid_until
    assert old is not None and new is not None and (new - old).days == 10


ENDINGS = [
    ({"outcome": "denied"}, "access_denied", "cancelled"),
    ({"confirm": "refuse"}, "access_denied", "cancelled"),
    ({"confirm": "cancel"}, "access_denied", "cancelled"),
    ({"outcome": "wrong_code"}, "login_failed", "login_failed"),
    ({"code": "9999"}, "login_failed", "login_failed"),
    ({"outcome": "timeout"}, "temporarily_unavailable", "timed_out"),
    ({"outcome": "outage"}, "server_error", "bank_outage"),
]
"""What the holder does at the bank, what we are told, what the attempt says (domain.md A2.7)."""


def test_a_bank_step_that_fails_changes_nothing(expired: Books) -> None:
    for choices, word, outcome in ENDINGS:
        url = expired.depart(Action.RENEW)
        before = expired.dump()
        answer = expired.visit(url, **choices)
        assert answer["error"] == word, choices
        assert expired.come_back(answer).kind == "row"
        assert expired.dump() == before, choices
        assert (expired.row(), expired.attempt().outcome) == ("r4", outcome), choices


def test_a_card_of_another_account_leaves_the_asked_one_as_it_was(expired: Books) -> None:
    """The other account is not shared with us: all we can tell is that nothing changed."""
    for choices in ({"outcome": "other_account"}, {"card": SAVINGS}, {"card": "private"}):
        url = expired.depart(Action.RENEW)
        before = dump(expired.services, looked=True)
        expired.come_back(expired.visit(url, **choices))
        assert dump(expired.services, looked=True) == before, choices
        assert (expired.row(), expired.attempt().outcome) == ("r4", "nothing_changed"), choices


def test_who_never_comes_back_counts_as_abandoned_after_a_quarter(linked: Books) -> None:
    url = linked.depart(Action.RENEW)
    with pytest.raises(NeverReturned):
        linked.visit(url, outcome="no_return")
    assert linked.overlays() == {"renewal_running"}
    linked.house.time.pushed += timedelta(minutes=16)
    assert linked.overlays() == set()
    linked.house.jobs()
    assert (linked.row(), linked.attempt().outcome) == ("r6", "abandoned")


def test_who_comes_back_late_is_still_welcome(expired: Books) -> None:
    answer = expired.visit(expired.depart(Action.RENEW))
    expired.house.time.pushed += timedelta(minutes=50)
    expired.house.jobs()
    assert expired.attempt().outcome == "abandoned"
    expired.come_back(answer)
    assert (expired.row(), expired.attempt().outcome) == ("r6", "done")


# -- what cannot be trusted --------------------------------------------------------------------


FORGED: list[tuple[dict[str, Any], str]] = [
    ({"state": "made up"}, "unknown"),
    ({"state": ""}, "unknown"),
    ({"iss": "https://evil.example"}, "issuer"),
    ({"iss": None}, "issuer"),
    ({"code": None}, "incomplete"),
    ({"state": "made up", "error": "access_denied"}, "unknown"),
    ({"iss": "https://evil.example", "error": "access_denied"}, "issuer"),
    ({"iss": None, "error": "access_denied"}, "issuer"),
]


def test_answers_that_are_not_ours_are_refused_and_cost_nothing(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    calls = unlinked.house.provider.calls.copy()
    with nothing_changes(unlinked.services):
        for change, reason in FORGED:
            forged = {k: v for k, v in {**answer, **change}.items() if v is not None}
            back = unlinked.come_back(forged)
            assert (back.kind, back.reason) == ("refused", reason), change
    assert unlinked.house.provider.calls == calls, "the provider is not even asked"
    unlinked.come_back(answer)
    assert unlinked.row() == "r11", "the real answer still works"


def test_without_an_issuer_set_the_server_people_are_sent_to_may_name_itself(
    unlinked: Books, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = unlinked.house.provider
    server = str(provider.issuer)
    monkeypatch.setattr(provider, "issuer", None, raising=False)
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    with nothing_changes(unlinked.services):
        for named in (
            "https://evil.example", server.replace("http:", "https:"), server + "0",
            server + "@evil.example", server.replace("127.0.0.1", "127.0.0.2"), "", "nonsense", "[",
        ):  # fmt: skip
            back = unlinked.come_back({**answer, "iss": named})
            assert (back.kind, back.reason) == ("refused", "issuer"), named
            assert back.issuers is not None and back.issuers.named == named
    assert "https://evil.example" in caplog.text
    assert answer["code"] not in caplog.text and answer["state"] not in caplog.text
    assert unlinked.overlays() == {"renewal_running"}, "nobody's step is ended by a forgery"
    unlinked.come_back({**answer, "iss": server + "/tenant"})
    assert unlinked.row() == "r11"


def test_a_slash_at_the_end_of_a_set_issuer_is_not_forgiven(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    back = unlinked.come_back({**answer, "iss": answer["iss"] + "/"})
    assert back.reason == "issuer"
    assert back.issuers is not None
    assert (back.issuers.named, back.issuers.expected) == (answer["iss"] + "/", answer["iss"])


def test_after_a_refused_answer_one_starts_again_at_once_or_it_ends_by_itself(
    unlinked: Books,
) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.come_back({**answer, "iss": "https://evil.example"})
    assert unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])["code"]
    unlinked.house.time.pushed += timedelta(minutes=16)
    assert unlinked.overlays() == set()
    unlinked.house.jobs()
    assert unlinked.attempt().outcome == "abandoned"


def test_moving_the_demo_clock_ages_no_answer(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.house.later(days=1)
    assert unlinked.come_back(answer).kind == "row"
    assert unlinked.row() == "r11"


def test_the_same_answer_twice_does_the_work_once(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    first = unlinked.come_back(answer)
    before = dump(unlinked.services, without=())
    assert unlinked.come_back(answer) == first
    assert dump(unlinked.services, without=()) == before
    assert unlinked.house.provider.calls["complete_grant"] == 1
    back = unlinked.come_back(answer, ELSEWHERE)
    assert (back.kind, back.reason) == ("refused", "used")


def test_who_cancelled_may_go_back_and_confirm(unlinked: Books) -> None:
    """A cancel must not destroy the attempt (peers.md, test 7)."""
    url = unlinked.depart(Action.GRANT)
    unlinked.come_back(unlinked.visit(url, tick=[BAKERY], confirm="cancel"))
    assert unlinked.attempt().outcome == "cancelled"
    answer = unlinked.visit(url, tick=[BAKERY])
    unlinked.come_back(answer)
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r11", "done")


def test_an_error_after_success_is_not_believed(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.come_back(answer)
    before = dump(unlinked.services, without=())
    late = {"state": answer["state"], "iss": answer["iss"], "error": "access_denied"}
    unlinked.come_back(late)
    assert dump(unlinked.services, without=()) == before


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(CallbackInvalid("invalid_grant"), "refused"), (Temporary("x"), "unknown")],
)
def test_a_code_that_is_not_redeemed_is_never_tried_again(
    unlinked: Books, error: Exception, outcome: str
) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.house.provider.instead["complete_grant"] = fails(error)
    unlinked.come_back(answer)
    unlinked.come_back(answer)
    assert unlinked.house.provider.calls["complete_grant"] == 1
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r8", outcome)
    assert unlinked.attempt().private is None


# -- another browser ---------------------------------------------------------------------------


def test_an_arrival_elsewhere_is_parked_until_the_one_who_started_finishes(
    unlinked: Books,
) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    before = unlinked.dump()
    assert unlinked.come_back(answer, ELSEWHERE).kind == "elsewhere"
    assert unlinked.dump() == before, "nothing on, nothing observed"
    assert unlinked.attempt().outcome == "parked"
    assert "access_token" not in (unlinked.attempt().parked or "access_token"), "sealed"
    for stranger in (ELSEWHERE, None, ""):
        with pytest.raises(Missing):
            finish(
                unlinked.services,
                unlinked.connection().id,
                unlinked.house.at(),
                browser=stranger,
            )
    assert unlinked.dump() == before
    finish(unlinked.services, unlinked.connection().id, unlinked.house.at(), browser=HERE)
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r11", "done")
    assert unlinked.attempt().parked is None
    with pytest.raises(Missing):
        finish(unlinked.services, unlinked.connection().id, unlinked.house.at(), browser=HERE)


def test_a_browser_without_a_secret_is_another_browser(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    assert unlinked.come_back(answer, None).kind == "elsewhere"
    assert unlinked.row() == "r8"


@pytest.mark.parametrize("minutes", [5, 45])
def test_finishing_can_wait_for_the_one_who_started(unlinked: Books, minutes: int) -> None:
    """An access token lives half an hour; the person comes back after lunch."""
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.come_back(answer, ELSEWHERE)
    unlinked.house.time.pushed += timedelta(minutes=minutes)
    finish(unlinked.services, unlinked.connection().id, unlinked.house.at(), browser=HERE)
    assert (unlinked.attempt().outcome, unlinked.row()) == ("done", "r11")


def test_permission_given_again_elsewhere_breaks_nothing_that_runs(linked: Books) -> None:
    """Renewing in time must not disturb what runs (domain.md R13), also while it is parked."""
    house = linked.house
    linked.come_back(linked.visit(linked.depart(Action.GRANT), tick=[BAKERY]), ELSEWHERE)
    house.time.pushed += timedelta(hours=1)
    house.later(hours=7)
    house.jobs()
    assert (linked.row(), linked.attempt().outcome) == ("r6", "parked")
    assert house.at().now - linked.connection().last_success < timedelta(minutes=1)
    finish(linked.services, linked.connection().id, house.at(), browser=HERE)
    house.later(hours=7)
    house.jobs()
    assert (linked.row(), linked.grant().state) == ("r6", "active")


def test_a_failure_that_arrives_elsewhere_does_not_say_almost_done(linked: Books) -> None:
    """`elsewhere` sends the person back to press Finish: then there must be something to finish."""
    answer = linked.visit(linked.depart(Action.RENEW), confirm="cancel")
    back = linked.come_back(answer, ELSEWHERE)
    assert linked.attempt().outcome == "cancelled"
    assert back.kind != "elsewhere" or can_finish(linked.attempt(), HERE)


def test_a_refused_code_that_arrives_elsewhere_does_not_say_almost_done(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    back = unlinked.come_back({**answer, "code": "made up"}, ELSEWHERE)
    assert unlinked.attempt().outcome == "refused"
    assert back.kind != "elsewhere" or can_finish(unlinked.attempt(), HERE)


def test_twenty_finishes_do_the_work_once(unlinked: Books) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.come_back(answer, ELSEWHERE)
    number = unlinked.connection().id

    def act(_: int) -> None:
        finish(unlinked.services, number, unlinked.house.at(), browser=HERE)

    answers = at_once(20, act)
    assert {type(each) for each in answers} <= {type(None), Missing}
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r11", "done")
    assert unlinked.grant().credentials_version == 1


# -- armed beforehand --------------------------------------------------------------------------


@pytest.fixture
def armed(house: House) -> Books:
    """Shared but never at the bank; Sanne asked for it to switch on by itself."""
    books = house.books(jan=[account(BAKERY)], shares={"jan": [BAKERY]}, journals=[BAKERY])
    start = (house.at().today - timedelta(days=15)).isoformat()
    arm(books.services, books.connection().id, house.at(), start=start, version=None, actor=SANNE)
    assert books.row() == "r10a"
    return books


def test_armed_switches_on_by_itself_and_fetches(armed: Books) -> None:
    house = armed.house
    armed.come_back(armed.visit(armed.depart(Action.CONNECT)))
    assert armed.row() == "r6"
    day = house.at().today
    assert armed.connection().start_date == day - timedelta(days=15)
    assert armed.connection().switched_by == SANNE
    assert armed.transactions() == house.booked(BAKERY, day - timedelta(days=15), day)


# -- when something breaks in between ----------------------------------------------------------


@pytest.mark.parametrize("call", ["person", "accounts"])
def test_a_provider_that_does_not_answer_leaves_it_to_be_finished(
    unlinked: Books, call: str
) -> None:
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.house.provider.instead[call] = fails(Temporary("http_503"))
    unlinked.come_back(answer)
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r8", "unfinished")
    unlinked.house.provider.instead.clear()
    finish(unlinked.services, unlinked.connection().id, unlinked.house.at(), browser=HERE)
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r11", "done")


def test_a_crash_after_the_code_was_redeemed_loses_nothing(unlinked: Books) -> None:
    """The tokens are kept at once; who reloads, or presses Finish, gets what was given."""
    answer = unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY])
    unlinked.house.provider.instead["person"] = fails(SystemError("the power went"))
    with pytest.raises(SystemError):
        unlinked.come_back(answer)
    unlinked.house.provider.instead.clear()
    unlinked.come_back(answer)
    if unlinked.row() != "r11":
        finish(unlinked.services, unlinked.connection().id, unlinked.house.at(), browser=HERE)
    assert (unlinked.row(), unlinked.attempt().outcome) == ("r11", "done")


def test_a_provider_that_is_down_at_departure_is_said_and_nothing_runs(linked: Books) -> None:
    linked.house.provider.instead["begin_authorisation"] = fails(Temporary("http_503"))
    with pytest.raises(Refused) as refused:
        linked.depart(Action.RENEW)
    assert refused.value.code == "provider_unavailable"
    assert linked.attempt().outcome == "unavailable"
    assert (linked.row(), linked.overlays()) == ("r6", set())


def test_departure_finds_out_that_access_was_withdrawn(linked: Books) -> None:
    linked.house.withdraw_access()
    with pytest.raises(Refused) as refused:
        linked.depart(Action.RENEW)
    assert refused.value.code == "access_gone"
    assert isinstance(refused.value.__cause__, GrantRevoked)
    assert linked.row() == "r2"


def test_nobody_is_sent_to_the_bank_for_an_account_that_is_not_shared(unlinked: Books) -> None:
    with pytest.raises(Refused) as refused:
        unlinked.depart(Action.CONNECT)
    assert refused.value.code == "nothing_shared"
    with unlinked.services.store.read() as session:
        assert session.scalar(select(func.count(Attempt.id))) == 0


def test_states_are_random_bound_and_not_stored(unlinked: Books) -> None:
    answers = [unlinked.visit(unlinked.depart(Action.GRANT), tick=[BAKERY]) for _ in range(2)]
    states = {answer["state"] for answer in answers}
    assert len(states) == 2 and all(len(state) >= 43 for state in states)
    stored = str(dump(unlinked.services, without=()))
    assert not any(state in stored for state in states)
    for answer in answers:
        unlinked.come_back(answer)
        assert attempt_of(unlinked.house, answer).outcome == "done"


def test_one_permission_serves_every_account_that_was_ticked(house: House) -> None:
    """All consented accounts that are in the books are found by their IBAN (domain.md R18)."""
    books = house.books(
        jan=[account(BAKERY, in_app=False), account(SHOP, in_app=False)], journals=[BAKERY, SHOP]
    )
    books.come_back(books.visit(books.depart(Action.GRANT), tick=[BAKERY, SHOP]))
    assert (books.row(BAKERY), books.row(SHOP)) == ("r11", "r11")
    with books.services.store.read() as session:
        assert session.scalar(select(func.count(Transaction.id))) == 0, "no one asked for any yet"


# -- what came another way meanwhile -----------------------------------------------------------


@pytest.fixture
def siblings(house: House) -> Books:
    """Two accounts of Jan at one bank, both on."""
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )
    books.activate()
    books.activate(iban=SAVINGS)
    return books


def test_what_was_renewed_along_with_a_sibling_is_neither_under_way_nor_given_up(
    siblings: Books,
) -> None:
    siblings.depart(Action.RENEW, SAVINGS)
    assert siblings.overlays(SAVINGS) == {"renewal_running"}
    assert not siblings.record(SAVINGS).overtaken
    siblings.come_back(siblings.visit(siblings.depart(Action.RENEW)))
    assert (siblings.attempt().outcome, siblings.attempt().params["along"]) == ("done", 1)
    assert siblings.overlays(SAVINGS) == set()
    siblings.house.time.pushed += timedelta(minutes=16)
    siblings.house.jobs()
    assert siblings.attempt(SAVINGS).outcome == "abandoned"
    assert siblings.record(SAVINGS).overtaken


def test_moving_the_demo_clock_makes_no_step_at_the_bank_look_done(siblings: Books) -> None:
    """Days of the books and minutes of the machine run apart in the demo."""
    siblings.house.later(days=20)
    siblings.depart(Action.RENEW, SAVINGS)
    siblings.house.later(days=20)
    siblings.house.jobs()
    assert "renewal_running" in siblings.overlays(SAVINGS)
    siblings.come_back(siblings.visit(siblings.depart(Action.RENEW)))
    assert "renewal_running" not in siblings.overlays(SAVINGS)


def test_permission_asked_in_another_row_ends_the_asking_in_this_one(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, in_app=False), account(SHOP, in_app=False)], journals=[BAKERY, SHOP]
    )
    books.depart(Action.GRANT, SHOP)
    assert books.overlays(SHOP) == {"renewal_running"}
    books.come_back(books.visit(books.depart(Action.GRANT), tick=[BAKERY, SHOP]))
    assert (books.row(SHOP), books.overlays(SHOP)) == ("r11", set())
