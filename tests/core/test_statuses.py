"""The decision table against the paper it was made from (domain.md A2.1 to A2.4, A3).

Nothing here is read from the code's own table: `paper` puts A2.2 into words once more, the counts
and the precedence were worked out by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations, product
from typing import Any

import pytest

from banklink.core.diagnose import account_line, diagnose
from banklink.core.statuses import ACCOUNT_LINES, BY_KEY, TABLE, Status
from tests.core import AUTHORISATIONS, GRANTS, SWITCHES, connection, holder

Person = tuple[str, bool, str]
"""Grant, listed (ticked and present), authorisation."""

PEOPLE: list[Person] = list(product(GRANTS, (True, False), AUTHORISATIONS))


def paper(journal: bool, switch: str, selected: str | None, people: Mapping[str, Person]) -> str:
    """The rule of A2.2 that comes first."""
    seen = {
        name: bank for name, (grant, listed, bank) in people.items() if grant == "active" and listed
    }
    if switch == "on":
        if not journal:
            return "r1"
        if selected is None or people.get(selected, ("none",))[0] != "active":
            return "r2"
        if selected not in seen:
            return "r3"
        return {
            "expired": "r4",
            "none": "r5a",
            "never_completed": "r5a",
            "revoked": "r5b",
            "active": "r6",
        }[seen[selected]]
    if not journal:
        return "r7"
    if switch == "never" and all(grant != "active" for grant, _, _ in people.values()):
        return "r8"
    if not seen:
        return "r9"
    if "active" not in seen.values():
        return "r10b" if {"expired", "revoked"} & set(seen.values()) else "r10a"
    return "r11" if switch == "never" else "r12"


STATUS_OF = {
    "r1": "journal_missing",
    "r2": "access_lost",
    "r3": "account_not_found",
    "r4": "authorisation_expired",
    "r5a": "authorisation_incomplete",
    "r5b": "authorisation_incomplete",
    "r6": "active",
    "r7": "journal_needed",
    "r8": "not_linked",
    "r9": "account_not_found",
    "r10a": "no_authorised_account",
    "r10b": "no_authorised_account",
    "r11": "new",
    "r12": "switched_off",
}

# A2.2's column "Combos" for 720 combinations of ticked and present apart; here `listed` is both,
# so 360: journal 2, switch 3, selected 2, grant 3, listed 2, authorisation 5.
COMBINATIONS = {
    "r1": 60,  # selected 2 x person 30
    "r2": 50,  # nobody selected: 30; selected without a grant: 2 x 2 x 5
    "r3": 5,  # each authorisation
    "r4": 1,
    "r5a": 2,
    "r5b": 1,
    "r6": 1,
    "r7": 120,  # never or off 2 x selected 2 x person 30
    "r8": 40,  # selected 2 x grant 2 x listed 2 x authorisation 5
    "r9": 60,  # never: 2 x 5 unlisted; off: 2 x (20 without a grant + 5 unlisted)
    "r10a": 8,  # never or off 2 x selected 2 x (none, never completed)
    "r10b": 8,  # never or off 2 x selected 2 x (expired, revoked)
    "r11": 2,  # selected 2
    "r12": 2,
}


def test_every_combination_of_facts_with_one_holder_has_the_status_the_paper_gives() -> None:
    counts: Counter[str] = Counter()
    for journal, switch, selected, person in product(
        (True, False), SWITCHES, ("jan", None), PEOPLE
    ):
        row = diagnose(
            connection({"jan": holder(*person)}, journal=journal, switch=switch, selected=selected)
        ).row
        expected = paper(journal, switch, selected, {"jan": person})
        assert (row.key, row.status.value) == (expected, STATUS_OF[expected]), (
            journal,
            switch,
            selected,
            person,
        )
        counts[row.key] += 1
    assert counts == COMBINATIONS
    assert sum(COMBINATIONS.values()) == 360


def test_every_combination_of_facts_with_two_holders_has_the_status_the_paper_gives() -> None:
    known = {person: holder(*person) for person in PEOPLE}
    for first, second in product(PEOPLE, PEOPLE):
        people = {"jan": first, "piet": second}
        holders = {"jan": known[first], "piet": known[second]}
        for switch, selected in product(SWITCHES, ("jan", "piet", None)):
            key = diagnose(connection(holders, switch=switch, selected=selected)).row.key
            assert key == paper(True, switch, selected, people), (switch, selected, people)


def test_without_any_holder_there_is_still_a_status_and_it_is_never_active() -> None:
    def key(journal: bool, switch: str, selected: str | None) -> str:
        return diagnose(connection({}, journal=journal, switch=switch, selected=selected)).row.key

    for selected in (None, "jan"):
        assert [key(True, switch, selected) for switch in SWITCHES] == ["r8", "r2", "r9"]
        assert [key(False, switch, selected) for switch in SWITCHES] == ["r7", "r1", "r7"]


def test_the_rules_stand_in_the_order_of_the_paper_and_none_is_extra() -> None:
    assert [(row.key, row.status.value) for row in TABLE] == list(STATUS_OF.items())
    assert [status.value for status in Status] == list(dict.fromkeys(STATUS_OF.values()))


NONE, CONNECTED, NOT_CONNECTED, LAPSED = None, "connected", "not_connected", "lapsed"

# A2.3, row by row: what breaks, the account line, the connection line.
WALK: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("nothing", {}, CONNECTED, "r6"),
    ("grant revoked", {"grant": "revoked"}, NONE, "r2"),
    ("never a grant", {"grant": "none"}, NONE, "r2"),
    ("not ticked", {"listed": False}, NONE, "r3"),
    ("not present in the app", {"listed": False, "authorisation": "none"}, NONE, "r3"),
    ("expired", {"authorisation": "expired"}, LAPSED, "r4"),
    ("revoked at the bank", {"authorisation": "revoked"}, LAPSED, "r5b"),
    ("never completed", {"authorisation": "never_completed"}, NOT_CONNECTED, "r5a"),
    ("no authorisation", {"authorisation": "none"}, NOT_CONNECTED, "r5a"),
    ("no journal", {"journal": False}, CONNECTED, "r1"),
    ("never switched on", {"switch": "never"}, CONNECTED, "r11"),
    ("switched off", {"switch": "off"}, CONNECTED, "r12"),
    (
        "never on, never completed",
        {"switch": "never", "authorisation": "never_completed"},
        NOT_CONNECTED,
        "r10a",
    ),
    (
        "never on, no authorisation",
        {"switch": "never", "authorisation": "none"},
        NOT_CONNECTED,
        "r10a",
    ),
    ("never on, expired", {"switch": "never", "authorisation": "expired"}, LAPSED, "r10b"),
    ("never on, revoked", {"switch": "never", "authorisation": "revoked"}, LAPSED, "r10b"),
    ("off, expired", {"switch": "off", "authorisation": "expired"}, LAPSED, "r10b"),
    ("off, revoked", {"switch": "off", "authorisation": "revoked"}, LAPSED, "r10b"),
    ("never on, not ticked", {"switch": "never", "listed": False}, NONE, "r9"),
    ("off, not ticked", {"switch": "off", "listed": False}, NONE, "r9"),
    ("never on, never a grant", {"switch": "never", "grant": "none"}, NONE, "r8"),
    ("never on, grant revoked", {"switch": "never", "grant": "revoked"}, NONE, "r8"),
    ("off, grant revoked", {"switch": "off", "grant": "revoked"}, NONE, "r9"),
    ("never on, no journal", {"switch": "never", "journal": False}, CONNECTED, "r7"),
    ("off, no journal", {"switch": "off", "journal": False}, CONNECTED, "r7"),
    ("expired, no journal", {"authorisation": "expired", "journal": False}, LAPSED, "r1"),
    ("grant revoked, expired", {"grant": "revoked", "authorisation": "expired"}, NONE, "r2"),
    ("not ticked, expired", {"listed": False, "authorisation": "expired"}, NONE, "r3"),
]


def lines(changes: Mapping[str, Any]) -> tuple[str | None, str]:
    """The account line and the connection line of a healthy connection with these changes."""
    person = holder(
        **{k: v for k, v in changes.items() if k in ("grant", "listed", "authorisation")}
    )
    rest = {k: v for k, v in changes.items() if k in ("journal", "switch", "selected")}
    return account_line(person), diagnose(connection({"jan": person}, **rest)).row.key


@pytest.mark.parametrize(
    ("changes", "account", "link"), [pytest.param(*row[1:], id=row[0]) for row in WALK]
)
def test_when_one_thing_breaks_both_lines_say_so(
    changes: dict[str, Any], account: str | None, link: str
) -> None:
    assert lines(changes) == (account, link)


# What breaks, in the order in which it is told; the rule when the connection is on, when it never
# was, and when it is off.
PRECEDENCE: list[tuple[dict[str, Any], str, str, str]] = [
    ({"journal": False}, "r1", "r7", "r7"),
    ({"grant": "none"}, "r2", "r8", "r9"),
    ({"grant": "revoked"}, "r2", "r8", "r9"),
    ({"listed": False}, "r3", "r9", "r9"),
    ({"authorisation": "expired"}, "r4", "r10b", "r10b"),
    ({"authorisation": "none"}, "r5a", "r10a", "r10a"),
    ({"authorisation": "never_completed"}, "r5a", "r10a", "r10a"),
    ({"authorisation": "revoked"}, "r5b", "r10b", "r10b"),
]


def test_of_two_things_broken_the_earlier_one_is_told() -> None:
    tried = 0
    for first, second in combinations(PRECEDENCE, 2):
        if first[0].keys() == second[0].keys():
            continue
        for position, switch in enumerate(("on", "never", "off"), start=1):
            found = lines({"switch": switch, **first[0], **second[0]})[1]
            assert found == first[position], (switch, first[0], second[0])
            tried += 1
    # 28 pairs, less 1 of two grants and 6 of two authorisations, three switches each.
    assert tried == 63


def test_nobody_selected_is_lost_access_after_the_journal_and_before_all_else() -> None:
    assert lines({"selected": None})[1] == "r2"
    assert lines({"selected": None, "journal": False})[1] == "r1"
    for change, *_ in PRECEDENCE[1:]:
        assert lines({"selected": None, **change})[1] == "r2"
    assert lines({"selected": None, "switch": "never"})[1] == "r11"
    assert lines({"selected": None, "switch": "off"})[1] == "r12"


def test_an_account_nobody_may_see_has_no_line_and_the_others_have_the_right_one() -> None:
    # A2.1 for 60 combinations counts 55, 1, 2, 2; ticked and present are one fact here: 30.
    assert Counter(account_line(holder(*person)) for person in PEOPLE) == {
        None: 25,
        "connected": 1,
        "not_connected": 2,
        "lapsed": 2,
    }
    assert {bank: account_line(holder(authorisation=bank)) for bank in AUTHORISATIONS} == {
        "none": "not_connected",
        "never_completed": "not_connected",
        "active": "connected",
        "expired": "lapsed",
        "revoked": "lapsed",
    }


NOT_FOUND = (
    "The link is not active because %(app)s could not find the bank account"
    " in the entrepreneur app."
)
INCOMPLETE = (
    "The link is broken because the authorisation in the entrepreneur app is not active"
    " or was not completed."
)
OFF = "Link is off and there is no authorised IBAN in the entrepreneur app"

# A3's English wording; None where the paper leaves it to us.
SAYS: dict[str, tuple[str, str | None, str | None]] = {
    "r1": (
        "error",
        "The link is broken because %(app)s can no longer find a journal with this IBAN.",
        "choose-journal",
    ),
    "r2": (
        "error",
        "The link is broken because %(app)s no longer has access to the selected user's"
        " entrepreneur app.",
        "repair",
    ),
    "r3": ("error", NOT_FOUND, "repair"),
    "r4": (
        "error",
        "The link is broken because the authorisation in the entrepreneur app has expired.",
        "renew",
    ),
    "r5a": ("error", INCOMPLETE, "connect"),
    "r5b": ("error", INCOMPLETE, "renew"),
    "r6": ("ok", None, None),
    "r7": ("todo", None, "choose-journal"),
    "r8": ("muted", "Not linked yet", "invite"),
    "r9": ("todo", NOT_FOUND, "repair"),
    "r10a": ("todo", OFF, "connect"),
    "r10b": ("todo", OFF, "renew"),
    "r11": ("todo", "New – account connected, not yet activated", "activate"),
    "r12": ("muted", "Switched off", "activate"),
}


@pytest.mark.parametrize("key", SAYS)
def test_each_rule_has_the_weight_the_words_and_the_button_of_the_paper(key: str) -> None:
    row, (severity, sentence, primary) = BY_KEY[key], SAYS[key]
    assert (row.severity, row.primary) == (severity, primary)
    assert sentence is None or row.sentence == sentence
    assert (row.second == "request") == (key in BY_MAIL_TOO)


# A2.4: where the holder has to pass the bank, the bookkeeper may ask them by mail instead.
BY_MAIL_TOO = {"r4", "r5a", "r5b", "r10a", "r10b"}


def test_the_holder_can_be_asked_by_mail_once_where_the_bank_step_is_theirs() -> None:
    def second(**changes: Any) -> str | None:
        facts = {k: changes.pop(k) for k in ("authorisation", "days_left") if k in changes}
        people = {"jan": holder(**facts)}
        offer = diagnose(connection(people, **changes)).second
        return offer.action.value if offer else None

    assert second(authorisation="expired") == "request"
    assert second(authorisation="expired", requested=True) is None
    assert second(days_left=9) == "request"
    assert second(days_left=90) is None


def test_the_account_lines_have_the_words_of_the_paper() -> None:
    assert ACCOUNT_LINES == {
        "connected": "Connected to the bank",
        "not_connected": "Not yet connected to the bank",
        "lapsed": "Bank authorisation has lapsed",
    }
