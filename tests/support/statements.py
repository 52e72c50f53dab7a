"""Statement files as a bank would write them, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

Line = tuple[date, str, str, str]
"""Day, amount, who, what."""


def mt940(
    account: str,
    lines: Sequence[Line],
    *,
    opening: tuple[date, str],
    closing: tuple[date, str] | None = None,
    currency: str = "EUR",
    number: str = "00001/001",
) -> bytes:
    """Closes with what the lines come to, on the last line's day, unless told otherwise."""

    def comma(amount: Decimal) -> str:
        return f"{abs(amount):.2f}".replace(".", ",")

    def mark(amount: Decimal) -> str:
        return "D" if amount < 0 else "C"

    running = Decimal(opening[1])
    out = [":20:STARTUMSE", f":25:{account}", f":28C:{number}"]
    out.append(f":60F:{mark(running)}{opening[0]:%y%m%d}{currency}{comma(running)}")
    for day, amount, who, what in lines:
        value = Decimal(amount)
        running += value
        out.append(f":61:{day:%y%m%d}{day:%m%d}{mark(value)}{comma(value)}NTRFNONREF")
        out.append(f":86:/TRTP/SEPA OVERBOEKING/NAME/{who}/REMI/{what}/EREF/NOTPROVIDED")
    end = closing or (lines[-1][0] if lines else opening[0], str(running))
    stated = Decimal(end[1])
    out.append(f":62F:{mark(stated)}{end[0]:%y%m%d}{currency}{comma(stated)}")
    return ("\r\n".join(out) + "\r\n-\r\n").encode()


def camt053(
    account: str,
    lines: Sequence[Line],
    *,
    period: tuple[date, date],
    opening: str = "1000.00",
    currency: str = "EUR",
) -> bytes:
    entries = []
    for day, amount, who, what in lines:
        value = Decimal(amount)
        party = "Dbtr" if value > 0 else "Cdtr"
        entries.append(
            f'<Ntry><Amt Ccy="{currency}">{abs(value):.2f}</Amt>'
            f"<CdtDbtInd>{'CRDT' if value > 0 else 'DBIT'}</CdtDbtInd><Sts>BOOK</Sts>\n"
            f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"
            "<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>"
            f"<RltdPties><{party}><Nm>{who}</Nm></{party}></RltdPties>"
            f"<RmtInf><Ustrd>{what}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )
    total = Decimal(opening) + sum((Decimal(line[1]) for line in lines), Decimal(0))

    def balance(kind: str, amount: Decimal, day: date) -> str:
        return (
            f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
            f'<Amt Ccy="{currency}">{abs(amount):.2f}</Amt>'
            f"<CdtDbtInd>{'CRDT' if amount >= 0 else 'DBIT'}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
        )

    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>'
        "<GrpHdr><MsgId>M1</MsgId></GrpHdr><Stmt><Id>S1</Id>"
        f"<FrToDt><FrDtTm>{period[0]}T00:00:00</FrDtTm><ToDtTm>{period[1]}T23:59:59</ToDtTm></FrToDt>"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>{currency}</Ccy></Acct>"
        + balance("OPBD", Decimal(opening), period[0])
        + balance("CLBD", total, period[1])
        + "".join(entries)
        + "</Stmt></BkToCstmrStmt></Document>\n"
    ).encode()


def table(lines: Sequence[Line], account: str) -> bytes:
    """As ING's website gives it."""
    out = [
        '"Datum";"Naam / Omschrijving";"Rekening";"Tegenrekening";"Code";"Af Bij";"Bedrag (EUR)";'
        '"Mutatiesoort";"Mededelingen"'
    ]
    for day, amount, who, what in lines:
        value = Decimal(amount)
        out.append(
            f'"{day:%Y%m%d}";"{who}";"{account}";"";"OV";"{"Af" if value < 0 else "Bij"}";'
            f'"{str(abs(value)).replace(".", ",")}";"Overschrijving";"{what}"'
        )
    return ("\n".join(out) + "\n").encode()
