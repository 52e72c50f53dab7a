"""The page never says that things are fine when they are not, nor blames who is not to blame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from babel.dates import format_date

from banklink.actions.depart import hashed
from banklink.core.calendar import AMSTERDAM
from banklink.store.models import Account, Attempt, Connection, Journal, User
from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, row_of, soup, visitor_of, words


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


@contextmanager
def paused(house: TestHouse, number: int, until: datetime) -> Iterator[None]:
    """The accounts behind the connection, which the bank asked not to be read before `until`."""

    def set_(value: datetime | None) -> None:
        with house.services.store.write() as session:
            iban = session.get_one(Connection, number).iban
            session.query(Account).filter_by(iban=iban).update({"paused_until": value})

    set_(until)
    try:
        yield
    finally:
        set_(None)


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


@pytest.mark.parametrize(("days", "named"), [(-9, -9), (9, 0)])
def test_an_expired_row_says_since_which_day_there_is_nothing(
    house: TestHouse, visitor: Visitor, books: Books, days: int, named: int
) -> None:
    """Fetching may have stopped before the authorisation ran out; then that is the day."""
    number = books.id("expired_with_rescue")
    row = row_of(visitor.get("/"), number)
    ran_out = date.fromisoformat(str(row.select_one("time")["datetime"]))  # type: ignore[index]
    with for_now(house, number, watermark=ran_out + timedelta(days=days)):
        said = words(row_of(visitor.get("/"), number))
    since = format_date(ran_out + timedelta(days=named), "d MMM y", locale="nl")
    assert f"Geen mutaties sinds {since}." in said


# -- limits and balances ------------------------------------------------------------------------


def test_a_row_that_waits_for_the_banks_limit_says_until_when(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    number, until = books.id("active"), house.at().now + timedelta(hours=5)
    with for_now(house, number, limited_until=until):
        row = row_of(visitor.get("/"), number)
        details = row_of(visitor.get(f"/?connection={number}&open=details"), number)
    hour = f"{until.astimezone(AMSTERDAM):%H:%M}"
    assert f"Wacht op banklimiet tot {hour}" in words(row.select_one(".overlay-limited"))
    assert re.search(r"Banklimiet nog \d van 4 keer ophalen in 24 uur", words(details))
    with for_now(house, number, limited_until=until), paused(house, number, until):
        details = row_of(visitor.get(f"/?connection={number}&open=details"), number)
    assert f"Banklimiet de bank vraagt te wachten tot {hour}" in words(details)
    assert "van 4 keer" not in words(details)
    later = until + timedelta(days=2)
    with for_now(house, number, limited_until=later):
        said = words(row_of(visitor.get("/"), number).select_one(".overlay-limited"))
    assert str(later.astimezone(AMSTERDAM).year) in said


@pytest.mark.parametrize(
    ("last", "by", "sentence"),
    [
        (12, 1250, "Van 3 mei 2026 tot en met 12 mei 2026 komen de mutaties € 12,50 lager uit"),
        (12, -1250, "Van 3 mei 2026 tot en met 12 mei 2026 komen de mutaties € 12,50 hoger uit"),
        (3, 1250, "Op 3 mei 2026 komen de mutaties € 12,50 lager uit"),
        (3, -1250, "Op 3 mei 2026 komen de mutaties € 12,50 hoger uit"),
        (12, None, "Van 3 mei 2026 tot en met 12 mei 2026 kloppen de mutaties op meer dan één"),
    ],
)
def test_a_balance_that_does_not_add_up_names_its_days_and_the_amount(
    house: TestHouse, visitor: Visitor, books: Books, last: int, by: int | None, sentence: str
) -> None:
    number = books.id("active")
    days = {"unbalanced_from": date(2026, 5, 3), "unbalanced_to": date(2026, 5, last)}
    with for_now(house, number, **days, unbalanced_by=by):
        row = row_of(visitor.get("/"), number)
    said = words(row.select_one(".overlay-unbalanced")).replace("\xa0", " ")
    assert said.startswith("Saldo klopt niet " + sentence)
    assert said.endswith("Banklink verbetert niets uit zichzelf. Bekijk de dagen")


# -- the morning line ---------------------------------------------------------------------------


def morning(visitor: Visitor, books: Books, reference: str) -> tuple[str, str]:
    """What the first line says, and its icon."""
    page = soup(visitor.get(f"/?administration={books.administrations()[reference]}"))
    line = page.select_one("#morning")
    assert line is not None
    use = line.select_one("svg use")
    assert use is not None
    return words(line), str(use["href"])


def test_the_morning_says_that_everything_runs_only_when_it_does(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    now = house.at().now
    down = {"outage_since": now - timedelta(hours=1), "outage_kind": "unreachable"}
    refused = {**down, "outage_kind": "refused"}
    stale = {"last_success": now - timedelta(hours=50), "switched_at": now - timedelta(days=9)}
    gap = {"gap_from": date(2026, 5, 3), "gap_to": date(2026, 5, 12)}
    silent, silent_too = (
        "1 rekening krijgt nu geen mutaties",
        "2 rekeningen krijgen nu geen mutaties",
    )
    missing = "1 rekening mist misschien mutaties"
    unbalanced = {"unbalanced_from": date(2026, 5, 3), "unbalanced_to": date(2026, 5, 3)}
    wrong = "1 rekening heeft een saldo dat niet klopt"

    def said(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, str]:
        with (
            for_now(house, books.id("fiets_zakelijk"), **one),
            for_now(house, books.id("fiets_sparen"), **other),
        ):
            return morning(visitor, books, "fietsatelier-noord")

    text, icon = said({}, {})
    assert text.startswith("Alles loopt. Laatst opgehaald ")
    assert icon == "#i-well"
    for one, other, wanted in [
        (down, {}, f"Niets te doen voor jou, maar {silent}"),
        (stale, {}, f"Niets te doen voor jou, maar {silent}"),
        (down, stale, f"Niets te doen voor jou, maar {silent_too}"),
        (refused, {}, silent),
        (gap, {}, missing),
        (down, gap, f"{silent} · {missing}"),
        (unbalanced, {}, wrong),
        (down, unbalanced, f"{silent} · {wrong}"),
    ]:
        text, icon = said(one, other)
        assert text == wanted
        assert icon == "#i-soon"


def test_the_morning_does_not_praise_what_is_not_connected(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    said = morning(visitor, books, "kapsalon-amira")
    assert said == ("Er is nog niets gekoppeld", "#i-info")
    with (
        for_now(house, books.id("fiets_zakelijk"), switch="off"),
        for_now(house, books.id("fiets_sparen"), switch="off"),
    ):
        said = morning(visitor, books, "fietsatelier-noord")
    assert said == ("Er staat geen koppeling aan", "#i-info")


# -- how a visit to the bank ended ---------------------------------------------------------------


def came_back(
    house: TestHouse, visitor: Visitor, number: int, outcome: str, **params: Any
) -> Attempt:
    """A departure of this visitor's browser that ended just now."""
    visitor.get("/")
    with visitor.session_transaction() as kept:
        browser = kept["browser"]
    with house.services.store.write() as session:
        row = session.get_one(Connection, number)
        account = session.query(Account).filter_by(iban=row.iban).first()
        real = house.at().real
        attempt = Attempt(
            administration_id=row.administration_id,
            connection_id=number,
            account_id=account.id if account else None,
            provider="ponto",
            purpose="renew",
            actor="Sanne",
            browser=hashed(browser),
            state_hash=hashed(f"{number} {outcome} {real}"),
            created_at=real,
            expires_at=real + timedelta(hours=1),
            ended_at=real,
            outcome=outcome,
            params=params,
        )
        if account is not None and outcome == "done":
            until = account.valid_until.isoformat() if account.valid_until else None
            attempt.params = {"until": until, "version": row.version, **params}
        session.add(attempt)
        session.flush()
        row.last_attempt_id = attempt.id
        return attempt


def notice(visitor: Visitor, number: int) -> str:
    found = row_of(visitor.get(f"/connections/{number}/row"), number).select_one(".notice")
    return words(found) if found is not None else ""


def age(house: TestHouse, attempt: Attempt, **step: float) -> None:
    with house.services.store.write() as session:
        session.get_one(Attempt, attempt.id).ended_at -= timedelta(**step)  # type: ignore[operator]


def test_a_success_is_told_to_who_made_it_for_a_quarter_of_an_hour(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    number = books.id("active")
    attempt = came_back(house, visitor, number, "done", along=2)
    said = notice(visitor, number)
    assert said.startswith("Gelukt. Geldig tot ")
    assert said.endswith("; 2 andere rekeningen zijn mee vernieuwd.")
    assert notice(visitor_of(house), number) == "", "a colleague did nothing"
    age(house, attempt, minutes=16)
    assert notice(visitor, number) == ""


def test_a_success_is_not_told_beside_what_says_the_contrary(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    number = books.id("active")
    came_back(house, visitor, number, "done")
    assert notice(visitor, number).startswith("Gelukt.")
    now = house.at().now
    contrary: list[dict[str, Any]] = [
        {"iban": "NL00DEMO0000000000"},
        {"outage_since": now, "outage_kind": "unreachable"},
        {"version": 99},
    ]
    for values in contrary:
        with for_now(house, number, **values):
            assert notice(visitor, number) == "", values
    assert notice(visitor, number).startswith("Gelukt.")


@pytest.mark.parametrize("outcome", ["cancelled", "login_failed", "nothing_changed"])
def test_a_failure_is_told_only_to_who_went(
    house: TestHouse, visitor: Visitor, books: Books, outcome: str
) -> None:
    number = books.id("expired_with_rescue")
    came_back(house, visitor, number, outcome)
    assert notice(visitor, number) != ""
    assert notice(visitor_of(house), number) == ""


@pytest.mark.parametrize("outcome", ["parked", "unfinished"])
def test_what_waits_to_be_finished_stays_and_is_seen_by_everybody(
    house: TestHouse, visitor: Visitor, books: Books, outcome: str
) -> None:
    number = books.id("expired_with_rescue")
    age(house, came_back(house, visitor, number, outcome), hours=5)
    assert notice(visitor, number) != ""
    assert notice(visitor_of(house), number) != ""


def test_nobody_came_back_is_not_said_of_what_was_renewed_along_with_another(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    number = books.id("active")
    iban = books.connection("active").iban
    with house.services.store.read() as session:
        account = session.query(Account).filter_by(iban=iban).one()
        known = account.authorised_at.isoformat()
    came_back(house, visitor, number, "abandoned", authorised_at=known)
    assert notice(visitor, number).startswith("Niemand kwam terug van de bank")
    came_back(house, visitor, number, "abandoned", authorised_at="2026-01-01T00:00:00+00:00")
    assert notice(visitor, number) == ""


# -- days that were processed already ------------------------------------------------------------


@contextmanager
def processed_through(house: TestHouse, iban: str, through: date) -> Iterator[None]:
    with house.services.store.write() as session:
        journal = session.query(Journal).filter_by(iban=iban).one()
        before, journal.processed_through = journal.processed_through, through
    try:
        yield
    finally:
        with house.services.store.write() as session:
            session.query(Journal).filter_by(iban=iban).one().processed_through = before


@pytest.mark.parametrize(
    ("name", "panel"), [("new", "activate"), ("not_linked", "arm"), ("active", "change-start")]
)
def test_a_start_on_a_processed_day_is_warned_of_as_it_is_typed(
    house: TestHouse, visitor: Visitor, books: Books, name: str, panel: str
) -> None:
    """The warning is about the day that stands there: with JavaScript as it changes, without when
    the form is shown again. It is no error."""
    number, today = books.id(name), house.at().today
    through = today - timedelta(days=3)
    begun = {"start_date": today, "watermark": today} if panel == "change-start" else {}
    with (
        processed_through(house, books.connection(name).iban, through),
        for_now(house, number, **begun),
    ):
        form = row_of(visitor.get(f"/connections/{number}/row?open={panel}"), number)
        output = form.select_one("output")
        assert output is not None
        assert "verwerkt t/m" not in words(output), "the day that is filled in is a good one"
        address = str(output["hx-get"])
        warned = visitor.get(address, query_string={"start": through.isoformat()}).text
        free = visitor.get(
            address, query_string={"start": (through + timedelta(days=1)).isoformat()}
        ).text
        wrong = {"version": "0", "start": through.isoformat(), "holder": "nobody"}
        again = visitor.press(f"/connections/{number}/{panel}", wrong, htmx=True)
    assert re.fullmatch(
        r"Deze dagen zijn al verwerkt t/m \d+ \w+ \d{4}: mutaties die al in je boeken staan, kunnen"
        r" dubbel komen\. Neem \d+ \w+ \d{4} om dat te voorkomen\.",
        warned,
    )
    assert free == ""
    assert again.status_code == 422
    assert warned in words(row_of(again, number).select_one("output"))


def test_the_date_that_is_filled_in_is_warned_of_without_javascript(
    house: TestHouse, visitor: Visitor, books: Books
) -> None:
    """Armed from a day, and the books went on past it meanwhile."""
    number, today = books.id("not_linked"), house.at().today
    through = today - timedelta(days=3)
    armed = {"armed": True, "armed_by": "Sanne", "armed_start": through - timedelta(days=9)}
    with (
        processed_through(house, books.connection("not_linked").iban, through),
        for_now(house, number, **armed),
    ):
        page = visitor.get(f"/?connection={number}&open=arm")
    assert "Deze dagen zijn al verwerkt t/m" in words(row_of(page, number).select_one("output"))
