"""The outbox as people see it: what went out and what did not, for whom it is, and the mail itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from banklink.actions.outbox import deliver, queue, wipe
from banklink.core.deliveries import Delivery, Stage
from banklink.core.invitations import Purpose
from banklink.mail.invitations import invitation_letter
from banklink.mail.smtp import Smtp
from banklink.mail.voice import Voice
from banklink.settings import SmtpSettings
from banklink.store.models import Mail
from banklink.web.mail_words import WHY, state_of, why
from tests.support.mailbox import Mailbox, mailbox_fixture
from tests.support.office import Guest, Office, opened
from tests.web.conftest import soup, words

__all__ = ["mailbox_fixture"]

TOKEN = "canary-token-Zt8Vb2uH4nK7sPw1"


@pytest.fixture
def office(tmp_path: Path, mailbox: Mailbox) -> Iterator[Office]:
    with opened(tmp_path / "with", **mailbox.settings) as found:
        yield found


@pytest.fixture
def postless(tmp_path: Path) -> Iterator[Office]:
    with opened(tmp_path / "without") as found:
        yield found


def write(office: Office, administration_id: int | None, **more: Any) -> int:
    message = more.pop("message", "")
    letter = invitation_letter(
        Purpose.CONNECT,
        Voice("nl"),
        name="Jan",
        office="Kantoor Sanne",
        sender="Sanne",
        administrations=[more.pop("firm", "Bakkerij")],
        accounts=[],
        bank=None,
        url=f"https://bank.example.nl/invitation/{TOKEN}",
        until=office.at().today,
        provider="App",
        app="Banklink",
        message=message,
    )
    values = {"kind": "invitation", "email": "jan@devries.example", "name": "Jan de Vries", **more}
    with office.services.store.write() as session:
        made = queue(
            session,
            office.services,
            letter,
            office.at(),
            administration_id=administration_id,
            **values,
        )
        assert made is not None
        return int(made.id)


def set_(office: Office, mail_id: int, **values: Any) -> None:
    with office.services.store.write() as session:
        for name, value in values.items():
            setattr(session.get_one(Mail, mail_id), name, value)


def listed(guest: Guest) -> list[str]:
    return [words(each) for each in soup(guest.get("/outbox")).select(".mails > li")]


def raw(guest: Guest, path: str) -> TestResponse:
    """A mail is no page of ours: it is not held against what a page must have."""
    base = guest.application.config["OFFICE"]
    return FlaskClient.open(guest, path, base_url=base, buffered=True)


# -- the list ------------------------------------------------------------------------------------


def test_the_list_says_of_each_mail_how_it_fares(office: Office, mailbox: Mailbox) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = office.signed_in("sanne@kantoor.nl")
    assert "Nog geen mails" in words(soup(guest.get("/outbox")).main)
    write(office, books)
    assert "Te versturen" in listed(guest)[0]
    deliver(office.services, office.at())
    assert "Verstuurd" in listed(guest)[0]
    assert "Jan de Vries <jan@devries.example> · Bakkerij De Vries" in listed(guest)[0]
    write(office, books, email="weg@devries.example")
    mailbox.once["RCPT"] = "450 4.2.1 greylisted"
    deliver(office.services, office.at())
    first = listed(guest)[0]
    assert "Lukt nog niet" in first and "neemt nu niets aan voor dit adres (450 4.2.1)" in first
    assert re.search(r"volgende poging \d\d:\d\d", first)
    mailbox.once["RCPT"] = "550 5.1.1 no canary-server-text here"
    office.clock.later += timedelta(minutes=2)
    deliver(office.services, office.at())
    first = listed(guest)[0]
    assert "Geweigerd de mailserver weigert dit adres (550 5.1.1)" in first
    assert "canary-server-text" not in guest.get("/outbox").text
    assert "Mails gaan via 127.0.0.1, vanaf post@kantoor.example." in words(
        soup(guest.get("/outbox")).main
    )


def test_without_a_mail_server_a_mail_is_there_to_be_copied(postless: Office) -> None:
    books, _ = postless.administration("Bakkerij De Vries")
    postless.user("sanne@kantoor.nl", {books: "bookkeeper"}, owner=True)
    guest = postless.signed_in("sanne@kantoor.nl")
    number = write(postless, books, message="Tot maandag!")
    page = soup(guest.get("/outbox"))
    assert "Er is geen mailserver ingesteld" in words(page.main)
    assert "BANKLINK_SMTP_HOST" in words(page.main)
    assert "Klaar om te kopiëren" in listed(guest)[0]
    assert not page.select("main form[method=post]")
    mail = soup(guest.get(f"/outbox/{number}"))
    assert mail.select_one("#mail-email")["value"] == "jan@devries.example"
    assert mail.select_one("#mail-subject")["value"] == words(mail.h1)
    text = mail.select_one("#mail-text").get_text()
    assert TOKEN in text and "> Tot maandag!" in text
    assert len(mail.select("button[data-copy]")) == 3
    assert not mail.select('[data-action="send"]')
    assert guest.press(f"/outbox/{number}/send").status_code == 409
    assert guest.press("/outbox/test").status_code == 409


def test_an_old_mail_waits_for_a_person_after_a_mail_server_was_set(
    office: Office, mailbox: Mailbox
) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    number = write(office, books)
    office.clock.later += timedelta(days=2, minutes=1)
    assert deliver(office.services, office.at()) == 0
    guest = office.signed_in("sanne@kantoor.nl")
    page = soup(guest.get("/outbox"))
    assert "dagenlang niet worden verstuurd" in words(page.main)
    button = page.select_one(f"#mail-{number}-send")
    assert words(button) == "Versturen"
    answer = guest.press(f"/outbox/{number}/send", {"copies": "0"})
    assert answer.status_code == 303
    assert "binnen een minuut" in words(soup(guest.get(answer.location)).main)
    assert deliver(office.services, office.at()) == 1
    assert TOKEN in mailbox.only().text


def test_a_long_list_is_read_page_by_page(office: Office) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = office.signed_in("sanne@kantoor.nl")
    numbers = [write(office, books) for _ in range(120)]
    found, address, pages = [], "/outbox", 0
    while address:
        page = soup(guest.get(address))
        found += [int(str(each["id"]).removeprefix("mail-")) for each in page.select(".mails > li")]
        older = page.select_one("#next")
        address, pages = (str(older["href"]) if older else ""), pages + 1
    assert (found, pages) == (numbers[::-1], 3)
    for odd in ("x", "-1", "0", "99999999999999999999"):
        assert guest.get(f"/outbox?before={odd}").status_code == 200


# -- who may see what ----------------------------------------------------------------------------


def test_a_mail_is_shown_only_to_who_could_have_written_it(office: Office) -> None:
    """The links in it let people in."""
    books, _ = office.administration("Bakkerij De Vries")
    other, _ = office.administration("Café Noord")
    people = {
        "reader": office.user("reader@k.nl", {books: "reader", other: "bookkeeper"}),
        "bookkeeper": office.user("bookkeeper@k.nl", {books: "bookkeeper"}),
        "administrator": office.user("administrator@k.nl", {books: "administrator"}),
        "owner": office.user("owner@k.nl", {other: "bookkeeper"}, owner=True),
        "nobody": office.user("nobody@k.nl"),
    }
    mails = {
        "books": write(office, books),
        "other": write(office, other),
        "installation": write(office, None),
        "digest": write(office, books, user_id=people["administrator"]),
        "own": write(office, None, user_id=people["nobody"]),
    }
    may = {
        "reader": {"other"},
        "bookkeeper": {"books"},
        "administrator": {"books", "digest"},
        "owner": {"other", "installation"},
        "nobody": {"own"},
    }
    for who, allowed in may.items():
        guest = office.signed_in(f"{who}@k.nl")
        shown = {str(each["id"]) for each in soup(guest.get("/outbox")).select(".mails > li")}
        assert shown == {f"mail-{mails[name]}" for name in allowed}, who
        for name, number in mails.items():
            status = 200 if name in allowed else 404
            assert guest.get(f"/outbox/{number}").status_code == status, (who, name)
            html = raw(guest, f"/outbox/{number}/html")
            assert html.status_code == status
            assert (TOKEN in html.text) is (name in allowed)
            if name not in allowed:
                assert guest.press(f"/outbox/{number}/send").status_code == 404
    assert office.guest().get(f"/outbox/{mails['books']}").status_code == 303


# -- one mail ------------------------------------------------------------------------------------


def test_the_mail_is_shown_in_a_frame_that_can_do_nothing(office: Office) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = office.signed_in("sanne@kantoor.nl")
    number = write(office, books, message="<script>alert(1)</script>")
    page = guest.get(f"/outbox/{number}")
    frame = soup(page).select_one("iframe")
    assert frame["src"] == f"/outbox/{number}/html"
    assert frame.has_attr("sandbox") and not frame["sandbox"]
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    html = raw(guest, str(frame["src"]))
    policy = html.headers["Content-Security-Policy"]
    assert {each.strip() for each in policy.split(";")} == {
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "sandbox",
    }
    assert html.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert html.headers["Cache-Control"] == "no-store"
    assert "<script" not in html.text
    assert '<base target="_blank">' in html.text, "a link would open within the frame"
    for address in ("/outbox", "/"):
        other = guest.get(address)
        assert other.headers["X-Frame-Options"] == "DENY"
        assert "frame-src" not in other.headers["Content-Security-Policy"]


def test_what_was_sent_can_be_sent_again_and_twice_pressed_goes_once(
    office: Office, mailbox: Mailbox
) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = office.signed_in("sanne@kantoor.nl")
    number = write(office, books)
    deliver(office.services, office.at())
    page = soup(guest.get(f"/outbox/{number}"))
    button = page.select_one('[data-action="send"]')
    assert words(button) == "Opnieuw versturen"
    copies = str(button.find_parent("form").select_one('[name="copies"]')["value"])
    answers = {guest.press(f"/outbox/{number}/send", {"copies": copies}).location for _ in "12"}
    assert len(answers) == 1
    deliver(office.services, office.at())
    assert len(mailbox.letters) == 2
    again = soup(guest.get(f"/outbox/{number}")).select_one('[name="copies"]')
    assert str(again["value"]) == "1"
    assert guest.press(f"/outbox/{number}/send", {"copies": "٣"}).status_code == 303


def test_a_mail_that_somebody_sent_themselves_counts_as_sent_and_never_goes_by_itself(
    postless: Office, mailbox: Mailbox
) -> None:
    books, _ = postless.administration("Bakkerij De Vries")
    postless.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = postless.signed_in("sanne@kantoor.nl")
    number = write(postless, books)
    page = soup(guest.get(f"/outbox/{number}"))
    assert "BANKLINK_" not in words(soup(guest.get("/outbox")).main), "that is for the owner"
    assert words(page.select_one('[data-action="sent"]')) == "Ik heb hem zelf verstuurd"
    for _time in range(2):
        answer = guest.press(f"/outbox/{number}/sent")
        assert answer.status_code == 303
    page = soup(guest.get(answer.location))
    assert "Zelf verstuurd door Sanne" in words(page.select_one(".mail-state"))
    assert not page.select('[data-action="sent"]')
    assert "Zelf verstuurd door Sanne" in listed(guest)[0]
    assert "Niet verstuurd" not in listed(guest)[0]
    later = dataclasses.replace(
        postless.services,
        post=Smtp(SmtpSettings(mailbox.host, mailbox.port, "none", "post@kantoor.example")),
    )
    assert deliver(later, postless.at()) == 0 and mailbox.letters == []


def test_what_the_server_took_cannot_be_called_sent_by_hand(office: Office) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    office.user("eva@kantoor.nl")
    number = write(office, books)
    deliver(office.services, office.at())
    answer = office.signed_in("sanne@kantoor.nl").press(f"/outbox/{number}/sent")
    assert answer.status_code == 409 and "al verstuurd" in words(soup(answer).main)
    assert office.signed_in("eva@kantoor.nl").press(f"/outbox/{number}/sent").status_code == 404


@pytest.mark.parametrize("owner", [True, False])
def test_one_section_is_the_current_one(office: Office, owner: bool) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "administrator"}, owner=owner)
    page = soup(office.signed_in("sanne@kantoor.nl").get("/outbox"))
    (current,) = page.select('nav.sections [aria-current="page"]')
    assert (words(current) == "Instellingen") is owner


def test_a_wiped_mail_says_so_and_cannot_be_sent(office: Office) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = office.signed_in("sanne@kantoor.nl")
    number = write(office, books)
    deliver(office.services, office.at())
    office.clock.later += timedelta(days=31)
    assert wipe(office.services, office.at()) == 1
    guest = office.signed_in("sanne@kantoor.nl")
    assert "inhoud gewist" in listed(guest)[0]
    page = soup(guest.get(f"/outbox/{number}"))
    assert "30 dagen" in words(page.main)
    assert not page.select("iframe, textarea, [data-action='send']")
    assert raw(guest, f"/outbox/{number}/html").status_code == 404
    answer = guest.press(f"/outbox/{number}/send")
    assert answer.status_code == 409 and "na 30 dagen gewist" in words(soup(answer).main)


def test_a_mail_under_keys_that_are_gone_is_said_to_be(office: Office) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "bookkeeper"})
    guest = office.signed_in("sanne@kantoor.nl")
    number = write(office, books)
    set_(office, number, sealed="gAAAAABnot-ours")
    assert "inhoud" in listed(guest)[0]
    assert "ingestelde sleutels" in words(soup(guest.get(f"/outbox/{number}")).main)


# -- the test mail -------------------------------------------------------------------------------


def test_the_owner_sends_a_test_mail_to_themselves_and_hears_what_the_server_says(
    office: Office, mailbox: Mailbox
) -> None:
    office.user("owner@kantoor.nl", owner=True)
    guest = office.signed_in("owner@kantoor.nl")
    assert soup(guest.get("/outbox")).select_one("#test") is not None
    page = soup(guest.press("/outbox/test"))
    assert "heeft de proefmail aan owner@kantoor.nl aangenomen" in words(page.main)
    letter = mailbox.only()
    assert letter.recipients == ("owner@kantoor.nl",)
    assert letter.subject == "Proefmail van Banklink"
    mailbox.once["MAIL"] = "530 5.7.0 canary-server-text"
    page = guest.press("/outbox/test")
    assert "aanvaardt onze naam en ons wachtwoord niet (530 5.7.0)" in words(soup(page).main)
    assert "canary" not in page.text
    mailbox.once["RCPT"] = "hang up"
    assert "verbrak de verbinding" in words(soup(guest.press("/outbox/test")).main)


def test_only_an_owner_sends_a_test_mail(office: Office, mailbox: Mailbox) -> None:
    books, _ = office.administration("Bakkerij De Vries")
    office.user("sanne@kantoor.nl", {books: "administrator"})
    guest = office.signed_in("sanne@kantoor.nl")
    assert soup(guest.get("/outbox")).select_one("#test") is None
    assert guest.press("/outbox/test").status_code == 403
    assert mailbox.letters == []


# -- words ---------------------------------------------------------------------------------------


def test_every_code_has_its_words(office: Office) -> None:
    with office.parts.web.test_request_context("/"):
        for word in WHY:
            assert why(word) != word
        assert why("recipient 550 5.1.1").endswith("(550 5.1.1)")
        assert why("recipient 450") != why("recipient 550")
        assert why("a-newer-word 5") == "a-newer-word 5"
        for stage in Stage:
            found = state_of(
                Delivery(1, stage, "x", office.at().now, office.at().now, 1, None, None),
                office.at(),
                posts=False,
            )
            assert found.label
