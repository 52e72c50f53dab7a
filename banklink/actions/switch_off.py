"""Switch off, and undo it. Fetched transactions stay; holder and start date are kept for undo."""

from __future__ import annotations

from banklink.actions.fetch import fetch
from banklink.actions.services import Refused, Services
from banklink.actions.settle import changed, opened, settle, trouble_over
from banklink.core.calendar import Moment
from banklink.core.facts import Switch
from banklink.store.facts import add_event


def switch_off(
    services: Services, connection_id: int, at: Moment, *, version: int | None, actor: str
) -> None:
    """Raises Stale, Missing; switching off what is off changes nothing."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        connection = found.connection
        if found.facts.switch is not Switch.ON:
            return
        connection.switch = Switch.OFF.value
        changed(connection, actor)
        connection.switched_at, connection.switched_by = at.now, actor
        connection.next_fetch_at = None
        trouble_over(connection)
        add_event(session, connection, "switched_off", at, actor=actor)
        settle(session, connection.administration_id, at, actor=actor, only=[connection_id])


def undo(
    services: Services, connection_id: int, at: Moment, *, version: int | None, actor: str
) -> None:
    """Back on, through the same holder from the same day. Raises Refused when it never was."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        connection = found.connection
        if found.facts.switch is Switch.ON:
            return
        if connection.selected_id is None or connection.start_date is None:
            raise Refused("never_on")
        connection.switch = Switch.ON.value
        changed(connection, actor)
        connection.switched_at, connection.switched_by = at.now, actor
        add_event(session, connection, "switch_off_undone", at, actor=actor)
        due = settle(session, connection.administration_id, at, actor=actor, only=[connection_id])
    for each in due:
        fetch(services, each, at)
