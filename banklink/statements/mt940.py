"""MT940 as Dutch banks write it: with or without SWIFT blocks, one or many statements in a file.

The file is cut into statements and fields here, because a reader has to notice what is missing;
what is inside `:61:` and the balances is matched with the grammar of the `mt-940` package.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from mt940 import tags
from mt940.models import Transactions

from banklink.statements.model import Balance, Booking, Statement, StatementError

# The package logs what it cannot match, and that is somebody's payment.
logging.getLogger("mt940").setLevel(logging.CRITICAL + 1)

_LINE = tags.StatementGLS()  # the variant that takes a customer reference of any length
_BALANCE = tags.BalanceBase()

_FIELD = re.compile(r":(13D?|2[015]P?|28C?|34F|60[FM]?|61|62[FM]?|6[45]|86|90[CD]|NS):")
_AMOUNT = re.compile(r"\d{1,15}(?:,\d*)?", re.ASCII)
_NO_TYPE = re.compile(r"\s*[^A-Za-z\s]", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_IBAN = r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}"
_ACCOUNT = re.compile(rf"{_IBAN}|P?\d{{7,10}}", re.ASCII)
_KINDS = {
    "60": "opening",
    "60F": "opening",
    "60M": "intermediate_opening",
    "62": "closing",
    "62F": "closing",
    "62M": "intermediate_closing",
    "64": "available",
    "65": "forward",
}
# References that say "there is none" or "look in the text".
_NO_REFERENCE = {"", "NONREF", "NOTPROVIDED", "EREF", "PREF", "MARF", "CREF", "OM1B", "OM1T"}
_CENTURY_TURN = 80  # two-digit years from 80 on are of the last century


@dataclass(slots=True)
class _Field:
    tag: str
    lines: list[str]
    line_number: int


@dataclass(slots=True)
class _Block:
    """The fields of one statement as they stand in the file."""

    number: int
    wrapped: bool  # in SWIFT's {4: … -}
    headed: bool  # under a header such as "ABNANL2A", "940"
    fields: list[_Field] = field(default_factory=list)
    closed: bool = False  # has its closing balance
    terminated: bool = False  # has its end mark, "-" or "-}"


def decode(data: bytes) -> str:
    """Text of a file in UTF-8, UTF-16 (with its mark) or Latin-1, without control characters."""
    text = None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "cp1252"):
        if text is None:
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                continue
    if text is None:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", "", text)


def read(text: str) -> list[Statement]:
    """All statements of an MT940 file. Raises StatementError."""
    blocks = _blocks(text)
    if not blocks:
        raise StatementError("unknown_format", looks_like="unknown")
    _refuse_if_cut(text, blocks)
    statements = []
    for block in blocks:
        if not block.closed:
            raise StatementError("truncated", statement=block.number)
        try:
            statements.append(_statement(block))
        except StatementError as error:
            # The last field of a file that does not even end its line: that is a cut.
            last = block is blocks[-1] and error.params.get("line") == block.fields[-1].line_number
            if last and not block.terminated and not text.endswith("\n"):
                raise StatementError("truncated", statement=block.number) from None
            raise
    _refuse_cut_amount(text, blocks[-1], statements[-1])
    return statements


# --- cutting into statements and fields ----------------------------------------------------------


def _blocks(text: str) -> list[_Block]:
    blocks: list[_Block] = []
    current: _Block | None = None
    wrapped = stray = False
    for line_number, raw in enumerate(text.split("\n"), start=1):
        line = raw.rstrip()
        if line == ":940:":  # a heading of Rabobank, which uses no end marks
            continue
        if line.startswith("{") and (current is None or current.closed):
            if line.startswith("{5:"):
                continue
            _, found, line = line.partition("{4:")
            wrapped, current, stray = True, None, True
            if not found or not line:
                continue
        match = _FIELD.match(line)
        tag = match[1] if match else None
        if tag == "20" or (tag in {"25", "60F", "60M"} and (current is None or current.terminated)):
            if current is not None and not current.closed:
                raise StatementError("truncated", statement=current.number)
            current = _Block(len(blocks) + 1, wrapped, headed=stray)
            blocks.append(current)
            wrapped = stray = False
        if current is None or current.terminated:
            if tag == "61":
                raise StatementError("malformed", field=":61:", line=line_number)
            # Headers of a bank ("ABNANL2A", "940") stand before a statement.
            stray = stray or (bool(line.strip()) and not line.startswith(("-", "{5:")))
        elif current.closed and re.match(r"-(?:\}|$)", line):
            current.terminated = True
        elif match and tag:
            current.fields.append(_Field(tag, [line[match.end() :]], line_number))
            current.closed = current.closed or tag.startswith("62")
        elif line.strip() and current.fields:
            if current.closed and current.fields[-1].tag != "86":
                # Neither a field nor more text: the header of what follows.
                current.terminated = stray = True
            else:
                current.fields[-1].lines.append(line)
    if stray and blocks:
        raise StatementError("truncated", statement=len(blocks) + 1)
    return blocks


def _refuse_if_cut(text: str, blocks: list[_Block]) -> None:
    last = blocks[-1]
    if last.terminated or not last.closed:
        return
    others_end = len(blocks) > 1 and all(block.terminated for block in blocks[:-1])
    if last.wrapped or others_end or (last.headed and not text.endswith("\n")):
        raise StatementError("truncated", statement=last.number)


def _refuse_cut_amount(text: str, block: _Block, statement: Statement) -> None:
    """A file may end with its closing balance, and may be cut inside it.

    If it ends without a line end, the amount has to have its comma, and must not be the first
    digits of what the bookings add up to. (Otherwise balances need not add up: some do not.)
    """
    last = block.fields[-1]
    if block.terminated or text.endswith("\n") or not last.tag.startswith("62"):
        return
    stated = last.lines[-1][10:]
    if "," in stated:
        opening = next((b for b in statement.balances if b.kind.endswith("opening")), None)
        closing = next((b for b in statement.balances if b.kind.endswith("closing")), None)
        if opening is None or closing is None:
            return
        total = opening.amount + sum((b.amount for b in statement.bookings), Decimal(0))
        computed = f"{abs(total):.2f}".replace(".", ",")
        cut = closing.amount != total and computed.startswith(stated.lstrip("0"))
        if not cut:
            return
    raise StatementError("truncated", statement=block.number)


# --- fields --------------------------------------------------------------------------------------


def _statement(block: _Block) -> Statement:
    account = next((item for item in block.fields if item.tag in {"25", "25P"}), None)
    first = block.fields[0] if block.fields else _Field("20", [""], 0)
    if account is None or not account.lines[0].strip():
        raise StatementError("malformed", field=":25:", line=first.line_number,
                             statement=block.number)  # fmt: skip
    balances = tuple(_balance(item, block) for item in block.fields if item.tag in _KINDS)
    opening = next((item for item in balances if item.kind.endswith("opening")), None)
    if opening is None:
        raise StatementError("malformed", field=":60F:", line=first.line_number,
                             statement=block.number)  # fmt: skip
    return Statement(
        account_reference=_account_reference(account.lines[0], opening.currency),
        currency=opening.currency,
        holder_name=None,
        bank_name=None,
        bookings=tuple(_bookings(block, opening.currency)),
        balances=balances,
        name=next(
            (item.lines[0].strip() for item in block.fields if item.tag in {"28", "28C"}), ""
        ),
    )


def _account_reference(text: str, currency: str) -> str:
    """Several banks write the currency behind the account; it is not part of the account."""
    text = text.strip()
    if re.fullmatch(rf".+\s{currency}", text) or re.fullmatch(
        rf"NL\d{{2}}[A-Z]{{4}}\d{{10}}{currency}", text
    ):
        text = text[: -len(currency)]
    return "".join(text.split())


def _balance(item: _Field, block: _Block) -> Balance:
    stated = item.lines[0].strip()
    try:
        parts = _BALANCE.parse(Transactions(), stated)
        currency = str(parts["currency"])
        if not _CURRENCY.fullmatch(currency):
            raise ValueError
        amount = _amount(parts["amount"])
        if not stated.endswith(str(parts["amount"])):  # the grammar takes what it can of 1.987,50
            raise ValueError
        on = _day(parts["year"], parts["month"], parts["day"])
    except (RuntimeError, ValueError):
        raise _wrong(item, block) from None
    sign = -1 if str(parts["status"]).upper() == "D" else 1
    return Balance(_KINDS[item.tag], sign * amount, currency, on)


def _bookings(block: _Block, currency: str) -> Iterator[Booking]:
    line: _Field | None = None
    details: list[str] = []
    for item in [*block.fields, _Field("", [], 0)]:
        if item.tag == "86":
            details += item.lines  # before the first booking: text about the whole statement
        elif item.tag != "NS":
            if line is not None:
                yield _booking(line, details, currency, block)
            line, details = (item if item.tag == "61" else None), []


def _booking(item: _Field, details: list[str], currency: str, block: _Block) -> Booking:
    try:
        parts = _LINE.parse(Transactions(), item.lines[0].strip())
        amount = _amount(parts["amount"])
        # The grammar takes what it can of 1.012,50, and the rest for a reference.
        if parts["id"] is None and _NO_TYPE.match(parts["customer_reference"] or ""):
            raise ValueError
        value_on = _day(parts["year"], parts["month"], parts["day"])
        booked_on = _entry_day(value_on, parts["entry_month"], parts["entry_day"])
    except (RuntimeError, ValueError):
        raise _wrong(item, block) from None
    # RC takes a credit back, so money goes out; RD gives a debit back.
    sign = -1 if str(parts["status"]).upper() in {"D", "RC"} else 1
    reference = (parts["customer_reference"] or "").strip()
    extra = [text for text in (parts["extra_details"], *item.lines[1:]) if text and text.strip()]
    parsed = read_details(details, money_in=sign > 0)
    name, account, more = parsed.name, parsed.account, [parsed.remittance]
    supplement = _join(extra).strip()
    if _ACCOUNT.fullmatch(supplement):
        if account is None:
            account = supplement
        elif account != supplement:
            more.append(supplement)
    elif re.fullmatch(_IBAN, reference):  # ASN: the account as reference, the name below it
        name, account = name or supplement or None, account or reference
        if name != supplement:
            more.append(supplement)
    elif not re.fullmatch(r"/TRCD/\w+/?", supplement):  # ING's code for the kind of booking
        more.append(supplement)
    if account == reference or reference.upper() in _NO_REFERENCE:
        reference = ""
    if parsed.end_to_end_id and reference and reference not in parsed.end_to_end_id:
        more.append(reference)
    return Booking(
        booked_on=booked_on,
        value_on=value_on,
        amount=sign * amount,
        currency=currency,
        counterparty_name=name,
        counterparty_account=account,
        remittance=" ".join(text for text in more if text),
        bank_reference=(parts["bank_reference"] or "").strip() or None,
        # The reference for the account's owner is, in SEPA, the end-to-end id's first characters.
        end_to_end_id=parsed.end_to_end_id or reference or None,
        line=item.line_number,
    )


def _wrong(item: _Field, block: _Block) -> StatementError:
    return StatementError(
        "malformed", field=f":{item.tag}:", line=item.line_number, statement=block.number
    )


def _amount(text: str | None) -> Decimal:
    if not _AMOUNT.fullmatch(text or ""):
        raise ValueError
    return Decimal(str(text).replace(",", "."))


def _day(year: str | None, month: str | None, day: str | None) -> date:
    short = int(year or "")
    century = 1900 if short >= _CENTURY_TURN else 2000
    return date(century + short, int(month or ""), int(day or ""))


def _entry_day(value_on: date, month: str | None, day: str | None) -> date:
    """The booking day of `:61:`, which has no year: the one nearest to the value date.

    Booked on 2 January with value 31 December is next year; the other way round it is last year.
    Without an entry date the value date is the booking date.
    """
    if not (month or "").strip() or not (day or "").strip():
        return value_on
    candidates = []
    for year in (value_on.year - 1, value_on.year, value_on.year + 1):
        try:
            candidates.append(date(year, int(month or ""), int(day or "")))
        except ValueError:
            continue  # 29 February, or no date at all
    if not candidates:
        raise ValueError
    return min(candidates, key=lambda candidate: abs((candidate - value_on).days))


# --- :86: ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Details:
    """What a `:86:` tells; words that have no place of their own stay in `remittance`."""

    name: str | None
    account: str | None
    end_to_end_id: str | None
    remittance: str


_CODE = re.compile(
    "/(ACCW|ADDR|BENM|BIC|CHGS|CNTP|CSID|EREF|IBAN|ISDT|MARF|NAME|NRTX|OCMT|ORDP|PREF|PURP|REMI"
    "|RTRN|SVCL|TRTP|ULTB|ULTC|ULTD)/"
)
_ACCOUNT_AND_NAME = re.compile(rf"REK: ?({_IBAN}|P?\d{{5,10}})(?:/NAAM: ?(.*))?", re.ASCII)
_LABELS = re.compile(
    r"(?<!\S)(IBAN|BIC|NAAM|OMSCHRIJVING|KENMERK|BETALINGSKENM\.|MACHTIGING|INCASSANT|"
    r"VOOR|DATUM): *"
)
# A full line goes on in mid-word. Free text comes in columns of 32 with a space before each, where
# 64 characters mean that a space was trimmed; coded text also runs on after 64.
_WRAP_FREE, _WRAP_CODED = 65, 64


def read_details(lines: list[str], *, money_in: bool) -> Details:
    """Takes counterparty and references out of the lines of a `:86:`.

    `money_in` tells which of two named parties is the other one.
    """
    lines = [line.rstrip() for line in lines if line.strip()]
    if lines and _CODE.match(lines[0].lstrip()):
        return _coded(_join(lines, _WRAP_CODED).strip(), money_in=money_in)
    for position, line in enumerate(lines):
        if match := _ACCOUNT_AND_NAME.fullmatch(line.strip()):
            rest = _spaced(_join(lines[:position] + lines[position + 1 :]))
            return Details(_spaced(match[2] or "") or None, match[1], None, rest)
    text = _join(lines)
    if re.search(rf"(?<!\S)IBAN: *{_IBAN}(?!\S)", text):
        return _labelled(text)
    return Details(None, None, None, _spaced(text))


def _join(lines: list[str], wrap: int = _WRAP_FREE) -> str:
    text = previous = ""
    for line in lines:
        glue = not text or line.startswith("/") or len(previous) >= wrap
        text += line if glue else f" {line}"
        previous = line
    return text


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _coded(text: str, *, money_in: bool) -> Details:
    """`/EREF/…/BENM//NAME/…/REMI/…` of ABN AMRO and Rabobank, `/CNTP/…/…/…/` of ING."""
    pieces = _CODE.split(text)  # "", code, value, code, value …
    account = reference = None
    remittance: list[str] = []
    rest: list[str] = []
    names: list[tuple[str, str]] = []
    party = ""
    for code, raw in zip(pieces[1::2], pieces[2::2], strict=True):
        value = _spaced(raw)
        bare = value.strip("/ ")
        if code in {"BENM", "ORDP", "ULTB", "ULTC", "ULTD"}:
            party = code
            if bare:
                names.append((party, bare))
        elif code == "NAME" and bare:
            names.append((party, bare))
        elif code == "IBAN" and bare and account is None:
            account = bare.replace(" ", "")
        elif code == "CNTP":
            number, bic, name, city = [*map(str.strip, value.split("/")), "", "", "", ""][:4]
            account = account or number or None
            if name:
                names.append(("", name))
            if left := " ".join(word for word in (bic, city, *value.split("/")[4:]) if word):
                rest.append(f"/CNTP/{left}")
        elif code == "EREF" and reference is None:
            reference = None if bare.upper() in _NO_REFERENCE else bare
        elif code == "REMI":
            remittance.append(value.removeprefix("USTD//").rstrip("/").strip())
        elif bare:
            rest.append(f"/{code}/{bare}")
    wanted = ("ORDP", "") if money_in else ("BENM", "")
    chosen = next((item for item in names if item[0] in wanted), None)
    chosen = chosen or next((item for item in names if not item[0].startswith("ULT")), None)
    rest += [f"/{party or 'NAME'}/{name}" for party, name in names if (party, name) != chosen]
    return Details(
        name=chosen[1] if chosen else None,
        account=account,
        end_to_end_id=reference,
        remittance=" ".join(text for text in [*remittance, *rest] if text),
    )


def _labelled(text: str) -> Details:
    """`SEPA OVERBOEKING   IBAN: NL…   BIC: …   NAAM: …   OMSCHRIJVING: …`, ABN AMRO in columns."""
    pieces = _LABELS.split(text)
    account = name = reference = None
    rest = [_spaced(pieces[0])]
    for label, raw in zip(pieces[1::2], pieces[2::2], strict=True):
        value = _spaced(raw)
        first, *others = value.split(" ") if value else [""]
        if label == "IBAN" and account is None:
            account = first
            rest.append(" ".join(others))
        elif label == "NAAM" and name is None:
            # The name's column ends where more than one space follows.
            name, _, left = (part.strip() for part in re.sub(r" {2,}", "\0", raw.strip(), count=1)
                             .partition("\0"))  # fmt: skip
            rest.append(_spaced(left))
        elif label == "KENMERK" and reference is None and value.upper() not in _NO_REFERENCE:
            reference = value
        elif label == "OMSCHRIJVING":
            rest.append(value)
        elif value:
            rest.append(f"{label}: {value}")
    return Details(name or None, account, reference, " ".join(part for part in rest if part))
