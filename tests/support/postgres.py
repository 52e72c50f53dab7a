"""A private PostgreSQL server for the tests: in a temporary folder, on a Unix socket only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import absent, ready_made

_FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=60",
    "timezone=UTC",
)
_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/usr/pgsql-*/bin",
)


def find_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, the newest version if there are several."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [folder for place in _PLACES for folder in Path("/").glob(place.lstrip("/"))]
    folders = [folder for folder in folders if (folder / "initdb").exists()]
    return max(folders, key=_version, default=None)


def _version(folder: Path) -> float:
    digits = "".join(c for c in folder.parent.name if c.isdigit() or c == ".")
    return float(digits) if digits.replace(".", "", 1).isdigit() else 0.0


class PostgresServer:
    """Gives each caller a database of its own.

    `create()` makes an empty one. `create(template=name)` copies one made with
    `make_template(name, prepare)`, which is cheaper than migrating again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)
        self._templates: set[str] = set()

    def url(self, database: str) -> str:
        host = quote(str(self.folder), safe="")
        return f"postgresql+psycopg://postgres@/{database}?host={host}"

    def create(self, template: str | None = None) -> str:
        """The address of a fresh database, for SQLAlchemy with psycopg 3."""
        name = f"test_{next(self._numbers)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
        return self.url(name)

    def make_template(self, name: str, prepare: Callable[[str], None]) -> str:
        """Make a template once: `prepare` gets its address and must leave no connection open."""
        if name not in self._templates:
            self._execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            prepare(self.url(name))
            self._templates.add(name)
        return name

    def migrated(self) -> str:
        """The address of a fresh database with the newest schema."""
        return self.create(self.make_template("migrated", ready_made.migrated))

    def __call__(self, template: str | None = None) -> str:
        return self.create(template)

    def _execute(self, statement: str) -> None:
        import psycopg

        # A file-system copy, because there is no checkpoint worth waiting for.
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())


@contextmanager
def run_server(programs: Path) -> Iterator[PostgresServer]:
    """Start a server, and stop exactly that one at the end."""
    # The path of a Unix socket may have about a hundred characters.
    short = "/tmp" if Path("/tmp").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="banklink-pg-", dir=short))
    prefix: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]
    data, log = folder / "data", folder / "log"

    def run(program: str, *arguments: str) -> None:
        command = [*prefix, str(programs / program), "-D", str(data), *arguments]
        # Not into a pipe: the server would inherit it and keep it open.
        with (folder.parent / f"{folder.name}.out").open("w+") as output:
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                check=False,
            )  # fmt: skip
            output.seek(0)
            if done.returncode:
                told = output.read() + (log.read_text() if log.exists() else "")
                pytest.fail(f"{program} failed:\n{told[-2000:]}", pytrace=False)

    options = f"-k {folder} -c listen_addresses=''" + "".join(f" -c {item}" for item in _FAST)
    try:
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        run("pg_ctl", "start", "-w", "-t", "60", "-l", str(log), "-o", options)
        try:
            yield PostgresServer(folder)
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        (folder.parent / f"{folder.name}.out").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        absent("No PostgreSQL server was found (Debian: apt install postgresql).")
    with run_server(programs) as server:
        yield server
