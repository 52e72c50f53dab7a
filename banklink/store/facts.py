"""Turns rows into facts: one administration, or some of its connections, in a constant number of
queries. Everything that is shown or decided about a connection starts here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from banklink.core.calendar import Moment, days_left, has_expired
from banklink.core.deliveries import Delivery
from banklink.core.diagnose import Diagnosis, diagnose
from banklink.core.facts import (
    Authorisation,
    ConnectionFacts,
    HolderFacts,
    Switch,
    Trouble,
)
from banklink.core.facts import Grant as GrantState
from banklink.core.invitations import OPEN, State, state_of
from banklink.core.statuses import Action
from banklink.store.asides import NOTHING, Waiting, waiting, waiting_of
from banklink.store.deliveries import deliveries
from banklink.store.models import (
    Account,
    Attempt,
    Connection,
    Event,
    Grant,
    Holder,
    Invitation,
    InvitationAccount,
    Journal,
)
from banklink.store.plain import plain_columns, read_all

ATTEMPT_RUNS = timedelta(minutes=15)
"""So long a departure counts as under way; then it is swept (domain.md A2.7)."""


@dataclass(frozen=True, slots=True)
class Share:
    """One holder's account row with its grant: the stored side of a HolderFacts."""

    holder: Holder
    grant: Grant
    account: Account | None

    @property
    def name(self) -> str | None:
        """None of who is forgotten here."""
        return self.holder.name or None if self.grant.forgotten_at is None else None


@dataclass(frozen=True, slots=True)
class Asked:
    """The last invitation that asks for this account and has not come to an end by being accepted
    or withdrawn, and how its last mail fares; without one the link was handed over."""

    invitation: Invitation
    delivery: Delivery | None

    def state(self, now: datetime) -> State:
        return state_of_invitation(self.invitation, now)


def state_of_invitation(invitation: Invitation, now: datetime) -> State:
    return state_of(
        now=now,
        expires_at=invitation.expires_at,
        opened_at=invitation.opened_at,
        accepted_at=invitation.accepted_at,
        declined_at=invitation.declined_at,
        withdrawn_at=invitation.withdrawn_at,
    )


@dataclass(frozen=True, slots=True)
class Record:
    """One connection with everything that is known of it. `shares` by holder key; `waits`: what
    waits for a person, and a fetch that has not ended. Read plainly, two of which the same is known
    are equal."""

    connection: Connection
    journal: Journal | None
    shares: dict[str, Share]
    attempt: Attempt | None
    asked: Asked | None
    facts: ConnectionFacts
    diagnosis: Diagnosis
    waits: Waiting = NOTHING

    def __hash__(self) -> int:
        return hash((self.connection.id, self.connection.version, self.diagnosis.row.key))

    @property
    def is_news(self) -> bool:
        """Whether the history last spoke of another row of the table."""
        return self.connection.noted != self.diagnosis.row.key

    @property
    def is_told(self) -> bool:
        """Whether news of it goes into the history: not where nobody ever had to do with it."""
        return self.connection.noted is not None or self.facts.switch is not Switch.NEVER

    @property
    def plain(self) -> bool:
        """Whether it was read to be looked at only."""
        return isinstance(self.connection, tuple)

    @property
    def known(self) -> bool:
        """Journals with an IBAN, accounts visible through a grant, connections ever switched.
        Others are remembered and nowhere to be seen."""
        return (
            self.journal is not None
            or self.facts.switch is not Switch.NEVER
            or any(holder.visible for holder in self.facts.holders.values())
        )

    @property
    def hidden(self) -> bool:
        """Somebody said that this account does not belong here. Holds as long as no journal has its
        IBAN and nothing is fetched of it."""
        return (
            self.known
            and self.connection.hidden_at is not None
            and self.journal is None
            and self.facts.switch is not Switch.ON
        )

    @property
    def shown(self) -> bool:
        """Rows of the page."""
        return self.known and not self.hidden

    @property
    def overtaken(self) -> bool:
        """What the last departure was for came about without it."""
        return self.attempt is not None and _overtaken(self.attempt, self.facts, self.shares)

    @property
    def selected_share(self) -> Share | None:
        return self.shares.get(self.facts.selected) if self.facts.selected else None

    @property
    def concerned_share(self) -> Share | None:
        concerns = self.diagnosis.concerns
        return self.shares.get(concerns) if concerns else None


def authorisation_of(account: Account | None, now: datetime) -> Authorisation:
    """What the bank allows, from what was last observed. The date is read against `now`; what the
    provider said of an early end stands until it says otherwise (domain.md R11)."""
    if account is None:
        return Authorisation.NONE
    if account.authorised_at is None:
        attempted = account.attempted_at is not None
        return Authorisation.NEVER_COMPLETED if attempted else Authorisation.NONE
    if account.valid_until is not None and has_expired(account.valid_until, now):
        return Authorisation.EXPIRED
    if account.ended == "expired":
        return Authorisation.EXPIRED
    if account.ended == "revoked":
        return Authorisation.REVOKED
    return Authorisation.ACTIVE


def holder_facts(share: Share, now: datetime) -> HolderFacts:
    account = share.account
    valid_until = account.valid_until if account else None
    return HolderFacts(
        grant=GrantState(share.grant.state),
        listed=bool(account and account.listed),
        authorisation=authorisation_of(account, now),
        name=share.name,
        days_left=days_left(valid_until, now) if valid_until else None,
        valid_until=valid_until,
        granted_at=share.grant.granted_at,
        revoked_at=share.grant.revoked_at,
        withdrawn_here=bool(share.grant.withdrawn_here),
        listed_at=account.listed_at if account else None,
        unlisted_at=account.unlisted_at if account else None,
        authorised_at=account.authorised_at if account else None,
        ended_at=account.ended_at if account else None,
        attempted_at=account.attempted_at if account else None,
    )


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is read of one administration or of several, or of some connections there; `anywhere`:
    connections of which the administration is yet to be known."""

    connections: Select[Any]
    anywhere: Select[Any]
    journals: Select[Any]
    people: Select[Any]
    accounts: Select[Any]
    attempts: Select[Any]
    asked: Select[Any]
    waiting: CompoundSelect[Any]


@cache
def _statements(*, plain: bool, some: bool, several: bool = False) -> _Statements:
    """Made once: making a statement costs more than running it."""

    def of(model: type[Any]) -> Any:
        return plain_columns(model) if plain else [model]

    def here(column: InstrumentedAttribute[int]) -> ColumnElement[bool]:
        if several:
            return column.in_(bindparam("administrations", expanding=True))
        return column == bindparam("administration")

    ids: BindParameter[int] = bindparam("ids", expanding=True)
    ibans: BindParameter[str] = bindparam("ibans", expanding=True)
    connections = select(*of(Connection)).where(here(Connection.administration_id))
    anywhere = select(*of(Connection)).where(Connection.id.in_(ids))
    journals = select(*of(Journal)).where(
        here(Journal.administration_id), Journal.iban.is_not(None)
    )
    people = (
        select(*of(Grant), *of(Holder))
        .join(Holder, Holder.id == Grant.holder_id)
        .where(here(Grant.administration_id))
        .order_by(Holder.name, Holder.id)
    )
    accounts = (
        select(*of(Account))
        .join(Grant, Grant.id == Account.grant_id)
        .where(here(Grant.administration_id))
        .order_by(Account.id)
    )
    attempts = select(*of(Attempt)).where(Attempt.id.in_(bindparam("attempts", expanding=True)))
    asked = (
        select(*of(InvitationAccount), *of(Invitation))
        .join(Invitation, Invitation.id == InvitationAccount.invitation_id)
        .join(Connection, Connection.id == InvitationAccount.connection_id)
        .where(
            here(Connection.administration_id),
            Invitation.accepted_at.is_(None),
            Invitation.withdrawn_at.is_(None),
            # What the clock wrote is no reason not to ask in person.
            Invitation.by_reminder.is_(False) | Invitation.asked_again_at.is_not(None),
        )
        .order_by(Invitation.id)
    )
    if several:  # each with its own: two lists would be tried in every combination
        spot = (
            (Connection.iban == Journal.iban)
            & (Connection.currency == Journal.currency)
            & (Connection.administration_id == Journal.administration_id)
        )
        journals = select(*of(Journal)).join(Connection, spot).where(Connection.id.in_(ids))
        spot = (
            (Connection.iban == Account.iban)
            & (Connection.currency == Account.currency)
            & (Connection.administration_id == Grant.administration_id)
        )
        accounts = accounts.join(Connection, spot).where(Connection.id.in_(ids))
        asked = asked.where(InvitationAccount.connection_id.in_(ids))
    elif some:
        connections = connections.where(Connection.id.in_(ids))
        journals = journals.where(Journal.iban.in_(ibans))
        accounts = accounts.where(Account.iban.in_(ibans))
        asked = asked.where(InvitationAccount.connection_id.in_(ids))
    connections = connections.order_by(Connection.id)
    those = ids if some else select(Connection.id).where(here(Connection.administration_id))
    return _Statements(
        connections, anywhere, journals, people, accounts, attempts, asked, waiting_of(those)
    )


def records(
    session: Session,
    administration_id: int,
    at: Moment,
    *,
    only: Iterable[int] | None = None,
    plain: bool = False,
) -> list[Record]:
    """Every connection of one administration (or those with the ids in `only`), diagnosed at `at`.
    At most eight queries, however many rows there are. `plain`: to be looked at and not changed, a
    fifth of the work (store/plain.py)."""
    statements = _statements(plain=plain, some=only is not None)
    given: dict[str, Any] = {"administration": administration_id}
    if only is not None:
        given["ids"] = list(only)
    connections = read_all(session, statements.connections, given, Connection, plain=plain)
    return _known(session, connections, statements, given, at, plain=plain)


def record(
    session: Session, connection_id: int, at: Moment, *, plain: bool = False
) -> Record | None:
    """One connection, or None when there is no such row."""
    statements, given = _statements(plain=plain, some=True), {"ids": [connection_id]}
    found = read_all(session, statements.anywhere, given, Connection, plain=plain)
    if not found:
        return None
    given = {"administration": found[0].administration_id, **given}
    return _known(session, found, statements, given, at, plain=plain)[0]


def records_among(session: Session, connection_ids: Collection[int], at: Moment) -> list[Record]:
    """Connections of any administrations, plainly read."""
    statements, given = _statements(plain=True, some=True, several=True), {"ids": connection_ids}
    found = read_all(session, statements.anywhere, given, Connection, plain=True)
    given = {"administrations": {each.administration_id for each in found}, **given}
    return _known(session, found, statements, given, at, plain=True)


def _known(
    session: Session,
    connections: list[Connection],
    statements: _Statements,
    given: dict[str, Any],
    at: Moment,
    *,
    plain: bool,
) -> list[Record]:
    """What there is to know of these connections."""
    given = {**given, "ibans": [each.iban for each in connections]}
    journals = {
        (journal.administration_id, journal.iban, journal.currency): journal
        for journal in read_all(session, statements.journals, given, Journal, plain=plain)
    }
    shares = _shares(session, statements, given, plain=plain)
    departed = [row.last_attempt_id for row in connections if row.last_attempt_id is not None]
    attempts = (
        {
            attempt.id: attempt
            for attempt in read_all(
                session, statements.attempts, {"attempts": departed}, Attempt, plain=plain
            )
        }
        if departed
        else {}
    )
    asked = _asked(session, statements, given, plain=plain)
    waits = waiting(session, statements.waiting, given)
    return [
        _record(
            connection,
            journals.get((connection.administration_id, connection.iban, connection.currency)),
            shares,
            attempts.get(connection.last_attempt_id or 0),
            asked.get(connection.id),
            waits.get(connection.id, NOTHING),
            at,
        )
        for connection in connections
    ]


def _asked(
    session: Session, statements: _Statements, given: dict[str, Any], *, plain: bool
) -> dict[int, Asked]:
    """By connection."""
    last: dict[int, Invitation] = {
        wish.connection_id: invitation
        for wish, invitation in read_all(
            session, statements.asked, given, InvitationAccount, Invitation, plain=plain
        )
    }
    if not last:
        return {}
    mails = deliveries(session, {each.id for each in last.values()})
    return {key: Asked(each, mails.get(each.id)) for key, each in last.items()}


@dataclass(frozen=True, slots=True)
class _Shares:
    """By administration, and there by IBAN and currency, or by holder."""

    by_account: dict[tuple[int, str, str], list[Share]]
    by_holder: dict[tuple[int, int], Share]


def _shares(
    session: Session, statements: _Statements, given: dict[str, Any], *, plain: bool
) -> _Shares:
    """Who shares what; of some accounts, but every holder."""
    of_grant: dict[int, list[Account]] = defaultdict(list)
    for account in read_all(session, statements.accounts, given, Account, plain=plain):
        of_grant[account.grant_id].append(account)
    by_account: dict[tuple[int, str, str], list[Share]] = defaultdict(list)
    by_holder: dict[tuple[int, int], Share] = {}
    for grant, holder in read_all(session, statements.people, given, Grant, Holder, plain=plain):
        where = grant.administration_id
        by_holder[where, holder.id] = Share(holder, grant, None)
        for account in of_grant[grant.id]:
            spot = where, account.iban, account.currency
            by_account[spot].append(Share(holder, grant, account))
    return _Shares(by_account, by_holder)


def _record(
    connection: Connection,
    journal: Journal | None,
    shares: _Shares,
    attempt: Attempt | None,
    asked: Asked | None,
    waits: Waiting,
    at: Moment,
) -> Record:
    where = connection.administration_id
    mine = {
        str(share.holder.id): share
        for share in shares.by_account.get((where, connection.iban, connection.currency), ())
    }
    if connection.selected_id is not None and str(connection.selected_id) not in mine:
        selected = shares.by_holder.get((where, connection.selected_id))
        if selected is not None:
            mine[str(connection.selected_id)] = selected
    key = str(connection.selected_id) if connection.selected_id is not None else None
    on = connection.switch == Switch.ON
    invited = asked is not None and asked.state(at.now) in OPEN
    facts = ConnectionFacts(
        journal=journal is not None,
        switch=Switch(connection.switch),
        selected=key,
        holders={name: holder_facts(share, at.now) for name, share in mine.items()},
        now=at.now,
        switched_at=connection.switched_at,
        last_success=connection.last_success,
        outage_since=_bank_outage(mine, key) if on else None,
        trouble_since=connection.outage_since if on else None,
        trouble=Trouble(connection.outage_kind or Trouble.OTHER),
        gap=(
            (connection.gap_from, connection.gap_to)
            if connection.gap_from and connection.gap_to
            else None
        ),
        limited_until=connection.limited_until if on else None,
        unbalanced=(
            (connection.unbalanced_from, connection.unbalanced_to)
            if connection.unbalanced_from and connection.unbalanced_to
            else None
        ),
        unbalanced_by=connection.unbalanced_by,
        invited=invited,
        requested=invited and asked is not None and asked.invitation.purpose == "renew",
    )
    if (
        attempt is not None
        and attempt.outcome is None
        and at.real - attempt.created_at < ATTEMPT_RUNS
        and not _overtaken(attempt, facts, mine)
    ):
        facts = replace(facts, renewal_running=True)
    return Record(connection, journal, mine, attempt, asked, facts, diagnose(facts), waits)


def _overtaken(attempt: Attempt, facts: ConnectionFacts, shares: dict[str, Share]) -> bool:
    """Whether what somebody left for was given after they left: with a sibling account at the same
    bank, or by a permission asked for in another row. An authorisation is told from the earlier one
    by the date the provider gives it, which was kept at departure: no clock of ours is compared
    with one of theirs. Permission is only ever asked for where the account cannot be seen."""
    if attempt.purpose == Action.GRANT:
        only = facts.selected if facts.switch is Switch.ON else None
        return any(
            each.visible for key, each in facts.holders.items() if only is None or key == only
        )
    if attempt.account_id is None or "authorised_at" not in attempt.params:
        return False
    for key, share in shares.items():
        account = share.account
        if account is not None and account.id == attempt.account_id:
            known = account.authorised_at.isoformat() if account.authorised_at else None
            return facts.holders[key].usable and known != attempt.params["authorised_at"]
    return False


def _bank_outage(shares: dict[str, Share], selected: str | None) -> datetime | None:
    """The bank's, as the provider reports it of the account that is fetched."""
    share = shares.get(selected) if selected else None
    if share is None or share.account is None:
        return None
    told = share.account.listed and share.grant.state == "active"
    return share.account.outage_since if told else None


def ensure_connections(session: Session, administration_id: int) -> None:
    """A connection row for every journal with an IBAN and every account seen through a grant, so
    that each has a number to be addressed by."""
    known = set(
        session.execute(
            select(Connection.iban, Connection.currency).where(
                Connection.administration_id == administration_id
            )
        )
    )
    wanted = set(
        session.execute(
            select(Journal.iban, Journal.currency).where(
                Journal.administration_id == administration_id, Journal.iban.is_not(None)
            )
        )
    ) | set(
        session.execute(
            select(Account.iban, Account.currency)
            .join(Grant)
            .where(Grant.administration_id == administration_id)
        )
    )
    for iban, currency in sorted(wanted - known):
        session.add(Connection(administration_id=administration_id, iban=iban, currency=currency))
    session.flush()


def note_changes(
    session: Session, found: Iterable[Record], at: Moment, *, actor: str | None = None
) -> None:
    """Write changes of diagnosis into the history. `noted` is what the history last said, so that
    each change is told once, whoever notices it."""
    for each in found:
        if not each.is_news:
            continue
        if each.is_told:
            add_event(
                session, each.connection, "status", at, actor=actor, to=each.diagnosis.row.key
            )
        each.connection.noted = each.diagnosis.row.key


def note_plain_changes(session: Session, found: Iterable[Record], at: Moment) -> None:
    """The same for many that were read plainly."""
    taking_place(session, at)
    news = [each for each in found if each.is_news]
    told = [
        {
            "administration_id": each.connection.administration_id,
            "connection_id": each.connection.id,
            "at": at.now,
            "kind": "status",
            "params": {"to": each.diagnosis.row.key},
        }
        for each in news
        if each.is_told
    ]
    database = session.connection()
    if told:
        database.execute(insert(Event), told)
    by_key: dict[str, list[int]] = defaultdict(list)
    for each in news:
        by_key[each.diagnosis.row.key].append(each.connection.id)
    for key, ids in by_key.items():
        database.execute(update(Connection).where(Connection.id.in_(ids)).values(noted=key))


def holder_names(
    session: Session, administration_id: int, holder_ids: Iterable[int]
) -> dict[int, str | None]:
    """What holders are called in one administration; None of who is forgotten there."""
    rows = session.execute(
        select(Holder.id, Holder.name, Grant.forgotten_at)
        .outerjoin(
            Grant,
            (Grant.holder_id == Holder.id) & (Grant.administration_id == administration_id),
        )
        .where(Holder.id.in_(set(holder_ids)))
    )
    return {number: (name or None) if gone is None else None for number, name, gone in rows}


def add_event(
    session: Session,
    connection: Connection,
    kind: str,
    at: Moment,
    *,
    actor: str | None = None,
    **params: object,
) -> None:
    taking_place(session, at)
    session.add(
        Event(
            administration_id=connection.administration_id,
            connection_id=connection.id,
            at=at.now,
            kind=kind,
            actor=actor,
            params=params,
        )
    )


def taking_place(session: Session, at: Moment) -> None:
    """Tell a transaction at what moment it takes place; what is counted of it (store/summaries.py)
    is counted at that moment."""
    session.info["at"] = at


def moment_of(session: Session) -> Moment | None:
    found: Moment | None = session.info.get("at")
    return found
