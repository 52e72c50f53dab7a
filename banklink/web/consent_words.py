"""What an account holder is told before giving permission, in one place: the invitation's page and
the hand-over page show it, the consent record keeps which text it was.

The id of a text holds a version. Whoever changes a sentence gives the text a new id and keeps the
old one here, so that a record made on the old words can still show them. A test knows the hash of
every text in every language and fails where words changed under their old id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from babel.lists import format_list
from flask import request

from banklink.core.invitations import Purpose
from banklink.core.masked import masked, short_address, short_agent
from banklink.core.texts import N_
from banklink.translations import catalogue
from banklink.web.context import house
from banklink.web.i18n import locale


@dataclass(frozen=True, slots=True)
class ConsentText:
    """`lead` says who asks for what, `facts` (a word and a sentence each) what that means; together
    they are all the words there are. `hash` is of exactly these; `params` are the names in them,
    IBANs masked."""

    id: str
    language: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    hash: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Text:
    lead: str
    facts: tuple[tuple[str, str], ...]


_CHOOSE_YOURSELF = N_("The accounts that you tick yourself in %(provider)s.")
_ASKER = N_("%(name)s of %(office)s")
_READING = N_("%(office)s, with %(app)s")
_FACTS = (
    (N_("What is shared"), N_("Transactions and balance. Reading only; paying is not possible.")),
    (N_("Which account"), "%(accounts)s"),
    (N_("Who may read"), N_("%(reading)s, through %(provider)s.")),
    (
        N_("How long"),
        N_("Until you withdraw it. Your bank asks you to confirm it again after 90 or 180 days."),
    ),
    (
        N_("Withdrawing"),
        N_(
            "At any time, in %(provider)s or through %(office)s. What has been fetched by then"
            " stays in the books."
        ),
    ),
)
TEXTS = {
    "connect-1": _Text(
        N_(
            "%(asker)s asks for permission to fetch the transactions of your bank account for the"
            " books of %(administrations)s."
        ),
        _FACTS,
    ),
    "repair-1": _Text(
        N_(
            "%(asker)s asks for permission once more, to fetch the transactions of your bank"
            " account for the books of %(administrations)s."
        ),
        _FACTS,
    ),
    "renew-1": _Text(
        N_(
            "%(asker)s asks you to confirm at your bank that the transactions of your account may"
            " be fetched for the books of %(administrations)s."
        ),
        _FACTS,
    ),
}
NOW = {
    Purpose.CONNECT: "connect-1",
    Purpose.REPAIR: "repair-1",
    Purpose.RENEW: "renew-1",
}
"""The text that is shown today."""


def consent_text(
    purpose: Purpose,
    *,
    asker: str | None,
    office: str,
    administrations: Sequence[str],
    accounts: Sequence[str],
) -> ConsentText:
    """The text in the reader's language. `asker` is the person who asks, None where nobody in
    particular does; `accounts` are IBANs, none where the holder chooses at the provider."""
    settings = house().settings
    params = {
        "asker": asker,
        "office": office,
        "app": settings.app_name,
        "provider": settings.provider_name,
        "administrations": list(administrations),
        "accounts": [masked(each) for each in accounts],
    }
    return rendered(NOW[purpose], locale(), params)


def rendered(text_id: str, language: str, params: Mapping[str, Any]) -> ConsentText:
    """The text of this id; also an old one, in the language and with the names of its day."""
    say = catalogue(language).gettext
    text = TEXTS[text_id]
    office, asker, app = params["office"], params["asker"], params["app"]
    accounts = format_list(params["accounts"], locale=language)
    names = {
        "asker": say(_ASKER) % {"name": asker, "office": office} if asker else office,
        "office": office,
        "reading": office if office == app else say(_READING) % {"office": office, "app": app},
        "provider": params["provider"],
        "administrations": format_list(params["administrations"], locale=language),
        "accounts": accounts or say(_CHOOSE_YOURSELF) % {"provider": params["provider"]},
    }
    lead = say(text.lead) % names
    facts = tuple((say(word), say(sentence) % names) for word, sentence in text.facts)
    words = [lead, *(part for fact in facts for part in fact)]
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
    return ConsentText(text_id, language, lead, facts, digest, params)


def kept(text: ConsentText) -> dict[str, Any]:
    """What an attempt keeps of the text this request answers to, and from where it came: enough to
    tell one visit from another, not enough to find a person by."""
    return {
        "text": text.id,
        "language": text.language,
        "hash": text.hash,
        "params": dict(text.params),
        "ip": short_address(request.remote_addr or ""),
        "agent": short_agent(request.user_agent.string),
    }
