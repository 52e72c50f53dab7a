"""The page never says that things are fine when they are not, nor blames who is not to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from banklink.store.models import Connection, User
from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, row_of, words


@contextmanager
def for_now(house: TestHouse, number: int, **values: Any) -> Iterator[None]:
    """The connection with these values, and afterwards as it was."""
    with house.services.store.write() as session:
        row = session.get_one(Connection, number)
        before = {name: getattr(row, name) for name in values}
        for name, value in values.items():
            setattr(row, name, value)
    try:
        yield
    finally:
        with house.services.store.write() as session:
            row = session.get_one(Connection, number)
            for name, value in before.items():
                setattr(row, name, value)


# -- who is to blame ----------------------------------------------------------------------------


def test_a_provider_that_does_not_answer_is_named_and_the_bank_is_not_blamed(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    number, since = books.id("active"), house.at().now - timedelta(hours=1)
    with for_now(house, number, outage_since=since, outage_kind="unreachable"):
        row = row_of(visitor.get("/"), number)
    said = words(row.select_one(".overlay-provider_outage"))
    assert said.startswith("Ondernemersapp antwoordt niet sinds ")
    assert "; dat ligt niet aan de bank." in said
    assert "Storing bij de bank" not in words(row)


@pytest.mark.parametrize("owner", [True, False])
def test_refused_details_are_said_and_the_owner_is_led_to_them(
    house: TestHouse, visitor: Visitor, books: Books, owner: bool
) -> None:
    number, since = books.id("active"), house.at().now - timedelta(hours=1)
    with house.services.store.write() as session:
        session.query(User).update({"is_owner": owner})
    with for_now(house, number, outage_since=since, outage_kind="refused"):
        overlay = row_of(visitor.get("/"), number).select_one(".overlay-provider_outage")
    assert overlay is not None
    assert "weigert de gegevens waarmee Banklink zich meldt" in words(overlay)
    way_on = overlay.select_one("a")
    assert (way_on is not None) == owner
    if way_on is not None:
        assert visitor.get(str(way_on["href"])).status_code == 200
