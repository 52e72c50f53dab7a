"""Says things in the user's language: reads the gettext catalogues.

A leaf of the house: any room that speaks to people may import it, it imports no room.
Catalogues are the `.po` files themselves, read once per process, so that there is no compiled
copy that could be stale. English is the source language and needs no catalogue.
"""

from __future__ import annotations

from functools import cache
from gettext import c2py
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LOCALES = ("nl", "en")
DEFAULT_LOCALE = "nl"
FOLDER = Path(__file__).parent


@cache
def catalogue(locale: str, domain: str = "banklink") -> NullTranslations:
    """The catalogue of one locale (`nl`, `en`) and domain (`banklink`, `simulator`).

    Raises ValueError for a locale that is not in LOCALES.
    """
    if locale not in LOCALES:
        raise ValueError(f"no such language: {locale!r}")
    path = FOLDER / locale / "LC_MESSAGES" / f"{domain}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as source:
        parsed = read_po(source, locale=locale, abort_invalid=True)
    found = Translations(domain=domain)
    # As its own reader would fill it from a compiled file, of which there is none.
    said: dict[Any, Any] = found._catalog
    for message in parsed:
        if message.fuzzy or not message.id:
            continue
        if isinstance(message.id, str):
            if message.string:
                said[message.id] = message.string
        else:
            forms = enumerate(message.string or ())
            said |= {(message.id[0], place): form for place, form in forms if form}
    plural: Any = c2py(parsed.plural_expr)
    found.plural = plural
    return found
