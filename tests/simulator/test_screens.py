"""Every page: a way back, a banner, both languages, no form without its guard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

import banklink.simulator
from banklink import paths
from banklink.translations import FOLDER

from .conftest import ACTIVE, BAKERY, SHOP, House, account

PACKAGE = Path(banklink.simulator.__file__).parent
TEMPLATES = paths.TEMPLATES / "simulator"


@pytest.fixture
def house(make_house: Any) -> House:
    found: House = make_house(
        [account(BAKERY, "Demobank", authorisation=ACTIVE), account(SHOP, "Voorbeeldbank")],
        ticked=[BAKERY],
    )
    return found


def test_every_form_refuses_a_post_without_its_token(house: House) -> None:
    """All routes that change something, found in the URL map, except the machines' ones."""
    client = house.app.test_client()
    tried = 0
    for rule in house.app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint.startswith(("api.", "oauth.")):
            continue
        path = re.sub(r"<int:\w+>", "1", rule.rule)
        path = re.sub(r"<\w+>", "DEMO", path)
        answer = client.post(path, base_url=house.simulator.config.origin)
        assert answer.status_code == 400, rule
        assert "Deze pagina is te oud" in answer.text
        tried += 1
    assert tried >= 14


def test_nothing_changes_by_looking(house: House) -> None:
    """Every GET page answers GET only; what changes something answers POST only."""
    changing = {"renew", "cancel", "outage", "clock", "sign-out", "language"}
    for rule in house.app.url_map.iter_rules():
        if rule.rule.rsplit("/", 1)[-1] in changing:
            assert "GET" not in (rule.methods or ()), rule


@pytest.mark.parametrize(
    ("path", "status"), [("/nope", 404), ("/language", 405), ("/bank/NONE/consents", 404)]
)
def test_errors_have_a_sentence_and_a_way_back(house: House, path: str, status: int) -> None:
    browser = house.browser().get(path)
    assert browser.status == status
    assert browser.press("back").url == "/"


def test_a_bug_shows_an_incident_number_and_no_exception(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: Any) -> None:
        raise RuntimeError("the inner workings")

    monkeypatch.setattr("banklink.simulator.browser.sign_in", broken)
    monkeypatch.setattr("banklink.simulator.world.owned_accounts", broken)
    browser = house.browser().sign_in()
    assert browser.status == 500
    assert "inner workings" not in browser.response.text
    incident = re.search(r"Incident (\w{8})", browser.text)
    assert incident and incident[1] in caplog.text


def test_another_host_name_is_refused(house: House) -> None:
    answer = house.app.test_client().get("/", base_url="http://evil.example:5001")
    assert answer.status_code == 400
    assert "<html" not in answer.text


def test_cookie(house: House) -> None:
    browser = house.browser().sign_in()
    cookie = browser.client.get_cookie("ondernemersapp_session", "127.0.0.1")
    assert cookie is not None
    assert cookie.http_only and cookie.same_site == "Lax"


def test_language_can_be_switched_and_stays(house: House) -> None:
    browser = house.browser().get("/sign-in?next=/settings/services")
    browser.press("language-en")
    assert browser.url == "/sign-in?next=/settings/services"
    browser.sign_in()
    assert "Connected services" in browser.text
    assert browser.get("/settings/accounts").text.count("Active until May 12, 2027") or (
        "Active until 12 May 2027" in browser.text
    )


def test_default_language_is_configured(make_house: Any) -> None:
    assert "The simulated banks" in make_house([], locale="en").browser().get("/").text


class TestPanel:
    def test_clock_moves_forward_and_the_page_leads_back(self, house: House) -> None:
        browser = house.browser().sign_in().press("panel").press("advance-30")
        assert "De klok staat nu op 23 december 2026" in browser.text
        browser.press("advance", days="2")
        assert "25 december 2026" in browser.text
        assert browser.press("back").url == "/settings/accounts"

    @pytest.mark.parametrize("days", ["0", "-1", "3661", "x", "", "99999999"])
    def test_nonsense_is_explained(self, house: House, days: str) -> None:
        browser = house.browser().get("/panel").press("advance", days=days)
        assert browser.status == 422
        assert "van 1 tot en met 3660" in browser.text

    def test_outage_on_and_off(self, house: House) -> None:
        browser = house.browser().get("/panel").press("outage-on", within="#outage-DEMO")
        assert "Storing sinds 23 november 2026" in browser.text
        browser.press("outage-off", within="#outage-DEMO")
        assert not browser.soup.select("[data-outage=on]")

    def test_back_leads_nowhere_else(self, house: House) -> None:
        browser = house.browser().get("/panel?back=//evil.example")
        assert browser.press("back").url == "/"


# ── words ────────────────────────────────────────────────────────────────────────────────────


def msgids() -> set[str | tuple[str, str]]:
    keywords: dict[str, Any] = {"_": None, "gettext": None, "ngettext": (1, 2)}
    found: set[str | tuple[str, str]] = set()
    for method, files in (
        ("python", PACKAGE.glob("*.py")),
        ("jinja2.ext:babel_extract", TEMPLATES.glob("*.html")),
    ):
        for path in files:
            for _line, message, _comments, _context in extract_from_file(
                method, path, keywords=keywords
            ):
                found.add(message if isinstance(message, str) else (message[0], message[1]))
    return found


def test_every_text_has_a_dutch_translation_and_none_is_left_over() -> None:
    with (FOLDER / "nl" / "LC_MESSAGES" / "simulator.po").open("rb") as file:
        catalog = read_po(file, abort_invalid=True)
    translated: dict[Any, Any] = {}
    for message in catalog:
        if message.id:
            key = tuple(message.id) if isinstance(message.id, list | tuple) else message.id
            translated[key] = message.string
            assert not message.fuzzy
            assert list(message.check(catalog)) == []
    wanted = msgids()
    assert len(wanted) > 100
    assert wanted - set(translated) == set()
    assert set(translated) - wanted == set()
    for key, text in translated.items():
        assert all(text) if isinstance(text, tuple) else text, key
        names = set(re.findall(r"%\((\w+)\)s", str(key)))
        assert set(re.findall(r"%\((\w+)\)s", str(text))) == names, key


def test_templates_hold_no_bare_words() -> None:
    """What a template says goes through gettext; only symbols and demo data stand bare."""
    allowed = {"NL", "EN", "Nederlands", "English", "·", "✓", "✕", "○", "–", "+", ":", "doctype"}
    for path in TEMPLATES.glob("*.html"):
        source = re.sub(r"\{% block place %\}.*?\{% endblock %\}", "", path.read_text())
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", source, flags=re.S)
        words = re.sub(r"<[^>]*>", " ", text).split()
        bare = [w for w in words if re.search(r"[A-Za-z]{2}", w) and w not in allowed]
        assert bare == [], path.name


def test_the_test_panel_leads_back_to_the_service_it_was_opened_from(house: House) -> None:
    """And to no other: only services that are known have an address here."""
    parts = urlsplit(house.simulator.config.clients[0].redirect_uris[0])
    browser = house.browser().get("/panel?client=banklink")
    for _again in range(2):
        back = browser.button("back")
        assert back["href"] == f"{parts.scheme}://{parts.netloc}/"
        assert back.get_text() == "Terug naar Banklink"
        browser = browser.press("advance-1")
    browser = browser.get("/panel?client=nobody&back=/settings/accounts")
    assert browser.button("back")["href"] == "/settings/accounts"
