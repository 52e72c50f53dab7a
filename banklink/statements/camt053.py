"""camt.053.001.02 to .14 (ISO 20022 BankToCustomerStatement).

Read by local names, because the versions differ in namespace and in little else that matters
here: `Sts` is text or has a `Cd`, a party's name stands in `Nm` or in `Pty/Nm`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from banklink.statements.model import Balance, Booking, Statement, StatementError

if TYPE_CHECKING:
    from lxml import etree

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
_AMOUNT = re.compile(r"\+?(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})?", re.ASCII)
_END = re.compile(rb"</[^<>]*>[\s\x00\x1a]*\Z")
_BEGINS = re.compile(rb"<(?:[\w.-]+:)?Stmt[\s>]")
_NO_REFERENCE = {"NOTPROVIDED", "NONREF", ""}

_OTHER_MESSAGES = {
    "BkToCstmrAcctRpt": "camt.052",
    "BkToCstmrDbtCdtNtfctn": "camt.054",
    "CstmrCdtTrfInitn": "pain.001",
    "CstmrPmtStsRpt": "pain.002",
    "CstmrDrctDbtInitn": "pain.008",
}
_KINDS = {
    "OPBD": "opening",
    "CLBD": "closing",
    "OPAV": "available",
    "CLAV": "available",
    "ITAV": "available",
    "FWAV": "forward",
}


def read(data: bytes) -> list[Statement]:
    """All statements of a camt.053 file. Raises StatementError."""
    root = _parse(data)
    message = next((el for el in _elements(root.iter()) if _name(el) == "BkToCstmrStmt"), None)
    if message is None:
        raise StatementError("unknown_format", looks_like=_other_message(root))
    statements = [
        _statement(el, number) for number, el in enumerate(_children(message, "Stmt"), start=1)
    ]
    if not statements:
        raise StatementError("no_statement")
    return statements


# --- XML -----------------------------------------------------------------------------------------


def _parse(data: bytes) -> etree._Element:
    from lxml import etree  # not before a file comes: it is two megabytes

    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").rstrip(b" \t\r\n\x1a")
    try:
        return _parse_as(data, None)
    except etree.XMLSyntaxError:
        pass
    if _says_utf8_but_is_not(data):  # seen in real exports: Latin-1 under a UTF-8 declaration
        try:
            return _parse_as(data, "iso-8859-1")
        except etree.XMLSyntaxError:
            pass
    if b"<!DOCTYPE" in data.replace(b"\x00", b""):
        raise StatementError("hostile_xml")
    if _END.search(data.replace(b"\x00", b"")[-400:]) is None or _unclosed(data):
        raise StatementError("truncated", statement=max(1, len(re.findall(_BEGINS, data))))
    raise StatementError("malformed", field="XML", line=_error_line(data))


def _parse_as(data: bytes, encoding: str | None) -> etree._Element:
    from lxml import etree

    root = etree.fromstring(data, _parser(encoding))
    # No statement needs a DTD; every XML attack that is left with these settings does.
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        raise StatementError("hostile_xml")
    return root


def _parser(encoding: str | None = None) -> etree.XMLParser:
    from lxml import etree

    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _says_utf8_but_is_not(data: bytes) -> bool:
    declaration = re.match(rb"<\?xml[^>]*encoding=[\"']([\w-]+)", data)
    if declaration and declaration[1].lower() not in {b"utf-8", b"utf8"}:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return not data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return False


def _unclosed(data: bytes) -> bool:
    """Whether the only thing wrong is that the end is missing: more start tags than end tags."""
    return re.search(rb"<(?:[\w.-]+:)?Document[\s>]", data) is not None and not re.search(
        rb"</(?:[\w.-]+:)?Document\s*>", data
    )


def _error_line(data: bytes) -> int:
    from lxml import etree

    try:
        etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        return error.lineno or 1
    return 1


def _other_message(root: etree._Element) -> str:
    for el in _elements(root.iter()):
        if _name(el) in _OTHER_MESSAGES:
            return _OTHER_MESSAGES[_name(el)]
    if _name(root).lower() == "html":
        return "html"
    return "ofx" if _name(root) == "OFX" else "xml"


def _elements(nodes: Iterable[etree._Element]) -> Iterator[etree._Element]:
    return (node for node in nodes if isinstance(node.tag, str))


def _name(el: etree._Element) -> str:
    return str(el.tag).rpartition("}")[2]


def _children(el: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in _elements(el) if _name(child) == name]


def _find(el: etree._Element, path: str) -> etree._Element | None:
    """The first element under `path` (local names and slashes); looks into every branch."""
    head, _, rest = path.partition("/")
    for child in _children(el, head):
        found = _find(child, rest) if rest else child
        if found is not None:
            return found
    return None


def _text(el: etree._Element, *paths: str) -> str | None:
    """The first non-empty text among `paths`, with its white space made single spaces."""
    for path in paths:
        found = _find(el, path)
        if found is not None and (text := _clean(found.text)):
            return text
    return None


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())


# --- statements ----------------------------------------------------------------------------------


def _statement(el: etree._Element, number: int) -> Statement:
    def wrong(field: str, at: etree._Element) -> StatementError:
        # lxml stops counting at 65 535 for some builds, which is still near enough to look.
        return StatementError("malformed", field=field, line=at.sourceline or 0, statement=number)

    def amount(parent: etree._Element) -> tuple[Decimal, str]:
        found = _find(parent, "Amt")
        if found is None:
            raise wrong("Amt", parent)
        value, currency = _AMOUNT.fullmatch(_clean(found.text)), _clean(found.get("Ccy"))
        if value is None or not _CURRENCY.fullmatch(currency):
            raise wrong("Amt", found)
        direction = _text(parent, "CdtDbtInd")
        if direction not in {"CRDT", "DBIT"}:
            raise wrong("CdtDbtInd", parent)
        # A reversal does not turn this around: the indicator says which way the money went,
        # RvslInd only that the original entry went the other way (ISO 20022, ReversalIndicator).
        sign = 1 if direction == "CRDT" else -1
        return sign * Decimal(value[1]), currency

    def day(parent: etree._Element, field: str) -> date | None:
        found = _find(parent, field)
        if found is None:
            return None
        plain, moment = _text(found, "Dt"), _text(found, "DtTm")
        try:
            if plain and (match := _DATE.fullmatch(plain)):
                return date.fromisoformat(match[1])
            if moment:
                return _amsterdam_day(moment)
        except (ValueError, OverflowError):
            pass
        raise wrong(field, found)

    def balances() -> Iterator[Balance]:
        listed = [(bal, _text(bal, "Tp/CdOrPrtry/Cd") or "") for bal in _children(el, "Bal")]
        codes = {code for _, code in listed}
        seen_intermediate = False
        for bal, code in listed:
            kind = _KINDS.get(code)
            if code == "PRCD" and "OPBD" not in codes:
                kind = "opening"  # previously closed: how several banks write the opening balance
            elif code == "ITBD":
                kind = "intermediate_closing" if seen_intermediate else "intermediate_opening"
                seen_intermediate = True
            elif kind in {"opening", "closing"} and _text(bal, "Tp/SubTp/Cd") == "INTM":
                kind = f"intermediate_{kind}"
            if kind is None:
                continue  # expected, informational and a bank's own kinds
            value, currency = amount(bal)
            on = day(bal, "Dt")
            if on is None:
                raise wrong("Bal/Dt", bal)
            yield Balance(kind, value, currency, on)

    def booking(entry: etree._Element) -> Booking | None:
        status = _text(entry, "Sts/Cd", "Sts")
        if status is None:
            raise wrong("Sts", entry)  # guessing would either invent or lose a booking
        if status != "BOOK":
            return None
        value, currency = amount(entry)
        value_on = day(entry, "ValDt")
        booked_on = day(entry, "BookgDt") or value_on
        if booked_on is None:
            raise wrong("BookgDt", entry)
        parts = [tx for details in _children(entry, "NtryDtls")
                 for tx in _children(details, "TxDtls")]  # fmt: skip
        reversal = _text(entry, "RvslInd") in {"true", "1"}
        # The parties keep their roles in a reversal, the money does not.
        payer = (value > 0) != reversal
        if value == 0:
            payer = (_text(entry, "CdtDbtInd") == "CRDT") != reversal
        parties = [_counterparty(tx, payer=payer) for tx in parts]
        references = [_reference(_text(tx, "Refs/EndToEndId")) for tx in parts]
        return Booking(
            booked_on=booked_on,
            value_on=value_on,
            amount=value,
            currency=currency,
            counterparty_name=_common(name for name, _ in parties),
            counterparty_account=_common(account for _, account in parties),
            remittance=_remittance(entry, parts),
            bank_reference=_text(entry, "AcctSvcrRef")
            or _common(_text(tx, "Refs/AcctSvcrRef") for tx in parts),
            end_to_end_id=_common(references),
            line=entry.sourceline,
        )

    def period() -> tuple[date, date] | None:
        """Until when it was made, if that is earlier: the rest of it was still to come."""
        stated = _find(el, "FrToDt")
        if stated is None:
            return None
        first, last = _text(stated, "FrDtTm", "FrDt"), _text(stated, "ToDtTm", "ToDt")
        made = _text(el, "CreDtTm")
        try:
            if first is None or last is None:
                return None
            days = _first_day(first), _last_day(last)
            return days[0], min(days[1], _first_day(made)) if made else days[1]
        except (ValueError, OverflowError):
            raise wrong("FrToDt", stated) from None

    account = _text(el, "Acct/Id/IBAN", "Acct/Id/Othr/Id", "Acct/Id/PrtryAcct/Id")
    if account is None:
        raise wrong("Acct/Id", el)
    all_balances = tuple(balances())
    all_bookings = tuple(found for entry in _children(el, "Ntry") if (found := booking(entry)))
    stated = [item.currency for item in all_balances] + [item.currency for item in all_bookings]
    currency = _text(el, "Acct/Ccy") or next(iter(stated), "")
    if not _CURRENCY.fullmatch(currency):
        raise wrong("Acct/Ccy", el)
    return Statement(
        account_reference=account.replace(" ", ""),
        currency=currency,
        holder_name=_text(el, "Acct/Ownr/Nm", "Acct/Ownr/Pty/Nm"),
        bank_name=_text(el, "Acct/Svcr/FinInstnId/Nm"),
        bookings=all_bookings,
        balances=all_balances,
        period=period(),
        name=_text(el, "LglSeqNb", "ElctrncSeqNb", "Id") or "",
    )


def _amsterdam_day(moment: str) -> date:
    """The Dutch calendar day of a time; a time without offset is a Dutch one already."""
    at = datetime.fromisoformat(moment)
    return at.date() if at.tzinfo is None else at.astimezone(AMSTERDAM).date()


def _first_day(text: str) -> date:
    """Of a day or a time."""
    plain = _DATE.fullmatch(text)
    return date.fromisoformat(plain[1]) if plain else _amsterdam_day(text)


def _last_day(text: str) -> date:
    """The same of where something ends: at midnight it has not begun with the next day."""
    if _DATE.fullmatch(text):
        return _first_day(text)
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo is None else at.astimezone(AMSTERDAM)
    return (at - timedelta(microseconds=1)).date()


def _counterparty(tx: etree._Element, *, payer: bool) -> tuple[str | None, str | None]:
    role = "Dbtr" if payer else "Cdtr"
    name = _text(tx, f"RltdPties/{role}/Nm", f"RltdPties/{role}/Pty/Nm")
    account = _text(
        tx, f"RltdPties/{role}Acct/Id/IBAN", f"RltdPties/{role}Acct/Id/Othr/Id"
    )  # fmt: skip
    return name, account.replace(" ", "") if account else None


def _reference(text: str | None) -> str | None:
    return None if text is None or text.upper() in _NO_REFERENCE else text


def _common(values: Iterable[str | None]) -> str | None:
    """What all parts of a batch agree on; a batch of different people has no one counterparty."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _remittance(entry: etree._Element, parts: list[etree._Element]) -> str:
    texts = [text for tx in parts if (text := _part_remittance(tx))]
    if not texts and (note := _text(entry, "AddtlNtryInf")):
        texts = [note]
    return "; ".join(dict.fromkeys(texts))


def _part_remittance(tx: etree._Element) -> str:
    words: list[str] = []
    for info in _children(tx, "RmtInf"):
        words += [_clean(el.text) for el in _children(info, "Ustrd")]
        for structured in _children(info, "Strd"):
            words += [_clean(el.text) for path in ("RfrdDocInf/Nb", "CdtrRefInf/Ref")
                      if (el := _find(structured, path)) is not None]  # fmt: skip
            words += [_clean(el.text) for el in _children(structured, "AddtlRmtInf")]
    return " ".join(word for word in words if word) or _text(tx, "AddtlTxInf") or ""
