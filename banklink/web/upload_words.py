"""What is said of a statement file: what it is, what it would bring, what is off, and why it cannot
be read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from banklink.actions.services import Refused
from banklink.actions.take_in_file import Look
from banklink.core.texts import N_
from banklink.statements import MAX_BYTES, StatementError
from banklink.store.models import Connection
from banklink.web.i18n import _, amount, day, iban, ngettext, number
from banklink.web.viewmodel import Notice

MEGABYTES = MAX_BYTES // (1024 * 1024)

UNREADABLE: dict[str, str] = {
    "empty": N_("The file is empty. Download it from your bank again."),
    "too_large": N_(
        "The file is larger than %(megabytes)s MB. Download a shorter period from your bank, and"
        " upload the files one after another."
    ),
    "truncated": N_(
        "The file breaks off in statement %(statement)s. Download it from your bank again."
    ),
    "cut_line": N_("The file breaks off in line %(line)s. Download it from your bank again."),
    "quote_open": N_(
        "In line %(line)s a quotation mark is too many or missing, so it is not certain where that"
        " transaction ends. Choose another format at your bank, or mend that line."
    ),
    "cells_many": N_(
        "Line %(line)s has more cells than the table has columns: perhaps its separator also stands"
        " in an amount or a text. Choose another format at your bank, or mend that line."
    ),
    "malformed": N_(
        "%(field)s in line %(line)s cannot be read. Download the file again, or choose another"
        " format at your bank."
    ),
    "hostile_xml": N_(
        "The file has a document type declaration, which no bank statement has. It was not read."
        " Download it from your bank again."
    ),
    "no_statement": N_("There is no statement in this file. Choose a longer period at your bank."),
    "no_bookings": N_("There is no transaction in this file. Choose a longer period at your bank."),
    "column_wrong": N_(
        "Line %(line)s: “%(text)s” is no %(column)s. Choose another column, or mend the file."
    ),
    "cell_wrong": N_(
        "Line %(line)s: “%(text)s” is no %(column)s. Download the file again, or mend that line."
    ),
    "gone": N_(
        "A file is kept for one day until it is confirmed; this one is no longer there. Upload it"
        " again."
    ),
    "not_started": N_(
        "This link has no start date yet. Activate it first; then it is clear from which day"
        " transactions belong in the books."
    ),
    "other_account": N_("This file is about %(accounts)s, not about %(iban)s."),
    "other_currency": N_(
        "This file holds %(iban)s in %(currencies)s; this link is for %(currency)s."
    ),
    "booking_currency": N_("Line %(line)s is in %(found)s; this link is for %(currency)s."),
    "amount_too_fine": N_("The amount in line %(line)s is no amount in %(currency)s."),
    "year_unlikely": N_(
        "Line %(line)s is dated %(day)s. Surely another year is meant; nothing was taken in."
        " Download the file again, or mend that line."
    ),
    "day_ahead": N_(
        "Line %(line)s is dated %(day)s, which is still to come; nothing was taken in. Download the"
        " file again, or mend that line."
    ),
    "statement_year_unlikely": N_(
        "Statement %(statement)s is dated %(day)s. Surely another year is meant; nothing was taken"
        " in. Download the file again."
    ),
    "statement_day_ahead": N_(
        "Statement %(statement)s is dated %(day)s, which is still to come; nothing was taken in."
        " Download the file again."
    ),
    "column_missing": N_("Choose a column here; without it nothing can be taken in."),
    "columns_twice": N_("This column was chosen twice."),
    "days_wrong": N_("The last day lies before the first."),
    "days_ahead": N_("Choose today or an earlier day."),
    "no_file": N_("Choose a file first."),
    "books_changed": N_(
        "Meanwhile the start date or the locked period was changed. Look at what the file would"
        " bring now, and confirm again."
    ),
    "undo_late": N_(
        "Something came in after this file, so it can no longer be taken back as a whole. Single"
        " transactions can be removed in the list."
    ),
    "undo_locked": N_(
        "Days of this file have been locked since, so what it brought stays in the books. Unlock"
        " them first if it must go out."
    ),
}

_OTHERS: dict[str, str] = {
    "pdf": N_("This is a PDF: for people, not for programs."),
    "zip": N_("This is an archive. Unpack it and choose the file in it."),
    "spreadsheet": N_("This is a spreadsheet. Choose CSV at your bank, or save it as CSV."),
    "image": N_("This is a picture."),
    "document": N_("This is a text document."),
    "ofx": N_("This is OFX."),
    "json": N_("This is JSON."),
    "html": N_("This is a web page: perhaps your bank had signed you out before the download."),
    "mt942": N_("This is MT942, which tells a part of a day; those transactions come again."),
    "camt.052": N_("This is camt.052, which tells a part of a day; those transactions come again."),
    "camt.054": N_("This is camt.054: single payments, not a statement."),
    "pain.001": N_("This is a file with payments to make, not a statement."),
    "pain.002": N_("This is a report on payments, not a statement."),
    "pain.008": N_("This is a file with direct debits, not a statement."),
    "xml": N_("This is XML, but no bank statement."),
    "csv": N_("This table cannot be read as a statement."),
    "unknown": N_("This is no bank statement."),
}

COLUMNS: dict[str, str] = {
    "booked": N_("date"),
    "amount": N_("amount"),
    "out": N_("amount out (column of its own)"),
    "direction": N_("in or out"),
    "description": N_("description"),
    "name": N_("name of the counterparty"),
    "counterparty": N_("account of the counterparty"),
    "value": N_("value date"),
    "account": N_("own account"),
    "currency": N_("currency"),
    "balance": N_("balance after the transaction"),
    "reference": N_("reference of the payment"),
}
_FORMATS = {"mt940": "MT940", "camt053": "camt.053", "csv": "CSV", "table": "CSV"}


def stretch(days: tuple[date, date]) -> str:
    first, last = days
    if first == last:
        return day(first)
    return _("%(first)s up to and including %(last)s", first=day(first), last=day(last))


def sentence(
    error: StatementError | Refused, connection: Connection, *, chosen: bool = False
) -> str:
    """What is wrong with the file, where, and what to do about it. `chosen`: a person says which
    column is what; of a bank's layout, which is known, there is nothing to choose."""
    params: dict[str, Any] = {
        "iban": iban(connection.iban),
        "currency": connection.currency,
        "megabytes": number(MEGABYTES),
        **error.params,
    }
    code = error.code
    if code == "unknown_format":
        known = _OTHERS.get(str(params["looks_like"]), _OTHERS["unknown"])
        return f"{_(known)} {_('Choose MT940, camt.053 or CSV in your bank’s download.')}"
    if code in ("year_unlikely", "day_ahead"):
        params["day"] = day(params["day"])
        if not params.get("line"):
            code = f"statement_{code}"
    if code == "other_account":
        accounts = params["accounts"]
        params["accounts"] = listed(iban(name) for name, _key in accounts)
    if code == "other_currency":
        params["currencies"] = listed(params["currencies"])
    if code == "column_wrong":
        params["column"] = _(COLUMNS[str(params["column"])])
        code = code if chosen else "cell_wrong"
    for name in ("line", "statement"):
        if isinstance(params.get(name), int):
            params[name] = number(params[name])
    return _(UNREADABLE[code], **params)


def listed(words: Iterable[str]) -> str:
    return ", ".join(words)


# -- what it would bring -------------------------------------------------------------------------


def facts(found: Look, connection: Connection) -> list[tuple[str, str]]:
    kind = _FORMATS[found.file.format]
    facts = [
        (_("Format"), f"{kind}, {found.file.bank}" if found.file.bank else kind),
        (_("Account"), iban(connection.iban)),
        (_("Transactions"), number(found.bookings)),
    ]
    if found.whole:
        facts.append((_("Days"), stretch(found.whole)))
    for label, end in (
        (_("Opening balance"), found.opening),
        (_("Closing balance"), found.closing),
    ):
        if end is not None:
            held = amount(end[0], connection.currency)
            facts.append((label, _("%(amount)s on %(day)s", amount=held, day=day(end[1]))))
    return facts


def counts(found: Look) -> list[tuple[str, str]]:
    """Tone and words."""
    new, doubts = len(found.new), len(found.doubts)
    said = [("well" if new else "off", ngettext("%(n)s new", "%(n)s new ones", new))]
    if doubts:
        said.append(("todo", ngettext("%(n)s in doubt", "%(n)s are in doubt", doubts)))
    if found.known:
        said.append(
            ("off", ngettext("%(n)s is known already", "%(n)s are known already", found.known))
        )
    if found.early:
        words = ngettext(
            "%(n)s is from before the start date and stays out",
            "%(n)s are from before the start date and stay out",
            found.early,
        )
        said.append(("off", words))
    if found.locked:
        words = ngettext(
            "%(n)s is in the locked period and stays out",
            "%(n)s are in the locked period and stay out",
            found.locked,
        )
        said.append(("off", words))
    return said


def is_for_nothing(found: Look) -> bool:
    """Whether no day and no transaction of the file counts in these books."""
    return not (found.new or found.doubts or found.known or found.takes)


def notes(found: Look, connection: Connection) -> list[Notice]:
    """What a person should know before they confirm."""
    notes = []
    if is_for_nothing(found):
        notes.append(
            (
                "info",
                _(
                    "All of this file lies before the start date or in the locked period, so there"
                    " is nothing to take in. Change these first if it belongs in the books."
                ),
            )
        )
    for name, reckoned, stated in found.off:
        values = {
            "reckoned": amount(reckoned, connection.currency),
            "stated": amount(stated, connection.currency),
        }
        off = (
            _(
                "Statement %(name)s does not add up: its transactions come to %(reckoned)s, and it"
                " closes with %(stated)s.",
                name=name,
                **values,
            )
            if name
            else _(
                "The file does not add up: its transactions come to %(reckoned)s, and it closes"
                " with %(stated)s.",
                **values,
            )
        )
        notes.append(("todo", off))
    if found.off:
        notes.append(
            (
                "info",
                _(
                    "You can take it in all the same; the row then says that balances and"
                    " transactions disagree, until the missing ones are there."
                ),
            )
        )
    if found.part.others:
        which = listed(iban(each) for each in found.part.others)
        notes.append(("info", _("The file also holds %(which)s; that stays out.", which=which)))
    if found.part.currencies:
        which = listed(found.part.currencies)
        notes.append(
            (
                "info",
                _("The file also holds this account in %(which)s; that stays out.", which=which),
            )
        )
    if found.part.unsaid:
        notes.append(
            (
                "todo",
                _(
                    "The file does not say which account it is of. Check that it is %(iban)s.",
                    iban=iban(connection.iban),
                ),
            )
        )
    if found.part.older:
        notes.append(
            ("info", _("In the file this account is called %(name)s.", name=found.part.older))
        )
    if found.part.copies:
        notes.append(
            (
                "info",
                ngettext(
                    "%(n)s statement is in the file a second time; it counts once.",
                    "%(n)s statements are in the file a second time; each counts once.",
                    found.part.copies,
                ),
            )
        )
    if found.removed:
        notes.append(
            (
                "info",
                ngettext(
                    "%(n)s of the known ones was removed here earlier and stays so.",
                    "%(n)s of the known ones were removed here earlier and stay so.",
                    found.removed,
                ),
            )
        )
    if found.file.day:
        text, meant = found.file.day
        notes.append(
            (
                "todo",
                _(
                    "Check the dates: the file does not tell whether day, month or year comes"
                    " first. “%(text)s” was read as %(day)s.",
                    text=text[:40],
                    day=day(meant),
                ),
            )
        )
    if found.file.amount:
        text, value = found.file.amount
        notes.append(
            (
                "todo",
                _(
                    "Check the amounts: the file does not tell what are thousands and what"
                    " decimals. “%(text)s” was read as %(amount)s.",
                    text=text[:40],
                    amount=amount(value, connection.currency),
                ),
            )
        )
    if found.file.guessed:
        notes.append(
            (
                "info",
                _(
                    "Are the letters with accents right? The file was read as %(encoding)s.",
                    encoding=found.file.guessed,
                ),
            )
        )
    if found.file.garbled:
        notes.append(
            (
                "todo",
                _(
                    "Letters in this file were spoiled before it came here, as in “%(word)s”."
                    " Better upload the file as it comes from your bank, without saving it again.",
                    word=found.file.garbled,
                ),
            )
        )
    if found.file.loose:
        notes.append(
            (
                "info",
                _(
                    "The last line is not ended. Check that the file is complete: its last"
                    " transaction should be the last one of the period."
                ),
            )
        )
    return [Notice(tone=tone, text=text) for tone, text in notes]


def lacking(found: Look) -> str:
    return ngettext(
        "On these days %(n)s transaction is in the books that this file does not have",
        "On these days %(n)s transactions are in the books that this file does not have",
        len(found.lacks),
    )


def days(found: Look) -> tuple[str, list[str]]:
    """Whether the file closes what is missing; and what it leaves."""
    left = [stretch(each) for each in found.left]
    if not found.missing:
        return _("No days are missing here; the file changes nothing about that."), []
    if not left:
        return _("With this file no day is missing any more."), []
    if found.left == found.missing:
        return _("The missing days are not in this file. Still missing:"), left
    return _("This file closes a part of what is missing. Still missing afterwards:"), left
