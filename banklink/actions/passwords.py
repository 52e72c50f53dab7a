"""Passwords: which are good enough, and how they are kept (scrypt, by werkzeug).

Long is what counts: 12 to 128 characters, spaces included, no rules about digits or signs. Refused
is what a guesser tries first: common ones (a list comes along, common_passwords.txt), repetitions,
runs of the keyboard or the alphabet, and the person's own or this program's name.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from werkzeug.security import check_password_hash, generate_password_hash

from banklink.actions.services import Refused

SHORTEST, LONGEST = 12, 128
_LIST = Path(__file__).with_name("common_passwords.txt")
_RUNS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "1234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol",
    "q1w2e3r4t5y6u7i8o9p0",
)


def normal(password: str) -> str:
    """One spelling of what looks the same (NFC); nothing is taken off."""
    return unicodedata.normalize("NFC", password)


def judge(password: str, *, own_words: tuple[str, ...] = (), field: str = "password") -> str:
    """The password as it will be kept. Raises Refused with the sentence to show at `field`.

    `own_words`: what must not be the whole of it, such as the e-mail address and program's name.
    """
    password = normal(password)
    if not password:
        raise Refused("password_missing", field=field)
    if password != password.strip():
        raise Refused("password_spaces", field=field)
    if len(password) < SHORTEST:
        raise Refused("password_short", field=field, least=SHORTEST, n=len(password))
    if len(password) > LONGEST:
        raise Refused("password_long", field=field, most=LONGEST, n=len(password))
    plain = "".join(password.casefold().split())
    if len(set(plain)) == 1:
        raise Refused("password_one_character", field=field)
    if _is_run(plain):
        raise Refused("password_sequence", field=field)
    if _is_own(plain, own_words):
        raise Refused("password_own_words", field=field)
    if _repeats(plain) or plain in _common():
        raise Refused("password_common", field=field)
    return password


def hashed(password: str) -> str:
    """Takes about a tenth of a second, on purpose: never within a transaction."""
    return generate_password_hash(normal(password), method="scrypt")


def fits(password: str, password_hash: str | None) -> bool:
    """Whether it is the password. As slow for somebody without one, who is then told nothing."""
    known = check_password_hash(password_hash or _nobody(), normal(password[:1024]))
    return known and password_hash is not None


@cache
def _nobody() -> str:
    return hashed(secrets.token_urlsafe())


@cache
def _common() -> frozenset[str]:
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and line[0] != "#")


def _is_run(plain: str) -> bool:
    """The alphabet, digits or rows of the keyboard, forwards or back, whole or in part."""
    steps = {ord(after) - ord(before) for before, after in pairwise(plain)}
    if steps in ({1}, {-1}):
        return True
    return any(plain in row or plain[::-1] in row for row in (each * 2 for each in _RUNS))


def _repeats(plain: str) -> bool:
    """One short piece over and over: welkomwelkom, 123123123123."""
    return any(
        plain == (plain[:size] * (len(plain) // size + 1))[: len(plain)]
        for size in range(1, min(8, len(plain) // 2) + 1)
    )


def _is_own(plain: str, own_words: tuple[str, ...]) -> bool:
    """Nothing but an own word or several, with digits and signs around."""
    words = {_letters(part) for word in own_words for part in (word, *word.split("@"))}
    words |= {_letters(part) for word in own_words for part in word.replace("@", " ").split()}
    rest = _letters(plain)
    for word in sorted((each for each in words if len(each) > 2), key=len, reverse=True):
        rest = rest.replace(word, "")
    return not rest and any(character.isalpha() for character in plain)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalpha())
