"""What a bookkeeper sees: the list, its tabs, search, drawers and forms, in both languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from banklink.core.statuses import TABLE, Overlay, Status, Urgency
from banklink.examples import EXAMPLES, FIRMS
from tests.support.house import TestHouse
from tests.web.conftest import Books, Visitor, row_of, rows_of, soup, words

URGENCIES = [each.name.lower() for each in Urgency]
PANELS = ["details", "history", "activate", "arm", "change-start", "choose-journal", "remove"]


@pytest.fixture(params=["nl", "en"])
def both(request: pytest.FixtureRequest, reader: Visitor) -> Visitor:
    """The same visitor in Dutch and in English."""
    return reader.speak(request.param)


def overlays(row: Any) -> list[str]:
    """The keys of the overlays of a row, without what else stands in their place: *armed*, and what
    waits for a decision."""
    classes = [name for each in row.select("ul.overlays > li") for name in each["class"]]
    keys = [name.removeprefix("overlay-") for name in classes if name.startswith("overlay-")]
    return [key for key in keys if key not in ("armed", "review")]


# -- the list -----------------------------------------------------------------------------------


def test_the_page_opens_on_the_administration_with_every_example(both: Visitor) -> None:
    answer = both.get("/")
    assert answer.status_code == 200
    assert "Bakkerij De Vries" in words(soup(answer).select_one(".of"))
    current = soup(answer).select_one("nav.tabs a[aria-current=page]")
    assert words(current).split()[0] in {"Alles", "All"}


def test_there_is_one_row_per_example_and_it_says_what_the_example_expects(
    reader: Visitor,
) -> None:
    found = {row["data-iban"]: row for row in rows_of(reader.get("/"))}
    expected = {each.iban: each for each in FIRMS[0].examples}
    assert found.keys() == expected.keys()
    said = {
        expected[iban].name: (row["data-key"], tuple(overlays(row))) for iban, row in found.items()
    }
    assert said == {each.name: (each.row, each.overlays) for each in expected.values()}
    waits = {expected[iban].name for iban, row in found.items() if row.select(".overlay-review")}
    assert waits == {"gap"}


def test_what_is_broken_stands_first(reader: Visitor) -> None:
    order = [URGENCIES.index(str(row["data-urgency"])) for row in rows_of(reader.get("/"))]
    assert order == sorted(order)
    assert len(set(order)) == len(URGENCIES)


def test_every_tab_counts_the_rows_it_shows(both: Visitor) -> None:
    tabs = soup(both.get("/")).select("nav.tabs a")
    counts = {}
    for tab in tabs:
        answer = both.get(str(tab["href"]))
        shown = int(words(tab.select_one(".count")))
        counts[str(tab["id"])] = shown
        assert len(rows_of(answer)) == shown, tab["id"]
        current = soup(answer).select_one("nav.tabs a[aria-current=page]")
        assert current is not None
        assert current["id"] == tab["id"]
    assert counts["tab-all"] == sum(n for name, n in counts.items() if name != "tab-all")


def test_the_title_carries_the_number_that_needs_action(reader: Visitor) -> None:
    answer = reader.get("/")
    wanted = sum(row["data-urgency"] in {"broken", "todo"} for row in rows_of(answer))
    assert words(soup(answer).title).startswith(f"({wanted}) ")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("1140", {"expiring"}),
        ("creditCARD", {"expiring"}),
        ("NL", {each.name for each in FIRMS[0].examples}),
        ("Meridiaan", {"outage", "stale"}),
        ("amira", set()),
        ("<script>alert(1)</script>", set()),
        ("%", set()),
        ("' OR 1=1 --", set()),
    ],
)
def test_search_finds_journals_names_and_banks(
    reader: Visitor, typed: str, expected: set[str]
) -> None:
    answer = reader.get("/", query_string={"q": typed})
    names = {each.iban: each.name for each in EXAMPLES}
    assert {names[str(row["data-iban"])] for row in rows_of(answer)} == expected
    assert "<script>alert" not in answer.text


def test_an_iban_is_found_as_it_is_written_on_paper(reader: Visitor) -> None:
    iban = EXAMPLES[0].iban
    spaced = " ".join(iban[i : i + 4] for i in range(0, len(iban), 4))
    for typed in (iban, iban.lower(), spaced, f"  {spaced}  "):
        found = rows_of(reader.get("/", query_string={"q": typed}))
        assert [row["data-iban"] for row in found] == [iban], typed


def test_search_and_tab_work_together(reader: Visitor) -> None:
    found = rows_of(reader.get("/", query_string={"q": "Meridiaan", "filter": "todo"}))
    assert found == []
    found = rows_of(reader.get("/", query_string={"q": "Demobank", "filter": "soon"}))
    assert {row["data-urgency"] for row in found} == {"soon"}


def test_an_empty_answer_offers_the_way_back(both: Visitor) -> None:
    for query in ({"q": "nothing like this"}, {"q": "1140", "filter": "off"}):
        page = soup(both.get("/", query_string=query))
        button = page.select_one("div.empty a")
        assert button is not None
        assert len(rows_of(both.get(str(button["href"])))) == len(FIRMS[0].examples)


def test_the_other_administrations_are_one_press_away(both: Visitor) -> None:
    links = soup(both.get("/")).select("details.switch a")
    assert [words(link) for link in links] == [firm.name for firm in FIRMS]
    for link, firm in zip(links, FIRMS, strict=True):
        assert len(rows_of(both.get(str(link["href"])))) == len(firm.examples)


# -- links into the list ------------------------------------------------------------------------


def test_what_is_not_there_or_not_ours_is_not_found(both: Visitor, shown_books: Books) -> None:
    """An administration of somebody else does not exist for this bookkeeper."""
    for address in (
        "/?administration=999",
        "/?administration=0",
        "/?administration=-1",
        "/?administration=99999999999999999999",
        "/administrations/999/rows",
        "/administrations/99999999999999999999/rows",
        "/connections/999/row",
        "/connections/0/row",
        "/connections/2147483648/row",
        "/connections/99999999999999999999/transactions",
        "/connections/999/preview?start=2026-01-01&holder=1",
        "/connections/abc/row",
        "/connections/-1/row",
        "/nothing",
        "/static/nothing.css",
        "/static/../app.py",
    ):
        answer = both.get(address)
        assert answer.status_code == 404, address
        assert soup(answer).select_one("div.message p") is not None, address


def test_a_link_to_a_row_opens_its_panel(reader: Visitor, shown_books: Books) -> None:
    for number, example in enumerate(FIRMS[0].examples):
        panel = PANELS[number % len(PANELS)]
        connection_id = shown_books.id(example.name)
        answer = reader.get(f"/?connection={connection_id}&open={panel}")
        assert answer.status_code == 200
        kind = "details" if panel in {"details", "history"} else "form"
        assert row_of(answer, connection_id)["data-panel"] == kind, (example.name, panel)
        opened = [each["id"] for each in rows_of(answer) if each.has_attr("data-panel")]
        assert opened == [f"connection-{connection_id}"]


def test_the_row_alone_is_the_row_of_the_page(both: Visitor, shown_books: Books) -> None:
    digests = {row["id"]: row["data-digest"] for row in rows_of(both.get("/"))}
    for example in FIRMS[0].examples:
        number = shown_books.id(example.name)
        alone = both.get(f"/connections/{number}/row")
        assert alone.status_code == 200
        assert "<html" not in alone.text
        assert row_of(alone, number)["data-digest"] == digests[f"connection-{number}"]
        for panel in PANELS:
            opened = both.get(f"/connections/{number}/row?open={panel}")
            assert row_of(opened, number).has_attr("data-panel"), (example.name, panel)


def test_an_unknown_panel_is_the_row_without_one(reader: Visitor, shown_books: Books) -> None:
    number = shown_books.id("active")
    for panel in ("nonsense", "switch-off", "", "DETAILS", "\x00"):
        row = row_of(reader.get(f"/connections/{number}/row", query_string={"open": panel}), number)
        assert not row.has_attr("data-panel")


def test_every_link_of_the_page_leads_somewhere(reader: Visitor) -> None:
    """Links and the addresses htmx would fetch; what leaves this machine is not followed."""
    page = soup(reader.get("/"))
    addresses = {str(tag["href"]) for tag in page.select("a[href]")}
    addresses |= {str(tag["hx-get"]) for tag in page.select("[hx-get]")}
    addresses |= {str(tag["href"]) for tag in page.select("link[href]")}
    addresses |= {str(tag["src"]) for tag in page.select("script[src]")}
    for address in sorted(addresses):
        if urlsplit(address).netloc or address.startswith("#"):
            continue
        assert reader.get(address).status_code in {200, 204}, address


def test_every_button_is_a_form_that_posts_to_an_address_of_ours(
    reader: Visitor, shown: TestHouse
) -> None:
    urls = shown.parts.web.url_map.bind("localhost")
    forms = soup(reader.get("/")).select("form[method=post]")
    assert len(forms) > len(FIRMS[0].examples)
    for form in forms:
        address = str(form["action"])
        assert urls.match(address, method="POST"), address


# -- what must not be seen ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unticked", "access_withdrawn", "not_ticked"])
def test_nothing_of_an_account_that_is_not_shared_is_shown(
    reader: Visitor, shown: TestHouse, shown_books: Books, name: str
) -> None:
    """A withdrawn permission or an unticked account leaves no bank, name or number behind.

    The provider's facts are still in the database here, as they would be after a real withdrawal.
    """
    from banklink.store.models import Account, Connection

    example = next(each for each in EXAMPLES if each.name == name)
    number = shown_books.id(name)
    secret = {"name": "Geheime spaarpot", "bank": "Verborgen Bank", "ref": "secret-ref-77"}
    with shown.services.store.write() as session:
        iban = session.get_one(Connection, number).iban
        row = session.query(Account).filter_by(iban=iban).one()
        before = (row.name, row.bank, row.ref)
        row.name, row.bank, row.ref = secret["name"], secret["bank"], secret["ref"]
    try:
        addresses = ["/", f"/connections/{number}/row", f"/connections/{number}/transactions"]
        addresses += [f"/connections/{number}/row?open={panel}" for panel in PANELS]
        for address in addresses:
            text = reader.get(address).text
            for word in secret.values():
                assert word not in text, (example.name, address, word)
        for word in secret.values():
            assert rows_of(reader.get("/", query_string={"q": word})) == []
    finally:
        with shown.services.store.write() as session:
            row = session.query(Account).filter_by(iban=iban).one()
            row.name, row.bank, row.ref = before


def test_a_withdrawn_permission_hides_what_was_listed_under_it(
    reader: Visitor, shown: TestHouse, shown_books: Books
) -> None:
    """As a refused refresh leaves it: the account still says listed, its grant is gone."""
    from banklink.store.models import Account, Connection, Grant

    number = shown_books.id("outage")
    with shown.services.store.write() as session:
        row = session.get_one(Connection, number)
        account = (
            session.query(Account)
            .join(Grant)
            .filter(Account.iban == row.iban, Grant.holder_id == row.selected_id)
            .one()
        )
        grant = session.get_one(Grant, account.grant_id)
        assert account.listed
        hidden = [str(account.name), str(account.bank), str(account.ref)]
        grant.state = "revoked"
    try:
        row = row_of(reader.get("/"), number)
        assert row["data-key"] == "r2"
        for panel in ("", *PANELS):
            shown_row = row_of(reader.get(f"/connections/{number}/row?open={panel}"), number)
            text = words(shown_row)
            for word in hidden:
                assert word not in text, (panel, word)
    finally:
        with shown.services.store.write() as session:
            session.get_one(Grant, grant.id).state = "active"


# -- panels and other pages ---------------------------------------------------------------------


def test_the_activation_form_is_filled_in_and_can_be_sent_as_it_stands(
    both: Visitor, shown_books: Books
) -> None:
    number = shown_books.id("new")
    form = row_of(both.get(f"/connections/{number}/row?open=activate"), number).select_one(
        "form.fill"
    )
    assert form is not None
    chosen = form.select("input[name=holder][checked]")
    assert len(chosen) == 1
    assert not chosen[0].has_attr("disabled")
    assert form.select_one("input[name=start]")["value"]
    lapsed = form.select("input[name=holder][disabled]")
    assert len(lapsed) == 1, "who cannot be fetched through stands there, but cannot be chosen"


def test_the_preview_says_how_many_or_nothing(both: Visitor, shown_books: Books) -> None:
    number = shown_books.id("new")
    form = row_of(both.get(f"/connections/{number}/row?open=activate"), number)
    preview = str(form.select_one("output")["hx-get"])
    holder = str(form.select_one("input[name=holder][checked]")["value"])
    start = str(form.select_one("input[name=start]")["value"])
    answer = both.get(preview, query_string={"holder": holder, "start": start})
    assert answer.status_code == 200
    assert any(char.isdigit() for char in answer.text)
    for bad in (
        {},
        {"start": "soon"},
        {"start": "9999-12-31", "holder": holder},
        {"start": start},
        {"start": start, "holder": "999"},
        {"start": start, "holder": "x" * 9000},
        {"start": "\x00", "holder": "\x00"},
    ):
        answer = both.get(preview, query_string=bad)
        assert (answer.status_code, answer.text) == (200, ""), bad


def test_transactions_are_listed_newest_first_with_their_count(
    both: Visitor, shown_books: Books
) -> None:
    number = shown_books.id("active")
    seen: list[str] = []
    address: str | None = f"/connections/{number}/transactions"
    while address:
        page = soup(both.get(address))
        seen += [str(each["datetime"]) for each in page.select("#bookings td.booked time")]
        following = page.select_one("a#next")
        address = str(following["href"]) if following else None
        assert len(seen) < 5000
    assert seen == sorted(seen, reverse=True)
    count = "".join(c for c in words(page.select_one(".sums .count")).split()[0] if c.isdigit())
    assert int(count) == len(seen) > 0


@pytest.mark.parametrize(
    "before",
    ["", "x", ".", "2026-01-01", "2026-01-01.x", "2026-01-01.-5", "9999-12-31.9" + "9" * 60,
     "0001-01-01.0", "2026-01-01.²", "٢٠٢٦-٠١-٠١.١", "\x00", "9" * 5000],
)  # fmt: skip
def test_a_crooked_page_mark_shows_a_list_all_the_same(
    reader: Visitor, shown_books: Books, before: str
) -> None:
    answer = reader.get(
        f"/connections/{shown_books.id('active')}/transactions", query_string={"before": before}
    )
    assert answer.status_code == 200


def test_an_account_without_transactions_says_so(both: Visitor, shown_books: Books) -> None:
    page = soup(both.get(f"/connections/{shown_books.id('not_linked')}/transactions"))
    assert page.select_one("div.empty p") is not None


def test_the_gallery_shows_every_status_and_every_overlay_and_nothing_to_press(
    both: Visitor,
) -> None:
    answer = both.get("/gallery")
    rows = rows_of(answer)
    assert {row["data-key"] for row in rows} == {row.key for row in TABLE}
    assert {row["data-status"] for row in rows} == {each.value for each in Status}
    assert {key for row in rows for key in overlays(row)} == {each.value for each in Overlay}
    assert [row["data-iban"] for row in rows] != []
    assert {row["data-iban"] for row in rows} == {each.iban for each in EXAMPLES}
    expected = {each.iban: (each.row, each.overlays) for each in EXAMPLES}
    said = {str(row["data-iban"]): (row["data-key"], tuple(overlays(row))) for row in rows}
    assert said == expected
    main = soup(answer).select_one("main")
    assert main.select("form, a[data-action]") == []
    assert all(button.has_attr("disabled") for button in main.select("button"))


def test_no_page_mixes_the_languages(reader: Visitor) -> None:
    dutch, english = (reader.speak(code).get("/").text for code in ("nl", "en"))
    assert '<html lang="nl">' in dutch and '<html lang="en">' in english
    for text, other in (("Bankenkoppeling", english), ("Bank connections", dutch)):
        assert text not in other


def test_the_language_stays_and_leads_back_to_where_one_was(reader: Visitor) -> None:
    answer = reader.press("/language", {"locale": "en", "next": "/?filter=todo"})
    assert (answer.status_code, answer.location) == (303, "/?filter=todo")
    assert '<html lang="en">' in reader.get("/gallery").text
    reader.press("/language", {"locale": "xx", "next": "/"})
    assert '<html lang="en">' in reader.get("/").text


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example/", "\\\\evil.example",
     "javascript:alert(1)", "///evil.example", "evil.example", "", " //evil.example",
     "/\t/evil.example", "/\n/evil.example", "/\r\nX-Evil: 1", "\x00//evil.example",
     "http:evil.example", "/%0d%0aX-Evil:1", "/" + "x" * 20_000],
)  # fmt: skip
def test_the_language_button_never_leads_elsewhere(reader: Visitor, target: str) -> None:
    answer = reader.press("/language", {"locale": "nl", "next": target})
    assert answer.status_code == 303
    # Browsers drop tabs and line ends from an address and read \ as /.
    plain = "".join(char for char in answer.location if char not in "\t\r\n").replace("\\", "/")
    assert plain.startswith("/") and not plain.startswith("//")
    assert "X-Evil" not in answer.headers


# -- more than one page of rows -----------------------------------------------------------------


def test_the_refresh_button_and_poll_know_their_administration(reader: Visitor) -> None:
    for link in soup(reader.get("/")).select("details.switch a"):
        number = parse_qs(urlsplit(str(link["href"])).query)["administration"][0]
        page = soup(reader.get(str(link["href"])))
        assert page.select_one("#poll")["hx-get"] == f"/administrations/{number}/rows"


def test_static_files_of_a_page_exist(shown: TestHouse) -> None:
    root = Path(__file__).parents[2]
    assert {each.name for each in (root / "static").iterdir()} >= {"app.css", "app.js"}
