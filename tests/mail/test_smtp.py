"""What leaves is what arrives, at a real mail server: no name, subject or message becomes a header,
an error says whether it is worth trying again, and nothing goes where nobody is who they say."""

from __future__ import annotations

import dataclasses
import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banklink.mail import smtp
from banklink.mail.addresses import can_be_posted, one_line, wire_address
from banklink.mail.smtp import NotNow, Outgoing, Smtp, Unsendable
from banklink.settings import SmtpSettings
from tests.support.certificates import for_server
from tests.support.house import free_ports
from tests.support.mailbox import HANG_UP, Letter, Mailbox, mailbox, mailbox_fixture

__all__ = ["mailbox_fixture"]

SENT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MAIL = Outgoing(
    message_id="<0123456789abcdef@banklink.example.nl>",
    date=SENT,
    email="jan@devries.example",
    name="Jan de Vries",
    subject="Bankkoppeling Bakkerij De Vries: vernieuw je toestemming",
    text="Beste Jan,\n\nvernieuw je toestemming – het duurt ± 2 minuten.\n",
    html="<!doctype html><html lang='nl'><body><p>Beste Jan,</p></body></html>",
    reply_to="sanne@kantoor.example",
)
SECRET = "canary-password-77"
HEADERS = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
BODY = ["Content-Type", "MIME-Version"]
LINE_SEPARATOR, FROM_RIGHT, ZERO_WIDTH = "\u2028", "\u202e", "\u200b"


def post(box: Mailbox, **changes: Any) -> Smtp:
    settings = SmtpSettings(
        host="127.0.0.1",
        port=box.port,
        security="none",
        sender="post@kantoor.example",
        sender_name="Kantoor Sanne",
    )
    return Smtp(dataclasses.replace(settings, **changes), "banklink.example.nl")


def send(through: Smtp, *mails: Outgoing) -> None:
    with through.round() as one:
        for mail in mails:
            one(mail)


def changed(**values: Any) -> Outgoing:
    return dataclasses.replace(MAIL, **values)


# -- what arrives --------------------------------------------------------------------------------


def test_a_mail_arrives_as_it_was_written(mailbox: Mailbox) -> None:
    send(post(mailbox), MAIL)
    letter = mailbox.only()
    assert (letter.sender, letter.recipients) == ("post@kantoor.example", ("jan@devries.example",))
    message = letter.message
    assert sorted(message.keys()) == sorted(HEADERS + BODY)
    assert message["From"].addresses == (Address("Kantoor Sanne", "post", "kantoor.example"),)
    assert message["To"].addresses == (Address("Jan de Vries", "jan", "devries.example"),)
    assert message["Reply-To"].addresses == (Address("", "sanne", "kantoor.example"),)
    assert letter.subject == MAIL.subject
    assert parsedate_to_datetime(message["Date"]) == SENT
    assert message["Message-ID"] == MAIL.message_id
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert letter.text == MAIL.text
    assert letter.html.rstrip("\n") == MAIL.html
    assert letter.raw.isascii() and max(map(len, letter.raw.split(b"\r\n"))) <= 78


def test_who_may_unsubscribe_can_do_it_with_one_click(mailbox: Mailbox) -> None:
    address = "https://banklink.example.nl/reminders/" + "Yq3l9x0Zt8Vb2uH4nK7sPw1dRf6gJm5c" * 3
    send(post(mailbox), changed(unsubscribe=address))
    message = mailbox.only().message
    assert message["List-Unsubscribe"].strip() == f"<{address}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


ODD_NAMES = [
    'Jansen, Piet "de" <x@evil.example>',
    "A\r\nBcc: victim@evil.example",
    "A\nBcc: victim@evil.example\n\nBody",
    f"A{LINE_SEPARATOR}Bcc: victim@evil.example\x85X-Evil: 1",
    "A\x00B\x0bC\x0cD\x1bE",
    f"Jan {FROM_RIGHT}elpmaxe{ZERO_WIDTH}",
    "Jürgen Müller-Lüdenscheidt, geborene Größenwahn",
    "Ж" * 300,
    "=?utf-8?q?Bcc=3A_victim=40evil=2Eexample?=",
    "x" * 5000,
    'back\\slash "quoted" \\"',
    "@;:,<>()[]",
    "\ud800 alone",
    "👩‍👩‍👧 familie",
    "   ",
    "李, 小龍 \r\n <b@evil.example>",
]


def named(letter: Letter, header: str) -> tuple[str, str]:
    """Name and address as RFC 2047 has them; the newer reader of the standard library leaves a space
    between two halves of an encoded name."""
    ((name, address),) = getaddresses([str(message_from_bytes(letter.raw)[header])])
    return str(make_header(decode_header(name))), address


@pytest.mark.parametrize("odd", ODD_NAMES, ids=lambda odd: ascii(odd)[:40])
def test_an_odd_name_or_subject_stays_a_name_or_subject(mailbox: Mailbox, odd: str) -> None:
    send(post(mailbox, sender_name=odd), changed(name=odd, subject=odd))
    letter = mailbox.only()
    message = letter.message
    assert sorted(message.keys()) == sorted(HEADERS + BODY)
    assert letter.recipients == ("jan@devries.example",)
    for header, address in (("To", MAIL.email), ("From", "post@kantoor.example")):
        assert named(letter, header) == (one_line(odd, 100), address)
    assert letter.subject == one_line(odd, 200)
    assert letter.text == MAIL.text


@given(odd=st.text())
def test_no_text_at_all_becomes_a_header_or_a_second_recipient(odd: str) -> None:
    raw = Smtp(SmtpSettings("127.0.0.1", 25, "none", "post@kantoor.example", odd)).written(
        changed(name=odd, subject=odd, text=odd, html=odd)
    )
    head, _, _ = raw.partition(b"\r\n\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw)
    assert head.isascii()
    starts = [line.split(b":")[0].decode() for line in head.split(b"\r\n") if line[0] not in b" \t"]
    assert sorted(starts) == sorted(HEADERS + BODY)
    assert re.findall(rb"<([^<>]*@[^<>]*)>\r\n(?! )", head + b"\r\n")[:2] == [
        b"post@kantoor.example",
        b"jan@devries.example",
    ]


def test_lines_of_dots_and_every_kind_of_break_come_through(mailbox: Mailbox) -> None:
    text = ".\n..\n.\r\nFrom here\rQUIT\nRSET\n" + "lang " * 400 + f"\n{LINE_SEPARATOR}é\n"
    send(post(mailbox), changed(text=text, html="<p>" + "x" * 3000))
    letter = mailbox.only()
    assert letter.text.split() == text.split()
    assert letter.html.rstrip("\n") == "<p>" + "x" * 3000
    assert len(mailbox.letters) == 1


# -- addresses -----------------------------------------------------------------------------------


def test_a_domain_in_another_script_goes_over_the_wire_in_ascii(mailbox: Mailbox) -> None:
    send(post(mailbox, sender="post@bücher.example"), changed(email="jan@bäckerei.example"))
    letter = mailbox.only()
    assert letter.recipients == ("jan@xn--bckerei-5wa.example",)
    assert letter.sender == "post@xn--bcher-kva.example"
    assert letter.raw.isascii()


def test_a_name_before_the_at_in_another_script_goes_to_who_takes_it(mailbox: Mailbox) -> None:
    send(post(mailbox), changed(email="jürgen@devries.example"), MAIL)
    assert [letter.recipients[0] for letter in mailbox.letters] == [
        "jürgen@devries.example",
        MAIL.email,
    ]
    assert "jürgen@devries.example" in mailbox.letters[0].raw.decode()


def test_a_server_that_takes_no_other_script_is_not_asked_to() -> None:
    with mailbox(enable_SMTPUTF8=False) as box:
        with pytest.raises(Unsendable, match=r"^address_letters$"):
            send(post(box), changed(email="jürgen@devries.example"))
        assert box.letters == []


NO_ADDRESSES = [
    "",
    "jan",
    "@devries.example",
    "jan@",
    "jan@devries.example\r\nRCPT TO:<victim@evil.example>",
    "jan@devries.example, victim@evil.example",
    "<jan@devries.example>",
    "jan de vries@devries.example",
    "jan@devries..example",
    "jan@-devries.example",
    "jan..vries@devries.example",
    f"jan@devries.example{FROM_RIGHT}",
    "jan\x00@devries.example",
    "j" * 65 + "@devries.example",
    "jan@" + "d" * 64 + ".example",
    "jan@[127.0.0.1]",
    '"jan"@devries.example',
]


@pytest.mark.parametrize("address", NO_ADDRESSES, ids=lambda address: ascii(address)[:40])
def test_what_is_no_address_is_refused_before_anybody_is_called(
    mailbox: Mailbox, address: str
) -> None:
    assert not can_be_posted(address)
    before = mailbox.connections
    with pytest.raises(Unsendable, match=r"^address_wrong$"):
        send(post(mailbox), changed(email=address))
    assert mailbox.connections == before


def test_usual_addresses_are_addresses() -> None:
    for address in ("a+b@c.nl", "o'neil@x-y.example.co.uk", "1@2.nl", "a_b.c@localhost"):
        assert wire_address(address) == address


def test_an_answering_address_that_cannot_be_written_is_left_out(mailbox: Mailbox) -> None:
    send(post(mailbox), changed(reply_to="sanne@k.example\r\nBcc: x@evil.example"))
    assert mailbox.only().message["Reply-To"] is None


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "answer", "kind", "code", "whole"),
    [
        ("RCPT", "550 5.1.1 no such box here", Unsendable, "recipient 550 5.1.1", None),
        ("RCPT", "553 what is this", Unsendable, "recipient 553", None),
        ("RCPT", "450 4.2.1 greylisted", NotNow, "recipient 450 4.2.1", False),
        ("DATA", "554 5.7.1 looks like spam", Unsendable, "content 554 5.7.1", None),
        ("DATA", "452 4.3.1 full", NotNow, "content 452 4.3.1", False),
        ("END", "552 5.3.4 too large", Unsendable, "content 552 5.3.4", None),
        ("END", "451 4.7.1 later", NotNow, "content 451 4.7.1", False),
        ("MAIL", "553 5.7.1 not your address", NotNow, "sender 553 5.7.1", True),
        ("MAIL", "421 4.3.2 going down", NotNow, "busy 421 4.3.2", True),
        ("RCPT", "554 5.7.1 relay denied", NotNow, "relay 554 5.7.1", True),
        ("RCPT", "530 5.7.0 sign in first", NotNow, "login 530 5.7.0", True),
        ("RCPT", HANG_UP, NotNow, "hung_up", True),
        ("END", HANG_UP, NotNow, "hung_up", True),
    ],
)
def test_a_refusal_says_whether_it_is_worth_trying_again(
    mailbox: Mailbox, command: str, answer: str, kind: type, code: str, whole: bool | None
) -> None:
    mailbox.once[command] = answer
    with post(mailbox).round() as one:
        with pytest.raises((Unsendable, NotNow)) as caught:
            one(MAIL)
        assert (type(caught.value), caught.value.code) == (kind, code)
        assert getattr(caught.value, "whole", None) is whole
        taken = len(mailbox.letters)
        one(MAIL)
        assert len(mailbox.letters) == taken + 1, "the round goes on"


def test_a_round_of_mails_needs_one_connection(mailbox: Mailbox) -> None:
    send(post(mailbox), *[changed(message_id=f"<{n}@x.example>") for n in range(5)])
    assert [each.message["Message-ID"] for each in mailbox.letters] == [
        f"<{n}@x.example>" for n in range(5)
    ]
    assert mailbox.connections == 1


@contextmanager
def saying(*words: bytes) -> Iterator[int]:
    """A port where somebody answers with these words, and then keeps silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def answer() -> None:
            with server.accept()[0] as connection:
                for word in words:
                    connection.sendall(word)
                done.wait(10)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join(10)


def test_where_no_mail_server_answers_the_word_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "PATIENCE", 0.3)
    silent = Mailbox(port=free_ports(1)[0])
    for changes, code in (
        ({}, "no_connection"),
        ({"host": "no-such-host.invalid"}, "name_not_found"),
        ({"host": "x" * 70 + ".example"}, "name_not_found"),
    ):
        with pytest.raises(NotNow) as caught:
            send(post(silent, **changes), MAIL)
        assert (caught.value.code, caught.value.whole) == (code, True)
    for words, code in (
        ((), "timeout"),
        ((b"220 hello\r\n",), "timeout"),
        ((b"554 5.3.2 no mail here\r\n",), "busy 554"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "busy"),
    ):
        with saying(*words) as port, pytest.raises(NotNow) as caught:
            send(post(Mailbox(port=port)), MAIL)
        assert caught.value.code.startswith(code), words


# -- encryption and sign-in ----------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_goes_encrypted_to_a_server_that_can_prove_who_it_is(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = for_server(tmp_path)
    with mailbox(tls=context, implicit=security == "tls") as box:
        with pytest.raises(NotNow, match=r"^certificate$"):
            send(post(box, security=security), MAIL)
        assert box.letters == []
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        send(post(box, security=security), MAIL)
        assert box.only().encrypted


def test_a_certificate_of_another_name_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = for_server(tmp_path, "mail.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with mailbox(tls=context) as box:
        with pytest.raises(NotNow, match=r"^certificate$"):
            send(post(box, security="starttls"), MAIL)
        assert box.letters == []


def test_a_server_that_offers_no_encryption_gets_no_mail_and_no_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mailbox(login=("banklink", SECRET), auth_require_tls=False) as box:
        with pytest.raises(NotNow, match=r"^starttls_missing$"):
            send(post(box, security="starttls", user="banklink", password=SECRET), MAIL)
        assert (box.letters, box.logins) == ([], [])


def test_signing_in_and_what_a_wrong_password_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context, trusted = for_server(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    caplog.set_level(logging.DEBUG, logger="banklink")
    with mailbox(tls=context, login=("banklink", SECRET)) as box:
        right = {"security": "starttls", "user": "banklink"}
        send(post(box, **right, password=SECRET), MAIL)
        assert box.logins == [("banklink", SECRET)]
        with pytest.raises(NotNow, match=r"^login 535$") as caught:
            send(post(box, **right, password="canary-wrong"), MAIL)
        with pytest.raises(NotNow, match=r"^login 530"):
            send(post(box, security="starttls"), MAIL)
        assert len(box.letters) == 1
    told = caplog.text + repr(caught.value) + repr(post(box, password=SECRET))
    told += repr(post(box, password=SECRET)._settings)
    assert "canary" not in told
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_name_and_password_nobody_asks_for_are_said_to_be_unwanted(mailbox: Mailbox) -> None:
    with pytest.raises(NotNow, match=r"^login_missing$"):
        send(post(mailbox, user="banklink", password=SECRET), MAIL)


# -- one line ------------------------------------------------------------------------------------


def test_a_long_line_is_cut_where_it_still_reads() -> None:
    assert one_line("abc def", 7) == "abc def"
    assert one_line("abc defg", 5) == "abc…"
    assert one_line("a\t b\r\n\x00c", 9) == "a b c"


def test_the_tests_own_time_is_machine_time() -> None:
    assert SENT.utcoffset() == timedelta()
