"""The drawer's picture of time says in words what the drawer's facts say."""

from __future__ import annotations

from .conftest import Books, Visitor, row_of, words


def test_the_picture_and_the_facts_tell_the_same(reader: Visitor, shown_books: Books) -> None:
    number = shown_books.id("expired_with_rescue")
    row = row_of(reader.get(f"/connections/{number}/row?open=details"), number)
    facts = {words(dt): words(dt.find_next("dd")) for dt in row.select("dl.facts dt")}  # type: ignore[arg-type]
    lines = [words(each) for each in row.select(".strip li")]
    assert f"Opgehaald: {facts['Volledig']}" in lines
    connection = shown_books.connection("expired_with_rescue")
    assert connection.start_date is not None
    spans = {str(each["class"][0]): each for each in row.select(".strip rect[x]")}
    assert set(spans) == {"authorised", "fetched", "nothing"}
    today = row.select_one(".strip line.today")
    expiry = row.select_one(".strip line.expiry")
    assert today is not None and expiry is not None
    assert int(str(expiry["x1"])) < int(str(today["x1"])), "it ended before today"
    svg = row.select_one(".strip svg")
    assert svg is not None and svg["role"] == "img"
    for name in ("aria-labelledby", "aria-describedby"):
        assert row.select_one(f"#{svg[name]}") is not None


def test_what_was_never_on_has_no_time_to_show(reader: Visitor, shown_books: Books) -> None:
    number = shown_books.id("new")
    row = row_of(reader.get(f"/connections/{number}/row?open=details"), number)
    assert row.select_one(".strip") is None
