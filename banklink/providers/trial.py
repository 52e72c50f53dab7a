"""Does a provider answer as it should, and if not, what exactly is wrong? What *Test connection*
says is decided here, from the kind of failure and never from its text."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from banklink.providers.contract import ConfigurationError


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` says what was found, `where` at which address: token, api or authorize.

    | code                  | meaning                                             |
    |-----------------------|-----------------------------------------------------|
    | `works`               | every address answers, the credentials are accepted |
    | `name_not_found`      | this server cannot find the host, or has no internet |
    | `refused`             | the host is there, nothing listens                  |
    | `timeout`             | no answer in time                                   |
    | `untrusted`           | its certificate is not trusted here                 |
    | `tls`                 | no secure connection; perhaps no https there        |
    | `certificate_refused` | it wants our client certificate, or another one     |
    | `unreachable`         | broken off in another way                           |
    | `not_found`           | 404: a wrong address                                |
    | `outage`              | the service itself says it is down                  |
    | `busy`                | 429: it asks to wait                                |
    | `invalid_client`      | client id and secret do not belong together         |
    | `forbidden`           | the service answers there, and refuses us           |
    | `not_understood`      | something else answers there                        |
    """

    code: str
    where: str | None = None


_ABOUT_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
"""Words in the alerts of a service that misses or refuses our certificate. The last one may have
another cause, but is what TLS 1.2 says when a certificate is missing."""


def trouble(error: BaseException) -> str:
    """The code for an exception from the network; the first cause that says something."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return "untrusted"
        if isinstance(seen, ssl.SSLError):
            reason = seen.reason or ""
            about_us = "ALERT" in reason and any(each in reason for each in _ABOUT_OUR_CERTIFICATE)
            return "certificate_refused" if about_us else "tls"
        if isinstance(seen, socket.gaierror):
            return "name_not_found"
        if isinstance(seen, ConnectionRefusedError):
            return "refused"
        if isinstance(seen, TimeoutError) or "Timeout" in type(seen).__name__:
            return "timeout"
        seen = seen.__cause__ or seen.__context__
    return "unreachable"


def client_context(certificate: str, key: str) -> ssl.SSLContext:
    """A TLS context with a client certificate given as PEM text. Python loads one from a file
    only: it is private, and gone before this returns. Raises ConfigurationError."""
    context = ssl.create_default_context()
    descriptor, path = tempfile.mkstemp(prefix="banklink-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{key.strip()}\n{certificate.strip()}\n")
        # An empty password: for a protected key OpenSSL would otherwise ask at the terminal.
        context.load_cert_chain(path, password="")
    except ssl.SSLError as error:
        mismatch = "MISMATCH" in (error.reason or "")
        code = "certificate_mismatch" if mismatch else "certificate_unreadable"
        raise ConfigurationError(code) from None
    except (OSError, ValueError):
        raise ConfigurationError("certificate_unreadable") from None
    finally:
        Path(path).unlink()
    return context


def certificate_until(certificate: str) -> datetime | None:
    """When a certificate (PEM) ends; None when it cannot be read."""
    try:
        from cryptography import x509

        return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError:
        return None
