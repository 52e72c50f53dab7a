"""The bank's own statement of some days, as a camt.053 file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from html import escape

from tests.state.bank import IBAN, Booking, Text


def camt053(
    first: date, last: date, bookings: Iterable[Booking], *, opening: int, wordy: bool
) -> bytes:
    """`wordy`: in files this bank says it with more words than elsewhere."""
    rows = sorted(bookings, key=lambda each: each.day)
    closing = opening + sum(each.amount for each in rows)
    entries = "".join(_entry(each, wordy) for each in rows)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M</MsgId></GrpHdr><Stmt><Id>{first}/{last}</Id>"
        f"<FrToDt><FrDtTm>{first}T00:00:00</FrDtTm><ToDtTm>{last}T23:59:59</ToDtTm></FrToDt>"
        f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{_balance('OPBD', opening, first)}{_balance('CLBD', closing, last)}{entries}"
        "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def said_in_file(text: Text, wordy: bool) -> Text:
    """What a reader makes of it: white space is folded."""
    words = " ".join(text.remittance.split())
    return Text(text.name, text.iban, f"Omschrijving: {words}".strip() if wordy else words)


def _money(amount: int) -> str:
    sign = "CRDT" if amount >= 0 else "DBIT"
    return f'<Amt Ccy="EUR">{Decimal(abs(amount)).scaleb(-2)}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'


def _balance(code: str, amount: int, on: date) -> str:
    kind = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
    return f"<Bal>{kind}{_money(amount)}<Dt><Dt>{on}</Dt></Dt></Bal>"


def _entry(booking: Booking, wordy: bool) -> str:
    text = said_in_file(booking.texts[-1], wordy)
    role = "Dbtr" if booking.amount > 0 else "Cdtr"
    parties = f"<{role}><Nm>{escape(text.name)}</Nm></{role}>" if text.name else ""
    if text.iban:
        parties += f"<{role}Acct><Id><IBAN>{text.iban}</IBAN></Id></{role}Acct>"
    value = f"<ValDt><Dt>{booking.value}</Dt></ValDt>" if booking.value else ""
    reference = f"<Refs><EndToEndId>{booking.end_to_end or 'NOTPROVIDED'}</EndToEndId></Refs>"
    said = f"<RmtInf><Ustrd>{escape(text.remittance)}</Ustrd></RmtInf>" if text.remittance else ""
    return (
        f"<Ntry>{_money(booking.amount)}<Sts>BOOK</Sts><BookgDt><Dt>{booking.day}</Dt></BookgDt>"
        f"{value}<NtryDtls><TxDtls>{reference}<RltdPties>{parties}</RltdPties>{said}</TxDtls>"
        "</NtryDtls></Ntry>"
    )
