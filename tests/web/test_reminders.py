"""*No more reminders* in a mail: one page, one button; mail programs may press it themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from banklink.actions import unsubscribe
from banklink.store.models import Holder
from tests.support.office import Office, opened
from tests.web.conftest import soup, words


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(tmp_path_factory.mktemp("reminders"), BANKLINK_OFFICE="Kantoor Jansen") as found:
        yield found


@pytest.fixture
def token(office: Office) -> Iterator[str]:
    with office.services.store.write() as session:
        session.query(Holder).delete()
        holder = Holder(provider="ponto", subject="jan", name="Jan", email="jan@x.nl")
        session.add(holder)
        session.flush()
        number = holder.id
    yield unsubscribe.address(office.services, number).rpartition("/")[2]


def stopped(office: Office) -> bool:
    with office.services.store.read() as session:
        return session.query(Holder).one().reminders_off_at is not None


def test_looking_changes_nothing_and_one_press_stops_them(office: Office, token: str) -> None:
    guest = office.guest()
    page = guest.get(f"/reminders/{token}")
    assert (page.status_code, stopped(office)) == (200, False)
    assert "Kantoor Jansen mailt je dan niet meer" in words(soup(page).main)
    assert "jan@x.nl" not in page.text, "a forwarded mail leads here too"
    (form,) = soup(page).select("main form")
    done = guest.press(str(form["action"]))
    assert (done.status_code, stopped(office)) == (200, True)
    assert "Je krijgt geen herinneringen meer" in words(soup(done).main)
    (form,) = soup(guest.get(f"/reminders/{token}")).select("main form")
    back = guest.press(str(form["action"]), follow_redirects=True)
    assert (back.status_code, stopped(office)) == (200, False)
    assert "Stop de herinneringen" in words(soup(back).main)


def test_a_mail_program_stops_them_with_one_post_and_no_cookie(office: Office, token: str) -> None:
    """RFC 8058: no session, no CSRF token, no redirect."""
    answer = office.guest().post(
        f"/reminders/{token}", data={"List-Unsubscribe": "One-Click"}, headers={"Origin": "null"}
    )
    assert (answer.status_code, stopped(office)) == (200, True)
    again = office.guest().post(f"/reminders/{token}", data={"List-Unsubscribe": "One-Click"})
    assert (again.status_code, stopped(office)) == (200, True)


def test_without_the_token_of_a_page_nothing_else_can_be_pressed(
    office: Office, token: str
) -> None:
    office.guest().post(f"/reminders/{token}")
    assert office.guest().post(f"/reminders/{token}/on").status_code == 400
    assert stopped(office)


@pytest.mark.parametrize("wrong", ["1", "made-up", "MQ.AAAA", "%00", "a" * 3000])
def test_a_made_up_address_is_not_there_and_says_what_to_do(
    office: Office, token: str, wrong: str
) -> None:
    guest = office.guest()
    for address in (f"/reminders/{wrong}", f"/reminders/{token[:-2]}", f"/reminders/{token}x"):
        assert guest.get(address).status_code == 404
        answer = guest.post(address)
        assert answer.status_code == 404
        assert "Open hem nog eens vanuit de mail" in words(soup(answer).main)
    assert not stopped(office)


def test_the_page_speaks_the_holders_language_unless_somebody_chose_one(
    office: Office, token: str
) -> None:
    with office.services.store.write() as session:
        session.query(Holder).one().locale = "en"
    guest = office.guest()
    assert "No more reminders?" in guest.get(f"/reminders/{token}").text
    guest.press("/language", {"locale": "nl", "next": f"/reminders/{token}"})
    assert "Geen herinneringen meer?" in guest.get(f"/reminders/{token}").text


def test_who_is_forgotten_has_nothing_to_stop(office: Office, token: str) -> None:
    with office.services.store.write() as session:
        session.query(Holder).one().forgotten_at = office.at().now
    assert office.guest().get(f"/reminders/{token}").status_code == 404
