"""What a holder allows, on a page: looked at by everybody, withdrawn in two clicks, deleted with a
list of what goes and what stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text

from banklink.actions.credentials import mark_revoked
from banklink.actions.revoke import given
from banklink.store.models import Base, Consent, Grant, Holder, Membership, Revocation, User
from tests.support.house import TestHouse, running_demo
from tests.web.conftest import Books, Silent, Visitor, soup, words

BAKERY = "Bakkerij De Vries"
Rows = dict[str, list[dict[str, Any]]]
JAN, PIET = "Jan de Vries", "Piet Bakker"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestHouse, Rows]]:
    with running_demo(tmp_path_factory.mktemp("house"), web=False) as found:
        rows = {}
        with found.services.store.read() as session:
            for table in Base.metadata.sorted_tables:
                rows[table.name] = [dict(row) for row in session.execute(select(table)).mappings()]
        yield found, rows


@pytest.fixture
def house(built: tuple[TestHouse, Rows]) -> TestHouse:
    """As it was at first: what a test withdraws or deletes is there again for the next."""
    found, rows = built
    with found.services.store.write() as session:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
        for table in Base.metadata.sorted_tables:
            if rows[table.name]:
                session.execute(table.insert(), rows[table.name])
    return found


def grant_of(house: TestHouse, name: str, administration: int = 1) -> Grant:
    with house.services.store.read() as session:
        return session.scalars(
            select(Grant)
            .join(Holder)
            .where(Holder.name == name, Grant.administration_id == administration)
        ).one()


def page_of(grant: Grant) -> str:
    return f"/administrations/{grant.administration_id}/holders/{grant.holder_id}"


def seen(house: TestHouse, grant: Grant) -> dict[str, str]:
    with house.services.store.read() as session:
        return {"seen": given(session, grant)}


def become(house: TestHouse, role: str) -> None:
    with house.services.store.write() as session:
        user = session.scalars(select(User).order_by(User.id)).first()
        assert user is not None
        for each in session.scalars(select(Membership).where(Membership.user_id == user.id)):
            each.role = role


# -- looking ------------------------------------------------------------------------------------


def test_everybody_sees_what_is_allowed_and_until_when(house: TestHouse, visitor: Visitor) -> None:
    become(house, "reader")
    grant = grant_of(house, JAN)
    page = soup(visitor.get(page_of(grant)))
    said = words(page.main)
    assert JAN in words(page.h1)
    assert "geeft toestemming om te lezen" in words(page.select_one(".now .notice"))
    for part in ("Geldig tot", "volgens de bank", "Rekeningen, saldo en mutaties", "vijf jaar"):
        assert part in said
    assert "•••• ••" in said and "NL85DEMO0417164300" not in said.replace("\u00a0", "")
    assert page.select("[data-action]") == [], "a reader ends nothing"
    kept = "203.0.113.0/24", "Firefox/148", "jan@devries"
    with house.services.store.write() as session:
        for each in session.scalars(select(Consent).where(Consent.holder_id == grant.holder_id)):
            each.ip, each.user_agent = kept[:2]
    said = visitor.get(page_of(grant)).text
    assert not any(each in said for each in kept), "from where is for who works with it"
    assert visitor.get(f"{page_of(grant)}/consents.json").status_code == 403
    become(house, "bookkeeper")
    said = visitor.get(page_of(grant)).text
    assert all(each in said for each in kept)
    become(house, "reader")
    for what in ("withdraw", "forget"):
        assert visitor.get(f"{page_of(grant)}?open={what}").status_code == 403
        assert visitor.press(f"{page_of(grant)}/{what}").status_code == 403


def test_a_holder_who_never_gave_permission_here_has_no_page(
    house: TestHouse, visitor: Visitor
) -> None:
    for number in (987_654, 2**40):
        assert visitor.get(f"/administrations/1/holders/{number}").status_code == 404
        assert visitor.press(f"/administrations/1/holders/{number}/withdraw").status_code == 404
        assert visitor.press(f"/administrations/1/holders/{number}/forget").status_code == 404
        assert visitor.get(f"/administrations/1/holders/{number}/consents.json").status_code == 404


def test_the_text_that_was_shown_is_shown_again_in_its_language(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    from banklink.web.consent_words import rendered

    params = {
        "asker": "Sanne",
        "office": "Kantoor",
        "app": "Banklink",
        "provider": "Ondernemersapp",
        "administrations": [BAKERY],
        "accounts": ["NL85 DEMO •••• ••43 00"],
    }
    words_shown = rendered("connect-1", "en", params)
    grant = grant_of(house, JAN)
    with house.services.store.write() as session:
        record = session.scalars(select(Consent).where(Consent.grant_id == grant.id)).first()
        assert record is not None
        record.text_id, record.text_language = words_shown.id, "en"
        record.text_hash, record.text_params = words_shown.hash, params
        number = record.id
    page = soup(visitor.get(page_of(grant)))
    shown = page.select_one(f"#consent-{number} .shown")
    assert shown is not None and shown["lang"] == "en"
    assert words_shown.lead in words(shown)
    assert "Getoonde tekst (Engels)" in words(page.select_one(f"#consent-{number}"))
    with house.services.store.write() as session:
        session.get_one(Consent, number).text_hash = "another text than this"
    page = soup(visitor.get(page_of(grant)))
    assert page.select_one(f"#consent-{number} .shown") is None, "words that were not shown are not"


def test_the_record_can_be_handed_to_who_asks_for_it(house: TestHouse, visitor: Visitor) -> None:
    grant = grant_of(house, JAN)
    answer = visitor.get(f"{page_of(grant)}/consents.json")
    assert answer.mimetype == "application/json"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    content = json.loads(answer.text)
    assert content["holder"]["name"] == JAN
    assert len(content["consents"]) >= 1
    whole = content["consents"][0]
    assert {column.key for column in Consent.__table__.columns} <= set(whole)
    assert whole["time_zone"] == "Europe/Amsterdam"
    assert "refresh" not in answer.text and "NL85DEMO0417164300" not in answer.text


# -- withdrawing --------------------------------------------------------------------------------


def test_two_clicks_from_the_list_of_holders(house: TestHouse, visitor: Visitor) -> None:
    grant = grant_of(house, JAN)
    holders = soup(visitor.get("/holders?administration=1"))
    first = holders.select_one(f"#holder-{grant.holder_id}-withdraw")
    assert first is not None
    confirm = soup(visitor.get(str(first["href"]).partition("#")[0])).select_one("#confirm")
    assert confirm is not None
    said = words(confirm)
    assert f"Toegang van {JAN} intrekken?" in said
    assert "1160 Bank inkoop (Actief)" in said, "which rows break"
    assert f"{PIET} kan het met één klik overnemen" in said
    assert "mutaties die voor deze administratie zijn opgehaald" in said, "what stays"
    buttons = confirm.select(".equal .button")
    assert [each["class"] for each in buttons] == [["button"], ["button"]], "equally prominent"
    form = confirm.select_one("form")
    assert form is not None
    fields = {str(each["name"]): str(each["value"]) for each in form.select("input")}
    answer = visitor.post(str(form["action"]), data=fields)
    assert (answer.status_code, answer.location) == (303, page_of(grant))
    page = soup(visitor.get(answer.location))
    assert "Toegang ingetrokken. Ondernemersapp heeft het bevestigd." in words(page.main)
    assert "bevestigde op" in words(page.select_one(".now .notice"))
    assert page.select_one("#withdraw") is None
    list_ = words(soup(visitor.get("/?administration=1")).main)
    assert "geen toegang meer heeft tot de ondernemersapp" in list_


def test_also_from_the_details_of_a_row(visitor: Visitor, books: Books, house: TestHouse) -> None:
    row = visitor.get(f"/connections/{books.id('expiring')}/row?open=details")
    link = soup(row).select_one('.people [data-action="withdraw"]')
    assert link is not None
    assert soup(visitor.get(str(link["href"]).partition("#")[0])).select_one("#confirm-yes")


def test_what_the_provider_has_not_confirmed_is_said_until_it_has(
    house: TestHouse, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = grant_of(house, JAN)
    with monkeypatch.context() as patched:
        patched.setitem(house.services.providers, "ponto", Silent())
        answer = visitor.press(f"{page_of(grant)}/withdraw", seen(house, grant))
    page = soup(visitor.get(answer.location))
    assert "heeft het nog niet bevestigd" in words(page.select_one(".notice"))
    state = page.select_one(".now .notice")
    assert "nog niet bevestigd" in words(state)
    with house.services.store.write() as session:
        (waiting,) = session.scalars(select(Revocation))
        waiting.due_at = house.at().real
    house.jobs()
    page = soup(visitor.get(page_of(grant)))
    assert "bevestigde op" in words(page.select_one(".now .notice"))


def test_pressed_twice_or_on_an_old_page_nothing_more_happens(
    house: TestHouse, visitor: Visitor
) -> None:
    grant = grant_of(house, JAN)
    url = page_of(grant)
    for old in ({"seen": "2020-01-01T00:00:00+00:00"}, {}):
        for verb in ("withdraw", "forget"):
            visitor.press(f"{url}/{verb}", old)
            assert "intussen opnieuw toestemming" in words(soup(visitor.get(url)).main)
    assert grant_of(house, JAN).state == "active"
    visitor.press(f"{url}/withdraw", seen(house, grant))
    visitor.press(f"{url}/withdraw", seen(house, grant))
    assert "viel niets in te trekken" in words(soup(visitor.get(url)).main)


def test_what_another_registration_ended_was_not_ended_by_the_holder(
    house: TestHouse, visitor: Visitor
) -> None:
    grant = grant_of(house, JAN)
    with house.services.store.write() as session:
        mark_revoked(
            session,
            grant.id,
            grant.credentials_version,
            house.at(),
            reason="withdrawn_here",
            by="Sanne",
        )
    said = words(soup(visitor.get(page_of(grant))).select_one(".now .notice"))
    assert "ingetrokken" in said and "geeft niet meer" not in said and JAN not in said
    rows = soup(visitor.get("/?administration=1&per=all")).select('tr.row[data-key="r2"]')
    said = " ".join(words(each) for each in rows) or visitor.get("/?administration=1&per=all").text
    assert "Hier ingetrokken op" in said
    assert f"{JAN} heeft de toegang ingetrokken" not in said


# -- deleting -----------------------------------------------------------------------------------


def test_deleting_says_what_goes_and_what_stays_and_does_it(
    house: TestHouse, visitor: Visitor
) -> None:
    grant = grant_of(house, JAN)
    url, pseudonym = page_of(grant), f"Verwijderde rekeninghouder {grant.holder_id}"
    confirm = soup(visitor.get(f"{url}?open=forget")).select_one("#confirm")
    said = words(confirm)
    assert "Dit gaat weg" in said and "Naam en e-mailadres" in said
    assert "Dit blijft, en waarom" in said and "zeven jaar" in said and pseudonym in said
    assert "Eerst wordt de toegang ingetrokken" in said
    answer = visitor.press(f"{url}/forget", seen(house, grant))
    page = soup(visitor.get(answer.location))
    assert words(page.h1) == pseudonym
    assert "Gegevens verwijderd." in words(page.main)
    for address in ("/?administration=1", "/holders?administration=1", url):
        assert JAN not in visitor.get(address).text, address
    for row in soup(visitor.get("/?administration=1&per=all")).select("tbody.connection")[:3]:
        number = str(row["id"]).removeprefix("connection-")
        details = visitor.get(f"/connections/{number}/row?open=details&history=all").text
        assert JAN not in details
        assert JAN not in visitor.get(f"/connections/{number}/transactions").text
    assert "al verwijderd" in words(
        soup(visitor.get(visitor.press(f"{url}/forget", seen(house, grant)).location)).main
    )


def test_another_administration_keeps_what_it_needs_and_the_page_says_so(
    house: TestHouse, visitor: Visitor
) -> None:
    grant = grant_of(house, JAN)
    with house.services.store.write() as session:
        session.add(
            Grant(
                administration_id=2,
                holder_id=grant.holder_id,
                state="revoked",
                granted_at=house.at().now,
            )
        )
    url = page_of(grant)
    said = words(soup(visitor.get(f"{url}?open=forget")).select_one("#confirm"))
    assert "Ze blijven staan in" in said
    visitor.press(f"{url}/forget", seen(house, grant))
    assert JAN not in visitor.get(url).text
    assert JAN in visitor.get(f"/administrations/2/holders/{grant.holder_id}").text


def test_only_an_administrator_deletes(house: TestHouse, visitor: Visitor) -> None:
    become(house, "bookkeeper")
    grant = grant_of(house, JAN)
    page = soup(visitor.get(page_of(grant)))
    actions = {str(each["data-action"]) for each in page.select("[data-action]")}
    assert actions == {"withdraw"}
    assert visitor.press(f"{page_of(grant)}/forget").status_code == 403


def test_a_permission_from_before_records_were_kept_says_so(
    house: TestHouse, visitor: Visitor
) -> None:
    with house.services.store.write() as session:
        for each in session.scalars(select(Consent).order_by(Consent.id.desc())):
            session.delete(each)
            session.flush()
    page = soup(visitor.get(page_of(grant_of(house, JAN))))
    assert "van voordat toestemmingen werden vastgelegd" in words(page.main)
    assert page.select_one("#download") is None
    grant = grant_of(house, JAN)
    visitor.press(f"{page_of(grant)}/forget", seen(house, grant))
    said = words(soup(visitor.get(page_of(grant))).main)
    assert "van voordat toestemmingen werden vastgelegd" in said
    assert "De volgende wordt vastgelegd" not in said, "there is no next one to promise"
