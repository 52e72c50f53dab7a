"""Which server an address leads to: secrets and tokens go to no other than their own."""

from __future__ import annotations

from urllib.parse import urlsplit


def origin(address: str) -> tuple[str, str | None, int | None] | None:
    """Scheme, host and port, with the port that goes without saying. None when it has none, or when
    it names somebody: user@host may read as one server and be another."""
    try:
        parts = urlsplit(address)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return None
    if "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
