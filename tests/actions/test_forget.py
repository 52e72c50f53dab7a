"""Deleting what is known of an account holder: the name is nowhere any more, and what was fetched is
all there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions.consents import of_holder
from banklink.actions.depart import depart
from banklink.actions.forget import extent, forget
from banklink.actions.invite import ask_for
from banklink.actions.observe import observe
from banklink.actions.outbox import queue
from banklink.actions.revoke import given
from banklink.actions.services import Refused, Stale
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.mail.letters import Letter, Paragraph
from banklink.providers.contract import Temporary
from banklink.store.models import (
    Administration,
    Attempt,
    Base,
    Event,
    Grant,
    Holder,
    Invitation,
    InvitationLink,
    Journal,
    Mail,
)

from .conftest import BAKERY, ELSEWHERE, HERE, SANNE, SAVINGS, Books, House, account, fails

NAME, EMAIL, CALLED = "Jan de Vries", "jan@devries.example", "Meneer Jan"
SHOWN = {
    "text": "connect-1",
    "language": "nl",
    "hash": "h" * 64,
    "params": {"asker": "Sanne", "office": "Kantoor", "accounts": []},
    "ip": "203.0.113.0/24",
    "agent": "Mozilla/5 Firefox/148",
}


def mail(books: Books, to: str, text: str, **more: Any) -> int:
    with books.services.store.write() as session:
        letter = Letter("nl", text, f"Beste {to},", (Paragraph(text),), "Groet")
        made = queue(
            session,
            books.services,
            letter,
            books.house.at(),
            kind="test",
            email=to,
            name=more.pop("name", to),
            administration_id=books.id,
            **more,
        )
        assert made is not None
        return made.id


@pytest.fixture
def known(house: House) -> Books:
    """Jan was invited, came, fetched and was written to; others were told about him."""
    books = house.books(
        jan=[
            account(BAKERY, in_app=False, description="Zakelijk"),
            account(SAVINGS, in_app=False, description="Spaarpot"),
        ],
        journals=[BAKERY],
    )
    with books.services.store.write() as session:
        invitation, _ = ask_for(
            session,
            house.at(),
            administration_id=books.id,
            purpose=Purpose.CONNECT,
            email=EMAIL,
            name=CALLED,
            locale="nl",
            connections=[books.connection().id],
            message=f"Hoi {CALLED}, tot morgen!",
        )
        number = invitation.id
    mail(books, EMAIL, f"{CALLED}, geef toestemming", name=CALLED, invitation_id=number)
    url = depart(
        books.services,
        books.connection().id,
        Action.GRANT,
        house.at(),
        actor=NAME,
        browser=HERE,
        invitation_id=number,
        consent=SHOWN,
    )
    books.come_back(books.visit(url, tick=[BAKERY, SAVINGS]))
    books.activate()
    depart(  # on the way, and not back
        books.services,
        books.connection().id,
        Action.RENEW,
        house.at(),
        actor="",
        browser=ELSEWHERE,
        consent=SHOWN,
    )
    mail(books, EMAIL, f"{NAME}, nog 7 dagen", name=NAME, holder_id=int(books.holder()))
    mail(books, "sanne@kantoor.example", f"{NAME} ({EMAIL}) heeft vernieuwd")
    sent = mail(books, "sanne@kantoor.example", f"{NAME} deed al eerder iets")
    with books.services.store.write() as session:
        session.get_one(Mail, sent).sent_at = house.at().now
        session.add(
            Event(
                administration_id=books.id,
                connection_id=books.connection().id,
                at=house.at().now,
                kind="switched_off",
                actor=NAME,
                params={},
            )
        )
    return books


def end(books: Books, who: int, **more: Any) -> Any:
    return forget(books.services, books.id, who, books.house.at(), **{"actor": SANNE, **more})


def everything(books: Books) -> str:
    """All that is stored, seals opened."""
    found = []
    with books.services.store.read() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(select(table)).mappings():
                found += [str(value) for value in row.values()]
        for sealed in session.scalars(select(Mail.sealed).where(Mail.sealed != "")):
            found.append(str(books.services.vault.open(sealed)))
    return "\n".join(found)


def files(house: House) -> bytes:
    folder = Path(house._house.parts.settings.data)
    return b"".join(each.read_bytes() for each in folder.glob("banklink.sqlite3*"))


# -- gone ---------------------------------------------------------------------------------------


def test_afterwards_the_name_is_nowhere(known: Books) -> None:
    before = everything(known)
    assert NAME in before and EMAIL in before and CALLED in before
    if known.house.on_sqlite:
        assert NAME.encode() in files(known.house)
    done = end(known, int(known.holder()))
    assert (done.everywhere, done.told) == (True, True)
    after = everything(known)
    for word in (NAME, EMAIL, CALLED, "tot morgen", "203.0.113", "Firefox/148"):
        assert word not in after, word
    if known.house.on_sqlite:
        content = files(known.house)
        for word in (NAME, EMAIL, CALLED, "tot morgen", "203.0.113.0/24"):
            assert word.encode() not in content, f"{word} is still in the file"


def test_what_was_fetched_is_all_there_under_a_number(known: Books) -> None:
    who, before = int(known.holder()), known.transactions()
    assert before
    end(known, who)
    assert known.transactions() == before
    assert known.row() == "r2"
    share = known.record().shares[str(who)]
    assert share.name is None
    with known.services.store.read() as session:
        holder = session.get_one(Holder, who)
        assert (holder.name, holder.email) == ("", None)
        assert holder.forgotten_at is not None
    kinds = [each.kind for each in known.events()]
    assert kinds[-3:].count("holder_forgotten") == 1


def test_of_a_permission_stays_what_proves_that_reading_was_allowed(known: Books) -> None:
    who = int(known.holder())
    end(known, who)
    with known.services.store.read() as session:
        (record,) = of_holder(session, known.id, who)
    assert (record.text_id, record.text_hash) == ("connect-1", "h" * 64)
    assert record.given_at and record.sca_at and record.valid_until and record.lawful_basis
    assert (record.ended_reason, record.withdrawn_by) == ("forgotten", SANNE)
    assert record.confirmed_at is not None and record.delete_after is not None
    assert (record.ip, record.user_agent, record.provider_consent) == (None, None, None)
    assert (record.text_params, record.accounts) == ({}, {"count": 2})


def test_mails_to_them_are_gone_and_those_to_others_go_without_the_name(known: Books) -> None:
    end(known, int(known.holder()))
    with known.services.store.read() as session:
        left = list(session.scalars(select(Mail).order_by(Mail.id)))
    assert [each.email for each in left] == ["sanne@kantoor.example"] * 2
    waits, sent = left
    opened = known.services.vault.open(waits.sealed)
    assert "Verwijderde rekeninghouder" in (opened["subject"] or "")
    assert sent.sealed == "" and sent.sent_at is not None


def test_the_links_of_invitations_lead_nowhere(known: Books) -> None:
    end(known, int(known.holder()))
    with known.services.store.read() as session:
        assert session.scalars(select(InvitationLink)).all() == []
        (invitation,) = session.scalars(select(Invitation))
        assert (invitation.name, invitation.email, invitation.message) == ("", "", "")


def test_account_names_go_where_nothing_was_fetched(known: Books) -> None:
    who = int(known.holder())
    end(known, who)
    shares = {iban: known.record(iban).shares[str(who)] for iban in (BAKERY, SAVINGS)}
    assert shares[BAKERY].account is not None and shares[BAKERY].account.name is not None
    assert shares[SAVINGS].account is not None and shares[SAVINGS].account.name is None


def test_somebody_who_works_here_too_keeps_their_name_as_a_colleague(known: Books) -> None:
    from banklink.store.models import User

    with known.services.store.write() as session:
        session.add(User(email="jan@kantoor.example", name=NAME))
    end(known, int(known.holder()))
    with known.services.store.read() as session:
        actors = set(session.scalars(select(Event.actor)))
    assert NAME in actors


# -- others, and again ---------------------------------------------------------------------------


@pytest.fixture
def two(known: Books) -> tuple[Books, Books]:
    """Jan is an account holder in a second administration."""
    with known.services.store.write() as session:
        cafe = Administration(reference="books of Café", name="Café")
        session.add(cafe)
        session.flush()
        session.add(
            Journal(administration_id=cafe.id, code="1", name="Bank", iban=BAKERY, currency="EUR")
        )
        from banklink.store.facts import ensure_connections

        ensure_connections(session, cafe.id)
    other = Books(known.house, cafe.id)
    other.come_back(other.visit(other.depart(Action.GRANT), tick=[BAKERY]))
    return known, other


def test_another_administration_keeps_its_account_holder(two: tuple[Books, Books]) -> None:
    bakery, cafe = two
    who = int(bakery.holder())
    with bakery.services.store.read() as session:
        assert extent(session, bakery.id, who).elsewhere == ("Café",)
    done = end(bakery, who)
    assert not done.everywhere
    assert bakery.record().shares[str(who)].name is None, "here nobody reads the name any more"
    assert cafe.record().shares[str(who)].name == NAME
    assert cafe.row() == "r11"
    observe(cafe.services, cafe.grant().id, cafe.house.at())
    end(cafe, who)
    assert NAME not in everything(cafe) and EMAIL not in everything(cafe)


def test_who_gives_permission_anew_is_somebody_again(known: Books) -> None:
    who = int(known.holder())
    end(known, who)
    known.house.later(minutes=10)
    known.come_back(known.visit(known.depart(Action.GRANT), tick=[BAKERY]))
    assert int(known.holder()) == who
    assert known.record().shares[str(who)].name == NAME
    assert known.row() == "r6"
    with known.services.store.read() as session:
        assert session.get_one(Holder, who).forgotten_at is None
        assert session.scalars(select(Grant)).one().forgotten_at is None


def test_who_was_on_the_way_does_not_come_back_by_it(known: Books) -> None:
    who = int(known.holder())
    answer = known.visit(known.depart(Action.GRANT), tick=[BAKERY])
    known.come_back(answer, browser=ELSEWHERE)
    end(known, who)
    with known.services.store.read() as session:
        parked = session.scalars(select(Attempt).where(Attempt.parked.is_not(None))).all()
        number = parked[0].id
    from banklink.actions.come_back import finish_attempt

    finish_attempt(known.services, number, known.house.at())
    assert known.record().shares[str(who)].name is None
    assert NAME not in everything(known)


def test_a_provider_that_does_not_answer_is_told_later(known: Books) -> None:
    known.house.provider.instead["revoke"] = fails(Temporary("ConnectError"))
    assert end(known, int(known.holder())).told is False


def test_it_is_done_once_and_not_over_a_newer_permission(known: Books) -> None:
    who = int(known.holder())
    with pytest.raises(Stale):
        end(known, who, seen="2020-01-01T00:00:00+00:00")
    end(known, who, seen=given(known.grant()))
    with pytest.raises(Refused):
        end(known, who)
