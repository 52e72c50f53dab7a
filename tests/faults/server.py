"""The server with a sabotage in it: `python -m tests.faults.server NAME`. Without one it is
`python app.py` itself that is started and killed."""

from __future__ import annotations

import dataclasses
import sys

import app as composition
from tests.faults.sabotage import SABOTAGES


def main() -> None:
    plain = composition.build

    def build(settings: composition.Settings) -> composition.Banklink:
        parts = plain(settings)
        return dataclasses.replace(parts, services=SABOTAGES[sys.argv[1]](parts.services))

    composition.build = build
    composition.main()


if __name__ == "__main__":
    main()
