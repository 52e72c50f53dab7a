"""The outbox: a mail is queued in the transaction that gives the reason for it, and sent later, so
that none is lost and none is sent for something that did not happen.

A crash between the mail server's yes and our note of it repeats that one mail, under the same
Message-ID. Nothing else is ever sent twice: each mail is claimed by one conditional UPDATE.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, CursorResult, and_, exists, func, not_, or_, select, update
from sqlalchemy.orm import Session, aliased

from banklink.actions.services import Missing, Refused, Services
from banklink.core.calendar import Moment
from banklink.core.deliveries import GIVEN_UP, KEPT, PERSISTENCE, STALE, next_pause
from banklink.mail.letters import Letter, write
from banklink.mail.smtp import NotNow, Outgoing, PostError, Send, Unsendable
from banklink.mail.trial import trial_letter
from banklink.mail.voice import Voice
from banklink.store.models import Account, Holder, Invitation, Mail, Reminder
from banklink.store.vault import SealBroken

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
"""So long a claimed mail is left to whoever claimed it; longer than a sending can take."""

ROUND = timedelta(minutes=1)
"""So long one round goes on; what is left is for the next."""


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
    true_until: datetime | None = None,
) -> Mail | None:
    """Put a letter into the outbox. `key` says what it is about: where one with the same key was
    queued before, nothing happens and None is returned. The caller has taken hold of what makes two
    of them queue one after the other."""
    if key is not None and session.scalar(select(Mail.id).where(Mail.key == key)) is not None:
        return None
    written = write(letter)
    mail = Mail(
        message_id=_message_id(services),
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
        wanted_at=at.real,
        due_at=at.real,
        true_until=true_until,
    )
    session.add(mail)
    session.flush()
    return mail


def _message_id(services: Services) -> str:
    host = urlsplit(services.office.origin).hostname or "localhost"
    return f"<{secrets.token_hex(16)}@{host.encode('idna').decode('ascii')}>"


# -- what may go ---------------------------------------------------------------------------------

_WAITING = (Mail.sent_at.is_(None), Mail.refused_at.is_(None))


def _overtaken(at: Moment, *, posts: bool = True) -> dict[str, ColumnElement[bool]]:
    """Why a mail that waits is not to go any more, by code. What a colleague is told about an
    invitation (`user_id`) stays true whatever becomes of it. Without a mail server (`posts`) a mail
    waits to be copied, as long as mails are kept."""

    def invitation(*facts: ColumnElement[bool]) -> ColumnElement[bool]:
        return and_(
            Mail.user_id.is_(None), exists().where(Invitation.id == Mail.invitation_id, *facts)
        )

    return {
        "forgotten": exists().where(Holder.id == Mail.holder_id, Holder.forgotten_at.isnot(None)),
        "withdrawn": invitation(Invitation.withdrawn_at.isnot(None)),
        "answered": invitation(
            or_(Invitation.accepted_at.isnot(None), Invitation.declined_at.isnot(None))
        ),
        "expired": invitation(Invitation.expires_at <= at.now),
        **_reminders_overtaken(),
        "late": and_(Mail.true_until.isnot(None), Mail.true_until <= at.now),
        "stale": or_(
            and_(Mail.tries == 0, Mail.wanted_at < at.real - (STALE if posts else KEPT)),
            Mail.wanted_at < at.real - (GIVEN_UP if posts else KEPT),
        ),
    }


def _reminders_overtaken() -> dict[str, ColumnElement[bool]]:
    """A reminder is not to go any more when all it is about was renewed meanwhile; nor when it was
    tried for so long that the next one says it better."""
    newer = aliased(Mail)
    about = exists().where(Reminder.mail_id == Mail.id)
    still = about.where(
        Account.id == Reminder.account_id,
        Account.authorised_at == Reminder.authorised_at,
        or_(Account.expires_at.is_(None), Account.expires_at == Reminder.valid_until),
    )
    return {
        "renewed": and_(Mail.kind == "reminder", about, not_(still)),
        "newer": and_(
            Mail.kind == "reminder",
            Mail.tries > 0,
            exists().where(
                newer.kind == "reminder",
                newer.invitation_id == Mail.invitation_id,
                newer.id > Mail.id,
            ),
        ),
    }


def _set_aside(services: Services, at: Moment) -> int:
    """Mails that were overtaken by what happened, or by time, are no longer to be sent."""
    free = (*_WAITING, _unclaimed(at.real))
    overtaken = _overtaken(at, posts=services.post is not None)
    with services.store.read() as session:
        found = select(Mail.id).where(*free, or_(*overtaken.values())).limit(1)
        if session.scalar(found) is None:
            return 0
    with services.store.write() as session:
        return sum(
            _changed(
                session,
                update(Mail).where(*free, reason).values(refused_at=at.now, error=code),
            )
            for code, reason in overtaken.items()
        )


def _unclaimed(real: datetime) -> ColumnElement[bool]:
    return or_(Mail.claimed_until.is_(None), Mail.claimed_until <= real)


def _changed(session: Session, statement: Any) -> int:
    statement = statement.execution_options(synchronize_session=False)
    return cast(CursorResult[object], session.execute(statement)).rowcount


# -- sending -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A mail that is ours to send until `until`; no row, because no transaction is open."""

    id: int
    message_id: str
    email: str
    name: str
    sealed: str
    tries: int
    wanted_at: datetime
    until: datetime


def deliver(services: Services, at: Moment) -> int:
    """Send what is due. Returns how many mails the mail server took. Without a mail server nothing
    is sent; what was overtaken meanwhile is set aside all the same."""
    _set_aside(services, at)
    if services.post is None:
        return 0
    began, sent = time.monotonic(), 0
    with services.post.round() as send:
        while (passed := timedelta(seconds=time.monotonic() - began)) < ROUND:
            moment = Moment(at.now + passed, at.real + passed)
            mail = _claim(services, moment)
            if mail is None:
                break
            try:
                sent += _try(services, mail, send, moment)
            except NotNow as error:
                _later(services, mail, error.code, moment)
                if error.whole:
                    break  # the next mail would hear the same
    return sent


def _claim(services: Services, at: Moment) -> _Claimed | None:
    """The next mail that is due, ours alone for the time of the lease."""
    due = (
        *_WAITING,
        Mail.due_at <= at.real,
        _unclaimed(at.real),
        *(not_(reason) for reason in _overtaken(at).values()),
    )
    with services.store.read() as session:
        if session.scalar(select(Mail.id).where(*due).limit(1)) is None:
            return None
    until = at.real + LEASE
    with services.store.write() as session:
        mail = session.scalar(
            select(Mail)
            .where(*due)
            .order_by(Mail.due_at, Mail.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=Mail)
        )
        if mail is None:
            return None
        claim = update(Mail).where(Mail.id == mail.id, *due)
        if not _changed(session, claim.values(claimed_until=until, tries=Mail.tries + 1)):
            return None
        return _Claimed(
            mail.id,
            mail.message_id,
            mail.email,
            mail.name,
            mail.sealed,
            mail.tries + 1,
            mail.wanted_at,
            until,
        )


def _try(services: Services, mail: _Claimed, send: Send, at: Moment) -> bool:
    """Raises NotNow; anything else that goes wrong is this mail's own fault and ends it."""
    try:
        send(_outgoing(services, mail, at))
    except NotNow:
        raise
    except SealBroken:
        log.error("mail %s does not open with the configured keys", mail.id)
        _end(services, mail, error="unreadable", refused_at=at.now)
    except Unsendable as error:
        log.warning("mail %s was refused: %s", mail.id, error.code)
        _end(services, mail, error=error.code, refused_at=at.now)
    except Exception:
        # A fault of ours with one mail must not keep the others waiting.
        log.exception("mail %s could not be sent", mail.id)
        raise NotNow("fault") from None
    else:
        _sent(services, mail, at)
        return True
    return False


def _outgoing(services: Services, mail: _Claimed, at: Moment) -> Outgoing:
    content = services.vault.open(mail.sealed)
    return Outgoing(
        message_id=mail.message_id,
        date=at.real,
        email=mail.email,
        name=mail.name,
        subject=content["subject"] or "",
        text=content["text"] or "",
        html=content["html"] or "",
        reply_to=content["reply_to"],
        unsubscribe=content["unsubscribe"],
    )


def _sent(services: Services, mail: _Claimed, at: Moment) -> None:
    """True whatever became of the claim meanwhile: it is out."""
    with services.store.write() as session:
        _changed(
            session,
            update(Mail)
            .where(Mail.id == mail.id, Mail.sent_at.is_(None))
            .values(sent_at=at.now, refused_at=None, error=None, claimed_until=None),
        )


def _end(services: Services, mail: _Claimed, **values: object) -> None:
    """Only as long as the claim is ours: somebody else may be sending it by now."""
    with services.store.write() as session:
        _changed(
            session,
            update(Mail)
            .where(Mail.id == mail.id, *_WAITING, Mail.claimed_until == mail.until)
            .values(claimed_until=None, **values),
        )


def _later(services: Services, mail: _Claimed, code: str, at: Moment) -> None:
    """Try again after a pause, or give up after days of trying."""
    log.info("mail %s not sent: %s (try %s)", mail.id, code, mail.tries)
    if at.real >= mail.wanted_at + PERSISTENCE:
        _end(services, mail, error=code, refused_at=at.now)
    else:
        _end(services, mail, error=code, due_at=at.real + next_pause(mail.tries))


# -- by hand, and wiping -------------------------------------------------------------------------


def send_again(services: Services, mail_id: int, at: Moment, *, copies: int = 0) -> int:
    """Somebody wants it sent (again), now. What was sent already goes as a new mail, because a
    mail server may drop a second one with the same Message-ID; `copies` is how many of those the
    person saw, so that pressing twice sends one. Returns the number of the mail that will go.

    Raises Missing, and Refused: no_mail_server, wiped, withdrawn, answered, expired, renewed,
    late, forgotten.
    """
    with services.store.write() as session:
        mail = session.scalar(select(Mail).where(Mail.id == mail_id).with_for_update())
        if mail is None:
            raise Missing
        if (code := hindrance(session, services, mail, at)) is not None:
            raise Refused(code)
        if mail.sent_at is not None:
            return _copy(session, services, mail, at, copies).id
        if mail.claimed_until is None or mail.claimed_until <= at.real:
            mail.refused_at = mail.error = mail.claimed_until = None
            mail.tries, mail.wanted_at, mail.due_at = 0, at.real, at.real
        return mail.id


def hindrance(session: Session, services: Services, mail: Mail, at: Moment) -> str | None:
    """Why somebody cannot have this mail sent (again); None when they can."""
    if services.post is None:
        return "no_mail_server"
    if not mail.sealed:
        return "wiped"
    for code, reason in _overtaken(at).items():
        wanted = select(Mail.id).where(Mail.id == mail.id, reason)
        if code not in ("stale", "newer") and session.scalar(wanted) is not None:
            return code
    return None


def sent_by_hand(services: Services, mail_id: int, at: Moment, *, actor: str) -> None:
    """Somebody copied it and sent it themselves: from now on it counts as sent, and does not go by
    itself any more. Pressing twice is no mistake.

    Raises Missing, and Refused: sent, being_sent.
    """
    with services.store.write() as session:
        mail = session.scalar(select(Mail).where(Mail.id == mail_id).with_for_update())
        if mail is None:
            raise Missing
        if mail.sent_at is not None:
            if mail.sent_by is None:
                raise Refused("sent")
            return
        if mail.claimed_until is not None and mail.claimed_until > at.real:
            raise Refused("being_sent")
        mail.sent_at, mail.sent_by = at.now, actor
        mail.refused_at = mail.error = mail.claimed_until = None


def copies_of(session: Session, mail_id: int) -> int:
    """How often it was sent again as a new mail."""
    wanted = select(func.count(Mail.id)).where(Mail.key.startswith(f"again {mail_id} "))
    return session.scalar(wanted) or 0


def _copy(session: Session, services: Services, mail: Mail, at: Moment, copies: int) -> Mail:
    key = f"again {mail.id} {copies}"
    made = session.scalar(select(Mail).where(Mail.key == key))
    if made is None:
        made = Mail(
            message_id=_message_id(services),
            key=key,
            kind=mail.kind,
            email=mail.email,
            name=mail.name,
            locale=mail.locale,
            sealed=mail.sealed,
            administration_id=mail.administration_id,
            holder_id=mail.holder_id,
            invitation_id=mail.invitation_id,
            user_id=mail.user_id,
            created_at=at.now,
            wanted_at=at.real,
            due_at=at.real,
            true_until=mail.true_until,
        )
        session.add(made)
        session.flush()
    return made


def try_out(services: Services, at: Moment, *, email: str, name: str, locale: str) -> str | None:
    """Send a mail that says that mails arrive, at once and past the outbox. Returns None when the
    mail server took it, else the code of what it said. Raises Refused no_mail_server."""
    if services.post is None:
        raise Refused("no_mail_server")
    office = services.office
    letter = trial_letter(Voice(locale), name=name, app=office.app, sender=office.sender or "")
    written = write(letter)
    mail = Outgoing(
        message_id=_message_id(services),
        date=at.real,
        email=email,
        name=name,
        subject=written.subject,
        text=written.text,
        html=written.html,
    )
    try:
        with services.post.round() as send:
            send(mail)
    except PostError as error:
        log.warning("the test mail was not sent: %s", error.code)
        return error.code
    return None


def wipe(services: Services, at: Moment) -> int:
    """Take the content off mails that were sent or set aside long ago, and at once off those to
    people who are forgotten. Returns how many."""
    over = or_(Mail.sent_at <= at.now - KEPT, Mail.refused_at <= at.now - KEPT)
    done = or_(Mail.sent_at.isnot(None), Mail.refused_at.isnot(None))
    wanted = (Mail.sealed != "", or_(over, and_(done, _overtaken(at)["forgotten"])))
    with services.store.read() as session:
        if session.scalar(select(Mail.id).where(*wanted).limit(1)) is None:
            return 0
    with services.store.write() as session:
        return _changed(session, update(Mail).where(*wanted).values(sealed=""))
