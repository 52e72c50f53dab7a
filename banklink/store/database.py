"""The database's rules: durable, write lock first, one transaction at a time, migrated at start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from banklink.store.summaries import Writer
from banklink.store.turns import Turns

MIGRATIONS = Path(__file__).parent / "migrations"
_PATIENCE_SECONDS = 15
_PATIENCE = f"busy_timeout={_PATIENCE_SECONDS * 1000}"
_MIGRATION_LOCK = 7_302_514_066


class Store:
    """Sessions on one engine. `write` takes the write lock before it reads (SQLite: BEGIN
    IMMEDIATE), so that no update is lost, and keeps the summaries; `read` never blocks a writer.
    Neither may be open across a network call (architecture.md, house rule 2)."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self._turns = Turns()
        self._reader = engine.execution_options(readonly=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        with (
            self._turns.taken(_PATIENCE_SECONDS) if self.is_sqlite else nullcontext(),
            Writer(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self._reader, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A reading of plain rows only, for what every request asks: it costs half a session."""
        with self._reader.connect() as connection:
            yield connection

    def scrub(self) -> None:
        """After something was deleted for good. SQLite keeps what was overwritten in its log until
        that is emptied, which a long reader may put off; PostgreSQL sees to it by itself."""
        if self.is_sqlite:
            with closing(self.engine.raw_connection()) as connection:
                for pragma in ("busy_timeout=1000", "wal_checkpoint(TRUNCATE)", _PATIENCE):
                    connection.cursor().execute(f"PRAGMA {pragma}")

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"


def prepare(engine: Engine) -> Store:
    """Attach the rules to a new engine, before its first connection."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    return Store(engine)


def _sqlite_connect(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",  # what is deleted is overwritten, not merely unlinked
        _PATIENCE,
    ):
        dbapi.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    readonly = connection.get_execution_options().get("readonly")
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version; on PostgreSQL one process at a time. Where it has it
    already, as at most starts, what changes schemas is not even loaded."""
    if version_of(engine) == newest_version():
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
        else:  # a table is changed by making it anew, which must not touch what refers to it
            _foreign_keys(connection, "OFF")
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            if engine.dialect.name == "sqlite":
                connection.rollback()
                _foreign_keys(connection, "ON")
            if engine.dialect.name == "postgresql":
                connection.rollback()
                connection.execute(
                    text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK}
                )
                connection.commit()


def version_of(engine: Engine) -> str | None:
    """The version of the schema that is there, None where there is none yet."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def newest_version() -> str:
    """Migrations are called after their versions, which are numbers."""
    return max(each.name[:4] for each in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _foreign_keys(connection: Connection, switch: str) -> None:
    """Outside a transaction, where alone it does anything."""
    connection.rollback()
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA foreign_keys={switch}")
