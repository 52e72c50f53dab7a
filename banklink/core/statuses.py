"""THE table: every status, its condition, wording, severity and actions. Row order is precedence.

The order is observability: a later fact cannot be known, or cannot help, while an earlier one
fails (domain.md A2.2). A row's key is rule and variant, `r9`, `r10a`. Wording is the source
article's; `%(app)s` is the configured name of this application. Helper lines are candidates: the
page takes the first whose placeholders are all known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from banklink.core.facts import (
    Authorisation,
    ConnectionFacts,
    Grant,
    HolderFacts,
    Switch,
)
from banklink.core.texts import N_


class Status(StrEnum):
    JOURNAL_MISSING = "journal_missing"
    ACCESS_LOST = "access_lost"
    ACCOUNT_NOT_FOUND = "account_not_found"
    AUTHORISATION_EXPIRED = "authorisation_expired"
    AUTHORISATION_INCOMPLETE = "authorisation_incomplete"
    ACTIVE = "active"
    JOURNAL_NEEDED = "journal_needed"
    NOT_LINKED = "not_linked"
    NO_AUTHORISED_ACCOUNT = "no_authorised_account"
    NEW = "new"
    SWITCHED_OFF = "switched_off"


class AccountLine(StrEnum):
    """What one holder's side of the account says; no line at all when it is not visible."""

    CONNECTED = "connected"
    NOT_CONNECTED = "not_connected"
    LAPSED = "lapsed"


class Severity(StrEnum):
    ERROR = "error"
    TODO = "todo"
    OK = "ok"
    MUTED = "muted"


class Urgency(IntEnum):
    """The page's order and its filter tabs: broken, to do, soon, well, off."""

    BROKEN = 0
    TODO = 1
    SOON = 2
    WELL = 3
    OFF = 4


class Overlay(StrEnum):
    """Said beside a status; never changes it."""

    EXPIRING = "expiring"
    INVITED = "invited"
    RENEWAL_RUNNING = "renewal_running"
    PROVIDER_OUTAGE = "provider_outage"
    BANK_OUTAGE = "bank_outage"
    POSSIBLE_GAP = "possible_gap"
    UNBALANCED = "unbalanced"
    LIMITED = "limited"
    STALE = "stale"


class Action(StrEnum):
    """A button's word: also the tail of its route and the name of its module in `actions/`."""

    CHOOSE_JOURNAL = "choose-journal"
    REPAIR = "repair"
    INVITE = "invite"
    REQUEST = "request"
    GRANT = "grant"
    CONNECT = "connect"
    RENEW = "renew"
    ACTIVATE = "activate"
    ARM = "arm"
    USE_HOLDER = "use-holder"
    FETCH = "fetch"
    CHANGE_START = "change-start"
    SWITCH_OFF = "switch-off"
    REMOVE = "remove"
    HIDE = "hide"


AT_THE_BANK = frozenset({Action.GRANT, Action.CONNECT, Action.RENEW})
"""Actions that leave for the entrepreneur app or the bank: never an htmx swap."""

BY_MAIL = frozenset({Action.REPAIR, Action.INVITE, Action.REQUEST})
"""Actions that ask the account holder, wherever they are, to do what AT_THE_BANK does here."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. `label` overrides the primary action's own label; `second` stands beside it, with
    `second_label`: the same thing done by mail, for who is not the account holder; `also` goes
    under the menu."""

    key: str
    status: Status
    severity: Severity
    when: Callable[[ConnectionFacts], bool]
    chip: str
    sentence: str
    helpers: tuple[str, ...] = ()
    primary: Action | None = None
    label: str | None = None
    also: tuple[Action, ...] = ()
    second: Action | None = None
    second_label: str | None = None


ACTION_LABELS: dict[Action, str] = {
    Action.CHOOSE_JOURNAL: N_("Choose journal"),
    Action.REPAIR: N_("Repair"),
    Action.INVITE: N_("Invite"),
    Action.REQUEST: N_("Send renewal request"),
    Action.GRANT: N_("I am the account holder"),
    Action.CONNECT: N_("Connect to the bank"),
    Action.RENEW: N_("Renew authorisation"),
    Action.ACTIVATE: N_("Activate"),
    Action.ARM: N_("Switch on by itself after the bank step"),
    Action.USE_HOLDER: N_("Fetch via %(holder)s"),
    Action.FETCH: N_("Fetch now"),
    Action.CHANGE_START: N_("Change start date"),
    Action.SWITCH_OFF: N_("Switch off"),
    Action.REMOVE: N_("Remove"),
    Action.HIDE: N_("Does not belong here"),
}

ACCOUNT_LINES: dict[AccountLine, str] = {
    AccountLine.CONNECTED: N_("Connected to the bank"),
    AccountLine.NOT_CONNECTED: N_("Not yet connected to the bank"),
    AccountLine.LAPSED: N_("Bank authorisation has lapsed"),
}

OVERLAYS: dict[Overlay, str] = {
    Overlay.EXPIRING: N_("Expires soon"),
    Overlay.INVITED: N_("Invited"),
    Overlay.RENEWAL_RUNNING: N_("Step at the bank is running"),
    Overlay.PROVIDER_OUTAGE: N_("Outage at %(provider)s"),
    Overlay.BANK_OUTAGE: N_("Outage at the bank"),
    Overlay.POSSIBLE_GAP: N_("Possible gap"),
    Overlay.UNBALANCED: N_("Balance does not add up"),
    Overlay.LIMITED: N_("Waiting for the bank's limit"),
    Overlay.STALE: N_("Nothing fetched for a while"),
}

_LAPSED = (Authorisation.EXPIRED, Authorisation.REVOKED)


def _on(facts: ConnectionFacts) -> bool:
    return facts.switch is Switch.ON


def _selected(facts: ConnectionFacts) -> HolderFacts | None:
    return facts.holders.get(facts.selected) if facts.selected is not None else None


def _selected_is(facts: ConnectionFacts, *states: Authorisation) -> bool:
    holder = _selected(facts)
    return holder is not None and holder.authorisation in states


def _selected_granted(facts: ConnectionFacts) -> bool:
    holder = _selected(facts)
    return holder is not None and holder.grant is Grant.ACTIVE


def _selected_visible(facts: ConnectionFacts) -> bool:
    holder = _selected(facts)
    return holder is not None and holder.visible


def _any(facts: ConnectionFacts, test: Callable[[HolderFacts], bool]) -> bool:
    return any(test(holder) for holder in facts.holders.values())


_ACCOUNT_NOT_FOUND = N_(
    "The link is not active because %(app)s could not find the bank account"
    " in the entrepreneur app."
)
_NOT_TICKED = (
    N_("%(holder)s did not tick this account, or removed it."),
    N_("The account was not ticked, or was removed."),
)
_INCOMPLETE = N_(
    "The link is broken because the authorisation in the entrepreneur app"
    " is not active or was not completed."
)
_NO_AUTHORISED = N_("Link is off and there is no authorised IBAN in the entrepreneur app")
_SEND_REQUEST = N_("Send request")
_LEAVE = (Action.SWITCH_OFF, Action.REMOVE)
_SETTLE = (Action.CHANGE_START, Action.CHOOSE_JOURNAL, Action.SWITCH_OFF, Action.REMOVE)

TABLE: tuple[Row, ...] = (
    Row(
        "r1",
        Status.JOURNAL_MISSING,
        Severity.ERROR,
        lambda f: _on(f) and not f.journal,
        N_("No journal"),
        N_("The link is broken because %(app)s can no longer find a journal with this IBAN."),
        (N_("The IBAN is on no bank journal. You mend this here yourself."),),
        Action.CHOOSE_JOURNAL,
        also=_LEAVE,
    ),
    Row(
        "r2",
        Status.ACCESS_LOST,
        Severity.ERROR,
        lambda f: _on(f) and not _selected_granted(f),
        N_("No access"),
        N_(
            "The link is broken because %(app)s no longer has access"
            " to the selected user's entrepreneur app."
        ),
        (
            N_("Access was withdrawn here on %(withdrawn)s. Fetched transactions stay."),
            N_("%(holder)s withdrew access on %(revoked)s. Fetched transactions stay."),
            N_("Access was withdrawn. Fetched transactions stay."),
        ),
        Action.REPAIR,
        also=(Action.GRANT, *_LEAVE),
    ),
    Row(
        "r3",
        Status.ACCOUNT_NOT_FOUND,
        Severity.ERROR,
        lambda f: _on(f) and not _selected_visible(f),
        N_("Not found"),
        _ACCOUNT_NOT_FOUND,
        _NOT_TICKED,
        Action.REPAIR,
        also=(Action.GRANT, *_LEAVE),
    ),
    Row(
        "r4",
        Status.AUTHORISATION_EXPIRED,
        Severity.ERROR,
        lambda f: _on(f) and _selected_is(f, Authorisation.EXPIRED),
        N_("Expired"),
        N_("The link is broken because the authorisation in the entrepreneur app has expired."),
        (
            N_("No transactions since %(stopped)s. After renewal %(app)s still fetches them."),
            N_("After renewal %(app)s still fetches what is missing."),
        ),
        Action.RENEW,
        also=_SETTLE,
        second=Action.REQUEST,
    ),
    Row(
        "r5a",
        Status.AUTHORISATION_INCOMPLETE,
        Severity.ERROR,
        lambda f: _on(f) and not _selected_is(f, Authorisation.ACTIVE, Authorisation.REVOKED),
        N_("Not completed"),
        _INCOMPLETE,
        (
            N_("Step at the bank started on %(attempted)s, not completed."),
            N_("The step at the bank has not been done yet."),
        ),
        Action.CONNECT,
        N_("Complete authorisation"),
        _SETTLE,
        Action.REQUEST,
        _SEND_REQUEST,
    ),
    Row(
        "r5b",
        Status.AUTHORISATION_INCOMPLETE,
        Severity.ERROR,
        lambda f: _on(f) and _selected_is(f, Authorisation.REVOKED),
        N_("Withdrawn"),
        _INCOMPLETE,
        (
            N_("Withdrawn at the bank; seen on %(ended)s."),
            N_("Withdrawn at the bank."),
        ),
        Action.RENEW,
        also=_SETTLE,
        second=Action.REQUEST,
    ),
    Row(
        "r6",
        Status.ACTIVE,
        Severity.OK,
        lambda f: _on(f) and _selected_is(f, Authorisation.ACTIVE),
        N_("Active"),
        N_("The account is now active and so is the link"),
        (
            N_("Last fetched %(fetched)s, %(new)s."),
            N_("Nothing fetched yet."),
        ),
        also=(Action.FETCH, Action.RENEW, *_SETTLE),
    ),
    Row(
        "r7",
        Status.JOURNAL_NEEDED,
        Severity.TODO,
        lambda f: not f.journal,
        N_("No journal"),
        N_("There is no journal with this IBAN (yet)"),
        (N_("The IBAN is on no bank journal. You mend this here yourself."),),
        Action.CHOOSE_JOURNAL,
        also=(Action.HIDE,),
    ),
    Row(
        "r8",
        Status.NOT_LINKED,
        Severity.MUTED,
        lambda f: f.switch is Switch.NEVER and not _any(f, lambda h: h.grant is Grant.ACTIVE),
        N_("Not linked"),
        N_("Not linked yet"),
        (N_("The account holder gives permission; it takes about 2 minutes."),),
        Action.INVITE,
        also=(Action.GRANT, Action.ARM, Action.CHOOSE_JOURNAL),
    ),
    Row(
        "r9",
        Status.ACCOUNT_NOT_FOUND,
        Severity.TODO,
        lambda f: not _any(f, lambda h: h.visible),
        N_("Not found"),
        _ACCOUNT_NOT_FOUND,
        _NOT_TICKED,
        Action.REPAIR,
        also=(Action.GRANT, Action.ARM, Action.CHOOSE_JOURNAL),
    ),
    Row(
        "r10a",
        Status.NO_AUTHORISED_ACCOUNT,
        Severity.TODO,
        lambda f: (
            not _any(f, lambda h: h.usable)
            and not _any(f, lambda h: h.visible and h.authorisation in _LAPSED)
        ),
        N_("Not connected"),
        _NO_AUTHORISED,
        (
            N_(
                "Permission is given, but the bank is not connected yet."
                " Only %(holder)s can do this."
            ),
        ),
        Action.CONNECT,
        also=(Action.ARM, Action.CHOOSE_JOURNAL),
        second=Action.REQUEST,
        second_label=_SEND_REQUEST,
    ),
    Row(
        "r10b",
        Status.NO_AUTHORISED_ACCOUNT,
        Severity.TODO,
        lambda f: not _any(f, lambda h: h.usable),
        N_("Lapsed"),
        _NO_AUTHORISED,
        (
            N_("The authorisation ended on %(ended)s. %(holder)s can renew, about 2 minutes."),
            N_("%(holder)s can renew, it takes about 2 minutes."),
        ),
        Action.RENEW,
        also=(Action.ARM, Action.CHOOSE_JOURNAL),
        second=Action.REQUEST,
    ),
    Row(
        "r11",
        Status.NEW,
        Severity.TODO,
        lambda f: f.switch is Switch.NEVER,
        N_("New"),
        N_("New – account connected, not yet activated"),
        (N_("Choose through whom we may fetch, and from when."),),
        Action.ACTIVATE,
        also=(Action.CHOOSE_JOURNAL,),
    ),
    Row(
        "r12",
        Status.SWITCHED_OFF,
        Severity.MUTED,
        lambda f: True,
        N_("Off"),
        N_("Switched off"),
        (N_("By %(who)s on %(switched)s. Fetched transactions stay."),),
        Action.ACTIVATE,
        N_("Switch on"),
        (Action.CHOOSE_JOURNAL, Action.REMOVE),
    ),
)

BY_KEY: dict[str, Row] = {row.key: row for row in TABLE}
