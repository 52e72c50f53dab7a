"""Who may ask for what. The table is written here by hand and walked cell by cell: every route of
the application, for everybody, in their own administration and in somebody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Blueprint
from werkzeug.test import TestResponse

from banklink.web import access
from banklink.web.factory import furnish
from tests.support.office import Guest, Office, opened
from tests.web.conftest import soup, words

# Route -> the first of these that gets in: everybody, signed in, reader, bookkeeper,
# administrator, owner. By hand; web/access.py is what it judges.
TABLE = {
    "GET /healthz": "everybody",
    "GET /static/<filename>": "everybody",
    "GET /assets/htmx.min.js": "everybody",
    "GET /badge/<number>.svg": "everybody",
    "POST /language": "everybody",
    "GET /returned/ponto": "everybody",
    "GET /returned/said/<what>": "everybody",
    "GET /returned/thanks": "everybody",
    "GET /invitation/<token>": "everybody",
    "POST /invitation/<token>/allow": "everybody",
    "POST /invitation/<token>/decline": "everybody",
    "POST /invitation/<token>/reopen": "everybody",
    "POST /invitation/<token>/ask": "everybody",
    "POST /invitation/<token>/finish": "everybody",
    "GET /holders": "signed in",
    "POST /administrations/<administration_id>/holders/invite": "bookkeeper",
    "POST /administrations/<administration_id>/invitations/<invitation_id>/again": "bookkeeper",
    "POST /administrations/<administration_id>/invitations/<invitation_id>/withdraw": "bookkeeper",
    "POST /administrations/<administration_id>/invitations/<invitation_id>/link": "bookkeeper",
    "POST /connections/<connection_id>/repair": "bookkeeper",
    "POST /connections/<connection_id>/invite": "bookkeeper",
    "POST /connections/<connection_id>/request": "bookkeeper",
    "POST /connections/<connection_id>/invitation/again": "bookkeeper",
    "POST /connections/<connection_id>/invitation/withdraw": "bookkeeper",
    "POST /connections/<connection_id>/invitation/link": "bookkeeper",
    "GET /sign-in": "everybody",
    "POST /sign-in": "everybody",
    "POST /sign-out": "everybody",
    "GET /set-up/<token>": "everybody",
    "POST /set-up/<token>": "everybody",
    "GET /password/<token>": "everybody",
    "POST /password/<token>": "everybody",
    "GET /reminders/<token>": "everybody",
    "POST /reminders/<token>": "everybody",
    "POST /reminders/<token>/on": "everybody",
    "POST /password/<token>/join": "signed in",
    "GET /": "signed in",
    "GET /administrations": "signed in",
    "GET /administrations/found": "signed in",
    "GET /administrations.csv": "signed in",
    "GET /administrations/renewal-requests": "signed in",
    "POST /administrations/renewal-requests": "signed in",
    "GET /gallery": "signed in",
    "GET /help": "signed in",
    "GET /start": "owner",
    "GET /books": "signed in",
    "POST /books": "owner",
    "GET /provider": "owner",
    "POST /provider": "owner",
    "POST /provider/test": "owner",
    "GET /people": "owner",
    "POST /people/<user_id>/shut-out": "owner",
    "POST /people/<user_id>/let-in": "owner",
    "GET /administrations/<administration_id>/settings": "administrator",
    "POST /administrations/<administration_id>/settings": "administrator",
    "GET /administrations/<administration_id>/settings/consequence": "administrator",
    "GET /administrations/<administration_id>/journals": "reader",
    "GET /administrations/<administration_id>/journals/add": "bookkeeper",
    "POST /administrations/<administration_id>/journals/add": "bookkeeper",
    "GET /administrations/<administration_id>/journals/import": "bookkeeper",
    "POST /administrations/<administration_id>/journals/import": "bookkeeper",
    "GET /administrations/<administration_id>/journals/<journal_id>": "bookkeeper",
    "POST /administrations/<administration_id>/journals/<journal_id>": "bookkeeper",
    "GET /administrations/<administration_id>/journals/<journal_id>/consequence": "bookkeeper",
    "POST /administrations/<administration_id>/journals/<journal_id>/clear": "bookkeeper",
    "POST /administrations/<administration_id>/journals/<journal_id>/undo": "bookkeeper",
    "POST /administrations/<administration_id>/journals/<journal_id>/delete": "bookkeeper",
    "GET /outbox": "signed in",
    "GET /outbox/<mail_id>": "signed in",
    "GET /outbox/<mail_id>/html": "signed in",
    "POST /outbox/<mail_id>/send": "signed in",
    "POST /outbox/<mail_id>/sent": "signed in",
    "POST /outbox/test": "owner",
    "GET /account": "signed in",
    "POST /account": "signed in",
    "POST /account/password": "signed in",
    "POST /account/sessions/<session_id>/end": "signed in",
    "GET /administrations/<administration_id>/rows": "reader",
    "GET /administrations/<administration_id>/people": "reader",
    "GET /administrations/<administration_id>/holders/<holder_id>": "reader",
    "GET /administrations/<administration_id>/holders/<holder_id>/consents.json": "bookkeeper",
    "POST /administrations/<administration_id>/holders/<holder_id>/withdraw": "bookkeeper",
    "POST /administrations/<administration_id>/holders/<holder_id>/forget": "administrator",
    "POST /administrations/<administration_id>/refresh": "bookkeeper",
    "POST /administrations/<administration_id>/journals": "bookkeeper",
    "POST /administrations/<administration_id>/people": "administrator",
    "POST /administrations/<administration_id>/people/<user_id>/role": "administrator",
    "POST /administrations/<administration_id>/people/<user_id>/remove": "administrator",
    "POST /administrations/<administration_id>/people/invitations/<link_id>/withdraw": (
        "administrator"
    ),
    "GET /connections/<connection_id>/row": "reader",
    "GET /connections/<connection_id>/transactions": "reader",
    "GET /connections/<connection_id>/exports": "reader",
    "GET /connections/<connection_id>/exports/<number>/<format>": "reader",
    "POST /connections/<connection_id>/exports/new": "bookkeeper",
    "POST /connections/<connection_id>/exports/period": "bookkeeper",
    "GET /connections/<connection_id>/transactions/<transaction_id>": "reader",
    "POST /connections/<connection_id>/transactions/<transaction_id>/remove": "bookkeeper",
    "POST /connections/<connection_id>/transactions/<transaction_id>/restore": "bookkeeper",
    "GET /connections/<connection_id>/review": "reader",
    "POST /connections/<connection_id>/review/accept": "bookkeeper",
    "POST /connections/<connection_id>/review/reject": "bookkeeper",
    "POST /connections/<connection_id>/review/seen": "bookkeeper",
    "GET /connections/<connection_id>/coverage": "reader",
    "GET /connections/<connection_id>/fetches": "reader",
    "GET /connections/<connection_id>/fetches/progress": "reader",
    "GET /connections/<connection_id>/preview": "bookkeeper",
    "GET /connections/<connection_id>/upload": "bookkeeper",
    "POST /connections/<connection_id>/upload": "bookkeeper",
    "GET /connections/<connection_id>/uploads/<upload_id>": "bookkeeper",
    "GET /connections/<connection_id>/uploads/<upload_id>/columns": "bookkeeper",
    "POST /connections/<connection_id>/uploads/<upload_id>/columns": "bookkeeper",
    "POST /connections/<connection_id>/uploads/<upload_id>/confirm": "bookkeeper",
    "POST /connections/<connection_id>/uploads/<upload_id>/cancel": "bookkeeper",
    "POST /connections/<connection_id>/uploads/<upload_id>/undo": "bookkeeper",
    "POST /connections/<connection_id>/activate": "bookkeeper",
    "POST /connections/<connection_id>/arm": "bookkeeper",
    "POST /connections/<connection_id>/disarm": "bookkeeper",
    "POST /connections/<connection_id>/change-start": "bookkeeper",
    "POST /connections/<connection_id>/choose-journal": "bookkeeper",
    "POST /connections/<connection_id>/hide": "bookkeeper",
    "POST /connections/<connection_id>/show": "bookkeeper",
    "POST /connections/<connection_id>/remove": "bookkeeper",
    "POST /connections/<connection_id>/switch-off": "bookkeeper",
    "POST /connections/<connection_id>/undo": "bookkeeper",
    "POST /connections/<connection_id>/use-holder": "bookkeeper",
    "POST /connections/<connection_id>/fetch": "bookkeeper",
    "POST /connections/<connection_id>/finish": "bookkeeper",
    "POST /connections/<connection_id>/grant": "bookkeeper",
    "POST /connections/<connection_id>/connect": "bookkeeper",
    "POST /connections/<connection_id>/renew": "bookkeeper",
}
ROLES = ("reader", "bookkeeper", "administrator")
WHO = ("nobody", *ROLES, "owner")
NOBODY_HAS = 987_654


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(tmp_path_factory.mktemp("office")) as found:
        own, connection = found.administration("Own")
        foreign, foreign_connection = found.administration("Foreign")
        for role in ROLES:
            found.user(f"{role}@own.nl", {own: role})
        found.user("owner@own.nl", owner=True)
        found.user("boss@foreign.nl", {foreign: "administrator"})
        found.numbers = {  # type: ignore[attr-defined]
            "own": {"administration_id": own, "connection_id": connection},
            "foreign": {
                "administration_id": foreign,
                "connection_id": foreign_connection,
            },
            "absent": {"administration_id": NOBODY_HAS, "connection_id": 2**40},
        }
        yield found


def routes(office: Office) -> dict[str, set[str]]:
    """Every route with a method, as in TABLE, and the numbers its address asks for."""
    found = {}
    for rule in office.parts.web.url_map.iter_rules():
        path = "".join(
            f"<{text.rpartition(':')[2]}>" if dynamic else text for dynamic, text in rule._trace
        ).removeprefix("|")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found[f"{method} {path}"] = set(rule.arguments)
    return found


def test_every_route_stands_in_this_table(office: Office) -> None:
    assert set(routes(office)) == set(TABLE)


def ask(office: Office, guest: Guest, route: str, numbers: dict[str, int]) -> TestResponse:
    method, _space, path = route.partition(" ")
    fill = {
        "token": "made-up",
        "filename": "app.css",
        "what": "ended",
        "number": 3,
        "format": "csv",
        **numbers,
    }
    fill |= {"user_id": NOBODY_HAS, "link_id": NOBODY_HAS, "session_id": NOBODY_HAS}
    names = "journal_id mail_id holder_id invitation_id upload_id transaction_id"
    for name in names.split():
        fill[name] = NOBODY_HAS
    for name, value in fill.items():
        path = path.replace(f"<{name}>", str(value))
    return guest.get(path) if method == "GET" else guest.press(path)


def kept_out(answer: TestResponse) -> str | None:
    """How somebody was stopped at the door, None when they got in."""
    if answer.status_code == 303 and answer.location.startswith("/sign-in"):
        return "sign in"
    return {401: "sign in", 403: "role", 404: "not there"}.get(answer.status_code)


def expected(route: str, who: str, where: str, named: bool) -> str | None:
    needed = TABLE[route]
    if needed == "everybody":
        return None
    if who == "nobody":
        return "sign in"
    if needed == "signed in":
        return None
    if needed == "owner":
        return None if who == "owner" else "role"
    assert named
    if where != "own" or who == "owner":
        return "not there"
    return None if ROLES.index(who) >= ROLES.index(needed) else "role"


# A made-up link, person or session: let in, and told that it is not there.
NOT_THERE_ANYWAY = (
    "<token>",
    "<user_id>",
    "<link_id>",
    "<session_id>",
    "<journal_id>",
    "<mail_id>",
    "<holder_id>",
    "<invitation_id>",
    "<upload_id>",
    "<format>",
    "<transaction_id>",
    "thanks",
)


@pytest.mark.parametrize("where", ["own", "foreign", "absent"])
@pytest.mark.parametrize("who", WHO)
def test_each_cell_of_the_table_holds(office: Office, who: str, where: str) -> None:
    wrong = {}
    guest = office.guest() if who == "nobody" else office.signed_in(f"{who}@own.nl")
    for route, arguments in routes(office).items():
        named = bool(arguments & {"administration_id", "connection_id"})
        if route == "POST /sign-out":
            continue  # would end the walk; tests/web/test_sign_in.py
        answer = ask(office, guest, route, office.numbers[where])  # type: ignore[attr-defined]
        assert answer.status_code < 500, route
        found, wanted = kept_out(answer), expected(route, who, where, named)
        if wanted is None and found == "not there" and any(x in route for x in NOT_THERE_ANYWAY):
            continue
        if wanted is None and route == "POST /sign-in":
            continue  # nothing was filled in
        if route == "POST /account":
            assert who == "nobody" or answer.status_code == 400
        if found != wanted:
            wrong[route] = (found, wanted)
    assert wrong == {}


def test_too_small_a_role_is_told_so_in_a_sentence(office: Office) -> None:
    numbers = office.numbers["own"]  # type: ignore[attr-defined]
    guest = office.signed_in("reader@own.nl")
    answer = guest.press(f"/connections/{numbers['connection_id']}/switch-off")
    assert answer.status_code == 403
    assert "Vraag een beheerder" in words(soup(answer).main)
    quiet = guest.press(f"/connections/{numbers['connection_id']}/switch-off", htmx=True)
    assert quiet.status_code == 403 and "Vraag een beheerder" in quiet.json["text"]


def test_a_reader_sees_the_rows_and_nothing_to_press_in_them(office: Office) -> None:
    numbers = office.numbers["own"]  # type: ignore[attr-defined]
    bookkeeper, guest = office.signed_in("bookkeeper@own.nl"), office.signed_in("reader@own.nl")
    row = f"tbody#connection-{numbers['connection_id']}"
    offered = {str(each["data-action"]) for each in soup(bookkeeper.get("/")).select(f"{row} a")}
    assert {"arm", "choose-journal"} <= offered, "there is something to press"
    page = soup(guest.get("/"))
    assert page.select_one(row) is not None
    actions = {str(each["data-action"]) for each in page.select("main [data-action]")}
    assert actions == {"details", "transactions", "help"}
    way = page.select_one(f'{row} [id$="-menu-transactions"]')
    assert way is not None and guest.get(str(way["href"])).status_code == 200
    assert not page.select("main form[method=post]")
    details = guest.get(f"/connections/{numbers['connection_id']}/row?open=details")
    assert not soup(details).select("form")
    for form in ("activate", "arm", "change-start", "choose-journal", "remove"):
        for address in (
            f"/connections/{numbers['connection_id']}/row?open={form}",
            f"/?connection={numbers['connection_id']}&open={form}",
        ):
            assert guest.get(address).status_code == 403, address
    assert guest.get("/?open=add-journal").status_code == 403


def test_a_reader_sees_who_works_here_and_an_invitation_only_an_administrator(
    office: Office,
) -> None:
    own = office.numbers["own"]["administration_id"]  # type: ignore[attr-defined]
    page = soup(office.signed_in("reader@own.nl").get(f"/administrations/{own}/people"))
    assert "bookkeeper@own.nl" in words(page.main)
    assert not page.select("main [data-action]")
    assert (
        office.signed_in("bookkeeper@own.nl")
        .get(f"/administrations/{own}/people?open=invite")
        .status_code
        == 403
    )


def test_the_administration_in_the_address_is_one_of_ones_own_or_not_there(
    office: Office,
) -> None:
    foreign = office.numbers["foreign"]  # type: ignore[attr-defined]
    guest = office.signed_in("administrator@own.nl")
    assert guest.get(f"/?administration={foreign['administration_id']}").status_code == 404
    answer = guest.get(f"/?connection={foreign['connection_id']}&open=details")
    assert not soup(answer).select("tr.panel")


def test_a_route_that_nobody_declared_stops_the_start(tmp_path_factory: object) -> None:
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    with opened(tmp_path_factory.mktemp("undeclared")) as found:
        house = found.parts.web.extensions["banklink"]
        from banklink.web.factory import create_database

        web, store = create_database(found.parts.settings, "x" * 32)
        late = Blueprint("late", __name__)
        late.add_url_rule("/late", "page", lambda: "late")
        web.register_blueprint(late)
        with pytest.raises(access.UndeclaredRoute, match=r"late\.page"):
            furnish(web, house)
        store.engine.dispose()


def test_a_role_without_an_administration_to_have_it_in_stops_the_start(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(access.ACCESS, "maintenance.page", access.Who.READER)
    with pytest.raises(access.UndeclaredRoute, match=r"maintenance\.page"):
        access.declared(office.parts.web)
    monkeypatch.setitem(access.ACCESS, "maintenance.page", access.Who.SIGNED_IN)
    monkeypatch.setitem(access.ACCESS, "connections.row", access.Who.SIGNED_IN)
    with pytest.raises(access.UndeclaredRoute, match=r"connections\.row"):
        access.declared(office.parts.web)
