"""The provider's addresses and credentials, as entered on the page: checked, sealed, tried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from banklink.actions.services import Refused, Services, Stale
from banklink.core.calendar import Moment
from banklink.providers.contract import ConfigurationError
from banklink.providers.ponto import Ponto
from banklink.providers.trial import Finding, certificate_until, client_context
from banklink.settings import PontoSettings
from banklink.store.models import ProviderSettings

ADDRESSES = ("authorize_url", "token_url", "api_url")
SECRETS = ("client_secret", "certificate_key")
"""Never shown again; left empty, the stored one stays. So does the certificate beside its key."""

FIELDS = (*ADDRESSES, "client_id", "client_secret", "issuer", "certificate", "certificate_key")
REAL = {
    "authorize_url": "https://authorization.myponto.com/oauth2/auth",
    "token_url": "https://api.ibanity.com/ponto-connect/oauth2/token",
    "api_url": "https://api.ibanity.com/ponto-connect",
}
"""Ponto Connect's own addresses (providers.md 2.1)."""

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """`values` holds the secrets as well: for the adapter, never for a page."""

    values: dict[str, str]
    version: int
    updated_at: datetime
    updated_by: str | None


def stored(services: Services, session: Session) -> Stored | None:
    """None when nothing was ever entered. Raises SealBroken."""
    row = session.get(ProviderSettings, Ponto.id)
    if row is None:
        return None
    opened = services.vault.open(row.sealed)
    values = {name: opened.get(name) or "" for name in FIELDS}
    return Stored(values, row.version, row.updated_at, row.updated_by)


def complete(typed: Values, kept: Stored | None, *, forget_certificate: bool = False) -> Values:
    """What was typed, with what is kept where nothing was typed for it."""
    values = {name: typed.get(name, "").strip() for name in FIELDS}
    values["api_url"] = values["api_url"].rstrip("/")
    keep = kept.values if kept else {}
    values["client_secret"] = values["client_secret"] or keep.get("client_secret", "")
    pair = ("certificate", "certificate_key")
    if forget_certificate:
        values.update(dict.fromkeys(pair, ""))
    elif not values["certificate"] and not values["certificate_key"]:
        values.update({name: keep.get(name, "") for name in pair})
    return values


def problems(values: Values, *, real: datetime) -> dict[str, str]:
    """What cannot be, by field, as codes; empty when it may be stored."""
    found: dict[str, str] = {}
    for name in ADDRESSES:
        if not values[name]:
            found[name] = "address_missing"
        elif not _safe_address(values[name]):
            found[name] = "address_not_https"
    if not values["client_id"]:
        found["client_id"] = "client_id_missing"
    if not values["client_secret"]:
        found["client_secret"] = "secret_missing"  # noqa: S105 (a code, no secret)
    certificate, key = values["certificate"], values["certificate_key"]
    if certificate and not key:
        found["certificate_key"] = "key_missing"
    elif key and not certificate:
        found["certificate"] = "certificate_missing"
    elif certificate:
        until = certificate_until(certificate)
        try:
            client_context(certificate, key)
        except ConfigurationError as error:
            found["certificate"] = error.code
        if until is None:
            found["certificate"] = "certificate_unreadable"
        elif until <= real and "certificate" not in found:
            found["certificate"] = "certificate_expired"
    return found


def _safe_address(text: str) -> bool:
    """https, or http on this machine; nothing that a log or a header would trip over."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return (
        bool(parts.hostname)
        and parts.scheme in (("http", "https") if loopback else ("https",))
        and parts.username is None
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )


class Replaceable(Ponto):
    """One that others may still be speaking with when it is replaced: it lets go of its
    connections when nobody holds it any more."""

    def __del__(self) -> None:
        self.close()


def adapter(values: Values) -> Ponto:
    """The adapter that speaks with these values. Raises ConfigurationError."""
    tls = None
    if values["certificate"]:
        tls = client_context(values["certificate"], values["certificate_key"])
    return Replaceable(
        PontoSettings(
            authorize_url=values["authorize_url"],
            token_url=values["token_url"],
            api_url=values["api_url"],
            client_id=values["client_id"],
            client_secret=values["client_secret"],
            issuer=values["issuer"] or None,
        ),
        tls=tls,
    )


def try_out(values: Values) -> Finding:
    """Ask the service, with values in which `problems` found nothing; stores nothing."""
    provider = adapter(values)
    try:
        return provider.check()
    finally:
        provider.close()


def try_as_it_stands(services: Services) -> Finding | None:
    """The provider that is in use, however it was set; None when it is not one to be tried."""
    provider = services.provider
    return provider.check() if isinstance(provider, Ponto) else None


def stored_version(services: Services) -> int:
    """Also of what no longer opens, so that it can be replaced; 0 when nothing is stored."""
    with services.store.read() as session:
        row = session.get(ProviderSettings, Ponto.id)
        return row.version if row else 0


def save(
    services: Services, values: Values, at: Moment, *, version: int | None, actor: str
) -> None:
    """Store, sealed; every process makes its adapter anew at its next use.

    Raises Refused for values in which `problems` finds something, and Stale."""
    for field, code in problems(values, real=at.real).items():
        raise Refused(code, field=field)
    sealed = services.vault.seal({name: values[name] or None for name in FIELDS})
    with services.store.write() as session:
        row = session.get(ProviderSettings, Ponto.id, with_for_update=True)
        if (row.version if row else 0) != (version or 0):
            raise Stale(row.updated_by if row else None)
        if row is None:
            row = ProviderSettings(provider=Ponto.id, version=0)
            session.add(row)
        row.sealed, row.version = sealed, row.version + 1
        row.updated_at, row.updated_by = at.now, actor
