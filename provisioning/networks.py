"""The Docker networks of a simulation: the common LAN and one network for every host."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import docker.errors

from provisioning.docker_engine import Engine
from provisioning.errors import SimulationError
from provisioning.hosts.simulated import LAN, foreign_object
from provisioning.ownership import is_ours
from provisioning.subnets import POOL_VARIABLE, Network, free_slots, gateway, pool, routed_here, smallest_around


@dataclass(frozen=True)
class HostNetworks:
    """The names of a simulation's networks and the address of every host on them."""

    lan: str
    own: Mapping[str, str]
    lan_address: Mapping[str, str]
    own_address: Mapping[str, str]


def last_octets(addresses: Mapping[str, str]) -> dict[str, int]:
    """Return a last octet for each host: the inventory's, or 101, 102, ... where those are no use.

    They are no use where an address is a name, where two hosts share one, or where it is 0, 1 or 255.
    """
    try:
        octets = {host: int(ipaddress.IPv4Address(address)) & 0xFF for host, address in addresses.items()}
    except ValueError:
        octets = {}
    if len(set(octets.values())) == len(addresses) and all(1 < each < 255 for each in octets.values()):
        return octets
    return {host: 101 + n for n, host in enumerate(addresses)}


def build_networks(
    engine: Engine, prefix: str, labels: Mapping[str, str], addresses: Mapping[str, str], *, lan_only: bool = False
) -> HostNetworks:
    """Create the LAN and the hosts' networks (``addresses``: what the inventory gives each host).

    With ``lan_only`` the hosts have no network of their own. Raises SimulationError where no subnet is
    free, OwnershipError where a network has our name.
    """
    octets = last_octets(addresses)
    own = {} if lan_only else octets
    names = {LAN: f"{prefix}-{LAN}", **{host: f"{prefix}-{host}" for host in own}}
    members = {LAN: tuple(octets.values()), **{host: (octet,) for host, octet in own.items()}}
    api: Any = engine.client.api
    for existing in api.networks(names=[f"^{prefix}-"]):
        if existing["Name"] in names.values() and not is_ours(existing["Labels"]):
            raise foreign_object("network", existing["Name"])
    free = _Draws(free_slots([*_in_engine(engine), *routed_here()]))
    with ThreadPoolExecutor(len(names)) as workers:
        made = dict(
            zip(
                names,
                workers.map(lambda each: _create(api, names[each], labels, members[each], free), names),
                strict=True,
            )
        )
    return HostNetworks(
        lan=names[LAN],
        own={host: names[host] for host in own},
        lan_address={host: str(_slash24(made[LAN]) + octet) for host, octet in octets.items()},
        own_address={host: str(_slash24(made[host]) + octet) for host, octet in own.items()},
    )


class _Draws:
    """An iterator that several threads draw from."""

    def __init__(self, source: Iterator[Network]) -> None:
        self._source = source
        self._lock = threading.Lock()

    def draw(self) -> Network | None:
        with self._lock:
            return next(self._source, None)


def _create(api: Any, name: str, labels: Mapping[str, str], octets: Sequence[int], free: _Draws) -> Network:
    refused = ""
    for _ in range(64):  # another run may take a subnet between our look and our request
        slot = free.draw()
        if slot is None:
            break
        subnet = smallest_around(octets, slot)
        taken = {slot.network_address + octet for octet in octets}
        config = {
            "Driver": "default",
            "Config": [{"Subnet": str(subnet), "Gateway": str(gateway(subnet, taken))}],
            "Options": None,
        }
        try:
            api.create_network(name, driver="bridge", ipam=config, labels=dict(labels), check_duplicate=True)
        except docker.errors.APIError as problem:
            refused = str(problem.explanation)
            if "overlaps" in refused or "conflicts with network" in refused:
                continue
            raise SimulationError(f"the network {name} cannot be created", observed=refused) from None
        return subnet
    raise SimulationError(
        f"no free subnet for the network {name}",
        expected=f"a free /24 in {pool()}",
        observed=refused or "all of them are used by Docker networks or routes of this machine",
        advice=f"make clean, or docker network prune, or set {POOL_VARIABLE} to another private network",
    )


def _in_engine(engine: Engine) -> list[Network]:
    api: Any = engine.client.api
    configs = [config for network in api.networks() for config in network["IPAM"]["Config"] or []]
    subnets = [config["Subnet"] for config in configs if "." in config.get("Subnet", "")]
    return [Network(each, strict=False) for each in subnets]


def _slash24(network: Network) -> ipaddress.IPv4Address:
    return network.supernet(new_prefix=24).network_address if network.prefixlen > 24 else network.network_address
