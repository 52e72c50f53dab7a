"""A mail server for a test, at this machine only: it keeps what arrives, and can be told to refuse."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.house import free_ports

HANG_UP = "hang up"


@dataclass(frozen=True)
class Letter:
    """One mail as it arrived: the envelope, the bytes on the wire, and what they read as."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    encrypted: bool

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        found = self.message.get_body((kind,))
        assert found is not None, f"no text/{kind} part"
        return str(found.get_content()).replace("\r\n", "\n")


@dataclass
class Mailbox:
    """`answers`: what the server says instead of taking a mail, by the command it says it to (MAIL,
    RCPT, DATA, or END for the whole mail), for example `{"RCPT": "550 5.1.1 no such box"}`. HANG_UP
    closes the connection; at END the mail is taken, only the answer is lost. `once`: the same, each
    used up by its first use. `before_answer` is called when a mail is in and before the server says
    so. `logins`: names and passwords that were tried."""

    host: str = "127.0.0.1"
    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    once: dict[str, str] = field(default_factory=dict)
    before_answer: Callable[[Letter], None] | None = None
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def settings(self) -> dict[str, str]:
        """What a Banklink is told so that it posts here."""
        return {
            "BANKLINK_SMTP_HOST": self.host,
            "BANKLINK_SMTP_PORT": str(self.port),
            "BANKLINK_SMTP_SECURITY": "none",
            "BANKLINK_MAIL_FROM": "Kantoor Sanne <post@kantoor.example>",
        }

    def to(self, address: str) -> list[Letter]:
        return [letter for letter in self.letters if address in letter.recipients]

    def only(self) -> Letter:
        (letter,) = self.letters
        return letter

    def answer_to(self, command: str) -> str | None:
        with self._lock:
            return self.once.pop(command, None) or self.answers.get(command)


class _Handler:
    def __init__(self, box: Mailbox):
        self.box = box

    def _instead(self, command: str, server: Any) -> str | None:
        answer = self.box.answer_to(command)
        if answer == HANG_UP:
            server.transport.abort()
        return answer

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.box.connections += 1
        if (answer := self._instead("EHLO", server)) is not None:
            return [answer]
        return responses

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if (answer := self._instead("MAIL", server)) is not None:
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if (answer := self._instead("RCPT", server)) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if (answer := self._instead("DATA", server)) is not None:
            return answer
        letter = Letter(
            envelope.mail_from,
            tuple(envelope.rcpt_tos),
            bytes(envelope.original_content),
            server.transport.get_extra_info("ssl_object") is not None,
        )
        if self.box.before_answer is not None:
            self.box.before_answer(letter)
        answer = self._instead("END", server)
        if answer is None or answer == HANG_UP:
            self.box.letters.append(letter)
        return answer or "250 Taken"


@contextmanager
def mailbox(
    *,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    login: tuple[str, str] | None = None,
    **more: Any,
) -> Iterator[Mailbox]:
    """A mail server that is running. `tls`: it offers STARTTLS with this certificate, or with
    `implicit` speaks TLS from the first byte. `login`: it takes mail only after this name and
    password. `more` goes to aiosmtpd's SMTP."""
    box = Mailbox(port=free_ports(1)[0])

    def check(_server: Any, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        box.logins.append(given)
        return AuthResult(success=given == login, handled=False)

    if login is not None:
        more |= {"authenticator": check, "auth_required": tls is not None}
    if tls is not None and not implicit:
        more |= {"tls_context": tls, "require_starttls": True}
    controller = Controller(
        _Handler(box),
        hostname=box.host,
        port=box.port,
        ssl_context=tls if implicit else None,
        ident="test",
        server_hostname="mail.test",
        **more,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@pytest.fixture(name="mailbox")
def mailbox_fixture() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box
