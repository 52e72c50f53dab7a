"""The first person, colleagues and their roles, passwords, and the links that let people in once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from banklink.actions import people as acting
from banklink.actions.passwords import fits, hashed, judge
from banklink.actions.services import Refused
from banklink.settings import Settings
from banklink.store.models import Membership, User, UserSession
from tests.support.office import PASSWORD, Guest, Office, opened
from tests.web.conftest import soup, words

ANNA = {"name": "Anna de Boer", "email": "anna@kantoor.nl", "password": "een zin die ik onthoud"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def office(request: Any, tmp_path: Path) -> Iterator[Office]:
    environment = {}
    if request.param == "postgresql":
        environment["BANKLINK_DATABASE_URL"] = request.getfixturevalue("postgres_server").migrated()
    with opened(tmp_path, **environment) as found:
        yield found


def set_up_address(office: Office) -> str:
    token = acting.set_up_link(office.services, office.at())
    assert token is not None
    return f"/set-up/{token}"


# -- the first person ---------------------------------------------------------------------------


def test_the_first_person_becomes_owner_by_the_link_and_is_in(office: Office) -> None:
    guest, address = office.guest(), set_up_address(office)
    assert "installatielink" in words(soup(guest.get("/sign-in")).main)
    assert soup(guest.get(address)).select_one("input[name=password]")
    assert office.count(User) == 0, "looking at a link uses nothing"
    answer = guest.press(address, ANNA)
    assert (answer.status_code, answer.location) == (303, "/")
    page = soup(guest.get("/account"))
    assert "anna@kantoor.nl · eigenaar" in words(page.main)
    assert guest.get("/").location == "/start", "the guide takes it from here"
    assert office.guest().sign_in("ANNA@kantoor.nl", ANNA["password"]).status_code == 303


def test_what_is_wrong_is_said_at_the_field_and_the_link_still_works(office: Office) -> None:
    guest, address = office.guest(), set_up_address(office)
    for field, value in (("name", "  "), ("email", "anna@"), ("password", "kort")):
        answer = guest.press(address, {**ANNA, field: value})
        assert answer.status_code == 422
        page = soup(answer)
        assert [each["name"] for each in page.select("[aria-invalid]")] == [field]
        assert page.select_one("input[name=email]")["value"] == {**ANNA, field: value}["email"]
        assert ANNA["password"] not in answer.text
    assert guest.press(address, ANNA).status_code == 303


def test_the_set_up_link_works_once(office: Office) -> None:
    address = set_up_address(office)
    assert office.guest().press(address, ANNA).status_code == 303
    for answer in (
        office.guest().get(address),
        office.guest().press(address, {**ANNA, "email": "second@kantoor.nl"}),
    ):
        assert answer.status_code == 410
        assert "al gebruikt" in words(soup(answer).main)
    assert office.count(User) == 1
    assert acting.set_up_link(office.services, office.at()) is None, "none at the next start"


def test_the_set_up_link_is_good_for_a_day_and_only_the_newest(office: Office) -> None:
    older, newer = set_up_address(office), set_up_address(office)
    assert office.guest().press(older, ANNA).status_code == 404
    office.clock.later = timedelta(hours=24, seconds=1)
    answer = office.guest().press(newer, ANNA)
    assert answer.status_code == 410 and "verlopen" in words(soup(answer).main)
    assert office.count(User) == 0


def test_twenty_who_use_the_link_at_once_make_one_user(office: Office) -> None:
    token = set_up_address(office).removeprefix("/set-up/")

    codes: list[str] = []

    def try_it(n: int) -> bool:
        try:
            acting.set_up(
                office.services,
                token,
                office.at(),
                name=f"Anna {n}",
                email=f"anna{n}@kantoor.nl",
                password=ANNA["password"],
                locale="nl",
                app_name="Banklink",
                agent="",
            )
        except Refused as error:
            codes.append(error.code)
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(try_it, range(20))) == 1
    assert (office.count(User), office.count(UserSession)) == (1, 1)


# -- passwords ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "password_missing"),
        ("elf tekens.", "password_short"),
        ("a" * 7 + "b" * 122, "password_long"),
        (" vier rode fietsen", "password_spaces"),
        ("vier rode fietsen\n", "password_spaces"),
        ("vier rode fietsen\u00a0", "password_spaces"),
        ("zzzzzzzzzzzzzz", "password_one_character"),
        ("abcdefghijklmnop", "password_sequence"),
        ("ponmlkjihgfedcba", "password_sequence"),
        ("123456789012345", "password_sequence"),
        ("qwertyuiopasdf", "password_sequence"),
        ("welkom welkom welkom", "password_common"),
        ("123123123123", "password_common"),
        ("Wachtwoord123", "password_common"),
        ("password 1234", "password_common"),
        ("anna@kantoor.nl", "password_own_words"),
        ("AnnaDeBoer2026!", "password_own_words"),
        ("Banklink2026!!", "password_own_words"),
    ],
)
def test_a_password_that_is_guessed_at_once_is_refused_for_its_own_reason(
    password: str, code: str
) -> None:
    with pytest.raises(Refused) as caught:
        judge(password, own_words=("anna@kantoor.nl", "Anna de Boer", "Banklink"))
    assert (caught.value.code, caught.value.field) == (code, "password")


@pytest.mark.parametrize(
    "password",
    ["vier rode fietsen", "twaalftekens", "Anna eet graag kroketten", "x" + "yz" * 63 + "!"],
)
def test_a_long_one_is_good_without_digits_or_signs(password: str) -> None:
    own = ("anna@kantoor.nl", "Anna de Boer", "Banklink")
    assert judge(password, own_words=own) == password


def test_the_same_letters_typed_on_another_machine_are_the_same_password() -> None:
    stored = hashed("cafe\u0301 bij de bru\u0308g")
    assert fits("caf\u00e9 bij de br\u00fcg", stored)
    assert not fits("cafe bij de brug", stored)
    assert not fits(PASSWORD, None), "somebody without a password gets in with none"


# -- a link of the operator ---------------------------------------------------------------------


def test_a_forgotten_password_is_mended_by_a_link_that_works_once(office: Office) -> None:
    number, _connection = office.administration("Own")
    office.user("piet@kantoor.nl", {number: "bookkeeper"})
    elsewhere = office.signed_in("piet@kantoor.nl")
    stale = acting.reset_link(office.services, "piet@kantoor.nl", office.at())
    token = acting.reset_link(office.services, "Piet@kantoor.nl", office.at())
    guest = office.guest()
    assert guest.get(f"/password/{stale}").status_code == 404, "only the newest"
    page = soup(guest.get(f"/password/{token}"))
    assert page.select_one("input[name=email][readonly]")["value"] == "piet@kantoor.nl"
    assert elsewhere.get("/account").status_code == 200
    short = guest.press(f"/password/{token}", {"password": "kort"})
    assert short.status_code == 422
    assert guest.press(f"/password/{token}", {"password": "nieuw en heel lang"}).status_code == 303
    assert guest.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303, "signed out elsewhere"
    again = office.guest().press(f"/password/{token}", {"password": "van een dief, ook lang"})
    assert again.status_code == 410
    assert office.guest().sign_in("piet@kantoor.nl", "nieuw en heel lang").status_code == 303


def test_twenty_who_use_a_password_link_at_once_choose_one_password(office: Office) -> None:
    office.user("piet@kantoor.nl")
    token = acting.reset_link(office.services, "piet@kantoor.nl", office.at())

    def choose(n: int) -> str:
        password = f"de zin van nummer {n}"
        try:
            acting.choose_password(
                office.services, token, office.at(), password=password, app_name="", agent=""
            )
        except Refused as error:
            return error.code
        return password

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(choose, range(20)))
    assert answers.count("link_used") == 19
    (chosen,) = set(answers) - {"link_used"}
    assert office.guest().sign_in("piet@kantoor.nl", chosen).status_code == 303
    assert office.count(UserSession) == 2, "the link's, and the one just made"


def test_who_was_shut_out_does_not_come_back_by_a_link_made_before(office: Office) -> None:
    number = office.user("piet@kantoor.nl")
    token = acting.reset_link(office.services, "piet@kantoor.nl", office.at())
    acting.shut_out(office.services, number, office.at())
    guest = office.guest()
    assert guest.get(f"/password/{token}").status_code == 404
    answer = guest.press(f"/password/{token}", {"password": "nieuw en heel lang"})
    assert answer.status_code == 404 and "werkt niet" in words(soup(answer).main)
    assert guest.session_token() is None and office.count(UserSession) == 0


def test_a_bug_halfway_leaves_no_link_in_the_log_that_still_works(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = set_up_address(office)

    def broken(_password: str) -> str:
        raise RuntimeError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(acting, "hashed", broken)
        assert office.guest().press(address, ANNA).status_code == 500
    assert "at POST /set-up/…" in caplog.text
    for secret in (address.removeprefix("/set-up/"), ANNA["password"]):
        assert secret not in caplog.text
    assert office.guest().press(address, ANNA).status_code == 303, "nothing was used up"


def test_a_set_up_link_chooses_no_password_and_a_password_link_sets_nothing_up(
    office: Office,
) -> None:
    token = set_up_address(office).removeprefix("/set-up/")
    assert office.guest().press(f"/password/{token}", {"password": PASSWORD}).status_code == 404
    office.user("piet@kantoor.nl")
    reset = acting.reset_link(office.services, "piet@kantoor.nl", office.at())
    assert office.guest().press(f"/set-up/{reset}", ANNA).status_code == 404


# -- colleagues ---------------------------------------------------------------------------------


@pytest.fixture
def firm(office: Office) -> int:
    number, _connection = office.administration("Bakkerij")
    office.user("anna@kantoor.nl", {number: "administrator"}, owner=True)
    return number


def invite(anna: Guest, firm: int, **typed: str) -> str:
    """The address of the link the page shows."""
    answer = anna.press(
        f"/administrations/{firm}/people",
        {"name": "Piet Kok", "email": "piet@kantoor.nl", "role": "reader", **typed},
    )
    assert answer.status_code == 200, words(soup(answer).main)
    url = str(soup(answer).select_one("#fresh-link")["value"])
    found = re.fullmatch(r"http://localhost:\d+(/password/\S+)", url)
    assert found is not None
    return found[1]


def test_a_refused_issuer_leads_the_owner_to_the_setting_and_others_to_the_owner(
    office: Office, firm: int
) -> None:
    office.user("lea@kantoor.nl", {firm: "bookkeeper"})

    def told(guest: Guest) -> Any:
        return soup(guest.get("/returned/said/issuer")).select_one("main")

    assert told(office.signed_in("anna@kantoor.nl")).select_one("a#settings")["href"] == "/provider"
    lea = told(office.signed_in("lea@kantoor.nl"))
    assert "Alleen de eigenaar van deze installatie" in words(lea)
    assert "Anna" in words(lea)
    assert lea.select_one("a#settings") is None
    stranger = told(office.guest())
    assert "wie je hierheen stuurde" in words(stranger)
    assert "Anna" not in words(stranger), "names are not for everybody"


def test_the_page_says_when_a_link_works_on_this_machine_only(
    office: Office, firm: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh(email: str) -> Any:
        form = {"name": "Piet", "email": email, "role": "reader"}
        answer = anna.press(f"/administrations/{firm}/people", form)
        return soup(answer).select_one(".handed")

    anna = office.signed_in("anna@kantoor.nl")
    here = fresh("piet@kantoor.nl")
    assert "werkt alleen op deze computer" in words(here)
    copy = here.select_one("button[data-copy=fresh-link]")
    assert copy.has_attr("hidden"), "nothing to press without JavaScript"
    monkeypatch.setattr(Settings, "here_only", False)
    away = fresh("lea@kantoor.nl")
    assert "deze computer" not in words(away)


def role_of(office: Office, email: str, firm: int) -> str | None:
    with office.services.store.read() as session:
        found = (
            session.query(Membership)
            .join(User)
            .filter(User.email == email, Membership.administration_id == firm)
            .one_or_none()
        )
        return found.role if found else None


def test_a_colleague_comes_in_by_the_link_with_the_role_that_was_given(
    office: Office, firm: int
) -> None:
    anna = office.signed_in("anna@kantoor.nl")
    form = soup(anna.get(f"/administrations/{firm}/people?open=invite"))
    assert "mailt hem niet" in words(form.main)
    link = invite(anna, firm)
    listed = soup(anna.get(f"/administrations/{firm}/people"))
    assert "Piet Kok piet@kantoor.nl" in words(listed.main)
    assert link not in str(listed), "shown once"
    piet = office.guest()
    seen = soup(piet.get(link))
    assert "Anna nodigt je uit om mee te werken in de boeken van Bakkerij" in words(seen.main)
    assert piet.press(link, {"password": "mijn eerste lange zin"}).status_code == 303
    assert soup(piet.get("/")).select("tbody.connection")
    assert role_of(office, "piet@kantoor.nl", firm) == "reader"
    assert office.guest().press(link, {"password": "iemand anders zijn zin"}).status_code == 410


def test_a_newer_or_withdrawn_invitation_makes_the_old_link_worthless(
    office: Office, firm: int
) -> None:
    anna = office.signed_in("anna@kantoor.nl")
    first, second = invite(anna, firm), invite(anna, firm, role="bookkeeper")
    assert office.guest().get(first).status_code == 404
    page = soup(anna.get(f"/administrations/{firm}/people"))
    withdraw = page.select_one("li[id^=invitation-] form")
    assert withdraw is not None
    assert anna.press(str(withdraw["action"])).status_code == 303
    assert office.guest().press(second, {"password": "te laat, te laat!"}).status_code == 404
    assert anna.press(str(withdraw["action"])).status_code == 404
    third = invite(anna, firm)
    office.clock.later = timedelta(days=7, seconds=1)
    assert office.guest().get(third).status_code == 410


@pytest.mark.parametrize("how", ["removed", "demoted", "shut out"])
def test_an_invitation_ends_with_the_say_of_who_made_it(
    office: Office, firm: int, how: str
) -> None:
    """Else somebody who was removed could let themselves in again by a link they kept."""
    number = office.user("xander@kantoor.nl", {firm: "administrator"})
    link = invite(office.signed_in("xander@kantoor.nl"), firm, role="administrator")
    assert office.guest().get(link).status_code == 200
    if how == "removed":
        acting.remove_member(office.services, firm, number)
    elif how == "demoted":
        acting.change_role(office.services, firm, number, role="bookkeeper")
    else:
        acting.shut_out(office.services, number, office.at())
    guest = office.guest()
    assert guest.get(link).status_code == 404
    assert guest.press(link, {"password": "ik kom weer binnen"}).status_code == 404
    assert role_of(office, "piet@kantoor.nl", firm) is None
    page = office.signed_in("anna@kantoor.nl").get(f"/administrations/{firm}/people")
    assert "piet@kantoor.nl" not in page.text


def test_who_has_an_account_joins_with_it_and_the_link_alone_is_not_enough(
    office: Office, firm: int
) -> None:
    office.user("piet@kantoor.nl")
    office.user("eve@kantoor.nl")
    link = invite(office.signed_in("anna@kantoor.nl"), firm)
    thief = office.guest()
    assert thief.press(link, {"password": "ik neem het wel over"}).status_code == 200
    assert not soup(thief.get(link)).select("input[name=password]")
    eve = office.signed_in("eve@kantoor.nl")
    assert "voor piet@kantoor.nl" in words(soup(eve.get(link)).main)
    assert eve.press(f"{link}/join").status_code == 422
    assert role_of(office, "piet@kantoor.nl", firm) is None
    piet = office.signed_in("piet@kantoor.nl")
    assert soup(piet.get(link)).select_one(f'form[action="{link}/join"]')
    assert piet.press(f"{link}/join").status_code == 303
    assert role_of(office, "piet@kantoor.nl", firm) == "reader"
    assert office.guest().sign_in("piet@kantoor.nl").status_code == 303, "the password stayed"


def test_who_works_here_already_is_not_invited_again(office: Office, firm: int) -> None:
    anna = office.signed_in("anna@kantoor.nl")
    answer = anna.press(
        f"/administrations/{firm}/people",
        {"name": "A", "email": "ANNA@kantoor.nl", "role": "reader"},
    )
    assert answer.status_code == 422
    assert "werkt hier al" in words(soup(answer).select_one("#page-form-field-email-error"))
    odd = anna.press(
        f"/administrations/{firm}/people", {"name": "A", "email": "b@c.nl", "role": "owner"}
    )
    assert odd.status_code == 422


def test_a_role_changes_from_the_next_click_on(office: Office, firm: int) -> None:
    number = office.user("piet@kantoor.nl", {firm: "bookkeeper"})
    anna, piet = office.signed_in("anna@kantoor.nl"), office.signed_in("piet@kantoor.nl")
    assert piet.get("/?open=add-journal").status_code == 200
    form = soup(anna.get(f"/administrations/{firm}/people?open=role-{number}"))
    action = f"/administrations/{firm}/people/{number}/role"
    assert form.select_one(f'form[action="{action}"] input[value=bookkeeper][checked]')
    assert anna.press(action, {"role": "reader"}).status_code == 303
    assert piet.get("/?open=add-journal").status_code == 403
    removal = soup(anna.get(f"/administrations/{firm}/people?open=remove-{number}"))
    assert "ziet Bakkerij niet meer" in words(removal.main), "what follows is said first"
    assert anna.press(f"/administrations/{firm}/people/{number}/remove").status_code == 303
    assert piet.get(f"/?administration={firm}").status_code == 200
    assert "Nog geen administratie" in words(soup(piet.get("/")).main)
    assert piet.get(f"/administrations/{firm}/rows").status_code == 404


def test_the_last_administrator_can_neither_leave_nor_step_down(office: Office, firm: int) -> None:
    with office.services.store.read() as session:
        anna_id = session.query(User).filter_by(email="anna@kantoor.nl").one().id
    anna = office.signed_in("anna@kantoor.nl")
    for verb, data in (("role", {"role": "reader"}), ("remove", {})):
        answer = anna.press(f"/administrations/{firm}/people/{anna_id}/{verb}", data)
        assert answer.status_code == 422
        assert "enige beheerder" in words(soup(answer).select_one("main [role=alert]"))
    assert role_of(office, "anna@kantoor.nl", firm) == "administrator"
    gone = office.user("gone@kantoor.nl", {firm: "administrator"})
    acting.shut_out(office.services, gone, office.at())
    assert anna.press(f"/administrations/{firm}/people/{anna_id}/remove").status_code == 422, (
        "an administrator who is shut out is none"
    )
    office.user("piet@kantoor.nl", {firm: "administrator"})
    answer = anna.press(f"/administrations/{firm}/people/{anna_id}/remove")
    assert (answer.status_code, answer.location) == (303, "/")


def test_two_administrators_who_remove_each_other_at_once_leave_one(
    office: Office, firm: int
) -> None:
    with office.services.store.read() as session:
        anna = session.query(User).filter_by(email="anna@kantoor.nl").one().id
    piet = office.user("piet@kantoor.nl", {firm: "administrator"})

    def leave(number: int) -> bool:
        try:
            acting.remove_member(office.services, firm, number)
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(leave, [anna, piet])) == [False, True]


def test_the_last_owner_stays(office: Office, firm: int) -> None:
    with office.services.store.read() as session:
        anna = session.query(User).filter_by(email="anna@kantoor.nl").one().id
    office.user("piet@kantoor.nl", {firm: "administrator"})
    with pytest.raises(Refused, match="last_owner"):
        acting.shut_out(office.services, anna, office.at())
    office.user("second@kantoor.nl", owner=True)
    acting.shut_out(office.services, anna, office.at())
    assert office.guest().sign_in("anna@kantoor.nl").status_code == 422


@pytest.mark.parametrize("page", ["/", "/start", "/books", "/provider", "/people", "/help"])
def test_a_page_of_no_administration_leads_back_to_the_one_one_was_in(
    office: Office, firm: int, page: str
) -> None:
    other, _connection = office.administration("Elders")
    with office.services.store.write() as session:
        anna = session.query(User).filter_by(email="anna@kantoor.nl").one().id
        session.add(Membership(user_id=anna, administration_id=other, role="administrator"))
    guest = office.signed_in("anna@kantoor.nl")

    def leads() -> set[str]:
        links = soup(guest.get(page)).select("nav.sections a")
        named = " ".join(str(each["href"]) for each in links)
        return set(re.findall(r"administrations?[=/](\d+)", named))

    assert leads() == {str(firm)}
    guest.get(f"/administrations/{other}/people")
    guest.get(f"/administrations/{firm}/rows", headers={"HX-Request": "true"})
    assert leads() == {str(other)}, "a poll in another tab is no visit"
    with office.services.store.write() as session:
        session.delete(session.get_one(Membership, (anna, other)))
    assert leads() == {str(firm)}, "what is no longer one's own is forgotten"


def pressed(guest: Guest, page: Any, action: str) -> Any:
    """Press the button of that action on a page, with all its form holds."""
    form = page.select_one(f"main form:has(button[data-action={action}])")
    data = {str(each["name"]): str(each["value"]) for each in form.select("input")}
    return guest.press(str(form["action"]), data, follow_redirects=True)


def test_the_owner_shuts_somebody_out_of_everything_and_takes_it_back(
    office: Office, firm: int
) -> None:
    other, _connection = office.administration("Elders")
    office.user("boss@elders.nl", {other: "administrator"})
    number = office.user("piet@kantoor.nl", {firm: "bookkeeper", other: "administrator"})
    token = acting.reset_link(office.services, "piet@kantoor.nl", office.at())
    anna, piet = office.signed_in("anna@kantoor.nl"), office.signed_in("piet@kantoor.nl")
    page = soup(anna.get("/people"))
    assert "2 administraties" in words(page.select_one(f"#person-{number}"))
    asked = soup(anna.get(f"/people?open=out-{number}"))
    assert "meteen overal uitgelogd" in words(asked.main), "what follows is said first"
    assert piet.get("/").status_code == 200
    answer = pressed(anna, asked, "shut-out")
    assert "Buitengesloten sinds" in words(soup(answer).select_one(f"#person-{number}"))
    assert piet.get("/").location.startswith("/sign-in")
    assert office.guest().sign_in("piet@kantoor.nl").status_code == 422
    colleagues = soup(anna.get(f"/administrations/{firm}/people"))
    assert "buitengesloten" in words(colleagues.select_one(f"#person-{number}"))
    again = pressed(anna, soup(answer), "undo")
    assert "kan weer inloggen" in words(soup(again).main)
    assert office.signed_in("piet@kantoor.nl").get("/").status_code == 200
    assert role_of(office, "piet@kantoor.nl", firm) == "bookkeeper"
    assert office.guest().get(f"/password/{token}").status_code == 404, "but by no old link"


def test_nobody_is_shut_out_who_leaves_books_or_house_without_a_keeper(
    office: Office, firm: int
) -> None:
    other, _connection = office.administration("Elders")
    piet = office.user("piet@kantoor.nl", {other: "administrator"})
    anna = office.signed_in("anna@kantoor.nl")
    answer = anna.press(f"/people/{piet}/shut-out")
    assert answer.status_code == 422
    assert "Niemand anders is inmiddels beheerder van Elders" in words(soup(answer).main)
    with office.services.store.read() as session:
        own = session.query(User).filter_by(email="anna@kantoor.nl").one().id
    answer = anna.press(f"/people/{own}/shut-out")
    assert answer.status_code == 422 and "enige eigenaar" in words(soup(answer).main)
    assert office.guest().sign_in("piet@kantoor.nl").status_code == 303


def test_the_owner_takes_over_the_books_of_who_is_shut_out_and_is_told_so_first(
    office: Office, firm: int
) -> None:
    other, _connection = office.administration("Elders")
    piet = office.user("piet@kantoor.nl", {other: "administrator"})
    anna = office.signed_in("anna@kantoor.nl")
    asked = soup(anna.get(f"/people?open=out-{piet}"))
    assert "Niemand anders is beheerder van Elders: jij wordt daar beheerder." in words(asked.main)
    later, _connection = office.administration("Later")
    with office.services.store.write() as session:
        session.add(Membership(administration_id=later, user_id=piet, role="administrator"))
    answer = pressed(anna, asked, "shut-out")
    assert answer.status_code == 422, "of the second one nothing was said"
    assert "Niemand anders is inmiddels beheerder van Later." in words(soup(answer).main)
    assert role_of(office, "anna@kantoor.nl", other) is None
    answer = pressed(anna, soup(answer), "shut-out")
    assert "Buitengesloten sinds" in words(soup(answer).select_one(f"#person-{piet}"))
    assert role_of(office, "anna@kantoor.nl", other) == "administrator"
    assert role_of(office, "anna@kantoor.nl", later) == "administrator"


def test_a_change_of_role_is_taken_back_unless_somebody_changed_it_since(
    office: Office, firm: int
) -> None:
    number = office.user("piet@kantoor.nl", {firm: "bookkeeper"})
    action = f"/administrations/{firm}/people/{number}/role"
    anna = office.signed_in("anna@kantoor.nl")
    answer = soup(anna.press(action, {"role": "administrator"}, follow_redirects=True))
    back = soup(pressed(anna, answer, "undo"))
    assert role_of(office, "piet@kantoor.nl", firm) == "bookkeeper"
    assert "zoals hij was" in words(back.main)
    assert not back.select("main [data-action=undo]"), "nothing to go round in circles with"
    answer = soup(anna.press(action, {"role": "administrator"}, follow_redirects=True))
    acting.change_role(office.services, firm, number, role="reader")
    assert "intussen gewijzigd" in words(soup(pressed(anna, answer, "undo")).main)
    assert role_of(office, "piet@kantoor.nl", firm) == "reader"


def test_who_gives_up_administering_is_offered_no_undo_that_would_not_work(
    office: Office, firm: int
) -> None:
    office.user("piet@kantoor.nl", {firm: "administrator"})
    piet = office.signed_in("piet@kantoor.nl")
    with office.services.store.read() as session:
        number = session.query(User).filter_by(email="piet@kantoor.nl").one().id
    answer = piet.press(
        f"/administrations/{firm}/people/{number}/role", {"role": "reader"}, follow_redirects=True
    )
    assert "Rol gewijzigd" in words(soup(answer).main)
    assert not soup(answer).select("main [data-action=undo]")


def test_the_account_page_keeps_name_and_language(office: Office, firm: int) -> None:
    anna = office.signed_in("anna@kantoor.nl")
    assert anna.press("/account", {"name": " ", "locale": "en"}).status_code == 422
    assert anna.press("/account", {"name": "Anna  Bos", "locale": "en"}).status_code == 303
    page = soup(anna.get("/account"))
    assert page.html["lang"] == "en" and "Saved." in words(page.main)
    assert words(page.select_one("#account")) == "Anna Bos"
    elsewhere = office.signed_in("anna@kantoor.nl")
    assert soup(elsewhere.get("/account")).html["lang"] == "en", "in every browser"
