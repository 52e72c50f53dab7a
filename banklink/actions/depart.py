"""Depart: start a step at the provider or the bank. The attempt is stored before anybody leaves;
its state is random, hashed at rest, bound to this browser and redeemed once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions.credentials import ask
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import hold
from banklink.core.calendar import Moment
from banklink.core.statuses import Action
from banklink.providers.contract import GrantRevoked, ProviderError
from banklink.store.facts import Record, record
from banklink.store.models import Administration, Attempt, Connection

STATE_LIVES = timedelta(minutes=60)


def hashed(secret: str) -> str:
    """States are 256 random bits: a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()


def depart(
    services: Services,
    connection_id: int,
    purpose: Action,
    at: Moment,
    *,
    actor: str,
    browser: str,
    holder: str | None = None,
    invitation_id: int | None = None,
    consent: Mapping[str, Any] | None = None,
    wanted: Sequence[str] | None = None,
    email: str | None = None,
    chosen: Sequence[int] = (),
) -> str:
    """Returns the address to send the person to. `purpose` is GRANT, CONNECT or RENEW; `holder`
    the key of the one whose authorisation it is, the diagnosis' own by default; `browser` the
    secret of the browser that starts; `invitation_id` the invitation that is followed; `consent`
    the text the person was shown, for the record (Attempt.consent). For a permission `wanted` are
    the IBANs it is about, the row's own by default, `chosen` their connections, and `email` is the
    address of who was invited.

    Raises Missing, and Refused when the provider does not answer or nothing is shared yet.
    """
    state = secrets.token_urlsafe(32)
    with services.store.write() as session:
        administration_id = session.scalar(
            select(Connection.administration_id).where(Connection.id == connection_id)
        )
        if administration_id is None:
            raise Missing
        hold(session, administration_id)
        found = record(session, connection_id, at)
        assert found is not None
        attempt = _attempt(session, services, found, purpose, at, actor, browser, state, holder)
        attempt.invitation_id, attempt.consent = invitation_id, dict(consent or {})
        attempt.params = {
            **attempt.params,
            "chosen": list(chosen),
            "wanted": list(wanted or [found.connection.iban]),
        }
        if invitation_id is None:
            # What the row tells of is what its own people left for: whoever follows an invitation,
            # or was handed one, takes nothing from them.
            found.connection.last_attempt_id = attempt.id
        administration = session.get_one(Administration, attempt.administration_id)
        label, reference = administration.name, administration.reference
        iban = found.connection.iban
        share = found.shares.get(holder or found.diagnosis.concerns or "")
        ref = share.account.ref if share and share.account else None
        grant_id = share.grant.id if share else None
    try:
        if purpose is Action.GRANT:
            departure = services.provider.begin_grant(
                redirect_uri=services.redirect_uri,
                state=state,
                label=label,
                reference=reference,
                wanted=wanted or [iban],
                email=email,
                agreed=invitation_id is not None,
            )
            with services.store.write() as session:
                stored = session.get_one(Attempt, attempt.id)
                stored.private = services.vault.seal(departure.private)
            return departure.url
        assert grant_id is not None and ref is not None
        account_ref = ref
        return ask(
            services,
            grant_id,
            at,
            lambda provider, token: provider.begin_authorisation(
                token, account_ref=account_ref, redirect_uri=services.redirect_uri, state=state
            ),
        )
    except ProviderError as error:
        with services.store.write() as session:
            stored = session.get_one(Attempt, attempt.id)
            stored.outcome, stored.ended_at = "unavailable", at.real
        code = "access_gone" if isinstance(error, GrantRevoked) else "provider_unavailable"
        raise Refused(code) from error


def _attempt(
    session: Session,
    services: Services,
    found: Record,
    purpose: Action,
    at: Moment,
    actor: str,
    browser: str,
    state: str,
    holder: str | None,
) -> Attempt:
    connection = session.get_one(Connection, found.connection.id, with_for_update=True)
    account = None
    if purpose is not Action.GRANT:
        share = found.shares.get(holder or found.diagnosis.concerns or "")
        facts = found.facts.holders.get(holder or found.diagnosis.concerns or "")
        if share is None or share.account is None or facts is None or not facts.visible:
            raise Refused("nothing_shared")
        account = share.account
        account.attempted_at = at.now
    attempt = Attempt(
        administration_id=connection.administration_id,
        connection_id=connection.id,
        account_id=account.id if account else None,
        provider=services.provider.id,
        purpose=purpose.value,
        actor=actor,
        browser=hashed(browser),
        state_hash=hashed(state),
        created_at=at.real,
        expires_at=at.real + STATE_LIVES,
        params={
            "began": at.now.isoformat(),
            "authorised_at": account.authorised_at.isoformat()
            if account and account.authorised_at
            else None,
        },
    )
    session.add(attempt)
    session.flush()
    return attempt
