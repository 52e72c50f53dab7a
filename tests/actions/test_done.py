"""Who asked is told when the holder is back from the bank, and only then (domain.md B3, *Done*)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from banklink.actions.invite import ask_for
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.store.models import Attempt, Mail, Membership, User

from .conftest import BAKERY, SANNE, SAVINGS, Books, House, account


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
