"""What was typed when the session turned out to have ended: kept until the person is back.

Without JavaScript a press leaves the page, and with it what was typed. It goes along in the
browser's own cookie, sealed, and is filled into the same form after signing in; nothing is done
with it before the person presses again. It is for whoever was signed in here last: the cookie is
emptied when somebody else signs in, and the seal names the person as well. No secret is among it,
and no more than a cookie holds.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from flask import g, request, session
from flask_wtf.csrf import validate_csrf
from wtforms import ValidationError

from banklink.store.vault import SealBroken
from banklink.web.context import at, house
from banklink.web.i18n import _
from banklink.web.viewmodel import Choice, Field, Form

NEVER = frozenset(
    {
        "csrf_token",
        "password",
        "current",
        "client_secret",
        "certificate",
        "certificate_key",
        "forget_certificate",
    }
)
"""Fields that are typed again: secrets, what stands beside them, and the token of the form."""

LASTS = timedelta(minutes=30)
_MOST_READ = 64 * 1024
_MOST = 1_800
"""Letters of the packed text: sealed and with the rest it still fits the 4096 bytes of a cookie."""


@dataclass(frozen=True, slots=True)
class Typed:
    """`to`: the path of the form."""

    to: str
    values: dict[str, list[str]]


def keep() -> None:
    """A form came from somebody whose session has ended. What another site made the browser send
    is not kept: its form has no token of this session."""
    forget()
    who = session.get("person")
    size = request.content_length
    if who is None or size is None or size > _MOST_READ:
        return
    try:
        validate_csrf(request.form.get("csrf_token"))
    except ValidationError:
        return
    values = {name: request.form.getlist(name) for name in request.form if name not in NEVER}
    packed = b64encode(zlib.compress(json.dumps(values).encode(), 9)).decode()
    if len(packed) > _MOST:
        return
    session["kept"] = house().services.vault.seal(
        {
            "who": str(who),
            "to": request.path,
            "until": (at().real + LASTS).isoformat(),
            "values": packed,
        }
    )


def forget() -> None:
    """They went on with something else."""
    session.pop("kept", None)


def is_kept() -> bool:
    return "kept" in session


def filled(form: Form) -> Form:
    """The form with what was typed in it before, when this is the one; only once. What the person
    had seen goes along too, so that another's change meanwhile is still noticed."""
    if request.method != "GET" or "kept" not in session or g.get("person") is None:
        return form
    typed = _mine()
    if typed is None or urlsplit(form.url).path != typed.to:
        return form
    forget()
    again = _("You are signed in again and what you typed is back. Nothing was done with it yet.")
    version = "".join(typed.values.get("version", []))
    return replace(
        form,
        intro=f"{again} {form.intro}" if form.intro else again,
        version=int(version) if version.isdecimal() and len(version) < 10 else form.version,
        fields=tuple(_field(each, typed) for each in form.fields),
        hidden=tuple(
            (name, value if name == "confirmed" else typed.values.get(name, [value])[0])
            for name, value in form.hidden
        ),
    )


def _mine() -> Typed | None:
    try:
        opened = house().services.vault.open(session["kept"])
    except SealBroken:
        forget()
        return None
    until = datetime.fromisoformat(opened["until"] or "")
    if opened["who"] != str(g.person.id) or until <= at().real:
        forget()
        return None
    values = json.loads(zlib.decompress(b64decode(opened["values"] or "")))
    return Typed(opened["to"] or "", values)


def _field(field: Field, typed: Typed) -> Field:
    if field.type in ("password", "file") or field.readonly or field.name in NEVER:
        return field
    values = typed.values.get(field.name, [])
    if field.type == "select":
        chosen = values[0] if values else field.value
        return replace(
            field,
            value=chosen,
            choices=tuple(replace(each, checked=each.value == chosen) for each in field.choices),
        )
    if field.choices:
        return replace(field, choices=_choices(field, values))
    if field.type == "checkbox":
        return replace(field, value="".join(values[:1]))
    return replace(field, value=values[0]) if values else field


def _choices(field: Field, values: list[str]) -> tuple[Choice, ...]:
    """What was ticked; as it is where that can no longer be."""
    can = {each.value for each in field.choices if not each.disabled}
    if field.type == "radio" and not can & set(values):
        return field.choices
    return tuple(
        replace(each, checked=each.value in values and each.value in can) for each in field.choices
    )
