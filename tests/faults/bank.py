"""The bank's side in a process of its own, which no fault touches: the embedded app on a port.

Started as `python -m tests.faults.bank`, with the settings in the environment. Lines of JSON on
standard input: {"time": machine time} or {"reset": machine time, "from": prepared folder}; each is
answered by a line. Every request is noted in `requests.log` in its folder, before it is answered.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import app as composition
from banklink.settings import load
from tests.faults.world import Still


def main() -> None:
    settings = load()
    secret = (settings.data / "simulator-client.key").read_text(encoding="ascii").strip()
    web = composition._simulator(settings, secret)
    simulator: Any = web.extensions["simulator"]
    still = simulator.clock.source = Still()
    note = os.open(settings.data / "requests.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @web.before_request
    def log() -> None:
        from flask import request

        code = request.form.get("code", "") if request.path == "/oauth2/token" else ""
        first = "page[after]" not in request.args
        asked = [request.method, request.path, first, code]
        os.write(note, (json.dumps(asked) + "\n").encode())

    composition.serve_in_thread(web, "127.0.0.1", settings.simulator_port, threads=4)
    _say({"ready": True})
    for line in sys.stdin:
        told = json.loads(line)
        if "reset" in told:
            _reset(simulator, settings.data, Path(told["from"]))
            os.ftruncate(note, 0)
        still.real = datetime.fromisoformat(told.get("reset") or told["time"])
        _say({"now": simulator.clock.now().isoformat()})
    os._exit(0)  # nobody waits for what it would tidy up


def _reset(simulator: Any, data: Path, prepared: Path) -> None:
    simulator.store.engine.dispose()
    for ending in ("", "-wal", "-shm"):
        (data / f"simulator.sqlite3{ending}").unlink(missing_ok=True)
    shutil.copy(prepared / "simulator.sqlite3", data / "simulator.sqlite3")
    from banklink.simulator.model import Setting

    with simulator.store.transaction() as db:
        row = db.get(Setting, simulator.clock.KEY)
        simulator.clock._offset = timedelta(seconds=float(row.value)) if row else timedelta()


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
