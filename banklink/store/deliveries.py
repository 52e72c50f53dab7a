"""How the mails of invitations fare."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from banklink.core.deliveries import Delivery, Stage, stage_of
from banklink.store.models import Mail


def delivery(mail: Mail) -> Delivery:
    stage = stage_of(error=mail.error, sent_at=mail.sent_at, refused_at=mail.refused_at)
    return Delivery(
        mail_id=mail.id,
        stage=stage,
        email=mail.email,
        created_at=mail.created_at,
        sent_at=mail.sent_at,
        tries=mail.tries,
        next_try=mail.due_at if stage is Stage.FAILING else None,
        error=mail.error,
        sent_by=mail.sent_by,
    )


def deliveries(session: Session, invitation_ids: Collection[int]) -> dict[int, Delivery]:
    """The last mail that went to the person invited, by invitation; what colleagues were told about
    it does not count."""
    last = (
        select(func.max(Mail.id))
        .where(Mail.invitation_id.in_(invitation_ids), Mail.user_id.is_(None))
        .group_by(Mail.invitation_id)
    )
    return {
        mail.invitation_id: delivery(mail)
        for mail in session.scalars(
            select(Mail).where(Mail.id.in_(last)).options(defer(Mail.sealed))
        )
        if mail.invitation_id is not None
    }
