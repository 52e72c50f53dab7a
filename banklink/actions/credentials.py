"""A usable access token of a grant. Refresh tokens rotate: one refresh in flight per grant, the
new pair stored before it is used (security.md 1.2, 12)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar, cast

from sqlalchemy import CursorResult, bindparam, select, update
from sqlalchemy.orm import Session

from banklink.actions import consents
from banklink.actions.give_back import give_back
from banklink.actions.services import Services
from banklink.actions.settle import hold, settle
from banklink.core.calendar import Moment
from banklink.core.facts import Grant as GrantState
from banklink.providers.contract import (
    BankProvider,
    Credentials,
    GrantRevoked,
    Temporary,
    TokenRefused,
)
from banklink.store.models import Grant

Answer = TypeVar("Answer")

_MARGIN = timedelta(seconds=30)
_LEASE = timedelta(seconds=60)
_PATIENCE = 45.0
_HELD = select(
    Grant.credentials, Grant.credentials_version, Grant.access_expires_at, Grant.state
).where(Grant.id == bindparam("grant_id"))
"""Asked before every question to a provider, so made once."""


def seal(services: Services, credentials: Credentials) -> str:
    return services.vault.seal(
        {
            "access_token": credentials.access_token,
            "refresh_token": credentials.refresh_token,
            "access_expires_at": credentials.access_expires_at.isoformat(),
        }
    )


def unseal(services: Services, sealed: str) -> Credentials:
    opened = services.vault.open(sealed)
    return Credentials(
        access_token=opened["access_token"] or "",
        refresh_token=opened["refresh_token"],
        access_expires_at=datetime.fromisoformat(opened["access_expires_at"] or ""),
    )


def put(services: Services, grant: Grant, credentials: Credentials) -> None:
    """Store a pair, sealed; whoever held an older version loses."""
    grant.credentials = seal(services, credentials)
    grant.access_expires_at = credentials.access_expires_at
    grant.credentials_version += 1
    grant.refresh_until = None


def ask(
    services: Services,
    grant_id: int,
    at: Moment,
    question: Callable[[BankProvider, Credentials], Answer],
) -> Answer:
    """Ask the grant's provider something, with a fresh token; a token refused before its time is
    refreshed once. Raises GrantRevoked after having noted it. The provider is the one of the first
    moment throughout: settings changed meanwhile must not carry its tokens to another server."""
    provider = services.provider
    credentials, version = _usable(services, provider, grant_id, at, refused=None)
    try:
        return question(provider, credentials)
    except TokenRefused:
        credentials, _ = _usable(services, provider, grant_id, at, refused=version)
    try:
        return question(provider, credentials)
    except TokenRefused as error:
        raise Temporary(error.code, http_status=error.http_status) from None


def _usable(
    services: Services, provider: BankProvider, grant_id: int, at: Moment, *, refused: int | None
) -> tuple[Credentials, int]:
    """`refused`: the version of a token the provider just refused, to be replaced."""
    began = time.monotonic()
    while True:
        real = at.real + timedelta(seconds=time.monotonic() - began)
        with services.store.read() as session:
            asked = session.connection().execute(_HELD, {"grant_id": grant_id})
            sealed, version, expires, state = asked.one()
        if state != GrantState.ACTIVE or sealed is None:
            raise GrantRevoked("grant_not_active")
        fresh = expires is not None and expires > real + _MARGIN
        if fresh and version != refused:
            return unseal(services, sealed), version
        if _lease(services, grant_id, version, real):
            old = unseal(services, sealed)
            return _refresh(services, provider, grant_id, version, old, at, real)
        if time.monotonic() - began > _PATIENCE:
            raise Temporary("refresh_in_flight")
        time.sleep(0.05)


def _lease(services: Services, grant_id: int, version: int, real: datetime) -> bool:
    with services.store.write() as session:
        taken = cast(
            CursorResult[object],
            session.execute(
                update(Grant)
                .where(
                    Grant.id == grant_id,
                    Grant.credentials_version == version,
                    Grant.state == GrantState.ACTIVE.value,
                    Grant.refresh_until.is_(None) | (Grant.refresh_until < real),
                )
                .values(refresh_until=real + _LEASE)
            ),
        )
        return taken.rowcount == 1


def _refresh(
    services: Services,
    provider: BankProvider,
    grant_id: int,
    version: int,
    old: Credentials,
    at: Moment,
    real: datetime,
) -> tuple[Credentials, int]:
    try:
        new = provider.refresh(old, real=real)
    except GrantRevoked:
        with services.store.write() as session:
            mark_revoked(session, grant_id, version, at)
        raise
    except BaseException:
        with services.store.write() as session:
            grant = session.get_one(Grant, grant_id, with_for_update=True)
            if grant.credentials_version == version:
                grant.refresh_until = None
        raise
    with services.store.write() as session:
        grant = session.get_one(Grant, grant_id, with_for_update=True)
        if grant.credentials_version == version:
            put(services, grant, new)
            return new, grant.credentials_version
        # Taken out of use, or given anew, while the provider was asked.
        give_back(session, provider.id, seal(services, new), at, reason="unused")
    return _usable(services, provider, grant_id, at, refused=None)


def hold_of(session: Session, grant_id: int) -> None:
    """Take hold of the administration a grant is for."""
    administration_id = session.scalar(select(Grant.administration_id).where(Grant.id == grant_id))
    if administration_id is not None:
        hold(session, administration_id)


def mark_revoked(
    session: Session,
    grant_id: int,
    version: int,
    at: Moment,
    *,
    reason: str = "withdrawn_at_provider",
    by: str | None = None,
) -> None:
    """The provider no longer honours the grant. A grant given anew meanwhile stays. Whoever still
    asks for the next tokens finds the version moved on."""
    hold_of(session, grant_id)
    grant = session.get_one(Grant, grant_id, with_for_update=True)
    if grant.credentials_version != version:
        return
    grant.state = GrantState.REVOKED.value
    grant.revoked_at, grant.withdrawn_here = at.now, reason == "withdrawn_here"
    grant.credentials = grant.access_expires_at = grant.refresh_until = None
    grant.credentials_version += 1
    grant.next_check_at = None
    consents.end(session, grant.id, at, reason=reason, by=by)
    settle(session, grant.administration_id, at)
