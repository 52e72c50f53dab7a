"""A browser's side of a measurement: real HTTP over a connection that stays open, to a Banklink that
runs in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.bench.data import TOKEN

ROOT = Path(__file__).parents[2]


def spent(pid: int) -> float:
    """Seconds of processor time that a process has used: a clock that stands still while something
    else has the machine. Where nobody keeps it, the usual one."""
    tasks = list(Path(f"/proc/{pid}/task").glob("*/schedstat"))
    if not tasks:
        return time.perf_counter()
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in tasks) / 1e9


class Browser:
    """Signed in. Keeps cookies, reads answers to the end."""

    def __init__(self, port: int):
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._host = f"localhost:{port}"
        self._cookies = {"banklink-session": TOKEN}

    def ask(
        self, method: str, path: str, data: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, bytes]:
        body = urlencode(data) if data is not None else None
        sent = {
            "Host": self._host,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        self._http.request(method, path, body=body, headers=sent)
        answer = self._http.getresponse()
        content = answer.read()
        for value in answer.headers.get_all("Set-Cookie") or ():
            self._cookies |= {name: each.value for name, each in SimpleCookie(value).items()}
        return answer.status, content

    def get(self, path: str) -> bytes:
        status, content = self.ask("GET", path)
        assert status == 200, f"{path}: {status}"
        return content


class Served:
    """A running Banklink and its floors, each with a browser. `floor(n)` is that of the n-th path."""

    def __init__(self, process: subprocess.Popen[str], paths: tuple[str, ...]):
        self._process = process
        self.paths = paths
        ports = self._heard()
        self.port = ports["port"]
        self.browser, self._floor = Browser(ports["port"]), Browser(ports["floor"])
        self._floor._cookies = self.browser._cookies
        self.pid = process.pid

    def spent(self) -> float:
        return spent(self.pid)

    def ours(self, number: int = 0) -> Callable[[], bytes]:
        return lambda: self.browser.get(self.paths[number])

    def floor(self, number: int = 0) -> Callable[[], bytes]:
        return lambda: self._floor.get(f"/{number}")

    def tell(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the server that was to be measured did not start")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def served(folder: Path, *paths: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.serve", str(folder), *paths],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Served(process, paths)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
