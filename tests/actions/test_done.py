"""Who asked is told when the holder is back from the bank, and only then (domain.md B3, *Done*)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions import come_back as coming_back
from banklink.actions.invite import ask_for
from banklink.actions.tell_done import tell_renewals
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.store.models import Attempt, Grant, Mail, Membership, User

from .conftest import BAKERY, SANNE, SAVINGS, SPARE, Books, House, account


@pytest.fixture
def books(house: House) -> Books:
    """Jan's account was fetched until it ended, 19 days ago; Sanne and Bob keep the books."""
    books = house.books(
        jan=[account(BAKERY, since=170), account(SAVINGS, since=170)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS],
    )
    with house.services.store.write() as session:
        for name in (SANNE, "Bob"):
            user = User(name=name, email=f"{name.lower()}@kantoor.nl", password_hash="x")
            session.add(user)
            session.flush()
            session.add(Membership(user_id=user.id, administration_id=books.id, role="bookkeeper"))
    books.activate()
    house.later(days=20)
    house.jobs()
    assert books.row() == "r4"
    return books


def told(books: Books) -> list[tuple[str, str]]:
    with books.services.store.read() as session:
        return [
            (mail.name, str(books.services.vault.open(mail.sealed)["subject"]))
            for mail in session.scalars(select(Mail).where(Mail.kind == "done").order_by(Mail.id))
        ]


def follow(books: Books, **choices: str) -> None:
    """Jan leaves by Sanne's invitation, as actions/answer.py has him leave, and comes back."""
    house = books.house
    url = books.depart(Action.RENEW)
    with books.services.store.write() as session:
        sanne = session.scalars(select(User).where(User.name == SANNE)).one()
        invitation, _token = ask_for(
            session,
            house.at(),
            administration_id=books.id,
            purpose=Purpose.RENEW,
            email="jan@devries.example",
            name="Jan de Vries",
            locale="nl",
            connections=[books.connection().id],
            holder_id=int(books.holder()),
            actor=sanne.name,
            actor_id=sanne.id,
        )
        attempt = session.get_one(Attempt, books.attempt().id)
        attempt.invitation_id = invitation.id
    books.come_back(books.visit(url, **choices))


def test_sanne_hears_at_once_that_jan_renewed_and_how_much_came_in(books: Books) -> None:
    house = books.house
    house.book(BAKERY, house.at().today - timedelta(days=3), 100, 200)
    before = len(books.transactions())
    follow(books)
    assert books.row() == "r6"
    came = len(books.transactions()) - before
    assert came >= 2
    ((name, subject),) = told(books)
    assert name == SANNE
    assert subject.startswith(
        "Jan de Vries heeft de bankkoppeling van Bakkerij De Vries vernieuwd (tot "
    )
    assert subject.endswith(f"; {came} mutaties alsnog opgehaald.")
    house.later(hours=2)
    house.jobs()
    assert len(told(books)) == 1, "what the hourly look notices is not told again"


def test_who_backs_out_did_nothing_to_tell_of(books: Books) -> None:
    follow(books, confirm="cancel")
    books.house.later(hours=2)
    books.house.jobs()
    assert told(books) == []


def test_who_renews_from_the_row_saw_it_happen(books: Books) -> None:
    books.come_back(books.visit(books.depart(Action.RENEW)))
    books.house.later(hours=2)
    books.house.jobs()
    assert (books.row(), told(books)) == ("r6", [])


def test_a_renewal_in_the_entrepreneur_app_is_told_to_everybody_who_keeps_the_books(
    books: Books,
) -> None:
    """Nobody comes back here: the browser is closed at the bank's last page."""
    books.visit(books.depart(Action.RENEW))
    for _ in range(3):
        books.house.later(hours=2)
        books.house.jobs()
    assert [name for name, _ in told(books)] == [SANNE, "Bob"]


# -- a first permission -------------------------------------------------------------------------


@pytest.fixture
def asked(house: House) -> Books:
    """Sanne asked Jan for both accounts; only the first has a journal and switches on by itself.
    A third one that he has comes along."""
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10), account(SPARE, since=10)],
        journals=[BAKERY, SPARE],
    )
    with house.services.store.write() as session:
        user = User(name=SANNE, email="sanne@kantoor.nl", password_hash="x")
        session.add(user)
        session.flush()
        session.add(Membership(user_id=user.id, administration_id=books.id, role="bookkeeper"))
    books.set(armed=True, armed_by=SANNE, armed_start=house.at().today - timedelta(days=8))
    house.book(BAKERY, house.at().today - timedelta(days=3), 100, 200)
    return books


def give(books: Books, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    house, url = books.house, books.depart(Action.GRANT)
    with books.services.store.write() as session:
        sanne = session.scalars(select(User).where(User.name == SANNE)).one()
        invitation, _token = ask_for(
            session,
            house.at(),
            administration_id=books.id,
            purpose=Purpose.CONNECT,
            email="jan@devries.example",
            name="Jan de Vries",
            locale="nl",
            connections=[books.connection().id],
            actor=sanne.name,
            actor_id=sanne.id,
        )
        session.get_one(Attempt, books.attempt().id).invitation_id = invitation.id
    answer = books.visit(url, tick=[BAKERY, SAVINGS, SPARE])
    meanwhile()
    books.come_back(answer)


def text(books: Books) -> str:
    with books.services.store.read() as session:
        (mail,) = session.scalars(select(Mail).where(Mail.kind == "done"))
        return str(books.services.vault.open(mail.sealed)["text"])


def test_each_account_says_whether_it_runs_or_what_is_still_to_be_done(asked: Books) -> None:
    give(asked)
    assert (asked.row(), asked.row(SAVINGS), asked.row(SPARE)) == ("r6", "r7", "r11")
    ((_, subject),) = told(asked)
    assert subject.startswith("Jan de Vries heeft de bank van Bakkerij De Vries gekoppeld")
    said = text(asked)
    came = len(asked.transactions())
    assert f"Bank 1 …4300: Actief, {came} mutaties alsnog opgehaald" in said
    assert f"…{SAVINGS[-4:]}: kies nog een dagboek met dit IBAN" in said
    assert f"Bank 2 …{SPARE[-4:]}: nog niet ingeschakeld" in said
    assert "Er moet hier nog iets gebeuren" in said and "Je hoeft niets" not in said
    asked.house.later(hours=2)
    asked.house.jobs()
    assert len(told(asked)) == 1


def stop_while_fetching(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    return lambda: monkeypatch.setattr(coming_back, "fetch_all", power_cut)


def test_a_machine_that_stops_while_it_fetches_the_backlog_tells_when_it_runs_again(
    asked: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        give(asked, meanwhile=stop_while_fetching(monkeypatch))
    monkeypatch.undo()
    asked.house.jobs()
    assert told(asked) == [], "whoever fetches may still tell"
    asked.house.later(minutes=16)
    asked.house.jobs()
    ((_, subject),) = told(asked)
    assert subject.startswith("Jan de Vries heeft de bank van Bakkerij De Vries gekoppeld")
    assert f"Actief, {len(asked.transactions())} mutaties" in text(asked)


def test_what_was_taken_back_before_it_could_be_told_is_not(
    asked: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        give(asked, meanwhile=stop_while_fetching(monkeypatch))
    with asked.services.store.write() as session:
        session.get_one(Grant, asked.grant().id).state = "revoked"
    asked.house.later(minutes=16)
    asked.house.jobs()
    assert told(asked) == []


def test_a_backlog_that_takes_longer_than_the_clock_waits_is_told_once(
    asked: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = coming_back.fetch_all

    def slowly(*args: Any) -> None:
        real(*args)
        asked.house.later(minutes=20)
        tell_renewals(asked.services, asked.house.at())

    monkeypatch.setattr(coming_back, "fetch_all", slowly)
    give(asked)
    assert len(told(asked)) == 1
