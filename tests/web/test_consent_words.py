"""The words somebody is told before giving permission are the words the record is of."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import select

from banklink.core.invitations import Purpose
from banklink.core.masked import masked, short_address, short_agent
from banklink.store.models import Attempt
from banklink.web.consent_words import NOW, TEXTS, rendered

from .conftest import Books, Visitor, soup, words

NAMES = {
    "asker": "Sanne",
    "office": "Kantoor",
    "app": "Banklink",
    "provider": "Ondernemersapp",
    "administrations": ["Bakkerij", "Café"],
    "accounts": ["NL52 VOOR •••• ••45 67"],
}


def fingerprint(text_id: str, language: str) -> str:
    """Of every sentence the text can say."""
    nobody = {**NAMES, "asker": None, "office": "Banklink", "accounts": []}
    texts = (rendered(text_id, language, each) for each in (NAMES, nobody))
    return hashlib.sha256("".join(each.hash for each in texts).encode()).hexdigest()[:16]


KNOWN = {
    ("connect-1", "nl"): "d79e25284ccbf0c6",
    ("connect-1", "en"): "9c3ffc1d392c67ed",
    ("renew-1", "nl"): "70ea6d79c63270ce",
    ("renew-1", "en"): "78e5208fe978f3c9",
    ("repair-1", "nl"): "344f65ca5aaa75e7",
    ("repair-1", "en"): "eab87b296cb85d99",
}


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("text_id", sorted(TEXTS))
def test_no_word_changes_under_an_id_that_records_were_made_with(
    text_id: str, language: str
) -> None:
    """It did? Keep the old sentences under the old id and give the new ones an id of their own."""
    assert fingerprint(text_id, language) == KNOWN[text_id, language]


def test_every_purpose_has_a_text() -> None:
    assert set(NOW) == set(Purpose) and set(NOW.values()) <= set(TEXTS)


def test_the_text_names_who_asks_what_for_and_how_to_stop() -> None:
    text = rendered("connect-1", "en", NAMES)
    assert text.lead == (
        "Sanne of Kantoor asks for permission to fetch the transactions of your bank account for"
        " the books of Bakkerij and Café."
    )
    said = dict(text.facts)
    assert said["Which account"] == "NL52 VOOR •••• ••45 67"
    assert said["Who may read"] == "Kantoor, with Banklink, through Ondernemersapp."
    nobody = rendered("connect-1", "en", {**NAMES, "asker": None, "accounts": []})
    assert nobody.lead.startswith("Kantoor asks for permission")
    assert "tick yourself in Ondernemersapp" in dict(nobody.facts)["Which account"]
    assert nobody.hash != text.hash


def test_the_attempt_keeps_exactly_the_words_the_page_showed(
    visitor: Visitor, books: Books
) -> None:
    number = books.id("expiring")
    answer = visitor.press(f"/connections/{number}/renew", {"version": books.version("expiring")})
    page = soup(answer)
    terms = page.select_one(".terms")
    assert terms is not None
    lead = terms.find_previous("p")
    assert lead is not None
    shown = [
        lead.get_text(),
        *(each.get_text() for each in terms.select("dt, dd")),
    ]
    with books.house.services.store.read() as session:
        kept = session.scalars(select(Attempt).order_by(Attempt.id.desc()).limit(1)).one().consent
    assert kept["hash"] == hashlib.sha256("\n".join(shown).encode()).hexdigest()
    assert (kept["text"], kept["language"]) == ("renew-1", "nl")
    assert rendered(kept["text"], kept["language"], kept["params"]).hash == kept["hash"]
    assert books.connection("expiring").iban not in str(kept)
    assert kept["ip"] == "127.0.0.0/24"
    assert "Bakkerij" in words(terms.find_previous("p"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("iban", "shown"),
    [
        ("NL52VOOR0001234567", "NL52 VOOR •••• ••45 67"),
        ("nl52 voor 0001 2345 67".upper(), "NL52 VOOR •••• ••45 67"),
        ("DE89370400440532013000", "DE89 •••• •••• •••• ••30 00"),
        ("XY", "XY"),
    ],
)
def test_an_iban_shows_its_bank_and_its_end(iban: str, shown: str) -> None:
    assert masked(iban) == shown.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("", None),
        ("somewhere", None),
    ],
)
def test_an_address_is_kept_as_its_network(address: str, kept: str | None) -> None:
    assert short_address(address) == kept


def test_a_browser_is_kept_by_its_kind() -> None:
    full = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) Version/17.4.1 Safari/604.1"
    assert short_agent(full) == (
        "Mozilla/5 (iPhone; CPU iPhone OS 17 like Mac OS X) Version/17 Safari/604"
    )
    assert len(short_agent("x" * 1000) or "") == 100
    assert short_agent("") is None
