"""One example of every row the page can show: the demo's data and the gallery are both made from
these, so what the gallery shows can be tried in the demo.

Days and hours count back from now. Banks, people and accounts are invented; the IBANs have valid
check digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BANKS = {"Demobank": "DEMO", "Voorbeeldbank": "VOOR", "Meridiaanbank": "MERI"}
BANK_IN_OUTAGE = "Meridiaanbank"


def iban(bank: str, number: int) -> str:
    """A Dutch IBAN of an invented bank with valid check digits (ISO 13616)."""
    body = f"{BANKS[bank]}{number:010d}"
    digits = "".join(str(int(char, 36)) for char in f"{body}NL00")
    return f"NL{98 - int(digits) % 97:02d}{body}"


@dataclass(frozen=True, slots=True)
class Signature:
    """The bank's authorisation: given `since` days ago for `valid` days; `revoked` days ago at the
    bank; `history`: how many days back the bank gives under it."""

    since: int
    valid: int = 180
    revoked: int | None = None
    history: int | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One holder's side. `shared` False: known for this account, but not ticked now. `attempted`:
    days ago a bank step was begun that never completed."""

    holder: str
    shared: bool = True
    signature: Signature | None = None
    attempted: int | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """`row` and `overlays` are what the page shall say of it. `on` is days since it was switched
    on, None for never; `off` days since it was switched off again. `outage_hours` are the bank's,
    or with `trouble` ours with the provider. `limited_hours`: so long the bank's limit still holds.
    `unbalanced`: by so many cents its balance was off last week."""

    name: str
    row: str
    number: int
    bank: str
    account: str
    journal: tuple[str, str] | None
    sides: tuple[Side, ...] = ()
    overlays: tuple[str, ...] = ()
    selected: str | None = None
    on: int | None = None
    off: int | None = None
    fetched_hours: int | None = 3
    outage_hours: int | None = None
    trouble: str | None = None
    fetched_through: int | None = None
    limited_hours: int | None = None
    unbalanced: int | None = None
    departed: bool = False
    invited: bool = False
    armed: bool = False
    demo: bool = True
    journal_without_iban: tuple[str, str] | None = None

    @property
    def iban(self) -> str:
        return iban(self.bank, self.number)


HOLDERS = {
    "jan": ("Jan de Vries", "jan@devries.example"),
    "piet": ("Piet Bakker", "piet@devries.example"),
    "els": ("Els Vermeer", "els@devries.example"),
    "noor": ("Noor Hendriks", "noor@fietsateliernoord.example"),
    "amira": ("Amira el Idrissi", "amira@kapsalonamira.example"),
}
REVOKED_GRANT = {"els": 6}
"""Holder → days since they withdrew their permission altogether."""

_GOOD = Signature(since=40)

EXAMPLES: tuple[Example, ...] = (
    Example(
        "expired_with_rescue",
        "r4",
        417164300,
        "Demobank",
        "Zakelijke rekening",
        ("1100", "Bank Demobank"),
        (
            Side("jan", signature=Signature(since=199)),
            Side("piet", signature=Signature(since=22)),
        ),
        selected="jan",
        on=190,
    ),
    Example(
        "not_completed",
        "r5a",
        4520988,
        "Voorbeeldbank",
        "Webshop",
        ("1105", "Bank webshop"),
        (Side("piet", attempted=2),),
        selected="piet",
        on=60,
    ),
    Example(
        "withdrawn_at_bank",
        "r5b",
        417164388,
        "Demobank",
        "Huurrekening",
        ("1108", "Bank huur"),
        (Side("jan", signature=Signature(since=80, revoked=4)),),
        selected="jan",
        on=75,
    ),
    Example(
        "unticked",
        "r3",
        1234567,
        "Voorbeeldbank",
        "Spaarrekening",
        ("1120", "Spaarrekening"),
        (Side("piet", shared=False),),
        selected="piet",
        on=120,
    ),
    Example(
        "access_withdrawn",
        "r2",
        98765432,
        "Voorbeeldbank",
        "Filiaal Zuid",
        ("1125", "Bank filiaal Zuid"),
        (Side("els"),),
        selected="els",
        on=150,
    ),
    Example(
        "journal_lost",
        "r1",
        417164355,
        "Demobank",
        "Kasafstorting",
        None,
        (Side("jan", signature=_GOOD),),
        selected="jan",
        on=38,
        journal_without_iban=("1127", "Bank kasafstorting"),
    ),
    Example(
        "never_connected",
        "r10a",
        7654321,
        "Voorbeeldbank",
        "Bestelbus",
        ("1135", "Bank bestelbus"),
        (Side("piet"),),
    ),
    Example(
        "lapsed_before_activation",
        "r10b",
        417164377,
        "Demobank",
        "Reserve",
        ("1137", "Bank reserve"),
        (Side("jan", signature=Signature(since=200)),),
    ),
    Example(
        "no_journal_yet",
        "r7",
        417164322,
        "Demobank",
        "Deposito",
        None,
        (Side("jan", signature=_GOOD),),
    ),
    Example(
        "not_ticked",
        "r9",
        5550123,
        "Voorbeeldbank",
        "Btw-rekening",
        ("1150", "Btw-rekening"),
        (Side("piet", shared=False),),
    ),
    Example(
        "new",
        "r11",
        123456789,
        "Voorbeeldbank",
        "Voorbeeldrekening",
        ("1130", "Bank Voorbeeld"),
        (
            Side("piet", signature=Signature(since=3)),
            Side("jan", signature=Signature(since=190)),
        ),
    ),
    Example(
        "expiring",
        "r6",
        417164444,
        "Demobank",
        "Creditcard",
        ("1140", "Creditcard"),
        (Side("jan", signature=Signature(since=171)),),
        overlays=("expiring",),
        selected="jan",
        on=170,
    ),
    Example(
        "renewing",
        "r6",
        417164466,
        "Demobank",
        "Leaserekening",
        ("1142", "Bank lease"),
        (Side("jan", signature=Signature(since=156)),),
        overlays=("expiring", "renewal_running"),
        selected="jan",
        on=150,
        departed=True,
    ),
    Example(
        "outage",
        "r6",
        20300400,
        "Meridiaanbank",
        "Ondernemersrekening",
        ("1145", "Bank Meridiaan"),
        (Side("piet", signature=_GOOD),),
        overlays=("bank_outage",),
        selected="piet",
        on=35,
        fetched_hours=5,
        outage_hours=4,
    ),
    Example(
        "provider_silent",
        "r6",
        417164499,
        "Demobank",
        "Bedrijfsrekening",
        ("1151", "Bank noord"),
        (Side("jan", signature=_GOOD),),
        overlays=("provider_outage",),
        selected="jan",
        on=35,
        fetched_hours=7,
        outage_hours=1,
        trouble="unreachable",
        demo=False,
    ),
    Example(
        "provider_refuses",
        "r6",
        417164500,
        "Demobank",
        "Bedrijfsrekening",
        ("1152", "Bank zuid"),
        (Side("jan", signature=_GOOD),),
        overlays=("provider_outage",),
        selected="jan",
        on=35,
        fetched_hours=7,
        outage_hours=1,
        trouble="refused",
        demo=False,
    ),
    Example(
        "stale",
        "r6",
        20300455,
        "Meridiaanbank",
        "Loonrekening",
        ("1147", "Bank lonen"),
        (Side("piet", signature=_GOOD),),
        overlays=("bank_outage", "stale"),
        selected="piet",
        on=35,
        fetched_hours=52,
        outage_hours=50,
    ),
    Example(
        "gap",
        "r6",
        417164411,
        "Demobank",
        "Verkooprekening",
        ("1148", "Bank verkoop"),
        (Side("jan", signature=Signature(since=12, history=30)),),
        overlays=("possible_gap",),
        selected="jan",
        on=220,
        fetched_through=70,
    ),
    Example(
        "unbalanced",
        "r6",
        417164422,
        "Demobank",
        "Incassorekening",
        ("1149", "Bank incasso"),
        (Side("jan", signature=_GOOD),),
        overlays=("unbalanced",),
        selected="jan",
        on=38,
        unbalanced=-1250,
        demo=False,
    ),
    Example(
        "limited",
        "r6",
        20300477,
        "Meridiaanbank",
        "Kassarekening",
        ("1158", "Bank kassa"),
        (Side("piet", signature=_GOOD),),
        overlays=("limited",),
        selected="piet",
        on=38,
        limited_hours=5,
        demo=False,
    ),
    Example(
        "active",
        "r6",
        417164399,
        "Demobank",
        "Inkooprekening",
        ("1160", "Bank inkoop"),
        (Side("jan", signature=_GOOD),),
        selected="jan",
        on=38,
    ),
    Example(
        "armed",
        "r10a",
        7654399,
        "Voorbeeldbank",
        "Bezorging",
        ("1165", "Bank bezorging"),
        (Side("piet"),),
        armed=True,
    ),
    Example(
        "not_linked",
        "r8",
        88112233,
        "Voorbeeldbank",
        "Nieuwe rekening",
        ("1170", "Bank nieuw filiaal"),
    ),
    Example(
        "switched_off",
        "r12",
        417164333,
        "Demobank",
        "Oude rekening",
        ("1180", "Bank oud"),
        (Side("jan", signature=_GOOD),),
        selected="jan",
        on=39,
        off=10,
    ),
    Example(
        "invited",
        "r8",
        88112299,
        "Voorbeeldbank",
        "Nieuwe rekening",
        ("1175", "Bank Utrecht"),
        overlays=("invited",),
        invited=True,
        demo=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Firm:
    """One administration of the demo. `locked`: its books of last year are closed."""

    name: str
    reference: str
    examples: tuple[Example, ...]
    journals: tuple[tuple[str, str], ...] = field(default=())
    locked: bool = False


FIRMS: tuple[Firm, ...] = (
    Firm(
        "Bakkerij De Vries",
        "bakkerij-de-vries",
        tuple(each for each in EXAMPLES if each.demo),
        (("1190", "Bank reserve filiaal"),),
    ),
    Firm(
        "Fietsatelier Noord",
        "fietsatelier-noord",
        (
            Example(
                "fiets_zakelijk",
                "r6",
                3300440055,
                "Voorbeeldbank",
                "Zakelijke rekening",
                ("1000", "Bank"),
                (Side("noor", signature=Signature(since=30)),),
                selected="noor",
                on=29,
            ),
            Example(
                "fiets_sparen",
                "r6",
                3300440099,
                "Voorbeeldbank",
                "Spaarrekening",
                ("1010", "Spaarrekening"),
                (Side("noor", signature=Signature(since=30)),),
                selected="noor",
                on=29,
            ),
        ),
        locked=True,
    ),
    Firm(
        "Kapsalon Amira",
        "kapsalon-amira",
        (
            Example(
                "kapsalon",
                "r8",
                7700880099,
                "Demobank",
                "Zakelijke rekening",
                ("100", "Bank"),
            ),
        ),
    ),
)
