"""The effective inventory as a file: what a simulation's real addresses and password are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from provisioning.inventory import Inventory, Node, Tls


def write_inventory(inventory: Inventory, path: Path) -> None:
    """Write the inventory, passwords included, readable by its owner only."""
    hosts: dict[str, Any] = {}
    for host in inventory.hosts:
        entry: dict[str, Any] = {
            "ansible_host": host.ansible_host,
            "ansible_connection": host.connection,
            "redis_address": host.address,
            "redis_nodes": [_written_node(node) for node in host.nodes],
        }
        login = host.nodes[0]
        tls = login.tls or Tls()
        own = {
            "redis_user": login.user,
            "redis_password": login.password,
            "redis_tls_ca_file": tls.ca_file,
            "redis_tls_cert_file": tls.cert_file,
            "redis_tls_key_file": tls.key_file,
        }
        entry |= {name: value for name, value in own.items() if value}
        hosts[host.name] = entry
    shared: dict[str, Any] = {
        "redis_cluster_name": inventory.name,
        "redis_node_timeout": inventory.node_timeout_ms,
        "redis_appendonly": inventory.appendonly,
    }
    if inventory.settings:
        shared["redis_settings"] = dict(inventory.settings)
    if inventory.simulation:
        shared["redis_gauntlet_simulation"] = inventory.simulation
    if len({entry.get("redis_password") for entry in hosts.values()}) == 1:
        passwords = [entry.pop("redis_password", "") for entry in hosts.values()]
        shared |= {"redis_password": passwords[0]} if passwords[0] else {}
    document = {"all": {"children": {"redis_cluster": {"vars": shared, "hosts": hosts}}}}
    text = "# The effective inventory: written by redis-gauntlet, the addresses are real.\n"
    text += yaml.safe_dump(document, sort_keys=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _written_node(node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": node.name, "role": node.role, "port": node.port, "bus_port": node.bus_port}
    if node.role == "replica":
        entry["replica_of"] = node.replica_of
    else:
        entry["slots"] = ",".join(map(str, node.slots))
    if node.container:
        entry["container"] = node.container
    if node.bound != (node.lan,):
        entry["bound"] = " ".join(node.bound)
    if node.outside[0]:
        entry["outside"] = f"{node.outside[0]}:{node.outside[1]}"
    return entry
