"""A row is remembered in its words, and never shown in words that are no longer so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from banklink.store.models import Account, Administration, Connection, Holder, Journal, Membership
from banklink.web.rows import _drawn
from tests.support.house import TestHouse
from tests.web.conftest import Visitor, rows_of, visitor_of


def _the_fullest(house: TestHouse) -> int:
    """The administration with the most rows."""
    with house.services.store.read() as session:
        return session.scalars(
            select(Connection.administration_id)
            .group_by(Connection.administration_id)
            .order_by(func.count().desc())
            .limit(1)
        ).one()


def _rows(visitor: Visitor, address: str) -> list[str]:
    """As remembered, and that is as they would be without any memory."""
    remembered = _shown(visitor, address)
    _drawn.cache_clear()
    assert remembered == _shown(visitor, address)
    assert remembered
    return remembered


def _shown(visitor: Visitor, address: str) -> list[str]:
    """Without the token against forgery, which is another every second."""
    rows = [str(each) for each in rows_of(visitor.get(address))]
    return [re.sub(r'name="csrf_token"[^>]*', "", each) for each in rows]


def _with(house: TestHouse, model: type[Any], **values: Any) -> None:
    with house.services.store.write() as session:
        session.query(model).update(values)


def _changes(house: TestHouse, visitor: Visitor) -> Iterator[str]:
    """What may change in the words of a row, one thing after the other."""
    visitor.speak("en")
    yield "the language"
    house.simulator.clock.advance(timedelta(days=1))
    yield "the day"
    _with(house, Journal, name="Another journal")
    yield "the journal"
    _with(house, Holder, name="Another holder")
    yield "the holder"
    _with(house, Account, bank="Another bank")
    yield "the account"
    _with(house, Connection, last_new=77)
    yield "what was fetched"
    _with(house, Membership, role="reader")
    yield "the role"
    _with(house, Administration, name="Another name")


def test_a_remembered_row_is_the_row_as_it_is_now(house: TestHouse) -> None:
    visitor = visitor_of(house)
    address = f"/?administration={_the_fullest(house)}"
    before = _rows(visitor, address)
    for change in _changes(house, visitor):
        now = _rows(visitor, address)
        assert now != before, f"nothing was heard of {change}"
        before = now


@pytest.mark.parametrize("part", ["&filter=todo", "&q=nl", "&page=1"])
def test_the_buttons_of_a_remembered_row_lead_back_to_the_part_that_is_looked_at(
    house: TestHouse, part: str
) -> None:
    visitor = visitor_of(house)
    address = f"/?administration={_the_fullest(house)}"
    visitor.get(address)
    _rows(visitor, address + part)
