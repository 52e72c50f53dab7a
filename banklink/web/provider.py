"""The provider's settings: where its addresses are, as whom we speak to it, and does it work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from banklink.actions import provider_settings as actions
from banklink.actions.provider_settings import (
    ADDRESSES,
    REAL,
    Finding,
    Stored,
    certificate_until,
)
from banklink.actions.services import Refused, Stale
from banklink.actions.shelf import Shelf
from banklink.core.texts import N_
from banklink.store.vault import SealBroken
from banklink.web.context import at, house, person
from banklink.web.i18n import _, day_of, moment, ngettext
from banklink.web.said import said, say
from banklink.web.sections import settings_pages
from banklink.web.viewmodel import Button, Choice, Field, Form, Notice

blueprint = Blueprint("provider", __name__)

Answer = BaseResponse | str | tuple[str, int]

PROBLEMS: dict[str, str] = {
    "address_missing": N_("Fill in this address; the service's own documentation names it."),
    "address_not_https": N_("This must be an https address (http only for this machine)."),
    "client_id_missing": N_("Fill in the client id the service gave you."),
    "secret_missing": N_("Fill in the client secret the service gave you."),
    "secret_again": N_(
        "The token or API address is on another server now, and the stored secret is not sent to"
        " another server by itself. Type the client secret that belongs to this address."
    ),
    "certificate_missing": N_("A key needs its certificate. Paste that too."),
    "key_missing": N_("A certificate needs its private key. Paste that too."),
    "certificate_needed": N_(
        "Ponto answers nobody without a client certificate. Paste the one you got when you"
        " registered."
    ),
    "certificate_unreadable": N_(
        "This cannot be read as a certificate with its key. Paste both as PEM text, the key"
        " without a password."
    ),
    "certificate_mismatch": N_("The private key does not belong to this certificate."),
    "certificate_expired": N_("This certificate is no longer valid. Have a new one made."),
}

FINDINGS: dict[str, str] = {
    "works": N_("It works: all three addresses answer, and id and secret are accepted."),
    "name_not_found": N_(
        "%(where)s: this server cannot find the name. Check the spelling, and whether this server"
        " has internet."
    ),
    "preset_not_found": N_(
        "%(where)s: this server cannot find the name. The address is the known one, so see whether"
        " this server has internet."
    ),
    "refused": N_("%(where)s: the machine is there, but nothing answers. Check the port."),
    "timeout": N_("%(where)s: no answer within ten seconds. Try again, or check the address."),
    "untrusted": N_("%(where)s: the certificate of the service is not trusted here."),
    "tls": N_("%(where)s: no secure connection can be made. Is https right there?"),
    "certificate_refused": N_(
        "%(where)s: the service wants a client certificate, or another one than this."
    ),
    "unreachable": N_("%(where)s: the connection broke off. Try again in a few minutes."),
    "not_found": N_("%(where)s: there is nothing at this address (404). Check the whole address."),
    "outage": N_("%(where)s: the service says it is out of order. Try again later."),
    "busy": N_("%(where)s: the service asks to wait. Try again in a few minutes."),
    "invalid_client": N_("The service does not accept this client id with this secret."),
    "forbidden": N_(
        "%(where)s: there is a service, and it refuses us. The address seems right. See whether the"
        " client id, the secret and the certificate are of one registration, and whether that one"
        " has the rights it needs."
    ),
    "not_understood": N_("%(where)s: something else answers there. Check the address."),
}

_WHERE = {
    "authorize": N_("Authorisation address"),
    "token": N_("Token address"),
    "api": N_("API address"),
}
_LABELS = {
    "authorize_url": N_("Authorisation address"),
    "token_url": N_("Token address"),
    "api_url": N_("API address"),
}


@blueprint.get("/provider")
def page() -> Answer:
    return _page()


@blueprint.post("/provider")
def save() -> Answer:
    kept = _kept()
    typed = _typed()
    values = actions.complete(
        typed, kept, forget_certificate=bool(request.form.get("forget_certificate"))
    )
    if not _on_this_page():
        return _page(typed=typed), 409
    wrong = actions.problems(values, real=at().real, kept=kept)
    if wrong:
        return _page(typed=typed, wrong=wrong), 422
    if request.form.get("do") == "test":
        unsaved = kept is None or values != kept.values
        return _page(typed=typed, finding=actions.try_out(values), unsaved=unsaved)
    try:
        actions.save(
            house().services,
            values,
            at(),
            version=_version(),
            actor=person().name,
            confirmed="permissions" in request.form.getlist("confirmed"),
        )
    except Refused as error:
        return _page(typed=typed, ending=error.params.get("n"))
    except Stale as error:
        return _page(typed=typed, stale=error), 409
    say("ok", _("Saved. Test the connection to be sure."))
    return redirect(url_for("provider.page", **_from_start()), 303)


@blueprint.post("/provider/test")
def test() -> Answer:
    """What is fixed by the environment or the demo, tried as it stands."""
    return _page(finding=actions.try_as_it_stands(house().services))


def _on_this_page() -> bool:
    """Environment settings and the demo win over what is entered here."""
    return isinstance(house().services.providers, Shelf)


def _kept() -> Stored | None:
    """None also for what was sealed with keys that are gone: it has to be entered anew."""
    services = house().services
    with services.store.read() as session:
        try:
            return actions.stored(services, session)
        except SealBroken:
            return None


def _version() -> int:
    text = request.form.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _typed() -> dict[str, str]:
    typed = {name: request.form.get(name, "") for name in actions.FIELDS}
    if request.form.get("preset") == "real":
        typed.update(REAL)
    return typed


def _from_start() -> dict[str, Any]:
    return {"from": "start"} if request.values.get("from") == "start" else {}


def _page(
    *,
    typed: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
    finding: Finding | None = None,
    unsaved: bool = False,
    stale: Stale | None = None,
    ending: object = None,
) -> str:
    """`unsaved`: what was tested is not what is stored. `ending`: how many permissions end with
    what was typed, still to be confirmed."""
    kept = _kept()
    settings = house().settings
    notice = said()
    if finding is not None:
        notice = _told(finding, typed or {}, unsaved)
    elif notice is None and kept is None and actions.stored_version(house().services):
        notice = Notice(
            tone="error",
            text=_(
                "What was stored here cannot be opened with the keys in use now. Enter it again, or"
                " put the earlier key back."
            ),
        )
    fixed = None
    if not _on_this_page():
        fixed = (
            _(
                "The environment settings BANKLINK_PONTO_… say how to reach it; they win over"
                " this page."
            )
            if settings.ponto is not None
            else _("The demo uses the entrepreneur app that is built in; nothing is to be entered.")
        )
    return render_template(
        "provider/page.html",
        title=settings.provider_name,
        redirect_uri=settings.redirect_uri,
        fixed=fixed,
        test=Button(
            action="test",
            label=_("Test connection"),
            name=_("Test connection"),
            method="post",
            url=url_for("provider.test"),
        ),
        form=None if fixed else _form(kept, typed, wrong or {}, stale, ending),
        last_saved=_(
            "Last saved %(when)s by %(who)s.",
            when=moment(kept.updated_at),
            who=kept.updated_by or "–",
        )
        if kept and not fixed
        else None,
        pages=settings_pages(),
        notice=notice,
        back=url_for("start.page") if _from_start() else None,
    )


def _told(finding: Finding, typed: Mapping[str, str], unsaved: bool) -> Notice:
    """What was found, what a test cannot find, and whether it is kept: nobody should walk away from
    a green answer and lose what they typed."""
    address = f"{finding.where}_url"
    code, works = finding.code, finding.code == "works"
    if code == "name_not_found" and address in REAL and typed.get(address) == REAL[address]:
        code = "preset_not_found"  # there is no spelling to check
    parts = [_(FINDINGS[code], where=_(_WHERE[finding.where]) if finding.where else "")]
    if works:
        parts.append(_("Not tested: the issuer; that shows at the first permission."))
    if unsaved:
        parts.append(_("Not saved yet: press Save.") if works else _("Not saved yet."))
    return Notice(tone="ok" if works else "error", text=" ".join(parts))


def _form(
    kept: Stored | None,
    typed: Mapping[str, str] | None,
    wrong: Mapping[str, str],
    stale: Stale | None,
    ending: object,
) -> Form:
    shown = dict(typed) if typed is not None else _shown(kept)
    real = all(shown[name] == REAL[name] for name in ADDRESSES) or (kept is None and typed is None)
    return Form(
        action="save",
        title=_("How to reach it"),
        intro=_(
            "You get an id, a secret and a certificate when you register Banklink as an"
            " application at the service."
        ),
        url=url_for("provider.save"),
        version=actions.stored_version(house().services),
        fields=(_preset(real=real), *_addresses(shown, wrong, real), *_secrets(shown, wrong, kept)),
        submit=_("Save all the same") if ending else _("Save"),
        preview_text=_permissions_end(ending) if isinstance(ending, int) else None,
        also=Button(
            action="test",
            label=_("Test connection"),
            name=_("Test connection"),
            method="post",
            url="",
            fields=(("do", "test"),),
        ),
        error=_(
            "%(by)s saved other values meanwhile. What you typed is still here; check it and save"
            " again.",
            by=stale.by or _("Someone else"),
        )
        if stale
        else None,
        hidden=(
            *_from_start().items(),
            *((("confirmed", "permissions"),) if ending else ()),
        ),
    )


def _permissions_end(n: int) -> str:
    return ngettext(
        "Nothing is saved yet. The secret and the server are other ones, so this is another"
        " registration: the %(n)s permission an account holder gave at the earlier server ends,"
        " and is not sent to the new one. Its rows ask for a new permission. What was fetched is"
        " kept.",
        "Nothing is saved yet. The secret and the server are other ones, so this is another"
        " registration: the %(n)s permissions account holders gave at the earlier server end, and"
        " are not sent to the new one. Their rows ask for a new permission. What was fetched is"
        " kept.",
        n,
    )


def _shown(kept: Stored | None) -> dict[str, str]:
    """What may be shown again: no secret, no key."""
    if kept is None:
        return dict.fromkeys(actions.FIELDS, "")
    hidden = (*actions.SECRETS, "certificate")
    return {name: "" if name in hidden else value for name, value in kept.values.items()}


def _preset(*, real: bool) -> Field:
    return Field(
        name="preset",
        label=_("Service"),
        type="radio",
        choices=(
            Choice(
                value="real",
                label="Ponto Connect",
                detail=_("the addresses are known; a client certificate is needed"),
                checked=real,
            ),
            Choice(
                value="other",
                label=_("Other addresses"),
                detail=_(
                    "a service that speaks the same language, for instance one to practise with"
                ),
                checked=not real,
            ),
        ),
    )


def _addresses(shown: Mapping[str, str], wrong: Mapping[str, str], real: bool) -> tuple[Field, ...]:
    return tuple(
        Field(
            name=name,
            label=_(_LABELS[name]),
            type="url",
            value="" if real else shown[name],
            width="long",
            error=_(PROBLEMS[wrong[name]]) if name in wrong else None,
        )
        for name in ADDRESSES
    )


def _secrets(
    shown: Mapping[str, str], wrong: Mapping[str, str], kept: Stored | None
) -> tuple[Field, ...]:
    def error(name: str) -> str | None:
        return _(PROBLEMS[wrong[name]]) if name in wrong else None

    has = kept.values if kept else {}
    until = certificate_until(has.get("certificate", "")) if has.get("certificate") else None
    fields = [
        Field(
            name="client_id",
            label=_("Client id"),
            type="text",
            value=shown["client_id"],
            width="long",
            required=True,
            error=error("client_id"),
        ),
        Field(
            name="client_secret",
            label=_("Client secret"),
            type="password",
            value=shown["client_secret"],
            width="long",
            hint=_("One is stored and never shown again; leave empty to keep it.")
            if has.get("client_secret") and "client_secret" not in wrong
            else None,
            error=error("client_secret"),
        ),
        Field(
            name="issuer",
            label=_("Issuer (optional)"),
            type="text",
            value=shown["issuer"],
            width="long",
            hint=_("Only where the service names one in its answers; Ponto does not."),
        ),
        Field(
            name="certificate",
            label=_("Client certificate"),
            type="textarea",
            value=shown["certificate"],
            hint=_(
                "One is stored, valid until %(date)s; leave empty to keep it.", date=day_of(until)
            )
            if until
            else _(
                "The PEM text, from BEGIN CERTIFICATE up to and including END CERTIFICATE. Ponto"
                " needs it; for another service it may be empty if that asks for none."
            ),
            error=error("certificate"),
        ),
        Field(
            name="certificate_key",
            label=_("Private key of that certificate"),
            type="textarea",
            value=shown["certificate_key"],
            hint=_("One is stored and never shown again; leave empty to keep it.")
            if until
            else _("The PEM text, without a password. It is kept encrypted."),
            error=error("certificate_key"),
        ),
    ]
    if until:
        fields.append(
            Field(
                name="forget_certificate",
                label=_("Remove the stored certificate and key"),
                type="checkbox",
                value=request.form.get("forget_certificate", ""),
            )
        )
    return tuple(fields)
