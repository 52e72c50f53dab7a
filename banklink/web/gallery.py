"""Every state a row can show, drawn by the page's own template from the examples."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from flask import Blueprint, render_template

from banklink.core.calendar import Moment, end_of_validity
from banklink.core.diagnose import diagnose
from banklink.core.facts import ConnectionFacts, Switch, Trouble
from banklink.core.statuses import Urgency
from banklink.core.texts import N_
from banklink.examples import EXAMPLES, HOLDERS, REVOKED_GRANT, Example, Side
from banklink.store.facts import Asked, Record, Share, holder_facts
from banklink.store.models import (
    Account,
    Attempt,
    Connection,
    Grant,
    Holder,
    Invitation,
    Journal,
)
from banklink.web.context import at, reader
from banklink.web.i18n import _
from banklink.web.rows import row_view

blueprint = Blueprint("gallery", __name__)

_GROUPS: dict[Urgency, str] = {
    Urgency.BROKEN: N_("Broken"),
    Urgency.TODO: N_("To do"),
    Urgency.SOON: N_("Expires soon"),
    Urgency.WELL: N_("Active"),
    Urgency.OFF: N_("Off or not linked"),
}


@blueprint.get("/gallery")
def page() -> str:
    views = [
        (record.diagnosis.urgency, row_view(record, reader()))
        for record in (
            example_record(example, at(), number)
            for number, example in enumerate(EXAMPLES, start=1)
        )
    ]
    groups = [
        (_(heading), [view for found, view in views if found is urgency])
        for urgency, heading in _GROUPS.items()
    ]
    return render_template("pages/gallery.html", groups=groups)


def example_record(example: Example, moment: Moment, number: int) -> Record:
    """The example as it would be read from the database, without one."""

    def ago(days: float) -> datetime:
        return moment.now - timedelta(days=days)

    names = list(HOLDERS)
    selected = names.index(example.selected) + 1 if example.selected else None
    switch = Switch.NEVER
    if example.on is not None:
        switch = Switch.OFF if example.off is not None else Switch.ON
    connection = Connection(
        id=number,
        administration_id=0,
        iban=example.iban,
        currency="EUR",
        version=1,
        switch=switch.value,
        selected_id=selected,
        start_date=ago(example.on).date() if example.on is not None else None,
        switched_at=ago(example.off or example.on or 0) if example.on is not None else None,
        switched_by="Sanne Jansen",
        last_success=moment.now - timedelta(hours=example.fetched_hours or 0),
        last_new=14,
        armed=example.armed,
        armed_start=moment.today.replace(day=1) if example.armed else None,
    )
    shares = {
        str(names.index(side.holder) + 1): _share(example, side, names.index(side.holder) + 1, ago)
        for side in example.sides
    }
    journal = (
        Journal(id=number, code=example.journal[0], name=example.journal[1], iban=example.iban)
        if example.journal
        else None
    )
    attempt = (
        Attempt(id=number, created_at=moment.real, ended_at=None, outcome=None, params={})
        if example.departed
        else None
    )
    hours = example.outage_hours
    outage = moment.now - timedelta(hours=hours) if hours else None
    facts = ConnectionFacts(
        journal=journal is not None,
        switch=switch,
        selected=str(selected) if selected else None,
        holders={key: holder_facts(share, moment.now) for key, share in shares.items()},
        now=moment.now,
        switched_at=connection.switched_at,
        last_success=connection.last_success if switch is Switch.ON else None,
        outage_since=None if example.trouble else outage,
        trouble_since=outage if example.trouble else None,
        trouble=Trouble(example.trouble or Trouble.OTHER),
        gap=_gap(example, moment),
        limited_until=moment.now + timedelta(hours=example.limited_hours)
        if example.limited_hours
        else None,
        unbalanced=(moment.today - timedelta(days=6), moment.today - timedelta(days=5))
        if example.unbalanced
        else None,
        unbalanced_by=example.unbalanced,
        invited=example.invited,
        renewal_running=example.departed,
    )
    asked = Asked(_invitation(number, moment), None) if example.invited else None
    return Record(connection, journal, shares, attempt, asked, facts, diagnose(facts))


def _invitation(number: int, moment: Moment) -> Invitation:
    name, email = HOLDERS["jan"]
    return Invitation(
        id=number,
        administration_id=0,
        purpose="connect",
        name=name,
        email=email,
        created_at=moment.now - timedelta(days=3),
        expires_at=moment.now + timedelta(days=11),
    )


def _gap(example: Example, moment: Moment) -> tuple[date, date] | None:
    if example.fetched_through is None:
        return None
    signature = example.sides[0].signature
    assert signature is not None and signature.history is not None
    first = moment.today - timedelta(days=example.fetched_through - 1)
    last = moment.today - timedelta(days=signature.since + signature.history + 1)
    return first, last


def _share(example: Example, side: Side, key: int, ago: object) -> Share:
    assert callable(ago)
    signature = side.signature
    name, email = HOLDERS[side.holder]
    revoked = REVOKED_GRANT.get(side.holder)
    until = ago(signature.since - signature.valid) if signature else None
    return Share(
        Holder(id=key, provider="ponto", subject=side.holder, name=name, email=email),
        Grant(
            id=key,
            state="active" if revoked is None else "revoked",
            granted_at=ago(200),
            revoked_at=None if revoked is None else ago(revoked),
        ),
        Account(
            iban=example.iban,
            currency="EUR",
            name=example.account,
            bank=example.bank,
            listed=side.shared,
            listed_at=ago(200),
            unlisted_at=None if side.shared else ago(5),
            attempted_at=None if side.attempted is None else ago(side.attempted),
            authorised_at=ago(signature.since) if signature else None,
            valid_until=until,
            expires_at=end_of_validity(until) if until else None,
            ended="revoked" if signature and signature.revoked else None,
            ended_at=ago(signature.revoked) if signature and signature.revoked else None,
        ),
    )
