"""From the command to the first page, and what is in memory then, against a bare Flask application
under the same server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.data import books
from tests.bench.page import ROWS
from tests.bench.results import Result, at_most, median, within
from tests.bench.visit import ROOT, Browser, spent
from tests.support.house import free_ports

_BARE = """
import os
from flask import Flask
from waitress import serve
app = Flask("bare")
app.add_url_rule("/", "page", lambda: "<h1>Hello</h1>")
serve(app, host="127.0.0.1", port=int(os.environ["PORT"]))
"""
_SERVICE = "http://127.0.0.1:9"


def measure() -> list[Result]:
    with books(1, ROWS) as folder:
        ours, floor = [], []
        for _ in range(9):
            ours.append(_start(["app.py"], folder))
            floor.append(_start(["-c", _BARE], None))
    times, bare = [each[0] for each in ours], [each[0] for each in floor]
    return [
        at_most("start to first page", median(times) * 1000, median(bare) * 1000, "ms", 3),
        within("memory after the first page", median([each[1] for each in ours]), 85, "MB PSS"),
    ]


def _start(command: list[str], folder: Path | None) -> tuple[float, float]:
    """Seconds of processor time, and megabytes of proportional set size."""
    port, other = free_ports()
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    if folder is not None:
        environment |= {
            "BANKLINK_SIMULATOR_PORT": str(other),
            "BANKLINK_DATA": str(folder),
            "BANKLINK_DEMO": "0",
            "BANKLINK_PONTO_AUTHORIZE_URL": f"{_SERVICE}/auth",
            "BANKLINK_PONTO_TOKEN_URL": f"{_SERVICE}/token",
            "BANKLINK_PONTO_API_URL": f"{_SERVICE}/api",
            "BANKLINK_PONTO_CLIENT_ID": "bench",
            "BANKLINK_PONTO_CLIENT_SECRET": "bench",
        }
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                Browser(port).get("/")
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} did not start") from None
                time.sleep(0.005)
        return spent(process.pid), _memory(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
