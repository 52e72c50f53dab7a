"""Arrows go one way: which room of Banklink may import which.

`from banklink.web import x` inside banklink/store/ fails here, with the file and the arrow. So
does everything but the standard library inside banklink/core/.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LEAVES = {"translations", "settings", "clock", "paths"}
# Room -> rooms it may import besides itself and the leaves.
ARROWS: dict[str, set[str]] = {
    "core": set(),
    "translations": set(),
    "paths": set(),
    "settings": set(),
    "clock": {"core"},
    "statements": {"core"},
    "providers": {"core"},
    "store": {"core"},
    "mail": {"core"},
    "actions": {"core", "store", "providers", "statements", "mail"},
    "web": {"core", "store", "actions", "statements", "examples"},
    "jobs": {"core", "actions"},
    "simulator": {"statements"},
    "examples": {"core"},
    "handbook": {"core"},
    # The demo's data is told to both sides, like a bookkeeper would have done it.
    "demo": {"core", "store", "providers", "actions", "examples"},
    # Commands do what the web does, and take the composition root for the rest.
    "cli": {"core", "store", "actions", "statements", "simulator", "jobs", "demo", "handbook"},
}
# The leaves a room has no business with: core decides without a clock or settings, and the
# simulator meets Banklink only over HTTP.
NOT_FOR = {"core": LEAVES, "simulator": {"settings", "clock"}, "statements": LEAVES}
ROOT_FILES = {"__init__", "__main__"}


def modules_imported(source: str, package: list[str]) -> Iterator[str]:
    """Full names of what a file imports, also inside functions and behind TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            name = ".".join(base)
            # `from banklink import web` imports the room, not the package.
            yield from (f"{name}.{alias.name}" for alias in node.names)


def wrong_arrows(root: Path) -> list[str]:
    """Every import that runs the wrong way, as "file: room -> room"."""
    wrong = []
    for path in sorted((root / "banklink").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        room = parts[1]
        if room in ROOT_FILES:
            continue
        where = path.relative_to(root).as_posix()
        if room not in ARROWS:
            wrong.append(f"{where}: {room} is no room of the house; add it to ARROWS")
            continue
        leaves = LEAVES - NOT_FOR.get(room, set())
        for name in modules_imported(path.read_text(encoding="utf-8"), list(parts[:-1])):
            top, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if top == "banklink":
                if target in ARROWS and target not in {room} | ARROWS[room] | leaves:
                    wrong.append(f"{where}: {room} -> {target}")
            elif top == "tests" or (top == "app" and room != "cli"):
                wrong.append(f"{where}: {room} -> {top}")
            elif room == "core" and top not in sys.stdlib_module_names:
                wrong.append(f"{where}: core -> {top}, which is not the standard library")
    return list(dict.fromkeys(wrong))


def test_arrows_go_one_way() -> None:
    assert wrong_arrows(ROOT) == []


def test_a_wrong_arrow_is_found_however_it_is_written(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        path = tmp_path / "banklink" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("__init__.py", "")
    write("core/good.py", "import datetime\nfrom banklink.core.facts import Grant\n")
    write("core/bad.py", "from babel import Locale\n")
    write("store/absolute.py", "import banklink.web.rows\n")
    write("store/from_package.py", "from banklink import actions as a, core\n")
    write("store/inner.py", "def f():\n    from banklink.providers.ponto import Ponto\n")
    write("store/migrations/relative.py", "from ...web import rows\n")
    write(
        "simulator/app.py", "from banklink.store import models\nfrom banklink import statements\n"
    )
    write("web/page.py", "from banklink.actions.renew import renew\nimport app\n")
    write("attic.py", "")
    assert wrong_arrows(tmp_path) == [
        "banklink/attic.py: attic is no room of the house; add it to ARROWS",
        "banklink/core/bad.py: core -> babel, which is not the standard library",
        "banklink/simulator/app.py: simulator -> store",
        "banklink/store/absolute.py: store -> web",
        "banklink/store/from_package.py: store -> actions",
        "banklink/store/inner.py: store -> providers",
        "banklink/store/migrations/relative.py: store -> web",
        "banklink/web/page.py: web -> app",
    ]


def test_the_wheel_lists_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "banklink").rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert listed - {"banklink._static", "banklink._templates"} == folders
