"""The wanted inventory inside a capture: JSON values and back. Passwords and free variables stay out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.evidence.info import SECRET_SETTINGS
from provisioning.inventory import GIVEN, Host, Inventory, Node, Tls
from provisioning.slots import SlotRange


def inventory_to_dict(inventory: Inventory) -> dict[str, Any]:
    """Return the inventory as JSON values, without any password and without the hosts' other variables."""
    return {
        "name": inventory.name,
        "node_timeout_ms": inventory.node_timeout_ms,
        "appendonly": inventory.appendonly,
        "settings": {key: value for key, value in inventory.settings.items() if key not in SECRET_SETTINGS},
        "simulation": inventory.simulation,
        "source": inventory.source,
        "application_user": inventory.application_user,
        "image": inventory.image,
        "given": sorted(inventory.given),
        "hosts": [
            {
                "name": host.name,
                "address": host.address,
                "ansible_host": host.ansible_host,
                "connection": host.connection,
                "nodes": [_node_to_dict(node) for node in host.nodes],
            }
            for host in inventory.hosts
        ],
    }


def inventory_from_dict(values: Mapping[str, Any]) -> Inventory:
    """Return the inventory that ``inventory_to_dict`` was given, without its passwords."""
    hosts = tuple(
        Host(
            host["name"],
            host["address"],
            tuple(_node_from_dict(host["name"], node) for node in host["nodes"]),
            host.get("ansible_host", ""),
            host.get("connection", "ssh"),
        )
        for host in values["hosts"]
    )
    return Inventory(
        values["name"],
        hosts,
        int(values["node_timeout_ms"]),
        bool(values.get("appendonly", True)),
        dict(values.get("settings", {})),
        values.get("simulation", ""),
        values.get("source", ""),
        values.get("application_user", ""),
        values.get("image", ""),
        frozenset(map(str, values.get("given", GIVEN))),
    )


def _node_to_dict(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": node.role,
        "port": node.port,
        "bus_port": node.bus_port,
        "bound": list(node.bound),
        "announced": node.announced,
        "lan": node.lan,
        "outside": list(node.outside),
        "replica_of": node.replica_of,
        "slots": [str(each) for each in node.slots],
        "container": node.container,
        "user": node.user,
        "tls": None if node.tls is None else [node.tls.ca_file, node.tls.cert_file, node.tls.key_file],
    }


def _node_from_dict(host: str, values: Mapping[str, Any]) -> Node:
    outside_host, outside_port = values.get("outside") or ("", 0)
    tls = values.get("tls")
    return Node(
        host,
        values["name"],
        "master" if values["role"] == "master" else "replica",
        int(values["port"]),
        int(values["bus_port"]),
        tuple(values.get("bound", ())),
        values.get("announced", ""),
        values.get("lan", ""),
        (str(outside_host), int(outside_port)),
        values.get("replica_of", ""),
        tuple(SlotRange.parse(each) for each in values.get("slots", ())),
        values.get("container", ""),
        values.get("user", ""),
        tls=Tls(*tls) if tls else None,
    )
