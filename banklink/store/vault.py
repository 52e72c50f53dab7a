"""Seals secrets at rest: MultiFernet, newest key first, older keys still open."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class SealBroken(Exception):
    """What was stored cannot be opened with the keys given."""


class Vault:
    def __init__(self, keys: Iterable[str]):
        """`keys`: Fernet keys (44 characters of base64); at least one."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, secret: Mapping[str, str | None]) -> str:
        return self._fernet.encrypt(json.dumps(dict(secret)).encode()).decode()

    def open(self, sealed: str) -> dict[str, str | None]:
        """Raises SealBroken."""
        try:
            opened: dict[str, str | None] = json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            raise SealBroken("a stored secret does not open with the configured keys") from None
        return opened
