"""The outbox: a mail is queued in the transaction that gives the reason for it, and sent later, so
that none is lost and none is sent for something that did not happen."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.mail.letters import Letter, write
from banklink.store.models import Mail


def queue(
    session: Session,
    services: Services,
    letter: Letter,
    at: Moment,
    *,
    kind: str,
    email: str,
    name: str,
    key: str | None = None,
    reply_to: str | None = None,
    administration_id: int | None = None,
    holder_id: int | None = None,
    invitation_id: int | None = None,
    user_id: int | None = None,
) -> Mail | None:
    """Put a letter into the outbox. `key` says what it is about: where one with the same key was
    queued before, nothing happens and None is returned. The caller has taken hold of what makes two
    of them queue one after the other."""
    if key is not None and session.scalar(select(Mail.id).where(Mail.key == key)) is not None:
        return None
    written = write(letter)
    host = urlsplit(services.office.origin).hostname or "localhost"
    mail = Mail(
        message_id=f"<{secrets.token_hex(16)}@{host}>",
        key=key,
        kind=kind,
        email=email,
        name=name,
        locale=letter.locale,
        sealed=services.vault.seal(
            {
                "subject": written.subject,
                "text": written.text,
                "html": written.html,
                "reply_to": reply_to,
                "unsubscribe": written.unsubscribe,
            }
        ),
        administration_id=administration_id,
        holder_id=holder_id,
        invitation_id=invitation_id,
        user_id=user_id,
        created_at=at.now,
        due_at=at.real,
    )
    session.add(mail)
    session.flush()
    return mail
