"""Signing in and out: sessions end here, guessing takes ever longer, and nobody learns who exists."""

from __future__ import annotations

import re
import threading
import zlib
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy.exc import IntegrityError

from banklink.actions import people
from banklink.actions import sign_in as acting
from banklink.actions.services import Refused
from banklink.store.models import Journal, User, UserSession
from banklink.web.kept import NEVER
from tests.support.office import PASSWORD, Guest, Office, opened
from tests.web.conftest import soup, words

SANNE = "sanne@kantoor.nl"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def office(request: Any, tmp_path: Path) -> Iterator[Office]:
    environment = {}
    if request.param == "postgresql":
        environment["BANKLINK_DATABASE_URL"] = request.getfixturevalue("postgres_server").migrated()
    with opened(tmp_path, **environment) as found:
        found.numbers = found.administration("Own")  # type: ignore[attr-defined]
        found.user(SANNE, {found.numbers[0]: "administrator"})  # type: ignore[attr-defined]
        yield found


@pytest.fixture
def sanne(office: Office) -> Guest:
    return office.signed_in(SANNE)


def is_in(guest: Guest) -> bool:
    return guest.get("/account").status_code == 200


def test_signing_in_leads_back_to_the_page_that_was_asked_for(office: Office) -> None:
    guest = office.guest()
    asked = guest.get("/?filter=todo&q=1100")
    assert asked.status_code == 303
    form = soup(guest.get(asked.location)).select_one("main form")
    assert form is not None
    answer = guest.press(str(form["action"]), {"email": f" {SANNE.upper()} ", "password": PASSWORD})
    assert (answer.status_code, answer.location) == (303, "/?filter=todo&q=1100")
    assert guest.get("/sign-in").location == "/", "signed in already"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(office: Office, target: str) -> None:
    answer = office.guest().sign_in(SANNE, query_string={"next": target})
    assert (answer.status_code, answer.location) == (303, "/")


def test_the_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites(office: Office) -> None:
    answer = office.guest().sign_in(SANNE)
    cookie = next(
        each for each in answer.headers.getlist("Set-Cookie") if each.startswith("banklink-session")
    )
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    with office.services.store.read() as session:
        stored = session.query(UserSession).one().token_hash
    assert stored not in cookie


def test_over_https_the_cookies_are_bound_to_this_host_and_the_browser_stays_with_https(
    tmp_path: Path,
) -> None:
    with opened(
        tmp_path,
        BANKLINK_ORIGIN="https://bank.example.nl",
        BANKLINK_SECRET_KEY="x" * 32,
        BANKLINK_ENCRYPTION_KEYS=Fernet.generate_key().decode(),
    ) as office:
        office.user(SANNE)
        answer = office.guest().sign_in(SANNE)
        assert answer.status_code == 303
        cookies = answer.headers.getlist("Set-Cookie")
        names = {each.partition("=")[0] for each in cookies}
        assert names == {"__Host-banklink", "__Host-banklink-session"}
        assert all("Secure" in each and "Domain" not in each for each in cookies)
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        elsewhere = office.guest().get("/sign-in", base_url="https://evil.example")
        assert elsewhere.status_code == 421
        assert not soup(elsewhere).select("input[name=password]")
        assert office.guest().get("/healthz", base_url="http://10.0.0.7").status_code == 200


def test_a_new_token_at_every_sign_in_and_the_one_that_was_there_ends(office: Office) -> None:
    guest = office.guest()
    guest.set_cookie("banklink-session", "planted-by-somebody", domain="localhost")
    guest.sign_in(SANNE)
    first = guest.session_token()
    assert first and first != "planted-by-somebody"
    guest.sign_in(SANNE)
    assert guest.session_token() != first
    thief = office.guest()
    thief.set_cookie("banklink-session", first, domain="localhost")
    assert not is_in(thief)
    assert is_in(guest)


def test_signing_out_ends_it_here_whatever_cookie_is_kept(sanne: Guest, office: Office) -> None:
    kept = sanne.session_token()
    answer = sanne.press("/sign-out")
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert sanne.session_token() is None
    sanne.set_cookie("banklink-session", str(kept), domain="localhost")
    assert not is_in(sanne)


def test_a_link_elsewhere_cannot_sign_anybody_out(sanne: Guest) -> None:
    assert sanne.get("/sign-out").status_code == 405
    assert sanne.post("/sign-out").status_code == 400
    assert is_in(sanne)


def test_after_twelve_hours_without_anybody_at_the_desk_it_is_over(
    sanne: Guest, office: Office
) -> None:
    number = office.numbers[0]  # type: ignore[attr-defined]
    for _hour in range(3):
        office.clock.later += timedelta(hours=11, minutes=59)
        assert is_in(sanne), "used within twelve hours"
    office.clock.later += timedelta(hours=11)
    assert sanne.get(f"/administrations/{number}/rows").status_code == 200, "the page asks itself"
    office.clock.later += timedelta(hours=1, minutes=1)
    assert not is_in(sanne), "an open page alone keeps nobody signed in"


def test_after_fourteen_days_it_is_over_however_busy(sanne: Guest, office: Office) -> None:
    for _half_day in range(28):
        office.clock.later += timedelta(hours=11, minutes=59)
        assert is_in(sanne)
    office.clock.later = timedelta(days=14, minutes=1)  # half an hour after the last click
    assert not is_in(sanne)


def test_the_account_page_lists_where_one_is_signed_in_and_ends_it_there(office: Office) -> None:
    here = office.guest()
    here.sign_in(SANNE, headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"})
    there = office.guest()
    there.sign_in(SANNE, headers={"User-Agent": "Mozilla/5.0 (iPhone) Safari/600"})
    stranger = office.user("piet@kantoor.nl")
    assert stranger
    other = office.signed_in("piet@kantoor.nl")
    page = soup(here.get("/account"))
    listed = [words(each) for each in page.select("li[id^=session-]")]
    assert len(listed) == 2
    assert any("Firefox, Windows deze browser" in each for each in listed)
    ends = [str(each["action"]) for each in page.select("li[id^=session-] form")]
    assert len(ends) == 1, "this browser has its own sign-out"
    assert other.press(ends[0]).status_code == 404
    assert is_in(there)
    assert here.press(ends[0]).status_code == 303
    assert is_in(here) and not is_in(there)


def test_a_new_password_ends_every_other_session(sanne: Guest, office: Office) -> None:
    other, old = office.signed_in(SANNE), sanne.session_token()
    wrong = sanne.press(
        "/account/password", {"current": "guess", "password": "een heel nieuwe zin"}
    )
    assert wrong.status_code == 422 and is_in(other)
    assert soup(wrong).select_one("#password-field-current[aria-invalid]") is not None
    answer = sanne.press(
        "/account/password", {"current": PASSWORD, "password": "een heel nieuwe zin"}
    )
    assert answer.status_code == 303
    assert is_in(sanne) and sanne.session_token() != old
    assert not is_in(other)
    assert office.guest().sign_in(SANNE).status_code == 422
    assert office.guest().sign_in(SANNE, "een heel nieuwe zin").status_code == 303


def test_who_is_shut_out_is_out_at_once(sanne: Guest, office: Office) -> None:
    from banklink.actions import people

    number = office.user("piet@kantoor.nl", {office.numbers[0]: "reader"})  # type: ignore[attr-defined]
    piet = office.signed_in("piet@kantoor.nl")
    people.shut_out(office.services, number, office.at())
    assert not is_in(piet)
    assert office.guest().sign_in("piet@kantoor.nl").status_code == 422


# -- a session that ended while somebody was at work --------------------------------------------


def test_a_press_after_the_session_ended_leaves_the_page_and_says_what_to_do(
    sanne: Guest, office: Office
) -> None:
    number = office.numbers[1]  # type: ignore[attr-defined]
    page = {"HX-Current-URL": f"http://localhost/?connection={number}&open=arm"}
    office.clock.later = timedelta(hours=13)
    answer = sanne.press(f"/connections/{number}/arm", htmx=True, headers=page)
    assert answer.status_code == 401
    assert "HX-Redirect" not in answer.headers
    assert "niet meer ingelogd" in answer.json["text"]
    assert answer.json["url"].startswith("/sign-in?next=/?connection%3D")
    asked = sanne.get(f"/connections/{number}/row", headers={"HX-Request": "true", **page})
    assert asked.status_code == 401
    assert asked.headers["HX-Redirect"].startswith("/sign-in?next=/?connection%3D")


def test_the_poll_of_an_open_page_does_not_take_a_half_filled_form_away(
    sanne: Guest, office: Office
) -> None:
    office.clock.later = timedelta(hours=13)
    number = office.numbers[0]  # type: ignore[attr-defined]
    answer = sanne.get(f"/administrations/{number}/rows", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "HX-Redirect" not in answer.headers


def test_without_javascript_signing_in_leads_back_to_the_row(sanne: Guest, office: Office) -> None:
    number = office.numbers[1]  # type: ignore[attr-defined]
    office.clock.later = timedelta(hours=13)
    answer = sanne.press(
        f"/connections/{number}/arm",
        headers={"Referer": f"http://localhost/?connection={number}&open=arm"},
    )
    assert answer.status_code == 303
    page = soup(sanne.get(answer.location))
    assert "niet meer ingelogd" in words(page.main)
    form = page.select_one("main form")
    assert form is not None
    again = sanne.press(str(form["action"]), {"email": SANNE, "password": PASSWORD})
    assert again.location == f"/?connection={number}&open=arm#connection-{number}"


def left(guest: Guest, office: Office, page: str, address: str, typed: dict[str, str]) -> str:
    """Press a form of a page after the session ended; where the sign-in is, with what it says."""
    page_form = soup(guest.get(page)).select_one(f'form[action="{address}"]')
    hidden = {
        str(each["name"]): str(each["value"]) for each in page_form.select("input[type=hidden]")
    }
    office.clock.later += timedelta(hours=13)
    referer = {"Referer": f"{guest.application.config['OFFICE']}{page}"}
    answer = guest.press(address, {**hidden, **typed}, headers=referer)
    assert answer.status_code == 303
    return str(answer.location)


def back(guest: Guest, sign_in: str, email: str) -> Any:
    """The page one is led to after signing in there."""
    form = soup(guest.get(sign_in)).select_one("main form")
    answer = guest.press(str(form["action"]), {"email": email, "password": PASSWORD})
    return soup(guest.get(answer.location))


def value(page: Any, name: str) -> str:
    return str(page.select_one(f"main [name={name}]")["value"])


def test_what_was_typed_is_back_after_signing_in_and_nothing_was_done(
    sanne: Guest, office: Office
) -> None:
    page = f"/administrations/{office.numbers[0]}/journals/add"  # type: ignore[attr-defined]
    typed = {"code": "1200", "name": "Spaarrekening <b>", "through": "2026-01-31"}
    sign_in = left(sanne, office, page, page, typed)
    assert "weer ingevuld" in words(soup(sanne.get(sign_in)).main)
    form = back(sanne, sign_in, SANNE)
    assert {name: value(form, name) for name in typed} == typed
    assert "Er is nog niets mee gedaan" in words(form.main)
    with office.services.store.read() as session:
        assert session.query(Journal).filter_by(code="1200").count() == 0
    assert value(soup(sanne.get(page)), "code") == "", "once"
    row = office.numbers[1]  # type: ignore[attr-defined]
    sign_in = left(
        sanne,
        office,
        f"/?connection={row}&open=arm",
        f"/connections/{row}/arm",
        {"start": "2026-02-03"},
    )
    assert value(back(sanne, sign_in, SANNE), "start") == "2026-02-03", "in a row as well"


def test_what_was_typed_is_for_who_typed_it_and_not_for_later(sanne: Guest, office: Office) -> None:
    own = office.numbers[0]  # type: ignore[attr-defined]
    office.user("piet@kantoor.nl", {own: "administrator"})
    page = f"/administrations/{own}/journals/add"
    typed = {"code": "1200", "name": "Geheim plan"}
    sign_in = left(sanne, office, page, page, typed)
    assert "Geheim plan" not in str(back(sanne, sign_in, "piet@kantoor.nl"))
    sanne.sign_in(SANNE)
    assert "Geheim plan" not in sanne.get(page).text, "it is gone, not waiting"
    sign_in = left(sanne, office, page, page, typed)
    office.clock.later += timedelta(minutes=31)
    assert "Geheim plan" not in str(back(sanne, sign_in, SANNE))
    sign_in = left(sanne, office, page, page, typed)
    sanne.sign_in(SANNE)
    sanne.press("/language", {"locale": "nl"})
    sanne.press("/account", {"name": "Sanne", "locale": "nl"})
    assert "Geheim plan" not in sanne.get(page).text, "they went on with something else"


def test_no_secret_no_forgery_and_nothing_large_is_kept(office: Office) -> None:
    def kept(guest: Guest) -> str:
        with guest.session_transaction() as cookie:
            sealed = cookie.get("kept")
        if sealed is None:
            return ""
        opened = office.services.vault.open(sealed)
        return zlib.decompress(b64decode(opened["values"])).decode()

    office.user("olga@kantoor.nl", owner=True)
    olga = office.signed_in("olga@kantoor.nl")
    names = ("client_secret", "certificate", "certificate_key", "password", "current")
    secrets = dict.fromkeys(names, "zeer geheim")
    office.clock.later += timedelta(hours=13)
    olga.press("/provider", {"client_id": "me", **secrets})
    assert "client_id" in kept(olga) and "zeer geheim" not in kept(olga)
    olga.press("/provider", {"client_id": "me", "csrf_token": "made up"})
    assert kept(olga) == "", "sent by another site"
    noise = "".join(chr(33 + (7 * n * n + n) % 90) for n in range(20_000))
    answer = olga.press("/provider", {"client_id": noise + token_hex(4_000)})
    assert (answer.status_code, kept(olga)) == (303, "")
    assert olga.press("/provider", {"client_id": "x" * 900_000}).status_code == 303
    largest = 0
    for size in range(200, 2_000, 50):
        answer = olga.press("/provider", {"client_id": token_hex(size)})
        cookies = answer.headers.getlist("Set-Cookie")
        largest = max([largest, *(len(each.partition(";")[0]) for each in cookies)])
    assert 2_000 < largest < 4_000, "a browser drops a larger cookie, and with it all the rest"


def test_every_field_that_hides_what_is_typed_is_never_kept() -> None:
    found = set()
    for path in (Path(acting.__file__).parents[1] / "web").glob("*.py"):
        for each in re.findall(r"Field\((.*?)\n\s*\)", path.read_text(), re.DOTALL):
            if 'type="password"' in each:
                found.add(re.search(r'name="(\w+)"', each)[1])  # type: ignore[index]
    assert {"password", "current", "client_secret"} <= found <= NEVER


def test_the_same_person_can_press_again_in_the_page_that_stayed_open(
    sanne: Guest, office: Office
) -> None:
    number = office.numbers[1]  # type: ignore[attr-defined]
    token = sanne.token()
    office.clock.later = timedelta(hours=13)
    sanne.sign_in(SANNE)
    answer = sanne.post(f"/connections/{number}/disarm", data={"csrf_token": token, "version": "1"})
    assert answer.status_code == 303
    office.user("piet@kantoor.nl")
    sanne.sign_in("piet@kantoor.nl")
    assert sanne.post("/language", data={"csrf_token": token}).status_code == 400, "somebody else"


# -- guessing -----------------------------------------------------------------------------------


def test_guessing_takes_ever_longer_and_the_sentence_says_how_long(office: Office) -> None:
    guest = office.guest()
    for _try in range(5):
        assert guest.sign_in(SANNE, "wrong guess").status_code == 422
    waits = []
    for _try in range(4):
        answer = guest.sign_in(SANNE, "wrong guess")
        assert answer.status_code == 429
        assert guest.sign_in(SANNE).status_code == 429, "the right one has to wait too"
        wait = int(answer.headers["Retry-After"])
        assert "Te veel pogingen" in words(soup(answer).main)
        waits.append(wait)
        office.clock.later += timedelta(seconds=wait + 1)
        assert guest.sign_in(SANNE, "wrong guess").status_code == 422
    assert waits == pytest.approx([15, 30, 60, 120], abs=1)
    office.clock.later += timedelta(hours=1, seconds=1)
    assert guest.sign_in(SANNE).status_code == 303


def test_one_address_cannot_try_every_account(office: Office) -> None:
    guest = office.guest()
    codes = [guest.sign_in(f"somebody{n}@kantoor.nl", "guess").status_code for n in range(21)]
    assert codes == [422] * 20 + [429]
    from_elsewhere = office.guest().sign_in(SANNE, environ_overrides={"REMOTE_ADDR": "203.0.113.9"})
    assert from_elsewhere.status_code == 303


def test_an_office_that_signs_in_well_is_never_stopped(office: Office) -> None:
    assert all(office.guest().sign_in(SANNE).status_code == 303 for _ in range(25))


def test_a_subscriber_with_many_addresses_counts_as_one(office: Office) -> None:
    for n in range(20):
        acting.count_try(office.services, office.at(), email=f"{n}", address=f"2001:db8::{n:x}")
    with pytest.raises(Refused):
        acting.count_try(office.services, office.at(), email="x", address="2001:db8::ffff")
    acting.count_try(office.services, office.at(), email="x", address="2001:db8:1::1")


def test_many_guesses_at_the_same_moment_are_all_counted(office: Office) -> None:
    def guess(_n: int) -> str:
        try:
            acting.count_try(office.services, office.at(), email=SANNE, address="203.0.113.9")
        except Refused as error:
            return error.code
        return "tried"

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(guess, range(20)))
    assert answers.count("tried") == 5


def test_nobody_learns_which_accounts_exist(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    real = acting.fits

    def fits(password: str, password_hash: str | None) -> bool:
        checked.append(password_hash is not None)
        return real(password, password_hash)

    monkeypatch.setattr(acting, "fits", fits)
    office.user("new@kantoor.nl")
    answers = []
    for email in (SANNE, "stranger@elsewhere.nl"):
        guest = office.guest()
        answer = guest.sign_in(email, "wrong guess")
        answers.append((answer.status_code, words(soup(answer).select_one("main [role=alert]"))))
        for _try in range(4):
            guest.sign_in(email, "wrong guess")
        answers.append((guest.sign_in(email, "wrong guess").status_code, ""))
    assert answers[:2] == answers[2:]
    assert set(checked) == {True, False}, "a check is made for a stranger too, just as slow"


def test_a_pasted_space_is_named_when_signing_in(office: Office) -> None:
    answer = office.guest().sign_in(SANNE, PASSWORD + " ")
    assert answer.status_code == 422
    assert "spatie" in words(soup(answer).main)
    assert office.guest().sign_in(SANNE, PASSWORD.upper()).status_code == 422


def test_a_database_error_does_not_repeat_what_was_in_the_row(office: Office) -> None:
    """The log of an incident holds the error's text; a password's hash has no business there."""
    office.user("twice@kantoor.nl")
    with pytest.raises(IntegrityError) as error, office.services.store.write() as session:
        session.add(User(email="twice@kantoor.nl", name="x", password_hash="canary-hash"))
        session.flush()
    assert "canary" not in str(error.value)


def test_a_change_of_password_ends_a_sign_in_that_was_under_way(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old password was right a moment ago; its session must not outlive the change."""
    link = people.reset_link(office.services, SANNE, office.at())
    begin, changed = acting.begin, threading.Event()

    def change() -> None:
        people.choose_password(
            office.services,
            link,
            office.at(),
            password="een heel andere zin",
            app_name="Banklink",
            agent="",
        )
        changed.set()

    other = threading.Thread(target=change)

    def slowly(*args: Any) -> str:
        token = begin(*args)
        args[0].flush()
        other.start()
        changed.wait(1.5)
        return token

    monkeypatch.setattr(acting, "begin", slowly)
    token, _user = acting.sign_in(
        office.services, office.at(), email=SANNE, password=PASSWORD, address="192.0.2.1", agent=""
    )
    other.join(20)
    assert changed.is_set()
    assert acting.signed_in(office.services, token, office.at(), attended=False) is None


def test_looking_at_the_sign_in_is_no_attempt(office: Office) -> None:
    for _ in range(25):
        assert office.guest().head("/sign-in").status_code == 200
    assert office.guest().sign_in(SANNE).status_code == 303


def test_what_no_browser_sends_is_answered_all_the_same(office: Office, sanne: Guest) -> None:
    for header in ("Referer", "HX-Current-URL"):
        stranger = office.guest().post("/books", headers={header: "http://["})
        assert stranger.status_code < 500
        assert sanne.get("/", headers={header: "http://[", "HX-Request": "true"}).status_code < 500
    assert office.guest().sign_in("sanne\x00@kantoor.nl").status_code in (401, 422)
    assert sanne.press(f"/account/sessions/{'9' * 20}/end").status_code == 404


def test_what_one_page_says_can_be_said_by_any_other(office: Office, sanne: Guest) -> None:
    """After *Save* on the account somebody goes straight to another page."""
    sanne.press("/account", {"name": "Sanne J.", "locale": "nl"})
    page = sanne.get("/books")
    assert page.status_code == 200
    assert "Opgeslagen." in words(soup(page).main) or "Bewaard." in words(soup(page).main)


def test_the_browser_s_own_cookie_is_renewed_once_a_day(office: Office) -> None:
    office.user("olga@kantoor.nl", owner=True)
    olga = office.signed_in("olga@kantoor.nl")

    def renewed() -> bool:
        cookies = olga.get("/account").headers.getlist("Set-Cookie")
        return any(each.startswith("banklink=") for each in cookies)

    renewed()
    assert not renewed()
    days = []
    for _ in range(5):
        office.clock.later += timedelta(hours=11)
        days.append(renewed())
        assert not renewed()
    assert 2 <= sum(days) <= 3, days
