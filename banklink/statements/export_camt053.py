"""Writes camt.053 (ISO 20022 BankToCustomerStatement), version 02 and 08.

Strings put together by hand, because that is the fastest way to write XML of any length in constant
memory; what may be foreign goes through `_text`, and every file that is made in the tests is held
against the official schema. The two versions differ in four places here, in `_Dialect`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from banklink.core.calendar import AMSTERDAM
from banklink.statements.outgoing import Entry, Outgoing, Part, decimals, in_pieces, plain, written

_NAME, _REFERENCE, _ACCOUNT, _LINE, _NOTE = 140, 35, 34, 140, 500
_IBAN = re.compile("[A-Z]{2}[0-9]{2}[a-zA-Z0-9]{1,30}", re.ASCII)
# What kind of payment it was the bank's interface does not say.
_CODE = (
    "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>NTAV</Cd><SubFmlyCd>NTAV</SubFmlyCd></Fmly></Domn>"
    "</BkTxCd>"
)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """`party`: what a name stands in. `status`: booked. `net`: the sum of all entries."""

    version: str
    party: tuple[str, str]
    status: str
    net: str


_V02 = _Dialect(
    "02",
    ("<Nm>", "</Nm>"),
    "<Sts>BOOK</Sts>",
    "<TtlNetNtryAmt>{amount}</TtlNetNtryAmt><CdtDbtInd>{way}</CdtDbtInd>",
)
_V08 = _Dialect(
    "08",
    ("<Pty><Nm>", "</Nm></Pty>"),
    "<Sts><Cd>BOOK</Cd></Sts>",
    "<TtlNetNtry><Amt>{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd></TtlNetNtry>",
)


def v02(outgoing: Outgoing) -> Iterator[str]:
    return in_pieces(_lines(outgoing, _V02))


def v08(outgoing: Outgoing) -> Iterator[str]:
    return in_pieces(_lines(outgoing, _V08))


def _lines(outgoing: Outgoing, dialect: _Dialect) -> Iterator[str]:
    made = outgoing.made_at.astimezone(AMSTERDAM).isoformat(timespec="seconds")
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{dialect.version}">\n'
        f"<BkToCstmrStmt>\n<GrpHdr><MsgId>{_text(outgoing.key, _REFERENCE)}</MsgId>"
        f"<CreDtTm>{made}</CreDtTm></GrpHdr>\n"
    )
    account = _account(outgoing.account)
    remarks = _text(" ".join(outgoing.remarks), _NOTE)
    entry = _writer(outgoing.currency, dialect)
    last: str | None = None
    for part in outgoing.parts:
        if last is not None:
            yield last
        yield from _opened(part, outgoing, dialect, made, account)
        yield from written(entry, part.entries)
        last = "</Stmt>\n"
    if last is not None:
        note = f"<AddtlStmtInf>{remarks}</AddtlStmtInf>" if remarks else ""
        yield note + last
    yield "</BkToCstmrStmt>\n</Document>\n"


def _opened(
    part: Part, outgoing: Outgoing, dialect: _Dialect, made: str, account: str
) -> Iterator[str]:
    amount = decimals(outgoing.currency, ".")
    net = part.credit + part.debit
    total = dialect.net.format(amount=amount(abs(net)), way=_way(net))
    yield (
        f"<Stmt><Id>{_text(f'{outgoing.key}-{part.number}', _REFERENCE)}</Id>"
        f"<ElctrncSeqNb>{part.number}</ElctrncSeqNb><LglSeqNb>{part.number}</LglSeqNb>"
        f"<CreDtTm>{made}</CreDtTm>"
        f"<FrToDt><FrDtTm>{part.since}T00:00:00</FrDtTm><ToDtTm>{part.on}T23:59:59</ToDtTm></FrToDt>\n"
        f"<Acct><Id>{account}</Id><Ccy>{outgoing.currency}</Ccy></Acct>\n"
        f"{_balance('OPBD', part.opening, part.opens_on, outgoing.currency, amount)}"
        f"{_balance('CLBD', part.closing, part.on, outgoing.currency, amount)}"
        f"<TxsSummry><TtlNtries><NbOfNtries>{part.count}</NbOfNtries>"
        f"<Sum>{amount(part.credit - part.debit)}</Sum>{total}</TtlNtries>"
        f"<TtlCdtNtries><Sum>{amount(part.credit)}</Sum></TtlCdtNtries>"
        f"<TtlDbtNtries><Sum>{amount(-part.debit)}</Sum></TtlDbtNtries></TxsSummry>\n"
    )


def _balance(code: str, minor: int, on: date, currency: str, amount: Callable[[int], str]) -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">'
        f"{amount(abs(minor))}</Amt><CdtDbtInd>{_way(minor)}</CdtDbtInd><Dt><Dt>{on}</Dt></Dt></Bal>\n"
    )


def _writer(currency: str, dialect: _Dialect) -> Callable[[Entry], str]:
    amount = decimals(currency, ".")
    opened, closed = dialect.party
    status = dialect.status

    def write(entry: Entry) -> str:
        reference, booked_on, value_on, minor, name, account, text, end_to_end, reversal = entry
        if minor >= 0:
            way, paid = "CRDT", "Dbtr"
        else:
            way, paid, minor = "DBIT", "Cdtr", -minor
        if reversal:  # the parties keep their roles, the money does not
            paid = "Cdtr" if way == "CRDT" else "Dbtr"
        parties = ""
        if name and (name := _text(name, _NAME)):
            parties = f"<{paid}>{opened}{name}{closed}</{paid}>"
        if account:
            parties += f"<{paid}Acct><Id>{_account(account)}</Id></{paid}Acct>"
        if parties:
            parties = f"<RltdPties>{parties}</RltdPties>"
        if not end_to_end or not (end_to_end := _text(end_to_end, _REFERENCE)):
            end_to_end = "NOTPROVIDED"
        return (
            f'<Ntry><NtryRef>{reference}</NtryRef><Amt Ccy="{currency}">{amount(minor)}</Amt>'
            f"<CdtDbtInd>{way}</CdtDbtInd>{'<RvslInd>true</RvslInd>' if reversal else ''}{status}"
            f"<BookgDt><Dt>{booked_on}</Dt></BookgDt>"
            f"<ValDt><Dt>{value_on or booked_on}</Dt></ValDt>"
            f"<AcctSvcrRef>{reference}</AcctSvcrRef>{_CODE}<NtryDtls><TxDtls>"
            f"<Refs><EndToEndId>{end_to_end}</EndToEndId></Refs>"
            f"{parties}{_remittance(text) if text else ''}</TxDtls></NtryDtls></Ntry>\n"
        )

    return write


def _way(minor: int) -> str:
    return "CRDT" if minor >= 0 else "DBIT"


def _text(text: str, most: int) -> str:
    """As XML, at most so many characters long."""
    if not text.isprintable() or "  " in text or len(text) > most:
        text = plain(text)[:most]
    text = text.strip()
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def _escaped(text: str) -> str:
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def _account(account: str) -> str:
    """Numbers that are no IBAN have a place of their own."""
    if not _IBAN.fullmatch(account):
        account = "".join(plain(account).split())[:_ACCOUNT]
        if not _IBAN.fullmatch(account):
            return f"<Othr><Id>{_escaped(account) or 'NOTPROVIDED'}</Id></Othr>"
    return f"<IBAN>{account}</IBAN>"


def _remittance(text: str) -> str:
    text = plain(text)
    if not text:
        return ""
    if len(text) <= _LINE:
        return f"<RmtInf><Ustrd>{_escaped(text)}</Ustrd></RmtInf>"
    lines = []
    while text:
        cut = len(text)
        if cut > _LINE:  # between words, where there is one: readers put a space at every line end
            cut = text.rfind(" ", 0, _LINE + 1)
            cut = _LINE if cut <= 0 else cut
        lines.append(f"<Ustrd>{_escaped(text[:cut].rstrip())}</Ustrd>")
        text = text[cut:].lstrip()
    return f"<RmtInf>{''.join(lines)}</RmtInf>"
