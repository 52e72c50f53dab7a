"""The catalogue: every page and every state somebody can see, once, each with the way to it.

BANKLINK and STRANGER are walked in the demo, every state by itself. OFFICE is one story in a
Banklink for real, from an empty database on, in this order. A route nobody passes fails
`test_screens.py`, so a new page gets its line here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions import consents, unsubscribe
from banklink.actions import invite as inviting
from banklink.actions.outbox import queue
from banklink.core.calendar import Moment
from banklink.core.invitations import Purpose
from banklink.examples import EXAMPLES
from banklink.mail.invitations import invitation_letter
from banklink.mail.voice import Voice
from banklink.store.facts import record
from banklink.store.models import (
    Account,
    Administration,
    Connection,
    Consent,
    Grant,
    Holder,
    Journal,
    Mail,
)
from banklink.web.consent_words import rendered
from tests.browser import account_ways, upload_ways
from tests.browser.people import Person
from tests.support.house import TestHouse

T = TypeVar("T")
IBANS = {each.name: each.iban for each in EXAMPLES}
OPEN = "tbody.connection.open"


@dataclass(frozen=True)
class Screen(Generic[T]):
    """`part`: the selector of what is new here, where the rest of the page was looked at before."""

    name: str
    go: Callable[[T], None]
    part: str = ""


def settled(page: Page) -> None:
    """Loaded, and htmx has put in place what it fetched."""
    page.wait_for_load_state()
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)


# -- ways ---------------------------------------------------------------------------------------


def _list(query: str = "", administration: str = "Bakkerij De Vries") -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        hands.administration = administration
        hands.home(query)

    return go


def _panel(example: str, action: str) -> Callable[[Person], None]:
    """A panel that opens under the row, by htmx."""

    def go(hands: Person) -> None:
        _list()(hands)
        hands.choose(IBANS[example], action)
        expect(hands.row(IBANS[example]).locator("tr.panel")).to_be_visible()

    return go


def _drop(example: str, which: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        _list()(hands)
        hands.row(IBANS[example]).locator(f'summary[id$="-{which}"]').click()

    return go


def _wrong(example: str, action: str, **typed: str) -> Callable[[Person], None]:
    """The form again, with what is wrong with it."""

    def go(hands: Person) -> None:
        _panel(example, action)(hands)
        form = hands.form(IBANS[example])
        for name, text in typed.items():
            form.locator(f'[name="{name}"]').first.fill(text)
        form.locator(".buttons .primary").click()
        expect(form.locator("p.error").first).to_be_visible()

    return go


def _at(path: str) -> Callable[[Person], None]:
    """`{books}` stands for the administration, `{iban:…}` for the connection of an example."""

    def go(hands: Person) -> None:
        hands.administration = "Bakkerij De Vries"
        hands.page.goto(hands.house.origin + _filled(hands, path))

    return go


def _filled(hands: Person, path: str) -> str:
    path = path.replace("{books}", f"/administrations/{hands.administration_id}")
    return re.sub(
        r"\{row:(\w+)\}", lambda m: f"/connections/{connection_id(hands.house, IBANS[m[1]])}", path
    )


def connection_id(house: TestHouse, iban: str) -> int:
    with house.services.store.read() as session:
        return int(session.scalars(select(Connection.id).where(Connection.iban == iban)).one())


def _journal_id(house: TestHouse, code: str) -> int:
    with house.services.store.read() as session:
        found = session.scalars(
            select(Journal.id)
            .join(Administration, Administration.id == Journal.administration_id)
            .where(Journal.code == code, Administration.name == "Bakkerij De Vries")
        )
        return int(found.one())


def _journal(code: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        _at(f"{{books}}/journals/{_journal_id(hands.house, code)}")(hands)

    return go


def _press(page: Page) -> None:
    """The page's own form."""
    page.locator("#page-form-submit").click()


def _fill(page: Page, **typed: str) -> None:
    for name, text in typed.items():
        page.locator(f'main [name="{name}"]:not([type=hidden])').first.fill(text)


# -- Banklink in the demo -----------------------------------------------------------------------


def _administrations(hands: Person) -> None:
    _list()(hands)
    hands.page.locator("#administration").click()


def _statements(form: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        _at("{row:active}/exports")(hands)
        hands.page.locator(f"#{form}-submit").click()
        settled(hands.page)

    return go


def _statements_wrong(hands: Person) -> None:
    _at("{row:active}/exports")(hands)
    hands.page.locator('#period-fields [value="between"]').check()
    _fill(hands.page, since="2026-03-02", until="2026-03-01")
    hands.page.locator("#period-submit").click()
    expect(hands.page.locator("p.error").first).to_be_visible()


def _panels(hands: Person) -> None:
    """Several at once, as when somebody compares."""
    _list()(hands)
    for name, action in {
        "expired_with_rescue": "details",
        "unticked": "details",
        "new": "activate",
        "never_connected": "arm",
        "active": "change-start",
        "no_journal_yet": "choose-journal",
        "gap": "remove",
    }.items():
        hands.choose(IBANS[name], action)
        expect(hands.row(IBANS[name]).locator("tr.panel")).to_be_visible()


def _technical(hands: Person) -> None:
    _panel("active", "details")(hands)
    hands.row(IBANS["active"]).locator('summary[id$="-technical"]').click()


def _history(hands: Person) -> None:
    connection = connection_id(hands.house, IBANS["active"])
    _list(f"&connection={connection}&open=history")(hands)


def _undo(hands: Person) -> None:
    """Ends with the row as it was."""
    account = IBANS["switched_off"]
    _list()(hands)
    hands.choose(account, "activate")
    hands.submit(account)
    hands.choose(account, "switch-off")
    expect(hands.row(account).locator('[data-action="undo"]')).to_be_visible()


def _refused(hands: Person) -> None:
    """Fetching where a bank is out of order: said in the row."""
    _list()(hands)
    hands.choose(IBANS["outage"], "fetch")
    expect(hands.row(IBANS["outage"]).locator(".notice")).to_be_visible()


def _changed(hands: Person) -> None:
    """A colleague changes the row while its form is open here."""
    _panel("active", "change-start")(hands)
    number = connection_id(hands.house, IBANS["active"])
    with hands.house.services.store.write() as session:
        session.get_one(Connection, number).last_new += 1
    hands.refresh()
    expect(hands.page.locator(f"#connection-{number}-changed .notice, .notice")).not_to_have_count(
        0
    )


def _polled(hands: Person) -> None:
    """What the page asks for by itself, when every row is out of date."""
    _list()(hands)
    rows = "&".join(
        f"row={connection_id(hands.house, each)}:x" for each in list(IBANS.values())[:3]
    )
    _fragment(hands, _filled(hands, f"{{books}}/rows?{rows}"))


def _previewed(hands: Person) -> None:
    _panel("new", "activate")(hands)
    start = hands.house.at().today.replace(day=1).isoformat()
    _fragment(hands, _filled(hands, f"{{row:new}}/preview?start={start}"))


def _fragment(hands: Person, path: str) -> None:
    page = hands.page
    answer = page.context.request.get(
        hands.house.origin + path, headers={"HX-Request": "true", "HX-Current-URL": page.url}
    )
    assert answer.ok, f"{path}: {answer.status}"


def _consequence(hands: Person) -> None:
    """Typed into the IBAN of a running account's journal: said before anything is saved."""
    _journal("1160")(hands)
    hands.page.locator('[name="iban"]').fill(IBANS["no_journal_yet"])
    expect(hands.page.locator("output .says").first).to_be_visible()


def _confirm(hands: Person) -> None:
    """The same without the script: asked once more."""
    _journal("1160")(hands)
    hands.page.evaluate("document.querySelector('output').remove()")
    hands.page.locator('[name="iban"]').fill("")
    _press(hands.page)
    expect(hands.page.locator('[name="confirmed"]')).to_have_count(1)


def _journal_wrong(hands: Person) -> None:
    _at("{books}/journals/add")(hands)
    _fill(hands.page, code="1160", name="Bank", iban=IBANS["active"])
    _press(hands.page)
    expect(hands.page.locator("p.error")).to_be_visible()


def _settings_wrong(hands: Person) -> None:
    _at("{books}/settings")(hands)
    _fill(hands.page, name="")
    _press(hands.page)
    expect(hands.page.locator("p.error")).to_be_visible()


def _older(hands: Person) -> None:
    today = hands.house.at().today
    _at(f"{{row:active}}/transactions?before={today.isoformat()}.1")(hands)


def _provider_tested(hands: Person) -> None:
    _at("/provider")(hands)
    hands.page.locator("#test").click()
    expect(hands.page.locator("main > .notice")).to_be_visible()


def _handover(hands: Person) -> None:
    """Seen for a moment only; held still here."""
    _list()(hands)
    renew = re.compile("/connections/.*/renew$")
    context = hands.page.context
    context.route(
        renew,
        lambda route: route.fulfill(
            response=(answer := route.fetch()),
            body=re.sub(r'<meta http-equiv="refresh"[^>]*>', "", answer.text()),
        ),
    )
    hands.choose(IBANS["expiring"], "renew")
    expect(hands.page.locator("#go")).to_be_visible()
    context.unroute(renew)


def _too_old(hands: Person) -> None:
    """A form without its forgery token."""
    _at("/account")(hands)
    hands.page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(e => e.value = '')")
    hands.page.locator("#about-submit").click()


def _too_large(hands: Person) -> None:
    _at("/account")(hands)
    hands.page.evaluate("document.querySelector('[name=name]').value = 'x'.repeat(1100000)")
    hands.page.locator("#about-submit").click()


def _incident(hands: Person) -> None:
    """A bug, for once on purpose."""

    def bug() -> str:
        raise RuntimeError("a bug on purpose, for its page")

    views = hands.house.parts.web.view_functions
    right, views["help.page"] = views["help.page"], bug
    try:
        _at("/help")(hands)
    finally:
        views["help.page"] = right


def _elsewhere(hands: Person) -> None:
    hands.page.goto(hands.house.origin.replace("localhost", "127.0.0.1"))


# -- mails --------------------------------------------------------------------------------------

_MAILS = {
    "waits": {},
    "sent": {"sent_at": "now"},
    "by hand": {"sent_at": "now", "sent_by": "Sanne Jansen"},
    "refused": {"refused_at": "now", "error": "recipient 550 5.1.1", "tries": 1},
    "stale": {"refused_at": "now", "error": "stale"},
    "wiped": {"refused_at": "now", "error": "withdrawn", "sealed": ""},
}
"""What became of each."""


def _mails(hands: Person) -> dict[str, int]:
    """One mail of each kind in the outbox, made at the first call."""
    house = hands.house
    keys = {name: f"screens {name}" for name in _MAILS}
    with house.services.store.write() as session:
        books = session.scalars(
            select(Administration).where(Administration.name == "Bakkerij De Vries")
        ).one()
        letter = invitation_letter(
            Purpose.CONNECT, Voice("nl"), name="Lieselotte van den Heuvel-Oosterbaan",
            office="Kantoor Sanne", sender="Sanne", administrations=[books.name],
            accounts=[("Zakelijk", IBANS["active"])], bank="Demobank", until=house.at().today,
            url=f"{house.origin}/invitation/{'x' * 43}", provider="Ondernemersapp", app="Banklink",
            message="Hoi,\n\nkun je dit voor vrijdag doen?", phone="050-1234567",
        )  # fmt: skip
        for name, values in _MAILS.items():
            made = queue(
                session, house.services, letter, house.at(), key=keys[name], kind="invitation",
                email="l.vandenheuvel-oosterbaan@schildersbedrijf-van-den-heuvel.example",
                name="Lieselotte van den Heuvel-Oosterbaan", administration_id=books.id,
                reply_to="sanne@kantoor.example",
            )  # fmt: skip
            for column, value in values.items():
                if made is not None:
                    setattr(made, column, house.at().now if value == "now" else value)
        rows = session.execute(select(Mail.key, Mail.id).where(Mail.key.in_(keys.values())))
        numbers = {str(key): int(number) for key, number in rows}
    return {name: numbers[key] for name, key in keys.items()}


def _outbox(which: str = "") -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        numbers = _mails(hands)
        path = f"/outbox/{numbers[which]}" if which else "/outbox"
        hands.page.goto(hands.house.origin + path)
        expect(hands.page.locator("main h1")).to_be_visible()

    return go


# -- asking somebody ----------------------------------------------------------------------------


def _letter(example: str, action: str = "repair") -> Callable[[Person], None]:
    """The wizard's second step."""

    def go(hands: Person) -> None:
        _panel(example, action)(hands)
        row = hands.row(IBANS[example])
        row.locator('[id$="-onward"]').click()
        expect(row.locator('form.fill [name="email"]')).to_be_visible()

    return go


def _letter_wrong(hands: Person) -> None:
    _letter("unticked")(hands)
    form = hands.form(IBANS["unticked"])
    form.locator('[name="email"]').fill("piet@")
    form.locator(".buttons .primary").click()
    expect(form.locator("p.error").first).to_be_visible()


def _invited(hands: Person) -> None:
    """A link handed over, and the row that tells so."""
    _letter("not_ticked")(hands)
    row = hands.row(IBANS["not_ticked"])
    row.locator('[id$="-form-link"]').click()
    expect(row.locator("input[readonly]")).to_be_visible()


def _landing(what: str = "", examples: tuple[str, ...] = ("unticked",)) -> Callable[[Person], None]:
    """Where an invitation leads. `what` became of it: declined, withdrawn, accepted, expired, asked
    (a new one is wanted)."""

    def go(hands: Person) -> None:
        house = hands.house
        at = house.at()
        with house.services.store.write() as session:
            numbers = [connection_id(house, IBANS[each]) for each in examples]
            books = session.get_one(Connection, numbers[0]).administration_id
            made, token = inviting.ask_for(
                session, at, administration_id=books, purpose=Purpose.REPAIR, name="Karel Zuid",
                email=f"{what or 'open'}{len(examples)}@zuid.example", locale="nl",
                connections=numbers, message="Hoi Karel,\n\nzou jij dit willen doen?",
                actor="Sanne Jansen",
            )  # fmt: skip
            if what in ("declined", "withdrawn", "accepted"):
                setattr(made, f"{what}_at", at.now)
            if what in ("expired", "asked"):
                made.expires_at = at.now - timedelta(days=1)
            if what == "asked":
                made.asked_again_at = at.now
        hands.page.goto(f"{house.origin}/invitation/{token}")
        with house.services.store.write() as session:  # no row is to tell of it
            session.get_one(type(made), made.id).withdrawn_at = at.now
        expect(hands.page.locator("main h1")).to_be_visible()

    return go


def _thanks(how: str) -> Callable[[Person], None]:
    """Back from the bank: `confirm` or `cancel` was pressed there."""

    def go(hands: Person) -> None:
        house = hands.house
        at = house.at()
        with house.services.store.write() as session:
            # Whoever confirms has renewed it: the walk in another language takes the next one.
            found = next(
                each
                for name in ("renewing", "not_completed", "never_connected")
                if (each := record(session, connection_id(house, IBANS[name]), at)) is not None
                and each.diagnosis.renewable
            )
            assert found.concerned_share is not None
            made, token = inviting.ask_for(
                session, at, administration_id=found.connection.administration_id,
                purpose=Purpose.RENEW, email="jan@devries.example", name="Jan de Vries",
                locale="nl", connections=[found.connection.id], bank="Demobank",
                holder_id=found.concerned_share.holder.id,
            )  # fmt: skip
        page = hands.page
        page.goto(f"{house.origin}/invitation/{token}")
        page.locator("#allow-button").click()
        page.wait_for_url(re.compile("/bank/"))
        if how == "cancel":
            page.locator('[data-action="cancel"]').click()
        else:
            page.locator('[data-action="bank-sign-in"]').click()
            page.locator('[data-action="confirm"]').click()
        page.wait_for_url(re.compile("/returned/thanks"))
        expect(page.locator("main h1")).to_be_visible()
        with house.services.store.write() as session:
            session.get_one(type(made), made.id).withdrawn_at = at.now

    return go


def _holders(hands: Person) -> None:
    """With an invitation of every kind in the list."""
    _at("/holders")(hands)
    if not hands.page.locator(".invitations > li").count():
        for each in ("", "declined", "withdrawn", "accepted", "expired", "asked"):
            _landing(each)(hands)
    _at("/holders")(hands)


def _holders_wrong(hands: Person) -> None:
    _at("/holders?open=invite")(hands)
    hands.page.locator(".page-form .primary").click()
    expect(hands.page.locator("p.error").first).to_be_visible()


def _holder(query: str = "", *presses: str) -> Callable[[Person], None]:
    """What somebody allows who is an account holder for this walk alone; `presses` what is pressed
    there."""

    def go(hands: Person) -> None:
        _at(f"{_somebody(hands)}{query}")(hands)
        for each in presses:
            hands.page.locator(each).first.click()

    return go


def _holder_opened(hands: Person) -> None:
    """Everything that is folded away, unfolded."""
    _holder()(hands)
    for each in ("#earlier", ".technical summary"):
        for summary in hands.page.locator(each).all():
            summary.click()


def _somebody(hands: Person) -> str:
    """The page of the last one who was not forgotten, made where there is none."""
    house, at = hands.house, hands.house.at()
    with house.services.store.write() as session:
        grant = session.scalar(
            select(Grant)
            .join(Holder)
            .where(Holder.subject.startswith("walk-"), Grant.forgotten_at.is_(None))
        )
        if grant is None:
            number = len(session.scalars(select(Grant)).all())
            holder = Holder(
                provider="ponto",
                subject=f"walk-{number}",
                name="Guusje van den Oever-Brouwershaven",
                email="guusje@oever.example",
            )
            session.add(holder)
            session.flush()
            grant = Grant(
                administration_id=1, holder_id=holder.id, state="active", granted_at=at.now
            )
            session.add(grant)
            session.flush()
            account = Account(
                grant_id=grant.id,
                iban="NL20INGB0001234567",
                currency="EUR",
                bank="Voorbeeldbank",
                listed=True,
                authorised_at=at.now,
                valid_until=at.now + timedelta(days=90),
            )
            session.add(account)
            session.flush()
            _write_records(house, session, grant, account, at)
        return f"/administrations/1/holders/{grant.holder_id}"


def _write_records(
    house: TestHouse, session: Session, grant: Grant, account: Account, at: Moment
) -> None:
    """An earlier permission and the present one, with the text that was shown."""
    consents.renewed(house.services, session, grant, [account])
    account.authorised_at = at.now + timedelta(seconds=1)
    consents.renewed(house.services, session, grant, [account])
    session.flush()
    names = {
        "asker": "Sanne",
        "office": "Kantoor Jansen",
        "app": "Banklink",
        "provider": "Ondernemersapp",
        "administrations": ["Bakkerij De Vries"],
        "accounts": ["NL20 INGB •••• ••45 67"],
    }
    shown = rendered("repair-1", "nl", names)
    record = session.scalars(
        select(Consent).where(Consent.grant_id == grant.id, Consent.ended_at.is_(None))
    ).one()
    record.channel, record.ip, record.user_agent = "invitation", "192.0.2.0/24", "Firefox/148"
    record.text_id, record.text_language = shown.id, shown.language
    record.text_hash, record.text_params = shown.hash, names


def _reminders(hands: Person) -> None:
    """Where *No more reminders* in a mail to Jan leads."""
    with hands.house.services.store.read() as session:
        jan = session.scalars(select(Holder.id).where(Holder.name == "Jan de Vries")).one()
    hands.page.goto(unsubscribe.address(hands.house.services, jan))
    expect(hands.page.locator("main h1")).to_be_visible()


def _reminders_off(hands: Person) -> None:
    _reminders(hands)
    hands.page.locator('[data-action="stop-reminders"]').click()
    expect(hands.page.locator(".notice.ok")).to_be_visible()


def _reminders_on_again(hands: Person) -> None:
    _reminders(hands)
    hands.page.locator('[data-action="resume-reminders"]').click()
    expect(hands.page.locator('[data-action="stop-reminders"]')).to_be_visible()


BANKLINK: tuple[Screen[Person], ...] = (
    Screen("page", _list()),
    Screen("page-todo", _list("&filter=todo"), ".headline"),
    Screen("page-soon", _list("&filter=soon")),
    Screen("page-active", _list("&filter=active"), ".headline"),
    Screen("page-off", _list("&filter=off")),
    Screen("page-nothing-found", _list("&q=niemand")),
    Screen("page-all-well", _list("", "Fietsatelier Noord")),
    Screen("page-tab-empty", _list("&filter=todo", "Fietsatelier Noord")),
    Screen("page-one-account", _list("", "Kapsalon Amira")),
    Screen("add-journal", _list("&open=add-journal"), ".page-form"),
    Screen("administrations", _administrations, "header"),
    Screen("menu", _drop("active", "menu"), "tbody:has(details[open])"),
    Screen("via", _drop("expired_with_rescue", "via"), "tbody:has(details[open])"),
    Screen("panels", _panels, "main"),
    Screen("details-expired", _panel("expired_with_rescue", "details"), OPEN),
    Screen("details-withdrawn", _panel("access_withdrawn", "details"), OPEN),
    Screen("details-not-linked", _panel("not_linked", "details"), OPEN),
    Screen("details-journal-lost", _panel("journal_lost", "details"), OPEN),
    Screen("details-gap", _panel("gap", "details"), OPEN),
    Screen("details-technical", _technical, OPEN),
    Screen("history", _history, OPEN),
    Screen("activate", _panel("new", "activate"), OPEN),
    Screen("activate-preview", _previewed, OPEN),
    Screen("activate-error", _wrong("new", "activate", start="1999-09-09"), OPEN),
    Screen("arm", _panel("never_connected", "arm"), OPEN),
    Screen("arm-error", _wrong("never_connected", "arm", start=""), OPEN),
    Screen("change-start", _panel("active", "change-start"), OPEN),
    Screen("change-start-error", _wrong("active", "change-start", start="2199-01-01"), OPEN),
    Screen("choose-journal", _panel("no_journal_yet", "choose-journal"), OPEN),
    Screen("remove", _panel("gap", "remove"), OPEN),
    Screen("repair", _panel("unticked", "repair"), OPEN),
    Screen("repair-access-lost", _panel("access_withdrawn", "repair"), OPEN),
    Screen("invite", _panel("not_linked", "invite"), OPEN),
    Screen("letter", _letter("unticked"), OPEN),
    Screen("letter-error", _letter_wrong, OPEN),
    Screen("invited", _invited, "tbody:has(input[readonly])"),
    Screen("holder", _holder_opened),
    Screen("holder-withdraw", _holder("?open=withdraw")),
    Screen("holder-withdrawn", _holder("?open=withdraw", "#confirm-yes")),
    Screen("holder-forget", _holder("?open=forget")),
    Screen("holder-forgotten", _holder("?open=forget", "#confirm-yes")),
    Screen("holders", _holders),
    Screen("holders-invite", _at("/holders?open=invite"), ".page-form"),
    Screen("holders-invite-error", _holders_wrong, ".page-form"),
    Screen("landing", _landing()),
    Screen("landing-several", _landing("", ("unticked", "not_ticked"))),
    Screen("landing-declined", _landing("declined"), "main"),
    Screen("landing-withdrawn", _landing("withdrawn"), "main"),
    Screen("landing-accepted", _landing("accepted"), "main"),
    Screen("landing-expired", _landing("expired"), "main"),
    Screen("landing-asked", _landing("asked"), "main"),
    Screen("landing-unknown", _at("/invitation/made-up"), "main"),
    Screen("thanks-cancelled", _thanks("cancel"), "main"),
    Screen("thanks", _thanks("confirm"), "main"),
    Screen("undo", _undo, "main"),
    Screen("bank-in-outage", _refused, "main"),
    Screen("changed-meanwhile", _changed, OPEN),
    Screen("polled", _polled, "header"),
    Screen("transactions", _at("{row:active}/transactions")),
    Screen("statements", _at("{row:active}/exports")),
    Screen("statements-made", _statements("new")),
    Screen("statements-period", _statements("period"), "main"),
    Screen("statements-error", _statements_wrong, "main"),
    Screen("statements-nothing-new", _at("{row:active}/exports"), "main"),
    Screen("transactions-older", _older),
    Screen("transactions-none", _at("{row:not_linked}/transactions")),
    Screen("transactions-story", account_ways.at("transactions")),
    Screen("transactions-filtered", account_ways.at("transactions?q=a&state=all&least=x"), "main"),
    Screen("transactions-nothing", account_ways.at("transactions?q=zeppelin"), "main"),
    Screen("transaction", account_ways.one, "main"),
    Screen("transaction-removed", account_ways.removed, "main"),
    Screen("transaction-put-back", account_ways.put_back, "main"),
    Screen("review", account_ways.at("review"), "main"),
    Screen("review-decided", account_ways.left_out, "main"),
    Screen("coverage", account_ways.at("coverage"), "main"),
    Screen("coverage-gap", account_ways.at("coverage", "gap"), "main"),
    Screen("coverage-none", account_ways.at("coverage", "not_linked"), "main"),
    Screen("fetches", account_ways.at("fetches"), "main"),
    Screen("fetches-none", account_ways.at("fetches", "not_linked"), "main"),
    Screen("fetching", account_ways.under_way, "main"),
    Screen("fetched", account_ways.fetched, "#progress"),
    Screen("upload", upload_ways.page),
    Screen("upload-refused", upload_ways.refused, "main"),
    Screen("upload-elsewhere", upload_ways.elsewhere, "main"),
    Screen("upload-look", upload_ways.looked),
    Screen("upload-days-wrong", upload_ways.days_wrong, "#take"),
    Screen("upload-columns", upload_ways.columns),
    Screen("upload-columns-again", upload_ways.columns_again),
    Screen("upload-columns-wrong", upload_ways.columns_wrong, "main"),
    Screen("upload-done", upload_ways.done),
    Screen("journals", _at("{books}/journals")),
    Screen("journal", _journal("1160")),
    Screen("journal-without-iban", _journal("1190")),
    Screen("journal-consequence", _consequence),
    Screen("journal-confirm", _confirm),
    Screen("journal-add", _at("{books}/journals/add")),
    Screen("journal-add-error", _journal_wrong),
    Screen("settings", _at("{books}/settings")),
    Screen("settings-error", _settings_wrong),
    Screen("books", _at("/books")),
    Screen("people-alone", _at("{books}/people")),
    Screen("start-done", _at("/start")),
    Screen("provider-built-in", _at("/provider")),
    Screen("provider-built-in-tested", _provider_tested),
    Screen("account-demo", _at("/account")),
    Screen("gallery", _at("/gallery")),
    Screen("outbox", _outbox()),
    Screen("outbox-mail", _outbox("waits")),
    Screen("outbox-by-hand", _outbox("by hand")),
    Screen("outbox-refused", _outbox("refused")),
    Screen("outbox-wiped", _outbox("wiped")),
    Screen("reminders", _reminders),
    Screen("reminders-off", _reminders_off),
    Screen("reminders-on-again", _reminders_on_again),
    Screen("reminders-unknown", _at("/reminders/made-up")),
    Screen("help", _at("/help")),
    Screen("help-search", _at("/help?q=bank+verlopen")),
    Screen("help-nothing-found", _at("/help?q=zeppelin")),
    Screen("handover", _handover),
    Screen("returned-unknown", _at("/returned/ponto?state=x")),
    *(
        Screen(f"returned-{what}", _at(f"/returned/said/{what}"))
        for what in ("ended", "elsewhere", "used", "expired", "issuer", "incomplete")
    ),
    Screen("not-found", _at("/nergens")),
    Screen("not-this-way", _at("/provider/test")),
    Screen("too-old", _too_old),
    Screen("too-large", _too_large),
    Screen("incident", _incident),
    Screen("only-here", _elsewhere),
)


# -- the stranger: the entrepreneur app and the banks -------------------------------------------

JAN = "jan@devries.example"


def _app(path: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        hands.sign_in_as(JAN)
        hands.page.goto(hands.house.bank_origin + path)

    return go


def _signed_out(hands: Person) -> None:
    _app("/")(hands)
    hands.page.locator('[data-action="sign-out"]').click()
    hands.signed_in = ""
    expect(hands.page.locator('[data-action="to-sign-in"]')).to_be_visible()


def _app_sign_in(hands: Person) -> None:
    hands.page.goto(f"{hands.house.bank_origin}/sign-in")


def _wrong_code(hands: Person) -> None:
    _app_sign_in(hands)
    hands.page.locator("#code").fill("9999")
    hands.page.locator('[data-action="sign-in"]').click()
    expect(hands.page.locator("#error")).to_be_visible()


def _through(path: str, action: str) -> Callable[[Person], None]:
    def go(hands: Person) -> None:
        _app(path)(hands)
        hands.page.locator(f'main [data-action="{action}"]').first.click()

    return go


def _panel_wrong(hands: Person) -> None:
    _app("/panel")(hands)
    hands.page.locator("#days").fill("0")
    hands.page.locator("#clock").evaluate("e => e.noValidate = true")
    hands.page.locator('[data-action="advance"]').click()
    expect(hands.page.locator("#error")).to_be_visible()


def _bank_consents(hands: Person) -> None:
    hands.page.goto(f"{hands.house.bank_origin}/bank/DEMO/sign-in")
    hands.page.locator(f'[data-email="{JAN}"]').check()
    hands.page.locator('[data-action="bank-sign-in"]').click()
    expect(hands.page.locator('[data-action="bank-sign-out"]')).to_be_visible()


def _bank(example: str = "expiring") -> Callable[[Person], None]:
    """At the bank's door, sent there from the row."""

    def go(hands: Person) -> None:
        _list()(hands)
        hands.choose(IBANS[example], "renew")
        hands.page.wait_for_url(re.compile("/bank/"))

    return go


def _bank_panel(hands: Person) -> None:
    _bank()(hands)
    hands.page.locator("#test-panel summary").click()


def _bank_wrong(hands: Person) -> None:
    _bank()(hands)
    hands.page.locator("#code").fill("9999")
    hands.page.locator('[data-action="bank-sign-in"]').click()
    expect(hands.page.locator("#error")).to_be_visible()


def _bank_consent(hands: Person) -> None:
    _bank()(hands)
    hands.page.locator('[data-action="bank-sign-in"]').click()
    expect(hands.page.locator("#bank-consent")).to_be_visible()


def _bank_no_return(hands: Person) -> None:
    _bank_panel(hands)
    hands.page.locator("#outcome").select_option("no_return")
    hands.page.locator('[data-action="bank-sign-in"]').click()
    expect(hands.page.locator("#bank-sign-in")).to_have_count(0)


def _bank_outage(hands: Person) -> None:
    _bank()(hands)
    here = hands.page.url
    _outage(hands, "on")
    hands.page.goto(here)
    expect(hands.page.locator("#bank-sign-in")).to_have_count(0)


def _outage(hands: Person, state: str) -> None:
    page = hands.page
    page.goto(f"{hands.house.bank_origin}/panel")
    page.locator(f'#outage-DEMO [data-action="outage-{state}"]').click()


def _cancelled(hands: Person) -> None:
    _outage(hands, "off")
    _bank()(hands)
    hands.page.locator('[data-action="cancel"]').click()
    hands.back()


def _bank_link_used(hands: Person) -> None:
    _bank()(hands)
    here = hands.page.url
    hands.page.locator('[data-action="cancel"]').click()
    hands.back()
    hands.page.goto(here)


def _grant(hands: Person) -> None:
    hands.sign_in_as(JAN)
    _list()(hands)
    hands.choose(IBANS["not_linked"], "grant")
    hands.page.wait_for_url(re.compile("/oauth2/consent"))


def _grant_wrong(hands: Person) -> None:
    _grant(hands)
    for tick in hands.page.locator("#consent [name=account]").all():
        tick.uncheck()
    hands.page.locator('[data-action="allow"]').click()
    expect(hands.page.locator("#error")).to_be_visible()


STRANGER: tuple[Screen[Person], ...] = (
    Screen("app-signed-out", _signed_out),
    Screen("app-sign-in", _app_sign_in),
    Screen("app-sign-in-error", _wrong_code),
    Screen("app-home", _app("/")),
    Screen("app-accounts", _app("/settings/accounts")),
    Screen("app-account-remove", _through("/settings/accounts", "remove")),
    Screen("app-account-add", _app("/settings/accounts/add")),
    Screen("app-services", _app("/settings/services")),
    Screen("app-ticks", _through("/settings/services", "change")),
    Screen("app-revoke", _through("/settings/services", "revoke")),
    Screen("app-panel", _app("/panel")),
    Screen("app-panel-error", _panel_wrong),
    Screen("app-not-found", _app("/nergens")),
    Screen("app-consent", _grant),
    Screen("app-consent-error", _grant_wrong),
    Screen("bank-holder-sign-in", _app("/bank/DEMO/sign-in")),
    Screen("bank-consents", _bank_consents),
    Screen("bank-unknown", _app("/bank/NIETS/sign-in")),
    Screen("bank-sign-in", _bank()),
    Screen("bank-test-panel", _bank_panel),
    Screen("bank-sign-in-error", _bank_wrong),
    Screen("bank-consent", _bank_consent),
    Screen("bank-no-return", _bank_no_return),
    Screen("bank-outage", _bank_outage),
    Screen("page-cancelled", _cancelled, "main"),
    Screen("bank-link-used", _bank_link_used),
)
