"""Forty accounts with names as long as banks allow: what a page has to bear."""

from __future__ import annotations

from datetime import timedelta

from banklink.core.calendar import Moment, end_of_validity
from banklink.simulator.bookings import with_check_digits
from banklink.store.facts import ensure_connections
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Grant,
    Holder,
    Journal,
    Membership,
)

LONG = "Beheers- en Beleggingsmaatschappij Van Oudenallen-De Ridder Exploitatie B.V."[:70]
"""70 characters, the longest account name a bank gives (ISO 20022, Max70Text)."""
UNBROKEN = "Onroerendezaakexploitatiemaatschappijbeheersrekeningnoordhollandnoord1"
"""As many without a place to break."""
HOLDERS = ("Wilhelmina Antoinette Josephine van Oudenallen-de Ridder van Heemstede", UNBROKEN)
ROWS = 40

assert {len(each) for each in (LONG, UNBROKEN, *HOLDERS)} == {70}


def crowd(services: object, user_id: int, at: Moment) -> int:
    """An administration of `user_id` with forty rows, eight kinds of status in turn; its number."""
    with services.store.write() as session:  # type: ignore[attr-defined]
        books = Administration(reference="crowd", name=LONG, fiscal_year_start=at.today)
        session.add(books)
        session.flush()
        session.add(Membership(user_id=user_id, administration_id=books.id, role="administrator"))
        grants = []
        for number, name in enumerate(HOLDERS):
            holder = Holder(
                provider="ponto", subject=f"crowd-{number}", name=name, email="lang@houder.example"
            )
            session.add(holder)
            session.flush()
            grant = Grant(
                administration_id=books.id,
                holder_id=holder.id,
                state="active",
                granted_at=at.now - timedelta(days=300),
            )
            session.add(grant)
            grants.append(grant)
        session.flush()
        ibans = [with_check_digits("NL", f"DEMO{8000000 + n:010d}") for n in range(ROWS)]
        for n, iban in enumerate(ibans):
            if n % 8 != 6:
                name = UNBROKEN if n % 5 == 0 else LONG
                session.add(
                    Journal(administration_id=books.id, code=f"{1100 + n}", name=name, iban=iban)
                )
            for grant, since in _sides(n, grants):
                session.add(_account(grant, iban, n, since, at))
        session.flush()
        ensure_connections(session, books.id)
        for n, iban in enumerate(ibans):
            row = session.query(Connection).filter_by(administration_id=books.id, iban=iban).one()
            if n % 8 in (0, 1, 2, 5, 7):
                row.switch, row.selected_id = "off" if n % 8 == 5 else "on", grants[0].holder_id
                row.start_date = (at.now - timedelta(days=100)).date()
                row.switched_at, row.switched_by = at.now - timedelta(days=100), HOLDERS[0]
                row.last_success = at.now - timedelta(hours=3)
        return int(books.id)


def _sides(n: int, grants: list[Grant]) -> list[tuple[Grant, int | None]]:
    """Whose account it is, and how many days ago they authorised it."""
    first, second = grants
    return {
        0: [(first, 40)],
        1: [(first, 200)],
        2: [(first, 172), (second, 10)],
        4: [(second, 3), (first, 90)],
        5: [(first, 40)],
        6: [(first, 40)],
        7: [(first, 199), (second, 22)],
    }.get(n % 8, [])


def _account(grant: Grant, iban: str, n: int, since: int | None, at: Moment) -> Account:
    assert since is not None
    until = at.now + timedelta(days=180 - since)
    return Account(
        grant_id=grant.id,
        iban=iban,
        currency="EUR",
        name=UNBROKEN if n % 3 == 0 else LONG,
        bank="Demobank",
        listed=True,
        listed_at=at.now - timedelta(days=250),
        authorised_at=at.now - timedelta(days=since),
        valid_until=until,
        expires_at=end_of_validity(until),
    )
