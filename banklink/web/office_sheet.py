"""The list over all administrations as a file: a line per connection, with the address that mends
it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from banklink.core.calendar import amsterdam_day
from banklink.core.facts import Authorisation, Switch
from banklink.core.statuses import OVERLAYS, Overlay, Status, Urgency
from banklink.statements.sheet import Cell, sheet
from banklink.store import office
from banklink.store.facts import Record, records
from banklink.store.office import OFF, SILENT, SOON, TODO, Choice
from banklink.web.context import at, house
from banklink.web.i18n import _
from banklink.web.rows import row_address, sort_key


def pieces(choice: Choice) -> Iterator[str]:
    """A piece per administration, each read by itself: no reading stays open while a slow line
    takes what was read."""
    head = (
        _("Administration"),
        _("Journal"),
        _("IBAN"),
        _("Currency"),
        _("Bank"),
        _("Status"),
        _("Account holder"),
        _("Valid until"),
        _("Days left"),
        _("Mend it here"),
    )
    with house().services.store.read() as session:
        chosen = office.chosen(session, choice)
    return sheet(head, (_lines(number, name, choice) for number, name in chosen))


def _lines(administration_id: int, name: str, choice: Choice) -> Iterator[tuple[Cell, ...]]:
    with house().services.store.read() as session:
        found = sorted(records(session, administration_id, at()), key=sort_key)
        wanted = [_line(name, each) for each in found if each.shown and _asked_for(each, choice)]
    return iter(wanted)


def _asked_for(each: Record, choice: Choice) -> bool:
    """Under a filter, or in a week, the connections it is about."""
    urgency = each.diagnosis.urgency
    if choice.filter == TODO and urgency not in (Urgency.BROKEN, Urgency.TODO):
        return False
    if choice.filter == SOON and urgency is not Urgency.SOON:
        return False
    if choice.filter == SILENT and not each.diagnosis.silent:
        return False
    if choice.filter == OFF and urgency is not Urgency.OFF:
        return False
    if choice.week is None:
        return True
    last = _last_day(each)
    week = choice.week, choice.week + timedelta(days=6)
    active = each.diagnosis.status is Status.ACTIVE
    return active and last is not None and week[0] <= last <= week[1]


def _line(administration: str, each: Record) -> tuple[Cell, ...]:
    connection, journal, key = each.connection, each.journal, _through(each)
    share, facts = each.shares.get(key), each.facts.holders.get(key)
    account = share.account if share and facts and facts.visible else None
    last = _last_day(each)
    left = (last - at().today).days if last else None
    soon = each.diagnosis.urgency is Urgency.SOON
    return (
        administration,
        f"{journal.code} {journal.name}" if journal else None,
        connection.iban,
        connection.currency,
        account.bank if account else None,
        _(OVERLAYS[Overlay.EXPIRING]) if soon else _(each.diagnosis.row.chip),
        facts.name if facts else None,
        last,
        left if left is not None and left >= 0 else None,
        house().services.office.origin + row_address(connection.administration_id, connection.id),
    )


def _through(each: Record) -> str:
    on = each.facts.switch is Switch.ON
    return (each.facts.selected if on else each.diagnosis.concerns) or ""


def _last_day(each: Record) -> date | None:
    facts = each.facts.holders.get(_through(each))
    if facts is None or not facts.visible or facts.valid_until is None:
        return None
    if facts.authorisation is Authorisation.REVOKED:
        return None
    return amsterdam_day(facts.valid_until)
