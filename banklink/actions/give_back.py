"""Give back: tokens that Banklink no longer uses are not merely forgotten. The provider is told
that they are over, again until it confirms (revoke.py), so that nobody else could use them either.
"""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from banklink.core.calendar import Moment
from banklink.store.models import Revocation


def give_back(
    session: Session,
    provider: str,
    sealed: str | None,
    at: Moment,
    *,
    reason: str,
    grant_id: int | None = None,
    settings: str | None = None,
) -> Revocation:
    """In the transaction that takes the tokens (`sealed`, as they are kept) out of use. `reason`
    and `settings` as in the model."""
    found = Revocation(
        provider=provider,
        grant_id=grant_id,
        reason=reason,
        sealed=sealed,
        settings=settings,
        created_at=at.now,
        due_at=at.real,
    )
    session.add(found)
    session.flush()
    return found


def keep_address(session: Session, provider: str, settings: str) -> None:
    """Another service takes this one's place: what still has to be told goes to the old one."""
    session.execute(
        update(Revocation)
        .where(
            Revocation.provider == provider,
            Revocation.confirmed_at.is_(None),
            Revocation.settings.is_(None),
        )
        .values(settings=settings)
    )
