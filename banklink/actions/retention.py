"""What is no longer needed goes by itself: records of permissions whose time is over, what an
attempt noted that came to nothing, who was invited and never came, statement files that nobody
confirmed (docs/privacy.md), and how often an account was read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, String, delete, select, update
from sqlalchemy import cast as as_type
from sqlalchemy.orm import Session

from banklink.actions import ledger
from banklink.actions.forget import empty_left_over
from banklink.actions.services import Services
from banklink.actions.uploads import forget_left
from banklink.core.calendar import Moment
from banklink.store.models import Attempt, Consent, Invitation, InvitationLink

ATTEMPTS = timedelta(days=30)
"""So long it is noted what somebody was shown who did not go through with it."""
INVITED = timedelta(days=365)
"""So long after an invitation ended without an account holder it says whom it was to."""


def delete_old(services: Services, at: Moment) -> int:
    """Returns how many rows were deleted or emptied. What was deleted lately, here or by `forget`,
    leaves the database's files for good."""
    with services.store.write() as session:
        done = _records(session, at) + _attempts(session, at) + _invitations(session, at)
        done += empty_left_over(session, at) + forget_left(session, at)
        ledger.delete_old(session, at)
    services.store.scrub()
    return done


def _records(session: Session, at: Moment) -> int:
    """What came after a record that goes no longer points to it."""
    old = list(session.scalars(select(Consent.id).where(Consent.delete_after < at.today)))
    if old:
        session.execute(
            update(Consent).where(Consent.predecessor_id.in_(old)).values(predecessor_id=None)
        )
        session.execute(delete(Consent).where(Consent.id.in_(old)))
    return len(old)


def _attempts(session: Session, at: Moment) -> int:
    return _changed(
        session,
        update(Attempt)
        .where(Attempt.created_at < at.real - ATTEMPTS, as_type(Attempt.consent, String) != "{}")
        .values(consent={}),
    )


def _invitations(session: Session, at: Moment) -> int:
    """Those of account holders stay as long as these do."""
    old = list(
        session.scalars(
            select(Invitation.id).where(
                Invitation.holder_id.is_(None),
                Invitation.accepted_by_id.is_(None),
                Invitation.expires_at < at.now - INVITED,
                Invitation.email != "",
            )
        )
    )
    session.execute(delete(InvitationLink).where(InvitationLink.invitation_id.in_(old)))
    session.execute(
        update(Invitation).where(Invitation.id.in_(old)).values(name="", email="", message="")
    )
    return len(old)


def _changed(session: Session, statement: Any) -> int:
    return cast(CursorResult[object], session.execute(statement)).rowcount
