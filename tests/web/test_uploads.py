"""Uploading a statement: what is said of a file before anything is stored, the choices, confirming,
taking back; and a sentence with a way on for every file that cannot be used."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, stream_encode_multipart

from banklink.actions.retention import delete_old
from banklink.core.calendar import Moment
from banklink.simulator.bookings import with_check_digits
from banklink.store import bookings as shelf
from banklink.store.facts import ensure_connections
from banklink.store.models import (
    Administration,
    Connection,
    Event,
    FetchRun,
    Journal,
    Transaction,
    Upload,
)
from tests.support.house import TestHouse
from tests.support.statements import camt053, mt940, table
from tests.web.conftest import Visitor, soup, words
from tests.web.empty import empty_house

_numbers = count(71)
Office = tuple[TestHouse, Visitor, str]
"""The house, somebody who works in it, and the token their forms carry."""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with empty_house(tmp_path_factory.mktemp("uploads")) as (house, visitor):
        visitor.press("/books", {"name": "Bakkerij", "fiscal_year_start": "2026-01-01"})
        visitor.speak("en")
        yield house, visitor, visitor.token()


@dataclass
class Desk:
    """One account of the books, with a start date 60 days ago; of the last 20 days but the newest
    ten, all is known: ten days at the begin are missing."""

    house: TestHouse
    visitor: Visitor
    id: int
    iban: str
    token: str

    @property
    def today(self) -> date:
        return self.house.at().today

    def day(self, ago: int) -> date:
        return self.today - timedelta(days=ago)

    @property
    def url(self) -> str:
        return f"/connections/{self.id}"

    def give(self, data: bytes, name: str = "juli.sta") -> TestResponse:
        fields: dict[str, Any] = {
            "csrf_token": self.token,
            "file": FileStorage(io.BytesIO(data), filename=name),
        }
        body, _length, boundary = stream_encode_multipart(fields, use_tempfile=False)
        return self.visitor.post(
            f"{self.url}/upload",
            data=body.read(),
            content_type=f'multipart/form-data; boundary="{boundary}"',
        )

    def look(self, data: bytes, name: str = "juli.sta") -> tuple[str, TestResponse]:
        """The upload's own address and what stands there."""
        answer = self.give(data, name)
        assert answer.status_code == 303, words(soup(answer).body)  # type: ignore[arg-type]
        return answer.location, self.visitor.get(answer.location)

    def confirm(self, address: str, **more: str) -> TestResponse:
        return self.press(f"{address}/confirm", **more)

    def press(self, address: str, **data: str) -> TestResponse:
        return self.visitor.post(address, data={"csrf_token": self.token, **data})

    def says(self, answer: TestResponse) -> str:
        """Where a press led, what the row says there."""
        assert answer.status_code == 303, words(soup(answer).body)  # type: ignore[arg-type]
        page = soup(self.visitor.get(answer.location))
        (notice,) = page.select(f"#connection-{self.id} .notice")
        return words(notice)

    def booked(self, state: str = "booked") -> list[tuple[date, int]]:
        with self.house.services.store.read() as session:
            rows = session.execute(
                select(Transaction.booked_on, Transaction.amount).where(
                    Transaction.connection_id == self.id, Transaction.state == state
                )
            )
            return sorted((a, b) for a, b in rows)

    def covered(self) -> list[tuple[date, date]]:
        with self.house.services.store.read() as session:
            return shelf.covered(session, self.id)

    def connection(self) -> Connection:
        with self.house.services.store.read() as session:
            return session.get_one(Connection, self.id)

    def uploads(self) -> list[Upload]:
        with self.house.services.store.read() as session:
            return list(session.scalars(select(Upload).where(Upload.connection_id == self.id)))

    def stored(self) -> list[object]:
        """All that a file could leave behind."""
        with self.house.services.store.read() as session:
            return [
                session.scalars(select(table).where(table.connection_id == self.id)).all()
                for table in (Transaction, Upload, FetchRun, Event)
            ]


def account(office: Office, *, currency: str = "EUR") -> Desk:
    house, visitor, token = office
    number = with_check_digits("NL", f"TEST{next(_numbers):010d}")
    with house.services.store.write() as session:
        session.add(
            Journal(
                administration_id=1, code=number[-5:], name="Bank", iban=number, currency=currency
            )
        )
        session.flush()
        ensure_connections(session, 1)
        found = session.scalars(select(Connection).where(Connection.iban == number)).one()
        found.start_date = house.at().today - timedelta(days=60)
        found.watermark = house.at().today - timedelta(days=10)
        found.switch = "off"
        shelf.cover(session, found, [(found.start_date + timedelta(days=10), found.watermark)])
        return Desk(house, visitor, found.id, number, token)


@pytest.fixture
def desk(office: Office) -> Desk:
    return account(office)


def file(desk: Desk) -> bytes:
    """The ten missing days, three bookings, two of them alike."""
    lines = [
        (desk.day(58), "-17.50", "Koffiebar", "Pasbetaling 08:12"),
        (desk.day(58), "-17.50", "Koffiebar", "Pasbetaling 08:12"),
        (desk.day(55), "1250.00", "Dorpshuis", "Factuur 2026-014"),
    ]
    return mt940(
        desk.iban, lines, opening=(desk.day(61), "100.00"), closing=(desk.day(51), "1315.00")
    )


def grouped(iban: str) -> str:
    return " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))


def text(answer: TestResponse) -> str:
    main = soup(answer).select_one("main")
    assert main is not None
    return words(main)


def refusal(answer: TestResponse) -> str:
    assert answer.status_code == 422, answer.status
    found = soup(answer).select_one("#page-form-field-file-error, .notice.error")
    assert found is not None
    return words(found)


# -- the way through ------------------------------------------------------------------------------


def test_the_page_says_which_days_are_missing(desk: Desk) -> None:
    page = text(desk.visitor.get(f"{desk.url}/upload"))
    assert "Which days are missing" in page
    assert "up to and including" in page
    assert "Not fetched yet" in page


def test_looking_stores_no_transaction_and_survives_a_reload(desk: Desk) -> None:
    address, page = desk.look(file(desk))
    for answer in (page, desk.visitor.get(address)):
        said = text(answer)
        assert "3 new ones" in said
        assert "With this file" not in said  # the newest days are still to be fetched
        assert "closes a part" in said
        assert "€100.00" in said
        assert "Dorpshuis" in said
    assert desk.booked() == []
    assert desk.connection().gap_from == desk.day(60)


def test_confirming_takes_it_in_closes_the_gap_and_leads_back_to_the_row(desk: Desk) -> None:
    address, _ = desk.look(file(desk))
    said = desk.says(desk.confirm(address))
    assert "3 transactions taken in from the file." in said
    assert "Take back" in said
    assert desk.booked() == [
        (desk.day(58), -1750), (desk.day(58), -1750), (desk.day(55), 125000),
    ]  # fmt: skip
    assert desk.covered() == [(desk.day(60), desk.day(10))]
    assert (desk.connection().gap_from, desk.connection().gap_to) == (None, None)
    (upload,) = desk.uploads()
    assert upload.content is None
    assert upload.confirmed_at is not None
    assert "Taken in by Olga Owner" in text(desk.visitor.get(address))


def test_a_double_press_or_the_same_file_again_changes_nothing(desk: Desk) -> None:
    address, _ = desk.look(file(desk))
    desk.confirm(address)
    before = desk.booked()
    assert "nothing was changed" in desk.says(desk.confirm(address))
    again, page = desk.look(file(desk))
    assert again != address
    assert "0 new ones" in text(page)
    assert "3 are known already" in text(page)
    desk.confirm(again)
    assert desk.booked() == before


def test_the_same_file_given_twice_waits_once(desk: Desk) -> None:
    assert desk.look(file(desk))[0] == desk.look(file(desk))[0]
    assert len(desk.uploads()) == 1


def test_cancelling_deletes_the_file(desk: Desk) -> None:
    address, _ = desk.look(file(desk))
    assert "nothing was taken in" in desk.says(desk.press(f"{address}/cancel"))
    assert desk.uploads() == []
    assert desk.visitor.get(address).status_code == 404


def test_after_a_day_an_unconfirmed_file_is_gone_and_the_page_says_so(desk: Desk) -> None:
    address, _ = desk.look(file(desk))
    at = desk.house.at()
    delete_old(desk.house.services, Moment(at.now + timedelta(hours=23), at.real))
    assert desk.visitor.get(address).status_code == 200
    delete_old(desk.house.services, Moment(at.now + timedelta(hours=25), at.real))
    assert [each.content for each in desk.uploads()] == [None]
    assert "kept for one day" in refusal(desk.visitor.get(address))
    answer = desk.confirm(address)
    assert answer.status_code == 303
    assert desk.booked() == []


def test_all_of_it_can_be_taken_back_and_uploaded_again(desk: Desk) -> None:
    before = desk.covered()
    address, _ = desk.look(file(desk))
    desk.confirm(address)
    assert "3 transactions of the file are out" in desk.says(desk.press(f"{address}/undo"))
    assert desk.booked() == desk.booked("removed") == []
    assert desk.covered() == before
    assert desk.connection().gap_from == desk.day(60)
    assert "Afterwards it was taken back" in text(desk.visitor.get(address))
    desk.confirm(desk.look(file(desk))[0])
    assert len(desk.booked()) == 3


def test_it_cannot_be_taken_back_once_something_came_in_after_it(desk: Desk) -> None:
    address, _ = desk.look(file(desk))
    desk.confirm(address)
    desk.confirm(desk.look(table([(desk.day(5), "-1.00", "x", "y")], desk.iban), "x.csv")[0])
    assert "can no longer be taken back" in text(desk.visitor.get(address))
    assert "can no longer be taken back" in desk.says(desk.press(f"{address}/undo"))
    assert len(desk.booked()) == 4


def test_it_cannot_be_taken_back_out_of_books_that_were_locked_since(desk: Desk) -> None:
    address, _ = desk.look(file(desk))
    desk.confirm(address)
    first = desk.booked()[0][0]
    with desk.house.services.store.write() as session:
        session.get_one(Administration, 1).lock_date = first
    try:
        assert "have been locked since" in text(desk.visitor.get(address))
        assert "have been locked since" in desk.says(desk.press(f"{address}/undo"))
        assert len(desk.booked()) == 3
    finally:
        with desk.house.services.store.write() as session:
            session.get_one(Administration, 1).lock_date = None
    assert "3 transactions of the file are out" in desk.says(desk.press(f"{address}/undo"))


# -- days -----------------------------------------------------------------------------------------


def test_bookings_before_the_start_date_and_in_the_locked_period_stay_out_and_are_told(
    desk: Desk,
) -> None:
    lines = [(desk.day(ago), "-1.00", "x", "y") for ago in (70, 65, 59, 57, 5)]
    address, page = desk.look(
        mt940(desk.iban, lines, opening=(desk.day(71), "100.00"), closing=(desk.day(5), "95.00"))
    )
    assert "2 are from before the start date and stay out" in text(page)
    with desk.house.services.store.write() as session:
        session.get_one(Administration, 1).lock_date = desk.day(58)
    try:
        said = text(desk.visitor.get(address))
        assert "2 are from before the start date and stay out" in said
        assert "1 is in the locked period and stays out" in said
        desk.confirm(address)
    finally:
        with desk.house.services.store.write() as session:
            session.get_one(Administration, 1).lock_date = None
    assert [day for day, _ in desk.booked()] == [desk.day(57), desk.day(5)]
    assert desk.covered()[0][0] == desk.day(57)


def test_a_file_of_days_before_the_start_date_only_offers_nothing_to_confirm(desk: Desk) -> None:
    lines = [(desk.day(ago), "-1.00", "x", "y") for ago in (70, 65)]
    ends = {"opening": (desk.day(71), "100.00"), "closing": (desk.day(64), "98.00")}
    _, page = desk.look(mt940(desk.iban, lines, **ends))
    assert "so there is nothing to take in" in text(page)
    assert soup(page).select("#cancel") and not soup(page).select("#confirm")
    lines.append((desk.day(60), "-1.00", "x", "y"))
    ends["closing"] = desk.day(60), "97.00"
    _, page = desk.look(mt940(desk.iban, lines, **ends))
    assert "so there is nothing to take in" not in text(page)
    assert soup(page).select("#confirm")


def test_a_person_may_say_of_which_days_the_file_is_everything(desk: Desk) -> None:
    data = table([(desk.day(55), "-1.00", "x", "y")], desk.iban)
    address, _ = desk.look(data, "x.csv")
    wrong = desk.confirm(address, first=desk.day(51).isoformat(), last=desk.day(60).isoformat())
    assert wrong.status_code == 422
    assert "lies before the first" in text(wrong)
    kept = soup(wrong).select_one("#first")
    assert kept is not None
    assert kept["value"] == desk.day(51).isoformat()
    ahead = desk.confirm(address, last=(desk.today + timedelta(days=1)).isoformat())
    assert "today or an earlier day" in text(ahead)
    assert desk.booked() == []
    desk.confirm(address, first=desk.day(60).isoformat(), last=desk.day(51).isoformat())
    assert desk.covered() == [(desk.day(60), desk.day(10))]


def test_a_table_tells_only_of_its_first_to_its_last_day(desk: Desk) -> None:
    data = table([(desk.day(57), "-1.00", "x", "y"), (desk.day(55), "-2.00", "x", "y")], desk.iban)
    desk.confirm(desk.look(data, "x.csv")[0])
    assert desk.covered()[0] == (desk.day(57), desk.day(55))
    assert (desk.connection().gap_from, desk.connection().gap_to) == (desk.day(60), desk.day(51))


def test_days_between_two_statements_count_only_where_the_balances_meet(desk: Desk) -> None:
    def two(opening: str) -> bytes:
        return mt940(
            desk.iban, [(desk.day(59), "5.00", "x", "y")],
            opening=(desk.day(61), "10.00"), number="1",
        ) + mt940(
            desk.iban, [(desk.day(52), "5.00", "x", "y")],
            opening=(desk.day(54), opening), number="2",
        )  # fmt: skip

    address, _ = desk.look(two("16.00"))
    desk.confirm(address)
    assert desk.covered()[:2] == [(desk.day(60), desk.day(59)), (desk.day(53), desk.day(52))]
    desk.press(f"{address}/undo")
    desk.confirm(desk.look(two("15.00"))[0])
    assert desk.covered()[0] == (desk.day(60), desk.day(52))


def test_today_is_not_over_and_so_never_told(desk: Desk) -> None:
    data = camt053(desk.iban, [(desk.today, "5.00", "x", "y")], period=(desk.day(3), desk.today))
    desk.confirm(desk.look(data, "x.xml")[0])
    assert desk.covered()[-1] == (desk.day(3), desk.day(1))
    assert desk.booked() == [(desk.today, 500)]


# -- doubt ----------------------------------------------------------------------------------------


def put(desk: Desk, ago: int, amount: str, who: str, what: str) -> None:
    """A booking that is in the books already, as another file told it."""
    data = mt940(
        desk.iban, [(desk.day(ago), amount, who, what)], opening=(desk.day(ago + 1), "0.00")
    )
    desk.confirm(desk.look(data)[0])


def doubtful(desk: Desk) -> tuple[str, dict[str, list[str]]]:
    """One booking that resembles what is there in day and amount only: the upload's address, and
    the choices by field."""
    put(desk, 55, "-40.00", "Groothandel Jansen", "Pakbon 4471")
    data = mt940(
        desk.iban, [(desk.day(55), "-40.00", "Tankstation Zuid", "Diesel")],
        opening=(desk.day(56), "0.00"), number="2",
    )  # fmt: skip
    address, page = desk.look(data, "augustus.sta")
    assert "1 in doubt" in text(page)
    assert "Groothandel Jansen" in text(page)
    names: dict[str, list[str]] = {}
    for each in soup(page).select("table.doubtful input[type=radio]"):
        names.setdefault(str(each["name"]), []).append(str(each["value"]))
    return address, names


@pytest.mark.parametrize(
    ("choice", "states"),
    [
        ("same", {"booked": 1}),
        ("new", {"booked": 2}),
        ("later", {"booked": 1, "review": 1}),
        (None, {"booked": 1, "review": 1}),
    ],
)
def test_of_a_booking_in_doubt_a_person_says_what_it_is(
    desk: Desk, choice: str | None, states: dict[str, int]
) -> None:
    address, names = doubtful(desk)
    ((name, values),) = names.items()
    chosen = next((value for value in values if choice and value.startswith(choice)), None)
    said = desk.says(desk.confirm(address, **({name: chosen} if chosen else {})))
    assert ("for your decision" in said) == ("review" in states)
    for state in ("booked", "review", "removed", "rejected"):
        assert len(desk.booked(state)) == states.get(state, 0), state
    again = desk.look(
        mt940(
            desk.iban, [(desk.day(55), "-40.00", "Tankstation Zuid", "Diesel")],
            opening=(desk.day(56), "0.00"), number="2",
        ),
        "augustus.sta",
    )[1]  # fmt: skip
    assert "1 is known already" in text(again)


def test_what_was_chosen_is_kept(desk: Desk) -> None:
    address, names = doubtful(desk)
    ((name, values),) = names.items()
    desk.confirm(address, do="keep", **{name: values[0]})
    (ticked,) = soup(desk.visitor.get(address)).select("input[type=radio][checked]")
    assert (ticked["name"], ticked["value"]) == (name, values[0])
    assert len(desk.booked()) == 1
    wrong = desk.confirm(address, first=desk.day(3).isoformat(), last=desk.day(4).isoformat())
    (ticked,) = soup(wrong).select("input[type=radio][checked]")
    assert ticked["value"] == values[0]


def test_what_is_new_on_a_complete_day_is_in_doubt_and_can_be_left_out(desk: Desk) -> None:
    lines = [(desk.day(ago), "-3.00", "x", "y") for ago in (30, 29, 28, 5)]
    data = mt940(desk.iban, lines, opening=(desk.day(30), "50.00"))
    address, page = desk.look(data)
    assert "1 new" in text(page)
    assert "3 are in doubt" in text(page)
    desk.confirm(address, row_0="new", row_1="out")
    assert [day for day, _ in desk.booked()] == [desk.day(30), desk.day(5)]
    assert [day for day, _ in desk.booked("rejected")] == [desk.day(29)]
    assert [day for day, _ in desk.booked("review")] == [desk.day(28)]
    with desk.house.services.store.read() as session:
        reasons = set(
            session.scalars(
                select(Transaction.review_reason).where(Transaction.connection_id == desk.id)
            )
        )
    assert reasons == {None, "late"}


def test_other_words_for_the_same_booking_are_known(desk: Desk) -> None:
    put(desk, 55, "-40.00", "Groothandel Jansen B.V.", "Factuur 4471 oktober levering")
    data = table(
        [(desk.day(55), "-40.00", "JANSEN GROOTHANDEL", "Naam: Groothandel Jansen Factuur 4471")],
        desk.iban,
    )
    assert "1 is known already" in text(desk.look(data, "x.csv")[1])


def test_what_the_books_have_and_the_file_lacks_on_its_own_days_is_told_with_a_way_there(
    desk: Desk,
) -> None:
    mine = (desk.day(58), "-40.00", "Jansen", "Factuur 1")
    more = [(desk.day(ago), "-7.00", f"Winkel {ago}", f"Bon {ago}") for ago in (57, 56, 52)]
    books = mt940(desk.iban, [mine, *more], opening=(desk.day(59), "500.00"))
    desk.confirm(desk.look(books)[0])
    assert not soup(desk.look(books + b"\r\n", "again.sta")[1]).select("#lacking")
    shorter = mt940(
        desk.iban, [mine], opening=(desk.day(59), "500.00"), closing=(desk.day(56), "460.00"),
        number="2",
    )  # fmt: skip
    address, page = desk.look(shorter, "shorter.sta")
    (told,) = soup(page).select("#lacking")
    assert "On these days 2 transactions are in the books that this file does not" in words(told)
    (way,) = told.select("a")
    there = desk.visitor.get(str(way["href"]))
    assert there.status_code == 200
    listed = text(there)
    assert "Winkel 57" in listed
    assert "Winkel 56" in listed
    assert "Winkel 52" not in listed, "the file says nothing of that day"
    with desk.house.services.store.write() as session:
        for each in session.scalars(
            select(Transaction).where(
                Transaction.connection_id == desk.id, Transaction.booked_on == desk.day(57)
            )
        ):
            each.state = "removed"
    (told,) = soup(desk.visitor.get(address)).select("#lacking")
    assert "1 transaction is in the books" in words(told)


# -- accounts and currencies ----------------------------------------------------------------------


def test_a_file_of_another_account_says_whose_it_is_and_leads_there(
    desk: Desk, office: Office
) -> None:
    other = account(office)
    before = desk.stored()
    answer = desk.give(file(other))
    said = refusal(answer)
    assert grouped(other.iban) in said
    assert grouped(desk.iban) in said
    (way,) = soup(answer).select(".ways-on a")
    assert way["href"] == f"{other.url}/upload"
    assert desk.stored() == before
    stranger = mt940("NL44RABO0123456789", [], opening=(desk.day(3), "1.00"))
    answer = desk.give(stranger)
    assert "RABO" in refusal(answer)
    assert soup(answer).select(".ways-on a") == []


def test_of_several_accounts_only_the_own_one_is_taken(desk: Desk, office: Office) -> None:
    other = account(office)
    address, page = desk.look(file(other) + file(desk))
    assert "3 new ones" in text(page)
    assert "The file also holds" in text(page)
    desk.confirm(address)
    assert len(desk.booked()) == 3
    assert other.booked() == []


@pytest.mark.parametrize("form", ["mt940", "camt053"])
def test_a_statement_that_is_twice_in_a_file_counts_once(desk: Desk, form: str) -> None:
    data = file(desk)
    twice = data + data
    if form == "camt053":
        lines = [(desk.day(55), "-17.50", "Bar", "Pas"), (desk.day(54), "17.50", "Bar", "Pas")]
        data = camt053(desk.iban, lines, period=(desk.day(56), desk.day(53)))
        start, end = data.index(b"<Stmt>"), data.index(b"</BkToCstmrStmt>")
        twice = data[:end] + data[start:]
    once = text(desk.look(data)[1])
    address, page = desk.look(twice, "twice.sta")
    assert "1 statement is in the file a second time; it counts once." in text(page)
    assert "a second time" not in once
    desk.confirm(address)
    assert len(desk.booked()) == (3 if form == "mt940" else 2)


def test_the_number_from_before_there_were_ibans_is_the_same_account(desk: Desk) -> None:
    data = file(desk).replace(desk.iban.encode(), desk.iban[-10:].lstrip("0").zfill(5).encode())
    page = desk.look(data)[1]
    assert "3 new ones" in text(page)
    assert "In the file this account is called" in text(page)


def test_another_currency_is_not_this_account(desk: Desk) -> None:
    data = mt940(
        desk.iban, [(desk.day(58), "5.00", "x", "y")], opening=(desk.day(59), "0.00"),
        currency="USD",
    )  # fmt: skip
    assert "in USD; this link is for EUR" in refusal(desk.give(data))


# -- a table of an unknown kind -------------------------------------------------------------------

OTHER = "Wanneer;Wat;Hoeveel;Wie\n{0:%d/%m/%Y};Koffie;-2,50;Bar\n{1:%d/%m/%Y};Thee;1.002,50;Bar\n"


def test_a_person_says_which_column_is_what(desk: Desk) -> None:
    data = OTHER.format(desk.day(58), desk.day(57)).encode()
    address, page = desk.look(data, "eigen.csv")
    assert "Which column is what?" in text(page)
    assert "1 · Wanneer" in text(page)
    wrong = desk.press(f"{address}/columns", column_booked="0", column_amount="1")
    assert wrong.status_code == 422
    field = soup(wrong).select_one("#page-form-field-column_amount-error")
    assert field is not None
    assert "Line 2: “Koffie” is no amount" in words(field)
    twice = desk.press(f"{address}/columns", column_booked="0", column_amount="0")
    assert "chosen twice" in text(twice)
    missing = desk.press(f"{address}/columns", column_amount="2")
    assert soup(missing).select_one("#page-form-field-column_booked-error")
    done = desk.press(
        f"{address}/columns",
        column_booked="0", column_amount="2", column_description="1", column_name="3",
    )  # fmt: skip
    assert done.status_code == 303
    said = text(desk.visitor.get(address))
    assert "2 new ones" in said
    assert "does not say which account" in said
    desk.confirm(address)
    assert desk.booked() == [(desk.day(58), -250), (desk.day(57), 100250)]


def test_a_column_that_was_chosen_wrong_is_put_right_from_what_it_would_bring(desk: Desk) -> None:
    data = (
        "Wanneer;Rente;Hoeveel;Wie\n"
        f"{desk.day(58):%d/%m/%Y};{desk.day(29):%d/%m/%Y};-2,50;Bar\n"
        f"{desk.day(57):%d/%m/%Y};{desk.day(28):%d/%m/%Y};1.002,50;Bar\n"
    ).encode()
    address, _page = desk.look(data, "eigen.csv")
    chosen = {"column_booked": "1", "column_amount": "2", "column_name": "3"}
    desk.press(f"{address}/columns", **chosen)
    looked = soup(desk.visitor.get(address))
    assert looked.select_one("#take button#columns[name=do][value=columns]")
    names = {str(each["name"]) for each in looked.select("#take input[type=radio]")}
    assert names, "these are days that were complete"
    way = desk.confirm(address, do="columns", first=desk.day(27).isoformat(), row_1="new")
    assert way.status_code == 303 and way.location == f"{address}/columns"
    again = soup(desk.visitor.get(way.location))
    picked = {str(each.parent["name"]): each["value"] for each in again.select(  # type: ignore[index]
        ".which-column option[selected]") if each["value"]}  # fmt: skip
    assert picked == chosen
    desk.press(f"{address}/columns", **chosen)
    kept = soup(desk.visitor.get(address))
    assert kept.select_one(f"#first[value='{desk.day(27)}']")
    assert kept.select_one("input[name=row_1][value=new][checked]")
    desk.press(f"{address}/columns", **{**chosen, "column_booked": "0", "column_value": "1"})
    assert soup(desk.visitor.get(address)).select_one(f"#first[value='{desk.day(58)}']")
    desk.confirm(address)
    assert desk.booked() == [(desk.day(58), -250), (desk.day(57), 100250)]
    assert desk.visitor.get(f"{address}/columns").location == address


def test_in_a_layout_that_is_known_there_is_no_column_to_choose(desk: Desk) -> None:
    data = (
        '"Datum";"Naam / Omschrijving";"Rekening";"Tegenrekening";"Code";"Af Bij";'
        '"Bedrag (EUR)";"Mutatiesoort";"Mededelingen"\n'
        f'"{desk.day(58):%Y%m%d}";"Bar";"{desk.iban}";"";"BA";"Af";"{{}}";"Betaalautomaat";"x"\n'
    )
    said = refusal(desk.give(data.format("veel").encode()))
    assert "Line 2: “veel” is no amount. Download the file again" in said
    address, page = desk.look(data.format("2,50").encode(), "ing.csv")
    assert not soup(page).select("#columns")
    assert desk.visitor.get(f"{address}/columns").location == address


def test_how_dates_and_amounts_were_read_is_said_where_nothing_tells(desk: Desk) -> None:
    year = desk.today.year - 1
    data = f"Wanneer;Hoeveel;Wat\n03/04/{year};12.500;Koffie\n".encode()
    address, _ = desk.look(data, "us.csv")
    desk.press(f"{address}/columns", column_booked="0", column_amount="1", column_description="2")
    said = text(desk.visitor.get(address))
    assert f"“03/04/{year}” was read as 3 Apr {year}" in said
    assert "“12.500” was read as €12,500.00" in said


# -- files that cannot be used --------------------------------------------------------------------


def archive(name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr(name, "x")
    return made.getvalue()


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]><Document><BkToCstmrStmt>&c;</BkToCstmrStmt></Document>"""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
        (b"%PDF-1.7\n1 0 obj", "PDF"),
        (archive("juli.sta"), "archive"),
        (archive("xl/workbook.xml"), "spreadsheet"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"\xff\xd8\xff\xe0", "picture"),
        (b"<html><body>Sign in</body></html>", "web page"),
        (b"Beste boekhouder,\n", "no bank statement"),
        (BOMB, "document type declaration"),
        (b"<?xml version='1.0'?><Document><BkToCstmrStmt/></Document>", "no statement"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_statement_is_named_and_nothing_is_stored(
    desk: Desk, data: bytes, says: str
) -> None:
    before = desk.stored()
    said = refusal(desk.give(data))
    assert says in said
    assert desk.stored() == before


def test_a_table_whose_cells_are_not_certain_is_refused_with_its_line(desk: Desk) -> None:
    before = desk.stored()
    line = (desk.day(5), "1.00", "x", "y")
    more = table([line, (desk.day(5), "1.00", "x", 'a";"b')], desk.iban)
    assert "Line 3 has more cells" in refusal(desk.give(more))
    open_quote = table([line, line, line], desk.iban).replace(b'"y"\n"', b'"y\n', 1)
    assert "In line 2 a quotation mark" in refusal(desk.give(open_quote))
    assert desk.stored() == before


def test_a_file_that_breaks_off_says_where(desk: Desk) -> None:
    before = desk.stored()
    whole = file(desk)
    assert "breaks off in statement 1" in refusal(desk.give(whole[: len(whole) // 2]))
    xml = camt053(desk.iban, [], period=(desk.day(5), desk.day(4)))
    assert "breaks off in statement 1" in refusal(desk.give(xml[:-60]))
    csv = table([(desk.day(5), "1.00", "x", "y")] * 2, desk.iban)
    assert "breaks off in line 3" in refusal(desk.give(csv[:-6]))
    assert desk.stored() == before


def test_a_field_that_cannot_be_read_is_named_with_its_line(desk: Desk) -> None:
    wrong = file(desk).replace(b"C1250,00", b"Cveel")
    assert ":61: in line 9 cannot be read" in refusal(desk.give(wrong))
    xml = camt053(desk.iban, [(desk.day(5), "1.00", "x", "y")], period=(desk.day(5), desk.day(4)))
    assert "Amt in line" in refusal(desk.give(xml.replace(b">1.00<", b">1,00,0<")))


@pytest.mark.parametrize("year", [1900, 2100])
def test_a_year_that_cannot_be_is_told_with_its_line(desk: Desk, year: int) -> None:
    day = date(year, 3, 3)
    before = desk.stored()
    said = refusal(desk.give(table([(desk.day(5), "1.00", "x", "y"), (day, "1.00", "x", "y")],
                                   desk.iban)))  # fmt: skip
    assert "Line 3" in said
    assert str(year) in said
    xml = camt053(desk.iban, [], period=(min(day, desk.day(5)), max(day, desk.day(5))))
    assert f"{year}" in refusal(desk.give(xml))
    assert desk.stored() == before


def test_a_day_to_come_is_told_with_its_line(desk: Desk) -> None:
    tomorrow = desk.today + timedelta(days=1)
    said = refusal(desk.give(mt940(
        desk.iban, [(tomorrow, "1.00", "x", "y")], opening=(desk.day(1), "0.00")
    )))  # fmt: skip
    assert "Line 5 is dated" in said
    assert "still to come" in said


def test_200_megabytes_are_refused_before_they_are_read(desk: Desk) -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            Endless.taken += len(buffer)
            return len(buffer)

    answer = desk.visitor.post(
        f"{desk.url}/upload",
        content_type="multipart/form-data; boundary=x",
        environ_overrides={
            "wsgi.input": io.BufferedReader(Endless()),
            "CONTENT_LENGTH": str(200 * 1024 * 1024),
        },
    )
    assert answer.status_code == 413
    found = soup(answer).select_one("#page-form-field-file-error")
    assert found is not None
    assert "larger than 20 MB" in words(found)
    assert Endless.taken < 1024 * 1024
    assert "larger than 20 MB" in refusal(desk.give(b"x;y;z\n" * (20 * 1024 * 1024 // 6 + 1)))


def test_a_file_that_does_not_add_up_is_taken_with_a_warning(desk: Desk) -> None:
    lines = [(desk.day(58), "5.00", "x", "y")]
    data = mt940(
        desk.iban, lines, opening=(desk.day(61), "10.00"), closing=(desk.day(51), "14.00"),
        number="00042",
    )  # fmt: skip
    address, page = desk.look(data)
    assert "come to €15.00, and it closes with €14.00" in text(page)
    assert "1 transaction taken in" in desk.says(desk.confirm(address))
    row = desk.connection()
    assert (row.unbalanced_by, row.unbalanced_to) == (-100, desk.day(51))
    desk.press(f"{address}/undo")
    assert desk.connection().unbalanced_by is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "windows-1252"])
@pytest.mark.parametrize("form", ["table", "mt940"])
def test_letters_with_accents_survive_every_encoding(desk: Desk, encoding: str, form: str) -> None:
    lines = [(desk.day(55), "-1.00", "Café Zoë", "Crème brûlée")]
    made = table(lines, desk.iban) if form == "table" else mt940(
        desk.iban, lines, opening=(desk.day(56), "0.00")
    )  # fmt: skip
    page = desk.look(made.decode().encode(encoding))[1]
    assert "Café Zoë" in text(page)
    assert "Crème brûlée" in text(page)


def test_letters_spoiled_before_are_pointed_at(desk: Desk) -> None:
    spoiled = "Café".encode().decode("windows-1252")
    page = desk.look(table([(desk.day(55), "-1.00", spoiled, "x")], desk.iban))[1]
    assert "spoiled before it came here" in text(page)
    assert f"“{spoiled}”" in text(page)


def test_without_a_start_date_the_page_says_what_comes_first(desk: Desk) -> None:
    with desk.house.services.store.write() as session:
        session.get_one(Connection, desk.id).start_date = None
    page = desk.visitor.get(f"{desk.url}/upload")
    assert "no start date yet" in text(page)
    assert soup(page).select("input[type=file]") == []
    assert "no start date yet" in text(desk.give(b":20:x"))


def test_an_upload_is_found_under_its_own_account_only(desk: Desk, office: Office) -> None:
    other = account(office)
    address, _ = desk.look(file(desk))
    number = address.rpartition("/")[2]
    assert desk.visitor.get(f"{other.url}/uploads/{number}").status_code == 404
    for verb in ("confirm", "cancel", "undo", "columns"):
        foreign = desk.press(f"{other.url}/uploads/{number}/{verb}")
        assert foreign.status_code == 404, verb
    assert len(desk.uploads()) == 1
