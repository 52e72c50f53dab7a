"""Sign in and out. A session is a row: it ends here, whatever cookie a browser still has.

All times are machine time (`Moment.real`): the demo clock signs nobody out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from banklink.actions.passwords import fits
from banklink.actions.services import Missing, Refused, Services
from banklink.core.calendar import Moment
from banklink.store.models import SignInTry, User, UserSession
from banklink.store.plain import plain_columns, read_all

log = logging.getLogger(__name__)

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=14)
SEEN_EVERY = timedelta(minutes=1)
"""How exact `last_seen_at` is: not every request writes."""

WINDOW = timedelta(hours=1)
FREE = {"email": 5, "address": 20}
"""Attempts within the window that cost no pause: per e-mail address, and per network address, that
an office may share."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The person and their session, as one request sees them: to be looked at."""

    user: User
    session: UserSession


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def plain_email(text: str) -> str:
    """An e-mail address as it is stored and compared."""
    return text.strip().casefold()


def sign_in(
    services: Services,
    at: Moment,
    *,
    email: str,
    password: str,
    address: str,
    agent: str,
    replaces: str | None = None,
) -> tuple[str, User]:
    """The token of a new session. Raises Refused: wrong_credentials, which does not say what was
    wrong, or too_many with `until`. `replaces`: the token the browser came with; it ends."""
    email = plain_email(email)
    counted = count_try(services, at, email=email, address=address)
    with services.store.read() as session:
        user = (
            session.scalar(select(User).where(User.email == email))
            if email.isprintable()  # a database may refuse to look for the others
            else None
        )
    known = fits(password, user.password_hash if user else None)
    if user is None or not known or user.disabled_at is not None:
        spaces = password != password.strip()
        raise Refused("wrong_credentials_spaces" if spaces else "wrong_credentials")
    with services.store.write() as session:
        # Held until the session is there: a change of password meanwhile waits, and then ends it.
        again = session.get(User, user.id, with_for_update=True)
        if again is None or again.disabled_at or again.password_hash != user.password_hash:
            raise Refused("wrong_credentials")
        forget_tries(session, counted, email)
        if replaces is not None:
            _end(session, at, UserSession.token_hash == digest(replaces))
        session.execute(
            delete(UserSession).where(
                UserSession.user_id == user.id, UserSession.expires_at < at.real - LONGEST
            )
        )
        return begin(session, user.id, at, agent), user


def begin(session: Session, user_id: int, at: Moment, agent: str) -> str:
    """A new session's token; within the caller's transaction."""
    token = new_token()
    session.add(
        UserSession(
            token_hash=digest(token),
            user_id=user_id,
            created_at=at.real,
            last_seen_at=at.real,
            expires_at=at.real + LONGEST,
            user_agent=agent[:200],
        )
    )
    return token


def signed_in(services: Services, token: str, at: Moment, *, attended: bool) -> SignedIn | None:
    """Whose token this is, None when it is nobody's any more. `attended`: somebody is at the desk,
    so that the session is no longer idle."""
    with services.store.look() as database:
        given = {"token": digest(token), "now": at.real, "idle_since": at.real - IDLE}
        found = read_all(database, _SIGNED_IN, given, User, UserSession, plain=True)
    if not found:
        return None
    known = SignedIn(*found[0])
    if attended and at.real - known.session.last_seen_at >= SEEN_EVERY:
        try:
            with services.store.write() as session:
                session.execute(
                    update(UserSession)
                    .where(UserSession.id == known.session.id, *_alive(at))
                    .values(last_seen_at=at.real)
                )
        except OperationalError as error:
            # Who only reads must be able to while the disk is full. The next request tries again.
            log.warning("session %s not noted as seen: %s", known.session.id, error.orig)
    return known


def _alive(at: Moment) -> tuple[ColumnElement[bool], ...]:
    return _alive_at(at.real, at.real - IDLE)


def _alive_at(now: Any, idle_since: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        UserSession.ended_at.is_(None),
        UserSession.expires_at > now,
        UserSession.last_seen_at > idle_since,
    )


_SIGNED_IN = (  # made once: every request asks it
    select(*plain_columns(User), *plain_columns(UserSession))
    .join(UserSession, UserSession.user_id == User.id)
    .where(
        UserSession.token_hash == bindparam("token"),
        *_alive_at(bindparam("now"), bindparam("idle_since")),
        User.disabled_at.is_(None),
    )
)


def own_sessions(session: Session, user_id: int, at: Moment) -> list[UserSession]:
    """Where the person is signed in now, last seen first."""
    return list(
        session.scalars(
            select(UserSession)
            .where(UserSession.user_id == user_id, *_alive(at))
            .order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())
        )
    )


def sign_out(services: Services, token: str, at: Moment) -> None:
    with services.store.write() as session:
        _end(session, at, UserSession.token_hash == digest(token))


def end_session(services: Services, user_id: int, session_id: int, at: Moment) -> None:
    """End one of the person's own. Raises Missing for anybody else's."""
    with services.store.write() as session:
        found = session.get(UserSession, session_id)
        if found is None or found.user_id != user_id:
            raise Missing
        _end(session, at, UserSession.id == session_id)


def end_all(session: Session, user_id: int, at: Moment) -> None:
    """End every session of a person; within the caller's transaction."""
    _end(session, at, UserSession.user_id == user_id)


def _end(session: Session, at: Moment, which: ColumnElement[bool]) -> None:
    session.execute(
        update(UserSession).where(which, UserSession.ended_at.is_(None)).values(ended_at=at.real)
    )


# -- not too often ------------------------------------------------------------------------------


def count_try(services: Services, at: Moment, *, email: str, address: str) -> list[int]:
    """Count an attempt before it is made, so that many at once are counted too; the rows it took.
    Raises Refused too_many with `until`, the first moment of the next one; that is not counted."""
    subjects = {
        kind: _subject(kind, value) for kind, value in (("email", email), ("address", address))
    }
    refused: datetime | None = None
    rows = [SignInTry(subject=each, at=at.real) for each in subjects.values()]
    with services.store.write() as session:
        if not services.store.is_sqlite:
            for subject in sorted(subjects.values()):
                session.execute(
                    text("SELECT pg_advisory_xact_lock(hashtext(:subject))"), {"subject": subject}
                )
        session.execute(delete(SignInTry).where(SignInTry.at <= at.real - WINDOW))
        for kind, subject in subjects.items():
            count, last = session.execute(
                select(func.count(SignInTry.id), func.max(SignInTry.at)).where(
                    SignInTry.subject == subject
                )
            ).one()
            until = last + pause(count - FREE[kind]) if last and count >= FREE[kind] else at.real
            if until > at.real and (refused is None or until > refused):
                refused = until
        if refused is None:
            session.add_all(rows)
    if refused is not None:
        log.warning("too many attempts to sign in from %s", _network(address))
        raise Refused("too_many", until=refused)
    return [row.id for row in rows]


def forget_tries(session: Session, counted: list[int], email: str) -> None:
    """After a success, within the caller's transaction: all of that person's, but of the network
    address this one only, or somebody with an account could go on guessing at others'."""
    session.execute(
        delete(SignInTry).where(
            SignInTry.id.in_(counted) | (SignInTry.subject == _subject("email", email))
        )
    )


def pause(beyond: int) -> timedelta:
    """How long to wait after so many attempts beyond the free ones: twice as long each time."""
    return min(FIRST_PAUSE * 2 ** min(beyond, 16), LONGEST_PAUSE)


def _subject(kind: str, value: str) -> str:
    plain = _network(value) if kind == "address" else value
    return hashlib.sha256(f"{kind}:{plain}".encode()).hexdigest()


def _network(address: str) -> str:
    """An IPv4 address; of IPv6 the /64 that one subscriber has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
