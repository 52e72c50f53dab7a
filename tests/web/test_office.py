"""The page over all administrations: what it counts, whom it lets ask, what it hands out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from bs4 import Tag
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from banklink.actions.summarise import rewrite_due
from banklink.core.calendar import end_of_validity
from banklink.core.expiry_weeks import monday
from banklink.simulator.bookings import with_check_digits
from banklink.store.facts import ensure_connections
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Grant,
    Holder,
    Invitation,
    Journal,
    Mail,
    Membership,
)
from tests.support.office import Guest, Office, opened
from tests.web.conftest import Books, Visitor, soup, words

SANNE = "sanne@kantoor.nl"


@pytest.fixture
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    environment = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        environment["BANKLINK_DATABASE_URL"] = request.getfixturevalue("postgres_server").migrated()
    with opened(tmp_path, **environment) as found:
        yield found


on_both = pytest.mark.parametrize(
    "office",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
    indirect=True,
)


def firm(
    office: Office,
    name: str,
    ends: Sequence[int],
    *,
    email: str | None = "houder@firma.nl",
    bank: str = "Demobank",
    account: str = "Bank",
) -> int:
    """An administration with a link that works or worked for each of `ends`: the days from today to
    the last one of its authorisation."""
    at = office.at()
    with office.services.store.write() as session:
        books = Administration(reference=name, name=name)
        holder = Holder(provider="ponto", subject=name, name=f"Houder van {name}", email=email)
        session.add_all([books, holder])
        session.flush()
        grant = Grant(
            administration_id=books.id,
            holder_id=holder.id,
            state="active",
            granted_at=at.now,
        )
        session.add(grant)
        session.flush()
        for number, days in enumerate(ends):
            iban = with_check_digits("NL", f"DEMO{books.id * 1000 + number:010d}")
            until = at.now + timedelta(days=days)
            session.add_all(
                [
                    Journal(
                        administration_id=books.id, code=f"{1100 + number}", name=account, iban=iban
                    ),
                    Account(
                        grant_id=grant.id,
                        iban=iban,
                        currency="EUR",
                        name="Zakelijk",
                        bank=bank,
                        listed=True,
                        authorised_at=at.now - timedelta(days=100),
                        valid_until=until,
                        expires_at=end_of_validity(until),
                    ),
                ]
            )
        ensure_connections(session, books.id)
        for row in session.scalars(
            select(Connection).where(Connection.administration_id == books.id)
        ):
            row.switch, row.selected_id, row.start_date = "on", holder.id, at.today
            row.switched_at = row.last_success = at.now
        return int(books.id)


def person(office: Office, roles: dict[int, str], email: str = SANNE) -> Guest:
    office.user(email, roles)
    return office.signed_in(email)


def names(answer: TestResponse) -> list[str]:
    return [words(each) for each in soup(answer).select(".office tbody th a")]


def row(answer: TestResponse, number: int) -> Tag:
    found = soup(answer).select_one(f"#administration-{number}")
    assert isinstance(found, Tag)
    return found


def morning(answer: TestResponse) -> str:
    found = soup(answer).select_one("#morning")
    assert isinstance(found, Tag)
    return words(found)


# -- what it says -------------------------------------------------------------------------------


def test_it_says_of_each_administration_what_its_own_page_says(
    reader: Visitor, shown_books: Books
) -> None:
    page = reader.get("/administrations")
    for number in shown_books.administrations().values():
        own = soup(reader.get(f"/?administration={number}"))
        tabs = {
            str(each["id"])[4:]: int(words(each.select_one(".count")))  # type: ignore[arg-type]
            for each in own.select("#tabs a")
        }
        kinds = {
            str(each["class"][-1]): int(words(each).split()[0])
            for each in row(page, number).select(".kinds li")
        }
        assert kinds.get("broken", 0) + kinds.get("todo", 0) == tabs["todo"]
        assert kinds.get("soon", 0) == tabs["soon"]
        assert kinds.get("well", 0) == tabs["active"]
        assert kinds.get("off", 0) == tabs["off"]
        link = row(page, number).select_one("th a")
        assert isinstance(link, Tag)
        asked = "todo" if tabs["todo"] else "soon" if tabs["soon"] else None
        assert (f"filter={asked}" in str(link["href"])) == (asked is not None)
        assert reader.get(str(link["href"])).status_code == 200


@on_both
def test_what_needs_action_comes_first_and_then_what_ends_first(office: Office) -> None:
    roles = {
        firm(office, "Zadelmaker", [-3, 100]): "bookkeeper",
        firm(office, "aannemer", [100]): "bookkeeper",
        firm(office, "Bakker", [20]): "bookkeeper",
        firm(office, "Café", [9, 40]): "bookkeeper",
        firm(office, "Leeg", []): "bookkeeper",
    }
    page = person(office, roles).get("/administrations")
    assert names(page) == ["Zadelmaker", "Café", "Bakker", "aannemer", "Leeg"]
    assert morning(page) == (
        "1 koppeling vraagt actie, bij 1 administratie · 2 verlopen binnen 30 dagen · 5 lopen"
    )
    assert words(row(page, next(iter(roles)))) == (
        f"Zadelmaker 1 verbroken 1 actief over 100 dagen {_said(office, 100)} 1101 Bank · Demobank"
    )
    assert "Nog geen rekeningen" in words(row(page, list(roles)[4]))


def _said(office: Office, days: int) -> str:
    day = office.at().today + timedelta(days=days)
    months = "jan feb mrt apr mei jun jul aug sep okt nov dec".split()
    return f"{day.day} {months[day.month - 1]} {day.year}"


def test_time_passes_and_the_page_knows_although_no_job_ran(office: Office) -> None:
    sanne = person(
        office, {firm(office, "Bakker", [40]): "bookkeeper", firm(office, "B", []): "reader"}
    )
    assert morning(sanne.get("/administrations")) == "Er is niets dat actie vraagt · 1 loopt"
    office.clock.later = timedelta(days=11)
    sanne = office.signed_in(SANNE)
    assert "1 verloopt binnen 30 dagen" in morning(sanne.get("/administrations"))
    office.clock.later = timedelta(days=41)
    sanne = office.signed_in(SANNE)
    assert morning(sanne.get("/administrations")) == (
        "1 koppeling vraagt actie, bij 1 administratie · 0 lopen"
    )


@on_both
def test_all_well_is_said_only_where_everything_runs(office: Office) -> None:
    numbers = {
        name: firm(office, name, ends)
        for name, ends in {
            "Loopt": [100, 200],
            "Stil": [100, 200],
            "Uitgezet": [100],
            "Half": [100, 200],
            "Leeg": [],
        }.items()
    }
    with office.services.store.write() as session:
        for name in ("Stil", "Uitgezet", "Half"):
            first = session.scalars(
                select(Connection)
                .where(Connection.administration_id == numbers[name])
                .order_by(Connection.id)
            ).first()
            assert first is not None
            if name == "Stil":
                first.outage_since = office.at().now
            else:
                first.switch = "off"
    sanne = person(office, dict.fromkeys(numbers.values(), "bookkeeper"))
    page = sanne.get("/administrations")
    assert morning(page) == ("Er is niets dat actie vraagt · 1 krijgt nu geen mutaties · 4 lopen")
    assert names(page)[0] == "Stil", "what gets nothing now comes before what runs"
    assert "1 krijgt nu geen mutaties" in words(row(page, numbers["Stil"]))
    assert "Er staat geen koppeling aan" in words(row(page, numbers["Uitgezet"]))
    assert "geen koppeling aan" not in words(row(page, numbers["Half"]))
    under = {
        tab: names(sanne.get(f"/administrations?filter={tab}")) for tab in ("well", "silent", "off")
    }
    assert under == {"well": ["Loopt"], "silent": ["Stil"], "off": ["Half", "Leeg", "Uitgezet"]}
    silent = lines(sanne.get("/administrations.csv?filter=silent"))
    assert [each["Administratie"] for each in silent] == ["Stil"]
    alone = person(office, {numbers["Uitgezet"]: "reader"}, "rik@kantoor.nl")
    assert morning(alone.get("/administrations")) == (
        "Er is niets dat actie vraagt · er staat geen koppeling aan"
    )


@on_both
def test_tabs_search_and_pages_show_a_part_and_stay_together(office: Office) -> None:
    roles = {firm(office, f"Firma {number:02d}", [100]): "bookkeeper" for number in range(60)}
    roles[firm(office, "Bakker ÉLAN", [9])] = "bookkeeper"
    roles[firm(office, "Smid élan", [-9])] = "bookkeeper"
    sanne = person(office, roles)
    whole = sanne.get("/administrations")
    counts = {str(a["id"]): words(a).rsplit(" ", 1)[1] for a in soup(whole).select("#tabs a")}
    assert counts == {"tab-all": "62", "tab-todo": "1", "tab-soon": "1", "tab-well": "60"}
    assert len(names(whole)) == 50 and "1–50 van 62 administraties" in words(soup(whole).main)  # type: ignore[arg-type]
    assert len(names(sanne.get("/administrations?page=2"))) == 12
    assert len(names(sanne.get("/administrations?page=999&filter=nonsense&week=2"))) == 12
    assert names(sanne.get("/administrations?q=Élan")) == ["Smid élan", "Bakker ÉLAN"]
    assert names(sanne.get("/administrations?q=élan&filter=soon")) == ["Bakker ÉLAN"]
    kept = sanne.get("/administrations?q=Firma&filter=well")
    assert all("q=Firma" in str(a["href"]) for a in soup(kept).select("#tabs a"))
    following = soup(kept).select_one("#next")
    assert isinstance(following, Tag) and len(names(sanne.get(str(following["href"])))) == 10
    nothing = sanne.get("/administrations?q=%25")
    assert "Niets gevonden voor “%”." in words(soup(nothing).main)  # type: ignore[arg-type]


def test_while_typing_the_list_follows_and_so_does_the_address(office: Office) -> None:
    sanne = person(office, {firm(office, name, [9]): "bookkeeper" for name in ("Bakker", "Smid")})
    answer = sanne.get("/administrations/found?q=sm&filter=soon", headers={"HX-Request": "true"})
    assert names(answer) == ["Smid"]
    assert answer.headers["HX-Replace-Url"] == "/administrations?filter=soon&q=sm"
    parts = soup(answer)
    assert {str(each["id"]) for each in parts.select("[hx-swap-oob]")} == {
        "tabs",
        "download",
        "live",
    }
    assert words(parts.select_one("#live")) == "1 administratie"  # type: ignore[arg-type]


# -- whose ----------------------------------------------------------------------------------------


def test_what_is_somebody_elses_is_nowhere(office: Office) -> None:
    own, foreign = firm(office, "Eigen", [9]), firm(office, "Vreemd", [9, -5])
    office.user("ander@kantoor.nl", {foreign: "administrator"})
    sanne = person(office, {own: "bookkeeper"})
    page = sanne.get("/administrations")
    assert names(page) == ["Eigen"]
    assert morning(page) == "Er is niets dat actie vraagt · 1 verloopt binnen 30 dagen · 1 loopt"
    assert "1 autorisatie verloopt" in page.text and "2 autorisaties" not in page.text
    for path in ("/administrations", "/administrations.csv", "/administrations/found"):
        answer = sanne.get(f"{path}?q=Vreemd")
        assert "Houder van Vreemd" not in answer.text
    assert "Vreemd" not in sanne.get("/administrations.csv").text
    asking = "/administrations/renewal-requests"
    assert sanne.get(f"{asking}?administration={foreign}").status_code == 404
    assert sanne.get(f"{asking}?administration={own}&administration=999999").status_code == 404
    assert sanne.press(asking, {"administrations": f"{own},{foreign}"}).status_code == 404
    assert "aan 1 rekeninghouder, voor 1 rekening." in sanne.get(f"{asking}?for=all").text
    assert mails(office) == []


def mails(office: Office) -> list[Mail]:
    with office.services.store.read() as session:
        return list(session.scalars(select(Mail).order_by(Mail.id)))


def test_who_only_reads_sees_all_of_it_and_sends_nothing(office: Office) -> None:
    read, own = firm(office, "Gelezen", [9]), firm(office, "Geboekt", [9])
    rik = person(office, {read: "reader"}, "rik@kantoor.nl")
    page = rik.get("/administrations")
    assert names(page) == ["Gelezen"]
    assert not soup(page).select("main [type=checkbox], main .asks")
    asking = "/administrations/renewal-requests"
    assert rik.get(f"{asking}?administration={read}").status_code == 403
    assert rik.press(asking, {"administrations": str(read)}).status_code == 403
    assert "geen administratie gekozen" in rik.get(f"{asking}?for=all").text
    sanne = person(office, {read: "reader", own: "bookkeeper"})
    page = sanne.get("/administrations")
    assert [str(box["value"]) for box in soup(page).select("[name=administration]")] == [str(own)]
    text = words(soup(sanne.get(f"{asking}?for=all")).main)  # type: ignore[arg-type]
    assert "1 mail aan 1 rekeninghouder, voor 1 rekening." in text
    assert sanne.press(asking, {"administrations": f"{read},{own}"}).status_code == 403
    assert mails(office) == []


def test_the_masthead_leads_there_who_has_more_than_one(office: Office) -> None:
    one, other = firm(office, "Een", [9]), firm(office, "Twee", [9])
    alone = person(office, {one: "administrator"}, "alleen@kantoor.nl")
    assert not soup(alone.get("/")).select('.sections a[href="/administrations"]')
    assert alone.get("/administrations").status_code == 200
    both = person(office, {one: "reader", other: "reader"})
    first = soup(both.get("/")).select_one(".sections a")
    assert isinstance(first, Tag) and words(first) == "Alle administraties"
    here = soup(both.get("/administrations")).select_one(".sections [aria-current]")
    assert isinstance(here, Tag) and here["href"] == "/administrations"


# -- asking ---------------------------------------------------------------------------------------


@on_both
def test_chosen_administrations_are_asked_after_saying_what_it_comes_to(office: Office) -> None:
    mute = firm(office, "Zonder mail", [5], email=None)
    chosen = [firm(office, "Bakker", [9, 9, 100]), firm(office, "Smid", [-3]), mute]
    roles = dict.fromkeys([*chosen, firm(office, "Niet gekozen", [2])], "bookkeeper")
    sanne = person(office, roles)
    query = "&".join(f"administration={number}" for number in chosen)
    page = sanne.get(f"/administrations/renewal-requests?{query}&for=chosen&q=a")
    text = words(soup(page).main)  # type: ignore[arg-type]
    assert "2 mails aan 2 rekeninghouders, voor 3 rekeningen." in text
    assert "Van de rekeninghouder is geen e-mailadres bekend: 1" in text
    assert "Zonder mail · 1100 Bank" in text and "Niet gekozen" not in text
    assert mails(office) == [], "looking sends nothing"
    form = soup(page).select_one("form.fill")
    assert isinstance(form, Tag) and words(form).startswith("2 mails versturen")
    fields = {str(each["name"]): str(each["value"]) for each in form.select("input")}
    answer = sanne.press(str(form["action"]), {"administrations": fields["administrations"]})
    assert answer.status_code == 303 and answer.location == "/administrations?q=a"
    sent = mails(office)
    assert len(sent) == 2 and {each.kind for each in sent} == {"request"}
    told = words(soup(sanne.get(answer.location)).main)  # type: ignore[arg-type]
    assert "2 mails zijn klaargezet onder Uitgaande mail, voor 3 rekeningen." in told
    assert told.count("1 rekening is overgeslagen.") == 1
    again = sanne.get(f"/administrations/renewal-requests?{query}")
    assert "De afgelopen 24 uur al gevraagd: 3" in words(soup(again).main)  # type: ignore[arg-type]
    assert not soup(again).select("form.fill")
    sanne.press("/administrations/renewal-requests", {"administrations": fields["administrations"]})
    assert len(mails(office)) == 2, "pressing twice asks once"


def ends(text: str) -> list[str]:
    """The last four digits of every IBAN, which is what a mail shows."""
    shown = re.findall(r"NL\d\d DEMO(?: \d+)+", text)
    return sorted(re.findall(r"…(\d{4})", text) or [each.replace(" ", "")[-4:] for each in shown])


def letter(office: Office, mail: Mail) -> str:
    return str(office.services.vault.open(mail.sealed)["text"])


@on_both
def test_the_step_before_names_every_account_that_the_mail_names(office: Office) -> None:
    number = firm(office, "Bakker", [9, -3, 100, 100])
    with office.services.store.write() as session:
        half = session.scalars(select(Account).order_by(Account.id.desc())).first()
        assert half is not None
        half.authorised_at, half.attempted_at = None, office.at().now  # never completed
        session.query(Holder).update({"reminders_off_at": office.at().now})
    sanne = person(office, {number: "bookkeeper"})
    asking = f"/administrations/renewal-requests?administration={number}"
    page = sanne.get(asking)
    text = words(soup(page).main)  # type: ignore[arg-type]
    assert "1 mail aan 1 rekeninghouder, voor 2 rekeningen." in text
    assert "Bakker · 1100 Bank · NL" in text and "Bakker · 1101 Bank · NL" in text
    assert "1103 Bank" in text.partition("De mail noemt ook")[2] and "1102" not in text
    assert "Wil geen herinneringen. Een verzoek van jou gaat wel" in text
    sanne.press("/administrations/renewal-requests", {"administrations": str(number)})
    (mail,) = mails(office)
    assert ends(letter(office, mail)) == ends(text) and len(ends(text)) == 3
    # What an earlier mail of the same invitation asked for stays in the next.
    with office.services.store.write() as session:
        session.query(Account).update({"valid_until": office.at().now + timedelta(days=9)})
        again = session.scalars(select(Account).order_by(Account.id)).first()
        assert again is not None
        again.valid_until = office.at().now + timedelta(days=170)
        again.expires_at = end_of_validity(again.valid_until)
    office.clock.later = timedelta(minutes=5)
    text = words(soup(sanne.get(asking)).main)  # type: ignore[arg-type]
    assert "1100 Bank" in text.partition("De mail noemt ook")[2]
    sanne.press("/administrations/renewal-requests", {"administrations": str(number)})
    assert ends(letter(office, mails(office)[-1])) == ends(text) and len(ends(text)) == 4


def _again(office: Office, sanne: Guest) -> tuple[bool, str]:
    """Whether the step before offers to send, and what it says."""
    assert soup(sanne.get("/administrations")).select("#ask-all")
    text = words(soup(sanne.get("/administrations/renewal-requests?for=all")).main)  # type: ignore[arg-type]
    return "1 mail versturen" in text, text


def test_only_a_mail_that_went_out_counts_as_asked(office: Office) -> None:
    sanne = person(office, {firm(office, "Bakker", [9]): "bookkeeper"})
    asking = "/administrations/renewal-requests"
    assert _again(office, sanne)[0]
    told = sanne.press(asking, {"administrations": "1"}, follow_redirects=True)
    onward = soup(told).select_one("main .notice a")
    assert isinstance(onward, Tag) and onward["href"] == "/outbox"
    assert not _again(office, sanne)[0], "a second press of the same button"
    office.clock.later = timedelta(minutes=5)
    assert _again(office, sanne)[0], "it waits where nothing sends it"
    with office.services.store.write() as session:
        session.query(Mail).update({"sent_at": office.at().now})
    asked, text = _again(office, sanne)
    assert not asked and "al gevraagd: 1" in text
    with office.services.store.write() as session:
        session.query(Invitation).update({"withdrawn_at": office.at().now})
    assert _again(office, sanne)[0], "what was withdrawn asks for nothing"
    with office.services.store.write() as session:
        session.query(Invitation).update({"withdrawn_at": None})
        session.query(Mail).update({"kind": "reminder"})
    assert not _again(office, sanne)[0], "a reminder that went out asked as well"
    office.clock.later = timedelta(hours=25)
    assert _again(office, office.signed_in(SANNE))[0]


def test_where_mails_are_sent_one_that_waits_is_on_its_way(tmp_path: Path) -> None:
    with opened(
        tmp_path, BANKLINK_SMTP_HOST="127.0.0.1", BANKLINK_MAIL_FROM="bank@kantoor.nl"
    ) as office:
        sanne = person(office, {firm(office, "Bakker", [9]): "bookkeeper"})
        told = sanne.press(
            "/administrations/renewal-requests", {"administrations": "1"}, follow_redirects=True
        )
        assert "1 mail is onderweg, voor 1 rekening." in words(soup(told).main)  # type: ignore[arg-type]
        assert not soup(told).select("main .notice a")
        office.clock.later = timedelta(minutes=5)
        assert not _again(office, sanne)[0]


def test_more_administrations_than_a_statement_takes_values_can_be_asked_for(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("banklink.store.office._AT_A_TIME", 2)
    monkeypatch.setattr("banklink.actions.ask_renewal._AT_A_TIME", 2)
    monkeypatch.setattr("banklink.web.office_requests._AT_A_TIME", 2)
    roles = {firm(office, f"Firma {number}", [9, 9, 9]): "bookkeeper" for number in range(5)}
    sanne = person(office, roles)
    text = words(soup(sanne.get("/administrations/renewal-requests?for=all")).main)  # type: ignore[arg-type]
    assert "5 mails aan 5 rekeninghouders, voor 15 rekeningen." in text
    assert len(ends(text)) == 15


def test_the_whole_list_is_what_its_filter_and_search_leave(office: Office) -> None:
    roles = dict.fromkeys(
        [
            firm(office, "Bakker Bos", [9]),
            firm(office, "Bakker Vos", [-9]),
            firm(office, "Smid", [9]),
        ],
        "bookkeeper",
    )
    sanne = person(office, roles)
    asking = "/administrations/renewal-requests?for=all"
    for more, says in {
        "": "3 mails aan 3 rekeninghouders, voor 3 rekeningen.",
        "&q=bakker": "2 mails aan 2 rekeninghouders, voor 2 rekeningen.",
        "&q=bakker&filter=soon": "1 mail aan 1 rekeninghouder, voor 1 rekening.",
        "&filter=well": "Je hebt geen administratie gekozen.",
    }.items():
        assert says in words(soup(sanne.get(asking + more)).main), more  # type: ignore[arg-type]


# -- the file -------------------------------------------------------------------------------------


def lines(answer: TestResponse) -> list[dict[str, str]]:
    assert answer.mimetype == "text/csv"
    text = answer.get_data(as_text=True)
    assert text.startswith("\ufeff"), "Excel needs it to read accents"
    return list(csv.DictReader(io.StringIO(text[1:]), delimiter=";"))


def test_the_file_has_a_line_per_connection_with_the_way_to_mend_it(office: Office) -> None:
    number = firm(office, 'Bakker; de "Vries"', [9, -3, 100])
    sanne = person(office, {number: "bookkeeper", firm(office, "Smid", [50]): "reader"})
    answer = sanne.get("/administrations.csv", buffered=False)
    assert re.search(
        r'filename="administraties-\d{4}-\d\d-\d\d\.csv"', answer.headers["Content-Disposition"]
    )
    assert answer.is_streamed, "an office's file is long"
    found = lines(answer)
    assert [(each["Administratie"], each["Status"]) for each in found] == [
        ('Bakker; de "Vries"', "Verlopen"),
        ('Bakker; de "Vries"', "Verloopt binnenkort"),
        ('Bakker; de "Vries"', "Actief"),
        ("Smid", "Actief"),
    ]
    soon = found[1]
    today = office.at().today
    assert soon["Dagboek"] == "1100 Bank" and soon["Bank"] == "Demobank"
    assert soon["Rekeninghouder"] == 'Houder van Bakker; de "Vries"'
    assert date.fromisoformat(soon["Geldig tot"]) == today + timedelta(days=9)
    assert [each["Dagen over"] for each in found] == ["", "9", "100", "50"]
    link = soon["Hier herstellen"]
    assert link.startswith(office.parts.settings.origin)
    there = sanne.get(link.removeprefix(office.parts.settings.origin).partition("#")[0])
    assert there.status_code == 200 and soon["IBAN"] in there.text
    assert [each["Status"] for each in lines(sanne.get("/administrations.csv?filter=todo"))] == [
        "Verlopen"
    ]
    assert [
        each["Dagen over"] for each in lines(sanne.get("/administrations.csv?filter=soon"))
    ] == ["9"]
    assert [each["Administratie"] for each in lines(sanne.get("/administrations.csv?q=smid"))] == [
        "Smid"
    ]
    week = monday(today + timedelta(days=100)).isoformat()
    assert [
        each["Dagen over"] for each in lines(sanne.get(f"/administrations.csv?week={week}"))
    ] == ["100"]


@pytest.mark.parametrize("bad", ["=", "+", "-", "@", "\t", "\r"])
def test_no_name_becomes_a_formula(office: Office, bad: str) -> None:
    evil = f'{bad}HYPERLINK("http://evil.example")'
    number = firm(office, evil, [9], bank=evil, account="Bank")
    (line,) = lines(person(office, {number: "reader"}).get("/administrations.csv"))
    for cell in line.values():
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), line
    assert line["Administratie"] == line["Bank"] == "'" + evil


# -- the picture ----------------------------------------------------------------------------------


@on_both
def test_the_picture_says_what_ends_in_which_week_and_leads_there(office: Office) -> None:
    today = office.at().today
    first, later = monday(today + timedelta(days=40)), monday(today + timedelta(days=90))
    roles = {
        firm(office, "Bakker", [(first - today).days, (first - today).days + 6]): "bookkeeper",
        firm(office, "Smid", [(later - today).days + 2, 400]): "bookkeeper",
        firm(office, "Verlopen", [-4]): "bookkeeper",
    }
    sanne = person(office, roles)
    page = sanne.get("/administrations")
    links = soup(page).select(".weeks svg a")
    assert [str(each["href"]) for each in links] == [
        f"/administrations?week={first.isoformat()}",
        f"/administrations?week={later.isoformat()}",
    ]
    assert str(links[0]["aria-label"]).startswith("2 autorisaties verlopen in de week van ")
    assert len(links[0].select(".mark")) == 2 and len(links[1].select(".mark")) == 1
    rows = [words(each) for each in soup(page).select(".weeks tbody tr")]
    assert [each.rsplit(" ", 1)[1] for each in rows] == ["2", "1"], "the same as a table"
    there = sanne.get(str(links[0]["href"]))
    assert names(there) == ["Bakker"]
    current = soup(there).select(".weeks a[aria-current]")
    assert [str(each["href"]) for each in current] == [str(links[0]["href"])]
    assert "Alleen waar iets verloopt in de week van" in words(soup(there).main)  # type: ignore[arg-type]
    assert not soup(page).select("[style]"), "the CSP would drop it"


def test_without_anything_to_end_there_is_a_sentence_and_no_picture(office: Office) -> None:
    page = person(office, {firm(office, "Leeg", [-3]): "reader"}).get("/administrations")
    assert not soup(page).select(".weeks svg")
    assert "In de komende 180 dagen verloopt geen autorisatie" in words(soup(page).main)  # type: ignore[arg-type]


# -- what it costs --------------------------------------------------------------------------------


def test_it_costs_the_same_statements_however_much_stands_behind_it(office: Office) -> None:
    sanne_id = office.user(SANNE)
    sanne = office.signed_in(SANNE)
    costs = []
    for number in (1, 6, 30):
        for each in range(number):
            books = firm(office, f"Firma {number} {each}", [9, 50, -3] * number)
            with office.services.store.write() as session:
                session.add(
                    Membership(user_id=sanne_id, administration_id=books, role="bookkeeper")
                )
        rewrite_due(office.services, office.at())
        said: list[str] = []

        def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
            said.append(statement)  # noqa: B023 (used within the round only)

        event.listen(office.services.store.engine, "before_cursor_execute", note)
        sanne.get("/administrations")
        event.remove(office.services.store.engine, "before_cursor_execute", note)
        costs.append(len([each for each in said if each.startswith("SELECT")]))
        deep = [each for each in said if re.search(r"(FROM|JOIN) (connection|account)", each)]
        assert deep and all("connections.id IN" in each for each in deep), "only those it names"
    assert len(set(costs)) == 1, costs
