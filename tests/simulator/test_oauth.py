"""The OAuth 2 side keeps the rules of RFC 9700 and ASVS V10, also under parallel requests."""

from __future__ import annotations

import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from banklink.simulator.model import new_secret

from .conftest import (
    ACTIVE,
    BAKERY,
    BANKLINK,
    CALLBACK,
    ORIGIN,
    OTHER,
    Answer,
    House,
    Pkce,
    account,
    authorise_url,
    basic,
    new_pkce,
)


@pytest.fixture
def house(make_house: Any) -> House:
    found: House = make_house([account(BAKERY, "Demobank", authorisation=ACTIVE)], ticked=[BAKERY])
    return found


def consent(house: House, pkce: Pkce, **changes: str | None) -> dict[str, str]:
    """A holder allows; returns what the client is told."""
    browser = house.browser().get(authorise_url(pkce, **changes))
    browser.sign_in()
    return browser.press("allow", account=[browser.value("account", BAKERY)]).answer()


def redeem(house: House, code: str, pkce: Pkce | None, **changes: str) -> Answer:
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **changes}
    if pkce:
        fields["code_verifier"] = pkce.verifier
    return house.api().token(BANKLINK, **fields)


def works(house: House, access: str) -> bool:
    return house.api(access).get("/accounts").status == 200


class TestAuthorise:
    def test_a_consent_returns_code_state_and_issuer(self, house: House) -> None:
        answer = consent(house, new_pkce())
        assert answer["state"] == "the state"
        assert answer["iss"] == ORIGIN
        assert set(answer) == {"code", "state", "iss"}

    @pytest.mark.parametrize(
        "uri",
        [
            CALLBACK + "/",
            CALLBACK.upper(),
            CALLBACK + "?x=1",
            CALLBACK + "#x",
            CALLBACK.replace("5000", "5999"),
            CALLBACK.replace("localhost", "user@localhost"),
            CALLBACK.replace("localhost:5000", "localhost:5000@evil.example"),
            CALLBACK.replace("http", "https"),
            CALLBACK.replace("ponto", "%70onto"),
            CALLBACK + "/../ponto",
            "javascript:alert(1)",
            "",
        ],
    )
    def test_any_other_redirect_uri_gets_our_own_page(self, house: House, uri: str) -> None:
        browser = house.browser().get(authorise_url(redirect_uri=uri))
        assert (browser.status, browser.left) == (400, None)
        assert "Er is niets gedeeld" in browser.text

    def test_redirect_uri_missing_or_twice_gets_our_own_page(self, house: House) -> None:
        assert house.browser().get(authorise_url(redirect_uri=None)).status == 400
        twice = authorise_url() + "&redirect_uri=" + quote("http://evil.example/", safe="")
        browser = house.browser().get(twice)
        assert (browser.status, browser.left) == (400, None)

    def test_another_clients_redirect_uri_gets_our_own_page(self, house: House) -> None:
        browser = house.browser().get(authorise_url(redirect_uri=OTHER.redirect_uris[0]))
        assert (browser.status, browser.left) == (400, None)

    def test_unknown_client_gets_our_own_page(self, house: House) -> None:
        browser = house.browser().get(authorise_url(client_id="nobody"))
        assert (browser.status, browser.left) == (400, None)

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": 'c"\\ode'}, "unsupported_response_type"),
            ({"scope": "pi"}, "invalid_scope"),
            ({"scope": "ai pi"}, "invalid_scope"),
            ({"scope": None}, "invalid_scope"),
            ({"onboarding_details_id": "unknown"}, "invalid_request"),
        ],
    )
    def test_other_faults_return_with_state_and_issuer(
        self, house: House, changes: dict[str, Any], error: str
    ) -> None:
        answer = house.browser().get(authorise_url(**changes)).answer()
        assert answer["error"] == error
        assert (answer["state"], answer["iss"]) == ("the state", ORIGIN)

    def test_repeated_parameter_is_refused(self, house: House) -> None:
        answer = house.browser().get(authorise_url() + "&state=other").answer()
        assert answer["error"] == "invalid_request"

    def test_denying_returns_access_denied_with_issuer(self, house: House) -> None:
        browser = house.browser().get(authorise_url())
        answer = browser.sign_in().press("deny").answer()
        assert answer == {"error": "access_denied", "state": "the state", "iss": ORIGIN}

    def test_looking_writes_nothing_and_the_request_cannot_be_forged(self, house: House) -> None:
        browser = house.browser().get(authorise_url()).sign_in()
        ticket = browser.url.split("request=")[1]
        tampered = browser.get("/oauth2/consent?request=" + "e30" + ticket[3:])
        assert tampered.status == 400

    def test_metadata(self, house: House) -> None:
        body = house.api()._send("GET", "/.well-known/oauth-authorization-server").body
        assert body["issuer"] == ORIGIN
        assert body["code_challenge_methods_supported"] == ["S256"]
        assert body["authorization_response_iss_parameter_supported"] is True


class TestCode:
    def test_redeeming_gives_the_pair(self, house: House) -> None:
        pkce = new_pkce()
        answer = redeem(house, consent(house, pkce)["code"], pkce)
        assert answer.status == 200
        assert answer.body["expires_in"] == 1799
        assert answer.body["token_type"].lower() == "bearer"
        assert answer.body["scope"] == "offline_access ai"
        assert answer.headers["Cache-Control"] == "no-store"
        assert works(house, answer.body["access_token"])

    def test_no_offline_access_no_refresh_token(self, house: House) -> None:
        pkce = new_pkce()
        answer = redeem(house, consent(house, pkce, scope="ai")["code"], pkce)
        assert "refresh_token" not in answer.body

    @pytest.mark.parametrize("verifier", [None, Pkce("w" * 43), Pkce("short"), Pkce("v" * 129)])
    def test_wrong_or_missing_verifier(self, house: House, verifier: Pkce | None) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        assert redeem(house, code, verifier).status == 400
        assert redeem(house, code, pkce).status == 200  # a guess does not burn the owner's code

    def test_challenge_itself_is_no_verifier(self, house: House) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        assert redeem(house, code, Pkce(pkce.challenge)).status == 400

    def test_code_without_s256_cannot_be_redeemed(self, house: House) -> None:
        """Also when such a code exists: the token endpoint does not trust the other one."""
        pkce = new_pkce()
        for method, challenge in ((None, None), ("plain", pkce.verifier)):
            code = consent(house, pkce)["code"]
            with sqlite3.connect(house.data / "simulator.sqlite3") as db:
                db.execute(
                    "UPDATE authorisation_code SET code_challenge=?, code_challenge_method=?",
                    (challenge, method),
                )
            assert redeem(house, code, pkce).status == 400
            assert redeem(house, code, None).status == 400

    def test_code_lives_a_minute(self, house: House) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        house.time.pass_(seconds=61)
        assert redeem(house, code, pkce).body["error"] == "invalid_grant"

    def test_moving_the_demo_clock_does_not_age_a_code(self, house: House) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        house.later(days=1)
        assert redeem(house, code, pkce).status == 200

    def test_code_is_bound_to_its_client(self, house: House) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        stolen = house.api().token(OTHER, code_verifier=pkce.verifier, **fields)
        assert stolen.body["error"] == "invalid_grant"
        assert redeem(house, code, pkce).status == 200

    @pytest.mark.parametrize("uri", [CALLBACK + "/", "http://localhost:5000/callback/renewal", ""])
    def test_redirect_uri_must_be_the_one_of_the_request(self, house: House, uri: str) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        assert redeem(house, code, pkce, redirect_uri=uri).body["error"] == "invalid_grant"

    def test_reuse_revokes_what_the_first_use_gave(self, house: House) -> None:
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        first = redeem(house, code, pkce).body
        assert redeem(house, code, pkce).body["error"] == "invalid_grant"
        assert not works(house, first["access_token"])
        again = house.api().token(grant_type="refresh_token", refresh_token=first["refresh_token"])
        assert again.body["error"] == "invalid_grant"

    def test_consenting_again_leaves_what_runs_until_access_is_withdrawn(
        self, house: House
    ) -> None:
        old = house.seeded["integrations"][0]["refresh_token"]
        onboarding = house.api().onboard(
            organizationName="Bakkerij De Vries", partnerReference="admin-1"
        )
        pkce = new_pkce()
        code = consent(house, pkce, onboarding_details_id=onboarding)["code"]
        new = redeem(house, code, pkce).body
        assert house.api().token(grant_type="refresh_token", refresh_token=old).status == 200
        assert works(house, new["access_token"])


class TestRefresh:
    def test_rotation_and_reuse(self, house: House) -> None:
        old = house.seeded["integrations"][0]["refresh_token"]
        first = house.api().token(grant_type="refresh_token", refresh_token=old).body
        assert first["refresh_token"] != old
        reused = house.api().token(grant_type="refresh_token", refresh_token=old)
        assert (reused.status, reused.body["error"]) == (400, "invalid_grant")
        assert not works(house, first["access_token"])
        successor = house.api().token(
            grant_type="refresh_token", refresh_token=first["refresh_token"]
        )
        assert successor.body["error"] == "invalid_grant"

    def test_bound_to_its_client(self, house: House) -> None:
        old = house.seeded["integrations"][0]["refresh_token"]
        stolen = house.api().token(OTHER, grant_type="refresh_token", refresh_token=old)
        assert stolen.body["error"] == "invalid_grant"
        access = house.token()
        house.api().token(OTHER, grant_type="refresh_token", refresh_token=old)
        assert works(house, access)  # a stranger's attempt is not the owner's reuse

    def test_rotation_does_not_extend_the_year(self, house: House) -> None:
        for _month in range(12):
            house.time.pass_(days=30)
            assert house.token()
        house.time.pass_(days=6)
        last = house.seeded["integrations"][0]["refresh_token"]
        assert house.api().token(grant_type="refresh_token", refresh_token=last).status == 400

    def test_access_token_ends(self, house: House) -> None:
        access = house.token()
        house.time.pass_(seconds=1798)
        assert works(house, access)
        house.time.pass_(seconds=2)
        answer = house.api(access).get("/accounts")
        assert (answer.status, answer.body["errors"][0]["code"]) == (401, "credentialsInvalid")


class TestTokenEndpoint:
    def test_client_authenticates_with_basic_only(self, house: House) -> None:
        api = house.api()
        body = {"grant_type": "client_credentials"}
        wrong = [
            api._send("POST", "/oauth2/token", data=body),
            api._send(
                "POST",
                "/oauth2/token",
                data={**body, "client_id": BANKLINK.id, "client_secret": BANKLINK.secret},
            ),
            api._send(
                "POST", "/oauth2/token", data=body, headers={"Authorization": "Basic YmFua2xpbms6"}
            ),
            api._send(
                "POST", "/oauth2/token", data=body, headers={"Authorization": "Basic /////w=="}
            ),
            api.token(type(BANKLINK)("banklink", "wrong", "", ()), **body),
            api.token(type(BANKLINK)("nobody", "wrong", "", ()), **body),
        ]
        assert [a.status in (400, 401) for a in wrong] == [True] * 6
        assert all("access_token" not in a.body for a in wrong)

    def test_no_get_no_query_no_repetition(self, house: House) -> None:
        api, headers = house.api(), basic(BANKLINK)
        body = {"grant_type": "client_credentials"}
        assert api._send("GET", "/oauth2/token", headers=headers).status == 405
        query = "/oauth2/token?grant_type=client_credentials"
        assert api._send("POST", query, headers=headers).status == 400
        twice = {"grant_type": ["client_credentials", "client_credentials"]}
        assert api._send("POST", "/oauth2/token", data=twice, headers=headers).status == 400
        assert api._send("POST", "/oauth2/token", data=body, headers=headers).status == 200

    def test_unknown_grant_types(self, house: House) -> None:
        for grant in ("password", "implicit", ""):
            answer = house.api().token(grant_type=grant, username="x", password="y")
            assert (answer.status, answer.body["error"]) == (400, "unsupported_grant_type")

    def test_revocation_is_idempotent_and_ends_the_access(self, house: House) -> None:
        access = house.token()
        refresh = house.seeded["integrations"][0]["refresh_token"]
        assert house.api().revoke(refresh, OTHER).status == 400
        assert works(house, access)
        assert [house.api().revoke(refresh).status for _ in range(3)] == [200] * 3
        assert house.api().revoke("never existed").status == 200
        assert not works(house, access)
        assert house.api().token(grant_type="refresh_token", refresh_token=refresh).status == 400
        browser = house.browser().sign_in().get("/settings/services")
        assert not browser.soup.select(".service")


class TestInParallel:
    """Real server, real threads: check-then-act would let several through."""

    @pytest.fixture(autouse=True)
    def all_between_check_and_act(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hold every request at the making of its tokens until all have passed the checks."""
        door = threading.Barrier(20)
        through = threading.local()

        def held() -> str:
            if (
                not getattr(through, "once", False)
                and "waitress" in threading.current_thread().name
            ):
                through.once = True
                with suppress(threading.BrokenBarrierError):
                    door.wait(5)
            return new_secret()

        monkeypatch.setattr("banklink.simulator.oauth.new_secret", held)

    def fire(self, origin: str, fields: dict[str, str], times: int = 20) -> list[int]:
        def one(_n: int) -> int:
            with httpx2.Client() as client:
                return client.post(
                    f"{origin}/oauth2/token", data=fields, auth=(BANKLINK.id, BANKLINK.secret)
                ).status_code

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(one, range(times)))

    def test_one_refresh_token_many_times_at_once(self, served: tuple[House, str]) -> None:
        house, origin = served
        refresh = house.seeded["integrations"][0]["refresh_token"]
        fields = {"grant_type": "refresh_token", "refresh_token": refresh}
        statuses = self.fire(origin, fields)
        assert sorted(statuses) == [200] + [400] * 19

    def test_one_code_many_times_at_once(self, served: tuple[House, str]) -> None:
        house, origin = served
        pkce = new_pkce()
        code = consent(house, pkce)["code"]
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": pkce.verifier,
        }
        statuses = self.fire(origin, fields)
        assert sorted(statuses) == [200] + [400] * 19
        with sqlite3.connect(house.data / "simulator.sqlite3") as db:
            living = db.execute(
                "SELECT count(*) FROM token_family JOIN authorisation_code"
                " ON family_id = token_family.id WHERE revoked_at IS NULL"
            ).fetchone()
        assert living == (0,)  # reuse was seen, so nothing of that consent lives


def test_nothing_secret_is_stored_or_logged_in_clear(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # Authlib would log whole tokens; it is pinned to INFO
    pkce = new_pkce()
    code = consent(house, pkce)["code"]
    pair = redeem(house, code, pkce).body
    reauthorisation = house.api(pair["access_token"])
    uuid = reauthorisation.accounts()[BAKERY]["id"]
    link = reauthorisation.reauthorise(uuid).body["data"]["links"]["redirect"].rsplit("/", 1)[1]
    secrets = [code, pkce.verifier, pair["access_token"], pair["refresh_token"], link]
    secrets += [BANKLINK.secret, house.seeded["integrations"][0]["refresh_token"]]
    files = b"".join(p.read_bytes() for p in house.data.glob("simulator.sqlite3*"))
    for secret in secrets:
        assert secret.encode() not in files
        assert secret not in caplog.text
    assert (house.data / "simulator.key").stat().st_mode & 0o077 == 0
    assert logging.getLogger("authlib").getEffectiveLevel() >= logging.INFO
