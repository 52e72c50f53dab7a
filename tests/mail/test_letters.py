"""A letter says the same as HTML and as plain text, in the reader's language, and never more of an
IBAN than its last four digits."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from banklink.core.invitations import Purpose
from banklink.mail.invitations import invitation_letter
from banklink.mail.letters import (
    Button,
    Facts,
    Letter,
    Paragraph,
    Quote,
    Table,
    Written,
    write,
)
from banklink.mail.voice import Voice, masked

BAKERY, SAVINGS = "NL85DEMO0417164300", "NL77DEMO0417164444"
URL = "https://banklink.example.nl/invitation/Yq3l9x0Zt8Vb2uH4nK7sPw1dRf6gJm5cEaTiOhLyBrU"


def invitation(purpose: Purpose = Purpose.CONNECT, locale: str = "nl", **changes: Any) -> Written:
    values: dict[str, Any] = {
        "name": "Jan de Vries",
        "office": "Kantoor Sanne",
        "sender": "Sanne Jansen",
        "administrations": ["Bakkerij De Vries"],
        "accounts": [("Zakelijk", BAKERY), ("Spaar", SAVINGS)],
        "bank": "Demobank",
        "url": URL,
        "until": date(2026, 12, 9),
        "provider": "Ondernemersapp",
        "app": "Banklink",
        "message": "Hoi Jan,\n\nzou je dit even willen doen?",
        "phone": "050-1234567",
    }
    return write(invitation_letter(purpose, Voice(locale), **(values | changes)))


REMINDER = Letter(
    locale="nl",
    subject="Nog 7 dagen",
    greeting="Beste Jan,",
    parts=(
        Paragraph("Op 2 december 2026 stopt het ophalen van mutaties van rekening …4300."),
        Button("Vernieuw bij Demobank", URL),
        Table(
            ("Administratie", "Rekening", "Dagen"),
            (("Bakkerij De Vries", "Zakelijk …4300", "7"), ("Café Noord", "Bank …4444", "–")),
            ("https://banklink.example.nl/1", None),
        ),
        Facts((("Bank", "Demobank"),)),
        Quote("Regel 1\nRegel 2", "Sanne"),
    ),
    closing="Groet,\nKantoor Sanne",
    small=("Klein gedrukt.", "Nog iets."),
    unsubscribe="https://banklink.example.nl/reminders/off",
)
LETTERS = {
    f"{purpose.value}-{locale}": invitation(purpose, locale)
    for purpose in Purpose
    for locale in ("nl", "en")
} | {"everything": write(REMINDER)}


def read(html: str) -> BeautifulSoup:
    """What a reader of the HTML gets to read."""
    soup = BeautifulSoup(html, "html.parser")
    for unread in soup.select("style, title, [aria-hidden]"):
        unread.decompose()
    return soup


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\s>:]+", text))


@pytest.mark.parametrize("written", LETTERS.values(), ids=LETTERS)
def test_html_and_plain_text_say_the_same(written: Written) -> None:
    soup = read(written.html)
    links = {str(link["href"]) for link in soup.select("a")}
    assert links == set(re.findall(r"https?://\S+", written.text))
    shown = words(soup.get_text(" ")) - words(" ".join(links))
    told = words(written.text) - words(" ".join(links))
    # Only the HTML has a button that may not work.
    aside = words("Werkt de knop niet? Open dit adres Does the button not work? Open this address")
    assert shown - told <= aside | {"-"}
    assert told - shown <= {"-"}


@pytest.mark.parametrize("written", LETTERS.values(), ids=LETTERS)
def test_the_html_is_what_mail_programs_understand(written: Written) -> None:
    soup = BeautifulSoup(written.html, "html.parser")
    assert soup.html is not None and soup.html["lang"] in ("nl", "en")
    assert soup.title is not None and soup.title.string == written.subject
    assert soup.select("script, link, img, form, iframe, object, svg, video") == []
    for layout in soup.select("table"):
        assert layout.get("role") == "presentation" or layout.select_one("th[scope=row]")
    assert len(written.html.encode()) < 100_000, "Gmail cuts off what is longer"
    for each in soup.select("p, td, a, th"):
        assert each.get("style")
    preview = soup.select_one("[aria-hidden]")
    assert preview is not None and "display:none" in str(preview["style"])


@pytest.mark.parametrize("written", LETTERS.values(), ids=LETTERS)
def test_plain_text_has_lines_that_can_be_read_and_addresses_that_are_whole(
    written: Written,
) -> None:
    for line in written.text.splitlines():
        assert len(line) <= 72 or line.strip() in (URL, *re.findall(r"https\S+", line)), line
    assert "\n\n\n" not in written.text


@pytest.mark.parametrize(
    ("locale", "facts"),
    [
        (
            "nl",
            """Beste Jan de Vries,
            Sanne Jansen van Kantoor Sanne vraagt
            Bakkerij De Vries
            Zakelijk (…4300) en Spaar (…4444)
            alleen lezen, betalen kan niet
            intrekken kan altijd
            Antwoorden kan t/m: 9 december 2026
            Wij vragen nooit om je pincode, je wachtwoord of de codes van je bank.
            kunt ook weigeren
            Ben je niet de rekeninghouder?
            bel 050-1234567
            zou je dit even willen doen?""",
        ),
        (
            "en",
            """Dear Jan de Vries,
            Sanne Jansen of Kantoor Sanne asks
            Bakkerij De Vries
            Zakelijk (…4300) and Spaar (…4444)
            reading only, paying is not possible
            withdraw it at any time
            Answer by: 9 December 2026
            We never ask for your PIN, your password or the codes of your bank.
            can also refuse
            Are you not the account holder?
            call 050-1234567
            zou je dit even willen doen?""",
        ),
    ],
)
@pytest.mark.parametrize("purpose", Purpose)
def test_an_invitation_says_who_asks_for_what_and_what_it_never_means(
    purpose: Purpose, locale: str, facts: str
) -> None:
    text = " ".join(invitation(purpose, locale).text.split())
    for fact in facts.splitlines():
        if fact.strip().endswith(("vraagt", "asks")) and purpose is not Purpose.CONNECT:
            continue
        assert fact.strip() in text
    assert URL in text


def test_an_invitation_without_a_person_a_bank_or_accounts_still_reads() -> None:
    written = invitation(
        sender=None, bank=None, accounts=[], name="", message="  ", phone=None,
        administrations=["A", "B", "C"],
    )  # fmt: skip
    text = " ".join(written.text.split())
    assert written.subject == "Bankkoppeling A en 2 andere: mogen we meelezen?"
    assert text.startswith("Hallo, Kantoor Sanne vraagt toestemming")
    assert "voor de boekhouding van A, B en C." in text
    assert "in Ondernemersapp of bij je eigen bank" in text
    assert "Rekeningen: je kiest zelf welke" in text
    assert "Groet, Kantoor Sanne Vragen? Antwoord op deze mail." in text
    assert "schrijft" not in text


# -- what somebody typed -------------------------------------------------------------------------

HOSTILE = """<script>alert(1)</script> </p> "' {{ 7 * 7 }} \u202e\u2028Bcc: x@evil.example"""


def test_what_somebody_typed_is_text_and_nothing_else() -> None:
    written = invitation(
        name=HOSTILE, sender=HOSTILE, message=HOSTILE, accounts=[(HOSTILE, BAKERY)],
        administrations=[HOSTILE], office=HOSTILE,
    )  # fmt: skip
    assert "<script" not in written.html and "49" not in written.html
    assert "\u202e" not in written.text + written.html + written.subject
    assert len(written.subject.splitlines()) == 1
    assert not [line for line in written.text.splitlines() if line.startswith("Bcc:")]
    assert "alert(1)" in read(written.html).get_text()


@given(text=st.text(max_size=200))
def test_no_message_breaks_a_letter(text: str) -> None:
    written = invitation(message=text, name=text)
    assert "\0" not in written.text + written.html
    assert written.text.count(URL) == 1


SPELT = [BAKERY, "NL85 DEMO 0417 1643 00", "nl85demo0417164300", "NL85-DEMO-0417-1643-00"]


@pytest.mark.parametrize("iban", SPELT)
def test_an_iban_that_somebody_typed_is_shortened_too(iban: str) -> None:
    written = invitation(
        accounts=[(f"Rekening {iban}", BAKERY)], message=f"Het gaat om {iban} en de rest."
    )
    for part in (written.text, written.html):
        assert "0417" not in part and "1643" not in part
    assert "Het gaat om …4300 en de rest." in written.text


def test_only_an_iban_is_taken_for_one() -> None:
    for text in (
        "Factuur NL85DEMO0417164301 (verkeerd controlegetal)",
        "AB12 CDEF GHIJ KLMN OPQR",
        "x" + BAKERY,
        "2 mei 2026, 180 dagen, 050-1234567",
        "",
    ):
        assert masked(text) == text
    assert masked("BE68539007547034, DE89370400440532013000!") == "…7034, …3000!"
