"""From an empty data folder to the first transactions, by typing only what the screens ask: the
entrepreneur app is a stranger's service in a process of its own."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from banklink.simulator.fictitious import WORLD
from tests.support.browser import Watched, open_context, shot
from tests.support.house import free_ports

ROOT = Path(__file__).resolve().parents[2]
HOLDER = WORLD["holders"][0]
FIRST, SECOND = (account["iban"] for account in HOLDER["accounts"])


class Output:
    """The lines a program prints, as they come."""

    def __init__(self, process: subprocess.Popen[str]):
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)

    def wait_for(self, pattern: str) -> str:
        """The first group of the first line that fits."""
        while True:
            line = self._lines.get(timeout=60)
            if found := re.search(pattern, line):
                return found[1]


@contextmanager
def program(*arguments: str, **environment: str) -> Iterator[Output]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = Output(process)
    try:
        yield output
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def stranger(folder: Path, port: int, secret: str, redirect: str) -> Iterator[Output]:
    arguments = ["--port", str(port), "--data", str(folder), "--client-id", "fietsenmakerij"]
    arguments += ["--client-secret", secret, "--redirect-uri", redirect, "--seed"]
    with program("-m", "banklink.cli", "simulator", "serve", *arguments) as output:
        output.wait_for(f"({FIRST})")
        yield output


def button(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@pytest.fixture(params=["with all it has", "without JavaScript", "with the CDN blocked"])
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """The same way through, whatever the browser or the network takes away."""
    ways: dict[str, dict[str, Any]] = {
        "without JavaScript": {"java_script_enabled": False},
        "with the CDN blocked": {"cdn": "refused"},
    }
    with open_context(browser, **ways.get(request.param, {})) as opened:
        if "CDN" in request.param:
            opened.expect(r"htmx\.min\.js")
        yield opened


def test_from_an_empty_folder_to_the_first_transactions(watched: Watched, tmp_path: Path) -> None:
    port, service = free_ports()
    origin = f"http://localhost:{port}"
    started = program(
        "app.py", PORT=str(port), BANKLINK_DEMO="0", BANKLINK_DATA=str(tmp_path / "data")
    )
    with started as output:
        page = watched.new_page()
        page.goto(output.wait_for(r"(http://\S+/set-up/\S+)"))
        page.get_by_label("Naam").fill("Noor Visser")
        page.get_by_label(re.compile("E-mail")).fill("noor@fietsenmakerij.example")
        page.get_by_label("Wachtwoord", exact=True).fill("vier losse banden 27")
        page.locator("#page-form-submit").click()

        expect(page).to_have_url(f"{origin}/start")
        shot(page, "start-empty")
        page.get_by_label("Naam", exact=True).fill("Fietsenmakerij Visser")
        button(page, "Administratie aanmaken")
        expect(page.locator("#step-administration")).to_have_class("done")

        page.locator("#step-journals").get_by_role("link", name="Dagboeken toevoegen").click()
        page.get_by_label("Regels").fill(
            "code;naam;iban;verwerkt t/m\n"
            f"1100;Bank zaak;{FIRST};\n1110;Spaarrekening;{SECOND[:-1]}X;\n"
        )
        button(page, "Eerst bekijken")
        expect(page.locator(".looked .verdict").first).to_contain_text("IBAN")
        button(page, "1 dagboek toevoegen")
        box = page.get_by_label("Regels")
        assert SECOND[:-1] in box.input_value()
        box.fill(f"code;naam;iban\n1110;Spaarrekening;{SECOND}")
        button(page, "Eerst bekijken")
        shot(page, "journals-import")
        button(page, "1 dagboek toevoegen")
        expect(page.locator("#step-journals")).to_contain_text("2 dagboeken, 2 met een IBAN")

        # Not set up yet is not broken: the list says what comes first.
        page.goto(origin)
        expect(page.locator("tbody.connection")).to_have_count(2)
        expect(page.locator("tbody.connection.broken")).to_have_count(0)
        page.locator("#set-up").click()

        page.locator("#step-provider").get_by_role("link", name="Gegevens invullen").click()
        redirect = page.get_by_label("Redirect-adres om daar op te geven").input_value()
        page.get_by_label("Andere adressen").check()
        page.get_by_label("Autorisatieadres").fill(f"http://127.0.0.1:{service}/oauth2/auth")
        page.get_by_label("Tokenadres").fill(f"http://127.0.0.1:{service}/oauth2/token")
        page.get_by_label("API-adres").fill(f"http://127.0.0.1:{service}/ponto-connect")
        page.get_by_label("Client-id").fill("fietsenmakerij")
        page.get_by_label("Client-geheim").fill("wrong")
        page.get_by_label("Uitgever").fill(f"http://127.0.0.1:{service}")
        button(page, "Verbinding testen")
        expect(page.locator("main > .notice")).to_contain_text("er geeft niets antwoord")
        with stranger(tmp_path / "service", service, "right", redirect):
            button(page, "Verbinding testen")
            expect(page.locator("main > .notice")).to_contain_text("accepteert deze client-id")
            page.get_by_label("Client-geheim").fill("right")
            button(page, "Verbinding testen")
            expect(page.locator("main > .notice")).to_contain_text("Het werkt")
            shot(page, "provider")
            button(page, "Opslaan")
            page.get_by_role("link", name="Verder met instellen").click()

            step = page.locator("#step-account")
            expect(step.locator(".first-row")).to_have_count(2)
            shot(page, "start-last-step")
            step.locator("[id$=-primary]").first.click()
            page.locator(".wizard [id$=-myself]").click()
            connect(page)

            page.wait_for_url(re.compile(rf"^{re.escape(origin)}/\?"))
            row = page.locator(f'tbody[data-iban="{FIRST}"]')
            row.locator('[data-action="activate"]').first.click()
            row.locator("tr.panel [type=submit].primary").click()
            expect(row.locator(".chip")).to_contain_text("Actief")
            row.locator('[data-action="details"]').click()
            row.locator('tr.panel [data-action="transactions"]').click()
            expect(page.locator(".bookings tbody tr").first).to_be_visible()
            assert page.locator(".bookings tbody tr").count() > 5
            page.goto(f"{origin}/start")
            expect(page.locator("main h1 + p")).to_have_text("Alles is ingesteld.")
            page.goto(origin)
            expect(page.locator("#set-up")).to_have_count(0)
            page.close()  # before its server goes: the tab's icon may still be under way


def connect(page: Page) -> None:
    """At the stranger's: who one is, what is shared, and the bank's own screens."""
    page.wait_for_url(re.compile("/sign-in"))
    page.locator(f'#sign-in [data-email="{HOLDER["email"]}"]').check()
    page.locator('[data-action="sign-in"]').click()
    page.wait_for_url(re.compile("/oauth2/consent"))
    page.locator(f'#consent [data-iban="{FIRST}"]').check()
    page.locator('[data-action="allow"]').click()
    page.wait_for_url(re.compile("/bank/"))
    page.locator('[data-action="bank-sign-in"]').click()
    page.locator('[data-action="confirm"]').click()
