"""Deleting what is known of an account holder: the name is nowhere any more, and what was fetched is
all there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from banklink.actions import forget as forgetting
from banklink.actions import revoke
from banklink.actions.consents import of_holder
from banklink.actions.depart import depart
from banklink.actions.digest import digest
from banklink.actions.forget import extent, forget
from banklink.actions.invite import ask_for, propose
from banklink.actions.observe import observe
from banklink.actions.outbox import queue
from banklink.actions.retention import delete_old
from banklink.actions.revoke import given
from banklink.actions.services import Refused, Stale
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.mail.letters import Letter, Paragraph
from banklink.providers.contract import Temporary
from banklink.store.models import (
    Account,
    Administration,
    Attempt,
    Base,
    Event,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
    InvitationLink,
    Journal,
    Mail,
    Membership,
    User,
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


def mail(books: Books, to: str, text: str, *, sent: bool = False, **more: Any) -> int:
    with books.services.store.write() as session:
        letter = Letter("nl", text, f"Beste {to},", (Paragraph(text),), "Groet")
        made = queue(
            session,
            books.services,
            letter,
            books.house.at(),
            kind=more.pop("kind", "test"),
            email=to,
            name=more.pop("name", to),
            administration_id=books.id,
            **more,
        )
        assert made is not None
        if sent:
            made.sent_at = books.house.at().now
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
    with books.services.store.write() as session:
        sanne = User(email="sanne@kantoor.example", name="Sanne")
        session.add(sanne)
        session.flush()
        session.add(Membership(administration_id=books.id, user_id=sanne.id, role="bookkeeper"))
        user = sanne.id
    about: dict[str, Any] = {"user_id": user, "holder_id": int(books.holder()), "kind": "done"}
    mail(books, "sanne@kantoor.example", f"{NAME} ({EMAIL}) heeft vernieuwd", **about)
    mail(books, "sanne@kantoor.example", f"{NAME} deed al eerder iets", sent=True, **about)
    for text in (f"Verlopen bij {NAME}", "Verlopen bij Piet"):
        mail(books, "sanne@kantoor.example", text, sent=True, user_id=user, kind="digest")
    with books.services.store.write() as session:
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


def permission(books: Books) -> str:
    with books.services.store.read() as session:
        return given(session, books.grant())


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


def test_mails_to_them_are_gone_and_of_those_about_them_the_content(known: Books) -> None:
    end(known, int(known.holder()))
    with known.services.store.read() as session:
        left = list(session.scalars(select(Mail).order_by(Mail.id)))
    assert [(each.kind, each.sealed == "") for each in left] == [
        ("done", True),
        ("digest", True),
        ("digest", False),
    ]
    assert {each.email for each in left} == {"sanne@kantoor.example"}
    assert all(each.sent_at is not None for each in left), "one without content cannot be sent"


def test_mails_that_are_not_about_them_stay_to_the_letter(two: tuple[Books, Books]) -> None:
    """A colleague of the same name signs; another administration writes to its own people."""
    bakery, cafe = two
    kept = [
        mail(bakery, "piet@bakker.example", f"Groet, {NAME}"),
        mail(cafe, EMAIL, f"{NAME}, nog 7 dagen", holder_id=int(cafe.holder())),
    ]
    with bakery.services.store.read() as session:
        before = [session.get_one(Mail, each).sealed for each in kept]
    end(bakery, int(bakery.holder()))
    with bakery.services.store.read() as session:
        assert [session.get_one(Mail, each).sealed for each in kept] == before


def test_no_seal_of_the_outbox_is_opened_while_others_wait_to_write(
    known: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = []
    store, vault = known.services.store, known.services.vault
    opened, write = type(vault).open, type(store).write

    @contextmanager
    def watched(self: Any) -> Any:
        with write(self) as session:
            writing.append(session)
            try:
                yield session
            finally:
                writing.pop()

    def look(self: Any, sealed: str) -> Any:
        assert not writing, "a seal was opened with the database locked"
        return opened(self, sealed)

    monkeypatch.setattr(type(store), "write", watched)
    monkeypatch.setattr(type(vault), "open", look)
    monkeypatch.setattr(revoke, "tell", lambda *_: True)
    end(known, int(known.holder()))


def test_the_links_of_invitations_lead_nowhere(known: Books) -> None:
    end(known, int(known.holder()))
    with known.services.store.read() as session:
        assert session.scalars(select(InvitationLink)).all() == []
        (invitation,) = session.scalars(select(Invitation))
        assert (invitation.name, invitation.email, invitation.message) == ("", "", "")


def test_accounts_of_which_nothing_was_fetched_go(known: Books) -> None:
    who = int(known.holder())
    end(known, who)
    with known.services.store.read() as session:
        (account_,) = session.scalars(select(Account))
        assert (account_.iban, account_.name, account_.ref) == (BAKERY, "Zakelijk", None)
        for each in session.scalars(select(Attempt)):
            assert SAVINGS not in str(each.params) and SAVINGS not in str(each.consent)


def test_the_providers_number_goes_once_the_provider_was_told(known: Books) -> None:
    who, house = int(known.holder()), known.house
    with known.services.store.read() as session:
        number = session.get_one(Holder, who).subject
    house.provider.instead["revoke"] = fails(Temporary("ConnectError"))
    end(known, who)
    del house.provider.instead["revoke"]
    house.time.pushed += timedelta(minutes=10)
    assert revoke.revoke_due(house.services, house.at()) == 1
    assert number not in everything(known)


def test_nobody_is_proposed_or_named_who_is_forgotten_here(two: tuple[Books, Books]) -> None:
    """The name is still there, for the other administration."""
    bakery, house = two[0], two[0].house
    end(bakery, int(bakery.holder()))
    with house.services.store.write() as session:
        for each in session.scalars(select(User)):
            each.password_hash, each.locale = "set", "nl"
    with house.services.store.read() as session:
        proposed = propose(house.services, session, bakery.record(), house.at())
        assert proposed.recipients == ()
    assert digest(house.services, house.at()) >= 1
    with house.services.store.read() as session:
        said = session.scalars(select(Mail.sealed).where(Mail.kind == "digest", Mail.sealed != ""))
        texts = [str(house.services.vault.open(each)) for each in said]
    assert any("Geen toegang" in each for each in texts)
    assert not any(NAME in each for each in texts)


def test_an_address_written_otherwise_is_the_same_address(known: Books) -> None:
    with known.services.store.write() as session:
        session.get_one(Holder, int(known.holder())).email = "Jan@DeVries.example"
        for each in session.scalars(select(Invitation)):
            each.accepted_by_id = None
    end(known, int(known.holder()))
    assert EMAIL not in everything(known).casefold()


def test_somebody_who_works_here_too_keeps_their_name_as_a_colleague(known: Books) -> None:
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
        assert extent(session, bakery.id, who, bakery.house.at()).elsewhere == ("Café",)
    done = end(bakery, who)
    assert not done.everywhere
    assert bakery.record().shares[str(who)].name is None, "here nobody reads the name any more"
    assert cafe.record().shares[str(who)].name == NAME
    assert cafe.row() == "r11"
    observe(cafe.services, cafe.grant().id, cafe.house.at())
    end(cafe, who)
    assert NAME not in everything(cafe) and EMAIL not in everything(cafe)


def invite(books: Books, *more: Books) -> int:
    with books.services.store.write() as session:
        invitation, _ = ask_for(
            session,
            books.house.at(),
            administration_id=books.id,
            purpose=Purpose.CONNECT,
            email=EMAIL,
            name=CALLED,
            locale="nl",
            connections=[each.connection().id for each in (books, *more)],
        )
        return invitation.id


def test_who_was_only_asked_elsewhere_can_still_answer_there(house: House) -> None:
    """No access there yet: the invitation, its link and its mail are that administration's."""
    bakery = house.books(
        jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    cafe = house.books(journals=[BAKERY], name="Café")
    who, number = int(bakery.holder()), invite(cafe)
    sent = mail(cafe, EMAIL, "Geef toestemming", name=CALLED, invitation_id=number)
    with house.services.store.read() as session:
        assert extent(session, bakery.id, who, house.at()).elsewhere == ("Café",)
    assert end(bakery, who).everywhere is False
    with house.services.store.read() as session:
        invitation = session.get_one(Invitation, number)
        assert (invitation.email, invitation.name) == (EMAIL, CALLED)
        assert invitation.withdrawn_at is None
        assert len(session.scalars(select(InvitationLink)).all()) == 1
        assert session.get_one(Mail, sent).sealed != ""
        assert session.get_one(Holder, who).name == NAME
    house.later(days=15)
    delete_old(house.services, house.at())
    with house.services.store.read() as session:
        assert session.get_one(Holder, who).name == "", "it came to nothing"


def test_an_invitation_of_several_books_goes_on_for_the_others(house: House) -> None:
    bakery = house.books(
        jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    cafe = house.books(journals=[BAKERY], name="Café")
    number = invite(bakery, cafe)
    end(bakery, int(bakery.holder()))
    with house.services.store.read() as session:
        invitation = session.get_one(Invitation, number)
        assert (invitation.administration_id, invitation.withdrawn_at) == (cafe.id, None)
        assert invitation.email == EMAIL
        asked = session.scalars(select(InvitationAccount.connection_id)).all()
        assert asked == [cafe.connection().id]


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> threading.Thread:
    """Begins when it is decided what goes, and has time to get in between."""
    other, wipe = threading.Thread(target=act), forgetting._wipe

    def slow(*args: Any, **more: Any) -> None:
        if not other.ident:
            other.start()
            other.join(1)
        wipe(*args, **more)

    monkeypatch.setattr(forgetting, "_wipe", slow)
    return other


def test_two_administrations_that_forget_at_once_leave_nothing(
    two: tuple[Books, Books], monkeypatch: pytest.MonkeyPatch
) -> None:
    who, done = int(two[0].holder()), []
    other = meanwhile(monkeypatch, lambda: done.append(end(two[1], who)))
    done.append(end(two[0], who))
    other.join(30)
    assert sorted(each.everywhere for each in done) == [False, True]
    assert NAME not in everything(two[0]) and EMAIL not in everything(two[0])


def test_who_gives_access_elsewhere_at_that_very_moment_has_a_name_there(
    known: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administration that reads knows of whom."""
    who, house = int(known.holder()), known.house
    cafe = house.books(journals=[BAKERY], name="Café")
    answer = cafe.visit(cafe.depart(Action.GRANT), tick=[BAKERY])
    other = meanwhile(monkeypatch, lambda: cafe.come_back(answer))
    end(known, who)
    other.join(30)
    assert cafe.grant().state == "active"
    assert cafe.record().shares[str(who)].name == NAME
    with house.services.store.read() as session:
        assert session.get_one(Holder, who).email == EMAIL


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
    end(known, who, seen=permission(known))
    with pytest.raises(Refused):
        end(known, who)
