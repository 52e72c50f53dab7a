"""Starting: what cannot start says so in one sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.house import free_ports

ROOT = Path(__file__).resolve().parents[1]


def start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    port, simulator_port = free_ports()
    return subprocess.Popen(
        [sys.executable, "app.py"],
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


def test_a_second_one_on_the_same_folder_stops_and_the_first_goes_on(tmp_path: Path) -> None:
    first = start(tmp_path)
    try:
        assert first.stdout is not None
        assert "runs at http://localhost:" in first.stdout.readline()
        assert str(tmp_path) in refusal(start(tmp_path))
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate(timeout=30)
    assert first.returncode == 0


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
