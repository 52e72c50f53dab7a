"""Seals secrets at rest, and signs what goes out and must come back as it was: newest key first,
older keys still open and still count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from itsdangerous import BadData, URLSafeSerializer


class SealBroken(Exception):
    """What was stored cannot be opened with the keys given."""


class Vault:
    def __init__(self, keys: Iterable[str]):
        """`keys`: Fernet keys (44 characters of base64); at least one."""
        found = list(keys)
        self._fernet = MultiFernet([Fernet(key) for key in found])
        self._oldest_first = found[::-1]

    def seal(self, secret: Mapping[str, str | None]) -> str:
        return self._fernet.encrypt(json.dumps(dict(secret)).encode()).decode()

    def open(self, sealed: str) -> dict[str, str | None]:
        """Raises SealBroken."""
        try:
            opened: dict[str, str | None] = json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            raise SealBroken("a stored secret does not open with the configured keys") from None
        return opened

    def sign(self, purpose: str, number: int) -> str:
        """A word for an address that only this installation can make, and that stays good over
        restarts. Everybody can read the number in it."""
        return str(self._signer(purpose).dumps(number))

    def signed(self, purpose: str, word: str) -> int | None:
        """The number in a word made for this purpose; None when it is any other."""
        try:
            number = self._signer(purpose).loads(word)
        except BadData:
            return None
        return number if isinstance(number, int) else None

    def _signer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._oldest_first, salt=f"banklink {purpose}")
