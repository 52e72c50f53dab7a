"""The documents and their pictures know of each other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOM = 1_500_000
"""Bytes of all pictures together: everybody who clones the repository carries them."""


def test_every_picture_is_shown_and_every_shown_picture_is_there() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert len(shown) >= 8
    assert {path.name for path in shown ^ set((ROOT / "docs" / "images").iterdir())} == set()
    assert sum(path.stat().st_size for path in shown) < ROOM


def test_what_the_documents_name_is_there() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:docs|tests)/[\w/.-]+\.\w+|[A-Z]+\.md)`", text):
            assert (ROOT / name).exists(), f"{page.name} names {name}"
