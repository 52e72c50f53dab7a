"""An account that a holder shared and that does not belong in these books: hidden, and back."""

from __future__ import annotations

from banklink.actions.services import Refused, Services
from banklink.actions.settle import changed, opened
from banklink.core.calendar import Moment
from banklink.core.facts import Switch
from banklink.store.facts import add_event


def hide(
    services: Services, connection_id: int, at: Moment, *, version: int | None, actor: str
) -> None:
    """Off the list, as long as no journal has its IBAN. Raises Refused when one has or when it is
    switched on (`belongs_here`), Stale, Missing."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        if found.journal is not None or found.facts.switch is Switch.ON:
            raise Refused("belongs_here")
        found.connection.hidden_at = at.now
        changed(found.connection, actor)
        add_event(session, found.connection, "hidden", at, actor=actor)


def show(
    services: Services, connection_id: int, at: Moment, *, version: int | None, actor: str
) -> None:
    """On the list again. Raises Stale, Missing."""
    with services.store.write() as session:
        connection = opened(session, connection_id, at, version=version).connection
        if connection.hidden_at is None:
            return
        connection.hidden_at = None
        changed(connection, actor)
        add_event(session, connection, "shown_again", at, actor=actor)
