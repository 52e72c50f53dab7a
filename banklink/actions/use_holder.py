"""Use another holder: one click, no bank visit; date and transactions stay."""

from __future__ import annotations

from banklink.actions.fetch import Fetched, fetch
from banklink.actions.services import Refused, Services
from banklink.actions.settle import changed, opened, settle, trouble_over
from banklink.core.calendar import Moment
from banklink.core.facts import Switch
from banklink.store.facts import add_event


def use_holder(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    holder: str,
    version: int | None,
    actor: str,
) -> Fetched | None:
    """Returns the fetch that follows when the connection is on. Raises Refused, Stale, Missing."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        facts = found.facts.holders.get(holder)
        if facts is None or not facts.usable:
            raise Refused("holder_not_usable", field="holder")
        connection = found.connection
        connection.selected_id = int(holder)
        changed(connection, actor)
        add_event(session, connection, "holder_chosen", at, actor=actor, holder=int(holder))
        if found.facts.switch is not Switch.ON:
            return None
        connection.next_fetch_at = at.now
        trouble_over(connection)
        settle(session, connection.administration_id, at, actor=actor, only=[connection_id])
    return fetch(services, connection_id, at, actor=actor)
