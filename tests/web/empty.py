"""A house nobody has set up: its owner is signed in, and there is nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from banklink.actions.services import Services
from banklink.actions.shelf import Shelf
from banklink.store.models import User
from banklink.web.context import House, person_from
from tests.support.house import TestHouse, running
from tests.web.conftest import Visitor, visitor_of


@contextmanager
def empty_house(folder: Path) -> Iterator[tuple[TestHouse, Visitor]]:
    """Without demo data and with a provider that is entered on the page."""
    with running(folder, demo_data=False, web=False) as made:
        store = made.services.store
        with store.write() as session:
            owner = User(name="Olga Owner", email="olga@office.example", is_owner=True)
            session.add(owner)
        services: Services = replace(made.services, providers=Shelf(store, made.services.vault))
        house: House = made.parts.web.extensions["banklink"]
        made.parts.web.extensions["banklink"] = replace(
            house, services=services, load_user=lambda: person_from(owner)
        )
        found = visitor_of(made)
        yield replace(made, parts=replace(made.parts, services=services)), found
