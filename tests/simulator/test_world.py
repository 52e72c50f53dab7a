"""What the app holds: synchronisation, lapse and renewal, outage, the clock, the seed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from banklink.simulator import bookings
from banklink.simulator.clock import DemoClock

from .conftest import ACTIVE, BAKERY, SAVINGS, SHOP, Api, House, account


@pytest.fixture
def house(make_house: Any) -> House:
    found: House = make_house([account(BAKERY, "Demobank", authorisation=ACTIVE)], ticked=[BAKERY])
    return found


@pytest.fixture
def api(house: House) -> Api:
    return house.api(house.token())


def renew(house: House, api: Api, **panel: str) -> None:
    link = api.reauthorise(api.accounts()[BAKERY]["id"]).body["data"]["links"]["redirect"]
    browser = house.browser().get(link).press("bank-sign-in", **panel).press("confirm")
    assert "error" not in browser.answer()


class TestSynchronisation:
    def test_new_days_arrive_with_a_synchronisation(self, house: House, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        house.later(hours=5)
        before = api.days(uuid)
        house.later(days=20)
        assert api.days(uuid) == before  # reading never touches the bank
        done = api.synchronise(uuid)
        assert (done["status"], done["resourceId"]) == ("success", uuid)
        after = api.days(uuid)
        assert after[-len(before) :] == before
        assert after[0] > "2026-12-08"

    def test_the_list_of_accounts_synchronises_after_six_hours(
        self, house: House, api: Api
    ) -> None:
        first = api.accounts()[BAKERY]["meta"]["synchronizedAt"]
        house.later(hours=6)
        assert api.accounts()[BAKERY]["meta"]["synchronizedAt"] == first
        house.later(minutes=1)
        assert api.accounts()[BAKERY]["meta"]["synchronizedAt"] > first

    def test_one_synchronisation_can_be_read_back(self, house: House, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        api.synchronise(uuid)
        latest = api.accounts()[BAKERY]["meta"]["latestSynchronization"]
        assert api.get(f"/synchronizations/{latest['id']}").body["data"] == latest
        assert api.get("/synchronizations/none").status == 404

    def test_never_authorised(self, make_house: Any) -> None:
        house = make_house([account(BAKERY, "Demobank")], ticked=[BAKERY])
        api = house.api(house.token())
        done = api.synchronise(api.accounts()[BAKERY]["id"])
        assert (done["status"], done["errors"][0]["code"]) == ("error", "authorizationInvalid")


class TestLapse:
    def test_valid_through_its_last_day_then_expired(self, house: House, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        house.later(days=170)  # 12 May 2027, 12:00 in Amsterdam
        assert api.synchronise(uuid)["status"] == "success"
        house.later(hours=11, minutes=58)
        assert api.synchronise(uuid)["status"] == "success"
        page = house.browser().sign_in()
        assert page.soup.select_one(f"#account-{BAKERY}[data-state=active]")
        assert "nog 0 dagen" in page.text
        house.later(minutes=3)
        page.get("/settings/accounts")
        assert page.soup.select_one(f"#account-{BAKERY}[data-state=expired]")
        done = api.synchronise(uuid)
        assert (done["status"], done["errors"][0]["code"]) == ("error", "authorizationExpired")

    def test_after_expiry_what_was_received_stays_readable(self, house: House, api: Api) -> None:
        """The app fetches every day by itself, so it has everything up to the last valid day."""
        uuid = api.accounts()[BAKERY]["id"]
        house.later(days=181)
        meta = api.accounts()[BAKERY]["meta"]
        assert meta["latestSynchronization"]["attributes"]["status"] == "error"
        assert meta["synchronizedAt"] == "2027-05-12T21:59:59.999Z"
        days = api.days(uuid)
        assert "2027-05-06" < days[0] <= "2027-05-12"
        house.later(days=40)
        assert api.days(uuid) == days

    def test_renewal_brings_the_days_between(self, house: House, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        house.later(days=200)
        before = api.days(uuid)
        renew(house, api)
        after = api.days(uuid)
        between = [day for day in after if "2027-05-13" <= day <= "2027-06-11"]
        assert len(between) > 15
        assert set(before) <= set(after)
        row = api.accounts()[BAKERY]
        assert row["attributes"]["authorizedAt"].startswith("2027-06-11")
        assert row["meta"]["historyFrom"] == "2026-09-24"

    def test_limited_history_leaves_a_hole_and_says_so(self, house: House, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        house.later(days=200)
        renew(house, api, history_days="10")
        days = api.days(uuid)
        assert [day for day in days if "2027-05-13" <= day < "2027-06-01"] == []
        assert [day for day in days if day >= "2027-06-01"]
        assert [day for day in days if day <= "2027-05-12"]
        meta = api.accounts()[BAKERY]["meta"]
        assert meta["historyFrom"] == "2027-06-01"
        assert meta["availableFrom"] == "2026-09-24"

    def test_a_running_attempt_overwrites_nothing(self, house: House, api: Api) -> None:
        before = api.accounts()[BAKERY]["attributes"]
        api.reauthorise(api.accounts()[BAKERY]["id"])
        assert api.accounts()[BAKERY]["attributes"] == before


class TestOutage:
    def test_synchronisation_fails_reading_goes_on_and_it_recovers(
        self, house: House, api: Api
    ) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        days = api.days(uuid)
        house.browser().get("/panel").press("outage-on", within="#outage-DEMO")
        house.later(days=1)
        done = api.synchronise(uuid)
        assert done["errors"][0]["code"] == "financialInstitutionUnavailable"
        row = api.accounts()[BAKERY]
        assert row["meta"]["availability"] == "readonly"
        assert row["meta"]["synchronizedAt"].startswith("2026-11-23")
        assert api.days(uuid) == days
        house.browser().get("/panel").press("outage-off", within="#outage-DEMO")
        assert api.synchronise(uuid)["status"] == "success"
        assert api.accounts()[BAKERY]["meta"]["availability"] == "available"


class TestClock:
    def test_business_time_moves_real_time_does_not(self, house: House) -> None:
        clock = house.simulator.clock
        real = clock.real()
        clock.advance(timedelta(days=3))
        assert (clock.now() - clock.real(), clock.real()) == (timedelta(days=3), real)

    def test_it_is_kept_in_the_database(self, house: House) -> None:
        house.later(days=3)
        again = DemoClock(house.simulator.store, house.time)
        assert again.now() == house.simulator.clock.now()

    @pytest.mark.parametrize("step", [timedelta(), timedelta(seconds=-1)])
    def test_never_backwards(self, house: House, step: timedelta) -> None:
        with pytest.raises(ValueError, match="forward"):
            house.simulator.clock.advance(step)

    def test_listeners_hear_of_it_even_when_one_fails(self, house: House) -> None:
        heard: list[Any] = []

        def broken() -> None:
            raise RuntimeError

        clock = house.simulator.clock
        clock.listeners += [broken, lambda: heard.append(clock.now())]
        house.later(days=2)
        assert heard == [house.time.now + timedelta(days=2)]

    def test_nobody_is_signed_out(self, house: House) -> None:
        browser = house.browser().sign_in()
        house.later(days=400)
        assert browser.get("/settings/accounts").url == "/settings/accounts"
        house.time.pass_(hours=13)
        assert browser.get("/settings/accounts").url.startswith("/sign-in")


class TestBookings:
    def test_the_same_on_every_machine(self) -> None:
        made = list(bookings.generate(BAKERY, date(2026, 1, 1), date(2026, 1, 31)))
        again = [b for n in range(31) for b in bookings.on_day(BAKERY, date(2026, 1, 1 + n))]
        assert made == again
        first = (made[0].uuid, made[0].amount, made[0].remittance)
        assert first == (
            "a9ea1a65-0791-5b92-8a84-1a3797dd5480",
            -95000,
            "Huur bedrijfsruimte 01-2026",
        )
        assert len({b.uuid for b in made}) == len(made)

    def test_plausible(self) -> None:
        made = list(bookings.generate(BAKERY, date(2024, 1, 1), date(2025, 12, 31)))
        per_day: dict[date, int] = {}
        for booking in made:
            per_day[booking.booked_on] = per_day.get(booking.booked_on, 0) + 1
        assert max(per_day.values()) <= 4
        assert 600 < len(made) < 1500
        opening = bookings.opening_balance(BAKERY)
        assert 0 < opening + sum(b.amount for b in made) < 100_000_00
        assert bookings.on_day(SHOP, date(2024, 1, 2)) != bookings.on_day(BAKERY, date(2024, 1, 2))


class TestSeed:
    def test_empty_until_seeded(self, make_house: Any) -> None:
        assert make_house().simulator.is_empty()
        assert not make_house([]).simulator.is_empty()

    def test_one_account_of_two_holders(self, make_house: Any) -> None:
        joint = account(BAKERY, "Demobank", authorisation=ACTIVE)
        lapsed = {"since_days_ago": 200, "valid_days": 180}
        piets = account(BAKERY, "Demobank", authorisation=lapsed)
        house = make_house([joint], ticked=[BAKERY], piet=[piets])
        for email, state in (("jan@devries.example", "active"), ("piet@bakker.example", "expired")):
            page = house.browser().sign_in(email)
            row = page.soup.select_one(f"#account-{BAKERY}")
            assert row is not None and row["data-state"] == state
        api = house.api(house.token())
        assert api.accounts()[BAKERY]["attributes"]["authorizedAt"].startswith("2026-11-13")

    def test_revoked_at_the_bank_expired_and_outage(self, make_house: Any) -> None:
        revoked = {"since_days_ago": 100, "valid_days": 180, "revoked_days_ago": 3}
        expired = {"since_days_ago": 100, "valid_days": 90}
        house = make_house(
            [
                account(BAKERY, "Demobank", authorisation=revoked),
                account(SAVINGS, "Demobank", authorisation=expired),
                account(SHOP, "Voorbeeldbank", authorisation=ACTIVE),
            ],
            ticked=[BAKERY, SAVINGS, SHOP],
        )
        found = house.api(house.token()).accounts()

        def code(iban: str) -> Any:
            errors = found[iban]["meta"]["latestSynchronization"]["attributes"]["errors"]
            return errors[0]["code"] if errors else None

        assert code(BAKERY) == "authorizationInvalid"
        future = found[BAKERY]["attributes"]["authorizationExpirationExpectedAt"]
        assert future.startswith("2027-02-11")  # still in the future
        assert found[BAKERY]["meta"]["synchronizedAt"].startswith("2026-11-20")
        assert code(SAVINGS) == "authorizationExpired"
        past = found[SAVINGS]["attributes"]["authorizationExpirationExpectedAt"]
        assert past.startswith("2026-11-13")
        assert code(SHOP) is None
        # Voorbeeldbank goes back 30 days from the consent 10 days ago
        assert found[SHOP]["meta"]["historyFrom"] == "2026-10-14"

    def test_revoked_integration_has_no_token(self, make_house: Any) -> None:
        house = make_house()
        data = {
            "banks": [{"name": "Demobank", "code": "DEMO", "outage_since_hours": 5}],
            "holders": [
                {"key": "jan", "name": "Jan", "email": "j@x.example",
                 "accounts": [account(BAKERY, "Demobank", authorisation=ACTIVE)]}
            ],
            "integrations": [
                {"client": "banklink", "holder": "jan", "reference": "r", "label": "B",
                 "accounts": [BAKERY], "revoked_days_ago": 4}
            ],
        }  # fmt: skip
        result = house.simulator.seed(data)
        assert result["integrations"][0]["refresh_token"] is None
        browser = house.browser().sign_in("j@x.example").get("/settings/services")
        assert not browser.soup.select(".service")

    def test_all_or_nothing(self, make_house: Any) -> None:
        house = make_house()
        twice = [account(BAKERY, "Demobank"), account(BAKERY, "Voorbeeldbank")]
        with pytest.raises(ValueError, match="two banks"):
            house.simulator.seed(
                {
                    "banks": [
                        {"name": "Demobank", "code": "DEMO"},
                        {"name": "Voorbeeldbank", "code": "VOOR"},
                    ],
                    "holders": [
                        {"key": "j", "name": "J", "email": "j@x.example", "accounts": twice}
                    ],
                }
            )
        assert house.simulator.is_empty()
