"""What holds whatever the facts are (domain.md A2.2, "Properties"), with up to four holders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.diagnose import Diagnosis, Step, diagnose, ladder
from banklink.core.facts import Authorisation, ConnectionFacts, Grant, HolderFacts, Switch
from banklink.core.statuses import Action, Overlay, Status, Urgency
from tests.core import AUTHORISATIONS, GRANTS, SWITCHES, connection, holder

thorough = settings(max_examples=60, deadline=None)

NOW = datetime(2026, 5, 21, 12, 0, tzinfo=UTC)
NAMES = ("jan", "piet", "els", "kim")

# Mostly healthy, so that the later links of the chain are reached as often as the first.
people = st.builds(
    holder,
    grant=st.sampled_from(("active", "active", *GRANTS)),
    listed=st.sampled_from((True, True, False)),
    authorisation=st.sampled_from(("active", "active", *AUTHORISATIONS)),
    days_left=st.none() | st.integers(0, 200),
)
households = st.dictionaries(st.sampled_from(NAMES), people, max_size=4)
moments = st.none() | st.integers(0, 100).map(lambda hours: NOW - timedelta(hours=hours))
beside: dict[str, Any] = {
    "now": st.none() | st.just(NOW),
    "switched_at": moments,
    "last_success": moments,
    "outage_since": moments,
    "trouble_since": moments,
    "gap": st.none() | st.just((date(2026, 5, 3), date(2026, 5, 12))),
    "unbalanced": st.none() | st.just((date(2026, 5, 3), date(2026, 5, 4))),
    "limited_until": moments,
    "invited": st.booleans(),
    "renewal_running": st.booleans(),
}
switches = st.sampled_from(("on", "on", "never", "off"))
chosen = st.sampled_from((*NAMES, "jan", "a stranger", None))
anything = st.builds(
    connection,
    households,
    journal=st.sampled_from((True, True, True, False)),
    switch=switches,
    selected=chosen,
    **beside,
)


# The same without chance: every combination with one holder of every kind and one of the kinds
# that differ.
everything = [
    connection(
        {"jan": holder(*jan), "piet": holder(*piet)}, journal=journal, switch=switch, selected=who
    )
    for journal, switch, who, jan, piet in product(
        (True, False),
        SWITCHES,
        ("jan", "piet", "a stranger", None),
        product(GRANTS, (True, False), AUTHORISATIONS),
        (
            ("none", False, "none"),
            ("revoked", True, "active"),
            ("active", False, "active"),
            ("active", True, "none"),
            ("active", True, "expired"),
            ("active", True, "active"),
        ),
    )
]


def for_all(test: Callable[[ConnectionFacts], None]) -> Callable[[], None]:
    """Run a property on every one of `everything`, and then on what chance adds to it."""

    def both() -> None:
        for facts in everything:
            test(facts)
        thorough(given(anything)(test))()

    both.__name__ = test.__name__
    return both


def usable(person: HolderFacts | None) -> bool:
    return (
        person is not None
        and person.grant is Grant.ACTIVE
        and person.listed
        and person.authorisation is Authorisation.ACTIVE
    )


def selected(facts: ConnectionFacts) -> HolderFacts | None:
    return facts.holders.get(facts.selected or "")


@for_all
def test_active_is_said_exactly_when_all_five_links_hold(facts: ConnectionFacts) -> None:
    holds = facts.journal and usable(selected(facts)) and facts.switch is Switch.ON
    assert (diagnose(facts).status is Status.ACTIVE) == holds


@for_all
def test_broken_is_said_only_when_on_and_link_is_off_only_when_it_is_not(
    facts: ConnectionFacts,
) -> None:
    row = diagnose(facts).row
    if "broken" in row.sentence:
        assert facts.switch is Switch.ON
    if "is off" in row.sentence or row.sentence == "Switched off":
        assert facts.switch is not Switch.ON
    if facts.switch is not Switch.ON:
        assert row.severity.value in ("todo", "muted")
    else:
        assert row.severity.value in ("error", "ok")


@thorough
@given(anything, households)
def test_another_holder_never_changes_the_verdict_on_a_connection_that_is_on(
    facts: ConnectionFacts, others: dict[str, HolderFacts]
) -> None:
    facts = replace(facts, switch=Switch.ON)
    mine = {key: who for key, who in facts.holders.items() if key == facts.selected}
    theirs = {key: who for key, who in others.items() if key != facts.selected}
    alone, together = (
        diagnose(replace(facts, holders=group)) for group in (mine, {**theirs, **mine})
    )
    assert alone.rescue == ()
    assert replace(together, rescue=()) == alone


@for_all
def test_new_and_switched_off_promise_that_switching_on_works(facts: ConnectionFacts) -> None:
    facts = replace(facts, switch=Switch.OFF if facts.switch is Switch.ON else facts.switch)
    found = diagnose(facts)
    promised = found.status in (Status.NEW, Status.SWITCHED_OFF)
    assert promised == (facts.journal and any(map(usable, facts.holders.values())))
    if promised:
        assert found.primary is not None and found.primary.action is Action.ACTIVATE
        via = found.primary.holder
        after = replace(facts, switch=Switch.ON, selected=via)
        assert diagnose(after).status is Status.ACTIVE
        if usable(selected(facts)):
            assert via == facts.selected


@for_all
def test_whoever_is_selected_but_has_nothing_to_do_with_the_account_fails_closed(
    facts: ConnectionFacts,
) -> None:
    found = diagnose(replace(facts, journal=True, switch=Switch.ON, selected="a stranger"))
    assert (found.status, found.concerns) == (Status.ACCESS_LOST, None)


LINK = {
    "r1": 0, "r7": 0,
    "r2": 1, "r3": 1, "r8": 1, "r9": 1,
    "r4": 2, "r5a": 2, "r5b": 2, "r10a": 2, "r10b": 2,
    "r11": 3, "r12": 3,
    "r6": 4,
}  # fmt: skip
"""How far along the chain a rule stands: journal, permission, bank, switch, done."""


def repaired(facts: ConnectionFacts, found: Diagnosis) -> ConnectionFacts:
    """What A2.4 says that happens when the person concerned does what the row asks."""
    link = LINK[found.row.key]
    if link == 0:
        return replace(facts, journal=True)
    who = found.concerns or (
        facts.selected if facts.switch is Switch.ON and facts.selected else "the one invited"
    )
    if link == 3:
        return replace(facts, switch=Switch.ON, selected=who)
    before = facts.holders.get(who, holder("none", False, "none"))
    if link == 1:  # permission is given and the account ticked in one go
        after = replace(before, grant=Grant.ACTIVE, listed=True)
    else:
        after = replace(before, authorisation=Authorisation.ACTIVE)
    return replace(
        facts,
        holders={**facts.holders, who: after},
        selected=who if facts.switch is Switch.ON else facts.selected,
    )


@for_all
def test_mending_what_is_reported_always_moves_forward_and_four_times_is_enough(
    facts: ConnectionFacts,
) -> None:
    told = [diagnose(facts)]
    while told[-1].status is not Status.ACTIVE:
        facts = repaired(facts, told[-1])
        told.append(diagnose(facts))
        assert LINK[told[-1].row.key] > LINK[told[-2].row.key], [each.row.key for each in told]
    assert len(told) - 1 <= 4


@for_all
def test_another_holder_is_offered_exactly_when_the_selected_one_fails(
    facts: ConnectionFacts,
) -> None:
    found = diagnose(facts)
    failing = facts.switch is Switch.ON and facts.journal and not usable(selected(facts))
    others = {key for key, who in facts.holders.items() if usable(who) and key != facts.selected}
    assert {offer.holder for offer in found.rescue} == (others if failing else set())
    assert len(found.rescue) == len({offer.holder for offer in found.rescue})
    for offer in found.rescue:
        assert offer.action is Action.USE_HOLDER
        assert diagnose(replace(facts, selected=offer.holder)).status is Status.ACTIVE


@for_all
def test_there_is_always_one_thing_to_do_except_when_all_is_well(facts: ConnectionFacts) -> None:
    found = diagnose(facts)
    well = found.status is Status.ACTIVE and Overlay.EXPIRING not in found.overlays
    assert (found.primary is None) == well
    assert len(set(found.actions)) == len(found.actions)
    if found.primary is not None:
        assert found.actions[0] is found.primary.action
        assert found.primary.action not in [offer.action for offer in found.menu]


@for_all
def test_a_button_is_offered_only_where_it_can_do_something(facts: ConnectionFacts) -> None:
    found = diagnose(facts)
    on = facts.switch is Switch.ON
    assert (Action.SWITCH_OFF in found.actions) == on
    assert (Action.FETCH in found.actions) == (found.status is Status.ACTIVE)
    assert Action.ACTIVATE not in found.actions or not on
    assert Action.ARM not in found.actions or facts.switch is Switch.NEVER
    if facts.switch is not Switch.NEVER:
        assert Action.REMOVE in found.actions


@thorough
@given(anything, st.fixed_dictionaries(beside))
def test_what_is_said_beside_a_status_never_changes_it(
    facts: ConnectionFacts, others: dict[str, Any]
) -> None:
    one, other = diagnose(facts), diagnose(replace(facts, **others))
    assert (one.row, one.concerns, one.primary, one.rescue, one.menu) == (
        other.row, other.concerns, other.primary, other.rescue, other.menu
    )  # fmt: skip
    said = set(other.overlays)
    assert (Overlay.INVITED in said) == others["invited"]
    assert (Overlay.RENEWAL_RUNNING in said) == others["renewal_running"]
    assert (Overlay.BANK_OUTAGE in said) == (others["outage_since"] is not None)
    assert (Overlay.PROVIDER_OUTAGE in said) == (others["trouble_since"] is not None)
    assert (Overlay.POSSIBLE_GAP in said) == (others["gap"] is not None)
    assert (Overlay.UNBALANCED in said) == (others["unbalanced"] is not None)
    assert len(said) == len(other.overlays)


@thorough
@given(anything, st.none() | st.integers(0, 200))
def test_a_date_that_comes_near_never_changes_the_status(
    facts: ConnectionFacts, days_left: int | None
) -> None:
    sooner = {key: replace(who, days_left=days_left) for key, who in facts.holders.items()}
    found = diagnose(replace(facts, holders=sooner))
    assert found.row == diagnose(facts).row
    if found.status is not Status.ACTIVE:
        assert not {Overlay.EXPIRING, Overlay.STALE} & set(found.overlays)


@pytest.mark.parametrize(
    ("days_left", "soon"), [(31, False), (30, True), (1, True), (0, True), (None, False)]
)
def test_a_link_expires_soon_from_thirty_days_through_the_last_day(
    days_left: int | None, soon: bool
) -> None:
    found = diagnose(connection({"jan": holder(days_left=days_left)}))
    assert found.status is Status.ACTIVE
    assert (Overlay.EXPIRING in found.overlays) == soon
    assert found.urgency is (Urgency.SOON if soon else Urgency.WELL)
    assert (found.primary is not None and found.primary.action is Action.RENEW) == soon
    assert Action.RENEW in found.actions  # early renewal is allowed any time


def test_only_the_selected_holders_date_makes_a_link_expire_soon() -> None:
    jan, piet = holder(days_left=150), holder(days_left=3)
    assert diagnose(connection({"jan": jan, "piet": piet})).overlays == ()
    assert diagnose(connection({"jan": piet, "piet": jan})).overlays == (Overlay.EXPIRING,)


HOURS_36 = timedelta(hours=36)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("last_success", "switched_at", "stale"),
    [
        (HOURS_36 + SECOND, None, True),
        (HOURS_36, None, False),
        (timedelta(0), None, False),
        (None, HOURS_36 + SECOND, True),
        (None, HOURS_36, False),
        (timedelta(days=90), HOURS_36, False),  # just switched on again
        (HOURS_36 + SECOND, timedelta(days=90), True),
    ],
)
def test_a_link_is_stale_after_more_than_thirty_six_hours_without_a_fetch(
    last_success: timedelta | None, switched_at: timedelta | None, stale: bool
) -> None:
    found = diagnose(
        connection(
            now=NOW,
            last_success=NOW - last_success if last_success is not None else None,
            switched_at=NOW - switched_at if switched_at is not None else None,
        )
    )
    assert found.status is Status.ACTIVE
    assert (Overlay.STALE in found.overlays) == stale


@pytest.mark.parametrize("switch", ["never", "off"])
def test_a_link_that_is_not_on_is_never_stale(switch: str) -> None:
    long_ago = NOW - timedelta(days=400)
    facts = connection(switch=switch, now=NOW, last_success=long_ago, switched_at=long_ago)
    assert diagnose(facts).overlays == ()


STEPS = (Step.JOURNAL, Step.ACCESS, Step.LISTED, Step.AUTHORISATION, Step.SWITCH)
WHERE = {
    "r1": Step.JOURNAL,
    "r2": Step.ACCESS,
    "r3": Step.LISTED,
    "r4": Step.AUTHORISATION,
    "r5a": Step.AUTHORISATION,
    "r5b": Step.AUTHORISATION,
    "r6": None,
    "r7": Step.JOURNAL,
    "r8": Step.ACCESS,
    "r10a": Step.AUTHORISATION,
    "r10b": Step.AUTHORISATION,
    "r11": Step.SWITCH,
    "r12": Step.SWITCH,
}


@for_all
def test_the_ladder_points_at_the_one_place_that_the_status_tells(facts: ConnectionFacts) -> None:
    found = diagnose(facts)
    rungs = ladder(facts, found)
    assert tuple(rung.step for rung in rungs) == STEPS
    here = [rung.step for rung in rungs if rung.here]
    expected: Step | None
    if found.row.key == "r9":  # off and nothing seen: somebody's tick, or nobody's permission
        granted = any(who.grant is Grant.ACTIVE for who in facts.holders.values())
        expected = Step.LISTED if granted else Step.ACCESS
    else:
        expected = WHERE[found.row.key]
    assert here == ([] if expected is None else [expected])
    until = STEPS.index(expected) if expected else len(STEPS)
    assert all(rung.holds is True for rung in rungs[:until])
    assert expected is None or rungs[until].holds is False


@for_all
def test_the_ladder_tells_nothing_of_an_account_nobody_may_see(facts: ConnectionFacts) -> None:
    found = diagnose(facts)
    holds = {rung.step: rung.holds for rung in ladder(facts, found)}
    person = facts.holders.get(found.concerns or "")
    if person is None or not (person.grant is Grant.ACTIVE and person.listed):
        assert holds[Step.AUTHORISATION] is None
    if person is None or person.grant is not Grant.ACTIVE:
        assert holds[Step.LISTED] is None


def test_the_page_is_sorted_broken_to_do_soon_well_off() -> None:
    inbox = [
        connection(switch="off"),
        connection(),
        connection({"jan": holder(days_left=9)}),
        connection(switch="never"),
        connection(journal=False),
    ]
    ordered = sorted((diagnose(facts) for facts in inbox), key=lambda found: found.urgency)
    assert [found.row.key for found in ordered] == ["r1", "r11", "r6", "r6", "r12"]
    assert [found.urgency.name for found in ordered] == ["BROKEN", "TODO", "SOON", "WELL", "OFF"]


def test_a_broken_link_is_broken_and_not_merely_soon() -> None:
    expired = diagnose(connection({"jan": holder(authorisation="expired", days_left=-1)}))
    assert (expired.urgency, expired.overlays) == (Urgency.BROKEN, ())
