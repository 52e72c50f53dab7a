"""The catalogue's other half: a Banklink for real, from an empty database to an office at work. One
story; each state stands on what came before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from banklink.actions import people as acting
from banklink.store.models import Administration, Connection, User, UserSession
from tests.browser.people import iban
from tests.browser.screens import OPEN, Screen
from tests.support.crowd import crowd
from tests.support.house import TestHouse, free_ports
from tests.support.office import PASSWORD, Office

FIRM = "Fietsenmakerij Visser"
NOOR, BO = "noor@fietsenmakerij.example", "bo@fietsenmakerij.example"
JOURNALS = (iban(12300, "DEMO"), iban(12301, "DEMO"))
WRONG_LIST = """code;naam;iban;verwerkt t/m
1100;Bank zaak;NL85DEMO0417164300;2026-01-31
1110;Spaarrekening;NL85DEMO0417164301;
1120;;NL20INGB0001234567;31-02-2026
;Kas;;
1100;Nog een;NL85DEMO0417164300;2199-01-01
"""


@dataclass
class Desk:
    """Somebody at a browser in that office. `service`: an entrepreneur app to connect to."""

    office: Office
    page: Page
    service: TestHouse
    links: dict[str, str] = field(default_factory=dict)

    def go(self, path: str) -> None:
        self.page.goto(self.office.parts.settings.origin + path)

    def fill(self, **typed: str) -> None:
        for name, text in typed.items():
            self.page.locator(f'main [name="{name}"]:not([type=hidden])').first.fill(text)

    def press(self, selector: str = "#page-form-submit") -> None:
        self.page.locator(selector).first.click()

    def wrong(self) -> None:
        expect(self.page.locator("p.error, .notice.error").first).to_be_visible()

    def sign_in(self, email: str) -> None:
        """As somebody else: what this browser knew is forgotten first."""
        self.page.context.clear_cookies()
        self.go("/sign-in")
        self.fill(email=email, password=PASSWORD)
        self.press()
        expect(self.page.locator("#account")).to_be_visible()

    def books(self, name: str = FIRM) -> str:
        with self.office.services.store.read() as session:
            number = session.scalars(
                select(Administration.id).where(Administration.name == name)
            ).one()
        return f"/administrations/{number}"

    def user(self, email: str) -> int:
        with self.office.services.store.read() as session:
            return int(session.scalars(select(User.id).where(User.email == email)).one())

    def invite(self, email: str) -> str:
        """The token of a colleague's link, made by the owner."""
        return acting.invite(
            self.office.services,
            int(self.books().rpartition("/")[2]),
            self.office.at(),
            name="Bo de Jong",
            email=email,
            role="bookkeeper",
            actor="Noor Visser",
            actor_id=self.user(NOOR),
        )


def _at(path: str) -> Callable[[Desk], None]:
    return lambda desk: desk.go(path.replace("{books}", desk.books()) if "{" in path else path)


# -- the first person, the first books ----------------------------------------------------------


def _set_up(desk: Desk) -> None:
    token = acting.set_up_link(desk.office.services, desk.office.at())
    assert token is not None
    desk.links["set-up"] = token
    desk.go(f"/set-up/{token}")


def _set_up_wrong(desk: Desk) -> None:
    desk.fill(name="Noor Visser", email=NOOR, password="kort")
    desk.press()
    desk.wrong()


def _start_empty(desk: Desk) -> None:
    desk.fill(password=PASSWORD)
    desk.press()
    expect(desk.page.locator("#step-administration")).to_be_visible()


def _start_wrong(desk: Desk) -> None:
    desk.go("/start")
    desk.fill(name="")
    desk.press()
    desk.wrong()


def _start_journals(desk: Desk) -> None:
    desk.fill(name=FIRM)
    desk.press()
    expect(desk.page.locator("#step-journals.now")).to_be_visible()


def _import_nothing(desk: Desk) -> None:
    _at("{books}/journals/import?from=start")(desk)
    desk.press()
    desk.wrong()


def _import_wrong(desk: Desk) -> None:
    desk.fill(text=WRONG_LIST)
    desk.press()
    expect(desk.page.locator(".looked .wrong").first).to_be_visible()


def _import_left(desk: Desk) -> None:
    desk.press()
    expect(desk.page.locator("main > .notice.ok")).to_be_visible()


def _import_good(desk: Desk) -> None:
    desk.fill(text=f"code;naam;iban\n1130;Webshop;{JOURNALS[0]}\n1140;Sparen;{JOURNALS[1]}")
    desk.press()
    expect(desk.page.locator(".looked tbody tr")).to_have_count(2)


def _start_provider(desk: Desk) -> None:
    desk.press()
    expect(desk.page.locator("#step-provider.now")).to_be_visible()


def _journal_cleared(desk: Desk) -> None:
    _at("{books}/journals")(desk)
    desk.page.locator(".books-table .does a").first.click()
    desk.press("#last")
    expect(desk.page.locator("main > .notice.ok")).to_be_visible()


def _journal_back(desk: Desk) -> None:
    desk.press("main > .notice button")
    expect(desk.page.locator("main > .notice.ok")).to_be_visible()


# -- the provider -------------------------------------------------------------------------------


def _provider_wrong(desk: Desk) -> None:
    desk.go("/provider?from=start")
    desk.page.locator('[name="preset"][value="other"]').check()
    desk.press()
    desk.wrong()


def _provider(desk: Desk, origin: str, secret: str, button: str) -> None:
    desk.go("/provider?from=start")
    desk.page.locator('[name="preset"][value="other"]').check()
    desk.fill(
        authorize_url=f"{origin}/oauth2/auth",
        token_url=f"{origin}/oauth2/token",
        api_url=f"{origin}/ponto-connect",
        client_id="banklink",
        client_secret=secret,
    )
    desk.press(button)
    expect(desk.page.locator("main > .notice")).to_be_visible()


def _provider_silent(desk: Desk) -> None:
    _provider(desk, f"http://127.0.0.1:{free_ports(1)[0]}", "x", "#page-form-test")


def _provider_refused(desk: Desk) -> None:
    _provider(desk, desk.service.bank_origin, "wrong", "#page-form-test")


def _provider_works(desk: Desk) -> None:
    secret = (desk.service.parts.settings.data / "simulator-client.key").read_text().strip()
    _provider(desk, desk.service.bank_origin, secret, "#page-form-test")


def _provider_saved(desk: Desk) -> None:
    secret = (desk.service.parts.settings.data / "simulator-client.key").read_text().strip()
    _provider(desk, desk.service.bank_origin, secret, "#page-form-submit")


# -- people -------------------------------------------------------------------------------------


def _invite_wrong(desk: Desk) -> None:
    _at("{books}/people?open=invite")(desk)
    desk.fill(name="Bo de Jong", email=NOOR)
    desk.press()
    desk.wrong()


def _invited(desk: Desk) -> None:
    desk.fill(email=BO)
    desk.press()
    link = desk.page.locator("#fresh-link")
    expect(link).to_be_visible()
    desk.links["colleague"] = link.input_value().rpartition("/")[2]


def _invitation(desk: Desk) -> None:
    desk.page.context.clear_cookies()
    desk.go(f"/password/{desk.links['colleague']}")


def _password_wrong(desk: Desk) -> None:
    desk.fill(password="wachtwoord123")
    desk.press()
    desk.wrong()


def _joined(desk: Desk) -> None:
    """As a bookkeeper: the list, with what somebody may change who is no administrator."""
    desk.fill(password=PASSWORD)
    desk.press()
    expect(desk.page.locator("tbody.connection").first).to_be_visible()


def _used(desk: Desk) -> None:
    desk.go(f"/password/{desk.links['colleague']}")


def _not_your_role(desk: Desk) -> None:
    desk.go(f"{desk.books()}/settings")


def _reader(desk: Desk) -> None:
    desk.office.user("rik@fietsenmakerij.example", {int(desk.books().rpartition("/")[2]): "reader"})
    desk.sign_in("rik@fietsenmakerij.example")


def _nowhere(desk: Desk) -> None:
    desk.office.user("lies@elders.example")
    desk.sign_in("lies@elders.example")


def _office_nowhere(desk: Desk) -> None:
    desk.go("/administrations")


def _join_signed_out(desk: Desk) -> None:
    desk.links["lies"] = desk.invite("lies@elders.example")
    desk.page.context.clear_cookies()
    desk.go(f"/password/{desk.links['lies']}")


def _join(desk: Desk) -> None:
    desk.sign_in("lies@elders.example")
    desk.go(f"/password/{desk.links['lies']}")


def _join_other(desk: Desk) -> None:
    desk.sign_in(NOOR)
    desk.go(f"/password/{desk.links['lies']}")


def _person(action: str, email: str) -> Callable[[Desk], None]:
    def go(desk: Desk) -> None:
        _at(f"{{books}}/people?open={action}-{desk.user(email)}")(desk)

    return go


def _shutting_out(desk: Desk) -> None:
    desk.go(f"/people?open=out-{desk.user(BO)}")


def _last_administrator(desk: Desk) -> None:
    _person("remove", NOOR)(desk)
    desk.press(".list form .primary")
    desk.wrong()


def _account(desk: Desk) -> None:
    """With another browser, signed in the day before."""
    desk.sign_in(NOOR)
    yesterday = desk.office.at().real - timedelta(days=1)
    with desk.office.services.store.write() as session:
        here = session.scalars(select(UserSession.id).order_by(UserSession.id.desc())).first()
        session.execute(
            update(UserSession).where(UserSession.id != here).values(created_at=yesterday)
        )
        session.execute(
            update(UserSession)
            .where(UserSession.id.not_in((1, here)))
            .values(ended_at=desk.office.at().real)
        )
    desk.go("/account")
    expect(desk.page.locator('[id$="-end"]').first).to_be_visible()


def _account_wrong(desk: Desk) -> None:
    desk.go("/account")
    desk.page.locator("#about-field-name").fill("")
    desk.press("#about-submit")
    desk.wrong()


def _own_password_wrong(desk: Desk) -> None:
    desk.go("/account")
    for each in desk.page.locator("main [type=password]").all():
        each.fill("iets heel anders")
    desk.press("#password-submit")
    desk.wrong()


# -- an office at work --------------------------------------------------------------------------


def _forty(desk: Desk) -> None:
    with desk.office.services.store.read() as session:
        known = session.scalar(select(Administration.id).where(Administration.reference == "crowd"))
    number = known or crowd(desk.office.services, desk.user(NOOR), desk.office.at())
    desk.links["crowd"] = str(number)
    desk.go(f"/?administration={number}")
    expect(desk.page.locator("tbody.connection")).to_have_count(40)


def _forty_row(opening: str, status: str) -> Callable[[Desk], None]:
    def go(desk: Desk) -> None:
        _forty(desk)
        row = desk.page.locator(f'tbody[data-status="{status}"]').first
        number = (row.get_attribute("id") or "").rpartition("-")[2]
        desk.go(f"/?administration={desk.links['crowd']}&connection={number}&open={opening}")
        expect(desk.page.locator("tr.panel")).to_be_visible()

    return go


def _forty_at(path: str) -> Callable[[Desk], None]:
    return lambda desk: desk.go(f"/administrations/{desk.links['crowd']}{path}")


def _forty_transactions(desk: Desk) -> None:
    with desk.office.services.store.read() as session:
        number = session.scalars(
            select(Connection.id).where(Connection.administration_id == int(desk.links["crowd"]))
        ).first()
    desk.go(f"/connections/{number}/transactions")


def _forty_menus(desk: Desk) -> None:
    """One holder's list and the list of administrations, with all their length."""
    _forty(desk)
    desk.page.locator('tbody:has([id*="-rescue-"]) summary[id$="-via"]').first.click()


def _forty_administrations(desk: Desk) -> None:
    _forty(desk)
    desk.page.locator("#administration").click()


# -- all administrations ------------------------------------------------------------------------


def _office(query: str = "") -> Callable[[Desk], None]:
    def go(desk: Desk) -> None:
        desk.go(f"/administrations{query}")
        expect(desk.page.locator("#morning")).to_be_visible()

    return go


def _office_table(desk: Desk) -> None:
    """With the table in place of the picture open, and a week chosen."""
    _office()(desk)
    desk.page.locator(".weeks svg a").first.press("Enter")
    expect(desk.page.locator("#whole")).to_be_visible()
    desk.page.locator("#weeks-table").click()


def _office_typing(desk: Desk) -> None:
    """While a name is typed, by htmx."""
    _office()(desk)
    desk.page.locator("#q").press_sequentially("visser")
    expect(desk.page.locator(".office tbody tr")).to_have_count(1)


def _office_asking(desk: Desk) -> None:
    """Of the forty some can be asked for; all that cannot stand open."""
    _office()(desk)
    desk.press("#ask-all")
    for each in desk.page.locator(".reason summary").all():
        each.click()


def _office_at(query: str) -> Callable[[Desk], None]:
    """The step before sending."""
    return lambda desk: desk.go(f"/administrations/renewal-requests{query}")


def _office_asked(desk: Desk) -> None:
    _office()(desk)
    desk.press("#ask-all")
    desk.press("#send")
    expect(desk.page.locator("main > .notice")).to_be_visible()


# -- out again ----------------------------------------------------------------------------------


def _reset(desk: Desk) -> None:
    desk.page.context.clear_cookies()
    desk.go(f"/password/{acting.reset_link(desk.office.services, NOOR, desk.office.at())}")


def _signed_out(desk: Desk) -> None:
    desk.sign_in(NOOR)
    desk.press("#sign-out")
    expect(desk.page.locator("#page-form-submit")).to_be_visible()


def _sign_in_wrong(desk: Desk) -> None:
    desk.go("/sign-in")
    desk.fill(email=NOOR, password="een verkeerd woord")
    desk.press()
    desk.wrong()


def _too_many(desk: Desk) -> None:
    for _again in range(30):
        desk.go("/sign-in")
        desk.fill(email=NOOR, password="een verkeerd woord")
        with desk.page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            desk.press()
        if answer.value.status == 429:
            break
    else:
        raise AssertionError("thirty wrong passwords in a row, and nobody minds")
    expect(desk.page.locator("main .notice.error")).to_be_visible()


def _another_address(desk: Desk) -> None:
    desk.page.goto(desk.office.parts.settings.origin.replace("localhost", "127.0.0.1"))


OFFICE: tuple[Screen[Desk], ...] = (
    Screen("sign-in-nobody-yet", _at("/sign-in")),
    Screen("link-unknown", _at("/set-up/made-up")),
    Screen("set-up", _set_up),
    Screen("set-up-error", _set_up_wrong),
    Screen("start-empty", _start_empty),
    Screen("books-none", _at("/books")),
    Screen("start-error", _start_wrong),
    Screen("start-journals", _start_journals),
    Screen("list-empty", _at("/")),
    Screen("journals-none", _at("{books}/journals")),
    Screen("journals-import", _at("{books}/journals/import")),
    Screen("journals-import-nothing", _import_nothing),
    Screen("journals-import-errors", _import_wrong),
    Screen("journals-import-left", _import_left),
    Screen("journals-import-good", _import_good),
    Screen("start-provider", _start_provider),
    Screen("list-not-set-up", _at("/")),
    Screen("journal-cleared", _journal_cleared),
    Screen("journal-put-back", _journal_back),
    Screen("provider", _at("/provider")),
    Screen("provider-errors", _provider_wrong),
    Screen("provider-silent", _provider_silent),
    Screen("provider-refused", _provider_refused),
    Screen("provider-works", _provider_works),
    Screen("provider-saved", _provider_saved),
    Screen("start-account", _at("/start")),
    Screen("people-invite", _at("{books}/people?open=invite")),
    Screen("people-invite-error", _invite_wrong),
    Screen("people-invited", _invited),
    Screen("invitation", _invitation),
    Screen("invitation-error", _password_wrong),
    Screen("list-bookkeeper", _joined),
    Screen("link-used", _used),
    Screen("not-your-role", _not_your_role),
    Screen("list-reader", _reader),
    Screen("nowhere", _nowhere),
    Screen("office-nowhere", _office_nowhere),
    Screen("join-signed-out", _join_signed_out),
    Screen("join", _join),
    Screen("join-other", _join_other),
    Screen("people", _at("{books}/people")),
    Screen("people-role", _person("role", BO)),
    Screen("people-remove", _person("remove", BO)),
    Screen("people-last-administrator", _last_administrator),
    Screen("account", _account),
    Screen("account-error", _account_wrong),
    Screen("account-password-error", _own_password_wrong),
    Screen("forty", _forty),
    Screen("forty-details", _forty_row("details", "authorisation_expired"), OPEN),
    Screen("forty-activate", _forty_row("activate", "new"), OPEN),
    Screen("forty-remove", _forty_row("remove", "active"), OPEN),
    Screen("forty-choose-journal", _forty_row("choose-journal", "journal_needed"), OPEN),
    Screen("forty-via", _forty_menus, "tbody:has(details[open])"),
    Screen("forty-administrations", _forty_administrations, "main .top"),
    Screen("forty-journals", _forty_at("/journals")),
    Screen("forty-settings", _forty_at("/settings")),
    Screen("forty-people", _forty_at("/people")),
    Screen("everybody", _at("/people")),
    Screen("everybody-shut-out", _shutting_out),
    Screen("forty-books", _at("/books")),
    Screen("forty-transactions", _forty_transactions),
    Screen("office", _office()),
    Screen("office-week", _office_table),
    Screen("office-typing", _office_typing),
    Screen("office-nothing", _office("?q=niemand"), "main"),
    Screen("office-asking", _office_asking),
    Screen("office-asking-nobody", _office_at("?for=chosen")),
    Screen("office-asked", _office_asked),
    Screen("office-asked-again", _office_at("?for=all")),
    Screen("reset", _reset),
    Screen("signed-out", _signed_out),
    Screen("sign-in-ended", _at("/sign-in?ended=1")),
    Screen("sign-in-error", _sign_in_wrong),
    Screen("sign-in-too-many", _too_many),
    Screen("another-address", _another_address),
)
