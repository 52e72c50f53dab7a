"""Asking the account holder: what is typed, what a link says to whom, and what it never does.

The browsers here have no JavaScript. How rows are mended by mail, with two people at two browsers:
tests/browser/test_by_mail.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from banklink.actions import invite as inviting
from banklink.core.invitations import Purpose
from banklink.store.models import (
    Administration,
    Attempt,
    Connection,
    Grant,
    Holder,
    Invitation,
    InvitationLink,
    Mail,
    SignInTry,
)
from banklink.web.landing import LIMIT
from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, field, row_of, soup, visitor_of, words

LETTER = {
    "email": "karel@zuid.example",
    "name": "Karel Zuid",
    "locale": "nl",
    "message": "Hoi Karel,\nwil jij dit doen?",
    "arm": "1",
}


@pytest.fixture(autouse=True)
def rested(house: TestHouse) -> Iterator[None]:
    """Each test starts with nobody asked, and has its own tries."""
    LIMIT._seen.clear()
    with house.services.store.write() as session:
        session.query(SignInTry).delete()
        for each in session.query(Invitation).filter(
            Invitation.accepted_at.is_(None), Invitation.withdrawn_at.is_(None)
        ):
            each.withdrawn_at = house.at().now
        for connection in session.query(Connection).filter(Connection.switch == "never"):
            connection.armed = False
    yield


@pytest.fixture
def stranger(house: TestHouse) -> Visitor:
    return visitor_of(house)


def ask(
    visitor: Visitor, books: Books, example: str, action: str = "repair", **changes: str
) -> TestResponse:
    """Send what the letter's form holds when it opens, with these changes."""
    number = books.id(example)
    typed = {**LETTER, "version": books.version(example), "accounts": str(number)}
    return visitor.press(f"/connections/{number}/{action}", {**typed, **changes})


def link_for(visitor: Visitor, books: Books, name: str = "unticked", **changes: str) -> str:
    """A link made in the row, and read off the page it is shown on."""
    answer = ask(visitor, books, name, how="link", **changes)
    assert answer.status_code == 303, words(soup(answer).main)
    row = row_of(visitor.get(answer.location), books.id(name))
    shown = row.select_one("input[readonly]")
    assert shown is not None
    return "/" + str(shown["value"]).split("/", 3)[3]


def count(house: TestHouse, model: type) -> int:
    with house.services.store.read() as session:
        return int(session.scalar(select(func.count()).select_from(model)) or 0)


def newest(house: TestHouse) -> Invitation:
    with house.services.store.read() as session:
        found = session.scalars(select(Invitation).order_by(Invitation.id.desc())).first()
        assert found is not None
        return found


# -- what is typed ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("email", "", "Vul een e-mailadres in."),
        ("email", "karel", "Dit is geen e-mailadres."),
        ("email", "karel@zuid.example, piet@elders.example", "Dit is geen e-mailadres."),
        ("email", "karel@zuid.example\r\nBcc: iedereen@elders.example", "Dit is geen e-mailadres."),
        ("name", " ", "Vul een naam in."),
        ("name", "Karel\u2028Zuid\x00", "Een naam heeft hoogstens 100 letters"),
        ("message", "x" * 2001, "Dat is te lang voor een mail"),
        ("message", "Hoi\x07Karel", "Er zit een teken in dat niet in een mail past."),
        ("locale", "xx", "Kies een van de talen."),
    ],
)
def test_what_cannot_be_sent_is_said_at_the_field_and_nothing_is_lost(
    visitor: Visitor, books: Books, house: TestHouse, name: str, value: str, said: str
) -> None:
    before = count(house, Invitation), count(house, Mail)
    answer = ask(visitor, books, "unticked", **{name: value})
    assert answer.status_code == 422
    row = row_of(answer, books.id("unticked"))
    wrong = row.select_one(f'.field.wrong[data-field="{name}"] .error')
    assert wrong is not None and said in words(wrong)
    for kept in ("email", "name"):
        if kept != name:
            assert field(row, kept) == LETTER[kept]
    assert (count(house, Invitation), count(house, Mail)) == before


def test_a_line_break_in_a_name_becomes_no_header(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    answer = ask(visitor, books, "unticked", name="Karel\r\nBcc: iedereen@elders.example")
    assert answer.status_code == 303
    assert newest(house).name == "Karel Bcc: iedereen@elders.example"
    with house.services.store.read() as session:
        mail = session.scalars(select(Mail).order_by(Mail.id.desc())).first()
        assert mail is not None and "\n" not in mail.name and "\n" not in mail.email


def test_nobody_is_invited_twice_for_the_same(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    assert ask(visitor, books, "unticked").status_code == 303
    mails = count(house, Mail)
    again = ask(visitor, books, "unticked")
    assert again.status_code == 422
    row = row_of(again, books.id("unticked"))
    assert "is hier al voor gevraagd" in words(row)
    assert field(row, "name") == LETTER["name"]
    assert count(house, Mail) == mails
    # Somebody else may be, and the same person for another purpose.
    assert ask(visitor, books, "unticked", email="els@zuid.example").status_code == 303
    assert ask(visitor, books, "not_linked", "invite").status_code == 303


def test_whoever_sends_by_the_hundred_is_stopped_and_keeps_what_was_typed(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    codes = [
        ask(visitor, books, "unticked", email=f"karel{n}@zuid.example").status_code
        for n in range(62)
    ]
    assert codes == [303] * 60 + [422] * 2
    last = ask(visitor, books, "unticked", email="karel99@zuid.example")
    row = row_of(last, books.id("unticked"))
    assert "heel veel uitnodigingen" in words(row)
    assert field(row, "email") == "karel99@zuid.example"


def test_it_is_not_sent_again_by_the_minute(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    ask(visitor, books, "unticked")
    connection = books.id("unticked")
    mails = count(house, Mail)
    data = {"invitation": str(newest(house).id), "version": books.version("unticked")}
    answer = visitor.press(f"/connections/{connection}/invitation/again", data)
    row = row_of(visitor.get(answer.location), connection)
    assert "nog geen minuut geleden" in words(row)
    assert count(house, Mail) == mails


def test_an_invitation_of_another_row_is_not_touched_from_this_one(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    ask(visitor, books, "unticked")
    strange = str(newest(house).id)
    ask(visitor, books, "not_linked", "invite", email="els@zuid.example")
    data = {"invitation": strange, "version": books.version("not_linked")}
    answer = visitor.press(f"/connections/{books.id('not_linked')}/invitation/withdraw", data)
    assert "afgelopen" in words(row_of(visitor.get(answer.location), books.id("not_linked")))
    with house.services.store.read() as session:
        assert session.get_one(Invitation, int(strange)).withdrawn_at is None


# -- where the link leads -----------------------------------------------------------------------


def test_the_page_says_who_asks_for_what_and_gives_two_answers_of_the_same_weight(
    visitor: Visitor, stranger: Visitor, books: Books
) -> None:
    page = soup(stranger.get(link_for(visitor, books)))
    text = words(page.main)
    assert "Sanne Jansen" in words(page.h1) and "Bakkerij De Vries" in words(page.h1)
    assert "betalen kan niet" in text and "Geldig t/m" in text
    assert books.connection("unticked").iban not in str(page)
    assert "•" in text and "45 67" in text.replace("\xa0", " ")
    assert "Hoi Karel," in text
    yes, no = (page.select_one(f'[data-action="{each}"]') for each in ("allow", "decline"))
    assert yes and no and yes["class"] == no["class"]
    assert not page.select("nav, .user"), "a stranger sees nothing of who is signed in here"


def test_looking_changes_nothing_whatever_looks(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    """Mail scanners open every link, some of them several times."""
    address = link_for(visitor, books)
    written: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(statement)

    engine = house.services.store.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        for _ in range(3):
            assert stranger.get(address).status_code == 200
            assert stranger.head(address).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert written == []
    assert "nog niet klaar" not in words(row_of(visitor.get("/"), books.id("unticked")))


def test_a_link_that_is_not_one_helps_on(visitor: Visitor, stranger: Visitor, books: Books) -> None:
    address = link_for(visitor, books)
    for wrong in (address[:-1], address + "A", "/invitation/x", "/invitation/" + "ö" * 40):
        for answer in (stranger.get(wrong), stranger.press(f"{wrong}/allow")):
            assert answer.status_code == 404, wrong
            assert "Deze link werkt niet" in words(soup(answer).main)


def press(stranger: Visitor, address: str, what: str) -> TestResponse:
    return stranger.press(f"{address}/{what}")


def test_whoever_says_no_is_believed(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    address = link_for(visitor, books)
    assert press(stranger, address, "decline").status_code == 303
    answer = stranger.get(address)
    assert answer.status_code == 410
    assert "geen toestemming gegeven" in words(soup(answer).main)
    attempts = count(house, Attempt)
    assert press(stranger, address, "allow").status_code == 410
    assert count(house, Attempt) == attempts
    row = row_of(visitor.get("/"), books.id("unticked"))
    assert "Karel Zuid gaf geen toestemming" in words(row)
    assert press(stranger, address, "reopen").status_code == 303, "and may still say yes"
    assert stranger.get(address).status_code == 200


def test_a_withdrawn_link_lets_nobody_in(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    address = link_for(visitor, books)
    data = {"invitation": str(newest(house).id), "version": books.version("unticked")}
    visitor.press(f"/connections/{books.id('unticked')}/invitation/withdraw", data)
    answer = stranger.get(address)
    assert answer.status_code == 410 and "ingetrokken" in words(soup(answer).main)
    assert press(stranger, address, "allow").status_code == 410
    assert "Uitnodiging" not in words(row_of(visitor.get("/"), books.id("unticked")))


def test_who_comes_too_late_asks_for_a_new_link_in_one_press(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    address = link_for(visitor, books, email="laat@zuid.example")
    with house.services.store.write() as session:
        invitation = session.get_one(Invitation, newest(house).id)
        invitation.expires_at = house.at().now - timedelta(days=1)
    answer = stranger.get(address)
    assert answer.status_code == 410 and "verlopen" in words(soup(answer).main)
    assert press(stranger, address, "allow").status_code == 410
    for _ in range(2):
        assert press(stranger, address, "ask").status_code == 303
    assert "weet dat je een nieuwe wilt" in words(soup(stranger.get(address)).main)
    with house.services.store.read() as session:
        told = session.scalars(select(Mail).where(Mail.kind == "asked_again")).all()
        assert [each.email for each in told] == ["sanne@kantoorjansen.example"]
    row = row_of(visitor.get("/"), books.id("unticked"))
    assert "Karel Zuid vraagt om een nieuwe link" in words(row)
    data = {"invitation": str(newest(house).id), "version": books.version("unticked")}
    visitor.press(f"/connections/{books.id('unticked')}/invitation/again", data)
    assert stranger.get(address).status_code == 200, "older mails lead to it again too"


def test_a_click_leads_to_the_app_and_nothing_is_shared_by_it(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    address = link_for(visitor, books)
    grants = count(house, Grant)
    answer = press(stranger, address, "allow")
    assert answer.status_code == 200
    target = str(soup(answer).select_one("#go")["href"])  # type: ignore[index]
    assert target.startswith(f"{house.bank_origin}/oauth2/auth?")
    assert books.connection("unticked").iban not in target
    assert count(house, Grant) == grants
    with house.services.store.read() as session:
        attempt = session.scalars(select(Attempt).order_by(Attempt.id.desc())).first()
        assert attempt is not None and attempt.consent["text"] and attempt.consent["hash"]
        assert attempt.invitation_id == newest(house).id


def test_of_several_accounts_one_has_to_be_chosen_and_none_is_beforehand(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    answer = visitor.press(
        f"/connections/{books.id('unticked')}/repair",
        {
            **LETTER,
            "version": books.version("unticked"),
            "how": "link",
            "accounts": [str(books.id("unticked")), str(books.id("not_ticked"))],
        },
    )
    row = row_of(visitor.get(answer.location), books.id("unticked"))
    url = str(row.select_one("input[readonly]")["value"])  # type: ignore[index]
    address = "/" + url.split("/", 3)[3]
    page = soup(stranger.get(address))
    boxes = page.select("input[type=checkbox]")
    assert len(boxes) == 2 and not any(box.has_attr("checked") for box in boxes)
    refused = press(stranger, address, "allow")
    assert refused.status_code == 422
    assert "Kies minstens één rekening" in words(soup(refused).main)
    chosen = stranger.press(f"{address}/allow", {"account": boxes[0]["value"]})
    assert chosen.status_code == 200


def test_very_many_from_one_address_wait_a_minute(stranger: Visitor) -> None:
    codes = [stranger.get(f"/invitation/{n}").status_code for n in range(130)]
    assert codes == [404] * 120 + [429] * 10
    answer = stranger.get("/invitation/x")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "Wacht een minuut" in words(soup(answer).main)


def test_no_token_is_stored_or_logged(
    visitor: Visitor,
    stranger: Visitor,
    books: Books,
    house: TestHouse,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = link_for(visitor, books)
    token = address.rpartition("/")[2]
    stranger.get(address)
    press(stranger, address, "decline")
    with house.services.store.read() as session:
        hashes = set(session.scalars(select(InvitationLink.token_hash)))
        assert hashes and not any(token in each for each in hashes)
        sealed = "".join(session.scalars(select(Mail.sealed)))
        assert token not in sealed
    assert token not in caplog.text


# -- Onderhoud | Ondernemersapp -----------------------------------------------------------------


def test_the_list_says_how_each_invitation_stands_and_what_each_shares(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    page = soup(visitor.get("/holders"))
    jan = next(li for li in page.select(".holders > li") if "Jan de Vries" in words(li))
    assert "NL31" in words(jan) and "Verbonden met bank" in words(jan)
    badge = page.select_one("#badge")
    assert badge is not None and re.match(r"\d+ acties vereist", words(badge))
    assert "filter=todo" in str(badge["href"])
    todo = len(soup(visitor.get(str(badge["href"]))).select("tbody.connection"))
    assert words(badge).startswith(str(todo))

    answer = visitor.press(
        "/administrations/1/holders/invite", {**LETTER, "accounts": str(books.id("not_linked"))}
    )
    assert answer.status_code == 303
    first = soup(visitor.get("/holders")).select(".invitations > li")[0]
    assert first["data-state"] == "sent" and "Karel Zuid" in words(first)
    assert "Nog niet verstuurd" in words(first), "no mail server is set up here"
    number = str(first["id"]).removeprefix("invitation-")
    visitor.press(f"/administrations/1/invitations/{number}/withdraw")
    first = soup(visitor.get("/holders")).select(".invitations > li")[0]
    assert first["data-state"] == "withdrawn" and not first.select("button")
    assert visitor.press(f"/administrations/2/invitations/{number}/again").status_code == 404


def test_an_invitation_asks_for_at_least_one_account(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    answer = visitor.press("/administrations/1/holders/invite", LETTER)
    assert answer.status_code == 422
    assert "Kies minstens één rekening" in words(soup(answer).main)
    assert field(soup(answer).main, "email") == LETTER["email"]
    foreign = visitor.press(
        "/administrations/2/holders/invite", {**LETTER, "accounts": str(books.id("not_linked"))}
    )
    assert foreign.status_code == 404


def test_asking_switches_on_afterwards_only_where_that_was_wanted(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    ask(visitor, books, "not_linked", "invite", arm="")
    assert not books.connection("not_linked").armed
    ask(visitor, books, "not_linked", "invite", email="els@zuid.example")
    found: Connection = books.connection("not_linked")
    assert found.armed and found.armed_start is not None


# -- while somebody is on the way ---------------------------------------------------------------


def departed(house: TestHouse) -> Attempt:
    with house.services.store.read() as session:
        found = session.scalars(select(Attempt).order_by(Attempt.id.desc())).first()
        assert found is not None
        return found


@pytest.mark.parametrize("how", ["withdrawn", "declined"])
def test_who_is_on_the_way_when_it_ends_changes_nothing_any_more(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse, how: str
) -> None:
    address = link_for(visitor, books)
    target = str(soup(press(stranger, address, "allow")).select_one("#go")["href"])  # type: ignore[index]
    state = re.search(r"state=([^&]+)", target)
    assert state is not None
    if how == "declined":
        press(stranger, address, "decline")
    else:
        data = {"invitation": str(newest(house).id), "version": books.version("unticked")}
        visitor.press(f"/connections/{books.id('unticked')}/invitation/withdraw", data)
    assert departed(house).outcome == "withdrawn"
    grants = count(house, Grant)
    back = stranger.get(
        f"/returned/ponto?state={state[1]}&code=whatever&iss={house.bank_origin}",
        follow_redirects=True,
    )
    assert back.status_code == 200
    said = "ingetrokken" if how == "withdrawn" else "geen toestemming gegeven"
    assert said in words(soup(back).main)
    assert count(house, Grant) == grants
    with house.services.store.read() as session:
        assert session.get_one(Invitation, newest(house).id).accepted_at is None


def test_an_answer_that_cannot_be_used_leads_back_to_the_mail(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    """Whoever was invited has no list to start again from."""
    address = link_for(visitor, books)
    target = str(soup(press(stranger, address, "allow")).select_one("#go")["href"])  # type: ignore[index]
    state = re.search(r"state=([^&]+)", target)
    assert state is not None
    with house.services.store.write() as session:
        session.get_one(Attempt, departed(house).id).expires_at = house.at().real
    answer = stranger.get(f"/returned/ponto?state={state[1]}&code=x&iss={house.bank_origin}")
    text = words(soup(answer).main)
    assert answer.status_code == 400 and "langer dan een uur" in text and "mail" in text
    assert "lijst" not in text


def test_what_no_number_can_be_is_no_choice(
    visitor: Visitor, stranger: Visitor, books: Books
) -> None:
    both = [str(books.id("unticked")), str(books.id("not_ticked"))]
    answer = visitor.press(
        f"/connections/{books.id('unticked')}/repair",
        {**LETTER, "version": books.version("unticked"), "how": "link", "accounts": both},
    )
    row = row_of(visitor.get(answer.location), books.id("unticked"))
    address = "/" + str(row.select_one("input[readonly]")["value"]).split("/", 3)[3]  # type: ignore[index]
    assert stranger.press(f"{address}/allow", {"account": "9" * 5000}).status_code == 422


def test_a_request_pressed_twice_is_one_mail(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    connection = books.id("expired_with_rescue")
    mails = count(house, Mail)
    data = {"version": books.version("expired_with_rescue")}
    for _ in range(2):
        visitor.press(f"/connections/{connection}/request", data)
    assert count(house, Mail) == mails + 1
    data = {"version": books.version("expired_with_rescue")}
    answer = visitor.press(f"/connections/{connection}/request", data)
    row = row_of(visitor.get(answer.location), connection)
    assert "nog geen minuut geleden" in words(row)
    assert count(house, Mail) == mails + 1


def test_what_the_clock_wrote_does_not_stop_a_letter_in_person(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    """Nor does taking back one's own letter take back what the clock wrote."""
    address = link_for(visitor, books)
    clock = newest(house).id
    with house.services.store.write() as session:
        session.get_one(Invitation, clock).by_reminder = True
    assert ask(visitor, books, "unticked").status_code == 303
    own = newest(house).id
    assert own != clock
    data = {"invitation": str(own), "version": books.version("unticked")}
    visitor.press(f"/connections/{books.id('unticked')}/invitation/withdraw", data)
    assert stranger.get(address).status_code == 200


def test_who_never_gave_permission_is_not_asked_for_it_again(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    ask(visitor, books, "unticked")
    assert newest(house).purpose == "connect"
    ask(visitor, books, "unticked", email="piet@devries.example", name="Piet Bakker")
    assert newest(house).purpose == "repair"


def test_two_people_of_one_address_have_an_invitation_each(house: TestHouse) -> None:
    with house.services.store.write() as session:
        jan, piet = session.scalars(
            select(Holder.id).where(Holder.name.in_(("Jan de Vries", "Piet Bakker")))
        )
        made = {
            inviting.ask_for(
                session, house.at(), administration_id=1, purpose=Purpose.RENEW, bank="Demobank",
                email="info@devries.example", name="X", locale="nl", connections=[1],
                holder_id=holder, by_reminder=True,
            )[0].id
            for holder in (jan, piet, jan)
        }  # fmt: skip
    assert len(made) == 2


def test_somebody_elses_wish_for_a_new_link_of_the_clock_reaches_the_books(
    visitor: Visitor, stranger: Visitor, books: Books, house: TestHouse
) -> None:
    address = link_for(visitor, books, email="klok@zuid.example")
    with house.services.store.write() as session:
        made = session.get_one(Invitation, newest(house).id)
        made.by_reminder, made.created_by, made.created_by_id = True, None, None
        made.expires_at = house.at().now - timedelta(days=1)
    before = count(house, Mail)
    press(stranger, address, "ask")
    assert count(house, Mail) == before + 1
    assert "vraagt om een nieuwe link" in words(row_of(visitor.get("/"), books.id("unticked")))


def test_an_invitation_for_other_books_too_is_not_touched_by_who_works_in_one(
    visitor: Visitor, books: Books, house: TestHouse
) -> None:
    """A renewal may be one for several administrations."""
    with house.services.store.write() as session:
        at = house.at()
        other = Administration(reference="elsewhere", name="Elders BV")
        session.add(other)
        session.flush()
        connection = Connection(
            administration_id=other.id, iban="NL91ABNA0417164300", currency="EUR"
        )
        session.add(connection)
        session.flush()
        made, _token = inviting.ask_for(
            session, at, administration_id=1, purpose=Purpose.RENEW, bank="Demobank",
            email="jan@devries.example", name="Jan de Vries", locale="nl",
            connections=[books.id("expired_with_rescue"), connection.id], actor="Sanne Jansen",
        )  # fmt: skip
        number = made.id
    visitor.press(f"/administrations/1/invitations/{number}/withdraw")
    page = visitor.get("/holders")
    assert "boeken waar jij niet in werkt" in words(soup(page).main)
    with house.services.store.read() as session:
        assert session.get_one(Invitation, number).withdrawn_at is None
    shown = visitor.press(f"/administrations/1/invitations/{number}/link", {})
    assert "/invitation/" not in visitor.get(shown.location).text
