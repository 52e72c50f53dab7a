"""People: the first one, colleagues and their roles, forgotten passwords, one's own account.

Every way in is a link that works once and is handed over by a person: it lets somebody into the
books, so it does not lie about in a mailbox.
"""

from __future__ import annotations

import logging
from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, exists, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from banklink.actions.passwords import fits, hashed, judge
from banklink.actions.services import Missing, Refused, Services, Stale
from banklink.actions.sign_in import (
    begin,
    count_try,
    digest,
    end_all,
    forget_tries,
    new_token,
    plain_email,
)
from banklink.core.calendar import Moment
from banklink.store.models import Administration, Membership, OneTimeLink, User

log = logging.getLogger(__name__)

ROLES = ("reader", "bookkeeper", "administrator")
LASTS = {
    "setup": timedelta(hours=24),
    "reset": timedelta(hours=24),
    "colleague": timedelta(days=7),
}
_FIRST_USER_LOCK = 7_302_514_067


@dataclass(frozen=True, slots=True)
class Member:
    user: User
    role: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A colleague's link as its reader sees it. `known`: they have an account here already, and
    join with it."""

    link: OneTimeLink
    administration: str
    known: bool


# -- links that work once -----------------------------------------------------------------------


def _link(
    session: Session,
    at: Moment,
    purpose: str,
    *,
    user_id: int | None = None,
    administration_id: int | None = None,
    email: str | None = None,
    name: str | None = None,
    role: str | None = None,
    created_by: str | None = None,
    created_by_id: int | None = None,
) -> str:
    token = new_token()
    session.add(
        OneTimeLink(
            token_hash=digest(token),
            purpose=purpose,
            user_id=user_id,
            administration_id=administration_id,
            email=email,
            name=name,
            role=role,
            created_by=created_by,
            created_by_id=created_by_id,
            created_at=at.real,
            expires_at=at.real + LASTS[purpose],
        )
    )
    return token


def _found(session: Session, token: str, purposes: tuple[str, ...], at: Moment) -> OneTimeLink:
    """The link, still good. Raises Refused link_unknown, link_used or link_expired."""
    link = session.scalar(select(OneTimeLink).where(OneTimeLink.token_hash == digest(token)))
    if link is None or link.purpose not in purposes:
        raise Refused("link_unknown")
    if link.used_at is not None:
        raise Refused("link_used")
    if link.expires_at <= at.real:
        raise Refused("link_expired")
    if link.purpose == "reset" and session.get_one(User, link.user_id).disabled_at is not None:
        raise Refused("link_unknown")  # shut out since it was made
    if link.purpose == "colleague" and not session.scalar(
        select(OneTimeLink.id).where(OneTimeLink.id == link.id, _inviter_may())
    ):
        raise Refused("link_unknown")
    return link


def _inviter_may() -> ColumnElement[bool]:
    """An invitation stands only as long as who made it is an administrator there: else somebody
    who was removed could let themselves in again by a link they kept."""
    return exists().where(
        Membership.user_id == OneTimeLink.created_by_id,
        Membership.administration_id == OneTimeLink.administration_id,
        Membership.role == "administrator",
        User.id == Membership.user_id,
        User.disabled_at.is_(None),
    )


def _use(session: Session, link: OneTimeLink, at: Moment) -> None:
    """Once: of many who press at the same moment one gets through. Raises Refused link_used."""
    used = session.execute(
        update(OneTimeLink)
        .where(
            OneTimeLink.id == link.id,
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > at.real,
        )
        .values(used_at=at.real)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise Refused("link_used")


# -- the first person ---------------------------------------------------------------------------


def set_up_link(services: Services, at: Moment) -> str | None:
    """A token for the first person, None when there is one. Earlier tokens no longer work."""
    with services.store.write() as session:
        if _anybody(session):
            return None
        session.execute(delete(OneTimeLink).where(OneTimeLink.purpose == "setup"))
        return _link(session, at, "setup")


def can_set_up(services: Services, token: str, at: Moment) -> None:
    """Raises Refused when this link makes no first person (any more)."""
    with services.store.read() as session:
        _found(session, token, ("setup",), at)
        if _anybody(session):
            raise Refused("link_used")


def set_up(
    services: Services,
    token: str,
    at: Moment,
    *,
    name: str,
    email: str,
    password: str,
    locale: str,
    app_name: str,
    agent: str,
) -> str:
    """Make the owner of this installation; the token of their session. Raises Refused."""
    can_set_up(services, token, at)
    name, email = checked_name(name), checked_email(email)
    password_hash = hashed(judge(password, own_words=(email, name, app_name)))
    with services.store.write() as session:
        if not services.store.is_sqlite:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FIRST_USER_LOCK})
        link = _found(session, token, ("setup",), at)
        if _anybody(session):
            raise Refused("link_used")
        _use(session, link, at)
        user = User(
            name=name, email=email, password_hash=password_hash, is_owner=True, locale=locale
        )
        session.add(user)
        session.flush()
        log.info("set up: user %s owns this installation", user.id)
        return begin(session, user.id, at, agent)


def _anybody(session: Session) -> bool:
    return bool(session.scalar(select(func.count(User.id))))


# -- a new password -----------------------------------------------------------------------------


def reset_link(services: Services, email: str, at: Moment) -> str:
    """A token with which that person chooses a new password. For the operator: raises Refused
    nobody or shut_out. Earlier ones no longer work."""
    with services.store.write() as session:
        user = session.scalar(select(User).where(User.email == plain_email(email)))
        if user is None:
            raise Refused("nobody")
        if user.disabled_at is not None:
            raise Refused("shut_out")
        session.execute(
            delete(OneTimeLink).where(
                OneTimeLink.purpose == "reset", OneTimeLink.user_id == user.id
            )
        )
        return _link(session, at, "reset", user_id=user.id)


def for_whom(services: Services, token: str, at: Moment) -> User | Invitation:
    """What a password link is about. Changes nothing. Raises Refused."""
    with services.store.read() as session:
        link = _found(session, token, ("reset", "colleague"), at)
        if link.purpose == "reset":
            return session.get_one(User, link.user_id)
        known = session.scalar(select(User.id).where(User.email == link.email))
        administration = session.get_one(Administration, link.administration_id)
        return Invitation(link, administration.name, known is not None)


def choose_password(
    services: Services, token: str, at: Moment, *, password: str, app_name: str, agent: str
) -> tuple[str, int]:
    """Take a reset or colleague link: the token of a new session, and whose. Every other session
    of that person ends. Raises Refused; account_exists when a colleague should join instead."""
    about = for_whom(services, token, at)
    if isinstance(about, Invitation):
        if about.known:
            raise Refused("account_exists")
        words = (about.link.email or "", about.link.name or "", app_name)
    else:
        words = (about.email, about.name, app_name)
    password_hash = hashed(judge(password, own_words=words))
    try:
        with services.store.write() as session:
            link = _found(session, token, ("reset", "colleague"), at)
            _use(session, link, at)
            if link.purpose == "colleague":
                user = User(
                    name=link.name or "", email=link.email or "", password_hash=password_hash
                )
                session.add(user)
                session.flush()
                _admit(session, user.id, link)
            else:
                user = session.get_one(User, link.user_id, with_for_update=True)
                user.password_hash = password_hash
                end_all(session, user.id, at)
            log.info("user %s chose a password by a %s link", user.id, link.purpose)
            return begin(session, user.id, at, agent), user.id
    except IntegrityError:
        raise Refused("account_exists") from None


def join(services: Services, token: str, at: Moment, *, user_id: int) -> int:
    """Take a colleague link with an account that is there already; the administration's number.
    Raises Refused when the link is for somebody else."""
    with services.store.write() as session:
        link = _found(session, token, ("colleague",), at)
        user = session.get_one(User, user_id)
        if user.email != link.email:
            raise Refused("link_for_other")
        _use(session, link, at)
        _admit(session, user_id, link)
        assert link.administration_id is not None
        return link.administration_id


def _admit(session: Session, user_id: int, link: OneTimeLink) -> None:
    membership = session.get(Membership, (user_id, link.administration_id))
    if membership is None:
        session.add(
            Membership(
                user_id=user_id,
                administration_id=link.administration_id,
                role=link.role or "reader",
            )
        )


def change_password(
    services: Services,
    user_id: int,
    at: Moment,
    *,
    current: str,
    password: str,
    address: str,
    app_name: str,
    agent: str,
) -> str:
    """The token of the session that stays; all others end. Raises Refused, also too_many."""
    with services.store.read() as session:
        user = session.get_one(User, user_id)
    new = judge(password, own_words=(user.email, user.name, app_name))
    counted = count_try(services, at, email=user.email, address=address)
    if not fits(current, user.password_hash):
        raise Refused("password_wrong", field="current")
    password_hash = hashed(new)
    with services.store.write() as session:
        again = session.get_one(User, user_id, with_for_update=True)
        if again.password_hash != user.password_hash:
            raise Refused("password_wrong", field="current")
        again.password_hash = password_hash
        forget_tries(session, counted, user.email)
        end_all(session, user_id, at)
        session.execute(
            delete(OneTimeLink).where(
                OneTimeLink.purpose == "reset", OneTimeLink.user_id == user_id
            )
        )
        log.info("user %s changed the password", user_id)
        return begin(session, user_id, at, agent)


def change_account(services: Services, user_id: int, *, name: str, locale: str) -> None:
    """Raises Refused when the name is missing or too long."""
    name = checked_name(name)
    with services.store.write() as session:
        user = session.get_one(User, user_id)
        user.name, user.locale = name, locale


# -- who works in an administration -------------------------------------------------------------


def members(session: Session, administration_id: int) -> list[Member]:
    """By name; those with most to say first would change under one's hands."""
    rows = session.execute(
        select(User, Membership.role)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.administration_id == administration_id)
        .order_by(func.lower(User.name), User.id)
    )
    return [Member(user, role) for user, role in rows]


def invitations(session: Session, administration_id: int, at: Moment) -> list[OneTimeLink]:
    """Links that were made and not yet used, newest first."""
    return list(
        session.scalars(
            select(OneTimeLink)
            .where(*_open(administration_id), OneTimeLink.expires_at > at.real, _inviter_may())
            .order_by(OneTimeLink.created_at.desc(), OneTimeLink.id.desc())
        )
    )


def _open(administration_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        OneTimeLink.purpose == "colleague",
        OneTimeLink.administration_id == administration_id,
        OneTimeLink.used_at.is_(None),
    )


def invite(
    services: Services,
    administration_id: int,
    at: Moment,
    *,
    name: str,
    email: str,
    role: str,
    actor: str,
    actor_id: int,
) -> str:
    """The token of a colleague's link; an earlier one for the same address no longer works.
    Raises Refused. Whether the address has an account here already is not told."""
    name, email, role = checked_name(name), checked_email(email), _role(role)
    with services.store.write() as session:
        member = session.scalar(
            select(User.name)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.administration_id == administration_id, User.email == email)
        )
        if member is not None:
            raise Refused("already_member", field="email", name=member)
        session.execute(
            delete(OneTimeLink).where(*_open(administration_id), OneTimeLink.email == email)
        )
        return _link(
            session,
            at,
            "colleague",
            administration_id=administration_id,
            email=email,
            name=name,
            role=role,
            created_by=actor,
            created_by_id=actor_id,
        )


def withdraw(services: Services, administration_id: int, link_id: int) -> None:
    """Raises Missing when it was used or withdrawn meanwhile."""
    with services.store.write() as session:
        gone = session.execute(
            delete(OneTimeLink).where(*_open(administration_id), OneTimeLink.id == link_id)
        )
        if gone.rowcount != 1:  # type: ignore[attr-defined]
            raise Missing


def change_role(
    services: Services,
    administration_id: int,
    user_id: int,
    *,
    role: str,
    seen: str | None = None,
) -> str:
    """The role it was before. `seen`: what it has to be still, where the person saw it. Raises
    Refused (last_administrator), Stale, Missing."""
    role = _role(role)
    with services.store.write() as session:
        membership = _membership(session, administration_id, user_id)
        was = membership.role
        if seen is not None and was != seen:
            raise Stale(None)
        if role != "administrator":
            _keep_one(session, membership)
        membership.role = role
        log.info("user %s is now %s in administration %s", user_id, role, administration_id)
    return was


def remove_member(services: Services, administration_id: int, user_id: int) -> None:
    """They no longer see this administration, from their next click on. Raises Refused
    (last_administrator), Missing."""
    with services.store.write() as session:
        membership = _membership(session, administration_id, user_id)
        _keep_one(session, membership)
        session.delete(membership)
        log.info("user %s left administration %s", user_id, administration_id)


def _membership(session: Session, administration_id: int, user_id: int) -> Membership:
    """With the administration locked, so that two administrators cannot remove each other."""
    session.get(Administration, administration_id, with_for_update=True)
    membership = session.get(Membership, (user_id, administration_id))
    if membership is None:
        raise Missing
    return membership


def _keep_one(session: Session, leaving: Membership) -> None:
    others = session.scalar(
        select(func.count(Membership.user_id))
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.administration_id == leaving.administration_id,
            Membership.user_id != leaving.user_id,
            Membership.role == "administrator",
            User.disabled_at.is_(None),
        )
    )
    if leaving.role == "administrator" and not others:
        raise Refused("last_administrator")


# -- everybody ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody with an account here, and in how many administrations they have a role."""

    user: User
    administrations: int


def everybody(session: Session) -> list[Account]:
    """By name."""
    rows = session.execute(
        select(User, func.count(Membership.administration_id))
        .outerjoin(Membership, Membership.user_id == User.id)
        .group_by(User.id)
        .order_by(func.lower(User.name), User.id)
    )
    return [Account(user, count) for user, count in rows]


def number_of(services: Services, email: str) -> int:
    """For the operator, who knows people by their address. Raises Refused nobody."""
    with services.store.read() as session:
        found = session.scalar(select(User.id).where(User.email == plain_email(email)))
    if found is None:
        raise Refused("nobody")
    return found


def kept_by_nobody_else(session: Session, user_id: int) -> list[Administration]:
    """The administrations whose only administrator this person is."""
    found = []
    for mine in session.scalars(
        select(Membership)
        .where(Membership.user_id == user_id)
        .order_by(Membership.administration_id)
    ):
        try:
            _keep_one(session, _membership(session, mine.administration_id, user_id))
        except Refused:
            found.append(session.get_one(Administration, mine.administration_id))
    return found


def shut_out(
    services: Services,
    user_id: int,
    at: Moment,
    *,
    successor: int | None = None,
    takes_over: Container[int] = (),
) -> str:
    """Nothing is open to this person any more, at once; roles stay, for `let_in`. Returns the name.
    `successor` becomes administrator of those administrations in `takes_over` that would be left
    without one. Raises Refused for the last owner (last_owner) and when some would still be
    (only_administrator, `which`), Missing."""
    with services.store.write() as session:
        user = session.get(User, user_id)
        if user is None:
            raise Missing
        owners = session.scalars(
            select(User.id)
            .where(User.is_owner, User.disabled_at.is_(None))
            .order_by(User.id)
            .with_for_update()
        ).all()
        if user.is_owner and set(owners) <= {user_id}:
            raise Refused("last_owner", name=user.name)
        alone = kept_by_nobody_else(session, user_id)
        left = [
            each.name for each in alone if each.id not in takes_over or successor in (None, user_id)
        ]
        if left:
            raise Refused("only_administrator", name=user.name, which=", ".join(left))
        for each in alone:
            key = {"administration_id": each.id, "user_id": successor}
            session.merge(Membership(**key, role="administrator"))
            log.info("user %s takes over administration %s", successor, each.id)
        if user.disabled_at is None:
            user.disabled_at = at.real
        end_all(session, user_id, at)
        session.execute(
            delete(OneTimeLink).where(
                OneTimeLink.purpose == "reset", OneTimeLink.user_id == user_id
            )
        )
        log.info("user %s is shut out", user_id)
        return user.name


def let_in(services: Services, user_id: int) -> str:
    """Whoever was shut out signs in again, with the roles they have. Returns the name. Raises
    Missing."""
    with services.store.write() as session:
        user = session.get(User, user_id)
        if user is None:
            raise Missing
        user.disabled_at = None
        log.info("user %s is let in again", user_id)
        return user.name


# -- what is typed ------------------------------------------------------------------------------


def checked_name(text: str) -> str:
    """As it is stored: one line. Raises Refused on field `name`."""
    name = " ".join(text.split())
    if not name:
        raise Refused("own_name_missing", field="name")
    if len(name) > 100 or not name.isprintable():
        raise Refused("own_name_long", field="name")
    return name


def checked_email(text: str) -> str:
    """As it is stored and compared. Raises Refused on field `email`."""
    email = plain_email(text)
    before, at_sign, host = email.partition("@")
    if not email:
        raise Refused("email_missing", field="email")
    fine = before and at_sign and "." in host.strip(".") and len(email) <= 254
    if not fine or not email.isprintable() or set(email) & set(" ,;<>\"'\\") or "@" in host:
        raise Refused("email_wrong", field="email")
    return email


def _role(text: str) -> str:
    if text not in ROLES:
        raise Refused("role_unknown", field="role")
    return text
