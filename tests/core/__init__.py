"""Facts in few words: a healthy connection, and what differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banklink.core.facts import Authorisation, ConnectionFacts, Grant, HolderFacts, Switch

GRANTS = ("none", "active", "revoked")
AUTHORISATIONS = ("none", "never_completed", "active", "expired", "revoked")
SWITCHES = ("never", "on", "off")


def holder(
    grant: str = "active", listed: bool = True, authorisation: str = "active", **more: Any
) -> HolderFacts:
    return HolderFacts(
        grant=Grant(grant), listed=listed, authorisation=Authorisation(authorisation), **more
    )


def connection(
    holders: Mapping[str, HolderFacts] | None = None,
    *,
    journal: bool = True,
    switch: str = "on",
    selected: str | None = "jan",
    **more: Any,
) -> ConnectionFacts:
    return ConnectionFacts(
        journal=journal,
        switch=Switch(switch),
        selected=selected,
        holders={"jan": holder()} if holders is None else holders,
        **more,
    )
