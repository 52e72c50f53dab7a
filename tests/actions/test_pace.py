"""People come first: what nobody waits for lets them pass, and goes on all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from banklink.actions.pace import Pace
from banklink.store.models import Administration
from banklink.store.turns import Turns
from tests.support.house import running


def test_long_work_waits_while_somebody_is_answered_and_no_longer_than_it_should() -> None:
    pace, order = Pace(), []
    pace.give_way(60)  # nobody is there
    with pace.somebody():
        pace.give_way(0.01)
        order.append("went on although somebody was there")
        answered = threading.Thread(target=lambda: (pace.give_way(60), order.append("went on")))
        answered.start()
        with pace.somebody():
            pass
        time.sleep(0.05)
        order.append("the last one was answered")
    answered.join(30)
    assert order == [
        "went on although somebody was there",
        "the last one was answered",
        "went on",
    ]


def test_people_are_expected_for_a_while_after_one_was_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1_000.0]
    monkeypatch.setattr("banklink.actions.pace.time.monotonic", lambda: clock[0])
    pace = Pace()
    assert not pace.is_busy
    with pace.somebody():
        clock[0] += 60
        assert pace.is_busy
    assert pace.is_busy
    clock[0] += 60
    assert not pace.is_busy


def test_a_page_that_fails_is_no_longer_waited_for() -> None:
    pace = Pace()
    with pytest.raises(ZeroDivisionError), pace.somebody():
        raise ZeroDivisionError
    waits = threading.Thread(target=pace.give_way, args=(60,), daemon=True)
    waits.start()
    waits.join(10)
    assert not waits.is_alive()


def test_a_request_is_known_to_long_work(tmp_path: Path) -> None:
    with running(tmp_path, demo_data=False, web=False) as house:
        seen = []
        pace = house.services.pace
        house.parts.web.before_request(lambda: seen.append(pace._nobody.is_set()))
        house.parts.web.test_client().get("/healthz", base_url="http://localhost")
        assert seen == [False]
        assert pace._nobody.is_set()


def test_who_writes_once_has_a_turn_between_two_of_one_who_writes_all_the_time(
    tmp_path: Path,
) -> None:
    with running(tmp_path, demo_data=False, web=False) as house:
        written, stop = [0], threading.Event()

        def write(name: str, seconds: float) -> None:
            with house.services.store.write() as session:
                session.add(Administration(reference=name, name=name))
                session.flush()
                time.sleep(seconds)

        def always() -> None:
            while not stop.is_set():
                write(f"a{written[0]}", 0.25)
                written[0] += 1
                time.sleep(0.002)

        busy = threading.Thread(target=always)
        busy.start()
        passed = [_passed(written, write, number) for number in range(5)]
        stop.set()
        busy.join()
    assert max(passed) <= 1, passed


def _passed(written: list[int], write: Callable[[str, float], None], number: int) -> int:
    """How often the other one wrote while this one waited."""
    before = written[0]
    write(f"b{number}", 0)
    return written[0] - before


def test_who_waits_in_vain_for_a_turn_goes_on_and_holds_nobody_up() -> None:
    turns, order = Turns(), []

    def wait(name: str, patience: float) -> None:
        with turns.taken(patience):
            order.append(name)

    with turns.taken(1), turns.taken(1):  # who has it needs no second one
        impatient = threading.Thread(target=wait, args=("without a turn", 0.01))
        impatient.start()
        impatient.join()
        patient = threading.Thread(target=wait, args=("in turn", 60))
        patient.start()
        time.sleep(0.05)
        order.append("the first one is done")
    patient.join(30)
    wait("nobody is there any more", 60)
    assert order == [
        "without a turn",
        "the first one is done",
        "in turn",
        "nobody is there any more",
    ]
