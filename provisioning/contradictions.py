"""What an inventory may not say of its hosts and nodes together, and the slots that it leaves to us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from provisioning.ansible_value import refusal
from provisioning.inventory import Host, Node
from provisioning.layout import equal_ranges
from provisioning.slots import SLOTS, SlotRange, joined_ranges, show_ranges


def resolved(source: str, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """Return the hosts with the slots of masters filled in where none has any.

    Raises InventoryError: duplicate address or name, port clash, a replica of no master, fewer than
    three masters, slots that overlap or are left out.
    """
    nodes = [node for host in hosts for node in host.nodes]
    _check_addresses(source, hosts)
    _check_ports(source, nodes)
    masters = {node.full_name: node for node in nodes if node.role == "master"}
    _check_replicas(source, nodes, masters)
    if len(masters) < 3:
        observed = f"{len(masters)} master{'s' * (len(masters) != 1)}"
        raise refusal(source, "a Redis Cluster needs at least 3 masters to elect a successor", observed)
    given = joined_ranges(each for node in masters.values() for each in node.slots)
    if not given:
        filled = dict(zip(masters, equal_ranges(len(masters)), strict=True))
        return tuple(_with_slots(host, {name: (each,) for name, each in filled.items()}) for host in hosts)
    total = sum(len(each) for node in masters.values() for each in node.slots)
    if given != (SlotRange(0, SLOTS - 1),) or total != SLOTS:
        observed = f"{show_ranges(given)}, {total} in all"
        raise refusal(source, "the slots of all masters must be 0-16383, each once", observed)
    return tuple(hosts)


def _check_addresses(source: str, hosts: Sequence[Host]) -> None:
    addresses: dict[str, str] = {}
    for host in hosts:
        if (other := addresses.setdefault(host.address, host.name)) != host.name:
            raise refusal(source, f"{other} and {host.name} have the same address", host.address)


def _check_ports(source: str, nodes: Sequence[Node]) -> None:
    listening: dict[tuple[str, int], str] = {}
    names: set[str] = set()
    for node in nodes:
        if node.full_name in names:
            raise refusal(source, "two nodes of one host have the same name", node.full_name)
        names.add(node.full_name)
        for port in (node.port, node.bus_port):
            other = listening.setdefault((node.host, port), node.full_name)
            if other != node.full_name or node.port == node.bus_port:
                raise refusal(source, f"{other} and {node.full_name} both want port {port}", f"host {node.host}")


def _check_replicas(source: str, nodes: Sequence[Node], masters: Mapping[str, Node]) -> None:
    names = {node.full_name for node in nodes}
    for node in nodes:
        if node.role == "replica" and node.replica_of not in masters:
            target = node.replica_of
            why = "itself" if target == node.full_name else "a replica" if target in names else ""
            observed = f"it names {target}, which is {why or 'no node of this inventory'}"
            raise refusal(source, f"{node.full_name} must replicate a master", observed)


def _with_slots(host: Host, slots: Mapping[str, tuple[SlotRange, ...]]) -> Host:
    return replace(host, nodes=tuple(replace(node, slots=slots.get(node.full_name, node.slots)) for node in host.nodes))
