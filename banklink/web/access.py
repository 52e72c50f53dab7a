"""Who may ask for what: one row for every endpoint, and the one place where it is enforced.

A route without a row here stops the start (`declared`). The levels READER, BOOKKEEPER and
ADMINISTRATOR are roles in the administration that the address names by `administration_id` or
`connection_id`; somebody else's number answers 404 like one that does not exist, an insufficient
role 403 with a sentence. A level includes those below it. OWNER is of the installation and gives no
role in any administration.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache

from flask import Flask, abort, current_app, g, jsonify, make_response, redirect, request, url_for
from sqlalchemy import Select, bindparam, select
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from banklink.store.models import Connection, Membership
from banklink.web import kept
from banklink.web.addresses import came_from, is_htmx
from banklink.web.context import MOST, house
from banklink.web.i18n import _


class Who(IntEnum):
    PUBLIC = 0
    SIGNED_IN = 1
    READER = 2
    BOOKKEEPER = 3
    ADMINISTRATOR = 4
    OWNER = 5


ROLES: dict[str, Who] = {
    "reader": Who.READER,
    "bookkeeper": Who.BOOKKEEPER,
    "administrator": Who.ADMINISTRATOR,
}
"""The codes of memberships, from little to much."""

ACCESS: dict[str, Who] = {
    "healthz": Who.PUBLIC,
    "static": Who.PUBLIC,
    "htmx": Who.PUBLIC,
    "badge": Who.PUBLIC,
    "language": Who.PUBLIC,
    # Back from the bank, perhaps in another browser: the state, not the person, is what counts.
    "returned.ponto": Who.PUBLIC,
    "returned.said": Who.PUBLIC,
    # The token says what may be seen; who answers, the provider or the bank has to find out.
    "landing.page": Who.PUBLIC,
    "landing.allow": Who.PUBLIC,
    "landing.decline": Who.PUBLIC,
    "landing.reopen": Who.PUBLIC,
    "landing.ask": Who.PUBLIC,
    "landing.finish": Who.PUBLIC,
    "landing.thanks": Who.PUBLIC,
    # The list picks an administration of the person's own (context.my_administration).
    "maintenance.page": Who.SIGNED_IN,
    # Summaries of the person's own administrations; whom they may ask, they check themselves.
    "office.page": Who.SIGNED_IN,
    "office.found": Who.SIGNED_IN,
    "office.download": Who.SIGNED_IN,
    "office_requests.confirm": Who.SIGNED_IN,
    "office_requests.send": Who.SIGNED_IN,
    "gallery.page": Who.SIGNED_IN,
    "help.page": Who.SIGNED_IN,
    "start.page": Who.OWNER,
    "books.page": Who.SIGNED_IN,
    "books.create": Who.OWNER,
    "books.settings": Who.ADMINISTRATOR,
    "books.change": Who.ADMINISTRATOR,
    "books.consequence": Who.ADMINISTRATOR,
    "holders.page": Who.SIGNED_IN,
    "holders.invite": Who.BOOKKEEPER,
    "holders.again": Who.BOOKKEEPER,
    "holders.withdraw": Who.BOOKKEEPER,
    "holders.link": Who.BOOKKEEPER,
    "journals.page": Who.READER,
    "journals.new": Who.BOOKKEEPER,
    "journals.add": Who.BOOKKEEPER,
    "journals.list_form": Who.BOOKKEEPER,
    "journals.take_in": Who.BOOKKEEPER,
    "journals.journal": Who.BOOKKEEPER,
    "journals.change": Who.BOOKKEEPER,
    "journals.consequence": Who.BOOKKEEPER,
    "journals.clear": Who.BOOKKEEPER,
    "journals.undo": Who.BOOKKEEPER,
    "journals.delete": Who.BOOKKEEPER,
    "provider.page": Who.OWNER,
    "provider.save": Who.OWNER,
    "provider.test": Who.OWNER,
    # Which mails somebody may see hangs on their roles (web/outbox.py).
    "outbox.page": Who.SIGNED_IN,
    "outbox.mail": Who.SIGNED_IN,
    "outbox.html": Who.SIGNED_IN,
    "outbox.send": Who.SIGNED_IN,
    "outbox.sent": Who.SIGNED_IN,
    "outbox.test": Who.OWNER,
    "maintenance.rows": Who.READER,
    "maintenance.refresh": Who.BOOKKEEPER,
    "maintenance.add_journal": Who.BOOKKEEPER,
    "connections.row": Who.READER,
    "transactions.page": Who.READER,
    "transactions.one": Who.READER,
    "transactions.remove": Who.BOOKKEEPER,
    "transactions.restore": Who.BOOKKEEPER,
    "review.page": Who.READER,
    "review.accept": Who.BOOKKEEPER,
    "review.reject": Who.BOOKKEEPER,
    "review.seen": Who.BOOKKEEPER,
    "coverage.page": Who.READER,
    "fetches.page": Who.READER,
    "fetches.progress": Who.READER,
    "connections.preview": Who.BOOKKEEPER,
    # Who may look may take along what went out; making statements takes a number.
    "exports.page": Who.READER,
    "exports.download": Who.READER,
    "exports.new": Who.BOOKKEEPER,
    "exports.of_period": Who.BOOKKEEPER,
    "connections.activate": Who.BOOKKEEPER,
    "connections.arm": Who.BOOKKEEPER,
    "connections.disarm": Who.BOOKKEEPER,
    "connections.change_start": Who.BOOKKEEPER,
    "connections.choose_journal": Who.BOOKKEEPER,
    "connections.remove": Who.BOOKKEEPER,
    "connections.hide": Who.BOOKKEEPER,
    "connections.show": Who.BOOKKEEPER,
    "connections.switch_off": Who.BOOKKEEPER,
    "connections.undo": Who.BOOKKEEPER,
    "connections.use_holder": Who.BOOKKEEPER,
    "connections.fetch": Who.BOOKKEEPER,
    "connections.finish": Who.BOOKKEEPER,
    "uploads.page": Who.BOOKKEEPER,
    "uploads.give": Who.BOOKKEEPER,
    "uploads.look": Who.BOOKKEEPER,
    "uploads.which_columns": Who.BOOKKEEPER,
    "uploads.columns": Who.BOOKKEEPER,
    "uploads.confirm": Who.BOOKKEEPER,
    "uploads.cancel": Who.BOOKKEEPER,
    "uploads.undo": Who.BOOKKEEPER,
    "asking.repair": Who.BOOKKEEPER,
    "asking.invite": Who.BOOKKEEPER,
    "asking.request": Who.BOOKKEEPER,
    "asking.again": Who.BOOKKEEPER,
    "asking.withdraw": Who.BOOKKEEPER,
    "asking.link": Who.BOOKKEEPER,
    "connections.grant": Who.BOOKKEEPER,
    "connections.connect": Who.BOOKKEEPER,
    "connections.renew": Who.BOOKKEEPER,
    "doors.sign_in": Who.PUBLIC,
    "doors.sign_out": Who.PUBLIC,
    # The token in the address is what lets somebody in.
    "doors.set_up": Who.PUBLIC,
    "doors.password": Who.PUBLIC,
    # So is this one's; mail programs press the button too.
    "reminders.page": Who.PUBLIC,
    "reminders.stop": Who.PUBLIC,
    "reminders.resume": Who.PUBLIC,
    "doors.join": Who.SIGNED_IN,
    "account.page": Who.SIGNED_IN,
    "account.save": Who.SIGNED_IN,
    "account.save_password": Who.SIGNED_IN,
    "account.end_session": Who.SIGNED_IN,
    "consents.page": Who.READER,
    "consents.download": Who.BOOKKEEPER,
    "consents.do_withdraw": Who.BOOKKEEPER,
    "consents.do_forget": Who.ADMINISTRATOR,
    "people.members": Who.READER,
    "people.invite": Who.ADMINISTRATOR,
    "people.withdraw": Who.ADMINISTRATOR,
    "people.change_role": Who.ADMINISTRATOR,
    "people.remove": Who.ADMINISTRATOR,
    "everybody.page": Who.OWNER,
    "everybody.shut_out": Who.OWNER,
    "everybody.let_in": Who.OWNER,
}

UNATTENDED = frozenset({"maintenance.rows", "fetches.progress"})
"""Asked by an open page without anybody at the desk: keeps no session alive, moves no page."""


class UndeclaredRoute(Exception):
    """A route has no row in ACCESS, or a row has no route or no administration to be checked."""


def declared(app: Flask) -> None:
    """Raises UndeclaredRoute, at start, for whatever could not be enforced."""
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    for name in sorted(routes - ACCESS.keys()):
        raise UndeclaredRoute(f"{name} has no row in web/access.py: say who may ask for it")
    for name in sorted(ACCESS.keys() - routes):
        raise UndeclaredRoute(f"{name} stands in web/access.py but is no route")
    for rule in app.url_map.iter_rules():
        named = {"administration_id", "connection_id"} & rule.arguments
        if bool(named) != (ACCESS[rule.endpoint] in ROLES.values()):
            raise UndeclaredRoute(
                f"{rule.endpoint}: a role needs an administration in the address, and only a role"
                " lets somebody at one"
            )


def guard() -> BaseResponse | None:
    """Before every request, once `g.person` is known. Aborts 403 or 404; answers itself when the
    person has to sign in first."""
    if request.endpoint is None:
        return None  # no such address, or not with this method: the error page says so
    needed = ACCESS[request.endpoint]
    if needed is Who.PUBLIC:
        return None
    person = g.get("person")
    if person is None:
        return sign_in_first()
    if request.method == "POST":
        kept.forget()
    if any(n >= MOST for n in (request.view_args or {}).values() if isinstance(n, int)):
        abort(404)  # beyond any row; databases refuse to look
    if needed is Who.OWNER:
        if not person.is_owner:
            abort(403)
        return None
    if needed is Who.SIGNED_IN:
        return None
    role = _role(person.id)
    if role is None:
        abort(404)
    g.role = role
    if ROLES[role] < needed:
        abort(403)
    return None


def _role(person_id: int) -> str | None:
    """The person's role where the address leads, None when that is not theirs or is not there."""
    named = request.view_args or {}
    given = {name: named[name] for name in _LEADING & named.keys()}
    asked = _role_where(frozenset(given))
    with house().services.store.look() as database:
        role: str | None = database.scalar(asked, {"user": person_id, **given})
    return role


_LEADING = frozenset({"connection_id", "administration_id"})


@cache
def _role_where(named: frozenset[str]) -> Select[str]:
    wanted = select(Membership.role).where(Membership.user_id == bindparam("user"))
    if "connection_id" in named:
        wanted = wanted.join(
            Connection, Connection.administration_id == Membership.administration_id
        ).where(Connection.id == bindparam("connection_id"))
    if "administration_id" in named:
        wanted = wanted.where(Membership.administration_id == bindparam("administration_id"))
    return wanted


# -- not signed in ------------------------------------------------------------------------------


def sign_in_first() -> BaseResponse:
    """A page leads to the sign-in and from there back. What a script asked for is answered 401: a
    GET takes the page along, a POST leaves the page with what was typed and says what to do."""
    back = _whence()
    if not is_htmx():
        if request.method == "POST":
            kept.keep()
        ended = None if request.method == "GET" else "1"
        return redirect(url_for("doors.sign_in", next=back, ended=ended), 303)
    if request.method == "GET" and request.endpoint not in UNATTENDED:
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = url_for("doors.sign_in", next=back)
        return answer
    answer = jsonify(
        text=_(
            "You are no longer signed in, so nothing was changed. Sign in in a new tab and try"
            " again here; what you typed is still there."
        ),
        label=_("Sign in"),
        url=url_for("doors.sign_in", next=back),
    )
    answer.status_code = 401
    return answer


def _whence() -> str | None:
    """The address to come back to: this one, or the page the request came from."""
    if request.method == "GET" and not is_htmx():
        return local(request.full_path.rstrip("?"))
    parts = came_from()
    if parts.netloc != request.host:
        return None
    back = local(parts.path + (f"?{parts.query}" if parts.query else ""))
    if back is None or not _can_be_read(parts.path):
        return None
    connection_id = (request.view_args or {}).get("connection_id")
    return back if connection_id is None else f"{back}#connection-{connection_id}"


def _can_be_read(path: str) -> bool:
    try:
        current_app.url_map.bind(request.host).match(path, method="GET")
    except HTTPException:
        return False
    return True


def local(target: str) -> str | None:
    """`target` when it is a path on this site and cannot be read as anything else, else None."""
    safe = target.startswith("/") and target.isprintable() and target[1:2] not in ("/", "\\")
    return target if safe else None
