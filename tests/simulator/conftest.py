"""A small simulated world, a browser that lints what it reads, and a client of the API."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from waitress.server import create_server  # type: ignore[import-untyped]

from banklink.simulator import Client, Simulator, SimulatorConfig, create_simulator
from banklink.simulator.model import Base
from tests.support import ready_made

ORIGIN = "http://127.0.0.1:5001"
CALLBACK = "http://localhost:5000/callback/ponto"
RENEWED = "http://localhost:5000/callback/renewal"
BANKLINK = Client("banklink", "a client secret", "Banklink", (CALLBACK, RENEWED))
OTHER = Client("other", "another secret", "Kasboek", ("http://localhost:7000/cb",))

BAKERY = "NL85DEMO0417164300"
SAVINGS = "NL77DEMO0417164444"
SHOP = "NL52VOOR0001234567"
SPARE = "NL04VOOR0123456789"


def account(iban: str, bank: str, **more: Any) -> dict[str, Any]:
    return {
        "iban": iban,
        "bank": bank,
        "currency": "EUR",
        "description": "Zakelijke rekening",
        "holder_name": "Bakkerij De Vries",
        "in_app": True,
        "opened_days_ago": 60,
        "authorisation": None,
        **more,
    }


ACTIVE = {"since_days_ago": 10, "valid_days": 180, "revoked_days_ago": None, "history_days": None}


def world(
    accounts: list[dict[str, Any]], *, ticked: list[str] | None = None, piet: Any = ()
) -> dict[str, Any]:
    return {
        "banks": [
            {"name": "Demobank", "code": "DEMO", "outage_since_hours": None},
            {"name": "Voorbeeldbank", "code": "VOOR", "valid_days": 90, "history_days": 30},
        ],
        "holders": [
            {
                "key": "jan",
                "name": "Jan de Vries",
                "email": "jan@devries.example",
                "accounts": accounts,
            },
            {
                "key": "piet",
                "name": "Piet Bakker",
                "email": "piet@bakker.example",
                "accounts": list(piet),
            },
        ],
        "integrations": []
        if ticked is None
        else [
            {
                "client": "banklink",
                "holder": "jan",
                "reference": "admin-1",
                "label": "Bakkerij De Vries",
                "accounts": ticked,
            }
        ],
    }


@dataclass
class Time:
    """A real clock that stands still until a test moves it."""

    now: datetime = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class House:
    app: Flask
    simulator: Simulator
    time: Time
    data: Path
    seeded: dict[str, Any] = field(default_factory=dict)

    def browser(self) -> Browser:
        return Browser(self.app)

    def api(self, token: str | None = None) -> Api:
        return Api(self, token)

    def token(self, which: int = 0) -> str:
        """An access token from a seeded integration."""
        refresh = self.seeded["integrations"][which]["refresh_token"]
        answer = self.api().token(grant_type="refresh_token", refresh_token=refresh)
        assert answer.status == 200, answer.body
        self.seeded["integrations"][which]["refresh_token"] = answer.body["refresh_token"]
        return str(answer.body["access_token"])

    def later(self, **step: float) -> None:
        self.simulator.clock.advance(timedelta(**step))


class Street:
    """One app per origin and language for the whole run, emptied for every test: building an app
    and compiling its SQL costs more than most tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.built: dict[tuple[str, str], House] = {}

    def house(self, origin: str, locale: str) -> House:
        if (origin, locale) not in self.built:
            data = self.folder / f"{len(self.built)}"
            config = SimulatorConfig(data, origin, (BANKLINK, OTHER), default_locale=locale)
            app = create_simulator(config)
            app.jinja_env.bytecode_cache = ready_made.COMPILED
            simulator: Simulator = app.extensions["simulator"]
            self.built[origin, locale] = House(app, simulator, Time(), data)
        house = self.built[origin, locale]
        with house.simulator.store.transaction() as db:
            for table in reversed(Base.metadata.sorted_tables):
                db.execute(table.delete())
        clock = house.simulator.clock  # the routes hold this very object
        house.time = clock.source = Time()
        clock.listeners.clear()
        clock._offset = timedelta()
        return house


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    found = Street(tmp_path_factory.mktemp("simulators"))
    yield found
    for house in found.built.values():
        house.simulator.close()


@pytest.fixture
def make_house(street: Street) -> Any:
    def make(
        accounts: list[dict[str, Any]] | None = None,
        *,
        ticked: list[str] | None = None,
        piet: Any = (),
        origin: str = ORIGIN,
        locale: str = "nl",
    ) -> House:
        house = street.house(origin, locale)
        if accounts is not None:
            house.seeded = house.simulator.seed(world(accounts, ticked=ticked, piet=piet))
        return house

    return make


@pytest.fixture
def served(make_house: Any) -> Iterator[tuple[House, str]]:
    """The simulator behind a real server with real threads."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{sock.getsockname()[1]}"
    house = make_house([account(BAKERY, "Demobank", authorisation=ACTIVE)],
                       ticked=[BAKERY], origin=origin)  # fmt: skip
    server = create_server(house.app, sockets=[sock], threads=24)

    def run() -> None:
        with suppress(OSError):  # closing takes the socket away under the waiting loop
            server.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield house, origin
    server.close()
    thread.join(5)
    house.simulator.close()


# ── a browser ────────────────────────────────────────────────────────────────────────────────


class Browser:
    """A person without JavaScript. Every page it reads is checked for what every page must be."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.base: str = app.extensions["simulator"].config.origin
        self.status = 0
        self.url = "/"
        self.left: str | None = None
        self.soup = BeautifulSoup("", "html.parser")

    @property
    def text(self) -> str:
        return " ".join(self.soup.get_text(" ").replace("\u00a0", " ").split())

    def get(self, url: str) -> Browser:
        return self._send("GET", url)

    def post(self, url: str, data: dict[str, Any] | None = None) -> Browser:
        return self._send("POST", url, data or {})

    def _send(self, method: str, url: str, data: Any = None) -> Browser:
        self.left = None
        for _hop in range(10):
            if url.startswith(self.base):
                url = url[len(self.base) :]
            if not url.startswith("/"):
                self.left = url
                return self
            self.response = self.client.open(url, method=method, data=data, base_url=self.base)
            self.status, self.url = self.response.status_code, url
            if self.status not in (301, 302, 303, 307, 308):
                break
            assert self.status == 303, "307 would repeat a POST with its fields elsewhere"
            method, data, url = "GET", None, self.response.headers["Location"]
        assert self.response.mimetype == "text/html", self.response.mimetype
        self.soup = BeautifulSoup(self.response.text, "html.parser")
        lint(self.soup, self.response)
        return self

    def button(self, action: str, within: str = "body") -> Tag:
        found = self.soup.select(f'{within} [data-action="{action}"]')
        assert found, f"no {action} on {self.url}: {self.text[:300]}"
        return found[0]

    def press(self, action: str, within: str = "body", **fields: Any) -> Browser:
        """Press a button or follow a link, with the form as it stands plus `fields`."""
        control = self.button(action, within)
        if control.name == "a":
            return self.get(str(control["href"]))
        form = control.find_parent("form")
        assert form is not None
        data: dict[str, Any] = {}
        for item in form.select("input, select"):
            name = str(item.get("name") or "")
            if item.get("type") in ("radio", "checkbox"):
                data.setdefault(name, [])
                if item.has_attr("checked"):
                    data[name].append(item["value"])
            elif item.name == "select":
                chosen = item.select_one("option[selected]") or item.select_one("option")
                data[name] = chosen["value"] if chosen else ""
            elif name:
                data[name] = item.get("value", "")
        if control.get("name"):
            data[str(control["name"])] = control["value"]
        unknown = set(fields) - set(data)
        assert not unknown, f"the form has no {unknown}"
        data.update(fields)
        return self.post(str(form["action"]), data)

    def value(self, name: str, iban: str) -> str:
        """The value of the radio or checkbox `name` that stands for an account."""
        found = self.soup.select_one(f'input[name="{name}"][data-iban="{iban}"]')
        assert found is not None, f"{iban} is not offered on {self.url}"
        return str(found["value"])

    def ticked(self) -> set[str]:
        return {str(t["data-iban"]) for t in self.soup.select("input[data-iban][checked]")}

    def offered(self) -> set[str]:
        return {str(t["data-iban"]) for t in self.soup.select("input[data-iban]")}

    def sign_in(self, email: str = "jan@devries.example") -> Browser:
        if not self.url.startswith("/sign-in"):
            self.get("/sign-in")
        radio = self.soup.select_one(f'input[data-email="{email}"]')
        assert radio is not None
        return self.press("sign-in", holder=radio["value"])

    def answer(self) -> dict[str, str]:
        """What the client is told, once the browser has left."""
        assert self.left is not None, f"still on {self.url}: {self.text[:300]}"
        return {name: values[0] for name, values in parse_qs(urlsplit(self.left).query).items()}


def lint(soup: BeautifulSoup, response: Any) -> None:
    ids = Counter(tag["id"] for tag in soup.select("[id]"))
    assert not [i for i, n in ids.items() if n > 1], f"repeated ids: {ids}"
    assert len(soup.select("h1")) == 1
    assert soup.select_one("#simulation-banner") is not None
    assert not soup.select("script, style, [style], [onclick]")
    for form in soup.select("form"):
        assert form.get("method") == "post", form
        assert form.get("action"), form
        assert form.select_one('input[name="csrf_token"][value]'), form.get("action")
    for control in soup.select("input:not([type=hidden]), select"):
        assert soup.select_one(f'label[for="{control["id"]}"]'), control
    for reference in soup.select("[aria-describedby]"):
        assert soup.find(id=reference["aria-describedby"]), reference
    for button in soup.select("button"):
        assert button.get("data-action"), button
    text = soup.get_text(" ")
    assert "%(" not in text and "{{" not in text
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self' data:;")
    assert "base-uri 'none'; frame-ancestors 'none'" in policy
    assert "form-action 'self' http://localhost:5000 http://localhost:7000;" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"


# ── a client of the API ──────────────────────────────────────────────────────────────────────


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any
    text: str


def basic(client: Client) -> dict[str, str]:
    pair = base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


class Api:
    def __init__(self, house: House, token: str | None) -> None:
        self.client = house.app.test_client()
        self.base: str = house.simulator.config.origin
        self.bearer = token

    def _send(self, method: str, url: str, **options: Any) -> Answer:
        if url.startswith("http"):
            assert url.startswith(self.base), url
            url = url[len(self.base) :]
        response = self.client.open(url, method=method, base_url=self.base, **options)
        body = json.loads(response.text, parse_float=Decimal) if response.text else None
        return Answer(response.status_code, body, response.headers, response.text)

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        headers = {}
        bearer = token or self.bearer
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        if not path.startswith("http"):
            path = "/ponto-connect" + path
        return self._send(method, path, headers=headers, json=body)

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def token(self, client: Client = BANKLINK, **fields: str) -> Answer:
        return self._send("POST", "/oauth2/token", data=fields, headers=basic(client))

    def revoke(self, token: str, client: Client = BANKLINK) -> Answer:
        return self._send("POST", "/oauth2/revoke", data={"token": token}, headers=basic(client))

    def client_token(self, client: Client = BANKLINK) -> str:
        answer = self.token(client, grant_type="client_credentials")
        assert answer.status == 200, answer.body
        return str(answer.body["access_token"])

    def accounts(self) -> dict[str, Any]:
        answer = self.get("/accounts?page[limit]=100")
        assert answer.status == 200, answer.body
        return {row["attributes"]["reference"]: row for row in answer.body["data"]}

    def synchronise(self, uuid: str) -> Any:
        attributes = {
            "resourceType": "account",
            "resourceId": uuid,
            "subtype": "accountTransactions",
            "customerIpAddress": "192.0.2.1",
        }
        body = {"data": {"type": "synchronization", "attributes": attributes}}
        answer = self.call("POST", "/synchronizations", body)
        assert answer.status == 201, answer.body
        return answer.body["data"]["attributes"]

    def days(self, uuid: str) -> list[str]:
        """The booking days of every transaction the app gives, newest first."""
        days: list[str] = []
        url: str | None = f"/accounts/{uuid}/transactions?page[limit]=100"
        while url:
            answer = self.get(url)
            assert answer.status == 200, answer.body
            days += [row["attributes"]["executionDate"][:10] for row in answer.body["data"]]
            url = answer.body["links"].get("next")
        return days

    def onboard(self, **attributes: str) -> str:
        body = {"data": {"type": "onboardingDetails", "attributes": attributes}}
        answer = self.call("POST", "/onboarding-details", body, token=self.client_token())
        assert answer.status == 201, answer.body
        return str(answer.body["data"]["id"])

    def reauthorise(self, uuid: str, redirect_uri: str = f"{RENEWED}?state=s1") -> Answer:
        attributes = {"redirectUri": redirect_uri}
        body = {"data": {"type": "reauthorizationRequest", "attributes": attributes}}
        return self.call("POST", f"/accounts/{uuid}/reauthorization-requests", body)


@dataclass(frozen=True)
class Pkce:
    verifier: str

    @property
    def challenge(self) -> str:
        raw = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def new_pkce() -> Pkce:
    return Pkce(secrets.token_urlsafe(48))


def authorise_url(pkce: Pkce | None = None, **changes: Any) -> str:
    given = {
        "response_type": "code",
        "client_id": "banklink",
        "redirect_uri": CALLBACK,
        "scope": "offline_access ai",
        "state": "the state",
        "code_challenge": (pkce or Pkce("v" * 43)).challenge,
        "code_challenge_method": "S256",
        **changes,
    }
    return "/oauth2/auth?" + urlencode({k: v for k, v in given.items() if v is not None})
