"""Every setting, in one table: name, default, meaning. The README's table is checked against it.

A wrong setting stops the start with one sentence (SettingsError), never with a traceback.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from banklink.translations import LOCALES


class SettingsError(Exception):
    """A setting cannot be used; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable. `default` is shown in the documentation, `kind` says how its
    text is read; an empty variable counts as not set."""

    name: str
    kind: str
    default: str
    meaning: str


TABLE: tuple[Setting, ...] = (
    Setting("PORT", "port", "5000", "Port of the web page."),
    Setting(
        "BANKLINK_DATA", "folder", "data", "Folder for the databases and keys; made if absent."
    ),
    Setting(
        "BANKLINK_DATABASE_URL",
        "text",
        "SQLite in the data folder",
        "PostgreSQL instead: postgresql://user:password@host/database.",
    ),
    Setting(
        "BANKLINK_DEMO",
        "switch",
        "1",
        "1: demo data, the embedded entrepreneur app and its banks, signed in as the demo"
        " bookkeeper, on this machine only. 0: for real, people sign in.",
    ),
    Setting(
        "BANKLINK_ORIGIN",
        "origin",
        "http://localhost:PORT",
        "Address under which people reach Banklink; part of the redirect address. Beyond this"
        " machine it must be https, and both keys must be set.",
    ),
    Setting(
        "BANKLINK_HOST",
        "text",
        "127.0.0.1",
        "Address to listen at. Another than this machine's own only with an https origin.",
    ),
    Setting(
        "BANKLINK_TRUSTED_PROXY",
        "text",
        "none",
        "Address of the proxy in front, in numbers, whose X-Forwarded-For, -Proto and -Host are"
        " believed.",
    ),
    Setting(
        "BANKLINK_SIMULATOR_PORT",
        "port",
        "PORT + 1",
        "Port of the embedded entrepreneur app and its banks.",
    ),
    Setting("BANKLINK_APP_NAME", "text", "Banklink", "Name of this application in every message."),
    Setting(
        "BANKLINK_PROVIDER_NAME",
        "text",
        "Ondernemersapp",
        "Name of the entrepreneur app in every message.",
    ),
    Setting(
        "BANKLINK_OFFICE",
        "text",
        "the application's name",
        "Name of your office, in invitations and mails to account holders; the demo's is Kantoor"
        " Jansen.",
    ),
    Setting(
        "BANKLINK_OFFICE_PHONE",
        "text",
        "none",
        "Telephone number in invitations, for who has questions.",
    ),
    Setting(
        "BANKLINK_SMTP_HOST",
        "text",
        "none",
        "Mail server that takes the mails. Without one nothing is sent: they wait at /outbox,"
        " where they can be read and copied.",
    ),
    Setting(
        "BANKLINK_SMTP_PORT",
        "port",
        "587, with tls 465, with none 25",
        "Port of the mail server.",
    ),
    Setting(
        "BANKLINK_SMTP_SECURITY",
        "security",
        "starttls",
        "starttls: encrypted after a first word; tls: encrypted from the start; none: not, only to"
        " a mail server on this machine. Certificates are verified.",
    ),
    Setting("BANKLINK_SMTP_USER", "text", "none", "Name to sign in with at the mail server."),
    Setting("BANKLINK_SMTP_PASSWORD", "text", "none", "Password that belongs to that name."),
    Setting(
        "BANKLINK_MAIL_FROM",
        "text",
        "none",
        "Address mails come from, alone or as Name <address>; needed with a mail server.",
    ),
    Setting("BANKLINK_LOCALE", "locale", "nl", "Language of a first visit: nl or en."),
    Setting(
        "BANKLINK_SECRET_KEY",
        "text",
        "made once, in the data folder",
        "Signs the session cookie; at least 32 characters.",
    ),
    Setting(
        "BANKLINK_ENCRYPTION_KEYS",
        "text",
        "made once, in the data folder",
        "Fernet keys for tokens at rest, newest first, separated by commas.",
    ),
    Setting("BANKLINK_ASSETS", "assets", "cdn", "cdn: htmx from its CDN; local: from this server."),
    Setting("BANKLINK_LOG_LEVEL", "level", "INFO", "DEBUG, INFO, WARNING or ERROR."),
    Setting(
        "BANKLINK_PONTO_AUTHORIZE_URL",
        "url",
        "the embedded app",
        "Where a holder gives permission, e.g. https://authorization.myponto.com/oauth2/auth.",
    ),
    Setting(
        "BANKLINK_PONTO_TOKEN_URL",
        "url",
        "the embedded app",
        "Token endpoint, e.g. https://api.ibanity.com/ponto-connect/oauth2/token.",
    ),
    Setting(
        "BANKLINK_PONTO_API_URL",
        "url",
        "the embedded app",
        "Resource API, e.g. https://api.ibanity.com/ponto-connect.",
    ),
    Setting(
        "BANKLINK_PONTO_ISSUER",
        "text",
        "the embedded app",
        "Issuer that answers must name; leave empty where the service names none.",
    ),
    Setting("BANKLINK_PONTO_CLIENT_ID", "text", "the embedded app", "Client id at the service."),
    Setting(
        "BANKLINK_PONTO_CLIENT_SECRET", "text", "the embedded app", "Client secret at the service."
    ),
    Setting(
        "BANKLINK_PONTO_CERTIFICATE", "file", "none", "Client certificate (PEM) for mutual TLS."
    ),
    Setting(
        "BANKLINK_PONTO_CERTIFICATE_KEY", "file", "none", "Private key (PEM) of that certificate."
    ),
)

DEMO_OFFICE = "Kantoor Jansen"

_PONTO_REQUIRED = ("AUTHORIZE_URL", "TOKEN_URL", "API_URL", "CLIENT_ID", "CLIENT_SECRET")


@dataclass(frozen=True, slots=True)
class PontoSettings:
    """Addresses and credentials of a Ponto Connect service, real or embedded."""

    authorize_url: str
    token_url: str
    api_url: str
    client_id: str
    client_secret: str = field(repr=False)
    issuer: str | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The mail server, and the address mails come from. `security`: starttls, tls or none."""

    host: str
    port: int
    security: str
    sender: str
    sender_name: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    port: int
    data: Path
    database_url: str = field(repr=False)  # holds a password
    demo: bool
    origin: str
    simulator_port: int
    app_name: str
    provider_name: str
    office: str
    office_phone: str | None
    locale: str
    secret_key: str | None = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)
    host: str
    trusted_proxy: str | None
    assets_local: bool
    log_level: str
    ponto: PontoSettings | None
    smtp: SmtpSettings | None = None

    @property
    def simulator_origin(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def here_only(self) -> bool:
        """Whether the origin is an address that no other machine can reach."""
        return urlsplit(self.origin).hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def redirect_uri(self) -> str:
        """The one address the provider may send people back to, registered exactly."""
        return f"{self.origin}/returned/ponto"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises SettingsError with a sentence for the first one that is wrong."""
    env = os.environ if environ is None else environ
    given = {row.name: (env.get(row.name) or "").strip() for row in TABLE}
    unknown = sorted(name for name in env if name.startswith("BANKLINK_") and name not in given)
    if unknown:
        raise SettingsError(
            f"{unknown[0]} is not a setting of Banklink. See the table of settings in README.md."
        )
    port = _port("PORT", given["PORT"] or "5000")
    simulator_port = _port(
        "BANKLINK_SIMULATOR_PORT", given["BANKLINK_SIMULATOR_PORT"] or str(port + 1)
    )
    if simulator_port == port:
        raise SettingsError("BANKLINK_SIMULATOR_PORT must differ from PORT. Choose another port.")
    data = _path("BANKLINK_DATA", given["BANKLINK_DATA"] or "data").resolve()
    secret_key = given["BANKLINK_SECRET_KEY"] or None
    if secret_key is not None and len(secret_key) < 32:
        raise SettingsError("BANKLINK_SECRET_KEY is too short. Use at least 32 characters.")
    origin = _origin(given["BANKLINK_ORIGIN"] or f"http://localhost:{port}")
    keys = _keys(given["BANKLINK_ENCRYPTION_KEYS"])
    demo = _one_of("BANKLINK_DEMO", given["BANKLINK_DEMO"] or "1", ("0", "1")) == "1"
    host = given["BANKLINK_HOST"] or "127.0.0.1"
    _safe_beyond_this_machine(origin, secret_key, keys, host, demo)
    return Settings(
        port=port,
        data=data,
        database_url=_database_url(given["BANKLINK_DATABASE_URL"], data),
        demo=demo,
        origin=origin,
        simulator_port=simulator_port,
        app_name=given["BANKLINK_APP_NAME"] or "Banklink",
        provider_name=given["BANKLINK_PROVIDER_NAME"] or "Ondernemersapp",
        office=given["BANKLINK_OFFICE"]
        or (DEMO_OFFICE if demo else given["BANKLINK_APP_NAME"] or "Banklink"),
        office_phone=given["BANKLINK_OFFICE_PHONE"] or None,
        locale=_one_of("BANKLINK_LOCALE", given["BANKLINK_LOCALE"] or "nl", LOCALES),
        secret_key=secret_key,
        encryption_keys=keys,
        host=host,
        trusted_proxy=_address("BANKLINK_TRUSTED_PROXY", given["BANKLINK_TRUSTED_PROXY"]),
        assets_local=_one_of("BANKLINK_ASSETS", given["BANKLINK_ASSETS"] or "cdn", ("cdn", "local"))
        == "local",
        log_level=_one_of(
            "BANKLINK_LOG_LEVEL",
            (given["BANKLINK_LOG_LEVEL"] or "INFO").upper(),
            ("DEBUG", "INFO", "WARNING", "ERROR"),
        ),
        ponto=_ponto(given),
        smtp=_smtp(given),
    )


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise SettingsError(f"{name} is {text!r}; it must be a port number from 1 to 65535.")
    return int(text)


def _path(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{name} is {text!r}, but there is no such user. Write the whole path."
        ) from None


def _parts(text: str) -> SplitResult | None:
    """The parts of an address, None when it is none."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it checks it
    except ValueError:
        return None
    return parts


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise SettingsError(f"{name} is {text!r}; it must be {' or '.join(allowed)}.")
    return text


def _origin(text: str) -> str:
    parts = _parts(text)
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise SettingsError(
            f"BANKLINK_ORIGIN is {text!r}; it must look like https://banklink.example.nl."
        )
    return f"{parts.scheme}://{parts.netloc}"


def on_this_machine(host: str) -> bool:
    """Whether a host name or address leads to this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _safe_beyond_this_machine(
    origin: str, secret_key: str | None, keys: tuple[str, ...], host: str, demo: bool
) -> None:
    """Whoever serves others does it encrypted, with keys that are not beside the data."""
    if not on_this_machine(urlsplit(origin).hostname or ""):
        if not origin.startswith("https:"):
            raise SettingsError(
                f"BANKLINK_ORIGIN is {origin!r}, which everybody on the way can read and change."
                " Put an HTTPS proxy in front and write https://."
            )
        if secret_key is None:
            raise SettingsError(
                "BANKLINK_SECRET_KEY must be set when others reach Banklink."
                " The command banklink keys makes one."
            )
        if not keys:
            raise SettingsError(
                "BANKLINK_ENCRYPTION_KEYS must be set when others reach Banklink."
                " The command banklink keys makes one."
            )
    elif not on_this_machine(host):
        raise SettingsError(
            f"BANKLINK_HOST is {host!r}, so others could reach Banklink, but BANKLINK_ORIGIN is"
            " on this machine. Set BANKLINK_ORIGIN to the https address people use."
        )
    if host != "localhost":
        _address("BANKLINK_HOST", host)
    if demo and not on_this_machine(host):
        raise SettingsError(
            f"BANKLINK_HOST is {host!r}, but the demo is signed in by itself and answers this"
            " machine only. Set BANKLINK_DEMO to 0, or leave BANKLINK_HOST empty."
        )


def _address(name: str, text: str) -> str | None:
    """As numbers: the proxy's is compared with what a connection comes from, which is no name."""
    if not text:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        raise SettingsError(
            f"{name} is {text!r}; it must be a network address like 127.0.0.1."
        ) from None


def _database_url(text: str, data: Path) -> str:
    if not text:
        return f"sqlite:///{data / 'banklink.sqlite3'}"
    for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if text.startswith(prefix):
            return "postgresql+psycopg://" + text.removeprefix(prefix)
    raise SettingsError(
        "BANKLINK_DATABASE_URL must start with postgresql://. Leave it empty for SQLite."
    )


def _keys(text: str) -> tuple[str, ...]:
    from cryptography.fernet import Fernet

    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if text and not keys:
        raise SettingsError("BANKLINK_ENCRYPTION_KEYS holds no key. Set one, or leave it empty.")
    for key in keys:
        try:
            Fernet(key)
        except ValueError:
            raise SettingsError(
                "BANKLINK_ENCRYPTION_KEYS holds something that is not a Fernet key."
                " A key is 44 characters, made by cryptography's Fernet.generate_key()."
            ) from None
    return keys


def _is_pair(certificate: Path, key: Path | None) -> bool:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except OSError:  # ssl.SSLError is one
        return False
    return True


def _ponto(given: Mapping[str, str]) -> PontoSettings | None:
    values = {
        name.removeprefix("BANKLINK_PONTO_"): value
        for name, value in given.items()
        if name.startswith("BANKLINK_PONTO_") and value
    }
    if not values:
        return None
    for name in _PONTO_REQUIRED:
        if name not in values:
            raise SettingsError(
                f"BANKLINK_PONTO_{name} is missing. Set all of "
                + ", ".join(f"BANKLINK_PONTO_{each}" for each in _PONTO_REQUIRED)
                + ", or none of them."
            )
    for name in ("AUTHORIZE_URL", "TOKEN_URL", "API_URL"):
        parts = _parts(values[name])
        loopback = parts is not None and parts.hostname in ("localhost", "127.0.0.1", "::1")
        if (
            parts is None
            or not parts.hostname
            or parts.scheme not in (("http", "https") if loopback else ("https",))
        ):
            raise SettingsError(f"BANKLINK_PONTO_{name} must be an https address.")
    files: dict[str, Path | None] = {}
    for name in ("CERTIFICATE", "CERTIFICATE_KEY"):
        files[name] = _path(f"BANKLINK_PONTO_{name}", values[name]) if name in values else None
        path = files[name]
        if path is not None and not path.is_file():
            raise SettingsError(f"BANKLINK_PONTO_{name} names a file that does not exist: {path}")
    if (files["CERTIFICATE"] is None) != (files["CERTIFICATE_KEY"] is None):
        raise SettingsError(
            "BANKLINK_PONTO_CERTIFICATE and BANKLINK_PONTO_CERTIFICATE_KEY go together. Set both."
        )
    certificate, key = files["CERTIFICATE"], files["CERTIFICATE_KEY"]
    if certificate is not None and not _is_pair(certificate, key):
        raise SettingsError(
            "BANKLINK_PONTO_CERTIFICATE and BANKLINK_PONTO_CERTIFICATE_KEY are no certificate with"
            " its own key, as PEM and without a password."
        )
    return PontoSettings(
        authorize_url=values["AUTHORIZE_URL"],
        token_url=values["TOKEN_URL"],
        api_url=values["API_URL"].rstrip("/"),
        client_id=values["CLIENT_ID"],
        client_secret=values["CLIENT_SECRET"],
        issuer=values.get("ISSUER"),
        certificate=files["CERTIFICATE"],
        certificate_key=files["CERTIFICATE_KEY"],
    )


_SMTP_PORTS = {"starttls": "587", "tls": "465", "none": "25"}


def _smtp(given: Mapping[str, str]) -> SmtpSettings | None:
    host = given["BANKLINK_SMTP_HOST"]
    security = _one_of(
        "BANKLINK_SMTP_SECURITY",
        given["BANKLINK_SMTP_SECURITY"] or "starttls",
        tuple(_SMTP_PORTS),
    )
    port = _port("BANKLINK_SMTP_PORT", given["BANKLINK_SMTP_PORT"] or _SMTP_PORTS[security])
    if not host:
        names = ("BANKLINK_SMTP_PORT", "BANKLINK_SMTP_USER", "BANKLINK_SMTP_PASSWORD")
        for name in (*names, "BANKLINK_MAIL_FROM"):
            if given[name]:
                raise SettingsError(
                    f"{name} is set without BANKLINK_SMTP_HOST, so nothing would be sent."
                    " Set that too, or leave all of them empty."
                )
        return None
    if not _is_host(host):
        raise SettingsError(
            f"BANKLINK_SMTP_HOST is {host!r}; it must be the name of a mail server alone, like"
            " smtp.example.nl. The port is BANKLINK_SMTP_PORT."
        )
    if security == "none" and not on_this_machine(host):
        raise SettingsError(
            "BANKLINK_SMTP_SECURITY is 'none', so everybody on the way to the mail server could"
            " read along. Use starttls or tls; none is for a mail server on this machine."
        )
    user, password = given["BANKLINK_SMTP_USER"], given["BANKLINK_SMTP_PASSWORD"]
    if bool(user) != bool(password):
        missing = "BANKLINK_SMTP_PASSWORD" if user else "BANKLINK_SMTP_USER"
        raise SettingsError(
            f"{missing} is missing. Set name and password both, or none of them for a mail server"
            " that asks for no name."
        )
    for name in ("BANKLINK_SMTP_USER", "BANKLINK_SMTP_PASSWORD"):
        if not given[name].isascii():
            raise SettingsError(
                f"{name} holds a letter with an accent or another sign that mail servers do not"
                " take there. Choose another."
            )
    if not given["BANKLINK_MAIL_FROM"]:
        raise SettingsError(
            "BANKLINK_MAIL_FROM is missing. Set the address mails come from, for example"
            " Kantoor Sanne <post@example.nl>."
        )
    name, address = _mail_from(given["BANKLINK_MAIL_FROM"])
    return SmtpSettings(host, port, security, address, name, user or None, password or None)


def _is_host(text: str) -> bool:
    """A name or an address, with nothing before or behind it."""
    try:
        ip_address(text)
    except ValueError:
        return re.fullmatch(r"[^\s/:@,;<>()\[\]\\]{1,253}", text) is not None
    return True


def _is_domain(text: str) -> bool:
    """Whether it can be written down for a mail server (mail/addresses.py, wire_address)."""
    try:
        written = text.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    return len(written) <= 253 and re.fullmatch(rf"({label}\.)*{label}", written) is not None


def _mail_from(text: str) -> tuple[str, str]:
    """Name and address of `address` or `Name <address>`."""
    found = re.fullmatch(r"(?:(?P<name>[^<>]*)<)?(?P<address>[^<>\s]+)(?(name)>)", text)
    if found is None or not re.fullmatch(
        r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
        r"@([\w](?:[\w-]*\w)?\.)*\w(?:[\w-]*\w)?",
        found["address"],
    ):
        raise SettingsError(
            f"BANKLINK_MAIL_FROM is {text!r}; it must be an address like post@example.nl, or a name"
            " with the address behind it: Kantoor Sanne <post@example.nl>."
        )
    local, _at, domain = found["address"].rpartition("@")
    if len(local) > 64 or not _is_domain(domain):
        raise SettingsError(
            f"BANKLINK_MAIL_FROM is {text!r}; no mail server takes mails from such an address."
            " Check what stands before and behind the @."
        )
    name = (found["name"] or "").strip().strip('"').strip()
    if not name.isprintable():
        raise SettingsError("BANKLINK_MAIL_FROM holds a sign in its name that cannot be printed.")
    return name, found["address"]
