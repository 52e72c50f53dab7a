"""Asking the account holder from a row: what is the matter, the letter, and how an invitation
stands (domain.md B2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flask import url_for
from sqlalchemy.orm import Session

from banklink.actions.activate import terms
from banklink.actions.invite import Proposal, Recipient
from banklink.actions.services import Refused, Stale
from banklink.core.statuses import ACTION_LABELS, Action
from banklink.core.texts import N_
from banklink.store.facts import Record
from banklink.web.context import house
from banklink.web.i18n import _, day, iban
from banklink.web.panels import Typed, cancel, refusal, stale
from banklink.web.rows import LETTER, Reader, row_url, row_view, spoken_title
from banklink.web.viewmodel import Button, Choice, Explained, Field, Form

_MATTER: dict[str, str] = {
    "r2": N_(
        "%(app)s may no longer look into %(holder)s’s accounts in %(provider)s, so nothing of"
        " %(iban)s arrives."
    ),
    "r3": N_(
        "%(app)s does not see account %(iban)s at %(holder)s in %(provider)s. Mostly it was not"
        " ticked when permission was given."
    ),
    "r8": N_("Nobody has given permission for account %(iban)s yet."),
    "r9": N_(
        "%(app)s does not see account %(iban)s in %(provider)s. Mostly it was not ticked when"
        " permission was given."
    ),
}
_RENEWAL = N_("%(holder)s confirms once more at the bank that %(iban)s may be read.")
_MEND = N_(
    "The account holder gives permission by the link in a mail; that takes about 2 minutes."
    " Transactions that were fetched stay."
)
_GOES_ON = N_("Once %(holder)s has done it, the link works again by itself, without you.")
_OR_ELSE = N_("If somebody else does it, you go on through them with one press in the row.")
_SWITCHES_ON = N_("After that it is switched on by itself, from %(date)s.")
_WAITS = N_("After that the row waits for you to switch it on.")


def explained(session: Session, record: Record, proposal: Proposal, reader: Reader) -> Explained:
    spoken = spoken_title(record)
    names = _names(record, reader)
    sentences = [_(_MATTER.get(record.diagnosis.row.key, _RENEWAL), **names), _(_MEND)]
    sentences.append(_afterwards(session, record, proposal, reader))
    action = action_of(record)

    def named(label: str) -> str:
        return _("%(action)s: %(title)s", action=label, title=spoken)

    myself = _(ACTION_LABELS[Action.GRANT])
    onward = _("Next")
    word = N_("Repair – %(title)s") if action is Action.REPAIR else N_("Invite – %(title)s")
    return Explained(
        title=_(word, title=row_view(record, reader).title),
        step=_("Step 1 of 2 – what is the matter?"),
        sentences=tuple(sentences),
        sends=tuple(
            _direct(record, action, each, named) for each in proposal.recipients if each.email
        ),
        to_url=None
        if any(each.email for each in proposal.recipients)
        else url_for(f"asking.{action.value}", connection_id=record.connection.id),
        version=record.connection.version,
        onward=Button(
            action="onward",
            label=onward,
            name=named(onward),
            method="get",
            url=row_url(record, LETTER),
            fragment=url_for("connections.row", connection_id=record.connection.id, open=LETTER),
        ),
        myself=Button(
            action=Action.GRANT.value,
            label=myself,
            # The row's menu has the same button, of another name.
            name=f"{myself} – {_(word, title=spoken)}",
            method="post",
            url=url_for("connections.grant", connection_id=record.connection.id),
            leaves=True,
            fields=(("version", str(record.connection.version)),),
        ),
        cancel=cancel(record, spoken),
    )


def action_of(record: Record) -> Action:
    """Under which word this row asks."""
    if record.diagnosis.renewable:
        return Action.REQUEST
    return Action.INVITE if record.diagnosis.row.primary is Action.INVITE else Action.REPAIR


def _names(record: Record, reader: Reader) -> dict[str, str]:
    holder = record.facts.holders.get(record.diagnosis.concerns or "")
    return {
        "app": reader.app,
        "provider": reader.provider,
        "holder": (holder.name if holder else None) or _("the account holder"),
        "iban": iban(record.connection.iban),
    }


def _afterwards(session: Session, record: Record, proposal: Proposal, reader: Reader) -> str:
    if record.facts.switch == "on":
        said = _(_GOES_ON, holder=_names(record, reader)["holder"])
        own = record.facts.selected
        others = any(str(each.holder_id) != own for each in proposal.recipients)
        return f"{said} {_(_OR_ELSE)}" if others else said
    if not proposal.arms:
        return _(_WAITS)
    start = record.connection.armed_start or terms(session, record, None, reader.at).proposed
    return _(_SWITCHES_ON, date=day(start))


def _direct(record: Record, action: Action, to: Recipient, named: object) -> Button:
    label = _("Send at once to %(email)s", email=to.email)
    assert callable(named)
    return Button(
        action="direct",
        label=label,
        name=named(label),
        method="post",
        url=url_for(f"asking.{action.value}", connection_id=record.connection.id),
        fields=(("version", str(record.connection.version)), ("direct", to.email)),
    )


# -- the letter ---------------------------------------------------------------------------------

FIELDS = ("email", "name", "locale", "message", "arm", "how")
"""What the letter's form sends, beside `accounts`, which comes several times."""


def letter(
    session: Session,
    record: Record,
    proposal: Proposal,
    reader: Reader,
    *,
    typed: Typed | None = None,
    accounts: list[int] | None = None,
    error: Refused | None = None,
    stale_by: Stale | None = None,
) -> Form:
    """The invitation, to be looked at and changed. `typed` and `accounts` are what was sent when it
    could not be used."""
    first = next(iter(proposal.recipients), Recipient("", "", house().settings.locale))
    given = typed or {}
    at_field = {error.field: refusal(error, reader)} if error and error.field else {}
    general = None
    if stale_by is not None:
        general = stale(stale_by)
    elif error is not None and error.field not in (
        "email",
        "name",
        "locale",
        "accounts",
        "message",
    ):
        general = refusal(error, reader)
    which = _which(record, proposal, reader, accounts, at_field.get("accounts"))
    fields = addressed(given, first, at_field, which)
    if proposal.arms and not record.connection.armed:
        start = terms(session, record, None, reader.at).proposed
        fields.append(
            Field(
                name="arm",
                label=_("Switch on by itself afterwards, from %(date)s", date=day(start)),
                type="checkbox",
                value="1" if typed is None or given.get("arm") else "",
            )
        )
    action = action_of(record)
    back = _("Back")
    connection = record.connection
    return Form(
        action=action.value,
        title=_("Invitation – %(title)s", title=row_view(record, reader).title),
        intro=_(
            "Step 2 of 2. The link is good for 14 days. It only starts a step that the account"
            " holder confirms in %(provider)s or at the bank.",
            provider=reader.provider,
        ),
        url=url_for(f"asking.{action.value}", connection_id=connection.id),
        version=connection.version,
        fields=tuple(fields),
        submit=_("Send invitation"),
        error=general,
        cancel=cancel(record, spoken_title(record)),
        back=Button(
            action="back",
            label=back,
            name=_("%(action)s: %(title)s", action=back, title=spoken_title(record)),
            method="get",
            url=row_url(record, Action.REPAIR.value),
            fragment=url_for(
                "connections.row", connection_id=connection.id, open=Action.REPAIR.value
            ),
        )
        if action is not Action.REQUEST
        else None,
        also=Button(
            action="link",
            label=_("Make a link only"),
            name=_("Make a link only"),
            method="post",
            url="",
            fields=(("how", "link"),),
        ),
    )


def addressed(
    given: Mapping[str, str], first: Recipient, at_field: Mapping[str, str], which: Iterable[Field]
) -> list[Field]:
    """Who is asked, in what language, for `which` accounts, in what words: what was typed, else
    what is known of them. `at_field`: what is wrong, by the name of the field."""
    locale = given.get("locale") or first.locale
    return [
        Field(
            name="email",
            label=_("To (e-mail address)"),
            type="email",
            value=given.get("email", first.email),
            width="long",
            error=at_field.get("email"),
            required=True,
        ),
        Field(
            name="name",
            label=_("Name"),
            type="text",
            value=given.get("name", first.name),
            width="long",
            error=at_field.get("name"),
            required=True,
        ),
        Field(
            name="locale",
            label=_("Language of the mail"),
            type="radio",
            error=at_field.get("locale"),
            choices=tuple(
                Choice(value=code, label=word, checked=code == locale)
                for code, word in (("nl", "Nederlands"), ("en", "English"))
            ),
        ),
        *which,
        Field(
            name="message",
            label=_("Your own words (may stay empty)"),
            type="textarea",
            value=given.get("message", ""),
            hint=_("Stands in the mail as from you, above the explanation and the button."),
            error=at_field.get("message"),
        ),
    ]


def _which(
    record: Record,
    proposal: Proposal,
    reader: Reader,
    accounts: list[int] | None,
    error: str | None,
) -> list[Field]:
    """The accounts to ask for, where there is something to choose."""
    if not proposal.others and error is None:
        return []
    chosen = {record.connection.id} if accounts is None else set(accounts)
    return [
        Field(
            name="accounts",
            label=_("Accounts"),
            type="checkbox",
            error=error,
            choices=tuple(
                Choice(
                    value=str(each.connection.id),
                    label=iban(each.connection.iban),
                    detail=row_view(each, reader).title,
                    checked=each.connection.id in chosen,
                )
                for each in (record, *proposal.others)
            ),
        )
    ]
