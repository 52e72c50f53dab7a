"""The provider's addresses and credentials, as entered on the page: checked, sealed, tried out.

What is stored is for the servers it was given for (`elsewhere`). The token address is sent the
client secret and the refresh tokens, the API address access tokens; a stored secret never goes
along to another server, and what account holders gave only does when whoever changes the address
knows that secret. The authorisation address receives the client id and nothing to keep, and of a
certificate's key nothing leaves this machine, so these two follow freely.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from banklink.actions.credentials import mark_revoked
from banklink.actions.give_back import give_back, keep_address
from banklink.actions.services import Refused, Services, Stale
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.providers.contract import ConfigurationError
from banklink.providers.origin import origin
from banklink.providers.ponto import Ponto
from banklink.providers.trial import Finding, certificate_until, client_context
from banklink.settings import PontoSettings
from banklink.store.models import Attempt, Grant, ProviderSettings
from banklink.store.vault import SealBroken

ADDRESSES = ("authorize_url", "token_url", "api_url")
TRUSTED = ("token_url", "api_url")
"""Those that are sent a secret or a token."""

SECRETS = ("client_secret", "certificate_key")
"""Never shown again; left empty, the stored one stays. So does the certificate beside its key."""

FIELDS = (*ADDRESSES, "client_id", "client_secret", "issuer", "certificate", "certificate_key")
REAL = {
    "authorize_url": "https://authorization.myponto.com/oauth2/auth",
    "token_url": "https://api.ibanity.com/ponto-connect/oauth2/token",
    "api_url": "https://api.ibanity.com/ponto-connect",
}
"""Ponto Connect's own addresses (providers.md 2.1)."""

ASKS_FOR_CERTIFICATE = REAL["api_url"]
"""Its server speaks to nobody without a client certificate."""

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
    return _opened(services, row) if row is not None else None


def _opened(services: Services, row: ProviderSettings) -> Stored:
    opened = services.vault.open(row.sealed)
    values = {name: opened.get(name) or "" for name in FIELDS}
    return Stored(values, row.version, row.updated_at, row.updated_by)


def complete(typed: Values, kept: Stored | None, *, forget_certificate: bool = False) -> Values:
    """What was typed, with what is kept where nothing was typed for it. The stored secret is not
    filled in for another server: whoever may edit the addresses could have it sent to their own."""
    values = {name: typed.get(name, "").strip() for name in FIELDS}
    values["api_url"] = values["api_url"].rstrip("/")
    keep = kept.values if kept else {}
    if not values["client_secret"] and not elsewhere(values, kept):
        values["client_secret"] = keep.get("client_secret", "")
    pair = ("certificate", "certificate_key")
    if forget_certificate:
        values.update(dict.fromkeys(pair, ""))
    elif not values["certificate"] and not values["certificate_key"]:
        values.update({name: keep.get(name, "") for name in pair})
    return values


def elsewhere(values: Values, kept: Stored | None) -> bool:
    """Whether what is sent a secret or a token would be another server than the stored one."""
    return kept is not None and any(
        origin(values[name]) != origin(kept.values[name]) for name in TRUSTED
    )


def problems(values: Values, *, real: datetime, kept: Stored | None = None) -> dict[str, str]:
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
        if not (kept and kept.values["client_secret"]):
            found["client_secret"] = "secret_missing"  # noqa: S105 (a code, no secret)
        elif not found.keys() & set(TRUSTED):  # an address that is wrong is mended first
            found["client_secret"] = "secret_again"  # noqa: S105 (a code, no secret)
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
    elif any(origin(values[name]) == origin(ASKS_FOR_CERTIFICATE) for name in TRUSTED):
        found["certificate"] = "certificate_needed"
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


def from_sealed(services: Services, sealed: str) -> Ponto:
    """The adapter of settings as they were kept. Raises ConfigurationError."""
    try:
        opened = services.vault.open(sealed)
    except SealBroken:
        raise ConfigurationError("sealed_with_other_keys") from None
    return adapter({name: opened.get(name) or "" for name in FIELDS})


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
    services: Services,
    values: Values,
    at: Moment,
    *,
    version: int | None,
    actor: str,
    confirmed: bool = False,
) -> None:
    """Store, sealed; every process makes its adapter anew at its next use. Where another
    registration at another server takes over, what account holders gave at the earlier one ends.

    Raises Refused for values in which `problems` finds something, and permissions_end with `n`
    when permissions would end and that was not `confirmed`; and Stale."""
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
        elif _another_registration(services, values, row):
            _end_permissions(session, row.sealed, at, confirmed, actor)
        row.sealed, row.version = sealed, row.version + 1
        row.updated_at, row.updated_by = at.now, actor


def _another_registration(services: Services, values: Values, row: ProviderSettings) -> bool:
    """Another server, and somebody who does not show that they know the stored secret."""
    try:
        kept = _opened(services, row)
    except SealBroken:
        return False  # with keys that are gone, tokens cannot be opened either
    known = hmac.compare_digest(
        values["client_secret"].encode(), kept.values["client_secret"].encode()
    )
    return elsewhere(values, kept) and not known


def _end_permissions(
    session: Session, earlier: str, at: Moment, confirmed: bool, actor: str
) -> None:
    """Tokens are for the server that gave them: the next one would only read them. They go back to
    that one, with the `earlier` settings, as does what it still has to be told."""
    grants = session.execute(
        select(Grant.id, Grant.credentials_version, Grant.credentials)
        .where(Grant.state == GrantState.ACTIVE.value)
        .order_by(Grant.administration_id, Grant.id)
    ).all()
    if grants and not confirmed:
        raise Refused("permissions_end", n=len(grants))
    for grant_id, version, sealed in grants:
        give_back(session, Ponto.id, sealed, at, reason="withdrawn", grant_id=grant_id)
        mark_revoked(session, grant_id, version, at, reason="withdrawn_here", by=actor)
    for parked in session.scalars(select(Attempt.parked).where(Attempt.parked.is_not(None))):
        give_back(session, Ponto.id, parked, at, reason="unused")
    session.execute(update(Attempt).where(Attempt.parked.is_not(None)).values(parked=None))
    keep_address(session, Ponto.id, earlier)
