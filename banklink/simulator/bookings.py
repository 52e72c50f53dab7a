"""Plausible bookings of a small Dutch firm, from a fixed seed.

The same account and day always give the same bookings with the same ids, on every machine: a demo
can be repeated, a test can count. Nothing here reads a clock or a database. All names and IBANs
are invented.
"""

from __future__ import annotations

import calendar
import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache

NAMESPACE = uuid.UUID("5b1c9a34-6f0e-5d5b-9b53-8f6f3a0c7e11")

CUSTOMERS = (
    "Bouwbedrijf De Linde", "Camping Zonnedauw", "Kapsalon Krul", "Restaurant De Vuurtoren",
    "Stichting Dorpshuis Noord", "Tuincentrum Groenrijk Oost", "Van Dam Installaties",
    "Basisschool De Regenboog", "Hotel Havenzicht", "Fietsenmaker Spaak",
)  # fmt: skip
SUPPLIERS = (
    "Molen De Hoop Grondstoffen", "Groothandel Waterland", "Verpakkingen Van Dijk",
    "Zuivelcoöperatie Weidegang", "Gereedschap Direct", "Schoonmaak Helder BV",
    "Tankstation Rijksweg", "Kantoorboekhandel Inkt",
)  # fmt: skip
MOST_LATE = 10
TERMINALS = ("Betaalautomaat toonbank", "Betaalautomaat markt")


@dataclass(frozen=True)
class Generated:
    uuid: str
    identity: str
    booked_on: date
    amount: int  # minor units, signed
    counterparty: str | None
    counterparty_iban: str | None
    remittance: str
    end_to_end_id: str | None


def with_check_digits(country: str, bban: str) -> str:
    """The IBAN of a BBAN: ISO 13616, remainder of 97."""
    number = "".join(str(int(c, 36)) for c in f"{bban}{country}00")
    return f"{country}{98 - int(number) % 97:02d}{bban}"


@cache
def invented_iban(name: str) -> str:
    """A valid IBAN that belongs to nobody: its bank code does not exist."""
    digits = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10**9
    return with_check_digits("NL", f"FICT0{digits:09d}")


def opening_balance(iban: str) -> int:
    """What a generated account starts with, in minor units: between 8 000 and 28 000."""
    return 800_000 + int(hashlib.sha256(f"opening {iban}".encode()).hexdigest(), 16) % 2_000_000


def generate(
    iban: str,
    first: date,
    last: date,
    *,
    twins: bool = False,
    late_days: int = 0,
    before: int = 0,
) -> Iterator[Generated]:
    """The bookings of every day from `first` through `last`, oldest first; 0 to 4 a day, with
    `twins` two equal ones more. With `late_days` some turn up so much later than the day they are
    booked on; of the days `before`, those that did or may have done so come along."""
    day = first - timedelta(days=before)
    while day <= last:
        for each in on_day(iban, day, twins=twins and day >= first):
            late = is_late(each)
            if (late or day >= first) and day + timedelta(days=late_days * late) <= last:
                yield each
        day += timedelta(days=1)


def on_day(iban: str, day: date, *, twins: bool = False) -> list[Generated]:
    seed = hashlib.sha256(f"{iban} {day.isoformat()}".encode()).digest()
    dice = random.Random(int.from_bytes(seed[:8], "big"))  # noqa: S311 (repeatable is the point)
    lines = [*_fixed(day), *_daily(dice, day)][:4]
    if twins:
        lines += [(-350, "Koffiebar De Hoek", "Koffie")] * 2
    return [_booking(iban, day, n, *line) for n, line in enumerate(lines)]


def is_late(booking: Generated) -> bool:
    """Whether it is one of those that a slow bank brings late."""
    return int(booking.uuid[:8], 16) % 3 == 0


def announced(iban: str, day: date) -> list[Generated]:
    """What is known on a day of the next two and not booked yet: reserved under another id and
    another text than it will be booked with."""
    coming = (each for n in (1, 2) for each in on_day(iban, day + timedelta(days=n)))
    return [
        replace(
            each,
            uuid=str(uuid.uuid5(NAMESPACE, f"announced {each.uuid}")),
            counterparty_iban=None,
            remittance=f"Reservering {each.counterparty}",
            end_to_end_id=None,
        )
        for each in coming
        if each.counterparty is not None
    ]


Line = tuple[int, str | None, str]


def _fixed(day: date) -> Iterator[Line]:
    """What comes every month: rent, telephone, wages, VAT."""
    month_end = calendar.monthrange(day.year, day.month)[1]
    if day.day == 1:
        yield -95_000, "Vastgoed De Kade", f"Huur bedrijfsruimte {day:%m-%Y}"
    if day.day == 12:
        yield -6_450, "Telecom Waterweg", f"Abonnement internet en telefoon {day:%m-%Y}"
    if day.day == 25:
        yield -210_000, "M. Jansen", f"Salaris {day:%m-%Y}"
    if day.day == 15:
        yield -18_725, "Energie Polderland", f"Termijnbedrag energie {day:%m-%Y}"
    if day.day == month_end and day.month in (1, 4, 7, 10):
        yield -182_600, "Belastingdienst", f"Omzetbelasting kwartaal {(day.month - 2) // 3 % 4 + 1}"


def _daily(dice: random.Random, day: date) -> Iterator[Line]:
    if day.weekday() == 6:
        return
    if dice.random() < (0.75 if day.weekday() < 5 else 0.5):
        gross = dice.randrange(12_000, 48_000)
        terminal = dice.choice(TERMINALS)
        yield gross, None, f"Pinomzet {day:%d-%m-%Y} {terminal}"
    if day.weekday() == 5:
        return
    if dice.random() < 0.35:
        customer = dice.choice(CUSTOMERS)
        number = dice.randrange(1000, 9999)
        yield dice.randrange(4_500, 62_000), customer, f"Factuur {day.year}-{number}"
    if dice.random() < 0.5:
        supplier = dice.choice(SUPPLIERS)
        number = dice.randrange(100_000, 999_999)
        account = dice.randrange(40_000, 49_999)
        yield -dice.randrange(1_800, 29_000), supplier, f"Klantnr {account} factuur {number}"


def _booking(iban: str, day: date, n: int, amount: int, name: str | None, text: str) -> Generated:
    identity = f"generated {day.isoformat()} {n}"
    number = uuid.uuid5(NAMESPACE, f"{iban} {identity}")
    return Generated(
        uuid=str(number),
        identity=identity,
        booked_on=day,
        amount=amount,
        counterparty=name,
        counterparty_iban=invented_iban(name) if name else None,
        remittance=text,
        end_to_end_id=number.hex[:20].upper() if name else None,
    )
