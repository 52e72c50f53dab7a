"""Hands mails to a mail server.

    PostError
    ├── Unsendable   this mail will never be taken: a wrong address, refused for good
    └── NotNow       later perhaps; with `whole` the server takes nothing at all just now

Headers are written here, line by line. What the standard library makes of a long or odd name when
it folds it differs from version to version; here nothing that was typed becomes more than a word.
"""

from __future__ import annotations

import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol

from banklink.mail.addresses import one_line, wire_address
from banklink.settings import SmtpSettings

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds to wait for each answer of the mail server."""


class PostError(Exception):
    """`code` is a word and, where the server gave them, its numbers: `recipient 550 5.1.1`. What
    the server wrote beside them is nobody's text and goes nowhere."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class Unsendable(PostError):
    pass


class NotNow(PostError):
    def __init__(self, code: str, *, whole: bool = False):
        super().__init__(code)
        self.whole = whole


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One mail, ready to go. `date` is machine time; `unsubscribe` an address, see RFC 8058."""

    message_id: str
    date: datetime
    email: str
    name: str
    subject: str
    text: str
    html: str
    reply_to: str | None = None
    unsubscribe: str | None = None


Send = Callable[[Outgoing], None]


class Post(Protocol):
    """What takes mails away."""

    def round(self) -> AbstractContextManager[Send]:
        """A round of sending: what it gives sends one mail, and raises PostError."""


class Smtp:
    def __init__(self, settings: SmtpSettings, hostname: str | None = None):
        """`hostname`: under what name this machine greets."""
        self._settings = settings
        # A server may hang up on a name without a dot; an address in brackets is always right.
        proper = hostname and "." in hostname and re.search("[a-z]", hostname, re.IGNORECASE)
        self._hostname = _ascii(hostname) if hostname and proper else "[127.0.0.1]"

    def __repr__(self) -> str:
        return f"Smtp({self._settings.host!r}, {self._settings.port})"

    @contextmanager
    def round(self) -> Iterator[Send]:
        """One connection for many mails, made when the first is sent and anew after an error."""
        line: smtplib.SMTP | None = None

        def send(mail: Outgoing) -> None:
            nonlocal line
            address = _recipient(mail.email)
            if line is None:
                line = self._connect()
            try:
                self._send(line, mail, address)
            except BaseException:
                line.close()
                line = None
                raise

        try:
            yield send
        finally:
            if line is not None:
                with suppress(OSError, smtplib.SMTPException):
                    line.quit()
                line.close()

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        with _troubles():
            if settings.security == "tls":
                line: smtplib.SMTP = smtplib.SMTP_SSL(
                    settings.host,
                    settings.port,
                    self._hostname,
                    timeout=PATIENCE,
                    context=ssl.create_default_context(),
                )
            else:
                line = smtplib.SMTP(settings.host, settings.port, self._hostname, timeout=PATIENCE)
            try:
                if settings.security == "starttls":
                    line.ehlo_or_helo_if_needed()
                    if not line.has_extn("starttls"):
                        raise NotNow("starttls_missing", whole=True)
                    line.starttls(context=ssl.create_default_context())
                line.ehlo_or_helo_if_needed()
                if settings.user is not None and settings.password is not None:
                    line.login(settings.user, settings.password)
            except BaseException:
                line.close()
                raise
        return line

    def _send(self, line: smtplib.SMTP, mail: Outgoing, address: str) -> None:
        beyond = not address.isascii()
        if beyond and not line.has_extn("smtputf8"):
            raise Unsendable("address_letters")
        settings = self._settings
        with _troubles():
            options = ["SMTPUTF8", "BODY=8BITMIME"] if beyond else []
            _check("sender", *line.mail(wire_address(settings.sender), options))
            _check("recipient", *line.rcpt(address))
            try:
                _check("content", *line.data(self.written(mail)))
            except smtplib.SMTPDataError as error:
                _check("content", error.smtp_code, error.smtp_error)

    def written(self, mail: Outgoing) -> bytes:
        """The mail as it goes over the line. Raises Unsendable for an address that is none."""
        settings = self._settings
        lines = [
            _person("From", settings.sender_name, wire_address(settings.sender)),
            _person("To", mail.name, _recipient(mail.email)),
        ]
        if mail.reply_to is not None:
            # An address that cannot be written down is left out: answers then go to the sender.
            with suppress(ValueError):
                back = wire_address(mail.reply_to)
                lines += [_person("Reply-To", "", back)] if back.isascii() else []
        lines += [
            f"Subject: {_words('Subject', one_line(mail.subject, 200))}",
            f"Date: {format_datetime(mail.date)}",
            f"Message-ID: {mail.message_id}",
            "Auto-Submitted: auto-generated",
        ]
        if mail.unsubscribe is not None and re.fullmatch(r"https?://[!-;=?-~]+", mail.unsubscribe):
            lines += [
                f"List-Unsubscribe:\r\n <{mail.unsubscribe}>",
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            ]
        body = EmailMessage(policy=policy.SMTP)
        body.set_content(mail.text, cte="quoted-printable")
        body.add_alternative(mail.html, subtype="html", cte="quoted-printable")
        return "".join(f"{line}\r\n" for line in lines).encode() + body.as_bytes()


# -- headers ------------------------------------------------------------------------------------

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/^_`{|}~-]+)*")


def _person(header: str, name: str, address: str) -> str:
    """`To: Jan de Vries <jan@devries.example>`; the address on a line of its own after a name."""
    shown = one_line(name, 100)
    if not shown:
        return f"{header}: <{address}>"
    if _ATOMS.fullmatch(shown):
        written = shown
    elif shown.isascii() and "=?" not in shown:
        written = '"' + re.sub(r'(["\\])', r"\\\1", shown) + '"'
    else:
        written = _words(header, shown)
    return f"{header}: {written}\r\n <{address}>"


def _words(header: str, text: str) -> str:
    """As it is, or as the encoded words of RFC 2047; what merely looks like one is encoded too."""
    plain = text.isascii() and "=?" not in text
    return Header(text, "us-ascii" if plain else "utf-8", 76, header).encode(linesep="\r\n")


def _recipient(address: str) -> str:
    try:
        return wire_address(address)
    except ValueError:
        raise Unsendable("address_wrong") from None


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return "[127.0.0.1]"


# -- what a server answers ----------------------------------------------------------------------


def _check(stage: str, number: int, answer: bytes | str) -> None:
    """Nothing when the server agrees. `stage`: what it was asked for."""
    if 200 <= number < 300:
        return
    told = answer.decode("ascii", "replace") if isinstance(answer, bytes) else answer
    detail = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", told)
    numbers = f"{number} {detail[0]}" if detail else f"{number}"
    if number in (530, 534, 535, 538):
        raise NotNow(f"login {numbers}", whole=True)
    if number == 421:
        raise NotNow(f"busy {numbers}", whole=True)
    policy_says = detail is not None and detail[0].startswith("5.7.")
    if stage == "recipient" and 500 <= number < 600 and policy_says:
        # Policy: it does not take mails from us, whomever they are for (RFC 3463).
        raise NotNow(f"relay {numbers}", whole=True)
    if 500 <= number < 600 and stage != "sender":
        raise Unsendable(f"{stage} {numbers}")
    # A refused sender is our setting and no fault of this mail.
    raise NotNow(f"{stage} {numbers}", whole=stage == "sender")


@contextmanager
def _troubles() -> Iterator[None]:
    """What can go wrong underneath, as one word each. The errors themselves are left behind: a
    server may repeat anything in them."""
    try:
        yield
    except PostError:
        raise
    except smtplib.SMTPAuthenticationError as error:
        raise NotNow(f"login {error.smtp_code}", whole=True) from None
    except smtplib.SMTPResponseException as error:
        raise NotNow(f"busy {error.smtp_code}", whole=True) from None
    except smtplib.SMTPServerDisconnected as error:
        waited = isinstance(error.__context__, TimeoutError)
        raise NotNow("timeout" if waited else "hung_up", whole=True) from None
    except ssl.SSLCertVerificationError:
        raise NotNow("certificate", whole=True) from None
    except ssl.SSLError:
        raise NotNow("tls", whole=True) from None
    except TimeoutError:
        raise NotNow("timeout", whole=True) from None
    except (socket.gaierror, UnicodeError):
        raise NotNow("name_not_found", whole=True) from None
    except smtplib.SMTPException:
        raise NotNow("login_missing", whole=True) from None  # no way to sign in that both know
    except OSError:
        raise NotNow("no_connection", whole=True) from None
