"""The record of every permission: complete, in a chain, ended when it ended, and without anything
that could be used or would give somebody away."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from banklink.actions.depart import depart
from banklink.actions.invite import ask_for
from banklink.actions.observe import observe
from banklink.actions.retention import delete_old
from banklink.actions.revoke import withdraw
from banklink.actions.services import Office
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.providers.contract import Temporary
from banklink.store.models import Consent, Invitation, InvitationLink

from .conftest import BAKERY, HERE, SANNE, SAVINGS, SHOP, Books, House, account, fails

SHOWN = {
    "text": "connect-1",
    "language": "nl",
    "hash": "h" * 64,
    "params": {"asker": None, "office": "Kantoor", "accounts": ["NL85 DEMO •••• ••43 00"]},
    "ip": "203.0.113.0/24",
    "agent": "Mozilla/5 (X11; Linux) Firefox/148",
}


def records(books: Books) -> list[Consent]:
    with books.services.store.read() as session:
        return list(session.scalars(select(Consent).order_by(Consent.id)))


def clear(books: Books) -> None:
    """What was seen while the house was set up."""
    with books.services.store.write() as session:
        session.execute(delete(Consent))


def leave(books: Books, purpose: Action, iban: str = BAKERY, **more: Any) -> str:
    return depart(
        books.services,
        books.connection(iban).id,
        purpose,
        books.house.at(),
        actor=SANNE,
        browser=HERE,
        consent=SHOWN,
        **more,
    )


def invited(books: Books, purpose: Purpose = Purpose.CONNECT, iban: str = BAKERY) -> int:
    with books.services.store.write() as session:
        invitation, _ = ask_for(
            session,
            books.house.at(),
            administration_id=books.id,
            purpose=purpose,
            email="jan@devries.example",
            name="Jan",
            locale="nl",
            connections=[books.connection(iban).id],
        )
        return invitation.id


@pytest.fixture
def unlinked(house: House) -> Books:
    house.services = dataclasses.replace(
        house.services, office=Office("https://kantoor.example", name="Kantoor Jansen")
    )
    return house.books(
        jan=[account(BAKERY, in_app=False), account(SAVINGS, in_app=False)], journals=[BAKERY]
    )


@pytest.fixture
def linked(house: House) -> Books:
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY],
    )
    books.activate()
    return books


# -- written ------------------------------------------------------------------------------------


def test_a_permission_by_invitation_is_recorded_with_all_its_fields(unlinked: Books) -> None:
    house = unlinked.house
    number = invited(unlinked)
    url = leave(unlinked, Action.GRANT, invitation_id=number)
    unlinked.come_back(unlinked.visit(url, tick=[BAKERY, SAVINGS]))
    (record,) = records(unlinked)
    grant, seen = unlinked.grant(), unlinked.account()
    assert (record.id > 0, record.version) == (True, 1)
    assert (record.controller, record.agent) == ("Kantoor Jansen", "ponto")
    assert (record.holder_id, record.administration_id) == (grant.holder_id, unlinked.id)
    assert (record.grant_id, record.acting_role) == (grant.id, "holder")
    assert (record.bank, record.country) == ("Demobank", "NL")
    assert record.accounts == {
        "accounts": [
            {"iban": "NL85 DEMO •••• ••43 00".replace(" ", "\u00a0"), "currency": "EUR",
             "chosen": "asked"},
            {"iban": "NL77 DEMO •••• ••44 44".replace(" ", "\u00a0"), "currency": "EUR",
             "chosen": "ticked"},
        ]
    }  # fmt: skip
    assert record.categories == "accounts balances transactions"
    assert record.purpose == "connect"
    assert (record.text_id, record.text_language, record.text_hash) == (
        "connect-1",
        "nl",
        SHOWN["hash"],
    )
    assert record.text_params == SHOWN["params"]
    assert record.lawful_basis == "psd2_67_2a"
    assert abs(record.given_at - house.at().now) < timedelta(minutes=1)
    assert record.given_at.tzinfo is not None
    assert record.sca_at == seen.authorised_at is not None
    assert (record.valid_until, record.valid_source) == (seen.valid_until, "bank")
    assert record.frequency == "4_a_day"
    assert (record.channel, record.ip, record.user_agent) == (
        "invitation",
        "203.0.113.0/24",
        SHOWN["agent"],
    )
    assert record.provider_consent
    assert (record.ended_at, record.ended_reason, record.predecessor_id) == (None, None, None)
    assert (record.withdrawn_by, record.confirmed_at) == (None, None)
    assert (record.retention, record.delete_after) == ("proof_5_years", None)


def test_a_bookkeeper_who_is_the_holder_acted_as_both(unlinked: Books) -> None:
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.GRANT), tick=[BAKERY]))
    (record,) = records(unlinked)
    assert (record.channel, record.acting_role) == ("row", "bookkeeper")


def test_a_permission_for_another_account_is_one_all_the_same(unlinked: Books) -> None:
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.GRANT), tick=[SAVINGS]))
    assert unlinked.attempt().outcome == "other_account"
    (record,) = records(unlinked)
    assert [each["chosen"] for each in record.accounts["accounts"]] == ["ticked"]


def test_a_permission_without_the_bank_is_followed_by_the_step_there(unlinked: Books) -> None:
    url = leave(unlinked, Action.GRANT)
    unlinked.come_back(unlinked.visit(url, tick=[BAKERY], decision="allow_later"))
    (first,) = records(unlinked)
    assert (first.sca_at, first.valid_source) == (None, "unknown")
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.CONNECT)))
    first, second = records(unlinked)
    assert (second.purpose, second.predecessor_id) == ("renew", first.id)
    assert second.sca_at is not None
    assert first.ended_reason == "renewed"


def test_no_permission_leaves_no_record(unlinked: Books) -> None:
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.GRANT), decision="deny"))
    unlinked.house.provider.instead["person"] = fails(Temporary("ConnectError"))
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.GRANT), tick=[BAKERY]))
    assert unlinked.attempt().outcome == "unfinished"
    assert records(unlinked) == []


# -- the chain ----------------------------------------------------------------------------------


def test_renewals_make_a_chain(linked: Books) -> None:
    clear(linked)
    linked.come_back(linked.visit(leave(linked, Action.GRANT), tick=[BAKERY, SAVINGS]))
    for _ in range(3):
        linked.house.later(days=20)
        linked.come_back(linked.visit(leave(linked, Action.RENEW)))
    found = records(linked)
    latest = [each for each in found if each.ended_at is None]
    chain, step = [], latest[-1]
    while step is not None:
        chain.append(step.purpose)
        step = next((each for each in found if each.id == step.predecessor_id), None)  # type: ignore[assignment]
    assert chain == ["renew", "renew", "renew", "connect"]
    for each in found:
        if each.ended_at is not None:
            assert each.ended_reason == "renewed"
            assert each.delete_after is not None
            assert each.delete_after.year == each.ended_at.year + 5
    covered = [one["iban"] for each in latest for one in each.accounts["accounts"]]
    assert len(covered) == len(set(covered)) == 2, "each account is spoken of once"


def test_a_renewal_in_the_app_is_seen_and_recorded_as_seen(linked: Books) -> None:
    house = linked.house
    clear(linked)
    url = leave(linked, Action.RENEW)
    answer = linked.visit(url)
    observe(house.services, linked.grant().id, house.at())
    (seen,) = records(linked)
    assert (seen.channel, seen.text_id, seen.purpose) == ("provider", "", "renew")
    assert (seen.ip, seen.acting_role) == (None, "holder")
    linked.come_back(answer)
    (back,) = records(linked)
    assert back.id == seen.id, "one renewal, one record"
    assert (back.channel, back.text_id, back.ip) == ("row", "connect-1", "203.0.113.0/24")


def test_a_look_that_brings_nothing_new_records_nothing(linked: Books) -> None:
    house, before = linked.house, len(records(linked))
    for _ in range(3):
        house.later(hours=2)
        observe(house.services, linked.grant().id, house.at())
    url = leave(linked, Action.RENEW)
    linked.come_back(linked.visit(url, confirm="refuse"))
    assert len(records(linked)) == before


def test_a_later_return_without_news_does_not_take_over_an_old_record(linked: Books) -> None:
    """Renewed in the app weeks ago; today somebody leaves and comes back with nothing done."""
    linked.house.later(days=20)
    url = leave(linked, Action.RENEW)
    answer = linked.visit(url, confirm="refuse")
    answer.pop("error", None)
    linked.come_back(answer)
    assert linked.attempt().outcome == "nothing_changed"
    assert {each.channel for each in records(linked)} == {"provider"}


def test_who_renewed_another_account_than_meant_is_recorded_with_that_one(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY],
    )
    house.later(days=20)
    books.come_back(books.visit(leave(books, Action.RENEW), outcome="other_account"))
    assert books.attempt().outcome == "other_account"
    latest = {
        one["iban"][-5:].replace("\u00a0", ""): each.channel
        for each in records(books)
        for one in each.accounts["accounts"]
    }
    assert latest == {"4300": "provider", "4444": "row"}


def test_a_renewal_of_one_account_leaves_the_others_record_open(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10), account(SHOP, since=10)],
        shares={"jan": [BAKERY, SHOP]},
        journals=[BAKERY, SHOP],
    )
    books.come_back(books.visit(leave(books, Action.RENEW)))
    open_ones = [each for each in records(books) if each.ended_at is None]
    assert sorted(str(each.bank) for each in open_ones) == ["Demobank", "Voorbeeldbank"]


def test_a_permission_for_one_account_leaves_the_record_of_others_as_it_was(house: House) -> None:
    """Accounts of another bank, of two days, that this step was not about."""
    books = house.books(
        jan=[
            account(BAKERY, since=10),
            account(SAVINGS, since=20),
            account(SHOP, in_app=False),
        ],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY, SAVINGS, SHOP],
    )
    before = {each.id: (each.accounts, each.channel, each.ended_at) for each in records(books)}
    assert len(before) == 2
    house.later(days=1)
    number = invited(books, Purpose.REPAIR, SHOP)
    url = leave(books, Action.GRANT, SHOP, invitation_id=number)
    books.come_back(books.visit(url, tick=[BAKERY, SAVINGS, SHOP]))
    found = records(books)
    assert {
        each.id: (each.accounts, each.channel, each.ended_at) for each in found[:2]
    } == before, "what did not change keeps its own entry"
    (new,) = found[2:]
    assert [each["chosen"] for each in new.accounts["accounts"]] == ["asked"]
    assert new.accounts["accounts"][0]["iban"].endswith("45\u00a067")
    assert (new.bank, new.channel, new.text_id) == ("Voorbeeldbank", "invitation", "connect-1")


def test_after_access_ended_a_new_permission_is_for_all_that_is_shared(linked: Books) -> None:
    withdraw(linked.services, linked.id, int(linked.holder()), linked.house.at(), actor=SANNE)
    linked.house.later(minutes=5)
    linked.come_back(linked.visit(leave(linked, Action.GRANT), tick=[BAKERY, SAVINGS]))
    assert [each.ended_reason for each in records(linked)] == ["withdrawn_here", None]
    assert len(last(linked).accounts["accounts"]) == 2


# -- how it ends --------------------------------------------------------------------------------


def last(books: Books) -> Consent:
    return records(books)[-1]


def test_it_ends_by_itself_with_its_day(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    house.later(days=40)
    house.jobs()
    record = last(books)
    assert record.ended_reason == "expired"
    assert record.ended_at == books.account().expires_at, "not when somebody looked"
    house.later(days=1)
    books.come_back(books.visit(leave(books, Action.RENEW)))
    first, second = records(books)
    assert (first.ended_reason, second.predecessor_id) == ("expired", first.id)


def test_it_ends_where_the_holder_ended_it_at_the_bank(linked: Books) -> None:
    linked.house.later(days=1)
    linked.house.revoke_at_the_bank()
    linked.house.jobs()
    assert last(linked).ended_reason == "withdrawn_at_bank"


def test_it_ends_where_the_holder_ended_it_in_the_app(linked: Books) -> None:
    linked.house.time.pushed += timedelta(hours=1)
    linked.house.later(hours=2)
    linked.house.withdraw_access()
    linked.house.jobs()
    assert last(linked).ended_reason == "withdrawn_at_provider"
    assert last(linked).withdrawn_by is None


def test_it_ends_here_by_somebody_and_is_confirmed(linked: Books) -> None:
    withdraw(
        linked.services, linked.id, int(linked.holder()), linked.house.at(), actor="Sanne Jansen"
    )
    record = last(linked)
    assert (record.ended_reason, record.withdrawn_by) == ("withdrawn_here", "Sanne Jansen")
    assert record.confirmed_at is not None


def test_access_withdrawn_after_the_day_had_passed_is_withdrawn(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10, valid=12)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    house.later(days=40)
    house.jobs()
    withdraw(books.services, books.id, int(books.holder()), house.at(), actor=SANNE)
    assert last(books).ended_reason == "withdrawn_here"


def test_a_new_permission_takes_the_place_of_the_whole_earlier_one(linked: Books) -> None:
    """The second account is not ticked again."""
    linked.come_back(linked.visit(leave(linked, Action.GRANT), tick=[BAKERY]))
    assert [each.purpose for each in records(linked) if each.ended_at is None] == ["connect"]


# -- kept ---------------------------------------------------------------------------------------


def test_a_record_goes_five_years_after_its_end_and_not_a_day_before(linked: Books) -> None:
    house = linked.house
    linked.come_back(linked.visit(leave(linked, Action.RENEW)))
    first, second = records(linked)
    assert (first.delete_after, second.predecessor_id) == (date(2031, 11, 23), first.id)
    house.later(days=5 * 365 + 1)  # a leap day is among them
    assert house.at().today == date(2031, 11, 23)
    assert delete_old(house.services, house.at()) == 0
    house.later(days=1)
    assert delete_old(house.services, house.at()) == 1
    (left,) = records(linked)
    assert (left.id, left.predecessor_id) == (second.id, None)


def test_what_an_attempt_noted_stands_in_the_record_alone(unlinked: Books) -> None:
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.GRANT), tick=[BAKERY]))
    assert unlinked.attempt().consent == {}
    assert records(unlinked)[0].ip == "203.0.113.0/24"


def test_what_nobody_went_through_with_is_not_kept_for_long(unlinked: Books) -> None:
    house = unlinked.house
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.GRANT), decision="deny"))
    house.time.pushed += timedelta(days=29)
    assert delete_old(house.services, house.at()) == 0
    assert unlinked.attempt().consent != {}
    house.time.pushed += timedelta(days=2)
    assert delete_old(house.services, house.at()) == 1
    assert unlinked.attempt().consent == {}


def test_who_was_invited_and_never_came_is_not_kept_for_ever(unlinked: Books) -> None:
    house = unlinked.house
    number = invited(unlinked)
    house.later(days=14 + 364)
    assert delete_old(house.services, house.at()) == 0
    house.later(days=2)
    assert delete_old(house.services, house.at()) == 1
    with house.services.store.read() as session:
        invitation = session.get_one(Invitation, number)
        assert (invitation.name, invitation.email) == ("", "")
        assert session.scalars(select(InvitationLink)).all() == []


def test_a_leap_day_has_an_end_too() -> None:
    from banklink.actions.consents import _years_after

    assert _years_after(date(2028, 2, 29), 5) == date(2033, 3, 1)
    assert _years_after(date(2028, 2, 28), 5) == date(2033, 2, 28)


def test_nothing_in_a_record_could_be_used_or_gives_a_machine_away(unlinked: Books) -> None:
    house = unlinked.house
    tokens: list[str] = []

    def look(real: Any, credentials: Any, **more: Any) -> Any:
        tokens.extend([credentials.access_token, credentials.refresh_token])
        return real(credentials, **more)

    house.provider.instead["accounts"] = look
    url = leave(unlinked, Action.GRANT, invitation_id=invited(unlinked))
    unlinked.come_back(unlinked.visit(url, tick=[BAKERY]))
    unlinked.come_back(unlinked.visit(leave(unlinked, Action.RENEW)))
    with unlinked.services.store.read() as session:
        rows = [dict(each) for each in session.execute(select(Consent.__table__)).mappings()]
    text = json.dumps(rows, default=str, ensure_ascii=False)
    assert tokens and not any(token in text for token in tokens)
    assert not any(
        iban in text.replace("\u00a0", "").replace(" ", "") for iban in (BAKERY, SAVINGS)
    )
    assert re.findall(r"\d+\.\d+\.\d+\.\d+(?!\.?\d*/)", text) == []
    assert "devries" not in text, "no address of a person either"
