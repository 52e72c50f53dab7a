"""Remove a connection: the intent goes, what was fetched stays."""

from __future__ import annotations

from banklink.actions.services import Services
from banklink.actions.settle import changed, opened, settle, trouble_over
from banklink.core.calendar import Moment
from banklink.core.facts import Switch
from banklink.store.facts import add_event


def remove(
    services: Services, connection_id: int, at: Moment, *, version: int | None, actor: str
) -> None:
    """Back to never switched: no holder, no date, no warnings. Transactions and history stay, and
    switching it on again later adds nothing twice. Raises Stale, Missing."""
    with services.store.write() as session:
        connection = opened(session, connection_id, at, version=version).connection
        changed(connection, actor)
        connection.switch = Switch.NEVER.value
        connection.selected_id = connection.start_date = None
        connection.switched_at = connection.switched_by = None
        connection.armed = False
        connection.armed_by = connection.armed_start = None
        connection.next_fetch_at = None
        trouble_over(connection)
        connection.gap_from = connection.gap_to = None
        connection.unbalanced_from = connection.unbalanced_to = connection.unbalanced_by = None
        connection.last_attempt_id = None
        add_event(session, connection, "removed", at, actor=actor)
        settle(session, connection.administration_id, at, actor=actor, only=[connection_id])
