"""What may be kept of a number, an address or a browser: enough to tell one from another, not
enough to use it or to find a person by."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network

from banklink.core.texts import N_


def masked(iban: str) -> str:
    """NL52 VOOR •••• ••45 67: whose bank it is and the end of the number."""
    plain = iban.replace(" ", "")
    head = 8 if plain[4:8].isalpha() else 4
    tail = plain[max(head, len(plain) - 4) :]
    hidden = plain[:head] + "•" * (len(plain) - len(plain[:head]) - len(tail)) + tail
    return "\u00a0".join(hidden[start : start + 4] for start in range(0, len(hidden), 4))


def short_address(address: str) -> str | None:
    """The network, not the machine: /24 of an IPv4 address, /48 of an IPv6 one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False))


def short_agent(agent: str) -> str | None:
    """What kind of browser: main versions only, and not the long tail some add."""
    shortened = re.sub(r"(\d+)(?:[._]\d+)+", r"\1", agent).strip()[:100]
    return shortened or None


PSEUDONYM = N_("Removed account holder %(n)s")
"""How somebody is called whose name is no longer kept: by their number."""
