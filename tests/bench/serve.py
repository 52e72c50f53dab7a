"""A process that serves a filled folder as a running Banklink does, and beside it, from the same
process and by the same kind of server, the floors: `python -m tests.bench.serve FOLDER PATH…`.

Says in a line of JSON where it listens; reads what else to do from its standard input.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import app as composition
from tests.bench.bare import Page, bare
from tests.bench.data import settings_in
from tests.support.house import free_ports


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    folder, *paths = sys.argv[1:]
    settings = settings_in(Path(folder))
    parts = composition.build(settings)
    floors = bare(parts, {str(n): Page(parts, path) for n, path in enumerate(paths)})
    (port,) = free_ports(1)
    servers = [
        composition.serve_in_thread(parts.web, "127.0.0.1", settings.port, threads=8, demo=False),
        composition.serve_in_thread(floors, "127.0.0.1", port, threads=8),
    ]
    composition.settle_down()
    say({"port": settings.port, "floor": port})
    from tests.bench.together import Ingest

    ingest = Ingest(parts)
    for line in sys.stdin:
        say(ingest.obey(line.strip()))
    for server in servers:
        server.close()


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
