"""Come back: what the provider's redirect brings. The state is checked first, then the issuer,
then an error is believed, then the code is redeemed, once (architecture.md, "Renew").

A return in another browser than the one that started (banking apps do this) is parked: what it
brought is kept, sealed, and waits until the starting browser says *finish*. So a link that was
forwarded or caught elsewhere can never switch anything on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from banklink.actions.credentials import put, seal, unseal
from banklink.actions.depart import hashed
from banklink.actions.fetch import fetch_all
from banklink.actions.give_back import give_back
from banklink.actions.observe import observe, store_accounts
from banklink.actions.revoke import subjects, too_late
from banklink.actions.services import Missing, Services
from banklink.actions.settle import WAITING, hold, settle
from banklink.actions.sign_in import plain_email
from banklink.actions.taken_in import taken_in
from banklink.actions.tell_done import tell_return
from banklink.core.calendar import Moment
from banklink.core.facts import Authorisation
from banklink.core.facts import Grant as GrantState
from banklink.core.statuses import Action
from banklink.providers.contract import (
    BankProvider,
    CallbackInvalid,
    Credentials,
    GrantRevoked,
    Person,
    ProviderAccount,
    ProviderError,
    TokenRefused,
)
from banklink.providers.origin import origin
from banklink.store.facts import authorisation_of
from banklink.store.models import Account, Attempt, Connection, Grant, Holder

log = logging.getLogger(__name__)

_FINISHING = timedelta(minutes=3)
"""Longer than the calls to the provider take; then a crash is assumed. Whoever takes longer all the
same finds the claim gone, and changes nothing."""
_MARGIN = timedelta(seconds=30)

ERRORS = {
    "access_denied": "cancelled",
    "login_failed": "login_failed",
    "temporarily_unavailable": "timed_out",
    "server_error": "bank_outage",
}
"""The provider's word → our outcome (domain.md A2.7); any other word is "failed"."""


@dataclass(frozen=True, slots=True)
class Issuers:
    """Why an issuer was refused: `named` in the answer, `expected` by the settings, each perhaps
    None; `address` is where people are sent."""

    named: str | None
    expected: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Return:
    """Where the person goes now. kind: row (the row tells), elsewhere (finish in the browser that
    started), ended (elsewhere too, but there is nothing to finish), or refused with a reason:
    unknown, expired, used, issuer, incomplete. With `issuer` come who the answer says it is from
    (`named`), the issuer that is set, and the address people are sent to. `invited`: the number of
    the attempt, where somebody followed an invitation, who has no row to look at."""

    kind: str
    administration_id: int | None = None
    connection_id: int | None = None
    reason: str | None = None
    issuers: Issuers | None = None
    invited: int | None = None


def come_back(
    services: Services, answer: Mapping[str, str], at: Moment, *, browser: str | None
) -> Return:
    """`answer`: the query of the redirect; `browser`: the secret of the browser it arrived in."""
    state = answer.get("state", "")
    with services.store.read() as session:
        attempt = session.scalar(select(Attempt).where(Attempt.state_hash == hashed(state)))
    if not state or attempt is None:
        return Return("refused", reason="unknown")
    invited = attempt.id if attempt.invitation_id is not None else None
    same = browser is not None and hashed(browser) == attempt.browser
    row = Return(
        "row" if same else "elsewhere",
        attempt.administration_id,
        attempt.connection_id,
        invited=invited,
    )
    used = Return("refused", reason="used", invited=invited)
    if attempt.consumed_at is not None:
        return row if same else used
    if at.real >= attempt.expires_at:
        return Return("refused", reason="expired", invited=invited)
    provider = services.providers[attempt.provider]
    if not _from_issuer(provider, attempt, answer):
        issuers = Issuers(answer.get("iss"), provider.issuer, provider.authorize_url)
        # Nothing is written: whoever got hold of a state must not be able to end a step that runs.
        # What is never answered counts as broken off after a while by itself (sweep.py).
        log.warning(
            "attempt %s: answer refused: it names issuer %.200r, expected was %.200r",
            attempt.id,
            issuers.named,
            issuers.expected or f"one at {issuers.address}",
        )
        return Return("refused", reason="issuer", issuers=issuers, invited=invited)
    if "error" in answer:
        _failed(services, attempt.id, answer["error"], at)
        return row if same else replace(row, kind="ended")
    granting = attempt.purpose == Action.GRANT
    if granting and not answer.get("code"):
        return Return("refused", reason="incomplete", invited=invited)
    if not _consume(services, attempt.id, at):
        return row if same else used
    if granting:
        _redeem(services, attempt, answer["code"], at)
    with services.store.write() as session:
        stored = session.get_one(Attempt, attempt.id)
        if not same and stored.outcome is None:
            stored.outcome, stored.ended_at = "parked", at.real
            stored.params = {**stored.params, "elsewhere": True}
        outcome = stored.outcome
    if same and outcome is None:
        _finish(services, attempt.id, at)
    return row if same or outcome == "parked" else replace(row, kind="ended")


def finish(services: Services, connection_id: int, at: Moment, *, browser: str | None) -> None:
    """*Afronden*: the browser that started takes in what arrived in another. Raises Missing when
    nothing waits for this browser."""
    with services.store.read() as session:
        connection = session.get(Connection, connection_id)
        attempt = (
            session.get(Attempt, connection.last_attempt_id)
            if connection is not None and connection.last_attempt_id is not None
            else None
        )
    if attempt is None or not can_finish(attempt, browser):
        raise Missing
    _finish(services, attempt.id, at)


def finish_attempt(services: Services, attempt_id: int, at: Moment) -> None:
    """The same for who has no row: the caller made sure that it waits for this browser."""
    _finish(services, attempt_id, at)


def can_finish(attempt: Attempt, browser: str | None) -> bool:
    """Whether something waits for this browser; also what a crash left half taken in."""
    left = attempt.outcome is None and attempt.parked is not None
    return (attempt.outcome in WAITING or left) and started_in(attempt, browser)


def started_in(attempt: Attempt, browser: str | None) -> bool:
    """Whether it was this browser that left."""
    return browser is not None and hashed(browser) == attempt.browser


def _from_issuer(provider: BankProvider, attempt: Attempt, answer: Mapping[str, str]) -> bool:
    """RFC 9207: an issuer that is named must be the expected one, to the letter; where it is
    configured, the answer to an authorization request must name it. The return from a bank step
    is no such answer and may leave it out."""
    expected, named = provider.issuer, answer.get("iss")
    if named is None:
        return expected is None or attempt.purpose != Action.GRANT
    if expected is not None:
        return named == expected
    # None is set, and the service names itself all the same: then the server people were sent to
    # will do. The issuer guards against answers of one service being taken to another. Here there
    # is only one: a code goes to its token address whatever an answer says, with the PKCE secret of
    # this attempt, and the state is good for one attempt of one browser. Who can answer from
    # another path of that server could answer without naming any issuer, which was always taken.
    here = origin(named)
    return here is not None and bool(here[1]) and here == origin(provider.authorize_url)


def _failed(services: Services, attempt_id: int, word: str, at: Moment) -> None:
    """An error ends nothing for good: who cancelled may still go back and confirm (peers.md 1.8),
    so the state stays redeemable until it expires."""
    with services.store.write() as session:
        session.execute(
            update(Attempt)
            .where(Attempt.id == attempt_id, Attempt.consumed_at.is_(None))
            .values(outcome=ERRORS.get(word, "failed"), ended_at=at.real)
        )


def _consume(services: Services, attempt_id: int, at: Moment) -> bool:
    with services.store.write() as session:
        taken = cast(
            CursorResult[object],
            session.execute(
                update(Attempt)
                .where(Attempt.id == attempt_id, Attempt.consumed_at.is_(None))
                .values(consumed_at=at.real, outcome=None, ended_at=None)
            ),
        )
        return taken.rowcount == 1


def _redeem(services: Services, attempt: Attempt, code: str, at: Moment) -> None:
    """Exchange the code and keep the tokens at once, before anything else can fail."""
    private = services.vault.open(attempt.private or "")
    try:
        credentials = services.providers[attempt.provider].complete_grant(
            code=code,
            private={key: value or "" for key, value in private.items()},
            redirect_uri=services.redirect_uri,
            real=at.real,
        )
    except ProviderError as error:
        log.info("attempt %s: code not redeemed: %s", attempt.id, error.code)
        outcome = "refused" if isinstance(error, CallbackInvalid) else "unknown"
        with services.store.write() as session:
            stored = session.get_one(Attempt, attempt.id)
            stored.outcome, stored.ended_at, stored.private = outcome, at.real, None
        return
    with services.store.write() as session:
        stored = session.get_one(Attempt, attempt.id)
        stored.parked, stored.private = seal(services, credentials), None
        if stored.outcome == "withdrawn":  # meanwhile, by who asked or who was asked
            give_back(session, stored.provider, stored.parked, at, reason="unused")
            stored.parked = None


def _finish(services: Services, attempt_id: int, at: Moment) -> None:
    """Take in what the attempt brought, then fetch what works now. One caller at a time: a second
    press while the first still asks does nothing. When the provider does not answer, what was
    brought stays parked and the row offers to finish."""
    attempt = _begin_finishing(services, attempt_id, at)
    if attempt is None:
        return
    try:
        if attempt.purpose == Action.GRANT:
            due = _take_grant(services, attempt, at)
        else:
            due = _take_authorisation(services, attempt, at)
    except GrantRevoked:
        _end_finishing(services, attempt, at, "refused")
        return
    except _Unproven:
        log.warning(
            "attempt %s: answer came in another browser, without a step at a bank", attempt.id
        )
        _end_finishing(services, attempt, at, "unproven")
        return
    except _SomebodyElse:
        _end_finishing(services, attempt, at, "somebody_else")
        return
    except _Withdrawn:
        _end_finishing(services, attempt, at, "withdrawn")
        return
    except ProviderError as error:
        log.info("attempt %s waits: %s", attempt.id, error.code)
        _end_finishing(services, attempt, at, "unfinished")
        return
    except _Overtaken:
        log.warning("attempt %s took too long; somebody else finishes it", attempt.id)
        return
    except BaseException:
        _end_finishing(services, attempt, at, "unfinished")
        raise
    fetch_all(services, due, at)
    tell_return(services, attempt.id, at)


def _begin_finishing(services: Services, attempt_id: int, at: Moment) -> Attempt | None:
    """The attempt, claimed by one conditional UPDATE; None when another caller has it or it is
    done. Its outcome is open again: a person is here, so armed connections may switch on."""
    open_or_waiting = Attempt.outcome.is_(None) | Attempt.outcome.in_(WAITING)
    with services.store.write() as session:
        claimed = cast(
            CursorResult[object],
            session.execute(
                update(Attempt)
                .where(
                    Attempt.id == attempt_id,
                    Attempt.consumed_at.is_not(None),
                    open_or_waiting,
                    Attempt.finishing_until.is_(None) | (Attempt.finishing_until < at.real),
                )
                .values(finishing_until=at.real + _FINISHING, outcome=None)
            ),
        )
        return session.get_one(Attempt, attempt_id) if claimed.rowcount == 1 else None


class _Overtaken(Exception):
    """This caller's claim ran out and another one has it: what it brought is no longer its own."""


def _ours(session: Session, attempt: Attempt) -> Attempt:
    """The stored attempt, locked, as long as `attempt`'s claim is the one that holds. Raises
    _Overtaken."""
    stored = session.get_one(Attempt, attempt.id, with_for_update=True)
    if stored.finishing_until != attempt.finishing_until:
        raise _Overtaken
    return stored


def _end_finishing(services: Services, attempt: Attempt, at: Moment, outcome: str) -> None:
    with suppress(_Overtaken), services.store.write() as session:
        stored = _ours(session, attempt)
        stored.outcome, stored.ended_at, stored.finishing_until = outcome, at.real, None
        if outcome not in WAITING and stored.parked is not None:
            give_back(session, stored.provider, stored.parked, at, reason="unused")
            stored.parked = None


def _take_grant(services: Services, attempt: Attempt, at: Moment) -> list[int]:
    provider = services.providers[attempt.provider]
    if attempt.parked is None:
        raise GrantRevoked("nothing_parked")
    credentials = unseal(services, attempt.parked)
    if credentials.access_expires_at <= at.real + _MARGIN:
        credentials = _refreshed(services, provider, attempt, credentials, at)
    try:
        person, accounts = provider.person(credentials), provider.accounts(credentials)
    except TokenRefused:
        credentials = _refreshed(services, provider, attempt, credentials, at)
        person, accounts = provider.person(credentials), provider.accounts(credentials)
    if not _proven(attempt, accounts):
        raise _Unproven
    with services.store.write() as session:
        hold(session, attempt.administration_id)
        stored = _ours(session, attempt)
        if too_late(session, attempt, person):
            raise _Withdrawn
        if attempt.invitation_id is not None and not _concerned(session, attempt, accounts):
            # Somebody else followed the link: they were asked for nothing, so nothing of theirs is
            # read, and what runs through them stays as it is.
            raise _SomebodyElse
        grant = _grant(session, attempt, person, at)
        if grant.credentials is not None:
            give_back(
                session,
                attempt.provider,
                grant.credentials,
                at,
                reason="superseded",
                grant_id=grant.id,
            )
        put(services, grant, credentials)
        before = _snapshot(session, grant)
        store_accounts(session, grant, accounts, at)
        connection = session.get_one(Connection, attempt.connection_id)
        wanted = [
            _account(session, grant, session.get_one(Connection, number))
            for number in attempt.params.get("chosen") or [connection.id]
        ]
        stored.outcome, verdict = _verdict(connection, wanted, before, accounts, at)
        stored.params = {**verdict, "shared": [each.iban for each in wanted]}
        stored.parked, stored.ended_at, stored.finishing_until = None, at.real, None
        due = settle(session, attempt.administration_id, at, actor=attempt.actor or None)
        stored.params = {**stored.params, "version": connection.version}
        taken_in(services, session, stored, grant, at)
        return due


class _SomebodyElse(Exception):
    """Who gave permission shares none of the accounts they were invited for."""


def _concerned(session: Session, attempt: Attempt, accounts: Sequence[ProviderAccount]) -> bool:
    """Whether any account that was asked for is among those shared."""
    wanted = {
        (connection.iban, connection.currency)
        for connection in session.scalars(
            select(Connection).where(
                Connection.id.in_(attempt.params.get("chosen") or [attempt.connection_id])
            )
        )
    }
    return any((each.iban, each.currency) in wanted for each in accounts)


class _Unproven(Exception):
    """Who said yes on our page and who signed in at the provider need not be the same person."""


def _proven(attempt: Attempt, accounts: Sequence[ProviderAccount]) -> bool:
    """Whether the account holder has shown that the yes is theirs. Whoever follows an invitation
    says it on our page; the provider does not ask again. Where the answer arrives in that same
    browser, the provider's sign-in there was theirs. Where it arrives in another, somebody may have
    said yes and have had the holder, signed in at the provider, follow the address: then only a
    step at the bank, made since, will do (domain.md B2.6). From a row the provider always asks. A
    clock of theirs that is behind ours makes us ask once more; it never lets anybody in."""
    if attempt.invitation_id is None or not attempt.params.get("elsewhere"):
        return True
    began = datetime.fromisoformat(attempt.params["began"])
    wanted = set(attempt.params.get("wanted", ()))
    return any(
        each.iban in wanted and each.authorised_at is not None and each.authorised_at >= began
        for each in accounts
    )


class _Withdrawn(Exception):
    """Access of this person was withdrawn here after they left for giving it."""


def _refreshed(
    services: Services, provider: BankProvider, attempt: Attempt, old: Credentials, at: Moment
) -> Credentials:
    """The next pair, kept before it is used: the old one is spent. The claim is renewed first, so
    that nobody else spends the same one meanwhile."""
    with services.store.write() as session:
        stored = _ours(session, attempt)
        assert attempt.finishing_until is not None
        attempt.finishing_until = stored.finishing_until = attempt.finishing_until + _FINISHING
    new = provider.refresh(old, real=at.real)
    with services.store.write() as session:
        _ours(session, attempt).parked = seal(services, new)
    return new


def _grant(session: Session, attempt: Attempt, person: Person, at: Moment) -> Grant:
    # Locked: whoever is forgotten in other books at this moment is known again here afterwards.
    holder = session.scalar(
        select(Holder)
        .where(Holder.provider == attempt.provider, Holder.subject.in_(subjects(person.subject)))
        .with_for_update()
    )
    if holder is None:
        holder = Holder(provider=attempt.provider, subject=person.subject, name=person.name)
        session.add(holder)
    holder.name, holder.subject = person.name, person.subject
    holder.email = plain_email(person.email) if person.email else holder.email
    holder.forgotten_at = None
    session.flush()
    grant = session.scalar(
        select(Grant)
        .where(Grant.administration_id == attempt.administration_id, Grant.holder_id == holder.id)
        .with_for_update()
    )
    if grant is None:
        grant = Grant(
            administration_id=attempt.administration_id, holder_id=holder.id, credentials_version=0
        )
        session.add(grant)
    if grant.state != GrantState.ACTIVE:
        grant.granted_at = at.now
    grant.state, grant.revoked_at, grant.forgotten_at = GrantState.ACTIVE.value, None, None
    session.flush()
    return grant


def _account(session: Session, grant: Grant, connection: Connection) -> Account:
    """The row of the account that was asked for, even where it was not shared: from now on this
    holder has to do with it."""
    session.flush()
    found = session.scalar(
        select(Account).where(
            Account.grant_id == grant.id,
            Account.iban == connection.iban,
            Account.currency == connection.currency,
        )
    )
    if found is None:
        found = Account(
            grant_id=grant.id, iban=connection.iban, currency=connection.currency, listed=False
        )
        session.add(found)
    return found


Snapshot = Mapping[tuple[str, str], datetime | None]


def _snapshot(session: Session, grant: Grant) -> Snapshot:
    return {
        (row.iban, row.currency): row.authorised_at
        for row in session.scalars(select(Account).where(Account.grant_id == grant.id))
        if row.listed
    }


def _verdict(
    connection: Connection,
    wanted: Sequence[Account],
    before: Snapshot,
    accounts: Sequence[ProviderAccount],
    at: Moment,
) -> tuple[str, dict[str, object]]:
    """done, granted (bank step still to come), other_account, or not_shared. Of several wanted the
    one that is furthest from done decides."""
    ibans = {each.iban for each in wanted}
    others = [
        each.iban
        for each in accounts
        if each.iban not in ibans
        and (
            (each.iban, each.currency) not in before
            or before[each.iban, each.currency] != each.authorised_at
        )
    ]
    params: dict[str, object] = {"iban": connection.iban}
    missing = [each.iban for each in wanted if not each.listed]
    if missing:
        params |= {"iban": missing[0], "missing": missing}
        if others and len(missing) == len(wanted):
            return "other_account", {**params, "others": others}
        return "not_shared", params
    if any(authorisation_of(each, at.now) is not Authorisation.ACTIVE for each in wanted):
        return "granted", params
    ends = [each.valid_until for each in wanted if each.valid_until is not None]
    return "done", {**params, "until": min(ends).isoformat() if ends else None}


def _take_authorisation(services: Services, attempt: Attempt, at: Moment) -> list[int]:
    """The return itself proves nothing: the account is read, and tells."""
    with services.store.read() as session:
        account = session.get_one(Account, attempt.account_id)
        grant = session.get_one(Grant, account.grant_id)
        before = _snapshot(session, grant)
    due = observe(services, grant.id, at)
    with services.store.write() as session:
        hold(session, attempt.administration_id)
        stored = _ours(session, attempt)
        account = session.get_one(Account, attempt.account_id)
        known = attempt.params.get("authorised_at")
        now_authorised = account.authorised_at.isoformat() if account.authorised_at else None
        others = {
            key: before.get(key)
            for key, authorised_at in _snapshot(session, grant).items()
            if key[0] != account.iban and before.get(key) != authorised_at
        }
        until = account.valid_until.isoformat() if account.valid_until else None
        params: dict[str, object] = {"iban": account.iban, "until": until}
        if now_authorised is not None and now_authorised != known:
            connection = session.get_one(Connection, attempt.connection_id)
            along = sum(earlier is not None for earlier in others.values())
            params |= {"version": connection.version, "along": along}
            stored.outcome = "done"
        elif others:
            params |= {"others": [iban for iban, _ in others]}
            stored.outcome = "other_account"
        else:
            stored.outcome = "nothing_changed"
        stored.params, stored.ended_at, stored.finishing_until = params, at.real, None
        taken_in(services, session, stored, session.get_one(Grant, account.grant_id), at)
    return due
