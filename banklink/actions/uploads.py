"""Uploads: a statement file somebody gave for an account is kept between looking and confirming.

Whether it can be used is found out before anything is stored. What nobody confirms loses its
content after a day: it is somebody's bank statement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from banklink.actions.services import Missing, Refused, Services
from banklink.core.calendar import Moment
from banklink.core.dedup import MOST_MINOR
from banklink.core.money import to_minor
from banklink.statements import StatementError
from banklink.statements.ours import Part, impossible_day, part_of, same_account
from banklink.statements.reading import File, read_file
from banklink.statements.statement_csv import FIELDS
from banklink.store.models import Connection, FetchRun, Upload

KEPT = timedelta(days=1)
TABLE = "table"
"""The format of an upload whose columns nobody has named yet."""

_LONGEST_NAME = 120


def keep(
    services: Services, connection_id: int, at: Moment, *, name: str, data: bytes, actor: str
) -> int:
    """The number of the upload. Raises Missing, StatementError for what cannot be read and Refused
    for what is not this account's (`usable`); then nothing is stored. The same file given again,
    while it waits, is the same upload."""
    with services.store.read() as session:
        connection = session.get(Connection, connection_id)
        if connection is None:
            raise Missing
        if connection.start_date is None:
            raise Refused("not_started")
    try:
        file = read_file(data, currency=connection.currency)
        usable(services, connection, file, at)
        form = file.format
    except StatementError as error:
        if error.code != "columns_unknown":
            raise
        form = TABLE
    digest = hashlib.sha256(data).hexdigest()
    with services.store.write() as session:
        session.get_one(Connection, connection_id, with_for_update=True)
        waiting = session.scalar(
            select(Upload.id).where(
                Upload.connection_id == connection_id,
                Upload.digest == digest,
                Upload.content.is_not(None),
            )
        )
        if waiting is not None:
            return waiting
        upload = Upload(
            connection_id=connection_id,
            name=_plain_name(name),
            format=form,
            digest=digest,
            content=data,
            created_at=at.now,
            created_by=actor,
        )
        session.add(upload)
        session.flush()
        return upload.id


def _plain_name(name: str) -> str:
    """Without a folder in front and without what nobody sees."""
    name = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in name if each.isprintable())[-_LONGEST_NAME:]


def usable(services: Services, connection: Connection, file: File, at: Moment) -> Part:
    """What of the file is this account's. Raises Refused:

    other_account (accounts: [(reference, connection here or None)]), other_currency (currencies),
    year_unlikely and day_ahead (day, line or None, statement), amount_too_fine (line)
    """
    part = part_of(file.statements, connection.iban, connection.currency)
    if not part.own and part.currencies:
        raise Refused("other_currency", currencies=part.currencies)
    if not part.own:
        with services.store.read() as session:
            raise Refused("other_account", accounts=_elsewhere(session, connection, part.others))
    if wrong := impossible_day(part.own, at.today):
        raise Refused(wrong.why, day=wrong.day, line=wrong.line, statement=wrong.statement)
    for each in part.own:
        for booking in each.bookings:
            try:
                if booking.currency != connection.currency:
                    raise Refused("booking_currency", line=booking.line, found=booking.currency)
                if abs(to_minor(booking.amount, booking.currency)) > MOST_MINOR:
                    raise ValueError
            except ValueError:
                raise Refused("amount_too_fine", line=booking.line) from None
    return part


def _elsewhere(
    session: Session, connection: Connection, references: tuple[str, ...]
) -> list[tuple[str, int | None]]:
    """For each account of the file, the connection of the same books that is about it."""
    rows = session.execute(
        select(Connection.id, Connection.iban).where(
            Connection.administration_id == connection.administration_id,
            Connection.id != connection.id,
        )
    ).all()
    return [
        (reference, next((key for key, iban in rows if same_account(reference, iban)), None))
        for reference in references
    ]


def of_connection(session: Session, connection_id: int, upload_id: int, **lock: Any) -> Upload:
    """Raises Missing for one of another account."""
    upload = session.get(Upload, upload_id, **lock)
    if upload is None or upload.connection_id != connection_id:
        raise Missing
    return upload


def name_columns(
    services: Services, connection_id: int, upload_id: int, at: Moment, columns: dict[str, int]
) -> None:
    """A person said which column is what. Raises Missing, Refused, and StatementError where a cell
    is not what its column should hold; then nothing is kept of it."""
    with services.store.read() as session:
        upload = of_connection(session, connection_id, upload_id)
        connection = session.get_one(Connection, connection_id)
    if upload.content is None:
        raise Refused("gone")
    columns = {key: columns[key] for key in FIELDS if key in columns}
    for needed in ("booked", "amount"):
        if needed not in columns:
            raise Refused("column_missing", field=needed)
    taken: dict[int, str] = {}
    for name in ("booked", "amount", "out", "direction", "balance", "account", "currency"):
        if name in columns and taken.setdefault(columns[name], name) != name:
            raise Refused("columns_twice", field=name)
    file = read_file(upload.content, currency=connection.currency, columns=columns)
    usable(services, connection, file, at)
    with services.store.write() as session:
        upload = of_connection(session, connection_id, upload_id, with_for_update=True)
        if upload.content is not None:
            upload.format = file.format
            if upload.choices.get("columns") != columns:
                # What was said of its bookings and days was said of another reading of it.
                upload.choices = {"columns": columns}


def choose(services: Services, connection_id: int, upload_id: int, choices: dict[str, Any]) -> None:
    """Keep what was typed so far. Raises Missing."""
    with services.store.write() as session:
        upload = of_connection(session, connection_id, upload_id, with_for_update=True)
        if upload.content is not None:
            upload.choices = merged(upload.choices, choices)


def merged(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Later ones count; of rows that are not on the page the earlier ones stay."""
    rows = {**before.get("rows", {}), **now.get("rows", {})}
    return {**before, **now, "rows": rows}


def cancel(services: Services, connection_id: int, upload_id: int) -> bool:
    """Whether there was anything to delete. What was taken in stays. Raises Missing."""
    with services.store.write() as session:
        upload = of_connection(session, connection_id, upload_id, with_for_update=True)
        if upload.confirmed_at is not None:
            return False
        session.delete(upload)
    services.store.scrub()
    return True


def forget_left(session: Session, at: Moment) -> int:
    """Uploads nobody confirmed within a day lose their content, and after a month their place;
    returns how many. For the retention job."""
    emptied = cast(
        CursorResult[object],
        session.execute(
            update(Upload)
            .where(Upload.content.is_not(None), Upload.created_at < at.now - KEPT)
            .values(content=None, choices={})
        ),
    ).rowcount
    session.execute(
        delete(Upload).where(
            Upload.confirmed_at.is_(None),
            Upload.created_at < at.now - 30 * KEPT,
            Upload.id.not_in(select(FetchRun.upload_id).where(FetchRun.upload_id.is_not(None))),
        )
    )
    return emptied
