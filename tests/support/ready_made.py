"""What every house needs and is the same each time, made once per process: the schema, the compiled
templates. That migrations lead to the schema is the matter of store/test_migrations.py and of
every test that starts `app.py`."""

from __future__ import annotations

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

import jinja2
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

import app as composition
from banklink.settings import Settings
from banklink.store.database import migrate, prepare


def build(settings: Settings) -> composition.Banklink:
    """As `app.build` on a database that an earlier start brought up to date."""
    _lay_schema(settings)
    parts = composition.build(settings)
    parts.web.jinja_env.bytecode_cache = COMPILED
    if parts.simulator is not None:
        parts.simulator.jinja_env.bytecode_cache = COMPILED
    return parts


def migrated(address: str) -> None:
    """Bring the database at `address` up to date, and let go of it."""
    store = prepare(create_engine(address))
    migrate(store.engine)
    store.engine.dispose()


def _lay_schema(settings: Settings) -> None:
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or url.database is None:
        return
    path = Path(url.database)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_schema())


@cache
def _schema() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schema.sqlite3"
        migrated(f"sqlite:///{path}")
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.read_bytes()


class _Compiled(jinja2.BytecodeCache):
    """By source, so a template that changes is compiled anew."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        if kept := self._code.get(bucket.key + bucket.checksum):
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        self._code[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


COMPILED = _Compiled()
