"""How often somebody may do a thing that costs others something."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from banklink.actions.services import Refused
from banklink.core.calendar import Moment
from banklink.store.models import SignInTry

WINDOW = timedelta(minutes=10)


def count(session: Session, at: Moment, *, what: str, who: str, most: int) -> None:
    """Count one more, in the caller's transaction. Raises Refused too_often (`again_at`) when `who`
    did `most` in the last ten minutes (machine time) already. The rows go with the counted tries to
    sign in (actions/sign_in.py), which sweeps them."""
    subject = hashlib.sha256(f"{what}:{who}".encode()).hexdigest()
    made, first = session.execute(
        select(func.count(SignInTry.id), func.min(SignInTry.at)).where(
            SignInTry.subject == subject, SignInTry.at > at.real - WINDOW
        )
    ).one()
    if made >= most:
        raise Refused("too_often", again_at=first + WINDOW)
    session.add(SignInTry(subject=subject, at=at.real))
