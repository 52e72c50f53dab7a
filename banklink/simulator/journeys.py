"""A journey: the visit to one or more banks that a consent or a renewal needs.

Three things start one: a service asks for access (`grant`), the holder renews in the app
(`settings`), a service asks for a renewal by a link (`reauthorization`). Each bank on the way adds
what was allowed there to the journey's own rows. Only `complete` turns that into consents, ticks
and a code, all in one transaction; whoever turns back at the second bank has changed nothing at
the first (domain R13).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import oauth, world
from .model import (
    AppAccount,
    Bank,
    BankAccount,
    Journey,
    JourneyStep,
    Owner,
    digest,
    new_secret,
)

if TYPE_CHECKING:
    from . import Simulator

LIFETIME = timedelta(hours=1)
# Outcome at the bank → what the client is told (domain A2.7).
ERRORS = {
    "cancelled": "access_denied",
    "denied": "access_denied",
    "wrong_code": "login_failed",
    "timeout": "temporarily_unavailable",
    "outage": "server_error",
}


@dataclass(frozen=True)
class Finished:
    """Where the browser goes when a journey has ended, and how it ended."""

    url: str
    kind: str
    outcome: str
    requested: tuple[int, ...] = ()
    authorised: tuple[int, ...] = ()


def start(
    session: Session,
    *,
    kind: str,
    holder_id: int,
    account_ids: Iterable[int],
    return_uri: str,
    now: datetime,
    real: datetime,
    client_id: str | None = None,
    request: dict[str, Any] | None = None,
    ticks: Iterable[int] = (),
) -> str:
    """A new journey along the banks of `account_ids`; returns its secret, the link's last part.

    At each bank the consent is asked for the union of the holder's accounts there: a new consent
    ends the former one at many banks, so renewing one account must not lose the others (R10).
    """
    secret = new_secret()
    journey = Journey(
        hash=digest(secret),
        kind=kind,
        holder_id=holder_id,
        client_id=client_id,
        return_uri=return_uri,
        request=request or {},
        ticks=list(ticks),
        started_at=now,
        created_at=real,
    )
    session.add(journey)
    session.flush()
    banks: dict[int, list[int]] = {}
    for account_id in account_ids:
        account = session.get_one(BankAccount, account_id)
        banks.setdefault(account.bank_id, []).append(account_id)
    for position, (bank_id, wanted) in enumerate(banks.items()):
        in_app = session.scalars(
            select(AppAccount.bank_account_id)
            .join(BankAccount, BankAccount.id == AppAccount.bank_account_id)
            .where(AppAccount.holder_id == holder_id, BankAccount.bank_id == bank_id)
            .order_by(AppAccount.id)
        ).all()
        session.add(
            JourneyStep(
                journey_id=journey.id,
                position=position,
                bank_id=bank_id,
                focus_id=wanted[0],
                requested=list(dict.fromkeys([*wanted, *in_app])),
                offered=[],
                authorised=[],
            )
        )
    session.flush()
    return secret


def find(session: Session, secret: str) -> Journey | None:
    return session.scalar(select(Journey).where(Journey.hash == digest(secret)))


def is_open(journey: Journey, real: datetime) -> bool:
    return journey.finished_at is None and real - journey.created_at <= LIFETIME


def current_step(session: Session, journey: Journey) -> JourneyStep | None:
    return session.scalar(
        select(JourneyStep)
        .where(JourneyStep.journey_id == journey.id, JourneyStep.done_at.is_(None))
        .order_by(JourneyStep.position)
        .limit(1)
    )


def owned_at(session: Session, holder_id: int, bank_id: int) -> list[BankAccount]:
    return list(
        session.scalars(
            select(BankAccount)
            .join(Owner, Owner.bank_account_id == BankAccount.id)
            .where(Owner.holder_id == holder_id, BankAccount.bank_id == bank_id)
            .order_by(BankAccount.id)
        )
    )


def fail(session: Session, simulator: Simulator, journey: Journey, outcome: str) -> Finished:
    """End a journey with nothing changed; the client is told why."""
    journey.finished_at = simulator.clock.real()
    journey.outcome = outcome
    return Finished(
        _answer(simulator, journey, [("error", ERRORS[outcome])]), journey.kind, outcome
    )


def complete(session: Session, simulator: Simulator, journey: Journey) -> Finished:
    """Apply everything the journey collected: accounts, bank consents, ticks, the grant."""
    now, real = simulator.clock.now(), simulator.clock.real()
    requested: list[int] = []
    authorised: list[int] = []
    for account_id in journey.ticks:
        world.add_to_app(session, journey.holder_id, account_id, now)
    steps = session.scalars(
        select(JourneyStep)
        .where(JourneyStep.journey_id == journey.id)
        .order_by(JourneyStep.position)
    ).all()
    for step in steps:
        requested += step.requested
        authorised += step.authorised
        if not step.authorised:
            continue
        bank = session.get_one(Bank, step.bank_id)
        world.complete_consent(
            session,
            holder_id=journey.holder_id,
            bank=bank,
            account_ids=step.authorised,
            valid_days=step.valid_days or bank.valid_days,
            history_days=step.history_days,
            started_at=journey.started_at,
            authorized_at=now,
            synchronise_at=now,
        )
    parameters: list[tuple[str, str]] = []
    if journey.kind == "grant":
        parameters.append(("code", _grant(session, simulator, journey, now, real)))
    journey.finished_at = real
    journey.outcome = "completed"
    url = _answer(simulator, journey, parameters)
    return Finished(url, journey.kind, "completed", tuple(requested), tuple(authorised))


def _grant(
    session: Session, simulator: Simulator, journey: Journey, now: datetime, real: datetime
) -> str:
    assert journey.client_id is not None
    asked = journey.request
    app_accounts = session.scalars(
        select(AppAccount.id).where(
            AppAccount.holder_id == journey.holder_id,
            AppAccount.bank_account_id.in_(journey.ticks),
        )
    ).all()
    integration = world.upsert_integration(
        session,
        client_id=journey.client_id,
        holder_id=journey.holder_id,
        reference=asked["reference"],
        label=asked["label"],
        app_account_ids=app_accounts,
        now=now,
    )
    return oauth.issue_code(
        session,
        client_id=journey.client_id,
        integration_id=integration.id,
        redirect_uri=journey.return_uri,
        scope=asked["scope"],
        code_challenge=asked["code_challenge"],
        code_challenge_method="S256",
        real=real,
    )


def _answer(simulator: Simulator, journey: Journey, parameters: list[tuple[str, str]]) -> str:
    """The way back. `iss` in success and error alike, so that the client knows who answers."""
    if journey.kind == "settings":
        return journey.return_uri
    if journey.kind == "grant" and journey.request.get("state"):
        parameters = [*parameters, ("state", journey.request["state"])]
    parameters = [*parameters, ("iss", simulator.config.origin)]
    return oauth.with_query(journey.return_uri, parameters)
