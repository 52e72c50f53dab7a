"""Builds that are broken on purpose. Each takes away one rule that keeps transactions exactly once;
a machine that walks through such a build without a word proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import String, cast, select, update

from banklink.actions import balances, fetch, ledger, review
from banklink.actions import export as exporting
from banklink.core import coverage, dedup
from banklink.core.dedup import Kind
from banklink.store import bookings
from banklink.store.models import Transaction
from tests.state.bank import Bank, Text
from tests.state.machine import Machine, only

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
SABOTAGES: dict[str, tuple[Plant, type[Machine]]] = {}
COFFEE = Text("Koffiebar", None, "Koffie")


def sabotage(*rules: str, **world: Any) -> Callable[[Plant], Plant]:
    """`rules`: what happens in the `world` in which it does its harm."""

    def known(plant: Plant) -> Plant:
        SABOTAGES[plant.__name__] = plant, only(*rules, **world)
        return plant

    return known


@sabotage("book", "book_the_same_again", "press_refresh")
def two_equal_ones_are_one(patch: Patch) -> None:
    """The content alone tells bookings apart, without an occurrence number."""
    real = bookings.judge

    def judge(incoming: Any, stored: Any, **rest: Any) -> Any:
        found = real(incoming, stored, **rest)
        verdicts = tuple(
            each._replace(kind=Kind.KNOWN, key=None) if each.occurrence > 1 else each
            for each in found.verdicts
        )
        return replace(found, verdicts=verdicts)

    patch.setattr(bookings, "judge", judge)


@sabotage("book", "reissue_ids", "press_refresh")
def every_id_is_trusted(patch: Patch) -> None:
    patch.setattr(Bank, "ids_stable", True)
    patch.setattr(dedup._Page, "_suspect", lambda *_args, **_more: None)


@sabotage("crash", "fault", "wait", "press_refresh")
def the_watermark_moves_when_a_fetch_begins(patch: Patch) -> None:
    real = fetch._begin

    def begin(services: Any, session: Any, found: Any, *rest: Any) -> Any:
        job = real(services, session, found, *rest)
        if job is not None:
            found.connection.watermark = job.window.until
        return job

    patch.setattr(fetch, "_begin", begin)


@sabotage("book", "remove", "reorder", "press_refresh")
def what_was_removed_is_forgotten(patch: Patch) -> None:
    """No tombstone: whoever looks for what is known does not find it."""
    gone = Transaction.state.in_(("removed", "rejected"))
    around, change_state = bookings._around, bookings.change_state

    def without_the_gone(session: Any, *rest: Any) -> Any:
        keys = set(session.scalars(select(Transaction.id).where(gone)))
        return [each for each in around(session, *rest) if each.stored.key not in keys]

    def forgetting(session: Any, *rest: Any, **more: Any) -> Any:
        days = change_state(session, *rest, **more)
        print_ = "gone " + cast(Transaction.id, String)
        session.execute(update(Transaction).where(gone).values(fingerprint=print_, source_id=None))
        return days

    patch.setattr(bookings, "_surely_known", lambda _session, _reading, came: (came, {}, set()))
    patch.setattr(bookings, "_around", without_the_gone)
    patch.setattr(review, "change_state", forgetting)


@sabotage("book", "book_late", "renew", "press_refresh", "wait")
def nothing_is_reviewed(patch: Patch) -> None:
    patch.setattr(fetch._Job, "is_late", lambda _job, _day: False)


@sabotage("renew", "wait_long", "press_refresh", back=0)
def more_days_are_covered_than_were_served(patch: Patch) -> None:
    real = bookings.cover

    def cover(session: Any, connection: Any, spans: Any) -> Any:
        return real(session, connection, [*spans, (connection.start_date, connection.watermark)])

    patch.setattr(bookings, "cover", cover)


@sabotage("book_yesterday", "say_otherwise", "press_refresh", stable=True, at_once=1, page=1)
def what_waits_for_the_next_page_is_dropped(patch: Patch) -> None:
    patch.setattr(fetch, "_sealed", lambda _waiting: None)


@sabotage(
    "book_the_same_again", "crash", stable=False, at_once=1, page=1, first=[(1, -350, COFFEE, 2)]
)
def a_break_makes_forget_what_was_met(patch: Patch) -> None:
    patch.setattr(bookings, "_sighted", lambda *_args: None)


@sabotage("book_yesterday", "say_otherwise", "press_refresh", stable=True)
def other_words_replace_what_is_stored(patch: Patch) -> None:
    real = bookings.take

    def take(session: Any, reading: Any, found: Any, *rest: Any, **more: Any) -> Any:
        for verdict in found.verdicts:
            if verdict.kind is Kind.CHANGED:
                said = found.bookings[verdict.place].remittance
                session.execute(
                    update(Transaction).where(Transaction.id == verdict.key).values(remittance=said)
                )
        return real(session, reading, found, *rest, **more)

    patch.setattr(bookings, "take", take)


@sabotage("fault", "scheduler")
def nobody_counts_the_accesses(patch: Patch) -> None:
    patch.setattr(ledger, "note", lambda *_args, **_more: None)


@sabotage("book", "press_refresh")
def a_day_is_not_summed(patch: Patch) -> None:
    patch.setattr(bookings, "shift_days", lambda *_args: None)


@sabotage("book", "book_late", "calm")
def a_fetch_does_not_look_back(patch: Patch) -> None:
    patch.setattr(coverage, "OVERLAP", timedelta(0))


@sabotage("fault", "wait", "press_refresh")
def a_failure_counts_as_a_fetch(patch: Patch) -> None:
    real = fetch._failed

    def failed(services: Any, job: Any, at: Any, *rest: Any) -> Any:
        answer = real(services, job, at, *rest)
        with services.store.write() as session:
            session.get_one(fetch.Connection, job.connection_id).watermark = at.today
        return answer

    patch.setattr(fetch, "_failed", failed)


@sabotage("book", "take_in_file", "press_refresh")
def a_file_brings_everything_again(patch: Patch) -> None:
    look = bookings.look

    def looks_away(session: Any, reading: Any, *rest: Any, **more: Any) -> Any:
        if reading.scope.startswith("file:"):
            reading = replace(reading, connection_id=0)
        return look(session, reading, *rest, **more)

    patch.setattr(bookings, "look", looks_away)


@sabotage("book", "press_refresh", "export_new", "remove")
def what_went_out_goes_out_again(patch: Patch) -> None:
    def claim(session: Any, export: Any) -> None:
        session.execute(
            update(Transaction).where(Transaction.state == "booked").values(export_id=export.id)
        )

    patch.setattr(exporting, "_claim", claim)


@sabotage("book", "press_refresh", "lose_a_cent", "calm")
def nobody_holds_bookings_against_balances(patch: Patch) -> None:
    patch.setattr(balances, "check", lambda *_args, **_more: None)


@sabotage("book", "press_refresh", "wait", "calm")
def balances_forget_to_add_up_bookings(patch: Patch) -> None:
    patch.setattr(balances, "_days", lambda *_args: {})
