"""Choose small subnets that collide with nothing on the machine or in the engine."""

from __future__ import annotations

import ipaddress
import os
import random
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from provisioning.errors import SimulationError

Network = ipaddress.IPv4Network

POOL_VARIABLE = "REDIS_GAUNTLET_SUBNETS"
DEFAULT_POOL = "10.213.0.0/16"
"""Private addresses (RFC 1918) that neither Docker nor common home networks use by default."""


def pool() -> Network:
    """Return where subnets are taken from: $REDIS_GAUNTLET_SUBNETS or 10.213.0.0/16.

    Raises SimulationError where the variable is no IPv4 network of 2^8 to 2^24 addresses.
    """
    text = os.environ.get(POOL_VARIABLE, DEFAULT_POOL)
    try:
        network = Network(text)
    except ValueError as problem:
        raise SimulationError(
            f"{POOL_VARIABLE} is no network", expected="for example 10.213.0.0/16", observed=str(problem)
        ) from None
    if not 8 <= network.prefixlen <= 24:
        size = "small" if network.prefixlen > 24 else "large"
        raise SimulationError(f"{POOL_VARIABLE} is too {size}", expected="a prefix from /8 to /24", observed=text)
    return network


def smallest_around(octets: Iterable[int], base: Network) -> Network:
    """Return the smallest subnet of the /24 ``base`` that holds these last octets and a gateway.

    The octets are neither its network nor its broadcast address.
    """
    wanted = {base.network_address + octet for octet in octets}
    for prefix in range(29, 23, -1):
        network = Network((min(wanted), prefix), strict=False)
        inner = set(wanted) - {network.network_address, network.broadcast_address}
        if all(address in network for address in inner) and len(inner) == len(wanted) and gateway(network, wanted):
            return network
    raise SimulationError("these last octets do not fit a /24", observed=str(sorted(octets)))


def gateway(network: Network, taken: Collection[ipaddress.IPv4Address]) -> ipaddress.IPv4Address | None:
    """Return the first host address of the network that is not taken, or None."""
    return next((address for address in network.hosts() if address not in taken), None)


def free_slots(used: Iterable[Network]) -> Iterator[Network]:
    """Yield the /24 networks of the pool that overlap none of ``used``, in random order."""
    taken = tuple(used)
    candidates = list(pool().subnets(new_prefix=24))
    random.SystemRandom().shuffle(candidates)
    for candidate in candidates:
        if not any(candidate.overlaps(each) for each in taken):
            yield candidate


def routed_here() -> tuple[Network, ...]:
    """Return the IPv4 networks this machine has routes to, the default route left out (Linux; else none)."""
    found = []
    try:
        lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ()
    for line in lines:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[n]), "little") for n in (1, 7))
        if mask:
            found.append(Network((destination, mask.bit_count()), strict=False))
    return tuple(found)
