"""What real banks do that makes life hard, to be switched on: each habit shows on the wire, and
balances always come to the bookings."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from .conftest import ACTIVE, BAKERY, Api, House, account
from .test_world import renew


@pytest.fixture
def house(make_house: Any) -> House:
    found: House = make_house([account(BAKERY, "Demobank", authorisation=ACTIVE)], ticked=[BAKERY])
    return found


@pytest.fixture
def api(house: House) -> Api:
    return house.api(house.token())


def rows(api: Api, most: int = 100) -> list[dict[str, Any]]:
    """Every booking, over all pages, newest first."""
    ref, found, query = api.accounts()[BAKERY]["id"], [], f"?page[limit]={most}"
    while query:
        body = api.get(f"/accounts/{ref}/transactions{query}").body
        found += body["data"]
        after = body["meta"]["paging"]["after"]
        query = f"?page[limit]={most}&page[after]={after}" if after else ""
    return found


def said(row: dict[str, Any]) -> tuple[str, Decimal, str]:
    attributes = row["attributes"]
    return (
        attributes["executionDate"][:10], attributes["amount"], attributes["remittanceInformation"]
    )  # fmt: skip


def days(house: House, api: Api, count: int) -> None:
    for _ in range(count):
        house.simulator.clock.advance(timedelta(days=1))
        api.accounts()


@pytest.mark.parametrize(("ids", "several"), [("kept", True), ("reissued", True), ("blank", False), ("same", False)])  # fmt: skip
def test_ids_are_what_the_bank_makes_of_them(
    house: House, api: Api, ids: str, several: bool
) -> None:
    house.simulator.accustom("DEMO", ids=ids)
    first = rows(api, most=10)
    assert len(first) > 20
    assert (len({row["id"] for row in first}) > 1) is several
    days(house, api, 1)
    kept = {row["id"] for row in first} & {row["id"] for row in rows(api)}
    assert bool(kept) is (ids != "reissued")
    assert {said(row) for row in first} <= {said(row) for row in rows(api)}


def test_what_is_announced_is_booked_later_under_another_id_and_text(
    house: House, api: Api
) -> None:
    ref = api.accounts()[BAKERY]["id"]
    coming = api.get(f"/accounts/{ref}/pending-transactions").body["data"]
    assert coming and all(row["type"] == "pendingTransaction" for row in coming)
    assert not {said(row)[0] for row in coming} & {said(row)[0] for row in rows(api)}
    days(house, api, 2)
    booked = rows(api)
    for row in coming:
        (match,) = [each for each in booked if said(each)[:2] == said(row)[:2]]
        assert match["id"] != row["id"] and said(match)[2] != said(row)[2]
    house.simulator.accustom("DEMO", announces=False)
    assert api.get(f"/accounts/{ref}/pending-transactions").body["data"] == []


@pytest.mark.parametrize("of", ["yesterday", "today"])
@pytest.mark.parametrize("late", [0, 3])
def test_balances_come_to_the_bookings_from_day_to_day(
    house: House, api: Api, of: str, late: int
) -> None:
    house.simulator.accustom("DEMO", balance=of, late_days=late)
    before: tuple[str, Decimal, set[str]] | None = None
    for _ in range(20):
        days(house, api, 1)
        shown = api.accounts()[BAKERY]["attributes"]
        on, held = shown["currentBalanceReferenceDate"][:10], shown["currentBalance"]
        known = {row["id"]: said(row) for row in rows(api) if said(row)[0] <= on}
        if before is not None:
            new = sum((each[1] for number, each in known.items() if number not in before[2]), 0)
            assert held - before[1] == new
            late_ones = [e for n, e in known.items() if n not in before[2] and e[0] <= before[0]]
            assert late or not late_ones
        before = on, held, set(known)


def test_late_bookings_all_come_and_none_twice(house: House, api: Api) -> None:
    punctual = Counter(said(row) for row in rows(api))
    house.simulator.accustom("DEMO", late_days=4)
    days(house, api, 15)
    today = house.simulator.clock.now().date()
    slow = Counter(said(row) for row in rows(api))
    assert max(slow.values()) == 1 and punctual <= slow
    house.simulator.accustom("DEMO", late_days=0)
    days(house, api, 5)
    caught_up = Counter(said(row) for row in rows(api))
    missing = [each for each in caught_up - slow if each[0] <= today.isoformat()]
    assert missing and max(caught_up.values()) == 1


def test_a_renewal_gives_another_account_id(house: House, api: Api) -> None:
    old = api.accounts()[BAKERY]["id"]
    house.simulator.accustom("DEMO", new_refs=True)
    renew(house, api)
    new = api.accounts()[BAKERY]["id"]
    assert new != old
    assert api.get(f"/accounts/{old}/transactions").status == 404
    assert len(rows(api)) > 20


def test_once_the_holder_has_left_the_bank_goes_back_only_so_far(house: House, api: Api) -> None:
    house.simulator.accustom("DEMO", recent_days=14)
    renew(house, api)
    at_the_bank = len(rows(api))
    house.simulator.clock.advance(timedelta(hours=2))
    shown = api.accounts()[BAKERY]
    oldest = min(said(row)[0] for row in rows(api))
    assert oldest >= shown["meta"]["historyFrom"] == "2026-11-09"
    assert len(rows(api)) < at_the_bank


@pytest.mark.parametrize("way", ["seconds", "date", "unsaid"])
def test_a_bank_that_was_read_often_enough_asks_for_a_pause(
    house: House, api: Api, way: str
) -> None:
    house.simulator.accustom("DEMO", budget=2, retry_after=way)
    ref = api.accounts()[BAKERY]["id"]
    address = f"/accounts/{ref}/transactions"
    assert [api.get(address).status for _ in range(3)] == [200, 200, 429]
    answer = api.get(address)
    if way == "unsaid":
        assert "Retry-After" not in answer.headers
    else:
        text = answer.headers["Retry-After"]
        wait = (
            timedelta(seconds=int(text))
            if way == "seconds"
            else parsedate_to_datetime(text) - parsedate_to_datetime(answer.headers["Date"])
        )
        assert timedelta(hours=23) < wait <= timedelta(hours=24, seconds=2)
    api.synchronise(ref)  # somebody is waiting
    assert api.get(address).status == 200
    house.simulator.clock.advance(timedelta(hours=24, seconds=1))
    assert api.get(address).status == 200


def test_equal_bookings_on_a_day_are_each_their_own(house: House, api: Api) -> None:
    rows(api)
    house.simulator.accustom("DEMO", twins=True)
    days(house, api, 3)
    twins = [row for row in rows(api) if said(row)[2] == "Koffie"]
    assert len(twins) == len({row["id"] for row in twins}) == 6
    assert set(Counter(said(row) for row in twins).values()) == {2}


def test_a_page_may_repeat_the_end_of_the_one_before(house: House, api: Api) -> None:
    once = [row["id"] for row in rows(api)]
    house.simulator.accustom("DEMO", shifting=True)
    again = [row["id"] for row in rows(api, most=10)]
    assert len(again) > len(once) and set(again) == set(once)


def test_the_panel_gives_a_bank_its_habits(house: House) -> None:
    browser = house.browser().get("/panel")
    browser.press("habits", within="#habits-DEMO", ids="blank", late_days="3", budget="", twins="1")
    assert "doet Demobank wat je zei" in browser.text
    form = browser.soup.select_one("#habits-DEMO")
    assert form is not None
    assert form.select_one("option[value=blank]").has_attr("selected")  # type: ignore[union-attr]
    assert form.select_one("[name=late_days]")["value"] == "3"  # type: ignore[index]
    browser.press("habits", within="#habits-DEMO", late_days="11")
    assert browser.status == 422 and "hooguit tien dagen" in browser.text
