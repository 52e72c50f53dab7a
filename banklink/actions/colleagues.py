"""Who of the bookkeeping side is written to, and who answers for an administration."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from banklink.actions.services import Office, Services
from banklink.store.models import Connection, Invitation, Membership, User

ROLES = ("bookkeeper", "administrator")


def can_read_mail() -> tuple[ColumnElement[bool], ...]:
    """The condition of a query for people who work here: let in, and with a password. An owner
    without one is the demo's, who is signed in by themselves."""
    return (
        User.disabled_at.is_(None),
        User.password_hash.is_not(None) | User.is_owner,
    )


def bookkeepers(session: Session, administration_ids: Iterable[int]) -> dict[int, list[User]]:
    """By administration, in a fixed order."""
    found: dict[int, list[User]] = {each: [] for each in administration_ids}
    for administration_id, user in session.execute(
        select(Membership.administration_id, User)
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.administration_id.in_(list(found)),
            Membership.role.in_(ROLES),
            *can_read_mail(),
        )
        .order_by(User.id)
    ):
        found[administration_id].append(user)
    return found


def who_helps(people: Iterable[User], name: str | None) -> User | None:
    """Who answers a reply: the one who switched it on (`name`), as long as they are still here."""
    found = list(people)
    return next((each for each in found if each.name == name), next(iter(found), None))


def language(user: User, office: Office) -> str:
    return user.locale or office.locale


def who_asked(
    session: Session, administration_id: int, invitation: Invitation | None
) -> list[User]:
    """Who asked, as long as they are here; where the clock did, everybody who keeps these books."""
    people = bookkeepers(session, [administration_id])[administration_id]
    asked_by = invitation.created_by_id if invitation is not None else None
    return [each for each in people if each.id == asked_by] or people


def row_address(services: Services, connection: Connection) -> str:
    """Where a mail leads that is about one row (the address of web/addresses.py)."""
    return (
        f"{services.office.origin}/?administration={connection.administration_id}"
        f"&connection={connection.id}#connection-{connection.id}"
    )
