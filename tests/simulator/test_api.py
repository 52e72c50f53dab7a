"""The resource API speaks Ponto Connect's contract, exactly and to the right callers only."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from banklink.simulator.api import encode

from .conftest import (
    ACTIVE,
    BAKERY,
    BANKLINK,
    ORIGIN,
    OTHER,
    SAVINGS,
    SHOP,
    Api,
    House,
    account,
    authorise_url,
)


@pytest.fixture
def house(make_house: Any) -> House:
    found: House = make_house(
        [
            account(BAKERY, "Demobank", authorisation=ACTIVE),
            account(SAVINGS, "Demobank"),
            account(SHOP, "Voorbeeldbank", authorisation=ACTIVE),
        ],
        ticked=[BAKERY, SAVINGS],
    )
    return found


@pytest.fixture
def api(house: House) -> Api:
    return house.api(house.token())


class TestAccounts:
    def test_only_ticked_accounts_are_listed(self, api: Api) -> None:
        answer = api.get("/accounts")
        assert answer.headers["Content-Type"].startswith("application/vnd.api+json")
        assert answer.headers["Cache-Control"] == "no-store"
        assert [row["attributes"]["reference"] for row in answer.body["data"]] == [BAKERY, SAVINGS]
        assert answer.body["meta"]["paging"]["limit"] == 10

    def test_an_authorised_account(self, api: Api) -> None:
        row = api.accounts()[BAKERY]
        assert row["type"] == "account"
        attributes = row["attributes"]
        expected = {
            "subtype": "checking",
            "referenceType": "IBAN",
            "reference": BAKERY,
            "currency": "EUR",
            "description": "Zakelijke rekening",
            "holderName": "Bakkerij De Vries",
            "deprecated": False,
            "authorizedAt": "2026-11-13T10:00:00.000Z",
            # 180 days later, through the end of that day in Amsterdam
            "authorizationExpirationExpectedAt": "2027-05-12T21:59:59.999Z",
        }
        assert {name: attributes[name] for name in expected} == expected
        assert isinstance(attributes["currentBalance"], Decimal)
        meta = row["meta"]
        assert meta["synchronizedAt"] == "2026-11-23T10:00:00.000Z"
        assert meta["availability"] == "available"
        assert meta["availableFrom"] == "2026-09-24"  # opened 60 days ago
        assert meta["historyFrom"] == "2026-09-24"
        latest = meta["latestSynchronization"]["attributes"]
        assert (latest["status"], latest["errors"]) == ("success", [])
        assert (latest["resourceType"], latest["resourceId"]) == ("account", row["id"])
        links = row["relationships"]["transactions"]["links"]
        assert links["related"] == f"{ORIGIN}/ponto-connect/accounts/{row['id']}/transactions"

    def test_an_account_that_was_never_authorised(self, api: Api) -> None:
        row = api.accounts()[SAVINGS]
        assert row["attributes"]["authorizedAt"] is None
        assert row["attributes"]["authorizationExpirationExpectedAt"] is None
        assert row["attributes"]["currentBalance"] is None
        assert row["meta"]["latestSynchronization"] is None
        assert (row["meta"]["availableFrom"], row["meta"]["historyFrom"]) == (None, None)
        assert api.days(row["id"]) == []

    def test_paging(self, api: Api) -> None:
        first = api.get("/accounts?page[limit]=1").body
        second = api.call("GET", first["links"]["next"]).body
        found = [first["data"][0], *second["data"]]
        assert [row["attributes"]["reference"] for row in found] == [BAKERY, SAVINGS]
        assert "next" not in second["links"]

    def test_an_account_that_is_not_ticked_does_not_exist(self, house: House, api: Api) -> None:
        """Not even when the same holder ticked it for the same client's other purpose."""
        browser = house.browser().get(authorise_url()).sign_in()
        browser.press("allow_later", account=[browser.value("account", SHOP)])
        shop = browser.get("/settings/services").press("change").value("account", SHOP)
        for method, path in (
            ("GET", f"/accounts/{shop}"),
            ("GET", f"/accounts/{shop}/transactions"),
            ("DELETE", f"/accounts/{shop}"),
            ("GET", "/accounts/unknown"),
        ):
            answer = api.call(method, path)
            assert (answer.status, answer.body["errors"][0]["code"]) == (404, "resourceNotFound")
            assert answer.body["errors"][0]["meta"] == {"resource": "account"}
        assert api.reauthorise(shop).status == 404

    def test_deleting_one_account_unticks_it(self, house: House, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        assert api.call("DELETE", f"/accounts/{uuid}").status == 200
        assert set(api.accounts()) == {SAVINGS}
        assert "1 van 3" in house.browser().sign_in().get("/settings/services").text

    def test_userinfo(self, house: House, api: Api) -> None:
        body = api.get("/userinfo").body
        assert body["sub"] == house.seeded["integrations"][0]["subject"]
        assert (body["name"], body["email"]) == ("Jan de Vries", "jan@devries.example")


class TestTransactions:
    def test_newest_first_page_by_page_without_loss(self, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        whole = api.get(f"/accounts/{uuid}/transactions?page[limit]=100").body
        assert whole["links"].keys() == {"first"}
        assert len(whole["data"]) > 30
        days = [row["attributes"]["executionDate"] for row in whole["data"]]
        assert days == sorted(days, reverse=True)
        paged: list[str] = []
        url: str | None = f"/accounts/{uuid}/transactions?page[limit]=7"
        while url:
            body = api.get(url).body
            assert body["meta"]["paging"]["limit"] == 7
            paged += [row["id"] for row in body["data"]]
            url = body["links"].get("next")
            assert url is None or url.startswith(ORIGIN + "/ponto-connect/")
        assert paged == [row["id"] for row in whole["data"]]

    def test_walking_back_again(self, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        first = api.get(f"/accounts/{uuid}/transactions?page[limit]=5").body
        second = api.get(first["links"]["next"]).body
        back = api.get(second["links"]["prev"]).body
        assert [r["id"] for r in back["data"]] == [r["id"] for r in first["data"]]
        assert "prev" not in back["links"] and "next" in back["links"]

    def test_default_limit_and_older_parameter_names(self, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        body = api.get(f"/accounts/{uuid}/transactions").body
        assert len(body["data"]) == 10
        older = api.get(f"/accounts/{uuid}/transactions?limit=3&after={body['data'][0]['id']}").body
        assert [r["id"] for r in older["data"]] == [r["id"] for r in body["data"][1:4]]

    def test_shape(self, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        answer = api.get(f"/accounts/{uuid}/transactions?page[limit]=100")
        for row in answer.body["data"]:
            attributes = row["attributes"]
            assert row["type"] == "transaction"
            assert row["relationships"]["account"]["data"] == {"type": "account", "id": uuid}
            assert isinstance(attributes["amount"], Decimal | int)
            assert attributes["currency"] == "EUR"
            assert attributes["executionDate"].endswith("T00:00:00.000Z")
            assert attributes["remittanceInformationType"] == "unstructured"
            assert len(attributes["digest"]) == 64
        one = answer.body["data"][3]
        assert api.get(f"/accounts/{uuid}/transactions/{one['id']}").body["data"] == one
        assert api.get(f"/accounts/{uuid}/transactions/{uuid}").status == 404

    @pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e2", ""])
    def test_limit(self, api: Api, limit: str) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        answer = api.get(f"/accounts/{uuid}/transactions?page[limit]={limit}")
        assert (answer.status, "errors" in answer.body) == (400, True)

    def test_unknown_cursor(self, api: Api) -> None:
        uuid = api.accounts()[BAKERY]["id"]
        answer = api.get(f"/accounts/{uuid}/transactions?page[after]=nothing")
        assert answer.status == 400

    def test_another_accounts_transaction_is_no_cursor(self, house: House, api: Api) -> None:
        browser = house.browser().sign_in().get("/settings/services").press("change")
        every = [browser.value("account", iban) for iban in (BAKERY, SHOP)]
        browser.press("save", account=every)
        found = api.accounts()
        shop, bakery = found[SHOP]["id"], found[BAKERY]["id"]
        cursor = api.get(f"/accounts/{shop}/transactions").body["data"][0]["id"]
        assert api.get(f"/accounts/{bakery}/transactions?page[after]={cursor}").status == 400
        assert api.get(f"/accounts/{bakery}/transactions/{cursor}").status == 404

    def test_amounts_are_exact_numbers(self) -> None:
        written = encode({"a": Decimal("0.10"), "b": Decimal("90071992547409.93"), "c": '"x"'})
        assert written == '{"a": 0.10, "b": 90071992547409.93, "c": "\\"x\\""}'
        assert json.loads(written, parse_float=Decimal)["b"] == Decimal("90071992547409.93")


class TestCallers:
    @pytest.mark.parametrize("path", ["/accounts", "/userinfo", "/synchronizations/x"])
    def test_without_a_good_token(self, house: House, path: str) -> None:
        refresh = house.seeded["integrations"][0]["refresh_token"]
        for token in (None, "wrong", refresh):
            answer = house.api(token).get(path)
            assert (answer.status, answer.body["errors"][0]["code"]) == (401, "credentialsInvalid")

    def test_token_in_the_query_is_not_read(self, house: House, api: Api) -> None:
        assert house.api().get(f"/accounts?access_token={api.bearer}").status == 401

    def test_client_token_opens_no_accounts_and_the_other_way_round(
        self, house: House, api: Api
    ) -> None:
        assert house.api(house.api().client_token()).get("/accounts").status == 403
        body = {"data": {"type": "onboardingDetails", "attributes": {}}}
        assert api.call("POST", "/onboarding-details", body).status == 403
        subject = house.seeded["integrations"][0]["subject"]
        assert api.call("DELETE", f"/organizations/{subject}/integration").status == 403

    def test_ending_an_integration_without_its_refresh_token(self, house: House, api: Api) -> None:
        subject = house.seeded["integrations"][0]["subject"]
        path = f"/organizations/{subject}/integration"
        foreign = house.api(house.api().client_token(OTHER))
        assert foreign.call("DELETE", path).status == 404
        own = house.api(house.api().client_token(BANKLINK))
        unknown = own.call("DELETE", path + "?filter[partnerReference][eq]=admin-7")
        assert unknown.status == 404
        assert api.get("/accounts").status == 200
        answer = own.call("DELETE", path + "?filter[partnerReference][eq]=admin-1")
        assert (answer.status, answer.body["data"]["type"]) == (200, "integration")
        assert api.get("/accounts").status == 401
        assert own.call("DELETE", path).status == 404

    def test_institutions_are_public(self, house: House) -> None:
        body = house.api().get("/financial-institutions").body
        assert [row["attributes"]["name"] for row in body["data"]] == ["Demobank", "Voorbeeldbank"]
        assert body["data"][1]["attributes"]["expectedAuthorizationLifetime"] == 90
        one = house.api().get(f"/financial-institutions/{body['data'][0]['id']}").body["data"]
        assert one == body["data"][0]
        only = house.api().get("/financial-institutions?filter[name][contains]=voor").body
        assert len(only["data"]) == 1

    @pytest.mark.parametrize(
        "body",
        [
            None,
            [],
            {"data": []},
            {"data": {"type": "other", "attributes": {}}},
            {"data": {"type": "synchronization"}},
            {"data": {"type": "synchronization", "attributes": {"resourceType": "x"}}},
            {
                "data": {
                    "type": "synchronization",
                    "attributes": {
                        "resourceType": "account",
                        "subtype": "accountTransactions",
                        "resourceId": 7,
                    },
                }
            },
        ],
    )
    def test_malformed_bodies(self, api: Api, body: Any) -> None:
        answer = api.call("POST", "/synchronizations", body)
        assert answer.status == 400
        assert answer.body["errors"][0]["source"]["pointer"].startswith("/data")
