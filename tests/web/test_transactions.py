"""One account's own pages: its transactions, what waits for a person, its days and balance, its
fetches."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from sqlalchemy import delete, func, select

from banklink.core.calendar import AMSTERDAM
from banklink.store.listing import PAGE
from banklink.store.models import (
    Administration,
    BookedDay,
    Connection,
    FetchRun,
    Holder,
    PendingTransaction,
    Remark,
    Transaction,
)
from tests.support import story
from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, row_of, soup, words

DAY = timedelta(days=1)
LIST = "#bookings tbody tr"


def page_of(visitor: Visitor, path: str) -> BeautifulSoup:
    answer = visitor.get(path)
    assert answer.status_code == 200, path
    return soup(answer)


def texts(page: BeautifulSoup) -> list[str]:
    return [words(each) for each in page.select(f"{LIST} .remittance")]


def link(page: BeautifulSoup, name: str) -> str | None:
    found = page.select_one(f"a#{name}")
    return str(found["href"]) if found else None


def sums(page: BeautifulSoup) -> dict[str, str]:
    return {
        str(each["class"][0]): words(each.b)  # type: ignore[arg-type]
        for each in page.select(".sums p")
        if each.b
    }


@pytest.fixture(scope="module")
def told(house: TestHouse) -> int:
    """A connection with a story that has everything in it."""
    books = Books(house)
    number = books.id("expiring")
    with house.services.store.write() as session:
        story.tell(session, session.get_one(Connection, number), house.at())
    return number


@pytest.fixture(scope="module")
def long(house: TestHouse) -> int:
    """A connection with a long list, made for searching."""
    number = Books(house).id("fiets_sparen")
    with house.services.store.write() as session:
        connection, at = session.get_one(Connection, number), house.at()
        session.execute(delete(Transaction).where(Transaction.connection_id == number))
        run = story.run_of(session, connection, at)
        file = story.run_of(session, connection, at, kind="file", reason="file", holder_id=None)
        hand, files = story.Hand(session, connection, run), story.Hand(session, connection, file)
        for n in range(230):
            hand.book(at.today - (n // 3) * DAY, (n - 100) * 100, f"Regel {n:03d}")
        hand.book(at.today, 123_456, "Grote betaling", counterparty_name="Ümit Çelik")
        hand.book(at.today, -123_456, "100% korting_actie", counterparty_name=None)
        hand.book(at.today, -1, "Zonder rekening", counterparty_iban=None,
                  end_to_end_id="KENMERK-77")  # fmt: skip
        files.book(at.today, 5_000, "Uit een bestand", counterparty_iban="DE89370400440532013000")
        hand.book(at.today, 777, "Weggehaald", state="removed")
        story.recount(session, number)
    return number


# -- the list -----------------------------------------------------------------------------------


def walk(visitor: Visitor, start: str, way: str, after: Callable[[int], None]) -> list[list[str]]:
    pages, at = [], start
    while at:
        page = page_of(visitor, at)
        pages.append(texts(page))
        after(len(pages))
        at = link(page, way) or ""
    return pages


def test_paging_brings_every_row_once_while_others_come_in(
    visitor: Visitor, house: TestHouse, books: Books
) -> None:
    number, today = books.id("switched_off"), house.at().today
    with house.services.store.write() as session:
        connection = session.get_one(Connection, number)
        session.execute(delete(Transaction).where(Transaction.connection_id == number))
        run = story.run_of(session, connection, house.at())
        hand = story.Hand(session, connection, run)
        for n in range(4 * PAGE + 7):
            hand.book(today - (n // 20) * DAY, 100 + n, f"Regel {n}")

    def arrives(which: int) -> None:
        with house.services.store.write() as session:
            run = story.run_of(session, session.get_one(Connection, number), house.at())
            story.Hand(session, session.get_one(Connection, number), run).book(
                today, 5, f"Nieuw {which}"
            )

    start = f"/connections/{number}/transactions"
    pages = walk(visitor, start, "next", arrives)
    seen = [each for rows in pages for each in rows]
    assert len(seen) == len(set(seen)) == 4 * PAGE + 7
    assert {each for each in seen if each.startswith("Regel")} == {
        f"Regel {n}" for n in range(4 * PAGE + 7)
    }
    assert all(len(rows) == PAGE for rows in pages[:-1])

    last = page_of(visitor, link(page_of(visitor, start), "last") or "")
    assert texts(last)[-1] == seen[-1] and link(last, "next") is None
    back = walk(visitor, f"{start}?at=end", "previous", lambda _: None)
    between = [each for rows in back[:-1] for each in rows]
    assert len(between) == len(set(between))
    assert len(back[-1]) == PAGE, "the newest page is a whole one"
    assert {*between, *back[-1]} > set(seen), "all, and those that came meanwhile"


def test_a_page_asks_the_database_no_more_often_wherever_it_stands(
    visitor: Visitor, house: TestHouse, long: int, counted: Callable[..., int]
) -> None:
    start = f"/connections/{long}/transactions"
    visitor.get(start)
    second = link(page_of(visitor, start), "next")
    counts = {
        counted(house, lambda each=each: visitor.get(each))  # type: ignore[misc]
        for each in (start, second, f"{start}?at=end")
    }
    assert max(counts) <= min(counts) + 1, "the newest page also looks for what is announced"
    assert max(counts) <= 16


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("q=grote", {"Grote betaling"}),
        ("q=betaling+grote", {"Grote betaling"}),
        ("q=%C3%BCmit", {"Grote betaling"}),
        ("q=DE89+3704+0044+0532+0130+00", {"Uit een bestand"}),
        ("q=de89370400", {"Uit een bestand"}),
        ("q=kenmerk-77", {"Zonder rekening"}),
        ("q=1.234%2C56", {"Grote betaling", "100% korting_actie"}),
        ("q=1%2C234.56", {"Grote betaling", "100% korting_actie"}),
        ("q=%E2%82%AC+1234%2C56", {"Grote betaling", "100% korting_actie"}),
        ("q=-1234%2C56", {"100% korting_actie"}),
        ("q=%2B1234.56", {"Grote betaling"}),
        ("q=0%25+korting", {"100% korting_actie"}),
        ("q=korting_", {"100% korting_actie"}),
        ("q=e%25t", set()),
        ("q=regel&least=129", {"Regel 229"}),
        ("q=regel&least=98&way=out", {"Regel 000", "Regel 001", "Regel 002"}),
        ("q=regel&most=1%2C00&way=in", {"Regel 101"}),
        ("via=0", {"Uit een bestand"}),
        ("state=aside", {"Weggehaald verwijderd"}),
    ],
)
def test_what_is_looked_for_is_found(
    visitor: Visitor, long: int, asked: str, found: set[str]
) -> None:
    page = page_of(visitor, f"/connections/{long}/transactions?{asked}")
    assert set(texts(page)) == found
    assert sums(page)["count"].startswith(str(len(found)))


@pytest.mark.parametrize("asked", ["", "from={a}&to={b}", "to={b}", "way=in", "way=out&from={a}",
                                   "least=50&most=80", "q=regel+1", "state=all", "via=0"])  # fmt: skip
def test_the_totals_are_those_of_what_is_found(
    visitor: Visitor, house: TestHouse, long: int, asked: str
) -> None:
    """Whether sums of days answer or the bookings themselves."""
    a, b = house.at().today - 40 * DAY, house.at().today - 10 * DAY
    asked = asked.format(a=a, b=b)
    with house.services.store.read() as session:
        rows = list(
            session.scalars(
                select(Transaction).where(
                    Transaction.connection_id == long,
                    Transaction.state == "booked" if "state" not in asked else True,  # type: ignore[arg-type]
                )
            )
        )
        holders = {
            run.id: run.kind
            for run in session.scalars(select(FetchRun).where(FetchRun.connection_id == long))
        }
    wanted = [
        each.amount
        for each in rows
        if ("from" not in asked or each.booked_on >= a)
        and ("to=" not in asked or each.booked_on <= b)
        and ("way=in" not in asked or each.amount > 0)
        and ("way=out" not in asked or each.amount < 0)
        and ("least" not in asked or 5000 <= abs(each.amount) <= 8000)
        and ("q=" not in asked or ("Regel" in each.remittance and "1" in
             each.remittance + (each.counterparty_iban or "") + (each.counterparty_name or "")))
        and ("via" not in asked or holders[each.run_id] == "file")
    ]  # fmt: skip
    page = page_of(visitor, f"/connections/{long}/transactions?{asked}")
    shown = sums(page)
    assert int(re.sub(r"\D", "", shown["count"])) == len(wanted)
    for key, total in (
        ("in", sum(each for each in wanted if each > 0)),
        ("out", sum(each for each in wanted if each < 0)),
        ("net", sum(wanted)),
    ):
        minor = int(re.sub(r"[^\d-]", "", shown[key]))
        assert minor == total, key


def test_what_came_in_at_once_stays_alone_while_searching_and_says_so(
    visitor: Visitor, house: TestHouse, long: int
) -> None:
    with house.services.store.read() as session:
        of_here = select(FetchRun).where(FetchRun.connection_id == long)
        file = session.scalars(of_here.where(FetchRun.kind == "file")).one().id
        elsewhere = session.scalars(
            select(FetchRun.id).where(FetchRun.connection_id != long).limit(1)
        ).one()
    start = f"/connections/{long}/transactions"
    page = page_of(visitor, f"{start}?run={file}&state=all")
    assert "alleen wat binnenkwam met het bestand" in words(page.select_one("#one-run"))  # type: ignore[arg-type]
    kept = page.select_one("form#find input[name=run]")
    assert kept is not None and kept["value"] == str(file)
    found = page_of(visitor, f"{start}?q=een&run={file}&state=all")
    assert texts(found) == ["Uit een bestand"]
    all_runs = found.select_one("#all-runs")
    assert all_runs is not None and str(all_runs["href"]) == f"{start}?q=een&state=all"
    assert not page_of(visitor, str(all_runs["href"])).select("#one-run, input[name=run]")
    foreign = page_of(visitor, f"{start}?run={elsewhere}")
    assert "hier niet bekend" in words(foreign.select_one("#one-run"))  # type: ignore[arg-type]
    assert texts(foreign) == []


def test_whom_is_asked_for_stays_chosen_when_nothing_of_theirs_is_found(
    visitor: Visitor, house: TestHouse, long: int
) -> None:
    def chosen(via: int) -> str:
        page = page_of(visitor, f"/connections/{long}/transactions?q=nergens&via={via}")
        (option,) = page.select("#filter-via option[selected]")
        assert option["value"] == str(via)
        return words(option)

    with house.services.store.write() as session:
        session.add(stranger := Holder(provider="p", subject="x", name="Iemand van elders"))
        former = Holder(provider="p", subject="y", name="Vroegere rekeninghouder")
        session.add(former)
        session.flush()
        story.run_of(session, session.get_one(Connection, long), house.at(), holder_id=former.id)
        numbers = former.id, stranger.id
    assert chosen(numbers[0]) == "Vroegere rekeninghouder"
    assert chosen(numbers[1]) == f"Verwijderde rekeninghouder {numbers[1]}"


def test_what_cannot_be_read_is_said_at_its_field_and_not_looked_at(
    visitor: Visitor, long: int
) -> None:
    page = page_of(
        visitor,
        f"/connections/{long}/transactions?from=gisteren&least=veel&to=2020-01-01&before=x.y",
    )
    wrong = {str(each["id"]): words(each) for each in page.select("p.error")}
    assert "filter-from-error" in wrong and "Dit is geen bedrag" in wrong["filter-least-error"]
    assert page.select_one("#filter-from[aria-invalid=true]") is not None
    assert page.select_one("details.filters[open]") is not None
    assert not page.select(LIST), "the last day holds still"


@pytest.mark.parametrize("number", [10**30, -(10**30), 0])
def test_numbers_beyond_any_row_find_nothing_and_break_nothing(
    visitor: Visitor, told: int, number: int
) -> None:
    here = f"/connections/{told}"
    for page in (f"fetches?before={number}", f"exports?below={number}"):
        assert visitor.get(f"{here}/{page}").status_code == 200, page
    for action, field in (("accept", "id"), ("reject", "through")):
        answer = visitor.press(f"{here}/review/{action}", {field: str(number)})
        assert answer.status_code == 303, action
    assert visitor.press(f"{here}/review/seen", {"remark": str(number)}).status_code == 404


def test_announced_ones_stand_apart_and_count_nowhere(
    visitor: Visitor, house: TestHouse, told: int
) -> None:
    page = page_of(visitor, f"/connections/{told}/transactions")
    apart = page.select_one("section.pending")
    assert apart is not None and "Energie Direct" in words(apart)
    assert "Energie Direct" not in " ".join(texts(page))
    with house.services.store.read() as session:
        booked = session.scalar(
            select(func.sum(BookedDay.count)).where(BookedDay.connection_id == told)
        )
    assert sums(page)["count"] == f"{booked} mutaties"
    for elsewhere in ("?at=end", "?q=energie"):
        there = page_of(visitor, f"/connections/{told}/transactions{elsewhere}")
        assert there.select_one("section.pending") is None


# -- one of them --------------------------------------------------------------------------------


def test_what_was_announced_long_ago_is_no_longer_said(
    visitor: Visitor, house: TestHouse, told: int
) -> None:
    """Where announcements cannot be read any more, nobody knows whether they have come."""
    mine = PendingTransaction.connection_id == told
    assert page_of(visitor, f"/connections/{told}/transactions").select("#pending")
    for back in (3 * DAY, -3 * DAY):
        with house.services.store.write() as session:
            for each in session.scalars(select(PendingTransaction).where(mine)):
                each.seen_at -= back
        if back > timedelta(0):
            assert not page_of(visitor, f"/connections/{told}/transactions").select("#pending")


def test_a_row_tells_all_that_is_known_of_it_and_can_be_taken_out_and_put_back(
    visitor: Visitor, long: int
) -> None:
    start = f"/connections/{long}/transactions"
    before = sums(page_of(visitor, start))
    found = page_of(visitor, f"{start}?q=kenmerk-77").select_one(f"{LIST} a.name")
    assert found is not None
    address = str(found["href"])
    page = page_of(visitor, address)
    said = words(page.select_one("article.one"))  # type: ignore[arg-type]
    for each in ("Zonder rekening", "KENMERK-77", "niet opgegeven", "Noor Hendriks"):
        assert each in said
    assert visitor.press(f"{address}/remove").status_code == 303
    page = page_of(visitor, address)
    assert "Verwijderd door Sanne Jansen" in words(page.select_one("article.one"))  # type: ignore[arg-type]
    assert not page_of(visitor, f"{start}?q=kenmerk-77").select(LIST)
    assert sums(page_of(visitor, start)) != before
    visitor.press(f"{address}/restore")
    said = page_of(visitor, address).select_one("#said")
    assert said is not None and "Teruggezet; de mutatie telt weer mee." in words(said)
    assert sums(page_of(visitor, start)) == before
    visitor.press(f"{address}/restore")  # from an older page
    again = page_of(visitor, address).select_one("#said")
    assert again is not None and not words(again), "nothing was put back"


def test_a_transaction_of_another_account_is_not_there(
    visitor: Visitor, house: TestHouse, told: int, long: int
) -> None:
    with house.services.store.read() as session:
        other = session.scalar(
            select(Transaction.id).where(Transaction.connection_id == told).limit(1)
        )
    assert visitor.get(f"/connections/{long}/transactions/{other}").status_code == 404
    visitor.press(f"/connections/{long}/transactions/{other}/remove")
    with house.services.store.read() as session:
        assert session.get_one(Transaction, other).state == "booked"


# -- what waits ---------------------------------------------------------------------------------


def cases(page: BeautifulSoup, part: str) -> list[Tag]:
    return list(page.select(f'section[aria-labelledby="{part}"] .cases > li'))


def state_of(house: TestHouse, number: int) -> str:
    with house.services.store.read() as session:
        return session.get_one(Transaction, number).state


def test_the_tray_shows_what_waits_beside_what_it_resembles(visitor: Visitor, told: int) -> None:
    page = page_of(visitor, f"/connections/{told}/review")
    resembles, late = cases(page, "waiting")
    assert "Contributie" in words(resembles) and "Incasso lease" in words(resembles)
    assert "dag die al was opgehaald" in words(late)
    changed = next(each for each in cases(page, "remarks") if "andere woorden" in words(each))
    assert "Incasso lease bestelbus 12-34-AB LEASE BESTELBUS" in words(changed)
    assert "Zonder bedrag" in words(page.select_one('section[aria-labelledby="remarks"]'))  # type: ignore[arg-type]
    assert [words(each) for each in page.select("#tab-review .count")] == ["4"]
    row = row_of(visitor.get(f"/connections/{told}/row"), told)
    assert "2 mutaties wachten op je besluit · 2 opmerkingen om te bekijken" in words(row)
    assert row.select_one(f'a[href="/connections/{told}/review"]') is not None


def press(visitor: Visitor, page: BeautifulSoup, button: Tag | None) -> None:
    """Presses a button of the page, with all its form sends."""
    assert button is not None
    form = button.find_parent("form")
    assert isinstance(form, Tag)
    fields = {
        str(each["name"]): str(each["value"])
        for each in form.select("input[type=hidden]")
        if each["name"] != "csrf_token"
    }
    assert visitor.press(str(form["action"]), fields).status_code == 303


def test_one_is_taken_in_one_left_out_and_that_one_put_back(
    visitor: Visitor, house: TestHouse, told: int
) -> None:
    page = page_of(visitor, f"/connections/{told}/review")
    first, second = (int(str(each["id"]).removeprefix("case-")) for each in cases(page, "waiting"))
    before = sums(page_of(visitor, f"/connections/{told}/transactions"))
    press(visitor, page, page.select_one(f"#case-{first}-accept"))
    press(visitor, page, page.select_one(f"#case-{second}-reject"))
    assert (state_of(house, first), state_of(house, second)) == ("booked", "rejected")
    visitor.press(f"/connections/{told}/review/accept", {"id": str(second)})  # from an older page
    assert state_of(house, second) == "rejected"
    said = words(page_of(visitor, f"/connections/{told}/review").select_one("#said"))  # type: ignore[arg-type]
    assert "Iemand anders" in said, "nothing was done, and nothing else is claimed"
    after = sums(page_of(visitor, f"/connections/{told}/transactions"))
    assert int(after["count"].split()[0]) == int(before["count"].split()[0]) + 1
    page = page_of(visitor, f"/connections/{told}/review")
    assert not cases(page, "waiting")
    assert "weggelaten door Sanne Jansen" in words(page.select_one(f"#aside-{second}"))  # type: ignore[arg-type]
    press(visitor, page, page.select_one(f"#aside-{second}-restore"))
    assert state_of(house, second) == "booked"
    press(visitor, page, page.select_one("#seen-all"))
    assert not page_of(visitor, f"/connections/{told}/review").select("#remarks")
    with house.services.store.read() as session:
        seen = session.scalars(select(Remark.settled_by).where(Remark.connection_id == told)).all()
    assert set(seen) == {"Sanne Jansen"}


def test_that_the_bank_numbers_anew_is_one_remark_that_says_how_many(
    visitor: Visitor, house: TestHouse, told: int
) -> None:
    with house.services.store.write() as session:
        run = session.scalars(select(Remark.run_id).where(Remark.connection_id == told)).first()
        session.add(
            Remark(connection_id=told, run_id=run, kind="id_reused", mark="renumbered:1",
                   content={"renumbered": 9}, seen_at=house.at().now)
        )  # fmt: skip
    page = page_of(visitor, f"/connections/{told}/review")
    each = next(case for case in cases(page, "remarks") if "ander nummer" in words(case))
    assert "9 bekende mutaties kwamen met een nieuw nummer. De bank nummert" in words(each)
    assert not each.select("table")
    press(visitor, page, each.select_one("button"))
    page = page_of(visitor, f"/connections/{told}/review")
    assert not [case for case in cases(page, "remarks") if "ander nummer" in words(case)]


def test_all_of_them_are_those_that_were_counted(
    visitor: Visitor, house: TestHouse, books: Books
) -> None:
    """One that came after the page was made waits on: nobody has seen it."""
    number, today = books.id("outage"), house.at().today

    def waits(count: int) -> None:
        with house.services.store.write() as session:
            connection = session.get_one(Connection, number)
            hand = story.Hand(session, connection, story.run_of(session, connection, house.at()))
            for n in range(count):
                hand.book(today - n * DAY, -100, state="review", review_reason="late")

    waits(45)
    page = page_of(visitor, f"/connections/{number}/review")
    assert "45" in words(page.select_one("#reject-all"))  # type: ignore[arg-type]
    assert len(cases(page, "waiting")) == 30
    waits(1)
    press(visitor, page, page.select_one("#reject-all"))
    page = page_of(visitor, f"/connections/{number}/review")
    assert len(cases(page, "waiting")) == 1
    assert "45 mutaties weggelaten" in words(page.select_one("#said"))  # type: ignore[arg-type]


def test_in_locked_books_it_is_said_what_stays_as_it_is(
    visitor: Visitor, house: TestHouse, books: Books
) -> None:
    number, locked = books.id("outage"), house.at().today - 90 * DAY
    with house.services.store.write() as session:
        connection = session.get_one(Connection, number)
        hand = story.Hand(session, connection, story.run_of(session, connection, house.at()))
        for day in (locked, locked + DAY):
            hand.book(day, -7_001, state="review", review_reason="late")
        hand.book(locked, -7_002)
        session.flush()
        books_id = connection.administration_id
        kept, closed, free = (
            session.scalars(
                select(Transaction.id).where(Transaction.connection_id == number, *where)
            ).one()
            for where in (
                (Transaction.booked_on == locked, Transaction.amount == -7_002),
                (Transaction.booked_on == locked, Transaction.amount == -7_001),
                (Transaction.booked_on == locked + DAY, Transaction.amount == -7_001),
            )
        )
        session.get_one(Administration, books_id).lock_date = locked
    try:
        page = page_of(visitor, f"/connections/{number}/review")
        press(visitor, page, page.select_one("#accept-all"))
        assert (state_of(house, closed), state_of(house, free)) == ("review", "booked")
        page = page_of(visitor, f"/connections/{number}/review")
        said = words(page.select_one("#said"))  # type: ignore[arg-type]
        assert "meegenomen. De boeken zijn afgesloten t/m" in said
        assert "dus 1 mutatie is blijven wachten" in said
        address = f"/connections/{number}/transactions/{kept}"
        visitor.press(f"{address}/remove")
        assert state_of(house, kept) == "booked"
        said = words(page_of(visitor, address).select_one("#said"))  # type: ignore[arg-type]
        assert "De boeken zijn afgesloten t/m" in said
    finally:
        with house.services.store.write() as session:
            session.get_one(Administration, books_id).lock_date = None


# -- days and balance ---------------------------------------------------------------------------

_SAYS = {
    "fetched": r"(\d+) dag(?:en)? met",
    "nothing": r"(\d+) dag(?:en)? zonder",
    "missing": r"(\d+) dag(?:en)? ontbre",
    "ahead": r"(\d+) dag(?:en)? nog",
}


def test_every_months_words_say_what_its_picture_shows(
    visitor: Visitor, house: TestHouse, told: int
) -> None:
    page = page_of(visitor, f"/connections/{told}/coverage")
    months = page.select("table.months tbody tr")
    assert len(months) >= 5
    for month in months:
        drawn: dict[str, int] = {}
        for each in month.select("svg rect"):
            kind = str(each["class"][0])
            drawn[kind] = drawn.get(kind, 0) + 1
        said = words(month.select_one(".days ul"))  # type: ignore[arg-type]
        for kind, pattern in _SAYS.items():
            found = re.search(pattern, said)
            assert int(found[1] if found else 0) == drawn.get(kind, 0), (str(month["id"]), kind)
    hole = house.at().today - 25 * DAY
    assert sum(len(month.select("rect.missing")) for month in months) == 5
    lost = words(page.select_one("#missing"))  # type: ignore[arg-type]
    assert "Ontbreekt" in lost and str(hole.day) in lost


def test_a_month_of_which_nothing_was_told_has_no_amounts_instead_of_zeros(
    visitor: Visitor, house: TestHouse, long: int
) -> None:
    start = house.at().today - 300 * DAY
    with house.services.store.write() as session:
        session.get_one(Connection, long).start_date = start
    months = page_of(visitor, f"/connections/{long}/coverage").select("table.months tbody tr")
    newest, oldest = months[0], months[-1]
    assert oldest["id"] == f"month-{start:%Y-%m}"
    assert [words(each) for each in oldest.select("td.amount:not(.end)")] == ["–", "–"]
    assert "mutatie" not in words(oldest) and not oldest.select("th a")
    assert "€" in words(newest) and "mutaties" in words(newest.th)  # type: ignore[arg-type]


def test_the_pictures_have_names_and_the_same_in_words(visitor: Visitor, told: int) -> None:
    page = page_of(visitor, f"/connections/{told}/coverage")
    pictures = page.select("svg[role=img]")
    assert len(pictures) == 2
    for each in pictures:
        for name in ("aria-labelledby", "aria-describedby"):
            assert page.select_one(f"#{each[name]}") is not None
    alarm = words(page.select_one(".alarm"))  # type: ignore[arg-type]
    assert "Het saldo klopt niet." in alarm and "een verschil van €" in alarm
    assert len(page.select(".balance line.alarm")) == len(
        page.select(".notice.alarm")
    ) and page.select(".balance polyline")
    assert "tot nu toe" in words(page.select_one(".balance .now"))  # type: ignore[arg-type]


def test_an_account_that_was_never_on_has_no_days(visitor: Visitor, books: Books) -> None:
    page = page_of(visitor, f"/connections/{books.id('not_linked')}/coverage")
    assert "nooit ingeschakeld" in words(page.main)  # type: ignore[arg-type]
    assert not page.select("svg[role=img], table")


# -- fetches ------------------------------------------------------------------------------------


def test_the_log_says_what_was_asked_what_came_and_why(
    visitor: Visitor, house: TestHouse, told: int
) -> None:
    page = page_of(visitor, f"/connections/{told}/fetches")
    rows = [words(each) for each in page.select("table.runs tbody tr")]
    by_hand = next(each for each in rows if "120 ontvangen" in each)
    for each in ("gevraagd, Sanne Jansen", "12 nieuw", "105 bekend", "1 gewijzigd",
                 "2 apart gezet", "1 onleesbaar", "volledig"):  # fmt: skip
        assert each in by_hand
    assert any("geen toegang" in each for each in rows)
    assert any("uit een bestand" in each and "40 ontvangen" in each for each in rows)
    new = page.select_one("table.runs li.added a")
    assert new is not None and "run=" in str(new["href"])
    with house.services.store.write() as session:
        connection = session.get_one(Connection, told)
        for _ in range(60):
            story.run_of(session, connection, house.at())
    first = page_of(visitor, f"/connections/{told}/fetches")
    second = page_of(visitor, link(first, "next") or "")
    ids = [str(each["id"]) for half in (first, second) for each in half.select(".runs tbody tr")]
    assert len(ids) == len(set(ids)) == len(rows) + 60


def test_a_fetch_under_way_is_told_until_it_ends(
    visitor: Visitor, house: TestHouse, books: Books
) -> None:
    number, at = books.id("fiets_zakelijk"), house.at()
    march = date(at.today.year, 3, 3)

    def run(lease: timedelta | None, **values: Any) -> None:
        with house.services.store.write() as session:
            connection = session.get_one(Connection, number)
            connection.fetch_until = at.real + lease if lease else None
            open_ = session.scalars(
                select(FetchRun).where(FetchRun.connection_id == number, FetchRun.result.is_(None))
            ).first() or story.run_of(session, connection, at, result=None, finished_at=None)
            for name, value in values.items():
                setattr(open_, name, value)

    def limited(until: datetime | None) -> None:
        with house.services.store.write() as session:
            session.get_one(Connection, number).limited_until = until

    def row() -> str:
        return words(row_of(visitor.get(f"/connections/{number}/row"), number))

    digest = row_of(visitor.get(f"/connections/{number}/row"), number)["data-digest"]
    run(timedelta(minutes=5), pages=12, seen=1100, oldest=march)
    so_far = f"12 pagina’s, 1.100 mutaties, terug tot 3 mrt {march.year}"
    assert f"Wordt opgehaald {so_far}" in row()
    assert row_of(visitor.get(f"/connections/{number}/row"), number)["data-digest"] != digest
    fragment = page_of(visitor, f"/connections/{number}/fetches/progress").select_one("#progress")
    assert fragment is not None and so_far in words(fragment)
    assert fragment["hx-get"] == f"/connections/{number}/fetches/progress"
    for tab in ("transactions", "review", "coverage", "fetches"):
        assert so_far in words(page_of(visitor, f"/connections/{number}/{tab}").main)  # type: ignore[arg-type]

    run(-timedelta(minutes=5))  # the process that held the lease is gone
    assert f"Deels opgehaald {so_far}; gaat vanzelf verder" in row()
    paused = page_of(visitor, f"/connections/{number}/transactions").select_one("#progress")
    assert paused is not None and "hx-get" not in paused.attrs

    def log() -> str:
        page = page_of(visitor, f"/connections/{number}/fetches")
        return words(page.select_one(".runs tbody .ended"))  # type: ignore[arg-type]

    until = at.now + timedelta(hours=5)
    hour = f"{until.astimezone(AMSTERDAM):%H:%M}"
    stop = f"gestopt door de banklimiet tot {hour}; gaat daarna vanzelf verder"
    limited(until)
    assert f"{so_far}; {stop}" in log()
    run(-timedelta(minutes=5), pages=0)  # refused before its first page
    assert stop in log() and "niet afgemaakt" not in log()
    limited(None)
    assert "niet afgemaakt" in log()

    run(None, result="ok", finished_at=at.now, pages=12, added=1100)
    assert "opgehaald 12 pagina" not in row()
    ended = page_of(visitor, f"/connections/{number}/fetches/progress").select_one("#progress")
    assert ended is not None and "Klaar: 1.100 nieuwe mutaties." in words(ended)
    assert "hx-get" not in ended.attrs
    assert page_of(visitor, f"/connections/{number}/transactions").select_one("#progress") is None
