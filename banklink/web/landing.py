"""Where an invitation leads: who asks for what, and two buttons of equal weight. No account is
needed; the link alone lets nobody in (actions/answer.py). Looking changes nothing, pressing
does."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from babel.lists import format_list
from flask import Blueprint, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from banklink.actions import answer as answering
from banklink.actions import come_back
from banklink.actions.answer import Request
from banklink.actions.invite import is_open
from banklink.actions.services import Missing, Refused
from banklink.core.invitations import Purpose, State
from banklink.core.texts import N_
from banklink.store.models import Attempt
from banklink.translations import LOCALES
from banklink.web import consent_words, signing
from banklink.web.consent_words import ConsentText, masked
from banklink.web.context import at, browser, house
from banklink.web.i18n import _, day_of, locale, speak
from banklink.web.limits import Limit
from banklink.web.viewmodel import Choice, Link

blueprint = Blueprint("landing", __name__)

Answer = Response | str | tuple[str, int] | tuple[str, int, dict[str, str]]

LIMIT = Limit(120, timedelta(minutes=1))

_OVER: dict[str, tuple[str, str]] = {
    "unknown": (
        N_("This link does not work"),
        N_(
            "Perhaps a part of it got lost. Open it once more from the mail, whole, or ask the one"
            " who sent it for a new one. Nothing was changed."
        ),
    ),
    State.ACCEPTED: (
        N_("This has been done already"),
        N_("You do not have to do anything any more and may close this window."),
    ),
    State.DECLINED: (
        N_("You did not allow this"),
        N_("Nothing is shared by it. %(sender)s sees that. Did you change your mind?"),
    ),
    "not_renewed": (
        N_("You do not renew it now"),
        N_(
            "What still holds goes on until it ends; nothing is asked of your bank. %(sender)s sees"
            " that. Did you change your mind?"
        ),
    ),
    State.WITHDRAWN: (
        N_("This invitation was withdrawn"),
        N_(
            "%(sender)s took it back; nothing is shared by it. Do you think that is a mistake? Ask"
            " %(sender)s."
        ),
    ),
    State.EXPIRED: (
        N_("This invitation has expired"),
        N_("It was good until %(date)s. Nothing was changed. You can have a new one sent."),
    ),
}


@blueprint.before_request
def _stranger() -> Answer | None:
    """Whoever is signed in here as well: this page is about who follows the link."""
    g.person, g.bare = None, True
    wait = LIMIT.wait(signing.address(), at().real)
    if wait is None:
        return None
    seconds = max(1, round(wait.total_seconds()))
    page, _status = _said(
        "todo",
        _("That went too fast"),
        _("Very many pages were asked for from here. Wait a minute and try again."),
        429,
    )
    return page, 429, {"Retry-After": str(seconds)}


@blueprint.get("/invitation/<token>")
def page(token: str) -> Answer:
    try:
        found = answering.look(house().services, token, at(), browser=session.get("browser"))
    except Missing:
        return _over("unknown", None, 404)
    _speak(found)
    return _page(token, found)


def _speak(found: Request) -> None:
    """In the language the mail was in, until the reader chooses another."""
    if session.get("locale") not in LOCALES:
        speak(found.invitation.locale)


def _page(token: str, found: Request, error: str | None = None, status: int = 200) -> Answer:
    attempt = found.attempt
    if attempt is not None and is_open(found.invitation, at()):
        waits = come_back.can_finish(attempt, session.get("browser"))
        if waits:
            return _finish_page(token, found)
    if found.state not in (State.SENT, State.OPENED) or found.mended:
        over = found.state if found.state not in (State.SENT, State.OPENED) else State.ACCEPTED
        return _over(over, found, 410, token=token)
    rows = _choices(found)
    several = len(rows) > 1 and found.purpose is not Purpose.RENEW
    typed = request.form.getlist("account")
    return (
        render_template(
            "invitation/page.html",
            consent=_consent(found, None),
            office=house().settings.office,
            phone=house().settings.office_phone,
            message=found.invitation.message,
            sender=found.invitation.created_by,
            choices=tuple(
                Choice(
                    value=str(number),
                    label=masked(account),
                    detail=name,
                    checked=str(number) in typed,
                )
                for number, account, name in rows
            )
            if several
            else (),
            allow=_allow_words(found),
            allow_url=url_for("landing.allow", token=token),
            decline_url=url_for("landing.decline", token=token),
            until=day_of(found.invitation.expires_at - timedelta(seconds=1)),
            error=error,
        ),
        status,
    )


def _choices(found: Request) -> list[tuple[int, str, str]]:
    """Number, IBAN and name in the books of every account that is asked for, each IBAN once."""
    seen: dict[str, tuple[int, str, str]] = {}
    for row in found.rows:
        name = row.journal.name if row.journal is not None else ""
        seen.setdefault(row.connection.iban, (row.connection.id, row.connection.iban, name))
    return list(seen.values())


def _consent(found: Request, chosen: list[int] | None) -> ConsentText:
    return consent_words.consent_text(
        found.purpose,
        asker=found.invitation.created_by,
        office=house().settings.office,
        administrations=list(found.administrations),
        accounts=[
            account
            for number, account, _name in _choices(found)
            if chosen is None or number in chosen
        ],
    )


def _bank(found: Request) -> str | None:
    """The one to go to, where it is known and one."""
    if found.invitation.bank:
        return found.invitation.bank
    banks = {
        share.account.bank
        for row in found.rows
        for share in row.shares.values()
        if share.account is not None and share.account.bank
    }
    return banks.pop() if len(banks) == 1 else None


def _allow_words(found: Request) -> str:
    bank = _bank(found)
    if found.purpose is Purpose.RENEW:
        return _("Go on to %(bank)s", bank=bank or _("your bank"))
    where = bank or house().settings.provider_name
    return _("Allow and go on to %(bank)s", bank=where)


@blueprint.post("/invitation/<token>/allow")
def allow(token: str) -> Answer:
    try:
        found = answering.look(house().services, token, at())
    except Missing:
        return _over("unknown", None, 404)
    _speak(found)
    g.stay = url_for("landing.page", token=token)
    several = len(_choices(found)) > 1 and found.purpose is not Purpose.RENEW
    chosen = (
        [
            int(each)
            for each in request.form.getlist("account")
            if each.isdecimal() and len(each) < 10
        ]
        if several
        else None
    )
    consent = _consent(found, chosen)
    try:
        target = answering.allow(
            house().services,
            token,
            at(),
            browser=browser(),
            address=signing.address(),
            accounts=chosen,
            consent=consent_words.kept(consent),
        )
    except Refused as error:
        return _refused(token, found, error)
    _remember(found, token)
    bank = _bank(found)
    renewing = found.purpose is Purpose.RENEW
    provider = house().settings.provider_name
    return render_template(
        "pages/handover.html",
        target=target,
        host=(bank or _("your bank")) if renewing else provider,
        sentence=_("You confirm at your own bank and then come back here.")
        if renewing
        else _("You sign in to %(provider)s and then come back here.", provider=provider),
        hostname=urlsplit(target).hostname,
        consent=consent,
    )


def _remember(found: Request, token: str) -> None:
    """The way back to the invitation, for this browser alone; of the last few only."""
    links = dict(session.get("links") or {})
    links.pop(str(found.invitation.id), None)
    links[str(found.invitation.id)] = token
    session["links"] = dict(list(links.items())[-4:])


def _refused(token: str, found: Request, error: Refused) -> Answer:
    if error.code == "closed":
        return _page(token, answering.look(house().services, token, at()))
    if error.code == "nothing_chosen":
        sentence = _("Choose at least one account, or do not allow it.")
        return _page(token, found, sentence, 422)
    if error.code == "too_often":
        sentence = _("This was tried very often just now. Wait a few minutes and try again.")
        return _page(token, found, sentence, 429)
    sentence = _(
        "%(provider)s does not answer right now; nothing was changed. Try again in a few minutes.",
        provider=house().settings.provider_name,
    )
    if error.code in ("nothing_shared", "access_gone"):
        sentence = _(
            "This account is no longer shared by you, so there is nothing to renew. Ask %(sender)s"
            " for a new invitation.",
            sender=_sender(found),
        )
    return _page(token, found, sentence, 409)


@blueprint.post("/invitation/<token>/decline")
def decline(token: str) -> Answer:
    return _press(token, lambda: answering.decline(house().services, token, at()))


@blueprint.post("/invitation/<token>/reopen")
def reopen(token: str) -> Answer:
    """After a no, as long as the invitation is good."""
    return _press(token, lambda: answering.reopen(house().services, token, at()))


@blueprint.post("/invitation/<token>/ask")
def ask(token: str) -> Answer:
    return _press(token, lambda: answering.ask_again(house().services, token, at()))


@blueprint.post("/invitation/<token>/finish")
def finish(token: str) -> Answer:
    def do() -> None:
        attempt = answering.finish(house().services, token, at(), browser=browser())
        session["returned"] = attempt.id

    try:
        do()
    except Missing:
        return redirect(url_for("landing.page", token=token), 303)
    return redirect(url_for("landing.thanks"), 303)


def _press(token: str, do: object) -> Answer:
    assert callable(do)
    try:
        do()
    except Missing:
        return _over("unknown", None, 404)
    except Refused:
        pass  # the page says how it stands
    return redirect(url_for("landing.page", token=token), 303)


# -- back again ---------------------------------------------------------------------------------

_RETURNED: dict[str, tuple[str, str, str]] = {
    "done": (
        "ok",
        N_("Done, thank you"),
        N_("You may close this window. %(office)s sees it by itself."),
    ),
    "granted": (
        "ok",
        N_("Permission received, thank you"),
        N_(
            "The step at your bank is still to come. You can do it now, or later by the link in the"
            " mail."
        ),
    ),
    "cancelled": (
        "info",
        N_("Broken off; nothing was changed"),
        N_("You can start again as long as the invitation is good."),
    ),
    "login_failed": (
        "error",
        N_("Signing in at the bank did not work"),
        N_("Nothing was changed. Try again, with the card of this account."),
    ),
    "timed_out": (
        "error",
        N_("It took too long at the bank"),
        N_("Nothing was changed. Try again."),
    ),
    "bank_outage": (
        "error",
        N_("The bank has an outage"),
        N_("Nothing was changed. Try again later; the link stays good."),
    ),
    "somebody_else": (
        "error",
        N_("That is not your account"),
        N_(
            "The account that is asked for is not among those you shared, so nothing was kept and"
            " nothing of yours is read. Forward the mail to the account holder, or try again."
        ),
    ),
    "other_account": (
        "error",
        N_("That was another account"),
        N_("You connected %(others)s, but %(iban)s was wanted. Try again with the other card."),
    ),
    "not_shared": (
        "error",
        N_("The account is missing"),
        N_("You gave permission, but %(iban)s was not ticked. Try again and tick it."),
    ),
    "nothing_changed": (
        "info",
        N_("The bank reported nothing new"),
        N_("Nothing was changed. You can try again."),
    ),
    "unproven": (
        "error",
        N_("Please once more, in one browser"),
        N_(
            "The answer arrived in another browser than the one you started in, and without a step"
            " at a bank. To be sure that it was you, it was not used. Open the link again and stay"
            " in one browser."
        ),
    ),
    "unfinished": (
        "error",
        N_("Almost done"),
        N_(
            "%(provider)s did not answer in time; what you allowed is kept. Press Finish in a"
            " minute."
        ),
    ),
    "failed": ("error", N_("It did not work"), N_("Nothing was changed. Try again.")),
}


@blueprint.get("/returned/thanks")
def thanks() -> Answer:
    """How it ended, in the browser that left; says nothing to any other."""
    number = session.get("returned")
    with house().services.store.read() as session_:
        attempt = session_.get(Attempt, number) if isinstance(number, int) else None
    token = (session.get("links") or {}).get(str(attempt.invitation_id)) if attempt else None
    try:
        found = answering.look(house().services, token or "", at(), browser=session.get("browser"))
    except Missing:
        return _over("unknown", None, 404)
    _speak(found)
    if attempt is None or not come_back.started_in(attempt, session.get("browser")):
        return redirect(url_for("landing.page", token=token), 303)
    if attempt.outcome == "withdrawn" and found.state in (State.WITHDRAWN, State.DECLINED):
        return _over(found.state, found, 200, token=token)
    if come_back.can_finish(attempt, session.get("browser")):
        return _finish_page(str(token), found)
    outcome = attempt.outcome if attempt.outcome in _RETURNED else "failed"
    if attempt.outcome is None:
        return redirect(url_for("landing.page", token=token), 303)
    tone, title, text = _RETURNED[outcome]
    again = outcome not in ("done",) and found.state in (State.SENT, State.OPENED)
    return _said(
        tone,
        _(title),
        _(text, **_names(found, attempt)),
        more=(_safe(attempt),) if outcome == "done" else (),
        link=Link(label=_("Back to the invitation"), url=url_for("landing.page", token=token))
        if again
        else None,
    )


_NOT_USED: dict[str, str] = {
    "used": N_("This answer of the bank was used already."),
    "expired": N_("This took longer than an hour, so the answer of the bank was not used."),
    "issuer": N_("This answer does not come from the service you were sent to; it was not used."),
    "incomplete": N_("A part of the answer got lost on the way, so it was not used."),
}


def not_used(reason: str) -> tuple[str, int]:
    """What came back could not be used. The link in the mail starts anew."""
    g.person, g.bare = None, True
    return _said(
        "todo",
        _("That did not work yet"),
        _(_NOT_USED.get(reason, _NOT_USED["incomplete"])),
        400,
        more=(_("Open the link in the mail once more; it shows how things stand."),),
    )


def elsewhere(outcome: str) -> tuple[str, int]:
    """For the browser the answer arrived in, when that is another one (web/returned.py)."""
    g.person, g.bare = None, True
    text = (
        _(
            "You may close this window. Go back to the browser in which you started and press"
            " Finish."
        )
        if outcome == "elsewhere"
        else _("You may close this window. The browser in which you started says how it ended.")
    )
    title = _("Almost done") if outcome == "elsewhere" else _("Nothing to finish here")
    return _said("ok" if outcome == "elsewhere" else "info", title, text)


def _names(found: Request, attempt: Attempt) -> dict[str, str]:
    params = attempt.params or {}
    return {
        "office": house().settings.office,
        "provider": house().settings.provider_name,
        "iban": ", ".join(
            masked(str(each)) for each in params.get("missing") or [params.get("iban") or ""]
        ),
        "others": ", ".join(masked(str(each)) for each in params.get("others") or ()),
    }


def _safe(attempt: Attempt) -> str:
    until = (attempt.params or {}).get("until")
    if not until:
        return _(
            "You can withdraw your permission at any time in %(provider)s.", provider=_provider()
        )
    return _(
        "%(office)s may now read %(accounts)s. Your bank allows that until %(date)s; then you are"
        " asked again. You can withdraw your permission at any time in %(provider)s.",
        office=house().settings.office,
        accounts=format_list([masked(each) for each in _read_now(attempt)], locale=locale()),
        date=day_of(datetime.fromisoformat(until)),
        provider=_provider(),
    )


def _read_now(attempt: Attempt) -> list[str]:
    """The accounts the step was about, as far as it said."""
    params = attempt.params or {}
    return [str(each) for each in params.get("shared") or [params.get("iban") or ""]]


def _provider() -> str:
    return house().settings.provider_name


def _finish_page(token: str, found: Request) -> tuple[str, int]:
    return _said(
        "info",
        _("One more press"),
        _("The bank's answer has arrived. Press Finish, and it is done."),
        button=(_("Finish"), url_for("landing.finish", token=token)),
    )


def _sender(found: Request | None) -> str:
    return (found.invitation.created_by if found else None) or house().settings.office


def _over(
    what: str, found: Request | None, status: int, *, token: str | None = None
) -> tuple[str, int]:
    renewing = found is not None and found.purpose is Purpose.RENEW
    title, text = _OVER["not_renewed" if what == State.DECLINED and renewing else what]
    names = {
        "sender": _sender(found),
        "date": day_of(found.invitation.expires_at - timedelta(seconds=1)) if found else "",
    }
    button = None
    more: tuple[str, ...] = ()
    still = found is not None and at().now < found.invitation.expires_at
    if what == State.DECLINED and still and token is not None:
        button = (_("Open the invitation again"), url_for("landing.reopen", token=token))
    if what == State.EXPIRED and found is not None and token is not None:
        if found.invitation.asked_again_at is None:
            label = _("Ask %(sender)s for a new one", sender=names["sender"])
            button = (label, url_for("landing.ask", token=token))
        else:
            more = (
                _(
                    "%(sender)s knows that you would like a new one; it comes by mail.",
                    sender=names["sender"],
                ),
            )
    tone = "ok" if what == State.ACCEPTED else "todo"
    return _said(tone, _(title), _(text, **names), status, button=button, more=more)


def _said(
    tone: str,
    title: str,
    text: str,
    status: int = 200,
    *,
    more: tuple[str, ...] = (),
    link: Link | None = None,
    button: tuple[str, str] | None = None,
) -> tuple[str, int]:
    page = render_template(
        "invitation/said.html",
        tone=tone,
        title=title,
        text=text,
        more=more,
        link=link,
        button=button,
        office=house().settings.office,
        phone=house().settings.office_phone,
    )
    return page, status
