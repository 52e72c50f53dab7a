"""Access withdrawn in Banklink: over here at once, over at the entrepreneur app as soon as it
confirms, and nothing that was fetched is lost."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from banklink.actions import fetch as fetching
from banklink.actions import revoke
from banklink.actions.come_back import finish
from banklink.actions.fetch import fetch
from banklink.actions.give_back import give_back, keep_address
from banklink.actions.invite import ask_for
from banklink.actions.observe import observe
from banklink.actions.provider_settings import FIELDS
from banklink.actions.revoke import given, revoke_due, withdraw
from banklink.actions.services import Missing, Refused, Stale
from banklink.core.invitations import Purpose
from banklink.core.statuses import Action
from banklink.providers.contract import Credentials, GrantRevoked, RateLimited, Temporary
from banklink.simulator.model import Integration, TokenFamily
from banklink.store.models import (
    Attempt,
    Consent,
    Grant,
    Invitation,
    InvitationAccount,
    Revocation,
)
from banklink.store.vault import Vault

from .conftest import (
    BAKERY,
    ELSEWHERE,
    HERE,
    SANNE,
    SAVINGS,
    SHOP,
    Books,
    House,
    account,
    at_once,
    fails,
)


@pytest.fixture
def linked(house: House) -> Books:
    """Jan shares two healthy accounts at one bank; the first is on and fetched today."""
    books = house.books(
        jan=[account(BAKERY, since=10), account(SAVINGS, since=10)],
        shares={"jan": [BAKERY, SAVINGS]},
        journals=[BAKERY],
    )
    books.activate()
    assert books.row() == "r6"
    return books


def permission(books: Books) -> str:
    with books.services.store.read() as session:
        return given(session, books.grant())


def end(books: Books, who: str = "jan", **more: Any) -> bool:
    return withdraw(
        books.services,
        books.id,
        int(books.holder(who)),
        books.house.at(),
        **{"actor": SANNE, **more},
    )


def living(house: House, reference: str | None = None) -> tuple[int, int]:
    """Integrations and families of tokens that live at the entrepreneur app."""
    with house.simulator.store.transaction() as db:
        wanted = select(Integration.id).where(Integration.revoked_at.is_(None))
        if reference is not None:
            wanted = wanted.where(Integration.reference == reference)
        integrations = list(db.scalars(wanted))
        families = db.scalar(
            select(func.count(TokenFamily.id)).where(
                TokenFamily.revoked_at.is_(None), TokenFamily.integration_id.in_(integrations)
            )
        )
        return len(integrations), families or 0


def revocations(house: House) -> list[Revocation]:
    with house.services.store.read() as session:
        return list(session.scalars(select(Revocation).order_by(Revocation.id)))


def records(books: Books) -> list[Consent]:
    with books.services.store.read() as session:
        return list(session.scalars(select(Consent).order_by(Consent.id)))


def down(house: House) -> None:
    house.provider.instead["revoke"] = fails(Temporary("ConnectError"))


def up(house: House) -> None:
    del house.provider.instead["revoke"]


# -- here ---------------------------------------------------------------------------------------


def test_withdrawing_stops_reading_and_keeps_what_was_fetched(linked: Books) -> None:
    house, before = linked.house, linked.transactions()
    assert before
    assert end(linked) is True
    assert linked.row() == "r2"
    assert linked.transactions() == before
    assert living(house) == (0, 0)
    grant = linked.grant()
    assert (grant.state, grant.credentials) == ("revoked", None)
    (told,) = revocations(house)
    assert told.confirmed_at is not None
    assert (told.sealed, told.settings, told.reason) == (None, None, "withdrawn")
    kinds = [each.kind for each in linked.events()]
    assert kinds.index("access_withdrawn") < kinds.index("access_end_confirmed")
    assert "r2" in linked.told()


def test_from_that_moment_not_one_call_reads_anything(linked: Books) -> None:
    house = linked.house
    end(linked)
    house.provider.calls.clear()
    assert fetch(house.services, linked.connection().id, house.at()).result == "not_active"
    with pytest.raises(GrantRevoked):
        observe(house.services, linked.grant().id, house.at())
    with pytest.raises(Refused):
        linked.depart(Action.RENEW)
    house.days(3)
    assert not house.provider.calls, "no scheduled look either"


def test_a_page_that_is_under_way_is_not_stored_any_more(linked: Books) -> None:
    """Access ends between two pages, and while one is on its way."""
    house, before = linked.house, linked.transactions()
    house.later(days=1)
    house.book(BAKERY, house.at().today, -100, -200)

    def meanwhile(act: Callable[..., Any], *args: Any, **more: Any) -> Any:
        page = act(*args, **more)
        del house.provider.instead["transactions"]
        end(linked)
        return page

    house.provider.instead["transactions"] = meanwhile
    assert fetch(house.services, linked.connection().id, house.at()).result == "refused"
    assert linked.transactions() == before
    assert linked.row() == "r2"


def test_tokens_refreshed_at_that_very_moment_do_not_live_on(linked: Books) -> None:
    """The entrepreneur app has given the next pair already; it is given back as well."""
    house = linked.house
    house.time.pushed += timedelta(hours=1)

    def meanwhile(act: Callable[..., Any], *args: Any, **more: Any) -> Any:
        new = act(*args, **more)
        down(house)
        end(linked)
        up(house)
        return new

    house.provider.instead["refresh"] = meanwhile
    with pytest.raises(GrantRevoked):
        observe(house.services, linked.grant().id, house.at())
    assert linked.grant().credentials is None
    assert {each.reason for each in revocations(house)} == {"withdrawn", "unused"}
    house.time.pushed += timedelta(minutes=2)
    assert revoke_due(house.services, house.at()) == 2
    assert living(house) == (0, 0)


def test_nobody_withdraws_what_is_not_there_or_was_given_anew(linked: Books, house: House) -> None:
    old = permission(linked)
    with pytest.raises(Missing):
        withdraw(house.services, linked.id, 999_999, house.at(), actor=SANNE)
    end(linked, seen=old)
    with pytest.raises(Refused) as refusal:
        end(linked)
    assert refusal.value.code == "not_shared"
    house.later(minutes=10)
    linked.come_back(linked.visit(linked.depart(Action.GRANT), tick=[BAKERY]))
    with pytest.raises(Stale):
        end(linked, seen=old)
    assert linked.row() == "r6"


def test_two_people_at_once_withdraw_once(linked: Books) -> None:
    answers = at_once(4, lambda _: end(linked))
    assert sum(each is True for each in answers) == 1
    assert sum(isinstance(each, Refused) for each in answers) == 3
    assert linked.house.provider.calls["revoke"] == 1


# -- at the provider ----------------------------------------------------------------------------


def test_a_provider_that_is_down_for_hours_is_told_when_it_is_back(linked: Books) -> None:
    house = linked.house
    down(house)
    assert end(linked) is False
    assert linked.row() == "r2", "here it is over all the same"
    assert living(house)[0] == 1
    for _ in range(8 * 60):
        house.time.pushed += timedelta(minutes=1)
        revoke_due(house.services, house.at())
    (waiting,) = revocations(house)
    assert 4 <= waiting.tries <= 8, "with growing pauses"
    assert waiting.sealed is not None and waiting.error == "ConnectError"
    assert records(linked)[-1].confirmed_at is None
    up(house)
    house.time.pushed += timedelta(hours=24)
    house.jobs()
    assert living(house) == (0, 0)
    (told,) = revocations(house)
    assert told.confirmed_at is not None and told.sealed is None
    assert records(linked)[-1].confirmed_at is not None
    calls = house.provider.calls["revoke"]
    house.time.pushed += timedelta(days=3)
    house.jobs()
    assert house.provider.calls["revoke"] == calls, "told once it is enough"


def test_what_is_gone_at_the_provider_already_counts_as_confirmed(linked: Books) -> None:
    linked.house.withdraw_access()
    assert end(linked) is True
    assert records(linked)[-1].ended_reason == "withdrawn_here"


def test_a_provider_that_asks_for_a_pause_gets_it(linked: Books) -> None:
    house = linked.house
    house.provider.instead["revoke"] = fails(RateLimited("slow", retry_after=timedelta(hours=2)))
    end(linked)
    (waiting,) = revocations(house)
    assert waiting.due_at - house.at().real > timedelta(minutes=119)


class Crash(BaseException):
    """The machine stops."""


def test_a_crash_at_any_point_leaves_it_to_be_told(
    linked: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the provider is told, and after it was but before that was written down."""
    house = linked.house
    real = revoke.tell

    def crash(*_args: Any, **_more: Any) -> bool:
        raise Crash

    monkeypatch.setattr(revoke, "tell", crash)
    with pytest.raises(Crash):
        end(linked)
    monkeypatch.setattr(revoke, "tell", real)
    assert linked.row() == "r2" and living(house)[0] == 1

    def told_then_crash(act: Callable[..., Any], *args: Any, **more: Any) -> None:
        act(*args, **more)
        raise Crash

    house.provider.instead["revoke"] = told_then_crash
    with pytest.raises(Crash):
        revoke_due(house.services, house.at())
    del house.provider.instead["revoke"]
    assert living(house) == (0, 0)
    assert revoke_due(house.services, house.at()) == 0, "somebody may still be at it"
    house.time.pushed += timedelta(minutes=6)
    assert revoke_due(house.services, house.at()) == 1
    assert revocations(house)[0].confirmed_at is not None
    assert [each.kind for each in linked.events()].count("access_end_confirmed") == 1


def test_two_workers_tell_it_once(linked: Books) -> None:
    house = linked.house
    down(house)
    end(linked)
    up(house)
    house.time.pushed += timedelta(minutes=5)
    house.provider.calls.clear()
    done = at_once(4, lambda _: revoke_due(house.services, house.at()))
    assert sum(done) == 1
    assert house.provider.calls["revoke"] == 1


# -- others, and again ---------------------------------------------------------------------------


@pytest.fixture
def two(house: House) -> tuple[Books, Books]:
    """Jan keeps two firms' books here, with the same account in both."""
    bakery = house.books(
        jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    with house.services.store.write() as session:
        from banklink.store.models import Administration, Journal

        cafe = Administration(reference="books of Café", name="Café")
        session.add(cafe)
        session.flush()
        session.add(
            Journal(
                administration_id=cafe.id, code="1100", name="Bank", iban=BAKERY, currency="EUR"
            )
        )
        from banklink.store.facts import ensure_connections

        ensure_connections(session, cafe.id)
    other = Books(house, cafe.id)
    other.come_back(other.visit(other.depart(Action.GRANT), tick=[BAKERY]))
    return bakery, other


def test_another_administration_of_the_same_holder_reads_on(two: tuple[Books, Books]) -> None:
    bakery, cafe = two
    house = bakery.house
    assert end(bakery) is True
    assert living(house, "books of Café") == (1, 1)
    assert living(house, "books of Bakkerij De Vries") == (0, 0)
    observe(house.services, cafe.grant().id, house.at())
    assert cafe.row() == "r11"


def test_another_holder_of_the_same_account_reads_on(house: House) -> None:
    books = house.books(
        jan=[account(BAKERY, since=10)],
        piet=[account(SHOP, since=10)],
        shares={"jan": [BAKERY], "piet": [SHOP]},
        journals=[BAKERY, SHOP],
    )
    books.activate(iban=SHOP, via="piet")
    end(books)
    assert books.row(SHOP) == "r6"
    assert [each.kind for each in books.events(SHOP)].count("access_withdrawn") == 0


def test_who_gives_access_again_before_the_end_was_confirmed_keeps_it(linked: Books) -> None:
    """The tokens of the first permission are given back while the second lives."""
    house = linked.house
    down(house)
    end(linked)
    house.later(minutes=10)
    linked.come_back(linked.visit(linked.depart(Action.GRANT), tick=[BAKERY]))
    assert linked.row() == "r6"
    up(house)
    house.time.pushed += timedelta(hours=2)
    house.jobs()
    assert all(each.confirmed_at for each in revocations(house))
    assert living(house) == (1, 1)
    observe(house.services, linked.grant().id, house.at())
    assert linked.row() == "r6"
    first, second = records(linked)[-2:]
    assert first.ended_reason == "withdrawn_here" and first.confirmed_at is not None
    assert second.ended_at is None and second.predecessor_id == first.id


def test_who_has_just_given_access_again_keeps_it(linked: Books) -> None:
    """The first permission's end is told in the seconds in which the second is on its way back."""
    house = linked.house
    down(house)
    end(linked)
    up(house)
    house.time.pushed += timedelta(minutes=10)
    answer = linked.visit(linked.depart(Action.GRANT), tick=[BAKERY])
    house.jobs()
    assert all(each.confirmed_at for each in revocations(house))
    linked.come_back(answer)
    assert (linked.row(), linked.attempt().outcome) == ("r6", "done")
    observe(house.services, linked.grant().id, house.at())


def test_giving_access_again_gives_the_older_tokens_back(linked: Books) -> None:
    house = linked.house
    linked.come_back(linked.visit(linked.depart(Action.GRANT), tick=[BAKERY]))
    assert living(house) == (1, 2)
    (older,) = revocations(house)
    assert older.reason == "superseded"
    house.jobs()
    assert living(house) == (1, 1)
    observe(house.services, linked.grant().id, house.at())
    assert linked.row() == "r6"
    assert all(each.confirmed_at is None for each in records(linked)), "nothing was withdrawn"


def test_what_a_departure_brought_and_nobody_could_use_is_given_back(linked: Books) -> None:
    house = linked.house
    answer = linked.visit(linked.depart(Action.GRANT), tick=[BAKERY])
    house.provider.instead["person"] = fails(GrantRevoked("odd"))
    linked.come_back(answer)
    assert linked.attempt().outcome == "refused"
    house.jobs()
    assert [each.reason for each in revocations(house)] == ["unused"]
    assert living(house) == (1, 1)


# -- who comes back late --------------------------------------------------------------------------


def test_a_renewal_under_way_does_not_bring_access_back(linked: Books) -> None:
    answer = linked.visit(linked.depart(Action.RENEW))
    end(linked)
    linked.come_back(answer)
    assert (linked.row(), linked.grant().state) == ("r2", "revoked")
    assert linked.attempt().outcome == "withdrawn"


@pytest.mark.parametrize("browser", [HERE, ELSEWHERE])
def test_a_permission_under_way_does_not_bring_access_back(linked: Books, browser: str) -> None:
    """Given before the withdrawal, taken in after it, perhaps in another browser."""
    house = linked.house
    answer = linked.visit(linked.depart(Action.GRANT), tick=[BAKERY])
    if browser == ELSEWHERE:
        linked.come_back(answer, browser=ELSEWHERE)
        assert linked.attempt().outcome == "parked"
    end(linked)
    if browser == ELSEWHERE:
        finish(house.services, linked.connection().id, house.at(), browser=HERE)
    else:
        linked.come_back(answer)
    assert (linked.row(), linked.grant().state) == ("r2", "revoked")
    assert linked.attempt().outcome == "withdrawn"
    house.jobs()
    assert living(house) == (0, 0), "and what it brought was given back"


def test_a_permission_asked_for_afterwards_counts(linked: Books) -> None:
    end(linked)
    linked.house.later(minutes=1)
    linked.come_back(linked.visit(linked.depart(Action.GRANT), tick=[BAKERY]))
    assert linked.row() == "r6"


def test_open_invitations_of_the_holder_are_withdrawn(linked: Books) -> None:
    house = linked.house
    with house.services.store.write() as session:
        for email, holder in (("jan@devries.example", None), ("x@y.example", linked.holder())):
            ask_for(
                session,
                house.at(),
                administration_id=linked.id,
                purpose=Purpose.RENEW,
                email=email,
                name="Jan",
                locale="nl",
                connections=[linked.connection().id],
                holder_id=int(holder) if holder else None,
            )
        ask_for(
            session,
            house.at(),
            administration_id=linked.id,
            purpose=Purpose.CONNECT,
            email="piet@bakker.example",
            name="Piet",
            locale="nl",
            connections=[linked.connection().id],
        )
    end(linked)
    with house.services.store.read() as session:
        found = session.scalars(select(Invitation).order_by(Invitation.id)).all()
    assert [each.withdrawn_by for each in found] == [SANNE, SANNE, None]


def test_an_invitation_that_asks_for_other_books_too_goes_on_for_those(
    two: tuple[Books, Books],
) -> None:
    bakery, cafe = two
    with bakery.services.store.write() as session:
        invitation, _ = ask_for(
            session,
            bakery.house.at(),
            administration_id=bakery.id,
            purpose=Purpose.RENEW,
            email="jan@devries.example",
            name="Jan",
            locale="nl",
            connections=[bakery.connection().id, cafe.connection().id],
            holder_id=int(bakery.holder()),
        )
        number = invitation.id
    asked = select(InvitationAccount.connection_id)
    end(bakery)
    with bakery.services.store.read() as session:
        left = session.get_one(Invitation, number)
        assert (left.withdrawn_at, left.administration_id) == (None, cafe.id)
        assert session.scalars(asked).all() == [cafe.connection().id]
    end(cafe)
    with bakery.services.store.read() as session:
        assert session.get_one(Invitation, number).withdrawn_by == SANNE


def test_who_gave_permission_again_while_there_was_one_is_not_withdrawn_by_an_old_page(
    linked: Books,
) -> None:
    old = permission(linked)
    linked.house.later(minutes=5)
    linked.come_back(linked.visit(linked.depart(Action.GRANT), tick=[BAKERY]))
    with pytest.raises(Stale):
        end(linked, seen=old)
    assert end(linked, seen=permission(linked)) is True


def test_a_page_of_transactions_that_is_being_stored_is_stored_before_access_ends(
    linked: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never after: whatever is in the books was read while that was allowed."""
    house, order = linked.house, []
    store_page = fetching._store_batch

    def withdraw_now() -> None:
        end(linked)
        order.append("access ended")

    other = threading.Thread(target=withdraw_now)

    def slow(*args: Any) -> bool:
        other.start()
        other.join(0.7)
        order.append("page stored")
        return store_page(*args)

    monkeypatch.setattr(fetching, "_store_batch", slow)
    house.later(hours=6)
    fetch(house.services, linked.connection().id, house.at())
    other.join(30)
    assert order == ["page stored", "access ended"]


# -- without the token ----------------------------------------------------------------------------


def lose_the_keys(house: House) -> None:
    """What was sealed cannot be opened any more."""
    other = Vault(["A" * 43 + "="])
    house.services = dataclasses.replace(house.services, vault=other)


def test_with_the_token_lost_the_integration_of_this_administration_is_ended(
    linked: Books,
) -> None:
    house = linked.house
    lose_the_keys(house)
    assert end(linked) is True
    assert living(house) == (0, 0)


def test_with_the_token_lost_nothing_else_is_ended_along(two: tuple[Books, Books]) -> None:
    """The real service knows one integration of a holder: it is left alone as long as another
    administration lives on it."""
    bakery, cafe = two
    house = bakery.house
    kept = house.services
    lose_the_keys(house)
    assert end(bakery) is False
    assert revocations(house)[-1].error == "others_depend"
    assert living(house, "books of Café") == (1, 1)
    house.services = kept
    observe(house.services, cafe.grant().id, house.at())
    end(cafe)
    assert living(house, "books of Café") == (0, 0)


def test_with_the_token_lost_somebody_on_the_way_is_waited_for(linked: Books) -> None:
    """It could be this holder, giving access anew: that must not be ended along."""
    house = linked.house
    lose_the_keys(house)
    linked.depart(Action.GRANT)
    assert end(linked) is False
    assert revocations(house)[-1].error == "others_depend"
    house.time.pushed += timedelta(hours=3)
    assert revoke_due(house.services, house.at()) == 1


def test_with_the_token_lost_who_is_being_taken_in_is_waited_for(linked: Books) -> None:
    """Back already, and their code is being redeemed at this moment."""
    house = linked.house
    answer = linked.visit(linked.depart(Action.GRANT), tick=[BAKERY])
    kept = house.services
    found: list[bool] = []

    def redeem(ask: Any, /, **more: Any) -> Any:
        credentials = ask(**more)
        house.services = dataclasses.replace(kept, vault=Vault(["A" * 43 + "="]))
        found.append(end(linked))
        house.services = kept
        return credentials

    house.provider.instead["complete_grant"] = redeem
    linked.come_back(answer)
    assert found == [False]
    (told,) = [each for each in revocations(house) if each.reason == "withdrawn"]
    assert told.error == "others_depend"


def test_tokens_of_no_grant_that_cannot_be_read_are_let_go(house: House) -> None:
    with house.services.store.write() as session:
        give_back(session, "ponto", "sealed with lost keys", house.at(), reason="unused")
    assert revoke_due(house.services, house.at()) == 0
    (gone,) = revocations(house)
    assert (gone.error, gone.sealed) == ("lost", None) and gone.confirmed_at is not None


# -- another service ------------------------------------------------------------------------------


def test_tokens_go_back_to_the_service_that_gave_them(house: House) -> None:
    """Another one took its place since: it must not see them."""
    asked: list[str] = []

    class Other:
        id = "ponto"

        def revoke(self, *_args: Any, **_more: Any) -> None:
            asked.append("the new service")

    books = house.books(
        jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]}, journals=[BAKERY]
    )
    known = house.provider._inner._settings
    values = {name: str(getattr(known, name) or "") for name in FIELDS}
    with house.services.store.write() as session:
        grant = session.scalars(select(Grant)).one()
        give_back(
            session,
            "ponto",
            grant.credentials,
            house.at(),
            reason="withdrawn",
            grant_id=grant.id,
            settings=house.services.vault.seal({**values}),
        )
    services = dataclasses.replace(house.services, providers={"ponto": Other()})  # type: ignore[dict-item]
    assert revoke_due(services, house.at()) == 1
    assert not asked
    assert living(house) == (0, 0)
    assert books.grant().id == grant.id


def test_no_token_is_left_in_memory_of_the_log(
    linked: Books, caplog: pytest.LogCaptureFixture
) -> None:
    house = linked.house
    held: list[Credentials] = []

    def look(real: Callable[..., Any], credentials: Credentials, **more: Any) -> None:
        held.append(credentials)
        raise Temporary("ConnectError")

    house.provider.instead["revoke"] = look
    with caplog.at_level("DEBUG"):
        end(linked)
    assert held[0].refresh_token
    assert held[0].refresh_token not in caplog.text
    with house.services.store.read() as session:
        assert all(
            held[0].refresh_token not in str(row)
            for row in session.execute(select(Revocation.sealed, Revocation.error))
        )
        assert session.scalar(select(func.count(Attempt.id))) == 0


def test_settings_saved_at_that_very_moment_do_not_carry_the_tokens_along(linked: Books) -> None:
    """The row was read, then another service took over, then the provider was looked up."""
    house, asked = linked.house, []
    down(house)
    assert end(linked) is False
    up(house)
    house.time.pushed += timedelta(minutes=2)
    (row,) = revocations(house)
    known = house.provider._inner._settings
    earlier = house.services.vault.seal({n: str(getattr(known, n) or "") for n in FIELDS})

    class Other:
        id = "ponto"

        def revoke(self, *_args: Any, **_more: Any) -> None:
            asked.append("the new service")

    class Providers(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            with house.services.store.write() as session:
                keep_address(session, "ponto", earlier)
            return Other()

    services = dataclasses.replace(house.services, providers=Providers())
    assert revoke.tell(services, row.id, house.at()) is False
    assert asked == []
    assert revoke.tell(services, row.id, house.at()) is True, "to the one that gave them"
    assert asked == [] and living(house) == (0, 0)
