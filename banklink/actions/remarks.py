"""Somebody has seen to a remark: it says nothing any more. What it is about stays as it is."""

from __future__ import annotations

from sqlalchemy import update

from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.store.models import Remark


def seen(
    services: Services, connection_id: int, at: Moment, *, only: int | None, actor: str
) -> None:
    """`only`: the number of one; None for all of the connection that nobody has seen to."""
    mine = update(Remark).where(Remark.connection_id == connection_id, Remark.settled_at.is_(None))
    if only is not None:
        mine = mine.where(Remark.id == only)
    with services.store.write() as session:
        session.execute(mine.values(settled_at=at.now, settled_by=actor))
