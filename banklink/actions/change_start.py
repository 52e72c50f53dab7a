"""Change the start date: later deletes nothing, earlier adds what is missing, never twice."""

from __future__ import annotations

from banklink.actions.activate import check_start, terms
from banklink.actions.fetch import Fetched, fetch
from banklink.actions.services import Refused, Services
from banklink.actions.settle import changed, opened
from banklink.core.calendar import Moment
from banklink.core.facts import Switch
from banklink.core.statuses import Status
from banklink.store.bookings import note_missing
from banklink.store.facts import add_event


def change_start(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    start: str,
    version: int | None,
    actor: str,
) -> Fetched | None:
    """Returns the fetch an earlier date sets off, else None. Raises Refused, Stale, Missing."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        connection = found.connection
        if found.facts.switch is not Switch.ON:
            raise Refused("not_on")
        day = check_start(start, terms(session, found, found.facts.selected, at))
        earlier = connection.start_date is None or day < connection.start_date
        connection.start_date = day
        note_missing(session, connection)
        changed(connection, actor)
        add_event(session, connection, "start_changed", at, actor=actor, start=day.isoformat())
        fetchable = earlier and found.diagnosis.status is Status.ACTIVE
    return fetch(services, connection_id, at, actor=actor) if fetchable else None
