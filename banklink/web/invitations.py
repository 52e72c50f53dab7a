"""The verbs of a row that ask somebody else: repair, invite, request, and what can be done about an
invitation that is out. They answer with the row, like every verb."""

from __future__ import annotations

from flask import Blueprint, request, url_for

from banklink.actions import ask_renewal
from banklink.actions import invite as inviting
from banklink.actions.invite import Sent, propose, purpose_of
from banklink.actions.services import Missing, Refused, Stale
from banklink.core.invitations import Purpose
from banklink.web import asking
from banklink.web.connections import Answer, again, answer, one_record, press, seen_version
from banklink.web.context import at, house, keeps_all, person, reader
from banklink.web.i18n import _
from banklink.web.rows import LETTER
from banklink.web.viewmodel import Button, Notice

blueprint = Blueprint("asking", __name__, url_prefix="/connections/<int:connection_id>")


@blueprint.post("/repair")
def repair(connection_id: int) -> Answer:
    return _ask(connection_id)


@blueprint.post("/invite")
def invite(connection_id: int) -> Answer:
    return _ask(connection_id)


@blueprint.post("/request", endpoint="request")
def request_(connection_id: int) -> Answer:
    """One press where the address is known; else what the letter's form sends."""
    if "email" in request.form:
        return _ask(connection_id)

    def do() -> Notice:
        letter = ask_renewal.request(
            house().services,
            connection_id,
            at(),
            version=seen_version(),
            actor=person().name,
            actor_id=person().id,
        )
        return _posted(letter.recipient.email)

    return press(connection_id, do)


def _ask(connection_id: int) -> Answer:
    """`direct` is the address of somebody who is known, for whom nothing has to be filled in;
    without it comes what the letter's form sends."""
    form = request.form
    typed = {name: form.get(name, "") for name in asking.FIELDS}
    chosen = [int(each) for each in form.getlist("accounts") if each.isdecimal() and len(each) < 10]
    with house().services.store.read() as session:
        found = one_record(session, connection_id)
        proposal = propose(house().services, session, found, at())
    if "quick" in form:  # an address alone: the person is called by it until they say their name
        typed |= {"name": typed["email"].strip(), "arm": "1"}
    direct = next((each for each in proposal.recipients if each.email == form.get("direct")), None)
    if direct is not None:
        typed |= {"email": direct.email, "name": direct.name, "locale": direct.locale, "arm": "1"}
    share = found.concerned_share if proposal.purpose is Purpose.RENEW else None
    whole = direct is not None or "quick" in form
    accounts = chosen if proposal.others and not whole else [connection_id]
    try:
        sent = inviting.send(
            house().services,
            found.connection.administration_id,
            at(),
            purpose=purpose_of(found),
            email=typed["email"],
            name=typed["name"],
            locale=typed["locale"] or house().settings.locale,
            connections=accounts,
            actor=person().name,
            actor_id=person().id,
            message=typed["message"],
            by_mail=typed["how"] != "link",
            arm=bool(typed["arm"]),
            row=(connection_id, seen_version()),
            bank=inviting.bank_of(found, share) if share is not None else None,
            holder_id=share.holder.id if share is not None else None,
        )
    except (Refused, Stale) as error:
        return _letter_again(connection_id, typed, chosen, error)
    return answer(connection_id, _sent(sent))


def _letter_again(
    connection_id: int, typed: dict[str, str], chosen: list[int], error: Refused | Stale
) -> Answer:
    with house().services.store.read() as session:
        found = one_record(session, connection_id)
        form = asking.letter(
            session,
            found,
            propose(house().services, session, found, at()),
            reader(),
            typed=typed,
            accounts=chosen or [connection_id],
            error=error if isinstance(error, Refused) else None,
            stale_by=error if isinstance(error, Stale) else None,
        )
        return again(session, found, form, LETTER)


def _sent(sent: Sent) -> Notice:
    """What happened, and the link where a person has to bring it."""
    if not sent.mailed:
        return Notice(
            tone="ok",
            text=_(
                "Hand this link to %(name)s. It is shown only now; a new one can be made any time.",
                name=sent.invitation.name,
            ),
            copy=sent.url,
        )
    return _posted(sent.invitation.email)


def _posted(email: str) -> Notice:
    """Where the mail is: on its way, or waiting as long as no mail server is set up."""
    if house().services.office.sender is not None:
        said = _("The mail to %(email)s is on its way; the row follows by itself.", email=email)
        return Notice(tone="ok", text=said)
    label = _("To the outbox")
    return Notice(
        tone="ok",
        text=_("The mail to %(email)s waits in the outbox: no mail server is set up.", email=email),
        button=Button(
            action="outbox", label=label, name=label, method="get", url=url_for("outbox.page")
        ),
    )


# -- an invitation that is out ------------------------------------------------------------------


def _number(connection_id: int) -> int:
    """The invitation that was seen in this row, as long as it still stands there."""
    with house().services.store.read() as session:
        asked = one_record(session, connection_id).asked
    if asked is None or str(asked.invitation.id) != request.form.get("invitation"):
        raise Refused("invitation_over")
    if not keeps_all(asked.invitation.id):
        raise Refused("invitation_shared")
    return asked.invitation.id


@blueprint.post("/invitation/again", endpoint="again")
def send_again(connection_id: int) -> Answer:
    def do() -> Notice:
        try:
            sent = inviting.send_again(
                house().services,
                _number(connection_id),
                at(),
                actor=person().name,
                actor_id=person().id,
            )
        except Missing:
            raise Refused("invitation_over") from None
        return _posted(sent.invitation.email)

    return press(connection_id, do)


@blueprint.post("/invitation/withdraw")
def withdraw(connection_id: int) -> Answer:
    def do() -> Notice:
        inviting.withdraw(house().services, _number(connection_id), at(), actor=person().name)
        return Notice(tone="ok", text=_("Withdrawn; its links let nobody in any more."))

    return press(connection_id, do)


@blueprint.post("/invitation/link")
def link(connection_id: int) -> Answer:
    def do() -> Notice:
        url = inviting.link_to(house().services, _number(connection_id), at(), actor=person().name)
        return Notice(
            tone="ok",
            text=_("This link leads to the same invitation. It is shown only now."),
            copy=url,
        )

    return press(connection_id, do)
