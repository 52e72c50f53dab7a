"""diagnose(facts) -> Diagnosis: the one function behind every row, notice and count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from banklink.core.calendar import EXPIRING_DAYS, STALE_AFTER
from banklink.core.facts import (
    Authorisation,
    ConnectionFacts,
    Grant,
    HolderFacts,
    Switch,
)
from banklink.core.statuses import (
    ACTION_LABELS,
    BY_KEY,
    TABLE,
    AccountLine,
    Action,
    Overlay,
    Row,
    Severity,
    Status,
    Urgency,
)
from banklink.core.texts import N_

_RENEW_NOW = N_("Renew now")
_SILENT = frozenset({Overlay.PROVIDER_OUTAGE, Overlay.BANK_OUTAGE, Overlay.STALE})


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing a person can do now; `holder` is whom it goes through, where that matters."""

    action: Action
    label: str
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a row shows.

    `concerns` is the holder the diagnosis is about; `primary` the one button, if any; `second` the
    same by mail, for who is not that holder; `rescue` the one-click switches to another holder;
    `menu` everything else.
    """

    row: Row
    urgency: Urgency
    overlays: tuple[Overlay, ...]
    concerns: str | None
    primary: Offer | None
    rescue: tuple[Offer, ...]
    menu: tuple[Offer, ...]
    second: Offer | None = None

    @property
    def status(self) -> Status:
        return self.row.status

    @property
    def renewable(self) -> bool:
        """Whether a step of the holder at the bank mends it, or prevents its end."""
        return self.row.second is not None or Overlay.EXPIRING in self.overlays

    @property
    def silent(self) -> bool:
        """All links of the chain hold, and yet no transactions come in now."""
        return self.status is Status.ACTIVE and not _SILENT.isdisjoint(self.overlays)

    @property
    def severity(self) -> Severity:
        return self.row.severity

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action offered, the primary one first, each once."""
        first = tuple(offer for offer in (self.primary, self.second) if offer)
        offers = first + self.rescue + self.menu
        return tuple(dict.fromkeys(offer.action for offer in offers))


def account_line(holder: HolderFacts) -> AccountLine | None:
    """One holder's line (domain.md A2.1). None when the account is not visible: never show what
    was last known of a grant that is gone."""
    if not holder.visible:
        return None
    if holder.authorisation is Authorisation.ACTIVE:
        return AccountLine.CONNECTED
    if holder.authorisation in (Authorisation.EXPIRED, Authorisation.REVOKED):
        return AccountLine.LAPSED
    return AccountLine.NOT_CONNECTED


def diagnose(facts: ConnectionFacts) -> Diagnosis:
    """The first row of the table that matches (domain.md A2.2). Total: some row always does."""
    row = next(row for row in TABLE if row.when(facts))
    return _diagnosis(
        row.key,
        _overlays(facts, row),
        _concerns(facts, row),
        _rescue(facts, row),
        off=facts.switch is Switch.OFF,
        requested=facts.requested,
    )


@lru_cache(maxsize=4096)
def _diagnosis(
    key: str,
    overlays: tuple[Overlay, ...],
    concerns: str | None,
    rescue: tuple[str, ...],
    *,
    off: bool,
    requested: bool,
) -> Diagnosis:
    """What there is to say and to do, once it is known which row of the table it is. There are few
    different ones, and many rows of which to say them."""
    row = BY_KEY[key]
    primary = _primary(row, overlays, concerns)
    menu = tuple(
        Offer(action, ACTION_LABELS[action], concerns)
        for action in row.also
        if primary is None or action is not primary.action
    )
    if row.severity is not Severity.OK and off:
        menu = tuple(offer for offer in menu if offer.action is not Action.ARM)
        if all(offer.action is not Action.REMOVE for offer in menu):
            menu += (Offer(Action.REMOVE, ACTION_LABELS[Action.REMOVE]),)
    return Diagnosis(
        row,
        _urgency(row, overlays),
        overlays,
        concerns,
        primary,
        tuple(
            Offer(Action.USE_HOLDER, ACTION_LABELS[Action.USE_HOLDER], holder) for holder in rescue
        ),
        menu,
        None if requested else _second(row, overlays, concerns),
    )


def _overlays(facts: ConnectionFacts, row: Row) -> tuple[Overlay, ...]:
    active = row.status is Status.ACTIVE
    selected = facts.holders.get(facts.selected) if facts.selected is not None else None
    found = []
    days_left = selected.days_left if active and selected else None
    if days_left is not None and days_left <= EXPIRING_DAYS:
        found.append(Overlay.EXPIRING)
    if facts.invited:
        found.append(Overlay.INVITED)
    if facts.renewal_running:
        found.append(Overlay.RENEWAL_RUNNING)
    if facts.trouble_since is not None:
        found.append(Overlay.PROVIDER_OUTAGE)
    if facts.outage_since is not None:
        found.append(Overlay.BANK_OUTAGE)
    if facts.gap is not None:
        found.append(Overlay.POSSIBLE_GAP)
    if facts.unbalanced is not None:
        found.append(Overlay.UNBALANCED)
    if active and facts.now and facts.limited_until and facts.limited_until > facts.now:
        found.append(Overlay.LIMITED)
    since = max(filter(None, (facts.last_success, facts.switched_at)), default=None)
    if active and facts.now is not None and since is not None and facts.now - since > STALE_AFTER:
        found.append(Overlay.STALE)
    return tuple(found)


def _urgency(row: Row, overlays: tuple[Overlay, ...]) -> Urgency:
    if row.severity is Severity.OK and Overlay.EXPIRING in overlays:
        return Urgency.SOON
    return {
        Severity.ERROR: Urgency.BROKEN,
        Severity.TODO: Urgency.TODO,
        Severity.OK: Urgency.WELL,
        Severity.MUTED: Urgency.OFF,
    }[row.severity]


def _concerns(facts: ConnectionFacts, row: Row) -> str | None:
    """Whom the sentence and the primary button are about: the selected holder of a connection
    that is on; else the first, best the selected, who fits what the row says."""
    if facts.switch is Switch.ON:
        return facts.selected if facts.selected in facts.holders else None
    wanted = {
        "r10a": lambda h: h.visible,
        "r10b": lambda h: h.visible and account_line(h) is AccountLine.LAPSED,
        "r11": lambda h: h.usable,
        "r12": lambda h: h.usable,
        "r9": lambda h: h.grant is Grant.ACTIVE,
    }.get(row.key, lambda h: True)
    fitting = [key for key, holder in facts.holders.items() if wanted(holder)]
    if facts.selected in fitting:
        return facts.selected
    return fitting[0] if fitting else None


def _rescue(facts: ConnectionFacts, row: Row) -> tuple[str, ...]:
    """When the selected holder fails, others whose authorisation holds: either mends it in one
    click, without a bank visit; never by itself, it is another's consent (domain.md A2.6)."""
    if row.key not in ("r2", "r3", "r4", "r5a", "r5b"):
        return ()
    return tuple(
        key for key, holder in facts.holders.items() if key != facts.selected and holder.usable
    )


def _primary(row: Row, overlays: tuple[Overlay, ...], concerns: str | None) -> Offer | None:
    if row.primary is not None:
        return Offer(row.primary, row.label or ACTION_LABELS[row.primary], concerns)
    if Overlay.EXPIRING in overlays:
        return Offer(Action.RENEW, _RENEW_NOW, concerns)
    return None


def _second(row: Row, overlays: tuple[Overlay, ...], concerns: str | None) -> Offer | None:
    """Ask the holder by mail; not offered where that was done and they can still answer."""
    if concerns is None:
        return None
    if row.second is not None:
        return Offer(row.second, row.second_label or ACTION_LABELS[row.second], concerns)
    if Overlay.EXPIRING in overlays:
        return Offer(Action.REQUEST, ACTION_LABELS[Action.REQUEST], concerns)
    return None


class Step(StrEnum):
    """The five links of the chain, in the order they must hold."""

    JOURNAL = "journal"
    ACCESS = "access"
    LISTED = "listed"
    AUTHORISATION = "authorisation"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the drawer's ladder. `holds` is None when it cannot be known yet."""

    step: Step
    holds: bool | None
    here: bool


def ladder(facts: ConnectionFacts, diagnosis: Diagnosis) -> tuple[Rung, ...]:
    """Where in the chain it breaks, for the holder the diagnosis concerns (domain.md B2.3)."""
    holder = facts.holders.get(diagnosis.concerns) if diagnosis.concerns is not None else None
    granted = holder is not None and holder.grant is Grant.ACTIVE
    visible = holder is not None and holder.visible
    holds: list[tuple[Step, bool | None]] = [
        (Step.JOURNAL, facts.journal),
        (Step.ACCESS, granted),
        (Step.LISTED, visible if granted else None),
        (
            Step.AUTHORISATION,
            (holder is not None and holder.usable) if visible else None,
        ),
        (Step.SWITCH, facts.switch is Switch.ON),
    ]
    blocked = next((step for step, ok in holds if ok is not True), None)
    return tuple(Rung(step, ok, step is blocked) for step, ok in holds)
