"""Starting: what cannot start says so in one sentence."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask, request

from app import build, serve_in_thread
from tests.support.house import free_ports, settings_for

ROOT = Path(__file__).resolve().parents[1]


def start(folder: Path, *how: str, **environment: str) -> subprocess.Popen[str]:
    """Started as `python app.py`, or `how` else."""
    port, simulator_port = free_ports()
    return subprocess.Popen(
        [sys.executable, *(how or ("app.py",))],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PORT": str(port),
            "BANKLINK_SIMULATOR_PORT": str(simulator_port),
            "BANKLINK_DATA": str(folder),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(process: subprocess.Popen[str]) -> str:
    """The one sentence with which it stopped."""
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    return lines[0]


def backup(folder: Path) -> None:
    """As docs/running.md says, of a Banklink that runs."""
    text = (ROOT / "docs" / "running.md").read_text()
    found = re.search(r'^\.venv/bin/python -c "(import sqlite3; .*)"$', text, re.MULTILINE)
    assert found is not None
    subprocess.run([sys.executable, "-c", found[1]], cwd=folder, check=True)
    copy = sqlite3.connect(folder / "copy.sqlite3")
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("SELECT count(*) FROM connections").fetchone()[0] > 20
    copy.close()


def test_a_second_one_on_the_same_folder_stops_and_the_first_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = start(data)
    try:
        assert first.stdout is not None
        assert "runs at http://localhost:" in first.stdout.readline()
        assert data.stat().st_mode & 0o077 == 0, "others on this machine may read the books"
        assert str(data) in refusal(start(data))
        assert first.poll() is None
        backup(tmp_path)
    finally:
        first.terminate()
        first.communicate(timeout=30)
    assert first.returncode == 0


def test_the_demo_and_real_books_never_share_a_folder(tmp_path: Path) -> None:
    def line(process: subprocess.Popen[str], wanted: str) -> None:
        with process:
            assert process.stdout is not None
            try:
                assert any(wanted in each for each in process.stdout)
                process.terminate()
                assert process.wait(timeout=30) == 0
            finally:
                process.kill()

    books, play = tmp_path / "books", tmp_path / "play"
    line(start(play), "runs at")
    said = refusal(start(play, BANKLINK_DEMO="0"))
    assert "holds the demo" in said and "BANKLINK_DATA=books" in said
    line(start(books, BANKLINK_DEMO="0"), "/set-up/")
    line(start(books, BANKLINK_DEMO="0"), "/set-up/")
    with sqlite3.connect(books / "banklink.sqlite3") as own:
        own.execute(
            "INSERT INTO users (name, email, is_owner) VALUES ('Noor', 'noor@firma.example', 1)"
        )
    own.close()
    assert "BANKLINK_DEMO=0" in refusal(start(books))
    line(start(books, BANKLINK_DEMO="0"), "runs at")


TOLD_TO_STOP_WHILE_SOMETHING_IS_COLLECTED = """
import os, signal, weakref
import app
from banklink.actions import people

class Collected:
    pass

def link(services, now):
    collected = Collected()
    told = weakref.ref(collected, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del collected

people.set_up_link = link
app.main()
"""


def test_told_to_stop_at_a_moment_that_swallows_exceptions_it_stops(tmp_path: Path) -> None:
    process = start(tmp_path, "-c", TOLD_TO_STOP_WHILE_SOMETHING_IS_COLLECTED, BANKLINK_DEMO="0")
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert "Stopping" in out


@pytest.mark.parametrize("name", ["PORT", "BANKLINK_SIMULATOR_PORT"])
def test_a_port_that_is_taken_stops_the_start_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert f"Port {port} is in use" in refusal(start(tmp_path, **{name: port}))
    assert {each.name for each in tmp_path.iterdir()} <= {"banklink.lock"}


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"BANKLINK_HOST": "0.0.0.0"}, "Set BANKLINK_ORIGIN to the https address"),
        ({"BANKLINK_DEMO": "yes"}, "BANKLINK_DEMO is 'yes'"),
        ({"PORT": "eighty"}, "PORT is 'eighty'"),
        ({"BANKLINK_DATABASE_URL": "mysql://x"}, "postgresql://"),
        ({"BANKLINK_PONTO_CLIENT_ID": "only this"}, "BANKLINK_PONTO_AUTHORIZE_URL is missing"),
        ({"BANKLINK_COLOUR": "red"}, "BANKLINK_COLOUR is not a setting"),
        ({"BANKLINK_DATA": __file__}, "cannot be made"),
    ],
)
def test_a_wrong_setting_stops_the_start(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    assert says in refusal(start(tmp_path, **environment))
    assert not (tmp_path / "banklink.sqlite3").exists()


# -- for real -----------------------------------------------------------------------------------


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[tuple[str, str]]:
    """A Banklink without the demo: where it says it runs, and the path of the set-up link."""
    process = start(folder, BANKLINK_DEMO="0", **environment)
    try:
        assert process.stdout is not None
        origin = process.stdout.readline().split()[-1]
        link = re.search(rf"{re.escape(origin)}(/set-up/\S+)", process.stdout.readline())
        assert link is not None, "the second line is the link"
        yield origin, link[1]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answer(port: str | int, path: str, **headers: str) -> tuple[int, str]:
    """Asked of this machine's own address, under whatever name the headers say."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("GET", path, headers=named)
        found = connection.getresponse()
        return found.status, found.read().decode()
    finally:
        connection.close()


def test_every_start_prints_another_set_up_link_until_one_was_used(tmp_path: Path) -> None:
    with started(tmp_path) as (origin, first):
        port = origin.rpartition(":")[2]
        assert answer(port, first, Host=f"localhost:{port}")[0] == 200
        assert answer(port, "/", Host=f"localhost:{port}")[0] == 303, "nobody is signed in"
        assert answer(port, first, Host="evil.example")[0] == 421
    with started(tmp_path) as (origin, second):
        port = origin.rpartition(":")[2]
        assert answer(port, second, Host=f"localhost:{port}")[0] == 200
        assert answer(port, first, Host=f"localhost:{port}")[0] == 404
    assert not list(tmp_path.glob("*simulator*")), "the embedded app is not there"


@pytest.mark.parametrize(("proxy", "status"), [("127.0.0.1", 200), ("127.0.0.2", 421)])
def test_the_proxy_that_was_named_says_which_address_people_use(
    tmp_path: Path, proxy: str, status: int
) -> None:
    port = str(free_ports()[0])
    with started(
        tmp_path,
        PORT=port,
        BANKLINK_ORIGIN="https://bank.example.nl",
        BANKLINK_SECRET_KEY="x" * 32,
        BANKLINK_ENCRYPTION_KEYS=Fernet.generate_key().decode(),
        BANKLINK_TRUSTED_PROXY=proxy,
    ) as (origin, link):
        assert origin == "https://bank.example.nl"
        headers = {"X_Forwarded_Host": "bank.example.nl", "X_Forwarded_Proto": "https"}
        assert answer(port, link, Host="inside:5000", **headers)[0] == status


@pytest.mark.parametrize(
    ("proxy", "seen"),
    [("127.0.0.1", "203.0.113.5"), ("127.0.0.2", "127.0.0.1"), (None, "127.0.0.1")],
)
def test_attempts_are_counted_for_the_visitor_only_when_the_named_proxy_says_who(
    proxy: str | None, seen: str
) -> None:
    web, port = Flask("web"), free_ports()[0]
    web.add_url_rule("/", view_func=lambda: str(request.remote_addr))
    serving = serve_in_thread(web, "127.0.0.1", port, 2, demo=False, proxy=proxy)
    try:
        assert answer(port, "/", X_Forwarded_For="203.0.113.5") == (200, seen)
    finally:
        serving.close()


def test_a_key_that_a_crash_left_empty_is_made_anew(tmp_path: Path) -> None:
    """Older versions gave it its name before it was written."""
    (tmp_path / "encryption.key").touch()
    (tmp_path / "secret.key").touch()
    parts = build(settings_for(tmp_path, BANKLINK_DEMO="0"))
    parts.services.store.engine.dispose()
    assert parts.services.vault.open(parts.services.vault.seal({"a": "b"})) == {"a": "b"}
    assert (tmp_path / "secret.key").read_text()
    assert [
        path.name
        for path in tmp_path.iterdir()
        if path.stat().st_mode & 0o077 and ".key" in path.name
    ] == []
    assert not list(tmp_path.glob("*.key.*")), "nothing half is left"


def test_what_is_needed_at_times_only_is_not_loaded_before() -> None:
    """Each is megabytes and a part of every start; the memory of a small machine is counted."""
    asked = "import sys, app; print(*sorted({each.partition('.')[0] for each in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"lxml", "alembic", "authlib", "apscheduler", "waitress"}
