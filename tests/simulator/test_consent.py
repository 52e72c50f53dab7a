"""A holder gives, changes, refuses and ends access; and what the bank step makes of it (A2.7)."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import (
    ACTIVE,
    BAKERY,
    CALLBACK,
    ORIGIN,
    RENEWED,
    SAVINGS,
    SHOP,
    SPARE,
    Api,
    Browser,
    House,
    Pkce,
    account,
    authorise_url,
    new_pkce,
)


@pytest.fixture
def house(make_house: Any) -> House:
    """Jan: one account authorised, one not, one elsewhere, one not in the app."""
    found: House = make_house(
        [
            account(BAKERY, "Demobank", authorisation=ACTIVE),
            account(SAVINGS, "Demobank"),
            account(SHOP, "Voorbeeldbank"),
            account(SPARE, "Voorbeeldbank", in_app=False),
        ],
        ticked=[BAKERY],
    )
    return found


def ask(house: House, pkce: Pkce | None = None, reference: str = "admin-2") -> Browser:
    onboarding = house.api().onboard(
        organizationName="Bakkerij De Vries",
        partnerReference=reference,
        email="jan@devries.example",
    )
    browser = house.browser().get(authorise_url(pkce, onboarding_details_id=onboarding))
    return browser.sign_in()


def tick(browser: Browser, *ibans: str) -> list[str]:
    return [browser.value("account", iban) for iban in ibans]


def redeem(house: House, browser: Browser, pkce: Pkce) -> Api:
    answer = house.api().token(
        grant_type="authorization_code",
        code=browser.answer()["code"],
        redirect_uri=CALLBACK,
        code_verifier=pkce.verifier,
    )
    assert answer.status == 200, answer.body
    return house.api(answer.body["access_token"])


class TestConsentPage:
    def test_says_who_asks_for_what_and_for_whom(self, house: House) -> None:
        browser = ask(house)
        for words in (
            "Banklink vraagt je toestemming",
            "voor de boekhouding van Bakkerij De Vries",
            "Alleen lezen; betalen kan niet",
            "Tot je het intrekt",
            "NL85 DEMO 0417 1643 00",
            "Nog niet in de app",
        ):
            assert words in browser.text
        labels = {b["data-action"]: b.get_text() for b in browser.soup.select("#consent button")}
        assert labels == {
            "allow": "Toestaan en verder naar Demobank",
            "allow_later": "Alleen toestaan, bank later koppelen",
            "deny": "Niet toestaan",
        }
        classes = {tuple(b.get("class") or ()) for b in browser.soup.select("#consent button")}
        assert len(classes) == 1, "equal prominence"

    def test_all_own_accounts_are_offered_and_none_is_ticked(self, house: House) -> None:
        browser = ask(house)
        assert browser.offered() == {BAKERY, SAVINGS, SHOP, SPARE}
        assert browser.ticked() == set()

    def test_the_only_account_is_ticked(self, make_house: Any) -> None:
        assert ask(make_house([account(BAKERY, "Demobank")])).ticked() == {BAKERY}

    def test_asking_again_keeps_the_ticks(self, house: House) -> None:
        assert ask(house, reference="admin-1").ticked() == {BAKERY}

    def test_the_holder_asked_for_is_chosen_at_sign_in(self, house: House) -> None:
        onboarding = house.api().onboard(email="PIET@bakker.example")
        browser = house.browser().get(authorise_url(onboarding_details_id=onboarding))
        chosen = browser.soup.select_one("input[name=holder][checked]")
        assert chosen is not None and chosen["data-email"] == "piet@bakker.example"

    def test_no_tick_keeps_the_page_and_says_so(self, house: House) -> None:
        browser = ask(house).press("allow")
        assert browser.status == 422
        assert "Kruis minstens één rekening aan" in browser.text
        browser.press("allow_later", account=tick(browser, BAKERY))
        assert "code" in browser.answer()

    def test_foreign_account_is_refused(self, make_house: Any) -> None:
        house = make_house([account(BAKERY, "Demobank")], piet=[account(SHOP, "Voorbeeldbank")])
        browser = ask(house)
        browser.press("allow_later", account=["1", "2"])
        assert browser.status == 400
        assert house.browser().sign_in().get("/settings/services").soup.select(".service") == []

    def test_onboarding_details_live_five_minutes(self, house: House) -> None:
        onboarding = house.api().onboard(partnerReference="x")
        house.time.pass_(minutes=6)
        browser = house.browser().get(authorise_url(onboarding_details_id=onboarding))
        assert browser.answer()["error"] == "invalid_request"

    def test_somebody_else_can_sign_in_without_losing_the_request(self, house: House) -> None:
        browser = ask(house).press("sign-out")
        browser.sign_in("piet@bakker.example")
        assert "Banklink vraagt je toestemming" in browser.text
        assert browser.offered() == set()

    def test_english(self, house: House) -> None:
        browser = ask(house).press("language-en")
        assert "Banklink asks for your consent" in browser.text
        assert browser.soup.select_one("html[lang=en]")


class TestTheChain:
    def test_allowed_and_authorised_in_one_go(self, house: House) -> None:
        pkce = new_pkce()
        browser = ask(house, pkce)
        browser.press("allow", account=tick(browser, BAKERY, SAVINGS))
        assert browser.url.startswith("/bank/DEMO/authorise/")
        browser.press("bank-sign-in")  # the first of two clicks at the bank
        assert browser.ticked() == {BAKERY, SAVINGS}
        browser.press("confirm")
        assert set(browser.answer()) == {"code", "state", "iss"}
        found = redeem(house, browser, pkce).accounts()
        assert set(found) == {BAKERY, SAVINGS}
        assert found[SAVINGS]["attributes"]["authorizedAt"].startswith("2026-11-23T10:00")

    def test_bank_after_bank_and_a_new_account(self, house: House) -> None:
        pkce = new_pkce()
        browser = ask(house, pkce)
        browser.press("allow", account=tick(browser, SAVINGS, SPARE))
        assert browser.url.startswith("/bank/DEMO/")
        browser.press("bank-sign-in").press("confirm")
        assert browser.url.startswith("/bank/VOOR/")
        browser.press("bank-sign-in")
        assert browser.ticked() == {SHOP, SPARE}  # the union at that bank
        browser.press("confirm")
        found = redeem(house, browser, pkce).accounts()
        assert set(found) == {SAVINGS, SPARE}
        assert found[SPARE]["attributes"]["authorizationExpirationExpectedAt"].startswith(
            "2027-02-21"
        )
        rows = house.browser().sign_in().get("/settings/accounts").soup.select(".row[data-state]")
        assert [row["data-state"] for row in rows] == ["active"] * 4

    def test_cancelling_at_the_second_bank_changes_nothing(self, house: House) -> None:
        browser = ask(house)
        browser.press("allow", account=tick(browser, SAVINGS, SPARE))
        browser.press("bank-sign-in").press("confirm")
        browser.press("cancel")
        assert browser.answer() == {"error": "access_denied", "state": "the state", "iss": ORIGIN}
        page = house.browser().sign_in().get("/settings/accounts")
        states = {str(r["id"])[8:]: r["data-state"] for r in page.soup.select(".row[data-state]")}
        assert states == {BAKERY: "active", SAVINGS: "none", SHOP: "none"}
        assert len(page.get("/settings/services").soup.select(".service")) == 1

    def test_allowing_without_the_bank(self, house: House) -> None:
        pkce = new_pkce()
        browser = ask(house, pkce)
        browser.press("allow_later", account=tick(browser, SAVINGS))
        found = redeem(house, browser, pkce).accounts()
        assert found[SAVINGS]["attributes"]["authorizedAt"] is None
        assert found[SAVINGS]["attributes"]["authorizationExpirationExpectedAt"] is None

    def test_no_bank_needed_no_bank_visited(self, house: House) -> None:
        browser = ask(house)
        browser.press("allow", account=tick(browser, BAKERY))
        assert "code" in browser.answer()

    def test_consenting_again_replaces_the_ticks_of_that_purpose_only(self, house: House) -> None:
        first, second = new_pkce(), new_pkce()
        browser = ask(house, first, "admin-1")
        browser.press("allow_later", account=tick(browser, SHOP))
        api = redeem(house, browser, first)
        assert set(api.accounts()) == {SHOP}
        browser = ask(house, second, "admin-9")
        browser.press("allow", account=tick(browser, BAKERY))
        assert set(redeem(house, browser, second).accounts()) == {BAKERY}
        assert set(api.accounts()) == {SHOP}


OUTCOMES = [
    ("cancel", "access_denied"),
    ("refuse", "access_denied"),
    ("denied", "access_denied"),
    ("wrong_code", "login_failed"),
    ("three wrong codes", "login_failed"),
    ("timeout", "temporarily_unavailable"),
    ("outage", "server_error"),
    ("outage of the bank", "server_error"),
]


class TestRenewalByLink:
    """What a service asks for with a reauthorization request."""

    @pytest.fixture
    def api(self, house: House) -> Api:
        return house.api(house.token())

    def open(self, house: House, api: Api, iban: str = BAKERY) -> Browser:
        answer = api.reauthorise(api.accounts()[iban]["id"])
        assert answer.status == 201
        return house.browser().get(answer.body["data"]["links"]["redirect"])

    def test_two_clicks_and_no_sign_in_at_the_app(self, house: House, api: Api) -> None:
        house.later(days=100)
        browser = self.open(house, api)
        assert "Inloggen" in browser.text
        browser.press("bank-sign-in").press("confirm")
        assert browser.left == f"{RENEWED}?state=s1&iss=http%3A%2F%2F127.0.0.1%3A5001"
        until = api.accounts()[BAKERY]["attributes"]["authorizationExpirationExpectedAt"]
        assert until == "2027-08-30T21:59:59.999Z"  # 100 + 180 days, through the end of that day

    @pytest.mark.parametrize(("outcome", "error"), OUTCOMES)
    def test_what_goes_wrong_is_told_and_changes_nothing(
        self, house: House, api: Api, outcome: str, error: str
    ) -> None:
        before = api.accounts()[BAKERY]["attributes"]
        if outcome == "outage of the bank":
            house.browser().get("/panel").press("outage-on", within="#outage-DEMO")
        browser = self.open(house, api)
        if outcome in ("cancel", "outage of the bank"):
            browser.press("cancel")
        elif outcome == "refuse":
            browser.press("bank-sign-in").press("refuse")
        elif outcome == "three wrong codes":
            browser.press("bank-sign-in", code="0000")
            assert (browser.status, "nog 2 keer" in browser.text) == (422, True)
            browser.press("bank-sign-in", code="0000").press("bank-sign-in", code="0000")
        else:
            browser.press("bank-sign-in", outcome=outcome)
        assert browser.answer() == {"state": "s1", "error": error, "iss": ORIGIN}
        after = api.accounts()[BAKERY]["attributes"]
        assert after["authorizedAt"] == before["authorizedAt"]
        assert (
            after["authorizationExpirationExpectedAt"]
            == before["authorizationExpirationExpectedAt"]
        )

    def test_every_bank_screen_can_be_cancelled(self, house: House, api: Api) -> None:
        browser = self.open(house, api).press("bank-sign-in")
        assert browser.press("cancel").answer()["error"] == "access_denied"

    def test_a_bank_that_never_returns(self, house: House, api: Api) -> None:
        browser = self.open(house, api).press("bank-sign-in", outcome="no_return")
        assert (browser.status, browser.left) == (200, None)
        assert not browser.soup.select("main form")

    @pytest.mark.parametrize("how", ["outcome", "card"])
    def test_another_account_only(self, house: House, api: Api, how: str) -> None:
        house.later(days=3)
        before = api.accounts()[BAKERY]["attributes"]["authorizedAt"]
        browser = self.open(house, api)
        if how == "card":
            browser.press("bank-sign-in", card=browser.value("card", SAVINGS))
        else:
            browser.press("bank-sign-in", outcome="other_account")
        assert browser.offered() == {SAVINGS}
        assert "hoort niet bij NL85 DEMO 0417 1643 00" in browser.text
        browser.press("confirm")
        assert "error" not in browser.answer()
        assert api.accounts()[BAKERY]["attributes"]["authorizedAt"] == before
        page = house.browser().sign_in().get("/settings/accounts")
        row = page.soup.select_one(f"#account-{SAVINGS}")
        assert row is not None and row["data-state"] == "active"

    def test_private_card_reaches_no_account_of_ours(self, house: House, api: Api) -> None:
        house.later(days=3)
        before = api.accounts()[BAKERY]["attributes"]["authorizedAt"]
        browser = self.open(house, api).press("bank-sign-in", card="private")
        browser.press("confirm")
        assert "error" not in browser.answer()
        assert api.accounts()[BAKERY]["attributes"]["authorizedAt"] == before

    def test_link_works_once_and_for_an_hour(self, house: House, api: Api) -> None:
        browser = self.open(house, api)
        link = browser.url
        house.browser().get(link)  # a mail scanner looks; nothing happens
        browser.press("bank-sign-in").press("confirm")
        assert browser.get(link).status == 400
        assert "al gebruikt" in browser.text
        stopped = self.open(house, api)
        link = stopped.url
        stopped.press("cancel")
        assert stopped.get(link).status == 400
        late = self.open(house, api).url
        house.time.pass_(minutes=61)
        assert house.browser().get(late).status == 400

    def test_only_the_browser_that_signed_in_may_confirm(self, house: House, api: Api) -> None:
        browser = self.open(house, api).press("bank-sign-in")
        thief = house.browser().get(browser.url)
        assert thief.url.endswith(browser.url.split("/")[-2])  # sent back to the sign-in
        assert "Inloggen" in thief.text
        thief.post(browser.url, {"decision": "confirm", "csrf_token": "x"})
        assert thief.status == 400

    def test_validity_and_history_from_the_test_panel(self, house: House, api: Api) -> None:
        browser = self.open(house, api)
        browser.press("bank-sign-in", valid_days="90", history_days="5").press("confirm")
        row = api.accounts()[BAKERY]
        assert row["attributes"]["authorizationExpirationExpectedAt"].startswith("2027-02-21")
        assert row["meta"]["historyFrom"] == "2026-11-18"

    @pytest.mark.parametrize("field", [{"valid_days": "0"}, {"valid_days": "x"}, {"card": "999"}])
    def test_nonsense_in_the_form_is_explained(
        self, house: House, api: Api, field: dict[str, str]
    ) -> None:
        browser = self.open(house, api).press("bank-sign-in", **field)
        assert browser.status == 422
        assert browser.soup.select_one("#error[role=alert]")

    def test_unticking_one_account_keeps_its_former_consent(self, house: House, api: Api) -> None:
        browser = self.open(house, api).press("bank-sign-in")
        assert browser.ticked() == {BAKERY, SAVINGS}
        browser.press("confirm", account=tick(browser, BAKERY))
        row = house.browser().sign_in().get("/settings/accounts").soup
        savings = row.select_one(f"#account-{SAVINGS}")
        assert savings is not None and savings["data-state"] == "none"

    def test_no_account_ticked_at_the_bank(self, house: House, api: Api) -> None:
        browser = self.open(house, api).press("bank-sign-in").press("confirm", account=[])
        assert browser.status == 422

    @pytest.mark.parametrize(
        "target",
        [
            RENEWED + "/",
            RENEWED + "#x",
            RENEWED.replace("5000", "5001") + "?state=1",
            "http://evil.example/?" + RENEWED,
            RENEWED + "?iss=http://evil.example",
            RENEWED + "?error=x",
            RENEWED + "?a=\r\nSet-Cookie: x=1",
            "",
            None,
        ],
    )
    def test_redirect_uri_must_be_registered(self, house: House, api: Api, target: Any) -> None:
        answer = api.reauthorise(api.accounts()[BAKERY]["id"], target)
        assert answer.status == 400
        assert answer.body["errors"][0]["source"]["pointer"].endswith("/redirectUri")


class TestInTheApp:
    def test_the_long_way_to_a_renewal(self, house: House) -> None:
        browser = house.browser().get("/").press("to-sign-in").sign_in()
        browser.press("renew", within=f"#account-{SAVINGS}")
        browser.press("bank-sign-in").press("confirm")
        assert browser.url == "/settings/accounts"
        assert "2 rekeningen zijn gekoppeld" in browser.text
        assert browser.get("/settings/accounts").soup.select_one("#notice") is None

    def test_cancelling_says_that_nothing_changed(self, house: House) -> None:
        browser = house.browser().sign_in().press("renew", within=f"#account-{SAVINGS}")
        browser.press("cancel")
        assert "Afgebroken. Er is niets gewijzigd" in browser.text

    def test_wrong_card_says_what_was_connected(self, house: House) -> None:
        browser = house.browser().sign_in().press("renew", within=f"#account-{SHOP}")
        browser.press("bank-sign-in", outcome="other_account").press("confirm")
        assert "Je hebt NL04 VOOR 0123 4567 89 gekoppeld, gezocht was NL52" in browser.text

    def test_adding_later_or_at_once(self, house: House) -> None:
        browser = house.browser().sign_in().press("add")
        browser.press("later", account=tick(browser, SPARE))
        row = browser.soup.select_one(f"#account-{SPARE}")
        assert row is not None and row["data-state"] == "none"
        browser.press("remove", within=f"#account-{SPARE}").press("remove-confirm")
        browser.press("add")
        browser.press("connect", account=tick(browser, SPARE))
        browser.press("bank-sign-in").press("confirm")
        row = browser.soup.select_one(f"#account-{SPARE}")
        assert row is not None and row["data-state"] == "active"

    def test_removed_account_disappears_and_comes_back_without_authorisation(
        self, house: House
    ) -> None:
        api = house.api(house.token())
        old = api.accounts()[BAKERY]["id"]
        browser = house.browser().sign_in()
        browser.press("remove", within=f"#account-{BAKERY}")
        assert "Deze diensten zien haar niet meer: Bakkerij De Vries" in browser.text
        browser.press("remove-confirm")
        assert api.accounts() == {}
        assert api.get(f"/accounts/{old}/transactions").status == 404
        browser.press("add")
        browser.press("later", account=tick(browser, BAKERY))
        row = browser.soup.select_one(f"#account-{BAKERY}")
        assert row is not None and row["data-state"] == "none"
        assert api.accounts() == {}  # shared again only when the holder ticks it again

    def test_services_tell_who_reads_what(self, house: House) -> None:
        browser = house.browser().sign_in().get("/settings/services")
        assert "1 van 3 rekeningen" in browser.text
        assert "nog niet gelezen" in browser.text
        house.api(house.token()).accounts()
        assert "laatst gelezen 23 november 2026 11:00" in browser.get("/settings/services").text

    def test_unticking_is_seen_by_the_service(self, house: House) -> None:
        api = house.api(house.token())
        browser = house.browser().sign_in().get("/settings/services").press("change")
        assert browser.ticked() == {BAKERY}
        browser.press("save", account=[browser.value("account", SHOP)])
        assert set(api.accounts()) == {SHOP}

    def test_revoking_ends_the_access_at_once(self, house: House) -> None:
        access = house.token()
        browser = house.browser().sign_in().get("/settings/services").press("revoke")
        assert "Al opgehaalde mutaties blijven daar staan" in browser.text
        browser.press("revoke-confirm")
        assert house.api(access).get("/accounts").status == 401
        refresh = house.seeded["integrations"][0]["refresh_token"]
        answer = house.api().token(grant_type="refresh_token", refresh_token=refresh)
        assert answer.body["error"] == "invalid_grant"

    def test_nobody_else_can_touch_my_accounts(self, house: House) -> None:
        jan = house.browser().sign_in()
        renewal = str(jan.button("renew").find_parent("form")["action"])  # type: ignore[index]
        removal = str(jan.button("remove")["href"])
        services = jan.get("/settings/services")
        change, revoke = (
            str(services.button("change")["href"]),
            str(services.button("revoke")["href"]),
        )
        piet = house.browser().sign_in("piet@bakker.example")
        field = piet.soup.select_one("input[name=csrf_token]")
        assert field is not None
        token = {"csrf_token": field["value"]}
        for path in (removal, change, revoke):
            assert piet.get(path).status == 404
            assert piet.post(path, token).status == 404
        assert piet.post(renewal, token).status == 404

    def test_signing_out_ends_copies_of_the_session(self, house: House) -> None:
        browser = house.browser().sign_in()
        copy = house.browser()
        copy.client._cookies = dict(browser.client._cookies or {})
        assert copy.get("/settings/accounts").url == "/settings/accounts"
        browser.press("sign-out")
        assert copy.get("/settings/accounts").url.startswith("/sign-in")

    @pytest.mark.parametrize("target", ["//evil.example", "http://evil.example/", "/\\evil", "x"])
    def test_sign_in_leads_nowhere_else(self, house: House, target: str) -> None:
        browser = house.browser().get("/sign-in")
        browser.press("sign-in", next=target)
        assert (browser.left, browser.url) == (None, "/settings/accounts")

    def test_wrong_code(self, house: House) -> None:
        browser = house.browser().get("/sign-in").press("sign-in", code="9999")
        assert browser.status == 422

    def test_revoked_access_can_be_given_again(self, house: House) -> None:
        browser = house.browser().sign_in().get("/settings/services").press("revoke")
        browser.press("revoke-confirm")
        pkce = new_pkce()
        browser = ask(house, pkce, "admin-1")
        assert browser.ticked() == set()  # ended consent is not assumed again
        browser.press("allow", account=tick(browser, BAKERY))
        assert set(redeem(house, browser, pkce).accounts()) == {BAKERY}


class TestAtTheBank:
    def test_revoking_there_reaches_the_service_at_its_next_synchronisation(
        self, house: House
    ) -> None:
        api = house.api(house.token())
        uuid = api.accounts()[BAKERY]["id"]
        browser = house.browser().get("/bank/DEMO/sign-in").press("bank-sign-in")
        row = browser.soup.select_one(".given")
        assert row is not None and row["data-state"] == "active"
        browser.press("revoke-consent")
        app = house.browser().sign_in()
        assert app.soup.select_one(f"#account-{BAKERY}")["data-state"] == "active"  # type: ignore[index]
        done = api.synchronise(uuid)
        assert (done["status"], done["errors"][0]["code"]) == ("error", "authorizationInvalid")
        attributes = api.accounts()[BAKERY]["attributes"]
        assert attributes["authorizationExpirationExpectedAt"] > "2026-11-23"
        app.get("/settings/accounts")
        assert app.soup.select_one(f"#account-{BAKERY}")["data-state"] == "revoked"  # type: ignore[index]
        app.press("renew", within=f"#account-{BAKERY}").press("bank-sign-in").press("confirm")
        assert api.synchronise(uuid)["status"] == "success"

    def test_somebody_elses_consent_cannot_be_revoked(self, make_house: Any) -> None:
        house = make_house(
            [account(BAKERY, "Demobank", authorisation=ACTIVE)],
            piet=[account(SAVINGS, "Demobank")],
        )
        jan = house.browser().get("/bank/DEMO/sign-in").press("bank-sign-in")
        form = jan.button("revoke-consent").find_parent("form")
        assert form is not None
        piet = house.browser().get("/bank/DEMO/sign-in")
        radio = piet.soup.select_one('input[data-email="piet@bakker.example"]')
        assert radio is not None
        piet.press("bank-sign-in", holder=radio["value"])
        field = piet.soup.select_one("input[name=csrf_token]")
        assert field is not None
        assert piet.post(str(form["action"]), {"csrf_token": field["value"]}).status == 404

    def test_app_session_does_not_open_the_bank(self, house: House) -> None:
        browser = house.browser().sign_in().get("/bank/DEMO/consents")
        assert browser.url == "/bank/DEMO/sign-in"
