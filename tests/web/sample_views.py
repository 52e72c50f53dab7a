"""Realistic views for looking at the templates without a database: all severities, long names,
overlays, panels, errors, forty rows. Dates are those of the wireframes' example day."""

from __future__ import annotations

from dataclasses import replace

from banklink.web.account_head import AccountTab, Head
from banklink.web.transactions import Row
from banklink.web.viewmodel import (
    Button,
    Choice,
    Details,
    EventView,
    Field,
    Form,
    HolderView,
    Link,
    Notice,
    OverlayView,
    PageView,
    RowView,
    RungView,
    Tab,
    Validity,
)

APP = "Banklink"
LONG = "1199 Zakelijke rekening-courant voor de bakkerij aan de Lange Voorhout"
assert len(LONG) == 70


def button(
    row: int,
    title: str,
    action: str,
    label: str,
    *,
    method: str = "post",
    leaves: bool = False,
    **fields: str,
) -> Button:
    base = f"/connections/{row}/{action}"
    return Button(
        action=action,
        label=label,
        name=f"{label} – {title} ({row})",
        method=method,
        url=f"/?open={row}-{action}#connection-{row}" if method == "get" else base,
        fragment=None if leaves else base,
        leaves=leaves,
        fields=(("version", "3"), *fields.items()) if method == "post" else (),
    )


def jan(line: str | None = "connected", *, selected: bool = True) -> HolderView:
    said = {
        "connected": ("Verbonden met bank", "geldig tot 14 nov 2025"),
        "not_connected": ("Nog niet verbonden met bank", None),
        "lapsed": ("Autorisatie met de bank vervallen", "verlopen op 2 mei 2025"),
        None: (None, None),
    }[line]
    return HolderView(
        id="jan",
        name="Jan de Vries",
        line=line,
        line_text=said[0],
        detail=said[1],
        usable=line == "connected",
        selected=selected,
    )


def piet(row: int, title: str, *, use: bool = True) -> HolderView:
    return HolderView(
        id="piet",
        name="Piet Bakker",
        line="connected",
        line_text="Verbonden met bank",
        detail="geldig tot 30 sep 2025",
        usable=True,
        selected=False,
        use=button(row, title, "use-holder", "Ophalen via Piet Bakker", holder="piet")
        if use
        else None,
    )


WELL = Validity(date="14 nov 2025", iso="2025-11-14", days="nog 177 dagen", share=98, tone="well")
SOON = Validity(date="30 mei 2025", iso="2025-05-30", days="nog 9 dagen", share=5, tone="soon")
GONE = Validity(
    date="2 mei 2025", iso="2025-05-02", days="19 dagen geleden", share=0, tone="broken"
)


def row(number: int, title: str, **changes: object) -> RowView:
    """A healthy row; `changes` make it what it should be."""
    menu = tuple(
        button(number, title, action, label)
        for action, label in (
            ("fetch", "Nu ophalen"),
            ("change-start", "Startdatum wijzigen"),
            ("switch-off", "Uitschakelen"),
            ("remove", "Verwijderen"),
        )
    )
    digits = f"{4171643000 + number:010d}"
    view = RowView(
        id=number,
        version=3,
        status="active",
        key="r6",
        urgency="well",
        iban=f"NL85DEMO{digits}",
        iban_grouped=f"NL85 DEMO {digits[:4]} {digits[4:8]} {digits[8:]}",
        currency="EUR",
        title=title,
        subtitle=None,
        chip="Actief",
        sentence="De rekening is nu actief en de verbinding ook",
        helper="Laatst opgehaald 09:12, 14 nieuwe mutaties.",
        holders=(jan(),),
        holder=jan(),
        validity=WELL,
        menu=menu,
        details=button(number, title, "details", "Details", method="get"),
        digest=f"d{number:04x}",
        show=button(number, title, "show", "Toon", method="get"),
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def expired(number: int = 1, title: str = "1100 Bank Demobank", **changes: object) -> RowView:
    other = piet(number, title)
    return row(
        number,
        title,
        status="authorisation_expired",
        key="r4",
        urgency="broken",
        chip="Verlopen",
        sentence="De koppeling is verbroken omdat de autorisatie in de ondernemersapp is verlopen.",
        helper=f"Geen mutaties sinds 2 mei. Na vernieuwen haalt {APP} ze alsnog op.",
        holders=(jan("lapsed"), other),
        holder=jan("lapsed"),
        rescue=(other.use,),
        validity=GONE,
        primary=button(number, title, "renew", "Autorisatie vernieuwen", leaves=True),
        **changes,
    )


def not_found(number: int = 2, title: str = "1120 Spaarrekening", **changes: object) -> RowView:
    return row(
        number,
        title,
        status="account_not_found",
        key="r9",
        urgency="todo",
        chip="Niet gevonden",
        sentence=f"De koppeling is niet actief omdat {APP} de bankrekening niet heeft gevonden in de ondernemersapp.",
        helper="Jan de Vries heeft deze rekening niet aangekruist, of heeft haar verwijderd.",
        overlays=(
            OverlayView(key="invited", text="Uitgenodigd", detail="17 mei, nog niet geopend"),
        ),
        holders=(),
        holder=None,
        validity=None,
        primary=button(number, title, "grant", "Ik ben de rekeninghouder", leaves=True),
        **changes,
    )


def fresh(number: int = 3, title: str = "1130 Bank Voorbeeld", **changes: object) -> RowView:
    holders = (
        replace(piet(number, title, use=False), selected=True),
        jan("lapsed", selected=False),
    )
    return row(
        number,
        title,
        status="new",
        key="r11",
        urgency="todo",
        chip="Nieuw",
        sentence="Nieuw – rekening verbonden, nog niet geactiveerd",
        helper="Kies van wie we mogen ophalen en vanaf wanneer.",
        holders=holders,
        holder=holders[0],
        primary=button(number, title, "activate", "Activeren", method="get"),
        **changes,
    )


def expiring(number: int = 4, title: str = "1140 Creditcard", **changes: object) -> RowView:
    return row(
        number,
        title,
        urgency="soon",
        overlays=(OverlayView(key="expiring", text="Verloopt binnenkort"),),
        validity=SOON,
        primary=button(number, title, "renew", "Vernieuw nu", leaves=True),
        **changes,
    )


def switched_off(number: int = 9, title: str = "1190 Oude rekening", **changes: object) -> RowView:
    return row(
        number,
        title,
        status="switched_off",
        key="r12",
        urgency="off",
        chip="Uit",
        sentence="Uitgeschakeld",
        helper="Door Sanne op 3 mei. Opgehaalde mutaties blijven staan.",
        primary=button(number, title, "activate", "Inschakelen", method="get"),
        **changes,
    )


def journal_missing(number: int = 5, title: str = LONG, **changes: object) -> RowView:
    return row(
        number,
        title,
        subtitle="Voorheen dagboek 1100",
        status="journal_missing",
        key="r1",
        urgency="broken",
        currency="USD",
        chip="Geen dagboek",
        sentence=f"De koppeling is verbroken omdat {APP} geen dagboek (meer) kan vinden met het desbetreffende IBAN.",
        helper="Het IBAN staat op geen enkel bankdagboek. Dit los je hier zelf op.",
        holders=(replace(jan(), name="Johanna Wilhelmina van den Heuvel-Oosterhuis"),),
        holder=replace(jan(), name="Johanna Wilhelmina van den Heuvel-Oosterhuis"),
        primary=button(number, title, "choose-journal", "Dagboek kiezen", method="get"),
        **changes,
    )


def outage(number: int = 6, title: str = "1150 Depot G-rekening", **changes: object) -> RowView:
    return row(
        number,
        title,
        iban="MT84MALT011000012345MTLCAST001S",
        iban_grouped="MT84 MALT 0110 0001 2345 MTLC AST0 01S",
        overlays=(
            OverlayView(
                key="bank_outage",
                text="Storing bij de bank",
                detail="sinds 07:40, we proberen het zelf opnieuw",
            ),
            OverlayView(key="possible_gap", text="Mogelijk gat", detail="3 t/m 5 mei"),
            OverlayView(key="stale", text="Al een tijd niets opgehaald", detail="36 uur"),
            OverlayView(key="renewal_running", text="Stap bij de bank loopt", detail="sinds 08:31"),
        ),
        **changes,
    )


def drawer(view: RowView) -> RowView:
    """`view` with its details open."""
    title = view.title
    details = Details(
        close=button(view.id, title, "close", "Sluiten", method="get"),
        ladder=(
            RungView(
                number=1,
                label="Dagboek met dit IBAN",
                state="ok",
                state_text="In orde",
                detail="1100 Bank",
                here=False,
            ),
            RungView(
                number=2,
                label="Toegang tot de ondernemersapp",
                state="ok",
                state_text="In orde",
                detail="Jan, sinds 3 nov",
                here=False,
            ),
            RungView(
                number=3,
                label="Rekening aangekruist",
                state="ok",
                state_text="In orde",
                detail="3 nov",
                here=False,
            ),
            RungView(
                number=4,
                label="Autorisatie bij de bank",
                state="broken",
                state_text="Gebroken",
                detail="verlopen op 2 mei",
                here=True,
            ),
            RungView(
                number=5,
                label="Ingeschakeld",
                state="unknown",
                state_text="Nog niet te zien",
                detail="",
                here=False,
            ),
            RungView(
                number=6,
                label="Mutaties",
                state="off",
                state_text="Wacht",
                detail="laatste op 2 mei",
                here=False,
            ),
        ),
        holders=view.holders,
        history=(
            EventView(
                when="3 mei 00:05",
                about="18 dagen geleden",
                iso="2025-05-03T00:05",
                text="Autorisatie verlopen",
            ),
            EventView(
                when="1 mei 10:00",
                about="3 weken geleden",
                iso="2025-05-01T10:00",
                text="Herinnering (1 dag) verstuurd aan Jan de Vries",
            ),
            EventView(
                when="3 nov 14:20",
                about="3 weken geleden",
                iso="2024-11-03T14:20",
                text="Verbonden met Demobank, geldig tot 2 mei",
            ),
            EventView(
                when="3 nov 14:21",
                about="3 weken geleden",
                iso="2024-11-03T14:21",
                text="Ingeschakeld door Sanne vanaf 1 november",
            ),
        ),
        more_history=button(view.id, title, "history", "Toon alles", method="get"),
        facts=(
            ("Opgehaald", "1.204 mutaties"),
            ("Laatste mutatie", "2 mei 2025"),
            ("Eerste beschikbaar", "3 nov 2023"),
            ("Laatste poging", "03:00, geen toegang"),
            ("Startdatum", "1 nov 2024"),
        ),
        transactions=button(view.id, title, "transactions", "Mutaties bekijken", method="get"),
        technical=(
            ("Poging", "6f1c2d90-0b7a-4c6e-9a57-1f2e3d4c5b6a"),
            ("Bankreferentie", "DEMO-7781"),
        ),
    )
    return replace(view, panel=details)


def activation(view: RowView, *, wrong: bool = False) -> RowView:
    """`view` with the activation form open, with the 422 of a date that is too early when `wrong`."""
    form = Form(
        action="activate",
        title=f"Activeren – {view.title}",
        intro="Kies van wie we mogen ophalen en vanaf wanneer. Je kunt beide later wijzigen.",
        url=f"/connections/{view.id}/activate",
        version=view.version,
        fields=(
            Field(
                name="holder",
                label="Ophalen via",
                type="radio",
                choices=(
                    Choice(
                        value="piet",
                        label="Piet Bakker",
                        detail="Verbonden met bank, geldig tot 14 nov 2025",
                        checked=True,
                    ),
                    Choice(
                        value="jan",
                        label="Jan de Vries",
                        detail="Autorisatie vervallen, eerst vernieuwen",
                        disabled=True,
                    ),
                ),
            ),
            Field(
                name="start",
                label="Mutaties vanaf",
                type="date",
                value="2023-01-01" if wrong else "2025-04-01",
                hint="Verwerkt t/m 31 maart in dagboek 1130. Beschikbaar vanaf 3 november 2023.",
                error="Kies een datum vanaf 3 november 2023; eerder levert de bank niet."
                if wrong
                else None,
                offer=("Neem 3 november 2023", "2023-11-03") if wrong else None,
                minimum="2023-11-03",
                maximum="2025-05-21",
                required=True,
            ),
            Field(
                name="again",
                label="Na vernieuwen vanzelf weer inschakelen",
                type="checkbox",
                value="1",
            ),
        ),
        submit="Inschakelen vanaf 1 april",
        cancel=button(view.id, view.title, "close", "Annuleren", method="get"),
        error="Er is nog niets ingeschakeld." if wrong else None,
        preview=f"/connections/{view.id}/activate/preview",
        preview_text="52 mutaties t/m vandaag",
    )
    return replace(view, panel=form)


def choosing(view: RowView) -> RowView:
    """`view` with the journal form open: select, text and grouped checkboxes."""
    form = Form(
        action="choose-journal",
        title="Dagboek kiezen",
        url=f"/connections/{view.id}/choose-journal",
        version=view.version,
        fields=(
            Field(
                name="journal",
                label="Dagboek",
                type="select",
                value="1100",
                choices=(
                    Choice(value="1100", label="1100 Bank"),
                    Choice(value="new", label="Nieuw dagboek", detail="eerstvolgend nummer"),
                ),
            ),
            Field(
                name="title",
                label="Naam",
                type="text",
                value="Bank",
                width="long",
                error="Deze naam bestaat al. Kies een andere.",
            ),
            Field(
                name="also",
                label="Ook op",
                type="checkbox",
                choices=(
                    Choice(value="a", label="1200 Kas"),
                    Choice(value="b", label="1300 Kruisposten", checked=True),
                ),
            ),
        ),
        submit="Dagboek koppelen",
        cancel=button(view.id, view.title, "close", "Annuleren", method="get"),
    )
    return replace(view, panel=form)


def one_of_each() -> tuple[RowView, ...]:
    return (
        expired(),
        journal_missing(),
        not_found(),
        fresh(),
        expiring(),
        outage(),
        row(7, "1160 Bank Spaarbank"),
        row(
            8,
            "1170 Bank buitenland",
            currency="USD",
            notice=Notice(
                tone="ok",
                text="Ingeschakeld vanaf 1 april.",
                button=button(8, "1170 Bank buitenland", "undo", "Ongedaan maken"),
            ),
        ),
        switched_off(),
        row(
            10,
            "1195 Nog niet gekoppelde rekening",
            status="not_linked",
            key="r8",
            urgency="off",
            chip="Niet gekoppeld",
            sentence="Nog niet gekoppeld",
            helper="De rekeninghouder geeft toestemming; dat duurt ± 2 minuten.",
            holders=(),
            holder=None,
            validity=None,
            primary=button(
                10,
                "1195 Nog niet gekoppelde rekening",
                "grant",
                "Ik ben de rekeninghouder",
                leaves=True,
            ),
            notice=Notice(
                tone="error",
                text="De bank gaf geen antwoord. Er is niets gewijzigd; probeer het over een paar minuten opnieuw.",
            ),
        ),
    )


def forty() -> tuple[RowView, ...]:
    return tuple(row(100 + n, f"{1200 + n} Bank filiaal {n}") for n in range(40))


def page(rows: tuple[RowView, ...], **changes: object) -> PageView:
    asking = sum(r.urgency in ("broken", "todo") for r in rows)
    soon = sum(r.urgency == "soon" for r in rows)
    off = sum(r.urgency == "off" for r in rows)

    def tab(key: str, label: str, count: int) -> Tab:
        return Tab(key=key, label=label, count=count, url=f"/?filter={key}", current=key == "all")

    view = PageView(
        administration_id=1,
        administration="Bakkerij De Vries",
        administrations=(
            Link(label="Bakkerij De Vries", url="/1", current=True),
            Link(label="Garage Van den Heuvel en Dochters Automobielbedrijven B.V.", url="/2"),
        ),
        tabs=(
            tab("all", "Alles", len(rows)),
            tab("attention", "Actie nodig", asking),
            tab("soon", "Verloopt binnenkort", soon),
            tab("active", "Actief", len(rows) - asking - soon - off),
            tab("off", "Uit", off),
        ),
        filter="all",
        query="",
        rows=rows,
        total=len(rows),
        shown=f"1–{len(rows)} van {len(rows)} koppelingen",
        previous=None,
        next=Link(label="Volgende", url="/?page=2"),
        morning=f"{asking} koppelingen vragen actie · eerstvolgende verloopt over 9 dagen"
        if asking
        else "Alles loopt. Laatst opgehaald om 06:00, volgende controle om 12:00.",
        morning_tone="todo" if asking else "well",
        attention=asking,
        icon_url=f"/badge/{asking}.svg",
        updated="14:03",
        updated_day="21 mei 2025",
        updated_iso="2025-05-21T14:03",
        refresh_url="/refresh",
        poll_url="/poll",
        base_url="/",
        add_journal=Button(
            action="add-journal",
            label="Rekening toevoegen",
            name="Rekening toevoegen",
            method="get",
            url="/?form=add",
        ),
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def empty_page(**changes: object) -> PageView:
    return page(
        (),
        empty=Notice(
            tone="info",
            text="Voeg eerst een IBAN toe aan een bankdagboek. Daarna staat de rekening hier.",
            button=Button(
                action="add-journal",
                label="Dagboek maken",
                name="Dagboek maken",
                method="get",
                url="/?form=add",
            ),
        ),
        next=None,
        **changes,
    )


def account(**changes: object) -> Head:
    """What stands above an account's own pages."""
    view = Head(
        id=1,
        title=LONG,
        iban_grouped="NL85 DEMO 0417 1643 00",
        currency="USD",
        tabs=(
            AccountTab(key="transactions", label="Mutaties", url="/t", current=True),
            AccountTab(key="review", label="Te beslissen", url="/r", current=False, count=12),
        ),
        back=Link(label="Terug naar de lijst", url="/"),
        actions=(Link(label="Afschrift uploaden", url="/u"),),
        progress=OverlayView(key="fetching", text="Wordt opgehaald", detail="12 pagina's"),
        progress_url="/p",
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def bookings() -> list[Row]:
    def row(number: int, **changes: object) -> Row:
        view = Row(
            id=number,
            url=f"/t/{number}",
            label=f"Café De Gouden Leeuw {number}, 20 mei 2025, 1.204,50",
            booked="20 mei 2025",
            booked_iso="2025-05-20",
            value=None,
            amount="1.204,50",
            into=True,
            name=f"Café De Gouden Leeuw {number}",
            iban="NL04 VOOR 0123 4567 89",
            text="Factuur 2025-0117, met dank",
            via="Jan de Vries",
            state="booked",
            state_text=None,
        )
        return replace(view, **changes)  # type: ignore[arg-type]

    return [
        row(1),
        row(
            2,
            value="21 mei 2025",
            amount="−86,20",
            into=False,
            name="Meelfabriek Molen van Noord-Holland Coöperatieve Vereniging U.A.",
            label="Meelfabriek Molen van Noord-Holland Coöperatieve Vereniging U.A., 20 mei",
            text="SEPA incasso algemeen doorlopend NL98ZZZ999999990000 kenmerk 4417-0032-1188-9001",
        ),
        row(
            3,
            name=None,
            label="Not named, 20 mei",
            iban=None,
            text="",
            state="review",
            state_text="te beslissen",
        ),
    ]
