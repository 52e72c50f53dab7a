"""Stop reminders: the address in every reminder, and what somebody does there. It is signed, not
kept: who holds it can stop and resume the reminders of one holder, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from banklink.actions.services import Missing, Services
from banklink.core.calendar import Moment
from banklink.store.models import Holder

_PURPOSE = "reminders"


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose reminders they are, as far as the page tells: a forwarded mail leads there too."""

    locale: str | None
    stopped: bool


def address(services: Services, holder_id: int) -> str:
    return f"{services.office.origin}/reminders/{services.vault.sign(_PURPOSE, holder_id)}"


def reader(services: Services, token: str) -> Reader:
    """Raises Missing."""
    with services.store.read() as session:
        holder = _holder(services, session, token)
        return Reader(holder.locale, holder.reminders_off_at is not None)


def stop(services: Services, token: str, at: Moment) -> None:
    """Raises Missing. A second time changes nothing: mail programs press it too."""
    with services.store.write() as session:
        holder = _holder(services, session, token, for_update=True)
        holder.reminders_off_at = holder.reminders_off_at or at.now


def resume(services: Services, token: str) -> None:
    """Raises Missing."""
    with services.store.write() as session:
        _holder(services, session, token, for_update=True).reminders_off_at = None


def _holder(
    services: Services, session: Session, token: str, *, for_update: bool = False
) -> Holder:
    number = services.vault.signed(_PURPOSE, token)
    holder = session.get(Holder, number, with_for_update=for_update) if number else None
    if holder is None or holder.forgotten_at is not None:
        raise Missing
    return holder
